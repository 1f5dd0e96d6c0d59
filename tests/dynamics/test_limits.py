"""Time constants that are limits of the method are not shown as measured; lasting private noise does not make them."""

import numpy as np
import pytest
from scipy import signal

import antidrome as ad
from antidrome.dynamics import limits, simulate
from antidrome.dynamics.system import LARGEST_GAIN, LinearSystem, innovation_of

QUICK = {"shrinkage": 0.0, "zero_lag": "never", "n_starts": 1, "max_iterations": 40, "seed": 0}


def lasting(n_neurons: int, correlation: float, rng: np.random.Generator) -> np.ndarray:
    """Activity (time, neuron) with private noise of more variance than what neurons share, correlated over frames."""
    activity = simulate(n_neurons, 2, 1500, seed=1).activity
    private = rng.standard_normal(activity.shape) * np.sqrt(1 - correlation**2)
    return activity + 1.5 * activity.std(axis=0) * signal.lfilter([1], [1, -correlation], private, axis=0)


def system_of(whitened: np.ndarray, stationary: np.ndarray) -> LinearSystem:
    """A system with this A where Π is the identity."""
    root = np.diag(np.sqrt(stationary))
    dynamics, n = root @ whitened @ np.linalg.inv(root), len(stationary)
    covariance = np.diag(stationary)
    return LinearSystem(
        dynamics, innovation_of(dynamics, covariance), covariance, np.eye(n + 2, n), np.zeros(n + 2), np.ones(n + 2)
    )


@pytest.mark.parametrize("n_neurons", [5, 20])
def test_lasting_private_noise_makes_no_slow_modes(n_neurons, rng):
    """Held-out pairs choose white noise, or cannot choose: dynamics are those of what neurons share all the same."""
    activity = lasting(n_neurons, 0.95, rng)
    white = ad.StitchedLDS(2, private_noise="white", **QUICK).fit(activity, progress=False)
    assert limits.number_at_limit(white.result_.system) > 0
    model = ad.StitchedLDS(2, **QUICK).fit(activity, progress=False)
    table = model.dynamics_table()
    assert table["measured"].values.all()
    assert table["time_constant_frames"].values.max() < 200


def test_pairs_stay_as_they_were_chosen(rng, monkeypatch):
    activity = lasting(5, 0.95, rng)
    model = ad.StitchedLDS(2, **QUICK).fit(activity, progress=False)
    assert any("covariances between neurons" in note for note in model.notes_)
    monkeypatch.setattr("antidrome.dynamics.fitting._without_private", lambda *given: given[4])
    before = ad.StitchedLDS(2, **QUICK).fit(activity, progress=False)
    np.testing.assert_array_equal(model.predict_covariance(range(5)), before.predict_covariance(range(5)))
    np.testing.assert_allclose(model.loadings_.values, before.loadings_.values, atol=1e-12)
    assert not np.allclose(model.result_.system.dynamics, before.result_.system.dynamics)


def test_white_noise_that_was_asked_for_is_kept_and_told(rng):
    activity = lasting(20, 0.95, rng)
    model = ad.StitchedLDS(2, private_noise="white", **QUICK).fit(activity, progress=False)
    table = model.dynamics_table()
    assert not table["measured"].values.all()
    np.testing.assert_array_equal(np.isnan(table["time_constant_frames"]), ~table["measured"])
    assert any("not measured" in note and "private_noise='autocorrelated'" in note for note in model.notes_)
    notes = model.transform(activity).attrs["notes"]
    assert any("smoothed too much" in note for note in notes)


def test_clean_dynamics_are_left_as_they_are(monkeypatch):
    truth = simulate(30, 2, 900, seed=2)
    halves = {"a": (truth.activity[:450, :20], range(20)), "b": (truth.activity[450:, 10:], range(10, 30))}
    for n_components in (2, 4):  # as many as there are, and modes that mean nothing
        with monkeypatch.context() as patch:
            patch.setattr("antidrome.dynamics.solving.BlockSolver.latent_between", None)
            model = ad.StitchedLDS(n_components, **QUICK).fit(halves, progress=False)
        table = model.dynamics_table()
        assert table["measured"].values[:2].all()
        assert not any("as slow as the method allows" in note for note in model.notes_)


def test_modes_at_a_limit_are_told_from_slow_ones():
    turn = np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
    whitened = np.zeros((4, 4))
    whitened[:2, :2] = LARGEST_GAIN * turn
    whitened[2, 2], whitened[3, 3] = 0.9, 0.5
    system = system_of(whitened, np.array([4.0, 3.0, 2.0, 1.0]))
    held, left = limits.modes_at_limit(system, *np.linalg.eig(system.dynamics))
    assert (held.sum(), left.sum()) == (2, 2)
    second_order = np.array([[1.45, -0.475], [1.0, 0.0]])  # of roots 0.95 and 0.5: one gain is 1, and none is clipped
    covariance = np.linalg.solve(np.eye(4) - np.kron(second_order, second_order), [1, 0, 0, 0]).reshape(2, 2)
    exact = LinearSystem(second_order, np.diag([1.0, 0.0]), covariance, np.eye(4, 2), np.zeros(4), np.ones(4))
    assert not np.any(limits.modes_at_limit(exact, *np.linalg.eig(second_order)))
    assert limits.is_freer(exact, system)
    assert not limits.is_freer(system, exact)
    nothing = system_of(np.zeros((2, 2)), np.ones(2))
    assert limits.notes_on_limits(nothing, True) == []

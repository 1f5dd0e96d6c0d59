"""`SNPE` from simulator to posterior: all methods, files, interruption, external simulations, what cannot be done."""

import copy
import dataclasses
import json

import numpy as np
import pytest
from sklearn.base import clone

from antidrome.core.citations import cite
from antidrome.errors import InputError, ModelFileError, ResumeError
from antidrome.mechanism import SNPE, KernelSettings, Normal, Posterior, Prior, TraceFeatures, Uniform
from antidrome.mechanism.densities.network import FlowSettings, MixtureSettings
from antidrome.mechanism.simulate import PythonSimulator, external_simulations, read_simulations
from antidrome.mechanism.simulate.batch import judge
from antidrome.mechanism.training import TrainingSettings

PRIOR = Prior({"a": Uniform(-2, 2), "b": Normal(0, 1)}, {"a": "mV"})
N = 300  # of a round; two rounds, and one of 2 N, have the same capacity, so that one compiled training serves most
QUICK = {
    "training": TrainingSettings(epochs=40, batch=50, learning_rate=5e-3, patience=8, drops=0),
    "density": MixtureSettings(components=2, hidden=(16,)),
    "n_predictive": 20,
}


class Gaussian:
    """x = θ + 0.3 noise; the third feature is missing for a < 0, and the simulation fails for a > 1.5."""

    feature_names = ("x", "y", "z")
    feature_units = ("mV", "", "")

    def __init__(self, fails: bool = False, stop_after: int = 10**9) -> None:
        self.fails, self.left = fails, stop_after

    def run(self, theta, seed):
        self.left -= len(theta)
        if self.left < 0:
            raise KeyboardInterrupt
        noise = np.random.default_rng(seed).standard_normal((len(theta), 3))
        x = np.column_stack([theta, theta[:, 0]]) + 0.3 * noise
        x[theta[:, 0] < 0, 2] = np.nan
        if self.fails:
            x[theta[:, 0] > 1.5] = np.nan
        return judge(x)


OBSERVATION = np.array([0.5, -0.5, 0.6])


@pytest.fixture(scope="module")
def fitted() -> SNPE:
    return SNPE(n_rounds=2, n_simulations=N, **QUICK).fit(Gaussian(), PRIOR, OBSERVATION, progress=False)


@pytest.mark.parametrize("method", ["default", "snpe-b", "weighted", "tsnpe", "snpe-c"])
def test_every_method_finds_the_posterior(method: str) -> None:
    """a has two measurements of variance 0.09, b one and a unit prior."""
    changes = QUICK | ({"training": None, "density": None} if method == "snpe-b" else {})
    model = SNPE(method, n_rounds=2, n_simulations=N, **changes)
    model.fit(Gaussian(), PRIOR, OBSERVATION, progress=False)
    samples = model.sample(4000).values
    np.testing.assert_allclose(samples.mean(axis=0), [0.55, -0.5 / 1.09], atol=0.12)
    np.testing.assert_allclose(samples.std(axis=0), [0.212, np.sqrt(0.09 / 1.09)], rtol=0.35)
    assert (model.rounds_["effective"] > 10).all()
    assert ((model.rounds_["largest_weight"] > 0) & (model.rounds_["largest_weight"] < 1)).all()
    basis = "simulations that it was trained on" if method == "snpe-b" else "held-out simulations"
    assert model.diagnosis_ is not None
    assert model.diagnosis_.conclusions[-1].endswith(f" effective {basis}.")


def test_what_a_fit_leaves(fitted: SNPE) -> None:
    samples = fitted.sample(50, seed=3)
    assert samples.dims == ("sample", "parameter")
    assert samples["unit"].values.tolist() == ["mV", ""]
    assert samples.attrs["citations"][0] == "lueckmann2017"
    assert cite(fitted).keys == cite(fitted.posterior_).keys == cite(samples).keys
    assert np.array_equal(samples, fitted.sample(50, seed=3))
    assert fitted.log_prob([[0.5, -0.4], [5.0, 0.0]])[1] == -np.inf
    assert fitted.rounds_.sizes["round"] == 2
    assert N <= fitted.rounds_["trained_on"][1] < 2 * N, "the second round leaves out what lies outside its region"
    assert fitted.diagnosis_ is not None
    assert fitted.diagnosis_.predictive.attrs["simulations"] == 20
    json.dumps(fitted.diagnosis_.to_dict(), allow_nan=False)
    assert str(fitted.diagnosis_)
    assert fitted.predicted_ is not None
    assert fitted.predicted_.shape == (20, 3)
    first, last = fitted.posteriors_
    assert last is fitted.posterior_
    assert len(first.reports) == 1
    assert first.density().density.log_prob(np.zeros((1, 2))) != last.density().density.log_prob(np.zeros((1, 2)))
    table = fitted.posterior_.summary(500)
    assert (table["low_95"] < table["median"]).all()


def test_marginals_and_conditionals_agree_with_the_joint(fitted: SNPE) -> None:
    joint = fitted.posterior_.density()
    grid = np.linspace(-3, 3, 601)
    points = np.column_stack([np.full(601, 0.4), grid])
    brute = np.trapezoid(np.exp(joint.log_prob(points)), grid)
    marginal = fitted.marginal("a")
    assert np.exp(marginal.log_prob([[0.4]])[0]) == pytest.approx(brute, rel=1e-3)
    conditional = fitted.conditional({"a": 0.4})
    expected = joint.log_prob([[0.4, -0.3]])[0] - np.log(brute)
    assert conditional.log_prob([[-0.3]])[0] == pytest.approx(expected, abs=1e-3)
    assert conditional.names == ("b",)
    mode = fitted.map().values
    around = mode + 0.05 * np.random.default_rng(0).standard_normal((200, 2))
    assert fitted.log_prob(mode[None])[0] >= fitted.log_prob(around).max() - 1e-6


def test_written_and_opened(fitted: SNPE, tmp_path) -> None:
    path = tmp_path / "posterior.safetensors"
    fitted.save(path)
    again = SNPE.load(path)
    assert np.array_equal(again.sample(20), fitted.sample(20))
    assert Posterior.load(path).prior == PRIOR
    assert again.rounds_.equals(fitted.rounds_)
    assert again.get_params() == fitted.get_params()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelFileError):
        SNPE.load(path)


def test_every_setting_comes_back_from_a_file(fitted: SNPE, tmp_path) -> None:
    path = tmp_path / "posterior.safetensors"
    for settings in (
        {"n_rounds": None, "n_simulations": (N, 100), "density": "mixture", "training": None, "n_predictive": 0},
        {"density": FlowSettings(layers=2), "kernel": KernelSettings(share=0.5), "defensive": 0.2, "diagnose": False},
        {"kernel": KernelSettings(bandwidth=np.inf), "training": TrainingSettings(clip=np.inf)},
        {"trace": TraceFeatures(steps=3), "n_networks": np.int64(3), "n_weight_samples": 2, "missing": "informative"},
    ):
        model = copy.copy(fitted).set_params(**settings)
        model.save(path)
        assert SNPE.load(path).get_params() == model.get_params()
    Posterior.load(path).save(path)
    assert SNPE.load(path).n_networks == 3
    fitted.posterior_.save(path)
    assert SNPE.load(path).n_simulations == (N, N), "what an older file tells"


def test_settings_that_are_none_are_a_damaged_file(fitted: SNPE, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("antidrome.mechanism.posterior.settings_to_dict", lambda _: ["n_rounds", 2])
    fitted.save(tmp_path / "posterior.safetensors")
    with pytest.raises(ModelFileError, match="settings are a list"):
        SNPE.load(tmp_path / "posterior.safetensors")


def test_an_interrupted_fit_goes_on_to_the_same_numbers(fitted: SNPE, tmp_path) -> None:
    model = SNPE(n_rounds=2, n_simulations=N, **QUICK)
    with pytest.raises(KeyboardInterrupt):
        model.fit(Gaussian(stop_after=3 * N // 2), PRIOR, OBSERVATION, checkpoint=tmp_path, progress=False)
    model.fit(Gaussian(), PRIOR, OBSERVATION, checkpoint=tmp_path, progress=False)
    assert np.array_equal(model.sample(30), fitted.sample(30))
    assert model.rounds_["loss"].equals(fitted.rounds_["loss"])
    with pytest.raises(ResumeError, match="observation"):
        model.fit(Gaussian(), PRIOR, OBSERVATION + 1, checkpoint=tmp_path, progress=False)


def test_failures_are_counted_thinned_and_explained() -> None:
    model = SNPE(n_rounds=2, n_simulations=N, method="tsnpe", **QUICK)
    model.fit(Gaussian(fails=True), PRIOR, np.array([1.3, 0.0, 1.3]), progress=False)
    failed = model.rounds_["failed"].values
    assert failed[0] > 15
    assert any("simulations failed" in note for note in model.notes_)
    assert model.failures_[0].kind == "non-finite"
    assert model.rounds_["missing"][0] > 0.05


def test_gaps_in_the_observation() -> None:
    model = SNPE(n_rounds=1, n_simulations=2 * N, **QUICK)
    model.fit(Gaussian(), PRIOR, {"x": 0.1, "y": 0.0}, progress=False)
    informative = model.sample(2000).values[:, 0].mean()
    model.fit(Gaussian(), PRIOR, [np.nan, 0.0, np.nan], progress=False)
    assert any("hidden: x" in note for note in model.notes_)
    assert informative < 0
    assert model.sample(2000).values[:, 0].mean() < -0.5


@pytest.mark.slow
def test_one_round_serves_other_observations_and_recorded_simulations() -> None:
    theta = PRIOR.sample(seed=3, n_samples=400)
    batch = Gaussian().run(theta, 0)
    recorded = external_simulations(theta, batch.features, parameter_names=PRIOR.names, feature_names=("x", "y", "z"))
    model = SNPE(
        "npe",
        density=FlowSettings(layers=1, bins=4, hidden=16, context=16),
        **{k: v for k, v in QUICK.items() if k != "density"},
    )
    model.fit(recorded, PRIOR, OBSERVATION, progress=False)
    other = model.posterior_.sample(2000, observation=[1.0, 1.0, 1.0])
    assert other.values[:, 0].mean() == pytest.approx(1.0, abs=0.2)
    view = model.marginal("a")
    assert view.approximate
    assert view.sample(10).shape == (10, 1)
    with pytest.raises(InputError, match="serve one round"):
        SNPE("default", **QUICK).fit(recorded, PRIOR, OBSERVATION, progress=False)


def test_functions_are_simulators(rng) -> None:
    def simulator(a, b, rng):
        return {"x": a + 0.1 * rng.standard_normal(), "y": b}

    model = SNPE("npe", n_simulations=2 * N, **(QUICK | {"diagnose": False}))
    here = PythonSimulator(simulator, parameter_names=PRIOR.names, n_processes=0)
    model.fit(here, PRIOR, {"x": 0.1, "y": 0.2}, progress=False)
    assert model.posterior_.feature_names == ("x", "y")


def test_it_is_an_estimator(fitted: SNPE) -> None:
    copy = clone(fitted)
    assert copy.get_params()["n_rounds"] == 2
    assert not hasattr(copy, "posterior_")
    assert copy.set_params(seed=4).seed == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "snpeb"}, "Did you mean 'snpe-b'"),
        ({"density": "spline"}, "'flow', 'mixture'"),
        ({"n_simulations": 3}, "at least 10"),
        ({"n_simulations": (100, 100, 100), "n_rounds": 2}, "one for each round"),
        ({"missing": "drop"}, "'auto', 'informative' or 'unrecorded'"),
        ({"n_rounds": 0}, "not possible"),
        ({"n_rounds": 2.5}, "n_rounds is 2.5; expected a whole number"),
        ({"kernel": "gaussian"}, "expected KernelSettings"),
        ({"training": "fast"}, "expected TrainingSettings"),
        ({"trace": "gru"}, "expected TraceFeatures"),
        ({"density": MixtureSettings}, "density is .*expected 'flow'"),
        ({"model_error": None}, "share of the features' spread"),
        ({"n_weight_samples": -3}, "n_weight_samples is -3; expected 0 or more"),
        ({"model_error": -0.1}, "share of the features' spread"),
    ],
)
def test_settings_that_do_not_go_are_named(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        SNPE().set_params(**settings).fit(Gaussian(), PRIOR, OBSERVATION, progress=False)


def test_unfit_input_is_named(fitted: SNPE) -> None:
    with pytest.raises(InputError, match="2 values, the simulator gives 3"):
        SNPE(n_simulations=50, n_rounds=1).fit(Gaussian(), PRIOR, [1.0, 2.0], progress=False)
    for simulations in (99.5, "many"):
        with pytest.raises(InputError, match="one whole number"):
            SNPE().set_params(n_simulations=simulations).fit(Gaussian(), PRIOR, OBSERVATION, progress=False)
    with pytest.raises(InputError, match="fitted in 2 rounds"):
        fitted.posterior_.sample(5, observation=[0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="There is no parameter 'A'"):
        fitted.marginal("A")
    for draw in (fitted.sample, PRIOR.sample, fitted.posterior_.summary):
        with pytest.raises(InputError, match="n_samples = -1, expected a whole number"):
            draw(-1)
    with pytest.raises(InputError, match="at least one dimension"):
        fitted.conditional({"a": 0.1, "b": 0.1})


@pytest.mark.slow
def test_arviz_gets_every_group(fitted: SNPE) -> None:
    import importlib.util
    import warnings

    if not any(importlib.util.find_spec(name) for name in ("arviz_base", "arviz")):
        pytest.skip("ArviZ is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ArviZ's own imports
        data = fitted.to_arviz(40)
    groups = set(data.groups()) if callable(data.groups) else {name.strip("/") for name in data.groups}
    assert data["posterior_predictive"]["x"].shape == (1, 20)
    assert {"posterior", "prior", "prior_predictive", "observed_data", "sample_stats"} <= groups
    assert data["posterior"]["a"].shape == (1, 40)
    np.testing.assert_allclose(data["posterior"]["a"].values[0], fitted.sample(40)[:, 0])


def test_the_exported_prior_is_the_prior() -> None:
    """Also where simulations fail, or come from elsewhere."""
    prior = Prior({"a": Uniform(-1, 1)})

    def of_positive(a):
        return a if a > 0 else np.nan

    failing = SNPE("npe", n_simulations=2 * N, **QUICK).fit(of_positive, prior, [0.5], progress=False)
    groups = exported(failing)
    draws, predicted = groups["prior"]["a"][0], groups["prior_predictive"].popitem()[1][0]
    assert (np.isnan(predicted) == (draws <= 0)).all()
    assert abs(draws.mean()) < 0.08
    near = 0.5 + 0.05 * np.random.default_rng(0).standard_normal((2 * N, 1))
    density = -0.5 * np.square((near[:, 0] - 0.5) / 0.05) - np.log(0.05 * np.sqrt(2 * np.pi))
    recorded = external_simulations(near, near, parameter_names=("a",), log_density=density)
    groups = exported(SNPE("npe", **QUICK).fit(recorded, prior, [0.5], progress=False))
    assert "prior_predictive" not in groups
    assert groups["prior"]["a"].std() == pytest.approx(1 / np.sqrt(3), rel=0.2)


def exported(model: SNPE) -> dict[str, dict[str, np.ndarray]]:
    """The groups that an ArviZ object is made of, whether ArviZ is there or not."""
    groups: dict[str, dict[str, np.ndarray]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("antidrome.mechanism.arviz.to_arviz", groups.update)
        model.to_arviz(400)
    return groups


def test_a_kernel_leaves_the_network_good_at_its_own_observation_only() -> None:
    model = SNPE("weighted", n_rounds=1, n_simulations=2 * N, **QUICK)
    model.fit(Gaussian(), PRIOR, OBSERVATION, progress=False)
    assert not model.posterior_.is_amortised
    with pytest.raises(InputError, match="fitted with a calibration kernel"):
        model.posterior_.sample(5, observation=OBSERVATION + 1)


def test_recorded_simulations_are_matched_by_the_names_of_their_parameters() -> None:
    prior = Prior({"a": Normal(0, 1), "b": Normal(0, 1)})
    theta = prior.sample(2 * N, seed=0)
    x = theta + 0.1 * np.random.default_rng(1).standard_normal(theta.shape)
    turned = external_simulations(theta[:, ::-1], x, parameter_names=("b", "a"))
    model = SNPE("npe", **QUICK).fit(turned, prior, [1.0, -1.0], progress=False)
    np.testing.assert_allclose(model.sample(500).values.mean(axis=0), [1.0, -1.0], atol=0.25)
    strange = external_simulations(theta, x, parameter_names=("b", "c"))
    with pytest.raises(InputError, match="not 'a' of the prior"):
        SNPE("npe", **QUICK).fit(strange, prior, [1.0, -1.0], progress=False)


def test_the_simulations_of_a_fit_serve_another_with_the_weights_of_their_proposals(tmp_path) -> None:
    prior = Prior({"a": Normal(0, 1)})

    def simulator(a, rng):
        return a + rng.standard_normal()

    sequential = SNPE("snpe-b", n_rounds=3, n_simulations=N, **QUICK)
    sequential.fit(simulator, prior, [1.0], checkpoint=tmp_path, progress=False)
    kept = read_simulations(tmp_path / "simulations")
    later = kept.rows(np.flatnonzero(kept.round > 0))
    assert np.isfinite(later.log_density).all()
    assert later.theta.mean() > 0.3  # drawn from proposals, not from the prior
    again = SNPE("npe", **QUICK).fit(kept, prior, [1.0], progress=False)
    assert again.rounds_["effective"].item() < 0.95 * len(kept)
    samples = again.sample(4000).values
    np.testing.assert_allclose([samples.mean(), samples.std()], [0.5, np.sqrt(0.5)], atol=0.12)
    unknown = external_simulations(kept.theta, kept.features, parameter_names=("a",))
    with pytest.raises(InputError, match="density of what they were drawn from was not kept"):
        SNPE("npe", **QUICK).fit(dataclasses.replace(unknown, round=kept.round), prior, [1.0], progress=False)


def test_another_simulator_does_not_go_on_with_a_fit(tmp_path) -> None:
    prior, settings = {"a": Uniform(-1, 1)}, QUICK | {"diagnose": False}

    def simulator(a):
        return a

    first = simulator

    def simulator(a):
        return -a

    SNPE("npe", n_simulations=2 * N, **settings).fit(first, prior, [0.5], checkpoint=tmp_path, progress=False)
    with pytest.raises(ResumeError):
        SNPE("npe", n_simulations=2 * N, **settings).fit(simulator, prior, [0.5], checkpoint=tmp_path, progress=False)


def test_gaps_that_no_simulation_had_are_refused() -> None:
    class Plain:
        feature_names, feature_units = ("x", "y"), ("", "")

        def run(self, theta, seed):
            return judge(theta + 0.1 * np.random.default_rng(seed).standard_normal(theta.shape))

    prior = {"a": Uniform(-1, 1), "b": Uniform(-1, 1)}
    model = SNPE("npe", n_simulations=2 * N, **QUICK).fit(Plain(), prior, [0.3, 0.2], progress=False)
    assert model.posterior_.sample(5, observation={"y": 0.1, "x": 0.3}).shape == (5, 2)
    for observation, message in (
        ([np.nan, 0.1], "Feature 'x' is missing, as it never was in training"),
        ([np.nan, np.nan], "Every feature of the observation is missing"),
        ([np.inf, 0.1], "is infinite"),
    ):
        with pytest.raises(InputError, match=message):
            model.posterior_.sample(5, observation=observation)


def test_the_highest_density_is_not_beyond_the_samples() -> None:
    """A parameter that the features say nothing about: at its bounds a learned density may rise without end."""

    class OfB:
        feature_names, feature_units = ("x",), ("",)

        def run(self, theta, seed):
            return judge(theta[:, 1:] + 0.1 * np.random.default_rng(seed).standard_normal((len(theta), 1)))

    prior = {"a": Uniform(-1, 1), "b": Uniform(-1, 1)}
    model = SNPE("npe", n_simulations=500, density="mixture", diagnose=False).fit(OfB(), prior, [0.3], progress=False)
    highest = model.map().values
    assert abs(highest[0]) < 0.995
    assert highest[1] == pytest.approx(0.3, abs=0.15)


def test_every_round_is_told_where_progress_is_shown(capsys) -> None:
    SNPE(n_rounds=2, n_simulations=N, **QUICK | {"diagnose": False}).fit(Gaussian(), PRIOR, OBSERVATION)
    lines = [line for line in capsys.readouterr().err.splitlines() if "largest weight" in line]
    assert len(lines) == 2

"""The benchmark's tasks and the small models against closed forms, other solvers, and reference posteriors."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import kstest

from antidrome.errors import InputError
from antidrome.mechanism.models import autapse, bimodal_mixture, glm, named_model, sbibm_task, unimodal_mixture
from antidrome.mechanism.models.glm import bernoulli_design, glm_prior_precision, true_filter
from antidrome.mechanism.models.mixtures import unimodal_log_posterior
from antidrome.mechanism.models.sbibm_tasks import SBIBM_TASKS, _distractors

N = 1000


def simulate(name: str, theta: list[float]) -> np.ndarray:
    """(N, k) simulations at one parameter set."""
    batch = sbibm_task(name).simulator.run(np.tile(theta, (N, 1)), seed=1)
    assert batch.valid.all()
    return batch.features


def test_two_moons_lie_on_a_crescent() -> None:
    x = simulate("two_moons", [0.3, 0.5]) - [0.25 - 0.8 / np.sqrt(2), 0.2 / np.sqrt(2)]
    radius, angle = np.hypot(*x.T), np.arctan2(x[:, 1], x[:, 0])
    assert kstest((radius - 0.1) / 0.01, "norm").pvalue > 1e-3
    assert kstest(angle / np.pi + 0.5, "uniform").pvalue > 1e-3


def test_gaussian_linear_has_variance_a_tenth() -> None:
    theta = np.linspace(-0.5, 0.5, 10)
    x = simulate("gaussian_linear", theta)
    assert kstest(((x - theta) / np.sqrt(0.1)).ravel(), "norm").pvalue > 1e-3
    assert sbibm_task("gaussian_linear").prior.coordinates.distributions[0].sd == pytest.approx(np.sqrt(0.1))


def test_mixtures_have_two_widths_or_two_modes() -> None:
    x = simulate("gaussian_mixture", [1.0, 2.0]) - [1.0, 2.0]
    assert np.mean(np.hypot(*x.T) < 0.5) == pytest.approx(0.5 + 0.5 * (1 - np.exp(-0.125)), abs=0.06)
    two = bimodal_mixture().simulator.run(np.full((N, 1), 4.0), seed=0).features
    assert np.mean(two > 0) == pytest.approx(0.5, abs=0.06)
    grid = np.linspace(-10, 10, 20001)[:, None]
    density = np.exp(unimodal_log_posterior(grid, np.zeros(1)))
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1.0, abs=1e-3)
    assert unimodal_mixture(3).simulator.run(np.zeros((2, 3)), 0).features.shape == (2, 3)


def test_slcp_has_the_covariance_that_it_says() -> None:
    theta = [0.7, -2.9, -1.1, 0.9, 0.6]
    x = simulate("slcp", theta).reshape(-1, 2)
    s1, s2, rho = theta[2] ** 2, theta[3] ** 2, np.tanh(theta[4])
    np.testing.assert_allclose(x.mean(axis=0), theta[:2], atol=0.1)
    np.testing.assert_allclose(np.cov(x.T), [[s1**2, rho * s1 * s2], [rho * s1 * s2, s2**2]], atol=0.12)


def test_sir_solves_its_equations() -> None:
    beta, gamma = 0.5, 0.11
    solution = solve_ivp(
        lambda t, s: [-beta * s[0] * s[1], beta * s[0] * s[1] - gamma * s[1]],
        (0, 153),
        [1 - 1e-6, 1e-6],
        t_eval=np.arange(10) * 17.0,
        rtol=1e-9,
        atol=1e-12,
    )
    expected = 1000 * solution.y[1]
    x = simulate("sir", [beta, gamma])
    assert np.array_equal(x, np.round(x))
    share = expected / 1000
    standard_error = np.sqrt(1000 * share * (1 - share) / N) + 1e-3
    assert np.abs((x.mean(axis=0) - expected) / standard_error).max() < 4.5
    np.testing.assert_allclose(x.var(axis=0)[2:6], (1000 * share * (1 - share))[2:6], rtol=0.25)


def test_lotka_volterra_solves_its_equations() -> None:
    for theta in ([0.69, 0.108, 0.89, 0.117], [1.8, 0.15, 0.4, 0.02]):
        a, b, g, d = theta
        solution = solve_ivp(
            lambda t, u, a=a, b=b, g=g, d=d: [a * u[0] - b * u[0] * u[1], -g * u[1] + d * u[0] * u[1]],
            (0, 19),
            [30.0, 1.0],
            t_eval=np.arange(10) * 2.1,
            rtol=1e-10,
            atol=1e-10,
        )
        x = np.log(simulate("lotka_volterra", theta))
        np.testing.assert_allclose(x.mean(axis=0), np.log(solution.y.ravel()), atol=0.02)
        np.testing.assert_allclose(x.std(axis=0), 0.1, rtol=0.15)


def test_glm_spikes_with_the_chance_that_it_says() -> None:
    model = glm(seed=3)
    theta = true_filter()
    x = model.simulator.run(np.tile(theta, (N, 1)), seed=0).features
    design = bernoulli_design(3)
    chance = 1 / (1 + np.exp(-design @ theta))
    sd = np.sqrt((design.T**2 @ (chance * (1 - chance))) / N)
    assert np.abs((x.mean(axis=0) - design.T @ chance) / sd).max() < 4.5
    covariance = model.prior.coordinates.distributions[3].sd ** 2
    assert covariance == pytest.approx(np.linalg.inv(glm_prior_precision())[3, 3])


def test_autapse_fails_where_it_is_unstable() -> None:
    model = autapse()
    theta = np.array([[0.5, 1.0], [0.95, 1.0], [1.5, 1.0], [0.5, -0.5], [1.5, -0.5]])
    batch = model.simulator.run(theta, seed=0)
    assert batch.valid.tolist() == [True, True, False, False, True]
    assert batch.features[0, 0] == pytest.approx(2.0, abs=0.5), "I / (1 - J)"
    assert batch.features[1, 0] == pytest.approx(0.8 * 20, abs=12)
    many = model.simulator.run(model.prior.sample(2000, seed=0), seed=0)
    assert np.mean(~many.valid) == pytest.approx(0.485, abs=0.035)


def test_every_task_by_name() -> None:
    with pytest.raises(InputError, match=r"no task 'two_moon'\. Did you mean 'two_moons'"):
        sbibm_task("two_moon")
    with pytest.raises(InputError, match=r"no model 'autaps'\. Did you mean 'autapse'"):
        named_model("autaps")
    assert named_model("slcp").prior.names == tuple(f"theta_{i}" for i in range(1, 6))


@pytest.mark.data
@pytest.mark.parametrize("task", [name for name in SBIBM_TASKS if name != "sir"])
def test_observations_are_typical_of_the_reference_posteriors(task: str, data_folder) -> None:
    """Simulated at reference posterior samples, features surround the observation; and priors hold the samples."""
    base = task.removesuffix("_raw").removesuffix("_distractors")
    archive = np.load(data_folder / "mechanism" / "sbibm" / f"{base}.npz", allow_pickle=False)
    key = "observation" + task.removeprefix(base)
    model = sbibm_task(task)
    ranks = []
    for observation, samples in zip(archive[key], archive["reference_posterior_samples"], strict=True):
        samples = samples[:N].astype(float)
        assert np.isfinite(model.prior.log_prob(samples)).all()
        x = model.simulator.run(samples, seed=0).features
        assert x.shape[1] == len(observation)
        below = np.mean(x < observation, axis=0)
        ranks.append(np.where(x.std(axis=0) > 0, below + 0.5 * np.mean(x == observation, axis=0), 0.5))
    ranks = np.array(ranks)
    assert ranks.min() > 1e-3 / ranks.size
    assert ranks.max() < 1 - 1e-3 / ranks.size
    assert abs(ranks.mean() - 0.5) < 0.2


@pytest.mark.data
def test_design_and_distractors_are_those_of_the_benchmark(data_folder) -> None:
    folder = data_folder / "mechanism" / "sbibm"
    glm_files, slcp_files = (np.load(folder / f"_{n}_aux.npz") for n in ("bernoulli_glm", "slcp_distractors"))
    np.testing.assert_allclose(bernoulli_design(42), glm_files["design_matrix"], atol=1e-6)
    np.testing.assert_allclose(glm_prior_precision(), glm_files["prior_precision"], atol=1e-9)
    assert np.array_equal(_distractors()[2], slcp_files["permutation_idx"])
    slcp = np.load(folder / "slcp.npz")
    undone = slcp["observation_distractors"][:, np.argsort(_distractors()[2])]
    np.testing.assert_allclose(undone[:, :8], slcp["observation"], rtol=1e-6)

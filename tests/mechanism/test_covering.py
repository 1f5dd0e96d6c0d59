"""Simulations that an earlier fit aimed at its own observation do not distort the fit of another one."""

import dataclasses

import numpy as np
import pytest

from antidrome.errors import InputError
from antidrome.mechanism import SNPE, LogUniform, Normal, Prior, Uniform
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.failures import FailureClassifier
from antidrome.mechanism.priors import Distribution
from antidrome.mechanism.proposals import FromDensity, FromPrior, Mixed, Thinned, Truncated
from antidrome.mechanism.running import Recorded
from antidrome.mechanism.simulate import Simulations, SimulationStore, external_simulations, read_simulations
from antidrome.mechanism.simulate.batch import Failure, judge
from antidrome.mechanism.training import TrainingSettings

PRIOR = Prior({"a": Uniform(-2, 2)})
FEW = {
    "n_simulations": 60,
    "density": MixtureSettings(components=1, hidden=(8,)),
    "training": TrainingSettings(epochs=3, drops=0),
    "diagnose": False,
}


class Noisy:
    """x = θ + noise."""

    feature_names, feature_units = ("x",), ("",)

    def run(self, theta: np.ndarray, seed: int):
        return judge(theta + 0.3 * np.random.default_rng(seed).standard_normal(theta.shape))


def rounds(*log_ratios: np.ndarray | float, covers: tuple[float, ...] | None = None) -> Simulations:
    """Ten simulations of each round, with log p̃ − log p as given."""
    n = 10 * len(log_ratios)
    theta = PRIOR.sample(n, seed=0)
    ratio = np.concatenate([np.broadcast_to(one, 10) for one in log_ratios])
    made = external_simulations(theta, theta, parameter_names=("a",), log_density=PRIOR.log_prob(theta) + ratio)
    told = None if covers is None else np.repeat(covers, 10)
    return dataclasses.replace(made, round=np.repeat(np.arange(len(log_ratios)), 10), covers_prior=told)


SLOPE = np.linspace(-1, 1, 10)


@pytest.mark.parametrize(
    ("simulations", "used"),
    [
        (rounds(0.0, 1.5, 2.0), [0]),
        (rounds(0.0, SLOPE, SLOPE), [0]),
        (rounds(SLOPE, SLOPE), [0]),
        (rounds(SLOPE), [0]),
        (rounds(1.5, 0.0), [1]),
        (rounds(0.0, SLOPE, SLOPE, covers=(1, 1, 0)), [0, 1]),
        (rounds(0.0, SLOPE, SLOPE, covers=(np.nan, np.nan, 1)), [0, 2]),
        (rounds(0.0, 0.0), [0, 1]),
        (rounds(5e-4), [0]),  # rounded in a text table
        (rounds(np.linspace(-5e-4, 5e-4, 10)), [0]),
    ],
)
def test_only_rounds_that_cover_the_prior_are_used(simulations: Simulations, used: list[int]) -> None:
    recorded = Recorded(simulations, PRIOR)
    assert np.unique(recorded.simulations.round).tolist() == used
    assert len(recorded.u) == len(recorded.ratio) == 10 * len(used)
    left_out = len(simulations) - 10 * len(used)
    assert [note.split(" simulations left out")[0] for note in recorded.notes] == (
        [f"{left_out} of {len(simulations)}"] if left_out else []
    )


@pytest.mark.parametrize("simulations", [rounds(1.5), rounds(1.5, 2.0), rounds(SLOPE, covers=(0,))])
def test_simulations_of_a_part_of_the_prior_alone_are_refused(simulations: Simulations) -> None:
    with pytest.raises(InputError, match="from a part of the prior only"):
        Recorded(simulations, PRIOR)


def drawn_from(distribution: Distribution, seed: int = 0, n: int = 500) -> Simulations:
    """Of the only round of a fit with this prior."""
    prior = Prior({"a": distribution})
    theta = prior.sample(n, seed=seed)
    made = external_simulations(theta, theta, parameter_names=("a",), log_density=prior.log_prob(theta))
    return dataclasses.replace(made, covers_prior=np.ones(n))


@pytest.mark.parametrize(
    ("drawn", "wider"),
    [
        (Uniform(-1, 1), Uniform(-5, 5)),
        (Uniform(-1, 1), Uniform(-1.05, 1.05)),
        (LogUniform(0.1, 1), LogUniform(0.1, 100)),
        (LogUniform(0.1, 1), Uniform(0.1, 10)),
    ],
)
def test_what_covers_the_prior_of_one_fit_does_not_cover_a_wider_one(drawn: Distribution, wider: Distribution) -> None:
    """The posterior was that of the narrow prior, and nothing was said."""
    with pytest.raises(InputError, match="from a part of the prior only"):
        Recorded(drawn_from(drawn), Prior({"a": wider}))


@pytest.mark.parametrize(
    ("drawn", "other"),
    [
        (Uniform(-1, 1), Uniform(-1, 1)),
        (Uniform(-4, 4), Normal(0, 1)),
        (Normal(0, 1), Normal(0.3, 0.5)),
        (Uniform(0.1, 10), LogUniform(0.1, 10)),
        (LogUniform(0.1, 10), Uniform(0.1, 10)),
    ],
)
def test_another_prior_that_the_simulations_cover_is_served(drawn: Distribution, other: Distribution) -> None:
    recorded = Recorded(drawn_from(drawn), Prior({"a": other}))
    assert len(recorded.u) == 500
    assert not recorded.notes


def test_rounds_of_the_same_prior_are_believed_what_was_said_of_them() -> None:
    few_heavy = rounds(0.0, np.full(10, 2.0) + SLOPE, covers=(1, 1))
    assert len(Recorded(few_heavy, PRIOR).u) == 20
    with pytest.raises(InputError, match="from a part of the prior only"):
        Recorded(few_heavy.of_round(1), PRIOR)


def test_a_round_of_a_narrower_prior_is_left_out_beside_one_of_this_prior() -> None:
    """Its part would count twice: P(a < 1) was 0.65 in place of 0.5."""
    both = rounds(0.0, np.full(10, np.log(2.0)), covers=(1, 1))
    assert np.unique(Recorded(both, PRIOR).simulations.round).tolist() == [0]


def test_it_is_said_how_much_of_the_prior_a_density_of_ones_own_reaches() -> None:
    nobody_said = dataclasses.replace(drawn_from(LogUniform(0.1, 1)), covers_prior=None)
    (note,) = Recorded(nobody_said, Prior({"a": Uniform(0.1, 10)})).notes
    assert "reach about 7% of the prior" in note


def test_of_a_wider_gaussian_prior_it_is_said_that_the_simulations_may_miss_some() -> None:
    """Few simulations of great weight stand for what others lie beyond."""
    prior, n_told = Prior({"a": Normal(0, 3)}), 0
    for seed in range(10):
        try:
            n_told += "of the prior" in " ".join(Recorded(drawn_from(Normal(0, 1), seed), prior).notes)
        except InputError:
            n_told += 1
    assert n_told == 10


class Anywhere:
    """A density."""

    n_dimensions = 1

    def sample(self, n_samples: int, *, seed: int) -> np.ndarray:
        return np.zeros((n_samples, 1))

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        return np.zeros(len(x))


def test_proposals_with_a_share_of_the_prior_cover_it() -> None:
    density = Anywhere()
    prior, posterior = FromPrior(PRIOR), FromDensity(density, PRIOR)
    region = Truncated(density, PRIOR, 0.0, np.eye(1), np.zeros(1), np.ones(1), 0.0)
    assert prior.covers_prior
    assert not posterior.covers_prior
    assert not region.covers_prior
    for parts in ((posterior, region), (posterior, region, prior)):
        mixed = Mixed(parts, [1.0] * len(parts))
        assert mixed.covers_prior == Thinned(mixed, FailureClassifier({}), 0.0).covers_prior == (len(parts) == 3)


@pytest.mark.slow
def test_a_fit_leaves_out_the_rounds_of_another_fit_and_says_so(tmp_path) -> None:
    """With truncated rounds beside the first, the posterior of another observation was drawn to where they lie."""
    SNPE("tsnpe", n_rounds=2, **FEW).fit(Noisy(), PRIOR, [1.0], checkpoint=tmp_path, progress=False)
    kept = read_simulations(tmp_path / "simulations")
    assert kept.covers_prior is not None
    assert [kept.covers_prior[kept.round == r].mean() for r in range(2)] == [1, 0]
    again = SNPE("npe", **FEW).fit(kept, PRIOR, [-1.0], progress=False)
    assert len(again.simulations_.u) == 60
    assert any("60 of 120 simulations left out" in note for note in again.notes_)


def test_a_store_keeps_it_beside_failures_and_opens_without_it(tmp_path) -> None:
    failure = Failure(1, "exception", "no", "")
    columns = (np.ones((2, 1)), np.ones((2, 1)), np.array([True, False]), np.arange(2))
    with SimulationStore(tmp_path, parameter_names=("a",), feature_names=("x",)) as store:
        store.append(np.arange(2), *columns, failures=[failure])
        assert read_simulations(tmp_path).covers_prior is None
        store.append(np.arange(2), *columns, round_=1, covers_prior=False, failures=[failure])
        store.append(np.arange(2), *columns, round_=2, covers_prior=True)
    read = read_simulations(tmp_path)
    np.testing.assert_array_equal(read.covers_prior, [np.nan, np.nan, 0, 0, 1, 1])
    assert [failed.index for failed in read.failures] == [1, 3]
    assert read.of_round(2).covers_prior.tolist() == [1, 1]

"""What simulations were drawn from, and that some failed, is accounted for once, whatever the method."""

import numpy as np
import pytest

from antidrome.errors import InputError
from antidrome.mechanism import SNPE, Normal, Posterior, Prior, Uniform
from antidrome.mechanism.densities.network import MixtureSettings
from antidrome.mechanism.simulate import external_simulations
from antidrome.mechanism.simulate.batch import judge
from antidrome.mechanism.training import TrainingSettings

N = 2000
SMALL = {
    "density": MixtureSettings(components=3, hidden=(16,)),
    "training": TrainingSettings(epochs=40, batch=200, learning_rate=1e-2, patience=10, drops=1),
    "diagnose": False,
}


@pytest.mark.slow
def test_the_atomic_loss_corrects_for_the_proposal_of_recorded_simulations_once() -> None:
    """Importance weights corrected for it as well: the mean was 0.445 in place of 0.671."""
    rng = np.random.default_rng(0)
    theta = 0.6 + 0.8 * rng.standard_normal((N, 1))
    x = theta + 0.7 * rng.standard_normal((N, 1))
    density = -0.5 * ((theta[:, 0] - 0.6) / 0.8) ** 2 - np.log(0.8 * np.sqrt(2 * np.pi))
    recorded = external_simulations(theta, x, parameter_names=("a",), log_density=density)
    model = SNPE("snpe-c", n_rounds=1, **SMALL).fit(recorded, Prior({"a": Normal(0, 1)}), [1.0], progress=False)
    samples = model.sample(4000).values
    assert [samples.mean(), samples.std()] == pytest.approx([1 / 1.49, 0.7 / np.sqrt(1.49)], abs=0.1)
    assert model.rounds_["effective"].item() == pytest.approx(N)


@pytest.mark.slow
def test_weighted_recorded_simulations_serve_their_own_observation_only() -> None:
    """A narrow proposal says nothing of other observations; one that is the prior does."""
    theta = Prior({"a": Normal(0, 1)}).sample(200, seed=0)
    few = SMALL | {"training": TrainingSettings(epochs=3, drops=0)}

    def posterior(sd: float) -> Posterior:
        density = -0.5 * theta[:, 0] ** 2 - np.log(sd * np.sqrt(2 * np.pi))
        recorded = external_simulations(sd * theta, sd * theta, parameter_names=("a",), log_density=density)
        return SNPE("npe", **few).fit(recorded, {"a": Normal(0, 1)}, [0.3], progress=False).posterior_

    narrow = posterior(0.7)
    assert not narrow.is_amortised
    with pytest.raises(InputError, match="fitted with importance weights to one observation"):
        narrow.sample(5, observation=[2.0])
    assert posterior(1.0).is_amortised


class Failing:
    """x = θ + noise, where θ is no higher than `above`."""

    feature_names, feature_units = ("x",), ("",)

    def __init__(self, above: float, noise: float) -> None:
        self.above, self.noise = above, noise

    def run(self, theta: np.ndarray, seed: int):
        x = theta + self.noise * np.random.default_rng(seed).standard_normal(theta.shape)
        return judge(np.where(theta > self.above, np.nan, x))


def test_the_atomic_loss_knows_that_simulations_fail() -> None:
    """Its atoms were of simulations that succeeded: 46 % of the posterior lay where all fail."""
    model = SNPE("snpe-c", n_rounds=1, n_simulations=N, **SMALL)
    model.fit(Failing(0.5, 1.5), {"a": Uniform(-3, 3)}, [0.8], progress=False)
    samples = model.sample(4000).values
    assert (samples > 0.5).mean() < 0.1
    theta = np.linspace(-3, 0.5, 1000)
    likelihood = np.exp(-0.5 * ((0.8 - theta) / 1.5) ** 2)
    assert samples.mean() == pytest.approx((theta * likelihood).sum() / likelihood.sum(), abs=0.25)


@pytest.mark.slow
def test_rounds_without_weights_are_not_thinned_by_failures() -> None:
    """The second round was, and nothing made up for it: failures entered the posterior twice."""
    few = SMALL | {"training": TrainingSettings(epochs=3, drops=0)}
    model = SNPE("npe", n_rounds=2, n_simulations=200, **few)
    model.fit(Failing(0.0, 0.1), {"a": Uniform(-1, 1)}, [-0.5], progress=False)
    assert model.rounds_["failed"].values.min() > 70
    assert not model.simulations_.log_ratios.any()

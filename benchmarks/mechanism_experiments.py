"""The experiments of Lueckmann et al. (2017), each a function of its size and seed that returns plain numbers."""

from __future__ import annotations

import dataclasses
from typing import Any
from unittest.mock import patch

import numpy as np

Row = dict[str, Any]
MIXTURE = {"first_components": 1, "hidden": (20,), "bayesian": True}
GLM = {"components": 1, "hidden": (50,), "bayesian": True}
GLM_TRAINING = {"epochs": 300, "batch": 100, "learning_rate": 1e-3, "clip": 0.1, "validation": 0.0}
CELL = {"components": 2, "hidden": (50,), "bayesian": True}
"""Densities and trainings of the experiments, near those of the paper; a user who names none has others."""


def mixture_rounds(n_seeds: int, n_rounds: int, simulations: int) -> list[Row]:
    """Runs that are completed, and their divergence from the truth: ours, and proposals divided out afterwards."""
    rows = []
    for rounds in range(1, n_rounds + 1):
        for method, run in (("snpe-b", _mixture_by_weights), ("division", _mixture_by_division)):
            found = [run(rounds, simulations, seed) for seed in range(n_seeds)]
            done = [value for value in found if value is not None]
            rows.append(
                {
                    "rounds": rounds,
                    "method": method,
                    "completed": len(done) / n_seeds,
                    "divergence": float(np.median(done)) if done else float("nan"),
                }
            )
    return rows


def _mixture_settings(components: int) -> Any:
    from antidrome.mechanism import MixtureSettings

    return MixtureSettings(components=components, **MIXTURE)


def _divergence(log_density: np.ndarray, grid: np.ndarray) -> float:
    """KL(truth ‖ q) on a grid, for the unimodal mixture observed at 0."""
    from antidrome.mechanism.models.mixtures import unimodal_log_posterior

    truth = unimodal_log_posterior(grid, np.zeros(1))
    step = grid[1, 0] - grid[0, 0]
    return float(np.sum(np.exp(truth) * (truth - np.maximum(log_density, -700.0))) * step)


def _mixture_by_weights(rounds: int, simulations: int, seed: int) -> float | None:
    from antidrome.errors import AntidromeError
    from antidrome.mechanism import SNPE
    from antidrome.mechanism.models import unimodal_mixture

    model = unimodal_mixture()
    sizes = [simulations] * (rounds - 1) + [2 * simulations]
    settings = {"n_rounds": rounds, "n_simulations": sizes, "density": _mixture_settings(2), "diagnose": False}
    try:
        fitted = SNPE("snpe-b", seed=seed, **settings).fit(model.simulator, model.prior, [0.0], progress=False)
    except AntidromeError:
        return None
    grid = np.linspace(-9.9, 9.9, 19801)[:, None]
    return _divergence(fitted.log_prob(grid), grid)


def _mixture_by_division(rounds: int, simulations: int, seed: int) -> float | None:
    """Train on the proposal's simulations without weights, then divide by the proposal (Papamakarios & Murray 2016)."""
    from antidrome.core.seeds import fold_in
    from antidrome.mechanism import SNPE
    from antidrome.mechanism.densities.gaussian_mixture import GaussianMixture
    from antidrome.mechanism.models import unimodal_mixture
    from antidrome.mechanism.simulate import external_simulations

    model = unimodal_mixture()
    prior = GaussianMixture.from_covariances(np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1)))
    proposal = prior
    for r in range(rounds):
        last = r == rounds - 1
        n = 2 * simulations if last else simulations
        theta = model.prior.from_unconstrained(proposal.sample(n, seed=fold_in(seed, f"division/{r}")))
        batch = model.simulator.run(theta, fold_in(seed, f"simulate/{r}"))
        done = external_simulations(theta, batch.features, parameter_names=model.prior.names)
        settings = {"density": _mixture_settings(2 if last else 1), "diagnose": False, "seed": seed}
        fitted = SNPE("npe", **settings).fit(done, model.prior, [0.0], progress=False)
        divided = _divide(fitted.posterior_.density().density, proposal)
        if divided is None:
            return None
        proposal = divided
    grid = np.linspace(-9.9, 9.9, 19801)[:, None]
    u = model.prior.to_unconstrained(grid)
    return _divergence(proposal.log_prob(u) - model.prior.log_abs_det_jacobian(u), grid)


def _divide(density: Any, proposal: Any) -> Any | None:
    """density · N(0, 1) / proposal in one dimension; None where that is no density."""
    from antidrome.mechanism.densities.gaussian_mixture import GaussianMixture

    if len(proposal.weights) > 1:
        return None
    mean, precision = density.means[:, 0], 1 / density.covariances[:, 0, 0]
    mean_p, precision_p = proposal.means[0, 0], 1 / proposal.covariances[0, 0, 0]
    new = precision + 1 - precision_p
    if (new <= 0).any():
        return None
    new_mean = (precision * mean - precision_p * mean_p) / new
    exponent = 0.5 * (new * new_mean**2 - precision * mean**2 + precision_p * mean_p**2)
    log_weights = density.log_weights + 0.5 * np.log(precision / new) + exponent
    weights = np.exp(log_weights - log_weights.max())
    return GaussianMixture.from_covariances(weights / weights.sum(), new_mean[:, None], (1 / new)[:, None, None])


def glm_against_gibbs(rounds: int, simulations: int, abc_simulations: int, n_samples: int, seed: int) -> Row:
    """Means and covariances against Pólya–Gamma Gibbs, for ours and for SMC-ABC with a larger budget."""
    from antidrome.mechanism import SNPE, MixtureSettings, TrainingSettings
    from antidrome.mechanism.models.glm import bernoulli_design, glm, glm_prior_precision
    from antidrome.mechanism.samplers import glm_gibbs, smc_abc

    model, design = glm(seed=seed + 1), bernoulli_design(seed + 1)
    spikes = _spikes(design, seed)
    observed = design.T @ spikes
    gibbs = glm_gibbs(design, spikes, glm_prior_precision(), n_samples=n_samples, seed=seed, progress=False)
    fitted = SNPE(
        "snpe-b",
        n_rounds=rounds,
        n_simulations=simulations,
        density=MixtureSettings(**GLM),
        training=TrainingSettings(**GLM_TRAINING),
        diagnose=False,
        seed=seed,
    )
    ours = fitted.fit(model.simulator, model.prior, observed, progress=False).sample(n_samples, seed=seed).values
    settings = {"n_particles": 500, "max_simulations": abc_simulations, "seed": seed, "progress": False}
    abc = smc_abc(model.simulator, model.prior, observed, **settings)
    return {
        "simulations": rounds * simulations,
        "smc_abc_simulations": abc.n_simulations,
        "ours": _moments_beside(ours, gibbs),
        "smc_abc": _moments_beside(abc.resampled(n_samples, seed), gibbs),
        "names": list(model.prior.names),
        "gibbs_mean": gibbs.mean(axis=0).tolist(),
        "ours_mean": ours.mean(axis=0).tolist(),
    }


def _moments_beside(samples: np.ndarray, reference: np.ndarray) -> Row:
    """Distance of means in standard deviations, ratio of standard deviations, distance of correlations."""
    sd = reference.std(axis=0)
    shift = np.abs(samples.mean(axis=0) - reference.mean(axis=0)) / sd
    correlation = np.corrcoef(samples.T) - np.corrcoef(reference.T)
    return {
        "mean_error_sd": float(shift.mean()),
        "largest_mean_error_sd": float(shift.max()),
        "sd_ratio": float(np.mean(samples.std(axis=0) / sd)),
        "correlation_error": float(np.abs(correlation).mean()),
    }


def autapse_failures(rounds: int, simulations: int, seed: int) -> Row:
    """Share of failing simulations in each round, with the classifier of failures and without."""
    from antidrome.mechanism import SNPE
    from antidrome.mechanism.models import autapse
    from antidrome.mechanism.models.autapse import TRUE_VALUES

    model = autapse()
    observed = model.simulator.run(np.array([list(TRUE_VALUES.values())]), seed).features[0]

    def shares() -> list[float]:
        fitted = SNPE("snpe-b", n_rounds=rounds, n_simulations=simulations, diagnose=False, seed=seed)
        fitted.fit(model.simulator, model.prior, observed, progress=False)
        return [report.failed / report.simulations for report in fitted.posterior_.reports]

    with_classifier = shares()
    with patch("antidrome.mechanism.snpe.train_failure_classifier", lambda *_, **__: None):
        without = shares()
    return {"with_classifier": with_classifier, "without": without}


def hodgkin_huxley(rounds: int, simulations: int, seed: int) -> Row:
    """Twelve parameters: is the truth within the posterior, and do predictions have the features."""
    from antidrome.mechanism import SNPE, MixtureSettings
    from antidrome.mechanism.models import named_model
    from antidrome.mechanism.models.hodgkin_huxley import TWELVE_TRUE_VALUES

    model = named_model("hodgkin_huxley_12")
    truth = np.array(list(TWELVE_TRUE_VALUES.values()))
    observed = model.simulator.run(truth[None], seed).features[0]
    fitted = SNPE(
        "snpe-b",
        n_rounds=rounds,
        n_simulations=simulations,
        density=MixtureSettings(**CELL),
        diagnose=False,
        seed=seed,
    ).fit(model.simulator, model.prior, observed, progress=False)
    samples = fitted.sample(2000, seed=seed).values
    u, u_true = (model.prior.to_unconstrained(x) for x in (samples, truth[None]))
    low, high = np.quantile(samples, [0.025, 0.975], axis=0)
    prior = model.prior.sample(2000, seed=seed)
    density = fitted.posterior_.density().density
    predicted = model.simulator.run(samples[:200], seed).features
    before = model.simulator.run(prior[:200], seed).features
    scale = np.nanmedian(np.abs(before - np.nanmedian(before, axis=0)), axis=0)
    return {
        "truth_in_95_region": bool(density.log_prob(u_true)[0] >= np.quantile(density.log_prob(u), 0.05)),
        "marginals_with_truth": int(np.sum((truth >= low) & (truth <= high))),
        "posterior_to_prior_sd": dict(
            zip(model.prior.names, (samples.std(axis=0) / prior.std(axis=0)).tolist(), strict=True)
        ),
        "feature_error_posterior": float(np.nanmedian(np.abs(predicted - observed) / scale)),
        "feature_error_prior": float(np.nanmedian(np.abs(before - observed) / scale)),
        "marginals_by_round": [
            {"round": i + 1, **_marginals_beside(posterior.sample(2000, seed=seed).values, truth, model.prior.names)}
            for i, posterior in enumerate(fitted.posteriors_)
        ],
        "rounds": [dataclasses.asdict(report) for report in fitted.posterior_.reports],
    }


def _marginals_beside(samples: np.ndarray, truth: np.ndarray, names: tuple[str, ...]) -> Row:
    """Median and central 95 % of each parameter, in units of its true value."""
    low, median, high = np.quantile(samples / truth, [0.025, 0.5, 0.975], axis=0)
    columns = {"low_95": low, "median": median, "high_95": high}
    return {key: dict(zip(names, values.tolist(), strict=True)) for key, values in columns.items()}


class MissingAtRandom:
    """A simulator whose features go missing, each with the same chance."""

    def __init__(self, simulator: Any, share: float) -> None:
        self.simulator, self.share = simulator, share

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Of the simulator."""
        return self.simulator.feature_names

    @property
    def feature_units(self) -> tuple[str, ...]:
        """Of the simulator."""
        return self.simulator.feature_units

    def prepare(self, theta: np.ndarray) -> None:
        """Of the simulator."""
        self.simulator.prepare(theta)

    def run(self, theta: np.ndarray, seed: int) -> Any:
        """Simulate, then lose features."""
        from antidrome.mechanism.simulate.batch import judge

        features = self.simulator.run(theta, seed).features
        lost = np.random.default_rng(seed).random(features.shape) < self.share
        return judge(np.where(lost, np.nan, features))


def missing_features(simulations: int, n_samples: int, seed: int) -> Row:
    """The posterior of the GLM with 40 % of the features missing in simulations, beside the one with none missing.

    The observation has all features, so its posterior is the same whatever simulations lack. The calibration kernel
    spends the network on simulations that are, and have gaps, like it. Pólya–Gamma Gibbs gives the exact one.
    """
    from antidrome.mechanism import SNPE, KernelSettings, MixtureSettings
    from antidrome.mechanism.models.glm import bernoulli_design, glm, glm_prior_precision
    from antidrome.mechanism.samplers import glm_gibbs

    model, design = glm(seed=seed + 1), bernoulli_design(seed + 1)
    spikes = _spikes(design, seed)
    observed = design.T @ spikes

    def samples(share: float) -> np.ndarray:
        fitted = SNPE(
            "npe",
            n_simulations=simulations,
            density=MixtureSettings(components=1, hidden=(50, 50)),
            kernel=KernelSettings(share=0.3),
            diagnose=False,
            seed=seed,
        ).fit(MissingAtRandom(model.simulator, share), model.prior, observed, progress=False)
        return fitted.sample(n_samples, seed=seed).values

    gibbs = glm_gibbs(design, spikes, glm_prior_precision(), n_samples=n_samples, seed=seed, progress=False)
    some, none = samples(0.4), samples(0.0)
    return {
        **_moments_beside(some, none),
        "missing_against_exact": _moments_beside(some, gibbs),
        "none_missing_against_exact": _moments_beside(none, gibbs),
    }


def _spikes(design: np.ndarray, seed: int) -> np.ndarray:
    """Spikes (bins,) of the GLM with the paper's true filter."""
    from antidrome.mechanism.models.glm import true_filter

    draw = np.random.default_rng(seed)
    return (draw.random(len(design)) < 1 / (1 + np.exp(-design @ true_filter()))).astype(float)


def learned_features(simulations: int, durations_ms: tuple[float, ...], seed: int) -> list[Row]:
    """Posterior widths from features that a recurrent or a convolutional network learns of longer and longer traces.

    Both networks see the voltage in steps of 2 ms. In steps of 0.4 ms the convolutional one makes no more of 240 ms
    than of 60: it learns 10,000 simulations by heart.
    """
    import jax.numpy as jnp

    from antidrome.mechanism import SNPE, MixtureSettings, TraceFeatures, TrainingSettings
    from antidrome.mechanism.models import noise_stimulus
    from antidrome.mechanism.models.hodgkin_huxley import HodgkinHuxley, eight_parameter_prior
    from antidrome.mechanism.simulate.batch import judge

    rows = []
    for duration in durations_ms:
        stimulus = noise_stimulus(duration_ms=duration, seed=seed)
        model, prior, every = HodgkinHuxley(stimulus), eight_parameter_prior(), round(0.4 / stimulus.dt_ms)
        current = stimulus.current_ua_cm2[::every]

        class Traces:
            feature_names = tuple(f"{what}[{i}]" for i in range(len(current)) for what in ("v", "i"))
            feature_units = ("mV/100", "µA/cm²/10") * len(current)

            def run(self, theta, seed, model=model, current=current, every=every):
                v = model.voltage(theta, seed, every=every).values / 100
                both = np.stack([v, np.broadcast_to(current / 10, v.shape)], axis=2)
                return judge(np.asarray(jnp.asarray(both.reshape(len(v), -1)), np.float64))

        truth = model.defaults
        observed = Traces().run(truth[None], seed).features[0]
        for kind, epochs, rate in (("gru", 120, 5e-3), ("convolution", 100, 2e-3)):
            fitted = SNPE(
                "npe",
                n_simulations=simulations,
                density=MixtureSettings(components=1, hidden=(50, 50)),
                training=TrainingSettings(epochs=epochs, batch=100, learning_rate=rate),
                trace=TraceFeatures(kind=kind, steps=len(current), channels=2, units=25, downsample=5),
                diagnose=False,
                seed=seed,
            ).fit(Traces(), prior, observed, progress=False)
            u = prior.to_unconstrained(fitted.sample(2000, seed=seed).values)
            z = (prior.to_unconstrained(truth[None])[0] - u.mean(axis=0)) / u.std(axis=0)
            width, farthest = float(u.std(axis=0).mean()), float(np.abs(z).max())
            rows.append({"duration_ms": duration, "features": kind, "mean_sd": width, "largest_z": farthest})
    return rows

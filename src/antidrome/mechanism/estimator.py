"""`SNPE`: a simulator, a prior and a measurement in; the posterior over the simulator's parameters out."""

from __future__ import annotations

import dataclasses
import numbers
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from antidrome.core.compilation import enable_compilation_cache
from antidrome.core.estimator import Estimator
from antidrome.core.seeds import check_seed
from antidrome.errors import InputError, ModelFileError
from antidrome.mechanism.densities.embedding import TraceFeatures
from antidrome.mechanism.densities.network import DensitySettings, FlowSettings, MixtureSettings
from antidrome.mechanism.fitting import FitSettings, fit_posterior
from antidrome.mechanism.plans import Plan, plan_for
from antidrome.mechanism.posterior import Posterior
from antidrome.mechanism.priors import as_prior
from antidrome.mechanism.rounds import RoundReport
from antidrome.mechanism.training import TrainingSettings
from antidrome.mechanism.views import ParameterDensity
from antidrome.mechanism.weights import KernelSettings
from antidrome.recordings.arguments import counted

_KINDS: tuple[tuple[str, Any, str], ...] = (
    ("n_rounds", numbers.Integral, "a whole number"),
    ("n_networks", numbers.Integral, "a whole number"),
    ("n_weight_samples", numbers.Integral, "a whole number"),
    ("n_predictive", numbers.Integral, "a whole number"),
    ("defensive", numbers.Real, "a share, 0 to 1"),
    ("density", (MixtureSettings, FlowSettings, str), "'flow', 'mixture', or their settings"),
    ("kernel", KernelSettings, "KernelSettings(…)"),
    ("training", TrainingSettings, "TrainingSettings(…)"),
    ("trace", TraceFeatures, "TraceFeatures(…)"),
)
"""What settings that are not None have to be."""


class SNPE(Estimator):
    """Sequential neural posterior estimation.

    Parameters
    ----------
    method
        "default": proposals are the prior truncated to where the posterior has its mass, all simulations there are
        re-used with weights that hardly differ, an ensemble of spline flows learns from them. "snpe-b": the paper's
        importance weights, round by round, with Bayesian weights. "weighted": its robust form, with weights against
        the mixture of all rounds' proposals, defensive mixing and an adaptive calibration kernel. "tsnpe": as the
        default, with one network. "snpe-c": the atomic loss. "npe": one round, for all observations at once.
    n_rounds
        Rounds of simulating and training; by default the method's.
    n_simulations
        Simulations a round, or one number for each round.
    density
        "flow", "mixture", `FlowSettings` or `MixtureSettings`; by default the method's.
    kernel, training, n_networks, defensive
        Replace the method's calibration kernel, training, size of the ensemble, share of the prior in proposals.
    trace
        Learn features from traces (`TraceFeatures`).
    missing
        What a gap in the observation means: "informative", as simulations have it too (no spike, so no spike shape);
        "unrecorded", the feature was not measured and is hidden from the network; "auto" tells by whether any
        simulation lacks it.
    model_error
        Standard deviation of an error that is added to every simulated feature, as a share of the feature's spread over
        simulations from the prior: what the model is not expected to reproduce (Wilkinson 2013). 0 believes in the
        model to the last digit; for a model of recorded cells 0.02 is a good start (`RecordedCell.model_error`).
    n_weight_samples
        Average predictions over draws of Bayesian weights; 0 uses their means, as the paper does. Ranks, coverage and
        TARP of `diagnosis_` are of the mean weights in any case.
    diagnose
        Judge the posterior at the end of a fit (`diagnosis_`).
    n_predictive
        Simulations at posterior samples for that, besides those of the rounds; 0 for none. With fewer than 200 a
        measured feature that none of them reaches is not yet called unlikely (p < 0.01).
    seed
        Of everything that is random.

    References
    ----------
    Lueckmann, Gonçalves, Bassetto, Öcal, Nonnenmacher & Macke (2017), Flexible statistical inference for mechanistic
    models of neural dynamics, Advances in Neural Information Processing Systems 30.

    Wilkinson (2013), Approximate Bayesian computation (ABC) gives exact results under the assumption of model error,
    Statistical Applications in Genetics and Molecular Biology 12.

    Examples
    --------
    >>> from antidrome.mechanism import MixtureSettings, SNPE, TrainingSettings, Uniform
    >>> def simulator(a, rng):
    ...     return {"x": a + 0.1 * rng.standard_normal()}
    >>> small = {"density": MixtureSettings(components=1, hidden=(8,)), "training": TrainingSettings(epochs=20)}
    >>> model = SNPE("npe", n_simulations=200, diagnose=False, **small)  # leave `small` out for a real fit
    >>> posterior = model.fit(simulator, {"a": Uniform(-1, 1)}, {"x": 0.3}, progress=False).posterior_
    >>> dict(posterior.sample(50).sizes), 0 < float(posterior.mean().sel(parameter="a")) < 0.6
    ({'sample': 50, 'parameter': 1}, True)
    """

    def __init__(
        self,
        method: str = "default",
        *,
        n_rounds: int | None = None,
        n_simulations: int | Sequence[int] = 1000,
        density: str | DensitySettings | None = None,
        kernel: KernelSettings | None = None,
        training: TrainingSettings | None = None,
        n_networks: int | None = None,
        defensive: float | None = None,
        trace: TraceFeatures | None = None,
        missing: str = "auto",
        model_error: float = 0.0,
        n_weight_samples: int = 0,
        diagnose: bool = True,
        n_predictive: int = 200,
        seed: int = 0,
    ) -> None:
        self.method = method
        self.n_rounds = n_rounds
        self.n_simulations = n_simulations
        self.density = density
        self.kernel = kernel
        self.training = training
        self.n_networks = n_networks
        self.defensive = defensive
        self.trace = trace
        self.missing = missing
        self.model_error = model_error
        self.n_weight_samples = n_weight_samples
        self.diagnose = diagnose
        self.n_predictive = n_predictive
        self.seed = seed

    def fit(
        self,
        simulator: Any,
        prior: Any,
        observation: Any,
        *,
        checkpoint: str | Path | None = None,
        progress: bool = True,
        on_round: Callable[[str], None] | None = None,
    ) -> SNPE:
        """Run all rounds.

        Parameters
        ----------
        simulator
            Any Python callable (see `antidrome.mechanism.simulate.as_simulator`), a JAX one, or a simulator object; or
            `Simulations` that are there already, for a single round.
        prior
            `Prior`, a mapping of names to distributions, or a sequence of distributions.
        observation
            Features (k,), a mapping of feature names, or a DataArray; NaN where missing.
        checkpoint
            Folder in which every finished simulation and every trained round is kept, and from which the same call
            goes on after an interruption, to the same result. Another simulator does not: it is known by its source, by
            the arguments of a `functools.partial`, and, of an object, by its ``identity_settings`` (a mapping), or
            without these by its public attributes (numbers, text, arrays, paths, dataclasses of such).
        progress
            Show a progress bar.
        on_round
            Called with a line of figures (effective sample size, largest weight, …) after each round; by default, where
            progress is shown, it is written to standard error.

        Returns
        -------
        self, with `posterior_`, `posteriors_` (after each round; those before the last serve as proposals and are
        trained briefly), `rounds_` (Dataset over rounds), `simulations_`, `failures_`, `curves_`, `diagnosis_` (None if
        too few simulations can be judged by), `predicted_` (features of simulations at the posterior, with any
        `model_error`), `notes_`.

        Raises
        ------
        InputError
            Settings, prior, simulator and observation that do not fit together.
        ResumeError
            The checkpoint belongs to another fit.
        TrainingError
            Too few simulations succeeded.
        """
        plan = self._plan()
        settings = FitSettings(
            method=self.method,
            plan=plan,
            n_simulations=self._simulations(plan.n_rounds),
            trace=self.trace,
            missing=self.missing,
            model_error=float(self.model_error),
            n_weight_samples=int(self.n_weight_samples),
            diagnose=bool(self.diagnose),
            n_predictive=int(self.n_predictive),
            seed=check_seed(self.seed),
        )
        enable_compilation_cache()
        result = fit_posterior(
            simulator,
            as_prior(prior),
            observation,
            settings,
            checkpoint=None if checkpoint is None else Path(checkpoint),
            progress=progress,
            on_round=on_round or (_write_line if progress else None),
        )
        self.posteriors_, self.posterior_ = result.posteriors, result.posteriors[-1]
        self.simulations_, self.predicted_ = result.progress.simulations, result.predicted
        self.rounds_, self.failures_ = _table(self.posterior_.reports), result.failures
        self.diagnosis_ = result.diagnosis
        self.curves_, self.notes_ = tuple(result.progress.curves), self.posterior_.notes
        return self

    def sample(self, n_samples: int = 1000, *, seed: int = 0) -> xr.DataArray:
        """Draw `n_samples` parameter sets from the posterior, (sample, parameter).

        Where one fit serves all observations (method "npe"), ``posterior_.sample(observation=…)`` is that of another.
        """
        return self._fitted().sample(n_samples, seed=seed)

    def log_prob(self, theta: ArrayLike | Mapping[str, ArrayLike]) -> np.ndarray:
        """Log posterior density of parameter sets (n, parameter), or values by name, (n,); −∞ outside the support."""
        return self._fitted().log_prob(theta)

    def map(self) -> xr.DataArray:
        """The parameter set of highest posterior density."""
        return self._fitted().map()

    def marginal(self, names: str | Sequence[str]) -> ParameterDensity:
        """The posterior of some parameters alone."""
        return self._fitted().marginal(names)

    def conditional(self, values: Mapping[str, float]) -> ParameterDensity:
        """The posterior of the other parameters, given values of some."""
        return self._fitted().conditional(values)

    def to_arviz(self, n_samples: int = 4000, *, seed: int = 0) -> Any:
        """The posterior with prior, predictions of both, observed data and sample statistics, for ArviZ.

        `prior` and `prior_predictive` are the first round, NaN where a simulation failed, so that draws go together;
        where that did not come from the prior, `prior` is drawn anew and stands alone.
        """
        from antidrome.mechanism.arviz import arviz_groups, to_arviz

        posterior, simulated = self._fitted(), None
        if hasattr(self, "simulations_"):
            first = self.simulations_.round == 0
            if not self.simulations_.log_ratios[first, 0].any():
                theta = posterior.prior.from_unconstrained(self.simulations_.u[first])
                valid = self.simulations_.valid[first, None]
                simulated = (theta, np.where(valid, self.simulations_.features[first], np.nan))
        predicted = getattr(self, "predicted_", None)
        return to_arviz(arviz_groups(posterior, n_samples, seed, simulated=simulated, predicted=predicted))

    def save(self, path: str | Path) -> None:
        """Write posterior and settings as one `.safetensors` file; `load` or `Posterior.load` opens it.

        Simulator, simulations and diagnosis are no part of it: `fit` keeps the simulations in its checkpoint.
        """
        dataclasses.replace(self._fitted(), settings=self.get_params(deep=False)).save(path)

    @classmethod
    def load(cls, path: str | Path) -> SNPE:
        """An estimator with the posterior and the settings of a file; of an older one, those that it tells.

        Raises
        ------
        ModelFileError
            No such file, damaged, or not a posterior.
        """
        posterior = Posterior.load(path)
        settings = _told_by(posterior) if posterior.settings is None else posterior.settings
        unknown = set(settings) - set(cls().get_params(deep=False))
        if unknown:
            raise ModelFileError(f"{path}: this version has no setting {', '.join(sorted(unknown))}.")
        estimator = cls(**settings)
        estimator.posterior_, estimator.notes_ = posterior, posterior.notes
        try:
            estimator.rounds_ = _table(posterior.reports)
        except ValueError as error:
            raise ModelFileError(f"{path}: the file is damaged ({error}).") from error
        return estimator

    @property
    def citations_(self) -> list[str]:
        """The works behind the method."""
        return list(self._fitted().citations)

    def _fitted(self) -> Posterior:
        check_is_fitted(self, "posterior_")
        return self.posterior_

    def _plan(self) -> Plan:
        named = {"flow": FlowSettings(), "mixture": MixtureSettings()}
        density = self.density
        if isinstance(density, str):
            if density not in named:
                raise InputError(f"density is {density!r}; expected 'flow', 'mixture', or their settings.")
            density = named[density]
        if self.missing not in ("auto", "informative", "unrecorded"):
            raise InputError(f"missing is {self.missing!r}; expected 'auto', 'informative' or 'unrecorded'.")
        if not isinstance(self.model_error, numbers.Real) or not 0 <= self.model_error < 1:
            raise InputError(f"model_error is {self.model_error!r}; expected a share of the features' spread, 0 to 1.")
        for name, kinds, expected in _KINDS:
            value = getattr(self, name)
            if value is not None and not isinstance(value, kinds):
                raise InputError(f"{name} is {value!r}; expected {expected}.")
        for name in ("n_weight_samples", "n_predictive"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} is {getattr(self, name)}; expected 0 or more.")
        return plan_for(
            self.method,
            n_rounds=None if self.n_rounds is None else int(self.n_rounds),
            density=density,
            kernel=self.kernel,
            training=self.training,
            n_networks=None if self.n_networks is None else int(self.n_networks),
            defensive=None if self.defensive is None else float(self.defensive),
        )

    def _simulations(self, rounds: int) -> tuple[int, ...]:
        given = np.asarray(self.n_simulations)
        whole = given.dtype.kind in "iuf" and bool(np.all(np.isfinite(given) & (given == np.floor(given))))
        if not whole or given.shape not in ((), (rounds,)) or given.min() < 10:
            raise InputError(
                f"n_simulations is {self.n_simulations!r} for {counted(rounds, 'round')}; expected one whole number, or"
                " one for each round, each at least 10."
            )
        return tuple(int(n) for n in np.broadcast_to(given, rounds))


def _told_by(posterior: Posterior) -> dict[str, Any]:
    """Settings of a fit, as far as its posterior tells them."""
    return {
        "method": posterior.method,
        "n_rounds": max(1, len(posterior.reports)),
        "n_simulations": tuple(r.simulations for r in posterior.reports) or 1000,
        "density": posterior.architecture.density,
        "n_networks": len(posterior.trained.networks),
        "trace": posterior.architecture.trace,
        "missing": posterior.missing,
        "model_error": posterior.model_error,
        "n_weight_samples": posterior.n_weight_samples,
        "seed": posterior.seed,
    }


def _write_line(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _table(reports: Sequence[RoundReport]) -> xr.Dataset:
    """The figures of all rounds, one variable each over the dimension round."""
    names = [f.name for f in dataclasses.fields(RoundReport) if f.name != "round"]
    columns = {}
    for name in names:
        values = [getattr(report, name) for report in reports]
        units = "s" if name.endswith("_s") else "nats" if name == "loss" else "1"
        columns[name] = ("round", np.array([np.nan if v is None else v for v in values]), {"units": units})
    return xr.Dataset(columns, {"round": [report.round for report in reports]})

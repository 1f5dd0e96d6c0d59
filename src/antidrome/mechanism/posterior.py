"""The posterior of a fit: samples, densities, marginals, conditionals, in the parameters' own units; one file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from antidrome.core.estimator import Drawn
from antidrome.core.hashing import hash_arrays
from antidrome.core.model_files import load_model, save_model
from antidrome.core.seeds import fold_in
from antidrome.core.whole import whole_number
from antidrome.errors import InputError, ModelFileError
from antidrome.mechanism.densities.network import FlowSettings
from antidrome.mechanism.densities.trained import TrainedDensity
from antidrome.mechanism.observations import visible
from antidrome.mechanism.plans import CITATIONS, FLOW_WORK
from antidrome.mechanism.priors import Prior
from antidrome.mechanism.rounds import RoundReport
from antidrome.mechanism.simulate.outputs import as_observation
from antidrome.mechanism.snapshots import (
    Architecture,
    network_arrays,
    network_from_arrays,
    scaling_arrays,
    scaling_from_arrays,
    settings_from_dict,
    settings_to_dict,
)
from antidrome.mechanism.views import ParameterDensity

FILE_CLASS = "MechanismPosterior"


@dataclasses.dataclass(frozen=True)
class Posterior(Drawn):
    """p(θ | x_o), as learned.

    Parameters
    ----------
    trained
        The conditional density.
    architecture
        Of its networks.
    prior
        Of the parameters.
    observation
        Features (k,), NaN where missing.
    feature_names, feature_units
        Of the features.
    unrecorded
        Features (k,) hidden from the network, because they were never measured.
    gaps
        Features (k,) that some simulation lacked, so that the network knows what to make of it; None if not known.
    method
        How it was fitted.
    seed
        Of the fit.
    n_weight_samples
        Draws of Bayesian weights that predictions are averaged over; 0: mean weights.
    missing, model_error
        What a gap in the observation meant, and the error that the model was taken to have (see `SNPE`).
    reports
        Figures of the rounds.
    notes
        What was left out, hidden, or looks odd.
    settings
        Arguments of the estimator that saved it; None where none did, or its file is older than that.
    """

    trained: TrainedDensity
    architecture: Architecture
    prior: Prior
    observation: np.ndarray
    feature_names: tuple[str, ...]
    feature_units: tuple[str, ...] = ()
    unrecorded: np.ndarray | None = None
    gaps: np.ndarray | None = None
    method: str = "default"
    seed: int = 0
    n_weight_samples: int = 0
    missing: str = "auto"
    model_error: float = 0.0
    reports: tuple[RoundReport, ...] = ()
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters."""
        return self.prior.names

    @property
    def citations(self) -> tuple[str, ...]:
        """The works behind the method, and behind spline flows where the density is one."""
        works = tuple(work for work in CITATIONS.get(self.method, ()) if work != FLOW_WORK)
        return (*works, FLOW_WORK) if isinstance(self.architecture.density, FlowSettings) else works

    @property
    def is_amortised(self) -> bool:
        """Whether other observations can be asked for: one round, in which all simulations counted alike.

        A calibration kernel spends the network on the observation's neighbourhood; importance weights tell of
        simulations that lie where a proposal was.
        """
        alike = all(report.bandwidth is None and not report.weighted for report in self.reports)
        return len(self.reports) <= 1 and alike

    def visible(self, features: np.ndarray) -> np.ndarray:
        """Features (n, k) or (k,) without those that were not measured."""
        return visible(features, self.unrecorded)

    def density(self, observation: Any = None) -> ParameterDensity:
        """The density at the observation, or, for a single-round fit, at another one (as in `SNPE.fit`).

        Raises
        ------
        InputError
            Another observation for a fit of several rounds, with a calibration kernel or with importance weights, which
            is only good near its own; one with other features, or with a gap that no simulation had.
        """
        observed = self.visible(self.observation if observation is None else self._other(observation))
        fixed = self.trained.at(observed, n_weight_samples=self.n_weight_samples, seed=fold_in(self.seed, "predict"))
        return ParameterDensity(self.prior.coordinates, fixed)

    def sample(self, n_samples: int = 1000, *, seed: int = 0, observation: Any = None) -> xr.DataArray:
        """Draw `n_samples` parameter sets, DataArray (sample, parameter)."""
        samples = self.density(observation).sample(n_samples, seed=seed)
        return samples.assign_attrs(method=self.method, citations=list(self.citations))

    def log_prob(self, theta: ArrayLike | Mapping[str, ArrayLike], *, observation: Any = None) -> np.ndarray:
        """Log density, (n,), in the parameters' own units, of parameter sets (n, parameter), or values by name.

        It is −∞ outside the prior's support.
        """
        return self.density(observation).log_prob(theta)

    def map(self) -> xr.DataArray:
        """The parameter set of highest density."""
        return self.density().map()

    def mean(self) -> xr.DataArray:
        """Posterior means."""
        return self.density().mean()

    def covariance(self) -> xr.DataArray:
        """Posterior covariance, (parameter, other)."""
        return self.density().covariance()

    def marginal(self, names: str | Sequence[str]) -> ParameterDensity:
        """The posterior of some parameters alone."""
        return self.density().marginal(names)

    def conditional(self, values: Mapping[str, float]) -> ParameterDensity:
        """The posterior of the other parameters, given values of some."""
        return self.density().conditional(values)

    def summary(self, n_samples: int = 10_000, *, seed: int = 0) -> xr.Dataset:
        """Mean, standard deviation, median and central 95 % interval of each parameter, and the prior's interval."""
        n_samples = whole_number("n_samples", n_samples, 1)
        samples, prior = self.sample(n_samples, seed=seed), self.prior.sample(n_samples, seed=fold_in(seed, "prior"))
        low, median, high = np.quantile(samples.values, [0.025, 0.5, 0.975], axis=0)
        prior_low, prior_high = np.quantile(prior, [0.025, 0.975], axis=0)
        columns = {
            "mean": samples.values.mean(axis=0),
            "sd": samples.values.std(axis=0),
            "median": median,
            "low_95": low,
            "high_95": high,
            "prior_low_95": prior_low,
            "prior_high_95": prior_high,
        }
        coordinates = {"parameter": list(self.names), "unit": ("parameter", list(self.prior.units))}
        return xr.Dataset({name: ("parameter", values) for name, values in columns.items()}, coordinates)

    def save(self, path: str | Path) -> None:
        """Write one `.safetensors` file."""
        save_model(
            path,
            self._arrays(),
            class_name=FILE_CLASS,
            config={
                "architecture": self.architecture.to_dict(),
                "prior": self.prior.to_dict(),
                "method": self.method,
                "networks": len(self.trained.networks),
                "weight_samples": self.n_weight_samples,
                "missing": self.missing,
                "model_error": self.model_error,
                "feature_names": list(self.feature_names),
                "feature_units": list(self.feature_units),
                "settings": None if self.settings is None else settings_to_dict(self.settings),
            },
            units=dict(zip(self.names, self.prior.units, strict=True)),
            seed=self.seed,
            data_hash=hash_arrays({"observation": self.observation}),
            citations=self.citations,
            extra={"reports": [dataclasses.asdict(r) for r in self.reports], "notes": list(self.notes)},
        )

    def fingerprint(self) -> str:
        """Content hash of what was observed and learned, the same after `save` and `load`: which posterior it is."""
        return hash_arrays(self._arrays())

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {"observation": self.observation, **scaling_arrays(self.trained.scaling)}
        optional = {"unrecorded": self.unrecorded, "gaps": self.gaps}
        arrays |= {name: array for name, array in optional.items() if array is not None}
        for m, network in enumerate(self.trained.networks):
            arrays |= network_arrays(network, f"network-{m}")
        return arrays

    @classmethod
    def load(cls, path: str | Path) -> Posterior:
        """Open a file written by `save`.

        Raises
        ------
        ModelFileError
            No such file, damaged, or not a posterior.
        """
        arrays, header = load_model(path, expected_class=FILE_CLASS)
        try:
            architecture = Architecture.from_dict(header.config["architecture"], where=str(path))
            template = architecture.template()
            networks = tuple(
                network_from_arrays(template, arrays, f"network-{m}") for m in range(header.config["networks"])
            )
            settings = header.config.get("settings")
            return cls(
                trained=TrainedDensity(networks, scaling_from_arrays(arrays)),
                architecture=architecture,
                prior=Prior.from_dict(header.config["prior"]),
                observation=np.asarray(arrays["observation"]),
                feature_names=tuple(header.config["feature_names"]),
                feature_units=tuple(header.config["feature_units"]),
                unrecorded=arrays.get("unrecorded"),
                gaps=arrays.get("gaps"),
                method=header.config["method"],
                seed=header.seed or 0,
                n_weight_samples=header.config["weight_samples"],
                missing=header.config.get("missing", "auto"),  # files of the first days do not say
                model_error=header.config.get("model_error", 0.0),
                reports=tuple(RoundReport(**report) for report in header.extra["reports"]),
                notes=tuple(header.extra["notes"]),
                settings=None if settings is None else settings_from_dict(settings, where=str(path)),
            )
        except ModelFileError:
            raise
        except Exception as error:  # whatever parts of other types lead to
            raise ModelFileError(f"{path}: the posterior in this file is not complete ({error}).") from error

    def _confined(self) -> str:
        """What makes it good near its own observation only."""
        if len(self.reports) > 1:
            return f"in {len(self.reports)} rounds"
        kernel = any(report.bandwidth is not None for report in self.reports)
        return "with a calibration kernel" if kernel else "with importance weights"

    def _other(self, observation: Any) -> np.ndarray:
        if not self.is_amortised:
            raise InputError(
                f"This posterior was fitted {self._confined()} to one observation and is only good near it. Fit anew,"
                " or with method='npe' to simulations from the prior for a posterior that serves all observations."
            )
        observed = as_observation(observation, self.feature_names)
        known = np.zeros(len(observed), bool) if self.trained.scaling.level is None else self.gaps
        if known is not None:
            hidden = False if self.unrecorded is None else self.unrecorded
            strange = np.isnan(observed) & ~known & ~hidden
            if strange.any():
                raise InputError(
                    f"Feature {self.feature_names[int(np.argmax(strange))]!r} is missing, as it never was in training:"
                    " the network does not know what to make of that. Fit with an observation that lacks it."
                )
        return observed

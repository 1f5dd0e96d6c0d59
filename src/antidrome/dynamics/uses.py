"""What users do with a fitted system: covariances of any pair, latents, imputation, forecasts, samples, scores."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from antidrome.core.seeds import generator
from antidrome.core.whole import whole_number
from antidrome.dynamics import fitted, reports, results
from antidrome.dynamics.fitted import FittedSystem
from antidrome.dynamics.population import Population
from antidrome.dynamics.selection import agreement
from antidrome.dynamics.sessions import as_population
from antidrome.dynamics.stationarity import stationarity as test_of_stationarity
from antidrome.errors import InputError
from antidrome.recordings.arguments import one_of

if TYPE_CHECKING:
    from antidrome.dynamics.fitting import Result


class Uses:
    """Methods of a fitted `StitchedLDS`."""

    result_: Result
    neurons_: np.ndarray

    def predict_covariance(
        self, first: Any, second: Any = None, lag: int = 0, *, of: str = "recordings"
    ) -> xr.DataArray:
        """Covariance of y_i(t + lag) and y_j(t), also for pairs never recorded together.

        Parameters
        ----------
        first, second
            Labels (text) or places (integers) of neurons, one or several; `second` defaults to `first`.
        lag
            Frames, of either sign; lags beyond the fitted ones follow the dynamics.
        of
            "recordings": as the fitted recordings would have shown it; "process": as further recordings of the same
            process would show it on average, which for latent states that are slow beside the recordings is less
            extreme.

        Returns
        -------
        DataArray (neuron, neuron_2), in squared units of the recording. Of a neuron with itself it has the variance at
        lag 0; at other lags the latent part, which is all where private noise is white, and NaN where the fit found it
        autocorrelated (`private_noise`), as the fit does not know private autocovariances.
        """
        system, lag = self._predictor(of), whole_number("lag", lag, what="frames")
        i = system.population.find(first)
        j = i if second is None else system.population.find(second)
        values = fitted.covariance(system, i, j, lag)
        return fitted.label_pairs(values, system, i, j, f"Predicted covariance at lag {lag}", "squared recording units")

    def predict_correlation(
        self, first: Any, second: Any = None, lag: int = 0, *, of: str = "recordings"
    ) -> xr.DataArray:
        """Correlation of y_i(t + lag) and y_j(t); parameters as for `predict_covariance`.

        Returns
        -------
        DataArray (neuron, neuron_2) within −1 and 1; of a neuron with itself 1 at lag 0, and at other lags NaN where
        the fit found private noise autocorrelated, as there `predict_covariance` has none.
        """
        system, lag = self._predictor(of), whole_number("lag", lag, what="frames")
        i = system.population.find(first)
        j = i if second is None else system.population.find(second)
        values = fitted.correlation(system, i, j, lag)
        return fitted.label_pairs(values, system, i, j, f"Predicted correlation at lag {lag}", "1")

    def transform(self, recordings: Any, **given: Any) -> dict[str, xr.Dataset] | xr.Dataset:
        """Smoothed latent states of sessions, with their covariances.

        Parameters
        ----------
        recordings, given
            As for `fit`; any sessions with at least one neuron of the fit.

        Returns
        -------
        Session id → Dataset with `latent` (time, component) and `latent_covariance` (time, component, component_2); one
        Dataset for one recording. `attrs["notes"]` say what was left out of the recordings, and where slow modes of the
        fit, which are not measured, smooth too much.
        """
        return self._each(recordings, given, results.latent_states)

    def impute(self, recordings: Any, neurons: Any = None, **given: Any) -> dict[str, xr.Dataset] | xr.Dataset:
        """Activity of neurons that were not recorded, with uncertainty.

        Parameters
        ----------
        recordings, given
            As for `transform`.
        neurons
            Which; default all neurons of the fit.

        Returns
        -------
        Session id → Dataset (time, neuron) with `mean` and `sd` in the units of the recording, `recorded` (neuron,).
        """
        places = None if neurons is None else self._system().population.find(neurons)
        if places is not None and places.size == 0:
            raise InputError("neurons names no neuron; leave it out for all neurons of the fit.")
        return self._each(recordings, given, lambda system, session: results.imputed(system, session, places))

    def forecast(self, recordings: Any, n_frames: int, **given: Any) -> dict[str, xr.Dataset] | xr.Dataset:
        """Activity of all neurons in the `n_frames` frames after each session, with its standard deviation.

        Returns
        -------
        Session id → Dataset (time, neuron) with `mean` and `sd`, and `latent` (time, component).
        """
        n_frames = whole_number("n_frames", n_frames, 1, what="frames")
        return self._each(recordings, given, lambda system, session: results.forecast(system, session, n_frames))

    def sample(self, n_frames: int, *, seed: int = 0) -> xr.Dataset:
        """A run of the system: `activity` (time, neuron) in the units of the recording, `latent` (time, component)."""
        n_frames = whole_number("n_frames", n_frames, 1, what="frames")
        return results.sample(self._system(), n_frames, generator(seed, "dynamics/sample"))

    def score(self, recordings: Any, y: Any = None, *, pairs: str = "unseen", **given: Any) -> float:
        """Correlation of predicted and measured correlations over pairs of neurons.

        Parameters
        ----------
        recordings, given
            As for `fit`: recordings that hold pairs which the fit has not seen together.
        y
            Ignored.
        pairs
            "unseen" (never recorded together at the fit), "seen" or "all".
        """
        return agreement(*self.compare_pairs(recordings, pairs=pairs, **given))[0]

    def compare_pairs(
        self, recordings: Any, *, pairs: str = "unseen", max_pairs: int = 100_000, seed: int = 0, **given: Any
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predicted and measured correlations of the same pairs, (pair,) each; a random `max_pairs` of them."""
        population = as_population(recordings, **given)
        rng = generator(seed, "dynamics/pairs")
        return reports.compare_pairs(self._system(), population, pairs, max_pairs, rng)

    def co_smoothing(self, recordings: Any, *, n_folds: int = 5, seed: int = 0, **given: Any) -> xr.DataArray:
        """Share of each neuron's variance that is predicted from all other neurons of its session (R²), (neuron,)."""
        population, n_folds = as_population(recordings, **given), whole_number("n_folds", n_folds, 2)
        return reports.co_smoothing(self._system(), population, n_folds, generator(seed, "dynamics/co-smoothing"))

    def align(self, other: Any) -> xr.Dataset:
        """Match the latent basis of another fit to this one on the neurons that both have.

        Returns
        -------
        Dataset with `change` (component, component_2), which maps the other's latent states to this one's,
        `principal_angles` (angle,) in units of π/2, and `residual`, the share of loadings not matched.
        """
        if not isinstance(other, Uses):
            raise InputError(f"align() got {other!r}, expected a fitted StitchedLDS.")
        return reports.align(self._system(), other._system())

    def dynamics_table(self) -> xr.Dataset:
        """Eigenvalues of A with time constants and frequencies (in seconds and hertz where the frame rate is known).

        Returns
        -------
        Dataset over `mode`, slowest first. Where a mode is as slow as the method allows, or was left out of the fit of
        A, `measured` is False and its time constant NaN; the notes of the fit say what to try.
        """
        return reports.dynamics_table(self._system())

    def stationarity(self, recordings: Any, *, n_draws: int = 199, seed: int = 0, **given: Any) -> xr.Dataset:
        """Whether any session differs from the one system by more than chance.

        Slow latent states visit few independent places in a short session, which then shows covariances of its own
        without being any different. The chance is therefore drawn: from the fitted system, `n_draws` sessions of the
        same frames, interruptions and private noise.

        Parameters
        ----------
        recordings, given
            As for `fit`.
        n_draws, seed
            Sessions drawn for each (at least 99, so that a p-value can be 0.01), and their seed.

        Returns
        -------
        Dataset over `session` (of one whose observed neurons change, a row for each part): `gap`, the share of the
        covariance between neurons that the session's own latent covariances change; `expected_gap`, its median over
        drawn sessions; `p_value`, the share of drawn sessions with at least such a gap; and `deviates` where the
        p-value is at most 0.01 and the gap exceeds the expected by 0.1. Where a mode is not measured (see
        `dynamics_table`), drawn sessions differ so much that one which does deviate is easily missed.
        """
        hollow = self._fitted().settings.hollow_lags
        return test_of_stationarity(self._system(), as_population(recordings, **given), n_draws, seed, hollow)

    def save(self, path: str | Path) -> None:
        """Write the fit as one `.safetensors` file."""
        from antidrome.dynamics.storage import save

        self._system()
        save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Any:
        """Open a file written by `save`.

        Raises
        ------
        ModelFileError
            No such file, damaged, or not a fit of this class.
        """
        from antidrome.dynamics.storage import load

        return load(cls, path)

    @property
    def loadings_(self) -> xr.DataArray:
        """C (neuron, component) in the units of the recording."""
        system = self._system()
        return xr.DataArray(
            system.loadings * system.scale[:, None],
            dims=("neuron", "component"),
            coords={"neuron": self.neurons_, "component": np.arange(system.loadings.shape[1])},
            attrs={"units": "recording units per latent unit", "citations": ["nonnenmacher2017"]},
        )

    def _predictor(self, of: str) -> FittedSystem:
        one_of("of", of, ("recordings", "process"))
        return self._system() if of == "recordings" else self._system().of_process()

    def _system(self) -> FittedSystem:
        return FittedSystem.of(self, self._fitted())

    def _fitted(self) -> Result:
        return self.result_

    def _each(self, recordings: Any, given: Mapping[str, Any], make: Any) -> dict[str, xr.Dataset] | xr.Dataset:
        system = self._system()
        population: Population = as_population(recordings, **given)
        found = {session.name: make(system, one) for session, one in results.matched(system, population)}
        single = not isinstance(recordings, Mapping | list | Population) and len(found) == 1
        return next(iter(found.values())) if single else found

"""`StitchedLDS`: recordings of parts of a population in, one linear dynamical system out."""

from __future__ import annotations

import numbers
import sys
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from sklearn.exceptions import NotFittedError

from antidrome.core.estimator import Estimator
from antidrome.core.hashing import hash_configuration
from antidrome.core.progress import progress as show_progress
from antidrome.core.seeds import check_seed
from antidrome.core.whole import whole_numbers
from antidrome.dynamics.choosing import EM_ITERATIONS, N_FOLDS, Options, require_consistent
from antidrome.dynamics.fitting import ORDERS, Result, choose_population, fit_population
from antidrome.dynamics.lags import LagSet, lag_set, largest_lag
from antidrome.dynamics.overlap import OverlapReport, report_of
from antidrome.dynamics.patterns import recorded_sets
from antidrome.dynamics.plain import plain
from antidrome.dynamics.population import Population
from antidrome.dynamics.reports import notes_on_race, order_curve
from antidrome.dynamics.resuming import fingerprint
from antidrome.dynamics.sessions import Segments, as_population
from antidrome.dynamics.solving import FitSettings
from antidrome.dynamics.uses import Uses
from antidrome.errors import InputError
from antidrome.recordings.arguments import counted, one_of

MOST = sys.float_info.max
CHOICES = {
    "solver": ("auto", "sketch", "als", "lbfgs", "adam"),
    "parametrization": ("free", "linear"),
    "weights": ("session", "pairs"),
    "scaling": ("neuron", "session", "none"),
    "observation": ("gaussian", "poisson"),
    "private_noise": ("auto", "white", "autocorrelated"),
    "zero_lag": ("race", "never", "always"),
    "refine": (None, "em"),
}


class StitchedLDS(Uses, Estimator):
    """One low-dimensional linear dynamical system from many partial recordings, by predicting lagged correlations.

    Sessions (days, animals, planes) that record overlapping parts of a population share latent dynamics
    x(t + 1) = A x(t) + η, y = C x + d + ε. C and the latent covariances X_s are fitted to the lagged covariances of all
    pairs that were recorded together; pairs that never were are predicted by C X_s Cᵀ.

    Parameters
    ----------
    n_components
        Latent dimensions, or "auto": chosen among `orders` on held-out pairs.
    lags
        Frames, any non-negative set; default 0, 1, …, 2n − 1, at most 9 and at most what the stretches hold. With
        n_components="auto" n is taken as 4 here, whatever is chosen: lags 0 to 7.
    lag_weights
        Weight of each lag; default 1. Not with zero_lag="always", which weighs lag 0 alone.
    solver
        "auto" (all covariances of a session where they fit, else a sketch), "sketch", "als" (exact, never a sketch),
        "lbfgs" (exact, polished), "adam" (stochastic gradients on windows of frames from random loadings, for streams
        that are too slow to be read many times; nothing is chosen on held-out pairs).
    parametrization
        "free" (one X_s a lag) or "linear" (X_s = Aˢ Π, polished by L-BFGS from the free fit).
    weights
        "session" (pairs weigh by the frames behind them) or "pairs" (every pair the same, as in the paper; small
        populations).
    scaling
        "neuron" (the loss sees every neuron at unit variance; results are in the units of the recording), "session"
        (every session at unit variance), or "none" (one unit for all neurons: the loss sees their variances). Counts
        with observation="poisson" are over their means instead.
    observation
        "gaussian", or "poisson" for spike counts (moments of log rates).
    shrinkage
        Ridge on the loadings, relative to the mean curvature of the loss; "auto": chosen on held-out pairs where some
        pairs were never recorded together, else 0.
    coupling
        How strongly sessions are held to the same latent covariances: `inf` (the same, as in the paper), a number, or
        "auto": `inf` or 0.03, chosen on held-out pairs.
    private_noise
        "white" (as in the paper: a neuron has private noise at lag 0 alone), "autocorrelated" (a private autocovariance
        at every lag, as slow indicators and smoothed events give it: the diagonals of all lags are left out), or
        "auto": chosen on held-out pairs. With "auto", dynamics that white noise would press to a limit are those of the
        covariances between neurons alone, where private noise lasts.
    zero_lag
        "race" (the zero-lag model, factor analysis by moments, is fitted beside and predicts pairs, alone or averaged,
        where held-out pairs say so), "never", or "always" (loadings from lag 0 alone).
    refine
        None, or "em": expectation maximisation from the solution.
    n_starts, max_iterations, tolerance
        Of the solver; the start of lowest loss is kept. solver="adam" has one start, 20 steps for each iteration, and
        no tolerance.
    sketch_rank
        Columns of a sketch; default 12 for each dimension, at least 40.
    em_iterations
        At most so many, with refine="em".
    n_folds
        Sets of held-out pairs; solver="adam" has none.
    orders
        Numbers of dimensions to try with n_components="auto".
    seed
        Of starts, sketches and held-out pairs.

    Attributes
    ----------
    n_components_
        Latent dimensions n.
    lags_
        Lags s, frames, ascending; 0 is always among them.
    neurons_
        (neuron,) labels, in the order in which they were met.
    sessions_
        Session ids. A session whose neurons come and go in a few patterns stands in parts (``a, a-2``), one for each
        set of neurons that were recorded together, unless another holds it.
    observed_
        (session, neuron) True where a session, or part of one, has observed the neuron.
    offset_
        (neuron,) mean over all observed frames, recording units.
    scale_
        (neuron,) what one unit of the scaled data is, recording units: the standard deviation; the mean count with
        observation="poisson"; with scaling="none" the same for all, the power of two next to their root mean variance.
    frame_rate_hz_
        Frames per second; None where the recordings state none.
    units_
        What the recordings say that they are in: "1", "percent", "a.u.", "spikes/s" or "spikes per frame"; None where
        they do not say.
    losses_
        (iteration,) loss of the solver in scaled units, of the best start.
    overlap_
        `antidrome.dynamics.OverlapReport` of the sessions, with the fitted loadings.
    notes_
        What was left out, what was chosen on held-out pairs, and warnings, one sentence each.

    References
    ----------
    Nonnenmacher, Turaga & Macke (2017), Extracting low-dimensional dynamics from multiple large-scale neural population
    recordings by learning to predict correlations, Advances in Neural Information Processing Systems 30.

    Examples
    --------
    >>> import antidrome as ad
    >>> truth = ad.dynamics.simulate(n_neurons=30, n_components=2, n_frames=400, seed=3)
    >>> halves = {"a": (truth.activity[:200, :20], range(20)), "b": (truth.activity[200:, 10:], range(10, 30))}
    >>> model = ad.StitchedLDS(n_components=2, seed=1).fit(halves, progress=False)
    >>> model.predict_covariance("0", "29").shape
    (1, 1)
    """

    def __init__(
        self,
        n_components: int | str = 10,
        *,
        lags: Sequence[int] | None = None,
        lag_weights: Sequence[float] | None = None,
        solver: str = "auto",
        parametrization: str = "free",
        weights: str = "session",
        scaling: str = "neuron",
        observation: str = "gaussian",
        shrinkage: float | str = "auto",
        coupling: float | str = "auto",
        private_noise: str = "auto",
        zero_lag: str = "race",
        refine: str | None = None,
        n_starts: int = FitSettings.n_starts,
        max_iterations: int = FitSettings.n_iterations,
        tolerance: float = FitSettings.tolerance,
        sketch_rank: int | None = None,
        em_iterations: int = EM_ITERATIONS,
        n_folds: int = N_FOLDS,
        orders: Sequence[int] = ORDERS,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
        self.lags = lags
        self.lag_weights = lag_weights
        self.solver = solver
        self.parametrization = parametrization
        self.weights = weights
        self.scaling = scaling
        self.observation = observation
        self.shrinkage = shrinkage
        self.coupling = coupling
        self.private_noise = private_noise
        self.zero_lag = zero_lag
        self.refine = refine
        self.n_starts = n_starts
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.sketch_rank = sketch_rank
        self.em_iterations = em_iterations
        self.n_folds = n_folds
        self.orders = orders
        self.seed = seed

    def fit(
        self,
        recordings: Any,
        y: Any = None,
        *,
        sessions: Any = None,
        neuron: Any = None,
        segments: Segments | None = None,
        frame_rate_hz: float | None = None,
        executor: Executor | None = None,
        checkpoint: str | Path | None = None,
        memory_limit_bytes: int | None = None,
        progress: bool = True,
    ) -> StitchedLDS:
        """Fit one system to all sessions.

        Parameters
        ----------
        recordings, sessions, neuron, segments, frame_rate_hz
            See `antidrome.dynamics.as_population`: a mapping of session id to recording (matched by neuron label), a
            list, or one matrix with NaN for what was not observed.
        y
            Ignored.
        executor
            Where sketches of sessions are made (`antidrome.core.executor`); dask arrays use their own scheduler.
        checkpoint
            Folder in which finished work is kept, so that the same call goes on after a kill, to the same result.
        memory_limit_bytes
            Refuse fits that would take more; default: what this machine has free.
        progress
            Show a progress bar.

        Returns
        -------
        The estimator itself.

        Raises
        ------
        InputError
            If the recordings or a hyperparameter cannot be used; the message says which and what to do.
        """
        population = as_population(
            recordings, sessions=sessions, neuron=neuron, segments=segments, frame_rate_hz=frame_rate_hz
        )
        options, lags = self._options(population)
        folder = None if checkpoint is None else Path(checkpoint)
        with show_progress("Dynamics", unit="steps", enabled=progress) as bar:

            def report(stage: str, figure: str) -> None:
                bar.describe(f"Dynamics: {stage}")
                bar.advance(figure=figure)

            found = fit_population(
                population,
                lags,
                options,
                orders=_checked(self.orders),
                executor=executor,
                checkpoint=folder,
                identity={"settings": hash_configuration(plain(self.get_params()))},
                memory_limit_bytes=memory_limit_bytes,
                report=report,
            )
        self._keep(population, lags, found)
        self.data_hash_ = fingerprint(population)
        return self

    def select_order(
        self, recordings: Any, orders: Sequence[int] | None = None, *, progress: bool = True, **given: Any
    ) -> xr.Dataset:
        """Held-out correlation over the number of dimensions, for the lagged and the zero-lag model.

        Parameters
        ----------
        recordings, given
            As for `fit`.
        orders
            Numbers of dimensions to try; None: those of the estimator.
        progress
            Show a progress bar.

        Returns
        -------
        Dataset over `order`: `correlation`, `correlation_zero_lag`, `slope` and `shrinkage` of the best settings at
        each; `attrs["best"]` is the smallest order that surely predicts held-out pairs as well as the best. Nothing of
        the estimator changes.
        """
        from sklearn.base import clone

        trial = clone(self).set_params(n_components="auto", refine=None, zero_lag="race", em_iterations=EM_ITERATIONS)
        population = as_population(recordings, **given)
        options, lags = trial._options(population)
        with show_progress("Choosing the order", unit="fits", enabled=progress) as bar:
            found = choose_population(
                population,
                lags,
                options,
                orders=_checked(self.orders if orders is None else orders),
                report=lambda _stage, figure: bar.advance(figure=figure),
            )
        return order_curve(found)

    def _options(self, population: Population) -> tuple[Options, LagSet]:
        """Hyperparameters, checked against the population."""
        for name, allowed in CHOICES.items():
            one_of(name, getattr(self, name), allowed)
        for name, least, most in (("n_components", 1, MOST), ("shrinkage", 0, MOST), ("coupling", 0, np.inf)):
            value = getattr(self, name)
            if value != "auto" and not (isinstance(value, numbers.Real) and least <= float(value) <= most):
                finite = "" if most == np.inf else "finite "
                raise InputError(f"{name} = {value!r}, expected 'auto' or a {finite}number of at least {least}.")
        if population.n_neurons < 2:
            raise InputError("The population has 1 neuron; correlations need at least two.")
        n = 4 if self.n_components == "auto" else int(self.n_components)
        if n != self.n_components and self.n_components != "auto":
            raise InputError(f"n_components = {self.n_components!r}, expected a whole number.")
        if n >= population.n_neurons and self.n_components != "auto":
            raise InputError(
                f"n_components = {n}, but the population has {counted(population.n_neurons, 'neuron')}; it needs more"
                " neurons than dimensions."
            )
        largest = max(largest_lag(session.segment) for session in population.sessions)
        lags = lag_set(self.lags, self.lag_weights, n, largest)
        names = [field for field in Options.__dataclass_fields__ if field not in ("seed",)]
        options = Options(seed=check_seed(self.seed), **{name: getattr(self, name) for name in names})
        require_consistent(options, len(lags))
        return options, lags

    def _keep(self, population: Population, lags: LagSet, found: Result) -> None:
        """Fitted attributes."""
        self.result_ = found
        self.lags_ = lags.lags
        self.neurons_ = population.labels
        self.n_components_ = found.settings.n_components
        self.frame_rate_hz_ = population.frame_rate_hz
        self.units_ = population.units
        self.offset_ = population.mean
        self.scale_ = found.units.scale
        self.sessions_, self.observed_ = recorded_sets(population)
        self.overlap_: OverlapReport = report_of(
            self.sessions_, self.observed_, self.n_components_, found.lagged.loadings, found.together
        )
        self.notes_ = [*population.notes, *found.notes, *self.overlap_.warnings, *notes_on_race(found)]
        self.losses_ = np.array(found.losses)

    @property
    def citations_(self) -> list[str]:
        """The works behind the method."""
        return ["nonnenmacher2017"]

    def _fitted(self) -> Result:
        if not hasattr(self, "result_"):
            raise NotFittedError("This StitchedLDS is not fitted yet; call fit(recordings) first.")
        return self.result_


def _checked(orders: Sequence[int]) -> list[int]:
    """Numbers of dimensions to try, ascending.

    Raises
    ------
    InputError
        If there is none, or one is no whole number of at least 1.
    """
    found = whole_numbers(orders)
    if found is None or len(set(found)) < len(found) or min(found) < 1:
        raise InputError(f"orders = {orders!r}, expected different whole numbers of at least 1, such as (1, 2, 4, 8).")
    return sorted(found)

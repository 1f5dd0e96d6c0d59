"""`TwoNN`: the intrinsic dimension of points from the ratio of the distances to the two nearest neighbours."""

from __future__ import annotations

from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from sklearn.exceptions import NotFittedError

from antidrome.core.estimator import Estimator
from antidrome.core.hashing import hash_arrays
from antidrome.core.model_files import load_model, save_model
from antidrome.core.seeds import check_seed
from antidrome.dimension.graph import Duplicates, graph_of, is_graph
from antidrome.dimension.likelihoods import gride
from antidrome.dimension.metrics import Metric
from antidrome.dimension.points import as_points
from antidrome.dimension.ratios import ratios
from antidrome.dimension.scale import attributes, block_analysis, judge, judge_gride
from antidrome.dimension.two_nn import METHODS, Method, check_discard, estimate_from, goodness_of_fit, line_fit
from antidrome.dimension.uncertainty import uncertainty
from antidrome.dimension.units import distance_units, with_units
from antidrome.errors import InputError, ModelFileError
from antidrome.recordings.arguments import one_of

CURVE_NEIGHBOURS = 8
CURVE_NEIGHBOURS_OF_MANY = 4
MANY = 4000
"""From so many points on, ranks 1 and 2 tell precisely enough how the estimate depends on scale."""
NUMBERS = ("dimension_", "standard_error_", "low_", "high_", "inflation_", "fit_r_", "ks_distance_")
COUNTS = ("n_points_", "n_used_", "n_zero_", "n_ties_", "n_near_duplicates_")
WORDS = ("verdict_", "reason_")
ARRAYS = ("mu_", "r1_", "r2_")
CITATIONS = ("facco2017", "ansuini2019", "denti2022")


class TwoNN(Estimator):
    """Intrinsic dimension from the two nearest neighbours of each point, with an honest error and a verdict.

    The number is that at this number of points and this scale; `scale_` shows how it depends on them, and
    `lower_bound_` is set where it is too large, or still rising, to be more than a lower bound.

    Parameters
    ----------
    method
        "fit": the line of Facco et al. (2017) and Ansuini et al. (2019); "mle", "censored": maximum likelihood, without
        and with the largest ratios censored; "bayes": posterior mean under a vague gamma prior.
    discard_fraction
        Share of the largest ratios that "fit" and "censored" leave out.
    metric
        "euclidean", "cosine" (angles), "hamming" or "precomputed".
    duplicates
        "drop": points with an exact copy are left out (the paper's way); "merge": one of each is kept; "raise".
    scale
        "gride": the dependence on scale from neighbours of higher rank, at no cost; "blocks": by block decimation,
        which measures disjoint parts of the points again.
    level
        Of the interval.
    n_bootstrap
        Resamples of the ratios for the standard error; 0: its limit for many resamples, in closed form.
    seed
        Of the bootstrap and the blocks.

    References
    ----------
    Facco, d'Errico, Rodriguez, Laio (2017), Estimating the intrinsic dimension of datasets by a minimal neighborhood
    information, Scientific Reports 7:12140.
    Ansuini, Laio, Macke, Zoccolan (2019), Intrinsic dimension of data representations in deep neural networks,
    Advances in Neural Information Processing Systems 32.

    Examples
    --------
    >>> import antidrome as ad
    >>> import numpy as np
    >>> plane = np.random.default_rng(0).random((1000, 2)) @ np.random.default_rng(1).normal(size=(2, 50))
    >>> model = ad.TwoNN().fit(plane, progress=False)
    >>> print(f"{model.dimension_:.1f} {model.verdict_}")
    1.9 reliable
    """

    def __init__(
        self,
        method: Method = "fit",
        *,
        discard_fraction: float = 0.1,
        metric: Metric = "euclidean",
        duplicates: Duplicates = "drop",
        scale: str = "gride",
        level: float = 0.9,
        n_bootstrap: int = 0,
        seed: int = 0,
    ) -> None:
        self.method = method
        self.discard_fraction = discard_fraction
        self.metric = metric
        self.duplicates = duplicates
        self.scale = scale
        self.level = level
        self.n_bootstrap = n_bootstrap
        self.seed = seed

    def fit(self, points: Any, y: Any = None, *, executor: Executor | None = None, progress: bool = True) -> TwoNN:
        """Estimate the dimension of points.

        Parameters
        ----------
        points
            (points, …): numpy array, memmap, Zarr, HDF5 or dask array, DataArray; trailing axes are flattened. Or
            `(distances, indices)` of given neighbours, a neighbour graph, or a distance matrix.
        y
            Ignored; there for scikit-learn's pipelines.
        executor
            Where to run blocks of rows; None: threads of this process.
        progress
            Show a progress bar.

        Returns
        -------
        TwoNN
            Itself, with `dimension_`, `standard_error_`, `interval_`, `verdict_`, `reason_`, `lower_bound_`, `scale_`,
            `fit_r_`, `ks_distance_`, `mu_`, `r1_`, `r2_`, `n_points_`, `n_used_`, `n_zero_`, `n_ties_`,
            `n_near_duplicates_`, `data_hash_`, `notes_`.

        Raises
        ------
        InputError
            Points that cannot be used, or too few of them.
        """
        self._check()
        given = is_graph(points) or isinstance(points, tuple)
        if self.scale == "blocks" and (given or self.metric == "precomputed"):
            raise InputError(
                "scale='blocks' takes parts of the points, but neighbours or distances were given, not points. Give the"
                " points, or use scale='gride', which needs the neighbours alone."
            )
        graph = self._graph(points, given, executor, progress)
        found = ratios(graph)
        self.dimension_ = estimate_from(np.sort(np.log(found.mu)), self.method, self.discard_fraction)
        error = uncertainty(
            graph,
            found,
            self.method,
            self.discard_fraction,
            level=self.level,
            n_bootstrap=self.n_bootstrap,
            seed=self.seed,
        )
        self.standard_error_, self.low_, self.high_, self.inflation_ = error
        self.fit_r_ = line_fit(found.mu, self.discard_fraction).pearson_r
        self.ks_distance_ = goodness_of_fit(found.mu, self.dimension_)
        self.mu_ = found.mu
        self.r1_, self.r2_ = graph["distance"].values[found.used, :2].T
        self.n_points_, self.n_used_ = graph.sizes["point"], found.mu.size
        self.n_zero_, self.n_ties_, self.n_near_duplicates_ = found.n_zero, found.n_tied, found.n_near_duplicates
        self.notes_ = list(found.notes)
        self._judge(points, graph, progress)
        neighbours = {name: graph[name].values for name in ("distance", "neighbour")}
        self.data_hash_ = hash_arrays(neighbours) if given else as_points(points).content_hash()
        return self

    @property
    def interval_(self) -> tuple[float, float]:
        """The interval of the chosen level."""
        return float(self.low_), float(self.high_)

    @property
    def citations_(self) -> list[str]:
        """The works behind the estimate."""
        return list(CITATIONS)

    def to_dataset(self) -> xr.Dataset:
        """The result as one labelled dataset."""
        self._require_fit()
        numbers = {name.rstrip("_"): getattr(self, name) for name in (*NUMBERS, *COUNTS)}
        attrs = {
            "verdict": self.verdict_,
            "reason": self.reason_,
            "lower_bound": int(self.lower_bound_),
            "notes": self.notes_,
            "citations": self.citations_,
            **self.get_params(),
        }
        scale = self.scale_.rename({name: f"{name}_at_scale" for name in self.scale_.data_vars if name in numbers})
        return with_units(scale.assign(numbers)).assign_attrs(attrs)

    def save(self, path: str | Path) -> None:
        """Write settings and results as one `.safetensors` file."""
        self._require_fit()
        arrays = {name: getattr(self, name) for name in ARRAYS}
        arrays |= {f"scale/{name}": values.values for name, values in self.scale_.variables.items()}
        curve = self.scale_.get("distance")
        distances = distance_units(self.metric) if curve is None else curve.attrs["units"]
        save_model(
            path,
            arrays,
            class_name="TwoNN",
            config={k: v.item() if isinstance(v, np.generic) else v for k, v in self.get_params().items()},
            units={"r1_": distances, "r2_": distances, "mu_": "1"},
            seed=int(self.seed),
            data_hash=self.data_hash_,
            citations=CITATIONS,
            extra={
                "numbers": {name: float(getattr(self, name)) for name in NUMBERS},
                "counts": {name: int(getattr(self, name)) for name in COUNTS},
                "words": {name: getattr(self, name) for name in WORDS},
                "lower_bound": bool(self.lower_bound_),
                "notes": self.notes_,
                "scale": str(self.scale_["dimension"].dims[0]),
            },
        )

    @classmethod
    def load(cls, path: str | Path) -> TwoNN:
        """Open a file written by `save`.

        Raises
        ------
        ModelFileError
            If the file is damaged or of another class.
        """
        arrays, header = load_model(path, expected_class="TwoNN")
        extra = header.extra
        try:
            model = cls(**header.config)
            for name, value in {**extra["numbers"], **extra["counts"], **extra["words"]}.items():
                setattr(model, name, value)
            for name in ARRAYS:
                setattr(model, name, arrays[name])
            model.data_hash_ = header.data_hash
            model.lower_bound_, model.notes_ = extra["lower_bound"], list(extra["notes"])
            along, start = extra["scale"], "scale/"
            columns = {name.removeprefix(start): values for name, values in arrays.items() if name.startswith(start)}
            curves = {name: (along, values) for name, values in columns.items() if name != along}
            scale = xr.Dataset(curves, coords={along: columns[along]})
            model.scale_ = with_units(scale, distance=header.units["r1_"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"{path}: the file is damaged ({error}).") from error
        return model

    def _check(self) -> None:
        one_of("method", self.method, METHODS)
        one_of("scale", self.scale, ("gride", "blocks"))
        check_discard(self.discard_fraction)
        check_seed(self.seed)

    def _graph(self, points: Any, given: bool, executor: Executor | None, progress: bool) -> xr.Dataset:
        n = 3 if given else as_points(points).n_points
        k = CURVE_NEIGHBOURS_OF_MANY if n >= MANY else max(2, min(CURVE_NEIGHBOURS, n - 1))
        if self.scale == "blocks":
            k = 2
        settings = {"metric": self.metric, "duplicates": self.duplicates, "executor": executor, "progress": progress}
        return graph_of(points, k, **settings)

    def _judge(self, points: Any, graph: xr.Dataset, progress: bool) -> None:
        if self.scale == "blocks":
            curve = block_analysis(
                points,
                metric=self.metric,
                method=self.method,
                discard_fraction=self.discard_fraction,
                duplicates=self.duplicates,
                seed=self.seed,
                whole=graph,
                progress=progress,
            )
            judged = attributes(
                judge(curve["n_points"].values, curve["dimension"].values, curve["standard_error"].values)
            )
        else:
            curve = gride(graph)
            judged = attributes(judge_gride(curve, graph.sizes["point"]))
        self.scale_ = curve.drop_attrs(deep=False)
        self.verdict_, self.reason_ = judged["verdict"], judged["reason"]
        self.lower_bound_ = bool(judged["lower_bound"])

    def _require_fit(self) -> None:
        if not hasattr(self, "dimension_"):
            raise NotFittedError("This TwoNN is not fitted yet; call fit(points) first.")

"""``antidrome dynamics``: one dynamical system from many partial recordings."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from antidrome.cli.options import Options, Paths, command_line
from antidrome.cli.text import say, unmarked
from antidrome.errors import InputError
from antidrome.pipeline.config import FileConfig
from antidrome.recordings.arguments import counted

MOST_NEURONS = 5000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recordings(Options, FileConfig):
    """How recordings are read."""

    paths: Paths = ()
    """Recordings, one a session, matched by neuron label: NWB, suite2p folder, CaImAn, npy, npz, csv, mat, Zarr,
    NetCDF; of what Antidrome wrote, the spikes of each frame."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitDynamics(Recordings):
    """Fit one linear dynamical system to all sessions; write it, and a page that shows it."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """File to write (.safetensors); the page is written beside it (.html)."""
    components: int = 10
    """Latent dimensions; 0: chosen on held-out pairs."""
    lags: tuple[int, ...] | None = None
    """Lags in frames; default 0, 1, …, 2n − 1, at most 9; 0, …, 7 where the dimensions are chosen."""
    solver: Literal["auto", "sketch", "als", "lbfgs", "adam"] = "auto"
    """Solver."""
    observation: Literal["gaussian", "poisson"] = "gaussian"
    """Signals, or spike counts."""
    refine: Literal["em"] | None = None
    """Refine the solution by expectation maximisation."""
    parametrization: Literal["free", "linear"] = "free"
    """Latent covariances free at each lag, or powers of the dynamics."""
    private_noise: Literal["auto", "white", "autocorrelated"] = "auto"
    """What neurons do by themselves: white noise, or also a private autocovariance (slow indicators, smoothed events);
    auto: chosen on held-out pairs."""
    scaling: Literal["neuron", "session", "none"] = "neuron"
    """Unit variance for every neuron, for every neuron in every session, or not at all."""
    max_iterations: int = 100
    """Iterations of the solver, at most."""
    report: bool = True
    """Also write the page; --no-report writes the fit alone."""
    checkpoint: Path | None = None
    """Folder for finished work, so that the same command goes on after an interruption, to the same result."""
    cluster: str | None = None
    """Address of a Dask scheduler: sessions are sketched there."""
    seed: int = 0
    """Seed."""
    overwrite: bool = False
    """Replace what is there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformDynamics(Recordings):
    """Write the smoothed latent states of sessions, one NetCDF file a session."""

    model: Path
    """A fit written by `antidrome dynamics fit`."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder to write to."""
    overwrite: bool = False
    """Replace what is there."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictDynamics:
    """Predict covariances or correlations of pairs of neurons, also of pairs never recorded together."""

    model: Annotated[Path, tyro.conf.Positional]
    """A fit written by `antidrome dynamics fit`."""
    neurons: tuple[str, ...] = ()
    """Labels of neurons; by default all."""
    lag: int = 0
    """Lag in frames."""
    quantity: Literal["correlation", "covariance"] = "correlation"
    """What to predict."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """CSV file to write; by default standard output."""
    overwrite: bool = False
    """Replace what is there."""


def run(
    config: (
        Annotated[FitDynamics, tyro.conf.subcommand("fit", prefix_name=False)]
        | Annotated[TransformDynamics, tyro.conf.subcommand("transform", prefix_name=False)]
        | Annotated[PredictDynamics, tyro.conf.subcommand("predict", prefix_name=False)]
    ),
) -> int:
    """Fit, transform or predict; return 0."""
    if isinstance(config, FitDynamics):
        return _fit(config)
    if isinstance(config, TransformDynamics):
        return _transform(config)
    return _predict(config)


def _fit(config: FitDynamics) -> int:
    from antidrome.core.executor import open_executor
    from antidrome.core.files import refuse_existing
    from antidrome.dynamics import StitchedLDS

    page = config.output.with_suffix(".html")
    if config.output == page:
        raise InputError(f"{config.output}: a fit is written as .safetensors; the page is made beside it.")
    written = [config.output, page] if config.report else [config.output]
    for path in written:
        refuse_existing(path, overwrite=config.overwrite, is_file=True)
    sessions = _read(config)
    _spare(config, sessions, written)
    model = StitchedLDS(
        config.components or "auto",
        lags=config.lags,
        solver=config.solver,
        observation=config.observation,
        parametrization=config.parametrization,
        private_noise=config.private_noise,
        scaling=config.scaling,
        max_iterations=config.max_iterations,
        refine=config.refine,
        seed=config.seed,
    )
    with open_executor(config.cluster) as executor:
        model.fit(sessions, executor=executor, checkpoint=config.checkpoint)
    model.save(config.output)
    if config.report:
        _write_page(model, sessions, config, page)
    _tell(model, written)
    return 0


def _write_page(model: Any, sessions: dict[str, Any], config: FitDynamics, page: Path) -> None:
    """The page of the fit, with the latent states of its sessions."""
    from antidrome.report import RunInfo, write_dynamics_report

    run = RunInfo.of(
        list(model.sessions_),
        "One linear dynamical system of all sessions, and the pairs of neurons that it predicts.",
        command=command_line("dynamics"),
        seed=config.seed,
        files=[{"name": config.output.name, "what": "the fit"}, {"name": page.name, "what": "this page"}],
    )
    stationarity = model.stationarity(sessions, seed=config.seed)
    write_dynamics_report(page, model, run, model.transform(sessions), stationarity=stationarity)


def _transform(config: TransformDynamics) -> int:
    from antidrome.core.files import refuse_existing
    from antidrome.core.names import slug
    from antidrome.dynamics import StitchedLDS
    from antidrome.recordings.xarray_writing import write_netcdf

    model, sessions = StitchedLDS.load(config.model), _read(config)
    paths = [config.output / f"{slug(name)}.nc" for name in sessions]
    for path in paths:
        refuse_existing(path, overwrite=config.overwrite, is_file=True)
    _spare(config, sessions, paths)
    for (name, recording), path in zip(sessions.items(), paths, strict=True):
        write_netcdf(model.transform({name: recording})[name], path)
        say(path)
    return 0


def _predict(config: PredictDynamics) -> int:
    from antidrome.core.files import atomic_write, refuse_existing
    from antidrome.dynamics import StitchedLDS
    from antidrome.pipeline.folder import spare_recordings

    refuse_existing(config.output, overwrite=config.overwrite, is_file=True)
    spare_recordings({str(config.model): ""}, [config.output] if config.output else [], called="fit")
    model = StitchedLDS.load(config.model)
    if not config.neurons and len(model.neurons_) > MOST_NEURONS:
        raise InputError(
            f"{config.model} holds {len(model.neurons_):,} neurons; a table of all their pairs would not be read by"
            " anybody. Name some with --neurons."
        )
    predict = model.predict_correlation if config.quantity == "correlation" else model.predict_covariance
    found = predict(list(config.neurons) or list(map(str, model.neurons_)), lag=config.lag)
    text = found.to_pandas().to_csv(float_format="%.6g")
    if config.output is None:
        say(text.rstrip("\n"))
        return 0
    with atomic_write(config.output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    say(config.output)
    return 0


def _read(config: Recordings) -> dict[str, Any]:
    """Sessions by name; equal names are told apart by their number."""
    from antidrome.cli.dynamics_recordings import read_population
    from antidrome.pipeline.sessions import refuse_repeated, session_names

    if not config.paths:
        raise InputError("No recording was given; name at least one file for each session.")
    refuse_repeated(config.paths)
    recordings = []
    for path in config.paths:
        recording, told = read_population(path, config.choices())
        recordings.append(recording)
        if told:
            say(f"{path}: {told}")
    return dict(zip(session_names(recordings, config.paths), recordings, strict=True))


def _spare(config: Recordings, sessions: dict[str, Any], targets: list[Path]) -> None:
    """InputError if one of the recordings would be lost to what is written."""
    from antidrome.pipeline.folder import spare_recordings

    pairs = zip(config.paths, sessions.values(), strict=True)
    spare_recordings({str(path): str(one.attrs.get("source_format", "")) for path, one in pairs}, targets)


def _tell(model: Any, written: list[Path]) -> None:
    """What was fitted and how far to trust it, in a few lines."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(unmarked(str(model.overlap_).splitlines()[0]))
    table = model.dynamics_table()
    unit = "s" if "time_constant_s" in table else "frames"
    constants = table[f"time_constant_{unit}"].values[table["measured"].values][:4]
    slowest = ", ".join(f"{value:.3g}" for value in constants)
    told = f"slowest time constants {slowest} {unit}" if slowest else "no time constant was measured"
    console.print(f"{counted(model.n_components_, 'dimension')}; {told}")
    for note in model.notes_:
        console.print(f"  [dim]{unmarked(note)}[/dim]")
    for path in written:
        console.print(unmarked(path))

"""``antidrome mechanism fit``: simulator, prior and measurement in; the posterior, and how far to trust it, out."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from antidrome.cli.mechanism_opening import OfModel, digest_of, model_identity, opened_model
from antidrome.cli.options import command_line, given
from antidrome.cli.starting_anew import fit_anew, forget_replaced
from antidrome.cli.text import new_console, new_table, printable, say, unmarked
from antidrome.core.files import refuse_existing, refuse_unwritable_name
from antidrome.errors import InputError

if TYPE_CHECKING:
    import numpy

    from antidrome.mechanism.estimator import SNPE
    from antidrome.mechanism.models.model import Model
    from antidrome.mechanism.models.recorded import RecordedCell

NARROW = 1e-4
"""Range of a parameter's samples, relative to the largest: below it, eight digits would leave few of what differs."""
FILES = ("posterior.safetensors", "samples.csv", "summary.json", "report.html")
"""What a fit leaves in its folder."""
_UNSAID = ("voltage_unit", "current_unit", "sampling_rate_hz", "area_cm2")
"""What files of current clamp may not say, or say wrongly."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit(OfModel):
    """Infer a model's parameters from a measurement. Interrupted, the same command goes on where it was."""

    observation: Path
    """Measured features: JSON or CSV with feature names, npz, or npy; NaN or null where missing. For hodgkin_huxley_8
    also a current-clamp recording: NWB, ABF, npz or csv with voltage and current."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the posterior, its samples, figures, and what is needed to go on."""
    method: Literal["default", "snpe-b", "weighted", "tsnpe", "snpe-c", "npe"] = "default"
    """Method; "snpe-b" is the paper's."""
    rounds: int | None = None
    """Rounds; by default the method's."""
    simulations: int = 1000
    """Simulations a round."""
    recorded: Path | None = None
    """Folder of simulations of this model by `antidrome mechanism simulate`: they are fitted, nothing is simulated
    (--method npe)."""
    density: Literal["flow", "mixture"] | None = None
    """Density estimator; by default the method's."""
    networks: int | None = None
    """Networks in the ensemble."""
    model_error: float | None = None
    """Error of simulated features that the model is not expected to get right, as a share of their spread over the
    prior; by default 0, for a current-clamp recording 0.02."""
    missing: Literal["auto", "informative", "unrecorded"] = "auto"
    """What a feature that the observation lacks says: "informative", as much as one that is there; "unrecorded",
    nothing, it was not measured; "auto": the former where some simulations lack it, too."""
    sweep: str | None = None
    """Sweep of a current-clamp recording."""
    epoch_ms: tuple[float, float] | None = None
    """From when to when its stimulus is on, ms; by default the longest time for which the current is away from its
    holding value."""
    voltage_unit: str | None = None
    """Unit of the recorded voltage, where the file does not say or says V though mV were written: mV, V, uV."""
    current_unit: str | None = None
    """Unit of the injected current, likewise: pA, nA, uA, A, uA/cm2."""
    sampling_rate_hz: float | None = None
    """Samples a second of a current-clamp recording, where the file does not say."""
    area_cm2: float | None = None
    """Area of the recorded cell's membrane, cm², where the file does not say."""
    junction_potential_mv: float | None = None
    """Liquid-junction potential to add to the recorded voltage, mV; by default what the file says."""
    samples: int = 10_000
    """Posterior samples to write."""
    predictive: int = 200
    """Simulations at posterior samples, to check the posterior by."""
    seed: int = 0
    """Seed of everything: the same seed, the same posterior."""
    overwrite: bool = False
    """Replace files of another origin in the folder, and start anew, whatever an earlier fit left there to go on
    from."""


def run_fit(config: Fit) -> int:
    """Fit, print figures and conclusions, write; return 0."""
    from antidrome.mechanism.estimator import SNPE
    from antidrome.mechanism.snapshots import CHECKPOINT
    from antidrome.pipeline.folder import spare_recordings

    if config.samples < 1:
        raise InputError(f"samples is {config.samples}; expected at least 1.")
    for path in (config.output, config.observation):
        refuse_unwritable_name(path)
    if not (config.overwrite or (config.output / CHECKPOINT).exists()):
        for name in FILES:
            refuse_existing(config.output / name, overwrite=False, is_file=True)
    spare_recordings({str(config.observation): ""}, [config.output / name for name in FILES], called="observation")
    with _opened(config) as (model, observation, cell):
        estimator = SNPE(
            config.method,
            n_rounds=config.rounds,
            n_simulations=config.simulations,
            density=config.density,
            n_networks=config.networks,
            missing=config.missing,
            model_error=_model_error(config, cell),
            n_predictive=config.predictive,
            seed=config.seed,
        )
        notes = cell.notes if cell else _notes_on_recorded(config)
        for note in notes:
            say(f"note: {note}")

        def fit() -> None:
            estimator.fit(model.simulator, model.prior, observation, checkpoint=config.output, on_round=say)

        if config.overwrite:
            fit_anew(fit, config.output, recorded=config.recorded, of=_which_fit(config))
        else:
            fit()
    _write(estimator, config, notes)
    _write_page(estimator, config, cell, notes)
    forget_replaced(config.output)
    _show(estimator, config)
    return 0


def _which_fit(config: Fit) -> str:
    """Model and observation of a fit, with the content of their files."""
    observed = digest_of(config.observation) if config.observation.is_file() else config.observation
    return f"{model_identity(config.model)}, observation {observed}"


def _notes_on_recorded(config: Fit) -> tuple[str, ...]:
    """What to know where the recorded simulations are of another model, or of another state of its file."""
    from antidrome.mechanism.simulate.store import simulator_of

    told = None if config.recorded is None else simulator_of(config.recorded)
    model, now = told.get("model") if isinstance(told, dict) else None, model_identity(config.model)
    if model in (None, now):
        return ()
    return (f"The simulations are of {model}, not of {now}: if the simulator itself differs, simulate anew.",)


def _model_error(config: Fit, cell: RecordedCell | None) -> float:
    if config.model_error is not None:
        return config.model_error
    return 0.0 if cell is None else cell.model_error


@contextlib.contextmanager
def _opened(config: Fit) -> Iterator[tuple[Model, Any, RecordedCell | None]]:
    """Model, observation, and the recorded cell if the observation is one."""
    from antidrome.mechanism.loading import read_observation
    from antidrome.mechanism.models.model import Model
    from antidrome.mechanism.simulate.store import read_simulations

    if config.observation.is_file() and config.model.startswith("hodgkin_huxley"):
        from antidrome.recordings.current_clamp import holds_voltage

        if holds_voltage(config.observation):
            if named := given(config, "recorded", "timeout_s", "processes", "cluster"):
                raise InputError(f"{named}: not for a current-clamp recording, whose own stimulus is simulated here.")
            cell = _recorded(config)
            yield Model(config.model, cell.simulator, cell.prior), cell.observation, cell
            return
    if named := given(config, "sweep", "epoch_ms", *_UNSAID, "junction_potential_mv"):
        raise InputError(f"{named}: only for current-clamp recordings and hodgkin_huxley_8.")
    with opened_model(config) as model:
        if config.recorded is not None:
            model = dataclasses.replace(model, simulator=read_simulations(config.recorded))
        yield model, read_observation(config.observation), None


def _recorded(config: Fit) -> RecordedCell:
    from antidrome.mechanism.models import recorded_cell
    from antidrome.recordings.current_clamp import read_current_clamp

    if config.model != "hodgkin_huxley_8":
        raise InputError(
            f"{config.observation} is a recording, which hodgkin_huxley_8 is fitted to; for {config.model} give the"
            " features of the recording in a file."
        )
    recording = read_current_clamp(
        config.observation,
        sweeps=None if config.sweep is None else [config.sweep],
        **{name: getattr(config, name) for name in _UNSAID},
    )
    return recorded_cell(recording, junction_potential_mv=config.junction_potential_mv, epoch_ms=config.epoch_ms)


def _write_page(estimator: SNPE, config: Fit, cell: RecordedCell | None, notes: Sequence[str]) -> None:
    """``report.html``, with the notes of `run_fit`."""
    from antidrome.report import write_mechanism_report
    from antidrome.report.mechanism_view import predicted_traces

    traces = None if cell is None else predicted_traces(cell.simulator, estimator.posterior_, cell.voltage_mv)
    write_mechanism_report(
        config.output / "report.html",
        estimator,
        traces=traces,
        notes=notes,
        model=config.model,
        observed=str(config.observation),
        command=command_line("mechanism"),
        seed=config.seed,
    )


def _write(estimator: SNPE, config: Fit, notes: Sequence[str]) -> None:
    """Posterior, samples as CSV, summary (with the notes on the recording) and diagnosis as JSON."""
    from antidrome.core.files import finite, write_json

    posterior = estimator.posterior_
    estimator.save(config.output / "posterior.safetensors")
    _write_samples(
        posterior.sample(config.samples, seed=config.seed).values, posterior.names, config.output / "samples.csv"
    )
    table = posterior.summary(seed=config.seed)
    summary = {
        "parameters": {
            name: {key: float(table[key][i]) for key in table.data_vars} | {"unit": posterior.prior.units[i]}
            for i, name in enumerate(posterior.names)
        },
        "rounds": [dataclasses.asdict(report) for report in posterior.reports],
        "notes": [*notes, *posterior.notes],
        "diagnosis": None if estimator.diagnosis_ is None else estimator.diagnosis_.to_dict(),
    }
    write_json(config.output / "summary.json", finite(summary))


def _write_samples(samples: numpy.ndarray, names: Sequence[str], path: Path) -> None:
    """Parameter sets (n, d) as a table: with eight digits, or all of them where a parameter varies by less."""
    import csv

    import numpy as np

    from antidrome.core.files import atomic_write

    narrow = np.ptp(samples, axis=0) < NARROW * np.abs(samples).max(axis=0)
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerow(names)
        np.savetxt(stream, samples, delimiter=",", fmt=["%.17g" if one else "%.8g" for one in narrow])


def _show(estimator: SNPE, config: Fit) -> None:
    """The parameters' table, notes and conclusions."""
    from antidrome.mechanism.diagnostics.diagnose import NOT_JUDGED
    from antidrome.report.table import figures

    posterior = estimator.posterior_
    summary = posterior.summary(seed=config.seed)
    table = new_table("parameter", "unit", *(intervals := ("median", "95 % interval", "prior's 95 %")), whole=intervals)
    for i, name in enumerate(posterior.names):
        low, high, median = figures(*(float(summary[key][i]) for key in ("low_95", "high_95", "median")))
        prior = figures(*(float(summary[key][i]) for key in ("prior_low_95", "prior_high_95")))
        table.add_row(
            unmarked(name), unmarked(posterior.prior.units[i]), median, f"{low} … {high}", " … ".join(prior)
        )  # fmt: skip
    console = new_console()
    console.print(table)
    for note in posterior.notes:
        console.print(printable(f"note: {note}"), markup=False)
    judged = estimator.diagnosis_
    for sentence in (NOT_JUDGED,) if judged is None else judged.conclusions:
        console.print(printable(sentence), markup=False)
    console.print(printable(f"Written to {config.output}"), markup=False)

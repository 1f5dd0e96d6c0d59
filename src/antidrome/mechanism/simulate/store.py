"""The store of simulations: a folder of append-only files, one for each shard that writes.

For every simulation it keeps its number and round, parameters, features, validity, seed, the log density of the
proposal that it was drawn from, and, in the rounds of a fit, whether that covers the prior; for failures also why. Any
number of processes may write, each its own file; reading puts them together.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import struct
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.errors import FileFormatError, InputError, ResumeError
from antidrome.mechanism.simulate import records
from antidrome.mechanism.simulate.batch import Failure
from antidrome.mechanism.simulate.parameters import SAME_DRAW
from antidrome.mechanism.simulate.records import RecordFile, read_header, read_records, require_same_header

FORMAT = "antidrome simulations"
FORMAT_VERSION = 1
SUFFIX = ".simulations"
FAILURE_BYTES = 2**17
"""More than a failure takes in a record, its traceback escaped."""
_HEAD = struct.Struct("<II")


@dataclasses.dataclass(frozen=True)
class Simulations:
    """Simulations with all that is known of them, in the order of their rounds and numbers.

    Parameters
    ----------
    theta, features
        (n, d) and (n, k) float64; NaN where a feature is missing.
    valid
        (n,) bool; False where the simulation failed.
    seed
        (n,) uint64.
    round
        (n,) int32.
    index
        (n,) int64, number within the round.
    log_density
        (n,) float64, of the proposal at theta; NaN where nobody gave it.
    failures
        Records of the failed ones; their index is the row here.
    parameter_names, feature_names, feature_units
        Names of the columns, units of the features.
    drawn_from
        The prior that the parameters were drawn from (`Prior.to_dict`), where that was kept with them, as ``antidrome
        mechanism simulate`` does; a fit with another one is refused.
    covers_prior
        (n,) float64: 1 where the proposal draws from all of the prior, 0 where it may leave out a part of it, NaN where
        nobody said; None where nobody said it of any.
    """

    theta: np.ndarray
    features: np.ndarray
    valid: np.ndarray
    seed: np.ndarray
    round: np.ndarray
    index: np.ndarray
    log_density: np.ndarray
    failures: tuple[Failure, ...]
    parameter_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    feature_units: tuple[str, ...]
    drawn_from: Mapping[str, Any] | None = None
    covers_prior: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.theta)

    def of_round(self, round_: int) -> Simulations:
        """The simulations of one round."""
        return self.rows(np.flatnonzero(self.round == round_))

    def rows(self, rows: np.ndarray) -> Simulations:
        """Some of the simulations, in the order given."""
        place = {int(row): i for i, row in enumerate(rows)}
        failures = tuple(
            dataclasses.replace(failure, index=place[failure.index])
            for failure in self.failures
            if failure.index in place
        )
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        covers = None if self.covers_prior is None else self.covers_prior[rows]
        ordered = tuple(sorted(failures, key=lambda f: f.index))
        return dataclasses.replace(self, failures=ordered, covers_prior=covers, **columns)


_COLUMNS = {
    "index": "<i8",
    "seed": "<u8",
    "round": "<i4",
    "valid": "u1",
    "log_density": "<f8",
    "theta": "<f8",
    "features": "<f8",
}
"""The columns of a record and their types, in the order in which they stand there."""


class SimulationStore:
    """Simulations on disk: append, resume, merge.

    Parameters
    ----------
    folder
        The folder; made if it is not there.
    parameter_names, feature_names, feature_units
        What the columns are. A folder with other columns is refused.
    simulator
        Anything JSON-ready that identifies the simulator and its settings; compared on resuming.
    shard
        Name of this writer's file; several processes need several.

    Raises
    ------
    ResumeError
        If the folder holds other simulations, or another process writes the same shard.

    Examples
    --------
    >>> with SimulationStore("sims", parameter_names=("a",), feature_names=("x",)) as store:
    ...     store.append(np.arange(2), np.ones((2, 1)), np.ones((2, 1)), np.ones(2, bool), np.arange(2))
    >>> len(read_simulations("sims"))
    2
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        parameter_names: Sequence[str],
        feature_names: Sequence[str],
        feature_units: Sequence[str] | None = None,
        simulator: Any = None,
        shard: str = "all",
    ) -> None:
        self.folder = Path(folder)
        units = feature_units or [""] * len(feature_names)
        self.header = _header(parameter_names, feature_names, units, simulator)
        for path in files_of(self.folder):
            require_same_header(read_header(path), self.header, path)
        if not shard or any(not (c.isalnum() or c in "-_") for c in shard):
            raise InputError(f"shard is {shard!r}; expected letters, digits, - and _.")
        self._file = RecordFile(self.folder / f"{shard}{SUFFIX}", self.header)
        self._lock = threading.Lock()

    def append(
        self,
        index: np.ndarray,
        theta: np.ndarray,
        features: np.ndarray,
        valid: np.ndarray,
        seed: np.ndarray,
        *,
        round_: int = 0,
        log_density: np.ndarray | None = None,
        covers_prior: bool | None = None,
        failures: Sequence[Failure] = (),
    ) -> None:
        """Write finished simulations as one record, or several where one would be too long; the index of a failure is
        its row in this call, and `covers_prior` is said of the proposal of all of them."""
        n = len(index)
        density = np.full(n, np.nan) if log_density is None else log_density
        shapes = ((n, len(self.header["parameters"])), (n, len(self.header["features"])))
        if (np.shape(theta), np.shape(features)) != shapes or len(valid) != n or len(seed) != n or len(density) != n:
            raise InputError(
                f"Simulations to store have shapes {np.shape(theta)} and {np.shape(features)}, expected {shapes[0]} and"
                f" {shapes[1]}."
            )
        columns = {
            "index": index,
            "seed": seed,
            "round": np.full(n, round_),
            "valid": valid,
            "log_density": density,
            "theta": theta,
            "features": features,
        }
        table = {name: np.asarray(columns[name], kind) for name, kind in _COLUMNS.items()}
        size = sum(column.itemsize * math.prod(column.shape[1:]) for column in table.values())
        rows = max(1, (records.MAX_RECORD_BYTES - _HEAD.size) // (size + (FAILURE_BYTES if failures else 0)))
        with self._lock:
            for start in range(0, max(1, n), rows):
                of = {name: column[start : start + rows] for name, column in table.items()}
                failed = [failure for failure in failures if start <= failure.index < start + rows]
                failed = [dataclasses.replace(failure, index=failure.index - start) for failure in failed]
                self._file.append(_packed(of, failed, covers_prior))

    def read(self) -> Simulations:
        """Everything in the folder, of all shards."""
        return read_simulations(self.folder)

    def close(self) -> None:
        """Bring everything to the disk and let go of the file."""
        self._file.close()

    def __enter__(self) -> SimulationStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def files_of(folder: str | os.PathLike[str]) -> list[Path]:
    """The files of a store that hold a whole header, in the order of their names."""
    return [path for path in sorted(Path(folder).glob(f"*{SUFFIX}")) if path.stat().st_size and _has_header(path)]


def read_simulations(folder: str | os.PathLike[str]) -> Simulations:
    """Read a store: all shards together, in order, each simulation once.

    Raises
    ------
    InputError
        If there is no store.
    FileFormatError
        If a file is damaged.
    ResumeError
        If shards hold different simulations under the same number.
    """
    files = files_of(folder)
    if not files:
        raise InputError(f"{folder}: no simulations are stored there (no *{SUFFIX} file).")
    header = read_header(files[0])
    _require_format(header, files[0])
    parts = [{name: np.empty(shape, _COLUMNS[name]) for name, shape in _shapes(0, header).items()}]
    covers = [np.empty(0)]
    failures: list[Failure] = []
    n_rows = 0
    for path in files:
        require_same_header(read_header(path), header, path)
        for offset, payload in read_records(path):
            part, failed, told = _unpack(payload, header, f"{path}, byte {offset}")
            failures += [dataclasses.replace(failure, index=failure.index + n_rows) for failure in failed]
            n_rows += len(part["index"])
            parts.append(part)
            covers.append(np.full(len(part["index"]), np.nan if told is None else float(told)))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in _COLUMNS}
    columns["valid"] = columns["valid"].astype(bool)
    whole = Simulations(
        **columns,
        failures=tuple(failures),
        parameter_names=tuple(header["parameters"]),
        feature_names=tuple(header["features"]),
        feature_units=tuple(header["units"]),
        drawn_from=_prior_in(header.get("simulator")),
        covers_prior=None if np.isnan(told := np.concatenate(covers)).all() else told,
    )
    return whole.rows(_first_of_each(whole, Path(folder)))


def _prior_in(identity: Any) -> Mapping[str, Any] | None:
    """The prior in what identifies a simulator; None if there is none, or what a user calls so is no description."""
    prior = identity.get("prior") if isinstance(identity, dict) else None
    return prior if isinstance(prior, dict) and "distributions" in prior else None


def simulator_of(folder: str | os.PathLike[str]) -> Any:
    """What is kept in a store of the simulator that its simulations are of; None if there is no store."""
    files = files_of(folder)
    return read_header(files[0]).get("simulator") if files else None


def _first_of_each(whole: Simulations, folder: Path) -> np.ndarray:
    """Rows sorted by round and number, without repetitions (shards cut differently may overlap).

    Their parameters may differ by what the rounding of different processors makes of the same draw.
    """
    order = np.lexsort((np.arange(len(whole)), whole.index, whole.round))
    same = np.zeros(len(order), bool)
    same[1:] = (np.diff(whole.index[order]) == 0) & (np.diff(whole.round[order]) == 0)
    again = np.flatnonzero(same)
    theta = whole.theta[order]
    slack = SAME_DRAW * np.ptp(theta, axis=0) if len(again) else 0.0
    differ = again[~(np.abs(theta[again] - theta[again - 1]) <= slack).all(axis=1)]
    if len(differ):
        row = order[differ[0]]
        raise ResumeError(
            f"{folder} holds two simulations number {whole.index[row]} of round {whole.round[row]} with different"
            " parameters: its shards come from different runs. Keep those of one run."
        )
    return order[~same]


def _header(parameters: Sequence[str], features: Sequence[str], units: Sequence[str], simulator: Any) -> dict[str, Any]:
    if len(units) != len(features):
        raise InputError(f"{len(units)} units were given for {len(features)} features.")
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "parameters": list(map(str, parameters)),
        "features": list(map(str, features)),
        "units": list(map(str, units)),
        "simulator": _as_read(simulator),
    }


def _as_read(simulator: Any) -> Any:
    """What identifies a simulator as it is read from a file again (tuples are lists there), or InputError."""
    try:
        return json.loads(json.dumps(simulator))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"What identifies the simulator cannot be written as JSON: {error}. Give text, numbers, and lists and"
            " mappings of these."
        ) from error


def _has_header(path: Path) -> bool:
    with open(path, "rb") as stream:
        return b"\n" in stream.read(2**24)


def _require_format(header: dict[str, Any], path: Path) -> None:
    lists = all(isinstance(header.get(name), list) for name in ("parameters", "features", "units"))
    if header.get("format") != FORMAT or not lists:
        raise FileFormatError(f"{path} is not a file of simulations of Antidrome.")
    if header.get("version") != FORMAT_VERSION:
        raise FileFormatError(f"{path} has format {header.get('version')}, this Antidrome reads {FORMAT_VERSION}.")


def _shapes(n: int, header: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of the columns of `n` simulations."""
    widths = {"theta": len(header["parameters"]), "features": len(header["features"])}
    return {name: (n, widths[name]) if name in widths else (n,) for name in _COLUMNS}


def _packed(columns: dict[str, np.ndarray], failures: Sequence[Failure], covers_prior: bool | None) -> bytes:
    """Columns, failures, and what is known of the proposal as a record; `_unpack` reads it."""
    told: Any = [dataclasses.asdict(failure) for failure in failures]
    if covers_prior is not None:
        told = {"covers_prior": bool(covers_prior), "failures": told}
    text = json.dumps(told).encode() if told else b""
    content = b"".join(column.tobytes() for column in columns.values())
    return _HEAD.pack(len(columns["index"]), len(text)) + content + text


def _unpack(
    payload: bytes, header: dict[str, Any], where: str
) -> tuple[dict[str, np.ndarray], list[Failure], bool | None]:
    """Columns and failures of a record, and whether its proposal covers the prior (None where it is not said)."""
    n, n_text = _HEAD.unpack_from(payload)
    shapes = _shapes(n, header)
    sizes = {name: np.dtype(_COLUMNS[name]).itemsize * math.prod(shape) for name, shape in shapes.items()}
    if _HEAD.size + sum(sizes.values()) + n_text != len(payload):
        raise FileFormatError(f"{where}: a record of {len(payload)} bytes does not hold {n} simulations.")
    columns, start = {}, _HEAD.size
    for name, shape in shapes.items():
        columns[name] = np.frombuffer(payload[start : start + sizes[name]], _COLUMNS[name]).reshape(shape)
        start += sizes[name]
    told = json.loads(payload[start:]) if n_text else []
    covers_prior = told["covers_prior"] if isinstance(told, dict) else None
    failures = [Failure(**values) for values in (told["failures"] if isinstance(told, dict) else told)]
    return columns, failures, covers_prior

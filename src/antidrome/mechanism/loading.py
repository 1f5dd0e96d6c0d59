"""Models and measurements from files: Python with a simulator and a prior; features from JSON, CSV, npz or npy."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.errors import FileFormatError, InputError
from antidrome.mechanism.models.model import Model
from antidrome.mechanism.priors import Prior, as_prior
from antidrome.recordings.archives import load_npz

MAX_BYTES = 100 * 2**20
MISSING = ("", "nan", "na", "n/a", "null", "none")
"""What may stand in a table for a value that was not measured."""


def read_model(where: str) -> Model:
    """A model of `antidrome.mechanism.models` by name, or that of ``FILE.py`` or ``package.module``: its objects
    ``simulator`` and ``prior``.

    With ``FILE.py:NAME`` (or ``package.module:NAME``) the object NAME: one with attributes ``simulator`` and ``prior``,
    one with ``run`` and ``prior``, or a function, whose prior is the module's.

    Raises
    ------
    InputError
        No such file, module or object, an error while it is imported or its prior is made, or no prior.
    """
    if where.isidentifier():
        from antidrome.mechanism.models.catalogue import named_model

        return named_model(where)
    place, _, name = where.rpartition(":") if ":" in where[2:] else (where, "", "")
    module = _import(place)
    found = getattr(module, name, None) if name else module
    if found is None:
        raise InputError(f"{place} defines no {name!r}.")
    simulator = getattr(found, "simulator", None)
    if simulator is None and (callable(found) or hasattr(found, "run")):
        simulator = found
    prior = getattr(found, "prior", None) or getattr(module, "prior", None)
    if simulator is None or prior is None:
        lacking = "simulator" if simulator is None else "prior"
        raise InputError(
            f"{where} has no {lacking!r}. A model file defines simulator (a function of the parameters) and prior (a"
            " Prior, or a mapping of parameter names to distributions)."
        )
    return Model(where, simulator, as_prior(_made(prior, where)))


def read_observation(path: str | Path) -> Any:
    """Features of one measurement: names and values from JSON or CSV, an array from npy; NaN, null or nothing: missing.

    Raises
    ------
    FileFormatError
        The file is not one of these, or does not hold one measurement.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"{path}: there is no such file.")
    if path.stat().st_size > MAX_BYTES:
        raise FileFormatError(f"{path}: {path.stat().st_size:,} bytes are too many for the features of a measurement.")
    readers = {".json": _from_json, ".csv": _from_csv, ".npy": _from_npy, ".npz": _from_npz}
    if path.suffix.lower() not in readers:
        raise FileFormatError(f"{path}: expected a file ending in {', '.join(readers)}.")
    return readers[path.suffix.lower()](path)


def _made(prior: Any, where: str) -> Any:
    """A prior, or what a function without arguments returns for one."""
    if not callable(prior) or isinstance(prior, Prior):
        return prior
    try:
        return prior()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"The prior of {where} cannot be made: {type(error).__name__}: {error}") from error


def _import(place: str) -> Any:
    path = Path(place)
    try:
        if path.suffix != ".py":
            _find_modules_in(Path.cwd())
            return importlib.import_module(place)
        if not path.is_file():
            raise InputError(f"{place}: there is no such file.")
        _find_modules_in(path.resolve().parent)
        specification = importlib.util.spec_from_file_location(f"antidrome_model_{path.stem}", path)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        sys.modules[specification.name] = module  # simulator processes look their functions up here
        specification.loader.exec_module(module)
        return module
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{place} cannot be imported: {type(error).__name__}: {error}") from error


def _find_modules_in(folder: Path) -> None:
    """Let imports find the modules of a folder, as ``python FILE.py`` does; simulator processes take the path over."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _from_json(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text, object_pairs_hook=lambda pairs: _by_feature(pairs, path))
    except FileFormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path}: this is not JSON ({error}).") from error
    if isinstance(values, dict):
        return {str(name): np.nan if value is None else _number(value, path, name) for name, value in values.items()}
    if isinstance(values, list):
        return np.array([np.nan if v is None else _number(v, path, i) for i, v in enumerate(values)])
    raise FileFormatError(f"{path}: expected an object of feature names and values, or a list of values.")


def _from_csv(path: Path) -> dict[str, float]:
    import csv

    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = [[cell.strip() for cell in row] for row in csv.reader(stream) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"{path}: this is not a table ({error}).") from error
    if _is_header_over_values(rows):
        pairs = list(zip(*rows, strict=True))
    elif rows and all(len(row) == 2 for row in rows):
        pairs = [(name, value) for name, value in rows[_is_heading(rows[0]) :]]
    else:
        raise FileFormatError(
            f"{path}: expected feature names in the first row and values in the second, or two columns, name and value."
        )
    known = [(name, "nan" if value.lower() in MISSING else value) for name, value in pairs]
    return _by_feature([(name, _number(value, path, name)) for name, value in known], path)


def _is_header_over_values(rows: list[list[str]]) -> bool:
    """Whether names stand over values. Two rows of two cells may be two pairs: then a name begins the second row.

    "NA" may be a name (sodium) or a missing value: it begins a row of values if no such word ends the first row, and
    the first row does not head names and values.
    """
    if len(rows) != 2 or len(rows[0]) != len(rows[1]):
        return False
    if len(rows[0]) != 2:
        return True
    begins, ends = rows[1][0].lower(), rows[0][1].lower()
    is_gap = begins in MISSING and ends not in MISSING and not _is_heading(rows[0])
    names_nothing = not _is_name(begins) or is_gap
    return all(map(_is_name, rows[0])) and names_nothing


def _is_heading(row: list[str]) -> bool:
    """Whether a row of two cells heads the columns of names and values."""
    name, value = (cell.lower() for cell in row)
    return not _is_number(value) and (name in ("feature", "features", "name", "names") or value in ("value", "values"))


def _is_name(cell: str) -> bool:
    return bool(cell) and not _is_number(cell)


def _by_feature(pairs: list[tuple[str, Any]], path: Path) -> dict[str, Any]:
    """The pairs as a mapping; a feature that stands there twice is refused."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise FileFormatError(f"{path} has the feature {name!r} twice; keep the value that holds.")
        found[name] = value
    return found


def _from_npy(path: Path) -> np.ndarray:
    try:
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy answers damage with errors of every kind, TokenError among them
        raise FileFormatError(f"{path}: this is not an array of numbers ({error}).") from error
    if values.dtype.kind not in "biuf":
        raise FileFormatError(f"{path}: the array holds {values.dtype}; expected numbers.")
    return np.asarray(values, float).ravel()


def _from_npz(path: Path) -> dict[str, np.ndarray]:
    arrays = load_npz(path, max_bytes=MAX_BYTES)
    for name, value in arrays.items():
        if value.dtype.kind not in "biuf":
            raise FileFormatError(f"{path}: the array {name!r} holds {value.dtype}; expected numbers.")
    return {name: np.asarray(value, float) for name, value in arrays.items()}


def _number(value: Any, path: Path, name: Any) -> float:
    if not _is_number(value):
        raise FileFormatError(f"{path}: the value of {name!r} is {value!r}; expected a number, or null if missing.")
    return float(value)


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return not isinstance(value, bool)

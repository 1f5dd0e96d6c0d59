"""Simulations that were made elsewhere: parameters out as a table, features back in."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from antidrome.core.files import atomic_write
from antidrome.errors import FileFormatError, InputError
from antidrome.mechanism.labelled import in_rows_of, labelled
from antidrome.mechanism.simulate.batch import Missing, check_missing, check_theta, judge
from antidrome.mechanism.simulate.outputs import default_names, default_parameter_names
from antidrome.mechanism.simulate.store import Simulations
from antidrome.recordings.archives import load_npz
from antidrome.recordings.csv_files import load_table
from antidrome.recordings.headings import names_nothing
from antidrome.recordings.safety import require_file

MAX_TABLE_BYTES = 4 * 2**30


def write_parameters(path: str | os.PathLike[str], theta: np.ndarray, parameter_names: Sequence[str]) -> None:
    """Write parameters as a CSV table, one row a simulation, for a simulator that runs elsewhere."""
    theta = check_theta(theta, tuple(parameter_names))
    if len(parameter_names) != theta.shape[1]:
        raise InputError(f"{len(parameter_names)} parameter names were given for {theta.shape[1]} parameters.")
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(parameter_names)
        writer.writerows([repr(float(value)) for value in row] for row in theta)


def external_simulations(
    theta: Any,
    features: Any,
    *,
    parameter_names: Sequence[str] | None = None,
    feature_names: Sequence[str] | None = None,
    log_density: Any = None,
    missing: Missing = "feature",
) -> Simulations:
    """Parameters and features that somebody else simulated, as `Simulations`.

    Parameters
    ----------
    theta, features
        (n, d) and (n, k): arrays, or tables with named columns (pandas, xarray), which given names order or rename.
        Rows with labels (pandas, xarray) belong together by these. Rows of nothing but NaN, and infinite ones, are
        failed simulations.
    log_density
        (n,) log density of what theta was drawn from, with labels as the features; not needed if that was the prior.

    Raises
    ------
    InputError
        If the numbers of rows differ, their labels, or names and columns; or there is no such meaning of ``missing``.
    """
    features, log_density = in_rows_of(theta, features), in_rows_of(theta, log_density)
    names, theta = _arranged(theta, parameter_names)
    k_names, features = _arranged(features, feature_names)
    parameters = check_theta(theta)
    values = np.asarray(features, np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) != len(parameters):
        raise InputError(f"Features of shape {values.shape} do not belong to parameters of shape {parameters.shape}.")
    names = names or default_parameter_names(parameters.shape[1])
    k_names = k_names or default_names(values.shape[1])
    if (len(names), len(k_names)) != (parameters.shape[1], values.shape[1]):
        raise InputError(
            f"{len(names)} and {len(k_names)} names were given for {parameters.shape[1]} parameters and"
            f" {values.shape[1]} features."
        )
    batch = judge(values, check_missing(missing))
    n = len(values)
    if log_density is not None and np.shape(log_density) != (n,):
        raise InputError(f"log_density has shape {np.shape(log_density)}; expected ({n},), one for each simulation.")
    return Simulations(
        theta=parameters,
        features=batch.features,
        valid=batch.valid,
        seed=np.zeros(n, np.uint64),
        round=np.zeros(n, np.int32),
        index=np.arange(n),
        log_density=np.full(n, np.nan) if log_density is None else np.asarray(log_density, np.float64),
        failures=batch.failures,
        parameter_names=tuple(map(str, names)),
        feature_names=tuple(map(str, k_names)),
        feature_units=("",) * values.shape[1],
    )


def _arranged(table: Any, wanted: Sequence[str] | None) -> tuple[tuple[Any, ...], Any]:
    """Names of a table's columns, and the table: in the order of the wanted names if it has these, else as it is."""
    names = tuple(() if wanted is None else wanted)
    given, columns = labelled(table)
    if names and len(set(given)) == len(given) and set(names) == set(given):
        columns = np.asarray(columns)[:, [given.index(name) for name in names]]
    return names or given, columns


def read_external(
    path: str | os.PathLike[str], *, parameter_names: Sequence[str] | None = None, missing: Missing = "feature"
) -> Simulations:
    """Read simulations from a CSV table or a ``.npz`` file.

    Parameters
    ----------
    path
        A table with a header, whose columns named in ``parameter_names`` are parameters and all others features; or an
        archive with arrays ``theta`` (n, d) and ``x`` (n, k).

    Raises
    ------
    FileFormatError
        If the file is not what it should be; with row and column.
    """
    path = require_file(path)
    if path.suffix.lower() == ".npz":
        arrays = load_npz(path, max_bytes=MAX_TABLE_BYTES)
        if not {"theta", "x"} <= set(arrays):
            raise FileFormatError(f"{path} holds {', '.join(sorted(arrays))}; expected the arrays theta and x.")
        return external_simulations(arrays["theta"], arrays["x"], parameter_names=parameter_names, missing=missing)
    header, values = load_table(path, MAX_TABLE_BYTES)
    if header is None or len(set(header)) != len(header):
        raise FileFormatError(f"{path} needs a header that names each of its columns once.")
    names = tuple(() if parameter_names is None else parameter_names)
    absent = [name for name in names if name not in header]
    if not names or absent:
        raise InputError(
            f"{path} has the columns {', '.join(header)}; say which are parameters with parameter_names"
            + (f" ({absent[0]!r} is not there)." if absent else ".")
        )
    columns = [header.index(name) for name in names]
    rest = [i for i, name in enumerate(header) if i not in columns and not names_nothing(name)]  # of an index
    if not rest:
        raise FileFormatError(f"{path} has no column of features beside the parameters.")
    return external_simulations(
        values[:, columns],
        values[:, rest],
        parameter_names=names,
        feature_names=[header[i] for i in rest],
        missing=missing,
    )

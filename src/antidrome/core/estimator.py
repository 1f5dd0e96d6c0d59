"""What the estimators share beside scikit-learn's verbs: how they show themselves, and that they are no pickles."""

from __future__ import annotations

import copy
import html
import importlib
import inspect
from typing import Any, NoReturn

import numpy as np
from sklearn.base import BaseEstimator

import antidrome.recordings.accessor  # noqa: F401  registers .antidrome of labelled results

MOST_NOTES = 6


class Drawn:
    """What `antidrome.plot` draws, with that as a method."""

    def plot(self, *, backend: str = "bokeh") -> Any:
        """Draw what was fitted, as `antidrome.plot` does.

        Parameters
        ----------
        backend
            "bokeh", or "matplotlib" where it is installed.

        Returns
        -------
        A bokeh figure, or a matplotlib `Axes`.

        Raises
        ------
        InputError
            If nothing is fitted yet, or matplotlib is not installed.
        """
        # pictures stand above the methods, which stand above this file: only the public face knows them all
        return importlib.import_module("antidrome").plot(self, backend=backend)


class Estimator(Drawn, BaseEstimator):
    """An estimator that is saved with ``save`` and opened with ``load``, never pickled, and shown in notebooks."""

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Refuse to be pickled.

        Raises
        ------
        TypeError
            Always: a pickle can run code when it is opened, and does not open with another version.
        """
        name = type(self).__name__
        raise TypeError(
            f"A {name} is not pickled: a pickle can run code when it is opened, and another version may not open it."
            f" Use .save(path) and {name}.load(path)."
        )

    def __copy__(self) -> Estimator:
        """Another estimator with the same settings and the same fitted attributes."""
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Estimator:
        """Another estimator with copies of the settings and of the fitted attributes."""
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return made

    def _repr_html_(self) -> str:
        """Settings that are not the default, what was fitted, and the notes, for notebooks."""
        return _page(self)


def _page(estimator: Estimator) -> str:
    name = type(estimator).__name__
    chosen = _rows(_changed(estimator))
    found = _rows({key: _brief(value) for key, value in _fitted(estimator).items()})
    notes = [str(note) for note in getattr(estimator, "notes_", [])]
    listed = "".join(f"<li>{html.escape(note)}</li>" for note in notes[:MOST_NOTES])
    if len(notes) > MOST_NOTES:
        listed += f"<li>… and {len(notes) - MOST_NOTES} more in <code>notes_</code></li>"
    state = "fitted" if found else "not fitted yet"
    return (
        f"<div><strong>{html.escape(name)}</strong> <em>{state}</em>"
        + (f"<table><tbody>{chosen}</tbody></table>" if chosen else "")
        + (f"<table><tbody>{found}</tbody></table>" if found else "")
        + (f"<ul>{listed}</ul>" if listed else "")
        + "</div>"
    )


def _changed(estimator: Estimator) -> dict[str, str]:
    """Settings that differ from the constructor's defaults."""
    defaults = inspect.signature(type(estimator).__init__).parameters
    given = estimator.get_params(deep=False)
    return {name: repr(value) for name, value in given.items() if not _same(value, defaults[name].default)}


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(np.all(value == default)))


def _fitted(estimator: Estimator) -> dict[str, Any]:
    names = [name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")]
    return {name: getattr(estimator, name) for name in names if name != "notes_"}


def _brief(value: Any) -> str:
    """A fitted attribute in a few words."""
    if isinstance(value, float | np.floating):
        return f"{value:.4g}"
    if isinstance(value, bool | int | str | np.integer):
        return str(value)
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} {'×'.join(map(str, shape)) or 'scalar'}"
    if isinstance(value, list | tuple | dict):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def _rows(values: dict[str, str]) -> str:
    return "".join(
        f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(value[:120])}</td></tr>"
        for name, value in values.items()
    )

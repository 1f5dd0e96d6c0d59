"""The papers behind what was used: ``antidrome.cite(result)``.

Every result carries the keys of the works that made it (``attrs["citations"]``); recordings name the format that they
came in. The works themselves are registered in ``works.py``.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from antidrome.core.works import FORMATS, WORKS, Work
from antidrome.errors import InputError, did_you_mean


@dataclasses.dataclass(frozen=True)
class Citations:
    """The works behind a result; prints as text followed by BibTeX."""

    works: tuple[Work, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Their keys, in the order of the registry."""
        return tuple(work.key for work in self.works)

    @property
    def text(self) -> str:
        """One line a work, with what it is cited for."""
        return "\n".join(f"{work.role}: {work.text}" for work in self.works)

    @property
    def bibtex(self) -> str:
        """All BibTeX entries."""
        return "\n\n".join(work.bibtex for work in self.works)

    def __str__(self) -> str:
        return f"{self.text}\n\n{self.bibtex}\n"


def cite(*results: Any) -> Citations:
    """Return the works behind results: text and BibTeX.

    Parameters
    ----------
    results
        Results or recordings (their attributes name the works), fitted estimators, or keys such as
        ``"speiser2017"``; also lists and mappings of these.

    Raises
    ------
    InputError
        If an object names no work, or a key is unknown.

    Examples
    --------
    >>> cite("speiser2017").keys
    ('antidrome', 'speiser2017')
    """
    keys = {"antidrome"}
    for result in results:
        keys.update(_keys_of(result))
    unknown = sorted(keys - set(WORKS))
    if unknown:
        raise InputError(f"No work is registered as {unknown[0]!r}.{did_you_mean(unknown[0], WORKS)}")
    return Citations(tuple(work for key, work in WORKS.items() if key in keys))


def _keys_of(result: Any) -> set[str]:
    if isinstance(result, str):
        return {result}
    attributes = getattr(result, "attrs", None)
    if isinstance(attributes, Mapping):
        named = attributes.get("citations", [])
        named = json.loads(named) if isinstance(named, str) else named
        if attributes.get("source_format") in FORMATS:
            named = [*named, FORMATS[attributes["source_format"]]]
        if named:
            return set(map(str, named))
    elif isinstance(result, Mapping):
        return set().union(*map(_keys_of, result.values()))
    elif isinstance(result, Iterable):
        return set().union(*map(_keys_of, result))
    for name in ("citations_", "citations"):
        if isinstance(getattr(result, name, None), list | tuple):
            return set(map(str, getattr(result, name)))
    raise InputError(
        f"This {type(result).__name__} names no citations. Give a result of Antidrome, a fitted estimator, or a key"
        f" such as {', '.join(list(WORKS)[1:3])}."
    )

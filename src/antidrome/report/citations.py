"""The citations' section: the works behind everything that was used."""

from collections.abc import Iterable

from antidrome.core.citations import cite
from antidrome.core.works import WORKS
from antidrome.report.page import Part, render


def citations_part(keys: Iterable[str]) -> Part:
    """The works with these keys; keys of a newer version, unknown here, are left out."""
    found = cite([key for key in dict.fromkeys(keys) if key in WORKS])
    return Part(sections={"citations": render("citations", works=found.works, bibtex=found.bibtex)})

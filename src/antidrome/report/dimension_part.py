"""What the intrinsic dimension contributes to each section of the page."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from antidrome.report.page import Part, render

if TYPE_CHECKING:
    import xarray as xr


def population_part(found: "Mapping[str, xr.Dataset]") -> Part:
    """The share of the page of populations' dimensions.

    Parameters
    ----------
    found
        Session id to what `antidrome.dimension.population` returned.
    """
    statements = [f"{name}: {one.attrs['verdict']}" for name, one in found.items()]
    keys = sorted({str(key) for one in found.values() for key in one.attrs["citations"]})
    return Part(sections={"trust": render("statements", title="Dimension", statements=statements)}, citations=keys)

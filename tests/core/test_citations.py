"""Every result names the papers behind it."""

import json
import re

import numpy as np
import pytest
import xarray as xr

from antidrome.core.citations import cite
from antidrome.core.works import FORMATS, WORKS
from antidrome.errors import InputError


class Estimator:
    citations = ("ansuini2019",)


@pytest.mark.parametrize(
    ("result", "keys"),
    [
        ("nonnenmacher2017", {"nonnenmacher2017"}),
        (xr.Dataset(attrs={"citations": json.dumps(["speiser2017"])}), {"speiser2017"}),
        (xr.Dataset(attrs={"citations": ["speiser2017"], "source_format": "nwb"}), {"speiser2017", "rubel2022"}),
        (xr.DataArray(np.zeros(2), attrs={"source_format": "suite2p"}), {"pachitariu2017"}),
        (Estimator(), {"ansuini2019"}),
        ([Estimator(), "lueckmann2017"], {"ansuini2019", "lueckmann2017"}),
        ({"session-1": xr.Dataset(attrs={"citations": '["speiser2017"]'})}, {"speiser2017"}),
    ],
)
def test_works_are_found(result: object, keys: set[str]) -> None:
    assert set(cite(result).keys) == keys | {"antidrome"}


def test_text_and_bibtex_are_complete() -> None:
    citations = cite(*WORKS)
    assert citations.keys == tuple(WORKS)
    assert "Speiser et al. (2017). Fast amortized inference" in citations.text
    assert str(citations).count("@") == len(WORKS)
    for work in WORKS.values():
        assert work.bibtex.count("{") == work.bibtex.count("}")
        assert re.match(r"@\w+\{" + work.key + ",\n", work.bibtex)
        assert {"author", "title", "year"} <= work.fields.keys()
    assert set(FORMATS.values()) <= WORKS.keys()


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(InputError, match=r"registered as 'speiser2018'\. Did you mean 'speiser2017'"):
        cite("speiser2018")


@pytest.mark.parametrize("result", [3, xr.Dataset(), object()])
def test_what_names_no_work_is_an_error(result: object) -> None:
    with pytest.raises(InputError, match="names no citations"):
        cite(result)

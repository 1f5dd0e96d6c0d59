"""Configurations round-trip, and refuse what they do not know."""

import dataclasses
import enum
import json
import pathlib
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antidrome.core.configuration import from_dict, settle_numbers, to_dict
from antidrome.errors import InputError, did_you_mean


class Shade(enum.Enum):
    LIGHT = "light"
    DARK = "dark"


@dataclasses.dataclass(frozen=True)
class Inner:
    tau_s: float = 0.4
    order: Literal[1, 2] = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    frame_rate_hz: float
    inner: Inner = Inner()
    sizes: tuple[int, ...] = (20, 20)
    window: tuple[float, float] = (0.1, 0.9)
    folder: pathlib.Path | None = None
    names: dict[str, int] = dataclasses.field(default_factory=dict)
    labels: list[str] = dataclasses.field(default_factory=list)
    shade: Shade = Shade.LIGHT
    fast: bool = False


@given(
    st.builds(
        Outer,
        frame_rate_hz=st.floats(allow_nan=False),
        inner=st.builds(Inner, tau_s=st.floats(0, 10), order=st.sampled_from([1, 2])),
        sizes=st.lists(st.integers()).map(tuple),
        folder=st.none() | st.sampled_from([pathlib.Path("a/b"), pathlib.Path("/c")]),
        names=st.dictionaries(st.text(), st.integers()),
        labels=st.lists(st.text()),
        shade=st.sampled_from(Shade),
        fast=st.booleans(),
    )
)
def test_json_and_back_is_the_same(configuration: Outer) -> None:
    values = to_dict(configuration)
    assert from_dict(Outer, values) == configuration
    assert from_dict(Outer, json.loads(json.dumps(values, allow_nan=False))) == configuration


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"frame_rate": 30.0}, r"run\.json: Outer has no setting 'frame_rate'\. Did you mean 'frame_rate_hz'\?"),
        ({}, "Outer needs a value for 'frame_rate_hz'"),
        ({"frame_rate_hz": "30"}, r"Outer\.frame_rate_hz is '30' \(str\); it needs float"),
        ({"frame_rate_hz": True}, "it needs float"),
        ({"frame_rate_hz": 30, "inner": {"order": 3}}, r"order is 3; it can be 1, 2"),
        ({"frame_rate_hz": 30, "inner": {"order": True}}, r"order is True"),
        ({"frame_rate_hz": 30, "inner": {"taus": 3}}, "Inner has no setting 'taus'. Did you mean 'tau_s'"),
        ({"frame_rate_hz": 30, "shade": "drak"}, "Did you mean 'dark'"),
        ({"frame_rate_hz": 30, "window": [1.0]}, "has 1 entries; it needs 2"),
        ({"frame_rate_hz": 30, "sizes": [1, 2.5]}, r"sizes\[1\] is 2.5"),
        ({"frame_rate_hz": 30, "labels": "abc"}, "it needs a list"),
        ({"frame_rate_hz": 30, "names": [1]}, "it needs a table"),
        ({"frame_rate_hz": 30, "folder": 3}, r"folder is 3 \(int\)"),
    ],
)
def test_what_does_not_fit_is_refused(values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_dict(Outer, values, where="run.json")


@pytest.mark.usefixtures("unchecked_types")
def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(InputError, match="expected a table"):
        from_dict(Inner, [1])


def test_values_that_json_cannot_hold_are_refused() -> None:
    with pytest.raises(InputError, match=r"Inner.tau_s is nan"):
        to_dict(Inner(tau_s=float("nan")))


def test_numbers_of_numpy_are_numbers(unchecked_types) -> None:
    told = to_dict(Outer(frame_rate_hz=np.float32(0.5), sizes=(np.int64(3), np.uint8(4))))
    assert json.loads(json.dumps(told)) == to_dict(Outer(frame_rate_hz=0.5, sizes=(3, 4)))
    with pytest.raises(InputError, match=r"Inner.tau_s is nan"):
        to_dict(Inner(tau_s=np.float32("nan")))


@dataclasses.dataclass(frozen=True)
class Mixed:
    rate_hz: float | None = None
    n: int = 0
    either: int | float = 0
    fast: bool = True
    names: tuple[str, ...] = ()


def test_equal_numbers_become_the_same_numbers(unchecked_types) -> None:
    settled = Mixed(rate_hz=30, n=np.int64(3), either=2, fast=True, names=("a",))
    settle_numbers(settled)
    assert repr(settled) == "Mixed(rate_hz=30.0, n=3, either=2, fast=True, names=('a',))"
    odd = Mixed(rate_hz=None, n=2.5, either=np.float32(0.5))
    settle_numbers(odd)
    assert repr(odd) == repr(Mixed(rate_hz=None, n=2.5, either=0.5)), "what does not fit is for others to refuse"


def test_a_far_name_gets_no_suggestion() -> None:
    assert did_you_mean("zebra", ["frame_rate_hz"]) == ""
    assert did_you_mean("cell_9", np.array(["cell_5"])) == " Did you mean 'cell_5'?"

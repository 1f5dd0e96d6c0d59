"""Which settings tell a simulator from another one: what kinds of values, and which attributes of an object."""

import datetime
import enum
import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from antidrome.core.model_files import save_model
from antidrome.errors import ResumeError
from antidrome.mechanism.simulate.identity import simulator_identity
from antidrome.mechanism.snapshots import CHECKPOINT_CLASS, FitCheckpoint


class Mode(enum.Enum):
    FAST = 1
    SLOW = 2


def simulate(theta: np.ndarray, given: Any = None) -> np.ndarray:
    return theta


class Holding:
    """A simulator with one setting."""

    def __init__(self, given: Any) -> None:
        self.given = given

    def __call__(self, theta: np.ndarray) -> np.ndarray:
        return theta


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (Path("first.swc"), Path("other.swc")),
        (Mode.FAST, Mode.SLOW),
        (range(3), range(9)),
        (slice(0, 3), slice(0, 9)),
        ({"na"}, {"k"}),
        (frozenset({"na", "k"}), frozenset({"na", "ca"})),
        (b"first", b"other"),
        (datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)),
        (np.datetime64("2020-01-01"), np.datetime64("2021-01-01")),
        (SimpleNamespace(n=3), SimpleNamespace(n=9)),
        (SimpleNamespace(inner=SimpleNamespace(n=[3])), SimpleNamespace(inner=SimpleNamespace(n=[9]))),
        ([Path("first.swc")], [Path("other.swc")]),
    ],
)
@pytest.mark.parametrize("made", [lambda given: functools.partial(simulate, given=given), Holding])
def test_another_value_is_another_simulator(first: Any, other: Any, made: Any) -> None:
    assert simulator_identity(made(first)) == simulator_identity(made(first))
    assert simulator_identity(made(first)) != simulator_identity(made(other))


def test_the_order_of_a_set_does_not_count() -> None:
    names = [f"name {i}" for i in range(50)]
    first, same = (simulator_identity(functools.partial(simulate, given=set(some))) for some in (names, names[::-1]))
    assert first == same


class Cell:
    """Steps follow from the constructor's arguments; calls and the last seed are counted while it runs."""

    def __init__(self, duration_ms: float) -> None:
        self.n_steps, self.calls, self.last, self.resets = int(duration_ms / 0.1), 0, 0, 0

        def count() -> None:
            self.resets += 1

        self.count = count

    @functools.cached_property
    def half(self) -> float:
        return self.n_steps / 2

    def __call__(self, theta: np.ndarray, seed: int) -> np.ndarray:
        self.calls += 1
        self.last, _ = seed, self.count()
        return theta * self.half


def test_whole_numbers_that_only_the_constructor_sets_count() -> None:
    cell = Cell(100.0)
    before = simulator_identity(cell)
    assert simulator_identity(Cell(300.0)) != before
    cell(np.ones(1), 7)
    assert cell.calls == cell.resets == 1
    assert simulator_identity(cell) == before, "a simulator that has run is the same one"
    assert simulator_identity(functools.partial(simulate, given=cell)) == simulator_identity(
        functools.partial(simulate, given=Cell(100.0))
    )


def test_a_class_without_source_tells_its_arguments_only() -> None:
    scope: dict[str, Any] = {"__name__": "elsewhere"}
    exec("class Bare:\n    def __init__(self, n):\n        self.n, self.calls = n, 0\n    __call__ = print", scope)
    first, same, other = scope["Bare"](1), scope["Bare"](1), scope["Bare"](2)
    same.calls = 5
    assert simulator_identity(first) == simulator_identity(same) != simulator_identity(other)


class Derived:
    """A simulator that makes something of what it gets."""

    def __init__(self, given: Any) -> None:
        self.scratch, self.n = Path(f"made-of-{given}"), len(str(given))

    def __call__(self, theta: np.ndarray) -> np.ndarray:
        return theta


def test_a_folder_that_an_object_makes_for_itself_does_not_count() -> None:
    assert simulator_identity(Derived("a")) == simulator_identity(Derived("b")) != simulator_identity(Derived("ab"))


def test_another_simulator_is_told_how_to_say_what_counts(tmp_path: Path) -> None:
    snapshot = FitCheckpoint(tmp_path / "fit.safetensors", {"simulator": "first", "seed": 0})
    save_model(snapshot.path, {}, class_name=CHECKPOINT_CLASS, config={"simulator": "other", "seed": 0})
    with pytest.raises(ResumeError, match=r"simulator differ.*identity_settings"):
        snapshot.restore()
    save_model(snapshot.path, {}, class_name=CHECKPOINT_CLASS, config={"simulator": "first", "seed": 1})
    with pytest.raises(ResumeError) as raised:
        snapshot.restore()
    assert "identity_settings" not in str(raised.value)

"""What is known of a simulator that is an object: the source of its classes, its slots, and records that it holds."""

import dataclasses
import linecache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest

from antidrome.mechanism.simulate.identity import simulator_identity

CELL = """
class Base:
    def __call__(self, a):
        return {"x": self.transformed(a)}

class Simulator(Base):
    offset = 1

    def __init__(self, gain, n_steps=3):
        self.gain, self.steps, self.calls = gain, n_steps, 0

    @property
    def doubled(self):
        return 2 * self.gain

    def transformed(self, a):
        self.calls += 1
        return self.offset + self.gain * a
"""


def of_notebook(text: str, number: int) -> type:
    """The class of a cell, which is in no file."""
    name = f"<cell {number}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), scope)
    return scope["Simulator"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("self.offset + self", "self.offset - self"),
        ("2 * self.gain", "3 * self.gain"),
        ("offset = 1", "offset = 2"),
        ('{"x": self', '{"x": -self'),
    ],
)
def test_the_classes_of_a_notebook_are_known_by_their_source(before: str, after: str) -> None:
    """A corrected method gave the posterior of the wrong one."""
    first, again, other = (
        of_notebook(text, i)(1.0) for i, text in enumerate([CELL, f"# moved\n{CELL}", CELL.replace(before, after)])
    )
    assert simulator_identity(first) == simulator_identity(again) != simulator_identity(other)
    again.transformed(1.0)
    assert simulator_identity(first) == simulator_identity(again), "a simulator that has run is the same one"
    assert simulator_identity(type(first)(1.0, 4)) != simulator_identity(first), "numbers of its constructor count"


class Slotted:
    """A simulator without a dictionary."""

    __slots__ = ("calls", "gain", "never")

    def __init__(self, gain: float) -> None:
        self.gain, self.calls = gain, 0

    def __call__(self, a: float) -> float:
        self.calls += 1
        return self.gain * a


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    gain: float

    def __call__(self, a: float) -> float:
        return self.gain * a


class Named(NamedTuple):
    gain: float

    def __call__(self, a: float) -> float:
        return self.gain * a


@dataclasses.dataclass
class Config:
    gain: float
    n_steps: int = 3
    inner: Any = None


class Holding:
    """A simulator that makes a record of its arguments."""

    def __init__(self, made: Any, gain: float) -> None:
        self.record = made(gain)

    def __call__(self, theta: np.ndarray) -> np.ndarray:
        return theta


def with_attrs(gain: float) -> Any:
    return pytest.importorskip("attrs").make_class("Settings", ["gain"])(gain)


RECORDS = [
    Config,
    Frozen,
    Named,
    with_attrs,
    lambda gain: SimpleNamespace(gain=gain),
    lambda gain: Config(0.0, inner=Config(gain)),
    lambda gain: Config(0.0, n_steps=int(gain)),
    lambda gain: Config(0.0, inner=[SimpleNamespace(gain=gain)]),
]


@pytest.mark.parametrize("made", [Slotted, Frozen, Named, *(lambda g, one=one: Holding(one, g) for one in RECORDS)])
def test_other_slots_and_records_are_another_simulator(made: Any) -> None:
    """The posterior of the first was returned for the other."""
    assert simulator_identity(made(1.0)) == simulator_identity(made(1.0)) != simulator_identity(made(2.0))


class Counting(Holding):
    """A simulator whose record changes while it runs."""

    def __init__(self) -> None:
        self.state, self.log, self.table = Config(0.0), Config(0.0, inner=[]), SimpleNamespace(rows={})

    def __call__(self, theta: np.ndarray) -> np.ndarray:
        self.state.gain += 1
        self.log.inner.append(theta.sum())
        self.table.rows["last"] = 1.0
        return theta


def test_records_that_change_while_it_runs_do_not_count() -> None:
    simulator, slotted = Counting(), Slotted(1.0)
    before = simulator_identity(simulator)
    simulator(np.ones(1)), slotted(1.0)
    assert simulator_identity(simulator) == before
    assert simulator_identity(slotted) == simulator_identity(Slotted(1.0))


@dataclasses.dataclass
class State:
    v: float = -65.0

    def step(self, current: float) -> None:
        self.v += current


class Stepping:
    """A simulator that is given a state, or makes one, and changes it by itself or by the state's own method."""

    def __init__(self, given: State) -> None:
        self.given, self.made = given, State()

    def __call__(self, theta: np.ndarray) -> np.ndarray:
        self.given.v += float(theta[0])
        self.made.step(float(theta[0]))
        return theta


class Driving:
    """A simulator whose state changes by the state's own method alone."""

    def __init__(self, state: State) -> None:
        self.state = state

    def __call__(self, theta: np.ndarray) -> np.ndarray:
        self.state.step(float(theta[0]))
        return theta


@pytest.mark.parametrize("kind", [Stepping, Driving])
def test_a_state_that_changes_while_it_runs_does_not_count(kind: Any) -> None:
    """A fit was not gone on with after one more call of the same simulator."""
    simulator = kind(State())
    before = simulator_identity(simulator)
    simulator(np.ones(1))
    assert simulator_identity(simulator) == before


def test_a_record_that_holds_itself_is_left_out() -> None:
    def turning(gain: float) -> Config:
        record = Config(gain)
        record.inner = record
        return record

    assert simulator_identity(Holding(turning, 1.0)) == simulator_identity(Holding(turning, 2.0))

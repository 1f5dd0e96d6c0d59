"""Every bad input and every injected fault of the documentation's table, as the table says."""

import importlib.util
import pathlib

import pytest


def _load():
    spec = importlib.util.spec_from_file_location("hazard_page", pathlib.Path(__file__).with_name("page.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGE = _load()
CASES = PAGE.load_cases()


@pytest.mark.parametrize("tried", CASES)
def test_what_happens_is_what_the_page_says(tried, tmp_path):
    _, function = CASES[tried]
    line = PAGE.row(tried, PAGE.outcome(function, tmp_path))
    assert line in PAGE.PAGE.read_text("utf-8").splitlines(), "if this is meant: python tests/hazards/page.py"


def test_the_page_holds_nothing_else():
    """What comes of each is held by the test above and those of the faults; here: no line too many, in this order."""
    written = PAGE.PAGE.read_text("utf-8").splitlines()
    outcomes = {line.split(" | ")[0]: line for line in reversed(written)}
    expected = list(PAGE.lines(lambda tried, function: outcomes.get(f"| {tried}", tried), PAGE.written_cells()))
    assert written == expected, "python tests/hazards/page.py writes the page anew"


@pytest.mark.parametrize("fault", PAGE.faults(), ids=lambda fault: fault["test"].split("::")[1])
def test_every_fault_has_a_test_that_says_what_happened(fault):
    assert PAGE.test_says(fault["test"])
    assert PAGE.written_cells().get(fault["test"], [PAGE.UNSAID]) != [PAGE.UNSAID], "page.py --slow"


def test_what_happened_is_held_to_the_page(monkeypatch, tmp_path):
    monkeypatch.delenv(PAGE.SAID, raising=False)
    test = "tests/core/test_files.py::test_writers_at_once_do_not_meet"
    cells = PAGE.written_cells()[test]
    PAGE.hold(test, cells[0], tmp_path)
    with pytest.raises(AssertionError, match="if this is meant"):
        PAGE.hold(test, "a mixture of both", tmp_path)
    with pytest.raises(AssertionError, match="no row"):
        PAGE.hold("tests/core/test_files.py::test_of_nothing", cells[0], tmp_path)

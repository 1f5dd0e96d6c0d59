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
    """What comes of each bad input is the test above; here: no line too many, none that is changed, in this order."""
    written = PAGE.PAGE.read_text("utf-8").splitlines()
    outcomes = {line.split(" | ")[0]: line for line in reversed(written)}
    expected = list(PAGE.lines(lambda tried, function: outcomes.get(f"| {tried}", tried)))
    assert written == expected, "python tests/hazards/page.py writes the page anew"


@pytest.mark.parametrize("fault", PAGE.faults(), ids=lambda fault: fault["test"].split("::")[1])
def test_every_fault_has_its_test(fault):
    assert PAGE.test_exists(fault["test"])

"""The page on what was tried to break Antidrome, written from what happens: ``python tests/hazards/page.py``.

Bad inputs are tried, and the tests of faults are run, which say what happened by the fixture ``happened``. Slow ones
run with ``--slow`` only; without it, what they said before stays.
"""

import ast
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from antidrome.errors import AntidromeError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "what_was_tried.md"
SAID = "ANTIDROME_FAULTS_SAID"  # the file in which tests note what happened, while the page is written
UNSAID = "(no test has said it)"
HEAD = """# What was tried to break it

Bad inputs, each given to Antidrome as you would give it, with the words that come back; then faults, injected by tests
in the middle of work. All words on what happened come from the tests, which fail when anything else happens
(`python tests/hazards/page.py` writes the page anew).
"""


def load_cases():
    """The table of bad inputs: what was tried to (group, function)."""
    cases = _loaded("hazard_cases", "cases.py")
    _loaded("hazard_job_cases", "job_cases.py")
    return cases.CASES


def _loaded(name, file):
    spec = importlib.util.spec_from_file_location(name, HERE / file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outcome(function, folder):
    """What came of a case, in words; an error that is not Antidrome's own goes through."""
    try:
        said = function(folder)
    except AntidromeError as error:
        said = f"refused: {error}"
    assert said, f"{function.__doc__ or function}: a case must end in an error or in words"
    return placeless(said.split("\nTraceback")[0], folder)  # where a simulator failed is of no interest here


def placeless(said, folder):
    """Words without the folder in which it happened."""
    return said.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "").replace(str(folder), "folder")


def row(tried, said):
    """A line of the table."""
    return f"| {tried} | {cell(said)} |"


def cell(said):
    """Words as a table holds them."""
    return " ".join(said.split()).replace("|", "/").replace("<", "&lt;").replace("*", chr(92) + "*")


def faults():
    """The injected faults: what was tried, and which test says what happened."""
    return tomllib.loads((HERE / "faults.toml").read_text("utf-8"))["fault"]


def test_says(name):
    """Whether a test ``path::function`` is there and says what happened."""
    path, function = name.split("::")
    if not (ROOT / path).exists():
        return False
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == function]
    calls = [node for test in tests for node in ast.walk(test) if isinstance(node, ast.Call)]
    return any(isinstance(call.func, ast.Name) and call.func.id == "happened" for call in calls)


def fault_row(fault, cells):
    """A line of the table of faults; what differs from variant to variant of its test stands line by line."""
    return f"| {fault['tried']} | {'<br>'.join(cells)} | `{fault['test'].replace('::', ' ')}` |"


def written_cells():
    """What the page says of every fault: test to the cells of its variants."""
    cells = {}
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("| ") and line.endswith("` |"):
            _, said, test = line.removeprefix("| ").removesuffix("` |").rsplit(" | ", 2)
            cells[test.removeprefix("`").replace(" ", "::")] = said.split("<br>")
    return cells


def hold(test, said, folder):
    """Compare what happened with the page; while the page is written, note it."""
    words = cell(placeless(said, folder))
    if notes := os.environ.get(SAID):
        with open(notes, "a", encoding="utf-8") as file:
            file.write(json.dumps([test, words]) + "\n")
    elif PAGE.exists():  # an installed package is tested without its documentation
        assert any(fault["test"] == test for fault in faults()), f"faults.toml has no row of {test}"
        assert words in written_cells().get(test, []), "if this is meant: python tests/hazards/page.py --slow"


def said_now(*, slow):
    """Run the tests of faults: test to what each variant said, once."""
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "said.jsonl"
        marker = "not browser" if slow else "not slow and not browser"
        command = [sys.executable, "-m", "pytest", "-q", "-m", marker, *(fault["test"] for fault in faults())]
        subprocess.run(command, check=True, cwd=ROOT, env=os.environ | {SAID: str(notes)})
        cells = {}
        for line in notes.read_text("utf-8").splitlines():
            test, said = json.loads(line)
            cells.setdefault(test, {})[said] = None
    return {test: list(said) for test, said in cells.items()}


def lines(outcome_of, cells):
    """The whole page, line by line; `outcome_of(tried, function)` gives the line of a bad input, `cells` the faults."""
    yield from [*HEAD.splitlines(), "", "## Bad inputs"]
    last = None
    for tried, (group, function) in load_cases().items():
        if group != last:
            yield from ["", f"### {group}", "", "| tried | what happened |", "|---|---|"]
            last = group
        yield outcome_of(tried, function)
    yield from ["", "## Faults injected", "", "| fault | what happens | held to it by |", "|---|---|---|"]
    for one in faults():
        yield fault_row(one, cells.get(one["test"], [UNSAID]))


def tried_now(tried, function):
    """The line of a bad input, tried in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return row(tried, outcome(function, Path(folder)))


if __name__ == "__main__":
    known = written_cells() | said_now(slow="--slow" in sys.argv)
    PAGE.write_text("\n".join(lines(tried_now, known)) + "\n", "utf-8")

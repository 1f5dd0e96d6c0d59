"""The page on what was tried to break Antidrome, written from what happens: ``python tests/hazards/page.py``."""

import ast
import importlib.util
import sys
import tempfile
import tomllib
from pathlib import Path

from antidrome.errors import AntidromeError

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "what_was_tried.md"
HEAD = """# What was tried to break it

Bad inputs, each given to Antidrome as you would give it, with the words that come back; then faults, injected by tests
in the middle of work. The page is written by the tests, which fail when anything else happens
(`python tests/hazards/page.py`).
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
    said = said.split("\nTraceback")[0]  # where a simulator failed is of no interest here
    return said.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "").replace(str(folder), "folder")


def row(tried, said):
    """A line of the table."""
    return f"| {tried} | {' '.join(said.split()).replace('|', '/').replace('<', '&lt;').replace('*', chr(92) + '*')} |"


def faults():
    """The injected faults: what was tried, what happened, which test holds it."""
    return tomllib.loads((HERE / "faults.toml").read_text("utf-8"))["fault"]


def test_exists(name):
    """Whether a test ``path::function`` is there."""
    path, function = name.split("::")
    if not (ROOT / path).exists():
        return False
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in ast.walk(tree))


def lines(outcome_of):
    """The whole page, line by line; `outcome_of(tried, function)` gives the line of a bad input."""
    yield from [*HEAD.splitlines(), "", "## Bad inputs"]
    last = None
    for tried, (group, function) in load_cases().items():
        if group != last:
            yield from ["", f"### {group}", "", "| tried | what happened |", "|---|---|"]
            last = group
        yield outcome_of(tried, function)
    yield from ["", "## Faults injected", "", "| fault | what happens | held to it by |", "|---|---|---|"]
    for one in faults():
        yield f"| {one['tried']} | {one['happened']} | `{one['test'].replace('::', ' ')}` |"


def tried_now(tried, function):
    """The line of a bad input, tried in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return row(tried, outcome(function, Path(folder)))


if __name__ == "__main__":
    PAGE.write_text("\n".join(lines(tried_now)) + "\n", "utf-8")

"""What the documentation tells people to type is still true: its commands parse, its names and arguments exist."""

import ast
import functools
import importlib
import inspect
import pathlib
import re
import shlex

import pytest
import tyro

import antidrome as ad
from antidrome.cli.app import COMMANDS, load_command

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if page.is_file() and "_build" not in page.parts]
if len(PAGES) < 2:
    pytest.skip("the documentation is not here", allow_module_level=True)

COMMAND = re.compile(r"^(?: {4})?(antidrome [a-z].*)$|`(antidrome [^`\n]+)`", re.M)
BLOCK = re.compile(r"^```(?:python|\{code-cell\} python)\n(.*?)^```", re.M | re.S)


def commands():
    """Every command line of the documentation that is written out, with its page."""
    for page in PAGES:
        for found in COMMAND.findall(page.read_text("utf-8")):
            line = (found[0] or found[1]).split(" #")[0].strip()
            only_named = found[1] and re.fullmatch(r"antidrome( [a-z]+){1,2}", line)
            if not only_named and not re.search(r"…|\.\.\.|\|", line):
                yield pytest.param(line, id=f"{page.name}: {line}")


def blocks():
    """Every block of Python, with its page."""
    for page in PAGES:
        for number, code in enumerate(BLOCK.findall(page.read_text("utf-8"))):
            code = re.sub(r"\A(:.*\n)+\n?", "", code)
            yield pytest.param(code, id=f"{page.name}-{number}")


@functools.cache
def options_of(name):
    return load_command(name)[0]


@pytest.mark.parametrize("line", list(commands()))
def test_a_command_parses(line):
    _, *words = shlex.split(line)
    name = next(" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS)
    options = words[len(name.split()) :]
    try:
        tyro.cli(options_of(name), args=options, config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes))
    except SystemExit as end:
        assert end.code == 0, f"{line}: does not parse"


def resolved(node):
    """What a dotted name under ``ad`` stands for; None for anything else."""
    if isinstance(node, ast.Name) and node.id == "ad":
        return ad
    if not isinstance(node, ast.Attribute):
        return None
    owner = resolved(node.value)
    return None if owner is None else getattr(owner, node.attr)


@pytest.mark.parametrize("code", list(blocks()))
def test_names_and_arguments_exist(code):
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("antidrome"):
            module = importlib.import_module(node.module)
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
        elif isinstance(node, ast.Attribute):
            resolved(node)
        elif isinstance(node, ast.Call) and callable(function := resolved(node.func)):
            names = inspect.signature(function).parameters
            if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in names.values()):
                assert {word.arg for word in node.keywords if word.arg} <= set(names), ast.unparse(node)

"""What the documentation tells people to type is still true: its commands parse, its names and arguments exist."""

import ast
import functools
import importlib
import importlib.util
import inspect
import pathlib
import re
import shlex
import types

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


REFERENCE = ROOT / "docs" / "reference" / "index.md"
DIRECTIVE = re.compile(r"^\.\. auto(\w+):: ([\w.]+)$((?:\n +:.*$)*)", re.M)


def members(module):
    """Every name a module gives, with what it stands for; those of the modules that it gives as well."""
    names = getattr(module, "__all__", None) or [n for n, thing in vars(module).items() if isinstance(thing, type)]
    for name in names:
        thing = getattr(module, name)
        yield from members(thing) if isinstance(thing, types.ModuleType) else [(f"{module.__name__}.{name}", thing)]


def documented(text):
    """What the reference shows: (the things themselves, the constants by name, the options by thing)."""
    things, constants, options = [], set(), {}
    for kind, name, given in DIRECTIVE.findall(text):
        if kind == "module":  # autodoc leaves out constants, which have no docstring of their own
            things += [one for _, one in members(importlib.import_module(name)) if callable(one)]
            continue
        module, _, member = name.rpartition(".")
        thing = getattr(importlib.import_module(module), member)
        constants |= {name} if kind == "data" else set()
        things.append(thing)
        options[thing] = given
    return things, constants, options


def test_the_reference_has_every_public_name():
    """``llms.txt`` and the page itself say so."""
    assert "every public name" in (ROOT / "docs" / "llms.txt").read_text("utf-8")
    things, constants, _ = documented(REFERENCE.read_text("utf-8"))
    shown = {id(thing) for thing in things}
    public = [pair for name in ("antidrome", "antidrome.pipeline", "antidrome.report")
              for pair in members(importlib.import_module(name))]  # fmt: skip
    assert [name for name, thing in public if not (id(thing) in shown if callable(thing) else name in constants)] == []


def test_the_reference_has_the_inherited_methods_of_estimators():
    options = documented(REFERENCE.read_text("utf-8"))[2]
    for estimator in (ad.SpikeVAE, ad.StitchedLDS, ad.TwoNN, ad.SNPE):
        assert ":inherited-members: BaseEstimator" in options[estimator]
    settings = (ROOT / "docs" / "conf.py").read_text("utf-8")
    defaults = re.search(r"^autodoc_default_options = ({.*?})", settings, re.M | re.S)
    assert "inherited-members" not in ast.literal_eval(defaults[1]), "it would outdo what the page asks for"


def test_the_command_line_page_has_every_command_and_variable():
    page = (ROOT / "docs" / "reference" / "command_line.md").read_text("utf-8")
    specification = importlib.util.spec_from_file_location("shown_help", ROOT / "docs" / "command_line_help.py")
    shown = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(shown)
    assert shown.PLACE in page
    whole = shown.with_help(page)
    assert {*COMMANDS, "data get", "dynamics transform", "mechanism diagnose"} <= set(shown.commands())
    for command in shown.commands():
        assert f"usage: antidrome {command} [-h]" in whole
    source = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert set(re.findall(r"ANTIDROME_[A-Z]+", source)) <= set(re.findall(r"ANTIDROME_[A-Z]+", page))


def test_links_of_llms_txt_lead_somewhere():
    pages = re.findall(r"\]\(([^)]+)\.html\)", (ROOT / "docs" / "llms.txt").read_text("utf-8"))
    assert pages
    assert [page for page in pages if not (ROOT / "docs" / f"{page}.md").is_file()] == []

"""The public face is a decision, not an accident: it is compared with ``tests/public_face.txt``.

After a change on purpose, run ``ANTIDROME_UPDATE_PUBLIC_FACE=1 make test PYTEST=tests/test_public_face.py`` and commit
the file; the diff shows reviewers what users will meet.
"""

import ast
import inspect
import os
import pathlib
import types

import antidrome

COMMITTED = pathlib.Path(__file__).with_name("public_face.txt")


def describe(name: str, thing: object) -> list[str]:
    """Return the lines for one public name: parameters and defaults, for classes of each public method."""
    if isinstance(thing, types.ModuleType):
        members = getattr(
            thing, "__all__", [member for member, value in vars(thing).items() if isinstance(value, type)]
        )
        return [f"{name}: module", *(f"{name}.{member}" for member in sorted(members))]
    if isinstance(thing, type):
        lines = [f"{name}{parameters(thing)}"]
        own = [base for base in reversed(thing.__mro__) if base.__module__.partition(".")[0] == "antidrome"]
        for member, value in sorted({name: value for base in own for name, value in vars(base).items()}.items()):
            if member.startswith("_") or member.endswith("_request"):  # *_request: metadata routing of scikit-learn
                continue
            function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            lines.append(f"{name}.{member}{parameters(function) if callable(function) else ''}")
        return lines
    return [f"{name}{parameters(thing)}"]


def parameters(function: object) -> str:
    """Return the parameters without annotations, which are spelled differently by different versions of Python."""
    signature = inspect.signature(function)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def test_the_face_is_the_committed_one() -> None:
    lines = [line for name in sorted(antidrome.__all__) for line in describe(name, getattr(antidrome, name))]
    if os.environ.get("ANTIDROME_UPDATE_PUBLIC_FACE"):
        COMMITTED.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lines == COMMITTED.read_text(encoding="utf-8").splitlines()


def test_every_public_name_says_what_it_is() -> None:
    assert [name for name in antidrome.__all__ if not inspect.getdoc(getattr(antidrome, name))] == []


def test_the_stub_lists_what_the_package_gives() -> None:
    stub = pathlib.Path(antidrome.__file__).with_suffix(".pyi").read_text(encoding="utf-8")
    assigned = next(
        node.value
        for node in ast.parse(stub).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert sorted(ast.literal_eval(assigned)) == sorted(antidrome.__all__)


def test_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert antidrome.__version__ == version("antidrome")

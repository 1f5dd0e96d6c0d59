"""House laws that no linter knows: sizes of files, calls never made, words of unfinished work, results of benchmarks.

usage: python .ci/house_laws.py    (prints every breach; exit code 1 if there is one)
"""

import ast
import pathlib
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "antidrome"
MAX_LINES = 400
FORBIDDEN_CALLS = {
    "eval": "code from data",
    "exec": "code from data",
    "pickle.load": "pickles run code",
    "pickle.loads": "pickles run code",
    "pickle.dump": "models are .safetensors files",
    "pickle.dumps": "models are .safetensors files",
    "joblib.load": "pickles run code",
    "os.system": "use subprocess with a list",
    "np.random.seed": "no global random state: core.seeds",
    "numpy.random.seed": "no global random state: core.seeds",
    "os.fork": "JAX does not survive a fork: core.executor",
    "print": "results are returned; people are spoken to in cli",
}
FORBIDDEN_KEYWORDS = {("allow_pickle", True): "pickles run code", ("shell", True): "a shell reads the input"}
UNFINISHED = ("TODO", "FIXME", "XXX")


def main() -> int:
    """Check every Python file of the repository; return the exit code."""
    breaches = [*(breach for path in python_files() for breach in check_file(path)), *check_benchmarks()]
    for breach in breaches:
        print(breach)
    print(f"house laws: {len(breaches)} breaches" if breaches else "house laws: kept")
    return 1 if breaches else 0


def python_files() -> list[pathlib.Path]:
    """Return the Python files that the laws hold for."""
    folders = [ROOT / name for name in ("src", "tests", "benchmarks", "training", ".ci") if (ROOT / name).is_dir()]
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def check_benchmarks() -> Iterator[str]:
    """Yield benchmarks without a committed result, and results of none: `make bench` and the README go by results."""
    folder = ROOT / "benchmarks"
    claims = {path.stem for path in folder.glob("*.py") if "options(__doc__)" in path.read_text(encoding="utf-8")}
    results = {path.stem for path in (folder / "results").glob("*.json")}
    for name in sorted(claims - results):
        yield f"benchmarks/{name}.py: no result: run it with --json benchmarks/results/{name}.json"
    for name in sorted(results - claims):
        yield f"benchmarks/results/{name}.json: no benchmark of this name"


def check_file(path: pathlib.Path) -> Iterator[str]:
    """Yield the breaches of one file."""
    name = path.relative_to(ROOT)
    source = path.read_text(encoding="utf-8")
    n_lines = source.count("\n")
    if n_lines > MAX_LINES:
        yield f"{name}: {n_lines} lines, at most {MAX_LINES}: split it into ideas"
    if not path.is_relative_to(PACKAGE):
        return
    for number, line in enumerate(source.splitlines(), 1):
        for word in UNFINISHED:
            if word in line:
                yield f"{name}:{number}: {word}: finish it or leave it out"
    for node in ast.walk(ast.parse(source)):
        yield from (f"{name}:{node.lineno}: {breach}" for breach in check_node(node))


def check_node(node: ast.AST) -> Iterator[str]:
    """Yield what one syntax node breaks."""
    if isinstance(node, ast.Call):
        called = ast.unparse(node.func)
        if called in FORBIDDEN_CALLS:
            yield f"{called}(): {FORBIDDEN_CALLS[called]}"
        for keyword in node.keywords:
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if (keyword.arg, value) in FORBIDDEN_KEYWORDS:
                yield f"{keyword.arg}={value}: {FORBIDDEN_KEYWORDS[keyword.arg, value]}"
    if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.unparse(node.exc):
        yield "raise NotImplementedError: finish it or leave it out"
    if isinstance(node, ast.Import) and any(alias.name == "antidrome" for alias in node.names):
        yield "import antidrome: inside the package, import from the module that defines the name"


if __name__ == "__main__":
    sys.exit(main())

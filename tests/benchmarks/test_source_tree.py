"""The source distribution holds what `make` needs, and `make clean` removes what was built."""

import re
import tomllib


def test_the_source_distribution_holds_what_make_runs(source_tree):
    excluded = tomllib.loads((source_tree / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]
    left_out = [pattern.strip("/") for pattern in excluded["sdist"]["exclude"]]
    scripts = re.findall(r"python (\S+\.py)", (source_tree / "Makefile").read_text("utf-8"))
    assert ".ci/house_laws.py" in scripts
    for script in scripts:
        assert (source_tree / script).is_file()
        assert not any(script.startswith(f"{folder}/") for folder in left_out), script


def test_what_is_built_is_removed(source_tree):
    makefile = (source_tree / "Makefile").read_text("utf-8")
    removed = makefile.partition("\nclean:\n\trm -rf ")[2].splitlines()[0].split()
    assert "docs/_build" in removed
    assert "html docs docs/_build/" in makefile, "where the documentation is built"

"""The compilation cache: in the user's cache folder, and never in the way."""

import os
import pathlib
import subprocess
import sys

SCRIPT = """
from antidrome.core.compilation import enable_compilation_cache
folder = enable_compilation_cache()
import jax
print(folder, jax.jit(lambda x: x + 1)(1.0))
"""


def run(**environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    finished = subprocess.run(command, env={**kept, **environment}, check=True, capture_output=True, text=True)
    return finished.stdout.strip()


def test_it_is_in_the_users_cache(tmp_path: pathlib.Path) -> None:
    assert run(XDG_CACHE_HOME=str(tmp_path)) == f"{tmp_path}/antidrome/compiled 2.0"


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    assert run(XDG_CACHE_HOME=str(tmp_path / "file")) == "None 2.0"


def test_a_choice_of_the_user_is_kept(tmp_path: pathlib.Path) -> None:
    assert run(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "mine")) == f"{tmp_path}/mine 2.0"

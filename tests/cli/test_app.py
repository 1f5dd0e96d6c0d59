"""The entry point: every way to fail is a message and an exit code."""

import dataclasses
import errno
import io
import os
import signal
import subprocess
import sys
import time
import types
import typing
from collections.abc import Callable

import pytest
from rich.console import Console

from antidrome.cli import app
from antidrome.cli.text import unmarked
from antidrome.errors import FileFormatError


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a command made for these tests."""

    path: str = "a.nwb"
    frame_rate_hz: float = 30.0


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable], None]:
    """Put a function in the place of the command ``check``."""

    def install(function: Callable[[Options], int]) -> None:
        def run(config: Options) -> int:
            return function(config)

        module = types.SimpleNamespace(run=run)
        monkeypatch.setattr(app.importlib, "import_module", lambda name: {"antidrome.cli.check": module}[name])

    return install


def test_options_reach_the_command(command: Callable) -> None:
    seen: list[Options] = []
    command(lambda config: (seen.append(config), 1)[1])
    assert app.main(["check", "--frame-rate-hz", "7.5", "--path", "b.nwb"]) == 1
    assert seen == [Options("b.nwb", 7.5)]


def test_no_command_shows_the_usage(capsys: pytest.CaptureFixture) -> None:
    assert app.main([]) == 2
    assert app.main(["--help"]) == 0
    assert capsys.readouterr().out.count("usage: antidrome COMMAND") == 2
    assert app.main(["--version"]) == 0
    assert capsys.readouterr().out == "antidrome 0.1.0\n"


def test_an_unknown_command_gets_a_suggestion(capsys: pytest.CaptureFixture) -> None:
    assert app.main(["chekc", "a.nwb"]) == 2
    assert "there is no command 'chekc'. Did you mean 'check'?" in capsys.readouterr().err


def test_an_unknown_option_gets_a_suggestion(command: Callable, capsys: pytest.CaptureFixture) -> None:
    command(lambda _: 0)
    assert app.main(["check", "--frame-rate", "30"]) == 2
    assert "--frame-rate-hz" in capsys.readouterr().err
    assert app.main(["check", "--frame-rate-hz", "fast"]) == 2
    assert app.main(["check", "--help"]) == 0


def fail(error: BaseException) -> Callable[[Options], int]:
    def run(_: Options) -> int:
        raise error

    return run


@pytest.mark.parametrize("former", app.FORMER)
def test_an_option_of_a_former_name_is_told_the_one_of_now(former: str, capsys: pytest.CaptureFixture) -> None:
    *words, option = former.split()
    assert app.main([*words, f"{option}=1"]) == 2
    assert f"{option} is called {app.FORMER[former]} now." in capsys.readouterr().err
    assert app.main([*words, "--help"]) == 0
    assert app.FORMER[former] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (FileFormatError("a.nwb: the file is truncated."), 2, "antidrome check: a.nwb: the file is truncated.\n"),
        (PermissionError(errno.EACCES, "Permission denied", "out"), 2, "antidrome check: out: Permission denied\n"),
        (
            RuntimeError("Unable to initialize backend 'x': gone"),
            2,
            "Unset it, or install JAX for that device. (Unable",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "antidrome check: No space left on device\n"),
        (MemoryError(), 2, "antidrome check: not enough memory.\n"),
        (KeyboardInterrupt(), 130, "antidrome check --path 'my file.nwb'\n"),
        (ZeroDivisionError("oh"), 1, "an unexpected error. This is a bug"),
    ],
)
def test_errors_become_messages(
    command: Callable, capsys: pytest.CaptureFixture, error: BaseException, code: int, message: str
) -> None:
    command(fail(error))
    assert app.main(["check", "--path", "my file.nwb"]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert ("Traceback" in captured.err) == (code == 1)
    assert captured.out == ""


def test_notes_and_on_request_the_traceback_are_shown(
    command: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = FileFormatError("bad")
    error.add_note("This happened in task 3 (counted from 0).")
    command(fail(error))
    monkeypatch.setenv("ANTIDROME_DEBUG", "1")
    assert app.main(["check"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("antidrome check: bad\nThis happened in task 3 (counted from 0).\n")
    assert "Traceback" in shown


def test_control_characters_are_shown_not_obeyed(command: Callable, capsys: pytest.CaptureFixture) -> None:
    command(fail(FileFormatError("neuron '\x1b[2Jµ[red]' is constant")))
    app.main(["check"])
    assert capsys.readouterr().err == "antidrome check: neuron '\\x1b[2Jµ[red]' is constant\n"


def test_names_are_no_markup_and_no_commands_to_a_terminal(capsys: pytest.CaptureFixture) -> None:
    Console(highlight=False).print(unmarked("g[Na]\x1b[31m"))
    assert capsys.readouterr().out == "g[Na]\\x1b[31m\n"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGTERM")
def test_sigterm_ends_like_an_interrupt(command: Callable, capsys: pytest.CaptureFixture, happened: Callable) -> None:
    before = signal.getsignal(signal.SIGTERM)
    command(lambda _: os.kill(os.getpid(), signal.SIGTERM) or signal.pause())
    code, said = app.main(["check"]), capsys.readouterr().err
    assert code == 143
    assert "Interrupted" in said
    assert signal.getsignal(signal.SIGTERM) is before
    happened(f"exit code {code}: {said.strip()}")


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals between processes")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_a_destructor_is_not_lost(command: Callable, number: int, code: int) -> None:
    """Python drops what a destructor raises: the command would go on as if nobody had pressed Ctrl-C."""

    class Dropping:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)
            for _ in range(1000):  # the handler runs between two of these
                pass

    def run(_: Options) -> int:
        one = Dropping()
        del one
        time.sleep(20)
        return 0

    command(run)
    hook, handler = sys.unraisablehook, signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert app.main(["check"]) == code
    finally:
        signal.signal(signal.SIGINT, handler)
    assert sys.unraisablehook is hook


def test_a_closed_pipe_is_no_error(happened: Callable) -> None:
    import subprocess

    script = "import sys; from antidrome.cli import main; sys.exit(main(['--help']))"
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run([sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert "Traceback" not in run.stderr
    happened(f"exit code {run.returncode}; on standard error: {run.stderr.strip() or 'nothing'}")


@pytest.mark.parametrize("name", app.COMMANDS)
def test_every_command_exists(name: str) -> None:
    options, run = app.load_command(name)
    for config_class in typing.get_args(options) or (options,):
        config_class = getattr(config_class, "__origin__", config_class)  # a sub-command is annotated with its name
        assert dataclasses.is_dataclass(config_class)
        assert config_class.__dataclass_params__.frozen
    assert callable(run)


def test_closed_streams_end_no_work(happened: Callable) -> None:
    """As under some schedulers: no standard output, no standard error."""
    code = "import sys; sys.stdout = sys.stderr = None; from antidrome.cli.app import main; sys.exit(main(['--help']))"
    ended = subprocess.run([sys.executable, "-c", code], check=False).returncode
    assert ended == 0
    happened(f"exit code {ended}")


def test_a_terminal_without_our_letters_gets_them_spelled_out(
    monkeypatch: pytest.MonkeyPatch, happened: Callable
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(app, "usage", lambda: "ΔF/F → spikes")
    assert app.main(["--help"]) == 0
    assert stream.buffer.getvalue() == rb"\u0394F/F \u2192 spikes" + b"\n"
    happened(f"{app.usage()} is shown as `{stream.buffer.getvalue().decode('ascii').strip()}`")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_under_the_output_is_said_once() -> None:
    with open("/dev/full", "w") as full:
        code = "import sys; from antidrome.cli.app import main; sys.exit(main(['--help']))"
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, stdout=full, stderr=subprocess.PIPE, text=True
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "antidrome: what was printed is lost: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="keeps working directories from being deleted")
def test_a_working_directory_that_is_gone_is_named(tmp_path, monkeypatch, capsys):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    here.rmdir()
    code = app.main(["run", "--stages", "spikes"])
    monkeypatch.chdir(tmp_path)
    assert code == 2
    assert "the working directory is gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("run", ["a.nwb"], "goes on"),
        ("mechanism", ["fit", "m.py"], "goes on"),
        ("dynamics", ["fit", "a.nwb"], "starts again (with --checkpoint it would go on)"),
        ("dynamics", ["fit", "a.nwb", "--checkpoint=c"], "goes on"),
        ("dimension layers", ["--store", "s"], "goes on"),
        ("dimension", ["a.npy"], "starts again"),
    ],
)
def test_an_interrupted_command_says_whether_its_work_is_kept(name, options, said):
    assert app._what_comes(name, options) == said

"""Progress: a bar for people, a log line for batch jobs, nothing for the rest."""

import io
import logging
import subprocess
import sys

import pytest
import rich.console
import rich.progress

from antidrome.core import progress as progress_module
from antidrome.core.progress import progress


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Draw bars into text, as on a terminal of 160 columns."""
    stream = io.StringIO()
    new_console = rich.console.Console
    monkeypatch.setattr(
        rich.console,
        "Console",
        lambda **_: new_console(file=stream, force_terminal=True, width=160, color_system=None, _environ={}),
    )
    return stream


def test_a_terminal_sees_what_matters(terminal: io.StringIO) -> None:
    with progress("Inferring spikes", total=40, unit="neurons") as bar:
        bar.advance(10)
        bar.advance(30, figure="loss 0.12 [a]")
    last = terminal.getvalue().splitlines()[-2]
    assert "Inferring spikes" in last
    assert "40/40 neurons" in last
    assert "left" in last
    assert "loss 0.12 [a]" in last, "square brackets are text, not markup"


def test_nested_bars_share_one_display(terminal: io.StringIO) -> None:
    with progress("Recordings", total=2) as outer:
        for _ in range(2):
            with progress("Neurons", total=3) as inner:
                inner.advance(3)
            outer.advance()
    with progress("Again", total=1) as bar:
        bar.describe("Once more")
        bar.advance()
    assert "Recordings" in terminal.getvalue()
    assert "Neurons" in terminal.getvalue()
    assert "Once more" in terminal.getvalue()


def test_an_error_closes_the_display(terminal: io.StringIO) -> None:
    with pytest.raises(RuntimeError, match="stop"), progress("Work", total=2):
        raise RuntimeError("stop")
    assert progress_module._Display._instance is None


def test_a_log_gets_lines_now_and_then(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LOG_LINES", -1.0)
    with caplog.at_level(logging.INFO, logger="antidrome"):
        with progress("Inferring spikes", total=3, unit="neurons") as bar:
            bar.advance(2, figure="loss 1")
        with progress("Hidden", total=3, enabled=False) as bar:
            bar.advance(2)
    assert caplog.messages == ["Inferring spikes: 2 of 3 neurons loss 1"]
    assert capfd.readouterr() == ("", "")


def test_a_pipe_sees_nothing() -> None:
    script = "from antidrome.core.progress import progress\nwith progress('x', 3) as bar: bar.advance(3)"
    run = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("", "")

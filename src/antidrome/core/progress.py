"""Progress of long work: one bar that ticks on finished work, with the time left and the one figure that matters.

In a terminal or a notebook it is a live bar (on standard error, so that output stays clean). Elsewhere (a log file, a
batch job) nothing is drawn; the logger ``antidrome`` receives a line every half minute at level INFO, which Python
shows only to those who ask for it.
"""

import contextlib
import logging
import threading
import time
import typing
from collections.abc import Iterator

if typing.TYPE_CHECKING:
    import rich.progress

SECONDS_BETWEEN_LOG_LINES = 30.0
_logger = logging.getLogger("antidrome")


class ProgressBar:
    """A running bar; made by :func:`progress`."""

    def __init__(self, description: str, total: float | None, unit: str, task: "_LiveTask | None") -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done: float = 0
        self.figure = ""
        self._task = task
        self._last_line = time.monotonic()

    def advance(self, amount: float = 1, *, figure: str | None = None) -> None:
        """Count ``amount`` more units as finished; ``figure`` (``"loss 0.12"``) replaces the one shown."""
        self.done += amount
        self.figure = self.figure if figure is None else figure
        if self._task is not None:
            self._task.update(self)
        elif _logger.isEnabledFor(logging.INFO) and time.monotonic() - self._last_line > SECONDS_BETWEEN_LOG_LINES:
            self._last_line = time.monotonic()
            _logger.info("%s", self)

    def describe(self, description: str) -> None:
        """Change what the bar says it is doing (``"compiling"``, ``"writing"``)."""
        self.description = description
        if self._task is not None:
            self._task.update(self)

    def __str__(self) -> str:
        total = "" if self.total is None else f" of {self.total:,.0f}"
        return f"{self.description}: {self.done:,.0f}{total} {self.unit} {self.figure}".rstrip()


@contextlib.contextmanager
def progress(
    description: str, total: float | None = None, *, unit: str = "", enabled: bool = True
) -> Iterator[ProgressBar]:
    """Show a bar while the block runs.

    Parameters
    ----------
    description
        What is being done: ``"Inferring spikes"``.
    total
        How many units there are; None when nobody knows.
    unit
        What is counted: ``"neurons"``.
    enabled
        False: nothing is shown and nothing is logged.

    Examples
    --------
    >>> with progress("Inferring spikes", total=3, unit="neurons", enabled=False) as bar:
    ...     for _ in range(3):
    ...         bar.advance(figure="2.1 Hz")
    >>> str(bar)
    'Inferring spikes: 3 of 3 neurons 2.1 Hz'
    """
    display = _Display.current() if enabled else None
    if display is None:
        bar = ProgressBar(description, total, unit, None)
        if not enabled:
            bar._last_line = float("inf")
        yield bar
        return
    with display.task(description, total, unit) as task:
        yield ProgressBar(description, total, unit, task)


class _LiveTask:
    """One line of the live display."""

    def __init__(self, live: "rich.progress.Progress", task_id: "rich.progress.TaskID") -> None:
        self._live, self._task_id = live, task_id

    def update(self, bar: ProgressBar) -> None:
        self._live.update(self._task_id, completed=bar.done, description=bar.description, figure=bar.figure)


class _Display:
    """The one live display of this process; nested bars are further lines of it."""

    _lock = threading.Lock()
    _instance: "_Display | None" = None

    def __init__(self, live: "rich.progress.Progress") -> None:
        self._live = live
        self._n_tasks = 0

    @classmethod
    def current(cls) -> "_Display | None":
        """Return the display, or None where there is nobody to look at one."""
        with cls._lock:
            if cls._instance is None:
                live = _new_live_display()
                cls._instance = None if live is None else cls(live)
            return cls._instance

    @contextlib.contextmanager
    def task(self, description: str, total: float | None, unit: str) -> Iterator[_LiveTask]:
        with self._lock:
            if self._n_tasks == 0:
                self._live.start()
            self._n_tasks += 1
            task_id = self._live.add_task(description, total=total, unit=unit, figure="")
        try:
            yield _LiveTask(self._live, task_id)
        finally:
            with self._lock:
                self._n_tasks -= 1
                if self._n_tasks == 0:
                    self._live.stop()
                    type(self)._instance = None
                else:
                    self._live.remove_task(task_id)


def _new_live_display() -> "rich.progress.Progress | None":
    import rich.console
    import rich.progress as parts

    console = rich.console.Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter) or console.is_dumb_terminal:
        return None
    return parts.Progress(
        parts.TextColumn("{task.description}", markup=False),
        parts.BarColumn(),
        parts.MofNCompleteColumn(),
        parts.TextColumn("{task.fields[unit]}", markup=False),
        parts.TimeElapsedColumn(),
        parts.TextColumn("left"),
        parts.TimeRemainingColumn(),
        parts.TextColumn("{task.fields[figure]}", markup=False),
        console=console,
    )

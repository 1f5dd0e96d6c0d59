"""The process in which a user's simulator runs: ``python -m antidrome.mechanism.simulate.worker``.

Speaks with its parent in frames (length, then a message), over the pipes that were its stdin and stdout. What the
simulator prints goes nowhere, and neither it nor a program that it starts can read from stdin; what it writes to stderr
is kept by the parent, for the traceback of a crash. When the parent is gone, so is the worker.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import io
import os
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

import cloudpickle
import numpy.random  # noqa: F401 - loaded here, not on the clock of the first simulation

MAX_STDERR_BYTES = 2**20
AGAIN = "again"
"""Sent where the call of a simulation is made once more: its time begins anew."""


def read_frame(stream: BinaryIO) -> Any:
    """The next message of a stream; EOFError at its end. The stream is the pipe of our own parent, never a file."""
    head = _exactly(stream, 8)
    return cloudpickle.loads(_exactly(stream, int.from_bytes(head, "little")))


def write_frame(stream: BinaryIO, message: Any) -> None:
    """Send one message."""
    content = cloudpickle.dumps(message)
    stream.write(len(content).to_bytes(8, "little") + content)
    stream.flush()


def _exactly(stream: BinaryIO, n: int) -> bytes:
    content = stream.read(n)
    if len(content) < n:
        raise EOFError
    return content


def main() -> None:
    """Set up, then serve jobs until stdin ends."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    quiet = os.open(os.devnull, os.O_RDWR)
    os.dup2(quiet, 0)
    os.dup2(quiet, 1)
    sys.stdin = io.StringIO()
    faulthandler.enable()
    setup = read_frame(source)
    threading.Thread(target=_leave_with_parent, args=(setup["parent"],), daemon=True).start()
    _prepare(setup)
    try:
        call = cloudpickle.loads(setup["call"]).made()
    except Exception as error:
        import traceback

        write_frame(sink, ("refused", f"{type(error).__name__}: {error}", traceback.format_exc()))
        return
    write_frame(sink, ("ready",))
    again = functools.partial(write_frame, sink, AGAIN)
    while True:
        try:
            theta, seeds, many = read_frame(source)
        except EOFError:
            return
        if many:
            write_frame(sink, (call.many(theta, seeds, again), False))
            continue
        for row, seed in zip(theta, seeds, strict=True):
            reply = call.single(row, int(seed), again)
            grown = _resident_bytes() > setup["recycle_bytes"]
            write_frame(sink, (reply, grown))
            _shorten_stderr()
            if grown:
                return


def _prepare(setup: dict[str, Any]) -> None:
    """The parent's folder, import path and limit of memory."""
    with contextlib.suppress(OSError):
        os.chdir(setup["folder"])
    sys.path[:] = [*setup["path"], *(entry for entry in sys.path if entry not in setup["path"])]
    if sys.platform != "win32":
        import resource

        try:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            limit = setup["memory_bytes"] if hard == resource.RLIM_INFINITY else min(setup["memory_bytes"], hard)
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
        except (OSError, ValueError):
            pass


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _shorten_stderr() -> None:
    try:
        if os.fstat(2).st_size > MAX_STDERR_BYTES:
            os.ftruncate(2, 0)
            os.lseek(2, 0, os.SEEK_SET)
    except OSError:
        pass


def _leave_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    with contextlib.suppress(AttributeError, OSError):
        os.killpg(os.getpid(), signal.SIGKILL)  # with what the simulator started
    os._exit(0)


if __name__ == "__main__":
    main()

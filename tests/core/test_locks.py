"""One writer at a time, and nobody locked out where a file system knows no locks."""

import contextlib
import errno
import os
import warnings
from collections.abc import Iterator

import pytest

from antidrome.core.locks import try_lock, unlock
from antidrome.dimension.networks.reserving import reserved
from antidrome.mechanism.simulate.records import RecordFile
from antidrome.pipeline.folder import locked

fcntl = pytest.importorskip("fcntl")


@contextlib.contextmanager
def forked() -> Iterator[None]:
    """A forked process that lives as long as the block, with every file open that is open here."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads: the fork does nothing but wait
        child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    try:
        yield
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


def test_the_second_one_is_kept_out_until_the_first_lets_go(tmp_path):
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    try:
        assert try_lock(first)
        assert not try_lock(second)
    finally:
        os.close(first)
    assert try_lock(second)
    os.close(second)


@pytest.mark.parametrize(
    "holding",
    [reserved, locked, lambda folder: contextlib.closing(RecordFile(folder / "records", {}))],
    ids=["activations", "results", "simulations"],
)
def test_a_lock_is_lifted_although_workers_that_were_forked_meanwhile_live(holding, tmp_path):
    with contextlib.ExitStack() as workers:
        with holding(tmp_path):
            workers.enter_context(forked())
        with holding(tmp_path):
            pass


def test_lifting_a_lock_that_is_not_there_does_nothing(tmp_path):
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    unlock(descriptor)
    os.close(descriptor)
    unlock(descriptor)


@pytest.mark.parametrize(
    ("number", "free"), [(errno.ENOLCK, True), (errno.ENOSYS, True), (errno.ENOTSUP, True), (errno.EAGAIN, False)]
)
def test_a_file_system_without_locks_keeps_nobody_out(monkeypatch, number, free, happened):
    def refuse(descriptor, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    found = try_lock(0)
    assert found is free
    kind = "a lock that another process holds" if number == errno.EAGAIN else "no locks"
    happened(f"{kind}: {'the work goes on, without keeping others out' if found else 'kept out'}")

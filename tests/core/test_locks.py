"""One writer at a time, and nobody locked out where a file system knows no locks."""

import errno
import os

import pytest

from antidrome.core.locks import try_lock

fcntl = pytest.importorskip("fcntl")


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

"""One writer at a time: a lock on an open file, lifted by the system when its process ends, however it ends."""

import contextlib
import errno
import sys

_HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process.

    Parameters
    ----------
    descriptor
        Of the open file. Closing it lifts the lock, unless a process forked meanwhile has it open too: see `unlock`.

    Returns
    -------
    bool
        False if another process holds the lock. True if the lock is ours, or the file system knows no locks (some
        network file systems of clusters): there, nobody is kept out, since nobody could ever work otherwise.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return sys.platform != "win32" and error.errno not in _HELD
    return True


def unlock(descriptor: int) -> None:
    """Lift the lock of an open file, also where processes that were forked meanwhile, such as workers, have it open.

    To be called before the file is closed, by the process that locked it; without a lock nothing happens.
    """
    with contextlib.suppress(OSError):  # a file system without locks
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_UN)

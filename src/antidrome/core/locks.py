"""One writer at a time: a lock on an open file, lifted by the system when its process ends, however it ends."""

import errno
import sys

_HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES)


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process.

    Parameters
    ----------
    descriptor
        Of the open file; closing it lifts the lock.

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

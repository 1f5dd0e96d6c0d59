"""Atomic writes: the old file or the new one, never half of one.

The helpers live with the recordings, which write files too; everything above imports them from here.
"""

from antidrome.recordings.files import atomic_directory, atomic_write

__all__ = ["atomic_directory", "atomic_write"]

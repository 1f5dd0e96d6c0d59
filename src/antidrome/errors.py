"""Errors that speak to people: what is wrong, where, what was expected, what to do."""

import collections.abc
import difflib


class AntidromeError(Exception):
    """Base of every error that Antidrome raises on purpose."""


class InputError(AntidromeError, ValueError):
    """The data or an argument cannot be used as given."""


class FileFormatError(InputError):
    """A file is not what it claims to be, is damaged, or holds what Antidrome refuses to read."""


class UnsafeFileError(FileFormatError):
    """A file asks for something that a recording never needs: other files, code, or a huge size."""


class ModelFileError(FileFormatError):
    """A model file is damaged, of an unknown class, or of a newer format."""


class ResumeError(AntidromeError):
    """A checkpoint belongs to another configuration or other data."""


class TrainingError(AntidromeError):
    """Training met a non-finite loss or parameter; the best state so far is kept."""


class LostWorkerError(AntidromeError):
    """Workers were lost again and again, or the executor cannot replace them."""


def did_you_mean(name: str, known: collections.abc.Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the closest known name, or an empty string.

    Examples
    --------
    >>> did_you_mean("frame_rate", ["frame_rate_hz", "seed"])
    " Did you mean 'frame_rate_hz'?"
    """
    close = difflib.get_close_matches(name, list(map(str, known)), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""

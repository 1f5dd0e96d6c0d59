"""Names of files from names of things, and different names for things that share one."""

import hashlib
import re
from collections.abc import Callable, Hashable, Sequence

LONGEST = 80
"""Bytes of a name in the name of a file, which also holds what and where it is while it is written."""


def slug(name: str, empty: str = "session") -> str:
    """A name as part of a file name: letters, digits, dots, dashes and underscores only; `empty` if nothing is left.

    Of a long name the beginning is kept, and a hash of the whole: no two long names become one.
    """
    short = re.sub(r"[^\w.-]+", "_", name).strip("._") or empty
    if len(short.encode()) <= LONGEST:
        return short
    mark = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{short.encode()[: LONGEST - len(mark) - 1].decode(errors='ignore')}-{mark}"


def as_file_name(name: str) -> str:
    """What names have in common that would be the same file."""
    return slug(name).lower()


def unique(names: Sequence[str], key: Callable[[str], Hashable] = as_file_name) -> list[str]:
    """The names, later ones of the same key numbered: ``a, b, a`` gives ``a, b, a-2``."""
    taken: set[Hashable] = set()
    result = []
    for name in names:
        candidate, number = name, 1
        while key(candidate) in taken:
            number += 1
            candidate = f"{name}-{number}"
        taken.add(key(candidate))
        result.append(candidate)
    return result

"""Memory that a thread uses again and again: touching fresh pages can cost more than what is computed in them."""

from __future__ import annotations

import math
import threading

import numpy as np

_mine = threading.local()


def scratch(name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """An uninitialised array, valid until this thread asks for the same name again; freed when the thread ends."""
    buffers = vars(_mine)
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    if name not in buffers or buffers[name].size < n_bytes:
        buffers[name] = np.empty(n_bytes, np.uint8)
    return buffers[name][:n_bytes].view(dtype).reshape(shape)

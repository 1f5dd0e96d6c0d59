"""Settings as JSON can hold them, and back: infinity is "inf", tuples are lists."""

from __future__ import annotations

from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Hyperparameters as JSON can hold them."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and np.isinf(value):
        return "inf"
    if value is None or isinstance(value, int | float | str):
        return value
    return [plain(one) for one in value]


def restored(value: Any) -> Any:
    """One hyperparameter from what `plain` made of it."""
    if isinstance(value, list):
        return tuple(value)
    return np.inf if value == "inf" else value

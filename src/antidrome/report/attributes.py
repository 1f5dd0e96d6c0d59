"""Lists among the attributes of results, which files keep as JSON."""

import json
from typing import Any

import numpy as np


def listed(value: Any) -> list[Any]:
    """What an attribute lists: its items, those of the JSON text of a list, or itself alone; none of nothing."""
    if value is None or isinstance(value, list | tuple):
        return list(value or ())
    if not isinstance(value, str):
        return np.atleast_1d(value).tolist()
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    return found if isinstance(found, list) else [value] if value else []

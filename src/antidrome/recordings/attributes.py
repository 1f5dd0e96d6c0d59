"""Attributes of any plain Python value in files that keep only numbers and text."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from antidrome.errors import FileFormatError, InputError

MARK = "json_attributes"
"""Attribute that lists the names of those kept as JSON."""


def encode_attributes(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Numbers and text as they are; lists, dictionaries, truth values and None as JSON, listed in one attribute."""
    encoded: dict[str, Any] = {}
    as_json = []
    for name, value in attrs.items():
        plain = _plain(value, str(name))
        if isinstance(plain, (str, int, float)) and not isinstance(plain, bool):
            encoded[str(name)] = plain
        else:
            encoded[str(name)] = json.dumps(plain)
            as_json.append(str(name))
    if as_json:
        encoded[MARK] = json.dumps(as_json)
    return encoded


def decode_attributes(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """The attributes that :func:`encode_attributes` was given; numbers come back as Python's own."""
    decoded = {str(name): _plain(value, str(name)) for name, value in attrs.items()}
    names = decoded.pop(MARK, "[]")
    try:
        for name in json.loads(names):
            if name in decoded:
                decoded[name] = json.loads(decoded[name])
    except (TypeError, ValueError) as error:
        raise FileFormatError(f"the attributes kept as JSON are damaged: {error}") from error
    return decoded


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, bytes):
        return value.decode()
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item, name) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item, name) for key, item in value.items()}
    raise InputError(f"attribute {name!r} is a {type(value).__name__}, which files cannot keep: use text or numbers")

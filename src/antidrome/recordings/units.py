"""What files and people call the units of a trace (a fraction, percent, arbitrary units) and of times."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_FRACTION = ("", "1", "n.a.", "na", "n/a", "none", "ratio", "fraction", "dimensionless")
_PERCENT = ("percent", "%", "per cent")
_ARBITRARY = ("a.u.", "au", "arbitrary", "arbitrary units")
_A_FRAME = ("frame", "bin", "sample")
_A_SECOND = ("s", "sec", "second")
_SPIKES = re.compile(r"(?:sp|spikes?)(?: ?/ ?| per )(\w+)|(hz|1/s|s\^?-1|s⁻¹)")
_DFF = re.compile(r"df(over)?f|(δ|(?<![^\W_])d)[\W_]*f[\W_]*(over[\W_]*)?f(?!ilt)")
"""In one piece anywhere; in pieces only where the d begins a word. No ΔF/F: "corrected_F_trace", "dF_filtered"."""

SECONDS = {
    unit: seconds
    for seconds, units in (
        (1.0, "s sec secs second seconds sek sekunde sekunden seconde secondes"),
        (1e-3, "ms msec msecs millis millisecond milliseconds millisekunde millisekunden milliseconde millisecondes"),
        (1e-6, "us usec usecs micros microsecond microseconds mikrosekunde mikrosekunden microseconde microsecondes"),
        (1e-9, "ns nsec nsecs nanos nanosecond nanoseconds"),
        (60.0, "min mins minute minutes minuten"),
        (3600.0, "h hr hrs hour hours stunde stunden heure heures"),
        (86400.0, "d day days"),
    )
    for unit in units.split()
}
"""Units of time in seconds, spelled as by :func:`plain_unit`."""

DEFAULT_UNITS = {"dff": "1", "fluorescence": "a.u.", "unknown": "unknown"}


def plain_unit(text: str) -> str:
    """A unit of time in small letters, micro written "u"."""
    return text.strip().lower().replace("µ", "u").replace("μ", "u")


def is_percent(attrs: Mapping[Any, Any]) -> bool:
    """Whether the attribute "units" of a recording says percent, however it is spelled."""
    return _says_percent(_spelling(attrs.get("units", "")))


def stated_units(attrs: Mapping[Any, Any]) -> str | None:
    """Units that the attributes of a recording state, None where they state none, or others.

    In the package's own words: "1", "percent", "a.u.", "spikes/s" or "spikes per frame".
    """
    text = _spelling(attrs.get("units") or "")
    return _in_our_words(text, attrs.get("quantity")) if text else None


def units_in(theirs: str, ours: str, frame_rate_hz: float | None) -> float | None:
    """How much one of their units (of `stated_units`) is in ours; None where the one does not become the other."""
    rate = frame_rate_hz or 0.0
    factors = {("percent", "1"): 0.01, ("1", "percent"): 100.0, ("spikes per frame", "spikes/s"): rate}
    factors[("spikes/s", "spikes per frame")] = 1 / rate if rate else 0.0
    return 1.0 if theirs == ours else factors.get((theirs, ours)) or None


def units_of_spikes(units: Any) -> str | None:
    """Units of spikes in the package's own words: "spikes/s" or "spikes per frame"; None for others."""
    found = _SPIKES.fullmatch(_spelling(units))
    if found and (found[2] or found[1] in _A_SECOND):
        return "spikes/s"
    return "spikes per frame" if found and found[1] in _A_FRAME else None


def spelled(units: str | None) -> str:
    """Units of `stated_units` in a sentence."""
    return {"1": "fractions", "a.u.": "arbitrary units"}.get(str(units), str(units))


def says_dff(text: str) -> bool:
    """Whether a name or unit says ΔF/F: "dff", "dF/F0", "ΔF/F (%)", "DfOverF", "deltaF_F" …"""
    plain = re.sub("delta|∆", "δ", _spelling(text))
    return _DFF.search(plain) is not None


def known_units(units: Any, quantity: str, notes: list[str]) -> str:
    """Units in the package's own words: "1", "percent", "a.u.", "unknown", or those of spikes; others are noted.

    Parameters
    ----------
    units
        As given, or None for what the quantity has by default.
    quantity
        "dff", "fluorescence" or "unknown".
    notes
        Gets a sentence for units that are not known.
    """
    if units is None or (isinstance(units, str) and units == ""):
        return DEFAULT_UNITS[quantity]
    text = _spelling(units)
    if text == "unknown":
        return "unknown"
    found = _in_our_words(text, quantity)
    if found and (quantity == "unknown" or not units_of_spikes(found)):
        return found
    taken = "a.u." if quantity == "fluorescence" else "unknown"
    said = f"units {str(units)!r} are not known (expected '1', 'percent' or 'a.u.') and are taken for {taken!r}"
    if said not in notes:
        notes.append(said)
    return taken


def _in_our_words(text: str, quantity: Any) -> str | None:
    if _says_percent(text):
        return "percent"
    if text in _ARBITRARY:
        return "1" if quantity == "dff" else "a.u."  # many programs write a.u. for whatever has no unit
    return "1" if text in _FRACTION or says_dff(text) else units_of_spikes(text)


def _says_percent(text: str) -> bool:
    """Whether units are percent, or ΔF/F in percent: "ΔF/F (%)", "percent dF/F" …"""
    return text in _PERCENT or (says_dff(text) and any(word in text for word in _PERCENT))


def _spelling(units: Any) -> str:
    return str(units).strip().lower()

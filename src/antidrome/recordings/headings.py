"""What the headings of a table say: a time and its unit, a number of each row, or its trial or session."""

import re

from antidrome.recordings.units import SECONDS, plain_unit

_UNIT = "|".join(sorted(SECONDS.keys() - {"d"}, key=len, reverse=True))  # "td" is tdTomato
_IN_BRACKETS = re.compile(r"(.*?)[\s_]*[\[({]\s*([^\])}]*?)\s*[\])}]")
_AT_THE_END = re.compile(rf"(?:(.*?)(?:\s+in\s+|[\s_/,.;:-]+)|(times?|t))?({_UNIT})")
_TIME = re.compile(
    r"((elapsed|relative|absolute|frame|recording|acquisition)[\s_]*)?"
    r"(times?|t|time[\s_-]*stamps?|zeit|zeiten|zeitpunkt|zeitstempel|temps|tempo|tiempo)"
)
_LIKE_TIME = re.compile(r"time|zeit|temps|tiempo")
_COUNTER = re.compile(
    r"\s*(index|idx|samples?|rows?|slices?|scans?|bild|#|no\.?|nr\.?|(time|zeit)[\s_-]*(point|punkt)e?s?|"
    r"(frames?|samples?|slice|image|volume|row)[\s_-]*(no|nr|num|number|index|idx|id|count|#)?\.?)\s*",
    re.I,
)
_GROUP = re.compile(r"\s*(session|trial)s?([\s_-]*(no|nr|num|number|index|idx|id|#)\.?)?\s*", re.I)
_NOTHING = re.compile(r"\s*(unnamed.*)?", re.I)
_SHORT = 3


def time_unit_s(name: str, *, loosely: bool = False) -> float | None:
    """Seconds in one unit of the times under a heading; None if the heading names no time.

    Parameters
    ----------
    name
        The heading: "time", "Time (ms)", "Zeit [s]", "t/s", "frame_time_us" … Seconds where it has no unit.
    loosely
        Let pass every heading that has "time" in it, or ends in a unit of time, as that of a column which is known to
        be no neuron.
    """
    word, unit = _parted(name)
    if unit is not None and unit not in SECONDS:
        return None
    named = bool(_TIME.fullmatch(word)) or (not word and unit is not None and len(unit) > _SHORT)
    if not named and loosely:
        named = unit is not None or bool(_LIKE_TIME.search(word))
    return SECONDS[unit or "s"] if named else None


def says_unit(name: str) -> bool:
    """Whether a heading ends in a unit of time."""
    return _parted(name)[1] in SECONDS


def names_counter(name: str) -> bool:
    """Whether a heading is that of a number of each row: "frame", "Frame #", "Slice", "index" …"""
    return bool(_COUNTER.fullmatch(name))


def names_nothing(name: str) -> bool:
    """Whether a heading is empty, or what pandas makes of an empty one: "Unnamed: 0"."""
    return bool(_NOTHING.fullmatch(name))


def names_group(name: str) -> str | None:
    """Which of "session" and "trial" a heading says that each row belongs to: "trial", "Session", "trial_id" …"""
    found = _GROUP.fullmatch(name)
    return found[1].lower() if found else None


def _parted(name: str) -> tuple[str, str | None]:
    """A heading in small letters without its unit, and what stands for the unit: any text in brackets, or a unit."""
    text = plain_unit(name)
    if found := _IN_BRACKETS.fullmatch(text):
        return found[1], found[2]
    if found := _AT_THE_END.fullmatch(text):
        return found[1] or found[2] or "", found[3]
    return text, None

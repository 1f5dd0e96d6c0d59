"""What a check has to say: a finding with a stable id, a severity, a sentence, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "error"]

SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")
"""From harmless to grave."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a check noticed about a recording.

    Attributes
    ----------
    id : stable name of the check, kebab-case; safe to filter on
    severity : "info", "warning" (results may suffer) or "error" (results would be wrong)
    message : what was seen and where, one sentence
    fix : what to do, one sentence
    neurons : labels of the neurons concerned; empty when it concerns the recording
    """

    id: str
    severity: Severity
    message: str
    fix: str
    neurons: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, str | list[str]]:
        """JSON-ready form."""
        return {
            "id": self.id,
            "severity": self.severity,
            "message": self.message,
            "fix": self.fix,
            "neurons": list(self.neurons),
        }


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What a check function returns; the registry adds id and severity (unless the check says another)."""

    message: str
    fix: str
    neurons: tuple[str, ...] = ()
    severity: Severity | None = None

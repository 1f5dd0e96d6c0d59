"""Checks at the door: a registry of small pure functions that look at a recording before anything is inferred."""

from antidrome.recordings.checks.finding import SEVERITIES, Finding, Problem, Severity
from antidrome.recordings.checks.matching import matched_by_number
from antidrome.recordings.checks.registry import Check, register_check, registered_checks
from antidrome.recordings.checks.run import check
from antidrome.recordings.checks.view import RecordingView, view_of

__all__ = [
    "SEVERITIES",
    "Check",
    "Finding",
    "Problem",
    "RecordingView",
    "Severity",
    "check",
    "matched_by_number",
    "register_check",
    "registered_checks",
    "view_of",
]

"""The report: one self-contained HTML page, figures and all, that opens from a file and asks no network for anything."""

from antidrome.report.page import RunInfo
from antidrome.report.report import spikes_report, write_spikes_report

__all__ = ["RunInfo", "spikes_report", "write_spikes_report"]

"""The report: one self-contained HTML page that opens from a file and asks no network for anything."""

from antidrome.report.page import RunInfo
from antidrome.report.report import session_views, spikes_report, write_page, write_spikes_report

__all__ = ["RunInfo", "session_views", "spikes_report", "write_page", "write_spikes_report"]

"""The report: one self-contained HTML page that opens from a file and asks no network for anything."""

from antidrome.report.dimension_report import dimension_report, write_dimension_report
from antidrome.report.dynamics_part import dynamics_part
from antidrome.report.dynamics_report import dynamics_report, write_dynamics_report
from antidrome.report.mechanism_part import mechanism_report, write_mechanism_report
from antidrome.report.page import RunInfo
from antidrome.report.report import session_views, spikes_report, write_page

__all__ = [
    "RunInfo",
    "dimension_report",
    "dynamics_part",
    "dynamics_report",
    "mechanism_report",
    "session_views",
    "spikes_report",
    "write_dimension_report",
    "write_dynamics_report",
    "write_mechanism_report",
    "write_page",
]

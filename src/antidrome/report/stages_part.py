"""What the page says of stages that could not be run."""

from collections.abc import Mapping

from antidrome.report.page import Part, render


def skipped_part(reasons: Mapping[str, str]) -> Part:
    """Stages that the data did not allow.

    Parameters
    ----------
    reasons
        Stage to the sentence that says why.
    """
    return Part(sections={"checks": render("stages_skipped", reasons=reasons)})

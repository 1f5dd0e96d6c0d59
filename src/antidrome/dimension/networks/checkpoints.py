"""Which layers to look at: the paper's checkpoints, or those that the user names.

Ansuini et al. (2019), section 3, read the input, the output of each pooling layer (of each stage, in residual
networks), each fully connected layer, and the output.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from antidrome.dimension.networks.steps import Step
from antidrome.errors import InputError, did_you_mean

PAPER_KINDS = frozenset({"input", "pool", "stage", "block", "linear", "output"})
SHOWN_NAMES = 30


def choose(steps: Sequence[Step], at: str | Sequence[str]) -> list[Step]:
    """Choose the steps to record, in the order in which they happen.

    Parameters
    ----------
    steps
        What the network offers.
    at
        "auto" (the paper's checkpoints), a name, a glob pattern ("features.*"), or several of these.

    Raises
    ------
    InputError
        A pattern matches nothing; the message lists the names.
    """
    chosen = chosen_names([step.name for step in steps], at, _paper_checkpoints(steps))
    return [step for step in steps if step.name in chosen]


def chosen_names(names: Sequence[str], at: str | Sequence[str], auto: Sequence[str]) -> list[str]:
    """The names that `at` chooses, in their order; `auto` are those that "auto" stands for.

    Raises
    ------
    InputError
        A pattern matches nothing; the message lists the names.
    """
    if isinstance(at, str):
        at = [at]
    if not at:
        raise InputError('at is empty; give "auto", names of layers, or glob patterns such as "layer*".')
    chosen: set[str] = set()
    for pattern in at:
        if not isinstance(pattern, str):
            raise InputError(f"at holds {pattern!r}; names of layers or glob patterns (text) were expected.")
        chosen.update(auto if pattern == "auto" else _matching(names, pattern))
    return [name for name in names if name in chosen]


def relative_depth(steps: Sequence[Step]) -> list[float]:
    """Depth of each chosen step as a share of the last one's, in [0, 1].

    Depth counts the layers with weights passed so far (Ansuini et al. 2019, section 3); a step that has no such layer
    between itself and the one before counts as one more.
    """
    depth, depths = 0, []
    for before, step in zip([None, *steps[:-1]], steps, strict=True):
        gone = step.n_weighted if before is None else max(1, step.n_weighted - before.n_weighted)
        depth += gone
        depths.append(depth)
    return [value / max(1, depths[-1]) for value in depths] if depths else []


def last_hidden(steps: Sequence[Step]) -> str | None:
    """Name of the representation that enters the last fully connected layer, if it is known."""
    entering = [step for step in steps if step.name.endswith(":input")]
    if not entering:
        return None
    same = [step.name for step in steps if step.digest == entering[-1].digest and _is_paper_checkpoint(step)]
    return same[0] if same else entering[-1].name


def _paper_checkpoints(steps: Sequence[Step]) -> list[str]:
    has_stages = any(step.kind == "stage" for step in steps)
    hidden = last_hidden(steps)
    names: list[str] = []
    seen: set[str] = set()
    wanted = [
        step
        for step in steps
        if step.name == hidden or (_is_paper_checkpoint(step) and not (has_stages and step.kind == "block"))
    ]
    for step in wanted:
        if step.digest not in seen:
            seen.add(step.digest)
            names.append(step.name)
    return names


def _is_paper_checkpoint(step: Step) -> bool:
    return step.kind in PAPER_KINDS and not step.inside_block


def _matching(names: Sequence[str], pattern: str) -> list[str]:
    if pattern in names:
        return [pattern]
    found = [
        name
        for name in names
        if fnmatch.fnmatchcase(name, pattern) and (":input" in pattern or not name.endswith(":input"))
    ]
    if not found:
        shown = ", ".join(names[:SHOWN_NAMES]) + (
            f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
        )
        raise InputError(f"No layer matches {pattern!r}.{did_you_mean(pattern, names)} This network has: {shown}.")
    return found

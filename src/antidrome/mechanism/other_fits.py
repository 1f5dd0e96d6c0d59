"""Which fit a checkpoint is of, and why another one does not go on from it: what was changed, and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from antidrome.core.configuration import to_dict
from antidrome.errors import ResumeError
from antidrome.mechanism.plans import METHODS, Plan

OF_METHOD = ("proposal", "weighting", "reuse", "loss", "degrees")
"""Parts of a plan that no setting of a fit names: they follow from its method and its simulations."""
WAYS_OUT = (
    "Continue with the original settings and data, or begin anew: in another folder (-o, checkpoint=…), or in this one"
    " with --overwrite, or with this file and the folder simulations beside it deleted."
)
SETTINGS = (
    "A simulator that is an object may say by an attribute identity_settings (a mapping) what decides its numbers,"
    " where others of its attributes, such as a number of cores, are others each time."
)


def plan_identity(plan: Plan) -> dict[str, Any]:
    """A plan, JSON-ready, under the names that checkpoints have always had."""
    parts = {f.name.removeprefix("n_"): getattr(plan, f.name) for f in dataclasses.fields(plan)}
    return {name: to_dict(part) if dataclasses.is_dataclass(part) else part for name, part in parts.items()}


def refusal(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any], differing: Sequence[str]) -> ResumeError:
    """The error for a checkpoint that is not of the wanted fit.

    Parameters
    ----------
    path
        The checkpoint.
    found, wanted
        What identifies its fit, and the wanted one.
    differing
        Names of what differs.
    """
    changed = changed_settings(found, wanted, differing)
    sentences = [f"{path} is the checkpoint of another run: {', '.join(changed)} differ. {WAYS_OUT}"]
    if "simulator" in changed:
        sentences.append(SETTINGS)
    if changed == ["observation"] and _is_amortised(wanted):
        sentences.append(_how_to_ask(path.parent / "posterior.safetensors"))
    return ResumeError(" ".join(sentences))


def changed_settings(found: Mapping[str, Any], wanted: Mapping[str, Any], differing: Sequence[str]) -> list[str]:
    """Of what differs, what somebody changed: what only follows from that is left out."""
    implied = set(OF_METHOD)
    if "rounds" in differing and _each(found) is not None and _each(found) == _each(wanted):
        implied.add("simulations")
    if "method" in differing:
        own, other = (_plan_of(identity) for identity in (found, wanted))
        implied |= {name for name in own if found.get(name) == own[name] and wanted.get(name) == other.get(name)}
    return [name for name in differing if name not in implied] or list(differing)


def _plan_of(identity: Mapping[str, Any]) -> dict[str, Any]:
    """What the method alone says."""
    method = identity.get("method")
    return plan_identity(METHODS[method]) if method in METHODS else {}


def _each(identity: Mapping[str, Any]) -> int | None:
    """Simulations of each round, where all have as many."""
    numbers = set(identity.get("simulations") or ())
    return numbers.pop() if len(numbers) == 1 else None


def _is_amortised(identity: Mapping[str, Any]) -> bool:
    """Whether the posterior serves all observations; see `Posterior.is_amortised`."""
    return identity["rounds"] == 1 and identity["weighting"] == "none" and identity["kernel"]["shape"] == "none"


def _how_to_ask(saved: Path) -> str:
    where = f"Posterior.load({str(saved)!r})" if saved.is_file() else "posterior_"
    return f"Its posterior serves other observations as well: {where}.sample(observation=…)."

"""Which sets each network may see: leave-datasets-out folds that keep sets with common neurons together.

The X- sets repeat the neurons of Allen sets without neuropil correction (X-DS09 those of DS10, X-DS10 of DS11, X-DS11
of DS12): they always go with their twins. X-DS00 and the NAOMi simulations share no neuron with a tested set; every
fold may see them. DS03 is tested and never trained on: its fluorescence rises 20 to 40 ms before the spikes are said to
happen, and a network must not learn that.
"""

from __future__ import annotations

ALWAYS = ("X-DS00-OGB1-m-S1", "X-NAOMi-GCaMP6f-simulated")
NEVER = ("DS03-Cal520-m-S1",)
TWINS = {"X-DS09-GCaMP6f-m-V1": "DS10", "X-DS10-GCaMP6f-m-V1": "DS11", "X-DS11-GCaMP6s-m-V1": "DS12"}
FOLDS = {
    "fold-1": ("DS01", "DS06", "DS11", "DS14", "DS19", "DS23", "DS27", "DS30"),
    "fold-2": ("DS03", "DS04", "DS10", "DS16", "DS18", "DS22", "DS25", "DS28"),
    "fold-3": ("DS05", "DS07", "DS09", "DS12", "DS17", "DS20", "DS24", "DS32", "DS40"),
}


def root(name: str) -> str:
    """The tested set whose neurons a set holds: "DS10-GCaMP6f-…" → "DS10"; twins → their original."""
    return TWINS.get(name, name.split("-")[0])


def fold_of(name: str) -> str | None:
    """The fold in which a set is held out; None for sets that no fold tests."""
    if name in ALWAYS:
        return None
    return next((fold for fold, roots in FOLDS.items() if root(name) in roots), None)


def may_see(stage: str, name: str) -> bool:
    """Whether the network of `stage` may be trained on set `name`."""
    return name in ALWAYS or (name not in NEVER and fold_of(name) != stage)

"""Put trained networks where they are used: into the package, with their model card, and beside the benchmarks.

    python -m training.ship --work DIR                      # copies the fold networks to benchmarks/weights
    python -m benchmarks.spikes_ground_truth --json FILE    # measures them on sets that they have not seen
    python -m training.ship --work DIR --data GROUND_TRUTH --reached FILE   # writes the shipped networks and cards

Nothing on the card is typed in: the ranges come from the training code, the accuracy from the benchmark's JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from antidrome.core.files import atomic_write
from antidrome.spikes import weights
from antidrome.spikes.observation import IndicatorRanges
from training.folds import FOLDS, NEVER
from training.spikes_recognition import SEED, ground_truth_noise_levels
from training.windows import FASTEST_HZ, SLOWEST_HZ

PACKAGE = Path(weights.__file__).parent
BENCHMARKS = Path(__file__).parents[1] / "benchmarks" / "weights"
RERUN = "python -m training.spikes_recognition --data GROUND_TRUTH --work DIR; python -m training.ship --work DIR"
PROTOCOL = "leave-datasets-out, 60 s per neuron, 40 ms bins, 30 Hz or native"


def main() -> None:
    """Copy the fold networks, and the shipped ones once their accuracy is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of training.spikes_recognition")
    parser.add_argument("--data", type=Path, help="ground truth, for the range of noise levels on the card")
    parser.add_argument("--reached", type=Path, help="JSON of benchmarks.spikes_ground_truth")
    arguments = parser.parse_args()
    BENCHMARKS.mkdir(exist_ok=True)
    for name in FOLDS:
        network, header = weights.load_network(arguments.work / f"{name}.safetensors")
        weights.save_network(BENCHMARKS / f"{name}.safetensors", network, seed=SEED, card=header.extra["card"])
    if arguments.reached is None:
        return
    measured = json.loads(arguments.reached.read_text())
    for stage, name in (("shipped", "default"), ("simulations", "simulations")):
        network, header = weights.load_network(arguments.work / f"{stage}.safetensors")
        card = model_card(header.extra["card"], arguments.data, measured if stage == "shipped" else None)
        weights.save_network(PACKAGE / weights.SHIPPED[name], network, seed=SEED, card=card)
        with atomic_write(PACKAGE / f"{Path(weights.SHIPPED[name]).stem}.md") as temporary:
            Path(temporary).write_text(as_text(name, card))


def model_card(training: dict[str, Any], data: Path | None, measured: dict[str, Any] | None) -> dict[str, Any]:
    """What the network was trained on, how to train it again, where it holds, and what it reached."""
    card = {
        "trained_on": training["trained_on"] or ["simulations only: no ground truth"],
        "simulated_ranges": {name: list(bounds) for name, bounds in vars(IndicatorRanges()).items()},
        "frame_rate_hz_range": [SLOWEST_HZ, FASTEST_HZ],
        "faster_recordings": f"averaged in groups of frames down to {FASTEST_HZ:g} Hz, once for every phase",
        "held_out_loss": training["held_out_loss"],
        "rerun": RERUN,
    }
    if data is not None:
        levels = ground_truth_noise_levels(data)
        card["noise_level_range"] = [round(float(x), 2) for x in np.quantile(levels, (0.01, 0.99))]
    if measured is not None:
        keys = ("mean_r_lag0", "mean_r_smooth", "median_count_ratio")
        card["reached"] = {
            **{key: measured[key] for key in keys},
            "n_sets": len(measured["sets"]),
            "protocol": PROTOCOL,
        }
    return card


def as_text(name: str, card: dict[str, Any]) -> str:
    """The card for people, as Markdown."""
    lines = [f"# Model card: recognition network `{name}`", ""]
    for key, value in card.items():
        title = key.replace("_", " ").capitalize()
        if isinstance(value, dict):
            lines += [f"## {title}", "", *(f"- {k.replace('_', ' ')}: {_plain(v)}" for k, v in value.items()), ""]
        else:
            lines += [f"**{title}**: {_plain(value)}", ""]
    if "reached" in card:
        lines += [
            "The accuracy is that of networks trained in the same way without the tested sets; this network has seen"
            f" all but {', '.join(NEVER)}. The ranges of the simulations, the objective's weights and the schedule of"
            " the training were settled while looking at these scores.",
            "",
        ]
    return "\n".join(lines)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return ", ".join(_plain(v) for v in value) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    main()

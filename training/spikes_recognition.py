"""Train the recognition network of `ad.SpikeVAE`: first on simulations alone, then fine-tuned on ground truth.

    python -m training.spikes_recognition --data DIR --work DIR            # everything, stage after stage
    python -m training.spikes_recognition --stage simulations ...          # only one stage; stages resume after a kill

Stages: `simulations` (no ground truth anywhere), `fold-1` … `fold-3` (fine-tuned without the sets of that fold, for the
leave-datasets-out benchmark), `shipped` (fine-tuned on all sets but DS03, see `training.folds`; the network
inside the package).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import jax
import numpy as np

from antidrome.core.seeds import generator, jax_key
from antidrome.core.training import TrainingConfig, TrainingResult, train
from antidrome.spikes.objective import supervised_loss
from antidrome.spikes.recognition import RecognitionConfig, RecognitionNetwork
from antidrome.spikes.weights import load_network, save_network
from training.folds import FOLDS, may_see
from training.ground_truth import load_sets
from training.windows import Windows, concatenate, ground_truth_windows, simulated_windows

SEED = 1
PRETRAINING = TrainingConfig(steps=2000, batch=64, learning_rate=2e-3, evaluate_every=250)
FINE_TUNING = TrainingConfig(
    steps=1500, batch=64, learning_rate=1.5e-3, final_share=1.0, averaging=0.999, evaluate_every=250
)
SIMULATED_GROUPS = 200
GROUND_TRUTH_WINDOWS = 36_000
SIMULATED_SHARE = 0.4


def main() -> None:
    """Run the stages asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with ground truth (.npz copies or CASCADE .mat)"
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for windows, checkpoints and networks")
    parser.add_argument("--stage", nargs="*", default=["simulations", *FOLDS, "shipped"])
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    simulated = simulated_bank(options.work)
    for stage in options.stage:
        if stage == "simulations":
            pretrain(options.work, simulated)
        else:
            fine_tune(options.work, options.data, simulated, stage)


def simulated_bank(work: Path) -> Windows:
    """The simulated windows, made once."""
    path = work / "simulated.npz"
    if not path.exists():
        bank = simulated_windows(generator(SEED, "training/simulated"), SIMULATED_GROUPS)
        np.savez(work / "part.npz", **bank._asdict())
        (work / "part.npz").replace(path)
    with np.load(path) as file:
        return Windows(**{name: file[name] for name in Windows._fields})


def ground_truth_bank(work: Path, data: Path) -> dict[str, Windows]:
    """Augmented windows of every set, each from its own stream of random numbers."""
    sets = load_sets(data)
    seconds = {name: sum(len(r.dff) / r.frame_rate_hz for r in recordings) for name, recordings in sets.items()}
    total = sum(np.sqrt(s) for s in seconds.values())
    bank = {}
    for name, recordings in sets.items():
        path = work / f"windows-{name}.npz"
        if not path.exists():
            n = round(GROUND_TRUTH_WINDOWS * np.sqrt(seconds[name]) / total)
            made = ground_truth_windows(generator(SEED, f"training/{name}"), recordings, max(64, n))
            np.savez(work / "part.npz", **made._asdict())
            (work / "part.npz").replace(path)
        with np.load(path) as file:
            bank[name] = Windows(**{field: file[field] for field in Windows._fields})
    return bank


def ground_truth_noise_levels(data: Path) -> np.ndarray:
    """Standardised noise level (% Hz^-1/2) of every recording, at its native rate."""
    recordings = [r for part in load_sets(data).values() for r in part]
    return np.array([np.median(np.abs(np.diff(r.dff))) * 100 / np.sqrt(r.frame_rate_hz) for r in recordings])


def loss(network: RecognitionNetwork, batch: Windows, key: jax.Array) -> jax.Array:
    """The supervised objective on a batch of windows."""
    return supervised_loss(network(batch.channels, batch.summary), batch.counts, batch.inside, batch.frame_rate_hz)


def pretrain(work: Path, simulated: Windows) -> None:
    """Simulations only; the last 1,024 windows are held out."""
    network = RecognitionNetwork(RecognitionConfig(), key=jax_key(SEED, "spikes/recognition-init"))
    n = len(simulated.channels) - 1024
    result = train(
        loss,
        network,
        simulated.take(slice(0, n)),
        PRETRAINING,
        held_out=simulated.take(slice(n, None)),
        seed=SEED,
        checkpoint=work / "simulations.checkpoint",
        name="simulations",
    )
    keep(work, "simulations", result, sets=[])


def fine_tune(work: Path, data: Path, simulated: Windows, stage: str) -> None:
    """Ground truth with a share of simulations; every twentieth ground-truth window is held out."""
    bank = {name: windows for name, windows in ground_truth_bank(work, data).items() if may_see(stage, name)}
    real = concatenate(list(bank.values()))
    held_out = np.arange(len(real.channels)) % 20 == 0
    kept = real.take(~held_out)
    both = concatenate([kept, simulated.take(slice(0, 16_384))])
    weights = np.r_[
        np.full(len(kept.channels), (1 - SIMULATED_SHARE) / len(kept.channels)),
        np.full(16_384, SIMULATED_SHARE / 16_384),
    ]
    network, _ = load_network(work / "simulations.safetensors")
    result = train(
        loss,
        network,
        both,
        FINE_TUNING,
        held_out=real.take(held_out),
        seed=SEED,
        weights=weights,
        checkpoint=work / f"{stage}.checkpoint",
        name=stage,
    )
    keep(work, stage, result, sets=sorted(bank))


def keep(work: Path, stage: str, result: TrainingResult, sets: list[str]) -> None:
    """Write the network and what it was trained on."""
    save_network(
        work / f"{stage}.safetensors",
        result.parameters,
        seed=SEED,
        card={
            "stage": stage,
            "trained_on": sets,
            "held_out_loss": result.held_out_loss,
            "rerun": __doc__.splitlines()[2].strip(),
        },
    )
    print(
        json.dumps({"stage": stage, "held_out_loss": result.held_out_loss, "history": vars(result.history)}), flush=True
    )


if __name__ == "__main__":
    main()

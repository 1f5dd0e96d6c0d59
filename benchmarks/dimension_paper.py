"""The figures of Ansuini et al. (2019) that can be had here, beside the paper's: the hunchback of trained networks.

Trained CIFAR-10 ResNets (JPEG copies of the images) and their untrained twins, whole and per class; MNIST networks
trained on true and on shuffled labels; luminance-perturbed MNIST; the linearised control, correct and as published; the
dimension of the last hidden layer against accuracy over networks of different kind and size, whatever comes out.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from antidrome.dimension import layers
from antidrome.dimension.controls import (
    dimension_against_accuracy,
    gaussian_twin,
    perturbed_gradient,
    perturbed_luminance,
    shuffled_columns,
    shuffled_labels,
    untrained,
)
from antidrome.dimension.estimator import TwoNN
from benchmarks import reference_networks as networks
from benchmarks.harness import data_folder, finish, options, require_data, show

ANCHORS = {
    "ResNet-20": [27.7, 36.4, 76.7, 64.1, 36.4, 13.8, 8.1],
    "ResNet-56": [27.7, 34.3, 72.0, 64.1, 32.7, 12.5, 7.5],
}
CLASS_ANCHORS = [23.2, 29.3, 69.0, 58.5, 36.4, 14.2, 8.2]
MNIST_LAYERS = {"input": "input", "0": "conv1", "2": "pool1", "3": "conv2", "5": "pool2", "7": "d1", "9": "output"}
LUMINANCE = {0: 13.2, 100: 11.5, 300: 8.0, 1000: 3.2, 3000: 1.5}
LINEARISED = {"data": 12.2, "covariance": 54.0, "published": 94.0, "columns shuffled": 60.0}
PAPER_R = 0.94


def cifar(folder: Path, quick: bool, seed: int) -> dict[str, Any]:
    """Trained ResNets and their untrained twins on test images."""
    images, _ = networks.load_cifar(folder, "test", 50 if quick else 200)
    names = ["ResNet-20"] if quick else list(networks.CIFAR_NETWORKS)
    rows, hunchback, flat = [], {}, {}
    for name in names:
        trained = networks.trained_resnet(folder, name)
        twin = untrained(trained, seed=seed, initialise=networks.resnet_start)
        for kind, network, verdicts in (("trained", trained, hunchback), ("untrained", twin, flat)):
            found = layers(
                network, images, networks.CIFAR_LAYERS, scale=not quick, seed=seed, batch_size=100, progress=False
            ).squeeze()
            dimension = found["dimension"].sel(layer=networks.CIFAR_LAYERS).values
            verdicts[name] = bool(dimension[2] >= 2 * dimension[0] and dimension[2] >= 4 * dimension[5])
            anchors = ANCHORS.get(name) if kind == "trained" and not quick else None
            rows.append(_profile_row(name, kind, found, networks.CIFAR_LAYERS, anchors))
    ratios = [row["pca_standardised"][4] / row["dimension"][4] for row in rows if row["kind"] == "trained"]
    return {
        "rows": rows,
        "hunchback": hunchback,
        "untrained_hunchback": flat,
        "pca_ratio": float(np.median(ratios)),
        "n_images": len(images),
    }


def cifar_classes(folder: Path, quick: bool, seed: int) -> dict[str, Any]:
    """ResNet-20, class by class, on training images: mean and standard deviation over the classes."""
    images, labels = networks.load_cifar(folder, "train", 50 if quick else 500)
    network = networks.trained_resnet(folder, "ResNet-20")
    found = layers(
        network,
        images,
        networks.CIFAR_LAYERS,
        classes=labels,
        linear=False,
        scale=False,
        seed=seed,
        batch_size=100,
        progress=False,
    ).squeeze()
    values = found["dimension"].sel(layer=networks.CIFAR_LAYERS).drop_sel({"class": "all"}).values
    return {
        "layers": networks.CIFAR_LAYERS,
        "mean": values.mean(axis=1).tolist(),
        "sd": values.std(axis=1, ddof=1).tolist(),
        "anchors": None if quick else CLASS_ANCHORS,
        "n_per_class": 50 if quick else 500,
    }


def _profile_row(
    name: str, kind: str, found: xr.Dataset, order: list[str], anchors: list[float] | None
) -> dict[str, Any]:
    ordered = found.sel(layer=order)
    values = ordered["dimension"].values
    return {
        "network": name,
        "kind": kind,
        "layers": order,
        "dimension": values.tolist(),
        "standard_error": ordered["standard_error"].values.tolist(),
        "pca": ordered["pca_dimension"].values.tolist(),
        "pca_standardised": ordered["pca_dimension_standardised"].values.tolist(),
        "width": ordered["width"].values.tolist(),
        "verdict": [str(v) for v in ordered["verdict"].values],
        "anchors": anchors,
        "max_difference_to_anchors": None if anchors is None else float(np.abs(values - anchors).max()),
    }


def mnist_labels(folder: Path, quick: bool, seed: int) -> dict[str, Any]:
    """The paper's small network on true labels, and on shuffled ones that it has to learn by heart."""
    images, labels = networks.load_mnist(folder, "train", 5000 if quick else None)
    test_images, test_labels = networks.load_mnist(folder, "test", 1000 if quick else None)
    n_shuffled = 500 if quick else 5000
    shown = images[: 1000 if quick else 2000]
    rows = []
    for number in range(1 if quick else 2):
        for kind in ("true", "shuffled"):
            network = networks.fresh(networks.paper_mnist_network, seed + number)
            if kind == "true":
                told = networks.train(network, images, labels, seed=seed + number, epochs=1)
            else:
                wrong = shuffled_labels(labels[:n_shuffled], seed=seed + number)
                told = networks.train(
                    network, images[:n_shuffled], wrong, seed=seed + number, epochs=30 if quick else 80, stop_at=0.96
                )
            found = layers(
                network, shown, list(MNIST_LAYERS), linear=False, scale=False, batch_size=200, progress=False
            )
            values = found["dimension"].sel(layer=list(MNIST_LAYERS)).values.ravel()
            accuracy = networks.accuracy(network, test_images, test_labels)
            rows.append(
                {"labels": kind, "seed": seed + number, "dimension": values.tolist(), "test_accuracy": accuracy, **told}
            )
    means = {
        kind: np.mean([r["dimension"] for r in rows if r["labels"] == kind], axis=0) for kind in ("true", "shuffled")
    }
    return {
        "rows": rows,
        "layers": list(MNIST_LAYERS.values()),
        "last_hidden_over_input": {kind: float(m[5] / m[0]) for kind, m in means.items()},
        "shuffled_label_rise": float(means["shuffled"][5] / means["true"][5]),
    }


def mnist_controls(folder: Path, quick: bool, seed: int) -> dict[str, Any]:
    """Luminance and gradient perturbation, and the linearised control both ways."""
    images, _ = networks.load_mnist(folder, "test", 1000 if quick else 2000)
    images = images[:, 0].astype(np.float64)

    def dimension(points: np.ndarray) -> float:
        return TwoNN(seed=seed).fit(points, progress=False).dimension_

    luminance = {str(a): dimension(perturbed_luminance(images, a, seed=seed)) for a in LUMINANCE}
    gradient = {str(a): dimension(perturbed_gradient(images, a, seed=seed)) for a in LUMINANCE}
    flat = images.reshape(len(images), -1)
    scaled = (flat - flat.mean(axis=0)) / np.where(flat.std(axis=0) > 0, flat.std(axis=0), 1)
    linearised = {
        "data": dimension(scaled),
        "covariance": dimension(gaussian_twin(scaled, seed=seed)),
        "published": dimension(gaussian_twin(scaled, spectrum="published", seed=seed)),
        "columns shuffled": dimension(shuffled_columns(scaled, seed=seed)),
    }
    return {"luminance": luminance, "gradient": gradient, "linearised": linearised, "n_images": len(images)}


def accuracies(folder: Path, quick: bool, seed: int) -> dict[str, Any]:
    """Dimension of the last hidden layer of many MNIST networks against their test accuracy."""
    images, labels = networks.load_mnist(folder, "train", 3000 if quick else 20_000)
    test_images, test_labels = networks.load_mnist(folder, "test", 2000 if quick else None)
    shown = images[: 1000 if quick else 2000]
    rows = []
    for name, make in networks.ZOO.items():
        network = networks.fresh(make, seed)
        told = networks.train(network, images, labels, seed=seed, epochs=1 if quick else 3, batch_size=32)
        last = f"{len(network) - 1}:input"
        found = layers(network, shown, last, linear=False, scale=False, batch_size=200, progress=False)
        rows.append(
            {
                "network": name,
                "width": int(found["width"].item()),
                "dimension": float(found["dimension"].item()),
                "standard_error": float(found["standard_error"].item()),
                "test_accuracy": networks.accuracy(network, test_images, test_labels),
                **told,
            }
        )
    found = dimension_against_accuracy([r["dimension"] for r in rows], [r["test_accuracy"] for r in rows], seed=seed)
    return {
        "rows": rows,
        "correlation": {
            "r": found.r,
            "interval": [found.lower, found.upper],
            "confidence": found.level,
            "spearman": found.spearman,
            "p_value": found.p_value,
            "n_networks": found.n_networks,
            "r_with_error": -found.r,
            "paper_r_with_error": PAPER_R,
        },
    }


def _show_cifar(found: dict[str, Any], classes: dict[str, Any]) -> None:
    order = networks.CIFAR_LAYERS
    rows: list[list[Any]] = []
    for row in found["rows"]:
        rows.append([f"{row['network']} {row['kind']}", *row["dimension"]])
        if row["anchors"]:
            rows.append(["  measured before", *row["anchors"]])
        rows.append(["  PCA 90 % (standardised)", *(int(v) for v in row["pca_standardised"])])
    rows.append([f"ResNet-20 per class ({classes['n_per_class']} images)", *classes["mean"]])
    rows.append(["  standard deviation", *classes["sd"]])
    if classes["anchors"]:
        rows.append(["  measured before", *classes["anchors"]])
    title = (
        f"CIFAR-10 (JPEG copies), {found['n_images']} test images. Paper: peak 100–120 at depth 0.2–0.4, untrained flat"
    )
    show(title, ["network", *order], rows)


def _show_rest(labels: dict[str, Any], controls: dict[str, Any], zoo: dict[str, Any]) -> None:
    show(
        "MNIST network. Paper: falls to the output with true labels, grows in the second half with shuffled ones",
        ["labels (seed)", *labels["layers"], "test accuracy"],
        [[f"{r['labels']} ({r['seed']})", *r["dimension"], r["test_accuracy"]] for r in labels["rows"]],
    )
    show(
        "Luminance-perturbed MNIST. Paper: 13 → 3 at 100 (its public script needs about 1000)",
        ["amplitude", *controls["luminance"]],
        [
            ["luminance", *controls["luminance"].values()],
            ["  measured before (2,000 images)", *LUMINANCE.values()],
            ["gradient", *controls["gradient"].values()],
        ],
    )
    show(
        "Linearised control, standardised MNIST",
        ["", *LINEARISED],
        [["here", *controls["linearised"].values()], ["measured before (2,000 images)", *LINEARISED.values()]],
    )
    show(
        "Dimension of the last hidden layer against accuracy, MNIST. Paper (ImageNet, top-5 error): r = 0.94",
        ["network", "width", "dimension", "standard error", "test accuracy"],
        [[r["network"], r["width"], r["dimension"], r["standard_error"], r["test_accuracy"]] for r in zoo["rows"]],
    )


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    given = options(__doc__).parse_args(arguments)
    require_data("dimension_paper")
    started, folder, size = time.time(), data_folder(), (given.quick, given.seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # two threads on one busy core wait for each other: several times slower
    found, classes = cifar(folder, *size), cifar_classes(folder, *size)
    labels, controls, zoo = mnist_labels(folder, *size), mnist_controls(folder, *size), accuracies(folder, *size)
    _show_cifar(found, classes)
    _show_rest(labels, controls, zoo)
    r = zoo["correlation"]
    headline = (
        f"Hunchback in {sum(found['hunchback'].values())} of {len(found['hunchback'])} trained networks and"
        f" {sum(found['untrained_hunchback'].values())} untrained twins; shuffled labels raise the last hidden layer"
        f" {labels['shuffled_label_rise']:.2f} times; last hidden dimension against test accuracy over"
        f" {r['n_networks']} networks: r = {r['r']:.2f}, 95 % interval {r['interval'][0]:.2f} … {r['interval'][1]:.2f}"
        f" (paper, against error: {PAPER_R})."
    )
    result = {
        "headline": f"{'Quick version: ' if given.quick else ''}{headline}",
        "quick": given.quick,
        "hunchback": found["hunchback"],
        "untrained_hunchback": found["untrained_hunchback"],
        "shuffled_label_rise": labels["shuffled_label_rise"],
        "accuracy_correlation": zoo["correlation"],
        "pca_ratio": found["pca_ratio"],
        "cifar": found["rows"],
        "cifar_classes": classes,
        "labels": labels,
        "controls": controls,
        "networks": zoo["rows"],
    }
    finish(result, started, given.json)


if __name__ == "__main__":
    main()

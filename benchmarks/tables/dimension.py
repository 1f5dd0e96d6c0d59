"""Tables of the benchmarks of dimension."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmarks.tables.table import AtLeast, Table, beside, value

PEERS = {"DADApy": "dadapy", "scikit-dimension": "skdim", "faiss": "faiss"}
PACKAGES = {"ours": "ours"} | PEERS | {"torch.cdist": "torch"}
RIGHT = 0.01
"""Relative difference from the float64 reference up to which an estimate counts as right."""
ANSWERS = ("right", "wrong", "NaN", "refused", "absent")


def exactness(result: Mapping[str, Any]) -> list[Table]:
    """Hostile points beside the peers; known dimensions; coverage."""
    rows = [row | {"says": bool(row["said"])} for row in result["hostile"]]
    counts = [{"package": name} | found for name, found in answers(rows).items()]
    sizes = [key for key in result["bias"][0] if key.startswith("N=")]
    return [
        Table(
            "A row is a kind of points: TwoNN by each package beside plain float64 (dimension; – is no number).",
            {"points": "points", "float64": "reference", **PACKAGES, "ours says something": "says"},
            rows,
        ),
        Table(
            f"The same, counted over the {len(rows)} kinds. Right: within {RIGHT:.0%} of float64; silently wrong:"
            " another number; NaN: returned as the dimension; refused: ended with an error.",
            {"package": "package", "right": "right", "silently wrong": "wrong", "NaN": "NaN", "refused": "refused"},
            counts,
            ["Exact copies have more than one reading: float64 and ours leave them out of the ratios."],
        ),
        Table(
            "A row is a manifold of known dimension: estimates by number of points N.",
            {"manifold": "manifold", "true dimension": "dimension", "columns": "width"} | {n: n for n in sizes},
            result["bias"],
        ),
        Table(
            "A row is a kind of simulated points: share of 90 % intervals that hold the true dimension.",
            {"points": "points", "coverage": "covered"},
            [{"points": key, "covered": share} for key, share in result["coverage_90_by_dimension"].items()],
        ),
        Table(
            "A row is an estimator: MNIST test images, the first 2,000 unless named otherwise.",
            {"estimator": "estimator", "ours": "ours", "measured before": "before"},
            [
                {"estimator": key, "ours": figure, "before": result["mnist_expected"].get(key)}
                for key, figure in result["mnist"].items()
            ],
        ),
    ]


def neural(result: Mapping[str, Any]) -> list[Table]:
    """Recorded populations beside the same neurons shifted against one another, and linear dimensions."""
    rows = [
        row | {"shifted": _mean(row["shuffled"]), "shifted_apart": _mean(row["shuffled_apart"])}
        for row in result["recordings"]
    ]

    def below(ours: str, control: str) -> str:
        pairs = [(row[ours], row[control]) for row in rows if row[ours] is not None and row[control] is not None]
        return f"{sum(estimate < shifted for estimate, shifted in pairs)} of {len(pairs)}"

    return [
        Table(
            "A row is a recording. Shifted: the same neurons, shifted against one another in time (mean of the"
            " shifts); apart: without neighbours in time.",
            {
                "recording": "recording",
                "neurons": "n_neurons",
                "points": "n_points",
                "dimension": "dimension",
                "shifted": "shifted",
                "dimension, apart": "dimension_apart",
                "shifted, apart": "shifted_apart",
                "PCA, 90 % of variance": "pca_dimension",
                "participation ratio": "participation_ratio",
            },
            rows,
            [
                f"The estimate is below that of the shifted neurons in {below('dimension', 'shifted')} recordings,"
                f" without neighbours in time in {below('dimension_apart', 'shifted_apart')}, by whatever margin; how"
                " many are clearly below is said above."
            ],
        )
    ]


def paper(result: Mapping[str, Any]) -> list[Table]:
    """Networks layer by layer, shuffled labels, controls, accuracy."""
    cifar, classes, labels = result["cifar"], result["cifar_classes"], result["labels"]
    layers = cifar[0]["layers"]
    rows = []
    for row in cifar:
        name = f"{row['network']}, {row['kind']}"
        rows.append({"network": name} | dict(zip(layers, row["dimension"], strict=True)))
        if row.get("anchors"):
            rows.append({"network": f"{name}, measured before"} | dict(zip(layers, row["anchors"], strict=True)))
    by_class = [
        {"what": what} | dict(zip(classes["layers"], classes[key], strict=True))
        for what, key in (("mean", "mean"), ("sd", "sd"), ("mean, measured before", "anchors"))
    ]
    by_labels = [row | dict(zip(labels["layers"], row["dimension"], strict=True)) for row in labels["rows"]]
    controls = result["controls"]
    perturbed = [
        {"amplitude": key, "luminance": figure, "gradient": controls["gradient"].get(key)}
        for key, figure in controls["luminance"].items()
    ]
    r = result["accuracy_correlation"]
    return [
        Table(
            "A row is a network on CIFAR-10: dimension of every layer.",
            {"network": "network"} | {layer: layer for layer in layers},
            rows,
        ),
        Table(
            f"Single classes of CIFAR-10 ({classes['n_per_class']} images each) in the trained network: over classes.",
            {"": "what"} | {layer: layer for layer in classes["layers"]},
            by_class,
        ),
        Table(
            "A row is a training on MNIST: dimension of every layer, and accuracy on test images.",
            {"labels": "labels", "seed": "seed"}
            | {layer: layer for layer in labels["layers"] if layer != labels["layers"][0]}
            | {"test accuracy": "test_accuracy"},
            by_labels,
        ),
        Table(
            f"A row is an amplitude of a perturbation of MNIST ({controls['n_images']} images): dimension.",
            {"amplitude": "amplitude", "luminance": "luminance", "gradient": "gradient"},
            perturbed,
        ),
        Table(
            "Dimension of standardised MNIST and of its linearised controls.",
            {key: key for key in controls["linearised"]},
            [controls["linearised"]],
        ),
        Table(
            "A row is a network trained on MNIST: its last hidden layer.",
            {
                "network": "network",
                "width": "width",
                "dimension": "dimension",
                "standard error": "standard_error",
                "test accuracy": "test_accuracy",
                "training accuracy": "training_accuracy",
            },
            result["networks"],
            [
                f"Dimension against test error over {r['n_networks']} networks: r = {r['r_with_error']:.2f} here,"
                f" {r['paper_r_with_error']:.2f} in the paper."
            ],
        ),
    ]


def speed(result: Mapping[str, Any]) -> list[Table]:
    """Seconds and memory beside every exact peer; > is where a peer was stopped."""
    rows = [row | {"factor": of_the_fastest(row)} for row in result["rows"]]
    size = {"points": "points", "columns": "dimensions"}

    def columns(key: str, unit: str) -> dict[str, str]:
        return {f"{name}, {unit}": f"{entry}/{key}" for name, entry in ({"ours": "ours"} | PEERS).items()}

    def words(what: str, key: str, peers: Mapping[str, str]) -> str:
        chosen = {name: f"{entry}/{key}" for name, entry in peers.items()}
        name = "{points} × {dimensions}".format_map
        return beside(what, rows, f"ours/{key}", chosen, name=name, more=False)

    return [
        Table(
            "A row is a size, timed once, each package in a process of its own; > is where it was stopped.",
            size
            | columns("seconds", "s")
            | {"bare matrix product, s": "product/seconds", "fastest peer over ours": "factor"},
            rows,
            [
                words("Time", "seconds", PEERS | {"the bare matrix product": "product"}),
                "faiss searches in float32 and is no exact peer: the table of hostile points shows where it is wrong.",
            ],
        ),
        Table(
            "The same runs: peak memory; – is where a package was stopped.",
            size | columns("peak_rss_gb", "GB"),
            rows,
            [words("Memory", "peak_rss_gb", PEERS), *_bounds(result["rows"])],
        ),
        Table(
            "The block analysis of the paper (b = 1…20).",
            size | {"ours, s": "ours/seconds", "DADApy, s": "dadapy/seconds"},
            [result["blocks"]],
        ),
    ]


def of_the_fastest(row: Mapping[str, Any]) -> float | None:
    """The time of the fastest peer over ours; at least that where all were stopped."""
    times = [time for entry in PEERS.values() if (time := value(row, f"{entry}/seconds")) is not None]
    if not times:
        return None
    finished = [time for time in times if not isinstance(time, AtLeast)]
    ours = value(row, "ours/seconds")
    return min(finished) / ours if finished else AtLeast(min(times) / ours)


def _bounds(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """That equal peaks of several packages are no measurements of any of them, where there are such."""
    for row in rows:
        peaks = [
            peak for entry in ("ours", *PEERS.values()) if (peak := value(row, f"{entry}/peak_rss_gb")) is not None
        ]
        if len(set(peaks)) < len(peaks):
            return [
                "Equal figures in a row are what the process held that started all of them: bounds, no measurements."
            ]
    return []


def stopped_after(result: Mapping[str, Any]) -> float | None:
    """Seconds after which peers were stopped; None where all finished and the result does not say."""
    stopped = [row[entry]["seconds"] for row in result["rows"] for entry in PEERS.values() if _stopped(row, entry)]
    return result.get("limit_s", max(stopped, default=None))


def answers(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """For every package: in how many rows it is right, silently wrong, without a number, refuses, or is absent."""
    found = {name: [_answer(row, key) for row in rows] for name, key in PACKAGES.items()}
    return {name: {kind: kinds.count(kind) for kind in ANSWERS} for name, kinds in found.items()}


def _answer(row: Mapping[str, Any], key: str) -> str:
    estimate, exact = row.get(key, "absent"), row["reference"]
    if isinstance(estimate, str):
        return "absent" if estimate == "absent" else "refused"
    if estimate is None:
        return "refused" if key == "ours" and row["said"] else "NaN"
    return "right" if exact is not None and abs(estimate - exact) <= RIGHT * exact else "wrong"


def _stopped(row: Mapping[str, Any], entry: str) -> bool:
    return bool(row.get(entry, {}).get("timed_out"))


def _mean(figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return fmean(known) if known else None

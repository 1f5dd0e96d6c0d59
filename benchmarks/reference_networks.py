"""Images and networks of the dimension benchmarks: MNIST, CIFAR-10 (JPEG copies), their ResNets, small networks."""

from __future__ import annotations

import gzip
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

CIFAR_MEAN, CIFAR_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CIFAR_NETWORKS = {"ResNet-20": 3, "ResNet-32": 5, "ResNet-56": 9}
CIFAR_LAYERS = ["input", "conv1", "layer1", "layer2", "layer3", "avgpool", "linear"]
BATCH = 250


def load_mnist(folder: Path, split: str, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 1, 28, 28) in [0, 1], float32, and labels, in the order of the files."""
    prefix = "train" if split == "train" else "t10k"
    with gzip.open(folder / "dimension" / "mnist" / f"{prefix}-images-idx3-ubyte.gz") as stream:
        images = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / "dimension" / "mnist" / f"{prefix}-labels-idx1-ubyte.gz") as stream:
        labels = np.frombuffer(stream.read(), np.uint8, offset=8).astype(np.int64)
    return images[:n].astype(np.float32) / 255, labels[:n]


def load_cifar(folder: Path, split: str, n_per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """The first images of each class (n, 3, 32, 32), normalised as for the ResNets, float32, and labels."""
    from PIL import Image

    with np.load(folder / "dimension" / "cifar10" / f"cifar10_{split}_jpeg.npz") as packed:
        raw, offsets, labels = packed["bytes"].tobytes(), packed["offsets"], packed["labels"]
    rows = np.concatenate([np.flatnonzero(labels == c)[:n_per_class] for c in range(10)])
    images = np.stack(
        [np.asarray(Image.open(io.BytesIO(raw[offsets[i] : offsets[i + 1]])).convert("RGB")) for i in rows]
    )
    scaled = (images.astype(np.float32) / 255 - np.float32(CIFAR_MEAN)) / np.float32(CIFAR_SD)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)), labels[rows].astype(np.int64)


class CifarBlock(nn.Module):
    """Two 3 × 3 convolutions and a shortcut without weights: every second pixel, new channels zero (option A)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.stride, self.padding = stride, (after - before) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Output of the block."""
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        pad = (0, 0, 0, 0, self.padding, self.padding)
        return torch.relu(y + nn.functional.pad(x[:, :, :: self.stride, :: self.stride], pad))


class CifarResNet(nn.Module):
    """ResNet of 6n + 2 layers for CIFAR-10 (He et al. 2016, section 4.2)."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        self.layer1, self.layer2, self.layer3 = _stage(n, 16, 16, 1), _stage(n, 16, 32, 2), _stage(n, 32, 64, 2)
        self.avgpool, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.layer3(self.layer2(self.layer1(self.relu1(self.bn1(self.conv1(x))))))
        return self.linear(self.avgpool(x).flatten(1))


def _stage(n: int, before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(*(CifarBlock(before if i == 0 else after, after, stride if i == 0 else 1) for i in range(n)))


def trained_resnet(folder: Path, name: str) -> CifarResNet:
    """A trained CIFAR ResNet."""
    from safetensors.torch import load_file

    network = CifarResNet(CIFAR_NETWORKS[name])
    weights = load_file(folder / "dimension" / "cifar_resnets" / f"{name.lower().replace('-', '')}.safetensors")
    network.load_state_dict(weights, strict=False)
    missing = set(network.state_dict()) - set(weights)
    if any(not key.endswith("num_batches_tracked") for key in missing) or set(weights) - set(network.state_dict()):
        raise SystemExit(f"The weights of {name} do not fit the architecture: {sorted(missing)[:5]}")
    return network.eval()


def resnet_start(module: nn.Module) -> None:
    """Initial weights of the CIFAR ResNets (He et al. 2015)."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight)


def paper_mnist_network() -> nn.Sequential:
    """The paper's MNIST network: two convolutions with pooling, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 25, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def _perceptron(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    parts: list[nn.Module] = [nn.Flatten()]
    for before, after in zip((784, *widths), widths, strict=False):
        parts += [nn.Linear(before, after), activation()]
    return nn.Sequential(*parts, nn.Linear(widths[-1], 10))


def _convolutional(
    channels: tuple[int, ...], hidden: int | None, *, size: int = 3, average: bool = False
) -> nn.Sequential:
    parts: list[nn.Module] = []
    pool = nn.AvgPool2d if average else nn.MaxPool2d
    for before, after in zip((1, *channels), channels, strict=False):
        parts += [nn.Conv2d(before, after, size, padding=size // 2), nn.ReLU(), pool(2)]
    if hidden is None:
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], 10))
    side = 28 // 2 ** len(channels)
    return nn.Sequential(
        *parts, nn.Flatten(), nn.Linear(channels[-1] * side**2, hidden), nn.ReLU(), nn.Linear(hidden, 10)
    )


ZOO: dict[str, Callable[[], nn.Module]] = {
    "perceptron 16": lambda: _perceptron(16),
    "perceptron 64": lambda: _perceptron(64),
    "perceptron 256": lambda: _perceptron(256),
    "perceptron 1024": lambda: _perceptron(1024),
    "perceptron 64-64": lambda: _perceptron(64, 64),
    "perceptron 256-256-256": lambda: _perceptron(256, 256, 256),
    "perceptron 128-32": lambda: _perceptron(128, 32),
    "perceptron tanh 128-128": lambda: _perceptron(128, 128, activation=nn.Tanh),
    "convolutional 4-8, 32": lambda: _convolutional((4, 8), 32),
    "convolutional 8-16, 64": lambda: _convolutional((8, 16), 64),
    "convolutional 16-32, 128": lambda: _convolutional((16, 32), 128),
    "convolutional 5×5 8-16, 84": lambda: _convolutional((8, 16), 84, size=5, average=True),
    "convolutional 8-16-32, mean": lambda: _convolutional((8, 16, 32), None),
    "convolutional 16-32-64, mean": lambda: _convolutional((16, 32, 64), None),
}


def train(
    network: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int,
    epochs: float,
    learning_rate: float = 1e-3,
    batch_size: int = 64,
    stop_at: float | None = None,
) -> dict[str, Any]:
    """Train with Adam; `stop_at`: training accuracy at which to stop. Returns accuracy, epochs and seconds."""
    draw, started = np.random.default_rng(seed), time.time()
    optimiser = torch.optim.Adam(network.parameters(), learning_rate)
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    network.train()
    done = 0.0
    while done < epochs:
        order = draw.permutation(len(images))[: int(np.ceil(min(1.0, epochs - done) * len(images)))]
        for start in range(0, len(order), batch_size):
            rows = torch.from_numpy(order[start : start + batch_size])
            loss = nn.functional.cross_entropy(network(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        done += len(order) / len(images)
        if stop_at is not None and accuracy(network, images, labels) >= stop_at:
            break
        network.train()
    network.eval()
    return {
        "training_accuracy": accuracy(network, images[:5000], labels[:5000]),
        "epochs": round(done, 2),
        "seconds": round(time.time() - started, 1),
    }


def accuracy(network: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """Share of images that the network names right."""
    network.eval()
    with torch.no_grad():
        right = [
            (network(torch.from_numpy(images[i : i + BATCH])).argmax(1).numpy() == labels[i : i + BATCH]).sum()
            for i in range(0, len(images), BATCH)
        ]
    return float(sum(right) / len(images))


def fresh(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    """A network with weights drawn from a seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()

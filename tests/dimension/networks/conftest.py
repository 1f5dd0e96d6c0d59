"""Small networks and data."""

from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def perceptron(torch):
    """Three layers, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(6, 20), torch.nn.ReLU(), torch.nn.Linear(20, 4))


@pytest.fixture
def images(rng: np.random.Generator) -> np.ndarray:
    """Eleven small images (rows, channels, height, width)."""
    return rng.normal(size=(11, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def residual(torch):
    """A residual network with two stages, a side branch and functional pooling."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.conv = nn.Conv2d(width, width, 3, padding=1)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            return self.relu(self.conv(x) + x)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3, padding=1)
            self.layer1 = nn.Sequential(Block(4), Block(4))
            self.layer2 = nn.Sequential(Block(4))
            self.fc = nn.Linear(4, 10)

        def forward(self, x):
            return self.fc(self.layer2(self.layer1(self.stem(x))).mean((2, 3)))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Network()


@pytest.fixture
def convolutional(torch):
    """A plain network with pooling, an in-place ReLU that is used twice, dropout and two linear layers."""
    nn = torch.nn
    with torch.random.fork_rng():
        torch.manual_seed(0)
        relu = nn.ReLU(inplace=True)
        features = nn.Sequential(nn.Conv2d(3, 4, 3), relu, nn.MaxPool2d(2))
        classifier = nn.Sequential(nn.Flatten(), nn.Linear(36, 7), relu, nn.Dropout(0.5), nn.Linear(7, 5))
        return nn.Sequential(features, classifier)


@pytest.fixture
def collected():
    """A sink that keeps what it is given: ``collected.sink``, ``collected.values``."""
    values: dict[str, np.ndarray] = {}
    return SimpleNamespace(values=values, sink=values.__setitem__)

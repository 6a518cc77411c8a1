"""What the measurements share: weights and images by seed, in float64, and the shape of an exact claim."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from evidence.networks import VARIANTS, checkpoint_path, trained
from vsbook.ledger import Measurement
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.data import mnist
from vsbook.networks.layers import named_weights

MEASUREMENTS: dict[str, Callable[[], Measurement]] = {}  # by the claim's id, once the scripts are imported
AUTHORS = Path(__file__).parent / "authors.toml"
SAMPLE = 1000  # test images for the exact claims


def measures(claim_id: str):
    """Enter a function as the measurement of that claim."""

    def enter(function: Callable[[], Measurement]) -> Callable[[], Measurement]:
        MEASUREMENTS[claim_id] = function
        return function

    return enter


def authors() -> dict:
    """Numbers of the authors' own notebook, for comparison."""
    return tomllib.loads(AUTHORS.read_text())


def weight(name: str, seed: int, layer: str = "layer1") -> np.ndarray:
    """The weight matrix of a trained layer, as stored (float32)."""
    return named_weights(trained(name, seed))[layer].weight


def subspaces(name: str, seed: int, layer: str = "layer1") -> FourSubspaces:
    """The four subspaces of a trained layer."""
    return FourSubspaces.of(weight(name, seed, layer))


def seeds(name: str) -> range:
    """All seeds of a variant."""
    return range(VARIANTS[name].seeds)


def inputs(*names: str) -> list[Path]:
    """The checkpoints of the variants: what a measurement read."""
    return [checkpoint_path(name, seed) for name in names for seed in seeds(name)]


def sample() -> np.ndarray:
    """The first 1000 test images, (1000, 784), float64."""
    return mnist().test.images[:SAMPLE].astype(np.float64)


def relative(difference, reference) -> float:
    """Largest length of a row of `difference` over that of the same row of `reference`."""
    return float((np.linalg.norm(difference, axis=-1) / np.linalg.norm(reference, axis=-1)).max())


def exact(quantity: str, broken: str, error: Callable[[int, bool], float], name: str = "fcnn1") -> Measurement:
    """An identity's error for each seed, and its error when broken on purpose: a check that can't fail shows nothing.

    `error(seed, spoil)` returns the identity's error; with `spoil`, that of the identity broken as `broken` says.
    """
    return Measurement(
        quantity,
        {seed: error(seed, False) for seed in seeds(name)},
        {"what": f"the same check {broken}", "runs": {seed: error(seed, True) for seed in seeds(name)}},
        {},
        inputs(name),
    )

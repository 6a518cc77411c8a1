"""What the measurements share: weights and images by seed, in float64, and the shapes of claims and controls."""

import tomllib
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path

import numpy as np
import scipy

from evidence.networks import VARIANTS, checkpoint_path, trained
from vsbook.ledger import Measurement
from vsbook.linalg.lengths import relative_lengths
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.data import mnist, mnist_split
from vsbook.networks.layers import named_weights
from vsbook.networks.outputs import Outputs, output_statistics

MEASUREMENTS: dict[str, partial] = {}  # by the claim's id, once the scripts are imported
AUTHORS = Path(__file__).parent / "authors.toml"
SAMPLE = 1000  # test images for the exact claims
QUARTILES = [0.25, 0.5, 0.75]
QUANTILES = 499  # of a law's draws: enough for p-values of two thousandths


def measures(claim_id: str, *arguments):
    """Enter a function, called with these arguments, as the measurement of that claim: its id is found by grep."""

    def enter(function: Callable[..., Measurement]) -> Callable[..., Measurement]:
        MEASUREMENTS[claim_id] = partial(function, *arguments)
        return function

    return enter


def exact(quantity: str, broken: str, name: str = "fcnn1", read: list[Path] | None = None):
    """Make a measurement of `error(seed, spoil)`: an identity's error for each seed of a variant.

    With `spoil` the identity is broken as `broken` says: a check that can't fail shows nothing.
    """

    def enter(error: Callable[[int, bool], float]) -> Callable[[], Measurement]:
        def measurement() -> Measurement:
            runs = per_seed(lambda seed: error(seed, False), name)
            control = Control.same(f"the same check {broken}", per_seed(lambda seed: error(seed, True), name))
            return Measurement(quantity, runs, control, {}, inputs(name) if read is None else read)

        measurement.__name__, measurement.__module__ = error.__name__, error.__module__
        return measurement

    return enter


class Control:
    """What the runs are compared with, as the ledger keeps it: what it is, and its runs or two laws."""

    @staticmethod
    def same(what: str, runs: dict[int, float]) -> dict:
        """The same quantity, by seed, where the claim's reason is missing."""
        return {"what": what, "runs": runs}

    @staticmethod
    def laws(what: str, null: np.ndarray, claimed: np.ndarray) -> dict:
        """Draws of what chance gives, and of what the claim's words mean; of many, so many quantiles."""
        return {"what": what, "null": _quantiles(null), "claimed": _quantiles(claimed)}


def _quantiles(draws: np.ndarray) -> list[float]:
    """Few draws as they are, of many `QUANTILES` that stand for equal shares; four digits."""
    if len(draws) > QUANTILES:
        draws = np.quantile(draws, (np.arange(QUANTILES) + 0.5) / QUANTILES)
    return [float(f"{draw:.4g}") for draw in np.sort(draws)]


def moved(draws: np.ndarray, mean: float) -> np.ndarray:
    """Draws of a share, moved on the logit scale until they have that mean."""
    logits = scipy.special.logit(draws)

    def off(by):
        return scipy.special.expit(logits + by).mean() - mean

    return scipy.special.expit(logits + scipy.optimize.brentq(off, -20, 20))


def per_seed(value: Callable[[int], object], of: str | Iterable[int]) -> dict:
    """`value(seed)` for all seeds of a variant, or for those that are given."""
    return {seed: value(seed) for seed in (seeds(of) if isinstance(of, str) else of)}


def over_seeds(every: dict[int, np.ndarray]) -> np.ndarray:
    """The mean over the seeds, entry by entry."""
    return np.mean(list(every.values()), axis=0)


def authors() -> dict:
    """Numbers of the authors' own notebook, for comparison."""
    return tomllib.loads(AUTHORS.read_text())


def weight(name: str, seed: int) -> np.ndarray:
    """The weight matrix of a trained network's first layer, as stored (float32)."""
    return named_weights(trained(name, seed))["layer1"].weight


def subspaces(name: str, seed: int) -> FourSubspaces:
    """The four subspaces of that layer."""
    return FourSubspaces.of(weight(name, seed))


def seeds(name: str) -> range:
    """All seeds of a variant."""
    return range(VARIANTS[name].seeds)


def inputs(*names: str) -> list[Path]:
    """The checkpoints of the variants: what a measurement read."""
    return [checkpoint_path(name, seed) for name in names for seed in seeds(name)]


def sample() -> np.ndarray:
    """The first 1000 test images, (1000, 784), float64."""
    return mnist().test.images[:SAMPLE].astype(np.float64)


@cache
def said_in_training(name: str, seed: int) -> Outputs:
    """What a network says of its 50,000 training images, in float64: one pass for all measurements that ask."""
    model = trained(name, seed).double()
    return output_statistics(model, mnist_split(seed).train.images, progress=False)


def relative(difference: np.ndarray, reference: np.ndarray) -> float:
    """Largest length of a row of `difference` over that of the same row of `reference`."""
    return float(relative_lengths(difference, reference).max())

"""Whether a network that is invertible by construction keeps up: accuracies, and what a page shows of it."""

from dataclasses import asdict

import numpy as np
import scipy.stats

from evidence.common import Control, measures, per_seed
from evidence.networks import checkpoint_path, observation_path
from evidence.observe.invertible import TAKEN
from evidence.train import exchanged
from evidence.train.exchanged import EXCHANGED
from evidence.train.invertible import SEEDS, TRAINED
from vsbook.ledger import Measurement, observation

DRAWS = 10_000
QUANTILES = {"smallest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "largest": 1.0}
LISTED = ("resnet18", *EXCHANGED)  # of these the wrong images are a file of their own
OWN = ("accuracy in percent", "condition number")  # of a summary: what no observation has


def observed(name: str, seed: int) -> dict:
    """What was written down of that network."""
    return observation(f"{name}-seed{seed}")


def hits(name: str, seed: int) -> np.ndarray:
    """Which of the 10,000 test images a network gets right."""
    listed = observation(f"{name}-errors")[str(seed)] if name in LISTED else observed(name, seed)[TAKEN]
    return ~np.isin(np.arange(10_000), listed)


def differences(name: str, other: str, seeds=SEEDS) -> dict[int, float]:
    """Test accuracy of a network minus that of another one, of the same seeds, in percentage points."""
    return per_seed(lambda seed: 100 * float(hits(name, seed).mean() - hits(other, seed).mean()), seeds)


def paired(name: str, other: str, seeds=SEEDS) -> dict:
    """95 % intervals of the difference: over images for each seed, over images for the mean of the seeds, over seeds.

    Images are drawn anew with replacement, both networks looking at the same ones. McNemar's exact test asks whether
    the images that only one of them gets right are as many on both sides.
    """
    pairs = [(hits(name, seed), hits(other, seed)) for seed in seeds]
    gains = 100 * np.array([one.astype(float) - two for one, two in pairs])  # (seeds, images)
    alone = [(int((one & ~two).sum()), int((two & ~one).sum())) for one, two in pairs]
    means = gains.mean(axis=1)
    half = scipy.stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / np.sqrt(len(means))
    return {
        "right alone": alone,
        "McNemar's p-values": [scipy.stats.binomtest(a, a + b).pvalue for a, b in alone],
        "each seed, over images": [resampled(row) for row in gains],
        "mean of the seeds": means.mean(),
        "mean of the seeds, over images": resampled(gains.mean(axis=0)),
        "mean of the seeds, over seeds": [means.mean() - half, means.mean() + half],
    }


def resampled(gains: np.ndarray) -> list[float]:
    """2.5 and 97.5 % quantiles of the mean of 10,000 numbers drawn with replacement; few of them differ."""
    values, counts = np.unique(gains, return_counts=True)
    draws = np.random.default_rng(0).multinomial(gains.size, counts / gains.size, DRAWS)
    return np.quantile(draws @ values / gains.size, [0.025, 0.975]).tolist()


def summary(name: str, seed: int) -> dict:
    """An observation with numbers in place of its long lists."""
    found = observed(name, seed)
    conditions = found.pop("Jacobian")["condition number"]
    found["accuracy in percent"] = 100 - len(found.pop(TAKEN)) / 100
    levels = np.quantile(conditions, list(QUANTILES.values())).tolist()
    return found | {"condition number": dict(zip(QUANTILES, levels, strict=True))}


def mean(entries: list):
    """The mean of numbers, and of lists and dictionaries of them, leaf by leaf."""
    first = entries[0]
    if isinstance(first, dict):
        return {key: mean([entry[key] for entry in entries]) for key in first}
    if isinstance(first, list):
        return [mean(list(parts)) for parts in zip(*entries, strict=True)]
    return float(np.mean(entries))


@measures("invertible-networks-keep-up")
def invertible_networks_keep_up() -> Measurement:
    names = {"network": "invertible", "toy": "invertible_toy", "without the terms": "invertible-plain"}
    every = {key: [summary(name, seed) for seed in SEEDS] for key, name in names.items()}
    exact = [row for key in ("network", "toy") for row in every[key]]
    read = [observation_path("resnet18-errors")]
    for name in TRAINED:
        for seed in SEEDS:
            read += checkpoint_path(name, seed), observation_path(f"{name}-seed{seed}")
    return Measurement(
        "test accuracy of the invertible network minus that of ResNet18",
        differences("invertible", "resnet18"),
        Control.same(
            "the toy, a single coupling with an ordinary convolutional network inside",
            differences("invertible_toy", "resnet18"),
        ),
        {
            "largest error of a pixel": {
                kind: max(row[f"reconstruction, {kind}"]["largest pixel"] for row in exact)
                for kind in ("float32", "float64")
            },
            **{key: mean(rows) for key, rows in every.items()},
            **{f"{key}, each seed": [{own: row[own] for own in OWN} for row in rows] for key, rows in every.items()},
            "accuracy of ResNet18": [100 * float(hits("resnet18", seed).mean()) for seed in SEEDS],
            "against ResNet18": paired("invertible", "resnet18"),
            "toy against ResNet18": paired("invertible_toy", "resnet18"),
            "cost of the terms": paired("invertible", "invertible-plain"),
            "recipes": {key: asdict(TRAINED[name][1]) for key, name in names.items()},
        },
        read,
    )


@measures("invertible-networks-keep-up-by-one-recipe")
def invertible_networks_keep_up_by_one_recipe() -> Measurement:
    seeds, by_adam, by_sgd = exchanged.SEEDS, ("invertible-plain", "resnet18-adam"), ("invertible-sgd", "resnet18")
    names = (*by_adam, *by_sgd, "invertible_toy")
    read = [observation_path(f"{name}-errors") for name in LISTED]
    read += [observation_path(f"{name}-seed{seed}") for name in names if name not in LISTED for seed in seeds]
    return Measurement(
        "test accuracy of the invertible network minus that of ResNet18, both by Adam on moved images",
        differences(*by_adam, seeds),
        Control.same(
            "the toy, a single coupling with an ordinary convolutional network inside, by the same recipe",
            differences("invertible_toy", "resnet18-adam", seeds),
        ),
        {
            "mean accuracy in percent": {name: 100 * float(np.mean([hits(name, s) for s in seeds])) for name in names},
            "by Adam on moved images": paired(*by_adam, seeds),
            "by the paper's recipe": paired(*by_sgd, seeds),
            "what the recipe is worth to ResNet18": paired("resnet18-adam", "resnet18", seeds),
        },
        read,
    )

"""Fig. 3: which start is nearest, and how the chosen images look; one function a claim.

Verdicts rest on the paper's text: ideal outputs of each output's own minimum, min-img and avg-min-img over the whole
training set. What the authors' code does instead stands in the details. That the nearer image is the better one is this
project's reading: the caption of Fig. 3 gives no criterion.
"""

import functools
from itertools import combinations

import numpy as np
import scipy

from evidence.common import Control, measures, per_seed
from evidence.observe.figure3 import (
    CODE_READING,
    COMMON,
    NAMES,
    PAPER_READING,
    THREE,
    every,
    files,
    observed,
)
from vsbook.inversion.ideal import READINGS
from vsbook.inversion.image_statistics import low_frequency_share
from vsbook.ledger import Measurement
from vsbook.linalg.kernels import two_level_share
from vsbook.networks.data import class_averages, mnist_split

DRAWS = 10_000
AS_STATED = 0.95  # share of pairs in order, if the caption goes by the distance
STATED = {
    "fcnn1": ["avg-img", "avg-img", "min-img", "min-img", *["avg-img"] * 3, "min-img", "avg-img", "avg-img"],
    "fcnn5": ["min-img", "avg-img", "avg-img", *["min-img"] * 3, "avg-img", "avg-img", "min-img", "min-img"],
    "resnet18": ["min-img", "avg-img", "min-img", "min-img", *["avg-img"] * 4, "min-img", "avg-img"],
}
ALSO = {("resnet18", 4): "avg-min-img"}  # the caption names 4 twice


# which start is best


def agreement(network: str, best: list[str]) -> int:
    """For how many digits the best start is the one that the caption of Fig. 3 names."""
    stated = [{name, ALSO.get((network, digit), name)} for digit, name in enumerate(STATED[network])]
    return sum(name in names for name, names in zip(best, stated, strict=True))


def pairs_as_stated(network: str, advantage: np.ndarray) -> tuple[float, np.ndarray]:
    """Share of pairs of digits in order, one with the stated avg-img and one with min-img, and of every other dealing.

    `advantage` (10,): the distance of min-img over that of avg-img. A pair is in order if the digit for which avg-img
    is stated has the larger one.
    """
    order = advantage[:, None] > advantage[None, :]
    stated = [digit for digit, name in enumerate(STATED[network]) if name == "avg-img"]

    def share(chosen):
        return order[np.ix_(chosen, [d for d in range(10) if d not in chosen])].mean()

    return float(share(stated)), np.array([share(dealt) for dealt in combinations(range(10), len(stated))])


def as_claimed(network: str) -> np.ndarray:
    """(10,000,) that share of pairs for two normal groups so far apart that it is `AS_STATED` on average."""
    generator, far = np.random.default_rng(0), np.sqrt(2) * scipy.stats.norm.ppf(AS_STATED)
    many = STATED[network].count("avg-img")
    one, other = far + generator.standard_normal((DRAWS, many)), generator.standard_normal((DRAWS, 10 - many))
    return (one[:, :, None] > other[:, None, :]).mean(axis=(1, 2))


def of_two(found: dict, trained_further: bool) -> np.ndarray:
    """(10,) the distance of min-img over that of avg-img, by digit."""
    if trained_further:
        return np.divide(found["descent"]["min-img"]["after"], found["descent"]["avg-img"]["after"])
    return np.divide(found["distance"]["min-img"], found["distance"]["avg-img"])


def best_of(found: dict, names, trained_further: bool) -> list[str]:
    """The name of the nearest image for each digit, after training or without."""
    rows = [found["descent"][name]["after"] if trained_further else found["distance"][name] for name in names]
    return [names[k] for k in np.argmin(rows, axis=0)]


@measures("fcnn1-ideal-inputs-start", "fcnn1", THREE[:2], True)
@measures("fcnn5-ideal-inputs-start", "fcnn5", THREE[:2], True)
@measures("resnet18-ideal-inputs-start", "resnet18", THREE, False)
def chosen_starts(network: str, names: tuple[str, ...], trained_further: bool) -> Measurement:
    text = every(network)
    best = per_seed(lambda seed: best_of(text[seed], names, trained_further), text)
    pairs = per_seed(lambda seed: pairs_as_stated(network, of_two(text[seed], trained_further)), text)
    return Measurement(
        "share of pairs of digits that the stated starts put in order",
        {seed: share for seed, (share, _) in pairs.items()},
        Control.laws(
            f"every dealing of the stated starts to the digits; and two groups with {AS_STATED} of pairs in order",
            pairs[0][1],
            as_claimed(network),
        ),
        {
            "digits whose best start is the stated one": [agreement(network, chosen) for chosen in best.values()],
            "best start": list(best.values()),
            "stated": STATED[network],
            "before training": [best_of(found, names, False) for found in text.values()],
            "authors' code": _by_code(network, len(names), trained_further),
            "best of all starts": [best_of(found, list(found["distance"]), trained_further) for found in text.values()],
            "distance": [found["distance"] for found in text.values()],
            "distance after training": [
                {name: of["after"] for name, of in found["descent"].items()} for found in text.values()
            ],
            "digit of the min-img": [found["digit"]["min-img"] for found in text.values()],
            **_of_seed_0(network),
        },
        files(network),
    )


def _by_code(network: str, number: int, trained_further: bool) -> dict:
    """The best starts in the reading of the authors' code, under the names of the text."""
    names = NAMES[CODE_READING][:number]
    chosen = [best_of(found, names, trained_further) for found in every(network, CODE_READING).values()]
    plain = [[name.removesuffix(" of the class") for name in starts] for starts in chosen]
    return {"best start": plain, "digits as stated": [agreement(network, starts) for starts in plain]}


def _of_seed_0(network: str) -> dict:
    """Both readings of the network that ships; ResNet18's stand in its observation."""
    if network == "resnet18":
        return {}
    found = observed(network, 0)
    kept = {
        reading: {key: found[reading][key] for key in ("ideal", "index", "digit", "left out", "descent", "box")}
        for reading in READINGS
    }
    share = "share of the own class in avg-min-img"
    return {"seed 0": kept | {share: found[share]}}


# how the chosen images look


@functools.cache
def looks(seed: int) -> dict[str, np.ndarray]:
    """Two-level share and low-frequency share of every training image of a seed."""
    images = mnist_split(seed).train.images
    blocks = np.array_split(images, 50)
    return {
        "two levels": np.concatenate([two_level_share(block) for block in blocks]),
        "low frequencies": np.concatenate([low_frequency_share(block) for block in blocks]),
    }


def drawn_at_random(seed: int) -> np.ndarray:
    """Index of one training image a digit."""
    labels, generator = mnist_split(seed).train.labels, np.random.default_rng([seed, 6])
    return np.array([generator.choice(np.flatnonzero(labels == digit)) for digit in range(10)])


def median_of_class(look: str, seed: int) -> np.ndarray:
    """(10,) the median over the training images of a digit."""
    labels = mnist_split(seed).train.labels
    return np.array([np.median(looks(seed)[look][labels == digit]) for digit in range(10)])


def chosen(seed: int) -> np.ndarray:
    """Index of ResNet18's min-img."""
    return np.array(observed("resnet18", seed)[PAPER_READING]["index"]["min-img"])


def averages(seed: int) -> dict[str, np.ndarray]:
    """ResNet18's avg-img and avg-min-img, (10, 784) each."""
    train = mnist_split(seed).train
    kept = np.array(observed("resnet18", seed)["avg-min-img"])
    return {"avg-img": class_averages(train.images, train.labels), "avg-min-img": kept}


@measures("resnet18-images-binarized")
def resnet18_images_binarized() -> Measurement:
    def share(seed):
        return looks(seed)["two levels"][chosen(seed)]

    def of_averages(seed):
        return two_level_share(averages(seed)["avg-img"])

    return Measurement(
        "digits whose min-img is explained by two levels better than their avg-img",
        per_seed(lambda seed: float((share(seed) > of_averages(seed)).sum()), COMMON),
        Control.same(
            "a training image at random in place of the min-img",
            per_seed(lambda s: float((looks(s)["two levels"][drawn_at_random(s)] > of_averages(s)).sum()), COMMON),
        ),
        {
            "of each min-img": [share(seed) for seed in COMMON],
            "mean of all training images": [looks(seed)["two levels"].mean() for seed in COMMON],
            "averages": {
                name: [two_level_share(averages(seed)[name]).mean() for seed in COMMON] for name in averages(0)
            },
        },
        files("resnet18"),
    )


@measures("resnet18-images-blurry")
def resnet18_images_blurry() -> Measurement:
    def share(seed):
        return low_frequency_share(np.concatenate(list(averages(seed).values())))

    def of_chosen(seed):
        return looks(seed)["low frequencies"][chosen(seed)]

    return Measurement(
        "avg-img and avg-min-img with more of their energy at low frequencies than the median image of their class",
        per_seed(
            lambda seed: float((share(seed) > np.tile(median_of_class("low frequencies", seed), 2)).sum()), COMMON
        ),
        Control.same(
            "the ten min-img, each counted twice",
            per_seed(lambda s: float(2 * (of_chosen(s) > median_of_class("low frequencies", s)).sum()), COMMON),
        ),
        {
            "avg-img and avg-min-img": [share(seed).reshape(2, 10).mean(axis=1) for seed in COMMON],
            "mean of all training images": [looks(seed)["low frequencies"].mean() for seed in COMMON],
            "min-img": [of_chosen(seed).mean() for seed in COMMON],
        },
        files("resnet18"),
    )

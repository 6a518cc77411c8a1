"""Fig. 3, the text around it and the last paragraph of section 3: one function a claim.

Verdicts rest on the paper's text: ideal outputs of each output's own minimum, min-img and avg-min-img over the whole
training set. What the authors' code does instead stands in the details.
"""

import functools

import numpy as np

from evidence.common import AUTHORS, Control, authors, measures, per_seed
from evidence.networks import trained
from evidence.observe.figure3 import (
    BOXES,
    CODE_READING,
    COMMON,
    NAMES,
    NETWORKS,
    PAPER_READING,
    THREE,
    every,
    files,
    noise,
    observed,
)
from vsbook.inversion.ideal import READINGS, ideal_outputs
from vsbook.inversion.image_statistics import low_frequency_share, naturalness
from vsbook.inversion.input_training import train_input
from vsbook.ledger import Measurement
from vsbook.linalg.kernels import two_level_share
from vsbook.networks.data import class_averages, mnist_split
from vsbook.networks.outputs import output_statistics

DRAWS = 10_000
REFERENCE = 1000  # test images whose distance to the training images is the yardstick
STATED = {
    "fcnn1": ["avg-img", "avg-img", "min-img", "min-img", *["avg-img"] * 3, "min-img", "avg-img", "avg-img"],
    "fcnn5": ["min-img", "avg-img", "avg-img", *["min-img"] * 3, "avg-img", "avg-img", "min-img", "min-img"],
    "resnet18": ["min-img", "avg-img", "min-img", "min-img", *["avg-img"] * 4, "min-img", "avg-img"],
}
IN_BOX = "the optimiser that keeps within the pixel box, without a prior"
ALSO = {("resnet18", 4): "avg-min-img"}  # the caption names 4 twice


def largest(value) -> dict[int, float]:
    """The largest of `value(network, seed)` over the networks, for the seeds that all have."""
    return per_seed(lambda seed: float(max(value(network, seed) for network in NETWORKS)), COMMON)


def each(value) -> dict:
    """`value(network, seed)` for each network and each seed that all have."""
    return {network: [value(network, seed) for seed in COMMON] for network in NETWORKS}


def ratios(network: str, seed: int, *way: str, names=THREE) -> np.ndarray:
    """(starts, 10) distance after training over that before."""
    found = functools.reduce(dict.__getitem__, way, observed(network, seed)[PAPER_READING])
    return np.array([np.divide(found[name]["after"], found[name]["before"]) for name in names])


# which start is best


def agreement(network: str, best: list[str]) -> int:
    """For how many digits the best start is the one that the caption of Fig. 3 names."""
    stated = [{name, ALSO.get((network, digit), name)} for digit, name in enumerate(STATED[network])]
    return sum(name in names for name, names in zip(best, stated, strict=True))


def dealt(network: str, best: list[str], seed: int) -> float:
    """97.5 % quantile of the agreement when the stated starts are dealt to the digits at random."""
    stated = [{name, ALSO.get((network, digit), name)} for digit, name in enumerate(STATED[network])]
    hits = np.array([[name in names for names in stated] for name in best])  # digit, start dealt to it
    orders = np.random.default_rng([seed, 5]).permuted(np.tile(np.arange(10), (DRAWS, 1)), axis=1)
    return float(np.quantile(hits[np.arange(10), orders].sum(axis=1), 0.975))


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
    return Measurement(
        "digits whose best start is the stated one",
        per_seed(lambda seed: float(agreement(network, best[seed])), best),
        Control.bound(
            "the stated starts dealt to the digits at random: 97.5 % quantile, the largest over the seeds",
            max(dealt(network, chosen, seed) for seed, chosen in best.items()),
        ),
        {
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


def null_of_looks(look: str, seed: int, each_class: int) -> float:
    """97.5 % quantile of the mean over training images drawn at random, as many from each class."""
    shares, labels = looks(seed)[look], mnist_split(seed).train.labels
    generator = np.random.default_rng([seed, 6])
    drawn = [generator.choice(shares[labels == digit], (DRAWS, each_class)) for digit in range(10)]
    return float(np.quantile(np.concatenate(drawn, axis=1).mean(axis=1), 0.975))


def averages(seed: int) -> dict[str, np.ndarray]:
    """ResNet18's avg-img and avg-min-img, (10, 784) each."""
    train = mnist_split(seed).train
    kept = np.array(observed("resnet18", seed)["avg-min-img"])
    return {"avg-img": class_averages(train.images, train.labels), "avg-min-img": kept}


@measures("resnet18-images-binarized")
def resnet18_images_binarized() -> Measurement:
    def share(seed):
        return looks(seed)["two levels"][observed("resnet18", seed)[PAPER_READING]["index"]["min-img"]]

    return Measurement(
        "share of the variance of the pixels that two levels explain, mean of ten min-img",
        per_seed(lambda seed: float(share(seed).mean()), COMMON),
        Control.bound(
            "ten training images at random, one from each class: 97.5 % quantile, the largest over the seeds",
            max(null_of_looks("two levels", seed, 1) for seed in COMMON),
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

    return Measurement(
        "share of the energy at low frequencies, mean of ten avg-img and ten avg-min-img",
        per_seed(lambda seed: float(share(seed).mean()), COMMON),
        Control.bound(
            "twenty training images at random, two from each class: 97.5 % quantile, largest over seeds",
            max(null_of_looks("low frequencies", seed, 2) for seed in COMMON),
        ),
        {
            "avg-img and avg-min-img": [share(seed).reshape(2, 10).mean(axis=1) for seed in COMMON],
            "mean of all training images": [looks(seed)["low frequencies"].mean() for seed in COMMON],
            "min-img": [
                looks(seed)["low frequencies"][observed("resnet18", seed)[PAPER_READING]["index"]["min-img"]].mean()
                for seed in COMMON
            ],
        },
        files("resnet18"),
    )


# what training the input gains


@measures("training-the-input-gets-closer")
def training_the_input_gets_closer() -> Measurement:
    def walk(network, seed):
        found = observed(network, seed)[PAPER_READING]
        return [np.divide(found["random walk"][name], found["distance"][name]).max() for name in THREE]

    return Measurement(
        "distance after the descent over that before, the largest of networks, starts and digits",
        largest(lambda network, seed: ratios(network, seed, "descent").max()),
        Control.same(
            "as many steps of the same lengths in random directions",
            largest(lambda network, seed: max(walk(network, seed))),
        ),
        {
            "largest by start": each(lambda network, seed: ratios(network, seed, "descent").max(axis=1)),
            "mean by start": each(lambda network, seed: ratios(network, seed, "descent").mean(axis=1)),
            "within the box, mean by start": each(
                lambda network, seed: ratios(network, seed, "box", "none").mean(axis=1)
            ),
            "random walk, largest by start": each(walk),
            "way gone, mean by start": each(
                lambda network, seed: [
                    np.mean(observed(network, seed)[PAPER_READING]["descent"][name]["moved"]) for name in THREE
                ]
            ),
            "authors": {key: value for key, value in authors().items() if key.endswith("input_losses")},
        },
        [*files(*NETWORKS), AUTHORS],
    )


def in_training_mode(seed: int) -> list[dict]:
    """What was seen of each image of each start where ResNet18 is in training mode."""
    return [image for images in observed("resnet18", seed)["training mode"].values() for image in images]


def ratios_in_training_mode(seed: int) -> np.ndarray:
    """Distance after the descent over that before, of each of those images."""
    losses = np.array([image["loss"] for image in in_training_mode(seed)])
    return np.sqrt(losses[:, 1] / losses[:, 0])


def spread_over_images(seed: int, which: str) -> float:
    """How far an output moves at most, from one avg-img to another."""
    rows = [image[which] for image in observed("resnet18", seed)["training mode"]["avg-img"]]
    return np.ptp(rows, axis=0).max()


@measures("resnet18-training-does-not-improve")
def resnet18_training_does_not_improve() -> Measurement:
    every_image = [image for seed in COMMON for image in in_training_mode(seed)]
    return Measurement(
        "distance after the descent over that before, in eval mode, mean of starts and digits",
        per_seed(lambda seed: float(ratios("resnet18", seed, "descent").mean()), COMMON),
        Control.same(
            "the same in training mode, with 32 copies of the image (of avg-img alone but for seed 0)",
            per_seed(lambda seed: float(ratios_in_training_mode(seed).mean()), COMMON),
        ),
        {
            "by start": [ratios("resnet18", seed, "descent").mean(axis=1) for seed in COMMON],
            "from noise": [ratios("resnet18", seed, "descent", names=["noise"]).mean() for seed in COMMON],
            "within the box, by start": [ratios("resnet18", seed, "box", "none").mean(axis=1) for seed in COMMON],
            "training mode": {
                "largest change of the distance": [np.abs(ratios_in_training_mode(seed) - 1).max() for seed in COMMON],
                "slope over that in eval mode, largest": max(i["slope"] / i["slope in eval mode"] for i in every_image),
                "way gone, largest": max(image["moved"] for image in every_image),
                "spread of the outputs over images": [spread_over_images(seed, "outputs") for seed in COMMON],
                "spread in eval mode": [spread_over_images(seed, "outputs in eval mode") for seed in COMMON],
            },
            "authors": {key: value for key, value in authors().items() if key.endswith("input_losses")},
        },
        [*files("resnet18"), AUTHORS],
    )


@measures("small-networks-easier-to-train-inputs")
def small_networks_easier_to_train_inputs() -> Measurement:
    def fall(*way):
        return each(lambda network, seed: 1 - ratios(network, seed, *way).mean())

    def margin(falls):
        return {seed: min(falls["fcnn1"][k], falls["fcnn5"][k]) - falls["resnet18"][k] for k, seed in enumerate(COMMON)}

    return Measurement(
        "relative fall of the distance, the smaller of FCNN1's and FCNN5's minus ResNet18's",
        margin(fall("descent")),
        Control.same(IN_BOX, margin(fall("box", "none"))),
        {"fall by descent": fall("descent"), "fall within the box": fall("box", "none")},
        files(*NETWORKS),
    )


@measures("starting-from-images-is-effective")
def starting_from_images_is_effective() -> Measurement:
    def over_noise(*way):
        def ratio(network, seed):
            found = functools.reduce(dict.__getitem__, way, observed(network, seed)[PAPER_READING])
            best = np.min([found[name]["after"] for name in THREE], axis=0)
            return float(np.mean(best / found["noise"]["after"]))

        return ratio

    return Measurement(
        "distance reached from the best of three starts over that from noise, largest of the three networks",
        largest(over_noise("descent")),
        Control.same(IN_BOX, largest(over_noise("box", "none"))),
        {"descent": each(over_noise("descent")), "box": each(over_noise("box", "none"))},
        files(*NETWORKS),
    )


@measures("nearest-output-applies-to-any-network")
def nearest_output_applies_to_any_network() -> Measurement:
    def ratio(network, seed):
        found = observed(network, seed)[PAPER_READING]
        return float(np.mean(np.divide(found["distance"]["min-img"], found["median distance of the training images"])))

    def own_class(network, seed):
        return int(np.sum(np.array(observed(network, seed)[PAPER_READING]["digit"]["min-img"]) == np.arange(10)))

    return Measurement(
        "distance of the min-img over the median distance of the training images, largest of the three networks",
        largest(ratio),
        Control.bound("a training image at random: the median", 1.0),
        {"by network": each(ratio), "min-img of the class asked for": each(own_class)},
        files(*NETWORKS),
    )


@measures("extreme-outputs-give-realistic-images")
def extreme_outputs_give_realistic_images() -> Measurement:
    found = per_seed(_from_noise, "fcnn5")

    def over_limit(way):
        every = per_seed(lambda seed: found[seed][way], found)
        return {seed: float(np.mean(of.distances / np.quantile(of.reference, 0.95))) for seed, of in every.items()}

    ways = ("ideal outputs", "twice as far from the mean output", "outputs of test images")
    return Measurement(
        "distance of generated images to the training images over the 95 % quantile of test images, mean of ten digits",
        over_limit(ways[0]),
        Control.same(f"targets {ways[1]}", over_limit(ways[1])),
        {
            "targets": {way: list(over_limit(way).values()) for way in ways},
            "percentiles": {way: [of[way].percentiles for of in found.values()] for way in ways},
            "noise itself": list(over_limit("noise").values()),
        },
        files("fcnn5"),
    )


def _from_noise(seed: int) -> dict:
    """Images that FCNN5 gets from noise for three kinds of targets, and how far from the data they are."""
    model, split = trained("fcnn5", seed).double(), mnist_split(seed)
    outputs = output_statistics(model, split.train.images, progress=False).values
    ideal, mean = ideal_outputs(outputs, PAPER_READING), outputs.mean(axis=0)
    firsts = [np.flatnonzero(split.test.labels == digit)[0] for digit in range(10)]
    real = output_statistics(model, split.test.images[firsts], progress=False).values
    targets = {
        "ideal outputs": ideal,
        "twice as far from the mean output": mean + 2 * (ideal - mean),
        "outputs of test images": real,
    }
    images = {
        way: train_input(model, rows, noise(seed), BOXES["none"], progress=False).images
        for way, rows in targets.items()
    }
    reference = split.test.images[:REFERENCE]
    return {
        way: naturalness(rows, split.train.images, reference) for way, rows in (images | {"noise": noise(seed)}).items()
    }

"""What training an input gains, and where ideal outputs lead: section 2.4 and the last paragraph of section 3."""

import functools

import numpy as np
import scipy

from evidence.common import AUTHORS, Control, authors, measures, per_seed, said_in_training
from evidence.networks import trained
from evidence.observe.figure3 import BOXES, COMMON, NETWORKS, PAPER_READING, THREE, files, observed
from vsbook.inversion.ideal import ideal_outputs
from vsbook.inversion.image_statistics import Naturalness, naturalness
from vsbook.inversion.input_training import train_input
from vsbook.ledger import Measurement
from vsbook.networks.data import class_averages, mnist_split
from vsbook.networks.outputs import output_statistics

REFERENCE = 1000  # test images whose distance to the training images is the yardstick
IN_BOX = "the optimiser that keeps within the pixel box, without a prior"


def geometric_mean(value) -> dict[int, float]:
    """Of `value(network, seed)` over the networks, for the seeds that all have."""
    return per_seed(lambda seed: scipy.stats.gmean([value(network, seed) for network in NETWORKS]), COMMON)


def each(value) -> dict:
    """`value(network, seed)` for each network and each seed that all have."""
    return {network: [value(network, seed) for seed in COMMON] for network in NETWORKS}


def ratios(network: str, seed: int, *way: str, names=THREE) -> np.ndarray:
    """(starts, 10) distance after training over that before."""
    found = functools.reduce(dict.__getitem__, way, observed(network, seed)[PAPER_READING])
    return np.array([np.divide(found[name]["after"], found[name]["before"]) for name in names])


def closer(after, before) -> int:
    """In how many cases the distance fell."""
    return int((np.asarray(after) < np.asarray(before)).sum())


@measures("training-the-input-gets-closer")
def training_the_input_gets_closer() -> Measurement:
    def walk(network, seed):
        found = observed(network, seed)[PAPER_READING]
        return [np.divide(found["random walk"][name], found["distance"][name]).max() for name in THREE]

    def steps_at_random(seed):
        each_network = (observed(network, seed)[PAPER_READING] for network in NETWORKS)
        return sum(closer(of["random walk"][name], of["distance"][name]) for of in each_network for name in THREE)

    return Measurement(
        "cases in which the distance is less after the descent",
        per_seed(lambda s: float(sum((ratios(n, s, "descent") < 1).sum() for n in NETWORKS)), COMMON),
        Control.same(
            "as many steps of the same lengths in random directions",
            per_seed(lambda seed: float(steps_at_random(seed)), COMMON),
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

    def margin(falls, large):
        return {seed: min(falls["fcnn1"][k], falls["fcnn5"][k]) - large[k] for k, seed in enumerate(COMMON)}

    descent, box = fall("descent"), fall("box", "none")
    as_left = [1 - ratios_in_training_mode(seed).mean() for seed in COMMON]
    return Measurement(
        "relative fall of the distance, the smaller of FCNN1's and FCNN5's minus that of ResNet18 in training mode",
        margin(descent, as_left),
        Control.same("ResNet18 in eval mode", margin(descent, descent["resnet18"])),
        {
            "fall by descent": descent,
            "fall of ResNet18 in training mode": as_left,
            "fall within the box": box,
            "margin within the box": list(margin(box, box["resnet18"]).values()),
        },
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
        "distance reached from the best of three starts over that from noise, geometric mean of the three networks",
        geometric_mean(over_noise("descent")),
        Control.same(IN_BOX, geometric_mean(over_noise("box", "none"))),
        {"descent": each(over_noise("descent")), "box": each(over_noise("box", "none"))},
        files(*NETWORKS),
    )


@measures("nearest-output-applies-to-any-network")
def nearest_output_applies_to_any_network() -> Measurement:
    def over_another(network, seed):
        distance = observed(network, seed)[PAPER_READING]["distance"]
        return np.divide(distance["min-img"], distance["medoid"])

    def over_median(network, seed):
        found = observed(network, seed)[PAPER_READING]
        return float(np.mean(np.divide(found["distance"]["min-img"], found["median distance of the training images"])))

    def own_class(network, seed):
        return int(np.sum(np.array(observed(network, seed)[PAPER_READING]["digit"]["min-img"]) == np.arange(10)))

    def largest(value):
        return per_seed(lambda seed: float(max(value(network, seed).max() for network in NETWORKS)), COMMON)

    return Measurement(
        "distance of the min-img over that of the class's medoid, largest of the digits and the three networks",
        largest(over_another),
        Control.same("the two change places", largest(lambda network, seed: 1 / over_another(network, seed))),
        {"over the median distance, by network": each(over_median), "min-img of the class asked for": each(own_class)},
        files(*NETWORKS),
    )


@measures("extreme-outputs-give-realistic-images")
def extreme_outputs_give_realistic_images() -> Measurement:
    found = per_seed(_from_averages, range(5))

    def no_farther(one, other):
        return per_seed(lambda s: float((found[s][one].distances <= found[s][other].distances).sum()), found)

    def over_limit(way):
        return [float(np.mean(of[way].distances / np.quantile(of[way].reference, 0.95))) for of in found.values()]

    ideal, real, another = "ideal outputs", "outputs of test images", "outputs of other test images"
    return Measurement(
        "digits whose image for the ideal output is no farther from the training images than that for a real output",
        no_farther(ideal, real),
        Control.same("other real outputs in place of the ideal ones", no_farther(another, real)),
        {
            "distance over the 95 % quantile of test images, mean of ten digits": {
                way: over_limit(way) for way in found[0]
            },
            "percentiles": {way: [of[way].percentiles for of in found.values()] for way in found[0]},
        },
        files("fcnn5"),
    )


def _from_averages(seed: int) -> dict:
    """Images that FCNN5 gets from averages for three kinds of targets, and how far from the data they are."""
    model, split = trained("fcnn5", seed).double(), mnist_split(seed)
    outputs = said_in_training("fcnn5", seed).values
    averages = class_averages(split.train.images, split.train.labels)
    numbers = [np.flatnonzero(split.test.labels == digit)[:2] for digit in range(10)]
    rows = [output_statistics(model, split.test.images[k], progress=False).values for k in np.transpose(numbers)]
    targets = {
        "ideal outputs": ideal_outputs(outputs, PAPER_READING),
        "outputs of test images": rows[0],
        "outputs of other test images": rows[1],
    }
    images = {
        way: train_input(model, rows, averages, BOXES["none"], progress=False).images for way, rows in targets.items()
    }
    images |= {"averages": averages}
    every = naturalness(np.concatenate(list(images.values())), split.train.images, split.test.images[:REFERENCE])
    parts = [np.array_split(values, len(images)) for values in (every.distances, every.nearest)]
    return {way: Naturalness(*part, every.reference) for way, *part in zip(images, *parts, strict=True)}

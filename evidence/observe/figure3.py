"""What Fig. 3 needs of whole networks: ideal outputs, images that start from the data, and training the input.

The small networks are looked at anew each time. Of ResNet18 it is on file; a test repeats parts of it.
"""

import functools
from dataclasses import fields
from pathlib import Path

import numpy as np
from torch import nn
from tqdm import tqdm

from evidence.common import inputs, per_seed, said_in_training
from evidence.networks import observation_path, trained
from evidence.observe.runs import Run
from vsbook.inversion.ideal import READINGS, distances_to, lowest_quarter
from vsbook.inversion.input_training import Descent, InBox, Trained, train_input
from vsbook.inversion.starts import Starts, ideal_starts
from vsbook.inversion.training_mode import copies_in_training_mode, train_copies
from vsbook.ledger import observation
from vsbook.networks.data import Images, class_averages, mnist_split
from vsbook.networks.outputs import Outputs, output_statistics

PAPER_READING, CODE_READING = READINGS
NETWORKS = ("fcnn1", "fcnn5", "resnet18")
COMMON = range(3)  # seeds that all three networks have
NAMES = {
    PAPER_READING: ("avg-img", "min-img", "avg-min-img"),
    CODE_READING: ("avg-img", "min-img of the class", "avg-min-img of the class"),
}
THREE = NAMES[PAPER_READING]
BOXES = {prior: InBox(prior) for prior in ("none", "total variation", "nearest data")}


def file_name(seed: int) -> str:
    """The observation of that ResNet18."""
    return f"figure3-resnet18-seed{seed}"


def noise(seed: int) -> np.ndarray:
    """(10, 784) uniform pixels: the start that knows no data."""
    return np.random.default_rng([seed, 3]).random((10, 784))


def _kept(found: Trained) -> dict:
    """A record without its images and curves."""
    return {name: getattr(found, name).tolist() for name in ("before", "after", "moved", "outside")}


def _kept_in_box(found: Trained) -> dict:
    """The same, the way gone to a thousandth: total variation has kinks, at which rounding decides."""
    return _kept(found) | {"moved": found.moved.round(3).tolist()}


def random_walk(model: nn.Module, start: np.ndarray, targets: np.ndarray, found: Trained, seed: int) -> np.ndarray:
    """Distances to the targets after as many steps of the same lengths in random directions."""
    directions = np.random.default_rng([seed, 4]).standard_normal((len(found.lengths), *start.shape))
    directions /= np.linalg.norm(directions, axis=2, keepdims=True)
    return distances_to(model, targets, start + (found.lengths[:, :, None] * directions).sum(axis=0))


def trained_from(model: nn.Module, ideal: np.ndarray, starts: dict[str, np.ndarray], how, data=None) -> dict:
    """A record for each start, all trained at once: images don't feel each other."""
    images = np.concatenate(list(starts.values()))
    found = train_input(model, np.tile(ideal, (len(starts), 1)), images, how, data=data, progress=False)
    parts = np.split(np.arange(len(images)), len(starts))
    every = {field.name: getattr(found, field.name) for field in fields(Trained)}
    return {  # a row an image, but a column in what is kept of each step
        name: Trained(**{key: v[:, rows] if key in ("losses", "lengths") else v[rows] for key, v in every.items()})
        for name, rows in zip(starts, parts, strict=True)
    }


def observe_reading(model: nn.Module, data: Images, starts: Starts, distances: np.ndarray, seed: int) -> dict:
    """Distances of every start, and of those of the reading after training, by descent and within the box."""
    three = {name: starts.images[name] for name in NAMES[starts.reading]} | {"noise": noise(seed)}
    further = starts.images if starts.reading == PAPER_READING else three
    descents = trained_from(model, starts.ideal, three | further, Descent())
    boxes = BOXES if starts.reading == PAPER_READING and seed == 0 else {"none": BOXES["none"]}
    return {
        "ideal": starts.ideal.tolist(),
        "median distance of the training images": np.median(distances, axis=1).tolist(),
        "distance": {name: values.tolist() for name, values in starts.distances.items()},
        "index": {name: rows.tolist() for name, rows in starts.indices.items()},
        "digit": {name: data.labels[rows].tolist() for name, rows in starts.indices.items()},
        "left out": starts.left_out,
        "descent": {name: _kept(found) for name, found in descents.items()},
        "random walk": {
            name: random_walk(model, images, starts.ideal, descents[name], seed).tolist()
            for name, images in three.items()
        },
        "box": {
            prior: {
                name: _kept_in_box(found)
                for name, found in trained_from(model, starts.ideal, three, how, data.images).items()
            }
            for prior, how in boxes.items()
        },
    }


def observe(model: nn.Module, outputs: Outputs, seed: int) -> dict:
    """Both readings for one network of a seed, and what it says of its training images."""
    data, found = mnist_split(seed).train, {}
    for reading in READINGS:
        starts = ideal_starts(model, data, outputs, reading)
        distances = np.stack([np.linalg.norm(outputs.values - row, axis=1) for row in starts.ideal])
        found[reading] = observe_reading(model, data, starts, distances, seed)
        if reading == PAPER_READING:
            shares = [(data.labels[lowest_quarter(d)] == c).mean() for c, d in enumerate(distances)]
            found["share of the own class in avg-min-img"] = np.array(shares).tolist()
            found["avg-min-img"] = starts.images["avg-min-img"].round(3).tolist()
    return found


def observe_resnet18(seed: int, model: nn.Module) -> dict:
    """The same, how the chosen images look beside training images, and the network in training mode."""
    data = mnist_split(seed).train
    found = observe(model, output_statistics(model, data.images), seed)
    paper = found[PAPER_READING]
    images = {"avg-img": class_averages(data.images, data.labels)}
    images |= {"min-img": data.images[paper["index"]["min-img"]].astype(float), "avg-min-img": found["avg-min-img"]}
    if seed:  # half a minute an image
        images = {"avg-img": images["avg-img"]}
    found["training mode"] = {
        name: [_in_training_mode(model, image, t) for image, t in tqdm(list(zip(rows, paper["ideal"], strict=True)))]
        for name, rows in images.items()
    }
    return found


def _in_training_mode(model: nn.Module, image: np.ndarray, target: list) -> dict:
    """One image as 32 copies: what the network says, how it depends on the image, and a hundred steps."""
    seen = copies_in_training_mode(model, image)
    reached, losses = train_copies(model, target, image, Descent(), progress=False)
    return {
        "outputs": seen.outputs.tolist(),
        "outputs in eval mode": seen.evaluated.tolist(),
        "slope": seen.slope,
        "slope in eval mode": seen.slope_evaluated,
        "loss": [losses[0], losses[-1]],
        "moved": float(np.linalg.norm(reached - image)),
    }


@functools.cache
def observed(network: str, seed: int) -> dict:
    """ResNet18 from its file; the small networks anew, in float64, where no order of sums shows in a page's digits."""
    if network == "resnet18":
        return observation(file_name(seed))
    return observe(trained(network, seed).double(), said_in_training(network, seed), seed)


def files(*networks: str) -> list[Path]:
    """What a measurement over these networks read."""
    small = [name for name in networks if name != "resnet18"]
    return [
        *inputs(*small),
        *([observation_path(file_name(seed)) for seed in COMMON] if "resnet18" in networks else []),
    ]


def every(network: str, reading: str = PAPER_READING) -> dict[int, dict]:
    """One reading for all seeds of a network; of ResNet18, a quarter of an hour each, for the common ones."""
    return per_seed(lambda seed: observed(network, seed)[reading], COMMON if network == "resnet18" else network)


def runs() -> list[Run]:
    """Of each ResNet18."""
    return [Run(observation_path(file_name(s)), functools.partial(observe_resnet18, s), seed=s) for s in COMMON]

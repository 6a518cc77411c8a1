"""What the invertible network and its controls keep, lose and show."""

from functools import partial

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from evidence.networks import checkpoint_path, observation_path
from evidence.observe.resnet18 import wrong
from evidence.observe.runs import Run
from evidence.train.invertible import SEEDS, TRAINED
from vsbook.inversion.image_statistics import nearest
from vsbook.linalg.lengths import relative_lengths
from vsbook.networks.checkpoints import load, load_checkpoint
from vsbook.networks.coupling import Invertible, jacobians
from vsbook.networks.data import ASSETS, Images, mnist, mnist_split
from vsbook.networks.outputs import logits

JACOBIANS, FEWER = 200, 20  # test images, for the two networks that ship and for the others; each takes a second
DEVIATION = 1e-3  # of the noise on an output
PROBED = 20_000  # training images that a probe learns from
PAIRS = 100  # of test images of different digits
STEPS = np.linspace(0, 1, 9)
GREY_LEVEL = 1 / 255
LOOKED_AT = 1000  # test images that an independent network is shown
TAKEN = "test images taken for another digit"


def network_of(name: str, seed: int) -> Invertible:
    return load_checkpoint(checkpoint_path(name, seed), TRAINED[name][0])


def coordinates(model: Invertible, images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and spare coordinates of many images, in the network's type."""
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        parts = [model.transform(batch) for batch in torch.from_numpy(images).to(dtype).split(500)]
    return tuple(torch.cat(part) for part in zip(*parts, strict=True))


def pictures(model: Invertible, outputs: torch.Tensor, spare: torch.Tensor) -> np.ndarray:
    """The images of many outputs, float64."""
    pairs = zip(outputs.split(500), spare.split(500), strict=True)
    with torch.no_grad():
        return torch.cat([model.invert(*pair) for pair in pairs]).double().numpy()


# what comes back


def reconstruction(model: Invertible, images: np.ndarray) -> dict[str, float]:
    """Over all images: the largest error of a pixel, and the largest length of an error over that of its image."""
    errors = pictures(model, *coordinates(model, images)) - images
    return {
        "largest pixel": float(np.abs(errors).max()),
        "largest relative length": float(relative_lengths(errors, images).max()),
    }


def after_noise(model: Invertible, images: np.ndarray, generator: np.random.Generator) -> dict[str, float]:
    """How far images move when each of the 784 coordinates of their outputs does, by independent normal noise."""
    outputs, spare = coordinates(model, images)
    noise = torch.from_numpy(generator.normal(0, DEVIATION, images.shape).astype(np.float32))
    moved = pictures(model, outputs + noise[:, :10], spare + noise[:, 10:]) - images
    ratios = np.linalg.norm(moved, axis=1) / noise.norm(dim=1).numpy()
    return {
        "deviation": DEVIATION,
        "median length over noise": float(np.median(ratios)),
        "largest length over noise": float(ratios.max()),
        "largest pixel": float(np.abs(moved).max()),
    }


def conditions(model: Invertible, images: np.ndarray) -> dict[str, list[float]]:
    """First and last singular value of the Jacobian at each image, and their ratio."""
    ends = []
    for image in tqdm(images, desc="Jacobians", mininterval=5):
        singular_values = np.linalg.svd(jacobians(model, torch.from_numpy(image[None]))[0], compute_uv=False)
        ends.append((singular_values[0], singular_values[-1]))
    first, last = np.array(ends).T
    return {"first": first.tolist(), "last": last.tolist(), "condition number": (first / last).tolist()}


# what the spare coordinates know


def probe(features: torch.Tensor, labels: np.ndarray, test: torch.Tensor, width: int) -> np.ndarray:
    """Digits that a classifier trained on the features gives to `test`: linear, or with one hidden layer."""
    mean, deviation = features.mean(dim=0), features.std(dim=0) + 1e-3
    features, test = ((part - mean) / deviation for part in (features, test))
    inputs = features.shape[1]
    layers = [nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, 10)] if width else [nn.Linear(inputs, 10)]
    model, labels = nn.Sequential(*layers), torch.from_numpy(labels)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=1e-2)
    for epoch in range(12):
        for batch in torch.from_numpy(np.random.default_rng(epoch).permutation(len(labels))).split(100):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(features[batch]), labels[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        return model(test).argmax(dim=1).numpy()


def class_information(model: Invertible, train: Images, test: Images) -> dict:
    """Percent of test images whose digit a probe tells from some of the coordinates, and from other things."""
    learned = Images(train.images[:PROBED], train.labels[:PROBED])
    (known, spare), (asked, rest) = coordinates(model, learned.images), coordinates(model, test.images)
    mixed = np.random.default_rng(0).permutation(learned.labels)
    pixels = torch.from_numpy(learned.images), torch.from_numpy(test.images)
    cases = {
        "spare coordinates": (spare, learned.labels, rest),
        "spare coordinates, shuffled labels": (spare, mixed, rest),
        "logits": (known, learned.labels, asked),
        "pixels": (pixels[0], learned.labels, pixels[1]),
    }
    found = {}
    for name, (features, labels, tested) in cases.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            guesses = {way: probe(features, labels, tested, width) for way, width in (("linear", 0), ("mlp", 256))}
        found[name] = {way: 100 * float((guess == test.labels).mean()) for way, guess in guesses.items()}
    return found


# what inverse images show


def to_training_images(images: np.ndarray) -> np.ndarray:
    """Distance of each image to the nearest of the 60,000 training images."""
    return nearest(images, mnist().train_images.reshape(60_000, -1).astype(np.float32) / 255)[1]


def shown(images: np.ndarray, *wanted: np.ndarray) -> dict[str, float]:
    """How many pixels leave 0 to 1 and how far, what an independent network sees, how far from any training image.

    The network is shown what a page shows: pixels outside are paper or ink. A few of size 30 would decide alone.
    """
    outputs = logits(load("resnet18"), images.clip(0, 1)).softmax(dim=1).numpy()
    beyond = np.maximum(images - 1, -images)
    return {
        "percent of pixels outside": 100 * float((beyond > GREY_LEVEL).mean()),
        "largest way outside": float(max(beyond.max(), 0)),
        "percent seen as wanted": 100 * float(np.any([outputs.argmax(axis=1) == w for w in wanted], axis=0).mean()),
        "mean probability of wanted": float(sum(outputs[np.arange(len(w)), w] for w in wanted).mean()),
        "mean largest probability": float(outputs.max(axis=1).mean()),
        "mean distance to a training image": float(to_training_images(images).mean()),
    }


def class_means(model: Invertible, train: Images) -> dict:
    """The ten images of the mean outputs of the digits, with three choices of the spare coordinates."""
    outputs, spare = coordinates(model, train.images)
    digits, each = np.arange(10), [torch.from_numpy(train.labels == digit) for digit in range(10)]
    means, own = (torch.stack([part[mask].mean(dim=0) for mask in each]) for part in (outputs, spare))
    choices = {
        "spare zero": torch.zeros_like(own),
        "spare mean of all": spare.mean(dim=0).expand_as(own),
        "spare mean of the digit": own,
    }
    return {name: shown(pictures(model, means, choice), digits) for name, choice in choices.items()}


def pairs(test: Images) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of test images, two and two of different digits."""
    first, second = np.arange(0, 1000, 2), np.arange(1, 1000, 2)
    apart = test.labels[first] != test.labels[second]
    return first[apart][:PAIRS], second[apart][:PAIRS]


def interpolations(model: Invertible, test: Images) -> dict:
    """On the line between the outputs of two images, of all coordinates and of the logits alone; and of the pixels."""
    ends = [test.images[numbers] for numbers in pairs(test)]
    wanted = [test.labels[numbers] for numbers in pairs(test)]
    (a, p), (b, q) = (coordinates(model, images) for images in ends)
    ways = {
        "logits, spare zero": lambda t: pictures(model, torch.lerp(a, b, t), torch.zeros_like(p)),
        "all coordinates": lambda t: pictures(model, torch.lerp(a, b, t), torch.lerp(p, q, t)),
        "pixels": lambda t: (1 - t) * ends[0].astype(float) + t * ends[1],
    }
    return {name: [{"t": t} | shown(way(t), *wanted) for t in STEPS.tolist()] for name, way in ways.items()}


def swapped(model: Invertible, test: Images) -> dict[str, float]:
    """The logits of one image with the spare coordinates of another: whose digit does an independent network see?"""
    first, second = pairs(test)
    outputs, _ = coordinates(model, test.images[first])
    _, spare = coordinates(model, test.images[second])
    images = pictures(model, outputs, spare)
    seen = logits(load("resnet18"), images.clip(0, 1)).argmax(dim=1).numpy()
    return {
        "percent seen as the digit of the logits": 100 * float((seen == test.labels[first]).mean()),
        "percent seen as the digit of the spare coordinates": 100 * float((seen == test.labels[second]).mean()),
        "mean distance to the image of the spare coordinates": float(
            np.linalg.norm(images - test.images[second], axis=1).mean()
        ),
    }


def codes(model: Invertible, test: Images) -> dict[str, float]:
    """What ten numbers keep of a test image: its inverse image with the spare coordinates zero, beside the image."""
    outputs, spare = coordinates(model, test.images)
    images = pictures(model, outputs, torch.zeros_like(spare))
    error = np.square(images - test.images).sum(axis=1).mean()
    return shown(images[:LOOKED_AT], test.labels[:LOOKED_AT]) | {
        "squared error": float(error),
        "share of the variance": float(1 - error / test.images.var(axis=0).sum()),
        "mean length of the logits": float(outputs.norm(dim=1).mean()),
        "mean length of the spare coordinates": float(spare.norm(dim=1).mean()),
    }


def observe(name: str, seed: int) -> dict:
    """Everything about one trained network."""
    model, split, generator = network_of(name, seed), mnist_split(seed), np.random.default_rng(seed)
    test = split.test
    return {
        TAKEN: wrong(model),
        "reconstruction, float32": reconstruction(model, test.images),
        "reconstruction, float64": reconstruction(network_of(name, seed).double(), test.images.astype(float)),
        "after noise": after_noise(model, test.images, generator),
        "class information, percent": class_information(model, split.train, test),
        "test images": shown(test.images[:LOOKED_AT], test.labels[:LOOKED_AT]),
        "test images from their logits": codes(model, test),
        "class means": class_means(model, split.train),
        "swapped": swapped(model, test),
        "interpolations": interpolations(model, test),
        "Jacobian": conditions(
            model, test.images[: JACOBIANS if checkpoint_path(name, seed).is_relative_to(ASSETS) else FEWER]
        ),
    }


def runs() -> list[Run]:
    """Of each network and seed."""
    return [
        Run(observation_path(f"{name}-seed{seed}"), partial(observe, name, seed)) for seed in SEEDS for name in TRAINED
    ]

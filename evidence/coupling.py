"""What the invertible network and its controls keep, lose and show: observed at length, then judged as a claim.

Run from the root: `python -m evidence.coupling NAME SEED`, some six minutes each; without arguments for all that have
a checkpoint and no observation. `python -m evidence.coupling errors PATH SEED` writes down which test images a
whole ResNet18 gets wrong, since only that of seed 0 ships.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import scipy.stats
import torch
from torch import nn
from tqdm import tqdm

from evidence.common import measures
from evidence.invertible import VARIANTS
from evidence.networks import checkpoint_path, observations_path
from evidence.observe import write
from vsbook.ledger import Measurement
from vsbook.networks.checkpoints import load, load_checkpoint
from vsbook.networks.coupling import Invertible, jacobians
from vsbook.networks.data import ASSETS, Images, mnist, mnist_split
from vsbook.networks.outputs import logits

SEEDS = range(3)
JACOBIANS, FEWER = 200, 20  # test images, for the two networks that ship and for the others; each takes a second
DEVIATION = 1e-3  # of the noise on an output
PROBED = 20_000  # training images that a probe learns from
PAIRS = 100  # of test images of different digits
STEPS = np.linspace(0, 1, 9)
GREY_LEVEL = 1 / 255
LOOKED_AT = 1000  # test images that an independent network is shown
DRAWS = 10_000
QUANTILES = {"smallest": 0.0, "5 %": 0.05, "median": 0.5, "95 %": 0.95, "largest": 1.0}
TAKEN = "test images taken for another digit"
ERRORS = observations_path("resnet18", 0).with_name("resnet18-errors.json")


def network_of(name: str, seed: int) -> Invertible:
    return load_checkpoint(checkpoint_path(name, seed), VARIANTS[name][0])


def wrong(model: nn.Module) -> list[int]:
    """Numbers of the test images that a network takes for another digit."""
    test = mnist().test
    return np.flatnonzero(logits(model, test.images).argmax(dim=1).numpy() != test.labels).tolist()


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
        "largest relative length": float((np.linalg.norm(errors, axis=1) / np.linalg.norm(images, axis=1)).max()),
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


def nearest(images: np.ndarray) -> np.ndarray:
    """Distance of each image to the nearest of the 60,000 training images, in length of the difference."""
    train = mnist().train_images.reshape(60_000, -1).astype(np.float32) / 255
    images = images.astype(np.float32)
    lengths = (train**2).sum(axis=1)
    parts = [images[k : k + 500] for k in range(0, len(images), 500)]  # 500 rows of 60,000 distances take 120 MB
    squares = [(part**2).sum(axis=1) + (lengths - 2 * part @ train.T).min(axis=1) for part in parts]
    return np.sqrt(np.maximum(np.concatenate(squares), 0))


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
        "mean distance to a training image": float(nearest(images).mean()),
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


# the claim


def observed(name: str, seed: int) -> dict:
    """What was written down of that network."""
    return json.loads(observations_path(name, seed).read_text())


def hits(name: str, seed: int) -> np.ndarray:
    """Which of the 10,000 test images a network gets right."""
    listed = json.loads(ERRORS.read_text())[str(seed)] if name == "resnet18" else observed(name, seed)[TAKEN]
    return ~np.isin(np.arange(10_000), listed)


def difference(name: str, other: str, seed: int) -> float:
    """Test accuracy of a network minus that of another one, of the same seed, in percentage points."""
    return 100 * float(hits(name, seed).mean() - hits(other, seed).mean())


def paired(name: str, other: str) -> dict:
    """95 % intervals of the difference: over images for each seed, over images for the mean of the seeds, over seeds.

    Images are drawn anew with replacement, both networks looking at the same ones. McNemar's exact test asks whether
    the images that only one of them gets right are as many on both sides.
    """
    pairs = [(hits(name, seed), hits(other, seed)) for seed in SEEDS]
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
    """What a page shows of a network; the long lists stay in the observations."""
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
    read = [path(name, seed) for path in (checkpoint_path, observations_path) for name in VARIANTS for seed in SEEDS]
    return Measurement(
        "test accuracy of the invertible network minus that of ResNet18",
        {seed: difference("invertible", "resnet18", seed) for seed in SEEDS},
        {
            "what": "the toy, a single coupling with an ordinary convolutional network inside",
            "runs": {seed: difference("invertible_toy", "resnet18", seed) for seed in SEEDS},
        },
        {
            "largest error of a pixel": {
                kind: max(row[f"reconstruction, {kind}"]["largest pixel"] for row in exact)
                for kind in ("float32", "float64")
            },
            **{key: mean(rows) for key, rows in every.items()},
            **{f"{key}, each seed": rows for key, rows in every.items()},
            "condition numbers of seed 0": {
                key: observed(name, 0)["Jacobian"]["condition number"] for key, name in names.items()
            },
            "accuracy of ResNet18": [100 * float(hits("resnet18", seed).mean()) for seed in SEEDS],
            "against ResNet18": paired("invertible", "resnet18"),
            "toy against ResNet18": paired("invertible_toy", "resnet18"),
            "cost of the terms": paired("invertible", "invertible-plain"),
            "recipes": {key: asdict(VARIANTS[name][1]) for key, name in names.items()},
        },
        [ERRORS, *read],
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["errors"]:
        listed = json.loads(ERRORS.read_text()) if ERRORS.exists() else {}
        write(ERRORS, listed | {sys.argv[3]: wrong(load_checkpoint(Path(sys.argv[2]), "resnet18"))})
        sys.exit()
    chosen = [(sys.argv[1], int(sys.argv[2]))] if sys.argv[1:] else [(name, s) for s in SEEDS for name in VARIANTS]
    for name, seed in chosen:
        if checkpoint_path(name, seed).exists() and not observations_path(name, seed).exists():
            write(observations_path(name, seed), observe(name, seed))

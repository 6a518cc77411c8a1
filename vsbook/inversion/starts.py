"""Images to start an inversion from: what the training images offer for an output that is wanted.

Source: section 2.4, paragraph 4, and 'initializing based on the original training images', section 3 of the paper.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist
from torch import nn

from vsbook.checks import BadInput, as_real, as_rows, instance_of, one_of
from vsbook.inversion.ideal import distances_to, ideal_outputs, lowest_quarter, nearest_outputs
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.data import CLASSES, Images, class_averages
from vsbook.networks.layers import named_weights
from vsbook.networks.outputs import Outputs, logits, refuse_training
from vsbook.shown import Shown

__all__ = ["STARTS", "Starts", "ideal_starts", "starting_images"]

STARTS = ("class average", "nearest training image", "another digit")
BATCH = 1000  # images at a time: memory stays small


def starting_images(model: nn.Module, targets, data: Images, kind: str) -> Float[np.ndarray, "N={len(targets)} pixels"]:
    """A start for each target (N, 10), from the target and the training images alone.

    Args:
        model: the network, whose outputs for the training images are needed for the nearest one.
        targets: (N, 10) outputs.
        data: training images, which may serve as starts: not those that made the targets.
        kind: 'class average', that of the class which the target names (its largest number); 'nearest training
            image', nearest in output space; 'another digit', the first training image of the next class, 0 after 9.

    Raises:
        BadInput: for another kind, targets that aren't finite numbers of shape (N, 10), training images that lack a
            digit which the kind asks for, or a network without ten finite outputs.

    Source: 'initializing based on the original training images', section 3 of the paper.

    >>> from vsbook.networks import create
    >>> from vsbook.networks import mnist
    >>> starting_images(create("fcnn1", 0), np.eye(10), mnist().test, "class average").shape
    (10, 784)
    """
    one_of(kind, STARTS, "kind")
    targets, labels = as_rows(targets, 10, "targets", lone=False), instance_of(data, Images, "data").labels
    named = targets.argmax(axis=1)
    if kind == "class average":
        return class_averages(data.images, labels)[named]
    if kind == "another digit":
        digits, firsts = np.unique(labels, return_index=True)
        if not np.array_equal(digits, range(CLASSES)):
            raise BadInput(f"data: expected every digit 0 to 9, got {digits.tolist()}; take a larger sample")
        return data.images[firsts[(named + 1) % 10]].astype(np.float64)
    outputs = as_real(logits(model, data.images).double().numpy(), "outputs")
    if outputs.shape[1:] != (CLASSES,):
        raise BadInput(f"model: expected ten outputs an image, got shape {outputs.shape}; take a classifier of digits")
    return data.images[nearest_outputs(targets, outputs)].astype(np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class Starts(Shown):
    """Images for each class by the name of their recipe, and how far their outputs are from the ideal ones.

    Fields:
        reading: of the ideal outputs.
        ideal: the ideal outputs, one class a row.
        images: (10, pixels) by name.
        distances: Euclidean, from the output of each image to its class's ideal output, by name.
        indices: which training image it is, by name, where it is one.
        left_out: recipes that this network doesn't allow, and why.
    """

    reading: str
    ideal: Float[np.ndarray, "10 10"]
    images: dict[str, Float[np.ndarray, "10 p"]]
    distances: dict[str, Float[np.ndarray, " 10"]]
    indices: dict[str, Int[np.ndarray, " 10"]]
    left_out: dict[str, str] = field(default_factory=dict)


def ideal_starts(model: nn.Module, data: Images, outputs: Outputs, reading: str) -> Starts:
    r"""Images that the training set offers for the ideal output of each class.

    | name | image |
    | --- | --- |
    | avg-img | average of the class |
    | min-img | the training image, of *any* class, whose output is nearest to the ideal one (the paper's text) |
    | min-img of the class | the same among the images of the class (the authors' code) |
    | avg-min-img | average of all training images in the lowest 25th percentile of distances (text) |
    | avg-min-img of the class | the same within the class (code) |
    | medoid | the image of the class with the least sum of squared distances to the others of it |
    | signal of avg-img | avg-img projected on Signal(W), the row space of the first layer |
    | nearest in features | the training image whose features lie nearest to ideal ones |

    Features $f$ are the inputs of the last linear layer; the ideal ones are the shortest that give the ideal output
    there, $W^+(t - b)$. This needs no inverse of what follows the layer: an increasing function takes maxima to maxima
    and minima to minima, so $t$ is the ideal output of the layer itself, by the same reading.

    Args:
        model: the classifier in eval mode.
        data: the training images with their digits.
        outputs: of that model for these images, by `output_statistics`.
        reading: one of `READINGS`.

    Raises:
        BadInput: for a network in training mode, outputs of other images or of a network with other layers, a missing
            digit, or another reading.

    Source: section 2.4, paragraph 4 of the paper.

    >>> from vsbook.networks import create, mnist, output_statistics
    >>> test, model = mnist().test, create("fcnn1", 0).eval()
    >>> found = ideal_starts(model, test, output_statistics(model, test.images, progress=False), "own minima")
    >>> bool((found.distances["min-img"] <= found.distances["min-img of the class"]).all())
    True
    """
    refuse_training(model)
    _matching(model, instance_of(data, Images, "data"), instance_of(outputs, Outputs, "outputs"))
    ideal = ideal_outputs(outputs.values, reading)
    averages = class_averages(data.images, data.labels)
    if len(ideal) != len(averages):
        raise BadInput(f"outputs: expected one for each of ten digits, got {len(ideal)}; take another network")
    left_out = _left_out(model, outputs, averages.shape[1])
    indices = _single_images(data, outputs.values, ideal, averages)
    if "nearest in features" not in left_out:
        indices["nearest in features"] = _nearest_in_features(model, outputs, reading)
    images = {"avg-img": averages} | {name: data.images[rows].astype(float) for name, rows in indices.items()}
    images |= _averages_of_quarters(data, outputs.values, ideal)
    if "signal of avg-img" not in left_out:
        images["signal of avg-img"] = FourSubspaces.of(named_weights(model)[outputs.first].weight).project_row(averages)
    reached = {name: distances_to(model, ideal, rows) for name, rows in images.items()}
    return Starts(reading, ideal, images, reached, indices, left_out)


def _matching(model: nn.Module, data: Images, outputs: Outputs) -> None:
    if not {outputs.first, outputs.head} <= dict(model.named_modules()).keys():
        came = f"those of one with layers {outputs.first!r} and {outputs.head!r}"
        raise BadInput(f"outputs: expected those of this network, got {came}; take them by `output_statistics`")
    if len(data) != len(outputs.values):
        came = f"{len(outputs.values)} for {len(data)} images"
        raise BadInput(f"outputs: expected one row for each image, got {came}; take those of the same images")


def _by_class(labels: np.ndarray, values: np.ndarray, ideal: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each class: distances of all outputs to its ideal one, and which images are of the class."""
    for digit, target in enumerate(ideal):
        yield cdist(values, target[None])[:, 0], labels == digit


def _single_images(data: Images, values: np.ndarray, ideal: np.ndarray, averages: np.ndarray) -> dict:
    inside, medoids = [], []
    for (distances, own), average in zip(_by_class(data.labels, values, ideal), averages, strict=True):
        members = np.flatnonzero(own)
        inside.append(members[distances[own].argmin()])
        # the sum of squared distances to the members is smallest where the distance to their mean is
        parts = np.array_split(members, -(-len(members) // BATCH))
        to_mean = [cdist(data.images[part], average[None]) for part in parts]  # in float64, so not all at once
        medoids.append(members[np.concatenate(to_mean).argmin()])
    names = ("min-img", "min-img of the class", "medoid")
    return dict(zip(names, (nearest_outputs(ideal, values), np.array(inside), np.array(medoids)), strict=True))


def _averages_of_quarters(data: Images, values: np.ndarray, ideal: np.ndarray) -> dict:
    anywhere, inside = [], []
    for distances, own in _by_class(data.labels, values, ideal):
        anywhere.append(data.images[lowest_quarter(distances)].mean(axis=0, dtype=np.float64))
        near = np.flatnonzero(own)[lowest_quarter(distances[own])]
        inside.append(data.images[near].mean(axis=0, dtype=np.float64))
    return {"avg-min-img": np.stack(anywhere), "avg-min-img of the class": np.stack(inside)}


def _left_out(model: nn.Module, outputs: Outputs, pixels: int) -> dict[str, str]:
    first, reasons = model.get_submodule(outputs.first), {}
    if not isinstance(first, nn.Linear) or first.in_features != pixels:
        found = f"{outputs.first}, a {type(first).__name__}" if outputs.first else "unknown"
        reasons["signal of avg-img"] = f"the first layer is {found}: no matrix of its own takes a whole image in"
    if outputs.before is None:
        reasons["nearest in features"] = "the network has no linear layer that gives its outputs"
    return reasons


def _nearest_in_features(model: nn.Module, outputs: Outputs, reading: str) -> Int[np.ndarray, " m"]:
    r"""The least of $\|f - W^+ t\|^2 = \|f\|^2 + (t - 2z)^\top (W W^\top)^+ t$ with $z = W f$: no need to keep $f$."""
    layer = named_weights(model)[outputs.head]
    bias = 0.0 if layer.bias is None else layer.bias
    targets = ideal_outputs(outputs.before, reading) - bias
    S = FourSubspaces.of(layer.weight)
    back = (S.column_space / S.singular_values[: S.rank] ** 2) @ S.column_space.T
    z = outputs.before - bias
    return np.array([(outputs.energies + (t - 2 * z) @ back @ t).argmin() for t in targets])

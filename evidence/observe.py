"""What only a whole ResNet18 can tell, written down at the end of its training.

The networks of seeds other than 0 are too large to ship. Seed 0 ships, and a test observes it again.
"""

import copy
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from evidence.networks import VARIANTS, initial, split_for
from vsbook.checks import write_beside
from vsbook.data import Images, mnist_split
from vsbook.kernels import flattened_kernels
from vsbook.layers import named_weights
from vsbook.nullmodel import sampled_bases
from vsbook.subspaces import FourSubspaces
from vsbook.training import PAPER, evaluate, logits

SAMPLE = 1000  # test images whose outputs are compared
BASES = 5  # random bases beside the signal kernels
ANEW = 1000  # added to the seed for a split that is drawn anew


def rounded_to_half(model: nn.Module) -> None:
    """Round the weights in place to half precision: so they ship, and so they are measured for every seed."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())


def training_mode_accuracy(model: nn.Module, images: Images) -> float:
    """What a network in training mode would claim: each batch of 32 is normalised by its own statistics."""
    model = copy.deepcopy(model).train()  # a copy, since training mode changes the running statistics
    with torch.no_grad():
        outputs = [model(batch) for batch in torch.from_numpy(images.images).split(PAPER.batch_size)]
    return float((torch.cat(outputs).argmax(dim=1).numpy() == images.labels).mean())


def accuracies(model: nn.Module, seed: int) -> dict[str, float]:
    """In percent: the honest one, and what three other ways of counting would have claimed."""
    split, anew = mnist_split(seed), mnist_split(seed + ANEW).validation
    order = np.argsort(split.test.labels, kind="stable")
    by_class = Images(split.test.images[order], split.test.labels[order])
    found = {
        "test": evaluate(model, split.test),
        "held out": evaluate(model, split.validation),
        "validation drawn anew": evaluate(model, anew),
        "validation drawn anew, training mode": training_mode_accuracy(model, anew),
        "test, training mode": training_mode_accuracy(model, split.test),
        "test, training mode, one class a batch": training_mode_accuracy(model, by_class),
    }
    return {name: 100 * share for name, share in found.items()}


def without(model: nn.Module, layer: str, v: np.ndarray) -> nn.Module:
    """A copy in which the kernel v, a unit vector, is taken out of every kernel of a layer."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        weight = model.get_submodule(layer).weight
        rows = weight.reshape(-1, v.size)
        direction = torch.from_numpy(v).to(weight.dtype)
        weight.copy_((rows - torch.outer(rows @ direction, direction)).reshape(weight.shape))
    return model


def changes(model: nn.Module, layer: str, basis: np.ndarray, images: np.ndarray) -> list[float]:
    """For each row of a basis: how far the outputs move without it, over their length."""
    whole = logits(model, images)
    return [float((logits(without(model, layer, v), images) - whole).norm() / whole.norm()) for v in basis]


def spectra(model: nn.Module) -> dict[str, list[float]]:
    """Singular values of the flattened kernels of each convolution."""
    found = named_weights(model).layers.values()
    convolutions = {layer.name: layer.weight for layer in found if layer.weight.ndim == 4}
    return {name: FourSubspaces.of(flattened_kernels(w)).singular_values.tolist() for name, w in convolutions.items()}


def observe(name: str, seed: int, model: nn.Module, path: Path) -> None:
    """Write the observations of a trained network to `path`."""
    layer, before = VARIANTS[name].layer, initial(name, seed)
    images = split_for(name, seed).test.images[:SAMPLE]
    signal = FourSubspaces.of(flattened_kernels(named_weights(model)[layer].weight)).Vh
    entry = {
        "accuracy in percent": accuracies(model, seed),
        "accuracy before training": 100 * evaluate(before, split_for(name, seed).test),
        "change without each signal kernel": changes(model, layer, signal, images),
        "change without each pixel": changes(model, layer, np.eye(len(signal)), images),
        "change without each of a random basis": [
            changes(model, layer, basis, images)
            for basis in sampled_bases(len(signal), BASES, np.random.default_rng(seed))
        ],
        "singular values": {"before": spectra(before), "after": spectra(model)},
    }
    write_beside(path, (json.dumps(entry, indent=1) + "\n").encode())

"""What only a whole ResNet18 can tell, or takes long to compute, written down at the end of its training.

The networks of seeds other than 0 are too large to ship. Seed 0 ships, and a test observes parts of it again.
"""

import copy
from functools import partial

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from evidence.networks import VARIANTS, initial, observation_path, split_for
from evidence.observe.runs import Run
from vsbook.linalg.kernels import convolution_matrix, flattened_kernels
from vsbook.linalg.nullmodel import sampled_bases
from vsbook.linalg.significance import holm, spectrum_test
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.data import Images, mnist, mnist_split
from vsbook.networks.layers import named_weights
from vsbook.networks.outputs import logits
from vsbook.networks.training import PAPER, evaluate

SAMPLE = 1000  # test images whose outputs are compared
BASES = 5  # random bases beside the signal kernels
ANEW = 1000  # added to the seed for a split that is drawn anew
IMPORTANCE = "resnet18-importance"  # the file of the next three
RANKED = (0, 3, 4)  # seeds whose signal kernels are ranked among random bases: of 1 and 2 only a layer was kept
RANDOM = 199  # of them
FEW = 100  # test images for it
SHUFFLES = 499  # for each of twenty layers: the smallest p-value, times twenty, is below 5 %


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


def importance(seed: int, model: nn.Module) -> dict:
    """How much more one direction of the kernels matters than another: largest over smallest change, by basis."""
    layer, images = VARIANTS["resnet18"].layer, split_for("resnet18", seed).test.images[:FEW]
    signal = FourSubspaces.of(flattened_kernels(named_weights(model)[layer].weight)).Vh

    def ratio(basis):
        found = changes(model, layer, basis, images)
        return max(found) / min(found)

    random = sampled_bases(len(signal), RANDOM, np.random.default_rng([seed, 7]))
    return {
        "signal kernels": ratio(signal),
        "pixels": ratio(np.eye(len(signal))),
        "random bases": [ratio(basis) for basis in tqdm(random)],
    }


def spectra(model: nn.Module) -> dict[str, list[float]]:
    """Singular values of the flattened kernels of each convolution."""
    found = named_weights(model).layers.values()
    convolutions = {layer.name: layer.weight for layer in found if layer.weight.ndim == 4}
    return {name: FourSubspaces.of(flattened_kernels(w)).singular_values.tolist() for name, w in convolutions.items()}


def observe(name: str, seed: int, model: nn.Module) -> dict:
    """What only the whole network tells, as numbers that JSON takes."""
    layer, before = VARIANTS[name].layer, initial(name, seed)
    images = split_for(name, seed).test.images[:SAMPLE]
    signal = FourSubspaces.of(flattened_kernels(named_weights(model)[layer].weight)).Vh
    return {
        "accuracy in percent": accuracies(model, seed),
        "accuracy before training": 100 * evaluate(before, split_for(name, seed).test),
        "change without each signal kernel": changes(model, layer, signal, images),
        "change without each pixel": changes(model, layer, np.eye(len(signal)), images),
        "change without each of a random basis": [
            changes(model, layer, basis, images)
            for basis in sampled_bases(len(signal), BASES, np.random.default_rng(seed))
        ],
        "condition number of the convolution": {"before": of_maps(before, layer), "after": of_maps(model, layer)},
        "singular values": {"before": spectra(before), "after": spectra(model)},
    }


def of_maps(model: nn.Module, layer: str) -> float:
    """Condition number of a 3 x 3 convolution as a map of whole 7 x 7 maps, zeros around: first over *last* value."""
    matrix = convolution_matrix(model.get_submodule(layer).weight.detach().numpy(), 7, 7, padding=1).toarray()
    singular_values = np.linalg.svd(matrix, compute_uv=False)
    return float(singular_values[0] / singular_values[-1])


def tested_matrix(weight: np.ndarray) -> np.ndarray:
    """Flattened kernels; the 1 x 1 convolutions have kernels of one number, so their matrix of channels instead."""
    rows = flattened_kernels(weight)
    return (rows if rows.shape[1] > 1 else weight.reshape(weight.shape[:2])).astype(np.float64)


def observe_layer(name: str, before: np.ndarray, after: np.ndarray, generator: np.random.Generator) -> dict:
    """One convolution before and after training: how far it went, its spectra, and whether they show an arrangement."""
    stages = {"before": tested_matrix(before), "after": tested_matrix(after)}
    # the network is in half precision: weights that never moved differ from their start by rounding, unless it is too
    stages["update"] = stages["after"] - tested_matrix(before.astype(np.float16))
    factored = {key: FourSubspaces.of(A) for key, A in stages.items()}
    return {
        "layer": name,
        "shape": stages["after"].shape,
        "update over start": float(np.linalg.norm(stages["update"]) / np.linalg.norm(stages["before"])),
        "rank": {key: S.rank for key, S in factored.items()},
        "condition number": {key: S.condition_number for key, S in factored.items()},
        "singular values": {key: S.singular_values.tolist() for key, S in factored.items()},
        "p": {key: spectrum_test(A, SHUFFLES, generator).p_value for key, A in stages.items()},
    }


def observe_layers(name: str, seed: int, model: nn.Module) -> list[dict]:
    """All convolutions, with p-values adjusted over them."""
    before, after = (named_weights(network).layers for network in (initial(name, seed), model))
    convolutions = [key for key, layer in after.items() if layer.weight.ndim == 4]
    rows = [
        observe_layer(key, before[key].weight, after[key].weight, np.random.default_rng([seed, number]))
        for number, key in enumerate(convolutions)
    ]
    for stage in ("before", "after", "update"):
        for row, adjusted in zip(rows, holm([row["p"][stage] for row in rows]), strict=True):
            row.setdefault("p adjusted", {})[stage] = float(adjusted)
    return rows


def wrong(model: nn.Module) -> list[int]:
    """Numbers of the test images that a network takes for another digit."""
    test = mnist().test
    return np.flatnonzero(logits(model, test.images).argmax(dim=1).numpy() != test.labels).tolist()


def runs() -> list[Run]:
    """Of each seed what it tells and its errors, of seed 0 all twenty convolutions."""
    name, seeds = "resnet18", range(VARIANTS["resnet18"].seeds)
    whole = [Run(observation_path(f"{name}-seed{s}"), partial(observe, name, s), seed=s) for s in seeds]
    errors = [Run(observation_path(f"{name}-errors"), wrong, str(s), s) for s in seeds]
    ranked = [Run(observation_path(IMPORTANCE), partial(importance, s), str(s), s) for s in RANKED]
    return [*whole, *errors, *ranked, Run(observation_path(f"{name}-layers"), partial(observe_layers, name, 0), seed=0)]

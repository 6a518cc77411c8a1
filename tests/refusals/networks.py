"""What the rooms of networks refuse."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from tests.refusals.kinds import COUNT, NAN, NO_NETWORK, NOT_NEGATIVE, PATHS, RUNS, SEED, Call, array, named
from tests.runs import rough
from vsbook.networks import checkpoints, coupling, data, layers, models, outputs, training


class Silent(nn.Module):
    """No weights."""


FCNN1 = models.create("fcnn1", 0)
PART = data.Images(np.zeros((4, 784), np.float32), np.arange(4))


def images(values, labels):
    """One part for training, validation and test."""
    part = data.Images(np.asarray(values), np.asarray(labels))
    return data.Split(part, part, part)


DATA = {
    "mnist": Call(data.mnist, {}, {"folder": named(("/nowhere", None, Path("/"), 3, ["a"]), "^")}),
    "mnist_split": Call(data.mnist_split, {"seed": 0}, {"seed": SEED}),
    "Images": Call(
        data.Images,
        {"images": np.zeros((2, 784)), "labels": np.zeros(2)},
        {"labels": {"labels left over": (np.zeros(3), "one for each image")}},
    ),
    "of_class": Call(PART.of_class, {"digit": 1}, {"digit": named((10, "1"))}),
    "class_averages": Call(
        data.class_averages,
        {"images": np.ones((10, 784)), "labels": np.arange(10)},
        {
            "images": array(10, 784),
            "labels": array(10) | {"a digit is missing": ([*range(9), 0], "")},
            "images, labels": {
                "a missing digit": ((np.ones((9, 4)), np.arange(9)), "^labels: "),
                "a digit too many": ((np.ones((11, 4)), np.arange(11)), "^labels: "),
                "half a digit": ((np.ones((11, 4)), [*range(10), 0.5]), "^labels: "),
            },
        },
    ),
}

MODELS = {
    "create": Call(
        models.create,
        {"network": "fcnn1", "seed": 0},
        {"network": RUNS | named(({}, np.ones(2)), "one of"), "seed": SEED},
    ),
    "named_weights": Call(layers.named_weights, {"model": FCNN1}, {"model": NO_NETWORK}),
    "named_weights()[]": Call(
        layers.named_weights(FCNN1).__getitem__,
        {"name": "layer1"},
        {"name": named(("layer2", None, [0]), "^layer: expected one of layer1; got .*; choose a listed name")},
    ),
    "capture": Call(
        lambda model, names: layers.capture(model, names).__enter__(),
        {"model": FCNN1, "names": ["layer1"]},
        {"model": NO_NETWORK, "names": named((["layer2"], "layer1", None, 3, [None], [["layer1"]]), "^")},
    ),
}


def saved(path, model, header):
    """In a folder that is gone afterwards, or where the path says."""
    with TemporaryDirectory() as folder:
        checkpoints.save_checkpoint(Path(folder) / path, model, header)


CHECKPOINTS = {
    "load": Call(checkpoints.load, {"network": "fcnn1"}, {"network": RUNS | named(("../fcnn1",), "one of")}),
    "load_kernels": Call(
        checkpoints.load_kernels,
        {"run": "resnet18", "seed": 0},
        {
            "run": RUNS
            | named(
                ("../resnet18", ["resnet18"], "resnet18-seed0", "fcnn1", "../checkpoints/resnet18"),
                "one of resnet18, resnet18-small-start; got",
            ),
            "seed": SEED | named((5, 2**40), "one from 0 to 4, got .*; those are the runs that ship"),
            "run, seed": named(
                [("resnet18-small-start", 3)], "^seed: expected one from 0 to 2, got 3; those are the runs"
            ),
        },
    ),
    "load_checkpoint": Call(
        checkpoints.load_checkpoint,
        {"path": checkpoints.ASSETS / "checkpoints" / "fcnn1-seed0.safetensors"},
        {"path": PATHS},
    ),
    "save_checkpoint": Call(
        saved,
        {"path": "x.safetensors", "model": FCNN1, "header": {"network": "fcnn1"}},
        {
            "path": {"where nothing can be": ("/dev/null/x", "^")},
            "model": NO_NETWORK,
            "header": {"numbers": ({"seed": 0}, "^"), "None": (None, "^")},
        },
    ),
}

TRAINING = {
    "logits": Call(
        outputs.logits,
        {"model": FCNN1, "images": np.ones((2, 784))},
        {"model": NO_NETWORK | {"one without weights": (Silent(), "")}, "images": array(2, 784)},
    ),
    "logits of an invertible network": Call(
        outputs.logits,
        {"model": models.create("invertible", 0), "images": np.ones((2, 784))},
        {"images": {"too few pixels": (np.zeros((2, 700)), "")}},
    ),
    "evaluate": Call(
        training.evaluate,
        {"model": FCNN1, "data": PART},
        {"model": NO_NETWORK, "data": {"an array": (np.ones((2, 784)), "Images")}},
    ),
    "Recipe": Call(
        training.Recipe,
        {},
        {
            "learning_rate": NOT_NEGATIVE,
            "momentum": NOT_NEGATIVE | named((-0.1,)),
            "batch_size": COUNT,
            "epochs": COUNT,
        },
    ),
    "replace(PAPER)": Call(lambda **changes: replace(training.PAPER, **changes), {}, {"epochs": COUNT}),
    "fit": Call(
        training.fit,
        {
            "model": models.create("fcnn1", 0),
            "split": data.Split(PART, PART, PART),
            "recipe": training.Recipe(epochs=1),
            "seed": 0,
            "state": None,
            "progress": False,
        },
        {
            "model": NO_NETWORK
            | {
                "no weights": (Silent(), ""),
                "other images": (nn.Linear(7, 10), "^"),
                "three outputs": (nn.Linear(784, 3), "^"),
            },
            "split": {
                "None": (None, "Split"),
                "NaN": (images(np.full((3, 784), NAN), [0, 1, 2]), "^"),
                "nothing": (images(np.ones((0, 784)), np.zeros(0, int)), "^"),
                "other labels": (images(np.ones((2, 784)), [0, 10]), "^"),
                "negative labels": (images(np.ones((2, 784)), [0, -1]), "^"),
            },
            "recipe": {"a dictionary": ({}, "Recipe"), "None": (None, "Recipe")},
            "seed": SEED,
            "state": {"a folder": (Path("/"), "^")},
        },
        changes=True,
    ),
}


NO_IMAGES = {
    "an array": (np.zeros((2, 784), np.float32), "an object of torch's Tensor"),
    "too few pixels": (torch.zeros(2, 783), r"\(N, 784\) or \(N, 28, 28\)"),
    "three channels": (torch.zeros(2, 3, 28, 28), ""),
    "one flat image": (torch.zeros(784), ""),
    "none": (torch.zeros(0, 784), r"shape \(N, 784\)"),
    "float64": (torch.zeros(2, 784).double(), "torch.float32 as the network's, got torch.float64"),
    "whole numbers": (torch.zeros(2, 784, dtype=torch.int64), "torch.float32"),
    "NaN": (torch.full((2, 784), NAN), "finite numbers"),
}
NO_COORDINATES = {
    "eleven logits": ((torch.zeros(2, 11), torch.zeros(2, 774)), r"^logits: expected shape \(N, 10\)"),
    "one vector": ((torch.zeros(10), torch.zeros(774)), r"^logits: expected shape \(N, 10\)"),
    "ten coordinates": ((torch.zeros(1, 10), torch.zeros(1, 10)), r"^spare: expected shape \(N, 774\)"),
    "all coordinates": ((torch.zeros(2, 10), torch.zeros(2, 784)), r"^spare: expected shape \(N, 774\)"),
    "other rows": ((torch.zeros(2, 10), torch.zeros(1, 774)), "^spare: expected one row for each of 2"),
    "NaN": ((torch.zeros(2, 10), torch.full((2, 774), NAN)), "^spare: expected finite numbers"),
    "NaN logits": ((torch.full((2, 10), NAN), torch.zeros(2, 774)), "^logits: expected finite numbers"),
    "infinity": ((torch.full((2, 10), torch.inf), torch.zeros(2, 774)), "^logits: expected finite numbers"),
    "an array": ((torch.zeros(2, 10), np.zeros((2, 774))), "^spare: expected an object of torch's Tensor"),
    "an array of logits": ((np.zeros((2, 10)), torch.zeros(2, 774)), "^logits: expected an object of torch's Tensor"),
    "float64": ((torch.zeros(2, 10).double(), torch.zeros(2, 774).double()), "^logits: expected torch.float32"),
}
# in training mode too: these networks have no layer that behaves otherwise there
COUPLINGS = {
    f"{door}, {name}, {mode}": Call(function, {"model": model} | good, bad)
    for name in ("invertible", "invertible_toy")
    for mode, model in (("eval", rough(name).eval()), ("training", rough(name).train()))
    for door, function, good, bad in [
        (
            "transform",
            lambda model, images: model.transform(images),
            {"images": torch.zeros(2, 784)},
            {"images": NO_IMAGES},
        ),
        ("forward", lambda model, images: model(images), {"images": torch.zeros(2, 784)}, {"images": NO_IMAGES}),
        (
            "invert",
            lambda model, logits, spare: model.invert(logits, spare),
            {"logits": torch.zeros(2, 10), "spare": torch.zeros(2, 774)},
            {"logits, spare": NO_COORDINATES},
        ),
    ]
} | {
    "jacobians": Call(
        coupling.jacobians,
        {"network": rough("invertible_toy"), "images": torch.zeros(1, 784)},
        {"network": {"an ordinary one": (FCNN1, "an object of vsbook's Invertible")}, "images": NO_IMAGES},
    ),
    "cosine_matrix": Call(coupling.cosine_matrix, {"size": 7}, {"size": COUNT}),
}

CALLS = DATA | MODELS | CHECKPOINTS | TRAINING | COUPLINGS

"""What the rooms refuse that go from an output back to an image through a whole network."""

import numpy as np
from torch import nn

from tests.inversion.test_ideal import PIXELS, convolutional, dense, sample
from tests.refusals.kinds import (
    COUNT,
    NAN,
    NO_NETWORK,
    NOT_NEGATIVE,
    Call,
    array,
    called,
    choice,
    marked,
    named,
    training_modes,
    without,
)
from vsbook.inversion.chains import Chain
from vsbook.inversion.ideal import distances_to, ideal_outputs, nearest_outputs
from vsbook.inversion.image_statistics import low_frequency_share, naturalness, nearest, total_variation
from vsbook.inversion.input_training import Descent, InBox, train_input
from vsbook.inversion.newton import invert
from vsbook.inversion.starts import STARTS, ideal_starts, starting_images
from vsbook.inversion.training_mode import copies_in_training_mode, train_copies
from vsbook.networks.data import Images
from vsbook.networks.outputs import output_statistics, type_in_eval_mode

DATA = sample()
TARGETS, IMAGES = np.zeros((2, 10)), DATA.images[:2]

# whole networks: what takes one and gives numbers, with one that is a chain and one that isn't

MAKERS = {"dense": dense, "convolutional": convolutional}
NO_TARGETS = array(2, 10) | {
    "one too few": (np.zeros((2, 9)), ""),
    "one too many": (np.zeros((2, 11)), ""),
    "one number": (np.zeros((2, 1)), ""),
    "three axes": (np.zeros((2, 1, 10)), ""),
    "one NaN": (np.where(np.arange(20) == 7, NAN, 0).reshape(2, 10), "finite numbers"),
}
NO_TARGET = array(10) | {
    "three axes": (np.zeros((2, 1, 10)), r"\(N, n\), one vector a row"),
    "one too few": (np.zeros(9), ""),
    "one number": (np.zeros(1), ""),
    "one NaN": (np.where(np.arange(10) == 7, NAN, 0), "finite numbers"),
}
NO_IMAGES = array(2, PIXELS)
NO_COPIES = {
    "image": array(PIXELS) | {"two": (IMAGES, "one vector")},
    "copies": COUNT | named((1, 2.5), "whole number of at least 2"),
}
FEW = Images(DATA.images[DATA.labels != 4], DATA.labels[DATA.labels != 4])


def looking(model, no_model) -> dict[str, Call]:
    """What a network says of images."""
    pair = {"model": model, "images": IMAGES, "targets": TARGETS}
    one_row = nn.Conv1d(1, 1, 1).eval(), np.ones((2, 1, 4))
    return {
        "type_in_eval_mode": Call(type_in_eval_mode, {"model": model}, {"model": no_model}),
        "output_statistics": Call(
            output_statistics,
            {"model": model, "images": IMAGES, "progress": False},
            {
                "model": no_model | {"no weights": (nn.Flatten().eval(), "a network with weights")},
                "images": NO_IMAGES | {"too few pixels": (np.ones((2, 5)), "as the network takes them")},
                "model, images": {"rows of rows": (one_row, "^model: expected one row of outputs")},
            },
        ),
        "distances_to": Call(
            distances_to,
            pair,
            {
                "model": no_model,
                "images": NO_IMAGES,
                "targets": NO_TARGETS | {"too many rows": (np.zeros((3, 10)), "")},
            },
        ),
    }


def inverting(model, no_model) -> dict[str, Call]:
    """An image that gives the wanted outputs."""
    return {
        "invert": Call(
            invert,
            {"model": model, "targets": TARGETS, "starts": IMAGES, "max_steps": 2, "progress": False},
            {
                "model": no_model,
                "targets": NO_TARGETS
                | {
                    "one": (np.zeros(10), r"\(N, n\)"),
                    "too long": (np.full((2, 10), 1.7e308), "vectors with a length"),
                },
                "starts": NO_IMAGES
                | {f"{n} for two targets": (DATA.images[:n], "") for n in (1, 3)}
                | {"flat": (np.zeros(2), ""), "of other images": (np.zeros((2, PIXELS + 1)), "")},
                "tolerance": NOT_NEGATIVE,
                "max_steps": named((-1, 0.5, 1.5, "1", None, True), "whole number"),
            },
        ),
    }


def starting(make, model) -> dict[str, Call]:
    """Where an inversion begins."""
    wrong = {"three axes": np.zeros((2, 2, 10)), "one too few": np.zeros((2, 9)), "flat": np.zeros(10)}
    return {
        "starting_images": Call(
            starting_images,
            {"kind": STARTS[1], "model": model, "targets": TARGETS, "data": DATA},
            {
                "kind": choice("noise", "the true image", list(STARTS)),
                "targets": NO_TARGETS | {"flat": (np.zeros(10), "")},
                "kind, targets": {what: ((STARTS[0], value), "^targets: ") for what, value in wrong.items()},
                "data": {"an array": (DATA.images, "Images")},
            },
        ),
        "starting_images in training mode": Call(
            starting_images,
            {"kind": STARTS[1], "model": marked(make()).train(), "targets": TARGETS, "data": DATA},
            {},
        ),
    }


def starting_ideally(make, model, no_model) -> dict[str, Call]:
    """Where the training of an input begins."""
    outputs = output_statistics(model, DATA.images, progress=False)
    other = next(m for m in MAKERS.values() if m is not make)()
    of_other, of_few = (output_statistics(m, d.images, progress=False) for m, d in ((other, DATA), (model, FEW)))
    three = nn.Linear(PIXELS, 3).double().eval()
    of_three = output_statistics(three, DATA.images, progress=False)
    return {
        "ideal_starts": Call(
            ideal_starts,
            {"model": model, "data": DATA, "outputs": outputs, "reading": "own minima"},
            {
                "model": no_model,
                "data": {"an array": (DATA.images, "Images")},
                "outputs": {
                    "plain": (outputs.values, "an object"),
                    "of another network": (of_other, ""),
                    "of other images": (of_few, "one row for each image"),
                },
                "reading": choice("paper", ["own minima"]),
                "data, outputs": {"no 4": ((FEW, of_few), r"^labels: expected every digit 0 to 9, none of \[4\]")},
                "model, outputs": {
                    "three": ((three, of_three), "^outputs: expected one for each of ten digits, got 3")
                },
            },
        ),
    }


def training(model, no_model) -> dict[str, Call]:
    """What moves an image by gradients."""
    pair = {"model": model, "targets": TARGETS, "starts": IMAGES, "progress": False}
    towards = {
        "model": no_model,
        "targets": NO_TARGETS | {"other rows": (np.zeros((9, 10)), "one row of")},
        "starts": NO_IMAGES | {"one": (IMAGES[0], ""), "too few pixels": (IMAGES[:, :9], "^images: expected")},
        "how": {
            "None": (None, "an object"),
            "a name": ("sgd", "an object"),
            "steps too long": (Descent(1e200, 3), "steps that stay finite"),
            "no data": (InBox("nearest data"), "^data: expected"),
        },
    }
    other_sizes = {f"shape {np.shape(v)}": (v, "images of one size") for v in (np.ones((2, 2, 2, 2)), 1.0)}
    return {
        "train_input by Descent": Call(train_input, pair | {"how": Descent(steps=1)}, towards),
        "train_input by InBox": Call(train_input, pair | {"how": InBox(steps=1)}, towards),
        "train_input towards data": Call(
            train_input,
            pair | {"how": InBox("nearest data", steps=1), "data": DATA.images[:5]},
            {"data": without(array(5, PIXELS), "wrong shape", "a number") | called("among", other_sizes)},
        ),
    }


def training_copies(model, no_model) -> dict[str, Call]:
    """The same in training mode, where an image stands among its copies."""
    return {
        "copies_in_training_mode": Call(
            copies_in_training_mode, {"model": model, "image": IMAGES[0]}, {"model": no_model} | NO_COPIES
        ),
        "train_copies": Call(
            train_copies,
            {"model": model, "target": TARGETS[0], "start": IMAGES[0], "how": Descent(steps=2), "progress": False},
            {
                "model": no_model,
                "start": NO_COPIES["image"]
                | {"wrong shape": (np.ones(PIXELS + 1), "^images: expected .*as the network")},
                "copies": NO_COPIES["copies"],
                "target": NO_TARGET,
                "how": {"in a box": (InBox(), "Descent"), "None": (None, "Descent")},
            },
        ),
    }


def whole_networks(make) -> dict[str, Call]:
    """All calls with such a network."""
    model, no_model = marked(make()), NO_NETWORK | training_modes(make)
    calls = looking(model, no_model) | inverting(model, no_model)
    calls |= starting(make, model) | starting_ideally(make, model, no_model)
    return calls | training(model, no_model) | training_copies(model, no_model)


NETWORKS = {f"{name}, {kind}": call for kind, make in MAKERS.items() for name, call in whole_networks(make).items()} | {
    "Descent": Call(Descent, {}, {"steps": COUNT, "learning_rate": NOT_NEGATIVE}),
    "InBox": Call(
        InBox,
        {},
        {"steps": COUNT, "learning_rate": NOT_NEGATIVE, "prior": choice("tv", ["none"]), "weight": NOT_NEGATIVE},
    ),
    "ideal_outputs": Call(
        ideal_outputs,
        {"outputs": np.eye(3), "reading": "own minima"},
        {
            "outputs": array(4, 3) | {"one": ([1.0, 2.0], r"\(N, n\), one vector a row")},
            "reading": choice("text", ["own minima"]),
        },
    ),
    "nearest_outputs": Call(
        nearest_outputs,
        {"targets": np.zeros((2, 3)), "outputs": np.ones((4, 3))},
        {"targets": array(2, 3), "outputs": array(4, 3)},
    ),
}

# which layers a chain has is in test_chains; here, that a network is left as it was


class Blurred(nn.Linear):
    """It looks like a linear layer, and computes something else."""

    def forward(self, x):
        return super().forward(x) ** 2


def ending_with(layer):
    return marked(nn.Sequential(nn.Linear(PIXELS, 12), nn.Tanh(), layer).double().eval())


NO_LAYER = {
    "a convolution": nn.Conv1d(12, 3, 1),
    "GELU": nn.GELU(),
    "softmax": nn.Softmax(1),
    "PReLU": nn.PReLU(),
    "layer normalisation": nn.LayerNorm(12),
    "batch normalisation": nn.BatchNorm1d(12),
    "another linear layer": Blurred(12, 3),
    "two activations": nn.Tanh(),
    "widths that don't fit": nn.Linear(13, 3),
    "a flat image in the middle": nn.Flatten(0),
    "a recurrent layer": nn.RNN(12, 3),
}
WHOLE = {
    f"Chain.of, {kind}": Call(
        Chain.of,
        {"model": ending_with(nn.Linear(12, 10))},
        {
            "model": NO_NETWORK
            | training_modes(make)
            | {what: (ending_with(layer), "^layer '2") for what, layer in NO_LAYER.items() if kind == "dense"}
            | {"a list of layers": ([nn.Linear(3, 2)], "Module"), "nothing": (nn.Sequential().eval(), "linear layers")}
        },
    )
    for kind, make in MAKERS.items()
}

LINEAR = Chain.of(nn.Sequential(nn.Linear(3, 2), nn.LeakyReLU()).eval())
CHAIN_ROOM = {
    name: Call(door, {"images": np.ones(3)}, {"images": array(3)})
    for name, door in [("Chain", LINEAR), ("layer_outputs", LINEAR.layer_outputs), ("jacobian", LINEAR.jacobian)]
}

NATURALNESS = {
    "total_variation": Call(
        total_variation, {"images": np.ones((2, 4))}, {"images": array(2, 4) | {"oblongs": (np.ones((2, 5)), "square")}}
    ),
    "low_frequency_share": Call(
        low_frequency_share,
        {"images": np.eye(4)},
        {
            "images": array(2, 4)
            | {"oblongs": (np.eye(5), "square"), "flat paper": (np.ones((2, 4)), "^images: expected .*equal ones")}
        },
    ),
    "nearest": Call(
        nearest,
        {"images": np.ones((2, 4)), "among": np.zeros((3, 4))},
        {"images": array(2, 4), "among": array(2, 4) | {"of other sizes": (np.ones((2, 5)), "")}},
    ),
    "naturalness": Call(
        naturalness,
        {"images": np.ones((3, 4)), "training": np.ones((3, 4)), "reference": np.ones((2, 4))},
        {"reference": called("images", array(2, 4)), "images": {"three axes": (np.zeros((2, 2, 4)), "")}},
    ),
}

CALLS = NETWORKS | WHOLE | CHAIN_ROOM | NATURALNESS

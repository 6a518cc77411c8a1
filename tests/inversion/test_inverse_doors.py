"""The doors of the rooms that go from an output back to an image: one `BadInput`, and a network that is as it was."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from tests.chains_zoo import random_chain
from tests.inversion.test_ideal import PIXELS, convolutional, dense, sample
from tests.test_doors import NO_NUMBERS, assert_one_line, assert_refused
from vsbook.checks import BadInput
from vsbook.inversion.certificates import OutOfRange, as_box, check_certificate
from vsbook.inversion.chains import Chain
from vsbook.inversion.ideal import distances_to, ideal_outputs, nearest_outputs
from vsbook.inversion.input_training import Descent, InBox, train_input
from vsbook.inversion.layerwise import error_budget, invert_layers
from vsbook.inversion.naturalness import low_frequency_share, naturalness, nearest, total_variation
from vsbook.inversion.newton import invert
from vsbook.inversion.polytopes import Certificate, affine_piece, check_infeasible, invert_in_pattern, pattern, walk
from vsbook.inversion.reachability import reach, trace_back
from vsbook.inversion.starts import STARTS, ideal_starts, starting_images
from vsbook.inversion.training_mode import copies_in_training_mode, train_copies
from vsbook.networks.coupling import ToyCoupling, cosine_matrix, jacobians
from vsbook.networks.outputs import output_statistics, type_in_eval_mode

NAN, INF = float("nan"), float("inf")
CHAIN = random_chain((3, 4, 2), ("tanh", "selu"), 0)
BENT = random_chain((3, 4, 2), ("relu", "identity"), 0)
ON = np.array([True, False, True, True])
CLAIM, MIXTURE = OutOfRange(0, 0.1), Certificate(np.zeros(4), np.ones(2))
MODEL, DATA = dense(), sample()
TARGETS, IMAGES = np.zeros((2, 10)), DATA.images[:2]
OUTPUTS, CONVOLVED = (output_statistics(model, DATA.images, progress=False) for model in (MODEL, convolutional()))


# arrays

ARRAY_DOORS = {
    "reach, targets": (lambda v: reach(CHAIN, v), (2, 2)),
    "reach, one target": (lambda v: reach(CHAIN, v), (2,)),
    "reach, starts": (lambda v: reach(CHAIN, np.zeros(2), starts=v), (2, 3)),
    "reach, box": (lambda v: reach(CHAIN, np.zeros(2), (-1.0, v)), (3,)),
    "trace_back": (lambda v: trace_back(CHAIN, v), (2, 2)),
    "check_certificate": (lambda v: check_certificate(CHAIN, v, CLAIM), (2,)),
    "invert_layers": (lambda v: invert_layers(CHAIN, v), (2,)),
    "error_budget": (lambda v: error_budget(random_chain((3, 2), ("identity",), 0), v), (2,)),
    "pattern": (lambda v: pattern(BENT, v), (3,)),
    "invert_in_pattern, target": (lambda v: invert_in_pattern(BENT, ON, v, np.zeros(3)), (2,)),
    "invert_in_pattern, start": (lambda v: invert_in_pattern(BENT, ON, np.zeros(2), v), (3,)),
    "check_infeasible, target": (lambda v: check_infeasible(BENT, ON, v, MIXTURE), (2,)),
    "check_infeasible, units": (lambda v: check_infeasible(BENT, ON, np.ones(2), Certificate(v, np.ones(2))), (4,)),
    "check_infeasible, outputs": (lambda v: check_infeasible(BENT, ON, np.ones(2), Certificate(np.ones(4), v)), (2,)),
    "walk, target": (lambda v: walk(BENT, v, np.zeros(3), max_patterns=5), (2,)),
    "walk, start": (lambda v: walk(BENT, np.zeros(2), v, max_patterns=5), (3,)),
    "invert, targets": (lambda v: invert(MODEL, v, IMAGES, max_steps=2, progress=False), (2, 10)),
    "invert, starts": (lambda v: invert(MODEL, TARGETS, v, max_steps=2, progress=False), (2, PIXELS)),
    "starting_images": (lambda v: starting_images(MODEL, v, DATA, STARTS[1]), (2, 10)),
    "ideal_outputs": (lambda v: ideal_outputs(v, "own minima"), (4, 3)),
    "nearest_outputs, outputs": (lambda v: nearest_outputs(np.zeros((2, 3)), v), (4, 3)),
    "nearest_outputs, targets": (lambda v: nearest_outputs(v, np.zeros((4, 3))), (2, 3)),
    "output_statistics": (lambda v: output_statistics(MODEL, v, progress=False), (2, PIXELS)),
    "distances_to, images": (lambda v: distances_to(MODEL, TARGETS, v), (2, PIXELS)),
    "distances_to, targets": (lambda v: distances_to(MODEL, v, IMAGES), (2, 10)),
    "train_input, starts": (lambda v: train_input(MODEL, TARGETS, v, Descent(steps=1), progress=False), (2, PIXELS)),
    "train_input, targets": (lambda v: train_input(MODEL, v, IMAGES, Descent(steps=1), progress=False), (2, 10)),
    "train_input, data": (
        lambda v: train_input(MODEL, TARGETS, IMAGES, InBox("nearest data", steps=1), data=v, progress=False),
        (5, PIXELS),
    ),
    "copies_in_training_mode": (lambda v: copies_in_training_mode(MODEL, v), (PIXELS,)),
    "train_copies, start": (lambda v: train_copies(MODEL, TARGETS[0], v, Descent(steps=1), progress=False), (PIXELS,)),
    "train_copies, target": (lambda v: train_copies(MODEL, v, IMAGES[0], Descent(steps=1), progress=False), (10,)),
    "total_variation": (total_variation, (2, 4)),
    "nearest, images": (lambda v: nearest(v, np.zeros((3, 4))), (2, 4)),
    "nearest, among": (lambda v: nearest(np.zeros((3, 4)), v), (2, 4)),
    "naturalness, reference": (lambda v: naturalness(np.ones((3, 4)), np.ones((3, 4)), v), (2, 4)),
}


@pytest.mark.parametrize("what", NO_NUMBERS)
@pytest.mark.parametrize("door", ARRAY_DOORS)
def test_doors_for_arrays(door, what):
    function, shape = ARRAY_DOORS[door]
    if (door, what) in (("reach, box", "a number"), ("reach, starts", "None")):
        function(NO_NUMBERS[what](shape))  # the same side for all pixels; left out
    else:
        assert_refused(lambda: function(NO_NUMBERS[what](shape)))


@pytest.mark.parametrize("door", ARRAY_DOORS)
def test_the_doors_are_open(door):
    function, shape = ARRAY_DOORS[door]
    function(np.ones(shape))


# networks


class Blurred(nn.Linear):
    """It looks like a linear layer, and computes something else."""

    def forward(self, x):
        return super().forward(x) ** 2


def with_last(*layers):
    """A small chain that ends with these."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(PIXELS, 12), nn.Tanh(), *layers).double().eval()


UNSUPPORTED = {
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
# what takes a network and gives numbers: with a network whose outputs are ten, and one that is a chain
MODEL_DOORS = {
    "invert": lambda m: invert(m, TARGETS, IMAGES, progress=False),
    "type_in_eval_mode": type_in_eval_mode,
    "output_statistics": lambda m: output_statistics(m, IMAGES, progress=False),
    "ideal_starts": lambda m: ideal_starts(m, DATA, CONVOLVED if hasattr(m, "conv") else OUTPUTS, "own minima"),
    "distances_to": lambda m: distances_to(m, TARGETS, IMAGES),
    "train_input": lambda m: train_input(m, TARGETS, IMAGES, Descent(steps=2), progress=False),
    "train_input in the box": lambda m: train_input(m, TARGETS, IMAGES, InBox(steps=2), progress=False),
    "copies_in_training_mode": lambda m: copies_in_training_mode(m, IMAGES[0]),
    "train_copies": lambda m: train_copies(m, TARGETS[0], IMAGES[0], Descent(steps=2), progress=False),
}
CHAIN_DOORS = {"Chain.of": Chain.of}
WRONG_OUTPUTS = {
    "invert": lambda m, v: invert(m, v, IMAGES, progress=False),
    "distances_to": lambda m, v: distances_to(m, v, IMAGES),
    "train_input": lambda m, v: train_input(m, v, IMAGES, Descent(steps=1), progress=False),
    "train_input in the box": lambda m, v: train_input(m, v, IMAGES, InBox(steps=1), progress=False),
    "train_copies": lambda m, v: train_copies(m, v, IMAGES[0], Descent(steps=1), progress=False),
    "starting_images": lambda m, v: starting_images(m, v, DATA, STARTS[1]),
}


def marked(model):
    """With traces of a user: a frozen weight, a gradient, hooks of three kinds, a buffer that isn't saved."""
    first, *_, last = model.parameters()
    first.requires_grad_(False)
    last.grad = torch.full_like(last, 3.0)
    model.register_buffer("counted", torch.tensor([7.0]), persistent=False)
    part = list(model.modules())[1]
    part.register_forward_hook(lambda *_: None)
    part.register_forward_pre_hook(lambda *_: None)
    last.register_hook(lambda gradient: gradient)
    return model


def snapshot(model):
    """All that a careless function might change."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    gradients = [(f"{name}.grad", p.grad) for name, p in model.named_parameters() if p.grad is not None]
    bits = {name: (str(t.dtype), t.detach().numpy().tobytes()) for name, t in tensors + gradients}
    wants = [(id(p), p.requires_grad, len(p._backward_hooks or {})) for p in model.parameters()]
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")
    parts = [(id(m), m.training, *(list(getattr(m, kind)) for kind in kinds)) for m in model.modules()]
    switches = torch.is_grad_enabled(), torch.get_default_dtype(), torch.random.get_rng_state().numpy().tobytes()
    return bits, wants, parts, switches, str(np.random.get_state())  # noqa: NPY002


def assert_refused_and_unchanged(model, call, *words):
    before = snapshot(model)
    with pytest.raises(BadInput) as caught:
        call(model)
    assert_one_line(str(caught.value))
    assert all(word in str(caught.value) for word in words), caught.value
    assert snapshot(model) == before


MAKERS = {"dense": dense, "convolutional": convolutional}


@pytest.mark.parametrize("part", ["the whole", "a part", "all but the whole"])
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("door", [*MODEL_DOORS, *CHAIN_DOORS])
def test_a_network_in_training_mode(door, make, part):
    model = marked(MAKERS[make]())
    if part == "a part":
        list(model.modules())[-1].train()
    else:
        model.train()
        model.training = part == "the whole"
    assert_refused_and_unchanged(model, (MODEL_DOORS | CHAIN_DOORS)[door], "eval mode", "eval()")


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("door", MODEL_DOORS)
def test_a_network_that_is_taken_is_left_as_it_was(door, make):
    model = marked(MAKERS[make]())
    before = snapshot(model)
    MODEL_DOORS[door](model)
    assert snapshot(model) == before


def test_starting_images_put_the_mode_back():
    model = marked(convolutional()).train()
    before = snapshot(model)
    starting_images(model, TARGETS, DATA, STARTS[1])
    assert snapshot(model) == before


@pytest.mark.parametrize("what", UNSUPPORTED)
def test_a_layer_that_no_chain_has(what):
    model = marked(with_last(copy.deepcopy(UNSUPPORTED[what])))
    assert_refused_and_unchanged(model, Chain.of, "layer '2")


TARGETS_OF_NO_NETWORK = {
    "one too few": np.zeros((2, 9)),
    "one too many": np.zeros((2, 11)),
    "one number": np.zeros((2, 1)),
    "three axes": np.zeros((2, 1, 10)),
    "NaN": np.where(np.arange(20) == 7, NAN, 0).reshape(2, 10),
    "infinity": np.where(np.arange(20) == 7, INF, 0).reshape(2, 10),
}


@pytest.mark.parametrize("what", TARGETS_OF_NO_NETWORK)
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("door", WRONG_OUTPUTS)
def test_outputs_of_another_network(door, make, what):
    values = TARGETS_OF_NO_NETWORK[what]
    values = values[0] if door == "train_copies" and values.ndim == 2 else values
    assert_refused_and_unchanged(marked(MAKERS[make]()), lambda m: WRONG_OUTPUTS[door](m, values), "target")


# chains

NO_INVERSE = {
    "invert_layers": lambda c: invert_layers(c, np.ones(2)),
    "error_budget": lambda c: error_budget(c, np.ones(2)),
    "trace_back": lambda c: trace_back(c, np.ones(2)),
}


@pytest.mark.parametrize("where", [("relu", "identity"), ("tanh", "relu")], ids=str)
@pytest.mark.parametrize("door", NO_INVERSE)
def test_an_activation_without_inverse(door, where):
    chain = random_chain((3, 4, 2), where, 0)
    before = [(step.weight.copy(), step.bias.copy()) for step in chain.steps]
    assert_refused(lambda: NO_INVERSE[door](chain))
    for step, (weight, bias) in zip(chain.steps, before, strict=True):
        np.testing.assert_array_equal(step.weight, weight)
        np.testing.assert_array_equal(step.bias, bias)


CLAIMED = {
    "reach": lambda c: reach(c, np.zeros(2)),
    "trace_back": lambda c: trace_back(c, np.zeros(2)),
    "check_certificate": lambda c: check_certificate(c, np.zeros(2), CLAIM),
    "invert_layers": lambda c: invert_layers(c, np.zeros(2)),
    "error_budget": lambda c: error_budget(c, np.zeros(2)),
    "pattern": lambda c: pattern(c, np.zeros(3)),
    "invert_in_pattern": lambda c: invert_in_pattern(c, ON, np.zeros(2), np.zeros(3)),
    "check_infeasible": lambda c: check_infeasible(c, ON, np.zeros(2), MIXTURE),
    "affine_piece": lambda c: affine_piece(c, ON),
    "walk": lambda c: walk(c, np.zeros(2), np.zeros(3)),
}
REFUSED = {
    **{
        f"{door}, {name} for a chain": lambda door=door, chain=chain: CLAIMED[door](chain)
        for door in CLAIMED
        for name, chain in {"None": None, "a name": "fcnn1", "steps": CHAIN.steps, "a class": nn.Linear}.items()
    },
    **{
        f"{door}, {key} of three axes": lambda call=call, shape=shape: call(np.zeros(shape))
        for door, key, call, shape in [
            ("reach", "targets", lambda v: reach(CHAIN, v), (2, 2, 2)),
            ("trace_back", "targets", lambda v: trace_back(CHAIN, v), (2, 2, 2)),
            ("reach", "starts", lambda v: reach(CHAIN, np.zeros(2), starts=v), (2, 2, 3)),
            ("invert_layers", "outputs", lambda v: invert_layers(CHAIN, v), (2, 2, 2)),
            ("starting_images", "targets", lambda v: starting_images(MODEL, v, DATA, STARTS[0]), (2, 2, 10)),
            ("naturalness", "images", lambda v: naturalness(v, np.ones((3, 4)), np.ones((3, 4))), (2, 2, 4)),
        ]
    },
    "two targets of one certificate": lambda: check_certificate(CHAIN, np.zeros((2, 2)), CLAIM),
    "two targets of one pattern": lambda: invert_in_pattern(BENT, ON, np.zeros((2, 2)), np.zeros(3)),
    "reach through a last ReLU": lambda: reach(random_chain((3, 2), ("relu",), 0), np.zeros(2)),
    **{
        f"polytopes of {f}": lambda f=f: walk(random_chain((3, 4, 2), (f, "relu"), 0), np.zeros(2), np.zeros(3))
        for f in ("tanh", "selu", "softplus", "sigmoid")
    },
    "polytopes of a linear map": lambda: pattern(random_chain((3, 2), ("identity",), 0), np.zeros(3)),
    **{
        f"pattern {p!r}": lambda p=p: affine_piece(BENT, p)
        for p in (None, ON[:3], ON.astype(int), "1011", ON[None], [True])
    },
    **{
        f"walk over {n!r}": lambda n=n: walk(BENT, np.zeros(2), np.zeros(3), max_patterns=n)
        for n in (0, -1, 1.5, None, "3")
    },
    "a certificate of nothing": lambda: check_infeasible(BENT, ON, np.zeros(2), None),
    **{
        f"{door.__name__}, atol {t!r}": lambda door=door, t=t: door(CHAIN, np.zeros(2), atol=t)
        for door in (reach, trace_back)
        for t in (0, -1, NAN, INF, "1", None, True, [1.0])
    },
    **{f"margin {m!r}": lambda m=m: trace_back(CHAIN, np.zeros(2), margin=m) for m in (-1, NAN, INF, "1", None, True)},
    **{
        f"{door.__name__}, box {box!r}": lambda door=door, box=box: door(CHAIN, np.zeros(2), box)
        for door in (reach, trace_back)
        for box in [(1, 0), (0, 0), (0,), (0, 1, 2), "ab", 3, (0, NAN), (None, 1), ([0, 0], 1), (INF, -INF)]
    },
    "a box for three": lambda: as_box(([0, 0], 1), 3),
    # whole networks
    **{
        f"invert, tolerance {t!r}": lambda t=t: invert(MODEL, TARGETS, IMAGES, tolerance=t, progress=False)
        for t in (-1, NAN, INF, "1", None, True)
    },
    **{
        f"invert, steps {n!r}": lambda n=n: invert(MODEL, TARGETS, IMAGES, max_steps=n, progress=False)
        for n in (-1, 1.5, "1", None, True)
    },
    "more starts than targets": lambda: invert(MODEL, TARGETS, DATA.images[:3], progress=False),
    **{
        f"start {k!r}": lambda k=k: starting_images(MODEL, TARGETS, DATA, k)
        for k in ("noise", "", None, 0, list(STARTS))
    },
    "starts among arrays": lambda: starting_images(MODEL, TARGETS, DATA.images, STARTS[0]),
    **{f"reading {r!r}": lambda r=r: ideal_outputs(np.eye(3), r) for r in ("text", "", None, 0, ["own minima"])},
    "starts of arrays": lambda: ideal_starts(MODEL, DATA.images, OUTPUTS, "own minima"),
    "starts by another network's outputs": lambda: ideal_starts(MODEL, DATA, CONVOLVED, "own minima"),
    "starts of plain outputs": lambda: ideal_starts(MODEL, DATA, OUTPUTS.values, "own minima"),
    **{
        f"{kind.__name__}, {key} {value!r}": lambda kind=kind, key=key, value=value: kind(**{key: value})
        for kind in (Descent, InBox)
        for key, values in {"steps": (0, -1, 1.5, None), "learning_rate": (-1, NAN, "1", None, True)}.items()
        for value in values
    },
    **{f"prior {p!r}": lambda p=p: InBox(p) for p in ("tv", "", None, 0, ["none"])},
    **{f"weight {w!r}": lambda w=w: InBox(weight=w) for w in (-1, NAN, INF, "1", None)},
    "trained by what": lambda: train_input(MODEL, TARGETS, IMAGES, None, progress=False),
    "trained in training mode by what": lambda: train_copies(MODEL, TARGETS[0], IMAGES[0], InBox(), progress=False),
    **{f"{n!r} copies": lambda n=n: copies_in_training_mode(MODEL, IMAGES[0], n) for n in (1, 0, -1, 2.5, "3", None)},
    **{
        f"{door} of {model!r}": lambda door=door, model=model: (MODEL_DOORS | CHAIN_DOORS)[door](model)
        for door in (*MODEL_DOORS, *CHAIN_DOORS)
        for model in (None, "fcnn1", nn.Linear, {"a": 1}, np.tanh)
    },
    # images
    "variation of an oblong": lambda: total_variation(np.ones((2, 5))),
    "frequencies of an oblong": lambda: low_frequency_share(np.eye(5)),
    "frequencies of flat paper": lambda: low_frequency_share(np.ones((2, 4))),
    "nearest of other sizes": lambda: nearest(np.ones((2, 4)), np.ones((2, 5))),
    # invertible networks
    **{f"cosines of {n!r}": lambda n=n: cosine_matrix(n) for n in (0, -1, 1.5, None, "7", True)},
    "slopes of an ordinary network": lambda: jacobians(MODEL, torch.zeros(1, 784)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    assert_refused(REFUSED[what])


COORDINATES = {
    "NaN": (torch.full((1, 10), NAN), torch.zeros(1, 774)),
    "eleven logits": (torch.zeros(1, 11), torch.zeros(1, 774)),
    "ten coordinates": (torch.zeros(1, 10), torch.zeros(1, 10)),
    "other rows": (torch.zeros(2, 10), torch.zeros(1, 774)),
    "an array": (np.zeros((1, 10)), torch.zeros(1, 774)),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("what", COORDINATES)
def test_coordinates_of_no_image(what, training):
    model = marked(ToyCoupling().train(training))
    assert_refused_and_unchanged(model, lambda m: m.invert(*COORDINATES[what]))
    for images in (np.zeros((1, 784)), torch.zeros(1, 783), torch.full((1, 784), NAN)):
        for door in (lambda m, x: m.transform(x), lambda m, x: m(x), jacobians):
            assert_refused_and_unchanged(model, lambda m, door=door, x=images: door(m, x), "images")

"""Every public door, and what may not come through it: one `BadInput`, one line, with a remedy."""

import os
import signal
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("agg")  # no window on any machine
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

import evidence.train.invertible
from vsbook import checks, cli, ledger, plots
from vsbook.checks import BadInput
from vsbook.inversion import layerwise
from vsbook.inversion.chains import Chain
from vsbook.linalg import activations, arrangement, kernels, nullmodel, subspaces
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks import checkpoints, data, layers, models, outputs, training

ROOT = Path(ledger.__file__).parent.parent
S = FourSubspaces.of([[1.0, 2, 3], [4, 5, 6]])
CHAIN = Chain.of(nn.Sequential(nn.Linear(3, 2), nn.LeakyReLU()).eval())
RNG = np.random.default_rng(0)
NAN, INF = float("nan"), float("inf")

# what is no array of finite real numbers, whatever its shape
NO_NUMBERS = {
    "NaN": lambda shape: np.full(shape, NAN),
    "one NaN in float32": lambda shape: np.where(np.arange(np.prod(shape)) == 0, NAN, 1).reshape(shape).astype("f4"),
    "infinity": lambda shape: np.full(shape, -INF),
    "complex": lambda shape: np.ones(shape, complex),
    "strings": lambda shape: np.full(shape, "1"),
    "bytes": lambda shape: np.full(shape, b"1"),
    "objects": lambda shape: np.full(shape, object()),
    "booleans": lambda shape: np.ones(shape, bool),
    "dates": lambda shape: np.full(shape, np.datetime64("2024-01-01")),
    "empty": lambda shape: np.ones((0, *shape[1:])),
    "None": lambda shape: None,
    "a string": lambda shape: "12",
    "a dictionary": lambda shape: {"a": 1},
    "ragged": lambda shape: [[1.0, 2.0], [1.0]],
    "a number": lambda shape: 1.0,
    "a tensor with gradients": lambda shape: torch.ones(shape, requires_grad=True),
    "masked": lambda shape: np.ma.masked_array(np.ones(shape), np.zeros(shape, bool)),
    "wrong shape": lambda shape: np.ones((*shape[:-1], shape[-1] + 1)) if len(shape) == 1 else np.ones((2, 2, 2, 2)),
}

# each door for arrays, and the shape that it takes
ARRAY_DOORS = {
    "FourSubspaces.of": (FourSubspaces.of, (2, 3)),
    "numerical_rank": (subspaces.numerical_rank, (2, 3)),
    "absorb_bias, W": (lambda v: subspaces.absorb_bias(v, [1, 2]), (2, 3)),
    "absorb_bias, bias": (lambda v: subspaces.absorb_bias(np.ones((2, 3)), v), (2,)),
    "project_row": (S.project_row, (3,)),
    "project_null": (S.project_null, (3,)),
    "project_column": (S.project_column, (2,)),
    "project_left_null": (S.project_left_null, (2,)),
    "energy_split": (S.energy_split, (3,)),
    "pinv": (S.pinv, (2,)),
    "neuron_projection, w": (lambda v: subspaces.neuron_projection(v, [1, 2, 3]), (3,)),
    "neuron_projection, x": (lambda v: subspaces.neuron_projection([1, 2, 3], v), (3,)),
    "class_averages, images": (lambda v: data.class_averages(v, np.arange(10)), (10, 784)),
    "class_averages, labels": (lambda v: data.class_averages(np.ones((10, 4)), v), (10,)),
    "logits": (lambda v: outputs.logits(models.create("fcnn1", 0), v), (2, 784)),
    "as_matrix": (checks.as_matrix, (2, 2)),
    "pattern_share": (lambda v: kernels.pattern_share(v, "top row"), (9,)),
    "line_share": (kernels.line_share, (9,)),
    "shuffled_spectra": (lambda v: nullmodel.shuffled_spectra(v, 2, RNG), (2, 3)),
    "spectrum_test": (lambda v: nullmodel.spectrum_test(v, 2, RNG), (2, 3)),
    "spectrum_tests": (lambda v: arrangement.spectrum_tests({"own": v}, 2, RNG, progress=False), (2, 3)),
    "nothing_to_test": (nullmodel.nothing_to_test, (2, 3)),
    "identifiability, one of two": (lambda v: nullmodel.identifiability([v, np.eye(2, 3)]), (2, 3)),
    "Chain": (CHAIN, (3,)),
    "Chain.layer_outputs": (CHAIN.layer_outputs, (3,)),
    "Chain.jacobian": (CHAIN.jacobian, (3,)),
    "invert_layers": (lambda v: layerwise.invert_layers(CHAIN, v), (4, 2)),
    "error_budget": (lambda v: layerwise.error_budget(CHAIN, v), (4, 2)),
}


def assert_one_line(message):
    assert "expected" in message, message
    assert any(word in message for word in (" got ", " found ", " came")), message
    assert ";" in message, "what to do comes after a semicolon: " + message
    assert "\n" not in message


def assert_refused(call):
    with pytest.raises(BadInput) as caught:
        call()
    assert_one_line(str(caught.value))


@pytest.mark.parametrize("what", NO_NUMBERS)
@pytest.mark.parametrize("door", ARRAY_DOORS)
def test_doors_for_arrays(door, what):
    function, shape = ARRAY_DOORS[door]
    assert_refused(lambda: function(NO_NUMBERS[what](shape)))


@pytest.mark.parametrize("door", ARRAY_DOORS)
def test_the_doors_are_open(door):
    """What has the right shape comes in: the refusals above are of the input, not of everything."""
    function, shape = ARRAY_DOORS[door]
    function(np.arange(10) if door == "class_averages, labels" else np.ones(shape))


# those that take any length, or weights of any number of axes
ANY_LENGTH_DOORS = {
    "append_one": (subspaces.append_one, (3,)),
    "sampled_energy_fractions": (lambda v: nullmodel.sampled_energy_fractions(v, 1, 2, RNG), (3,)),
    "draw_image": (lambda v: plots.draw_image(v, plt.figure().add_subplot()), (3,)),
    "draw_spectra": (lambda v: plots.draw_spectra({"one": v}, plt.figure().add_subplot()), (3,)),
    "draw_bars": (lambda v: plots.draw_bars(["a", "b"], {"one": v}, plt.figure().add_subplot(), "y"), (3,)),
    "flattened_kernels": (kernels.flattened_kernels, (4, 2, 3, 3)),
    "im2col": (kernels.im2col, (4, 2, 3, 3)),
    "convolution_matrix": (lambda v: kernels.convolution_matrix(v, 5, 5), (4, 2, 3, 3)),
    "two_level_share": (kernels.two_level_share, (5,)),
    "condition_number": (nullmodel.condition_number, (3,)),
    "sphericity": (nullmodel.sphericity, (3,)),
    "holm": (nullmodel.holm, (3,)),
    "p_value, null": (lambda v: nullmodel.p_value(1.0, v), (3,)),
    "p_value, observed": (lambda v: nullmodel.p_value(v, [1.0, 2.0]), (3,)),
    "Activation": (activations.selu(), (3,)),
    "Activation.derivative": (activations.selu().derivative, (3,)),
    "Activation.inverse": (activations.selu().inverse, (3,)),
}


@pytest.mark.parametrize("what", [w for w in NO_NUMBERS if w != "wrong shape"])
@pytest.mark.parametrize("door", ANY_LENGTH_DOORS)
def test_doors_that_take_any_length(door, what):
    function, shape = ANY_LENGTH_DOORS[door]
    if what == "infinity" and door == "p_value, null":
        assert function(NO_NUMBERS[what](shape)) == 0.25, "a condition number may be infinite"
    elif what == "a number" and door == "p_value, observed":
        assert function(NO_NUMBERS[what](shape)) == 1.0
    elif what == "a number" and door.startswith("Activation"):
        function(NO_NUMBERS[what](shape))
    else:
        assert_refused(lambda: function(NO_NUMBERS[what](shape)))
    plt.close("all")


@pytest.mark.parametrize(
    "door", [d for d in ANY_LENGTH_DOORS if d not in ("draw_bars", "draw_image", "p_value, observed")]
)
def test_the_doors_that_take_any_length_are_open(door):
    """Small probabilities in falling order, all different, are spectra, images, weights and what not."""
    function, shape = ANY_LENGTH_DOORS[door]
    function(np.linspace(0.9, 0.1, int(np.prod(shape))).reshape(shape))
    plt.close("all")


class Silent(nn.Module):
    """No weights."""


def rectified():
    return Chain.of(nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval())


def fit(**changes):
    part = data.Images(np.zeros((4, 784), np.float32), np.arange(4))
    arguments = {
        "model": models.create("fcnn1", 0),
        "split": data.Split(part, part, part),
        "recipe": training.Recipe(epochs=1),
        "seed": 0,
        "progress": False,
    }
    return training.fit(**(arguments | changes))


def images(values, labels):
    part = data.Images(np.asarray(values), np.asarray(labels))
    return data.Split(part, part, part)


CLAIM = ledger.claims()["fcnn1-condition-number"]
READING = ledger.claims()["signal-vectors-decrease"]
EXACT = ledger.claims()["bias-absorbed"]
RUNS = {0: 1.0, 1: 2.0, 2: 3.0}

REFUSED = {
    # numbers
    **{
        f"tol {tol!r}": lambda tol=tol: FourSubspaces.of(np.eye(2), tol)
        for tol in (-1, NAN, INF, "1", 1j, 1 + 0j, [1.0], True, np.array([1.0, 2.0]))
    },
    **{f"split seed {s!r}": lambda s=s: data.mnist_split(s) for s in (None, -1, 1.5, "0", True, 2**70)},
    **{f"create seed {s!r}": lambda s=s: models.create("fcnn1", s) for s in (None, -1, 1.5, "0", 2**70)},
    **{
        f"subspace {n!r} {r!r}": lambda n=n, r=r: nullmodel.random_subspace(n, r, RNG)
        for n, r in [(3, 4), (3, 0), (0, 0), (3.0, 2), (3, "2"), (None, 1), (3, NAN)]
    },
    "law of everything": lambda: nullmodel.energy_fraction_law(3, 3),
    "law of nothing": lambda: nullmodel.energy_fraction_law(3, 0),
    "subspace without generator": lambda: nullmodel.random_subspace(3, 2, None),
    "subspace with a seed": lambda: nullmodel.random_subspace(3, 2, 0),
    "fractions with a seed": lambda: nullmodel.sampled_energy_fractions(np.eye(3), 2, 2, 0),
    "fractions, no draws": lambda: nullmodel.sampled_energy_fractions(np.eye(3), 2, 0, RNG),
    "fractions of blanks": lambda: nullmodel.sampled_energy_fractions(np.zeros((3, 3)), 2, 2, RNG),
    "fractions, r too large": lambda: nullmodel.sampled_energy_fractions(np.eye(3), 4, 2, RNG),
    **{
        f"spectra {shape!r} {sd!r} {draws!r}": lambda a=(shape, sd, draws): nullmodel.sampled_spectra(*a, RNG)
        for shape, sd, draws in [
            *[((2,), 1, 1), (4, 1, 1), ("ab", 1, 1), ((0, 2), 1, 1), ((2, 2), -1, 1)],
            *[((2, 2), NAN, 1), ((2, 2), "1", 1), ((2, 2), 1, 0), ((2, 2), 1, 1.5), ((2.0, 2), 1, 1)],
        ]
    },
    "spectra with a seed": lambda: nullmodel.sampled_spectra((2, 2), 1.0, 1, 0),
    "edges of a row": lambda: nullmodel.marchenko_pastur_edges((3,), 1.0),
    "edges, negative": lambda: nullmodel.marchenko_pastur_edges((3, -3), 1.0),
    "edges, sd": lambda: nullmodel.marchenko_pastur_edges((3, 3), INF),
    # kernels
    **{
        f"{view.__name__} of shape {shape}": lambda view=view, shape=shape: view(np.ones(shape))
        for view in (kernels.flattened_kernels, kernels.im2col)
        for shape in ((3,), (3, 3))
    },
    **{
        f"a convolution, {key} {value!r}": lambda key=key, value=value: kernels.convolution_matrix(
            **({"weight": np.ones((1, 1, 2, 2)), "height": 3, "width": 3} | {key: value})
        )
        for key, values in {
            **{key: [0, -1, 1.5, "3", None, True, NAN] for key in ("height", "width", "stride")},
            "padding": [-1, 0.5, "1", None, False],
        }.items()
        for value in values
    },
    **{
        f"a convolution of shape {s}": lambda s=s: kernels.convolution_matrix(np.ones(s), 3, 3)
        for s in ((1, 2, 2), (1, 1, 1, 2, 2), (1, 1, 4, 2), (1, 1, 2, 4))
    },
    **{
        f"pattern {p!r}": lambda p=p: kernels.pattern_share(np.ones(9), p)
        for p in ("a nose", "", None, 0, ["top row"], "Top row")
    },
    "share of a square": lambda: kernels.pattern_share(np.ones((3, 3)), "top row"),
    "share of a blank kernel": lambda: kernels.pattern_share(np.zeros(9), "top row"),
    "best line of a blank kernel": lambda: kernels.line_share(np.eye(9)[:3] * [[0], [1], [1]]),
    "levels of equal pixels": lambda: kernels.two_level_share([0.1] * 3),
    "levels of one pixel": lambda: kernels.two_level_share([1.0]),
    # nulls and tests
    **{
        f"bases {n!r} {draws!r}": lambda n=n, draws=draws: nullmodel.sampled_bases(n, draws, RNG)
        for n, draws in [
            *[(0, 1), (-1, 1), (1.5, 1), ("3", 1), (None, 1), (True, 1)],
            *[(3, 0), (3, 1.5), (3, None), (1, 0), (1, None), (1, "2")],
        ]
    },
    **{
        f"{name} with {g!r} for a generator": lambda door=door, g=g: door(g)
        for name, door in {
            "bases": lambda g: nullmodel.sampled_bases(3, 2, g),
            "bases of a line": lambda g: nullmodel.sampled_bases(1, 2, g),
            "shuffled": lambda g: nullmodel.shuffled_spectra(np.eye(3), 2, g),
            "spectrum test": lambda g: nullmodel.spectrum_test(np.eye(3), 2, g),
            "spectrum tests": lambda g: arrangement.spectrum_tests({"own": np.eye(3)}, 2, g, progress=False),
        }.items()
        for g in (None, 0, np.random)
    },
    **{
        f"{door.__name__}, draws {draws!r}": lambda door=door, draws=draws: door(np.eye(3), draws, RNG)
        for door in (nullmodel.shuffled_spectra, nullmodel.spectrum_test)
        for draws in (0, -1, 1.5, "9", None, True)
    },
    **{
        f"statistic {s!r}": lambda s=s: nullmodel.spectrum_test(np.eye(3), 2, RNG, s)
        for s in ("mean", "", None, 0, ["sphericity"])
    },
    "test of a row": lambda: nullmodel.spectrum_test([[1.0, 2.0]], 2, RNG),
    "test of a column": lambda: nullmodel.spectrum_test([[1.0], [2.0]], 2, RNG),
    "test of zeros": lambda: nullmodel.spectrum_test(np.zeros((3, 3)), 2, RNG),
    **{
        f"{door.__name__} of {spectrum}": lambda door=door, spectrum=spectrum: door(spectrum)
        for door in (nullmodel.condition_number, nullmodel.sphericity)
        for spectrum in ([1, 2], [2, -1], [0, 0], [[2, 1], [1, 2]])
    },
    **{
        f"p-value of {o!r} in {null}": lambda o=o, null=null: nullmodel.p_value(o, null)
        for o, null in [
            *[(NAN, [1.0]), (None, [1.0]), ("1", [1.0]), (True, [1.0]), (1j, [1.0]), ([1.0], [1.0])],
            *[(1.0, []), (1.0, [[1.0]]), (1.0, 1.0), (1.0, [1.0, NAN]), (1.0, [1.0, None]), (NAN, [NAN])],
        ]
    },
    **{
        f"holm {p!r}": lambda p=p: nullmodel.holm(p)
        for p in ([0.5, 1.1], [-0.1, 0.5], [[0.5]], [0.5, NAN], [], None, 0.5, "0.5")
    },
    **{
        f"identifiability of {name}": lambda matrices=matrices: nullmodel.identifiability(matrices)
        for name, matrices in {
            **{"nothing": None, "a number": 3, "a string": "ab", "no matrices": [], "one": [np.eye(2)]},
            **{"two shapes": [np.eye(2), np.eye(3)], "a transpose": [np.ones((2, 3)), np.ones((3, 2))]},
            **{"rows": [np.ones((1, 3))] * 2, "columns": [np.ones((3, 1))] * 2, "a matrix": np.eye(3)},
            **{"NaN": [np.eye(2), np.full((2, 2), NAN)], "zeros": [np.eye(2), np.zeros((2, 2))]},
        }.items()
    },
    # neurons and labels
    "a silent neuron": lambda: subspaces.neuron_projection([0, 0], [1, 2]),
    "a blank image": lambda: subspaces.neuron_projection([1, 0], [[1, 2], [0, 0]]),
    "two neurons": lambda: subspaces.neuron_projection(np.eye(2), [1, 2]),
    "two biases": lambda: subspaces.absorb_bias(np.eye(2), np.eye(2)),
    "a missing digit": lambda: data.class_averages(np.ones((9, 4)), np.arange(9)),
    "a digit too many": lambda: data.class_averages(np.ones((11, 4)), np.arange(11)),
    "half a digit": lambda: data.class_averages(np.ones((11, 4)), [*range(10), 0.5]),
    "class 10": lambda: data.mnist().test.of_class(10),
    "class '1'": lambda: data.mnist().test.of_class("1"),
    "labels left over": lambda: data.Images(np.zeros((2, 784)), np.zeros(3)),
    **{f"MNIST in {f!r}": lambda f=f: data.mnist(f) for f in ("/nowhere", None, Path("/"), 3, ["a"])},
    # networks and layers
    **{f"network {n!r}": lambda n=n: models.create(n, 0) for n in ("vgg", "", None, 3, ["fcnn1"], {}, np.ones(2))},
    **{f"load {n!r}": lambda n=n: checkpoints.load(n) for n in ("vgg", None, ["fcnn1"], "../fcnn1")},
    **{
        f"kernels of {run!r} {seed!r}": lambda run=run, seed=seed: checkpoints.load_kernels(run, seed)
        for run, seed in [
            *[("vgg", 0), ("fcnn1", 0), (None, 0), (["resnet18"], 0), ("../resnet18", 0), ("", 0)],
            *[("resnet18", s) for s in (-1, 3, None, "0", 1.5, True)],
        ]
    },
    **{
        f"checkpoint at {p!r}": lambda p=p: checkpoints.load_checkpoint(p)
        for p in (None, 3, "/nowhere", "/", b"\0", "x" * 300)
    },
    **{f"weights of {m!r}": lambda m=m: layers.named_weights(m) for m in (None, "fcnn1", nn.Linear, {"a": 1})},
    "an unknown layer": lambda: layers.named_weights(models.create("fcnn1", 0))["layer2"],
    "layer None": lambda: layers.named_weights(models.create("fcnn1", 0))[None],
    "layer [0]": lambda: layers.named_weights(models.create("fcnn1", 0))[[0]],
    **{
        f"capture {names!r}": lambda names=names: layers.capture(models.create("fcnn1", 0), names).__enter__()
        for names in (["layer2"], "layer1", None, 3, [None], [["layer1"]])
    },
    "a sum that overflows": lambda: FourSubspaces.of(np.full((4, 4), 1.7e308)),
    "a preimage that overflows": lambda: FourSubspaces.of(np.full((2, 2), 1e-310)).pinv([1.0, 1.0]),
    "capture of nothing": lambda: layers.capture(None, ["layer1"]).__enter__(),
    # inverse maps
    **{
        f"{make.__name__} {value!r}": lambda make=make, value=value: make(value)
        for make in (activations.elu, activations.leaky_relu, activations.softplus)
        for value in (0, -1, NAN, INF, "1", None, True, [1.0])
    },
    "elu, scale 0": lambda: activations.elu(1.0, 0),
    "elu of a range beyond float64": lambda: activations.elu(1e200, 1e200),
    "an inverse of ReLU": lambda: activations.relu().inverse([1.0]),
    "an inverse beyond float64": lambda: activations.leaky_relu(0.1).inverse(-1.7e308),
    **{f"a chain of {m!r}": lambda m=m: Chain.of(m) for m in (None, "fcnn1", nn.Linear, [nn.Linear(3, 2)])},
    "a chain of ResNet18": lambda: Chain.of(models.create("resnet18", 0).eval()),
    "a chain in training mode": lambda: Chain.of(models.create("fcnn1", 0).train()),
    "a chain of nothing": lambda: Chain.of(nn.Sequential()),
    **{
        f"{door.__name__} of {chain!r}": lambda door=door, chain=chain: door(chain, [1.0, 1.0])
        for door in (layerwise.invert_layers, layerwise.error_budget)
        for chain in (None, "fcnn1", nn.Linear(3, 2))
    },
    "equation (5) through ReLU": lambda: layerwise.invert_layers(rectified(), [1.0, 1.0]),
    "a budget through ReLU": lambda: layerwise.error_budget(rectified(), [1.0, 1.0]),
    **{
        f"tolerance {t!r}": lambda t=t: layerwise.invert_layers(CHAIN, [1.0, 1.0], tolerance=t)
        for t in (-1, NAN, INF, "1", None, True)
    },
    **{
        f"precision {p!r}": lambda p=p: layerwise.invert_layers(CHAIN, [1.0, 1.0], precision=p)
        for p in ("float16", "", None, np.float32, ["float32"])
    },
    "float32 overflows": lambda: layerwise.invert_layers(CHAIN, [1e39, 1e39], precision="float32"),
    # training
    **{
        f"recipe {change}": lambda change=change: training.Recipe(**change)
        for change in [
            *[{"learning_rate": -1}, {"learning_rate": NAN}, {"learning_rate": "1"}, {"momentum": -0.1}],
            *[{"batch_size": 0}, {"batch_size": 1.5}, {"epochs": 0}, {"epochs": None}],
        ]
    },
    "replaced recipe": lambda: replace(training.PAPER, epochs=-1),
    **{
        f"fit {key} {value!r}": lambda key=key, value=value: fit(**{key: value})
        for key, value in [
            *[("model", None), ("model", Silent()), ("split", None), ("recipe", {}), ("seed", None)],
            *[("seed", -1), ("state", Path("/")), ("model", nn.Linear(7, 10)), ("model", nn.Linear(784, 3))],
        ]
    },
    "fit NaN": lambda: fit(split=images(np.full((3, 784), NAN), [0, 1, 2])),
    "fit nothing": lambda: fit(split=images(np.ones((0, 784)), np.zeros(0, int))),
    "fit other labels": lambda: fit(split=images(np.ones((2, 784)), [0, 10])),
    "fit negative labels": lambda: fit(split=images(np.ones((2, 784)), [0, -1])),
    "logits of nothing": lambda: outputs.logits(None, np.ones((2, 784))),
    "logits without weights": lambda: outputs.logits(Silent(), np.ones((2, 784))),
    "evaluate arrays": lambda: training.evaluate(models.create("fcnn1", 0), np.ones((2, 784))),
    "save nothing": lambda: checkpoints.save_checkpoint("/tmp/x", None, {}),
    "save a header of numbers": lambda: checkpoints.save_checkpoint("/tmp/x", models.create("fcnn1", 0), {"seed": 0}),
    "save without header": lambda: checkpoints.save_checkpoint("/tmp/x", models.create("fcnn1", 0), None),
    "save where nothing can be": lambda: checkpoints.save_checkpoint("/dev/null/x", models.create("fcnn1", 0), {}),
    # the ledger
    **{
        f"{door.__name__} {claim!r}": lambda door=door, claim=claim: door(claim)
        for door in (ledger.result, ledger.verdict, ledger.measured)
        for claim in ("nope", "", None, 3, ["a"])
    },
    **{f"observation {name!r}": lambda name=name: ledger.observation(name) for name in ("nope", "", None, 3, ["a"])},
    **{
        f"interval {v!r}": lambda v=v: ledger.prediction_interval(v)
        for v in ([], [1.0, 2.0], [1.0, 2.0, NAN], ["a", "b", "c"], None, 3, np.ones((3, 3)), [None] * 3)
    },
    "judge two seeds": lambda: ledger.judge(CLAIM, {0: 7.2, 1: 7.3}, {"runs": RUNS}),
    "judge two seeds, exact": lambda: ledger.judge(EXACT, {0: 0.0, 1: 0.0}, {"runs": RUNS}),
    "judge NaN": lambda: ledger.judge(EXACT, RUNS | {2: NAN}, {"runs": RUNS}),
    "judge without control": lambda: ledger.judge(EXACT, RUNS, {}),
    "judge without null": lambda: ledger.judge(READING, RUNS, {"mean": 1.0}),
    "judge by another rule": lambda: ledger.judge(replace(CLAIM, rule={"kind": "vote"}), RUNS, {}),
    "judge on no side": lambda: ledger.judge(
        replace(CLAIM, rule={"kind": "reading", "side": "beside", "bound": 1}), RUNS, {}
    ),
    "record what nobody claimed": lambda: ledger.record("nope", None, "", ROOT),
    # pictures
    "an oblong image": lambda: plots.draw_image(np.ones(783), None),
    "bars without names": lambda: plots.draw_bars(["a"], {"x": [1.0, 2.0]}, plt.figure().add_subplot(), "y"),
    "rows without axes": lambda: plots.draw_image_rows({"x": np.ones((3, 4))}, plt.figure().subplots(1, 2)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what):
    assert_refused(REFUSED[what])
    plt.close("all")


def test_pictures_of_what_is_right():
    """The doors of `plots` are open, and what is drawn is what came."""
    figure, axes = plt.subplots(2, 3)
    rows = {"ink": np.ones((3, 9)), "signed": -np.eye(9)[:3]}
    assert plots.draw_image_rows(rows, axes, ["a", "b", "c"]) is axes
    np.testing.assert_array_equal(axes[1, 2].images[0].get_array(), -np.eye(9)[2].reshape(3, 3))
    assert axes[1, 2].images[0].get_clim() == (-1, 1)
    assert axes[0, 0].images[0].get_clim() == (0, 1)
    ax = figure.add_subplot()
    assert plots.draw_image(np.zeros(4), ax) is ax
    assert plots.draw_image(np.eye(28), ax) is ax
    figure.canvas.draw()
    plt.close("all")
    ax = plots.draw_spectra({"s": [3.0, 2.0]}, plt.figure().add_subplot())
    assert ax.lines[0].get_xydata().tolist() == [[1, 3], [2, 2]]
    ax = plots.draw_bars(["a", "b"], {"x": [1, 2], "y": [3, 4]}, plt.figure().add_subplot(), "y", {"limit": 2.5})
    assert [bar.get_height() for bar in ax.patches] == [1, 2, 3, 4]
    texts = [t.get_text() for t in plots.draw_big_picture(S, plt.figure().add_subplot()).texts]
    assert [t.split()[-1] for t in texts if "dim" in t] == ["2", "1", "2", "0"]
    plt.close("all")


def test_a_null_shows_its_values_and_each_name_once():
    ax = plots.draw_null(np.arange(100.0), {"one": [3.0], "seeds": [1.0, 2.0]}, plt.figure().add_subplot(), "x")
    assert [line.get_xdata()[0] for line in ax.lines] == [3.0, 1.0, 2.0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "seeds"]


def test_column_pairs_keep_lengths_and_angles():
    """The first column to the right; the second has its length, and its inner product with the first."""
    pairs = np.random.default_rng(0).standard_normal((5, 7, 2))
    first, second = plots.draw_column_pairs(pairs, plt.figure().add_subplot()).collections
    tips = np.stack([first.U, first.V], axis=1), np.stack([second.U, second.V], axis=1)
    np.testing.assert_allclose(tips[0][:, 1], 0, atol=1e-12)
    for k in (0, 1):
        np.testing.assert_allclose(np.linalg.norm(tips[k], axis=1), np.linalg.norm(pairs[:, :, k], axis=1))
    np.testing.assert_allclose((tips[0] * tips[1]).sum(axis=1), (pairs[:, :, 0] * pairs[:, :, 1]).sum(axis=1))
    assert (tips[0][:, 0] > 0).all()
    assert (tips[1][:, 1] > 0).all()


# the command line


def vsbook(*arguments, folder, stdout=subprocess.PIPE, **environment):
    """Run it as a user does: exit status, stdout, stderr."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")} | environment
    command = [sys.executable, "-m", "vsbook", *arguments]
    pipes = {"stdout": stdout, "stderr": subprocess.PIPE}
    return subprocess.run(command, cwd=folder, env=environment, text=True, timeout=120, **pipes)


WRONG = {
    "unknown network": ["train", "nope"],
    "unknown claim": ["ledger", "nope"],
    "empty claim": ["ledger", ""],
    "negative seed": ["train", "fcnn1", "--seed", "-1"],
    "seed of 23 digits": ["train", "fcnn1", "--seed", "12345678901234567890123"],
    "epochs of 23 digits": ["train", "fcnn1", "--epochs", "12345678901234567890123"],
    "a network of another recipe": ["train", "invertible"],
    "a small network of another recipe": ["train", "invertible_toy"],
    "seed in words": ["train", "fcnn1", "--seed", "one"],
    "no epochs": ["train", "fcnn1", "--epochs", "0"],
    "unknown command": ["fly"],
    "unknown option": ["ledger", "--nope"],
    "network missing": ["train"],
    "output exists": ["train", "fcnn1", "--output", "here.safetensors"],
    "output is a folder": ["train", "fcnn1", "--output", "folder"],
    "output below a file": ["train", "fcnn1", "--output", "here.safetensors/x.safetensors"],
    "output with a long name": ["train", "fcnn1", "--output", "x" * 300],
    "output where nothing can be": ["train", "fcnn1", "--output", "/proc/nowhere/x.safetensors"],
}


@pytest.mark.parametrize("what", WRONG)
def test_the_command_line_prints_one_line_and_exits_with_2(tmp_path, what):
    (tmp_path / "here.safetensors").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    done = vsbook(*WRONG[what], folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert (tmp_path / "here.safetensors").read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "here.safetensors"]


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path):
    done = vsbook("train", "fcnn1", "--epochs", "1", folder=tmp_path, XDG_CACHE_HOME="/dev/null")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("make it writable, or on Linux name another with XDG_CACHE_HOME\n")
    assert list(tmp_path.iterdir()) == []


def test_the_refusals_say_what_would_do(tmp_path):
    """The largest seed; and the name, the recipe and the trained weights of a network of another recipe."""
    said = vsbook(*WRONG["seed of 23 digits"], folder=tmp_path).stderr
    assert str(2**63 - 1) in said
    models.create("fcnn1", 2**63 - 1)
    said = vsbook("train", "invertible", folder=tmp_path).stderr
    assert "vsbook.networks.load('invertible') has it trained" in said
    assert "evidence/train/invertible.py" in said
    assert (ROOT / "evidence" / "train" / "invertible.py").is_file()


def test_the_command_trains_what_the_papers_recipe_trains(tmp_path):
    """All networks but those of `evidence.train.invertible`, each named by the help."""
    others = {network for network, _ in evidence.train.invertible.TRAINED.values()}
    assert set(cli.PAPERS) == set(models.NETWORKS) - others
    said = vsbook("train", "--help", folder=tmp_path, COLUMNS="200").stdout
    assert all(network in said for network in cli.PAPERS)


def entry() -> list[str]:
    """The installed command, as its script calls it."""
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["vsbook"]
    return [sys.executable, "-X", "importtime", "-c", "from {} import {} as main; main()".format(*script.split(":"))]


@pytest.mark.parametrize(
    ("arguments", "module"), [(["ledger"], "numpy._core.multiarray"), (["train", "fcnn1"], "torch.version")]
)
def test_ctrl_c_while_libraries_are_imported_is_no_traceback(tmp_path, arguments, module):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*entry(), *arguments], cwd=tmp_path, env=environment, **pipes) as process:
        while not process.stderr.readline().endswith(f" {module}\n"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert all(line.startswith("import time:") for line in err.splitlines())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("claim", [[], ["fcnn1-condition-number"]], ids=["all", "one"])
def test_a_full_disk_is_one_line(tmp_path, claim):
    with open("/dev/full", "w") as full:
        done = vsbook("ledger", *claim, folder=tmp_path, stdout=full)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert "No space left" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["ledger", "--help"]], ids=" ".join)
def test_help_is_no_error(tmp_path, arguments):
    done = vsbook(*arguments, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout


def test_the_ledger_on_the_command_line(tmp_path):
    done = vsbook("ledger", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    first_lines = [line.split(": ")[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert first_lines == list(ledger.claims())
    one = vsbook("ledger", "fcnn1-condition-number", folder=tmp_path)
    assert f"fcnn1-condition-number: {ledger.verdict('fcnn1-condition-number')}" in one.stdout
    assert "stated 7.22; measured" in one.stdout


# the import


def test_the_import_loads_neither_torch_nor_matplotlib():
    code = "import sys, vsbook; print([m for m in ('torch', 'matplotlib', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.stdout.strip() == b"[]", done.stderr


@pytest.mark.parametrize("rooms", ["checks", "linalg"])
def test_the_numpy_rooms_load_no_torch(rooms):
    code = f"import sys; from vsbook.{rooms} import *; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.stdout.strip() == b"[]", done.stderr


def test_the_import_takes_no_time():
    """It loads a single module, and reads nothing but that."""
    code = "import sys; before = set(sys.modules); import vsbook; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.stdout.strip() == b"['vsbook']", done.stderr

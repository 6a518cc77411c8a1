"""Equation (5) on real outputs and on ideal ones: what section 2.4 says of inverse maps, one function a claim."""

import functools
from collections import Counter

import numpy as np
import scipy
import torch

from evidence.common import (
    QUARTILES,
    Control,
    exact,
    inputs,
    measures,
    per_seed,
    relative,
    said_in_training,
    sample,
    seeds,
)
from evidence.networks import checkpoint_path, observation_path, trained
from evidence.observe import whole_inverse
from evidence.observe.invertible import coordinates, network_of, pictures
from evidence.observe.reachable import BOXES, NETWORKS
from evidence.train.invertible import SEEDS
from vsbook.inversion.chains import Chain
from vsbook.inversion.ideal import READINGS, ideal_outputs
from vsbook.inversion.layerwise import LayerwiseInverse, invert_layers
from vsbook.inversion.polytopes import EXACT
from vsbook.inversion.starts import STARTS
from vsbook.ledger import Measurement, observation
from vsbook.linalg.activations import selu
from vsbook.linalg.lengths import relative_lengths
from vsbook.networks.data import mnist

PAIR = ["fcnn1", "fcnn5"]
TWINS = ["fcnn5_leaky_relu", "fcnn5_tanh"]
ALL = [*PAIR, *TWINS]
COUPLINGS = [checkpoint_path("invertible", seed) for seed in SEEDS]  # invertible by construction
FEWER = 200  # test images for the couplings: what they show is rounding
EVERY_OUTPUT = "the twin with leaky ReLU, whose range is all of R"


@functools.cache
def chain(name: str, seed: int) -> Chain:
    """A trained network in float64, whose layers are factored once."""
    return Chain.of(trained(name, seed))


@functools.cache
def inverse_of_sample(name: str, seed: int, precision: str = "float64") -> LayerwiseInverse:
    """Equation (5) on the outputs of the first 1000 test images."""
    network = chain(name, seed)
    return invert_layers(network, network(sample()), precision=precision)


def summary(found: LayerwiseInverse) -> dict:
    """What the records of many outputs have in common."""
    return {
        "in range": found.in_range.mean(),
        "reproduced": found.exact.mean(),
        "mean number of values outside, by layer": found.outside.mean(axis=0),
        "median depth of the farthest, by layer": np.median(found.depth, axis=0),
        # below the tolerance it is rounding, which differs from machine to machine
        "quartiles of the forward error": np.quantile(np.maximum(found.forward_error, found.tolerance), QUARTILES),
        "condition numbers": found.condition_numbers,
    }


def summaries(name: str) -> dict[int, dict]:
    """By seed."""
    return per_seed(lambda seed: summary(inverse_of_sample(name, seed)), name)


def shares(name: str, kind: str, precision: str = "float64") -> dict[int, float]:
    """By seed the share of test outputs that are 'in_range' at every layer, or 'exact': given again."""
    return per_seed(lambda seed: getattr(inverse_of_sample(name, seed, precision), kind).mean(), name)


@measures("selu-tanh-sigmoid-invert-any-output")
def selu_tanh_sigmoid_invert_any_output() -> Measurement:
    return Measurement(
        "share of test outputs with an inverse at every layer of FCNN5",
        shares("fcnn5", "in_range"),
        Control.same(EVERY_OUTPUT, shares(TWINS[0], "in_range")),
        {name: summaries(name) for name in ALL},
        inputs(*ALL),
    )


@measures("layerwise-inversion-through-layers")
def layerwise_inversion_through_layers() -> Measurement:
    return Measurement(
        "share of test outputs that FCNN5 gives again",
        shares("fcnn5", "exact"),
        Control.same(EVERY_OUTPUT, shares(TWINS[0], "exact")),
        {
            "in float32": {name: shares(name, "exact", "float32") for name in ALL},
            "on ideal outputs": {
                precision: {name: on_ideal_outputs(name, precision) for name in ALL}
                for precision in ("float64", "float32")
            },
            "reachable": reachable(),
            "float32 outputs of fcnn1 without an inverse": _without_inverse(),
            "length over the image's, median": {name: list(median_lengths(name).values()) for name in ALL},
        },
        [*inputs(*ALL), observation_path("reachable")],
    )


def _without_inverse() -> dict[str, list[int]]:
    """By seed how many of FCNN1's outputs float32 rounds onto the end of SELU's range, where nothing lies."""
    end = np.float32(selu().low)

    def count(seed):
        test = chain("fcnn1", seed)(mnist().test.images)  # in float64: which are rounded so is the same everywhere
        asked = {"test images": test, "ideal outputs": ideal("fcnn1", seed)}
        return {name: int((rows.astype(np.float32) <= end).any(axis=1).sum()) for name, rows in asked.items()}

    found = [count(seed) for seed in whole_inverse.SEEDS]
    return {name: [entry[name] for entry in found] for name in found[0]}


def median_lengths(name: str) -> dict[int, float]:
    """By seed how long the recovered images are beside the test images."""
    return per_seed(lambda seed: np.median(relative_lengths(inverse_of_sample(name, seed).images, sample())), name)


@functools.cache
def ideal(name: str, seed: int) -> np.ndarray:
    """(10, 10) the ideal outputs in the paper's reading."""
    return ideal_outputs(said_in_training(name, seed).values, READINGS[0])


def on_ideal_outputs(name: str, precision: str) -> dict[int, float]:
    """By seed the share of the ten ideal outputs that the network gives again for the image of equation (5)."""

    def share(seed):
        return invert_layers(chain(name, seed), ideal(name, seed), precision=precision).exact.mean()

    return per_seed(share, name)


def reachable() -> dict:
    """How often the survey answered yes, no or undecided: by network, outputs asked for, and pixels allowed."""
    entries = observation("reachable").values()

    def answers(name, wanted, label):
        found = (Counter(entry[wanted][label]["answers"]) for entry in entries if entry["network"] == name)
        return dict(sum(found, Counter()))

    kinds = ("paper", "code", "real", "far")
    return {name: {kind: {label: answers(name, kind, label) for label in BOXES} for kind in kinds} for name in NETWORKS}


@measures("layerwise-inversion")
@exact("relative difference of the recovered image from the signal part", "with outputs moved by 1e-3")
def layerwise_inversion(seed: int, spoil: bool) -> float:
    network = chain("fcnn1", seed)
    outputs = network(sample())
    recovered = invert_layers(network, outputs + (1e-3 if spoil else 0)).images
    signal = network.steps[0].subspaces.project_row(sample())
    return relative(recovered - signal, signal)


def _recovery(name: str, seed: int) -> np.ndarray:
    """(1000,) how far each recovered image lies from the test image, over that one's length."""
    x = sample()
    return relative_lengths(inverse_of_sample(name, seed).images - x, x)


@measures("two-invertible-networks")
def two_invertible_networks() -> Measurement:
    one, five = (shares(name, "exact") for name in PAIR)
    return Measurement(
        "share of test outputs that a network gives again, the smaller of two networks'",
        {seed: min(one[seed], five[seed]) for seed in five},
        Control.same(EVERY_OUTPUT, shares(TWINS[0], "exact")),
        {
            "of FCNN1": list(one.values()),
            "distance from the image over its length, quartiles": {
                name: {seed: np.quantile(_recovery(name, seed), QUARTILES) for seed in seeds(name)} for name in PAIR
            },
            "the same of a map from 784 to 784 that is invertible by construction, at most": max(
                _to_bound(1e-6, there_and_back(seed, torch.float64)[0]) for seed in SEEDS
            ),
        },
        [*inputs(*PAIR, TWINS[0]), *COUPLINGS],
    )


@measures("outputs-backproject-easily")
def outputs_backproject_easily() -> Measurement:
    errors = per_seed(lambda seed: inverse_of_sample("fcnn5", seed, "float32").forward_error, range(5))
    return Measurement(
        "relative error of the output after the way back and forth, float32, median",
        {seed: np.median(values) for seed, values in errors.items()},
        Control.same(
            "the round trip of a network that is invertible by construction, float32, median; below a thousandth it is "
            "rounding, and recorded as that",
            per_seed(lambda seed: _to_bound(1e-3, there_and_back(seed, torch.float32)[1]), SEEDS),
        ),
        {"quartiles": {seed: np.quantile(values, QUARTILES) for seed, values in errors.items()}},
        [*inputs("fcnn5"), *COUPLINGS],
    )


def _to_bound(bound: float, errors: np.ndarray) -> float:
    """The median of errors that are nothing but rounding, or the bound where they keep it."""
    return max(float(np.median(errors)), bound)


def there_and_back(seed: int, dtype: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    """(200,) twice, of the coupling network: error of the image and of the output that the image has, relative."""
    model, x = network_of("invertible", seed).to(dtype), sample()[:FEWER]
    outputs = coordinates(model, x)
    back = pictures(model, *outputs)
    again = coordinates(model, back)
    pairs = (back, x), (np.hstack(again), np.hstack(outputs))
    return tuple(np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1) for a, b in pairs)


def _only_one(pair: dict) -> list[int]:
    """How many outputs the walk alone reaches, and how many Gauss-Newton alone."""
    walk, newton = (set(pair[f"missed by {method}"]) for method in ("the walk", "Gauss-Newton"))
    return [len(newton - walk), len(walk - newton)]


@measures("relu-needs-polytopes")
def relu_needs_polytopes() -> Measurement:
    found, networks = observation("whole-inverse"), (*whole_inverse.SMOOTH, whole_inverse.RELU)
    assert whole_inverse.GOAL >= EXACT, "a walk that converged must count as found"
    paired = per_seed(lambda seed: found[f"pairs, {STARTS[0]}, seed {seed}"], whole_inverse.SEEDS)

    def reached(method):
        return per_seed(lambda seed: 1 - len(paired[seed][f"missed by {method}"]) / whole_inverse.PAIRED, paired)

    alone = [_only_one(pair) for pair in paired.values()]
    either = np.sum(alone, axis=0)

    read = [checkpoint_path(name, seed) for name in networks for seed in whole_inverse.SEEDS]
    named = (f"walk, {STARTS[0]}, seed 0", f"{whole_inverse.RESNET}, {STARTS[0]}, seed 0")  # in the chapter's text
    return Measurement(
        "share of test outputs that a walk over polytopes reaches",
        reached("the walk"),
        Control.same("Gauss-Newton, from the same starts", reached("Gauss-Newton")),
        {
            "reached by the walk alone, by Gauss-Newton alone": alone,
            "McNemar's p-value, all seeds": scipy.stats.binomtest(int(either[0]), int(either.sum())).pvalue,
            **{key: found[key] for key in named},
        },
        [observation_path("whole-inverse"), checkpoint_path(whole_inverse.RESNET, 0), *read],
    )

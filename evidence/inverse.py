"""Equation (5) on real outputs and on ideal ones: what section 2.4 says of inverse maps, one function a claim."""

import functools
import json
from collections import Counter

import numpy as np
import torch

from evidence.common import exact, inputs, measures, relative, sample, seeds
from evidence.coupling import SEEDS, coordinates, network_of, pictures
from evidence.networks import checkpoint_path, trained
from evidence.reachable import BOXES, NETWORKS, OBSERVATIONS
from vsbook.inversion.chains import Chain
from vsbook.inversion.ideal import READINGS, ideal_outputs
from vsbook.inversion.layerwise import LayerwiseInverse, invert_layers
from vsbook.ledger import Measurement, claims
from vsbook.networks.data import mnist_split

PAIR = ["fcnn1", "fcnn5"]
TWINS = ["fcnn5_leaky_relu", "fcnn5_tanh"]
COUPLINGS = [checkpoint_path("invertible", seed) for seed in SEEDS]  # invertible by construction
QUARTILES = [0.25, 0.5, 0.75]


def chain(name: str, seed: int) -> Chain:
    """A trained network in float64."""
    return Chain.of(trained(name, seed))


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


def _summaries(*names: str) -> dict:
    return {name: {seed: summary(inverse_of_sample(name, seed)) for seed in seeds(name)} for name in names}


@measures("selu-tanh-sigmoid-invert-any-output")
def selu_tanh_sigmoid_invert_any_output() -> Measurement:
    return Measurement(
        "share of test outputs with an inverse at every layer of FCNN5",
        {seed: inverse_of_sample("fcnn5", seed).in_range.mean() for seed in seeds("fcnn5")},
        {
            "what": "the twin with leaky ReLU, whose range is all of R",
            "runs": {s: inverse_of_sample(TWINS[0], s).in_range.mean() for s in seeds(TWINS[0])},
        },
        _summaries(*PAIR, *TWINS),
        inputs(*PAIR, *TWINS),
    )


@measures("layerwise-inversion-through-layers")
def layerwise_inversion_through_layers() -> Measurement:
    return Measurement(
        "share of test outputs that FCNN5 gives again",
        {seed: inverse_of_sample("fcnn5", seed).exact.mean() for seed in seeds("fcnn5")},
        {
            "what": "the twin with leaky ReLU, whose range is all of R",
            "runs": {s: inverse_of_sample(TWINS[0], s).exact.mean() for s in seeds(TWINS[0])},
        },
        {
            "in float32": {
                name: {s: inverse_of_sample(name, s, "float32").exact.mean() for s in seeds(name)}
                for name in (*PAIR, *TWINS)
            },
            "on ideal outputs": {
                precision: {
                    name: {s: on_ideal_outputs(name, s, precision) for s in seeds(name)} for name in (*PAIR, *TWINS)
                }
                for precision in ("float64", "float32")
            },
            "reachable": reachable(),
        },
        [*inputs(*PAIR, *TWINS), OBSERVATIONS],
    )


@functools.cache
def ideal(name: str, seed: int) -> np.ndarray:
    """(10, 10) the ideal outputs in the paper's reading."""
    return ideal_outputs(chain(name, seed)(mnist_split(seed).train.images), READINGS[0])


def on_ideal_outputs(name: str, seed: int, precision: str) -> float:
    """Share of the ten ideal outputs that the network gives again for the image of equation (5)."""
    return invert_layers(chain(name, seed), ideal(name, seed), precision=precision).exact.mean()


def reachable() -> dict:
    """How often the survey answered yes, no or undecided: by network, outputs asked for, and pixels allowed."""
    entries = list(json.loads(OBSERVATIONS.read_text()).values())
    return {
        name: {
            wanted: {
                label: dict(
                    sum((Counter(e[wanted][label]["answers"]) for e in entries if e["network"] == name), Counter())
                )
                for label in BOXES
            }
            for wanted in ("paper", "code", "real", "far")
        }
        for name in NETWORKS
    }


@measures("layerwise-inversion")
def layerwise_inversion() -> Measurement:
    def error(seed: int, spoil: bool) -> float:
        network = chain("fcnn1", seed)
        outputs = network(sample())
        recovered = invert_layers(network, outputs + (1e-3 if spoil else 0)).images
        signal = network.steps[0].subspaces.project_row(sample())
        return relative(recovered - signal, signal)

    return exact("relative difference of the recovered image from the signal part", "with outputs moved by 1e-3", error)


def _recovery(name: str, seed: int) -> np.ndarray:
    """(1000,) how far each recovered image lies from the test image, over that one's length."""
    x = sample()
    return np.linalg.norm(inverse_of_sample(name, seed).images - x, axis=1) / np.linalg.norm(x, axis=1)


@measures("two-invertible-networks")
def two_invertible_networks() -> Measurement:
    return Measurement(
        "distance of the recovered image from the test image over its length, median, the smaller of two networks'",
        {seed: min(np.median(_recovery(name, seed)) for name in PAIR) for seed in seeds("fcnn5")},
        {
            "what": "the same for a map from 784 to 784 that is invertible by construction, float64; below the rule's "
            "bound it is rounding, and recorded as the bound",
            "runs": {s: _to_bound("two-invertible-networks", there_and_back(s, torch.float64)[0]) for s in SEEDS},
        },
        {
            "quartiles": {
                name: {seed: np.quantile(_recovery(name, seed), QUARTILES) for seed in seeds(name)} for name in PAIR
            }
        },
        [*inputs(*PAIR), *COUPLINGS],
    )


@measures("outputs-backproject-easily")
def outputs_backproject_easily() -> Measurement:
    errors = {seed: inverse_of_sample("fcnn5", seed, "float32").forward_error for seed in seeds("fcnn5")}
    return Measurement(
        "relative error of the output after the way back and forth, float32, median",
        {seed: np.median(values) for seed, values in errors.items()},
        {
            "what": "the round trip of a network that is invertible by construction, float32, median; below the rule's "
            "bound it is rounding, and recorded as the bound",
            "runs": {s: _to_bound("outputs-backproject-easily", there_and_back(s, torch.float32)[1]) for s in SEEDS},
        },
        {"quartiles": {seed: np.quantile(values, QUARTILES) for seed, values in errors.items()}},
        [*inputs("fcnn5"), *COUPLINGS],
    )


def _to_bound(claim_id: str, errors: np.ndarray) -> float:
    """The median of errors that are nothing but rounding, or the bound of the claim's rule where they keep it."""
    return max(float(np.median(errors)), claims()[claim_id].rule["bound"])


def there_and_back(seed: int, dtype: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    """(1000,) twice, of the coupling network: error of the image and of the output that the image has, relative."""
    model, x = network_of("invertible", seed).to(dtype), sample()
    outputs = coordinates(model, x)
    back = pictures(model, *outputs)
    again = coordinates(model, back)
    pairs = (back, x), (np.hstack(again), np.hstack(outputs))
    return tuple(np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1) for a, b in pairs)

"""Small chains of random layers, for tests of what inverts them."""

import numpy as np

from vsbook.inversion.chains import Chain, Step
from vsbook.linalg.activations import elu, identity, leaky_relu, relu, selu, sigmoid, softplus, tanh

ACTIVATIONS = {
    "selu": selu(),
    "elu": elu(0.7, 1.3),
    "tanh": tanh(),
    "sigmoid": sigmoid(),
    "leaky": leaky_relu(0.1),
    "softplus": softplus(2.0),
    "identity": identity(),
    "relu": relu(),
}


def random_chain(widths, activations, seed: int, size: float = 1.0) -> Chain:
    """Layers of normal weights of about `size` over the root of their inputs, and the named activations."""
    generator, steps = np.random.default_rng(seed), []
    for k, name in enumerate(activations):
        shape = (widths[k + 1], widths[k])
        weight = size * generator.standard_normal(shape) / np.sqrt(widths[k])
        steps.append(Step(f"layer{k + 1}", weight, generator.standard_normal(shape[0]) / 2, ACTIVATIONS[name]))
    return Chain(tuple(steps))


def chain_of_any_scale(seed: int):
    """A small chain whose layers have weights of 1e-8 to 1e8, the names of its activations, and the generator."""
    generator = np.random.default_rng(seed)
    widths, last = generator.integers(1, 5, generator.integers(2, 5)), sorted(set(ACTIVATIONS) - {"relu"})
    names = [str(name) for name in generator.choice(sorted(ACTIVATIONS), len(widths) - 2)] + [
        str(generator.choice(last))
    ]
    steps = []
    for k, name in enumerate(names):
        size = 10.0 ** generator.uniform(-8, 8)
        weight = size * generator.standard_normal((widths[k + 1], widths[k]))
        steps.append(Step(f"layer{k + 1}", weight, size * generator.standard_normal(widths[k + 1]), ACTIVATIONS[name]))
    return Chain(tuple(steps)), names, generator


def layer(weight, bias=None, f=None) -> Chain:
    weight = np.array(weight, dtype=float)
    bias = np.zeros(len(weight)) if bias is None else np.array(bias, dtype=float)
    return Chain((Step("layer1", weight, bias, f or identity()),))


def large(seed: int, size: float) -> Chain:
    """3-3-2 with SELU, weights and biases of N(0, 1) times the size."""
    generator, steps = np.random.default_rng(seed), []
    for inputs, count in ((3, 3), (3, 2)):
        weight = size * generator.standard_normal((count, inputs))
        steps.append(Step(f"layer{len(steps) + 1}", weight, size * generator.standard_normal(count), selu()))
    return Chain(tuple(steps))

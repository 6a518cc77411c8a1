"""A network of linear layers and activations, as affine maps in float64: what can be inverted layer by layer.

Source: equation (1) of the paper, Out = f(Wx + bias), layer after layer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from torch import nn

from vsbook.checks import BadInput, as_vectors
from vsbook.linalg.activations import (
    Activation,
    elu,
    identity,
    leaky_relu,
    relu,
    selu,
    sigmoid,
    softplus,
    tanh,
)
from vsbook.linalg.subspaces import FourSubspaces, stored_as
from vsbook.networks.layers import NamedWeights, named_weights, uncompiled
from vsbook.networks.outputs import refuse_training
from vsbook.shown import Shown

__all__ = ["Chain", "Step"]

BLOCK = 500  # images at a time


@dataclass(frozen=True, eq=False, repr=False)
class Step(Shown):
    """One layer, Out = f(W x + b): its dotted name in the network, W (m, n) and b (m,) in float64, and f.

    `dtype` names the type in which W was stored, if it was another: its digits decide the rank, see
    `vsbook.linalg.rank_tolerance`.
    """

    name: str
    weight: Float[np.ndarray, "m n"]
    bias: Float[np.ndarray, " m"]
    activation: Activation
    dtype: str | None = None

    @cached_property
    def subspaces(self) -> FourSubspaces:
        """The four subspaces of W as it was stored, factored once; its pseudo-inverse too."""
        return FourSubspaces.of(self.weight if self.dtype is None else stored_as(self.weight, self.dtype))

    def before(self, x: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch m={len(self.bias)}"]:
        """W x + b for vectors x along the last axis: what goes into the activation.

        >>> Step("only", np.array([[1.0, 2.0]]), np.array([3.0]), identity()).before(np.array([[1.0, 1.0]])).tolist()
        [[6.0]]
        """
        with np.errstate(over="ignore", invalid="ignore"):
            z = x @ self.weight.T + self.bias
        if not np.isfinite(z).all():
            raise BadInput(f"layer {self.name!r}: expected W x + b within float64, got more; scale the images down")
        return z


@dataclass(frozen=True, eq=False, repr=False)
class Chain:
    """Layers one after the other. Images are flattened: (N, inputs) in, (N, outputs) out."""

    steps: tuple[Step, ...]

    def __repr__(self) -> str:
        """Sizes and activations, from the images to the outputs.

        >>> from vsbook.networks import create
        >>> Chain.of(create("fcnn1", 0).eval())
        Chain(784 -> 10 SELU)
        """
        return f"Chain({self.inputs} -> {' -> '.join(f'{len(s.bias)} {s.activation.name}' for s in self.steps)})"

    @classmethod
    def of(cls, model: nn.Module) -> "Chain":
        """The chain of a torch network, with its weights in float64.

        Linear layers, each with at most one activation after it (SELU, ELU, Tanh, Sigmoid, LeakyReLU, Softplus, ReLU,
        Identity), in Sequentials of any depth; Flatten is passed over, and Dropout, which does nothing in eval mode.
        Hooks aren't looked at: a network whose hooks change what passes is another one.

        Raises:
            BadInput: for a network in training mode or of torch.jit, one with other layers, layers that don't fit
                together, or weights that aren't finite.

        >>> from vsbook.networks import create
        >>> [(step.name, step.weight.shape, step.activation.name) for step in Chain.of(create("fcnn1", 0).eval()).steps]
        [('layer1', (10, 784), 'SELU')]
        """
        uncompiled(model)
        refuse_training(model)
        weights, steps = named_weights(model), []
        for name, module in _parts(model, ""):
            if type(module).forward is nn.Linear.forward:  # one that computes something else is no linear layer
                steps.append(_affine(name, weights))
            else:
                _follow(steps, name, _activation(name, module, steps))
        if not steps:
            raise BadInput("model: expected linear layers, got none; pass a chain of them")
        _fit_together(steps)
        return cls(tuple(steps))

    @property
    def inputs(self) -> int:
        """How many numbers go in."""
        return self.steps[0].weight.shape[1]

    @property
    def outputs(self) -> int:
        """How many numbers come out."""
        return len(self.steps[-1].weight)

    def layer_outputs(self, images) -> list[Float[np.ndarray, "N _"]]:
        """What each layer gives out, activation included, for images (N, inputs) or (N, ...).

        >>> from vsbook.networks import create
        >>> [x.shape for x in Chain.of(create("fcnn5", 0).eval()).layer_outputs(np.zeros((2, 28, 28)))]
        [(2, 256), (2, 256), (2, 128), (2, 32), (2, 10)]
        """
        x, outputs = self._flat(images), []
        for step in self.steps:
            x = step.activation(step.before(x))
            outputs.append(x)
        return outputs

    def __call__(self, images) -> Float[np.ndarray, "N m={self.outputs}"]:
        """The network's outputs in float64; block by block, which stay in the cache."""
        x = self._flat(images)
        return np.concatenate([self.layer_outputs(x[k : k + BLOCK])[-1] for k in range(0, len(x), BLOCK)])

    def jacobian(self, images) -> Float[np.ndarray, "N m={self.outputs} n={self.inputs}"]:
        """The derivative of the outputs by the pixels at each image: D_L W_L ... D_1 W_1, D the slopes of f.

        >>> from vsbook.networks import create
        >>> Chain.of(create("fcnn5", 0).eval()).jacobian(np.zeros((2, 784))).shape
        (2, 10, 784)
        """
        x = self._flat(images)
        J = None
        for step in self.steps:
            before = step.before(x)
            slopes = step.activation.derivative(before)[:, :, None]  # (N, m, 1)
            J = slopes * (step.weight if J is None else step.weight @ J)
            x = step.activation(before)
        return J

    def _flat(self, images) -> Float[np.ndarray, "N n={self.inputs}"]:
        images = as_vectors(images, None, "images")
        flat = images.reshape(len(images), -1) if images.ndim > 1 else images[None]
        return as_vectors(flat, self.inputs, "images")


def _parts(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers of nested Sequentials in order, under their dotted names; what does nothing is left out."""
    if type(module).forward is nn.Sequential.forward:
        for key, part in module._modules.items():  # `named_children` passes over a module that comes again
            yield from _parts(part, f"{name}.{key}".lstrip("."))
    elif not _does_nothing(module):
        yield name, module


def _does_nothing(module: nn.Module) -> bool:
    """Whether vectors pass it unchanged in eval mode."""
    if type(module) is nn.Flatten:
        return (module.start_dim, module.end_dim) == (1, -1)
    return type(module) in (nn.Dropout, nn.AlphaDropout)


def _affine(name: str, weights: NamedWeights) -> Step:
    if name not in weights.layers:
        raise BadInput(f"layer {name!r}: expected real weights in memory, got none; materialise or convert them")
    layer = weights[name]
    bias = np.zeros(len(layer.weight)) if layer.bias is None else layer.bias.astype(np.float64)
    return Step(name, layer.weight.astype(np.float64), bias, identity(), layer.dtype)


def _fit_together(steps: list[Step]) -> None:
    for before, after in pairwise(steps):
        given, taken = len(before.weight), after.weight.shape[1]
        if given != taken:
            raise BadInput(
                f"layer {after.name!r}: expected {given} inputs, what {before.name!r} gives, got {taken}; "
                "give one as many inputs as the other has outputs"
            )


def _activation(name: str, module: nn.Module, steps: list[Step]) -> Activation:
    kinds = {
        nn.SELU: lambda m: selu(),
        nn.ELU: lambda m: elu(m.alpha),
        nn.Tanh: lambda m: tanh(),
        nn.Sigmoid: lambda m: sigmoid(),
        nn.LeakyReLU: lambda m: leaky_relu(m.negative_slope),
        nn.Softplus: _softplus,
        nn.ReLU: lambda m: relu(),
        nn.Identity: lambda m: identity(),
    }
    if type(module) not in kinds:
        known, where = ", ".join(kind.__name__ for kind in kinds), f"layer {name!r}" if name else "model"
        raise BadInput(
            f"{where}: expected Linear, Flatten from axis 1 or an activation ({known}), "
            f"got {type(module).__name__}; {_instead(module, steps)}"
        )
    try:
        return kinds[type(module)](module)
    except BadInput as error:
        raise BadInput(f"layer {name!r}: {error}") from None


def _instead(module: nn.Module, steps: list[Step]) -> str:
    """What to do with a network that has this part, after those steps."""
    if hasattr(module, "_orig_mod"):  # of torch.compile
        return "pass its _orig_mod"
    if type(module).forward is nn.Module.forward:
        return "put its parts into a torch.nn.Sequential"
    whole = "invert this network as a whole by vsbook.inversion.invert"
    if any(True for _ in module.children()):
        return f"list its layers in a torch.nn.Sequential, or {whole}"
    if type(module) is not nn.BatchNorm1d:
        return whole
    if module.running_mean is None:
        return "train one with running statistics, since without them no image has an output of its own"
    if module.affine and steps and steps[-1].activation.name == "Identity":
        return f"fold it into the layer before by torch.nn.utils.fusion.fuse_linear_bn_eval, or {whole}"
    return whole


def _softplus(module: nn.Softplus) -> Activation:
    """PyTorch's jumps where it becomes x, by 2e-9 / beta at the usual threshold; at a smaller one by far more."""
    if module.threshold < 20:
        raise BadInput(f"threshold: expected at least 20, got {module.threshold}; it is no softplus below")
    return softplus(module.beta)


def _follow(steps: list[Step], name: str, activation: Activation) -> None:
    """Put an activation after the last linear layer."""
    if activation.name == "Identity":
        return
    if not steps or steps[-1].activation.name != "Identity":
        came = "nothing" if not steps else steps[-1].activation.name
        raise BadInput(f"layer {name!r}: expected a linear layer before {activation.name}, got {came}; put one there")
    steps[-1] = replace(steps[-1], activation=activation)

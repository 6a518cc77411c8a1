"""Any network as named matrices, and what passes through its layers.

Source: equation (1) and section 2.3.1 (flattened kernels) of the paper.
"""

import inspect
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from vsbook.checks import BadInput, instance_of, one_of
from vsbook.kernels import flattened_kernels, im2col

__all__ = ["Layer", "NamedWeights", "Seen", "capture", "named_weights"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
COVERED = ("weight", "bias", "parametrizations.weight", "parametrizations.bias")  # what a layer's views are made of
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Layer:
    """One linear or convolutional layer: its weight as stored, its bias, and the matrices that can be made of it.

    `matrices` by name. For a linear layer: `weight` (outputs, inputs). For a convolution: `flattened_kernels` (all
    pairs of channels, kernel size), section 2.3.1 of the paper and the nine columns of its Fig. 2, and `im2col`
    (output channels, input channels a group x kernel size), see `vsbook.kernels`. For a transposed convolution:
    `im2col_of_adjoint` (input channels, output channels a group x kernel size). None of a convolution's views is the
    map from image to image: each looks at one patch.
    """

    name: str
    kind: str
    weight: Float[np.ndarray, "..."]
    bias: Float[np.ndarray, " m"] | None
    matrices: dict[str, Float[np.ndarray, "m n"]]


@dataclass(frozen=True)
class NamedWeights:
    """The layers of a network by dotted name, and `untreated`: what no layer covers, and why.

    That is each parameter, and each module that keeps its weights elsewhere (packed, as quantised layers do).
    """

    layers: dict[str, Layer]
    untreated: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Layer:
        """The layer of that dotted name, or `BadInput` that lists the names."""
        return self.layers[one_of(name, self.layers, "layer")]


def named_weights(model: nn.Module) -> NamedWeights:
    """Every linear and convolutional layer of a network under its dotted name, with its matrix views.

    Weights are copied as they are computed (weight normalisation and other parametrisations included). What can't
    be treated is listed with the reason, never dropped.

    Raises:
        BadInput: if `model` isn't a torch.nn.Module, or a weight holds NaN or infinities.

    >>> found = named_weights(nn.Sequential(nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8)))
    >>> {name: view.shape for name, view in found["0"].matrices.items()}
    {'flattened_kernels': (24, 25), 'im2col': (8, 75)}
    >>> found.untreated["1.weight"]
    'BatchNorm2d is not a linear or convolutional layer'
    """
    instance_of(model, nn.Module, "model")
    layers, untreated, packed, covered = {}, {}, {}, set()
    for name, module in model.named_modules(remove_duplicate=False):
        reason = _why_untreated(module)
        if not reason:
            layers[name] = _layer(name, module)
            covered.update(id(p) for key, p in module.named_parameters() if key.startswith(COVERED))
        if reason and next(module.parameters(), None) is None and (_is_layer(module) or _has_packed_weights(module)):
            packed[name] = reason
        for key, _ in module.named_parameters(recurse=False):
            untreated[f"{name}.{key}".lstrip(".")] = reason or f"no part of a {type(module).__name__}'s weight or bias"
    parameters = dict(model.named_parameters(remove_duplicate=False))
    left = {key: untreated.get(key, "not reached") for key, p in parameters.items() if id(p) not in covered}
    return NamedWeights(layers, packed | left)


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, (nn.Linear, *CONVOLUTIONS, *TRANSPOSED))


def _has_packed_weights(module: nn.Module) -> bool:
    """Quantised layers give their weights by a method."""
    return any(inspect.ismethod(getattr(module, name, None)) for name in ("weight", "get_weight"))


def _why_untreated(module: nn.Module) -> str:
    kind = type(module).__name__
    if _has_packed_weights(module):
        return f"{kind} has packed weights, which are no parameters"
    if not _is_layer(module):
        return f"{kind} is not a linear or convolutional layer"
    if not isinstance(getattr(module, "weight", None), torch.Tensor):
        return f"{kind} has no weights"
    if isinstance(module.weight, nn.parameter.UninitializedParameter):
        return f"{kind} has no weights before its first input"
    if module.weight.is_meta:
        return f"{kind} has no weights on the meta device"
    if not module.weight.is_floating_point():
        return f"{kind} has weights of type {module.weight.dtype}"
    axes = 2 if isinstance(module, nn.Linear) else 2 + len(module.kernel_size)
    if module.weight.ndim != axes:
        return f"{kind} has weights of shape {tuple(module.weight.shape)}, not of {axes} axes"
    return ""


def _layer(name: str, module: nn.Module) -> Layer:
    weight, bias = _array(module.weight, name), None if module.bias is None else _array(module.bias, name)
    return Layer(name, type(module).__name__, weight, bias, _matrices(module, weight))


def _copied(tensor: torch.Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    in_numpy = tensor.dtype in (torch.float16, torch.float32, torch.float64) or not tensor.is_floating_point()
    return (tensor if in_numpy else tensor.float()).numpy().copy()  # bfloat16 and float8 are unknown to NumPy


def _array(tensor: torch.Tensor, name: str) -> np.ndarray:
    array = _copied(tensor)
    if not np.isfinite(array).all():
        raise BadInput(f"layer {name!r}: expected finite weights, got NaN or infinities; was the training stable?")
    return array


def _matrices(module: nn.Module, weight: np.ndarray) -> dict[str, np.ndarray]:
    if isinstance(module, nn.Linear):
        return {"weight": weight}
    if isinstance(module, TRANSPOSED):
        return {"im2col_of_adjoint": im2col(weight)}
    return {"flattened_kernels": flattened_kernels(weight), "im2col": im2col(weight)}


@dataclass
class Seen:
    """What a layer took in and gave out at its last forward pass, as arrays with the batch in the first axis."""

    input: Float[np.ndarray, "N ..."] | None = None
    output: Float[np.ndarray, "N ..."] | None = None


def _recorder(name: str, record: Seen):
    def record_pass(_, inputs, output):
        if len(inputs) != 1 or not isinstance(output, torch.Tensor):
            came = f"{len(inputs)} in and a {type(output).__name__} out"
            raise BadInput(f"layer {name!r}: expected one tensor in and one out, got {came}; capture its parts instead")
        record.input, record.output = _copied(inputs[0]), _copied(output)

    return record_pass


@contextmanager
def capture(model: nn.Module, names):
    """Record inputs and outputs of the named layers while the block runs; the hooks are gone after it.

    Raises:
        BadInput: for a name that the network does not have, or a layer that takes or gives anything but one tensor.

    >>> from vsbook.models import create
    >>> network = create("fcnn1", 0)
    >>> with capture(network, ["layer1"]) as seen:
    ...     _ = network(torch.zeros(2, 784))
    >>> seen["layer1"].input.shape, seen["layer1"].output.shape
    ((2, 784), (2, 10))
    """
    modules = dict(instance_of(model, nn.Module, "model").named_modules(remove_duplicate=False))
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise BadInput(f"names: expected a list of layers, got {names!r}; put a single name in brackets")
    seen = {one_of(name, modules, "layer"): Seen() for name in names}

    handles = [modules[name].register_forward_hook(_recorder(name, record)) for name, record in seen.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()

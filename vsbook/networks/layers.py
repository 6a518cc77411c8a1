"""Any network as named matrices, and what passes through its layers.

Source: equation (1) and section 2.3.1 (flattened kernels) of the paper.
"""

import inspect
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import nn
from torch.nn.utils.parametrize import is_parametrized
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from vsbook.checks import BadInput, instance_of, one_of
from vsbook.linalg.kernels import flattened_kernels, im2col
from vsbook.linalg.subspaces import SPACINGS, stored_as
from vsbook.shown import Shown

__all__ = ["Layer", "NamedWeights", "Seen", "capture", "hooked", "named_weights", "uncompiled"]

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
COVERED = ("weight", "bias", "parametrizations.weight", "parametrizations.bias")  # what a layer's views are made of
GEOMETRY = ("groups", "stride", "padding", "padding_mode", "dilation")
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True, eq=False, repr=False)
class Layer:
    """One linear or convolutional layer: its weight as stored, its bias, and the matrices that can be made of it.

    `dtype` names the type in which the weight was stored. One that NumPy doesn't have (bfloat16) comes as float32 with
    the mark of `vsbook.linalg.stored_as`, which its matrices bear too: ranks are those of the stored digits.

    `geometry` is how a convolution lies on its maps, by the names of PyTorch's arguments: groups, stride, padding,
    padding_mode, dilation, of a transposed one output_padding too. A linear layer has none.
    """

    name: str
    kind: str
    dtype: str
    weight: Float[np.ndarray, "..."]
    bias: Float[np.ndarray, " m"] | None
    geometry: dict[str, object] = field(default_factory=dict)

    @property
    def matrices(self) -> dict[str, Float[np.ndarray, "_ _"]]:
        """The matrices by name, each of another map.

        For a linear layer: `weight` (outputs, inputs). For a convolution: `flattened_kernels` (all pairs of channels
        in a group, kernel size), section 2.3.1 of the paper and the nine columns of its Fig. 2, and `im2col` (output
        channels, input channels x kernel size), block-diagonal in several groups, see `vsbook.linalg.kernels`. For a
        transposed convolution: `im2col_of_adjoint` (input channels, output channels x kernel size). None of a
        convolution's views is the map from image to image: each looks at one patch.

        >>> named_weights(nn.Conv2d(32, 32, 3, groups=32))[""].matrices["im2col"].shape
        (32, 288)
        """
        if not self.geometry or not self.weight.size:
            return {"weight": self.weight.reshape(len(self.weight), math.prod(self.weight.shape[1:]))}
        patches = im2col(self.weight, self.geometry["groups"])
        if "output_padding" in self.geometry:
            return {"im2col_of_adjoint": patches}
        return {"flattened_kernels": flattened_kernels(self.weight), "im2col": patches}

    def __repr__(self) -> str:
        """One line: name, kind, shape and type of the weight, and the matrices with their shapes."""
        views = ", ".join(f"{name} {view.shape}" for name, view in self.matrices.items())
        return f"Layer({self.name!r}: {self.kind}, weight {self.weight.shape} in {self.dtype}; matrices: {views})"


@dataclass(frozen=True, eq=False, repr=False)
class NamedWeights(Mapping):
    """The layers of a network by dotted name, in its order, and `untreated`: what no layer covers, and why.

    That is each parameter, and each module that keeps its weights elsewhere (packed, as quantised layers do).
    """

    layers: dict[str, Layer]
    untreated: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Layer:
        """The layer of that dotted name, or `BadInput` that lists the names."""
        return self.layers[one_of(name, self.layers, "layer")]

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self.layers)

    def __len__(self) -> int:
        """How many layers there are."""
        return len(self.layers)

    def __contains__(self, name) -> bool:
        """Whether there is a layer of that name; Mapping's own expects a KeyError of `__getitem__`."""
        return isinstance(name, Hashable) and name in self.layers

    def get(self, name, default=None):
        """The layer of that name, or the default."""
        return self.layers[name] if name in self else default

    def __repr__(self) -> str:
        """A line a layer, and how much is untreated for each reason."""
        reasons = Counter(self.untreated.values())
        untreated = (f"  untreated, {count}: {reason}" for reason, count in reasons.items())
        return "\n".join((f"NamedWeights, layers: {len(self)}", *(f"  {layer}" for layer in self.values()), *untreated))


def uncompiled(model: nn.Module) -> nn.Module:
    """`model` if it is a network of Python modules, or `BadInput`: what torch.jit made shows no layers.

    >>> uncompiled(nn.Linear(2, 1))
    Linear(in_features=2, out_features=1, bias=True)
    """
    for name, module in instance_of(model, nn.Module, "model").named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            came = f"torch.jit's {type(module).__name__}" + (f" at {name!r}" if name else "")
            raise BadInput(
                f"model: expected a network of Python modules, got {came}; "
                "pass the one that was traced or scripted, or a new one after its load_state_dict(traced.state_dict())"
            )
    return model


def named_weights(model: nn.Module) -> NamedWeights:
    """Every linear and convolutional layer of a network under its dotted name, with its matrix views.

    Weights are copied as they are computed (weight normalisation, pruning and other parametrisations included), in the
    type that the computation has. What can't be treated is listed with the reason, never dropped.

    Raises:
        BadInput: if `model` isn't a torch.nn.Module or is one of torch.jit, or a weight holds NaN or infinities.

    >>> found = named_weights(nn.Sequential(nn.Conv2d(3, 8, 5), nn.BatchNorm2d(8)))
    >>> found
    NamedWeights, layers: 1
      Layer('0': Conv2d, weight (8, 3, 5, 5) in float32; matrices: flattened_kernels (24, 25), im2col (8, 75))
      untreated, 2: BatchNorm2d is not a linear or convolutional layer
    >>> found.untreated["1.weight"]
    'BatchNorm2d is not a linear or convolutional layer'
    """
    uncompiled(model)
    layers, untreated, packed, covered = {}, {}, {}, set()
    for name, module in model.named_modules(remove_duplicate=False):
        with _still(module):
            reason = _why_untreated(module)
            if not reason:
                layers[name] = _layer(name, module)
        if not reason:
            covered.update(id(p) for key, p in module.named_parameters() if key.startswith(COVERED))
        if reason and next(module.parameters(), None) is None and (_is_layer(module) or _has_packed_weights(module)):
            packed[name] = reason
        for key, _ in module.named_parameters(recurse=False):
            untreated[f"{name}.{key}".lstrip(".")] = reason or f"no part of a {type(module).__name__}'s weight or bias"
    parameters = dict(model.named_parameters(remove_duplicate=False))
    left = {key: untreated.get(key, "not reached") for key, p in parameters.items() if id(p) not in covered}
    return NamedWeights(layers, packed | left)


@contextmanager
def _still(module: nn.Module) -> Iterator[None]:
    """Parametrisations in eval mode: in training mode, a look at a spectral norm is a step of its iteration."""
    parts = module.parametrizations.modules() if is_parametrized(module) else ()
    moving = [part for part in parts if part.training]
    for part in moving:
        part.training = False
    try:
        yield
    finally:
        for part in moving:
            part.training = True


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
    if _type(module.weight) not in SPACINGS:
        return f"{kind} has weights of type {module.weight.dtype}"
    axes = 2 if isinstance(module, nn.Linear) else 2 + len(module.kernel_size)
    if module.weight.ndim != axes:
        return f"{kind} has weights of shape {tuple(module.weight.shape)}, not of {axes} axes"
    return ""


def _layer(name: str, module: nn.Module) -> Layer:
    weight, bias = _computed(module, "weight"), _computed(module, "bias")
    options = GEOMETRY + ("output_padding",) * isinstance(module, TRANSPOSED)
    geometry = {} if isinstance(module, nn.Linear) else {key: getattr(module, key) for key in options}
    arrays = _array(weight, name), None if bias is None else _array(bias, name)
    return Layer(name, type(module).__name__, _type(weight), *arrays, geometry)


def _computed(module: nn.Module, key: str) -> torch.Tensor | None:
    """As the next forward pass has it: pruning and the older normalisations keep a copy, which may be out of date."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == key:
            return hook.apply_mask(module)
        if isinstance(hook, WeightNorm) and hook.name == key:
            return hook.compute_weight(module)
        if isinstance(hook, SpectralNorm) and hook.name == key:
            return hook.compute_weight(module, do_power_iteration=False)
    return getattr(module, key)


def _type(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _copied(tensor: torch.Tensor) -> np.ndarray:
    """As an array, with the mark of its type where NumPy lacks it; sparse ones are filled."""
    tensor = tensor.detach().cpu().to_dense().resolve_conj().resolve_neg()
    in_numpy = tensor.dtype in (torch.float16, torch.float32, torch.float64) or not tensor.is_floating_point()
    array = (tensor if in_numpy else tensor.float()).numpy().copy()
    return array if in_numpy else stored_as(array, _type(tensor))


def _array(tensor: torch.Tensor, name: str) -> np.ndarray:
    array = _copied(tensor)
    if not np.isfinite(array).all():
        raise BadInput(f"layer {name!r}: expected finite weights, got NaN or infinities; was the training stable?")
    return array


@dataclass(eq=False, repr=False)
class Seen(Shown):
    """What a layer took in and gave out at its last forward pass, as arrays with the batch in the first axis."""

    input: Shaped[np.ndarray, "N ..."] | None = None
    output: Shaped[np.ndarray, "N ..."] | None = None


def _recorders(name: str, record: Seen) -> tuple[Callable, Callable]:
    """What records the input before the layer, which may overwrite it, and what records the output after it."""

    def record_input(_, inputs):
        if len(inputs) != 1:
            raise BadInput(f"layer {name!r}: expected one tensor in, got {len(inputs)}; capture its parts instead")
        record.input = _recorded(inputs[0], name, "in")

    def record_output(_, inputs, output):
        record.output = _recorded(output, name, "out")

    return record_input, record_output


def _recorded(passed, name: str, where: str) -> np.ndarray:
    if not isinstance(passed, torch.Tensor):
        came = f"a {type(passed).__name__}"
        raise BadInput(f"layer {name!r}: expected one tensor {where}, got {came}; capture its parts instead")
    try:
        return _copied(passed)
    except (RuntimeError, TypeError, NotImplementedError) as error:  # quantised, nested, on the meta device
        came = f"one of {passed.dtype} ({error})"
        raise BadInput(f"layer {name!r}: expected a plain tensor {where}, got {came}; capture another layer") from error


@contextmanager
def hooked(model: nn.Module, hooks: dict[str, Callable], before: bool = False) -> Iterator[None]:
    """Forward hooks on the named modules, or with `before` hooks that see the inputs alone; gone after the block.

    >>> network, seen = nn.Sequential(nn.Linear(2, 3)), []
    >>> with hooked(network, {"0": lambda module, inputs, output: seen.append(output.shape)}):
    ...     _ = network(torch.zeros(1, 2))
    >>> _ = network(torch.zeros(1, 2))
    >>> seen
    [torch.Size([1, 3])]
    """
    register = "register_forward_pre_hook" if before else "register_forward_hook"
    handles = [getattr(model.get_submodule(name), register)(hook) for name, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def capture(model: nn.Module, names) -> Iterator[dict[str, Seen]]:
    """Record inputs and outputs of the named layers while the block runs; the hooks are gone after it.

    Raises:
        BadInput: for a name that the network does not have, or a layer that takes or gives anything but one tensor.

    >>> from vsbook.networks import create
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
    recorders = {name: _recorders(name, record) for name, record in seen.items()}
    before, after = ({name: pair[k] for name, pair in recorders.items()} for k in (0, 1))
    with hooked(model, before, before=True), hooked(model, after):
        yield seen

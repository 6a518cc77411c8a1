"""What a network says of images: the one place that asks, in batches, in the network's own type, without gradients.

Whoever comes with a network in training mode is refused, since there batch normalisation lets the answer to an image
depend on its neighbours. `logits` alone puts the mode, and puts it back: a training looks by it at its own progress.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from tqdm import tqdm

from vsbook.checks import BadInput, as_real, instance_of
from vsbook.networks.layers import CONVOLUTIONS, hooked
from vsbook.shown import Shown

__all__ = [
    "Outputs",
    "as_tensor",
    "in_mode",
    "logits",
    "output_statistics",
    "refuse_moods",
    "refuse_training",
    "shareable",
    "type_in_eval_mode",
]

BATCH = 1000  # images at a time: memory stays small
ASKED_AGAIN = 100  # images for which a network is asked twice


def refuse_training(model: nn.Module) -> None:
    """Refuse what isn't a network, or isn't wholly in eval mode.

    In training mode batch normalisation lets the answer to an image depend on its neighbours, dropout draws, and the
    running statistics move: no output would be *the* output.

    Raises:
        BadInput: if `model` isn't a network, or a part of it is in training mode.

    >>> refuse_training(nn.Linear(2, 2))
    Traceback (most recent call last):
        ...
    vsbook.checks.BadInput: model: expected a network in eval mode, got one in training mode (the whole); call .eval()
    """
    modules = instance_of(model, nn.Module, "model").named_modules()
    training = [name or "the whole" for name, module in modules if module.training]
    if training:
        raise BadInput(
            f"model: expected a network in eval mode, got one in training mode ({training[0]}); call .eval()"
        )


def type_in_eval_mode(model: nn.Module) -> torch.dtype:
    """The type of the weights of a network that is wholly in eval mode.

    Raises:
        BadInput: as `refuse_training`, or if the network has no weights, or weights without a shape.

    >>> type_in_eval_mode(nn.Linear(2, 2).eval())
    torch.float32
    """
    dtype = _type(model)
    if any(nn.parameter.is_lazy(tensor) for tensor in (*model.parameters(), *model.buffers())):
        raise BadInput("model: expected weights with a shape, got lazy ones; let an image pass through first")
    refuse_training(model)
    return dtype


def _type(model: nn.Module) -> torch.dtype:
    parameter = next(instance_of(model, nn.Module, "model").parameters(), None)
    if parameter is None:
        raise BadInput("model: expected a network with weights, got one without; pass the whole network")
    return parameter.dtype


def refuse_moods(model: nn.Module, x: torch.Tensor) -> None:
    """Refuse a network whose output for an image is another one when it is asked again, or among other images.

    It is asked for all of x (N, ...), then for the first image alone and for the others without it, and for the first
    one beside a lighter one. The rounding of sums in another order leaves half of the digits alone; what is random, or
    looks at the other images, doesn't.

    Raises:
        BadInput: where more than half of the digits differ.

    >>> refuse_moods(nn.Linear(2, 1).eval(), torch.ones(3, 2))
    """
    with torch.no_grad():
        together = model(x)
        if len(together) != len(x):  # another refusal's matter
            return
        apart = torch.cat([model(part) for part in (x[:1], x[1:]) if len(part)])
        beside = model(torch.cat([x[:1], x[:1] + 1]))
    finite = together[together.isfinite()]
    half = torch.finfo(x.dtype).eps ** 0.5 * float(finite.abs().max() if len(finite) else 0)
    for said in (apart, beside[:1]):
        if not torch.allclose(together[: len(said)], said, rtol=0, atol=half, equal_nan=True):
            raise BadInput(
                "model: expected the same output for the same image, got another one when asked again, or among other "
                "images; let what is random follow the mode, as dropout(x, p, training=self.training), and keep "
                "running statistics"
            )


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Train or eval mode for a block; every module gets its own mode back.

    >>> model = nn.Linear(2, 2)
    >>> with in_mode(model, training=False):
    ...     model.training
    False
    >>> model.training
    True
    """
    before = {module: module.training for module in model.modules()}
    model.train(training)
    try:
        yield
    finally:
        for module, mode in before.items():
            module.training = mode


def as_tensor(images: Float[np.ndarray, "*shape"], dtype: torch.dtype) -> Float[torch.Tensor, "*shape"]:
    """A copy in the network's type, whatever the byte order and the strides.

    Raises:
        BadInput: where the type can't hold them.

    >>> as_tensor(np.ones((1, 2)), torch.float32)
    tensor([[1., 1.]])
    """
    tensor = torch.from_numpy(images.astype(images.dtype.newbyteorder("="), order="C")).to(dtype)
    if not (tensor.sum().isfinite() or tensor.isfinite().all()):  # one number shows them all, as a rule
        raise BadInput(f"images: expected numbers within {dtype}, got {np.abs(images).max():g}; scale them down")
    return tensor


def shareable(array: np.ndarray) -> np.ndarray:
    """The array itself, or a copy of it, that torch can share: native, in C order, writable.

    >>> plain = np.ones(3)
    >>> shareable(plain) is plain, shareable(plain[::-1]).flags.c_contiguous
    (True, True)
    """
    forwards = min(array.strides, default=0) >= 0  # an axis of length 1 counts as in C order even backwards
    plain = forwards and array.dtype.isnative and array.flags.c_contiguous and array.flags.writeable
    return array if plain else array.astype(array.dtype.newbyteorder("="), order="C")


class _Rows:
    """Rows that come a batch at a time, in one tensor made at the first.

    In a list, each small part would come to lie where a batch was, and leave the next one no room: memory would grow.
    """

    def __init__(self, count: int, dtype: torch.dtype | None = None) -> None:
        self.count, self.filled, self.dtype, self.rows = count, 0, dtype, torch.empty(0)

    def take(self, part: torch.Tensor) -> None:
        if self.filled == 0:
            self.rows = torch.empty((self.count, *part.shape[1:]), dtype=self.dtype or part.dtype)
        start, self.filled = self.filled, self.filled + len(part)
        if self.filled <= self.count and part.shape[1:] == self.rows.shape[1:]:
            self.rows[start : self.filled] = part.detach()
        else:
            self.filled = self.count + 1  # one row an image it isn't

    @property
    def whole(self) -> bool:
        return self.filled == self.count


def _ask(model: nn.Module, images: np.ndarray, dtype: torch.dtype, take: Callable, progress: bool = False) -> None:
    """Let `take` have the network's outputs for one batch after the other."""
    starts = tqdm(range(0, len(images), BATCH), unit="batch", disable=not progress, mininterval=0.5, leave=False)
    device = next(model.parameters()).device
    with _as_the_network_takes_them(images), torch.no_grad():
        for start in starts:
            take(model(as_tensor(images[start : start + BATCH], dtype).to(device)))


@contextmanager
def _as_the_network_takes_them(images: np.ndarray) -> Iterator[None]:
    """`BadInput` in the place of whatever the network's own code raises within the block."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:  # whatever the network's own code raises
        raise BadInput(
            f"images: expected (N, ...) as the network takes them, got shape {images.shape} ({error}); reshape them"
        ) from error


def _images(images) -> Float[np.ndarray, "N *shape"]:
    array = as_real(images, "images")
    if array.ndim < 2:
        raise BadInput(f"images: expected (N, ...), got shape {array.shape}; put images in the first axis")
    return array


def _a_row_for_each(values: _Rows) -> Float[torch.Tensor, "N ..."]:
    if not values.whole:
        came = f"{values.count} images and rows of shape {tuple(values.rows.shape[1:])}, or not one for each"
        raise BadInput(f"model: expected one row of outputs an image, got {came}; pass a classifier")
    return values.rows


def logits(model: nn.Module, images) -> Float[torch.Tensor, "N={len(images)} ..."]:
    """The network's outputs (N, classes) for images (N, ...), in its own type and eval mode, without gradients.

    Raises:
        BadInput: if `model` isn't a network with weights that gives a row for each image, or the images aren't finite
            numbers in a shape that it takes.

    >>> logits(nn.Linear(2, 3), [[0, 0], [1, 1]]).shape
    torch.Size([2, 3])
    """
    dtype, images = _type(model), _images(images)
    values = _Rows(len(images))
    with in_mode(model, training=False):
        _ask(model, images, dtype, values.take)
    return _a_row_for_each(values)


@dataclass(frozen=True, eq=False, repr=False)
class Outputs(Shown):
    """What a network says of N images, kept from one pass: all that the search for ideal images needs of them.

    Fields:
        values: the network's outputs, float64.
        first: the name of the linear or convolutional layer that an image meets first.
        head: the name of the last linear layer that it meets; '' where none gives as many numbers as the network.
        before: outputs of that layer, before whatever follows it; None without one.
        energies: squared lengths of what came into it; None without one.
    """

    values: Float[np.ndarray, "N m"]
    first: str = ""
    head: str = ""
    before: Float[np.ndarray, "N m"] | None = None
    energies: Float[np.ndarray, " N"] | None = None


def output_statistics(model: nn.Module, images, progress: bool = True) -> Outputs:
    """All outputs of a network for many images, in one pass: eval mode, no gradients, 1000 images at a time.

    Args:
        model: any classifier in eval mode, on the CPU, with outputs (N, m).
        images: (N, ...) as the network takes them.
        progress: show a bar.

    Raises:
        BadInput: for a network in training mode or without weights, or images that aren't finite numbers in a shape
            that it takes.

    Source: section 2.4, paragraph 3 of the paper: the values achieved over the training set.

    >>> from vsbook.networks import create
    >>> found = output_statistics(create("fcnn1", 0).eval(), np.zeros((3, 784)), progress=False)
    >>> found.values.shape, found.head, found.energies.tolist()
    ((3, 10), 'layer1', [0.0, 0.0, 0.0])
    """
    dtype, images = type_in_eval_mode(model), _images(images)
    values, before, energies = (_Rows(len(images), torch.float64) for _ in range(3))

    def keep(_, inputs, output):
        before.take(output)
        energies.take(torch.linalg.vector_norm(inputs[0], dim=-1) ** 2)

    order = _called(model, images, dtype)
    with _as_the_network_takes_them(images):
        refuse_moods(model, as_tensor(images[:ASKED_AGAIN], dtype))
    head = next((name for name in reversed(order) if isinstance(model.get_submodule(name), nn.Linear)), "")
    with hooked(model, {head: keep} if head else {}):
        _ask(model, images, dtype, values.take, progress)
    if _a_row_for_each(values).ndim != 2:
        came = f"an array of shape {tuple(values.rows.shape[1:])} for each"
        raise BadInput(f"model: expected one row of outputs an image, got {came}; pass a classifier")
    found = Outputs(as_real(values.rows.numpy(), "outputs"), order[0] if order else "")
    if not before.whole or before.rows.shape != values.rows.shape:
        return found
    return replace(found, head=head, before=before.rows.numpy(), energies=energies.rows.numpy())


def _called(model: nn.Module, images: np.ndarray, dtype: torch.dtype) -> list[str]:
    """Linear and convolutional layers in the order in which an image meets them: the definition may have another."""
    met = []
    layers = {name for name, module in model.named_modules() if isinstance(module, (nn.Linear, *CONVOLUTIONS))}
    with hooked(model, {name: lambda *_, name=name: met.append(name) for name in layers}):
        _ask(model, images[:1], dtype, lambda _: None)
    return met

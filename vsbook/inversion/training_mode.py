"""What a network says of copies of one image while it is in training mode: why such an input can't be trained.

Source: the authors' public code, which repeats one image 32 times for ResNet18 and never calls eval on it. What follows
from that is measured here on any network with batch normalisation; what happened in their run stays inference.
"""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from vsbook.checks import as_rows, as_vector, instance_of, whole_number
from vsbook.inversion.ideal import as_targets
from vsbook.inversion.input_training import Descent, descend, differentiable, finite_arrays
from vsbook.networks.layers import hooked
from vsbook.networks.outputs import output_statistics, shareable, type_in_eval_mode
from vsbook.shown import Shown

__all__ = ["BatchNorm", "Copies", "copies_in_training_mode", "train_copies"]

COPIES = 32  # of one image in a batch


@dataclass(frozen=True, repr=False)
class BatchNorm(Shown):
    """One layer of batch normalisation in training mode.

    Fields:
        name: dotted.
        places: pixels of a map that comes in, height times width.
        variance: of what comes in, over copies and places; the median over channels.
        eps: what is added to it before the root.
        moved: how far the running variance went in one pass, over its length (1 for zeros): a buffer, which no
            gradient freezes.
    """

    name: str
    places: int
    variance: float
    eps: float
    moved: float


@dataclass(frozen=True, eq=False, repr=False)
class Copies(Shown):
    """A batch of identical copies of one image in training mode, beside the image in eval mode.

    Fields:
        evaluated: the outputs in eval mode.
        outputs: in training mode, mean over the copies.
        slope_evaluated: length of the Jacobian of the outputs with respect to the image (Frobenius), in eval mode.
        slope: the same in training mode, all copies moving together.
        layers: what its batch normalisation does there; a layer that the image doesn't meet is left out.
    """

    evaluated: Float[np.ndarray, " m"]
    outputs: Float[np.ndarray, " m"]
    slope_evaluated: float
    slope: float
    layers: tuple[BatchNorm, ...]


def copies_in_training_mode(model: nn.Module, image, copies: int = COPIES) -> Copies:
    r"""What a network says of a batch of identical copies while its batch normalisation is in training mode.

    A channel is replaced by $\beta + \gamma (x - \bar x) / \sqrt{s^2 + \varepsilon}$ with mean and variance over copies
    and places. Where a map has one pixel, all those numbers are the same: $x - \bar x = 0$, and what comes out is
    $\beta$, whatever the image. Works on a deep copy; the model is left as it was. All else stays in eval mode: dropout
    would draw, and let the copies differ.

    Args:
        model: a classifier in eval mode.
        image: (p,), one image.
        copies: in the batch.

    Raises:
        BadInput: for a network in training mode or without a gradient, or an image that isn't one vector of finite
            numbers.

    Source: the authors' public code, which repeats one image 32 times and never calls eval on its ResNet18.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    >>> found = copies_in_training_mode(net, [1.0, 2, 3, 4])
    >>> bool(np.abs(found.outputs).max() < 1e-2), found.slope < 1e-2 < found.slope_evaluated
    (True, True)
    """
    x = _one_image(model, image, "image")
    with differentiable(model) as frozen:
        evaluated, slope_evaluated = _outputs_and_slope(frozen, x, 1)
        learner, norms = _learner(frozen)
        before = {name: m.running_var.clone() for name, m in norms.items() if m.running_var is not None}
        with _incoming(learner, norms) as seen:
            outputs, slope = _outputs_and_slope(learner, x, whole_number(copies, "copies", 2))
    moved = {name: _moved(start, norms[name].running_var) for name, start in before.items()}
    met = (name for name in norms if name in seen)
    layers = tuple(BatchNorm(name, *seen[name], norms[name].eps, moved.get(name, 0.0)) for name in met)
    return Copies(evaluated, outputs, slope_evaluated, slope, layers)


def _learner(model: nn.Module) -> tuple[nn.Module, dict[str, nn.Module]]:
    """A copy whose batch normalisation is in training mode, and those layers by name."""
    learner = copy.deepcopy(model)
    norms = {name: m for name, m in learner.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    for norm in norms.values():
        norm.train()
    return learner, norms


def _moved(start: torch.Tensor, end: torch.Tensor) -> float:
    return float((end - start).norm() / (start.norm() or 1.0))


def _one_image(model: nn.Module, image, name: str) -> Float[torch.Tensor, " p"]:
    dtype = type_in_eval_mode(model)
    image = as_vector(image, None, name)
    output_statistics(model, image[None], progress=False)  # refuses what the network doesn't take
    return torch.from_numpy(shareable(image)).to(dtype)


def _outputs_and_slope(
    model: nn.Module, x: Float[torch.Tensor, " p"], copies: int
) -> tuple[Float[np.ndarray, " m"], float]:
    x = x.clone().requires_grad_()
    # the mean over the copies, which are all alike: the slope of a single one holds differences of huge numbers
    outputs = model(x.expand(copies, -1)).mean(dim=0)
    rows = [torch.autograd.grad(value, x, retain_graph=True)[0] for value in outputs]
    return outputs.detach().double().numpy(), float(torch.stack(rows).norm())


@contextmanager
def _incoming(model: nn.Module, names: Iterable[str]) -> Iterator[dict[str, tuple[int, float]]]:
    """Places and variance of what comes into each layer, of the last pass; the hooks are gone afterwards."""
    seen = {}

    def watch(name):
        def keep(_, inputs):
            channels = inputs[0].detach().double().transpose(0, 1).flatten(1)  # a row for each channel
            seen[name] = int(np.prod(inputs[0].shape[2:])), float(channels.var(dim=1, correction=0).median())

        return keep

    with hooked(model, {name: watch(name) for name in names}, before=True):
        yield seen


def train_copies(
    model: nn.Module, target, start, how: Descent, *, copies: int = COPIES, progress: bool = True
) -> tuple[Float[np.ndarray, " p={len(start)}"], Float[np.ndarray, " moments={how.steps+1}"]]:
    r"""Train one image, repeated as a batch, with batch normalisation in *training* mode: a mistake, repeated.

    Descends on the mean of $(f(x) - t)^2$ over copies and outputs. Works on a deep copy of the network, whose running
    statistics move; its weights are frozen.

    Args:
        model: a classifier in eval mode.
        target: (m,).
        start: (p,), the image to begin with.
        how: the constants of the descent.
        copies: in the batch.
        progress: show a bar.

    Returns:
        The image after the last step, and the losses before the first step and after each.

    Raises:
        BadInput: as `vsbook.inversion.train_input` and `copies_in_training_mode`.

    Source: the authors' public code, for ResNet18.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    >>> _, losses = train_copies(net, [1.0, 2, 3], np.ones(4), Descent(steps=5), progress=False)
    >>> losses.round(2).tolist() == [4.67] * 6
    True
    """
    x = _one_image(model, start, "start")
    outputs = output_statistics(model, x[None].numpy(), progress=False).values
    target = as_targets(as_rows(target, None, "target"), outputs.shape)
    with differentiable(model):
        wanted = torch.from_numpy(shareable(target)).to(x.dtype)
        repeated = _Repeated(_learner(model)[0], whole_number(copies, "copies", 2))
        x, losses, _ = descend(repeated, x.clone()[None], wanted, instance_of(how, Descent, "how"), progress)
    x, losses = finite_arrays(how, x, losses)
    return x[0], losses[:, 0]


class _Repeated(nn.Module):
    """A network on copies of the one image that it is given; mean over the copies, since no two differ."""

    def __init__(self, model: nn.Module, copies: int) -> None:
        super().__init__()
        self.model, self.copies = model, copies

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x.expand(self.copies, -1)).mean(dim=0, keepdim=True)

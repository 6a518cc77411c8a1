"""Train the input of a network whose weights are frozen, and ask whether the result is still an image.

Source: section 2.4 of the paper, which follows Simonyan, Vedaldi and Zisserman (2014), and the last paragraph of its
section 3. The constants of the descent are those of the authors' public code.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from tqdm import tqdm

from vsbook.checks import BadInput, as_real, as_rows, instance_of, number, one_of, whole_number
from vsbook.inversion.ideal import as_targets, distances_to
from vsbook.inversion.image_statistics import nearest
from vsbook.networks.outputs import output_statistics, shareable, type_in_eval_mode
from vsbook.shown import Shown

__all__ = ["PRIORS", "Descent", "InBox", "Trained", "descend", "differentiable", "finite_arrays", "train_input"]

PRIORS = ("none", "total variation", "nearest data")
FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8  # of Adam: decay of the gradient and of its square, and what is added
SMOOTH = 1e-6  # under the root of the total variation, so that flat paper has a gradient


@dataclass(frozen=True)
class Descent:
    """The paper's: stochastic gradient descent without momentum, and pixels free to leave [0, 1]."""

    learning_rate: float = 1e-4
    steps: int = 100

    def __post_init__(self) -> None:
        """Refuse constants that describe no descent."""
        number(self.learning_rate, "learning_rate")
        whole_number(self.steps, "steps", 1)


@dataclass(frozen=True)
class InBox:
    """Adam within the pixel box: after each step pixels are put back into [0, 1]; a prior keeps the result an image.

    The objective of an image is its squared distance to the target over that of its start (over 1 for a start that
    has its target), plus `weight` times the prior: 'total variation', mean length of the image's gradient, or 'nearest
    data', the squared distance to the nearest of `data`, over the pixels. So a weight means the same for networks whose
    outputs have other sizes. Of each image the best that was met is kept.
    """

    prior: str = "total variation"
    weight: float = 0.1
    learning_rate: float = 0.02
    steps: int = 100

    def __post_init__(self) -> None:
        """Refuse constants that describe no descent."""
        one_of(self.prior, PRIORS, "prior")
        for name in ("weight", "learning_rate"):
            number(getattr(self, name), name)
        whole_number(self.steps, "steps", 1)


@dataclass(frozen=True, eq=False, repr=False)
class Trained(Shown):
    """What training the input made of k images.

    Fields:
        images: after training.
        losses: mean squared difference of outputs and targets, before the first step and after each.
        lengths: Euclidean lengths of the steps.
        before: Euclidean distance of the outputs to the targets at the start.
        after: the same of `images`.
        moved: Euclidean distance of each image from its start.
        outside: share of its pixels outside [0, 1].
    """

    images: Float[np.ndarray, "k p"]
    losses: Float[np.ndarray, "moments={len(lengths)+1} k"]
    lengths: Float[np.ndarray, "steps k"]
    before: Float[np.ndarray, " k"]
    after: Float[np.ndarray, " k"]
    moved: Float[np.ndarray, " k"]
    outside: Float[np.ndarray, " k"]

    @property
    def fall(self) -> Float[np.ndarray, " k"]:
        """The share of the distance that training took away; negative where it rose, infinitely so from zero.

        >>> z, start, end = np.zeros(3), np.array([4.0, 0.0, 0.0]), np.array([1.0, 0.0, 1.0])
        >>> Trained(z[:, None], np.zeros((2, 3)), z[None], start, end, z, z).fall.tolist()
        [0.75, 0.0, -inf]
        """
        left = np.where(self.after > 0, np.inf, 1.0)  # of a start that had its target
        with np.errstate(over="ignore"):
            return 1 - np.divide(self.after, self.before, where=self.before > 0, out=left)


def train_input(
    model: nn.Module, targets, starts, how: Descent | InBox, *, data=None, progress: bool = True
) -> Trained:
    r"""Move images so that the outputs of a frozen network come nearer to target outputs.

    Descends on $\frac1m\|f(x_k) - t_k\|^2$ for all images at once; in eval mode they don't feel each other, so a batch
    gives what one image at a time would. The model is left as it was: no weight, gradient, mode or buffer changes.

    Args:
        model: a classifier in eval mode, on the CPU.
        targets: (k, m), a row for each image.
        starts: (k, pixels), the images to begin with.
        how: `Descent` or `InBox`.
        data: (N, pixels), images for the prior 'nearest data'.
        progress: show a bar.

    Raises:
        BadInput: for a network in training mode or without a gradient, targets that aren't finite numbers of the shape
            of the outputs, or a descent that left the finite numbers.

    Source: section 2.4, paragraph 4, and section 3, last paragraph of the paper.

    >>> from vsbook.networks import create
    >>> model, start = create("fcnn1", 0).eval(), np.full((1, 784), 0.5)
    >>> found = train_input(model, np.ones((1, 10)), start, Descent(), progress=False)
    >>> bool((found.after < found.before).all()), found.losses.shape
    (True, (101, 1))
    """
    dtype = type_in_eval_mode(model)
    start = as_rows(starts, None, "starts", lone=False)
    targets = as_targets(targets, output_statistics(model, start, progress=False).values.shape)
    with differentiable(model) as frozen:
        wanted, x = torch.from_numpy(shareable(targets)).to(dtype), torch.from_numpy(shareable(start)).to(dtype)
        if isinstance(how, Descent):
            x, losses, lengths = descend(frozen, x, wanted, how, progress)
        else:
            prior = _prior(instance_of(how, InBox, "how"), data, start.shape[1])
            x, losses, lengths = _descend_in_box(frozen, x, wanted, how, prior, progress)
    reached, losses, lengths = finite_arrays(how, x, losses, lengths)
    distances = (distances_to(model, targets, rows) for rows in (start, reached))
    moved = np.linalg.norm(reached - start, axis=1)
    return Trained(reached, losses, lengths, *distances, moved, ((reached < 0) | (reached > 1)).mean(axis=1))


@contextmanager
def differentiable(model: nn.Module) -> Iterator[nn.Module]:
    """The model, or a copy of one made in inference mode, and gradients, whatever the caller has switched off.

    Raises:
        BadInput: in the place of whatever the model's own code raises within the block.
    """
    try:
        with torch.inference_mode(False), torch.enable_grad():
            made_without = any(tensor.is_inference() for tensor in (*model.parameters(), *model.buffers()))
            yield copy.deepcopy(model) if made_without else model
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"model: expected one with a gradient at the images, got '{error}'; take another") from error


def finite_arrays(how: Descent | InBox, *tensors: torch.Tensor) -> tuple[Float[np.ndarray, "..."], ...]:
    """Tensors of a descent as float64, or `BadInput` where it left the finite numbers.

    >>> [array.tolist() for array in finite_arrays(Descent(), torch.zeros(2), torch.ones(1))]
    [[0.0, 0.0], [1.0]]
    """
    if not all(tensor.isfinite().all() for tensor in tensors):
        raise BadInput(f"how: expected steps that stay finite, got a learning rate of {how.learning_rate}; take less")
    return tuple(tensor.double().numpy() for tensor in tensors)


def _losses(
    model: nn.Module, x: Float[torch.Tensor, "k ..."], wanted: Float[torch.Tensor, "k m"]
) -> Float[torch.Tensor, " k"]:
    """One number an image: the mean over the outputs."""
    return ((model(x) - wanted) ** 2).mean(dim=1)


def _steps(how: Descent | InBox, progress: bool) -> tqdm:
    return tqdm(range(how.steps), unit="step", disable=not progress, mininterval=0.5, leave=False)


def descend(
    model: nn.Module, x: Float[torch.Tensor, "k p"], wanted: Float[torch.Tensor, "k m"], how: Descent, progress: bool
) -> tuple[
    Float[torch.Tensor, "k p"],
    Float[torch.Tensor, "moments={how.steps+1} k"],
    Float[torch.Tensor, "steps={how.steps} k"],
]:
    """Where the descent ends, the losses (steps + 1, k) and the lengths of its steps (steps, k); no check, any mode.

    Descends on the sum over images: in eval mode its gradient is, for each image, the one that it would have alone.
    """
    losses, lengths = [], []
    for _ in _steps(how, progress):
        x = x.detach().requires_grad_()
        loss = _losses(model, x, wanted)
        # asks for the input's gradient alone: the parameters' .grad stay untouched
        step = how.learning_rate * torch.autograd.grad(loss.sum(), x)[0]
        losses.append(loss.detach())
        lengths.append(step.norm(dim=1))
        x = x.detach() - step
    with torch.no_grad():
        return x, torch.stack([*losses, _losses(model, x, wanted)]), torch.stack(lengths)


def _descend_in_box(
    model, x, wanted, how, prior, progress
) -> tuple[
    Float[torch.Tensor, "k p"],
    Float[torch.Tensor, "moments={how.steps+1} k"],
    Float[torch.Tensor, "steps={how.steps} k"],
]:
    """Adam, written out: PyTorch's own takes seconds and much memory to load its compiler."""
    scale = _losses(model, x, wanted).detach()
    scale = torch.where(scale >= torch.finfo(x.dtype).tiny, scale, 1.0)
    x = x.clamp(0, 1)
    mean, square = torch.zeros_like(x), torch.zeros_like(x)
    losses, lengths, best, least = [], [], x, torch.full_like(scale, torch.inf)
    for step in _steps(how, progress):
        x = x.detach().requires_grad_()
        loss = _losses(model, x, wanted)
        whole = loss / scale + how.weight * prior(x, step)
        gradient, x, whole = torch.autograd.grad(whole.sum(), x)[0], x.detach(), whole.detach()
        least, best = torch.minimum(least, whole), torch.where((whole < least)[:, None], x, best)
        mean, square = torch.lerp(gradient, mean, FIRST), torch.lerp(gradient**2, square, SECOND)
        unbiased, root = mean / (1 - FIRST ** (step + 1)), (square / (1 - SECOND ** (step + 1))).sqrt()
        moved = (x - how.learning_rate * unbiased / (root + EPSILON)).clamp(0, 1)
        losses.append(loss.detach())
        lengths.append((moved - x).norm(dim=1))
        x = moved
    with torch.no_grad():
        return best, torch.stack([*losses, _losses(model, best, wanted)]), torch.stack(lengths)


def _prior(how: InBox, data, pixels: int) -> Callable[[torch.Tensor, int], torch.Tensor]:
    if how.prior == "none":
        return lambda x, _: 0.0
    if how.prior == "total variation":
        if int(np.sqrt(pixels)) ** 2 != pixels:
            raise BadInput(
                f"starts: expected square ones for their total variation, got {pixels} pixels; take another prior"
            )
        return lambda x, _: _total_variation(x)
    return _ToNearest(data)


class _ToNearest:
    """Mean squared difference from the nearest image of the data, which is looked up anew every ten steps."""

    def __init__(self, data) -> None:
        self.data = as_real(data, "data")
        self.anchors = None

    def __call__(self, x: Float[torch.Tensor, "k p"], number_of_step: int) -> Float[torch.Tensor, " k"]:
        if number_of_step % 10 == 0:
            found, _ = nearest(x.detach().double().numpy(), self.data)
            self.anchors = torch.from_numpy(shareable(self.data[found])).to(x.dtype)
        return ((x - self.anchors) ** 2).mean(dim=1)


def _total_variation(x: Float[torch.Tensor, "k p"]) -> Float[torch.Tensor, " k"]:
    """`vsbook.inversion.total_variation`, with a gradient."""
    side = int(np.sqrt(x.shape[1]))
    maps = x.reshape(-1, side, side)
    down, right = maps.diff(dim=1, append=maps[:, -1:]), maps.diff(dim=2, append=maps[:, :, -1:])
    return (down**2 + right**2 + SMOOTH).sqrt().mean(dim=(1, 2))

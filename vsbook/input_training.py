"""Train the input of a network whose weights are frozen, and ask whether the result is still an image.

Source: section 2.4 of the paper, which follows Simonyan, Vedaldi and Zisserman (2014), and the last paragraph of its
section 3. The constants of the descent are those of the authors' public code.
"""

import copy
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn
from tqdm import tqdm

from vsbook.checks import BadInput, as_real, as_vectors, instance_of, number, one_of, whole_number
from vsbook.ideal import as_targets, in_eval_mode, output_statistics

__all__ = [
    "PRIORS",
    "BatchNorm",
    "Copies",
    "Descent",
    "InBox",
    "Naturalness",
    "Trained",
    "copies_in_training_mode",
    "naturalness",
    "nearest",
    "total_variation",
    "train_copies",
    "train_input",
]

PRIORS = ("none", "total variation", "nearest data")
COPIES = 32  # of one image in a batch: the authors' code for ResNet18
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

    The objective of an image is its squared distance to the target over that of its start, plus `weight` times the
    prior: 'total variation', mean length of the image's gradient, or 'nearest data', the squared distance to the
    nearest of `data`, over the pixels. So a weight means the same for networks whose outputs have other sizes. Of
    each image the best that was met is kept.
    """

    prior: str = "total variation"
    weight: float = 0.1
    learning_rate: float = 0.02
    steps: int = 200

    def __post_init__(self) -> None:
        """Refuse constants that describe no descent."""
        one_of(self.prior, PRIORS, "prior")
        for name in ("weight", "learning_rate"):
            number(getattr(self, name), name)
        whole_number(self.steps, "steps", 1)


@dataclass(frozen=True, eq=False)
class Trained:
    """What training the input made of k images.

    Fields:
        images: after training.
        losses: mean squared difference of outputs and targets, before the first step and after each.
        before: Euclidean distance of the outputs to the targets at the start.
        after: the same of `images`.
        moved: Euclidean distance of each image from its start.
        outside: share of its pixels outside [0, 1].
    """

    images: Float[np.ndarray, "k p"]
    losses: Float[np.ndarray, "steps k"]
    before: Float[np.ndarray, " k"]
    after: Float[np.ndarray, " k"]
    moved: Float[np.ndarray, " k"]
    outside: Float[np.ndarray, " k"]

    @property
    def fall(self) -> Float[np.ndarray, " k"]:
        """The share of the distance that training took away; negative where it rose."""
        return 1 - self.after / self.before


def train_input(model: nn.Module, images, targets, how: Descent | InBox, data=None, progress: bool = True) -> Trained:
    r"""Move images so that the outputs of a frozen network come nearer to target outputs.

    Descends on $\frac1m\|f(x_k) - t_k\|^2$ for all images at once; in eval mode they don't feel each other, so a batch
    gives what one image at a time would. The model is left as it was: no weight, gradient, mode or buffer changes.

    Args:
        model: a classifier in eval mode, on the CPU.
        images: (k, pixels), where to start.
        targets: (k, m), a row for each image.
        how: `Descent` or `InBox`.
        data: (N, pixels), images for the prior 'nearest data'.
        progress: show a bar.

    Raises:
        BadInput: for a network in training mode, targets that aren't finite numbers of the shape of the outputs, or a
            descent that left the finite numbers.

    Source: section 2.4, paragraph 4, and section 3, last paragraph of the paper.

    >>> from vsbook.models import create
    >>> model, start = create("fcnn1", 0).eval(), np.full((1, 784), 0.5)
    >>> found = train_input(model, start, np.ones((1, 10)), Descent(), progress=False)
    >>> bool((found.after < found.before).all()), found.losses.shape
    (True, (101, 1))
    """
    dtype = in_eval_mode(model).dtype
    start = as_vectors(images, None, "images").reshape(len(images), -1)
    before = output_statistics(model, start, progress=False).values
    targets = as_targets(targets, before.shape)
    wanted, x = torch.from_numpy(targets).to(dtype), torch.from_numpy(start).to(dtype)
    if isinstance(how, Descent):
        x, losses = _descend(model, x, wanted, how, progress)
    else:
        prior = _prior(instance_of(how, InBox, "how"), data, start.shape[1])
        x, losses = _descend_in_box(model, x, wanted, how, prior, progress)
    if not x.isfinite().all():
        raise BadInput(f"how: expected steps that stay finite, got a learning rate of {how.learning_rate}; take less")
    return _record(model, start, x.double().numpy(), before - targets, targets, losses.double().numpy())


def _record(model, start, reached, error, targets, losses) -> Trained:
    after = output_statistics(model, reached, progress=False).values - targets
    outside = ((reached < 0) | (reached > 1)).mean(axis=1)
    moved = np.linalg.norm(reached - start, axis=1)
    return Trained(reached, losses, np.linalg.norm(error, axis=1), np.linalg.norm(after, axis=1), moved, outside)


def _losses(model: nn.Module, x: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """One number an image: the mean over the outputs."""
    return ((model(x) - wanted) ** 2).mean(dim=1)


def _steps(how, progress: bool):
    return tqdm(range(how.steps), unit="step", disable=not progress, mininterval=0.5, leave=False)


def _descend(model, x, wanted, how, progress):
    """The sum over images has, for each image, the gradient that it would have alone."""
    losses = []
    for _ in _steps(how, progress):
        x = x.detach().requires_grad_()
        loss = _losses(model, x, wanted)
        losses.append(loss.detach())
        # asks for the input's gradient alone: the parameters' .grad stay untouched
        x = x.detach() - how.learning_rate * torch.autograd.grad(loss.sum(), x)[0]
    with torch.no_grad():
        return x, torch.stack([*losses, _losses(model, x, wanted)])


def _descend_in_box(model, x, wanted, how, prior, progress):
    scale = _losses(model, x, wanted).detach().clamp(min=torch.finfo(x.dtype).tiny)
    x = x.clamp(0, 1)
    optimiser = torch.optim.Adam([x], how.learning_rate)
    losses, best, least = [], x.clone(), torch.full_like(scale, torch.inf)
    for step in _steps(how, progress):
        x.requires_grad_()
        loss = _losses(model, x, wanted)
        whole = loss / scale + how.weight * prior(x)
        better = whole.detach() < least
        least, best = torch.minimum(least, whole.detach()), torch.where(better[:, None], x.detach(), best)
        losses.append(loss.detach())
        x.grad = torch.autograd.grad(whole.sum(), x)[0]
        with torch.no_grad():
            optimiser.step()
            x.clamp_(0, 1)
    return best, torch.stack([*losses, _losses(model, best, wanted).detach()])


def _prior(how: InBox, data, pixels: int) -> Callable[[torch.Tensor], torch.Tensor]:
    if how.prior == "none":
        return lambda x: 0.0
    if how.prior == "total variation":
        side = int(np.sqrt(pixels))
        if side**2 != pixels:
            raise BadInput(
                f"images: expected square ones for the total variation, got {pixels} pixels; take another prior"
            )
        return _total_variation
    known = _comparable(data, pixels, "data")
    half = _half_energies(known)

    def to_nearest(x):
        anchors = known[_nearest_rows(x.detach().double().numpy(), known, half)]
        return ((x - torch.from_numpy(anchors).to(x.dtype)) ** 2).mean(dim=1)

    return to_nearest


def _total_variation(x: torch.Tensor) -> torch.Tensor:
    """Mean over the pixels of the length of the forward difference; the last row and column have none of their own."""
    side = int(np.sqrt(x.shape[1]))
    maps = x.reshape(-1, side, side)
    down, right = maps[:, 1:, :-1] - maps[:, :-1, :-1], maps[:, :-1, 1:] - maps[:, :-1, :-1]
    return (down**2 + right**2 + SMOOTH).sqrt().mean(dim=(1, 2))


def total_variation(images) -> Float[np.ndarray, " k"]:
    r"""Mean length of the gradient of square images, by forward differences: 0 for flat paper, large for noise.

    Raises:
        BadInput: for images that aren't square.

    >>> total_variation([[0.0, 1.0, 0.0, 1.0]]).round(3).tolist()
    [1.0]
    """
    images = np.atleast_2d(as_vectors(images, None, "images"))
    if int(np.sqrt(images.shape[1])) ** 2 != images.shape[1]:
        raise BadInput(f"images: expected square ones, got {images.shape[1]} pixels; flatten square images")
    return _total_variation(torch.from_numpy(images)).numpy()


def nearest(images, among) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """For each image the index of the nearest of `among`, and the Euclidean distance to it.

    Raises:
        BadInput: for images of other sizes, or numbers that aren't finite.

    >>> [found.tolist() for found in nearest([[0.0, 1.0]], [[3.0, 1.0], [0.0, 3.0]])]
    [[1], [2.0]]
    """
    images = np.atleast_2d(as_vectors(images, None, "images"))
    among = _comparable(among, images.shape[1], "among")
    found = _nearest_rows(images, among, _half_energies(among))
    return found, np.linalg.norm(images - among[found], axis=1)  # anew: the scores have lost digits


def _comparable(among, pixels: int, name: str) -> np.ndarray:
    among = as_real(among, name)
    if among.ndim != 2 or among.shape[1] != pixels:
        raise BadInput(f"{name}: expected (N, {pixels}), got shape {among.shape}; take images of one size")
    return among


def _half_energies(among: np.ndarray) -> np.ndarray:
    return 0.5 * np.einsum("np,np->n", among, among)


def _nearest_rows(images: np.ndarray, among: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Smallest |a|^2 / 2 - x a, which orders as |x - a|^2 does; a hundred images at a time, so that memory stays small."""
    blocks = np.array_split(images.astype(among.dtype), -(-len(images) // 100))
    return np.concatenate([(half - block @ among.T).argmin(axis=1) for block in blocks])


@dataclass(frozen=True, eq=False)
class Naturalness:
    """How far images are from the nearest training image, beside images that nobody made up.

    Fields:
        distances: of each image to the nearest training image.
        nearest: which one that is.
        reference: the same distances for images of the reference, such as test images.
        percentiles: share of the reference that is nearer than the image, from 0 to 100. 0 is a copy, or as good as
            one; 100 is farther than all. An average is blurry and near to many, so a low number is no proof of a digit.
    """

    distances: Float[np.ndarray, " k"]
    nearest: Int[np.ndarray, " k"]
    reference: Float[np.ndarray, " r"]

    @property
    def percentiles(self) -> Float[np.ndarray, " k"]:
        """Place of each distance among those of the reference."""
        return 100 * (self.reference < self.distances[:, None]).mean(axis=1)


def naturalness(images, training, reference) -> Naturalness:
    """Distance to the nearest training image against that of other real images (see `Naturalness`).

    Args:
        images: (k, p), to be judged.
        training: (N, p), the training images.
        reference: (r, p), images like the training images that aren't among them: test images.

    Raises:
        BadInput: for images of other sizes, or numbers that aren't finite.

    >>> naturalness([[0.0], [5.0]], [[0.0], [1.0]], [[0.5], [1.25], [9.0]]).percentiles.round(1).tolist()
    [0.0, 66.7]
    """
    found, distances = nearest(images, training)
    return Naturalness(distances, found, nearest(reference, training)[1])


@dataclass(frozen=True)
class BatchNorm:
    """One layer of batch normalisation in training mode.

    Fields:
        name: dotted.
        places: pixels of a map that comes in, height times width.
        variance: of what comes in, over copies and places; the median over channels.
        eps: what is added to it before the root.
        moved: how far the running variance went in one pass, over its length: a buffer, which no gradient freezes.
    """

    name: str
    places: int
    variance: float
    eps: float
    moved: float


@dataclass(frozen=True, eq=False)
class Copies:
    """A batch of identical copies of one image in training mode, beside the image in eval mode.

    Fields:
        evaluated: the outputs in eval mode.
        outputs: those of the first copy in training mode.
        slope_evaluated: length of the Jacobian of the outputs with respect to the image (Frobenius), in eval mode.
        slope: the same in training mode, all copies moving together.
        layers: what its batch normalisation does there.
    """

    evaluated: Float[np.ndarray, " m"]
    outputs: Float[np.ndarray, " m"]
    slope_evaluated: float
    slope: float
    layers: tuple[BatchNorm, ...]


def copies_in_training_mode(model: nn.Module, image, copies: int = COPIES) -> Copies:
    r"""What a network says of a batch of identical copies while its batch normalisation is in training mode.

    A channel is replaced by $\beta + \gamma (x - \bar x) / \sqrt{s^2 + \varepsilon}$ with mean and variance over copies and
    places. Where a map has one pixel, all those numbers are the same: $x - \bar x = 0$, and what comes out is $\beta$,
    whatever the image. Works on a deep copy; the model is left as it was.

    Args:
        model: a classifier in eval mode.
        image: (p,), one image.
        copies: in the batch.

    Raises:
        BadInput: for a network in training mode, or an image that isn't one vector of finite numbers.

    Source: the authors' public code, which repeats one image 32 times and never calls eval on its ResNet18.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    >>> found = copies_in_training_mode(net, [1.0, 2, 3, 4])
    >>> found.outputs.round(6).tolist(), found.slope < 1e-3 < found.slope_evaluated
    ([0.0, 0.0, 0.0], True)
    """
    x = _one_image(model, image)
    evaluated, slope_evaluated = _outputs_and_slope(copy.deepcopy(model), x, 1)
    learner = copy.deepcopy(model).train()
    norms = {name: m for name, m in learner.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    before = {name: m.running_var.clone() for name, m in norms.items() if m.running_var is not None}
    with _incoming(norms) as seen:
        outputs, slope = _outputs_and_slope(learner, x, whole_number(copies, "copies", 2))
    moved = {name: float((norms[name].running_var - start).norm() / start.norm()) for name, start in before.items()}
    layers = tuple(BatchNorm(name, *seen[name], m.eps, moved.get(name, 0.0)) for name, m in norms.items())
    return Copies(evaluated, outputs, slope_evaluated, slope, layers)


def _one_image(model: nn.Module, image) -> torch.Tensor:
    dtype = in_eval_mode(model).dtype
    image = as_vectors(image, None, "image")
    if image.ndim != 1:
        raise BadInput(f"image: expected one flattened image, got shape {image.shape}; choose a row")
    output_statistics(model, image[None], progress=False)  # refuses what the network doesn't take
    return torch.from_numpy(image).to(dtype)


def _outputs_and_slope(model: nn.Module, x: torch.Tensor, copies: int) -> tuple[np.ndarray, float]:
    x = x.clone().requires_grad_()
    outputs = model(x.expand(copies, -1))[0]
    rows = [torch.autograd.grad(value, x, retain_graph=True)[0] for value in outputs]
    return outputs.detach().double().numpy(), float(torch.stack(rows).norm())


@contextmanager
def _incoming(norms: dict[str, nn.Module]):
    """Places and variance of what comes into each layer, of the last pass; the hooks are gone afterwards."""
    seen = {}

    def watch(name):
        def keep(_, inputs):
            channels = inputs[0].detach().double().transpose(0, 1).flatten(1)  # a row for each channel
            seen[name] = int(np.prod(inputs[0].shape[2:])), float(channels.var(dim=1, correction=0).median())

        return keep

    handles = [module.register_forward_pre_hook(watch(name)) for name, module in norms.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def train_copies(model: nn.Module, images, target, how: Descent, progress: bool = True) -> Float[np.ndarray, " steps"]:
    r"""Losses while a batch of images is trained for one target with the network in *training* mode: a mistake, repeated.

    The loss is the mean of $(f(x_k) - t)^2$ over images and outputs, before the first step and after each. Works on a
    deep copy of the network, whose running statistics move; its weights are frozen.

    Args:
        model: a classifier in eval mode.
        images: (k, p), k at least 2: identical copies, or not.
        target: (m,), for all of them.
        how: the constants of the descent.
        progress: show a bar.

    Raises:
        BadInput: as `train_input`.

    Source: the authors' public code, for ResNet18.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    >>> losses = train_copies(net, np.ones((32, 4)), [1.0, 2, 3], Descent(steps=5), progress=False)
    >>> losses.round(4).tolist()
    [4.6667, 4.6667, 4.6667, 4.6667, 4.6667, 4.6667]
    """
    dtype, start = in_eval_mode(model).dtype, as_vectors(images, None, "images")
    shape = output_statistics(model, start, progress=False).values.shape
    target = as_targets(np.tile(as_vectors(target, None, "target"), (len(start), 1)), shape)
    if len(start) < 2:
        raise BadInput("images: expected at least 2, got 1; training mode needs a batch")
    x, wanted = torch.from_numpy(start).to(dtype), torch.from_numpy(target).to(dtype)
    each = replace(instance_of(how, Descent, "how"), learning_rate=how.learning_rate / len(start))
    _, losses = _descend(copy.deepcopy(model).train(), x, wanted, each, progress)
    return losses.mean(dim=1).double().numpy()

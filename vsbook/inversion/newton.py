r"""Whole-network inversion: from an output back to an image, by damped Gauss-Newton steps of minimum norm.

Source: section 2.4 of the paper, which asks for input images that give a wanted output, for any network. Equation (5)
goes back layer by layer and fails where a layer's inputs leave the range of the activation before it. Here the pseudo-
inverse is that of the whole network's Jacobian, and every point on the way is an image.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import nn
from tqdm import tqdm

from vsbook.checks import BadInput, as_real, as_rows, number, whole_number
from vsbook.linalg.lengths import lengths, lengths_or_one
from vsbook.linalg.subspaces import rank_tolerance
from vsbook.networks.outputs import refuse_moods, refuse_training, shareable
from vsbook.shown import Shown

__all__ = ["Preimages", "invert"]

BATCH = 250  # images at a time; more take more memory and no less time
SHORTEST = 2.0**-30  # step length at which the line search gives up
NUDGES, NUDGE = 3, 2.0**-50  # copies of a network that show how rounding moves its outputs, and the weights' share


@dataclass(frozen=True, eq=False, repr=False)
class Preimages(Shown):
    """Images that a network maps to given outputs, or as near as the steps came.

    `images` have the shape of the starts and the unit of pixels. `converged`: whether the output was reached, and is
    when the network is asked again and its weights move by their rounding: what float64 can't tell isn't reached.
    `steps`: Jacobians that were taken. `errors`: relative forward errors, the distance of the image's output to the
    target over the length of the target (over 1 for a target of zeros); infinite where the output isn't finite.
    `distances`: from the start to the image, at most the largest of float64.
    """

    images: Float[np.ndarray, "N ..."]
    converged: Bool[np.ndarray, " N"]
    steps: Int[np.ndarray, " N"]
    errors: Float[np.ndarray, " N"]
    distances: Float[np.ndarray, " N"]


def invert(
    model: nn.Module, targets, starts, *, tolerance: float = 1e-10, max_steps: int = 100, progress: bool = True
) -> Preimages:
    r"""Images x with F(x) = target, each found from its own start, in float64.

    $x \leftarrow x + t\,J(x)^+ (\text{target} - F(x))$ with the Jacobian J of the whole network: the smallest step
    that solves the linearised equation. It lies in the row space of J, so that what the network can't see at x stays
    as it is: the start chooses the point in the fibre. $t$ is halved until the distance to the target falls. A start
    where an activation is saturated may come back as not converged: the Jacobian hardly sees that unit there.

    Args:
        model: any network in eval mode from images (N, ...) to outputs (N, m).
        targets: (N, m) outputs. Those that can't be reached come back as not converged.
        starts: (N, ...) images in the shape that the network takes.
        tolerance: the relative forward error at which an image is done.
        max_steps: after which it is given up.
        progress: show a bar with the images that are done.

    Raises:
        BadInput: for a network in training mode, with weights that aren't finite or parts that are random, or one that
            can't be copied, differentiated or run in float64; for arrays that aren't finite or of other shapes.

    Source: equation (5) of the paper with J^+ in the place of W^+.

    >>> from vsbook.networks import create
    >>> found = invert(create("fcnn5", 0).eval(), np.zeros((1, 10)), np.full((1, 784), 0.5), progress=False)
    >>> bool(found.converged[0]), bool(found.errors[0] < 1e-10)
    (True, True)
    """
    targets, starts = _arrays(targets, starts)
    tolerance, max_steps = number(tolerance, "tolerance"), whole_number(max_steps, "max_steps")
    with torch.inference_mode(False):  # whatever the caller has switched on: no gradient knows tensors made in it
        network = _network(model)
        _fits(network, targets, starts)
        nudged, parts = [_nudged(network, seed) for seed in range(NUDGES)], []
        with tqdm(total=len(targets), unit="image", disable=not progress, mininterval=0.5, leave=False) as bar:
            for first in range(0, len(targets), BATCH):
                batch = slice(first, first + BATCH)
                refuse_moods(network, torch.from_numpy(starts[batch]))
                found = _invert(network, targets[batch], starts[batch], tolerance, max_steps)
                parts.append((*found, _largest(network, nudged, *found[::2], targets[batch])))
                bar.update(len(found[0]))
    images, steps, errors, largest = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    with np.errstate(over="ignore"):
        distances = np.minimum(lengths((images - starts).reshape(len(starts), -1)), np.finfo(np.float64).max)
    return Preimages(images, largest <= tolerance, steps, errors, distances)


def _arrays(targets, starts) -> tuple[Float[np.ndarray, "N m"], Float[np.ndarray, "N ..."]]:
    targets = as_rows(targets, None, "targets", lone=False)
    starts = as_real(starts, "starts").astype(np.float64)
    if starts.ndim < 2 or len(targets) != len(starts):
        came = f"shapes {targets.shape} and {starts.shape}"
        raise BadInput(f"starts: expected one for each target of (N, m), got {came}; put batches in the first axis")
    if not np.isfinite(lengths(targets)).all():
        raise BadInput("targets: expected vectors with a length within float64, got longer ones; scale them down")
    return shareable(targets), starts


def _network(model: nn.Module) -> nn.Module:
    """A copy in float64 whose weights want no gradients; nothing is changed in the network itself."""
    refuse_training(model)
    try:
        network = copy.deepcopy(model).double().requires_grad_(False)
    except Exception as error:
        raise BadInput(f"model: expected a network that can be copied in float64, got {error}; simplify it") from error
    finite = all(weight.isfinite().all() for weight in network.parameters())
    if not finite or any(buffer.isnan().any() for buffer in network.buffers()):
        raise BadInput("model: expected finite weights, got NaN or infinities; was the training stable?")
    return network


def _fits(network: nn.Module, targets: np.ndarray, starts: np.ndarray) -> None:
    """Try one image: the outputs are those of the targets, and there is a way back to the pixels."""
    try:
        y, _ = _linearised(network, torch.from_numpy(starts[:1]))
    except BadInput:
        raise
    except Exception as error:  # whatever the network's own code raises
        raise BadInput(
            f"starts: expected images that the network takes in float64 and can be differentiated at, got shape "
            f"{starts.shape} ({error}); reshape them, or take another network"
        ) from error
    if y.shape[1:] != targets.shape[1:]:
        raise BadInput(
            f"targets: expected outputs of the network, (N, {y.shape[1]}), got shape {targets.shape}; one output a row"
        )


def _nudged(network: nn.Module, seed: int) -> nn.Module:
    """A copy whose weights are off by a few units in the last place, up or down: what rounding amounts to.

    A sum of products, rounded, is the exact one of weights that are off by so little (Wilkinson's backward error).
    """
    nudged, generator = copy.deepcopy(network), np.random.default_rng(seed)
    with torch.no_grad():
        for weight in (*nudged.parameters(), *nudged.buffers()):
            if weight.is_floating_point():  # a count stays as it is
                weight.data = weight * torch.from_numpy(1 + NUDGE * generator.choice([-1.0, 1.0], tuple(weight.shape)))
    return nudged


def _largest(network: nn.Module, nudged: list[nn.Module], images, errors, targets: np.ndarray) -> np.ndarray:
    """The errors that there may be (N,), relative: now that all images are asked together, and with nudged weights."""
    x, sizes = torch.from_numpy(images), lengths_or_one(targets)
    with torch.no_grad():
        said = network(x)
        moves = [lengths((again(x) - said).numpy()) for again in (network, *nudged)]
    doubts = np.nan_to_num(np.max(moves, axis=0), nan=np.inf) / sizes
    return np.fmax(errors, lengths(said.numpy() - targets) / sizes) + doubts


def _linearised(
    network: nn.Module, x: Float[torch.Tensor, "N ..."]
) -> tuple[Float[torch.Tensor, "N m"], Float[torch.Tensor, "N m n"]]:
    """Outputs (N, m) and Jacobians (N, m, n) at images (N, ...): one pass forward, and one back for each output."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        y = network(x)
        if y.ndim != 2 or len(y) != len(x):
            raise TypeError(f"outputs of shape {tuple(y.shape)}, not one vector an image")
        rows = [torch.autograd.grad(y[:, k].sum(), x, retain_graph=True)[0] for k in range(y.shape[1])]
    return y.detach(), torch.stack([row.flatten(1) for row in rows], dim=1)


def _least_steps(J: Float[torch.Tensor, "N m n"], residuals: Float[torch.Tensor, "N m"]) -> Float[torch.Tensor, "N n"]:
    """J^+ r for each image, (N, n), through J' = Q R: the Gram matrix J J' would lose half of the digits."""
    J = torch.where(J.isfinite().all(dim=(1, 2), keepdim=True), J, 0.0)  # no way on from where it isn't
    Q, R = torch.linalg.qr(J.transpose(1, 2))
    U, s, Vh = torch.linalg.svd(R, full_matrices=False)  # J = Vh' s U' Q'
    floors = torch.tensor([rank_tolerance(values, J.shape[1:], np.float64) for values in s.numpy()])
    inverses = torch.where(s > floors[:, None], 1 / s, 0.0)
    return (Q @ (U @ (inverses[:, :, None] * (Vh @ residuals[:, :, None]))))[:, :, 0]


def _misses(
    network: nn.Module, x: Float[torch.Tensor, "N ..."], targets: Float[torch.Tensor, "N m"]
) -> Float[torch.Tensor, " N"]:
    """Distances of the outputs to the targets (N,); infinite where the output isn't finite."""
    with torch.no_grad():
        miss = torch.from_numpy(lengths((network(x) - targets).numpy()))
    return torch.where(miss.isfinite(), miss, torch.inf)


def _invert(
    network, targets, starts, tolerance, max_steps
) -> tuple[Float[np.ndarray, "N ..."], Int[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Images, steps and relative errors of one batch; whoever is done or stuck is no longer computed."""
    sizes, targets, x = (
        torch.from_numpy(lengths_or_one(targets)),
        torch.from_numpy(targets),
        torch.from_numpy(starts).clone(),
    )
    miss, steps = _misses(network, x, targets), torch.zeros(len(x), dtype=torch.int64)
    left = torch.arange(len(x))
    for _ in range(max_steps):
        left = left[miss[left] > tolerance * sizes[left]]
        if not len(left):
            break
        y, J = _linearised(network, x[left])
        directions = _least_steps(J, targets[left] - y).reshape(x[left].shape)
        steps[left] += 1
        left = left[_line_search(network, targets, x, miss, left, directions)]
    return x.numpy(), steps.numpy(), (miss / sizes).numpy()


def _line_search(network, targets, x, miss, left, directions) -> Bool[torch.Tensor, " n={len(left)}"]:
    """Move the images `left` of x along their directions, halved until the miss falls; returns a mask of who moved.

    The full step would take the whole miss away if the network were linear; a ten-thousandth of that is asked for.
    """
    length, waiting = 1.0, torch.arange(len(left))
    moved = torch.zeros(len(left), dtype=torch.bool)
    while len(waiting) and length > SHORTEST:  # thirty times at most
        chosen = left[waiting]
        trial = x[chosen] + length * directions[waiting]
        finite = trial.flatten(1).isfinite().all(dim=1).reshape(-1, *[1] * (x.ndim - 1))
        trial = torch.where(finite, trial, x[chosen])  # never leaves the finite numbers
        found = _misses(network, trial, targets[chosen])
        better = found < (1 - 1e-4 * length) * miss[chosen]
        x[chosen[better]], miss[chosen[better]] = trial[better], found[better]
        moved[waiting[better]] = True
        waiting, length = waiting[~better], length / 2
    return moved

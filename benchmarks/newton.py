"""Whole-network inversion: a batch against one image at a time, side by side in one run.

Two peers, each on a part of the outputs: our own function with one output a call, and the loop that one writes first,
with `torch.func.jacrev`, `torch.linalg.pinv` and a halving line search. All start from the class average, and images
are compared by the time that one takes.
"""

import copy

import numpy as np
import torch
from torch import nn

from benchmarks.pairs import ratio
from vsbook.inversion.newton import BATCH, invert
from vsbook.inversion.starts import STARTS, starting_images
from vsbook.networks.checkpoints import load
from vsbook.networks.data import mnist_split
from vsbook.networks.outputs import logits

NETWORKS = ("fcnn1", "fcnn5", "fcnn5_leaky_relu")
MANY, FEW = 1000, 50
GOAL = 1e-10
PAIRS = 5  # fewer, since each takes long


def batched(model: nn.Module, targets: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Ours."""
    return invert(model, targets, starts, tolerance=GOAL, progress=False).images


def singly(model: nn.Module, targets: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Ours, one output a call."""
    return np.concatenate([batched(model, t[None], x[None]) for t, x in zip(targets, starts, strict=True)])


def plainly(model: nn.Module, targets: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """A loop over the outputs, with a pseudo-inverse of each Jacobian."""
    network, images = copy.deepcopy(model).double(), []
    with torch.no_grad():
        for target, x in zip(torch.from_numpy(targets), torch.from_numpy(starts), strict=True):
            while (miss := (network(x[None])[0] - target).norm()) > GOAL * target.norm():
                J = torch.func.jacrev(lambda z: network(z[None])[0])(x)
                step, length = torch.linalg.pinv(J) @ (target - network(x[None])[0]), 1.0
                while (network((x + length * step)[None])[0] - target).norm() >= (1 - 1e-4 * length) * miss:
                    length /= 2
                x = x + length * step
            images.append(x.numpy())
    return np.array(images)


def main() -> None:
    """Print one line a network: how much longer an image takes the peers, and by how much images differ."""
    split = mnist_split(0)
    print(f"\nwhole-network inversion; {torch.get_num_threads()} threads, ours in batches of {BATCH}, float64")
    print(f"{'network':>18}  {'ours one by one / batched':>25}  {'plain loop / batched':>20}  {'difference':>10}")
    for name in NETWORKS:
        model = load(name)
        targets = logits(copy.deepcopy(model).double(), split.test.images[:MANY]).numpy()
        starts = starting_images(model, targets, split.train, STARTS[0])
        few, many = (model, targets[:FEW], starts[:FEW]), (model, targets, starts)
        ratios = [
            ratio(lambda peer=peer, few=few: peer(*few), lambda many=many: batched(*many), (FEW, MANY), PAIRS)
            for peer in (singly, plainly)
        ]
        difference = np.abs(batched(*few) - plainly(*few)).max()
        print(f"{name:>18}  {ratios[0]!s:>25}  {ratios[1]!s:>20}  {difference:10.0e}")
    print(f"{MANY} outputs in batches, {FEW} one at a time")


if __name__ == "__main__":
    main()

"""Ideal outputs and min-img: one batched pass against one image at a time, side by side in one run.

The peer does what the paper's text says: it asks the network for one image at a time, keeps the largest and smallest
outputs, and asks again to find the nearest for each class. For ResNet18 each image is repeated 32 times, as in the
authors' code; there it is timed on a sample, and both are compared by the time an image takes.
"""

import numpy as np
import torch
from torch import nn

from benchmarks.pairs import ratio
from vsbook.inversion.ideal import ideal_outputs, nearest_outputs
from vsbook.networks.checkpoints import load
from vsbook.networks.data import mnist_split
from vsbook.networks.outputs import BATCH, output_statistics

NETWORKS = {"fcnn1": (50_000, 5_000, 1), "fcnn5": (50_000, 5_000, 1), "resnet18": (1_000, 20, 32)}
READING = "own minima"
PAIRS = 5  # fewer, since each takes long


def ours(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """Index of the min-img of each class."""
    values = output_statistics(model, images, progress=False).values
    return nearest_outputs(ideal_outputs(values, READING), values)


def peer(model: nn.Module, images: np.ndarray, copies: int) -> np.ndarray:
    """The same, one image at a time and twice."""
    low, high = torch.full((10,), torch.inf), torch.full((10,), -torch.inf)
    best, least = torch.zeros(10, dtype=int), torch.full((10,), torch.inf)
    with torch.no_grad():
        for image in images:
            output = model(torch.from_numpy(image).repeat(copies, 1))[0]
            low, high = torch.minimum(low, output), torch.maximum(high, output)
        ideal = torch.where(torch.eye(10, dtype=bool), high, low)
        for number, image in enumerate(images):
            output = model(torch.from_numpy(image).repeat(copies, 1))[0]
            distances = (ideal - output).norm(dim=1)
            best, least = torch.where(distances < least, number, best), torch.minimum(least, distances)
    return best.numpy()


def main() -> None:
    """Print one line a network: how much longer an image takes the peer, and whether both find the same images."""
    images = mnist_split(0).train.images
    print(f"\nideal outputs and min-img; {torch.get_num_threads()} threads, ours in batches of {BATCH}")
    print(f"{'network':>12}  {'one at a time / ours':>20}  {'images, peer and ours':>22}  {'copies':>6}  same")
    for name, (many, few, copies) in NETWORKS.items():
        model = load(name)
        same = (ours(model, images[:few]) == peer(model, images[:few], copies)).all()
        found = ratio(
            lambda model=model, few=few, copies=copies: peer(model, images[:few], copies),
            lambda model=model, many=many: ours(model, images[:many]),
            (few, many),
            PAIRS,
        )
        print(f"{name:>12}  {found!s:>20}  {f'{few} and {many}':>22}  {copies:6}  {same}")


if __name__ == "__main__":
    main()

"""The trained networks that the evidence looks at: the paper's two over seeds, and the controls beside them."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_path
from torch import nn

from vsbook.networks.checkpoints import load_checkpoint
from vsbook.networks.data import ASSETS, Split, mnist_split
from vsbook.networks.models import NETWORKS, create
from vsbook.networks.training import PAPER, Recipe

CHECKPOINTS = Path(__file__).parent / "checkpoints"
OBSERVATIONS = Path(__file__).parent / "observations"
LARGEST_SHIFT = 3


@dataclass(frozen=True)
class Variant:
    """A network, trained by the paper's recipe with at most one thing changed."""

    network: str
    seeds: int
    layer: str = "layer1"  # the one whose matrix is looked at
    linear: bool = False  # no SELU on the outputs
    scale: float = 1.0  # factor on the initial weights of that layer
    epochs: int = PAPER.epochs
    shifted: bool = False  # each training image moved once, by up to three pixels each way
    pixels: tuple[float, float] = (0.0, 1.0)  # subtracted from the pixels, and their divisor


VARIANTS = {
    "fcnn1": Variant("fcnn1", 10),
    "fcnn5": Variant("fcnn5", 10),
    "fcnn5_leaky_relu": Variant("fcnn5_leaky_relu", 3),
    "fcnn5_relu": Variant("fcnn5_relu", 3),
    "fcnn5_tanh": Variant("fcnn5_tanh", 3),
    "fcnn1-linear": Variant("fcnn1", 5, linear=True),
    "fcnn1-linear-scale-0": Variant("fcnn1", 3, linear=True, scale=0.0),
    "fcnn1-scale-0": Variant("fcnn1", 3, scale=0.0),
    "fcnn1-scale-0.25": Variant("fcnn1", 3, scale=0.25),
    "fcnn1-scale-0.5": Variant("fcnn1", 3, scale=0.5),
    "fcnn1-scale-2": Variant("fcnn1", 3, scale=2.0),
    "fcnn1-scale-4": Variant("fcnn1", 3, scale=4.0),
    "fcnn1-shifted": Variant("fcnn1", 5, shifted=True),
    "fcnn1-standardised": Variant("fcnn1", 3, pixels=(0.1307, 0.3081)),  # mean and deviation of MNIST's pixels
    "fcnn1-centred": Variant("fcnn1", 3, pixels=(0.5, 0.5)),  # pixels from -1 to 1
    "resnet18": Variant("resnet18", 5, layer="layer1.0.conv1"),
    # Batch normalisation makes the layer blind to its scale: the same function at the start, with gradients ten times
    # as large on weights a tenth as large, so that training soon outweighs the start.
    "resnet18-small-start": Variant("resnet18", 3, layer="layer1.0.conv1", scale=0.1, epochs=4),
}


def checkpoint_path(name: str, seed: int) -> Path:
    """Seed 0 of the paper's networks travels in the package; everything else stays with the evidence."""
    folder = ASSETS / "checkpoints" if seed == 0 and name in NETWORKS else CHECKPOINTS
    return folder / f"{name}-seed{seed}.safetensors"


def kernels_path(name: str, seed: int) -> Path:
    """One layer of a ResNet18 before and after training: they all travel in the package."""
    return ASSETS / "kernels" / f"{name}-seed{seed}.safetensors"


def observation_path(name: str) -> Path:
    """What took long to compute, or needed a network that doesn't ship; `vsbook.ledger.observation` reads it."""
    return OBSERVATIONS / f"{name}.json"


def initial(name: str, seed: int) -> nn.Module:
    """The network before training."""
    variant = VARIANTS[name]
    model = create(variant.network, seed)
    if variant.linear:
        model.selu1 = nn.Identity()
    if variant.scale != 1:
        with torch.no_grad():
            model.get_submodule(variant.layer).weight.mul_(variant.scale)
    return model


def recipe(name: str) -> Recipe:
    """The paper's, but for the epochs of a control."""
    return replace(PAPER, epochs=VARIANTS[name].epochs)


def trained(name: str, seed: int) -> nn.Module:
    """The network after training, in eval mode."""
    model = load_checkpoint(checkpoint_path(name, seed), VARIANTS[name].network)
    if VARIANTS[name].linear:
        model.selu1 = nn.Identity()
    return model.eval()  # a new part comes in training mode


def on_accelerator(model: nn.Module) -> nn.Module:
    """The network on a GPU, if there is one, in full single precision: a ResNet18 takes minutes there."""
    torch.backends.cudnn.allow_tf32 = False
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def trained_on(model: nn.Module) -> dict[str, str]:
    """For a checkpoint's header: the device on which its network was trained."""
    return {"device": torch.cuda.get_device_name() if next(model.parameters()).is_cuda else "CPU"}


def whole_path(name: str, seed: int) -> Path:
    """Where a whole ResNet18 that doesn't ship is kept for the surveys: on this machine alone."""
    return user_cache_path("vsbook") / "networks" / f"{name}-seed{seed}.safetensors"


def rounded_to_half(model: nn.Module) -> None:
    """Round the weights in place to half precision: so they ship, and so they are measured for every seed."""
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())


def shift(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Move flattened 28 x 28 images by whole pixels; what comes in is paper, what leaves is lost."""
    padded = np.pad(images.reshape(-1, 28, 28), ((0, 0), (28, 28), (28, 28)))
    return padded[:, 28 - down : 56 - down, 28 - right : 56 - right].reshape(images.shape)


def split_for(name: str, seed: int) -> Split:
    """What the variant is trained and tested on: MNIST by the recipe, moved about or rescaled for controls."""
    split, variant = mnist_split(seed), VARIANTS[name]
    if variant.shifted:
        split = replace(split, train=replace(split.train, images=_moved_about(split.train.images, seed)))
    if variant.pixels == (0.0, 1.0):
        return split
    mean, deviation = (np.float32(number) for number in variant.pixels)
    return Split(
        *(
            replace(part, images=(part.images - mean) / deviation)
            for part in (split.train, split.validation, split.test)
        )
    )


def _moved_about(images: np.ndarray, seed: int) -> np.ndarray:
    moves = np.random.default_rng([seed, 1]).integers(-LARGEST_SHIFT, LARGEST_SHIFT + 1, (len(images), 2))
    moved = images.copy()
    for down, right in np.unique(moves, axis=0):
        chosen = (moves == (down, right)).all(axis=1)
        moved[chosen] = shift(images[chosen], down, right)
    return moved

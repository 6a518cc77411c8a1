"""The networks of the paper, by name, with initial weights that a seed determines.

Source: section 3 of the paper; the SELU on the outputs of the one-layer network follows the authors' code.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from vsbook.checks import one_of, whole_number
from vsbook.networks.coupling import CouplingNetwork, ToyCoupling
from vsbook.networks.draws import DrawnByNumPy

__all__ = ["NETWORKS", "create", "fcnn1", "fcnn5", "resnet18"]

PIXELS, CLASSES = 784, 10


def fcnn1() -> nn.Sequential:
    """784-10, one linear layer with SELU on its ten outputs. Takes images (N, 784) or (N, 28, 28).

    >>> [name for name, _ in fcnn1().named_children()]
    ['flatten', 'layer1', 'selu1']
    """
    return nn.Sequential(OrderedDict(flatten=nn.Flatten(), layer1=nn.Linear(PIXELS, CLASSES), selu1=nn.SELU()))


def fcnn5(activation: Callable[[], nn.Module] = nn.SELU) -> nn.Sequential:
    """784-256-256-128-32-10, with SELU between the layers and none after the last. Takes (N, 784) or (N, 28, 28).

    Its twins have another activation in the place of SELU, under the same names.

    >>> sum(p.numel() for p in fcnn5().parameters())
    304106
    """
    widths = [PIXELS, 256, 256, 128, 32, CLASSES]
    parts = OrderedDict(flatten=nn.Flatten())
    for number, (inputs, outputs) in enumerate(pairwise(widths), start=1):
        parts[f"layer{number}"] = nn.Linear(inputs, outputs)
        parts[f"selu{number}"] = activation()
    parts.popitem()  # no activation after the last layer
    return nn.Sequential(parts)


def resnet18() -> nn.Module:
    """ResNet18 of torchvision for one channel and ten classes. Takes (N, 784), (N, 28, 28) or (N, 1, 28, 28).

    The 7 x 7 stem has PyTorch's default initialisation, as a layer that is put in the place of another has.

    >>> tuple(resnet18().layer1[0].conv1.weight.shape)
    (64, 64, 3, 3)
    """
    import torchvision.models  # here, since it takes 160 MB, which the other networks don't need

    model = torchvision.models.resnet18(num_classes=CLASSES)
    model.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    model.register_forward_pre_hook(_as_maps)
    return model


def _as_maps(_, images: tuple[torch.Tensor]) -> torch.Tensor:
    """Images in any shape as maps of one channel."""
    return images[0].reshape(len(images[0]), 1, 28, 28)


NETWORKS = {
    "fcnn1": fcnn1,
    "fcnn5": fcnn5,
    "fcnn5_leaky_relu": partial(fcnn5, partial(nn.LeakyReLU, 0.1)),  # its range is all of R
    "fcnn5_relu": partial(fcnn5, nn.ReLU),  # not one to one
    "fcnn5_tanh": partial(fcnn5, nn.Tanh),
    "resnet18": resnet18,
    "invertible": CouplingNetwork,
    "invertible_toy": ToyCoupling,
}


def create(network: str, seed: int) -> nn.Module:
    """A network with its initial weights: PyTorch's default initialisation, the same on every processor.

    The numbers are those that PyTorch draws from that seed, to the last digits (see
    `vsbook.networks.DrawnByNumPy`). The global random state is left as it was.

    Raises:
        BadInput: for a name that is not in `NETWORKS`, or a seed that is no whole number of at least 0.

    >>> bool((create("fcnn1", 3).layer1.weight == create("fcnn1", 3).layer1.weight).all())
    True
    """
    one_of(network, NETWORKS, "network")
    with DrawnByNumPy(whole_number(seed, "seed")):
        return NETWORKS[network]()

# What the wing offers, room by room: `__init__.py` loads a name when it is asked for.

from .checkpoints import RUNS, Kernels, load, load_checkpoint, load_kernels, save_checkpoint
from .coupling import CouplingNetwork, Invertible, ToyCoupling, cosine_matrix, jacobians
from .data import CLASSES, Images, Mnist, Split, class_averages, mnist, mnist_split
from .draws import ROUNDING, DrawnByNumPy
from .layers import Layer, NamedWeights, Seen, capture, named_weights, uncompiled
from .models import NETWORKS, create, fcnn1, fcnn5, resnet18
from .outputs import Outputs, logits, output_statistics
from .training import PAPER, Recipe, evaluate, fit, provenance

__all__ = [
    # data: MNIST
    "CLASSES",
    "Images",
    "Mnist",
    "Split",
    "class_averages",
    "mnist",
    "mnist_split",
    # models: the networks, untrained
    "NETWORKS",
    "create",
    "fcnn1",
    "fcnn5",
    "resnet18",
    # coupling: networks that are invertible by construction
    "CouplingNetwork",
    "Invertible",
    "ToyCoupling",
    "cosine_matrix",
    "jacobians",
    # draws: initial weights, the same on every machine
    "ROUNDING",
    "DrawnByNumPy",
    # layers: any network as named matrices
    "Layer",
    "NamedWeights",
    "Seen",
    "capture",
    "named_weights",
    "uncompiled",
    # outputs: what a network says of images
    "Outputs",
    "logits",
    "output_statistics",
    # checkpoints: trained networks in files
    "RUNS",
    "Kernels",
    "load",
    "load_checkpoint",
    "load_kernels",
    "save_checkpoint",
    # training: the paper's recipe: fit, evaluate
    "PAPER",
    "Recipe",
    "evaluate",
    "fit",
    "provenance",
]

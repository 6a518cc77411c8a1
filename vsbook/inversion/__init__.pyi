# What the wing offers, room by room: `__init__.py` loads a name when it is asked for.

from .certificates import OutOfRange, Separation, check_certificate
from .chains import Chain, Step
from .ideal import READINGS, distances_to, ideal_outputs, lowest_quarter, nearest_outputs
from .image_statistics import Naturalness, low_frequency_share, naturalness, nearest, total_variation
from .input_training import PRIORS, Descent, InBox, Trained, train_input
from .layerwise import ErrorBudget, LayerwiseInverse, error_budget, invert_layers
from .newton import Preimages, invert
from .polytopes import (
    Certificate,
    Piece,
    PieceInverse,
    Walk,
    affine_piece,
    check_infeasible,
    invert_in_pattern,
    pattern,
    walk,
)
from .reachability import Reach, Trace, reach, trace_back
from .starts import STARTS, Starts, ideal_starts, starting_images
from .training_mode import BatchNorm, Copies, copies_in_training_mode, train_copies

__all__ = [
    # chains: linear layers and activations, one after the other
    "Chain",
    "Step",
    # layerwise: equation (5), and the digits that it costs
    "ErrorBudget",
    "LayerwiseInverse",
    "error_budget",
    "invert_layers",
    # reachability: images in a box, or a proof that there is none
    "Reach",
    "Trace",
    "reach",
    "trace_back",
    # certificates: proofs, and their check
    "OutOfRange",
    "Separation",
    "check_certificate",
    # newton: any network as a whole
    "Preimages",
    "invert",
    # polytopes: networks of ReLUs, piece by piece
    "Certificate",
    "Piece",
    "PieceInverse",
    "Walk",
    "affine_piece",
    "check_infeasible",
    "invert_in_pattern",
    "pattern",
    "walk",
    # ideal: ideal outputs, and how far from an output images are
    "READINGS",
    "distances_to",
    "ideal_outputs",
    "lowest_quarter",
    "nearest_outputs",
    # starts: images to start from
    "STARTS",
    "Starts",
    "ideal_starts",
    "starting_images",
    # input_training: an image trained towards an output
    "PRIORS",
    "Descent",
    "InBox",
    "Trained",
    "train_input",
    # training_mode: the same, where batch normalisation is in training mode
    "BatchNorm",
    "Copies",
    "copies_in_training_mode",
    "train_copies",
    # image_statistics: how far an image is from the training images
    "Naturalness",
    "low_frequency_share",
    "naturalness",
    "nearest",
    "total_variation",
]

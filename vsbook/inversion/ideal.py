"""Ideal outputs of a classifier, and how far images are from outputs that are wanted.

Source: section 2.4 and Fig. 3 of the paper. Where its text and the authors' public code differ, both are here.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import nn

from vsbook.checks import BadInput, as_rows, as_vectors, one_of
from vsbook.networks.outputs import output_statistics

__all__ = ["READINGS", "as_targets", "distances_to", "ideal_outputs", "lowest_quarter", "nearest_outputs"]

READINGS = ("own minima", "one minimum")
QUARTER = 25  # percentile of the distances, as the paper has it


def ideal_outputs(outputs, reading: str) -> Float[np.ndarray, "m m"]:
    r"""The ideal output of each class, one a row: $t_{cc} = \max_n y_{nc}$, and off the diagonal by the reading.

    - 'own minima', the paper's text: each other output's own minimum, $t_{cj} = \min_n y_{nj}$. So all rows share
      the minima, and differ where a row has its maximum.
    - 'one minimum', the authors' public code: the minimum of the class's *own* output in all other places,
      $t_{cj} = \min_n y_{nc}$.

    Args:
        outputs: (N, m), of all training images.
        reading: one of `READINGS`.

    Raises:
        BadInput: for outputs that aren't (N, m) finite numbers, or another reading.

    Source: section 2.4, paragraph 3 of the paper.

    >>> ideal_outputs([[5, 0], [1, 3]], "own minima").tolist()
    [[5.0, 0.0], [1.0, 3.0]]
    >>> ideal_outputs([[5, 0], [1, 3]], "one minimum").tolist()
    [[5.0, 1.0], [0.0, 3.0]]
    """
    outputs = as_rows(outputs, None, "outputs", lone=False)
    low, high = outputs.min(axis=0), outputs.max(axis=0)
    others = np.tile(low, (len(low), 1)) if one_of(reading, READINGS, "reading") == "own minima" else low[:, None]
    return np.where(np.eye(len(low), dtype=bool), high, others)


def nearest_outputs(targets, outputs) -> Int[np.ndarray, " k={len(targets)}"]:
    """For each target, a row of (k, m), the index of the nearest of the outputs (N, m): for ideal ones, the min-img.

    Raises:
        BadInput: if they aren't finite numbers, one row of m an image.

    Source: section 2.4, paragraph 4 of the paper.

    >>> nearest_outputs([[5, 1], [0, 3], [9, 0]], [[5, 0], [1, 3]]).tolist()
    [0, 1, 0]
    """
    outputs = as_rows(outputs, None, "outputs", lone=False)
    targets = as_rows(targets, outputs.shape[1], "targets", lone=False)
    return KDTree(outputs).query(targets)[1]


def lowest_quarter(distances: Float[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
    """Which distances are at most the 25th percentile (NumPy's, between two values by proportion).

    >>> lowest_quarter(np.array([4.0, 1, 3, 2, 5])).tolist()
    [False, True, False, True, False]
    """
    return distances <= np.percentile(distances, QUARTER)


def distances_to(model: nn.Module, targets, images) -> Float[np.ndarray, " k={len(images)}"]:
    r"""Euclidean distance $\|f(x_k) - t_k\|$ of the output of each image to its own target, in eval mode.

    Args:
        model: the classifier in eval mode.
        targets: (k, m), one for each image.
        images: (k, pixels).

    Raises:
        BadInput: for a network in training mode, or targets that aren't finite numbers of the shape of the outputs.

    >>> from vsbook.networks import create
    >>> distances_to(create("fcnn1", 0).eval(), np.full((2, 10), 100.0), np.zeros((2, 784))).round().tolist()
    [316.0, 316.0]
    """
    values = output_statistics(model, images, progress=False).values
    return np.linalg.norm(values - as_targets(targets, values.shape), axis=1)


def as_targets(targets, shape: tuple[int, int]) -> Float[np.ndarray, "k={shape[0]} m={shape[1]}"]:
    """Target outputs, one row an image, or `BadInput`."""
    targets = as_vectors(targets, None, "targets")
    if targets.shape != shape:
        raise BadInput(f"targets: expected one row of outputs for each image, {shape}, got {targets.shape}; match them")
    return targets

"""Convolution kernels as vectors, and the matrices that can be made of them: each is the matrix of another map.

Source: section 2.3.1 and Fig. 2 of the paper.
"""

import numpy as np
import scipy  # its parts are loaded when they are used
from jaxtyping import Float

from vsbook.checks import BadInput, as_real, as_vectors, one_of, whole_number

__all__ = [
    "LINES",
    "PATTERNS",
    "convolution_matrix",
    "flattened_kernels",
    "im2col",
    "line_share",
    "pattern_share",
    "two_level_share",
]


def _weight(weight) -> Float[np.ndarray, "outputs inputs *size"]:
    weight = as_real(weight, "weight")
    if weight.ndim < 3:
        raise BadInput(
            f"weight: expected (outputs, inputs, kernel size), got shape {weight.shape}; pass a convolution's weight"
        )
    return weight


def flattened_kernels(weight) -> Float[np.ndarray, "pairs={len(weight)*len(weight[0])} k"]:
    """Every kernel as a row: from the patch of *one* channel to each (output, input) pair, before channels are summed.

    Args:
        weight: (outputs, inputs a group, *kernel size) as a convolution stores it, any unit.

    Raises:
        BadInput: unless there are at least three axes of finite real numbers.

    Source: section 2.3.1 of the paper; Fig. 2 has 4096 rows of 9.

    >>> flattened_kernels(np.arange(12).reshape(2, 3, 1, 2)).shape
    (6, 2)
    """
    weight = _weight(weight)
    return weight.reshape(weight.shape[0] * weight.shape[1], -1)


def im2col(weight, groups: int = 1) -> Float[np.ndarray, "outputs={len(weight)} k"]:
    """An output channel a row: from the patch of *all* channels to the outputs at one position.

    The name is that of the algorithm that computes a convolution by writing its patches as columns. In several groups
    the matrix is block-diagonal: a group's outputs see the patch of that group's inputs, and zeros stand elsewhere.

    Args:
        weight: (outputs, inputs a group, *kernel size) as a convolution stores it, any unit.
        groups: of the convolution; the weight of another number of groups looks the same.

    Raises:
        BadInput: unless there are at least three axes of finite real numbers, and outputs for groups of equal size.

    >>> im2col(np.arange(12).reshape(2, 3, 1, 2)).shape
    (2, 6)
    >>> im2col(np.arange(4).reshape(2, 1, 1, 2), groups=2).tolist()
    [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 3.0]]
    """
    weight, groups = _weight(weight), whole_number(groups, "groups", 1)
    rows = weight.reshape(weight.shape[0], -1)
    if len(rows) % groups:
        raise BadInput(f"groups: expected one that divides the {len(rows)} outputs, got {groups}; take the layer's own")
    if groups == 1:
        return rows
    blocks = np.zeros((groups, len(rows) // groups, groups, rows.shape[1]), rows.dtype)
    blocks[range(groups), :, range(groups)] = rows.reshape(groups, -1, rows.shape[1])
    return blocks.reshape(len(rows), -1)


def convolution_matrix(
    weight, height: int, width: int, stride: int = 1, padding: int = 0
) -> Float[scipy.sparse.csr_array, "outputs inputs={len(weight[0])*height*width}"]:
    r"""The convolution itself: the matrix from whole maps to whole maps, as PyTorch computes it (no kernel is turned).

    $y_{o,i,j} = \sum_{c,a,b} w_{o,c,a,b}\, x_{c,\; i s + a - p,\; j s + b - p}$, zeros around the maps. For
    convolutions in one group and without dilation: the weight of another looks the same, and isn't told apart.

    Args:
        weight: (outputs, inputs, kernel height, kernel width), any unit.
        height: of the maps that come in, in pixels.
        width: as height.
        stride: s, in pixels.
        padding: p, in pixels.

    Returns:
        A sparse matrix for maps flattened channel by channel, row by row.

    Raises:
        BadInput: unless the weight has four axes and the kernel fits into the padded maps.

    Source: section 2.1 of the paper, paragraph 1.

    >>> convolution_matrix(np.ones((1, 1, 1, 2)), 1, 3).toarray().tolist()
    [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]
    """
    weight = as_real(weight, "weight").astype(np.float64)
    sides = [whole_number(value, name, 1) for value, name in ((height, "height"), (width, "width"))]
    stride, padding = whole_number(stride, "stride", 1), whole_number(padding, "padding")
    if weight.ndim != 4 or any(k > side + 2 * padding for k, side in zip(weight.shape[2:], sides, strict=True)):
        raise BadInput(
            f"weight: expected (outputs, inputs, kernel height, kernel width) that fits into {height} x {width} maps "
            f"with {padding} zeros around, got shape {weight.shape}; check the weight and the maps"
        )
    moves = [
        [_moved(side, size, tap, stride, padding) for tap in range(size)]
        for side, size in zip(sides, weight.shape[2:], strict=True)
    ]
    # a sum over the pixels of the kernel: how channels mix there, and which row and which column goes where
    terms = (
        scipy.sparse.kron(weight[:, :, a, b], scipy.sparse.kron(moves[0][a], moves[1][b]), format="csr")
        for a, b in np.ndindex(weight.shape[2:])
    )
    return sum(terms, start=next(terms))


def _moved(side: int, size: int, tap: int, stride: int, padding: int) -> scipy.sparse.csr_array:
    """Along one axis: the 0/1 matrix that takes the pixel under one tap of the kernel to each output."""
    outputs = np.arange((side + 2 * padding - size) // stride + 1)
    inputs = outputs * stride + tap - padding
    inside = (inputs >= 0) & (inputs < side)
    return scipy.sparse.csr_array(
        (np.ones(inside.sum()), (outputs[inside], inputs[inside])), shape=(len(outputs), side)
    )


# Named sets of the nine pixels of a 3 x 3 kernel, in the words of the paper.
_PIXELS = np.arange(9).reshape(3, 3)
LINES = {
    "left column": _PIXELS[:, 0],
    "middle column": _PIXELS[:, 1],
    "right column": _PIXELS[:, 2],
    "top row": _PIXELS[0],
    "middle row": _PIXELS[1],
    "bottom row": _PIXELS[2],
    "falling diagonal": np.diag(_PIXELS),
    "rising diagonal": np.diag(_PIXELS[:, ::-1]),  # it ends in the lower left corner
}
PATTERNS = LINES | {"lower centre": _PIXELS[2, 1:2], "top and bottom rows": _PIXELS[[0, 2]].ravel()}


def pattern_share(kernels, pattern: str) -> Float[np.ndarray, "*batch"]:
    """Share of the energy of 3 x 3 kernels (..., 9) in the pixels of a pattern: between 0 and 1.

    Raises:
        BadInput: for a pattern that isn't in `PATTERNS`, kernels without nine pixels, or a blank kernel.

    Source: the readings of Fig. 2 of the paper.

    >>> float(pattern_share([1, 0, 0, 1, 0, 0, 1, 1, 0], "left column"))
    0.75
    """
    pixels = PATTERNS[one_of(pattern, PATTERNS, "pattern")]
    kernels = as_vectors(kernels, 9, "kernels")
    if not np.all(kernels.any(axis=-1)):
        raise BadInput("kernels: expected some energy in each, got a blank one; leave it out")
    energy = _of_size_one(kernels) ** 2
    return np.asarray(energy[..., pixels].sum(axis=-1) / energy.sum(axis=-1))


def _of_size_one(x: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch n"]:
    """Over a power of two, which is exact, so that squaring neither overflows nor underflows."""
    return np.ldexp(x, -np.frexp(np.abs(x).max(axis=-1, keepdims=True))[1])


def line_share(kernels) -> Float[np.ndarray, "*batch"]:
    """Directional selectivity of 3 x 3 kernels (..., 9): share of the energy in the best of the eight `LINES`.

    A flat kernel has 1/3, a kernel that is one line has 1. The sign of a kernel doesn't matter.

    Raises:
        BadInput: for kernels without nine pixels, or a blank kernel.

    >>> float(line_share([1, 0, 0, 1, 0, 0, 1, 1, 0]))
    0.75
    """
    return np.asarray(np.max([pattern_share(kernels, line) for line in LINES], axis=0))


def two_level_share(images) -> Float[np.ndarray, "*batch"]:
    """Share of the variance of the pixels (..., n) that the best two levels explain (Otsu): 1 if binary.

    For many pixels of normal noise it is 2/pi. The sign of an image doesn't matter.

    Raises:
        BadInput: for an image whose pixels are all equal, or fewer than two pixels.

    Source: the 'binarized' patterns of Figs. 1 and 2 of the paper; Otsu (1979).

    >>> float(two_level_share([5, 1, 5, 1]))
    1.0
    """
    x = _of_size_one(np.sort(as_vectors(images, None, "images"), axis=-1))
    n, total = x.shape[-1], x.sum(axis=-1, keepdims=True)
    variance = x.var(axis=-1)
    # the variance of equal pixels may be rounding, that of pixels too near each other zero
    if not np.all((x[..., 0] < x[..., -1]) & (variance > 0)):
        raise BadInput("images: expected pixels that differ, got an image of equal ones; leave it out")
    k = np.arange(1, n)  # pixels in the lower level
    below = np.cumsum(x, axis=-1)[..., :-1]
    between = k * (n - k) / n**2 * ((total - below) / (n - k) - below / k) ** 2
    return np.asarray(between.max(axis=-1) / variance)

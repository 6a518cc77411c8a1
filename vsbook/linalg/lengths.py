"""Euclidean lengths that neither overflow nor vanish, and relative ones."""

import numpy as np
from jaxtyping import Float

__all__ = ["lengths", "lengths_or_one", "relative_lengths"]


def lengths(rows: Float[np.ndarray, "N n"]) -> Float[np.ndarray, " N"]:
    """Euclidean lengths of rows, whose squares may overflow or vanish; infinite only beyond float64.

    Each row is first brought to a size around 1 by a power of two, which rounds nothing.

    >>> (lengths(1e200 * np.array([[3.0, 4.0], [0.0, 0.0]])) / 1e200).round(9).tolist()
    [5.0, 0.0]
    """
    rows = rows.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        _, exponents = np.frexp(np.abs(rows).max(axis=1))
        return np.ldexp(np.linalg.norm(np.ldexp(rows, -exponents[:, None]), axis=1), exponents)


def lengths_or_one(rows: Float[np.ndarray, "N n"]) -> Float[np.ndarray, " N"]:
    """What to divide by, for a quantity relative to rows: their lengths, and 1 for a row of zeros.

    >>> lengths_or_one(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [5.0, 1.0]
    """
    found = lengths(rows)
    return np.where(found > 0, found, 1.0)


def relative_lengths(rows: Float[np.ndarray, "N n"], reference: Float[np.ndarray, "N n"]) -> Float[np.ndarray, " N"]:
    """Lengths of rows over those of the reference's, absolute where that is zero. At most the largest of float64.

    >>> relative_lengths(np.array([[3.0, 4.0], [3.0, 4.0]]), np.array([[0.0, 10.0], [0.0, 0.0]])).tolist()
    [0.5, 5.0]
    """
    with np.errstate(over="ignore"):
        return np.minimum(lengths(rows) / lengths_or_one(reference), np.finfo(np.float64).max)

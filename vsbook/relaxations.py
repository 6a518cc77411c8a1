"""A network's linear relaxation: activations give way to the convex hulls of their graphs, between bounds.

What comes of it proves nothing by itself: floating point, and hulls of a few points of a graph. It proposes the
multipliers that `vsbook.certificates` checks.

Source: Farkas' lemma and linear programming duality; Ehlers (2017) for the hulls, there of ReLU.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float
from scipy.optimize import linprog

from vsbook.activations import Activation
from vsbook.chains import Step
from vsbook.checks import BadInput

__all__ = ["Relaxed", "nearest_output"]

POINTS = 5  # of an activation's graph, evenly between the bounds: few, since the checker takes the whole graph
NEAR = np.array([-2.0, -1.0, 0.0])  # and where it bends


@dataclass(frozen=True)
class Relaxed:
    """An answer of `nearest_output`: dual vectors, one a layer, the least e, and the image."""

    multipliers: tuple[Float[np.ndarray, " m"], ...]
    excess: float
    image: Float[np.ndarray, " n"]


def nearest_output(steps: tuple[Step, ...], ends, pace, box) -> Relaxed | None:
    """The least e >= 0 for which an a_L of the relaxation lies between ends[0] - e pace[0] and ends[1] + e pace[1].

    Unknowns of the linear programme: the image, a and h = f(a) of each layer, a_L, and e. Between bounds of a, h lies
    in the convex hull of some points of f's graph. None where the solver finds no answer, or bounds leave float64.

    Args:
        steps: the layers; the last one's activation is left to `ends`.
        ends: (2, outputs), what a_L should lie between.
        pace: (2, outputs), above 0, how fast each end gives way.
        box: (low, high), vectors; for several layers finite.
    """
    wide, count = 2 * len(steps) + 1, sum(len(step.bias) for step in steps)
    layers = [_row(wide, {2 * k: step.weight, 2 * k + 1: -np.eye(len(step.bias))}) for k, step in enumerate(steps)]
    try:
        hulls, limits, bounds = _hulls(steps, *box, wide)
    except BadInput:
        return None
    eye = np.eye(len(ends[0]))
    sides = [_row(wide, {wide - 2: sign * eye, wide - 1: -p[:, None]}) for sign, p in zip((-1, 1), pace, strict=True)]
    rows = sparse.block_array([*layers, *hulls, *sides], format="csr")
    # where an input has one bound only, multipliers must have one sign there; this makes sure of it despite rounding
    tilt = 1e-6 * (np.isneginf(box[0]).astype(float) - np.isposinf(box[1]))
    solved = linprog(
        np.concatenate([tilt, np.zeros(rows.shape[1] - len(tilt) - 1), [1.0]]),
        rows[count:],
        np.concatenate([*limits, -ends[0], ends[1]]),
        rows[:count],
        -np.concatenate([step.bias for step in steps]),
        np.concatenate([*bounds, [[-np.inf, np.inf]] * len(eye), [[0.0, np.inf]]]),
        method="highs-ds" if len(steps) == 1 else "highs-ipm",
    )
    if solved.status != 0:
        return None
    cuts = np.cumsum([len(step.bias) for step in steps])[:-1]
    return Relaxed(tuple(np.split(solved.eqlin.marginals, cuts)), float(solved.x[-1]), solved.x[: len(tilt)])


def _hulls(steps: tuple[Step, ...], low: np.ndarray, high: np.ndarray, wide: int) -> tuple[list, list, list]:
    """Rows of the hulls and their limits, and bounds (count, 2) of the image and of each a and h, by intervals."""
    hulls, limits, bounds = [], [], [np.column_stack([low, high])]
    for k, step in enumerate(steps[:-1]):
        middle, radius = step.before(low / 2 + high / 2), np.abs(step.weight) @ (high / 2 - low / 2)
        low, high = middle - radius, middle + radius
        ends = step.activation(low), step.activation(high)  # BadInput where they are beyond float64
        on_a, on_h, limit = _hull(step.activation, low, high)
        hulls.append(_row(wide, {2 * k + 1: on_a, 2 * k + 2: on_h}))
        limits.append(limit)
        bounds.append(np.column_stack([low, high]))
        low, high = ends
        bounds.append(np.column_stack([low, high]))
    return hulls, limits, bounds


def _row(wide: int, blocks: dict) -> list:
    """Blocks in their columns; the others are empty."""
    return [sparse.csr_array(blocks[column]) if column in blocks else None for column in range(wide)]


def _hull(f: Activation, low: np.ndarray, high: np.ndarray) -> tuple:
    """Edges of the convex hull of points of the graph, unit by unit: matrices A, H and limits with A a + H h <= limit.

    An edge joins two points with all others on one side; of points in a row, the first and the last.
    """
    grid = low + (high - low) * np.linspace(0, 1, POINTS)[:, None]
    near = np.clip(NEAR[:, None], low, high)
    p = np.sort(np.concatenate([grid, near]), axis=0)  # (points, units)
    q, slack = f(p), 1e-9 * (high - low)
    units, slopes, offsets, signs = [], [], [], []
    for i, j in itertools.combinations(range(len(p)), 2):
        apart = p[j] - p[i] > slack
        slope = np.divide(q[j] - q[i], p[j] - p[i], out=np.zeros(len(low)), where=apart)
        outside = (p < p[i] - slack) | (p > p[j] + slack)
        over = q - q[i] - slope * (p - p[i])
        for sign in (1, -1):
            edge = apart & np.all(sign * over <= np.where(outside, -slack, slack), axis=0)
            (found,) = np.nonzero(edge)
            units.append(found)
            slopes.append(slope[found])
            offsets.append((q[i] - slope * p[i])[found])
            signs.append(np.full(len(found), sign))
    units, slopes, offsets, signs = (np.concatenate(parts) for parts in (units, slopes, offsets, signs))
    at, shape = (np.arange(len(units)), units), (len(units), len(low))
    return sparse.csr_array((-signs * slopes, at), shape), sparse.csr_array((signs, at), shape), signs * offsets

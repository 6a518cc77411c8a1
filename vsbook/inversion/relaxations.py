"""A network's linear relaxation: activations give way to the convex hulls of their graphs, between bounds.

What comes of it proves nothing by itself: floating point, and hulls of a few points of a graph. It proposes the
multipliers that `vsbook.inversion.certificates` checks.

Source: Farkas' lemma and linear programming duality; Ehlers (2017) for the hulls, there of ReLU.
"""

import itertools
import time
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Float, Int
from scipy.optimize import linprog

from vsbook.checks import BadInput
from vsbook.inversion.chains import Step
from vsbook.linalg.activations import Activation
from vsbook.shown import Shown

__all__ = ["Relaxed", "relaxed_output"]

POINTS = 5  # of an activation's graph, evenly between the bounds: few, since the checker takes the whole graph
NEAR = np.array([-2.0, -1.0, 0.0])  # and where it bends
PLAIN = 16  # powers of two up to which a programme's numbers stay as they are
# Seconds for each entry that the solver's preparation may take: with nothing left after it, HiGHS knows no limit.
PREPARED = 4e-6
ITERATIONS = 10  # of the solver, for each row and column: it takes one or two, or turns in a circle


@dataclass(frozen=True, eq=False, repr=False)
class Relaxed(Shown):
    """An answer of `relaxed_output`: dual vectors, one a layer, the least e, and the image."""

    multipliers: tuple[Float[np.ndarray, " _"], ...]
    excess: float
    image: Float[np.ndarray, " n"]


def relaxed_output(steps: tuple[Step, ...], ends, pace, box, until: float) -> Relaxed | None:
    """The least e >= 0 for which an a_L of the relaxation lies between ends[0] - e pace[0] and ends[1] + e pace[1].

    Unknowns of the linear programme: the image, a and h = f(a) of each layer, a_L, and e. Between bounds of a, h lies
    in the convex hull of some points of f's graph. None where the solver finds no answer, or bounds leave float64.

    Args:
        steps: the layers; the last one's activation is left to `ends`.
        ends: (2, outputs), what a_L should lie between.
        pace: (2, outputs), above 0, how fast each end gives way.
        box: (low, high), vectors; for several layers finite.
        until: when `time.monotonic` says so, the solver gives up.
    """
    wide, count = 2 * len(steps) + 1, sum(len(step.bias) for step in steps)
    layers = [_row(wide, {2 * k: step.weight, 2 * k + 1: -np.eye(len(step.bias))}) for k, step in enumerate(steps)]
    try:
        hulls, limits, bounds = _hulls(steps, *box, wide)
    except BadInput:
        return None
    eye = np.eye(len(ends[0]))
    sides = [_row(wide, {wide - 2: sign * eye, wide - 1: -p[:, None]}) for sign, p in zip((-1, 1), pace, strict=True)]
    rows = sparse.block_array([*layers, *hulls, *sides], format="coo")
    right = np.concatenate([*(-step.bias for step in steps), *limits, -ends[0], ends[1]])
    sizes = [np.where(np.isinf(pair), 1.0, np.abs(pair)).max(axis=1) for pair in bounds]
    sizes.append(np.abs(steps[-1].weight) @ sizes[-1])
    bounds = np.concatenate([*bounds, [[-np.inf, np.inf]] * len(eye), [[0.0, np.inf]]])
    # where an input has one bound only, multipliers must have one sign there; this makes sure of it despite rounding
    tilt = 1e-6 * (np.isneginf(box[0]).astype(float) - np.isposinf(box[1]))
    costs = np.concatenate([tilt, np.zeros(rows.shape[1] - len(tilt) - 1), [1.0]])
    scales = _scales(rows, np.concatenate([*sizes, [sizes[-1].max()]]))
    method = "highs-ds" if len(steps) == 1 else "highs-ipm"
    found = _solved(costs, rows, right, bounds, count, scales, method, until)
    if found is None:
        return None
    x, y = found
    cuts = np.cumsum([len(step.bias) for step in steps])[:-1]
    return Relaxed(tuple(np.split(y, cuts)), float(x[-1]), x[: len(tilt)])


def _scales(rows, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exponents of two for the rows and the columns, whose unknowns are of these sizes; 0 for all that is usual."""
    by_column = _unusual(np.frexp(np.where(np.isfinite(sizes), sizes, 1.0))[1])
    largest = np.full(rows.shape[0], -(2**20))
    np.maximum.at(largest, rows.row, np.frexp(rows.data)[1] + by_column[rows.col])
    return -_unusual(largest), by_column


def _unusual(exponents: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    return np.where(np.abs(exponents) > PLAIN, exponents, 0)


def _solved(costs, rows, right, bounds, count: int, scales: tuple, method: str, until: float) -> tuple | None:
    """The x with the least costs, the first `count` rows equations and the others <=, and the equations' multipliers.

    Powers of two bring very large and very small numbers to the size of 1, and round nothing: the solver's tolerances
    know no units, and without it may go round in a circle. It has a limit of steps and one of time.
    """
    by_row, by_column = scales
    entries = np.ldexp(rows.data, by_row[rows.row] + by_column[rows.col])
    rows = sparse.csr_array((entries, (rows.row, rows.col)), rows.shape)
    right, bounds = np.ldexp(right, by_row), np.ldexp(bounds, -by_column[:, None])
    left = until - time.monotonic()
    if left <= PREPARED * len(entries) or not (np.isfinite(entries).all() and np.isfinite(right).all()):
        return None
    options = {"maxiter": ITERATIONS * sum(rows.shape), "time_limit": left}
    upper, equal = (rows[count:], right[count:]), (rows[:count], right[:count])
    solved = linprog(costs, *upper, *equal, bounds, method=method, options=options)
    if solved.status != 0:
        return None
    # a multiplier is what a row's limit is worth in costs, and these are in the unit of the last column
    return np.ldexp(solved.x, by_column), np.ldexp(solved.eqlin.marginals, by_row[:count] + by_column[-1])


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

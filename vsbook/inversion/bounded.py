"""Images within a box: of one layer the nearest to the minimum norm, of several what a search comes to.

What they give is an image, never an answer: `vsbook.inversion.reachability` judges it.

Source: Levenberg (1944) and Marquardt (1963), with a step whose bounds are kept by Newton's method on its dual; the
method of multipliers, Hestenes (1969).
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from vsbook.checks import BadInput
from vsbook.inversion.chains import Chain, Step
from vsbook.linalg.activations import identity

__all__ = ["gap", "nearest_input", "search"]

STEPS, BACKTRACKS = 200, 12  # of a search, and attempts at each step
HEAVIEST = 1e12  # the residual's weight, over the first one
STALLED = 1e-4  # a search that gains less than this share in a step, after twenty, has arrived


def gap(chain: Chain, aims: tuple, x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " m={chain.outputs}"]:
    """From the output to the nearest number between the aims; infinite where the network leaves float64.

    >>> chain = Chain((Step("double", np.array([[2.0]]), np.zeros(1), identity()),))
    >>> gap(chain, (np.array([3.0]), np.array([4.0])), np.array([1.0]))
    array([1.])
    """
    try:
        output = chain(x)[0]
    except BadInput:
        return np.full(chain.outputs, np.inf)
    return np.clip(output, *aims) - output


# one layer: the nearest input within bounds


def nearest_input(step: Step, aim, box: tuple, until: float) -> Float[np.ndarray, " n={len(box[0])}"]:
    """Of all x in the box with W x + b = aim the nearest to the minimum-norm one; else about the least residual.

    When `time.monotonic` says `until`, the search ends where it is.

    >>> step = Step("sum", np.array([[1.0, 1.0]]), np.zeros(1), identity())
    >>> nearest_input(step, np.array([1.5]), (np.zeros(2), np.array([0.5, 2.0])), np.inf).round(9)
    array([0.5, 1. ])
    """
    wanted = aim - step.bias
    centre = step.subspaces.pinv(wanted)
    y, weight, before = np.zeros(len(wanted)), _weight(step.weight), np.inf
    for _ in range(14):  # the method of multipliers: y gathers, and the residual weighs more from round to round
        x, y = _Penalised(step.weight, wanted, box, centre, weight, y).solve(until)
        residual = np.abs(wanted - step.weight @ x).max()
        if residual <= 1e-14 * (1 + np.abs(wanted).max()) or residual > 0.9 * before or time.monotonic() > until:
            break
        weight, before = 10 * weight, residual
    return x


def _weight(A: Float[np.ndarray, "m n"]) -> float:
    """Of the residual against the distance, to begin with, in the scale of A."""
    size = min(np.linalg.norm(A, 2), 1e150) ** 2
    return 10 / size if size > 1e-200 else 1.0  # a network may be constant about an image


@dataclass(frozen=True, eq=False)
class _Penalised:
    """Asks for the x in the box with the least |x - centre|^2 / 2 + weight |wanted - A x + start / weight|^2 / 2.

    Newton's method on the dual problem: x = clip(centre + A'y) is piecewise linear in y, which has few numbers.
    """

    A: Float[np.ndarray, "m n"]
    wanted: Float[np.ndarray, " m"]
    box: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]
    centre: Float[np.ndarray, " n"]
    weight: float
    start: Float[np.ndarray, " m"]  # of y

    def solve(self, until: float) -> tuple[np.ndarray, np.ndarray]:
        """The x and the y; when the clock says `until`, those that it has come to."""
        unit = 2.0 ** np.round(np.log2(self.weight) / 2)  # brings numbers to the size of 1, and rounds nothing
        parts = {"A": unit * self.A, "wanted": unit * self.wanted, "start": self.start / unit}
        x, y = replace(self, **parts, weight=self.weight / unit / unit)._climb(unit, until)
        return x, y * unit

    def _climb(self, unit: float, until: float) -> tuple[np.ndarray, np.ndarray]:
        y, here = self.start, self._at(self.start)
        for _ in range(60):
            x, gap, value = here
            slope = gap - (y - self.start) / self.weight
            if np.abs(slope).max() <= 1e-14 * (1e-3 * unit + np.abs(self.wanted).max()) or time.monotonic() > until:
                break
            try:
                step, share = self._step(x, slope), 1.0
            except np.linalg.LinAlgError:  # weights of 1e160
                break
            trial = self._at(y + step)
            while not trial[2] >= value + 1e-4 * share * (slope @ step) and share > 1e-6:  # NaN halves the step too
                share /= 2
                trial = self._at(y + share * step)
            if not np.isfinite(trial[2]):
                break
            y, here = y + share * step, trial
        return here[0], y

    def _at(self, y: Float[np.ndarray, " m"]) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " m"], float]:
        """x, what it leaves of the wanted, and the dual's value."""
        x = np.clip(self.centre + y @ self.A, *self.box)
        gap, moved, gained = self.wanted - self.A @ x, x - self.centre, y - self.start
        return x, gap, moved @ moved / 2 + y @ gap - gained @ gained / (2 * self.weight)

    def _step(self, x: Float[np.ndarray, " n"], slope: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
        """Newton's, where the pixels on the box's sides stay there."""
        low, high = self.box
        free = self.A[:, (x > low) & (x < high)]
        return np.linalg.solve(free @ free.T + np.eye(len(slope)) / self.weight, slope)


# several layers: a search within the box


def search(chain: Chain, aims: tuple, box: tuple, goal: float, starts, until: float) -> Iterator[np.ndarray]:
    """The images (n,) that the starts lead to, one after the other, while there is time; the first in any case.

    Args:
        chain: the network.
        aims: (low, high), vectors; what goes into the last activation is to lie between them.
        box: (low, high), vectors.
        goal: how near to the aims a search ends.
        starts: (K, n), in the box.
        until: when `time.monotonic` says so, the search ends where it is.

    >>> steps = [Step(name, 2 * np.eye(1), np.zeros(1), identity()) for name in ("first", "second")]
    >>> aims, box = (np.array([3.0]),) * 2, (np.zeros(1), np.ones(1))
    >>> [image.round(9) for image in search(Chain(tuple(steps)), aims, box, 1e-9, np.zeros((1, 1)), np.inf)]
    [array([0.75])]
    """
    before = Chain((*chain.steps[:-1], replace(chain.steps[-1], activation=identity())))
    for count, start in enumerate(starts):
        if count and time.monotonic() > until:
            return
        yield _walk(before, aims, box, goal, start, until)


def _walk(
    chain: Chain, aims: tuple, box: tuple, goal: float, x: Float[np.ndarray, " n"], until: float
) -> Float[np.ndarray, " n"]:
    """Levenberg-Marquardt: the network's tangent plane at x in its place, and a step within the box that pays."""
    miss, weight = gap(chain, aims, x), 0.0
    for count in range(STEPS):
        if time.monotonic() > until or not goal < np.abs(miss).max() < np.inf:
            break
        if not np.isfinite(J := chain.jacobian(x)[0]).all():
            break
        weight = min(weight, HEAVIEST * _weight(J)) if count else _weight(J)
        for _ in range(BACKTRACKS):
            new, _ = _Penalised(J, miss + J @ x, box, x, weight, np.zeros(len(miss))).solve(until)
            left = gap(chain, aims, new)
            if left @ left < miss @ miss:
                break
            weight /= 8
        else:
            break
        stalled = count > 20 and left @ left > (1 - STALLED) * (miss @ miss)
        x, miss, weight = new, left, 8 * weight
        if stalled:
            break
    return x

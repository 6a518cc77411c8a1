r"""Networks of ReLUs: affine on each of many convex polytopes, one for each pattern of units that are on or off.

Source: section 2.4 of the paper: 'for non-invertible activation functions, we will need to redefine the vector spaces
using convex polytopes'. Inside a polytope the network is x -> A x + c with linear inequalities G x <= h; an output is
inverted there, or a certificate shows that this one polytope holds no image of it.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import no_type_check

import numpy as np
import scipy.optimize
from jaxtyping import Bool, Float, Int

from vsbook.checks import BadInput, as_vector, instance_of, whole_number
from vsbook.inversion.certificates import error_bounds
from vsbook.inversion.chains import Chain
from vsbook.linalg.exact import Exact
from vsbook.linalg.lengths import relative_lengths
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.shown import Shown

__all__ = ["Certificate", "Piece", "PieceInverse", "Walk"]
__all__ += ["affine_piece", "check_infeasible", "invert_in_pattern", "pattern", "walk"]

BENDING = {"ReLU", "LeakyReLU"}
EXACT = 1e-9  # relative forward error of a solution, and by how much of a pixel's unit it may miss a facet
BLANK = 1e-12  # a length that counts as zero, where lengths are around 1
FAR = 1e-7  # one over the distance beyond which a solution is not told from none
RESTS = 5  # steps within one polytope after which a walk has come as near as it can
RATIO = 1000  # the largest denominator of numbers that are taken to be in small ratios
WIDE = 1e6  # an image of 784 pixels in [0, 1] is at most 28 long: a certificate that excludes more than this counts


@dataclass(frozen=True, eq=False, repr=False)
class Piece(Shown):
    """The network on one polytope: F(x) = A x + c wherever G x <= h, one inequality for each unit that bends."""

    A: Float[np.ndarray, "m n"]
    c: Float[np.ndarray, " m"]
    G: Float[np.ndarray, "K n"]
    h: Float[np.ndarray, " K"]


@no_type_check  # it may hold anything: `check_infeasible` looks
@dataclass(frozen=True, eq=False, repr=False)
class Certificate(Shown):
    r"""Farkas' answer to why no image of one pattern has the target as its output.

    Multipliers $y \ge 0$ (`units`) and $\lambda$ (`outputs`) with $y^\top G + \lambda^\top A = 0$ and
    $y^\top h + \lambda^\top (\text{target} - c) < 0$. They speak of that pattern alone; `check_infeasible` checks them
    against the weights.
    """

    units: Float[np.ndarray, " K"]
    outputs: Float[np.ndarray, " m"]


@dataclass(frozen=True, eq=False, repr=False)
class PieceInverse(Shown):
    """The image of a pattern nearest to the start that has the target as output; or a certificate; or neither.

    `image` with its relative forward `error` and its `distance` from the start, both infinite where it is None.
    `certificate` with the `radius` that `check_infeasible` found for it, 0 where it is None. With neither the question
    is open: feasible and infeasible lie closer together than float64 tells apart.
    """

    image: Float[np.ndarray, " n"] | None = None
    error: float = np.inf
    distance: float = np.inf
    certificate: Certificate | None = None
    radius: float = 0.0


def pattern(chain: Chain, image) -> Bool[np.ndarray, " K"]:
    """Which units are on (their sum above 0), layer after layer, for one image (n,).

    Raises:
        BadInput: for a chain with other activations than ReLU, leaky ReLU and none, or an image of another shape.

    >>> from vsbook.networks import create
    >>> pattern(Chain.of(create("fcnn5_relu", 0).eval()), np.ones(784)).shape
    (672,)
    """
    x, signs = as_vector(image, _bends(chain).inputs, "image"), []
    for step in chain.steps:
        before = step.before(x)
        signs += [before > 0] if step.activation.name in BENDING else []
        x = step.activation(before)
    return np.concatenate(signs)


def affine_piece(chain: Chain, pattern) -> Piece:
    """The affine map of a pattern (K,), and the inequalities of its polytope. Facets of a dead unit may be 0 <= h.

    Raises:
        BadInput: as `pattern`, or for a pattern that isn't of K booleans.

    >>> import torch
    >>> two = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1)).eval()
    >>> [array.shape for array in vars(affine_piece(Chain.of(two), np.array([True, False]))).values()]
    [(1, 2), (1,), (2, 2), (2,)]
    """
    A, c, rows, bounds = np.eye(_bends(chain).inputs), np.zeros(chain.inputs), [], []
    for step, on, slopes in _layers(chain, pattern):
        A, c = step.weight @ A, step.before(c)
        if on is not None:
            signs = np.where(on, 1.0, -1.0)
            rows, bounds = [*rows, -signs[:, None] * A], [*bounds, signs * c]
            A, c = slopes[:, None] * A, slopes * c
    return Piece(A, c, np.concatenate(rows), np.concatenate(bounds))


def invert_in_pattern(chain: Chain, pattern, target, start) -> PieceInverse:
    r"""The nearest point to the start with A x + c = target and G x <= h, or a certificate that there is none.

    The equations are solved by the pseudo-inverse; what is left is a problem of least distance under inequalities,
    which one non-negative least squares problem answers either way.

    Raises:
        BadInput: as `affine_piece`, or for a target (m,) or start (n,) of another shape.

    Source: Lawson and Hanson, Solving Least Squares Problems, chapter 23.
    """
    piece = affine_piece(chain, pattern)
    target, start = as_vector(target, chain.outputs, "target"), as_vector(start, chain.inputs, "start")
    basis = _seen(chain)  # nothing else has an effect, so nothing else moves
    equations = piece.A @ basis, target - piece.c - piece.A @ start
    found, certificate = _least_distance(*equations, piece.G @ basis, piece.h - piece.G @ start)
    if found is not None:
        image = start + basis @ found
        error, distance = _error(chain, image, target), float(np.linalg.norm(image - start))
        return PieceInverse(image, error, distance) if _reached(chain, image, target, error) else PieceInverse()
    claims = [certificate, *_in_small_ratios(certificate)] if certificate else []
    radii = [check_infeasible(chain, pattern, target, claim) for claim in claims]
    if max(radii, default=0.0) < WIDE:
        return PieceInverse()
    return PieceInverse(certificate=claims[int(np.argmax(radii))], radius=max(radii))


def _reached(chain: Chain, image: np.ndarray, target: np.ndarray, error: float) -> bool:
    """Whether the relative error is at most `EXACT`, in float64 and in exact arithmetic."""
    if error > EXACT:
        return False
    length = sum(Fraction(number) ** 2 for number in target) or 1
    return sum(bound**2 for bound in error_bounds(chain, image, target)) <= Fraction(EXACT) ** 2 * length


def _in_small_ratios(certificate: Certificate) -> list[Certificate]:
    """The certificate without its rounding, where its numbers are as few small whole ones to each other; or none."""
    numbers = np.concatenate([certificate.units, certificate.outputs])
    largest = np.abs(numbers).max()
    if not 0 < largest < np.inf:
        return []
    ratios = [Fraction(number).limit_denominator(RATIO) for number in numbers / largest]
    whole = math.lcm(*(ratio.denominator for ratio in ratios))
    if whole > 2**50:  # float64 holds each product
        return []
    units, outputs = np.split(np.array([float(ratio * whole) for ratio in ratios]), [len(certificate.units)])
    return [Certificate(units, outputs)]


def _seen(chain: Chain) -> Float[np.ndarray, "n={chain.inputs} r"]:
    """Orthonormal columns (n, r): the row space of the first layer, or any direction where that layer is zero."""
    return chain.steps[0].subspaces.row_space if chain.steps[0].subspaces.rank else np.eye(chain.inputs, 1)


def _least_distance(B, b, G, h) -> tuple[np.ndarray | None, Certificate | None]:
    """The shortest u with B u = b and G u <= h, or the certificate that there is none, or neither."""
    S = FourSubspaces.of(B)
    shift, rest = S.pinv(b), S.project_left_null(b)
    if np.linalg.norm(rest) > EXACT * max(1.0, np.linalg.norm(b)):  # the equations contradict each other
        return None, Certificate(np.zeros(len(G)), -rest / np.linalg.norm(rest))
    lengths = np.linalg.norm(G, axis=1)
    blank = lengths <= BLANK * lengths.max(initial=0.0)
    if (h[blank] < -EXACT).any():  # 0 <= h fails
        return None, Certificate(np.where(blank & (h < -EXACT), 1.0, 0.0), np.zeros(len(b)))
    G, h = G[~blank] / lengths[~blank, None], h[~blank] / lengths[~blank]
    free, multipliers = _shortest(G @ S.null_space, h - G @ shift)
    if multipliers is None:
        return (None if free is None else shift + S.null_space @ free), None
    units = np.zeros(len(lengths))
    units[~blank] = multipliers / lengths[~blank]
    outputs = -S.column_space @ ((S.row_space.T @ (G.T @ multipliers)) / S.singular_values[: S.rank])
    return None, Certificate(units, outputs)


def _shortest(M: Float[np.ndarray, "K n"], q: Float[np.ndarray, " K"]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The shortest v with M v <= q as (v, None), or (None, y) with y >= 0, M'y = 0 and q'y = -1, or (None, None)."""
    fixed = np.linalg.norm(M, axis=1) <= BLANK  # facets along which no free direction leads anywhere
    if (q[fixed] < -EXACT).any():
        worst = np.where(fixed, q, 0.0).argmin()
        return None, np.where(np.arange(len(q)) == worst, -1 / q[worst], 0.0)
    M, q = np.where(fixed[:, None], 0.0, M), np.where(fixed, np.maximum(q, 0.0), q)
    if (q >= 0).all():
        return np.zeros(M.shape[1]), None
    E = -np.vstack([M.T, q])
    wanted = np.zeros(len(E))
    wanted[-1] = 1.0
    try:
        y, gap = scipy.optimize.nnls(E, wanted, maxiter=30 * E.shape[1])
    except RuntimeError:
        return None, None
    if gap < FAR:
        return None, y
    active = np.flatnonzero(y)
    v = np.linalg.lstsq(M[active], q[active])[0]  # the point again, from its facets: digits to the last
    return (v, None) if (M @ v - q).max() <= EXACT else (None, None)


def check_infeasible(chain: Chain, pattern, target, certificate: Certificate) -> float:
    r"""The radius within which the certificate excludes every image of that pattern with that output; 0 for none.

    All sums are of whole numbers, so that nothing is rounded, and are made from the weights alone. For every x the
    certificate's functional $\lambda^\top F(x) - \sum_i y_i |z_i|$ over the pattern is $\delta^\top x + \gamma$, and
    for an x of the polytope with F(x) = target it is at most $\lambda^\top$ target. So $\|x\|$ is at least
    $(\gamma - \lambda^\top \text{target}) / \|\delta\|$ An exact certificate has $\delta = 0$; rounding leaves a
    little, and the radius says how little: an image with pixels in [0, 1] has at most 28. From the numerator goes what
    a relative error of `EXACT` in the output can make: such images are excluded too.

    Raises:
        BadInput: as `affine_piece`, or for a certificate of another shape.
    """
    layers, target = _layers(chain, pattern), as_vector(target, chain.outputs, "target")
    bending = sum(len(on) for _, on, _ in layers if on is not None)
    units = as_vector(instance_of(certificate, Certificate, "certificate").units, bending, "certificate.units")
    outputs = as_vector(certificate.outputs, chain.outputs, "certificate.outputs")
    slack = EXACT * math.hypot(*target) * math.hypot(*outputs)
    if (units < 0).any() or not math.isfinite(slack):
        return 0.0
    gap, row = Exact.of(-outputs) @ Exact.of(target), Exact.of(outputs)
    for step, on, slopes in reversed(layers):
        if on is not None:
            units, here = units[: -len(on)], units[len(units) - len(on) :]
            row = Exact.of(slopes) * row + Exact.of(np.where(on, -here, here))
        gap += row @ Exact.of(step.bias)
        row = row @ Exact.of(step.weight)
    gap, square = gap.fraction - Fraction(slack), (row @ row).fraction
    if gap <= 0 or not square:
        return 0.0 if gap <= 0 else math.inf
    return math.sqrt(min(gap * gap / square, Fraction(1e300))) * (1 - 1e-12)  # rounded downwards


@dataclass(frozen=True, eq=False, repr=False)
class Walk(Shown):
    """A way from polytope to polytope towards an image of the target.

    `image`: where it ended, with its relative forward `error` and its `distance` from the start; `converged`: whether
    the target was reached, in float64 and in exact arithmetic. `patterns`: how many polytopes it went through, the
    first included, and `last` the pattern of the last one. `certificate`: of a walk that did not converge, that the
    last pattern holds no image of the target; of that pattern alone, and None where there is no such certificate.
    """

    image: Float[np.ndarray, " n"]
    converged: bool
    error: float
    distance: float
    patterns: int
    last: Bool[np.ndarray, " K"]
    certificate: Certificate | None


def walk(chain: Chain, target, start, *, max_patterns: int = 3000) -> Walk:
    r"""From the start towards an image of the target, by the shortest step in each polytope.

    The output follows the straight line from F(start) to the target: in each polytope x moves along
    $A^+ (\text{target} - F(x))$ up to the first facet, and the unit of that facet is switched. Where the next step
    would lead back at once, it is the shortest that does not, along the facet. Where A can't make the whole step in the
    output, it makes the part that it can. Where no step leads on, a facet that x lies on is crossed instead.

    Raises:
        BadInput: as `invert_in_pattern`, or for a limit that is no whole number above 0.

    >>> from vsbook.networks import create
    >>> chain = Chain.of(create("fcnn5_relu", 0).eval())
    >>> found = walk(chain, chain(np.ones(784))[0], np.full(784, 0.5))
    >>> found.converged, found.error < 1e-9
    (True, True)
    """
    target, start = as_vector(target, _bends(chain).outputs, "target"), as_vector(start, chain.inputs, "start")
    left = whole_number(max_patterns, "max_patterns", 1)
    place, patterns = _Place(chain, pattern(chain, start), start, np.array([], dtype=int)), 1
    # each turn either counts a polytope or rests; resting in a row means that rounding alone keeps x from the target
    resting = 0
    while _error(chain, place.x, target) > EXACT / 10 and resting < RESTS:
        place, direction, switched = place.way_on(target)
        patterns += switched
        if direction is None or patterns >= left:
            break
        place, crossed = place.advance(direction)
        patterns += crossed
        resting = 0 if crossed or switched else resting + 1
    error = _error(chain, place.x, target)
    converged = _reached(chain, place.x, target, error)
    certificate = None if converged else invert_in_pattern(chain, place.on, target, start).certificate
    return Walk(place.x, converged, error, math.dist(place.x, start), patterns, place.on, certificate)


@dataclass(frozen=True, eq=False)
class _Place:
    """A point of a polytope, and the units whose facets it lies on; whether it stays there, `direction` sees to."""

    chain: Chain
    on: Bool[np.ndarray, " K"]  # the pattern
    x: Float[np.ndarray, " n"]
    facets: Int[np.ndarray, " units"]  # their numbers

    def switch(self, unit: int) -> "_Place":
        """The same point, on the other side of a unit's facet."""
        return replace(self, on=self.on ^ (np.arange(len(self.on)) == unit))

    def way_on(self, target) -> tuple["_Place", np.ndarray | None, bool]:
        """This place with the direction to go in; or one across a facet, if that leads on; and whether it is that."""
        direction = self.direction(target)
        for unit in self.facets if direction is None else ():
            other = self.switch(unit)
            if (direction := other.direction(target)) is not None:
                return other, direction, True
        return self, direction, False

    def direction(self, target) -> Float[np.ndarray, " n={len(self.x)}"] | None:
        """The shortest step that brings the output to the target and leaves the polytope nowhere; None without one."""
        A, gradients = self._gradients()
        basis = np.linalg.qr(np.vstack([A, gradients]).T)[0]
        A, gradients = A @ basis, gradients @ basis
        miss = target - self._through(self.x, moving=False)[1]
        reach = FourSubspaces.of(A).project_column(miss)
        if np.linalg.norm(reach) <= EXACT * np.linalg.norm(miss):
            return None
        step, _ = _least_distance(A, reach, -gradients, np.zeros(len(gradients)))
        return None if step is None else basis @ step

    def advance(self, direction: np.ndarray) -> tuple["_Place", bool]:
        """Go along the direction to its end, or to the first facet and across it; and whether it was across one."""
        signs = np.where(self.on, 1.0, -1.0)
        heights = np.maximum(signs * self._through(self.x, moving=False)[0], 0)
        speeds = signs * self._through(direction, moving=True)[0]
        speeds[self.facets] = np.maximum(speeds[self.facets], 0)  # below 0 by rounding alone
        speeds[np.abs(speeds) < 1e-12 * np.abs(speeds).max()] = 0
        ends = np.divide(heights, -speeds, out=np.full(len(speeds), np.inf), where=speeds < 0)
        first = int(ends.argmin())
        facets = self.facets[speeds[self.facets] == 0]
        if ends[first] >= 1:
            return replace(self, x=self.x + direction, facets=facets), False
        there = replace(self, x=self.x + ends[first] * direction, facets=np.append(facets, first))
        return there.switch(first), True

    def _through(self, x: np.ndarray, moving: bool) -> tuple[np.ndarray, np.ndarray]:
        """Sums of the units that bend (K,) and output (m,) of the pattern's affine map; `moving`: their derivatives."""
        sums = []
        for step, on, slopes in _layers(self.chain, self.on):
            x = step.weight @ x if moving else step.before(x)
            if on is not None:
                sums, x = [*sums, x], slopes * x
        return np.concatenate(sums), x

    def _gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """A, and the gradients of the sums of the facets' units, each with the sign of its side."""
        m, last = self.chain.outputs, len(self.on)
        rows = np.eye(m + len(self.facets), m)
        for step, on, slopes in reversed(_layers(self.chain, self.on)):
            if on is not None:
                last -= len(on)
                rows = rows * slopes
                for k, unit in enumerate(self.facets - last):
                    if 0 <= unit < len(on):
                        rows[m + k, unit] = 1.0 if on[unit] else -1.0
            rows = rows @ step.weight
        return rows[:m], rows[m:]


def _bends(chain: Chain) -> Chain:
    names = {step.activation.name for step in instance_of(chain, Chain, "chain").steps}
    if not names & BENDING or names - BENDING - {"Identity"}:
        came = ", ".join(sorted(names))
        remedy = "invert its network by vsbook.inversion.invert"
        raise BadInput(f"chain: expected ReLU or leaky ReLU as activations, got {came}; {remedy}")
    return chain


def _layers(chain: Chain, pattern) -> list[tuple]:
    """Each step, which of its units are on, and their slopes; None for both where it doesn't bend."""
    _bends(chain)
    pattern, first, layers = np.asarray(pattern), 0, []
    units = sum(len(step.weight) for step in chain.steps if step.activation.name in BENDING)
    if pattern.dtype != bool or pattern.shape != (units,):
        came = f"{pattern.dtype} of shape {pattern.shape}"
        raise BadInput(f"pattern: expected {units} booleans, got {came}; take one of `pattern`")
    for step in chain.steps:
        on = pattern[first : first + len(step.weight)] if step.activation.name in BENDING else None
        first += 0 if on is None else len(on)
        layers.append((step, on, None if on is None else step.activation.derivative(np.where(on, 1.0, -1.0))))
    return layers


def _error(chain: Chain, image: np.ndarray, target: np.ndarray) -> float:
    return float(relative_lengths(chain(image) - target, target[None])[0])

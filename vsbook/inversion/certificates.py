r"""Proofs that no image has a wanted output, and that one has: in arithmetic that rounds only to the safe side.

For any vectors $v_1, \dots, v_L$, one for each layer, and any image $x$ in the box, with $a_k = W_k h_{k-1} + b_k$,
$h_k = f_k(a_k)$ and $h_0 = x$,

$$ v_L \cdot a_L = v_1 \cdot W_1 x + \sum_k v_k \cdot b_k + \sum_{k<L} (W_{k+1}^\top v_{k+1} \cdot h_k - v_k \cdot a_k)
\le S, $$

where $S$ takes the largest value of each term by itself. A target with $v_L \cdot f_L^{-1}(\text{Out}) > S$ has no
image. For one layer the v is the vector of Farkas' lemma, and nothing is lost; for several it is a relaxation.

Source: Farkas (1902); Dvijotham et al. (2018), A dual approach to scalable verification of deep networks.
"""

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from numbers import Integral
from typing import no_type_check

import numpy as np
from jaxtyping import Float

from vsbook.checks import BadInput, as_real, as_vector, instance_of, number
from vsbook.inversion.chains import Chain, Step
from vsbook.linalg.activations import Activation
from vsbook.linalg.exact import Exact
from vsbook.shown import Shown

__all__ = ["OutOfRange", "Separation", "as_box", "check_certificate", "error_bounds"]

# of a value or a slope of an activation, relative: some 256 units in the last place, NumPy's functions err by a few
MARGIN = 2.0**-44
TINY = 1e-300  # where a value is too small for that
# Decimals of a value that isn't exact, and by how much it may err, relative to the largest of its layer: the ten
# decimals between leave room for the few roundings of a formula. Overflow is infinite, as it should be.
PRECISE, DOUBT = Context(prec=80, traps=[]), 1e-70
GROWN = 1 + 2.0**-30  # covers the rounding of a float64 sum of a million terms, none of them negative
# on the negative and on the positive side: 1 convex, 0 linear, -1 concave; all of them grow
CURVATURE = {
    "Identity": (0, 0),
    "ReLU": (0, 0),
    "LeakyReLU": (0, 0),
    "SELU": (1, 0),
    "ELU": (1, 0),
    "Softplus": (1, 1),
    "Tanh": (1, -1),
    "Sigmoid": (1, -1),
}


@no_type_check  # a claim may hold anything: `check_certificate` looks
@dataclass(frozen=True)
class OutOfRange:
    """A target's number that the last activation never takes, nor any number within `distance` of it."""

    unit: int
    distance: float


@no_type_check  # as above
@dataclass(frozen=True, eq=False, repr=False)
class Separation(Shown):
    """Vectors v_1 ... v_L, one for each layer, that part the target from all outputs of images in the box.

    The claim: each image's output differs from the target by more than `distance` in at least one number.
    """

    multipliers: tuple[Float[np.ndarray, " _"], ...]
    distance: float


def as_box(box, length: int) -> tuple[Float[np.ndarray, " {length}"], Float[np.ndarray, " {length}"]]:
    """The lowest and the highest value of each of `length` numbers; None for a box without sides.

    Args:
        box: (low, high), two numbers or vectors; infinite ones are allowed.
        length: how many numbers.

    Raises:
        BadInput: unless low < high for each number.

    >>> as_box((0, 1), 2)
    (array([0., 0.]), array([1., 1.]))
    """
    sides = (-np.inf, np.inf) if box is None else box
    if not isinstance(sides, (tuple, list)) or len(sides) != 2:
        raise BadInput(f"box: expected (low, high) or None, got {box!r}; pass two numbers or vectors")
    try:
        low, high = (np.broadcast_to(as_real(s, "box", infinities=True), length).astype(np.float64) for s in sides)
    except ValueError as error:
        came = error if isinstance(error, BadInput) else f"box: expected numbers or vectors of {length}, got {error}"
        raise BadInput(f"{came}; pass (low, high)") from None
    if not np.all(low < high):
        raise BadInput(f"box: expected low below high, got {low.max():g} and {high.min():g}; widen it")
    return low, high


def check_certificate(chain: Chain, target, certificate, box=(0.0, 1.0)) -> bool:
    """Does it prove that no image in the box has an output within `certificate.distance` of the target?

    Nothing is taken from whoever made it. Sums of products are exact; an activation's value is enclosed by
    `MARGIN`, relative. The proof is about the network in exact arithmetic, with its weights as they are.

    Args:
        chain: the network.
        target: (outputs,), in the unit of the outputs.
        certificate: an `OutOfRange` or a `Separation`.
        box: (low, high) of the pixels, numbers or vectors, or None for all images.

    Returns:
        True for a proof; False for anything else, of another network or another box.

    Raises:
        BadInput: unless the chain, the target and the box are such.

    >>> from vsbook.linalg import identity
    >>> step = Step("sum", np.array([[1.0, 1.0]]), np.zeros(1), identity())
    >>> check_certificate(Chain((step,)), [3.0], Separation((np.array([1.0]),), 0.5))  # at most 1 + 1 = 2
    True
    >>> check_certificate(Chain((step,)), [3.0], Separation((np.array([1.0]),), 1.5))
    False
    """
    target = as_vector(target, instance_of(chain, Chain, "chain").outputs, "target")
    low, high = as_box(box, chain.inputs)
    if not isinstance(certificate, (OutOfRange, Separation)) or not _is_distance(certificate.distance):
        return False
    distance = float(certificate.distance)
    if isinstance(certificate, OutOfRange):
        return _is_outside(chain.steps[-1].activation, target, certificate.unit, distance)
    with np.errstate(over="ignore", invalid="ignore"):  # what leaves float64 becomes an infinite bound: no proof
        return _separates(chain.steps, target, certificate.multipliers, distance, (low, high))


def error_bounds(chain: Chain, image, target) -> list[Fraction | float]:
    """How far each output of an image lies from the target at most, in exact arithmetic with the weights as they are.

    Sums of products are exact, and so are activations that are straight on either side of 0. The others are computed to
    80 decimals, and what they may err by is followed through the layers; a bound beyond float64 is infinite.

    Raises:
        BadInput: unless the image (n,) and the target (m,) are one vector each, of the chain's inputs and outputs.

    >>> from vsbook.linalg import identity
    >>> chain = Chain((Step("sum", np.array([[1e16, 1.0]]), np.zeros(1), identity()),))
    >>> chain([1.0, 1.0])[0], error_bounds(chain, [1.0, 1.0], [1e16])  # 1e16 + 1 is no float64
    (array([1.e+16]), [Fraction(1, 1)])
    """
    x = Exact.of(as_vector(image, instance_of(chain, Chain, "chain").inputs, "image"))
    wanted, doubts = -Exact.of(as_vector(target, chain.outputs, "target")), np.zeros(chain.inputs)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in chain.steps:
            before = Exact.of(step.weight) @ x + Exact.of(step.bias)
            x, doubts = _applied(step.activation, before, GROWN * (np.abs(step.weight) @ doubts))
    misses = zip((x + wanted).fractions, doubts, strict=True)
    return [abs(miss) + Fraction(doubt) if np.isfinite(doubt) else np.inf for miss, doubt in misses]


def _applied(f: Activation, a: Exact, doubts: Float[np.ndarray, " m"]) -> tuple[Exact, Float[np.ndarray, " m"]]:
    """f(a), and by how much it may err where a may by `doubts`: f is steepest at 0 or far out."""
    doubts = doubts * f.slope(np.array([-1e300, 0.0, 1e300])).max()
    if f.precise is None:
        slopes = Exact.of(f.slope(np.array([-1.0, 1.0])))
        return Exact(np.where(a.whole < 0, *slopes.whole) * a.whole, a.exponent + slopes.exponent), doubts
    with localcontext(PRECISE):
        unit = Decimal(2) ** a.exponent
        values = [f.precise(Decimal(n) * unit) for n in a.whole]
        size = float(max(map(abs, values))) - f.low + float(f.function(np.zeros(1))[0])
        bits = 256 - int(np.frexp(size)[1])
        whole = [int((value * Decimal(2) ** bits).to_integral_value()) for value in values]
    return Exact(np.array(whole, dtype=object), -bits), GROWN * (doubts + DOUBT * size)


def _is_distance(value) -> bool:
    """Whether it is a finite number of at least 0 that float64 holds: a rounded one would be another claim."""
    try:
        return bool(number(value, "distance") == value)
    except (BadInput, TypeError):  # NumPy can't say whether a Fraction is finite
        return False


def _is_outside(f: Activation, target: np.ndarray, unit, distance: float) -> bool:
    if not isinstance(unit, Integral) or isinstance(unit, bool) or unit not in range(len(target)):
        return False
    ends = ((f.low, -1), (f.high, 1))
    return any(
        np.isfinite(end)
        and sign * (Fraction(target[unit]) - Fraction(end)) - Fraction(distance) > Fraction(MARGIN * abs(end))
        for end, sign in ends
    )


def _separates(steps: tuple[Step, ...], target: np.ndarray, multipliers, distance: float, box: tuple) -> bool:
    vectors = _usable(steps, multipliers)
    if vectors is None:
        return False
    least = -_most(-vectors[-1], -vectors[-1], *_interval(steps[-1].activation, target, distance))
    return bool(least > _bound(steps, vectors, *box))


def _usable(steps: tuple[Step, ...], multipliers) -> list[np.ndarray] | None:
    """The multipliers, if there is a finite vector for each layer and each layer's activation is known."""
    try:
        vectors = [as_real(v, "multipliers").astype(np.float64) for v in multipliers]
    except (BadInput, TypeError):
        return None
    fitting = [v.shape for v in vectors] == [step.bias.shape for step in steps]
    known = all(step.activation.name in CURVATURE for step in steps)
    return vectors if fitting and known and all(np.isfinite(v).all() for v in vectors) else None


def _bound(steps: tuple[Step, ...], vectors: list[np.ndarray], low: np.ndarray, high: np.ndarray) -> Fraction | float:
    """S: at least v_L . a_L for every image in the box; infinite where some term has no largest value."""
    factors = [_pulled_back(step.weight, v) for step, v in zip(steps, vectors, strict=True)]
    if not all(np.isfinite(ends).all() for ends in factors):
        return np.inf
    terms = [_most(*factors[0], low, high)]
    terms += [_most(v, v, step.bias, step.bias) for step, v in zip(steps, vectors, strict=True)]
    for step, v, ends in zip(steps[:-1], vectors[:-1], factors[1:], strict=True):
        low, high = _before(step, low, high)
        largest = np.maximum(*(_largest_terms(step.activation, c, v, low, high) for c in ends))
        terms += [Fraction(t) if np.isfinite(t) else np.inf for t in largest]
        low, high = _after(step.activation, low, high)
    return np.inf if np.inf in terms else sum(terms)


# sums of products, exactly


def _pulled_back(
    W: Float[np.ndarray, "m n"], v: Float[np.ndarray, " m"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """W' v between two float64 vectors; they agree where it is a float64."""
    product = Exact.of(v) @ Exact.of(W)
    return -(-product).rounded_up(), product.rounded_up()


def _most(c_low: np.ndarray, c_high: np.ndarray, low: np.ndarray, high: np.ndarray) -> Fraction | float:
    """The largest c . x over c (finite) and x in their boxes: of each product at one of four corners."""
    largest = [
        max(_product(c, x) for c in cs for x in (x_low, x_high))
        for *cs, x_low, x_high in zip(c_low, c_high, low, high, strict=True)
    ]
    return sum(largest) if all(isinstance(product, Fraction) for product in largest) else np.inf


def _product(c: float, x: float) -> Fraction | float:
    if c == 0:
        return Fraction(0)
    return c * x if np.isinf(x) else Fraction(c) * Fraction(x)


def _before(step: Step, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of W x + b for x in the box, rounded outwards."""
    affine = np.column_stack([step.weight, step.bias])
    low, high = np.append(low, 1.0), np.append(high, 1.0)
    return -_largest(-affine, low, high), _largest(affine, low, high)


def _largest(
    A: Float[np.ndarray, "m n"], low: Float[np.ndarray, " n"], high: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " m"]:
    """The largest A x over the box, row by row, rounded up."""
    endless = ((A > 0) & np.isposinf(high) | (A < 0) & np.isneginf(low)).any(axis=1)
    factors, ends = Exact.of(A), Exact.of(np.where(np.isinf([low, high]), 0.0, [low, high]))
    sums = np.maximum(factors.whole, 0) @ ends.whole[1] + np.minimum(factors.whole, 0) @ ends.whole[0]
    return np.where(endless, np.inf, Exact(sums, factors.exponent + ends.exponent).rounded_up())


# activations, enclosed


def _value(f: Activation, a: np.ndarray, side: int) -> np.ndarray:
    """A number at or above f(a) for side 1, at or below it for side -1; infinite where f(a) is beyond float64."""
    value = f.function(a)
    margin = 0.0 if f.name in ("Identity", "ReLU") else MARGIN * np.abs(value) + TINY
    return np.where(np.isfinite(value), value + side * margin, side * np.inf)


def _after(f: Activation, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return _value(f, low, -1), _value(f, high, 1)


def _largest_terms(f: Activation, c: np.ndarray, v: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The largest c f(a) - v a for a from low to high, unit by unit, or more."""
    found = np.full(len(c), -np.inf)
    for side, curvature in zip((-1, 1), CURVATURE[f.name], strict=True):
        here = low < 0 if side < 0 else high >= 0  # the part of the interval on this side of 0, where f bends one way
        left, right = (low, np.minimum(high, 0)) if side < 0 else (np.maximum(low, 0), high)
        ends = np.maximum(_term(f, c, v, left), _term(f, c, v, right))
        inner = (c * curvature < 0) & (v != 0)
        part = np.where(inner, _under_tangent(f, c, v, left, right), ends)
        found = np.where(here, np.maximum(found, part), found)
    return found


def _term(f: Activation, c: np.ndarray, v: np.ndarray, a: np.ndarray) -> np.ndarray:
    """At least c f(a) - v a; infinite at an infinite end, unless v is 0 there and c f bounded above."""
    value = f.function(a)
    with np.errstate(invalid="ignore"):
        first, second = (np.where(factor == 0, 0.0, factor * number) for factor, number in ((c, value), (v, a)))
        found = first - second + 2 * MARGIN * (np.abs(first) + np.abs(second)) + TINY * (1 + np.abs(c))
    return np.where(np.isinf(a) & (v != 0) | np.isinf(first), np.where(v == 0, first, np.inf), found)


def _under_tangent(f: Activation, c: np.ndarray, v: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """At least the largest c f(a) - v a where that is concave: a tangent lies above, and near the top it is flat."""
    endless = np.isinf(low) | np.isinf(high)
    low, high = np.where(endless, 0.0, low), np.where(endless, 0.0, high)
    left, right = low, high
    for _ in range(60):
        middle = left / 2 + right / 2
        rises = c * f.slope(middle) > v
        left, right = np.where(rises, middle, left), np.where(rises, right, middle)
    slope = c * f.slope(left) - v
    doubt = 2 * MARGIN * (np.abs(c * f.slope(left)) + np.abs(v)) + TINY * (1 + np.abs(c))
    beside = [slope * (end - left) + (doubt + MARGIN * np.abs(slope)) * np.abs(end - left) for end in (low, high)]
    found = _term(f, c, v, left) + np.maximum(*beside)
    return np.where(endless, np.inf, found + 2 * MARGIN * np.abs(found))


def _interval(f: Activation, target: np.ndarray, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends between which a must lie for f(a) within `distance` of the target, rounded outwards."""
    return _end(f, np.nextafter(target - distance, -np.inf), -1), _end(f, np.nextafter(target + distance, np.inf), 1)


def _end(f: Activation, wanted: np.ndarray, side: int) -> np.ndarray:
    """On the left side an a whose f(a) is surely at most what is wanted, on the right at least; or infinite."""
    endless = np.full(len(wanted), side * np.inf)
    if f.inverse_function is None:
        return endless
    try:
        a = f.inverse(wanted).values
    except BadInput:  # beyond float64
        return endless
    step = np.abs(a) * np.finfo(float).eps + TINY
    for _ in range(80):
        unsure = ~(side * (wanted - _value(f, a, -side)) <= 0)
        a, step = np.where(unsure, a + side * step, a), 2 * step
    return np.where(unsure, endless, a)

r"""Networks of ReLUs: affine on each of many convex polytopes, one for each pattern of units that are on or off.

Source: section 2.4 of the paper: 'for non-invertible activation functions, we will need to redefine the vector spaces
using convex polytopes'. Inside a polytope the network is x -> A x + c with linear inequalities G x <= h; an output is
inverted there, or a certificate shows that this one polytope holds no image of it.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import scipy.optimize
from jaxtyping import Bool, Float

from vsbook.chains import Chain
from vsbook.checks import BadInput, as_vectors, instance_of, whole_number
from vsbook.subspaces import FourSubspaces

__all__ = [
    "Certificate",
    "Piece",
    "PieceInverse",
    "Walk",
    "affine_piece",
    "check_infeasible",
    "invert_in_pattern",
    "pattern",
    "walk",
]

BENDING = {"ReLU", "LeakyReLU"}
EXACT = 1e-9  # relative forward error of a solution, and by how much of a pixel's unit it may miss a facet
FAR = 1e-7  # one over the distance beyond which a solution is not told from none


@dataclass(frozen=True)
class Piece:
    """The network on one polytope: F(x) = A x + c wherever G x <= h, one inequality for each unit that bends."""

    A: Float[np.ndarray, "m n"]
    c: Float[np.ndarray, " m"]
    G: Float[np.ndarray, "K n"]
    h: Float[np.ndarray, " K"]


@dataclass(frozen=True)
class Certificate:
    r"""Why no image of one pattern has the target as its output (Farkas): $y \ge 0$ and $\lambda$ with

    $y^\top G + \lambda^\top A = 0$ and $y^\top h + \lambda^\top (\text{target} - c) < 0$. It speaks of that pattern
    alone. `check_infeasible` checks it against the weights.
    """

    units: Float[np.ndarray, " K"]
    outputs: Float[np.ndarray, " m"]


@dataclass(frozen=True)
class PieceInverse:
    """The image of a pattern nearest to the start that has the target as output; or a certificate; or neither.

    `image` is None where the pattern has none, or none was found; `certificate` is None unless one was. With neither
    the question is open: a solution lies very far away or the numbers are too close. `error` is the relative forward
    error of the image, and `distance` that from the start; infinite without an image.
    """

    image: Float[np.ndarray, " n"] | None
    certificate: Certificate | None
    error: float
    distance: float


def pattern(chain: Chain, image) -> Bool[np.ndarray, " K"]:
    """Which units are on (their sum above 0), layer after layer, for one image (n,).

    Raises:
        BadInput: for a chain with other activations than ReLU, leaky ReLU and none, or an image of another shape.

    >>> from vsbook.models import create
    >>> pattern(Chain.of(create("fcnn5_relu", 0).eval()), np.ones(784)).shape
    (672,)
    """
    _bends(chain)
    x, signs = _one(image, chain.inputs, "image"), []
    for step in chain.steps:
        before = step.before(x)
        if step.activation.name in BENDING:
            signs.append(before > 0)
        x = step.activation(before)
    return np.concatenate(signs)


def affine_piece(chain: Chain, pattern) -> Piece:
    """The affine map of a pattern (K,), and the inequalities of its polytope. Facets of a dead unit may be 0 <= h.

    Raises:
        BadInput: as `pattern`, or for a pattern that isn't of K booleans.
    """
    A, c, rows, bounds = np.eye(chain.inputs), np.zeros(chain.inputs), [], []
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
    target, start = _one(target, chain.outputs, "target"), _one(start, chain.inputs, "start")
    basis = chain.steps[0].subspaces.row_space  # nothing else is seen, so nothing else moves
    equations = piece.A @ basis, target - piece.c - piece.A @ start
    found, units, outputs = _least_distance(*equations, piece.G @ basis, piece.h - piece.G @ start)
    if found is not None:
        image = start + basis @ found
        error = _relative(piece.A @ image + piece.c - target, target)
        if error <= EXACT:
            return PieceInverse(image, None, error, float(np.linalg.norm(image - start)))
    if units is None:
        return PieceInverse(None, None, np.inf, np.inf)
    return PieceInverse(None, Certificate(units, outputs), np.inf, np.inf)


def _least_distance(B, b, G, h):
    """The shortest u with B u = b and G u <= h as (u, None, None); (None, y, lambda) where there is none."""
    S = FourSubspaces.of(B)
    shift = S.pinv(b)
    rest = b - B @ shift
    if np.linalg.norm(rest) > EXACT * max(1.0, np.linalg.norm(b)):  # the equations contradict each other
        outputs = -S.project_left_null(b)
        return None, np.zeros(len(G)), outputs / np.linalg.norm(outputs)
    lengths = np.linalg.norm(G, axis=1)
    blank = lengths <= np.finfo(float).eps * max(1.0, lengths.max(initial=0.0))
    if (h[blank] < -EXACT).any():  # 0 <= h fails
        return None, np.where(blank & (h < -EXACT), 1.0, 0.0), np.zeros(len(b))
    lengths = np.where(blank, 1.0, lengths)
    M, q = (G / lengths[:, None]) @ S.null_space, (h - G @ shift) / lengths
    free, multipliers = _shortest(M[~blank], q[~blank])
    if free is not None:
        return shift + S.null_space @ free, None, None
    if multipliers is None:
        return None, None, None
    units = np.zeros(len(G))
    units[~blank] = multipliers
    units /= lengths
    outputs = -S.column_space @ ((S.row_space.T @ (G.T @ units)) / S.singular_values[: S.rank])
    return None, units, outputs


def _shortest(M, q):
    """The shortest v with M v <= q as (v, None), or (None, y) with y >= 0, M'y = 0 and q'y = -1, or (None, None)."""
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
    $(\gamma - \lambda^\top \text{target}) / \|\delta\|$. An exact certificate has $\delta = 0$; rounding leaves a
    little, and the radius says how little: an image with pixels in [0, 1] has at most 28.

    Raises:
        BadInput: as `affine_piece`, or for a certificate of another shape.
    """
    target = _one(target, chain.outputs, "target")
    layers = _layers(chain, pattern)
    bending = sum(len(on) for _, on, _ in layers if on is not None)
    units = _one(instance_of(certificate, Certificate, "certificate").units, bending, "certificate.units")
    outputs = _one(certificate.outputs, chain.outputs, "certificate.outputs")
    if (units < 0).any():
        return 0.0
    gap, row = _Exact.of(-outputs) @ _Exact.of(target), _Exact.of(outputs)
    for step, on, slopes in reversed(layers):
        if on is not None:
            units, here = units[: -len(on)], units[len(units) - len(on) :]
            row = _Exact.of(slopes) * row + _Exact.of(np.where(on, -here, here))
        gap += row @ _Exact.of(step.bias)
        row = row @ _Exact.of(step.weight)
    return _radius(gap.fraction, (row @ row).fraction)


def _radius(gap: Fraction, square: Fraction) -> float:
    """gap over the root of the square, rounded downwards."""
    if gap <= 0:
        return 0.0
    return float(gap) / np.sqrt(float(square)) * (1 - 1e-12) if square else np.inf


@dataclass(frozen=True)
class _Exact:
    """Numbers of float64 as whole ones over a power of two, whose sums and products are never rounded."""

    whole: np.ndarray  # Python's integers
    bits: int

    @classmethod
    def of(cls, array: np.ndarray) -> "_Exact":
        ratios = [value.as_integer_ratio() for value in array.ravel().tolist()]
        bits = max(below.bit_length() for _, below in ratios) - 1
        whole = [above << (bits + 1 - below.bit_length()) for above, below in ratios]
        return cls(np.array(whole, dtype=object).reshape(array.shape), bits)

    @property
    def fraction(self) -> Fraction:
        return Fraction(self.whole, 2**self.bits)

    def __matmul__(self, other: "_Exact") -> "_Exact":
        return _Exact(self.whole @ other.whole, self.bits + other.bits)

    def __mul__(self, other: "_Exact") -> "_Exact":
        return _Exact(self.whole * other.whole, self.bits + other.bits)

    def __add__(self, other: "_Exact") -> "_Exact":
        bits = max(self.bits, other.bits)
        return _Exact(self.whole * 2 ** (bits - self.bits) + other.whole * 2 ** (bits - other.bits), bits)


@dataclass(frozen=True)
class Walk:
    """A way from polytope to polytope towards an image of the target.

    `image`: where it ended, with its relative forward `error`; `converged`: whether the target was reached.
    `patterns`: how many polytopes it went through, the first included. `certificate`: where it did not converge, one
    for the pattern in which it ended, and for that pattern alone; None where there is none either.
    """

    image: Float[np.ndarray, " n"]
    converged: bool
    error: float
    distance: float
    patterns: int
    last_pattern: Bool[np.ndarray, " K"]
    certificate: Certificate | None


def walk(chain: Chain, target, start, max_patterns: int = 2000) -> Walk:
    r"""From the start towards an image of the target, by the shortest step in each polytope.

    The output follows the straight line from F(start) to the target: in each polytope along $A^+ (\text{target} -
    F(x))$, up to the first facet, whose unit is then switched. Where the new step would lead back, the way goes on
    along the facet: the shortest step that leaves no polytope at once.

    Raises:
        BadInput: as `invert_in_pattern`.
    """
    target, start = _one(target, chain.outputs, "target"), _one(start, chain.inputs, "start")
    whole_number(max_patterns, "max_patterns", 1)
    on, x, facets, patterns = pattern(chain, start), start, np.array([], dtype=int), 1
    while _relative(chain(x)[0] - target, target) > EXACT / 10:
        state = _Place(_layers(chain, on), on, x, facets)
        direction = state.direction(target)
        if direction is None or patterns == max_patterns:
            break
        x, hit, facets = state.advance(direction)
        if hit is not None:
            on = on.copy()
            on[hit] ^= True
            patterns += 1
    error = _relative(chain(x)[0] - target, target)
    converged = error <= EXACT
    certificate = None if converged else invert_in_pattern(chain, on, target, start).certificate
    return Walk(x, converged, error, float(np.linalg.norm(x - start)), patterns, on, certificate)


@dataclass(frozen=True)
class _Place:
    """A point of a polytope, and the units whose facets it lies on."""

    layers: list
    on: np.ndarray
    x: np.ndarray
    facets: np.ndarray

    def forward(self, x, moving: bool) -> tuple[np.ndarray, np.ndarray]:
        """Sums of all units that bend, and the output; with `moving` their derivatives along x."""
        sums = []
        for step, on, slopes in self.layers:
            x = x @ step.weight.T if moving else step.before(x)
            if on is not None:
                sums.append(x)
                x = slopes * x
        return np.concatenate(sums), x

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """A, and the gradients of the sums of the facets' units, each towards its own side."""
        last = len(self.on)
        outputs = np.eye(len(self.layers[-1][0].weight))
        rows = np.zeros((len(outputs) + len(self.facets), len(outputs)))
        rows[: len(outputs)] = outputs
        for step, on, slopes in reversed(self.layers):
            if on is not None:
                rows = rows * slopes
                last -= len(on)
                here = (self.facets >= last) & (self.facets < last + len(on))
                numbers = self.facets[here] - last
                rows[len(outputs) + np.flatnonzero(here), numbers] = np.where(on[numbers], 1.0, -1.0)
            rows = rows @ step.weight
        return rows[: len(outputs)], rows[len(outputs) :]

    def direction(self, target):
        A, gradients = self.rows()
        miss = target - self.forward(self.x, False)[1]
        basis = np.linalg.qr(np.vstack([A, gradients]).T)[0]
        S = FourSubspaces.of(A)
        miss = S.project_column(miss)
        d, _, _ = _least_distance(A @ basis, miss, -gradients @ basis, np.zeros(len(gradients)))
        return None if d is None else basis @ d

    def advance(self, direction):
        sums, speeds = self.forward(self.x, False)[0], self.forward(direction, True)[0]
        sums[self.facets] = 0
        signs = np.where(self.on, 1.0, -1.0)
        sums, speeds = signs * sums, signs * speeds
        size = np.abs(speeds).max()
        speeds[self.facets] = np.maximum(speeds[self.facets], 0)
        speeds[np.abs(speeds)<1e-12*size] = 0
        ratios = np.divide(np.maximum(sums, 0), -speeds, out=np.full(len(sums), np.inf), where=speeds < 0)
        hit = int(ratios.argmin())
        stay = self.facets[speeds[self.facets] == 0]
        if ratios[hit] >= 1:
            return self.x + direction, None, stay
        return self.x + ratios[hit] * direction, hit, np.append(stay, hit)


def _bends(chain: Chain) -> None:
    names = {step.activation.name for step in instance_of(chain, Chain, "chain").steps}
    if not names & BENDING or names - BENDING - {"Identity"}:
        raise BadInput(f"chain: expected ReLU or leaky ReLU as activations, got {', '.join(sorted(names))}; invert it as a whole")


def _one(values, length: int, name: str) -> np.ndarray:
    vector = as_vectors(values, length, name)
    if vector.ndim != 1:
        raise BadInput(f"{name}: expected one vector of {length} numbers, got shape {vector.shape}; pass one at a time")
    return vector


def _layers(chain: Chain, pattern) -> list[tuple]:
    """Each step with which of its units are on and the slopes of that, or None where it doesn't bend."""
    _bends(chain)
    pattern, first, layers = np.asarray(pattern), 0, []
    units = sum(len(step.weight) for step in chain.steps if step.activation.name in BENDING)
    if pattern.dtype != bool or pattern.shape != (units,):
        raise BadInput(f"pattern: expected {units} booleans, got {pattern.dtype} of shape {pattern.shape}; take one of `pattern`")
    for step in chain.steps:
        if step.activation.name == "Identity":
            layers.append((step, None, None))
            continue
        on = pattern[first : first + len(step.weight)]
        first += len(on)
        layers.append((step, on, step.activation.derivative(np.where(on, 1.0, -1.0))))
    return layers


def _relative(difference, target) -> float:
    return float(np.linalg.norm(difference) / (np.linalg.norm(target) or 1.0))

"""Whether a matrix, or single singular vectors, differ from chance: statistics of a spectrum, p-values, several tests.

Source: Mauchly (1940) for sphericity; Phipson & Smyth (2010) for p-values of draws; Holm (1979) for several tests.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import scipy  # its parts are loaded when they are used
from jaxtyping import Float

from vsbook.checks import BadInput, as_matrix, as_real, as_vector, as_vectors, one_of
from vsbook.linalg.nullmodel import shuffled_spectra
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.shown import Shown

__all__ = [
    "STATISTICS",
    "Identifiability",
    "NullTest",
    "condition_number",
    "holm",
    "identifiability",
    "nothing_to_test",
    "p_value",
    "spectrum_test",
    "sphericity",
]


def _checked_spectra(spectra) -> Float[np.ndarray, "*batch k"]:
    spectra = as_vectors(spectra, None, "spectra")
    if np.any(np.diff(spectra, axis=-1) > 0) or np.any(spectra < 0) or np.any(spectra[..., 0] == 0):
        raise BadInput(
            "spectra: expected singular values in falling order, the first positive, got others; "
            "pass those of numpy.linalg.svd, or take FourSubspaces.of(A).condition_number of a matrix"
        )
    return spectra


def condition_number(spectra) -> Float[np.ndarray, "*batch"]:
    r"""$\sigma_1 / \sigma_k$ of spectra (..., k): 1 if all singular values are equal; infinite if the last is zero.

    Raises:
        BadInput: unless each spectrum is nonnegative, in falling order and not all zero.

    >>> float(condition_number([6, 3, 2]))
    3.0
    """
    spectra = _checked_spectra(spectra)
    with np.errstate(divide="ignore"):
        return np.asarray(spectra[..., 0] / spectra[..., -1])


def sphericity(spectra) -> Float[np.ndarray, "*batch"]:
    r"""$\log \frac{1}{k}\sum_i \sigma_i^2 - \frac{1}{k}\sum_i \log \sigma_i^2$: how far the columns are from a sphere.

    Arithmetic over geometric mean of the squared singular values, as a logarithm: 0 if all are equal, whatever their
    size; infinite if one is zero. All singular values count, not only the first and the last.

    Args:
        spectra: (..., k) singular values in any unit.

    Raises:
        BadInput: unless each spectrum is nonnegative, in falling order and not all zero.

    Source: the likelihood ratio of Mauchly (1940).

    >>> float(sphericity([2, 2, 2]))
    0.0
    >>> float(sphericity([2, 1]).round(6))
    0.223144
    """
    spectra = _checked_spectra(spectra)
    squares = (spectra / spectra[..., :1]) ** 2
    with np.errstate(divide="ignore"):
        return np.asarray(np.maximum(np.log(squares.mean(axis=-1)) - np.log(squares).mean(axis=-1), 0.0))


def _strength(spectra) -> Float[np.ndarray, "*batch"]:
    spectra = _checked_spectra(spectra)
    # no square leaves the range of float64
    return np.asarray(1 / np.sqrt(((spectra / spectra[..., :1]) ** 2).mean(axis=-1)))


STATISTICS = {"sphericity": sphericity, "condition number": condition_number, "strength of the first": _strength}


@dataclass(frozen=True, eq=False, repr=False)
class NullTest(Shown):
    """A statistic of a matrix beside its sampled null, and the p-value: the chance of as much without structure."""

    statistic: str
    observed: float
    null: Float[np.ndarray, " draws"]
    p_value: float


def spectrum_test(A, draws: int, generator: np.random.Generator, statistic: str = "sphericity") -> NullTest:
    """Does the spectrum of A (m, n) show an arrangement of its entries, or what any order of them would give?

    The null is sampled by putting A's own entries into random order with random signs, so the test holds its level
    exactly for independent entries of any *one* law that is symmetric about zero: normal, uniform, heavy-tailed. What
    it rejects is arrangement: columns or rows of different size, or a direction that many of them share, a common mean
    included. A rejection doesn't say which: rows that differ in size alone, without any direction, are rejected too. It
    can't see a structure that leaves all singular values alike. For many matrices, and for tall ones of a million
    entries, there is `vsbook.linalg.spectrum_tests`.

    Args:
        A: (m, n), any unit; the statistics are free of scale.
        draws: of the null; the smallest possible p-value is 1 / (draws + 1).
        generator: of the draws.
        statistic: one of `STATISTICS`.

    Raises:
        BadInput: if A isn't a finite real matrix with at least two rows and columns and an entry that isn't zero.

    >>> noise = np.random.default_rng(0).standard_normal((30, 4))
    >>> spectrum_test(noise, 99, np.random.default_rng(1)).p_value > 0.05
    True
    >>> spectrum_test(noise + 3, 99, np.random.default_rng(1)).p_value
    0.01
    """
    A, measure = as_matrix(A).astype(np.float64), STATISTICS[one_of(statistic, STATISTICS, "statistic")]
    if reason := nothing_to_test(A):
        raise BadInput(f"A: expected a spectrum to test, got shape {A.shape}, where {reason}; leave it out")
    # both by one algorithm: where zeros are lost in rounding, they are lost alike
    observed = float(measure(np.linalg.svd(A, compute_uv=False)))
    null = measure(shuffled_spectra(A, draws, generator))
    return NullTest(statistic, observed, null, p_value(observed, null))


def nothing_to_test(A) -> str:
    """Why the spectrum of A (m, n) has nothing that a test could look at; empty if it has.

    Raises:
        BadInput: if A isn't a finite real matrix.

    >>> nothing_to_test([[0, 0], [0, 0]])
    'all entries are zero'
    """
    A = as_matrix(A)
    if min(A.shape) < 2:
        return "a single row or column has one singular value, and none to compare it with"
    return "" if A.any() else "all entries are zero"


def p_value(observed: float, null) -> float:
    r"""$(1 + \#\{\text{null} \ge \text{observed}\}) / (1 + \text{draws})$: never zero, and exact if exchangeable.

    Infinite values take part, as the largest of all.

    Raises:
        BadInput: for a null that isn't a list of numbers, an observed value that isn't one, or NaN.

    Source: Phipson & Smyth (2010).

    >>> p_value(2.5, [1, 2, 3])
    0.5
    """
    null, value = as_real(null, "null", infinities=True), as_real([observed], "observed", infinities=True)
    if null.ndim != 1 or value.ndim != 1:
        raise BadInput(
            f"null: expected a list of numbers, and a number beside it, got shapes {null.shape} and {value.shape[1:]}; "
            "draw it again"
        )
    # equal up to rounding counts as reached: the identity is one of the permutations
    reached = (null > value) | np.isclose(null, value, rtol=1e-12, atol=0)
    return float((1 + np.count_nonzero(reached)) / (1 + null.size))


def holm(p_values) -> Float[np.ndarray, " k={len(p_values)}"]:
    r"""Adjusted p-values of k tests, in the order given: rejecting those up to a level errs at all with at most it.

    The i-th smallest becomes $\max_{j \le i} \min(1, (k - j + 1)\, p_{(j)})$.

    Raises:
        BadInput: unless all lie between 0 and 1.

    Source: Holm (1979).

    >>> holm([0.04, 0.01, 0.03]).round(9).tolist()
    [0.06, 0.03, 0.06]
    """
    p_values = as_vector(p_values, None, "p_values")
    if p_values.min() < 0 or p_values.max() > 1:
        raise BadInput("p_values: expected a list of numbers between 0 and 1, got others; pass those of `p_value`")
    order, k = np.argsort(p_values), p_values.size
    adjusted = np.empty(k)
    adjusted[order] = np.minimum(1, np.maximum.accumulate((k - np.arange(k)) * p_values[order]))
    return adjusted


@dataclass(frozen=True, eq=False, repr=False)
class Identifiability(Shown):
    """How well single right singular vectors are determined, over matrices that should agree (one a seed).

    `gaps` (matrices, k): distance of each singular value to its nearest neighbour, over their root mean square.
    `squared_cosines` (pairs, k): of the i-th vectors of two matrices; for unrelated bases of R^n the mean is 1/n.
    `angles` (pairs, k): largest principal angle of the spans of the first i vectors, in radians. Where the i span the
    whole space, it is 0 for any two matrices.
    """

    gaps: Float[np.ndarray, "matrices k"]
    squared_cosines: Float[np.ndarray, "pairs k"]
    angles: Float[np.ndarray, "pairs k"]


def identifiability(matrices) -> Identifiability:
    """Gaps, and agreement between every two of several matrices (at least two, of one shape, two singular values each).

    Raises:
        BadInput: unless the matrices have one shape, two singular values at least, and none is zero.

    >>> found = identifiability([[[3, 0], [0, 1]], [[3, 1], [0, 1]]])
    >>> found.squared_cosines.shape, found.angles.shape
    ((1, 2), (1, 2))
    """
    if not isinstance(matrices, Iterable):
        raise BadInput(f"matrices: expected a list of matrices, got {type(matrices).__name__}; put them in brackets")
    factored = [FourSubspaces.of(A) for A in matrices]
    if len(factored) < 2 or len({S.shape for S in factored}) > 1 or min(factored[0].shape) < 2:
        shapes = ", ".join(str(S.shape) for S in factored) or "none"
        raise BadInput(f"matrices: expected two or more of one shape, no vectors among them, got {shapes}; match them")
    spectra = np.array([S.singular_values for S in factored])
    if not spectra.any(axis=1).all():
        raise BadInput("matrices: expected some energy in each, got a zero matrix; leave it out")
    steps = np.pad(-np.diff(spectra, axis=1), ((0, 0), (1, 1)), constant_values=np.inf)
    gaps = np.minimum(steps[:, :-1], steps[:, 1:]) / np.sqrt((spectra**2).mean(axis=1, keepdims=True))
    pairs = [(one.Vh, other.Vh) for one, other in combinations(factored, 2)]
    return Identifiability(
        gaps,
        np.array([(one * other).sum(axis=1) ** 2 for one, other in pairs]),
        np.array([[_largest_angle(one[:i], other[:i]) for i in range(1, len(one) + 1)] for one, other in pairs]),
    )


def _largest_angle(one: Float[np.ndarray, "i n"], other: Float[np.ndarray, "i n"]) -> float:
    """Between two i-dimensional subspaces of R^n, given by orthonormal rows; small ones by their sines."""
    if len(one) == one.shape[1]:  # each is the whole of R^n
        return 0.0
    return float(scipy.linalg.subspace_angles(one.T, other.T)[0])

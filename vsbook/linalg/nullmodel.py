"""What a random subspace, or a random matrix, of the same shape would give: the control beside a measurement.

Source: Haar-distributed subspaces (the energy of a fixed unit vector in one follows a beta law); Marchenko & Pastur
(1967) for the spectrum of a matrix with independent entries.
"""

from collections.abc import Sequence

import numpy as np
import scipy  # its parts are loaded when they are used
from jaxtyping import Float

from vsbook.checks import BadInput, as_matrix, as_vectors, instance_of, number, whole_number

__all__ = [
    "energy_fraction_law",
    "marchenko_pastur_edges",
    "random_subspace",
    "sampled_bases",
    "sampled_energy_fractions",
    "sampled_spectra",
    "shuffled_spectra",
]


def _checked_dimensions(n: int, r: int) -> None:
    if not whole_number(r, "r", 1) <= whole_number(n, "n", 1):
        raise BadInput(f"r: expected a dimension between 1 and n = {n}, got {r}; a random subspace needs both")


def _checked_shape(shape) -> tuple[int, int]:
    if not isinstance(shape, (tuple, list)) or len(shape) != 2:
        raise BadInput(f"shape: expected (rows, columns), got {shape!r}; pass two whole numbers")
    return whole_number(shape[0], "rows", 1), whole_number(shape[1], "columns", 1)


def random_subspace(n: int, r: int, generator: np.random.Generator) -> Float[np.ndarray, "{n} {r}"]:
    """Orthonormal basis of a uniformly (Haar) distributed r-dimensional subspace of R^n.

    Raises:
        BadInput: unless 1 <= r <= n.

    >>> Q = random_subspace(5, 2, np.random.default_rng(0))
    >>> bool(np.allclose(Q.T @ Q, np.eye(2)))
    True
    """
    _checked_dimensions(n, r)
    instance_of(generator, np.random.Generator, "generator")
    return np.linalg.qr(generator.standard_normal((n, r)))[0]


def energy_fraction_law(n: int, r: int) -> "scipy.stats.distributions.rv_frozen":
    r"""The law of $\|P x\|^2 / \|x\|^2$ for a fixed x and a random r-dimensional subspace of R^n: Beta(r/2, (n-r)/2).

    Returns:
        A frozen SciPy distribution: `.mean()` is r/n, `.ppf(0.975)` an upper limit.

    Raises:
        BadInput: unless 1 <= r < n (the whole space holds everything).

    >>> float(energy_fraction_law(784, 10).mean().round(6))
    0.012755
    """
    _checked_dimensions(n, r)
    if r == n:
        raise BadInput(f"r: expected less than n = {n}, got {r}; the whole space always holds all the energy")
    return scipy.stats.beta(r / 2, (n - r) / 2)


def sampled_energy_fractions(x, r: int, draws: int, generator: np.random.Generator) -> Float[np.ndarray, " {draws}"]:
    r"""$\sum_i \|P x_i\|^2 / \sum_i \|x_i\|^2$ of a whole set x (N, n), in `draws` random r-dimensional subspaces.

    Images of a set resemble each other, so its law is wider than `energy_fraction_law`: it has to be sampled.

    Raises:
        BadInput: for a set without energy, r out of range, or draws below 1.

    >>> f = sampled_energy_fractions(np.eye(4), 2, 3, np.random.default_rng(0))
    >>> f.round(6).tolist()  # an isotropic set: every plane holds half
    [0.5, 0.5, 0.5]
    """
    x = as_vectors(x, None)
    x = x.reshape(-1, x.shape[-1])
    _checked_dimensions(x.shape[1], r)
    whole_number(draws, "draws", 1)
    moments = x.T @ x  # (n, n): the energy in span(Q) is trace(Q' M Q)
    total = np.trace(moments)
    if total == 0:
        raise BadInput("x: expected some energy, got only zeros; leave blank images out")
    bases = (random_subspace(x.shape[1], r, generator) for _ in range(draws))
    return np.array([np.einsum("ir,ij,jr->", Q, moments, Q, optimize=True) for Q in bases]) / total


def sampled_bases(n: int, draws: int, generator: np.random.Generator) -> Float[np.ndarray, "{draws} {n} {n}"]:
    """Uniformly (Haar) distributed orthonormal bases of R^n, one vector a row: the null of singular vectors.

    The singular vectors of a matrix with independent normal entries follow this law.

    Raises:
        BadInput: unless n and draws are at least 1.

    >>> Q = sampled_bases(3, 2, np.random.default_rng(0))
    >>> bool(np.allclose(Q @ Q.transpose(0, 2, 1), np.eye(3)))
    True
    """
    whole_number(n, "n", 1)
    generator = instance_of(generator, np.random.Generator, "generator")
    if n == 1:
        return generator.choice([-1.0, 1.0], (whole_number(draws, "draws", 1), 1, 1))
    size = whole_number(draws, "draws", 1)
    return scipy.stats.ortho_group.rvs(n, size, random_state=generator).reshape(size, n, n)


def sampled_spectra(
    shape: Sequence[int], sd: float, draws: int, generator: np.random.Generator
) -> Float[np.ndarray, "{draws} k={min(shape)}"]:
    r"""Singular values of `draws` matrices of that shape with independent normal entries of standard deviation `sd`.

    Drawn through the triangular factor of A = QR, which has the same singular values and independent entries of known
    laws (Bartlett, 1933): normal ones above the diagonal and $\chi_{M}, \chi_{M-1}, \dots$ on it, M the longer side.

    Raises:
        BadInput: unless the shape is two whole numbers, sd a number of at least 0, and draws at least 1.

    >>> sampled_spectra((2, 5), 1.0, 3, np.random.default_rng(0)).shape
    (3, 2)
    """
    k, longer = sorted(_checked_shape(shape))
    whole_number(draws, "draws", 1)
    generator = instance_of(generator, np.random.Generator, "generator")

    def triangular_factor():
        R = np.triu(generator.standard_normal((k, k)), 1)
        R[np.diag_indices(k)] = np.sqrt(generator.chisquare(longer - np.arange(k)))
        return R

    spectra = [np.linalg.svd(triangular_factor(), compute_uv=False) for _ in range(draws)]
    return number(sd, "sd") * np.array(spectra)


def shuffled_spectra(A, draws: int, generator: np.random.Generator) -> Float[np.ndarray, "{draws} k"]:
    """Singular values of A (m, n) with its entries in random order and with random signs: sizes without arrangement.

    Raises:
        BadInput: if A isn't a finite real matrix, or draws is below 1.

    >>> shuffled_spectra([[3, 0], [0, 0]], 1, np.random.default_rng(0)).tolist()
    [[3.0, 0.0]]
    """
    A = as_matrix(A)
    generator = instance_of(generator, np.random.Generator, "generator")

    def shuffled():
        signs = 2.0 * generator.integers(0, 2, A.shape) - 1
        return signs * generator.permutation(A.ravel()).reshape(A.shape)

    return np.array([np.linalg.svd(shuffled(), compute_uv=False) for _ in range(whole_number(draws, "draws", 1))])


def marchenko_pastur_edges(shape: Sequence[int], sd: float) -> tuple[float, float]:
    r"""Where the singular values of a large random matrix end: $\mathrm{sd}\,|\sqrt{n} \pm \sqrt{m}|$.

    Raises:
        BadInput: unless the shape is two whole numbers and sd a number of at least 0.

    >>> marchenko_pastur_edges((4, 9), 1.0)
    (1.0, 5.0)
    """
    m, n = np.sqrt(_checked_shape(shape))
    sd = number(sd, "sd")
    return float(sd * abs(n - m)), float(sd * (n + m))

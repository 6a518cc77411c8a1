"""The four fundamental subspaces of a real matrix, from one singular value decomposition.

Source: Pattichis & Pattichis, sections 2.1 to 2.3; Strang, *Introduction to Linear Algebra*.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy  # its parts are loaded when they are used
from jaxtyping import Float

from vsbook.checks import BadInput, as_matrix, as_real, as_vector, as_vectors, number, one_of
from vsbook.shown import Shown

__all__ = [
    # rank
    "SPACINGS",
    "numerical_rank",
    "rank_tolerance",
    "stored_as",
    # the four subspaces
    "FourSubspaces",
    "EnergySplit",
    # one neuron
    "NeuronProjection",
    "neuron_projection",
    # the bias as one more column
    "absorb_bias",
    "append_one",
]


# by type: the distance from 1 to the next number, and the smallest number, which is the distance around 0
SPACINGS = {
    "float64": (2.0**-52, 2.0**-1074),
    "float32": (2.0**-23, 2.0**-149),
    "float16": (2.0**-10, 2.0**-24),
    "bfloat16": (2.0**-7, 2.0**-133),  # NumPy knows neither this one nor those below
    **{"float8_e4m3fn": (2.0**-3, 2.0**-9), "float8_e4m3fnuz": (2.0**-3, 2.0**-10)},
    **{"float8_e5m2": (2.0**-2, 2.0**-16), "float8_e5m2fnuz": (2.0**-2, 2.0**-17)},
}


def stored_as(A, name: str) -> Float[np.ndarray, "..."]:
    """The same numbers, marked as stored in a type of `SPACINGS`: bfloat16, say, which NumPy doesn't have.

    The mark is in the metadata of the dtype, where `rank_tolerance` looks. Parts and transposes keep it; what is
    computed from it has digits of its own, and no mark, and so has what is put together from several arrays: say
    `stored_as` of a stack again.

    Raises:
        BadInput: if A isn't of real numbers, or for another type.

    >>> A = np.array([[1, 1], [1, 1.0078125]])  # neighbours in bfloat16
    >>> numerical_rank(A), numerical_rank(stored_as(A, "bfloat16"))
    (2, 1)
    """
    A = A if isinstance(A, np.ndarray) and A.dtype.name in SPACINGS else as_real(A, "A")
    return A.view(np.dtype(A.dtype, metadata={"stored": one_of(name, SPACINGS, "name")}))


def _stored(dtype) -> str:
    try:
        known = np.dtype(dtype)
    except TypeError:
        return str(dtype)
    return (known.metadata or {}).get("stored", known.name)


def rank_tolerance(singular_values: Float[np.ndarray, " k"], shape: tuple[int, int], dtype, exponent: int = 0) -> float:
    r"""The size up to which a singular value counts as rounding, for entries *stored* in a type: the larger of two.

    - Arithmetic: $\varepsilon \max(m, n) \sigma_1$, with float32's $\varepsilon$ at most: sums aren't made in less.
    - Storage: $\varepsilon \|A\|_F + \varepsilon_0 \sqrt{mn}$. An entry is within $\varepsilon |a_{ij}|$ of what was
      meant, or within the type's smallest number $\varepsilon_0$: room for two roundings, as of a sum and its terms.

    The first is larger in float32 and float64, the second in narrower types; what lies below may be there, and wasn't
    stored. A float32 matrix that is converted to float64 has gained no digits: `stored_as` says so.

    Args:
        singular_values: in descending order, any unit; the tolerance has the same.
        shape: (m, n) of the matrix.
        dtype: of the array, with the mark of `stored_as` if it has one.
        exponent: of the power of two by which the matrix was divided before.

    Raises:
        BadInput: for a type that isn't in `SPACINGS`.

    >>> bool(rank_tolerance(np.array([2.0, 1.0]), (3, 2), np.float64) == 2 * 3 * np.finfo(np.float64).eps)
    True
    """
    eps, least = SPACINGS[one_of(_stored(dtype), SPACINGS, "dtype")]
    arithmetic = min(eps, SPACINGS["float32"][0]) * max(shape) * singular_values[0]
    storage = eps * np.hypot.reduce(singular_values) + np.ldexp(least, -exponent) * np.sqrt(shape[0] * shape[1])
    return float(max(arithmetic, storage))


def _svd(
    A: Float[np.ndarray, "m n"],
) -> tuple[Float[np.ndarray, "m k"], Float[np.ndarray, " k"], Float[np.ndarray, "k n"]]:
    """Thin SVD; the slower, safer LAPACK driver takes over where the fast one doesn't converge."""
    try:
        return scipy.linalg.svd(A, full_matrices=False)
    except np.linalg.LinAlgError:
        return scipy.linalg.svd(A, full_matrices=False, lapack_driver="gesvd")


def numerical_rank(A, tol: float | None = None) -> int:
    r"""The number of singular values strictly greater than the tolerance.

    Args:
        A: (m, n), real and finite.
        tol: absolute, in the unit of A; `rank_tolerance` if left out.

    Raises:
        BadInput: if A isn't a finite real matrix or tol isn't a number of at least 0.

    Source: section 2.3 of the paper, where $r$ is the rank; the rule is that of LAPACK's users.

    >>> numerical_rank([[1, 2], [2, 4]])
    1
    >>> numerical_rank(1e-14 * np.eye(3)), numerical_rank(np.zeros((2, 3)))
    (3, 0)
    """
    return FourSubspaces.of(A, tol).rank


@dataclass(frozen=True, eq=False, repr=False)
class EnergySplit(Shown):
    r"""$\|x\|^2 = \|p\|^2 + \|x - p\|^2$, one number a vector: what a subspace holds of x and what it leaves.

    Fields have the unit of x squared and the shape of the batch.
    """

    total: Float[np.ndarray, "*batch"]
    signal: Float[np.ndarray, "*batch"]
    residual: Float[np.ndarray, "*batch"]

    @property
    def signal_fraction(self) -> Float[np.ndarray, "*batch"]:
        r"""$\|p\|^2 / \|x\|^2$, between 0 and 1; NaN where that is 0 or infinite."""
        return _fraction(self.signal, self.total)

    @property
    def residual_fraction(self) -> Float[np.ndarray, "*batch"]:
        r"""$\|x - p\|^2 / \|x\|^2$ (section 2.2 of the paper), between 0 and 1; NaN where that is 0 or infinite."""
        return _fraction(self.residual, self.total)


def _fraction(part: Float[np.ndarray, "*batch"], total: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    return np.divide(part, total, out=np.full_like(total, np.nan), where=(total > 0) & np.isfinite(total))


def _energy(x: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch"]:
    return np.asarray(np.sum(x * x, axis=-1))


@dataclass(frozen=True, eq=False, repr=False)
class FourSubspaces:
    r"""The four fundamental subspaces of a matrix, $A = U \Sigma V^\top$, factored once.

    | property | the paper's name | holds |
    | --- | --- | --- |
    | `row_space` (n, r) | Signal(W) | what the layer sees |
    | `null_space` (n, n-r) | RejSignal(W) | what it can't see |
    | `column_space` (m, r) | SignalOut(W) | what it can say |
    | `left_null_space` (m, m-r) | RejSignalOut(W) | what it can never say |

    Make one with `FourSubspaces.of(A)`. Bases are orthonormal columns in float64. The bases of the two null
    spaces are made when first asked for. Vectors come as `(n,)` or as batches `(..., n)`.

    Source: section 2.1 of the paper (definitions), section 2.3 and equation (4) (by the SVD).

    >>> S = FourSubspaces.of([[1, 2, 3], [2, 4, 6]])
    >>> S.rank, S.row_space.shape, S.null_space.shape, S.column_space.shape, S.left_null_space.shape
    (1, (3, 1), (3, 2), (2, 1), (2, 1))
    >>> S.project_row([1, 2, 3]).round(9).tolist()
    [1.0, 2.0, 3.0]
    """

    U: Float[np.ndarray, "m k"]
    singular_values: Float[np.ndarray, " k"]
    Vh: Float[np.ndarray, "k n"]
    rank: int
    tol: float

    @classmethod
    def of(cls, A, tol: float | None = None) -> "FourSubspaces":
        """Factor A (m, n). `tol` is absolute, in the unit of A; left out, `rank_tolerance` decides.

        Raises:
            BadInput: if A isn't a finite real matrix with at least one entry, its largest singular value isn't a
                number of float64, or tol isn't a number of at least 0.
        """
        A = as_matrix(A)
        dtype, A = A.dtype, A.astype(np.float64)
        exponent = int(np.frexp(np.abs(A).max())[1])  # A over a power of two, which is exact, is of a size around 1
        U, s, Vh = _svd(np.ldexp(A, -exponent))
        with np.errstate(over="ignore", under="ignore"):
            singular_values = np.ldexp(s, exponent)
        if not np.isfinite(singular_values[0]):
            raise BadInput("A: expected singular values within float64, got a larger one; scale it down")
        if tol is None:  # compared before scaling back, where a tiny tolerance would round to zero
            tol = rank_tolerance(s, A.shape, dtype, exponent)
            rank, tol = np.count_nonzero(s > tol), float(np.ldexp(tol, exponent))
        else:
            tol = number(tol, "tol")
            rank = np.count_nonzero(singular_values > tol)
        return cls(U, singular_values, Vh, int(rank), tol)

    def __repr__(self) -> str:
        """What one wants to see in a shell.

        >>> FourSubspaces.of([[3, 0, 0], [0, 1, 0]])
        FourSubspaces(shape: (2, 3), rank: 2, condition number: 3)
        """
        return f"FourSubspaces(shape: {self.shape}, rank: {self.rank}, condition number: {self.condition_number:.4g})"

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n), outputs and inputs."""
        return self.U.shape[0], self.Vh.shape[1]

    # the four bases

    @property
    def row_space(self) -> Float[np.ndarray, "n r={self.rank}"]:
        """Orthonormal basis of the row space, Signal(W) in the paper, what the layer sees."""
        return self.Vh[: self.rank].T

    @cached_property
    def null_space(self) -> Float[np.ndarray, "n nullity=n-{self.rank}"]:
        """Orthonormal basis of the null space, RejSignal(W) in the paper, what the layer can't see."""
        return _complement(self.row_space)

    @property
    def column_space(self) -> Float[np.ndarray, "m r={self.rank}"]:
        """Orthonormal basis of the column space, SignalOut(W) in the paper, what the layer can say."""
        return self.U[:, : self.rank]

    @cached_property
    def left_null_space(self) -> Float[np.ndarray, "m nullity=m-{self.rank}"]:
        """Orthonormal basis of the left null space, RejSignalOut(W) in the paper, what the layer can never say."""
        return _complement(self.column_space)

    # the spectrum

    @property
    def signal_vectors(self) -> Float[np.ndarray, "n r={self.rank}"]:
        r"""$\sigma_1 v_1, \dots, \sigma_r v_r$, equation (4) of the paper, one a column."""
        return self.row_space * self.singular_values[: self.rank]

    @property
    def condition_number(self) -> float:
        r"""$\sigma_1 / \sigma_r$ over the nonzero singular values (section 2.3); NaN for a zero matrix."""
        return float(self.singular_values[0] / self.singular_values[self.rank - 1]) if self.rank else float("nan")

    # projections

    def project_row(self, x) -> Float[np.ndarray, "*batch n"]:
        r"""$V_r V_r^\top x$: the signal part of x (..., n), in the unit of x. Raises BadInput on a wrong length."""
        return _project(self.row_space, as_vectors(x, self.shape[1]))

    def project_null(self, x) -> Float[np.ndarray, "*batch n"]:
        r"""$x - V_r V_r^\top x$: the rejected part of x (..., n). Raises BadInput on a wrong length."""
        x = as_vectors(x, self.shape[1])
        return x - _project(self.row_space, x)

    def project_column(self, y) -> Float[np.ndarray, "*batch m"]:
        r"""$U_r U_r^\top y$: the part of y (..., m) that some input can reach. Raises BadInput on a wrong length."""
        return _project(self.column_space, as_vectors(y, self.shape[0], "y"))

    def project_left_null(self, y) -> Float[np.ndarray, "*batch m"]:
        r"""$y - U_r U_r^\top y$: the part of y (..., m) that no input reaches. Raises BadInput on a wrong length."""
        y = as_vectors(y, self.shape[0], "y")
        return y - _project(self.column_space, y)

    def energy_split(self, x) -> EnergySplit:
        r"""How $\|x\|^2$ divides between row space and null space, for x (..., n). Raises BadInput on a wrong length.

        >>> FourSubspaces.of([[3, 4]]).energy_split([3, -4]).residual_fraction.round(4).item()
        0.9216
        """
        x = as_vectors(x, self.shape[1])
        signal = _project(self.row_space, x)
        return EnergySplit(_energy(x), _energy(signal), _energy(x - signal))

    def pinv(self, y) -> Float[np.ndarray, "*batch n"]:
        r"""$A^+ y = V_r \Sigma_r^{-1} U_r^\top y$ for y (..., m): the smallest x whose $A x$ is nearest to y.

        Solves equation (2) of the paper exactly for y in the column space. Raises BadInput on a wrong length, or where
        x is beyond float64.

        >>> FourSubspaces.of([[2, 0, 0], [0, 4, 0]]).pinv([2, 4]).round(9).tolist()
        [1.0, 1.0, 0.0]
        """
        y = as_vectors(y, self.shape[0], "y")
        with np.errstate(over="ignore", invalid="ignore"):
            x = (y @ self.column_space / self.singular_values[: self.rank]) @ self.row_space.T
        if not np.isfinite(x).all():
            raise BadInput("y: expected an x within float64, got a larger one; scale y down or A up")
        return x


def _project(basis: Float[np.ndarray, "n r"], x: Float[np.ndarray, "*batch n"]) -> Float[np.ndarray, "*batch n"]:
    """Onto the span of orthonormal columns; where they span all of R^n, x itself, so that nothing is left over."""
    return x.copy() if basis.shape[0] == basis.shape[1] else (x @ basis) @ basis.T


def _complement(basis: Float[np.ndarray, "n r"]) -> Float[np.ndarray, "n n-r"]:
    """Orthonormal basis of the orthogonal complement: the last columns of a complete QR, and only those."""
    n, r = basis.shape
    last = np.eye(n, n - r, -r, order="F")
    if r in (0, n):
        return last
    (reflectors, scales), _ = scipy.linalg.qr(basis, mode="raw")
    return scipy.linalg.lapack.dormqr("L", "N", reflectors, scales, last, 64 * (n - r), overwrite_c=True)[0]


@dataclass(frozen=True, eq=False, repr=False)
class NeuronProjection(Shown):
    """What one neuron's weight vector holds of x, and what it ignores. Fields follow the batch of x."""

    projection: Float[np.ndarray, "*batch n"]
    residual: Float[np.ndarray, "*batch n"]
    energy: EnergySplit


def neuron_projection(w, x) -> NeuronProjection:
    r"""Split x into $p = (w^\top x / \|w\|^2)\, w$ and the residual $x - p$, with $(x - p)^\top w = 0$.

    Args:
        w: (n,) weights of one neuron, any unit.
        x: (..., n) one image or a batch, flattened.

    Returns:
        The projection and the residual in the unit of x, and the energies $\|x\|^2 = \|p\|^2 + \|x-p\|^2$.

    Raises:
        BadInput: for a zero weight vector, a zero image, or lengths that differ.

    Source: section 2.2 and equation (3) of the paper.

    >>> split = neuron_projection([1, 1], [3, 1])
    >>> split.projection.round(9).tolist(), split.residual.round(9).tolist()
    ([2.0, 2.0], [1.0, -1.0])
    >>> split.energy.residual_fraction.round(9).item()
    0.2
    """
    w = as_vector(w, None, "w")
    x = as_vectors(x, w.shape[0])
    if not w.any():
        raise BadInput(
            "w: expected a nonzero weight vector, got all zeros; a silent neuron has no direction to project on"
        )
    zero = np.flatnonzero(~x.reshape(-1, w.shape[0]).any(axis=1))
    if zero.size:
        raise BadInput(f"x: expected nonzero images, got all zeros at position {zero[0]}; leave blank images out")
    unit = w / np.abs(w).max()  # first to scale 1, so that squaring neither overflows nor underflows
    unit = unit / np.linalg.norm(unit)
    projection = (x @ unit)[..., None] * unit
    residual = x - projection
    return NeuronProjection(projection, residual, EnergySplit(_energy(x), _energy(projection), _energy(residual)))


def absorb_bias(W, bias) -> Float[np.ndarray, "m={len(W)} columns={len(W[0])+1}"]:
    r"""$W' = (W \mid b)$: the bias as one more column, for *looking* at a layer (section 2.1 of the paper).

    For *inverting*, subtract the bias instead: the pseudo-inverse of W' doesn't return 1 in the last coordinate.

    Args:
        W: (m, n), any unit.
        bias: (m,), the unit of W x.

    Raises:
        BadInput: if the bias doesn't have one number a row.

    >>> absorb_bias([[1, 2]], [3]).tolist()
    [[1.0, 2.0, 3.0]]
    """
    W = as_matrix(W, "W")
    column = as_vector(bias, W.shape[0], "bias")
    stored = max(map(_stored, (W.dtype, as_real(bias, "bias").dtype)), key=lambda name: SPACINGS[name])  # the coarser
    return stored_as(np.column_stack([W, column]), stored)


def append_one(x) -> Float[np.ndarray, "*batch k"]:
    """$x' = (x; 1)$, so that $W'x' = Wx + b$, for x (..., n) in any unit: shape (..., n + 1).

    >>> append_one([5, 6]).tolist()
    [5.0, 6.0, 1.0]
    """
    x = as_vectors(x, None)
    return np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1)

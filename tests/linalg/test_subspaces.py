"""The four subspaces against SciPy's bases, exact row reduction and NumPy's pseudo-inverse."""

import numpy as np
import pytest
import scipy.linalg

from tests.oracles import exact_null_basis, exact_rank, exact_row_basis, matrix_of_rank, projector
from vsbook.linalg.subspaces import (
    FourSubspaces,
    absorb_bias,
    append_one,
    neuron_projection,
    numerical_rank,
    rank_tolerance,
)

# m, n, rank
SHAPES = [
    (1, 1, 1),
    (1, 7, 1),
    (7, 1, 1),
    (5, 5, 5),
    (5, 5, 2),
    (3, 9, 3),
    (3, 9, 1),
    (9, 3, 3),
    (9, 3, 2),
    (10, 784, 10),
    (10, 784, 9),
    (60, 40, 17),
    (4, 6, 0),
    (1, 3, 0),
    (3, 1, 0),
]
SCALES = [1e-9, 1e-3, 1.0, 1e7]

# A computed projector's error is a few eps times the dimension over the relative gap at the rank's cut. The matrices
# have their nonzero singular values between 1 and 2, so 1e-11 leaves three digits of room at n = 784.
CLOSE = 1e-11


def shape_id(case):
    return "{}x{}-rank{}".format(*case)


@pytest.mark.parametrize("scale", SCALES, ids="scale{:.0e}".format)
@pytest.mark.parametrize("case", SHAPES, ids=shape_id)
def test_the_four_projectors_are_scipys(case, scale):
    m, n, rank = case
    A = scale * matrix_of_rank(m, n, rank, seed=m + n)
    S = FourSubspaces.of(A)
    assert S.rank == rank
    # SciPy counts what exceeds eps * max(m, n) * s[0] too; a zero matrix it leaves to `rcond`, with no difference
    np.testing.assert_allclose(S.row_space @ S.row_space.T, projector(scipy.linalg.orth(A.T)), atol=CLOSE)
    np.testing.assert_allclose(S.column_space @ S.column_space.T, projector(scipy.linalg.orth(A)), atol=CLOSE)
    np.testing.assert_allclose(S.null_space @ S.null_space.T, projector(scipy.linalg.null_space(A)), atol=CLOSE)
    np.testing.assert_allclose(
        S.left_null_space @ S.left_null_space.T, projector(scipy.linalg.null_space(A.T)), atol=CLOSE
    )


@pytest.mark.parametrize("case", SHAPES, ids=shape_id)
def test_bases_have_the_dimensions_of_the_big_picture(case):
    m, n, rank = case
    S = FourSubspaces.of(matrix_of_rank(m, n, rank, seed=1))
    shapes = [basis.shape for basis in (S.row_space, S.null_space, S.column_space, S.left_null_space)]
    assert shapes == [(n, rank), (n, n - rank), (m, rank), (m, m - rank)]
    assert S.shape == (m, n)


@pytest.mark.parametrize("case", SHAPES, ids=shape_id)
def test_what_the_null_spaces_promise(case):
    A = matrix_of_rank(*case, seed=2)
    S = FourSubspaces.of(A)
    assert np.abs(A @ S.null_space).max(initial=0) < CLOSE
    assert np.abs(A.T @ S.left_null_space).max(initial=0) < CLOSE


@pytest.mark.parametrize("seed", range(30))
def test_integer_matrices_by_exact_row_reduction(seed):
    generator = np.random.default_rng(seed)
    m, n, inner = generator.integers(1, 7, 3)
    A = generator.integers(-3, 4, (m, inner)) @ generator.integers(-3, 4, (inner, n))
    S = FourSubspaces.of(A)
    assert S.rank == exact_rank(A)
    # exact bases aren't orthogonal: their normal equations lose the square of their condition number
    np.testing.assert_allclose(S.row_space @ S.row_space.T, projector(exact_row_basis(A)), atol=1e-9)
    np.testing.assert_allclose(S.null_space @ S.null_space.T, projector(exact_null_basis(A)), atol=1e-9)
    np.testing.assert_allclose(S.column_space @ S.column_space.T, projector(exact_row_basis(A.T)), atol=1e-9)
    np.testing.assert_allclose(S.left_null_space @ S.left_null_space.T, projector(exact_null_basis(A.T)), atol=1e-9)


@pytest.mark.parametrize("case", SHAPES, ids=shape_id)
def test_pseudo_inverse_is_numpys(case):
    A = matrix_of_rank(*case, seed=3)
    y = np.random.default_rng(4).standard_normal((5, case[0]))
    np.testing.assert_allclose(FourSubspaces.of(A).pinv(y), y @ np.linalg.pinv(A, rcond=1e-10).T, atol=CLOSE)


# rank as a policy


def graded(dtype):
    """Singular values 1 and 1e-10: rank 2 in float64, where that is a number, and rank 1 in float32, where it isn't."""
    return np.array([[1, 0], [0, 1e-10]], dtype=dtype)


@pytest.mark.parametrize(
    ("A", "rank"),
    [
        (1e-14 * np.eye(4), 4),
        (1e-300 * np.eye(4), 4),
        (1e-310 * np.eye(4), 4),
        (np.full((4, 6), 1e-310), 1),
        (np.full((4, 6), 3e307), 1),
        (np.outer(np.linspace(1, 2, 30), np.linspace(1, 3, 30)).astype(np.longdouble) / 3, 1),
        (np.zeros((3, 5)), 0),
        (np.zeros((1, 1)), 0),
        (graded(np.float64), 2),
        (graded(np.float32), 1),
        ([[1, 2], [2, 4]], 1),
        (np.ones((4, 4), np.int8), 1),
        (np.ones((2, 3), np.float16), 1),
    ],
    ids=[
        "tiny",
        "tinier",
        "subnormal",
        "subnormal, one",
        "huge",
        "longdouble",
        "zero",
        "zero-1x1",
        "graded-64",
        "graded-32",
        "list",
        "int8",
        "float16",
    ],
)
def test_rank(A, rank):
    assert numerical_rank(A) == rank


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seed", range(5))
def test_float32_rounding_is_not_rank(seed, scale):
    """Rank 6 rounded to float32 has 34 singular values of rounding; in float64's eps they would count."""
    A = (scale * matrix_of_rank(40, 60, 6, seed)).astype(np.float32)
    assert numerical_rank(A) == 6
    assert numerical_rank(A.astype(np.float64)) == 40  # nobody can know any more that it came from float32


def test_rank_is_not_that_of_the_gram_matrix():
    """Singular values down to 1e-10: squared, they would drown in rounding."""
    A = np.linalg.qr(np.random.default_rng(0).standard_normal((30, 30)))[0] * np.logspace(0, -10, 30)
    assert numerical_rank(A) == 30


@pytest.mark.parametrize(
    ("tol", "rank"), [(0, 3), (0.5, 3), (1.0, 2), (1.5, 2), (2.0, 1), (3.0, 0), (np.float32(2.5), 1)]
)
def test_tolerance_is_strict_and_reported(tol, rank):
    S = FourSubspaces.of(np.diag([3.0, 2.0, 1.0]), tol=tol)
    assert (S.rank, S.tol) == (rank, tol)


def test_default_tolerance_is_the_written_policy():
    A = matrix_of_rank(4, 6, 4, 0).astype(np.float32)
    S = FourSubspaces.of(A)
    expected = np.finfo(np.float32).eps * 6 * np.linalg.svd(A.astype(float), compute_uv=False)[0]
    assert S.tol == pytest.approx(expected, rel=1e-12)
    assert S.tol == rank_tolerance(S.singular_values, A.shape, A.dtype)


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-500, 2.0**500, 2.0**1000])
def test_a_power_of_two_changes_no_bit(scale):
    """Wherever it leads, the factors are those of the matrix around 1."""
    A = matrix_of_rank(5, 8, 3, 0)
    S, other = FourSubspaces.of(A), FourSubspaces.of(scale * A)
    assert other.rank == 3
    np.testing.assert_array_equal(other.row_space, S.row_space)
    np.testing.assert_array_equal(other.singular_values[:3], scale * S.singular_values[:3])


@pytest.mark.parametrize("scale", [1e-310, 1e-300, 1e300])
def test_pseudo_inverse_of_tiny_and_huge(scale):
    """At 1e-310 a number of float64 has some 12 digits left."""
    x = FourSubspaces.of(scale * np.diag([1.0, 2.0])).pinv([1e-9, 1e-9])
    np.testing.assert_allclose(x, [1e-9 / scale, 5e-10 / scale], rtol=1e-9)


def test_the_safer_driver_takes_over(monkeypatch):
    plain, asked = scipy.linalg.svd, []

    def diverging(A, full_matrices=True, lapack_driver="gesdd"):
        asked.append(lapack_driver)
        if lapack_driver == "gesdd":
            raise np.linalg.LinAlgError("SVD did not converge")
        return plain(A, full_matrices=full_matrices, lapack_driver=lapack_driver)

    monkeypatch.setattr(scipy.linalg, "svd", diverging)
    assert FourSubspaces.of(np.diag([3.0, 2.0])).singular_values == pytest.approx([3, 2])
    assert asked == ["gesdd", "gesvd"]


def test_a_zero_matrix_sees_nothing():
    S = FourSubspaces.of(np.zeros((2, 3)))
    x = np.array([1.0, 2.0, 3.0])
    assert np.isnan(S.condition_number)
    assert S.signal_vectors.shape == (3, 0)
    np.testing.assert_array_equal(S.project_row(x), np.zeros(3))
    np.testing.assert_array_equal(S.project_null(x), x)
    np.testing.assert_array_equal(S.pinv([1.0, 1.0]), np.zeros(3))


# storage and layout

LAYOUTS = {
    "fortran": np.asfortranarray,
    "strided": lambda A: np.repeat(np.repeat(A, 2, axis=0), 2, axis=1)[::2, ::2],
    "reversed": lambda A: A[::-1, ::-1].copy()[::-1, ::-1],
    "big-endian": lambda A: A.astype(">f8"),
    "list": lambda A: A.tolist(),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_makes_no_difference(layout):
    A = matrix_of_rank(6, 9, 4, 0)
    S, other = FourSubspaces.of(A), FourSubspaces.of(LAYOUTS[layout](A))
    assert other.rank == 4
    np.testing.assert_allclose(
        other.row_space @ other.row_space.T, S.row_space @ S.row_space.T, atol=CLOSE
    )  # LAPACK may take another path through memory


def test_what_comes_in_is_left_alone():
    A, x = matrix_of_rank(4, 6, 3, 0), np.ones((2, 6))
    before = A.copy(), x.copy()
    A.flags.writeable = x.flags.writeable = False
    S = FourSubspaces.of(A)
    S.project_null(x), S.energy_split(x), S.pinv(np.ones(4)), neuron_projection(A[0], x)
    np.testing.assert_array_equal((A, x)[0], before[0])
    np.testing.assert_array_equal(x, before[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bases_are_float64_whatever_came(dtype):
    S = FourSubspaces.of(matrix_of_rank(3, 5, 3, 0).astype(dtype))
    bases = (S.row_space, S.null_space, S.column_space, S.left_null_space, S.project_row(np.ones(5, dtype)))
    assert {b.dtype for b in bases} == {np.dtype(np.float64)}


@pytest.mark.parametrize("batch", [(), (1,), (4,), (2, 3), (2, 1, 3)], ids=str)
def test_a_batch_is_its_vectors_one_by_one(batch):
    S, generator = FourSubspaces.of(matrix_of_rank(4, 6, 3, 0)), np.random.default_rng(0)
    x, y = generator.standard_normal((*batch, 6)), generator.standard_normal((*batch, 4))
    for method, vectors in [
        (S.project_row, x),
        (S.project_null, x),
        (S.project_column, y),
        (S.project_left_null, y),
        (S.pinv, y),
        (lambda v: neuron_projection(np.arange(6.0), v).projection, x),
        (append_one, x),
    ]:
        rows = [method(v) for v in vectors.reshape(-1, vectors.shape[-1])]
        np.testing.assert_allclose(method(vectors).reshape(len(rows), -1), rows, atol=CLOSE)
    assert S.energy_split(x).signal_fraction.shape == batch


def test_energies_by_hand():
    split = FourSubspaces.of([[3, 4]]).energy_split([[3, 4], [4, -3], [1, 0]])
    np.testing.assert_allclose(split.total, [25, 25, 1])
    np.testing.assert_allclose(split.signal, [25, 0, 9 / 25], atol=1e-14)
    np.testing.assert_allclose(split.residual, [0, 25, 16 / 25], atol=1e-14)
    np.testing.assert_allclose(split.signal_fraction, [1, 0, 9 / 25], atol=1e-14)
    np.testing.assert_allclose(split.residual_fraction, [0, 1, 16 / 25], atol=1e-14)


def test_a_blank_image_has_no_fraction():
    assert np.isnan(FourSubspaces.of([[3, 4]]).energy_split([[0, 0]]).signal_fraction).all()


def test_neuron_by_hand():
    split = neuron_projection([0, 2], [3, 5])
    np.testing.assert_allclose(split.projection, [0, 5])
    np.testing.assert_allclose(split.residual, [3, 0])
    assert (split.energy.total, split.energy.signal, split.energy.residual) == (34, 25, 9)


@pytest.mark.parametrize("scale", [1e-200, 1e-9, 1e7, 1e200])
def test_the_neurons_scale_makes_no_difference(scale):
    """Squared, these lengths leave float64."""
    np.testing.assert_allclose(neuron_projection([scale, scale], [3, 1]).projection, [2, 2], rtol=1e-14)


def test_signal_vectors_are_equation_4():
    A = matrix_of_rank(5, 8, 4, 0)
    V = FourSubspaces.of(A).signal_vectors
    np.testing.assert_allclose(V @ V.T, A.T @ A, atol=CLOSE)  # sum of sigma_i^2 v_i v_i'
    lengths = np.linalg.norm(V, axis=0)
    np.testing.assert_allclose(lengths, np.linspace(2, 1, 4), rtol=1e-12)


def test_condition_number_leaves_rounding_out():
    assert FourSubspaces.of(np.diag([4.0, 2.0, 1e-18])).condition_number == pytest.approx(2, rel=1e-14)


def test_bias_absorbed_is_the_affine_map():
    generator = np.random.default_rng(0)
    W, b, x = generator.standard_normal((3, 5)), generator.standard_normal(3), generator.standard_normal((7, 5))
    np.testing.assert_allclose(append_one(x) @ absorb_bias(W, b).T, x @ W.T + b, atol=1e-14)


def test_inverting_with_the_bias_absorbed_does_not_give_one():
    """Why the docstring says to subtract it: the last coordinate isn't 1."""
    W, b, x = matrix_of_rank(3, 5, 3, 0), np.array([1.0, -2.0, 3.0]), np.arange(5.0)
    returned = FourSubspaces.of(absorb_bias(W, b)).pinv(W @ x + b)
    assert abs(returned[-1] - 1) > 0.01


@pytest.mark.parametrize("shape", [(5, 5), (9, 5)], ids=str)
def test_nothing_is_left_over_where_the_row_space_is_all(shape):
    """A null space of dimension 0 holds nothing, on every processor: zeros by structure, not sums that vanish."""
    generator = np.random.default_rng(0)
    S, x = FourSubspaces.of(generator.standard_normal(shape)), generator.standard_normal((7, 5))
    assert not S.project_null(x).any()
    assert (S.energy_split(x).residual == 0).all()
    np.testing.assert_array_equal(S.project_row(x), x)
    assert S.project_row(x) is not x
    transposed = FourSubspaces.of(generator.standard_normal(shape[::-1]))
    assert not transposed.project_left_null(x).any()

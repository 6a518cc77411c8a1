"""Laws that hold for every matrix, tried on matrices that hypothesis makes up."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.oracles import exact_rank
from vsbook.linalg.subspaces import FourSubspaces, absorb_bias, append_one, neuron_projection, numerical_rank

settings.register_profile("laws", deadline=None, derandomize=True, max_examples=80)
settings.load_profile("laws")

# The matrices are of small integers, up to 6 x 6: their smallest nonzero singular value is above 1e-5 of the largest
# (a product of at most six, over the others), so float64 leaves more than nine digits for every law.
CLOSE = 1e-9

sizes = st.integers(1, 6)
entries = st.integers(-4, 4).map(float)
factors = st.sampled_from([1e-9, 1e-4, 1.0, 1e3, 1e7])


@st.composite
def matrices(draw):
    """(m, n) of any rank: half of them products of thinner ones, so that deficient ranks are common."""
    m, n, inner = draw(sizes), draw(sizes), draw(sizes)
    if draw(st.booleans()):
        return draw(arrays(float, (m, n), elements=entries))
    return draw(arrays(float, (m, inner), elements=entries)) @ draw(arrays(float, (inner, n), elements=entries))


@st.composite
def rotations(draw, n):
    """(n, n) orthogonal."""
    return np.linalg.qr(np.random.default_rng(draw(st.integers(0, 999))).standard_normal((n, n)))[0]


def projectors(S):
    """The four as matrices, each applied to the basis of its whole space."""
    m, n = S.shape
    return (
        S.project_row(np.eye(n)),
        S.project_null(np.eye(n)),
        S.project_column(np.eye(m)),
        S.project_left_null(np.eye(m)),
    )


def bases(S):
    return S.row_space, S.null_space, S.column_space, S.left_null_space


def assert_close(actual, expected, size=1.0):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=CLOSE * size)


@given(matrices(), factors)
def test_projectors_are_idempotent_and_symmetric(A, factor):
    for P in projectors(FourSubspaces.of(factor * A)):
        assert_close(P @ P, P)
        assert_close(P.T, P)


@given(matrices(), factors)
def test_projectors_are_those_of_the_bases(A, factor):
    S = FourSubspaces.of(factor * A)
    for P, basis in zip(projectors(S), bases(S), strict=True):
        assert_close(basis @ basis.T, P)


@given(matrices())
def test_rank_and_nullity_on_both_sides(A):
    S, (m, n) = FourSubspaces.of(A), A.shape
    assert S.rank == exact_rank(A)
    assert S.row_space.shape[1] + S.null_space.shape[1] == n
    assert S.column_space.shape[1] + S.left_null_space.shape[1] == m
    assert S.row_space.shape[1] == S.column_space.shape[1] == S.rank


@given(matrices(), factors)
def test_bases_are_orthonormal_and_the_pairs_orthogonal(A, factor):
    row, null, column, left = bases(FourSubspaces.of(factor * A))
    for pair in (np.hstack([row, null]), np.hstack([column, left])):
        assert_close(pair.T @ pair, np.eye(len(pair)))


@given(matrices(), factors)
def test_the_null_spaces_are_sent_to_zero_and_the_others_kept(A, factor):
    A = factor * A
    S, size = FourSubspaces.of(A), np.abs(A).max()
    row, null, column, left = projectors(S)
    assert_close(A @ null, 0 * A, size)
    assert_close(A.T @ left, 0 * A.T, size)
    assert_close(A @ row, A, size)
    assert_close(column @ A, A, size)


@given(st.data())
def test_energy_splits(data):
    A = data.draw(matrices())
    x = data.draw(arrays(float, (3, A.shape[1]), elements=st.floats(-100, 100, allow_subnormal=False)))
    split = FourSubspaces.of(A).energy_split(x)
    assert_close(split.total, np.linalg.norm(x, axis=1) ** 2, 1e4)
    assert_close(split.signal + split.residual, split.total, 1e4)
    assert_close(split.signal, np.linalg.norm(FourSubspaces.of(A).project_row(x), axis=1) ** 2, 1e4)
    assert (split.signal >= 0).all()
    assert (split.residual >= 0).all()


@given(matrices(), factors)
def test_the_four_conditions_of_moore_and_penrose(A, factor):
    A = factor * A
    S = FourSubspaces.of(A)
    pinv = S.pinv(np.eye(A.shape[0])).T
    size = np.abs(A).max()
    assert_close(A @ pinv @ A, A, size)
    assert_close(pinv @ A @ pinv, pinv, np.abs(pinv).max())
    assert_close((A @ pinv).T, A @ pinv)
    assert_close((pinv @ A).T, pinv @ A)


@given(matrices(), factors)
def test_pinv_of_the_outputs_is_the_signal(A, factor):
    S, x = FourSubspaces.of(factor * A), np.arange(1.0, A.shape[1] + 1)
    assert_close(S.pinv(factor * A @ x), S.project_row(x), 10)


@given(matrices(), factors, st.sampled_from([np.float32, np.float64]))
def test_rank_and_condition_number_know_no_scale(A, factor, dtype):
    power = 2.0 ** np.round(np.log2(factor))  # a power of two: no entry is rounded, in float32 neither
    plain, scaled = FourSubspaces.of(A.astype(dtype)), FourSubspaces.of((power * A).astype(dtype))
    assert scaled.rank == plain.rank
    np.testing.assert_allclose(scaled.condition_number, plain.condition_number, rtol=CLOSE)


@given(matrices())
def test_transposition_swaps_the_spaces(A):
    row, null, column, left = projectors(FourSubspaces.of(A))
    for one, other in zip(projectors(FourSubspaces.of(A.T)), (column, left, row, null), strict=True):
        assert_close(one, other)


@given(st.data())
def test_rotations_leave_the_singular_values_and_turn_the_spaces(data):
    A = data.draw(matrices())
    Q, R = data.draw(rotations(A.shape[0])), data.draw(rotations(A.shape[1]))
    S, turned = FourSubspaces.of(A), FourSubspaces.of(Q @ A @ R.T)
    assert turned.rank == S.rank
    assert_close(turned.singular_values, S.singular_values, 100)
    assert_close(turned.project_row(np.eye(len(R))), R @ S.project_row(np.eye(len(R))) @ R.T)
    assert_close(turned.project_column(np.eye(len(Q))), Q @ S.project_column(np.eye(len(Q))) @ Q.T)


@given(matrices(), matrices())
def test_a_product_has_no_more_rank_than_its_factors(A, B):
    if A.shape[1] != B.shape[0]:
        B = np.ones((A.shape[1], 2))
    assert numerical_rank(A @ B) <= min(numerical_rank(A), numerical_rank(B))


@given(st.data())
def test_a_neuron_is_a_matrix_of_one_row(data):
    n = data.draw(sizes)
    nonzero = arrays(float, n, elements=entries).filter(np.any)
    w, x = data.draw(nonzero) * data.draw(factors), data.draw(nonzero)
    split, S = neuron_projection(w, x), FourSubspaces.of(w[None])
    assert_close(split.projection, S.project_row(x))
    assert_close(split.residual, S.project_null(x))
    assert_close(split.projection, (w @ x) / (w @ w) * w, 10)  # as the paper writes it
    assert_close(split.residual @ w / np.linalg.norm(w), 0)
    energies = S.energy_split(x)
    for name in ("total", "signal", "residual", "signal_fraction", "residual_fraction"):
        assert_close(getattr(split.energy, name), getattr(energies, name), 100)


@given(st.data())
def test_the_bias_as_one_more_column(data):
    W = data.draw(matrices())
    b = data.draw(arrays(float, W.shape[0], elements=entries))
    x = data.draw(arrays(float, (2, W.shape[1]), elements=entries))
    assert_close(append_one(x) @ absorb_bias(W, b).T, x @ W.T + b, 100)

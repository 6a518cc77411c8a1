"""Equation (5) against a loop with NumPy's pseudo-inverse, its report re-counted, and its error budget kept.

Bounds were fixed before the first run: a measured error may exceed `worst`, which is of first order, by the factor
BEYOND_FIRST_ORDER, and its median over outputs may differ from `typical`'s by the factor AROUND_TYPICAL.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.oracles import matrix_of_rank
from vsbook.checks import BadInput
from vsbook.inversion.chains import Chain, Step
from vsbook.inversion.layerwise import error_budget, invert_layers
from vsbook.linalg.activations import elu, identity, leaky_relu, selu, sigmoid, softplus, tanh
from vsbook.networks.checkpoints import load
from vsbook.networks.data import mnist

BEYOND_FIRST_ORDER, AROUND_TYPICAL = 1.5, 4.0
laws = settings(deadline=None, derandomize=True, max_examples=40)
UNBOUNDED = {"identity": identity(), "leaky": leaky_relu(0.1), "steep": leaky_relu(3.0)}
BOUNDED = {"SELU": selu(), "ELU": elu(2.0), "tanh": tanh(), "sigmoid": sigmoid(), "softplus": softplus()}


def well_conditioned(m, n, seed):
    """Full rank, singular values between 1 and 2."""
    return matrix_of_rank(m, n, min(m, n), seed)


def chain_of(widths, activations, seed=0):
    """Random layers of those widths; one activation each."""
    shapes = zip(widths[1:], widths[:-1], strict=True)
    biases = np.random.default_rng(seed).standard_normal((len(activations), max(widths)))
    return Chain(
        tuple(
            Step(f"layer{k}", well_conditioned(*shape, seed + k), b[: shape[0]], f)
            for k, (shape, b, f) in enumerate(zip(shapes, biases, activations, strict=True), start=1)
        )
    )


def normal(*shape, seed=9):
    return np.random.default_rng(seed).standard_normal(shape)


# the slow way: one output, one value at a time


def preimage(y, f):
    """f^-1 of one number by bisection of the function itself, and how far outside the range it is (-1: inside)."""
    if not f.low < y < f.high:  # what stands in for it is steep there, and held by test_activations
        return f.inverse(y).values, max(f.low - y, y - f.high)
    left, right = -1e6, 1e6
    for _ in range(100):
        middle = (left + right) / 2
        left, right = (middle, right) if f(middle) < y else (left, middle)
    return right, -1.0


def by_loops(chain, output):
    """Image, and for each layer the number of values outside, the largest depth, and what isn't reached."""
    x, rows = np.array(output, float), []
    for step in reversed(chain.steps):
        pairs = [preimage(value, step.activation) for value in x]
        z = np.array([value for value, _ in pairs]) - step.bias
        outside = [depth for _, depth in pairs if depth >= 0]
        x = np.linalg.pinv(step.weight) @ z
        rows.append((len(outside), max(outside, default=0.0), np.linalg.norm(step.weight @ x - z) / np.linalg.norm(z)))
    return x, rows[::-1]


CHAINS = {
    **{name: chain_of([6, 4], [f]) for name, f in (UNBOUNDED | BOUNDED).items()},
    "square": chain_of([4, 4, 4], [leaky_relu(0.2), identity()]),
    "wide to narrow": chain_of([9, 7, 5, 3], [leaky_relu(), leaky_relu(2.0), identity()]),
    "more rows than columns": chain_of([3, 6, 4], [leaky_relu(), identity()]),
    "SELU between": chain_of([9, 7, 4], [selu(), identity()]),
    "all kinds": chain_of([8, 7, 6, 5, 4], [softplus(), tanh(), elu(), identity()]),
}


@pytest.mark.parametrize("name", CHAINS)
def test_equation_5_by_loops(name):
    """Outputs of every size, so that some lie outside every range that has an end."""
    chain = CHAINS[name]
    outputs = 1.5 * normal(12, chain.outputs)
    found = invert_layers(chain, outputs)
    expected = [by_loops(chain, y) for y in outputs]
    np.testing.assert_allclose(found.images, [x for x, _ in expected], rtol=1e-9, atol=1e-9)
    for field, column in (("outside", 0), ("depth", 1), ("unreached", 2)):
        rows = [[layer[column] for layer in layers] for _, layers in expected]
        np.testing.assert_allclose(getattr(found, field), rows, rtol=1e-9, atol=1e-9)
    assert (found.in_range == (found.outside.sum(axis=1) == 0)).all()
    if name in BOUNDED:
        assert 0 < found.outside.mean() < chain.outputs, "of both kinds"
    np.testing.assert_allclose(found.condition_numbers, [np.linalg.cond(step.weight) for step in chain.steps])


# where it is exact


@st.composite
def narrowing(draw, square):
    """A chain whose layers don't widen, with ranges that have no end."""
    depth = draw(st.integers(1, 4))
    widths = [draw(st.integers(1, 5))]
    for _ in range(depth):
        widths.insert(0, widths[0] + (0 if square else draw(st.integers(0, 3))))
    activations = [draw(st.sampled_from(list(UNBOUNDED.values()))) for _ in range(depth)]
    return chain_of(widths, activations, draw(st.integers(0, 99)))


@laws
@given(narrowing(square=True), st.integers(0, 99))
def test_square_layers_give_back_the_image_itself(chain, seed):
    """Four layers whose inverses stretch by at most 10: 1e-16 becomes less than 1e-11."""
    images = normal(3, chain.inputs, seed=seed)
    found = invert_layers(chain, chain(images))
    np.testing.assert_allclose(found.images, images, rtol=1e-10, atol=1e-10)
    assert found.exact.all()
    assert found.in_range.all()
    assert (found.unreached < 1e-12).all()
    assert not found.depth.any()


@laws
@given(narrowing(square=False), st.integers(0, 99))
def test_layers_that_do_not_widen_reach_every_output(chain, seed):
    outputs = 5 * normal(3, chain.outputs, seed=seed)
    found = invert_layers(chain, outputs, tolerance=1e-10)
    assert found.exact.all()
    np.testing.assert_allclose(chain(found.images), outputs, atol=1e-9)


def test_the_image_is_the_smallest_of_those_with_the_output():
    """Orthogonal to the null space, so that any step along that makes it longer."""
    chain = chain_of([9, 4], [leaky_relu()])
    found = invert_layers(chain, normal(5, 4)).images
    null_space = chain.steps[0].subspaces.null_space
    assert np.abs(found @ null_space).max() < 1e-13
    other = found + normal(5, 5) @ null_space.T
    np.testing.assert_allclose(chain(other), chain(found), atol=1e-12)
    assert (np.linalg.norm(other, axis=1) > np.linalg.norm(found, axis=1)).all()


def test_one_layer_gives_back_the_signal_part():
    """FCNN1 as the paper has it: x_signal from equation (2), no more and no less."""
    chain = Chain.of(load("fcnn1"))
    images = mnist().test.images[:200]
    found = invert_layers(chain, chain(images))
    V = np.linalg.svd(chain.steps[0].weight, full_matrices=False)[2].T
    np.testing.assert_allclose(found.images, images @ V @ V.T, atol=1e-9)
    assert found.exact.all()
    assert np.abs(found.images - images).max() > 0.1, "the rest of the image is lost"


def test_the_leaky_twin_gives_every_test_output_again():
    """1000 of 1000, judged by PyTorch in float64, and in float32 to that type's digits times the condition."""
    model = load("fcnn5_leaky_relu")
    chain, images = Chain.of(model), mnist().test.images[:1000]
    outputs = chain(images)
    found = invert_layers(chain, outputs, tolerance=1e-6)
    with torch.no_grad():
        again = model.double()(torch.from_numpy(found.images)).numpy()
    error = np.linalg.norm(again - outputs, axis=1) / np.linalg.norm(outputs, axis=1)
    assert (error <= 1e-6).sum() == found.exact.sum() == found.in_range.sum() == 1000
    assert 0.5 < np.median(found.forward_error) / np.median(error) < 2, "both are rounding, in another order"
    single = invert_layers(chain, outputs[:100], precision="float32")
    assert (single.forward_error > 1e-8).mean() > 0.9
    assert np.median(single.forward_error) > 1e4 * np.median(found.forward_error)


# where it is not


def test_what_lies_outside_is_counted_and_measured():
    """By hand: two of three outputs of tanh beyond 1, one at it; what comes back is arctanh of the neighbour of 1."""
    step = Step("only", np.eye(3), np.zeros(3), tanh())
    found = invert_layers(Chain((step,)), [[1.25, -3.0, 0.5], [1.0, 0.0, 0.0], [0.1, 0.2, 0.3]])
    assert found.outside.tolist() == [[2], [1], [0]]
    assert found.depth.tolist() == [[2.0], [0.0], [0.0]]
    assert found.in_range.tolist() == [False, False, True]
    limit = np.arctanh(np.nextafter(1, 0))
    np.testing.assert_allclose(found.images[:2], [[limit, -limit, np.arctanh(0.5)], [limit, 0, 0]], rtol=1e-12)
    off = np.linalg.norm([0.25, 2.0])
    np.testing.assert_allclose(found.forward_error[0], off / np.linalg.norm([1.25, -3.0, 0.5]))
    assert found.exact.tolist() == [False, True, True], "1 - 1e-16 is 1 to the tolerance, though tanh never takes 1"


def test_columns_stand_in_the_order_of_the_layers():
    first = Step("first", np.eye(2), np.zeros(2), tanh())
    second = Step("second", np.eye(2) * 0.5, np.zeros(2), sigmoid())
    found = invert_layers(Chain((first, second)), [[0.9, 1.5]])
    # sigmoid never takes 1.5; 2 logit(0.9) is beyond 1, and twice the limit of logit, 36.7, far beyond
    assert found.outside.tolist() == [[2, 1]]
    limit = np.log(np.nextafter(1, 0)) - np.log1p(-np.nextafter(1, 0))
    np.testing.assert_allclose(found.depth, [[2 * limit - 1, 0.5]])
    assert found.condition_numbers.tolist() == [1, 1]


@pytest.mark.parametrize("shape", ["more rows than columns", "deficient"])
def test_what_no_input_reaches(shape):
    """A vector of the left null space, whole; one of the column space, not at all; halves in between."""
    W = well_conditioned(5, 3, 0) if shape == "more rows than columns" else matrix_of_rank(5, 7, 3, 0)
    step = Step("only", W, np.array([1.0, 2, 3, 4, 5]), identity())
    never, always = step.subspaces.left_null_space[:, 0], step.subspaces.column_space[:, 0]
    found = invert_layers(Chain((step,)), np.array([never, always, (never + always)]) + step.bias)
    np.testing.assert_allclose(found.unreached[:, 0], [1, 0, np.sqrt(0.5)], atol=1e-12)
    assert found.exact.tolist() == [False, True, False]
    assert found.in_range.all(), "that is another matter"
    assert np.abs(found.images[0]).max() < 1e-12


def test_a_layer_of_zeros_gives_its_bias_and_no_other():
    found = invert_layers(Chain((Step("only", np.zeros((2, 3)), np.ones(2), identity()),)), [[1.0, 1.0], [1.0, 3.0]])
    assert not found.images.any()
    assert found.exact.tolist() == [True, False]
    np.testing.assert_allclose(found.unreached[:, 0], [0, 1])


@pytest.mark.parametrize("size", [1e-310, 1e-200, 1e-9, 1e3, 1e150, 1e290])
@pytest.mark.parametrize("name", ["SELU", "tanh", "sigmoid", "softplus", "square", "all kinds"])
def test_outputs_of_any_size_have_a_finite_report(name, size):
    chain = CHAINS[name]
    found = invert_layers(chain, np.concatenate([normal(4, chain.outputs) * size, np.zeros((1, chain.outputs))]))
    for field in ("images", "depth", "unreached", "forward_error"):
        assert np.isfinite(getattr(found, field)).all(), field


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_forward_error_is_the_networks(precision):
    """Recomputed by PyTorch in float64 from the image alone."""
    torch.manual_seed(1)
    layers = [nn.Linear(12, 9), nn.SELU(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 5), nn.Softplus(), nn.Linear(5, 3)]
    model = nn.Sequential(*layers).eval()
    outputs = 0.5 * normal(20, 3)
    found = invert_layers(Chain.of(model), outputs, precision=precision)
    with torch.no_grad():
        again = model.double()(torch.from_numpy(found.images)).numpy()
    error = np.linalg.norm(again - outputs, axis=1) / np.linalg.norm(outputs, axis=1)
    np.testing.assert_allclose(found.forward_error, error, rtol=1e-6, atol=1e-12)
    assert not found.in_range.all()


# the record and the door


def test_exact_is_to_the_tolerance():
    chain, outputs = CHAINS["square"], normal(30, 4)
    single = invert_layers(chain, outputs, precision="float32")
    middle = float(np.median(single.forward_error))
    for tolerance in (0, middle, 1.0):
        found = invert_layers(chain, outputs, tolerance=tolerance, precision="float32")
        assert found.tolerance == tolerance
        assert found.exact.tolist() == (single.forward_error <= tolerance).tolist()
    assert 0 < invert_layers(chain, outputs, tolerance=middle, precision="float32").exact.sum() < 30


def test_errors_are_of_the_size_of_the_precision():
    """Two layers with condition numbers of 2: some units in the last place."""
    chain = CHAINS["square"]
    outputs = chain(normal(200, 4))
    for precision in ("float64", "float32"):
        found, unit = invert_layers(chain, outputs, precision=precision), np.finfo(precision).eps
        assert 0.05 * unit < np.median(found.forward_error) < 10 * unit
        assert found.images.dtype == np.float64


def test_in_float32_every_number_on_the_way_is_one():
    found = invert_layers(CHAINS["wide to narrow"], normal(5, 3), precision="float32")
    np.testing.assert_array_equal(found.images, found.images.astype(np.float32))


def test_one_output_and_an_output_of_zeros():
    chain = CHAINS["wide to narrow"]
    outputs = normal(2, 3)
    one = invert_layers(chain, outputs[0])
    assert one.images.shape == (1, 9)
    assert one.outside.shape == (1, 3)
    np.testing.assert_allclose(one.images, invert_layers(chain, outputs).images[:1], atol=1e-14)
    zero = invert_layers(chain, np.zeros(3))
    assert zero.exact.all(), "an error of zero is not a share of anything: it counts as it is"
    np.testing.assert_array_equal(outputs, normal(2, 3))


def test_float32_ends_sooner():
    chain = CHAINS["square"]
    assert np.isfinite(invert_layers(chain, np.full(4, 1e39)).images).all()
    for call in (lambda y: invert_layers(chain, y, precision="float32"), lambda y: error_budget(chain, y)):
        with pytest.raises(BadInput, match=r"^outputs: expected float32 to hold what comes back, got more"):
            call(np.full(4, 1e39))


# the error budget


def widely_spread(widths, activations, condition, seed):
    """As `chain_of`, with singular values from 1 to 1 / condition."""
    steps = []
    for step in chain_of(widths, activations, seed).steps:
        U, _, Vh = np.linalg.svd(step.weight, full_matrices=False)
        steps.append(
            Step(step.name, U * np.geomspace(1, 1 / condition, len(Vh)) @ Vh, 0.1 * step.bias, step.activation)
        )
    return Chain(tuple(steps))


BUDGETS = {
    "identity": ([6, 6], [identity()]),
    "wide": ([300, 64], [identity()]),
    "large": ([256, 256], [leaky_relu()]),
    "leaky": ([12, 12, 12, 12], [leaky_relu(0.1)] * 3),
    "narrowing": ([60, 40, 20, 5], [leaky_relu(0.3), leaky_relu(0.3), identity()]),
    "SELU": ([20, 8], [selu()]),
    "tanh": ([20, 8], [tanh()]),
    "sigmoid": ([20, 8], [sigmoid()]),
}


@pytest.mark.parametrize("condition", [1, 30, 1000])
@pytest.mark.parametrize("name", BUDGETS)
def test_the_budget_holds(name, condition):
    chain = widely_spread(*BUDGETS[name], condition, seed=3)
    outputs = chain(normal(60, chain.inputs))
    budget = error_budget(chain, outputs)
    assert budget.measured.shape == budget.typical.shape == budget.worst.shape == (60, len(chain.steps))
    assert (budget.measured <= BEYOND_FIRST_ORDER * budget.worst).all(), (budget.measured / budget.worst).max(axis=0)
    ratio = np.median(budget.measured, axis=0) / np.median(budget.typical, axis=0)
    assert ((ratio > 1 / AROUND_TYPICAL) & (ratio < AROUND_TYPICAL)).all(), ratio
    assert (budget.typical <= budget.worst * (1 + 1e-9)).all()


def test_the_budgets_measured_errors_are_those_of_the_two_inverses():
    """The first layer's input is the image."""
    chain = widely_spread(*BUDGETS["narrowing"], 30, seed=4)
    outputs = chain(normal(9, chain.inputs)).astype(np.float32).astype(float)  # float32 has them exactly
    budget = error_budget(chain, outputs)
    images = {
        precision: invert_layers(chain, outputs, precision=precision).images for precision in ("float32", "float64")
    }
    difference = np.linalg.norm(images["float32"] - images["float64"], axis=1)
    np.testing.assert_allclose(budget.measured[:, 0], difference / np.linalg.norm(images["float64"], axis=1), rtol=1e-9)


def test_the_budget_grows_with_the_condition_number():
    """By hand: W = diag(1, 1/c), the output (1, 0). An error of its length comes back c times; four roundings of z,
    W+, products and sum are relative to the 1, as is the usual one of the 1 itself: it never becomes c times larger."""
    for c in (1.0, 2.0**10, 2.0**20):
        chain = Chain((Step("only", np.diag([1, 1 / c]), np.zeros(2), identity()),))
        budget = error_budget(chain, [1.0, 0.0])
        np.testing.assert_allclose(budget.worst * 2**24, [[c + 4]])
        np.testing.assert_allclose(budget.typical * 2**24, [[np.sqrt((1 + 2.5 + 1) / (8 * np.log(2)))]])
        assert budget.measured == 0


def test_slopes_enter_the_budget():
    """A slope of 1/8 below zero: there an error of the output counts eight times, the roundings behind it once."""
    chain = Chain((Step("only", np.eye(1), np.zeros(1), leaky_relu(0.125)),))
    np.testing.assert_allclose(error_budget(chain, [[3.0], [-3.0]]).worst * 2**24, [[4.0], [4.0]])
    chain = Chain((Step("only", np.eye(2), np.zeros(2), leaky_relu(0.125)),))
    np.testing.assert_allclose(error_budget(chain, [1.0, -1e-9]).worst * 2**24, [[8 + 4]])


def test_a_budget_of_outputs_outside_is_refused():
    chain = chain_of([4, 4], [tanh()])
    error_budget(chain, np.full((2, 4), 0.5))
    with pytest.raises(BadInput, match=r"^outputs: expected some with an inverse at every layer, got others too; take"):
        error_budget(chain, [[0.5] * 4, [0.5, 0.5, 0.5, 1.5]])


def test_a_budget_at_the_end_of_a_range_is_refused_or_finite():
    chain = Chain((Step("only", np.eye(1), np.zeros(1), sigmoid()),))
    assert np.isfinite(error_budget(chain, [[1e-30]]).worst).all()
    with pytest.raises(BadInput, match=r"^outputs: expected slopes that float64 can invert"):
        error_budget(chain, [[1e-320]])


def test_a_budget_of_nothing_is_one_of_absolute_errors():
    for weight in (np.eye(2), np.zeros((2, 3))):
        budget = error_budget(Chain((Step("only", weight, np.zeros(2), identity()),)), np.zeros((1, 2)))
        assert budget.measured == 0
        assert np.isfinite(budget.worst).all()

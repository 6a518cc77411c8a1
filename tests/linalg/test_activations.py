"""Activations against PyTorch's own in float64, their inverses over the whole of float64, and the ends of ranges.

A derivative of PyTorch's is taken by autograd. Where a bound on an error is written, it is a few times float64's eps
times the condition of the problem, which the comment names.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vsbook.checks import BadInput
from vsbook.linalg.activations import (
    Activation,
    elu,
    identity,
    leaky_relu,
    relu,
    selu,
    sigmoid,
    softplus,
    tanh,
)

laws = settings(deadline=None, derandomize=True, max_examples=200)
EPS, LARGEST, TINIEST = np.finfo(float).eps, np.finfo(float).max, 5e-324

# each with PyTorch's, and the inputs between which float64 tells its values apart
PAIRS = {
    "SELU": (selu(), nn.SELU(), -30, 1e6),
    "ELU": (elu(), nn.ELU(), -30, 1e6),
    "ELU of 2.5": (elu(2.5), nn.ELU(2.5), -30, 1e6),
    "Tanh": (tanh(), nn.Tanh(), -15, 15),
    "Sigmoid": (sigmoid(), nn.Sigmoid(), -700, 30),
    "LeakyReLU": (leaky_relu(), nn.LeakyReLU(), -1e6, 1e6),
    "LeakyReLU of 3": (leaky_relu(3.0), nn.LeakyReLU(3.0), -1e6, 1e6),
    "Softplus": (softplus(), nn.Softplus(), -700, 1e6),
    "Softplus of 0.25": (softplus(0.25), nn.Softplus(0.25), -2500, 1e6),
    "Identity": (identity(), nn.Identity(), -1e6, 1e6),
}
BOUNDED = ["SELU", "ELU", "ELU of 2.5", "Tanh", "Sigmoid", "Softplus", "Softplus of 0.25"]
EXTREME = np.array([0.0, -0.0, TINIEST, -TINIEST, 1e-310, -1e-310, 1e-17, -1e-17, 1.0, -1.0, 40, -40, 710, -710, 746])
EXTREME = np.concatenate([EXTREME, [-746, 1e16, -1e16, 1e300, -1e300]])
WIDE = np.concatenate([np.linspace(-40, 40, 4001), EXTREME])


def torchs(module, x):
    """PyTorch's values and derivatives at x."""
    x = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    y = module(x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return y.detach().numpy(), slope.numpy()


# the functions


@pytest.mark.parametrize("name", [*PAIRS, "ReLU"])
def test_values_and_slopes_are_pytorchs(name):
    """Softplus differs where PyTorch takes x for it, from beta x = 20 on: by exp(-20) / beta, and exp(-20)."""
    ours, theirs = (relu(), nn.ReLU()) if name == "ReLU" else PAIRS[name][:2]
    values, slopes = torchs(theirs, WIDE)
    beyond = 2.1e-9 * (name.startswith("Softplus"))
    np.testing.assert_allclose(ours(WIDE), values, rtol=8 * EPS, atol=max(beyond * 4, 1e-16))
    np.testing.assert_allclose(ours.derivative(WIDE), slopes, rtol=1e-13, atol=max(beyond, 1e-15))


def test_softplus_is_the_logarithm_written_out():
    """Where exp(beta x) is a number: by numpy.logaddexp, not cut at 20."""
    x = np.linspace(-700, 700, 1401)
    for beta in (0.25, 1.0, 30.0):
        np.testing.assert_allclose(softplus(beta)(x), np.logaddexp(0, beta * x) / beta, rtol=1e-14)


@pytest.mark.parametrize("name", PAIRS)
def test_slopes_are_difference_quotients(name):
    """Away from the kink at 0; central differences of step h err by about h^2."""
    f, x, h = PAIRS[name][0], np.setdiff1d(np.linspace(-5, 5, 41), [0.0]), 1e-5
    np.testing.assert_allclose(f.derivative(x), (f(x + h) - f(x - h)) / (2 * h), rtol=1e-6, atol=1e-9)


# the inverses


def assert_inverts(f: Activation, x):
    """f^-1(f(x)) is x, give or take the rounding of y = f(x) over the slope, and some of x itself."""
    y = f(x)
    found = f.inverse(y)
    assert not found.outside.any()
    assert not found.depth.any()
    allowed = 8 * EPS * np.abs(y) / f.derivative(x) + 8 * EPS * np.abs(x) + 4 * EPS  # logarithms of numbers near 1
    assert (np.abs(found.values - x) <= allowed).all()


@pytest.mark.parametrize("name", PAIRS)
@laws
@given(data=st.data())
def test_the_inverse_undoes_the_function(name, data):
    f, _, low, high = PAIRS[name]
    assert_inverts(f, np.array(data.draw(st.lists(st.floats(low, high), min_size=1, max_size=8))))


@pytest.mark.parametrize("name", PAIRS)
@laws
@given(data=st.data())
def test_the_function_undoes_the_inverse(name, data):
    """To the rounding of x = f^-1(y) times the slope, over all of the range up to 1e300, and down to normal numbers."""
    f = PAIRS[name][0]
    bounds = max(f.low, -1e300), min(f.high, 1e300)
    y = data.draw(st.floats(*bounds, exclude_min=True, exclude_max=True))
    found = f.inverse(y)
    assert not found.outside
    assert found.depth == 0
    x = found.values
    allowed = 8 * EPS * (abs(y) + f.derivative(x) * (abs(x) + 1)) + np.finfo(float).tiny
    assert abs(f(x) - y) <= allowed


@pytest.mark.parametrize("name", PAIRS)
@laws
@given(y=st.floats(-1e300, 1e300) | st.sampled_from([*EXTREME, 1 - EPS, -1 + EPS]))
def test_what_comes_back_is_finite_and_outside_means_outside(name, y):
    f = PAIRS[name][0]
    found = f.inverse(y)
    assert np.isfinite(found.values)
    assert np.isfinite(found.depth)
    assert found.outside == (not f.low < y < f.high)
    assert found.depth == max(f.low - y, y - f.high, 0)


@pytest.mark.parametrize("name", [*PAIRS, "ReLU"])
def test_extreme_inputs_have_finite_values_and_slopes(name):
    f = relu() if name == "ReLU" else PAIRS[name][0]
    assert np.isfinite(f(EXTREME)).all()
    assert np.isfinite(f.derivative(EXTREME)).all()
    assert (f.derivative(EXTREME) >= 0).all()


@pytest.mark.parametrize(
    ("call", "x"),
    [
        (selu(), LARGEST),
        (leaky_relu(2.0), -LARGEST),
        (leaky_relu(0.01).inverse, -LARGEST),
        (elu(1.0, 0.5).inverse, LARGEST),
    ],
)
def test_a_result_beyond_float64_is_refused(call, x):
    call(np.sign(x) * 1e7)
    with pytest.raises(BadInput, match="expected a result within float64, got a larger one") as caught:
        call([1.0, x])
    assert "\n" not in str(caught.value)


def test_a_branch_that_is_not_taken_may_overflow():
    """LARGEST / 0.01 is infinite, and of no concern: a positive number is its own inverse."""
    assert leaky_relu(0.01).inverse(LARGEST).values == LARGEST
    assert softplus(2.0)(LARGEST) == LARGEST
    assert softplus(2.0).inverse(LARGEST).values == LARGEST
    assert softplus(2.0)(-LARGEST) == 0


# the ends of the ranges

ENDS = [(name, PAIRS[name][0], end) for name in BOUNDED for end in ("low", "high")]
ENDS = [(name, f, getattr(f, end)) for name, f, end in ENDS if np.isfinite(getattr(f, end))]


@pytest.mark.parametrize(("name", "f", "bound"), ENDS, ids=lambda v: str(v) if not isinstance(v, Activation) else "")
def test_at_inside_and_beyond_a_bound(name, f, bound):
    """The bound itself isn't taken, and lies at depth 0; its neighbour inside is taken, that outside isn't."""
    inwards = -np.inf if bound == f.high else np.inf
    inside, beyond = np.nextafter(bound, inwards), np.nextafter(bound, -inwards)
    found = f.inverse([inside, bound, beyond, bound - 2.0 * np.sign(inwards)])
    assert found.outside.tolist() == [False, True, True, True]
    assert found.depth[:2].tolist() == [0, 0]
    assert found.depth[2] == abs(beyond - bound) > 0
    assert found.depth[3] == 2.0
    assert (found.values == found.values[0]).all(), "the nearest number that the function takes"
    assert np.isfinite(found.values).all()


@pytest.mark.parametrize(("name", "f", "bound"), ENDS, ids=lambda v: str(v) if not isinstance(v, Activation) else "")
def test_float32_is_judged_as_the_number_that_it_is(name, f, bound):
    for y in (np.float32(bound), np.nextafter(np.float32(bound), np.float32(0.3)), np.float32(bound) * 2):
        exact = float(y)
        assert f.inverse(y).outside == (not f.low < exact < f.high)
        assert f.inverse(y).depth == f.inverse(exact).depth


def test_the_bounds_by_hand():
    """1.0507009873554805 times 1.6732632423543772 for SELU."""
    assert selu().low == -1.0507009873554805 * 1.6732632423543772
    assert {f.name: (f.low, f.high) for f in (tanh(), sigmoid(), softplus(), relu())} == {
        "Tanh": (-1, 1),
        "Sigmoid": (0, 1),
        "Softplus": (0, np.inf),
        "ReLU": (0, np.inf),
    }
    assert (elu(2.0, 3.0).low, leaky_relu().low, identity().high) == (-6, -np.inf, np.inf)
    assert selu()(-1e300) == selu().low, "float64 takes the bound for the value there"


def test_what_saturates_in_float32():
    """Tanh and sigmoid give 1 there, which they never take. SELU's limit is rounded to a number inside its range."""
    far = torch.tensor([-100.0, 100.0])
    assert tanh().inverse(torch.tanh(far).numpy()).outside.tolist() == [True, True]
    assert tanh().inverse(torch.tanh(far).numpy()).depth.tolist() == [0, 0]
    assert sigmoid().inverse(torch.sigmoid(2 * far).numpy()).outside.tolist() == [True, True]
    limit = torch.selu(far[:1]).numpy()
    found = selu().inverse(limit)
    inside = float(limit[0]) - selu().low
    assert (inside > 0) == (not found.outside[0])
    if inside > 0:  # y = low + d comes from log(d / |low|)
        assert found.values[0] == pytest.approx(np.log(inside / -selu().low), rel=1e-6)


# what comes in and goes out


@pytest.mark.parametrize("name", PAIRS)
def test_arrays_keep_their_shape_and_are_not_touched(name):
    f = PAIRS[name][0]
    for x in (0.25, np.float32(0.25), np.array(0.25), np.full((2, 3, 4), 0.25, np.float16), [1, 0]):
        before = np.array(x)
        found = f.inverse(x)
        for result in (f(x), f.derivative(x), found.values, found.depth):
            assert isinstance(result, np.ndarray)
            assert (result.shape, result.dtype) == (np.shape(x), np.float64)
        assert isinstance(found.outside, np.ndarray)
        assert (found.outside.shape, found.outside.dtype) == (np.shape(x), bool)
        np.testing.assert_array_equal(np.array(x), before)
    x = np.array([0.5, 0.25])
    f(x)[:] = f.inverse(x).values[:] = 7.0
    assert x.tolist() == [0.5, 0.25], "what comes out shares no memory with what went in"

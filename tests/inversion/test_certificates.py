"""Certificates against exact arithmetic over the corners of a box, and against every corruption.

Where weights, targets and multipliers are small whole numbers, sums are exact and a claim holds or fails by 1.
"""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.chains_zoo import ACTIVATIONS, chain_of_any_scale, random_chain
from tests.oracles import outputs_in_decimals
from vsbook.inversion.certificates import (
    OutOfRange,
    Separation,
    _before,
    _largest,
    _pulled_back,
    check_certificate,
    error_bounds,
)
from vsbook.inversion.chains import Chain, Step
from vsbook.inversion.reachability import reach
from vsbook.linalg.activations import identity, tanh

laws = settings(deadline=None, derandomize=True, max_examples=80)
digits = st.integers(-4, 4).map(float)
hidden = st.sampled_from(sorted(ACTIVATIONS))


def layer(weight, bias=None, f=None) -> Chain:
    weight = np.array(weight, dtype=float)
    bias = np.zeros(len(weight)) if bias is None else np.array(bias, dtype=float)
    return Chain((Step("layer1", weight, bias, f or identity()),))


def separation(distance, *vectors) -> Separation:
    return Separation(tuple(np.array(v, dtype=float) for v in vectors), distance)


# one layer


@laws
@given(
    arrays(float, (2, 3), elements=digits),
    *[arrays(float, 2, elements=digits)] * 2,
    st.tuples(st.sampled_from([-1.0, 1.0]), digits).map(np.array),
    st.integers(0, 3),
    st.integers(-2, 2),
)
def test_one_layer_is_what_fractions_say_at_every_corner(weight, bias, target, y, distance, gap):
    """y . target - distance |y|_1 is above y . (W x + b) at each corner, or isn't: at the best one by `gap`."""
    exact = [
        sum(
            int(y[i]) * (sum(Fraction(int(w)) * c for w, c in zip(weight[i], corner, strict=True)) + int(bias[i]))
            for i in range(2)
        )
        for corner in product((-1, 2), repeat=3)
    ]
    wanted = float(max(exact)) + distance * np.abs(y).sum() + gap
    target[0] = y[0] * (wanted - y[1] * target[1])
    assert check_certificate(layer(weight, bias), target, separation(distance, y), (-1, 2)) == (gap > 0)


def test_sums_that_float64_rounds_are_exact():
    """1e16 + 1 is no float64: with y = (1, 1) the largest sum is 1e16 + 1, and the target lies 1 above 1e16."""
    chain = layer([[1e16], [1.0]])
    assert not check_certificate(chain, [1e16, 1.0], separation(0.0, [1, 1]))
    assert check_certificate(chain, [1e16, 2.0], separation(0.5, [0, 1]))


def test_without_a_box_the_multipliers_cancel_exactly_or_prove_nothing():
    chain = layer([[1, 2], [2, 4]])
    assert check_certificate(chain, [1.0, 0.0], separation(0.5, [2, -1]), None)
    assert not check_certificate(chain, [1.0, 0.0], separation(0.5, [2, -1 + 1e-15]), None)
    assert not check_certificate(chain, [1.0, 2.0], separation(0.0, [2, -1]), None)


def test_without_a_box_an_activation_takes_its_whole_range():
    step = Step("layer1", np.eye(1), np.zeros(1), tanh())
    chain = Chain((step, Step("layer2", np.eye(1), np.zeros(1), identity())))
    assert check_certificate(chain, [1.5], separation(0.4, [0], [1]), None)
    assert not check_certificate(chain, [0.5], separation(0.0, [0], [1]), None)
    assert not check_certificate(chain, [1.5], separation(0.4, [0.1], [1]), None)


@pytest.mark.parametrize("activation", sorted(set(ACTIVATIONS) - {"relu"}))
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_last_activation_is_inverted_to_the_safe_side(activation, sign):
    """One unit, inputs in (-1, 1), and an output that asks for 2 or for -2: the distance is known."""
    f = ACTIVATIONS[activation]
    target, nearest = float(f(2.0 * sign)), float(f(1.0 * sign))
    for more, proven in ((-1e-10, True), (1e-10, False)):
        claim = separation(abs(target - nearest) + more, [sign])
        assert check_certificate(layer([[1.0]], f=f), [target], claim, (-1, 1)) == proven


def test_sums_are_rounded_outwards_to_the_next_number():
    W, v = np.array([[0.1, 1e16], [0.2, 1.0], [0.3, -3.0]]), np.array([1.0, 1.0, 1 / 3])
    low, high = _pulled_back(W, v)
    exact = [sum(Fraction(w) * Fraction(y) for w, y in zip(column, v, strict=True)) for column in W.T]
    for below, number, above in zip(low, exact, high, strict=True):
        assert Fraction(below) <= number <= Fraction(above)
        assert above in (below, np.nextafter(below, np.inf))
    assert Fraction(_largest(W.T, -v, v)[0]) >= sum(
        abs(Fraction(w)) * Fraction(y) for w, y in zip(W[:, 0], v, strict=True)
    )


@laws
@given(arrays(float, (2, 3), elements=digits), arrays(float, 2, elements=digits))
def test_bounds_of_a_layer_are_those_of_the_corners(weight, bias):
    step = Step("layer1", weight, bias, identity())
    outputs = [weight @ corner + bias for corner in product((-1.0, 2.0), repeat=3)]
    low, high = _before(step, np.full(3, -1.0), np.full(3, 2.0))
    np.testing.assert_array_equal(low, np.min(outputs, axis=0))
    np.testing.assert_array_equal(high, np.max(outputs, axis=0))


def test_an_output_beyond_a_range():
    chain = layer([[1.0]], f=tanh())
    assert check_certificate(chain, [1.5], OutOfRange(0, 0.4))
    assert not check_certificate(chain, [1.5], OutOfRange(0, 0.6))
    assert not check_certificate(chain, [0.5], OutOfRange(0, 0.0))
    assert not check_certificate(chain, [1.5], OutOfRange(1, 0.4))
    assert check_certificate(chain, [-1.5], OutOfRange(0, 0.4))


# several layers


def proof(activation: str, seed: int):
    """A chain in a small box, a target beyond its outputs, and the certificate that the solver finds."""
    chain = random_chain((5, 6, 6, 3), (activation, activation, "identity"), seed)
    box = (0.4, 0.6)
    inside = chain(np.full(5, 0.5))[0]
    target = inside + 3 * np.sign(np.random.default_rng(seed).standard_normal(3))
    (found,) = reach(chain, target, box)
    return chain, target, found.certificate, box


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_proof_holds_and_its_corruptions_do_not(activation):
    chain, target, certificate, box = proof(activation, 1)
    assert check_certificate(chain, target, certificate, box)
    doubled = replace(certificate, multipliers=tuple(2 * v for v in certificate.multipliers))
    assert check_certificate(chain, target, doubled, box)  # only directions count
    vectors = certificate.multipliers
    corrupted = [
        replace(certificate, distance=10 * certificate.distance),
        replace(certificate, distance=-1.0),
        replace(certificate, distance=np.nan),
        replace(certificate, multipliers=tuple(-v for v in vectors)),
        replace(certificate, multipliers=(*vectors[:-1], -vectors[-1])),
        replace(certificate, multipliers=tuple(0 * v for v in vectors)),
        replace(certificate, multipliers=(*vectors[:-1], 0 * vectors[-1])),
        replace(certificate, multipliers=(100 * vectors[0] + 100, *vectors[1:])),
        replace(certificate, multipliers=vectors[:-1]),
        replace(certificate, multipliers=vectors[::-1]),
        replace(certificate, multipliers=(*vectors[:-1], vectors[-1] * np.nan)),
        replace(certificate, multipliers=None),
        OutOfRange(0, certificate.distance),
        None,
    ]
    for wrong in corrupted:
        assert not check_certificate(chain, target, wrong, box)
    reached = chain(np.full(5, 0.5))[0]
    assert not check_certificate(chain, reached, certificate, box)
    assert not check_certificate(chain, target, certificate, (-10, 10))
    assert not check_certificate(chain, target, certificate, None)
    last = chain.steps[-1]
    moved = Chain((*chain.steps[:-1], replace(last, bias=last.bias + target - reached)))  # it reaches the target
    assert not check_certificate(moved, target, certificate, box)


@laws
@given(hidden, hidden, st.sampled_from(["identity", "selu", "tanh", "softplus"]), st.integers(0, 10**6))
def test_no_multipliers_prove_that_a_reached_output_is_not(first, second, last, seed):
    """Random ones, and those that the solver found for another target, at a distance that the output is within."""
    generator = np.random.default_rng(seed)
    chain = random_chain((4, 5, 3, 2), (first, second, last), seed, 2.0)
    output = chain(generator.uniform(-1, 1, 4))[0]
    (elsewhere,) = reach(chain, output + generator.choice([-3, 3], 2), (-1, 1))
    known = elsewhere.certificate.multipliers if isinstance(elsewhere.certificate, Separation) else []
    random = [generator.standard_normal(len(step.bias)) for step in chain.steps]
    for vectors in (random, known):
        target = output + generator.uniform(-0.01, 0.01, 2)
        claim = Separation(tuple(vectors), float(np.abs(target - output).max()))
        assert not check_certificate(chain, target, claim, (-1, 1))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("v", [-1.5, -0.4, 0.0, 0.3, 0.9, 2.0])
@pytest.mark.parametrize("c", [-1.0, 1.0])
def test_one_unit_is_bounded_as_a_fine_grid_says(activation, v, c):
    """Two layers of one unit: the largest c f(a) - v a for a in (-2, 3), plus the largest v a; tight to the grid."""
    f = ACTIVATIONS[activation]
    one = Step("layer1", np.eye(1), np.zeros(1), f)
    chain = Chain((one, replace(one, activation=identity())))
    a = np.linspace(-2, 3, 500_001)
    bound = (c * f(a) - v * a).max() + (v * a).max()
    for above, proven in ((1e-4, True), (-1e-4, False)):
        assert check_certificate(chain, [c * (bound + above)], separation(0.0, [v], [c]), (-2, 3)) == proven


# what an image's outputs are, in exact arithmetic


@pytest.mark.parametrize("seed", range(60))
def test_errors_are_those_of_a_hundred_digits(seed):
    """At least the true ones, and no more than their last digits above; without rounding where graphs are straight."""
    chain, names, generator = chain_of_any_scale(seed)
    image, target = generator.standard_normal(chain.inputs), generator.standard_normal(chain.outputs)
    outputs = outputs_in_decimals(chain, names, image)
    size = max(1, *map(abs, outputs)) * Fraction(np.prod([1 + np.abs(step.weight).sum() for step in chain.steps]))
    for output, wanted, bound in zip(outputs, target, error_bounds(chain, image, target), strict=True):
        excess = bound - abs(output - Fraction(wanted))
        assert -size / 10**90 <= excess <= size / 10**65
    if set(names) <= {"identity", "relu", "leaky"}:
        assert excess == 0 or abs(excess) < size / 10**90  # Decimals round, whole numbers don't


def test_errors_beyond_float64_are_infinite_and_those_of_weights_of_any_size_exact():
    first = layer([[1e300]], f=tanh()).steps[0]
    assert error_bounds(Chain((first, *layer([[1e300]]).steps * 2)), [0.5], [0.0]) == [np.inf]
    assert error_bounds(layer([[1e300, 1.0]]), [1.0, 1.0], [1e300]) == [1]


# what is no certificate, and numbers at the ends of float64


ONE = np.array([1.0])


@pytest.mark.parametrize(
    "claim",
    [
        *(Separation((ONE,), d) for d in ("x", None, [0.5], np.array([0.1, 0.2]), 0.5 + 0j, True, 10**400, -np.inf)),
        *(Separation(v, 0.5) for v in (3, "a", (ONE + 1j,), (ONE > 0,), ("a",), ([10**400],), ([[1.0]],), ([],))),
        Separation((torch.ones(1, requires_grad=True),), 0.5),
        Separation((np.array([1e308]),), 0.5),
        *(OutOfRange(unit, 0.5) for unit in (0.0, True, False, None, "0", np.array([0, 1]), np.array([0]), -1, 1)),
        *(OutOfRange(0, d) for d in ("x", None, Fraction(1, 2), np.array([0.1, 0.2]), np.nan)),
    ],
)
def test_what_is_no_certificate_proves_nothing(claim):
    """A pixel times 1e10 to tanh, at most 1, and a target of 3: what is amiss is the claim."""
    chain = layer([[1e10]], f=tanh())
    assert check_certificate(chain, [3.0], OutOfRange(np.int64(0), np.float32(0.5)))
    assert check_certificate(layer([[1e10]]), [3e10], Separation(([1],), np.float32(0.5)))
    assert check_certificate(chain, [3.0], claim) is False
    assert check_certificate(layer([[1e10]]), [3e10], claim) is False


def test_a_distance_that_float64_rounds_is_another_claim():
    """Sums up to 1.5, a target of 2^53 + 2: no nearer than 2^53 + 1/2, and 2^53 + 1 would be rounded to 2^53."""
    chain, target = layer([[1, 1]]), [2.0**53 + 2]
    assert check_certificate(chain, target, separation(2**53, [1]), (0, 0.75))
    assert not check_certificate(chain, target, separation(2**53 + 1, [1]), (0, 0.75))


huge = st.sampled_from([0.0, 1.0, -1.0, 1e-300, 1e10, -1e160, 1e300, -1e308, 1.7e308])


@laws
@given(arrays(float, (2, 2), elements=huge), *[arrays(float, 2, elements=huge)] * 3, huge.map(abs), huge.map(abs))
def test_at_the_ends_of_float64_a_true_is_what_fractions_say(weight, bias, target, y, distance, side):
    f = [[Fraction(number) for number in row] for row in (*weight, bias, target, y)]
    box = (-side or -1.0, side or 1.0)
    products = [sum(f[4][i] * f[i][j] for i in range(2)) for j in range(2)]
    most = sum(abs(c) * Fraction(box[1]) for c in products) + sum(f[4][i] * f[2][i] for i in range(2))
    nearest = sum(f[4][i] * f[3][i] for i in range(2)) - Fraction(distance) * sum(map(abs, f[4]))
    found = check_certificate(layer(weight, bias), target, separation(distance, y), box)
    assert nearest > most or not found


@laws
@given(hidden, hidden, st.integers(0, 10**6), st.sampled_from([1.0, 1e150, 1e308]), st.booleans())
def test_no_huge_multipliers_prove_that_a_reached_output_is_not(first, last, seed, size, sides):
    """Within a claim of a tenth more than the output's own size, at pixels and multipliers up to the end of float64."""
    generator = np.random.default_rng(seed)
    chain = random_chain((3, 3, 2), (first, last), seed)
    box = (-size, size) if sides else (-1.0, 1.0)
    output = chain(generator.uniform(-0.1, 0.1, 3) * (box[1]))[0]
    vectors = [generator.choice([-1.0, 0.0, 1.0], len(step.bias)) * generator.choice([1, size]) for step in chain.steps]
    for distance in (1e-6 * np.abs(output).max() + 1e-6, 1.7e308):
        assert check_certificate(chain, output, separation(distance, *vectors), box) is False

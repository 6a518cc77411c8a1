"""Polytopes of ReLU networks against every pattern of small ones, and certificates against exact arithmetic."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vsbook.inversion.chains import Chain, Step
from vsbook.inversion.polytopes import (
    Certificate,
    affine_piece,
    check_infeasible,
    invert_in_pattern,
    pattern,
    walk,
)
from vsbook.linalg.activations import identity, leaky_relu, relu
from vsbook.networks.models import create

laws = settings(deadline=None, derandomize=True, max_examples=20)
SHAPES = [(3, 4, 3, 2), (2, 3, 3, 2), (4, 3, 2, 1)]


def chain(seed, kind=nn.ReLU, widths=None):
    """Three layers with weights of small quarters, which float64 adds and multiplies without rounding."""
    widths, generator = widths or SHAPES[seed % 3], np.random.default_rng(seed)
    layers = [nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(widths)]
    for layer in layers:
        for parameter in layer.parameters():
            quarters = generator.integers(-6, 7, tuple(parameter.shape)) / 4
            parameter.data = torch.from_numpy(quarters).float()
    bends = [nn.LeakyReLU(0.25) if kind is nn.LeakyReLU else kind() for _ in layers]
    return Chain.of(nn.Sequential(*itertools.chain(*zip(layers, bends, strict=True)))[:-1].eval())


def patterns(network):
    """Every pattern there is."""
    units = sum(len(step.weight) for step in network.steps[:-1])
    return [np.array(bits) for bits in itertools.product([False, True], repeat=units)]


def feasible(piece, target):
    """Whether the polytope holds an image of the target, by linear programming, a little widened or narrowed.

    None where the two differ: too close to call.
    """

    def solvable(slack):
        scale = np.maximum(np.linalg.norm(piece.G, axis=1), 1e-300)
        found = scipy.optimize.linprog(
            np.zeros(piece.A.shape[1]), piece.G, piece.h + slack * scale, piece.A, target - piece.c, bounds=(None, None)
        )
        return found.status == 0

    answers = {solvable(1e-6), solvable(-1e-6)}
    return answers.pop() if len(answers) == 1 else None


# the pieces


@laws
@given(st.integers(0, 40), st.sampled_from([nn.ReLU, nn.LeakyReLU]))
def test_pattern_piece_and_network_agree(seed, kind):
    network, x = chain(seed, kind), np.random.default_rng(seed).integers(-8, 9, SHAPES[seed % 3][0]) / 8
    on, before, values = pattern(network, x), [], x
    for step in network.steps[:-1]:
        before.append(step.weight @ values + step.bias)
        values = step.activation(before[-1])
    sums = np.concatenate(before)
    piece = affine_piece(network, on)
    np.testing.assert_array_equal(on, sums > 0)
    np.testing.assert_allclose(piece.A @ x + piece.c, network(x)[0], atol=1e-12)
    np.testing.assert_allclose(piece.h - piece.G @ x, np.abs(sums), atol=1e-12)
    np.testing.assert_allclose(piece.A, network.jacobian(x)[0], atol=1e-12)


# one pattern: image, certificate, or neither


def test_a_polytope_by_hand():
    """|x| as ReLU(x) + ReLU(-x): 2 has the image 2 where the first unit is on, and none where both are."""
    layers = nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)
    for parameter, values in zip(
        nn.Sequential(*layers).parameters(), ([[1], [-1]], [0, 0], [[1, 1]], [0]), strict=True
    ):
        parameter.data = torch.tensor(values).float()
    network = Chain.of(nn.Sequential(*layers).eval())
    right = invert_in_pattern(network, np.array([True, False]), [2.0], [0.5])
    assert right.image.tolist() == [2.0] and right.distance == 1.5 and right.certificate is None
    both = invert_in_pattern(network, np.array([True, True]), [2.0], [0.5])
    assert both.image is None and both.radius == np.inf  # A = 0: nothing but 0 comes out
    assert walk(network, [2.0], [-0.5]).image.tolist() == [-2.0]
    assert walk(network, [-1.0], [0.5]).certificate is not None


@pytest.mark.parametrize("seed", range(12))
def test_every_pattern_answers_as_linear_programming_does(seed):
    network, generator = chain(seed, [nn.ReLU, nn.LeakyReLU][seed % 2]), np.random.default_rng(seed)
    start = generator.normal(size=network.inputs)
    target = network(generator.normal(size=network.inputs))[0] + (seed % 4 == 3) * 0.5
    answers = set()
    for on in patterns(network):
        piece, found = affine_piece(network, on), invert_in_pattern(network, on, target, start)
        assert (found.image is None) or (found.certificate is None)
        if (expected := feasible(piece, target)) is not None:
            assert (found.image is not None) == expected and (found.certificate is None) == expected
            answers.add(expected)
        if found.image is not None:
            assert np.linalg.norm(network(found.image)[0] - target) < 1e-8
            assert (piece.G @ found.image - piece.h).max() < 1e-8
            assert_nearest(piece, found, start)
        if found.certificate is not None:
            assert check_infeasible(network, on, target, found.certificate) == found.radius >= 1e6
    assert False in answers


def assert_nearest(piece, found, start):
    """No random point of the polytope with the same output lies nearer."""
    generator = np.random.default_rng(0)
    null = np.linalg.svd(piece.A)[2][np.linalg.matrix_rank(piece.A) :]
    for _ in range(50):
        other = found.image + generator.normal(size=len(null)) * generator.choice([1e-3, 0.1, 1]) @ null
        if (piece.G @ other <= piece.h).all():
            assert np.linalg.norm(other - start) >= found.distance - 1e-7


def test_dead_layers_and_equal_rows():
    network = chain(0)
    dead = np.zeros(7, dtype=bool)
    constant = affine_piece(network, dead).c
    start = np.random.default_rng(0).normal(size=3)
    assert not affine_piece(network, dead).A.any()
    assert invert_in_pattern(network, dead, constant + 1, start).certificate is not None
    found = invert_in_pattern(network, dead, constant, start)
    assert (found.image is not None) == feasible(affine_piece(network, dead), constant)
    network.steps[-1].weight[1] = network.steps[-1].weight[0]  # two outputs that differ by a constant
    reached = network(start)[0]
    on = pattern(network, start)
    assert invert_in_pattern(network, on, reached, start + 0.01).error < 1e-8
    assert invert_in_pattern(network, on, reached + np.array([0, 1]), start).radius == np.inf


@pytest.mark.parametrize("ratio", [-1, 2, 3, 7 / 3])
def test_equations_that_contradict_each_other_in_small_ratios_leave_no_image_at_all(ratio):
    """Not even one far away: which multipliers prove it doesn't hang on the rounding of a sum."""
    network = chain(0)
    last = network.steps[-1]
    last.weight[0] *= 3
    last.weight[1] = np.round(3 * ratio) * last.weight[0] / 3  # of quarters: exactly
    start = np.random.default_rng(0).normal(size=3)
    found = invert_in_pattern(network, pattern(network, start), network(start)[0] + np.array([0, 1]), start)
    assert found.radius == np.inf


# certificates


def test_the_check_is_exact_and_refuses_what_does_not_certify():
    network, start = chain(6), np.zeros(3)
    hidden = np.array([3.0, -4.0, 1.0])
    target = network(hidden)[0]
    answers = {tuple(on): invert_in_pattern(network, on, target, start) for on in patterns(network)}
    mixed = {on: found for on, found in answers.items() if found.radius and found.certificate.units.any()}
    assert len(mixed) > 10
    for on, found in mixed.items():
        y, outputs, on = found.certificate.units, found.certificate.outputs, np.array(on)
        assert check_infeasible(network, on, target, Certificate(-y - 1, outputs)) == 0
        assert check_infeasible(network, on, target, Certificate(y * 0, outputs * 0)) == 0
        own = pattern(network, hidden)  # it has an image there: whatever is claimed holds for shorter ones alone
        assert check_infeasible(network, own, target, found.certificate) <= np.linalg.norm(hidden)
        generator = np.random.default_rng(0)
        radii = [
            check_infeasible(network, on, target, Certificate(generator.uniform(0, 1, len(y)), outputs))
            for _ in range(3)
        ]
        assert max(radii) < 1e6


@laws
@given(st.integers(0, 40))
def test_the_radius_by_fractions(seed):
    """The same inequality with the piece's own matrices, which quarters leave without rounding."""
    network, generator = chain(seed), np.random.default_rng(seed)
    on = pattern(network, generator.normal(size=network.inputs))
    piece = affine_piece(network, on)
    y, outputs = generator.uniform(0, 1, len(on)), generator.normal(size=network.outputs)
    target = generator.normal(size=network.outputs)
    exact = np.vectorize(Fraction, otypes=[object])
    rest = exact(y) @ exact(piece.G) + exact(outputs) @ exact(piece.A)
    gap = -(exact(y) @ exact(piece.h) + exact(outputs) @ (exact(target) - exact(piece.c)))
    gap -= Fraction(1e-9 * np.linalg.norm(target) * np.linalg.norm(outputs))  # a relative error of that is a solution
    expected = float(gap) / float(sum(v * v for v in rest)) ** 0.5 if gap > 0 else 0.0
    found = check_infeasible(network, on, target, Certificate(y, outputs))
    assert found == pytest.approx(expected, rel=1e-9)


# walks


@pytest.mark.parametrize("seed", range(6))
def test_walks_reach_real_outputs_of_wide_networks(seed):
    network = Chain.of(create("fcnn5_relu", seed).eval())
    generator = np.random.default_rng(seed)
    target, start = network(generator.uniform(0, 1, 784))[0], generator.uniform(0, 1, 784)
    found = walk(network, target, start)
    assert found.converged and found.certificate is None and found.patterns > 1
    assert np.linalg.norm(network(found.image)[0] - target) <= 1e-8 * np.linalg.norm(target)
    assert found.distance == pytest.approx(np.linalg.norm(found.image - start))
    piece = affine_piece(network, found.last)
    assert (piece.G @ found.image - piece.h).max() < 1e-9


@pytest.mark.parametrize("seed", range(12))
def test_walks_claim_no_more_than_there_is(seed):
    network, generator = chain(seed, [nn.ReLU, nn.LeakyReLU][seed % 2]), np.random.default_rng(seed)
    start = generator.normal(size=network.inputs)
    for target in (network(generator.normal(size=network.inputs))[0], generator.normal(size=network.outputs) * 9):
        found = walk(network, target, start, max_patterns=200)
        miss = np.linalg.norm(network(found.image)[0] - target) / np.linalg.norm(target)
        assert found.converged == (miss <= 1e-9) and found.error == pytest.approx(miss, abs=1e-12)
        if found.certificate is not None:
            assert not found.converged
            assert feasible(affine_piece(network, found.last), target) is not True


def test_a_walk_that_has_arrived_and_one_that_is_cut_short():
    network, start = Chain.of(create("fcnn5_relu", 0).eval()), np.full(784, 0.5)
    there = walk(network, network(start)[0], start)
    assert there.converged and there.patterns == 1 and there.distance == 0
    short = walk(network, network(np.zeros(784))[0], start, max_patterns=3)
    assert not short.converged and short.patterns == 3 and np.isfinite(short.image).all()


def test_no_walk_arrives_by_rounding():
    """1e16 + 1 is no float64: at (1, 1) it looks like 1e16, and the output like 0."""
    first = Step("a", np.array([[1e16, 1.0]]), np.zeros(1), relu())
    network = Chain((first, Step("b", np.eye(1), np.array([-1e16]), identity())))
    assert network([1.0, 1.0])[0] == 0
    found = walk(network, [0.0], [1.0, 1.0], max_patterns=5)
    assert found.error == 0 and not found.converged
    assert walk(network, [0.0], [1.0, 0.0], max_patterns=5).converged


# what a referee found


@pytest.mark.parametrize("seed", [25, 29, 39, 44, 57])
def test_a_walk_that_cannot_arrive_ends(seed):
    """The last layer's outputs lie on a line but for rounding: steps in one polytope would go on for ever."""
    generator = np.random.default_rng(seed)
    W = generator.normal(size=(6, 3)) * (generator.random((6, 3)) > 0.6)
    line = np.outer(generator.normal(size=4), generator.normal(size=6)).astype(np.float32).astype(float)
    steps = Step("a", W, np.zeros(6), leaky_relu(3.0)), Step("b", line, generator.normal(size=4), relu())
    network = Chain(steps)
    target = network(generator.normal(size=3))[0] + generator.normal(size=4)
    found = walk(network, target, generator.normal(size=3), max_patterns=50)
    assert not found.converged
    assert found.patterns < 50


def test_no_certificate_rests_on_the_rounding_of_an_output():
    """0.1 * 0.1 isn't a float: exactly there is no image, and in float64 each image has that output."""
    first = Step("a", np.array([[0.0]]), np.array([0.1]), relu())
    network = Chain((first, Step("b", np.array([[0.1]]), np.zeros(1), identity())))
    certificate = Certificate(np.zeros(1), np.array([-1.0]))
    assert check_infeasible(network, [True], network([[5.0]])[0], certificate) == 0
    assert check_infeasible(network, [True], network([[5.0]])[0] * (1 + 1e-8), certificate) == np.inf


def test_multipliers_of_any_size_are_judged():
    network = Chain((Step("a", 1e200 * np.eye(2), np.zeros(2), relu()), Step("b", np.eye(2), np.zeros(2), identity())))
    huge = Certificate(np.full(2, 1e300), np.full(2, -1e300))
    assert check_infeasible(network, [True, True], [1e200, 1e200], huge) == 0

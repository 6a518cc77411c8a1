"""Three answers, each re-checked by another way: PyTorch's forward pass, a solver of SciPy, exact certificates."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog, minimize
from torch import nn

from tests.chains_zoo import ACTIVATIONS, chain_of_any_scale, large, layer, random_chain
from tests.oracles import outputs_in_decimals
from vsbook.inversion.certificates import OutOfRange, Separation, check_certificate
from vsbook.inversion.chains import Chain, Step
from vsbook.inversion.reachability import reach, trace_back
from vsbook.linalg.activations import identity, leaky_relu, selu, sigmoid, softplus, tanh
from vsbook.networks.checkpoints import load
from vsbook.networks.data import mnist

laws = settings(deadline=None, derandomize=True, max_examples=60)
digits = st.integers(-4, 4).map(float)
names = st.sampled_from(sorted(ACTIVATIONS))
invertible = st.sampled_from(sorted(set(ACTIVATIONS) - {"relu"}))


def nearest_by_slsqp(weight, wanted, low, high):
    """The point of the box with W x = wanted that is nearest to the minimum-norm one, by a general solver."""
    centre = np.linalg.pinv(weight) @ wanted
    found = minimize(
        lambda x: (x - centre) @ (x - centre),
        np.clip(centre, low, high),
        jac=lambda x: 2 * (x - centre),
        bounds=[(low, high)] * len(centre),
        constraints={"type": "eq", "fun": lambda x: weight @ x - wanted, "jac": lambda x: weight},
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    return found.x if found.success and np.allclose(weight @ found.x, wanted, atol=1e-9) else None


def forward(model: nn.Module, image) -> np.ndarray:
    """PyTorch's outputs in float64."""
    with torch.no_grad():
        return model.double()(torch.from_numpy(image)[None]).numpy()[0]


# one layer: a convex problem, so that an answer always comes


@laws
@given(arrays(float, (2, 4), elements=digits), *[arrays(float, 2, elements=digits)] * 2)
def test_one_layer_answers_as_a_linear_programme_does(weight, bias, target):
    feasible = linprog(np.zeros(4), A_eq=weight, b_eq=target - bias, bounds=(-1, 2)).status == 0
    chain = layer(weight, bias)
    (found,) = reach(chain, target, (-1, 2))
    assert found.answer == ("yes" if feasible else "no")
    if feasible:
        assert found.distance == np.abs(chain(found.image) - target).max() <= 1e-8
        assert found.image.min() >= -1 and found.image.max() <= 2
    else:
        assert check_certificate(chain, target, found.certificate, (-1, 2))
        np.testing.assert_allclose(found.distance, found.bound, rtol=1e-5)  # the nearest output, from both sides


@pytest.mark.parametrize("seed", range(20))
def test_the_image_of_one_layer_is_the_nearest_to_the_minimum_norm(seed):
    generator = np.random.default_rng(seed)
    weight = generator.standard_normal((3, 12))
    wanted, bias = weight @ np.clip(generator.normal(0.5, 1, 12), 0, 1), generator.standard_normal(3)
    (found,) = reach(layer(weight, bias), wanted + bias)
    np.testing.assert_allclose(found.image, nearest_by_slsqp(weight, wanted, 0, 1), atol=1e-6)


@pytest.mark.parametrize("activation", ["selu", "tanh", "sigmoid", "leaky", "softplus"])
def test_the_distance_of_one_layer_is_met_from_both_sides(activation):
    """Outputs far beyond a box: what is proven and what is found agree, through a curved activation too."""
    chain = random_chain((6, 3), (activation,), 3)
    generator = np.random.default_rng(0)
    outputs = chain(np.concatenate([generator.uniform(0, 1, (10, 6)), generator.uniform(-2, 3, (20, 6))]))
    answers = reach(chain, outputs)
    assert {found.answer for found in answers} == {"yes", "no"}
    for target, found in zip(outputs, answers, strict=True):
        if found.answer == "no":
            assert check_certificate(chain, target, found.certificate)
            assert found.bound <= found.distance <= found.bound * (1 + 1e-3) + 1e-9


def test_an_output_out_of_range_says_which_unit_and_how_far():
    (found,) = reach(layer([[1.0, 0.0], [0.0, 1.0]], f=tanh()), [0.3, -1.25])
    assert found.answer == "no" and isinstance(found.certificate, OutOfRange)
    assert found.certificate.unit == 1 and found.bound == pytest.approx(0.25)
    assert found.distance == pytest.approx(1.25)  # a pixel of 0 comes nearest


def test_an_output_at_the_end_of_a_range_is_reached_within_the_tolerance():
    """SELU never takes its lowest value; within 1e-8 it does, where what goes in is about -19."""
    chain = layer([[-30.0]], f=selu())
    (found,) = reach(chain, [selu().low])
    assert found.answer == "yes" and 0 < found.image[0] < 1
    (found,) = reach(layer([[-10.0]], f=selu()), [selu().low])
    assert found.answer == "no" and found.bound == pytest.approx(float(selu()(-10.0) - selu().low), rel=1e-5)


def test_rows_that_depend_on_each_other_have_a_certificate_without_a_box():
    (yes, no) = reach(layer([[1, 2], [2, 4]]), [[1.0, 2.0], [1.0, 0.0]], None)
    assert yes.answer == "yes" and no.answer == "no"
    np.testing.assert_allclose(yes.image, [0.2, 0.4])  # the minimum norm
    assert check_certificate(layer([[1, 2], [2, 4]]), [1.0, 0.0], no.certificate, None)


def test_the_tolerance_parts_yes_from_no():
    chain = layer([[1.0, 1.0]])
    assert [reach(chain, [2.3], atol=size)[0].answer for size in (0.2, 0.4)] == ["no", "yes"]


def test_a_claim_that_does_not_stand_the_check_is_no_answer(monkeypatch):
    """Whatever the linear programme proposes: the checker has the last word."""
    chain = layer([[1.0, 1.0]])
    assert reach(chain, [3.0])[0].answer == "no"
    monkeypatch.setattr("vsbook.inversion.reachability.check_certificate", lambda *_: False)
    (found,) = reach(chain, [3.0])
    assert (found.answer, found.certificate, found.bound) == ("undecided", None, 0)


# several layers


@laws
@given(names, names, invertible, st.integers(0, 10**6), st.sampled_from([0.5, 2.0]))
def test_what_an_image_reached_is_never_refused(first, second, last, seed, size):
    chain = random_chain((4, 5, 4, 2), (first, second, last), seed, size)
    image = np.random.default_rng(seed).uniform(0, 1, 4)
    target = chain(image)[0]
    (found,) = reach(chain, target)
    assert found.answer != "no"
    if found.answer == "yes":
        assert np.abs(chain(found.image)[0] - target).max() == found.distance <= 1e-8
        assert found.image.min() >= 0 and found.image.max() <= 1
    else:
        assert found.distance > 1e-8 and found.bound == 0 and found.certificate is None


@laws
@given(names, invertible, st.integers(0, 10**6), st.floats(0.02, 0.3))
def test_what_is_far_away_is_never_granted(first, last, seed, radius):
    """Beyond the largest output by Lipschitz's bound: slopes are at most 1.76, and the box is small."""
    chain = random_chain((4, 5, 2), (first, last), seed)
    middle, box = chain(np.full(4, 0.5))[0], (0.5 - radius, 0.5 + radius)
    norms = np.prod([1.8 * np.linalg.norm(step.weight, 2) for step in chain.steps])
    target = middle + 1.01 * norms * radius * 2
    (found,) = reach(chain, target, box)
    assert found.answer != "yes" and found.distance > found.atol
    assert np.abs(chain(found.image)[0] - target).max() == found.distance >= found.bound
    if found.answer == "no":
        assert check_certificate(chain, target, found.certificate, box)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_small_box_is_refused_with_a_proof(activation):
    """The relaxation is not empty talk: about an image it proves a 'no', whatever the activation."""
    chain, box = random_chain((5, 6, 6, 3), (activation, activation, "selu"), 2), (0.45, 0.55)
    target = chain(np.full(5, 0.5))[0] + 0.8
    (found,) = reach(chain, target, box)
    assert found.answer == "no" and isinstance(found.certificate, Separation) and found.bound > 0.1
    images = np.random.default_rng(0).uniform(*box, (1000, 5))
    assert np.abs(chain(images) - target).max(axis=1).min() > found.bound


@pytest.mark.parametrize(
    ("weight", "bias", "last", "beyond"),
    [([[1.0], [-1.0]], [0.0, 0.0], [[1.0, 1.0]], 1.2), ([[1.0], [1.0]], [0.0, 1.0], [[1.0, -1.0]], -1.2)],
    ids=["ceiling", "floor"],
)
def test_both_sides_of_a_hull_count(weight, bias, last, beyond):
    """x in (-1, 1): |x| is at most 1, and max(x, 0) - (x + 1) at least -1; by the units' bounds alone 2 and -2."""
    first = layer(weight, bias, ACTIVATIONS["relu"]).steps[0]
    chain = Chain((first, layer(last).steps[0]))
    (found,) = reach(chain, [beyond], (-1, 1))
    assert found.answer == "no" and found.bound == pytest.approx(0.2, abs=1e-4)


def test_a_relaxation_that_contains_the_target_leaves_it_undecided():
    """(tanh 4x, tanh x) is a curve: (0.2, 0) is not on it, but in the hull of its parts."""
    first = Step("layer1", np.array([[4.0], [1.0]]), np.zeros(2), tanh())
    chain = Chain((first, Step("layer2", np.eye(2), np.zeros(2), identity())))
    (found,) = reach(chain, [0.2, 0.0], (-1, 1))
    assert found.answer == "undecided" and found.certificate is None and found.bound == 0
    x = np.linspace(-1, 1, 200_001)[:, None]
    assert found.distance >= np.abs(chain(x) - [0.2, 0.0]).max(axis=1).min() - 1e-9


def test_without_a_box_the_range_of_the_layer_before_refuses():
    """Sums of what tanh gives lie in (-2, 2), of what a sigmoid gives above 0, whatever the image."""
    for name, target in (("tanh", 2.5), ("sigmoid", -0.5), ("softplus", -0.5), ("selu", -4.0)):
        last = Step("layer2", np.ones((1, 2)), np.zeros(1), identity())
        chain = Chain((random_chain((3, 2), (name,), 0).steps[0], last))
        (found,) = reach(chain, [target], None)
        assert found.answer == "no" and check_certificate(chain, [target], found.certificate, None)
        assert not np.any(found.certificate.multipliers[0])


def test_more_starts_are_used():
    chain = random_chain((4, 5, 4, 2), ("tanh", "tanh", "identity"), 0, 3.0)
    image = np.random.default_rng(1).uniform(0, 1, 4)
    (found,) = reach(chain, chain(image)[0], starts=image[None])
    assert found.answer == "yes"
    np.testing.assert_array_equal(found.image, image)


@pytest.mark.parametrize(("f", "pixel"), [(softplus(), 20.0), (softplus(), 700.0), (selu(), 30.0), (selu(), 40.0)])
def test_a_looser_tolerance_answers_no_worse(f, pixel):
    """The output f(-x) lies within a tolerance of the end of its range, and f(x) asks for x: one image has both."""
    first = Step("layer1", np.eye(1), np.zeros(1), identity())
    chain = Chain((first, Step("layer2", np.array([[1.0], [-1.0]]), np.zeros(2), f)))
    for tolerance in (1e-10, 1e-8, 1e-4, 0.1):
        (found,) = reach(chain, chain([pixel]), (0, 1000), atol=tolerance)
        assert found.answer == "yes" and found.image == pytest.approx(pixel, abs=tolerance)


def test_a_target_beside_the_end_of_a_range_is_not_moved():
    """softplus(-20) is 2e-9: the minimum norm that gives it stays the answer, however far an output may lie from it."""
    chain = layer([[1.0, 1.0]], f=softplus())
    target = softplus()([-20.0])
    (found,), (trace,) = reach(chain, target, None, atol=1e-4), trace_back(chain, target, None, atol=1e-4)
    np.testing.assert_allclose([found.image, trace.image], -10.0, rtol=1e-6)


SATURATED = Chain(
    (
        Step("layer1", np.array([[2000.0], [1000.0]]), np.array([-1200.0, 300.0]), sigmoid()),
        Step("layer2", np.array([[1.0, 2.0]]), np.zeros(1), identity()),
    )
)


@pytest.mark.parametrize(
    ("chain", "targets", "box", "answers"),
    [
        (SATURATED, [[1.0], [2.5], [4.0]], (0, 1), ["no", "undecided", "no"]),
        (layer([[1.0, 1.0]]), [[1.0], [1e300], [-1e308]], (-1e308, 1e308), ["yes", "undecided", "undecided"]),
        (layer([[1.0, 1.0]]), [[1e155], [1e300], [1.7e308]], (0, 1), ["undecided"] * 3),
        (layer([[1e160, 0.0]]), [[1e160], [0.0]], (0, 1), ["yes", "yes"]),
        (layer([[1e300, 1e300]] * 2), [[0.0, 0.0]], (0, 1), ["yes"]),
        (random_chain((4, 3, 2), ("tanh", "identity"), 0), [[0.3, 0.3], [1e300, 1.0]], (-1e308, 1e308), None),
        (random_chain((4, 3, 2), ("relu", "selu"), 0), [[0.3, 0.3], [1e300, 1.0]], (-1e308, 1e308), None),
        (Chain(layer([[1e200]]).steps * 2), [[0.5]], (-1, 1), ["undecided"]),
        (Chain(layer([[1e200]], f=leaky_relu()).steps * 2), [[0.5]], (0, 1), ["undecided"]),
    ],
)
def test_numbers_at_the_ends_of_float64_leave_an_answer(chain, targets, box, answers):
    """No warning, no error: a step that overflows is a bad one, and what isn't found isn't proven either."""
    found = reach(chain, targets, box)
    assert answers is None or [answer.answer for answer in found] == answers
    for target, answer in zip(targets, found, strict=True):
        assert np.isfinite(answer.image).all() and not np.isnan(answer.distance)
        assert answer.answer != "no" or check_certificate(chain, target, answer.certificate, box)
        assert answer.answer != "yes" or np.abs(chain(answer.image)[0] - target).max() == answer.distance


def test_no_yes_rests_on_rounding():
    """1e16 + 1 is no float64: at (1, 1) it looks like 1e16, and is 1 off."""
    chain = Chain((layer([[1e16, 1.0]]).steps[0], layer([[1.0]]).steps[0]))
    answers = [reach(chain, [1e16], starts=np.array([start]), atol=0.5)[0] for start in ([1.0, 1.0], [1.0, 0.0])]
    assert [found.answer for found in answers] == ["undecided", "yes"] and answers[0].distance == 0


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_answers_of_networks_of_any_scale_stand_exact_arithmetic(first):
    """No yes that misses its tolerance, no proven distance that a known image is within."""
    for seed in range(first, first + 20):
        chain, names, generator = chain_of_any_scale(seed)
        image, tolerance = generator.uniform(0, 1, chain.inputs), float(generator.choice([1e-8, 1e-5]))
        target = chain(image)[0] + generator.choice([0, 0, 1]) * generator.standard_normal(chain.outputs)
        (found,) = reach(chain, target, atol=tolerance, seconds=30)
        wanted = [Fraction(number) for number in target]
        exact = {
            key: max(abs(y - t) for y, t in zip(outputs_in_decimals(chain, names, x), wanted, strict=True))
            for key, x in (("found", found.image), ("known", image))
        }
        assert found.answer != "yes" or exact["found"] <= Fraction(tolerance), seed
        assert min(exact.values()) >= Fraction(found.bound), seed


@pytest.mark.parametrize(("size", "seed"), [(1e5, 4), (1e5, 6), (1e5, 12), (1e8, 4), (1e8, 6), (1e8, 12)])
def test_no_yes_of_large_weights_misses_its_tolerance(size, seed):
    """Float64 holds their outputs to a millionth or to whole numbers: within 1e-8 is an image by chance."""
    chain, image = large(seed, size), np.random.default_rng(seed + 1000).uniform(0, 1, 3)
    target = chain(image)[0]
    (found,) = reach(chain, target)
    misses = zip(outputs_in_decimals(chain, ["selu"] * 2, found.image), target, strict=True)
    exact = max(abs(output - Fraction(number)) for output, number in misses)
    assert found.answer == ("yes" if exact <= Fraction(1e-8) and found.distance <= 1e-8 else "undecided")


# the book's networks


def test_outputs_of_test_images_are_reached_by_pytorchs_measure():
    images = mnist().test.images[:5].astype(float)
    for network in ("fcnn1", "fcnn5"):
        model = load(network)
        chain = Chain.of(model)
        for target, found in zip(chain(images), reach(chain, chain(images)), strict=True):
            assert found.answer == "yes" and found.image.min() >= 0 and found.image.max() <= 1
            assert np.abs(forward(model, found.image) - target).max() < 2e-8


# back through the layers


def test_back_through_each_layer_within_its_range():
    chain = random_chain((8, 6, 3), ("tanh", "sigmoid"), 4)
    for target, trace in zip(chain(np.eye(8)), trace_back(chain, chain(np.eye(8))), strict=True):
        last, step = trace.layers[0], chain.steps[1]
        wanted = step.activation.inverse(target).values - step.bias
        expected = nearest_by_slsqp(step.weight, wanted, -1 + 1e-6, 1 - 1e-6)
        np.testing.assert_allclose(last.image, expected, atol=1e-6)
        assert trace.layers[-1].answer == "yes"
        np.testing.assert_allclose(chain(trace.image)[0], target, atol=1e-7)


def test_a_minimum_norm_input_beyond_the_range_gives_way_to_the_nearest_within():
    """h1 + 2 h2 = 2.8: the shortest is (0.56, 1.12), and tanh stays below 1."""
    first, last = Step("layer1", np.eye(2), np.zeros(2), tanh()), layer([[1.0, 2.0]], f=tanh()).steps[0]
    (trace,) = trace_back(Chain((first, last)), np.tanh([2.8]))
    np.testing.assert_allclose(trace.layers[0].image, [0.8, 1.0], atol=1e-5)
    assert trace.layers[0].image[1] < 1
    np.testing.assert_allclose(Chain((first, last))(trace.image), np.tanh([[2.8]]), atol=1e-8)


def test_a_layer_that_cannot_go_on_is_the_last():
    """Three units that see two numbers: hardly any hidden vector comes from an image."""
    chain = random_chain((2, 3, 1), ("tanh", "identity"), 0)
    (trace,) = trace_back(chain, chain([0.3, 0.6]))
    assert [layer.answer for layer in trace.layers] == ["yes", "undecided"] and trace.image is None
    (trace,) = trace_back(chain, chain([0.3, 0.6]), (0, 1))
    assert [layer.answer for layer in trace.layers] == ["yes", "no"] and trace.image is None


def test_the_way_back_through_the_books_networks():
    """SELU's range stops it, with a proof for the vector that it had come to; a leaky ReLU's is all of R."""
    images = mnist().test.images[:3].astype(float)
    for network, answers in (("fcnn5", ["yes", "yes", "no"]), ("fcnn5_leaky_relu", ["yes"] * 5)):
        chain = Chain.of(load(network))
        for target, trace in zip(chain(images), trace_back(chain, chain(images)), strict=True):
            assert [layer.answer for layer in trace.layers] == answers
            assert trace.image is None or np.abs(chain(trace.image)[0] - target).max() < 1e-6

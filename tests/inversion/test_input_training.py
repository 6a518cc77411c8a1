"""Training the input against plain loops, one image at a time; distances to the data; and networks in training mode."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import nn

from tests.inversion.test_ideal import PIXELS, assert_same_state, convolutional, dense, sample, state
from vsbook.checks import BadInput
from vsbook.inversion.image_statistics import low_frequency_share, naturalness, nearest, total_variation
from vsbook.inversion.input_training import Descent, InBox, _total_variation, train_input
from vsbook.inversion.training_mode import copies_in_training_mode, train_copies
from vsbook.networks.checkpoints import load
from vsbook.networks.outputs import output_statistics

RNG = np.random.default_rng(0)
START, TARGETS = RNG.random((10, PIXELS)), RNG.standard_normal((10, 10))
WAYS = {
    "descent": Descent(0.05, 20),
    "none": InBox("none", steps=20),
    "total variation": InBox("total variation", steps=20),
    "nearest data": InBox("nearest data", steps=20),
}
COPIES = convolutional(), TARGETS[0], START[0], Descent(0.05, 5)


# the descent


@pytest.mark.parametrize("model", [dense(), convolutional()], ids=["dense", "convolutional"])
def test_a_descent_is_that_of_each_image_alone(model):
    """By a leaf, backward and a hand-made step, which is what the paper's text describes."""
    how = Descent(0.05, 7)
    found = train_input(model, TARGETS, START, how, progress=False)
    for k, (image, target) in enumerate(zip(START, TARGETS, strict=True)):
        x, losses = torch.tensor(image[None], requires_grad=True), []
        for _ in range(how.steps):
            loss = nn.functional.mse_loss(model(x), torch.tensor(target[None]))
            losses.append(loss.item())
            (gradient,) = torch.autograd.grad(loss, x)
            with torch.no_grad():
                x -= how.learning_rate * gradient
        np.testing.assert_allclose(found.images[k], x.detach()[0], atol=1e-12)
        np.testing.assert_allclose(found.losses[:-1, k], losses, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [dense, convolutional])
def test_a_record_says_what_happened_and_the_network_is_as_it_was(make, way):
    model, data = make(), sample().images
    next(model.parameters()).requires_grad_(False)
    last = list(model.parameters())[-1]
    last.grad = torch.ones_like(last)
    before = state(model)
    start = np.where(way == "descent", 2 * START - 0.5, START)
    found = train_input(model, TARGETS, start, WAYS[way], data=data, progress=False)
    after = state(model)
    assert_same_state((*before[:2], [], *before[3:]), (*after[:2], [], *after[3:]))
    for (wants, gradient), (wanted, kept) in zip(after[2], before[2], strict=True):
        assert wants == wanted
        assert gradient is kept is None or torch.equal(gradient, kept)
    with torch.no_grad():
        reached = [model(torch.from_numpy(x)).numpy() for x in (start, found.images)]
    ends = [np.linalg.norm(outputs - TARGETS, axis=1) for outputs in reached]
    np.testing.assert_allclose([found.before, found.after], ends, atol=1e-12)
    np.testing.assert_allclose(found.losses[-1], ends[1] ** 2 / 10, atol=1e-12)
    np.testing.assert_allclose(found.losses[0], ends[0] ** 2 / 10, atol=1e-12)
    np.testing.assert_allclose(found.fall, 1 - ends[1] / ends[0])
    np.testing.assert_allclose(found.moved, np.linalg.norm(found.images - start, axis=1))
    np.testing.assert_allclose(found.outside, [np.mean([not 0 <= p <= 1 for p in x]) for x in found.images])
    first = start if way == "descent" else np.clip(start, 0, 1)
    assert (found.lengths.sum(axis=0) >= np.linalg.norm(found.images - first, axis=1) - 1e-12).all()
    assert (found.outside == 0).all() or way == "descent"


def test_the_optimiser_in_the_box_is_adam():
    """PyTorch's, with pixels put back by hand; so long that the last image is the best."""
    model, how = dense(), InBox("none", learning_rate=0.01, steps=30)
    found = train_input(model, TARGETS, START, how, progress=False)
    x, targets = torch.tensor(START, requires_grad=True), torch.from_numpy(TARGETS)
    optimiser, images = torch.optim.Adam([x], how.learning_rate), []
    scale = ((model(x) - targets) ** 2).mean(dim=1).detach()
    for _ in range(how.steps):
        images.append(x.detach().clone().numpy())
        loss = (((model(x) - targets) ** 2).mean(dim=1) / scale).sum()
        (x.grad,) = torch.autograd.grad(loss, x)
        optimiser.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    np.testing.assert_allclose(found.images, images[-1], atol=1e-9)


@pytest.mark.parametrize("way", WAYS)
def test_training_comes_nearer(way):
    found = train_input(dense(), TARGETS, START, WAYS[way], data=sample().images, progress=False)
    assert (found.after < found.before).all()


def test_priors_do_what_they_say():
    """With a heavy prior an image gets flat, or comes near to one of the data."""
    model, data = dense(), sample().images
    flat, near, free = (
        train_input(model, TARGETS, START, InBox(prior, weight=100.0, steps=60), data=data, progress=False).images
        for prior in ("total variation", "nearest data", "none")
    )
    assert (total_variation(flat) < 0.5 * total_variation(free)).all()
    assert (nearest(near, data)[1] < 0.5 * nearest(free, data)[1]).all()


def test_the_best_that_was_met_is_kept():
    """Steps far too long jump about; the result is the best of where they led, the start among them."""
    found = train_input(dense(), TARGETS, START, InBox("none", learning_rate=1.0, steps=10), progress=False)
    assert (found.after <= found.before + 1e-12).all()
    np.testing.assert_allclose(found.losses[-1], found.losses[:-1].min(axis=0))
    assert (found.losses[-2] > found.losses[-1]).any(), "the last isn't always the best"


BACKWARDS = slice(None, None, -1)


def layouts(array):
    """The same numbers, as torch doesn't take them."""
    fixed = array.copy()
    fixed.flags.writeable = False
    return {"read-only": fixed, "swapped": array.astype(">f8"), "backwards": array[BACKWARDS].copy()[BACKWARDS]}


@pytest.mark.parametrize("layout", ["read-only", "swapped", "backwards"])
@pytest.mark.parametrize("count", [1, 10])  # an axis of length 1 counts as in order, even backwards
def test_arrays_of_any_layout(layout, count):
    start, targets, data = START[:count], TARGETS[:count], sample().images
    same = [layouts(array)[layout] for array in (targets, start, data)]
    for how in WAYS.values():
        expected = train_input(dense(), targets, start, how, data=data, progress=False).images
        np.testing.assert_array_equal(
            train_input(dense(), *same[:2], how, data=same[2], progress=False).images, expected
        )
    with pytest.raises(AssertionError):  # the data are no bystanders
        np.testing.assert_array_equal(
            train_input(dense(), *same[:2], how, data=1 - data, progress=False).images, expected
        )


@pytest.mark.parametrize("layout", ["read-only", "swapped", "backwards"])
def test_copies_of_an_image_of_any_layout(layout):
    model, target, image, how = COPIES
    same = layouts(target)[layout], layouts(image)[layout]
    expected, found = (copies_in_training_mode(model, x).outputs for x in (image, same[1]))
    np.testing.assert_array_equal(found, expected)
    expected, found = (train_copies(model, *pair, how, progress=False)[0] for pair in ((target, image), same))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_no_matter_what_the_caller_has_switched_off(mode):
    """Networks and arrays from outside, and networks made inside: those have weights that no gradient knows."""
    data, outside, frozen = sample().images, dense(), state(dense())
    for how in WAYS.values():
        expected = train_input(dense(), TARGETS, START, how, data=data, progress=False).images
        with mode():
            for model in (outside, dense()):
                found = train_input(model, TARGETS, START, how, data=data, progress=False).images
                np.testing.assert_array_equal(found, expected)
    assert_same_state((*frozen[:4], state(outside)[4]), state(outside))
    expected = copies_in_training_mode(convolutional(), START[0]), train_copies(*COPIES, progress=False)[0]
    with mode():
        again = copies_in_training_mode(convolutional(), START[0]), train_copies(*COPIES, progress=False)[0]
        inside = train_copies(convolutional(), *COPIES[1:], progress=False)[0]
    assert again[0].slope == expected[0].slope > 0
    np.testing.assert_array_equal(again[1], expected[1])
    np.testing.assert_array_equal(inside, expected[1])


class Detached(nn.Linear):
    def forward(self, x):
        return super().forward(x).detach()


def test_a_network_without_a_gradient_is_refused():
    model = Detached(PIXELS, 10).double().eval()
    for call in (
        lambda: train_input(model, TARGETS, START, Descent(), progress=False),
        lambda: copies_in_training_mode(model, START[0]),
        lambda: train_copies(model, TARGETS[0], START[0], Descent(), progress=False),
    ):
        with pytest.raises(BadInput, match="model: expected one with a gradient"):
            call()


@pytest.mark.parametrize("how", [Descent(steps=2), InBox("none", steps=2), InBox("total variation", steps=5)], ids=str)
def test_a_start_that_has_its_target(how):
    """Nothing to take away: a descent stays where it is, a prior may lead away."""
    model = dense()
    targets = output_statistics(model, START, progress=False).values
    found = train_input(model, targets, START, how, progress=False)
    assert (found.before == 0).all() and np.isfinite(found.images).all()
    if isinstance(how, Descent) or how.prior == "none":
        assert (found.fall == 0).all()


# distances to the data


def test_nearest_by_all_distances():
    images, among = RNG.random((230, 9)), RNG.random((57, 9))
    distances = cdist(images, among)
    for kind in (np.float64, np.float32):
        found, lengths = nearest(images, among.astype(kind))
        np.testing.assert_array_equal(found, distances.argmin(axis=1))
        np.testing.assert_allclose(lengths, distances.min(axis=1), atol=1e-6)


def test_nearest_of_images_in_half_precision():
    """Their energies are beyond its largest number."""
    among = np.random.default_rng(1).integers(0, 256, (50, 784)).astype(np.float16)
    np.testing.assert_array_equal(nearest(among[:5] + 0.25, among)[0], range(5))


def test_a_copy_is_at_percentile_0_and_noise_beyond_all():
    data, others = sample(0).images, sample(1).images
    found = naturalness(np.stack([data[5], 9 * others[0]]), data, others)
    assert found.percentiles.tolist() == [0, 100]
    assert found.nearest[0] == 5
    by_hand = [np.mean(cdist(others, data).min(axis=1) < d) * 100 for d in found.distances]
    np.testing.assert_allclose(found.percentiles, by_hand)


def test_total_variation_by_loops_and_as_a_prior():
    image = RNG.random((4, 4))
    lengths = [
        np.hypot(image[min(i + 1, 3), j] - image[i, j], image[i, min(j + 1, 3)] - image[i, j])
        for i in range(4)
        for j in range(4)
    ]
    assert total_variation(image.reshape(1, -1))[0] == pytest.approx(np.mean(lengths))
    assert _total_variation(torch.from_numpy(image.reshape(1, -1))).item() == pytest.approx(np.mean(lengths), abs=1e-4)


def test_frequencies_by_the_slow_transform():
    image = RNG.random((14, 14))
    wave = np.exp(-2j * np.pi * np.outer(np.arange(14), np.arange(14)) / 14)
    energy = np.abs(wave @ (image - image.mean()) @ wave.T) ** 2
    away = np.minimum(np.arange(14), 14 - np.arange(14))
    low = away[:, None] ** 2 + away**2 < 4  # below 2 of 14, which is 1/7
    assert low_frequency_share(image.reshape(1, -1))[0] == pytest.approx(energy[low].sum() / energy.sum())


# training mode


def test_identical_copies_say_the_same_of_every_image():
    """ResNet18's last five batch normalisations see one pixel: their variance is none, their output the bias."""
    model, images = load("resnet18"), RNG.random((2, 784))
    before = state(model)
    first, second = (copies_in_training_mode(model, image) for image in images)
    assert_same_state(before, state(model))
    np.testing.assert_allclose(first.outputs, second.outputs, atol=0.01)
    assert np.abs(first.evaluated - second.evaluated).max() > 0.1
    assert first.slope < 1e-3 * first.slope_evaluated
    blind = [layer for layer in first.layers if layer.places == 1]
    assert [layer.name.split(".")[0] for layer in blind] == ["layer4"] * 5
    assert all(layer.variance < 1e-3 * layer.eps for layer in blind)
    assert all(layer.variance > layer.eps for layer in first.layers if layer.places > 1)
    assert all(layer.moved > 0 for layer in first.layers)  # the copy's running statistics, that is


def test_copies_by_the_formula_of_batch_normalisation():
    model = convolutional()
    model.norm.weight.data.uniform_(0.5, 2)
    model.drop.p = 0.0
    found = copies_in_training_mode(model, START[0], copies=3)
    maps = model.conv(torch.from_numpy(START[:1]).reshape(1, 1, 4, 4)).detach()[0].flatten(1)
    normal = (maps - maps.mean(dim=1, keepdim=True)) / (maps.var(dim=1, correction=0, keepdim=True) + 1e-5).sqrt()
    scaled = model.norm.weight[:, None] * normal + model.norm.bias[:, None]
    expected = model.head(torch.relu(scaled).mean(dim=1)).detach().numpy()
    np.testing.assert_allclose(found.outputs, expected, atol=1e-12)
    assert [(layer.name, layer.places) for layer in found.layers] == [("norm", 4)]


def test_what_the_image_does_not_meet_is_left_out():
    model = convolutional()
    model.spare = nn.BatchNorm2d(3).double().eval()
    assert [layer.name for layer in copies_in_training_mode(model, START[0]).layers] == ["norm"]


def test_a_running_variance_of_zeros_moves_by_a_finite_number():
    model = convolutional()
    model.norm.running_var.zero_()
    (layer,) = copies_in_training_mode(model, START[0]).layers
    assert 0 < layer.moved < np.inf


def test_dropout_does_not_draw():
    """Two calls agree, and the state of chance is as it was."""
    model = convolutional()
    before = state(model)
    first, second = (copies_in_training_mode(model, START[0]).outputs for _ in range(2))
    np.testing.assert_array_equal(first, second)
    (one, _), (two, _) = (train_copies(*COPIES, progress=False) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert_same_state(before, state(model))


def test_copies_that_leave_the_finite_numbers_are_refused():
    with pytest.raises(BadInput, match="how: expected steps that stay finite"):
        train_copies(*COPIES[:3], Descent(1e308, 3), progress=False)


def test_what_has_no_batch_of_one_pixel_can_be_trained_all_the_same():
    """The control: maps of more than one pixel leave something to descend on."""
    model = convolutional()
    model.drop.p = 0.0
    before = state(model)
    reached, losses = train_copies(model, TARGETS[0], START[0], Descent(0.05, 20), progress=False)
    assert_same_state(before, state(model))
    assert losses[-1] < losses[0]
    assert np.linalg.norm(reached - START[0]) > 0

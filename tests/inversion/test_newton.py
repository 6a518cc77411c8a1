"""Whole-network inversion against finite differences, loops and closed forms, on networks that don't ship too."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.inversion.test_ideal import Raises
from vsbook.checks import BadInput
from vsbook.inversion import newton
from vsbook.inversion.newton import invert
from vsbook.networks.layers import capture
from vsbook.networks.models import create

laws = settings(deadline=None, derandomize=True, max_examples=25)
GENERATOR = np.random.default_rng


def network(activation=nn.Tanh, seed=0, widths=(12, 9, 4), last=None):
    """A small chain in eval mode, with weights of a size that keeps its units away from saturation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), activation()]
        return nn.Sequential(*layers[:-1], *([last] if last else [])).eval()


def outputs(model, images):
    """In float64."""
    return copy.deepcopy(model).double()(torch.from_numpy(images)).detach().numpy()


class Convolutional(nn.Module):
    """Batch normalisation, pooling and a skip: no chain."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Linear(27, 3)
        self.norm.running_mean.uniform_(-1, 1)

    def forward(self, x):
        x = x + self.norm(self.conv(x)).mean(1, keepdim=True)
        return self.head(nn.functional.max_pool2d(torch.selu(self.conv(x)), 2).flatten(1))


# the step


@pytest.mark.parametrize("activation", [nn.Tanh, nn.SELU, nn.Softplus, nn.Sigmoid, nn.ReLU])
def test_jacobian_is_that_of_finite_differences(activation):
    model, x = network(activation).double(), GENERATOR(0).normal(size=(3, 12))
    y, J = newton._linearised(model, torch.from_numpy(x))
    for k in range(12):
        nudge = 1e-6 * np.eye(12)[k]
        slope = (outputs(model, x + nudge) - outputs(model, x - nudge)) / 2e-6
        np.testing.assert_allclose(J[:, :, k].numpy(), slope, atol=1e-8)
    np.testing.assert_array_equal(y.numpy(), outputs(model, x))


@laws
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 99))
def test_step_is_that_of_the_pseudo_inverse(m, n, seed):
    generator = GENERATOR(seed)
    rank = generator.integers(0, min(m, n) + 1)
    J = generator.normal(size=(3, m, rank)) @ generator.normal(size=(3, rank, n))
    r = generator.normal(size=(3, m))
    steps = newton._least_steps(torch.from_numpy(J), torch.from_numpy(r)).numpy()
    for k in range(3):
        np.testing.assert_allclose(steps[k], np.linalg.pinv(J[k], rcond=1e-12) @ r[k], rtol=1e-6, atol=1e-9)


def test_step_keeps_digits_that_the_gram_matrix_loses():
    J = np.array([[1.0, 1, 0], [1, 1 + 1e-9, 0]])  # condition number 4e9: its square is beyond float64
    x = np.array([1.0, 2, 0])
    step = newton._least_steps(torch.from_numpy(J)[None], torch.from_numpy(J @ x)[None]).numpy()[0]
    np.testing.assert_allclose(step, x, atol=1e-5)


# whole inversions


@pytest.mark.parametrize("activation", [nn.Tanh, nn.SELU, nn.Softplus, nn.Sigmoid])  # bends can bring it to a halt
@pytest.mark.parametrize("seed", [0, 1])
def test_outputs_of_hidden_images_are_reached(activation, seed):
    model, generator = network(activation, seed), GENERATOR(seed)
    targets = outputs(model, generator.uniform(0, 1, (20, 12)))
    starts = generator.uniform(0, 1, (20, 12))
    found = invert(model, targets, starts, progress=False)
    miss = np.linalg.norm(outputs(model, found.images) - targets, axis=1) / np.linalg.norm(targets, axis=1)
    assert found.converged.all() and miss.max() < 1e-8
    np.testing.assert_allclose(found.errors, miss, atol=1e-12)
    np.testing.assert_allclose(found.distances, np.linalg.norm(found.images - starts, axis=1))


def test_no_step_makes_it_worse():
    """From starts where units are saturated, and the full step leads far away."""
    model, generator = network(nn.Tanh), GENERATOR(10)
    targets, starts = outputs(model, generator.normal(size=(20, 12))), 5 * generator.normal(size=(20, 12))
    errors = [np.linalg.norm(outputs(model, starts) - targets, axis=1) / np.linalg.norm(targets, axis=1)]
    errors += [invert(model, targets, starts, max_steps=count, progress=False).errors for count in (1, 2, 3)]
    assert (np.diff(errors, axis=0) <= 1e-12).all()
    assert (errors[1] < errors[0]).all()


def test_a_linear_network_takes_one_step_to_the_nearest_image():
    model, generator = network(nn.Identity, widths=(12, 4)), GENERATOR(3)
    W, b = (p.detach().double().numpy() for p in model.parameters())
    starts, targets = generator.normal(size=(5, 12)), generator.normal(size=(5, 4))
    found = invert(model, targets, starts, progress=False)
    nearest = starts + (targets - starts @ W.T - b) @ np.linalg.pinv(W).T
    assert (found.steps == 1).all()
    np.testing.assert_allclose(found.images, nearest, atol=1e-12)


def test_a_batch_is_its_images_one_at_a_time(monkeypatch):
    model, generator = network(nn.SELU), GENERATOR(4)
    targets, starts = outputs(model, generator.normal(size=(7, 12))), generator.normal(size=(7, 12))
    together = invert(model, targets, starts, progress=False)
    monkeypatch.setattr(newton, "BATCH", 3)
    parts = invert(model, targets, starts, progress=False)
    for k in range(7):
        alone = invert(model, targets[k : k + 1], starts[k : k + 1], progress=False)
        for batch in (together, parts):
            assert batch.steps[k] == alone.steps[0]
            np.testing.assert_allclose(batch.images[k], alone.images[0], atol=1e-9)


def test_any_module_and_any_shape_of_image():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Convolutional().eval()
    images = GENERATOR(0).uniform(0, 1, (10, 1, 6, 6))
    found = invert(model, outputs(model, images[:5]), images[5:], progress=False)
    assert found.images.shape == (5, 1, 6, 6) and found.converged.all()


def test_what_the_network_does_not_see_stays_as_it_is():
    model = network(nn.Tanh)
    with torch.no_grad():
        model[0].weight[:, 5] = 0  # blind to one pixel
    generator = GENERATOR(5)
    starts = generator.normal(size=(4, 12))
    found = invert(model, outputs(model, generator.normal(size=(4, 12))), starts, progress=False)
    assert found.converged.all()
    np.testing.assert_array_equal(found.images[:, 5], starts[:, 5])


def test_out_of_range_is_not_converged_and_nothing_is_nan():
    model = network(nn.SELU, last=nn.SELU())
    starts = GENERATOR(6).uniform(0, 1, (3, 12))
    targets = outputs(model, starts)
    targets[0, 1], targets[1] = -1.8, -1e6  # SELU stays above -1.7581
    found = invert(model, targets, starts, progress=False)
    assert found.converged.tolist() == [False, False, True]
    assert np.isfinite(found.images).all() and np.isfinite(found.errors).all()
    assert found.errors[0] > (1.8 - 1.7582) / np.linalg.norm(targets[0]) and found.steps[2] == 0


def test_a_dead_network_goes_nowhere():
    model = network(nn.ReLU)
    with torch.no_grad():
        model[0].bias.fill_(-100)
    starts = GENERATOR(7).uniform(0, 1, (2, 12))
    found = invert(model, np.ones((2, 4)), starts, progress=False)
    assert not found.converged.any() and np.array_equal(found.images, starts) and (found.distances == 0).all()


def test_jacobian_of_deficient_rank():
    model = network(nn.Identity, widths=(12, 4))
    with torch.no_grad():
        model[0].weight[3], model[0].bias[3] = model[0].weight[0], model[0].bias[0]
    starts = GENERATOR(8).uniform(0, 1, (2, 12))
    targets = outputs(model, starts[::-1].copy())
    targets[1, 3] += 1  # the two equal rows can't give different numbers
    found = invert(model, targets, starts, progress=False)
    assert found.converged.tolist() == [True, False] and np.isfinite(found.images).all()


def test_step_limit_and_zero_targets():
    model, starts = network(nn.SELU), GENERATOR(9).uniform(0, 1, (2, 12))
    assert (invert(model, np.zeros((2, 4)), starts, max_steps=1, progress=False).steps == 1).all()
    found = invert(model, np.zeros((2, 4)), starts, progress=False)
    assert found.converged.all() and np.abs(outputs(model, found.images)).max() < 1e-10


# numbers of any size, arrays of any layout, callers in any mode


def identity(scale=1.0, width=2):
    """y = scale x."""
    model = nn.Sequential(nn.Linear(width, width, bias=False)).double().eval()
    model[0].weight.data = scale * torch.eye(width, dtype=torch.float64)
    return model


@pytest.mark.parametrize("size", [1e-320, 1e-170, 1e160, 1e308])
def test_targets_whose_squares_vanish_or_overflow(size):
    found = invert(identity(), np.full((1, 2), size), np.full((1, 2), 1e-20), progress=False)
    assert found.converged.all() and found.steps[0] > 0
    np.testing.assert_allclose(found.images, size, rtol=1e-10)


def test_images_that_run_far_off():
    start = np.full((1, 2), -1.0)
    found = invert(identity(1e-30), np.full((1, 2), 1e130), start, progress=False)
    assert found.converged.all()
    np.testing.assert_allclose(found.distances, 2**0.5 * 1e160)
    beyond = invert(identity(1e-300), np.full((1, 2), 1.5e8), np.zeros((1, 2)), progress=False)
    assert beyond.converged.all() and beyond.distances[0] == np.finfo(np.float64).max


class Finite(nn.Linear):
    def forward(self, x):
        assert x.isfinite().all()
        return super().forward(x)


def test_no_image_leaves_the_finite_numbers():
    model = Finite(2, 2, bias=False).double().eval()
    model.weight.data = 1e-300 * torch.eye(2, dtype=torch.float64)
    found = invert(model, np.full((1, 2), 1e10), np.zeros((1, 2)), progress=False)
    assert not found.converged.any() and np.isfinite(found.images).all()


def test_arrays_of_any_layout():
    model, generator = network(), GENERATOR(12)
    starts, targets = generator.uniform(0, 1, (3, 12)), 0.1 * generator.normal(size=(3, 4))
    expected = invert(model, targets, starts, progress=False).images
    fixed = targets.copy(), starts.copy()
    for array in fixed:
        array.flags.writeable = False
    swapped = targets.astype(">f8"), starts.astype(">f8")
    for pair in (fixed, swapped, (np.asfortranarray(targets), np.asfortranarray(starts))):
        np.testing.assert_array_equal(invert(model, *pair, progress=False).images, expected)
    backwards = invert(model, targets[::-1], starts[::-1], progress=False).images
    np.testing.assert_allclose(backwards, expected[::-1], atol=1e-9)
    alone = invert(model, targets[:1][::-1], starts[:1][::-1], progress=False).images  # one row, backwards
    np.testing.assert_allclose(alone, expected[:1], atol=1e-9)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_no_matter_what_the_caller_has_switched_off(mode):
    starts, targets = GENERATOR(13).uniform(0, 1, (2, 12)), np.zeros((2, 4))
    expected = invert(network(), targets, starts, progress=False).images
    with mode():
        np.testing.assert_array_equal(invert(network(), targets, starts, progress=False).images, expected)


# what float64 can't tell, and what isn't a function


def test_nothing_converges_by_rounding():
    """1e16 + 1 is no float64: at (1, 1) it looks like 1e16, and the output like 0."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False), nn.Linear(1, 1)).double().eval()
    for parameter, values in zip(model.parameters(), ([[1e16, 1.0]], [[1.0]], [-1e16]), strict=True):
        parameter.data = torch.tensor(values, dtype=torch.float64)
    found = invert(model, np.zeros((1, 1)), np.ones((1, 2)), progress=False)
    assert found.errors[0] == 0 and not found.converged[0]


class Dropping(nn.Module):
    """Dropout as a function: in any mode, or as the mode says."""

    def __init__(self, always):
        super().__init__()
        self.inner, self.always = network(), always

    def forward(self, x):
        return nn.functional.dropout(self.inner(x), 0.5, training=self.always or self.training)


def test_a_network_with_random_parts_is_refused():
    starts, targets = GENERATOR(14).uniform(0, 1, (5, 12)), outputs(network(), GENERATOR(15).uniform(0, 1, (5, 12)))
    with pytest.raises(BadInput, match=r"training=self\.training"):
        invert(Dropping(True).eval(), targets, starts, progress=False)
    assert invert(Dropping(False).eval(), targets, starts, progress=False).converged.all()


def test_random_parts_that_a_start_does_not_show_are_seen_at_the_end():
    class Hidden(Dropping):
        def forward(self, x):
            return self.inner(nn.functional.dropout(x, 0.5, training=self.always))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        targets = outputs(network(), GENERATOR(15).uniform(0, 1, (5, 12)))
        assert not invert(Hidden(True).eval(), targets, np.zeros((5, 12)), progress=False).converged.any()


class Reordered(nn.Module):
    """Every second time it sums in another order, as threads may: no bit is promised."""

    def __init__(self):
        super().__init__()
        self.inner, self.turn = network(), False

    def forward(self, x):
        self.turn = not self.turn
        y = self.inner(x)
        return y * (1 + 2.0**-52) if self.turn else y


def test_a_network_whose_rounding_changes_is_taken():
    starts, targets = GENERATOR(16).uniform(0, 1, (5, 12)), outputs(network(), GENERATOR(17).uniform(0, 1, (5, 12)))
    assert invert(Reordered().eval(), targets, starts, progress=False).converged.all()


# nothing changes


def test_the_network_is_left_as_it_was():
    model = create("fcnn5", 1).eval()
    next(model.parameters()).requires_grad_(False)
    model.layer2.weight.grad = torch.ones_like(model.layer2.weight)
    before = copy.deepcopy(model)
    targets, starts = np.zeros((2, 10)), np.full((2, 784), 0.5)
    with capture(model, ["layer1"]):
        hooks = len(model.layer1._forward_hooks)
        invert(model, targets, starts, progress=False)
        assert len(model.layer1._forward_hooks) == hooks
        with pytest.raises(BadInput):
            invert(model, targets, starts[:, :5], progress=False)
    for (name, now), then in zip(model.named_parameters(), before.parameters(), strict=True):
        assert torch.equal(now, then) and now.dtype == then.dtype and now.requires_grad == then.requires_grad, name
        assert (now.grad is None) == (name != "layer2.weight")
    assert not model.training and torch.equal(model.layer2.weight.grad, torch.ones_like(model.layer2.weight))


# bad input


class TwoAnswers(nn.Module):
    def forward(self, x):
        return x, x


class Detached(nn.Module):
    def forward(self, x):
        return x.detach()


class Rounded(nn.Module):
    def forward(self, x):
        return x.argmax(dim=1, keepdim=True)


def spoilt(model, number=np.nan):
    next(model.parameters()).data[0] = number
    return model


def spoilt_buffer():
    model = nn.Sequential(nn.Linear(12, 4), nn.BatchNorm1d(4)).eval()
    model[1].running_mean[0] = np.nan
    return model


GOOD = {"model": network(), "targets": np.zeros((2, 4)), "starts": np.zeros((2, 12))}
BAD = {
    "one part in training mode": ({"model": nn.Sequential(network(), nn.Dropout()).eval()}, "eval mode"),
    "no gradient": ({"model": Detached().eval(), "starts": np.zeros((2, 4))}, "starts"),
    "whole numbers out": ({"model": Rounded().eval()}, "starts"),
    "two outputs": ({"model": TwoAnswers().eval()}, "starts"),
    "NaN weights": ({"model": spoilt(network())}, "model: expected finite weights"),
    "infinite weights": ({"model": spoilt(network(), np.inf)}, "model: expected finite weights"),
    "NaN statistics": ({"model": spoilt_buffer()}, "model: expected finite weights"),
    "weights without a shape": ({"model": nn.Sequential(nn.LazyLinear(4)).eval()}, "model"),
    "images that a layer refuses": ({"model": nn.BatchNorm1d(12).eval(), "starts": np.zeros((2, 1, 3, 4))}, "starts"),
    "a network's own KeyError": ({"model": Raises(KeyError("a")).eval()}, "starts"),
    "a network's own assertion": ({"model": Raises(AssertionError("b")).eval()}, "starts"),
}
BAD["one part in training mode"][0]["model"][1].train()


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_clear_error(name):
    changes, word = BAD[name]
    with pytest.raises(BadInput, match=word) as error:
        invert(**(GOOD | {"progress": False} | changes))
    assert "\n" not in str(error.value) and "expected" in str(error.value) and ";" in str(error.value)


def test_a_network_says_itself_what_is_bad_and_can_be_interrupted():
    with pytest.raises(BadInput, match=r"^own: expected this"):
        invert(**(GOOD | {"model": Raises(BadInput("own: expected this, got that; do so")).eval()}))
    with pytest.raises(KeyboardInterrupt):
        invert(**(GOOD | {"model": Raises(KeyboardInterrupt()).eval()}))

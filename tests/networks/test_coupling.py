"""Invertible networks: both ways, against autograd and hand-made couplings, at their doors, and as they ship."""

import functools
import json
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.runs import assert_same_bits, header_in, rough, weights
from vsbook.networks.checkpoints import load, load_checkpoint, save_checkpoint
from vsbook.networks.coupling import CouplingNetwork, Invertible, cosine_matrix, jacobians
from vsbook.networks.data import ASSETS, Images, mnist
from vsbook.networks.models import create
from vsbook.networks.outputs import logits
from vsbook.networks.training import evaluate

NETWORKS = ("invertible", "invertible_toy")
laws = settings(deadline=None, derandomize=True, max_examples=20)
# one row of a batch: some numbers far outside the pixels' range, and exact zeros
rows = arrays(np.float64, (2, 784), elements=st.floats(-10, 10, width=32), fill=st.sampled_from([0.0, 1.0]))


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    return rough(request.param)


@pytest.fixture(scope="module", params=NETWORKS)
def exact(request):
    return rough(request.param).double()


@pytest.fixture(scope="module")
def slopes(exact):
    """Two images and the Jacobian at each."""
    images = noise(2, seed=4).double()
    return images, jacobians(exact, images)


def largest(difference):
    return float(difference.detach().abs().max())


# the map and its inverse


@laws
@given(rows)
def test_an_image_comes_back(exact, images):
    images = torch.from_numpy(images)
    assert largest(exact.invert(*exact.transform(images)) - images) < 1e-11


@laws
@given(rows)
def test_an_output_comes_back(exact, coordinates):
    """Any 784 numbers are the output of one image."""
    outputs, spare = torch.from_numpy(coordinates).split([10, 774], dim=1)
    again, rest = exact.transform(exact.invert(outputs, spare))
    assert max(largest(again - outputs), largest(rest - spare)) < 1e-10


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
@pytest.mark.parametrize("name", NETWORKS)
def test_test_images_come_back_from_the_shipped_networks(name, dtype, bound):
    model, images = load(name).to(dtype), torch.from_numpy(mnist().test.images[:300]).to(dtype)
    assert largest(model.invert(*model.transform(images)) - images) < bound


def test_an_inverse_of_another_network_is_none(network):
    """So the round trips above can fail."""
    other, images = rough("invertible" if isinstance(network, CouplingNetwork) else "invertible_toy", 1), noise(4)
    assert largest(other.invert(*network.transform(images)) - images) > 0.1


def test_a_change_of_one_coordinate_changes_the_image(exact):
    outputs, spare = exact.transform(noise(1).double())
    for moved in ((outputs + 1e-3, spare), (outputs, spare + 1e-3)):
        assert largest(exact.invert(*moved) - exact.invert(outputs, spare)) > 1e-5


def noise(count, seed=0):
    """Images outside of 0 to 1 too."""
    return 3 * torch.rand(count, 784, generator=torch.Generator().manual_seed(seed)) - 1


def test_logits_are_the_first_ten_coordinates(network):
    images = noise(5)
    outputs, spare = network.transform(images)
    assert (tuple(outputs.shape), tuple(spare.shape)) == ((5, 10), (5, 774))
    assert torch.equal(network(images), outputs)
    assert torch.equal(logits(network, images.numpy()), outputs.detach())


def test_images_flat_square_or_with_a_channel(network):
    images = noise(3)
    for shape in ((3, 28, 28), (3, 1, 28, 28)):
        assert torch.equal(network(images.reshape(shape)), network(images))


def test_an_image_is_mapped_alike_in_any_batch_and_mode(exact):
    images = noise(6).double()
    alone = torch.cat([exact(image[None]) for image in images])
    assert largest(exact(images) - alone) < 1e-11
    assert torch.equal(exact.train()(images), exact.eval()(images))


# couplings


def test_the_toy_is_a_cnn_beside_pixels_that_pass():
    toy, images = rough("invertible_toy"), noise(3)
    outputs, spare = toy.transform(images)
    rest = images.clone()
    rest[:, :10] = 0
    assert largest(outputs - images[:, :10] - toy.cnn(rest.reshape(3, 1, 28, 28))) < 1e-5
    assert torch.equal(spare, images[:, 10:])
    assert mnist().train_images.reshape(-1, 784)[:, :10].max() == 0, "the ten pixels are paper"


def test_the_network_is_orthogonal_at_its_start():
    J = jacobians(create("invertible", 0).double(), noise(1).double())[0]
    np.testing.assert_allclose(J @ J.T, np.eye(784), atol=1e-12)


def test_logits_are_seven_times_the_means_of_ten_maps():
    model, images = rough("invertible"), noise(2)
    maps, _ = model.chain(images.reshape(-1, 1, 28, 28))
    assert largest(model(images) - 7 * maps[:, :10].mean(dim=(2, 3))) < 1e-4


def test_cosines_are_orthogonal_and_by_the_formula():
    k, n = np.mgrid[:7, :7]
    D = np.cos(np.pi * k * (2 * n + 1) / 14) * np.sqrt(np.where(k == 0, 1, 2) / 7)
    np.testing.assert_allclose(cosine_matrix(7), D, atol=1e-15)


def test_jacobian_against_differences(exact, slopes):
    """Central differences along three directions; the steps are too small to meet a kink of a ReLU often."""
    images, generator = slopes[0][:1], torch.Generator().manual_seed(1)
    J = torch.from_numpy(slopes[1][0])
    for _ in range(3):
        step = 1e-6 * torch.randn(1, 784, generator=generator, dtype=torch.float64)
        ends = [torch.cat(exact.transform(images + sign * step), dim=1) for sign in (1, -1)]
        difference = (ends[0] - ends[1]) / 2
        assert largest(difference - step @ J.T) < 1e-4 * largest(difference)


def test_jacobian_against_autograd(exact, slopes):
    images, found = slopes
    expected = torch.autograd.functional.jacobian(lambda x: torch.cat(exact.transform(x), dim=1)[:, ::97], images[1:])
    np.testing.assert_allclose(found[1, ::97], expected[0, :, 0].numpy(), atol=1e-12)


@pytest.mark.parametrize("exact", ["invertible"], indirect=True)
def test_log_determinant_is_that_of_the_jacobian(exact, slopes):
    images, found = slopes
    sign, expected = np.linalg.slogdet(found)
    np.testing.assert_allclose(exact.log_determinant(images).detach().numpy(), expected, atol=1e-9)
    assert np.abs(expected).min() > 1, "scales are at work"
    assert np.abs(sign).min() == 1


@pytest.mark.parametrize("exact", ["invertible_toy"], indirect=True)
def test_the_toys_jacobian_is_block_triangular_of_determinant_1(exact, slopes):
    J = slopes[1][0]
    np.testing.assert_array_equal(J[:, :10], np.eye(784)[:, :10])
    np.testing.assert_array_equal(J[10:], np.eye(784)[10:])
    assert np.abs(J[:10, 10:]).max() > 1e-3


def test_nothing_changes_in_a_network_that_is_looked_at(network):
    before, modes = weights(network), [m.training for m in network.modules()]
    images = noise(2)
    kept = images.clone()
    outputs, spare = (part.detach().clone() for part in network.transform(images))
    copies = outputs.clone(), spare.clone()
    network.invert(outputs, spare)
    jacobians(network, images)
    assert torch.equal(images, kept)
    assert torch.equal(outputs, copies[0])
    assert torch.equal(spare, copies[1])
    assert_same_bits(weights(network), before)
    assert [m.training for m in network.modules()] == modes
    assert all(parameter.grad is None for parameter in network.parameters())


@functools.cache
def plainly(name):
    return jacobians(rough(name), noise(1))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", NETWORKS)
def test_jacobians_no_matter_what_the_caller_has_switched_off(name, mode):
    expected = plainly(name)
    with mode():
        np.testing.assert_array_equal(jacobians(rough(name), noise(1)), expected)


def test_only_near_the_largest_numbers_do_coordinates_overflow(network):
    for size in (1e-30, 1e30, -1e36):
        assert all(part.isfinite().all() for part in network.transform(torch.full((1, 784), size)))


# as they are made and ship


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_those_of_the_seed(name):
    """And the global random states, NumPy's too, have no say in them."""
    np.random.seed(1)  # noqa: NPY002
    one = weights(create(name, 5))
    np.random.seed(2)  # noqa: NPY002
    assert_same_bits(weights(create(name, 5)), one)
    other = weights(create(name, 6))
    assert any(not torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", NETWORKS)
def test_saved_in_half_precision_it_comes_back(name, tmp_path):
    path, model = tmp_path / "one.safetensors", rough(name).half()
    save_checkpoint(path, model, {"network": name})
    again = load_checkpoint(path)
    assert_same_bits(weights(again), weights(model.float()))
    images = noise(2).double()
    assert largest(again.double().invert(*again.transform(images)) - images) < 1e-11, "the mixing is exact in half too"


def test_both_are_of_about_150_000_weights():
    counts = {name: sum(p.numel() for p in create(name, 0).parameters() if p.requires_grad) for name in NETWORKS}
    assert counts == {"invertible": 155_792, "invertible_toy": 144_706}


def test_made_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CouplingNetwork()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shipped_network_has_the_accuracy_of_its_header(name):
    """On every fifth test image: within four deviations of what 2000 of 10,000 leave to chance."""
    header = header_in(ASSETS / "checkpoints" / f"{name}-seed0.safetensors")
    test, accuracy = mnist().test, float(header["test_accuracy"])
    part = Images(test.images[::5], test.labels[::5])
    assert evaluate(load(name), part) == pytest.approx(accuracy, abs=4 * np.sqrt(accuracy * (1 - accuracy) / 2500))
    assert {"epochs", "code", "noise", "degrees"} <= json.loads(header["recipe"]).keys()
    assert isinstance(load(name), Invertible)

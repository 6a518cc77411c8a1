"""Starts from the training images, against loops over them; those for ideal outputs are in test_ideal."""

import numpy as np
import pytest

from tests.inversion.test_newton import GENERATOR, network, outputs, spoilt
from vsbook.checks import BadInput
from vsbook.inversion.starts import STARTS, starting_images
from vsbook.networks.data import Images


def digits(seed=0, count=40):
    """Twelve pixels and ten classes, each at least three times."""
    generator = GENERATOR(seed)
    return Images(generator.uniform(0, 1, (count, 12)).astype(np.float32), np.arange(count) % 10)


def test_starts_come_from_the_target_and_the_training_images_alone():
    model, train = network(widths=(12, 9, 10)), digits()
    targets = outputs(model, GENERATOR(1).uniform(0, 1, (6, 12)))
    named = targets.argmax(axis=1)
    average, nearest, other = (starting_images(model, targets, train, kind) for kind in STARTS)
    every = outputs(model, train.images.astype(float))
    for k, target in enumerate(targets):
        np.testing.assert_allclose(average[k], train.of_class(named[k]).mean(axis=0), rtol=1e-6)
        at = np.linalg.norm(every - target, axis=1).argmin()
        np.testing.assert_array_equal(nearest[k], train.images[at])
        np.testing.assert_array_equal(other[k], train.of_class((named[k] + 1) % 10)[0])
    for kind, starts in zip(STARTS, (average, nearest, other), strict=True):
        assert starts.dtype == np.float64 and starts.shape == (6, 12), kind
        again = starting_images(model, targets[::-1], train, kind)[::-1]
        np.testing.assert_array_equal(starts, again)  # a start depends on its own target


def test_starts_ask_for_what_they_need():
    few, targets = digits(count=9), np.eye(10)
    for kind in (STARTS[0], STARTS[2]):
        with pytest.raises(BadInput, match="expected every digit 0 to 9"):
            starting_images(network(widths=(12, 9, 10)), targets, few, kind)
    with pytest.raises(BadInput, match="model: expected ten outputs"):
        starting_images(network(widths=(12, 9, 5)), targets, few, STARTS[1])
    with pytest.raises(BadInput, match="outputs: expected finite"):
        starting_images(spoilt(network(widths=(12, 9, 10))), targets, few, STARTS[1])
    assert starting_images(network(widths=(12, 9, 10)), targets, few, STARTS[1]).shape == (10, 12)

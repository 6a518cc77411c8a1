"""What was observed of ResNet18 for Fig. 3, in parts again for the network that ships; and the rules' arithmetic."""

import numpy as np
import pytest

from evidence import figure3
from evidence.observe.figure3 import CODE_READING, COMMON, PAPER_READING, file_name, noise, observe
from vsbook.inversion.ideal import distances_to
from vsbook.inversion.input_training import Descent, train_input
from vsbook.inversion.training_mode import copies_in_training_mode
from vsbook.ledger import observation
from vsbook.networks.checkpoints import load
from vsbook.networks.data import Images, class_averages, mnist_split
from vsbook.networks.models import create
from vsbook.networks.outputs import logits, output_statistics


@pytest.fixture(scope="module")
def network():
    return load("resnet18")


@pytest.fixture(scope="module")
def observed():
    return observation(file_name(0))


@pytest.fixture(scope="module")
def train():
    return mnist_split(0).train


@pytest.mark.parametrize("reading", [PAPER_READING, CODE_READING])
def test_distances_of_the_starts_again(network, observed, train, reading):
    found = observed[reading]
    images = {name: train.images[rows] for name, rows in found["index"].items()}
    images["avg-img"] = class_averages(train.images, train.labels)
    for name, rows in images.items():
        np.testing.assert_allclose(distances_to(network, found["ideal"], rows), found["distance"][name], rtol=1e-4)
        if name in found["digit"]:
            np.testing.assert_array_equal(train.labels[found["index"][name]], found["digit"][name])


def test_no_image_of_a_sample_goes_beyond_the_extremes(network, observed, train):
    outputs = logits(network, train.images[:500]).numpy()
    ideal = np.array(observed[PAPER_READING]["ideal"])
    assert (outputs <= ideal.diagonal() + 1e-4).all()
    assert (outputs >= ideal.min(axis=0) - 1e-4).all()
    distances = np.linalg.norm(outputs[:, None] - ideal, axis=2)
    assert (distances.min(axis=0) >= np.array(observed[PAPER_READING]["distance"]["min-img"]) - 1e-3).all()


def test_the_descent_again_in_its_first_steps(network, observed):
    """From noise; a hundred steps take their time, ten show that it is the same descent, and falling."""
    found = observed[PAPER_READING]
    again = train_input(network, found["ideal"], noise(0), Descent(steps=10), progress=False)
    np.testing.assert_allclose(again.before, found["descent"]["noise"]["before"], rtol=1e-4)
    assert (again.after < again.before).all()
    assert (again.after > np.array(found["descent"]["noise"]["after"])).all()


def test_training_mode_again(network, observed, train):
    image = class_averages(train.images, train.labels)[3]
    seen, found = copies_in_training_mode(network, image), observed["training mode"]["avg-img"][3]
    np.testing.assert_allclose(seen.outputs, found["outputs"], atol=1e-2)
    np.testing.assert_allclose(seen.evaluated, found["outputs in eval mode"], atol=1e-3)
    assert seen.slope < 1e-3 * seen.slope_evaluated


def test_every_seed_was_observed_alike(observed):
    for seed in COMMON:
        found = observation(file_name(seed))
        assert found.keys() == observed.keys()
        for reading in (PAPER_READING, CODE_READING):
            assert found[reading].keys() == observed[reading].keys()
            assert found[reading]["descent"].keys() == observed[reading]["descent"].keys()


def test_a_small_network_is_observed_with_all_that_the_claims_ask(monkeypatch, train):
    """On a few images: nothing of it is a result."""
    few = Images(train.images[:500], train.labels[:500])
    monkeypatch.setattr("evidence.observe.figure3.mnist_split", lambda _: type("Split", (), {"train": few}))
    model = create("fcnn1", 5).eval()
    found = observe(model, output_statistics(model, few.images, progress=False), 1)[PAPER_READING]
    for name in ("avg-img", "min-img", "avg-min-img", "noise"):
        assert np.less(found["descent"][name]["after"], found["descent"][name]["before"]).all()
        assert np.greater(found["random walk"][name], found["descent"][name]["after"]).all()
    assert set(found["box"]) == {"none"}


# arithmetic


def test_the_caption_by_hand():
    assert figure3.STATED["fcnn1"].count("avg-img") == 7
    assert [d for d, name in enumerate(figure3.STATED["fcnn5"]) if name == "avg-img"] == [1, 2, 6, 7]
    assert [d for d, name in enumerate(figure3.STATED["resnet18"]) if name == "min-img"] == [0, 2, 3, 8]
    assert figure3.agreement("fcnn1", figure3.STATED["fcnn1"]) == 10
    assert figure3.agreement("fcnn1", ["min-img"] * 10) == 3
    assert figure3.agreement("resnet18", ["avg-min-img"] * 10) == 1
    assert figure3.agreement("resnet18", ["avg-img"] * 10) == 6


def test_pairs_are_counted_one_by_one(monkeypatch):
    """Beside a loop over pairs, and every dealing beside itertools; the stated one is among them."""
    stated = ["avg-img", "min-img", "avg-img", *["min-img"] * 7]
    monkeypatch.setitem(figure3.STATED, "short", stated)
    advantage = np.random.default_rng(0).random(10)
    share, every = figure3.pairs_as_stated("short", advantage)
    first, second = (
        [advantage[k] for k in range(10) if stated[k] == "avg-img"],
        [advantage[k] for k in range(10) if stated[k] != "avg-img"],
    )
    assert share == np.mean([one > other for one in first for other in second])
    assert len(every) == 45
    assert share in every
    assert every.mean() == pytest.approx(0.5)


def test_what_is_claimed_of_pairs_has_its_mean():
    """Three standard errors of 10,000 draws."""
    drawn = figure3.as_claimed("fcnn1")
    assert drawn.mean() == pytest.approx(figure3.AS_STATED, abs=3 * drawn.std() / 100)


def test_the_median_of_a_class_is_one_of_training_images(train):
    found = figure3.median_of_class("low frequencies", 0)
    shares = figure3.looks(0)["low frequencies"]
    assert found.shape == (10,)
    assert found[3] == np.median(shares[train.labels == 3])
    drawn = figure3.drawn_at_random(0)
    assert train.labels[drawn].tolist() == list(range(10))

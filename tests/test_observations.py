"""What was observed of whole ResNet18 networks: seed 0 ships, and is observed again here in parts."""

import json

import numpy as np
import pytest
import torch

from evidence.networks import VARIANTS, initial, recipe, split_for, trained
from evidence.observe import reachable, resnet18
from vsbook.inversion.certificates import check_certificate
from vsbook.inversion.chains import Chain
from vsbook.inversion.ideal import ideal_outputs
from vsbook.inversion.reachability import reach
from vsbook.ledger import observation
from vsbook.linalg.kernels import flattened_kernels
from vsbook.linalg.significance import holm
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.checkpoints import RUNS, load, load_kernels
from vsbook.networks.data import mnist, mnist_split
from vsbook.networks.draws import ROUNDING
from vsbook.networks.layers import named_weights
from vsbook.networks.outputs import logits
from vsbook.networks.training import PAPER, evaluate

LAYER = VARIANTS["resnet18"].layer


@pytest.fixture(scope="module")
def network():
    return load("resnet18")


@pytest.fixture(scope="module")
def observed():
    return observation("resnet18-seed0")


def test_accuracy_of_the_network_that_ships(network, observed):
    """Close outputs may change places on another processor: 0.02 % are two images."""
    assert 100 * evaluate(network, mnist().test) == pytest.approx(observed["accuracy in percent"]["test"], abs=0.02)


def test_the_split_drawn_anew_was_mostly_trained_on():
    """5/6 of it, within 5 deviations: 10,000 images drawn of 60,000, of which 50,000 were trained on."""
    train, anew = mnist_split(0).train.images, mnist_split(resnet18.ANEW).validation.images
    trained_on = {image.tobytes() for image in train}
    share = np.mean([image.tobytes() in trained_on for image in anew])
    assert share == pytest.approx(5 / 6, abs=5 * np.sqrt(5 / 36 / 10_000))


def test_training_mode_leaves_the_network_as_it_was(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    few = mnist().test.images[:64]
    resnet18.training_mode_accuracy(network, type(mnist().test)(few, mnist().test.labels[:64]))
    assert not network.training
    assert all((tensor == before[name]).all() for name, tensor in network.state_dict().items())


def test_changes_without_a_signal_kernel(network, observed):
    """The strongest and the weakest again; the direction that was taken out has no response left."""
    images = mnist().test.images[: resnet18.SAMPLE]
    rows = flattened_kernels(named_weights(network)[LAYER].weight)
    ends = FourSubspaces.of(rows).Vh[[0, -1]]
    again = resnet18.changes(network, LAYER, ends, images)
    recorded = observed["change without each signal kernel"]
    np.testing.assert_allclose(again, [recorded[0], recorded[-1]], rtol=1e-3)
    without = flattened_kernels(named_weights(resnet18.without(network, LAYER, ends[0]))[LAYER].weight)
    assert np.abs(without @ ends[0]).max() < 1e-7
    np.testing.assert_allclose(without @ ends[1], rows @ ends[1], atol=1e-6)


def test_condition_number_of_the_convolution(network, observed):
    recorded = observed["condition number of the convolution"]["after"]
    assert resnet18.of_maps(network, LAYER) == pytest.approx(recorded, rel=1e-6)


def test_spectra_of_all_layers_before_and_after(network, observed):
    for when, model in (("before", initial("resnet18", 0)), ("after", network)):
        again = resnet18.spectra(model)
        assert again.keys() == observed["singular values"][when].keys()
        assert len(again) == 20
        for name, values in again.items():
            np.testing.assert_allclose(values, observed["singular values"][when][name], rtol=1e-6, atol=1e-9)


def test_the_table_of_layers(network):
    """The first row again, drawn as then; and the adjusted p-values follow from the others."""
    rows = observation("resnet18-layers")
    before, after = (named_weights(m)["conv1"].weight for m in (initial("resnet18", 0), network))
    again = json.loads(json.dumps(resnet18.observe_layer("conv1", before, after, np.random.default_rng([0, 0]))))
    again["p adjusted"] = rows[0]["p adjusted"]
    assert again.keys() == rows[0].keys()
    assert again["p"] == rows[0]["p"]
    assert again["update over start"] == pytest.approx(rows[0]["update over start"], rel=1e-6)
    assert again["rank"] == rows[0]["rank"]
    assert all(row.keys() == rows[0].keys() for row in rows)
    # maps of 2 x 2 and of 1 x 1 pixels reach four weights of a kernel, and one
    last = {
        row["layer"]: row["rank"]["update"]
        for row in rows
        if row["layer"].startswith("layer4") and "conv" in row["layer"]
    }
    assert last == {"layer4.0.conv1": 4, "layer4.0.conv2": 1, "layer4.1.conv1": 1, "layer4.1.conv2": 1}
    for stage in ("before", "after", "update"):
        adjusted = holm([row["p"][stage] for row in rows])
        np.testing.assert_allclose([row["p adjusted"][stage] for row in rows], adjusted, rtol=1e-12)
        assert again["condition number"][stage] == pytest.approx(rows[0]["condition number"][stage], rel=1e-6)
    assert len(rows) / 0.05 < resnet18.SHUFFLES + 1  # or no p-value could be small enough for Holm


@pytest.mark.parametrize(("run", "seed"), [(run, seed) for run, seeds in RUNS.items() for seed in range(seeds)])
def test_the_kernels_that_ship_start_where_their_seed_says(run, seed):
    found, start = load_kernels(run, seed), named_weights(initial(run, seed))[LAYER].weight
    np.testing.assert_allclose(found.initial, start, rtol=0, atol=ROUNDING * start.std())
    assert np.linalg.norm(found.trained - found.initial) > 0
    assert VARIANTS[run].seeds == RUNS[run]


def test_the_kernels_of_seed_0_are_those_of_the_network(network):
    np.testing.assert_array_equal(load_kernels("resnet18", 0).trained, named_weights(network)[LAYER].weight)


def test_the_control_differs_in_the_start_of_one_layer_and_in_its_epochs():
    """And computes the same function before training: batch normalisation divides the scale out."""
    one, other = initial("resnet18", 0), initial("resnet18-small-start", 0)
    for (name, a), b in zip(one.named_parameters(), other.parameters(), strict=True):
        factor = 0.1 if name == f"{LAYER}.weight" else 1
        np.testing.assert_allclose(b.detach(), factor * a.detach(), rtol=1e-6)
    images = split_for("resnet18", 0).test.images[:64]
    outputs = []
    for model in (one, other):
        model.train()
        outputs.append(model(torch.from_numpy(images)).detach().numpy())
    # batch normalisation adds 1e-5 to the variance, a thousandth of that of the small layer's outputs or less
    np.testing.assert_allclose(outputs[0], outputs[1], atol=0.02 * np.abs(outputs[0]).max())
    assert recipe("resnet18") == PAPER
    assert recipe("resnet18-small-start").epochs < PAPER.epochs


# which outputs have an image


@pytest.mark.parametrize(("name", "seed"), [("fcnn1", 1), ("fcnn5_tanh", 2)])
def test_the_survey_of_reachable_outputs_repeats(name, seed):
    """Three ideal outputs again, of another seed than the one that ships, with proofs that the checker takes."""
    entry = observation("reachable")[f"{name}-{seed}"]["paper"]
    split, chain = mnist_split(seed), Chain.of(trained(name, seed))
    outputs = logits(trained(name, seed), split.train.images).numpy().astype(np.float64)
    targets = ideal_outputs(outputs, reachable.ORIGINS["paper"])[:3]
    for label, box in reachable.BOXES.items():
        found = reach(chain, targets, box, atol=reachable.TOLERANCE)
        assert [answer.answer for answer in found] == entry[label]["each"][:3]
        for answer, target, bound in zip(found, targets, entry[label]["distance proven"], strict=False):
            assert answer.bound == pytest.approx(bound, rel=1e-2)
            assert answer.answer != "no" or check_certificate(chain, target, answer.certificate, box)


def test_the_survey_proves_what_it_says():
    """Each yes lies in its box and within the tolerance, each no has a proof that stands."""
    for entry in observation("reachable").values():
        for found in (entry[wanted][label] for wanted in ("paper", "code", "real", "far") for label in reachable.BOXES):
            assert found["certificates that stand"] == found["answers"].get("no", 0)
            assert found["images in the box"] == found["answers"].get("yes", 0)
            assert (found["largest forward error of a yes"] or 0) <= reachable.TOLERANCE
            assert sum(found["answers"].values()) == len(found["each"])

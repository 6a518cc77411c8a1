"""Short trainings that several files of tests share, and what is compared after them."""

import json
from pathlib import Path

import torch

from vsbook import ledger
from vsbook.networks.data import Images, Split, mnist
from vsbook.networks.models import create
from vsbook.networks.training import Recipe, fit

SMALL = Recipe(epochs=3)
ROOT = Path(ledger.__file__).parent.parent


def first_images() -> Split:
    """The first images of each part: 10 batches of 32 and one of 5 an epoch."""
    test = mnist().test
    return Split(*(Images(test.images[a:b], test.labels[a:b]) for a, b in [(0, 325), (325, 425), (425, 625)]))


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def trained(split, recipe=SMALL, seed=0, network="fcnn1", **options):
    model = create(network, seed)
    fit(model, split, recipe, seed, progress=False, **options)
    return model


def header_in(path):
    """What stands in the header of a checkpoint or a state, read without the package."""
    data = path.read_bytes()
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    assert list(metadata) == ["vsbook"], "one key: of several the order is left to chance"
    header = json.loads(metadata["vsbook"])
    assert list(header) == sorted(header)
    return header


def headed(header):
    """The metadata that bears that header."""
    return {"vsbook": json.dumps(header)}


def rough(network, seed=0):
    """A network far from its start: every trainable weight moved at random, so that no coupling is the identity."""
    model, generator = create(network, seed), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.03 * torch.randn(parameter.shape, generator=generator)
    return model

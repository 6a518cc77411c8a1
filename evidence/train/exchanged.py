"""Each of two networks by the other's recipe, ResNet18 and the invertible one: so that recipes aren't compared.

Of the trained networks only the test images are kept that they take for another digit.
"""

from functools import partial
from pathlib import Path

from platformdirs import user_cache_path

from evidence.networks import observation_path, on_accelerator, rounded_to_half
from evidence.observe.resnet18 import wrong
from evidence.observe.runs import Run
from evidence.train import invertible
from vsbook.networks.data import mnist_split
from vsbook.networks.models import create
from vsbook.networks.training import PAPER, Recipe, fit

SEEDS = range(3)
EXCHANGED = {"resnet18-adam": ("resnet18", invertible.PLAIN), "invertible-sgd": ("invertible", PAPER)}


def run(name: str, seed: int) -> Run:
    """Where the errors of such a network stand, and what makes them."""
    return Run(observation_path(f"{name}-errors"), partial(errors, name, seed), str(seed))


def state_path(name: str, seed: int) -> Path:
    """Where such a training goes on from."""
    return user_cache_path("vsbook") / "training" / f"{name}-seed{seed}.state"


def errors(name: str, seed: int) -> list[int]:
    """Train a network from its initial weights; the test images that it then takes for another digit."""
    network, recipe = EXCHANGED[name]
    split, model = mnist_split(seed), on_accelerator(create(network, seed))
    if isinstance(recipe, Recipe):
        fit(model, split, recipe, seed, state_path(name, seed))
    else:
        invertible.fit(model, split.train, recipe, seed, state_path(name, seed))
    rounded_to_half(model.cpu())
    return wrong(model)


def train(name: str, seed: int) -> None:
    """Write down the errors of one network, if they aren't on file."""
    entry = run(name, seed)
    if entry.missing():
        entry.write(entry.make())
        state_path(name, seed).unlink(missing_ok=True)  # only now: until here it holds the training
        print(f"{name} seed {seed} -> {entry.name}", flush=True)

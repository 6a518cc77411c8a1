"""The invertible networks: a quarter of an hour on one free core for each.

The recipe isn't the paper's: Adam on one cycle, and training images turned, shifted and zoomed a little. ResNet18 was
trained without them. Constants were chosen on parts of the training images and judged on the validation images.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from platformdirs import user_cache_path
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from evidence.networks import checkpoint_path, on_accelerator, rounded_to_half, trained_on
from vsbook.networks.checkpoints import save_checkpoint
from vsbook.networks.data import Images, mnist_split
from vsbook.networks.models import create
from vsbook.networks.training import evaluate, provenance, resume, suspend


@dataclass(frozen=True)
class CouplingRecipe:
    """Adam on one cycle; cross entropy, and two terms which make the inverse images digits and the inverse tame."""

    learning_rate: float = 8e-3  # at its height
    warming: float = 0.2  # share of the steps up to there
    batch_size: int = 128
    epochs: int = 14
    largest_gradient: float = 1.0
    degrees: float = 10.0  # training images are turned by at most that,
    pixels: float = 2.0  # shifted,
    zoom: float = 0.1  # and zoomed by up to exp of that, each way
    decoded: int = 32  # images of a batch for each term
    code: float = 0.02  # weight of |invert(logits, 0) - image|^2
    noise: float = 0.02  # weight of |invert(logits + e, spare + f) - image|^2 / |(e, f)|^2
    deviation: float = 0.01  # of e and f


PLAIN = CouplingRecipe(code=0.0, noise=0.0)
SEEDS = range(4)
TRAINED = {
    "invertible": ("invertible", CouplingRecipe()),
    "invertible-plain": ("invertible", PLAIN),
    "invertible_toy": ("invertible_toy", PLAIN),
}


def moved(images: torch.Tensor, recipe: CouplingRecipe, generator: np.random.Generator) -> torch.Tensor:
    """Images (N, 784) turned, shifted and zoomed, each by its own amounts; what comes in is paper."""

    def uniform(largest, *shape):
        return torch.from_numpy(generator.uniform(-largest, largest, (len(images), *shape)).astype(np.float32))

    angle, zoom, shift = uniform(np.deg2rad(recipe.degrees)), uniform(recipe.zoom).exp(), uniform(recipe.pixels / 14, 2)
    cosine, sine = zoom * angle.cos(), zoom * angle.sin()
    rows = torch.stack([cosine, -sine, shift[:, 0], sine, cosine, shift[:, 1]], dim=1)
    maps = rows.reshape(-1, 2, 3).to(images.device)
    grid = functional.affine_grid(maps, (len(images), 1, 28, 28), align_corners=False)
    return functional.grid_sample(images.reshape(-1, 1, 28, 28), grid, align_corners=False).flatten(1)


def loss(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, recipe: CouplingRecipe, generator):
    """Cross entropy of a batch; and, of a network that has an inverse, the two terms, where the recipe weighs them."""
    if not (recipe.code or recipe.noise):
        return functional.cross_entropy(model(images), labels)
    (logits, spare), k = model.transform(images), recipe.decoded
    noise = torch.from_numpy(generator.normal(0, recipe.deviation, (k, 784)).astype(np.float32)).to(images.device)
    codes = torch.cat([logits[:k], logits[k : 2 * k] + noise[:, :10]])
    rest = torch.cat([torch.zeros_like(spare[:k]), spare[k : 2 * k] + noise[:, 10:]])
    errors = (model.invert(codes, rest) - images[: 2 * k]).square().sum(dim=1)
    terms = recipe.code * errors[:k].mean(), recipe.noise * (errors[k:] / noise.square().sum(dim=1)).mean()
    return functional.cross_entropy(logits, labels) + terms[0] + terms[1]


def rate(share: float, recipe: CouplingRecipe) -> float:
    """The learning rate when that share of the steps is done: up along a half cosine, and down along another."""
    up = share < recipe.warming
    along = share / recipe.warming if up else (1 - share) / (1 - recipe.warming)
    return float(recipe.learning_rate * (1 - np.cos(np.pi * along)) / 2)


def fit(model: nn.Module, data: Images, recipe: CouplingRecipe, seed: int, state: Path) -> None:
    """Train in place; the run is written to `state` after each epoch and goes on from there, bit for bit the same."""
    device = next(model.parameters()).device
    images, labels = torch.from_numpy(data.images).to(device), torch.from_numpy(data.labels).to(device)
    steps = len(labels) // recipe.batch_size  # in an epoch; the last, smaller batch waits for another order
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(weights, betas=(0.9, 0.99))
    run = {"recipe": asdict(recipe), "seed": seed, "model": str(model)}
    done = resume(state, run, model, optimiser) // steps
    bar = tqdm(total=recipe.epochs * steps, initial=done * steps, unit="batch", mininterval=5, desc=state.stem)
    with bar:
        for epoch in range(done, recipe.epochs):
            generator = np.random.default_rng([seed, epoch])
            order = torch.from_numpy(generator.permutation(len(labels)))[: steps * recipe.batch_size].to(device)
            for number, batch in enumerate(order.split(recipe.batch_size)):
                optimiser.param_groups[0]["lr"] = rate((epoch + number / steps) / recipe.epochs, recipe)
                optimiser.zero_grad()
                loss(model, moved(images[batch], recipe, generator), labels[batch], recipe, generator).backward()
                torch.nn.utils.clip_grad_norm_(weights, recipe.largest_gradient)
                optimiser.step()
                bar.update()
            suspend(state, run, (epoch + 1) * steps, model, optimiser)


def train(name: str, seed: int) -> None:
    """From the initial weights to the checkpoint, in half precision: so it ships, and so it is measured."""
    network, recipe = TRAINED[name]
    path, split, model = checkpoint_path(name, seed), mnist_split(seed), create(network, seed)
    if path.exists():
        return
    state = user_cache_path("vsbook") / "training" / f"{path.stem}.state"
    fit(on_accelerator(model), split.train, recipe, seed, state)
    device = trained_on(model)
    rounded_to_half(model.cpu())
    header = provenance(network, recipe, seed, evaluate(model, split.test)) | {"variant": name} | device
    header |= {"validation_accuracy": f"{evaluate(model, split.validation):.4f}", "recipe": json.dumps(asdict(recipe))}
    save_checkpoint(path, model.half(), header)
    state.unlink(missing_ok=True)
    print(f"{name} seed {seed}: test accuracy {header['test_accuracy']} -> {path.name}", flush=True)

"""Accuracies, singular values and what the layers pass on: one function a claim."""

from dataclasses import replace

import numpy as np
import scipy.stats
import torch

from evidence.common import (
    AUTHORS,
    Control,
    authors,
    inputs,
    measures,
    over_seeds,
    per_seed,
    seeds,
    subspaces,
    weight,
)
from evidence.networks import initial, split_for, trained
from vsbook.ledger import Measurement, claims, judge
from vsbook.linalg.kernels import two_level_share
from vsbook.linalg.nullmodel import energy_fraction_law, random_subspace, sampled_energy_fractions, sampled_spectra
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.data import class_averages, mnist, mnist_split
from vsbook.networks.layers import capture, named_weights
from vsbook.networks.outputs import logits
from vsbook.networks.training import evaluate

BLIND = np.ones(10) / np.sqrt(10)  # adding the same to all outputs changes no softmax
DRAWS = 1000


@measures("fcnn1-test-accuracy", "fcnn1")
@measures("fcnn5-test-accuracy", "fcnn5")
def accuracy(name: str) -> Measurement:
    def percent(network):
        return per_seed(lambda seed: 100 * evaluate(network(name, seed), mnist().test), name)

    control = Control.same("the same networks before training", percent(initial))
    return Measurement("test accuracy", percent(trained), control, {}, inputs(name))


def _first_weights(name: str, seed: int) -> np.ndarray:
    return named_weights(initial(name, seed))["layer1"].weight


def _blind_row(W: np.ndarray) -> np.ndarray:
    """What softmax can't see of a layer: u'W with u = (1, ..., 1)/sqrt(10), all rows with equal weights."""
    return BLIND @ W.astype(np.float64)


def _at_the_end(name: str, seed: int) -> dict:
    """Where the last singular value comes from, for one trained network."""
    S, start = subspaces(name, seed), _blind_row(_first_weights(name, seed))
    now = _blind_row(weight(name, seed))
    return {
        "seed": seed,
        "singular_values": S.singular_values,
        "condition_number": S.condition_number,
        "rank": S.rank,
        "left_cosine": float(abs(S.U[:, -1] @ BLIND)),
        "blind_row_initial": float(np.linalg.norm(start)),
        "blind_row_trained": float(np.linalg.norm(now)),
        "blind_row_moved": float(np.linalg.norm(now - start)),
        "test_accuracy": 100 * evaluate(trained(name, seed), split_for(name, seed).test),
    }


def _without(left_out: int, runs: dict, controls: dict) -> str:
    """The verdict on the condition number that the other seeds would give: how much hangs on one of them?"""
    kept = [{seed: value for seed, value in values.items() if seed != left_out} for values in (runs, controls)]
    return judge(claims()["fcnn1-condition-number"], kept[0], {"what": "", "runs": kept[1]})[0]


@measures("fcnn1-condition-number")
def fcnn1_condition_number() -> Measurement:
    def control(seed):
        return float(
            subspaces("fcnn1", seed).singular_values[0] / np.linalg.norm(_blind_row(_first_weights("fcnn1", seed)))
        )

    variants = [
        "fcnn1",
        "fcnn1-linear",
        "fcnn1-linear-scale-0",
        *(f"fcnn1-scale-{scale}" for scale in ("0", "0.25", "0.5", "2", "4")),
    ]
    variants += ["fcnn1-standardised", "fcnn1-centred"]
    runs = per_seed(lambda seed: subspaces("fcnn1", seed).condition_number, "fcnn1")
    controls = per_seed(control, "fcnn1")
    printed = authors()["fcnn1_singular_values"]
    return Measurement(
        "first over last singular value",
        runs,
        Control.same(
            "the last singular value replaced by the length of u'W before training, u = (1, ..., 1)/sqrt(10)", controls
        ),
        {
            "authors": {"condition number": printed[0] / printed[-1], "singular values": printed},
            "artefact with one seed left out": sum(_without(seed, runs, controls) == "artefact" for seed in runs),
            "variants": {name: [_at_the_end(name, seed) for seed in seeds(name)] for name in variants},
            "before training": [
                FourSubspaces.of(_first_weights("fcnn1", seed)).condition_number for seed in seeds("fcnn1")
            ],
        },
        [*inputs(*variants), AUTHORS],
    )


@measures("signal-vectors-decrease")
def signal_vectors_decrease() -> Measurement:
    def share(s):
        return (s[..., :3] ** 2).sum(axis=-1) / (s**2).sum(axis=-1)

    null = share(sampled_spectra((10, 784), 1.0, DRAWS, np.random.default_rng(0)))
    return Measurement(
        "share of the first three of ten squared singular values",
        per_seed(lambda seed: float(share(subspaces("fcnn1", seed).singular_values)), "fcnn1"),
        Control.null("random matrices of that shape, 1000 draws: mean, and 97.5 % quantile as the bound", null),
        {},
        inputs("fcnn1"),
    )


@measures("strength-is-importance")
def strength_is_importance() -> Measurement:
    test = mnist().test

    def lost(seed):
        model, basis = trained("fcnn1", seed), subspaces("fcnn1", seed).row_space
        without = [replace(test, images=test.images - np.outer(test.images @ v, v)) for v in basis.T]
        return [100 * (evaluate(model, test) - evaluate(model, images)) for images in without]

    def correlation(values):
        return float(scipy.stats.spearmanr(range(10, 0, -1), values).statistic)

    every = per_seed(lost, "fcnn1")
    generator = np.random.default_rng(0)
    null = [scipy.stats.spearmanr(range(10), generator.permutation(10)).statistic for _ in range(10 * DRAWS)]
    return Measurement(
        "rank correlation of singular value and test accuracy lost without that signal vector",
        per_seed(lambda seed: correlation(every[seed]), every),
        Control.bound("random orders, 10,000 draws: 97.5 % quantile as the bound", np.quantile(null, 0.975)),
        {"percent of test accuracy lost, mean over seeds, by signal vector": over_seeds(every)},
        inputs("fcnn1"),
    )


@measures("last-signal-vector-is-noise")
def last_signal_vector_is_noise() -> Measurement:
    def shares(seed):
        start = _blind_row(_first_weights("fcnn1", seed))
        return (subspaces("fcnn1", seed).row_space.T @ start / np.linalg.norm(start)) ** 2

    every = per_seed(shares, "fcnn1")
    control = Control.null(
        "a random direction: mean and 97.5 % quantile; the other nine signal vectors: mean over seeds",
        energy_fraction_law(784, 1),
        "quantile",
    )
    return Measurement(
        "share of v_10's energy along u'W of the initial weights",
        per_seed(lambda seed: every[seed][-1], every),
        control | {"others": over_seeds(every)[:-1]},
        {},
        inputs("fcnn1"),
    )


@measures("signal-vectors-are-binarized")
def signal_vectors_are_binarized() -> Measurement:
    def mean_share(images):
        return two_level_share(images).mean()

    def rotated(S, generator):
        return (S.row_space @ random_subspace(S.rank, S.rank, generator))[:, :-1].T

    runs, nulls = {}, []
    generator = np.random.default_rng(0)
    for seed in seeds("fcnn1"):
        S, weights = subspaces("fcnn1", seed), mean_share(weight("fcnn1", seed).astype(np.float64))
        runs[seed] = mean_share(S.row_space[:, :-1].T) - weights
        nulls += [mean_share(rotated(S, generator)) - weights for _ in range(DRAWS // 10)]
    return Measurement(
        "share explained by two levels, signal vectors minus weights",
        runs,
        Control.null(
            "random rotations of the row space, 100 for each seed: mean, and 97.5 % quantile as the bound",
            np.array(nulls),
        ),
        {
            "signal vectors": over_seeds(per_seed(lambda s: two_level_share(subspaces("fcnn1", s).row_space.T), runs)),
            "weights": over_seeds(per_seed(lambda s: two_level_share(weight("fcnn1", s)), runs)),
        },
        inputs("fcnn1"),
    )


@measures("signal-space-holds-image-content")
def signal_space_holds_image_content() -> Measurement:
    x = mnist().test.images.astype(np.float64)
    null = sampled_energy_fractions(x, 10, DRAWS, np.random.default_rng(0))

    def held(basis):
        return float(((x @ basis) ** 2).sum() / (x**2).sum())

    def orthonormal(rows):
        return FourSubspaces.of(rows).row_space

    train = mnist_split(0).train
    _, vectors = np.linalg.eigh(train.images.T.astype(np.float64) @ train.images)
    return Measurement(
        "share of the test images' energy in the row space",
        per_seed(lambda seed: held(subspaces("fcnn1", seed).row_space), "fcnn1"),
        Control.null("random ten-dimensional subspaces, 1000 draws: mean, and 97.5 % quantile as the bound", null),
        {
            "first ten principal directions of the training images (not centred)": held(vectors[:, -10:]),
            "span of the class averages": held(orthonormal(class_averages(train.images, train.labels))),
            "row space before training": over_seeds(
                per_seed(lambda seed: held(orthonormal(_first_weights("fcnn1", seed))), "fcnn1")
            ),
            "row space without the last signal vector": over_seeds(
                per_seed(lambda seed: held(subspaces("fcnn1", seed).row_space[:, :-1]), "fcnn1")
            ),
        },
        inputs("fcnn1"),
    )


def _rejected_shares(model: torch.nn.Module, x: np.ndarray) -> dict[str, float]:
    """For each layer: share of the energy of what comes in that lies in its null space."""
    layers = named_weights(model).layers
    with capture(model, layers) as seen:
        logits(model, x)
    split = {name: FourSubspaces.of(layer.weight).energy_split(seen[name].input) for name, layer in layers.items()}
    return {name: float(energy.residual.sum() / energy.total.sum()) for name, energy in split.items()}


@measures("information-lost-at-each-layer", slice(None), "the layers")
@measures("information-lost-at-narrowing-layers", [0, 2, 3, 4], "the layers with fewer outputs than inputs")
def information_lost(layers: slice | list[int], which: str) -> Measurement:
    x = mnist().test.images[:1000]  # one batch of `logits`: what the hooks see is the last one
    found = named_weights(trained("fcnn5", 0)).layers

    def rejected(network):
        return per_seed(lambda seed: list(_rejected_shares(network("fcnn5", seed), x).values()), "fcnn5")

    def smallest(shares):
        return per_seed(lambda seed: np.array(shares[seed])[layers].min(), shares)

    after, before = rejected(trained), rejected(initial)
    return Measurement(
        f"smallest share of the energy rejected, over {which}",
        smallest(after),
        Control.same(f"the same networks before training: smallest share over {which}", smallest(before)),
        {
            "layers": list(found),
            "shapes": [layer.weight.shape for layer in found.values()],
            "trained": list(after.values()),
            "untrained": list(before.values()),
            "random subspace": [1 - min(layer.weight.shape) / layer.weight.shape[1] for layer in found.values()],
        },
        inputs("fcnn5"),
    )

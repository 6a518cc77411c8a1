"""Accuracies, singular values and what the layers pass on: one function a claim."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import scipy.stats
import torch

from evidence.common import (
    AUTHORS,
    Control,
    authors,
    exact,
    inputs,
    measures,
    over_seeds,
    per_seed,
    relative,
    seeds,
    subspaces,
    weight,
)
from evidence.networks import initial, split_for, trained
from vsbook.ledger import Measurement
from vsbook.linalg.kernels import two_level_share
from vsbook.linalg.nullmodel import energy_fraction_law, random_subspace, sampled_energy_fractions, sampled_spectra
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.data import class_averages, mnist, mnist_split
from vsbook.networks.layers import capture, named_weights
from vsbook.networks.outputs import logits
from vsbook.networks.training import evaluate

BLIND = np.ones(10) / np.sqrt(10)  # adding the same to all outputs changes no softmax
DRAWS = 1000
IMPORTANT = 0.9  # correlation of strength and importance, if the one is the other
SCALED = {  # by the factor on the initial weights
    1.0: "fcnn1",
    **{scale: f"fcnn1-scale-{scale:g}" for scale in (0.25, 0.5, 2.0, 4.0)},
}


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


@measures("fcnn1-condition-number")
def fcnn1_condition_number() -> Measurement:
    def control(seed):
        return float(
            subspaces("fcnn1", seed).singular_values[0] / np.linalg.norm(_blind_row(_first_weights("fcnn1", seed)))
        )

    variants = ["fcnn1", "fcnn1-linear", "fcnn1-linear-scale-0", "fcnn1-scale-0", *SCALED.values()]
    variants += ["fcnn1-standardised", "fcnn1-centred"]
    printed = authors()["fcnn1_singular_values"]
    return Measurement(
        "first over last singular value",
        per_seed(lambda seed: subspaces("fcnn1", seed).condition_number, "fcnn1"),
        Control.same(
            "the last singular value replaced by the length of u'W before training, u = (1, ..., 1)/sqrt(10)",
            per_seed(control, "fcnn1"),
        ),
        {
            "authors": {"condition number": printed[0] / printed[-1], "singular values": printed},
            "variants": {name: [_at_the_end(name, seed) for seed in seeds(name)] for name in dict.fromkeys(variants)},
            "before training": [
                FourSubspaces.of(_first_weights("fcnn1", seed)).condition_number for seed in seeds("fcnn1")
            ],
        },
        [*inputs(*variants), AUTHORS],
    )


@measures("condition-number-follows-the-start")
def condition_number_follows_the_start() -> Measurement:
    def slope(of):
        def value(seed):
            return float(np.polyfit(np.log(list(SCALED)), [of(name, seed) for name in SCALED.values()], 1)[0])

        return per_seed(value, seeds("fcnn1-scale-2"))

    def accuracy_in_percent(name, seed):
        return 100 * evaluate(trained(name, seed), mnist().test)

    return Measurement(
        "slope of the logarithm of the condition number over that of the scale of the initial weights",
        slope(lambda name, seed: np.log(subspaces(name, seed).condition_number)),
        Control.same("slope of the test accuracy in percent", slope(accuracy_in_percent)),
        {},
        inputs(*SCALED.values()),
    )


@measures("signal-vectors-decrease")
def signal_vectors_decrease() -> Measurement:
    def first_over_ninth(singular_values):
        return float(singular_values[0] / singular_values[8])

    random = sampled_spectra((10, 784), 1.0, DRAWS, np.random.default_rng(0))
    before = per_seed(lambda seed: FourSubspaces.of(_first_weights("fcnn1", seed)).singular_values, "fcnn1")
    return Measurement(
        "first over ninth singular value",
        per_seed(lambda seed: first_over_ninth(subspaces("fcnn1", seed).singular_values), "fcnn1"),
        Control.same("the same networks before training", {s: first_over_ninth(v) for s, v in before.items()}),
        {"random matrices of that shape, 1000 draws, mean": np.mean(random[:, 0] / random[:, 8])},
        inputs("fcnn1"),
    )


def _rank_correlations(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N,) Spearman's of each row of x and y (N, n), without ties."""
    ranks, n = [values.argsort(axis=1).argsort(axis=1) for values in (x, y)], x.shape[1]
    return 1 - 6 * ((ranks[0] - ranks[1]) ** 2).sum(axis=1) / (n * (n**2 - 1))


@measures("strength-is-importance")
def strength_is_importance() -> Measurement:
    test = mnist().test

    def lost(seed):
        model, basis = trained("fcnn1", seed), subspaces("fcnn1", seed).row_space
        without = [replace(test, images=test.images - np.outer(test.images @ v, v)) for v in basis.T]
        return [100 * (evaluate(model, test) - evaluate(model, images)) for images in without]

    def correlation(values):
        return float(scipy.stats.spearmanr(-np.arange(len(values)), values).statistic)

    every = per_seed(lost, "fcnn1")
    generator = np.random.default_rng(0)
    normal = generator.standard_normal((2, 10 * DRAWS, 9))
    related = IMPORTANT * normal[0] + np.sqrt(1 - IMPORTANT**2) * normal[1]
    laws = [_rank_correlations(normal[0], other) for other in (normal[1], related)]
    return Measurement(
        "rank correlation of singular value and test accuracy lost without that signal vector, the first nine",
        per_seed(lambda seed: correlation(every[seed][:-1]), every),
        Control.laws("unrelated pairs, and pairs with that correlation, 10,000 draws", *laws),
        {
            "with the tenth": [correlation(values) for values in every.values()],
            "percent of test accuracy lost, mean over seeds, by signal vector": over_seeds(every),
        },
        inputs("fcnn1"),
    )


@measures("last-signal-vector-is-noise")
def last_signal_vector_is_noise() -> Measurement:
    def shares(seed):
        start = _blind_row(_first_weights("fcnn1", seed))
        return (subspaces("fcnn1", seed).row_space.T @ start / np.linalg.norm(start)) ** 2

    every = per_seed(shares, "fcnn1")
    return Measurement(
        "share of v_10's energy along u'W of the initial weights",
        per_seed(lambda seed: every[seed][-1], every),
        Control.same("largest of the other nine signal vectors", per_seed(lambda s: every[s][:-1].max(), every)),
        {"others, mean over seeds": over_seeds(every)[:-1], "a random direction": energy_fraction_law(784, 1).mean()},
        inputs("fcnn1"),
    )


def _two_levels(images: np.ndarray) -> float:
    return float(two_level_share(images).mean())


def _of_rotations(seed: int) -> float:
    """The same of nine directions of the row space turned at random, mean of 100."""
    S, generator = subspaces("fcnn1", seed), np.random.default_rng(seed)
    turns = (random_subspace(S.rank, S.rank, generator) for _ in range(DRAWS // 10))
    return float(np.mean([_two_levels((S.row_space @ turn)[:, :-1].T) for turn in turns]))


@measures("signal-vectors-are-binarized")
def signal_vectors_are_binarized() -> Measurement:
    signal = per_seed(lambda seed: two_level_share(subspaces("fcnn1", seed).row_space.T), "fcnn1")
    weights = per_seed(lambda seed: two_level_share(weight("fcnn1", seed).astype(np.float64)), "fcnn1")
    return Measurement(
        "share explained by two levels, signal vectors minus weights",
        per_seed(lambda seed: signal[seed][:-1].mean() - weights[seed].mean(), signal),
        Control.same(
            "random rotations of the row space minus weights",
            per_seed(lambda seed: _of_rotations(seed) - weights[seed].mean(), signal),
        ),
        {"signal vectors": over_seeds(signal), "weights": over_seeds(weights)},
        inputs("fcnn1"),
    )


@measures("signal-vectors-outdo-rotations")
def signal_vectors_outdo_rotations() -> Measurement:
    def more(seed):
        return _two_levels(subspaces("fcnn1", seed).row_space[:, :-1].T) - _of_rotations(seed)

    def weights_more(seed):
        return _two_levels(weight("fcnn1", seed).astype(np.float64)) - _of_rotations(seed)

    return Measurement(
        "share explained by two levels, signal vectors minus random rotations of the row space",
        per_seed(more, "fcnn1"),
        Control.same("the weights minus the rotations", per_seed(weights_more, "fcnn1")),
        {},
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
        Control.same(
            "the row space before training",
            per_seed(lambda seed: held(orthonormal(_first_weights("fcnn1", seed))), "fcnn1"),
        ),
        {
            "random ten-dimensional subspaces, 1000 draws, largest": null.max(),
            "first ten principal directions of the training images (not centred)": held(vectors[:, -10:]),
            "span of the class averages": held(orthonormal(class_averages(train.images, train.labels))),
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


def _shares_lost() -> dict:
    """What the layers of FCNN5 reject of the energy that comes in, trained and not."""
    x, found = mnist().test.images[:1000], named_weights(trained("fcnn5", 0)).layers  # one batch of `logits`

    def rejected(network):
        return [list(_rejected_shares(network("fcnn5", seed), x).values()) for seed in seeds("fcnn5")]

    return {
        "layers": list(found),
        "shapes": [layer.weight.shape for layer in found.values()],
        "trained": rejected(trained),
        "untrained": rejected(initial),
        "random subspace": [1 - min(layer.weight.shape) / layer.weight.shape[1] for layer in found.values()],
    }


def _dimensions_off(seed: int, spoil: bool) -> float:
    """Largest difference between the dimension of a null space and what the layer's shape gives."""
    found = []
    for layer in named_weights(trained("fcnn5", seed)).layers.values():
        W = layer.weight.astype(np.float64)
        if spoil:
            W[-1] = W[:-1].sum(axis=0)
        m, n = W.shape
        found.append(abs(n - FourSubspaces.of(W).rank - max(0, n - m)))
    return float(max(found))


def _lost_part(seed: int, spoil: bool) -> float:
    """Largest relative change of a narrowing layer's outputs when the null space part is left out, or alone left."""
    model, worst = trained("fcnn5", seed), 0.0
    layers = {name: layer for name, layer in named_weights(model).layers.items() if np.diff(layer.weight.shape) > 0}
    with capture(model, layers) as seen:
        logits(model, mnist().test.images[:1000])
    for name, layer in layers.items():
        S, x = FourSubspaces.of(layer.weight), seen[name].input.astype(np.float64)
        whole = x @ layer.weight.T.astype(np.float64)
        part = (S.project_null if spoil else S.project_row)(x) @ layer.weight.T.astype(np.float64)
        worst = max(worst, relative(part - whole, whole))
    return worst


@measures("information-lost-at-each-layer", "dimensions beside the shape", _dimensions_off, "with a row too many")
@measures("information-lost-at-narrowing-layers", "change of outputs", _lost_part, "with the null space part alone")
def information_lost(quantity: str, error: Callable[[int, bool], float], broken: str) -> Measurement:
    measured = exact(quantity, broken, "fcnn5")(error)()
    return replace(measured, details=_shares_lost())

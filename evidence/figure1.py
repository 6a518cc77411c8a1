"""The readings of Fig. 1's bottom row, put to numbers: one function a claim."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from evidence.common import Control, exact, inputs, measures, over_seeds, per_seed, seeds, subspaces, weight
from evidence.networks import LARGEST_SHIFT, shift, split_for, trained
from vsbook.ledger import Measurement
from vsbook.linalg.nullmodel import energy_fraction_law
from vsbook.linalg.subspaces import FourSubspaces, neuron_projection
from vsbook.networks.data import class_averages, mnist
from vsbook.networks.training import evaluate

REST = [1, 2, 3, 4, 5, 6, 7, 9]  # the digits other than 8 and 0, which the paper sets apart

RESCALED = ["fcnn1-standardised", "fcnn1-centred"]  # had the authors rescaled the pixels, would the figure be dark?


def averages(seed: int, name: str = "fcnn1") -> np.ndarray:
    """Class averages of the images that the network of that seed was trained on, (10, 784)."""
    train = split_for(name, seed).train
    return class_averages(train.images, train.labels)


def own_residuals(name: str, seed: int, images: np.ndarray):
    """Each digit's image (10, 784) projected onto its own neuron: the bottom row of Fig. 1."""
    return [neuron_projection(w, x) for w, x in zip(weight(name, seed), images, strict=True)]


def residual_fractions(name: str, seed: int, images: np.ndarray) -> np.ndarray:
    """(10,) share of each digit's energy that its own neuron ignores."""
    return np.array([split.energy.residual_fraction for split in own_residuals(name, seed, images)])


def ink_contrast(image: np.ndarray, average: np.ndarray) -> float:
    """Mean on the inked pixels of the average (above half its maximum) minus mean on the others."""
    ink = average > average.max() / 2
    return float(image[ink].mean() - image[~ink].mean())


def _contrasts(seed: int, name: str = "fcnn1") -> np.ndarray:
    """(10,) ink contrast of the residual over that of the average itself."""
    images = averages(seed, name)
    residuals = [split.residual for split in own_residuals(name, seed, images)]
    return np.array([ink_contrast(r, x) / ink_contrast(x, x) for r, x in zip(residuals, images, strict=True)])


def _contrasts_without_division(seed: int) -> np.ndarray:
    """(10,) as `_contrasts`, had the division by the squared length of the weights been left out."""
    images, W = averages(seed), weight("fcnn1", seed).astype(np.float64)
    left = [x - (w @ x) * w for w, x in zip(W, images, strict=True)]
    return np.array([ink_contrast(r, x) / ink_contrast(x, x) for r, x in zip(left, images, strict=True)])


def _random_neuron_contrast(seed: int, digit: int) -> float:
    """Control: the same contrast with random weights in place of the neuron's, mean of 100 draws."""
    image = averages(seed)[digit]
    draws = np.random.default_rng(seed).standard_normal((100, 784))
    values = [ink_contrast(neuron_projection(w, image).residual, image) / ink_contrast(image, image) for w in draws]
    return float(np.mean(values))


@measures("residual-of-8-is-dark", 8)
@measures("residual-of-0-is-dark", 0)
@measures("information-of-8-is-removed", 8)
def darkness(digit: int) -> Measurement:
    every = per_seed(_contrasts, "fcnn1")
    without = np.array([_contrasts_without_division(seed) for seed in every])
    return Measurement(
        "ink contrast of the residual over that of the average",
        per_seed(lambda seed: every[seed][digit], every),
        Control.same(
            "random weights in place of the neuron's", per_seed(lambda s: _random_neuron_contrast(s, digit), every)
        ),
        {
            "mean over seeds, by digit": over_seeds(every),
            "without the division, mean over seeds, by digit": without.mean(axis=0),
            "without the division, deviation over seeds, by digit": without.std(axis=0, ddof=1),
            "other pixel scales, mean over seeds, by digit": {
                name: np.mean([_contrasts(seed, name) for seed in seeds(name)], axis=0) for name in RESCALED
            },
        },
        inputs("fcnn1", *RESCALED),
    )


@measures("weights-of-8-are-effective", 8)
@measures("weights-of-0-are-effective", 0)
def effectiveness(digit: int) -> Measurement:
    removed = per_seed(lambda seed: 1 - residual_fractions("fcnn1", seed, averages(seed)), "fcnn1")

    def by_chance(seed):
        taken = 1 - (_left_by_chance(seed) ** 2).sum(axis=1) / (averages(seed) ** 2).sum(axis=1)
        return taken[digit] - taken[REST].max()

    return Measurement(
        "share of the energy removed, minus the largest of 1 to 7 and 9",
        per_seed(lambda seed: removed[seed][digit] - removed[seed][REST].max(), removed),
        Control.same("the same with random weights in place of the neurons'", per_seed(by_chance, removed)),
        {"share removed, mean over seeds, by digit": over_seeds(removed)},
        inputs("fcnn1"),
    )


def _seen(seed: int, images: np.ndarray) -> np.ndarray:
    """(10,) share of the energy of images, one a digit, that the layer as a whole sees."""
    return subspaces("fcnn1", seed).energy_split(images).signal_fraction


def _left_by_chance(seed: int) -> np.ndarray:
    """(10, 784) residuals of the class averages at random weights in place of the neurons'."""
    draws = np.random.default_rng(seed).standard_normal((10, 784))
    return np.stack([neuron_projection(w, x).residual for w, x in zip(draws, averages(seed), strict=True)])


def _strong_signal(seed: int) -> np.ndarray:
    """(10,) share of the residual's energy that the layer as a whole still sees."""
    return _seen(seed, np.stack([split.residual for split in own_residuals("fcnn1", seed, averages(seed))]))


@measures("other-residuals-are-strong-signal", lambda shares: shares[REST].min())
@measures("only-the-other-residuals-are-strong-signal", lambda shares: shares[REST].min() / shares[[0, 8]].max())
def strong_signal(statistic: Callable[[np.ndarray], float]) -> Measurement:
    every = per_seed(_strong_signal, "fcnn1")
    return Measurement(
        "share of the residual's energy in the row space of the layer",
        per_seed(lambda seed: statistic(every[seed]), every),
        Control.same(
            "the same of the residuals at random weights",
            per_seed(lambda seed: statistic(_seen(seed, _left_by_chance(seed))), every),
        ),
        {
            "mean over seeds, by digit": over_seeds(every),
            "a random ten-dimensional subspace, 97.5 % quantile": energy_fraction_law(784, 10).ppf(0.975),
            "the averages themselves, mean over seeds, by digit": over_seeds(
                per_seed(lambda seed: _seen(seed, averages(seed)), every)
            ),
            "residuals at random weights, mean over seeds, by digit": over_seeds(
                per_seed(lambda seed: _seen(seed, _left_by_chance(seed)), every)
            ),
            "span of ten random training images, mean by digit": _in_spans_of_images(0),
        },
        inputs("fcnn1"),
    )


def _in_spans_of_images(seed: int) -> np.ndarray:
    """(10,) harder than chance: share of each residual in the span of ten random images, mean of 200 draws."""
    images, generator = split_for("fcnn1", seed).train.images, np.random.default_rng(seed)
    residuals = np.stack([split.residual for split in own_residuals("fcnn1", seed, averages(seed))])
    spans = [FourSubspaces.of(images[generator.choice(len(images), 10, replace=False)]) for _ in range(200)]
    return np.mean([span.energy_split(residuals).signal_fraction for span in spans], axis=0)


def aligned_averages(seed: int) -> np.ndarray:
    """Class averages after moving each image, by up to three pixels each way, to where it fits its average best."""
    train, plain = split_for("fcnn1", seed).train, averages(seed)
    moves = [(d, r) for d in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1) for r in range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)]
    aligned = []
    for digit in range(10):
        images = train.of_class(digit)
        # the inner product with the average is largest where the distance is least: hardly any ink leaves the frame
        fits = np.stack([images @ shift(plain[digit], -d, -r).astype(np.float32) for d, r in moves])
        best = fits.argmax(axis=0)
        total = sum(shift(images[best == k].sum(axis=0, dtype=np.float64), *moves[k]) for k in range(len(moves)))
        aligned.append(total / len(images))
    return np.stack(aligned)


def least_residual_fractions(name: str, seed: int) -> np.ndarray:
    """(10,) the smallest share that a neuron can leave of any image without negative pixels: x along w+ or w-."""
    W = weight(name, seed).astype(np.float64)
    parts = [(np.clip(sign * W, 0, None) ** 2).sum(axis=1) for sign in (1, -1)]
    return 1 - np.maximum(*parts) / (W**2).sum(axis=1)


@measures("residuals-come-from-missing-translation-invariance", REST)
@measures("residual-of-1-comes-from-missing-translation-invariance", [1])
def alignment(digits: list[int]) -> Measurement:
    plain = per_seed(lambda seed: residual_fractions("fcnn1", seed, averages(seed)), "fcnn1")
    aligned = per_seed(lambda seed: residual_fractions("fcnn1", seed, aligned_averages(seed)), "fcnn1")
    least = per_seed(lambda seed: least_residual_fractions("fcnn1", seed), "fcnn1")
    single = per_seed(single_residual_fractions, "fcnn1")
    tolerant = per_seed(lambda seed: residual_fractions("fcnn1-shifted", seed, averages(seed)), "fcnn1-shifted")
    return Measurement(
        "residual's share of the average's energy minus the median share of single images",
        per_seed(lambda seed: np.mean((plain[seed] - single[seed])[digits]), "fcnn1"),
        Control.same(
            "the same, had the images been aligned before averaging",
            per_seed(lambda seed: np.mean((aligned[seed] - single[seed])[digits]), "fcnn1"),
        ),
        {
            "plain, mean over seeds, by digit": over_seeds(plain),
            "aligned, mean over seeds, by digit": over_seeds(aligned),
            "least, mean over seeds, by digit": over_seeds(least),
            "single images, median, mean over seeds, by digit": over_seeds(single),
            "pairs of seed and digit with the smaller residual for the average": int(
                sum((plain[seed] < single[seed]).sum() for seed in plain)
            ),
            "pairs": 10 * len(plain),
            "networks trained on moved images, mean over seeds, by digit": over_seeds(tolerant),
            "accuracy on test images moved three pixels to the right, mean over seeds": _accuracy_on_moved(),
        },
        inputs("fcnn1", "fcnn1-shifted"),
    )


def single_residual_fractions(seed: int) -> np.ndarray:
    """(10,) the median, over the training images of a digit, of the share of energy that its own neuron leaves."""
    train, W = split_for("fcnn1", seed).train, weight("fcnn1", seed)
    every = (neuron_projection(w, train.of_class(digit)).energy.residual_fraction for digit, w in enumerate(W))
    return np.array([np.median(shares) for shares in every])


def _accuracy_on_moved() -> dict[str, float]:
    """Of the networks, and of those that know digits in other places."""
    moved = replace(mnist().test, images=shift(mnist().test.images, 0, LARGEST_SHIFT))
    return {
        name: np.mean([evaluate(trained(name, seed), moved) for seed in seeds(name)])
        for name in ("fcnn1", "fcnn1-shifted")
    }


@measures("residual-does-not-propagate")
@exact("size of w'r beside w'x", "with the projection in place of the residual")
def residual_does_not_propagate(seed: int, spoil: bool) -> float:
    images, W = averages(seed), weight("fcnn1", seed).astype(np.float64)
    parts = [s.projection if spoil else s.residual for s in own_residuals("fcnn1", seed, images)]
    return max(abs(w @ r) / abs(w @ x) for w, r, x in zip(W, parts, images, strict=True))


@measures("residual-does-not-reach-other-neurons")
def residual_does_not_reach_other_neurons() -> Measurement:
    def share(seed):
        W, images = weight("fcnn1", seed).astype(np.float64), averages(seed)
        residuals = np.stack([split.residual for split in own_residuals("fcnn1", seed, images)])
        return np.linalg.norm(residuals @ W.T, axis=1) / np.linalg.norm(images @ W.T, axis=1)

    def whole(seed):
        return np.linalg.norm(subspaces("fcnn1", seed).project_null(averages(seed)) @ weight("fcnn1", seed).T)

    every = per_seed(share, "fcnn1")
    return Measurement(
        "length of W r over length of W x, mean over the digits",
        per_seed(lambda seed: every[seed].mean(), every),
        Control.same(
            "length of W r for the residual of the whole layer, its null space part", per_seed(whole, "fcnn1")
        ),
        {"mean over seeds, by digit": over_seeds(every)},
        inputs("fcnn1"),
    )

"""ResNet18's accuracy, its convolution as matrices, and the readings of Fig. 2: one function a claim."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy
import torch

from evidence.common import AUTHORS, Control, authors, exact, measures, moved, per_seed, relative, seeds
from evidence.networks import VARIANTS, checkpoint_path, initial, kernels_path, observation_path, trained
from evidence.observe.resnet18 import IMPORTANCE, RANKED
from vsbook.ledger import Measurement, observation
from vsbook.linalg.kernels import convolution_matrix, flattened_kernels, line_share, pattern_share, two_level_share
from vsbook.linalg.nullmodel import energy_fraction_law, sampled_bases, sampled_spectra
from vsbook.linalg.significance import condition_number, holm, identifiability, p_value, spectrum_test
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.checkpoints import load_kernels
from vsbook.networks.data import mnist
from vsbook.networks.layers import capture, named_weights
from vsbook.networks.outputs import logits

RESNET, CONTROL = "resnet18", "resnet18-small-start"
LAYER = VARIANTS[RESNET].layer
SHAPE = (4096, 9)
DRAWS = 10_000
SHUFFLES = 199
UNTRAINED = 20  # networks that nobody trained cost nothing
MAPS = 100  # test images whose maps the convolution is tried on
KEPT = 5  # signal kernels of a layer that rejects something
DIRECTIONAL, BINARIZED = 0.8, 0.85  # mean shares, if the signal kernels were so
DOMINATED = {"left column": 0.67, "lower centre": 0.5, "top and bottom rows": 0.95, "rising diagonal": 0.67}


def kernels(seed: int, when: str = "trained", run: str = RESNET) -> np.ndarray:
    """(4096, 9) flattened kernels of the layer, 'initial' or 'trained'."""
    return flattened_kernels(getattr(load_kernels(run, seed), when)).astype(np.float64)


def signal_kernels(seed: int) -> np.ndarray:
    """(9, 9) unit signal kernels, strongest first, one a row."""
    return FourSubspaces.of(kernels(seed)).Vh


def observed(seed: int) -> dict:
    """What was written down of the whole network of that seed."""
    return observation(f"{RESNET}-seed{seed}")


def files(*runs: str) -> list[Path]:
    """The kernels that a measurement read."""
    return [kernels_path(run, seed) for run in runs for seed in seeds(run)]


OBSERVED = [observation_path(f"{RESNET}-seed{seed}") for seed in seeds(RESNET)]


@measures("resnet18-test-accuracy")
def resnet18_test_accuracy() -> Measurement:
    every = per_seed(observed, RESNET)
    ways = per_seed(lambda seed: every[seed]["accuracy in percent"], every)
    return Measurement(
        "test accuracy",
        per_seed(lambda seed: ways[seed]["test"], ways),
        Control.same(
            "the same networks before training", per_seed(lambda seed: every[seed]["accuracy before training"], every)
        ),
        {
            "mean over seeds, by way of counting": {
                way: np.mean([found[way] for found in ways.values()]) for way in ways[0]
            },
            "authors": {name: value for name, value in authors().items() if name.startswith("resnet18_accuracy")},
        },
        [*OBSERVED, AUTHORS],
    )


@functools.cache
def _maps() -> np.ndarray:
    """What the layer takes in for the first test images, (100, 64, 7, 7), in float64; seed 0's network."""
    model = trained(RESNET, 0)
    with capture(model, [LAYER]) as seen:
        logits(model, mnist().test.images[:MAPS])
    return seen[LAYER].input.astype(np.float64)


def _weight(seed: int) -> np.ndarray:
    return load_kernels(RESNET, seed).trained.astype(np.float64)


def _convolved(weight: np.ndarray) -> np.ndarray:
    """The maps, by PyTorch in float64: what the layer does, one image a row."""
    found = torch.nn.functional.conv2d(torch.from_numpy(_maps()), torch.from_numpy(weight), padding=1)
    return found.numpy().reshape(MAPS, -1)


READ = [*files(RESNET), checkpoint_path(RESNET, 0)]


@measures("resnet18-layer1-kernel-count")
@exact("rows of the matrix of flattened kernels beside 4096", "with the network's first convolution", RESNET, READ)
def resnet18_layer1_kernel_count(seed: int, spoil: bool) -> float:
    rows = flattened_kernels(named_weights(trained(RESNET, 0))["conv1"].weight) if spoil else kernels(seed)
    return float(abs(len(rows) - SHAPE[0]))


@measures("resnet18-layer1-signal-vector-count")
@exact("rank of the matrix of flattened kernels beside 9", "without the strongest signal kernel", RESNET, files(RESNET))
def resnet18_layer1_signal_vector_count(seed: int, spoil: bool) -> float:
    strongest = signal_kernels(seed)[0]
    rows = kernels(seed) - spoil * np.outer(kernels(seed) @ strongest, strongest)
    return float(abs(FourSubspaces.of(rows).rank - SHAPE[1]))


@measures("convolution-is-a-matrix")
@exact("relative difference of the convolution and its matrix", "with the kernels turned by 180 degrees", RESNET, READ)
def convolution_is_a_matrix(seed: int, spoil: bool) -> float:
    weight, rows = _weight(seed), _maps().reshape(MAPS, -1)
    matrix = convolution_matrix(weight[:, :, ::-1, ::-1] if spoil else weight, 7, 7, padding=1)
    expected = _convolved(weight)
    return relative((matrix @ rows.T).T - expected, expected)


@measures("flattened-kernels-map-the-support")
@exact("relative difference of the convolution and the summed products", "with one channel alone", RESNET, READ)
def flattened_kernels_map_the_support(seed: int, spoil: bool) -> float:
    weight, patches = _weight(seed), torch.nn.functional.unfold(torch.from_numpy(_maps()), 3, padding=1).numpy()
    patches = patches.reshape(MAPS, 64, 9, 49)  # image, channel, pixel of the support, position
    rows = flattened_kernels(weight).reshape(64, 64, 9)
    single = np.einsum("ocp,ncpq->noq", rows[:, :1] if spoil else rows, patches[:, :1] if spoil else patches)
    expected = _convolved(weight)
    return relative(single.reshape(MAPS, -1) - expected, expected)


def _seen_of_patches(seed: int, spoil: bool) -> float:
    """Relative change of a convolution of few signal kernels when each patch is projected on their span first."""
    signal, weight = signal_kernels(seed), _weight(seed)
    kept, left = signal[:KEPT], signal[KEPT:]
    rows = (flattened_kernels(weight) @ kept.T @ kept).reshape(64, 64, 9)
    patches = torch.nn.functional.unfold(torch.from_numpy(_maps()), 3, padding=1).numpy().reshape(MAPS, 64, 9, 49)
    onto = (left if spoil else kept).T @ (left if spoil else kept)
    expected = _convolved(rows.reshape(weight.shape))
    found = np.einsum("ocp,pr,ncrq->noq", rows, onto, patches, optimize=True)
    return relative(found.reshape(MAPS, -1) - expected, expected)


@measures("flattened-kernels-are-the-layer")
def flattened_kernels_are_the_layer() -> Measurement:
    measured = exact("change of the outputs", "with the rejected space", RESNET, [*READ, *OBSERVED])(_seen_of_patches)()
    found = [observed(seed)["condition number of the convolution"] for seed in seeds(RESNET)]
    flattened = [FourSubspaces.of(kernels(seed)).condition_number for seed in seeds(RESNET)]
    powers = [np.log10(one["after"] / other) for one, other in zip(found, flattened, strict=True)]
    details = {"condition number of the convolution": found, "powers of ten that are simplified away": powers}
    return replace(measured, details=details)


def _movement(run: str, seed: int) -> dict:
    """How far one layer went in training, and what the update is made of."""
    before, after = kernels(seed, "initial", run), kernels(seed, "trained", run)
    update = FourSubspaces.of(after - before)
    energies = update.singular_values**2 / (update.singular_values**2).sum()
    generator = np.random.default_rng(seed)
    stages = {"before": before, "after": after, "update": after - before}
    return {
        "seed": seed,
        "update over start": np.linalg.norm(after - before) / np.linalg.norm(before),
        "condition number": {name: FourSubspaces.of(A).condition_number for name, A in stages.items()},
        "sphericity p-value": {name: spectrum_test(A, SHUFFLES, generator).p_value for name, A in stages.items()},
        "singular values of the update": update.singular_values,
        "first vector of the update": update.Vh[0] * np.sign(update.Vh[0].sum()),
        "its share of the update's energy": energies[0],
        "its share along the flat kernel": (update.Vh[0].sum() / 3) ** 2,
        "first signal vector's share along the flat kernel": (FourSubspaces.of(after).Vh[0].sum() / 3) ** 2,
    }


def _agreement(run: str, when: str) -> dict:
    """Do the seeds agree on single signal vectors? Unrelated bases would give 1/9."""
    matrices = [kernels(seed, "initial", run) for seed in seeds(run)]
    if when != "before":
        after = [kernels(seed, "trained", run) for seed in seeds(run)]
        matrices = after if when == "after" else [b - a for a, b in zip(matrices, after, strict=True)]
    found = identifiability(matrices)
    return {
        "mean squared cosine over pairs, by vector": found.squared_cosines.mean(axis=0),
        "mean gap over seeds, by vector": found.gaps.mean(axis=0),
        "mean largest principal angle over pairs, by dimension": found.angles.mean(axis=0),
    }


@measures("resnet18-layer1-condition-number")
def resnet18_layer1_condition_number() -> Measurement:
    runs = per_seed(lambda seed: FourSubspaces.of(kernels(seed)).condition_number, RESNET)
    starts = (named_weights(initial(RESNET, seed))[LAYER].weight for seed in range(UNTRAINED))
    before = {seed: FourSubspaces.of(flattened_kernels(w)).condition_number for seed, w in enumerate(starts)}
    null, printed = condition_number(sampled_spectra(SHAPE, 1.0, DRAWS, np.random.default_rng(0))), authors()
    return Measurement(
        "first over last singular value of the flattened kernels",
        runs,
        Control.same("the same layer before training, twenty seeds", before),
        {
            "random matrices, 10,000 draws": {
                "mean": null.mean(),
                "quantiles 2.5 and 97.5 %": np.quantile(null, [0.025, 0.975]),
                "percent that print as stated": 100 * np.mean((null >= 1.065) & (null < 1.075)),
                "percent at most the authors' 1.0694451": 100 * np.mean(null <= printed["resnet18_condition_number"]),
            },
            "authors": {
                "condition number": printed["resnet18_condition_number"],
                "signal kernels": np.array(printed["resnet18_right_singular_vectors"]).T,
            },
            "movement": [_movement(RESNET, seed) for seed in seeds(RESNET)],
            "positive control": [_movement(CONTROL, seed) for seed in seeds(CONTROL)],
            "agreement of seeds": {when: _agreement(RESNET, when) for when in ("before", "after", "update")},
            "agreement of seeds, positive control": {when: _agreement(CONTROL, when) for when in ("after", "update")},
        },
        [*files(RESNET, CONTROL), observation_path("resnet18-layers"), AUTHORS],
    )


def two_levels(bases: np.ndarray) -> np.ndarray:
    """(...,) share of the energy that two levels explain, mean of the vectors of each basis."""
    return two_level_share(bases).mean(axis=-1)


@measures("resnet18-kernels-binarized", "share that two levels explain, mean of nine", two_levels, BINARIZED)
def reading(quantity: str, statistic: Callable[[np.ndarray], np.ndarray], claimed: float) -> Measurement:
    """A statistic of the nine signal kernels (..., 9, 9) beside its law for random orthonormal bases."""
    null = statistic(sampled_bases(9, DRAWS, np.random.default_rng(0)))
    printed = np.array(authors()["resnet18_right_singular_vectors"]).T
    runs = per_seed(lambda seed: float(statistic(signal_kernels(seed))), RESNET)
    ps = [p_value(value, null) for value in runs.values()]
    return Measurement(
        quantity,
        runs,
        Control.laws(
            f"random orthonormal bases, 10,000 draws; and those moved to a mean of {claimed}",
            null,
            moved(null, claimed),
        ),
        {
            "random bases, mean": null.mean(),
            "p-values": ps,
            "p-values adjusted over the seeds": holm(ps),
            "before training": [float(statistic(FourSubspaces.of(kernels(s, "initial")).Vh)) for s in runs],
            "positive control": [
                float(statistic(FourSubspaces.of(kernels(s, run=CONTROL)).Vh)) for s in seeds(CONTROL)
            ],
            "authors": {"value": float(statistic(printed)), "p-value": p_value(float(statistic(printed)), null)},
        },
        [*files(RESNET, CONTROL), AUTHORS],
    )


def along_an_axis(bases: np.ndarray) -> np.ndarray:
    """(..., k) larger share of a kernel's energy that is constant along rows, or along columns: it sees slopes too."""
    squares = np.reshape(bases, (*np.shape(bases)[:-1], 3, 3))
    return np.maximum(*(3 * (squares.mean(axis=axis) ** 2).sum(axis=-1) for axis in (-1, -2)))


def _second_look() -> dict:
    """The best line of three pixels can't see a slope; does another measure of direction say otherwise?"""
    null = along_an_axis(sampled_bases(9, DRAWS, np.random.default_rng(0))).mean(axis=-1)

    def p(vectors):
        return p_value(float(along_an_axis(vectors).mean()), null)

    def update(seed):
        return FourSubspaces.of(kernels(seed) - kernels(seed, "initial")).Vh

    return {
        "after training": [p(signal_kernels(seed)) for seed in seeds(RESNET)],
        "updates": [p(update(seed)) for seed in seeds(RESNET)],
        "authors": p(np.array(authors()["resnet18_right_singular_vectors"]).T),
    }


@measures("resnet18-kernels-directional")
def resnet18_kernels_directional() -> Measurement:
    taken = reading(
        "best line's share of the energy, mean of nine", lambda bases: line_share(bases).mean(axis=-1), DIRECTIONAL
    )
    return replace(taken, details=taken.details | {"p-values of the share along rows or columns": _second_look()})


@measures("resnet18-kernel-1-left-column", 1, "left column")
@measures("resnet18-kernel-2-lower-centre", 2, "lower centre")
@measures("resnet18-kernel-7-rows", 7, "top and bottom rows")
@measures("resnet18-kernel-9-diagonal", 9, "rising diagonal")
def panel(number: int, pattern: str) -> Measurement:
    """The energy of one signal kernel in the pixels that the paper names, beside the law for a random direction."""
    pixels = round(float(pattern_share(np.ones(9), pattern)) * 9)
    law = energy_fraction_law(9, pixels)
    printed = float(pattern_share(np.array(authors()["resnet18_right_singular_vectors"])[:, number - 1], pattern))
    runs = per_seed(lambda seed: float(pattern_share(signal_kernels(seed)[number - 1], pattern)), RESNET)
    chance = law.rvs(DRAWS, random_state=np.random.default_rng(0))
    return Measurement(
        f"share of the energy of signal kernel {number} in: {pattern}",
        runs,
        Control.laws(
            f"a random direction, 10,000 draws; and the pattern in noise, with a mean share of {DOMINATED[pattern]}",
            chance,
            planted_shares(pixels, DOMINATED[pattern]),
        ),
        {
            "p-values": [law.sf(value) for value in runs.values()],
            "authors": {"value": printed, "p-value": law.sf(printed)},
        },
        [*files(RESNET), AUTHORS],
    )


def planted_shares(pixels: int, mean: float) -> np.ndarray:
    """(10,000,) shares of the energy in so many of nine pixels, all alike but for normal noise all over the kernel."""
    noise = np.random.default_rng(0).standard_normal((DRAWS, 9))

    def shares(height):
        kernels = noise + np.where(np.arange(9) < pixels, height, 0.0)
        return (kernels[:, :pixels] ** 2).sum(axis=1) / (kernels**2).sum(axis=1)

    return shares(scipy.optimize.brentq(lambda height: shares(height).mean() - mean, 0, 100))


@measures("signal-kernels-equally-important")
def signal_kernels_equally_important() -> Measurement:
    def changes(what):
        return [found[what] for found in every.values()]

    every, ranked = per_seed(observed, RESNET), {seed: observation(IMPORTANCE)[str(seed)] for seed in RANKED}
    one, bases, uniform = "change without each signal kernel", "change without each of a random basis", SHUFFLES
    even = (np.arange(uniform) + 0.5) / uniform
    return Measurement(
        "share of random bases with at most as large a ratio of largest to smallest change of the outputs",
        {
            seed: float(np.mean(np.array(found["random bases"]) <= found["signal kernels"]))
            for seed, found in ranked.items()
        },
        Control.laws(
            "every share as likely; and Beta(1, 19), a twentieth on average", even, 1 - (1 - even) ** (1 / 19)
        ),
        {
            "largest over smallest": {
                "signal kernels": [found["signal kernels"] for found in ranked.values()],
                "random bases, median": [np.median(found["random bases"]) for found in ranked.values()],
                "pixels": [found["pixels"] for found in ranked.values()],
            },
            one: changes(one),
            bases: changes(bases),
            "change without each pixel": changes("change without each pixel"),
            "share of each signal kernel along the flat kernel": [
                (signal_kernels(seed).sum(axis=1) / 3) ** 2 for seed in every
            ],
        },
        [*OBSERVED, *files(RESNET), observation_path(IMPORTANCE)],
    )

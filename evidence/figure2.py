"""ResNet18's accuracy, its convolution as matrices, and the readings of Fig. 2: one function a claim."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from evidence.common import AUTHORS, authors, measures, relative, seeds
from evidence.networks import LAYERS, VARIANTS, checkpoint_path, initial, kernels_path, observations_path, trained
from vsbook.ledger import Measurement
from vsbook.linalg.kernels import convolution_matrix, flattened_kernels, line_share, pattern_share, two_level_share
from vsbook.linalg.nullmodel import (
    condition_number,
    energy_fraction_law,
    holm,
    identifiability,
    p_value,
    sampled_bases,
    sampled_spectra,
    spectrum_test,
)
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


def kernels(seed: int, when: str = "trained", run: str = RESNET) -> np.ndarray:
    """(4096, 9) flattened kernels of the layer, 'initial' or 'trained'."""
    return flattened_kernels(getattr(load_kernels(run, seed), when)).astype(np.float64)


def signal_kernels(seed: int) -> np.ndarray:
    """(9, 9) unit signal kernels, strongest first, one a row."""
    return FourSubspaces.of(kernels(seed)).Vh


def observed(seed: int) -> dict:
    """What was written down of the whole network of that seed."""
    return json.loads(observations_path(RESNET, seed).read_text())


def files(*runs: str) -> list[Path]:
    """The kernels that a measurement read."""
    return [kernels_path(run, seed) for run in runs for seed in seeds(run)]


@measures("resnet18-test-accuracy")
def resnet18_test_accuracy() -> Measurement:
    every = {seed: observed(seed) for seed in seeds(RESNET)}
    ways = {seed: found["accuracy in percent"] for seed, found in every.items()}
    return Measurement(
        "test accuracy",
        {seed: found["test"] for seed, found in ways.items()},
        {
            "what": "the same networks before training",
            "runs": {seed: found["accuracy before training"] for seed, found in every.items()},
        },
        {
            "mean over seeds, by way of counting": {
                way: np.mean([found[way] for found in ways.values()]) for way in ways[0]
            },
            "authors": {name: value for name, value in authors().items() if name.startswith("resnet18_accuracy")},
        },
        [*(observations_path(RESNET, seed) for seed in every), AUTHORS],
    )


@measures("resnet18-layer1-kernel-count")
def resnet18_layer1_kernel_count() -> Measurement:
    return Measurement(
        "rows of the matrix of flattened kernels",
        {seed: float(len(kernels(seed))) for seed in seeds(RESNET)},
        {
            "what": "the same layer before training",
            "runs": {seed: float(len(kernels(seed, "initial"))) for seed in seeds(RESNET)},
        },
        {},
        files(RESNET),
    )


@measures("resnet18-layer1-signal-vector-count")
def resnet18_layer1_signal_vector_count() -> Measurement:
    def rank(when):
        return {seed: float(FourSubspaces.of(kernels(seed, when)).rank) for seed in seeds(RESNET)}

    return Measurement(
        "rank of the matrix of flattened kernels",
        rank("trained"),
        {"what": "the same layer before training", "runs": rank("initial")},
        {},
        files(RESNET),
    )


def _maps() -> np.ndarray:
    """What the layer takes in for the first test images, (100, 64, 7, 7), in float64; seed 0's network."""
    model = trained(RESNET, 0)
    with capture(model, [LAYER]) as seen:
        logits(model, mnist().test.images[:MAPS])
    return seen[LAYER].input.astype(np.float64)


def _convolved(weight: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """By PyTorch, in float64: what the layer does."""
    return torch.nn.functional.conv2d(torch.from_numpy(maps), torch.from_numpy(weight), padding=1).numpy()


def _exact(quantity: str, broken: str, error) -> Measurement:
    maps = _maps()
    weights = {seed: load_kernels(RESNET, seed).trained.astype(np.float64) for seed in seeds(RESNET)}
    return Measurement(
        quantity,
        {seed: error(weight, maps, False) for seed, weight in weights.items()},
        {
            "what": f"the same check {broken}",
            "runs": {seed: error(weight, maps, True) for seed, weight in weights.items()},
        },
        {},
        [*files(RESNET), checkpoint_path(RESNET, 0)],
    )


@measures("convolution-is-a-matrix")
def convolution_is_a_matrix() -> Measurement:
    def error(weight, maps, spoil):
        matrix = convolution_matrix(weight[:, :, ::-1, ::-1] if spoil else weight, 7, 7, padding=1)
        expected = _convolved(weight, maps).reshape(MAPS, -1)
        return relative((matrix @ maps.reshape(MAPS, -1).T).T - expected, expected)

    return _exact(
        "relative difference of the convolution and its matrix", "with the kernels turned by 180 degrees", error
    )


@measures("flattened-kernels-map-the-support")
def flattened_kernels_map_the_support() -> Measurement:
    def error(weight, maps, spoil):
        patches = torch.nn.functional.unfold(torch.from_numpy(maps), 3, padding=1).numpy()
        patches = patches.reshape(MAPS, 64, 9, 49)  # image, channel, pixel of the support, position
        rows = flattened_kernels(weight).reshape(64, 64, 9)
        single = np.einsum("ocp,ncpq->noq", rows[:, :1] if spoil else rows, patches[:, :1] if spoil else patches)
        expected = _convolved(weight, maps).reshape(MAPS, -1)
        return relative(single.reshape(MAPS, -1) - expected, expected)

    return _exact("relative difference of the convolution and the summed products", "with one channel alone", error)


@measures("flattened-kernels-are-the-layer")
def flattened_kernels_are_the_layer() -> Measurement:
    found = {seed: observed(seed)["condition number of the convolution"] for seed in seeds(RESNET)}

    def ratio(seed, when, stage):
        return np.log10(found[seed][stage] / FourSubspaces.of(kernels(seed, when)).condition_number)

    return Measurement(
        "log10 of the condition number of the convolution over that of its flattened kernels",
        {seed: ratio(seed, "trained", "after") for seed in found},
        {"what": "the same layer before training", "runs": {seed: ratio(seed, "initial", "before") for seed in found}},
        {"condition number of the convolution": list(found.values())},
        [*files(RESNET), *(observations_path(RESNET, seed) for seed in found)],
    )


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
    runs = {seed: FourSubspaces.of(kernels(seed)).condition_number for seed in seeds(RESNET)}
    starts = (named_weights(initial(RESNET, seed))[LAYER].weight for seed in range(UNTRAINED))
    before = {seed: FourSubspaces.of(flattened_kernels(w)).condition_number for seed, w in enumerate(starts)}
    null, printed = condition_number(sampled_spectra(SHAPE, 1.0, DRAWS, np.random.default_rng(0))), authors()
    return Measurement(
        "first over last singular value of the flattened kernels",
        runs,
        {"what": "the same layer before training, twenty seeds", "runs": before},
        {
            "random matrices, 10,000 draws": {
                "mean": null.mean(),
                "quantiles 2.5 and 97.5 %": np.quantile(null, [0.025, 0.975]),
                "percent printed as 1.07": 100 * np.mean((null >= 1.065) & (null < 1.075)),
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
            "layers of seed 0": json.loads(LAYERS.read_text()),
        },
        [*files(RESNET, CONTROL), LAYERS, AUTHORS],
    )


def _reading(quantity: str, statistic) -> Measurement:
    """A statistic of the nine signal kernels (..., 9, 9) beside its law for random orthonormal bases."""
    null = statistic(sampled_bases(9, DRAWS, np.random.default_rng(0)))
    printed = np.array(authors()["resnet18_right_singular_vectors"]).T
    runs = {seed: float(statistic(signal_kernels(seed))) for seed in seeds(RESNET)}
    ps = {seed: p_value(value, null) for seed, value in runs.items()}
    return Measurement(
        quantity,
        runs,
        {
            "what": "random orthonormal bases, 10,000 draws: mean, and 97.5 % quantile as the bound",
            "mean": null.mean(),
            "bound": np.quantile(null, 0.975),
        },
        {
            "p-values": list(ps.values()),
            "p-values adjusted over the seeds": holm(list(ps.values())),
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
    taken = _reading("best line's share of the energy, mean of nine", lambda bases: line_share(bases).mean(axis=-1))
    return replace(taken, details=taken.details | {"p-values of the share along rows or columns": _second_look()})


@measures("resnet18-kernels-binarized")
def resnet18_kernels_binarized() -> Measurement:
    return _reading("share that two levels explain, mean of nine", lambda bases: two_level_share(bases).mean(axis=-1))


def _panel(number: int, pattern: str) -> Measurement:
    """The energy of one signal kernel in the pixels that the paper names, beside the law for a random direction."""
    pixels = round(float(pattern_share(np.ones(9), pattern)) * 9)
    law = energy_fraction_law(9, pixels)
    printed = float(pattern_share(np.array(authors()["resnet18_right_singular_vectors"])[:, number - 1], pattern))
    runs = {seed: float(pattern_share(signal_kernels(seed)[number - 1], pattern)) for seed in seeds(RESNET)}
    return Measurement(
        f"share of the energy of signal kernel {number} in: {pattern}",
        runs,
        {
            "what": "a random direction: mean, and 97.5 % quantile as the bound",
            "mean": law.mean(),
            "bound": law.ppf(0.975),
        },
        {
            "p-values": [law.sf(value) for value in runs.values()],
            "authors": {"value": printed, "p-value": law.sf(printed)},
        },
        [*files(RESNET), AUTHORS],
    )


@measures("resnet18-kernel-1-left-column")
def resnet18_kernel_1_left_column() -> Measurement:
    return _panel(1, "left column")


@measures("resnet18-kernel-2-lower-centre")
def resnet18_kernel_2_lower_centre() -> Measurement:
    return _panel(2, "lower centre")


@measures("resnet18-kernel-7-rows")
def resnet18_kernel_7_rows() -> Measurement:
    return _panel(7, "top and bottom rows")


@measures("resnet18-kernel-9-diagonal")
def resnet18_kernel_9_diagonal() -> Measurement:
    return _panel(9, "rising diagonal")


@measures("signal-kernels-equally-important")
def signal_kernels_equally_important() -> Measurement:
    def spread(changes):
        return max(changes) / min(changes)

    every = {seed: observed(seed) for seed in seeds(RESNET)}
    bases = {seed: [spread(b) for b in found["change without each of a random basis"]] for seed, found in every.items()}
    return Measurement(
        "largest over smallest change of the outputs without one signal kernel",
        {seed: spread(found["change without each signal kernel"]) for seed, found in every.items()},
        {
            "what": "random orthonormal bases in place of the signal kernels, mean of five a seed",
            "runs": {seed: float(np.mean(ratios)) for seed, ratios in bases.items()},
        },
        {
            "change without each signal kernel": [
                found["change without each signal kernel"] for found in every.values()
            ],
            "change without each pixel": [found["change without each pixel"] for found in every.values()],
            "share of each signal kernel along the flat kernel": [
                (signal_kernels(seed).sum(axis=1) / 3) ** 2 for seed in every
            ],
        },
        [*(observations_path(RESNET, seed) for seed in every), *files(RESNET)],
    )

"""Whether a low condition number makes a decomposition stable (section 2.3): the space, and its single vectors."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from evidence.common import Control, inputs, measures, over_seeds, per_seed, subspaces
from evidence.figure2 import RESNET, files, kernels
from vsbook.ledger import Measurement
from vsbook.linalg.subspaces import FourSubspaces

DRAWS = 20
KAPPAS = (1.07, 7.22, 100.0)
NOISE = 1e-3 / 28  # a thousandth of the root mean square of the singular values, over the root of 784


def with_condition(S: FourSubspaces, kappa: float) -> np.ndarray:
    """The matrix with its singular vectors, and a geometric series of singular values of root mean square 1."""
    s = kappa ** -np.linspace(0, 1, S.rank)
    return (S.column_space * s / np.sqrt((s**2).mean())) @ S.row_space.T


@dataclass(frozen=True)
class Turns:
    """How far a row space turned under each noise: sines of the largest angles, and the noise's spectral norms."""

    sines: np.ndarray
    noise: np.ndarray
    singular_values: np.ndarray


def turns(A: np.ndarray, seed: int) -> Turns:
    """The row space of A beside that of A + noise, over draws."""
    generator, S = np.random.default_rng(seed), FourSubspaces.of(A)
    noises = [generator.normal(0, NOISE, A.shape) for _ in range(DRAWS)]
    angles = [scipy.linalg.subspace_angles(S.row_space, FourSubspaces.of(A + noise).row_space)[0] for noise in noises]
    return Turns(np.sin(angles), np.array([np.linalg.norm(noise, 2) for noise in noises]), S.singular_values)


def vector_angle(A: np.ndarray, sd: float, seed: int) -> float:
    """Angle between the i-th right singular vectors of A and A + noise; mean over i and draws."""
    generator, basis = np.random.default_rng(seed), FourSubspaces.of(A).Vh
    noisy = (FourSubspaces.of(A + generator.normal(0, sd, A.shape)).Vh for _ in range(DRAWS))
    return float(np.mean([np.arccos(np.minimum(1, np.abs((basis * other).sum(axis=1)))) for other in noisy]))


@measures("low-condition-number-is-stable")
def low_condition_number_is_stable() -> Measurement:
    turned = per_seed(lambda seed: [turns(with_condition(subspaces("fcnn1", seed), k), seed) for k in KAPPAS], "fcnn1")

    def largest(which):
        """Of the sines over what the smallest singular value, or another, would allow."""
        return {s: max((of.sines * of.singular_values[which] / of.noise).max() for of in t) for s, t in turned.items()}

    angles = over_seeds({seed: np.array([of.sines.mean() for of in every]) for seed, every in turned.items()})
    return Measurement(
        "sine of the largest angle over what the smallest singular value allows",
        largest(-1),
        Control.same("the same by the largest singular value", largest(0)),
        {"mean angle in degrees": dict(zip(map(str, KAPPAS), np.degrees(np.arcsin(angles)), strict=True))},
        inputs("fcnn1"),
    )


@measures("low-condition-number-keeps-signal-vectors")
def low_condition_number_keeps_signal_vectors() -> Measurement:
    def angles(seed):
        A = kernels(seed)
        scale, sd = np.sqrt((A**2).sum() / 9), A.std() / 10
        steep = scale * with_condition(FourSubspaces.of(A), 7.22)
        return vector_angle(A, sd, seed), vector_angle(steep, sd, seed)

    every = per_seed(angles, RESNET)
    return Measurement(
        "angle at the layer's own condition number over angle at 7.22",
        {seed: own / steep for seed, (own, steep) in every.items()},
        Control.same(
            "mean angle in degrees at condition number 7.22",
            {seed: np.degrees(steep) for seed, (_, steep) in every.items()},
        ),
        {"mean angle in degrees": {"own": np.degrees([own for own, _ in every.values()])}},
        files(RESNET),
    )

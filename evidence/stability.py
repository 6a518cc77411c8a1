"""Whether a low condition number makes a decomposition stable (section 2.3): the space, and its single vectors."""

import numpy as np
import scipy.linalg

from evidence.common import Control, inputs, measures, over_seeds, per_seed, subspaces
from evidence.figure2 import RESNET, files, kernels
from vsbook.ledger import Measurement
from vsbook.linalg.subspaces import FourSubspaces

DRAWS = 20


def with_condition(S: FourSubspaces, kappa: float) -> np.ndarray:
    """The matrix with its singular vectors, and a geometric series of singular values of root mean square 1."""
    s = kappa ** -np.linspace(0, 1, S.rank)
    return (S.column_space * s / np.sqrt((s**2).mean())) @ S.row_space.T


def space_angle(A: np.ndarray, sd: float, seed: int) -> float:
    """Largest principal angle between the row spaces of A and A + noise; mean over draws."""
    generator, basis = np.random.default_rng(seed), FourSubspaces.of(A).row_space
    noisy = (FourSubspaces.of(A + generator.normal(0, sd, A.shape)).row_space for _ in range(DRAWS))
    return float(np.mean([scipy.linalg.subspace_angles(basis, other)[0] for other in noisy]))


def vector_angle(A: np.ndarray, sd: float, seed: int) -> float:
    """Angle between the i-th right singular vectors of A and A + noise; mean over i and draws."""
    generator, basis = np.random.default_rng(seed), FourSubspaces.of(A).Vh
    noisy = (FourSubspaces.of(A + generator.normal(0, sd, A.shape)).Vh for _ in range(DRAWS))
    return float(np.mean([np.arccos(np.minimum(1, np.abs((basis * other).sum(axis=1)))) for other in noisy]))


@measures("low-condition-number-is-stable")
def low_condition_number_is_stable() -> Measurement:
    def angle(kappa):
        return per_seed(
            lambda seed: space_angle(with_condition(subspaces("fcnn1", seed), kappa), 1e-3 / 28, seed), "fcnn1"
        )

    angles = {kappa: angle(kappa) for kappa in (1.07, 7.22, 100.0)}

    def steeper(kappa):
        return per_seed(lambda seed: angles[kappa][seed] / angles[1.07][seed], "fcnn1")

    return Measurement(
        "angle at condition number 100 over angle at 1.07",
        steeper(100.0),
        Control.same("the same at condition number 7.22 over 1.07", steeper(7.22)),
        {"mean angle in degrees": {str(kappa): np.degrees(over_seeds(a)) for kappa, a in angles.items()}},
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

"""Slow, obvious implementations to compare with, and the matrices that several files of tests share."""

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np

from vsbook.linalg.activations import SELU_ALPHA, SELU_SCALE

DIGITS, TENTH = 120, Decimal.from_float(0.1)  # of `outputs_in_decimals`; a tenth as float64 has it


def _exponential_unit(x: Decimal, alpha: float, scale: float) -> Decimal:
    return Decimal(scale) * x if x > 0 else Decimal(scale * alpha) * (x.exp() - 1)


def _logistic(x: Decimal) -> Decimal:
    return 1 - 1 / (1 + x.exp()) if x < 100_000 else Decimal(1)


FUNCTIONS = {  # of `tests.chains_zoo.ACTIVATIONS`, each written in another way than in the package
    "selu": lambda x: _exponential_unit(x, SELU_ALPHA, SELU_SCALE),
    "elu": lambda x: _exponential_unit(x, 0.7, 1.3),
    "tanh": lambda x: 2 * _logistic(2 * x) - 1,
    "sigmoid": _logistic,
    "leaky": lambda x: x if x > 0 else TENTH * x,
    "softplus": lambda x: (1 + (2 * x).exp()).ln() / 2 if x < 100_000 else x,
    "identity": lambda x: x,
    "relu": lambda x: max(x, Decimal(0)),
}


def outputs_in_decimals(chain, names, image) -> list[Fraction]:
    """A chain's outputs for one image, unit by unit, to a hundred digits; `names` are those of its activations."""
    with localcontext(prec=DIGITS) as context:
        context.traps = dict.fromkeys(context.traps, False)
        x = [Decimal(float(number)) for number in image]
        for step, name in zip(chain.steps, names, strict=True):
            rows = zip(step.weight.tolist(), step.bias.tolist(), strict=True)
            sums = [sum((Decimal(w) * h for w, h in zip(row, x, strict=True)), Decimal(b)) for row, b in rows]
            x = [FUNCTIONS[name](a) for a in sums]
        return [Fraction(number) for number in x]


def reduced_rows(matrix) -> tuple[list[list[Fraction]], list[int]]:
    """Reduced row echelon form of an integer matrix in exact arithmetic, and the columns of its pivots."""
    rows, pivots = [[Fraction(int(entry)) for entry in row] for row in matrix], []
    for column in range(len(rows[0])):
        at = len(pivots)
        source = next((k for k in range(at, len(rows)) if rows[k][column]), None)
        if source is None:
            continue
        rows[at], rows[source] = rows[source], rows[at]
        rows[at] = [entry / rows[at][column] for entry in rows[at]]
        for k in range(len(rows)):
            if k != at:
                rows[k] = [a - rows[k][column] * b for a, b in zip(rows[k], rows[at], strict=True)]
        pivots.append(column)
    return rows, pivots


def exact_rank(matrix) -> int:
    """Rank of an integer matrix: the number of pivots."""
    return len(reduced_rows(matrix)[1])


def exact_row_basis(matrix) -> np.ndarray:
    """The nonzero rows of the reduced form as columns (n, r)."""
    rows, pivots = reduced_rows(matrix)
    return np.array(rows[: len(pivots)], dtype=float).reshape(len(pivots), len(rows[0])).T


def exact_null_basis(matrix) -> np.ndarray:
    """One special solution for each free column, as columns (n, n - r): the way it is taught by hand."""
    rows, pivots = reduced_rows(matrix)
    n = len(rows[0])
    solutions = []
    for free in (column for column in range(n) if column not in pivots):
        solution = [Fraction(int(column == free)) for column in range(n)]
        for row, pivot in zip(rows, pivots, strict=False):
            solution[pivot] = -row[free]
        solutions.append(solution)
    return np.array(solutions, dtype=float).reshape(len(solutions), n).T


def projector(basis) -> np.ndarray:
    """B (B'B)^-1 B' for any basis B (n, r) with independent columns; the normal equations, solved."""
    if basis.shape[1] == 0:
        return np.zeros((basis.shape[0], basis.shape[0]))
    return basis @ np.linalg.solve(basis.T @ basis, basis.T)


def matrix_of_rank(m: int, n: int, rank: int, seed: int) -> np.ndarray:
    """An (m, n) matrix of that rank with singular values between 1 and 2, so that no decision is a close one."""
    generator = np.random.default_rng(seed)
    left = np.linalg.qr(generator.standard_normal((m, m)))[0][:, :rank]
    right = np.linalg.qr(generator.standard_normal((n, n)))[0][:, :rank]
    return left * np.linspace(2, 1, rank) @ right.T


def whole(shape, seed=0):
    """An array of small whole numbers."""
    return np.random.default_rng(seed).integers(-5, 6, shape).astype(float)


# laws of independent entries, each symmetric about zero
NOISE = {
    "normal": lambda generator, shape: generator.standard_normal(shape),
    "uniform": lambda generator, shape: generator.uniform(-1, 1, shape),
    "Laplace": lambda generator, shape: generator.laplace(size=shape),
    "Student t(3)": lambda generator, shape: generator.standard_t(3, shape),
}

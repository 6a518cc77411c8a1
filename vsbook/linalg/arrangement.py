"""Do the spectra of many matrices, as of all layers of a network, show an arrangement of their entries?

Source: tests by draws from a group of transformations under which the null's law stays as it is (Hemerik & Goeman,
2018); Holm (1979).
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from vsbook.checks import BadInput, as_matrix, instance_of, one_of, whole_number
from vsbook.linalg.significance import STATISTICS, NullTest, holm, nothing_to_test, p_value, spectrum_test
from vsbook.shown import Shown

__all__ = ["SpectrumTests", "spectrum_tests"]

BLOCKS = 64  # of rows: so many pieces make a column
TALL = 256  # rows a column, from which on pieces are moved: each has at least four entries for each column
WIDEST = 64  # columns of these: the inner products of 64 x 64 pieces take 128 MiB
SQUARED = 1e-4  # smallest over largest eigenvalue of a Gram matrix, above which squaring loses four digits at most


@dataclass(frozen=True, eq=False, repr=False)
class SpectrumTests(Shown):
    """The tests by name, their p-values adjusted together by `holm`, and `skipped`: what was not tested, and why."""

    tests: dict[Hashable, NullTest]
    adjusted: dict[Hashable, float]
    skipped: dict[Hashable, str]

    def __repr__(self) -> str:
        """A line for each matrix, and for each reason to skip some."""
        lines = [f"SpectrumTests, matrices: {len(self.tests)}"]
        for name, test in self.tests.items():
            lines.append(f"  {name}: {test.statistic} {test.observed:.4g}, adjusted p {self.adjusted[name]:.3g}")
        lines += [f"  skipped, {count}: {reason}" for reason, count in Counter(self.skipped.values()).items()]
        return "\n".join(lines)


def spectrum_tests(
    matrices, draws: int, generator: np.random.Generator, statistic: str = "sphericity", progress: bool = True
) -> SpectrumTests:
    r"""`spectrum_test` of each of several matrices by name, with p-values adjusted for their number, in little time.

    A matrix of few entries is tested as `spectrum_test` does it. Of a tall one (256 rows a column and more, 64 columns
    at most; or as wide), *pieces* are moved in the place of single entries: the rows get a random order and random
    signs, which changes no singular value; 64 blocks of rows cut each column into pieces; and each draw puts these into
    random order with random signs. The rows left over are a block of their own, with pieces that change places among
    themselves. Such moves form a group, and under the null each leaves the law of the matrix as it is, so the level
    holds exactly here too. A copy's Gram matrix needs the inner products of pieces $c_{bi}$ (block b, column i) alone,
    which are computed once: $G_{ij} = \sum_b \pm \langle c_{bi}, c_{bj} \rangle$.

    Args:
        matrices: a dictionary of (m, n) by name, any unit.
        draws: of each null. No adjusted p-value of k tests is below k / (draws + 1): choose more than 20 k to see
            one below 0.05.
        generator: of the draws.
        statistic: one of `STATISTICS`.
        progress: show a bar with the time left.

    Raises:
        BadInput: if one isn't a finite real matrix, or draws, generator or statistic aren't those of `spectrum_test`.

    >>> noise = np.random.default_rng(0).standard_normal((30, 4))
    >>> layers = {"noise": noise, "shifted": noise + 3, "column": noise[:, :1]}
    >>> found = spectrum_tests(layers, 99, np.random.default_rng(1), progress=False)
    >>> found.adjusted["noise"] > 0.05, found.adjusted["shifted"]
    (True, 0.02)
    >>> found.skipped
    {'column': 'a single row or column has one singular value, and none to compare it with'}
    """
    if not isinstance(matrices, Mapping):
        raise BadInput(f"matrices: expected a dictionary by name, got {type(matrices).__name__}; pass {{name: matrix}}")
    matrices = {name: as_matrix(A, f"matrix {name!r}") for name, A in matrices.items()}
    whole_number(draws, "draws", 1)
    instance_of(generator, np.random.Generator, "generator")
    one_of(statistic, STATISTICS, "statistic")
    skipped = {name: reason for name, A in matrices.items() if (reason := nothing_to_test(A))}
    tested, tests = [name for name in matrices if name not in skipped], {}
    for name in tqdm(tested, unit="matrix", disable=not progress, mininterval=0.5, leave=False):
        test = _test_by_pieces if _is_tall(matrices[name]) else spectrum_test
        tests[name] = test(matrices[name], draws, generator, statistic)
    adjusted = holm([test.p_value for test in tests.values()]).tolist() if tests else []
    return SpectrumTests(tests, dict(zip(tests, adjusted, strict=True)), skipped)


def _is_tall(A: Float[np.ndarray, "m n"]) -> bool:
    return min(A.shape) <= WIDEST and max(A.shape) >= TALL * min(A.shape)


def _test_by_pieces(
    A: Float[np.ndarray, "m n"], draws: int, generator: np.random.Generator, statistic: str
) -> NullTest:
    A = A.astype(np.float64)
    A = (A if len(A) > A.shape[1] else A.T) / np.abs(A).max()  # no square leaves the range of float64
    A = _signs(generator, (len(A), 1)) * generator.permutation(A)
    parts = [_Pieces(A[: len(A) // BLOCKS * BLOCKS], BLOCKS), _Pieces(A[len(A) // BLOCKS * BLOCKS :], 1)]
    spectra = [_spectrum(parts, [part.unmoved() for part in parts])]
    spectra += [_spectrum(parts, [part.moved(generator) for part in parts]) for _ in range(draws)]
    observed, *null = STATISTICS[statistic](spectra)
    return NullTest(statistic, float(observed), np.array(null), p_value(observed, null))


def _signs(generator: np.random.Generator, shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    return 2.0 * generator.integers(0, 2, shape) - 1


class _Pieces:
    """The columns of rows (m, n) in `blocks` pieces each, and their inner products."""

    def __init__(self, rows: Float[np.ndarray, "m n"], blocks: int) -> None:
        self.places = blocks, rows.shape[1]
        blocked = rows.reshape(blocks, len(rows) // blocks, rows.shape[1])
        self.pieces = blocked.transpose(0, 2, 1).reshape(blocks * rows.shape[1], -1)  # one a row
        self.products = self.pieces @ self.pieces.T

    def unmoved(self) -> tuple[Int[np.ndarray, "blocks n"], Float[np.ndarray, "blocks n"]]:
        """Which piece stands where, and its sign."""
        return np.arange(len(self.pieces)).reshape(self.places), np.ones(self.places)

    def moved(
        self, generator: np.random.Generator
    ) -> tuple[Int[np.ndarray, "blocks n"], Float[np.ndarray, "blocks n"]]:
        """The same at random: all orders and all signs are alike likely."""
        return generator.permutation(len(self.pieces)).reshape(self.places), _signs(generator, self.places)

    def gram(
        self, order: Int[np.ndarray, "blocks n"], signs: Float[np.ndarray, "blocks n"]
    ) -> Float[np.ndarray, "n n"]:
        products = self.products[order[:, :, None], order[:, None, :]]  # (blocks, n, n)
        return np.einsum("bi,bij,bj->ij", signs, products, signs)

    def rows(
        self, order: Int[np.ndarray, "blocks n"], signs: Float[np.ndarray, "blocks n"]
    ) -> Float[np.ndarray, "m n"]:
        return (signs[:, :, None] * self.pieces[order]).transpose(0, 2, 1).reshape(-1, self.places[1])


def _spectrum(parts: list[_Pieces], moves) -> Float[np.ndarray, " n"]:
    """One rule for the matrix itself and for its copies: where digits are lost in rounding, they are lost alike."""
    squares = np.linalg.eigvalsh(sum(part.gram(*move) for part, move in zip(parts, moves, strict=True)))
    if squares[0] > SQUARED * squares[-1]:
        return np.sqrt(squares[::-1])
    rows = [part.rows(*move) for part, move in zip(parts, moves, strict=True)]
    return np.linalg.svd(np.concatenate(rows), compute_uv=False)

"""Ratios against peers, side by side in one run: `make bench`. Seconds on a shared machine mean little, ratios more.

The peer makes the same four bases with SciPy's `orth` and `null_space`, which factor the matrix once for each. For
sampled spectra the peer draws the whole matrices, where ours draws their triangular factors. The searches of `ideal`
and the inversions of `newton` follow.
"""

import timeit

import numpy as np
import scipy.linalg

from benchmarks import arrangement, ideal, newton
from vsbook.nullmodel import sampled_spectra
from vsbook.subspaces import FourSubspaces

SHAPES = [(10, 784), (256, 784), (128, 256), (4096, 9)]
REPEATS = 5
DRAWS = 50


def ours(A: np.ndarray) -> tuple[np.ndarray, ...]:
    """Row, null, column and left null space from one factorisation."""
    S = FourSubspaces.of(A)
    return S.row_space, S.null_space, S.column_space, S.left_null_space


def peer(A: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same four, each by SciPy."""
    return tuple(f(B) for B in (A.T, A) for f in (scipy.linalg.orth, lambda M: scipy.linalg.null_space(M.T)))


def spectra_of_whole_matrices(A: np.ndarray) -> np.ndarray:
    """Singular values of as many normal matrices of A's shape."""
    generator = np.random.default_rng(0)
    return np.array([np.linalg.svd(generator.standard_normal(A.shape), compute_uv=False) for _ in range(DRAWS)])


def sampled(A: np.ndarray) -> np.ndarray:
    """The same law, through triangular factors."""
    return sampled_spectra(A.shape, 1.0, DRAWS, np.random.default_rng(0))


def seconds(function, A: np.ndarray) -> float:
    """The best of several runs."""
    return min(timeit.repeat(lambda: function(A), number=1, repeat=REPEATS))


def main() -> None:
    """Print one line a shape: how much longer the peer takes, and by how much the results differ."""
    print(f"{'shape':>12}  {'SciPy / ours':>12}  {'largest difference of projectors':>34}")
    for shape in SHAPES:
        A = np.random.default_rng(0).standard_normal(shape)
        pairs = zip(ours(A), peer(A), strict=True)
        difference = max(float(np.abs(P @ P.T - Q @ Q.T).max()) for P, Q in pairs)
        print(f"{shape!s:>12}  {seconds(peer, A) / seconds(ours, A):12.1f}  {difference:34.0e}")
    print(f"\n{'shape':>12}  {'whole / triangular':>18}  {'means of the first value':>26}")
    for shape in SHAPES:
        A = np.empty(shape)
        means = " and ".join(f"{f(A)[:, 0].mean():.2f}" for f in (spectra_of_whole_matrices, sampled))
        print(f"{shape!s:>12}  {seconds(spectra_of_whole_matrices, A) / seconds(sampled, A):18.1f}  {means:>26}")


if __name__ == "__main__":
    main()
    arrangement.main()
    ideal.main()
    newton.main()

"""Ratios against peers, side by side in one run: `make bench`, some ten minutes.

The four bases have two peers: NumPy's full SVD, which holds all four, and SciPy's `orth` and `null_space`, which factor
the matrix once for each. For sampled spectra the peer draws the whole matrices, where ours draws their triangular
factors. The spectra of all layers, the searches of `ideal` and the inversions of `newton` follow.
"""

import numpy as np
import scipy.linalg
import torch

from benchmarks import arrangement, ideal, newton
from benchmarks.pairs import PAIRS, ratio
from vsbook.linalg.nullmodel import sampled_spectra
from vsbook.linalg.subspaces import FourSubspaces

SHAPES = [(10, 784), (256, 784), (128, 256), (4096, 9)]
DRAWS = 50


def ours(A: np.ndarray) -> tuple[np.ndarray, ...]:
    """Row, null, column and left null space from one factorisation."""
    S = FourSubspaces.of(A)
    return S.row_space, S.null_space, S.column_space, S.left_null_space


def full(A: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same four, as parts of one full SVD."""
    U, s, Vh = np.linalg.svd(A, full_matrices=True)
    r = int((s > np.finfo(A.dtype).eps * max(A.shape) * s[0]).sum())
    return Vh[:r].T, Vh[r:].T, U[:, :r], U[:, r:]


def apart(A: np.ndarray) -> tuple[np.ndarray, ...]:
    """The same four, each by SciPy."""
    return tuple(f(B) for B in (A.T, A) for f in (scipy.linalg.orth, lambda M: scipy.linalg.null_space(M.T)))


def spectra_of_whole_matrices(A: np.ndarray) -> np.ndarray:
    """Singular values of as many normal matrices of A's shape."""
    generator = np.random.default_rng(0)
    return np.array([np.linalg.svd(generator.standard_normal(A.shape), compute_uv=False) for _ in range(DRAWS)])


def sampled(A: np.ndarray) -> np.ndarray:
    """The same law, through triangular factors."""
    return sampled_spectra(A.shape, 1.0, DRAWS, np.random.default_rng(0))


def difference(A: np.ndarray, peer) -> float:
    """Of the projectors onto the four subspaces, the largest."""
    return max(float(np.abs(P @ P.T - Q @ Q.T).max()) for P, Q in zip(ours(A), peer(A), strict=True))


def main() -> None:
    """Print one line a shape: how much longer the peers take, and by how much the results differ."""
    print(f"medians of {PAIRS} pairs (and quartiles) of the peer's time over ours; {torch.get_num_threads()} threads")
    print(
        f"\n{'shape':>12}  {'full SVD / ours':>20}  {'SciPy, one by one / ours':>24}  largest difference of projectors"
    )
    for shape in SHAPES:
        A = np.random.default_rng(0).standard_normal(shape)
        ratios = [ratio(lambda A=A, peer=peer: peer(A), lambda A=A: ours(A)) for peer in (full, apart)]
        worst = max(difference(A, peer) for peer in (full, apart))
        print(f"{shape!s:>12}  {ratios[0]!s:>20}  {ratios[1]!s:>24}  {worst:.0e}")
    print(f"\n{'shape':>12}  {'whole / triangular':>20}  means of the first value")
    for shape in SHAPES:
        A = np.empty(shape)
        means = " and ".join(f"{f(A)[:, 0].mean():.2f}" for f in (spectra_of_whole_matrices, sampled))
        found = ratio(lambda A=A: spectra_of_whole_matrices(A), lambda A=A: sampled(A))
        print(f"{shape!s:>12}  {found!s:>20}  {means}")


if __name__ == "__main__":
    main()
    arrangement.main()
    ideal.main()
    newton.main()

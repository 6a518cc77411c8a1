"""Do the spectra of ResNet18's layers show an arrangement? All at once against one by one, side by side in one run.

The peer is our own `spectrum_test`, which puts every entry into random order for each draw. Its time grows with the
draws, so that it is asked for a tenth of them, and compared by the time that one takes.
"""

import statistics
import time

import numpy as np

from vsbook.arrangement import spectrum_tests
from vsbook.layers import named_weights
from vsbook.nullmodel import nothing_to_test, spectrum_test
from vsbook.training import load

DRAWS = 199
PAIRS = 5


def ours(matrices: dict, draws: int) -> list[float]:
    """The p-values of all, by pieces where a matrix is tall."""
    found = spectrum_tests(matrices, draws, np.random.default_rng(0), progress=False)
    return [test.p_value for test in found.tests.values()]


def peer(matrices: dict, draws: int) -> list[float]:
    """The same, entry by entry."""
    generator = np.random.default_rng(0)
    return [spectrum_test(A, draws, generator).p_value for A in matrices.values() if not nothing_to_test(A)]


def seconds_a_draw(function, matrices: dict, draws: int) -> float:
    """Of one run."""
    start = time.perf_counter()
    function(matrices, draws)
    return (time.perf_counter() - start) / draws


def main() -> None:
    """Print how much longer the peer takes for all layers, over pairs of runs."""
    layers = named_weights(load("resnet18")).layers
    matrices = {name: next(iter(layer.matrices.values())) for name, layer in layers.items()}
    ratios, takes = [], []
    for _ in range(PAIRS):
        takes.append(DRAWS * seconds_a_draw(ours, matrices, DRAWS))
        ratios.append(DRAWS * seconds_a_draw(peer, matrices, DRAWS // 10) / takes[-1])
    print(f"\nspectra of ResNet18's layers against {DRAWS} copies each: {statistics.median(takes):.1f} s")
    ends = f"from {min(ratios):.0f} to {max(ratios):.0f} in {PAIRS} pairs"
    print(f"entries / pieces: {statistics.median(ratios):.0f}, {ends}")


if __name__ == "__main__":
    main()

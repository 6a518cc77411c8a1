"""Do the spectra of ResNet18's layers show an arrangement? All at once against one by one, side by side in one run.

The peer is our own `spectrum_test`, which puts every entry into random order for each draw. Its time grows with the
draws, so that it is asked for a tenth of them, and compared by the time that one takes.
"""

import numpy as np

from benchmarks.pairs import ratio
from vsbook.linalg.arrangement import spectrum_tests
from vsbook.linalg.significance import nothing_to_test, spectrum_test
from vsbook.networks.checkpoints import load
from vsbook.networks.layers import named_weights

DRAWS = 199
PAIRS = 3  # fewer, since each takes long


def ours(matrices: dict, draws: int) -> list[float]:
    """The p-values of all, by pieces where a matrix is tall."""
    found = spectrum_tests(matrices, draws, np.random.default_rng(0), progress=False)
    return [test.p_value for test in found.tests.values()]


def peer(matrices: dict, draws: int) -> list[float]:
    """The same, entry by entry."""
    generator = np.random.default_rng(0)
    return [spectrum_test(A, draws, generator).p_value for A in matrices.values() if not nothing_to_test(A)]


def main() -> None:
    """Print how much longer the peer takes for all layers."""
    layers = named_weights(load("resnet18")).layers
    matrices = {name: next(iter(layer.matrices.values())) for name, layer in layers.items()}
    few = DRAWS // 10
    found = ratio(lambda: peer(matrices, few), lambda: ours(matrices, DRAWS), (few, DRAWS), PAIRS)
    print(f"\nspectra of ResNet18's layers against {DRAWS} copies of each, entries moved / pieces moved: {found}")


if __name__ == "__main__":
    main()

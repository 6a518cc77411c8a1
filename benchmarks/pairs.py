"""How much longer one way takes than another: medians of pairs, timed side by side in one run.

Seconds on a shared machine mean little. What else the machine does changes slowly beside a pair of timings, so that the
ratio within a pair is what repeats; the quartiles over pairs say how well.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

PAIRS = 9
SHORTEST = 0.05  # seconds of a timing: well above the clock's grain and a change of process


@dataclass(frozen=True)
class Ratio:
    """The peer's time over ours: median and quartiles over pairs."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """As in '2.4 (2.2-2.6)'."""
        return f"{self.median:.3g} ({self.low:.3g}-{self.high:.3g})"


def ratio(peer: Callable, ours: Callable, sizes: tuple[int, int] = (1, 1), pairs: int = PAIRS) -> Ratio:
    """The peer's time over ours; `sizes` is how many things each makes in a call, where they make different numbers.

    Each function is called once before anything counts, and then as often in a timing as `SHORTEST` asks for. Who
    comes first changes from pair to pair.
    """
    peer(), ours()
    calls = [max(1, round(SHORTEST / max(_seconds(function, 1), 1e-9))) for function in (peer, ours)]
    found = []
    for number in range(pairs):
        order = (0, 1) if number % 2 else (1, 0)
        times = {which: _seconds((peer, ours)[which], calls[which]) / sizes[which] for which in order}
        found.append(times[0] / times[1])
    return Ratio(*np.quantile(found, [0.5, 0.25, 0.75]).tolist())


def _seconds(function: Callable, calls: int) -> float:
    """Of one call, on average."""
    started = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - started) / calls

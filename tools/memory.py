"""What a chapter's kernel takes: memory that can't be given back, looked at again and again, and its resident size.

Pages of a file that is mapped, such as a library, are read again when they are wanted: how many are resident depends on
the build and on what else the machine does. Nobody is stopped for them. Linux keeps no peak of the rest: it is sampled.
"""

import re
import resource
import sys
import threading
from collections.abc import Iterator
from glob import glob
from pathlib import Path

SECONDS = 0.02  # between two looks: what is freed sooner may be missed
HELD = re.compile(r"^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB$", re.MULTILINE)


class Held(threading.Thread):
    """Within its block, looks at the children that this process starts there: the most that they held at one look.

    Anonymous and shared memory, and what of it was swapped out. `megabytes` is None where no `/proc` tells (macOS).
    """

    def __init__(self):
        super().__init__(daemon=True)
        self._most, self._over = 0, threading.Event()
        self._elder = frozenset(_children())  # a browser that runs already is none of the block's

    def __enter__(self) -> "Held":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Look until the block is left."""
        while not self._over.wait(SECONDS):
            self._most = max(self._most, sum(map(_held, set(_children()) - self._elder)))

    @property
    def megabytes(self) -> int | None:
        """The most so far, in millions of bytes."""
        return round(self._most / 1e6) if self._most else None


def _children() -> Iterator[str]:
    for listed in glob("/proc/self/task/*/children"):
        yield from _read(listed).split()


def _held(process: str) -> int:
    """In bytes. Between fork and exec a child has its parent's memory, and its command line."""
    if _read(f"/proc/{process}/cmdline") == _read("/proc/self/cmdline"):
        return 0
    return 1024 * sum(map(int, HELD.findall(_read(f"/proc/{process}/status"))))


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # it has ended
        return ""


def resident_megabytes() -> int:
    """The largest resident size of a child that has ended. Linux counts in kilobytes of 1024, macOS in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e6)

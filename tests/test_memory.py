"""Memory that can't be given back: how a chapter's is measured and told, and what a pass over many images takes."""

import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from tools.memory import Held, resident_megabytes
from tools.stage import with_cost
from vsbook.checks import as_real

LINUX = sys.platform == "linux"  # elsewhere nobody tells what is held
SIZE = 100_000_000
BARE = "import sys, time; time.sleep(0.3)"
ALLOCATES = "import sys, time; held = bytearray(b'x') * int(sys.argv[1]); time.sleep(0.3); del held; time.sleep(0.3)"
MAPS = """
import mmap, sys, time
with open(sys.argv[2], "rb") as file:
    pages = mmap.mmap(file.fileno(), int(sys.argv[1]), access=mmap.ACCESS_READ)
assert len(pages[::4096]) > 0  # each page was read
time.sleep(0.3)
"""
PASSES = """
import numpy as np, sys
from torch import nn
from vsbook.networks.outputs import output_statistics
from vsbook.networks.outputs import logits
model, images = nn.Sequential(nn.Linear(784, 10)).double().eval(), np.zeros((50_000, 784), np.float32)
output_statistics(model, images[:2000], progress=False), logits(model, images[:2000])
"""


def held_by(code: str, *arguments: str) -> int | None:
    """Megabytes that a Python with that code held at most."""
    with Held() as held:
        subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    return held.megabytes


@pytest.fixture(scope="module")
def library() -> str:
    """A large file that is on a disk, and no copy in memory."""
    return str(max(Path(torch.__file__).parent.glob("lib/*"), key=lambda path: path.stat().st_size))


def test_what_is_allocated_is_held_and_what_is_mapped_is_not(library):
    bare, full, mapped = (held_by(code, str(SIZE), library) for code in (BARE, ALLOCATES, MAPS))
    assert resident_megabytes() > SIZE / 1e6
    if not LINUX:
        assert bare is full is mapped is None
        return
    assert 0 < bare < SIZE / 1e6
    # a look sees counters that lag by 64 pages a processor at most, and a Python its size rounded to pages
    assert abs(full - bare - SIZE / 1e6) <= 5
    assert abs(mapped - bare) <= 5 < resident_megabytes() - bare


@pytest.mark.skipif(not LINUX, reason="elsewhere nobody tells what is held")
def test_a_child_that_has_not_begun_its_program_does_not_count():
    """Until then it has the memory of the process that starts it: a busy machine may leave it there for a while."""
    own = bytearray(b"x") * SIZE
    with Held() as held:
        subprocess.run([sys.executable, "-c", BARE], check=True, preexec_fn=lambda: time.sleep(0.3))
    assert 0 < held.megabytes < len(own) / 1e6


def test_a_child_that_ran_before_does_not_count():
    """As the browser of other tests, whose size is more than what is looked for."""
    code = ALLOCATES.replace("; time", "; print(len(held), flush=True); time", 1).replace("0.3", "60")
    with subprocess.Popen([sys.executable, "-c", code, str(SIZE)], stdout=subprocess.PIPE) as elder:
        assert int(elder.stdout.readline()) == SIZE
        bare = held_by(BARE)
        elder.kill()
    if LINUX:
        assert 0 < bare < SIZE / 1e6


def test_without_a_child_nothing_is_held():
    with Held() as held:
        pass
    assert held.megabytes is None


@pytest.mark.parametrize("said", ["output_statistics(model, images, progress=False)", "logits(model, images)"])
def test_a_pass_over_many_images_holds_a_batch_of_them(said):
    """Not all of them: in float64 they are 314 MB, their outputs 4 MB, and a batch is 6 MB."""
    few, many = held_by(PASSES), held_by(f"{PASSES}{said}")
    if LINUX:
        assert many - few < 314 / 4


@pytest.mark.parametrize("infinities", [False, True])
def test_finite_numbers_are_told_without_a_mask(infinities):
    """As long as their sum is finite; where it isn't, each is looked at."""
    array = np.ones((1000, 1000), np.float32)
    as_real(array[:1], "images", infinities)  # what the first call imports doesn't count
    tracemalloc.start()
    as_real(array, "images", infinities)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.size / 10  # a mask has a byte for each


def test_large_finite_numbers_are_let_in():
    """Whose sum is infinite."""
    for dtype in (np.float16, np.float32, np.float64):
        huge = np.full(1000, np.finfo(dtype).max)
        assert as_real(huge, "images") is huge


def page(held: int | None) -> str:
    cost = {"seconds": 12.3, "threads": 1, "held_mb": held, "resident_mb": 1400}
    return with_cost({"cells": [], "metadata": {"vsbook": cost}})["cells"][-1]["source"]


def test_the_page_tells_both_sizes_in_one_sentence():
    assert "held up to 900 MB of memory that can't be given back (resident: up to 1400 MB)." in page(900)


def test_the_page_says_what_could_not_be_measured():
    assert "had up to 1400 MB of memory resident; how much of it can't be given back, only Linux tells." in page(None)

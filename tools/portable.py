"""`python -m tools.portable [MACHINE ...]`: the numbers under other processors' kernels, and a table of what passed.

A processor is simulated by what the numerical libraries are told to use. What really ran is asked of the libraries.
For each machine: all chapters compared with their references, the tests in which numbers are computed, and with them
each claim of the ledger measured again.
"""

import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tools.compare import compare
from tools.project import BuildError, Project, threads

console = Console(highlight=False, soft_wrap=True)

# Tests of texts, pages, files and the build: no processor has a part in them.
ASIDE = {
    *(
        "api",
        "build",
        "claims",
        "command_line",
        "contract",
        "data",
        "execute",
        "html",
        "ledger",
        "matrix",
        "memory",
        "mutants",
        "notebooks",
        "pages",
    ),
    *("plots", "portable", "power", "shapes", "summary", "surveys", "wheel", "workflows"),
}
OLD, MIDDLE, NEW = "default", "avx2", "avx512"  # PyTorch's names for three generations of instruction sets
LIBRARIES = {  # the same generations in oneDNN's and MKL's words, and what the processor must have
    OLD: ("SSE41", "SSE4_2", "sse4_2"),
    MIDDLE: ("AVX2", "AVX2", "avx2"),
    NEW: ("AVX512_CORE", "AVX512", "avx512f"),
}
SUBSTITUTES = {"Zen": "Haswell"}  # the kernels that an OpenBLAS takes which was built without those of a processor


@dataclass(frozen=True)
class Machine:
    """Kernels by generation, OpenBLAS' name of the processor, and how many threads add up sums."""

    generation: str | None  # None: whatever this processor has
    core: str | None
    threads: int

    @property
    def environment(self) -> dict[str, str]:
        """The variables that the libraries read when they are imported."""
        chosen = threads(self.threads) | {"PYTHONHASHSEED": "0"}
        if self.core:
            chosen["OPENBLAS_CORETYPE"] = self.core
        if self.generation:
            onednn, mkl, _ = LIBRARIES[self.generation]
            chosen |= {"ATEN_CPU_CAPABILITY": self.generation, "ONEDNN_MAX_CPU_ISA": onednn}
            chosen |= {"MKL_ENABLE_INSTRUCTIONS": mkl, "NPY_DISABLE_CPU_FEATURES": " ".join(beyond(self.generation))}
        return chosen

    def got(self, kernels: str) -> bool:
        """Whether the libraries say that they use what they were told to; where there is no OpenBLAS, the others."""
        cores = "OpenBLAS none", self.core or "", SUBSTITUTES.get(self.core, "OpenBLAS none")
        core = any(name.lower() in kernels.lower() for name in cores)
        return core and (self.generation is None or f"pytorch {self.generation}" in kernels.lower())

    @property
    def lacking(self) -> str:
        """What this processor would need to simulate it; empty where it can."""
        if self.generation is None:
            return ""
        if self.core == "ARMV8":
            return "" if _on_arm() else "an Arm processor"
        needed = LIBRARIES[self.generation][2]
        return "" if not _on_arm() and needed in _instruction_sets() else f"an x86 processor with {needed}"


MACHINES = {
    "native": Machine(None, None, 2),
    "nehalem": Machine(OLD, "Nehalem", 1),
    "sandybridge": Machine(OLD, "Sandybridge", 4),
    "haswell": Machine(MIDDLE, "Haswell", 2),
    "zen": Machine(MIDDLE, "Zen", 1),
    "skylakex": Machine(NEW, "SkylakeX", 4),
    "mixed": Machine(NEW, "Nehalem", 1),  # none such was built: each library by itself
    "arm": Machine(OLD, "ARMV8", 1),
}


def foreign() -> str:
    """The first simulated machine that this processor can play."""
    return next(name for name, machine in MACHINES.items() if machine.generation and not machine.lacking)


def _on_arm() -> bool:
    return platform.machine().lower() in ("arm64", "aarch64")


def _instruction_sets() -> set[str]:
    """As Linux names them; elsewhere the oldest generation is taken to be there."""
    info = Path("/proc/cpuinfo")
    flags = re.search(r"^flags\s*:(.*)$", info.read_text(), re.MULTILINE) if info.is_file() else None
    return set(flags[1].split()) if flags else {LIBRARIES[OLD][2]}


def beyond(generation: str) -> list[str]:
    """NumPy's own kernels that a processor of that generation lacks, of those that are on here."""
    from numpy._core import _multiarray_umath as numpy_kernels

    on = [name for name in numpy_kernels.__cpu_dispatch__ if numpy_kernels.__cpu_features__[name]]
    newest = [name for name in on if re.search("512|V4", name)]
    return {OLD: on, MIDDLE: newest, NEW: []}[generation]


@dataclass
class Outcome:
    """What came of one machine: the kernels it got, checks that passed, and those that failed, by name."""

    kernels: str = ""
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    minutes: float = 0.0


KERNELS = """
import numpy, scipy.linalg, torch, threadpoolctl
from numpy._core import _multiarray_umath as kernels
blas = sorted({i["architecture"] for i in threadpoolctl.threadpool_info() if i.get("internal_api") == "openblas"})
simd = [name for name in kernels.__cpu_dispatch__ if kernels.__cpu_features__[name]][-1:] or ["baseline"]
mkldnn = "with oneDNN" if torch.backends.mkldnn.is_available() else "without oneDNN"
print(f"OpenBLAS {'/'.join(blas) or 'none'}, NumPy {simd[0]}, PyTorch {torch.backends.cpu.get_cpu_capability()}"
      f" {mkldnn}, threads: {torch.get_num_threads()}")
"""


def run(project: Project, name: str, chapters: Iterable[str], tests: list[str]) -> Outcome:
    """One machine: its kernels, the chapters compared with their references, and pytest with these arguments."""
    machine, started = MACHINES[name], time.perf_counter()
    there = replace(project, made=project.root / "_build" / "portable" / name)
    there.executed.mkdir(parents=True, exist_ok=True)
    found = Outcome(_call(project, [sys.executable, "-c", KERNELS], machine).stdout.strip())
    found.failed += [] if machine.got(found.kernels) else ["the libraries took other kernels than those asked for"]
    console.print(f"{name}: {found.kernels}")
    for chapter in chapters:
        complaint = _chapter(there, chapter, machine)
        found.passed += not complaint
        found.failed += [f"notebooks/{chapter}.md"] * bool(complaint)
        console.print(f"{name}: {chapter} {'differs' if complaint else 'agrees'}")
    _tests(there, tests, machine, found)
    found.minutes = (time.perf_counter() - started) / 60
    console.print(f"{name}: {found.passed} passed, {len(found.failed)} failed in {found.minutes:.1f} min")
    return found


def _call(project: Project, command: list[str], machine: Machine) -> subprocess.CompletedProcess:
    environment = os.environ | machine.environment
    return subprocess.run(command, cwd=project.root, env=environment, text=True, capture_output=True)


def _chapter(project: Project, chapter: str, machine: Machine) -> str:
    """Execute and compare; what went wrong, also written to a log, or nothing."""
    project.output(chapter).unlink(missing_ok=True)
    command = [sys.executable, "-m", "tools.execute", chapter, "portable", str(project.build), str(machine.threads)]
    complaint = _call(project, command, machine).stderr
    if project.output(chapter).is_file():
        try:
            compare(project, chapter)
            return ""
        except BuildError as error:
            complaint = str(error)
    (project.build / f"{chapter}.log").write_text(complaint)
    return complaint or "no output"


def _tests(project: Project, arguments: list[str], machine: Machine, found: Outcome) -> None:
    """Pytest under the machine's kernels; its report goes to a log beside the chapters."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    done = _call(project, command, machine)
    said = done.stdout
    (project.build / "pytest.log").write_text(said)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", said.strip()[-300:])}
    found.passed += counts.get("passed", 0)
    broken = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    unnamed = done.returncode and not broken  # it stopped in the midst, or never began
    found.failed += [f"pytest itself: {project.build / 'pytest.log'}"] if unnamed or not counts else broken


def numeric_tests(project: Project) -> list[str]:
    """The test files in which numbers are computed."""
    files = sorted((project.root / "tests").rglob("test_*.py"))
    return [str(file) for file in files if file.stem.removeprefix("test_") not in ASIDE]


def table(outcomes: dict[str, Outcome]) -> Table:
    """Machine, kernels, passed, failed, minutes."""
    shown = Table(*("machine", "what it got", "passed", "failed", "minutes"))
    for name in MACHINES:
        if name in outcomes:
            found = outcomes[name]
            shown.add_row(name, found.kernels, str(found.passed), str(len(found.failed)), f"{found.minutes:.1f}")
        elif MACHINES[name].lacking:
            shown.add_row(name, f"not run: it needs {MACHINES[name].lacking}", "", "", "")
    return shown


def main(wanted: list[str]) -> int:
    """The wanted machines, or all that this processor can play, two at a time; the exit status."""
    unknown = [name for name in wanted if name not in MACHINES]
    lacking = [f"{name} needs {MACHINES[name].lacking}" for name in wanted if not unknown and MACHINES[name].lacking]
    if unknown or lacking:
        console.print(f"expected machines out of {', '.join(MACHINES)}; {', '.join(lacking or unknown)}: name another")
        return 2
    project = Project(Path.cwd())
    names = wanted or [name for name, machine in MACHINES.items() if not machine.lacking]
    tests = numeric_tests(project)
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        outcomes = dict(zip(names, pool.map(lambda n: run(project, n, project.chapters, tests), names), strict=True))
    Console().print(table(outcomes))
    for name, found in outcomes.items():
        for broken in found.failed:
            console.print(f"{name}: failed {broken}")
    return int(any(found.failed for found in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

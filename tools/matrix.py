"""`python -m tools.matrix [ENVIRONMENT …]`: the tests on each Python, and with the oldest dependencies.

Each environment is made in `_build/matrix`, runs a part of the tests, and is removed again: with PyTorch it is large.
"""

import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from tools.project import BuildError, Project

# Files that don't run here, and why. All the others do, those of the numbers and those of the doors.
LEFT_OUT = {
    "test_api": "looks at the built book",
    "test_build": "builds books",
    "test_html": "drives a browser through the built book",
    "test_notebooks": "looks at the built book",
    "test_pages": "looks at the built book",
    "test_mutants": "tests the tests",
    "test_portable": "runs chapters and measures the ledger again",
    "test_figure3": "measures the ledger again, whose numbers are those of the pins",
    "test_observations": "measures the ledger again",
    "test_results": "measures the ledger again",
    "test_summary": "compares a picture with one that the pinned Matplotlib drew",
}


RESOLUTIONS = {  # what uv is told: the pins, the oldest that pyproject.toml allows, or the newest
    "pinned": ["-c", "constraints.txt"],
    "oldest": ["--resolution", "lowest-direct"],
    "newest": ["--upgrade"],
}


@dataclass(frozen=True)
class Environment:
    """A Python, and how its dependencies are chosen: a name of `RESOLUTIONS`."""

    python: str
    dependencies: str

    @property
    def warnings(self) -> list[str]:
        """What pytest is told: old packages beside new ones use what these have deprecated since."""
        return ["-W", "ignore::DeprecationWarning"] if self.dependencies == "oldest" else []


ENVIRONMENTS = {
    "3.11": Environment("3.11", "pinned"),
    "3.12": Environment("3.12", "pinned"),
    "3.13": Environment("3.13", "pinned"),
    "lowest": Environment("3.11", "oldest"),
    "newest": Environment("3.13", "newest"),  # only where it is asked for: it changes from day to day
}


def uv() -> str:
    """The uv beside this Python, or the one on the PATH."""
    found = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if not found:
        raise BuildError("uv: expected beside this Python or on the PATH, found none; python -m pip install uv")
    return found


def find_python(version: str) -> str:
    """An interpreter of that version: pyenv's, whose shims uv can't see through, or whatever uv finds."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for python in sorted(versions.glob(f"{version}.*/bin/python")):
        return str(python)
    command = [uv(), "python", "find", "--no-python-downloads", "--no-project", "--system", version]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(
            f"Python {version}: expected one on this machine, found none; install it, for example with "
            f"`{uv()} python install {version}`, or leave that environment out"
        )
    return done.stdout.strip()


def commands(project: Project, name: str, python: str, backend: str = "") -> list[list[str]]:
    """Make the environment, check it, run the tests."""
    environment, folder = ENVIRONMENTS[name], project.build / "matrix" / name
    inside = str(folder / "bin" / "python")
    backends = [f"--torch-backend={backend}"] if backend else []
    tests = [path for path in sorted((project.root / "tests").rglob("test_*.py")) if path.stem not in LEFT_OUT]
    report = f"--junitxml={report_of(project, name)}"
    return [
        [uv(), "venv", "--quiet", "--clear", "--python", python, str(folder)],
        [
            uv(),
            "pip",
            "install",
            "--quiet",
            "--python",
            inside,
            *RESOLUTIONS[environment.dependencies],
            *backends,
            "-e",
            ".[book,test]",
        ],
        [uv(), "pip", "check", "--quiet", "--python", inside],
        [inside, "-m", "pytest", "-p", "no:cacheprovider", *environment.warnings, report, *map(str, tests)],
    ]


def report_of(project: Project, name: str) -> Path:
    """Where pytest says what came out."""
    return project.build / "matrix" / f"{name}.xml"


def counts(report: Path) -> tuple[int, int, int]:
    """How many tests passed, failed (or could not start) and were skipped, by pytest's report."""
    suite = ET.parse(report).getroot().find("testsuite")
    total, failures, errors, skipped = (int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped"))
    return total - failures - errors - skipped, failures + errors, skipped


def run(project: Project, name: str) -> list[str]:
    """One row of the table; the environment is removed whatever happens."""
    start, folder = time.perf_counter(), project.build / "matrix" / name
    report = report_of(project, name)
    report.unlink(missing_ok=True)
    *preparing, testing = commands(
        project, name, find_python(ENVIRONMENTS[name].python), os.environ.get("TORCH_BACKEND", "")
    )
    try:
        for command in preparing:
            if subprocess.run(command, cwd=project.root).returncode:
                return [name, "-", "-", "-", f"no environment: {' '.join(command[1:3])} failed, as it says above"]
        status = subprocess.run(testing, cwd=project.root).returncode
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    outcome = {0: "passed", 1: "failed"}.get(status, f"pytest ended with status {status}")
    numbers = map(str, counts(report)) if report.is_file() else "---"
    return [name, *numbers, f"{outcome} in {time.perf_counter() - start:.0f} s"]


def table(rows: list[list[str]]) -> str:
    """Columns of text, aligned."""
    rows = [["environment", "passed", "failed", "skipped", "outcome"], *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def main(names: list[str], project: Project) -> int:
    """The environments one after another, a table of them all, and a status that is 0 if all passed."""
    unknown = set(names) - set(ENVIRONMENTS)
    if unknown:
        raise BuildError(f"expected some of {', '.join(ENVIRONMENTS)}, got {', '.join(sorted(unknown))}; choose those")
    chosen = names or [name for name in ENVIRONMENTS if name != "newest"]
    for name in chosen:
        find_python(ENVIRONMENTS[name].python)  # to know now, and not after the first hour
    rows = []
    for name in chosen:
        print(f"{name}: an environment of its own, and the tests in it", flush=True)
        rows.append(run(project, name))
    print(table(rows))
    return 0 if all(row[-1].startswith("passed") for row in rows) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:], Project(Path.cwd())))
    except BuildError as error:
        sys.exit(str(error))

"""Where things stand: the one place that knows the folders."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import file_digest, sha256
from pathlib import Path

import yaml


class BuildError(Exception):
    """The book cannot be built; the message says what was expected, what came and what to do."""


@dataclass(frozen=True)
class Project:
    """A checkout of the book and its folders."""

    root: Path
    made: Path | None = None  # another place for what is made

    @property
    def build(self) -> Path:
        """Everything that is made; `make clean` removes it."""
        return self.made or self.root / "_build"

    @property
    def notebooks(self) -> Path:
        """The text notebooks (the truth) and their references."""
        return self.root / "notebooks"

    @property
    def executed(self) -> Path:
        """The notebooks as they ran, with their figures: what is rendered, and what nbval checks again."""
        return self.build / "executed"

    @cached_property
    def config(self) -> dict:
        """The book's settings, `_config.yml`."""
        return yaml.safe_load((self.root / "_config.yml").read_text())

    @cached_property
    def chapters(self) -> list[str]:
        """Names of the notebooks, in reading order."""
        listed = [page.removeprefix("notebooks/") for page in self.pages if page.startswith("notebooks/")]
        present = {text.stem for text in self.notebooks.glob("*.md")}
        if set(listed) != present:
            raise BuildError(
                "_toc.yml and notebooks/*.md must name the same chapters.\n"
                f"  listed, but no such file: {sorted(set(listed) - present)}\n"
                f"  a file, but not listed:   {sorted(present - set(listed))}"
            )
        return listed

    @cached_property
    def pages(self) -> list[str]:
        """All pages of `_toc.yml`, in reading order."""
        return list(_files(yaml.safe_load((self.root / "_toc.yml").read_text())))

    def text(self, name: str) -> Path:
        """The text notebook of a chapter."""
        return self.notebooks / f"{name}.md"

    def reference(self, name: str) -> Path:
        """The committed notebook that the outputs are compared with."""
        return self.notebooks / f"{name}.ipynb"

    def output(self, name: str) -> Path:
        """The executed notebook."""
        return self.executed / f"{name}.ipynb"


def _files(entry: dict) -> Iterable[str]:
    """Page names in a table of contents, depth first."""
    for key in ("root", "file"):
        if key in entry:
            yield entry[key]
    for key in ("parts", "chapters", "sections"):
        for child in entry.get(key, []):
            yield from _files(child)


def digest(paths: Iterable[Path], *words: str) -> str:
    """One hash over file names, file contents and words."""
    total = sha256("\0".join(words).encode())
    for path in sorted(paths):
        with path.open("rb") as file:
            total.update(f"{path.name}\0{file_digest(file, 'sha256').hexdigest()}\0".encode())
    return total.hexdigest()


def files_under(*folders: Path) -> list[Path]:
    """All files below the folders, without what Python leaves behind."""
    found = (path for folder in folders for path in folder.rglob("*"))
    return [path for path in found if path.is_file() and "__pycache__" not in path.parts]


def write_whole(path: Path, text: str) -> None:
    """Write beside, then move into place: whoever is interrupted leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    beside.replace(path)


def threads(count: int) -> dict[str, str]:
    """The environment in which numerical libraries use that many. Those that wait for each other sleep.

    Where there are more threads than cores, waiting awake takes the core from the one that is waited for.
    """
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return dict.fromkeys(names, str(count)) | {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_THREAD_TIMEOUT": "4"}

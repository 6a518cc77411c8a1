"""One run of a survey: an entry of a file of observations, and what makes it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vsbook.files import write_beside


@dataclass(frozen=True)
class Run:
    """Where an entry stands: a whole file, or what a file has under a key.

    `make` returns it; it is given the whole ResNet18 of a seed, where `seed` names one.
    """

    path: Path
    make: Callable
    key: str = ""
    seed: int | None = None

    @property
    def name(self) -> str:
        """The file, and the key in it."""
        return f"{self.path.name}: {self.key}" if self.key else self.path.name

    def missing(self) -> bool:
        """Whether it is not on file."""
        return not self.path.is_file() or bool(self.key and self.key not in json.loads(self.path.read_text()))

    def write(self, entry) -> None:
        """Put it on file at once, beside what is there."""
        if self.key:
            there = json.loads(self.path.read_text()) if self.path.is_file() else {}
            entry = there | {self.key: entry}
        write(self.path, entry)


def write(path: Path, entry) -> None:
    """As JSON, beside and then into place."""
    write_beside(path, (json.dumps(entry, indent=1) + "\n").encode())

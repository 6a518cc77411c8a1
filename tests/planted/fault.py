"""What a planted fault is."""

from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent.parent


@dataclass(frozen=True)
class Fault:
    """In this room this text, which stands there once, becomes that text, and these tests see it."""

    room: str
    right: str
    wrong: str
    tests: tuple[str, ...]


def faults(room: str, file: str, texts: dict[str, tuple[str, ...]]) -> dict[str, Fault]:
    """The faults of one room by name: the right text, the wrong one, and tests of that file.

    A test of another file is named after it and a slash.
    """

    def found(name):
        test, bracket, case = name.partition("[")
        where, _, test = test.rpartition("/")
        (path,) = TESTS.rglob(f"test_{where or file}.py")
        return f"{path.relative_to(TESTS.parent)}::test_{test}{bracket}{case}"

    return {name: Fault(room, right, wrong, tuple(map(found, tests))) for name, (right, wrong, *tests) in texts.items()}

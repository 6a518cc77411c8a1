"""Planted faults: each is put into a copy of the source, and the ordinary tests named beside it must fail there.

The first ones were found in respected places (in the paper's own code, in a lecture, in libraries); the others are the
mistakes that these rooms invite. A test that fails for another reason shows nothing, so the copy without a fault must
pass all of them.
"""

from pathlib import Path

import pytest

import vsbook
from tests.forks import warm_python
from tests.planted import FAULTS, ROOMS

ROOT = Path(vsbook.__file__).parent.parent


def linked(folder, name):
    """The Python of this folder, file by file under names of the copy, so that a module there knows no other place.

    What was compiled is linked too: Python reads it where a source is as it was, and compiles what was changed.
    """
    for path in (ROOT / name).rglob("*.py*"):
        if path.name != "conftest.py" and "assets" not in path.parts:
            place = folder / path.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)


@pytest.fixture
def copy(tmp_path):
    """The source, the tests and the evidence as they stand, by links."""
    linked(tmp_path, "vsbook")
    linked(tmp_path, "tests")
    for name in ("pyproject.toml", "evidence", "vsbook/assets"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.fixture(scope="module")
def run():
    """A function of a copy and its tests: pytest's exit status there (0 passed, 1 failed) and what it said."""
    with warm_python() as python:

        def ask(folder, tests):
            done = python(
                folder, folder, "pytest", "-x", "-p", "no:cacheprovider", "--tb=line", "--assert=plain", *tests
            )
            return done.returncode, done.stdout + done.stderr

        yield ask


def test_no_fault_has_the_name_of_another():
    assert len(FAULTS) == sum(map(len, ROOMS))


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(copy, name, run):
    fault = FAULTS[name]
    (source,) = (copy / "vsbook").rglob(f"{fault.room}.py")
    text = source.read_text(encoding="utf-8")
    assert text.count(fault.right) == 1, "the text to be mutated stands there once"
    source.unlink()  # the link, not what it leads to
    source.write_text(text.replace(fault.right, fault.wrong), encoding="utf-8")
    status, said = run(copy, fault.tests)
    assert status == 1, said
    assert "failed" in said
    assert " error" not in said.splitlines()[-1], said


def test_without_a_fault_the_same_tests_pass(copy, run):
    every = sorted({test for fault in FAULTS.values() for test in fault.tests})
    where = copy / "tests" / "test_where.py"  # is it the copy that is tested?
    where.write_text(f"import vsbook\n\n\ndef test_where():\n    assert vsbook.__file__.startswith({str(copy)!r})\n")
    every.append("tests/test_where.py")
    status, said = run(copy, every)
    assert status == 0, said

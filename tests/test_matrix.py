"""The tests in other environments: what is installed and run in which, and what the table says of it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import matrix
from tools.matrix import ENVIRONMENTS, LEFT_OUT, commands, counts, find_python, main, table
from tools.project import BuildError, Project

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def no_uv(monkeypatch):
    """In the environments that these tests run in too there is none: a program that fails stands for it."""
    monkeypatch.setattr(matrix, "uv", lambda: "false")


def test_every_python_that_is_declared_has_an_environment_and_the_oldest_one_the_oldest_packages():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [c.rpartition(" ")[2] for c in pyproject["classifiers"] if "Python :: 3." in c]
    assert [e.python for e in ENVIRONMENTS.values() if e.dependencies == "pinned"] == declared
    assert ENVIRONMENTS["lowest"].python == declared[0] == pyproject["requires-python"].removeprefix(">=")


def test_every_requirement_has_a_lower_bound():
    """Or the oldest that is allowed would be the first that ever was."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in sum(pyproject["optional-dependencies"].values(), pyproject["dependencies"]):
        requirement = Requirement(line)
        assert requirement.name == "vsbook" or ">=" in str(requirement.specifier), line


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("3.12", ["-c", "constraints.txt"]),
        ("lowest", ["--resolution", "lowest-direct"]),
        ("newest", ["--upgrade"]),
    ],
)
def test_what_is_installed(name, told):
    make, install, check, _ = commands(Project(ROOT), name, "/a/python", "cpu")
    inside = str(ROOT / "_build" / "matrix" / name / "bin" / "python")
    assert make[1:] == ["venv", "--quiet", "--clear", "--python", "/a/python", str(Path(inside).parent.parent)]
    assert install[1:] == [
        *("pip", "install", "--quiet", "--python", inside, *told),
        *("--torch-backend=cpu", "-e", ".[book,test]"),
    ]
    assert check[1:3] == ["pip", "check"]
    assert inside in check
    assert not any("torch-backend" in word for word in commands(Project(ROOT), name, "/a/python")[1])


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_what_is_run(name):
    """Every file but those left out; deprecations are errors, but among old packages."""
    testing = commands(Project(ROOT), name, "/a/python")[-1]
    run = {Path(word).stem for word in testing if word.endswith(".py")}
    assert run | set(LEFT_OUT) == {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert not run & set(LEFT_OUT)
    assert ("ignore::DeprecationWarning" in testing) is (name == "lowest")


def test_a_python_that_is_nowhere_is_an_error_with_a_remedy(monkeypatch, tmp_path, capsys):
    with pytest.raises(BuildError, match=r"^Python 3\.99: expected one .* found none; install it, .*python install 3"):
        find_python("3.99")
    monkeypatch.setitem(ENVIRONMENTS, "nowhere", matrix.Environment("3.99", "pinned"))
    with pytest.raises(BuildError, match="leave that environment out"):
        main([], Project(tmp_path))
    assert capsys.readouterr().out == "", "nothing has been run"


def test_pyenvs_pythons_are_found(monkeypatch, tmp_path):
    python = tmp_path / "versions" / "3.99.1" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert find_python("3.99") == str(python)


def test_an_unknown_environment_is_an_error():
    with pytest.raises(BuildError, match=r"expected some of 3\.11, .*, got 3\.9; choose those"):
        main(["3.9"], Project(ROOT))


TESTS = """
import pytest
def test_good(): pass
def test_bad(): assert False
def test_worse(nothing): pass
def test_other(): pytest.skip()
"""


def here(project, name, python, backend=""):
    """In the place of a new environment, this one."""
    folder = project.build / "matrix" / name
    folder.mkdir(parents=True)
    test = ["-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={matrix.report_of(project, name)}", "test_it.py"]
    return [[sys.executable, "-c", "pass"], [python, *test]]


def run(tmp_path, monkeypatch, source) -> tuple[int, Project]:
    (tmp_path / "test_it.py").write_text(source)
    monkeypatch.setattr(matrix, "commands", here)
    monkeypatch.setattr(matrix, "find_python", lambda version: sys.executable)
    return main(["3.12"], Project(tmp_path))


@pytest.mark.parametrize(
    ("source", "status", "row"),
    [
        (TESTS, 1, ["3.12", "1", "2", "1", "failed"]),
        ("def test(): pass", 0, ["3.12", "1", "0", "0", "passed"]),
        ("", 1, ["3.12", "0", "0", "0", "pytest"]),
        ("import nothing_of_that_name", 1, ["3.12", "0", "1", "0", "pytest"]),
    ],
    ids=["some fail", "all pass", "no tests", "no import"],
)
def test_the_table_and_the_status_say_what_came_out(tmp_path, monkeypatch, capfd, source, status, row):
    assert run(tmp_path, monkeypatch, source) == status
    assert capfd.readouterr().out.splitlines()[-1].split()[:5] == row
    assert [path.name for path in (tmp_path / "_build" / "matrix").iterdir()] == ["3.12.xml"], "the environment is gone"


def test_an_environment_that_cannot_be_made_is_a_failure(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(matrix, "find_python", lambda version: sys.executable)
    monkeypatch.setattr(matrix, "commands", lambda *_: [[sys.executable, "-c", "exit(1)"], ["never"]])
    assert main(["3.12"], Project(tmp_path)) == 1
    assert "no environment: -c exit(1) failed" in capfd.readouterr().out


def test_the_columns_of_the_table_are_aligned():
    lines = table(
        [["3.11", "1000", "0", "0", "passed in 9 s"], ["lowest", "1", "22", "0", "failed in 9 s"]]
    ).splitlines()
    assert [line.index(word) for line, word in zip(lines, ("outcome", "passed", "failed"), strict=True)] == [38, 38, 38]


def test_counts_are_pytests(tmp_path):
    (tmp_path / "test_it.py").write_text(TESTS)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", "test_it.py"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert counts(report) == (1, 2, 1)
    assert "1 failed, 1 passed, 1 skipped, 1 error" in said

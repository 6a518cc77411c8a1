"""The pipeline on a book of one chapter: what it runs, what it refuses, what it repairs."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tools.__main__ import book, execute_all, references
from tools.keys import execution_key, package_files
from tools.notebooks import CHECKED, install_source, prepare
from tools.project import BuildError, Project
from tools.render import render
from tools.stage import without_solutions

ROOT = Path(__file__).parent.parent
CHECKED_CELL = f"```{{code-cell}} ipython3\n:tags: [{CHECKED}]\n\nprint(1.25)\n```\n"
FRONT_MATTER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

"""


@pytest.fixture
def small(tmp_path) -> Project:
    """A book of one page and one chapter, with this book's settings and extension."""
    project = Project(tmp_path)
    shutil.copytree(ROOT / "book" / "_ext", tmp_path / "book" / "_ext")
    shutil.copytree(ROOT / "book" / "_static", tmp_path / "book" / "_static")
    for name in ("_config.yml", "constraints.txt", "CONTRIBUTING.md", "book/references.bib"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n- {file: notebooks/one}\n- {file: book/reproduction}\n"
    )
    (tmp_path / "book" / "index.md").write_text("# A book\n\nSee {doc}`../notebooks/one`.\n")
    (tmp_path / "book" / "reproduction.md").write_text("# Ledger\n\n```{ledger-cards}\n```\n")
    package = tmp_path / "vsbook"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "high.py").write_text("def late():\n    from vsbook.low import x\n    return x\n")
    (package / "low.py").write_text("x = 1\n")
    (package / "aside.py").write_text("y = 2\n")
    write_chapter(project, CHECKED_CELL)
    return project


def write_chapter(project: Project, *cells: str) -> None:
    """The chapter `one`, with these cells."""
    project.notebooks.mkdir(exist_ok=True)
    project.text("one").write_text(FRONT_MATTER + "# See one\n\n" + "\n\n".join(cells))


def code(source: str, tags: str = "") -> str:
    """A code cell in MyST."""
    return f"```{{code-cell}} ipython3\n:tags: [{tags}]\n\n{source}\n```\n"


def times(project: Project) -> list[int]:
    """When the executed notebook and the page were written."""
    return [path.stat().st_mtime_ns for path in (project.output("one"), project.build / "html" / "index.html")]


# --- what it does -----------------------------------------------------------------------------------------------


def test_book_is_built_once_and_repaired_after_an_interruption(small):
    references(small)
    book(small)
    first = times(small)
    book(small)
    assert times(small) == first, "nothing changed, so nothing is done"

    # an interruption: the page's folder is half moved and a worker left a half-written notebook beside
    shutil.rmtree(small.build / "html")
    (small.build / "html.work").mkdir()
    small.output("one").with_name("one.ipynb.new").write_text("{")
    book(small)
    assert times(small)[0] == first[0], "the executed notebook was whole and stays"
    assert "1.25" in (small.build / "html" / "notebooks" / "one.html").read_text()


def test_key_follows_text_imports_and_pins(small):
    write_chapter(small, code("from vsbook import high"))
    key = execution_key(small, "one")
    (small.root / "vsbook" / "aside.py").write_text("y = 3\n")
    assert execution_key(small, "one") == key, "a module that the chapter does not reach"
    for changed in ("vsbook/low.py", "vsbook/high.py", "vsbook/__init__.py", "constraints.txt", "notebooks/one.md"):
        with (small.root / changed).open("a") as file:
            file.write("\n")
        key, before = execution_key(small, "one"), key
        assert key != before, changed


def test_key_follows_the_ledger_only_where_it_is_read(small):
    (small.root / "vsbook" / "ledger.py").write_text("")
    for folder in ("results", "observations"):
        files = small.root / "evidence" / folder
        files.mkdir(parents=True)
        for source, depends in (("import vsbook.ledger", True), ("import vsbook.low", False)):
            write_chapter(small, code(source))
            before = execution_key(small, "one")
            (files / f"{depends}.json").write_text("{}")
            assert (execution_key(small, "one") != before) is depends


def test_imports_are_found_in_options_functions_and_lists(small):
    cell = "```{code-cell} ipython3\n---\ntags: [a]\n---\n%matplotlib inline\nfrom vsbook import (\n    high,\n)\n```\n"
    write_chapter(small, cell)
    found = {path.name for path in package_files(small, small.text("one"))}
    assert found == {"__init__.py", "high.py", "low.py"}


def test_a_name_that_a_wing_offers_is_that_of_its_room(small):
    wing = small.root / "vsbook" / "wing"
    wing.mkdir()
    (wing / "__init__.py").write_text("")
    (wing / "__init__.pyi").write_text("from .near import one\nfrom .far import two\n")
    (wing / "near.py").write_text("from vsbook.low import x as one\n")
    (wing / "far.py").write_text("two = 2\n")
    write_chapter(small, code("from vsbook.wing import one"))
    found = {str(path.relative_to(small.root / "vsbook")) for path in package_files(small, small.text("one"))}
    assert found == {"__init__.py", "wing/__init__.py", "wing/near.py", "low.py"}


def test_ids_stay_when_a_cell_is_put_before(small):
    write_chapter(small, code("a = 1"), code("b = 2"))
    before = {cell.source: cell.id for cell in prepare(small, "one").cells}
    write_chapter(small, code("new = 0"), code("a = 1"), code("b = 2"))
    after = {cell.source: cell.id for cell in prepare(small, "one").cells}
    assert before.items() <= after.items()


# --- what it refuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (code("1 / 0"), "ZeroDivisionError"),
        (code("import warnings\nwarnings.warn('beware')"), "wrote a warning(?s:.*)beware"),
        (code("print('never')", "skip-execution"), "was not executed"),
    ],
    ids=["failing cell", "warning", "cell that does not run"],
)
def test_bad_cell_fails_the_build(small, cell, message):
    write_chapter(small, CHECKED_CELL, cell)
    with pytest.raises(BuildError, match=message):
        execute_all(small)
    assert not small.output("one").exists()


def test_changed_digit_fails_the_build_and_shows_it(small):
    references(small)
    reference = small.reference("one")
    reference.write_text(reference.read_text().replace('"1.25\\n"', '"1.35\\n"'))
    with pytest.raises(BuildError, match=r"(?s)print\(1.25\).*-1.35\n\+1.25.*make references"):
        book(small)


def test_broken_references_fail_the_build_every_time(small):
    planted = {
        "{ref}`nowhere`": "undefined label: 'nowhere'",
        "{stated}`no-such-claim`": "no claim 'no-such-claim'",
        "{result}`fcnn1-condition-number:no.such:.2f`": "expected id:path.to.field:format",
    }
    references(small)
    (small.root / "book" / "index.md").write_text("# A book\n\n" + "\n\n".join(planted))
    for _ in range(2):
        with pytest.raises(BuildError) as raised:
            render(small, small.build / "html")
        assert all(message in str(raised.value) for message in planted.values())


def test_chapter_outside_the_table_of_contents_is_refused(small):
    (small.notebooks / "stray.md").write_text("# Stray")
    with pytest.raises(BuildError, match="stray"):
        execute_all(small)


def test_command_says_what_failed_and_exits_with_1(small):
    write_chapter(small, code("1 / 0"))
    done = subprocess.run(
        [sys.executable, "-m", "tools", "book"], cwd=small.root, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert "The build failed" in done.stdout
    assert "ZeroDivisionError" in done.stdout
    assert done.stderr == ""


# --- the book without solutions ---------------------------------------------------------------------------------


def test_solutions_are_dropped():
    texts = [
        "before\n\n```{solution-start} a\n:class: dropdown\n```\n\nsecret one",
        "secret two\n\n```{solution-end}\n```\n\nbetween",
        "````{solution} b\n\n```{note}\nsecret three\n```\n````\n\nafter",
    ]
    cells = [{"cell_type": "markdown", "source": text} for text in texts]
    cells.insert(1, {"cell_type": "code", "source": "secret = 4"})
    kept = [cell["source"].split() for cell in without_solutions({"cells": cells})["cells"]]
    assert kept == [["before"], ["between"], ["after"]]


def test_student_edition_holds_no_solution(project, html, tmp_path):
    render(project, tmp_path / "html", student=True)
    pages = [path.read_text() for path in (tmp_path / "html").rglob("*") if path.suffix in (".html", ".ipynb", ".js")]
    for name in project.chapters:
        given = json.loads((html / "_sources" / "notebooks" / f"{name}.ipynb").read_text())
        kept = json.loads((tmp_path / "html" / "_sources" / "notebooks" / f"{name}.ipynb").read_text())
        dropped = {cell["id"] for cell in given["cells"]} - {cell["id"] for cell in kept["cells"]}
        assert dropped, "a solution is executed: its cells are gone"
        for cell in given["cells"]:
            if cell["id"] in dropped and cell["cell_type"] == "code":
                assert not any(json.dumps("".join(cell["source"]))[1:-1] in page for page in pages)
    assert not any("Solution to" in page or "{solution" in page or "mybinder" in page for page in pages)


# --- the environments -------------------------------------------------------------------------------------------


def test_hidden_cell_installs_the_package_where_it_is_missing(project, tmp_path):
    """An environment like Colab's: the libraries are there, `vsbook` is not.

    The libraries are this environment's own, linked one by one without vsbook: nothing large is installed twice.
    """
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".git", ".venv", "_build", "__pycache__"))
    python = bare_environment(tmp_path)
    check = "import importlib.util as u; print(u.find_spec('vsbook'))"
    assert run_bare(python, check, tmp_path) == "None"

    use = "\nfrom vsbook.networks import data\nprint(data.__file__, len(data.mnist().test_labels))"
    file, count = run_bare(
        python, install_source(project) + use, tmp_path, VSBOOK_SOURCE=f"{clone}[invertible,widgets]"
    ).split()[-2:]
    assert Path(file).is_relative_to(tmp_path / "bare")
    assert int(count) == 10_000


def bare_environment(folder: Path) -> Path:
    """The interpreter of a new environment with every library but vsbook."""
    venv.create(folder / "bare", with_pip=True)
    (folder / "libraries").mkdir()
    for library in Path(sysconfig.get_path("purelib")).iterdir():
        if "vsbook" not in library.name and not library.name.startswith(("pip", "_virtualenv", "distutils")):
            (folder / "libraries" / library.name).symlink_to(library)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "bare" / "lib" / version / "site-packages"
    (site / "libraries.pth").write_text(f"{folder / 'libraries'}\n")
    return folder / "bare" / "bin" / "python"


def run_bare(python: Path, source: str, folder: Path, **variables: str) -> str:
    """What a program prints in the bare environment."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")} | variables
    done = subprocess.run([python, "-c", source], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_binder_installs_what_the_constraints_say(project):
    settings = yaml.safe_load((ROOT / "environment.yml").read_text())
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f">={settings['dependencies'][0].removeprefix('python=')}" == pyproject["requires-python"]
    assert settings["variables"] == {"UV_TORCH_BACKEND": "cpu"}
    assert "--torch-backend=cpu -c constraints.txt" in (ROOT / "postBuild").read_text()
    assert os.access(ROOT / "postBuild", os.X_OK)


def test_constraints_pin_every_requirement():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    for line in sum(pyproject["optional-dependencies"].values(), pyproject["dependencies"]):
        requirement = Requirement(line)
        if requirement.name == "vsbook":  # [book] has the package's own extras
            continue
        assert requirement.name in pins, requirement
        assert requirement.specifier.contains(pins[requirement.name]), requirement


def test_the_address_of_the_repository_stands_in_one_place(project):
    """And in the two files that an index makes its page of, which can't look it up; test_wheel holds them to it."""
    owner = project.config["repository"]["url"].removeprefix("https://")
    texts = [path for suffix in ("py", "md", "yml", "toml", "cff") for path in ROOT.rglob(f"*.{suffix}")]
    mine = [path for path in texts if not {".venv", "_build"} & set(path.relative_to(ROOT).parts)]
    names = {path.name for path in mine if owner in path.read_text()}
    assert names == {"_config.yml", "pyproject.toml", "README.md"}


def test_ci_runs_the_two_commands_of_the_readme_and_one_foreign_machine():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = ["make book", "make test", "make portable MACHINE=nehalem"]
    assert lines == ["#!/usr/bin/env bash", "set -euo pipefail", *commands]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    readme = (ROOT / "README.md").read_text()
    assert "make book" in readme
    assert "make test" in readme


def test_help_names_every_target():
    command = ["make", "--no-print-directory", "help"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = [
        "book",
        "test",
        "serve",
        "train",
        "survey",
        "results",
        "power",
        "portable",
        "bench",
        "lint",
        "references",
        "matrix",
        "student",
        "zip",
        "clean",
    ]
    assert [line.split()[1] for line in said.splitlines() if line.split()[1] != "help"] == targets


def test_one_variable_asks_for_cpu_builds():
    planned = ["make", "--no-print-directory", "-n", "-W", "constraints.txt", "book"]
    for variables, expected in (["TORCH_BACKEND=cpu"], True), ([], False):
        said = subprocess.run(planned + variables, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert ("--torch-backend=cpu" in said) is expected

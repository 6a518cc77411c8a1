"""The executed notebooks and their references: same sources, all checked cells run, budgets kept."""

import ast
import copy
import json
import re
import statistics
import sys
from pathlib import Path

import pytest

from tools.compare import cell_source, differences, unchecked
from tools.execute import refuse_gaps
from tools.keys import code_cells
from tools.notebooks import is_checked, prepare
from tools.project import BuildError, Project

ROOT = Path(__file__).parent.parent
CHAPTERS = Project(ROOT).chapters
SECONDS, HELD_MB, CELLS, MEDIAN_LINES, FUNCTION_LINES = 60, 1200, 25, 4, 10


@pytest.fixture(params=CHAPTERS)
def executed(request, project, html) -> dict:
    """Each rendered notebook in turn."""
    return json.loads(project.output(request.param).read_text())


@pytest.fixture(params=CHAPTERS)
def sources(request, project) -> list[str]:
    """The code cells of each text notebook in turn."""
    return code_cells(project.text(request.param).read_text())


@pytest.mark.parametrize("name", CHAPTERS)
def test_text_and_reference_have_the_same_sources(project, name):
    text = prepare(project, name)
    reference = json.loads(project.reference(name).read_text())
    assert [(cell["id"], cell["cell_type"], cell_source(cell)) for cell in reference["cells"]] == [
        (cell["id"], cell["cell_type"], cell["source"]) for cell in text["cells"]
    ], "`make references` writes the reference anew"


def test_checked_cells_ran(executed):
    assert unchecked(executed) == []


def test_reference_holds_checked_outputs_and_no_pictures(project):
    for name in CHAPTERS:
        reference = json.loads(project.reference(name).read_text())
        assert unchecked(reference) == []
        assert "image/" not in json.dumps(list(outputs_of(reference)))


def outputs_of(notebook: dict):
    """The kinds of all outputs."""
    return (list(output.get("data", ())) for cell in notebook["cells"] for output in cell.get("outputs", []))


def test_unexecuted_checked_cell_is_caught(executed):
    planted = copy.deepcopy(executed)
    cell = next(cell for cell in planted["cells"] if is_checked(cell))
    cell["execution_count"] = None
    assert len(unchecked(planted)) == 1
    with pytest.raises(BuildError, match="was not executed"):
        refuse_gaps(planted)


def test_notebook_that_checks_nothing_is_caught(executed):
    planted = {"cells": [cell for cell in executed["cells"] if not is_checked(cell)]}
    assert unchecked(planted) == ["no cell is checked"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_changed_digit_in_a_reference_is_caught(project, html, name):
    executed = json.loads(project.output(name).read_text())
    reference = json.loads(project.reference(name).read_text())
    assert differences(executed, reference) == []
    digits = [match for match in re.finditer(r"\d", json.dumps(checked_outputs(reference)))]
    assert digits, "a checked cell prints a number"
    for cell in filter(is_checked, reference["cells"]):
        cell["outputs"] = json.loads(with_other_digit(json.dumps(cell["outputs"])))
    assert differences(executed, reference)


def checked_outputs(notebook: dict) -> list:
    """Outputs of the checked cells."""
    return [cell["outputs"] for cell in notebook["cells"] if is_checked(cell)]


def with_other_digit(outputs: str) -> str:
    """The same text with the last digit of its last number changed; the execution count stays."""
    return re.sub(r"(.*\d?\.?)(\d)", lambda found: f"{found[1]}{(int(found[2]) + 1) % 10}", outputs, count=1)


def test_chapter_keeps_its_budget(executed):
    cost = executed["metadata"]["vsbook"]
    assert cost["threads"] == 1
    assert cost["seconds"] <= 3 * SECONDS
    assert (cost["held_mb"] is not None) == (sys.platform == "linux")  # others don't tell; Binder, which kills, is one
    assert (cost["held_mb"] or 0) <= HELD_MB


def test_heaviest_chapters_leave_a_fifth_of_the_memory_free(project, html):
    """For other builds of the libraries, which hold more before the first line has run."""
    for name in CHAPTERS:
        cost = json.loads(project.output(name).read_text())["metadata"]["vsbook"]
        assert (cost["held_mb"] or 0) <= 0.8 * HELD_MB, name


def test_cells_are_few_and_short(sources):
    assert len(sources) <= CELLS
    assert statistics.median(len(source.strip().splitlines()) for source in sources) <= MEDIAN_LINES


def test_functions_are_short(sources):
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno + 1
                assert length <= FUNCTION_LINES, f"{node.name}: {length} lines; longer functions belong in vsbook"

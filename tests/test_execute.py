"""How a chapter's cells are run: what a widget shows is kept, and the kernel is asked for nothing but its cells."""

import json

import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tools.execute import run
from tools.notebooks import KERNEL
from tools.project import BuildError

SHOWN = """\
from ipywidgets import Output
out = Output()
with out:
    for number in range(9):
        print(number, flush=True)
out"""
TOLD = "len(out.outputs)  # of what it shows a kernel knows only what it is told"


def notebook(*sources: str):
    """Cells of code."""
    return new_notebook(cells=[new_code_cell(source) for source in sources], metadata={"kernelspec": KERNEL})


def told(executed: dict) -> int:
    """What the second cell of the notebook above said."""
    return int(executed["cells"][1]["outputs"][0]["data"]["text/plain"])


def test_what_a_widget_shows_is_kept_and_not_told_to_the_kernel(tmp_path):
    executed = json.loads(json.dumps(run(notebook(SHOWN, TOLD), tmp_path)))
    states = executed["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    (shown,) = (state["state"]["outputs"] for state in states if state["model_name"] == "OutputModel")
    assert "".join(output["text"] for output in shown).split() == list("012345678")
    assert told(executed) == 0


def test_papermill_alone_tells_the_kernel(tmp_path):
    """The control: the fault that the first test is about is there. A cell of it may wait until its limit."""
    assert told(papermill.execute_notebook(notebook(SHOWN, TOLD), None, kernel_name="python3", execution_timeout=5)) > 0


def test_a_cell_that_takes_too_long_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("tools.execute.CELL_SECONDS", 1)
    with pytest.raises(BuildError, match="a cell took more than 1 s; make it shorter"):
        run(notebook("import time", "time.sleep(60)"), tmp_path)

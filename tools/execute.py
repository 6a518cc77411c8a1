"""Run one chapter and write what came of it: `python -m tools.execute NAME KEY BUILD THREADS`, a process of its own."""

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import papermill
from nbclient.output_widget import OutputWidget
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from tools.memory import Held, resident_megabytes
from tools.notebooks import as_text, prepare
from tools.project import BuildError, Project, threads, write_whole

if TYPE_CHECKING:
    from nbformat import NotebookNode

CELL_SECONDS = 180  # a whole chapter has a budget of 60


def execute(project: Project, name: str, key: str, count: int = 1) -> None:
    """Run the chapter, refuse warnings and cells that did not run, and put the result into place."""
    os.environ.update(threads(count) | {"PYTHONHASHSEED": "0"})
    start = time.perf_counter()
    with Held() as held:
        notebook = run(prepare(project, name), project.notebooks)
    measured = {
        "key": key,
        "seconds": round(time.perf_counter() - start, 2),
        "held_mb": held.megabytes,
        "resident_mb": resident_megabytes(),
        "threads": count,
    }
    refuse_warnings(notebook)
    refuse_gaps(notebook)
    write_whole(project.output(name), as_text(_tidy(notebook, measured)))


class Mirror(OutputWidget):
    """What a widget shows, kept and not told to the kernel.

    nbclient tells it on the socket on which it waits for the cell's reply, and a reply that comes while it writes wakes
    nobody: the cell stands still until its time is over (nbclient's issue 312).
    """

    def sync_state(self) -> None:
        """Tell nothing."""


class Client(PapermillNotebookClient):
    """Asks the kernel to run cells, and writes nothing else to it."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.widget_registry = {"@jupyter-widgets/output": {"OutputModel": Mirror}}


class Engine(NBClientEngine):
    """papermill's own, with that client."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name: str, *, execution_timeout: int, **_) -> None:
        """Run the cells one after the other."""
        Client(
            nb_man, kernel_name=kernel_name, timeout=execution_timeout, coalesce_streams=True, record_timing=False
        ).execute()


papermill_engines.register("mirrored", Engine)


def run(notebook: "NotebookNode", folder: Path) -> dict:
    """The executed notebook; its kernel works in the folder."""
    try:
        return papermill.execute_notebook(
            notebook,
            None,
            engine_name="mirrored",
            kernel_name="python3",
            cwd=str(folder),
            progress_bar=False,
            execution_timeout=CELL_SECONDS,
        )
    except TimeoutError:
        raise BuildError(f"a cell took more than {CELL_SECONDS} s; make it shorter") from None


def refuse_warnings(notebook: dict) -> None:
    """A cell that writes to its error stream warned somebody; nobody reads it in a book."""
    for number, cell in enumerate(notebook["cells"], 1):
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise BuildError(
                    f"cell {number} wrote a warning; mend its cause.\n{cell['source']}\n---\n{output['text']}"
                )


def refuse_gaps(notebook: dict) -> None:
    """Every code cell has to have run."""
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] == "code" and cell["source"].strip() and cell["execution_count"] is None:
            raise BuildError(f"cell {number} was not executed; remove the tag that skips it.\n{cell['source']}")


def _tidy(notebook: dict, measured: dict) -> dict:
    """The notebook without papermill's notes and with our measurements."""
    plain = json.loads(json.dumps(notebook))
    plain["metadata"].pop("papermill", None)
    plain["metadata"]["vsbook"] = measured
    for cell in plain["cells"]:
        cell["metadata"].pop("papermill", None)
        if not cell["metadata"].get("tags", True):
            del cell["metadata"]["tags"]
    return plain


if __name__ == "__main__":
    chapter, fingerprint, folder, count = sys.argv[1:]
    try:
        execute(Project(Path.cwd(), Path(folder)), chapter, fingerprint, int(count))
    except (BuildError, papermill.PapermillExecutionError) as error:
        sys.exit(f"notebooks/{chapter}.md: {error}")

"""Run one chapter and write what came of it: `python -m tools.execute NAME KEY BUILD THREADS`, a process of its own."""

import json
import os
import sys
import time
from pathlib import Path

import papermill

from tools.memory import Held, resident_megabytes
from tools.notebooks import as_text, prepare
from tools.project import BuildError, Project, write_whole

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

CELL_SECONDS = 180  # a whole chapter has a budget of 60


def threads(count: int) -> dict[str, str]:
    """The environment in which numerical libraries use that many."""
    return dict.fromkeys(THREAD_VARIABLES, str(count)) | {"PYTHONHASHSEED": "0"}


def execute(project: Project, name: str, key: str, count: int = 1) -> None:
    """Run the chapter, refuse warnings and cells that did not run, and put the result into place."""
    os.environ.update(threads(count))
    start = time.perf_counter()
    with Held() as held:
        notebook = run(project, name)
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


def run(project: Project, name: str) -> dict:
    """The executed notebook. A kernel that falls silent is given up, and a second one tried: seen on a busy machine."""
    for _ in range(2):
        try:
            return papermill.execute_notebook(
                prepare(project, name),
                None,
                kernel_name="python3",
                cwd=str(project.notebooks),
                coalesce_streams=True,
                record_timing=False,
                progress_bar=False,
                execution_timeout=CELL_SECONDS,
            )
        except TimeoutError:
            continue
    raise BuildError(f"a cell took more than {CELL_SECONDS} s, twice; make it shorter")


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

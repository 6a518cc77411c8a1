"""Are the checked outputs what the committed references say?"""

import difflib
import json

from tools.notebooks import is_checked
from tools.project import BuildError, Project

COMPARED = ("text/plain", "text/html", "text/markdown", "text/latex")
REMEDY = "If the change is meant, run `make references` and look at `git diff notebooks/`."


def compare(project: Project, name: str) -> None:
    """Raise when a checked output differs from the reference, or the reference holds none."""
    if not project.reference(name).is_file():
        raise BuildError(f"notebooks/{name}.ipynb is missing: `make references` writes it.")
    executed = json.loads(project.output(name).read_text())
    reference = json.loads(project.reference(name).read_text())
    complaints = unchecked(reference) + differences(executed, reference)
    if complaints:
        heading = f"notebooks/{name}.md does not give what notebooks/{name}.ipynb (the reference) says."
        raise BuildError("\n".join([heading, *complaints, REMEDY]))


def unchecked(notebook: dict) -> list[str]:
    """What a reader would take for checked, and nobody checks: nbval skips cells that never ran."""
    checked = [cell for cell in notebook["cells"] if is_checked(cell)]
    idle = [f"not executed: {cell_source(cell)}" for cell in checked if cell["execution_count"] is None]
    silent = [f"prints nothing: {cell_source(cell)}" for cell in checked if not cell["outputs"]]
    return idle + silent if checked else ["no cell is checked"]


def differences(executed: dict, reference: dict) -> list[str]:
    """One paragraph for each checked cell that is new, gone or different."""
    new, old = _checked_outputs(executed), _checked_outputs(reference)
    gone = [f"A checked cell of the reference is gone:\n{old[cell][0]}" for cell in old.keys() - new.keys()]
    fresh = [f"A checked cell is not in the reference:\n{new[cell][0]}" for cell in new.keys() - old.keys()]
    return gone + fresh + [_diff(*new[cell], old[cell][1]) for cell in new if _differs(cell, new, old)]


def _differs(cell: str, new: dict, old: dict) -> bool:
    return cell in old and new[cell][1] != old[cell][1]


def _diff(source: str, new: str, old: str) -> str:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "reference", "executed", lineterm="")
    return "\n".join(["This cell's output changed:", source, "---", *lines])


def _checked_outputs(notebook: dict) -> dict[str, tuple[str, str]]:
    """Cell id -> source and output text, for the checked cells."""
    cells = (cell for cell in notebook["cells"] if is_checked(cell))
    return {cell["id"]: (cell_source(cell), output_text(cell)) for cell in cells}


def output_text(cell: dict) -> str:
    """All text that a cell put out, pictures left aside."""
    parts = []
    for output in cell["outputs"]:
        data = output.get("data", {"text/plain": output.get("text", "")})
        parts += [_joined(data[kind]) for kind in COMPARED if kind in data]
    return "\n".join(parts)


def cell_source(cell: dict) -> str:
    """A cell's source as one string."""
    return _joined(cell["source"])


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)

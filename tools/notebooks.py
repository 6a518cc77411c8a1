"""Text notebooks as Jupyter notebooks: the hidden first cell, lasting ids, references without pictures."""

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING

from tools.project import Project

if TYPE_CHECKING:
    from nbformat import NotebookNode

CHECKED = "nbval-check-output"
PICTURES = ("image/", "application/vnd.jupyter.widget", "application/pdf")
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}

# Colab brings torch and NumPy, but not this package; on Binder and locally the condition is false.
INSTALL = """\
import importlib.util

if importlib.util.find_spec("vsbook") is None:
    import os
    import subprocess
    import sys

    source = os.environ.get("VSBOOK_SOURCE", "{source}")
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", source], check=True)
    importlib.invalidate_caches()"""


def install_source(project: Project) -> str:
    """The hidden first cell: it installs `vsbook` where it is missing."""
    return INSTALL.format(source=f"vsbook[invertible,widgets] @ git+{project.config['repository']['url']}")


def prepare(project: Project, name: str) -> "NotebookNode":
    """The chapter as a notebook, ready to run."""
    import jupytext  # slow to import, and an up-to-date book needs none of it
    from nbformat.v4 import new_code_cell

    notebook = jupytext.read(project.text(name))
    hidden = new_code_cell(install_source(project), metadata={"tags": ["remove-cell"]})
    notebook.cells.insert(0, hidden)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    notebook.nbformat_minor = 5
    name_cells(notebook)
    return notebook


def name_cells(notebook: "NotebookNode") -> None:
    """Ids from the content, so that a new cell leaves the ids of the others alone."""
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        name = sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[name] = seen.get(name, 0) + 1
        cell["id"] = name if seen[name] == 1 else f"{name}-{seen[name]}"


def reference_of(executed: dict) -> dict:
    """An executed notebook without pictures, widget state, measurements and addresses in memory."""
    notebook = json.loads(json.dumps(executed))
    notebook["metadata"] = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            if "data" in output:
                output["data"] = {kind: _sane(data) for kind, data in output["data"].items() if _kept(kind)}
                output["metadata"] = {}
    return notebook


def _kept(kind: str) -> bool:
    return not kind.startswith(PICTURES)


def _sane(data: object) -> object:
    """Text with the addresses of objects taken out, which differ at every run."""
    if isinstance(data, list):
        return [_sane(line) for line in data]
    return re.sub(r"\b0x[0-9a-f]{6,}\b", "0x…", data) if isinstance(data, str) else data


def is_checked(cell: dict) -> bool:
    """Whether this cell's output is part of what the book vouches for."""
    return CHECKED in cell["metadata"].get("tags", [])


def as_text(notebook: dict) -> str:
    """A notebook as it is written to disk."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"

"""The folder that is rendered: the prose, the settings and the executed notebooks, one file for each page."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from tools.compare import cell_source
from tools.notebooks import as_text
from tools.project import Project

FENCE = re.compile(r"^\s*(?P<fence>`{3,}|:{3,})\{(?P<name>[\w-]+)\}")


def stage(project: Project, folder: Path, *, student: bool) -> None:
    """Fill an empty folder with what Jupyter Book is to render."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(project.root / "book", folder / "book", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "notebooks").mkdir()
    for name in project.chapters:
        notebook = with_cost(json.loads(project.output(name).read_text()))
        text = as_text(without_solutions(notebook) if student else notebook)
        (folder / "notebooks" / f"{name}.ipynb").write_text(text)
    for name in ("_toc.yml", "CONTRIBUTING.md"):  # a page includes the second
        shutil.copy(project.root / name, folder)
    (folder / "_config.yml").write_text(yaml.safe_dump(settings(project, student=student), sort_keys=False))


def settings(project: Project, *, student: bool) -> dict:
    """The book's settings; the launch buttons lead to notebooks that hold the solutions."""
    return {key: value for key, value in project.config.items() if not (student and key == "launch_buttons")}


def with_cost(notebook: dict) -> dict:
    """The notebook with a last cell that says what running it took."""
    cost = notebook["metadata"]["vsbook"]
    held, resident = cost["held_mb"], cost["resident_mb"]
    if held is None:
        memory = f"had up to {resident} MB of memory resident; how much of it can't be given back, only Linux tells"
    else:
        memory = f"held up to {held} MB of memory that can't be given back (resident: up to {resident} MB)"
    sentence = f"This page ran in {cost['seconds']:.0f} s on one thread and {memory}."
    cell = {
        "cell_type": "markdown",
        "id": "cost",
        "metadata": {},
        "source": f":::{{div}} page-cost\n{sentence}\n:::",
    }
    return notebook | {"cells": [*notebook["cells"], cell]}


def without_solutions(notebook: dict) -> dict:
    """The notebook without `{solution}` blocks and without all from `{solution-start}` to `{solution-end}`."""
    return notebook | {"cells": list(_open_cells(notebook["cells"]))}


def _open_cells(cells: list[dict]) -> Iterator[dict]:
    inside = False
    for cell in cells:
        if cell["cell_type"] == "markdown":
            text, inside = _open_text(cell_source(cell), inside)
            if text.strip():
                yield cell | {"source": text}
        elif not inside:
            yield cell


def _open_text(text: str, inside: bool) -> tuple[str, bool]:
    """The part of a text outside solutions, and whether a solution is open at its end."""
    kept, closing = [], ""
    for line in text.splitlines(keepends=True):
        if closing:  # within a directive that is dropped, up to the fence that closes it
            closing = "" if line.strip() == closing else closing
            continue
        opening = FENCE.match(line)
        name = opening["name"] if opening else ""
        if name in ("solution", "solution-start", "solution-end"):
            closing = opening["fence"]
            inside = name == "solution-start" or (inside and name == "solution")
        elif not inside:
            kept.append(line)
    return "".join(kept), inside

"""`python -m tools book`, `references` or `student`: the steps from text to HTML, with progress."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from tools.compare import compare
from tools.keys import execution_key
from tools.notebooks import as_text, reference_of
from tools.project import BuildError, Project, write_whole
from tools.render import render

console = Console(highlight=False, soft_wrap=True)


def execute_all(project: Project) -> None:
    """Run the chapters whose text, package, data or pins changed, two at a time."""
    keys = {name: execution_key(project, name) for name in project.chapters}
    stale = {name: key for name, key in keys.items() if recorded(project, name).get("key") != key}
    for name in stale:
        project.output(name).unlink(missing_ok=True)
    for leftover in set(project.executed.glob("*.ipynb")) - {project.output(name) for name in keys}:
        leftover.unlink()
    console.print(f"[bold]Run[/]      {len(stale)} of {len(keys)} notebooks have to run")
    with ThreadPoolExecutor(max_workers=2) as pool:
        failures = [said for said in pool.map(lambda item: run_one(project, *item), stale.items()) if said]
    if failures:
        raise BuildError("\n\n".join(failures))


def recorded(project: Project, name: str) -> dict:
    """What was measured when the chapter last ran; empty if it did not."""
    if not project.output(name).is_file():
        return {}
    return json.loads(project.output(name).read_text())["metadata"]["vsbook"]


def run_one(project: Project, name: str, key: str) -> str:
    """Run one chapter in its own process; return what went wrong, or nothing."""
    console.print(f"           {name} …")
    start = time.perf_counter()
    command = [sys.executable, "-m", "tools.execute", name, key, str(project.build), "1"]
    done = subprocess.run(command, cwd=project.root, text=True, capture_output=True, stdin=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    verdict = "[red]failed[/]" if done.returncode else "ran"
    console.print(f"           {name} {verdict} in {seconds:.1f} s")
    return done.stderr if done.returncode else ""


def compare_all(project: Project) -> None:
    """Compare the checked outputs of every chapter with the committed references."""
    complaints = []
    for name in project.chapters:
        try:
            compare(project, name)
        except BuildError as error:
            complaints.append(str(error))
    if complaints:
        raise BuildError("\n\n".join(complaints))
    console.print("[bold]Compare[/]  the checked outputs are those of the references")


def book(project: Project, *, student: bool = False) -> None:
    """Run, compare, render."""
    html = project.build / ("student/html" if student else "html")
    execute_all(project)
    compare_all(project)
    with console.status("Jupyter Book renders the pages"):
        start = time.perf_counter()
        fresh = render(project, html, student=student)
    done = f"rendered in {time.perf_counter() - start:.0f} s" if fresh else "nothing to render"
    console.print(f"[bold]Render[/]   {done}")
    hint = "" if student else " (`make serve` shows it)"
    console.print(f"[bold green]The book is {html.relative_to(project.root)}/index.html[/]{hint}")


def references(project: Project) -> None:
    """Write the references anew from the executed notebooks, where they differ."""
    execute_all(project)
    for name in project.chapters:
        text = as_text(reference_of(json.loads(project.output(name).read_text())))
        path = project.reference(name)
        if not path.is_file() or path.read_text() != text:
            write_whole(path, text)
            console.print(f"[bold]Wrote[/]    notebooks/{path.name}")


def main(command: str) -> None:
    """One command of the Makefile; a failure is one message and a status that is not 0."""
    commands = {"book": book, "references": references, "student": lambda project: book(project, student=True)}
    try:
        commands[command](Project(Path.cwd()))
    except BuildError as error:
        console.print(f"[bold red]The build failed[/]: {escape(str(error))}")
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("Interrupted; the next `make` goes on from here.")
        sys.exit(130)


if __name__ == "__main__":
    main(sys.argv[1])

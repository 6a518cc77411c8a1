"""Jupyter Book over the staging folder; any warning is an error."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.keys import evidence_files
from tools.project import BuildError, Project, digest, files_under, write_whole
from tools.stage import stage


def render(project: Project, target: Path, *, student: bool = False) -> bool:
    """Make the HTML in `target` unless it is up to date; say whether anything was done."""
    stamp, key = target.with_name(target.name + ".key"), render_key(project)
    if target.is_dir() and stamp.is_file() and stamp.read_text() == key:
        return False
    stamp.unlink(missing_ok=True)
    work = target.with_name(target.name + ".work")
    shutil.rmtree(work, ignore_errors=True)
    # Always from nothing: Sphinx repeats no warning of a page that it does not read again.
    stage(project, work / "stage", student=student)
    run_jupyter_book(work)
    shutil.rmtree(target, ignore_errors=True)
    (work / "_build" / "html").rename(target)
    shutil.rmtree(work)
    write_whole(stamp, key)
    return True


def render_key(project: Project) -> str:
    """Changes when the pages have to be made again."""
    files = [project.root / name for name in ("_config.yml", "_toc.yml", "CONTRIBUTING.md", "constraints.txt")]
    files += files_under(project.root / "book", Path(__file__).parent)
    files += evidence_files(project)
    files += (path for path in files_under(project.root / "vsbook") if path.suffix in (".py", ".pyi"))  # the reference
    return digest(files, *(project.output(name).read_text() for name in project.chapters))


def run_jupyter_book(work: Path) -> None:
    """Render `work/stage`; on any warning raise with what Sphinx said."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(work / "stage")]
    options = ["--path-output", str(work), "--builder", "html", "-q", "-W", "-n", "--keep-going"]
    done = subprocess.run(command + options, text=True, capture_output=True)
    if done.returncode:
        said = re.sub(r"\x1b\[[0-9;]*m", "", done.stderr).replace(f"{work / 'stage'}/", "")
        raise BuildError(f"the pages have to render without a warning. Sphinx said:\n{said[-8000:]}")

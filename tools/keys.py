"""What a chapter depends on: its text, the modules of `vsbook` that it reaches, and what those read."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from tools.notebooks import install_source
from tools.project import Project, digest, files_under

CODE_CELL = re.compile(r"^(`{3,})\{code-cell\}.*?\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
OPTIONS = re.compile(r"\A(---\n.*?^---\n|(:[\w-]+:[^\n]*\n)+)", re.MULTILINE | re.DOTALL)


def execution_key(project: Project, name: str) -> str:
    """Changes when the chapter has to run again."""
    modules = package_files(project, project.text(name))
    files = [project.text(name), project.root / "constraints.txt", *modules]
    files += [Path(__file__).with_name(f"{name}.py") for name in ("execute", "memory", "notebooks")]
    files += files_under(project.root / "vsbook" / "assets")
    if project.root / "vsbook" / "ledger.py" in modules:
        files += evidence_files(project)
    return digest(files, install_source(project))


def evidence_files(project: Project) -> list[Path]:
    """The claims, the results and the observations that the pages read."""
    evidence = project.root / "evidence"
    return [*evidence.glob("claims.toml"), *files_under(evidence / "results", evidence / "observations")]


def package_files(project: Project, text: Path) -> set[Path]:
    """The files of `vsbook` that a text notebook imports, directly or through others."""
    package = project.root / "vsbook"
    queue = [file for cell in code_cells(text.read_text()) for file in imported_files(package, cell)]
    reached: set[Path] = set()
    while queue:
        file = queue.pop()
        if file not in reached:
            reached.add(file)
            queue += imported_files(package, file.read_text())
    return reached


def code_cells(text: str) -> list[str]:
    """Sources of the code cells of a MyST notebook, without their options and without IPython's own commands."""
    bodies = (OPTIONS.sub("", match[2]) for match in CODE_CELL.finditer(text))
    return [re.sub(r"^\s*[%!].*$", "", body, flags=re.MULTILINE) for body in bodies]


def imported_files(package: Path, source: str) -> list[Path]:
    """Files of the package that a source imports anywhere, functions included."""
    files = []
    for node in ast.walk(ast.parse(source)):
        for dotted in _imports(node):
            files += _resolve(package, dotted.split(".")[1:])
    return files


def _imports(node: ast.AST) -> Iterable[str]:
    """Dotted names in `vsbook` that one statement imports; `from m import x` may mean a module x."""
    names = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
    return [name for name in names if name.split(".")[0] == "vsbook"]


def _resolve(package: Path, parts: list[str]) -> list[Path]:
    """The package's `__init__.py` files on the way to a name, and the module that holds it."""
    files, here = [package / "__init__.py"], package
    for part in parts:
        part = offered(here).get(part, part)
        here = here / part
        if here.with_suffix(".py").is_file():
            return [*files, here.with_suffix(".py")]
        if (here / "__init__.py").is_file():
            files.append(here / "__init__.py")
    return files


def offered(wing: Path) -> dict[str, str]:
    """Which room holds each name that a wing offers by its stub."""
    stub = wing / "__init__.pyi"
    nodes = ast.parse(stub.read_text()).body if stub.is_file() else []
    rooms = (node for node in nodes if isinstance(node, ast.ImportFrom))
    return {alias.name: node.module for node in rooms for alias in node.names}

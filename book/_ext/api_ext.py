"""The reference of the package, from its docstrings: `` {api} linalg `` shows what a wing offers, room by room.

Docstrings are written as the pages are, with `$x$` and `` `name` ``; autodoc reads another markup.
"""

import ast
import importlib
import inspect
import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles


def offered(wing: str) -> list[tuple[str, str, list[str]]]:
    """Each room of a wing, what its first line says, and the names that the wing offers of it, in its order."""
    folder = Path(importlib.import_module(f"vsbook.{wing}").__file__).parent
    listed = re.findall(r'# (\w+): .*\n((?:    "\w+",\n)+)', (folder / "__init__.pyi").read_text(encoding="utf-8"))
    return [(room, first_line(folder / f"{room}.py"), re.findall(r"\w+", names)) for room, names in listed]


def first_line(file: Path) -> str:
    """Of a module's docstring."""
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))).splitlines()[0]


class Api(SphinxDirective):
    """A section for each room, with autodoc's entry for each function and class."""

    required_arguments = 1

    def run(self):
        """Write it as MyST, and have that read."""
        lines = []
        for room, says, names in offered(self.arguments[0]):
            lines += [f"### {room}", "", says, "", "````{eval-rst}"]
            for name in names:
                lines += entry(f"vsbook.{self.arguments[0]}.{room}", name)
            lines += ["````", ""]
        section = nodes.container()
        nested_parse_with_titles(self.state, StringList(lines, self.get_source_info()[0]), section, self.content_offset)
        return section.children


def entry(module: str, name: str) -> list[str]:
    """Autodoc's lines for one name, as a user imports it; constants have no docstring to show."""
    thing = getattr(importlib.import_module(module), name)
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return []
    kind = "autoclass" if inspect.isclass(thing) else "autofunction"
    return [f".. {kind}:: {module.rpartition('.')[0]}.{name}", *["   :members:"] * inspect.isclass(thing), ""]


def as_restructured(app, what, name, thing, options, lines):
    """Formulas, names and tables in autodoc's markup, by paragraphs; examples, behind >>>, stay as they are."""
    paragraphs = re.split(r"(\n\s*\n)", "\n".join(lines))
    lines[:] = "".join(map(restructured, paragraphs)).split("\n")
    if what == "property":
        lines.insert(0, "")  # else napoleon takes what stands before a colon for the type


def restructured(paragraph: str) -> str:
    """One paragraph."""
    if paragraph.lstrip().startswith(">>>"):
        return paragraph
    if paragraph.lstrip().startswith("| "):
        return as_table([line.strip(" |").split(" | ") for line in paragraph.splitlines() if "---" not in line])
    return marked_up(paragraph)


def as_table(rows: list[list[str]]) -> str:
    """A table with a head."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'  ' if number else '* '}- {marked_up(cell)}" for number, cell in enumerate(row)]
    return "\n".join(lines)


PIECES = re.compile(
    r"\$(?P<formula>[^$]+)\$|`(?P<name>[^`]+)`|(?P<emphasis>\*\w[^*\n]*\w\*|\*\w\*)|(?P<plain>[*|]|(?<=\w)_\b(?!\w))"
)


def marked_up(paragraph: str) -> str:
    """Formulas, names and emphasis; what would mean something else in that markup is escaped."""

    def piece(found: re.Match) -> str:
        if found["formula"]:
            return f":math:`{' '.join(found['formula'].split())}`"
        if found["name"]:
            return f"``{' '.join(found['name'].split())}``"
        return found["emphasis"] or f"\\{found['plain']}"

    return PIECES.sub(piece, paragraph)


def setup(app):
    """Register it; napoleon, which reads the sections, comes after."""
    app.add_directive("api", Api)
    app.connect("autodoc-process-docstring", as_restructured, priority=100)
    return {"parallel_read_safe": False, "parallel_write_safe": True}

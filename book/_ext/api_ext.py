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
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import nested_parse_with_titles

OPERATORS = "__call__, __getitem__, __add__, __matmul__"


def offered(wing: str) -> list[tuple[str, str, list[str]]]:
    """Each room of a wing, what its first line says, and the names that the wing offers of it, in its order."""
    module = importlib.import_module(f"vsbook.{wing}")
    folder = Path(module.__file__).parent
    if not hasattr(module, "__path__"):  # a room outside the wings
        return [(wing, first_line(folder / f"{wing}.py"), module.__all__)]
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
                lines += entry(f"vsbook.{self.arguments[0]}", name)
            lines += ["````", ""]
        section = nodes.container()
        nested_parse_with_titles(self.state, StringList(lines, self.get_source_info()[0]), section, self.content_offset)
        return section.children


def entry(module: str, name: str) -> list[str]:
    """Autodoc's lines for one name, as a user imports it; a constant shows its value, or the names that it has."""
    thing = getattr(importlib.import_module(module), name)
    if inspect.isclass(thing):
        return [f".. autoclass:: {module}.{name}", "   :members:", f"   :special-members: {OPERATORS}", ""]
    if inspect.isfunction(thing):
        return [f".. autofunction:: {module}.{name}", ""]
    value = ", ".join(map(repr, thing)) if isinstance(thing, (dict, tuple)) else repr(thing)
    return [f".. py:data:: {module}.{name}", "", f"   {value if '<' not in value else type(thing).__name__}", ""]


def as_restructured(app, what, name, thing, options, lines):
    """Formulas, names and tables in autodoc's markup, by paragraphs; examples, behind >>>, stay as they are."""
    paragraphs = re.split(r"(\n\s*\n)", "\n".join(lines))
    lines[:] = "".join(map(restructured, paragraphs)).split("\n")


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


def name_axes(app, doctree):
    """In signatures axes have their names alone: `r` for `r={self.rank}`, which a test reads and a reader need not."""
    for signature in doctree.findall(addnodes.desc_signature):
        for text in list(signature.findall(nodes.Text)):
            if "{" in text:
                named = re.sub(r"(\w+)=[^\s'{]*\{[^\s']*", r"\1", text)
                text.parent.replace(text, nodes.Text(re.sub(r"\{(\w+)\}", r"\1", named)))


def setup(app):
    """Register it; napoleon, which reads the sections, comes after."""
    app.add_directive("api", Api)
    app.connect("autodoc-process-docstring", as_restructured, priority=100)
    app.connect("doctree-read", name_axes)
    return {"parallel_read_safe": False, "parallel_write_safe": True}

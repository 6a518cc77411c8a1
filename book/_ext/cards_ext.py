"""The chapters as cards: a picture out of each, its title, its minutes, and a line that says what is in it.

Directive: `` {chapter-cards} `` with a line `name: text` for each chapter of `notebooks/`.
"""

import base64
import html
import io
import json
import re
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)
WIDTH = 320  # pixels of a thumbnail


class cards(nodes.General, nodes.Element):
    """Stands for the cards until the titles of all pages are known."""


class ChapterCards(SphinxDirective):
    """A card for each line of the content."""

    has_content = True

    def run(self):
        """Keep the lines; they become links when all pages are read."""
        return [cards(lines=[line.partition(": ")[::2] for line in self.content if line.strip()])]


def first_picture(notebook: Path) -> tuple[bytes, str] | None:
    """The first PNG that an executed notebook shows, and its text for those who don't see it."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
                return base64.b64decode(output["data"]["image/png"]), " ".join(alt.split())
    return None


def minutes(notebook: Path) -> str:
    """How long a chapter takes, as its head says."""
    text = "".join("".join(cell["source"]) for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"][:6])
    found = re.search(r"\*\*Minutes\*\*: (\d+)", text)
    return found[1] if found else ""


def show_cards(app, doctree, docname):
    """Put the cards where they belong, now that all pages are read."""
    for node in list(doctree.findall(cards)):
        made = []
        for name, text in node["lines"]:
            page, source = f"notebooks/{name}", Path(app.srcdir) / "notebooks" / f"{name}.ipynb"
            if page not in app.env.titles or not source.is_file():
                logger.warning("no chapter %r", name, location=docname)
                continue
            made.append(card(app, docname, page, source, text))
        node.replace_self(nodes.raw("", f'<div class="chapter-cards">{"".join(made)}</div>', format="html"))


def card(app, docname: str, page: str, source: Path, text: str) -> str:
    """One link with everything inside."""
    address, picture = app.builder.get_relative_uri(docname, page), ""
    if found := first_picture(source):
        drawn, alt = found
        target = Path(app.outdir) / "_images" / f"thumbnail-{source.stem}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        image = Image.open(io.BytesIO(drawn)).convert("RGB")
        image.thumbnail((WIDTH, WIDTH))
        image.save(target)
        up = "../" * docname.count("/")
        picture = f'<img src="{up}_images/{target.name}" alt="{html.escape(alt)}" '
        picture += f'width="{image.width}" height="{image.height}">'
    title = html.escape(app.env.titles[page].astext())
    return (
        f'<a class="chapter-card" href="{address}"><span class="chapter-picture">{picture}</span>'
        f"<strong>{title}</strong><span>{html.escape(text)}</span>"
        f'<span class="chapter-minutes">{minutes(source)} minutes</span></a>'
    )


def setup(app):
    """Register it."""
    app.add_directive("chapter-cards", ChapterCards)
    app.add_node(cards)
    app.connect("doctree-resolved", show_cards)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

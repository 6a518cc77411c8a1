"""Excerpts in the search of a book on a disk: there a page may read no other page, but load a script.

Each page's text goes into `_static/page-texts.js`, which `_static/excerpts.js` loads where it is needed.
"""

import json
from pathlib import Path


def keep_text(app, pagename, templatename, context, doctree):
    """What the page says, as one line."""
    if doctree is not None:
        app.page_texts[pagename] = " ".join(doctree.astext().split())


def write_texts(app, exception):
    """One script that assigns them all."""
    if exception is None and app.builder.format == "html":
        texts = json.dumps(app.page_texts, ensure_ascii=False, sort_keys=True)
        target = Path(app.outdir) / "_static" / "page-texts.js"
        target.write_text(f"window.PAGE_TEXTS = {texts};\n", encoding="utf-8")


def setup(app):
    """Register it."""
    app.page_texts = {}
    app.connect("html-page-context", keep_text)
    app.connect("build-finished", write_texts)
    return {"parallel_read_safe": True, "parallel_write_safe": False}

"""What this book adds to Sphinx: the ledger in the prose, and pages that need no other host.

Roles, each a link to the claim's row on the reproduction page:
`` {stated}`id` ``, `` {measured}`id` ``, `` {verdict}`id` ``; and `` {result}`id:summary.mean:.2f` `` for any number of
a result. Directive: `` {in-the-paper} id id `` (a box with prose and a small table). The ledger's own page has more, in
`ledger_ext`.
"""

import functools
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

from vsbook import ledger

logger = logging.getLogger(__name__)

# --- the ledger in the prose ------------------------------------------------------------------------------------


def stated(claim_id: str) -> str:
    """The paper's value, with its unit where it is a number."""
    claim = ledger.claims()[claim_id]
    return f"{claim.stated} {claim.unit}".strip() if claim.rule["kind"] == "number" else claim.stated


SHOW = {"stated": stated, "measured": ledger.measured, "verdict": ledger.verdict}


def shown(what: str, claim_id: str) -> nodes.Node:
    """One of the three things that a page says about a claim."""
    text = SHOW[what](claim_id)
    return coloured(text) if what == "verdict" else nodes.inline(text, text, classes=[f"claim-{what}"])


def coloured(verdict: str) -> nodes.Node:
    """A verdict in its colour."""
    return nodes.inline(verdict, verdict, classes=["verdict", f"verdict-{verdict}"])


def known(claim_ids: list[str], location) -> list[str]:
    """The ids that the ledger has; a warning, which stops the build, for each other."""
    for claim_id in claim_ids:
        if claim_id not in ledger.claims():
            logger.warning("no claim %r in evidence/claims.toml", claim_id, location=location)
    return [claim_id for claim_id in claim_ids if claim_id in ledger.claims()]


def row_link(docname: str, claim_id: str, content: nodes.Node) -> nodes.Node:
    """A reference to the claim's row in the ledger's table."""
    return addnodes.pending_xref(
        "", content, refdomain="std", reftype="ref", refexplicit=True, refwarn=True, refdoc=docname,
        reftarget=f"claim-{claim_id}",
    )  # fmt: skip


class ClaimRole(SphinxRole):
    """`` {stated}`id` `` and its like: the role's name says what is shown."""

    def run(self):
        """Show it, as a link to the row."""
        if not known([self.text], self.get_location()):
            return [], []
        return [row_link(self.env.docname, self.text, shown(self.name, self.text))], []


class ResultRole(SphinxRole):
    """`` {result}`id:path.to.field:format` ``: a number out of `evidence/results/id.json`."""

    def run(self):
        """Look the field up and format it."""
        claim_id, _, rest = self.text.partition(":")
        path, _, form = rest.partition(":")
        if not known([claim_id], self.get_location()):
            return [], []
        try:
            value = functools.reduce(step, path.split("."), ledger.result(claim_id))
            text = said_aloud(value, int(form[1:])) if form.startswith("~") else format(value, form)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            logger.warning(
                "{result}`%s`: expected id:path.to.field:format with a field of evidence/results/%s.json, got %s %s",
                self.text, claim_id, type(error).__name__, error, location=self.get_location(),
            )  # fmt: skip
            return [], []
        return [row_link(self.env.docname, claim_id, nodes.inline(text, text, classes=["claim-result"]))], []


def said_aloud(value: float, digits: int) -> str:
    """A large number to so many digits, the rest zeros."""
    return f"{float(f'{value:.{digits}g}'):,.0f}"


def step(value, key: str):
    """One step into a JSON value: a name into an object, a number into a list."""
    return value[int(key)] if isinstance(value, list) else value[key]


class InThePaper(SphinxDirective):
    """A box: what the paper says, in prose, and the claims that this page settles."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self):
        """Build the box and note where it stands, for the ledger's table."""
        location = self.get_location()
        claim_ids = known(self.arguments[0].split(), location)
        box = nodes.admonition("", nodes.title("", "In the paper"), classes=["in-the-paper"])
        box["ids"] = [nodes.make_id(f"in-the-paper-{claim_ids[0]}")] if claim_ids else []
        for claim_id in claim_ids:
            boxes(self.env)[claim_id] = (self.env.docname, box["ids"][0])
        self.state.nested_parse(self.content, self.content_offset, box)
        box += table(
            ["claim", "stated", "measured", "verdict"],
            [[self.statement(claim_id), *map(self.cell(claim_id), SHOW)] for claim_id in claim_ids],
        )
        return [box]

    def statement(self, claim_id: str) -> list[nodes.Node]:
        """The claim in words."""
        return self.parse_inline(ledger.claims()[claim_id].statement)[0]

    def cell(self, claim_id: str):
        """What a cell of the small table holds; the verdict leads to the row."""

        def content(what: str) -> list[nodes.Node]:
            node = shown(what, claim_id)
            return [row_link(self.env.docname, claim_id, node) if what == "verdict" else node]

        return content


def table(headings: list[str], rows: list[list[list[nodes.Node]]], classes=()) -> nodes.Node:
    """A table of docutils nodes in a box of its own, in which it scrolls where the page is narrow."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in headings), cols=len(headings))
    group += nodes.thead("", table_row([[nodes.Text(heading)] for heading in headings]))
    group += nodes.tbody("", *map(table_row, rows))
    return nodes.container("", nodes.table("", group, classes=list(classes)), classes=["wide-table"])


def table_row(cells: list[list[nodes.Node]]) -> nodes.row:
    """One row; each cell is a paragraph."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells))


def boxes(env) -> dict[str, tuple[str, str]]:
    """Claim id -> page and anchor of the box that deals with it."""
    if not hasattr(env, "vsbook_boxes"):
        env.vsbook_boxes = {}
    return env.vsbook_boxes


# --- pages that need no other host ------------------------------------------------------------------------------


def mend_theme(app, config):
    """One search bar, not two; replacing the whole dictionary would drop Jupyter Book's own options."""
    config.html_theme_options["navbar_persistent"] = []
    config.templates_path.append(str(Path(__file__).with_name("templates")))


def drop_thebe(app, config):
    """Jupyter Book puts the loader of live code, from another host, on every page; we have launch buttons instead."""
    for listeners in app.events.listeners.values():
        listeners[:] = [each for each in listeners if not each.handler.__module__.startswith("sphinx_thebe")]


def mend_page(app, pagename, templatename, context, doctree):
    """Thebe's style sheet goes with its scripts, and so do docutils' contradicting roles in the bibliography."""
    context["css_files"] = [style for style in context["css_files"] if "thebe" not in str(style.filename)]
    if "body" in context:
        context["body"] = re.sub(r' role="(list(?=" class="citation-list)|doc-biblioentry)"', "", context["body"])


def setup(app):
    """Register all of it."""
    for name in SHOW:
        app.add_role(name, ClaimRole())
    app.add_role("result", ResultRole())
    app.add_directive("in-the-paper", InThePaper)
    app.connect("config-inited", mend_theme)
    app.connect("config-inited", drop_thebe)
    app.connect("html-page-context", mend_page, priority=900)
    return {"parallel_read_safe": False, "parallel_write_safe": True}

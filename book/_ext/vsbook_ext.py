"""What this book adds to Sphinx: the ledger in the prose, and pages that need no other host.

Roles, each a link to the claim's row on the reproduction page:
`` {stated}`id` ``, `` {measured}`id` ``, `` {verdict}`id` ``; and `` {result}`id:summary.mean:.2f` `` for any number of
a result. Directives: `` {in-the-paper} id id `` (a box with prose and a small table), `` {ledger-table} `` and
`` {ledger-summary} ``.
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
    return f"{claim.stated} {claim.unit}".strip() if claim.rule["kind"] == "value" else claim.stated


SHOW = {"stated": stated, "measured": ledger.measured, "verdict": ledger.verdict}


def shown(what: str, claim_id: str) -> nodes.Node:
    """One of the three things that a page says about a claim."""
    text = SHOW[what](claim_id)
    return coloured(text) if what == "verdict" else nodes.inline(text, text, classes=[f"claim-{what}"])


def coloured(verdict: str) -> nodes.Node:
    """A verdict in its colour."""
    return nodes.inline(verdict, verdict, classes=["verdict", "verdict-" + verdict.replace(" ", "-")])


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
            text = format(value, form)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            logger.warning(
                "{result}`%s`: expected id:path.to.field:format with a field of evidence/results/%s.json, got %s %s",
                self.text, claim_id, type(error).__name__, error, location=self.get_location(),
            )  # fmt: skip
            return [], []
        return [row_link(self.env.docname, claim_id, nodes.inline(text, text, classes=["claim-result"]))], []


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


class page_link(nodes.Inline, nodes.Element):
    """Stands for a link to the box about a claim, until all pages are read."""


class LedgerTable(SphinxDirective):
    """The whole ledger; every claim has its row."""

    def run(self):
        """A row for each claim, in the paper's order."""
        headings = ["claim and source", "stated", "measured", "verdict", "where"]
        return [table(headings, [self.row(claim) for claim in ledger.claims().values()], ["ledger"])]

    def row(self, claim: ledger.Claim) -> list[list[nodes.Node]]:
        """The cells of one claim; the first is what links lead to."""
        target = nodes.inline("", "", *self.parse_inline(claim.statement)[0], ids=[f"claim-{claim.id}"])
        std = self.env.get_domain("std")
        std.note_hyperlink_target(f"claim-{claim.id}", self.env.docname, f"claim-{claim.id}", claim.statement)
        found = ledger.result(claim.id)
        notes = [
            claim.measure,
            f"Rule: {found['why']}." if found else claim.blocked or "Not measured yet.",
            claim.revised,
        ]
        return [
            [target, note(claim.source)],
            [shown("stated", claim.id)],
            [
                shown("measured", claim.id),
                *map(note, filter(None, notes)),
            ],
            [shown("verdict", claim.id)],
            [page_link(claim=claim.id)],
        ]


def note(text: str) -> nodes.inline:
    """A line in small print below what a cell shows."""
    return nodes.inline("", text, classes=["claim-note"])


class LedgerSummary(SphinxDirective):
    """How many claims got which verdict."""

    def run(self):
        """A row for each verdict."""
        rows = [[[coloured(verdict)], [nodes.Text(str(count))]] for verdict, count in ledger.tally().items()]
        return [table(["verdict", "claims"], rows)]


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


def resolve_page_links(app, doctree, docname):
    """Put links to the boxes into the ledger's table, now that all pages are read."""
    for node in list(doctree.findall(page_link)):
        if node["claim"] in boxes(app.env):
            page, anchor = boxes(app.env)[node["claim"]]
            title = app.env.titles[page].astext()
            address = f"{app.builder.get_relative_uri(docname, page)}#{anchor}"
            node.replace_self(nodes.reference("", title, refuri=address, internal=True))
        else:
            node.replace_self(nodes.Text("no chapter yet"))


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
    app.add_directive("ledger-table", LedgerTable)
    app.add_directive("ledger-summary", LedgerSummary)
    app.add_node(page_link)
    app.connect("config-inited", mend_theme)
    app.connect("config-inited", drop_thebe)
    app.connect("doctree-resolved", resolve_page_links)
    app.connect("html-page-context", mend_page, priority=900)
    return {"parallel_read_safe": False, "parallel_write_safe": True}

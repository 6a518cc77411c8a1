"""The ledger as a reader meets it: sentences, a picture, a card for each claim, and what changed.

Directives: `` {ledger-words} `` (the counts in sentences), `` {ledger-picture} `` (a square for each claim),
`` {ledger-cards} `` (all claims, each folded up), `` {ledger-power} `` and `` {ledger-changes} `` (tables).
"""

import html

from docutils import nodes
from sphinx.util.docutils import SphinxDirective
from vsbook_ext import boxes, coloured, stated, table

from vsbook import ledger
from vsbook.judging import VERDICTS


def words() -> list[str]:
    """The counts in sentences."""
    counts, every = ledger.tally(), ledger.claims().values()
    ours = sum(claim.source.startswith("ours") for claim in every)
    could_fail, verb = len(every) - counts["theorem"] - counts["open"], "is" if counts["open"] == 1 else "are"
    return [
        f"{len(every) - ours} statements of the paper can be checked, and {ours} of ours beside them. "
        f"{counts['theorem']} are theorems: they follow from definitions or shapes, hold in each of our checks, and "
        "are nobody's success. "
        f"Of the {could_fail} that could have come out otherwise, {counts['reproduced']} are reproduced, "
        f"{counts['contradicted']} are contradicted, {counts['artefact']} come out for another reason than the one "
        f"given, and {counts['undecided']} stay undecided. {counts['open']} {verb} open.",
        "The algebra holds. What is read off pictures seldom outdoes noise. And a network with a narrow layer has no "
        "inverse, whatever its activation.",
    ]


class LedgerWords(SphinxDirective):
    """The counts, and the sentence to take home."""

    def run(self):
        """Two paragraphs."""
        return [nodes.paragraph("", *self.parse_inline(text)[0], classes=["ledger-words"]) for text in words()]


class LedgerPicture(SphinxDirective):
    """A square for each claim, which leads to its card."""

    def run(self):
        """A list of rows of links, and a legend with the counts."""
        picture = nodes.container(classes=["ledger-picture"])
        for row, claims in ledger.by_place().items():
            line = nodes.container(classes=["ledger-row"])
            line += nodes.inline("", row, classes=["ledger-row-name"])
            line += nodes.paragraph("", "", *(self.square(claim) for claim in claims))
            picture += line
        legend = nodes.paragraph(classes=["ledger-legend"])
        for verdict, count in ledger.tally().items():
            entry = nodes.inline(classes=["ledger-legend-entry"])
            entry += [square(verdict), nodes.Text(f" {verdict} {count} ")]
            legend += entry
        return [picture, legend]

    def square(self, claim: ledger.Claim) -> nodes.Node:
        """A link with the claim for its name."""
        verdict = ledger.verdict(claim.id)
        drawn = square(verdict)
        drawn += nodes.inline("", f" {verdict}: {claim.statement}", classes=["visually-hidden"])
        return card_link("", drawn, claim=claim.id)


def square(verdict: str) -> nodes.inline:
    """Shape and colour of a verdict."""
    return nodes.inline("", VERDICTS[verdict], classes=["ledger-square", f"square-{verdict}"])


class LedgerCards(SphinxDirective):
    """Every claim as a line that unfolds, with controls that filter."""

    def run(self):
        """The controls work where scripts do; the cards need none."""
        made = [nodes.raw("", self.controls(), format="html")]
        for claim in ledger.claims().values():
            made += self.card(claim)
        return [nodes.container("", *made, classes=["ledger-cards"])]

    def controls(self) -> str:
        """Three fields and a line that says how many cards are shown."""
        options = {"verdict": VERDICTS, "section": ledger.by_place()}
        labels = {"verdict": "Verdict", "section": "Section"}
        fields = []
        for name, values in options.items():
            entries = "".join(f"<option>{html.escape(value)}</option>" for value in values)
            chosen = f'<select data-by="{name}"><option value="">all</option>{entries}</select>'
            fields.append(f"<label>{labels[name]} {chosen}</label>")
        fields.append('<label>Word <input type="search" data-by="word" placeholder="kernel"></label>')
        return f'<form class="ledger-filter" hidden>{"".join(fields)} <output></output></form>'

    def card(self, claim: ledger.Claim) -> list[nodes.Node]:
        """What the paper says, what we find, what of it, where; measure and rule folded up inside."""
        std = self.env.get_domain("std")
        std.note_hyperlink_target(f"claim-{claim.id}", self.env.docname, f"claim-{claim.id}", claim.statement)
        verdict = ledger.verdict(claim.id)
        head = (
            f'<details class="ledger-card" id="claim-{claim.id}" data-verdict="{verdict}" '
            f'data-section="{ledger.place_of(claim)}">'
            f'<summary><span class="ledger-square square-{verdict}" aria-hidden="true">{VERDICTS[verdict]}</span> '
            f'<span class="verdict verdict-{verdict}">{verdict}</span> {html.escape(claim.statement)}</summary>'
        )
        found, so = ledger.finding(claim.id)
        lines = [
            ("The paper", [nodes.Text(f"{stated(claim.id)} ({claim.source})")]),
            ("We find", [nodes.Text(found)]),
            ("So what", [nodes.Text(so)]),
            ("Where", [page_link(claim=claim.id)]),
        ]
        exact = [
            ("Measured", [nodes.Text(ledger.measured(claim.id))]),
            ("Measure", [nodes.Text(claim.measure)]),
            ("Rule", [nodes.Text(f"{ledger.why(claim.id)}.")]),
            ("Power", [nodes.Text(power_in_words(claim.id))]),
            ("Before", [nodes.Text(" ".join(filter(None, [before(claim), claim.revised])))]),
        ]
        return [
            nodes.raw("", head, format="html"),
            fields(lines),
            nodes.raw("", '<details class="ledger-exact"><summary>measure, rule and history</summary>', format="html"),
            fields(exact),
            nodes.raw("", "</details></details>", format="html"),
        ]


def before(claim: ledger.Claim) -> str:
    """The verdict of the first edition."""
    return f"First edition: {claim.first}." if claim.first else "Not in the first edition."


def fields(lines: list[tuple[str, list[nodes.Node]]]) -> nodes.Node:
    """A list of terms and what they are."""
    items = [
        nodes.definition_list_item("", nodes.term("", term), nodes.definition("", nodes.paragraph("", "", *content)))
        for term, content in lines
    ]
    return nodes.definition_list("", *items, classes=["ledger-lines"])


def power_in_words(claim_id: str) -> str:
    """What the rule says of simulated data."""
    shares = ledger.power(claim_id)
    if not shares:
        return "None to have: a theorem, or not measured."
    yes, no = shares["claimed"], shares["null"]
    return (
        f"Of data as the claim would have them the rule says reproduced in {yes['reproduced']:.0%} and contradicted "
        f"in {yes['contradicted']:.0%}; of data as its opposite would have them, in "
        f"{no['reproduced']:.0%} and {no['contradicted']:.0%}."
    ) + what_it_takes(claim_id)


def what_it_takes(claim_id: str) -> str:
    """What would settle an undecided claim; nothing of the others."""
    if ledger.verdict(claim_id) != "undecided":
        return ""
    if seeds := ledger.power(claim_id).get("needs"):
        return f" At this spread {seeds} seeds would do."
    if getattr(ledger.claims()[claim_id].judged_by, "seeds", "") == "alike":
        return " More seeds would not settle it: they are all judged on the same few digits or vectors."
    return " So the rule tells the two apart at this spread; what was measured lies between them."


class LedgerPower(SphinxDirective):
    """How often each rule says what, of simulated data."""

    def run(self):
        """A row for each rule that could fail."""
        headings = ["claim", "seeds", "claimed: reproduced", "contradicted", "null: reproduced", "contradicted"]
        rows = []
        for claim_id in ledger.claims():
            if shares := ledger.power(claim_id):
                numbers = [shares[h][v] for h in ("claimed", "null") for v in ("reproduced", "contradicted")]
                cells = [str(shares["seeds"]), *(f"{100 * number:.1f} %" for number in numbers)]
                name = card_link("", nodes.inline("", claim_id), claim=claim_id)
                rows.append([[name], *([nodes.Text(cell)] for cell in cells)])
        return [table(headings, rows, ["ledger-numbers", "ledger-power"])]


SAME = {"reproduced": "reproduced", "not reproduced": "contradicted", "artefact": "artefact"}  # in other words


class LedgerChanges(SphinxDirective):
    """Claims whose verdict is another one than in the first edition."""

    def run(self):
        """Old and new side by side, with the reason."""
        rows = []
        for claim in ledger.claims().values():
            verdict = ledger.verdict(claim.id)
            if claim.first and SAME[claim.first] != verdict and claim.revised:
                name = card_link("", nodes.inline("", claim.statement), claim=claim.id)
                rows.append([[name], [nodes.Text(claim.first)], [coloured(verdict)], [nodes.Text(claim.revised)]])
        return [table(["claim", "before", "now", "why"], rows, ["ledger-changes"])]


class card_link(nodes.Inline, nodes.Element):
    """Stands for a link to a claim's card, with what is in it, until all pages are read."""


class page_link(nodes.Inline, nodes.Element):
    """Stands for a link to the box about a claim, until all pages are read."""


def resolve_links(app, doctree, docname):
    """Put links to the boxes into the cards, and to the cards into all else, now that all pages are read."""
    for node in list(doctree.findall(card_link)):
        page, anchor = app.env.get_domain("std").anonlabels[f"claim-{node['claim']}"]
        address = f"{app.builder.get_relative_uri(docname, page) if page != docname else ''}#{anchor}"
        node.replace_self(nodes.reference("", "", *node.children, refuri=address, internal=True))
    for node in list(doctree.findall(page_link)):
        if node["claim"] in boxes(app.env):
            page, anchor = boxes(app.env)[node["claim"]]
            title = app.env.titles[page].astext()
            address = f"{app.builder.get_relative_uri(docname, page)}#{anchor}"
            node.replace_self(nodes.reference("", title, refuri=address, internal=True))
        else:
            node.replace_self(nodes.Text("no chapter yet"))


def setup(app):
    """Register all of it."""
    app.setup_extension("vsbook_ext")
    app.add_directive("ledger-words", LedgerWords)
    app.add_directive("ledger-picture", LedgerPicture)
    app.add_directive("ledger-cards", LedgerCards)
    app.add_directive("ledger-power", LedgerPower)
    app.add_directive("ledger-changes", LedgerChanges)
    app.add_node(page_link)
    app.add_node(card_link)
    app.connect("doctree-resolved", resolve_links)
    return {"parallel_read_safe": False, "parallel_write_safe": True}

"""The claims: every paragraph of the paper has its own, every measured one its box and its chapter."""

import re
import sys
from pathlib import Path

import pytest

from evidence import common
from evidence.measure import measurements
from tools.project import Project
from vsbook import ledger
from vsbook.judging import Mean, Number, Theorem
from vsbook.ledger import Measurement, claims, paper_map, result

ROOT = Path(ledger.__file__).parent.parent
CLAIMS = claims()
MEASURED = [claim_id for claim_id in CLAIMS if result(claim_id)]
MEASUREMENTS = measurements()

# Paragraphs of the paper by section, counted in its text: a paragraph begins with a new sentence after a blank line or
# a displayed formula.
PARAGRAPHS = {"Abstract": 1, "1": 4, "2": 1, "2.1": 10, "2.2": 2, "2.3": 2, "2.3.1": 1, "2.4": 3, "3": 4, "4": 1}
# Panels of the figures, row by row.
PANELS = {"1": [10, 10, 10], "2": [9], "3": [10, 10, 10]}


OPEN = ["resnet18-is-fine-tuned"]

# the map


def map_problems(ids, entries, paragraphs=PARAGRAPHS, panels=PANELS) -> list[str]:
    """What is wrong with a map from the paper to claims: nothing, if it is whole."""
    problems = []
    for entry in entries:
        place = entry.get("section") or f"Fig. {entry.get('figure')}, {entry.get('row')}"
        problems += [f"{place}: no claim {claim}" for claim in entry["claims"] if claim not in ids]
        problems += [f"{place}: {claim} twice" for claim in set(entry["claims"]) if entry["claims"].count(claim) > 1]
    named = {claim for entry in entries for claim in entry["claims"]}
    problems += [f"{claim}: in no paragraph and no panel" for claim in ids if claim not in named]
    numbers, rows = {}, {}
    for entry in entries:
        if "section" in entry:
            numbers.setdefault(entry["section"], []).append(entry["number"])
        else:
            rows.setdefault(entry["figure"], []).append(entry["panels"])
    expected = {section: list(range(1, count + 1)) for section, count in paragraphs.items()}
    for section in expected.keys() | numbers.keys():
        if numbers.get(section) != expected.get(section):
            problems.append(f"section {section}: paragraphs {numbers.get(section)}")
    problems += [
        f"figure {f}: panels {rows.get(f)}" for f in panels.keys() | rows.keys() if rows.get(f) != panels.get(f)
    ]
    return problems


def test_the_map_is_whole():
    assert map_problems(CLAIMS, paper_map()) == []


PLANTED = {
    "a claim without a paragraph": (lambda ids, m: ({*ids, "new"}, m), "new: in no paragraph"),
    "an unknown claim": (lambda ids, m: (ids, [m[0] | {"claims": ["nope"]}, *m]), "no claim nope"),
    "a claim named twice": (lambda ids, m: (ids, [m[0] | {"claims": m[0]["claims"] * 2}, *m[1:]]), "twice"),
    "a paragraph missing": (lambda ids, m: (ids, [e for e in m if e.get("section") != "2.3.1"]), "section 2.3.1"),
    "a gap in the numbers": (
        lambda ids, m: (ids, [e for e in m if (e.get("section"), e.get("number")) != ("2.1", 4)]),
        "section 2.1",
    ),
    "a paragraph too many": (lambda ids, m: (ids, [*m, {"section": "4", "number": 2, "claims": []}]), "section 4"),
    "an unknown section": (lambda ids, m: (ids, [*m, {"section": "7", "number": 1, "claims": []}]), "section 7"),
    "a row of panels missing": (lambda ids, m: (ids, m[:-1]), "figure 3"),
    "a panel missing": (lambda ids, m: (ids, [*m[:-1], m[-1] | {"panels": 9}]), "figure 3"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_gap_is_found(what):
    plant, found = PLANTED[what]
    assert any(found in problem for problem in map_problems(*plant(set(CLAIMS), paper_map())))


def test_each_claim_stands_where_its_source_says():
    """'2.1, paragraph 4' is in the entry of that paragraph; 'Fig. 1, middle row' in one of that figure."""
    for claim in CLAIMS.values():
        places = [entry for entry in paper_map() if claim.id in entry["claims"]]
        for section, number in re.findall(r"(?:^|; )([\d.]+), paragraph (\d+)", claim.source):
            assert any((e.get("section"), e.get("number")) == (section, int(number)) for e in places), claim.id
        for figure in re.findall(r"Fig\. (\d)", claim.source):
            assert any(e.get("figure") == figure for e in places), claim.id
        assert re.match(r"(ours, on )?(Abstract$|Fig\. \d|[234](\.\d)*, paragraph \d)", claim.source), claim.source


# the claims


def test_ids_are_unique_and_in_kebab_case():
    written = [entry["id"] for entry in ledger._file()["claim"]]
    assert len(written) == len(set(written))
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", claim_id) for claim_id in written)


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_every_claim_has_a_rule_that_can_judge(claim):
    assert all((claim.statement, claim.stated, claim.measure, claim.source))
    rule = claim.judged_by
    if isinstance(rule, Number):
        assert re.fullmatch(r"\d+(\.\d+)?", claim.stated)  # as printed: its digits are its precision
        assert rule.apart > 0
    elif isinstance(rule, Theorem):
        assert rule.bound <= 1e-6 or rule.bound == 1.0  # rounding, or a ratio that can't exceed 1
    elif isinstance(rule, Mean) or rule.of:
        assert rule.claimed != rule.null


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_what_changed_with_the_second_edition_is_said(claim):
    """The verdict of the first edition stands beside the new one; where its sense changed, there is a reason."""
    assert claim.first in ("", "reproduced", "not reproduced", "artefact")
    assert claim.first or claim.revised
    same = {"reproduced": ("reproduced", "theorem"), "not reproduced": ("contradicted",), "artefact": ("artefact",)}
    if claim.first and ledger.verdict(claim.id) not in same[claim.first]:
        assert claim.revised or ledger.verdict(claim.id) in ("undecided", "open")


def test_measured_and_measurable_are_the_same_claims():
    assert set(MEASURED) == set(MEASUREMENTS)
    assert {path.stem for path in (ROOT / "evidence" / "results").glob("*.json")} == set(MEASURED)


@pytest.mark.parametrize("claim_id", common.MEASUREMENTS)
def test_a_measurement_is_one_of_a_claim_and_found_by_its_id(claim_id):
    """Where it is recorded to stand, and there alone."""
    assert claim_id in CLAIMS
    entered = f'\n@measures("{claim_id}"'
    scripts = [path for path in (ROOT / "evidence").rglob("*.py") if entered in path.read_text(encoding="utf-8")]
    assert [str(path.relative_to(ROOT)) for path in scripts] == [result(claim_id)["script"].partition(":")[0]]


def test_no_function_of_a_measurement_is_left_out():
    entered = {measurement.func for measurement in MEASUREMENTS.values()}
    assert all(function.__annotations__["return"] is Measurement for function in entered)
    for script in {sys.modules[function.__module__] for function in entered}:
        public = {name: f for name, f in vars(script).items() if not name.startswith("_")}
        own = {f for f in public.values() if getattr(f, "__annotations__", {}).get("return") is Measurement}
        assert {f for f in own if f.__module__ == script.__name__} <= entered


@pytest.mark.parametrize("claim_id", MEASURED)
def test_every_measured_claim_names_its_chapter(claim_id):
    chapter = CLAIMS[claim_id].chapter
    assert (ROOT / f"{chapter}.md").is_file()
    assert f"file: {chapter}\n" in (ROOT / "_toc.yml").read_text(encoding="utf-8")


def boxed(texts) -> list[tuple[str, str]]:
    """Claim and page, for each claim of each *In the paper* box; a box in a comment is none."""
    found = []
    for page, text in texts.items():
        text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
        for ids in re.findall(r"^ {0,3}[`:]{3,}\{in-the-paper\}(.*)$", text, re.MULTILINE):
            found += [(claim_id, page) for claim_id in ids.split()]
    return found


def box_problems(expected, texts) -> list[str]:
    """Claims that don't stand in exactly one box, on the page of their chapter (none, where that is empty)."""
    found = boxed(texts)
    pages = {claim_id: [page for other, page in found if other == claim_id] for claim_id in expected}
    problems = [
        f"{claim_id}: boxes in {pages[claim_id]}, chapter {chapter!r}"
        for claim_id, chapter in expected.items()
        if pages[claim_id] != ([chapter] if chapter else [])
    ]
    return problems + [f"{claim_id}: no claim" for claim_id, _ in found if claim_id not in expected]


def pages_of_the_book():
    return {page: (ROOT / f"{page}.md").read_text(encoding="utf-8") for page in Project(ROOT).pages}


EXPECTED = {claim_id: claim.chapter for claim_id, claim in CLAIMS.items()}


def test_every_claim_of_a_chapter_stands_in_one_box_there():
    assert box_problems(EXPECTED, pages_of_the_book()) == []
    assert {claim_id for claim_id, _ in boxed(pages_of_the_book())} >= set(MEASURED)


def without(text, claim_id):
    """The text whose boxes no longer name the claim."""
    return re.sub(rf"(?m)^(`{{3}}\{{in-the-paper\}}.*?) {claim_id}(?= |$)", r"\1", text)


@pytest.mark.parametrize("claim_id", MEASURED)
def test_a_claim_dropped_moved_doubled_or_hidden_is_found(claim_id):
    texts, chapter = pages_of_the_book(), EXPECTED[claim_id]
    box, elsewhere = f"\n```{{in-the-paper}} {claim_id}\nA box.\n```\n", "book/index"
    dropped = texts | {chapter: without(texts[chapter], claim_id)}
    planted = [
        dropped,
        dropped | {elsewhere: texts[elsewhere] + box},
        dropped | {chapter: dropped[chapter] + f"<!--{box}-->"},
        texts | {elsewhere: texts[elsewhere] + box},
        texts | {chapter: texts[chapter] + box},
    ]
    for each in planted:
        assert [problem.partition(":")[0] for problem in box_problems(EXPECTED, each)] == [claim_id]
    assert box_problems(EXPECTED, dropped | {chapter: dropped[chapter] + box}) == []
    assert box_problems(EXPECTED | {claim_id: ""}, texts) != []
    assert box_problems({c: at for c, at in EXPECTED.items() if c != claim_id}, texts) == [f"{claim_id}: no claim"]


def test_nothing_is_open_but_what_can_not_be_measured_here():
    """Its page says why."""
    still_open = [claim for claim in CLAIMS.values() if claim.id not in MEASURED]
    assert still_open == [claim for claim in CLAIMS.values() if claim.blocked]
    assert [claim.id for claim in still_open] == OPEN
    for claim in still_open:
        assert (ledger.verdict(claim.id), ledger.measured(claim.id)) == ("open", "–")
        assert claim.chapter

"""The page standard of the chapters, and prose without measured numbers."""

import json
import re
from pathlib import Path

import pytest

from tools.keys import code_cells
from tools.notebooks import CHECKED
from tools.project import Project

ROOT = Path(__file__).parent.parent
CHAPTERS = Project(ROOT).chapters
PROSE = [*sorted((ROOT / "notebooks").glob("*.md")), *sorted((ROOT / "book").glob("*.md")), ROOT / "README.md"]
VERBS = {"Ask", "Build", "Compare", "Draw", "Find", "Invert", "Look", "Measure", "Project", "Rank", "See", "Watch"}

# --- prose without numbers --------------------------------------------------------------------------------------

DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+")
# Fences that hold no prose: code, formulas, and what stands in braces but is run or read by a program.
CODE = re.compile(r"^\s*(`{3,}(?!`)|~{3,}(?!~))(?!\{(?!code|math|raw|bibliography)[\w-]+\})")
NOT_PROSE = re.compile(
    r"""\$\$.*?\$\$ | \$[^$\n]+\$        # formulas
      | (?:\{[\w:-]+\})?(?P<tick>`+)(?:[^`\n]|\n(?!\n))+(?P=tick)  # roles and code
      | <!--.*?-->                       # comments
      | \]\([^)]*\) | https?://\S+       # addresses""",
    re.VERBOSE | re.DOTALL,
)
# Numbers that nobody measured: sections, versions, licences, identifiers of papers.
NAMES = re.compile(
    r"""(?:[Ss]ections?|[Cc]hapters?|Python|arXiv[: ]|CC\sBY(?:-SA)?|[Vv]ersions?|OFL)\s*\d+\.\d+(?:\.\d+)*
        (?:(?:,|\sand|\sto|\sor|,\sand)\s\d+\.\d+)*""",
    re.VERBOSE,
)


def typed_numbers(text: str) -> list[str]:
    """Decimal numbers that somebody typed into prose."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return DECIMAL.findall(NAMES.sub("", NOT_PROSE.sub("", "\n".join(prose_lines(text)))))


def prose_lines(text: str) -> list[str]:
    """Lines outside code and formulas, without the options of directives."""
    kept, closing = [], ""
    for line in text.splitlines():
        if closing:
            closing = "" if line.strip() == closing else closing
        elif opening := CODE.match(line):
            # a bare fence is the end of a directive whose inside was prose
            closing = opening[1] if line.strip() != opening[1] else ""
        elif not re.match(r"\s*:(?!alt)[\w-]+:", line):
            kept.append(re.sub(r"^\s*(`{3,}|:{3,}|~{3,})(\{[\w-]+\})?", "", line))
    return kept


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_prose_types_no_number(path):
    found = typed_numbers(path.read_text())
    assert not found, f"{path.name}: {found}: numbers come from cells, or from {{stated}}, {{measured}} and {{result}}"


@pytest.mark.parametrize(
    "planted",
    [
        "The condition number is 7.22.",
        "| a | 0.93 |",
        "```{note}\nIt is 0.5 of the energy.\n```",
        "```{exercise} By hand\n:label: a\n\nTake 1.25.\n```",
        "```{note}\nIt is 0.5.\n```\n\nAnd `code`.",
        "````{note}\n```{tip}\nIt is 0.5.\n```\n````\n\nAnd `code`.",
        "```{code-cell}\nx = 1.5\n```\n\nSo x is 1.5.",
        "```{code-cell}\nx = 1.5\n```\n\n```{note}\ninside\n```\n\nSo x is 1.5.",
    ],
)
def test_planted_number_is_caught(planted):
    assert len(typed_numbers(planted)) == 1


@pytest.mark.parametrize(
    "innocent",
    [
        "```{note}\nSee `x`, {ref}`y`.\n```\n\nIt is {result}`a-b:c-0.0.mean:.0f`,\n{result}`a-b:c-4.0.mean:.0f`.",
        "It is {stated}`fcnn1-condition-number`, {result}`a-b:summary.mean:.2f`.",
        "```{in-the-paper} a\nIt is {result}`a:x.0.5:.2f`.\n```",
        "Strang, Section 2.3, and sections 2.1 and 2.2 of the paper; Python 3.11, CC BY 4.0, arXiv 2402.00261.",
        "With $x = 0.5$ and\n\n$$\ny = 1.5\n$$\n\nand `z = 2.5`.",
        "```{code-cell} ipython3\n:tags: [x]\n\nx = 1.5\n```",
        "```{math}\n:label: e\nx = 1.5\n```",
        "```python\nx = 1.5\n```",
    ],
)
def test_innocent_numbers_pass(innocent):
    assert typed_numbers(innocent) == []


# --- the page standard ------------------------------------------------------------------------------------------


@pytest.fixture(params=CHAPTERS)
def chapter(request, project) -> str:
    """The text of each chapter in turn."""
    return project.text(request.param).read_text()


def test_title_starts_with_a_verb(chapter):
    title = re.search(r"^# (\w+)", chapter, re.MULTILINE)
    assert title, "a chapter has a title"
    assert title[1] in VERBS, "a chapter's title says what the reader does (a new verb goes into VERBS)"


def test_head_says_what_awaits_the_reader(chapter):
    head = chapter.partition("{code-cell}")[0].replace("’", "'")
    for phrase in ("What you'll do", "What you'll learn", "What you need"):
        assert phrase in head
    assert re.search(r"\d+ minutes", head), "the head says how many minutes the chapter takes"
    assert re.search(r"Strang.*Sections? \d", head, re.DOTALL), "the head names the section of Strang"


def test_chapter_asks_and_answers(chapter):
    exercises = dict(re.findall(r"\{exercise(?:-start)?\} *(.*)\n:label: *([\w-]+)", chapter))
    labels = re.findall(r"\{exercise(?:-start)?\}.*\n:label: *([\w-]+)", chapter)
    solved = re.findall(r"\{solution(?:-start)?\} *([\w-]+)", chapter)
    assert len(labels) >= 3, "a chapter has at least three exercises"
    assert sorted(labels) == sorted(solved), "each exercise has one solution"
    assert any("by hand" in title.lower() for title in exercises), "one exercise is titled 'By hand …'"


def test_chapter_ends_with_take_aways(chapter):
    headings = re.findall(r"^#+ (.*?) *$", chapter, re.MULTILINE)
    assert "Take-aways" in headings
    assert "Further reading" in headings
    assert "{in-the-paper}" in chapter, "a box says what the chapter settles of the paper"


def test_chapter_asserts_and_checks(chapter):
    assert any(re.search(r"^\s*assert ", cell, re.MULTILINE) for cell in code_cells(chapter)), "an assert in sight"
    assert CHECKED in chapter, f"a cell tagged {CHECKED}"


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_drawn_figure_has_alt_text(project, html, name):
    for cell in json.loads(project.output(name).read_text())["cells"]:
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
            assert alt.strip(), f"this cell draws, and has no `mystnb: image: alt:`\n{cell['source']}"

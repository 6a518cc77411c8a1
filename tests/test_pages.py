"""The page standard of the chapters, and prose without measured numbers."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from tools.compare import compare
from tools.keys import code_cells
from tools.minutes import CELL, MOST, head_of, minutes, stated
from tools.notebooks import CHECKED, is_checked
from tools.project import BuildError, Project

ROOT = Path(__file__).parent.parent
CHAPTERS = Project(ROOT).chapters
PROSE = [*sorted((ROOT / "notebooks").glob("*.md")), *sorted((ROOT / "book").glob("*.md")), ROOT / "README.md"]
VERBS = {
    "Ask",
    "Build",
    "Compare",
    "Draw",
    "Find",
    "Invert",
    "Look",
    "Measure",
    "Project",
    "Rank",
    "Read",
    "See",
    "Watch",
}

# --- prose without numbers --------------------------------------------------------------------------------------

# What counts as a measured number: 7.22, 7,22, .93 and 93 % (or percent).
NUMBER = re.compile(
    r"""(?<![^\W_])\d+(?:[.,]\d+)+  |  (?<![^\W_])\.\d+
      | (?<![^\W_])\d+(?:\s|&nbsp;)*(?:\\?%|per\s?cent\b)""",
    re.VERBOSE,
)
# Fences that hold no prose: code, formulas, and what stands in braces but is run or read by a program.
CODE = re.compile(r"^\s*(`{3,}(?!`)|~{3,}(?!~))(?!\{(?!code|math|raw|bibliography)[\w:-]+\})")
NOT_PROSE = re.compile(
    r"""\$\$.*?\$\$ | \$[^$\n]+\$        # formulas
      | (?:\{[\w:-]+\})?(?P<tick>`+)(?:[^`\n]|\n(?!\n))+(?P=tick)  # roles and code
      | <!--.*?-->                       # comments
      | \]\([^)]*\) | https?://\S+       # addresses""",
    re.VERBOSE | re.DOTALL,
)
# Numbers that nobody measured, each in its own narrow form; whatever else looks like a number is an error.
SECTION = r"(?:[1-9]|1[0-2])\.[1-9](?:\.[1-9])?(?!\d|\.\d)"
ALLOWED = re.compile(
    rf"""(?<![^\W_])(?<![.,])(?:
        [Ss]ection\s+{SECTION}                                              # one section of a book or paper
      | [Ss]ections\s+{SECTION}(?:,\s+{SECTION})*(?:,?\s+(?:and|or|to)\s+{SECTION})?  # several
      | Python\s+3\.\d\d?(?!\d|\.\d)
      | arXiv[:\s]\s*\d{{4}}\.\d{{5}}(?!\d)
      | CC\s+BY(?:-SA)?\s+[34]\.0(?!\d|\.\d) | OFL\s+1\.1(?!\d|\.\d)        # licences
      | [1-9]\d{{0,2}},000(?!\d|[.,]\d|\s*\\?%|\s*per\s?cent)              # thousands: numbers of images
      | 95\s?%\s+(?:prediction|confidence)\s+intervals?\b                  # the level of an interval
      | fall\s+with\s+a\s+probability\s+of\s+95\s?% | whiskers\s+hold\s+95\s?%   # the same in words
    )""",
    re.VERBOSE,
)
SHOWN = {"alt", "caption", "code_prompt_show", "code_prompt_hide"}  # what a page shows of a code cell's head


def typed_numbers(text: str) -> list[str]:
    """Decimal numbers and percentages that somebody typed into prose, captions and alternative texts."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    prose = NOT_PROSE.sub(" ", "\n".join([*prose_lines(text), *cell_texts(text)]))
    return NUMBER.findall(ALLOWED.sub(" ", prose))


def prose_lines(text: str) -> list[str]:
    """Lines outside code and formulas, without the options of directives."""
    kept, closing = [], ""
    for line in text.splitlines():
        if closing:
            closing = "" if line.strip().startswith(closing) and set(line.strip()) == {closing[0]} else closing
        elif opening := CODE.match(line):
            # a bare fence is the end of a directive whose inside was prose
            closing = opening[1] if line.strip() != opening[1] else ""
        elif not re.match(r"\s*:(?!alt|caption)[\w-]+:", line):
            kept.append(re.sub(r"^\s*(`{3,}|:{3,}|~{3,})(\{[\w:-]+\})?", "", line))
    return kept


def cell_texts(text: str) -> list[str]:
    """Captions and alternative texts in the heads of code cells, each a paragraph of its own."""
    heads = re.findall(r"^\s*[`~]{3,}\{code-cell\}.*\n---\n((?:.*\n)*?)---$", text, re.MULTILINE)
    heads += re.findall(r"^\s*[`~]{3,}\{code-cell\}.*\n((?:^:[\w-]+:.*\n)+)", text, re.MULTILINE)
    return [f"\n{shown}\n" for head in heads for shown in shown_texts(yaml.safe_load(re.sub("(?m)^:", "", head)))]


def shown_texts(head: object) -> list[str]:
    """The values of the keys in SHOWN, at any depth of a head."""
    pairs = head.items() if isinstance(head, dict) else ()
    return [text for key, value in pairs for text in ([str(value)] if key in SHOWN else shown_texts(value))]


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
        "````{code-cell}\nx = 1\n`````\n\nSo x is 1.5.",
        "```{prf:theorem} Energy\n:label: a\n\nIt is 0.93.\n```",
        "```{prf:remark} It is 0.93\n:label: a\n\nAnd so on.\n```",
        "```{figure} a.png\n:alt: It is 0.93.\n```",
        "```{list-table}\n:caption: It is 0.93.\n```",
        "```{code-cell} ipython3\n---\nmystnb:\n  image:\n    alt: >-\n      Bars,\n      at 0.93.\n---\nx = 1.5\n```",
        "```{code-cell} ipython3\n---\nmystnb:\n  figure:\n    caption: It is 93 %.\n    name: a\n---\nx = 1.5\n```",
        "```{code-cell} ipython3\n:tags: [a]\n:mystnb: {image: {alt: It is 0.93}}\n\nx = 1.5\n```",
        "It is .93 of it.",
        "It is 7,22.",
        "It is 93 % of it.",
        "It is 93% of it.",
        "It is 93\u202f% of it.",
        "It is 93&nbsp;% of it.",
        "It is 93\npercent of it.",
        "It is _0.93_ of it.",
        "It is 95 % of the energy.",
        "The label is right with a probability of 95 %.",
        "It is 10,123 in all.",
        "It is 7.22,000 in all.",
        "It is Python 0.93.",
        "It is Python 3.11.93.",
        "It is version 0.93.",
        "It is Section 0.93.",
        "It is Section 7.22.",
        "See Section 2.3 and 7.2.",
        "It is CC BY 0.93.",
        "It is arXiv 0.93.",
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
        "Sections 3.5, 4.1, 4.2 and 4.5, and section 2.3.1. CC BY-SA 3.0, OFL 1.1.",
        "Of 60,000 images, 10,000 are for testing, and 1000 are drawn.",
        "The 95 % prediction interval; another would fall with a probability\nof 95 %; whiskers hold 95 % of all.",
        "```{code-cell} ipython3\n---\nmystnb:\n  image:\n    alt: Ten bars.\n    width: 93%\n---\nx = 1.5\n```",
        "```{prf:proof}\nWith $x = 0.5$ and {result}`a:x.0.5:.2f`.\n```",
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
    """Strang's sections and the minutes, then what to do, to learn and to bring, a line each."""
    head = chapter.partition("{code-cell}")[0]
    assert re.search(r"\*\*Strang\*\*: .*Sections? \d", head), "the head names the section of Strang"
    lines = re.findall(r"^\*\*(Do|Learn|Need)\*\*: (.*?)\n\n", head, re.MULTILINE | re.DOTALL)
    assert [word for word, _ in lines] == ["Do", "Learn", "Need"], "three lines say what to do, to learn, to bring"
    assert all(len(text.split()) <= 45 for _, text in lines), "each of them is a line or two"


def test_minutes_follow_the_rule(chapter):
    assert stated(chapter) == minutes(chapter), f"the rule of tools/minutes.py says {minutes(chapter)} minutes"
    assert minutes(chapter) <= MOST, "a page reads within the hour: part it, or move what is a dispute"


def test_a_picture_stands_before_any_code_in_sight(chapter):
    cells = [match["inside"] for match in CELL.finditer(chapter)]
    drawn = next(k for k, cell in enumerate(cells) if "figure:" in head_of(cell))
    assert all("hide-input" in head_of(cell) for cell in cells[: drawn + 1])


def test_misconceptions_have_a_box(chapter):
    box = re.search(
        r"^```\{admonition\} Misconceptions\n:class: warning\n\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL
    )
    assert box, "a box 'Misconceptions' of class warning"
    assert len(re.findall(r"^- \*", box[1], re.MULTILINE)) >= 2, "each misconception in italics, and what is so"


def test_questions_have_their_answers_behind_a_click(chapter):
    asked = re.findall(
        r"^```\{admonition\} Question: [^\n]*\?\n:class: dropdown\n\n(.+?)^```$", chapter, re.M | re.DOTALL
    )
    assert len(asked) >= 2, "two questions, each the title of a box of class dropdown with the answer inside"


def test_boxes_about_the_paper_are_short(chapter):
    for box in re.findall(r"^```\{in-the-paper\}[^\n]*\n(.*?)^```$", chapter, re.MULTILINE | re.DOTALL):
        sentences = re.findall(r"[.!?:](?=\s|$)", re.sub(r"\$[^$]*\$|\{[\w:-]+\}`[^`]*`|\bp\. |Fig\. ", "x ", box))
        assert len(sentences) <= 3, f"three sentences, the rest in the ledger: {box}"


@pytest.mark.parametrize(("name", "following"), list(pairwise(CHAPTERS)))
def test_the_end_hands_over(project, name, following):
    """To the page that follows in the order of reading."""
    text = project.text(name).read_text()
    assert re.search(rf"^Next: \{{doc\}}`{following}`", text, re.MULTILINE), f"Next: {{doc}}`{following}` ..."


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


def never_ran(cell: dict) -> None:
    cell["execution_count"] = None


def says_nothing(cell: dict) -> None:
    cell["outputs"] = []


@pytest.mark.parametrize(("plant", "complaint"), [(never_ran, "not executed"), (says_nothing, "prints nothing")])
@pytest.mark.parametrize("name", CHAPTERS)
def test_idle_checked_cell_in_a_reference_fails_the_build(project, tmp_path, name, plant, complaint):
    small, reference = Project(tmp_path), json.loads(project.reference(name).read_text())
    for path in (small.reference(name), small.output(name)):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(reference))
    compare(small, name)
    plant(next(cell for cell in reference["cells"] if is_checked(cell)))
    small.reference(name).write_text(json.dumps(reference))
    with pytest.raises(BuildError, match=f"(?s){complaint}.*make references"):
        compare(small, name)


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_drawn_figure_has_alt_text(project, html, name):
    for cell in json.loads(project.output(name).read_text())["cells"]:
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
            assert alt.strip(), f"this cell draws, and has no `mystnb: image: alt:`\n{cell['source']}"

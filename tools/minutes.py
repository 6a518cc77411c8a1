"""How long a chapter takes to read, by a rule: `python -m tools.minutes` prints the table.

150 words a minute (a formula is a word), ten lines of code in sight a minute, one minute for a figure, three for a
proof, eight for an exercise with its solution. What is folded away isn't counted. A page states the sum, up to the next
five.
"""

import re
import sys
from pathlib import Path

from tools.project import Project

WORDS, LINES = 150, 10  # a minute
FIGURE, PROOF, EXERCISE = 1, 3, 8  # minutes each
STEP, MOST = 5, 60
HEAD = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
SOLUTION = re.compile(r"```\{solution-start\}.*?```\{solution-end\}\n```|```\{solution\}.*?\n```", re.DOTALL)
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?P<inside>.*?)^```$", re.DOTALL | re.MULTILINE)
OPTIONS = re.compile(r"\A(?:---\n(?P<head>.*?)\n---\n|(?P<lines>(?::[\w-]+:[^\n]*\n)+))", re.DOTALL)
FORMULA = re.compile(r"```\{math\}.*?\n```|\$\$.*?\$\$|\$[^$]+\$", re.DOTALL)
PROOF_STARTS = re.compile(r"^`{3,}\{prf:proof\}", re.MULTILINE)
EXERCISE_STARTS = re.compile(r"^```\{exercise(?:-start)?\}", re.MULTILINE)


def head_of(cell: str) -> str:
    """The options of a code cell, of what stands in its fence."""
    return match.group() if (match := OPTIONS.match(cell)) else ""


def counted(text: str) -> dict[str, int]:
    """Words, lines of code in sight, figures, proofs and exercises of a chapter."""
    text = SOLUTION.sub("", HEAD.sub("", text))
    cells = [match["inside"] for match in CELL.finditer(text)]
    in_sight = [cell.removeprefix(head_of(cell)) for cell in cells if not re.search("hide-input|remove", head_of(cell))]
    prose = FORMULA.sub(" formula ", CELL.sub("", text))
    return {
        "words": len(re.findall(r"\w[\w'’-]*", re.sub(r"\{[\w:-]+\}|^:\w+:.*$", " ", prose, flags=re.MULTILINE))),
        "lines": sum(bool(line.strip()) for code in in_sight for line in code.splitlines()),
        "figures": sum("figure:" in head_of(cell) for cell in cells),
        "proofs": len(PROOF_STARTS.findall(text)),
        "exercises": len(EXERCISE_STARTS.findall(text)),
    }


def minutes(text: str) -> int:
    """By the rule, up to the next five."""
    n = counted(text)
    exact = n["words"] / WORDS + n["lines"] / LINES
    exact += FIGURE * n["figures"] + PROOF * n["proofs"] + EXERCISE * n["exercises"]
    return -int(-exact // STEP) * STEP


def stated(text: str) -> int:
    """What the page's head says."""
    return int(re.search(r"\*\*Minutes\*\*: (\d+)", text)[1])


if __name__ == "__main__":
    project = Project(Path.cwd())
    for name in sys.argv[1:] or project.chapters:
        text = project.text(name).read_text(encoding="utf-8")
        print(f"{name:22} stated {stated(text):3}, by the rule {minutes(text):3}", counted(text))

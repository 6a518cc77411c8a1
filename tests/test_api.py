"""The reference of the package: every name that a wing offers, and no other markup left in the text."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).parent.parent
WINGS = ("linalg", "networks", "inversion")


@pytest.fixture(scope="module")
def reference(html) -> BeautifulSoup:
    return BeautifulSoup((html / "book" / "api.html").read_text(encoding="utf-8"), "html.parser")


@pytest.mark.parametrize("wing", WINGS)
def test_every_function_and_class_of_a_wing_is_there(reference, wing):
    offered = importlib.import_module(f"vsbook.{wing}")
    things = {name: getattr(offered, name) for name in dir(offered)}
    wanted = {
        f"vsbook.{wing}.{n}" for n, thing in things.items() if inspect.isclass(thing) or inspect.isfunction(thing)
    }
    assert len(wanted) > 10
    assert {it["id"] for it in reference.select("dt.sig") if it["id"].count(".") == 2} >= wanted


def test_no_sentence_is_taken_for_a_type(reference):
    """As napoleon does with what stands before a colon in the first line of a property."""
    assert [it.get_text() for it in reference.select("article dt") if it.get_text().startswith("Type:")] == []


def test_axes_have_their_names_alone(reference):
    """Not the expressions that the tests read beside them."""
    signatures = [it.get_text() for it in reference.select("dt.sig")]
    assert any("'n r'" in text for text in signatures)
    assert [text for text in signatures if "{" in text] == []


def test_no_markup_is_left_and_no_path_of_this_machine(reference):
    for it in reference.select("article pre, article .math, article code, article script"):
        it.extract()
    text = reference.select_one("article").get_text()
    assert not re.findall(r".{0,30}(?:\$|`|:math:|\| ---|\\\*|PosixPath).{0,30}", text)


def test_a_docstring_in_the_other_markup():
    """Formulas over two lines, names, emphasis, and what would mean something there."""
    spec = importlib.util.spec_from_file_location("api_ext", ROOT / "book" / "_ext" / "api_ext.py")
    api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(api)
    assert api.marked_up("the *sum* of $a +\nb$, `x`,\n|y| and a*b_") == (
        r"the *sum* of :math:`a + b`, ``x``," "\n" r"\|y\| and a\*b\_"
    )
    assert api.restructured("| a | b |\n| --- | --- |\n| `c` | $d$ |").splitlines()[-2:] == [
        "   * - ``c``",
        "     - :math:`d`",
    ]
    assert api.restructured(">>> a * b  # `c`") == ">>> a * b  # `c`"

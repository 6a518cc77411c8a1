"""Every page of the book in a real browser, over http and from the disk, with all other hosts out of reach."""

import functools
import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from tools.project import Project
from vsbook.ledger import by_place, claims, verdict

ROOT = Path(__file__).parent.parent
PAGES = Project(ROOT).pages
CHAPTERS = Project(ROOT).chapters

COLOUR = ["color-contrast", "link-in-text-block"]
# One element for each colour of text, size, weight and grounds below, and one link for each of those and of what it
# stands in: the rules of colour depend on nothing else, and axe takes milliseconds for each element.
MARK_SAMPLES = """() => {
    const grounds = new Map([[null, '']]), seen = new Set();
    const below = it => {
        if (!grounds.has(it)) {
            const style = getComputedStyle(it), own = [style.backgroundColor, style.backgroundImage, style.opacity];
            const plain = own.join() === 'rgba(0, 0, 0, 0),none,1';
            grounds.set(it, below(it.parentElement) + (plain ? '' : `|${own}`));
        }
        return grounds.get(it);
    };
    const look = it => {
        const style = getComputedStyle(it);
        return [it.tagName, style.display, style.color, style.fontSize, style.fontWeight, style.textDecorationLine];
    };
    const hasText = it => [...it.childNodes].some(child => child.nodeType === 3 && child.data.trim());
    for (const it of document.querySelectorAll('body *')) {
        const link = it.matches('a[href]'), around = it.parentElement;
        if (!it.checkVisibility() || !(link || hasText(it))) continue;
        const place = link ? [hasText(it), ...look(around), hasText(around)] : [];
        const kind = [...look(it), ...place, below(it)].join();
        if (!seen.has(kind)) {
            seen.add(kind);
            it.dataset.sample = '';
        }
    }
}"""

UNSET_FORMULAS = """() => [...document.querySelectorAll('.math')]
    .filter(formula => !formula.querySelector('mjx-container') || formula.querySelector('mjx-merror'))
    .map(formula => formula.textContent)"""
BROKEN_PICTURES = """() => [...document.images]
    .filter(image => !(image.complete && image.naturalWidth) || !image.alt.trim())
    .map(image => image.outerHTML.slice(0, 200))"""
WIDGETS_SHOWN = """() => document.querySelectorAll('script[type$="widget-view+json"]').length
    <= document.querySelectorAll('.jupyter-widgets').length"""
TOO_WIDE = """() => document.documentElement.scrollWidth <= window.innerWidth ? [] :
    [...document.querySelectorAll('.bd-content *')].filter(it => it.getBoundingClientRect().right > window.innerWidth)
    .slice(0, 5).map(it => it.outerHTML.slice(0, 120))"""

BOXES_TOO_WIDE = """() => [...document.querySelectorAll('.bd-article :is(pre, table, .cell_output, div.math, figure)')]
    .map(it => it.closest('.pst-scrollable-table-container, .wide-table') ?? it)
    .filter(it => it.checkVisibility() && it.scrollWidth > it.clientWidth + 1)
    .map(it => `${it.scrollWidth} of ${it.clientWidth}: ${it.textContent.trim().slice(0, 100)}`)"""


@pytest.fixture(scope="module")
def tab(browser):
    """One browser window for all pages, with a list of what went wrong since it was last emptied."""
    with browser.new_context() as context:
        context.add_init_script("localStorage.mode = localStorage.theme = localStorage.mode ?? 'light'")
        tab = context.new_page()
        tab.trouble = []
        tab.on("console", lambda said: said.type == "error" and tab.trouble.append(said.text))
        tab.on("pageerror", lambda error: tab.trouble.append(str(error)))
        tab.on("requestfailed", lambda request: tab.trouble.extend(failed(request)))
        tab.on("request", lambda request: tab.trouble.extend(elsewhere(request.url)))
        yield tab


def failed(request) -> list[str]:
    """The request, unless it failed because the next page was opened meanwhile."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"failed: {request.url}"]


def elsewhere(url: str) -> list[str]:
    """The address, if it leads away from this machine."""
    return [] if url.startswith(("http://127.0.0.1:", "file://", "data:", "blob:")) else [f"another host: {url}"]


def open_page(tab, base: str, page: str, width: int = 1280) -> None:
    """Load a page and wait until its formulas are set and its widgets drawn."""
    tab.trouble.clear()
    tab.set_viewport_size({"width": width, "height": 900})
    tab.goto(f"{base}/{page}.html")
    tab.evaluate("() => window.MathJax?.startup?.promise")
    tab.wait_for_function(WIDGETS_SHOWN)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("scheme", ["http", "file"])
def test_page_works_alone(tab, address, html, scheme, page):
    open_page(tab, {"http": address, "file": html.as_uri()}[scheme], page)
    assert tab.trouble == []
    assert tab.evaluate(UNSET_FORMULAS) == []
    assert tab.evaluate(BROKEN_PICTURES) == []


@pytest.mark.parametrize("page", PAGES)
def test_page_fits_a_telephone(tab, address, page):
    """Neither the page nor a box on it has to be pushed sideways; nothing moves that would change nothing."""
    open_page(tab, address, page, width=390)
    assert tab.evaluate(TOO_WIDE) == []
    assert tab.evaluate(BOXES_TOO_WIDE) == []
    assert tab.evaluate("[...document.querySelectorAll('.noUi-handle')].filter(it => it.checkVisibility()).length") == 0


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_page_is_accessible(tab, address, mode, page):
    """All rules by day; at night those of colour, for nothing else is another then."""
    open_page(tab, address, page)
    if mode == "dark":
        for _ in "as the system is", "dark":
            tab.evaluate("document.querySelector('.theme-switch-button').click()")
        tab.wait_for_function("document.getAnimations().every(it => it.playState != 'running')")  # colours fade
    try:
        assert tab.evaluate("document.documentElement.dataset.theme") == mode
        grave = grave_violations(tab) if mode == "light" else []
        grave += violations_of_colour(tab)
    finally:
        tab.evaluate("localStorage.mode = localStorage.theme = 'light'")
    assert not grave, "\n".join(
        f"{each['help']}: {node['html'][:200]} {node['failureSummary']}" for each in grave for node in each["nodes"]
    )


def grave_violations(tab, context=None, **options) -> list[dict]:
    """Of axe's rules, by default all but those of colour; of what passes a list would take as long again."""
    options = {"rules": {name: {"enabled": False} for name in COLOUR}} | options
    found = Axe().run(tab, context, options | {"preload": False, "resultTypes": ["violations"]}).response["violations"]
    return [each for each in found if each["impact"] in ("serious", "critical")]


def violations_of_colour(tab) -> list[dict]:
    """Of a sample of each kind of text on the page."""
    tab.evaluate(MARK_SAMPLES)
    return grave_violations(tab, {"include": [["[data-sample]"]]}, runOnly=COLOUR, rules={})


@pytest.mark.parametrize(
    "planted",
    [
        "<p style='color: #bbb'>Pale.</p>",
        "<p>A <a style='color: #333; text-decoration: none' href='#'>hidden</a> link.</p>",
        "<p>A <a style='color: #333; text-decoration: none' href='#'><span>hid</span>den</a> link.</p>",
    ],
    ids=["pale text", "a link like its text", "a link with a part"],
)
def test_bad_colours_are_noticed(tab, address, planted):
    open_page(tab, address, "book/rules")
    assert violations_of_colour(tab) == []
    tab.evaluate("planted => document.querySelector('article').insertAdjacentHTML('beforeend', planted)", planted)
    assert len(violations_of_colour(tab)) == 1


# --- links ------------------------------------------------------------------------------------------------------


@functools.cache
def parsed(path: Path) -> BeautifulSoup:
    """A page on disk."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@functools.cache
def anchors(path: Path) -> set[str]:
    """What a fragment can lead to on a page."""
    named = [tag["name"] for tag in parsed(path).find_all("a", attrs={"name": True})]
    return {tag["id"] for tag in parsed(path).find_all(id=True)} | set(named)


def dead_links(root: Path, page: str) -> list[str]:
    """Addresses on a page that lead to no file of the book, or to no place on its page.

    The theme's logo and its entry for the current page in the side bar have the address '#'. That is allowed there,
    and nowhere in an article.
    """
    links = parsed(root / f"{page}.html").find_all(href=True)
    local = [link for link in links if urlsplit(link["href"]).scheme not in ("http", "https", "mailto", "javascript")]
    asked = [link["href"] for link in local if link["href"] != "#" or link.find_parent("article")]
    return [address for address in asked if not leads_somewhere(root, page, address)]


def leads_somewhere(root: Path, page: str, address: str) -> bool:
    """Whether a local address on a page is a file of the book and its fragment a place there."""
    parts = urlsplit(address)
    root = root.resolve()
    here = root / f"{page}.html"
    target = (here.parent / unquote(parts.path)).resolve() if parts.path else here
    if parts.scheme or parts.netloc or not address.rstrip("#"):
        return False
    if not (target.is_relative_to(root) and target.is_file()):
        return False
    return not parts.fragment or target.suffix != ".html" or unquote(parts.fragment) in anchors(target)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(html, page):
    assert dead_links(html, page) == []


DEAD = ["gone.html", "#nowhere", "other.html#nowhere", "../outside.html", "/other.html", "sub/", "", "#", "ftp://a/b"]
ALIVE = [
    "other.html",
    "other.html#there",
    "other.html?q=1#old",
    "#here",
    "#h%65re",
    "sub/file.pdf#page=2",
    "mailto:a@b.c",
]


def test_a_dead_link_is_noticed(tmp_path):
    root = tmp_path / "html"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "file.pdf").touch()
    (tmp_path / "outside.html").touch()
    (root / "other.html").write_text('<p id="there"></p><a name="old"></a><meta name="nowhere">')
    links = "".join(f'<a href="{address}">a</a>' for address in ALIVE + DEAD)
    (root / "page.html").write_text(f'<nav><a href="#">A book</a></nav><article id="here">{links}</article>')
    assert dead_links(root, "page") == DEAD


def test_the_default_is_light(tab, address):
    tab.goto(f"{address}/{PAGES[0]}.html")
    tab.evaluate("localStorage.clear()")
    tab.reload()
    assert tab.evaluate("document.documentElement.dataset.theme") == "light"


def test_a_request_elsewhere_is_noticed(tab, address):
    open_page(tab, address, PAGES[0])
    tab.evaluate("fetch('https://example.org/').catch(() => 0)")
    assert "another host: https://example.org/" in tab.trouble


WORDS = [
    *("nullspace", "pseudoinverse", "artifact", "eigenvalue", "projection"),
    *("rank", "SVD", "Newton", "kernel", "orthogonal"),
]


@pytest.mark.parametrize("scheme", ["http", "file"])
@pytest.mark.parametrize("word", WORDS)
def test_search_finds_what_a_student_types(tab, address, html, scheme, word):
    """With a link and an excerpt that has the word, also from the disk."""
    tab.goto(f"{ {'http': address, 'file': html.as_uri()}[scheme] }/search.html?q={word}")
    tab.wait_for_selector("#search-results li p.context")
    found = tab.locator("#search-results li").filter(has=tab.locator("p.context"))
    assert found.first.locator("a").get_attribute("href")
    tab.wait_for_function(
        "word => [...document.querySelectorAll('#search-results p.context')]"
        ".some(it => it.textContent.toLowerCase().includes(word))",
        arg=word.lower(),
    )


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_can_be_launched_and_downloaded(tab, address, html, project, name):
    open_page(tab, address, f"notebooks/{name}")
    links = tab.evaluate("[...document.querySelectorAll('.article-header-buttons a')].map(link => link.href)")
    repository = project.config["repository"]
    owner = repository["url"].removeprefix("https://github.com/")
    file = f"notebooks/{name}.ipynb"
    assert f"https://mybinder.org/v2/gh/{owner}/{repository['branch']}?urlpath=lab/tree/{file}" in links
    assert f"https://colab.research.google.com/github/{owner}/blob/{repository['branch']}/{file}" in links
    assert f"{address}/_sources/{file}" in links
    download = json.loads((html / "_sources" / file).read_text())
    outputs = [output for cell in download["cells"] for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)


# the ledger's page


LEDGER = "notebooks/reproduction"
SHOWN = "[...document.querySelectorAll('.ledger-card')].filter(card => card.checkVisibility()).map(card => card.id)"


@pytest.mark.parametrize("page", [LEDGER, "book/index"])
def test_each_claim_has_a_square_that_opens_its_card(tab, html, page):
    """From the disk, by the keyboard; the name of the link says claim and verdict."""
    open_page(tab, html.as_uri(), page)
    squares = tab.locator(".ledger-picture a")
    assert squares.count() == len(claims())
    names = [" ".join(name.split()).replace("’", "'") for name in squares.all_text_contents()]
    for claim in claims().values():
        assert any(name.endswith(f"{verdict(claim.id)}: {claim.statement}") for name in names), claim.id
    chosen = squares.nth(20)
    target = chosen.get_attribute("href").partition("#")[2]
    chosen.focus()
    tab.keyboard.press("Enter")
    tab.wait_for_function(f"document.getElementById({target!r})?.open")
    tab.wait_for_function(f"document.activeElement.parentElement?.id === {target!r}", timeout=5000)
    assert tab.locator(".ledger-card[open]").count() == 1


def test_the_cards_are_filtered(tab, html):
    open_page(tab, html.as_uri(), LEDGER)
    assert len(tab.evaluate(SHOWN)) == len(claims())
    tab.select_option("[data-by=verdict]", "contradicted")
    wanted = {f"claim-{claim_id}" for claim_id in claims() if verdict(claim_id) == "contradicted"}
    assert set(tab.evaluate(SHOWN)) == wanted
    tab.select_option("[data-by=section]", "Figure 2")
    some = {f"claim-{claim.id}" for claim in by_place()["Figure 2"]} & wanted
    assert set(tab.evaluate(SHOWN)) == some
    assert tab.locator(".ledger-filter output").inner_text() == f"{len(some)} of {len(claims())} claims"
    tab.select_option("[data-by=verdict]", "")
    tab.select_option("[data-by=section]", "")
    tab.fill("[data-by=word]", "Translation")
    found = tab.evaluate(SHOWN)
    assert 0 < len(found) < 10
    assert all("translation" in (card + tab.locator(f"#{card}").text_content()).lower() for card in found)


def test_without_scripts_every_card_is_there(browser, html):
    with browser.new_context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto(f"{html.as_uri()}/{LEDGER}.html")
        cards = tab.locator(".ledger-card")
        assert cards.count() == len(claims())
        assert all(card.is_visible() for card in cards.all())
        assert not tab.locator(".ledger-filter").is_visible()
        cards.nth(3).locator("summary").first.click()
        assert "We find" in cards.nth(3).inner_text()


def test_a_stranger_finds_the_picture_first(tab, address):
    """Counts and picture stand within the first screen and a half, on a telephone within three."""
    for width, screens in ((1280, 1.5), (390, 3)):
        open_page(tab, address, LEDGER, width=width)
        assert tab.locator(".ledger-picture").bounding_box()["y"] < screens * 900


def test_the_index_shows_a_card_a_chapter(tab, address):
    open_page(tab, address, "book/index")
    cards = tab.locator(".chapter-card")
    assert cards.count() == len(CHAPTERS)
    for text in cards.all_inner_texts():
        assert any(line.endswith(" minutes") and line.split()[0].isdigit() for line in text.splitlines()), text

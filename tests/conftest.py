"""What several tests share: the checkout, the built book, a browser that reaches no other host."""

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.shapes import hold
from tools.project import Project

hold()  # before any room is imported
ROOT = Path(__file__).parent.parent


# The longest files, in the order in which they are begun: a worker that took one of them last would work on alone.
FIRST = ("results", "html", "mutants", "portable", "build", "observations")
THEN = ("stored", "significance", "arrangement", "coupling", "checkpoints", "resuming", "wheel")  # after the notebooks


def pytest_collection_modifyitems(items):
    """Long files and notebooks first; else everything stays in its order."""
    order = [*(f"test_{name}" for name in FIRST), ".ipynb", *(f"test_{name}" for name in THEN)]
    places = {name: place for place, name in enumerate(order)}

    def place(item):
        return places.get(item.path.suffix if item.path.suffix == ".ipynb" else item.path.stem, len(order))

    items.sort(key=place)


@pytest.fixture(scope="session")
def project() -> Project:
    """This checkout."""
    return Project(ROOT)


@pytest.fixture(scope="session")
def html(project) -> Path:
    """The rendered pages."""
    folder = project.build / "html"
    if not (folder / "index.html").is_file():
        pytest.fail("there is no _build/html: run `make book` first (`make test` does both)", pytrace=False)
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """A file server that prints nothing."""

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture(scope="session")
def address(html) -> Iterator[str]:
    """The book's address on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=html)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    """Chromium, to which no host but this one exists."""
    from playwright.sync_api import sync_playwright

    from tools.browser import find

    if not find():
        pytest.fail("these tests drive Chromium: run `make chromium`, which installs it or says how", pytrace=False)
    options = [
        "--disable-gpu --disable-quic --no-first-run --disable-background-networking",
        "--disable-component-update --disable-sync --host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ]
    arguments = options[0].split() + options[1].split(maxsplit=2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), chromium_sandbox=False, args=arguments)
        yield browser
        browser.close()

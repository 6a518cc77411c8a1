"""What the README and the first page show is what the ledger and the network say."""

import matplotlib.image
import numpy as np
import pytest
from bs4 import BeautifulSoup

from tools import summary
from vsbook import ledger


def test_readme_holds_the_ledgers_summary():
    readme = (summary.ROOT / "README.md").read_text(encoding="utf-8")
    assert summary.MARKS.search(readme)
    assert summary.with_summary(readme) == readme, "run: python -m tools.summary"


def test_a_stale_summary_is_seen():
    stale = "<!-- ledger -->\n| reproduced | 99 |\n<!-- end of ledger -->"
    assert summary.with_summary(stale) != stale


@pytest.mark.parametrize("name", summary.PICTURES)
def test_a_picture_is_what_the_book_measured(tmp_path, name):
    summary.write_picture(name, tmp_path / "drawn.png")
    drawn, kept = (matplotlib.image.imread(path) for path in (tmp_path / "drawn.png", summary.IMAGES / f"{name}.png"))
    assert drawn.shape == kept.shape
    # fonts are smoothed a little differently from one FreeType to the next: the mean grey tells a changed picture
    assert np.abs(drawn - kept).mean() < 0.005, "run: python -m tools.summary"


def test_the_parts_of_the_thesis_add_up():
    (x, y), (signal, y_signal), (rejected, y_rejected) = summary.thesis().values()
    np.testing.assert_allclose(signal + rejected, x, atol=1e-12)
    np.testing.assert_allclose(y_signal, y, atol=1e-9)
    np.testing.assert_allclose(y_rejected, 0, atol=1e-9)


def test_the_impostor_has_the_scores_of_one_and_the_rest_of_the_other():
    (x, y), (image, scores), (other, y_other) = summary.impostor().values()
    np.testing.assert_allclose(scores, y, atol=1e-9)
    assert np.abs(y_other - y).max() > 1
    assert np.linalg.norm(image - other) < np.linalg.norm(image - x)  # it looks like the 0


def test_the_counts_are_the_ledgers_everywhere(html):
    """README, index and the ledger's page count alike: what they say is what `tally` says."""
    counts = ledger.tally()
    readme = " ".join((summary.ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"{counts['theorem']} are theorems" in readme
    for page in ("book/index", "notebooks/reproduction"):
        text = " ".join(BeautifulSoup((html / f"{page}.html").read_text(encoding="utf-8"), "html.parser").text.split())
        for verdict, count in counts.items():
            assert f"{ledger.VERDICTS[verdict]} {verdict} {count}" in text, (page, verdict)
        assert f"{counts['reproduced']} are reproduced, {counts['contradicted']} are contradicted" in text
    for verdict in ("reproduced", "contradicted", "artefact", "undecided"):
        assert f"{counts[verdict]} {verdict}" in readme

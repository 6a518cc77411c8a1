"""What the README and the first page show is what the ledger and the network say."""

import matplotlib.image
import numpy as np

from tools import summary


def test_readme_holds_the_ledgers_summary():
    readme = (summary.ROOT / "README.md").read_text(encoding="utf-8")
    assert summary.MARKS.search(readme)
    assert summary.with_summary(readme) == readme, "run: python -m tools.summary"


def test_a_stale_summary_is_seen():
    stale = "<!-- ledger -->\n| reproduced | 99 |\n<!-- end of ledger -->"
    assert summary.with_summary(stale) != stale


def test_the_picture_is_the_networks(tmp_path):
    (x, y), (signal, y_signal), (rejected, y_rejected) = summary.thesis().values()
    np.testing.assert_allclose(signal + rejected, x, atol=1e-12)
    np.testing.assert_allclose(y_signal, y, atol=1e-9)
    np.testing.assert_allclose(y_rejected, 0, atol=1e-9)
    summary.draw_thesis(tmp_path / "thesis.png")
    drawn, kept = (matplotlib.image.imread(path) for path in (tmp_path / "thesis.png", summary.PICTURE))
    assert drawn.shape == kept.shape
    # fonts are smoothed a little differently from one FreeType to the next: the mean grey tells a changed picture
    assert np.abs(drawn - kept).mean() < 0.005, "run: python -m tools.summary"

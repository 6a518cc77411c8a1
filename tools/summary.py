"""What the README shows of the book: one picture and the ledger's summary. From the root: `python -m tools.summary`."""

import re
from pathlib import Path

import numpy as np

from vsbook import ledger
from vsbook.files import write_beside
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.checkpoints import load
from vsbook.networks.data import mnist
from vsbook.networks.layers import named_weights

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "book" / "images" / "thesis.png"
MARKS = re.compile(r"(<!-- ledger -->\n).*?(\n<!-- end of ledger -->)", re.DOTALL)
IMAGE = 0  # of the test set: a seven


def ledger_table() -> str:
    """The ledger in two lines a verdict: how many claims, and their names."""
    named = {verdict: [c for c in ledger.claims() if ledger.verdict(c) == verdict] for verdict in ledger.VERDICTS}
    rows = [
        f"| {verdict} | {len(ids)} | {', '.join(ids) if verdict in ('not reproduced', 'artefact') else ''} |"
        for verdict, ids in named.items()
    ]
    return "\n".join(["| verdict | claims | which |", "| --- | --- | --- |", *rows])


def with_summary(readme: str) -> str:
    """The README's text with the ledger's summary between its marks."""
    return MARKS.sub(lambda found: found[1] + ledger_table() + found[2], readme)


def thesis() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A test image, its signal and its rejected part, each with the ten outputs W x that it gives."""
    W, x = named_weights(load("fcnn1"))["layer1"].weight, mnist().test.images[IMAGE]
    S = FourSubspaces.of(W)
    parts = {"image $x$": x, "signal part": S.project_row(x), "rejected part": S.project_null(x)}
    return {name: (part, W.astype(float) @ part) for name, part in parts.items()}


def draw_thesis(path: Path) -> None:
    """The thesis in one picture, written to `path`."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from vsbook.plots import PALETTE, draw_image

    figure, axes = plt.subplots(2, 3, figsize=(7, 4), height_ratios=[2.2, 1], layout="constrained")
    limit = max(float(np.abs(y).max()) for _, y in thesis().values())
    colours = ["black", PALETTE["signal"], PALETTE["rejected"]]
    for (above, below), (name, (part, y)), colour in zip(axes.T, thesis().items(), colours, strict=True):
        draw_image(part, above)
        above.set_title(name, color=colour)
        below.bar(range(10), y, color=colour)
        below.axhline(0, color="black", lw=0.5)
        below.set(ylim=(-1.1 * limit, 1.1 * limit), xticks=range(10), xlabel="digit")
    axes[1, 0].set_ylabel("output $Wx$")
    for ax, sign in zip(axes[0, 1:], "=+", strict=True):
        ax.annotate(sign, (-0.12, 0.5), xycoords="axes fraction", fontsize=20, ha="center", va="center")
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw_thesis(PICTURE)
    readme = ROOT / "README.md"
    write_beside(readme, with_summary(readme.read_text(encoding="utf-8")).encode())

"""What README and first page show: pictures, and the ledger's counts. From the root: `python -m tools.summary`."""

import re
from pathlib import Path

import numpy as np

from vsbook import ledger
from vsbook.files import write_beside
from vsbook.judging import VERDICTS
from vsbook.linalg.nullmodel import sampled_spectra
from vsbook.linalg.significance import condition_number
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.checkpoints import load
from vsbook.networks.data import mnist
from vsbook.networks.layers import named_weights

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "book" / "images"
MARKS = re.compile(r"(<!-- ledger -->\n).*?(\n<!-- end of ledger -->)", re.DOTALL)
IMAGE, OTHER = 0, 3  # of the test set: a seven, and a zero
COLOURS = {  # of verdicts: told apart without colour by their letters
    "theorem": "#b9bec6",
    "reproduced": "#0b6b2e",
    "contradicted": "#a3231f",
    "undecided": "#ffffff",
    "artefact": "#e0a030",
    "open": "#ffffff",
}


SAID = {"reproduced": "reproduced", "contradicted": "contradicted", "artefact": "artefacts", "undecided": "undecided"}


def ledger_words() -> str:
    """The ledger in a line a verdict."""
    counts = ledger.tally()
    could_fail, verb = len(ledger.claims()) - counts["theorem"] - counts["open"], "is" if counts["open"] == 1 else "are"
    said = ", ".join(f"{counts[v]} {w}" for v, w in SAID.items())
    return (
        f"{len(ledger.claims())} statements can be checked. {counts['theorem']} are theorems and hold. "
        f"Of the {could_fail}\nthat could have come out otherwise: {said}. {counts['open']} {verb} open."
    )


def with_summary(readme: str) -> str:
    """The README's text with the ledger's summary between its marks."""
    return MARKS.sub(lambda found: found[1] + ledger_words() + found[2], readme)


def _subspaces() -> tuple[np.ndarray, FourSubspaces]:
    """The one-layer network's matrix, in float64, and its subspaces."""
    W = named_weights(load("fcnn1"))["layer1"].weight
    return W.astype(float), FourSubspaces.of(W)


def thesis() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A test image, its signal and its rejected part, each with the ten outputs W x that it gives."""
    (W, S), x = _subspaces(), mnist().test.images[IMAGE]
    parts = {"image $x$": x, "signal part": S.project_row(x), "rejected part": S.project_null(x)}
    return {name: (part, W @ part) for name, part in parts.items()}


def impostor() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A seven, what has its row space part and the null space part of a zero, and the zero; each with W x."""
    (W, S), x, other = _subspaces(), *mnist().test.images[[IMAGE, OTHER]].astype(float)
    images = {"a 7": x, "the impostor": S.project_row(x) + S.project_null(other), "a 0": other}
    return {name: (image, W @ image) for name, image in images.items()}


def _draw_rows(figure, shown: dict, colours: list[str]):
    """Images above, their outputs below; the axes."""
    from vsbook.plots import draw_image

    axes = figure.subplots(2, 3, height_ratios=[2.2, 1])
    ink, limit = (max(float(np.abs(pair[k]).max()) for pair in shown.values()) for k in (0, 1))
    for (above, below), (name, (part, y)), colour in zip(axes.T, shown.items(), colours, strict=True):
        draw_image(part, above, ink)
        above.set_title(name, color=colour)
        below.bar(range(10), y, color=colour)
        below.axhline(0, color="black", lw=0.5)
        below.set(ylim=(-1.1 * limit, 1.1 * limit), xticks=range(10), xlabel="digit")
    axes[1, 0].set_ylabel("output $Wx$")
    return axes


def draw_thesis(figure) -> None:
    """The thesis in one picture."""
    from vsbook.plots import PALETTE

    axes = _draw_rows(figure, thesis(), ["black", PALETTE["signal"], PALETTE["rejected"]])
    for ax, sign in zip(axes[0, 1:], "=+", strict=True):
        ax.annotate(sign, (-0.12, 0.5), xycoords="axes fraction", fontsize=20, ha="center", va="center")


def draw_impostor(figure) -> None:
    """Two images with the same outputs, and the one that the second looks like."""
    from vsbook.plots import PALETTE

    _draw_rows(figure, impostor(), [PALETTE["signal"], PALETTE["signal"], PALETTE["rejected"]])


def draw_chance(figure) -> None:
    """Condition numbers of random matrices; those that print as 1.07 stand out."""
    from vsbook.plots import PALETTE

    null, ax = condition_number(sampled_spectra((4096, 9), 1.0, 10_000, np.random.default_rng(0))), figure.subplots()
    printed = (null >= 1.065) & (null < 1.075)
    edges = np.arange(1.045, 1.125, 0.0025)
    ax.hist([null[printed], null[~printed]], edges, stacked=True, color=[PALETTE["rejected"], PALETTE["null"]])
    ax.annotate("prints as 1.07", (1.07, 0.9), xycoords=("data", "axes fraction"), color="black", ha="center")
    ax.set(xlabel="condition number of a random 4096 x 9 matrix", ylabel="matrices")


def draw_inverse(figure) -> None:
    """How many outputs come again, and how long the images are, with SELU and with leaky ReLU."""
    from vsbook.plots import PALETTE

    found = ledger.result("layerwise-inversion-through-layers")
    shares = [100 * part[0]["value"] for part in (found["runs"], found["control"]["runs"])]
    lengths = [found["details"]["length over the image's, median"][name][0] for name in ("fcnn5", "fcnn5_leaky_relu")]
    left, right = figure.subplots(1, 2)
    names, colours = ["SELU", "leaky ReLU"], [PALETTE["signal"], PALETTE["rejected"]]
    for ax, values, form in ((left, shares, "{:.0f} %"), (right, lengths, "{:.0e}")):
        bars = ax.bar(names, values, color=colours)
        ax.bar_label(bars, [form.format(value) for value in values], padding=2)
        ax.margins(y=0.15)
    left.set(ylabel="% of outputs that come again", ylim=(0, 115))
    right.set(ylabel="length over the image's (median)", yscale="log", ylim=(1, 3e7))


def draw_verdicts(figure) -> None:
    """A square for each claim, in the paper's order, a row a section or figure."""
    ax, places = figure.subplots(), len(ledger.by_place())
    for y, (row, claims) in enumerate(ledger.by_place().items()):
        ax.annotate(row, (-0.3, y), ha="right", va="center", fontsize=9)
        for x, claim in enumerate(claims):
            _square(ax, x, y, ledger.verdict(claim.id))
    for k, (verdict, count) in enumerate(ledger.tally().items()):
        _square(ax, 4.2 * (k % 3), places + 0.6 + k // 3, verdict)
        ax.annotate(f"{verdict} {count}", (4.2 * (k % 3) + 0.7, places + 0.6 + k // 3), va="center", fontsize=9)
    ax.set(xlim=(-3.4, 17.5), ylim=(places + 2.2, -0.7), aspect="equal")
    ax.axis("off")


def _square(ax, x: float, y: float, verdict: str) -> None:
    """Colour, hatching and letter of one verdict."""
    colour = COLOURS[verdict]
    dark = verdict in ("reproduced", "contradicted")
    hatch = "////" if verdict == "theorem" else None
    face = "white" if verdict == "theorem" else colour
    line = {"undecided": "--", "open": ":"}.get(verdict, "-")
    from matplotlib.patches import Rectangle

    look = {"facecolor": face, "edgecolor": "#4a4f57", "hatch": hatch, "ls": line, "lw": 0.8}
    ax.add_patch(Rectangle((x - 0.42, y - 0.42), 0.84, 0.84, **look))
    ax.annotate(VERDICTS[verdict], (x, y), ha="center", va="center", color="white" if dark else "black", fontsize=10)


PICTURES = {  # by name: how it is drawn, and its size in inches
    "thesis": (draw_thesis, (7, 4)),
    "impostor": (draw_impostor, (7, 4)),
    "chance": (draw_chance, (7, 2.6)),
    "inverse": (draw_inverse, (7, 2.6)),
    "verdicts": (draw_verdicts, (7, 4.6)),
}


def write_picture(name: str, path: Path) -> None:
    """One of them, on white."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    draw, size = PICTURES[name]
    figure = plt.figure(figsize=size, layout="constrained")
    draw(figure)
    figure.savefig(path, dpi=150, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    for picture in PICTURES:
        write_picture(picture, IMAGES / f"{picture}.png")
    readme = ROOT / "README.md"
    write_beside(readme, with_summary(readme.read_text(encoding="utf-8")).encode())

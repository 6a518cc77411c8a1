"""Pictures: each `draw_*` takes a result and an axis, draws, and returns the axis. The only room with matplotlib.

Colours are safe for the colour-blind: grey for images, blue to red through white for signed images, Okabe and Ito's
palette for curves, told apart by line styles and hatches too where its five colours run out. What can't all be drawn
is refused.
"""

import base64
import html
import io
import math
from collections.abc import Iterable, Mapping

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Polygon
from numpy.typing import ArrayLike

from vsbook.checks import BadInput, as_rows, as_vector, as_vectors, instance_of, number
from vsbook.linalg.subspaces import FourSubspaces

__all__ = [
    "PALETTE",
    "draw_bars",
    "draw_big_picture",
    "draw_column_pairs",
    "draw_curves",
    "draw_dots",
    "draw_image",
    "draw_image_rows",
    "draw_input_spaces",
    "draw_null",
    "draw_output_spaces",
    "draw_spectra",
    "draw_spread",
    "with_alt",
]

SIGNED = LinearSegmentedColormap.from_list(  # as Matplotlib's RdBu_r, with a true white in the middle
    "signed", ["#053061", "#2166ac", "#92c5de", "#ffffff", "#f4a582", "#b2182b", "#67001f"]
)
PALETTE = {"signal": "#0072B2", "rejected": "#D55E00", "null": "#999999", "third": "#009E73", "fourth": "#CC79A7"}
DASHES = ("-", "--", ":", "-.")
CURVES = [
    {"color": colour, "marker": marker, "ls": style, "ms": 4}
    for style in DASHES
    for colour, marker in zip(PALETTE.values(), "os^Dv", strict=True)
]
BARS = [{"color": colour, "hatch": hatch} for hatch in (None, "///", "...", "xxx") for colour in PALETTE.values()]
LEVELS = [{"color": colour, "ls": style, "lw": 1} for colour in ("black", "#777777") for style in ("--", ":", "-.")]
FOUND = [  # grey is the histogram's; another style for a colour that comes again
    {"color": PALETTE[colour], "ls": DASHES[(number + again) % 4], "lw": 2}
    for again in range(4)
    for number, colour in zip((0, 1, 3, 2), ("signal", "rejected", "third", "fourth"), strict=True)
]


def _styled(series: Mapping[str, object], styles: list[dict], name: str) -> Iterable[tuple[tuple[str, object], dict]]:
    """Pairs of a named series and a style that no other has, or `BadInput` where the styles run out."""
    if not isinstance(series, Mapping):
        raise BadInput(f"{name}: expected a dict of them by name, got {type(series).__name__}; name each")
    hidden = [label for label in series if str(label).startswith("_")]
    if hidden:
        raise BadInput(f"{name}: expected names for the legend, got {hidden[0]!r}, which it leaves out; drop the '_'")
    if len(series) > len(styles):
        raise BadInput(
            f"{name}: expected at most {len(styles)} on one axis, got {len(series)}; draw the others on another axis"
        )
    return zip(series.items(), styles, strict=False)


def _samples(names, samples) -> list[Float[np.ndarray, " k"]]:
    """One vector for each name, or `BadInput`."""
    samples = list(samples)
    if len(samples) != len(names):
        raise BadInput(f"samples: expected one for each of {len(names)} names, got {len(samples)}; name them all")
    return [as_vector(sample, None, str(name)) for name, sample in zip(names, samples, strict=True)]


def _draw_levels(horizontal: Mapping[str, float] | None, ax: Axes) -> None:
    """Dashed lines at heights, with their labels."""
    for (label, height), style in _styled(horizontal or {}, LEVELS, "horizontal"):
        ax.axhline(number(height, f"horizontal {label!r}", -np.inf), label=label, **style)


def draw_image(image: ArrayLike, ax: Axes, limit: float | None = None, signed: bool | None = None) -> Axes:
    """A square image, flat or in rows; signed ones in blue (negative) to red (positive), white at zero, others in grey.

    `limit` is the value at full colour, which stands below; the largest of the image if left out. `signed`, if left
    out: whether it has negative pixels. Raises BadInput if it isn't one square.
    """
    image = as_vectors(image, None, "image")
    side = math.isqrt(image.size)
    if image.squeeze().shape not in ((side**2,), (side, side), ()) or side**2 != image.size:
        raise BadInput(f"image: expected one square image, got shape {image.shape}; draw several with draw_image_rows")
    limit = number(limit or 0, "limit") or float(np.abs(image).max()) or 1.0  # 1 for a blank image
    signed = bool(np.min(image) < 0) if signed is None else signed
    colours = {"cmap": SIGNED, "vmin": -limit} if signed else {"cmap": "gray_r", "vmin": 0}
    ax.imshow(np.reshape(image, (side, side)), vmax=limit, **colours)
    ax.set(xticks=[], yticks=[])
    ax.set_xlabel(_scale(limit, signed), fontsize=8)
    return ax


def _scale(limit: float, signed: bool) -> str:
    """What the colours stand for."""
    return f"±{limit:.2g}" if signed else f"0 to {limit:.2g}"


def draw_image_rows(rows: Mapping[str, ArrayLike], axes, titles=None) -> np.ndarray:
    """Rows of images under their names, one scale and one set of colours a row, on a grid of axes (rows, k), returned.

    Raises BadInput unless there is an axis for each image, and a title for each column if there are any.
    """
    rows = {name: as_rows(images, None, name or "rows") for name, images in rows.items()}
    counts, grid = [len(images) for images in rows.values()], np.atleast_2d(axes)
    if grid.shape != (len(counts), *set(counts)):
        raise BadInput(f"axes: expected one for each image, got {np.shape(axes)} for rows of {counts}; match them")
    if titles is not None and len(titles) != counts[0]:
        raise BadInput(f"titles: expected one for each of {counts[0]} columns, got {len(titles)}; match them")
    for axes_of_row, (name, images) in zip(grid, rows.items(), strict=True):
        limit, signed = float(np.abs(images).max()) or 1.0, bool(np.min(images) < 0)
        for ax, image in zip(axes_of_row, images, strict=True):
            draw_image(image, ax, limit, signed).set_xlabel("")
        label = f"{name}\n{_scale(limit, signed)}".strip()
        axes_of_row[0].set_ylabel(label, rotation=0, ha="right", va="center")
    for ax, title in zip(grid[0], titles if titles is not None else [], strict=False):
        ax.set_title(title, fontsize=9)
    return grid


def draw_spectra(spectra: Mapping[str, ArrayLike], ax: Axes) -> Axes:
    """Singular values against their number, one curve a name. Raises BadInput for more than twenty, or below zero."""
    for (name, values), style in _styled(spectra, CURVES, "spectra"):
        values = as_vector(values, None, name)
        if values.min() < 0:
            raise BadInput(f"{name}: expected singular values, got {values.min():g}; draw others with draw_curves")
        ax.plot(np.arange(1, len(values) + 1), values, label=name, **style)
    ax.set(xlabel="number", ylabel="singular value", ylim=(0, None))
    ax.legend()
    return ax


def draw_bars(
    names, groups: Mapping[str, ArrayLike], ax: Axes, ylabel: str, horizontal: Mapping[str, float] | None = None
) -> Axes:
    """Bars side by side for each name, one colour a group; `horizontal` adds dashed lines with their labels.

    Raises BadInput for more than twenty groups, or more than six lines.
    """
    styled = list(_styled(groups, BARS, "groups"))
    width = 0.8 / max(len(groups), 1)
    for k, ((group, values), style) in enumerate(styled):
        values = as_vector(values, len(names), group)
        ax.bar(np.arange(len(names)) + (k - (len(groups) - 1) / 2) * width, values, width, label=group, **style)
    _draw_levels(horizontal, ax)
    ax.set_xticks(range(len(names)), names)
    ax.set_ylabel(ylabel)
    ax.legend()
    return ax


def draw_big_picture(S: FourSubspaces, ax: Axes, name: str = "A") -> Axes:
    """The big picture of linear algebra for the matrix `name`: four subspaces, their dimensions, what maps where.

    Source: G. Strang, Introduction to Linear Algebra, section 4.1.
    """
    (m, n), r = instance_of(S, FourSubspaces, "S").shape, S.rank
    squares = {
        (0.0, 0.7): ("row space\nSignal", r, "signal"),
        (0.0, -0.7): ("null space\nRejSignal", n - r, "rejected"),
        (3.0, 0.7): ("column space\nSignalOut", r, "signal"),
        (3.0, -0.7): ("left null space\nRejSignalOut", m - r, "rejected"),
    }
    for (x, y), (space, dimension, colour) in squares.items():
        if dimension:
            corners = np.array([(x, y - 0.7), (x + 0.7, y), (x, y + 0.7), (x - 0.7, y)])
            ax.add_patch(Polygon(corners, facecolor=PALETTE[colour], alpha=0.15, edgecolor=PALETTE[colour]))
        ax.text(x - 0.05, y, f"{space}\ndim {dimension}", ha="center", va="center", fontsize=8.5)
    for x, other in ((0.0, n - r), (3.0, m - r)):
        ax.plot(x, 0.0, "o", color="black", ms=4)
        if r and other:  # orthogonal
            ax.plot(x + 0.09 * np.array([1, 2, 1]), 0.09 * np.array([1, 0, -1]), color="black", lw=1)
    _draw_image_of_a_vector(ax, name, r, n - r)
    for x, dimension in ((0.0, n), (3.0, m)):
        ax.text(x, 1.5, f"$\\mathbf{{R}}^{{{dimension}}}$", ha="center")
    ax.set(xlim=(-0.95, 3.95), ylim=(-1.45, 1.75), aspect="equal")
    ax.axis("off")
    return ax


def _draw_image_of_a_vector(ax: Axes, name: str, rank: int, lost: int) -> None:
    """x, its parts in the row space and in the null space, and where the matrix `name` takes each of the three."""
    seen, unseen = np.array([0.42, 0.42]) * bool(rank), np.array([0.33, -0.33]) * bool(lost)
    whole, image = seen + unseen, np.array([3 - 0.42 * bool(rank), 0.42 * bool(rank)])
    arrow = {"arrowstyle": "->", "lw": 1.5, "shrinkA": 4, "shrinkB": 4}
    if rank:
        ax.annotate("", image, seen, arrowprops=arrow | {"color": PALETTE["signal"]})
        ax.text(1.5, 0.52, f"$x_r$ to ${name}x_r$, one to one", ha="center", fontsize=9)
    if lost:
        ax.annotate("", (3.0, 0.0), unseen, arrowprops=arrow | {"color": PALETTE["rejected"]})
        ax.text(1.75, -0.36, "$x_n$ to zero", ha="center", fontsize=9)
    if rank and lost:
        ax.annotate("", image, whole, arrowprops=arrow | {"color": "black"})
        ax.text(1.75, 0.06, f"$x$ to ${name}x$", ha="center", fontsize=9)
        ax.plot(*np.stack([seen, whole, unseen], axis=1), "o--", color="black", ms=4, lw=1)


def draw_spread(names, samples, ax: Axes, ylabel: str, horizontal: Mapping[str, float] | None = None) -> Axes:
    """A box for each sample: quartiles, whiskers from 2.5 to 97.5 %; `horizontal` adds dashed lines with labels.

    Raises BadInput unless each sample has its name, or for more than six lines.
    """
    samples = _samples(names, samples)
    ax.boxplot(samples, whis=(2.5, 97.5), showfliers=False, medianprops={"color": PALETTE["rejected"], "lw": 2})
    _draw_levels(horizontal, ax)
    ax.set_xticks(range(1, len(names) + 1), names)
    ax.set_ylabel(ylabel)
    if horizontal:
        ax.legend()
    return ax


def draw_curves(x, curves: Mapping[str, ArrayLike], ax: Axes, xlabel: str, ylabel: str) -> Axes:
    """Curves over the same x, one colour, marker and line style a name.

    Raises BadInput for more than twenty, or unless each has as many numbers as x.
    """
    x = as_vector(x, None, "x")
    for (name, values), style in _styled(curves, CURVES, "curves"):
        ax.plot(x, as_vector(values, len(x), name), label=name, **style)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return ax


def draw_dots(names, samples, ax: Axes, ylabel: str, horizontal: Mapping[str, float] | None = None) -> Axes:
    """A dot for each value of each sample, such as one a seed; `horizontal` adds dashed lines with labels.

    Raises BadInput unless each sample has its name, or for more than six lines.
    """
    for k, values in enumerate(_samples(names, samples)):
        ax.plot(np.full(len(values), k), values, "o", ms=5, alpha=0.6, color=PALETTE["signal"])
    _draw_levels(horizontal, ax)
    ax.set_xticks(range(len(names)), names)
    ax.set(ylabel=ylabel, xlim=(-0.5, len(names) - 0.5))
    if horizontal:
        ax.legend()
    return ax


def draw_null(null: ArrayLike, found: Mapping[str, ArrayLike], ax: Axes, xlabel: str) -> Axes:
    """A histogram of a sampled null, and a vertical line for each value that was found, one colour a name.

    Raises BadInput for more than sixteen names.
    """
    null = as_vector(null, None, "null")
    spread = np.ptp(null) > 1e-9 * np.abs(null).max()  # else there is no room for so many bins
    ax.hist(null, bins=60 if spread else 1, density=bool(spread), color="lightgrey")
    for (name, values), style in _styled(found, FOUND, "found"):
        for k, value in enumerate(as_vector(values, None, name)):
            ax.axvline(value, label=None if k else name, **style)
    ax.set(xlabel=xlabel, yticks=[])
    ax.legend()
    return ax


def draw_column_pairs(pairs: ArrayLike, ax: Axes) -> Axes:
    """Two columns of each matrix as arrows in the plane that they span: the first to the right, the second upwards.

    Raises BadInput unless there are two columns, of two numbers at least.
    """
    pairs = as_vectors(pairs, 2, "pairs")
    if pairs.ndim != 3 or pairs.shape[1] < 2:
        raise BadInput(f"pairs: expected (draws, m, 2) with m of at least 2, got shape {pairs.shape}; reshape them")
    R = np.linalg.qr(pairs, mode="r")
    R = R * _sign(R.diagonal(axis1=1, axis2=2))[:, :, None]  # columns in the basis that has the first on its axis
    for column, colour in ((0, "signal"), (1, "rejected")):
        tips, zeros = R[:, :, column].T, np.zeros(len(R))
        ax.quiver(zeros, zeros, *tips, color=PALETTE[colour], alpha=0.5, units="xy", scale=1, width=0.02)
    (left, below), (right, above) = R.min(axis=(0, 2)), R.max(axis=(0, 2))
    ax.set(aspect="equal", xlim=(min(-1, left), max(2, right)), ylim=(min(-0.5, below), max(2, above)))
    return ax


def _sign(numbers) -> Int[np.ndarray, "..."]:
    """1 or -1; of zero too, so that nothing is turned into a point."""
    return np.where(np.asarray(numbers) < 0, -1, 1)


def draw_input_spaces(S: FourSubspaces, ax: Axes) -> Axes:
    """Row space (a line) and null space (a plane) of a matrix with three columns and rank 1, on a 3D axis.

    Raises BadInput for any other matrix.
    """
    if (instance_of(S, FourSubspaces, "S").shape[1], S.rank) != (3, 1):
        raise BadInput(f"S: expected three columns and rank 1, got {_what(S)}; draw_big_picture takes any matrix")
    end = 2 * S.row_space[:, 0] * _sign(S.row_space[:, 0].sum())
    first, second = 1.6 * S.null_space.T
    corners = [np.stack([first + second, first - second]), np.stack([second - first, -first - second])]
    ax.plot_surface(*np.moveaxis(np.array(corners), -1, 0), color=PALETTE["rejected"], alpha=0.35)
    ax.plot(*np.stack([-end, end], axis=1), color=PALETTE["signal"], lw=2.5)
    ax.text(*(1.1 * end), "row space", color=PALETTE["signal"], ha="right")
    ax.text(*(-1.2 * first - 1.2 * second), "null space", color=PALETTE["rejected"], ha="center")
    ticks = {f"{axis}ticks": [-2, 0, 2] for axis in "xyz"} | {f"{axis}lim": (-2, 2) for axis in "xyz"}
    ax.set(xlabel="$x_1$", ylabel="$x_2$", zlabel="$x_3$", box_aspect=(1, 1, 1), **ticks)
    ax.xaxis.labelpad = 14  # clear of its ticks
    ax.view_init(elev=22, azim=-15)
    return ax


def _what(S: FourSubspaces) -> str:
    return f"shape {S.shape} and rank {S.rank}"


def draw_output_spaces(S: FourSubspaces, ax: Axes) -> Axes:
    """Column space and left null space, two lines, of a matrix with two rows and rank 1.

    Raises BadInput for any other matrix.
    """
    if (instance_of(S, FourSubspaces, "S").shape[0], S.rank) != (2, 1):
        raise BadInput(f"S: expected two rows and rank 1, got {_what(S)}; draw_big_picture takes any matrix")
    named = {"column space": (S.column_space, "signal"), "left null space": (S.left_null_space, "rejected")}
    for name, (basis, colour) in named.items():
        end = 2 * basis[:, 0] * _sign(basis[0, 0])
        ax.plot(*np.stack([-end, end], axis=1), color=PALETTE[colour], lw=2.5, label=name)
    ax.set(xlabel="$y_1$", ylabel="$y_2$", xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), aspect="equal")
    ax.legend(loc="upper left")
    return ax


def with_alt(figure: Figure, alt: str) -> object:
    """The figure as a widget with an alt text: what a callback of `interact` returns. Closes the figure.

    Raises BadInput where ipywidgets isn't installed.
    """
    try:
        from ipywidgets import HTML  # here, so that pictures without widgets don't wait for it
    except ModuleNotFoundError:
        raise BadInput("with_alt: expected ipywidgets, found none; install it: pip install ipywidgets") from None

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    image = base64.b64encode(buffer.getvalue()).decode()
    return HTML(f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{image}" style="max-width: 100%">')

"""Pictures: each `draw_*` takes a result and an axis, draws, and returns the axis. The only room with matplotlib.

Colours are safe for the colour-blind: grey for images, blue to red through white for signed images, Okabe and Ito's
palette for curves.
"""

import base64
import html
import io

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Polygon

from vsbook.checks import BadInput, as_vectors
from vsbook.subspaces import FourSubspaces

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


def draw_image(image: Float[np.ndarray, " 784"], ax, limit: float | None = None, signed: bool | None = None):
    """A flattened square image; signed ones in blue (negative) to red (positive), white at zero, others in grey.

    `limit` is the value at full colour; the largest of the image if left out. `signed`, if left out: whether it has
    negative pixels. Raises BadInput if it isn't square.
    """
    image = as_vectors(image, None, "image")
    side = int(np.sqrt(image.size))
    if side**2 != image.size:
        raise BadInput(f"image: expected one square image, got shape {image.shape}; draw others row by row")
    limit = limit or float(np.abs(image).max()) or 1.0  # 1 for a blank image
    signed = np.min(image) < 0 if signed is None else signed
    colours = {"cmap": SIGNED, "vmin": -limit} if signed else {"cmap": "gray_r", "vmin": 0}
    ax.imshow(np.reshape(image, (side, side)), vmax=limit, **colours)
    ax.set(xticks=[], yticks=[])
    return ax


def draw_image_rows(rows: dict[str, Float[np.ndarray, "k 784"]], axes, titles=None):
    """Rows of images under their names, one scale and one set of colours a row, on a grid of axes (rows, k)."""
    counts = [len(np.atleast_2d(images)) for images in rows.values()]
    if np.atleast_2d(axes).shape != (len(counts), *set(counts)):
        raise BadInput(f"axes: expected one for each image, got {np.shape(axes)} for rows of {counts}; match them")
    for axes_of_row, (name, images) in zip(np.atleast_2d(axes), rows.items(), strict=True):
        limit, signed = float(np.abs(images).max()), np.min(images) < 0
        for ax, image in zip(axes_of_row, images, strict=True):
            draw_image(image, ax, limit, signed)
        axes_of_row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for ax, title in zip(np.atleast_2d(axes)[0], titles if titles is not None else [], strict=titles is not None):
        ax.set_title(title, fontsize=9)
    return axes


def draw_spectra(spectra: dict[str, Float[np.ndarray, " k"]], ax):
    """Singular values against their number, one curve a name."""
    for (name, values), colour, marker in zip(spectra.items(), PALETTE.values(), "os^Dv", strict=False):
        values = as_vectors(values, None, name)
        ax.plot(np.arange(1, len(values) + 1), values, marker=marker, ms=4, color=colour, label=name)
    ax.set(xlabel="number", ylabel="singular value", ylim=(0, None))
    ax.legend()
    return ax


def draw_bars(
    names, groups: dict[str, Float[np.ndarray, " k"]], ax, ylabel: str, horizontal: dict[str, float] | None = None
):
    """Bars side by side for each name, one colour a group; `horizontal` adds dashed lines with their labels."""
    width = 0.8 / len(groups)
    for k, ((group, values), colour) in enumerate(zip(groups.items(), PALETTE.values(), strict=False)):
        values = as_vectors(values, len(names), group)
        ax.bar(np.arange(len(names)) + (k - (len(groups) - 1) / 2) * width, values, width, color=colour, label=group)
    for (label, height), style in zip((horizontal or {}).items(), ("--", ":", "-."), strict=False):
        ax.axhline(height, color="black", lw=1, ls=style, label=label)
    ax.set_xticks(range(len(names)), names)
    ax.set_ylabel(ylabel)
    ax.legend()
    return ax


def draw_big_picture(S: FourSubspaces, ax, name: str = "A"):
    """The big picture of linear algebra for the matrix `name`: four subspaces, their dimensions, what maps where."""
    (m, n), r = S.shape, S.rank
    squares = {
        (0.0, 0.5): ("row space\nSignal", r, "signal"),
        (0.0, -0.5): ("null space\nRejSignal", n - r, "rejected"),
        (3.0, 0.5): ("column space\nSignalOut", r, "signal"),
        (3.0, -0.5): ("left null space\nRejSignalOut", m - r, "rejected"),
    }
    for (x, up), (space, dimension, colour) in squares.items():
        y = np.sign(up) * 0.7
        corners = np.array([(x, y - 0.7), (x + 0.75, y), (x, y + 0.7), (x - 0.75, y)])
        ax.add_patch(
            Polygon(corners, facecolor=PALETTE[colour], alpha=0.15 if dimension else 0.04, edgecolor=PALETTE[colour])
        )
        ax.text(x, y, f"{space}\ndim {dimension}", ha="center", va="center", fontsize=9.5)
    arrow = {"arrowstyle": "->", "lw": 1.5}
    ax.annotate("", (2.25, 0.7), (0.75, 0.7), arrowprops=arrow | {"color": PALETTE["signal"]})
    ax.text(1.5, 0.78, f"${name}$, one to one", ha="center")
    ax.annotate("", (2.93, -0.02), (0.75, -0.7), arrowprops=arrow | {"color": PALETTE["rejected"]})
    ax.text(1.95, -0.62, f"${name}$, to zero", ha="center")
    ax.plot(3.0, 0.0, "o", color="black", ms=4)
    ax.text(0.0, 1.5, f"$\\mathbf{{R}}^{{{n}}}$", ha="center")
    ax.text(3.0, 1.5, f"$\\mathbf{{R}}^{{{m}}}$", ha="center")
    ax.set(xlim=(-1, 4), ylim=(-1.45, 1.75), aspect="equal")
    ax.axis("off")
    return ax


def draw_spread(names, samples, ax, ylabel: str, horizontal: dict[str, float] | None = None):
    """A box for each sample: quartiles, whiskers from 2.5 to 97.5 %; `horizontal` adds dashed lines with labels."""
    ax.boxplot(samples, whis=(2.5, 97.5), showfliers=False, medianprops={"color": PALETTE["rejected"], "lw": 2})
    for (label, height), style in zip((horizontal or {}).items(), ("--", ":", "-."), strict=False):
        ax.axhline(height, color="black", lw=1, ls=style, label=label)
    ax.set_xticks(range(1, len(names) + 1), names)
    ax.set_ylabel(ylabel)
    if horizontal:
        ax.legend()
    return ax


def draw_curves(x, curves: dict[str, Float[np.ndarray, " k"]], ax, xlabel: str, ylabel: str):
    """Curves over the same x, one colour and marker a name."""
    for (name, values), colour, marker in zip(curves.items(), PALETTE.values(), "os^Dv", strict=False):
        ax.plot(x, values, marker=marker, ms=4, color=colour, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.legend()
    return ax


def draw_dots(names, samples, ax, ylabel: str, horizontal: dict[str, float] | None = None):
    """A dot for each value of each sample, such as one a seed; `horizontal` adds dashed lines with labels."""
    for k, values in enumerate(samples):
        ax.plot(np.full(len(values), k), values, "o", ms=5, alpha=0.6, color=PALETTE["signal"])
    for (label, height), style in zip((horizontal or {}).items(), ("--", ":", "-."), strict=False):
        ax.axhline(height, color="black", lw=1, ls=style, label=label)
    ax.set_xticks(range(len(names)), names)
    ax.set(ylabel=ylabel, xlim=(-0.5, len(names) - 0.5))
    if horizontal:
        ax.legend()
    return ax


def draw_null(null: Float[np.ndarray, " draws"], found: dict[str, list[float]], ax, xlabel: str):
    """A histogram of a sampled null, and a vertical line for each value that was found, one colour a name."""
    ax.hist(as_vectors(null, None, "null"), bins=60, density=True, color="lightgrey")
    colours = [colour for name, colour in PALETTE.items() if name != "null"]  # grey is the histogram's
    for (name, values), colour, style in zip(found.items(), colours, ("-", "--", "-.", ":"), strict=False):
        for k, value in enumerate(as_vectors(values, None, name)):
            ax.axvline(value, color=colour, ls=style, lw=2, label=None if k else name)
    ax.set(xlabel=xlabel, yticks=[])
    ax.legend()
    return ax


def draw_column_pairs(pairs: Float[np.ndarray, "draws m 2"], ax):
    """Two columns of each matrix as arrows in the plane that they span: the first to the right, the second upwards."""
    R = np.linalg.qr(pairs, mode="r")
    R = R * np.sign(R.diagonal(axis1=1, axis2=2))[:, :, None]  # columns in the basis that has the first on its axis
    for column, colour in ((0, "signal"), (1, "rejected")):
        tips, zeros = R[:, :, column].T, np.zeros(len(R))
        ax.quiver(zeros, zeros, *tips, color=PALETTE[colour], alpha=0.5, units="xy", scale=1, width=0.02)
    ax.set(aspect="equal", xlim=(-1, 2), ylim=(-0.5, 2))
    return ax


def draw_input_spaces(S: FourSubspaces, ax):
    """Row space (a line) and null space (a plane) of a matrix with three columns and rank 1, on a 3D axis."""
    end = 2 * S.row_space[:, 0] * np.sign(S.row_space[:, 0].sum())
    first, second = 1.6 * S.null_space.T
    corners = [np.stack([first + second, first - second]), np.stack([second - first, -first - second])]
    ax.plot_surface(*np.moveaxis(np.array(corners), -1, 0), color=PALETTE["rejected"], alpha=0.35)
    ax.plot(*np.stack([-end, end], axis=1), color=PALETTE["signal"], lw=2.5)
    ax.text(*(1.1 * end), "row space", color=PALETTE["signal"], ha="right")
    ax.text(*(-1.2 * first - 1.2 * second), "null space", color=PALETTE["rejected"], ha="center")
    ticks = {f"{axis}ticks": [-2, 0, 2] for axis in "xyz"} | {f"{axis}lim": (-2, 2) for axis in "xyz"}
    ax.set(xlabel="$x_1$", ylabel="$x_2$", zlabel="$x_3$", box_aspect=(1, 1, 1), **ticks)
    ax.view_init(elev=22, azim=-15)
    return ax


def draw_output_spaces(S: FourSubspaces, ax):
    """Column space and left null space, two lines, of a matrix with two rows and rank 1."""
    named = {"column space": (S.column_space, "signal"), "left null space": (S.left_null_space, "rejected")}
    for name, (basis, colour) in named.items():
        end = 2 * basis[:, 0] * np.sign(basis[0, 0])
        ax.plot(*np.stack([-end, end], axis=1), color=PALETTE[colour], lw=2.5, label=name)
    ax.set(xlabel="$y_1$", ylabel="$y_2$", xlim=(-2.4, 2.4), ylim=(-2.4, 2.4), aspect="equal")
    ax.legend(loc="upper left")
    return ax


def with_alt(figure, alt: str):
    """The figure as a widget with an alt text: what a callback of `interact` returns. Closes the figure."""
    from ipywidgets import HTML  # here, so that pictures without widgets don't wait for it

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    plt.close(figure)
    image = base64.b64encode(buffer.getvalue()).decode()
    return HTML(f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{image}" style="max-width: 100%">')

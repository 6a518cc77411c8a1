"""Pictures draw all that came, each series in a way of its own, or refuse it with what to do."""

import builtins

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from vsbook import plots
from vsbook.checks import BadInput
from vsbook.linalg.subspaces import FourSubspaces

RNG = np.random.default_rng(0)


@pytest.fixture
def ax():
    yield plt.figure().add_subplot()
    plt.close("all")


def named(count, length=3):
    return {f"series {k}": RNG.uniform(1, 2, length) for k in range(count)}


def of_line(line):
    """What tells a line from others, for those who see no colours among it."""
    return to_hex(line.get_color()), line.get_marker(), line.get_linestyle()


def of_bars(bars):
    return to_hex(bars[0].get_facecolor()), bars[0].get_hatch()


# each draws its series on an axis and gives back what was drawn: the numbers, and the look, of each series
def spectra(series, ax):
    plots.draw_spectra(series, ax)
    return [(line.get_ydata(), of_line(line)) for line in ax.lines]


def curves(series, ax):
    plots.draw_curves(range(3), series, ax, "x", "y")
    return [(line.get_ydata(), of_line(line)) for line in ax.lines]


def bars(series, ax):
    plots.draw_bars("abc", series, ax, "y")
    return [([bar.get_height() for bar in group], of_bars(group)) for group in ax.containers]


def null(series, ax):
    plots.draw_null(np.arange(100.0), series, ax, "x")
    drawn = [(line.get_xdata()[0], of_line(line)) for line in ax.lines]
    return [([x for x, _ in drawn[k : k + 3]], drawn[k][1]) for k in range(0, len(drawn), 3)]


def levels(draw):
    """Horizontal lines, three of a series: one is as good as three."""

    def drawn(series, ax):
        draw(ax, {name: values[0] for name, values in series.items()})
        lines = [line for line in ax.lines if line.get_label() in series]
        return [([line.get_ydata()[0], *series[line.get_label()][1:]], of_line(line)) for line in lines]

    return drawn


SERIES = {
    "spectra": (spectra, 20),
    "curves": (curves, 20),
    "bars": (bars, 20),
    "null": (null, 16),
    "levels of bars": (levels(lambda ax, h: plots.draw_bars("abc", {"x": [1, 2, 3]}, ax, "y", h)), 6),
    "levels of boxes": (levels(lambda ax, h: plots.draw_spread("ab", np.ones((2, 4)), ax, "y", h)), 6),
    "levels of dots": (levels(lambda ax, h: plots.draw_dots("ab", np.ones((2, 4)), ax, "y", h)), 6),
}


@pytest.mark.parametrize("count", [1, 4, 5, 6, 8, 16, 20])
@pytest.mark.parametrize("what", SERIES)
def test_every_series_is_drawn_in_a_way_of_its_own(ax, what, count):
    draw, most = SERIES[what]
    series = named(min(count, most))
    drawn = draw(series, ax)
    np.testing.assert_array_equal([values for values, _ in drawn], list(series.values()))
    assert len({look for _, look in drawn}) == len(series)
    assert [text.get_text() for text in ax.get_legend().get_texts() if text.get_text() in series] == list(series)


@pytest.mark.parametrize("what", SERIES)
def test_more_series_than_looks_are_refused_and_another_axis_takes_the_rest(ax, what):
    draw, most = SERIES[what]
    series = named(most + 1)
    with pytest.raises(BadInput, match=f"at most {most} on one axis, got {most + 1}; draw the others on another axis"):
        draw(series, ax)
    last = dict([series.popitem()])
    assert len(draw(series, plt.figure().add_subplot())) == most
    assert len(draw(last, plt.figure().add_subplot())) == 1


def test_the_first_five_look_as_in_the_book(ax):
    """Whole lines in the palette's colours, and plain bars."""
    assert [look for _, look in spectra(named(5), ax)] == [
        (colour.lower(), marker, "-") for colour, marker in zip(plots.PALETTE.values(), "os^Dv", strict=True)
    ]
    assert [look for _, look in bars(named(5), plt.figure().add_subplot())] == [
        (colour.lower(), None) for colour in plots.PALETTE.values()
    ]
    found = [look[::2] for _, look in null(named(4), plt.figure().add_subplot())]
    assert found == [("#0072b2", "-"), ("#d55e00", "--"), ("#009e73", "-."), ("#cc79a7", ":")]


# one vector, one image, one sample a name

TWO = np.ones((2, 3))
SEVERAL = {
    "a spectrum": lambda ax: plots.draw_spectra({"a": TWO}, ax),
    "a curve": lambda ax: plots.draw_curves(range(3), {"a": TWO}, ax, "x", "y"),
    "a curve of another length": lambda ax: plots.draw_curves(range(4), {"a": np.ones(3)}, ax, "x", "y"),
    "a group of bars": lambda ax: plots.draw_bars("abc", {"a": TWO}, ax, "y"),
    "a null": lambda ax: plots.draw_null(TWO, {"a": [1.0]}, ax, "x"),
    "what was found": lambda ax: plots.draw_null(np.arange(9.0), {"a": TWO}, ax, "x"),
    "a sample": lambda ax: plots.draw_dots("a", [TWO], ax, "y"),
    "more samples than names": lambda ax: plots.draw_dots("a", TWO, ax, "y"),
    "fewer samples than names": lambda ax: plots.draw_spread("abc", TWO, ax, "y"),
    "a sample with NaN": lambda ax: plots.draw_spread("a", [[1.0, np.nan]], ax, "y"),
    "an infinite dot": lambda ax: plots.draw_dots("a", [[1.0, np.inf]], ax, "y"),
    "pairs of three": lambda ax: plots.draw_column_pairs(np.ones((5, 7, 3)), ax),
    "pairs in one dimension": lambda ax: plots.draw_column_pairs(np.ones((5, 1, 2)), ax),
    "one pair": lambda ax: plots.draw_column_pairs(np.ones((7, 2)), ax),
    "points without a place": lambda ax: plots.draw_curves([0, 1, np.nan], {"a": np.ones(3)}, ax, "x", "y"),
    "two curves for one": lambda ax: plots.draw_curves(np.ones((4, 2)), {"a": np.ones(4)}, ax, "x", "y"),
    "no places": lambda ax: plots.draw_curves(None, {"a": np.ones(4)}, ax, "x", "y"),
    "a level nowhere": lambda ax: plots.draw_bars("ab", {"a": [1, 2]}, ax, "y", {"level": np.nan}),
    "a level of text": lambda ax: plots.draw_dots("a", [[1, 2]], ax, "y", {"level": "high"}),
    "a spectrum below zero": lambda ax: plots.draw_spectra({"a": [3, -1]}, ax),
    "a name that no legend has": lambda ax: plots.draw_spectra({"_a": [3, 1], "b": [2]}, ax),
    "groups without names": lambda ax: plots.draw_bars("ab", [[1, 2]], ax, "y"),
    "a negative limit": lambda ax: plots.draw_image(np.ones(4), ax, -1),
    "no subspaces": lambda ax: plots.draw_big_picture(None, ax),
    "no subspaces of a plane": lambda ax: plots.draw_output_spaces(None, ax),
    "too few titles": lambda ax: plots.draw_image_rows({"a": np.ones((2, 4))}, np.array([[ax, ax]]), ["one"]),
}


@pytest.mark.parametrize("what", SEVERAL)
def test_what_would_be_scrambled_or_cut_is_refused(ax, what):
    with pytest.raises(BadInput, match=r": expected .*, got .*; ") as caught:
        SEVERAL[what](ax)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(4, 784), (4, 4, 4, 4), (2, 8), (9, 4), (4, 1, 1, 4, 4, 1)])
def test_several_images_are_not_one(ax, shape):
    with pytest.raises(BadInput, match="draw several with draw_image_rows"):
        plots.draw_image(np.ones(shape), ax)


def test_draw_image_rows_takes_what_draw_image_refuses():
    images = np.random.default_rng(0).uniform(size=(4, 784))
    axes = plt.figure().subplots(1, 4)
    plots.draw_image_rows({"four": images}, axes)
    np.testing.assert_array_equal([ax.images[0].get_array().ravel() for ax in axes], images)
    plots.draw_image_rows({"one": images[0]}, plt.figure().add_subplot())
    plt.close("all")


@pytest.mark.parametrize("shape", [(784,), (1, 784), (28, 28), (1, 28, 28), (1,), (1, 1), (28, 28, 1)])
def test_one_image_of_any_layout(ax, shape):
    image = np.random.default_rng(0).uniform(size=shape)
    plots.draw_image(image, ax)
    np.testing.assert_array_equal(ax.images[0].get_array().ravel(), image.ravel())


def test_arrows_of_any_length_lie_within_the_picture(ax):
    pairs = 5 * np.random.default_rng(0).standard_normal((20, 6, 2))
    for arrows in plots.draw_column_pairs(pairs, ax).collections:
        assert (ax.get_xlim()[0] <= arrows.U).all()
        assert (ax.get_xlim()[1] >= arrows.U).all()
        assert (ax.get_ylim()[0] <= arrows.V).all()
        assert (ax.get_ylim()[1] >= arrows.V).all()


def test_a_column_of_zeros_leaves_the_other_its_length(ax):
    _, second = plots.draw_column_pairs(np.array([[[0.0, 3.0], [0.0, 4.0]]]), ax).collections
    assert np.hypot(second.U, second.V) == pytest.approx(5)


def test_the_axis_is_as_in_the_book_where_arrows_are_short(ax):
    plots.draw_column_pairs(np.eye(2)[None], ax)
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 2), (-0.5, 2))


@pytest.mark.parametrize("first", [[1.0, 2.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 2.0], [1.0, -1.0]])
def test_output_spaces_are_two_lines_in_their_directions(ax, first):
    A = np.outer(first, [1.0, 2.0, 3.0])
    plots.draw_output_spaces(FourSubspaces.of(A), ax)
    across, along = ax.lines[1].get_xydata(), ax.lines[0].get_xydata()
    assert np.linalg.norm(np.diff(along, axis=0)) == pytest.approx(4)
    assert np.linalg.norm(np.diff(across, axis=0)) == pytest.approx(4)
    assert np.linalg.det([along[1], first]) == pytest.approx(0, abs=1e-12)
    assert across[1] @ first == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("row", [[1.0, 2.0, 3.0], [1.0, -1.0, 0.0], [2.0, -1.0, -1.0]])
def test_the_row_space_is_a_line_in_its_direction(row):
    ax = plt.figure().add_subplot(projection="3d")
    plots.draw_input_spaces(FourSubspaces.of(np.outer([1.0, 2.0], row)), ax)
    ends = np.array(ax.lines[0].get_data_3d()).T
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(4)
    np.testing.assert_allclose(np.cross(ends[1], row), 0, atol=1e-12)
    plt.close("all")


SPACES = {
    "three rows": (plots.draw_output_spaces, np.ones((3, 2))),
    "rank 2": (plots.draw_output_spaces, np.eye(2)),
    "rank 0": (plots.draw_output_spaces, np.zeros((2, 2))),
    "two columns": (plots.draw_input_spaces, np.ones((3, 2))),
    "rank 2 of three": (plots.draw_input_spaces, np.eye(2, 3)),
}


@pytest.mark.parametrize("what", SPACES)
def test_spaces_of_more_than_a_line_are_refused_and_the_big_picture_takes_them(ax, what):
    draw, A = SPACES[what]
    with pytest.raises(BadInput, match="draw_big_picture takes any matrix"):
        draw(FourSubspaces.of(A), ax)
    plots.draw_big_picture(FourSubspaces.of(A), ax)


def test_without_ipywidgets_an_alt_text_says_what_to_install(monkeypatch):
    plain = builtins.__import__

    def without(name, *arguments):
        if name.partition(".")[0] == "ipywidgets":
            raise ModuleNotFoundError(name)
        return plain(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadInput, match=r"pip install ipywidgets$"):
        plots.with_alt(plt.figure(), "nothing")
    plt.close("all")


def test_pictures_of_what_is_right():
    """The doors of `plots` are open, and what is drawn is what came."""
    figure, axes = plt.subplots(2, 3)
    rows = {"ink": np.ones((3, 9)), "signed": -np.eye(9)[:3]}
    assert plots.draw_image_rows(rows, axes, ["a", "b", "c"]) is axes
    np.testing.assert_array_equal(axes[1, 2].images[0].get_array(), -np.eye(9)[2].reshape(3, 3))
    assert axes[1, 2].images[0].get_clim() == (-1, 1)
    assert axes[0, 0].images[0].get_clim() == (0, 1)
    ax = figure.add_subplot()
    assert plots.draw_image(np.zeros(4), ax) is ax
    assert plots.draw_image(np.eye(28), ax) is ax
    figure.canvas.draw()
    plt.close("all")
    ax = plots.draw_spectra({"s": [3.0, 2.0]}, plt.figure().add_subplot())
    assert ax.lines[0].get_xydata().tolist() == [[1, 3], [2, 2]]
    ax = plots.draw_bars(["a", "b"], {"x": [1, 2], "y": [3, 4]}, plt.figure().add_subplot(), "y", {"limit": 2.5})
    assert [bar.get_height() for bar in ax.patches] == [1, 2, 3, 4]
    texts = [
        t.get_text()
        for t in plots.draw_big_picture(FourSubspaces.of([[1.0, 2, 3], [4, 5, 6]]), plt.figure().add_subplot()).texts
    ]
    assert [t.split()[-1] for t in texts if "dim" in t] == ["2", "1", "2", "0"]
    plt.close("all")


def test_a_null_shows_its_values_and_each_name_once():
    ax = plots.draw_null(np.arange(100.0), {"one": [3.0], "seeds": [1.0, 2.0]}, plt.figure().add_subplot(), "x")
    assert [line.get_xdata()[0] for line in ax.lines] == [3.0, 1.0, 2.0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "seeds"]


def test_column_pairs_keep_lengths_and_angles():
    """The first column to the right; the second has its length, and its inner product with the first."""
    pairs = np.random.default_rng(0).standard_normal((5, 7, 2))
    first, second = plots.draw_column_pairs(pairs, plt.figure().add_subplot()).collections
    tips = np.stack([first.U, first.V], axis=1), np.stack([second.U, second.V], axis=1)
    np.testing.assert_allclose(tips[0][:, 1], 0, atol=1e-12)
    for k in (0, 1):
        np.testing.assert_allclose(np.linalg.norm(tips[k], axis=1), np.linalg.norm(pairs[:, :, k], axis=1))
    np.testing.assert_allclose((tips[0] * tips[1]).sum(axis=1), (pairs[:, :, 0] * pairs[:, :, 1]).sum(axis=1))
    assert (tips[0][:, 0] > 0).all()
    assert (tips[1][:, 1] > 0).all()


@pytest.mark.parametrize(
    ("image", "limit", "signed", "scale"),
    [
        (np.eye(2), None, None, "0 to 1"),
        (np.eye(2), 0.25, None, "0 to 0.25"),
        (-0.5 * np.eye(2), None, None, "±0.5"),
        (np.eye(2), None, True, "±1"),
    ],
)
def test_an_image_says_its_scale(ax, image, limit, signed, scale):
    assert plots.draw_image(image, ax, limit, signed).get_xlabel() == scale
    assert ax.images[0].get_clim()[1] == float(scale.split()[-1].lstrip("±"))


def test_a_row_of_images_says_its_scale_once():
    axes = plt.figure().subplots(2, 2)
    plots.draw_image_rows({"ink": np.ones((2, 4)), "signal": -np.ones((2, 4))}, axes)
    assert [row[0].get_ylabel() for row in axes] == ["ink\n0 to 1", "signal\n±1"]
    assert not any(ax.get_xlabel() for ax in axes.flat)
    plt.close("all")


@pytest.mark.parametrize(
    ("matrix", "squares", "corners"),
    [([[1, 2, 2], [2, 4, 4]], 4, 2), (np.eye(2), 2, 0), (np.eye(2, 3), 3, 1), (np.zeros((2, 2)), 2, 0)],
    ids=["all four", "invertible", "no left null space", "zero"],
)
def test_what_has_no_dimension_is_not_drawn(ax, matrix, squares, corners):
    """A square for each subspace that isn't {0}, a right angle where two meet."""
    plots.draw_big_picture(FourSubspaces.of(matrix), ax)
    assert len(ax.patches) == squares
    assert sum(len(line.get_xdata()) == 3 and line.get_marker() == "None" for line in ax.lines) == corners

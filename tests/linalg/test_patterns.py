"""Shares of patterns and of two levels in a kernel's energy, against pictures, laws, every line and every threshold."""

from itertools import product

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.oracles import whole
from vsbook.checks import BadInput
from vsbook.linalg.kernels import (
    LINES,
    PATTERNS,
    line_share,
    pattern_share,
    two_level_share,
)

laws = settings(deadline=None, derandomize=True, max_examples=60)
digits = st.integers(-4, 4).map(float)


# patterns

DRAWN = {
    "left column": "x.. x.. x..",
    "middle column": ".x. .x. .x.",
    "right column": "..x ..x ..x",
    "top row": "xxx ... ...",
    "middle row": "... xxx ...",
    "bottom row": "... ... xxx",
    "falling diagonal": "x.. .x. ..x",
    "rising diagonal": "..x .x. x..",
    "lower centre": "... ... .x.",
    "top and bottom rows": "xxx ... xxx",
}


def drawn(pattern):
    """The picture as nine numbers."""
    return np.array([float(pixel == "x") for pixel in DRAWN[pattern].replace(" ", "")])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_as_they_are_drawn(pattern):
    assert PATTERNS.keys() == DRAWN.keys()
    mask = np.zeros(9)
    mask[PATTERNS[pattern]] = 1
    np.testing.assert_array_equal(mask, drawn(pattern))
    assert pattern_share(drawn(pattern), pattern) == 1
    assert pattern_share(1 - drawn(pattern), pattern) == 0
    assert pattern_share(np.ones(9), pattern) == len(PATTERNS[pattern]) / 9


def test_lines_are_the_eight_of_three_pixels():
    """Three pixels of nine in a row, column or diagonal, as in a game on paper."""
    assert sorted(LINES) == sorted(set(PATTERNS) - {"lower centre", "top and bottom rows"})
    assert {len(pixels) for pixels in LINES.values()} == {3}


kernels = arrays(float, 9, elements=st.integers(-9, 9).map(float)).filter(np.any)


@laws
@given(kernels, st.sampled_from([-1.0, 2.0**-20, -(2.0**15), 1024.0]))
def test_shares_know_neither_sign_nor_scale(kernel, factor):
    """Powers of two, so that no bit changes."""
    assert line_share(factor * kernel) == line_share(kernel)
    for pattern in PATTERNS:
        assert pattern_share(factor * kernel, pattern) == pattern_share(kernel, pattern)


@laws
@given(kernels)
def test_shares_by_hand(kernel):
    for pattern in PATTERNS:
        share = sum(kernel[pixel] ** 2 for pixel in range(9) if drawn(pattern)[pixel]) / sum(kernel**2)
        assert pattern_share(kernel, pattern) == pytest.approx(share, rel=1e-14)
    best = max((kernel**2) @ drawn(line) / (kernel @ kernel) for line in LINES)
    assert line_share(kernel) == pytest.approx(best, rel=1e-14)
    assert 1 / 3 - 1e-15 <= line_share(kernel) <= 1  # three columns share the whole: one holds a third at least


@laws
@given(kernels)
def test_turns_and_reflections_leave_the_line_share(kernel):
    square = kernel.reshape(3, 3)
    for turned in (*(np.rot90(square, k) for k in range(4)), square.T, square[::-1]):
        assert line_share(turned.ravel()) == pytest.approx(line_share(kernel), rel=1e-15)


def test_columns_partition_the_energy_and_become_rows_when_turned():
    square = whole((3, 3), 4)
    names = [("left column", "bottom row"), ("middle column", "middle row"), ("right column", "top row")]
    shares = [pattern_share(square.ravel(), column) for column, _ in names]
    assert sum(shares) == pytest.approx(1, rel=1e-15)
    for share, (_, row) in zip(shares, names, strict=True):
        assert pattern_share(np.rot90(square).ravel(), row) == pytest.approx(share, rel=1e-15)


def test_batches_of_kernels():
    batch = whole((4, 2, 9), 1)
    shares = pattern_share(batch, "top row")
    assert shares.shape == line_share(batch).shape == (4, 2)
    for i, j in product(range(4), range(2)):
        assert shares[i, j] == pattern_share(batch[i, j], "top row")
        assert line_share(batch)[i, j] == line_share(batch[i, j])


def directions(draws, seed):
    """Uniformly distributed on the sphere of R^9."""
    x = np.random.default_rng(seed).standard_normal((draws, 9))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_share_of_a_random_direction_follows_the_beta_law(pattern):
    """m of 9 pixels hold Beta(m/2, (9 - m)/2). The p-value must exceed 1e-3, as in test_nullmodel."""
    m = len(PATTERNS[pattern])
    law = scipy.stats.beta(m / 2, (9 - m) / 2)
    assert scipy.stats.kstest(pattern_share(directions(4000, 0), pattern), law.cdf).pvalue > 1e-3


def test_line_share_of_a_random_direction():
    """The best of eight lines: above 1/3 always; its mean by another way of counting, masks on squares."""
    masks = np.array([drawn(line) for line in LINES])
    expected = (directions(4000, 1) ** 2 @ masks.T).max(axis=1)
    found = line_share(directions(4000, 0))
    assert found.min() > 1 / 3
    assert scipy.stats.ks_2samp(found, expected).pvalue > 1e-3


@pytest.mark.parametrize("blank", [np.zeros(9), np.vstack([np.ones(9), np.zeros(9)])], ids=["one", "among others"])
def test_blank_kernels_have_no_share(blank):
    for share in (line_share, lambda k: pattern_share(k, "top row")):
        with pytest.raises(BadInput, match="kernels: expected some energy in each, got a blank one"):
            share(blank)


# two levels


def by_every_threshold(image):
    """The largest share that is explained by the means above and below a threshold, at each pixel's value."""
    best = 0.0
    for threshold in np.unique(image)[1:]:
        dark, bright = image[image < threshold], image[image >= threshold]
        levels = np.where(image < threshold, dark.mean(), bright.mean())
        best = max(best, 1 - ((image - levels) ** 2).sum() / ((image - image.mean()) ** 2).sum())
    return best


images = arrays(float, st.integers(2, 12), elements=digits).filter(lambda x: len(set(x)) > 1)


@laws
@given(images)
def test_two_levels_against_every_threshold(image):
    """Shares lie between 0 and 1 and come from some ten terms: rounding stays below 1e-12."""
    assert two_level_share(image) == pytest.approx(by_every_threshold(image), abs=1e-12)
    assert 0 < two_level_share(image) <= 1 + 1e-12


def by_every_partition(image):
    """The same for every way to part the pixels into two, thresholds or not."""
    total, best = ((image - image.mean()) ** 2).sum(), 0.0
    for parts in product([False, True], repeat=len(image)):
        inside = np.array(parts)
        if inside.any() and not inside.all():
            within = sum(((part - part.mean()) ** 2).sum() for part in (image[inside], image[~inside]))
            best = max(best, 1 - within / total)
    return best


@pytest.mark.parametrize("seed", range(3))
def test_no_two_levels_do_better_than_a_threshold(seed):
    image = np.random.default_rng(seed).standard_normal(8)
    assert two_level_share(image) == pytest.approx(by_every_partition(image), abs=1e-12)


@laws
@given(images, st.sampled_from([-1.0, 0.01, -250.0]), st.sampled_from([0.0, 3.0, -70.0]), st.randoms())
def test_two_levels_know_neither_sign_nor_scale_nor_shift_nor_order(image, factor, shift, random):
    """A shift of 70 beside a spread of 0.01 costs four of sixteen digits, its square eight: 1e-7 is left."""
    shuffled = random.sample(list(factor * image + shift), len(image))
    assert two_level_share(shuffled) == pytest.approx(two_level_share(image), abs=1e-7)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 0.1), (5, 5.5)])
@pytest.mark.parametrize("bright", [1, 4, 8])
def test_a_binary_image_is_explained(low, high, bright):
    image = np.where(np.arange(9) < bright, high, low)
    assert two_level_share(image) == pytest.approx(1, abs=1e-12)


def test_normal_noise_is_explained_to_two_over_pi():
    """A share scatters by some 0.35/sqrt(n) about it: by 0.013 for 784 pixels, by 0.001 for 100,000.

    The mean of 200 of the small images, and one large one, are four to five deviations (0.005) off at most.
    """
    generator = np.random.default_rng(0)
    assert two_level_share(generator.standard_normal((200, 784))).mean() == pytest.approx(2 / np.pi, abs=0.005)
    assert two_level_share(generator.standard_normal(100_000)) == pytest.approx(2 / np.pi, abs=0.005)


def test_uniform_noise_is_explained_to_three_quarters():
    """Two halves of a ramp: within variance 1/4 of the whole. A fixed ramp of n pixels gives 3/4 (1 + 1/(n^2 - 1))."""
    assert two_level_share(np.arange(1000)) == pytest.approx(0.75 * (1 + 1 / (1000**2 - 1)), rel=1e-12)


def test_batches_of_images():
    batch = np.random.default_rng(0).standard_normal((2, 3, 20))
    shares = two_level_share(batch)
    assert shares.shape == (2, 3)
    for i, j in product(range(2), range(3)):
        assert shares[i, j] == two_level_share(batch[i, j])


@pytest.mark.parametrize(
    "image", [[1.0, 1, 1], [0.1] * 3, [0.1] * 784, [2.0], [[1.0, 2], [3, 3]]], ids=["1", "0.1", "784", "one", "among"]
)
def test_equal_pixels_have_no_levels(image):
    """Of 0.1 three times the computed variance is not zero: it is rounding."""
    with pytest.raises(BadInput, match="images: expected pixels that differ, got an image of equal ones"):
        two_level_share(image)

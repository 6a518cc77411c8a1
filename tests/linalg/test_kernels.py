"""Kernels as vectors and their matrices, against PyTorch's convolution, loops and every threshold.

Weights and maps are of small whole numbers where a test says 'exactly': float64 adds and multiplies those without
rounding. Elsewhere sums are of some hundred terms of about 1, which float64 rounds by less than 1e-13.
"""

from itertools import product

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn import functional

from tests.oracles import exact_null_basis, exact_rank
from vsbook.checks import BadInput
from vsbook.linalg.kernels import (
    LINES,
    PATTERNS,
    convolution_matrix,
    flattened_kernels,
    im2col,
    line_share,
    pattern_share,
    two_level_share,
)

laws = settings(deadline=None, derandomize=True, max_examples=60)
digits = st.integers(-4, 4).map(float)


def whole(shape, seed=0):
    """An array of small whole numbers."""
    return np.random.default_rng(seed).integers(-5, 6, shape).astype(float)


def conv2d(x, weight, stride=1, padding=0):
    """PyTorch's, for maps (N, inputs, height, width)."""
    return functional.conv2d(*map(torch.from_numpy, (x, weight)), stride=stride, padding=padding).numpy()


# the convolution itself


@st.composite
def convolutions(draw):
    """Weight, maps, stride and padding: up to three channels, rectangular kernels and maps, kernels that fit."""
    size, padding = (draw(st.integers(1, 3)), draw(st.integers(1, 3))), draw(st.integers(0, 2))
    sides = tuple(draw(st.integers(max(1, k - 2 * padding), 5)) for k in size)
    outputs, inputs = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    weight = draw(arrays(float, (outputs, inputs, *size), elements=digits))
    x = draw(arrays(float, (2, inputs, *sides), elements=digits))
    return weight, x, draw(st.integers(1, 3)), padding


@laws
@given(convolutions())
def test_the_matrix_of_a_convolution_is_pytorchs_exactly(case):
    weight, x, stride, padding = case
    expected = conv2d(x, weight, stride, padding)
    M = convolution_matrix(weight, *x.shape[2:], stride, padding)
    np.testing.assert_array_equal((M @ x.reshape(2, -1).T).T.reshape(expected.shape), expected)


@laws
@given(convolutions())
def test_its_transpose_is_the_transposed_convolution_exactly(case):
    """Pixels at the right and the bottom that no kernel reached get nothing back: `output_padding` puts them there."""
    weight, x, stride, padding = case
    M = convolution_matrix(weight, *x.shape[2:], stride, padding)
    y = whole(conv2d(x, weight, stride, padding).shape)
    left = [(side + 2 * padding - k) % stride for side, k in zip(x.shape[2:], weight.shape[2:], strict=True)]
    back = functional.conv_transpose2d(
        torch.from_numpy(y), torch.from_numpy(weight), stride=stride, padding=padding, output_padding=tuple(left)
    ).numpy()
    np.testing.assert_array_equal((M.T @ y.reshape(2, -1).T).T.reshape(x.shape), back)


def by_loops(weight, height, width, stride, padding):
    """An entry for each tap of each kernel at each place, unless it falls into the zeros around."""
    outputs, inputs, *size = weight.shape
    tall, wide = ((side + 2 * padding - k) // stride + 1 for side, k in zip((height, width), size, strict=True))
    M = np.zeros((outputs, tall, wide, inputs, height, width))
    for o, c in np.ndindex(outputs, inputs):
        for i, j in np.ndindex(tall, wide):
            for a, b in np.ndindex(*size):
                row, column = i * stride + a - padding, j * stride + b - padding
                if 0 <= row < height and 0 <= column < width:
                    M[o, i, j, c, row, column] += weight[o, c, a, b]
    return M.reshape(outputs * tall * wide, inputs * height * width)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1), (3, 2)])
def test_the_matrix_of_a_convolution_by_loops(stride, padding):
    weight = whole((2, 3, 2, 3))
    M = convolution_matrix(weight, 4, 5, stride, padding)
    assert isinstance(M, scipy.sparse.csr_array)
    np.testing.assert_array_equal(M.toarray(), by_loops(weight, 4, 5, stride, padding))


def test_a_convolution_of_the_papers_layer():
    """64 channels would be large; 8 have the same stride, padding and kernel as ResNet18's layer of Fig. 2."""
    weight, x = np.random.default_rng(0).standard_normal((8, 8, 3, 3)), np.random.default_rng(1).random((1, 8, 7, 7))
    M = convolution_matrix(weight.astype(np.float32), 7, 7, padding=1)
    assert M.dtype == np.float64
    expected = conv2d(x, weight.astype(np.float32).astype(float), padding=1)
    np.testing.assert_allclose(M @ x.ravel(), expected.ravel(), atol=1e-12)


def test_most_of_the_matrix_is_zero():
    """Nine numbers for each pair of channels and place, fewer at the border: with padding 4 corners lose 5, edges 3."""
    M = convolution_matrix(np.ones((2, 3, 3, 3)), 6, 6, padding=1)
    assert M.shape == (72, 108)
    assert np.count_nonzero(M.toarray()) == 2 * 3 * (36 * 9 - 4 * 5 - 16 * 3)


@pytest.mark.parametrize("sides", [(2, 3), (3, 2), (1, 1)])
def test_a_kernel_that_does_not_fit_is_refused(sides):
    with pytest.raises(BadInput, match=r"fits into .* maps with 0 zeros around, got shape"):
        convolution_matrix(np.ones((1, 1, 3, 3)), *sides)
    convolution_matrix(np.ones((1, 1, 3, 3)), *sides, padding=1)


# its other matrices


@st.composite
def unfolded(draw):
    """A convolution, its patches (inputs, kernel size, places) of one image, and what PyTorch makes of them."""
    weight, x, stride, padding = draw(convolutions())
    patches = functional.unfold(torch.from_numpy(x[:1]), weight.shape[2:], stride=stride, padding=padding).numpy()
    return weight, patches.reshape(weight.shape[1], -1, patches.shape[2]), conv2d(x[:1], weight, stride, padding)[0]


@laws
@given(unfolded())
def test_flattened_kernels_on_patches_summed_over_channels_convolve_exactly(case):
    weight, patches, expected = case
    outputs, inputs = weight.shape[:2]
    K = flattened_kernels(weight)
    for o in range(outputs):
        summed = sum(K[o * inputs + c] @ patches[c] for c in range(inputs))
        np.testing.assert_array_equal(summed, expected[o].ravel())


@laws
@given(unfolded())
def test_im2col_on_patches_of_all_channels_convolves_exactly(case):
    weight, patches, expected = case
    np.testing.assert_array_equal(
        im2col(weight) @ patches.reshape(-1, patches.shape[2]), expected.reshape(len(weight), -1)
    )


@pytest.mark.parametrize("shape", [(6, 2, 3, 2), (6, 1, 4), (6, 3, 1, 2, 2)], ids=str)
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_im2col_in_groups_is_scipys_block_diagonal(shape, groups):
    weight = whole(shape, seed=1)
    blocks = [block.reshape(len(block), -1) for block in np.split(weight, groups)]
    np.testing.assert_array_equal(im2col(weight, groups), scipy.linalg.block_diag(*blocks))
    assert im2col(weight.astype(np.float16), groups).dtype == np.float16


def test_on_maps_as_large_as_the_kernel_im2col_is_the_convolution():
    weight = whole((4, 2, 3, 2))
    np.testing.assert_array_equal(convolution_matrix(weight, 3, 2).toarray(), im2col(weight))


def test_with_one_input_channel_both_views_are_one():
    weight = whole((6, 1, 3, 3))
    np.testing.assert_array_equal(flattened_kernels(weight), im2col(weight))


@pytest.mark.parametrize("size", [(3,), (2, 3), (2, 1, 3)], ids=str)
@pytest.mark.parametrize("view", [flattened_kernels, im2col])
def test_views_of_one_two_and_three_axes_hold_every_weight_in_order(view, size):
    weight = whole((4, 2, *size))
    np.testing.assert_array_equal(view(weight).ravel(), weight.ravel())
    assert (
        view(weight).shape
        == {
            flattened_kernels: (8, np.prod(size)),
            im2col: (4, 2 * np.prod(size)),
        }[view]
    )


def test_flattened_kernels_of_the_papers_layer():
    weight = np.arange(64 * 64 * 9.0).reshape(64, 64, 3, 3)
    K = flattened_kernels(weight)
    assert K.shape == (4096, 9)
    np.testing.assert_array_equal(K[64 * 5 + 7].reshape(3, 3), weight[5, 7])


# ranks


@laws
@given(st.data())
def test_ranks_of_the_two_views_bound_each_other(data):
    """Inputs C, kernels of rank r, im2col of rank R: R <= C r since rows are made of C kernels, and r <= C R."""
    outputs, inputs = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    weight = data.draw(arrays(float, (outputs, inputs, 2, 2), elements=st.integers(-1, 1).map(float)))
    r, R = exact_rank(flattened_kernels(weight)), exact_rank(im2col(weight))
    assert min(outputs, inputs * r) >= R
    assert min(4, inputs * R) >= r


@laws
@given(st.data())
def test_rank_and_nullity_of_a_convolution(data):
    """The rank by elimination and the dimension of what a convolution loses add up to the pixels that come in."""
    weight = data.draw(arrays(float, (2, 1, 2, 2), elements=digits))
    stride = data.draw(st.integers(1, 2))
    M = convolution_matrix(weight, 3, 3, stride).toarray()
    lost = exact_null_basis(M)
    assert exact_rank(M) + lost.shape[1] == 9
    assert np.abs(M @ lost).max(initial=0) < 1e-9  # whole numbers over pivots of at most some hundreds
    # one patch decides nothing: the kernels' own rank is at most 2, and a convolution of rank 0 has blank kernels
    assert exact_rank(flattened_kernels(weight)) <= 2
    assert (exact_rank(M) == 0) == (not weight.any())


def test_full_rank_of_the_kernels_is_not_that_of_the_convolution():
    """Nine kernels of one channel that span all patches lose nothing; one of them, on the same maps, at least 16."""
    every = np.eye(9).reshape(9, 1, 3, 3)
    assert exact_rank(flattened_kernels(every)) == 9
    assert exact_rank(convolution_matrix(every, 5, 5).toarray()) == 25
    one = convolution_matrix(every[:1], 5, 5).toarray()
    assert one.shape == (9, 25)
    assert exact_rank(one) == 9


def test_a_map_whose_patches_no_kernel_sees_is_lost():
    """Kernels whose entries sum to zero see no flat patch; with zeros around, the border isn't flat."""
    weight = whole((4, 2, 3, 3))
    weight -= weight.mean(axis=(2, 3), keepdims=True)
    flat = np.repeat([2.0, -3.0], 36)
    assert np.abs(convolution_matrix(weight, 6, 6) @ flat).max() < 1e-12
    assert np.abs(convolution_matrix(weight, 6, 6, padding=1) @ flat).max() > 1


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

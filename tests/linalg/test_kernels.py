"""Kernels as vectors and their matrices, against PyTorch's convolution, loops and every threshold.

Weights and maps are of small whole numbers where a test says 'exactly': float64 adds and multiplies those without
rounding. Elsewhere sums are of some hundred terms of about 1, which float64 rounds by less than 1e-13.
"""

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

from tests.oracles import exact_null_basis, exact_rank, whole
from vsbook.checks import BadInput
from vsbook.linalg.kernels import (
    convolution_matrix,
    flattened_kernels,
    im2col,
)

laws = settings(deadline=None, derandomize=True, max_examples=60)
digits = st.integers(-4, 4).map(float)


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

"""The laws of the null models against values that are sampled another way.

Seeds are fixed. Where samples are compared with a law by Kolmogorov and Smirnov, the p-value must exceed 1e-3: with a
correct law one seed in a thousand would fail, and the seeds here are among the others; a wrong law (r and n - r
swapped, a factor two in the parameters) gives less than 1e-12 at these numbers of draws.
"""

from itertools import permutations, product

import numpy as np
import pytest
import scipy.stats

from vsbook.linalg.nullmodel import (
    energy_fraction_law,
    marchenko_pastur_edges,
    random_subspace,
    sampled_bases,
    sampled_energy_fractions,
    sampled_spectra,
    shuffled_spectra,
)
from vsbook.linalg.significance import (
    sphericity,
)

DIMENSIONS = [(2, 1), (5, 2), (9, 8), (30, 3), (50, 1)]


def from_gaussians(n, r, draws, seed):
    """Share of a random vector's energy in its first r coordinates: the same law, with the subspace held fixed."""
    squares = np.random.default_rng(seed).standard_normal((draws, n)) ** 2
    return squares[:, :r].sum(axis=1) / squares.sum(axis=1)


@pytest.mark.parametrize(("n", "r"), DIMENSIONS)
def test_law_of_the_energy_fraction(n, r):
    assert scipy.stats.kstest(from_gaussians(n, r, 4000, 0), energy_fraction_law(n, r).cdf).pvalue > 1e-3


@pytest.mark.parametrize(("n", "r"), DIMENSIONS)
def test_a_single_image_sampled_follows_the_law(n, r):
    x = np.zeros(n)
    x[0] = 3.0  # far from isotropic: only a Haar distributed subspace makes the law hold for it
    sample = sampled_energy_fractions(x, r, 2000, np.random.default_rng(1))
    assert scipy.stats.kstest(sample, energy_fraction_law(n, r).cdf).pvalue > 1e-3


def test_a_whole_set_is_the_projection_of_its_images():
    x = np.random.default_rng(0).standard_normal((20, 6)) * np.arange(1, 7)
    sample = sampled_energy_fractions(x, 2, 5, np.random.default_rng(3))
    generator = np.random.default_rng(3)
    for value in sample:
        Q = random_subspace(6, 2, generator)
        assert value == pytest.approx(sum(np.sum((Q.T @ row) ** 2) for row in x) / np.sum(x**2), rel=1e-12)


def test_a_set_of_alike_images_has_a_wider_law_than_an_isotropic_one():
    alike = np.outer(np.ones(50), np.arange(1.0, 21))
    isotropic = np.eye(20)
    spreads = [sampled_energy_fractions(x, 4, 300, np.random.default_rng(0)).std() for x in (alike, isotropic)]
    assert spreads[0] > 0.05  # Beta(2, 8): 0.12
    assert spreads[1] < 1e-12  # trace(Q'Q)/20 = 4/20, always


def test_stacked_images_are_flattened_as_one_set():
    x = np.random.default_rng(0).standard_normal((2, 3, 6))
    flat, stacked = (sampled_energy_fractions(v, 2, 4, np.random.default_rng(1)) for v in (x.reshape(6, 6), x))
    np.testing.assert_array_equal(flat, stacked)


def test_random_subspaces_have_no_preferred_direction():
    """The mean projector is (r/n) I. Its diagonal entries have standard deviation 0.18/sqrt(4000): 4.5 of them."""
    generator = np.random.default_rng(0)
    bases = [random_subspace(6, 2, generator) for _ in range(4000)]
    mean = sum(Q @ Q.T for Q in bases) / len(bases)
    np.testing.assert_allclose(mean, np.eye(6) / 3, atol=4.5 * 0.18 / np.sqrt(4000))


@pytest.mark.parametrize(("n", "r"), [(1, 1), (4, 1), (4, 4), (784, 10)])
def test_random_bases_are_orthonormal(n, r):
    Q = random_subspace(n, r, np.random.default_rng(0))
    assert Q.shape == (n, r)
    np.testing.assert_allclose(Q.T @ Q, np.eye(r), atol=1e-13)


@pytest.mark.parametrize("shape", [(10, 784), (64, 9), (1, 5)], ids=str)
@pytest.mark.parametrize("sd", [1.0, 0.02])
def test_sampled_spectra_hold_the_energy_of_their_entries(shape, sd):
    """The squares of a spectrum sum to sd^2 chi^2(mn): mean mn, standard deviation sqrt(2 mn)."""
    spectra = sampled_spectra(shape, sd, 200, np.random.default_rng(0))
    entries = np.prod(shape)
    assert spectra.shape == (200, min(shape))
    assert (np.diff(spectra, axis=1) <= 0).all()
    off = (spectra**2).sum(axis=1).mean() / sd**2 - entries
    assert abs(off) < 4 * np.sqrt(2 * entries / 200)


@pytest.mark.parametrize("shape", [(300, 900), (900, 300), (400, 400)], ids=str)
def test_edges_of_marchenko_and_pastur(shape):
    """Edges fluctuate by n^(-2/3) of themselves (Tracy and Widom): 3 % of sd * sqrt(900) leaves room at these sizes."""
    low, high = marchenko_pastur_edges(shape, 0.5)
    spectrum = sampled_spectra(shape, 0.5, 1, np.random.default_rng(0))[0]
    room = 0.03 * 0.5 * np.sqrt(max(shape))
    assert spectrum[0] == pytest.approx(high, abs=room)
    assert spectrum[-1] == pytest.approx(low, abs=room)


def test_the_same_generator_gives_the_same_draws():
    one, other = (sampled_spectra((3, 4), 1.0, 2, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one, other)


# bases


def test_sampled_bases_are_orthonormal():
    for n, draws in [(1, 5), (2, 1), (9, 20)]:
        Q = sampled_bases(n, draws, np.random.default_rng(0))
        assert Q.shape == (draws, n, n)
        np.testing.assert_allclose(Q @ Q.transpose(0, 2, 1), np.broadcast_to(np.eye(n), Q.shape), atol=1e-13)


@pytest.mark.parametrize("n", [2, 3, 9])
def test_each_vector_of_a_sampled_basis_is_a_random_direction(n):
    """The square of each entry follows Beta(1/2, (n-1)/2), in the first vector, the last and any other."""
    Q = sampled_bases(n, 3000, np.random.default_rng(2))
    for i, j in [(0, 0), (0, n - 1), (n - 1, 0), (n - 1, n - 1)]:
        assert scipy.stats.kstest(Q[:, i, j] ** 2, energy_fraction_law(n, 1).cdf).pvalue > 1e-3


@pytest.mark.parametrize("n", [1, 2, 5])
def test_sampled_bases_have_no_preferred_sign(n):
    """Each entry, and the determinant, is positive half the time: of 4000 within 4.5 deviations of 31.6.

    The trace has variance 1 (and none for n = 1, where it is the sign itself): a QR decomposition whose signs are left
    as they come has a mean trace that is not zero.
    """
    Q = sampled_bases(n, 4000, np.random.default_rng(3))
    assert np.abs((Q > 0).sum(axis=0) - 2000).max() < 4.5 * 31.6
    assert abs((np.linalg.det(Q) > 0).sum() - 2000) < 4.5 * 31.6
    trace = np.trace(Q, axis1=1, axis2=2)
    assert abs(trace.mean()) < 4.5 / np.sqrt(4000)
    assert (trace**2).mean() == pytest.approx(1, abs=4.5 * np.sqrt(2 / 4000))


# spectra

SHAPES = [(7, 4), (4, 9), (30, 3), (5, 5), (1, 6), (2, 2)]


def direct_spectra(shape, draws, seed):
    """Of full matrices, factored."""
    return np.linalg.svd(np.random.default_rng(seed).standard_normal((draws, *shape)), compute_uv=False)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_spectra_by_the_triangular_factor_are_those_of_full_matrices(shape):
    """Two samples of 4000, by Kolmogorov and Smirnov; one degree of freedom less gives below 1e-5 for (30, 3)."""
    ours, full = sampled_spectra(shape, 1.0, 4000, np.random.default_rng(0)), direct_spectra(shape, 4000, 1)
    for statistic in (lambda s: s[:, 0], lambda s: s[:, -1], lambda s: (s**2).sum(axis=1), sphericity):
        if min(shape) > 1 or statistic is not sphericity:  # of one singular value it is 0
            assert scipy.stats.ks_2samp(statistic(ours), statistic(full)).pvalue > 1e-3


def test_the_energy_of_sampled_spectra_is_chi_square():
    """Exactly known, however many draws: a quarter of a degree of freedom of 12 would be seen."""
    energy = (sampled_spectra((4, 3), 0.5, 20_000, np.random.default_rng(4)) ** 2).sum(axis=1) / 0.25
    assert scipy.stats.kstest(energy, scipy.stats.chi2(12).cdf).pvalue > 1e-3


def test_shuffled_spectra_hold_the_energy_of_the_entries():
    A = np.random.default_rng(0).standard_t(3, (6, 4))
    spectra = shuffled_spectra(A, 50, np.random.default_rng(1))
    assert spectra.shape == (50, 4)
    np.testing.assert_allclose((spectra**2).sum(axis=1), (A**2).sum(), rtol=1e-13)
    assert spectra.std(axis=0).min() > 0.01, "the arrangement changes"


def test_shuffled_spectra_by_every_arrangement():
    """Of a 2 x 2 matrix the product of the singular values is |ad - bc|: all 24 orders and 16 signs are alike likely.

    The six values that come about are counted in 6000 draws, by chi-square: positive signs alone would give three.
    """
    entries = [1.0, 2.0, 4.0, 9.0]
    every = [
        abs(a * p[0] * d * p[3] - b * p[1] * c * p[2])
        for a, b, c, d in permutations(entries)
        for p in product([1, -1], repeat=4)
    ]
    values, counts = np.unique(every, return_counts=True)
    assert len(values) == 6
    spectra = shuffled_spectra(np.reshape(entries, (2, 2)), 6000, np.random.default_rng(0))
    found = np.prod(spectra, axis=1)
    nearest = np.abs(found[:, None] - values).argmin(axis=1)
    np.testing.assert_allclose(found, values[nearest], atol=1e-10)
    expected = 6000 * counts / len(every)
    assert scipy.stats.chisquare(np.bincount(nearest, minlength=6), expected).pvalue > 1e-3

"""The laws of the null models against values that are sampled another way.

Seeds are fixed. Where samples are compared with a law by Kolmogorov and Smirnov, the p-value must exceed 1e-3: with a
correct law one seed in a thousand would fail, and the seeds here are among the others; a wrong law (r and n - r
swapped, a factor two in the parameters) gives less than 1e-12 at these numbers of draws.
"""

import numpy as np
import pytest
import scipy.stats

from vsbook.nullmodel import (
    energy_fraction_law,
    marchenko_pastur_edges,
    random_subspace,
    sampled_energy_fractions,
    sampled_spectra,
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

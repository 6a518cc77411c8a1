"""Statistics of a spectrum, p-values and tests: against formulas, ranks and simulated noise."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import NOISE
from vsbook.linalg.nullmodel import (
    energy_fraction_law,
    sampled_bases,
    shuffled_spectra,
)
from vsbook.linalg.significance import (
    STATISTICS,
    condition_number,
    holm,
    identifiability,
    p_value,
    spectrum_test,
    sphericity,
)

# statistics of a spectrum

spectra = st.lists(st.floats(0.01, 100), min_size=1, max_size=8).map(lambda s: np.sort(s)[::-1])
laws = settings(deadline=None, derandomize=True, max_examples=60)


@laws
@given(spectra)
def test_statistics_by_their_formulas(s):
    k = len(s)
    assert condition_number(s) == s[0] / s[-1]
    geometric = float(np.prod([value ** (2 / k) for value in s]))
    assert sphericity(s) == pytest.approx(np.log(sum(s**2) / k / geometric), abs=1e-12)
    assert STATISTICS["strength of the first"](s) == pytest.approx(s[0] / np.sqrt(sum(s**2) / k), rel=1e-12)


@laws
@given(spectra, st.sampled_from([1e-200, 2.0**-30, 1e-6, 7.0, 2.0**40, 1e200]))
def test_statistics_know_no_scale(s, factor):
    """Eight logarithms of at most ten: sums of rounding stay below 1e-13."""
    for measure in STATISTICS.values():
        assert measure(factor * s) == pytest.approx(measure(s), rel=1e-12, abs=1e-13)


@laws
@given(spectra)
def test_statistics_are_least_where_all_singular_values_are_equal(s):
    equal = np.full(len(s), s.mean())
    assert sphericity(equal) == pytest.approx(0, abs=1e-14)
    assert condition_number(equal) == 1
    assert sphericity(s) >= 0
    assert condition_number(s) >= 1
    assert 1 - 1e-12 <= STATISTICS["strength of the first"](s) <= np.sqrt(len(s)) + 1e-12


def test_statistics_of_a_lost_dimension_and_of_a_batch():
    assert condition_number([2, 1, 0]) == sphericity([2, 1, 0]) == np.inf
    batch = np.array([[[4.0, 2], [3, 3]], [[1, 1], [8, 1]]])
    assert condition_number(batch).tolist() == [[2, 1], [1, 8]]
    assert sphericity(batch).shape == (2, 2)
    assert sphericity(batch)[1, 1] == sphericity([8, 1])


def test_sphericity_by_hand():
    """Of 4, 2, 1: squares with mean 7 and geometric mean 4."""
    assert sphericity([4, 2, 1]) == pytest.approx(np.log(7 / 4), rel=1e-14)


def test_sphericity_counts_every_singular_value():
    """The condition number is blind to those between the first and the last."""
    assert condition_number([4, 3, 1]) == condition_number([4, 1, 1])
    assert sphericity([4, 1, 1]) > sphericity([4, 3, 1])


# p-values


@pytest.mark.parametrize("n", [1, 4, 19])
def test_p_values_are_uniform_over_ranks(n):
    """Whichever of n + 1 different values is the observed one: 1/(n+1), 2/(n+1), ..., 1, each once."""
    values = np.random.default_rng(n).permutation(n + 1) * 0.5 - 3
    found = [p_value(values[i], np.delete(values, i)) for i in range(n + 1)]
    np.testing.assert_allclose(sorted(found), np.arange(1, n + 2) / (n + 1), rtol=1e-15)
    assert found[int(values.argmax())] == 1 / (n + 1)


@pytest.mark.parametrize(
    ("observed", "null", "p"),
    [
        (2, [1, 2, 3], 3 / 4),
        (0, [0, 0, 0], 1),
        (-5, [-4, -6], 2 / 3),
        (1, [1 - 1e-14, 1 + 1e-14, 0.999], 3 / 4),
        (1e-300, [0, 1e-300], 2 / 3),
        (np.inf, [np.inf, 7], 2 / 3),
        (np.inf, [np.inf] * 4, 1),
        (7, [np.inf, 8, -np.inf], 3 / 4),
        (-np.inf, [-np.inf, 0], 1),
    ],
    ids=["tie", "all", "negative", "rounding", "tiny", "infinite", "all infinite", "infinite null", "least"],
)
def test_ties_count_as_reached(observed, null, p):
    assert p_value(observed, null) == pytest.approx(p, rel=1e-15)


def step_down(p_values, level):
    """Holm's procedure as it is described: from the smallest on, reject while p <= level / (tests left)."""
    rejected = set()
    for position, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[i] > level / (len(p_values) - position):
            break
        rejected.add(i)
    return rejected


def smallest_levels(p_values):
    """For each test the smallest level at which the procedure rejects it, and at most 1; in exact arithmetic."""
    k = len(p_values)
    candidates = sorted(min(Fraction(1), left * p) for p in p_values for left in range(1, k + 1))
    return [min((c for c in candidates if i in step_down(p_values, c)), default=Fraction(1)) for i in range(k)]


fractions = st.lists(st.integers(0, 200).map(lambda n: Fraction(n, 200)), min_size=1, max_size=7)


@laws
@given(fractions)
def test_holm_is_the_smallest_level_at_which_the_step_down_rejects(p_values):
    expected = [float(level) for level in smallest_levels(p_values)]
    np.testing.assert_allclose(holm([float(p) for p in p_values]), expected, rtol=1e-14)


@laws
@given(fractions, st.randoms())
def test_holm_is_monotone_and_knows_no_order(p_values, random):
    p = np.array([float(value) for value in p_values])
    adjusted, order = holm(p), list(range(len(p)))
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    assert (p <= adjusted).all()
    assert (adjusted <= 1).all()
    random.shuffle(order)
    np.testing.assert_array_equal(holm(p[order]), adjusted[order])
    np.testing.assert_array_equal(holm(np.minimum(1, p + 0.1)) >= adjusted, True)


def test_holm_errs_at_most_at_its_level():
    """Ten true hypotheses, 4000 times: at least one is rejected in 5 % (exactly 1 - 0.995^10 = 4.9 %)."""
    p = np.random.default_rng(0).random((4000, 10))
    errors = sum(holm(row).min() <= 0.05 for row in p)
    assert scipy.stats.binomtest(errors, 4000, 1 - 0.995**10).pvalue > 1e-3


# the test of a spectrum
#
# At a level of 5 % and with 99 draws, a valid test rejects each random matrix with a chance of exactly 5 %: of 1000
# matrices 50, with a deviation of 6.9. The bounds are the binomial quantiles 0.0005 and 0.9995 (29 and 74 for 1000):
# one seed in a thousand would fail, and the seeds here are among the others.

LEVEL = 0.05


def rejected(matrices, draws=99, statistic="sphericity", seed=1):
    """How many of the matrices are rejected at the level, and all p-values."""
    generator = np.random.default_rng(seed)
    p = np.array([spectrum_test(A, draws, generator, statistic).p_value for A in matrices])
    return int((p <= LEVEL + 1e-12).sum()), p


def within_the_level(count, n):
    low, high = scipy.stats.binom.ppf([0.0005, 0.9995], n, LEVEL)
    return low <= count <= high


@pytest.mark.parametrize("law", NOISE)
def test_noise_is_rejected_at_the_level(law):
    """And the p-values are uniform: in ten classes of ten ranks each, by chi-square."""
    count, p = rejected(NOISE[law](np.random.default_rng(0), (1000, 40, 5)))
    assert within_the_level(count, 1000), count
    classes = np.bincount(np.ceil(p * 10 - 1e-9).astype(int) - 1, minlength=10)
    assert scipy.stats.chisquare(classes).pvalue > 1e-3


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic_keeps_the_level_wide_and_tall(statistic):
    """400 matrices wide, 400 tall, 19 draws: only the largest of 20 is rejected, 5 % again. 7 to 36 are within."""
    noise = np.random.default_rng(3).laplace(size=(400, 12, 4))
    for matrices in (noise, noise.transpose(0, 2, 1)):
        count, _ = rejected(matrices, 19, statistic)
        assert within_the_level(count, 400), count


def test_matrices_of_signs_are_not_rejected_too_often():
    """Few different spectra, often of deficient rank: ties count as reached, so that the level is only fallen below."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (400, 5, 3))
    for statistic in STATISTICS:
        assert rejected(signs, 19, statistic)[0] <= scipy.stats.binom.ppf(0.9995, 400, LEVEL)


def test_a_single_large_entry_is_no_arrangement():
    """It stands somewhere; in each random order it stands elsewhere, with the same spectrum."""
    A = np.random.default_rng(0).standard_normal((400, 12, 4))
    A[:, 0, 0] = 50
    assert within_the_level(rejected(A, 19)[0], 400)


# Where a pattern s u v' in noise of 40 x 5 comes out of the bulk: s = (40 * 5)^(1/4) = 3.76 (Benaych-Georges and
# Nadakuditi, 2012). At four times that it carries 15^2 of 15^2 + 200 of the energy, more than half; at a quarter of it
# 0.4 %, and the first singular value doesn't show it.
THRESHOLD = 200**0.25


def planted(strength, count):
    """Noise with a rank-one pattern between random directions."""
    generator = np.random.default_rng(5)
    u, v = generator.standard_normal((count, 40, 1)), generator.standard_normal((count, 1, 5))
    pattern = u * v / np.linalg.norm(u, axis=1, keepdims=True) / np.linalg.norm(v, axis=2, keepdims=True)
    return generator.standard_normal((count, 40, 5)) + strength * THRESHOLD * pattern


def test_a_pattern_well_above_the_threshold_is_found():
    """At least 198 of 200."""
    assert rejected(planted(4, 200))[0] >= 198


def test_a_pattern_well_below_the_threshold_is_not():
    """No more than the level allows: of 400 at most 36."""
    assert rejected(planted(0.25, 400))[0] <= scipy.stats.binom.ppf(0.9995, 400, LEVEL)


STRUCTURES = {
    "a common mean": lambda noise: noise + 1,
    "columns of different size": lambda noise: noise * np.array([1, 1.5, 2, 2.5, 3]),
    "rows of different size, wide": lambda noise: (noise * np.array([1, 1.5, 2, 2.5, 3])).transpose(0, 2, 1),
    "two equal columns": lambda noise: noise[..., [0, 0, 2, 3, 4]],
    "neighbours that resemble each other": lambda noise: noise + np.roll(noise, 1, axis=2),
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_arrangement_is_found(structure):
    """Each of 50, for sphericity: a mean of one deviation alone has a strength of sqrt(200), 3.8 thresholds."""
    noise = np.random.default_rng(6).standard_normal((50, 40, 5))
    assert rejected(STRUCTURES[structure](noise))[0] == 50


def test_what_the_test_cannot_see():
    """A structure that leaves all singular values alike: with equal ones the statistic is 0, less than noise has."""
    Q = sampled_bases(5, 20, np.random.default_rng(0))
    assert rejected(Q)[0] == 0


def test_a_null_test_holds_what_it_was_made_from():
    A = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    test = spectrum_test(A, 9, np.random.default_rng(1), "condition number")
    s = np.linalg.svd(A.astype(float), compute_uv=False)
    assert (test.statistic, test.null.shape) == ("condition number", (9,))
    assert test.observed == pytest.approx(s[0] / s[-1], rel=1e-12)
    again = shuffled_spectra(A.astype(float), 9, np.random.default_rng(1))
    np.testing.assert_array_equal(test.null, condition_number(again))
    assert test.p_value == p_value(test.observed, test.null)


# identifiability


@pytest.mark.parametrize("shape", [(12, 4), (4, 12), (5, 5)], ids=str)
def test_angles_are_those_of_the_projectors(shape):
    """The sine of the largest angle between two subspaces is the norm of the difference of their projectors."""
    matrices = np.random.default_rng(0).standard_normal((3, *shape))
    found = identifiability(matrices)
    rows = [np.linalg.svd(A)[2] for A in matrices]
    for pair, (one, other) in enumerate(combinations(rows, 2)):
        for i in range(1, 1 + min(shape)):
            sine = np.linalg.norm(one[:i].T @ one[:i] - other[:i].T @ other[:i], 2)
            assert np.sin(found.angles[pair, i - 1]) == pytest.approx(sine, abs=1e-12)
            cosine = one[i - 1] @ other[i - 1]
            assert found.squared_cosines[pair, i - 1] == pytest.approx(cosine**2, abs=1e-12)
    if shape[0] >= shape[1]:
        assert (found.angles[:, -1] == 0).all(), "all vectors of the space span it"


@pytest.mark.parametrize("angle", [1e-12, 1e-9, 1e-5, 0.1])
def test_a_planted_angle_is_found_however_small(angle):
    """Singular vectors of a rank-2 matrix with a gap, the first turned out of their plane: the arc cosine of a number
    that rounds to 1 would be 0, or 2e-8. An error of 1e-15 in the vectors is one of 1e-15 in the angle, over gap 1."""
    A = np.diag([3.0, 1, 0, 0, 0])
    turned = A.copy()
    turned[0, :3] = 3 * np.cos(angle), 0, 3 * np.sin(angle)
    found = identifiability([A, turned]).angles[0, :2]
    np.testing.assert_allclose(found, angle, rtol=0, atol=1e-14)


def test_a_matrix_agrees_with_itself_with_its_negative_and_with_its_multiples():
    A = np.random.default_rng(0).standard_normal((20, 6))
    found = identifiability([A, A, -A, 3 * A])
    assert found.squared_cosines.shape == (6, 6)
    np.testing.assert_allclose(found.squared_cosines, 1, atol=1e-12)
    np.testing.assert_allclose(found.angles, 0, atol=1e-7)
    np.testing.assert_allclose(found.gaps, found.gaps[:1].repeat(4, axis=0), rtol=1e-12)


def test_rotated_columns_turn_the_vectors_by_that_angle():
    """A rotation by 0.3 in the plane of the first two of three vectors: the plane stays, its vectors move."""
    A, c, s = np.diag([5.0, 3, 2]), np.cos(0.3), np.sin(0.3)
    found = identifiability([A, A @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])])
    np.testing.assert_allclose(found.squared_cosines, [[c**2, c**2, 1]], atol=1e-13)
    np.testing.assert_allclose(found.angles, [[0.3, 0, 0]], atol=1e-7)


def test_unrelated_vectors_have_a_mean_squared_cosine_of_one_over_n():
    """Beta(1/2, 4) for n = 9: mean 1/9, deviation 0.134; each column is the mean of 600 independent pairs."""
    pairs = np.random.default_rng(0).standard_normal((600, 2, 15, 9))
    cosines = np.array([identifiability(pair).squared_cosines[0] for pair in pairs])
    np.testing.assert_allclose(cosines.mean(axis=0), 1 / 9, atol=4.5 * 0.134 / np.sqrt(600))
    for i in (0, 8):
        assert scipy.stats.kstest(cosines[:, i], energy_fraction_law(9, 1).cdf).pvalue > 1e-3


def test_gaps_by_hand():
    """Singular values 5, 3, 2 (and 8, 4, 4): neighbours at 2, 1, 1 (4, 0, 0), over the root of 38/3 (of 96/3)."""
    found = identifiability([np.diag([5.0, 3, 2]), np.diag([4.0, 8, 4])])
    np.testing.assert_allclose(found.gaps[0], np.array([2, 1, 1]) / np.sqrt(38 / 3), rtol=1e-14)
    np.testing.assert_allclose(found.gaps[1], np.array([4, 0, 0]) / np.sqrt(96 / 3), atol=1e-14)


def test_every_two_of_several_matrices_are_compared():
    matrices = np.random.default_rng(0).standard_normal((4, 7, 3))
    found = identifiability(matrices)
    assert (found.gaps.shape, found.squared_cosines.shape, found.angles.shape) == ((4, 3), (6, 3), (6, 3))
    for pair, (i, j) in enumerate(combinations(range(4), 2)):
        alone = identifiability([matrices[i], matrices[j]])
        np.testing.assert_array_equal(found.squared_cosines[pair], alone.squared_cosines[0])
        np.testing.assert_array_equal(found.angles[pair], alone.angles[0])

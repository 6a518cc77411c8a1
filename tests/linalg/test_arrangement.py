"""Tests of many spectra at once: their level and power, and the law of copies whose pieces were moved.

Seeds are fixed, and bounds are those of test_nullmodel: one seed in a thousand would fail.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from tests.oracles import NOISE
from vsbook.linalg.arrangement import spectrum_tests
from vsbook.linalg.nullmodel import shuffled_spectra
from vsbook.linalg.significance import STATISTICS, holm, spectrum_test, sphericity

LEVEL = 0.05


def results(matrices, draws=19, statistic="sphericity", seed=1):
    """The tests of a stack of matrices."""
    named = dict(enumerate(matrices))
    found = spectrum_tests(named, draws, np.random.default_rng(seed), statistic, progress=False)
    assert not found.skipped
    return list(found.tests.values())


def rejected(matrices, **how):
    return sum(test.p_value <= LEVEL + 1e-12 for test in results(matrices, **how))


def within(count, n, chance=LEVEL):
    low, high = scipy.stats.binom.ppf([0.0005, 0.9995], n, chance)
    return low <= count <= high


# copies by pieces, as one writes them first


def moved_slowly(rows, blocks, generator):
    """Each column cut into pieces, the pieces put anywhere with any sign, one by one."""
    length, n = len(rows) // blocks, rows.shape[1]
    order = generator.permutation(blocks * n)
    signs = 2.0 * generator.integers(0, 2, (blocks, n)) - 1
    copy = np.empty_like(rows)
    for place, piece in enumerate(order):
        (block, column), (b, j) = divmod(place, n), divmod(int(piece), n)
        source = rows[b * length : (b + 1) * length, j]
        copy[block * length : (block + 1) * length, column] = signs[block, column] * source
    return copy


def spectra_slowly(A, draws, generator):
    """Of A (m, n), tall, and of its copies; by SVD."""
    A = (2.0 * generator.integers(0, 2, (len(A), 1)) - 1) * generator.permutation(A)
    cut, copies = len(A) // 64 * 64, [A]
    for _ in range(draws):
        copies.append(
            np.concatenate([moved_slowly(A[:cut], 64, generator), moved_slowly(A[cut:], 1, generator)]),
        )
    return np.linalg.svd(copies, compute_uv=False)


def one_large_entry(A):
    """So large that squares of the singular values would lose all digits of the last."""
    A = A.copy()
    A[7, 1] = 1e9
    return A


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("change", [lambda A: A, lambda A: 1e200 * A, one_large_entry], ids=["", "huge", "large"])
@pytest.mark.parametrize("shape", [(512, 2), (1100, 2), (1599, 3)], ids=str)
def test_tall_and_wide_matrices_by_copies_written_out(shape, change, statistic):
    """Also with rows left over: 12 of 1100, 63 of 1599. Gram matrices are used where squaring costs four digits."""
    A = change(np.random.default_rng(0).laplace(size=shape))
    spectra = spectra_slowly(A / np.abs(A).max(), 9, np.random.default_rng(1))
    observed, *null = STATISTICS[statistic](spectra)
    for matrix in (A, A.T):
        (test,) = results([matrix], 9, statistic)
        assert test.observed == pytest.approx(observed, rel=1e-9)
        np.testing.assert_allclose(test.null, null, rtol=1e-9)
        assert test.statistic == statistic
    assert not np.allclose(null, observed, rtol=1e-9) or change is one_large_entry


def test_other_shapes_are_tested_as_ever():
    """One draw after the other from one generator, entry by entry; a column less is no longer tall."""
    shapes = [(6, 3), (511, 2), (1, 4), (3, 767), (64, 49)]
    matrices = {shape: np.random.default_rng(2).standard_normal(shape) for shape in shapes}
    found = spectrum_tests(matrices, 9, np.random.default_rng(1), progress=False)
    generator = np.random.default_rng(1)
    for shape, A in matrices.items():
        if shape != (1, 4):
            test = spectrum_test(A, 9, generator)
            np.testing.assert_array_equal(found.tests[shape].null, test.null)
            assert found.tests[shape].p_value == test.p_value
    p = [test.p_value for test in found.tests.values()]
    np.testing.assert_array_equal(list(found.adjusted.values()), holm(p))
    assert list(found.tests) == list(found.adjusted) == [shape for shape in shapes if shape != (1, 4)]
    assert list(found.skipped) == [(1, 4)]


# level and power
#
# At 19 draws only the largest of 20 is rejected: 5 % of noise. Of 500 matrices 11 to 42.


@pytest.mark.parametrize("law", NOISE)
@pytest.mark.parametrize("shape", [(1024, 2), (3, 1599), (12, 4), (4, 12), (5, 5)], ids=str)
def test_noise_is_rejected_at_the_level(shape, law):
    """Pieces for the first two shapes, 4000 matrices in all; entries for the others, 6000."""
    noise = NOISE[law](np.random.default_rng(3), (500, *shape))
    count = rejected(noise)
    assert within(count, 500), count


def test_noise_of_two_rows_and_columns_is_rejected_more_rarely():
    """Six values of |ad - bc|, alike likely: the largest, and none of 19 draws ties with it: 1/6 (5/6)^19 = 0.5 %."""
    count = rejected(np.random.default_rng(3).standard_normal((2000, 2, 2)))
    assert within(count, 2000, (5 / 6) ** 19 / 6), count


@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic_keeps_the_level_by_pieces(statistic):
    count = rejected(np.random.default_rng(4).laplace(size=(300, 1030, 2)), statistic=statistic)
    assert within(count, 300), count


def test_tall_matrices_of_signs_are_not_rejected_too_often():
    """Inner products are whole numbers, so ties are common: they count as reached."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (300, 1024, 2))
    assert rejected(signs) <= scipy.stats.binom.ppf(0.9995, 300, LEVEL)


@pytest.mark.parametrize("shape", [(1024, 2), (1599, 3), (2, 1100)], ids=str)
@pytest.mark.parametrize("law", NOISE)
def test_copies_by_pieces_and_by_entries_have_one_law(shape, law):
    """A copy each of 500 noise matrices, by Kolmogorov and Smirnov."""
    noise = NOISE[law](np.random.default_rng(5), (500, *shape))
    pieces = [test.null[0] for test in results(noise, 1)]
    generator = np.random.default_rng(6)
    entries = [float(sphericity(shuffled_spectra(A, 1, generator))[0]) for A in noise]
    assert scipy.stats.ks_2samp(pieces, entries).pvalue > 1e-3


@pytest.mark.parametrize("statistic", STATISTICS)
def test_copies_of_one_matrix_have_nearly_one_law(statistic):
    """Given the matrix, pieces and entries differ by what the pieces keep; 2000 copies each don't show it."""
    A = np.random.default_rng(7).standard_normal((1599, 3))
    (test,) = results([A], 2000, statistic)
    entries = STATISTICS[statistic](shuffled_spectra(A, 2000, np.random.default_rng(8)))
    assert scipy.stats.ks_2samp(test.null, entries).pvalue > 1e-3


# Where a pattern s u v' in noise comes out of the bulk, as in test_nullmodel: s = (1536 * 3)^(1/4) = 8.2. At four times
# that it carries 33^2 of 33^2 + 4608 of the energy, a fifth; at a quarter of it a thousandth.
THRESHOLD = (1536 * 3) ** 0.25


def planted(strength, count):
    """Noise with a rank-one pattern between random directions."""
    generator = np.random.default_rng(5)
    u, v = generator.standard_normal((count, 1536, 1)), generator.standard_normal((count, 1, 3))
    pattern = u * v / np.linalg.norm(u, axis=1, keepdims=True) / np.linalg.norm(v, axis=2, keepdims=True)
    return generator.standard_normal((count, 1536, 3)) + strength * THRESHOLD * pattern


def test_patterns_above_the_threshold_are_found_and_below_it_are_not():
    assert rejected(planted(4, 40)) == 40
    assert rejected(planted(0.25, 200)) <= scipy.stats.binom.ppf(0.9995, 200, LEVEL)


STRUCTURES = {
    "a common mean": lambda noise: noise + 0.5,
    "columns of different size": lambda noise: noise * np.array([1, 1.2, 1.4]),
    "two equal columns": lambda noise: noise[..., [0, 0, 2]],
    "neighbours that resemble each other": lambda noise: noise + 0.3 * np.roll(noise, 1, axis=2),
    "a mean whose sign changes along the rows": lambda noise: noise + 0.5 * np.repeat([1, -1] * 16, 48)[:, None],
    "wide": lambda noise: (noise + 0.5).transpose(0, 2, 1),
}


@pytest.mark.parametrize("structure", STRUCTURES)
def test_arrangement_of_tall_matrices_is_found(structure):
    """In each of 40: a mean of half a deviation has a strength of sqrt(0.25 * 4608) = 34, four thresholds."""
    assert rejected(STRUCTURES[structure](np.random.default_rng(9).standard_normal((40, 1536, 3)))) == 40


def test_weaker_structure_is_found_as_often_by_pieces_as_by_entries():
    """Of the same 200 matrices about half each: the rejections differ by less than four deviations of 200 signs."""
    structured = np.random.default_rng(9).standard_normal((200, 1536, 3)) + 0.21
    generator = np.random.default_rng(10)
    by_entries = sum(spectrum_test(A, 19, generator).p_value <= LEVEL + 1e-12 for A in structured)
    by_pieces = rejected(structured)
    assert 50 < by_entries < 150
    assert abs(by_entries - by_pieces) < 4 * np.sqrt(200)


# what has little to test, or nothing


def test_what_has_nothing_to_test_is_skipped_with_a_reason():
    matrices = {"zeros": np.zeros((2000, 3)), "column": np.ones((5, 1)), "row": [[1, 2]], "number": [[3.0]]}
    single = "a single row or column has one singular value, and none to compare it with"
    for more in ({}, {"tested": np.eye(3)}):
        found = spectrum_tests(matrices | more, 2, np.random.default_rng(0), progress=False)
        assert found.skipped == {"zeros": "all entries are zero", "column": single, "row": single, "number": single}
        assert found.tests.keys() == found.adjusted.keys() == more.keys()
    nothing = spectrum_tests({}, 2, np.random.default_rng(0), progress=False)
    assert (nothing.tests, nothing.adjusted, nothing.skipped) == ({}, {}, {})


DEGENERATE = {
    "constant": np.ones((1100, 2)),
    "of rank one": np.outer(np.arange(1.0, 1101), [1, 2]),
    "of rank two": np.random.default_rng(0).standard_normal((2000, 3))[:, [0, 1, 0]],
    "with a column of zeros": np.random.default_rng(0).standard_normal((2000, 3)) * [1, 1, 0],
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", DEGENERATE)
def test_columns_that_depend_on_each_other_are_an_arrangement(name, dtype):
    (test,) = results([DEGENERATE[name].astype(dtype)], 19)
    assert test.p_value == 1 / 20
    assert test.observed > 3 * test.null.max()
    assert np.isfinite(test.null).all()


def test_the_order_of_zeros_and_rounding_does_not_reject():
    """One entry that isn't zero: each copy has the same spectrum, and all are alike infinite."""
    A = np.zeros((1100, 2))
    A[3, 1] = 2
    (test,) = results([A], 19)
    assert test.observed == np.inf
    assert test.p_value == 1


def test_half_precision_is_tested_by_its_numbers():
    A = np.random.default_rng(0).standard_normal((1100, 2)).astype(np.float16)
    half, double = results([A], 9)[0], results([A.astype(np.float64)], 9)[0]
    np.testing.assert_array_equal(half.null, double.null)
    assert half.observed == double.observed


def test_a_bar_is_shown_or_not(capsys):
    for progress in (True, False):
        spectrum_tests({"own": np.eye(3), "zeros": np.zeros((3, 3))}, 2, np.random.default_rng(0), progress=progress)
        assert ("/1 [" in capsys.readouterr().err) == progress


def test_the_readme_tests_all_layers():
    """Its code as it stands: the 1 x 1 convolutions are skipped, and p-values are small enough for Holm at all."""
    blocks = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[2] / "README.md").read_text(), re.DOTALL)
    (last,) = [i for i, block in enumerate(blocks) if "spectrum_tests" in block]
    names = {}
    for block in blocks[: last + 1]:
        exec(block, names)
    found = names["found"]
    assert list(found.skipped) == [f"layer{i}.0.downsample.0" for i in (2, 3, 4)]
    assert found.tests.keys() | found.skipped.keys() == names["layers"].keys()
    assert len(found.tests) / (len(found.tests["fc"].null) + 1) < LEVEL
    assert min(found.adjusted.values()) > 0

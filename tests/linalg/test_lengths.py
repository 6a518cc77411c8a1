"""Lengths of rows against the standard library's, where squares would vanish or overflow."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vsbook.linalg.lengths import lengths


@settings(deadline=None, derandomize=True, max_examples=25)
@given(arrays(np.float64, (3, 4), elements=st.floats(-1e307, 1e307)))
def test_lengths_of_rows_of_any_size(rows):
    np.testing.assert_allclose(lengths(rows), [math.hypot(*row) for row in rows], rtol=1e-15, atol=5e-324)

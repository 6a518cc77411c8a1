"""Exact sums and products against fractions."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vsbook.linalg.exact import Exact

laws = settings(deadline=None, derandomize=True, max_examples=30)
any_size = st.floats(allow_nan=False, allow_infinity=False)
matrices, vectors = (arrays(float, shape, elements=any_size) for shape in ((2, 3), 3))


@laws
@given(matrices, vectors, arrays(float, 2, elements=any_size))
def test_sums_and_products_are_those_of_fractions(A, x, b):
    expected = [
        sum((Fraction(w) * Fraction(h) for w, h in zip(row, x, strict=True)), Fraction(more))
        for row, more in zip(A, b, strict=True)
    ]
    found = Exact.of(A) @ Exact.of(x) + Exact.of(b)
    assert found.fractions == expected
    assert (-(Exact.of(b) * Exact.of(b))).fractions == [-(Fraction(number) ** 2) for number in b]
    assert (Exact.of(x) @ Exact.of(x)).fraction == sum(Fraction(number) ** 2 for number in x)


@laws
@given(matrices, vectors)
def test_rounded_up_is_the_next_float_above(A, x):
    product = Exact.of(A) @ Exact.of(x)
    for number, above in zip(product.fractions, product.rounded_up(), strict=True):
        assert above == np.inf or Fraction(above) >= number
        below = math.nextafter(above, -np.inf)
        assert below == -np.inf or Fraction(below) < number

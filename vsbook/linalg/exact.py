"""Sums and products of float64 numbers that nothing rounds: whole numbers of any size times a power of two.

Source: each finite float64 is a whole number below 2^53 times a power of two, and those are closed under + and *.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Float

from vsbook.shown import Shown

__all__ = ["Exact"]


@dataclass(frozen=True, eq=False, repr=False)
class Exact(Shown):
    """An array of numbers n 2^e, with n Python's whole numbers, of any size, and one exponent for all.

    A single number, as the product of two vectors is, has an `int` for an array.
    """

    whole: np.ndarray | int
    exponent: int

    @classmethod
    def of(cls, values: Float[np.ndarray, "..."]) -> "Exact":
        """The numbers of an array, all of them finite.

        >>> (Exact.of(np.array([1e16, 1.0])) @ Exact.of(np.array([1.0, 1.0]))).fraction == 10**16 + 1
        True
        """
        mantissas, exponents = np.frexp(values)
        exponents = np.where(values == 0, 0, exponents - 53)
        least = int(exponents.min())
        shifts = np.where(values == 0, 0, exponents - least)
        return cls(np.ldexp(mantissas, 53).astype(np.int64).astype(object) << shifts.astype(object), least)

    @property
    def fraction(self) -> Fraction:
        """The number, where it is a single one."""
        return Fraction(self.whole) * Fraction(2) ** self.exponent

    @property
    def fractions(self) -> list[Fraction]:
        """The numbers of a vector."""
        return [Fraction(n) * Fraction(2) ** self.exponent for n in self.whole]

    def rounded_up(self) -> Float[np.ndarray, " n"]:
        """The smallest float64 at or above each number of a vector.

        >>> (Exact.of(np.array([[0.1]])) @ Exact.of(np.array([3.0]))).rounded_up() > 0.3
        array([ True])
        """
        return np.array([_float_above(number) for number in self.fractions])

    def __matmul__(self, other: "Exact") -> "Exact":
        """Matrix product: both exponents add up."""
        return Exact(self.whole @ other.whole, self.exponent + other.exponent)

    def __mul__(self, other: "Exact") -> "Exact":
        """Elementwise product."""
        return Exact(self.whole * other.whole, self.exponent + other.exponent)

    def __add__(self, other: "Exact") -> "Exact":
        """Elementwise sum."""
        least = min(self.exponent, other.exponent)
        here, there = self.exponent - least, other.exponent - least
        return Exact(self.whole * 2**here + other.whole * 2**there, least)

    def __neg__(self) -> "Exact":
        """The opposite numbers."""
        return Exact(-self.whole, self.exponent)


def _float_above(number: Fraction) -> float:
    try:
        nearest = float(number)
    except OverflowError:
        return np.inf if number > 0 else -np.finfo(np.float64).max
    return nearest if Fraction(nearest) >= number else float(np.nextafter(nearest, np.inf))

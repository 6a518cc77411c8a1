"""Activation functions with their ranges and inverses: what an output can have come from, and what it can't.

Source: section 2.4 of the paper, 'activation functions that are fully invertible (e.g., SELU, tanh, sigmoid)'. Each of
those is one to one, but none takes every value: outside its range an output has no inverse, however invertible the
function.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import scipy  # its parts are loaded when they are used
from jaxtyping import Bool, Float

from vsbook.checks import BadInput, as_real, number
from vsbook.shown import Shown

__all__ = [
    "Activation",
    "Inverse",
    "elu",
    "identity",
    "leaky_relu",
    "relu",
    "selu",
    "sigmoid",
    "softplus",
    "tanh",
]

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717  # as PyTorch has them
TINY = np.nextafter(0.0, 1.0)  # the smallest number above 0


@dataclass(frozen=True, eq=False, repr=False)
class Inverse(Shown):
    """f^-1 of an array: its values, and which elements have none.

    `outside` marks elements that the function never takes; `depth` says how far they lie beyond its range (0 on a
    bound, which an open range leaves out). In `values` they have the inverse of the nearest number that the function
    does take, so that nothing is NaN or infinite.
    """

    values: Float[np.ndarray, "*shape"]
    outside: Bool[np.ndarray, "*shape"]
    depth: Float[np.ndarray, "*shape"]


@dataclass(frozen=True, repr=False)
class Activation:
    """A function of one variable on all of R: its slope, its range, and its inverse where it has one.

    The range is the open interval (low, high). `function`, `slope` and `inverse_function` take arrays in float64;
    `inverse_function` is None for a function that isn't one to one. `precise` is the function of one Decimal, to the
    digits of the context; None where the graph is straight on either side of 0, so that the slopes say it all.
    """

    name: str
    low: float
    high: float
    function: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    inverse_function: Callable[[np.ndarray], np.ndarray] | None
    precise: Callable[[Decimal], Decimal] | None = None

    def __repr__(self) -> str:
        """Its name and its range.

        >>> relu()
        Activation(ReLU, values in (0, inf), not one to one)
        """
        inverse = ", not one to one" if self.inverse_function is None else ""
        return f"Activation({self.name}, values in ({self.low:.4g}, {self.high:.4g}){inverse})"

    def __call__(self, x) -> Float[np.ndarray, "..."]:
        """f(x), elementwise, in float64. Raises BadInput where f(x) is beyond float64."""
        return _within_float64(self.function, as_real(x, "x").astype(np.float64), "x")

    def derivative(self, x) -> Float[np.ndarray, "..."]:
        """f'(x), elementwise; at a kink the slope from the left."""
        return _within_float64(self.slope, as_real(x, "x").astype(np.float64), "x")

    def inverse(self, y) -> Inverse:
        """The x with f(x) = y, elementwise, and what has none.

        Raises:
            BadInput: for a function that isn't one to one, numbers that aren't finite, or an x beyond float64.

        Source: equation (5) of the paper.

        >>> found = selu().inverse([1.0507009873554805, 0.0, -2.0])
        >>> found.values[:2], found.outside, found.depth.round(3)
        (array([1., 0.]), array([False, False,  True]), array([0.   , 0.   , 0.242]))
        """
        if self.inverse_function is None:
            raise BadInput(
                f"activation: expected one with an inverse, got {self.name}; "
                "invert inside one pattern, by vsbook.inversion.walk"
            )
        y = as_real(y, "y").astype(np.float64)
        low, high = np.nextafter(self.low, np.inf), np.nextafter(self.high, -np.inf)
        nearest = np.asarray(np.clip(y, low, high))
        outside = nearest != y
        with np.errstate(over="ignore"):  # far inside, where 0 will stand
            beyond = np.maximum(self.low - y, y - self.high)
        values = _within_float64(self.inverse_function, nearest, "y")
        return Inverse(values, np.asarray(outside), np.where(outside, np.maximum(beyond, 0), 0.0))


def elu(alpha: float = 1.0, scale: float = 1.0) -> Activation:
    """f(x) = scale * x for x > 0, scale * alpha * (exp(x) - 1) elsewhere: range (-scale * alpha, infinity).

    >>> elu().low, elu().high
    (-1.0, inf)
    """
    for value, name in ((alpha, "alpha"), (scale, "scale")):
        _positive(value, name)
    edge = scale * alpha
    _positive(edge, "scale * alpha")
    return Activation(
        "ELU",
        -edge,
        np.inf,
        lambda x: np.where(x > 0, scale * x, edge * np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, scale, edge * np.exp(np.minimum(x, 0))),
        lambda y: np.where(y > 0, y / scale, np.log1p(np.minimum(y, 0) / edge)),
        lambda x: Decimal(scale) * x if x > 0 else Decimal(edge) * (x.exp() - 1),
    )


def selu() -> Activation:
    """The ELU with the two constants of self-normalising networks: range (-1.758..., infinity)."""
    return replace(elu(SELU_ALPHA, SELU_SCALE), name="SELU")


def tanh() -> Activation:
    """The hyperbolic tangent: range (-1, 1)."""
    return Activation(
        "Tanh",
        -1.0,
        1.0,
        np.tanh,
        lambda x: 1 / np.cosh(np.clip(x, -350, 350)) ** 2,
        np.arctanh,
        lambda x: (1 - 2 / ((2 * abs(x)).exp() + 1)).copy_sign(x),
    )


def sigmoid() -> Activation:
    """1 / (1 + exp(-x)): range (0, 1).

    >>> sigmoid()([0.0, np.log(3)]).round(9).tolist()
    [0.5, 0.75]
    """
    expit = scipy.special.expit
    return Activation(
        "Sigmoid",
        0.0,
        1.0,
        expit,
        lambda x: expit(x) * expit(-x),
        scipy.special.logit,
        lambda x: (x.exp() if x < 0 else Decimal(1)) / (1 + (-abs(x)).exp()),
    )


def leaky_relu(slope: float = 0.01) -> Activation:
    """f(x) = x for x > 0, slope * x elsewhere: range all of R, so that it inverts every output.

    >>> leaky_relu(0.5).inverse([-1.0, 3.0]).values
    array([-2.,  3.])
    """
    _positive(slope, "slope")
    return Activation(
        "LeakyReLU",
        -np.inf,
        np.inf,
        lambda x: np.where(x > 0, x, slope * x),
        lambda x: np.where(x > 0, 1.0, slope),
        lambda y: np.where(y > 0, y, y / slope),
    )


def softplus(beta: float = 1.0) -> Activation:
    """log(1 + exp(beta * x)) / beta: range (0, infinity). PyTorch's is x from beta * x = 20 on, 2e-9 / beta less.

    >>> softplus()(0.0).round(6).item(), softplus().inverse(np.log(2)).values.round(9).item()
    (0.693147, 0.0)
    """
    _positive(beta, "beta")
    return Activation(
        "Softplus",
        0.0,
        np.inf,
        lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(beta * x))) / beta,  # beta * x may overflow
        lambda x: scipy.special.expit(beta * x),
        lambda y: y + np.log(np.maximum(-np.expm1(-beta * y), TINY)) / beta,  # beta * y may underflow
        lambda x: max(x, Decimal(0)) + (1 + (-abs(Decimal(beta) * x)).exp()).ln() / Decimal(beta),
    )


def identity() -> Activation:
    """No activation at all."""
    return Activation("Identity", -np.inf, np.inf, np.copy, np.ones_like, np.copy)


def relu() -> Activation:
    """max(x, 0), which is not one to one: every negative number goes to 0. It has no inverse."""
    return Activation("ReLU", 0.0, np.inf, lambda x: np.maximum(x, 0.0), lambda x: np.where(x > 0, 1.0, 0.0), None)


def _within_float64(function: Callable, x: Float[np.ndarray, "*shape"], name: str) -> Float[np.ndarray, "*shape"]:
    """The function's values, an array even for a scalar; what overflows in a branch not taken does no harm."""
    with np.errstate(over="ignore"):
        values = np.asarray(function(x))
    if not np.isfinite(values).all():
        raise BadInput(f"{name}: expected a result within float64, got a larger one; scale {name} down")
    return values


def _positive(value, name: str) -> None:
    if number(value, name) == 0:
        raise BadInput(f"{name}: expected a number above 0, got 0; with 0 the function has no inverse")

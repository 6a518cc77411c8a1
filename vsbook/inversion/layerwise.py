"""Equation (5), layer by layer: from an output back to an image by pseudo-inverses, with a report of where it fails.

Source: section 2.4 and equation (5) of the paper. The pseudo-inverse gives the *smallest* input of a layer with the
wanted output. Nothing makes that input one that the activation before could have given: then it has no inverse, and
what comes back, with the nearest number that has one, is not what was asked for.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from vsbook.checks import BadInput, as_rows, instance_of, number, one_of
from vsbook.inversion.chains import Chain, Step
from vsbook.linalg.activations import Inverse
from vsbook.linalg.lengths import lengths, lengths_or_one, relative_lengths
from vsbook.shown import Shown

__all__ = ["ErrorBudget", "LayerwiseInverse", "error_budget", "invert_layers"]

PRECISIONS = {"float64": np.float64, "float32": np.float32}


@dataclass(frozen=True, eq=False, repr=False)
class LayerwiseInverse(Shown):
    """What equation (5) makes of N outputs of a chain of L layers; columns stand in the order of the layers.

    `outside` counts the values of a layer's output that its activation never takes, `depth` is how far the farthest of
    them lies beyond the range, `unreached` how far what the layer should give before its bias lies from its column
    space, over its length. `forward_error` is |network(image) - output| over |output|, in float64. The condition number
    of a matrix of zeros is NaN.
    """

    images: Float[np.ndarray, "N n"]
    outside: Int[np.ndarray, "N L"]
    depth: Float[np.ndarray, "N L"]
    unreached: Float[np.ndarray, "N L"]
    forward_error: Float[np.ndarray, " N"]
    condition_numbers: Float[np.ndarray, " L"]
    tolerance: float

    @property
    def in_range(self) -> Bool[np.ndarray, " N"]:
        """Whether every inverse on the way existed."""
        return (self.outside == 0).all(axis=1)

    @property
    def exact(self) -> Bool[np.ndarray, " N"]:
        """Whether the network gives the output again, to the tolerance."""
        return self.forward_error <= self.tolerance


def invert_layers(chain: Chain, outputs, *, tolerance: float = 1e-6, precision: str = "float64") -> LayerwiseInverse:
    r"""$x = W^+ (f^{-1}(Out) - b)$ from the last layer to the first: the paper's equation (5), the bias subtracted.

    Args:
        chain: layers with activations that are one to one.
        outputs: (N, outputs), or one (outputs,), in the unit of the network's outputs.
        tolerance: the relative error of the output up to which an inverse counts as exact.
        precision: 'float64' or 'float32', to which the matrices and each intermediate result are rounded.

    Raises:
        BadInput: for an activation without an inverse, outputs of another length or NaN, or so large that what comes
            on the way is beyond the precision.

    Source: equation (5) of the paper; subtracting the bias is our reading, see `book/notation`.

    >>> import torch
    >>> layer = torch.nn.Linear(2, 1, bias=False)
    >>> _ = layer.weight.data.copy_(torch.tensor([[3.0, 4.0]]))
    >>> chain = Chain.of(torch.nn.Sequential(layer, torch.nn.Tanh()).eval())
    >>> found = invert_layers(chain, [[np.tanh(5.0)], [1.5]])
    >>> found.images[0].round(9).tolist(), found.exact.tolist(), found.depth[:, 0].tolist()
    ([0.6, 0.8], [True, False], [0.0, 0.5])
    """
    instance_of(chain, Chain, "chain")
    tolerance, dtype = number(tolerance, "tolerance"), PRECISIONS[one_of(precision, PRECISIONS, "precision")]
    wanted = as_rows(outputs, chain.outputs, "outputs")
    outside, depth, unreached, x = [], [], [], wanted
    for step in reversed(chain.steps):
        found = _inverse(step, x)
        outside.append(found.outside.sum(axis=1))
        depth.append(found.depth.max(axis=1))
        z = _rounded(found.values - step.bias, dtype)
        x = _pinv(step, z, dtype)
        unreached.append(lengths(step.subspaces.project_left_null(z / lengths_or_one(z)[:, None])))
    error = relative_lengths(chain(x) - wanted, wanted)
    conditions = np.array([step.subspaces.condition_number for step in chain.steps])
    columns = (np.stack(rows[::-1], axis=1) for rows in (outside, depth, unreached))
    return LayerwiseInverse(x.astype(np.float64), *columns, error, conditions, tolerance)


def _rounded(values: Float[np.ndarray, "*shape"], dtype: type) -> Float[np.ndarray, "*shape"]:
    """In that type, or `BadInput` where it ends."""
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    if not np.isfinite(rounded).all():
        raise BadInput(f"outputs: expected {dtype.__name__} to hold what comes back, got more; scale outputs down")
    return rounded


def _inverse(step: Step, y: Float[np.ndarray, "N m"]) -> Inverse:
    """f^-1 at a layer, with the layer's name in the error."""
    if step.activation.inverse_function is None:
        raise BadInput(
            f"layer {step.name!r}: expected an activation that is one to one, got {step.activation.name}; "
            "invert the network as a whole by vsbook.inversion.invert, or, of ReLUs alone, by vsbook.inversion.walk"
        )
    return step.activation.inverse(y)


def _pinv(step: Step, z: Float[np.ndarray, "N m"], dtype: type) -> Float[np.ndarray, "N n"]:
    """W+ z, as rounded matrices give it."""
    S = step.subspaces
    if dtype is np.float64:
        return S.pinv(z)
    inverse = _rounded((S.row_space / S.singular_values[: S.rank]) @ S.column_space.T, dtype)  # (n, m)
    with np.errstate(over="ignore", invalid="ignore"):
        x = z @ inverse.T
    return _rounded(x, dtype)


@dataclass(frozen=True, eq=False, repr=False)
class ErrorBudget(Shown):
    """Relative errors of each layer's input, on the way back in float32, for N outputs and L layers in their order.

    `measured` is the difference from float64. `worst` is what the norm of the layer's inverse map allows, `typical`
    what it makes of errors in random directions and of roundings that are independent; both are of first order.
    """

    measured: Float[np.ndarray, "N L"]
    typical: Float[np.ndarray, "N L"]
    worst: Float[np.ndarray, "N L"]


def error_budget(chain: Chain, outputs) -> ErrorBudget:
    r"""How rounding to float32 grows from layer to layer, predicted from slopes and singular values, and measured.

    Back through a layer the error of its output $y = f(z)$ is multiplied by $W^+ D^{-1}$, $D$ the slopes $f'(z)$: in
    length by at most its norm, $\|\Sigma_r^{-1} U_r^\top D^{-1}\|_2$, and for an error in a random direction by its
    Frobenius norm over $\sqrt m$. Each layer adds roundings, which are relative in each element: of $z$, of the
    matrix, and of the sums of m products. `worst` takes each at its largest and all in one direction; `typical` takes
    them as independent, a sum's as those of a random walk.

    Args:
        chain: layers with activations that are one to one.
        outputs: (N, outputs) that lie in the range of every activation on the way back.

    Raises:
        BadInput: where an inverse on the way doesn't exist, and whatever `invert_layers` refuses.

    Source: the 'stable decompositions' of section 2.3, put to numbers.

    >>> import torch
    >>> layer = torch.nn.Linear(2, 2, bias=False)
    >>> _ = layer.weight.data.copy_(torch.diag(torch.tensor([1.0, 2**-10])))
    >>> budget = error_budget(Chain.of(layer.eval()), [[1.0, 0.0]])
    >>> (budget.worst * 2**24).tolist()  # the output's rounding 1024 times; of z, W+, two products and a sum once
    [[1028.0]]
    """
    if not invert_layers(chain, outputs).in_range.all():
        raise BadInput("outputs: expected some with an inverse at every layer, got others too; take those `in_range`")
    unit = np.finfo(np.float32).eps / 2
    usual = unit / np.sqrt(8 * np.log(2))  # root mean square, for leading digits that follow Benford's law
    exact = as_rows(outputs, chain.outputs, "outputs")
    rounded = _rounded(exact, np.float32)
    came, worst, rows = np.zeros(len(exact)), np.full(len(exact), unit), []  # came: with y, before y was rounded
    for step in reversed(chain.steps):
        before, S, m = step.activation.inverse(exact).values, step.subspaces, len(step.bias)
        slopes, z = step.activation.derivative(before), before - step.bias
        x = S.pinv(z)
        size = lengths_or_one(x)
        rounded = _pinv(step, _rounded(step.activation.inverse(rounded).values - step.bias, np.float32), np.float32)
        back = (S.column_space / S.singular_values[: S.rank]).T  # (r, m), W+ but for an orthonormal factor
        largest, spread = _norms(back, slopes)
        products = lengths(np.abs(z) @ np.abs(S.row_space @ back).T)
        worst = (worst * largest * lengths(exact) + (m + 2) * unit * products) / size
        fresh = usual * np.hypot(exact / slopes, np.sqrt(2 + (m - 1) / 2) * z) * np.linalg.norm(back, axis=0)
        came = np.hypot(came * spread / np.sqrt(m), lengths(fresh))
        rows.append((relative_lengths(rounded - x, x), np.hypot(came / size, usual), worst))
        exact = x
    return ErrorBudget(*(np.stack(column, axis=1) for column in zip(*rows[::-1], strict=True)))


def _norms(back: Float[np.ndarray, "r m"], slopes: Float[np.ndarray, "N m"]) -> Float[np.ndarray, "2 N"]:
    """(2, N): spectral and Frobenius norm of W+ D^-1, one output after the other, since all together are large."""
    with np.errstate(over="ignore", divide="ignore"):
        steepness = 1 / slopes
    if not np.isfinite(steepness).all():
        raise BadInput("outputs: expected slopes that float64 can invert, got smaller ones; leave the range's bounds")
    singular_values = (np.linalg.svd(back * column, compute_uv=False) for column in steepness)
    return np.array([(s.max(initial=0), np.hypot.reduce(s)) for s in singular_values]).T

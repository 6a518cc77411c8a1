"""What every public door asks of its input: one error that says what was expected, what came, what to do."""

import difflib
from collections.abc import Collection, Hashable, Mapping
from numbers import Integral, Real
from typing import TypeVar

import numpy as np
from jaxtyping import Float

__all__ = [
    "BadInput",
    "as_matrix",
    "as_real",
    "as_rows",
    "as_vector",
    "as_vectors",
    "instance_of",
    "number",
    "one_of",
    "whole_number",
]

T = TypeVar("T")
HOW = {  # an object of a class is made
    "Chain": "make one by vsbook.inversion.Chain.of(model)",
    "FourSubspaces": "make one by vsbook.linalg.FourSubspaces.of(A)",
    "Generator": "make one by numpy.random.default_rng(seed)",
    "Images": "make one by vsbook.networks.Images(images, labels)",
    "Outputs": "make one by vsbook.networks.output_statistics(model, images)",
    "Tensor": "make one by torch.as_tensor(it)",
}


class BadInput(ValueError):
    """Input that a public function can't use. The message is one line: expected, came, remedy."""

    def __init__(self, message: str):
        """Line breaks, as in another library's message that is quoted, become spaces."""
        super().__init__(" ".join(str(message).split()))


def as_real(values, name: str, infinities: bool = False) -> Float[np.ndarray, "..."]:
    """An array of finite real numbers, in the type it was stored in (integers become float64).

    With `infinities` those come in too: a condition number may be infinite, but never NaN.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise BadInput(f"{name}: expected plain numbers, got a masked array; pass its .compressed() or .filled(value)")
    try:
        array = np.asarray(values)
    except Exception as error:
        raise BadInput(
            f"{name}: expected numbers that NumPy can read, got {type(values).__name__} ({error}); {_readable(values)}"
        ) from None
    if array.dtype.kind in "iu" or array.dtype == np.longdouble:
        array = array.astype(np.float64)
    if array.dtype.kind != "f":
        came = type(values).__name__ if array.ndim == 0 else f"dtype {array.dtype}"
        raise BadInput(f"{name}: expected real numbers, got {came}; {_real(values, array)}")
    if array.size == 0:
        raise BadInput(
            f"{name}: expected at least one element, got an empty array of shape {array.shape}; check how it was sliced"
        )
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):  # one number shows them all, without a mask of the array's length
            return array
    fine = ~np.isnan(array) if infinities else np.isfinite(array)
    bad = array.size - np.count_nonzero(fine)
    if bad:
        raise BadInput(
            f"{name}: expected finite numbers, got {bad} NaN or infinite of {array.size}; remove or replace them"
        )
    return array


def _readable(values) -> str:
    """What to do with what NumPy can't read: the way of a torch tensor to an array, or of a list."""
    if isinstance(values, (list, tuple)):
        tensors = values and all(hasattr(value, "is_meta") for value in values)
        tensors = tensors and len({value.shape for value in values}) == 1
        whole = f"torch.stack(it){_way(values[0])}" if tensors else "rows of equal length, and of plain numbers"
        return f"pass {whole}"
    if not hasattr(values, "is_meta"):
        return "pass an array of numbers"
    return "load its values first" if values.is_meta else f"pass its {_way(values)}"


def _way(tensor) -> str:
    """The calls that lead from a torch tensor to an array. This room doesn't import torch."""
    kind = str(tensor.dtype).removeprefix("torch.")
    narrow = tensor.is_floating_point() and kind not in ("float16", "float32", "float64")
    calls = {
        ".dequantize()": tensor.is_quantized,
        ".to_dense()": str(tensor.layout) != "torch.strided",
        ".resolve_conj()": tensor.is_conj(),
        ".resolve_neg()": tensor.is_neg(),
        ".float()": narrow,
    }
    way = ".detach().cpu()" + "".join(call for call, needed in calls.items() if needed) + ".numpy()"
    return _marked(way, kind) if narrow else way


def _marked(way: str, kind: str) -> str:
    return f"{way}, through vsbook.linalg.stored_as(array, {kind!r}) where a rank counts"


def _real(values, array: np.ndarray) -> str:
    """What to do with what NumPy read as something else than real numbers."""
    if array.dtype.kind == "c":
        return "pass the real and the imaginary parts apart, as numpy.real(it)"
    if array.dtype.kind == "M" or array.dtype.names:
        return "pass an array of numbers"
    if array.dtype.name.startswith(("bfloat", "float8")):  # of another library's making
        return f"pass it as {_marked('numpy.asarray(it, numpy.float32)', array.dtype.name)}"
    if hasattr(values, "toarray"):
        return "pass its .toarray()"
    if hasattr(values, "matrices"):
        return f"pass one of its matrices, as .matrices[{next(iter(values.matrices))!r}]"
    if hasattr(values, "named_modules"):
        return "pass a matrix of a layer that vsbook.networks.named_weights finds"
    if isinstance(values, Mapping) and values:
        return f"pass one of its values, as that of {next(iter(values))!r}"
    try:
        converted = np.isfinite(np.asarray(values, float)).all()  # None becomes NaN
    except (TypeError, ValueError, OverflowError):
        converted = False
    return "convert it with numpy.asarray(it, float)" if converted else "pass an array of numbers"


def as_matrix(values, name: str = "A") -> Float[np.ndarray, "m n"]:
    """A finite real matrix in its stored floating type, or `BadInput`."""
    array = as_real(values, name)
    if array.ndim != 2:
        kernels = "pass one of the .matrices of its layer (vsbook.networks.named_weights), or "
        remedy = f"{kernels if array.ndim > 2 else ''}reshape it to (rows, columns)"
        raise BadInput(f"{name}: expected a matrix (2 axes), got shape {array.shape}; {remedy}")
    return array


def as_vectors(values, length: int | None, name: str = "x") -> Float[np.ndarray, "*batch n"]:
    """One vector or a batch of them along the first axes, as float64, or `BadInput`."""
    array = as_real(values, name).astype(np.float64, copy=False)
    if array.ndim == 0 or (length is not None and array.shape[-1] != length):
        wanted = "a vector" if length is None else f"a last axis of {length}"
        raise BadInput(
            f"{name}: expected {wanted}, got shape {array.shape}; put batches in the first axis, and flatten each"
        )
    return array


def as_vector(values, length: int | None, name: str) -> Float[np.ndarray, " n"]:
    """A single vector as float64, or `BadInput`."""
    vector = as_vectors(values, length, name)
    if vector.ndim > 1:
        wanted = "one vector" if length is None else f"one vector of {length} numbers"
        raise BadInput(f"{name}: expected {wanted}, got shape {vector.shape}; pass one at a time, or flatten it")
    return vector


def as_rows(values, length: int | None, name: str, lone: bool = True) -> Float[np.ndarray, "N n"]:
    """Vectors, one a row, as float64, or `BadInput`. With `lone` a single vector is a row too."""
    vectors = as_vectors(values, length, name)
    rows = np.atleast_2d(vectors) if lone else vectors
    if rows.ndim != 2:
        wanted = f"(N, {'n' if length is None else length}), one vector a row"
        raise BadInput(f"{name}: expected {wanted}, got shape {rows.shape}; flatten each, all in the first axis")
    return rows


def one_of(choice: T, choices: Collection, name: str) -> T:
    """`choice` if it is among `choices`, or `BadInput` that lists them (of many, the nearest)."""
    if not isinstance(choice, Hashable) or choice not in choices:
        names = [str(known) or "''" for known in choices]
        listed = names if len(names) <= 12 else difflib.get_close_matches(str(choice), names, 5, 0)
        more = ", ..." if listed != names else ""
        raise BadInput(f"{name}: expected one of {', '.join(listed)}{more}; got {choice!r}; choose a listed name")
    return choice


def instance_of(value, kind: type[T], name: str) -> T:
    """`value` if it is of that class, or `BadInput` that names both."""
    if not isinstance(value, kind):
        wanted = f"{kind.__module__.partition('.')[0]}'s {kind.__name__}"
        how = HOW.get(kind.__name__, "make one first")
        raise BadInput(f"{name}: expected an object of {wanted}, got {type(value).__name__}; {how}")
    return value


def whole_number(value, name: str, least: int = 0) -> int:
    """`value` as an int if it is a whole number of at least `least`, or `BadInput`. A bool is no number."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= value < 2**63:
        raise BadInput(f"{name}: expected a whole number of at least {least}, got {value!r}; choose one")
    return int(value)


def number(value, name: str, least: float = 0.0) -> float:
    """`value` as a float if it is a finite real number of at least `least`, or `BadInput`."""
    if not isinstance(value, Real) or isinstance(value, bool) or not (np.isfinite(value) and value >= least):
        raise BadInput(f"{name}: expected a finite number of at least {least:g}, got {value!r}; choose one")
    return float(value)

"""How results show themselves in a shell: by shapes, since the numbers of an array say little there."""

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

__all__ = ["Shown"]

FEW = 4  # numbers that are shown themselves


class Shown:
    """A dataclass whose `repr` is a line: arrays by type and shape, few numbers themselves.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True, eq=False, repr=False)
    ... class Found(Shown):
    ...     images: np.ndarray
    ...     errors: np.ndarray
    ...     layers: tuple
    >>> Found(np.zeros((10, 784)), np.array([0.5, 1e-12]), ("a", "b"))
    Found(images: float64 (10, 784), errors: [0.5, 1e-12], layers: ('a', 'b'))
    """

    def __repr__(self) -> str:
        """The name of the class, and each field."""
        shown = (f"{field.name}: {_short(getattr(self, field.name))}" for field in fields(self))
        return f"{type(self).__name__}({', '.join(shown)})"


def _short(value) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.tolist()}" if value.ndim < 2 and value.size <= FEW else f"{value.dtype} {value.shape}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name!r}: {_short(part)}" for name, part in value.items()) + "}"
    if isinstance(value, tuple) and any(isinstance(part, (Shown, np.ndarray)) for part in value):
        return "(" + ", ".join(map(_short, value)) + ")"
    return getattr(value, "__name__", "") or repr(value)

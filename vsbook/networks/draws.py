r"""Random numbers as PyTorch's generator gives them, drawn by NumPy: the same on every processor.

PyTorch's own draws differ in their last digits between instruction sets, since its vectorised logarithms, cosines and
products round differently. Here the whole numbers behind them are drawn as PyTorch draws them (MT19937, whose stream
NumPy has too), and what follows is computed in float64 and rounded once. A uniform number comes out bit for bit as
PyTorch draws it where multiplication and addition are fused, and within a unit in the last place elsewhere; a normal
one within `ROUNDING` of its deviation. Between processors a normal number here may differ in its last bit where it lies
at the edge of rounding, once in some hundred million.

Source: Matsumoto and Nishimura (1998), Mersenne Twister; Box and Muller (1958).
"""

import numpy as np
import torch
from jaxtyping import Float
from torch.utils._python_dispatch import TorchDispatchMode

from vsbook.checks import whole_number

__all__ = ["ROUNDING", "DrawnByNumPy"]

# Of PyTorch's own arithmetic in float32, in units of 2^-24: radius times cosine, with a radius of at most
# sqrt(2 * 24 ln 2) < 6 and an angle below 2 pi that is itself rounded (pi); logarithm, root, cosine and two products
# of at most four each.
ROUNDING = 6 * (np.pi + 20) * 2.0**-24
BLOCK = 16  # PyTorch makes sixteen normal numbers of sixteen uniform ones, eight radii and eight angles


class DrawnByNumPy(TorchDispatchMode):
    """A block in which tensors that PyTorch fills with uniform or normal numbers are filled from a seed, by NumPy.

    PyTorch's global random state is neither read nor changed.

    >>> with DrawnByNumPy(0):
    ...     drawn = torch.empty(2).uniform_(), torch.empty(32).normal_()
    >>> drawn[0], drawn[1].std() < 2
    (tensor([0.4963, 0.7682]), tensor(True))
    """

    def __init__(self, seed: int):
        """A stream of its own, which PyTorch's `manual_seed` would start too."""
        super().__init__()
        self._numbers = np.random.RandomState(whole_number(seed, "seed") % 2**32)  # its streams are frozen for good

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """Fill by NumPy what would be filled at random; all else is PyTorch's."""
        draws = {torch.ops.aten.uniform_.default: self._uniform, torch.ops.aten.normal_.default: self._normal}
        if function not in draws:
            return function(*args, **(kwargs or {}))
        tensor, *law = args
        values = draws[function](tensor.numel(), *law)
        return tensor.copy_(torch.from_numpy(values.astype(np.float32)).reshape(tensor.shape))

    def _uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> Float[np.ndarray, " {count}"]:
        """PyTorch's ends and width are in float32, and exact here; a fused product and sum is rounded once, as this."""
        start, width = np.float32(low), np.float32(high) - np.float32(low)
        return float(start) + float(width) * self._shares(count)

    def _normal(self, count: int, mean: float = 0.0, deviation: float = 1.0) -> Float[np.ndarray, " {count}"]:
        """Blocks of sixteen; what is left over takes the last sixteen places, drawn anew."""
        shares = self._shares(max(count, BLOCK))
        values = np.empty(len(shares))
        whole = len(shares) // BLOCK * BLOCK
        values[:whole] = _box_muller(shares[:whole])
        if whole < count:
            values[-BLOCK:] = _box_muller(self._shares(BLOCK))
        return mean + deviation * values[:count]

    def _shares(self, count: int) -> Float[np.ndarray, " {count}"]:
        """From 0 to 1, in steps of 2^-24."""
        return self._numbers.randint(2**24, size=count, dtype=np.uint32) * 2.0**-24


def _box_muller(shares: Float[np.ndarray, " count"]) -> Float[np.ndarray, " count"]:
    """Independent normal numbers: in each block eight radii times the cosines and sines of eight angles."""
    lengths, turns = np.moveaxis(shares.reshape(-1, 2, BLOCK // 2), 1, 0)
    radii, angles = np.sqrt(-2 * np.log1p(-lengths)), 2 * np.pi * turns
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1).reshape(-1)

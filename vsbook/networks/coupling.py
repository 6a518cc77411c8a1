"""Networks that lose nothing: maps of 784 pixels to 784 coordinates with an inverse, ten of the coordinates the logits.

Each is a chain of coupling layers. One part of the coordinates passes unchanged and decides, by a small network of any
kind, how the other part is scaled and shifted; its Jacobian is block-triangular, its determinant the product of the
scales, and its inverse subtracts and divides. Source: L. Dinh, J. Sohl-Dickstein and S. Bengio, Density estimation
using Real NVP, 2017; the question comes from the conclusion of the paper.
"""

import copy
import warnings
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy.fft import dct
from scipy.linalg import hadamard
from torch import nn

from vsbook.checks import BadInput, instance_of, whole_number

__all__ = ["CouplingNetwork", "Invertible", "ToyCoupling", "cosine_matrix", "jacobians"]

PIXELS, LOGITS, SIDE = 784, 10, 28
COPIES = 112  # of an image in one pass of a Jacobian: memory stays small


class Invertible(nn.Module):
    """A map of images to 784 coordinates and back; the first ten are the logits, the other 774 the spare coordinates.

    A subclass has the map itself as `_encode` (N, 784) to (N, 784), and its inverse as `_decode`.
    """

    def transform(self, images: torch.Tensor) -> tuple[Float[torch.Tensor, "N 10"], Float[torch.Tensor, "N 774"]]:
        """All coordinates of images: the logits (N, 10) and the spare ones (N, 774), with gradients.

        Args:
            images: a tensor (N, 784), (N, 28, 28) or (N, 1, 28, 28) in the network's type, of finite numbers; near
                the largest of the type (1e38 in float32) coordinates may overflow to infinity.

        Raises:
            BadInput: for anything else.

        >>> logits, spare = ToyCoupling().transform(torch.zeros(2, 28, 28))
        >>> tuple(logits.shape), tuple(spare.shape)
        ((2, 10), (2, 774))
        """
        coordinates = self._encode(self._images(images))
        return coordinates[:, :LOGITS], coordinates[:, LOGITS:]

    def invert(
        self, logits: Float[torch.Tensor, "N 10"], spare: Float[torch.Tensor, "N 774"]
    ) -> Float[torch.Tensor, "N 784"]:
        """The one image (N, 784) with these coordinates; its pixels may lie outside 0 to 1.

        Args:
            logits: a tensor (N, 10).
            spare: a tensor (N, 774), as `transform` gives it, or zeros for the image that the logits alone make.

        Raises:
            BadInput: unless both are finite, of these shapes and of the network's type.

        >>> toy, images = ToyCoupling(), torch.rand(2, 784)
        >>> bool((toy.invert(*toy.transform(images)) - images).abs().max() < 1e-6)
        True
        """
        logits, spare = self._checked(logits, "logits", LOGITS), self._checked(spare, "spare", PIXELS - LOGITS)
        if len(logits) != len(spare):
            raise BadInput(f"spare: expected one row for each of {len(logits)} of logits, got {len(spare)}; match them")
        return self._decode(torch.cat([logits, spare], dim=1))

    def forward(self, images: torch.Tensor) -> Float[torch.Tensor, "N 10"]:
        """The ten logits (N, 10): `transform` without the spare coordinates."""
        return self.transform(images)[0]

    def _images(self, images) -> Float[torch.Tensor, "N 784"]:
        """Images in any of the three shapes as rows."""
        instance_of(images, torch.Tensor, "images")
        if images.ndim not in (2, 3, 4) or tuple(images.shape[1:]) not in ((PIXELS,), (SIDE, SIDE), (1, SIDE, SIDE)):
            raise BadInput(f"images: expected (N, 784) or (N, 28, 28), got shape {tuple(images.shape)}; reshape them")
        return self._checked(images.reshape(len(images), PIXELS), "images", PIXELS)

    def _checked(self, values, name: str, width: int) -> Float[torch.Tensor, "N {width}"]:
        """A finite tensor (N, width) in the network's type."""
        dtype = next(self.parameters()).dtype
        if instance_of(values, torch.Tensor, name).ndim != 2 or values.shape[1] != width or len(values) == 0:
            raise BadInput(f"{name}: expected shape (N, {width}), got {tuple(values.shape)}; one image is one row")
        if values.dtype != dtype:
            raise BadInput(f"{name}: expected {dtype} as the network's, got {values.dtype}; convert one of them")
        if not values.isfinite().all():
            raise BadInput(f"{name}: expected finite numbers, got NaN or infinite ones; remove or replace them")
        return values


class ToyCoupling(Invertible):
    """One additive coupling: (a, b) becomes (a + CNN(b), b), with a the first ten pixels of the top row.

    Those are paper in every training image, so that the logits are what an ordinary CNN makes of the other 774 pixels,
    which pass unchanged. The Jacobian is I above and [C I] below, whatever C: the determinant is 1.

    >>> sum(p.numel() for p in ToyCoupling().parameters())
    144706
    """

    def __init__(self) -> None:
        """With PyTorch's default initialisation."""
        super().__init__()
        self.cnn = nn.Sequential(
            *(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(64 * 7 * 7, 40), nn.ReLU(), nn.Linear(40, LOGITS)),
        )

    def _encode(self, images: Float[torch.Tensor, "N 784"]) -> Float[torch.Tensor, "N 784"]:
        """The coupling."""
        return torch.cat([images[:, :LOGITS] + self._shift(images), images[:, LOGITS:]], dim=1)

    def _decode(self, coordinates: Float[torch.Tensor, "N 784"]) -> Float[torch.Tensor, "N 784"]:
        """The coupling undone: the pixels that passed say what was added to the others."""
        return torch.cat([coordinates[:, :LOGITS] - self._shift(coordinates), coordinates[:, LOGITS:]], dim=1)

    def _shift(self, rows: Float[torch.Tensor, "N 784"]) -> Float[torch.Tensor, "N 10"]:
        """What the CNN makes of the last 774 numbers of each row, laid out as an image."""
        return self.cnn(nn.functional.pad(rows[:, LOGITS:], (LOGITS, 0)).reshape(-1, 1, SIDE, SIDE))


def cosine_matrix(size: int) -> Float[np.ndarray, "{size} {size}"]:
    """The orthogonal matrix of the discrete cosine transform (type II), one cosine a row, the constant one first.

    Raises:
        BadInput: unless `size` is a whole number of at least 1.

    >>> D = cosine_matrix(7)
    >>> bool(np.allclose(D @ D.T, np.eye(7))), bool(np.allclose(D[0], 7**-0.5))
    (True, True)
    """
    return dct(np.eye(whole_number(size, "size", 1)), norm="ortho", axis=0)


class CouplingNetwork(Invertible):
    """784 to 784 by orthogonal matrices and affine couplings with small convolutional networks inside.

    One map of 28 x 28 becomes four of 14 x 14, then sixteen of 7 x 7, by Haar wavelets. Couplings act on half of the
    maps each; between them a Hadamard matrix mixes the maps. At the end each 7 x 7 map is taken to its cosine
    coefficients. The constant ones are seven times the maps' means: the first ten of those sixteen are the logits.

    No scale of a single coupling leaves exp(-CLAMP) to exp(CLAMP). There is no batch normalisation: it has no inverse
    as long as the statistics come from the batch.

    >>> network = CouplingNetwork()
    >>> sum(p.numel() for p in network.parameters() if p.requires_grad)
    155792
    """

    WIDTHS = ((4, 32, 2), (16, 64, 4))  # at each size: maps, maps inside a coupling's network, couplings
    CLAMP = 0.5

    def __init__(self) -> None:
        """Orthogonal at the start: the last layer inside each coupling is zero. Raises BadInput without FrEIA."""
        super().__init__()
        framework, modules = _freia()
        self.chain = framework.SequenceINN(1, SIDE, SIDE)
        for maps, inside, couplings in self.WIDTHS:
            self.chain.append(modules.HaarDownsampling)
            mixing = torch.from_numpy(hadamard(maps, dtype=np.float32)) / maps**0.5  # exact: powers of two
            for number in range(couplings):
                if number:
                    self.chain.append(modules.Fixed1x1Conv, M=mixing)
                self.chain.append(modules.GLOWCouplingBlock, subnet_constructor=_inside(inside), clamp=self.CLAMP)
        for parameter in self.parameters():  # FrEIA keeps transposed views, which safetensors can't save
            parameter.data = parameter.data.contiguous()

    def _encode(self, images: Float[torch.Tensor, "N 784"]) -> Float[torch.Tensor, "N 784"]:
        """The chain, then cosines, then the constant coefficients first."""
        maps, _ = self.chain(images.reshape(-1, 1, SIDE, SIDE))
        cosines = _cosines(maps)
        return (cosines @ maps @ cosines.T).flatten(2).mT.flatten(1)  # (N, 49 coefficients, 16 maps) as rows

    def _decode(self, coordinates: Float[torch.Tensor, "N 784"]) -> Float[torch.Tensor, "N 784"]:
        """Each step of `_encode` undone, last to first."""
        cosines = _cosines(coordinates)
        maps = cosines.T @ coordinates.reshape(-1, 49, 16).mT.reshape(-1, 16, 7, 7) @ cosines
        return self.chain(maps, rev=True)[0].flatten(1)

    def log_determinant(self, images: torch.Tensor) -> Float[torch.Tensor, " N"]:
        """Logarithm of |det J| at each image (N,): the sum of the logarithms of all scales.

        Raises:
            BadInput: as `transform`.
        """
        _, sums = self.chain(self._images(images).reshape(-1, 1, SIDE, SIDE))
        return sums


def _freia():
    """FrEIA's frameworks and modules, imported here, since only `CouplingNetwork` needs them."""
    try:
        with warnings.catch_warnings():  # of escapes in docstrings, where Python compiles FrEIA for the first time
            warnings.simplefilter("ignore")
            from FrEIA import framework, modules
    except ModuleNotFoundError:
        raise BadInput("CouplingNetwork: expected FrEIA, found none; install it: pip install freia") from None
    return framework, modules


def _inside(width: int) -> Callable[[int, int], nn.Sequential]:
    """What makes the network inside a coupling: three convolutions, the last one zero."""

    def network(inputs: int, outputs: int) -> nn.Sequential:
        last = nn.Conv2d(width, outputs, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        first, second = nn.Conv2d(inputs, width, 3, padding=1), nn.Conv2d(width, width, 1)
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)

    return network


def _cosines(like: torch.Tensor) -> Float[torch.Tensor, "7 7"]:
    """Made anew for each type: rounded to float32 first, it would not be orthogonal in float64."""
    return torch.from_numpy(cosine_matrix(7)).to(like)


def jacobians(network: Invertible, images: torch.Tensor) -> Float[np.ndarray, "N={len(images)} 784 784"]:
    """J[n, i, j]: how coordinate i of image n moves with its pixel j, as float64; one image at a time, exact.

    Raises:
        BadInput: if `network` isn't `Invertible`, or the images aren't as `Invertible.transform` takes them.

    >>> J = jacobians(ToyCoupling(), torch.rand(1, 784))
    >>> J.shape, round(float(np.linalg.det(J[0])), 4)
    ((1, 784, 784), 1.0)
    """
    rows = instance_of(network, Invertible, "network")._images(images)
    with torch.inference_mode(False), torch.enable_grad():  # whatever the caller has switched on or off
        network = copy.deepcopy(network)  # weights made in inference mode know no gradient
        return np.stack([_jacobian(network, row) for row in rows.detach()])


def _jacobian(network: Invertible, row: Float[torch.Tensor, " 784"]) -> Float[np.ndarray, "784 784"]:
    """784 copies of one image, and of the coordinates of copy i the gradient of the i-th alone; a part at a time."""
    parts = []
    for units in torch.eye(PIXELS, dtype=row.dtype).split(COPIES):
        copies = row.repeat(len(units), 1).requires_grad_()
        parts.append(torch.autograd.grad(network._encode(copies), copies, units)[0])
    return torch.cat(parts).double().numpy()

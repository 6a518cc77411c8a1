"""What tells an image of the data from one that only looks so to a network: distance, smoothness, blur.

Source: section 2.4, paragraph 3 of the paper ('to obtain realistic images'), and the last paragraph of its section 3
('blurry'); the measures are this project's.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from vsbook.checks import BadInput, as_real, as_rows
from vsbook.shown import Shown

__all__ = ["Naturalness", "low_frequency_share", "naturalness", "nearest", "total_variation"]

CUTOFF = 1 / 7  # cycles a pixel: waves longer than seven pixels are blur


def total_variation(images) -> Float[np.ndarray, " k"]:
    """Mean length of the gradient of square images, by forward differences: 0 for flat paper, large for noise.

    Beyond the last row and column stands a copy of them. In the unit of the pixels.

    Raises:
        BadInput: for images that aren't square.

    >>> total_variation([[0.0, 1.0, 0.0, 1.0]]).tolist()
    [0.5]
    """
    maps = _maps(images)
    down, right = np.diff(maps, axis=1, append=maps[:, -1:]), np.diff(maps, axis=2, append=maps[:, :, -1:])
    return np.sqrt(down**2 + right**2).mean(axis=(1, 2))


def low_frequency_share(images) -> Float[np.ndarray, " k"]:
    r"""Share of an image's energy, its mean taken off, at frequencies $|\nu| < 1/7$ of a cycle a pixel: 1 if all blur.

    Raises:
        BadInput: for images that aren't square, or have no energy but their mean.

    Source: the 'blurry' images of Fig. 3 of the paper.

    >>> wave = np.cos(2 * np.pi * np.arange(28) / 28)
    >>> low_frequency_share([np.tile(wave, 28), np.tile((-1.0) ** np.arange(28), 28)]).round(9).tolist()
    [1.0, 0.0]
    """
    maps = _maps(images)
    maps = maps - maps.mean(axis=(1, 2), keepdims=True)
    energy = np.abs(np.fft.fft2(maps)) ** 2
    frequency = np.fft.fftfreq(maps.shape[1])
    low = np.hypot(frequency[:, None], frequency) < CUTOFF - 1e-12  # 4/28 is 1/7, and isn't below it
    total = energy.sum(axis=(1, 2))
    if not (total > 0).all():
        raise BadInput("images: expected pixels that differ, got an image of equal ones; leave it out")
    return energy[:, low].sum(axis=1) / total


def _maps(images) -> Float[np.ndarray, "k s s"]:
    images = as_rows(images, None, "images")
    side = int(np.sqrt(images.shape[1]))
    if side**2 != images.shape[1]:
        raise BadInput(f"images: expected square ones, flattened, got shape {images.shape}; one image a row")
    return images.reshape(-1, side, side)


def nearest(images, among) -> tuple[Int[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """For each image the index of the nearest of `among`, and the Euclidean distance to it.

    Raises:
        BadInput: for images of other sizes, or numbers that aren't finite.

    >>> [found.tolist() for found in nearest([[0.0, 1.0]], [[3.0, 1.0], [0.0, 3.0]])]
    [[1], [2.0]]
    """
    images = as_rows(images, None, "images")
    among = _comparable(among, images.shape[1], "among")
    found = _nearest_rows(images, among, _half_energies(among))
    return found, np.linalg.norm(images - among[found], axis=1)  # anew: the scores have lost digits


def _comparable(among, pixels: int, name: str) -> Float[np.ndarray, "N {pixels}"]:
    among = as_real(among, name)
    if among.ndim != 2 or among.shape[1] != pixels:
        raise BadInput(f"{name}: expected (N, {pixels}), got shape {among.shape}; take images of one size")
    return among if among.dtype.itemsize >= 4 else among.astype(np.float32)  # energies overflow in half precision


def _half_energies(among: Float[np.ndarray, "N p"]) -> Float[np.ndarray, " N"]:
    return 0.5 * np.einsum("np,np->n", among, among)


def _nearest_rows(
    images: Float[np.ndarray, "k p"], among: Float[np.ndarray, "N p"], half: Float[np.ndarray, " N"]
) -> Int[np.ndarray, " k"]:
    """Smallest |a|^2 / 2 - x a, which orders as |x - a|^2 does; a hundred at a time, so that memory stays small."""
    blocks = np.array_split(images.astype(among.dtype), -(-len(images) // 100))
    return np.concatenate([(half - block @ among.T).argmin(axis=1) for block in blocks])


@dataclass(frozen=True, eq=False, repr=False)
class Naturalness(Shown):
    """How far images are from the nearest training image, beside images that nobody made up.

    Fields:
        distances: of each image to the nearest training image.
        nearest: which one that is.
        reference: the same distances for images of the reference, such as test images.
        percentiles: share of the reference that is nearer than the image, from 0 to 100. 0 is a copy, or as good as
            one; 100 is farther than all. An average is blurry and near to many, so a low number is no proof of a digit.
    """

    distances: Float[np.ndarray, " k"]
    nearest: Int[np.ndarray, " k"]
    reference: Float[np.ndarray, " r"]

    @property
    def percentiles(self) -> Float[np.ndarray, " k"]:
        """Place of each distance among those of the reference."""
        return 100 * (self.reference < self.distances[:, None]).mean(axis=1)


def naturalness(images, training, reference) -> Naturalness:
    """Distance to the nearest training image against that of other real images (see `Naturalness`).

    Args:
        images: (k, p), to be judged.
        training: (N, p), the training images.
        reference: (r, p), images like the training images that aren't among them: test images.

    Raises:
        BadInput: for images of other sizes, or numbers that aren't finite.

    >>> naturalness([[0.0], [5.0]], [[0.0], [1.0]], [[0.5], [1.25], [9.0]]).percentiles.round(1).tolist()
    [0.0, 66.7]
    """
    found, distances = nearest(images, training)
    return Naturalness(distances, found, nearest(reference, training)[1])

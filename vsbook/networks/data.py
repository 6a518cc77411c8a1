"""MNIST, inside the package: checked against its checksums and read with no network.

Source: LeCun, Cortes and Burges, the MNIST database of handwritten digits, CC BY-SA 3.0.
"""

import functools
import gzip
import hashlib
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np
from jaxtyping import Float, Real, UInt8

from vsbook.checks import BadInput, as_real, one_of, whole_number
from vsbook.files import existing_file
from vsbook.shown import Shown

__all__ = ["CLASSES", "Images", "Mnist", "Split", "class_averages", "mnist", "mnist_split"]

ASSETS = Path(__file__).parents[1] / "assets"
CLASSES = 10

# SHA-256 of each file as shipped
MNIST_FILES = {
    "train-images-idx3-ubyte.gz": "7ff28fd295f802eefc6d40e461175dfe4b969b1842b2abc8c6dc8c20711cf79f",
    "train-labels-idx1-ubyte.gz": "81a978ae83d39ffdba0db3ce2fcaf80a8921e9629e874428996a2b03242d4b2a",
    "t10k-images-idx3-ubyte.gz": "197e111ae341b0770be9011ac5e622d0e6cd1c640b32eb0de5dc1dd26cc6e182",
    "t10k-labels-idx1-ubyte.gz": "b91679a0acfe4ba0e50a2437a903084cba1f5f92592b016a25a7dfd00455798b",
}


@dataclass(frozen=True, eq=False, repr=False)
class Images(Shown):
    """Flattened images with their labels. Pixels run from 0 (paper) to 1 (ink), rows of the image one after another."""

    images: Float[np.ndarray, "N pixels"]
    labels: Real[np.ndarray, " N"]

    def __post_init__(self) -> None:
        """Refuse labels that don't belong to the images."""
        if np.shape(self.labels) != np.shape(self.images)[:1]:
            raise BadInput(
                f"labels: expected one for each image, got shapes {np.shape(self.images)} and "
                f"{np.shape(self.labels)}; pass them together"
            )

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.labels)

    def of_class(self, digit: Integral) -> Float[np.ndarray, "K pixels"]:
        """The images of one digit, in their order."""
        return self.images[self.labels == one_of(digit, range(CLASSES), "digit")]


@dataclass(frozen=True, eq=False, repr=False)
class Mnist(Shown):
    """The four files as they are: 60,000 training and 10,000 test images of 28 x 28 bytes, and their digits."""

    train_images: UInt8[np.ndarray, "60000 28 28"]
    train_labels: UInt8[np.ndarray, " 60000"]
    test_images: UInt8[np.ndarray, "10000 28 28"]
    test_labels: UInt8[np.ndarray, " 10000"]

    @property
    def test(self) -> Images:
        """The 10,000 test images, ready for a network."""
        return _ready(self.test_images, self.test_labels)


@dataclass(frozen=True, eq=False, repr=False)
class Split(Shown):
    """The paper's recipe: 50,000 images to train on, 10,000 more held back, and the 10,000 test images."""

    train: Images
    validation: Images
    test: Images


def read_checked(path: Path, sha256: str) -> bytes:
    """The bytes of a file that this package ships, or `BadInput` when they are not the ones that were shipped."""
    data = existing_file(path).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise BadInput(
            f"{path.name}: expected SHA-256 {sha256}, found {found} ({len(data)} bytes); "
            "the file is damaged: install the package again"
        )
    return data


def _read_idx(name: str, folder: Path) -> UInt8[np.ndarray, "N *pixels"]:
    """One IDX file: two zero bytes, type 8 (bytes), the number of axes, their lengths, the data."""
    raw = gzip.decompress(read_checked(folder / name, MNIST_FILES[name]))
    axes = raw[3]
    shape = np.frombuffer(raw, ">i4", axes, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def mnist(folder: Path = ASSETS / "mnist") -> Mnist:
    """MNIST as read-only arrays, kept in memory after the first call.

    Raises:
        BadInput: if a file is missing or damaged, with the checksum that was expected and the one found.

    >>> mnist().train_images.shape, mnist().test_labels[:3].tolist()
    ((60000, 28, 28), [7, 2, 1])
    """
    return _mnist(existing_file(Path(str(folder)) / next(iter(MNIST_FILES))).parent)


@functools.cache
def _mnist(folder: Path) -> Mnist:
    return Mnist(*(_read_idx(name, folder) for name in MNIST_FILES))


def _ready(images: UInt8[np.ndarray, "N 28 28"], labels: UInt8[np.ndarray, " N"]) -> Images:
    flat = images.reshape(len(images), -1).astype(np.float32)
    flat /= 255  # in place: the training set is large
    return Images(flat, labels.astype(np.int64))


def mnist_split(seed: int) -> Split:
    """The training set divided at random into 50,000 and 10,000, by `seed`; the test set is always the same.

    Raises:
        BadInput: unless the seed is a whole number of at least 0.

    >>> split = mnist_split(0)
    >>> len(split.train), len(split.validation), len(split.test)
    (50000, 10000, 10000)
    """
    source = mnist()
    order = np.random.default_rng(whole_number(seed, "seed")).permutation(len(source.train_labels))
    kept, held = order[:50_000], order[50_000:]
    return Split(
        _ready(source.train_images[kept], source.train_labels[kept]),
        _ready(source.train_images[held], source.train_labels[held]),
        source.test,
    )


def class_averages(images, labels) -> Float[np.ndarray, "10 pixels"]:
    """The average image of each digit 0 to 9, one a row, in the unit of the images (N, 784), as float64.

    Raises:
        BadInput: if lengths differ, a label isn't a digit, or a digit is missing.

    Source: the images of the bottom row of Fig. 1 of the paper.

    >>> class_averages(np.eye(10), np.arange(10)).diagonal().tolist() == [1.0] * 10
    True
    """
    images, labels = as_real(images, "images"), as_real(labels, "labels")
    if images.ndim != 2:
        raise BadInput(f"images: expected one flattened image a row, got shape {images.shape}; reshape them")
    if labels.shape != images.shape[:1]:
        raise BadInput(
            f"labels: expected one for each image, got shapes {images.shape} and {labels.shape}; pass them together"
        )
    strange = sorted(set(labels.tolist()) - set(range(CLASSES)))
    if strange:
        raise BadInput(f"labels: expected digits 0 to 9, got {strange[0]:g}; leave other labels out")
    missing = sorted(set(range(CLASSES)) - set(labels.tolist()))
    if missing:
        raise BadInput(f"labels: expected every digit 0 to 9, none of {missing} came; take a larger sample")
    return np.stack([images[labels == digit].mean(axis=0, dtype=np.float64) for digit in range(CLASSES)])

"""MNIST as the world knows it, damaged files, and the splits of the recipe."""

import gzip
import hashlib
import re
import shutil
import struct

import numpy as np
import pytest

from vsbook.checks import BadInput
from vsbook.networks.data import ASSETS, MNIST_FILES, class_averages, mnist, mnist_split

# MD5 of the four IDX files, uncompressed, as published with the data set
KNOWN_MD5 = {
    "train-images-idx3-ubyte.gz": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte.gz": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte.gz": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte.gz": "27ae3e4e09519cfbb04c329615203637",
}


@pytest.fixture
def folder(tmp_path):
    """A copy of the four files, to be damaged."""
    return shutil.copytree(ASSETS / "mnist", tmp_path / "mnist")


@pytest.mark.parametrize("name", MNIST_FILES)
def test_the_files_are_the_well_known_ones(name):
    packed = (ASSETS / "mnist" / name).read_bytes()
    assert hashlib.md5(gzip.decompress(packed)).hexdigest() == KNOWN_MD5[name]
    assert hashlib.sha256(packed).hexdigest() == MNIST_FILES[name]


def test_the_arrays_are_the_bytes_of_the_files():
    """Read again by the format's definition: big-endian header, then one byte a pixel."""
    raw = gzip.decompress((ASSETS / "mnist" / "t10k-images-idx3-ubyte.gz").read_bytes())
    assert struct.unpack(">iiii", raw[:16]) == (2051, 10000, 28, 28)
    assert mnist().test_images.tobytes() == raw[16:]
    labels = gzip.decompress((ASSETS / "mnist" / "train-labels-idx1-ubyte.gz").read_bytes())
    assert mnist().train_labels.tobytes() == labels[8:]


def test_shapes_types_and_kinds():
    source = mnist()
    assert [a.shape for a in vars(source).values()] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    assert {a.dtype for a in vars(source).values()} == {np.dtype(np.uint8)}
    assert np.bincount(source.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_the_arrays_are_read_only():
    for array in vars(mnist()).values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_the_second_call_gives_the_same_arrays(folder):
    first = mnist(folder)
    assert mnist(folder) is first


DAMAGES = {
    "one bit": lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
    "truncated": lambda data: data[:-1],
    "empty": lambda data: b"",
    "another file": lambda data: gzip.compress(b"\0\0\x08\x01" + struct.pack(">i", 3) + b"abc"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", MNIST_FILES)
def test_a_damaged_file_is_refused_with_both_sums(folder, name, damage):
    damaged = DAMAGES[damage]((folder / name).read_bytes())
    (folder / name).write_bytes(damaged)
    with pytest.raises(BadInput) as caught:
        mnist(folder)
    message = str(caught.value)
    assert re.search(f"expected SHA-256 {MNIST_FILES[name]}, found {hashlib.sha256(damaged).hexdigest()}", message)
    assert name in message
    assert "\n" not in message


@pytest.mark.parametrize("name", MNIST_FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BadInput, match=f"expected a file at .*{name}, found nothing"):
        mnist(folder)


@pytest.mark.parametrize("seed", [0, 1, 9])
def test_splits_are_disjoint_and_whole(seed):
    """Every training image once, in one of the two parts: the multisets of the images' hashes are equal."""

    def hashes(images):
        return sorted(hash(row.tobytes()) for row in images)

    split = mnist_split(seed)
    assert [len(part) for part in (split.train, split.validation, split.test)] == [50_000, 10_000, 10_000]
    together = np.concatenate([split.train.images, split.validation.images])
    assert hashes(together) == hashes(mnist().train_images.reshape(60_000, 784).astype(np.float32) / 255)
    np.testing.assert_array_equal(split.test.labels, mnist().test_labels)


def test_splits_follow_the_seed():
    one, same, other = mnist_split(3), mnist_split(3), mnist_split(4)
    np.testing.assert_array_equal(one.train.images, same.train.images)
    np.testing.assert_array_equal(one.validation.labels, same.validation.labels)
    assert (one.train.labels != other.train.labels).mean() > 0.8
    np.testing.assert_array_equal(one.test.images, other.test.images)


def test_images_keep_their_labels():
    """In a split, an image stands beside the label that it has in the files."""
    known = dict(zip((i.tobytes() for i in mnist().train_images), mnist().train_labels, strict=True))
    part = mnist_split(0).validation
    again = np.round(part.images * 255).astype(np.uint8)
    assert [known[row.tobytes()] for row in again] == part.labels.tolist()


def test_pixels_run_from_paper_to_ink():
    test = mnist().test
    assert (test.images.dtype, test.labels.dtype) == (np.float32, np.int64)
    assert (test.images.min(), test.images.max()) == (0.0, 1.0)


def test_class_averages_one_by_one():
    test = mnist().test
    averages = class_averages(test.images, test.labels)
    assert averages.dtype == np.float64
    for digit in range(10):
        members = test.of_class(digit)
        assert len(members) == (test.labels == digit).sum()
        np.testing.assert_allclose(averages[digit], members.astype(np.float64).sum(axis=0) / len(members), atol=1e-12)

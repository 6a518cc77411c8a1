"""Checkpoints and kernels: their bytes, their provenance, and what a damaged file does."""

import copy
import functools
import hashlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file
from torch import nn

from tests.runs import ROOT, assert_same_bits, first_images, headed, header_in, trained, weights
from vsbook import ledger
from vsbook.checks import BadInput
from vsbook.networks import checkpoints
from vsbook.networks.checkpoints import RUNS, load, load_checkpoint, load_kernels, save_checkpoint, save_kernels
from vsbook.networks.data import MNIST_FILES, mnist
from vsbook.networks.draws import ROUNDING
from vsbook.networks.models import NETWORKS, create
from vsbook.networks.outputs import logits
from vsbook.networks.training import PAPER, Recipe, evaluate, provenance

FOLDERS = ("vsbook/assets/checkpoints", "vsbook/assets/kernels", "evidence/checkpoints")
SHIPPED = sorted(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/*.safetensors"))
KERNELS = [(run, seed) for run, seeds in RUNS.items() for seed in range(seeds)]
STATED = ["fcnn1", "fcnn5", "resnet18"]  # networks whose accuracy is a claim of its own
FACTORS = {"resnet18": 1.0, "resnet18-small-start": 0.1}  # on the layer's initial weights


@pytest.fixture(scope="module")
def split():
    return first_images()


def test_any_layout_in_memory_and_shared_weights_are_written(tmp_path):
    model = create("fcnn5", 0)
    model.layer3.weight = nn.Parameter(model.layer3.weight.detach().T.contiguous().T)
    model.layer2.bias = model.layer1.bias
    save_checkpoint(tmp_path / "odd.safetensors", model, {"network": "fcnn5"})
    found = load_checkpoint(tmp_path / "odd.safetensors")
    assert_same_bits(weights(found), weights(model))


def test_saved_twice_it_is_the_same_bytes(split, tmp_path):
    """Checkpoints and states, in processes of their own too: six keys in random order agree once in 720 times."""
    model, files = create("fcnn1", 0), [tmp_path / f"{k}.safetensors" for k in range(8)]
    for k, path in enumerate(files):
        header = header_of("fcnn1")
        save_checkpoint(path, model, header if k % 2 else dict(reversed(header.items())))
    assert len({path.read_bytes() for path in files}) == 1
    states = [tmp_path / f"{k}.state" for k in range(8)]
    for path in states:
        trained(split, Recipe(epochs=1), state=path)
    assert len({path.read_bytes() for path in states}) == 1


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_file_is_what_saving_it_again_gives(path, tmp_path):
    tensors, header = load_file(path), header_in(path)
    assert checkpoints.packed(tensors, header) == path.read_bytes()
    assert header["network"] in NETWORKS


def test_a_checkpoint_comes_back_with_its_provenance(tmp_path):
    path, model = tmp_path / "one.safetensors", create("fcnn5", 3)
    save_checkpoint(path, model, provenance("fcnn5", PAPER, 3, 0.97123))
    again = load_checkpoint(path)
    assert_same_bits(weights(again), weights(model))
    assert not again.training
    header = header_in(path)
    assert (header["network"], header["seed"], header["test_accuracy"]) == ("fcnn5", "3", "0.9712")
    assert json.loads(header["recipe"]) == {"learning_rate": 0.001, "momentum": 0.9, "batch_size": 32, "epochs": 20}
    assert json.loads(header["data"]) == MNIST_FILES
    assert set(json.loads(header["versions"])) == {"torch", "numpy"}


def header_of(network):
    return provenance(network, PAPER, 0, 0.9)


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def spoiled(path, what):
    """Write a checkpoint that can't be loaded as FCNN1."""
    tensors = create("fcnn1", 0).state_dict()
    if what == "missing":
        return
    if what == "folder":
        path.mkdir()
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "garbage":
        path.write_bytes(bytes(range(256)) * 50)
    elif what == "pickle":
        path.write_bytes(pickle.dumps(Bomb(path.with_suffix(".fired"))))
    elif what == "pytorch's own":
        torch.save(tensors, path)
    elif what == "truncated":
        path.write_bytes(save(tensors, headed(header_of("fcnn1")))[:-4])
    elif what == "longer":
        path.write_bytes(save(tensors, headed(header_of("fcnn1"))) + b"more")
    elif what == "another network":
        save_file(create("fcnn5", 0).state_dict(), path, headed(header_of("fcnn5")))
    elif what == "unknown network":
        save_file(tensors, path, headed(header_of("fcnn1") | {"network": "vgg"}))
    elif what == "no header":
        save_file(tensors, path)
    elif what == "header of keys":
        save_file(tensors, path, header_of("fcnn1"))
    elif what in BROKEN_HEADERS:
        save_file(tensors, path, {"vsbook": BROKEN_HEADERS[what]})
    else:
        changed = {
            "wrong shape": {"layer1.weight": torch.zeros(10, 783)},
            "transposed": {"layer1.weight": torch.zeros(784, 10)},
            "another name": {"layer2.weight": torch.zeros(10, 784)},
            "not finite": {"layer1.bias": torch.full((10,), torch.inf)},
            "integers": {"layer1.bias": torch.zeros(10, dtype=torch.int64)},
            "complex": {"layer1.bias": torch.zeros(10, dtype=torch.complex64)},
        }[what]
        save_file(tensors | changed, path, headed(header_of("fcnn1")))


BROKEN_HEADERS = {
    "header cut off": '{"network": "fcnn1"',
    "header deep": "[" * 100_000,
    "header a list": '["fcnn1"]',
    "header of a list": '{"network": ["fcnn1"]}',
}
SPOILED = [
    *BROKEN_HEADERS,
    "header of keys",
    *("missing", "folder", "empty", "garbage", "pickle", "pytorch's own", "truncated", "longer", "another network"),
    *("unknown network", "no header", "wrong shape", "transposed", "another name", "not finite", "integers", "complex"),
]


@pytest.mark.parametrize("what", SPOILED)
def test_a_spoiled_checkpoint_is_one_line(tmp_path, what):
    path = tmp_path / "c.safetensors"
    spoiled(path, what)
    with pytest.raises(BadInput) as caught:
        load_checkpoint(path, "fcnn1")
    message = str(caught.value)
    assert "expected" in message
    assert "got" in message or "found" in message
    assert "\n" not in message
    assert path.name in message
    assert not path.with_suffix(".fired").exists(), "nothing is unpickled"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_are_read(tmp_path, dtype):
    path, model = tmp_path / "half.safetensors", create("fcnn1", 0)
    save_checkpoint(path, create("fcnn1", 0).to(dtype), header_of("fcnn1"))
    assert torch.equal(load_checkpoint(path).layer1.weight, model.layer1.weight.to(dtype).float())


@pytest.fixture(scope="module")
def seen_resnet18():
    """Initial weights, but running statistics and counts as if it had seen images: for these any values will do."""
    model, generator = create("resnet18", 3), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("num_batches_tracked"):
                tensor.fill_(31_260 + len(name))  # beyond what half precision counts to, and not all the same
            elif "running" in name:
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return model


def test_a_resnet18_saved_in_half_comes_back_in_float32(seen_resnet18, tmp_path):
    """The weights are rounded once, in saving; the counts of batches are whole numbers and stay."""
    path, before = tmp_path / "resnet18.safetensors", weights(seen_resnet18)
    save_checkpoint(path, copy.deepcopy(seen_resnet18).half(), header_of("resnet18"))
    assert path.stat().st_size < 2.01 * 11_184_970  # two bytes for each parameter and running statistic, and the names
    model = load_checkpoint(path, "resnet18")
    after = weights(model)
    assert_same_bits(after, {k: t.half().float() if t.is_floating_point() else t for k, t in before.items()})
    assert {t.dtype for t in after.values()} == {torch.float32, torch.int64}
    assert sum(not torch.equal(after[k], before[k]) for k in before) > 20, "the rounding is seen"
    assert not model.training
    # rounding moves each weight by 2^-11 of itself at most: of the outputs some hundredth after eighteen layers
    images = mnist().test.images[:8]
    whole = logits(seen_resnet18, images)
    assert (logits(model, images) - whole).norm() < 0.01 * whole.norm()


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("bn1.num_batches_tracked", torch.float32),
        ("layer4.1.bn2.num_batches_tracked", torch.float16),
        ("bn1.weight", torch.int64),
        ("layer1.0.conv1.weight", torch.int8),
        ("fc.bias", torch.bool),
    ],
    ids=str,
)
def test_whole_numbers_and_floats_keep_their_places(seen_resnet18, tmp_path, name, dtype):
    path, tensors = tmp_path / "resnet18.safetensors", seen_resnet18.state_dict()
    save_file(tensors | {name: tensors[name].to(dtype)}, path, headed(header_of("resnet18")))
    with pytest.raises(BadInput, match=rf"floating weights and whole counts, got {name} of {dtype}; train it again"):
        load_checkpoint(path)


def test_a_resnet18_without_a_count_is_refused(seen_resnet18, tmp_path):
    """PyTorch itself takes a missing count for an old file, and puts in a zero."""
    path, tensors = tmp_path / "resnet18.safetensors", seen_resnet18.state_dict()
    del tensors["bn1.num_batches_tracked"]
    save_file(tensors, path, headed(header_of("resnet18")))
    with pytest.raises(BadInput, match=r"floating weights and whole counts, got no bn1\.num_batches_tracked; train"):
        load_checkpoint(path)


def test_half_a_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, create("fcnn1", 0), header_of("fcnn1"))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(BadInput, match="No space left"):
        save_checkpoint(path, create("fcnn1", 1), header_of("fcnn1"))
    assert_same_bits(load_file(path), weights(create("fcnn1", 0)))
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


@functools.cache
def accuracy_of_seed_0(network):
    """As it is evaluated now, and the header of the file."""
    path = Path(ledger.__file__).parent / "assets" / "checkpoints" / f"{network}-seed0.safetensors"
    return evaluate(load(network), mnist().test), header_in(path)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_shipped_checkpoint_has_the_accuracy_of_its_header(network):
    accuracy, header = accuracy_of_seed_0(network)
    # two images of 10,000: on another CPU the last bits of two close outputs can decide otherwise
    assert accuracy == pytest.approx(float(header["test_accuracy"]), abs=2e-4)


def test_the_paper_states_the_accuracy_of_three_networks():
    assert [network for network in NETWORKS if f"{network}-test-accuracy" in ledger.claims()] == STATED


@pytest.mark.parametrize("network", STATED)
def test_the_shipped_checkpoint_has_the_accuracy_of_its_result(network):
    recorded = ledger.result(f"{network}-test-accuracy")["runs"][0]
    accuracy, _ = accuracy_of_seed_0(network)
    assert (recorded["seed"], recorded["value"]) == (0, pytest.approx(100 * accuracy, abs=0.02))


@pytest.mark.parametrize(("network", "key"), [("invertible", "network"), ("invertible_toy", "toy")])
def test_the_accuracy_of_an_invertible_network_stands_in_its_result(network, key):
    details = ledger.result("invertible-networks-keep-up")["details"]
    accuracy, _ = accuracy_of_seed_0(network)
    assert details[f"{key}, each seed"][0]["accuracy in percent"] == pytest.approx(100 * accuracy, abs=0.02)


def test_a_damaged_shipped_checkpoint_is_refused(tmp_path, monkeypatch):
    copy = shutil.copytree(checkpoints.ASSETS / "checkpoints", tmp_path / "checkpoints")
    file = copy / "fcnn1-seed0.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # one bit of one weight: a whole file, but another network
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    with pytest.raises(BadInput, match=r"expected SHA-256 .*, found"):
        load("fcnn1")


# kernels


@pytest.mark.parametrize(("run", "seed"), KERNELS)
def test_kernels_before_training_are_those_of_the_seed(run, seed):
    """PyTorch drew them, whose arithmetic differs from processor to processor by less than `ROUNDING` deviations."""
    kernels = load_kernels(run, seed)
    expected = FACTORS[run] * create("resnet18", seed).layer1[0].conv1.weight.detach().numpy()
    assert (kernels.initial.dtype, kernels.trained.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(kernels.initial, expected, rtol=0, atol=ROUNDING * expected.std())
    assert kernels.trained.shape == (64, 64, 3, 3)
    assert np.abs(kernels.trained - kernels.initial).max() > 0.01, "they have been trained"


@pytest.mark.parametrize(("run", "seed"), KERNELS)
def test_kernels_after_training_are_as_rounded_as_a_network_that_ships(run, seed):
    trained = load_kernels(run, seed).trained
    np.testing.assert_array_equal(trained.astype(np.float16).astype(np.float32), trained)


@pytest.mark.parametrize(("run", "seed"), KERNELS)
def test_kernels_say_where_they_are_from(run, seed):
    header = header_in(checkpoints.ASSETS / "kernels" / f"{run}-seed{seed}.safetensors")
    assert (header["network"], header["variant"], header["seed"]) == ("resnet18", run, str(seed))


def test_kernels_of_seed_0_are_those_of_the_shipped_network():
    shipped = load("resnet18").layer1[0].conv1.weight.detach().numpy()
    np.testing.assert_array_equal(load_kernels("resnet18", 0).trained, shipped)


@pytest.mark.parametrize("folder", ["checkpoints", "kernels"])
def test_the_list_of_checksums_is_that_of_the_files(folder):
    listed = [line.split()[1] for line in (checkpoints.ASSETS / folder / "SHA256SUMS").read_text().splitlines()]
    shipped = NETWORKS if folder == "checkpoints" else RUNS
    count = {"checkpoints": lambda _: 1, "kernels": RUNS.get}[folder]
    expected = {f"{name}-seed{seed}.safetensors" for name in shipped for seed in range(count(name))}
    assert sorted(listed) == sorted(expected)
    assert {path.name for path in (checkpoints.ASSETS / folder).glob("*.safetensors")} == expected


def small_kernels(seed):
    """Two weights that differ, one of them laid out in another order, as a transposed tensor is."""
    initial, trained = torch.randn(2, 4, 4, 3, 3, generator=torch.Generator().manual_seed(seed))
    return initial.transpose(0, 1), trained


@pytest.fixture
def one_run(tmp_path, monkeypatch):
    """Assets with the kernels of one run of one seed; the file, and the weights that went in."""
    initial, trained = small_kernels(0)
    path = tmp_path / "kernels" / "resnet18-seed0.safetensors"
    save_kernels(path, initial, trained, header_of("resnet18"))
    (path.parent / "SHA256SUMS").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    monkeypatch.setattr(checkpoints, "ASSETS", tmp_path)
    return path, initial.numpy(), trained.numpy()


def test_kernels_come_back_as_they_were_saved(one_run):
    path, initial, trained = one_run
    kernels = load_kernels("resnet18", 0)
    np.testing.assert_array_equal(kernels.initial, initial)
    np.testing.assert_array_equal(kernels.trained, trained)
    assert header_in(path) == header_of("resnet18")


DAMAGED = {
    "one bit": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "truncated": lambda data: data[:-4],
    "empty": lambda data: b"",
    "pickled": lambda data: pickle.dumps({"initial": 1}),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_kernels_are_refused(one_run, damage):
    path, *_ = one_run
    path.write_bytes(DAMAGED[damage](path.read_bytes()))
    with pytest.raises(BadInput, match=r"expected SHA-256 .*, found"):
        load_kernels("resnet18", 0)


def test_missing_kernels_are_refused(one_run):
    one_run[0].unlink()
    with pytest.raises(BadInput, match="found nothing"):
        load_kernels("resnet18", 0)

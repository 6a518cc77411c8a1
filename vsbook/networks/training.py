"""The paper's training recipe, written once: fit, evaluate, and checkpoints with their provenance.

Source: section 3 of the paper (learning rate, momentum, epochs). Its text does not give batch size, split, pixel scale
or initialisation: 32, 50,000 and 10,000, 0 to 1, and PyTorch's default are what this project takes.
"""

import json
import signal
import struct
import threading
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn
from tqdm import tqdm

from vsbook.checks import (
    BadInput,
    as_real,
    existing_file,
    instance_of,
    number,
    one_of,
    whole_number,
    write_beside,
)
from vsbook.networks.data import ASSETS, MNIST_FILES, Images, Split, read_checked
from vsbook.networks.models import NETWORKS, create
from vsbook.networks.outputs import as_tensor, in_mode, logits
from vsbook.shown import Shown

__all__ = [
    "PAPER",
    "RUNS",
    "Kernels",
    "Recipe",
    "evaluate",
    "fit",
    "load",
    "load_checkpoint",
    "load_kernels",
    "save_checkpoint",
]


@dataclass(frozen=True)
class Recipe:
    """Stochastic gradient descent on the cross entropy of a network's outputs."""

    learning_rate: float = 0.001
    momentum: float = 0.9
    batch_size: int = 32
    epochs: int = 20

    def __post_init__(self) -> None:
        """Refuse constants that describe no descent."""
        for name, value in (("learning_rate", self.learning_rate), ("momentum", self.momentum)):
            number(value, name)
        for name, value in (("batch_size", self.batch_size), ("epochs", self.epochs)):
            whole_number(value, name, 1)


PAPER = Recipe()


@contextmanager
def _one_thread():
    """One thread, so that sums are added in one order: a seed gives the same bits however many cores a machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _between_batches():
    """Ctrl-C waits for the end of a batch: in the midst of one, weights, momentum and step count don't agree."""
    if threading.current_thread() is not threading.main_thread():  # no signal arrives there
        yield lambda: None
        return
    asked = []

    def check():
        if asked:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, lambda *_: asked.append(True))
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before if before is not None else signal.SIG_DFL)


def evaluate(model: nn.Module, data: Images) -> float:
    """The share of images whose largest output is their label's, in eval mode: between 0 and 1.

    Raises:
        BadInput: as `logits`, or if `data` isn't `vsbook.networks.Images`.
    """
    instance_of(data, Images, "data")
    return float((logits(model, data.images).argmax(dim=1).numpy() == data.labels).mean())


def fit(
    model: nn.Module, split: Split, recipe: Recipe, seed: int, state: Path | None = None, progress: bool = True
) -> None:
    """Train `model` in place on the training images of `split`.

    The order of the images in epoch e depends on `seed` and e alone. With `state`, the run is written there at the
    end of each epoch and when it is interrupted, and goes on from there when called again: the weights at the end
    are, bit for bit, those of a run that was never interrupted. The state of a finished run stays, and a call with it
    returns at once with the same weights: delete it once the network is saved.

    Args:
        model: a network on the CPU.
        split: what to train on; the accuracy shown while training is that of the validation images.
        recipe: the constants of the descent.
        seed: of the order of the images.
        state: a file for the resume state, outside the repository; None to keep none.
        progress: show a bar with the time left.

    Raises:
        BadInput: if the state file belongs to another run or is damaged, or what comes in can't be trained with.

    Source: section 3 of the paper.
    """
    images, labels = _trainable(model, split)
    instance_of(recipe, Recipe, "recipe")
    state = None if state is None else Path(state)
    steps = -(-len(labels) // recipe.batch_size)  # in an epoch; the last batch may be smaller
    run = {"recipe": asdict(recipe), "seed": whole_number(seed, "seed"), "model": str(model), "images": len(labels)}
    run |= {"checksum": zlib.crc32(labels.numpy(), zlib.crc32(images.numpy()))}
    optimiser = torch.optim.SGD(model.parameters(), recipe.learning_rate, recipe.momentum)
    step = _resume(state, run, model, optimiser)
    bar = tqdm(
        total=recipe.epochs * steps, initial=step, unit="batch", disable=not progress, mininterval=0.5, leave=False
    )
    try:
        with _one_thread(), in_mode(model, training=True), bar, _between_batches() as check_interrupt:
            while step < recipe.epochs * steps:
                epoch, within = divmod(step, steps)
                order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(labels)))
                for batch in order.split(recipe.batch_size)[within:]:
                    optimiser.zero_grad()
                    nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
                    optimiser.step()
                    step += 1
                    bar.update()
                    check_interrupt()
                _suspend(state, run, step, model, optimiser)
                bar.set_description(
                    f"epoch {epoch + 1}/{recipe.epochs}, validation accuracy {evaluate(model, split.validation):.2%}"
                )
                check_interrupt()
    except KeyboardInterrupt:
        _suspend(state, run, step, model, optimiser)
        raise


def _trainable(model: nn.Module, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
    """The training images and labels as tensors, once they are known to fit the network."""
    train = instance_of(split, Split, "split").train
    images, labels = as_real(train.images, "images"), as_real(train.labels, "labels").astype(np.int64)
    classes = logits(model, images[:1]).shape[-1]
    if labels.min() < 0 or labels.max() >= classes:
        raise BadInput(
            f"labels: expected 0 to {classes - 1}, one for each output, got {labels.min()} to {labels.max()}; "
            "take a network with as many outputs as classes"
        )
    parameter = next(model.parameters())
    return as_tensor(images, parameter.dtype), torch.tensor(labels)


def _suspend(state: Path | None, run: dict, step: int, model: nn.Module, optimiser: torch.optim.SGD) -> None:
    if state is None:
        return
    tensors = {f"weight.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        buffer = optimiser.state[parameter].get("momentum_buffer")
        if buffer is not None:
            tensors[f"momentum.{name}"] = buffer
    write_beside(state, _packed(tensors, {"run": json.dumps(run), "step": str(step)}))


def _resume(state: Path | None, run: dict, model: nn.Module, optimiser: torch.optim.SGD) -> int:
    """Put back what `_suspend` wrote and return the number of steps done; 0 when there is nothing."""
    if state is None or not state.exists():
        return 0
    tensors, header = _read(state, "delete it")
    if header.get("run") != json.dumps(run):
        raise BadInput(
            f"{state}: expected the state of this run, got that of another recipe, seed or network; "
            "delete it or name another file"
        )
    try:
        step = int(header["step"])
        model.load_state_dict({k.removeprefix("weight."): t for k, t in tensors.items() if k.startswith("weight.")})
    except (KeyError, ValueError, RuntimeError) as error:
        raise BadInput(f"{state}: expected a whole resume state, got a damaged one ({error}); delete it") from None
    for name, parameter in model.named_parameters():
        if f"momentum.{name}" in tensors:
            optimiser.state[parameter]["momentum_buffer"] = tensors[f"momentum.{name}"]
    return step


def _packed(tensors: dict[str, torch.Tensor], header: dict[str, str]) -> bytes:
    """A safetensors file, the same bytes each time: of several metadata keys the order would be left to chance."""
    own = {
        key: tensor.detach().to_dense().clone(memory_format=torch.contiguous_format) for key, tensor in tensors.items()
    }
    return save(own, {"vsbook": json.dumps(header, sort_keys=True)})


def _read(path: Path, remedy: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and header of a file of `_packed`; nothing is unpickled."""
    try:
        with safe_open(existing_file(path), framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            packed = (file.metadata() or {}).get("vsbook", "no header")
    except (SafetensorError, struct.error) as error:
        came = f"{path.stat().st_size} bytes ({error})"
        raise BadInput(f"{path}: expected a whole safetensors file, got {came}; {remedy}") from None
    try:
        header = json.loads(packed)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or not all(isinstance(value, str) for value in header.values()):
        raise BadInput(f"{path}: expected a header of strings under 'vsbook', got {packed[:60]!r}; {remedy}")
    return tensors, header


def provenance(network: str, recipe: Recipe, seed: int, test_accuracy: float) -> dict[str, str]:
    """What a checkpoint's header says of its making; all values are strings, as safetensors asks."""
    return {
        "network": network,
        "recipe": json.dumps(asdict(recipe)),
        "seed": str(seed),
        "data": json.dumps(MNIST_FILES),
        "test_accuracy": f"{test_accuracy:.4f}",
        "versions": json.dumps({name: version(name) for name in ("torch", "numpy")}),
    }


def save_kernels(path, initial: torch.Tensor, trained: torch.Tensor, header: dict[str, str]) -> None:
    """Write a layer's weights before and after training for `load_kernels`, beside and then into place."""
    write_beside(path, _packed({"initial": initial.contiguous(), "trained": trained.contiguous()}, header))


def save_checkpoint(path, model: nn.Module, header: dict[str, str]) -> None:
    """Write the weights as safetensors with `header` (see `provenance`), beside and then into place.

    A network's type is kept: `model.half()` before saving halves the file, and what `load_checkpoint` returns then
    *is* the network, in float32 with weights that fit into half precision.

    Raises:
        BadInput: if `model` isn't a network, the header isn't of strings, or nothing can be written there.
    """
    instance_of(model, nn.Module, "model")
    for value in (*instance_of(header, dict, "header"), *header.values()):
        instance_of(value, str, "header")
    write_beside(path, _packed(model.state_dict(), header))


def load_checkpoint(path, network: str | None = None) -> nn.Module:
    """The network of a checkpoint, in eval mode, ready to look at.

    Args:
        path: a safetensors file written by `save_checkpoint`.
        network: the name it is expected to bear; None takes the one that its header names.

    Raises:
        BadInput: if the file is missing, truncated, of another network, or holds tensors of other names or shapes.
    """
    path = existing_file(path)
    tensors, header = _read(path, "fetch or train it again")
    found = header.get("network", "no name")
    if found not in NETWORKS or (network or found) != found:
        wanted = one_of(network, NETWORKS, "network") if network else f"one of {', '.join(NETWORKS)}"
        raise BadInput(
            f"{path}: expected a checkpoint of {wanted}, got one of {found}; name the network it was made for"
        )
    model = create(found, seed=0)
    counts = {name for name, t in model.state_dict().items() if not t.is_floating_point()}  # of batches, in batch norms
    strange = [f"{name} of {t.dtype}" for name, t in tensors.items() if t.is_floating_point() == (name in counts)]
    strange += [f"no {name}" for name in sorted(counts - tensors.keys())]  # PyTorch would put in a zero
    if strange:
        raise BadInput(f"{path}: expected floating weights and whole counts, got {strange[0]}; train it again")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise BadInput(
            f"{path}: expected the tensors of {found}, got others ({' '.join(str(error).split())}); train it again"
        ) from None
    for name, tensor in tensors.items():
        as_real(tensor.double().numpy(), f"{path}: {name}")
    return model.eval()


def load(network: str) -> nn.Module:
    """The trained network that ships with the package (seed 0), checked by SHA-256, in eval mode.

    Raises:
        BadInput: for a name that is not in `models.NETWORKS`, or a damaged file.

    >>> load("fcnn1").layer1.weight.shape
    torch.Size([10, 784])
    """
    return load_checkpoint(_shipped("checkpoints", f"{one_of(network, NETWORKS, 'network')}-seed0"), network)


def _shipped(folder: str, name: str) -> Path:
    """A safetensors file of the package, if its SHA-256 is the one on the list beside it."""
    path, listed = ASSETS / folder / f"{name}.safetensors", existing_file(ASSETS / folder / "SHA256SUMS")
    sums = dict(reversed(line.split()) for line in listed.read_text().splitlines())
    read_checked(path, sums[one_of(path.name, sums, str(listed))])
    return path


@dataclass(frozen=True, eq=False, repr=False)
class Kernels(Shown):
    """Weights (outputs, inputs, 3, 3) of one convolution before and after training."""

    initial: Float[np.ndarray, "64 64 3 3"]
    trained: Float[np.ndarray, "64 64 3 3"]


RUNS = {"resnet18": 3, "resnet18-small-start": 3}  # how many seeds of each ship


def load_kernels(run: str, seed: int) -> Kernels:
    """ResNet18's `layer1.0.conv1` before and after training, for seeds whose networks don't ship, checked by SHA-256.

    Args:
        run: 'resnet18', trained by the paper's recipe; or 'resnet18-small-start', where the layer's initial weights
            were divided by ten, so that training outweighs them.
        seed: of the initial weights, the split and the order of the images.

    Raises:
        BadInput: for another run or seed, or a damaged file.

    Source: section 3, paragraph 3 of the paper: the layer of Fig. 2.

    >>> load_kernels("resnet18", 1).trained.shape
    (64, 64, 3, 3)
    """
    seeds = RUNS[one_of(run, RUNS, "run")]
    if whole_number(seed, "seed") >= seeds:
        raise BadInput(f"seed: expected one from 0 to {seeds - 1}, got {seed}; those are the runs that ship")
    tensors, _ = _read(_shipped("kernels", f"{run}-seed{seed}"), "fetch it again")
    return Kernels(tensors["initial"].numpy(), tensors["trained"].numpy())

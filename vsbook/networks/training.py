"""The paper's training recipe, written once: fit, evaluate, and the provenance that a checkpoint bears.

Source: section 3 of the paper (learning rate, momentum, epochs). Its text does not give batch size, split, pixel scale
or initialisation: 32, 50,000 and 10,000, 0 to 1, and PyTorch's default are what this project takes.
"""

import json
import signal
import threading
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from vsbook.checks import BadInput, as_real, instance_of, number, whole_number
from vsbook.files import write_beside
from vsbook.networks.checkpoints import packed, read_tensors
from vsbook.networks.data import MNIST_FILES, Images, Split
from vsbook.networks.outputs import as_tensor, in_mode, logits

__all__ = [
    "PAPER",
    "Recipe",
    "evaluate",
    "fit",
    "provenance",
    "resume",
    "suspend",
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
        model: a network, on the CPU or on a GPU, which rounds otherwise: a deep network ends elsewhere.
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
    run |= {"checksum": zlib.crc32(labels.numpy(), zlib.crc32(images.numpy())), "optimiser": "SGD"}
    device = next(model.parameters()).device
    images, labels = images.to(device), labels.to(device)
    optimiser = torch.optim.SGD(model.parameters(), recipe.learning_rate, recipe.momentum)
    step = resume(state, run, model, optimiser)
    bar = tqdm(
        total=recipe.epochs * steps, initial=step, unit="batch", disable=not progress, mininterval=0.5, leave=False
    )
    try:
        with _one_thread(), in_mode(model, training=True), bar, _between_batches() as check_interrupt:
            while step < recipe.epochs * steps:
                epoch, within = divmod(step, steps)
                order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(labels))).to(device)
                for batch in order.split(recipe.batch_size)[within:]:
                    optimiser.zero_grad()
                    nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
                    optimiser.step()
                    step += 1
                    bar.update()
                    check_interrupt()
                suspend(state, run, step, model, optimiser)
                bar.set_description(
                    f"epoch {epoch + 1}/{recipe.epochs}, validation accuracy {evaluate(model, split.validation):.2%}"
                )
                check_interrupt()
    except KeyboardInterrupt:
        suspend(state, run, step, model, optimiser)
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


def suspend(state: Path | None, run: dict, step: int, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Write what a training goes on from: weights, what the optimiser remembers of each, and the number of steps done.

    Args:
        state: a file, or None to keep nothing.
        run: what tells this training from another, as JSON takes it.
        step: how many steps are done.
        model: the network.
        optimiser: of its parameters.

    Raises:
        BadInput: where nothing can be written.
    """
    if state is None:
        return
    tensors = {f"weight.{name}": tensor for name, tensor in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        remembered = optimiser.state.get(parameter, {})
        tensors |= {f"{kind}.{name}": tensor for kind, tensor in remembered.items() if tensor is not None}
    write_beside(state, packed(tensors, {"run": json.dumps(run), "step": str(step)}))


def resume(state: Path | None, run: dict, model: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Put back what `suspend` wrote and return the number of steps done; 0 when there is nothing.

    Raises:
        BadInput: for the state of another run, or a damaged one.
    """
    if state is None or not state.exists():
        return 0
    tensors, header = read_tensors(state, "delete it")
    if header.get("run") != json.dumps(run):
        raise BadInput(
            f"{state}: expected the state of this run, got that of another recipe, seed or network; "
            "delete it or name another file"
        )
    parameters = dict(model.named_parameters())
    try:
        step = int(header["step"])
        model.load_state_dict({k.removeprefix("weight."): t for k, t in tensors.items() if k.startswith("weight.")})
        for key, tensor in tensors.items():
            kind, _, name = key.partition(".")
            if kind != "weight":
                device = "cpu" if kind == "step" else parameters[name].device  # Adam counts its steps on the CPU
                optimiser.state[parameters[name]][kind] = tensor.to(device)
    except (KeyError, ValueError, RuntimeError) as error:
        raise BadInput(f"{state}: expected a whole resume state, got a damaged one ({error}); delete it") from None
    return step


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

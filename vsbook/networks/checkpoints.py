"""Trained networks in files: safetensors with their provenance in the header, checked before they are believed."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from vsbook.checks import BadInput, as_real, instance_of, one_of, whole_number
from vsbook.files import existing_file, write_beside
from vsbook.networks.data import ASSETS, read_checked
from vsbook.networks.models import NETWORKS
from vsbook.shown import Shown

__all__ = [
    "RUNS",
    "Kernels",
    "load",
    "load_checkpoint",
    "load_kernels",
    "packed",
    "read_tensors",
    "save_checkpoint",
    "save_kernels",
]

RUNS = {"resnet18": 5, "resnet18-small-start": 3}  # how many seeds of each ship


@dataclass(frozen=True, eq=False, repr=False)
class Kernels(Shown):
    """Weights (outputs, inputs, 3, 3) of one convolution before and after training."""

    initial: Float[np.ndarray, "outputs inputs 3 3"]
    trained: Float[np.ndarray, "outputs inputs 3 3"]


def packed(tensors: dict[str, torch.Tensor], header: dict[str, str]) -> bytes:
    """A safetensors file, the same bytes each time: of several metadata keys the order would be left to chance."""
    own = {
        key: tensor.detach().to_dense().clone(memory_format=torch.contiguous_format) for key, tensor in tensors.items()
    }
    return save(own, {"vsbook": json.dumps(header, sort_keys=True)})


def read_tensors(path: Path, remedy: str) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
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


def save_kernels(path, initial: torch.Tensor, trained: torch.Tensor, header: dict[str, str]) -> None:
    """Write a layer's weights before and after training for `load_kernels`, beside and then into place."""
    write_beside(path, packed({"initial": initial.contiguous(), "trained": trained.contiguous()}, header))


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
    write_beside(path, packed(model.state_dict(), header))


def load_checkpoint(path, network: str | None = None) -> nn.Module:
    """The network of a checkpoint, one of `NETWORKS`, in eval mode, ready to look at.

    Args:
        path: a safetensors file written by `save_checkpoint`.
        network: the name it is expected to bear; None takes the one that its header names.

    Raises:
        BadInput: if the file is missing, truncated, of another network, or holds tensors of other names or shapes.
    """
    path = existing_file(path)
    tensors, header = read_tensors(path, "fetch or train it again")
    found = header.get("network", "no name")
    if found not in NETWORKS or (network or found) != found:
        wanted = one_of(network, NETWORKS, "network") if network else f"one of {', '.join(NETWORKS)}"
        raise BadInput(
            f"{path}: expected a checkpoint of {wanted}, got one of {found}; name the network it was made for"
        )
    with torch.device("meta"):  # every weight comes from the file: none is drawn
        model = NETWORKS[found]()
    counts = {name for name, t in model.state_dict().items() if not t.is_floating_point()}  # of batches, in batch norms
    strange = [f"{name} of {t.dtype}" for name, t in tensors.items() if t.is_floating_point() == (name in counts)]
    strange += [f"no {name}" for name in sorted(counts - tensors.keys())]  # PyTorch would put in a zero
    if strange:
        raise BadInput(f"{path}: expected floating weights and whole counts, got {strange[0]}; train it again")
    whole = {name: t.to(torch.float32 if t.is_floating_point() else t.dtype, copy=True) for name, t in tensors.items()}
    try:
        model.load_state_dict(whole, assign=True)
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
    tensors, _ = read_tensors(_shipped("kernels", f"{run}-seed{seed}"), "fetch it again")
    return Kernels(tensors["initial"].numpy(), tensors["trained"].numpy())

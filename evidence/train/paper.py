"""The networks of the paper's recipe and their controls: the small ones in seconds, a ResNet18 in forty minutes."""

from platformdirs import user_cache_path

from evidence.networks import (
    VARIANTS,
    checkpoint_path,
    initial,
    kernels_path,
    observation_path,
    on_accelerator,
    recipe,
    rounded_to_half,
    split_for,
    trained_on,
    whole_path,
)
from evidence.observe.resnet18 import observe
from evidence.observe.runs import write
from vsbook.networks.checkpoints import save_checkpoint, save_kernels
from vsbook.networks.training import evaluate, fit, provenance


def train(name: str, seed: int) -> None:
    """One network, from its initial weights to its checkpoint, or for ResNet18 to its kernels and observations."""
    large = VARIANTS[name].network == "resnet18"
    path = kernels_path(name, seed) if large else checkpoint_path(name, seed)
    if path.exists():
        return
    split, model = split_for(name, seed), initial(name, seed)
    state = user_cache_path("vsbook") / "training" / f"{path.stem}.state"
    fit(on_accelerator(model) if large else model, split, recipe(name), seed, state)
    device = trained_on(model)
    if large:
        rounded_to_half(model.cpu())
    accuracy = evaluate(model, split.test)
    header = provenance(VARIANTS[name].network, recipe(name), seed, accuracy) | {"variant": name} | device
    if large:
        _save_large(name, seed, model, header)
    else:
        save_checkpoint(path, model, header)
    state.unlink(missing_ok=True)  # only now: until here it holds the training
    print(f"{name} seed {seed}: test accuracy {accuracy:.2%} -> {path.name}", flush=True)


def _save_large(name: str, seed: int, model, header: dict[str, str]) -> None:
    """A whole ResNet18 ships for seed 0 alone; of the others one layer, and what was observed while it was whole."""
    ships = name == "resnet18" and seed == 0
    save_checkpoint(checkpoint_path(name, seed) if ships else whole_path(name, seed), model.half(), header)
    model.float()
    if name == "resnet18":
        write(observation_path(f"{name}-seed{seed}"), observe(name, seed, model))
    layer = VARIANTS[name].layer
    before, after = (m.get_submodule(layer).weight.detach() for m in (initial(name, seed), model))
    save_kernels(kernels_path(name, seed), before, after, header)  # last: its presence says that all is there

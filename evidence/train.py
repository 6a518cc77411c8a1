"""Train every network of the evidence that has no checkpoint yet, resumable.

Some five minutes on one core for the small ones in all, about forty minutes for each ResNet18. CONTRIBUTING.md says to
how many digits a seed is repeated on another machine.

Run from the root: `make train`, or `python -m evidence.train fcnn1-linear` for one of them, and
`python -m evidence.train resnet18 2` for one seed.
"""

import hashlib
import sys
from pathlib import Path

from platformdirs import user_cache_path

from evidence.networks import VARIANTS, checkpoint_path, initial, kernels_path, observations_path, recipe, split_for
from evidence.observe import observe, rounded_to_half
from vsbook.files import write_beside
from vsbook.networks.checkpoints import save_checkpoint, save_kernels
from vsbook.networks.data import ASSETS
from vsbook.networks.training import evaluate, fit, provenance


def train(name: str, seed: int) -> None:
    """One network, from its initial weights to its checkpoint, or for ResNet18 to its kernels and observations."""
    large = VARIANTS[name].network == "resnet18"
    path = kernels_path(name, seed) if large else checkpoint_path(name, seed)
    if path.exists():
        return
    split, model = split_for(name, seed), initial(name, seed)
    state = user_cache_path("vsbook") / "training" / f"{path.stem}.state"
    fit(model, split, recipe(name), seed, state)
    if large:
        rounded_to_half(model)
    accuracy = evaluate(model, split.test)
    header = provenance(VARIANTS[name].network, recipe(name), seed, accuracy) | {"variant": name}
    if large:
        _save_large(name, seed, model, header)
    else:
        save_checkpoint(path, model, header)
    state.unlink(missing_ok=True)  # only now: until here it holds the training
    print(f"{name} seed {seed}: test accuracy {accuracy:.2%} -> {path.name}", flush=True)


def _save_large(name: str, seed: int, model, header: dict[str, str]) -> None:
    """A whole ResNet18 ships for seed 0 alone; of the others one layer, and what was observed while it was whole."""
    observe(name, seed, model, observations_path(name, seed))
    if name == "resnet18" and seed == 0:
        save_checkpoint(checkpoint_path(name, seed), model.half(), header)
        model.float()
    layer = VARIANTS[name].layer
    before, after = (m.get_submodule(layer).weight.detach() for m in (initial(name, seed), model))
    save_kernels(kernels_path(name, seed), before, after, header)  # last: its presence says that all is there


def write_checksums(folder: Path) -> None:
    """List the shipped files of a folder with their SHA-256, for `vsbook.networks.training`."""
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in sorted(folder.glob("*.safetensors"))]
    write_beside(folder / "SHA256SUMS", ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if not name.isdigit()] or VARIANTS
    for name in names:
        for seed in [int(seed) for seed in sys.argv[1:] if seed.isdigit()] or range(VARIANTS[name].seeds):
            train(name, seed)
    for folder in ("checkpoints", "kernels"):
        write_checksums(ASSETS / folder)
    print("every network asked for has its checkpoint")

"""Train every network of the evidence that has no checkpoint yet: some five minutes on one core, resumable.

Run from the root: `make train`, or `python -m evidence.train fcnn1-linear` for one of them.
"""

import hashlib
import sys

from platformdirs import user_cache_path

from evidence.networks import VARIANTS, checkpoint_path, initial, split_for
from vsbook.checks import write_beside
from vsbook.data import ASSETS
from vsbook.training import PAPER, evaluate, fit, provenance, save_checkpoint


def train(name: str, seed: int) -> None:
    """One network, from its initial weights to its checkpoint."""
    path = checkpoint_path(name, seed)
    if path.exists():
        return
    split, model = split_for(name, seed), initial(name, seed)
    state = user_cache_path("vsbook") / "training" / f"{path.stem}.state"
    fit(model, split, PAPER, seed, state)
    accuracy = evaluate(model, split.test)
    header = provenance(VARIANTS[name].network, PAPER, seed, accuracy) | {"variant": name}
    save_checkpoint(path, model, header)
    state.unlink(missing_ok=True)  # only now: until here it holds the training
    print(f"{name} seed {seed}: test accuracy {accuracy:.2%} -> {path.name}", flush=True)


def write_checksums() -> None:
    """List the shipped checkpoints with their SHA-256, for `vsbook.training.load`."""
    folder = ASSETS / "checkpoints"
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in sorted(folder.glob("*.safetensors"))]
    write_beside(folder / "SHA256SUMS", ("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    for name in sys.argv[1:] or VARIANTS:
        for seed in range(VARIANTS[name].seeds):
            train(name, seed)
    write_checksums()
    print("every network asked for has its checkpoint")

"""Train every network of the evidence that has no checkpoint yet, resumable.

Some five minutes on one core for the small ones in all, about forty minutes for each ResNet18, a quarter of an hour for
each invertible network, an hour by the paper's recipe; on a GPU, minutes for each of these. CONTRIBUTING.md says to how
many digits a seed is repeated on another machine.

Run from the root: `make train`, or `python -m evidence.train fcnn1-linear` for one of them, and
`python -m evidence.train resnet18 2` for one seed.
"""

import hashlib
import sys
from pathlib import Path

import torch

from evidence.common import seeds
from evidence.networks import VARIANTS
from evidence.train import exchanged, invertible, paper
from vsbook.checks import BadInput, one_of
from vsbook.files import write_beside
from vsbook.networks.data import ASSETS

EVERY = {name: (paper.train, seeds(name)) for name in VARIANTS}
EVERY |= {name: (invertible.train, invertible.SEEDS) for name in invertible.TRAINED}
EVERY |= {name: (exchanged.train, exchanged.SEEDS) for name in exchanged.EXCHANGED}


def write_checksums(folder: Path) -> None:
    """List the shipped files of a folder with their SHA-256, for `vsbook.networks.load`."""
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in sorted(folder.glob("*.safetensors"))]
    write_beside(folder / "SHA256SUMS", ("\n".join(lines) + "\n").encode())


def main(arguments: list[str]) -> int:
    """Train what is missing of the networks and seeds that are named, or of all; returns the exit status."""
    wanted = [int(word) for word in arguments if word.isdigit()]
    try:
        names = [one_of(word, EVERY, "network") for word in arguments if not word.isdigit()] or EVERY
        for name in names:
            train, of_the_evidence = EVERY[name]
            for seed in wanted or of_the_evidence:
                train(name, seed)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for folder in ("checkpoints", "kernels"):
        write_checksums(ASSETS / folder)
    print("every network asked for has its checkpoint")
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)  # sums are added in one order, however many cores there are
    sys.exit(main(sys.argv[1:]))

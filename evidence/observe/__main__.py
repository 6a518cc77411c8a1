"""What takes long to compute, or needs a whole ResNet18: the surveys by name.

Run from the root: `make survey` lists them and what is missing, `make survey NAME=reachable` makes what is missing of
one. An entry is written down as soon as it is there, so an interrupted survey goes on where it stopped; delete one in
`evidence/observations` to have it made again. Of ResNet18 only seed 0 ships: `python -m evidence.observe figure3
CHECKPOINT` looks at the network of another seed, which its header names.
"""

import sys
import time
from pathlib import Path

import torch

from evidence.networks import trained
from evidence.observe import figure3, invertible, reachable, resnet18, whole_inverse
from evidence.observe.runs import Run
from vsbook.checks import BadInput, one_of
from vsbook.networks.checkpoints import load_checkpoint, read_tensors

SURVEYS = {
    "resnet18": (resnet18.runs, "accuracies, kernels and errors; ten minutes a network"),
    "figure3": (figure3.runs, "starts and training of inputs for ResNet18; ten to twenty minutes a network"),
    "invertible": (invertible.runs, "what the invertible networks keep, lose and show; six minutes a network"),
    "reachable": (reachable.runs, "which outputs have an image; up to five minutes a network"),
    "whole-inverse": (whole_inverse.runs, "inverses of whole networks on real outputs; half an hour in all"),
}


def listed() -> str:
    """Every survey, and what is missing of it."""
    lines = []
    for name, (runs, what) in SURVEYS.items():
        missing = [run.name for run in runs() if run.missing()]
        lines.append(f"{name:14} {what}\n{'':14} {'missing: ' + ', '.join(missing) if missing else 'all is on file'}")
    return "\n".join(lines)


def make(runs: list[Run], model: torch.nn.Module | None) -> None:
    """Make the runs that are missing; of a ResNet18 that is given, or of the one that ships."""
    missing = [run for run in runs if run.missing()]
    for number, run in enumerate(missing, start=1):
        begun = time.perf_counter()
        if run.seed is None:
            run.write(run.make())
        else:
            run.write(run.make(trained("resnet18", run.seed) if model is None else model))
        print(f"[{number}/{len(missing)}] {run.name} ({time.perf_counter() - begun:.0f} s)", flush=True)
    print(f"{len(missing)} of {len(runs)} were missing")


def main(arguments: list[str]) -> int:
    """List the surveys, or make what is missing of one; returns the exit status."""
    if not arguments:
        print(listed())
        return 0
    name, *checkpoint = arguments
    try:
        runs, model = SURVEYS[one_of(name, SURVEYS, "survey")][0](), None
        if checkpoint:
            model = load_checkpoint(checkpoint[0], "resnet18")
            _, header = read_tensors(Path(checkpoint[0]), "train it again")
            runs = [run for run in runs if str(run.seed) == header.get("seed")]
        make(runs, model)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)  # sums are added in one order, however many cores there are
    sys.exit(main(sys.argv[1:]))

"""Which ideal outputs, and which real ones, have an image: yes with the image, no with a proof, or undecided.

One entry a network and seed: FCNN1 takes some ten seconds, FCNN5 some five minutes.
"""

from collections import Counter
from functools import partial

import numpy as np

from evidence.common import seeds
from evidence.networks import observation_path, trained
from evidence.observe.runs import Run
from vsbook.inversion.certificates import check_certificate
from vsbook.inversion.chains import Chain
from vsbook.inversion.ideal import READINGS, ideal_outputs
from vsbook.inversion.reachability import Reach, reach, trace_back
from vsbook.networks.data import Split, class_averages, mnist_split
from vsbook.networks.outputs import logits

ORIGINS = dict(zip(("paper", "code"), READINGS, strict=True))  # of the ideal outputs
NETWORKS = ("fcnn1", "fcnn5", "fcnn5_leaky_relu", "fcnn5_tanh", "fcnn5_relu")
SEEDS = {"fcnn5": range(5)}  # the first five, at five minutes each; the others were trained later
BOXES = {"pixels from 0 to 1": (0.0, 1.0), "any pixels": None}
TOLERANCE = 1e-8
REAL = 20  # test images whose outputs are asked for
FURTHER = 50.0  # times the largest output: what no image comes near, so that a proof is due


def counted(chain: Chain, targets: np.ndarray, found: tuple[Reach, ...], box) -> dict:
    """The answers, and what they rest on, each re-checked: the images by a forward pass, the proofs by the checker."""
    yes = [k for k, answer in enumerate(found) if answer.answer == "yes"]
    no = [k for k, answer in enumerate(found) if answer.answer == "no"]
    errors = [float(np.abs(chain(found[k].image)[0] - targets[k]).max()) for k in yes]
    low, high = (-np.inf, np.inf) if box is None else box
    return {
        "answers": dict(Counter(answer.answer for answer in found)),
        "each": [answer.answer for answer in found],
        "largest forward error of a yes": max(errors, default=None),
        "images in the box": sum(bool(np.all((found[k].image >= low) & (found[k].image <= high))) for k in yes),
        "certificates": dict(Counter(type(found[k].certificate).__name__ for k in no)),
        "certificates that stand": sum(check_certificate(chain, targets[k], found[k].certificate, box) for k in no),
        "distance of the best image": [answer.distance for answer in found],
        "distance proven": [answer.bound for answer in found],
        "range of the image": [[float(answer.image.min()), float(answer.image.max())] for answer in found],
    }


def starts_for(chain: Chain, target: np.ndarray, split: Split, outputs: np.ndarray) -> np.ndarray:
    """Two grey images, the average of the class, and the training image whose output is nearest."""
    nearest = split.train.images[np.linalg.norm(outputs - target, axis=1).argmin()]
    own = class_averages(split.train.images, split.train.labels)[target.argmax()]
    return np.stack([np.full(chain.inputs, 0.5), np.full(chain.inputs, 0.1), own, nearest.astype(np.float64)])


def asked(chain: Chain, targets: np.ndarray, box, starts) -> dict:
    """One target at a time, each from its own starts."""
    found = tuple(
        reach(chain, target, box, starts=None if starts is None else starts(target), atol=TOLERANCE, progress=False)[0]
        for target in targets
    )
    return counted(chain, targets, found, box)


def backwards(chain: Chain, targets: np.ndarray, box) -> dict[str, int]:
    """Where the way back through the layers ends, and with which answer there; 'image' where it arrives."""
    traces = trace_back(chain, targets, box, atol=TOLERANCE)
    names = [step.name for step in reversed(chain.steps)]
    ends = (
        "image" if trace.image is not None else f"{names[len(trace.layers) - 1]}: {trace.layers[-1].answer}"
        for trace in traces
    )
    return dict(Counter(ends))


def survey(name: str, seed: int) -> dict:
    """All of it for one network, as numbers that JSON takes."""
    model, split = trained(name, seed), mnist_split(seed)
    chain, outputs = Chain.of(model), logits(model, split.train.images).numpy().astype(np.float64)
    wanted = {origin: ideal_outputs(outputs, reading) for origin, reading in ORIGINS.items()}

    def starts(target):
        return starts_for(chain, target, split, outputs)

    real = chain(split.test.images[:REAL])
    far = FURTHER * np.abs(outputs).max() * np.sign(wanted["paper"][:2])
    targets = [*((key, rows, starts) for key, rows in wanted.items()), ("real", real, None), ("far", far, None)]
    found = {"network": name, "seed": seed, "tolerance": TOLERANCE}
    for key, rows, given in targets:
        found[key] = {label: asked(chain, rows, box, given) for label, box in BOXES.items()}
    if all(step.activation.inverse_function is not None for step in chain.steps):
        found["back through the layers"] = {
            key: {label: backwards(chain, rows, box) for label, box in BOXES.items()} for key, rows, _ in targets
        }
    return found


def runs() -> list[Run]:
    """Of each network and seed."""
    path = observation_path("reachable")
    return [
        Run(path, partial(survey, name, seed), f"{name}-{seed}")
        for name in NETWORKS
        for seed in SEEDS.get(name, seeds(name))
    ]

"""Whole-network inversion on real outputs: Gauss-Newton from three starts, and walks over the polytopes of ReLUs."""

import time
from functools import partial

import numpy as np
from tqdm import tqdm

from evidence.common import QUARTILES, sample
from evidence.networks import observation_path, split_for, trained
from evidence.observe.runs import Run
from vsbook.inversion.chains import Chain
from vsbook.inversion.image_statistics import nearest
from vsbook.inversion.layerwise import invert_layers
from vsbook.inversion.newton import invert
from vsbook.inversion.polytopes import affine_piece, pattern, walk
from vsbook.inversion.starts import STARTS, starting_images
from vsbook.linalg.lengths import relative_lengths
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.data import Images
from vsbook.networks.outputs import logits

SMOOTH, RELU, RESNET = ("fcnn1", "fcnn5", "fcnn5_leaky_relu"), "fcnn5_relu", "resnet18"
RESNET_OUTPUTS = 50  # one of its Jacobians takes as long as two hundred of FCNN5's
SEEDS = range(3)
WALKED = 50
PAIRED = 300  # outputs on which the walk and Gauss-Newton are compared
GOAL = 1e-8  # relative forward error up to which an image counts as found
VISIBLE = 0.01  # how far outside [0, 1] a pixel counts as outside


def quartiles(values) -> list[float]:
    """First quartile, median, third quartile."""
    return np.quantile(values, QUARTILES).tolist()


def to_training_images(images: np.ndarray, true: np.ndarray, train: Images) -> list[float]:
    """How far images lie from the nearest training image, over the true images' lengths."""
    return quartiles(nearest(images, train.images)[1] / np.linalg.norm(true, axis=1))


def quality(images: np.ndarray, starts: np.ndarray | None, true: np.ndarray, train: Images) -> dict:
    """How far images lie from their starts, the true images and the training images, over the true images' lengths."""
    outside = (images < -VISIBLE) | (images > 1 + VISIBLE)
    found = {
        "to the true image": quartiles(relative_lengths(images - true, true)),
        "to the nearest training image": to_training_images(images, true, train),
        "share of pixels outside": float(outside.mean()),
    }
    if starts is not None:
        found["to the start"] = quartiles(relative_lengths(images - starts, true))
        found["from the start to the true image"] = quartiles(relative_lengths(starts - true, true))
    return found


def outputs(name: str, seed: int, images: np.ndarray) -> np.ndarray:
    """The network's outputs in float64: the targets."""
    return logits(trained(name, seed).double(), images).numpy()


def newton_run(name: str, seed: int, kind: str, count: int) -> dict:
    """Gauss-Newton in one batch, on the outputs of the first `count` test images."""
    model, train, true = trained(name, seed), split_for(name, seed).train, sample()[:count]
    targets = outputs(name, seed, true)
    starts = starting_images(model, targets, train, kind)
    begun = time.perf_counter()
    found = invert(model, targets, starts)
    seconds = time.perf_counter() - begun
    return {
        "outputs": count,
        "share found": float((found.errors <= GOAL).mean()),
        "largest error": float(found.errors.max()),
        "steps": quartiles(found.steps),
        "most steps": int(found.steps.max()),
        "seconds": seconds,
        "named class is the label": float((targets.argmax(1) == split_for(name, seed).test.labels[:count]).mean()),
    } | quality(found.images, starts, true, train)


def newton_alone(name: str, seed: int, targets, starts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, errors and steps of Gauss-Newton, one output at a time."""
    model = trained(name, seed)
    pairs = tqdm(zip(targets, starts, strict=True), total=len(targets), leave=False)
    found = [invert(model, target[None], start[None], progress=False) for target, start in pairs]
    return tuple(np.concatenate([getattr(f, part) for f in found]) for part in ("images", "errors", "steps"))


def walks(name: str, seed: int, targets, starts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, errors and numbers of patterns of walks."""
    chain = Chain.of(trained(name, seed))
    pairs = tqdm(zip(targets, starts, strict=True), total=len(targets), leave=False)
    found = [walk(chain, target, start) for target, start in pairs]
    return tuple(np.array([getattr(w, part) for w in found]) for part in ("image", "error", "patterns"))


def layerwise(name: str, seed: int, targets, _) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images and errors of equation (5), one output at a time; each layer's pseudo-inverse is made once."""
    chain = Chain.of(trained(name, seed))
    found = [invert_layers(chain, target[None]) for target in targets]
    errors = np.concatenate([f.forward_error for f in found])
    return np.concatenate([f.images for f in found]), errors, np.ones(len(errors))


METHODS = {"walk": walks, "Gauss-Newton": newton_alone, "equation (5)": layerwise}
SIDE_BY_SIDE = [
    (RELU, "walk"),
    (RELU, "Gauss-Newton"),
    ("fcnn5", "Gauss-Newton"),
    ("fcnn5_leaky_relu", "Gauss-Newton"),
    ("fcnn5", "equation (5)"),
    ("fcnn5_leaky_relu", "equation (5)"),
]


def side_by_side(seed: int) -> dict:
    """The ReLU twin's walk beside the inverses of the other networks: the same images, one at a time, one run."""
    rows, true = {}, sample()[:WALKED]
    for name, method in SIDE_BY_SIDE:
        train, targets = split_for(name, seed).train, outputs(name, seed, true)
        starts = starting_images(trained(name, seed), targets, train, "class average")
        begun = time.perf_counter()
        images, errors, steps = METHODS[method](name, seed, targets, starts)
        rows[f"{name}, {method}"] = {
            "seconds an output": (time.perf_counter() - begun) / WALKED,
            "share found": float((errors <= GOAL).mean()),
            "largest error": float(errors.max()),
            "steps": quartiles(steps),
        } | quality(images, None if method == "equation (5)" else starts, true, train)
    return rows


def walk_run(seed: int, kind: str) -> dict:
    """Walks on the outputs of the first test images."""
    train, true = split_for(RELU, seed).train, sample()[:WALKED]
    targets = outputs(RELU, seed, true)
    starts = starting_images(trained(RELU, seed), targets, train, kind)
    begun = time.perf_counter()
    images, errors, patterns = walks(RELU, seed, targets, starts)
    return {
        "outputs": WALKED,
        "share found": float((errors <= GOAL).mean()),
        "share found by one pseudo-inverse": float((one_step_errors(seed, targets, starts) <= GOAL).mean()),
        "largest error": float(errors.max()),
        "patterns": quartiles(patterns),
        "most patterns": int(patterns.max()),
        "seconds": time.perf_counter() - begun,
    } | quality(images, starts, true, train)


def paired_run(seed: int, kind: str) -> dict:
    """Which of the first test images' outputs a walk misses, and which Gauss-Newton, from the same starts."""
    train, true = split_for(RELU, seed).train, sample()[:PAIRED]
    targets = outputs(RELU, seed, true)
    starts = starting_images(trained(RELU, seed), targets, train, kind)
    errors = {
        "the walk": walks(RELU, seed, targets, starts)[1],
        "Gauss-Newton": invert(trained(RELU, seed), targets, starts).errors,
    }
    return {f"missed by {method}": np.flatnonzero(~(found <= GOAL)).tolist() for method, found in errors.items()}


def one_step_errors(seed: int, targets, starts) -> np.ndarray:
    """Relative errors after one step by the pseudo-inverse of the affine map of the start's pattern."""
    chain = Chain.of(trained(RELU, seed))
    pieces = [affine_piece(chain, pattern(chain, start)) for start in starts]
    rows = zip(targets, starts, pieces, strict=True)
    images = [x + FourSubspaces.of(piece.A).pinv(t - piece.A @ x - piece.c) for t, x, piece in rows]
    return relative_lengths(chain(np.array(images)) - targets, targets)


def nearest_control(seed: int) -> dict:
    """How far test images lie from their nearest training image, over their lengths."""
    true = sample()
    return {"to the nearest training image": to_training_images(true, true, split_for(RELU, seed).train)}


def runs() -> list[Run]:
    """Every run under its key, the dearest last."""
    found = {f"test images, seed {seed}": partial(nearest_control, seed) for seed in SEEDS}
    found |= {f"side by side, seed {seed}": partial(side_by_side, seed) for seed in SEEDS}
    found |= {f"walk, {STARTS[0]}, seed {seed}": partial(walk_run, seed, STARTS[0]) for seed in SEEDS}
    found |= {f"pairs, {STARTS[0]}, seed {seed}": partial(paired_run, seed, STARTS[0]) for seed in SEEDS}
    kinds = [(kind, seed) for kind in STARTS for seed in SEEDS]
    for name in (*SMOOTH, RELU):
        found |= {f"{name}, {kind}, seed {seed}": partial(newton_run, name, seed, kind, 1000) for kind, seed in kinds}
    found |= {f"walk, {kind}, seed {seed}": partial(walk_run, seed, kind) for kind, seed in kinds[3:]}
    found |= {f"{RESNET}, {STARTS[0]}, seed 0": partial(newton_run, RESNET, 0, STARTS[0], RESNET_OUTPUTS)}
    return [Run(observation_path("whole-inverse"), make, key) for key, make in found.items()]

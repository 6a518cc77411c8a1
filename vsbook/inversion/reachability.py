"""Is an output reachable? Yes, with an image; no, with a certificate; or undecided, with the best that was found.

Source: section 2.4 of the paper, equation (5) and the ideal outputs: an output that the last activation can take may
still have no image, since the layers before it have ranges of their own, and pixels run from 0 to 1.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from vsbook.checks import BadInput, as_rows, instance_of, number
from vsbook.inversion.bounded import gap, nearest_input, search
from vsbook.inversion.certificates import OutOfRange, Separation, as_box, check_certificate, error_bounds
from vsbook.inversion.chains import Chain, Step
from vsbook.inversion.relaxations import relaxed_output
from vsbook.linalg.activations import Activation
from vsbook.shown import Shown

__all__ = ["Reach", "Trace", "reach", "trace_back"]

SECONDS = 3600.0  # a target: some sixty times what one of the book's networks takes at most
ROUNDS, GIVE = 12, 1e-3  # of linear programmes for one layer; a small step of the distance
FAR = 1e9  # stands for infinity in a linear programme
SHARES = 1 - 1e-9, 1 - 1e-6, 0.999, 0.99, 0.9, 0.5  # of a distance that floats claim, to stand an exact check


@dataclass(frozen=True, eq=False, repr=False)
class Reach(Shown):
    """What is known of one target.

    `answer` is 'yes': `image` lies in the box, and its output is within `atol` of the target, in float64 and in
    exact arithmetic; 'no': `certificate` proves that no image's is; or 'undecided'. In each case `image` is the best
    found, `distance` the largest difference of its output from the target, in float64, and `bound` a distance below
    which, as is proven, no image comes: 0 where nothing is.
    """

    answer: str
    image: Float[np.ndarray, " n"]
    distance: float
    bound: float
    certificate: OutOfRange | Separation | None
    atol: float


@dataclass(frozen=True, eq=False, repr=False)
class Trace(Shown):
    """A target taken back layer by layer, the last layer first, as far as it goes.

    Each `Reach` is of one layer: its `image` is the layer's input. If the last of them isn't a 'yes', its answer is
    about the inputs chosen before, not about the network: others, farther from the minimum norm, may go on.
    """

    layers: tuple[Reach, ...]
    image: Float[np.ndarray, " n"] | None


def reach(
    chain: Chain,
    targets,
    box=(0.0, 1.0),
    *,
    starts=None,
    atol: float = 1e-8,
    seconds: float = SECONDS,
    progress: bool = True,
) -> tuple[Reach, ...]:
    r"""Is there an image $x$ in the box with $f_L(W_L \cdots f_1(W_1 x + b_1) \cdots + b_L) = $ target?

    One layer asks for a point of a polytope: the image nearest to that of equation (5), or a vector of Farkas' lemma
    from a linear programme. Several layers are not a convex problem: 'yes' comes from a search (Levenberg-Marquardt
    within the box), 'no' from a convex relaxation of the activations between bounds of their inputs, layer by layer. A
    relaxation that contains the target says nothing. No 'no' is given that `check_certificate` refuses, and no 'yes'
    that `error_bounds` does. The linear programme sees no distance below some 1e-7: a target so near to what is
    reachable may stay undecided. So may one of a single layer without box, unless the rows of W that depend on each
    other cancel exactly.

    Args:
        chain: the network; its last activation needs an inverse.
        targets: (N, outputs), in the unit of the outputs.
        box: (low, high) of the pixels, numbers or vectors; None for all images.
        starts: (K, inputs) images to search from, for several layers; left out, three grey ones.
        atol: how far any number of an output may lie from its target, absolute, in its unit.
        seconds: the time for each target. What is proven by then stands; the rest is undecided.
        progress: show a bar with the time left.

    Raises:
        BadInput: for a last activation without inverse, targets of another length or not finite, a box whose sides
            don't satisfy low < high, an `atol` that isn't above 0, or a time that isn't finite.

    Source: section 2.4 of the paper.

    >>> from vsbook.linalg import identity
    >>> layer = Step("sum", np.array([[1.0, 1.0]]), np.zeros(1), identity())
    >>> yes, no = reach(Chain((layer,)), [[1.0], [3.0]], progress=False)
    >>> yes.answer, yes.image, no.answer, no.certificate.multipliers, round(no.bound, 3)
    ('yes', array([0.5, 0.5]), 'no', (array([1.]),), 1.0)
    """
    targets = _targets(chain, targets)
    box, atol, seconds = as_box(box, chain.inputs), _atol(atol), number(seconds, "seconds")
    starts = np.clip(_grey(*box) if starts is None else as_rows(starts, chain.inputs, "starts"), *box)
    bar = tqdm(targets, unit="target", disable=not progress, leave=False)
    return tuple(_Question(chain, target, box, box, atol, time.monotonic() + seconds).answer(starts) for target in bar)


def trace_back(
    chain: Chain, targets, box=None, *, atol: float = 1e-8, margin: float = 1e-6, seconds: float = SECONDS
) -> tuple[Trace, ...]:
    r"""Equation (5) with its freedom used: back through each layer to the nearest input that can be an output.

    Of all $h$ with $W h + b = f^{-1}(\text{Out})$ the one nearest to the minimum-norm $W^+ (f^{-1}(\text{Out}) - b)$
    among those inside the open range of the activation before; for the first layer, inside the box.

    Args:
        chain: the network; each activation needs an inverse.
        targets: (N, outputs), in the unit of the outputs.
        box: (low, high) of the pixels, numbers or vectors; None for all images.
        atol: how far any number of a layer's output may lie from what is wanted, absolute.
        margin: the distance kept from the ends of a range, where the inverse runs to infinity.
        seconds: the time for each target, as for `reach`.

    Raises:
        BadInput: for an activation without inverse, a margin that leaves nothing of a range, and as `reach`.

    Source: section 2.4 of the paper, equation (5).

    >>> from vsbook.linalg import tanh
    >>> steps = Step("first", np.eye(2), np.zeros(2), tanh()), Step("sum", np.array([[1.0, 2.0]]), np.zeros(1), tanh())
    >>> inside, outside = trace_back(Chain(steps), np.tanh([[2.5], [3.5]]))
    >>> inside.layers[0].image.round(3), outside.layers[0].answer  # the minimum-norm input is (0.5, 1)
    (array([0.5, 1. ]), 'no')
    """
    targets = _targets(chain, targets)
    for step in chain.steps:
        _invertible(step.activation)
    sides, atol, margin = as_box(box, chain.inputs), _atol(atol), _margin(chain, margin)
    seconds = number(seconds, "seconds")
    return tuple(_trace(chain.steps, target, sides, atol, margin, seconds) for target in targets)


def _targets(chain: Chain, targets) -> Float[np.ndarray, "N m={chain.outputs}"]:
    instance_of(chain, Chain, "chain")
    _invertible(chain.steps[-1].activation)
    return as_rows(targets, chain.outputs, "targets")


def _invertible(f: Activation) -> None:
    if f.inverse_function is None:
        raise BadInput(
            f"chain: expected an activation with an inverse, got {f.name}; "
            "invert inside one pattern, by vsbook.inversion.walk"
        )


def _atol(atol) -> float:
    if number(atol, "atol") == 0:
        raise BadInput("atol: expected a number above 0, got 0; float64 reproduces no output exactly")
    return float(atol)


def _margin(chain: Chain, margin) -> float:
    half = min(((step.activation.high - step.activation.low) / 2 for step in chain.steps[:-1]), default=np.inf)
    if not number(margin, "margin") < half:
        raise BadInput(f"margin: expected less than {half:g}, half of a layer's range, got {margin!r}; narrow it")
    return float(margin)


def _grey(low: Float[np.ndarray, " n"], high: Float[np.ndarray, " n"]) -> Float[np.ndarray, "3 n"]:
    """Three grey images; sides at infinity are replaced, so that the box is one unit wide there."""
    high = np.where(np.isfinite(high), high, np.where(np.isfinite(low), low + 1, 1.0))
    low = np.where(np.isfinite(low), low, high - 1)
    return np.stack([(1 - share) * low + share * high for share in (0.5, 0.1, 0.9)])


@dataclass(frozen=True, eq=False)
class _Question:
    """Is there an image in the box whose output is within `atol` of the target? To be answered by a time.

    Images that come up on the way are brought within `inner`, which lies in the box.
    """

    chain: Chain
    target: Float[np.ndarray, " m"]
    box: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]
    inner: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]
    atol: float
    until: float

    @property
    def last(self) -> Activation:
        """Its range holds the outputs."""
        return self.chain.steps[-1].activation

    def candidates(self, starts: np.ndarray | None) -> Iterable[np.ndarray]:
        """Images that may be the one: of one layer the nearest to the minimum norm, of several what a search finds."""
        if len(self.chain.steps) == 1:
            aim = _aim(self.last, self.target, self.atol)
            return [nearest_input(self.chain.steps[0], aim, self.inner, self.until)]
        aims = _aims(self.last, self.target, self.atol)
        return search(self.chain, aims, self.box, self.atol / 100, starts, self.until)

    @np.errstate(over="ignore", invalid="ignore")  # a step that leaves float64 is no good, and answers are checked
    def answer(self, starts: np.ndarray | None = None) -> Reach:
        """'yes' if an image is good enough, 'no' if it can be proven for the box, else 'undecided'."""
        judged = []
        for image in self.candidates(starts):
            judged.append(self._judged(image))
            if judged[-1].answer == "yes":
                return judged[-1]
        certificate, proposed = self._certificate()
        judged += [self._judged(np.clip(image, *self.inner)) for image in proposed]
        found = min(judged, key=lambda one: (one.answer != "yes", one.distance))
        if certificate is None:
            return found
        return replace(found, answer="no", bound=certificate.distance, certificate=certificate)

    def _judged(self, image: np.ndarray) -> Reach:
        """'yes' where float64 says so, one by one, as a check does, and exact arithmetic too; else 'undecided'."""
        distance = float(np.abs(gap(self.chain, (self.target, self.target), image)).max())
        near = distance <= self.atol and max(error_bounds(self.chain, image, self.target)) <= self.atol
        return Reach("yes" if near else "undecided", image, distance, 0.0, None, self.atol)

    def _certificate(self) -> tuple:
        """What proves the 'no', if it stands the check, else None; and images that came up on the way."""
        f, target, images = self.last, self.target, []
        beyond = np.maximum(f.low - target, target - f.high)
        unit = int(beyond.argmax())
        if beyond[unit] > self.atol:
            claims = [OutOfRange(unit, float(beyond[unit]) * (1 - 1e-9)), OutOfRange(unit, self.atol)]
        else:
            claims, images = self._separations()
        stands = (claim for claim in claims if check_certificate(self.chain, target, claim, self.box))
        return next(stands, None), images

    def _separations(self) -> tuple[list, list]:
        """Separations to try, the strongest first; and the relaxation's images where it is the network itself.

        What parts the target leaves a distance d. What parts all that is within d of the target, ends of ranges weighed
        by how fast they move, leaves a larger one: so it goes on, for one layer to the largest.
        """
        steps, f, target, images = self.chain.steps, self.last, self.target, []
        skipped, inner = _bounded_part(steps, *self.box)
        skipped_steps, steps = steps[:skipped], steps[skipped:]
        distance, claims = 0.0, []
        for _ in range(ROUNDS if len(steps) == 1 else 1):
            ends, further = _ends(f, target, distance), _ends(f, target, distance + GIVE)
            # within a thousand of each other, and at first all alike: the programme's own tolerance is no finer
            pace = np.clip(np.abs(further - ends) / GIVE, 1e-3, 1e3) if distance else np.ones_like(ends)
            relaxed = relaxed_output(steps, ends, pace, inner, self.until)
            if relaxed is None:
                break
            v = relaxed.multipliers[-1]
            images += [relaxed.image] if len(self.chain.steps) == 1 else []
            bound = _least(v, ends) - relaxed.excess * (np.where(v > 0, *pace) @ np.abs(v))
            new = _parted(f, target, v, bound)
            if not relaxed.excess > 0 or new <= distance * (1 + 1e-6):
                break
            distance = new
            vectors = tuple(vector / np.abs(v).max() + 0.0 for vector in relaxed.multipliers)  # no -0
            if np.isinf(inner).all(axis=0).any():  # there they must cancel exactly: short ones may
                vectors = tuple(np.round(vector * 2**30) / 2**30 for vector in vectors)
            vectors = (*(np.zeros_like(step.bias) for step in skipped_steps), *vectors)
            shares = [distance * share for share in SHARES if distance * share > self.atol]
            claims = [Separation(vectors, claim) for claim in (*shares, self.atol)] + claims
        return claims, images


def _trace(steps: tuple[Step, ...], target, box: tuple, atol: float, margin: float, seconds: float) -> Trace:
    layers, until = [], time.monotonic() + seconds
    for at in range(len(steps) - 1, -1, -1):
        step, f = steps[at], steps[at - 1].activation
        whole = box if at == 0 else as_box((f.low, f.high), step.weight.shape[1])
        inner = box if at == 0 else (whole[0] + margin, whole[1] - margin)
        layers.append(_Question(Chain((step,)), target, whole, inner, atol, until).answer())
        target = layers[-1].image
        if layers[-1].answer != "yes":
            return Trace(tuple(layers), None)
    return Trace(tuple(layers), target)


def _aim(f: Activation, target: Float[np.ndarray, " m"], atol: float) -> Float[np.ndarray, " m"]:
    """What is to go into the last activation; targets at the ends of its range are moved in by half of `atol`."""
    inside = np.where(target <= f.low, f.low + atol / 2, target)
    return f.inverse(np.where(target >= f.high, f.high - atol / 2, inside)).values


def _aims(
    f: Activation, target: Float[np.ndarray, " m"], atol: float
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
    """Ends between which it may lie: where `atol` reaches the end of the range, all beyond is as good."""
    inside = np.clip(target, f.low + atol / 2, f.high - atol / 2)
    aim = f.inverse(inside).values
    return np.where(inside > target, -np.inf, aim), np.where(inside < target, np.inf, aim)


# a certificate, from a linear programme


def _bounded_part(steps: tuple[Step, ...], low: np.ndarray, high: np.ndarray) -> tuple[int, tuple]:
    """How many layers to leave out, and the range that stands for them: without a box nothing else bounds them."""
    for skipped, step in enumerate(steps[:-1]):
        if np.isfinite([low, high]).all():
            return skipped, (low, high)
        low, high = as_box((step.activation.low, step.activation.high), len(step.bias))
    return len(steps) - 1, (low, high)


def _ends(f: Activation, target: Float[np.ndarray, " m"], distance: float) -> Float[np.ndarray, "2 m"]:
    """(2, outputs): what goes into f for an output within the distance; far out where its range ends before."""
    low, high = target - distance, target + distance
    below = np.where(low > f.low, f.inverse(low).values, -FAR)
    return np.stack([below, np.where(high < f.high, f.inverse(high).values, FAR)])


def _least(v: Float[np.ndarray, " m"], ends: Float[np.ndarray, "2 m"]) -> float:
    return float(v @ np.where(v > 0, *ends))


def _parted(f: Activation, target: np.ndarray, v: np.ndarray, bound: float) -> float:
    """The largest distance around the target that v parts from what has v . a <= bound."""
    near, far = 0.0, 1.0
    while _least(v, _ends(f, target, far)) > bound and far < FAR:  # thirty times at most
        near, far = far, 2 * far
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (middle, far) if _least(v, _ends(f, target, middle)) > bound else (near, middle)
    return near

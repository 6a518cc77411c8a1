"""How a claim is judged: four kinds of rule, and what each says of data as the claim or its opposite would make them.

Each rule but a theorem's names what the words mean (`claimed`) and what holds if they are wrong (`null`), and comes out
for the one, for the other, or for neither. Whether it can is simulated before it is believed: `draw` makes the data.
"""

import functools
from dataclasses import dataclass
from statistics import median

import numpy as np
import scipy  # its parts are loaded when they are used
from jaxtyping import Float

from vsbook.checks import BadInput, as_vector, one_of
from vsbook.linalg.significance import holm, p_value

__all__ = [
    "HYPOTHESES",
    "LEVEL",
    "VERDICTS",
    "Law",
    "Mean",
    "Number",
    "Theorem",
    "confidence_interval",
    "of_control",
    "prediction_interval",
    "rule_of",
]

VERDICTS = {  # and the sign of each: they differ without colour
    "theorem": "=",
    "reproduced": "✓",
    "contradicted": "✗",
    "undecided": "?",
    "artefact": "≈",
    "open": "·",
}
HYPOTHESES = ("claimed", "null")
LEVEL = 0.025  # the chance of an error on each side


def _seeds(values, name: str = "runs") -> Float[np.ndarray, " seeds"]:
    """The values of at least three seeds, finite: from fewer, or from NaN, no rule can judge."""
    masked = isinstance(values, np.ma.MaskedArray)  # a list of it would forget which
    values = list(values) if np.iterable(values) and not masked else values
    if isinstance(values, list) and len(values) < 3:
        raise BadInput(f"{name}: expected at least 3 seeds, got {len(values)}; a spread needs them")
    return as_vector(values, None, name)


@functools.cache
def _quantile(freedom: int) -> float:
    return float(scipy.stats.t.ppf(1 - LEVEL, freedom))


def prediction_interval(values) -> tuple[float, float]:
    r"""Where one more seed would fall with probability 0.95: $\bar v \pm t_{0.975,\,n-1}\, s \sqrt{1 + 1/n}$.

    Raises:
        BadInput: for fewer than three values, or values that aren't finite numbers.

    >>> [round(end, 3) for end in prediction_interval([1.0, 2.0, 3.0])]
    [-2.968, 6.968]
    """
    values = _seeds(values)
    half = _quantile(values.size - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / values.size)
    return float(values.mean() - half), float(values.mean() + half)


def confidence_interval(values, least_variance: float = 0.0) -> tuple[float, float]:
    r"""Where the mean of all seeds lies, with a confidence of 0.95: $\bar v \pm t_{0.975,\,n-1}\, s / \sqrt{n}$.

    Args:
        values: of three seeds at least.
        least_variance: what $s^2$ is at least, where the scatter within a seed is known.

    Raises:
        BadInput: for fewer than three values, or values that aren't finite numbers.

    >>> [round(end, 3) for end in confidence_interval([1.0, 2.0, 3.0])]
    [-0.484, 4.484]
    """
    values = _seeds(values)
    half = _quantile(values.size - 1) * np.sqrt(max(values.var(ddof=1), least_variance) / values.size)
    return float(values.mean() - half), float(values.mean() + half)


def of_control(control: dict, key: str) -> dict | list:
    """What the control has under a key, or `BadInput`."""
    if key not in control:
        raise BadInput(f"control: expected one with {key!r}, got {', '.join(control) or 'none'}; the rule asks for it")
    return control[key]


_SCALES = {  # there and back
    "plain": (np.asarray, np.asarray),
    "log": (np.log, np.exp),
    "logit": (lambda values: scipy.special.logit(values), lambda values: scipy.special.expit(values)),  # loaded late
}


def _checked(artefact: str) -> None:
    if artefact:
        one_of(artefact, ("control too", "control not"), "artefact")


@dataclass(frozen=True)
class Theorem:
    """An identity, or what follows from shapes: no run's error exceeds `bound`, and every run of the control does.

    The control breaks the identity on purpose. A theorem that fails its check shows an error in the code.

    >>> Theorem(1e-9).decide([0.0, 1e-15, 1e-16], {"runs": {0: 0.5, 1: 0.4}})
    'theorem'
    """

    bound: float

    def decide(self, runs, control: dict) -> str:
        """The verdict, without a word of why."""
        broken = min(of_control(control, "runs").values())
        return "theorem" if max(_seeds(runs)) <= self.bound < broken else "contradicted"

    def why(self, runs, control: dict, form: str) -> str:
        """The sentence that gives the numbers that were compared."""
        broken = min(of_control(control, "runs").values())
        return f"largest error {max(runs):.0e}, allowed {self.bound:.0e}; broken on purpose at least {broken:.0e}"


@dataclass(frozen=True)
class Number:
    """A printed number: it, give or take half its last digit, meets the 95 % prediction interval of the seeds.

    An interval that is wider than `apart`, by which another number would differ, each way, decides nothing.

    >>> Number("92", apart=1.0).decide([91.9, 92.0, 92.1], {})
    'reproduced'
    """

    stated: str
    apart: float
    artefact: str = ""

    def __post_init__(self) -> None:
        """Refuse what no control can say."""
        _checked(self.artefact)

    def decide(self, runs, control: dict) -> str:
        """The verdict, before the control has its say."""
        low, high = prediction_interval(runs)
        half = 0.5 * 10.0 ** -len(self.stated.partition(".")[2])
        if low > float(self.stated) + half or float(self.stated) - half > high:
            return "contradicted"
        return "reproduced" if (high - low) / 2 <= self.apart else "undecided"

    def why(self, runs, control: dict, form: str) -> str:
        """The sentence that gives the numbers that were compared."""
        low, high = prediction_interval(runs)
        return f"one more seed would fall between {low:{form}} and {high:{form}}; the paper states {self.stated}"

    def draw(self, hypothesis: str, count: int, runs, control: dict, generator: np.random.Generator) -> list[float]:
        """So many seeds, scattered as those on file, around the stated number or one that differs."""
        centre = float(self.stated) + (0 if hypothesis == "claimed" else self.apart * generator.choice([-1, 1]))
        return generator.normal(centre, np.std(runs, ddof=1), count).tolist()


@dataclass(frozen=True)
class Mean:
    """The mean over the seeds: its 95 % confidence interval lies on one side of the middle of `claimed` and `null`.

    The middle is taken on the `scale`, on which seeds scatter evenly: 'plain', 'log' for ratios, 'logit' for shares.
    `outcomes`: of how many yes or no a share is made; a seed scatters at least as such shares do.

    >>> Mean(claimed=2.0, null=1.0, scale="log").decide([1.1, 1.0, 1.2], {})
    'contradicted'
    """

    claimed: float
    null: float
    scale: str = "plain"
    outcomes: int = 0
    artefact: str = ""

    def __post_init__(self) -> None:
        """Refuse scales that there aren't, and what no control can say."""
        one_of(self.scale, _SCALES, "scale")
        _checked(self.artefact)

    def on_scale(self, values):
        """Values as the rule looks at them; shares of outcomes are kept off 0 and 1 by half an outcome."""
        values = np.asarray(values, np.float64)
        if self.outcomes:
            values = (values * self.outcomes + 0.5) / (self.outcomes + 1)
        return _SCALES[self.scale][0](values)

    def off_scale(self, values):
        """From the scale to what is read."""
        return _SCALES[self.scale][1](np.asarray(values))

    def _within(self, runs) -> float:
        """The variance on the scale that so many outcomes alone would give."""
        if not self.outcomes:
            return 0.0
        hits = np.asarray(runs) * self.outcomes
        return float(np.mean(1 / (hits + 0.5) + 1 / (self.outcomes - hits + 0.5)))

    @property
    def middle(self) -> float:
        """The bound, on the scale."""
        return float(np.mean(self.on_scale([self.claimed, self.null])))

    def _ends(self, runs) -> tuple[float, float]:
        return confidence_interval(self.on_scale(_seeds(runs)), self._within(runs))

    def decide(self, runs, control: dict) -> str:
        """The verdict, before the control has its say."""
        low, high = self._ends(runs)
        if not (high < self.middle or low > self.middle):
            return "undecided"
        return "reproduced" if (low > self.middle) == (self.claimed > self.null) else "contradicted"

    def why(self, runs, control: dict, form: str) -> str:
        """The sentence that gives the numbers that were compared."""
        low, high = (f"{self.off_scale(end):{form}}" for end in self._ends(runs))
        side = "above" if self.claimed > self.null else "below"
        return f"95 % confidence interval of the mean {low} to {high}, to lie {side} {self.off_scale(self.middle):.3g}"

    def draw(self, hypothesis: str, count: int, runs, control: dict, generator: np.random.Generator) -> list[float]:
        """So many seeds, scattered as those on file, around what is claimed or its opposite."""
        centre = self.on_scale(getattr(self, hypothesis))
        variance = max(0.0, self.on_scale(runs).var(ddof=1) - self._within(runs))
        values = self.off_scale(generator.normal(centre, np.sqrt(variance), count))
        return (generator.binomial(self.outcomes, values) / self.outcomes if self.outcomes else values).tolist()


@dataclass(frozen=True)
class Law:
    """Two laws of the statistic, by exact p-values: how likely as much as this is without, how likely as little with.

    The laws are draws that the control brings ('null' and 'claimed'), or with `of` those of so many tries of which each
    comes out with probability `null` or `claimed`. Where `seeds` are 'independent' their p-values are combined by
    Fisher's sum; where they are 'alike', being judged on the same few things, the median seed speaks. p-values of a
    `family` of claims are adjusted by Holm.

    >>> Law(of=10, null=0.5, claimed=0.95, seeds="alike").decide([10, 10, 9], {})
    'reproduced'
    """

    side: str = "above"
    of: int = 0
    null: float = 0.5
    claimed: float = 0.5
    seeds: str = "independent"
    family: str = ""
    artefact: str = ""

    def __post_init__(self) -> None:
        """Refuse sides and kinds of seeds that there aren't, and what no control can say."""
        _checked(self.artefact)
        one_of(self.side, ("above", "below"), "side")
        one_of(self.seeds, ("independent", "alike"), "seeds")

    def _p(self, value: float, hypothesis: str, above: bool, control: dict) -> float:
        """The chance of a value so far up (or down) under one of the laws."""
        if self.of:
            law = scipy.stats.binom(self.of, getattr(self, hypothesis))
            return float(law.sf(value - 1) if above else law.cdf(value))
        draws = np.asarray(of_control(control, hypothesis))
        return p_value(value, draws) if above else p_value(-value, -draws)

    def p_values(self, runs, control: dict) -> tuple[float, float]:
        """Of the null law and of the claimed one, combined over the seeds."""
        found = []
        for hypothesis in ("null", "claimed"):
            above = (self.side == "above") == (hypothesis == "null")
            ps = [self._p(value, hypothesis, above, control) for value in _seeds(runs)]
            found.append(median(ps) if self.seeds == "alike" else float(scipy.stats.combine_pvalues(ps).pvalue))
        return tuple(found)

    def decide(self, runs, control: dict, family=()) -> str:
        """The verdict, beside the p-values of the family's other members."""
        against_null, against_claimed = self.adjusted(runs, control, family)
        if (against_null <= LEVEL) == (against_claimed <= LEVEL):
            return "undecided"
        return "reproduced" if against_null <= LEVEL else "contradicted"

    def adjusted(self, runs, control: dict, family=()) -> tuple[float, float]:
        """The p-values after Holm's adjustment."""
        return tuple(float(holm(ps)[0]) for ps in zip(self.p_values(runs, control), *family, strict=True))

    def why(self, runs, control: dict, form: str, family=()) -> str:
        """The sentence that gives the numbers that were compared."""
        against_null, against_claimed = self.adjusted(runs, control, family)
        return f"p = {against_null:.2g} if it were chance, p = {against_claimed:.2g} if it were as the words say"

    def draw(self, hypothesis: str, count: int, runs, control: dict, generator: np.random.Generator) -> list[float]:
        """So many seeds from one of the laws; alike ones are all the same."""
        differ = 1 if self.seeds == "alike" else count
        if self.of:
            values = generator.binomial(self.of, getattr(self, hypothesis), differ).astype(float)
        else:
            values = generator.choice(np.asarray(of_control(control, hypothesis)), differ)
        return values.tolist() * (count // differ)


KINDS = {"theorem": Theorem, "number": Number, "mean": Mean, "law": Law}


def rule_of(rule: dict, stated: str) -> Theorem | Number | Mean | Law:
    """A rule as the ledger's file writes it, with its `kind`.

    Raises:
        BadInput: for another kind, or settings that it doesn't have.

    >>> rule_of({"kind": "number", "apart": 1.0}, "92")
    Number(stated='92', apart=1.0, artefact='')
    """
    settings = {key: value for key, value in rule.items() if key != "kind"}
    kind = KINDS[one_of(rule.get("kind"), KINDS, "rule")]
    try:
        return kind(**settings | ({"stated": stated} if kind is Number else {}))
    except TypeError as error:
        raise BadInput(f"rule: expected the settings of {kind.__name__}, got {rule} ({error}); see its page") from None

"""The ledger: each checkable claim of the paper, what was measured, and the verdict by a rule.

`evidence/claims.toml` holds the claims and their rules; `evidence/results/<id>.json` the measurements,
`evidence/observations/<name>.json` what some of them rest on, and `evidence/power.json` what the rules say of simulated
data. A claim without a measurement is open. Everything that shows a number (pages, tests, README) reads these files;
verdicts stand in none: they are judged anew when they are asked for.
"""

import functools
import hashlib
import json
import platform
import tomllib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from vsbook.checks import BadInput, one_of
from vsbook.files import write_beside
from vsbook.judging import VERDICTS, Law, Mean, Number, Theorem, of_control, rule_of

__all__ = [
    "Claim",
    "Measurement",
    "by_place",
    "claims",
    "family",
    "finding",
    "goes_both_ways",
    "judge",
    "measured",
    "on_file",
    "observation",
    "paper_map",
    "place_of",
    "power",
    "record",
    "result",
    "tally",
    "verdict",
    "why",
]

HERE = Path(__file__).parent
# inside a wheel the evidence travels in the package, in a checkout it stands beside it
PARTS = ("claims.toml", "power.json", "results", "observations")
PLACES_IN_PAPER = (
    *("Abstract", "2.1 Subspaces", "2.2 One neuron", "2.3 The SVD", "2.4 Inverses"),
    *("Figure 1", "Figure 2", "Figure 3", "3 The rest", "4 Conclusion"),
)
PLACES = (HERE / "evidence", HERE.parent / "evidence")


POWER, MISTAKES = 0.8, 0.05  # what a rule has to reach, and not to exceed, on simulated data


@dataclass(frozen=True)
class Claim:
    """One checkable claim.

    `stated` is as printed in the paper ('7.22': its precision is part of the claim), or a reading in words. `rule` is
    one of the kinds of `vsbook.judging`, as a table with its settings. `find` and `so`: a sentence each, in which
    `finding` puts the measured numbers. `first`: the verdict of the ledger's first edition; `revised`: why rule or
    measure aren't the first ones. `blocked`: why an open claim can't be measured here.
    """

    id: str
    source: str
    statement: str
    stated: str
    unit: str
    measure: str
    rule: dict
    find: str
    so: str
    chapter: str
    format: str = ".2f"
    first: str = ""
    revised: str = ""
    blocked: str = ""

    @property
    def judged_by(self) -> Theorem | Number | Mean | Law:
        """The rule, ready to judge."""
        return rule_of(self.rule, self.stated)

    @property
    def digest(self) -> str:
        """SHA-256 of what a measurement answers to; a result made for other words is no result."""
        return hashlib.sha256(json.dumps([self.stated, self.measure]).encode()).hexdigest()


@dataclass(frozen=True)
class Measurement:
    """What a measurement in `evidence/` returns: `runs` maps a seed to its value, in the claim's unit.

    `control`: {"what": sentence, and "runs" (seed to value) or "null" and "claimed" (draws), as the claim's rule asks}.
    `details`: whatever the page draws beside it. `inputs`: the files that were read.
    """

    quantity: str
    runs: dict[int, float]
    control: dict
    details: dict
    inputs: list[Path]


def _evidence() -> Path:
    """The folder of the evidence, or `BadInput` where neither place has it."""
    found = [folder for folder in PLACES if all((folder / part).exists() for part in PARTS)]
    if not found:
        raise BadInput(
            f"the ledger: expected {', '.join(PARTS)} in {' or '.join(map(str, PLACES))}, found none; "
            "install vsbook again, or use a whole checkout of its repository"
        )
    return found[0]


@functools.cache
def _file() -> dict:
    return tomllib.loads((_evidence() / "claims.toml").read_text(encoding="utf-8"))


def claims() -> dict[str, Claim]:
    """All claims by id, in the paper's order.

    >>> claims()["fcnn1-condition-number"].stated
    '7.22'
    """
    return {entry["id"]: Claim(**entry) for entry in _file()["claim"]}


def paper_map() -> list[dict]:
    """Each paragraph of sections 2 to 4 and each row of panels of the figures, with the claims that it makes."""
    return _file()["paragraph"] + _file()["panel"]


def place_of(claim: Claim) -> str:
    """The figure that a claim reads, or else the section that makes it, as a reader finds it in the paper."""
    figures = [place for place in PLACES_IN_PAPER if place.startswith("Figure") and place in _spelt(claim.source)]
    if figures and not claim.source.startswith("2"):
        return figures[0]
    found = [place for place in PLACES_IN_PAPER if _spelt(claim.source).startswith(place.split(" ")[0])]
    return max(found, key=lambda place: len(place.split(" ")[0]))


def _spelt(source: str) -> str:
    return source.replace("Fig. ", "Figure ")


def by_place() -> dict[str, list[Claim]]:
    """The claims by figure or section, each in the paper's order.

    >>> [claim.id for claim in by_place()["2.2 One neuron"]]
    ['neuron-sees-only-the-projection', 'residual-is-orthogonal', 'energy-splits']
    """
    return {place: [c for c in claims().values() if place_of(c) == place] for place in PLACES_IN_PAPER}


def result(claim_id: str) -> dict | None:
    """The measurement of a claim as it is on file, or None while it is open.

    Raises:
        BadInput: for an unknown id.
    """
    one_of(claim_id, claims(), "claim")
    path = _evidence() / "results" / f"{claim_id}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def observation(name: str) -> dict | list:
    """What was written down of a network while it was whole, or took long to compute, as it is on file.

    A result names among its `inputs` the observations that it rests on.

    Raises:
        BadInput: for an unknown name.

    >>> len(observation("resnet18-layers"))  # convolutions
    20
    """
    folder = _evidence() / "observations"
    one_of(name, sorted(path.stem for path in folder.glob("*.json")), "observation")
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def power(claim_id: str) -> dict:
    """How often the claim's rule says what, of simulated data: {"claimed": {verdict: share}, "null": {verdict: share}}.

    `needs`: how many seeds would do, where those on file don't. Empty for theorems and open claims.

    Raises:
        BadInput: for an unknown id.
    """
    return _simulated().get(one_of(claim_id, claims(), "claim"), {})


@functools.cache
def _simulated() -> dict:
    return json.loads((_evidence() / "power.json").read_text(encoding="utf-8"))


def goes_both_ways(shares: dict) -> bool:
    """Whether a rule with these shares (see `power`) says yes and no where it should, and seldom where it shouldn't.

    >>> goes_both_ways({})
    False
    """
    return bool(shares) and (
        min(shares["claimed"]["reproduced"], shares["null"]["contradicted"]) >= POWER
        and max(shares["claimed"]["contradicted"], shares["null"]["reproduced"]) <= MISTAKES
    )


def on_file(claim_id: str) -> tuple[dict[int, float], dict] | None:
    """Runs and control of a claim as its measurement returned them, or None while it is open.

    What was measured for other words than the claim has now is no measurement of it.

    Raises:
        BadInput: for an unknown id.
    """
    found = result(claim_id)
    if found is None or found["claim_sha256"] != claims()[claim_id].digest:
        return None
    control = dict(found["control"])
    if "runs" in control:
        control["runs"] = {run["seed"]: run["value"] for run in control["runs"]}
    return {run["seed"]: run["value"] for run in found["runs"]}, control


def judge(claim: Claim, runs: dict[int, float], control: dict) -> tuple[str, str]:
    """The verdict that the claim's rule gives of runs (seed to value) and a control, and the sentence that says why.

    Raises:
        BadInput: for a rule of another kind, fewer than three seeds, or a control without what the rule asks for.
    """
    rule, seen = claim.judged_by, list(runs.values())
    beside = {"family": _p_values_beside(claim)} if isinstance(rule, Law) else {}
    found = rule.decide(seen, control, **beside)
    why = rule.why(seen, control, claim.format, **beside)
    if found == "reproduced" and getattr(rule, "artefact", ""):
        also = rule.decide(list(of_control(control, "runs").values()), control) == "reproduced"
        if also == (rule.artefact == "control too"):
            return "artefact", f"{why}; the control {'gives it too' if also else 'does not give it'}: {control['what']}"
    return found, why


def family(claim: Claim) -> list[Claim]:
    """The other measured claims that are tested together with this one."""
    name = claim.rule.get("family")
    return [c for c in claims().values() if name and c.rule.get("family") == name and c != claim and on_file(c.id)]


def _p_values_beside(claim: Claim) -> list[tuple[float, float]]:
    found = [(other.judged_by, *on_file(other.id)) for other in family(claim)]
    return [rule.p_values(list(runs.values()), control) for rule, runs, control in found]


@functools.cache
def _judgement(claim_id: str) -> tuple[str, str]:
    """Verdict and reason from what is on file; a rule that can't come out both ways decides nothing."""
    claim, seen = claims()[claim_id], on_file(claim_id)
    if seen is None:
        return "open", claim.blocked or "not measured yet"
    found, why = judge(claim, *seen)
    if found in ("reproduced", "contradicted", "artefact") and not goes_both_ways(power(claim_id)):
        return "undecided", f"{why}; on simulated data this rule can't tell the two cases apart"
    return found, why


def verdict(claim_id: str) -> str:
    """One of `vsbook.judging.VERDICTS`; 'open' while nothing is measured.

    Raises:
        BadInput: for an unknown id.
    """
    return _judgement(one_of(claim_id, claims(), "claim"))[0]


def why(claim_id: str) -> str:
    """The sentence that gives the verdict's reason, with the numbers that the rule compares.

    Raises:
        BadInput: for an unknown id.
    """
    return _judgement(one_of(claim_id, claims(), "claim"))[1]


def tally() -> dict[str, int]:
    """How many claims bear each verdict, in the order of `VERDICTS`.

    >>> sum(tally().values()) == len(claims())
    True
    """
    found = [verdict(claim_id) for claim_id in claims()]
    return {name: found.count(name) for name in VERDICTS}


def measured(claim_id: str) -> str:
    """Mean, standard deviation and number of seeds, or the largest error of a theorem's check, or a dash while open."""
    found, claim = result(claim_id), claims()[claim_id]
    if found is None:
        return "–"
    n = f"{found['summary']['n']} seeds"
    if claim.rule["kind"] == "theorem":
        worst = max(run["value"] for run in found["runs"])
        if claim.rule["bound"] >= 1:  # a quotient that can't be more; the other bounds are for rounding
            return f"at most {worst:.2f} {claim.unit} ({n})"
        return f"error at most {worst:.0e} ({n})" if worst else f"no error at all ({n})"
    mean, sd = (f"{found['summary'][key]:{claim.format}}" for key in ("mean", "sd"))
    return f"{mean} ± {sd}{f' {claim.unit}' if claim.unit else ''} ({n})"


def finding(claim_id: str) -> tuple[str, str]:
    """What we find, and what of it: two sentences for a reader, with numbers that can be said aloud.

    Raises:
        BadInput: for an unknown id.
    """
    claim, found = claims()[one_of(claim_id, claims(), "claim")], result(claim_id)
    if found is None:
        return claim.find, claim.so
    runs, beside = ([run["value"] for run in part.get("runs", [])] for part in (found, found["control"]))
    numbers = found["summary"] | {"least": min(runs), "most": max(runs), "d": found["details"]}
    numbers["control"] = np.mean(beside) if beside else np.nan
    return claim.find.format(**numbers), claim.so.format(**numbers)


def record(claim_id: str, measurement: Measurement, script: str, root: Path) -> Path:
    """Write a measurement to `results/<id>.json`, beside and then into place, if the claim's rule can judge it.

    Raises:
        BadInput: for an unknown id, fewer than three seeds, or a control without what the rule asks for.
    """
    claim = claims()[one_of(claim_id, claims(), "claim")]
    values = np.array(list(measurement.runs.values()))
    claim.judged_by.decide(values.tolist(), measurement.control)
    entry = {
        "claim": claim_id,
        "claim_sha256": claim.digest,
        "quantity": measurement.quantity,
        "unit": claim.unit,
        "runs": _runs(measurement.runs),
        "control": {key: _runs(value) if key == "runs" else value for key, value in measurement.control.items()},
        "summary": {"mean": values.mean(), "sd": values.std(ddof=1), "n": len(values)},
        "details": measurement.details,
        "script": script,
        "inputs": {
            str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(set(measurement.inputs))
        },
        "environment": {"python": platform.python_version()}
        | {name: version(name) for name in ("numpy", "scipy", "torch")},
    }
    path = _evidence() / "results" / f"{claim_id}.json"
    write_beside(path, (json.dumps(entry, indent=1, ensure_ascii=False, default=_plain) + "\n").encode())
    _judgement.cache_clear()
    return path


def _runs(runs: dict[int, float]) -> list[dict]:
    return [{"seed": seed, "value": value} for seed, value in runs.items()]


def _plain(value):
    """NumPy numbers and arrays as JSON's own; ten digits are more than any rule looks at."""
    return float(value) if np.isscalar(value) or value.ndim == 0 else value.tolist()

"""The ledger: each checkable claim of the paper, what was measured, and the verdict by a rule.

`evidence/claims.toml` holds the claims and their rules; `evidence/results/<id>.json` the measurements, and
`evidence/observations/<name>.json` what some of them rest on. A claim without a measurement is open. Everything that
shows a number (pages, tests, README) reads these files.
"""

import functools
import hashlib
import json
import platform
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy.stats
from jaxtyping import Float

from vsbook.checks import BadInput, as_vector, one_of
from vsbook.files import write_beside

__all__ = [
    "VERDICTS",
    "Claim",
    "Measurement",
    "claims",
    "judge",
    "measured",
    "observation",
    "paper_map",
    "prediction_interval",
    "record",
    "result",
    "tally",
    "verdict",
]

VERDICTS = ("reproduced", "not reproduced", "artefact", "open")
HERE = Path(__file__).parent
# inside a wheel the evidence travels in the package, in a checkout it stands beside it
PARTS = ("claims.toml", "results", "observations")
PLACES = (HERE / "evidence", HERE.parent / "evidence")


@dataclass(frozen=True)
class Claim:
    """One checkable claim.

    `stated` is as printed in the paper ('7.22': its precision is part of the claim), or a reading in words.
    `rule` is one of
    `{kind = "value"}`: the stated value, give or take half its last digit, meets the 95 % prediction interval of the
    seeds; with `artefact = true`, the verdict is 'artefact' when it meets the control's interval too;
    `{kind = "reading", side, bound}`: the whole prediction interval lies above or below the bound, a number or "null",
    the bound that the measurement's control brings; `{kind = "exact", bound}`: no run's error exceeds the bound, and
    every run of the control, which breaks the identity on purpose, does. `revised`: why this is not the first rule.
    `blocked`: why an open claim can't be measured here.
    """

    id: str
    source: str
    statement: str
    stated: str
    unit: str
    measure: str
    rule: dict
    chapter: str
    format: str = ".2f"
    revised: str = ""
    blocked: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of what a measurement answers to; a result made for other words or another rule is no result."""
        return hashlib.sha256(json.dumps([self.stated, self.measure, self.rule], sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Measurement:
    """What a measurement in `evidence/` returns: `runs` maps a seed to its value, in the claim's unit.

    `control`: {"what": sentence, and "runs" (seed to value) or "bound" (number), as the claim's rule asks}.
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


def verdict(claim_id: str) -> str:
    """One of `VERDICTS`; 'open' while nothing is measured."""
    found = result(claim_id)
    return found["verdict"] if found else "open"


def tally() -> dict[str, int]:
    """How many claims bear each verdict, in the order of `VERDICTS`.

    >>> sum(tally().values()) == len(claims())
    True
    """
    found = [verdict(claim_id) for claim_id in claims()]
    return {name: found.count(name) for name in VERDICTS}


def measured(claim_id: str) -> str:
    """Mean, standard deviation and number of seeds, or the largest error for an exact claim, or a dash while open."""
    found, claim = result(claim_id), claims()[claim_id]
    if found is None:
        return "–"
    n = f"{found['summary']['n']} seeds"
    if claim.rule["kind"] == "exact":
        worst = max(run["value"] for run in found["runs"])
        return f"error at most {worst:.0e} ({n})" if worst else f"no error at all ({n})"
    mean, sd = (f"{found['summary'][key]:{claim.format}}" for key in ("mean", "sd"))
    return f"{mean} ± {sd}{f' {claim.unit}' if claim.unit else ''} ({n})"


def _seeds(values, name: str = "runs") -> Float[np.ndarray, " seeds"]:
    """The values of at least three seeds, finite: from fewer, or from NaN, no rule can judge."""
    values = list(values) if isinstance(values, Iterable) else values
    if isinstance(values, list) and len(values) < 3:
        raise BadInput(f"{name}: expected at least 3 seeds, got {len(values)}; a spread needs them")
    return as_vector(values, None, name)


def prediction_interval(values) -> tuple[float, float]:
    r"""Where one more seed would fall with probability 0.95: $\bar v \pm t_{0.975,\,n-1}\, s \sqrt{1 + 1/n}$.

    Raises:
        BadInput: for fewer than three values, or values that aren't finite numbers.

    >>> [round(end, 3) for end in prediction_interval([1.0, 2.0, 3.0])]
    [-2.968, 6.968]
    """
    values = _seeds(values)
    n = len(values)
    half = scipy.stats.t.ppf(0.975, n - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(values.mean() - half), float(values.mean() + half)


def _meets(stated: str, interval: tuple[float, float]) -> bool:
    """Whether the stated value, give or take half its last printed digit, meets the interval."""
    half = 0.5 * 10.0 ** -len(stated.partition(".")[2])
    return interval[0] <= float(stated) + half and float(stated) - half <= interval[1]


def judge(claim: Claim, runs: dict[int, float], control: dict) -> tuple[str, str]:
    """The verdict that the claim's rule gives, and the sentence that says why.

    Raises:
        BadInput: for a rule of another kind, fewer than three seeds, or a control without what the rule asks for.
    """
    _seeds(runs.values())
    judges = {"value": _judge_value, "reading": _judge_reading, "exact": _judge_exact}
    return judges[one_of(claim.rule["kind"], judges, "rule")](claim, runs, control)


def _of_control(control: dict, key: str) -> dict[int, float] | float:
    if key not in control:
        raise BadInput(f"control: expected one with {key!r}, got {', '.join(control) or 'none'}; the rule asks for it")
    return control[key]


def _judge_value(claim, runs, control):
    low, high = prediction_interval(runs.values())
    ends = f"{low:{claim.format}} and {high:{claim.format}}"
    why = f"one more seed would fall between {ends} with probability 95 %; the paper states {claim.stated}"
    if not _meets(claim.stated, (low, high)):
        return "not reproduced", why
    if claim.rule.get("artefact") and _meets(claim.stated, prediction_interval(_of_control(control, "runs").values())):
        return "artefact", f"{why}; the control gives it too: {control['what']}"
    return "reproduced", why


def _judge_reading(claim, runs, control):
    low, high = prediction_interval(runs.values())
    bound = _of_control(control, "bound") if claim.rule["bound"] == "null" else claim.rule["bound"]
    above = one_of(claim.rule["side"], ("above", "below"), "side") == "above"
    holds = low > bound if above else high < bound
    interval = f"{low:{claim.format}} to {high:{claim.format}}"
    why = f"95 % prediction interval {interval}, to lie {claim.rule['side']} {bound:.3g}"
    return ("reproduced" if holds else "not reproduced"), why


def _judge_exact(claim, runs, control):
    bound, worst, broken = claim.rule["bound"], max(runs.values()), min(_of_control(control, "runs").values())
    why = f"largest error {worst:.0e}, allowed {bound:.0e}; broken on purpose, the error is at least {broken:.0e}"
    return ("reproduced" if worst <= bound < broken else "not reproduced"), why


def record(claim_id: str, measurement: Measurement, script: str, root: Path) -> Path:
    """Judge a measurement and write `results/<id>.json`, beside and then into place.

    Raises:
        BadInput: for an unknown id, or fewer than three seeds.
    """
    claim = claims()[one_of(claim_id, claims(), "claim")]
    values = np.array(list(measurement.runs.values()))
    found, why = judge(claim, measurement.runs, measurement.control)
    entry = {
        "claim": claim_id,
        "claim_sha256": claim.digest,
        "quantity": measurement.quantity,
        "unit": claim.unit,
        "runs": _runs(measurement.runs),
        "control": {key: _runs(value) if key == "runs" else value for key, value in measurement.control.items()},
        "summary": {"mean": values.mean(), "sd": values.std(ddof=1), "n": len(values)},
        "verdict": found,
        "why": why,
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
    return path


def _runs(runs: dict[int, float]) -> list[dict]:
    return [{"seed": seed, "value": value} for seed, value in runs.items()]


def _plain(value):
    """NumPy numbers and arrays as JSON's own; ten digits are more than any rule looks at."""
    return float(value) if np.isscalar(value) or value.ndim == 0 else value.tolist()

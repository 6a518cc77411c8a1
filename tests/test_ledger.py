"""The rules of the ledger: what gives which verdict, and how a result is recorded."""

import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from evidence.measure import main as measure
from vsbook import ledger
from vsbook.checks import BadInput
from vsbook.ledger import Claim, Measurement, judge, prediction_interval, record, result

ROOT = Path(__file__).parent.parent


def a_claim(**changes):
    made = Claim("id", "2, paragraph 1", "s", "7.22", "", "m", {"kind": "value"}, "", ".3f")
    return replace(made, **changes)


def around(mean, half):
    """Three seeds whose prediction interval ends at mean - half and mean + half."""
    sd = half / (scipy.stats.t.ppf(0.975, 2) * np.sqrt(1 + 1 / 3))
    return {0: mean - sd, 1: mean, 2: mean + sd}


def test_the_prediction_interval_covers_one_more_seed():
    """In 4000 repetitions with five normal seeds, 95 % within Monte Carlo error (4 deviations: 1.4 %)."""
    draws = np.random.default_rng(0).standard_normal((4000, 6))
    inside = [low <= more <= high for *seeds, more in draws for low, high in [prediction_interval(seeds)]]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.014)


def test_the_prediction_interval_by_a_table():
    """t at 0.975 with two degrees of freedom is 4.3027 in any printed table."""
    low, high = prediction_interval([9.0, 10.0, 11.0])
    assert (low, high) == (pytest.approx(10 - 4.3027 * np.sqrt(4 / 3), abs=1e-3), pytest.approx(20 - low))


# The stated 7.22 reaches from 7.215 to 7.225.
@pytest.mark.parametrize(
    ("stated", "runs", "verdict"),
    [
        ("7.22", around(7.22, 0.001), "reproduced"),
        ("7.22", around(7.0, 0.214), "not reproduced"),
        ("7.22", around(7.0, 0.216), "reproduced"),
        ("7.22", around(7.5, 0.274), "not reproduced"),
        ("7.22", around(7.5, 0.276), "reproduced"),
        ("7.2", around(7.3, 0.049), "not reproduced"),
        ("7.2", around(7.3, 0.051), "reproduced"),
        ("92", around(91.0, 0.49), "not reproduced"),
        ("92", around(91.0, 0.51), "reproduced"),
        ("4096", {0: 4096, 1: 4096, 2: 4096}, "reproduced"),
        ("4096", {0: 4097, 1: 4097, 2: 4097}, "not reproduced"),
    ],
)
def test_a_value_meets_the_interval_give_or_take_half_a_digit(stated, runs, verdict):
    assert judge(a_claim(stated=stated), runs, {})[0] == verdict


@pytest.mark.parametrize(
    ("runs", "control", "verdict"),
    [
        (around(7.22, 0.1), around(7.3, 0.1), "artefact"),
        (around(7.22, 0.1), around(9.0, 0.1), "reproduced"),
        (around(9.0, 0.1), around(7.22, 0.1), "not reproduced"),
    ],
)
def test_an_artefact_is_what_the_control_gives_too(runs, control, verdict):
    claim = a_claim(rule={"kind": "value", "artefact": True})
    found, why = judge(claim, runs, {"what": "no training", "runs": control})
    assert found == verdict
    assert ("no training" in why) == (verdict == "artefact")
    if verdict == "artefact":  # without the rule's permission, the control has no say
        assert judge(a_claim(), runs, {"what": "no training", "runs": control})[0] == "reproduced"


@pytest.mark.parametrize(
    ("side", "bound", "runs", "verdict"),
    [
        ("above", 1.0, around(2.0, 0.99), "reproduced"),
        ("above", 1.0, around(2.0, 1.01), "not reproduced"),
        ("above", 1.0, {0: 1.0, 1: 1.0, 2: 1.0}, "not reproduced"),
        ("above", 1.0, around(0.0, 0.1), "not reproduced"),
        ("below", 1.0, around(0.0, 0.99), "reproduced"),
        ("below", 1.0, around(0.0, 1.01), "not reproduced"),
        ("below", 1.0, {0: 1.0, 1: 1.0, 2: 1.0}, "not reproduced"),
        ("above", "null", around(2.0, 0.4), "reproduced"),
        ("above", "null", around(2.0, 0.6), "not reproduced"),
    ],
)
def test_a_reading_lies_wholly_on_its_side(side, bound, runs, verdict):
    claim = a_claim(rule={"kind": "reading", "side": side, "bound": bound})
    assert judge(claim, runs, {"bound": 1.5})[0] == verdict


@pytest.mark.parametrize(
    ("errors", "broken", "verdict"),
    [
        ([0.0, 1e-15, 1e-9], [0.1, 0.2, 1.0], "reproduced"),
        ([0.0, 1e-15, 1.1e-9], [0.1, 0.2, 1.0], "not reproduced"),
        ([0.0, 0.0, 0.0], [1e-9, 0.2, 1.0], "not reproduced"),  # broken on purpose, the check must fail
    ],
)
def test_an_exact_claim_holds_for_every_run_and_can_fail(errors, broken, verdict):
    claim = a_claim(rule={"kind": "exact", "bound": 1e-9})
    control = {"runs": dict(enumerate(broken))}
    assert judge(claim, dict(enumerate(errors)), control)[0] == verdict


@pytest.mark.parametrize(
    "rule",
    [{"kind": "value"}, {"kind": "reading", "side": "above", "bound": 0.0}, {"kind": "exact", "bound": 1e-9}],
    ids=lambda r: r["kind"],
)
def test_two_seeds_are_too_few(rule):
    with pytest.raises(BadInput, match="expected at least 3 seeds, got 2"):
        judge(a_claim(rule=rule), {0: 0.0, 1: 0.0}, {"runs": {0: 1.0}})


def test_what_is_recorded_can_be_read_again(tmp_path, monkeypatch):
    """A measurement on its way to the file and back, with its verdict; the file is written whole or not at all."""
    (tmp_path / "input").write_bytes(b"abc")
    for folder in ("results", "observations"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "evidence" / "claims.toml", tmp_path)
    monkeypatch.setattr(ledger, "PLACES", (tmp_path,))
    runs = {0: np.float64(7.1), 1: 7.2, 2: 7.4}
    taken = Measurement("q", runs, {"what": "w", "runs": {0: 1, 1: 1, 2: 1}}, {"a": np.eye(2)}, [tmp_path / "input"])
    path = record("fcnn1-condition-number", taken, "evidence/x.py:y", tmp_path)
    assert [p.name for p in path.parent.iterdir()] == ["fcnn1-condition-number.json"]
    found = result("fcnn1-condition-number")
    assert {entry["seed"]: entry["value"] for entry in found["runs"]} == runs
    assert found["verdict"] == "reproduced"
    assert found["inputs"] == {"input": hashlib.sha256(b"abc").hexdigest()}
    assert found["details"] == {"a": [[1, 0], [0, 1]]}
    assert ledger.measured("fcnn1-condition-number") == "7.23 ± 0.15 (3 seeds)"


@pytest.mark.parametrize("kept", [(), ("claims.toml",), ("results", "observations")], ids=["nothing", "claims", "rest"])
def test_a_package_without_its_evidence_says_so_when_asked(tmp_path, kept):
    """The import is silent, and a ledger of which a half is missing is none: its claims would all be open."""
    (tmp_path / "vsbook").mkdir()
    for name in ("__init__", "ledger", "checks", "files"):
        shutil.copy(ROOT / "vsbook" / f"{name}.py", tmp_path / "vsbook")
    (tmp_path / "evidence").mkdir()
    for name in kept:
        source = ROOT / "evidence" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / "evidence" / name)
    ask = (
        "from vsbook import ledger\ntry: ledger.verdict('bias-absorbed')\nexcept ledger.BadInput as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert re.fullmatch(
        r"the ledger: expected claims.toml, results, observations in .*, found none; install .*\n", done.stdout
    )
    assert done.stderr == ""


def test_the_words_of_an_exact_result():
    assert re.fullmatch(r"error at most \de-1\d \(10 seeds\)", ledger.measured("bias-absorbed"))


def test_measuring_what_nobody_claims_is_one_line(capsys):
    assert measure(["nope"]) == 2
    assert re.fullmatch(r"error: .*expected .* got 'nope'.*\n", capsys.readouterr().err)

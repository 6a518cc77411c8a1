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

from evidence.measure import main as measure
from vsbook import ledger
from vsbook.checks import BadInput
from vsbook.ledger import Claim, Measurement, judge, record, result

ROOT = Path(__file__).parent.parent


def a_claim(**changes):
    made = Claim("id", "2, paragraph 1", "s", "7.22", "", "m", {"kind": "number", "apart": 1.0}, "f", "so", "", ".3f")
    return replace(made, **changes)


CONTROL = {"what": "no training", "runs": {0: 7.22, 1: 7.22, 2: 7.22}}
ELSEWHERE = CONTROL | {"runs": {0: 9.0, 1: 9.1, 2: 9.2}}
SEEDS = {0: 7.2, 1: 7.22, 2: 7.24}


@pytest.mark.parametrize(
    ("artefact", "control", "verdict"),
    [
        ("control too", CONTROL, "artefact"),
        ("control too", ELSEWHERE, "reproduced"),
        ("control not", ELSEWHERE, "artefact"),
        ("control not", CONTROL, "reproduced"),
        ("", CONTROL, "reproduced"),  # without the rule's permission, the control has no say
    ],
)
def test_a_control_that_may_speak_makes_an_artefact(artefact, control, verdict):
    claim = a_claim(rule={"kind": "number", "apart": 1.0, "artefact": artefact})
    found, why = judge(claim, SEEDS, control)
    assert found == verdict
    assert ("no training" in why) == (verdict == "artefact")
    assert judge(claim, {0: 9.0, 1: 9.1, 2: 9.2}, CONTROL)[0] == "contradicted"  # no artefact of what doesn't hold


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "number", "apart": 1.0},
        {"kind": "mean", "claimed": 0.0, "null": 1.0},
        {"kind": "law", "of": 10},
        {"kind": "theorem", "bound": 1e-9},
    ],
    ids=lambda r: r["kind"],
)
def test_two_seeds_are_too_few(rule):
    with pytest.raises(BadInput, match="expected at least 3 seeds, got 2"):
        judge(a_claim(rule=rule), {0: 0.0, 1: 0.0}, {"what": "", "runs": {0: 1.0}})


def test_what_is_recorded_can_be_read_again(tmp_path, monkeypatch):
    """A measurement on its way to the file and back, with its verdict; the file is written whole or not at all."""
    (tmp_path / "input").write_bytes(b"abc")
    for folder in ("results", "observations"):
        (tmp_path / folder).mkdir()
    for name in ("claims.toml", "power.json"):
        shutil.copy(ROOT / "evidence" / name, tmp_path)
    monkeypatch.setattr(ledger, "PLACES", (tmp_path,))
    ledger._judgement.cache_clear()
    runs = {0: np.float64(7.1), 1: 7.2, 2: 7.4}
    taken = Measurement("q", runs, {"what": "w", "runs": {0: 1, 1: 1, 2: 1}}, {"a": np.eye(2)}, [tmp_path / "input"])
    path = record("fcnn1-condition-number", taken, "evidence/x.py:y", tmp_path)
    assert [p.name for p in path.parent.iterdir()] == ["fcnn1-condition-number.json"]
    found = result("fcnn1-condition-number")
    assert {entry["seed"]: entry["value"] for entry in found["runs"]} == runs
    assert ledger.verdict("fcnn1-condition-number") == "reproduced"
    assert found["inputs"] == {"input": hashlib.sha256(b"abc").hexdigest()}
    assert found["details"] == {"a": [[1, 0], [0, 1]]}
    assert ledger.measured("fcnn1-condition-number") == "7.23 ± 0.15 (3 seeds)"
    taken = replace(taken, runs={seed: value + 1 for seed, value in runs.items()})
    record("fcnn1-condition-number", taken, "evidence/x.py:y", tmp_path)
    assert ledger.verdict("fcnn1-condition-number") == "contradicted"  # judged anew, from what is on file
    ledger._judgement.cache_clear()


@pytest.fixture
def altered(monkeypatch):
    """The ledger with other claims, results or power by id; afterwards as it was."""

    def alter(**parts):
        for name, changed in parts.items():
            before = getattr(ledger, name)
            monkeypatch.setattr(ledger, name, lambda *a, before=before, changed=changed: changed(before(*a)))
        ledger._judgement.cache_clear()

    yield alter
    ledger._judgement.cache_clear()


@pytest.mark.parametrize(
    ("hypothesis", "word", "share"),
    [
        ("claimed", "reproduced", 0.79),
        ("null", "contradicted", 0.79),
        ("claimed", "contradicted", 0.06),
        ("null", "reproduced", 0.06),
    ],
)
def test_a_rule_that_can_not_tell_decides_nothing(altered, hypothesis, word, share):
    assert ledger.verdict("fcnn1-condition-number") == "reproduced"
    altered(power=lambda found: found | {hypothesis: found[hypothesis] | {word: share}})
    assert ledger.verdict("fcnn1-condition-number") == "undecided"
    assert ledger.why("fcnn1-condition-number").endswith("this rule can't tell the two cases apart")
    assert ledger.verdict("bias-absorbed") == "theorem"  # there is nothing to tell apart


def test_what_was_measured_for_other_words_is_not_measured(altered):
    altered(result=lambda found: found | {"claim_sha256": "0"})
    assert ledger.verdict("fcnn1-condition-number") == "open"


def test_a_family_is_judged_together():
    family = [claim for claim in ledger.claims().values() if claim.rule.get("family")]
    assert len(family) == 4
    for claim in family:
        assert {other.id for other in ledger.family(claim)} == {other.id for other in family} - {claim.id}
        runs, control = ledger.on_file(claim.id)
        alone = claim.judged_by.p_values(list(runs.values()), control)
        together = claim.judged_by.adjusted(list(runs.values()), control, ledger._p_values_beside(claim))
        assert all(one <= other for one, other in zip(alone, together, strict=True))
        assert alone != together
        assert f"p = {together[0]:.2g} if it were chance" in ledger.why(claim.id)


@pytest.mark.parametrize(
    "kept", [(), ("claims.toml",), ("power.json", "results", "observations")], ids=["nothing", "claims", "rest"]
)
def test_a_package_without_its_evidence_says_so_when_asked(tmp_path, kept):
    """The import is silent, and a ledger of which a half is missing is none: its claims would all be open."""
    shutil.copytree(ROOT / "vsbook", tmp_path / "vsbook", ignore=shutil.ignore_patterns("assets", "__pycache__"))
    (tmp_path / "evidence").mkdir()
    for name in kept:
        source = ROOT / "evidence" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / "evidence" / name)
    ask = (
        "from vsbook import ledger\ntry: ledger.verdict('bias-absorbed')\nexcept ledger.BadInput as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, env={}, capture_output=True, text=True)
    assert re.fullmatch(
        r"the ledger: expected claims.toml, power.json, results, observations in .*, found none; install .*\n",
        done.stdout,
    )
    assert done.stderr == ""


def test_the_words_of_a_theorems_check():
    assert re.fullmatch(r"error at most \de-1\d \(10 seeds\)", ledger.measured("bias-absorbed"))


def test_measuring_what_nobody_claims_is_one_line(capsys):
    assert measure(["nope"]) == 2
    assert re.fullmatch(r"error: .*expected .* got 'nope'.*\n", capsys.readouterr().err)


def test_a_quotient_with_a_bound_is_no_error_of_rounding():
    assert ledger.measured("low-condition-number-is-stable").startswith("at most 0.")
    assert ledger.measured("energy-splits").startswith(("error at most ", "no error at all "))

"""The results: whole, judged by their rules, and measured again from the checkpoints."""

import functools
import hashlib
import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evidence import figure1
from evidence.measure import measurements
from vsbook import ledger
from vsbook.judging import VERDICTS
from vsbook.ledger import claims, judge, result
from vsbook.networks.checkpoints import RUNS

ROOT = Path(ledger.__file__).parent.parent
CLAIMS = claims()
MEASURED = [claim_id for claim_id in CLAIMS if result(claim_id)]
MEASUREMENTS = measurements()


def runs_of(entries):
    return {entry["seed"]: entry["value"] for entry in entries}


@pytest.mark.parametrize("claim_id", MEASURED)
def test_a_result_is_whole_and_its_verdict_follows(claim_id):
    found, claim = result(claim_id), CLAIMS[claim_id]
    runs = runs_of(found["runs"])
    verdict, why = judge(claim, runs, ledger.on_file(claim_id)[1])
    assert verdict == ledger.verdict(claim_id) or ledger.verdict(claim_id) == "undecided"
    assert ledger.why(claim_id).startswith(why)
    assert verdict in VERDICTS
    assert verdict != "open"
    assert (verdict == "theorem") == (claim.rule["kind"] == "theorem")  # each of them holds
    values = list(runs.values())
    assert found["summary"]["n"] == len(found["runs"]) == len(runs) >= 3
    assert found["summary"]["mean"] == pytest.approx(sum(values) / len(values), rel=1e-12)
    assert found["summary"]["sd"] == pytest.approx(np.std(values, ddof=1), rel=1e-12, abs=1e-300)
    assert (found["claim"], found["unit"]) == (claim_id, claim.unit)
    assert found["control"]["what"]
    assert {"python", "numpy", "scipy", "torch"} == set(found["environment"])


def test_seeds_are_as_many_as_promised():
    counts = {
        c: result(c)["summary"]["n"] for c in ("fcnn1-test-accuracy", "fcnn1-condition-number", "fcnn5-test-accuracy")
    }
    assert counts == {"fcnn1-test-accuracy": 10, "fcnn1-condition-number": 10, "fcnn5-test-accuracy": 10}
    assert result("resnet18-test-accuracy")["summary"]["n"] == RUNS["resnet18"] >= 3


def by_seed(entries):
    """As JSON writes a dictionary: keys are strings."""
    return {str(seed): value for seed, value in runs_of(entries).items()}


@functools.cache
def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("claim_id", MEASURED)
def test_inputs_are_the_files_as_they_stand(claim_id):
    inputs = result(claim_id)["inputs"]
    assert inputs
    assert inputs == {name: sha256(ROOT / name) for name in inputs}


@pytest.mark.parametrize("claim_id", MEASURED)
def test_the_script_is_there(claim_id):
    file, _, function = result(claim_id)["script"].partition(":")
    module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
    assert getattr(module, function) is MEASUREMENTS[claim_id].func


def test_the_checkpoints_are_those_of_the_variants_and_all_are_used():
    used = {name for claim_id in MEASURED for name in result(claim_id)["inputs"]}
    files = [
        *ROOT.glob("vsbook/**/*.safetensors"),
        *ROOT.glob("evidence/**/*.safetensors"),
        *ROOT.glob("evidence/observations/*"),
    ]
    there = {str(p.relative_to(ROOT)) for p in files}
    assert there == used - {"evidence/authors.toml"}


# the measurements, taken again


@pytest.fixture(scope="module")
def averages_kept():
    """What a dozen measurements ask of the images of a seed: made once."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("averages", "aligned_averages", "single_residual_fractions", "_contrasts"):
            patch.setattr(figure1, name, functools.cache(getattr(figure1, name)))
        yield


def assert_close(again, recorded, place=""):
    """Number by number. Other processors round the last digits of float64 differently: 1e-6 is far above that, and far
    below what a page prints. Accuracies count images in float32, where two close outputs may change places: 0.02 %."""
    if isinstance(recorded, dict):
        assert again.keys() == recorded.keys(), place
        for key in recorded:
            assert_close(again[key], recorded[key], f"{place}/{key}")
    elif isinstance(recorded, list):
        assert len(again) == len(recorded), place
        for k, (one, other) in enumerate(zip(again, recorded, strict=True)):
            assert_close(one, other, f"{place}[{k}]")
    elif isinstance(recorded, str):
        assert again == recorded, place
    else:
        room = 0.02 if "accuracy" in place else 1e-12
        assert again == pytest.approx(recorded, rel=1e-6, abs=room), place


@pytest.mark.parametrize("claim_id", MEASURED)
def test_measured_again_from_the_checkpoints(claim_id, averages_kept):
    taken, found, rule = MEASUREMENTS[claim_id](), result(claim_id), CLAIMS[claim_id].rule
    assert (taken.quantity, set(taken.inputs)) == (found["quantity"], {ROOT / name for name in found["inputs"]})
    plain = json.loads(json.dumps([taken.runs, taken.control, taken.details], default=ledger._plain))
    filed = judge(CLAIMS[claim_id], *ledger.on_file(claim_id))[0]
    assert judge(CLAIMS[claim_id], taken.runs, taken.control)[0] == filed  # the reasons have digits of rounding
    if rule["kind"] == "theorem":  # errors are rounding: another processor has others, below the same bound
        assert max(taken.runs.values()) <= rule["bound"]
        assert taken.control["what"] == found["control"]["what"]
        return
    control = found["control"] | ({"runs": by_seed(found["control"]["runs"])} if "runs" in found["control"] else {})
    for again, recorded in zip(plain, (by_seed(found["runs"]), control, found["details"]), strict=True):
        assert_close(again, recorded, claim_id)


@pytest.mark.parametrize("claim_id", MEASURED)
def test_a_result_answers_to_its_claim_as_it_stands(claim_id):
    """Other words or another stated value ask for a new measurement; another rule judges the one on file."""
    assert result(claim_id)["claim_sha256"] == CLAIMS[claim_id].digest


@pytest.mark.parametrize("change", [{"stated": "7.3"}, {"measure": "another"}], ids=str)
def test_other_words_are_seen(change):
    claim = CLAIMS["fcnn1-condition-number"]
    assert replace(claim, **change).digest != claim.digest

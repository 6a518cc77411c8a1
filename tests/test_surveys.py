"""What is observed and trained for the evidence: what is missing is made, what is there stays."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evidence.observe import __main__ as surveys
from evidence.observe.runs import Run
from evidence.train import exchanged, invertible
from evidence.train.__main__ import main as train
from vsbook import ledger
from vsbook.ledger import claims, observation, result
from vsbook.networks.data import ASSETS, Images, Split, mnist
from vsbook.networks.models import create

ROOT = Path(ledger.__file__).parent.parent
OBSERVATIONS = ROOT / "evidence" / "observations"


@pytest.fixture
def survey(tmp_path, monkeypatch):
    """A survey of two entries in one file and of one in its own, of which each says when it is made."""
    made = []

    def make(name):
        made.append(name)
        return {"made": name}

    runs = [
        Run(tmp_path / "many.json", lambda: make("a"), "a"),
        Run(tmp_path / "many.json", lambda: make("b"), "b"),
        Run(tmp_path / "whole.json", lambda model: make(type(model).__name__), seed=0),
        Run(tmp_path / "other.json", lambda model: make("other"), seed=1),
    ]
    monkeypatch.setattr(surveys, "SURVEYS", {"small": (lambda: runs, "a small one")})
    return runs, made


def test_what_is_missing_is_listed(survey, capsys):
    runs, _ = survey
    runs[0].write(1)
    assert surveys.main([]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said == "small a small one missing: many.json: b, whole.json, other.json"


def test_an_interrupted_survey_goes_on_where_it_stopped(survey, tmp_path, monkeypatch):
    runs, made = survey
    monkeypatch.setattr(surveys, "trained", lambda name, seed: {"resnet18": 3.0}[name] if seed == 0 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        surveys.main(["small"])
    assert made == ["a", "b", "float"]
    assert json.loads((tmp_path / "many.json").read_text()) == {"a": {"made": "a"}, "b": {"made": "b"}}
    assert [run.name for run in runs if run.missing()] == ["other.json"]
    with pytest.raises(ZeroDivisionError):
        surveys.main(["small"])
    assert made == ["a", "b", "float"]


def test_a_network_that_is_given_is_asked_what_its_seed_lacks(survey, capsys):
    _, made = survey
    assert surveys.main(["small", str(ASSETS / "checkpoints" / "resnet18-seed0.safetensors")]) == 0
    assert made == ["ResNet"]
    assert capsys.readouterr().out.endswith("1 of 1 were missing\n")


def test_every_survey_is_on_file_and_every_file_of_a_survey_or_a_training():
    runs = [run for runs, _ in surveys.SURVEYS.values() for run in runs()]
    assert not [run.name for run in runs if run.missing()]
    trainings = [exchanged.run(name, seed) for name in exchanged.EXCHANGED for seed in exchanged.SEEDS]
    assert not [run.name for run in trainings if run.missing()]
    assert {run.path for run in runs + trainings} == set(OBSERVATIONS.iterdir())


@pytest.mark.parametrize("main", [surveys.main, train], ids=["observe", "train"])
def test_a_wrong_name_is_one_line(main, capsys):
    assert main(["nope"]) == 2
    assert re.fullmatch(r"error: .*expected one of .* got 'nope'.*\n", capsys.readouterr().err)


def test_an_invertible_network_is_trained_on_bit_for_bit(tmp_path, monkeypatch):
    """Interrupted after its first epoch, with both terms of the loss; Adam's averages come back too."""
    few = Images(mnist().test.images[:64], mnist().test.labels[:64])
    recipe = replace(invertible.CouplingRecipe(), batch_size=32, epochs=3, decoded=4)

    def suspend_and_stop(*arguments):
        suspend(*arguments)
        raise KeyboardInterrupt

    suspend, models = invertible.suspend, [create("invertible_toy", 0) for _ in range(3)]
    invertible.fit(models[0], few, recipe, 0, tmp_path / "whole.state")
    monkeypatch.setattr(invertible, "suspend", suspend_and_stop)
    with pytest.raises(KeyboardInterrupt):
        invertible.fit(models[1], few, recipe, 0, tmp_path / "run.state")
    monkeypatch.undo()
    invertible.fit(models[2], few, recipe, 0, tmp_path / "run.state")
    for one, other in zip(models[0].state_dict().values(), models[2].state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(models[1].state_dict()["cnn.9.weight"], models[2].state_dict()["cnn.9.weight"])


def values(thing) -> int:
    """How many numbers and words a JSON value holds."""
    if isinstance(thing, dict | list):
        return sum(map(values, thing.values() if isinstance(thing, dict) else thing))
    return 1


def entries(thing):
    """A JSON value and all values in it."""
    yield thing
    for inner in thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list) else ():
        yield from entries(inner)


def test_no_result_copies_much_of_an_observation():
    """A table of hundreds of values is read by `observation`, as the result's inputs say."""
    large = {
        json.dumps(entry)
        for path in OBSERVATIONS.iterdir()
        for entry in entries(observation(path.stem))
        if values(entry) > 100
    }
    assert len(large) > 100
    for claim_id in filter(result, claims()):
        assert not [entry for entry in entries(result(claim_id)["details"]) if json.dumps(entry) in large], claim_id


@pytest.mark.parametrize("name", exchanged.EXCHANGED)
def test_a_network_by_the_other_recipe_is_trained_once(name, tmp_path, monkeypatch):
    """By both recipes, a batch or a few; what is kept of it is its errors, and nothing to go on from."""
    few = Images(mnist().test.images[:128], mnist().test.labels[:128])
    network, recipe = exchanged.EXCHANGED[name]
    monkeypatch.setitem(exchanged.EXCHANGED, name, (network, replace(recipe, epochs=1)))
    monkeypatch.setattr(exchanged, "mnist_split", lambda _: Split(few, few, few))
    monkeypatch.setattr(exchanged, "wrong", lambda model: [int(model.training)])
    monkeypatch.setattr(exchanged, "observation_path", lambda file: tmp_path / f"{file}.json")
    monkeypatch.setattr(exchanged, "user_cache_path", lambda _: tmp_path / "cache")
    exchanged.train(name, 1)
    assert json.loads((tmp_path / f"{name}-errors.json").read_text()).keys() == {"1"}
    assert not list((tmp_path / "cache").rglob("*.state"))
    monkeypatch.setattr(exchanged, "errors", lambda *_: 1 / 0)
    exchanged.train(name, 1)

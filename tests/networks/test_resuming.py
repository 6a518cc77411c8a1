"""A training that is interrupted, by Ctrl-C, a crash or a full disk, and goes on to the same bits."""

import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from safetensors.torch import load_file, save

import evidence.train.paper
from tests.runs import SMALL, assert_same_bits, first_images, headed, header_in, trained, weights
from vsbook import cli, ledger
from vsbook.checks import BadInput
from vsbook.networks import checkpoints, training
from vsbook.networks.data import Images, Split, mnist_split
from vsbook.networks.models import create
from vsbook.networks.training import PAPER, Recipe, fit


@pytest.fixture(scope="module")
def split():
    return first_images()


@contextmanager
def interrupting_at(model, passes):
    """Raise KeyboardInterrupt at the given forward pass in training mode, counted from 1."""
    count = 0

    def interrupt(module, *_):
        nonlocal count
        count += module.training
        if count == passes and module.training:
            raise KeyboardInterrupt

    handle = model.register_forward_pre_hook(interrupt)
    try:
        yield
    finally:
        handle.remove()


def interrupted_and_resumed(split, recipe, network, batch, state):
    """The network, seed 4, of a run that was interrupted at that batch and taken up again."""
    model = create(network, 4)
    with interrupting_at(model, batch), pytest.raises(KeyboardInterrupt):
        fit(model, split, recipe, 4, state, progress=False)
    assert state.exists()
    again = create(network, 4)  # as a new process would begin
    fit(again, split, recipe, 4, state, progress=False)
    assert list(state.parent.iterdir()) == [state]
    return again


@pytest.mark.parametrize("network", ["fcnn1", "fcnn5"])
@pytest.mark.parametrize("batch", [1, 2, 11, 12, 17, 33], ids="batch{}".format)
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(split, tmp_path, batch, network):
    again = interrupted_and_resumed(split, SMALL, network, batch, tmp_path / "deep" / "run.state")
    assert_same_bits(weights(again), weights(trained(split, seed=4, network=network)))


@pytest.fixture(scope="module")
def few(split):
    """So few images that a ResNet18 is through with them in a moment: with batches of eight, three an epoch."""
    return Split(*(Images(part.images[:20], part.labels[:20]) for part in (split.train, split.validation, split.test)))


@pytest.fixture(scope="module")
def uninterrupted_resnet18(few):
    return weights(trained(few, FEW, seed=4, network="resnet18"))


FEW = Recipe(batch_size=8, epochs=2)


@pytest.mark.parametrize("batch", [1, 3, 4, 6], ids="batch{}".format)
def test_a_resumed_resnet18_has_the_bits_of_an_uninterrupted_one(few, uninterrupted_resnet18, tmp_path, batch):
    """The running statistics of batch normalisation and its counts of batches, whole numbers, are taken up too."""
    again = interrupted_and_resumed(few, FEW, "resnet18", batch, tmp_path / "run.state")
    assert_same_bits(weights(again), uninterrupted_resnet18)
    assert again.bn1.num_batches_tracked == 6


def never(*_):
    raise AssertionError("no step is left to take")


def test_a_finished_run_is_kept_until_it_is_saved(split, tmp_path, monkeypatch):
    """The state stays, and a call with it returns at once with the same weights."""
    state = tmp_path / "run.state"
    model = trained(split, state=state)
    before = state.read_bytes()
    monkeypatch.setattr(torch.optim.SGD, "step", never)
    assert_same_bits(weights(trained(split, state=state)), weights(model))
    assert state.read_bytes() == before


def test_a_crash_in_the_next_epoch_loses_only_that_epoch(split, tmp_path):
    """No signal that could be waited for: the state at the end of the first epoch, of 11 batches, is on disk."""
    state, model, count = tmp_path / "run.state", create("fcnn1", 0), 0

    def crash(module, *_):
        nonlocal count
        count += module.training
        if count == 12:
            raise RuntimeError("killed")

    model.register_forward_pre_hook(crash)
    with pytest.raises(RuntimeError, match="killed"):
        fit(model, split, SMALL, 0, state, progress=False)
    assert header_in(state)["step"] == "11"
    assert_same_bits(weights(trained(split, state=state)), weights(trained(split)))


def test_interrupted_twice(split, tmp_path):
    state = tmp_path / "run.state"
    for passes in (5, 9):
        model = create("fcnn1", 0)
        with interrupting_at(model, passes), pytest.raises(KeyboardInterrupt):
            fit(model, split, SMALL, 0, state, progress=False)
    model = create("fcnn1", 0)
    fit(model, split, SMALL, 0, state, progress=False)
    assert_same_bits(weights(model), weights(trained(split)))


@pytest.mark.parametrize("step", [1, 10, 11, 33])
def test_ctrl_c_in_the_midst_of_a_step_waits_for_its_end(split, tmp_path, step, monkeypatch):
    """The signal comes when the parameters have moved and the count has not."""
    state, plain, count = tmp_path / "run.state", torch.optim.SGD.step, 0

    def interrupted_step(self, *arguments):
        nonlocal count
        count += 1
        plain(self, *arguments)
        if count == step:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(torch.optim.SGD, "step", interrupted_step)
    with pytest.raises(KeyboardInterrupt):
        fit(create("fcnn1", 0), split, SMALL, 0, state, progress=False)
    monkeypatch.undo()
    model = create("fcnn1", 0)
    fit(model, split, SMALL, 0, state, progress=False)
    assert_same_bits(weights(model), weights(trained(split)))


@pytest.fixture
def suspended(split, tmp_path):
    """The state of a run of FCNN1, seed 0, interrupted at its fifth batch."""
    state, model = tmp_path / "run.state", create("fcnn1", 0)
    with interrupting_at(model, 5), pytest.raises(KeyboardInterrupt):
        fit(model, split, SMALL, 0, state, progress=False)
    return state


FOREIGN = {
    "seed": lambda split, state: fit(create("fcnn1", 0), split, SMALL, 1, state),
    "recipe": lambda split, state: fit(create("fcnn1", 0), split, replace(SMALL, momentum=0.5), 0, state),
    "network": lambda split, state: fit(create("fcnn5", 0), split, SMALL, 0, state),
    "images": lambda split, state: fit(create("fcnn1", 0), Split(split.test, split.test, split.test), SMALL, 0, state),
    "moved images": lambda split, state: fit(
        create("fcnn1", 0),
        replace(split, train=Images(np.roll(split.train.images, 1, axis=1), split.train.labels)),
        SMALL,
        0,
        state,
    ),
}


@pytest.mark.parametrize("other", FOREIGN)
def test_the_state_of_another_run_is_refused_and_kept(split, suspended, other):
    before = suspended.read_bytes()
    with pytest.raises(BadInput, match="expected the state of this run, got that of another"):
        FOREIGN[other](split, suspended)
    assert suspended.read_bytes() == before


def without_step(data, path):
    return save(load_file(path), headed({"run": header_in(path)["run"]}))


def without_a_weight(data, path):
    return save({k: t for k, t in load_file(path).items() if "bias" not in k}, headed(header_in(path)))


DAMAGES = {
    "truncated": lambda data, _: data[:-10],
    "empty": lambda *_: b"",
    "garbage": lambda *_: b"no state at all" * 100,
    "pickled": lambda *_: pickle.dumps({"step": 3}),
    "without header": lambda _, path: save(load_file(path)),
    "without step": without_step,
    "without a weight": without_a_weight,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_refused(split, suspended, damage):
    suspended.write_bytes(DAMAGES[damage](suspended.read_bytes(), suspended))
    with pytest.raises(BadInput, match=r"expected .*got.*; delete it$|\); delete it"):
        fit(create("fcnn1", 0), split, SMALL, 0, suspended, progress=False)


COMMAND = [sys.executable, "-m", "vsbook"]


def vsbook(tmp_path, *arguments, **options):
    """The command line in a process of its own, with its cache in tmp_path."""
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = str(Path(ledger.__file__).parent.parent)
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def test_ctrl_c_on_the_command_line_loses_nothing(tmp_path):
    """Interrupted soon after training has begun; the same command goes on to the same bits."""
    process = vsbook(tmp_path, "train", "fcnn1", "--epochs", "2")
    seen = ""
    while "batch/s" not in seen:  # the progress bar says that training has begun
        seen += process.stderr.read(1)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, seen + err
    assert "Traceback" not in seen + err
    assert "goes on from here" in err
    assert list((tmp_path / "cache").rglob("*.state"))
    assert not list(tmp_path.glob("*.safetensors"))

    process = vsbook(tmp_path, "train", "fcnn1", "--epochs", "2")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "test accuracy" in out
    assert not list((tmp_path / "cache").rglob("*.state"))
    model, recipe = create("fcnn1", 0), replace(PAPER, epochs=2)
    fit(model, mnist_split(0), recipe, 0, progress=False)
    assert_same_bits(load_file(tmp_path / "fcnn1-seed0.safetensors"), weights(model))


def state_in(folder):
    return list((folder / "cache").rglob("*.state"))


@pytest.mark.parametrize(
    ("room", "name"), [(training, "evaluate"), (checkpoints, "save_checkpoint")], ids=["test", "save"]
)
def test_a_training_survives_what_comes_after_it(split, tmp_path, monkeypatch, room, name):
    """Ctrl-C or a full disk between the last step and the saved checkpoint: the same command only saves."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("vsbook.networks.data.mnist_split", lambda seed: split)
    output, plain = tmp_path / "one.safetensors", training.fit

    def fit_and_then(*arguments):
        plain(*arguments)
        monkeypatch.setattr(room, name, interrupt)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = getattr(room, name)
    monkeypatch.setattr(training, "fit", fit_and_then)
    with pytest.raises(typer.Exit) as caught:
        cli.train("fcnn1", 0, 2, output)
    assert caught.value.exit_code == 130
    assert not output.exists()
    assert len(state_in(tmp_path)) == 1

    monkeypatch.setattr(training, "fit", plain)
    monkeypatch.setattr(room, name, before)
    monkeypatch.setattr(torch.optim.SGD, "step", never)
    cli.train("fcnn1", 0, 2, output)
    assert state_in(tmp_path) == []
    monkeypatch.undo()
    assert_same_bits(load_file(output), weights(trained(split, replace(PAPER, epochs=2))))


def test_a_training_of_the_evidence_survives_a_failing_save(split, tmp_path, monkeypatch):
    monkeypatch.setattr(evidence.train.paper, "user_cache_path", lambda _: tmp_path / "cache")
    monkeypatch.setattr(evidence.train.paper, "split_for", lambda *_: split)
    monkeypatch.setattr(evidence.train.paper, "recipe", lambda _: SMALL)
    output = tmp_path / "none" / "one.safetensors"
    monkeypatch.setattr(evidence.train.paper, "checkpoint_path", lambda *_: output)
    output.parent.write_bytes(b"a file, where a folder should be")
    with pytest.raises(BadInput):
        evidence.train.paper.train("fcnn1", 0)
    assert len(state_in(tmp_path)) == 1
    output.parent.unlink()
    monkeypatch.setattr(torch.optim.SGD, "step", never)
    evidence.train.paper.train("fcnn1", 0)
    assert state_in(tmp_path) == []
    monkeypatch.undo()
    assert_same_bits(load_file(output), weights(trained(split)))

"""The command as a user runs it: what it refuses, what it says, and what is loaded for it."""

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import evidence.train.invertible
from tests.forks import warm_python
from vsbook import cli, ledger
from vsbook.networks import models

ROOT = Path(ledger.__file__).parent.parent


def fresh_vsbook(*arguments, folder, stdout):
    """Run it as a user does, from a Python that begins: exit status and stderr."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-m", "vsbook", *arguments]
    pipes = {"stdout": stdout, "stderr": subprocess.PIPE}
    return subprocess.run(command, cwd=folder, env=environment, text=True, timeout=120, **pipes)


@pytest.fixture(scope="module")
def vsbook():
    """Run it in a fork of a Python that has PyTorch imported already: exit status, stdout, stderr."""
    with warm_python() as python:

        def run(*arguments, folder, **environment):
            environment = {"XDG_CACHE_HOME": str(folder / "cache")} | environment
            return python(ROOT, folder, "vsbook", *arguments, **environment)

        yield run


WRONG = {
    "unknown network": ["train", "nope"],
    "unknown claim": ["ledger", "nope"],
    "empty claim": ["ledger", ""],
    "negative seed": ["train", "fcnn1", "--seed", "-1"],
    "seed of 23 digits": ["train", "fcnn1", "--seed", "12345678901234567890123"],
    "epochs of 23 digits": ["train", "fcnn1", "--epochs", "12345678901234567890123"],
    "a network of another recipe": ["train", "invertible"],
    "a small network of another recipe": ["train", "invertible_toy"],
    "seed in words": ["train", "fcnn1", "--seed", "one"],
    "no epochs": ["train", "fcnn1", "--epochs", "0"],
    "unknown command": ["fly"],
    "unknown option": ["ledger", "--nope"],
    "network missing": ["train"],
    "output exists": ["train", "fcnn1", "--output", "here.safetensors"],
    "output is a folder": ["train", "fcnn1", "--output", "folder"],
    "output below a file": ["train", "fcnn1", "--output", "here.safetensors/x.safetensors"],
    "output with a long name": ["train", "fcnn1", "--output", "x" * 300],
    "output where nothing can be": ["train", "fcnn1", "--output", "/proc/nowhere/x.safetensors"],
}


@pytest.mark.parametrize("what", WRONG)
def test_the_command_line_prints_one_line_and_exits_with_2(vsbook, tmp_path, what):
    (tmp_path / "here.safetensors").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()
    done = vsbook(*WRONG[what], folder=tmp_path)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert (tmp_path / "here.safetensors").read_bytes() == b"mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "here.safetensors"]


def test_a_cache_that_cannot_be_written_is_one_line(vsbook, tmp_path):
    done = vsbook("train", "fcnn1", "--epochs", "1", folder=tmp_path, XDG_CACHE_HOME="/dev/null")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("make it writable, or on Linux name another with XDG_CACHE_HOME\n")
    assert list(tmp_path.iterdir()) == []


def test_the_refusals_say_what_would_do(vsbook, tmp_path):
    """The largest seed; and the name, the recipe and the trained weights of a network of another recipe."""
    said = vsbook(*WRONG["seed of 23 digits"], folder=tmp_path).stderr
    assert str(2**63 - 1) in said
    models.create("fcnn1", 2**63 - 1)
    said = vsbook("train", "invertible", folder=tmp_path).stderr
    assert "vsbook.networks.load('invertible') has it trained" in said
    assert "evidence/train/invertible.py" in said
    assert (ROOT / "evidence" / "train" / "invertible.py").is_file()


def test_the_command_trains_what_the_papers_recipe_trains(vsbook, tmp_path):
    """All networks but those of `evidence.train.invertible`, each named by the help."""
    others = {network for network, _ in evidence.train.invertible.TRAINED.values()}
    assert set(cli.PAPERS) == set(models.NETWORKS) - others
    said = vsbook("train", "--help", folder=tmp_path, COLUMNS="200").stdout
    assert all(network in said for network in cli.PAPERS)


def entry() -> list[str]:
    """The installed command, as its script calls it."""
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["vsbook"]
    return [sys.executable, "-X", "importtime", "-c", "from {} import {} as main; main()".format(*script.split(":"))]


@pytest.mark.parametrize(
    ("arguments", "module"), [(["ledger"], "numpy._core.multiarray"), (["train", "fcnn1"], "torch.version")]
)
def test_ctrl_c_while_libraries_are_imported_is_no_traceback(tmp_path, arguments, module):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*entry(), *arguments], cwd=tmp_path, env=environment, **pipes) as process:
        while not process.stderr.readline().endswith(f" {module}\n"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert all(line.startswith("import time:") for line in err.splitlines())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("claim", [[], ["fcnn1-condition-number"]], ids=["all", "one"])
def test_a_full_disk_is_one_line(tmp_path, claim):
    with open("/dev/full", "w") as full:
        done = fresh_vsbook("ledger", *claim, folder=tmp_path, stdout=full)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert done.stderr.startswith("error: ")
    assert "No space left" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["ledger", "--help"]], ids=" ".join)
def test_help_is_no_error(vsbook, tmp_path, arguments):
    done = vsbook(*arguments, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage" in done.stdout


def test_the_ledger_on_the_command_line(vsbook, tmp_path):
    done = vsbook("ledger", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    first_lines = [line.split(": ")[0] for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert first_lines == list(ledger.claims())
    one = vsbook("ledger", "fcnn1-condition-number", folder=tmp_path)
    assert f"fcnn1-condition-number: {ledger.verdict('fcnn1-condition-number')}" in one.stdout
    assert "stated 7.22; measured" in one.stdout


# the import


def test_the_import_loads_neither_torch_nor_matplotlib():
    code = "import sys, vsbook; print([m for m in ('torch', 'matplotlib', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.stdout.strip() == b"[]", done.stderr


@pytest.mark.parametrize("rooms", ["checks", "linalg"])
def test_the_numpy_rooms_load_no_torch(rooms):
    code = f"import sys; from vsbook.{rooms} import *; print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.stdout.strip() == b"[]", done.stderr


def test_the_import_takes_no_time():
    """It loads a single module, and reads nothing but that."""
    code = "import sys; before = set(sys.modules); import vsbook; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.stdout.strip() == b"['vsbook']", done.stderr

"""What the project promises of its own source: who imports whom, docstrings that run, sizes, and nothing unpickled."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import vsbook
from tools.keys import offered

ROOT = Path(vsbook.__file__).parent.parent
# every room by its own name, wings left out: no two wings have a room of the same name
MODULES = {m.name.rpartition(".")[2]: m.name for m in pkgutil.walk_packages(vsbook.__path__, "vsbook.") if not m.ispkg}
ROOMS = sorted(MODULES)
WINGS = sorted(m.name for m in pkgutil.iter_modules(vsbook.__path__) if m.ispkg)
SOURCES = sorted(
    path
    for folder in ("vsbook", "evidence", "tests", "tools")
    for path in (ROOT / folder).rglob("*.py")
    if "_build" not in path.parts
)
PRODUCT = [path for path in SOURCES if path.relative_to(ROOT).parts[0] != "tests"]


def relative(path):
    return str(path.relative_to(ROOT))


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


# who imports whom


def lint_imports(folder):
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder), "PATH": ""}, capture_output=True, text=True
    )


def test_lower_rooms_know_nothing_of_higher_ones():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 kept, 0 broken" in done.stdout


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("linalg/subspaces", "from vsbook.networks import data"),
        ("linalg/nullmodel", "import vsbook.linalg.arrangement"),
        ("networks/models", "import vsbook.networks.layers"),
        ("checks", "import vsbook.cli"),
    ],
    ids=["upwards", "upwards in its wing", "sibling", "to the top"],
)
def test_the_contract_can_be_broken(tmp_path, room, line):
    shutil.copytree(ROOT / "vsbook", tmp_path / "vsbook", ignore=shutil.ignore_patterns("assets", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "vsbook" / f"{room}.py").open("a") as file:
        file.write(f"\n\ndef _planted():\n    {line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


def test_matplotlib_in_one_room_torch_only_above():
    """The rooms that import them, at the top of the file or inside a function."""

    def imports(path):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                yield node.module.partition(".")[0]

    found = {room: set(imports(ROOT / f"{MODULES[room].replace('.', '/')}.py")) for room in ROOMS}
    assert [room for room in ROOMS if "matplotlib" in found[room]] == ["plots"]
    assert {room for room in ROOMS if "torch" in found[room]} == {
        *("checkpoints", "coupling", "draws", "layers", "models", "outputs", "training"),
        *("chains", "ideal", "input_training", "newton", "starts", "training_mode"),
    }


# the wings' faces


def face(wing):
    """Room and name of what a wing's stub imports."""
    return [(room, name) for name, room in offered(ROOT / "vsbook" / wing).items()]


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_offers_what_its_rooms_make_public(wing):
    offered = importlib.import_module(f"vsbook.{wing}")
    for room, name in face(wing):
        module = importlib.import_module(f"vsbook.{wing}.{room}")
        assert name in module.__all__
        assert getattr(offered, name) is getattr(module, name)
    names = [name for _, name in face(wing)]
    assert sorted(names) == sorted(set(names)) == sorted(offered.__all__) == dir(offered)
    rooms = {path.stem for path in (ROOT / "vsbook" / wing).glob("*.py")}
    assert not rooms & set(names), "once such a room is loaded, the name may be the room"


# Rooms, and names in rooms, that serve other rooms alone.
INSIDE = {"bounded", "lengths", "relaxations", "as_box", "error_bounds"}
INSIDE |= {"hooked", "as_tensor", "in_mode", "refuse_moods", "refuse_training", "type_in_eval_mode"}
INSIDE |= {"packed", "read_tensors", "resume", "save_kernels", "shareable", "suspend"}
INSIDE |= {"as_targets", "descend", "differentiable", "finite_arrays"}


def test_what_no_wing_offers_serves_other_rooms():
    offered = {(wing, *pair) for wing in WINGS for pair in face(wing)}
    left = set()
    for room in ROOMS:
        wing = MODULES[room].split(".")[1]
        names = importlib.import_module(MODULES[room]).__all__ if wing in WINGS else []
        left |= {room if room in INSIDE else name for name in names if (wing, room, name) not in offered}
    assert left == INSIDE


# docstrings


def public():
    """Every public name of every room, and the public methods of the classes among them."""
    for room in ROOMS:
        module = importlib.import_module(MODULES[room])
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isfunction(thing) or inspect.isclass(thing):
                yield f"{room}.{name}", thing
            if inspect.isclass(thing):
                for key, member in vars(thing).items():
                    member = getattr(member, "fget", None) or getattr(member, "func", None) or member
                    member = getattr(member, "__func__", member)
                    if inspect.isfunction(member) and not key.startswith("_"):
                        yield f"{room}.{name}.{key}", member


PUBLIC = dict(public())

# Functions whose docstring runs no example, each with the reason. Classes are shown by their functions.
NO_EXAMPLE = {
    "ideal.as_targets": "a check; test_ideal sees what it refuses",
    "input_training.descend": "a step inside `train_input`; test_input_training has it",
    "polytopes.check_infeasible": "needs a certificate",
    "polytopes.invert_in_pattern": "needs a pattern of a trained network",
    "relaxations.relaxed_output": "a step inside `reach`; test_reachability has it",
    "__main__.main": "it ends the process; test_command_line runs it",
    "cli.main": "it ends the process; test_command_line runs it",
    "judging.of_control": "needs a control; test_judging has it",
    "ledger.family": "its list changes with the claims",
    "ledger.finding": "its text changes with the results",
    "ledger.judge": "takes a whole claim; test_ledger has its rules one by one",
    "ledger.on_file": "its value changes with the results",
    "ledger.place_of": "needs a claim; `ledger.by_place` shows it",
    "ledger.power": "its value changes with the results",
    "ledger.why": "its text changes with the results",
    "ledger.measured": "its text changes with the results",
    "ledger.paper_map": "its text is the whole map",
    "ledger.record": "it writes a file",
    "ledger.result": "its value changes with the results",
    "ledger.verdict": "its value changes with the results",
    "training.evaluate": "needs a trained network; test_fitting has it",
    "training.fit": "it trains; test_fitting has it",
    "checkpoints.load_checkpoint": "it reads a file; `checkpoints.load` shows it",
    "checkpoints.packed": "its bytes say little; test_checkpoints has them",
    "checkpoints.read_tensors": "it reads a file; `checkpoints.load` shows it",
    "checkpoints.save_checkpoint": "it writes a file",
    "checkpoints.save_kernels": "it writes a file",
    "training.resume": "it reads a file that `suspend` wrote; test_fitting and test_surveys have both",
    "training.suspend": "it writes a file",
    "training.provenance": "needs a trained network; test_checkpoints has it",
}


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_listed_and_exists(room):
    module = importlib.import_module(MODULES[room])
    for name in module.__all__:
        assert hasattr(module, name)
    defined = {
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == module.__name__
    }
    listed = set(module.__all__)
    helpers = {
        "cli": {"train", "ledger"},  # commands
        "data": {"read_checked"},
    }
    assert defined - listed == helpers.get(room, set())


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_says_what_it_is(name):
    assert len((inspect.getdoc(PUBLIC[name]) or "").split()) >= 4


def trivial(function):
    """One statement beside the docstring, or none."""
    return len(ast.parse(textwrap.dedent(inspect.getsource(function))).body[0].body) <= 2


DRAWN = ("plots.", "checks.", "files.")  # pictures have no text to show; the checks are the errors of all the others
FUNCTIONS = [name for name, thing in PUBLIC.items() if inspect.isfunction(thing) and not name.startswith(DRAWN)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_runs_an_example(name):
    examples = doctest.DocTestParser().get_examples(PUBLIC[name].__doc__ or "")
    owner = name.rpartition(".")[0]
    method = owner in PUBLIC
    assert (
        examples or trivial(PUBLIC[name]) or name in NO_EXAMPLE or (method and ">>>" in (PUBLIC[owner].__doc__ or ""))
    )


def test_no_exemption_is_out_of_date():
    assert set(NO_EXAMPLE) <= set(FUNCTIONS)


class Finder(doctest.DocTestFinder):
    """Finds the docstring of a function behind the check of its types too."""

    def _from_module(self, module, object):
        return super()._from_module(module, inspect.unwrap(object))


def run_examples(room):
    runner, module = doctest.DocTestRunner(verbose=False), importlib.import_module(MODULES[room])
    for examples in Finder().find(module):
        runner.run(examples)
    return runner.summarize(verbose=False)


@pytest.mark.parametrize("room", ROOMS)
def test_examples_in_docstrings_hold(room):
    assert run_examples(room).failed == 0


def test_the_examples_are_there():
    """A run of no examples would pass."""
    counts = {room: run_examples(room).attempted for room in ROOMS}
    assert all(
        counts[room] > 0
        for room in (
            "subspaces",
            "kernels",
            "nullmodel",
            "significance",
            "data",
            "models",
            "layers",
            "checkpoints",
            "ledger",
        )
    )


# sizes


@pytest.mark.parametrize("path", PRODUCT, ids=relative)
def test_modules_and_functions_fit(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            documented = ast.get_docstring(node) is not None
            first = node.body[1] if documented and len(node.body) > 1 else node.body[0]
            # what is read as code: from the first statement after the docstring
            assert node.end_lineno - first.lineno + 1 <= 40, node.name


def tracked():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    names = [name for name in done.stdout.split("\0") if name]
    return [ROOT / name for name in names if (ROOT / name).is_file()] or [p for p in ROOT.rglob("*") if p.is_file()]


def test_what_ships_is_small():
    """Now under 60 MB in all; with everything that is planned it is to stay under 120 MB."""
    assert sum(path.stat().st_size for path in tracked()) < 80e6


# what the source must not hold


@pytest.mark.parametrize("path", PRODUCT, ids=relative)
def test_nothing_is_unpickled(path):
    """No pickle in any form: torch.load, numpy.load, joblib, shelve, eval and exec are as bad."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"} & set(names)
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("torch.load", "np.load", "numpy.load", "eval", "exec")


@pytest.mark.parametrize("path", sorted((ROOT / "vsbook").rglob("*.py")), ids=relative)
def test_nothing_is_shown_or_seeded_behind_the_users_back(path):
    calls = {ast.unparse(node.func) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)}
    seeds = {"np.random.seed", "random.seed", "torch.manual_seed", "torch.use_deterministic_algorithms"}
    assert not ({"plt.show", "print"} | seeds) & calls


def test_ruff_is_content():
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "."], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_ruff_knows_the_rules_for_docstrings():
    """D in the project's own configuration, so that `ruff check` holds them everywhere in the package."""
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--stdin-filename", "vsbook/planted.py", "-"],
        cwd=ROOT,
        input='"""A room."""\n\n\ndef planted():\n    return 1\n',
        capture_output=True,
        text=True,
    )
    assert "D103" in done.stdout

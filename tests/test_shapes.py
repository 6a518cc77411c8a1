"""That what annotations say of types, shapes and axes is checked under test, and what they must say for it."""

import ast
import importlib
import inspect
import sys
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import AbstractArray, TypeCheckError

import vsbook
from tests.test_contract import MODULES, PUBLIC
from vsbook.checks import BadInput

ROOM = """
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from vsbook.checks import BadInput


def gram(A: Float[np.ndarray, "m n"]) -> Float[np.ndarray, "n n"]:
    if not isinstance(A, np.ndarray):
        raise BadInput("A: expected an array, got something else; make one")
    return A.T @ A


def turned(A: Float[np.ndarray, "m n"]) -> Float[np.ndarray, "m n"]:
    return A.T


def total(x) -> Float[np.ndarray, "*batch"]:
    return np.sum(x, axis=-1)


def rows(A: Float[np.ndarray, "m n"]) -> int:
    return len(A)


def zeros(count: int) -> Float[np.ndarray, " {count}"]:
    return np.zeros(3)


@dataclass
class Found:
    images: Float[np.ndarray, "k p"]
    errors: Float[np.ndarray, " k"]
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A room of the package with promises that it doesn't keep."""
    folder = tmp_path_factory.mktemp("rooms")
    (folder / "promising.py").write_text(ROOM)
    vsbook.__path__.append(str(folder))
    yield importlib.import_module("vsbook.promising")
    vsbook.__path__.remove(str(folder))
    del sys.modules["vsbook.promising"], vsbook.promising


@pytest.mark.parametrize(
    "call",
    [
        lambda room: room.turned(np.ones((2, 3))),
        lambda room: room.total(np.ones(3)),
        lambda room: room.gram(np.ones((2, 3), int)),
        lambda room: room.rows([[1.0]]),
        lambda room: room.zeros(2),
        lambda room: room.Found(np.ones((2, 3)), np.ones(3)),
    ],
    ids=["axes swapped", "a number for an array", "another type", "let in", "another length", "fields that differ"],
)
def test_a_broken_promise_is_an_error(room, call):
    with pytest.raises(TypeCheckError):
        call(room)


def test_a_kept_promise_is_none(room):
    assert room.gram(np.ones((2, 3))).shape == room.turned(np.ones((3, 3))).shape == (3, 3)
    assert room.total(np.ones((2, 3))).shape == room.Found(np.ones((2, 3)), np.ones(2)).errors.shape == (2,)
    assert len(room.zeros(3)) == 3


def test_a_door_refuses_in_its_own_words(room):
    with pytest.raises(BadInput):
        room.gram(None)


def test_every_room_is_checked():
    functions = [thing for thing in PUBLIC.values() if inspect.isfunction(thing)]
    assert len(functions) > 100
    assert all(inspect.unwrap(function) is not function for function in functions)


# what annotations must say


@pytest.mark.parametrize("room", MODULES)
def test_whoever_says_what_goes_in_says_what_comes_out(room):
    """Arguments are checked together with the result."""
    tree = ast.parse(Path(importlib.import_module(MODULES[room]).__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            said = [argument for argument in ast.walk(node.args) if getattr(argument, "annotation", None)]
            assert node.returns or not said, node.name


# Functions that return one of several types, each with the reason.
ONE_OF_TWO = {
    "certificates.error_bounds": "a bound beyond float64 is infinite, which no Fraction is",
    "judging.of_control": "runs by seed, or a list of draws",
    "judging.rule_of": "a rule is one of four kinds",
    "ledger.Claim.judged_by": "a rule is one of four kinds",
    "ledger.on_file": "there is nothing while a claim is open",
    "ledger.observation": "what is on file: some are lists",
    "ledger.result": "there is none while a claim is open",
    "relaxations.relaxed_output": "the solver may find no answer",
}


def parts(kind):
    """A type, and those that it is made of; a function is made of none."""
    yield kind
    for part in () if typing.get_origin(kind) is Callable else typing.get_args(kind):
        yield from parts(part)


def returned(function):
    result = inspect.unwrap(function).__annotations__.get("return")
    return [typing.get_origin(part) or type(part) for part in parts(result)]


def test_a_public_function_returns_one_type():
    unions = typing.get_origin(typing.Union[int, str]), type(int | str)  # noqa: UP007
    functions = {name: thing for name, thing in PUBLIC.items() if inspect.isfunction(thing)}
    assert {name for name in functions if set(unions) & set(returned(functions[name]))} == set(ONE_OF_TWO)


def dataclasses():
    rooms = [vars(importlib.import_module(name)) for name in MODULES.values()]
    return {thing for room in rooms for thing in room.values() if isinstance(thing, type) and is_dataclass(thing)}


def test_dataclasses_of_arrays_are_compared_by_identity():
    """`==` of arrays is an array."""
    holding = {np.ndarray, AbstractArray}
    for _ in range(4):  # what holds what holds arrays
        holding |= {kind for kind in dataclasses() if any(made_of(field.type, holding) for field in fields(kind))}
    found = holding - {np.ndarray, AbstractArray}
    assert len(found) > 20
    assert not [kind.__name__ for kind in found if "__eq__" in vars(kind)]


def made_of(kind, holding):
    return any(isinstance(part, type) and issubclass(part, tuple(holding)) for part in parts(kind))

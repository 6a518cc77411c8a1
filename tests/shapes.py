"""What the package's annotations say of types, shapes and axes, held under test."""

import functools
import inspect
import itertools
from collections.abc import Iterator
from typing import Any, get_origin

import jaxtyping
from beartype import BeartypeConf, beartype

CONF = BeartypeConf(is_pep484_tower=True)  # a whole number is a float too, as typing has it
ENOUGH = 1000  # calls after which a function is believed: a check takes longer than what many of them do


def checked(function):
    """The function with beartype's check, or itself where its arguments are all that could be checked.

    jaxtyping asks twice: for the arguments alone, before the function runs, and for arguments and result together once
    it has returned. The first is left out: what a door refuses, it refuses in its own words, and what an annotation
    forbids and the door let in is found by the second. A generator refuses when it runs, which is after it has
    returned: it isn't checked.
    """
    result = function.__annotations__.get("return")
    return function if result is Any or get_origin(result) is Iterator else beartype(conf=CONF)(function)


def until_believed(held, function):
    """`held`, the function with its checks, for the first calls."""
    calls = itertools.count()

    @functools.wraps(function)
    def called(*args, **kwargs):
        __tracebackhide__ = True
        return (held if next(calls) < ENOUGH else function)(*args, **kwargs)

    return called


def believing(jaxtyped):
    """A decorator that checks as jaxtyping's does, until a function, or a dataclass in its `__init__`, is believed."""

    def decorate(thing, typechecker):
        before, held = vars(thing).get("__init__"), jaxtyped(thing, typechecker=typechecker)
        if inspect.isfunction(thing):
            return until_believed(held, thing)
        if held.__init__ is not before and "__init__" in vars(held):
            held.__init__ = until_believed(held.__init__, before)
        return held

    return lambda typechecker: functools.partial(decorate, typechecker=typechecker)


def hold() -> None:
    """From now on, whatever is imported of the package is checked."""
    jaxtyping.install_import_hook("vsbook", "tests.shapes.checked")
    jaxtyping.jaxtyped = believing(jaxtyping.jaxtyped)  # by that name the hook decorates

"""What the package's annotations say of types, shapes and axes, held under test."""

from collections.abc import Iterator
from typing import Any, get_origin

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

CONF = BeartypeConf(is_pep484_tower=True)  # a whole number is a float too, as typing has it


def checked(function):
    """The function with beartype's check, or itself where its arguments are all that could be checked.

    jaxtyping asks twice: for the arguments alone, before the function runs, and for arguments and result together once
    it has returned. The first is left out: what a door refuses, it refuses in its own words, and what an annotation
    forbids and the door let in is found by the second. A generator refuses when it runs, which is after it has
    returned: it isn't checked.
    """
    result = function.__annotations__.get("return")
    return function if result is Any or get_origin(result) is Iterator else beartype(conf=CONF)(function)


def hold() -> None:
    """From now on, whatever is imported of the package is checked."""
    install_import_hook("vsbook", "tests.shapes.checked")

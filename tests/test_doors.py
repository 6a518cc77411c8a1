"""Every public door, and what may not come through it: one `BadInput`, one line, with a remedy; nothing is changed."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from torch import nn

from tests.refusals import CALLS
from tests.refusals.kinds import snapshot
from vsbook import ledger
from vsbook.checks import BadInput
from vsbook.inversion.chains import Chain

REFUSED = [
    pytest.param(name, argument, what, id=f"{name}-{argument}-{what}")
    for name, call in CALLS.items()
    for argument, kind in call.bad.items()
    for what in kind
]


def assert_one_line(message):
    assert "expected" in message, message
    assert any(word in message for word in (" got ", " found ", " came")), message
    assert ";" in message, "what to do comes after a semicolon: " + message
    assert "\n" not in message


def state_of(arguments):
    """The bits of the networks, chains and arrays among them."""
    networks = [snapshot(value) for value in arguments if isinstance(value, nn.Module)]
    arrays = [value.tobytes() for value in arguments if isinstance(value, np.ndarray)]
    steps = [step for value in arguments if isinstance(value, Chain) for step in value.steps]
    return networks, arrays, [(step.weight.tobytes(), step.bias.tobytes()) for step in steps]


@pytest.mark.parametrize(("name", "argument", "what"), REFUSED)
def test_refused(name, argument, what):
    call = CALLS[name]
    value, words = call.bad[argument][what]
    changes = dict(zip(argument.split(", "), value, strict=True)) if ", " in argument else {argument: value}
    arguments = call.good | changes
    before = state_of(arguments.values())
    with pytest.raises(BadInput) as caught:
        call.function(**arguments)
    message = str(caught.value)
    assert_one_line(message)
    assert re.search(words if words.startswith("^") else f"^{argument}s?: expected .*({words})", message), message
    assert state_of(arguments.values()) == before


@pytest.mark.parametrize("name", CALLS)
def test_the_doors_are_open(name):
    """What is right comes in, and is left as it was: the refusals above are of the input, not of everything."""
    call = CALLS[name]
    before = state_of(call.good.values())
    call.function(**call.good)
    assert call.changes or state_of(call.good.values()) == before
    plt.close("all")


def test_a_result_that_nobody_claimed():
    with pytest.raises(BadInput) as caught:
        ledger.record("nope", None, "", Path("/nowhere"))
    assert_one_line(str(caught.value))

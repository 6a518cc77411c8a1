"""The linear programme behind a refusal: its scaling, its limits, and what has run out of time."""

import time

import numpy as np
import pytest

from tests.chains_zoo import large, layer, random_chain
from vsbook.inversion import relaxations
from vsbook.inversion.bounded import nearest_input
from vsbook.inversion.reachability import reach, trace_back
from vsbook.inversion.relaxations import relaxed_output


@pytest.mark.parametrize("size", [1e5, 1e6, 1e8])
def test_the_programme_of_a_network_of_large_weights_has_an_answer(size):
    """The solver goes round in a circle with such numbers, unless they are scaled."""
    for seed in (16, 18, 19):
        chain = large(seed, size)
        image = np.random.default_rng(seed + 1000).uniform(0, 1, 3)
        a = chain.steps[1].before(chain.steps[0].activation(chain.steps[0].before(image)))
        ends, box = np.stack([a, a]), (np.zeros(3), np.ones(3))
        relaxed = relaxed_output(chain.steps, ends, np.ones((2, 2)), box, np.inf)
        assert relaxed is not None
        # an image has that output, and the solver's own tolerance is 1e-7 of the largest number
        assert 0 <= relaxed.excess <= 1e-6 * np.abs(chain.steps[1].weight).sum() * np.abs(a).max()


@pytest.mark.parametrize("power", [-30, 0, 10, 30, 60])
def test_scaling_is_undone_exactly(power):
    """y = 2^p (2^p x), x at most 1, asked for 3 2^2p: off by 2 2^2p, and each unit of y more is worth one of e."""
    unit = 2.0**power
    steps = layer([[unit]]).steps * 2
    wanted = np.full((2, 1), 3 * unit**2)
    relaxed = relaxed_output(steps, wanted, np.ones((2, 1)), (np.zeros(1), np.ones(1)), np.inf)
    assert relaxed.image == [1.0] and relaxed.excess == pytest.approx(2 * unit**2, rel=1e-12)
    assert abs(relaxed.multipliers[-1][0]) == pytest.approx(1, rel=1e-12)


def test_the_solver_keeps_its_limits(monkeypatch):
    seen, solver = [], relaxations.linprog
    monkeypatch.setattr(relaxations, "linprog", lambda *a, **k: seen.append(k["options"]) or solver(*a, **k))
    task = layer([[1.0]]).steps, np.full((2, 1), 3.0), np.ones((2, 1)), (np.zeros(1), np.ones(1))
    assert relaxed_output(*task, time.monotonic() + 60) is not None
    assert 0 < seen[0]["time_limit"] <= 60 and 0 < seen[0]["maxiter"] < 1000
    assert relaxed_output(*task, time.monotonic() - 1) is None and len(seen) == 1


def test_what_has_run_out_of_time_is_undecided():
    """The first start is looked at in any case; what needs no time is proven."""
    chain, image = random_chain((3, 4, 2), ("tanh", "tanh"), 0), np.full(3, 0.5)
    near, far = chain(image)[0], np.array([0.0, 1.5])
    assert [found.answer for found in reach(chain, [near, far], seconds=0)] == ["yes", "no"]
    (late,) = reach(chain, chain(np.array([0.2, 0.9, 0.4]))[0], seconds=0)
    assert (late.answer, late.bound, late.certificate) == ("undecided", 0, None)
    np.testing.assert_array_equal(late.image, image)
    one = layer([[1.0, 1.0]])
    assert reach(one, [3.0])[0].answer == "no" and reach(one, [3.0], seconds=0)[0].answer == "undecided"
    assert trace_back(one, [3.0], (0, 1), seconds=0)[0].layers[0].answer == "undecided"


def test_no_programme_begins_whose_preparation_would_take_the_time(monkeypatch):
    """With none left after it, the solver would go on without a limit."""

    def solver(*_, **options):
        raise AssertionError(f"begun with {options}")

    chain = random_chain((30, 200, 200, 4), ("tanh",) * 3, 0)
    monkeypatch.setattr(relaxations, "linprog", solver)
    monkeypatch.setattr(relaxations, "PREPARED", 1.0)
    assert reach(chain, np.full(4, 0.999), seconds=1)[0].answer == "undecided"
    monkeypatch.undo()
    monkeypatch.setattr(relaxations, "linprog", solver)
    with pytest.raises(AssertionError, match="begun with"):
        reach(chain, np.full(4, 0.999), seconds=1e4)


def test_the_nearest_input_ends_when_the_time_is_over():
    """As one step leaves it, where 14 rounds of up to 60 would follow; each solves a system of the layer's width."""
    step = random_chain((900, 700), ("tanh",), 0).steps[0]
    aim, box = np.full(700, 3.0), (np.zeros(900), np.ones(900))
    first = nearest_input(step, aim, box, 0.0)
    assert np.array_equal(first, np.clip(step.subspaces.pinv(aim - step.bias), *box))
    assert np.abs(first - nearest_input(step, aim, box, np.inf)).max() > 0.01

"""Each rule can say yes and no: the table of simulations, and other draws of the same."""

import numpy as np
import pytest

from evidence import power
from vsbook.judging import HYPOTHESES, Law, Theorem
from vsbook.ledger import claims, goes_both_ways, on_file, verdict

FILED = [claim for claim in claims().values() if on_file(claim.id) and not isinstance(claim.judged_by, Theorem)]
DRAWS = 200


def test_every_rule_that_judges_is_in_the_table():
    assert set(power.simulated()) == {claim.id for claim in FILED}
    for claim in FILED:
        entry = power.simulated()[claim.id]
        assert entry["seeds"] == len(on_file(claim.id)[0])
        assert all(sum(entry[hypothesis].values()) == pytest.approx(1) for hypothesis in HYPOTHESES)


@pytest.mark.parametrize("claim", FILED, ids=lambda claim: claim.id)
def test_other_draws_say_the_same(claim):
    """Four standard deviations of the difference of two shares, one of 1000 draws and one of 200."""
    found = power.shares(claim, len(on_file(claim.id)[0]), DRAWS, np.random.default_rng(1))
    for hypothesis in HYPOTHESES:
        for word, share in found[hypothesis].items():
            filed = power.simulated()[claim.id][hypothesis][word]
            room = 4 * np.sqrt(max(filed * (1 - filed), 1 / power.DRAWS) * (1 / DRAWS + 1 / power.DRAWS))
            assert share == pytest.approx(filed, abs=room + 1 / DRAWS), (hypothesis, word)


@pytest.mark.parametrize("claim", FILED, ids=lambda claim: claim.id)
def test_what_decides_has_power(claim):
    entry = power.simulated()[claim.id]
    assert goes_both_ways(entry) or verdict(claim.id) == "undecided"
    assert goes_both_ways(entry) == ("needs" not in entry)


def test_seeds_that_would_do_are_counted():
    """A rule that is short of seeds becomes fit at the number that the table names, and wasn't with one less."""
    short = {claim_id: entry["needs"] for claim_id, entry in power.simulated().items() if entry.get("needs")}
    for claim_id, seeds in short.items():
        claim = claims()[claim_id]
        assert goes_both_ways(power.shares(claim, seeds + 1, 400, np.random.default_rng(2))), claim_id
    alike = [c.id for c in FILED if isinstance(c.judged_by, Law) and c.judged_by.seeds == "alike"]
    assert all(power.simulated()[claim_id].get("needs") is None for claim_id in alike)  # more of the same few things

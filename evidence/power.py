"""What each rule says of data as its claim would have it, and as its opposite would: a minute on two cores.

Run from the root: `make power`, or `make power SEED=7` to see other draws of the same. The data are drawn by the law
of the statistic as it is estimated from the seeds on file: their scatter, or the laws that a measurement brings. What
was measured of the claim has no part in it.
"""

import json
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vsbook.files import write_beside
from vsbook.judging import HYPOTHESES, Law, Theorem
from vsbook.ledger import Claim, claims, family, goes_both_ways, on_file

FILE = Path(__file__).parent / "power.json"
DRAWS = 1000
MOST = 60  # seeds that are tried, where those on file are too few


def simulated() -> dict:
    """The table as it is on file."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def said(laws: list[tuple], hypothesis: str, count: int, generator: np.random.Generator) -> str:
    """The verdict of the first rule on so many seeds drawn under a hypothesis; its family's are drawn alike."""
    drawn = []
    for rule, runs, control in laws:
        drawn.append((rule, rule.draw(hypothesis, count, list(runs.values()), control, generator), control))
    (rule, runs, control), *others = drawn
    if isinstance(rule, Law):
        return rule.decide(runs, control, [r.p_values(of, beside) for r, of, beside in others])
    return rule.decide(runs, control)


def shares(claim: Claim, count: int, draws: int, generator: np.random.Generator) -> dict:
    """How often it says what, under both hypotheses."""
    laws = [(one.judged_by, *on_file(one.id)) for one in (claim, *family(claim))]
    found = {}
    for hypothesis in HYPOTHESES:
        verdicts = [said(laws, hypothesis, count, generator) for _ in range(draws)]
        found[hypothesis] = {v: verdicts.count(v) / draws for v in ("reproduced", "contradicted", "undecided")}
    return found


def needed(claim: Claim, count: int, generator: np.random.Generator) -> int | None:
    """The smallest number of seeds for which the rule goes both ways; None where no number up to `MOST` is."""
    return next((n for n in range(count, MOST + 1) if goes_both_ways(shares(claim, n, DRAWS // 5, generator))), None)


def simulate(seed: int, draws: int = DRAWS) -> dict:
    """The table: by claim what its rule says, and of those without power the number of seeds that would do."""
    table = {}
    judged = [c for c in claims().values() if on_file(c.id) and not isinstance(c.judged_by, Theorem)]
    for number, claim in enumerate(tqdm(judged, desc="rules")):
        generator, count = np.random.default_rng([seed, number]), len(on_file(claim.id)[0])
        entry = table[claim.id] = shares(claim, count, draws, generator) | {"seeds": count}
        if not goes_both_ways(entry):
            alike = isinstance(claim.judged_by, Law) and claim.judged_by.seeds == "alike"
            entry["needs"] = None if alike else needed(claim, count, generator)
    return table


if __name__ == "__main__":
    other = [int(word) for word in sys.argv[1:]]
    made = simulate(*(other or [0]))
    lines = [f"{claim_id}: {json.dumps(entry)}" for claim_id, entry in made.items()]
    if other:
        print("\n".join(lines))
    else:
        write_beside(FILE, (json.dumps(made, indent=1) + "\n").encode())
    print(f"{sum(map(goes_both_ways, made.values()))} of {len(made)} rules go both ways")

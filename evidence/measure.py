"""Repeat one measurement of the ledger, or all: about a minute and a half on two cores.

Run from the root: `make results CLAIM=fcnn1-condition-number`, or `make results` for all.
"""

import sys
import time
from pathlib import Path

from evidence import coupling, figure1, figure2, figure3, identities, inverse, spectrum, stability, whole_inverse
from vsbook.checks import BadInput, one_of
from vsbook.ledger import claims, record, verdict

ROOT = Path(__file__).parent.parent
SCRIPTS = (identities, figure1, figure2, spectrum, stability, inverse, whole_inverse, figure3, coupling)


def measurements() -> dict:
    """Each measured claim's id and the function that measures it; a claim without one is open."""
    found = {}
    for claim_id in claims():
        for script in SCRIPTS:
            if hasattr(script, claim_id.replace("-", "_")):
                found[claim_id] = (script, getattr(script, claim_id.replace("-", "_")))
    return found


def main(wanted: list[str]) -> int:
    """Measure and record the wanted claims; returns the exit status."""
    available = measurements()
    try:
        for number, claim_id in enumerate(wanted or available, start=1):
            script, function = available[one_of(claim_id, available, "claim")]
            started = time.perf_counter()
            record(claim_id, function(), f"evidence/{Path(script.__file__).name}:{function.__name__}", ROOT)
            seconds = time.perf_counter() - started
            print(
                f"[{number}/{len(wanted or available)}] {claim_id}: {verdict(claim_id)} ({seconds:.0f} s)", flush=True
            )
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

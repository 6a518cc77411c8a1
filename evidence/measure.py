"""Repeat one measurement of the ledger, or all: about a minute and a half on two cores.

Run from the root: `make results CLAIM=fcnn1-condition-number`, or `make results` for all.
"""

import sys
import time
from functools import partial
from pathlib import Path

from evidence import (  # noqa: F401, each enters its measurements
    coupling,
    figure1,
    figure2,
    figure3,
    identities,
    input_training,
    inverse,
    spectrum,
    stability,
)
from evidence.common import MEASUREMENTS
from vsbook.checks import BadInput, one_of
from vsbook.ledger import claims, record, verdict

ROOT = Path(__file__).parent.parent


def measurements() -> dict[str, partial]:
    """The function that measures each claim, in the order of the claims; a claim without one is open."""
    return {claim_id: MEASUREMENTS[claim_id] for claim_id in claims() if claim_id in MEASUREMENTS}


def script(measurement: partial) -> str:
    """Where a measurement is written: file and function."""
    return f"{measurement.func.__module__.replace('.', '/')}.py:{measurement.func.__name__}"


def main(wanted: list[str]) -> int:
    """Measure and record the wanted claims; returns the exit status."""
    available = measurements()
    try:
        for number, claim_id in enumerate(wanted or available, start=1):
            measurement = available[one_of(claim_id, available, "claim")]
            started = time.perf_counter()
            record(claim_id, measurement(), script(measurement), ROOT)
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

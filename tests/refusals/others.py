"""What the checks themselves, the ledger and the pictures refuse."""

from dataclasses import replace

import matplotlib

matplotlib.use("agg")  # no window on any machine
import matplotlib.pyplot as plt
import numpy as np

from tests.refusals.kinds import NAN, Call, array, called, named, no_numbers, without
from vsbook import checks, judging, ledger, plots

CLAIM = ledger.claims()["fcnn1-condition-number"]
LAW = ledger.claims()["resnet18-kernel-1-left-column"]
THEOREM = ledger.claims()["bias-absorbed"]
RUNS = {0: 1.0, 1: 2.0, 2: 3.0}
TWO = {0: 7.2, 1: 7.3}

SEEDS = (
    "empty",
    "a string",
    "a dictionary",
    "ragged",
    "a tensor with gradients",
)  # of these the number is looked at first

LEDGER = {
    **{
        door.__name__: Call(
            door, {"claim_id": CLAIM.id}, {"claim_id": named(("nope", "", None, 3, ["a"]), "^claim: expected")}
        )
        for door in (
            *(ledger.result, ledger.verdict, ledger.measured, ledger.why),
            *(ledger.finding, ledger.power, ledger.on_file),
        )
    },
    "observation": Call(
        ledger.observation,
        {"name": "resnet18-layers"},
        {"name": named(("nope", "", None, 3, ["a"]), "^observation: expected")},
    ),
    **{
        interval.__name__: Call(
            interval,
            {"values": [1.0, 2.0, 3.0]},
            {
                "values": called("runs", without(no_numbers(3), *SEEDS))
                | {what: (no_numbers(3)[what][0], "^runs: expected at least 3 seeds") for what in SEEDS[:4]}
                | named(([], [1.0, 2.0], [1.0, 2.0, NAN], ["a", "b", "c"], 3, [None] * 3), "^")
                | {"a square": (np.ones((3, 3)), "^")}
            },
        )
        for interval in (judging.prediction_interval, judging.confidence_interval)
    },
    "judge": Call(
        ledger.judge,
        {"claim": CLAIM, "runs": RUNS, "control": {"runs": RUNS}},
        {
            "claim, runs": {
                "two seeds": ((CLAIM, TWO), "^"),
                "two seeds, theorem": ((THEOREM, {0: 0.0, 1: 0.0}), "^"),
                "NaN": ((THEOREM, RUNS | {2: NAN}), "^"),
            },
            "claim, control": {
                "no control": ((THEOREM, {}), "^"),
                "no null": ((LAW, {"claimed": [1.0]}), "^"),
                "another rule": ((replace(CLAIM, rule={"kind": "vote"}), {}), "^"),
                "on no side": ((replace(CLAIM, rule={"kind": "law", "side": "beside"}), {}), "^"),
            },
        },
    ),
}


def axes(draw):
    """The same call with axes of its own."""

    def drawn(**arguments):
        figure = plt.figure()
        try:
            return draw(ax=figure.add_subplot(), **arguments)
        finally:
            plt.close(figure)

    return drawn


PLOTS = {
    "draw_image": Call(
        axes(plots.draw_image), {"image": np.ones(4)}, {"image": no_numbers(4) | {"an oblong": (np.ones(783), "^")}}
    ),
    "draw_spectra": Call(
        axes(lambda v, ax: plots.draw_spectra({"one": v}, ax)), {"v": [3.0, 2.0]}, {"v": called("one", no_numbers(3))}
    ),
    "draw_bars": Call(
        axes(lambda v, ax: plots.draw_bars(["a", "b"], {"one": v}, ax, "y")),
        {"v": [3.0, 2.0]},
        {"v": called("one", no_numbers(3)) | {"a bar without a name": (np.ones(3), "^")}},
    ),
    "draw_image_rows": Call(
        lambda rows, columns: plots.draw_image_rows(rows, plt.figure().subplots(1, columns)),
        {"rows": {"x": np.ones((3, 4))}, "columns": 3},
        {"columns": {"rows without axes": (2, "^")}},
    ),
}

CHECKS = {"as_matrix": Call(checks.as_matrix, {"values": np.ones((2, 2))}, {"values": called("A", array(2, 2))})}

CALLS = LEDGER | PLOTS | CHECKS

"""What the rooms refuse that go back through chains: layer by layer, within ranges, from polytope to polytope."""

import numpy as np
from torch import nn

from tests.chains_zoo import random_chain
from tests.refusals.kinds import COUNT, INF, NAN, NOT_NEGATIVE, POSITIVE, Call, array, choice, named, without
from vsbook.inversion.certificates import OutOfRange, as_box, check_certificate
from vsbook.inversion.layerwise import error_budget, invert_layers
from vsbook.inversion.polytopes import Certificate, affine_piece, check_infeasible, invert_in_pattern, pattern, walk
from vsbook.inversion.reachability import reach, trace_back
from vsbook.networks.models import create


def chain(activations, widths=(3, 4, 2)):
    return random_chain(widths, activations, 0)


CHAIN, BENT, LINEAR = chain(("tanh", "selu")), chain(("relu", "identity")), chain(("identity",), (3, 2))
LEAKY = chain(("leaky",) * 2)
ON = np.array([True, False, True, True])

NO_CHAIN = {
    "None": (None, "an object of vsbook's Chain, got NoneType"),
    "a name": ("fcnn1", "an object of vsbook's Chain, got str"),
    "steps": (CHAIN.steps, "an object of vsbook's Chain, got tuple"),
    "a class": (nn.Linear, "an object of vsbook's Chain"),
    "a network": (create("fcnn5_relu", 0).eval(), "an object of vsbook's Chain, got Sequential"),
}
NO_INVERSE = {
    "ReLU": (BENT, "^layer 'layer1': expected an activation that is one to one, got ReLU;"),
    "ReLU in the second layer": (chain(("tanh", "relu")), "^layer 'layer2': expected .* one to one, got ReLU;"),
}
NO_BENDS = {f: (chain((f, "relu")), "") for f in ("tanh", "selu", "softplus", "sigmoid")} | {
    "a linear map": (LINEAR, "")
}
NO_PATTERN = named((None, ON[:3], ON.astype(int), "1011", ON[None], [True], np.zeros(4)))
BOX = named([(1, 0), (0, 0), (INF, -INF)], "low below high") | named(
    [(0,), (0, 1, 2), "ab", 3, (0, NAN), (None, 1), ([0, 0, 0, 0], 1)]
)
SIDE = {
    what: ((-1.0, value), words)
    for what, (value, words) in without(array(3), "a number", "infinity", "one infinity", "wrong shape").items()
} | {
    "no side": ((-1.0, np.full(3, -INF)), "low below high"),
    "sides of four": ((-1.0, np.ones(4)), "vectors of 3"),
}
SECONDS = named((-1, NAN, INF, "1", None, True))


def rows(length) -> dict:
    """What is neither one vector of this length nor rows of such."""
    return (
        array(length)
        | {f"{what}, in rows": value for what, value in array(2, length).items()}
        | {"three axes": (np.zeros((2, 2, length)), rf"\(N, {length}\)")}
    )


def one(length) -> dict:
    """What is no single vector of this length."""
    return array(length) | {"two": (np.zeros((2, length)), "one vector")}


CHAINS = {
    "invert_layers": Call(
        invert_layers,
        {"chain": LEAKY, "outputs": np.ones(2)},
        {
            "chain": NO_CHAIN | NO_INVERSE,
            "outputs": rows(2) | {"too large": (np.full(2, 1.7e308), "^")},
            "tolerance": NOT_NEGATIVE,
            "precision": choice("float16", np.float32, ["float32"]),
            "outputs, precision": {
                "too large for float32": ((np.full(2, 1e39), "float32"), "^outputs: expected float32 to hold")
            },
        },
    ),
    "error_budget": Call(
        error_budget,
        {"chain": LEAKY, "outputs": np.ones(2)},
        {
            "chain": NO_CHAIN | NO_INVERSE,
            "outputs": rows(2)
            | {"too large": (np.full(2, 1.7e308), "^"), "too large for float32": (np.full(2, 1e39), "float32 to hold")},
        },
    ),
    "reach": Call(
        reach,
        {"chain": CHAIN, "targets": np.zeros(2), "progress": False},
        {
            "chain": NO_CHAIN | {"a last ReLU": (chain(("relu",), (3, 2)), "an activation with an inverse, got ReLU")},
            "targets": rows(2),
            "starts": without(rows(3), "None", "None, in rows"),
            "box": BOX | SIDE,
            "atol": POSITIVE,
            "seconds": SECONDS,
        },
    ),
    "trace_back": Call(
        trace_back,
        {"chain": CHAIN, "targets": np.zeros(2)},
        {
            "chain": NO_CHAIN
            | {what: (value, "an activation with an inverse, got ReLU") for what, (value, _) in NO_INVERSE.items()},
            "targets": rows(2),
            "box": BOX | SIDE,
            "atol": POSITIVE,
            "margin": NOT_NEGATIVE,
            "seconds": SECONDS,
            "chain, margin": {
                "a whole tanh": ((chain(("tanh",) * 2), 1.0), "^margin: expected .*less than 1,"),
                "a whole sigmoid": ((chain(("sigmoid",) * 2), 0.6), "^margin: expected .*less than 0.5"),
            },
        },
    ),
    "check_certificate": Call(
        check_certificate,
        {"chain": CHAIN, "target": np.zeros(2), "certificate": OutOfRange(0, 0.1)},
        {"chain": NO_CHAIN, "target": one(2), "box": BOX | SIDE},
    ),
    "as_box": Call(as_box, {"box": (0.0, 1.0), "length": 3}, {"box": BOX | SIDE}),
}

POLYTOPES = {
    "pattern": Call(pattern, {"chain": BENT, "image": np.ones(3)}, {"chain": NO_CHAIN | NO_BENDS, "image": one(3)}),
    "affine_piece": Call(
        affine_piece, {"chain": BENT, "pattern": ON}, {"chain": NO_CHAIN | NO_BENDS, "pattern": NO_PATTERN}
    ),
    "invert_in_pattern": Call(
        invert_in_pattern,
        {"chain": BENT, "pattern": ON, "target": np.zeros(2), "start": np.zeros(3)},
        {"chain": NO_CHAIN | NO_BENDS, "pattern": NO_PATTERN, "target": one(2), "start": one(3)},
    ),
    "check_infeasible": Call(
        check_infeasible,
        {"chain": BENT, "pattern": ON, "target": np.ones(2), "certificate": Certificate(np.ones(4), np.ones(2))},
        {
            "chain": NO_CHAIN | NO_BENDS,
            "pattern": NO_PATTERN,
            "target": one(2),
            "certificate": {"None": (None, "Certificate")}
            | {
                f"units: {what}": (Certificate(v, np.ones(2)), rf"^certificate\.units: expected .*{words}")
                for what, (v, words) in one(4).items()
            }
            | {
                f"outputs: {what}": (Certificate(np.ones(4), v), rf"^certificate\.outputs: expected .*{words}")
                for what, (v, words) in one(2).items()
            },
        },
    ),
    "walk": Call(
        walk,
        {"chain": BENT, "target": np.zeros(2), "start": np.ones(3), "max_patterns": 5},
        {"chain": NO_CHAIN | NO_BENDS, "target": one(2), "start": one(3), "max_patterns": COUNT},
    ),
}

CALLS = CHAINS | POLYTOPES

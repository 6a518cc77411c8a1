"""What the rooms of linear algebra refuse."""

import numpy as np

from tests.refusals.kinds import (
    COUNT,
    GENERATOR,
    INF,
    NAN,
    NOT_NEGATIVE,
    POSITIVE,
    Call,
    array,
    called,
    choice,
    named,
    no_numbers,
    without,
)
from vsbook.linalg import activations, arrangement, kernels, nullmodel, significance, subspaces
from vsbook.linalg.subspaces import FourSubspaces

S = FourSubspaces.of([[1.0, 2, 3], [4, 5, 6]])
RNG = np.random.default_rng(0)
# small numbers in falling order, all different: spectra, probabilities, images and weights
TABLE, FALLING = np.linspace(0.9, 0.1, 6).reshape(2, 3), np.array([0.9, 0.5, 0.1])
WEIGHT = np.linspace(0.9, 0.1, 72).reshape(4, 2, 3, 3)

SUBSPACES = {
    "FourSubspaces.of": Call(
        FourSubspaces.of,
        {"A": TABLE},
        {
            "A": array(2, 3) | {"a sum that overflows": (np.full((4, 4), 1.7e308), "")},
            "tol": named((-1, NAN, INF, "1", 1j, 1 + 0j, [1.0], True, np.array([1.0, 2.0])), "number"),
        },
    ),
    "numerical_rank": Call(subspaces.numerical_rank, {"A": TABLE}, {"A": array(2, 3)}),
    "absorb_bias": Call(
        subspaces.absorb_bias,
        {"W": TABLE, "bias": np.ones(2)},
        {"W": array(2, 3), "bias": array(2) | {"two biases": (np.eye(2), "")}},
    ),
    **{
        f"FourSubspaces.{name}": Call(getattr(S, name), {key: np.ones(size)}, {key: array(size)})
        for name, key, size in [
            ("project_row", "x", 3),
            ("project_null", "x", 3),
            ("project_column", "y", 2),
            ("project_left_null", "y", 2),
            ("energy_split", "x", 3),
            ("pinv", "y", 2),
        ]
    },
    "pinv of a tiny matrix": Call(
        FourSubspaces.of(np.full((2, 2), 1e-310)).pinv,
        {"y": np.full(2, 1e-310)},
        {"y": {"a preimage that overflows": ([1.0, 1.0], "^")}},
    ),
    "neuron_projection": Call(
        subspaces.neuron_projection,
        {"w": [1.0, 2, 3], "x": [1.0, 2, 3]},
        {
            "w": without(array(3), "wrong shape")
            | {"a silent neuron": (np.zeros(3), ""), "two neurons": (np.eye(3), "")},
            "x": array(3) | {"a blank image": ([[1, 2, 3], [0, 0, 0]], "")},
        },
    ),
    "append_one": Call(subspaces.append_one, {"x": FALLING}, {"x": no_numbers(3)}),
}

KERNELS = {
    "pattern_share": Call(
        kernels.pattern_share,
        {"kernels": np.ones(9), "pattern": "top row"},
        {
            "kernels": array(9) | {"a square": (np.ones((3, 3)), ""), "a blank one": (np.zeros(9), "some energy")},
            "pattern": choice("a nose", ["top row"], "Top row"),
        },
    ),
    "line_share": Call(
        kernels.line_share,
        {"kernels": np.ones(9)},
        {"kernels": array(9) | {"one of three is blank": (np.eye(9)[:3] * [[0], [1], [1]], "some energy")}},
    ),
    "two_level_share": Call(
        kernels.two_level_share,
        {"images": FALLING},
        {
            "images": no_numbers(5)
            | {"equal pixels": ([0.1] * 3, "pixels that differ"), "one pixel": ([1.0], "pixels that differ")}
        },
    ),
    "flattened_kernels": Call(
        kernels.flattened_kernels,
        {"weight": WEIGHT},
        {"weight": no_numbers(4, 2, 3, 3) | {"a vector": (np.ones(3), ""), "a matrix": (np.ones((3, 3)), "")}},
    ),
    "im2col": Call(
        kernels.im2col,
        {"weight": WEIGHT},
        {
            "weight": no_numbers(4, 2, 3, 3) | {"a vector": (np.ones(3), ""), "a matrix": (np.ones((3, 3)), "")},
            "groups": COUNT | named((3, 8, 1.0)),
        },
    ),
    "convolution_matrix": Call(
        kernels.convolution_matrix,
        {"weight": WEIGHT, "height": 5, "width": 5},
        {
            "weight": no_numbers(4, 2, 3, 3)
            | {f"shape {s}": (np.ones(s), "") for s in ((1, 2, 2), (1, 1, 1, 2, 2), (1, 1, 6, 2), (1, 1, 2, 6))},
            **dict.fromkeys(("height", "width", "stride"), COUNT),
            "padding": named((-1, 0.5, NAN, "1", None, False), "whole number"),
        },
    ),
}

# of both tests by shuffled copies
TESTED = {
    "A": array(2, 3) | {"a row": ([[1.0, 2.0]], ""), "a column": ([[1.0], [2.0]], ""), "zeros": (np.zeros((3, 3)), "")},
    "draws": COUNT,
    "generator": GENERATOR,
}
SPECTRA = {"a rising one": ([1, 2], ""), "one below zero": ([2, -1], ""), "zeros": ([0, 0], "")}
SPECTRA |= {"one that rises among two": ([[2, 1], [1, 2]], "")}

INFINITE = ("infinity", "one infinity")  # as a condition number may be

NULLMODEL = {
    "random_subspace": Call(
        nullmodel.random_subspace,
        {"n": 3, "r": 2, "generator": RNG},
        {
            "n": COUNT | named((3.0,)),
            "r": COUNT | named((4, "2")),
            "n, r": named([(0, 0)], "^"),
            "generator": GENERATOR,
        },
    ),
    "energy_fraction_law": Call(
        nullmodel.energy_fraction_law, {"n": 3, "r": 2}, {"n": COUNT, "r": COUNT | named((3,))}
    ),
    "sampled_energy_fractions": Call(
        nullmodel.sampled_energy_fractions,
        {"x": FALLING, "r": 1, "draws": 2, "generator": RNG},
        {
            "x": no_numbers(3) | {"blanks": (np.zeros((3, 3)), "")},
            "r": COUNT | named((4,)),
            "draws": COUNT,
            "generator": GENERATOR,
        },
    ),
    "sampled_spectra": Call(
        nullmodel.sampled_spectra,
        {"shape": (2, 2), "sd": 1.0, "draws": 1, "generator": RNG},
        {
            "shape": named(((2,), 4, "ab", None))
            | named(((0, 2), (2.0, 2), (3, -3)), "^(rows|columns): expected a whole"),
            "sd": NOT_NEGATIVE,
            "draws": COUNT,
            "generator": GENERATOR,
        },
    ),
    "marchenko_pastur_edges": Call(
        nullmodel.marchenko_pastur_edges,
        {"shape": (3, 3), "sd": 1.0},
        {
            "shape": named(((3,), 4, "ab", None)) | named(((3, -3), (0, 2)), "^(rows|columns): expected a whole"),
            "sd": NOT_NEGATIVE,
        },
    ),
    **{
        f"sampled_bases of {n}": Call(
            nullmodel.sampled_bases,
            {"n": n, "draws": 2, "generator": RNG},
            {"n": COUNT, "draws": COUNT, "generator": GENERATOR},
        )
        for n in (1, 3)
    },
    "shuffled_spectra": Call(
        nullmodel.shuffled_spectra,
        {"A": TABLE, "draws": 2, "generator": RNG},
        {"A": array(2, 3), "draws": COUNT, "generator": GENERATOR},
    ),
    "spectrum_test": Call(
        significance.spectrum_test,
        {"A": TABLE, "draws": 2, "generator": RNG},
        TESTED | {"statistic": choice("mean", ["sphericity"])},
    ),
    "nothing_to_test": Call(significance.nothing_to_test, {"A": TABLE}, {"A": array(2, 3)}),
    **{
        door.__name__: Call(door, {"spectra": FALLING}, {"spectra": no_numbers(3) | SPECTRA})
        for door in (significance.condition_number, significance.sphericity)
    },
    "holm": Call(
        significance.holm,
        {"p_values": FALLING},
        {"p_values": no_numbers(3) | named(([0.5, 1.1], [-0.1, 0.5], [[0.5]], [0.5, NAN], [], 0.5, "0.5"))},
    ),
    "p_value": Call(
        significance.p_value,
        {"observed": 1.0, "null": [1.0, INF]},
        {
            "observed": {
                what: (value, "")
                for what, (value, _) in without(no_numbers(3), "a number", "masked", *INFINITE).items()
            }
            | called(
                "null",
                {
                    "masked": (np.ma.ones(3), "a number beside it"),
                    "vectors": ([1.0], "a number beside it"),
                    "two": ([INF, INF], "a number beside it"),
                },
            )
            | named((NAN, True, 1j)),
            "null": without(no_numbers(3), *INFINITE) | named(([[1.0]], [1.0, NAN], [1.0, None])),
            "observed, null": named([(NAN, [NAN])], "^"),
        },
    ),
    "identifiability": Call(
        significance.identifiability,
        {"matrices": [TABLE, np.eye(2, 3)]},
        {
            "matrices": named((None, 3, []))
            | {"one": ([np.eye(2)], ""), "a matrix": (np.eye(3), "^"), "a string": ("ab", "^")}
            | {"two shapes": ([np.eye(2), np.eye(3)], ""), "a transpose": ([np.ones((2, 3)), np.ones((3, 2))], "")}
            | {"rows": ([np.ones((1, 3))] * 2, ""), "columns": ([np.ones((3, 1))] * 2, "")}
            | {"zeros": ([np.eye(2), np.zeros((2, 2))], "")}
            | {f"{what} of two": ([value, np.eye(2, 3)], "^") for what, (value, _) in array(2, 3).items()}
        },
    ),
}

ARRANGEMENT = {
    "spectrum_tests": Call(
        arrangement.spectrum_tests,
        {"matrices": {"own": TABLE}, "draws": 2, "generator": RNG, "progress": False},
        {
            "matrices": {"a list": ([np.eye(2)], "a dictionary by name, got list")}
            | {"an array": (np.eye(2), "a dictionary by name, got ndarray")}
            | {
                f"{what} of two": ({"good": np.eye(2), "bad": v}, "^matrix 'bad': expected ")
                for what, (v, _) in array(2, 3).items()
            }
            | {"a bias": ({"bias": np.ones(3)}, "^matrix 'bias': expected a matrix")},
            "draws": COUNT,
            "generator": GENERATOR,
            "statistic": choice("mean"),
        },
    ),
    "spectrum_tests of nothing": Call(
        arrangement.spectrum_tests,
        {"matrices": {}, "draws": 2, "generator": RNG, "progress": False},
        {"draws": COUNT, "generator": GENERATOR, "statistic": choice("mean")},
    ),
}

ACTIVATIONS = {
    "Activation": Call(activations.selu(), {"x": FALLING}, {"x": without(no_numbers(3), "a number")}),
    "Activation.derivative": Call(
        activations.selu().derivative, {"x": FALLING}, {"x": without(no_numbers(3), "a number")}
    ),
    "Activation.inverse": Call(activations.selu().inverse, {"y": FALLING}, {"y": without(no_numbers(3), "a number")}),
    "ReLU's inverse": Call(
        lambda activation: activation.inverse([1.0]),
        {"activation": activations.selu()},
        {"activation": {"ReLU": (activations.relu(), "one with an inverse, got ReLU; invert inside one pattern, by")}},
    ),
    "elu": Call(
        activations.elu,
        {"alpha": 1.0, "scale": 1.0},
        {
            "alpha": POSITIVE,
            "scale": POSITIVE,
            "alpha, scale": named([(1e-200, 1e-200), (1e200, 1e200)], r"^scale \* alpha: expected a"),
        },
    ),
    "leaky_relu": Call(activations.leaky_relu, {"slope": 0.1}, {"slope": POSITIVE}),
    "softplus": Call(activations.softplus, {"beta": 1.0}, {"beta": POSITIVE}),
    "inverse of leaky ReLU": Call(
        activations.leaky_relu(0.1).inverse, {"y": -1.0}, {"y": {"beyond float64": (-1.7e308, "^")}}
    ),
}

CALLS = SUBSPACES | KERNELS | NULLMODEL | ARRANGEMENT | ACTIVATIONS

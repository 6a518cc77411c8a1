# What the wing offers, room by room: `__init__.py` loads a name when it is asked for.

from .activations import Activation, Inverse, elu, identity, leaky_relu, relu, selu, sigmoid, softplus, tanh
from .arrangement import SpectrumTests, spectrum_tests
from .exact import Exact
from .kernels import (
    LINES,
    PATTERNS,
    convolution_matrix,
    flattened_kernels,
    im2col,
    line_share,
    pattern_share,
    two_level_share,
)
from .nullmodel import (
    energy_fraction_law,
    marchenko_pastur_edges,
    random_subspace,
    sampled_bases,
    sampled_energy_fractions,
    sampled_spectra,
    shuffled_spectra,
)
from .significance import (
    STATISTICS,
    Identifiability,
    NullTest,
    condition_number,
    holm,
    identifiability,
    nothing_to_test,
    p_value,
    spectrum_test,
    sphericity,
)
from .subspaces import (
    SPACINGS,
    EnergySplit,
    FourSubspaces,
    NeuronProjection,
    absorb_bias,
    append_one,
    neuron_projection,
    numerical_rank,
    rank_tolerance,
    stored_as,
)

__all__ = [
    # subspaces: one SVD, its four bases, and the rank's one policy
    "SPACINGS",
    "FourSubspaces",
    "EnergySplit",
    "NeuronProjection",
    "neuron_projection",
    "absorb_bias",
    "append_one",
    "numerical_rank",
    "rank_tolerance",
    "stored_as",
    # kernels: a convolution as matrices
    "LINES",
    "PATTERNS",
    "convolution_matrix",
    "flattened_kernels",
    "im2col",
    "line_share",
    "pattern_share",
    "two_level_share",
    # activations: ranges, inverses, slopes
    "Activation",
    "Inverse",
    "elu",
    "identity",
    "leaky_relu",
    "relu",
    "selu",
    "sigmoid",
    "softplus",
    "tanh",
    # exact: sums and products without rounding
    "Exact",
    # nullmodel: what a random matrix, subspace or basis gives
    "energy_fraction_law",
    "marchenko_pastur_edges",
    "random_subspace",
    "sampled_bases",
    "sampled_energy_fractions",
    "sampled_spectra",
    "shuffled_spectra",
    # significance: statistics of a spectrum, p-values, several tests
    "STATISTICS",
    "Identifiability",
    "NullTest",
    "condition_number",
    "holm",
    "identifiability",
    "nothing_to_test",
    "p_value",
    "spectrum_test",
    "sphericity",
    # arrangement: the spectra of many matrices against noise
    "SpectrumTests",
    "spectrum_tests",
]

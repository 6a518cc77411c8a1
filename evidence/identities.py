"""The paper's exact statements (sections 2.1 to 2.3), measured on the trained networks: one function a claim."""

import numpy as np

from evidence.common import exact, measures, relative, sample, subspaces, weight
from evidence.networks import trained
from vsbook.linalg.nullmodel import random_subspace
from vsbook.linalg.subspaces import FourSubspaces, absorb_bias, append_one, neuron_projection
from vsbook.networks.layers import named_weights
from vsbook.networks.outputs import logits


def _random(n: int, r: int, seed: int) -> np.ndarray:
    return random_subspace(n, r, np.random.default_rng(seed))


@measures("bias-absorbed")
@exact("relative difference of W'x' and Wx + b", "with the bias left out")
def bias_absorbed(seed: int, spoil: bool) -> float:
    layer, x = named_weights(trained("fcnn1", seed))["layer1"], sample()
    W, b = layer.weight.astype(np.float64), layer.bias.astype(np.float64)
    expected = x @ W.T + b
    return relative(append_one(x) @ absorb_bias(W, 0 * b if spoil else b).T - expected, expected)


def _dependent_layer(seed: int) -> np.ndarray:
    """Layer 1 of FCNN5 with its last output the sum of the others: an output space that isn't everything."""
    W = weight("fcnn5", seed).astype(np.float64)
    W[-1] = W[:-1].sum(axis=0)
    return W


@measures("signal-output-space-is-reached")
@exact("part of the outputs outside the column space", "with a random subspace of that dimension", "fcnn5")
def signal_output_space_is_reached(seed: int, spoil: bool) -> float:
    W = _dependent_layer(seed)
    S, y = FourSubspaces.of(W), sample() @ W.T
    basis = _random(*S.column_space.shape, seed) if spoil else S.column_space
    return relative(y - (y @ basis) @ basis.T, y)


@measures("signal-maps-to-signal-output")
@exact("relative difference of W x and W x_signal", "with a random subspace of that dimension")
def signal_maps_to_signal_output(seed: int, spoil: bool) -> float:
    W, S, x = weight("fcnn1", seed).astype(np.float64), subspaces("fcnn1", seed), sample()
    basis = _random(*S.row_space.shape, seed) if spoil else S.row_space
    return relative(((x @ basis) @ basis.T - x) @ W.T, x @ W.T)


@measures("pseudo-inverse-solves-equation-2")
@exact("relative difference of W^+ W x and x_signal", "with the transpose in place of the pseudo-inverse")
def pseudo_inverse_solves_equation_2(seed: int, spoil: bool) -> float:
    W, S, x = weight("fcnn1", seed).astype(np.float64), subspaces("fcnn1", seed), sample()
    signal, y = S.project_row(x), x @ W.T
    return relative((y @ W if spoil else S.pinv(y)) - signal, signal)


@measures("rejected-signal-has-no-impact")
@exact("relative change of the outputs", "with the signal part of the other image added")
def rejected_signal_has_no_impact(seed: int, spoil: bool) -> float:
    model, S, x = trained("fcnn1", seed).double(), subspaces("fcnn1", seed), sample()
    added = np.roll(x, 1, axis=0)
    added = S.project_row(added) if spoil else S.project_null(added)
    return relative(_outputs(model, x + added) - _outputs(model, x), _outputs(model, x))


def _outputs(model, x: np.ndarray) -> np.ndarray:
    """In float64, so that rounding stays below what is measured."""
    return logits(model, x).numpy()


def _frame_error(first: np.ndarray, second: np.ndarray) -> float:
    both = np.hstack([first, second])
    if both.shape[0] != both.shape[1]:
        return float("inf")
    return float(np.abs(both.T @ both - np.eye(both.shape[1])).max())


@measures("input-space-decomposition")
@exact("largest entry of B'B - I", "with a random complement")
def input_space_decomposition(seed: int, spoil: bool) -> float:
    S = subspaces("fcnn1", seed)
    return _frame_error(S.row_space, _random(*S.null_space.shape, seed) if spoil else S.null_space)


@measures("output-space-decomposition")
@exact("largest entry of B'B - I", "with a random complement", "fcnn5")
def output_space_decomposition(seed: int, spoil: bool) -> float:
    S = FourSubspaces.of(_dependent_layer(seed))
    return _frame_error(S.column_space, _random(*S.left_null_space.shape, seed) if spoil else S.left_null_space)


def _neurons(seed: int):
    x = sample()
    return [(w.astype(np.float64), x, neuron_projection(w, x)) for w in weight("fcnn1", seed)]


@measures("neuron-sees-only-the-projection")
@exact("relative difference of w'x and w'p", "with the residual in place of the projection")
def neuron_sees_only_the_projection(seed: int, spoil: bool) -> float:
    parts = [(x @ w, (split.residual if spoil else split.projection) @ w) for w, x, split in _neurons(seed)]
    return max(float(np.abs(whole - part).max() / np.abs(whole).max()) for whole, part in parts)


@measures("residual-is-orthogonal")
@exact("largest cosine of residual and weights", "with the projection in place of the residual")
def residual_is_orthogonal(seed: int, spoil: bool) -> float:
    chosen = [(w, split.projection if spoil else split.residual) for w, _, split in _neurons(seed)]
    return max(float(np.abs(v @ w / np.linalg.norm(v, axis=1) / np.linalg.norm(w)).max()) for w, v in chosen)


@measures("energy-splits")
@exact("relative difference of the two sides", "with the projection's energy left out")
def energy_splits(seed: int, spoil: bool) -> float:
    energies = [split.energy for _, _, split in _neurons(seed)]
    return max(float(np.abs((e.signal * (not spoil) + e.residual) / e.total - 1).max()) for e in energies)


@measures("subspaces-from-eigenvectors")
@exact("largest relative difference of the two ways", "with the eigenvectors at the wrong end")
def subspaces_from_eigenvectors(seed: int, spoil: bool) -> float:
    W, S = weight("fcnn1", seed).astype(np.float64), subspaces("fcnn1", seed)
    values, vectors = np.linalg.eigh(W.T @ W)
    top = vectors[:, : S.rank] if spoil else vectors[:, -S.rank :]
    spectrum = np.abs(np.sqrt(values[-S.rank :][::-1]) / S.singular_values - 1).max()
    return float(max(spectrum, np.abs(top @ top.T - S.row_space @ S.row_space.T).max()))


@measures("signal-coefficients")
@exact("relative difference of x and the two parts rebuilt from coefficients", "with the rejected part left out")
def signal_coefficients(seed: int, spoil: bool) -> float:
    S, x = subspaces("fcnn1", seed), sample()
    signal = (x @ S.row_space) @ S.row_space.T
    rejected = (x @ S.null_space) @ S.null_space.T
    return relative(signal + (0 if spoil else rejected) - x, x)

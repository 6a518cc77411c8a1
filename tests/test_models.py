"""The networks: architecture as the paper gives it, and initial weights that a seed determines."""

import numpy as np
import pytest
import torch

from vsbook.models import NETWORKS, create

WIDTHS = {"fcnn1": [784, 10], "fcnn5": [784, 256, 256, 128, 32, 10]}
SELUS = {"fcnn1": 1, "fcnn5": 4}  # one on the outputs; between the layers


def selu(x):
    """By the definition (Klambauer et al., 2017)."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return scale * np.where(x > 0, x, alpha * (np.exp(x) - 1))


@pytest.mark.parametrize("network", NETWORKS)
def test_widths_and_activations(network):
    model = create(network, 0)
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    assert [linear[0].in_features] + [m.out_features for m in linear] == WIDTHS[network]
    assert sum(isinstance(m, torch.nn.SELU) for m in model.modules()) == SELUS[network]
    assert isinstance(list(model.children())[-1], torch.nn.SELU) == (network == "fcnn1")


@pytest.mark.parametrize("network", NETWORKS)
def test_a_forward_pass_by_hand(network):
    model, x = create(network, 1).double(), np.random.default_rng(0).random((3, 784))
    out, layers = x, len(WIDTHS[network]) - 1
    for k in range(1, layers + 1):
        part = getattr(model, f"layer{k}")
        out = out @ part.weight.detach().numpy().T + part.bias.detach().numpy()
        out = selu(out) if k <= SELUS[network] else out
    np.testing.assert_allclose(model(torch.from_numpy(x)).detach().numpy(), out, atol=1e-12)


@pytest.mark.parametrize("network", NETWORKS)
def test_images_flat_or_square(network):
    model, x = create(network, 0), torch.rand(2, 784)
    assert torch.equal(model(x), model(x.reshape(2, 28, 28)))


@pytest.mark.parametrize("network", NETWORKS)
def test_initial_weights_follow_the_seed_and_leave_the_global_state(network):
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    one, same, other = create(network, 5), create(network, 5), create(network, 6)
    assert torch.equal(torch.rand(3), expected)
    for a, b, c in zip(one.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_initial_weights_are_pytorchs_default():
    """Uniform between -1/sqrt(784) and 1/sqrt(784): variance 1/(3 * 784), to 3 % for 7840 draws (4 deviations)."""
    W = create("fcnn1", 0).layer1.weight.detach().numpy()
    assert np.abs(W).max() <= 1 / 28
    assert W.var() == pytest.approx(1 / (3 * 784), rel=0.04)

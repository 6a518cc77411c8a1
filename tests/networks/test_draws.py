"""Initial weights drawn by NumPy: PyTorch's own, to the digits that processors agree on."""

import hashlib

import numpy as np
import pytest
import scipy.stats
import torch

from vsbook.networks.draws import BLOCK, ROUNDING, DrawnByNumPy
from vsbook.networks.models import NETWORKS, create

SIZES = (BLOCK, 3 * BLOCK, 2 * BLOCK + 5, 1000)
START = "80850d413dcde84585c4d0bcbebe9d295278566663cf64c0c80dfbcc6cbf946f"  # of FCNN1's first weights, seed 0


def by_pytorch(seed, fill):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return fill().double().numpy()


def by_numpy(seed, fill):
    with DrawnByNumPy(seed):
        return fill().double().numpy()


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**40 + 3])
@pytest.mark.parametrize("size", SIZES)
def test_uniform_numbers_are_pytorchs(seed, size):
    """Its product and sum in float32 round by half a unit of the interval's ends each, or once where they are fused."""
    one, other = (draw(seed, lambda: torch.empty(size).uniform_(-0.3, 0.1)) for draw in (by_pytorch, by_numpy))
    np.testing.assert_allclose(other, one, rtol=0, atol=0.4 * 2.0**-24)


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**40 + 3])
@pytest.mark.parametrize("size", SIZES)
def test_normal_numbers_are_pytorchs(seed, size):
    one, other = (draw(seed, lambda: torch.empty(size).normal_(0, 0.1)) for draw in (by_pytorch, by_numpy))
    np.testing.assert_allclose(other, one, rtol=0, atol=0.1 * ROUNDING)


def test_draws_follow_one_another_as_pytorchs_do():
    """Of several tensors, some with a last block that is drawn anew."""

    def fill():
        sizes = [(3, 7, "uniform_"), (5, 10, "normal_"), (2, 8, "normal_"), (1, 4, "uniform_")]
        return torch.cat([getattr(torch.empty(m, n), law)().flatten() for m, n, law in sizes])

    np.testing.assert_allclose(by_numpy(3, fill), by_pytorch(3, fill), rtol=0, atol=ROUNDING)


def test_the_laws():
    """Kolmogorov's distance of 100,000 numbers, at a level of one in a million."""
    shares, normal = (
        by_numpy(1, lambda law=law: getattr(torch.empty(100_000), law)()) for law in ("uniform_", "normal_")
    )
    assert scipy.stats.kstest(shares, "uniform").pvalue > 1e-6
    assert scipy.stats.kstest(normal, "norm").pvalue > 1e-6


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_start_where_pytorch_has_them_start(network):
    """All parameters and buffers, in the order in which they are drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = NETWORKS[network]().state_dict()
    for name, tensor in create(network, 5).state_dict().items():
        one, other = expected[name].double(), tensor.double()
        assert (one - other).abs().max() <= ROUNDING * one.std(correction=0), name


def test_a_start_is_known_by_heart():
    """Five weights, and all of them in one hash: uniform numbers are the same to the last bit on every processor."""
    W = create("fcnn1", 0).layer1.weight.detach().numpy()
    known = ["-0x1.186p-12", "0x1.39e56ap-6", "-0x1.e19958p-6", "-0x1.aea126p-6", "-0x1.c2bd9cp-7"]
    assert W[0, :5].tolist() == [float.fromhex(digits) for digits in known]
    assert hashlib.sha256(W.astype("<f4").tobytes()).hexdigest() == START


def test_all_else_is_pytorchs_own():
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    with DrawnByNumPy(0):
        found = torch.rand(2), torch.ones(2) + 1
    assert torch.equal(found[0], expected)
    assert torch.equal(found[1], torch.tensor([2.0, 2.0]))

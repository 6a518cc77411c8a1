"""Ranks and inverses by the digits that were stored: networks of low rank in every type, against NumPy and SciPy."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn
from torch.nn.utils import parametrize, prune

from tests.oracles import matrix_of_rank
from vsbook.checks import BadInput
from vsbook.inversion.chains import Chain, Step
from vsbook.inversion.layerwise import error_budget, invert_layers
from vsbook.linalg.activations import identity
from vsbook.linalg.subspaces import SPACINGS, FourSubspaces, absorb_bias, numerical_rank, rank_tolerance, stored_as
from vsbook.networks.checkpoints import load
from vsbook.networks.layers import named_weights

TYPES = {name: getattr(torch, name) for name in SPACINGS}
NARROW = ("float16", "bfloat16")
SHAPES = [(48, 64), (10, 784), (256, 784), (60, 12)]
RANK = 5


def tensor(array, dtype):
    return torch.from_numpy(np.asarray(array)).to(TYPES[dtype])


def low_rank(m, n, seed, dtype, rank=RANK):
    """Nonzero singular values within a factor of 2 and entries around 1, rounded once."""
    return tensor(matrix_of_rank(m, n, rank, seed) * np.sqrt(m * n), dtype)


def merged(m, n, seed, dtype):
    """W + B A, computed in the type: W of rank 3, an adapter of rank 2, each rounded before."""
    B, A = np.random.default_rng(seed).standard_normal((2, 2, max(m, n)))
    return low_rank(m, n, seed, dtype, 3) + tensor(B[:, :m].T, dtype) @ tensor(A[:, :n], dtype)


def pruned(m, n, seed, dtype):
    """All columns but five are zero."""
    W = tensor(np.random.default_rng(seed).standard_normal((m, n)), dtype)
    return W * (torch.arange(n) < RANK)


def twice(m, n, seed, dtype):
    """Five different rows, again and again, some negative."""
    W = tensor(np.random.default_rng(seed).standard_normal((RANK, n)), dtype)
    return W.repeat(m // RANK + 1, 1)[:m] * (1 - 2 * (torch.arange(m) % 2))[:, None].to(W.dtype)


MAKERS = {"one product": low_rank, "merged adapter": merged, "pruned": pruned, "repeated rows": twice}


def linear(weight):
    """A layer of exactly that weight, and its copy in float64."""
    module = nn.Linear(weight.shape[1], len(weight))
    module.weight = nn.Parameter(weight, requires_grad=False)
    return module.eval(), weight.double().numpy()


@pytest.mark.parametrize("dtype", ["float64", "float32", *NARROW])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("make", MAKERS)
def test_the_rank_is_that_of_the_stored_digits(make, shape, dtype):
    """In ten seeds, by both doors; NumPy counts the same with the same tolerance."""
    for seed in range(10):
        module, W = linear(MAKERS[make](*shape, seed, dtype))
        layer, step = named_weights(module)[""], Chain.of(module).steps[0]
        assert layer.dtype == step.dtype == dtype
        np.testing.assert_array_equal(layer.weight.astype(float), W)
        np.testing.assert_array_equal(step.weight, W)
        s = np.linalg.svd(W, compute_uv=False)
        for S in (FourSubspaces.of(layer.weight), step.subspaces):
            assert S.rank == RANK == np.linalg.matrix_rank(W, tol=S.tol)
            assert S.condition_number == pytest.approx(s[0] / s[RANK - 1], rel=1e-9)


def test_a_step_by_hand_has_the_digits_of_its_array_unless_it_is_told_otherwise():
    W = low_rank(48, 64, 0, "float32").numpy()
    rest = np.zeros(48), identity()
    assert Step("one", W, *rest).subspaces.rank == Step("one", W.astype(float), *rest, "float32").subspaces.rank == RANK
    assert Step("one", W.astype(float), *rest).subspaces.rank == 48


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("shape", [(48, 64), (256, 784)], ids=str)
def test_the_rank_in_eight_bits(shape, dtype):
    """Rank 2: of five, e5m2 would lose the smallest ones."""
    for seed in range(10):
        module, W = linear(low_rank(*shape, seed, dtype, 2))
        S = FourSubspaces.of(named_weights(module)[""].weight)
        assert S.rank == 2 == np.linalg.matrix_rank(W, tol=S.tol)


@pytest.mark.parametrize("scale", [1e-7, 1e-6, 1e-5, 1.0, 1e3])
@pytest.mark.parametrize("dtype", TYPES)
def test_rounding_once_adds_no_rank(dtype, scale):
    """Whatever the numbers: spread over many sizes, of few different values, where the type has few digits left."""
    generator = np.random.default_rng(3)
    for m, n, rank in ((3, 3, 1), (20, 30, 4), (6, 200, 2)):
        factors = generator.standard_normal((m, rank)), generator.standard_normal((rank, n))
        spread = 10.0 ** generator.uniform(-2, 0, (m, 1))
        few = np.round(factors[0]), np.round(2 * factors[1]) / 3
        for A in (factors[0] @ factors[1], spread * (factors[0] @ factors[1]), few[0] @ few[1]):
            stored = tensor(np.clip(scale * A, -448, 448) if scale < 100 else scale * np.sign(A[:, :1]), dtype).double()
            if stored.isfinite().all():
                assert numerical_rank(stored_as(stored.numpy(), dtype)) <= rank


def test_the_spacings_are_those_of_the_types():
    """All numbers that a narrow type has say so themselves (what PyTorch says of some it said otherwise before)."""
    for name in SPACINGS.keys() - {"float32", "float64"}:
        bits = np.arange(256, dtype=np.uint8) if name.startswith("float8") else np.arange(2**16, dtype=np.uint16)
        numbers = torch.from_numpy(bits.view(np.int8 if bits.itemsize == 1 else np.int16)).view(TYPES[name]).double()
        positive = np.unique(numbers[numbers.isfinite() & (numbers > 0)].numpy())
        assert SPACINGS[name] == (positive[positive > 1][0] - 1, positive[0])
    for name in ("float16", "float32", "float64"):
        assert SPACINGS[name] == (np.finfo(name).eps, np.finfo(name).smallest_subnormal)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4"])
def test_in_float32_and_float64_the_rule_is_lapacks(dtype):
    s = np.geomspace(3, 1e-3, 7)
    for shape in ((7, 7), (7, 90), (1000, 7)):
        expected = np.finfo(dtype).eps * max(shape) * s[0]
        assert rank_tolerance(s, shape, dtype) == expected


@pytest.mark.parametrize("dtype", NARROW)
def test_in_narrow_types_the_tolerance_is_what_two_roundings_may_do(dtype):
    """By hand: a spacing times the length of all entries, and around zero one smallest number for each."""
    A = np.arange(12.0).reshape(3, 4)
    eps, least = SPACINGS[dtype]
    expected = eps * np.sqrt((A**2).sum()) + least * np.sqrt(12)
    assert FourSubspaces.of(stored_as(A, dtype)).tol == pytest.approx(expected, rel=1e-12)


def test_what_the_digits_cannot_tell_is_counted_out_and_stays_in_sight():
    """One singular value below the grid of bfloat16: not in the rank, but among the singular values, below `tol`."""
    A = stored_as(np.diag([1.0, 1e-3]), "bfloat16")
    S = FourSubspaces.of(A)
    assert (S.rank, S.singular_values.tolist()) == (1, [1.0, 1e-3])
    assert S.singular_values[1] < S.tol < 0.01
    assert numerical_rank(A, tol=0) == 2


# the mark


def test_views_and_copies_keep_the_mark_and_the_numbers():
    plain = matrix_of_rank(6, 8, 2, 0).astype(np.float32)
    rounded = tensor(plain, "bfloat16").float().numpy()
    A = stored_as(rounded, "bfloat16")
    assert A.dtype == np.float32
    assert np.shares_memory(A, rounded)
    for other in (A, A.T, A.copy(), A[:, ::-1], A.reshape(4, 12).reshape(6, 8), np.asfortranarray(A), np.array(A)):
        assert numerical_rank(other) == 2
    assert numerical_rank(A.astype(np.float32)) == numerical_rank(rounded) == 6, "a change of type loses it"


@pytest.mark.parametrize("name", ["float128", "int8", "", None, np.float32, ["bfloat16"]])
def test_a_mark_of_no_type(name):
    with pytest.raises(BadInput, match=r"^name: expected one of float64, .*bfloat16, .*; got"):
        stored_as(np.eye(2), name)


def test_a_bias_as_one_more_column_has_the_digits_that_it_had():
    layer, _ = linear(low_rank(48, 64, 0, "float32"))
    found = named_weights(layer)[""]
    both = absorb_bias(found.weight, found.bias)
    assert both.dtype == np.float64
    np.testing.assert_array_equal(both, np.column_stack([found.weight.astype(float), found.bias.astype(float)]))
    assert numerical_rank(both) == RANK + 1
    assert numerical_rank(absorb_bias(found.weight, np.zeros(48))) == RANK
    assert numerical_rank(absorb_bias([[1.0, 0], [0, 1e-10]], [1.0, 0])) == 2


# networks


class Adapter(nn.Module):
    """W + B A, as a parametrisation."""

    def __init__(self, m, n, dtype):
        super().__init__()
        B, A = np.random.default_rng(1).standard_normal((2, 2, max(m, n)))
        self.B, self.A = nn.Parameter(tensor(B[:, :m].T, dtype)), nn.Parameter(tensor(A[:, :n], dtype))

    def forward(self, weight):
        return weight + self.B @ self.A


@pytest.mark.parametrize("dtype", ["float32", *NARROW])
def test_a_computed_weight_has_the_type_that_it_is_computed_in(dtype):
    module, _ = linear(low_rank(48, 64, 0, dtype, 3))
    parametrize.register_parametrization(module, "weight", Adapter(48, 64, dtype).eval())
    layer = named_weights(module)[""]
    assert (layer.dtype, FourSubspaces.of(layer.weight).rank) == (dtype, 5)
    wide, _ = linear(low_rank(48, 64, 0, dtype, 3))
    parametrize.register_parametrization(wide, "weight", Adapter(48, 64, "float64").eval(), unsafe=True)
    assert named_weights(wide)[""].dtype == "float64"


@pytest.mark.parametrize("dtype", ["float32", *NARROW])
def test_kernels_of_low_rank(dtype):
    """64 x 32 kernels of 3 x 3 that are sums of two; a depthwise layer of three different kernels a group."""
    kernels = low_rank(64 * 32, 9, 0, dtype, 2)
    module = nn.Conv2d(32, 64, 3, dtype=kernels.dtype)
    module.weight.data = kernels.reshape(64, 32, 3, 3)
    found = named_weights(module)[""].matrices
    assert FourSubspaces.of(found["flattened_kernels"]).rank == 2
    grouped = nn.Conv2d(8, 32, 3, groups=4, dtype=kernels.dtype)
    blocks = [low_rank(8, 18, seed, dtype, 3) for seed in range(4)]
    grouped.weight.data = torch.cat(blocks).reshape(32, 2, 3, 3)
    S = FourSubspaces.of(named_weights(grouped)[""].matrices["im2col"])
    assert S.rank == np.linalg.matrix_rank(scipy.linalg.block_diag(*(b.double().numpy() for b in blocks)), S.tol) == 12


@pytest.mark.parametrize("dtype", ["float64", "float32", *NARROW])
@pytest.mark.parametrize("make", MAKERS)
def test_an_output_comes_back_to_an_image_of_its_size(make, dtype):
    """The smallest image, as SciPy's pseudo-inverse cut at the same place gives it, in both precisions.

    By the mere digits of float64 the images were hundreds of times as long as those that had given the outputs.
    """
    module, W = linear(MAKERS[make](48, 64, 2, dtype))
    chain = Chain.of(nn.Sequential(module, nn.LeakyReLU(0.25)).eval())
    images = np.random.default_rng(0).random((6, 64))
    outputs = chain(images)
    found = invert_layers(chain, outputs, precision="float64")
    before = np.where(outputs > 0, outputs, 4 * outputs) - chain.steps[0].bias
    s = np.linalg.svd(W, compute_uv=False)
    expected = before @ scipy.linalg.pinv(W, atol=0, rtol=chain.steps[0].subspaces.tol / s[0]).T
    np.testing.assert_allclose(found.images, expected, atol=1e-9)
    assert (np.linalg.norm(found.images, axis=1) < 1.1 * np.linalg.norm(images, axis=1)).all()
    assert found.condition_numbers == pytest.approx(s[0] / s[RANK - 1])
    # what lies beyond the five directions is rounding of W, of the size of the type's digits
    assert (found.forward_error < SPACINGS[dtype][0] * 10).all()
    single = invert_layers(chain, outputs, precision="float32").images
    np.testing.assert_allclose(single, expected, rtol=1e-3, atol=1e-4)


def test_a_budget_for_layers_of_low_rank():
    module, _ = linear(low_rank(48, 64, 2, "float32"))
    chain = Chain.of(nn.Sequential(module, nn.LeakyReLU(0.25)).eval())
    budget = error_budget(chain, chain(np.random.default_rng(0).random((20, 64))))
    assert (budget.measured <= 1.5 * budget.worst).all()
    assert budget.worst.max() < 1e-2


@pytest.mark.parametrize("name", ["fcnn1", "fcnn5", "fcnn5_leaky_relu"])
def test_the_trained_layers_keep_their_full_rank(name):
    for step in Chain.of(load(name)).steps:
        assert step.dtype == "float32"
        assert step.subspaces.rank == min(step.weight.shape) == np.linalg.matrix_rank(step.weight.astype(np.float32))


def test_pruned_layers_come_as_the_next_pass_computes_them():
    """A copy of the weight is renewed in each forward pass, and is out of date after loading other weights."""
    module = nn.Linear(6, 4)
    prune.ln_structured(module, "weight", amount=3, n=2, dim=0)
    prune.l1_unstructured(module, "bias", amount=2)
    prune.l1_unstructured(module, "weight", amount=2)  # a container of both
    torch.manual_seed(1)
    for key in ("weight_orig", "bias_orig"):
        getattr(module, key).data.normal_()
    stale = module.weight.detach().clone()
    layer = named_weights(module)[""]
    assert torch.equal(module.weight, stale), "nothing in the network is changed"
    module(torch.zeros(1, 6))
    np.testing.assert_array_equal(layer.weight, module.weight.detach().numpy())
    np.testing.assert_array_equal(layer.bias, module.bias.detach().numpy())
    assert FourSubspaces.of(layer.weight).rank == 1
    assert not named_weights(module).untreated


@pytest.mark.filterwarnings("ignore")  # these two are on their way out
@pytest.mark.parametrize("normalise", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_the_older_normalisations_too(normalise):
    module = normalise(nn.Linear(6, 4)).eval()
    module.bias.data.zero_()
    for p in module.parameters():
        p.data.mul_(3).add_(0.5)
    layer = named_weights(module)[""]
    module(torch.zeros(1, 6))
    np.testing.assert_array_equal(layer.weight, module.weight.detach().numpy())


@pytest.mark.filterwarnings("ignore:Sparse")  # a beta feature of PyTorch
@pytest.mark.parametrize("sparse", [torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr])
def test_a_sparse_weight_is_filled(sparse):
    module, W = linear(pruned(8, 9, 0, "float32"))
    module.weight = nn.Parameter(sparse(module.weight.detach()), requires_grad=False)
    layer = named_weights(module)[""]
    np.testing.assert_array_equal(layer.weight, W)
    assert Chain.of(module).steps[0].subspaces.rank == RANK

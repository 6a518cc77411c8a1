"""Remedies that errors name, each followed: as it is written, it leads through the door that was closed."""

import re
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse
import torch
from torch import nn

from tests.oracles import matrix_of_rank
from vsbook.checks import BadInput
from vsbook.inversion.chains import Chain, Step
from vsbook.inversion.layerwise import invert_layers
from vsbook.inversion.newton import invert
from vsbook.inversion.polytopes import walk
from vsbook.linalg import subspaces
from vsbook.linalg.activations import relu
from vsbook.linalg.subspaces import FourSubspaces, numerical_rank
from vsbook.networks.layers import named_weights

A = matrix_of_rank(48, 64, 5, 0) * 50
T = torch.from_numpy(A)


def refused(value):
    """What the door says of it."""
    with pytest.raises(BadInput) as caught:
        FourSubspaces.of(value)
    return str(caught.value)


TENSORS = {
    "bfloat16": lambda: T.bfloat16(),
    "a weight in bfloat16": lambda: nn.Parameter(T.bfloat16()),
    "float8": lambda: (T[:, :] > 0).to(torch.float8_e5m2),
    "a weight": lambda: nn.Parameter(T),
    "sparse": lambda: T.to_sparse(),
    "sparse, by rows": lambda: T.to_sparse_csr(),
    "sparse, bfloat16, with gradients": lambda: T.bfloat16().to_sparse().requires_grad_(),
    "of another library": lambda: T.float().to_mkldnn(),
    "negative by a flag": lambda: (1j * T).conj().imag,
    "quantised": lambda: torch.quantize_per_tensor(T.float(), 0.5, 0, torch.qint8),
}


@pytest.mark.filterwarnings("ignore")  # sparse rows are a beta feature, quantised tensors on their way out
@pytest.mark.parametrize("what", TENSORS)
def test_the_way_of_a_tensor_to_an_array(what):
    it = TENSORS[what]()
    said = refused(it)
    way, dtype = re.search(
        r"; pass its ([a-z_.()]+)(?:, through .*\(array, '(\w+)'\) where a rank counts)?$", said
    ).groups()
    array = eval("it" + way, {"it": it})
    assert dtype == (str(it.dtype).removeprefix("torch.") if "float" in way else None)
    np.testing.assert_array_equal(
        array, it.detach().to_dense().resolve_neg().double() if not it.is_quantized else it.dequantize()
    )
    rank = numerical_rank(array if dtype is None else subspaces.stored_as(array, dtype))
    assert (rank == 5) == (what not in ("float8", "quantised")), "two of these have other digits than the product"


def test_an_array_of_a_type_that_another_library_made():
    it = A.astype(ml_dtypes.bfloat16)
    way, dtype = re.search(
        r"; pass it as (.*), through .*\(array, '(\w+)'\) where a rank counts$", refused(it)
    ).groups()
    array = eval(way, {"numpy": np, "it": it})
    assert (array == it.astype(float)).all() and numerical_rank(subspaces.stored_as(array, dtype)) == 5
    narrow = A.astype(ml_dtypes.float8_e5m2)  # NumPy takes this one for a real type: its digits are known
    assert numerical_rank(narrow) == numerical_rank(subspaces.stored_as(narrow.astype("f4"), "float8_e5m2")) < 48


def test_a_list_of_tensors():
    it = [row.requires_grad_() for row in T.bfloat16()]
    way = re.search(r"; pass (torch\.stack\(it\)[a-z_.()]+), through", refused(it))[1]
    assert eval(way, {"torch": torch, "it": it}).shape == (48, 64)
    assert "rows of equal length" in refused([[1.0, 2.0], [1.0]])
    assert "rows of equal length" in refused([torch.ones(2), torch.ones(3)])


def test_complex_numbers_in_a_list():
    assert refused([[1j, 2]]).endswith("as numpy.real(it)")
    assert refused(np.ones((2, 2), "M8[s]")).endswith("; pass an array of numbers")


def test_a_tensor_without_values():
    assert refused(torch.ones(2, 2, device="meta")).endswith("; load its values first")


@pytest.mark.parametrize("form", ["csr_array", "coo_matrix", "csc_matrix"])
def test_a_sparse_matrix_of_scipy(form):
    it = getattr(scipy.sparse, form)(A)
    assert refused(it).endswith(f"got {form}; pass its .toarray()")
    assert numerical_rank(it.toarray()) == 5


@pytest.mark.parametrize("module", [nn.Linear(64, 48), nn.Conv2d(3, 4, 5), nn.ConvTranspose1d(3, 4, 5)])
def test_a_layer_and_what_it_is_found_in(module):
    """From the module to the mapping, from there to a layer, to a matrix."""
    found = named_weights(nn.Sequential(module))
    assert "vsbook.networks.named_weights" in refused(module)
    name = re.search(r"; pass one of its values, as that of '(.*)'$", refused(found))[1]
    layer = found[name]
    view = re.search(r"got Layer; pass one of its matrices, as \.matrices\['(\w+)'\]$", refused(layer))[1]
    assert FourSubspaces.of(layer.matrices[view]).rank > 0


def test_a_convolutions_weight():
    layer = named_weights(nn.Conv2d(3, 4, 5))[""]
    said = refused(layer.weight)
    assert said.endswith(
        "got shape (4, 3, 5, 5); pass one of the .matrices of its layer (vsbook.networks.named_weights), "
        "or reshape it to (rows, columns)"
    )
    assert {name: numerical_rank(view) for name, view in layer.matrices.items()} == {
        "flattened_kernels": 12,
        "im2col": 4,
    }
    assert refused(np.ones(3)).endswith("got shape (3,); reshape it to (rows, columns)")


@pytest.mark.parametrize(
    "it",
    [np.eye(2, dtype=bool), [["1", "2"], ["3", "5"]], [[Fraction(1, 2), 1], [1, 1]], np.eye(2).astype(bytes)],
    ids=["booleans", "strings", "fractions", "bytes"],
)
def test_what_can_be_converted(it):
    assert refused(it).endswith("; convert it with numpy.asarray(it, float)")
    assert numerical_rank(np.asarray(it, float)) == 2


@pytest.mark.parametrize("it", [None, [[None, 1.0]], object(), {1.0, 2.0}, "A", {}], ids=lambda it: type(it).__name__)
def test_what_cannot(it):
    """`.astype(float)` would make NaN of None, and fail for the others."""
    assert refused(it).endswith("; pass an array of numbers")


def test_what_a_layer_with_relu_leads_to():
    generator = np.random.default_rng(1)
    first, second = generator.standard_normal((4, 6)), generator.standard_normal((2, 4))
    chain = Chain((Step("a", first, np.ones(4), relu()), Step("b", second, np.zeros(2), relu())))
    image = generator.random(6)
    target = chain(image)[0]
    with pytest.raises(BadInput, match=r"vsbook\.inversion\.invert, or, of ReLUs alone, by vsbook\.inversion\.walk$"):
        invert_layers(chain, target)
    np.testing.assert_allclose(chain(walk(chain, target, image + 0.01).image)[0], target, atol=1e-6)
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2)).double().eval()
    outputs = model(torch.from_numpy(image[None])).detach().numpy()
    assert invert(model, outputs, image[None] + 0.01, progress=False).converged.all()

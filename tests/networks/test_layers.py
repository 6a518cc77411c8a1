"""Named matrices of a zoo of modules, and hooks that come and go."""

from collections.abc import Mapping

import numpy as np
import pytest
import scipy.linalg
import torch
import torchvision
from torch import nn

from vsbook.checks import BadInput
from vsbook.inversion.chains import Chain
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.layers import named_weights
from vsbook.networks.models import create


class Attended(nn.Module):
    """A parameter of its own, an embedding tied to the output, one layer used under two names, names with dots."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.words = nn.Embedding(11, 6)
        self.block = nn.ModuleDict({"attention": nn.MultiheadAttention(6, 2), "memory": nn.LSTM(6, 4)})
        self.first = nn.Linear(6, 6)
        self.again = self.first
        self.out = nn.Linear(6, 11, bias=False)
        self.out.weight = self.words.weight


class Adapted(nn.Linear):
    """A linear layer with a parameter that is no part of its weight or bias."""

    def __init__(self):
        super().__init__(4, 3)
        self.low_rank = nn.Parameter(torch.zeros(3, 1))


ZOO = {
    "linear": (lambda: nn.Linear(5, 3), {""}),
    "linear, no bias": (lambda: nn.Sequential(nn.Linear(5, 3, bias=False)), {"0"}),
    "fcnn5": (lambda: create("fcnn5", 0), {f"layer{k}" for k in range(1, 6)}),
    "convolutions": (
        lambda: nn.Sequential(nn.Conv1d(2, 4, 3), nn.Conv2d(4, 6, (3, 5)), nn.Conv3d(1, 2, 2)),
        set("012"),
    ),
    "grouped, dilated": (
        lambda: nn.Sequential(nn.Conv2d(4, 8, 3, groups=4), nn.Conv2d(8, 2, 3, dilation=2)),
        set("01"),
    ),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose1d(3, 5, 2), nn.ConvTranspose2d(6, 4, 3, groups=2)),
        set("01"),
    ),
    "batch norm": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)), {"0"}),
    "weight norm": (lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(5, 3))), {"0"}),
    "spectral norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(2, 3, 3)), {""}),
    "attention, memory, ties": (Attended, {"block.attention.out_proj", "first", "again", "out"}),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2)), {"1"}),
    "meta": (lambda: nn.Sequential(nn.Linear(3, 2, device="meta"), nn.Linear(2, 2)), {"1"}),
    "adapted": (Adapted, {""}),
    "bfloat16": (lambda: nn.Linear(5, 3).bfloat16(), {""}),
    "complex": (lambda: nn.Linear(5, 3, dtype=torch.complex64), set()),
    "nothing": (lambda: nn.ReLU(), set()),
    "resnet18": (
        lambda: torchvision.models.resnet18(weights=None),
        {"conv1", "fc", *(f"layer{s}.{b}.conv{c}" for s in (1, 2, 3, 4) for b in (0, 1) for c in (1, 2))}
        | {f"layer{s}.0.downsample.0" for s in (2, 3, 4)},
    ),
}

# what belongs to a layer, by the last part of its name: written out here, apart from the package's own rule
OF_A_LAYER = (".weight", ".bias", ".parametrizations.weight.original", ".parametrizations.weight.original0")
OF_A_LAYER += (".parametrizations.weight.original1",)


@pytest.fixture
def zoo(request):
    torch.manual_seed(0)
    return ZOO[request.param][0](), ZOO[request.param][1]


@pytest.mark.parametrize("zoo", ZOO, indirect=True)
def test_every_layer_is_found_under_its_dotted_name(zoo):
    model, names = zoo
    assert set(named_weights(model).layers) == names


@pytest.mark.parametrize("zoo", ZOO, indirect=True)
def test_every_parameter_is_in_a_layer_or_listed(zoo):
    model, names = zoo
    untreated = named_weights(model).untreated
    covered = {
        id(parameter)
        for key, parameter in model.named_parameters(remove_duplicate=False)
        if any(f".{key}" == ("." + name if name else "") + part for name in names for part in OF_A_LAYER)
    }
    every = model.named_parameters(remove_duplicate=False)
    assert set(untreated) == {key for key, parameter in every if id(parameter) not in covered}
    assert all(untreated.values()), "a reason each"


def test_the_reasons_say_what_stands_in_the_way():
    reasons = named_weights(Attended()).untreated
    assert reasons["scale"] == "Attended is not a linear or convolutional layer"
    assert reasons["block.memory.weight_ih_l0"] == "LSTM is not a linear or convolutional layer"
    assert "words.weight" not in reasons, "the tied weight is the matrix of `out`"
    assert named_weights(nn.LazyLinear(3)).untreated["weight"] == "LazyLinear has no weights before its first input"
    assert "meta" in named_weights(nn.Linear(2, 2, device="meta")).untreated["weight"]
    assert "complex64" in named_weights(nn.Linear(2, 2, dtype=torch.complex64)).untreated["weight"]
    assert named_weights(Adapted()).untreated == {"low_rank": "no part of a Adapted's weight or bias"}


def without_weight(**options):
    module = nn.Linear(3, 2, **options)
    module.weight = None
    return module


def with_flat_weight():
    module = nn.Linear(3, 2)
    module.weight = nn.Parameter(torch.ones(3))
    return module


@pytest.mark.parametrize(
    ("module", "reasons"),
    [
        (without_weight(), {"0.bias": "Linear has no weights"}),
        (without_weight(bias=False), {"0": "Linear has no weights"}),
        (
            with_flat_weight(),
            dict.fromkeys(("0.weight", "0.bias"), "Linear has weights of shape (3,), not of 2 axes"),
        ),
    ],
    ids=["no weight", "neither weight nor bias", "one axis"],
)
def test_a_layer_without_a_matrix_is_listed(module, reasons):
    found = named_weights(nn.Sequential(module))
    assert (found.layers, found.untreated) == ({}, reasons)


@pytest.mark.filterwarnings("ignore")  # torch.ao is on its way out
def test_quantised_layers_are_listed():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.LSTM(3, 2))
    packed = torch.ao.quantization.quantize_dynamic(model, {nn.Linear, nn.LSTM}, dtype=torch.qint8)
    found = named_weights(packed)
    assert found.layers == {}
    assert found.untreated == {
        name: f"{kind} has packed weights, which are no parameters" for name, kind in (("0", "Linear"), ("2", "LSTM"))
    }


VIEWS = [
    (nn.Linear(5, 3), {"weight": (3, 5)}),
    (nn.Conv1d(2, 4, 3), {"im2col": (4, 6), "flattened_kernels": (8, 3)}),
    (nn.Conv2d(4, 6, (3, 5)), {"im2col": (6, 60), "flattened_kernels": (24, 15)}),
    (nn.Conv2d(4, 8, 3, groups=4), {"im2col": (8, 36), "flattened_kernels": (8, 9)}),
    (nn.Conv3d(2, 3, 2), {"im2col": (3, 16), "flattened_kernels": (6, 8)}),
    (nn.ConvTranspose2d(6, 4, 3, groups=2), {"im2col_of_adjoint": (6, 36)}),
]


@pytest.mark.parametrize(
    ("module", "shapes"), VIEWS, ids=lambda v: type(v).__name__ if isinstance(v, nn.Module) else ""
)
def test_shapes_of_the_views(module, shapes):
    layer = named_weights(module)[""]
    assert {name: view.shape for name, view in layer.matrices.items()} == shapes
    assert layer.kind == type(module).__name__
    np.testing.assert_array_equal(layer.weight, module.weight.detach().numpy())
    np.testing.assert_array_equal(layer.bias, module.bias.detach().numpy())


def test_weight_of_a_linear_layer_maps_inputs_to_outputs():
    module, x = nn.Linear(5, 3).double(), torch.randn(4, 5, dtype=torch.float64)
    layer = named_weights(module)[""]
    expected = module(x).detach().numpy()
    np.testing.assert_allclose(x.numpy() @ layer.matrices["weight"].T + layer.bias, expected, atol=1e-13)


def test_im2col_gives_one_pixel_of_one_patch():
    """Row by row against a convolution: the output at (2, 3) is the inner product with the patch that it sees."""
    module, x = nn.Conv2d(3, 4, (2, 3), stride=2).double(), torch.randn(1, 3, 9, 11, dtype=torch.float64)
    layer = named_weights(module)[""]
    patch = x[0, :, 4:6, 6:9].numpy().ravel()
    expected = module(x)[0, :, 2, 3].detach().numpy()
    np.testing.assert_allclose(layer.matrices["im2col"] @ patch + layer.bias, expected, atol=1e-13)


def test_im2col_of_a_grouped_dilated_convolution():
    module = nn.Conv2d(4, 6, 2, groups=2, dilation=2, bias=False).double()
    x = torch.randn(1, 4, 7, 7, dtype=torch.float64)
    kernels = named_weights(module)[""].matrices["im2col"]
    expected = module(x)[0, :, 1, 2].detach().numpy()
    np.testing.assert_allclose(kernels @ x[0, :, 1:4:2, 2:5:2].numpy().ravel(), expected, atol=1e-13)
    for channel in range(6):
        group = slice(0, 2) if channel < 3 else slice(2, 4)
        patch = x[0, group, 1:4:2, 2:5:2].numpy().ravel()
        block = kernels[channel].reshape(4, 4)[group]
        assert block.ravel() @ patch == pytest.approx(expected[channel], abs=1e-13)
        assert np.count_nonzero(kernels[channel]) == block.size == 8


LAID_OUT = {
    "depthwise": lambda: nn.Conv2d(32, 32, 3, groups=32),
    "grouped, strided": lambda: nn.Conv2d(6, 9, (3, 2), stride=(2, 1), padding=(1, 0), groups=3),
    "dilated": lambda: nn.Conv2d(2, 4, 3, dilation=2, padding=2),
    "one group": lambda: nn.Conv2d(3, 5, 3, stride=2, padding=1),
}


@pytest.mark.parametrize("what", LAID_OUT)
def test_im2col_on_the_patches_of_a_batch_is_the_convolution(what):
    """By `torch.nn.functional.unfold`, and by `conv2d` with the geometry that the layer tells."""
    torch.manual_seed(0)
    module = LAID_OUT[what]().double()
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, module.in_channels, 8, 9)))
    layer, expected = named_weights(module)[""], module(x).detach().numpy()
    functional, weight, bias = nn.functional, torch.from_numpy(layer.weight), torch.from_numpy(layer.bias)
    laid = {key: layer.geometry[key] for key in ("stride", "padding", "dilation")}
    patches = functional.unfold(x, module.kernel_size, **laid).numpy()
    outputs = layer.matrices["im2col"] @ patches + layer.bias[:, None]
    np.testing.assert_allclose(outputs, expected.reshape(outputs.shape), atol=1e-12)
    again = functional.conv2d(x, weight, bias, groups=layer.geometry["groups"], **laid)
    np.testing.assert_allclose(again.numpy(), expected, atol=1e-12)


def test_a_depthwise_convolution_has_the_rank_of_all_its_channels():
    matrices = named_weights(nn.Conv2d(32, 32, 3, groups=32))[""].matrices
    blocks = matrices["flattened_kernels"]
    np.testing.assert_array_equal(matrices["im2col"], scipy.linalg.block_diag(*blocks[:, None]))
    assert (np.linalg.matrix_rank(matrices["im2col"]), np.linalg.matrix_rank(blocks)) == (32, 9)
    assert FourSubspaces.of(matrices["im2col"]).rank == 32


def test_the_geometry_is_the_modules():
    convolution = nn.Conv2d(4, 8, 3, stride=2, padding="valid", padding_mode="reflect", dilation=(1, 2), groups=2)
    expected = {"stride": (2, 2), "padding": "valid", "padding_mode": "reflect", "dilation": (1, 2), "groups": 2}
    assert named_weights(convolution)[""].geometry == expected
    transposed = nn.ConvTranspose1d(4, 8, 3, stride=2, output_padding=1)
    expected = {"stride": (2,), "padding": (0,), "padding_mode": "zeros", "dilation": (1,), "groups": 1}
    assert named_weights(transposed)[""].geometry == expected | {"output_padding": (1,)}
    assert named_weights(nn.Linear(2, 3))[""].geometry == {}


@pytest.mark.parametrize("groups", [1, 3])
def test_im2col_of_the_adjoint_is_that_of_the_convolution_that_it_transposes(groups):
    """<T x, y> = <x, C y> with C the convolution of the same weights, whose patches the rows see."""
    module = nn.ConvTranspose2d(3, 2 * groups, 3, bias=False, groups=groups).double()
    y = torch.randn(1, 2 * groups, 6, 6, dtype=torch.float64)
    kernels = named_weights(module)[""].matrices["im2col_of_adjoint"]
    seen = kernels @ y[0, :, 1:4, 2:5].numpy().ravel()
    one = torch.zeros(1, 3, 4, 4, dtype=torch.float64)
    for channel in range(3):
        x = one.clone()
        x[0, channel, 1, 2] = 1
        assert (module(x) * y).sum().item() == pytest.approx(seen[channel], abs=1e-13)


def test_a_flattened_kernel_is_one_pair_of_channels():
    module = nn.Conv2d(3, 4, 5)
    single = named_weights(module)[""].matrices["flattened_kernels"]
    np.testing.assert_array_equal(single[2 * 3 + 1].reshape(5, 5), module.weight[2, 1].detach().numpy())


def test_a_parametrised_weight_is_the_one_that_computes():
    module = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
    with torch.no_grad():
        module.parametrizations.weight.original0.mul_(3)
    np.testing.assert_array_equal(named_weights(module)[""].weight, module.weight.detach().numpy())


def test_views_are_copies():
    module = nn.Linear(3, 2)
    layer = named_weights(module)[""]
    before = layer.weight.copy()
    with torch.no_grad():
        module.weight.zero_()
    np.testing.assert_array_equal(layer.matrices["weight"], before)


def test_the_names_are_those_of_a_mapping():
    model = create("fcnn5", 0)
    found, names = named_weights(model), [f"layer{k}" for k in range(1, 6)]
    assert isinstance(found, Mapping)
    assert list(found) == list(found.keys()) == names
    assert len(found) == 5
    assert "layer2" in found
    assert not any(name in found for name in ("selu1", None, ["layer2"]))
    assert list(found.values()) == [found[name] for name in names]
    assert dict(found.items()) == found.layers
    assert found.get("layer3") is found["layer3"]
    assert (found.get("layer6"), found.get("layer6", 1), found.get([])) == (None, 1, None)
    with pytest.raises(BadInput, match=r"^layer: expected one of layer1, .*; got 'layer6'; choose a listed name"):
        found["layer6"]


def test_what_is_printed_is_short():
    """A line a layer, and one for each reason why something is no layer: of ResNet18, not its weights."""
    found = named_weights(torchvision.models.resnet18(weights=None))
    lines = repr(found).splitlines()
    assert len(lines) == 1 + 21 + 1
    assert lines[0] == "NamedWeights, layers: 21"
    assert lines[-1] == "  untreated, 40: BatchNorm2d is not a linear or convolutional layer"
    assert max(map(len, lines)) < 160
    matrices = "matrices: flattened_kernels (192, 49), im2col (64, 147)"
    assert repr(found["conv1"]) == f"Layer('conv1': Conv2d, weight (64, 3, 7, 7) in float32; {matrices})"
    assert repr(found["fc"]) == "Layer('fc': Linear, weight (1000, 512) in float32; matrices: weight (1000, 512))"
    assert repr(named_weights(nn.Linear(2, 1).bfloat16())[""]).count("bfloat16") == 1
    assert repr(named_weights(nn.ReLU())) == "NamedWeights, layers: 0"


COMPILED = {
    "traced": lambda network: torch.jit.trace(network, torch.zeros(1, 4)),
    "scripted": torch.jit.script,
    "frozen": lambda network: torch.jit.freeze(torch.jit.script(network)),
    "a traced part": lambda network: nn.Sequential(torch.jit.trace(network, torch.zeros(1, 4))).eval(),
}


@pytest.mark.filterwarnings("ignore")  # torch.jit is on its way out
@pytest.mark.parametrize("door", [named_weights, Chain.of])
@pytest.mark.parametrize("how", COMPILED)
def test_what_torch_jit_made_shows_no_layers(how, door):
    """Both remedies are followed: the network itself, and another one with the weights of the compiled one."""
    network, other = (nn.Sequential(nn.Linear(4, 3), nn.Tanh()).eval() for _ in range(2))
    compiled = COMPILED[how](network)
    with pytest.raises(BadInput, match=r"^model: expected a network of Python modules, got torch\.jit's .*; pass the"):
        door(compiled)
    door(network)
    if how in ("traced", "scripted"):
        other.load_state_dict(compiled.state_dict())
        np.testing.assert_array_equal(named_weights(other)["0"].weight, network[0].weight.detach().numpy())


def test_a_network_that_diverged_is_refused():
    module = nn.Sequential(nn.Linear(3, 2))
    module[0].weight.data[0, 0] = float("nan")
    with pytest.raises(BadInput, match="layer '0': expected finite weights, got NaN"):
        named_weights(module)

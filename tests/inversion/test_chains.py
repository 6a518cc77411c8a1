"""Chains of a zoo of networks against the networks themselves in float64, and what is no chain."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils.fusion import fuse_linear_bn_eval

from vsbook.checks import BadInput
from vsbook.inversion.chains import Chain, Step
from vsbook.inversion.layerwise import invert_layers
from vsbook.inversion.newton import invert
from vsbook.networks.models import create


class Scaled(nn.Linear):
    """A linear layer that computes something else."""

    def forward(self, x):
        return 2 * super().forward(x)


class Residual(nn.Sequential):
    """A Sequential that computes something else."""

    def forward(self, x):
        return x + super().forward(x)


class AlwaysOn(nn.Dropout):
    """Dropout that drops in eval mode too."""

    def forward(self, x):
        return nn.functional.dropout(x, self.p, training=True)


def shared():
    """One layer and one activation, each used twice."""
    layer, activation = nn.Linear(6, 6), nn.Tanh()
    return nn.Sequential(layer, activation, layer, activation, nn.Linear(6, 4))


def normalised():
    """Weights that are computed at each access: by weight normalisation, and orthogonal ones."""
    first = parametrizations.weight_norm(nn.Linear(6, 5))
    first.parametrizations.weight.original0.data *= 3
    return nn.Sequential(first, nn.SELU(), parametrizations.orthogonal(nn.Linear(5, 4)))


# each takes six numbers; with the names of its layers and of their activations
ZOO = {
    "one layer": (lambda: nn.Linear(6, 4), {"": "Identity"}),
    "nested": (
        lambda: nn.Sequential(nn.Sequential(nn.Linear(6, 5), nn.Sequential(nn.SELU())), nn.Linear(5, 4), nn.ELU(0.7)),
        {"0.0": "SELU", "1": "ELU"},
    ),
    "what does nothing": (
        lambda: nn.Sequential(
            nn.Flatten(), nn.Identity(), nn.Linear(6, 5), nn.Dropout(0.9), nn.Identity(), nn.Tanh(), nn.AlphaDropout()
        ),
        {"2": "Tanh"},
    ),
    "no bias": (lambda: nn.Sequential(nn.Linear(6, 3, bias=False), nn.Sigmoid()), {"0": "Sigmoid"}),
    "no activation between": (
        lambda: nn.Sequential(nn.Linear(6, 7), nn.Linear(7, 2)),
        {"0": "Identity", "1": "Identity"},
    ),
    "leaky, soft, rectified": (
        lambda: nn.Sequential(
            nn.Linear(6, 8), nn.LeakyReLU(0.3), nn.Linear(8, 5), nn.Softplus(2.0), nn.Linear(5, 3), nn.ReLU()
        ),
        {"0": "LeakyReLU", "2": "Softplus", "4": "ReLU"},
    ),
    "normalised weights": (normalised, {"0": "SELU", "2": "Identity"}),
    "shared": (shared, {"0": "Tanh", "2": "Tanh", "4": "Identity"}),
    "float64": (lambda: nn.Sequential(nn.Linear(6, 4), nn.SELU()).double(), {"0": "SELU"}),
    "half": (lambda: nn.Sequential(nn.Linear(6, 4), nn.SELU()).half(), {"0": "SELU"}),
    "bfloat16": (lambda: nn.Sequential(nn.Linear(6, 4), nn.SELU()).bfloat16(), {"0": "SELU"}),
    "frozen": (lambda: nn.Sequential(nn.Linear(6, 4), nn.SELU()).requires_grad_(False), {"0": "SELU"}),
}


@pytest.fixture
def zoo(request):
    """A network, another one with the same weights, and the names of its layers."""
    make, names = ZOO[request.param]
    pair = []
    for _ in range(2):
        torch.manual_seed(0)
        pair.append(make().eval())
    return *pair, names


def in_float64(model):
    """The network in double precision, with the same weights; computed ones as float32 computes them."""
    for module in model.modules():
        if parametrize.is_parametrized(module):
            parametrize.remove_parametrizations(module, "weight")
    return model.double()


X = np.random.default_rng(0).standard_normal((7, 6))


@pytest.mark.parametrize("zoo", ZOO, indirect=True)
def test_the_chain_is_the_network(zoo):
    model, twin, names = zoo
    chain = Chain.of(model)
    with torch.no_grad():
        expected = in_float64(twin)(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(chain(X), expected, atol=1e-13)
    assert [(step.name, step.activation.name) for step in chain.steps] == list(names.items())
    assert (chain.inputs, chain.outputs) == (6, expected.shape[1])
    for step in chain.steps:
        assert step.weight.dtype == step.bias.dtype == np.float64
        assert step.bias.shape == step.weight.shape[:1]


@pytest.mark.parametrize("zoo", ZOO, indirect=True)
def test_the_jacobian_is_autograds(zoo):
    model, twin, _ = zoo
    twin = in_float64(twin)
    expected = [torch.autograd.functional.jacobian(lambda v: twin(v[None])[0], x).numpy() for x in torch.from_numpy(X)]
    np.testing.assert_allclose(Chain.of(model).jacobian(X), expected, atol=1e-13)


@pytest.mark.parametrize("zoo", ZOO, indirect=True)
def test_a_network_is_left_as_it_was(zoo):
    model, *_ = zoo
    handle = model.register_forward_hook(lambda *_: None)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    wanted = [p.requires_grad for p in model.parameters()]
    chain = Chain.of(model)
    chain.steps[0].weight[:] = 7.0
    chain.steps[0].bias[:] = 7.0
    chain(X)
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key]), key
    assert [p.requires_grad for p in model.parameters()] == wanted
    assert all((p.grad == 1).all() for p in model.parameters())
    assert list(model._forward_hooks) == [handle.id]
    assert not any(module.training for module in model.modules())


def test_layer_outputs_are_what_hooks_see():
    model = create("fcnn5", 0).eval().double()
    images = torch.from_numpy(np.random.default_rng(1).random((3, 784)))
    seen = []
    for name in ("selu1", "selu2", "selu3", "selu4", "layer5"):
        model.get_submodule(name).register_forward_hook(lambda *passed: seen.append(passed[-1].detach().numpy()))
    model(images)
    for ours, theirs in zip(Chain.of(model).layer_outputs(images.numpy()), seen, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-13)


def test_images_of_any_shape():
    chain = Chain.of(create("fcnn1", 0).eval())
    images = np.random.default_rng(2).random((3, 784)).astype(np.float32)
    expected, before = chain(images), images.copy()
    np.testing.assert_array_equal(chain(images.reshape(3, 28, 28)), expected)
    np.testing.assert_array_equal(chain(images.reshape(3, 1, 28, 28)), expected)
    np.testing.assert_allclose(chain(images[0]), expected[:1], atol=1e-14)
    np.testing.assert_allclose(chain.jacobian(images[0]), chain.jacobian(images)[:1], atol=1e-14)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("shape", [(783,), (2, 783), (28, 28), (2, 28, 27), (2, 2, 784), (0, 784), ()], ids=str)
def test_images_of_another_size(shape):
    chain = Chain.of(create("fcnn1", 0).eval())
    for door in (chain, chain.layer_outputs, chain.jacobian):
        with pytest.raises(BadInput, match=r"^images: expected .*; ") as caught:
            door(np.ones(shape))
        assert "\n" not in str(caught.value)


def test_more_than_float64_holds_names_the_layer():
    chain = Chain.of(nn.Sequential(nn.Linear(2, 2), nn.Identity(), nn.Linear(2, 2)).eval())
    chain.steps[1].weight[:] = 1e10
    with pytest.raises(
        BadInput, match=r"^layer '2': expected W x \+ b within float64, got more; scale the images down"
    ):
        chain([1e300, 1e300])


def test_a_step_factors_its_weight_once():
    step = Chain.of(create("fcnn1", 0).eval()).steps[0]
    assert isinstance(step, Step)
    assert step.dtype == "float32"
    assert step.subspaces is step.subspaces
    np.testing.assert_allclose(step.subspaces.pinv(np.eye(10)).T, np.linalg.pinv(step.weight), atol=1e-12)


# what is no chain

WHOLE = r"invert this network as a whole by vsbook\.inversion\.invert$"
FOLD = r"; fold it into the layer before by torch\.nn\.utils\.fusion\.fuse_linear_bn_eval, or " + WHOLE
NO_CHAIN = {
    "batch norm": (lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)), "layer '1'.*got BatchNorm1d" + FOLD),
    "batch norm first": (
        lambda: nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4)),
        f"layer '0'.*got BatchNorm1d; {WHOLE}",
    ),
    "batch norm of an activation": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.BatchNorm1d(4)),
        f"layer '2'.*got BatchNorm1d; {WHOLE}",
    ),
    "batch norm without parameters": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, affine=False)),
        f"layer '1'.*got BatchNorm1d; {WHOLE}",
    ),
    "batch norm without statistics": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, track_running_stats=False)),
        "layer '1'.*got BatchNorm1d; train one with running statistics",
    ),
    "torch.compile": (lambda: torch.compile(nn.Linear(6, 4)), "got OptimizedModule; pass its _orig_mod"),
    "a convolution": (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.SELU()), f"layer '0'.*got Conv2d.*{WHOLE}"),
    "softmax": (lambda: nn.Sequential(nn.Linear(6, 4), nn.Softmax(1)), "layer '1'.*got Softmax"),
    "deep inside": (lambda: nn.Sequential(nn.Sequential(nn.Linear(6, 4), nn.GELU())), "layer '0.1'.*got GELU"),
    "two activations": (lambda: nn.Sequential(nn.Linear(6, 4), nn.SELU(), nn.Tanh()), "layer '2'.*Tanh, got SELU"),
    "an activation first": (lambda: nn.Sequential(nn.SELU(), nn.Linear(6, 4)), "layer '0'.*SELU, got nothing"),
    "an activation alone": (lambda: nn.SELU(), "expected a linear layer before SELU, got nothing"),
    "nothing": (lambda: nn.Sequential(), "^model: expected linear layers, got none"),
    "nothing that computes": (lambda: nn.Sequential(nn.Flatten(), nn.Identity()), "^model: expected linear layers"),
    "another linear layer": (lambda: nn.Sequential(Scaled(6, 4)), "layer '0'.*got Scaled"),
    "a skip": (lambda: nn.Sequential(Residual(nn.Linear(6, 6))), "layer '0'.*got Residual"),
    "a list": (lambda: nn.ModuleList([nn.Linear(6, 4)]), "got ModuleList; put its parts into a torch.nn.Sequential"),
    "resnet18": (lambda: create("resnet18", 0), "^model: .*got ResNet"),
    "dropout that stays": (lambda: nn.Sequential(nn.Linear(6, 4), AlwaysOn()), "layer '1'.*got AlwaysOn"),
    "a batch flattened": (lambda: nn.Sequential(nn.Flatten(0), nn.Linear(6, 4)), "layer '0'.*got Flatten"),
    "flattened between": (
        lambda: nn.Sequential(nn.Linear(6, 4), nn.Flatten(), nn.Linear(24, 2)),
        "layer '2': expected 4 inputs, .*got 24",
    ),
    "a soft threshold": (lambda: nn.Sequential(nn.Linear(6, 4), nn.Softplus(1, 2)), "layer '1': threshold: .*got 2"),
    "a slope of 0": (lambda: nn.Sequential(nn.Linear(6, 4), nn.LeakyReLU(0.0)), "layer '1': slope: .*got 0"),
    "a slope below": (lambda: nn.Sequential(nn.Linear(6, 4), nn.LeakyReLU(-0.1)), "layer '1': slope: .*got -0.1"),
    "random slopes": (lambda: nn.Sequential(nn.Linear(6, 4), nn.RReLU()), "layer '1'.*got RReLU"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2)), "layer '0': .*got none"),
    "meta": (lambda: nn.Sequential(nn.Linear(6, 4, device="meta")), "layer '0': .*got none"),
    "complex": (lambda: nn.Sequential(nn.Linear(6, 4, dtype=torch.complex64)), "layer '0': .*got none"),
}


@pytest.mark.parametrize("what", NO_CHAIN)
def test_no_chain(what):
    make, message = NO_CHAIN[what]
    with pytest.raises(BadInput, match=message) as caught:
        Chain.of(make().eval())
    said = str(caught.value)
    assert "expected" in said
    assert "got" in said
    assert ";" in said
    assert "\n" not in said


def test_a_batch_norm_that_was_folded_leaves_a_chain():
    """The remedies, followed: the folded network is the chain of the same outputs, and goes back to their images."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.LeakyReLU(), nn.Linear(5, 4)).double().eval()
    norm = model[1]
    for values in (norm.running_mean, norm.weight.data, norm.bias.data):
        values.normal_()
    norm.running_var.uniform_(0.5, 2)
    with pytest.raises(BadInput, match=FOLD):
        Chain.of(model)
    chain = Chain.of(nn.Sequential(fuse_linear_bn_eval(model[0], norm), *model[2:]).eval())
    expected = model(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(chain(X), expected, atol=1e-12)
    assert invert_layers(chain, expected).exact.all()
    assert invert(model, expected, X + 0.1, progress=False).converged.all()


def test_the_other_remedies_lead_on():
    torch.manual_seed(0)
    for model in (
        nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 4)),
        nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, affine=False)),
        nn.Sequential(nn.Linear(6, 4), nn.GELU()),
        nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), nn.Flatten()),
    ):
        outputs = model.double().eval()(torch.from_numpy(X)).detach().numpy()
        assert invert(model, outputs, X + 0.01, progress=False).converged.all()
    compiled = torch.compile(nn.Linear(6, 4).eval())
    assert Chain.of(compiled._orig_mod).outputs == 4
    assert Chain.of(nn.Sequential(*nn.ModuleList([nn.Linear(6, 4)])).eval()).outputs == 4


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("which", ["weight", "bias"])
def test_weights_that_are_not_finite(which, value):
    model = create("fcnn5", 0).eval()
    getattr(model.layer3, which).data.view(-1)[5] = value
    with pytest.raises(BadInput, match=r"^layer 'layer3': expected finite weights"):
        Chain.of(model)

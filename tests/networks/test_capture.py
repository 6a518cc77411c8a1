"""What passes through a network's layers, recorded without a change."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from vsbook.checks import BadInput
from vsbook.networks.layers import capture, named_weights
from vsbook.networks.models import create

# capture


def hooks(model):
    return sum(len(module._forward_hooks) for module in model.modules())


def test_capture_sees_what_passes():
    model, x = create("fcnn5", 0), torch.rand(3, 784)
    with capture(model, ["layer1", "selu1", "layer2"]) as seen:
        y = model(x)
    np.testing.assert_array_equal(seen["layer1"].input, x.numpy())
    np.testing.assert_array_equal(seen["layer1"].output, model.layer1(x).detach().numpy())
    np.testing.assert_array_equal(seen["selu1"].output, seen["layer2"].input)
    assert y.shape == (3, 10)
    assert hooks(model) == 0


def test_hooks_are_gone_when_the_block_raises():
    model = create("fcnn1", 0)
    with pytest.raises(ZeroDivisionError), capture(model, ["layer1"]):
        assert hooks(model) == 1
        1 / 0  # noqa: B018
    assert hooks(model) == 0


def test_hooks_of_others_stay():
    model = create("fcnn1", 0)
    model.layer1.register_forward_hook(lambda *_: None)
    with capture(model, ["layer1"]):
        pass
    assert hooks(model) == 1


def test_what_was_captured_is_a_copy():
    model, x = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True)), -torch.ones(1, 2)
    with capture(model, ["0"]) as seen:
        model(x)
    np.testing.assert_array_equal(seen["0"].output, [[-1, -1]])


def test_a_layer_under_two_names_can_be_captured_by_either():
    model = nn.Sequential(nn.Linear(2, 2))
    model.twin = model[0]
    with capture(model, ["twin"]) as seen:
        model[0](torch.ones(1, 2))
    assert seen["twin"].input.shape == (1, 2)


def test_bfloat16_can_be_captured():
    model = nn.Linear(2, 2).bfloat16()
    with capture(model, [""]) as seen:
        model(torch.ones(1, 2, dtype=torch.bfloat16))
    np.testing.assert_array_equal(seen[""].input, [[1, 1]])


@pytest.mark.parametrize(
    ("module", "arguments"),
    [(nn.LSTM(2, 2), (torch.zeros(1, 2),)), (nn.Bilinear(2, 2, 2), (torch.zeros(1, 2), torch.zeros(1, 2)))],
    ids=["tuple out", "two in"],
)
def test_a_layer_with_more_than_one_tensor_says_so(module, arguments):
    model = nn.Sequential(module)
    with pytest.raises(BadInput, match=r"layer '0': expected one tensor (in|out), got"), capture(model, ["0"]):
        model[0](*arguments)
    assert hooks(model) == 0


# looking changes nothing


def test_to_look_at_a_spectral_norm_in_training_is_no_step_of_its_iteration():
    torch.manual_seed(0)
    network = nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(20, 10)))
    norm = network[0].parametrizations.weight[0]
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    first, second = (named_weights(network)["0"].weight for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())
    assert network.training and norm.training


def test_the_input_of_a_layer_that_overwrites_it_is_what_came():
    network, x = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True)), torch.randn(5, 3)
    with capture(network, ["0", "1"]) as seen:
        network(x)
    np.testing.assert_array_equal(seen["1"].input, seen["0"].output)
    assert seen["1"].input.min() < 0 == seen["1"].output.min()


@pytest.mark.filterwarnings("ignore")  # quantised tensors are on their way out
def test_what_is_no_plain_tensor_is_not_recorded():
    quantised = torch.quantize_per_tensor(torch.ones(2, 3), 0.5, 0, torch.qint8)
    for value in (quantised, torch.ones(2, 3, device="meta"), [torch.ones(2)]):
        network = nn.Sequential(nn.Identity())
        with (
            pytest.raises(BadInput, match=r"layer '0': expected (one|a plain) tensor in, got"),
            capture(network, ["0"]),
        ):
            network(value)


def test_a_layer_without_outputs_can_be_shown():
    with warnings.catch_warnings(action="ignore"):
        network = nn.Conv2d(3, 0, 3)
    assert "weight (0, 3, 3, 3)" in repr(named_weights(network))

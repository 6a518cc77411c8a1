"""The networks: architecture as the paper gives it, and initial weights that a seed determines."""

import numpy as np
import pytest
import scipy.stats
import torch
import torchvision

from vsbook.networks.layers import named_weights
from vsbook.networks.models import NETWORKS, create

WIDTHS = {"fcnn1": [784, 10], "fcnn5": [784, 256, 256, 128, 32, 10]}
SELUS = {"fcnn1": 1, "fcnn5": 4}  # one on the outputs; between the layers


def selu(x):
    """By the definition (Klambauer et al., 2017)."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return scale * np.where(x > 0, x, alpha * (np.exp(x) - 1))


@pytest.mark.parametrize("network", WIDTHS)
def test_widths_and_activations(network):
    model = create(network, 0)
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    assert [linear[0].in_features] + [m.out_features for m in linear] == WIDTHS[network]
    assert sum(isinstance(m, torch.nn.SELU) for m in model.modules()) == SELUS[network]
    assert isinstance(list(model.children())[-1], torch.nn.SELU) == (network == "fcnn1")


@pytest.mark.parametrize("network", WIDTHS)
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
    model, x = create(network, 0).eval(), torch.rand(2, 784)
    assert model(x).shape == (2, 10)
    assert torch.equal(model(x), model(x.reshape(2, 28, 28)))


@pytest.mark.parametrize("network", NETWORKS)
def test_initial_weights_follow_the_seed_and_leave_the_global_state(network):
    torch.manual_seed(123)
    expected = torch.rand(3)
    torch.manual_seed(123)
    one, same, other = create(network, 5), create(network, 5), create(network, 6)
    assert torch.equal(torch.rand(3), expected)
    for (name, a), b, c in zip(one.named_parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c) == whatever_the_seed(network, name), name


def whatever_the_seed(network, name):
    """What begins the same for all seeds: batch normalisation as the identity, wavelets and mixtures as they are, and
    the last convolution inside each coupling as zero."""
    parts = {
        "resnet18": ("bn", "downsample.1"),
        "invertible": ("haar_weights", ".M", ".logDetM", "subnet1.4", "subnet2.4"),
    }
    return any(part in name for part in parts.get(network, ()))


def test_initial_weights_are_pytorchs_default():
    """Uniform between -1/sqrt(784) and 1/sqrt(784): variance 1/(3 * 784), to 3 % for 7840 draws (4 deviations)."""
    W = create("fcnn1", 0).layer1.weight.detach().numpy()
    assert np.abs(W).max() <= 1 / 28
    assert W.var() == pytest.approx(1 / (3 * 784), rel=0.04)


# ResNet18


@pytest.fixture(scope="module")
def resnet18():
    return create("resnet18", 0).eval()


def test_resnet18_is_torchvisions_with_another_stem(resnet18):
    """Bit for bit, in eval and in training mode, once it is given the same weights."""
    other = torchvision.models.resnet18(weights=None, num_classes=10)
    other.conv1 = torch.nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
    other.load_state_dict(resnet18.state_dict())
    x = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for training in (False, True):
        one, two = create("resnet18", 0).train(training), other.train(training)
        assert torch.equal(one(x), two(x))
    assert torch.equal(one.bn1.running_mean, two.bn1.running_mean), "the same statistics are kept"


def test_resnet18_takes_images_flat_square_or_with_a_channel(resnet18):
    x = torch.rand(3, 784, generator=torch.Generator().manual_seed(1))
    whole = resnet18(x)
    assert whole.shape == (3, 10)
    for shape in [(3, 28, 28), (3, 1, 28, 28)]:
        assert torch.equal(resnet18(x.reshape(shape)), whole)


def layers_of_resnet18():
    """Name and shape of every convolution, from the table of He et al. (2016): 4 stages of 2 blocks of 2."""
    yield "conv1", (64, 1, 7, 7)
    inputs = 64
    for stage, outputs in enumerate((64, 128, 256, 512), start=1):
        for block in (0, 1):
            yield f"layer{stage}.{block}.conv1", (outputs, inputs, 3, 3)
            yield f"layer{stage}.{block}.conv2", (outputs, outputs, 3, 3)
            if inputs != outputs:  # the way around the first block of a stage must become as wide
                yield f"layer{stage}.{block}.downsample.0", (outputs, inputs, 1, 1)
            inputs = outputs


def test_the_twenty_convolutions_of_resnet18(resnet18):
    layers = named_weights(resnet18).layers
    found = {name: layer.weight.shape for name, layer in layers.items() if layer.kind == "Conv2d"}
    assert found == dict(layers_of_resnet18())
    assert len(found) == 20
    assert set(layers) - set(found) == {"fc"}
    assert layers["fc"].weight.shape == (10, 512)
    assert all(layers[name].bias is None for name in found)


def test_resnet18_has_11_175_370_parameters(resnet18):
    """By hand: 3136 in the stem; of each stage four (or, but for the first, three and a half) times 9 c^2, and ways
    around of c^2/2; each of the twenty batch normalisations has two numbers a channel; 5130 in the last layer.
    """
    stem, last = 49 * 64, 512 * 10 + 10
    stages = 4 * 9 * 64**2 + sum(round(3.5 * 9 * c**2) + c**2 // 2 for c in (128, 256, 512))
    normalised = 64 + 4 * 64 + 5 * (128 + 256 + 512)
    assert stem + stages + 2 * normalised + last == 11_175_370
    assert sum(p.numel() for p in resnet18.parameters()) == 11_175_370
    # the shipped file holds these, and a running mean and variance for each normalised channel
    assert sum(t.numel() for t in resnet18.state_dict().values() if t.is_floating_point()) == 11_175_370 + 9_600


def test_initial_weights_of_the_layer_of_figure_2(resnet18):
    """Normal with variance 2/(64 * 9) (He et al., 2015, by outputs): 36,864 draws scatter a variance by 0.74 %."""
    W = resnet18.layer1[0].conv1.weight.detach().double().numpy().ravel()
    sd = np.sqrt(2 / (64 * 9))
    assert W.var() == pytest.approx(sd**2, rel=4 * np.sqrt(2 / W.size))
    assert abs(W.mean()) < 4 * sd / np.sqrt(W.size)
    # uniform weights of that variance, PyTorch's default family, would give less than 1e-100
    assert scipy.stats.kstest(W, scipy.stats.norm(0, sd).cdf).pvalue > 1e-3


def test_initial_weights_of_the_stem(resnet18):
    """PyTorch's default, as of a layer that is put in: uniform within 1/sqrt(49); 3136 draws, 1.6 % in the variance."""
    W = resnet18.conv1.weight.detach().numpy()
    assert np.abs(W).max() <= 1 / 7
    assert W.var() == pytest.approx(1 / (3 * 49), rel=0.064)

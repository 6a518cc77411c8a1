"""The recipe, evaluation, and what is left as it was; FCNN1 trained again from nothing."""

import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.runs import SMALL, assert_same_bits, first_images, trained, weights
from vsbook import ledger
from vsbook.checks import BadInput
from vsbook.linalg.subspaces import FourSubspaces
from vsbook.networks.checkpoints import load
from vsbook.networks.data import Images, Split, mnist, mnist_split
from vsbook.networks.layers import named_weights
from vsbook.networks.models import create
from vsbook.networks.outputs import logits
from vsbook.networks.training import PAPER, Recipe, evaluate, fit


@pytest.fixture(scope="module")
def split():
    return first_images()


# the recipe


def test_the_papers_constants():
    assert (PAPER.learning_rate, PAPER.momentum, PAPER.batch_size, PAPER.epochs) == (0.001, 0.9, 32, 20)


def by_hand(W, b, images, labels, recipe, seed):
    """The descent written out in float64: softmax's gradient, SELU's slope, momentum as PyTorch defines it."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    W, b, vW, vb = W.copy(), b.copy(), np.zeros_like(W), np.zeros_like(b)
    for epoch in range(recipe.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(labels))
        for start in range(0, len(order), recipe.batch_size):
            x, y = images[order[start : start + recipe.batch_size]], labels[order[start : start + recipe.batch_size]]
            z = x @ W.T + b
            out = scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0)))
            p = np.exp(out - out.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            p[np.arange(len(y)), y] -= 1
            slope = p / len(y) * scale * np.where(z > 0, 1, alpha * np.exp(np.minimum(z, 0)))
            vW, vb = recipe.momentum * vW + slope.T @ x, recipe.momentum * vb + slope.sum(axis=0)
            W, b = W - recipe.learning_rate * vW, b - recipe.learning_rate * vb
    return W, b


@pytest.mark.parametrize(
    "recipe", [SMALL, Recipe(0.05, 0.5, 50, 2), Recipe(0.01, 0.0, 400, 2)], ids=["paper's", "another", "one batch"]
)
def test_the_descent_is_the_one_written_out_by_hand(split, recipe):
    model = create("fcnn1", 2)
    start = [p.detach().double().numpy() for p in (model.layer1.weight, model.layer1.bias)]
    W, b = by_hand(*start, split.train.images.astype(float), split.train.labels, recipe, seed=2)
    fit(model, split, recipe, 2, progress=False)
    # float32 weights of about 0.05 after some thirty steps: a few eps (1.2e-7) of the largest, 0.2
    np.testing.assert_allclose(model.layer1.weight.detach().numpy(), W, atol=1e-6)
    np.testing.assert_allclose(model.layer1.bias.detach().numpy(), b, atol=1e-6)


def test_the_seed_orders_the_images(split):
    assert_same_bits(weights(trained(split, seed=1)), weights(trained(split, seed=1)))
    one, other = create("fcnn1", 0), create("fcnn1", 0)
    fit(one, split, SMALL, 0, progress=False)
    fit(other, split, SMALL, 1, progress=False)
    assert not torch.equal(one.layer1.weight, other.layer1.weight)


def test_validation_and_test_images_are_not_learned_from(split):
    blank = Images(np.zeros_like(split.test.images), split.test.labels)
    assert_same_bits(weights(trained(split)), weights(trained(Split(split.train, blank, blank))))


# what is left as it was


def test_modes_threads_and_random_state_are_restored(split):
    model = nn.Sequential(nn.Linear(784, 12), nn.BatchNorm1d(12), nn.Linear(12, 10))
    model.eval()
    model[0].train()
    torch.manual_seed(11)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fit(model, split, SMALL, 0, progress=False)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), before)
    assert [m.training for m in model.modules()] == [False, True, False, False]


def test_the_interrupt_handler_is_restored(split):
    before = signal.getsignal(signal.SIGINT)
    trained(split)
    assert signal.getsignal(signal.SIGINT) is before


class Modes(nn.Module):
    """Says 3 in eval mode and 4 in training mode."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return torch.eye(10)[[4 if self.training else 3]].repeat(len(x), 1) * self.weight


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_is_in_eval_mode(training):
    model = Modes().train(training)
    images = Images(np.zeros((4, 784), np.float32), np.array([3, 3, 3, 4]))
    assert evaluate(model, images) == 0.75
    assert model.training is training


def test_batch_norm_is_evaluated_with_running_statistics():
    model = nn.Sequential(nn.BatchNorm1d(10)).train()
    before = weights(model)
    x = np.random.default_rng(0).random((5, 10)).astype(np.float32)
    np.testing.assert_allclose(logits(model, x).numpy(), x, rtol=1e-4)  # mean 0, variance 1, and an eps of 1e-5
    assert_same_bits(weights(model), before)


def test_outputs_are_the_same_in_parts():
    """More than the thousand images that pass at a time."""
    model, images = load("fcnn1"), mnist().test.images[:2300]
    with torch.no_grad():
        whole = model(torch.from_numpy(images))
    assert torch.allclose(logits(model, images), whole, atol=1e-5)
    assert not logits(model, images).requires_grad


def test_a_row_for_each_thousand_images_is_not_copied_to_all():
    class Mean(nn.Linear):
        def forward(self, x):
            return super().forward(x).mean(dim=0, keepdim=True)

    for count in (5, 2300):
        with pytest.raises(BadInput, match=r"^model: expected one row of outputs an image"):
            logits(Mean(4, 3), np.ones((count, 4)))


def test_training_is_on_one_thread(split):
    """Another number would add in another order."""
    model, seen, threads = create("fcnn1", 0), set(), torch.get_num_threads()
    model.register_forward_hook(lambda *_: seen.add(torch.get_num_threads()) if model.training else None)
    torch.set_num_threads(2)
    try:
        fit(model, split, SMALL, 0, progress=False)
    finally:
        torch.set_num_threads(threads)
    assert seen == {1}


@pytest.mark.parametrize(
    "change",
    [lambda x: x.astype(">f4"), lambda x: x[:, ::-1].copy()[:, ::-1], lambda x: x.astype(">f8"), np.asfortranarray],
    ids=["big-endian", "reversed", "big-endian float64", "fortran"],
)
def test_the_layout_of_images_makes_no_difference(split, change):
    changed = replace(split, train=replace(split.train, images=change(split.train.images)))
    model = load("fcnn1")
    assert torch.equal(logits(model, changed.train.images), logits(model, split.train.images))
    assert_same_bits(weights(trained(changed)), weights(trained(split)))


def test_images_beyond_the_networks_type_are_refused(split):
    """1e300 is a number in float64 and infinite in float32."""
    images = split.train.images.astype(float)
    images[7, 300] = 1e300
    model = load("fcnn1")
    with pytest.raises(BadInput, match=r"images: expected numbers within torch.float32, got 1e\+300; scale"):
        logits(model, images)
    with pytest.raises(BadInput, match="images: expected numbers within"):
        fit(model, replace(split, train=replace(split.train, images=images)), SMALL, 0, progress=False)
    assert torch.isfinite(logits(model.double(), images)).all()


# from nothing


def test_fcnn1_trained_from_nothing_is_the_shipped_network():
    """The paper's recipe from the seed alone; on the machine that trained it, to the bit.

    Another CPU adds in another order: float32 rounding (6e-8 of sums of about 1) accumulates over 31,260 steps of a
    convex descent, which forgets rather than amplifies it. 1e-4 is a thousand times that, and a fiftieth of the
    weights' typical size.
    """
    model = create("fcnn1", 0)
    fit(model, mnist_split(0), PAPER, 0, progress=False)
    shipped = load("fcnn1")
    for name, tensor in model.state_dict().items():
        np.testing.assert_allclose(tensor.numpy(), shipped.state_dict()[name].numpy(), rtol=0, atol=1e-4)
    accuracy = 100 * evaluate(model, mnist().test)
    assert accuracy == pytest.approx(ledger.result("fcnn1-test-accuracy")["runs"][0]["value"], abs=0.05)
    condition = FourSubspaces.of(named_weights(model)["layer1"].weight).condition_number
    assert condition == pytest.approx(ledger.result("fcnn1-condition-number")["runs"][0]["value"], rel=1e-2)

"""Ideal outputs and start images against one image at a time, by hand, and on networks that nobody shipped."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from vsbook.checks import BadInput
from vsbook.inversion.ideal import READINGS, distances_to, ideal_outputs, lowest_quarter
from vsbook.inversion.starts import ideal_starts
from vsbook.networks.data import Images
from vsbook.networks.outputs import Outputs, output_statistics, type_in_eval_mode

laws = settings(deadline=None, derandomize=True, max_examples=60)
PIXELS, N = 16, 300


def dense(seed=0):
    """A small classifier with an activation after its last layer."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, 12), nn.SELU(), nn.Linear(12, 10), nn.Tanh()).double().eval()


class Convolutional(nn.Module):
    """Convolution, batch normalisation, dropout, and a linear head that is defined before them."""

    def __init__(self, head=True):
        super().__init__()
        self.head = nn.Linear(8, 10) if head else nn.Identity()
        self.conv, self.norm, self.drop = (
            nn.Conv2d(1, 8 if head else 10, 3),
            nn.BatchNorm2d(8 if head else 10),
            nn.Dropout(),
        )

    def forward(self, x):
        maps = self.drop(torch.relu(self.norm(self.conv(x.reshape(-1, 1, 4, 4)))))
        return self.head(maps.mean(dim=(2, 3)))


def convolutional(head=True):
    torch.manual_seed(1)
    return Convolutional(head).double().eval()


def sample(seed=0):
    generator = np.random.default_rng(seed)
    return Images(generator.random((N, PIXELS)), generator.permutation(np.arange(N) % 10))


def state(model):
    """All that a careless function might change."""
    return (
        {name: tensor.clone() for name, tensor in model.state_dict().items()},
        [module.training for module in model.modules()],
        [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in model.parameters()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        torch.random.get_rng_state(),
    )


def assert_same_state(before, after):
    assert all(torch.equal(before[0][name], tensor) for name, tensor in after[0].items())
    assert before[1:4] == after[1:4]
    assert torch.equal(before[4], after[4])


# the pass


@pytest.mark.parametrize("model", [dense(), convolutional()], ids=["dense", "convolutional"])
def test_a_pass_gives_what_one_image_at_a_time_gives(model, monkeypatch):
    monkeypatch.setattr("vsbook.networks.outputs.BATCH", 7)  # the last batch is smaller
    data, before = sample(), state(model)
    found = output_statistics(model, data.images, progress=False)
    assert_same_state(before, state(model))
    for image, row, z, energy in zip(data.images, found.values, found.before, found.energies, strict=True):
        inputs = []
        handle = model.get_submodule(found.head).register_forward_hook(
            lambda _, i, o, kept=inputs: kept.extend((i[0], o))
        )
        with torch.no_grad():
            np.testing.assert_allclose(row, model(torch.from_numpy(image)[None])[0], atol=1e-12)
        handle.remove()
        np.testing.assert_allclose(z, inputs[1][0], atol=1e-12)
        assert energy == pytest.approx(float((inputs[0] ** 2).sum()))


def test_single_precision_and_any_layout_of_images():
    model, images = dense().float(), sample().images
    expected = output_statistics(model, images, progress=False).values
    for other in (images.astype("f4"), images.astype(">f8"), np.asfortranarray(images), images.reshape(N, 4, 4)):
        np.testing.assert_allclose(output_statistics(model, other, progress=False).values, expected, atol=1e-6)


def test_a_network_without_a_linear_head_has_outputs_all_the_same():
    found = output_statistics(convolutional(head=False), sample().images, progress=False)
    assert found.values.shape == (N, 10)
    assert (found.head, found.before, found.energies) == ("", None, None)


class Twice(nn.Module):
    """A linear layer that each image meets twice, and of a batch perhaps only the first rows."""

    def __init__(self, rows=None):
        super().__init__()
        self.head, self.rows = nn.Linear(PIXELS, PIXELS), rows

    def forward(self, x):
        return self.head(self.head(x))[: self.rows]


@pytest.mark.parametrize("size", [7, 1000])
def test_a_head_that_is_met_twice_is_no_head(size, monkeypatch):
    """Which of its two outputs an ideal output is asked of, nobody can say."""
    monkeypatch.setattr("vsbook.networks.outputs.BATCH", size)
    found = output_statistics(Twice().double().eval(), sample().images, progress=False)
    assert (found.head, found.before, found.energies) == ("", None, None)
    assert found.values.shape == (N, PIXELS)


@pytest.mark.parametrize("size", [7, 1000])
def test_a_row_for_each_batch_is_none_for_each_image(size, monkeypatch):
    monkeypatch.setattr("vsbook.networks.outputs.BATCH", size)
    with pytest.raises(BadInput, match=r"^model: expected one row of outputs an image"):
        output_statistics(Twice(rows=1).double().eval(), sample().images, progress=False)


# ideal outputs


def test_both_readings_by_hand():
    outputs = [[7, 2, -1], [0, 9, 4], [3, 5, 6]]
    assert ideal_outputs(outputs, "own minima").tolist() == [[7, 2, -1], [0, 9, -1], [0, 2, 6]]
    assert ideal_outputs(outputs, "one minimum").tolist() == [[7, 0, 0], [2, 9, 2], [-1, -1, 6]]


@laws
@given(arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 5)), elements=st.floats(-9, 9)))
def test_both_readings_by_loops(outputs):
    m = outputs.shape[1]
    for reading in READINGS:
        ideal = ideal_outputs(outputs, reading)
        for c in range(m):
            for j in range(m):
                own = j if reading == "own minima" else c
                assert ideal[c, j] == (max(outputs[:, c]) if j == c else min(outputs[:, own]))


@laws
@given(arrays(float, st.tuples(st.integers(2, 30)), elements=st.floats(-9, 9)))
def test_the_lowest_quarter_by_sorting(distances):
    ordered = sorted(distances)
    place = 0.25 * (len(ordered) - 1)
    low = int(place)
    limit = ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])
    chosen = lowest_quarter(distances)
    np.testing.assert_array_equal(
        chosen[np.abs(distances - limit) > 1e-9], (distances < limit)[np.abs(distances - limit) > 1e-9]
    )
    assert chosen.any()


# start images


def slow_starts(model, data, reading):
    """As the text says it, one class and one image at a time."""
    with torch.no_grad():
        outputs = np.array([model(torch.from_numpy(image)[None])[0].numpy() for image in data.images])
    images = {}
    for c, target in enumerate(ideal_outputs(outputs, reading)):
        distances = [np.sqrt(sum((row - target) ** 2)) for row in outputs]
        own = [n for n in range(N) if data.labels[n] == c]
        limit, limit_own = np.percentile(distances, 25), np.percentile([distances[n] for n in own], 25)
        squares = {n: sum(((data.images[n] - data.images[k]) ** 2).sum() for k in own) for n in own}
        found = {
            "avg-img": sum(data.images[n] for n in own) / len(own),
            "min-img": data.images[min(range(N), key=distances.__getitem__)],
            "min-img of the class": data.images[min(own, key=distances.__getitem__)],
            "avg-min-img": np.mean([data.images[n] for n in range(N) if distances[n] <= limit], axis=0),
            "avg-min-img of the class": np.mean([data.images[n] for n in own if distances[n] <= limit_own], axis=0),
            "medoid": data.images[min(own, key=squares.__getitem__)],
        }
        for name, image in found.items():
            images.setdefault(name, []).append(image)
    return images


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("model", [dense(3), convolutional()], ids=["dense", "convolutional"])
def test_ideal_starts_are_those_of_the_slow_search(model, reading, monkeypatch):
    for room in ("networks.outputs", "inversion.starts"):
        monkeypatch.setattr(f"vsbook.{room}.BATCH", 7)
    data, before = sample(5), state(model)
    outputs = output_statistics(model, data.images, progress=False)
    found = ideal_starts(model, data, outputs, reading)
    assert_same_state(before, state(model))
    for name, images in slow_starts(model, data, reading).items():
        np.testing.assert_allclose(found.images[name], images, atol=1e-12, err_msg=name)
    for name, rows in found.indices.items():
        np.testing.assert_array_equal(found.images[name], data.images[rows])
    for name, images in found.images.items():
        with torch.no_grad():
            reached = model(torch.from_numpy(images)).numpy()
        np.testing.assert_allclose(found.distances[name], np.linalg.norm(reached - found.ideal, axis=1), atol=1e-12)
    assert set(found.images) == set(found.distances) >= set(found.indices)


def test_the_projected_average_is_all_that_the_first_layer_sees():
    model, data = dense(), sample()
    found = ideal_starts(model, data, output_statistics(model, data.images, progress=False), "own minima")
    W = model[1].weight.detach().numpy()
    np.testing.assert_allclose(found.images["signal of avg-img"] @ W.T, found.images["avg-img"] @ W.T, atol=1e-12)
    np.testing.assert_allclose(found.distances["signal of avg-img"], found.distances["avg-img"], atol=1e-12)
    assert found.left_out == {}


def test_nearest_in_features_with_the_features_at_hand():
    """And with the inverse of what follows the last layer: the record needs neither."""
    model, data = dense(2), sample(2)
    found = ideal_starts(model, data, output_statistics(model, data.images, progress=False), "own minima")
    with torch.no_grad():
        features = model[:3](torch.from_numpy(data.images)).numpy()
    W, b = (p.detach().numpy() for p in (model[3].weight, model[3].bias))
    ideal = (np.arctanh(found.ideal) - b) @ np.linalg.pinv(W).T
    expected = [np.linalg.norm(features - row, axis=1).argmin() for row in ideal]
    np.testing.assert_array_equal(found.indices["nearest in features"], expected)


def test_layers_count_in_the_order_in_which_an_image_meets_them():
    found = output_statistics(convolutional(), sample().images, progress=False)
    assert (found.first, found.head) == ("conv", "head")  # the definition has the head first


def test_what_a_network_does_not_allow_is_left_out_with_the_reason():
    for model, names in (
        (convolutional(), {"signal of avg-img"}),
        (convolutional(head=False), {"signal of avg-img", "nearest in features"}),
    ):
        data = sample()
        found = ideal_starts(model, data, output_statistics(model, data.images, progress=False), "one minimum")
        assert set(found.left_out) == names
        assert not names & set(found.images)
        assert "conv, a Conv2d" in found.left_out["signal of avg-img"]


# bad input


class Raises(nn.Linear):
    """A network whose own code refuses an image by some error."""

    def __init__(self, error):
        super().__init__(PIXELS, 10)
        self.error = error

    def forward(self, x):
        raise self.error


@pytest.mark.parametrize("error", [ValueError, KeyError, AssertionError, NotImplementedError])
def test_whatever_a_network_raises_is_one_clear_error(error):
    with pytest.raises(BadInput, match=r"^images: expected .* as the network takes them.*the reason"):
        output_statistics(Raises(error("the reason")).eval(), sample().images, progress=False)


def test_a_network_says_itself_what_is_bad_and_can_be_interrupted():
    with pytest.raises(BadInput, match=r"^own: expected this, got that$"):
        output_statistics(Raises(BadInput("own: expected this, got that")).eval(), sample().images, progress=False)
    with pytest.raises(KeyboardInterrupt):
        output_statistics(Raises(KeyboardInterrupt()).eval(), sample().images, progress=False)


def test_weights_without_a_shape_stay_without():
    """The first pass would give them one, by chance."""
    model = nn.Sequential(nn.LazyLinear(10)).eval()
    with pytest.raises(BadInput, match="model: expected weights with a shape"):
        output_statistics(model, sample().images, progress=False)
    assert nn.parameter.is_lazy(model[0].weight)


def test_a_network_in_training_mode_is_refused_and_left_as_it_is():
    model, data = convolutional(), sample()
    outputs = output_statistics(model, data.images, progress=False)
    model.norm.train()  # a part of it is enough
    before = state(model)
    for door in (
        lambda: type_in_eval_mode(model),
        lambda: output_statistics(model, data.images, progress=False),
        lambda: ideal_starts(model, data, outputs, "own minima"),
        lambda: distances_to(model, np.zeros((10, 10)), data.images[:10]),
    ):
        with pytest.raises(BadInput, match=r"^model: .*eval mode.*norm.*\.eval\(\)$"):
            door()
    assert_same_state(before, state(model))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_images_that_are_not_finite_are_refused(bad):
    model, images = convolutional(), sample().images
    images[137, 3] = bad
    before = state(model)
    with pytest.raises(BadInput, match="images: expected finite"):
        output_statistics(model, images, progress=False)
    assert_same_state(before, state(model))


def test_outputs_may_be_made_by_hand():
    """Without what happened on the way to them, two recipes are left out."""
    model, data = dense(), sample()
    values = output_statistics(model, data.images, progress=False).values
    found = ideal_starts(copy.deepcopy(model), data, Outputs(values), "own minima")
    assert set(found.left_out) == {"nearest in features", "signal of avg-img"}

"""One place asks a network: what answers otherwise among other images, or when it is asked again, is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from vsbook.checks import BadInput
from vsbook.inversion.ideal import distances_to
from vsbook.inversion.input_training import Descent, train_input
from vsbook.inversion.newton import invert
from vsbook.networks.outputs import output_statistics, refuse_moods

IMAGES, TARGETS = np.random.default_rng(0).random((4, 6)), np.random.default_rng(1).standard_normal((4, 3))


class Moody(nn.Module):
    """A linear layer of what a function makes of the batch."""

    def __init__(self, change):
        super().__init__()
        self.linear, self.change = nn.Linear(6, 3), change

    def forward(self, x):
        return self.linear(self.change(x))


MOODS = {
    "the mean of the batch": lambda x: x - x.mean(dim=0, keepdim=True) / 2,
    "the first image": lambda x: x + x[:1],
    "the last image": lambda x: x + x[-1:],
    "the size of the batch": lambda x: x * len(x),
    "dropout that is always on": lambda x: nn.functional.dropout(x, 0.5, True),
    "a batch's own statistics": lambda x: nn.functional.batch_norm(torch.cat([x, x + 1]), None, None, training=True)[
        : len(x)
    ],
}
DOORS = {
    "output_statistics": lambda model, n: output_statistics(model, IMAGES[:n], progress=False),
    "distances_to": lambda model, n: distances_to(model, TARGETS[:n], IMAGES[:n]),
    "train_input": lambda model, n: train_input(model, TARGETS[:n], IMAGES[:n], Descent(), progress=False),
    "invert": lambda model, n: invert(model, TARGETS[:n], IMAGES[:n], progress=False),
}


NEIGHBOURS = {"the first image", "the last image"}  # of one image alone, these are functions of that image
CASES = [(mood, 4) for mood in MOODS] + [(mood, 1) for mood in MOODS if mood not in NEIGHBOURS]


@pytest.mark.parametrize(("mood", "count"), CASES)
@pytest.mark.parametrize("door", DOORS)
def test_an_answer_that_has_moods_is_no_answer(door, mood, count):
    torch.manual_seed(0)
    with pytest.raises(BadInput, match="model: expected the same output for the same image, got another one"):
        DOORS[door](Moody(MOODS[mood]).eval(), count)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_output_that_is_no_number_is_refused_as_such(bad):
    """And not as a mood: how far the other outputs may move is told by those that are numbers."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 300), nn.Tanh(), nn.Linear(300, 3)).eval()
    with torch.no_grad():
        model[2].bias[1] = bad
    with pytest.raises(BadInput, match="outputs: expected finite numbers"):
        output_statistics(model, np.random.default_rng(0).random((97, 6)), progress=False)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rounding_is_no_mood(dtype):
    """Batches of other sizes are added up in another order."""
    torch.manual_seed(0)
    deep = nn.Sequential(*(nn.Sequential(nn.Linear(300, 300), nn.Tanh()) for _ in range(5))).to(dtype).eval()
    refuse_moods(deep, torch.rand(97, 300).to(dtype))

"""What a refusal is: a call, the kinds of its arguments, and the bad values of each with the words of the error."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

NAN, INF = float("nan"), float("inf")
Kind = dict[str, tuple[object, str]]


@dataclass(frozen=True)
class Call:
    """A public function, arguments that it takes, and of some the values that it refuses.

    Several arguments that don't go together are named at once, parted by commas, and given as a tuple. The error begins
    with the argument's name, unless the words begin with ^.
    """

    function: Callable
    good: dict[str, object]
    bad: dict[str, Kind]
    changes: bool = False  # its arguments, when it takes them


def named(values, words="") -> Kind:
    """These values, all refused in these words."""
    return {repr(value): (value, words) for value in values}


def called(name: str, kind: Kind) -> Kind:
    """The same where the error calls the argument by another name."""
    return {what: (value, f"^{name}: expected .*({words})") for what, (value, words) in kind.items()}


def without(kind: Kind, *names: str) -> Kind:
    """All but those, which this argument may be."""
    assert set(names) <= kind.keys()
    return {name: value for name, value in kind.items() if name not in names}


def no_numbers(*shape: int) -> Kind:
    """What is no array of finite real numbers, though of this shape."""
    some = (np.arange(np.prod(shape)) == 0).reshape(shape)
    return {
        "NaN": (np.full(shape, NAN), "finite numbers"),
        "one NaN in float32": (np.where(some, NAN, 1).astype("f4"), "finite numbers, got 1 NaN"),
        "infinity": (np.full(shape, -INF), "finite numbers"),
        "one infinity": (np.where(some, INF, 1), "finite numbers, got 1 NaN or infinite"),
        "complex": (np.ones(shape, complex), "real numbers, got dtype complex"),
        "strings": (np.full(shape, "1"), "real numbers, got dtype <U1"),
        "bytes": (np.full(shape, b"1"), "real numbers, got dtype .S1"),
        "objects": (np.full(shape, object()), "real numbers, got dtype object"),
        "booleans": (np.ones(shape, bool), "real numbers, got dtype bool"),
        "dates": (np.full(shape, np.datetime64("2024-01-01")), "real numbers, got dtype datetime"),
        "empty": (np.ones((0, *shape[1:])), "at least one element|got shape"),
        "None": (None, "real numbers, got NoneType"),
        "a string": ("12", "real numbers, got str"),
        "a dictionary": ({"a": 1}, "real numbers, got dict"),
        "ragged": ([[1.0, 2.0], [1.0]], "numbers that NumPy can read, got list"),
        "a number": (1.0, "got shape"),
        "a tensor with gradients": (torch.ones(shape, requires_grad=True), "numbers that NumPy can read, got Tensor"),
        "masked": (np.ma.masked_array(np.ones(shape), np.zeros(shape, bool)), "plain numbers, got a masked array"),
    }


def array(*shape: int) -> Kind:
    """What is no array of finite real numbers of this shape."""
    other = np.ones((*shape[:-1], shape[-1] + 1)) if len(shape) == 1 else np.ones((2, 2, 2, 2))
    return no_numbers(*shape) | {"wrong shape": (other, "got ")}


WORDLESS = ("1", None, True, [1.0])
POSITIVE = named((0, -1, NAN, INF, *WORDLESS), "number")
NOT_NEGATIVE = named((-1, NAN, INF, *WORDLESS), "number")
COUNT = named((0, -1, 1.5, NAN, "3", None, True), "whole number")
SEED = named((-1, 1.5, "0", None, True, 2**70), "whole number")
GENERATOR = named((0, None), "numpy's Generator") | {"numpy.random": (np.random, "numpy's Generator")}
RUNS = named(("vgg", "", None, 3, ["fcnn1"]), "one of")
PATHS = named((None, 3, "/nowhere", "/", Path("/"), b"\0", "x" * 300), "^")


def choice(*wrong) -> Kind:
    """Something else than one of the names there are."""
    return named((*wrong, "", None, 0, ["a list"]), "one of")


NO_NETWORK = {
    "None": (None, "Module"),
    "a name": ("fcnn1", "Module"),
    "a class": (nn.Linear, "Module"),
    "a dictionary": ({"a": 1}, "Module"),
    "a function": (np.tanh, "Module"),
    "an array": (np.eye(3), "Module"),
}


def marked(model):
    """With traces of a user: a frozen weight, a gradient, hooks of three kinds, a buffer that isn't saved."""
    first, *_, last = model.parameters()
    first.requires_grad_(False)
    last.grad = torch.full_like(last, 3.0)
    model.register_buffer("counted", torch.tensor([7.0]), persistent=False)
    part = list(model.modules())[1]
    part.register_forward_hook(lambda *_: None)
    part.register_forward_pre_hook(lambda *_: None)
    last.register_hook(lambda gradient: gradient)
    return model


def snapshot(model):
    """All that a careless function might change."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    gradients = [(f"{name}.grad", p.grad) for name, p in model.named_parameters() if p.grad is not None]
    bits = {name: (str(t.dtype), t.detach().numpy().tobytes()) for name, t in tensors + gradients}
    wants = [(id(p), p.requires_grad, len(p._backward_hooks or {})) for p in model.parameters()]
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks")
    parts = [(id(m), m.training, *(list(getattr(m, kind)) for kind in kinds)) for m in model.modules()]
    switches = torch.is_grad_enabled(), torch.get_default_dtype(), torch.random.get_rng_state().numpy().tobytes()
    return bits, wants, parts, switches, str(np.random.get_state())  # noqa: NPY002


def training_modes(make) -> Kind:
    """A network in training mode as a whole, in a part, and in all its parts."""
    whole, part, parts = (marked(make()) for _ in range(3))
    whole.train()
    list(part.modules())[-1].train()
    parts.train().training = False
    words = r"a network in eval mode, .*eval\(\)"
    return {"all in training mode": (whole, words), "a part": (part, words), "all but the whole": (parts, words)}

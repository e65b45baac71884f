"""Values that a layer is given: shapes and numbers checked, every fault listed."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from neurodeploy.errors import Fault

Value = float | torch.Tensor


class Checker:
    """Collects the faults of one layer's constructor; each method returns a usable value even where it found one.

    where : the layer in the user's terms ("LIF")
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self.faults: list[Fault] = []
        self.dtype = torch.get_default_dtype()
        self.neurons: tuple[int, ...] | None = None  # None until known, or where it is at fault itself

    def fault(self, name: str, value: object, must: str, todo: str = "") -> None:
        """Note that a parameter has a value that it must not have."""
        self.faults.append(Fault("ND1601", self.where, f"{name} is {value!r}", must, todo, {name: value}))

    def shape(self, shape: object) -> tuple[int, ...]:
        """Neuron dimensions: one whole number or several, each at least 1."""
        sizes = shape if isinstance(shape, tuple | list | torch.Size) else (shape,)
        if not sizes or not all(_whole(size) and size >= 1 for size in sizes):
            self.fault("shape", shape, "it must be a whole number of at least 1, or a tuple of such")
            return ()
        self.neurons = tuple(sizes)
        return self.neurons

    def settle_dtype(self, values: Sequence[object]) -> None:
        """Take the float type of the tensors that were given; numbers adapt to it. Without any: torch's default."""
        found = [tensor.dtype for tensor in map(_tensor, values) if tensor is not None and tensor.is_floating_point()]
        for dtype in found:
            self.dtype = dtype if dtype is found[0] else torch.promote_types(self.dtype, dtype)

    def tensor(self, name: str, value: Any, *, positive: bool = False) -> torch.Tensor:
        """Copy of a number or tensor that broadcasts to the neurons; call ``shape`` first."""
        try:
            tensor = torch.as_tensor(value).detach().clone()
        except (TypeError, ValueError, RuntimeError):
            tensor = torch.ones((), dtype=torch.bool)
        if tensor.dtype is torch.bool or tensor.is_complex():
            self.fault(name, value, "it must be a number or a tensor of numbers")
            return torch.ones((), dtype=self.dtype)
        shape = self.neurons
        if shape is not None and not broadcasts(tuple(tensor.shape), shape):
            was = f"{name} has shape {tuple(tensor.shape)}, the neurons {shape}"
            must = f"it must be a number or broadcast to {shape}"
            values = {name: tuple(tensor.shape), "shape": shape}
            self.faults.append(Fault("ND1601", self.where, was, must, "", values))
            return torch.ones((), dtype=self.dtype)
        tensor = tensor.to(self.dtype)
        self.faults += value_faults(self.where, name, tensor, positive=positive)
        return tensor

    def number(self, name: str, value: object) -> None:
        """Check for a finite Python number."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.fault(name, value, "it must be a finite number")

    def whole(self, name: str, value: object, least: int) -> None:
        """Check for a whole number of at least ``least``."""
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self.fault(name, value, f"it must be a whole number of at least {least}")

    def flag(self, name: str, value: object) -> None:
        """Check for True or False."""
        if not isinstance(value, bool):
            self.fault(name, value, "it must be True or False")

    def choice(self, name: str, value: object, allowed: Sequence[str]) -> None:
        """Check for one of a few words."""
        if value not in allowed:
            self.fault(name, value, f"it must be one of {', '.join(map(repr, allowed))}")


def value_faults(where: str, name: str, tensor: torch.Tensor, *, positive: bool) -> list[Fault]:
    """Faults of a tensor's values: NaN, infinite and, where they must be positive, zero or below."""
    if tensor.is_meta:
        return []  # shapes alone; whoever fills it checks again
    bad = ~torch.isfinite(tensor)
    if positive:
        bad = bad | (tensor <= 0)
    count = int(bad.sum())
    if not count:
        return []
    value, many = tensor[bad][0].item(), tensor.numel() > 1
    was = f"{name} is {value:g}" + (f" in {count} of {tensor.numel()} places" if many else "")
    must = "it must be finite and above 0" if positive else "it must be finite"
    return [Fault("ND1601", where, was, must, "", {name: value, "count": count})]


def broadcasts(shape: tuple[int, ...], neurons: tuple[int, ...]) -> bool:
    """Whether a tensor of one shape extends to the neurons without extending them."""
    try:
        return torch.empty(shape, device="meta").expand(neurons).shape == neurons
    except RuntimeError:
        return False


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _tensor(value: object) -> torch.Tensor | None:
    """Tensor of what has a float type of its own; None for plain numbers and for what is no number."""
    if isinstance(value, torch.Tensor):
        return value
    if isinstance(value, float | int) or not hasattr(value, "dtype"):
        return None
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        return None

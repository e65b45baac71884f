"""Values of other libraries' modules: numbers, tensors, and what an optimizer may change."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from neurodeploy.errors import Fault, Refusal
from neurodeploy.layers import Neuron
from neurodeploy.layers.registry import unknown_modules

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Made:
    """What becomes of a module.

    layers : one after the other
    notes : what is worth to know
    """

    layers: tuple[torch.nn.Module, ...]
    notes: tuple[str, ...] = ()


class Source:
    """One neuron module, as those who make layers of it see it; collects its faults.

    shape : of its input, one step of one sample
    dtype : float type of the model
    """

    def __init__(self, module: Any, where: str, shape: Shape, dtype: torch.dtype) -> None:
        self.module, self.where, self.shape, self.dtype = module, where, shape, dtype
        self.faults: list[Fault] = []
        self.notes: list[str] = []

    def fault(self, was: str, must: str, todo: str = "") -> None:
        """Note what has no meaning here."""
        self.faults.append(Fault("ND1603", self.where, was, must, todo))

    def tensor(self, value: Any) -> torch.Tensor:
        """Copy of a number or tensor in the float type of the model."""
        return torch.as_tensor(value).detach().clone().to(self.dtype)

    def number(self, name: str, value: Any) -> float | None:
        """One number for the layer, or None."""
        if value is None:
            return None
        different = sorted(set(torch.as_tensor(value).detach().double().reshape(-1).tolist()))
        if len(different) != 1:
            self.fault(f"{name} {different[:3]} for different neurons", "one value for the layer")
            return None
        return float(different[0])

    def connection(self, module: Any) -> torch.nn.Module | None:
        """Copy of a recurrent connection."""
        faults = unknown_modules(module) if isinstance(module, torch.nn.Module) else []
        if faults or not isinstance(module, torch.nn.Module):
            names = ", ".join(sorted({str(fault.values["class"]) for fault in faults})) or type(module).__name__
            self.fault(f"a recurrent connection of {names}", "of Linear or Conv2d layers")
            return None
        return copy.deepcopy(module)

    def made(self, kind: type[Neuron], **options: Any) -> Made:
        """Layer of the shape of the input; its refusals are faults of the module."""
        if self.faults:
            raise Refusal(self.faults)
        try:
            return Made((kind(self.shape, **options),), tuple(self.notes))
        except Refusal as refusal:
            raise Refusal([replace(f, where=f"{self.where}, as {f.where}") for f in refusal.faults]) from None


def trained(**values: Any) -> tuple[str, ...]:
    """Names of those that an optimizer may change."""
    return tuple(
        name for name, value in values.items() if isinstance(value, torch.nn.Parameter) and value.requires_grad
    )


def options_of(value: Any, names: Mapping[str, str]) -> dict[str, float]:
    """Attributes under our names."""
    return {ours: float(getattr(value, theirs)) for ours, theirs in names.items()}

"""What one operator of a file is read with: its inputs and attributes, checked one by one."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from neurodeploy.ann.onnx.file import OnnxNode, Tensor
from neurodeploy.ann.onnx.module import Wire
from neurodeploy.errors import Fault


@dataclass(frozen=True)
class Value:
    """What a step makes.

    number : of the value, as Wire counts them
    shape : of one sample
    batch : number of samples where the file fixes it, else None
    layer : name of the affine layer whose result this is, empty for others
    """

    number: int
    shape: tuple[int, ...]
    batch: int | None
    dtype: torch.dtype
    layer: str = ""


class Bad(Exception):
    """A form of an operator that cannot be converted."""

    def __init__(self, was: str, must: str, todo: str = "", code: str = "ND1603") -> None:
        super().__init__(was)
        self.told = (was, must, todo, code)

    def fault(self, where: str) -> Fault:
        """The same with the place."""
        was, must, todo, code = self.told
        return Fault(code, where, was, must, todo)


@dataclass(frozen=True)
class Context:
    """A node, and what was made before it."""

    node: OnnxNode
    values: Mapping[str, Value | None]
    tensors: Mapping[str, Tensor]
    layers: dict[str, nn.Module]
    wires: list[Wire]
    sizes: Mapping[str, tuple[int | None, ...]]

    def inputs(self, low: int, high: int) -> int:
        """Number of inputs, which must lie in a range, the first given; and of one output that is read."""
        given = list(self.node.inputs)
        while given and not given[-1]:
            given.pop()
        if not low <= len(given) <= high or "" in given[:low] or not self.node.outputs or not self.node.outputs[0]:
            was = f"{self.node.op} with {len(given)} inputs and {len(self.node.outputs)} outputs"
            raise Bad(was, f"{low} to {high} inputs and an output", code="ND1401")
        return len(given)

    def value(self, place: int = 0) -> Value:
        """An input that the network computes."""
        name = self.node.inputs[place]
        found = self.values.get(name)
        if found is None:
            raise Bad(f"{self.node.op} of the constant {name!r}", "values that depend on the input")
        return found

    def constant(self, place: int, dtype: torch.dtype, axes: Sequence[int]) -> torch.Tensor | None:
        """An input that the file holds, of the network's type; None where there is none."""
        if place >= len(self.node.inputs) or not self.node.inputs[place]:
            return None
        name = self.node.inputs[place]
        if name not in self.tensors:
            raise Bad(f"{self.node.op} whose input {place + 1}, {name!r}, is computed", "a constant of the file there")
        tensor = self.tensors[name]
        if f"torch.{tensor.type}" != str(dtype):
            raise Bad(f"{name!r} is of {tensor.type}", f"{str(dtype).removeprefix('torch.')}, as the input")
        if len(tensor.shape) not in axes:
            must = f"{' or '.join(map(str, axes))} axes"
            raise Bad(f"{name!r} of shape {list(tensor.shape)}", must, code="ND1602")
        return torch.from_numpy(tensor.values())

    def whole(self, place: int) -> list[int | None] | None:
        """A list of sizes that the file holds or makes of a shape, None among them for the number of samples.

        None where it is computed in another way, or not there.
        """
        name = self.node.inputs[place] if place < len(self.node.inputs) else ""
        if name in self.sizes:
            return list(self.sizes[name])
        tensor = self.tensors.get(name)
        if tensor is None or tensor.type != "int64" or len(tensor.shape) != 1 or tensor.shape[0] > 8:
            return None
        return [int(x) for x in tensor.values()]

    def number(self, name: str, default: int) -> int:
        """An attribute that is an integer."""
        found = self.node.attributes.get(name, default)
        if type(found) is not int:
            raise Bad(f"{name} = {found!r:.40}", "an integer", code="ND1401")
        return found

    def real(self, name: str, default: float) -> float:
        """An attribute that is a number."""
        found = self.node.attributes.get(name, default)
        if type(found) is not float or not math.isfinite(found):
            raise Bad(f"{name} = {found!r:.40}", "a finite number", code="ND1401")
        return found

    def pair(self, name: str, default: tuple[int, int], low: int = 1) -> tuple[int, int]:
        """An attribute of two sizes."""
        found = self.node.attributes.get(name, list(default))
        sizes = tuple(found) if isinstance(found, list) else ()
        if len(sizes) != 2 or not all(type(s) is int and low <= s < 1 << 31 for s in sizes):
            raise Bad(f"{name} = {found!r:.60}", f"two sizes of {low} or more, for maps")
        return sizes

    def add(self, value: Value, layer: nn.Module, shape: tuple[int, ...], *, affine: bool = False) -> Value:
        """A layer that reads a value."""
        base = re.sub(r"\W+", "_", self.node.outputs[0], flags=re.ASCII).strip("_") or "step"
        base = f"n{base}" if base[0].isdigit() else f"{base}_" if hasattr(nn.ModuleDict, base) else base
        name, count = base, 1
        while name in self.layers:
            count += 1
            name = f"{base}_{count}"
        self.layers[name] = layer
        self.wires.append(Wire(name, (value.number,)))
        return Value(len(self.wires), shape, value.batch, value.dtype, name if affine else "")

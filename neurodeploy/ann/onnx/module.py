"""The torch module that an ONNX graph becomes: ordinary layers, and who reads whom."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

INPUT = "input"


class Wire(NamedTuple):
    """One step: a layer by its name, or an addition where the name is empty.

    reads : numbers of the values that it reads; 0 is the input, step i makes value i + 1
    """

    layer: str
    reads: tuple[int, ...]


class OnnxModule(nn.Module):
    """An ordinary network of the layers that ``convert_ann`` takes, with the names that the file gives them.

    input_shape : of one sample
    """

    def __init__(
        self, layers: dict[str, nn.Module], wires: Sequence[Wire], output: int, input_shape: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(layers)
        self.wires, self.output, self.input_shape = tuple(wires), output, input_shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, ...) to (batch, ...)."""
        values = [x]
        for layer, reads in self.wires:
            given = [values[i] for i in reads]
            values.append(self.layers[layer](given[0]) if layer else given[0] + given[1])
        return values[self.output]

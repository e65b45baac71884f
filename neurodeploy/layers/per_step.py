"""A module without time of its own, such as a convolution, in every time step by itself."""

from typing import Any

import torch

from neurodeploy.errors import Fault, Refusal
from neurodeploy.layers.registry import describe, register
from neurodeploy.layers.stateful import TIME_BATCH, Stateful


@register
class PerStep(torch.nn.Module):
    """Computes (time, batch, ...) with a module that knows only (batch, ...): time and batch are folded into one.

    module : what has no memory: Conv2d, AvgPool2d, Flatten, or a Sequential of such; linear layers need no PerStep

    Raises Refusal: ND1603 for a module that remembers from one step to the next, which folding would mix up; ND1602 for
    an input without time and batch, or a module that changes the number of rows.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        remembering = sorted({type(part).__name__ for part in module.modules() if isinstance(part, Stateful)})
        if remembering:
            was, must = f"holds {', '.join(remembering)}", "modules without memory: time and batch are folded"
            raise Refusal(Fault("ND1603", "PerStep", was, must, "put it beside PerStep, not into it"))
        self.module = module

    def describe(self) -> dict[str, Any]:
        """JSON-able description: class and the description of the module."""
        return {"class": type(self).__name__, "dtype": None, "options": {"module": describe(self.module)}}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (time, batch, ...) to (time, batch, ...)."""
        if x.dim() <= TIME_BATCH:
            was, must = f"the input has shape {tuple(x.shape)}", "it must be (time, batch, ...)"
            raise Refusal(Fault("ND1602", "PerStep", was, must, "", {"shape": tuple(x.shape)}))
        rows = x.shape[:TIME_BATCH]
        y: torch.Tensor = self.module(x.flatten(0, 1))
        if y.shape[:1] != (rows.numel(),):
            was = f"{type(self.module).__name__} returns shape {tuple(y.shape)} for {rows.numel()} rows"
            raise Refusal(Fault("ND1602", "PerStep", was, "one row for each time step and sample"))
        return y.reshape(*rows, *y.shape[1:])

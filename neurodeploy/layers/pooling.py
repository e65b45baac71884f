"""Sum pooling: every spike of a block of a map counts as one of the block."""

from typing import Any

import torch

from neurodeploy.errors import raise_if
from neurodeploy.layers.registry import register
from neurodeploy.layers.values import Checker


@register
class SumPool2d(torch.nn.Module):
    """Adds up blocks of ``kernel_size`` x ``kernel_size`` values of (batch, channels, rows, columns).

    Blocks do not overlap; rows and columns that fill no block are left out. Put it into PerStep. Its sum is k * k
    times the mean of torch.nn.AvgPool2d, and its gradient does not vanish where a sum is 0.
    """

    def __init__(self, kernel_size: int) -> None:
        super().__init__()
        check = Checker(type(self).__name__)
        check.whole("kernel_size", kernel_size, 1)
        raise_if(check.faults)
        self.kernel_size = kernel_size

    def describe(self) -> dict[str, Any]:
        """JSON-able description: class and options."""
        return {"class": type(self).__name__, "dtype": None, "options": {"kernel_size": self.kernel_size}}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, channels, rows, columns) to sums of blocks."""
        return torch.nn.functional.avg_pool2d(x, self.kernel_size, divisor_override=1)

    def extra_repr(self) -> str:
        """Return what print(model) shows."""
        return f"kernel_size={self.kernel_size}"

"""The smallest widths that keep what is asked of a network: each one quantized, simulated, measured."""

from neurodeploy.widths.budget import Budget
from neurodeploy.widths.in_fixed import layer_bits
from neurodeploy.widths.smallest import search
from neurodeploy.widths.table import Row, WidthTable

__all__ = ["Budget", "Row", "WidthTable", "layer_bits", "search"]

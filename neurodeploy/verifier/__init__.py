"""Comparison of runs: every value that both have, and the first difference down to neuron, phase and line of text.

What could have made the difference is tried out: a table of causes, each applied to one side.
Where the chip leaves the order inside one event unknown: what several orders were observed to change.
"""

from neurodeploy.verifier.comparison import Comparison, compare
from neurodeploy.verifier.difference import Difference
from neurodeploy.verifier.explanation import Explanation, Hint
from neurodeploy.verifier.sensitivity import LayerSpread, OrderReport, observe_orders
from neurodeploy.verifier.traces import load_trace, save_trace

__all__ = [
    "Comparison",
    "Difference",
    "Explanation",
    "Hint",
    "LayerSpread",
    "OrderReport",
    "compare",
    "load_trace",
    "observe_orders",
    "save_trace",
]

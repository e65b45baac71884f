"""Comparison of runs: every value that both have, and the first difference down to neuron, phase and line of text.

Where the chip leaves the order inside one event unknown: what several orders were observed to change.
"""

from neurodeploy.verifier.comparison import Comparison, compare
from neurodeploy.verifier.difference import Difference
from neurodeploy.verifier.sensitivity import LayerSpread, OrderReport, observe_orders

__all__ = ["Comparison", "Difference", "LayerSpread", "OrderReport", "compare", "observe_orders"]

"""Kernels of a text: the whole sequence in one call, forwards and backwards in time.

The text becomes a graph of values; its gradient is taken there; both are written as the source of two functions that
numba compiles. The torch table, run step by step, stays the definition: kernels are compared with it.
"""

from neurodeploy.generated import has_numba
from neurodeploy.kernels.events import event_linear, weight_gradient
from neurodeploy.kernels.recurrent import Feedback
from neurodeploy.kernels.sequence import SUPPORTED, Result, run_sequence

__all__ = ["SUPPORTED", "Feedback", "Result", "event_linear", "has_numba", "run_sequence", "weight_gradient"]

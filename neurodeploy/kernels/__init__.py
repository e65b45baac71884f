"""Kernels of a text: the whole sequence in one call, forwards and backwards in time.

The text becomes a graph of values; its gradient is taken there; both are written as the source of two functions, which
numba compiles for the CPU and Triton for a GPU. The torch table, run step by step, stays the definition: kernels are
compared with it.
"""

from neurodeploy.generated import has_numba
from neurodeploy.kernels.course import Course
from neurodeploy.kernels.events import event_linear, weight_gradient
from neurodeploy.kernels.recurrent import Feedback
from neurodeploy.kernels.sequence import DTYPES, SUPPORTED, Result, run_sequence
from neurodeploy.kernels.triton_call import has_triton, is_interpreted

__all__ = [
    "DTYPES",
    "SUPPORTED",
    "Course",
    "Feedback",
    "Result",
    "event_linear",
    "has_numba",
    "has_triton",
    "is_interpreted",
    "run_sequence",
    "weight_gradient",
]

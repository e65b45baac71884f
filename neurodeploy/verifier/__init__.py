"""Comparison of runs: every value that both have, and the first difference down to neuron, phase and line of text."""

from neurodeploy.verifier.comparison import Comparison, compare
from neurodeploy.verifier.difference import Difference

__all__ = ["Comparison", "Difference", "compare"]

"""Clocked chips in integer tensors, on any device of torch: all samples of a chunk and all neurons at once."""

from neurodeploy.simulator.tensors.run import refusal, run_tensors

__all__ = ["refusal", "run_tensors"]

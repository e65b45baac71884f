"""Bit-exact simulation of placed integer networks: one engine, any executor."""

from neurodeploy.simulator.engine import Engine, external_counts, latency_of, simulate
from neurodeploy.simulator.machine import assemble
from neurodeploy.simulator.run import Run, Snapshot, Trace

__all__ = ["Engine", "Run", "Snapshot", "Trace", "assemble", "external_counts", "latency_of", "simulate"]

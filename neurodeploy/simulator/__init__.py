"""Bit-exact simulation of placed integer networks: one engine, any executor."""

from neurodeploy.simulator.engine import Engine, external_counts, latency_of
from neurodeploy.simulator.joins import join_samples, join_steps
from neurodeploy.simulator.machine import assemble
from neurodeploy.simulator.orders import scan_orders, simulate_orders
from neurodeploy.simulator.parts import simulate_parts
from neurodeploy.simulator.run import Run, Snapshot, Trace
from neurodeploy.simulator.simulation import Simulation, simulate
from neurodeploy.simulator.stimulus import Stimulus, expand

__all__ = [
    "Engine",
    "Run",
    "Simulation",
    "Snapshot",
    "Stimulus",
    "Trace",
    "assemble",
    "expand",
    "external_counts",
    "join_samples",
    "join_steps",
    "latency_of",
    "scan_orders",
    "simulate",
    "simulate_orders",
    "simulate_parts",
]

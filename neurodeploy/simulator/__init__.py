"""Bit-exact simulation of placed integer networks: engines, and a table of executors that are equal in every bit."""

from neurodeploy.simulator.engine import Engine, latency_of
from neurodeploy.simulator.inputs import external_counts
from neurodeploy.simulator.joins import join_samples, join_steps
from neurodeploy.simulator.machine import assemble
from neurodeploy.simulator.orders import scan_orders, simulate_orders
from neurodeploy.simulator.parts import simulate_parts
from neurodeploy.simulator.probes import shown
from neurodeploy.simulator.registry import EXECUTORS
from neurodeploy.simulator.run import How, Product, Run, Snapshot, Trace
from neurodeploy.simulator.simulation import Simulation, simulate
from neurodeploy.simulator.stimulus import Stimulus, expand

__all__ = [
    "EXECUTORS",
    "Engine",
    "How",
    "Product",
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
    "shown",
    "simulate",
    "simulate_orders",
    "simulate_parts",
]

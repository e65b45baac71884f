"""Executors as oracles: each runs the texts of the chip in its own way, and all must be equal in every bit.

A difference is a defect of this program; equality says nothing about a chip.
"""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import numpy.typing as npt

from neurodeploy.chips.part import Grade
from neurodeploy.errors import Fault, Refusal, missing_extra
from neurodeploy.network import Network
from neurodeploy.simulator import EXECUTORS, Trace, simulate

GRADE: Grade = "inferred"
#: the definition, and slow: it gets as much of an input as some seconds allow
REFERENCE = "reference"


def package(name: str) -> tuple[str, str]:
    """Package that an executor needs, and the extra that brings it."""
    entry = EXECUTORS[name]
    return entry.package or "neurodeploy", entry.extra


def faults(name: str, network: Network) -> list[Fault]:
    """Why an executor does not run a network: it is for the other sort of chip."""
    schedule = "event" if network.chip.event_driven else "clocked"
    if schedule in EXECUTORS[name].schedules:
        return []
    where, was = f"{network.chip.name}, oracle {name}", f"an executor of {', '.join(EXECUTORS[name].schedules)} chips"
    return [Fault("ND2003", where, was, f"this chip is {schedule}", "choose another executor")]


def observe(name: str, network: Network, counts: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> Trace:
    """Counts and states of every group at every step; nothing is appended."""
    try:
        version(package(name)[0])
    except PackageNotFoundError:
        raise missing_extra(*package(name), f"oracle {name}") from None
    record = [f"{g.name}.{s}" for g in network.groups for s in network.chip.neurons[g.kind].states]
    try:
        return simulate(network, counts, record=record, drain=0, raw=True, executor=name).trace()
    except Refusal as refusal:
        if refusal.code != "ND1303":
            raise
        raise Refusal([Fault("ND2003", f"oracle {name}", f.was, f.must, f.todo) for f in refusal.faults]) from None

"""Guards of a chip on a network: inside them nothing that is unknown of the chip decides a result."""

from collections.abc import Mapping

import numpy as np

from neurodeploy.chips import Guard
from neurodeploy.errors import Fault
from neurodeploy.network.network import Group, Ints, Network, Projection
from neurodeploy.step import PYTHON, evaluate
from neurodeploy.step.tree import names

#: Code of a network outside a guard.
OUTSIDE = "ND2202"


def guard_faults(network: Network) -> list[Fault]:
    """Every guard of the network's chip that it does not keep, by name, with the numbers."""
    found = list[Fault]()
    for guard in network.chip.guards:
        for group in network.of_kind(guard.entry.of):
            arriving = [p for p in network.projections if p.target == group.name]
            found += _faults(network, guard, f"group {group.name!r}", _of_group(network, group, arriving))
        for p in network.projections:
            if p.kind == guard.entry.of:
                registers = {n: np.array([v]) for n, v in p.parameters.items()}
                found += _faults(network, guard, f"projection {p.source} -> {p.target}", {**p.fields, **registers})
    return found


def _of_group(network: Network, group: Group, arriving: list[Projection]) -> dict[str, Ints]:
    kinds = network.chip.connections
    weights = [p.fields[w] for p in arriving for w in kinds[p.kind].entry.weights]
    return {**group.parameters, "weight": np.concatenate([np.zeros(1, np.int64), *weights])}


def _faults(network: Network, guard: Guard, where: str, values: Mapping[str, Ints]) -> list[Fault]:
    ends = dict[str, int]()
    for name, array in values.items():
        ends[f"{name}_min"], ends[f"{name}_max"] = (int(array.min()), int(array.max())) if array.size else (0, 0)
    value, (low, high) = int(evaluate(guard.formula, ends, PYTHON)), guard.entry.range
    if low <= value <= high:
        return []
    read = {n: ends[n] for n in sorted(set(names(guard.formula)))}
    shown = ", ".join(f"{n} = {v}" for n, v in read.items())
    place = f"{network.chip.name}, {where}"
    return [Fault(OUTSIDE, place, f"guard {guard.name!r}: {shown}", guard.entry.rule, guard.entry.todo, read)]

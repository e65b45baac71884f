"""States that never leave their start in this network: a synapse that it does not use, a pause that never comes."""

from collections.abc import Iterator, Mapping

import numpy as np

from neurodeploy.chips import ConnectionKind, Handler
from neurodeploy.chips.compile import GIVEN_EXTERNAL
from neurodeploy.simulator.fast.lanes import held_class
from neurodeploy.simulator.fast.rows import Table
from neurodeploy.simulator.fast.synapse import ARRIVING
from neurodeploy.simulator.fast.values import Values
from neurodeploy.simulator.machine import Lane, Machine
from neurodeploy.step import Interval

Ranges = dict[str, Interval]


def frozen_states(machine: Machine, tables: Mapping[str, Table]) -> dict[str, dict[str, int]]:
    """Kind -> state -> its only value, if every text keeps it there.

    tables : connection kind -> its synapses, where it has some
    """
    found = {name: _candidates(lane) for name, lane in machine.lanes.items() if lane.size}
    texts = {name: list(_texts(machine, name, tables)) for name in found}
    while True:
        moved = [
            (name, state)
            for name, states in found.items()
            for state in states
            if any(_moves(machine.lanes[name], states, state, handler, others) for handler, others in texts[name])
        ]
        if not moved:
            return found
        for name, state in moved:
            del found[name][state]


def _candidates(lane: Lane) -> dict[str, int]:
    starts = {}
    for name, entry in lane.kind.states.items():
        values = lane.parameters[entry.start] if isinstance(entry.start, str) else np.array([entry.start])
        # other values would make a kernel of their own for each network
        if np.all(values == values[0]) and int(values[0]) in {0, 1} and name != lane.kind.emits:
            starts[name] = int(values[0])
    return starts


def _texts(machine: Machine, name: str, tables: Mapping[str, Table]) -> Iterator[tuple[Handler, Ranges]]:
    """Texts that write states of a kind, with the ranges of what they read beside its states and parameters."""
    kind = machine.lanes[name].kind
    external = {GIVEN_EXTERNAL: kind.entry.external.interval} if kind.entry.external else {}
    for phase in machine.chip.schedule:
        if phase.neuron == name:
            yield kind.handlers[phase.handler], external
    for connection in machine.chip.connections.values():
        if connection.target == name and connection.name in tables:
            ranges = _arriving(machine, connection, tables[connection.name])
            yield connection.on_input, ranges
            if connection.on_sum is not None:
                yield connection.on_sum, ranges


def _arriving(machine: Machine, kind: ConnectionKind, table: Table) -> Ranges:
    ranges = {n: e.interval for n, e in kind.registers.items()}
    for name, values in table.fields.items():
        declared = kind.parameters[name].interval if name in kind.parameters else kind.stored_ranges[name]
        ranges[name] = held_class(values, declared)
    sources = [machine.lanes[name].kind for name in kind.sources]
    emitted = [s.states[s.emits].interval for s in sources]
    ranges[ARRIVING] = Interval(min(e.low for e in emitted), max(e.high for e in emitted))
    return ranges


def _moves(lane: Lane, frozen: Mapping[str, int], state: str, handler: Handler, others: Mapping[str, Interval]) -> bool:
    if state not in handler.writes:
        return False
    values = Values()
    ranges = {s: e.interval for s, e in lane.kind.states.items()} | {s: Interval(v, v) for s, v in frozen.items()}
    ranges |= {n: held_class(v, lane.kind.parameters[n].interval) for n, v in lane.parameters.items()} | dict(others)
    before = {n: values.leaf(n, r) for n, r in ranges.items() if n in handler.reads | handler.writes}
    after = dict(before)
    values.run(handler.text.statements, after)
    return after[state] != before[state]

"""The one engine: it walks the schedule of a chip and lets an executor run the texts."""

from collections import deque
from collections.abc import Callable, Mapping
from itertools import groupby
from typing import Any

import numpy as np

from neurodeploy.chips import ConnectionKind, Phase
from neurodeploy.chips.compile import DELAY
from neurodeploy.network import Network
from neurodeploy.simulator.executors import Executor
from neurodeploy.simulator.machine import Delivery, Ints, Machine, Row, initial_states, stored_fields
from neurodeploy.simulator.run import Snapshot

Observer = Callable[[int, Phase, Any], None]  # step, phase that has just run, the engine


class Engine:
    """A machine with its states, ready to take steps.

    states : neuron kind -> state -> (batch, neuron)
    """

    def __init__(self, machine: Machine, batch: int, executor: Executor, snapshot: Snapshot | None = None) -> None:
        self.machine, self.executor, self.batch = machine, executor, batch
        self.step_number = 0
        self.states = initial_states(machine.lanes, batch)
        self.history: dict[str, deque[Ints]] = {}
        for name, lane in machine.lanes.items():
            depth = machine.longest_delay + 1
            zero = np.zeros((batch, lane.size), np.int64)
            self.history[name] = deque([zero] * depth, maxlen=depth)
        if snapshot is not None:
            self._restore(snapshot)

    def _restore(self, snapshot: Snapshot) -> None:
        self.snapshot().check(snapshot, self.machine.chip.name)
        self.states = snapshot.copied()
        for name, past in snapshot.history.items():
            self.history[name].extendleft(reversed(past))
        self.step_number = snapshot.step

    def snapshot(self) -> Snapshot:
        """A copy of everything that is remembered."""
        states = {n: {s: v.copy() for s, v in many.items()} for n, many in self.states.items()}
        return Snapshot(states, {n: tuple(h) for n, h in self.history.items()}, self.step_number)

    def emitted(self, kind: str) -> Ints:
        """(batch, neuron) what a kind emitted in the step that was taken last."""
        return self.states[kind][self.machine.lanes[kind].kind.emits]

    def step(self, external: Mapping[str, Ints], observer: Observer | None = None) -> None:
        """Take one step; external maps an input kind to (batch, neuron) counts."""
        for phase in self.machine.chip.schedule:
            every = phase.every
            if every is None or self.step_number % every.period == every.offset:
                self._phase(phase, external)
                if observer is not None:
                    observer(self.step_number, phase, self)
        for name, lane in self.machine.lanes.items():
            self.history[name].appendleft(self.states[name][lane.kind.emits].copy())
        self.step_number += 1

    def _phase(self, phase: Phase, external: Mapping[str, Ints]) -> None:
        if not phase.neuron:
            for delivery in self.machine.deliveries[phase.name]:
                self._deliver(self.machine.chip.connections[phase.name], delivery)
            return
        lane = self.machine.lanes[phase.neuron]
        handler = lane.kind.handlers[phase.handler]
        given = {"external": external[phase.neuron]} if phase.neuron in external else {}
        for scan in self.machine.scans[phase.name]:
            self.executor.handle(handler, lane, lane.kind.states, self.states[phase.neuron], scan.part, given)
            for name, delivery in scan.deliveries:
                self._deliver(self.machine.chip.connections[name], delivery)

    def _emitted(self, row: Row, kind: ConnectionKind) -> Ints:
        """What the source of a row last emitted, ``delay`` steps before."""
        if row.delay == 0:
            return self.states[row.source_kind][self.machine.lanes[row.source_kind].kind.emits][:, row.source]
        # the history begins with the step before; a source that has not stepped yet still shows that one
        back = row.delay - 1 + self.machine.chip.lag(kind.name, row.source_kind)
        return self.history[row.source_kind][back][:, row.source]

    def _deliver(self, kind: ConnectionKind, delivery: Delivery) -> None:
        """Deliver row by row; the synapses of one source all see what it emitted before the first of them."""
        if not delivery.rows:
            return
        lane = self.machine.lanes[kind.target]
        given = delivery.registers
        states: dict[str, Ints] = dict(self.states[kind.target])
        states |= {r: np.zeros((self.batch, lane.size), np.int64) for r in kind.registers}
        widths = kind.registers or lane.kind.states
        for _, group in groupby(delivery.rows, lambda row: (row.source_kind, row.source)):
            mine = tuple(group)
            # read once: a connection from a neuron to itself may change what that neuron emits
            for row, arriving in zip(mine, [self._emitted(row, kind).copy() for row in mine], strict=True):
                self.executor.deliver(kind.on_input, lane, widths, states, row, given, arriving)
        if kind.on_sum is not None:
            self.executor.handle(kind.on_sum, lane, lane.kind.states, states, delivery.part, given)


def latency_of(network: Network) -> int:
    """Steps from an input event to the first output that it can influence, along the fastest path.

    Of several output groups the one that lags most counts. Periods of phases are not added.
    """
    distance = {g.name: 0 for g in network.inputs()}
    hops = []
    for p in network.projections:
        if p.geometry is not None or p.sources.size:
            kept = stored_fields(network.chip.connections[p.kind], p.fields, p.parameters)
            added = int(kept[DELAY].min()) if DELAY in kept else 0
            hops.append((p.source, p.target, network.chip.delay(p.kind, network.group(p.source).kind) + added))
    for _ in network.groups:
        for source, target, delay in hops:
            if source in distance:
                distance[target] = min(distance.get(target, distance[source] + delay), distance[source] + delay)
    return max((distance.get(g.name, 0) for g in network.outputs()), default=0)

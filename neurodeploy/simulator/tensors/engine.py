"""Steps of a chunk of samples: the schedule of a chip over tensors."""

from collections import deque
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Protocol

import torch

from neurodeploy.chips import Phase
from neurodeploy.chips.compile import GIVEN_EXTERNAL
from neurodeploy.network import Network
from neurodeploy.simulator.machine import Delivery, Machine
from neurodeploy.simulator.run import Snapshot
from neurodeploy.simulator.tensors.arrivals import Arrivals, History
from neurodeploy.simulator.tensors.deliver import Notes, Plan
from neurodeploy.simulator.tensors.relays import Relay, feeds_back, waves_of
from neurodeploy.simulator.tensors.rows import table_of
from neurodeploy.simulator.tensors.table import held_type
from neurodeploy.simulator.tensors.texts import Folded, Tensors, Watch, tensor


class Deliverer(Protocol):
    """Delivers what has been emitted."""

    def deliver(self, states: Mapping[str, Tensors], history: History) -> None:
        """Deliver, in place."""


class Prepared:
    """A machine laid out for a device; nothing of a run is kept here but what its deliveries did."""

    def __init__(self, network: Network, machine: Machine, device: torch.device) -> None:
        self.network, self.machine, self.device = network, machine, device
        self.watch, self.notes = Watch(device), Notes({})
        self.phases: list[tuple[Phase, list[tuple[slice | None, list[Deliverer]]]]] = []
        self.folded: dict[str, Folded] = {}
        for phase in machine.chip.schedule:
            self.phases.append((phase, self._neurons(phase) if phase.neuron else self._connection(phase.name)))

    def _connection(self, name: str) -> list[tuple[slice | None, list[Deliverer]]]:
        return [(None, [plan for delivery in self.machine.deliveries[name] for plan in self._plans(name, delivery)])]

    def _neurons(self, phase: Phase) -> list[tuple[slice | None, list[Deliverer]]]:
        lane = self.machine.lanes[phase.neuron]
        external = lane.kind.entry.external
        given = {} if external is None else {GIVEN_EXTERNAL: external.interval}
        handler = lane.kind.handlers[phase.handler]
        self.folded[phase.name] = Folded(handler, lane, lane.kind.states, given, {}, self.watch)
        pieces = list[tuple[slice | None, list[Deliverer]]]()
        for scan in self.machine.scans[phase.name]:
            plans = list[Deliverer]()
            for name, several in groupby(scan.deliveries, lambda pair: pair[0]):
                deliveries = [d for _, d in several]
                if not self.machine.chip.connections[name].registers:  # one after the other, like one delivery
                    rows = tuple(row for d in deliveries for row in d.rows)
                    deliveries = [Delivery(rows, deliveries[0].registers, deliveries[0].part)]
                plans += [plan for d in deliveries for plan in self._plans(name, d)]
            whole = (scan.part.start, scan.part.stop) == (0, lane.size)
            pieces.append((None if whole else scan.part, plans))
        return pieces

    def _plans(self, name: str, delivery: Delivery) -> Iterator[Deliverer]:
        machine, device = self.machine, self.device
        kind, lanes = machine.chip.connections[name], machine.lanes
        if not delivery.rows:
            return
        if feeds_back(kind, lanes):
            for passes in waves_of(delivery.rows, kind.target):
                yield Relay(machine.chip, kind, lanes, passes, delivery.registers, self.watch)
            return
        arrivals = Arrivals(machine.chip, kind, lanes, delivery.rows, device)
        table = table_of(delivery.rows)
        where = self._where(name, delivery)
        yield Plan(kind, lanes, table, arrivals, delivery.registers, delivery.part, where, self.watch, self.notes)

    def _where(self, name: str, delivery: Delivery) -> str:
        """What is delivered, in words."""
        if not self.machine.chip.connections[name].apart:
            return name
        projection = self.network.projections[delivery.projection]
        delay = f", delay {delivery.delay}" if delivery.delay else ""
        return f"{name} {projection.source} -> {projection.target}{delay}"


class Chunk:
    """Some samples with their states, ready to take steps."""

    def __init__(self, prepared: Prepared, start: Snapshot) -> None:
        self.prepared, self.number = prepared, start.step
        machine, device = prepared.machine, prepared.device
        self.states: dict[str, Tensors] = {
            name: {
                s: tensor(v, held_type(machine.lanes[name].kind.states[s].interval), device) for s, v in many.items()
            }
            for name, many in start.states.items()
        }
        self.history = {
            name: deque((tensor(v, torch.int32, device) for v in past), maxlen=len(past))
            for name, past in start.history.items()
        }

    def step(self, external: Mapping[str, torch.Tensor]) -> None:
        """Take one step."""
        prepared = self.prepared
        for phase, pieces in prepared.phases:
            every = phase.every
            if every is not None and self.number % every.period != every.offset:
                continue
            given = {GIVEN_EXTERNAL: external[phase.neuron]} if phase.neuron in external else {}
            for part, plans in pieces:
                if phase.neuron:
                    states = self.states[phase.neuron]
                    if part is None:
                        prepared.folded[phase.name].whole(states, given)
                    else:
                        prepared.folded[phase.name].part(states, part, given)
                for plan in plans:
                    plan.deliver(self.states, self.history)
        for name, lane in prepared.machine.lanes.items():
            self.history[name].appendleft(self.states[name][lane.kind.emits].clone())
        self.number += 1

    def snapshot(self) -> tuple[dict[str, Tensors], dict[str, list[torch.Tensor]]]:
        """What is remembered, on the processor."""
        states = {n: {s: v.cpu() for s, v in many.items()} for n, many in self.states.items()}
        return states, {n: [v.cpu() for v in past] for n, past in self.history.items()}

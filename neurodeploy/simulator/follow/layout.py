"""A network laid out once for compiled code: arrays that no run changes, and the code that suits where a run begins."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from neurodeploy.generated import Compiled
from neurodeploy.simulator.follow.plan import Plans, Ranges, TextPlan, ends, of_fan, plans_of
from neurodeploy.simulator.follow.source import (
    EventSource,
    Queue,
    event_source,
    field_name,
    parameter_name,
    stored_type,
)
from neurodeploy.simulator.follow.strips import Array, strips_of
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.machine import Ints, initial_states
from neurodeploy.simulator.waves import sorted_groups

Arguments = Mapping[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Program:
    """Code for runs that begin in certain ranges.

    arguments : function -> its arguments and their types
    """

    plans: Plans
    queue: Queue
    arguments: Arguments
    compiled: Compiled


@lru_cache(maxsize=50)
def _compiled(code: str, arguments: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> Compiled:
    return Compiled(EventSource(code, dict(arguments)), alone=True, whole=True)


@dataclass
class Space:
    """What one call needs for itself; see the templates."""

    control: Ints
    ring: Ints
    batch: Ints
    made: Array
    made_by: Ints
    flags: Array
    keys: Ints


class Layout:
    """A machine in memory.

    memory : neuron kind -> (position,) place in memory
    ranks : neuron kind -> (place,) position
    number : neuron kind -> (position,) number of each neuron over all kinds in memory
    spans : group -> number of its first neuron, and the end of its last: in memory it is one piece
    neurons : how many there are of all kinds
    arrays : name -> what the kernels read and never write
    registers : neuron kind -> state -> what it can hold
    layers : fans, each behind all that lead to its source; None where groups cannot be taken one after the other
    spaces : buffers of runs that have ended
    """

    def __init__(self, machine: EventMachine) -> None:
        self.machine = machine
        self.strips = strips_of(machine)
        self.memory = self.strips.memory
        self.ranks = {n: np.argsort(at) for n, at in self.memory.items()}
        self.number = {n: at + self.strips.offset[n] for n, at in self.memory.items()}
        groups, lanes = machine.network.groups, machine.lanes
        self.spans = {g.name: _span(self.number[g.kind][lanes[g.kind].slices[g.name]]) for g in groups}
        self.neurons = sum(lane.size for lane in machine.lanes.values())
        self.registers = {n: {s: e.interval for s, e in lane.kind.states.items()} for n, lane in machine.lanes.items()}
        self.reset = _extents(initial_states(machine.lanes, 1))
        plans = plans_of(machine, self.reset)
        self.arrays = self._arrays(plans.arriving)
        self.spaces = list[Space]()
        self.layers = _layers(machine)
        self.plans, self.programs = [plans], dict[tuple[int, Queue], Program]()

    def program(self, states: Mapping[str, Mapping[str, Ints]], *, newest: bool) -> Program:
        """Code for a run that begins with these states; newest : what has just been made goes first."""
        extents, schedule = _extents(states), self.machine.chip.file.schedule
        joined = schedule.joined
        queue = Queue(
            not newest and schedule.depth is None and not joined, joined, waiting_kinds(self.machine) == {True}
        )
        number = next((i for i, p in enumerate(self.plans) if p.hold(extents)), len(self.plans))
        if number == len(self.plans):
            self.plans.append(plans_of(self.machine, extents))
        if (number, queue) not in self.programs:
            self.programs[number, queue] = self._program(self.plans[number], queue)
        return self.programs[number, queue]

    def _program(self, plans: Plans, queue: Queue) -> Program:
        types = {n: str(v.dtype) for n, v in self.arrays.items()}
        source = event_source(plans, queue, self.registers, types)
        return Program(plans, queue, source.arguments, _compiled(source.code, tuple(source.arguments.items())))

    def _arrays(self, texts: Mapping[str, TextPlan]) -> dict[str, Array]:
        """Tables, parameters and synapse fields by the names that the kernels give them."""
        machine, strips, arrays = self.machine, self.strips, dict[str, Array](self.strips.tables)
        for name, lane in machine.lanes.items():
            for p, values in lane.parameters.items():
                sort = stored_type(lane.kind.parameters[p].interval)
                arrays[parameter_name(name, p)] = np.ascontiguousarray(values[self.ranks[name]], sort)
        for number, (connection, text) in enumerate(texts.items()):
            kind = machine.chip.connections[connection]
            for f in text.fields:
                interval = kind.stored_ranges[f] if f in kind.fields else kind.parameters[f].interval
                values = strips.fields[connection][f]
                arrays[field_name(number, f)] = np.ascontiguousarray(values, stored_type(interval))
        order, width = list(texts), _width(texts)
        rows = [
            [order.index(f.kind.name) if f.size else 0, strips.offset[f.kind.target], number * width]
            for number, f in enumerate(machine.fans)
        ]
        arrays["fans"] = np.array(rows, np.uint32)
        arrays["shared"] = self._shared(texts)
        return {n: v.reshape(-1) for n, v in arrays.items()}

    def _shared(self, texts: Mapping[str, TextPlan]) -> Ints:
        """Numbers that all neurons of a footprint share, fan after fan."""
        table = np.zeros((len(self.machine.fans), _width(texts)), np.int64)
        for number, fan in enumerate(self.machine.fans):
            if fan.size:
                text, lane = texts[fan.kind.name], self.machine.lanes[fan.kind.target]
                row = [int(of_fan(self.machine, number, lane.parameters[p])[0]) for p in text.numbers]
                row += [self.machine.registers[fan.kind.name][r] for r in text.registers]
                table[number, : len(row)] = row
        return table


def _span(numbers: Ints) -> tuple[int, int]:
    return (int(numbers.min()), int(numbers.max()) + 1) if numbers.size else (0, 0)


def _layers(machine: EventMachine) -> tuple[int, ...] | None:
    """Fans in the order in which whole groups can meet them."""
    schedule, fans = machine.chip.file.schedule, machine.fans
    order = sorted_groups(machine)
    targets = [n for f in fans for n in f.target]
    if schedule.depth is not None or schedule.joined or order is None or len(set(targets)) < len(targets):
        return None
    return tuple(sorted(range(len(fans)), key=lambda i: order.index(fans[i].sources[0])))


def waiting_kinds(machine: EventMachine) -> set[bool]:
    """Of the neuron kinds that a text can make fire: whether their spikes wait even if they meet no neuron."""
    firing = {f.kind.target for f in machine.fans} | {p.neuron for p in machine.chip.schedule if p.neuron}
    always = machine.chip.file.schedule.waits == "any spike"
    return {always and bool(machine.leaving[n]) for n in firing if machine.lanes[n].size}


def _width(texts: Mapping[str, TextPlan]) -> int:
    return max((len(t.numbers) + len(t.registers) for t in texts.values()), default=0)


def _extents(states: Mapping[str, Mapping[str, Ints]]) -> dict[str, Ranges]:
    return {n: {s: ends([v]) for s, v in many.items()} for n, many in states.items()}

"""A network laid out once for compiled code: arrays that no run changes, and the code that suits where a run begins."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from neurodeploy.generated import Compiled
from neurodeploy.simulator.follow.plan import Plans, Ranges, TextPlan, ends, of_fan, plans_of
from neurodeploy.simulator.follow.source import (
    EventSource,
    event_source,
    field_name,
    parameter_name,
    stored_type,
)
from neurodeploy.simulator.follow.strips import Array, strips_of
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.machine import Ints, initial_states

Arguments = Mapping[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Program:
    """Code for runs that begin in certain ranges.

    arguments : function -> its arguments and their types
    """

    plans: Plans
    arguments: Arguments
    compiled: Compiled


@lru_cache(maxsize=50)
def _compiled(code: str, arguments: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> Compiled:
    return Compiled(EventSource(code, dict(arguments)))


class Layout:
    """A machine in memory.

    memory : neuron kind -> (position,) place in memory
    ranks : neuron kind -> (place,) position
    number : neuron kind -> (position,) number of each neuron over all kinds in memory
    neurons : how many there are of all kinds
    arrays : name -> what the kernels read and never write
    registers : neuron kind -> state -> what it can hold
    """

    def __init__(self, machine: EventMachine) -> None:
        self.machine = machine
        self.strips = strips_of(machine)
        self.memory = self.strips.memory
        self.ranks = {n: np.argsort(at) for n, at in self.memory.items()}
        self.number = {n: at + self.strips.offset[n] for n, at in self.memory.items()}
        self.neurons = sum(lane.size for lane in machine.lanes.values())
        self.registers = {n: {s: e.interval for s, e in lane.kind.states.items()} for n, lane in machine.lanes.items()}
        self.reset = _extents(initial_states(machine.lanes, 1))
        plans = plans_of(machine, self.reset)
        self.arrays = self._arrays(plans.arriving)
        self.programs = [self._program(plans)]

    def program(self, states: Mapping[str, Mapping[str, Ints]]) -> Program:
        """Code for a run that begins with these states."""
        extents = _extents(states)
        known = next((p for p in self.programs if p.plans.hold(extents)), None)
        if known is None:
            known = self._program(plans_of(self.machine, extents))
            self.programs.append(known)
        return known

    def _program(self, plans: Plans) -> Program:
        types = {n: str(v.dtype) for n, v in self.arrays.items()}
        source = event_source(plans, self.registers, types)
        return Program(plans, source.arguments, _compiled(source.code, tuple(source.arguments.items())))

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
        order, fans = list(texts), machine.fans
        arrays["fan_text"] = np.array([order.index(f.kind.name) if f.size else 0 for f in fans], np.int32)
        arrays["fan_before"] = np.array([strips.offset[f.kind.target] for f in fans], np.int32)
        arrays["shared"] = self._shared(texts)
        return arrays

    def _shared(self, texts: Mapping[str, TextPlan]) -> Ints:
        """Numbers that all neurons of a footprint share, fan after fan."""
        width = max((len(t.numbers) + len(t.registers) for t in texts.values()), default=0)
        table = np.zeros((len(self.machine.fans), width), np.int64)
        for number, fan in enumerate(self.machine.fans):
            if fan.size:
                text, lane = texts[fan.kind.name], self.machine.lanes[fan.kind.target]
                row = [int(of_fan(self.machine, number, lane.parameters[p])[0]) for p in text.numbers]
                row += [self.machine.registers[fan.kind.name][r] for r in text.registers]
                table[number, : len(row)] = row
        return table.reshape(-1)


def _extents(states: Mapping[str, Mapping[str, Ints]]) -> dict[str, Ranges]:
    return {n: {s: ends([v]) for s, v in many.items()} for n, many in states.items()}

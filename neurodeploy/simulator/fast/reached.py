"""Intervals that the states of a network stay in from a reset on: what lets a kernel compute in narrow types.

One interval for all neurons of a kind, from what the texts do and from the most that the synapses add; much coarser
than a proof neuron by neuron, and made in milliseconds. Where it finds nothing, the register's own range stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from neurodeploy.chips import ConnectionKind, Handler
from neurodeploy.chips.compile import GIVEN_EXTERNAL
from neurodeploy.errors import Refusal
from neurodeploy.simulator.fast.rows import Table, sums_at
from neurodeploy.simulator.fast.synapse import Addition
from neurodeploy.simulator.machine import Ints, Lane, Machine
from neurodeploy.step import Guard, Interval, Text, signed
from neurodeploy.step.fixpoint import NotProvedError, States, enclose
from neurodeploy.step.intervals import hull
from neurodeploy.step.paths import path_intervals

Arrivals = Mapping[str, tuple[Table, tuple[Addition, ...] | None, Interval]]


@dataclass(frozen=True)
class Reach:
    """Intervals of the states of a kind.

    between : between two steps; a step from anywhere inside ends inside
    within : at every moment of such a step
    """

    between: States
    within: States


def reached_states(machine: Machine, frozen: Mapping[str, Mapping[str, int]], arrivals: Arrivals) -> dict[str, Reach]:
    """Kind -> the intervals that its states never leave, from a reset on.

    frozen : kind -> states that never change
    arrivals : connection kind -> its synapses, what they add (None: not known), and how many events can arrive at once
    """
    return {n: _Kind(machine, lane, frozen.get(n, {}), arrivals).states() for n, lane in machine.lanes.items()}


class _Kind:
    def __init__(self, machine: Machine, lane: Lane, frozen: Mapping[str, int], arrivals: Arrivals) -> None:
        self.machine, self.lane, self.frozen, self.arrivals = machine, lane, frozen, arrivals
        self.registers = {s: e.interval for s, e in lane.kind.states.items()}
        self.given = {n: Interval(int(v.min()), int(v.max())) for n, v in lane.parameters.items() if v.size}
        if lane.kind.entry.external:
            self.given[GIVEN_EXTERNAL] = lane.kind.entry.external.interval

    def states(self) -> Reach:
        everything = Reach(dict(self.registers), dict(self.registers))
        if not self.lane.size:
            return everything
        starts = {s: e.start for s, e in self.lane.kind.states.items()}
        start = {s: self.given[v] if isinstance(v, str) else Interval(v, v) for s, v in starts.items()}
        try:
            ends = enclose(start, self.step, self.registers, tight=False)
        except NotProvedError:
            return everything
        return Reach(ends, self.step(ends)[1])

    def step(self, states: Mapping[str, Interval]) -> tuple[States, States]:
        """Ranges at the end of a step and over all its moments."""
        now = dict(states)
        seen = dict(now)
        for phase in self.machine.chip.schedule:
            before = dict(now)
            if phase.neuron == self.lane.kind.name:
                for kind in (self.machine.chip.connections[n] for n in phase.connections):
                    if kind.target == phase.neuron and kind.name in self.arrivals:
                        now = self.delivered(kind, now, inside=True)  # by neurons that stepped before this one
                handler = self.lane.kind.handlers[phase.handler]
                if isinstance(handler.text.statements[-1], Guard):  # it may run later than what stands before it
                    middle = self.after(replace(handler, text=without_last(handler.text)), now, {})
                    seen = {s: hull(seen[s], r) for s, r in middle.items()}
                now = self.after(handler, now, {})
            for name in phase.connections:
                kind = self.machine.chip.connections[name]
                if kind.target == self.lane.kind.name and name in self.arrivals:
                    now = self.delivered(kind, now, inside=bool(phase.neuron))
            if phase.every is not None:
                now = {s: hull(before[s], r) for s, r in now.items()}
            seen = {s: hull(seen[s], r) for s, r in now.items()}
        return now, seen

    def after(self, handler: Handler, states: States, others: Mapping[str, Interval]) -> States:
        """Ranges after a handler; what leaves a register stops the simulation, and so does not count."""
        known = self.given | dict(others) | states
        known = {n: r for n, r in known.items() if n in handler.reads | handler.writes}
        try:
            found = path_intervals(handler.text, known)
        except Refusal:
            found = {}
        after = {s: _inside(found.get(s), self.registers[s]) for s in handler.writes if s in states}
        return states | after | {s: Interval(v, v) for s, v in self.frozen.items()}

    def delivered(self, kind: ConnectionKind, states: States, *, inside: bool) -> States:
        table, additions, arriving = self.arrivals[kind.name]
        written = kind.on_input.writes & set(states)
        if additions is None or inside:
            written |= kind.on_sum.writes if kind.on_sum else set()
            return states | {s: self.registers[s] for s in written if s not in self.frozen}
        most = max(abs(arriving.low), abs(arriving.high))
        parts: dict[object, States] = {}  # a group's neurons are no other group's: what others get is not theirs
        for _, several in groupby(enumerate(table.pieces), lambda pair: id(pair[1])):
            pieces = list(several)
            delivery = pieces[0][1]
            at = delivery.part
            key: object = (at.start, at.stop) if isinstance(at, slice) else at.tobytes()
            here, sums = dict(parts.get(key, states)), {r: Interval(0, 0) for r in kind.registers}
            for piece, _ in pieces:
                low, high = table.spans[piece]
                for a in additions:
                    side = sums if a.name in sums else here
                    added = most * _largest(table.targets[low:high], a.amount[low:high])
                    wide = Interval(side[a.name].low - added, side[a.name].high + added)
                    register = kind.registers[a.name].interval if a.name in sums else self.registers[a.name]
                    wide = _inside(wide, register if a.rail is None else signed(a.rail))
                    side[a.name] = wide if a.name in sums else hull(here[a.name], wide)
            if kind.on_sum is not None:
                registers = {n: Interval(v, v) for n, v in delivery.registers.items()}
                after = self.after(kind.on_sum, here, sums | registers)
                here = {s: hull(here[s], r) for s, r in after.items()}
            parts[key] = here
        return {s: hull(r, *(part[s] for part in parts.values())) for s, r in states.items()}


def without_last(text: Text) -> Text:
    """A text without its last statement."""
    return Text(text.statements[:-1], text.source, text.where)


def _largest(targets: Ints, amount: Ints) -> int:
    sums = sums_at(targets, amount)
    return int(sums.max()) + 1 if sums.size else 0


def _inside(found: Interval | None, register: Interval) -> Interval:
    """What a register can hold of a range."""
    if found is None or found.high < register.low or found.low > register.high:
        return register
    return Interval(max(found.low, register.low), min(found.high, register.high))

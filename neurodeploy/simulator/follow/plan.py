"""Which type each text of a network can be computed in, and whether its registers can leave their width at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import Handler
from neurodeploy.chips.compile import GIVEN_ARRIVING
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.machine import Ints, Lane
from neurodeploy.step import Interval, signed
from neurodeploy.step.fixpoint import NotProvedError, States, enclose
from neurodeploy.step.intervals import hull
from neurodeploy.step.paths import path_reach

DESCENTS = 4  # steps that make a proved range narrower
LANES = ("int16", "int32", "int64")

Ranges = Mapping[str, Interval]


@dataclass(frozen=True)
class TextPlan:
    """How a text is run.

    kind : neuron kind whose neurons it runs on
    lanes : type of all values in it
    checked : whether registers can leave their width, so that each is looked at
    arrays, numbers : parameters that differ between neurons, and those that all neurons of a footprint share
    fields : synapse fields and registers of a projection that it reads
    registers : parameters of the connection kind that it reads
    """

    kind: str
    handler: Handler
    lanes: str
    checked: bool
    arrays: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    registers: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Task:
    """A text that runs on neurons of a kind, and the ranges of all that it may read but states."""

    handler: Handler
    given: Ranges


@dataclass(frozen=True)
class Plans:
    """How the texts of a network run, without those that nothing runs.

    arriving, ticks : connection kind or phase of a tick -> plan
    held : neuron kind -> state -> what it never leaves, whatever comes in; the whole register where that is not known
    """

    arriving: Mapping[str, TextPlan]
    ticks: Mapping[str, TextPlan]
    held: Mapping[str, Ranges]

    @property
    def checked(self) -> bool:
        """Whether any register must be looked at."""
        return any(t.checked for t in (*self.arriving.values(), *self.ticks.values()))

    def hold(self, states: Mapping[str, Ranges]) -> bool:
        """Whether a run may begin with these states."""
        return all(i.within(self.held[k][s]) for k, many in states.items() for s, i in many.items())


def plans_of(machine: EventMachine, states: Mapping[str, Ranges]) -> Plans:
    """Plan the texts of a network; states are those with which a run begins."""
    arriving, ticks, held = dict[str, TextPlan](), dict[str, TextPlan](), dict[str, Ranges]()
    for name, lane in machine.lanes.items():
        if not lane.size:
            held[name] = {n: e.interval for n, e in lane.kind.states.items()}
            continue
        parameters = {n: ends([v]) for n, v in lane.parameters.items()}
        into = dict.fromkeys(f.kind.name for f in machine.fans if f.kind.target == name and f.size)
        phases = [p for p in machine.chip.schedule if p.neuron == name]
        tasks = [_Task(machine.chip.connections[c].on_input, parameters | _arriving(machine, c)) for c in into]
        tasks += [_Task(lane.kind.handlers[p.handler], parameters) for p in phases]
        held[name], types = _types(lane, tasks, states[name])
        for connection, (lanes, checked) in zip(into, types, strict=False):
            arriving[connection] = _arrival(machine, connection, lane, lanes, checked=checked)
        for phase, (lanes, checked) in zip(phases, types[len(into) :], strict=True):
            handler = lane.kind.handlers[phase.handler]
            used = tuple(p for p in lane.parameters if p in handler.reads)
            ticks[phase.name] = TextPlan(name, handler, lanes, checked, used)
    return Plans(arriving, ticks, held)


def _arrival(machine: EventMachine, connection: str, lane: Lane, lanes: str, *, checked: bool) -> TextPlan:
    handler = machine.chip.connections[connection].on_input
    fans = [(i, f) for i, f in enumerate(machine.fans) if f.kind.name == connection and f.size]
    used = [p for p in lane.parameters if p in handler.reads]
    same = tuple(p for p in used if all(np.ptp(of_fan(machine, i, lane.parameters[p])) == 0 for i, _ in fans))
    own = tuple(p for p in used if p not in same)
    fields = tuple(sorted({n for _, f in fans for n in f.fields} & handler.reads))
    registers = tuple(sorted((set(machine.registers[connection]) & handler.reads) - set(fields)))
    return TextPlan(lane.kind.name, handler, lanes, checked, own, same, fields, registers)


def of_fan(machine: EventMachine, number: int, values: Ints) -> Ints:
    """Values of the neurons that a fan reaches."""
    fan = machine.fans[number]
    slices = machine.lanes[fan.kind.target].slices
    return np.concatenate([values[slices[g]] for g in fan.target])


def ends(arrays: Sequence[Ints]) -> Interval:
    """Least and greatest of all values; 0 where there are none."""
    arrays = [v for v in arrays if v.size] or [np.zeros(1, np.int64)]
    return Interval(min(int(v.min()) for v in arrays), max(int(v.max()) for v in arrays))


def _arriving(machine: EventMachine, connection: str) -> dict[str, Interval]:
    """Ranges of what an arriving event gives to a text."""
    given = {n: Interval(v, v) for n, v in machine.registers[connection].items()}
    fields: dict[str, list[Ints]] = {}
    for fan in machine.fans:
        if fan.kind.name == connection and fan.size:
            for name, values in fan.fields.items():
                fields.setdefault(name, []).append(values)
    return given | {n: ends(many) for n, many in fields.items()} | {GIVEN_ARRIVING: Interval(1, 1)}


def _types(lane: Lane, tasks: list[_Task], start: Ranges) -> tuple[Ranges, list[tuple[str, bool]]]:
    """What the states never leave; the type of the lanes of each text, and whether its registers must be looked at.

    The texts may run in any order and any number of times, so each must keep the ranges of the states on its own.
    """
    widths = {n: e.interval for n, e in lane.kind.states.items()}

    def step(before: Ranges) -> tuple[States, States]:
        found: dict[str, list[Interval]] = {n: [] for n in before}
        for task in tasks:
            after = path_reach(task.handler.text, {**task.given, **before})[0]
            for name in task.handler.writes:
                if not after[name].within(widths[name]):
                    raise NotProvedError(name, task.handler.text.where)
                found[name].append(after[name])
        now = {n: hull(*many) if many else before[n] for n, many in found.items()}
        return now, now

    try:
        held, proved = enclose(dict(start), step, widths, tight=False), True
        for _ in range(DESCENTS):
            less = {n: hull(start[n], i) for n, i in step(held)[1].items()}
            if not all(i.within(less[n]) for n, i in step(less)[1].items()):
                break
            held = less
    except NotProvedError:
        held, proved = dict(widths), False
    reach = [path_reach(t.handler.text, {**t.given, **held})[1] for t in tasks]
    return held, [(_narrowest(r), not proved and bool(t.handler.unproved)) for t, r in zip(tasks, reach, strict=True)]


def _narrowest(reach: Interval) -> str:
    return next(n for n in LANES if reach.within(signed(np.iinfo(n).bits)))

"""Which type each text of a network can be computed in, and whether its registers can leave their width at all."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import Handler
from neurodeploy.chips.compile import GIVEN_ARRIVING
from neurodeploy.simulator.follow.ranges import Range, TooManyWorldsError, Walk
from neurodeploy.simulator.follow.source import TextPlan
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.machine import Ints, Lane
from neurodeploy.step import Interval, signed

PATIENCE = 100  # passes after which a range that still shrinks is left as it is
LANES = ("int16", "int32", "int64")


@dataclass(frozen=True)
class _Task:
    """A text that runs on neurons of a kind, and the ranges of what it is given."""

    handler: Handler
    given: Mapping[str, Interval]


def plans_of(
    machine: EventMachine, states: Mapping[str, Mapping[str, Ints]]
) -> tuple[dict[str, TextPlan], dict[str, TextPlan]]:
    """How each text runs: connection kind -> plan, and phase of a tick -> plan.

    states : neuron kind -> state -> (batch, neuron) where the run begins
    """
    arriving, ticks = dict[str, TextPlan](), dict[str, TextPlan]()
    for name, lane in machine.lanes.items():
        tasks = {("connection", c): _arrival(machine, c) for c in _connections(machine, name)}
        tasks |= {("tick", p.name): _Task(lane.kind.handlers[p.handler], {}) for p in machine.chip.schedule if p.neuron == name}
        proved = _proved(lane, list(tasks.values()), states[name])
        for ((sort, key), task), (lanes, checked) in zip(tasks.items(), proved, strict=True):
            used = [p for p in lane.parameters if p in task.handler.reads]
            if sort == "tick":
                ticks[key] = TextPlan(name, task.handler, lanes, checked, tuple(used))
                continue
            shared = [p for p in used if _shared(machine, key, lane.parameters[p])]
            own = tuple(p for p in used if p not in shared)
            fields = tuple(sorted(_fields(machine, key) & task.handler.reads))
            registers = tuple(sorted((set(machine.registers[key]) & task.handler.reads) - set(fields)))
            arriving[key] = TextPlan(name, task.handler, lanes, checked, own, tuple(shared), fields, registers)
    return arriving, ticks


def _connections(machine: EventMachine, target: str) -> list[str]:
    return [n for n, c in machine.chip.connections.items() if c.target == target]


def _fields(machine: EventMachine, connection: str) -> set[str]:
    return {n for f in machine.fans if f.kind.name == connection for n in f.fields}


def _shared(machine: EventMachine, connection: str, values: Ints) -> bool:
    """Whether a parameter is the same for all neurons of the groups that a fan reaches, for each fan."""
    return all(np.ptp(of_fan(machine, number, values)) == 0 for number, f in enumerate(machine.fans) if f.kind.name == connection)


def of_fan(machine: EventMachine, number: int, values: Ints) -> Ints:
    """Values of the neurons that a fan reaches."""
    fan = machine.fans[number]
    slices = machine.lanes[fan.kind.target].slices
    return np.concatenate([values[slices[g]] for g in fan.target])


def _arrival(machine: EventMachine, connection: str) -> _Task:
    given = {n: Interval(v, v) for n, v in machine.registers[connection].items()}
    for fan in machine.fans:
        if fan.kind.name == connection:
            for name, values in fan.fields.items():
                here = Interval(int(values.min(initial=0)), int(values.max(initial=0)))
                before = given.get(name, here)
                given[name] = Interval(min(here.low, before.low), max(here.high, before.high))
    return _Task(machine.chip.connections[connection].on_input, given | {GIVEN_ARRIVING: Interval(1, 1)})


def _proved(lane: Lane, tasks: list[_Task], states: Mapping[str, Ints]) -> list[tuple[str, bool]]:
    """Type of the lanes of each text, and whether its registers must be looked at.

    If every text leads from registers inside their width back into it, the ranges that are left after another pass hold
    as well, and so on: each pass starts from what the one before has shown.
    """
    if not lane.size or not tasks:
        return [(LANES[-1], bool(t.handler.unproved)) for t in tasks]
    table = np.stack([*lane.parameters.values(), np.zeros(lane.size, np.int64)])
    _, first, number = np.unique(table, axis=1, return_index=True, return_inverse=True)
    number = number.reshape(-1)
    parameters = {n: (v[first], v[first]) for n, v in lane.parameters.items()}
    widths = {n: e.interval for n, e in lane.kind.states.items()}
    start = {n: _hull(v, number, len(first)) for n, v in states.items()}
    held: dict[str, Range] = {n: (np.full(len(first), w.low), np.full(len(first), w.high)) for n, w in widths.items()}
    found = [(LANES[-1], bool(t.handler.unproved)) for t in tasks]
    for number_of_pass in range(PATIENCE):
        try:
            after, walks = _pass(tasks, parameters, held)
        except TooManyWorldsError:
            return found
        inside = all(r[0].min() >= widths[n].low and r[1].max() <= widths[n].high for n, r in after.items())
        lanes = [next(n for n, b in zip(LANES, (16, 32, 64), strict=True) if _fits(w, b)) for w in walks]
        if number_of_pass == 0 and not inside:
            return [(n, bool(t.handler.unproved)) for n, t in zip(lanes, tasks, strict=True)]
        found = [(n, False) for n in lanes]
        new = {n: _joined(start[n], after[n]) for n in held}
        same = all(np.array_equal(a, b) for n in held for a, b in zip(new[n], held[n], strict=True))
        if same or set(lanes) == {LANES[0]}:
            return found
        held = new
    return found


def _fits(walk: Walk, bits: int) -> bool:
    return Interval(walk.low, walk.high).within(signed(bits))


def _pass(tasks: list[_Task], parameters: Mapping[str, Range], held: Mapping[str, Range]) -> tuple[dict[str, Range], list[Walk]]:
    """Ranges of the registers after any of the texts, registers that none writes included."""
    after, walks = dict[str, Range](), list[Walk]()
    size = len(next(iter(held.values()))[0]) if held else 1
    for task in tasks:
        given = {n: (np.full(size, i.low), np.full(size, i.high)) for n, i in task.given.items()}
        walk = Walk()
        found = walk.run(task.handler.text, {**parameters, **held, **given})
        walks.append(walk)
        for name in held:
            here = found.get(name, held[name]) if name in task.handler.writes else held[name]
            if name in task.handler.writes:
                after[name] = _joined(after[name], here) if name in after else here
    for name in held:
        after.setdefault(name, (np.full(size, np.iinfo(np.int64).max), np.full(size, np.iinfo(np.int64).min)))
    return after, walks


def _joined(a: Range, b: Range) -> Range:
    return np.minimum(a[0], b[0]), np.maximum(a[1], b[1])


def _hull(values: Ints, number: Ints, size: int) -> Range:
    low, high = np.full(size, np.iinfo(np.int64).max), np.full(size, np.iinfo(np.int64).min)
    if values.size:
        np.minimum.at(low, number, values.min(axis=0))
        np.maximum.at(high, number, values.max(axis=0))
    return low, high

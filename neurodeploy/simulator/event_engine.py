"""The engine for chips that events drive: each event is followed to its end before the next one comes in."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Phase
from neurodeploy.chips.event_driven import EVENTS
from neurodeploy.errors import Fault, Refusal
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.machine import Ints, initial_states
from neurodeploy.simulator.meetings import MEETINGS
from neurodeploy.simulator.run import Run, Snapshot
from neurodeploy.simulator.stimulus import Stimulus
from neurodeploy.simulator.waves import Waves

EventObserver = Callable[[int, Phase, "EventEngine"], None]
#: arrivals that one input may cause before it counts as activity that never ends
SETTLED_AFTER = 1_000_000
ORDERS = ("breadth", "depth")
TICK = -1  # what caused an event that no input did


@dataclass(frozen=True)
class Made:
    """Events that neurons of one kind made, in their order.

    step : one for all, or (event,)
    sample, cause, position : (event,); cause is the input event that started it, -1 for a tick
    """

    kind: str
    step: int | Ints
    sample: Ints
    cause: Ints
    position: Ints


class EventEngine:
    """A machine with its states, ready to take steps.

    states : neuron kind -> state -> (batch, neuron)
    made : every event that a neuron made so far, in pieces
    lost : (batch,) events that found the queue full and reached no other neuron
    meetings : (batch,) texts that arriving events have run
    """

    def __init__(
        self,
        machine: EventMachine,
        stimulus: Stimulus,
        *,
        executor: str,
        order: str | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        self.machine, self.stimulus, self.meet = machine, stimulus, MEETINGS.get(executor, MEETINGS["reference"])
        self.batch, self.order = stimulus.batch, order or machine.chip.file.schedule.queue
        self.step_number, self.taken = 0, 0
        self.made: list[Made] = []
        self.lost, self.meetings = (np.zeros(self.batch, np.int64) for _ in range(2))
        self.states = initial_states(machine.lanes, self.batch)
        if snapshot is not None:
            self.snapshot().check(snapshot, machine.chip.name)
            self.states = snapshot.copied()
            self.step_number = snapshot.step
        waves = executor == "numpy" and Waves.possible(machine)
        self.waves = Waves(machine, self.batch, self.order) if waves else None
        self._emitted = self._silence()

    def _silence(self) -> dict[str, Ints]:
        return {n: np.zeros((self.batch, lane.size), np.int64) for n, lane in self.machine.lanes.items()}

    def snapshot(self) -> Snapshot:
        """A copy of everything that is remembered."""
        states = {n: {s: v.copy() for s, v in many.items()} for n, many in self.states.items()}
        return Snapshot(states, dict.fromkeys(states, ()), self.step_number)

    def emitted(self, kind: str) -> Ints:
        """(batch, neuron) events of the step that was taken last."""
        return self._emitted[kind]

    def completed(self, run: Run) -> Run:
        """A run with what only event-driven chips have."""
        return replace(
            run,
            events=_spikes(self.machine, self.made, run.counts),
            stimulus=self.stimulus,
            order=self.order,
            scans=self.machine.scans,
            meetings=self.meetings,
            lost=self.lost,
        )

    def step(self, external: object = None, observer: EventObserver | None = None) -> None:  # noqa: ARG002 - as Engine's
        """Take one step: the next events of every sample's stimulus, and the ticks that are due."""
        self._emitted = self._silence()
        for phase in self.machine.chip.schedule:
            every = phase.every
            if every is not None and self.step_number % every.period != every.offset:
                continue
            if phase.name == EVENTS:
                self._input(self.stimulus.of_step(self.taken))
            else:
                self._tick(phase)
            if observer is not None:
                observer(self.step_number, phase, self)
        self.step_number += 1
        self.taken += 1

    def _flat(self, kind: str) -> dict[str, Ints]:
        return {s: v.reshape(-1) for s, v in self.states[kind].items()}

    def _keep(self, kind: str, sample: Ints, cause: Ints, position: Ints) -> None:
        if sample.size:
            self.made.append(Made(kind, self.taken, sample, cause, position))
            self._count(kind, sample, position)

    def _count(self, kind: str, sample: Ints, position: Ints) -> None:
        emitted = self._emitted[kind]
        np.add.at(emitted.reshape(-1), sample * emitted.shape[1] + position, 1)

    def _input(self, events: Ints) -> None:
        """Input events of a step, sample by sample."""
        groups = self.machine.network.inputs()
        stimulus = self.stimulus
        group = np.zeros(len(events), np.int64) if stimulus.group is None else stimulus.group[events]
        sample, position = stimulus.sample[events], np.empty(len(events), np.int64)
        for number, g in enumerate(groups):
            mine = group == number
            position[mine] = self.machine.lanes[g.kind].slices[g.name][stimulus.neuron[events][mine]]
            self._count(g.kind, sample[mine], position[mine])
        self._arrive(group, sample, position, events)

    def _arrive(self, group: Ints, sample: Ints, position: Ints, cause: Ints) -> None:
        """Follow input events, sample by sample; group counts the network's input groups."""
        groups = self.machine.network.inputs()
        if self.waves is not None:
            roots = {g.name: np.flatnonzero(group == i) for i, g in enumerate(groups)}
            flat = {n: self._flat(n) for n in self.machine.lanes}
            for made in self.waves.run(roots, sample, cause, position, flat):
                self._keep(*made)
            self.meetings += self.waves.meetings
            return
        for number, of, at, what in zip(sample, group, position, cause, strict=True):
            self._follow(int(number), groups[of].kind, [int(at)], int(what))

    def _tick(self, phase: Phase) -> None:
        """A tick runs a handler on all neurons of a kind in ascending hardware id; what fires is followed then."""
        lane = self.machine.lanes[phase.neuron]
        handler = lane.kind.handlers[phase.handler]
        slots = np.arange(self.batch * lane.size)
        fired = self.meet(handler, lane, self._flat(phase.neuron), slots, {}, once=True)
        self._ticked(phase, *np.divmod(fired, lane.size))

    def _ticked(self, phase: Phase, sample: Ints, position: Ints) -> None:
        """Follow what a tick made, sample by sample."""
        self._keep(phase.neuron, sample, np.full(len(sample), TICK), position)
        for number in np.unique(sample).tolist():
            self._follow(number, phase.neuron, position[sample == number].tolist(), TICK)

    def _entries(self, kind: str, positions: Sequence[int]) -> Iterator[tuple[tuple[int, ...], int]]:
        """What waits after neurons of a kind fired, in order: numbers of fans, and the neuron."""
        fans, leaving = self.machine.fans, self.machine.leaving[kind]
        schedule = self.machine.chip.file.schedule
        joined, always = schedule.joined, schedule.waits == "any spike" and bool(leaving)
        for at in positions:
            open_ = tuple(i for i in leaving if fans[i].starts[at + 1] > fans[i].starts[at])
            if open_ or always:
                yield from [(open_, at)] if joined else [((i,), at) for i in open_]

    def _follow(self, sample: int, kind: str, positions: list[int], cause: int) -> None:
        """Follow events of one sample until nothing waits."""
        schedule = self.machine.chip.file.schedule
        queue = deque(self._entries(kind, positions))
        if schedule.depth is not None and len(queue) > schedule.depth:  # after a tick: no event is at work
            if schedule.when_full == "refuse":
                raise self._full(schedule.depth)
            self.lost[sample] += len(queue) - schedule.depth
            queue = deque(islice(queue, schedule.depth))
        met = 0
        while queue:
            fans, at = queue.popleft()
            batch: list[tuple[tuple[int, ...], int]] = []
            for number in fans:
                fan = self.machine.fans[number]
                fired = self._meet(number, sample, at, cause)
                batch += self._entries(fan.kind.target, fired)
                met += 1
            room = len(batch) if schedule.depth is None else schedule.depth - 1 - len(queue)
            if len(batch) > room:
                if schedule.when_full == "refuse":
                    raise self._full(schedule.depth)
                self.lost[sample] += len(batch) - room
                batch = batch[:room]
            if self.order == "depth":
                queue.extendleft(reversed(batch))
            else:
                queue.extend(batch)
            if met > SETTLED_AFTER:
                raise self._unsettled(sample)

    def _unsettled(self, sample: int) -> Refusal:
        was = f"one input of sample {sample} caused more than {SETTLED_AFTER} arrivals"
        where, todo = f"{self.machine.chip.name}, step {self.step_number}", "weaken the loops of the network"
        return Refusal(Fault("ND1304", where, was, "activity that ends before the next input", todo))

    def _full(self, depth: int | None) -> Refusal:
        where = f"{self.machine.chip.name}, step {self.step_number}"
        must, todo = f"at most {depth} events that wait", "weaken the weights, or send fewer events"
        return Refusal(Fault("ND1304", where, "the queue of events is full", must, todo, {"depth": depth}))

    def _meet(self, number: int, sample: int, at: int, cause: int) -> list[int]:
        """One event meets its footprint; the neurons that fire, in scan order."""
        fan = self.machine.fans[number]
        kind = fan.kind
        lane = self.machine.lanes[kind.target]
        block = self.machine.block(sample, self.batch) * fan.size
        part = slice(int(fan.starts[at]) + block, int(fan.starts[at + 1]) + block)
        targets = fan.targets[part]
        given: dict[str, Ints | int] = {n: v[part] for n, v in fan.fields.items()}
        given |= self.machine.registers[kind.name]
        states = self._flat(kind.target)
        fired = self.meet(kind.on_input, lane, states, sample * lane.size + targets, given, once=fan.unique)
        self.meetings[sample] += len(targets)
        positions = targets[fired]
        size = len(positions)
        self._keep(kind.target, np.full(size, sample), np.full(size, cause), positions)
        return [int(p) for p in positions]


#: one event that a neuron made: input event that started it (-1 for a tick), step, sample, index inside the group
SPIKE = np.dtype([("cause", np.int64), ("step", np.int64), ("sample", np.int64), ("neuron", np.int64)])


def _spikes(machine: EventMachine, made: Sequence[Made], groups: Collection[str]) -> dict[str, npt.NDArray[np.void]]:
    """Group -> (event,) SPIKE, sample by sample in the order in which they were made; of some groups."""
    result = {}
    none = np.zeros(0, np.int64)
    for name, lane in machine.lanes.items():
        pieces = [m for m in made if m.kind == name]
        sample, cause, position = (
            np.concatenate([none, *(getattr(m, column) for m in pieces)]) for column in ("sample", "cause", "position")
        )
        step = np.concatenate([none, *(np.full(len(m.sample), m.step) for m in pieces)])
        for g in (g for g in machine.network.of_kind(name) if g.name in groups):
            index = np.full(lane.size, -1)
            index[lane.slices[g.name]] = np.arange(g.size)
            neuron = index[position]
            mine = np.flatnonzero(neuron >= 0)
            mine = mine[np.argsort(sample[mine], kind="stable")]
            own = np.zeros(len(mine), SPIKE)
            for column, values in (("cause", cause), ("step", step), ("sample", sample), ("neuron", neuron)):
                own[column] = values[mine]
            result[g.name] = own
    return result

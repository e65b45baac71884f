"""Two runs of a chip that events drive, run again side by side until the first event that does not do the same."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import Handler, NeuronKind
from neurodeploy.simulator import Run, Snapshot
from neurodeploy.simulator.event_engine import EventEngine
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.machine import Ints, Lane
from neurodeploy.simulator.meetings import Flat
from neurodeploy.verifier.difference import Difference
from neurodeploy.verifier.texts import Piece, last_line, notes_on_numbers, notes_on_texts, place_of
from neurodeploy.verifier.variants import EVENTS, Course, Replica, Variant, View

START = "start"
#: synaptic operations that are followed one by one in every step: some seconds
FOLLOWED = 200_000
Neuron = tuple[str, int]  # group, index inside it


@dataclass(frozen=True)
class Moment:
    """One thing that happened: an input event, an event that meets a neuron, or a tick of a neuron.

    place : the neuron
    source : the neuron whose event it met; None for an input and for a tick
    piece : the text that ran, None for an input
    before, after : states around it
    fired : whether the text made an event
    """

    place: Neuron
    source: Neuron | None
    piece: Piece | None
    before: Mapping[str, int]
    after: Mapping[str, int]
    fired: bool

    @property
    def what(self) -> tuple[object, ...]:
        """What happened, whatever came of it."""
        return self.place, self.source, self.piece is None


class _Followed(EventEngine):
    """An engine for one sample that keeps every moment of the step that it takes."""

    def __init__(self, replica: Replica, snapshot: Snapshot, step: int) -> None:
        machine, stimulus = replica.machine, replica.stimulus
        if stimulus is None or not isinstance(machine, EventMachine):
            raise TypeError("a run of a chip that events drive has a stimulus")
        super().__init__(machine, stimulus, executor="reference", order=replica.run.order, snapshot=snapshot)
        self.meet, self.taken = self._logged, step
        self.moments: list[Moment] = []
        self.arrived: Neuron | None = None
        self.places = {
            (name, int(position)): (group, index)
            for name, lane in machine.lanes.items()
            for group, positions in lane.slices.items()
            for index, position in enumerate(positions)
        }

    def _follow(self, sample: int, kind: str, positions: list[int], cause: int) -> None:
        if self.machine.lanes[kind].kind.is_input():
            self.moments += [Moment(self.places[kind, p], None, None, {}, {}, fired=True) for p in positions]
        super()._follow(sample, kind, positions, cause)

    def _meet(self, number: int, sample: int, at: int, cause: int) -> list[int]:
        self.arrived = self.places[self.machine.fans[number].source_kind, at]
        found = super()._meet(number, sample, at, cause)
        self.arrived = None
        return found

    def _logged(
        self, handler: Handler, lane: Lane, states: Flat, slots: Ints, given: Mapping[str, Ints | int], *, once: bool
    ) -> Ints:
        """The Python table on one neuron after the other, as the reference does it."""
        del once
        fired = []
        for number, slot in enumerate(slots.tolist()):
            known = {n: int(v[slot]) for n, v in lane.parameters.items()}
            known |= {n: int(v if isinstance(v, int) else v[number]) for n, v in given.items()}
            before = {n: int(v[slot]) for n, v in states.items()}
            environment = {**known, **before, "arriving": 1}
            piece = Piece(handler, lane.kind.name, slot, None, dict(environment))
            piece.follow(handler.text.statements, environment)
            for name in handler.writes:
                states[name][slot] = environment[name]
            made = bool(handler.emits) and environment[handler.emits] == 1
            place, after = self.places[lane.kind.name, slot], {n: int(v[slot]) for n, v in states.items()}
            self.moments.append(Moment(place, self.arrived, piece, before, after, fired=made))
            if made:
                fired.append(number)
        return np.array(fired, np.int64)


def locate_event(a: Run, b: Run, *, sample: int, last: int, sides: tuple[str, str]) -> Difference | None:
    """The first thing that differs on one sample up to step ``last``; None if there is none.

    Long runs are followed event by event only in the first step that ends with other states or counts.
    """
    replicas = Replica(a, sample), Replica(b, sample)
    courses = tuple(Course(r, Variant(""), None) for r in replicas)
    views = courses[0].view(), courses[1].view()
    here = list(_differing(*views, skip=(EVENTS,)))
    if here:
        return _start(a, views, here[0], sample, sides)
    every = sum(int(run.meetings[sample]) for run in (a, b)) <= FOLLOWED
    for t in range(last + 1):
        starts = [course.engine.snapshot() for course in courses]
        views = courses[0].step(t), courses[1].step(t)
        if not every and next(_differing(*views), None) is None:
            continue
        followed = [_Followed(r, start, t) for r, start in zip(replicas, starts, strict=True)]
        for engine in followed:
            engine.step()
        found = _Located(a, (followed[0], followed[1]), sample, t, sides).describe()
        if found is not None:
            return found
    return None


def _differing(first: View, second: View, skip: Collection[str] = ()) -> Iterator[tuple[str, str, int]]:
    for (group, state), values in first.items():
        if (group, state) in second and state not in skip:
            for neuron in np.flatnonzero(values != second[group, state]).tolist():
                yield group, state, neuron


def _start(
    run: Run, views: tuple[View, View], found: tuple[str, str, int], sample: int, sides: tuple[str, str]
) -> Difference:
    group, state, neuron = found
    chip, g = run.network.chip, run.network.group(group)
    pair = int(views[0][group, state][neuron]), int(views[1][group, state][neuron])
    line = f"start = {chip.neurons[g.kind].states[state].start}" if run.initial is None else ""
    where = f"{chip.name}, neuron.{g.kind}.state.{state}" if run.initial is None else ""
    number = None if g.ids is None else int(g.ids[neuron])
    return Difference(group, neuron, number, sample, 0, START, state, pair, pair, line, where, None, sides)


@dataclass(frozen=True)
class _Located:
    """The first moment that differs, in words."""

    run: Run
    engines: tuple[_Followed, _Followed]
    sample: int
    step: int
    sides: tuple[str, str]

    def describe(self) -> Difference | None:
        first, second = (engine.moments for engine in self.engines)
        for x, y in zip(first, second, strict=False):
            if x.what != y.what:
                return self._other(x, y)
            states = [s for s in x.after if s in y.after and x.after[s] != y.after[s]]
            if states or x.fired != y.fired:
                return self._same(x, y, states)
        longer = 0 if len(first) > len(second) else 1
        more = (first, second)[longer][min(len(first), len(second)) :]
        if not more:
            return None
        return self._other(more[0], None) if longer == 0 else self._other(None, more[0])

    def _same(self, x: Moment, y: Moment, states: list[str]) -> Difference:
        """Both met the same event; what came of it differs."""
        if x.piece is None or y.piece is None:
            raise TypeError("an input event has no states")
        emits = self._kind(x.place[0]).emits
        state = states[0] if states else emits
        values = [[(n, v) for n, s, v in p.values if s == state] for p in (x.piece, y.piece)]
        line = (values[0] or values[1] or [(1, 0)])[-1][0]
        for number in sorted({n for many in values for n, _ in many}):
            here = [next((v for n, v in many if n == number), None) for many in values]
            if here[0] != here[1]:
                line = number
                break
        notes = [*notes_on_numbers(x.piece, y.piece, line), *notes_on_texts(x.piece.handler.text, y.piece.handler.text)]
        ran = [any(n == line for n, _ in many) for many in values]
        if ran[0] != ran[1]:
            notes.append(f"only {self.sides[0] if ran[0] else self.sides[1]} executes this line")
        text = (x.piece if ran[0] else y.piece).handler.text
        after = (x.after[state], y.after[state]) if states else (int(x.fired), int(y.fired))
        before = (x.before[state], y.before[state]) if states else (None, None)
        return self._made(x, state, before, after, place_of(text, line), notes)

    def _other(self, x: Moment | None, y: Moment | None) -> Difference:
        """One run handles something that the other one does not handle here."""
        notes = [f"the scan orders differ: {e} against {o}" for e, o in [self._scans()] if e != o]
        inputs = self._input(x, y)
        if inputs is not None:
            return inputs
        moved = [m is not None and (m.before != m.after or m.fired) for m in (x, y)]
        mine = 1 if x is None or (y is not None and moved[1] and not moved[0]) else 0
        moment = (x, y)[mine]
        if moment is None:
            raise TypeError("one of two moments must be there")
        changed = [s for s in moment.after if moment.before[s] != moment.after[s]] or list(moment.after)[:1]
        state = changed[0]
        pair = (moment.after[state], moment.before[state])
        text = None if moment.piece is None else moment.piece.handler.text
        notes.append(f"no such event in {self.sides[1 - mine]} at this point")
        start = moment.before[state]
        return self._made(
            moment, state, (start, start), pair if mine == 0 else pair[::-1], last_line(text, state), notes
        )

    def _input(self, x: Moment | None, y: Moment | None) -> Difference | None:
        """Where other events come in: the neuron whose number of events in the step differs, by group and index."""
        if all(m is None or m.piece is not None for m in (x, y)):
            return None
        counts = [{g.name: self._counted(e, g.name, g.size) for g in e.machine.network.inputs()} for e in self.engines]
        for group, values in counts[0].items():
            for neuron in np.flatnonzero(values != counts[1].get(group, values)).tolist():
                after = int(values[neuron]), int(counts[1][group][neuron])
                moment = Moment((group, neuron), None, None, {}, {}, fired=True)
                return self._made(moment, self._kind(group).emits, (None, None), after, ("", ""), ["the inputs differ"])
        return None

    @staticmethod
    def _counted(engine: _Followed, group: str, size: int) -> Ints:
        at = [m.place[1] for m in engine.moments if m.piece is None and m.place[0] == group]
        return np.bincount(np.array(at, np.int64), minlength=size)

    def _scans(self) -> tuple[object, object]:
        first, second = (e.machine.scans[0] for e in self.engines)
        return dict(first), dict(second)

    def _kind(self, group: str) -> NeuronKind:
        network = self.run.network
        return network.chip.neurons[network.group(group).kind]

    def _made(
        self,
        moment: Moment,
        state: str,
        before: tuple[int | None, int | None],
        after: tuple[int, int],
        line: tuple[str, str],
        notes: list[str],
    ) -> Difference:
        group, neuron = moment.place
        ids = self.run.network.group(group).ids
        ticked = moment.piece is not None and moment.source is None
        schedule = self.run.network.chip.schedule
        kind = self.run.network.group(group).kind
        ticks = [p.name for p in schedule if p.neuron == kind and self._ticks(p.handler, kind, moment)]
        phase = ticks[0] if ticked and ticks else next(p.name for p in schedule if not p.neuron)
        number = None if ids is None else int(ids[neuron])
        where = (group, neuron, number, self.sample, self.step, phase, state)
        return Difference(*where, before, after, *line, moment.source, self.sides, tuple(notes))

    def _ticks(self, handler: str, kind: str, moment: Moment) -> bool:
        handlers = [e.machine.chip.neurons[kind].handlers.get(handler) for e in self.engines]
        return moment.piece is not None and any(h is moment.piece.handler for h in handlers)

"""Two runs of our own, run again side by side on one sample until the first phase after which they differ."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import ConnectionKind, Phase
from neurodeploy.simulator import Engine, Run, Snapshot, assemble
from neurodeploy.simulator.executors import STEPPING
from neurodeploy.simulator.machine import Ints
from neurodeploy.verifier.difference import Difference
from neurodeploy.verifier.texts import (
    FollowingExecutor,
    Piece,
    first_for_good,
    last_line,
    notes_on_numbers,
    notes_on_texts,
    place_of,
    writer,
)

View = Mapping[tuple[str, str], Ints]  # (group, state) -> (neuron,)
Rank = tuple[int, ...]  # order of execution inside a phase
START = "start"
_OWN, _EVENT, _SUM = 0, 1, 2  # second entry of a rank: the neuron's own handler, an event, the sum of events
_LAST = 1 << 62


@dataclass(frozen=True)
class _Step:
    """One step of one side: where it began, and the view before and after each phase."""

    start: Snapshot
    before: Mapping[str, View]
    after: Mapping[str, View]
    end: View


class _Side:
    """One of the two runs, on one sample."""

    def __init__(self, run: Run, sample: int) -> None:
        self.run, self.network = run, run.network
        self.machine = assemble(run.network)
        start = None if run.initial is None else _one(run.initial, sample)
        # an executor that shows no steps is replayed by one that is equal
        self.engine = Engine(self.machine, 1, STEPPING.get(run.executor, STEPPING["numpy"]), start)
        self.places = {
            (name, int(position)): (group, index)
            for name, lane in self.machine.lanes.items()
            for group, positions in lane.slices.items()
            for index, position in enumerate(positions)
        }
        self.delivery_of = {id(row): d for many in self.machine.deliveries.values() for d in many for row in d.rows}
        steps = max(len(a) for a in run.input.values())
        self.external = {
            name: np.zeros((steps, 1, lane.size), np.int64)
            for name, lane in self.machine.lanes.items()
            if lane.kind.is_input()
        }
        for group, counts in run.input.items():
            kind = run.network.group(group).kind
            self.external[kind][:, 0, self.machine.lanes[kind].slices[group]] = counts[:, sample]

    def view(self, engine: Engine) -> View:
        found = {}
        for g in self.network.groups:
            lane = self.machine.lanes[g.kind]
            for state in lane.kind.states:
                found[g.name, state] = engine.states[g.kind][state][0, lane.slices[g.name]]
        return found

    def events(self, t: int) -> dict[str, Ints]:
        return {n: a[t] if t < len(a) else np.zeros_like(a[0]) for n, a in self.external.items()}

    def step(self, t: int) -> _Step:
        start, views = self.engine.snapshot(), [self.view(self.engine)]
        before, after = {}, {}

        def observe(_: int, phase: Phase, engine: Engine) -> None:
            views.append(self.view(engine))
            before[phase.name], after[phase.name] = views[-2], views[-1]

        self.engine.step(self.events(t), observe)
        return _Step(start, before, after, views[-1])

    def follow(self, t: int, start: Snapshot, phase: str) -> list[Piece]:
        """Everything that the reference executes in one phase of a step."""
        executor = FollowingExecutor()
        engine = Engine(self.machine, 1, executor, start)
        found: list[Piece] = []

        def observe(_: int, done: Phase, __: Engine) -> None:
            if done.name == phase:
                found.extend(executor.pieces)
            executor.clear()

        engine.step(self.events(t), observe)
        return found

    def phase(self, name: str) -> Phase:
        return next(p for p in self.machine.chip.schedule if p.name == name)

    def written(self, phase: Phase) -> set[str]:
        """Groups whose states a phase can write."""
        connections = self.machine.chip.connections
        kinds = {phase.neuron} | {connections[c].target for c in phase.connections}
        return {g.name for g in self.network.groups if g.kind in kinds}

    def place(self, kind: str, position: int) -> tuple[str, int]:
        """Group and index of the neuron at a position among its kind."""
        return self.places[kind, position]

    def position(self, group: str, neuron: int) -> tuple[str, int]:
        """Neuron kind and position among it."""
        kind = self.network.group(group).kind
        return kind, int(self.machine.lanes[kind].slices[group][neuron])


def _one(snapshot: Snapshot, sample: int) -> Snapshot:
    part = slice(sample, sample + 1)
    states = {n: {s: v[part] for s, v in many.items()} for n, many in snapshot.states.items()}
    return Snapshot(states, {n: tuple(h[part] for h in many) for n, many in snapshot.history.items()}, snapshot.step)


def _differ(first: View, second: View, groups: set[str] | None = None) -> list[tuple[str, str, int]]:
    """Every (group, state, neuron) with two values."""
    return [
        (group, state, int(neuron))
        for group, state in first
        if (group, state) in second and (groups is None or group in groups)
        for neuron in np.flatnonzero(first[group, state] != second[group, state])
    ]


def locate(a: Run, b: Run, *, sample: int, last: int, sides: tuple[str, str]) -> Difference | None:
    """The first difference of two runs on one sample up to step ``last``, counted in the runs; None if there is none.

    With equal schedules and placements it is the first phase after which any state differs, be it recorded or not.
    Otherwise the states inside a step differ by construction: it is sought in the first step that ends differently.
    """
    first, second = _Side(a, sample), _Side(b, sample)
    here = _differ(first.view(first.engine), second.view(second.engine))
    if here:
        return _at_start(first, second, here, sample, sides)
    notes = _notes_on_order(a, b)
    for t in range(last + 1):
        x, y = first.step(t), second.step(t)
        if notes and not _differ(x.end, y.end):
            continue
        for phase in first.machine.chip.schedule:
            if phase.name in x.after and phase.name in y.after:
                both = first.written(phase) & second.written(second.phase(phase.name))
                found = _differ(x.after[phase.name], y.after[phase.name], both)
                if found:
                    return _Locator(first, second, phase, sample, sides).describe(t, x, y, found, notes)
        if notes:
            return None
    return None


def _notes_on_order(a: Run, b: Run) -> tuple[str, ...]:
    notes = []
    schedules = [x.network.chip.schedule for x in (a, b)]
    if schedules[0] != schedules[1]:
        orders = [", ".join("+".join(dict.fromkeys((p.name, *p.connections))) for p in s) for s in schedules]
        notes.append(f"the schedules differ: {orders[0]} against {orders[1]}")
    ids = [{g.name: () if g.ids is None else tuple(g.ids.tolist()) for g in x.network.groups} for x in (a, b)]
    if ids[0] != ids[1]:
        notes.append("the placements differ")
    return tuple(notes)


def _at_start(
    first: _Side, second: _Side, found: list[tuple[str, str, int]], sample: int, sides: tuple[str, str]
) -> Difference:
    group, state, neuron = min(found, key=lambda f: (first.position(f[0], f[2])[1], f[1]))
    kind, position = first.position(group, neuron)
    chip = first.machine.chip
    values = [int(s.view(s.engine)[group, state][neuron]) for s in (first, second)]
    line, where = f"start = {chip.neurons[kind].states[state].start}", f"{chip.name}, neuron.{kind}.state.{state}"
    if first.run.initial is not None or second.run.initial is not None:
        line, where = "", ""
    pair = (values[0], values[1])
    number = int(first.machine.lanes[kind].ids[position])
    return Difference(group, neuron, number, sample, 0, START, state, pair, pair, line, where, None, sides)


@dataclass(frozen=True)
class _Course:
    """What happened to one neuron in a phase: pieces by order of execution, values of every name by order and line."""

    pieces: Mapping[Rank, Piece]

    def of(self, name: str) -> dict[Rank, int]:
        return {
            (*rank, line): value
            for rank, piece in self.pieces.items()
            for line, assigned_name, value in piece.values
            if assigned_name == name
        }


@dataclass(frozen=True)
class _Locator:
    """Names neuron, state, line and source inside a phase."""

    first: _Side
    second: _Side
    phase: Phase
    sample: int
    sides: tuple[str, str]

    def describe(
        self, t: int, x: _Step, y: _Step, found: list[tuple[str, str, int]], notes: tuple[str, ...]
    ) -> Difference:
        starts = {(g, s, n): self._values(x.before, y.before, g, s, n) for g, s, n in found}
        courses = (self._courses(self.first, t, x.start), self._courses(self.second, t, y.start))
        ranked = []
        for number, (group, state, neuron) in enumerate(found):
            sides = [c.get((group, neuron), _Course({})) for c in courses]
            key = first_for_good(sides[0].of(state), sides[1].of(state), starts[group, state, neuron])
            kind, position = self.first.position(group, neuron)
            identity = int(self.first.machine.lanes[kind].ids[position])
            # a value that the reference does not reproduce comes last: the executor is at fault, not the text
            ranked.append((key is None, key[:2] if key else (), identity, key or (), number))
        _, _, identity, key, number = min(ranked)
        group, state, neuron = found[number]
        pair = [c.get((group, neuron), _Course({})) for c in courses]
        line, where, source, more = self._line(pair[0], pair[1], key, group, state)
        before, after = starts[group, state, neuron], self._values(x.after, y.after, group, state, neuron)
        place = (group, neuron, identity, self.sample, t, self.phase.name, state)
        return Difference(*place, before, after, line, where, source, self.sides, (*more, *notes))

    def _values(
        self, first: Mapping[str, View], second: Mapping[str, View], group: str, state: str, neuron: int
    ) -> tuple[int, int]:
        name = self.phase.name
        return int(first[name][group, state][neuron]), int(second[name][group, state][neuron])

    def _courses(self, side: _Side, t: int, start: Snapshot) -> dict[tuple[str, int], _Course]:
        found: dict[tuple[str, int], dict[Rank, Piece]] = {}
        counted = Counter[tuple[object, ...]]()
        for piece in side.follow(t, start, self.phase.name):
            place, rank = side.place(piece.kind, piece.neuron), self._rank(side, piece)
            occurrence = counted[place, rank]
            counted[place, rank] += 1
            found.setdefault(place, {})[(*rank, occurrence)] = piece
        return {place: _Course(pieces) for place, pieces in found.items()}

    def _rank(self, side: _Side, piece: Piece) -> Rank:
        """Order of a piece in the phase, with positions as the first side has them."""
        chip, phase = side.machine.chip, side.phase(self.phase.name)
        if phase.neuron and piece.handler is chip.neurons[phase.neuron].handlers[phase.handler]:
            return self.first.position(*side.place(piece.kind, piece.neuron))[1], _OWN
        kinds = [chip.connections[c] for c in phase.connections]
        number = next(i for i, k in enumerate(kinds) if piece.handler is k.on_input or piece.handler is k.on_sum)
        if piece.row is None:
            return (_LAST if phase.neuron else self._delivery(side, kinds[number], piece)), _SUM, number
        row = piece.row
        source = self.first.position(*side.place(row.source_kind, row.source))[1]
        order = kinds[number].sources.index(row.source_kind)
        # inside a scan the source's own step decides when it delivers
        first = source if phase.neuron else self._delivery(side, kinds[number], piece)
        return first, _EVENT, number, order, source, -row.delay

    def _delivery(self, side: _Side, kind: ConnectionKind, piece: Piece) -> int:
        """Order of the delivery that a piece belongs to, the same number on both sides: projection, longest delay."""
        if not kind.apart:
            return 0
        many = [d for d in side.machine.deliveries[kind.name] if d.rows]
        delivery = many[piece.turn] if piece.row is None else side.delivery_of[id(piece.row)]
        longest = max(s.machine.longest_delay for s in (self.first, self.second))
        return delivery.projection * (longest + 1) + longest - delivery.delay

    def _line(
        self, first: _Course, second: _Course, key: Rank, group: str, state: str
    ) -> tuple[str, str, tuple[str, int] | None, list[str]]:
        """Line, its place, source, and what else differs there."""
        if not key:
            chip, kind = self.first.machine.chip, self.first.network.group(group).kind
            text = writer(chip, kind, state, [self.phase])[1]
            return *last_line(text, state), None, ["the reference finds no difference here: an executor is at fault"]
        rank, number = key[:-1], key[-1]
        pieces = [c.pieces.get(rank) for c in (first, second)]
        texts = [
            p.handler.text for p, c in zip(pieces, (first, second), strict=True) if p is not None and key in c.of(state)
        ]
        notes = list(self._notes(pieces[0], pieces[1], number, state))
        present = next(p for p in pieces if p is not None)
        source = self._source(present, is_first=pieces[0] is not None)
        if rank[1] == _SUM:
            source, more = self._through_sum(first, second, rank)
            notes = more + notes
        return *place_of(texts[0], number), source, notes

    def _source(self, piece: Piece, *, is_first: bool) -> tuple[str, int] | None:
        if piece.row is None:
            return None
        return (self.first if is_first else self.second).place(piece.row.source_kind, piece.row.source)

    def _through_sum(self, first: _Course, second: _Course, rank: Rank) -> tuple[tuple[str, int] | None, list[str]]:
        """The event whose addition to an accumulator made the sums differ."""
        first, second = (
            _Course({r: p for r, p in c.pieces.items() if r[0] == rank[0]}) for c in (first, second)
        )  # each delivery begins with accumulators of 0
        names = {n for c in (first, second) for p in c.pieces.values() if p.row for _, n, _ in p.values}
        keys = [first_for_good(first.of(n), second.of(n), (0, 0)) for n in sorted(names)]
        parted = min((k for k in keys if k and k[1] == _EVENT), default=None)
        if parted is None:
            return None, []
        pair = first.pieces.get(parted[:-1]), second.pieces.get(parted[:-1])
        present = pair[0] or pair[1]
        source = self._source(present, is_first=pair[0] is not None) if present else None
        return source, list(self._notes(pair[0], pair[1], parted[-1], ""))

    def _notes(self, first: Piece | None, second: Piece | None, line: int, state: str) -> Iterator[str]:
        for piece, side in ((first, self.sides[0]), (second, self.sides[1])):
            if piece is None:
                yield f"no such event in {side}"
        if first is None or second is None:
            return
        yield from notes_on_numbers(first, second, line)
        yield from notes_on_texts(first.handler.text, second.handler.text)
        ran = [any((n, s) == (line, state) for n, s, _ in p.values) for p in (first, second)]
        if state and ran[0] != ran[1]:
            yield f"only {self.sides[0] if ran[0] else self.sides[1]} executes this line"

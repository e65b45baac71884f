"""States in the memory of compiled code, and calls of it: events of a sample followed until nothing waits."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.chips import Phase
from neurodeploy.simulator.follow.layout import Layout, Space
from neurodeploy.simulator.follow.source import Control, Stop, layer_name, state_name, stored_type, tick_name
from neurodeploy.simulator.follow.strips import Array
from neurodeploy.simulator.machine import Ints

#: (neuron kind, state) -> (batch, neuron) in the order of memory, in the narrow types of the registers
Stored = Mapping[tuple[str, str], Array]
WORTH_A_THREAD = 2_000  # events
MADE_AT_ONCE = 50_000
RING = 1 << 12


@dataclass(frozen=True)
class Stopped:
    """A sample that cannot go on: the chip's queue was full, or activity did not end."""

    sample: int
    code: Stop


@dataclass(frozen=True)
class Followed:
    """What became of the events of one sample.

    made : kind, (event,) places in memory of neurons that made an event, and what started it; those of a group in order
    """

    sample: int
    made: tuple[tuple[str, Array, Ints], ...]
    lost: int
    meetings: int


@dataclass(frozen=True)
class Train:
    """Events of a group in their order.

    place : (event,) places in memory of the neurons
    cause : (event,) what started each
    ends : (step,) events until the end of each step
    """

    place: Array
    cause: Ints
    ends: Ints


@dataclass(frozen=True)
class Layer:
    """What a group made of the events that reached it; met : arrivals, meetings : texts that they have run."""

    made: Train
    met: int
    meetings: int


class Runner:
    """A laid out machine with its states.

    newest : what has just been made goes first
    patience : arrivals that one input may cause
    """

    def __init__(
        self,
        layout: Layout,
        batch: int,
        states: Mapping[str, Mapping[str, Ints]],
        *,
        newest: bool,
        patience: int,
    ) -> None:
        self.layout, self.batch, self.newest, self.patience = layout, batch, newest, patience
        self.program = layout.program(states, newest=newest)
        self.states: Stored = {
            (n, s): np.ascontiguousarray(v[:, layout.ranks[n]], stored_type(layout.registers[n][s]))
            for n, many in states.items()
            for s, v in many.items()
        }

    def wide(self, states: Stored) -> dict[str, dict[str, Ints]]:
        """Neuron kind -> state -> (batch, neuron) by position."""
        result: dict[str, dict[str, Ints]] = {n: {} for n in self.layout.machine.lanes}
        for (name, state), values in states.items():
            result[name][state] = values[:, self.layout.memory[name]].astype(np.int64, order="C")
        return result

    def kept(self) -> Stored:
        """The states, copied if a text can leave a register."""
        return {n: v.copy() for n, v in self.states.items()} if self.program.plans.checked else self.states

    # --- calls --------------------------------------------------------------------------------------------------------

    @contextmanager
    def _lent(self) -> Iterator[Space]:
        """A space that nobody else uses until the block ends: samples run in threads."""
        space = self._space()
        try:
            yield space
        finally:
            self.layout.spaces.append(space)

    def _space(self) -> Space:
        try:
            return self.layout.spaces.pop()
        except IndexError:
            widest = max(self.layout.strips.widest, *(lane.size for lane in self.layout.machine.lanes.values()), 0) + 8
            entries = widest * max(self.layout.strips.most, 1)
            ring = max(RING, 1 << (4 * entries).bit_length())
            made = max(MADE_AT_ONCE, 4 * widest)
            control, batch, keys = (np.zeros(n, np.int64) for n in (len(Control) + 1, entries, widest))
            flags = np.zeros(-(-widest // 8) * 8 + 64, np.uint8)
            output, causes = np.zeros(made, np.uint32), np.zeros(made, np.int64)
            return Space(control, np.zeros(ring, np.int64), batch, output, causes, flags, keys)

    def _call(self, name: str, own: Mapping[str, Any], sample: int) -> None:
        rows = {state_name(n, s): v[sample] for (n, s), v in self.states.items()}
        given = {**self.layout.arrays, **rows, **own}
        self.program.compiled.function(name)(*(given[n] for n, _ in self.program.arguments[name]))

    def follow(self, sample: int, roots: Array, causes: Ints, *, together: bool) -> Followed | Stopped:
        """Follow events of one sample.

        roots, causes : neurons counted over all kinds in memory, and the input event that each is
        together : all of them wait from the beginning, as after a tick
        """
        layers = self.layout.layers
        if layers is not None and not (together and self.newest):
            before = {n: v[sample].copy() for n, v in self.states.items()}
            found = self._layers(sample, roots, causes, layers)
            if found is not None:
                return found
            for n, v in before.items():  # the queue counts what each root causes
                self.states[n][sample] = v
        return self._queue(sample, roots, causes, together=together)

    def _queue(self, sample: int, roots: Array, causes: Ints, *, together: bool) -> Followed | Stopped:
        """Follow each root to its end."""
        schedule = self.layout.machine.chip.file.schedule
        with self._lent() as space:
            control = self._begun(space, len(roots))
            control[Control.TOGETHER], control[Control.ENTRIES] = together, len(space.batch)
            control[Control.BEFORE] = int(self.layout.machine.block(sample, self.batch)) * self.layout.neurons
            control[Control.NEWEST] = self.newest
            control[Control.DEPTH] = -1 if schedule.depth is None else schedule.depth
            control[Control.DROP], control[Control.PATIENCE] = schedule.when_full == "drop", self.patience
            if together:
                self._longer(space, len(roots) * max(self.layout.strips.most, 1) + len(space.batch))
            neuron, cause = self._made("follow", space, sample, {"roots": roots, "causes": causes})
            control = space.control.copy()
        if control[Control.CODE] != Stop.DONE:
            return Stopped(sample, Stop(int(control[Control.CODE])))
        made = []
        for name, lane in self.layout.machine.lanes.items():
            begin = self.layout.strips.offset[name]
            mine = np.flatnonzero((neuron >= begin) & (neuron < begin + lane.size))
            made.append((name, neuron[mine] - np.uint32(begin), cause[mine]))
        return Followed(sample, tuple(made), int(control[Control.LOST]), int(control[Control.MEETINGS]))

    def _layers(self, sample: int, roots: Array, causes: Ints, layers: Sequence[int]) -> Followed | Stopped | None:
        """Let group after group meet what it leads to; None if one root may have caused too much."""
        events, fans = dict[str, list[Train]](), self.layout.machine.fans
        made, met, meetings = list[tuple[str, Array, Ints]](), 0, 0
        for number in layers:
            (source,), (target,) = fans[number].sources, fans[number].target
            if source not in events:
                events[source] = [self._roots_of(source, roots, causes)]
            train = _joined(events[source])
            if not len(train.place) or not fans[number].size:
                continue
            found = self.layer(sample, number, train, {}, {})
            if isinstance(found, Stopped):
                return found
            met, meetings = met + found.met, meetings + found.meetings
            events.setdefault(target, [self._roots_of(target, roots, causes)]).append(found.made)
            made.append((fans[number].kind.target, found.made.place, found.made.cause))
        return None if met > self.patience else Followed(sample, tuple(made), 0, meetings)

    def layer(
        self, sample: int, number: int, train: Train, due: Mapping[str, Array], kept: Mapping[str, Array]
    ) -> Layer | Stopped:
        """Let the events of a group meet what one fan leads to, step after step.

        due : phase of a tick -> (step,) 1 where it is due
        kept : state -> (step * neuron of the target group,) to be filled
        """
        fan, plans = self.layout.machine.fans[number], self.program.plans
        kind, (begin, end) = fan.kind.target, self.layout.spans[fan.target[0]]
        steps, before = len(train.ends), self.layout.strips.offset[kind]
        never = np.zeros(steps, np.uint8)
        ticks = [due.get(n, never) for n, t in plans.ticks.items() if t.kind == kind and not t.handler.emits]
        own = {
            "roots": train.place,
            "causes": train.cause,
            "ends": train.ends,
            "made_ends": np.zeros(steps, np.int64),
            "due": np.concatenate([never[:0], *ticks]),
            "go": self.layout.strips.ways[int(self.layout.machine.block(sample, self.batch)), number],
        }
        for state, interval in self.layout.registers[kind].items():
            own[f"kept_{state}"] = kept.get(state, np.zeros(0, stored_type(interval)))
        name = layer_name(list(plans.arriving).index(fan.kind.name))
        with self._lent() as space:
            control = self._begun(space, len(train.place))
            control[Control.LOW], control[Control.HIGH] = begin - before, end - before
            control[Control.ROW] = self.layout.arrays["fans"][3 * number + 2]
            place, cause = self._made(name, space, sample, own)
            control = space.control.copy()
        if control[Control.CODE] != Stop.DONE:
            return Stopped(sample, Stop(int(control[Control.CODE])))
        made = Train(place, cause, own["made_ends"])
        return Layer(made, int(control[Control.MET]), int(control[Control.MEETINGS]))

    def _roots_of(self, group: str, roots: Array, causes: Ints) -> Train:
        """Those roots that are of a group, as places in memory."""
        kind, (begin, end) = self.layout.machine.network.group(group).kind, self.layout.spans[group]
        mine = slice(None) if begin <= roots.min() and roots.max() < end else (roots >= begin) & (roots < end)
        places = roots[mine] - np.uint32(self.layout.strips.offset[kind])
        return Train(places, causes[mine], np.array([len(places)]))

    def _begun(self, space: Space, roots: int) -> Ints:
        """The control words of a space, for so many events to begin with."""
        space.control[:] = 0
        space.control[Control.ROOTS], space.control[Control.WIDEST] = roots, self.layout.strips.widest
        return space.control

    def _made(self, name: str, space: Space, sample: int, given: Mapping[str, Array]) -> tuple[Array, Ints]:
        """Call a function until it needs no more room; what was made."""
        found = list[tuple[Array, Ints]]()
        while True:
            self._call(name, {**vars(space), **given}, sample)
            if space.control[Control.CODE] != Stop.ROOM:
                break
            found.append(self._taken(name, space))
        count = int(space.control[Control.MADE])
        found.append((space.made[:count].copy(), space.made_by[:count].copy()))
        neuron, cause = (np.concatenate(column) for column in zip(*found, strict=True))
        return neuron, cause

    def _taken(self, name: str, space: Space) -> tuple[Array, Ints]:
        """Take out what was made, and make room."""
        control = space.control
        count = int(control[Control.MADE])
        control[Control.TAKEN] += count
        if name != "follow" or not self.program.queue.stream:
            control[Control.MADE] = 0
            self._longer(space, int(control[Control.SIZE]) + 2 * len(space.batch))
            return space.made[:count].copy(), space.made_by[:count].copy()
        head = int(control[Control.HEAD])
        taken, waiting = (space.made[:head].copy(), space.made_by[:head].copy()), count - head
        for column in ("made", "made_by"):
            values = getattr(space, column)
            kept = values[head:count].copy()
            if waiting > len(values) // 2:
                values = np.zeros(2 * len(values), values.dtype)
                setattr(space, column, values)
            values[:waiting] = kept
        control[Control.HEAD], control[Control.MADE] = 0, waiting
        return taken

    def _longer(self, space: Space, needed: int) -> None:
        """Give the queue room for so many entries."""
        size = len(space.ring)
        if needed <= size:
            return
        waiting = (int(space.control[Control.HEAD]) + np.arange(int(space.control[Control.SIZE]))) % size
        ring = np.zeros(1 << (2 * needed).bit_length(), np.int64)
        ring[: len(waiting)] = space.ring[waiting]
        space.ring, space.control[Control.HEAD] = ring, 0

    def tick(self, phase: Phase) -> tuple[Ints, Ints] | None:
        """Run a tick on all samples; sample and position of what fired, by ascending hardware id.

        None if the text has left a register.
        """
        none = np.zeros(0, np.int64)
        if phase.name not in self.program.plans.ticks:
            return none, none
        number, text = list(self.program.plans.ticks).index(phase.name), self.program.plans.ticks[phase.name]
        fired = [none]
        with self._lent() as space:
            for sample in range(self.batch):
                self._call(tick_name(number), vars(space) | {"rank": self.layout.ranks[text.kind]}, sample)
                if space.control[Control.CODE] == Stop.FAULT:
                    return None
                keys = space.keys[: int(space.control[Control.MADE])]
                fired.append(self.layout.ranks[text.kind][keys & 0xFFFFFFFF])
        return np.repeat(np.arange(self.batch), [len(f) for f in fired[1:]]), np.concatenate(fired)

    def follow_all(self, sample: Ints, roots: Array, causes: Ints, *, together: bool) -> Iterator[Followed | Stopped]:
        """Follow the events of all samples; sample ascends. In threads where it pays; the first fault is raised."""
        samples, begin = np.unique(sample, return_index=True)
        ends = [*begin[1:].tolist(), len(sample)]
        pieces = list(zip(samples.tolist(), begin.tolist(), ends, strict=True))

        def one(piece: tuple[int, int, int]) -> Followed | Stopped:
            number, first, last = piece
            return self.follow(number, roots[first:last], causes[first:last], together=together)

        workers = min(len(pieces), threads())
        if workers < 2 or len(sample) < WORTH_A_THREAD:
            yield from map(one, pieces)
            return
        with ThreadPoolExecutor(workers) as pool:
            yield from pool.map(one, pieces)

    def located(self, followed: Sequence[Followed]) -> Iterator[tuple[str, Ints, Ints, Ints]]:
        """Kind, sample, cause and position of what was made."""
        for one in followed:
            for kind, place, cause in one.made:
                yield kind, np.full(len(place), one.sample), cause, self.layout.ranks[kind][place]


def _joined(trains: Sequence[Train]) -> Train:
    """Events of one step, one behind the other."""
    place, cause = (np.concatenate([getattr(t, column) for t in trains]) for column in ("place", "cause"))
    return Train(place, cause, np.array([len(place)]))


def threads() -> int:
    """As many as OMP_NUM_THREADS says, else one for each processor."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdigit() and int(stated) > 0 else os.cpu_count() or 1

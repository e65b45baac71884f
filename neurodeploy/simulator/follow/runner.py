"""States in the memory of compiled code, and calls of it: events of a sample followed until nothing waits."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.chips import Phase
from neurodeploy.simulator.follow.layout import Layout
from neurodeploy.simulator.follow.source import Control, Stop, state_name, stored_type, tick_name
from neurodeploy.simulator.follow.strips import Array
from neurodeploy.simulator.machine import Ints

#: (neuron kind, state) -> (batch, neuron) in the order of memory, in the narrow types of the registers
Stored = Mapping[tuple[str, str], Array]
WORTH_A_THREAD = 2_000  # events
MADE_AT_ONCE = 50_000
RING = 1 << 12


@dataclass
class _Space:
    """What one call needs for itself."""

    control: Ints
    ring: Ints
    batch: Ints
    made: Ints
    made_by: Ints
    flags: Array
    keys: Ints


@dataclass(frozen=True)
class Stopped:
    """A sample that cannot go on: the chip's queue was full, or activity did not end."""

    sample: int
    code: Stop


@dataclass(frozen=True)
class Followed:
    """What became of the events of one sample.

    neuron, cause : (event,) number of the neuron over all kinds in memory, and what started it
    """

    sample: int
    neuron: Ints
    cause: Ints
    lost: int
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
        self.program = layout.program(states)
        self.states: Stored = {
            (n, s): np.ascontiguousarray(v[:, layout.ranks[n]], stored_type(layout.registers[n][s]))
            for n, many in states.items()
            for s, v in many.items()
        }
        self.spaces: list[_Space] = []

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

    def _space(self) -> _Space:
        try:
            return self.spaces.pop()
        except IndexError:
            widest = max(self.layout.strips.widest, *(lane.size for lane in self.layout.machine.lanes.values()), 0) + 8
            entries = widest * max(self.layout.strips.most, 1)
            ring = max(RING, 1 << (4 * entries).bit_length())
            made = max(MADE_AT_ONCE, 2 * widest)
            control, batch, keys = (np.zeros(n, np.int64) for n in (len(Control) + 1, entries, widest))
            output, causes = (np.zeros(made, np.int64) for _ in range(2))
            flags = np.zeros(-(-widest // 8) * 8 + 64, np.uint8)
            return _Space(control, np.zeros(ring, np.int64), batch, output, causes, flags, keys)

    def _call(self, name: str, own: Mapping[str, Any], sample: int) -> None:
        rows = {state_name(n, s): v[sample] for (n, s), v in self.states.items()}
        function = self.program.compiled.function(name)
        function(
            *(
                own[n] if n in own else rows[n] if n in rows else self.layout.arrays[n]
                for n, _ in self.program.arguments[name]
            )
        )

    def follow(self, sample: int, roots: Ints, causes: Ints, *, together: bool) -> Followed | Stopped:
        """Follow events of one sample.

        roots, causes : neurons counted over all kinds in memory, and the input event that each is
        together : all of them wait from the beginning, as after a tick
        """
        space = self._space()
        schedule = self.layout.machine.chip.file.schedule
        control = space.control
        control[:] = 0
        control[Control.ROOTS], control[Control.TOGETHER] = len(roots), together
        control[Control.BEFORE] = int(self.layout.machine.block(sample, self.batch)) * self.layout.neurons
        control[Control.WIDEST], control[Control.ENTRIES] = self.layout.strips.widest, len(space.batch)
        control[Control.NEWEST], control[Control.JOINED] = self.newest, schedule.waits == "spike"
        control[Control.DEPTH] = -1 if schedule.depth is None else schedule.depth
        control[Control.DROP], control[Control.PATIENCE] = schedule.when_full == "drop", self.patience
        if together:
            self._longer(space, len(roots) * max(self.layout.strips.most, 1) + len(space.batch))
        neuron, cause = list[Ints](), list[Ints]()
        while True:
            own = vars(space) | {"roots": roots, "causes": causes}
            self._call("follow", own, sample)
            count = int(control[Control.MADE])
            neuron.append(space.made[:count].copy())
            cause.append(space.made_by[:count].copy())
            control[Control.MADE] = 0
            if control[Control.CODE] != Stop.ROOM:
                break
            self._longer(space, int(control[Control.SIZE]) + 2 * len(space.batch))
        code, lost, meetings = (
            Stop(int(control[Control.CODE])),
            int(control[Control.LOST]),
            int(control[Control.MEETINGS]),
        )
        self.spaces.append(space)
        if code != Stop.DONE:
            return Stopped(sample, code)
        return Followed(sample, np.concatenate(neuron), np.concatenate(cause), lost, meetings)

    def _longer(self, space: _Space, needed: int) -> None:
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
        space, fired = self._space(), [none]
        for sample in range(self.batch):
            self._call(tick_name(number), vars(space) | {"rank": self.layout.ranks[text.kind]}, sample)
            if space.control[Control.CODE] == Stop.FAULT:
                return None
            fired.append(self.layout.ranks[text.kind][space.keys[: int(space.control[Control.MADE])] & 0xFFFFFFFF])
        self.spaces.append(space)
        return np.repeat(np.arange(self.batch), [len(f) for f in fired[1:]]), np.concatenate(fired)

    def follow_all(self, sample: Ints, roots: Ints, causes: Ints, *, together: bool) -> Iterator[Followed | Stopped]:
        """Follow the events of all samples; sample ascends. In threads where it pays; the first fault is raised."""
        samples, begin = np.unique(sample, return_index=True)
        ends = [*begin[1:].tolist(), len(sample)]
        pieces = list(zip(samples.tolist(), begin.tolist(), ends, strict=True))

        def one(piece: tuple[int, int, int]) -> Followed | Stopped:
            number, first, last = piece
            return self.follow(number, roots[first:last], causes[first:last], together=together)

        threads = min(len(pieces), _threads())
        if threads < 2 or len(sample) < WORTH_A_THREAD:
            yield from map(one, pieces)
            return
        self.program.compiled.function("follow")
        with ThreadPoolExecutor(threads) as pool:
            yield from pool.map(one, pieces)

    def located(self, followed: Sequence[Followed]) -> Iterator[tuple[str, Ints, Ints, Ints]]:
        """Kind, sample, cause and position of what was made."""
        neuron = np.concatenate([np.zeros(0, np.int64), *(f.neuron for f in followed)])
        cause = np.concatenate([np.zeros(0, np.int64), *(f.cause for f in followed)])
        sample = np.repeat([f.sample for f in followed], [len(f.neuron) for f in followed]).astype(np.int64)
        for name, lane in self.layout.machine.lanes.items():
            begin = self.layout.strips.offset[name]
            mine = np.flatnonzero((neuron >= begin) & (neuron < begin + lane.size))
            yield name, sample[mine], cause[mine], self.layout.ranks[name][neuron[mine] - begin]


def _threads() -> int:
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdigit() and int(stated) > 0 else os.cpu_count() or 1

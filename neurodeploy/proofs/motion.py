"""What one step does to the ranges of a group's states, neuron by neuron, and what comes to every rail on the way."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from neurodeploy.network import Group, Network
from neurodeploy.proofs.boxes import Ends, Ints, follow, pieces
from neurodeploy.proofs.rails import Rail, marked
from neurodeploy.ranges.program import Op, Program, program_of
from neurodeploy.step import Assign, Interval, Text, assigned
from neurodeploy.step.tree import names

#: Ranges of states by name, (neuron,) each.
Ranges = dict[str, Ends]

#: Applications of a text that may run any number of times, before its states are given up to their registers.
OFTEN = 4


@dataclass(frozen=True)
class Reached:
    """What comes to one rail.

    ends : (neuron,)
    """

    where: str
    rail: Rail
    ends: Ends

    @property
    def clear(self) -> npt.NDArray[np.bool_]:
        """(neuron,) where the rail never acts."""
        return (self.ends.low >= self.rail.limits.low) & (self.ends.high <= self.rail.limits.high)


@dataclass(frozen=True)
class Outcome:
    """One step.

    after, seen : ranges at its end, and over all its moments
    reached : what came to every rail
    """

    after: Ranges
    seen: Ranges
    reached: tuple[Reached, ...]


@dataclass(frozen=True)
class Motion:
    """One group of a network as ranges.

    program : texts in the order of a step, with the sums that can arrive
    """

    program: Program
    texts: Mapping[int, tuple[Text, tuple[Rail, ...]]] = field(default_factory=dict, compare=False)

    @cached_property
    def registers(self) -> dict[str, Interval]:
        """State -> what it can contain."""
        return {n: s.interval for n, s in self.program.kind.states.items()}

    @property
    def size(self) -> int:
        """Neurons."""
        return self.program.group.size

    @cached_property
    def split(self) -> tuple[str, ...]:
        """States whose range is cut into pieces for the whole step: a line meets them again in another name."""
        return tuple(sorted({n for op in self.program.ops for n in _met_again(op.text, set(self.registers))}))[:1]

    def start(self) -> Ranges:
        """After a reset."""
        full, low = np.ones(self.size, np.int64), self.program.low
        starts = {n: s.start for n, s in self.program.kind.states.items()}
        return {n: Ends(s * full, s * full) if isinstance(s, int) else Ends(low[s], low[s]) for n, s in starts.items()}

    def step(self, before: Ranges) -> Outcome:
        """One step from anywhere in these ranges, with the worst input that can arrive."""
        now, rows = dict(before), self.size
        if self.split and not self.program.free:
            cut = {n: pieces(before[n]) for n in self.split}
            width = next(iter(cut.values())).low.shape[1]
            now = {n: cut.get(n, Ends(*(np.repeat(e, width).reshape(rows, width) for e in v))) for n, v in now.items()}
        now = {n: Ends(*(np.asarray(e).reshape(rows, -1) for e in v)) for n, v in now.items()}
        seen, reached = dict(now), list[Reached]()
        for op in self.program.ops:
            after, came = self._run(op, now)
            joined = self.program.free or op.times != "once"
            now = {n: _hull(now[n], after[n]) for n in now} if joined else after
            seen = {n: _hull(seen[n], now[n]) for n in now}
            reached += came
        return Outcome(_flat(now), _flat(seen), tuple(reached))

    def _run(self, op: Op, now: Ranges) -> tuple[Ranges, list[Reached]]:
        if op.times != "often" or self.program.free:
            return self._once(op, now)
        reached, wide = now, dict(now)
        for _ in range(OFTEN):
            after = self._once(op, reached)[0]
            reached, before = {n: _hull(reached[n], after[n]) for n in after}, reached
            if all(_within(reached[n], before[n]).all() for n in reached):
                break
        else:
            for n, register in self.registers.items():
                same = _within(reached[n], now[n])
                low, high = (np.full_like(now[n].low, end) for end in register)
                wide[n] = Ends(np.where(same, now[n].low, low), np.where(same, now[n].high, high))
            reached = wide
        after, came = self._once(op, reached)
        return {n: _hull(reached[n], after[n]) for n in after}, came

    def _once(self, op: Op, now: Ranges) -> tuple[Ranges, list[Reached]]:
        """Run one text; what a register cannot hold is cut, because a simulation goes no further there."""
        text, rails = self._marked(op)
        rows, width = next(iter(now.values())).low.shape
        low, high = self.program.low, self.program.high
        columns = {n: n for n in self.program.kind.parameters} | dict(op.columns)
        box: dict[str, Ends] = dict(now)
        box |= {n: Ends(low[c][:, None], high[c][:, None]) for n, c in columns.items()}
        box |= {
            n: Ends(*(np.full((1, 1), end, np.int64) for end in v)) for n, v in (*op.zero.items(), *op.given.items())
        }
        wanted = set(op.reads) | {a.name for a in assigned(text.statements)}
        found = follow(text, {n: _spread(v, rows, width) for n, v in box.items() if n in wanted})
        came = [Reached(op.where, r, _over_pieces(found[r.name], rows, width)) for r in rails]
        after = dict(now)
        for name, register in sorted(op.checked.items()):
            line = max((a.line for a in assigned(op.text.statements) if a.name == name), default=0)
            owners = (
                (name,) if name in now else tuple(sorted({a.name for a in assigned(op.text.statements)} & set(now)))
            )
            rail = Rail(name, "register", line, owners or tuple(sorted(now)), register)
            came.append(Reached(op.where, rail, _over_pieces(found[name], rows, width)))
        for name in now:
            if name in found:
                ends = (end.reshape(rows, width) for end in found[name])
                after[name] = Ends(*(np.clip(end, *self.registers[name]) for end in ends))
        return after, came

    def _marked(self, op: Op) -> tuple[Text, tuple[Rail, ...]]:
        known: dict[int, tuple[Text, tuple[Rail, ...]]] = self.texts  # type: ignore[assignment] # a memo
        if id(op) not in known:
            known[id(op)] = marked(op.text, self.registers)
        return known[id(op)]


def motion_of(network: Network, group: Group, emitted: Mapping[str, tuple[Ints, Ints]]) -> Motion:
    """What one group does in a step, with all inputs that the caps of the chip allow.

    emitted : group -> (neuron,) least and most that its neurons emit at any moment, as far as it is known
    """
    entry = network.chip.neurons[group.kind].entry.external
    return Motion(program_of(network, group, None if entry is None else entry.allowed, emitted))


def _met_again(text: Text, states: set[str]) -> Iterator[str]:
    """States that a line reads beside a name that was made of them."""
    made = dict[str, set[str]]()
    for statement in text.statements:
        if not isinstance(statement, Assign):
            continue
        read = set(names(statement.value))
        if statement.name in states:
            for other in read - {statement.name}:
                if statement.name in read and statement.name in made.get(other, set()):
                    yield statement.name
        sources = {n for n in read if n in states} | {m for n in read for m in made.get(n, set())}
        made[statement.name] = sources


def _spread(ends: Ends, rows: int, width: int) -> Ends:
    """One row for each neuron and piece."""
    return Ends(*(np.broadcast_to(end, (rows, width)).reshape(-1) for end in ends))


def _over_pieces(ends: Ends, rows: int, width: int) -> Ends:
    low, high = (np.broadcast_to(end, rows * width).reshape(rows, width) for end in ends)
    return Ends(low.min(axis=1), high.max(axis=1))


def _flat(ranges: Ranges) -> Ranges:
    return {n: Ends(v.low.min(axis=1), v.high.max(axis=1)) for n, v in ranges.items()}


def _hull(first: Ends, second: Ends) -> Ends:
    return Ends(np.minimum(first.low, second.low), np.maximum(first.high, second.high))


def _within(inner: Ends, outer: Ends) -> npt.NDArray[np.bool_]:
    return (outer.low <= inner.low) & (inner.high <= outer.high)

"""The parts of a kernel in the making: its memory, its lines, and what every part must know of the network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neurodeploy.simulator.fast.lanes import held_class, reached_class, stored_type
from neurodeploy.simulator.fast.reached import Reach
from neurodeploy.simulator.machine import Lane, Machine
from neurodeploy.step import Interval

Array = npt.NDArray[np.generic]
#: Rows of memory are as long as a multiple of that, with room for one more piece: vector instructions may run over.
PIECE = 64


def padded(size: int) -> int:
    """Length of a row of memory for so many neurons; what is behind them stays 0."""
    return (size + PIECE - 1) // PIECE * PIECE + PIECE


@dataclass(frozen=True)
class Kind:
    """A neuron kind that has neurons.

    number : which one; names in the code carry it
    parameters : name -> range of its values
    frozen : states that never change, with their value
    reached : states with what they stay in, where that is less than their register, rounded up
    between : state -> where it must be before a step for that to hold
    """

    number: int
    lane: Lane
    parameters: Mapping[str, Interval]
    frozen: Mapping[str, int]
    reached: Mapping[str, Interval]
    between: Mapping[str, Interval]

    @property
    def emits(self) -> str:
        """State that connections deliver."""
        return self.lane.kind.emits

    def width(self, state: str) -> Interval:
        """Range of a state."""
        if state in self.frozen:
            return Interval(self.frozen[state], self.frozen[state])
        return self.reached.get(state, self.lane.kind.states[state].interval)

    def declared(self) -> dict[str, Interval]:
        """State -> what its register holds."""
        return {s: e.interval for s, e in self.lane.kind.states.items()}

    def same(self, name: str) -> bool:
        """Whether a parameter is equal in all neurons."""
        values = self.lane.parameters[name]
        return bool(np.all(values == values[0]))


def kinds_of(
    machine: Machine, frozen: Mapping[str, Mapping[str, int]], reached: Mapping[str, Reach]
) -> dict[str, Kind]:
    """Kinds with neurons, numbered in the order of the chip file."""
    found: dict[str, Kind] = {}
    for name, lane in machine.lanes.items():
        if lane.size:
            ranges = {n: held_class(v, lane.kind.parameters[n].interval) for n, v in lane.parameters.items()}
            declared = {s: e.interval for s, e in lane.kind.states.items()}
            reach = reached.get(name, Reach(declared, declared))
            narrow = {s: reached_class(r, declared[s]) for s, r in reach.within.items()}
            found[name] = Kind(len(found), lane, ranges, frozen.get(name, {}), narrow, reach.between)
    return found


@dataclass
class Code:
    """Lines and memory of one kernel.

    numbers : name -> number that the network decides
    given : name -> array that the network decides
    later : name -> type of an array that each call decides
    work : name -> type and size of memory that each thread needs, 0 at first
    """

    kinds: Mapping[str, Kind]
    numbers: dict[str, int] = field(default_factory=dict)
    given: dict[str, Array] = field(default_factory=dict)
    later: dict[str, str] = field(default_factory=dict)
    work: dict[str, tuple[str, int]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    _level: int = 1
    _tags: int = 0

    def write(self, *lines: str) -> None:
        """Append lines at the present depth."""
        self.lines += ["    " * self._level + line for line in lines]

    def tag(self) -> int:
        """Number that no other part of the code has had: numba gives a name one type."""
        self._tags += 1
        return self._tags

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Lines inside a statement."""
        self.write(head)
        self._level += 1
        yield
        self._level -= 1

    def number(self, name: str, value: int) -> str:
        """Take a number that the network decides."""
        self.numbers[name] = value
        return name

    def array(self, name: str, values: Array, interval: Interval | None = None) -> str:
        """Take an array that the network decides, in the narrowest type of a range (64 bits without)."""
        kind = "int64" if interval is None else stored_type(interval)
        self.given[name] = np.ascontiguousarray(values, kind)
        return name

    def head(self) -> list[str]:
        """Lines that read the table: numbers first, then addresses."""
        kinds = (
            {n: str(a.dtype) for n, a in self.given.items()} | self.later | {n: t for n, (t, _) in self.work.items()}
        )
        lines = ["table = _int64(table_address)"]
        lines += [f"{name} = table[{i}]" for i, name in enumerate(self.numbers)]
        for i, (name, kind) in enumerate(kinds.items(), start=len(self.numbers)):
            lines += [f"address_{name} = table[{i}]", f"{name} = _{kind}(address_{name})"]
        return ["    " + line for line in lines]

    @property
    def emit_type(self) -> str:
        """One type for what all kinds emit."""
        ranges = [k.lane.kind.states[k.emits].interval for k in self.kinds.values()]
        return stored_type(Interval(min(r.low for r in ranges), max(r.high for r in ranges)))

    @property
    def emits_bytes(self) -> bool:
        """Whether what all kinds emit fits a byte each."""
        return np.dtype(self.emit_type).itemsize == 1

    def memory(self, kind: Kind, state: str) -> str:
        """Type of a state in memory."""
        return self.emit_type if state == kind.emits else stored_type(kind.width(state))

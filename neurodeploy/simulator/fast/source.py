"""The kernel of a placed network: all steps of some samples in one function, from the texts, tables and schedule."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips import Phase
from neurodeploy.chips.compile import GIVEN_EXTERNAL
from neurodeploy.simulator.fast.code import Array, Code, Kind, kinds_of, padded
from neurodeploy.simulator.fast.deliveries import Deliveries
from neurodeploy.simulator.fast.freeze import frozen_states
from neurodeploy.simulator.fast.lanes import stored_type
from neurodeploy.simulator.fast.neurons import Neurons, Place, Source
from neurodeploy.simulator.fast.prelude import PRELUDE, short
from neurodeploy.simulator.fast.reached import Reach, reached_states
from neurodeploy.simulator.fast.rows import table_of
from neurodeploy.simulator.fast.tiles import Cut, cut_of
from neurodeploy.simulator.machine import Machine

Frozen = Mapping[str, Mapping[str, int]]
Reached = Mapping[str, Reach]
#: numbers that every kernel is given: which samples, how many steps, all samples, steps taken before, the table's place
NUMBERS = ("low", "high", "steps", "batch", "begin", "table_address")


@dataclass(frozen=True)
class Kernel:
    """Code, and what its table holds: numbers, then addresses.

    numbers, given : those that the network decides
    later : name -> type of the arrays that each call decides
    work : name -> type and size of the memory that each thread needs, 0 at first
    kinds : neuron kinds that have neurons; the code takes what ``width`` says of their states for granted
    memory : (kind, state) -> type of the state in memory
    cut : neurons that can be computed tile by tile
    """

    code: str
    numbers: Mapping[str, int]
    given: Mapping[str, Array]
    later: Mapping[str, str]
    work: Mapping[str, tuple[str, int]]
    kinds: Mapping[str, Kind]
    memory: Mapping[tuple[str, str], str]
    depth: int
    cut: Cut | None

    def signature(self, name: str) -> str:  # noqa: ARG002 - there is one function
        """Types of the arguments, as numba writes them."""
        return f"void({', '.join(['int64'] * len(NUMBERS))})"


def kernel_of(machine: Machine, *, fresh: bool) -> Kernel:
    """Write the kernel of a network.

    fresh : the states begin as after a reset, so that what cannot leave that value needs no code
    """
    return _Writer(machine, fresh=fresh).kernel()


class _Writer:
    def __init__(self, machine: Machine, *, fresh: bool) -> None:
        self.machine = machine
        self.depth = machine.longest_delay + 1
        present = [n for n in machine.chip.connections if any(d.rows for d in machine.deliveries[n])]
        self.tables = {n: table_of(machine, machine.chip.connections[n]) for n in present}
        frozen = frozen_states(machine, self.tables) if fresh else {}
        self._lay_out(frozen, {})
        if fresh:
            arrivals = {n: (d.table, d.additions, d.emitted) for n, d in self.deliveries.items()}
            self._lay_out(frozen, reached_states(machine, frozen, arrivals))
        self.delayed = {n for d in self.deliveries.values() if d.lists_delays for n in d.table.kinds}

    def _lay_out(self, frozen: Frozen, reached: Reached) -> None:
        self.kinds = kinds_of(self.machine, frozen, reached)
        self.code = Code(self.kinds)
        connections = self.machine.chip.connections
        self.deliveries = {
            n: Deliveries(self.code, self.machine, connections[n], table, i)
            for i, (n, table) in enumerate(self.tables.items())
        }

    def kernel(self) -> Kernel:
        code = self.code
        self._memory()
        for delivery in self.deliveries.values():
            delivery.memory()
        code.write("bad = np.int64(0)")
        with code.block("for b in range(low, high):"):
            self._begin()
            with code.block("for t in range(steps):"):
                for number, phase in enumerate(self.machine.chip.schedule):
                    self._phase(number, phase)
                self._end_of_step()
        memory = {(n, s): code.memory(k, s) for n, k in self.kinds.items() for s in k.lane.kind.states}
        head = f"def run({', '.join(NUMBERS)}):\n"
        text = PRELUDE + short(head + "\n".join([*code.head(), *code.lines]) + "\n")
        cut = cut_of(self.kinds, self.deliveries, code.later, self.machine.chip.schedule)
        return Kernel(text, code.numbers, code.given, code.later, code.work, self.kinds, memory, self.depth, cut)

    def _memory(self) -> None:
        """Name the numbers and memory that every kernel has."""
        code = self.code
        code.number("depth", self.depth)
        for name, kind in self.kinds.items():
            k, row = kind.number, padded(kind.lane.size)
            code.number(f"n{k}", kind.lane.size)
            code.number(f"w{k}", row)
            code.number(f"many{k}", row // 8)
            for state in kind.lane.kind.states:
                code.later[f"s{k}_{state}"] = code.memory(kind, state)
            code.work[f"i{k}"] = ("int64", row)
            if self.depth > 1:
                code.later[f"s{k}_history"] = code.emit_type
            if name in self.delayed:
                code.work[f"hi{k}"] = ("int64", self.depth * row)
                code.work[f"hm{k}"] = ("int64", self.depth)
        most = padded(max(k.lane.size for k in self.kinds.values()))
        code.work |= {"chosen": ("int64", most), "times": ("int64", most), "busy": ("int64", most)}
        code.later |= {"records": "int64", "fault": "int64"}

    def _begin(self) -> None:
        """Write how a sample's states are found."""
        code = self.code
        code.write("bad = np.int64(0)", "ring = np.int64(0)")
        for name, kind in self.kinds.items():
            k = kind.number
            code.write(*(f"v{k}_{s} = _from(s{k}_{s}, b * w{k})" for s in kind.lane.kind.states))
            code.write(f"e{k} = v{k}_{kind.emits}", f"m{k} = np.int64(0)", f"stale{k} = True")
            if code.emits_bytes:
                code.write(f"words{k} = _uint64(address_s{k}_{kind.emits} + b * w{k})")
            if self.depth > 1:
                code.write(f"h{k} = _from(s{k}_history, b * depth * w{k})")
            if name in self.delayed:
                with code.block("for a in range(depth):"):
                    code.write(f"hm{k}[a] = _wide_places(n{k}, _from(h{k}, a * w{k}), _from(hi{k}, a * w{k}))")

    def _fresh_list(self, name: str) -> None:
        """Write that the list of a kind's emitting neurons is made anew where it must."""
        code, k = self.code, self.kinds[name].number
        with code.block(f"if stale{k}:"):
            short = f"_places(words{k}, many{k}, e{k}, i{k}, busy)"
            code.write(
                f"m{k} = {short if code.emits_bytes else f'_wide_places(n{k}, e{k}, i{k})'}", f"stale{k} = False"
            )

    def _phase(self, number: int, phase: Phase) -> None:
        code, every = self.code, phase.every
        at = len(code.lines)
        with code.block("if True:" if every is None else f"if (begin + t) % {every.period} == {every.offset}:"):
            if phase.neuron:
                if phase.neuron in self.kinds:
                    self._neurons(number, phase)
            elif phase.name in self.deliveries:
                delivery = self.deliveries[phase.name]
                if not delivery.walks:
                    for name in dict.fromkeys(delivery.table.kinds):
                        self._fresh_list(name)
                delivery.phase()
                if delivery.writes_emitted:
                    code.write(f"stale{delivery.target.number} = True")
        if len(code.lines) == at + 1:
            code.lines.pop()

    def _neurons(self, number: int, phase: Phase) -> None:
        code, kind = self.code, self.kinds[phase.neuron]
        k, handler = kind.number, kind.lane.kind.handlers[phase.handler]
        others = {}
        entry = kind.lane.kind.entry.external
        if entry is not None and GIVEN_EXTERNAL in handler.reads:
            code.later[f"x{k}"] = stored_type(entry.interval)
            code.write(f"external{k} = _from(x{k}, (t * batch + b) * n{k})")
            others[GIVEN_EXTERNAL] = Source(entry.interval, f"external{k}")
        writer = Neurons(code, kind)
        inner = [self.deliveries[c] for c in phase.connections if c in self.deliveries]
        if not inner:
            writer.handler(handler, Place("0", f"n{k}", whole=True), others)
        else:
            scans = self.machine.scans[phase.name]
            code.number(f"scans{number}", len(scans))
            code.array(f"scan{number}_low", np.array([s.part.start for s in scans]))
            code.array(f"scan{number}_high", np.array([s.part.stop for s in scans]))
            with code.block(f"for piece in range(scans{number}):"):
                code.write(f"low_s = scan{number}_low[piece]", f"high_s = scan{number}_high[piece]")
                writer.handler(handler, Place("low_s", "high_s"), others)
                with code.block("for s in range(low_s, high_s):"):
                    for delivery in inner:
                        delivery.inside(phase.neuron)
        written = [kind] if kind.emits in handler.writes else []
        written += [delivery.target for delivery in inner if delivery.writes_emitted]
        code.write(*dict.fromkeys(f"stale{w.number} = True" for w in written))

    def _end_of_step(self) -> None:
        code, size = self.code, np.dtype(self.code.emit_type).itemsize
        if self.depth > 1:
            code.write("ring = (ring + depth - 1) % depth")
            for name, kind in self.kinds.items():
                k = kind.number
                to = f"address_s{k}_history + ((b * depth + ring) * w{k}) * {size}"
                code.write(f"_move({to}, address_s{k}_{kind.emits} + b * w{k} * {size}, n{k} * {size})")
                if name in self.delayed:
                    self._fresh_list(name)
                    code.write(f"hm{k}[ring] = m{k}")
                    with code.block(f"for f in range(m{k}):"):
                        code.write(f"hi{k}[ring * w{k} + f] = i{k}[f]")
        with code.block("for q in range(1, 5 * records[0] + 1, 5):"):
            to, source = "records[q] + (t * batch + b) * records[q + 1]", "records[q + 2] + b * records[q + 3]"
            code.write(f"_move({to}, {source}, records[q + 4])")
        with code.block("if bad != 0:"):
            code.write("fault[b] = t", "break")

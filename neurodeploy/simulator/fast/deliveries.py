"""Code of a delivery: the rows of the sources that emitted, and nothing of the others.

Where the text only adds, rows are added as they lie in memory: neighbours by vector instructions, four rows at once
where the order of the sum is free. It is free where no rail can be met: proved from the weights, or shown in the very
step by the largest state and the rows to come. Everything else runs synapse by synapse as the text has it.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np

from neurodeploy.chips import ConnectionKind
from neurodeploy.simulator.fast.additions import Adder
from neurodeploy.simulator.fast.code import Code, Kind, padded
from neurodeploy.simulator.fast.lanes import Lines, held_class, stored_type, width_of
from neurodeploy.simulator.fast.neurons import Neurons, Place, Source
from neurodeploy.simulator.fast.rows import Table, part_of
from neurodeploy.simulator.fast.synapse import ARRIVING, additions
from neurodeploy.simulator.fast.values import Values
from neurodeploy.simulator.machine import Machine
from neurodeploy.step import Interval, Text


class Deliveries:
    """Writes the deliveries of one connection kind.

    walks : sources are visited one by one, as what they emit changes meanwhile or is of several steps
    dense : all rows of a piece cover the same neighbours
    """

    def __init__(self, code: Code, machine: Machine, kind: ConnectionKind, table: Table, number: int) -> None:
        self.code, self.machine, self.kind, self.table, self.number = code, machine, kind, table, number
        self.target: Kind = code.kinds[kind.target]
        lane = self.target.lane.kind
        sources = [machine.lanes[name].kind for name in set(self.table.kinds)]
        emitted = [source.states[source.emits].interval for source in sources]
        self.emitted = Interval(min(e.low for e in emitted), max(e.high for e in emitted))
        self.own = {n: held_class(v, self._declared(n)) for n, v in self.table.fields.items()}
        self.parameters = {n: self._class_of(n) for n in kind.parameters}
        self.ranges = {s: self.target.width(s) for s in lane.states} | dict(self.target.parameters)
        self.ranges |= {r: e.interval for r, e in kind.registers.items()} | self.parameters | self.own
        self.additions = additions(kind, self.table, self.emitted, self.ranges, lane.states)
        self.sums = {a.name: a.range for a in self.additions or () if a.range is not None}
        inside = any(kind.name in p.connections and p.neuron for p in machine.chip.schedule)
        writes_source = kind.target in self.table.kinds and lane.emits in kind.on_input.writes
        self.walks = inside or writes_source or (bool(self.table.delays.any()) and not kind.apart)
        self.dense = self.additions is not None and not self.walks and self.table.dense
        self.lists_delays = not self.walks and bool(self.table.delays.any())

    def _declared(self, name: str) -> Interval:
        if name in self.kind.parameters:
            return self.kind.parameters[name].interval
        return self.kind.stored_ranges[name]

    def _class_of(self, name: str) -> Interval:
        values = [d.registers[name] for d in self.table.pieces if name in d.registers]
        return held_class(np.array(values, np.int64), self._declared(name))

    @property
    def ones(self) -> bool:
        """Whether at most one event of a source arrives."""
        return self.emitted == Interval(0, 1)

    @property
    def writes_emitted(self) -> bool:
        """Whether a delivery may change what its targets emit."""
        written = self.kind.on_input.writes | (self.kind.on_sum.writes if self.kind.on_sum else frozenset())
        return self.target.emits in written

    def type_of(self, name: str) -> str:
        """Type in memory of a state or accumulator that is written."""
        if name in self.sums:
            return f"int{width_of(self.sums[name])}"
        if name in self.kind.registers:
            return stored_type(self.kind.registers[name].interval)
        return self.code.memory(self.target, name)

    def array(self, name: str) -> str:
        """What the code calls a state or accumulator."""
        return f"g{self.number}_{name}" if name in self.kind.registers else f"v{self.target.number}_{name}"

    def memory(self) -> None:
        """Name the tables and accumulators."""
        code, c, table = self.code, self.number, self.table
        code.number(f"d{c}_pieces", len(table.pieces))
        for name, values in (("first", table.first), ("last", table.last), ("base", table.base)):
            code.array(f"d{c}_{name}", values)
        names = list(code.kinds)
        code.array(f"d{c}_kind", np.array([names.index(k) for k in table.kinds], np.int64))
        if self.walks:
            code.array(f"d{c}_ends", table.ends)
            code.array(f"d{c}_rows", table.row_ends)
            code.array(f"d{c}_delay", table.delays)
        else:
            code.array(f"d{c}_at", table.row_ends[table.ends])
            code.array(f"d{c}_delay", np.array([d.delay for d in table.pieces], np.int64))
        if not self.dense:
            kind = np.uint16 if self.target.lane.size <= np.iinfo(np.uint16).max + 1 else np.uint32
            code.given[f"d{c}_to"] = table.targets.astype(kind)
        if self.additions is None:
            for name, values in table.fields.items():
                if name in self.kind.on_input.reads:
                    code.array(f"d{c}_{name}", values, self.own[name])
        code.work |= {self.array(r): (self.type_of(r), padded(self.target.lane.size)) for r in self.kind.registers}
        if self.kind.on_sum is not None or self.kind.registers:
            self._parts()

    def _parts(self) -> None:
        """Name which neurons a piece sums at, and its registers."""
        code, c = self.code, self.number
        parts = [part_of(p.part, self.target.lane) for p in self.table.pieces]
        ends = np.cumsum([0, *(listed.size for _, _, listed in parts)])
        code.array(f"d{c}_low", np.array([low for low, _, _ in parts]))
        code.array(f"d{c}_high", np.array([high for _, high, _ in parts]))
        code.array(f"d{c}_list_low", ends[:-1])
        code.array(f"d{c}_list_high", ends[1:])
        code.array(f"d{c}_list", np.concatenate([listed for _, _, listed in parts]))
        for name in self.kind.parameters:
            code.array(f"d{c}_p_{name}", np.array([p.registers.get(name, 0) for p in self.table.pieces], np.int64))

    # --- phases -------------------------------------------------------------------------------------------------------

    def phase(self) -> None:
        """Write the delivery of everything that arrived."""
        with self._pieces():
            self._on_parts(self._zero)
            self.code.write("hits = np.int64(0)")
            self._sources(dict.fromkeys(self.table.kinds))
            if self.walks:
                with self.code.block("for s in range(first, last):"):
                    self._walk()
            else:
                self._listed()
            if self.kind.on_sum is not None:
                self._sum()

    def inside(self, name: str) -> None:
        """Write what source ``s`` of a neuron scan delivers."""
        with self._pieces():
            self.code.write("hits = np.int64(0)")
            with self.code.block("if s >= first and s < last:"):
                self._sources([name])
                self._walk()

    def _sources(self, names: Collection[str]) -> None:
        """Write where what the sources of a piece emit, or emitted, is found."""
        several = len(names) > 1
        for name in names:
            number = list(self.code.kinds).index(name)
            k, lines = self.code.kinds[name].number, []
            if self.table.delays.any():
                lag = self.machine.chip.lag(self.kind.name, name)
                lines += [f"past = h{k}", f"distance = w{k}", f"youngest = ring - 1 + {lag}"]
            if not self.walks:
                lines += [f"places = i{k}", f"many = m{k}"]
            if self.lists_delays:
                lines += [f"past_places = hi{k}", f"past_many = hm{k}"]
            with self.code.block(f"if d{self.number}_kind[d] == {number}:") if several else nullcontext():
                self.code.write(f"what = e{k}", *lines)

    @contextmanager
    def _pieces(self) -> Iterator[None]:
        c = self.number
        with self.code.block(f"for d in range(d{c}_pieces):"):
            self.code.write(f"first = d{c}_first[d]", f"last = d{c}_last[d]", f"base = d{c}_base[d]")
            yield

    def _on_parts(self, write: Callable[[Place], None]) -> None:
        """Write the same for neighbours and for listed neurons, whichever the pieces have."""
        if not self.kind.registers and self.kind.on_sum is None:
            return
        c, close = self.number, [isinstance(p.part, slice) for p in self.table.pieces]
        if any(close):
            self.code.write(f"part_low = d{c}_low[d]", f"part_high = d{c}_high[d]")
            write(Place("part_low", "part_high"))
        if not all(close):
            self.code.write(f"list_low = d{c}_list_low[d]", f"list_high = d{c}_list_high[d]")
            write(Place("list_low", "list_high", f"d{c}_list"))

    def _zero(self, place: Place) -> None:
        code, tag = self.code, self.code.tag()
        for name in self.kind.registers:
            array, zero = self.array(name), f"np.{self.type_of(name)}(0)"
            if place.listed:
                with code.block(f"for z in range({place.low}, {place.high}):"):
                    code.write(f"{array}[{place.listed}[z]] = {zero}")
                continue
            code.write(f"t{tag}_{name} = _from({array}, {place.low})")
            with code.block(f"for j in range({place.high} - {place.low}):"):
                code.write(f"t{tag}_{name}[j] = {zero}")

    def _sum(self) -> None:
        """Write ``on_sum``; where nothing arrived and zero sums change nothing, it is left out."""
        kind, c = self.kind, self.number
        if kind.on_sum is None:
            return
        handler, writer = kind.on_sum, Neurons(self.code, self.target)
        registers = {n: Source(r, f"d{c}_p_{n}[d]", is_array=False) for n, r in self.parameters.items()}
        sums = {r: Source(self.sums.get(r, e.interval), self.array(r)) for r, e in kind.registers.items()}
        nothing = {r: Source(Interval(0, 0), self.array(r)) for r in kind.registers}
        idle = writer.changes(handler, nothing | registers)
        with self.code.block("if True:" if idle else "if hits != 0:"):
            self._on_parts(lambda place: writer.handler(handler, place, sums | registers))

    # --- sources ------------------------------------------------------------------------------------------------------

    def _walk(self) -> None:
        """Write the rows of source ``s`` of piece ``d``, as the source emits now."""
        code, c = self.code, self.number
        code.write("now = np.int64(what[s])")
        with code.block(f"for r in range(d{c}_ends[base + s], d{c}_ends[base + s + 1]):"):
            code.write("c = now")
            if self.table.delays.any():
                with code.block(f"if d{c}_delay[r] > 0:"):
                    code.write(f"c = np.int64(past[(youngest + d{c}_delay[r]) % depth * distance + s])")
            with code.block("if c != 0:"):
                code.write("hits += 1", f"y0 = d{c}_rows[r]", f"y1 = d{c}_rows[r + 1]")
                self._row()

    def _listed(self) -> None:
        """Write the rows of the sources that are listed as emitting."""
        code, c = self.code, self.number
        adder = Adder(self) if self.additions else None
        if self.lists_delays:
            with code.block(f"if d{c}_delay[d] > 0:"):
                code.write(f"slot = (youngest + d{c}_delay[d]) % depth", "many = past_many[slot]")
                code.write("places = _from(past_places, slot * distance)", "what = _from(past, slot * distance)")
        if adder:
            adder.begin()
        with code.block("for f in range(many):"):
            code.write("s = places[f]")
            with code.block(f"if s >= first and s < last and d{c}_at[base + s] < d{c}_at[base + s + 1]:"):
                code.write("chosen[hits] = base + s", *([] if self.ones else ["times[hits] = np.int64(what[s])"]))
                if adder:
                    adder.count()
                code.write("hits += 1")
        if adder:
            adder.add()
        elif self.additions is None:
            self._each_row(self._row)

    def _each_row(self, write: Callable[[], None]) -> None:
        code, c = self.code, self.number
        with code.block("for f in range(hits):"):
            code.write("s = chosen[f]", f"y0 = d{c}_at[s]", f"y1 = d{c}_at[s + 1]")
            if not self.ones:
                code.write("c = times[f]")
            write()

    def _row(self) -> None:
        """Write the synapses ``y0`` to ``y1``, each of which meets ``c`` events."""
        if self.additions is None:
            self._as_written()
        elif self.additions:
            Adder(self).row()

    def _as_written(self) -> None:
        """Write the text itself for each synapse, every value checked."""
        code, c, handler, tag = self.code, self.number, self.kind.on_input, self.code.tag()
        values, known = Values(), dict[int, str]()
        widths = {n: e.interval for n, e in (self.kind.registers or self.target.lane.kind.states).items()}
        arriving = values.const(1) if self.ones else values.leaf(ARRIVING, self.emitted)
        if not self.ones:
            known[arriving] = f"c{tag}"
            code.write(f"c{tag} = np.int{width_of(self.emitted)}(c)")
        needed = handler.reads | handler.writes
        before = {n: values.leaf(n, r) for n, r in self.ranges.items() if n in needed} | {ARRIVING: arriving}
        after = dict(before)
        values.follow(Text(handler.text.statements, handler.text.source, handler.text.where), after, widths)
        changed = sorted(s for s in handler.writes if after[s] != before[s] and s not in self.target.frozen)
        if not changed:
            return
        used, writer = values.needed(after[s] for s in changed), Neurons(code, self.target)
        with code.block("for y in range(y0, y1):"):
            code.write(f"j = np.int64(d{c}_to[y])")
            for name, node in before.items():
                if node not in used or values.nodes[node].op != "leaf" or node in known:
                    continue
                if name in self.own:
                    found = f"d{c}_{name}[y]"
                elif name in self.kind.registers:
                    found = f"{self.array(name)}[j]"
                else:
                    place, is_array = writer.source(name, {})
                    found = f"{place}[j]" if is_array else place
                code.write(f"o{tag}_{name} = np.int{width_of(values.nodes[node].range)}({found})")
                known[node] = f"o{tag}_{name}"
            lines = Lines(values, known, f"n{tag}_")
            code.write(*lines.write(after[s] for s in changed))
            for s in changed:
                code.write(*writer.checked(values.nodes[after[s]].range, lines.ref(after[s]), widths[s]))
            code.write(*(f"{self.array(s)}[j] = np.{self.type_of(s)}({lines.ref(after[s])})" for s in changed))

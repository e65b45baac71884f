"""What arrives over a connection: tables of rows and synapses, and the states that walk them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from neurodeploy.chips.compile import DELAY
from neurodeploy.emit.verilog.datapath import Wire, literal
from neurodeploy.emit.verilog.memories import (
    Ints,
    Table,
    address_bits,
    declare_table,
    number,
    read_signed,
    table,
)
from neurodeploy.simulator.machine import Delivery
from neurodeploy.step import Interval
from neurodeploy.step.intervals import hull

if TYPE_CHECKING:
    from neurodeploy.emit.verilog.module import Writer

ARRIVING = "arriving"
Columns = dict[str, Ints | list[int]]


class Deliverer:
    """A connection kind with all its deliveries; writes its states into the control.

    A row costs three cycles and, where its source emitted, two and one for each word of synapses: a word holds a
    synapse for each lane, so that a lane meets its own neurons alone. A word takes three stages: it is read, then its
    targets, then the text runs and writes; no target stands twice in a row, so that one word follows another.
    back : state that follows a delivery
    first : state that begins one
    """

    def __init__(self, writer: "Writer", name: str, deliveries: Sequence[Delivery], *, back: str) -> None:
        self.w, self.name, self.deliveries, self.back = writer, name, list(deliveries), back
        self.kind = writer.network.chip.connections[name]
        self.rows = [row for d in deliveries for row in d.rows]
        self.up = f"C_{name.upper()}"
        self.tables: dict[str, Table] = {}
        self.first = f"{self.up}_BEGIN"
        self.sources = list(dict.fromkeys(row.source_kind for row in self.rows))
        target = writer.lanes[self.kind.target].kind
        #: whether a row may change what its own source shows: the rows of a source see what it was before the first
        self.changes = target.emits in self.kind.on_input.writes and self.kind.target in self.sources
        self.before = ""
        self._rows()
        self._synapses()
        self._spans()
        self.w.start += [f"{t}_{name}_n <= {number(0, self._bits(t))};" for t in ("row", "syn", "del")]
        self._texts()
        self._states()

    def _bits(self, suffix: str) -> int:
        """Bits of the counter of a table, which also reaches the end."""
        return address_bits(self.tables[suffix].size + 1)

    def _declare(self, suffix: str, columns: Columns, size: int, banks: int = 1) -> None:
        made = table(f"{suffix}_{self.name}", size, columns, banks)
        self.tables[suffix] = made
        self.w.declared.append(f"    reg [{self._bits(suffix) - 1}:0] {made.name}_n;")
        self.w.declared += declare_table(made, f"{made.name}_n", self.w.files, f"{self.w.name}_{made.name}.hex")

    def _rows(self) -> None:
        rows, banks, lag = self.rows, self.w.banks, self.w.network.chip.lag
        later, last = [], []
        for d in self.deliveries:
            for _, own in groupby(d.rows, lambda r: (r.source_kind, r.source)):
                later += [int(i > 0) for i, _ in enumerate(own)]
            last += [0] * (len(d.rows) - 1) + [1]
        self.words = [self._words(row.targets) for row in rows]
        columns: Columns = {
            "source": [row.source // banks for row in rows],
            "bank": [row.source % banks for row in rows],
            "kind": [self.sources.index(row.source_kind) for row in rows],
            "delayed": [int(row.delay > 0) for row in rows],
            "back": [row.delay and row.delay - 1 + lag(self.name, row.source_kind) for row in rows],
            "count": [size for size, _, _ in self.words],
            "later": later if self.changes else [0] * len(rows),
            "last": last,
        }
        self._declare("row", columns, len(rows))

    def _words(self, targets: Ints) -> tuple[int, Ints, Ints]:
        """How many words hold these neurons, one for each bank, and of each neuron its word and bank."""
        bank = targets % self.w.banks
        order = np.argsort(bank, kind="stable")
        counts = np.bincount(bank, minlength=self.w.banks)
        word = np.empty_like(bank)
        word[order] = np.arange(bank.size) - np.repeat(np.cumsum(counts) - counts, counts)
        return int(counts.max()), word, bank

    def _packed(self, words: Sequence[tuple[int, Ints, Ints]], values: Sequence[Ints]) -> Ints:
        """(word, bank) of values; where a word has none for a bank, one that stands in its row."""
        parts = []
        for (size, word, bank), own in zip(words, values, strict=True):
            part = np.full((size, self.w.banks), own[0])
            part[word, bank] = own
            parts.append(part)
        return np.concatenate(parts)

    def _valid(self, words: Sequence[tuple[int, Ints, Ints]]) -> Ints:
        parts = []
        for size, word, bank in words:
            part = np.zeros((size, self.w.banks), np.int64)
            part[word, bank] = 1
            parts.append(part)
        return np.concatenate(parts)

    def _synapses(self) -> None:
        kind, rows, banks = self.kind, self.rows, self.w.banks
        fields = [n for n in kind.fields if n != DELAY and n in kind.on_input.reads]
        columns: Columns = {n: self._packed(self.words, [row.fields[n] for row in rows]) for n in fields}
        columns["target"] = self._packed(self.words, [row.targets // banks for row in rows])
        columns["valid"] = self._valid(self.words)
        self._declare("syn", columns, sum(size for size, _, _ in self.words), banks)

    def _spans(self) -> None:
        """Neurons on which a delivery acts: as ranges of addresses, or as words of a table where there are gaps."""
        kind, banks = self.kind, self.w.banks
        spans = [self.span(d) for d in self.deliveries]
        self.scattered = any(not np.array_equal(s, np.arange(s[0], s[0] + s.size)) for s in spans)
        words = [self._words(s) for s in spans]
        ends = np.cumsum([0, *(size for size, _, _ in words)])
        low = ends[:-1] if self.scattered else np.array([s[0] // banks for s in spans])
        high = ends[1:] - 1 if self.scattered else np.array([s[-1] // banks for s in spans])
        self.walked = int((high - low + 1).sum())
        reads = kind.on_input.reads | (kind.on_sum.reads if kind.on_sum is not None else frozenset())
        names = [n for n in dict.fromkeys(n for d in self.deliveries for n in d.registers) if n in reads]
        columns: Columns = {n: [int(d.registers[n]) for d in self.deliveries] for n in names}
        columns |= {"first of all": low, "last of all": high}
        lanes = np.arange(banks)
        columns["first lanes"] = [int((1 << lanes[lanes >= s[0] % banks]).sum()) for s in spans]
        columns["last lanes"] = [int((1 << lanes[lanes <= s[-1] % banks]).sum()) for s in spans]
        self._declare("del", columns, len(self.deliveries))
        self.shared = {n: self.w.bound(f"del_{self.name}_{n}", self.tables["del"].wire(n)) for n in names}
        if self.scattered and (kind.registers or kind.on_sum is not None):
            places = {
                "neuron": self._packed(words, [s // banks for s in spans]),
                "valid": self._valid(words),
            }
            made = self.tables["pos"] = table(f"pos_{self.name}", int(ends[-1]), dict(places), banks)
            self.w.declared += declare_table(made, "n", self.w.files, f"{self.w.name}_{made.name}.hex")

    @staticmethod
    def span(d: Delivery) -> Ints:
        """Neurons on which a delivery acts."""
        return np.arange(d.part.start, d.part.stop) if isinstance(d.part, slice) else np.asarray(d.part, np.int64)

    def _texts(self) -> None:
        w, kind, name = self.w, self.kind, self.name
        lane = w.lanes[kind.target]
        kept = {s: w.memories[kind.target, s] for s in lane.kind.states}
        wires = dict(w.wires_of[kind.target]) | self.shared
        self.sums = {}
        for register, entry in kind.registers.items():
            memory = w.memory(name, register, entry.interval, lane.size)
            self.sums[register] = memory
            memory.writes[f"OP_{self.up}_CLEAR"] = (Wire("", Interval(0, 0)), "")
            kept[register] = memory
            wires[register] = w.shown(memory, entry.interval)
        emitted = [w.memories[k, w.lanes[k].kind.emits] for k in self.sources]
        counts = hull(*(w.held(m) for m in emitted), Interval(0, 0))
        self.arriving = Wire(f"arriving_{name}", counts)
        w.declared.append(f"    reg signed [{self.arriving.bits - 1}:0] {self.arriving.code};")
        syn, held = self.tables["syn"], f"syn_{name}_x"
        if syn.width:
            w.declared += [
                f"    reg [{syn.bits - 1}:0] {held};",
                f"    always @(posedge clk) {held} <= syn_{name}_q;",
            ]
        fields = {
            n: w.bound(f"syn_{name}_{n}", syn.wire(n, held), banked=True)
            for n in syn.columns
            if n not in {"target", "valid"}
        }
        given = wires | fields | {ARRIVING: self.arriving}
        w.text(f"{name}_event", f"OP_{self.up}_EVENT", kind.on_input, given, kept)
        if kind.on_sum is not None:
            w.text(f"{name}_sum", f"OP_{self.up}_SUM", kind.on_sum, wires, kept)

    def _states(self) -> None:
        w, up, name, a = self.w, self.up, self.name, self.w.address
        begin = self.tables["del"].code("first of all", a)
        left = address_bits(max(size for size, _, _ in self.words) + 1)
        w.declared += [f"    reg [{left - 1}:0] left_{name};", f"    reg valid_{name};"]
        row, syn = self.tables["row"].code, self.tables["syn"]
        after = f"{up}_SUM" if self.kind.on_sum is not None else f"{up}_OUT"
        w.states.add(f"{up}_BEGIN", f"state <= {up}_START;")  # the word of the delivery is read
        clear = bool(self.kind.registers)
        w.states.add(f"{up}_START", f"n <= {begin};", f"state <= {up}_CLEAR;" if clear else f"state <= {up}_ROW;")
        if clear:
            self._walk("CLEAR", f"{up}_ROW")
        w.states.add(f"{up}_ROW", f"state <= {up}_SOURCE;")
        w.states.add(f"{up}_SOURCE", f"state <= {up}_EMITTED;")
        w.states.issue(f"state == {up}_SOURCE", row("source", a), "OP_NONE")
        self._emitted()
        none = f"emitted_{name} == {literal(0, self.arriving.bits)}"
        words, more = row("count", self._bits("syn")), f"{row('last', 1)} == 1'd0"
        w.states.add(
            f"{up}_EMITTED",
            f"arriving_{name} <= emitted_{name};",
            *([self.before] if self.changes else []),
            f"left_{name} <= {row('count', left)};",
            f"state <= {up}_SYNAPSE;",
            f"if ({none}) begin",
            f"    syn_{name}_n <= syn_{name}_n + {words};",
            f"    state <= ({more}) ? {up}_ROW : {up}_END;",
            f"    if ({more}) row_{name}_n <= row_{name}_n + 1'b1;",
            "end",
        )
        w.states.add(
            f"{up}_SYNAPSE",
            f"syn_{name}_n <= syn_{name}_n + 1'b1;",
            f"left_{name} <= left_{name} - 1'b1;",
            f"valid_{name} <= 1'b1;",
            f"if (left_{name} == {number(1, left)}) state <= {up}_LAST;",
        )
        w.states.issue(f"valid_{name}", syn.code("target", a), f"OP_{up}_EVENT", syn.code("valid", 1))
        w.states.add(f"{up}_LAST", f"valid_{name} <= 1'b0;", f"state <= {up}_END;")
        w.states.add(
            f"{up}_END",
            f"row_{name}_n <= row_{name}_n + 1'b1;",
            f"n <= {begin};",
            f"state <= ({more}) ? {up}_ROW : {after};",
        )
        if self.kind.on_sum is not None:
            self._walk("SUM", f"{up}_OUT")
        w.states.add(
            f"{up}_OUT", f"n <= {number(0, a)};", f"del_{name}_n <= del_{name}_n + 1'b1;", f"state <= {self.back};"
        )
        w.quiet += 3 * len(self.rows) + 6 * len(self.deliveries)
        w.busy += sum(size + 2 for size, _, _ in self.words) - len(self.deliveries)
        w.quiet += (int(clear) + int(self.kind.on_sum is not None)) * self.walked

    def _walk(self, what: str, after: str) -> None:
        """One op on every neuron of the delivery."""
        w, name, a, d = self.w, f"{self.up}_{what}", self.w.address, self.tables["del"]
        last = d.code("last of all", a)
        if not self.scattered:
            w.states.add(name, f"if (n == {last}) state <= {name}_END; else n <= n + 1'b1;")
            w.states.issue(f"state == {name}", "n", f"OP_{name}", self._lanes(name.lower()))
            w.states.add(f"{name}_END", f"state <= {after};")
            return
        flag, pos = f"walk_{self.name}_{what.lower()}", self.tables["pos"]
        w.declared.append(f"    reg {flag};")
        w.walks.append(flag)
        w.states.add(name, f"{flag} <= 1'b1;", f"if (n == {last}) state <= {name}_LAST; else n <= n + 1'b1;")
        w.states.issue(flag, pos.code("neuron", a), f"OP_{name}", pos.code("valid", 1))
        w.states.add(f"{name}_LAST", f"{flag} <= 1'b0;", f"state <= {name}_END;")
        w.states.add(f"{name}_END", f"state <= {after};")

    def _lanes(self, name: str) -> str:
        """In which lanes the addresses of a range are those of its neurons."""
        ends = ("first of all", "first lanes"), ("last of all", "last lanes")
        return self.w.part_lanes(name, self.tables["del"], *ends)

    def _emitted(self) -> None:
        """What the source of the row emitted, its delay before; all rows of a source see it as before the first."""
        w, name, row, bits = self.w, self.name, self.tables["row"], self.arriving.bits
        bank = row.code("bank", address_bits(w.banks))
        delayed, chosen = row.code("delayed", 1), ""
        for i, kind in reversed(list(enumerate(self.sources))):
            memory = w.memories[kind, w.lanes[kind].kind.emits]
            emits = w.held(memory)
            now = w.bound(f"now_{kind}_{name}", read_signed(w.chosen(memory.name, memory.bits, bank), emits))
            here = now.sized(bits)
            if self.changes and kind == self.kind.target:
                before = replace(now, code=f"before_{name}")
                w.declared.append(f"    reg signed [{before.bits - 1}:0] {before.code};")
                self.before = f"if ({row.code('later', 1)} == 1'd0) {before.code} <= {now.code};"
                here = f"(({row.code('later', 1)} == 1'd0) ? {here} : {before.sized(bits)})"
            mine = [r.delay for r in self.rows if r.source_kind == kind]
            if any(mine):
                w.pasts.append((kind, name))
                past = w.chosen(f"past_{kind}_{name}", memory.bits, bank)
                then = w.bound(f"then_{kind}_{name}", read_signed(past, emits)).sized(bits)
                here = then if all(mine) else f"(({delayed} == 1'd0) ? {here} : {then})"
            which = address_bits(len(self.sources))
            chosen = f"(({row.code('kind', which)} == {number(i, which)}) ? {here} : {chosen})" if chosen else here
        w.declared.append(f"    wire signed [{bits - 1}:0] emitted_{name} = {chosen};")

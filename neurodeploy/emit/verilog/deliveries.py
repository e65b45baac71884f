"""What arrives over a connection: tables of rows and synapses, and the states that walk them."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from neurodeploy.chips.compile import DELAY
from neurodeploy.emit.verilog.datapath import Wire
from neurodeploy.emit.verilog.memories import Ints, Table, address_bits, declare_table, table
from neurodeploy.errors import Fault, Refusal
from neurodeploy.simulator.machine import Delivery, Row
from neurodeploy.step import Interval
from neurodeploy.step.intervals import hull

if TYPE_CHECKING:
    from neurodeploy.emit.verilog.module import Writer

ARRIVING = "arriving"


class Deliverer:
    """A connection kind with all its deliveries; writes its states into the control.

    A row costs four cycles and one for each synapse whose source emitted. Each synapse takes three stages: its word is
    read, then its target, then the text runs and writes; no target stands twice in a row, so that one follows another.
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
        self._refuse()
        self._tables()
        self.row = self.tables["row"]
        self._texts()
        self._states()

    def _refuse(self) -> None:
        target = self.w.lanes[self.kind.target].kind
        if target.emits in self.kind.on_input.writes and any(row.delay for row in self.rows):
            where = f"{self.w.network.chip.name}, verilog, {self.name}"
            was = "a text that writes what it delivers, over synapses with delays"
            must = "no delays on this connection: a row may change what its source showed before an older row is read"
            raise Refusal(Fault("ND1901", where, was, must, "remove the delays, or emit C or ONNX"))

    def _declare(self, suffix: str, columns: dict[str, Ints | list[int]], size: int) -> None:
        made = table(f"{suffix}_{self.name}", size, columns)
        self.w.declared += declare_table(made, f"{made.name}_n", self.w.files, f"{self.w.name}_{made.name}.hex")
        self.w.declared.append(f"    reg [{address_bits(size + 1)}:0] {made.name}_n;")
        self.tables[suffix] = made

    def _tables(self) -> None:
        rows, kind = self.rows, self.kind
        self.sources = list(dict.fromkeys(row.source_kind for row in rows))
        again, last = [], []
        for d in self.deliveries:
            for _, own in groupby(d.rows, lambda r: (r.source_kind, r.source, r.delay)):
                again += [int(i > 0) for i, _ in enumerate(own)]
            last += [0] * (len(d.rows) - 1) + [1]
        columns: dict[str, Ints | list[int]] = {
            "source": [row.source for row in rows],
            "kind": [self.sources.index(row.source_kind) for row in rows],
            "delay": [row.delay for row in rows],
            "count": [row.targets.size for row in rows],
            "again": again,
            "last": last,
        }
        self._declare("row", columns, len(rows))
        reads = kind.on_input.reads
        fields: dict[str, Ints | list[int]] = {
            n: np.concatenate([row.fields[n] for row in rows]) for n in kind.fields if n != DELAY and n in reads
        }
        self._declare(
            "syn", fields | {"target": np.concatenate([row.targets for row in rows])}, sum(r.targets.size for r in rows)
        )
        spans = [self.span(d) for d in self.deliveries]
        ends = np.cumsum([0, *(s.size for s in spans)])
        self.scattered = any(not np.array_equal(s, np.arange(s[0], s[0] + s.size)) for s in spans)
        low = ends[:-1] if self.scattered else np.array([s[0] for s in spans])
        high = ends[1:] if self.scattered else np.array([s[-1] + 1 for s in spans])
        reads = reads | (kind.on_sum.reads if kind.on_sum is not None else frozenset())
        names = [n for n in dict.fromkeys(n for d in self.deliveries for n in d.registers) if n in reads]
        given: dict[str, Ints | list[int]] = {n: [int(d.registers[n]) for d in self.deliveries] for n in names}
        self._declare("del", given | {"first of all": low, "last of all": high - 1}, len(self.deliveries))
        self.shared = {n: self.tables["del"].wire(n) for n in names}
        if self.scattered and (kind.registers or kind.on_sum is not None):
            self._declare("pos", {"neuron": np.concatenate(spans)}, int(ends[-1]))
        self.w.start += [f"{t}_{self.name}_n <= 0;" for t in ("row", "syn", "del")]

    @staticmethod
    def span(d: Delivery) -> Ints:
        """Neurons on which a delivery acts."""
        return np.arange(d.part.start, d.part.stop) if isinstance(d.part, slice) else np.asarray(d.part, np.int64)

    def _texts(self) -> None:
        w, kind = self.w, self.kind
        lane = w.lanes[kind.target]
        kept = {s: w.memories[kind.target, s] for s in lane.kind.states}
        wires = dict(w.wires_of[kind.target]) | self.shared
        self.sums = {}
        for register, entry in kind.registers.items():
            memory = w.memory(self.name, register, entry.interval, lane.size)
            self.sums[register] = memory
            memory.writes[f"OP_{self.up}_CLEAR"] = ("1'b0", "")
            kept[register] = memory
            wires[register] = w.shown(memory, entry.interval)
        emitted = [w.wires_of[k][w.lanes[k].kind.emits].range for k in self.sources]
        counts = hull(*emitted, Interval(0, 0))
        top = max(counts.high.bit_length(), (~counts.low).bit_length() if counts.low < 0 else 0)
        w.declared.append(f"    reg signed [{top}:0] arriving_{self.name};")
        held = f"syn_{self.name}_x"
        if self.tables["syn"].width:
            w.declared += [
                f"    reg [{self.tables['syn'].width - 1}:0] {held};",
                f"    always @(posedge clk) {held} <= syn_{self.name}_q;",
            ]
        fields = {n: self.tables["syn"].wire(n, held) for n in self.tables["syn"].columns if n != "target"}
        arriving = {ARRIVING: Wire(f"arriving_{self.name}", counts)}
        w.text(f"{self.name}_event", f"OP_{self.up}_EVENT", kind.on_input, wires | fields | arriving, kept)
        if kind.on_sum is not None:
            w.text(f"{self.name}_sum", f"OP_{self.up}_SUM", kind.on_sum, wires, kept)

    def _states(self) -> None:
        w, up, name = self.w, self.up, self.name
        begin, last = self.tables["del"].wire("first of all").code, self.tables["del"].wire("last of all").code
        w.declared += [f"    reg [{address_bits(int(max(r.targets.size for r in self.rows)) + 1)}:0] left_{name};"]
        w.declared.append(f"    reg valid_{name};")
        row = self.tables["row"].wire
        after = f"{up}_SUM" if self.kind.on_sum is not None else f"{up}_OUT"
        w.states.add(f"{up}_BEGIN", f"state <= {up}_START;")  # the word of the delivery is read
        clear = bool(self.kind.registers)
        w.states.add(f"{up}_START", f"n <= {begin};", f"state <= {up}_CLEAR;" if clear else f"state <= {up}_ROW;")
        if clear:
            self._walk("CLEAR", last, f"{up}_ROW")
        w.states.add(f"{up}_ROW", f"state <= {up}_SOURCE;")
        w.states.add(f"{up}_SOURCE", f"state <= {up}_EMITTED;")
        w.states.issue(f"state == {up}_SOURCE", row("source").code, "OP_NONE")
        count = row("count").code
        w.declared.append(f"    wire signed [{self._bits()}:0] emitted_{name} = {self._emitted()};")
        w.states.add(
            f"{up}_EMITTED",
            f"arriving_{name} <= emitted_{name};",
            f"left_{name} <= {count};",
            f"if (emitted_{name} == 0) syn_{name}_n <= syn_{name}_n + {count};",
            f"state <= (emitted_{name} == 0) ? {up}_END : {up}_SYNAPSE;",
        )
        w.states.add(
            f"{up}_SYNAPSE",
            f"syn_{name}_n <= syn_{name}_n + 1'b1;",
            f"left_{name} <= left_{name} - 1'b1;",
            f"valid_{name} <= 1'b1;",
            f"if (left_{name} == 1) state <= {up}_LAST;",
        )
        w.states.issue(f"valid_{name}", self.tables["syn"].wire("target").code, f"OP_{up}_EVENT")
        w.states.add(f"{up}_LAST", f"valid_{name} <= 1'b0;", f"state <= {up}_END;")
        w.states.add(
            f"{up}_END",
            f"row_{name}_n <= row_{name}_n + 1'b1;",
            f"n <= {begin};",
            f"state <= ({row('last').code} != 0) ? {after} : {up}_ROW;",
        )
        if self.kind.on_sum is not None:
            self._walk("SUM", last, f"{up}_OUT")
        w.states.add(f"{up}_OUT", "n <= 0;", f"del_{name}_n <= del_{name}_n + 1'b1;", f"state <= {self.back};")
        w.quiet += 4 * len(self.rows) + 5 * len(self.deliveries)
        w.busy += sum(r.targets.size + 1 for r in self.rows)
        w.quiet += (int(clear) + int(self.kind.on_sum is not None)) * sum(self.span(d).size for d in self.deliveries)

    def _walk(self, what: str, last: str, after: str) -> None:
        """One op on every neuron of the delivery."""
        w, name = self.w, f"{self.up}_{what}"
        at_end = f"$signed({{1'b0, n}}) == {last}"
        if not self.scattered:
            w.states.add(name, f"if ({at_end}) state <= {name}_END; else n <= n + 1'b1;")
            w.states.issue(f"state == {name}", "n", f"OP_{name}")
            w.states.add(f"{name}_END", f"state <= {after};")
            return
        flag = f"walk_{self.name}_{what.lower()}"
        w.declared.append(f"    reg {flag};")
        w.walks.append(flag)
        if what == "CLEAR" or not self.kind.registers:
            w.declared.append(f"    always @* pos_{self.name}_n = n;")
        w.states.add(name, f"{flag} <= 1'b1;", f"if ({at_end}) state <= {name}_LAST; else n <= n + 1'b1;")
        w.states.issue(flag, self.tables["pos"].wire("neuron").code, f"OP_{name}")
        w.states.add(f"{name}_LAST", f"{flag} <= 1'b0;", f"state <= {name}_END;")
        w.states.add(f"{name}_END", f"state <= {after};")

    def _bits(self) -> int:
        return 1 + max(self.w.memories[k, self.w.lanes[k].kind.emits].bits for k in self.sources)

    def _emitted(self) -> str:
        """What the source of the row emitted, its delay before; of a repeated source what was read for the first."""
        w, name = self.w, self.name
        parts = []
        for kind in self.sources:
            now = w.wires_of[kind][w.lanes[kind].kind.emits].code
            mine: list[Row] = [row for row in self.rows if row.source_kind == kind]
            if not any(row.delay for row in mine):
                parts.append(now)
                continue
            memory = w.memories[kind, w.lanes[kind].kind.emits]
            then = f"$signed(past_{kind}_{name}_q)" if memory.signed else f"$signed({{1'b0, past_{kind}_{name}_q}})"
            w.pasts.append((kind, name, w.network.chip.lag(name, kind) - 1))
            parts.append(
                then if all(row.delay for row in mine) else f"(({self.row.wire('delay').code} == 0) ? {now} : {then})"
            )
        chosen = parts[-1]
        for i in reversed(range(len(parts) - 1)):
            chosen = f"(({self.row.wire('kind').code} == {i}) ? {parts[i]} : {chosen})"
        again = self.tables["row"].wire("again").code
        return f"({again} != 0) ? arriving_{name} : {chosen}"

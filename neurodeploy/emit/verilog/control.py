"""The control of a module: one state machine that walks the schedule."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from neurodeploy.chips import Phase
from neurodeploy.emit.verilog.deliveries import Deliverer
from neurodeploy.emit.verilog.memories import address_bits, declare_table, extended, number, table
from neurodeploy.simulator.machine import Delivery

if TYPE_CHECKING:
    from neurodeploy.emit.verilog.module import Writer


class Control:
    """Writes the states of a module."""

    def __init__(self, writer: "Writer") -> None:
        self.w = writer
        self.zero = number(0, writer.address)

    def write(self) -> None:
        """Write all states."""
        self.w.states.add("INIT", *self._counted(self.w.sweep, "INIT_END"))
        self.w.states.issue("state == INIT", "n", "OP_INIT")
        self.w.states.add("INIT_END", "state <= INPUT;")
        self.w.states.add("INPUT", "if (in_valid && in_last) begin")
        entries = [self._phase(i, p) for i, p in enumerate(self.w.network.chip.schedule)]
        firsts = [first for first, _ in filter(None, entries)]
        begin = firsts[0] if firsts else "FINISH"
        self.w.states.actions["INPUT"] += [*(f"    {line}" for line in self.w.start), f"    state <= {begin};", "end"]
        following = [*firsts[1:], "FINISH"]
        for (_, last), after in zip(filter(None, entries), following, strict=True):
            for state in last:
                self.w.states.actions[state] = [line.replace("@NEXT", after) for line in self.w.states.actions[state]]
        self._finish()

    def _counted(self, size: int, after: str) -> list[str]:
        """Go through so many addresses, one in a cycle."""
        last = number(size - 1, self.w.address)
        return [f"if (n == {last}) begin n <= {self.zero}; state <= {after}; end else n <= n + 1'b1;"]

    def _phase(self, index: int, phase: Phase) -> tuple[str, list[str]] | None:
        """States of one entry of the schedule: the first, and those that leave it for @NEXT."""
        if phase.neuron:
            made = self._sweep(index, phase)
        else:
            deliveries = [d for d in self.w.machine.deliveries[phase.name] if d.rows]
            made = self._deliveries(index, phase.name, deliveries) if deliveries else None
        if made is None or phase.every is None:
            return made
        first, last = made
        name = f"P{index}_TURN"
        bits = address_bits(phase.every.period)
        self.w.declared.append(f"    reg [{bits - 1}:0] turn_{index};")
        self.w.turns[index] = phase.every.period
        self.w.states.add(name, f"state <= (turn_{index} == {number(phase.every.offset, bits)}) ? {first} : @NEXT;")
        return name, [*last, name]

    def _sweep(self, index: int, phase: Phase) -> tuple[str, list[str]] | None:
        """All neurons of a kind, one in each cycle; piece by piece where they deliver to each other in between."""
        if phase.neuron not in self.w.lanes:
            return None
        lane, op = self.w.lanes[phase.neuron], f"OP_{phase.neuron}_{phase.handler}".upper()
        if op not in self.w.states.ops:
            kept = {s: self.w.memories[phase.neuron, s] for s in lane.kind.states}
            label = f"{phase.neuron}_{phase.handler}"
            self.w.text(label, op, lane.kind.handlers[phase.handler], self.w.wires_of[phase.neuron], kept)
        if any(d.rows for scan in self.w.machine.scans[phase.name] for _, d in scan.deliveries):
            return self._relayed(index, phase, op)
        rows = self.w.rows(lane.size)
        self.w.quiet += rows + 1
        name, end = f"P{index}_SWEEP", f"P{index}_END"
        self.w.states.add(name, *self._counted(rows, end))
        rest = lane.size % self.w.banks
        on = f"n != {number(rows - 1, self.w.address)} || k < {rest}" if rest else "1'b1"
        self.w.states.issue(f"state == {name}", "n", op, on)
        self.w.states.add(end, "state <= @NEXT;")
        return name, [end]

    def _deliveries(self, index: int, name: str, deliveries: Sequence[Delivery]) -> tuple[str, list[str]]:
        """All deliveries of a connection, one after the other."""
        step = f"P{index}_NEXT"
        made = self.w.deliverers[name] = Deliverer(self.w, name, deliveries, back=step)
        many = number(len(deliveries), address_bits(len(deliveries) + 1))
        self.w.states.add(step, f"state <= (del_{name}_n == {many}) ? @NEXT : {made.first};")
        return step, [step]

    def _relayed(self, index: int, phase: Phase, op: str) -> tuple[str, list[str]]:
        """A piece of the neurons, then what its neurons deliver, then the next piece."""
        scans = self.w.machine.scans[phase.name]
        order = [c for c in phase.connections if any(c == x for s in scans for x, d in s.deliveries if d.rows)]
        back = f"P{index}_ENTRY"
        made = {
            c: Deliverer(self.w, c, [d for s in scans for x, d in s.deliveries if x == c and d.rows], back=back)
            for c in order
        }
        self.w.deliverers |= made
        inner = [[order.index(c) for c, d in s.deliveries if d.rows] for s in scans]
        b = self.w.banks
        columns = {
            "begin": [s.part.start // b for s in scans],
            "last": [(s.part.stop - 1) // b for s in scans],
            "first lanes": [(1 << b) - (1 << s.part.start % b) for s in scans],
            "last lanes": [(2 << (s.part.stop - 1) % b) - 1 for s in scans],
            "many": [len(e) for e in inner],
        }
        piece = table(f"piece_{index}", len(scans), columns)
        entry = table(f"entry_{index}", sum(map(len, inner)), {"which": [x for e in inner for x in e]})
        for t in (piece, entry):
            bits = address_bits(t.size + 1)
            self.w.declared.append(f"    reg [{bits - 1}:0] {t.name}_n;")
            self.w.declared += declare_table(t, f"{t.name}_n", self.w.files, f"{self.w.name}_{t.name}.hex")
            self.w.start.append(f"{t.name}_n <= {number(0, bits)};")
        many = address_bits(max(len(e) for e in inner) + 1)
        self.w.declared.append(f"    reg [{many - 1}:0] left_{index};")
        p, a, which = f"P{index}", self.w.address, address_bits(len(order))
        self.w.quiet += sum(x - y + 1 for x, y in zip(columns["last"], columns["begin"], strict=True)) + 5 * len(scans)
        self.w.states.add(f"{p}_PIECE", f"state <= {p}_READ;")
        self.w.states.add(f"{p}_READ", f"n <= {piece.code('begin', a)};", f"state <= {p}_SWEEP;")
        self.w.states.add(f"{p}_SWEEP", f"if (n == {piece.code('last', a)}) state <= {p}_END; else n <= n + 1'b1;")
        on = self.w.part_lanes(p.lower(), piece, ("begin", "first lanes"), ("last", "last lanes"))
        self.w.states.issue(f"state == {p}_SWEEP", "n", op, on)
        self.w.states.add(
            f"{p}_END", f"n <= {self.zero};", f"left_{index} <= {piece.code('many', many)};", f"state <= {back};"
        )
        chosen = made[order[-1]].first
        for i in reversed(range(len(order) - 1)):
            chosen = f"({entry.code('which', which)} == {number(i, which)}) ? {made[order[i]].first} : {chosen}"
        last = number(len(scans) - 1, address_bits(len(scans) + 1))
        self.w.states.add(
            back,
            f"if (left_{index} == {number(0, many)}) begin",
            f"    piece_{index}_n <= piece_{index}_n + 1'b1;",
            f"    state <= (piece_{index}_n == {last}) ? @NEXT : {p}_PIECE;",
            "end else begin",
            f"    left_{index} <= left_{index} - 1'b1;",
            f"    entry_{index}_n <= entry_{index}_n + 1'b1;",
            f"    state <= {chosen};",
            "end",
        )
        return f"{p}_PIECE", [back]

    def _finish(self) -> None:
        """The past is kept, counts from outside are cleared, what the outputs emit leaves."""
        add = self.w.states.add
        add("FINISH", *self._counted(self.w.sweep, "FINISH_END"))
        self.w.states.issue("state == FINISH", "n", "OP_FINISH")
        self.w.quiet += self.w.sweep + 3
        turned = []
        for i, period in self.w.turns.items():
            last, first = (number(x, address_bits(period)) for x in (period - 1, 0))
            turned.append(f"turn_{i} <= (turn_{i} == {last}) ? {first} : turn_{i} + 1'b1;")
        head = ["head <= head_next;"] if self.w.past else []
        kinds = list(self.w.outputs)
        add("FINISH_END", *turned, *head, f"state <= {f'OUT_{kinds[0].upper()}' if kinds else 'LEAVE'};")
        for i, kind in enumerate(kinds):
            after = f"OUT_{kinds[i + 1].upper()}" if i + 1 < len(kinds) else "LEAVE"
            name, size = f"OUT_{kind.upper()}", self.w.lanes[kind].size
            shift = address_bits(self.w.banks) if self.w.banks > 1 else 0
            at = extended(f"n[{self.w.address - 1}:{shift}]", self.w.address - shift, self.w.address) if shift else "n"
            self.w.states.issue(f"state == {name} || state == {name}_WAIT", at, "OP_NONE")
            add(name, f"state <= {name}_WAIT;")
            add(
                f"{name}_WAIT",
                "if (!out_valid || out_ready) begin",
                f"    n <= (n == {number(size - 1, self.w.address)}) ? {self.zero} : n + 1'b1;",
                f"    state <= (n == {number(size - 1, self.w.address)}) ? {after} : {name};",
                "end",
            )
            self.w.quiet += 2 * size
        add("LEAVE", "if (out_ready) state <= INPUT;")

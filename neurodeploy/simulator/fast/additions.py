"""Code of rows that only add: in order and bounded after each, or in any order where no rail can be met."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from neurodeploy.simulator.fast.code import PIECE, Array
from neurodeploy.simulator.fast.lanes import Lines, held_class, stored_type, width_of
from neurodeploy.simulator.fast.synapse import ARRIVING, Addition
from neurodeploy.simulator.fast.values import Value, Values
from neurodeploy.simulator.machine import Ints
from neurodeploy.step import Interval, signed

if TYPE_CHECKING:
    from neurodeploy.simulator.fast.deliveries import Deliveries

TOGETHER = 4  # rows of one pass
WHOLE = PIECE // 2  # rows are padded to a multiple, for vector instructions
WORTH = 2  # from so many rows on it is worth while to look for the largest state


class Adder:
    """Writes the additions of a connection kind.

    A dense piece has its rows at equal distances, padded with zeros, and one more row of zeros behind the last, which
    fills the last pass.
    """

    def __init__(self, of: "Deliveries") -> None:
        self.of, self.code, self.c, self.table = of, of.code, of.number, of.table
        self.additions: tuple[Addition, ...] = of.additions or ()
        self.railed = [a for a in self.additions if a.rail is not None]
        lay_out = self._spread() if of.dense else lambda amount, _: amount
        for a in self.additions:
            held = held_class(a.amount, signed(64))
            of.code.array(f"d{self.c}_add_{a.name}", lay_out(a.amount, stored_type(held)), held)
        if self.railed and not of.walks:
            self._bounds()

    def _spread(self) -> Callable[[Ints, str], Array]:
        """Lay rows out with padding: names their places and widths, and returns what moves values there."""
        code, c, table = self.code, self.c, self.table
        sizes = np.diff(table.row_ends)
        wide = (sizes + WHOLE - 1) // WHOLE * WHOLE
        starts = np.concatenate([[0], np.cumsum(wide)])
        rows = [tuple(int(np.searchsorted(table.row_ends, end)) for end in span) for span in table.spans]
        first = [low for low, _ in rows]
        code.array(f"d{c}_at", starts[table.ends])
        code.array(f"d{c}_wide", wide[first])
        code.array(f"d{c}_size", sizes[first])
        code.array(f"d{c}_j0", table.targets[table.row_ends[first]])
        code.number(f"d{c}_zeros", int(starts[-1]))

        def spread(amount: Ints, sort: str) -> Array:
            values = np.zeros(int(starts[-1]) + int(wide.max()), sort)
            for (low, high), (begin, end) in zip(rows, table.spans, strict=True):
                # the rows of a piece are equally long
                padded = values[starts[low] : starts[high]].reshape(high - low, -1)
                padded[:, : sizes[low]] = amount[begin:end].reshape(high - low, -1)
            return values

        return spread

    def _bounds(self) -> None:
        """Name the targets of a piece, and the most that each source adds to any."""
        code, c, table = self.code, self.c, self.table
        low = [int(table.targets[a:b].min()) for a, b in table.spans]
        high = [int(table.targets[a:b].max()) + 1 for a, b in table.spans]
        code.array(f"d{c}_from", np.array(low))
        code.array(f"d{c}_to_end", np.array(high))
        heads = table.row_ends[:-1]
        for a in self.railed:
            most = np.zeros(len(table.ends), np.int64)
            # no row is empty
            lowest, highest = (np.abs(end.reduceat(a.amount, heads)) for end in (np.minimum, np.maximum))
            np.add.at(most, table.entry_of_row(), np.maximum(lowest, highest))
            code.array(f"d{c}_most_{a.name}", most)

    def begin(self) -> None:
        """Write what stands before the list of sources is read."""
        self.code.write(*(f"risk_{a.name} = np.int64(0)" for a in self.railed))

    def count(self) -> None:
        """Write what a listed source may add."""
        times = "" if self.of.ones else " * abs(times[hits])"
        self.code.write(*(f"risk_{a.name} += d{self.c}_most_{a.name}[base + s]{times}" for a in self.railed))

    def add(self) -> None:
        """Write the rows of all listed sources."""
        code = self.code
        if not self.railed:
            self._unordered()
            return
        code.write(f"free = hits >= {WORTH}")
        with code.block("if free:"):
            for a in self.railed:
                self._guard(a)
        with code.block("if free:"):
            self._unordered()
        with code.block("else:"):
            self.of._each_row(self.row)  # noqa: SLF001 - two halves of one writer

    def _guard(self, a: Addition) -> None:
        """Write the test that no rail can be met: the largest state and all that arrives stay inside."""
        code, c, tag = self.code, self.c, self.code.tag()
        bits = width_of(self.of.ranges[a.name])
        code.write(f"t{tag} = _from({self.of.array(a.name)}, d{c}_from[d])")
        code.write(f"up{tag} = np.int{bits}(0)", f"down{tag} = np.int{bits}(0)")
        with code.block(f"for y in range(d{c}_to_end[d] - d{c}_from[d]):"):
            code.write(f"u{tag} = np.int{bits}(t{tag}[y])", f"up{tag} = u{tag} if u{tag} > up{tag} else up{tag}")
            code.write(f"down{tag} = u{tag} if u{tag} < down{tag} else down{tag}")
        code.write(f"risk_{a.name} += max(np.int64(up{tag}), -np.int64(down{tag}))")
        code.write(f"free = free and risk_{a.name} <= {(1 << (a.rail or 1) - 1) - 1}")

    def _unordered(self) -> None:
        code, c, of = self.code, self.c, self.of
        if not of.dense:
            of._each_row(lambda: self.row(free=True))  # noqa: SLF001 - two halves of one writer
            return
        code.write("j0 = " + f"d{c}_j0[d]", f"wide = d{c}_wide[d]")
        code.write(f"alone = np.int64(hits % {TOGETHER} == 1)")
        with code.block(f"for f in range(0, hits - alone, {TOGETHER}):"):
            for row in range(TOGETHER):
                here = f"f + {row}"
                code.write(f"y{row} = d{c}_at[chosen[{here}]] if {here} < hits else d{c}_zeros")
                if not of.ones:
                    code.write(f"c{row} = times[{here}] if {here} < hits else 0")
            for a in self.additions:
                self._four(a)
        with code.block("if alone != 0:"):
            code.write(f"y0 = d{c}_at[chosen[hits - 1]]")
            if not of.ones:
                code.write("c = times[hits - 1]")
            self.row(free=True)

    def _four(self, a: Addition) -> None:
        code, c, tag, of = self.code, self.c, self.code.tag(), self.of
        amount = held_class(a.amount, signed(64))
        most = max(abs(amount.low), abs(amount.high)) * max(abs(of.emitted.low), abs(of.emitted.high)) * TOGETHER
        bits, held = width_of(Interval(-most, most)), width_of(a.range or of.ranges[a.name])
        for row in range(TOGETHER):
            code.write(f"w{tag}_{row} = _from(d{c}_add_{a.name}, y{row})")
            if not of.ones:
                code.write(f"c{tag}_{row} = np.int{bits}(c{row})")
        code.write(f"t{tag} = _from({of.array(a.name)}, j0)")
        with code.block("for y in range(wide):"):
            for row in range(TOGETHER):
                amount_here = f"np.int{bits}(w{tag}_{row}[y])"
                code.write(f"q{tag}_{row} = " + (amount_here if of.ones else f"_mul({amount_here}, c{tag}_{row})"))
            halves = [f"_add(q{tag}_{row}, q{tag}_{row + 1})" for row in range(0, TOGETHER, 2)]
            code.write(f"q{tag} = np.int{bits}(_add({', '.join(halves)}))", f"u{tag} = np.int{held}(t{tag}[y])")
            code.write(f"t{tag}[y] = np.{of.type_of(a.name)}(_add(u{tag}, np.int{held}(q{tag})))")

    def row(self, *, free: bool = False) -> None:
        """Write the row from ``y0``, each synapse of which meets ``c`` events; bounded after each unless free."""
        code, c, tag, of = self.code, self.c, self.code.tag(), self.of
        values, known = Values(), dict[int, str]()
        arriving = values.const(1) if of.ones else values.leaf(ARRIVING, of.emitted)
        if not of.ones:
            known[arriving] = f"c{tag}"
            code.write(f"c{tag} = np.int{width_of(of.emitted)}(c)")
        if of.dense:
            code.write(f"size{tag} = d{c}_size[d]")
        else:
            code.write(f"size{tag} = y1 - y0", f"to{tag} = _from(d{c}_to, y0)")
        for a in self.additions:
            code.write(f"w{tag}_{a.name} = _from(d{c}_add_{a.name}, y0)")
            if of.dense:
                code.write(f"t{tag}_{a.name} = _from({of.array(a.name)}, d{c}_j0[d])")
            head, end = self._added(values, a, arriving, known, tag, free=free)
            target = f"t{tag}_{a.name}[y]" if of.dense else f"{of.array(a.name)}[j]"
            with code.block(f"for y in range(size{tag}):"):
                code.write(*([] if of.dense else [f"j = np.int64(to{tag}[y])"]))
                code.write(*[line.replace("TARGET", target) for line in head])
                code.write(f"{target} = np.{of.type_of(a.name)}({end})")

    def _added(
        self, values: Values, a: Addition, arriving: int, known: dict[int, str], tag: int, *, free: bool
    ) -> tuple[list[str], str]:
        """Lines from the loaded state and amount to the new state."""
        held = a.range or self.of.ranges[a.name]
        state = values.leaf(f"state {a.name}", held)
        amount = values.leaf(f"amount {a.name}", held_class(a.amount, signed(64)))
        head = []
        mine = dict(known)
        for node, name, source in ((state, "u", "TARGET"), (amount, "q", f"w{tag}_{a.name}[y]")):
            if values.nodes[node].op == "leaf":
                head.append(f"{name}{tag}_{a.name} = np.int{width_of(values.nodes[node].range)}({source})")
                mine[node] = f"{name}{tag}_{a.name}"
        end = values.call("add", (state, values.call("mul", (arriving, amount))))
        if a.rail is not None and not free:
            end = values.call("sat", (end, values.const(a.rail)))
        elif values.nodes[end].op == "add":
            added = values.nodes[end]
            values.nodes[end] = Value(added.op, added.args, held)  # no rail is met: every part of the sum stays inside
        lines = Lines(values, mine, f"n{tag}_{a.name}_")
        head += lines.write([end])
        return head, lines.ref(end)

"""What arrives over a connection: constant tables of its synapses, and the function that delivers them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from neurodeploy.chips import Chip, ConnectionKind
from neurodeploy.chips.compile import DELAY
from neurodeploy.emit.c.table import number
from neurodeploy.emit.c.tables import Tables, indented, interval_of, loop
from neurodeploy.emit.c.text import Function, Register, function_body
from neurodeploy.simulator.machine import Delivery, Ints, Lane, Row
from neurodeploy.step import Interval

#: Name that a text gives to the count of an arriving event.
ARRIVING = "arriving"


@dataclass(frozen=True)
class Delivered:
    """The functions of a connection kind.

    lines : their code
    name : of the function that makes one delivery, ``name(S, delivery)``
    history : source kinds whose past it reads
    synapses, operators : most synapses, and operators of their texts, of one step
    """

    lines: list[str]
    name: str
    history: set[str]
    synapses: int
    operators: int
    functions: list[Function]


class DeliveryWriter:
    """Writes a connection kind with all its deliveries.

    registers : what its texts find at the target: parameters, states and accumulators
    state : C type of the state of a network; fault : as in ``function_body``
    """

    def __init__(
        self,
        chip: Chip,
        kind: ConnectionKind,
        deliveries: Sequence[Delivery],
        lanes: Mapping[str, Lane],
        *,
        tables: Tables,
        registers: Mapping[str, Register],
        emitted: Mapping[str, Register],
        state: str,
        fault: str,
    ) -> None:
        self.chip, self.kind, self.deliveries, self.lanes = chip, kind, deliveries, lanes
        self.tables, self.emitted, self.state, self.fault = tables, emitted, state, fault
        self.rows = [row for d in deliveries for row in d.rows]
        self.name = kind.name
        self.reads = kind.on_input.reads | (kind.on_sum.reads if kind.on_sum is not None else frozenset())
        self.given = dict(registers) | self._shared()

    def _shared(self) -> dict[str, Register]:
        """Parameters of the connection."""
        names = [n for n in dict.fromkeys(n for d in self.deliveries for n in d.registers) if n in self.reads]
        return {
            n: self.tables.value(f"Synapse_{self.name}_{n}", [int(d.registers[n]) for d in self.deliveries], "D")
            for n in names
        }

    def write(self) -> Delivered:
        """Write the tables and the functions."""
        kind, rows = self.kind, self.rows
        fields = {
            n: self.tables.value(
                f"Synapse_{self.name}_{n}", np.concatenate([row.fields[n] for row in rows]), "K", f"{n} of each synapse"
            )
            for n in kind.fields
            if n != DELAY and n in self.reads
        }
        ends = np.cumsum([0, *(row.targets.size for row in rows)])
        self.tables.array(f"First_{self.name}", ends, "first synapse of each row, and the end of the last")
        counts = interval_of([0]) if not rows else self._arriving()
        event = function_body(kind.on_input, self.given | fields | {ARRIVING: Register("A", counts)}, self.fault)
        # an argument that no text reads is left out, or a compiler would complain
        lines = [f"static void Event_{kind.name}({self.state} *S, int32_t D, int32_t N, int32_t K, int32_t A)", "{"]
        lines += [*self._unused(event), *event.lines, "}", ""]
        functions, operators = [event], event.operators * int(ends[-1])
        if kind.on_sum is not None:
            total = function_body(kind.on_sum, self.given, self.fault)
            lines += [f"static void Sum_{kind.name}({self.state} *S, int32_t D, int32_t N)", "{"]
            lines += ["    (void)D;", *total.lines, "}", ""]
            functions.append(total)
            operators += total.operators * sum(self._targets(d).size for d in self.deliveries)
        lines += self._delivery()
        history = {row.source_kind for row in rows if row.delay}
        return Delivered(lines, f"Deliver_{kind.name}", history, int(ends[-1]), operators, functions)

    def _arriving(self) -> Interval:
        return interval_of(
            [
                end
                for k in {row.source_kind for row in self.rows}
                for end in (self.emitted[k].range.low, self.emitted[k].range.high)
            ]
        )

    @staticmethod
    def _unused(event: Function) -> list[str]:
        code = "\n".join(event.lines)
        return [f"    (void){name};" for name in "DNKA" if not _stands(name, code)]

    @staticmethod
    def _targets(delivery: Delivery) -> Ints:
        part = delivery.part
        return np.arange(part.start, part.stop) if isinstance(part, slice) else np.asarray(part)

    def _delivery(self) -> list[str]:
        """The function that walks the rows of one delivery."""
        kind, rows, name = self.kind, self.rows, self.name
        firsts = np.cumsum([0, *(len(d.rows) for d in self.deliveries)])
        self.tables.array(f"Row_{name}", firsts, "first row of each delivery, and the end of the last")
        source = self.tables.value(f"Source_{name}", [row.source for row in rows], "R", "neuron that a row comes from")
        most = max(len(list(g)) for d in self.deliveries for _, g in groupby(d.rows, _origin))
        body = [*self._cleared(), f"int32_t R = Row_{name}[D];"]
        body += [f"while (R < Row_{name}[D + 1]) {{"]
        inner: list[str] = []
        arrival = self._arrival(rows, source.place)
        walk = [
            "if (A != 0) {",
            *indented(
                loop(
                    "K",
                    f"(int32_t)First_{name}[R]",
                    f"(int32_t)First_{name}[R + 1]",
                    [f"Event_{kind.name}(S, D, {self._target()}, K, A);"],
                )
            ),
            "}",
        ]
        if most == 1:
            inner += [f"int32_t A = {arrival};", *walk, "R++;"]
        else:
            # all rows of a source see what it emitted before the first of them is delivered
            self.tables.array(
                f"Together_{name}", _together(self.deliveries), "rows from here on that come from one source"
            )
            inner += [f"int32_t arrived[{most}];", f"int32_t last = R + Together_{name}[R];", "int32_t first = R;"]
            inner += ["for (; R < last; R++) {", f"    arrived[R - first] = {arrival};", "}"]
            inner += ["for (R = first; R < last; R++) {", "    int32_t A = arrived[R - first];", *indented(walk), "}"]
        body += [*indented(inner), "}", *self._summed()]
        return [f"static void Deliver_{kind.name}({self.state} *S, int32_t D)", "{", *indented(body), "}", ""]

    def _target(self) -> str:
        """Target of synapse K of row R: counted from the first where all rows are neighbours in order."""
        rows, name = self.rows, self.name
        if all(
            np.array_equal(row.targets, np.arange(row.targets[0], row.targets[0] + row.targets.size)) for row in rows
        ):
            shift = np.array([row.targets[0] for row in rows]) - np.cumsum(
                [0, *(row.targets.size for row in rows[:-1])]
            )
            return f"K + {self.tables.value(f'Shift_{name}', shift, 'R', 'target of a synapse less its number').place}"
        place = self.tables.array(
            f"Target_{name}", np.concatenate([row.targets for row in rows]), "target of each synapse"
        )
        return f"{place}[K]"

    def _arrival(self, rows: Sequence[Row], source: str) -> str:
        """Expression for what the source of row R last emitted, its delay before."""
        kinds = list(dict.fromkeys(row.source_kind for row in rows))
        delays = [row.delay for row in rows]
        back = {k: self.chip.lag(self.kind.name, k) - 1 for k in kinds}
        past = ""
        if any(delays):
            delay = self.tables.value(f"Delay_{self.name}", delays, "R", "delay of a row, in steps").place
            past = f"(S->head + {delay}"
        parts = []
        for kind in kinds:
            now = f"S->{kind}_{self.lanes[kind].kind.emits}[{source}]"
            if not any(delays):
                parts.append(now)
                continue
            depth = f"(int32_t)(sizeof S->{kind}_past / sizeof S->{kind}_past[0])"
            then = f"S->{kind}_past[{past} + {number(back[kind])}) % {depth}][{source}]"
            parts.append(then if all(delays) else f"({delay} == 0 ? {now} : {then})")
        if len(kinds) == 1:
            return parts[0]
        which = self.tables.array(
            f"From_{self.name}", [kinds.index(row.source_kind) for row in rows], "kind of the source"
        )
        chosen = parts[-1]
        for index in reversed(range(len(kinds) - 1)):
            chosen = f"({which}[R] == {index} ? {parts[index]} : {chosen})"
        return chosen

    def _parts(self) -> tuple[tuple[str, str], str]:
        """Loop head over the neurons on which a delivery acts: bounds, and the neuron."""
        spans = [self._targets(d) for d in self.deliveries]
        name = self.name
        if all(isinstance(d.part, slice) for d in self.deliveries):
            low = self.tables.value(f"Low_{name}", [s[0] for s in spans], "D", "first neuron of a delivery").place
            high = self.tables.value(f"High_{name}", [s[-1] + 1 for s in spans], "D", "the one after the last").place
            return (low, high), "N"
        ends = np.cumsum([0, *(s.size for s in spans)])
        self.tables.array(f"Part_{name}", ends, "where the neurons of a delivery begin, and the end of the last")
        place = self.tables.array(f"Neurons_{name}", np.concatenate(spans), "neurons of each delivery")
        return (f"(int32_t)Part_{name}[D]", f"(int32_t)Part_{name}[D + 1]"), f"{place}[N]"

    def _cleared(self) -> list[str]:
        """Accumulators begin at 0."""
        if not self.kind.registers:
            return []
        self.bounds, self.neuron = self._parts()
        zero = [f"S->{self.name}_{register}[{self.neuron}] = 0;" for register in self.kind.registers]
        return list(loop("N", *self.bounds, zero))

    def _summed(self) -> list[str]:
        if self.kind.on_sum is None:
            return []
        if not self.kind.registers:
            self.bounds, self.neuron = self._parts()
        return list(loop("N", *self.bounds, [f"Sum_{self.kind.name}(S, D, {self.neuron});"]))


def _origin(row: Row) -> tuple[str, int]:
    return row.source_kind, row.source


def _together(deliveries: Sequence[Delivery]) -> list[int]:
    found: list[int] = []
    for d in deliveries:
        for _, group in groupby(d.rows, _origin):
            number_ = len(list(group))
            found += range(number_, 0, -1)
    return found


def _stands(name: str, code: str) -> bool:
    """Whether a name stands in code, comments left out."""
    plain = "\n".join(line for line in code.splitlines() if not line.lstrip().startswith("/*"))
    return re.search(rf"\b{name}\b", plain) is not None

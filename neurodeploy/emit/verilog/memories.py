"""Memories and tables of numbers: written in bits, filled from hexadecimal files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from neurodeploy.emit.verilog.datapath import Wire, literal
from neurodeploy.step import Interval

Ints = npt.NDArray[np.int64]


def bits_for(values: Interval) -> int:
    """Bits in memory: signed only where a value is below 0."""
    if values.low < 0:
        return max((~values.low).bit_length(), values.high.bit_length() if values.high > 0 else 0) + 1
    return max(values.high.bit_length(), 1)


def read_signed(code: str, values: Interval) -> str:
    """Bits of a memory as a signed expression."""
    return f"$signed({code})" if values.low < 0 else f"$signed({{1'b0, {code}}})"


@dataclass(frozen=True)
class Column:
    """A part of a table's word: its values, or one number for all."""

    name: str
    range: Interval
    values: Ints | None
    low: int = 0
    bits: int = 0


@dataclass
class Table:
    """A read-only memory with several columns side by side.

    Reading takes one cycle: the word of the address is in ``NAME_q`` afterwards.
    """

    name: str
    size: int
    columns: dict[str, Column]
    width: int

    def wire(self, column: str, held: str = "") -> Wire:
        """A column of the word that was read last, as a signed value; ``held`` is another register with that word."""
        c = self.columns[column]
        if c.values is None:
            return Wire(literal(c.range.low), c.range)
        code = f"{held or self.name + '_q'}[{c.low + c.bits - 1}:{c.low}]"
        return Wire(read_signed(code, c.range), c.range)

    def hex_lines(self) -> str:
        """Content of the file that fills it."""
        words = [0] * self.size
        for c in self.columns.values():
            if c.values is not None:
                mask = (1 << c.bits) - 1
                for i, value in enumerate(c.values.tolist()):
                    words[i] |= (value & mask) << c.low
        digits = (self.width + 3) // 4
        return "".join(f"{word:0{digits}x}\n" for word in words)


def table(name: str, size: int, columns: Mapping[str, Iterable[int] | Ints]) -> Table:
    """Put columns side by side; one that holds a single number takes no bits."""
    made, low = {}, 0
    for column, given in columns.items():
        values = np.asarray(given, np.int64).ravel()
        interval = Interval(int(values.min()), int(values.max())) if values.size else Interval(0, 0)
        if interval.low == interval.high:
            made[column] = Column(column, interval, None)
            continue
        bits = bits_for(interval)
        made[column] = Column(column, interval, values, low, bits)
        low += bits
    return Table(name, max(size, 1), made, low)


@dataclass
class Files:
    """Hexadecimal files by name, and the bits of all memories."""

    texts: dict[str, str] = field(default_factory=dict)
    bits: int = 0


def declare_table(t: Table, address: str, files: Files, file: str) -> list[str]:
    """Verilog of a table that is read at an address in every cycle; nothing where no column takes bits."""
    if not t.width:
        return []
    files.texts[file] = t.hex_lines()
    files.bits += t.width * t.size
    return [
        f"    reg [{t.width - 1}:0] {t.name} [0:{t.size - 1}];",
        f"    reg [{t.width - 1}:0] {t.name}_q;",
        f'    initial $readmemh("{file}", {t.name});',
        f"    always @(posedge clk) {t.name}_q <= {t.name}[{address}];",
    ]


def address_bits(size: int) -> int:
    """Bits of an address."""
    return max((size - 1).bit_length(), 1)

"""Memories and tables of numbers: written in bits, filled from hexadecimal files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from neurodeploy.emit.verilog.datapath import Wire, width_of
from neurodeploy.step import Interval

Ints = npt.NDArray[np.int64]


def bits_for(values: Interval) -> int:
    """Bits in memory: signed only where a value is below 0."""
    if values.low < 0:
        return max((~values.low).bit_length(), values.high.bit_length() if values.high > 0 else 0) + 1
    return max(values.high.bit_length(), 1)


def read_signed(code: str, values: Interval) -> Wire:
    """Bits of a memory as a signed value; ``code`` is not a name of its own yet."""
    if values.low < 0:
        return Wire(f"$signed({code})", values)
    return Wire(f"$signed({{1'b0, {code}}})", values, wider=max(width_of(values), bits_for(values) + 1))


def number(value: int, bits: int) -> str:
    """A number of an address, a counter or a flag."""
    return f"{bits}'d{value}"


def extended(code: str, bits: int, wanted: int) -> str:
    """Bits that are no sign, as many as are wanted: filled with 0; more are never cut."""
    return code if bits >= wanted else f"{{{wanted - bits}'d0, {code}}}"


@dataclass(frozen=True)
class Column:
    """A part of a table's word: its values, one row for each word, or one number for all."""

    name: str
    range: Interval
    values: Ints | None
    low: int = 0
    bits: int = 0


@dataclass
class Table:
    """A read-only memory with several columns side by side; and these once for each bank.

    Reading takes one cycle: the word of the address is in ``NAME_q`` afterwards.
    width : bits of what belongs to one bank
    """

    name: str
    size: int
    columns: dict[str, Column]
    width: int
    banks: int = 1

    @property
    def bits(self) -> int:
        """Bits of a word."""
        return self.width * self.banks

    def _place(self, column: Column, held: str) -> str:
        word = held or f"{self.name}_q"
        if self.banks == 1:
            top = column.low + column.bits - 1
            return word if column.bits == self.width else f"{word}[{top}:{column.low}]"
        offset = f" + {column.low}" if column.low else ""
        return f"{word}[k * {self.width}{offset} +: {column.bits}]"

    def wire(self, column: str, held: str = "") -> Wire:
        """A column of the word that was read last, as a signed value; ``held`` is another register with that word.

        With several banks it is read inside the block of one, whose number is ``k``.
        """
        c = self.columns[column]
        return Wire("", c.range) if c.values is None else read_signed(self._place(c, held), c.range)

    def code(self, column: str, bits: int, held: str = "") -> str:
        """A column that is never below 0, in so many bits."""
        c = self.columns[column]
        if c.values is None:
            return number(c.range.low, bits)
        return extended(self._place(c, held), c.bits, bits)

    def hex_lines(self, banks: Iterable[int] | None = None) -> str:
        """Content of the file that fills it, with these banks side by side; all where none are named."""
        words, shift = [0] * self.size, 0
        for bank in range(self.banks) if banks is None else banks:
            for c in self.columns.values():
                if c.values is not None:
                    mask = (1 << c.bits) - 1
                    for i, value in enumerate(c.values[:, bank].tolist()):
                        words[i] |= (value & mask) << shift + c.low
            shift += self.width
        digits = (shift + 3) // 4
        return "".join(f"{word:0{digits}x}\n" for word in words)


def table(name: str, size: int, columns: Mapping[str, Iterable[int] | Ints], banks: int = 1) -> Table:
    """Put columns side by side; one that holds a single number takes no bits.

    columns : name -> (word,) values, or (word, bank) where there are several banks
    """
    made, low = {}, 0
    for column, given in columns.items():
        values = np.asarray(given, np.int64).reshape(-1, banks)
        interval = Interval(int(values.min()), int(values.max())) if values.size else Interval(0, 0)
        if interval.low == interval.high:
            made[column] = Column(column, interval, None)
            continue
        bits = bits_for(interval)
        made[column] = Column(column, interval, values, low, bits)
        low += bits
    return Table(name, max(size, 1), made, low, banks)


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
    files.bits += t.bits * t.size
    return [*_declared(t, address), f'    initial $readmemh("{file}", {t.name});']


def declare_banks(t: Table, address: str, files: Files, stem: str) -> tuple[Table, list[str]]:
    """A table of which each bank has its own part: that part, and its Verilog inside the block of a bank."""
    own = replace(t, banks=1)
    if not t.width:
        return own, []
    lines = _declared(own, address)
    for k in range(t.banks):
        file = f"{stem}_{k}.hex" if t.banks > 1 else f"{stem}.hex"
        files.texts[file] = t.hex_lines([k])
        files.bits += t.width * t.size
        lines.append(f'    if (k == {k}) begin : {t.name}_{k} initial $readmemh("{file}", {t.name}); end')
    return own, lines


def _declared(t: Table, address: str) -> list[str]:
    return [
        f"    reg [{t.bits - 1}:0] {t.name} [0:{t.size - 1}];",
        f"    reg [{t.bits - 1}:0] {t.name}_q;",
        f"    always @(posedge clk) {t.name}_q <= {t.name}[{cut(address, t.size)}];",
    ]


def cut(address: str, size: int) -> str:
    """The bits of an address that a memory of this size takes; the address has as many or more."""
    return f"{address}[{address_bits(size) - 1}:0]"


def address_bits(size: int) -> int:
    """Bits of an address."""
    return max((size - 1).bit_length(), 1)

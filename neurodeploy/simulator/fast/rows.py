"""Synapses as flat arrays: what is delivered together, source by source, and what each synapse adds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import ConnectionKind
from neurodeploy.simulator.machine import Delivery, Ints, Lane, Machine, Part, Row

AT_ONCE = 1 << 20  # synapses whose sums take memory at a time


@dataclass(frozen=True)
class Table:
    """All synapses of a connection kind, in the order of delivery.

    pieces : what is delivered together from one kind of source, in order
    first, last : piece -> range of its sources
    base : piece -> where its entries of ``ends`` would begin if its first source were 0; each has one, and one more
    ends : entry -> place in ``row_ends``; the rows of source s of a piece begin at ends[base + s]
    row_ends : place in the synapses; row r holds row_ends[r] to row_ends[r + 1]
    delays : row -> additional steps
    targets : synapse -> position
    fields : synapse field or varying parameter -> synapse -> value
    """

    pieces: tuple[Delivery, ...]
    kinds: tuple[str, ...]
    first: Ints
    last: Ints
    base: Ints
    ends: Ints
    row_ends: Ints
    delays: Ints
    targets: Ints
    fields: Mapping[str, Ints]

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Piece -> its synapses, from and to."""
        ends = [(self.ends[b + f], self.ends[b + n]) for b, f, n in zip(self.base, self.first, self.last, strict=True)]
        return [(int(self.row_ends[low]), int(self.row_ends[high])) for low, high in ends]

    @cached_property
    def dense(self) -> bool:
        """Whether all rows of a piece cover the same neighbours, one row for each source."""
        if np.any(np.diff(self.ends) > 1):
            return False
        lengths, starts = np.diff(self.row_ends), self.row_ends[:-1]
        heads, tails = self.targets[starts], self.targets[self.row_ends[1:] - 1]
        if not lengths.size or lengths.min() < 2 or np.any(tails - heads + 1 != lengths):
            return False
        rows = np.searchsorted(starts, [low for low, _ in self.spans])
        return all(
            np.all(heads[a:b] == heads[a]) and np.all(lengths[a:b] == lengths[a])
            for a, b in zip(rows, [*rows[1:], len(lengths)], strict=True)
        )

    def entry_of_row(self) -> Ints:
        """Return the entry of ``ends`` that each row belongs to."""
        return np.searchsorted(self.ends, np.arange(len(self.delays)), side="right") - 1


def table_of(machine: Machine, kind: ConnectionKind) -> Table:
    """Lay the synapses of a connection kind out."""
    pieces, kinds = list[Delivery](), list[str]()
    first, last, base, ends, delays = (list[int]() for _ in range(5))
    targets, sizes, fields = list[Ints](), [0], dict[str, list[Ints]]()
    registers = dict[str, list[tuple[int, int]]]()
    for delivery, source_kind, rows in _groups(machine.deliveries[kind.name]):
        low, high = rows[0].source, rows[-1].source + 1
        pieces.append(delivery)
        kinds.append(source_kind)
        first.append(low)
        last.append(high)
        base.append(len(ends) - low)
        counts = np.bincount([r.source - low for r in rows], minlength=high - low)
        ends += (len(delays) + np.concatenate([[0], np.cumsum(counts)])).tolist()
        for row in rows:
            delays.append(row.delay)
            targets.append(row.targets)
            sizes.append(row.targets.size)
            for name, values in row.fields.items():
                fields.setdefault(name, []).append(values)
        size = sum(row.targets.size for row in rows)
        for name, value in delivery.registers.items():
            registers.setdefault(name, []).append((value, size))
    joined = {n: _joined(v) for n, v in fields.items()} | {n: _repeated(v) for n, v in registers.items()}
    whole = _joined(targets) if targets else np.zeros(0, np.int64)
    return Table(
        tuple(pieces),
        tuple(kinds),
        np.array(first, np.int64),
        np.array(last, np.int64),
        np.array(base, np.int64),
        np.array(ends, np.int64),
        np.cumsum(sizes),
        np.array(delays, np.int64),
        whole,
        joined,
    )


def _joined(parts: list[Ints]) -> Ints:
    """All parts in one array; where they stand one behind the other in memory, that is no new memory."""
    base, whole = parts[0].base, sum(part.size for part in parts)
    if isinstance(base, np.ndarray) and base.ndim == 1 and base.flags.c_contiguous and base.dtype == parts[0].dtype:
        begin, place = _address(parts[0]) - _address(base), _address(parts[0])
        for part in parts:
            if part.base is not base or _address(part) != place or not part.flags.c_contiguous:
                break
            place += part.nbytes
        else:
            return base[begin // base.itemsize :][:whole]
    return np.concatenate(parts)


def _repeated(pieces: list[tuple[int, int]]) -> Ints:
    """A register for each synapse, from values and synapses of pieces; what all share is there once."""
    values, sizes = zip(*pieces, strict=True)
    if len(set(values)) == 1:
        return np.broadcast_to(np.int64(values[0]), (sum(sizes),))
    return np.repeat(np.array(values, np.int64), sizes)


def _address(values: Ints) -> int:
    return int(values.__array_interface__["data"][0])


def sums_at(targets: Ints, amount: Ints) -> npt.NDArray[np.float64]:
    """Sum of magnitudes at each target, a piece after the other."""
    total = np.zeros(int(targets.max(initial=-1)) + 1)
    for begin in range(0, targets.size, AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        total += np.bincount(targets[part], np.abs(amount[part]).astype(np.float64), minlength=total.size)
    return total


def _groups(deliveries: tuple[Delivery, ...]) -> Iterator[tuple[Delivery, str, list[Row]]]:
    for delivery in deliveries:
        for source_kind, rows in groupby(delivery.rows, lambda row: row.source_kind):
            yield delivery, source_kind, list(rows)


def part_of(part: Part, lane: Lane) -> tuple[int, int, Ints]:
    """Ends of a part, and its positions where they are no neighbours."""
    if isinstance(part, slice):
        return part.start or 0, lane.size if part.stop is None else part.stop, np.zeros(0, np.int64)
    return 0, 0, part

"""A large kind of neurons that feeds no other, cut into tiles: each takes all steps while its states lie in a cache.

Neurons of such a kind meet only what the others emit, so a tile needs the others, which each tile computes again, and a
part of every row. The code of a tile is that of the whole; only the table differs that says where everything lies.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neurodeploy.chips import Phase
from neurodeploy.simulator.fast.code import PIECE, Array, Kind, padded
from neurodeploy.simulator.fast.deliveries import Deliveries
from neurodeploy.simulator.machine import Ints

if TYPE_CHECKING:
    from neurodeploy.simulator.fast.source import Kernel

TILE = 8192  # neurons whose states and rows fit the cache of a core
SHARE = 8  # a tile has at least so many times the neurons that every tile computes again
WIDE = 1 << 17  # neurons whose states do not fit a core's cache; smaller ones are cut only for want of samples


@dataclass(frozen=True)
class Cut:
    """What can be cut.

    kind : neuron kind
    into : numbers of the deliveries to it
    """

    kind: Kind
    into: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of the kind."""
        return self.kind.lane.kind.name


def cut_of(
    kinds: Mapping[str, Kind], deliveries: Mapping[str, Deliveries], later: Mapping[str, str], phases: tuple[Phase, ...]
) -> Cut | None:
    """Return the largest kind that nobody listens to and that is reached by dense rows alone."""
    heard = {n for d in deliveries.values() for n in d.table.kinds}
    heard |= {p.neuron for p in phases if p.neuron and any(c in deliveries for c in p.connections)}
    found = [
        Cut(kind, tuple(d.number for d in deliveries.values() if d.target is kind))
        for name, kind in kinds.items()
        if name not in heard
        and f"x{kind.number}" not in later
        and all(_is_plain(d) for d in deliveries.values() if d.target is kind)
    ]
    return max(found, key=lambda cut: cut.kind.lane.size, default=None)


def _is_plain(delivery: Deliveries) -> bool:
    return (
        bool(delivery.additions)
        and delivery.dense
        and all(isinstance(piece.part, slice) for piece in delivery.table.pieces)
    )


class Tiles:
    """The tables of all tiles of a kernel.

    ends : tile -> its first neuron and the one behind its last
    work : as of the kernel, for one tile
    """

    def __init__(self, kernel: "Kernel", cut: Cut) -> None:
        self.kernel, self.cut = kernel, cut
        size = cut.kind.lane.size
        others = max(SHARE * (sum(k.lane.size for k in kernel.kinds.values()) - size), TILE)
        length = (others + PIECE - 1) // PIECE * PIECE
        self.low = np.arange(0, size, length)
        self.high = np.minimum(self.low + length, size)
        self.work = self._work(min(length, size))
        names = (*kernel.numbers, *kernel.given, *kernel.later, *kernel.work)
        self._column = {name: i for i, name in enumerate(names)}
        k = cut.kind.number
        self._own = {f"d{c}_{n}": np.ascontiguousarray(v) for c in cut.into for n, v in self._rows(c)}
        self._per_neuron = {n: a.itemsize for n, a in kernel.given.items() if n.startswith(f"p{k}_")}
        self._per_neuron |= {n: np.dtype(t).itemsize for n, t in kernel.later.items() if n.startswith(f"s{k}_")}
        self._of_others = [n for n in kernel.later if n.startswith("s") and not n.startswith(f"s{k}_")]

    def __len__(self) -> int:
        return len(self.low)

    def pays(self, batch: int, threads: int) -> bool:
        """Whether tiles are faster than whole samples."""
        return len(self) > 1 and (batch < threads or self.cut.kind.lane.size >= WIDE)

    def _work(self, length: int) -> dict[str, tuple[str, int]]:
        kernel, k = self.kernel, self.cut.kind.number
        most = max([length, *(o.lane.size for o in kernel.kinds.values() if o is not self.cut.kind)])
        sizes = {n: padded(length) for n in (f"i{k}", f"flag{k}", f"found{k}")}
        sizes |= {n: padded(length) for n in kernel.work for c in self.cut.into if n.startswith(f"g{c}_")}
        sizes |= {n: padded(most) for n in ("chosen", "times", "busy")}
        return {n: (kind, sizes.get(n, size)) for n, (kind, size) in kernel.work.items()}

    def _rows(self, c: int) -> Iterator[tuple[str, Ints]]:
        """What a tile has of a delivery: name -> (tile, ...); a piece that does not reach it has no source."""
        given = {n: self.kernel.given[f"d{c}_{n}"] for n in ("first", "last", "base", "at", "j0", "size", "wide")}
        first, last, base, at, j0, size, wide = (np.asarray(v, np.int64) for v in given.values())
        low, high = self.low[:, None], self.high[:, None]
        # rows are padded with zeros, which may run into the padding of the states but not into another tile
        open_end = np.where(high == high[-1], np.iinfo(np.int64).max, high)
        start, stop = np.maximum(j0, low), np.minimum(j0 + size, high)
        inside = stop > start
        yield "j0", np.where(inside, start - low, 0)
        yield "size", np.where(inside, stop - start, 0)
        yield "wide", np.where(inside, np.minimum(j0 + wide, open_end) - start, 0)
        yield "last", np.where(inside, last, first)
        moved = np.where(inside, start - j0, 0)
        ends = np.repeat(at[None], len(self), axis=0)
        for piece in range(len(first)):
            ends[:, base[piece] + first[piece] : base[piece] + last[piece] + 1] += moved[:, piece, None]
        yield "at", ends
        for name in ("low", "high", "from", "to_end"):
            if f"d{c}_{name}" in self.kernel.given:
                place = np.asarray(self.kernel.given[f"d{c}_{name}"], np.int64)
                yield name, np.clip(place - low, 0, high - low)

    def tables(self, whole: Ints, later: Mapping[str, Array]) -> tuple[Ints, list[Array]]:
        """(tile, entry) tables, from that of the whole; and the arrays that they point into.

        The first tile computes the neurons of the other kinds where they lie, each other tile in a copy of its own.
        """
        tables, column, tiles = np.repeat(whole[None], len(self), axis=0), self._column, np.arange(len(self))
        k, sizes = self.cut.kind.number, self.high - self.low
        tables[:, column[f"n{k}"]] = sizes
        tables[:, column[f"many{k}"]] = [padded(int(size)) // 8 for size in sizes]
        for name, size in self._per_neuron.items():
            tables[:, column[name]] += self.low * size
        for name, values in self._own.items():
            tables[:, column[name]] = values.ctypes.data + tiles * values.strides[0]
        kept = list[Array]()
        for name in self._of_others:
            copies = np.repeat(later[name][None], len(self) - 1, axis=0)
            tables[1:, column[name]] = copies.ctypes.data + tiles[:-1] * copies.strides[0]
            kept.append(copies)
        for name in ("records", "fault"):
            tables[:, column[name]] = later[name].ctypes.data + tiles * later[name].strides[0]
        return tables, kept

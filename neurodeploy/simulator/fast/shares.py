"""A call of a kernel, shared out over threads: sample by sample, or tile by tile."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from neurodeploy.simulator.fast.code import Array
from neurodeploy.simulator.fast.source import Kernel
from neurodeploy.simulator.fast.tiles import Tiles
from neurodeploy.simulator.machine import Ints

Run = Callable[[int, int, int, int, int, int], None]
Window = tuple[int, int]
PIECES = 4  # that a thread gets one after the other, so that none waits for long for another


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:  # noqa: ARG001 - a forked process needs its own
    return ThreadPoolExecutor(threads, thread_name_prefix="neurodeploy")


@dataclass(frozen=True)
class Recorder:
    """What is copied at the end of each step.

    states : (kind, state) -> (batch, padded neuron)
    windows : (kind, state) -> positions, first and behind the last
    to : (kind, state) -> (time, batch, position)
    """

    states: Mapping[tuple[str, str], Array]
    windows: Mapping[tuple[str, str], Window]
    to: Mapping[tuple[str, str], Array]

    def moves(self, kind: str, ends: Window, *, others: bool) -> list[int]:
        """How many copies, and for each: to, distance of its rows, from, distance of its rows, bytes.

        ends : of neurons of ``kind``
        others : copy those of other kinds, too
        """
        moves = list[int]()
        for key, (low, high) in self.windows.items():
            states, size = self.states[key], self.states[key].itemsize
            first, last = (max(low, ends[0]), min(high, ends[1])) if key[0] == kind else (low, high)
            if last > first and (others or key[0] == kind):
                to = self.to[key].ctypes.data + (first - low) * size
                source = states.ctypes.data + first * size
                moves += [to, (high - low) * size, source, states.strides[0], (last - first) * size]
        return [len(moves) // 5, *moves]


@dataclass(frozen=True)
class Call:
    """What a kernel is asked to do.

    later : name -> array that this call decides, without records and faults
    begin : steps taken before
    """

    run: Run
    kernel: Kernel
    later: Mapping[str, Array]
    recorder: Recorder
    steps: int
    batch: int
    begin: int

    def samples(self, threads: int) -> Ints:
        """Compute all samples, some in each piece; returns for each the step in which a register was left, or -1."""
        fault = np.full(self.batch, -1, np.int64)
        records = np.array(self.recorder.moves("", (0, 0), others=True), np.int64)
        head = self._head(records, fault)

        def piece(low: int, high: int) -> None:
            work = [np.zeros(size, kind) for kind, size in self.kernel.work.values()]
            table = np.array([*head, *(a.ctypes.data for a in work)], np.int64)
            self.run(low, high, self.steps, self.batch, self.begin, table.ctypes.data)

        share_out(piece, self.batch, threads)
        return fault

    def tiles(self, tiles: Tiles, threads: int) -> Ints:
        """Compute all tiles, each for all samples; returns the same."""
        ends = list(zip(tiles.low.tolist(), tiles.high.tolist(), strict=True))
        fault = np.full((len(ends), self.batch), -1, np.int64)
        moves = [self.recorder.moves(tiles.cut.name, end, others=i == 0) for i, end in enumerate(ends)]
        records = np.zeros((len(ends), max(map(len, moves))), np.int64)
        for row, numbers in zip(records, moves, strict=True):
            row[: len(numbers)] = numbers
        head = [*self._head(records, fault), *(0 for _ in tiles.work)]
        tables, copies = tiles.tables(np.array(head, np.int64), {**self.later, "records": records, "fault": fault})
        place, distance = tables.ctypes.data, tables.strides[0]

        def piece(low: int, high: int) -> None:
            work = list[Array]()
            for tile in range(low, high):
                if tile in {low, len(ends) - 1}:  # the last one is shorter: nothing may stand behind its neurons
                    work = [np.zeros(size, kind) for kind, size in tiles.work.values()]
                tables[tile, -len(work) :] = [a.ctypes.data for a in work]
                self.run(0, self.batch, self.steps, self.batch, self.begin, place + tile * distance)

        share_out(piece, len(ends), threads)
        del copies  # they had to be there until now
        return np.where((fault >= 0).any(axis=0), np.where(fault < 0, self.steps, fault).min(axis=0), -1)

    def _head(self, records: Ints, fault: Ints) -> list[int]:
        """Numbers and addresses that all threads share."""
        later = {**self.later, "records": records, "fault": fault}
        arrays = [*self.kernel.given.values(), *(later[n] for n in self.kernel.later)]
        return [*self.kernel.numbers.values(), *(a.ctypes.data for a in arrays)]


def share_out(run: Callable[[int, int], None], count: int, threads: int) -> None:
    """Run all of ``count`` things, some in each piece."""
    threads = max(1, min(threads, count))
    if threads == 1:
        run(0, count)
        return
    size = -(-count // (threads * PIECES))
    pool = _pool(threads, os.getpid())
    for done in [pool.submit(run, low, min(low + size, count)) for low in range(0, count, size)]:
        done.result()

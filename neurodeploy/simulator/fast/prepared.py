"""A placed network made ready for the generated kernel: laid out and compiled once, run as often as wanted."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np

from neurodeploy.generated import Compiled
from neurodeploy.simulator.engine import Engine
from neurodeploy.simulator.executors import STEPPING
from neurodeploy.simulator.fast.code import Array, padded
from neurodeploy.simulator.fast.source import Kernel, kernel_of
from neurodeploy.simulator.machine import Ints, Machine, initial_states
from neurodeploy.simulator.run import Snapshot
from neurodeploy.step import Interval

Window = tuple[int, int]
Recordings = dict[tuple[str, str], Array]
Run = Callable[[int, int, int, int, int, int], None]
SMALL = 1 << 18  # neuron updates that one thread finishes before a second has started
_FUNCTIONS: dict[str, Run] = {}  # compiled kernels by their code: other networks of the same form share them


@lru_cache(maxsize=1)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:  # noqa: ARG001 - a forked process needs its own
    return ThreadPoolExecutor(threads, thread_name_prefix="neurodeploy")


def function_of(kernel: Kernel) -> Run:
    """Return the compiled code of a kernel."""
    if kernel.code not in _FUNCTIONS:
        _FUNCTIONS[kernel.code] = Compiled(kernel).function("run")
    return _FUNCTIONS[kernel.code]


def at_rest(machine: Machine) -> Snapshot:
    """What one sample remembers after a reset."""
    states = initial_states(machine.lanes, 1)
    nothing = {name: np.zeros((1, lane.size), np.int64) for name, lane in machine.lanes.items()}
    return Snapshot(states, {name: (zero,) * (machine.longest_delay + 1) for name, zero in nothing.items()}, 0)


class Memory:
    """What a batch of samples remembers, in the kernel's types.

    states : (kind, state) -> (batch, padded neuron)
    history : kind -> (batch, depth, padded neuron), the newest step first
    """

    def __init__(self, kernel: Kernel, snapshot: Snapshot, batch: int) -> None:
        self.kernel, self.batch, self.step = kernel, batch, snapshot.step
        self.states: dict[tuple[str, str], Array] = {}
        self.history: dict[str, Array] = {}
        for (name, state), sort in kernel.memory.items():
            size = kernel.kinds[name].lane.size
            held = self.states[name, state] = np.zeros((batch, padded(size)), sort)
            held[:, :size] = snapshot.states[name][state]
        for name, kind in kernel.kinds.items() if kernel.depth > 1 else ():
            size = kind.lane.size
            past = self.history[name] = np.zeros((batch, kernel.depth, padded(size)), kernel.memory[name, kind.emits])
            past[:, :, :size] = np.stack(snapshot.history[name], axis=1)

    def copy(self) -> "Memory":
        """Return the same once more, to be changed."""
        other = object.__new__(Memory)
        other.kernel, other.batch, other.step = self.kernel, self.batch, self.step
        other.states = {n: v.copy() for n, v in self.states.items()}
        other.history = {n: v.copy() for n, v in self.history.items()}
        return other

    def snapshot(self, before: Snapshot) -> Snapshot:
        """Return the same as everybody reads it; of kinds without neurons what was ``before``."""
        states: dict[str, dict[str, Ints]] = {
            n: {} if n in self.kernel.kinds else {s: v[:1].repeat(self.batch, axis=0) for s, v in many.items()}
            for n, many in before.states.items()
        }
        history = {
            n: tuple(v[:1].repeat(self.batch, axis=0) for v in past[:1] * len(past))
            for n, past in before.history.items()
            if n not in self.kernel.kinds
        }
        for (name, state), values in self.states.items():
            states[name][state] = values[:, : self.kernel.kinds[name].lane.size].astype(np.int64)
        for name, kind in self.kernel.kinds.items():
            if self.kernel.depth > 1:
                past = self.history[name][:, :, : kind.lane.size].astype(np.int64)
                history[name] = tuple(np.ascontiguousarray(past[:, age]) for age in range(self.kernel.depth))
            else:
                history[name] = (states[name][kind.emits].copy(),)
        return Snapshot(states, history, self.step)


class Prepared:
    """A machine with its kernel."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._kernels: dict[bool, Kernel] = {}

    def kernel(self, snapshot: Snapshot | None) -> Kernel:
        """Return the kernel for a start: a narrower one where the state is as after a reset, in what it needs to be."""
        fresh = self._kernels.get(True) or self._kernels.setdefault(True, kernel_of(self.machine, fresh=True))
        if snapshot is None or all(
            _within(snapshot.states[name][state], interval)
            for name, kind in fresh.kinds.items()
            for state, interval in kind.between.items()
        ):
            return fresh
        return self._kernels.get(False) or self._kernels.setdefault(False, kernel_of(self.machine, fresh=False))

    def begin(self, start: Snapshot, batch: int) -> Memory:
        """Take a state over."""
        return Memory(self.kernel(start), start, batch)

    def advance(
        self,
        memory: Memory,
        external: Mapping[str, Ints],
        steps: int,
        windows: Mapping[tuple[str, str], Window],
        *,
        threads: int = 1,
    ) -> Recordings:
        """Take steps; changes ``memory`` and returns what was recorded.

        external : input kind -> (time, batch, neuron)
        windows : (kind, state) -> positions to record, first and behind the last
        Raises TextAtFault as the reference does.
        """
        kernel, batch = memory.kernel, memory.batch
        # a register that cannot hold its value is told by the reference, which must begin where this began
        before = memory.copy() if "bad |=" in kernel.code else memory
        recorded, moves = _recordings(memory, windows, steps)
        fault = np.full(batch, -1, np.int64)
        later: dict[str, Array] = {"fault": fault}
        later["records"] = np.array([len(moves), *(n for move in moves for n in move)], np.int64)
        for name, kind in kernel.kinds.items():
            k = kind.number
            later |= {f"s{k}_{state}": memory.states[name, state] for state in kind.lane.kind.states}
            if kernel.depth > 1:
                later[f"s{k}_history"] = memory.history[name]
            if f"x{k}" in kernel.later:
                later[f"x{k}"] = np.ascontiguousarray(external[name], kernel.later[f"x{k}"])
        run, arrays = function_of(kernel), [*kernel.given.values(), *(later[n] for n in kernel.later)]
        head = [*kernel.numbers.values(), *(a.ctypes.data for a in arrays)]

        def piece(low: int, high: int) -> None:
            work = [np.zeros(size, kind) for kind, size in kernel.work.values()]
            table = np.array([*head, *(a.ctypes.data for a in work)], np.int64)
            run(low, high, steps, batch, memory.step, table.ctypes.data)

        self._shared_out(piece, batch, steps, threads)
        if fault.max(initial=-1) >= 0:
            self._fail(before, external, fault)
        for name, past in memory.history.items():
            memory.history[name] = np.roll(past, steps % kernel.depth, axis=1)
        memory.step += steps
        return recorded

    def _shared_out(self, run: Callable[[int, int], None], batch: int, steps: int, threads: int) -> None:
        work = batch * steps * sum(lane.size for lane in self.machine.lanes.values())
        threads = 1 if work < SMALL else max(1, min(threads, batch))
        if threads == 1:
            run(0, batch)
            return
        size = -(-batch // (threads * 4))
        pool = _pool(threads, os.getpid())
        for done in [pool.submit(run, low, min(low + size, batch)) for low in range(0, batch, size)]:
            done.result()

    def _fail(self, before: Memory, external: Mapping[str, Ints], fault: Ints) -> None:
        """Let the reference take the step in which a register was left, for the samples that left it."""
        first = int(fault[fault >= 0].min())
        samples = np.flatnonzero(fault == first)
        start = Engine(self.machine, before.batch, STEPPING["reference"]).snapshot()
        self.advance(before, {n: v[:first] for n, v in external.items()}, first, {})
        whole = before.snapshot(start)
        states = {n: {s: v[samples] for s, v in many.items()} for n, many in whole.states.items()}
        history = {n: tuple(v[samples] for v in past) for n, past in whole.history.items()}
        engine = Engine(self.machine, len(samples), STEPPING["reference"], Snapshot(states, history, whole.step))
        engine.step({n: np.asarray(v[first][samples], np.int64) for n, v in external.items()})
        msg = "a generated kernel reports a register out of its width where the reference keeps it"
        raise RuntimeError(msg)


def _within(values: Ints, interval: Interval) -> bool:
    return not values.size or (int(values.min()) in interval and int(values.max()) in interval)


def _recordings(
    memory: Memory, windows: Mapping[tuple[str, str], Window], steps: int
) -> tuple[Recordings, list[tuple[int, int, int, int]]]:
    """Arrays to record in, and for each: its address, the size of a row, address and distance of what is copied."""
    recorded: Recordings = {}
    moves = []
    for key, (low, high) in windows.items():
        states = memory.states[key]
        out = recorded[key] = np.empty((steps, memory.batch, high - low), states.dtype)
        size = states.dtype.itemsize
        moves.append((out.ctypes.data, (high - low) * size, states.ctypes.data + low * size, states.strides[0]))
    return recorded, moves

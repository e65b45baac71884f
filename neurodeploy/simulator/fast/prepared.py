"""A placed network made ready for the generated kernel: laid out and compiled once, run as often as wanted."""

from collections.abc import Callable, Mapping
from functools import cached_property, partial

import numpy as np

from neurodeploy.generated import Compiled
from neurodeploy.simulator.engine import Engine
from neurodeploy.simulator.executors import STEPPING
from neurodeploy.simulator.fast.code import Array, padded
from neurodeploy.simulator.fast.shares import Call, Recorder, Run, Window
from neurodeploy.simulator.fast.source import Kernel, kernel_of
from neurodeploy.simulator.fast.tiles import Tiles
from neurodeploy.simulator.machine import Ints, Lane, Machine
from neurodeploy.simulator.run import OnDemand, Snapshot
from neurodeploy.step import Interval

Recordings = dict[tuple[str, str], Array]
SMALL = 1 << 18  # neuron updates that one thread finishes before a second has started
_FUNCTIONS: dict[str, Run] = {}  # compiled kernels by their code: other networks of the same form share them


def function_of(kernel: Kernel) -> Run:
    """Return the compiled code of a kernel."""
    if kernel.code not in _FUNCTIONS:
        _FUNCTIONS[kernel.code] = Compiled(kernel, alone=True, whole=True).function("run")
    return _FUNCTIONS[kernel.code]


def _at_rest(machine: Machine) -> Snapshot:
    """What one sample remembers after a reset: a value that all neurons share is there once."""

    def start(lane: Lane, value: str | int) -> Ints:
        return np.broadcast_to(lane.parameters[value] if isinstance(value, str) else np.int64(value), (1, lane.size))

    lanes = machine.lanes.items()
    states = {name: {s: start(lane, e.start) for s, e in lane.kind.states.items()} for name, lane in lanes}
    nothing = {name: start(lane, 0) for name, lane in lanes}
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
            start = snapshot.states[name][state]
            if start.size and (start.strides[-1] or start.flat[0]):
                held[:, :size] = start
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
        """Return the same as everybody reads it, in 64 bits when it is read; ``before``: kinds without neurons.

        What is remembered here must not change afterwards.
        """
        states: dict[str, Mapping[str, Ints]] = {}
        history: dict[str, Callable[[], tuple[Ints, ...]]] = {}
        for name, many in before.states.items():
            if name in self.kernel.kinds:
                states[name] = OnDemand({s: partial(self._wide, name, s) for s in many})
                history[name] = partial(self._past, name)
            else:
                states[name] = {s: v[:1].repeat(self.batch, axis=0) for s, v in many.items()}
                past = before.history[name]
                history[name] = partial(_repeated, past[:1] * len(past), self.batch)
        return Snapshot(states, OnDemand(history), self.step)

    def _wide(self, name: str, state: str) -> Ints:
        return self.states[name, state][:, : self.kernel.kinds[name].lane.size].astype(np.int64)

    def _past(self, name: str) -> tuple[Ints, ...]:
        kind = self.kernel.kinds[name]
        if self.kernel.depth == 1:
            return (self._wide(name, kind.emits),)
        past = self.history[name][:, :, : kind.lane.size].astype(np.int64)
        return tuple(np.ascontiguousarray(past[:, age]) for age in range(self.kernel.depth))


def _repeated(past: tuple[Ints, ...], batch: int) -> tuple[Ints, ...]:
    return tuple(v[:1].repeat(batch, axis=0) for v in past)


class Prepared:
    """A machine with its kernel."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._kernels: dict[bool, Kernel] = {}
        self._cut: dict[bool, Tiles] = {}

    @cached_property
    def rest(self) -> Snapshot:
        """What one sample remembers after a reset, to be read only."""
        return _at_rest(self.machine)

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

    def begin(self, start: Snapshot | None, batch: int) -> Memory:
        """Take a state over; None is that after a reset."""
        return Memory(self.kernel(start), self.rest if start is None else start, batch)

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
        recorded = {
            key: np.empty((steps, batch, high - low), memory.states[key].dtype) for key, (low, high) in windows.items()
        }
        later: dict[str, Array] = {}
        for name, kind in kernel.kinds.items():
            k = kind.number
            later |= {f"s{k}_{state}": memory.states[name, state] for state in kind.lane.kind.states}
            if kernel.depth > 1:
                later[f"s{k}_history"] = memory.history[name]
            if f"x{k}" in kernel.later:
                later[f"x{k}"] = np.ascontiguousarray(external[name], kernel.later[f"x{k}"])
        if batch * steps * sum(lane.size for lane in self.machine.lanes.values()) < SMALL:
            threads = 1
        recorder = Recorder(memory.states, windows, recorded)
        call = Call(function_of(kernel), kernel, later, recorder, steps, batch, memory.step)
        tiles = self._tiles(kernel)
        fault = call.tiles(tiles, threads) if tiles and tiles.pays(batch, threads) else call.samples(threads)
        if fault.max(initial=-1) >= 0:
            self._fail(before, external, fault)
        for name, past in memory.history.items():
            memory.history[name] = np.roll(past, steps % kernel.depth, axis=1)
        memory.step += steps
        return recorded

    def _tiles(self, kernel: Kernel) -> Tiles | None:
        if kernel.cut is None:
            return None
        fresh = kernel is self._kernels.get(True)
        return self._cut.get(fresh) or self._cut.setdefault(fresh, Tiles(kernel, kernel.cut))

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

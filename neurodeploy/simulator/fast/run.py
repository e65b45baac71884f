"""Runs a task of a clocked chip by its generated kernel."""

import os

import numpy as np

from neurodeploy.simulator.engine import Engine
from neurodeploy.simulator.executors import STEPPING
from neurodeploy.simulator.fast.prepared import Prepared, Recordings
from neurodeploy.simulator.fast.shares import Window
from neurodeploy.simulator.machine import Ints
from neurodeploy.simulator.run import Run
from neurodeploy.simulator.task import Task

NAME = "numba"
#: Recorded values of one piece of a run; larger arrays only cost time until the system has given their memory.
RECORDED = 1 << 22
#: Updates of neurons from which on a compiler's few seconds pay.
PAYS = 1 << 25


def threads() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_fused(task: Task) -> Run:
    """Take all steps in compiled code, samples shared out over the cores."""
    machine = task.clocked
    prepared = task.memo.setdefault(NAME, Prepared(machine))
    if not isinstance(prepared, Prepared):
        raise TypeError(prepared)
    start = None if task.state is None else Engine(machine, task.batch, STEPPING["numpy"], task.state).snapshot()
    memory = prepared.begin(start, task.batch)
    windows = _windows(task)
    counts, states = task.empty()
    wide = sum(high - low for low, high in windows.values())
    size = max(1, RECORDED // max(1, task.batch * wide))
    for begin in range(0, task.steps, size):
        end = min(begin + size, task.steps)
        external = {n: _piece(values, begin, end) for n, values in task.external.items()}
        recorded = prepared.advance(memory, external, end - begin, windows, threads=threads())
        for g in task.network.groups:
            emits = machine.lanes[g.kind].kind.emits
            if g.name in counts:
                _take(counts[g.name][begin:end], task, g.name, emits, windows, recorded)
            for name, values in states.get(g.name, {}).items():
                _take(values[begin:end], task, g.name, name, windows, recorded)
        if task.progress is not None:
            for t in range(begin, end):
                task.progress(t)
    return task.run(NAME, counts, states, memory.snapshot(start or prepared.rest))


def _piece(values: Ints, begin: int, end: int) -> Ints:
    """Input of some steps; those after its end are silent."""
    given = values[begin:end]
    if len(given) == end - begin:
        return given
    return np.concatenate([given, np.zeros((end - begin - len(given), *values.shape[1:]), np.int64)])


def _windows(task: Task) -> dict[tuple[str, str], Window]:
    """(kind, state) -> the positions that hold all that is to be kept of it."""
    found: dict[tuple[str, str], Window] = {}
    lanes = task.machine.lanes
    for g in task.network.groups:
        emitted = [lanes[g.kind].kind.emits] if g.name in task.kept else []
        for state in (*emitted, *task.wanted.get(g.name, ())):
            at = lanes[g.kind].slices[g.name]
            low, high = found.get((g.kind, state), (int(at.min()), int(at.max()) + 1))
            found[g.kind, state] = min(low, int(at.min())), max(high, int(at.max()) + 1)
    return found


def _take(
    to: Ints, task: Task, group: str, state: str, windows: dict[tuple[str, str], Window], recorded: Recordings
) -> None:
    kind = task.network.group(group).kind
    at = task.machine.lanes[kind].slices[group] - windows[kind, state][0]
    neighbours = at.size == at[-1] - at[0] + 1 and bool(np.all(np.diff(at) == 1))
    to[:] = recorded[kind, state][:, :, slice(int(at[0]), int(at[-1]) + 1) if neighbours else at]


def not_fused(task: Task) -> str:
    """Why compiled code does not take a task: an observer, or a state that registers cannot hold."""
    if task.observer is not None:
        return "an observer sees every phase, and a fused loop shows none"
    for name, kind in task.clocked.lanes.items() if task.state is not None else ():
        states = kind.kind.states
        held = {s: e.interval for s, e in states.items()}
        given = {s: [v] for s, v in task.state.states.get(name, {}).items()} if task.state else {}
        past = list(task.state.history.get(name, ())) if task.state else []
        given[kind.kind.emits] = given.get(kind.kind.emits, []) + past
        for state, arrays in given.items():
            if any(v.size and not (v.min() in held[state] and v.max() in held[state]) for v in arrays if state in held):
                return f"the state that is given holds {name}.{state} outside {held[state]}"
    return ""


def worth_fusing(task: Task) -> str:
    """Why compiled code is the best for a task; empty where compiling takes longer than it saves."""
    if isinstance(task.memo.get(NAME), Prepared):
        return "its kernel is compiled"
    updates = task.steps * task.batch * sum(lane.size for lane in task.machine.lanes.values())
    return f"{updates:,} updates of neurons repay a compiler" if updates >= PAYS else ""

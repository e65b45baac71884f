"""Runs a task in integer tensors, chunk by chunk of its samples."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from neurodeploy.simulator.engine import Engine
from neurodeploy.simulator.executors import STEPPING
from neurodeploy.simulator.machine import Ints
from neurodeploy.simulator.run import How, Run, Snapshot
from neurodeploy.simulator.stepwise import run_steps
from neurodeploy.simulator.task import Task
from neurodeploy.simulator.tensors.engine import Chunk, Prepared
from neurodeploy.simulator.tensors.texts import LeftWidthError, tensor

NAME = "torch"
#: bytes that a chunk may take beside the result; on another device than the processor, half of what is free there
MEMORY = 1 << 30
#: states that the processor computes together: more would leave its caches
TOGETHER = 1 << 18
#: tensors of the size of a state that a text has in hand at once, about
IN_HAND = 12


def refusal(task: Task) -> str:
    """Why the device of a task cannot be used; empty if it can."""
    try:
        device = _device(task)
        if device.type == "meta":
            return "device = 'meta': it holds no numbers"
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return f"device = {task.device!r}: {str(error).splitlines()[0]}"
    return ""


def run_tensors(task: Task) -> Run:
    """Run all chunks. Where a text leaves a register the engine that folds texts says what it finds."""
    device = _device(task)
    prepared = task.memo.get(f"{NAME} {device}")
    if not isinstance(prepared, Prepared):
        task.memo[f"{NAME} {device}"] = prepared = Prepared(task.network, task.clocked, device)
    prepared.notes.products.clear()
    prepared.notes.ordered = 0
    begin = Engine(task.clocked, task.batch, STEPPING["numpy"], task.state).snapshot()
    keeper = Keeper(task, device)
    final = {n: {s: np.empty_like(v) for s, v in many.items()} for n, many in begin.states.items()}
    history = {n: tuple(np.empty_like(v) for v in past) for n, past in begin.history.items()}
    size = chunk_size(task, device)
    parts = [slice(i, min(i + size, task.batch)) for i in range(0, task.batch, size)]
    try:
        with torch.no_grad(), exact_products():
            for number, part in enumerate(parts):
                chunk = Chunk(prepared, _part(begin, part))
                _walk(task, chunk, part, keeper, (number, len(parts)))
                prepared.watch.check()
                kept, past = chunk.snapshot()
                for kind, many in kept.items():
                    for name, value in many.items():
                        final[kind][name][part] = value.numpy()
                    for into, value in zip(history[kind], past[kind], strict=True):
                        into[part] = value.numpy()
    except LeftWidthError:
        task.memo.pop(f"{NAME} {device}")  # its watch has seen too much
        return run_steps(task, "numpy")
    how = How(
        device=str(device),
        products=tuple(prepared.notes.products.values()),
        chunks=len(parts),
        ordered=prepared.notes.ordered,
    )
    return task.run(NAME, keeper.counts, keeper.states, Snapshot(final, history, begin.step + task.steps), how)


def _walk(task: Task, chunk: Chunk, part: slice, keeper: "Keeper", place: tuple[int, int]) -> None:
    """Take every step of a chunk. place : its number, and how many there are."""
    device, (number, chunks) = chunk.prepared.device, place
    external = {n: tensor(a[:, part], torch.int32, device) for n, a in task.external.items()}
    silence = {n: a.new_zeros(a.shape[1:]) for n, a in external.items()}
    for t in range(task.steps):
        chunk.step({n: a[t] if t < len(a) else silence[n] for n, a in external.items()})
        keeper.keep(chunk, t, part)
        done = number * task.steps + t + 1
        if task.progress is not None and done % chunks == 0:
            task.progress(done // chunks - 1)
    keeper.end(part)


class Keeper:
    """What is kept of every step: on the processor at once, from elsewhere at the end of a chunk."""

    def __init__(self, task: Task, device: torch.device) -> None:
        self.counts, self.states = task.empty()
        self.device, lanes = device, task.machine.lanes
        self.arrays = list[tuple[str, str, torch.Tensor, Ints]]()
        for group, array in self.counts.items():
            kind = task.network.group(group).kind
            self._add(kind, lanes[kind].kind.emits, lanes[kind].slices[group], array)
        for group, many in self.states.items():
            kind = task.network.group(group).kind
            for state, array in many.items():
                self._add(kind, state, lanes[kind].slices[group], array)
        self.waiting: list[list[torch.Tensor]] = [[] for _ in self.arrays]

    def _add(self, kind: str, state: str, positions: Ints, array: Ints) -> None:
        self.arrays.append((kind, state, tensor(positions, torch.int64, self.device), array))

    def keep(self, chunk: Chunk, step: int, part: slice) -> None:
        """Keep what a step left."""
        for (kind, state, at, array), waiting in zip(self.arrays, self.waiting, strict=True):
            values = chunk.states[kind][state].index_select(1, at)
            if self.device.type == "cpu":
                array[step, part] = values.numpy()
            else:
                waiting.append(values)

    def end(self, part: slice) -> None:
        """Fetch what waits."""
        for (_, _, _, array), waiting in zip(self.arrays, self.waiting, strict=True):
            if waiting:
                array[:, part] = torch.stack(waiting).cpu().numpy()
                waiting.clear()


def chunk_size(task: Task, device: torch.device) -> int:
    """Samples that are computed together, so that they need no more than MEMORY, or half of what a device has free."""
    lanes, network = task.machine.lanes, task.network
    numbers = sum(lane.size * (len(lane.kind.states) + IN_HAND) for lane in lanes.values())
    numbers += len(task.clocked.lanes) * task.clocked.longest_delay * max(lane.size for lane in lanes.values())
    numbers += sum(a.shape[0] * a.shape[2] for a in task.external.values())
    if device.type != "cpu":
        kept = sum(network.group(g).size for g in task.kept)
        kept += sum(network.group(g).size * len(many) for g, many in task.wanted.items())
        numbers += kept * task.steps
    free = torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else MEMORY
    fits = free // (8 * numbers)
    if device.type == "cpu":
        fits = min(fits, TOGETHER // max(lane.size for lane in lanes.values()))
    return int(max(1, min(task.batch, fits)))


@contextmanager
def exact_products() -> Iterator[None]:
    """Matrix products keep every digit of their type, whatever the process has set."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _device(task: Task) -> torch.device:
    return torch.device(task.device or "cpu")


def _part(snapshot: Snapshot, part: slice) -> Snapshot:
    states = {n: {s: v[part] for s, v in many.items()} for n, many in snapshot.states.items()}
    return Snapshot(states, {n: tuple(v[part] for v in past) for n, past in snapshot.history.items()}, snapshot.step)

"""All steps of a task at once: group after group, each through all steps with its ticks.

A neuron sees its own arrivals and ticks alone. Where each group is reached by one projection, nothing bounds the queue
and no tick makes events, what reaches a group is known for all steps before its first neuron has met anything.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from neurodeploy.chips.event_driven import EVENTS
from neurodeploy.simulator.event_engine import Made
from neurodeploy.simulator.follow.engine import FollowEngine
from neurodeploy.simulator.follow.layout import Layout
from neurodeploy.simulator.follow.runner import WORTH_A_THREAD, Stopped, Train, threads
from neurodeploy.simulator.follow.source import stored_type
from neurodeploy.simulator.follow.strips import Array
from neurodeploy.simulator.machine import Ints
from neurodeploy.simulator.run import Run
from neurodeploy.simulator.task import Task


def can_run_whole(task: Task, layout: Layout) -> bool:
    """Whether a task can be taken so."""
    machine, network = layout.machine, task.network
    phases, plans = machine.chip.schedule, layout.plans[0]
    reached = {g for f in machine.fans if f.size for g in f.target} | {g.name for g in network.inputs()}
    return (
        layout.layers is not None
        and task.observer is None
        and phases[0].name == EVENTS
        and EVENTS not in {p.name for p in phases[1:]}
        and all(p.every is None for p in phases[:1])
        and not any(t.handler.emits for t in plans.ticks.values())
        and all(g.name in reached for g in network.groups if g.size)
    )


@dataclass(frozen=True)
class _Sample:
    """What became of one sample.

    made : group -> its events
    kept : group -> state -> (step * neuron,) in the order of memory
    """

    made: dict[str, Train]
    kept: dict[str, dict[str, Array]]
    meetings: int


def run_whole(task: Task, engine: FollowEngine, name: str) -> Run | None:
    """Take every step of a task; None where a sample cannot go on, or one input may have caused too much.

    name : of the executor
    """
    with ThreadPoolExecutor(threads()) as pool:
        worth = task.batch > 1 and len(engine.stimulus) >= WORTH_A_THREAD
        work = (pool.map if worth else map)(_Whole(task, engine).sample, range(task.batch))
        found = list(work)
    if None in found:
        return None
    return _result(task, engine, [f for f in found if f is not None], name)


class _Whole:
    def __init__(self, task: Task, engine: FollowEngine) -> None:
        self.task, self.runner, self.layout = task, engine.runner, engine.runner.layout
        self.stimulus = engine.stimulus
        order, _ = self.stimulus.ordered
        self.order = order[np.argsort(self.stimulus.sample[order], kind="stable")]
        self.begins = np.searchsorted(self.stimulus.sample[self.order], np.arange(task.batch + 1))
        at = engine.step_number + np.arange(task.steps)
        self.due = {
            p.name: np.ones(task.steps, np.uint8)
            if p.every is None
            else (at % p.every.period == p.every.offset).astype(np.uint8)
            for p in self.layout.machine.chip.schedule
            if p.neuron
        }

    def inputs(self, sample: int) -> dict[str, Train]:
        """Events of each input group."""
        machine, stimulus, result = self.layout.machine, self.stimulus, {}
        events = self.order[self.begins[sample] : self.begins[sample + 1]]
        for number, g in enumerate(self.task.network.inputs()):
            mine = events if stimulus.group is None and number == 0 else events[self.groups(events) == number]
            position = machine.lanes[g.kind].slices[g.name][stimulus.neuron[mine]]
            ends = np.searchsorted(stimulus.step[mine], np.arange(self.task.steps), side="right")
            result[g.name] = Train(self.layout.memory[g.kind][position].astype(np.uint32), mine, ends)
        return result

    def groups(self, events: Ints) -> Ints:
        """Number of the input group of each event."""
        return np.zeros(len(events), np.int64) if self.stimulus.group is None else self.stimulus.group[events]

    def sample(self, sample: int) -> _Sample | None:
        """Take one sample through all steps."""
        fans, trains = self.layout.machine.fans, self.inputs(sample)
        kept, meetings, met = dict[str, dict[str, Array]](), 0, 0
        inputs = set(trains)
        for number in self.layout.layers or ():
            (source,), (target,), kind = fans[number].sources, fans[number].target, fans[number].kind.target
            if not fans[number].size:
                continue
            size = self.task.network.group(target).size
            registers = self.layout.registers[kind]
            wanted = self.task.wanted.get(target, [])
            kept[target] = {s: np.zeros(self.task.steps * size, stored_type(registers[s])) for s in wanted}
            found = self.runner.layer(sample, number, trains[source], self.due, kept[target])
            if isinstance(found, Stopped):
                return None
            trains[target] = found.made
            met, meetings = met + found.met, meetings + found.meetings
        if met > self.runner.patience and self.most(trains) > self.runner.patience:
            return None
        return _Sample({g: t for g, t in trains.items() if g not in inputs}, kept, meetings)

    def most(self, trains: dict[str, Train]) -> int:
        """Most arrivals that one input can have caused: each event goes to all fans of its group."""
        fans = self.layout.machine.fans
        total = np.zeros(len(self.stimulus), np.int64)
        for fan in fans:
            total += np.bincount(trains[fan.sources[0]].cause, minlength=len(total))
        return int(total.max(initial=0))


def _result(task: Task, engine: FollowEngine, samples: list[_Sample], name: str) -> Run:
    layout, lanes = engine.runner.layout, task.machine.lanes
    counts, states = task.empty()
    for g in task.network.inputs():
        if g.name in counts:
            given = task.external[g.kind][:, :, lanes[g.kind].part(g.name)]
            counts[g.name][: len(given)] = given
    for g in (g for g in task.network.groups if not lanes[g.kind].kind.is_input()):
        at = lanes[g.kind].slices[g.name]
        index = np.zeros(lanes[g.kind].size, np.int64)
        index[at] = np.arange(g.size)
        first = layout.spans[g.name][0] - layout.strips.offset[g.kind]
        for number, sample in enumerate(samples):
            for state in task.wanted.get(g.name, ()):
                values = sample.kept[g.name][state].reshape(task.steps, g.size)
                states[g.name][state][:, number] = values[:, layout.memory[g.kind][at] - first]
            if g.name not in counts or g.name not in sample.made:
                continue
            train = sample.made[g.name]
            position = layout.ranks[g.kind][train.place]
            step = np.repeat(np.arange(task.steps), np.diff(train.ends, prepend=0))
            engine.made.append(Made(g.kind, step, np.full(len(step), number), train.cause, position))
            np.add.at(counts[g.name].reshape(-1), (step * task.batch + number) * g.size + index[position], 1)
    engine.meetings += np.array([s.meetings for s in samples], np.int64)
    engine.took(task.steps)
    if task.progress is not None:
        task.progress(task.steps - 1)
    return engine.completed(task.run(name, counts, states, engine.snapshot()))

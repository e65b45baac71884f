"""Runs a task step by step on an engine."""

import numpy as np

from neurodeploy.simulator.engine import Engine
from neurodeploy.simulator.event_engine import EventEngine
from neurodeploy.simulator.executors import STEPPING, Executor
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.run import Run
from neurodeploy.simulator.task import Task


def run_steps(task: Task, executor: str | Executor) -> Run:
    """Run a task on an engine that folds texts.

    executor : one of STEPPING by its name, or for a clocked chip an Executor that observes more
    """
    runner = STEPPING[executor] if isinstance(executor, str) else executor
    engine: Engine | EventEngine
    if isinstance(task.machine, EventMachine):
        stimulus = task.events()
        engine = EventEngine(task.machine, stimulus, executor=runner.name, order=task.order, snapshot=task.state)
    else:
        engine = Engine(task.machine, task.batch, runner, task.state)
    return walk(task, engine, runner.name)


def walk(task: Task, engine: Engine | EventEngine, name: str) -> Run:
    """Take every step of a task and keep what it wants.

    name : of the executor
    """
    lanes = task.machine.lanes
    events, states = task.empty()
    silence = {n: np.zeros((task.batch, lanes[n].size), np.int64) for n in task.external}
    for t in range(task.steps):
        engine.step({n: a[t] if t < len(a) else silence[n] for n, a in task.external.items()}, task.observer)
        for g in task.network.groups:
            at = lanes[g.kind].slices[g.name]
            if g.name in events:
                events[g.name][t] = engine.emitted(g.kind)[:, at]
            for state in task.wanted.get(g.name, ()):
                states[g.name][state][t] = engine.states[g.kind][state][:, at]
        if task.progress is not None:
            task.progress(t)
    run = task.run(name, events, states, engine.snapshot())
    return engine.completed(run) if isinstance(engine, EventEngine) else run

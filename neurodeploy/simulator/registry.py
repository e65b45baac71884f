"""The table of executors: what each is called, which tasks it takes, what it needs, how it is run."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec

from neurodeploy.errors import Fault, Refusal, missing_extra
from neurodeploy.simulator.run import Run
from neurodeploy.simulator.stepwise import run_steps
from neurodeploy.simulator.task import Task

AUTO = "auto"
CLOCKED, EVENT = "clocked", "event"
_LOG = logging.getLogger("neurodeploy")


def _takes_all(_: Task) -> str:
    return ""


@dataclass(frozen=True)
class Entry:
    """An executor; all give the same result in every bit.

    title : what it is, in a few words
    schedules : sorts of chip that it takes
    run : takes a task and returns its result
    refusal : why it does not take a task of its schedules; empty if it does
    suits : why "auto" takes it for a task; empty where another is better. Asked in the order of the table
    package, extra : package that it needs, and the extra of this one that brings it
    observes : it shows every phase of every step to an observer
    devices : it computes on any device of torch
    """

    title: str
    schedules: tuple[str, ...]
    run: Callable[[Task], Run]
    suits: Callable[[Task], str]
    refusal: Callable[[Task], str] = _takes_all
    package: str = ""
    extra: str = ""
    observes: bool = False
    devices: bool = False

    @property
    def installed(self) -> bool:
        """Whether the package that it needs is there."""
        return not self.package or find_spec(self.package) is not None

    def reason(self, task: Task) -> str:
        """Why it does not take a task; empty if it does."""
        if task.schedule not in self.schedules:
            return "events drive this chip" if task.schedule == EVENT else "this chip is clocked"
        if task.observer is not None and not self.observes:
            return "an observer sees every phase, and it shows none"
        if task.device is not None and not self.devices:
            return f"device = {task.device!r}, and it computes on the processor alone"
        return self.refusal(task)


#: The fastest first.
EXECUTORS: Mapping[str, Entry] = {
    "numpy": Entry(
        "the NumPy table over all neurons and samples",
        (CLOCKED, EVENT),
        partial(run_steps, executor="numpy"),
        lambda _: "it takes every task and needs no other package",
        observes=True,
    ),
    "reference": Entry(
        "the definition: plain Python integers, one neuron at a time",
        (CLOCKED, EVENT),
        partial(run_steps, executor="reference"),
        lambda _: "",
        observes=True,
    ),
}


def names() -> tuple[str, ...]:
    """What may be asked for."""
    return (AUTO, *EXECUTORS)


def choose(task: Task, name: str) -> tuple[str, str]:
    """Name of the executor for a task, and why it is that one.

    Raises Refusal ND1303 where the one that was asked for does not take the task, Missing where its package is not
    installed.
    """
    if name == AUTO:
        return _chosen(task)
    entry = EXECUTORS[name]
    reason = entry.reason(task)
    if reason:
        others = [n for n, e in EXECUTORS.items() if e.installed and not e.reason(task)]
        where = f"simulate, {task.network.chip.name}"
        must = f"one of {', '.join((AUTO, *others))}" if others else "an option that some executor takes"
        raise Refusal(Fault("ND1303", where, f"executor = {name!r}: {reason}", must))
    if not entry.installed:
        raise missing_extra(entry.package, entry.extra, f"executor {name!r}")
    return name, "asked for"


def _chosen(task: Task) -> tuple[str, str]:
    for name, entry in EXECUTORS.items():
        if entry.reason(task):
            continue
        if not entry.installed:
            _say_missing(name, entry)
        elif why := entry.suits(task):
            return name, why
    reasons = "; ".join(f"{n}: {e.reason(task) or 'not installed'}" for n, e in EXECUTORS.items())
    raise Refusal(Fault("ND1303", f"simulate, {task.network.chip.name}", reasons, "options that one executor takes"))


@cache
def _say_missing(name: str, entry: Entry) -> None:
    """Once in a process."""
    todo = f'pip install "neurodeploy[{entry.extra}]"'
    _LOG.info("simulations run without the executor %r, as %s is not installed: %s", name, entry.package, todo)

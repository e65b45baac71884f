"""The table of executors: what each is called, which tasks it takes, what it needs, how it is run."""

import importlib.util
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, Refusal, missing_extra
from neurodeploy.simulator.fast.run import not_fused, run_fused, worth_fusing
from neurodeploy.simulator.follow.engine import FollowEngine
from neurodeploy.simulator.follow.layout import Layout, waiting_kinds
from neurodeploy.simulator.follow.whole import can_run_whole, run_whole
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.run import Run
from neurodeploy.simulator.stepwise import run_steps, walk
from neurodeploy.simulator.task import Task

AUTO = "auto"
CLOCKED, EVENT = "clocked", "event"
_OTHER = {CLOCKED: "this chip is clocked", EVENT: "events drive this chip"}
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
        return not self.package or importlib.util.find_spec(self.package) is not None

    def reason(self, task: Task) -> str:
        """Why it does not take a task; empty if it does."""
        if task.schedule not in self.schedules:
            return _OTHER[task.schedule]
        if task.observer is not None and not self.observes:
            return "an observer sees every phase, and it shows none"
        if task.device is not None and not self.devices:
            return f"device = {task.device!r}, and it computes on the processor alone"
        return self.refusal(task)


#: Input events that are worth the seconds that a chip's first compilation takes
WORTH_COMPILING = 5_000


def _run_compiled(task: Task) -> Run:
    machine = task.machine
    if not isinstance(machine, EventMachine):
        return run_fused(task)
    layout = task.memo.get("layout")
    if not isinstance(layout, Layout):
        task.memo["layout"] = layout = Layout(machine)
    name, stimulus = "numba", task.events()

    def engine() -> FollowEngine:
        return FollowEngine(machine, stimulus, layout=layout, executor=name, order=task.order, snapshot=task.state)

    whole = run_whole(task, engine(), name) if can_run_whole(task, layout) else None
    return walk(task, engine(), name) if whole is None else whole


def _not_compiled(task: Task) -> str:
    if not isinstance(task.machine, EventMachine):
        return not_fused(task)
    return "spikes wait that meet no neuron, those of some kinds alone" if len(waiting_kinds(task.machine)) > 1 else ""


def _worth_compiling(task: Task) -> str:
    if task.schedule == CLOCKED:
        return worth_fusing(task)
    known = task.stimulus
    events = sum(int(counts.sum()) for counts in task.given.values()) if known is None else len(known)
    return f"{events:,} input events are worth compiling for" if events >= WORTH_COMPILING else ""


def _run_tensors(task: Task) -> Run:
    from neurodeploy.simulator.tensors import run_tensors  # torch takes seconds to load

    return run_tensors(task)


def _tensor_refusal(task: Task) -> str:
    if task.device is None:
        return ""
    from neurodeploy.simulator.tensors import refusal

    return refusal(task)


#: neurons of all samples in a step, and in all steps, from which tensors repay their overhead on the processor
WIDE_STEP, LONG_RUN = 10_000, 4_000_000


def _worth_tensors(task: Task) -> str:
    if task.device is not None:
        return f"device = {task.device!r} was asked for"
    wide = task.batch * sum(lane.size for lane in task.machine.lanes.values())
    worth = wide >= WIDE_STEP and wide * task.steps >= LONG_RUN
    return f"{wide:,} neurons in a step, of all samples, are worth tensors" if worth else ""


#: The fastest first.
EXECUTORS: Mapping[str, Entry] = {
    "numba": Entry(
        "compiled code: all steps of a clocked chip in one loop, or every event to its end",
        (CLOCKED, EVENT),
        _run_compiled,
        _worth_compiling,
        _not_compiled,
        package="numba",
        extra="fast",
        observes=True,
    ),
    "torch": Entry(
        "integer tensors of many samples, on any device",
        (CLOCKED,),
        _run_tensors,
        _worth_tensors,
        refusal=_tensor_refusal,
        package="torch",
        devices=True,
    ),
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


def check(chip: Chip, name: str) -> None:
    """Refuse a name that stands for nothing that runs this chip (ND1303), or that is not installed (Missing ND9001)."""
    schedule = EVENT if chip.event_driven else CLOCKED
    if name == AUTO:
        return
    if name not in EXECUTORS or schedule not in EXECUTORS[name].schedules:
        mine = [n for n, e in EXECUTORS.items() if schedule in e.schedules]
        was = f"executor = {name!r}" + (f": {_OTHER[schedule]}" if name in EXECUTORS else "")
        raise Refusal(Fault("ND1303", f"simulate, {chip.name}", was, f"one of {', '.join((AUTO, *mine))}"))
    entry = EXECUTORS[name]
    if not entry.installed:
        raise missing_extra(entry.package, entry.extra, f"executor {name!r}")


def choose(task: Task, name: str) -> tuple[str, str]:
    """Name of the executor for a task, and why it is that one.

    Raises Refusal ND1303 where the one that was asked for does not take the task.
    """
    if name == AUTO:
        return _chosen(task)
    reason = EXECUTORS[name].reason(task)
    if reason:
        others = [n for n, e in EXECUTORS.items() if e.installed and not e.reason(task)]
        where = f"simulate, {task.network.chip.name}"
        must = f"one of {', '.join((AUTO, *others))}" if others else "an option that some executor takes"
        raise Refusal(Fault("ND1303", where, f"executor = {name!r}: {reason}", must))
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

"""Executors by name: what each sort of chip is run by, and what has to be installed."""

import importlib.util
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, Refusal, missing_extra
from neurodeploy.simulator.event_engine import EventEngine
from neurodeploy.simulator.executors import EXECUTORS
from neurodeploy.simulator.follow.engine import FollowEngine
from neurodeploy.simulator.follow.layout import Layout
from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.run import Snapshot
from neurodeploy.simulator.stimulus import Stimulus


class Start(Protocol):
    """Begins a run of a machine that is laid out already."""

    def __call__(self, stimulus: Stimulus, *, order: str | None, snapshot: Snapshot | None) -> EventEngine:
        """See EventEngine."""


def _folded(machine: EventMachine, executor: str) -> Start:
    return partial(EventEngine, machine, executor=executor)


def _compiled(machine: EventMachine, executor: str) -> Start:
    return partial(FollowEngine, machine, layout=Layout(machine), executor=executor)


#: What runs chips that events drive. Clocked chips are run by one engine that asks one of EXECUTORS.
EVENT_DRIVEN: Mapping[str, Callable[[EventMachine, str], Start]] = {
    "numpy": _folded,
    "python": _folded,
    "numba": _compiled,
}
#: Name -> optional package, and the extra that installs it.
NEEDED: Mapping[str, tuple[str, str]] = {"numba": ("numba", "fast")}


def check_executor(chip: Chip, name: str) -> None:
    """Refuse a name that stands for no executor of this sort of chip (ND1303), or for one not installed (ND9001)."""
    mine: Mapping[str, object] = EVENT_DRIVEN if chip.event_driven else EXECUTORS
    if name not in mine:
        known = name in EVENT_DRIVEN or name in EXECUTORS
        other = "clocked chips" if chip.event_driven else "chips that events drive"
        was = f"executor = {name!r}" + (f", which runs {other}" if known else "")
        raise Refusal(Fault("ND1303", "simulate", was, f"one of {', '.join(mine)}"))
    package, extra = NEEDED.get(name, ("", ""))
    if package and importlib.util.find_spec(package) is None:
        raise missing_extra(package, extra, f"executor {name!r}")

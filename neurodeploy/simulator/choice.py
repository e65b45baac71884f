"""Executors by name: what each sort of chip is run by, and what has to be installed."""

import importlib.util
from collections.abc import Mapping

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, Refusal, missing_extra
from neurodeploy.simulator.event_engine import EventEngine
from neurodeploy.simulator.executors import EXECUTORS
from neurodeploy.simulator.follow.engine import FollowEngine

#: Name -> engine where events drive the chip. On clocked chips one engine asks one of EXECUTORS.
EVENT_DRIVEN: Mapping[str, type[EventEngine]] = {"numpy": EventEngine, "python": EventEngine, "numba": FollowEngine}
#: Name -> optional package, and the extra that installs it.
NEEDED: Mapping[str, tuple[str, str]] = {"numba": ("numba", "fast")}


def check_executor(chip: Chip, name: str) -> None:
    """Refuse a name that stands for no executor of this sort of chip (ND1303), or for one not installed (ND9001)."""
    mine, others = (EVENT_DRIVEN, EXECUTORS) if chip.event_driven else (EXECUTORS, EVENT_DRIVEN)
    if name not in mine:
        sort = "chips that events drive" if name in others and not chip.event_driven else "clocked chips"
        was = f"executor = {name!r}" + (f", which runs {sort} only" if name in others else "")
        raise Refusal(Fault("ND1303", "simulate", was, f"one of {', '.join(mine)}"))
    package, extra = NEEDED.get(name, ("", ""))
    if package and importlib.util.find_spec(package) is None:
        raise missing_extra(package, extra, f"executor {name!r}")

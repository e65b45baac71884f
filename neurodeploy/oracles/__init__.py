"""Oracles: simulators that others built, in one table; what each can run stands in the chip's data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType

import numpy.typing as npt

from neurodeploy.chips import Chip
from neurodeploy.chips.schema import Grade
from neurodeploy.errors import Fault, Refusal, missing_extra, raise_if
from neurodeploy.network import Network
from neurodeploy.oracles import xylosim
from neurodeploy.simulator import Trace

__all__ = ["ORACLES", "Oracle", "oracle", "oracles_of"]

Counts = npt.ArrayLike | Mapping[str, npt.ArrayLike]


@dataclass(frozen=True)
class Oracle:
    """A simulator that others built, asked for the same network and the same input.

    name : as in the tables ``[oracle.NAME]`` of chip files
    package : what must be installed
    extra : extra of this program that installs it
    grade : how much its answer is worth, as in chip files
    faults : why it cannot run a network; empty where it can
    observe : network and counts -> Trace, called only where there are no faults
    probe : Python program, a small real use that sets ``answers``; run in a process of its own
    """

    name: str
    package: str
    extra: str
    grade: Grade
    faults: Callable[[Network], list[Fault]]
    observe: Callable[[Network, Counts], Trace]
    probe: str = "answers = False"

    def available(self) -> str | None:
        """Version of the installed package, None where there is none; imports nothing."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None

    def run(self, network: Network, counts: Counts) -> Trace:
        """Observe a placed network from reset, one step for each step of the counts; nothing is appended.

        counts : (time, batch, channel), or one such array for each input group; whatever the register holds
        Raises Missing where the package is not installed, Refusal with every reason where the network cannot be run.
        """
        if self.available() is None:
            raise missing_extra(self.package, self.extra, f"oracle {self.name}")
        raise_if(self.faults(network))
        return self.observe(network, counts)


_XYLOSIM = Oracle(
    xylosim.NAME, "xylosim", "oracles", "vendor-simulator", xylosim.faults, xylosim.observe, xylosim.PROBE
)

#: The table. A new oracle is a file beside this one, a line here, and a table in the chips that it can run.
ORACLES: Mapping[str, Oracle] = MappingProxyType({o.name: o for o in (_XYLOSIM,)})


def oracle(name: str) -> Oracle:
    """Oracle by name; raises Refusal ND9002 for an unknown one."""
    if name not in ORACLES:
        raise Refusal(Fault("ND9002", f"oracle {name!r}", "no oracle of that name", f"one of {', '.join(ORACLES)}"))
    return ORACLES[name]


def oracles_of(chip: Chip) -> tuple[Oracle, ...]:
    """Oracles that the chip's data names, installed or not, in the order of the chip file."""
    return tuple(ORACLES[name] for name in chip.oracles if name in ORACLES)

"""Oracles: whatever answers for a network, in one table: simulators that others built, and our own executors.

What a simulator of others can run stands in the chip's data. onnxruntime is the exception: it runs our own texts for
any clocked chip, and no chip names it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import Literal

import numpy.typing as npt

from neurodeploy.chips import Chip
from neurodeploy.chips.part import Grade
from neurodeploy.devices import DRIVERS
from neurodeploy.errors import Fault, Missing, Refusal, missing_extra, raise_if
from neurodeploy.network import Network
from neurodeploy.oracles import executors, in_icarus, in_onnxruntime, xylosim
from neurodeploy.oracles.process import Process
from neurodeploy.simulator import EXECUTORS, Trace

__all__ = ["ORACLES", "Oracle", "oracle", "oracles_of", "table"]

Counts = npt.ArrayLike | Mapping[str, npt.ArrayLike]


@dataclass(frozen=True)
class Oracle:
    """Something that answers for a network: a simulator that others built, asked for the same network and input.

    name : as in the tables ``[oracle.NAME]`` of chip files
    package : what must be installed
    extra : extra of this program that installs it
    grade : how much its answer is worth, as in chip files
    faults : why it cannot run a network; empty where it can
    observe : network and counts -> Trace, called only where there are no faults
    probe : Python program, a small real use that sets ``answers``; run in a process of its own
    process : where it runs in an interpreter of its own, which an environment variable names; else None
    program : what it is where it is no Python package
    samples : of a chip, how many samples of a whole bundle it is asked for; None is all
    sort : "simulator" of others, "executor" of ours, "recording" of a device, or "device"
    absent : why it cannot be asked by this name, and what to write instead; empty where it can
    """

    name: str
    package: str
    extra: str
    grade: Grade
    faults: Callable[[Network], list[Fault]]
    observe: Callable[[Network, Counts], Trace]
    probe: str = "answers = False"
    process: Process | None = None
    program: in_icarus.Program | None = None
    samples: Callable[[Chip], int | None] = lambda _: None
    sort: Literal["simulator", "executor", "recording", "device"] = "simulator"
    absent: str = ""

    @property
    def install(self) -> str:
        """Command that makes the oracle available."""
        outside = self.process or self.program
        return outside.install if outside else f'pip install "neurodeploy[{self.extra}]"'

    def available(self) -> str | None:
        """Version of the installed package, None where there is none; imports nothing."""
        if self.absent:
            return None
        outside = self.process or self.program
        if outside is not None:
            return outside.available()
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
            raise self.missing(f"oracle {self.name}")
        raise_if(self.faults(network))
        return self.observe(network, counts)

    def missing(self, purpose: str) -> Missing:
        """Refusal that says how to make the oracle available."""
        if self.absent:
            was, must = f"no {self.sort} was named", "one that is there"
            return Missing(Fault("ND9001", purpose, was, must, self.absent, {"sort": self.sort}))
        outside = self.process or self.program
        return outside.missing(purpose) if outside else missing_extra(self.package, self.extra, purpose)


_XYLOSIM = Oracle(
    xylosim.NAME, "xylosim", "oracles", "vendor-simulator", xylosim.faults, xylosim.observe, xylosim.PROBE
)
_ONNXRUNTIME = Oracle(
    in_onnxruntime.NAME,
    "onnxruntime",
    "oracles",
    in_onnxruntime.GRADE,
    in_onnxruntime.faults,
    in_onnxruntime.observe,
    in_onnxruntime.PROBE,
)
_ICARUS = Oracle(
    in_icarus.NAME,
    in_icarus.PROGRAM.name,
    "",
    in_icarus.GRADE,
    in_icarus.faults,
    in_icarus.observe,
    program=in_icarus.PROGRAM,
    samples=in_icarus.samples,
)

_MAKE = "python3.11 -m venv DIR && DIR/bin/pip install {} && export {}=DIR/bin/python"
_NENGO_LOIHI = Process(
    "nengo_loihi",
    "nengo-loihi",
    "NEURODEPLOY_ORACLE_NENGO_LOIHI",
    _MAKE.format('"nengo-loihi==1.1.0" "nengo==3.2.0" "numpy==1.26.4"', "NEURODEPLOY_ORACLE_NENGO_LOIHI"),
    "inferred",
)
# lava-nc asks for Python 3.10 in its metadata and for packages that its process models never import
_LAVA = Process(
    "lava",
    "lava-nc",
    "NEURODEPLOY_ORACLE_LAVA",
    _MAKE.format(
        '"numpy==1.26.4" scipy networkx asteval && DIR/bin/pip install --no-deps --ignore-requires-python '
        '"lava-nc==0.10.0"',
        "NEURODEPLOY_ORACLE_LAVA",
    ),
    "vendor-simulator",
)


def _apart(process: Process) -> Oracle:
    return Oracle(process.name, process.package, "", process.grade, process.faults, process.observe, process=process)


#: Simulators of others. A new one is a file beside this one, a line here, and a table in the chips that it can run.
ORACLES: Mapping[str, Oracle] = MappingProxyType(
    {o.name: o for o in (_XYLOSIM, _apart(_NENGO_LOIHI), _apart(_LAVA), _ONNXRUNTIME, _ICARUS)}
)


def _executor(name: str) -> Oracle:
    package, extra = executors.package(name)
    faults, observe = partial(executors.faults, name), partial(executors.observe, name)
    return Oracle(name, package, extra, executors.GRADE, faults, observe, sort="executor")


def _named(sort: Literal["recording", "device"], todo: str) -> Oracle:
    """An oracle that is asked by a name of its own; this entry says which."""

    def observe(_network: Network, _counts: Counts) -> Trace:
        raise Refusal(Fault("ND9002", f"oracle {sort}", "no name", todo))

    return Oracle(sort, "", "", "silicon", lambda _: [], observe, sort=sort, absent=todo)


_NAMED = (
    _named("recording", "give the file that neurodeploy record wrote: REC.npz"),
    _named("device", f"give a device by its id: {', '.join(f'{name}:...' for name in DRIVERS)}"),
)


def table() -> Mapping[str, Oracle]:
    """Every oracle by name: the reference, other executors, simulators of others, and what is asked by its own name."""
    ours = [executors.REFERENCE, *(n for n in EXECUTORS if n != executors.REFERENCE)]
    return {n: _executor(n) for n in ours} | dict(ORACLES) | {o.name: o for o in _NAMED}


def oracle(name: str) -> Oracle:
    """Oracle by name; raises Refusal ND9002 for an unknown one."""
    known = table()
    if name not in known:
        raise Refusal(Fault("ND9002", f"oracle {name!r}", "no oracle of that name", f"one of {', '.join(known)}"))
    return known[name]


def oracles_of(chip: Chip) -> tuple[Oracle, ...]:
    """Oracles that the chip's data names, installed or not, in the order of the chip file."""
    return tuple(ORACLES[name] for name in chip.oracles if name in ORACLES)

"""Icarus Verilog: simulates the RTL that a placed network of a generated design becomes.

The module is written from the texts of the chip's file, so that equality shows that the RTL computes them, in the order
of the schedule, at every step; it says nothing about a device that holds the RTL. A chip names it where that RTL is the
chip.
"""

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neurodeploy.chips import Chip
from neurodeploy.chips.part import Grade
from neurodeploy.emit.verilog import lanes_of_design, recorded, recorder, to_verilog
from neurodeploy.errors import Fault, Missing, Refusal
from neurodeploy.network import Network
from neurodeploy.simulator import Trace, assemble, external_counts

NAME = "icarus"
GRADE: Grade = "rtl"


class Table(BaseModel):
    """``[oracle.icarus]``.

    samples : of a whole bundle, so many are simulated at most
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    evidence: str | None = None
    samples: int = Field(ge=1)


@dataclass(frozen=True)
class Program:
    """An oracle that is a program on the path.

    name, runner : what compiles and what runs
    install : command that makes both available
    """

    name: str
    runner: str
    install: str

    def available(self) -> str | None:
        """Version of the program, None where there is none."""
        found = shutil.which(self.name)
        return _version(found) if found and shutil.which(self.runner) else None

    def missing(self, purpose: str) -> Missing:
        """Refusal that says how to install it."""
        was = f"the program {self.name} is not installed"
        return Missing(Fault("ND9001", purpose, was, "it is needed here", self.install, {"package": self.name}))


PROGRAM = Program("iverilog", "vvp", "apt-get install iverilog")


@lru_cache
def _version(path: str) -> str:
    done = subprocess.run([path, "-V"], capture_output=True, text=True, check=False)  # noqa: S603 - found on the path
    match = re.search(r"version (\S+)", done.stdout)
    return match[1] if match else "unknown"


def faults(network: Network) -> list[Fault]:
    """Why it cannot run a network: its chip does not name it, or says of it what nobody understands."""
    return _table(network.chip)[1]


def samples(chip: Chip) -> int | None:
    """How many samples of a bundle it is asked for."""
    table, _ = _table(chip)
    return table.samples if table else None


def _table(chip: Chip) -> tuple[Table | None, list[Fault]]:
    where, given = f"{chip.name}, oracle {NAME}", chip.oracles.get(NAME)
    if given is None:
        was, must = f"no table [oracle.{NAME}] in chip.toml", "a chip that is generated RTL"
        todo = "for other chips write --format verilog and run its testbench"
        return None, [Fault("ND2003", where, was, must, todo)]
    try:
        return Table.model_validate(given), []
    except ValidationError as error:
        places = [(".".join(map(str, e["loc"])), e) for e in error.errors()]
        return None, [
            Fault("ND1102", f"{where}, {place}", f"found {e['input']!r}"[:80], e["msg"].lower()) for place, e in places
        ]


def observe(network: Network, counts: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> Trace:
    """Counts and states of every group at every step, each sample from a reset.

    Raises Refusal ND9001 where the simulation did not end as it should.
    """
    machine, where = assemble(network), f"{network.chip.name}, oracle {NAME}"
    external, steps, batch = external_counts(network, machine, counts, raw=True)
    if 0 in {steps, batch}:
        raise Refusal(Fault("ND2001", where, f"{steps} steps of {batch} samples", "at least one of each"))
    given = {g.name: external[g.kind][:, :, machine.lanes[g.kind].slices[g.name]] for g in network.inputs()}
    made = to_verilog(network, "network", lanes_of_design(network))
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        files = {f"{made.name}.v": made.code, **made.files, **recorder(network, made, given)}
        for name, text in files.items():
            Path(folder, name).write_text(text, encoding="ascii")
        sources = [f"{made.name}.v", f"{made.name}_rec.v"]
        _run([PROGRAM.name, "-g2005", "-o", "run", *sources], folder, where)
        told = _run([PROGRAM.runner, "-N", "run"], folder, where)
    try:
        states, emitted = recorded(network, made, told, steps, batch)
    except ValueError as error:
        raise Refusal(
            Fault("ND9001", where, f"it failed: {error}", "the registers of every neuron after every step")
        ) from None
    seconds = time.perf_counter() - begin
    return Trace(f"Icarus Verilog {PROGRAM.available()}, {made.lanes} lanes", emitted, states, GRADE, seconds)


def _run(command: list[str], folder: str, where: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed program on our own files
            command, cwd=folder, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise PROGRAM.missing(f"oracle {NAME}") from None
    if done.returncode:
        was = f"{command[0]} failed: {done.stderr.strip()[-300:]}"
        raise Refusal(Fault("ND9001", where, was, "an answer", PROGRAM.install))
    return done.stdout

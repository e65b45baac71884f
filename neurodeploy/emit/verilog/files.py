"""The module, its tables and its testbench as files, and as plain data for a bundle."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from neurodeploy.archive import identifier_file, write_atomically
from neurodeploy.emit.verilog.module import Module, to_verilog
from neurodeploy.emit.verilog.testbench import testbench, trace_of
from neurodeploy.errors import Fault, raise_if
from neurodeploy.network import Network
from neurodeploy.simulator.selftest import self_test_counts

FORMAT = "verilog/2"
SUFFIX = ".v"
NAME = "network"
#: Words of Verilog-2005 that a module could be named after; all others have a capital, a $ or are no likely name.
WORDS = frozenset(
    word
    for line in (
        "always and assign begin buf case cell config deassign default design disable edge else end event for",
        "force fork function generate if initial inout input instance integer join large library localparam medium",
        "module nand nor not or output parameter posedge primitive real reg release repeat scalared signed small",
        "specify strength table task time tran tri use vectored wait wand while wire wor xnor xor supply0 supply1",
        "weak0 weak1",
    )
    for word in line.split()
)


def write_verilog(network: Network, path: str | Path, lanes: int | None = None) -> None:
    """Write ``NAME.v`` with the module NAME, ``NAME_tb.v``, and beside them the ``.hex`` files that both read.

    lanes : neurons that are computed at once; None takes what the chip's file says, or else 1
    Raises Refusal ND1401 for a name that no module can have, and what ``to_verilog`` raises.
    """
    target = identifier_file(path, SUFFIX, WORDS, "Verilog")
    for name, text in _files(network, to_verilog(network, target.stem, lanes_of_design(network, lanes))).items():
        write_atomically(target.with_name(name), text.encode())


def verilog_configuration(network: Network, lanes: int | None = None) -> dict[str, Any]:
    """Return all files as plain data, with the bits of memory and the cycles of a step; ``lanes`` as above."""
    made = to_verilog(network, NAME, lanes_of_design(network, lanes))
    return {
        "format": FORMAT,
        "chip": network.chip.name,
        "lanes": made.lanes,
        "memory_bits": made.bits,
        "operators": made.wires,
        "cycles_per_step": {"nothing fires": made.quiet_cycles, "everything fires": made.busy_cycles},
        "in": dict(made.inputs),
        "out": dict(made.outputs),
        "files": _files(network, made),
    }


class _Table(BaseModel):
    """``[emit.verilog]``: lanes of the design where nobody asks for another number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    evidence: str | None = None
    lanes: int = 1


def lanes_of_design(network: Network, lanes: int | None = None) -> int:
    """How many neurons are computed at once: the given number, or that of the chip's file, or 1."""
    if lanes is not None:
        return lanes
    try:
        return _Table.model_validate(network.chip.file.emit.get("verilog", {})).lanes
    except ValidationError as error:
        where = f"{network.chip.name}, emit.verilog"
        raise_if([Fault("ND1102", where, f"found {e['input']!r}"[:80], e["msg"].lower()) for e in error.errors()])
        raise


def _files(network: Network, made: Module) -> dict[str, str]:
    counts = self_test_counts(network)
    return {f"{made.name}.v": made.code, **made.files, **testbench(network, made, counts, trace_of(network, counts))}

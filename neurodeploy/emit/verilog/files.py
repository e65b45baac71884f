"""The module, its tables and its testbench as files, and as plain data for a bundle."""

from pathlib import Path
from typing import Any

from neurodeploy.archive import identifier_file, write_atomically
from neurodeploy.emit.verilog.module import Module, to_verilog
from neurodeploy.emit.verilog.testbench import testbench, trace_of
from neurodeploy.network import Network
from neurodeploy.simulator.selftest import self_test_counts

FORMAT = "verilog/1"
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


def write_verilog(network: Network, path: str | Path) -> None:
    """Write ``NAME.v`` with the module NAME, ``NAME_tb.v``, and beside them the ``.hex`` files that both read.

    Raises Refusal ND1401 for a name that no module can have, and what ``to_verilog`` raises.
    """
    target = identifier_file(path, SUFFIX, WORDS, "Verilog")
    for name, text in _files(network, to_verilog(network, target.stem)).items():
        write_atomically(target.with_name(name), text.encode())


def verilog_configuration(network: Network) -> dict[str, Any]:
    """Return all files as plain data, with the bits of memory and the cycles of a step."""
    made = to_verilog(network, NAME)
    return {
        "format": FORMAT,
        "chip": network.chip.name,
        "memory_bits": made.bits,
        "operators": made.wires,
        "cycles_per_step": {"nothing fires": made.quiet_cycles, "everything fires": made.busy_cycles},
        "in": dict(made.inputs),
        "out": dict(made.outputs),
        "files": _files(network, made),
    }


def _files(network: Network, made: Module) -> dict[str, str]:
    counts = self_test_counts(network)
    return {f"{made.name}.v": made.code, **made.files, **testbench(network, made, counts, trace_of(network, counts))}

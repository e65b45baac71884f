"""Writers of what leaves the program, one for each format; a chip names its own formats under ``[emit]``."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from neurodeploy.chips import Chip
from neurodeploy.emit import c, onnx, verilog
from neurodeploy.emit.crossbar import from_crossbar, to_crossbar, write_crossbar
from neurodeploy.emit.netx import from_netx, to_netx, write_netx
from neurodeploy.emit.samna import from_configuration, layers, to_configuration, write_configuration
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Network


@dataclass(frozen=True)
class Emitter:
    """A format that a placed network can be written in.

    title : what the file is
    suffix : usual end of its name
    configure : placed network -> the configuration as plain data
    write : (placed network, path) -> writes the file
    read : (configuration, chip) -> its network, which may come back without places; None where nothing reads it back
    takes : chips that it writes although their files say nothing about it
    write_lanes : the same as ``write`` with a number of neurons that are computed at once; None where it has no lanes
    """

    title: str
    suffix: str
    configure: Callable[[Network], Mapping[str, object]]
    write: Callable[[Network, Path], None]
    read: Callable[[Mapping[str, Any], Chip], Network] | None = None
    takes: Callable[[Chip], bool] = lambda _: False
    write_lanes: Callable[[Network, Path, int], None] | None = None


def samna_network(configuration: Mapping[str, Any], chip: Chip) -> Network:
    """Network of a configuration for samna that lists neurons; refuses as ``emit.samna.from_configuration`` does."""
    return from_configuration(configuration, chip=chip)


def layers_network(configuration: Mapping[str, Any], chip: Chip) -> Network:
    """Network of a configuration for samna with a layer on each core; refuses as its reader does."""
    return layers.from_configuration(configuration, chip=chip)[0]


def _clocked(chip: Chip) -> bool:
    return not chip.event_driven


EMITTERS: Mapping[str, Emitter] = MappingProxyType(
    {
        "samna": Emitter(
            "configuration in samna's field names, JSON", ".json", to_configuration, write_configuration, samna_network
        ),
        "netx": Emitter("layers for lava-dl's NetX, HDF5", ".net", to_netx, write_netx, from_netx),
        "samna_layers": Emitter(
            "configuration in samna's field names, one layer on each core, JSON",
            ".json",
            layers.to_configuration,
            layers.write_configuration,
            layers_network,
        ),
        "crossbar": Emitter(
            "memory images of a crossbar, JSON, with .hex files for memories and programming port beside it",
            ".json",
            to_crossbar,
            write_crossbar,
            from_crossbar,
        ),
        "onnx": Emitter(
            "the whole run from the reset as an ONNX model of integer operators",
            ".onnx",
            onnx.run_configuration,
            onnx.write_run,
            takes=_clocked,
        ),
        "onnx_step": Emitter(
            "one step with explicit states as an ONNX model of integer operators",
            ".onnx",
            onnx.step_configuration,
            onnx.write_step,
            takes=_clocked,
        ),
        "c": Emitter(
            "one step and a whole run in C99 with a header and a self-test",
            ".c",
            c.c_configuration,
            c.write_c,
            takes=_clocked,
        ),
        "verilog": Emitter(
            "a synthesizable module in Verilog-2005 with its tables and a self-checking testbench",
            ".v",
            verilog.verilog_configuration,
            verilog.write_verilog,
            takes=_clocked,
            write_lanes=verilog.write_verilog,
        ),
    }
)


def emitter(name: str) -> Emitter:
    """Emitter of a format; raises Refusal ND9002 for a name that is not in the table."""
    if name not in EMITTERS:
        near = difflib.get_close_matches(name, EMITTERS, n=1)
        known = f"one of {', '.join(EMITTERS)}"
        raise Refusal(Fault("ND9002", "emit", f"format {name!r}", known, f"did you mean {near[0]}?" if near else ""))
    return EMITTERS[name]


def formats(chip: Chip) -> tuple[str, ...]:
    """Formats of the chip's own: those that its file names; the first is the default."""
    return tuple(name for name in EMITTERS if name in chip.file.emit)


def all_formats(chip: Chip) -> tuple[str, ...]:
    """Formats that a network for this chip can be written in: the chip's own, then those of any chip of its sort."""
    return (*formats(chip), *(name for name, made in EMITTERS.items() if made.takes(chip)))


def chip_format(chip: Chip, name: str) -> str:
    """The name of a format, if a network for this chip can be written in it; raises Refusal ND9002 otherwise."""
    emitter(name)
    if name not in all_formats(chip):
        known = ", ".join(all_formats(chip))
        must = f"one of {known}" if known else "no format at all: the chip file has no [emit] table"
        raise Refusal(Fault("ND9002", f"{chip.name}, emit", f"format {name!r}", must))
    return name

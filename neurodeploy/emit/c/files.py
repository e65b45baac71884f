"""The two files, and as plain data for a bundle."""

from pathlib import Path
from typing import Any

from neurodeploy.archive import identifier_file, write_atomically
from neurodeploy.emit.c.selftest import with_self_test
from neurodeploy.emit.c.source import to_c
from neurodeploy.emit.c.text import RESERVED
from neurodeploy.network import Network

FORMAT = "c/1"
SUFFIX = ".c"
#: Prefix of the names where no file gives one.
PREFIX = "network"


def write_c(network: Network, path: str | Path) -> None:
    """Write ``NAME.c`` and ``NAME.h``; public names begin with NAME.

    Raises Refusal ND1401 for a name that is none in C, and what ``to_c`` raises.
    """
    target = identifier_file(path, SUFFIX, RESERVED, "C")
    made = to_c(network, target.stem)
    write_atomically(target.with_suffix(".h"), made.header.encode())
    write_atomically(target, with_self_test(network, made).encode())


def c_configuration(network: Network) -> dict[str, Any]:
    """Return both files as plain data, with their sizes and the work of a step."""
    made = to_c(network, PREFIX)
    return {
        "format": FORMAT,
        "chip": network.chip.name,
        "table_bytes": made.table_bytes,
        "state_bytes": made.state_bytes,
        "operators_per_step": {"nothing fires": made.quiet_operators, "everything fires": made.operators},
        "synapses": made.synapses,
        "files": {f"{PREFIX}.h": made.header, f"{PREFIX}.c": with_self_test(network, made)},
    }

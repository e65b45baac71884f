"""Placed network -> configuration in samna's field names, as plain data; nothing is dropped and nothing cut."""

import copy
import difflib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from neurodeploy.archive import canonical_json, write_atomically
from neurodeploy.emit.samna.blocks import any_value, block_entries, plain_ids
from neurodeploy.emit.samna.files import FORMAT, NOTE
from neurodeploy.emit.samna.table import SamnaTable, samna_table
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network


def to_configuration(
    network: Network, *, operation_mode: str | None = None, frontend: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Configuration of a placed network, all values as integers, lists and names.

    operation_mode : one of the chip's modes; the first of its list if left out
    frontend : samna's own entries that the network says nothing about (audio or IMU front end, debug, clocks);
        copied as they are and listed under "unverified"

    Each matrix is [source][target] in hardware ids; the input matrix starts at hidden id 0, the rows of the readout
    end at the last hidden id. Limits and emittable values are the mapper's business (``mapper.map_network``).
    Raises Refusal: ND1204 not placed, ND1901 with everything that the configuration cannot express.
    """
    table = samna_table(network.chip)
    if not network.placed:
        missing = ", ".join(g.name for g in network.groups if g.ids is None)
        todo = "call neurodeploy.map(network), or place_identity(network) for a small network"
        raise Refusal(Fault("ND1204", "network", f"groups without hardware ids: {missing}", "a placed network", todo))
    mode = table.operation_mode[0] if operation_mode is None else operation_mode
    given = {} if frontend is None else frontend
    faults = [*_id_faults(network, table), *_mode_faults(network, table, mode), *_given_faults(network, table, given)]
    raise_if(faults)  # matrices are laid out for sound ids only
    body: dict[str, Any] = {}
    for block in table.blocks:
        body[block.block], found = block_entries(network, block)
        faults += found
    raise_if(faults)
    switches = {switch: any_value(body, name) for switch, name in table.enable.items()}
    frame = {
        "format": FORMAT,
        "chip": network.chip.name,
        "module": table.module,
        "dt_s": None if network.dt_s is None else float(network.dt_s),
        "ids": [{"group": g.name, "kind": g.kind, "ids": plain_ids(g.ids)} for g in network.groups],
        "note": NOTE,
        "unverified": sorted(given),
        "operation_mode": mode,
    }
    return frame | body | switches | copy.deepcopy(dict(given))


def write_configuration(
    network: Network,
    path: str | Path,
    *,
    operation_mode: str | None = None,
    frontend: Mapping[str, Any] | None = None,
) -> None:
    """Write the configuration as JSON; the same network gives the same bytes."""
    configuration = to_configuration(network, operation_mode=operation_mode, frontend=frontend)
    write_atomically(Path(path), canonical_json(configuration).encode())


def _id_faults(network: Network, table: SamnaTable) -> Iterator[Fault]:
    for block in table.blocks:
        ids = sorted(i for g in network.of_kind(block.kind) for i in plain_ids(g.ids))
        where = f"{network.chip.name}, neurons of kind {block.kind!r}"
        if not ids:
            yield Fault("ND1901", where, "none", "at least one: a configuration has inputs, hidden and output neurons")
        elif ids != list(range(len(ids))):
            free = sorted(set(range(ids[-1] + 1)) - set(ids))
            was = f"{len(ids)} hardware ids up to {ids[-1]}; {free[0]} is free"
            must = "ids without a gap: the place in samna's list is the id"
            yield Fault("ND1901", where, was, must, "call neurodeploy.map(network)", {"free": free[0]})


def _mode_faults(network: Network, table: SamnaTable, mode: str) -> Iterator[Fault]:
    if mode not in table.operation_mode:
        where = f"{network.chip.name}, operation_mode"
        yield Fault("ND1901", where, f"found {mode!r}", f"one of {', '.join(table.operation_mode)}")


def _given_faults(network: Network, table: SamnaTable, given: Mapping[str, Any]) -> Iterator[Fault]:
    for name, value in given.items():
        where = f"{network.chip.name}, frontend.{name}"
        if name in table.given:
            yield from unplain(value, where)
            continue
        near = difflib.get_close_matches(str(name), table.given, n=1)
        must = f"one of {', '.join(table.given)}"
        was = "the network decides it" if name in table.computed() else f"unknown to {table.module}"
        yield Fault("ND1901", where, was, must, f"did you mean {near[0]}?" if near else "")


def unplain(value: object, where: str) -> Iterator[Fault]:
    """Faults of a value that JSON would refuse or change."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, str):
                yield from unplain(inner, f"{where}.{key}")
            else:
                yield Fault("ND1901", where, f"key {key!r}", "names as keys")
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from unplain(inner, f"{where}[{i}]")
    elif not (value is None or type(value) in {str, bool, int} or (type(value) is float and math.isfinite(value))):
        must = "plain data: dict, list, str, bool, int, finite float or None"
        yield Fault("ND1901", where, f"{value!r} of type {type(value).__name__}", must, "write enumerations by name")

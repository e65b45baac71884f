"""One block of a foreign configuration as arrays; what is missing, unknown or out of range is noted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.emit.samna.checks import Checks, Ints, short
from neurodeploy.emit.samna.table import Block
from neurodeploy.step import Interval


@dataclass(frozen=True)
class ParsedBlock:
    """Contents of a block under samna's names.

    matrices : name -> (row, column) weights
    registers : name -> value for the whole block
    neurons : name -> (neuron,) values, in the order of hardware ids
    size : number of neurons listed
    targets : alias target of each neuron, -1 for none
    alias_enabled : switch of the aliases
    """

    matrices: Mapping[str, Ints]
    registers: Mapping[str, int]
    neurons: Mapping[str, Ints]
    size: int
    targets: Ints
    alias_enabled: bool


def parse_block(checks: Checks, chip: Chip, block: Block, value: object) -> ParsedBlock:
    """Read a block; complete only if no fault was noted."""
    kind = chip.connections[block.connection]
    names = [*block.weights, *block.registers, *(["neurons"] if block.neuron else [])]
    names += [block.alias.enable] if block.alias else []
    entries = checks.entries(value, block.block, names)
    matrices, registers = dict[str, Ints](), dict[str, int]()
    for name, field in block.weights.items():
        if name in entries:
            matrices[name] = checks.matrix(entries[name], f"{block.block}.{name}", kind.fields[field].interval)
    for name, register in block.registers.items():
        if name in entries:
            holds = kind.parameters[register].interval
            registers[name] = checks.integer(entries[name], f"{block.block}.{name}", holds)
    listed = _list(checks, f"{block.block}.neurons", entries["neurons"]) if "neurons" in entries else []
    neurons, targets = _neurons(checks, chip, block, listed)
    enabled = False
    if block.alias and block.alias.enable in entries:
        enabled = checks.flag(entries[block.alias.enable], f"{block.block}.{block.alias.enable}")
    return ParsedBlock(matrices, registers, neurons, len(listed), targets, enabled)


def _list(checks: Checks, where: str, value: object) -> list[Any]:
    if isinstance(value, list) and value:
        return value
    checks.fault(where, f"found {short(value)}", "a list of neurons, at least one")
    return []


def _neurons(checks: Checks, chip: Chip, block: Block, listed: list[Any]) -> tuple[dict[str, Ints], Ints]:
    names = [*block.neuron, *([block.alias.target] if block.alias else [])]
    holds = chip.neurons[block.kind].parameters
    columns = {name: np.zeros(len(listed), np.int64) for name in block.neuron}
    targets = np.full(len(listed), -1, np.int64)
    for i, neuron in enumerate(listed):
        where = f"{block.block}.neurons[{i}]"
        entries = checks.entries(neuron, where, names)
        for name, parameter in block.neuron.items():
            if name in entries:
                columns[name][i] = checks.integer(entries[name], f"{where}.{name}", holds[parameter].interval)
        if block.alias and entries.get(block.alias.target) is not None:
            place = f"{where}.{block.alias.target}"
            targets[i] = checks.integer(entries[block.alias.target], place, Interval(0, len(listed) - 1))
    return columns, targets

"""The periodic reset of a pipeline of layers, which no layer of a NetX file holds: the loader's caller states it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from neurodeploy.emit.netx.table import NetxTable, Neurons
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Group

#: Arguments of the loader's call. Layer i is reset where t % interval == (offset + 1 + i) % interval; i begins with 0,
#: t with 1.
INTERVAL, OFFSET = "reset_interval", "reset_offset"


def reset_faults(chip: str, table: NetxTable, chain: Sequence[Group]) -> Iterator[Fault]:
    """Resets that one call of the loader does not make; ``chain`` are the layers behind the input, in order."""
    periods = list[int]()
    for i, g in enumerate(chain):
        neurons, where = table.neuron[g.kind], f"{chip}, layer {g.name!r}, NetX"
        if neurons.reset is None:
            continue
        several = [n for n in neurons.told if len(np.unique(g.parameters[n])) > 1]
        for name in several:
            was = f"{name} from {g.parameters[name].min()} to {g.parameters[name].max()}"
            yield Fault("ND1901", where, was, "one value for a layer", "split the layer")
        if several:
            continue
        every, first = int(g.parameters[neurons.reset.every][0]), int(g.parameters[neurons.reset.first][0])
        was = f"{neurons.reset.every} = {every}, {neurons.reset.first} = {first}"
        if periods and every != periods[0]:
            yield Fault("ND1901", where, was, f"{neurons.reset.every} = {periods[0]} as before: the loader takes one")
        elif not min(every, 1) <= first <= every:
            must = f"a first reset in the first period, 1..{every}" if every else "no single reset: the loader has none"
            yield Fault("ND1901", where, was, must)
        elif every and (first - i - _offset(table, chain) - 1) % every:
            wanted = (_offset(table, chain) + i) % every + 1
            must = f"{neurons.reset.first} = {wanted}: the loader resets each layer a step after the one before"
            yield Fault("ND1901", where, was, must)
        periods.append(every)


def _offset(table: NetxTable, chain: Sequence[Group]) -> int:
    reset = table.neuron[chain[0].kind].reset
    return 0 if reset is None else int(chain[0].parameters[reset.first][0]) - 1


def told(table: NetxTable, chain: Sequence[Group]) -> dict[str, int]:
    """Arguments of the loader's call; empty where nothing is reset."""
    reset = table.neuron[chain[0].kind].reset if chain else None
    every = 0 if reset is None else int(chain[0].parameters[reset.every][0])
    return {INTERVAL: every, OFFSET: _offset(table, chain)} if every else {}


def registers(neurons: Neurons, about: Mapping[str, Any], layer: int, where: str) -> dict[str, int]:
    """Registers of layer ``layer`` (from 0) for the arguments that stand beside the layers."""
    if neurons.reset is None or INTERVAL not in about:
        return {}
    every, offset = about[INTERVAL], about.get(OFFSET, 0)
    if type(every) is not int or type(offset) is not int or every < 1:
        was = f"{INTERVAL} = {every!r}, {OFFSET} = {offset!r}"
        raise Refusal(Fault("ND1901", where, was, "whole numbers, the interval at least 1"))
    return {neurons.reset.every: every, neurons.reset.first: (offset + layer) % every + 1}

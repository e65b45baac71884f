"""A network where it stands: whether its hardware ids keep to every limit of the chip. Nothing is placed anew."""

from collections.abc import Iterator

import numpy as np

from neurodeploy.errors import Fault, Refusal
from neurodeploy.mapper.cores import filled_cores
from neurodeploy.mapper.counts import Tally, usage
from neurodeploy.mapper.layers import Layer, Plan, read_plan, wiring_faults
from neurodeploy.mapper.place import kind_faults
from neurodeploy.mapper.values import backward_links, value_faults
from neurodeploy.network import Network


def placed_faults(network: Network) -> list[Fault]:
    """Everything that a placed network asks and the chip has not: limits, places, values that it should not get.

    ND1801 limits, ND1802 places, ND1703 values. What a caller of ``map_network`` may accept (layers on several cores,
    layers that feed themselves) is accepted. Raises Refusal ND1204 for a network without hardware ids.
    """
    chip = network.chip
    missing = [g.name for g in network.groups if g.ids is None]
    if missing:
        was, must = f"groups without hardware ids: {', '.join(missing)}", "a placed network"
        raise Refusal(Fault("ND1204", chip.name, was, must, "place it: nd.map(network)"))
    tally, asked = Tally(network), usage(network)
    ids = np.concatenate([np.zeros(0, np.int64), *(g.ids for g in network.groups if g.ids is not None)])
    faults = [u.fault(chip.name) for u in asked if not u.fits] + list(value_faults(network))
    core, layered = chip.core, chip.layer_core
    if core is not None:
        on = np.concatenate([np.zeros(0, bool), *(np.full(g.size, g.kind in core.kinds) for g in network.groups)])
        faults += filled_cores(tally, core, np.where(on, ids, -1))[1]
    if layered is not None:
        faults += _layer_faults(network)
    for kind, span in tally.spans.items():
        if layered is None or kind not in layered.kinds:
            room = core.count * core.neurons if core is not None and kind in core.kinds else len(span)
            faults += kind_faults(tally, ids, kind, room, asked)
    return faults + [fault for rule, fault in backward_links(network) if rule == "refuse"]


def _layer_faults(network: Network) -> Iterator[Fault]:
    """Layers on cores that hold one layer each: memories, and which cores they stand on."""
    plan, _ = read_plan(network)
    blocks = {layer.name: _blocks(plan, layer, network) for layer in plan.layers}
    plan, found = read_plan(network, frozenset(n for n, cores in blocks.items() if len(cores) > 1))
    yield from found
    yield from (u.fault(plan.chip.name) for u in plan.limits() if not u.fits and u.rule == "refuse")
    yield from wiring_faults(plan, loops=True)
    holder: dict[int, str] = {}
    for layer in plan.layers:
        for core, features in blocks[layer.name].items():
            where = f"{plan.chip.name}, layer {layer.name!r} on core {core}"
            if holder.setdefault(core, layer.name) != layer.name:
                yield Fault("ND1802", where, f"{holder[core]!r} stands there too", "a core of its own")
            if core >= plan.cores.count:
                yield Fault("ND1802", where, "no such core", f"cores 0..{plan.cores.count - 1}")
                continue
            for name, memory in plan.cores.memory.items():
                asked, most = plan.needs(layer, features)[name], memory.each[core]
                if asked > most:
                    given = {"limit": name, "asked": asked, "at_most": most}
                    yield Fault("ND1801", where, f"{asked:,} {memory.unit}", f"at most {most:,}", memory.todo, given)


def _blocks(plan: Plan, layer: Layer, network: Network) -> dict[int, int]:
    """Core -> features of a layer that stand on it, those of which only some neurons do among them."""
    ids = np.asarray(network.group(layer.name).ids, np.int64).reshape(layer.shape[0], -1)
    cores = ids // plan.cores.slots
    return {int(core): int((cores == core).any(axis=1).sum()) for core in np.unique(cores)}

"""Layers on cores that hold one layer each: hardware ids, what every memory holds, all reasons why not."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.errors import Fault
from neurodeploy.mapper.assign import Assignment, Block
from neurodeploy.mapper.explain import explain
from neurodeploy.mapper.layers import Plan, circles, read_plan, wiring_faults
from neurodeploy.mapper.rows import Core, Usage
from neurodeploy.mapper.ways import ways_out
from neurodeploy.network import Network
from neurodeploy.network.network import Ints


@dataclass(frozen=True)
class LayerCores:
    """What stands on which core.

    ids : group -> (neuron,) hardware ids; empty where there are faults
    """

    ids: Mapping[str, Ints]
    cores: tuple[Core, ...]
    usage: tuple[Usage, ...]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]


def assign_layers(
    network: Network, *, split: Iterable[str] = (), loops: bool = False, readout: str | None = None
) -> LayerCores:
    """Give every layer a core of its own, or several where it may be split.

    split : layers that may stand on several cores, a block of features on each
    loops : accept layers that feed themselves on a way round, where the chip leaves that to the caller
    readout : layer whose classes the chip's readout counts: it gets a core with room for them
    """
    plan, found = read_plan(network, frozenset(split), readout or "")
    asked = tuple(plan.limits())
    faults = [*found, *(u.fault(plan.chip.name) for u in asked if not u.fits and u.rule == "refuse")]
    warnings = [u.fault(plan.chip.name) for u in asked if not u.fits and u.rule == "warn"]
    faults += wiring_faults(plan, loops=loops)
    around = circles(plan)
    if around and plan.cores.loops == "ask" and loops:
        must = "whether the chip comes to a halt is unknown"
        warnings.append(Fault("ND1801", plan.chip.name, f"a circle of layers: {', '.join(around)}", must))
    assignment = Assignment(plan)
    faults += _conflict_faults(assignment)
    if faults:
        return LayerCores({}, (), asked, tuple(faults), tuple(warnings))
    blocks = assignment.blocks()
    faults += _slot_faults(plan, blocks)
    cores = tuple(sorted((_core(plan, b) for b in blocks), key=lambda core: core.number))
    grade = plan.chip.grade(plan.cores.evidence)
    count = Usage("layer_core.count", "cores", len(cores), plan.cores.count, grade)
    usage = (count, *(_fullest(cores, name) for name in plan.cores.memory), *asked)
    ids = {layer.name: _ids(plan, layer.name, blocks) for layer in plan.layers}
    return LayerCores(ids, cores, usage, tuple(faults), tuple(warnings))


def _conflict_faults(assignment: Assignment) -> Iterator[Fault]:
    """A fault for every minimal set of layers in each other's way; the first says what helps against all of them."""
    plan, conflicts = assignment.plan, assignment.conflicts()
    ways = ways_out(plan, conflicts) if conflicts else ()
    for index, members in enumerate(conflicts):
        was, must = explain(assignment, members)
        given: dict[str, Any] = {"layers": list(members)}
        todo = "see above" if index else "none of the changes that were tried lets all layers find a core"
        if ways and not index:
            todo = f"ways out, each tried: {'; '.join(map(str, ways))}"
            given |= {"ways": [way.to_json() for way in ways]}
        yield Fault("ND1802", plan.chip.name, was, must, todo, given)


def _slot_faults(plan: Plan, blocks: Sequence[Block]) -> Iterator[Fault]:
    for block in blocks:
        _, rows, columns = plan.layer(block.layer).shape
        if block.features * rows * columns > plan.cores.slots:
            was = f"{block.features * rows * columns:,} neurons of {block.layer!r} on core {block.core}"
            yield Fault("ND1802", plan.chip.name, was, f"{plan.cores.slots:,} hardware ids for each core")


def _core(plan: Plan, block: Block) -> Core:
    """What a block uses of the memories of its core."""
    needs, usage = plan.needs(plan.layer(block.layer), block.features), []
    for name, memory in plan.cores.memory.items():
        grade = plan.chip.grade(memory.evidence or plan.cores.evidence)
        most = memory.each[block.core]
        usage.append(Usage(name, memory.unit, needs[name], most, grade, f"core {block.core}", 0, memory.todo))
    return Core(block.core, ((block.layer, block.first, block.features),), "features", tuple(usage))


def _fullest(cores: Sequence[Core], memory: str) -> Usage:
    """The core that uses the largest share of one memory."""
    rows = [u for core in cores for u in core.usage if u.limit == memory]
    return max(rows, key=lambda u: u.asked / u.at_most if u.at_most else 0.0)


def _ids(plan: Plan, name: str, blocks: Sequence[Block]) -> Ints:
    _, rows, columns = plan.layer(name).shape
    parts = [b.core * plan.cores.slots + np.arange(b.features * rows * columns) for b in blocks if b.layer == name]
    return np.concatenate(parts).astype(np.int64)

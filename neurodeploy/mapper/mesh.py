"""Cores on a mesh: blocks of neurons stand where spikes have few hops to go."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.chips.core_tables import MeshEntry
from neurodeploy.errors import Fault, Refusal
from neurodeploy.mapper.counts import Tally
from neurodeploy.mapper.qap import anneal, cost, lower_bound
from neurodeploy.network.network import Ints


@dataclass(frozen=True)
class Hops:
    """How far spikes go.

    spikes : "counted" from activity, or "one for each neuron" where none is given
    in_order : spikes times hops with the cores in the order of the layers
    placed : the same after annealing
    bound : no placement has less (Gilmore-Lawler)
    messages : spikes that leave a core for another one
    """

    spikes: str
    seed: int
    in_order: float
    placed: float
    bound: float
    messages: float

    @property
    def gap(self) -> float:
        """Share of the hops that a better placement could save at most."""
        return (self.placed - self.bound) / self.placed if self.placed else 0.0

    def __str__(self) -> str:
        return (
            f"Spikes times hops: {self.placed:,.6g}, {self.in_order:,.6g} in the order of the layers; no placement has "
            f"less than {self.bound:,.6g}, so at most {self.gap:.1%} could be saved. Spikes: {self.spikes}."
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        names = ("spikes", "seed", "in_order", "placed", "bound", "messages", "gap")
        return {name: getattr(self, name) for name in names}


def distances(mesh: MeshEntry, count: int) -> Ints:
    """(core, core) hops between the first ``count`` places, row by row."""
    rows, columns = np.divmod(np.arange(count), mesh.columns)
    hops: Ints = np.abs(rows[:, None] - rows) + np.abs(columns[:, None] - columns)
    return hops


def traffic(
    tally: Tally, block: Ints, count: int, activity: Mapping[str, npt.ArrayLike] | None
) -> npt.NDArray[np.float64]:
    """(block, block) spikes from one block to another. A spike of an axon is one message, however many synapses it has.

    block : (neuron,) block of every neuron of the network, -1 for those on no core
    activity : group -> (neuron,) spikes of each neuron; None counts every neuron once
    """
    spikes = np.ones(tally.size) if activity is None else _spikes(tally, activity)
    flow = np.zeros((count, count))
    for link in tally.stored.values():
        inside = (block[link.sources] >= 0) & (block[link.targets] >= 0)
        part = link.part(np.flatnonzero(inside))
        keys = np.unique((part.projections * tally.size + part.sources) * count + block[part.targets])
        sources = keys // count % tally.size
        np.add.at(flow, (block[sources], keys % count), spikes[sources])
    return flow


def _spikes(tally: Tally, activity: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.float64]:
    spikes = np.zeros(tally.size)
    for name, values in activity.items():
        group = tally.network.group(name)
        own = np.asarray(values, np.float64)
        if own.shape != (group.size,) or not np.all(np.isfinite(own)) or own.min(initial=0) < 0:
            where = f"activity of {name!r}"
            raise Refusal(Fault("ND1504", where, f"shape {own.shape}", f"({group.size},) spikes, none below 0"))
        spikes[tally.first[name] : tally.first[name] + group.size] = own
    return spikes


def settle(
    tally: Tally, ids: Ints, mesh: MeshEntry, neurons: int, *, activity: Mapping[str, npt.ArrayLike] | None, seed: int
) -> tuple[Ints, Hops]:
    """Give the blocks their places on the mesh; returns (block,) core of each, and how far spikes go.

    ids : (neuron,) hardware ids as long as block and core are the same, -1 for neurons on no core
    neurons : slots of a core
    """
    block = np.where(ids >= 0, ids // neurons, -1)
    used = int(block.max(initial=-1)) + 1
    count = tally.chip.core.count if tally.chip.core else used
    flow, hops = traffic(tally, block, used, activity), distances(mesh, count)
    places = anneal(flow, hops, seed=seed)
    bound = lower_bound(flow, hops) if used > 1 else 0.0
    said = "one for each neuron" if activity is None else "counted"
    messages = float(flow.sum() - np.trace(flow))
    in_order, best = cost(flow, hops, np.arange(used)), cost(flow, hops, places)
    return places, Hops(said, seed, in_order, best, min(bound, best), messages)

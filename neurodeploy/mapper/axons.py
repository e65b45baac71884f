"""Axons: what one source neuron has in one projection on one core, and what the chip keeps of them."""

import math
from dataclasses import dataclass, field

import numpy as np

from neurodeploy.chips import Limit
from neurodeploy.errors import Fault, Refusal
from neurodeploy.mapper.counts import Link, Tally
from neurodeploy.network.network import Ints
from neurodeploy.step import FORMULA, evaluate


@dataclass(frozen=True)
class Axons:
    """The axons that end on one core, one for each pair of projection and source neuron.

    projections : (axon,) numbers of projections
    entries : (axon,) synapses
    reach : (axon,) the highest slot that it reaches, plus 1
    """

    projections: Ints
    entries: Ints
    reach: Ints


def axons_of(link: Link, slots: Ints, size: int) -> Axons:
    """Axons of the entries that end on a core.

    slots : (entry,) slot of the target on the core
    size : number of neurons of the network
    """
    keys, which, entries = np.unique(link.projections * size + link.sources, return_inverse=True, return_counts=True)
    reach = np.zeros(len(keys), np.int64)
    np.maximum.at(reach, which.reshape(-1), slots + 1)
    return Axons(keys // size, entries, reach)


@dataclass(frozen=True)
class AxonLimit:
    """A limit whose formula is summed over the axons of a core; values that were computed once are kept."""

    limit: Limit
    tally: Tally
    known: dict[tuple[int, ...], int] = field(default_factory=dict)

    def value(self, axons: Axons) -> int:
        """The sum on one core."""
        if not len(axons.projections):
            return 0
        size = int(axons.projections.max()) + 1
        reach_all, gaps = np.zeros(size, np.int64), np.zeros(size, np.int64)
        np.maximum.at(reach_all, axons.projections, axons.reach)
        np.maximum.at(gaps, axons.projections, (axons.entries < axons.reach).astype(np.int64))
        columns = (axons.projections, axons.entries, axons.reach, reach_all[axons.projections], gaps[axons.projections])
        rows, times = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)
        return sum(n * self._one(tuple(row)) for row, n in zip(rows.tolist(), times.tolist(), strict=True))

    def _one(self, row: tuple[int, ...]) -> int:
        if row not in self.known:
            number, entries, reach, reach_all, gaps = row
            p = self.tally.projections[number]
            most = {f"most_{name}": int(values.max(initial=0)) for name, values in p.fields.items()}
            facts = {"entries": entries, "reach": reach, "reach_all": reach_all, "gaps": gaps}
            value = float(evaluate(self.limit.formula, {**p.parameters, **most, **facts}, FORMULA))
            if not math.isfinite(value):
                where = f"limit.{self.limit.name}.value of the chip file"
                raise Refusal(Fault("ND1103", where, f"the value is {value}", "a finite number for every axon"))
            self.known[row] = math.ceil(value)
        return self.known[row]

"""Neurons on cores: each core takes as many as its limits allow, in the order of the network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Limit
from neurodeploy.chips.core_tables import CoreEntry
from neurodeploy.errors import Fault
from neurodeploy.mapper.axons import AxonLimit, Axons, axons_of
from neurodeploy.mapper.counts import Link, Tally, limit_value
from neurodeploy.mapper.mesh import Hops, settle
from neurodeploy.mapper.rows import Core, Usage
from neurodeploy.network.network import Ints


@dataclass(frozen=True)
class Cores:
    """What stands on which core.

    ids : (neuron,) hardware id of every neuron of the network, -1 where it stands on no core
    cores : the cores in use, by number
    hops : how far spikes go, on chips that say how their cores lie
    """

    ids: Ints
    usage: tuple[Usage, ...]
    faults: tuple[Fault, ...]
    cores: tuple[Core, ...] = ()
    hops: Hops | None = None


def fill_cores(
    tally: Tally, core: CoreEntry, *, activity: Mapping[str, npt.ArrayLike] | None = None, seed: int = 0
) -> Cores:
    """Give the neurons of all core kinds a core and a slot, in the order of the groups.

    On a chip that says how its cores lie, what one core holds then moves as a whole to where its spikes go few hops.
    """
    queue, ids = _Queue(tally, core), np.full(tally.size, -1, np.int64)
    starts, done = [0], 0
    while done < queue.size and len(starts) <= core.count:
        room = queue.room(done)
        if room == 0:
            return Cores(ids, (), tuple(queue.lonely()))
        ids[queue.neurons[done : done + room]] = (len(starts) - 1) * core.neurons + np.arange(room)
        done += room
        starts.append(done)
    if done == queue.size:
        return _settled(queue, ids, starts, activity, seed)
    left, todo = queue.size - done, "fewer neurons, or fewer synapses that end on them"
    was = f"{left:,} of {queue.size:,} neurons without a core when the cores are filled in the order of the layers"
    must = f"{core.count:,} cores of {core.neurons:,} neurons, each within its limits: {queue.limits_text()}"
    given = {"limit": "core.count", "left": left, "neurons": queue.size, "cores": core.count}
    return Cores(ids, (), (Fault("ND1801", tally.chip.name, was, must, todo, given),))


def _settled(
    queue: "_Queue", ids: Ints, starts: list[int], activity: Mapping[str, npt.ArrayLike] | None, seed: int
) -> Cores:
    """Cores that are full, in their places."""
    tally, core, places, hops = queue.tally, queue.core, np.arange(len(starts) - 1), None
    leaving = queue.leaving(ids)
    if tally.chip.mesh is not None:
        places, hops = settle(tally, ids, tally.chip.mesh, core.neurons, activity=activity, seed=seed)
        here = ids >= 0
        ids = ids.copy()
        ids[here] = places[ids[here] // core.neurons] * core.neurons + ids[here] % core.neurons
    cores = tuple(sorted(queue.cores(starts, places, leaving), key=lambda c: c.number))
    usage = tuple(queue.usage(cores))
    return Cores(ids, usage, tuple(u.fault(tally.chip.name) for u in usage if not u.fits), cores, hops)


def filled_cores(tally: Tally, core: CoreEntry, ids: Ints) -> tuple[tuple[Usage, ...], tuple[Fault, ...]]:
    """What cores use that are filled already, and what is more than they have.

    ids : (neuron,) hardware id of every neuron that stands on a core, -1 for the others
    """
    order = np.argsort(ids, kind="stable")
    queue = _Queue(tally, core, order[ids[order] >= 0])
    numbers, first = np.unique(ids[queue.neurons] // core.neurons, return_index=True)
    leaving = queue.leaving(ids)
    cores = tuple(queue.cores([*first.tolist(), queue.size], numbers, [leaving[n] for n in numbers.tolist()]))
    usage = tuple(queue.usage(cores))
    faults = [u.fault(tally.chip.name) for u in usage if not u.fits]
    if numbers.max(initial=0) >= core.count:
        was, must = f"core {int(numbers.max())}", f"cores 0..{core.count - 1}"
        faults.append(Fault("ND1802", tally.chip.name, was, must, "map the network again"))
    return usage, tuple(faults)


class _Queue:
    """The neurons that want a core, in the order of the groups or in a given one; counters of any stretch of them."""

    def __init__(self, tally: Tally, core: CoreEntry, neurons: Ints | None = None) -> None:
        self.tally, self.core = tally, core
        self.limits = [limit for limit in tally.chip.limits.values() if limit.entry.per in {"core", "axon"}]
        self.axon_limits = {x.name: AxonLimit(x, tally) for x in self.limits if x.entry.per == "axon"}
        groups = [g for g in tally.network.groups if g.kind in core.kinds]
        parts = [tally.first[g.name] + np.arange(g.size) for g in groups]
        self.neurons: Ints = np.concatenate([np.zeros(0, np.int64), *parts]) if neurons is None else neurons
        self.size = len(self.neurons)
        self.place = np.full(tally.size, -1, np.int64)
        self.place[self.neurons] = np.arange(self.size)
        self.arriving = self._arriving(tally.links)
        self.stored = self._arriving(tally.stored)

    def _arriving(self, links: Mapping[str, Link]) -> dict[str, tuple[Link, Ints]]:
        """Entries in the order of their targets, and where these stand in the queue."""
        result = {}
        for name, link in links.items():
            at = self.place[link.targets]
            order = np.argsort(at, kind="stable")
            result[name] = (link.part(order), at[order])
        return result

    def axons(self, name: str, begin: int, end: int) -> Axons:
        """Axons of a connection kind that end on a core with neurons begin..end - 1."""
        link, at = self.stored[name]
        first, last = np.searchsorted(at, (begin, end)).tolist()
        return axons_of(link.part(slice(first, last)), at[first:last] - begin, self.tally.size)

    def counters(self, begin: int, end: int) -> dict[str, int]:
        """Counters of a core that holds neurons begin..end - 1: the neurons, and the entries that end on them."""
        here = self.neurons[begin:end]
        counters = {
            f"neurons_{kind}": int(((here >= span.start) & (here < span.stop)).sum())
            for kind, span in self.tally.spans.items()
        }
        for name, (link, at) in self.arriving.items():
            first, last = np.searchsorted(at, (begin, end)).tolist()
            counters |= link.part(slice(first, last)).counters()
            asked = any(f"axons_{name}" in limit.entry.value for limit in self.limits)
            axons = len(self.axons(name, begin, end).entries) if asked else 0
            counters |= {f"axons_{name}": axons, f"leaving_{name}": 0}
        return counters

    def values(self, begin: int, end: int, leaving: Mapping[str, int] | None = None) -> dict[str, int]:
        """What every limit of a core comes to; what leaves it is known only when all cores are full."""
        sums = {
            name: axons.value(self.axons(axons.limit.entry.of or "", begin, end))
            for name, axons in self.axon_limits.items()
        }
        counters = self.counters(begin, end) | dict(leaving or {}) | sums
        return {x.name: sums[x.name] if x.name in sums else limit_value(x, counters) for x in self.limits}

    def leaving(self, ids: Ints) -> list[dict[str, int]]:
        """For each core, the axons that begin at its neurons."""
        block = np.where(ids >= 0, ids // self.core.neurons, -1)
        result: list[dict[str, int]] = [{} for _ in range(int(block.max(initial=-1)) + 1)]
        for name, link in self.tally.stored.items():
            part = link.part(np.flatnonzero((block[link.sources] >= 0) & (block[link.targets] >= 0)))
            keys = (part.projections * self.tally.size + part.sources) * len(result) + block[part.targets]
            sources = np.unique(keys) // max(len(result), 1) % max(self.tally.size, 1)
            for number, count in enumerate(np.bincount(block[sources], minlength=len(result)).tolist()):
                result[number][f"leaving_{name}"] = count
        return result

    def fits(self, begin: int, end: int) -> bool:
        values = self.values(begin, end)
        return all(values[limit.name] <= limit.entry.at_most for limit in self.limits)

    def room(self, begin: int) -> int:
        """How many neurons from ``begin`` on fit on one core: by bisection, since more neurons never need less."""
        most = min(self.core.neurons, self.size - begin)
        if self.fits(begin, begin + most):
            return most
        fitting, too_many = 0, most
        while too_many - fitting > 1:
            middle = (fitting + too_many) // 2
            if self.fits(begin, begin + middle):
                fitting = middle
            else:
                too_many = middle
        return fitting

    def lonely(self) -> Iterator[Fault]:
        """Neurons that do not even fit on a core of their own, limit by limit."""
        alone = [self.values(i, i + 1) for i in range(self.size)]
        for limit in self.limits:
            over = [i for i, values in enumerate(alone) if values[limit.name] > limit.entry.at_most]
            if over:
                where = f"{self.tally.name_of(int(self.neurons[over[0]]))} alone on a core"
                yield self.row(limit, alone[over[0]][limit.name], where, len(over)).fault(self.tally.chip.name)

    def cores(self, starts: list[int], places: Ints, leaving: list[dict[str, int]]) -> Iterator[Core]:
        """Every core in use, with what it uses of each limit."""
        grade = self.tally.chip.grade(self.core.evidence)
        for block, (begin, end) in enumerate(pairwise(starts)):
            number, values = int(places[block]), self.values(begin, end, leaving[block])
            where = f"core {number}"
            rows = [self.row(limit, values[limit.name], where, 0) for limit in self.limits]
            own = Usage("core.neurons", "neurons of one core", end - begin, self.core.neurons, grade, where)
            yield Core(number, tuple(self.held(begin, end)), "neurons", (own, *rows))

    def held(self, begin: int, end: int) -> Iterator[tuple[str, int, int]]:
        """Layers of which neurons stand in a stretch: name, first neuron, number of neurons."""
        for g in self.tally.network.groups:
            if g.kind in self.core.kinds:
                first = int(self.place[self.tally.first[g.name]])
                low, high = max(begin, first), min(end, first + g.size)
                if low < high:
                    yield g.name, low - first, high - low

    def usage(self, cores: Sequence[Core]) -> Iterator[Usage]:
        """What the fullest core uses of each limit."""
        grade = self.tally.chip.grade(self.core.evidence)
        yield Usage("core.count", "cores", len(cores), self.core.count, grade)
        none = Usage("core.neurons", "neurons of one core", 0, self.core.neurons, grade)
        empty = (none, *(self.row(limit, 0, "", 0) for limit in self.limits))
        for index, nothing in enumerate(empty):
            rows = [core.usage[index] for core in cores]
            worst = max(rows, key=lambda u: u.asked, default=nothing)
            yield replace(worst, count=sum(not u.fits for u in rows))

    def row(self, limit: Limit, asked: int, where: str, count: int) -> Usage:
        entry = limit.entry
        grade = self.tally.chip.grade(entry.evidence)
        return Usage(limit.name, entry.unit, asked, entry.at_most, grade, where, count, entry.todo)

    def limits_text(self) -> str:
        return (
            ", ".join(f"at most {limit.entry.at_most:,} {limit.entry.unit}" for limit in self.limits) or "none stated"
        )

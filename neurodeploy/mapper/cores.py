"""Neurons on cores: each core takes as many as its limits allow, in the order of the network."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from neurodeploy.chips import Limit
from neurodeploy.chips.schema import CoreEntry
from neurodeploy.errors import Fault
from neurodeploy.mapper.counts import Link, Tally, limit_value
from neurodeploy.mapper.rows import Usage
from neurodeploy.network.network import Ints


@dataclass(frozen=True)
class Cores:
    """What stands on which core.

    ids : (neuron,) hardware id of every neuron of the network, -1 where it stands on no core
    """

    ids: Ints
    usage: tuple[Usage, ...]
    faults: tuple[Fault, ...]


def fill_cores(tally: Tally, core: CoreEntry) -> Cores:
    """Give the neurons of all core kinds a core and a slot, in the order of the groups."""
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
        return Cores(ids, tuple(queue.usage(starts)), ())
    left, todo = queue.size - done, "fewer neurons, or fewer synapses that end on them"
    was = f"{left:,} of {queue.size:,} neurons without a core when the cores are filled in the order of the layers"
    must = f"{core.count:,} cores of {core.neurons:,} neurons, each within its limits: {queue.limits_text()}"
    given = {"limit": "core.count", "left": left, "neurons": queue.size, "cores": core.count}
    return Cores(ids, (), (Fault("ND1801", tally.chip.name, was, must, todo, given),))


class _Queue:
    """The neurons that want a core, in order; counters of any stretch of them."""

    def __init__(self, tally: Tally, core: CoreEntry) -> None:
        self.tally, self.core = tally, core
        self.limits = [limit for limit in tally.chip.limits.values() if limit.entry.per == "core"]
        groups = [g for g in tally.network.groups if g.kind in core.kinds]
        parts = [tally.first[g.name] + np.arange(g.size) for g in groups]
        self.neurons: Ints = np.concatenate([np.zeros(0, np.int64), *parts])
        self.size = len(self.neurons)
        place = np.full(tally.size, -1, np.int64)
        place[self.neurons] = np.arange(self.size)
        self.arriving: dict[str, tuple[Link, Ints]] = {}
        for name, link in tally.links.items():
            at = place[link.targets]
            order = np.argsort(at, kind="stable")
            self.arriving[name] = (link.part(order), at[order])

    def counters(self, begin: int, end: int) -> dict[str, int]:
        """Counters of a core that holds neurons begin..end - 1: the neurons, and the entries that end on them."""
        here = self.neurons[begin:end]
        counters = {
            f"neurons_{kind}": int(((here >= span.start) & (here < span.stop)).sum())
            for kind, span in self.tally.spans.items()
        }
        for link, at in self.arriving.values():
            first, last = np.searchsorted(at, (begin, end)).tolist()
            counters |= link.part(slice(first, last)).counters()
        return counters

    def fits(self, begin: int, end: int) -> bool:
        counters = self.counters(begin, end)
        return all(limit_value(limit, counters) <= limit.entry.at_most for limit in self.limits)

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
        for limit in self.limits:
            values = [limit_value(limit, self.counters(i, i + 1)) for i in range(self.size)]
            over = [i for i, value in enumerate(values) if value > limit.entry.at_most]
            if over:
                where = f"{self.tally.name_of(int(self.neurons[over[0]]))} alone on a core"
                yield self.row(limit, values[over[0]], where, len(over)).fault(self.tally.chip.name)

    def usage(self, starts: list[int]) -> Iterator[Usage]:
        """What the fullest core uses of each limit."""
        grade, used = self.tally.chip.grade(self.core.evidence), len(starts) - 1
        yield Usage("core.count", "cores", used, self.core.count, grade)
        full = [end - begin for begin, end in pairwise(starts)]
        where = f"core {int(np.argmax(full))}" if full else ""
        yield Usage("core.neurons", "neurons of one core", max(full, default=0), self.core.neurons, grade, where)
        per_core = [self.counters(begin, end) for begin, end in pairwise(starts)]
        for limit in self.limits:
            values = [limit_value(limit, counters) for counters in per_core]
            where = f"core {int(np.argmax(values))}" if values else ""
            yield self.row(limit, max(values, default=0), where, 0)

    def row(self, limit: Limit, asked: int, where: str, count: int) -> Usage:
        entry = limit.entry
        grade = self.tally.chip.grade(entry.evidence)
        return Usage(limit.name, entry.unit, asked, entry.at_most, grade, where, count, entry.todo)

    def limits_text(self) -> str:
        return (
            ", ".join(f"at most {limit.entry.at_most:,} {limit.entry.unit}" for limit in self.limits) or "none stated"
        )

"""Feed-forward networks, a step at once: layer by layer, each meeting in the order of the queue. NumPy only.

A neuron's state depends on its own meetings alone. Without loops all events that reach a layer are known before any of
its neurons has met one, so they can be sorted into the order in which the queue would bring them. Not a definition:
compared with the engine that follows single events.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from neurodeploy.simulator.footprints import EventMachine
from neurodeploy.simulator.machine import Ints
from neurodeploy.simulator.meetings import Flat, meet_numpy

AT_ONCE = 200_000  # meetings that are laid out together: about 20 MB, more only costs memory
Columns = tuple[str, Ints, Ints, Ints]


@dataclass(frozen=True)
class _Events:
    """Events of one group: all columns (event,), path (event, depth).

    position : among the neuron kind
    root : number of the input event in its sample; older ones are followed to their end first
    rank : place among the events of the arrival that made it
    path : the arrivals that led to it, the first in column 0, -1 beyond the last
    depth : how many they are
    """

    sample: Ints
    cause: Ints
    position: Ints
    root: Ints
    rank: Ints
    path: Ints
    depth: Ints

    def at(self, index: Ints) -> "_Events":
        return _Events(*(column[index] for column in self.columns))

    @property
    def columns(self) -> tuple[Ints, ...]:
        return self.sample, self.cause, self.position, self.root, self.rank, self.path, self.depth

    @classmethod
    def joined(cls, parts: list["_Events"]) -> "_Events":
        return cls(*(np.concatenate(c) for c in zip(*(p.columns for p in parts), strict=True)))


class Waves:
    """Runs all input events of a step through a network without loops.

    meetings : (batch,) texts that the last run has run
    """

    def __init__(self, machine: EventMachine, batch: int, order: str) -> None:
        self.machine, self.batch, self.breadth = machine, batch, order == "breadth"
        self.meetings = np.zeros(self.batch, np.int64)
        network = machine.network
        self.into = {g.name: [i for i, f in enumerate(machine.fans) if g.name in f.target] for g in network.groups}
        self.layers = sorted_groups(machine) or []
        self.depth = len(self.layers)
        # where one list of events feeds each layer, they arrive in the order in which they were made
        self.merges = any(len(many) > 1 for many in self.into.values())

    @staticmethod
    def possible(machine: EventMachine) -> bool:
        """Whether the network has no loop, nothing bounds the queue, and one text runs in each layer."""
        schedule = machine.chip.file.schedule
        if schedule.depth is not None or schedule.waits != "destination" or sorted_groups(machine) is None:
            return False
        kinds = {
            name: {f.kind.name for f in machine.fans if name in f.target} for f in machine.fans for name in f.target
        }
        return all(len(many) == 1 for many in kinds.values())

    def run(
        self, roots: Mapping[str, Ints], sample: Ints, cause: Ints, position: Ints, states: Mapping[str, Flat]
    ) -> Iterator[Columns]:
        """Kind, sample, cause and position of what each layer makes, in its order.

        roots : input group -> which of the input events are its own
        """
        self.meetings = np.zeros(self.batch, np.int64)
        events: dict[str, _Events] = {}
        for group, mine in roots.items():
            depth = self.depth if self.merges else 0
            path = np.full((len(mine), depth), -1)
            none = np.zeros(len(mine), np.int64)
            events[group] = _Events(sample[mine], cause[mine], position[mine], mine, none, path, none)
        for name in self.layers:
            fed = any(s in events for i in self.into[name] for s in self.machine.fans[i].sources)
            if name not in events and fed:
                events[name] = made = self._layer(name, events, states)
                yield self.machine.network.group(name).kind, made.sample, made.cause, made.position

    def _layer(self, name: str, events: Mapping[str, _Events], states: Mapping[str, Flat]) -> _Events:
        """What a layer makes of everything that arrives."""
        arriving, numbers = self._arriving(name, events)
        kind = self.machine.network.group(name).kind
        flat, made = states[kind], []
        fans = [self.machine.fans[i] for i in self.into[name]]
        lengths = np.zeros(len(arriving.sample), np.int64)
        begins = lengths.copy()
        for number, fan in zip(self.into[name], fans, strict=True):
            mine = numbers == number
            at = arriving.position[mine]
            block = self.machine.block(arriving.sample[mine], self.batch) * fan.size
            begins[mine], lengths[mine] = fan.starts[at] + block, fan.starts[at + 1] - fan.starts[at]
        total = np.cumsum(lengths)
        first = 0
        while first < len(lengths):
            done = total[first - 1] if first else 0
            last = max(int(np.searchsorted(total, done + AT_ONCE, "right")), first + 1)
            part = np.arange(first, last)
            made.append(self._meet(name, arriving.at(part), numbers[part], begins[part], lengths[part], flat))
            first = last
        return _Events.joined(made) if made else arriving

    def _arriving(self, name: str, events: Mapping[str, _Events]) -> tuple[_Events, Ints]:
        """Events in the order in which they reach a layer, each with the number of its fan."""
        parts, numbers = list[_Events](), list[Ints]()
        for number in self.into[name]:
            fan = self.machine.fans[number]
            (source,) = fan.sources
            if source not in events:  # nothing feeds it
                continue
            own = events[source]
            at = np.flatnonzero(fan.starts[own.position + 1] > fan.starts[own.position])
            own = own.at(at)
            if self.merges:
                path = own.path.copy()
                path[np.arange(len(at)), own.depth] = own.rank * len(self.machine.fans) + number
                own = replace(own, path=path, depth=own.depth + 1)
            parts.append(own)
            numbers.append(np.full(len(at), number))
        arriving, fans = _Events.joined(parts), np.concatenate(numbers)
        if not self.merges:
            return arriving, fans
        keys = [*arriving.path.T[::-1], *([arriving.depth] if self.breadth else []), arriving.root, arriving.sample]
        order = np.lexsort(keys)
        return arriving.at(order), fans[order]

    def _meet(self, name: str, arriving: _Events, numbers: Ints, begins: Ints, lengths: Ints, states: Flat) -> _Events:
        owner = np.repeat(np.arange(len(lengths)), lengths)
        rank = np.arange(len(owner)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        synapse = begins[owner] + rank
        lane = self.machine.lanes[self.machine.network.group(name).kind]
        targets = np.empty(len(owner), np.int64)
        fields: dict[str, Ints | int] = {}
        fans = [(i, self.machine.fans[i]) for i in self.into[name]]
        for number, fan in fans:
            mine = slice(None) if len(fans) == 1 else numbers[owner] == number
            targets[mine] = fan.targets[synapse[mine]]
            for field, values in fan.fields.items():
                column = fields.setdefault(field, np.empty(len(owner), np.int64))
                column[mine] = values[synapse[mine]]  # type: ignore[index] # fields are arrays, registers follow
        kind = fans[0][1].kind
        given = {**fields, **self.machine.registers[kind.name]}
        slots = arriving.sample[owner] * lane.size + targets
        fired = meet_numpy(kind.on_input, lane, states, slots, given, once=False)
        np.add.at(self.meetings, arriving.sample, lengths)
        source = arriving.at(owner[fired])
        return replace(source, position=targets[fired], rank=rank[fired])


def sorted_groups(machine: EventMachine) -> list[str] | None:
    """Groups in an order in which each stands behind those that feed it; None if there is a loop."""
    feeding = {
        g.name: {s for f in machine.fans if g.name in f.target for s in f.sources} for g in machine.network.groups
    }
    ordered: list[str] = []
    while ready := [n for n in feeding if n not in ordered and feeding[n] <= set(ordered)]:
        ordered += ready
    return ordered if len(ordered) == len(feeding) else None

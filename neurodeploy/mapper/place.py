"""Network -> placed Network, or all reasons why not, each with the number asked, the number available and a way out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from heapq import heappop, heappush

import numpy as np

from neurodeploy.chips import Limit
from neurodeploy.errors import DoesNotFit, Fault, raise_if
from neurodeploy.mapper.counts import Tally, Usage, limit_value, usage
from neurodeploy.network import Network
from neurodeploy.simulator.machine import Ints
from neurodeploy.step import NUMPY, evaluate


@dataclass(frozen=True)
class Placement:
    """A placed network and what it uses.

    usage : every limit with what is asked of it
    warnings : what is allowed and still worth a look
    """

    network: Network
    usage: tuple[Usage, ...]
    warnings: tuple[Fault, ...]


def map_network(network: Network) -> Placement:
    """Give every neuron a hardware id within all limits of the chip.

    Raises DoesNotFit with every reason: ND1801 limits, ND1802 places, ND1703 values that the chip should not get.
    """
    asked = usage(network)
    faults = [u.fault(network.chip.name) for u in asked if not u.fits]
    faults += list(value_faults(network))
    placed, more = _place(network)
    raise_if(faults + more, DoesNotFit)
    core_usage, core_faults = _core_usage(placed)
    raise_if(core_faults, DoesNotFit)
    return Placement(placed, (*asked, *core_usage), tuple(_warnings(placed)))


def fit_faults(network: Network) -> list[Fault]:
    """All reasons why a network does not fit; empty if it does."""
    try:
        map_network(network)
    except DoesNotFit as refusal:
        return list(refusal.faults)
    return []


def value_faults(network: Network) -> Iterator[Fault]:
    """Register values outside what may be emitted, stored weights that the chip would change, forbidden pairs."""
    chip = network.chip
    for g in network.groups:
        for name, entry in chip.neurons[g.kind].parameters.items():
            yield from _beyond(f"{chip.name}, layer {g.name!r}", name, g.parameters[name], entry.allowed)
    for p in network.projections:
        kind = chip.connections[p.kind]
        where = f"{chip.name}, {p.source!r} -> {p.target!r}"
        for name, entry in kind.parameters.items():
            yield from _beyond(where, name, np.asarray([p.parameters[name]]), entry.allowed)
        for text, (formula, interval) in kind.may.items():
            registers = {n: np.int64(v) for n, v in p.parameters.items()}
            values = np.asarray(evaluate(formula, {**p.fields, **registers}, NUMPY))
            yield from _beyond(where, text, np.atleast_1d(values), interval)
        if not kind.entry.allow_self and p.source == p.target and np.any(p.sources == p.targets):
            own = int(p.sources[p.sources == p.targets][0])
            yield Fault("ND1801", where, f"neuron {own} joined to itself by {p.kind!r}", "two different neurons")
        keys = p.sources * (int(p.targets.max(initial=0)) + 1) + p.targets
        if len(np.unique(keys)) != len(keys) and "delay" not in kind.fields:
            yield Fault(
                "ND1801", where, "a pair of neurons joined twice", "one synapse entry for a pair", "add them up"
            )


def _beyond(where: str, name: str, values: Ints, allowed: tuple[int, int]) -> Iterator[Fault]:
    bad = np.flatnonzero((values < allowed[0]) | (values > allowed[1]))
    if bad.size:
        first = int(values[bad[0]])
        was = f"{name} = {first} at index {int(bad[0])}" + (f" and {bad.size - 1} more" if bad.size > 1 else "")
        todo = "scale the layer down, or train with nd.constrain(model, chip)"
        must = f"{allowed[0]}..{allowed[1]} may be written"
        yield Fault("ND1703", where, was, must, todo, {"parameter": name, "value": first, "count": int(bad.size)})


def _windows(network: Network, tally: Tally) -> dict[str, tuple[Ints, Ints]]:
    """For each neuron kind the hardware ids that each neuron may take: lowest, and one above the highest."""
    windows = {k: (np.zeros(n, np.int64), np.full(n, n, np.int64)) for k, n in tally.sizes.items()}
    for name, (target, sources, targets) in tally.links.items():
        entry = network.chip.connections[name].entry
        if entry.targets_first:
            high = windows[target][1]
            high[targets] = np.minimum(high[targets], entry.targets_first)
        if entry.sources_last:
            source = network.chip.connections[name].sources[0]
            low = windows[source][0]
            low[sources] = np.maximum(low[sources], tally.sizes[source] - entry.sources_last)
    return windows


def _place(network: Network) -> tuple[Network, list[Fault]]:
    tally, faults = Tally(network), list[Fault]()
    ids: dict[str, Ints] = {}
    core = network.chip.core
    for kind, (low, high) in _windows(network, tally).items():
        if core is not None and kind in core.kinds:
            ids[kind], more = _fill_cores(network, tally, kind)
            faults += more
        else:
            ids[kind], late = _earliest_deadline(low, high)
            if late:
                was = f"{len(late)} neurons of kind {kind!r} without a place, first {tally.name_of(kind, late[0])}"
                must = "neurons with input weights among the first ids, neurons with output weights among the last"
                faults.append(Fault("ND1802", network.chip.name, was, must, "make one of the layers smaller"))
    groups = tuple(
        replace(g, ids=ids[g.kind][tally.first[g.name] : tally.first[g.name] + g.size]) for g in network.groups
    )
    return replace(network, groups=groups), faults


def _earliest_deadline(low: Ints, high: Ints) -> tuple[Ints, list[int]]:
    """Ids 0..n-1 for neurons with windows; optimal for unit jobs with release times and deadlines."""
    n = len(low)
    ids, late = np.full(n, -1, np.int64), []
    waiting: list[tuple[int, int]] = []
    order = np.argsort(low, kind="stable").tolist()
    nxt = 0
    for place in range(n):
        while nxt < n and low[order[nxt]] <= place:
            heappush(waiting, (int(high[order[nxt]]), order[nxt]))
            nxt += 1
        if not waiting:  # nobody may stand here: the next one takes the place and counts as misplaced
            heappush(waiting, (-1, order[nxt]))
            nxt += 1
        deadline, neuron = heappop(waiting)
        ids[neuron] = place
        if deadline <= place:
            late.append(neuron)
    return ids, late


def _core_counters(tally: Tally, members: Mapping[str, Ints]) -> dict[str, int]:
    """Counters of a core: its neurons, and the entries that end on them."""
    counters = {f"neurons_{kind}": len(members.get(kind, ())) for kind in tally.sizes}
    for name, (target, sources, targets) in tally.links.items():
        here = np.isin(targets, members[target]) if target in members else np.zeros(len(targets), bool)
        counters[f"entries_{name}"] = int(here.sum())
        counters[f"sources_{name}"] = len(np.unique(sources[here]))
        counters[f"targets_{name}"] = len(np.unique(targets[here]))
    return counters


def _core_limits(network: Network) -> list[Limit]:
    return [limit for limit in network.chip.limits.values() if limit.entry.per == "core"]


def _fill_cores(network: Network, tally: Tally, kind: str) -> tuple[Ints, list[Fault]]:
    """Fill one core after the other, in the order of the neurons, with as many as its limits allow (by bisection)."""
    core = network.chip.core
    if core is None:
        return np.arange(tally.sizes[kind]), []
    limits, size = _core_limits(network), tally.sizes[kind]
    ids = np.full(size, -1, np.int64)

    def fits(first: int, last: int) -> bool:
        counters = _core_counters(tally, {kind: np.arange(first, last)})
        return all(limit_value(limit, counters) <= limit.entry.at_most for limit in limits)

    done = 0
    for number in range(core.count):
        room = min(core.neurons, size - done)
        while room > 0 and not fits(done, done + room):
            room -= max(1, room // 8) if room > 16 else 1
        ids[done : done + room] = number * core.neurons + np.arange(room)
        done += room
        if done == size:
            return ids, []
        if room == 0:
            counters = _core_counters(tally, {kind: np.arange(done, done + 1)})
            was = "; ".join(f"{limit_value(m, counters):,} {m.entry.unit}" for m in limits)
            must = "; ".join(f"at most {m.entry.at_most:,}" for m in limits)
            where = f"{network.chip.name}, {tally.name_of(kind, done)}"
            return ids, [Fault("ND1801", where, f"alone on a core: {was}", must, "give it fewer inputs")]
    was = f"{size - done:,} of {size:,} neurons of kind {kind!r} find no core"
    must = f"{core.count:,} cores of {core.neurons:,} neurons within the limits of each"
    return ids, [Fault("ND1801", network.chip.name, was, must, f"remove {size - done:,} neurons, or synapses")]


def _core_usage(network: Network) -> tuple[list[Usage], list[Fault]]:
    """What the fullest core uses of each limit."""
    core = network.chip.core
    if core is None:
        return [], []
    tally = Tally(network)
    result = []
    where_is = {
        kind: np.concatenate([np.zeros(0, np.int64), *[g.ids for g in network.of_kind(kind) if g.ids is not None]])
        for kind in core.kinds
    }
    used = sorted({int(c) for ids in where_is.values() for c in np.unique(ids // core.neurons)})
    for limit in _core_limits(network):
        values = []
        for number in used:
            members = {k: np.flatnonzero(ids // core.neurons == number) for k, ids in where_is.items()}
            values.append(limit_value(limit, _core_counters(tally, members)))
        worst = int(np.argmax(values)) if values else 0
        grade = network.chip.evidence[limit.entry.evidence or network.chip.file.evidence or ""].grade
        over = sum(v > limit.entry.at_most for v in values)
        where = f"core {used[worst]}" if used else ""
        entry = limit.entry
        asked = values[worst] if values else 0
        result.append(Usage(limit.name, entry.unit, asked, entry.at_most, grade, where, over, entry.todo))
    return result, [u.fault(network.chip.name) for u in result if not u.fits]


def _warnings(network: Network) -> Iterator[Fault]:
    chip = network.chip
    by_name = {g.name: g for g in network.groups}
    for g in network.groups:
        for name, entry in chip.neurons[g.kind].parameters.items():
            if entry.safe is not None:
                for fault in _beyond(f"{chip.name}, layer {g.name!r}", name, g.parameters[name], entry.safe):
                    must = f"{entry.safe[0]}..{entry.safe[1]} is the range that every source agrees on"
                    yield replace(fault, must=must, todo="see neurodeploy targets show")
    for p in network.projections:
        rule = chip.connections[p.kind].entry.forward_only
        source, target = by_name[p.source].ids, by_name[p.target].ids
        if not rule or source is None or target is None:
            continue
        back = int(np.sum(target[p.targets] < source[p.sources]))
        if back:
            was = f"{back} of kind {p.kind!r} lead to a lower hardware id"
            must = "the target has already fired in this step: it counts the events but does not relay them"
            yield Fault("ND1802", f"{chip.name}, {p.source!r} -> {p.target!r}", was, must, "")

"""Values and pairs that a chip should not get, whatever the placement; and what is allowed but worth a look."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from neurodeploy.chips.schema import ParameterEntry
from neurodeploy.errors import Fault
from neurodeploy.mapper.counts import Tally, reports
from neurodeploy.network import Network
from neurodeploy.network.network import Ints
from neurodeploy.step import NUMPY, evaluate


def value_faults(network: Network) -> Iterator[Fault]:
    """Register values outside what may be emitted, stored weights that the chip would change, forbidden pairs."""
    chip = network.chip
    for where, name, entry, values in _registers(network):
        yield from _beyond(where, name, values, entry.allowed)
    for p in network.projections:
        kind = chip.connections[p.kind]
        where = f"{chip.name}, {p.source!r} -> {p.target!r}"
        for text, (formula, interval) in kind.may.items():
            registers = {n: np.int64(v) for n, v in p.parameters.items()}
            stored = np.asarray(evaluate(formula, {**p.fields, **registers}, NUMPY))
            yield from _beyond(where, text, np.atleast_1d(stored), interval)
        own = p.pairwise.sources[p.pairwise.sources == p.pairwise.targets] if p.source == p.target else p.sources[:0]
        if own.size and not kind.entry.allow_self:
            was = f"neuron {int(own[0])} joined to itself by {p.kind!r}" + _more(own.size)
            yield Fault("ND1801", where, was, "two different neurons", "remove that pair", {"count": int(own.size)})
    yield from _doubled(network)


def _doubled(network: Network) -> Iterator[Fault]:
    cores, ends = network.chip.layer_core, Counter((p.kind, p.source, p.target) for p in network.projections)
    several = [  # one convolution by itself meets every pair once
        p for p in network.projections if p.geometry is None or ends[p.kind, p.source, p.target] > 1
    ]
    tally = Tally(network, several)
    for name, link in tally.links.items():
        if "delay" in link.kind.fields:
            continue  # events of different age are different synapses
        if cores is not None and link.kind.target in cores.kinds:
            continue  # destinations of their own
        pairs, times = np.unique(link.sources * tally.size + link.targets, return_counts=True)
        twice = pairs[times > 1].tolist()
        if twice:
            source, target = (tally.name_of(number) for number in divmod(twice[0], tally.size))
            was = f"{source} and {target}, a pair of neurons joined twice by {name!r}" + _more(len(twice))
            must = "one synapse entry for a pair"
            yield Fault("ND1801", network.chip.name, was, must, "add the weights up", {"count": len(twice)})


def _registers(network: Network) -> Iterator[tuple[str, str, ParameterEntry, Ints]]:
    """Place, name, description and values of every parameter, those of a connection kind once."""
    chip = network.chip
    for g in network.groups:
        for name, entry in chip.neurons[g.kind].parameters.items():
            yield f"{chip.name}, layer {g.name!r}", name, entry, g.parameters[name]
    for p in {p.kind: p for p in reversed(network.projections)}.values():
        for name, entry in chip.connections[p.kind].parameters.items():
            yield f"{chip.name}, connection {p.kind!r}", name, entry, np.asarray([p.parameters[name]])


def _beyond(where: str, name: str, values: Ints, allowed: tuple[int, int]) -> Iterator[Fault]:
    low, high = allowed
    bad = np.flatnonzero((values < low) | (values > high))
    if bad.size:
        first = int(values[bad[0]])
        was = f"{name} = {first} at index {int(bad[0])}" + _more(bad.size)
        todo = f"raise it to {low} or more" if first < low else f"lower it to {high} or less"
        given = {"parameter": name, "value": first, "count": int(bad.size)}
        yield Fault("ND1703", where, was, f"{low}..{high} may be written", todo, given)


def _more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""


def unsafe_values(network: Network) -> Iterator[Fault]:
    """Warnings: values that only some sources allow."""
    for where, name, entry, values in _registers(network):
        if entry.safe is not None:
            must = f"{entry.safe[0]}..{entry.safe[1]} is the range that every source agrees on"
            for fault in _beyond(where, name, values, entry.safe):
                yield replace(fault, must=must)


def figures_beyond(network: Network) -> Iterator[Fault]:
    """Warnings: figures of the chip that are larger than what the network states, such as the time for a step."""
    values = reports(network)
    stated = {"dt_s": network.dt_s}
    for name, (figure, _) in network.chip.reports.items():
        limit = stated.get(figure.at_most)
        value, unit = values[name]
        if limit is not None and value > limit:
            must = f"{figure.at_most} = {limit:.6g} of the network is less"
            given = {"report": name, "asked": value, "at_most": limit}
            yield Fault("ND1801", network.chip.name, f"{value:.6g} {unit}", must, figure.todo, given)


def backward_links(network: Network) -> Iterator[tuple[str, Fault]]:
    """Pairs of a placed network that lead to a lower hardware id where the connection looks forward: rule and fault."""
    groups = {g.name: g for g in network.groups}
    for p in network.projections:
        rule = network.chip.connections[p.kind].entry.forward_only
        source, target = groups[p.source].ids, groups[p.target].ids
        if not rule or source is None or target is None:
            continue
        back = np.flatnonzero(target[p.targets] < source[p.sources])
        if back.size:
            first, last = int(p.sources[back[0]]), int(p.targets[back[0]])
            was = f"{p.kind!r} from neuron {first} to neuron {last} leads to a lower hardware id" + _more(back.size)
            must = "the target has already fired in this step: it counts the events but does not relay them"
            where = f"{network.chip.name}, {p.source!r} -> {p.target!r}"
            todo = "put the target behind the source: in its layer, or as a later layer"
            yield rule, Fault("ND1802", where, was, must, todo, {"count": int(back.size)})

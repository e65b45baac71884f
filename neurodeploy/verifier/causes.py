"""The table of causes: what makes two programs differ, each as changes that are tried on one of them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from neurodeploy.chips import NeuronKind
from neurodeploy.errors import Refusal
from neurodeploy.network import Network, Projection
from neurodeploy.verifier.rewrites import (
    Handlers,
    Rewrite,
    late_resets,
    other_bounds,
    other_comparisons,
    other_roundings,
)
from neurodeploy.verifier.variants import Delay, Replica, Scope, Variant, handlers_of

Rewrites = Callable[[NeuronKind, Handlers], Iterator[Rewrite]]


@dataclass(frozen=True)
class Place:
    """Where the first difference is: group, neuron, and the group and neuron whose event made it, if one did."""

    replica: Replica
    group: str
    neuron: int
    source: tuple[str, int] | None

    @property
    def network(self) -> Network:
        """The network that is computed otherwise."""
        return self.replica.network

    @property
    def kind(self) -> str:
        """Neuron kind of the group."""
        return self.network.group(self.group).kind

    def scopes(self) -> Iterator[Scope]:
        """The neuron, its feature, its group, all neurons of the kind."""
        lane, g = self.replica.machine.lanes[self.kind], self.network.group(self.group)
        at = lane.slices[self.group]
        chosen = {f"neuron {self.neuron} of {self.group!r}": at[self.neuron : self.neuron + 1]}
        if len(g.shape) > 1:
            channel = int(np.unravel_index(self.neuron, g.shape)[0])
            chosen[f"feature {channel} of {self.group!r}"] = at.reshape(g.shape)[channel].reshape(-1)
        chosen |= {f"group {self.group!r}": at, f"all neurons of kind {self.kind!r}": np.arange(lane.size)}
        for words, positions in chosen.items():
            mask = np.zeros(lane.size, bool)
            mask[positions] = True
            yield Scope(words, self.kind, mask)

    def everywhere(self) -> Iterator[Scope]:
        """All neurons, kind by kind."""
        for kind, lane in self.replica.machine.lanes.items():
            if lane.size:
                yield Scope("every neuron", kind, np.ones(lane.size, bool))


@dataclass(frozen=True)
class Cause:
    """One line of the table.

    name : stable word for programs
    title : what differs between the two sides, for people
    propose : changes that would make one side the other
    """

    name: str
    title: str
    propose: Callable[[Place], Iterator[Variant]]


def _of_texts(rewrites: Rewrites) -> Callable[[Place], Iterator[Variant]]:
    """Rewritings of the texts of the neuron, of its group, of its kind, of every neuron."""

    def propose(place: Place) -> Iterator[Variant]:
        chip = place.network.chip
        own = list(rewrites(chip.neurons[place.kind], handlers_of(chip, place.kind)))
        for scope, rewrite in product(place.scopes(), own):
            yield Variant(f"{scope.words}: {rewrite.words}", ((rewrite, scope),))
        alike: dict[str, list[tuple[Rewrite, Scope]]] = {}
        for scope in place.everywhere():
            for rewrite in rewrites(chip.neurons[scope.kind], handlers_of(chip, scope.kind)):
                if rewrite.way:
                    alike.setdefault(rewrite.way, []).append((rewrite, scope))
        for way, changes in alike.items():
            if len(changes) > 1:
                yield Variant(f"every neuron: {way}", tuple(changes))

    return propose


def _late(place: Place) -> Iterator[Variant]:
    """Events of a connection, of an input, or everything that is seen of a group, one step later or earlier."""
    if not place.network.chip.event_driven:
        for source in dict.fromkeys(p.source for p in place.network.projections if p.target == place.group):
            words = f"events from {source!r} to {place.group!r} one step later"
            yield Variant(words, delays=(Delay(source, place.group),))
            if place.source is not None and place.source[0] == source:
                at = int(place.replica.machine.lanes[place.network.group(source).kind].slices[source][place.source[1]])
                words = f"events from neuron {place.source[1]} of {source!r} to {place.group!r} one step later"
                yield Variant(words, delays=(Delay(source, place.group, at),))
        pairs = dict.fromkeys((p.source, p.target) for p in place.network.projections)
        yield Variant("events of every connection one step later", delays=tuple(Delay(*pair) for pair in pairs))
    for g, by in product(place.network.inputs(), (1, -1)):
        words = f"one step {'later' if by > 0 else 'earlier'}"
        yield Variant(f"input {g.name!r} {words}", late_input={g.name: np.full(g.size, by)})
        if g.name == place.group:
            one = np.zeros(g.size, np.int64)
            one[place.neuron] = by
            yield Variant(f"neuron {place.neuron} of input {g.name!r} {words}", late_input={g.name: one})
    for by in (1, -1):
        words = f"seen one step {'later' if by > 0 else 'earlier'}"
        yield Variant(f"group {place.group!r} {words}", seen_late={place.group: by})
        yield Variant(f"everything {words}", seen_late=dict.fromkeys((g.name for g in place.network.groups), by))


def _transposed(place: Place) -> Iterator[Variant]:
    """Weights of a connection with two axes exchanged: of the matrix, of the kernel, or of the map that it reads."""
    every: dict[str, dict[int, Projection]] = {}
    for number, p in enumerate(place.network.projections):
        for words, other in turned(place.network, p):
            every.setdefault(words, {})[number] = other
            if p.target == place.group:
                told = f"weights {p.source!r} -> {p.target!r} ({p.kind}): {words}"
                yield from _exchanged(place.network, told, {number: other})
    for words, changed in every.items():
        if len(changed) > 1:
            yield from _exchanged(place.network, f"weights of every connection: {words}", changed)


def _exchanged(network: Network, words: str, changed: Mapping[int, Projection]) -> Iterator[Variant]:
    """A network with other projections; none where the chip does not hold it."""
    projections = tuple(changed.get(i, p) for i, p in enumerate(network.projections))
    with suppress(Refusal):
        yield Variant(words, network=replace(network, projections=projections))


def turned(network: Network, p: Projection) -> Iterator[tuple[str, Projection]]:
    """A projection with two axes of its weights exchanged, in every way that gives other weights."""
    source, target = network.group(p.source), network.group(p.target)
    size = source.size * target.size
    if p.geometry is not None:
        kernel = p.geometry.kernel
        for words, axes in (("rows and columns of the kernel", (0, 1, 3, 2)), ("features and channels", (1, 0, 2, 3))):
            yield from _read_as(p, words, tuple(kernel[a] for a in axes), axes)
    elif len(p.sources) == size and np.array_equal(p.sources * target.size + p.targets, np.arange(size)):
        yield from _read_as(p, "sources and targets of the matrix", (target.size, source.size), (1, 0))
        if len(source.shape) == 3:
            channels, rows, columns = source.shape
            for words, shape, axes in (
                ("(row, column, channel)", (rows, columns, channels, target.size), (2, 0, 1, 3)),
                ("(channel, column, row)", (channels, columns, rows, target.size), (0, 2, 1, 3)),
            ):
                yield from _read_as(p, f"map of {p.source!r} as {words}", shape, axes)
    elif source.size == target.size and not np.array_equal(p.sources, p.targets):
        yield "sources and targets of the matrix", replace(p, sources=p.targets, targets=p.sources)


def _read_as(
    p: Projection, words: str, shape: tuple[int, ...], axes: tuple[int, ...]
) -> Iterator[tuple[str, Projection]]:
    """The same numbers, read as an array of a shape whose axes are then put into their order."""
    fields = {n: v.reshape(shape).transpose(axes).reshape(-1) for n, v in p.fields.items()}
    if any(not np.array_equal(fields[n], v) for n, v in p.fields.items()):
        yield words, replace(p, fields=fields)


def _no_bias(place: Place) -> Iterator[Variant]:
    """Biases that are 0: of the neuron, its feature, its group, its kind, of all."""
    lanes, chip = place.replica.machine.lanes, place.network.chip
    names = {k: n.deploy.bias for k, n in chip.neurons.items() if n.deploy is not None and n.deploy.bias is not None}
    if place.kind in names:
        values = lanes[place.kind].parameters[names[place.kind]]
        for scope in place.scopes():
            if values[scope.mask].any():
                without = {(place.kind, names[place.kind]): np.where(scope.mask, 0, values)}
                yield Variant(f"{scope.words}: {names[place.kind]} = 0", parameters=without)
    biased = {(k, n): np.zeros_like(lanes[k].parameters[n]) for k, n in names.items() if lanes[k].parameters[n].any()}
    if len(biased) > 1:
        yield Variant("every neuron: no bias", parameters=biased)


#: In the order in which causes that explain equally much are named.
CAUSES: tuple[Cause, ...] = (
    Cause("missing-bias", "a bias is missing", _no_bias),
    Cause(
        "comparison",
        "the threshold is compared strictly on one side and not on the other",
        _of_texts(other_comparisons),
    ),
    Cause("reset-timing", "the reset happens in another step", _of_texts(late_resets)),
    Cause("latency", "one step of latency more or less", _late),
    Cause("transposed-axes", "axes of the weights are transposed", _transposed),
    Cause("wrap-or-saturate", "a register wraps where the other saturates", _of_texts(other_bounds)),
    Cause("decay-rounding", "the decay is rounded in another direction", _of_texts(other_roundings)),
)

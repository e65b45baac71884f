"""Ways out: changes of a network that let its layers find cores, each tried, with what it costs."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

from neurodeploy.mapper.assign import Assignment
from neurodeploy.mapper.layers import Edge, Layer, Plan, circles, wiring_faults

Verb = Literal["split", "halve", "stride", "pool"]
#: How a change is said; each is followed by the name of the layer.
WORDS: dict[Verb, str] = {
    "split": "split {} over several cores",
    "halve": "halve the features of {}",
    "stride": "double the stride of {}",
    "pool": "pool 2 x 2 before {}",
}
#: Halvings of the same layer that are tried.
MOST_HALVINGS = 10


@dataclass(frozen=True)
class Way:
    """Changes that together let all layers find cores.

    changes : (what, layer), applied in this order
    neurons : neurons fewer
    of : neurons of the layers before
    cores : cores more
    """

    changes: tuple[tuple[Verb, str], ...]
    neurons: int
    of: int
    cores: int

    def __str__(self) -> str:
        costs = [f"{self.neurons:,} of {self.of:,} neurons fewer"] * bool(self.neurons)
        costs += [f"{self.cores} core{'s' if self.cores > 1 else ''} more"] * (self.cores > 0)
        said = [WORDS[verb].format(repr(layer)) for verb, layer in self.changes]
        return f"{' and '.join(said)} ({', '.join(costs) or 'at no cost'})"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        changes = [{"change": verb, "layer": layer} for verb, layer in self.changes]
        return {"changes": changes, "neurons_fewer": self.neurons, "neurons": self.of, "cores_more": self.cores}


def ways_out(plan: Plan, conflicts: Sequence[Sequence[str]]) -> tuple[Way, ...]:
    """All single changes that let every layer find a core; if there is none, pairs; if there is none, more at once.

    The cheapest come first: fewest neurons lost, then fewest cores. Empty where nothing that was tried helps.
    """
    if circles(plan) or len(plan.layers) > plan.cores.count:
        return ()
    singles = [(verb, name) for name in _near(plan, conflicts) for verb in WORDS]
    found = list(_working(plan, ((c,) for c in singles)))
    if not found:
        found = list(_working(plan, combinations(singles, 2)))
    if not found:
        found = list(_many(plan, [name for members in conflicts for name in members]))
    order = {verb: i for i, verb in enumerate(WORDS)}
    return tuple(sorted(found, key=lambda w: (w.neurons, w.cores, [(order[v], n) for v, n in w.changes])))


def _near(plan: Plan, conflicts: Sequence[Sequence[str]]) -> list[str]:
    """Layers of the conflicts and those upstream, whose maps they see."""
    near = {name for members in conflicts for name in members}
    while True:
        more = near | {e.source for layer in plan.layers if layer.name in near for e in layer.edges}
        if more == near:
            return [layer.name for layer in plan.layers if layer.name in near]
        near = more


def _working(plan: Plan, several: Iterable[Sequence[tuple[Verb, str]]]) -> Iterator[Way]:
    for changes in several:
        changed = apply(plan, changes)
        if changed is not None and _maps(plan, changed):
            yield _way(plan, changed, changes)


def _many(plan: Plan, members: Sequence[str]) -> Iterator[Way]:
    """Halve all layers that stand in each other's way, again and again; then leave out what was not needed."""
    changes: list[tuple[Verb, str]] = []
    for _ in range(MOST_HALVINGS):
        changes += [("halve", name) for name in members if apply(plan, [*changes, ("halve", name)]) is not None]
        changed = apply(plan, changes)
        if changed is None or not _maps(plan, changed):
            continue
        for at in reversed(range(len(changes))):
            fewer = changes[:at] + changes[at + 1 :]
            again = apply(plan, fewer)
            if again is not None and _maps(plan, again):
                changes, changed = fewer, again
        yield _way(plan, changed, changes)
        return


def _maps(before: Plan, plan: Plan) -> bool:
    """Whether all layers find cores and no limit is broken that was kept before."""
    if not Assignment(plan).possible():
        return False
    beyond = {u.limit for u in before.limits() if not u.fits}
    if any(not u.fits and u.rule == "refuse" and u.limit not in beyond for u in plan.limits()):
        return False
    return len(wiring_faults(plan, loops=True)) <= len(wiring_faults(before, loops=True))


def _way(before: Plan, plan: Plan, changes: Sequence[tuple[Verb, str]]) -> Way:
    neurons, fewer = (sum(math.prod(layer.shape) for layer in p.layers) for p in (before, plan))
    cores = len(Assignment(plan).blocks()) - len(plan.layers) if plan.split else 0
    return Way(tuple(changes), neurons - fewer, neurons, cores)


def apply(plan: Plan, changes: Iterable[tuple[Verb, str]]) -> Plan | None:
    """Apply changes one after the other; None where one of them makes no network."""
    changed: Plan | None = plan
    for verb, name in changes:
        if changed is None:
            return None
        if verb == "split":
            twice = name in changed.split or name == changed.readout or changed.layer(name).shape[0] < 2
            changed = None if twice else replace(changed, split=changed.split | {name})
        else:
            changed = _shapes(changed, verb, name)
    return changed


def _shapes(plan: Plan, verb: Verb, name: str) -> Plan | None:
    """Change one layer, and every layer behind it that sees another map."""
    made: dict[str, Layer] = {}
    left = list(plan.layers)
    while left:
        waits = {layer.name for layer in left}
        layer = next((one for one in left if not any(e.source in waits for e in one.edges)), None)
        if layer is None:
            return None
        left.remove(layer)
        edges = [_edge(e, made.get(e.source), verb if layer.name == name else None) for e in layer.edges]
        channels = max(e.geometry.source[0] + e.geometry.shift for e in edges)
        before = max(e.geometry.source[0] + e.geometry.shift for e in layer.edges)
        if layer.edges[0].geometry.groups == 1 and channels < before == layer.edges[0].geometry.kernel[1]:
            edges = [_narrow(e, channels) for e in edges]
        first = edges[0].geometry
        odd = any((e.geometry.kernel, e.geometry.pooled) != (first.kernel, first.pooled) for e in edges)
        if odd or first.kernel[0] < 1 or any(list(e.geometry.faults("")) for e in edges):
            return None
        made[layer.name] = replace(layer, shape=first.target, edges=tuple(edges))
    return replace(plan, layers=tuple(made[layer.name] for layer in plan.layers))


def _narrow(edge: Edge, channels: int) -> Edge:
    kernel = edge.geometry.kernel
    return replace(edge, geometry=replace(edge.geometry, kernel=(kernel[0], channels, *kernel[2:])))


def _edge(edge: Edge, source: Layer | None, verb: Verb | None) -> Edge:
    """A convolution whose source has changed, and which is changed itself; one over a whole map stays such."""
    g = edge.geometry
    whole = g.kernel[2:] == g.pooled and g.padding == (0, 0)
    if verb == "halve":
        g = replace(g, kernel=(g.kernel[0] // 2, *g.kernel[1:]))
    elif verb == "stride":
        g = replace(g, stride=(2 * g.stride[0], 2 * g.stride[1]))
    elif verb == "pool":
        g = replace(g, pooling=(2 * g.pooling[0], 2 * g.pooling[1]))
    if source is not None:
        g = replace(g, source=source.shape)
    return replace(edge, geometry=replace(g, kernel=(*g.kernel[:2], *g.pooled)) if whole else g)

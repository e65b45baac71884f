"""Layers that are not a chain: named layers, edges between them, and addition where several edges meet."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Any

import torch

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.layers.registry import children, describe, register
from neurodeploy.layers.values import Checker

INPUT, OUTPUT = "input", "output"
Edge = tuple[str, str] | tuple[str, str, float]


@register
class Graph(torch.nn.Module):
    """Computes named layers in the order of their edges; where several edges meet, their values are added.

    Parameters
    ----------
    layers : mapping of name to module, or torch.nn.Sequential
        Each stands for one place. "input" and "output" are the names of the ends.
    edges : sequence of (source, target) or (source, target, factor)
        What a source returns goes to the target, times the factor (1 where none is given; it is not trained). The same
        edge twice counts twice.

    An edge takes no time: a spike arrives in the step in which it was fired, as in torch.nn.Sequential. There are no
    cycles; recurrence inside a layer is its ``rec_connect``.
    Raises Refusal (ND1601) that lists unknown names, cycles, and layers that get or give nothing.
    """

    def __init__(self, layers: Mapping[str, torch.nn.Module] | torch.nn.Sequential, edges: Sequence[Edge]) -> None:
        super().__init__()
        # every place, also a repeated module: whoever describes the graph then sees and refuses the repetition
        places = children(layers) if isinstance(layers, torch.nn.Sequential) else list(layers.items())
        raise_if(_name_faults(places))
        self.layers = torch.nn.Sequential(OrderedDict(places))
        names = [name for name, _ in places]
        faults, self.edges = _checked_edges(names, edges)
        raise_if(faults)
        order = _sorted(names, self.edges)
        if isinstance(order, Fault):
            raise Refusal(order)
        #: names of the layers, and "output", in the order in which they are computed
        self.order = [*order, OUTPUT]
        self._into = {name: [(s, f) for s, t, f in self.edges if t == name] for name in self.order}
        last = {source: target for target in self.order for source, _ in self._into[target]}
        self._done_after = {target: [s for s, t in last.items() if t == target] for target in self.order}

    def describe(self) -> dict[str, Any]:
        """JSON-able description: class, the layers' descriptions and the edges with their factors."""
        options = {"layers": describe(self.layers), "edges": [list(edge) for edge in self.edges]}
        return {"class": type(self).__name__, "dtype": None, "options": options}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map the input to what arrives at "output"."""
        values = {INPUT: x}
        for name in self.order:
            parts = [values[s] if factor == 1 else values[s] * factor for s, factor in self._into[name]]
            total = parts[0]
            for part in parts[1:]:
                if part.shape != total.shape:
                    was = f"values of shape {tuple(total.shape)} and {tuple(part.shape)} meet"
                    raise Refusal(Fault("ND1602", f"Graph, {name!r}", was, "what is added must have one shape"))
                total = total + part
            values[name] = total if name == OUTPUT else self.layers.get_submodule(name)(total)
            for source in self._done_after[name]:
                del values[source]
        return values[OUTPUT]

    def extra_repr(self) -> str:
        """Return what print(model) shows."""
        return ", ".join(f"{s} -> {t}" + ("" if f == 1 else f" * {f:g}") for s, t, f in self.edges)


def arranged(layers: Mapping[str, torch.nn.Module], edges: Sequence[Edge]) -> "OrderedDict[str, torch.nn.Module]":
    """Layers in the order of their edges where these are one chain; otherwise one ``Graph`` named "graph"."""
    onward: dict[str, list[str]] = {}
    for source, target, *_ in edges:
        onward.setdefault(source, []).append(target)
    chain, at = list[str](), INPUT
    while len(onward.get(at, [])) == 1 and (at := onward[at][0]) != OUTPUT and len(chain) < len(layers):
        chain.append(at)
    plain = all(factor == 1 for _, _, *factors in edges for factor in factors)
    if at == OUTPUT and plain and len(chain) == len(layers) == len(edges) - 1:
        return OrderedDict((name, layers[name]) for name in chain)
    return OrderedDict[str, torch.nn.Module](graph=Graph(layers, edges))


def _name_faults(places: Iterable[tuple[str, torch.nn.Module]]) -> list[Fault]:
    found = []
    for name, _ in places:
        if name in (INPUT, OUTPUT) or not name or "." in name:
            was, must = f"a layer named {name!r}", "a name without dots, other than 'input' and 'output'"
            found.append(Fault("ND1601", "Graph", was, must))
    return found


def _checked_edges(names: list[str], edges: Sequence[Edge]) -> tuple[list[Fault], tuple[tuple[str, str, float], ...]]:
    check, found = Checker("Graph"), []
    for edge in edges:
        if not isinstance(edge, Sequence) or isinstance(edge, str) or len(edge) not in (2, 3):
            check.fault("an edge", edge, "it must be (source, target) or (source, target, factor)")
            continue
        source, target, factor = (*edge, 1.0) if len(edge) == 2 else edge
        check.number(f"the factor of {source} -> {target}", factor)
        for name, ends in ((source, [INPUT, *names]), (target, [*names, OUTPUT])):
            if name not in ends:
                check.fault("an edge", (source, target), f"{name!r} must be one of {', '.join(ends)}")
        found.append((source, target, factor))
    if not check.faults:
        for name in [*names, OUTPUT]:
            if name not in {target for _, target, _ in found}:
                check.faults.append(Fault("ND1601", "Graph", f"nothing leads to {name!r}", "every layer has an input"))
        for name in [INPUT, *names]:
            if name not in {source for source, _, _ in found}:
                was = f"nothing leads on from {name!r}"
                check.faults.append(Fault("ND1601", "Graph", was, "every layer is used", "remove it"))
    return check.faults, tuple((s, t, float(f)) for s, t, f in found) if not check.faults else ()


def _sorted(names: list[str], edges: Sequence[tuple[str, str, float]]) -> list[str] | Fault:
    into: dict[str, set[str]] = {name: set() for name in names}
    for source, target, _ in edges:
        if source != INPUT and target != OUTPUT:
            into[target].add(source)
    try:
        # names are inserted in the order given, so equal graphs are computed in one order
        return list(TopologicalSorter({name: sorted(into[name], key=names.index) for name in names}).static_order())
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        return Fault("ND1601", "Graph", f"a cycle: {circle}", "edges lead forward", "use rec_connect inside a layer")

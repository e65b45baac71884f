"""The graph of a NIR file as one flat network: nested graphs opened, cycles cut, nodes in an order to compute them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter

from neurodeploy.errors import Fault, raise_if
from neurodeploy.nir.graph import NirGraph, Node
from neurodeploy.nir.primitives import PRIMITIVES, RESETS, checked, where

Edge = tuple[str, str]


@dataclass(frozen=True)
class Flat:
    """Primitives and edges between them.

    nodes : name -> node, in an order in which they can be computed once the edges ``back`` are cut
    edges : (source, target) without those of ``back``
    loops : name of a neuron layer -> the nodes between its spikes and its input, in order
    back : (source, target) of the edges that close a cycle: the last ones, into the neurons
    input, output : names of the ends
    """

    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    loops: Mapping[str, tuple[str, ...]]
    back: tuple[Edge, ...]
    input: str
    output: str


def flatten(graph: NirGraph) -> Flat:
    """Open nested graphs, check every node, find the cycles.

    Raises Refusal with all faults: ND1603 for primitives that are not known, for ends, and for cycles that are none of
    one neuron layer; ND1601 for edges to nodes that do not exist, and values.
    """
    walk = _Walk()
    ends = walk.take(graph, "")
    raise_if(walk.faults)
    nodes, edges = walk.nodes, walk.edges
    faults = _unconnected(nodes, edges, ends)
    loops, back, more = _cycles(nodes, edges)
    raise_if(faults + more)
    kept = edges - set(back)
    into_node: dict[str, set[str]] = {name: set() for name in sorted(nodes)}
    for source, target in kept:
        into_node[target].add(source)
    order = list(TopologicalSorter({name: sorted(sources) for name, sources in into_node.items()}).static_order())
    ordered = {name: nodes[name] for name in order}
    placed = {name: tuple(n for n in order if n in inside) for name, inside in loops.items()}
    return Flat(ordered, tuple(sorted(kept)), placed, tuple(sorted(back)), *ends)


def through(edges: Iterable[Edge], ports: set[str]) -> set[Edge]:
    """Edges past nodes that hand on what they get."""
    onward: dict[str, list[str]] = {}
    for source, target in edges:
        onward.setdefault(source, []).append(target)
    found = set[Edge]()
    for source in onward.keys() - ports:
        ahead, passed = list(onward[source]), set[str]()
        while ahead:
            target = ahead.pop()
            if target not in ports:
                found.add((source, target))
            elif target not in passed:
                passed.add(target)
                ahead += onward.get(target, ())
    return found


class _Walk:
    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: set[Edge] = set()
        self.faults: list[Fault] = []

    def take(self, graph: NirGraph, place: str) -> tuple[str, str]:
        """Take the nodes of a graph; returns the names of its ends."""
        at = f"graph {place!r}" if place else "the graph"
        ends: dict[str, list[str]] = {"Input": [], "Output": []}
        doors: dict[str, tuple[str, str]] = {}  # name -> where edges to it lead, where edges from it begin
        for name, node in graph.nodes.items():
            path = f"{place}/{name}" if place else name
            if isinstance(node, NirGraph):
                doors[name] = self.take(node, path)
                continue
            own, faults = checked(node)
            self.faults += faults
            doors[name] = (path, path)
            if node.kind in ends:
                ends[node.kind].append(path)
                if place:  # an end of an inner graph hands on what it gets
                    own = replace(own, kind="Identity")
            self.nodes[path] = own
        for kind, found in ends.items():
            if len(found) != 1:
                was = f"{len(found)} nodes {kind}" + (f": {', '.join(map(repr, sorted(found)))}" if found else "")
                self.faults.append(Fault("ND1603", at, was, f"one {kind}"))
        for source, target in graph.edges:
            missing = sorted({name for name in (source, target) if name not in doors})
            if missing:
                was = f"edge {source!r} -> {target!r}: no node {' and no node '.join(map(repr, missing))}"
                self.faults.append(Fault("ND1601", at, was, f"one of {_some(sorted(doors))}"))
            else:
                self.edges.add((doors[source][1], doors[target][0]))
        return (ends["Input"] or [""])[0], (ends["Output"] or [""])[0]


def _unconnected(nodes: Mapping[str, Node], edges: set[Edge], ends: tuple[str, str]) -> list[Fault]:
    found = []
    targets, sources = {target for _, target in edges}, {source for source, _ in edges}
    for name, node in nodes.items():
        if name not in targets and name != ends[0]:
            found.append(Fault("ND1601", where(node), "no edge leads to it", "every node gets something"))
        if name not in sources and name != ends[1]:
            found.append(Fault("ND1601", where(node), "no edge leads on from it", "every node is used"))
        if (name == ends[0] and name in targets) or (name == ends[1] and name in sources):
            found.append(Fault("ND1601", where(node), "it is passed through", "an end of the graph"))
    return found


def _cycles(nodes: Mapping[str, Node], edges: set[Edge]) -> tuple[dict[str, set[str]], list[Edge], list[Fault]]:
    """Each cycle's neuron layer with the other nodes of the cycle, the edges that close it, and what is wrong."""
    onward: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in sorted(edges):
        onward[source].append(target)
    loops, back, faults = dict[str, set[str]](), list[Edge](), list[Fault]()
    for group in _strong(onward):
        if len(group) == 1 and next(iter(group)) not in onward[next(iter(group))]:
            continue
        neurons = sorted(name for name in group if nodes[name].kind in RESETS)
        held = sorted(name for name in group if name not in neurons and _remembers(nodes[name]))
        shown = f"a cycle of {_some(sorted(group))}"
        if len(neurons) != 1 or held:
            inside = f"{len(neurons)} layers that fire" + (f", and {_some(held)}" if held else "")
            must = "cycles of one layer IF, LIF or CubaLIF whose spikes come back through weights alone"
            todo = "join layers that drive each other into one" if len(neurons) > 1 else ""
            faults.append(Fault("ND1603", shown, inside, must, todo))
            continue
        closing = [(source, target) for source, target in edges if target == neurons[0] and source in group]
        rest = {name: [t for t in onward[name] if t in group and t != neurons[0]] for name in group}
        if any(len(part) > 1 or next(iter(part)) in rest[next(iter(part))] for part in _strong(rest)):
            must = "cycles through the neurons: what returns to itself without them has no meaning"
            faults.append(Fault("ND1603", shown, "a cycle without neurons", must))
        strangers = [(s, t) for s, t in edges if t in group and t != neurons[0] and s not in group]
        strangers += [(s, t) for s, t in edges if s in group and s != neurons[0] and t not in group]
        if strangers:
            was = ", ".join(f"edge {s!r} -> {t!r}" for s, t in sorted(strangers)[:4])
            must = "what lies between spikes and their return belongs to the recurrent connection alone"
            faults.append(Fault("ND1603", shown, was, must))
        loops[neurons[0]] = group - {neurons[0]}
        back += closing
    return loops, back, faults


def _remembers(node: Node) -> bool:
    kind = PRIMITIVES[node.kind]
    return node.kind in ("I", "Threshold", "Flatten", "Delay") or kind.decays or kind.spikes


def _strong(onward: Mapping[str, list[str]]) -> list[set[str]]:
    """Strongly connected parts, by Tarjan's method without recursion: a chain may be thousands long."""
    number, low = dict[str, int](), dict[str, int]()
    path, found = list[str](), list[set[str]]()
    on_path = set[str]()
    for start in sorted(onward):
        if start in number:
            continue
        work = [(start, iter(onward[start]))]
        number[start] = low[start] = len(number)
        path.append(start)
        on_path.add(start)
        while work:
            name, following = work[-1]
            for other in following:
                if other not in number:
                    number[other] = low[other] = len(number)
                    path.append(other)
                    on_path.add(other)
                    work.append((other, iter(onward[other])))
                    break
                if other in on_path:
                    low[name] = min(low[name], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == number[name]:
                    part = set[str]()
                    while name not in part:
                        part.add(path.pop())
                    on_path -= part
                    found.append(part)
    return found


def _some(names: list[str], most: int = 12) -> str:
    shown = ", ".join(map(repr, names[:most]))
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")

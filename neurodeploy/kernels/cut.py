"""What a forward pass saves for the gradient: the cheapest set of values from which the others follow."""

from collections import deque
from collections.abc import Collection, Mapping

from neurodeploy.kernels.graph import Graph

Edge = tuple[tuple[int, str], tuple[int, str]]
_INFINITE = 1 << 30
_SOURCE, _SINK = (-1, "source"), (-2, "sink")


def cheapest_cut(graph: Graph, sources: Collection[int], targets: Collection[int], cost: Mapping[int, int]) -> set[int]:
    """Nodes that separate the targets from the sources at the least total cost, as near to the sources as possible.

    cost : of each node between them; a node without one passes freely (it depends on no source)
    """
    room: dict[Edge, int] = {}
    nodes = graph.needed(targets) & set(cost)
    for node in nodes:
        room[(node, "in"), (node, "out")] = cost[node]
        for argument in set(graph.nodes[node].args) & nodes:
            room[(argument, "out"), (node, "in")] = _INFINITE
    for node in set(sources) & nodes:
        room[_SOURCE, (node, "in")] = _INFINITE
    for node in set(targets) & nodes:
        room[(node, "out"), _SINK] = _INFINITE
    reached = _saturate(room)
    return {node for node in nodes if (node, "in") in reached and (node, "out") not in reached}


def _saturate(room: dict[Edge, int]) -> set[tuple[int, str]]:
    """Push flow along shortest paths until none is left; return what the source still reaches."""
    beside: dict[tuple[int, str], set[tuple[int, str]]] = {}
    for a, b in room:
        beside.setdefault(a, set()).add(b)
        beside.setdefault(b, set()).add(a)
    while True:
        before: dict[tuple[int, str], tuple[int, str]] = {_SOURCE: _SOURCE}
        todo = deque([_SOURCE])
        while todo and _SINK not in before:
            here = todo.popleft()
            for there in sorted(beside.get(here, ())):
                if there not in before and room.get((here, there), 0) > 0:
                    before[there] = here
                    todo.append(there)
        if _SINK not in before:
            return set(before)
        path, at = [], _SINK
        while at != _SOURCE:
            path.append((before[at], at))
            at = before[at]
        flow = min(room[edge] for edge in path)
        for a, b in path:
            room[a, b] -= flow
            room[b, a] = room.get((b, a), 0) + flow

"""The gradient of a text, taken on the text: reverse differentiation of its values, as further values.

The rules are those of the torch table (``layers.table``), which is the definition: at a tie ``min`` and ``max`` give
everything to their first operand, a choice gives to the side that is taken, conditions, ``round``, ``floor``,
``detach`` and thresholds of firing functions receive nothing, ``abs`` gives nothing at 0.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping

from neurodeploy.kernels.graph import FIRING, Graph
from neurodeploy.step.tree import Expression

Share = tuple[int, int]  # an operand and what it receives
Rule = Callable[[Graph, int, int], Iterator[Share]]


def adjoint(
    graph: Graph,
    seeds: Mapping[int, list[int]],
    wrt: Collection[int],
    surrogate: Expression | None = None,
    options: Mapping[str, int] | None = None,
) -> dict[int, int]:
    """Extend a graph by its gradient.

    seeds : node -> nodes whose sum is the gradient that arrives at it from outside
    wrt : nodes whose gradient is wanted; what they are computed from is not looked at
    surrogate : derivative of the firing functions in ``v``, ``threshold`` and its options
    options : nodes of these options
    Returns the node of each wanted gradient; a node without a path to a seed is missing.
    """
    end = len(graph.nodes)
    receives = set(wrt)
    for place, node in enumerate(graph.nodes):
        if any(argument in receives for argument in _differentiable(node.op, node.args)):
            receives.add(place)
    total: dict[int, int] = {}
    for end_node, parts in seeds.items():
        for part in parts:
            _give(graph, total, end_node, part)
    for place in reversed(range(end)):
        if place not in total or place in wrt or place not in receives:
            continue
        node = graph.nodes[place]
        if node.op in FIRING:
            if surrogate is None:
                raise ValueError("a firing function needs a surrogate")
            names = {"v": node.args[0], "threshold": node.args[1], **(options or {})}
            slope = graph.expression(surrogate, names)
            _give(graph, total, node.args[0], graph.add("mul", total[place], slope))
        elif node.op in _RULES:
            for operand, share in _RULES[node.op](graph, place, total[place]):
                if operand in receives:
                    _give(graph, total, operand, share)
    return {node: total[node] for node in wrt if node in total}


def _differentiable(op: str, args: tuple[int, ...]) -> tuple[int, ...]:
    if op in FIRING:
        return args[:1]
    if op == "select":
        return args[1:]
    return args if op in _RULES else ()


def _give(graph: Graph, total: dict[int, int], node: int, share: int) -> None:
    total[node] = graph.add("add", total[node], share) if node in total else share


def _sub(graph: Graph, node: int, g: int) -> Iterator[Share]:
    a, b = graph.nodes[node].args
    yield a, g
    yield b, graph.add("neg", g)


def _mul(graph: Graph, node: int, g: int) -> Iterator[Share]:
    a, b = graph.nodes[node].args
    yield a, graph.add("mul", g, b)
    yield b, graph.add("mul", g, a)


def _div(graph: Graph, node: int, g: int) -> Iterator[Share]:
    a, b = graph.nodes[node].args
    yield a, graph.add("div", g, b)
    yield b, graph.add("neg", graph.add("mul", g, graph.add("div", node, b)))


def _bound(first: str, second: str) -> Rule:
    """Rule of min and max: the conditions under which the first and the second operand are taken."""

    def rule(graph: Graph, node: int, g: int) -> Iterator[Share]:
        a, b = graph.nodes[node].args
        zero = graph.const(0.0)
        yield a, graph.add("select", graph.add(first, a, b), g, zero)
        yield b, graph.add("select", graph.add(second, a, b), g, zero)

    return rule


def _abs(graph: Graph, node: int, g: int) -> Iterator[Share]:
    (x,) = graph.nodes[node].args
    zero = graph.const(0.0)
    below = graph.add("select", graph.add("lt", x, zero), graph.add("neg", g), zero)
    yield x, graph.add("select", graph.add("gt", x, zero), g, below)


def _select(graph: Graph, node: int, g: int) -> Iterator[Share]:
    condition, a, b = graph.nodes[node].args
    zero = graph.const(0.0)
    yield a, graph.add("select", condition, g, zero)
    yield b, graph.add("select", condition, zero, g)


def _scaled(factor: Callable[[Graph, int, int], int], op: str = "mul") -> Rule:
    """Rule of a function of one number: its derivative, from its own node and its argument's."""

    def rule(graph: Graph, node: int, g: int) -> Iterator[Share]:
        (x,) = graph.nodes[node].args
        yield x, graph.add(op, g, factor(graph, node, x))

    return rule


_RULES: Mapping[str, Rule] = {
    "add": lambda graph, node, g: iter([(operand, g) for operand in graph.nodes[node].args]),
    "sub": _sub,
    "mul": _mul,
    "neg": lambda graph, node, g: iter([(graph.nodes[node].args[0], graph.add("neg", g))]),
    "div": _div,
    "min": _bound("le", "gt"),
    "max": _bound("ge", "lt"),
    "abs": _abs,
    "select": _select,
    "exp": _scaled(lambda graph, node, x: node),  # noqa: ARG005 - the shape of a derivative
    "exp2": _scaled(lambda graph, node, x: graph.add("mul", node, graph.const(math.log(2)))),  # noqa: ARG005
    "expm1": _scaled(lambda graph, node, x: graph.add("add", node, graph.const(1))),  # noqa: ARG005
    "log2": _scaled(lambda graph, node, x: graph.add("mul", x, graph.const(math.log(2))), "div"),  # noqa: ARG005
}

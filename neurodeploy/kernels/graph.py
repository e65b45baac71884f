"""A text as a graph of values: every name's last value, guards as choices, equal values once."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from neurodeploy.step import Assign, Const, Name, Table, assigned
from neurodeploy.step.operators import CONDITIONS
from neurodeploy.step.tree import Expression, Statement

#: the firing functions: what they take is (membrane, threshold)
FIRING = frozenset({"above", "at_or_above", "count", "count_above"})


@dataclass(frozen=True, slots=True)
class Node:
    """A value: an operator of the step language over earlier nodes, a literal ("const") or what is given ("name")."""

    op: str
    args: tuple[int, ...] = ()
    value: int | float | str = ""


class Graph:
    """Values in an order in which each stands after what it needs. A node is named by its place in ``nodes``."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[tuple[str, tuple[int, ...], str], int] = {}

    def add(self, op: str, *args: int) -> int:
        """Node of an operator, a new one only where there is none. Multiplying by 1 is no operation."""
        if op == "clip":  # min(max(x, low), high), by definition
            return self.add("min", self.add("max", args[0], args[1]), args[2])
        if op == "mul":
            one = next((a for a in args if self.nodes[a].op == "const" and self.nodes[a].value == 1), None)
            if one is not None:
                return args[1] if args[0] == one else args[0]
        if op == "select" and args[1] == args[2]:
            return args[1]
        return self._node(Node(op, args))

    def const(self, value: float) -> int:
        """Node of a literal."""
        return self._node(Node("const", (), value))

    def name(self, name: str) -> int:
        """Node of what is given under a name."""
        return self._node(Node("name", (), name))

    def _node(self, node: Node) -> int:
        key = node.op, node.args, repr(node.value)  # by repr: -0.0 is not 0.0
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(node)
        return self._known[key]

    def expression(self, expression: Expression, names: Mapping[str, int]) -> int:
        """Node of an expression whose names stand for nodes."""
        if isinstance(expression, Const):
            return self.const(expression.value)
        if isinstance(expression, Name):
            return names[expression.id]
        return self.add(expression.op, *(self.expression(argument, names) for argument in expression.args))

    def statements(self, statements: tuple[Statement, ...], names: dict[str, int]) -> None:
        """Follow a text: ``names`` holds the node of every name before it, and afterwards that after it."""
        for statement in statements:
            if isinstance(statement, Assign):
                names[statement.name] = self.expression(statement.value, names)
                continue
            condition, inside = self.expression(statement.condition, names), dict(names)
            self.statements(statement.body, inside)
            for name in sorted({a.name for a in assigned(statement.body)} & set(names)):
                names[name] = self.add("select", condition, inside[name], names[name])

    def is_condition(self, node: int) -> bool:
        """Whether a node is true or false and not a number."""
        return self.nodes[node].op in CONDITIONS

    def needed(self, targets: Iterable[int], stop: Collection[int] = ()) -> set[int]:
        """Nodes that the targets are computed from, themselves included; what ``stop`` names needs nothing."""
        found: set[int] = set()
        todo = list(targets)
        while todo:
            node = todo.pop()
            if node not in found:
                found.add(node)
                if node not in stop:
                    todo.extend(self.nodes[node].args)
        return found

    def depending(self, sources: Collection[int]) -> set[int]:
        """Nodes that change with one of the sources, these included."""
        found = set(sources)
        for place, node in enumerate(self.nodes):
            if not found.isdisjoint(node.args):
                found.add(place)
        return found

    def fold(self, targets: Iterable[int], environment: Mapping[str, Any], table: Table) -> dict[int, Any]:
        """Values of nodes over a table, as ``step.evaluate`` gives them for an expression."""
        targets = list(targets)
        values: dict[int, Any] = {}
        for place in sorted(self.needed(targets)):
            node = self.nodes[place]
            if node.op == "const":
                values[place] = table["literal"](node.value) if "literal" in table else node.value
            elif node.op == "name":
                values[place] = environment[str(node.value)]
            else:
                values[place] = table[node.op](*(values[a] for a in node.args))
        return {target: values[target] for target in targets}


def graph_of(text: tuple[Statement, ...], given: Iterable[str]) -> tuple[Graph, dict[str, int]]:
    """Graph of a text, and the node of every name at its end.

    given : names that have a value before the text
    """
    graph = Graph()
    names = {name: graph.name(name) for name in given}
    graph.statements(text, names)
    return graph, names

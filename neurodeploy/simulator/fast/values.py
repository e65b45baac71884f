"""Texts as graphs of values: each with its range, what can be computed beforehand already computed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurodeploy.errors import Refusal
from neurodeploy.step import NUMPY, PYTHON, Assign, Const, Interval, Name, Text, assigned
from neurodeploy.step.intervals import RANGES
from neurodeploy.step.operators import CONDITIONS
from neurodeploy.step.paths import path_intervals
from neurodeploy.step.tree import Expression, Statement

_TRUTH = Interval(0, 1)


@dataclass(frozen=True)
class Value:
    """A node: an operator over other nodes, a number (op "const"), or a leaf (op "leaf", with its name).

    range : every value that it can have
    """

    op: str
    args: tuple[int, ...]
    range: Interval
    name: str = ""

    @property
    def constant(self) -> int | None:
        """Its only value, if it has one."""
        return self.range.low if self.range.low == self.range.high else None

    @property
    def is_condition(self) -> bool:
        """Whether it is true or false."""
        return self.op in CONDITIONS or self.op == "truth"


@dataclass
class Values:
    """A graph without doubles; numbers of nodes grow from arguments to results."""

    nodes: list[Value] = field(default_factory=list)
    _known: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def const(self, value: int) -> int:
        """Return the node of a number."""
        return self._node("const", (), Interval(value, value), str(value))

    def leaf(self, name: str, interval: Interval) -> int:
        """Return the node of something that is read; a number if there is only one that it can be."""
        return self.const(interval.low) if interval.low == interval.high else self._node("leaf", (), interval, name)

    def call(self, op: str, args: Sequence[int]) -> int:
        """Return the node of an operator: simplified where ranges allow it."""
        simple = self._simplified(op, args)
        if simple is not None:
            return simple
        if op in {"sat", "wrap"}:
            args = (args[0], self.const(self.nodes[args[1]].range.low))
        interval = _TRUTH if op in CONDITIONS else RANGES[op](*(self.nodes[a].range for a in args))
        if op not in CONDITIONS and interval.low == interval.high:
            return self.const(interval.low)
        return self._node(op, tuple(args), interval)

    def of(self, expression: Expression, environment: Mapping[str, int]) -> int:
        """Return the node of an expression of a text."""
        if isinstance(expression, Const):
            return self.const(int(expression.value))
        if isinstance(expression, Name):
            return environment[expression.id]
        return self.call(expression.op, [self.of(a, environment) for a in expression.args])

    def run(self, statements: Iterable[Statement], environment: dict[str, int]) -> None:
        """Follow statements; environment maps every name to its node. A guard becomes a choice."""
        for statement in statements:
            if isinstance(statement, Assign):
                environment[statement.name] = self.of(statement.value, environment)
                continue
            condition = self.of(statement.condition, environment)
            inside = dict(environment)
            self.run(statement.body, inside)
            for name, before in environment.items():
                if inside[name] != before:
                    environment[name] = self.call("select", (condition, inside[name], before))

    def follow(self, text: Text, environment: dict[str, int], widths: Mapping[str, Interval]) -> None:
        """Follow a text; where a result can leave its width by its interval, all paths to it are asked."""
        ranges = {name: self.nodes[node].range for name, node in environment.items()}
        for number, statement in enumerate(text.statements, start=1):
            self.run((statement,), environment)
            written = {a.name for a in assigned((statement,))} & set(widths)
            loose = [n for n in written if not self.nodes[environment[n]].range.within(widths[n])]
            if loose:
                self._narrow(Text(text.statements[:number], text.source, text.where), ranges, environment, loose)

    def _narrow(
        self, text: Text, ranges: Mapping[str, Interval], environment: Mapping[str, int], names: Iterable[str]
    ) -> None:
        try:
            proved = path_intervals(text, ranges)
        except Refusal:  # one path alone may leave 64 bits where no neuron goes
            return
        for name in names:
            node = environment[name]
            value, known = self.nodes[node], proved.get(name)
            if known is not None:
                both = Interval(max(value.range.low, known.low), min(value.range.high, known.high))
                self.nodes[node] = Value(value.op, value.args, both, value.name)

    def evaluate(self, node: int, given: Mapping[int, Any]) -> Any:
        """Value of a node from those of the leaves, by the NumPy table."""
        known = dict(given)
        for at in sorted(self.needed([node], known)):
            value = self.nodes[at]
            if value.op == "const":
                known[at] = np.int64(value.range.low)
            elif value.op == "truth":
                known[at] = np.bool_(value.range.low)
            else:
                known[at] = NUMPY[value.op](*(known[a] for a in value.args))
        return known[node]

    def needed(self, ends: Iterable[int], stop: Iterable[int] = ()) -> set[int]:
        """Nodes that ends are made of, without those to stop at."""
        stopped, found, open_ = set(stop), set[int](), list(ends)
        while open_:
            node = open_.pop()
            if node not in found and node not in stopped:
                found.add(node)
                open_.extend(self.nodes[node].args)
        return found

    def leaves(self, node: int) -> set[int]:
        """Leaves that a node is made of."""
        return {n for n in self.needed([node]) if self.nodes[n].op == "leaf"}

    def _node(self, op: str, args: tuple[int, ...], interval: Interval, name: str = "") -> int:
        key = (op, args, name)
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(Value(op, args, interval, name))
        return self._known[key]

    def _truth(self, value: bool) -> int:  # noqa: FBT001 - the value itself
        return self._node("truth", (), Interval(int(value), int(value)), str(value))

    def _simplified(self, op: str, args: Sequence[int]) -> int | None:
        values = [self.nodes[a] for a in args]
        constants = [v.constant if v.op in {"const", "truth"} else None for v in values]
        if None not in constants:
            result = PYTHON[op](*constants)
            return self._truth(bool(result)) if op in CONDITIONS else self.const(int(result))
        if op in _COMPARED:
            return self._compared(op, *(v.range for v in values))
        if op == "select":
            if constants[0] is not None:
                return args[1] if constants[0] else args[2]
            return args[1] if args[1] == args[2] else None
        if op in {"and", "or"}:
            for mine, other in ((0, 1), (1, 0)):
                if constants[mine] is not None:
                    neutral = bool(constants[mine]) == (op == "and")
                    return args[other] if neutral else args[mine]
            return None
        return self._simple_number(op, args, values, constants)

    def _compared(self, op: str, a: Interval, b: Interval) -> int | None:
        corners = {bool(PYTHON[op](x, y)) for x in a for y in b}
        if len(corners) == 2 or (op in {"eq", "ne"} and not (a.high < b.low or b.high < a.low)):
            return None
        return self._truth(corners.pop())

    def _simple_number(
        self, op: str, args: Sequence[int], values: list[Value], constants: list[int | None]
    ) -> int | None:
        if op in {"sub", "shl", "shr", "shift_to_zero", "round_half_even", "scale2"} and constants[1] == 0:
            return args[0]
        if op in {"shl", "shr", "shift_to_zero", "round_half_even", "scale2"} and constants[0] == 0:
            return args[0]
        if op == "sub" and args[0] == args[1]:
            return self.const(0)
        if op in {"add", "mul"}:
            neutral = 0 if op == "add" else 1
            for mine, other in ((0, 1), (1, 0)):
                if constants[mine] == neutral:
                    return args[other]
                if op == "mul" and constants[mine] == 0:
                    return args[mine]
        if op in {"sat", "wrap"}:
            half = 1 << values[1].range.low - 1
            return args[0] if values[0].range.within(Interval(-half, half - 1)) else None
        if op in {"min", "max"} and len(args) == 2:
            a, b = (v.range for v in values)
            if a.high <= b.low:
                return args[0] if op == "min" else args[1]
            if b.high <= a.low:
                return args[1] if op == "min" else args[0]
        if op == "clip" and values[1].range.high <= values[0].range.low and values[0].range.high <= values[2].range.low:
            return args[0]
        return None


_COMPARED = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})

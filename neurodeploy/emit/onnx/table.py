"""The table of ONNX: what every operator of the step language is in standard operators on int64.

ONNX divides toward zero and shifts only unsigned numbers, so that ``//`` and ``>>`` are a quotient that is lowered
where it exceeds the floor, and ``wrap`` is a remainder. No value inside an operator leaves int64 where the intervals of
the text do not. Min, Max and Clip are left out: onnxruntime 1.31.1 gives wrong numbers for vectors of int64 beyond 32
bits (a comparison and Where are right), and ReduceSum goes through float64. What is known is computed by NUMPY instead.
"""

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from neurodeploy.emit.onnx.graph import INT64, Graph, Value, known
from neurodeploy.step import NUMPY, Assign, Text, assigned, evaluate
from neurodeploy.step.intervals import MAX_SHIFT
from neurodeploy.step.tree import Statement

_POWERS = np.array([1 << n for n in range(MAX_SHIFT + 1)], np.int64)
_ZERO, _ONE = known(0), known(1)


def run_text(graph: Graph, text: Text, environment: dict[str, Value], label: str) -> None:
    """Add a text to a graph; the environment, name -> value, is changed in place."""
    table = onnx_table(graph)
    _block(graph, text, text.statements, environment, label, table)
    graph.root.label, graph.root.note = label, ""


def _block(
    graph: Graph,
    text: Text,
    statements: tuple[Statement, ...],
    environment: dict[str, Value],
    label: str,
    table: Mapping[str, Callable[..., Value]],
) -> None:
    for statement in statements:
        line = statement.line
        graph.root.label, graph.root.note = f"{label}/line {line}", text.line(line) if text.source else ""
        if isinstance(statement, Assign):
            made = evaluate(statement.value, environment, table)
            if made.known is None and made.hint.startswith(f"{graph.root.label}/"):
                made.hint = f"{graph.root.label}/{statement.name}"
            environment[statement.name] = made
            continue
        condition = evaluate(statement.condition, environment, table)
        inside = dict(environment)
        _block(graph, text, statement.body, inside, label, table)
        graph.root.label, graph.root.note = f"{label}/line {line}", text.line(line) if text.source else ""
        for name in sorted({a.name for a in assigned(statement.body)} & set(environment)):
            made = table["select"](condition, inside[name], environment[name])
            if made.known is None:
                made.hint = f"{graph.root.label}/{name}"
            environment[name] = made


def onnx_table(graph: Graph) -> dict[str, Callable[..., Value]]:
    """The table whose operators add nodes to a graph."""
    own = _Operators(graph)

    def entry(name: str, operator: Callable[..., Value]) -> Callable[..., Value]:
        def apply(*arguments: Value) -> Value:
            constants = [a.known for a in arguments]
            if all(c is not None for c in constants):
                return known(NUMPY[name](*constants))
            return operator(*arguments)

        return apply

    operators: dict[str, Callable[..., Value]] = {
        "add": own.of("Add"),
        "sub": own.of("Sub"),
        "mul": own.of("Mul"),
        "neg": own.of("Neg"),
        "min": own.least,
        "max": own.most,
        "abs": own.of("Abs"),
        "lt": own.of("Less", condition=True),
        "le": own.of("LessOrEqual", condition=True),
        "gt": own.of("Greater", condition=True),
        "ge": own.of("GreaterOrEqual", condition=True),
        "eq": own.of("Equal", condition=True),
        "ne": own.differ,
        "and": own.of("And", condition=True),
        "or": own.of("Or", condition=True),
        "not": own.of("Not", condition=True),
        "select": own.of("Where"),
        "clip": own.clip,
        "sat": own.sat,
        "wrap": own.wrap,
        "floordiv": own.floordiv,
        "shl": lambda x, n: own.add("Mul", x, own.power(n)),
        "shr": lambda x, n: own.floordiv(x, own.power(n)),
        "shift_to_zero": lambda x, n: own.add("Div", x, own.power(n)),
        "round_half_even": own.round_half_even,
        "scale2": own.scale2,
    }
    return {name: entry(name, operator) for name, operator in operators.items()} | {
        "literal": lambda value: known(np.int64(value))
    }


class _Operators:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def add(self, op: str, *inputs: Value, condition: bool = False) -> Value:
        return self.graph.node(op, *inputs, condition=condition)

    def of(self, op: str, *, condition: bool = False) -> Callable[..., Value]:
        return lambda *inputs: self.add(op, *inputs, condition=condition)

    def differ(self, a: Value, b: Value) -> Value:
        return self.add("Not", self.add("Equal", a, b, condition=True), condition=True)

    def power(self, n: Value) -> Value:
        """2**n of 0..62, looked up: what ONNX computes with Pow is a floating-point number."""
        if n.known is not None:
            return known(np.left_shift(np.int64(1), n.known))
        return self.graph.node("Gather", known(_POWERS, "powers of 2"), n, axes=n.axes, axis=0)

    def clip(self, x: Value, low: Value, high: Value) -> Value:
        return self.least(self.most(x, low), high)

    def least(self, *inputs: Value) -> Value:
        """Smallest of several."""
        return reduce(lambda a, b: self.add("Where", self.add("Less", a, b, condition=True), a, b), inputs)

    def most(self, *inputs: Value) -> Value:
        """Largest of several."""
        return reduce(lambda a, b: self.add("Where", self.add("Less", a, b, condition=True), b, a), inputs)

    def sat(self, x: Value, bits: Value) -> Value:
        half = 1 << _width(bits) - 1
        return self.clip(x, known(-half), known(half - 1))

    def floordiv(self, x: Value, y: Value) -> Value:
        if y.known is not None and np.all(y.known == 1):
            return x
        quotient = self.add("Div", x, y)  # toward zero: too large by one where it times y exceeds x
        exceeds = self.add("Less", x, self.add("Mul", quotient, y), condition=True)
        return self.add("Sub", quotient, self.number(exceeds))

    def number(self, condition: Value) -> Value:
        return self.graph.node("Cast", condition, to=INT64)

    def wrap(self, x: Value, bits: Value) -> Value:
        half = 1 << _width(bits) - 1
        if 2 * half <= _POWERS[-1]:
            rest = self.add("Mod", x, known(2 * half))
            return self.add("Sub", rest, self.turn(self.add("GreaterOrEqual", rest, known(half), condition=True), half))
        odd = self.add("Equal", self.add("Mod", self.floordiv(x, known(half)), known(2)), _ONE, condition=True)
        return self.add("Sub", self.add("Mod", x, known(half)), self.turn(odd, half))

    def turn(self, beyond: Value, half: int) -> Value:
        """What a value beyond the middle of its width is too large by."""
        whole = 2 * half if 2 * half <= _POWERS[-1] else half
        return self.add("Where", beyond, known(whole), _ZERO)

    def round_half_even(self, x: Value, n: Value) -> Value:
        whole = self.power(n)
        floor, rest = self.floordiv(x, whole), self.add("Mod", x, whole)
        odd = self.add("Mod", floor, known(2))
        twice = reduce(lambda a, b: self.add("Add", a, b), (rest, rest, odd))  # at a half, an odd floor tips the scale
        return self.add("Add", floor, self.number(self.add("Greater", twice, whole, condition=True)))

    def scale2(self, x: Value, e: Value) -> Value:
        up, down = self.of_exponent(e), self.of_exponent(self.negative(e))
        return self.floordiv(self.add("Mul", x, up), down)

    def of_exponent(self, e: Value) -> Value:
        bounded = known(np.maximum(e.known, 0)) if e.known is not None else self.most(e, _ZERO)
        return self.power(bounded)

    def negative(self, e: Value) -> Value:
        return known(-e.known) if e.known is not None else self.add("Neg", e)


def _width(bits: Value) -> int:
    found: Any = bits.known  # the language has literals here
    return int(found)

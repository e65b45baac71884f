"""Source of the kernels: the plan of a text, written as two Python functions that numba compiles.

Each runs all steps of a block of columns (a column is one neuron of one sample). Arrays of a whole sequence are flat,
one row of ``width`` columns after the other; arrays of one step have ``width`` entries. Rows are cut out before the
inner loop, which runs over a plain ``range``: otherwise numba's test for negative indices blocks vector instructions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from neurodeploy.kernels.graph import Graph
from neurodeploy.kernels.plan import SPIKE_SEED, STATE_SEED, Plan

BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_FUNCTIONS = {"exp": "_exp", "exp2": "_exp2", "expm1": "np.expm1", "log2": "np.log2", "round": "np.rint"}
_FUNCTIONS |= {"floor": "np.floor", "abs": "abs"}

#: sorts of arguments: one number, an array of numbers, of bytes, of places
NUMBER, ARRAY, BYTES, PLACES = "number", "array", "bytes", "places"
Argument = tuple[str, str]


@dataclass(frozen=True)
class Source:
    """Code, its float type, and what each function takes (names and sorts) after four whole numbers."""

    code: str
    dtype: str
    functions: Mapping[str, tuple[Argument, ...]]

    def signature(self, name: str) -> str:
        """Types of a function's arguments, as numba writes them."""
        kinds = {NUMBER: self.dtype, ARRAY: f"{self.dtype}[::1]", BYTES: "uint8[::1]", PLACES: "int64[::1]"}
        return f"void({', '.join(['int64'] * 4 + [kinds[sort] for _, sort in self.functions[name]])})"


def numba_source(plan: Plan, *, dtype: str, record: bool, arrays: Iterable[int], gradients: bool) -> Source:
    """Code of a plan.

    dtype : "float32" or "float64"
    record : the forward kernel also stores every state of every step, and their gradients arrive
    arrays : hoisted nodes (of both kinds) that differ between neurons
    """
    writer = _Writer(plan, dtype, record=record, arrays=frozenset(arrays))
    forward, given = writer.forward(save=gradients)
    parts, functions = [_HEAD.format(dtype=dtype), _EXPONENTIAL[dtype], forward], {"forward": given}
    if gradients:
        backward, functions["backward"] = writer.backward()
        parts.append(backward)
    return Source("\n\n".join(parts), dtype, functions)


class _Writer:
    def __init__(self, plan: Plan, dtype: str, *, record: bool, arrays: frozenset[int]) -> None:
        self.plan, self.graph, self.dtype, self.record, self.arrays = plan, plan.graph, dtype, record, arrays

    def hoisted(self, nodes: Iterable[int]) -> list[Argument]:
        return [(f"c{node}", ARRAY if node in self.arrays else NUMBER) for node in nodes]

    def saved(self) -> list[Argument]:
        saved = [node for node in self.plan.saved if node != self.plan.x]
        return [(f"save{node}", BYTES if self.graph.is_condition(node) else ARRAY) for node in saved]

    def forward(self, *, save: bool) -> tuple[str, tuple[Argument, ...]]:
        plan = self.plan
        given = [*plan.hoisted, *plan.hoisted_back]
        constants = self.hoisted(given)
        stored = self.saved() if save else []
        recorded = [(f"rec_{name}", ARRAY) for name in plan.states] if self.record else []
        states = [(f"s_{name}", ARRAY) for name in plan.states]
        rows = [("x", ARRAY), ("spike", ARRAY), *recorded, *stored]
        known = {plan.x: "x_row[j]", **{node: f"s_{name}[j]" for name, node in plan.states.items()}}
        body = _Body(self.graph, known, dict(self._constants(given)))
        out = [("spike_row", plan.spike)]
        out += [(f"rec_{name}_row", node) for name, node in plan.after.items()] if self.record else []
        out += [(f"save{node}_row", node) for node in plan.saved if node != plan.x] if save else []
        out += [(f"s_{name}", node) for name, node in plan.after.items()]
        lines = body.values([node for _, node in out])
        lines += [f"{name}[j] = {body.stored(node)}" for name, node in out]
        return self._function("forward", constants, states, rows, lines, backwards=False)

    def backward(self) -> tuple[str, tuple[Argument, ...]]:
        plan = self.plan
        both = [*plan.hoisted, *plan.hoisted_back]
        states = [(f"h_{name}", ARRAY) for name in plan.states]
        sums = [(f"sum{place}", ARRAY) for place in plan.to_hoisted]
        rows: list[Argument] = [("x", ARRAY)] if plan.x in plan.saved else []
        rows += [*self.saved(), ("g_spike", ARRAY)]
        rows += [(f"grec_{name}", ARRAY) for name in plan.states] if self.record else []
        rows += [("g_x", ARRAY)] if plan.to_x is not None else []
        known = {node: f"save{node}_row[j]" for node in plan.saved} | {plan.seeds[SPIKE_SEED]: "g_spike_row[j]"}
        known |= {plan.x: "x_row[j]"} if plan.x in plan.saved else {}
        for name in plan.states:
            recorded = f" + grec_{name}_row[j]" if self.record else ""
            known[plan.seeds[STATE_SEED + name]] = f"h_{name}[j]{recorded}"
        body = _Body(self.graph, known, dict(self._constants(both)))
        out = [(f"h_{name}[j] =", plan.to_states.get(name)) for name in plan.states]
        out += [(f"sum{place}[j] +=", node) for place, node in plan.to_hoisted.items()]
        out += [("g_x_row[j] =", plan.to_x)] if plan.to_x is not None else []
        lines = body.values([node for _, node in out if node is not None])
        lines += [f"{target} {'F(0.0)' if node is None else body.stored(node)}" for target, node in out]
        return self._function("backward", self.hoisted(both), [*states, *sums], rows, lines, backwards=True)

    def _constants(self, nodes: Iterable[int]) -> Iterable[tuple[int, str]]:
        return ((node, f"c{node}[j]" if node in self.arrays else f"c{node}") for node in nodes)

    def _function(
        self,
        name: str,
        constants: list[Argument],
        columns: list[Argument],
        rows: list[Argument],
        lines: list[str],
        *,
        backwards: bool,
    ) -> tuple[str, tuple[Argument, ...]]:
        used = "\n".join(lines)
        constants = [argument for argument in constants if f"{argument[0]}" in _words(used)]
        arguments = [*constants, *columns, *rows]
        given = ", ".join(argument for argument, _ in arguments)
        code = [f"def {name}(steps, width, low, high, {given}):"]
        whole = [argument for argument, sort in [*constants, *columns] if sort != NUMBER]
        code += [f"    {argument} = {argument}[low:high]" for argument in whole]
        code += [f"    for {'back' if backwards else 't'} in range(steps):"]
        code += ["        t = steps - 1 - back"] if backwards else []
        code += ["        begin = t * width + low", "        end = t * width + high"]
        code += [f"        {argument}_row = {argument}[begin:end]" for argument, _ in rows]
        code += [f"        for j in range({rows[-1][0]}_row.shape[0]):"]
        code += [f"            {line}" for line in lines]
        return "\n".join(code) + "\n", tuple(arguments)


def _words(code: str) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in code).split())


class _Body:
    """The inner loop: one local variable for each value."""

    def __init__(self, graph: Graph, known: dict[int, str], constants: dict[int, str]) -> None:
        self.graph, self.known, self.constants = graph, known, constants

    def ref(self, node: int) -> str:
        if node in self.constants:
            return self.constants[node]
        if self.graph.nodes[node].op == "const":
            return f"F({float(self.graph.nodes[node].value)!r})"
        return f"n{node}"

    def stored(self, node: int) -> str:
        return f"np.uint8(1) if {self.ref(node)} else np.uint8(0)" if self.graph.is_condition(node) else self.ref(node)

    def values(self, ends: list[int]) -> list[str]:
        """Lines that compute the ends from what is known."""
        stop = {*self.known, *self.constants}
        needed = [n for n in sorted(self.graph.needed(ends, stop)) if n not in self.constants]
        return [f"n{n} = {self._value(n)}" for n in needed if self.graph.nodes[n].op != "const"]

    def _value(self, node: int) -> str:
        if node in self.known:
            return self.known[node] + (" != 0" if self.graph.is_condition(node) else "")
        op, args = self.graph.nodes[node].op, [self.ref(a) for a in self.graph.nodes[node].args]
        if op in BINARY:
            return f"{args[0]} {BINARY[op]} {args[1]}"
        if op in COMPARE:
            return f"{args[0]} {COMPARE[op]} {args[1]}"
        if op in ("and", "or"):
            return f"{args[0]} {'&' if op == 'and' else '|'} {args[1]}"
        if op in _FUNCTIONS:
            return f"{_FUNCTIONS[op]}({args[0]})"
        return _PATTERNS[op].format(*args)


#: a value that is not a number stays one, as in torch
_PATTERNS = {
    "neg": "-{0}",
    "not": "not {0}",
    "detach": "{0}",
    "select": "{1} if {0} else {2}",
    "min": "{1} if {1} < {0} else {0}",
    "max": "{1} if {1} > {0} else {0}",
    "above": "F(1.0) if {0} > {1} else F(0.0)",
    "at_or_above": "F(1.0) if {0} >= {1} else F(0.0)",
    "count": "_not_below_zero(np.floor({0} / {1}))",
    "count_above": "_not_below_zero(np.ceil({0} / {1}) - F(1.0))",
}

_HEAD = '''"""Generated from the step text of a neuron; changes are not read."""

import numba
import numpy as np

F = np.{dtype}


@numba.njit(error_model="numpy", inline="always")
def _not_below_zero(x):
    return F(0.0) if x < F(0.0) else x
'''

# exp(x) = 2**n * exp(r), abs(r) <= ln(2) / 2: only operations that vector instructions have, within 1 ulp of the true
# value; the power of two in two halves, so that results near the ends of the range are right
_EXPONENTIAL_FORM = """
@numba.njit(error_model="numpy", inline="always")
def _power_of_two(n):
    return np.{integer}((n + np.{integer}({bias})) << np.{integer}({mantissa})).view(np.{dtype})


@numba.njit(error_model="numpy", inline="always")
def _scaled_series(r, whole):
    n = np.{integer}(whole)
    half = n >> np.{integer}(1)
    {series}
    return p * _power_of_two(half) * _power_of_two(n - half)


@numba.njit(error_model="numpy", inline="always")
def _exp(x):
    x = F({most}) if x > F({most}) else x
    x = F(-{most}) if x < F(-{most}) else x
    whole = np.rint(x * F(1.4426950408889634))
    return _scaled_series(x - whole * F({high}) - whole * F({low}), whole)


@numba.njit(error_model="numpy", inline="always")
def _exp2(x):
    x = F({most_2}) if x > F({most_2}) else x
    x = F(-{most_2}) if x < F(-{most_2}) else x
    whole = np.rint(x)
    return _scaled_series((x - whole) * F(0.6931471805599453), whole)
"""


def _series(terms: int) -> str:
    factorials = [1]
    for k in range(1, terms + 1):
        factorials.append(factorials[-1] * k)
    lines = [f"p = F({1 / factorials[terms]!r})"]
    lines += [f"p = p * r + F({1 / factorials[k]!r})" for k in range(terms - 1, -1, -1)]
    return "\n    ".join(lines)


_EXPONENTIAL = {
    "float32": _EXPONENTIAL_FORM.format(
        dtype="float32", integer="int32", bias=127, mantissa=23, most="120.0", most_2="170.0",
        high="0.693359375", low="-2.12194440e-4", series=_series(7),
    ),
    "float64": _EXPONENTIAL_FORM.format(
        dtype="float64", integer="int64", bias=1023, mantissa=52, most="800.0", most_2="1150.0",
        high="0.6931471803691238", low="1.9082149292705877e-10", series=_series(13),
    ),
}  # fmt: skip

"""Source of the kernels: the plan of a text, written as two Python functions that numba compiles.

Each runs all steps of a block of columns (a column is one neuron of one sample). Arrays of a whole sequence are flat,
one row of ``width`` columns after the other; arrays of one step have ``width`` entries. Rows are cut out before the
inner loop, which runs over a plain ``range``: otherwise numba's test for negative indices blocks vector instructions.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from neurodeploy.kernels.graph import Graph
from neurodeploy.kernels.passes import ARRAY, BYTES, NUMBER, PLACES, Argument, Layout, Pass, to_compute
from neurodeploy.kernels.plan import Plan
from neurodeploy.kernels.series import constants_of

_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|"}
_SIGNS |= {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_FUNCTIONS = {"exp": "_exp", "exp2": "_exp2", "expm1": "np.expm1", "log2": "np.log2", "round": "np.rint"}
_FUNCTIONS |= {"floor": "np.floor", "abs": "abs"}


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
    layout = Layout(plan, record, frozenset(arrays))
    forward, given = _function(plan.graph, layout.forward(save=gradients))
    exponential = _EXPONENTIAL.format(**constants_of(dtype, "F({})"))
    parts, functions = [_HEAD.format(dtype=dtype), exponential, forward], {"forward": given}
    if gradients:
        backward, functions["backward"] = _function(plan.graph, layout.backward())
        parts.append(backward)
    return Source("\n\n".join(parts), dtype, functions)


def _function(graph: Graph, what: Pass) -> tuple[str, tuple[Argument, ...]]:
    """Code of one kernel, and its arguments: those constants that it reads, and everything else."""
    lines = _Body(graph, what).lines()
    used = _words("\n".join(lines))
    constants = [argument for argument in what.constants if argument[0] in used]
    arguments = (*constants, *what.columns, *what.rows)
    given = ", ".join(argument for argument, _ in arguments)
    code = [f"def {what.name}(steps, width, low, high, {given}):"]
    whole = [argument for argument, sort in (*constants, *what.columns) if sort != NUMBER]
    code += [f"    {argument} = {argument}[low:high]" for argument in whole]
    code += [f"    for {'back' if what.backwards else 't'} in range(steps):"]
    code += ["        t = steps - 1 - back"] if what.backwards else []
    code += ["        begin = t * width + low", "        end = t * width + high"]
    code += [f"        {argument}_row = {argument}[begin:end]" for argument, _ in what.rows]
    code += [f"        for j in range({what.rows[-1][0]}_row.shape[0]):"]
    code += [f"            {line}" for line in lines]
    return "\n".join(code) + "\n", arguments


def infix(op: str, args: Sequence[str], functions: Mapping[str, str]) -> str:
    """An operator that Python has a sign for, or a function for; empty for others."""
    if op in _SIGNS:
        return f"{args[0]} {_SIGNS[op]} {args[1]}"
    return f"{functions[op]}({args[0]})" if op in functions else ""


def _words(code: str) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in code).split())


class _Body:
    """The inner loop: one local variable for each value."""

    def __init__(self, graph: Graph, what: Pass) -> None:
        self.graph, self.what = graph, what
        self.rows = {argument for argument, _ in what.rows}
        self.arrays = {argument for argument, sort in what.constants if sort != NUMBER}

    def lines(self) -> list[str]:
        lines = [f"n{node} = {self._value(node)}" for node in to_compute(self.graph, self.what)]
        for output in self.what.outputs:
            value = "F(0.0)" if output.node is None else self._stored(output.node)
            lines.append(f"{self._place(output.argument)} {'+=' if output.adds else '='} {value}")
        return lines

    def _place(self, argument: str) -> str:
        return f"{argument}_row[j]" if argument in self.rows else f"{argument}[j]"

    def _ref(self, node: int) -> str:
        constant = self.what.hoisted.get(node)
        if constant is not None:
            return f"{constant}[j]" if constant in self.arrays else constant
        if self.graph.nodes[node].op == "const":
            return f"F({float(self.graph.nodes[node].value)!r})"
        return f"n{node}"

    def _stored(self, node: int) -> str:
        ref = self._ref(node)
        return f"np.uint8(1) if {ref} else np.uint8(0)" if self.graph.is_condition(node) else ref

    def _value(self, node: int) -> str:
        if node in self.what.known:
            total = " + ".join(map(self._place, self.what.known[node]))
            return total + (" != 0" if self.graph.is_condition(node) else "")
        op, args = self.graph.nodes[node].op, [self._ref(a) for a in self.graph.nodes[node].args]
        return infix(op, args, _FUNCTIONS) or _PATTERNS[op].format(*args)


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

_EXPONENTIAL = """
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

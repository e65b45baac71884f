"""Source of the kernels for a GPU: the plan of a text, written as two functions that Triton compiles.

The same passes as in ``numba_source``: a program runs all steps of ``LANES`` columns, whose states stay in registers.
Only operators that round as IEEE 754 says are used (a quotient of float32 by name: Triton's ``/`` is none), so that
spikes are those of the torch executor wherever the text has no exponential.
"""

from collections.abc import Iterable

from neurodeploy.kernels.graph import Graph
from neurodeploy.kernels.numba_source import Source, infix
from neurodeploy.kernels.passes import BYTES, NUMBER, Argument, Layout, Output, Pass, to_compute
from neurodeploy.kernels.plan import Plan
from neurodeploy.kernels.series import constants_of

_FUNCTIONS = {"exp": "_exp", "exp2": "_exp2", "expm1": "_expm1", "log2": "tl.log2", "round": "_round"}
_FUNCTIONS |= {"floor": "_floor", "abs": "tl.abs"}


def triton_source(plan: Plan, *, dtype: str, record: bool, arrays: Iterable[int], gradients: bool) -> Source:
    """Code of a plan; the arguments are those of ``numba_source``.

    Every function takes four whole numbers first (steps, columns, place of the first row, distance to the next); a
    constant that is one number comes as an array of one entry, so that nobody waits for the device to tell it.
    """
    layout, kind = Layout(plan, record, frozenset(arrays)), f"tl.{dtype}"
    forward, given = _function(plan.graph, layout.forward(save=gradients), kind)
    parts, functions = [_HEAD, _ROUNDED.format(**constants_of(dtype)), forward], {"forward": given}
    if gradients:
        backward, functions["backward"] = _function(plan.graph, layout.backward(), kind)
        parts.append(backward)
    return Source("\n\n".join(parts), dtype, functions)


def _function(graph: Graph, what: Pass, kind: str) -> tuple[str, tuple[Argument, ...]]:
    body = _Body(graph, what, kind)
    lines, constants = body.lines(), [(name, sort) for name, sort in what.constants if name in body.used]
    arguments = (*constants, *what.columns, *what.rows)
    given = ", ".join(argument for argument, _ in arguments)
    code = ['@triton.jit(do_not_specialize=["steps", "first"])']
    code += [f"def {what.name}(steps, width, first, stride, {given}, LANES: tl.constexpr):"]
    code += ["    column = tl.program_id(0).to(tl.int64) * LANES + tl.arange(0, LANES)", "    inside = column < width"]
    code += [f"    k{node} = tl.full((), {float(graph.nodes[node].value)!r}, {kind})" for node in body.literals]
    for name, sort in constants:
        where = name if sort == NUMBER else f"{name} + column, mask=inside, other=0.0"
        code.append(f"    n{name.removeprefix('c')} = tl.load({where})")
    code += [f"    {name}_now = tl.load({name} + column, mask=inside, other=0.0)" for name, _ in what.columns]
    code += ["    place = column + first", f"    for {'_back' if what.backwards else '_t'} in range(steps):"]
    code += [f"        {line}" for line in lines] + ["        place += stride"]
    code += [f"    tl.store({name} + column, {name}_now, mask=inside)" for name, _ in what.columns]
    return "\n".join(code) + "\n", arguments


class _Body:
    """The loop over time: one local variable for each value.

    used, literals : names of the constants, nodes of the literals that ``lines`` reads
    """

    def __init__(self, graph: Graph, what: Pass, kind: str) -> None:
        self.graph, self.what, self.kind = graph, what, kind
        self.rows = dict(what.rows)
        arrays = {node for node, name in what.hoisted.items() if (name, NUMBER) not in what.constants}
        self.lanes = graph.depending({*what.known, *arrays})
        self.used: set[str] = set()
        self.literals: list[int] = []

    def lines(self) -> list[str]:
        lines = [f"n{node} = {self._value(node)}" for node in to_compute(self.graph, self.what)]
        return [*lines, *(self._left(output) for output in self.what.outputs)]

    def _left(self, output: Output) -> str:
        """Line that leaves a value in a row or in a column."""
        node, argument = output.node, output.argument
        value = f"tl.full((LANES,), 0.0, {self.kind})" if node is None else self._ref(node)
        if argument in self.rows:
            value += ".to(tl.uint8)" if self.rows[argument] == BYTES else ""
            return f"tl.store({argument} + place, {value}, mask=inside)"
        if node is not None and node not in self.lanes:
            value = f"tl.broadcast_to({value}, (LANES,))"
        return f"{argument}_now {'+=' if output.adds else '='} {value}"

    def _ref(self, node: int) -> str:
        if node in self.what.hoisted:
            self.used.add(self.what.hoisted[node])
        elif self.graph.nodes[node].op == "const":
            if node not in self.literals:
                self.literals.append(node)
            return f"k{node}"
        return f"n{node}"

    def _read(self, argument: str) -> str:
        return f"tl.load({argument} + place, mask=inside, other=0)" if argument in self.rows else f"{argument}_now"

    def _value(self, node: int) -> str:
        if node in self.what.known:
            total = " + ".join(map(self._read, self.what.known[node]))
            return total + (" != 0" if self.graph.is_condition(node) else "")
        op, args = self.graph.nodes[node].op, [self._ref(a) for a in self.graph.nodes[node].args]
        if op == "div" and self.kind == "tl.float32":
            return f"tl.div_rn({args[0]}, {args[1]})"
        if op in ("count", "count_above"):
            quotient = f"tl.div_rn({args[0]}, {args[1]})" if self.kind == "tl.float32" else f"{args[0]} / {args[1]}"
            return _COUNTS[op].format(quotient)
        return infix(op, args, _FUNCTIONS) or _PATTERNS[op].format(*args, kind=self.kind)


_COUNTS = {"count": "_not_below_zero(_floor({}))", "count_above": "_not_below_zero(_ceil({}) - 1.0)"}
#: a value that is not a number stays one, as in torch
_PATTERNS = {
    "neg": "-{0}",
    "not": "{0} == 0",
    "detach": "{0}",
    "select": "tl.where({0}, {1}, {2})",
    "min": "tl.where({1} < {0}, {1}, {0})",
    "max": "tl.where({1} > {0}, {1}, {0})",
    "above": "({0} > {1}).to({kind})",
    "at_or_above": "({0} >= {1}).to({kind})",
}

_HEAD = '''"""Generated from the step text of a neuron; changes are not read."""

import triton
import triton.language as tl


@triton.jit
def _not_below_zero(x):
    return tl.where(x < 0, 0.0, x)
'''

# a sum of that size has no fraction, so adding rounds, halves to even (a device's own floor flushes tiny numbers to 0);
# for the exponential see series
_ROUNDED = """
@triton.jit
def _round(x):
    rounded = tl.where(x < 0, (x - {no_fraction}) + {no_fraction}, (x + {no_fraction}) - {no_fraction})
    return tl.where(tl.abs(x) < {no_fraction}, rounded, x)


@triton.jit
def _floor(x):
    near = _round(x)
    return tl.where(near > x, near - 1.0, near)


@triton.jit
def _ceil(x):
    near = _round(x)
    return tl.where(near < x, near + 1.0, near)


@triton.jit
def _power_of_two(n):
    return ((n + {bias}) << {mantissa}).to(tl.{dtype}, bitcast=True)


@triton.jit
def _scaled_series(r, whole):
    n = whole.to(tl.{integer})
    half = n >> 1
    {series}
    return p * _power_of_two(half) * _power_of_two(n - half)


@triton.jit
def _exp(x):
    x = tl.where(x > {most}, {most}, x)
    x = tl.where(x < -{most}, -{most}, x)
    whole = _round(x * 1.4426950408889634)
    return _scaled_series(x - whole * {high} - whole * {low}, whole)


@triton.jit
def _exp2(x):
    x = tl.where(x > {most_2}, {most_2}, x)
    x = tl.where(x < -{most_2}, -{most_2}, x)
    whole = _round(x)
    return _scaled_series((x - whole) * 0.6931471805599453, whole)


@triton.jit
def _expm1(x):
    near = tl.abs(x) < 40.0
    z = tl.where(near, x, 0.0)
    whole = _round(z * 1.4426950408889634)
    r = z - whole * {high} - whole * {low}
    {series_from_square}
    scale = _power_of_two(whole.to(tl.{integer}))
    return tl.where(near, scale * (r + r * r * p) + (scale - 1.0), _exp(x) - 1.0)
"""

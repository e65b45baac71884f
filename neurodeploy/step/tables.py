"""Executors of the step language. An executor is a table; PYTHON is the definition of every operator."""

import math
import operator
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import numpy as np

from neurodeploy.step.tree import Assign, Const, Expression, Name, Statement, assigned

Table = Mapping[str, Callable[..., Any]]
Environment = MutableMapping[str, Any]


def evaluate(expression: Expression, environment: Mapping[str, Any], table: Table) -> Any:
    """Value of an expression: the fold over the table. Both sides of a conditional are evaluated.

    A table may say with ``literal`` what a number of the text is; without it the number is Python's.
    """
    if isinstance(expression, Name):
        return environment[expression.id]
    if isinstance(expression, Const):
        return table["literal"](expression.value) if "literal" in table else expression.value
    values = []
    for a in expression.args:  # most are names: looked up here, a call less for each
        values.append(environment[a.id] if isinstance(a, Name) else evaluate(a, environment, table))  # noqa: PERF401 - a comprehension is a call
    return table[expression.op](*values)


def run(statements: tuple[Statement, ...], environment: Environment, table: Table) -> None:
    """Execute statements in place on an environment of name -> value."""
    for statement in statements:
        if isinstance(statement, Assign):
            environment[statement.name] = evaluate(statement.value, environment, table)
        else:
            condition = evaluate(statement.condition, environment, table)
            table["guard"](condition, statement.body, environment, table)


def _clip(x: int, low: int, high: int) -> int:
    return min(max(x, low), high)


def _sat(x: int, bits: int) -> int:
    return min(max(x, -(1 << bits - 1)), (1 << bits - 1) - 1)


def _wrap(x: int, bits: int) -> int:
    return (x + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def _shift_to_zero(x: int, n: int) -> int:
    return x >> n if x >= 0 else -(-x >> n)


def _round_half_even(x: int, n: int) -> int:
    floor, rest = divmod(x, 1 << n)
    beyond = 2 * rest - (1 << n)  # 0 at a half
    return floor + 1 if beyond > 0 or (beyond == 0 and floor % 2 == 1) else floor


def _scale2(x: int, e: int) -> int:
    return x << e if e >= 0 else x >> -e


def _guard(condition: bool, body: tuple[Statement, ...], environment: Environment, table: Table) -> None:  # noqa: FBT001
    if condition:
        run(body, environment, table)


#: The definition: integers without bound, one neuron at a time.
PYTHON: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "neg": operator.neg,
    "floordiv": operator.floordiv,
    "shl": operator.lshift,
    "shr": operator.rshift,
    "min": min,
    "max": max,
    "abs": abs,
    "clip": _clip,
    "sat": _sat,
    "wrap": _wrap,
    "shift_to_zero": _shift_to_zero,
    "round_half_even": _round_half_even,
    "scale2": _scale2,
    "select": lambda condition, a, b: a if condition else b,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "not": operator.not_,
    "guard": _guard,
}


def _numpy_wrap(x: Any, bits: int) -> Any:
    half = 1 << int(bits) - 1
    return ((x & (2 * half - 1)) ^ half) - half  # unlike (x + half) & mask, leaves int64 for no x


def _numpy_shift_to_zero(x: Any, n: Any) -> Any:
    return (x + ((x >> 63) & ((1 << n) - 1))) >> n  # plus 2**n - 1 where x < 0: the floor is then the ceiling


def _numpy_round_half_even(x: Any, n: Any) -> Any:
    floor, rest = x >> n, x & ((1 << n) - 1)
    return floor + (2 * rest + (floor & 1) > (1 << n))  # at a half, an odd floor tips the scale


def _numpy_scale2(x: Any, e: Any) -> Any:
    return (x << np.maximum(e, 0)) >> np.maximum(-e, 0)


#: Numbers below which a second pass over them is cheaper than what a function of NumPy does before its first.
FEW = 1 << 10


def _numpy_sat(x: Any, bits: int) -> Any:
    half = np.int64(1 << int(bits) - 1)  # a Python integer would be checked against the type of x in every call
    if np.size(x) < FEW:
        return np.minimum(np.maximum(x, -half), half - 1)  # two passes over few numbers take less than np.clip's setup
    return np.clip(x, -half, half - 1)


def _numpy_guard(condition: Any, body: tuple[Statement, ...], environment: Environment, table: Table) -> None:
    if not np.any(condition):
        return
    inside = dict(environment)
    run(body, inside, table)
    for name in {a.name for a in assigned(body)} & set(environment):
        environment[name] = np.where(condition, inside[name], environment[name])


#: Values are int64 arrays of any shapes that broadcast, or np.int64; so are all results. Equal to PYTHON wherever the
#: intervals fit int64: no value inside an operator leaves int64 either.
NUMPY: dict[str, Callable[..., Any]] = PYTHON | {
    "literal": np.int64,
    "min": np.minimum,
    "max": np.maximum,
    "abs": np.abs,
    "clip": np.clip,  # one pass; high wins where low > high, as in min(max(x, low), high)
    "sat": _numpy_sat,
    "wrap": _numpy_wrap,
    "shift_to_zero": _numpy_shift_to_zero,
    "round_half_even": _numpy_round_half_even,
    "scale2": _numpy_scale2,
    "select": np.where,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "guard": _numpy_guard,
}


def _div(a: float, b: float) -> float:
    if b:
        return a / b
    return math.nan if not a or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)


def _log2(x: float) -> float:
    if x > 0:
        return math.log2(x)
    return -math.inf if x == 0 else math.nan


def _or_infinite(function: Callable[[float], float]) -> Callable[[float], float]:
    def total(x: float) -> float:
        try:
            return function(x)
        except OverflowError:
            return math.inf

    return total


def _floor(x: float) -> float:
    return math.floor(x) if math.isfinite(x) else x


def _count(v: float, threshold: float) -> float:
    return max(_floor(_div(v, threshold)), 0)


def _count_above(v: float, threshold: float) -> float:
    return max(-_floor(-_div(v, threshold)) - 1, 0)


#: Expressions of FLOAT on plain Python numbers (parameter rules of chip files): IEEE 754 results, nothing raises.
FORMULA: dict[str, Callable[..., Any]] = PYTHON | {
    "div": _div,
    "exp": _or_infinite(math.exp),
    "exp2": _or_infinite(math.exp2),
    "expm1": _or_infinite(math.expm1),
    "log2": _log2,
    "round": lambda x: round(x) if math.isfinite(x) else x,
    "floor": _floor,
    "ceil": lambda x: math.ceil(x) if math.isfinite(x) else x,  # formulas of chip files only
    "detach": lambda x: x,
    "above": lambda v, threshold: int(v > threshold),
    "at_or_above": lambda v, threshold: int(v >= threshold),
    "count": _count,
    "count_above": _count_above,
}

"""Executors of the step language. An executor is a table; PYTHON is the definition of every operator."""

import math
import operator
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import numpy as np

from neurodeploy.step.language import Assign, Const, Expression, Name, Statement, assigned

Table = Mapping[str, Callable[..., Any]]
Environment = MutableMapping[str, Any]


def evaluate(expression: Expression, environment: Mapping[str, Any], table: Table) -> Any:
    """Value of an expression: the fold over the table. Both sides of a conditional are evaluated."""
    if isinstance(expression, Const):
        return expression.value
    if isinstance(expression, Name):
        return environment[expression.id]
    return table[expression.op](*(evaluate(a, environment, table) for a in expression.args))


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
    floor, rest, half = x >> n, (x % (1 << n)) * 2, 1 << n
    return floor + (1 if rest > half or (rest == half and floor % 2 == 1) else 0)


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


def _numpy_shift_to_zero(x: Any, n: Any) -> Any:
    return np.where(np.less(x, 0), -(-x >> n), x >> n)


def _numpy_round_half_even(x: Any, n: Any) -> Any:
    floor, one = x >> n, np.int64(1)
    rest, half = x - (floor << n), (one << n) >> 1
    up = (rest > half) | ((rest == half) & (floor & 1 == 1) & (half > 0))
    return floor + up


def _numpy_scale2(x: Any, e: Any) -> Any:
    up, down = np.maximum(e, 0), np.maximum(np.negative(e), 0)
    return np.where(np.greater_equal(e, 0), x << up, x >> down)


def _numpy_guard(condition: Any, body: tuple[Statement, ...], environment: Environment, table: Table) -> None:
    if not np.any(condition):
        return
    inside = dict(environment)
    run(body, inside, table)
    for name in {a.name for a in assigned(body)} & set(environment):
        environment[name] = np.where(condition, inside[name], environment[name])


#: int64 arrays of any shape that broadcast; equal to PYTHON wherever the intervals fit int64.
NUMPY: dict[str, Callable[..., Any]] = PYTHON | {
    "min": np.minimum,
    "max": np.maximum,
    "abs": np.abs,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "sat": lambda x, bits: np.minimum(np.maximum(x, -(1 << bits - 1)), (1 << bits - 1) - 1),
    "wrap": lambda x, bits: ((x + (1 << bits - 1)) & ((1 << bits) - 1)) - (1 << bits - 1),
    "shift_to_zero": _numpy_shift_to_zero,
    "round_half_even": _numpy_round_half_even,
    "scale2": _numpy_scale2,
    "select": np.where,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "guard": _numpy_guard,
}

#: Float expressions of chip files (parameter rules): plain Python floats, infinities instead of overflow.
FORMULA: dict[str, Callable[..., Any]] = PYTHON | {
    "div": lambda a, b: a / b if b else math.copysign(math.inf, a),
    "exp": math.exp,
    "exp2": math.exp2,
    "expm1": math.expm1,
    "log2": lambda x: math.log2(x) if x > 0 else -math.inf,
    "round": lambda x: round(x) if math.isfinite(x) else x,
    "floor": lambda x: math.floor(x) if math.isfinite(x) else x,
}

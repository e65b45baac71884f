"""Interval arithmetic over step texts: one more table, whose values are ranges instead of numbers."""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, NamedTuple

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.step.language import CONDITIONS, Assign, Const, Expression, Name, Statement, Text

INT64_LOW, INT64_HIGH = -(2**63), 2**63 - 1
MAX_SHIFT = 62


class Interval(NamedTuple):
    """All integers from low to high, both included."""

    low: int
    high: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high

    def within(self, other: "Interval") -> bool:
        """Whether every value lies in the other interval."""
        return other.low <= self.low and self.high <= other.high

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


def signed(bits: int) -> Interval:
    """Range of a two's complement register."""
    return Interval(-(1 << bits - 1), (1 << bits - 1) - 1)


def unsigned(bits: int) -> Interval:
    """Range of an unsigned register."""
    return Interval(0, (1 << bits) - 1)


class _OutOfRangeError(Exception):
    """An operand whose range the operator does not take."""


def _hull(*parts: Interval) -> Interval:
    return Interval(min(p.low for p in parts), max(p.high for p in parts))


def _corners(function: Callable[[int, int], int], a: Interval, b: Interval) -> Interval:
    # exact for functions that are monotonic in each argument on each side of zero; zero is added as a corner
    values = [function(x, y) for x in _points(a) for y in _points(b)]
    return Interval(min(values), max(values))


def _points(a: Interval) -> set[int]:
    return {a.low, a.high} | ({0} if 0 in a else set()) | ({-1} if -1 in a else set())


def _need(b: Interval, low: int, high: int | None, what: str) -> None:
    if b.low < low or (high is not None and b.high > high):
        limit = f"{low} and above" if high is None else f"{low}..{high}"
        raise _OutOfRangeError(f"{what} can be {b}|{limit}")


def _floordiv(a: Interval, b: Interval) -> Interval:
    _need(b, 1, None, "the divisor")
    return _corners(lambda x, y: x // y, a, b)


def _shift(function: Callable[[int, int], int]) -> Callable[[Interval, Interval], Interval]:
    def interval(a: Interval, n: Interval) -> Interval:
        _need(n, 0, MAX_SHIFT, "the shift")
        return _corners(function, a, n)

    return interval


def _rounding(x: int, n: int) -> int:
    return (x + (1 << n >> 1)) >> n  # at least the rounded value; at most one above it


def _round_half_even(a: Interval, n: Interval) -> Interval:
    _need(n, 0, MAX_SHIFT, "the shift")
    down = _corners(lambda x, k: x >> k, a, n)
    up = _corners(_rounding, a, n)
    return _hull(down, up)


def _scale2(a: Interval, e: Interval) -> Interval:
    _need(e, -MAX_SHIFT, MAX_SHIFT, "the exponent")
    exponents = {e.low, e.high} | ({0} if 0 in e else set())
    values = [x << k if k >= 0 else x >> -k for x in _points(a) for k in exponents]
    return Interval(min(values), max(values))


def _abs(a: Interval) -> Interval:
    return Interval(0 if 0 in a else min(abs(a.low), abs(a.high)), max(abs(a.low), abs(a.high)))


def _minimum(a: Interval, b: Interval) -> Interval:
    return Interval(min(a.low, b.low), min(a.high, b.high))


def _maximum(a: Interval, b: Interval) -> Interval:
    return Interval(max(a.low, b.low), max(a.high, b.high))


def _wrap(a: Interval, bits: Interval) -> Interval:
    return a if a.within(signed(bits.low)) else signed(bits.low)


def _sat(a: Interval, bits: Interval) -> Interval:
    low, high = signed(bits.low)
    return Interval(min(max(a.low, low), high), min(max(a.high, low), high))


_TABLE: Mapping[str, Callable[..., Interval]] = {
    "add": lambda a, b: Interval(a.low + b.low, a.high + b.high),
    "sub": lambda a, b: Interval(a.low - b.high, a.high - b.low),
    "mul": lambda a, b: _corners(lambda x, y: x * y, a, b),
    "neg": lambda a: Interval(-a.high, -a.low),
    "floordiv": _floordiv,
    "shl": _shift(lambda x, n: x << n),
    "shr": _shift(lambda x, n: x >> n),
    "min": _minimum,
    "max": _maximum,
    "abs": _abs,
    "clip": lambda x, low, high: _minimum(_maximum(x, low), high),
    "sat": _sat,
    "wrap": _wrap,
    "shift_to_zero": _shift(lambda x, n: x >> n if x >= 0 else -(-x >> n)),
    "round_half_even": _round_half_even,
    "scale2": _scale2,
    "select": lambda _, a, b: _hull(a, b),
}


def final_intervals(text: Text, ranges: Mapping[str, Interval]) -> dict[str, Interval]:
    """Range of every name after the text, from the ranges before it.

    Both sides of every conditional count, guarded or not, because vector executors evaluate both.
    Raises Refusal: ND1003 where a divisor, shift or exponent can leave its domain, ND1004 where a value
    can leave int64.
    """
    walker = _Walker(text)
    environment = dict(ranges)
    walker.block(text.statements, environment)
    raise_if(walker.faults)
    return environment


class _Walker:
    def __init__(self, text: Text) -> None:
        self.text, self.faults = text, list[Fault]()

    def block(self, statements: tuple[Statement, ...], environment: MutableMapping[str, Interval]) -> None:
        for statement in statements:
            if isinstance(statement, Assign):
                environment[statement.name] = self.value(statement.value, environment)
                continue
            self.value(statement.condition, environment)
            inside = dict(environment)
            self.block(statement.body, inside)
            for name, interval in inside.items():
                environment[name] = _hull(environment[name], interval) if name in environment else interval

    def value(self, expression: Expression, environment: Mapping[str, Interval]) -> Interval:
        if isinstance(expression, Const):
            return Interval(int(expression.value), int(expression.value))
        if isinstance(expression, Name):
            return environment[expression.id]
        arguments: list[Any] = [self.value(a, environment) for a in expression.args]
        if expression.op in CONDITIONS:
            return Interval(0, 1)
        where = f"{self.text.where}, line {expression.line}, column {expression.column}"
        try:
            result = _TABLE[expression.op](*arguments)
        except _OutOfRangeError as error:
            was, must = str(error).split("|")
            todo = "narrow the range of the parameter, or bound it with max() or clip()"
            self.faults.append(Fault("ND1003", where, was, f"must lie in {must}", todo))
            return Interval(0, 0)
        if result.low < INT64_LOW or result.high > INT64_HIGH:
            values = {"low": result.low, "high": result.high}
            was = f"{expression.op} can reach {result.low if result.low < INT64_LOW else result.high}"
            self.faults.append(
                Fault("ND1004", where, was, "must fit 64 bits", "narrow a width, or saturate earlier", values)
            )
            return Interval(INT64_LOW, INT64_HIGH)
        return result


def refuse_outside(name: str, value: int, interval: Interval, where: str) -> Refusal:
    """Refusal for a value that a register does not hold."""
    return Refusal(Fault("ND1202", where, f"{name} = {value}", f"the register holds {interval}", "", {"value": value}))

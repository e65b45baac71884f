"""Interval arithmetic over step texts: one more table, whose values are ranges instead of numbers."""

from collections.abc import Callable, Mapping
from functools import cache
from itertools import product, starmap
from numbers import Integral
from typing import NamedTuple

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.step.operators import CONDITIONS, SIGNS
from neurodeploy.step.tables import PYTHON
from neurodeploy.step.tree import Assign, Const, Expression, Name, Statement, Text

MAX_SHIFT = 62


class Interval(NamedTuple):
    """All integers from low to high, both included."""

    low: int
    high: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, Integral) and self.low <= int(value) <= self.high

    def within(self, other: "Interval") -> bool:
        """Whether every value lies in the other interval."""
        return other.low <= self.low and self.high <= other.high

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@cache
def signed(bits: int) -> Interval:
    """Range of a two's complement register."""
    return Interval(-(1 << bits - 1), (1 << bits - 1) - 1)


@cache
def unsigned(bits: int) -> Interval:
    """Range of an unsigned register."""
    return Interval(0, (1 << bits) - 1)


INT64 = signed(64)


class OutOfRangeError(Exception):
    """An operand whose range the operator does not take."""


def hull(*parts: Interval) -> Interval:
    """Smallest interval that holds all of these."""
    return Interval(min([p.low for p in parts]), max([p.high for p in parts]))


def _points(a: Interval) -> set[int]:
    low, high = a
    points = {low, high}
    if low < 0 < high + 2:  # -1 or 0 lies between
        points |= {n for n in (-1, 0) if low <= n <= high}
    return points


def _exact(op: str) -> Callable[..., Interval]:
    """Range of an operator that is monotonic in each argument while the others stay on one side of zero.

    Its least and greatest value then stand at the ends of the arguments or beside zero: the definition is asked there.
    """

    def interval(*arguments: Interval) -> Interval:
        values = list(starmap(PYTHON[op], product(*map(_points, arguments))))
        return Interval(min(values), max(values))

    return interval


def _needs(op: str, what: str, low: int, high: int | None) -> Callable[[Interval, Interval], Interval]:
    """Return the same for an operator whose second operand must lie in low..high."""

    def interval(a: Interval, b: Interval) -> Interval:
        if b.low < low or (high is not None and b.high > high):
            limit = f"{low} and above" if high is None else f"{low}..{high}"
            raise OutOfRangeError(f"{what} of {SIGNS.get(op, op)} can be {b}", f"must lie in {limit}")
        return _exact(op)(a, b)

    return interval


def _wrap(a: Interval, bits: Interval) -> Interval:
    low, high = signed(bits.low)
    turns = (a.low - low) >> bits.low
    if turns != (a.high - low) >> bits.low:
        return Interval(low, high)
    return Interval(a.low - (turns << bits.low), a.high - (turns << bits.low))


RANGES: Mapping[str, Callable[..., Interval]] = {
    **{op: _exact(op) for op in ("add", "sub", "mul", "neg", "min", "max", "abs", "clip", "sat")},
    "floordiv": _needs("floordiv", "the divisor", 1, None),
    **{op: _needs(op, "the shift", 0, MAX_SHIFT) for op in ("shl", "shr", "shift_to_zero", "round_half_even")},
    "scale2": _needs("scale2", "the exponent", -MAX_SHIFT, MAX_SHIFT),
    "wrap": _wrap,
    "select": lambda _, a, b: hull(a, b),
    **{op: lambda *_: Interval(0, 1) for op in CONDITIONS},
}


def final_intervals(text: Text, ranges: Mapping[str, Interval]) -> dict[str, Interval]:
    """Range of every name after the text, from the ranges before it.

    text : an integer text whose names are checked (``check_names`` found no fault)
    ranges : of every name that the text may read
    Both sides of every conditional count, guarded or not, because vector executors evaluate both.
    Raises Refusal: ND1003 where a divisor, shift or exponent can leave its domain, ND1004 where a value, a literal
    or a range that is given leaves int64. What follows from a fault is not reported again.
    """
    walker = _Walker(text)
    environment: dict[str, Interval | None] = dict(ranges)
    for name, interval in ranges.items():
        environment[name] = walker.fitting(interval, name, text.where)
    walker.block(text.statements, environment)
    raise_if(walker.faults)
    return {name: interval for name, interval in environment.items() if interval is not None}


class _Walker:
    """Walks a text with the ranges of its names; None is the range of what a fault left unknown."""

    def __init__(self, text: Text) -> None:
        self.text, self.faults = text, list[Fault]()

    def fault(self, fault: Fault) -> None:
        if fault not in self.faults:  # a macro may repeat an argument
            self.faults.append(fault)

    def block(self, statements: tuple[Statement, ...], environment: dict[str, Interval | None]) -> None:
        for statement in statements:
            if isinstance(statement, Assign):
                environment[statement.name] = self.value(statement.value, environment)
                continue
            self.value(statement.condition, environment)
            inside = dict(environment)
            self.block(statement.body, inside)
            for name, interval in inside.items():
                before = environment.get(name, interval)
                environment[name] = hull(before, interval) if before is not None and interval is not None else None

    def value(self, expression: Expression, environment: Mapping[str, Interval | None]) -> Interval | None:
        if isinstance(expression, Name):
            return environment[expression.id]
        where = f"{self.text.where}, line {expression.line}, column {expression.column}"
        if isinstance(expression, Const):
            return self.fitting(Interval(int(expression.value), int(expression.value)), "the literal", where)
        arguments = [self.value(a, environment) for a in expression.args]
        if None in arguments:
            return None
        try:
            result = RANGES[expression.op](*arguments)
        except OutOfRangeError as error:
            was, must = error.args
            todo = "narrow the range of the parameter, or bound it with max() or clip()"
            self.fault(Fault("ND1003", where, was, must, todo))
            return None
        return self.fitting(result, SIGNS.get(expression.op, expression.op), where)

    def fitting(self, result: Interval, what: str, where: str) -> Interval | None:
        """Return the range, or report that it leaves int64."""
        if result.within(INT64):
            return result
        reached = result.low if result.low < INT64.low else result.high
        # Python does not write integers of more than 4300 digits
        was = f"{what} can reach {reached if reached.bit_length() < 1 << 8 else f'{reached.bit_length()} bits'}"
        todo = "narrow a width, or saturate earlier"
        self.fault(Fault("ND1004", where, was, "must fit 64 bits", todo, {"low": result.low, "high": result.high}))
        return None


def refuse_outside(name: str, value: int, interval: Interval, where: str) -> Refusal:
    """Refusal for a value that a register does not hold."""
    return Refusal(Fault("ND1202", where, f"{name} = {value}", f"the register holds {interval}", "", {"value": value}))

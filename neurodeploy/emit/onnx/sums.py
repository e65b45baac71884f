"""Texts of arriving events that add: what each synapse adds, and where the order of arrival cannot matter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.chips import ConnectionKind
from neurodeploy.chips.compile import GIVEN_ARRIVING
from neurodeploy.chips.schema import StateEntry
from neurodeploy.simulator.machine import Delivery, Ints, Lane, Row
from neurodeploy.step import NUMPY, Assign, Call, Const, Interval, Name, Text, assigned, evaluate
from neurodeploy.step.intervals import INT64
from neurodeploy.step.tree import Expression, names

TOTAL = "total"  # the name of what is added, in a line whose part was taken out
#: Calls around a sum that are monotone and change nothing inside their limits.
CLIPS = {"sat", "min", "max"}


@dataclass(frozen=True)
class Line:
    """A line ``x = f(x + part)`` where part is a number of each synapse times ``arriving``.

    name : the state or accumulator that it writes
    part : what an event adds
    around : the calls around the sum, outermost first: sat, wrap, or min and max with a literal
    text : the line with TOTAL in place of the part
    """

    name: str
    part: Expression
    around: tuple[Call, ...]
    text: Text

    def weights(self, lane: Lane, row: Row, given: Mapping[str, int]) -> Ints:
        """(synapse,) what a single arriving event adds."""
        environment: dict[str, Any] = {n: v[row.targets] for n, v in lane.parameters.items()} | dict(row.fields)
        environment |= {n: np.int64(v) for n, v in given.items()} | {GIVEN_ARRIVING: np.int64(1)}
        return np.broadcast_to(np.asarray(evaluate(self.part, environment, NUMPY), np.int64), row.targets.shape)

    def keeps(self, register: Interval) -> bool:
        """Whether adding 0 changes no value that the register holds."""
        return all(register.within(limit) for limit in self.limits())

    def limits(self) -> list[Interval]:
        """Values that each call around the sum does not change."""
        return [_unchanged(call) for call in self.around]

    def any_order(self, least: Ints, most: Ints, *, from_zero: bool) -> bool:
        """Whether all that arrives may be added at once; ``keeps`` holds.

        least, most : (target,) sum of all that can arrive of one sign
        from_zero : the register is 0 before
        """
        if not self.around:
            return True
        if len(self.around) == 1 and self.around[0].op == "wrap":
            return True
        if any(call.op not in CLIPS for call in self.around):
            return False
        one_sign = np.all((least == 0) | (most == 0))  # clipping is monotone: what reached an end stays there
        reached = Interval(int(least.min(initial=0)), int(most.max(initial=0)))
        return bool(one_sign) or (from_zero and all(reached.within(limit) for limit in self.limits()))


def lines_of(kind: ConnectionKind, lane: Lane, delivery: Delivery) -> tuple[Line, ...] | None:
    """The lines of ``on_input``, if each adds to a register of its own; else None."""
    text = kind.on_input.text
    written = {a.name for a in assigned(text.statements)}
    constant = {*lane.parameters, *kind.fields, *delivery.registers}
    found = list[Line]()
    for line in text.statements:
        if not isinstance(line, Assign) or line.name in {f.name for f in found}:
            return None
        split = _split(line.value, line.name)
        if split is None or set(names(split[0])) - constant - {GIVEN_ARRIVING} or set(names(split[0])) & written:
            return None
        part, around = split
        if not _linear(part):
            return None
        filled: Expression = Call("add", (Name(line.name), Name(TOTAL)), line.line)
        for call in reversed(around):
            filled = Call(call.op, (filled, *call.args[1:]), line.line)
        shown = Text((Assign(line.name, filled, line.line),), text.source, text.where)
        found.append(Line(line.name, part, tuple(around), shown))
    return tuple(found)


def total_of(targets: Ints, weights: Ints, size: int, counts: Interval) -> tuple[Ints, Ints] | None:
    """(target,) least and most that synapses can add to each of ``size`` targets; None where a sum can leave int64."""
    largest = max(abs(counts.low), abs(counts.high))
    if np.bincount(targets, np.abs(weights.astype(float)) * largest, size).max(initial=0) > INT64.high / 4:
        return None
    ends = np.stack([weights * counts.low, weights * counts.high])
    least, most = np.zeros((2, size), np.int64)
    np.add.at(least, targets, np.minimum(ends.min(axis=0), 0))
    np.add.at(most, targets, np.maximum(ends.max(axis=0), 0))
    return least, most


def keeps_all(lines: tuple[Line, ...], widths: Mapping[str, StateEntry]) -> bool:
    """Whether a synapse that is not there may be one that adds 0."""
    return all(line.keeps(widths[line.name].interval) for line in lines)


def _split(value: Expression, name: str) -> tuple[Expression, list[Call]] | None:
    around = list[Call]()
    while isinstance(value, Call) and (value.op in {"sat", "wrap"} or _bounded(value)):
        around.append(value)
        value = value.args[0]
    if not isinstance(value, Call) or value.op != "add":
        return None
    for own, part in (value.args, value.args[::-1]):
        if isinstance(own, Name) and own.id == name and name not in set(names(part)):
            return part, around
    return None


def _bounded(value: Call) -> bool:
    return value.op in {"min", "max"} and len(value.args) == 2 and isinstance(value.args[1], Const)


def _linear(part: Expression) -> bool:
    """Whether a part is a number times ``arriving``: 0 adds 0, and twice as many add twice as much."""
    if not isinstance(part, Call):
        return part == Name(GIVEN_ARRIVING)
    if part.op in {"add", "sub", "neg"}:
        return all(map(_linear, part.args))
    free = [GIVEN_ARRIVING not in set(names(a)) for a in part.args]
    if part.op == "mul":
        return any(f and _linear(other) for f, other in zip(free, part.args[::-1], strict=True))
    if part.op == "select":
        return free[0] and all(map(_linear, part.args[1:]))
    return False


def _unchanged(call: Call) -> Interval:
    """Values that a call around a sum does not change."""
    bound = call.args[1]
    if not isinstance(bound, Const):
        raise TypeError(call.op)
    value = int(bound.value)
    if call.op in {"sat", "wrap"}:
        return Interval(-(1 << value - 1), (1 << value - 1) - 1)
    return Interval(INT64.low, value) if call.op == "min" else Interval(value, INT64.high)

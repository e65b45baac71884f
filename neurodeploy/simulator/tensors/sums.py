"""Texts of arriving events that only add: what their sum needs to be exact in any order."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from neurodeploy.chips import Handler
from neurodeploy.chips.compile import GIVEN_ARRIVING
from neurodeploy.simulator.executors import Widths
from neurodeploy.step import Assign, Call, Const, Interval, Name, Text, signed
from neurodeploy.step.tree import Expression, names


@dataclass(frozen=True)
class Addition:
    """One line ``x = f(x + part)``.

    weight : what an event of one adds; an event of n adds n times as much
    rails : while all partial sums lie here, the order makes no difference and f none; None where it never makes one
    after : the line with the sum of all parts, called ``total``, in place of one
    """

    name: str
    weight: Expression
    rails: Interval | None
    after: Text


TOTAL = "total"


def additions(
    handler: Handler, widths: Widths, states: Collection[str], counts: Interval
) -> tuple[Addition, ...] | None:
    """The lines of a text that only adds; None for any other text.

    states : of the neuron; what is added reads none of them
    counts : with what an event arrives
    f is nothing, or any of sat, min and max with a literal, or wrap alone.
    """
    written = {s.name for s in handler.text.statements if isinstance(s, Assign)}
    changes = {*written, *states, *widths}
    found = []
    for line in handler.text.statements:
        addition = _addition(line, handler.text, widths, changes, counts) if isinstance(line, Assign) else None
        if addition is None:
            return None
        found.append(addition)
    return tuple(found) if len(written) == len(found) else None


def _addition(line: Assign, text: Text, widths: Widths, changes: set[str], counts: Interval) -> Addition | None:
    if line.name not in widths:
        return None
    around, value = list[Call](), line.value
    while isinstance(value, Call) and value.op in {"sat", "wrap", "min", "max"} and isinstance(value.args[1], Const):
        around.append(value)
        value = value.args[0]
    if not isinstance(value, Call) or value.op != "add":
        return None
    pairs = (value.args, value.args[::-1])
    part = next((p for own, p in pairs if isinstance(own, Name) and own.id == line.name), None)
    if part is None or set(names(part)) & changes:
        return None
    weight = _weight(part, counts)
    register = widths[line.name].interval
    wraps = [c for c in around if c.op == "wrap"]
    # a wrap narrower than its register would also change what no event has met
    if weight is None or (wraps and (len(around) > 1 or _range(wraps[0]) != register)):
        return None
    inner: Expression = Call("add", (Name(line.name), Name(TOTAL)))
    for call in reversed(around):
        inner = Call(call.op, (inner, *call.args[1:]))
    after = Text((Assign(line.name, inner, line.line),), text.source, text.where)
    return Addition(line.name, weight, None if wraps else _met(register, map(_range, around)), after)


def _met(register: Interval, limits: Iterable[Interval]) -> Interval:
    low, high = register
    for limit in limits:
        low, high = max(low, limit.low), min(high, limit.high)
    return Interval(low, high)


def _range(call: Call) -> Interval:
    """Values that a call leaves as they are."""
    literal = call.args[1]
    value = int(literal.value) if isinstance(literal, Const) else 0
    wide = 1 << 63
    return {
        "sat": lambda: signed(value),
        "wrap": lambda: signed(value),
        "min": lambda: Interval(-wide, value),
        "max": lambda: Interval(value, wide),
    }[call.op]()


def _weight(part: Expression, counts: Interval) -> Expression | None:
    """What an event of one adds, if n times as much is added by one of n."""
    if GIVEN_ARRIVING not in set(names(part)) and counts.high > 1:
        return None
    if counts.within(Interval(0, 1)):
        return part
    if isinstance(part, Name):
        return Const(1)
    if isinstance(part, Call) and part.op == "mul":
        for event, weight in (part.args, part.args[::-1]):
            if isinstance(event, Name) and event.id == GIVEN_ARRIVING and GIVEN_ARRIVING not in set(names(weight)):
                return weight
    return None

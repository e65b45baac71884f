"""Ranges of many neurons at once: a step text followed with arrays of least and greatest values.

The same reading as ``step.paths``, which takes one range for all, written once more over arrays, so that a proof of
thousands of neurons is checked in one walk and by code of its own. Where a sum reads one name on both sides, the range
of that name is cut into pieces that become finer towards its ends: ``x - (x >> 2)`` then moves x no further than it
does. What a guard divides, it sees divided: behind ``v // threshold`` the range of v is cut at multiples of threshold.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from neurodeploy.step import NUMPY, Assign, Call, Const, Guard, Name, Text
from neurodeploy.step.operators import CONDITIONS
from neurodeploy.step.tree import Expression, Statement, names

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

#: More ways through a text than that are joined to one, which is less exact and as safe.
MOST_WORLDS = 12
#: Pieces of the negative and of the other half of a range; each is half as wide as the one further inside.
HALVINGS = 8
#: Quotients that a guard is followed for one by one; larger ones together.
QUOTIENTS = 40

_MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_OPPOSITE = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}


class Ends(NamedTuple):
    """Least and greatest values of many ranges; both of shapes that broadcast to (neuron, piece)."""

    low: Ints
    high: Ints


#: Ranges of names, and by ``id`` of expressions that a condition of this way has bounded.
Box = dict[str | int, Ends]


class World(NamedTuple):
    """One way through a text.

    alive : where it can be gone
    """

    box: Box
    alive: Mask


def follow(text: Text, box: Mapping[str, Ends]) -> dict[str, Ends]:
    """Ranges after a text, from the ranges before it: (neuron,) arrays, or (neuron, piece) that are joined at the end.

    Every operand must lie where its operator is defined, as the chip's own check of its texts has shown.
    """
    shaped: Box = {n: Ends(*(_table(end) for end in ends)) for n, ends in box.items()}
    shape = np.broadcast_shapes(*(ends.low.shape for ends in shaped.values()))
    with np.errstate(all="ignore"):  # what cannot be is computed, too, and not looked at
        worlds = _block(text.statements, [World(shaped, np.ones(shape, bool))])
        joined = _joined(worlds)
    rows = joined.alive.shape[0]
    return {
        n: Ends(*(np.broadcast_to(side[:, 0], rows) for side in _over(ends, joined.alive)))
        for n, ends in joined.box.items()
        if isinstance(n, str)
    }


def pieces(ends: Ends) -> Ends:
    """Each range of (neuron,) cut into pieces: (neuron, piece)."""
    low, high = (_table(end) for end in ends)
    below, above = np.minimum(high, -1), np.maximum(low, 0)
    share = 1 << np.arange(HALVINGS)  # edges at 0, 1/2, 3/4, ... of what lies on one side of 0
    up, down = high - (high - above) // share, low + (below - low) // share
    first = np.concatenate([low, np.minimum(down[:, :0:-1] + 1, down[:, -2::-1]), up], axis=1)
    last = np.concatenate([down[:, ::-1], np.maximum(up[:, 1:] - 1, up[:, :-1]), high], axis=1)
    # a side that is empty repeats the end that is nearest to it
    return Ends(np.clip(first, low, high), np.clip(last, low, high))


def _table(end: Ints) -> Ints:
    array = np.asarray(end, np.int64)
    return array[:, None] if array.ndim == 1 else array.reshape(1, 1) if array.ndim == 0 else array


def _over(ends: Ends, alive: Mask) -> Ends:
    """One range for all pieces that are alive; the whole where none is, which then means nothing."""
    low, high = (np.broadcast_to(end, alive.shape) for end in ends)
    least = np.where(alive, low, np.iinfo(np.int64).max).min(axis=1, keepdims=True)
    most = np.where(alive, high, np.iinfo(np.int64).min).max(axis=1, keepdims=True)
    none = ~alive.any(axis=1, keepdims=True)
    least = np.where(none, low.min(axis=1, keepdims=True), least)
    return Ends(least, np.where(none, high.max(axis=1, keepdims=True), most))


def _joined(worlds: list[World]) -> World:
    """One world for all: every name that each of them knows."""
    box, alive = worlds[0]
    for other in worlds[1:]:
        box = {n: _either(box[n], alive, other.box[n], other.alive) for n in box if n in other.box}
        alive = alive | other.alive
    return World(box, alive)


def _either(first: Ends, here: Mask, second: Ends, there: Mask) -> Ends:
    low = np.where(here & there, np.minimum(first.low, second.low), np.where(here, first.low, second.low))
    high = np.where(here & there, np.maximum(first.high, second.high), np.where(here, first.high, second.high))
    return Ends(low, high)


def _plain(box: Box) -> Box:
    """A box without what it says of expressions: the names in them may change now."""
    return {n: ends for n, ends in box.items() if isinstance(n, str)}


def _block(statements: tuple[Statement, ...], worlds: list[World]) -> list[World]:
    for statement in statements:
        if isinstance(statement, Guard) and (divided := _divided(statement)):
            worlds = _cut_guard(statement, divided, worlds)
            continue
        after = list[World]()
        for world in worlds:
            after += _guard(statement, world) if isinstance(statement, Guard) else _assign(statement, world)
        after = [World(_plain(w.box), w.alive) for w in after]
        after = [w for w in after if w.alive.any()] or after[:1]
        worlds = after if len(after) <= MOST_WORLDS else [_joined(after)]
    return worlds


def _assign(statement: Assign, world: World) -> Iterator[World]:
    value = statement.value
    if isinstance(value, Call) and value.op == "select" and all(isinstance(a, Const) for a in value.args[1:]):
        for truth, chosen in zip((True, False), value.args[1:], strict=True):  # a flag: each value is a world
            box, possible = _assume(value.args[0], world.box, truth=truth)
            yield World(box | {statement.name: _value(chosen, box)}, world.alive & possible)
    else:
        yield World(world.box | {statement.name: _value(value, world.box)}, world.alive)


def _guard(guard: Guard, world: World) -> list[World]:
    inside, holds = _assume(guard.condition, world.box, truth=True)
    outside, fails = _assume(guard.condition, world.box, truth=False)
    after = _block(guard.body, [World(_plain(inside), world.alive & holds)])
    return [*after, World(outside, world.alive & fails)]


def _divided(guard: Guard) -> tuple[str, Expression] | None:
    """What the body divides and changes, and by what: the first ``v // t`` of a v that it assigns."""
    changed = {s.name for s in guard.body if isinstance(s, Assign)}
    for statement in guard.body:
        if isinstance(statement, Assign):
            for call in _calls(statement.value):
                value = call.args[0]
                if call.op == "floordiv" and isinstance(value, Name) and value.id in changed:
                    return value.id, call.args[1]
    return None


def _calls(expression: Expression) -> Iterator[Call]:
    if isinstance(expression, Call):
        yield expression
        for argument in expression.args:
            yield from _calls(argument)


def _cut_guard(guard: Guard, divided: tuple[str, Expression], worlds: list[World]) -> list[World]:
    """A guard, followed for each quotient."""
    name, divisor = divided
    joined = _joined(worlds)
    box: Box = {n: _over(ends, joined.alive) for n, ends in _plain(joined.box).items()}
    low, high = box[name]
    by = np.maximum(_value(divisor, box).low, 1)
    edges = by * np.arange(QUOTIENTS + 1)
    first = np.concatenate([low, np.maximum(edges, low)], axis=1)
    last = np.concatenate([np.minimum(high, -1), np.minimum(edges[:, 1:] - 1, high), high], axis=1)
    worlds = _guard(guard, World(box | {name: Ends(first, last)}, first <= last))
    whole = _joined([World(_plain(w.box), w.alive) for w in worlds])
    merged: Box = {n: _over(ends, whole.alive) for n, ends in whole.box.items()}
    return [World(merged, np.ones(merged[name].low.shape, bool))]


def _value(expression: Expression, box: Box) -> Ends:
    if isinstance(expression, Const):
        number = np.int64(expression.value).reshape(1, 1)
        return Ends(number, number)
    if isinstance(expression, Name):
        return box[expression.id]
    if id(expression) in box:
        return box[id(expression)]
    if expression.op == "select":
        condition, first, second = expression.args
        (yes, holds), (no, fails) = (_assume(condition, box, truth=truth) for truth in (True, False))
        return _either(_value(first, yes), holds, _value(second, no), fails)
    if expression.op in {"add", "sub"} and (name := _shared(expression, box)):
        return _in_pieces(expression, name, box)
    return _result(expression.op, [_value(a, box) for a in expression.args])


def _shared(expression: Call, box: Box) -> str | None:
    """A name of more than one value that both parts of a sum read."""
    both = set(names(expression.args[0])) & set(names(expression.args[1]))
    return next((n for n in sorted(both) if (box[n].low < box[n].high).any()), None)


def _in_pieces(expression: Call, name: str, box: Box) -> Ends:
    low, high = np.broadcast_arrays(*box[name])
    cut = pieces(Ends(low.reshape(-1), high.reshape(-1)))
    shape = np.broadcast_shapes(*(box[n].low.shape for n in names(expression)), low.shape)
    wide: Box = {
        n: Ends(*(np.broadcast_to(end, shape).reshape(-1, 1) for end in ends))
        for n, ends in box.items()
        if isinstance(n, str) and n != name and n in set(names(expression))
    }
    if shape != low.shape:
        spread = (np.broadcast_to(end.reshape(*low.shape, -1), (*shape, end.shape[1])) for end in cut)
        cut = Ends(*(end.reshape(-1, end.shape[-1]) for end in spread))
    found = _result(expression.op, [_value(a, wide | {name: cut}) for a in expression.args])
    count = int(np.prod(shape))
    low, high = (np.broadcast_to(end, (count, cut.low.shape[1])) for end in found)
    return Ends(low.min(axis=1).reshape(shape), high.max(axis=1).reshape(shape))


def _result(op: str, arguments: list[Ends]) -> Ends:
    if op in CONDITIONS:
        raise TypeError(op)  # conditions are no numbers
    if op in {"add", "sub", "neg", "min", "max", "clip"}:
        lows = [a.high if op in {"sub", "neg"} and i == len(arguments) - 1 else a.low for i, a in enumerate(arguments)]
        highs = [a.low if op in {"sub", "neg"} and i == len(arguments) - 1 else a.high for i, a in enumerate(arguments)]
        return Ends(_apply(op, lows), _apply(op, highs))
    if op == "abs":
        (low, high) = arguments[0]
        inside = (low <= 0) & (high >= 0)
        least = np.where(inside, 0, np.minimum(np.abs(low), np.abs(high)))
        return Ends(least, np.maximum(np.abs(low), np.abs(high)))
    if op == "sat":
        bits = int(arguments[1].low.flat[0])
        return Ends(NUMPY["sat"](arguments[0].low, bits), NUMPY["sat"](arguments[0].high, bits))
    if op == "wrap":
        return _wrapped(arguments[0], int(arguments[1].low.flat[0]))
    # monotone in each operand while the other stays: the ends lie at the corners
    corners = [NUMPY[op](a, b) for a in arguments[0] for b in _defined(op, arguments[1])]
    return Ends(np.minimum.reduce(np.broadcast_arrays(*corners)), np.maximum.reduce(np.broadcast_arrays(*corners)))


def _apply(op: str, values: list[Ints]) -> Ints:
    result = NUMPY[op](*values[:3]) if op == "clip" else NUMPY[op](*values[:2])
    for value in values[2:] if op in {"min", "max"} else ():
        result = NUMPY[op](result, value)
    return np.asarray(result)


def _defined(op: str, operand: Ends) -> Ends:
    """An operand where the operator is defined; outside lies only what cannot be."""
    low, high = {"floordiv": (1, None), "mul": (None, None), "scale2": (-62, 62)}.get(op, (0, 62))
    if low is None:
        return operand
    return Ends(np.clip(operand.low, low, high), np.clip(operand.high, low, high))


def _wrapped(value: Ends, bits: int) -> Ends:
    low = -(1 << bits - 1)
    first, last = ((end - low) >> bits for end in value)
    same = first == last
    return Ends(
        np.where(same, value.low - (first << bits), low), np.where(same, value.high - (first << bits), -low - 1)
    )


def _assume(condition: Expression, box: Box, *, truth: bool) -> tuple[Box, Mask]:
    """The box where a condition comes out so, and where that can be."""
    if not isinstance(condition, Call) or condition.op not in CONDITIONS:
        raise TypeError(condition)
    if condition.op == "not":
        return _assume(condition.args[0], box, truth=not truth)
    if condition.op in {"and", "or"}:
        first, second = condition.args
        decided = condition.op == "or"  # the value of the first that decides the whole
        other, goes_on = _assume(first, box, truth=not decided)
        other, possible = _assume(second, other, truth=truth)
        if truth != decided:
            return other, goes_on & possible
        early, at_once = _assume(first, box, truth=decided)
        late = goes_on & possible
        known = set(early) & set(other)
        return {n: _either(early[n], at_once, other[n], late) for n in known}, at_once | late
    op = condition.op if truth else _OPPOSITE[condition.op]
    left, right = (_value(a, box) for a in condition.args)
    near, far = _bounded(op, left, right), _bounded(_MIRRORED[op], right, left)
    possible = (near.low <= near.high) & (far.low <= far.high)
    return box | _known(condition.args[0], near, left) | _known(condition.args[1], far, right), possible


def _bounded(op: str, value: Ends, other: Ends) -> Ends:
    """What remains of a value that compares so with another; low above high where nothing does."""
    low, high = value
    if op == "lt":
        high = np.minimum(high, other.high - 1)
    elif op == "le":
        high = np.minimum(high, other.high)
    elif op == "gt":
        low = np.maximum(low, other.low + 1)
    elif op == "ge":
        low = np.maximum(low, other.low)
    elif op == "eq":
        low, high = np.maximum(low, other.low), np.minimum(high, other.high)
    else:
        single = other.low == other.high  # one value less, if it is an end
        low, high = low + (single & (low == other.low)), high - (single & (high == other.low))
    return Ends(*np.broadcast_arrays(low, high))


def _known(expression: Expression, ends: Ends, whole: Ends) -> Box:
    if isinstance(expression, Const):
        return {}
    empty = ends.low > ends.high  # computed on as it was: what cannot be must not trap
    kept = Ends(np.where(empty, whole.low, ends.low), np.where(empty, whole.high, ends.high))
    return {expression.id if isinstance(expression, Name) else id(expression): kept}

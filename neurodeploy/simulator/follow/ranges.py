"""Which values a text can meet on its way in this network, each branch on its own.

A conditional splits the world in two, and what its condition says about a name narrows the name in each. So a neuron
that is reset where it fires is known to stay below its threshold, which a single interval cannot show. Each name has an
array of ranges, one for each set of neurons with equal parameters.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from neurodeploy.simulator.machine import Ints
from neurodeploy.step import NUMPY, Assign, Call, Const, Name, Text, signed
from neurodeploy.step.operators import CONDITIONS
from neurodeploy.step.tree import Expression, Statement

MOST_WORLDS = 64
Range = tuple[Ints, Ints]
_NEGATED = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}
_TURNED = {"gt": "lt", "ge": "le"}
_MONOTONIC = frozenset({"add", "sub", "neg", "min", "max", "sat", "clip"})  # in each argument, whatever the others


class TooManyWorldsError(Exception):
    """More branches than are worth following."""


@dataclass(frozen=True)
class World:
    """One way through a text.

    names : range of each name
    alive : whether the sets of neurons can come here at all
    """

    names: Mapping[str, Range]
    alive: Any

    def narrowed(self, name: str | None, low: Ints, high: Ints) -> "World":
        """The same where a name is known to lie between two bounds."""
        if name is None:
            return self
        before = self.names[name]
        inside = np.maximum(before[0], low), np.minimum(before[1], high)
        return World({**self.names, name: inside}, self.alive & (inside[0] <= inside[1]))


class Walk:
    """Walks a text; afterwards low and high bound every value that was met, literals and names included."""

    def __init__(self) -> None:
        self.low, self.high = 0, 0

    def run(self, text: Text, names: Mapping[str, Range]) -> dict[str, Range]:
        """Ranges of all names after the text.

        Raises TooManyWorldsError.
        """
        size = len(next(iter(names.values()))[0])
        with np.errstate(all="ignore"):  # in a world that cannot be, anything may be computed
            worlds = self.block(text.statements, [World(names, np.ones(size, bool))])
        result: dict[str, Range] = {}
        big = signed(64)
        for name in set.intersection(*(set(w.names) for w in worlds)):
            lows = [np.where(w.alive, w.names[name][0], big.high) for w in worlds]
            highs = [np.where(w.alive, w.names[name][1], big.low) for w in worlds]
            result[name] = np.min(lows, axis=0), np.max(highs, axis=0)
        return result

    def block(self, statements: Iterable[Statement], worlds: list[World]) -> list[World]:
        for statement in statements:
            after = []
            for world in worlds:
                if isinstance(statement, Assign):
                    for here, value in self.value(statement.value, world):
                        after.append(replace(here, names={**here.names, statement.name: value}))
                else:
                    yes, no = self.condition(statement.condition, world)
                    after += no
                    for inside in self.block(statement.body, yes):
                        known = {n: r for n, r in inside.names.items() if n in world.names}
                        after.append(replace(inside, names=known))
            worlds = _possible(after)
        return worlds

    def note(self, world: World, value: Range) -> Range:
        if world.alive.any():
            self.low = min(self.low, int(value[0][world.alive].min()))
            self.high = max(self.high, int(value[1][world.alive].max()))
        return value

    def value(self, expression: Expression, world: World) -> list[tuple[World, Range]]:
        if isinstance(expression, Name):
            return [(world, self.note(world, world.names[expression.id]))]
        if isinstance(expression, Const):
            number = np.full(len(world.alive), int(expression.value))
            return [(world, self.note(world, (number, number)))]
        if expression.op == "select":
            yes, no = self.condition(expression.args[0], world)
            branches = ((yes, expression.args[1]), (no, expression.args[2]))
            return [pair for worlds, branch in branches for w in worlds for pair in self.value(branch, w)]
        found = []
        for here, arguments in self.arguments(expression, world):
            found.append((here, self.note(here, _reach(expression.op, arguments))))
        return found

    def arguments(self, call: Call, world: World) -> list[tuple[World, list[Range]]]:
        found: list[tuple[World, list[Range]]] = [(world, [])]
        for argument in call.args:
            found = [(w, [*done, new]) for here, done in found for w, new in self.value(argument, here)]
        return found

    def condition(self, expression: Expression, world: World) -> tuple[list[World], list[World]]:
        """Worlds in which a condition holds, and in which it does not."""
        if not isinstance(expression, Call) or expression.op not in CONDITIONS:
            raise TooManyWorldsError
        op, args = expression.op, expression.args
        if op == "not":
            yes, no = self.condition(args[0], world)
            return no, yes
        if op in {"and", "or"}:
            first = self.condition(args[0], world)
            both, other = first if op == "and" else first[::-1]
            second = [self.condition(args[1], w) for w in both]
            go, stop = (0, 1) if op == "and" else (1, 0)
            deep = [w for pair in second for w in pair[go]]
            rest = [*other, *(w for pair in second for w in pair[stop])]
            pair = (deep, rest) if op == "and" else (rest, deep)
            return _possible(pair[0]), _possible(pair[1])
        yes, no = list[World](), list[World]()
        names = [a.id if isinstance(a, Name) else None for a in args]
        for here, (a, b) in self.arguments(expression, world):
            yes.append(_where(op, here, names, a, b))
            no.append(_where(_NEGATED[op], here, names, a, b))
        return _possible(yes), _possible(no)


def _where(op: str, world: World, names: list[str | None], a: Range, b: Range) -> World:
    if op in _TURNED:
        return _where(_TURNED[op], world, names[::-1], b, a)
    if op == "ne":
        same = (a[0] == a[1]) & (b[0] == b[1]) & (a[0] == b[0])
        return replace(world, alive=world.alive & ~same)
    if op == "eq":
        low, high = np.maximum(a[0], b[0]), np.minimum(a[1], b[1])
        here = replace(world, alive=world.alive & (low <= high))
        return here.narrowed(names[0], low, high).narrowed(names[1], low, high)
    strict = int(op == "lt")
    here = replace(world, alive=world.alive & (a[0] <= b[1] - strict))
    return here.narrowed(names[0], a[0], b[1] - strict).narrowed(names[1], a[0] + strict, b[1])


def _possible(worlds: list[World]) -> list[World]:
    found = [w for w in worlds if w.alive.any()]
    if len(found) > MOST_WORLDS:
        raise TooManyWorldsError
    return found


def _points(op: str, value: Range) -> list[Ints]:
    low, high = value
    ends = [low] if low is high else [low, high]
    # other operators turn round beside zero
    return ends if op in _MONOTONIC else [*ends, *(np.clip(np.int64(n), low, high) for n in (0, -1))]


def _reach(op: str, arguments: list[Range]) -> Range:
    if op == "wrap":
        (low, high), bits = arguments[0], int(arguments[1][0][0])
        whole = signed(bits)
        turns = (low - whole.low) >> bits
        same = turns == (high - whole.low) >> bits
        move = turns << bits
        return np.where(same, low - move, whole.low), np.where(same, high - move, whole.high)
    function: Callable[..., Any] = NUMPY[op]
    if op == "sat":
        arguments, bits = arguments[:1], int(arguments[1][0][0])
        values = [function(p, bits) for p in _points(op, arguments[0])]
    else:
        values = [function(*points) for points in product(*(_points(op, a) for a in arguments))]
    return np.min(values, axis=0), np.max(values, axis=0)

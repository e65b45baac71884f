"""Intervals path by path: a text is followed through every way that its conditions can go.

``final_intervals`` counts both sides of every conditional, as vector executors do. Here a condition that cannot hold is
not followed, one that can go either way splits the path, and each path knows what its conditions say: in
``x - 10 if x > 10 else x`` the first x is at least 11. So a chip's reset, wrap and guard are seen as what they are.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from neurodeploy.errors import Fault, Refusal
from neurodeploy.step.intervals import INT64, RANGES, Interval, OutOfRangeError, hull
from neurodeploy.step.operators import CONDITIONS, SIGNS
from neurodeploy.step.tree import Assign, Call, Const, Expression, Name, Statement, Text, names

#: More paths than that are joined to one, which is less exact and as safe.
MOST_PATHS = 1 << 8

#: A sum whose parts read the same name is computed on so many pieces of that name's range: x - (x >> 2) is less than x.
PIECES = 20

#: Texts with their ranges whose result is kept: a proof asks for the same ones again, network after network.
KEPT = 1 << 12

#: A choice among so many literals or more is a table: one range, for which no path is split.
TABLE = 8

#: Ranges of names, and by ``id`` of expressions that a condition of this path has bounded.
_Path = dict[str | int, Interval]

_MIRRORED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_OPPOSITE = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}


def path_intervals(text: Text, ranges: Mapping[str, Interval]) -> dict[str, Interval]:
    """Range of every name after the text, from the ranges before it; a name that some paths leave unset is unknown.

    text : an integer text whose names are checked
    ranges : of every name that the text may read
    Raises Refusal: ND1003 where a divisor, shift or exponent can leave its domain, ND1004 where a value leaves int64,
    both on paths that can be taken.
    """
    return path_reach(text, ranges)[0]


def path_reach(text: Text, ranges: Mapping[str, Interval]) -> tuple[dict[str, Interval], Interval]:
    """Return the same as ``path_intervals``, and one range that holds every value that is met on the way.

    What is given and the literals are such values, too. Raises Refusal as ``path_intervals`` does.
    """
    after, reach = _reach(text, frozenset(ranges.items()))
    return dict(after), reach


@lru_cache(maxsize=KEPT)
def _reach(text: Text, ranges: frozenset[tuple[str, Interval]]) -> tuple[dict[str, Interval], Interval]:
    walker = _Follower(text)
    paths = walker.block(text.statements, [dict(ranges)])
    known = set.intersection(*(set(path) for path in paths))
    after = {name: hull(*(path[name] for path in paths)) for name in known if isinstance(name, str)}
    return after, walker.reach


class _Follower:
    def __init__(self, text: Text) -> None:
        self.text, self.reach = text, Interval(0, 0)
        self.tables: dict[int, Interval | None] = {}  # by ``id`` of a choice

    def block(self, statements: tuple[Statement, ...], paths: list[_Path]) -> list[_Path]:
        for statement in statements:
            after = list[_Path]()
            for path in paths:
                if isinstance(statement, Assign):
                    after += [_names(end) | {statement.name: value} for value, end in self.value(statement.value, path)]
                    continue
                inside = [_names(end) for end in self.assume(statement.condition, path, truth=True)]
                outside = [_names(end) for end in self.assume(statement.condition, path, truth=False)]
                after += self.block(statement.body, inside) + outside
            paths = _joined(after)
        return paths

    def value(self, expression: Expression, path: _Path) -> Iterator[tuple[Interval, _Path]]:
        """Each way to compute an expression: its range, and the path with what that way says."""
        for found, end in self.ways(expression, path):
            self.reach = hull(self.reach, found)
            yield found, end

    def ways(self, expression: Expression, path: _Path) -> Iterator[tuple[Interval, _Path]]:
        if isinstance(expression, Const):
            yield Interval(int(expression.value), int(expression.value)), path
        elif isinstance(expression, Name):
            yield path[expression.id], path
        elif id(expression) in path:
            yield path[id(expression)], path
        elif expression.op == "select" and (table := self.table(expression)) is not None:
            yield table, path
        elif expression.op == "select":
            condition, first, second = expression.args
            for truth, chosen in ((True, first), (False, second)):
                for end in self.assume(condition, path, truth=truth):
                    yield from self.value(chosen, end)
        elif expression.op in {"add", "sub"} and (name := _shared(expression, path)):
            pieces = [path | {name: piece} for piece in _pieces(path[name])]
            yield hull(*(value for piece in pieces for value, _ in self.whole(expression, piece))), path
        else:
            yield from self.whole(expression, path)

    def table(self, choice: Call) -> Interval | None:
        """Range of a choice that is a table; None for any other."""
        if id(choice) not in self.tables:
            entries = list(_literals(choice))
            known = [entry for entry in entries if entry is not None]
            table = len(entries) >= TABLE and len(known) == len(entries)
            self.tables[id(choice)] = Interval(min(known), max(known)) if table else None
        return self.tables[id(choice)]

    def whole(self, expression: Call, path: _Path) -> Iterator[tuple[Interval, _Path]]:
        for arguments, end in self.values(expression.args, path):
            yield self.result(expression, arguments), end

    def values(self, expressions: tuple[Expression, ...], path: _Path) -> Iterator[tuple[list[Interval], _Path]]:
        if not expressions:
            yield [], path
            return
        for first, middle in self.value(expressions[0], path):
            for rest, end in self.values(expressions[1:], middle):
                yield [first, *rest], end

    def result(self, call: Call, arguments: list[Interval]) -> Interval:
        where = f"{self.text.where}, line {call.line}, column {call.column}"
        try:
            result = RANGES[call.op](*arguments)
        except OutOfRangeError as error:
            raise Refusal(Fault("ND1003", where, *error.args)) from None
        if not result.within(INT64):
            raise Refusal(Fault("ND1004", where, f"{SIGNS.get(call.op, call.op)} can reach {result}", "64 bits"))
        return result

    def assume(self, condition: Expression, path: _Path, *, truth: bool) -> Iterator[_Path]:
        """Each way in which a condition can come out so; none if it cannot."""
        if not isinstance(condition, Call) or condition.op not in CONDITIONS:
            raise TypeError(condition)
        if condition.op == "not":
            yield from self.assume(condition.args[0], path, truth=not truth)
        elif condition.op in {"and", "or"}:
            first, second = condition.args
            decided = condition.op == "or"  # the value of the first that decides the whole
            if truth == decided:
                yield from self.assume(first, path, truth=decided)
            for end in self.assume(first, path, truth=not decided):
                yield from self.assume(second, end, truth=truth)
        else:
            op = condition.op if truth else _OPPOSITE[condition.op]
            for (left, right), end in self.values(condition.args, path):
                low, high = _bounded(op, left, right), _bounded(_MIRRORED[op], right, left)
                if low is not None and high is not None:
                    yield end | _known(condition.args[0], low) | _known(condition.args[1], high)


def _literals(expression: Expression) -> Iterator[int | None]:
    """What a choice chooses from; None for what is no literal."""
    if isinstance(expression, Call) and expression.op == "select":
        yield from _literals(expression.args[1])
        yield from _literals(expression.args[2])
    else:
        yield int(expression.value) if isinstance(expression, Const) else None


def _shared(expression: Call, path: _Path) -> str | None:
    """A name of more than one value that both parts of a sum read."""
    both = set(names(expression.args[0])) & set(names(expression.args[1]))
    return next((n for n in sorted(both) if path[n].low < path[n].high), None)


def _pieces(interval: Interval) -> list[Interval]:
    low, high = interval
    ends = {low + (high - low) * i // PIECES for i in range(1, PIECES)} | {0, -1}
    starts = [low, *sorted(end + 1 for end in ends if low <= end < high)]
    return [Interval(a, b - 1) for a, b in zip(starts, [*starts[1:], high + 1], strict=True)]


def _bounded(op: str, value: Interval, other: Interval) -> Interval | None:
    """What remains of a value that compares so with another; None if nothing."""
    low, high = value
    if op == "lt":
        high = min(high, other.high - 1)
    elif op == "le":
        high = min(high, other.high)
    elif op == "gt":
        low = max(low, other.low + 1)
    elif op == "ge":
        low = max(low, other.low)
    elif op == "eq":
        low, high = max(low, other.low), min(high, other.high)
    elif other.low == other.high:  # "ne": one value less, if it is an end
        low, high = low + (low == other.low), high - (high == other.low)
    return Interval(low, high) if low <= high else None


def _known(expression: Expression, interval: Interval) -> _Path:
    if isinstance(expression, Const):
        return {}
    return {expression.id if isinstance(expression, Name) else id(expression): interval}


def _names(path: _Path) -> _Path:
    """A path without what it says of expressions: the names in them may change now."""
    return {name: value for name, value in path.items() if isinstance(name, str)}


def _joined(paths: list[_Path]) -> list[_Path]:
    different = list({tuple(sorted(path.items(), key=str)): path for path in paths}.values())
    if len(different) <= MOST_PATHS:
        return different
    known = set.intersection(*(set(path) for path in different))
    return [{name: hull(*(path[name] for path in different)) for name in known}]

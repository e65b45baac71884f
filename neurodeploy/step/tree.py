"""Tree of a step text: three kinds of expression, two kinds of statement."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Const:
    """A literal."""

    value: int | float
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A state, a parameter, something the handler is given, or a name assigned before."""

    id: str
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """An operator or function with its arguments."""

    op: str
    args: tuple["Expression", ...]
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


Expression = Const | Name | Call


def measure(expression: Expression, seen: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """Depth and size. What a function repeats is one object, so each object is walked once."""
    if not isinstance(expression, Call):
        return 1, 1
    if id(expression) not in seen:
        depths, sizes = zip(*(measure(a, seen) for a in expression.args), strict=True)
        seen[id(expression)] = 1 + max(depths), 1 + sum(sizes)
    return seen[id(expression)]


@dataclass(frozen=True, slots=True)
class Assign:
    """``name = value``."""

    name: str
    value: Expression
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Guard:
    """``if condition:`` with its body."""

    condition: Expression
    body: tuple["Statement", ...]
    line: int = field(default=0, compare=False)


Statement = Assign | Guard


def source_lines(source: str) -> list[str]:
    """Lines of a source as the parser counts them; str.splitlines would also split at a form feed or U+2028."""
    return re.split("\r\n|\r|\n", source)


@dataclass(frozen=True, slots=True)
class Text:
    """A parsed step text. ``source`` is what was written, ``where`` the place that names it in messages."""

    statements: tuple[Statement, ...]
    source: str = field(default="", compare=False)
    where: str = field(default="", compare=False)

    def line(self, number: int) -> str:
        """Return one line of the source, counted from 1, without indentation or comment."""
        return source_lines(self.source)[number - 1].split("#")[0].strip()


def assigned(statements: tuple[Statement, ...]) -> Iterator[Assign]:
    """All assignments, guarded ones included, in the order of the text."""
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement
        else:
            yield from assigned(statement.body)


def names(expression: Expression) -> Iterator[str]:
    """Names that an expression reads, repeated ones each time."""
    if isinstance(expression, Name):
        yield expression.id
    elif isinstance(expression, Call):
        for argument in expression.args:
            yield from names(argument)


def read(statements: tuple[Statement, ...]) -> Iterator[str]:
    """Names that statements read, conditions included, repeated ones each time."""
    for statement in statements:
        if isinstance(statement, Guard):
            yield from names(statement.condition)
            yield from read(statement.body)
        else:
            yield from names(statement.value)

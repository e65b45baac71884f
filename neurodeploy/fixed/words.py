"""Trees of the step language back as text, with as few brackets as Python's precedence allows."""

from collections.abc import Iterator

from neurodeploy.step import Assign, Call, Const, Name
from neurodeploy.step.language import Expression, Statement

#: operator -> (sign, level); larger binds tighter
BINARY = {
    "or": ("or", 1),
    "and": ("and", 2),
    "lt": ("<", 4),
    "le": ("<=", 4),
    "gt": (">", 4),
    "ge": (">=", 4),
    "eq": ("==", 4),
    "ne": ("!=", 4),
    "shl": ("<<", 5),
    "shr": (">>", 5),
    "add": ("+", 6),
    "sub": ("-", 6),
    "mul": ("*", 7),
    "div": ("/", 7),
    "floordiv": ("//", 7),
}
SELECT, NOT, NEG, TIGHT = 0, 3, 8, 9
#: comparisons cannot stand beside each other without brackets: a < b < c is another thing
ASSOCIATIVE = frozenset({"or", "and", "add", "mul"})


def written(expression: Expression) -> str:
    """Text of an expression."""
    return _written(expression)[0]


def _written(expression: Expression) -> tuple[str, int]:
    if isinstance(expression, Const):
        text = repr(expression.value)
        return text, NEG if text.startswith("-") else TIGHT
    if isinstance(expression, Name):
        return expression.id, TIGHT
    op, args = expression.op, expression.args
    if op == "select":
        condition, yes, no = args
        return f"{_inside(yes, SELECT + 1)} if {_inside(condition, SELECT + 1)} else {_inside(no, SELECT)}", SELECT
    if op == "not":
        return f"not {_inside(args[0], NOT)}", NOT
    if op == "neg":
        return f"-{_inside(args[0], NEG)}", NEG
    if op in BINARY:
        sign, level = BINARY[op]
        right = level if op in ASSOCIATIVE and isinstance(args[1], Call) and args[1].op == op else level + 1
        left = level + 1 if level == BINARY["lt"][1] else level
        return f"{_inside(args[0], left)} {sign} {_inside(args[1], right)}", level
    return f"{op}({', '.join(written(a) for a in args)})", TIGHT


def _inside(expression: Expression, level: int) -> str:
    text, own = _written(expression)
    return text if own >= level else f"({text})"


def lines(statements: tuple[Statement, ...], indent: str = "") -> Iterator[str]:
    """Text of statements, one per line."""
    for statement in statements:
        if isinstance(statement, Assign):
            yield f"{indent}{statement.name} = {written(statement.value)}"
        else:
            yield f"{indent}if {written(statement.condition)}:"
            yield from lines(statement.body, indent + "    ")

"""A step text as lines of Python that numba compiles: one value at a time, every result cast to one narrow type.

The caller has shown that all values of the text fit that type. numba computes in 64 bits and casts back, so that every
operator means what the step language says; the compiler finds the narrow instruction itself.
"""

from collections.abc import Iterable, Iterator

from neurodeploy.step import Assign, Const, Name, Text, signed
from neurodeploy.step.tree import Call, Expression, Statement

_BINARY = {"add": "+", "sub": "-", "mul": "*", "floordiv": "//", "shl": "<<", "shr": ">>"}
_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_LOGIC = {"and": "&", "or": "|"}
_HEAVY = frozenset({"floordiv"})  # worth a branch, and no vector instruction


def text_lines(text: Text, known: Iterable[str], prefix: str, lanes: int) -> list[str]:
    """Lines of a text; its names are written with a prefix, ``T`` stands for the type of all values.

    known : names that have a value before it
    lanes : bits of that type
    """
    writer = _Writer(prefix, lanes)
    writer.block(text.statements, set(known))
    return writer.lines


class _Writer:
    def __init__(self, prefix: str, lanes: int, count: int = 0) -> None:
        self.prefix, self.lanes, self.count = prefix, lanes, count
        self.lines: list[str] = []

    def fresh(self, value: str) -> str:
        self.count += 1
        self.lines.append(f"t{self.prefix}{self.count} = {value}")
        return f"t{self.prefix}{self.count}"

    def block(self, statements: tuple[Statement, ...], known: set[str]) -> None:
        for statement in statements:
            if isinstance(statement, Assign):
                self.lines.append(f"{self.prefix}{statement.name} = {self.value(statement.value)}")
                known.add(statement.name)
                continue
            condition = self.fresh(self.value(statement.condition))
            if any(call.op in _HEAVY for call in _calls(statement.body)):
                inner = _Writer(self.prefix, self.lanes, self.count)
                inner.block(statement.body, set(known))
                self.count = inner.count
                self.lines += [f"if {condition}:", *(f"    {line}" for line in inner.lines)]
                continue
            changed = sorted({a.name for a in _assignments(statement.body)} & known)
            before = {name: self.fresh(f"{self.prefix}{name}") for name in changed}
            self.block(statement.body, set(known))
            self.lines += [
                f"{self.prefix}{name} = {self.prefix}{name} if {condition} else {old}" for name, old in before.items()
            ]

    def value(self, expression: Expression) -> str:
        if isinstance(expression, Name):
            return f"{self.prefix}{expression.id}"
        if isinstance(expression, Const):
            return _literal(int(expression.value))
        op = expression.op
        if op in {"sat", "wrap"}:
            number, bits = expression.args
            assert isinstance(bits, Const)  # noqa: S101 - the grammar takes nothing else
            return self.bounded(op, self.named(number), int(bits.value))
        if op in _BINARY:
            a, b = (self.value(x) for x in expression.args)
            return f"T({a} {_BINARY[op]} {b})"
        if op in _COMPARE:
            a, b = (self.value(x) for x in expression.args)
            return f"({a} {_COMPARE[op]} {b})"
        if op in _LOGIC:
            return "(" + f" {_LOGIC[op]} ".join(self.value(x) for x in expression.args) + ")"
        if op == "select":
            condition, a, b = (self.value(x) for x in expression.args)
            return f"({a} if {condition} else {b})"
        return self.function(op, [self.named(x) for x in expression.args])

    def named(self, expression: Expression) -> str:
        value = self.value(expression)
        return value if isinstance(expression, Name) else self.fresh(value)

    def function(self, op: str, given: list[str]) -> str:
        """Operators that use an argument twice."""
        if op == "not":
            return f"(not {given[0]})"
        if op == "neg":
            return f"T(-{given[0]})"
        if op == "abs":
            return f"T(-{given[0]} if {given[0]} < {_literal(0)} else {given[0]})"
        if op in {"min", "max"}:
            sign = "<" if op == "min" else ">"
            result = given[0]
            for other in given[1:]:
                result = self.fresh(f"{result} if {result} {sign} {other} else {other}")
            return result
        if op == "clip":
            x, low, high = given
            inner = self.fresh(f"{x} if {x} > {low} else {low}")
            return f"({inner} if {inner} < {high} else {high})"
        x, n = given
        wide = f"np.int64({x})"
        if op == "shift_to_zero":
            return f"T(({wide} >> {n}) if {x} >= 0 else -((-{wide}) >> {n}))"
        if op == "round_half_even":
            rest = f"({wide} & ((np.int64(1) << {n}) - np.int64(1)))"
            floor = self.fresh(f"{wide} >> {n}")
            return f"T({floor} + np.int64(2 * {rest} + ({floor} & 1) > (np.int64(1) << {n})))"
        if op == "scale2":
            up, down = (f"np.int64({a} if {n} {sign} 0 else 0)" for a, sign in ((n, ">"), (f"-{n}", "<")))
            return f"T(({wide} << {up}) >> {down})"
        raise NotImplementedError(op)

    def bounded(self, op: str, x: str, bits: int) -> str:
        if bits >= self.lanes:  # what fits the narrower type is inside already
            return x
        if op == "sat":
            low, high = (_literal(end) for end in signed(bits))
            inner = self.fresh(f"{x} if {x} > {low} else {low}")
            return f"({inner} if {inner} < {high} else {high})"
        half = 1 << bits - 1
        return f"T(T(T({x} & {_literal(2 * half - 1)}) ^ {_literal(half)}) - {_literal(half)})"


def _literal(value: int) -> str:
    return f"T({value})" if value > -(1 << 63) else "T(-9223372036854775807 - 1)"


def _assignments(statements: tuple[Statement, ...]) -> Iterator[Assign]:
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement
        else:
            yield from _assignments(statement.body)


def _calls(statements: tuple[Statement, ...]) -> Iterator[Call]:
    def inside(expression: Expression) -> Iterator[Call]:
        if isinstance(expression, Call):
            yield expression
            for argument in expression.args:
                yield from inside(argument)

    for statement in statements:
        if isinstance(statement, Assign):
            yield from inside(statement.value)
        else:
            yield from inside(statement.condition)
            yield from _calls(statement.body)

"""Which names a step text may read and assign; all faults at once."""

from collections.abc import Collection

from neurodeploy.errors import Fault
from neurodeploy.step.language import Assign, Const, Expression, Name, Statement, Text


def check_names(text: Text, *, states: Collection[str], readable: Collection[str]) -> list[Fault]:
    """Faults of a text's names.

    states : may be read and assigned; keep their value after the handler
    readable : parameters and what the handler is given; may be read only
    """
    walker = _Names(text, frozenset(states), frozenset(readable))
    walker.block(text.statements, set(states) | set(readable))
    walker.unread()
    return walker.faults


class _Names:
    def __init__(self, text: Text, states: frozenset[str], readable: frozenset[str]) -> None:
        self.text, self.states, self.readable = text, states, readable
        self.faults: list[Fault] = []
        self.reads: list[tuple[int, str]] = []  # (position in reading order, name)
        self.writes: list[tuple[int, Assign]] = []
        self.position = 0

    def fault(self, code: str, line: int, column: int, was: str, must: str, todo: str = "") -> None:
        where = f"{self.text.where}, line {line}" + (f", column {column}" if column else "")
        self.faults.append(Fault(code, where, was, must, todo, {"line": line}))

    def block(self, statements: tuple[Statement, ...], known: set[str]) -> None:
        for statement in statements:
            if isinstance(statement, Assign):
                self.read(statement.value, known)
                self.position += 1
                if statement.name in self.readable:
                    todo = "assign a new name instead"
                    self.fault("ND1002", statement.line, 0, f"{statement.name!r} is assigned", "it is read-only", todo)
                self.writes.append((self.position, statement))
                known.add(statement.name)
            else:
                self.read(statement.condition, known)
                self.block(statement.body, set(known))

    def read(self, expression: Expression, known: set[str]) -> None:
        if isinstance(expression, Const):
            return
        if isinstance(expression, Name):
            self.position += 1
            self.reads.append((self.position, expression.id))
            if expression.id not in known:
                before = any(write.name == expression.id for _, write in self.writes)
                was = f"{expression.id!r} has no value here" if before else f"unknown name {expression.id!r}"
                must = "it is assigned only under a guard" if before else f"known here: {', '.join(sorted(known))}"
                code = "ND1006" if before else "ND1002"
                self.fault(
                    code, expression.line, expression.column, was, must, "assign it before the guard" if before else ""
                )
            return
        for argument in expression.args:
            self.read(argument, known)

    def unread(self) -> None:
        for position, write in self.writes:
            if write.name in self.states or write.name in self.readable:
                continue
            if not any(name == write.name and at > position for at, name in self.reads):
                was = f"{write.name!r} is assigned and never read"
                self.fault("ND1006", write.line, 0, was, "it must be a state or be read later", "remove the line")

"""Which names a step text may read and assign; all faults at once."""

from collections.abc import Collection

from neurodeploy.errors import Fault
from neurodeploy.step.tree import Assign, Call, Expression, Name, Statement, Text


def check_names(
    text: Text, *, states: Collection[str], readable: Collection[str], kept: Collection[str] = ()
) -> list[Fault]:
    """Faults of a text's names, in the order of the text.

    states : may be read and assigned; keep their value after the handler
    readable : parameters and what the handler is given; may be read only
    kept : new names whose value is read after the handler
    """
    walker = _Names(text, frozenset(states), frozenset(readable))
    walker.block(text.statements, set(states) | set(readable))
    walker.unread(text.statements, {*states, *kept})
    return sorted(walker.faults, key=lambda fault: int(str(fault.values["line"])))


def _names(expression: Expression) -> list[Name]:
    if isinstance(expression, Call):
        return [name for argument in expression.args for name in _names(argument)]
    return [expression] if isinstance(expression, Name) else []


class _Names:
    def __init__(self, text: Text, states: frozenset[str], readable: frozenset[str]) -> None:
        self.text, self.states, self.readable = text, states, readable
        self.faults: list[Fault] = []
        self.assigned: set[str] = set()

    def fault(self, code: str, line: int, column: int, was: str, must: str, todo: str = "") -> None:
        where = f"{self.text.where}, line {line}" + (f", column {column}" if column else "")
        fault = Fault(code, where, was, must, todo, {"line": line})
        if fault not in self.faults:  # a macro may repeat an argument
            self.faults.append(fault)

    def block(self, statements: tuple[Statement, ...], known: set[str]) -> None:
        """Follow which names have a value; a guard gives values to its own lines only."""
        for statement in statements:
            if isinstance(statement, Assign):
                self.read(statement.value, known)
                if statement.name in self.readable:
                    todo = "assign a new name instead"
                    self.fault("ND1002", statement.line, 0, f"{statement.name!r} is assigned", "it is read-only", todo)
                known.add(statement.name)
                self.assigned.add(statement.name)
            else:
                self.read(statement.condition, known)
                self.block(statement.body, set(known))

    def read(self, expression: Expression, known: set[str]) -> None:
        for name in _names(expression):
            if name.id in known:
                continue
            if name.id in self.assigned:
                must, todo = "it is assigned only under a guard", "assign it before the guard"
                self.fault("ND1006", name.line, name.column, f"{name.id!r} has no value here", must, todo)
            else:
                must = f"known here: {', '.join(sorted(known))}"
                self.fault("ND1002", name.line, name.column, f"unknown name {name.id!r}", must)

    def unread(self, statements: tuple[Statement, ...], after: set[str]) -> set[str]:
        """Walk backwards with the names whose value is still read; return those at the beginning."""
        live = set(after)
        for statement in reversed(statements):
            if isinstance(statement, Assign):
                if statement.name not in live | self.states | self.readable:
                    was, must = f"{statement.name!r} is assigned and never read", "it must be a state or be read later"
                    self.fault("ND1006", statement.line, 0, was, must, "remove the line")
                live.discard(statement.name)
                live.update(name.id for name in _names(statement.value))
            else:
                live |= self.unread(statement.body, live)
                live.update(name.id for name in _names(statement.condition))
        return live

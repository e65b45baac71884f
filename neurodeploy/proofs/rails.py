"""Rails: the places of a text where a number is cut because it does not fit, and a text that shows what comes there.

A rail is ``sat(x, bits)``, ``wrap(x, bits)``, ``clip(x, low, high)``, a turn of 2**n that is written out with
conditions (``x - 16 if x > 7 else ...``), or ``min`` and ``max`` with a literal that ends the register of the state
that is assigned. Other caps are rules of a neuron (a floor of its membrane, spikes in a step) and no rails.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from neurodeploy.step import Assign, Call, Const, Guard, Interval, Text
from neurodeploy.step.intervals import signed
from neurodeploy.step.tree import Expression, Statement, names


@dataclass(frozen=True)
class Rail:
    """A place where a number can be cut.

    name : of what the marked text assigns there; no name of a text has a space
    kind : sat, wrap, clip, turn, end (min or max at the end of a register) or register (the text is then at fault)
    line : of the text, 0 where it has none
    states : states that what is computed there goes into
    limits : where what comes to the rail is not cut
    """

    name: str
    kind: str
    line: int
    states: tuple[str, ...]
    limits: Interval


_INSIDE = Interval(0, 0)  # of a rail that is shown as what it cuts off, or whether it acts


def marked(text: Text, registers: Mapping[str, Interval]) -> tuple[Text, tuple[Rail, ...]]:
    """The text with one more assignment before each line that has rails: what comes to the rail, 0 where nothing does.

    registers : states and accumulators, which are what a rail can belong to
    """
    marker = _Marker(registers, _owners(text.statements, registers))
    statements = marker.block(text.statements)
    first = [Assign(rail.name, Const(0)) for rail in marker.rails]  # a guard shows only names that had a value
    return Text((*first, *statements), text.source, text.where), tuple(marker.rails)


def _owners(statements: tuple[Statement, ...], registers: Mapping[str, Interval]) -> dict[str, set[str]]:
    """Name -> the registers that its value goes into, by one line or by several."""
    flows = dict[str, set[str]]()
    for name, sources in _flows(statements, set()):
        for source in sources:
            flows.setdefault(source, set()).add(name)
    owners = dict[str, set[str]]()
    for name in {*flows, *(n for many in flows.values() for n in many)}:
        todo, seen = [name], {name}
        while todo:
            here = todo.pop()
            if here in registers:
                continue  # what it does from there on is that register's
            for following in flows.get(here, set()) - seen:
                seen.add(following)
                todo.append(following)
        owners[name] = seen & set(registers)
    return owners


def _flows(statements: tuple[Statement, ...], decided: set[str]) -> Iterator[tuple[str, set[str]]]:
    for statement in statements:
        if isinstance(statement, Guard):
            yield from _flows(statement.body, decided | set(names(statement.condition)))
        else:
            yield statement.name, set(names(statement.value)) | decided


@dataclass
class _Marker:
    registers: Mapping[str, Interval]
    owners: Mapping[str, set[str]]
    rails: list[Rail] = field(default_factory=list)

    def block(self, statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
        result = list[Statement]()
        for statement in statements:
            if isinstance(statement, Guard):
                decides = {a for s in _assigned(statement.body) for a in self.owned(s)}
                result += self.marks(statement.condition, "", decides, statement.line)
                result.append(Guard(statement.condition, self.block(statement.body), statement.line))
            else:
                result += self.marks(statement.value, statement.name, self.owned(statement.name), statement.line)
                result.append(statement)
        return tuple(result)

    def owned(self, name: str) -> set[str]:
        return {name} if name in self.registers else self.owners.get(name, set())

    def marks(self, expression: Expression, target: str, owners: set[str], line: int) -> list[Assign]:
        """What is assigned before a line, one for each rail in it."""
        found = list[Assign]()
        seen = set[tuple[int, tuple[tuple[int, bool], ...]]]()

        def walk(here: Expression, path: tuple[tuple[Expression, bool], ...]) -> None:
            key = (id(here), tuple((id(c), truth) for c, truth in path))
            if not isinstance(here, Call) or key in seen or (id(here), ()) in seen:
                return  # a macro repeats its argument as one object
            seen.add(key)
            shown = self.rail(here, target)
            if shown is not None:
                kind, value, limits = shown
                name = f"rail {len(self.rails)}"
                self.rails.append(Rail(name, kind, line, tuple(sorted(owners)), limits))
                for condition, truth in reversed(path):
                    sides = (value, Const(0)) if truth else (Const(0), value)
                    value = Call("select", (condition, *sides))
                found.append(Assign(name, value, line))
            base = _turned(here)
            if base is not None:
                walk(base, path)  # the turns further inside are parts of this one
            elif here.op == "select":
                walk(here.args[0], path)
                walk(here.args[1], (*path, (here.args[0], True)))
                walk(here.args[2], (*path, (here.args[0], False)))
            else:
                for argument in here.args:
                    walk(argument, path)

        walk(expression, ())
        return found

    def rail(self, call: Call, target: str) -> tuple[str, Expression, Interval] | None:
        """Kind of a rail, what is shown of it, and where it does not act; None where a call is none."""
        if call.op in {"sat", "wrap"} and isinstance(call.args[1], Const):
            return call.op, call.args[0], signed(int(call.args[1].value))
        if call.op == "clip":
            value, low, high = call.args
            below, above = Call("sub", (value, low)), Call("sub", (value, high))
            beyond = Call("select", (Call("gt", (value, high)), above, Const(0)))
            return "clip", Call("select", (Call("lt", (value, low)), below, beyond)), _INSIDE
        if call.op == "select" and _turned(call) is not None:
            return "turn", _turns(call), _INSIDE
        if call.op in {"min", "max"} and target in self.registers and len(call.args) == 2:
            return _end(call, self.registers[target])
        return None


def _end(call: Call, register: Interval) -> tuple[str, Expression, Interval] | None:
    """A min or max whose literal is the end of the register of the state that is assigned."""
    end = register.high if call.op == "min" else register.low
    for literal, other in (call.args, call.args[::-1]):
        if literal == Const(end) and end != 0:
            far = 1 << 62
            return "end", other, Interval(-far, end) if call.op == "min" else Interval(end, far)
    return None


def _turned(expression: Expression) -> Expression | None:
    """What a turn of 2**n turns: x of ``x - 16 if x > 7 else (x + 16 if x < -8 else x)``; None if it is no turn."""
    if not isinstance(expression, Call) or expression.op != "select":
        return None
    _, moved, rest = expression.args
    if not isinstance(moved, Call) or moved.op not in {"add", "sub"}:
        return None
    base, by = moved.args
    if not isinstance(by, Const) or int(by.value) < 2 or int(by.value) & (int(by.value) - 1):
        return None
    return base if base in {rest, _turned(rest)} else None


def _turns(expression: Expression) -> Expression:
    """1 where such an expression turns, else 0."""
    if isinstance(expression, Call) and _turned(expression) is not None:
        return Call("select", (expression.args[0], Const(1), _turns(expression.args[2])))
    return Const(0)


def _assigned(statements: tuple[Statement, ...]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, Guard):
            yield from _assigned(statement.body)
        else:
            yield statement.name

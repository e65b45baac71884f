"""A float neuron as plain statements: constants folded, dead lines removed, each curve a line of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from neurodeploy.errors import Fault, raise_if
from neurodeploy.fixed.floats import FLOATS, Floats
from neurodeploy.fixed.words import written
from neurodeploy.layers import Neuron
from neurodeploy.step import Assign, Call, Const, Guard, Name, assigned, evaluate, run
from neurodeploy.step.language import Expression, Statement
from neurodeploy.step.tree import names, read

#: What a step reads of its input, and what it returns.
INPUT, SPIKE = "x", "spike"
#: Operators that become a line of their own, whose result has a format of its own.
CURVES = frozenset({"exp", "exp2", "expm1", "div"})
#: Operators for which no form in integers is offered.
REFUSED = frozenset({"log2", "round", "floor"})


@dataclass(frozen=True)
class Plain:
    """One layer's neurons.

    size : number of neurons
    states : name -> (neuron,) start values
    constants : name -> (neuron,) values that no step changes
    statements : of one step; they read INPUT, states and constants and assign SPIKE
    meanings : constant that was folded -> the expression that it stands for
    """

    where: str
    size: int
    states: Mapping[str, Floats]
    constants: Mapping[str, Floats]
    statements: tuple[Statement, ...]
    meanings: Mapping[str, str]


def plain(neuron: Neuron, where: str) -> Plain:
    """Write down what a layer computes in a step; nothing of it depends on the class of the layer.

    Raises Refusal (ND1701) for operators that have no form in integers.
    """
    size, body = int(np.prod(neuron.shape)), neuron.anatomy()
    values = {name: _spread(value, neuron.shape) for name, value in body.values.items()}
    with np.errstate(all="ignore"):
        run(body.once.statements, values, FLOATS)
    constants = {name: np.broadcast_to(value, (size,)).astype(np.float64) for name, value in values.items()}
    starts = {n: constants[s] if isinstance(s, str) else np.full(size, float(s)) for n, s in body.starts.items()}
    taken = {*constants, *starts, *(a.name for a in assigned(body.step.statements)), INPUT, SPIKE}
    folder = _Folder(size, constants, taken)
    statements = _alive(folder.block(body.step.statements), starts)
    statements = _alive(_Hoister(taken).block(statements), starts)
    raise_if(_faults(statements, where))
    seen = {*read(statements), SPIKE}
    return Plain(
        where,
        size,
        {n: v for n, v in starts.items() if n in seen},
        {n: v for n, v in folder.constants.items() if n in seen},
        statements,
        {n: m for n, m in folder.meanings.items() if n in seen},
    )


def _spread(value: object, shape: tuple[int, ...]) -> Floats:
    tensor = torch.as_tensor(value).detach().cpu().double()
    return np.array(torch.broadcast_to(tensor, shape).reshape(-1).numpy())


class _Folder:
    """Replaces what depends on constants alone by constants, and leaves out what adds 0 or multiplies by 1."""

    def __init__(self, size: int, constants: Mapping[str, Floats], taken: set[str]) -> None:
        self.size, self.constants, self.taken = size, dict(constants), taken
        self.meanings: dict[str, str] = {}
        self._known: dict[Expression, str] = {}

    def block(self, statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
        result: list[Statement] = []
        for statement in statements:
            if isinstance(statement, Assign):
                value = self.fold(statement.value)
                if value != Name(statement.name):
                    result.append(replace(statement, value=value))
                continue
            condition = self.fold(statement.condition)
            body = self.block(statement.body)
            decided = self._decided(condition)
            if decided is None:
                result.append(Guard(condition, body, statement.line))
            elif decided:
                result += body
        return tuple(result)

    def fold(self, expression: Expression) -> Expression:
        if not isinstance(expression, Call):
            return expression
        if expression.op == "detach":
            return self.fold(expression.args[0])
        if expression.op in {"mul", "div"}:
            return self._product(expression)
        call = Call(expression.op, tuple(self.fold(a) for a in expression.args), expression.line, expression.column)
        if call.op == "select":
            decided = True if call.args[1] == call.args[2] else self._decided(call.args[0])
            return call if decided is None else call.args[1 if decided else 2]
        if self._constant(call):
            return self._named(call)
        if call.op == "sub" and call.args[0] == call.args[1]:
            return Const(0)
        if call.op in {"add", "sub"} and self._uniform(call.args[1], 0):
            return call.args[0]
        if call.op == "add" and self._uniform(call.args[0], 0):
            return call.args[1]
        if call.op == "sub" and self._uniform(call.args[0], 0):
            return Call("neg", call.args[1:])
        return call

    def _product(self, expression: Call) -> Expression:
        """One constant times the product of everything else, over what is divided by."""
        above, below, constant = list[Expression](), list[Expression](), list[Expression]()
        for factor, inverse in _factors(expression):
            folded = self.fold(factor)
            if self._constant(folded):
                constant.append(Call("div", (Const(1), folded)) if inverse else folded)
            else:
                (below if inverse else above).append(folded)
        if constant:
            factor = self._named(_multiplied(constant))
            if self._uniform(factor, 0):
                return Const(0)
            if not (above or below):
                return factor
            if not self._uniform(factor, 1):
                above.insert(0, factor)
        top = _multiplied(above) if above else Const(1)
        return Call("div", (top, _multiplied(below))) if below else top

    def _constant(self, expression: Expression) -> bool:
        return all(name in self.constants for name in names(expression))

    def _value(self, expression: Expression) -> Floats:
        with np.errstate(all="ignore"):
            value = evaluate(expression, self.constants, FLOATS)
        return np.broadcast_to(value, (self.size,)).astype(np.float64)

    def _uniform(self, expression: Expression, value: float) -> bool:
        return self._constant(expression) and bool((self._value(expression) == value).all())

    def _decided(self, condition: Expression) -> bool | None:
        if not self._constant(condition):
            return None
        values = self._value(condition) != 0
        return bool(values[0]) if (values == values[0]).all() else None

    def _named(self, expression: Expression) -> Expression:
        """Name of the constant that an expression is; a literal stays one."""
        if isinstance(expression, Name | Const):
            return expression
        if not any(True for _ in names(expression)):
            return Const(float(self._value(expression)[0]))
        if expression not in self._known:
            name = free_name("c1", self.taken)
            self._known[expression] = name
            self.constants[name], self.meanings[name] = self._value(expression), written(expression)
        return Name(self._known[expression])


def free_name(wanted: str, taken: set[str]) -> str:
    """A name that nothing has yet, noted as taken: the wanted one, or the next by its number."""
    stem = wanted.rstrip("0123456789")
    number = int(wanted[len(stem) :] or 1)
    name = wanted
    while name in taken:
        number += 1
        name = f"{stem}{number}"
    taken.add(name)
    return name


def _factors(expression: Expression, *, inverse: bool = False) -> Iterator[tuple[Expression, bool]]:
    if isinstance(expression, Call) and expression.op in {"mul", "div"}:
        yield from _factors(expression.args[0], inverse=inverse)
        yield from _factors(expression.args[1], inverse=inverse != (expression.op == "div"))
    elif isinstance(expression, Call) and expression.op == "detach":
        yield from _factors(expression.args[0], inverse=inverse)
    else:
        yield expression, inverse


def _multiplied(factors: list[Expression]) -> Expression:
    product = factors[0]
    for factor in factors[1:]:
        product = Call("mul", (product, factor))
    return product


class _Hoister:
    """Gives each curve, and what it is a curve of, a line and a name of its own."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = taken

    def block(self, statements: tuple[Statement, ...]) -> tuple[Statement, ...]:
        result: list[Statement] = []
        for statement in statements:
            before: list[Statement] = []
            if isinstance(statement, Assign):
                value = self._value(statement.value, before, top=True)
                result += [*before, replace(statement, value=value)]
            else:
                condition = self._value(statement.condition, before, top=False)
                result += [*before, Guard(condition, self.block(statement.body), statement.line)]
        return tuple(result)

    def _value(self, expression: Expression, before: list[Statement], *, top: bool) -> Expression:
        arguments = set[Expression]()
        _arguments(expression, arguments)
        known: dict[Expression, Name] = {}

        def name(value: Expression, wanted: str) -> Name:
            made = Name(free_name(wanted, self.taken))
            before.append(Assign(made.id, value))
            return made

        def walk(part: Expression, *, top: bool) -> Expression:
            if not isinstance(part, Call):
                return part
            if part in known:
                return known[part]
            call = Call(part.op, tuple(walk(a, top=False) for a in part.args))
            if part.op in CURVES and not top:
                known[part] = name(call, "ratio1" if part.op == "div" else f"{part.op.rstrip('12')}1")
            elif part in arguments and not top:
                known[part] = name(call, "z1")
            return known.get(part, call)

        return walk(expression, top=top)


def _arguments(expression: Expression, found: set[Expression]) -> None:
    if isinstance(expression, Call):
        for argument in expression.args:
            if expression.op in CURVES and isinstance(argument, Call):
                found.add(argument)
            _arguments(argument, found)


def _alive(statements: tuple[Statement, ...], states: Mapping[str, Floats]) -> tuple[Statement, ...]:
    """Statements without those whose values nobody reads: not this step, not the next, and not outside."""
    while True:
        kept = {*read(statements), SPIKE}
        after = {name for name in states if name in kept} | {SPIKE}
        found, _ = _living(statements, after)
        if found == statements:
            return statements
        statements = found


def _living(statements: tuple[Statement, ...], after: set[str]) -> tuple[tuple[Statement, ...], set[str]]:
    live, result = set(after), list[Statement]()
    for statement in reversed(statements):
        if isinstance(statement, Assign):
            if statement.name not in live:
                continue
            live.discard(statement.name)
            live |= set(names(statement.value))
            result.append(statement)
            continue
        body, inside = _living(statement.body, live)
        if body:
            live |= inside | set(names(statement.condition))
            result.append(replace(statement, body=body))
    return tuple(reversed(result)), live


def _faults(statements: tuple[Statement, ...], where: str) -> list[Fault]:
    found: dict[str, Fault] = {}

    def walk(expression: Expression) -> None:
        if isinstance(expression, Call):
            if expression.op in REFUSED:
                must = "what a step computes is +, -, *, /, comparisons, min, max, abs, clip, exp, exp2, expm1"
                was, todo = f"{expression.op} in a step", "compute it in `once`, from parameters alone"
                found.setdefault(expression.op, Fault("ND1701", where, was, must, todo))
            for argument in expression.args:
                walk(argument)

    for statement in _all(statements):
        walk(statement.condition if isinstance(statement, Guard) else statement.value)
    return list(found.values())


def _all(statements: tuple[Statement, ...]) -> Iterator[Statement]:
    for statement in statements:
        yield statement
        if isinstance(statement, Guard):
            yield from _all(statement.body)

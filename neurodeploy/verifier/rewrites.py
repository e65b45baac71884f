"""Rewritings of step texts: what somebody may have computed instead, line by line."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from neurodeploy.chips import Handler, NeuronKind
from neurodeploy.step import Assign, Call, Const, Guard, Name, Text, assigned
from neurodeploy.step.tree import Expression, Statement, names, read

Statements = tuple[Statement, ...]
#: place of a text ("step", or the name of a connection and "on_input") -> its handler
Handlers = Mapping[str, Handler]
Change = Callable[[Expression], Expression | None]

STRICT = {"ge": "gt", "gt": "ge", "le": "lt", "lt": "le"}
SPELLED = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
SHIFTS = {"shr": "toward minus infinity", "shift_to_zero": "toward zero", "round_half_even": "to the nearest"}
UP = "upwards"
WRAP, EDGES, WIDTH = "wrap", "edges", "width"
_BOUND = {
    WRAP: "wrapping instead of saturating",
    EDGES: "saturating instead of wrapping, where it turns",
    WIDTH: "saturating instead of wrapping, at the width of a register",
}
LATE = "late_"  # prefix of what a postponed reset has still to add


@dataclass(frozen=True)
class Rewrite:
    """Other texts of one neuron kind.

    words : what is different, in words
    texts : place of a text -> its statements
    extra : names that a neuron keeps between texts besides its states; 0 at the start
    way : what a program that does so everywhere would do in the texts of other kinds, too; empty for a single line
    """

    words: str
    texts: Mapping[str, Statements]
    extra: tuple[str, ...] = ()
    way: str = ""

    def handler(self, place: str, original: Handler) -> Handler:
        """The handler that runs instead of the original; its widths are not checked."""
        statements = self.texts[place]
        written = frozenset(a.name for a in assigned(statements))
        kept = (original.writes & written) | (written & frozenset(self.extra))
        text = Text(statements, original.text.source, original.text.where)
        return replace(original, text=text, reads=frozenset(read(statements)), writes=kept, unproved=frozenset())


def other_comparisons(kind: NeuronKind, handlers: Handlers) -> Iterator[Rewrite]:
    """Every comparison with the threshold, strict where it was not and the other way round."""
    every: dict[str, Statements] = {}
    for place, handler in handlers.items():
        for condition in _decisions(kind, handler):
            changed = Call(STRICT[condition.op], condition.args)
            words = f"{_line(handler, condition.line)} with {SPELLED[changed.op]} instead of {SPELLED[condition.op]}"
            yield Rewrite(words, {place: mapped(handler.text.statements, _instead(condition, changed))})
            every[place] = mapped(every.get(place, handler.text.statements), _instead(condition, changed))
    if every:
        yield Rewrite(f"all comparisons with the threshold of {kind.name!r}", every, way="comparisons")


def late_resets(kind: NeuronKind, handlers: Handlers) -> Iterator[Rewrite]:
    """What a spike changes of the states that decided it is changed when the neuron is next computed."""
    for place, handler in handlers.items():
        for condition in _decisions(kind, handler):
            states = [s for s in kind.states if s in set(names(condition))]
            lines = [a.line for a in assigned(handler.text.statements) if a.name in states and a.line > condition.line]
            late = {a.name for a in assigned(handler.text.statements) if a.name in states and a.line in lines}
            if not late:
                continue
            texts = {p: h.text.statements for p, h in handlers.items()}
            texts[place] = _postponed(handler.text.statements, late, condition.line)
            touched = {
                p: (*_made_up(late), *statements)
                for p, statements in texts.items()
                if late & ({a.name for a in assigned(statements)} | set(read(statements)))
            }
            told = f"the reset in {handler.text.where}, line {', '.join(map(str, lines))}, made when"
            kept = tuple(LATE + s for s in sorted(late))
            yield Rewrite(f"{told} that text next runs", {place: touched[place]}, kept, "resets")
            if len(touched) > 1:
                yield Rewrite(f"{told} any text next runs", touched, kept, "resets")


def other_bounds(kind: NeuronKind, handlers: Handlers) -> Iterator[Rewrite]:
    """Saturation where a text wraps, and wrapping where it saturates; line by line, then all lines together."""
    every: dict[str, dict[str, Statements]] = {way: {} for way in _BOUND}
    for place, handler in handlers.items():
        for assign in assigned(handler.text.statements):
            bits = kind.states[assign.name].signed if assign.name in kind.states else None
            seen = {assign.value}
            for way, together in every.items():
                value = _mapped(assign.value, _bounded(bits, way))
                if value in seen:
                    continue
                seen.add(value)
                one = with_value(handler.text.statements, assign, value)
                yield Rewrite(f"{_line(handler, assign.line)} {_BOUND[way]}", {place: one})
                together[place] = with_value(together.get(place, handler.text.statements), assign, value)
    for way, together in every.items():
        if together:
            yield Rewrite(f"all lines of {kind.name!r} {_BOUND[way]}", together, way=_BOUND[way])


def other_roundings(kind: NeuronKind, handlers: Handlers) -> Iterator[Rewrite]:
    """Every decay of a state, rounded in another direction, or without the least step that keeps it from stopping."""
    every: dict[str, dict[str, Statements]] = {}
    for place, handler in handlers.items():
        for assign in assigned(handler.text.statements):
            if not set(names(assign.value)) & set(kind.states):
                continue
            seen = {assign.value}
            for way, least in product((*SHIFTS, UP), (True, False)):
                value = _mapped(assign.value, _rounded(way, least=least))
                if value in seen:
                    continue
                seen.add(value)
                told = f"rounded {SHIFTS.get(way, UP)}{'' if least else ', without a least step'}"
                one = with_value(handler.text.statements, assign, value)
                yield Rewrite(f"{_line(handler, assign.line)} {told}", {place: one})
                together = every.setdefault(told, {})
                together[place] = with_value(together.get(place, handler.text.statements), assign, value)
    for told, texts in every.items():
        yield Rewrite(f"all decays of {kind.name!r} {told}", texts, way=told)


def mapped(statements: Statements, change: Change) -> Statements:
    """Statements with another expression wherever ``change`` gives one."""
    return tuple(
        Assign(s.name, _mapped(s.value, change), s.line)
        if isinstance(s, Assign)
        else Guard(_mapped(s.condition, change), mapped(s.body, change), s.line)
        for s in statements
    )


def with_value(statements: Statements, assign: Assign, value: Expression) -> Statements:
    """Statements in which one assignment has another value."""
    return tuple(
        Guard(s.condition, with_value(s.body, assign, value), s.line)
        if isinstance(s, Guard)
        else Assign(s.name, value, s.line)
        if (s.name, s.line) == (assign.name, assign.line)
        else s
        for s in statements
    )


def _mapped(expression: Expression, change: Change) -> Expression:
    found = change(expression)
    if found is not None:
        return found
    if not isinstance(expression, Call):
        return expression
    arguments = tuple(_mapped(a, change) for a in expression.args)
    return expression if arguments == expression.args else replace(expression, args=arguments)


def _instead(old: Expression, new: Expression) -> Change:
    return lambda node: new if node is old else None


def _line(handler: Handler, number: int) -> str:
    return f"{handler.text.where}, line {number} ({handler.text.line(number)})"


def _decisions(kind: NeuronKind, handler: Handler) -> Iterator[Call]:
    """Comparisons that decide a spike: of the threshold, or where nobody names one, of the line that emits."""
    threshold = None if kind.deploy is None else kind.deploy.threshold
    for node, target in _conditions(handler.text.statements):
        read_here = set(names(node))
        if node.op in STRICT and (threshold in read_here if threshold else target == kind.emits):
            yield node


def _conditions(statements: Sequence[Statement]) -> Iterator[tuple[Call, str]]:
    """Every comparison, with the name whose assignment or guard it decides."""
    for statement in statements:
        if isinstance(statement, Assign):
            yield from ((c, statement.name) for c in _calls(statement.value))
        else:
            inside = [a.name for a in assigned(statement.body)]
            yield from ((c, name) for c in _calls(statement.condition) for name in inside[-1:])
            yield from _conditions(statement.body)


def _calls(expression: Expression) -> Iterator[Call]:
    if isinstance(expression, Call):
        if expression.op in STRICT:
            yield expression
        for argument in expression.args:
            yield from _calls(argument)


def _postponed(statements: Statements, states: set[str], after: int) -> Statements:
    """Assignments of states behind a line are kept as what they would add."""
    return tuple(
        Guard(s.condition, _postponed(s.body, states, after), s.line)
        if isinstance(s, Guard)
        else Assign(LATE + s.name, Call("sub", (s.value, Name(s.name))), s.line)
        if s.name in states and s.line > after
        else s
        for s in statements
    )


def _made_up(states: set[str]) -> Iterator[Statement]:
    for state in sorted(states):
        yield Assign(state, Call("add", (Name(state), Name(LATE + state))))
        yield Assign(LATE + state, Const(0))


def _bounded(bits: int | None, way: str) -> Change:
    """Exchange of a bound. bits : width of the signed state that is assigned, None where it is something else."""

    def change(node: Expression) -> Expression | None:
        if not isinstance(node, Call):
            return None
        if way != WRAP:
            return replace(node, op="sat") if node.op == "wrap" else _unturned(node, way)
        if node.op == "sat":
            return replace(node, op="wrap")
        if bits is not None and node.op in {"clip", "min", "max"}:
            return Call("wrap", (node.args[0], Const(bits)), node.line, node.column)
        return None

    return change


def _unturned(node: Call, way: str) -> Expression | None:
    """One turn of a register, ``x - m if x > h else ...``, as bounds: where it turns, or at the width of m."""
    if node.op != "select" or not isinstance(node.args[0], Call):
        return None
    condition, yes, no = node.args
    if not isinstance(condition, Call) or condition.op not in STRICT or not isinstance(yes, Call):
        return None
    value, edge = condition.args
    if yes.op not in {"add", "sub"} or yes.args[0] != value:
        return None
    turn = yes.args[1]
    if not isinstance(edge, Const) or not isinstance(turn, Const):
        return None
    if way == WIDTH:
        return Call("sat", (value, Const(int(turn.value).bit_length() - 1)))
    rest = (_unturned(no, way) if isinstance(no, Call) else None) or no
    inside = 0 if condition.op in {"gt", "lt"} else 1
    if condition.op in {"gt", "ge"}:
        return Call("min", (rest, Const(edge.value - inside)))
    return Call("max", (rest, Const(edge.value + inside)))


def _rounded(way: str, *, least: bool) -> Change:
    def change(node: Expression) -> Expression | None:
        if not isinstance(node, Call):
            return None
        if node.op == "select" and not least and any(isinstance(a, Const) for a in node.args[1:]):
            kept = [a for a in node.args[1:] if not isinstance(a, Const)]
            return _mapped(kept[0], change) if len(kept) == 1 and _shifts(kept[0]) else None
        if node.op not in SHIFTS:
            return None
        arguments = tuple(_mapped(a, change) for a in node.args)
        if way == UP:
            down = Call("shr", (Call("neg", arguments[:1]), arguments[1]))
            return Call("neg", (down,), node.line, node.column)
        return replace(node, op=way, args=arguments)

    return change


def _shifts(expression: Expression) -> bool:
    return isinstance(expression, Call) and (expression.op in SHIFTS or any(map(_shifts, expression.args)))

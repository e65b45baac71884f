"""From plain float statements to a text of whole numbers: every value gets a point, every line is rounded once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from neurodeploy.errors import Fault, Refusal
from neurodeploy.fixed.curves import COARSE, FINE, TABLES, Curves
from neurodeploy.fixed.floats import Floats
from neurodeploy.fixed.formats import Bits, Format, finest, format_of, most_places, rounded
from neurodeploy.fixed.plain import CURVES, INPUT, Plain, free_name
from neurodeploy.fixed.values import ROUNDINGS, WIDEST, Arithmetic, Exact, Fixed, Value, bits_of, call, named, number
from neurodeploy.fixed.words import written
from neurodeploy.step import Assign, Call, Const, Interval, Name, assigned
from neurodeploy.step.intervals import hull
from neurodeploy.step.language import Expression, Statement

#: Width of literals: finer than any parameter.
LITERAL = 28
FIRING = {"above": "gt", "at_or_above": "ge"}
COMPARISONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})


@dataclass(frozen=True)
class Constant:
    """A register of a neuron that no step changes.

    source : constant of the float neuron that it holds
    values : (neuron,) whole numbers
    """

    source: str
    format: Format
    values: tuple[int, ...]

    @property
    def holds(self) -> Interval:
        """Range of the register: its width, and no 0 where none is there, so that it can divide."""
        low = 0 if min(self.values) >= 0 else -(1 << self.format.bits - 1)
        high = (1 << self.format.bits - int(self.format.signed)) - 1
        return Interval(1 if min(self.values) > 0 else low, high)


@dataclass
class Written:
    """A derived text.

    lines : of the text, comments included
    registers : name -> constant
    formats : temporary name -> its format
    functions : of a chip file that the lines call
    lossy : for each assignment of the float text, in order, whether its line rounds
    reached : state -> range of what is assigned to it, before it is cut
    negative : states that are below 0 by their range although their format has no sign
    """

    lines: list[str] = field(default_factory=list)
    registers: dict[str, Constant] = field(default_factory=dict)
    formats: dict[str, Format] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    lossy: list[bool] = field(default_factory=list)
    reached: dict[str, Interval] = field(default_factory=dict)
    negative: set[str] = field(default_factory=set)

    @property
    def text(self) -> str:
        """The text as a chip file holds it."""
        return "\n".join(self.lines) + "\n"


class Writer:
    """Writes the text of one layer.

    states : format of each state, the emitted one included
    largest : name -> magnitude that counts, from calibration
    arriving : what enters: accumulators with their point and range
    """

    def __init__(
        self,
        neuron: Plain,
        bits: Bits,
        arithmetic: Arithmetic,
        states: Mapping[str, Format],
        largest: Mapping[str, float],
        whole: set[str],
        taken: set[str],
    ) -> None:
        self.neuron, self.bits, self.math, self.states = neuron, bits, arithmetic, states
        self.largest, self.whole, self.taken = largest, whole, set(taken)
        self.out = Written()
        self.known: dict[str, Value] = {n: Fixed(Name(n), f.fraction, f.interval) for n, f in states.items()}
        many = [a.name for a in assigned(neuron.statements)]
        self.often = {n for n in many if many.count(n) > 1}
        self.guarded = False

    def write(self, arriving: list[Fixed]) -> Written:
        """Write all lines."""
        self._enter(arriving)
        self._block(self.neuron.statements, "")
        return self.out

    def _enter(self, arriving: list[Fixed]) -> None:
        """The input of the step: the sum of what arrived."""
        total = arriving[0]
        for more in arriving[1:]:
            total = self.math.sum("add", total, more)
        wanted = self._working(INPUT, negative=total.range.low < 0)
        if len(arriving) == 1 and total.bits <= self.bits.working + 1:
            self.known[INPUT] = total
            return
        self.known[INPUT] = self._line(INPUT, self._cut(self._coarse(total, wanted), wanted), "")

    # --- statements -------------------------------------------------------------------------------------------------

    def _block(self, statements: tuple[Statement, ...], indent: str) -> None:
        for statement in statements:
            if isinstance(statement, Assign):
                self.out.lossy.append(False)
                self._assign(statement, indent)
                continue
            condition = self._condition(statement.condition)
            self.out.lines.append(f"{indent}if {written(condition)}:")
            before: dict[str, Value] = dict(self.known)
            guarded, self.guarded = self.guarded, True
            self._block(statement.body, indent + "    ")
            self.guarded = guarded
            # what existed before is a register of one format; what is new ends here
            self.known = {name: self._joined(name, value) for name, value in before.items()}

    def _joined(self, name: str, before: Value) -> Value:
        after: Value = self.known[name]
        if isinstance(before, Fixed) and isinstance(after, Fixed) and after.fraction == before.fraction:
            low, high = min(before.range.low, after.range.low), max(before.range.high, after.range.high)
            return Fixed(before.tree, before.fraction, Interval(low, high))
        return before

    def _assign(self, statement: Assign, indent: str) -> None:
        name, value = statement.name, statement.value
        target = self.states.get(name)
        if isinstance(value, Call) and value.op in CURVES:
            self.out.lines.append(f"{indent}# {name} = {written(value)}")
            wanted = target or self._working(name, negative=True)
            found = self._curve(value, wanted, indent)
            self.out.lossy[-1] = True
            self._keep(name, found, wanted, indent)
        elif target is not None:
            self._keep(name, self._at(value, target), target, indent)
        elif name in self.whole or name in self.often or self.guarded:
            wanted = self._working(name, negative=True)
            wanted = Format(wanted.bits, 0, signed=True) if name in self.whole else wanted
            self._keep(name, self._at(value, wanted), wanted, indent)
        else:
            made = self._value(value)
            if isinstance(made, Exact):
                self.known[name] = made
            else:
                wanted = self._working(name, negative=made.range.low < 0)
                self._keep(name, self._coarse(made, wanted), wanted, indent)

    def _keep(self, name: str, found: Fixed, wanted: Format, indent: str) -> None:
        target = self.states.get(name)
        moved = self._moved(found, wanted) if target is not None or name in self.often else found
        moved = self._coarse(moved, wanted)
        if target is not None and not target.signed and moved.range.low < 0:
            self.out.negative.add(name)
        if target is not None:
            self.out.reached[name] = hull(self.out.reached.get(name, moved.range), moved.range)
        form = Format(wanted.bits, moved.fraction, wanted.signed)
        cut = self._cut(moved, form)
        self.out.lossy[-1] |= self._rounds(cut.tree)
        self.known[name] = self._line(name, cut, indent)
        if target is None:
            width = bits_of(cut.range) - int(cut.range.low >= 0)
            self.out.formats[name] = Format(max(width, 1), cut.fraction, cut.range.low < 0)

    def _rounds(self, expression: Expression) -> bool:
        if not isinstance(expression, Call):
            return False
        return expression.op == ROUNDINGS[self.math.rounding] or any(map(self._rounds, expression.args))

    def _coarse(self, value: Fixed, wanted: Format) -> Fixed:
        return self.math.moved(value, wanted.fraction) if value.fraction > wanted.fraction else value

    def _cut(self, value: Fixed, form: Format) -> Fixed:
        """Saturate where the range demands it."""
        inside = form.interval
        if value.range.within(inside):
            return value
        if form.signed:
            return call("sat", value.fraction, value, number(form.bits))
        if value.range.low >= inside.low:
            return call("min", value.fraction, value, number(inside.high))
        if value.range.high <= inside.high:
            return call("max", value.fraction, value, number(inside.low))
        return call("clip", value.fraction, value, number(inside.low), number(inside.high))

    def _line(self, name: str, value: Fixed, indent: str) -> Fixed:
        self.out.lines.append(f"{indent}{name} = {written(value.tree)}")
        return named(name, value)

    def _working(self, name: str, *, negative: bool) -> Format:
        return format_of(self.largest.get(name, 0.0), self.bits.working, negative=negative)

    def _curve(self, value: Call, wanted: Format, indent: str) -> Fixed:
        def line(hint: str, of: Fixed) -> Fixed:
            return self._line(free_name(hint, self.taken), of, indent)

        curves, args = Curves(self.math, line), [self._settled(self._value(a)) for a in value.args]
        if value.op == "div":
            return curves.quotient(args[0], args[1], wanted)
        self.out.functions |= {head: body for head, body in TABLES.items() if head.split("(")[0] in (COARSE, FINE)}
        return curves.power(value.op, args[0], wanted)

    # --- expressions ------------------------------------------------------------------------------------------------

    def _settled(self, value: Value) -> Fixed:
        return value if isinstance(value, Fixed) else value.sharp()

    def _at(self, expression: Expression, wanted: Format) -> Fixed:
        """An expression with the point of a format; each side of a choice is rounded by itself."""
        if isinstance(expression, Call) and expression.op in {"select", "min", "max"}:
            head = (self._condition(expression.args[0]),) if expression.op == "select" else ()
            parts: list[Value] = [self._at(a, wanted) for a in expression.args[len(head) :]]
            return self._settled(self.math.chosen(expression.op, parts, head))
        value = self._value(expression)
        return self._moved(value if isinstance(value, Fixed) else value.at(wanted.fraction), wanted)

    def _moved(self, value: Fixed, wanted: Format) -> Fixed:
        """A value with the point of a format; what would leave the widest value saturates first, as it would later."""
        by = wanted.fraction - value.fraction
        if by <= 0 or value.bits + by <= WIDEST or isinstance(value.tree, Const):
            return self.math.moved(value, wanted.fraction)
        inside = wanted.interval
        cut = call("clip", value.fraction, value, number(inside.low >> by), number(-(-inside.high >> by)))
        if bits_of(cut.range) + by <= WIDEST:
            return self.math.moved(cut, wanted.fraction)
        return call("mul", wanted.fraction, cut, number(inside.high + 1))  # every value but 0 lies beyond

    def _value(self, expression: Expression) -> Value:
        if isinstance(expression, Const):
            return self._literal(float(expression.value))
        if isinstance(expression, Name):
            if expression.id in self.known:
                return self.known[expression.id]
            return self._constant(expression.id)
        op, args = expression.op, expression.args
        if op == "select":
            return self.math.chosen(op, [self._value(a) for a in args[1:]], (self._condition(args[0]),))
        if op in FIRING:
            fired = Call(FIRING[op], self._compared(args))
            return self._settled(self.math.chosen("select", [number(1), number(0)], (fired,)))
        if op in {"count", "count_above"}:
            return self._count(op, args)
        values = [self._value(a) for a in args]
        if op in {"add", "sub"}:
            return self.math.sum(op, values[0], values[1])
        if op == "mul":
            return self.math.product(values[0], values[1])
        if op == "neg":
            return self.math.negative(values[0])
        if op in {"min", "max"}:
            return self.math.chosen(op, values)
        if op == "clip":
            return self.math.chosen("min", [self.math.chosen("max", values[:2]), values[2]])
        if op == "abs":
            settled = self._settled(values[0])
            return call("abs", settled.fraction, settled)
        was = f"{op} in a step"
        raise Refusal(Fault("ND1701", self.neuron.where, was, "an operator with a form in whole numbers"))

    def _count(self, op: str, args: tuple[Expression, ...]) -> Fixed:
        """Floor of a quotient; for "count_above" one less at multiples."""
        v, threshold = self.math.aligned(*(self._value(a) for a in args))
        if op == "count_above":
            v = call("sub", v.fraction, v, number(1))
        divisor = threshold if threshold.range.low >= 1 else call("max", 0, threshold, number(1))
        return call("floordiv", 0, call("max", 0, v, number(0)), divisor)

    def _compared(self, args: tuple[Expression, ...]) -> tuple[Expression, ...]:
        return tuple(v.tree for v in self.math.aligned(*(self._value(a) for a in args)))

    def _condition(self, expression: Expression) -> Expression:
        if not isinstance(expression, Call):
            was = f"{written(expression)} as a condition"
            raise Refusal(Fault("ND1701", self.neuron.where, was, "a comparison"))
        if expression.op in COMPARISONS:
            return Call(expression.op, self._compared(expression.args))
        return Call(expression.op, tuple(self._condition(a) for a in expression.args))

    def _literal(self, value: float) -> Exact:
        most = finest(np.array([value]), LITERAL)

        def at(fraction: int) -> Fixed:
            f = min(fraction, most)
            return number(rounded([value], f)[0], f)

        return Exact(at, lambda: at(most))

    def _constant(self, name: str) -> Exact:
        values: Floats = self.neuron.constants[name]
        most = most_places(values, self.bits.parameter)

        def at(fraction: int) -> Fixed:
            return self._register(name, values, min(fraction, most))

        return Exact(at, lambda: at(finest(values, self.bits.parameter)))

    def _register(self, name: str, values: Floats, fraction: int) -> Fixed:
        held = rounded(values, fraction)
        if not any(held):
            return number(0, fraction)
        signed = min(held) < 0
        width = max(bits_of(Interval(min(held), max(held))) - int(not signed), 1)
        constant = Constant(name, Format(width, fraction, signed), tuple(held))
        for register, known in self.out.registers.items():
            if known == constant:
                return Fixed(Name(register), fraction, known.holds)
        register = name if name not in self.out.registers else free_name(f"{name}_{abs(fraction)}", self.taken)
        self.out.registers[register] = constant
        return Fixed(Name(register), fraction, constant.holds)


def whole_names(neuron: Plain) -> set[str]:
    """Names that hold whole numbers alone, whatever arrives."""
    found = {a.name for a in assigned(neuron.statements)}
    found |= {n for n, start in neuron.states.items() if (start == start.round()).all()}
    found -= {n for n, start in neuron.states.items() if (start != start.round()).any()}
    constants = {n for n, v in neuron.constants.items() if (v == v.round()).all()}
    while True:
        fractional = {a.name for a in assigned(neuron.statements) if not _is_whole(a.value, found | constants)}
        if not fractional & found:
            return found
        found -= fractional


def _is_whole(expression: Expression, known: set[str]) -> bool:
    if isinstance(expression, Const):
        return float(expression.value).is_integer()
    if isinstance(expression, Name):
        return expression.id in known
    if expression.op in {*FIRING, "count", "count_above"}:
        return True
    if expression.op in {"exp", "exp2", "expm1", "div"}:
        return False
    return all(_is_whole(a, known) for a in expression.args[1 if expression.op == "select" else 0 :])

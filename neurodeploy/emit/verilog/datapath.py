"""A step text as combinational Verilog: one wire for each operator, as wide as its interval asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from neurodeploy.chips import Handler
from neurodeploy.step import Assign, Const, Interval, Name
from neurodeploy.step.intervals import RANGES, hull
from neurodeploy.step.operators import CONDITIONS
from neurodeploy.step.tree import Expression, Statement


def width_of(interval: Interval) -> int:
    """Bits of the narrowest two's complement number that holds an interval."""
    return max((~interval.low if interval.low < 0 else interval.low).bit_length(), _size(interval.high)) + 1


def _size(value: int) -> int:
    return (~value if value < 0 else value).bit_length()


def literal(value: int) -> str:
    """Write a signed number; one bit more than it needs, so that its positive twin fits as well."""
    bits = _size(value) + 2
    return f"-{bits}'sd{-value}" if value < 0 else f"{bits}'sd{value}"


@dataclass(frozen=True)
class Wire:
    """A value: its name or number, its range; ``condition`` is one bit that is true or false."""

    code: str
    range: Interval
    condition: bool = False


@dataclass
class Datapath:
    """The wires of one text.

    results : register -> wire of its new value
    outside : register -> condition under which the result leaves it, for those where that is not proved never to happen
    """

    lines: list[str] = field(default_factory=list)
    results: dict[str, Wire] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    wires: int = 0


def datapath(handler: Handler, prefix: str, registers: Mapping[str, Wire], held: Mapping[str, Interval]) -> Datapath:
    """Write what a handler computes.

    prefix : of the names of all wires
    registers : everything that the text reads, as signed wires
    held : register that is written -> what it holds
    """
    return _Writer(handler, prefix, registers, held).datapath()


class _Writer:
    def __init__(
        self, handler: Handler, prefix: str, registers: Mapping[str, Wire], held: Mapping[str, Interval]
    ) -> None:
        self.handler, self.prefix, self.held = handler, prefix, held
        self.environment = dict(registers)
        self.versions: dict[str, int] = {}
        self.made = Datapath()

    def datapath(self) -> Datapath:
        self._block(self.handler.text.statements, self.environment)
        for name in sorted(self.handler.writes):
            wire = self.environment[name]
            self.made.results[name] = wire
            if name in self.handler.unproved and not wire.range.within(self.held[name]):
                low, high = self.held[name]
                beyond = f"({wire.code} < {literal(low)}) || ({wire.code} > {literal(high)})"
                self.made.outside[name] = self._truth(beyond).code
        return self.made

    def _block(self, statements: Sequence[Statement], environment: dict[str, Wire]) -> None:
        for statement in statements:
            line = self.handler.text.line(statement.line)
            self.made.lines.append(f"    // {line}")
            if isinstance(statement, Assign):
                environment[statement.name] = self._named(statement.name, self._value(statement.value, environment))
                continue
            condition = self._value(statement.condition, environment)
            inside = dict(environment)
            self._block(statement.body, inside)
            for name, before in list(environment.items()):
                if inside[name] is not before:
                    chosen = self._call("select", [condition, inside[name], before], name)
                    environment[name] = chosen

    def _named(self, name: str, wire: Wire) -> Wire:
        """The same value under a name of the text."""
        return self._wire(wire.code, wire.range, name)

    def _wire(self, code: str, interval: Interval, name: str = "t") -> Wire:
        self.versions[name] = self.versions.get(name, 0) + 1
        made = f"{self.prefix}_{name}_{self.versions[name]}"
        self.made.lines.append(f"    wire signed [{width_of(interval) - 1}:0] {made} = {code};")
        self.made.wires += 1
        return Wire(made, interval)

    def _truth(self, code: str) -> Wire:
        self.versions["is"] = self.versions.get("is", 0) + 1
        made = f"{self.prefix}_is_{self.versions['is']}"
        self.made.lines.append(f"    wire {made} = {code};")
        self.made.wires += 1
        return Wire(made, Interval(0, 1), condition=True)

    def _value(self, expression: Expression, environment: Mapping[str, Wire]) -> Wire:
        if isinstance(expression, Const):
            value = int(expression.value)
            return Wire(literal(value), Interval(value, value))
        if isinstance(expression, Name):
            return environment[expression.id]
        return self._call(expression.op, [self._value(a, environment) for a in expression.args])

    def _call(self, op: str, given: list[Wire], name: str = "t") -> Wire:
        codes = [w.code for w in given]
        if op in CONDITIONS:
            signs = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=", "and": "&&", "or": "||"}
            return self._truth(f"!{codes[0]}" if op == "not" else f"{codes[0]} {signs[op]} {codes[1]}")
        result = RANGES[op](*(w.range for w in given))
        if result.low == result.high:
            return Wire(literal(result.low), result)
        if op in _SIGNS:
            return self._wire(f"{codes[0]} {_SIGNS[op]} {codes[1]}", result, name)
        if op == "neg":
            return self._wire(f"-({codes[0]})", result, name)
        if op == "select":
            return self._wire(f"{codes[0]} ? {codes[1]} : {codes[2]}", result, name)
        if op in {"min", "max"}:
            return self._wire(
                f"({codes[0]} {'<' if op == 'min' else '>'} {codes[1]}) ? {codes[0]} : {codes[1]}", result
            )
        if op == "abs":
            return self._wire(f"({codes[0]} < 0) ? -({codes[0]}) : {codes[0]}", result)
        if op in {"clip", "sat"}:
            return self._clipped(op, given, result)
        if op == "wrap":
            bits = given[1].range.low
            # the lower bits alone; the result is read as a signed number
            low = self._wire(codes[0], Interval(-(1 << bits - 1), (1 << bits - 1) - 1))
            return Wire(low.code, result)
        return self._shifted(op, given, result)

    def _minus(self, wire: Wire) -> Wire:
        return self._call("neg", [wire])

    def _clipped(self, op: str, given: list[Wire], result: Interval) -> Wire:
        x = given[0].code
        if op == "sat":
            half = 1 << given[1].range.low - 1
            low, high = literal(-half), literal(half - 1)
        else:
            low, high = given[1].code, given[2].code
        raised = RANGES["max"](given[0].range, Interval(-half, -half) if op == "sat" else given[1].range)
        floor = self._wire(f"({x} < {low}) ? {low} : {x}", raised)
        return self._wire(f"({floor.code} > {high}) ? {high} : {floor.code}", result)

    def _shifted(self, op: str, given: list[Wire], result: Interval) -> Wire:
        """Shifts and division; what they need in between is wide enough for every operand."""
        (x, span), (n, much) = ((w.code, w.range) for w in given)
        if op == "floordiv":
            quotient = self._wire(f"{x} / {n}", hull(result, Interval(0, 0), RANGES["add"](result, Interval(0, 1))))
            rest = self._wire(f"{x} % {n}", Interval(min(span.low, 0), max(span.high, 0)))
            return self._wire(f"({rest.code} < 0) ? {quotient.code} - 2'sd1 : {quotient.code}", result)
        if op == "shl":
            return self._wire(f"{x} <<< {n}", result)
        if op == "shr":
            return self._wire(f"{x} >>> {n}", result)
        if op == "shift_to_zero":
            turned = self._minus(given[0])
            down = self._wire(f"{turned.code} >>> {n}", hull(Interval(-span.high, -span.low), Interval(0, 0)))
            up = self._wire(f"{x} >>> {n}", hull(span, Interval(0, 0)))
            return self._wire(f"({x} < 0) ? -{down.code} : {up.code}", result)
        if op == "round_half_even":
            whole = Interval(0, (4 << much.high) - 1)
            floor = self._wire(f"{x} >>> {n}", hull(RANGES["shr"](span, much), result))
            back = self._wire(f"{floor.code} <<< {n}", hull(RANGES["shl"](RANGES["shr"](span, much), much), span))
            rest = self._wire(f"{x} - {back.code}", whole)
            unit = self._wire(f"2'sd1 <<< {n}", whole)
            odd = self._wire(f"{floor.code} & 2'sd1", Interval(0, 1))
            beyond = self._truth(f"({rest.code} <<< 1) + {odd.code} > {unit.code}")
            return self._wire(f"{beyond.code} ? {floor.code} + 2'sd1 : {floor.code}", result)
        if much.low >= 0:  # scale2
            return self._wire(f"{x} <<< {n}", result)
        minus = self._minus(given[1])
        if much.high <= 0:
            return self._wire(f"{x} >>> {minus.code}", result)
        up = self._wire(f"{x} <<< {n}", hull(result, span))
        down = self._wire(f"{x} >>> {minus.code}", hull(result, span))
        return self._wire(f"({n} < 0) ? {down.code} : {up.code}", result)


_SIGNS = {"add": "+", "sub": "-", "mul": "*"}

"""A step text as combinational Verilog: one wire for each operator, as wide as its interval asks for.

Every operand is brought to the width of its operator in the text, so that nothing is left to the rules of the language.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from neurodeploy.chips import Handler
from neurodeploy.step import Assign, Const, Interval, Name
from neurodeploy.step.intervals import RANGES, hull, signed
from neurodeploy.step.operators import CONDITIONS
from neurodeploy.step.tree import Expression, Statement


def width_of(interval: Interval) -> int:
    """Bits of the narrowest two's complement number that holds an interval."""
    return max(_size(interval.low), _size(interval.high)) + 1


def _size(value: int) -> int:
    return (~value if value < 0 else value).bit_length()


def literal(value: int, bits: int = 0) -> str:
    """Write a signed number with its width: as it is asked for, or so that its positive twin fits as well."""
    bits = bits or _size(value) + 2
    return f"-{bits}'sd{-value}" if value < 0 else f"{bits}'sd{value}"


@dataclass(frozen=True)
class Wire:
    """A value: its name, its range; of one number the name is not used.

    condition : whether it is one bit that is true or false
    wider : bits that it is declared with, where these are more than its range asks for
    """

    code: str
    range: Interval
    condition: bool = False
    wider: int = 0

    @property
    def bits(self) -> int:
        """Bits that it is declared with."""
        return self.wider or width_of(self.range)

    @property
    def fixed(self) -> bool:
        """Whether it is one number."""
        return self.range.low == self.range.high

    def sized(self, bits: int) -> str:
        """Its value in so many bits: extended with its sign, or its lower bits."""
        if self.fixed:
            return literal(self.range.low, bits) if bits >= width_of(self.range) else _masked(self.range.low, bits)
        if bits < self.bits:
            return f"$signed({self.code}[{bits - 1}:0])"
        if bits == self.bits:
            return self.code
        more = bits - self.bits
        sign = f"{more}'b0" if self.range.low >= 0 else f"{{{more}{{{self.code}[{self.bits - 1}]}}}}"
        return f"$signed({{{sign}, {self.code}}})"


def _masked(value: int, bits: int) -> str:
    """Lower bits of a number."""
    return f"{bits}'d{value & (1 << bits) - 1}"


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
                low, high = (Wire("", Interval(end, end)) for end in self.held[name])
                below, above = self._condition("lt", [wire, low]), self._condition("gt", [wire, high])
                self.made.outside[name] = self._condition("or", [below, above]).code
        return self.made

    def _block(self, statements: Sequence[Statement], environment: dict[str, Wire]) -> None:
        for statement in statements:
            self.made.lines.append(f"    // {self.handler.text.line(statement.line)}")
            if isinstance(statement, Assign):
                environment[statement.name] = self._value(statement.value, environment, statement.name)
                continue
            condition = self._value(statement.condition, environment)
            inside = dict(environment)
            self._block(statement.body, inside)
            for name, before in list(environment.items()):
                if inside[name] is not before:
                    environment[name] = self._call("select", [condition, inside[name], before], name)

    def _next(self, name: str) -> str:
        self.versions[name] = self.versions.get(name, 0) + 1
        self.made.wires += 1
        return f"{self.prefix}_{name}_{self.versions[name]}"

    def _wire(self, code: str, interval: Interval, name: str = "t", wider: int = 0) -> Wire:
        made = Wire(self._next(name), interval, wider=wider)
        self.made.lines.append(f"    wire signed [{made.bits - 1}:0] {made.code} = {code};")
        return made

    def _truth(self, code: str) -> Wire:
        made = self._next("is")
        self.made.lines.append(f"    wire {made} = {code};")
        return Wire(made, Interval(0, 1), condition=True)

    def _value(self, expression: Expression, environment: Mapping[str, Wire], name: str = "t") -> Wire:
        if isinstance(expression, Const):
            return _number(int(expression.value))
        if isinstance(expression, Name):
            return environment[expression.id]
        return self._call(expression.op, [self._value(a, environment) for a in expression.args], name)

    def _condition(self, op: str, given: list[Wire]) -> Wire:
        if op == "not":
            return self._truth(f"!{given[0].code}")
        if op in {"and", "or"}:
            return self._truth(f"{given[0].code} {'&&' if op == 'and' else '||'} {given[1].code}")
        bits = max(w.bits for w in given)
        return self._truth(f"{given[0].sized(bits)} {_COMPARED[op]} {given[1].sized(bits)}")

    def _call(self, op: str, given: list[Wire], name: str = "t") -> Wire:
        if op in CONDITIONS:
            return self._condition(op, given)
        result = RANGES[op](*(w.range for w in given))
        if result.low == result.high:
            return _number(result.low)
        bits = width_of(result)
        if op in _SIGNS:
            return self._wire(f"{given[0].sized(bits)} {_SIGNS[op]} {given[1].sized(bits)}", result, name)
        if op == "neg":
            return self._wire(f"-{given[0].sized(bits)}", result, name)
        if op == "select":
            condition, yes, no = given
            return self._wire(f"{condition.code} ? {yes.sized(bits)} : {no.sized(bits)}", result, name)
        if op in {"min", "max"}:
            return self._chosen(op, given, result, name)
        if op == "abs":
            x = given[0]
            return self._wire(f"{x.code}[{x.bits - 1}] ? -{x.sized(bits)} : {x.sized(bits)}", result, name)
        if op == "sat":
            return self._call("clip", [given[0], *map(_number, signed(given[1].range.low))], name)
        if op == "clip":
            raised = self._chosen("max", given[:2], RANGES["max"](given[0].range, given[1].range))
            return self._chosen("min", [raised, given[2]], RANGES["min"](raised.range, given[2].range), name)
        if op == "wrap":
            return given[0] if given[0].range == result else self._wire(given[0].sized(bits), result, name)
        return self._shifted(op, given, result, name)

    def _chosen(self, op: str, given: list[Wire], result: Interval, name: str = "t") -> Wire:
        """The smaller or the larger of two; one that is so in any case is taken as it is."""
        a, b = given if op == "min" else (given[1], given[0])
        for x, y in ((given[0], given[1]), (given[1], given[0])):
            if (x.range.high <= y.range.low) if op == "min" else (x.range.low >= y.range.high):
                return x
        bits, wide = width_of(result), max(a.bits, b.bits)
        first, second = given
        return self._wire(
            f"({a.sized(wide)} < {b.sized(wide)}) ? {first.sized(bits)} : {second.sized(bits)}", result, name
        )

    def _shifted(self, op: str, given: list[Wire], result: Interval, name: str) -> Wire:
        """Shifts and division; what they need in between is wide enough for every operand."""
        x, n = given
        x = self._wire(x.sized(x.bits), x.range) if x.fixed else x
        amount = str(n.range.low) if n.fixed else n.code
        if op == "floordiv":
            return self._divided(x, n, result, name)
        if op == "shl" or (op == "scale2" and n.range.low >= 0):
            return self._wire(f"{x.sized(width_of(result))} <<< {amount}", result, name)
        if op == "shr":
            return self._down(x, n, result, name)
        if op == "scale2":
            return self._scaled(x, n, result, name)
        if op == "shift_to_zero":
            if x.range.low >= 0:
                return self._down(x, n, result, name)
            more = (1 << n.range.high) - 1
            reach = Interval(x.range.low, max(x.range.high, more))
            bits = width_of(reach)
            raise_by = literal(more, bits) if n.fixed else f"(({bits}'sd1 <<< {amount}) - {bits}'sd1)"
            raised = self._wire(
                f"{x.code}[{x.bits - 1}] ? {x.sized(bits)} + {raise_by} : {x.sized(bits)}", reach, wider=bits
            )
            return self._down(raised, n, result, name)
        # round_half_even
        bits = max(x.bits, n.range.high + 2) + 1
        wide = self._wire(x.sized(bits), x.range, wider=bits)
        floor = self._wire(f"{wide.code} >>> {amount}", signed(bits))
        rest = self._wire(f"{wide.code} - ({floor.code} <<< {amount})", signed(bits))
        odd = f"{{{bits - 1}'b0, {floor.code}[0]}}"
        beyond = self._truth(f"$signed(({rest.code} <<< 1) + {odd}) > $signed({bits}'sd1 <<< {amount})")
        rounded = self._wire(f"{beyond.code} ? {floor.code} + {bits}'sd1 : {floor.code}", signed(bits))
        return self._wire(rounded.sized(width_of(result)), result, name)

    def _down(self, x: Wire, n: Wire, result: Interval, name: str = "t") -> Wire:
        """A shift to the right, floored."""
        bits = width_of(result)
        if n.fixed:
            low = min(n.range.low, x.bits - 1)
            if (low, bits) == (0, x.bits):
                return x
            return self._wire(f"$signed({x.code}[{low + bits - 1}:{low}])", result, name)
        whole = x.sized(x.bits)  # of a number its value
        moved = self._wire(f"{whole} >>> {n.code}", hull(x.range, result), wider=max(x.bits, bits))
        return moved if moved.bits == bits else self._wire(moved.sized(bits), result, name)

    def _scaled(self, x: Wire, n: Wire, result: Interval, name: str) -> Wire:
        """By a power of two that may be below 0."""
        minus = self._call("neg", [n])
        if n.range.high <= 0:
            return self._down(x, minus, result, name)
        bits = max(width_of(result), x.bits)
        wide = self._wire(x.sized(bits), x.range, wider=bits)
        code = f"{n.code}[{n.bits - 1}] ? {wide.code} >>> {minus.code} : {wide.code} <<< {n.code}"
        moved = self._wire(code, hull(x.range, result), wider=bits)
        return self._wire(moved.sized(width_of(result)), result, name)

    def _divided(self, x: Wire, n: Wire, result: Interval, name: str) -> Wire:
        """Floor division; a power of two is a shift."""
        divisor = n.range.low
        if n.fixed and divisor & (divisor - 1) == 0:
            return self._down(x, _number(divisor.bit_length() - 1), result, name)
        bits, wide = width_of(result), max(x.bits, n.bits)
        a, b = x.sized(wide), n.sized(wide)
        quotient = self._wire(f"{a} / {b}", signed(wide))
        if x.range.low >= 0:
            return self._wire(quotient.sized(bits), result, name)
        back = self._wire(f"{quotient.code} * {b}", signed(wide))
        less = self._truth(f"{x.code}[{x.bits - 1}] && {back.code} != {a}")
        return self._wire(f"{quotient.sized(bits)} - {_extended(less.code, bits)}", result, name)


def _extended(bit: str, bits: int) -> str:
    """One bit as a number that is not below 0."""
    return bit if bits == 1 else f"$signed({{{bits - 1}'b0, {bit}}})"


def _number(value: int) -> Wire:
    return Wire("", Interval(value, value))


_SIGNS = {"add": "+", "sub": "-", "mul": "*"}
_COMPARED = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}

"""A step text as a C function over the registers of one neuron, each line with the line of the text above it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from neurodeploy.chips import Handler
from neurodeploy.emit.c.table import bare, call, needs, number
from neurodeploy.step import Assign, Const, Interval, Name, Text, assigned
from neurodeploy.step.intervals import RANGES, hull
from neurodeploy.step.operators import CONDITIONS
from neurodeploy.step.tree import Expression, Statement, read

#: Names of a text that C keeps for itself, or that a compiler warns about.
RESERVED = frozenset(
    word
    for line in (
        "auto break case char const continue default do double else enum extern float for goto if inline int long main",
        "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while",
        "int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t",
    )
    for word in line.split()
)


def spelled(name: str) -> str:
    """Return the name that a name of a text has in C."""
    return f"{name}_" if name in RESERVED else name


@dataclass(frozen=True)
class Register:
    """Where a name of a text is kept.

    place : expression that reads it, and can be assigned to if it is a state
    range : what it can hold
    stored : C type in memory
    """

    place: str
    range: Interval
    stored: str = ""


@dataclass
class Function:
    """Body of a function that runs a text once.

    operators : how many the text has, both sides of every condition counted
    used : (helper, width) that it calls
    """

    lines: list[str] = field(default_factory=list)
    width: int = 32
    operators: int = 0
    used: set[tuple[str, int]] = field(default_factory=set)


def function_body(handler: Handler, registers: Mapping[str, Register], fault: str) -> Function:
    """Write what a handler does.

    registers : everything that the text reads or writes
    fault : statement for a value that a register does not hold; the register then keeps what it held
    """
    return _Writer(handler, registers, fault).function()


class _Writer:
    def __init__(self, handler: Handler, registers: Mapping[str, Register], fault: str) -> None:
        self.handler, self.registers, self.fault = handler, registers, fault
        self.text: Text = handler.text
        self.made = Function()

    def function(self) -> Function:
        """Twice: ranges say how wide the numbers must be, then the lines are written."""
        for name in self._wanted():
            self._widen("name", [], self.registers[name].range)
        self._follow(self.text.statements, self._ranges())
        made, self.made = self.made, Function(width=self.made.width)
        self._declare()
        environment = self._ranges()
        self._block(self.text.statements, environment, "    ")
        self._store(environment)
        self.made.operators = made.operators
        return self.made

    def _ranges(self) -> dict[str, Interval]:
        return {name: register.range for name, register in self.registers.items()}

    def _wanted(self) -> set[str]:
        """Registers that the text reads or writes."""
        return (set(read(self.text.statements)) | self.handler.writes) & set(self.registers)

    def _declare(self) -> None:
        number_type = f"int{self.made.width}_t"
        wanted = self._wanted()
        own = list(dict.fromkeys(a.name for a in assigned(self.text.statements)))
        for name, register in self.registers.items():
            if name in wanted:
                self.made.lines.append(f"    {number_type} {spelled(name)} = {register.place};")
        self.made.lines += [f"    {number_type} {spelled(n)} = 0;" for n in own if n not in self.registers]

    def _store(self, ranges: Mapping[str, Interval]) -> None:
        for name in sorted(self.handler.writes):
            register = self.registers[name]
            value, held = spelled(name), register.range
            store = f"{register.place} = ({register.stored}){value};"
            if name not in self.handler.unproved or ranges[name].within(held):
                self.made.lines.append(f"    {store}")
                continue
            outside = f"{value} < {number(held.low)} || {value} > {number(held.high)}"
            self.made.lines += [f"    if ({outside}) {{", f"        {self.fault}", "    } else {"]
            self.made.lines += [f"        {store}", "    }"]

    def _follow(self, statements: Iterable[Statement], environment: dict[str, Interval]) -> None:
        """Ranges and widths alone."""
        for statement in statements:
            if isinstance(statement, Assign):
                environment[statement.name] = self._value(statement.value, environment)[1]
            else:
                self._value(statement.condition, environment)
                inside = dict(environment)
                self._follow(statement.body, inside)
                self._join(environment, inside)

    @staticmethod
    def _join(environment: dict[str, Interval], inside: Mapping[str, Interval]) -> None:
        for name, interval in inside.items():
            environment[name] = hull(environment.get(name, interval), interval)

    def _block(self, statements: Sequence[Statement], environment: dict[str, Interval], margin: str) -> None:
        for statement in statements:
            self.made.lines.append(f"{margin}/* {self.text.line(statement.line).replace('*/', '* /')} */")
            if isinstance(statement, Assign):
                value, interval = self._value(statement.value, environment)
                environment[statement.name] = interval
                self.made.lines.append(f"{margin}{spelled(statement.name)} = {bare(value)};")
                continue
            condition, _ = self._value(statement.condition, environment)
            inside = dict(environment)
            self.made.lines.append(f"{margin}if ({bare(condition)}) {{")
            self._block(statement.body, inside, margin + "    ")
            self.made.lines.append(f"{margin}}}")
            self._join(environment, inside)

    def _value(self, expression: Expression, environment: Mapping[str, Interval]) -> tuple[str, Interval]:
        if isinstance(expression, Const):
            value = int(expression.value)
            self._widen("const", [], Interval(value, value))
            return number(value), Interval(value, value)
        if isinstance(expression, Name):
            interval = environment[expression.id]
            self._widen("name", [], interval)
            return spelled(expression.id), interval
        parts = [self._value(a, environment) for a in expression.args]
        ranges = [interval for _, interval in parts]
        op = expression.op
        result = Interval(0, 1) if op in CONDITIONS else RANGES[op](*ranges)
        self._widen(op, ranges, result)
        self.made.operators += 1
        return call(op, [code for code, _ in parts], ranges, self.made.width, self.made.used), result

    def _widen(self, op: str, ranges: list[Interval], result: Interval) -> None:
        self.made.width = max(self.made.width, needs(op, ranges, result))

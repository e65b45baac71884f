"""Hypothesis strategies of the project: values at the corners of widths, and random step texts."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from neurodeploy.step import Interval, signed, unsigned

# the same examples on every machine, and no clock that fails a test
settings.register_profile(
    "neurodeploy",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("neurodeploy")

TOP = 62  # every value of a random text lies in -2**TOP .. 2**TOP, so that its intervals fit int64

FUNCTIONS = {
    "dash(x, d)": "1 if x > 0 and x >> d == 0 else x >> d",
    "mean(x, y)": "shift_to_zero(x + y, 1)",
    "spread(x, y)": "mean(x, -y) + dash(x, 2)",
}


def corners(interval):
    """Values at and beside the ends and zero."""
    low, high = interval
    return sorted({v for v in (low, low + 1, -1, 0, 1, high - 1, high) if low <= v <= high})


def values(interval):
    """Values of a register: often a corner, else anywhere inside."""
    return st.sampled_from(corners(interval)) | st.integers(*interval)


def registers():
    """Ranges of registers of 1 to 40 bits."""
    return st.builds(lambda bits, kind: kind(bits), st.integers(1, 40), st.sampled_from([signed, unsigned]))


def bits_of(interval):
    """Smallest b such that the interval lies in -2**b .. 2**b."""
    return (max(-interval.low, interval.high, 1) - 1).bit_length()


@dataclass(frozen=True)
class Case:
    """A random step text that check_names and final_intervals accept, and the ranges of its names."""

    source: str
    ranges: dict[str, Interval]
    states: frozenset[str]
    functions: dict[str, str] = field(default_factory=lambda: FUNCTIONS)

    def environments(self):
        """One value for every name."""
        return st.fixed_dictionaries({name: values(interval) for name, interval in self.ranges.items()})

    def rows(self, number):
        """A number of values for every name."""
        return st.fixed_dictionaries(
            {n: st.lists(values(i), min_size=number, max_size=number) for n, i in self.ranges.items()}
        )


class _Writer:
    """Writes a text; each expression comes with a b such that its value lies in -2**b .. 2**b."""

    def __init__(self, draw, ranges, states):
        self.draw, self.ranges, self.states = draw, ranges, states
        self.known = {name: bits_of(interval) for name, interval in ranges.items()}
        self.temporaries = 0

    def one(self, *options):
        return self.draw(st.sampled_from(options))

    def upto(self, most):
        return self.draw(st.integers(0, most))

    # expressions

    def number(self, depth):
        kinds = (self.arithmetic, self.shifting, self.bounding, self.choosing, self.calling)
        return self.one(*kinds, self.leaf)(depth - 1) if depth else self.leaf(0)

    def leaf(self, _):
        if self.upto(3) == 0:
            value = self.draw(values(self.draw(registers())))
            return str(value), bits_of(Interval(value, value))
        name = self.one(*sorted(self.known))
        return name, self.known[name]

    def small(self, bits, depth):
        """Write an expression of at most so many bits."""
        source, b = self.number(depth)
        return (source, b) if b <= bits else (f"{self.one('sat', 'wrap')}({source}, {bits + 1})", bits)

    def bounded(self, name, low, high, depth):
        """Write a number in low..high: a parameter, a bounded expression or a literal."""
        kind = self.upto(2)
        if kind == 0 and self.ranges[name].within(Interval(low, high)):
            return name
        if kind == 1:
            return f"clip({self.number(depth)[0]}, {low}, {high})"
        return str(self.draw(values(Interval(low, high))))

    def arithmetic(self, depth):
        op = self.one("+", "-", "*", "//", "neg")
        if op == "neg":
            source, b = self.number(depth)
            return f"-{source}" if source[0] != "-" else f"-({source})", b
        if op == "//":
            source, b = self.number(depth)
            divisor = self.one("divisor", f"max({self.number(depth)[0]}, 1)", str(1 + self.upto(2**20)))
            return f"({source} // {divisor})", b
        first, b = self.small(TOP - 1, depth)
        second, c = self.small(TOP - b if op == "*" else TOP - 1, depth)
        return f"({first} {op} {second})", b + c if op == "*" else max(b, c) + 1

    def shifting(self, depth):
        op = self.one("<<", ">>", "shift_to_zero", "round_half_even", "scale2")
        most = self.one(0, 1, 2, 8, TOP) if op in {"<<", "scale2"} else 0
        source, b = self.small(TOP - most, depth)
        if op == "scale2":
            return f"scale2({source}, {self.bounded('exponent', -TOP, most, depth)})", b + most
        n = self.bounded("shift", 0, most if op == "<<" else TOP, depth)
        return f"({source} {op} {n})" if op in {"<<", ">>"} else f"{op}({source}, {n})", b + most

    def bounding(self, depth):
        op = self.one("sat", "wrap", "min", "max", "clip", "abs")
        if op in {"sat", "wrap"}:
            bits = self.one(1, 2, 8, 16, 40, 63)
            return f"{op}({self.number(depth)[0]}, {bits})", bits - 1
        arguments = [self.number(depth) for _ in range({"clip": 3, "abs": 1}.get(op) or 2 + self.upto(1))]
        return f"{op}({', '.join(source for source, _ in arguments)})", max(b for _, b in arguments)

    def choosing(self, depth):
        (first, b), (second, c) = self.number(depth), self.number(depth)
        return f"({first} if {self.condition(depth)} else {second})", max(b, c)

    def calling(self, depth):
        head = self.one("dash", "mean", "spread")
        first, b = self.small(TOP - 3, depth)
        if head == "dash":
            return f"dash({first}, {self.bounded('shift', 0, TOP, depth)})", b
        second, c = self.small(TOP - 3, depth)
        return f"{head}({first}, {second})", max(b, c) + 2

    def condition(self, depth):
        op = self.one("<", "<=", ">", ">=", "==", "!=", "and", "or", "not")
        if op in {"and", "or"} and depth:
            return f"({self.condition(depth - 1)} {op} {self.condition(depth - 1)})"
        if op == "not" and depth:
            return f"(not {self.condition(depth - 1)})"
        comparison = op if op not in {"and", "or", "not"} else "<"
        return f"{self.number(depth)[0]} {comparison} {self.number(depth)[0]}"

    # statements

    def block(self, indent, depth):
        """Write lines; temporaries of a block are read at its end."""
        lines, fresh = [], []
        for _ in range(1 + self.upto(2)):
            kind = self.upto(3)
            if kind == 0 and depth:
                lines += [f"{indent}if {self.condition(1)}:"]
                before = dict(self.known)
                lines += self.block(indent + "    ", depth - 1)
                self.known = {name: max(b, self.known[name]) for name, b in before.items()}
                continue
            old = sorted(name for name in self.known if name[0] == "t")
            source, b = self.small(TOP - 1, 2)
            if kind == 1:
                name = f"t{self.temporaries}"
                self.temporaries += 1
                fresh.append(name)
            elif kind == 2 and old:
                name = self.one(*old)
                source, b = f"min({name}, {source})", max(b, self.known[name])
            else:
                name = self.one(*self.states)
            self.known[name] = b
            lines.append(f"{indent}{name} = {source}")
        for name in fresh:
            state = self.one(*self.states)
            lines.append(f"{indent}{state} = wrap({self.small(TOP - 1, 0)[0]} - sat({name}, {TOP}), 40)")
            self.known[state] = 39
            del self.known[name]
        return lines


@st.composite
def texts(draw):
    """Random texts over two states and parameters of random widths, with all operators, functions and guards."""
    ranges = {name: draw(registers()) for name in ("v", "w", "parameter", "external")}
    ranges["shift"] = Interval(0, draw(st.integers(0, TOP)))
    ranges["exponent"] = draw(st.integers(1, 6).map(signed))
    ranges["divisor"] = Interval(1, 2 ** draw(st.integers(1, 40)))
    writer = _Writer(draw, ranges, ("v", "w"))
    return Case("\n".join(writer.block("", 2)), ranges, frozenset({"v", "w"}))

"""Arithmetic on fixed-point expressions: trees of the step language with the place of their point and their range."""

from collections.abc import Callable
from dataclasses import dataclass

from neurodeploy.fixed.plain import SPIKE
from neurodeploy.step import Call, Const, Interval, Name
from neurodeploy.step.intervals import RANGES, hull
from neurodeploy.step.language import Expression

#: Bits of the largest value inside an expression, sign included: every executor computes in 64.
WIDEST = 62
#: rounding -> operator that divides by a power of two so
ROUNDINGS = {"nearest": "round_half_even", "floor": "shr", "to_zero": "shift_to_zero"}


@dataclass(frozen=True)
class Fixed:
    """An expression whose value stands for itself times 2 ** -fraction, and the whole numbers that it can be."""

    tree: Expression
    fraction: int
    range: Interval

    @property
    def bits(self) -> int:
        """Bits that hold every value, sign included."""
        return bits_of(self.range)


@dataclass(frozen=True)
class Exact:
    """A constant, or a choice among constants, which takes the point of what it meets.

    at : the nearest with so many fraction bits, or with fewer where its register has no room for more
    sharp : with as many as are worth having
    """

    at: Callable[[int], Fixed]
    sharp: Callable[[], Fixed]


Value = Fixed | Exact


def bits_of(interval: Interval) -> int:
    """Bits of the narrowest signed register that holds an interval."""
    return max(interval.high.bit_length(), (-interval.low - 1).bit_length() if interval.low < 0 else 0) + 1


def call(op: str, fraction: int, *args: Fixed) -> Fixed:
    """An operator on whole numbers."""
    return Fixed(Call(op, tuple(a.tree for a in args)), fraction, RANGES[op](*(a.range for a in args)))


def number(value: int, fraction: int = 0) -> Fixed:
    """A literal."""
    return Fixed(Const(value), fraction, Interval(value, value))


@dataclass(frozen=True)
class Arithmetic:
    """Sums, products and comparisons of values with different points; rounds where it must, by one stated rule."""

    rounding: str

    def moved(self, value: Fixed, fraction: int) -> Fixed:
        """The same value with another point; rounded where that has fewer fraction bits."""
        by = fraction - value.fraction
        if by == 0:
            return value
        if isinstance(value.tree, Const) and by > 0:
            return number(int(value.tree.value) << by, fraction)
        if value.range == Interval(0, 0):
            return number(0, fraction)
        if by > 0:
            return call("shl", fraction, value, number(by))
        if -by >= WIDEST:
            return number(0, fraction)
        return call(ROUNDINGS[self.rounding], fraction, value, number(-by))

    def narrowed(self, value: Fixed, bits: int) -> Fixed:
        """A value of at most so many bits: last places are rounded off where it has more."""
        found, by = value, value.bits - bits
        while found.bits > bits:  # rounding up can reach one bit more
            found = self.moved(value, value.fraction - by)
            by += 1
        return found

    def aligned(self, *values: Value) -> list[Fixed]:
        """Values with one point, the finest among them that leaves room for a sum of two."""
        known = [v for v in values if isinstance(v, Fixed)]
        if not known:
            known = [v.sharp() for v in values if isinstance(v, Exact)]
        fraction = max(v.fraction for v in known)
        found = [v if isinstance(v, Fixed) else v.at(fraction) for v in values]
        excess = max(v.bits + fraction - v.fraction for v in found) + 1 - WIDEST
        fraction -= max(excess, 0)
        return [self.moved(v, fraction) for v in found]

    def sum(self, op: str, a: Value, b: Value) -> Fixed:
        """``add`` or ``sub``."""
        left, right = self.aligned(a, b)
        return call(op, left.fraction, left, right)

    def product(self, a: Value, b: Value) -> Value:
        """Product; exact where both together fit the widest value, else the wider factor is rounded."""
        for whole, other in ((a, b), (b, a)):
            if isinstance(other, Exact) and isinstance(whole, Fixed) and _counts(whole):
                return self._scaled(whole, other)
        if isinstance(a, Exact) and isinstance(b, Exact):
            return self._scaled(a.sharp(), b)
        left = a if isinstance(a, Fixed) else a.sharp()
        right = b if isinstance(b, Fixed) else b.sharp()
        for one, other in ((left, right), (right, left)):
            if one.tree == Const(1):
                return Fixed(other.tree, one.fraction + other.fraction, other.range)
        excess = left.bits + right.bits - WIDEST
        if excess > 0:
            if abs(left.bits - right.bits) < excess:
                left, right = self.narrowed(left, WIDEST // 2), self.narrowed(right, WIDEST // 2)
            elif left.bits > right.bits:
                left = self.narrowed(left, WIDEST - right.bits)
            else:
                right = self.narrowed(right, WIDEST - left.bits)
        return call("mul", left.fraction + right.fraction, left, right)

    def _scaled(self, whole: Fixed, constant: Exact) -> Exact:
        def times(value: Fixed) -> Fixed:
            return call("mul", whole.fraction + value.fraction, whole, value)

        return Exact(lambda f: times(constant.at(f - whole.fraction)), lambda: times(constant.sharp()))

    def negative(self, value: Value) -> Value:
        """Minus."""
        if isinstance(value, Exact):
            return Exact(lambda f: self._minus(value.at(f)), lambda: self._minus(value.sharp()))
        return self._minus(value)

    def _minus(self, value: Fixed) -> Fixed:
        return call("neg", value.fraction, value)

    def chosen(self, op: str, values: list[Value], head: tuple[Expression, ...] = ()) -> Value:
        """``select`` with its condition in ``head``, ``min`` or ``max``: one of several values."""

        def made(parts: list[Fixed]) -> Fixed:
            between = hull(*(p.range for p in parts)) if op == "select" else RANGES[op](*(p.range for p in parts))
            return Fixed(Call(op, (*head, *(p.tree for p in parts))), parts[0].fraction, between)

        constants = [v for v in values if isinstance(v, Exact)]
        if len(constants) == len(values):
            return Exact(
                lambda f: made(self.aligned(*(c.at(f) for c in constants))), lambda: made(self.aligned(*values))
            )
        return made(self.aligned(*values))


def _counts(value: Fixed) -> bool:
    """Whether a value takes a constant some times, as spikes do: then a text uses one and the same constant."""
    return value.fraction == 0 and (value.range.within(Interval(-1, 1)) or value.tree == Name(SPIKE))


def named(name: str, like: Fixed) -> Fixed:
    """The value of a name that holds an expression."""
    return Fixed(Name(name), like.fraction, like.range)

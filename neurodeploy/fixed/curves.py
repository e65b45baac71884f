"""Curves in whole numbers: powers of e and 2 by a table with linear interpolation, quotients by floor division.

2 ** p with p = whole + part: of the part the first four bits choose one of 16 entries 2 ** (k / 16), the next four one
of 16 entries 2 ** (k / 256); their product is one of 256 points, between which the rest interpolates linearly (the next
point is 2 ** (1 / 256) times this one). The relative error is at most ln(2) ** 2 / 8 * 256 ** -2 = 9.2e-7.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from neurodeploy.fixed.formats import Format
from neurodeploy.fixed.values import WIDEST, Arithmetic, Fixed, call, number
from neurodeploy.step import Call, Interval

#: Fraction bits of powers, of the bits that choose one of the 16 entries, and of the factor from e to 2.
POWER, CHOICE, FACTOR = 28, 4, 24
COARSE, FINE = "power16", "power256"
#: Magnitude of x below which exp(x) - 1 is its series, as a power of two.
SERIES = 4

#: No power of two that a double holds has an exponent so large: as a power of two.
BEYOND = 11

#: Gives an expression a line and a name: (hint, value) -> the name.
Line = Callable[[str, Fixed], Fixed]


def _table(steps: int, low: int, high: int) -> str:
    """A choice among 2 ** (k / steps), k from low to high, as a tree of comparisons."""
    if low == high:
        return str(round(math.ldexp(2 ** (low / steps), POWER)))
    middle = (low + high + 1) // 2
    return f"({_table(steps, low, middle - 1)} if k < {middle} else {_table(steps, middle, high)})"


#: Functions of a chip file with the two tables.
TABLES = {
    f"{COARSE}(k)": _table(16, 0, 15),
    f"{FINE}(k)": _table(256, 0, 15),
}


def _looked_up(table: str, steps: int, at: Fixed) -> Fixed:
    top = round(math.ldexp(2 ** (15 / steps), POWER))
    return Fixed(Call(table, (at.tree,)), POWER, Interval(1 << POWER, top))


@dataclass(frozen=True)
class Curves:
    """Writes the lines of a curve."""

    arithmetic: Arithmetic
    line: Line

    def power(self, op: str, x: Fixed, target: Format) -> Fixed:
        """``exp``, ``exp2`` or ``expm1`` of a value, with a point that suits the target."""
        high = max(target.bits - target.fraction, 1)
        if op == "expm1":
            return self._near_one(x, high)
        return self._power(x, target.fraction, high, natural=op == "exp")

    def _power(self, x: Fixed, fraction: int, high: int, *, natural: bool) -> Fixed:
        """A power with so many fraction bits; beyond 2 ** high it is 2 ** high or more."""
        math_ = self.arithmetic
        if natural:
            x = math_.narrowed(x, WIDEST - FACTOR - 2)
            x = call("mul", x.fraction + FACTOR, x, number(round(math.ldexp(math.log2(math.e), FACTOR))))
        if x.fraction < -BEYOND:  # every value but 0 is beyond both ends
            x = call("mul", 0, call("clip", 0, x, number(-1), number(1)), number(1 << BEYOND))
        # beyond these ends the result is 0 or saturates
        low = -(fraction + 2)
        excess = x.bits + POWER - x.fraction - WIDEST
        if excess > 0:
            ends = number(low << max(x.fraction, 0), x.fraction), number(high << max(x.fraction, 0), x.fraction)
            x = self.line("bounded", call("clip", x.fraction, x, *ends))
        x = math_.moved(x, POWER)
        p = self.line("p", call("clip", POWER, x, number(low << POWER), number(high << POWER)))
        whole = self.line("whole", call("shr", 0, p, number(POWER)))
        part = self.line("part", self._rest(p, whole, POWER, POWER))
        first = self.line("first", call("shr", 0, part, number(POWER - CHOICE)))
        rest = self.line("rest", self._rest(part, first, POWER - CHOICE, POWER))
        second = self.line("second", call("shr", 0, rest, number(POWER - 2 * CHOICE)))
        rest = self.line("rest", self._rest(rest, second, POWER - 2 * CHOICE, POWER))
        both = call("mul", 2 * POWER, _looked_up(COARSE, 16, first), _looked_up(FINE, 256, second))
        point = self.line("point", call("shr", POWER, both, number(POWER)))
        slope = number(round(math.ldexp(2 ** (1 / 256) - 1, POWER)))
        along = call("shr", POWER, call("mul", 0, rest, slope), number(POWER - 2 * CHOICE))
        gain = call("shr", POWER, call("mul", 2 * POWER, point, along), number(POWER))
        mantissa = self.line("mantissa", call("add", POWER, point, gain))
        places = fraction - POWER
        if places:
            whole = call("add" if places > 0 else "sub", 0, whole, number(abs(places)))
        return call("scale2", fraction, mantissa, whole)

    def _rest(self, value: Fixed, taken: Fixed, places: int, fraction: int) -> Fixed:
        """What is left below a place; the clip changes nothing and tells the proof so."""
        left = call("sub", fraction, value, call("shl", fraction, taken, number(places)))
        return call("clip", fraction, left, number(0), number((1 << places) - 1))

    def _near_one(self, x: Fixed, high: int) -> Fixed:
        """exp(x) - 1: by its series near 0, where the difference would lose its digits."""
        places = min(POWER, WIDEST - 2 - high)  # fewer where the widest value would not hold the largest power
        power = self._power(x, places, high, natural=True)
        far = call("sub", places, power, number(1 << places, places)) if places >= 0 else power
        one = number(1 << POWER, POWER)
        edge = 1 << (POWER - SERIES)
        end = 1 << max(x.fraction - SERIES, 0)
        near = call("clip", x.fraction, x, number(-end), number(end))
        near = self.line("near", self.arithmetic.moved(near, POWER))
        third = number(round(math.ldexp(1 / 3, POWER)))
        sum_ = call("add", POWER, one, call("shr", POWER, near, number(2)))
        sum_ = self.line("series", call("shr", POWER, call("mul", 0, near, sum_), number(POWER)))
        sum_ = call("add", POWER, one, call("shr", POWER, call("mul", 0, sum_, third), number(POWER)))
        sum_ = self.line("series", call("shr", POWER, call("mul", 0, near, sum_), number(POWER + 1)))
        sum_ = call("add", POWER, one, sum_)
        close = call("shr", POWER, call("mul", 0, near, sum_), number(POWER))
        inside = Call("lt", (Call("abs", (near.tree,)), number(edge).tree))
        chosen = self.arithmetic.chosen("select", [close, far], (inside,))
        if not isinstance(chosen, Fixed):
            raise TypeError("of two values with a point, the choice has one")
        return chosen

    def quotient(self, a: Fixed, b: Fixed, target: Format) -> Fixed:
        """Quotient, rounded toward 0; a divisor of 0 counts as its smallest step."""
        b = self.arithmetic.narrowed(b, WIDEST // 2)
        shift = max(target.fraction - a.fraction + b.fraction, 0)
        a = self.arithmetic.narrowed(a, max(WIDEST - shift, WIDEST // 2))
        shift = max(min(target.fraction - a.fraction + b.fraction, WIDEST - a.bits), 0)
        fraction = a.fraction + shift - b.fraction
        above, below = self.line("above", a), self.line("below", b)
        divisor = call("max", 0, call("abs", 0, below), number(1)) if b.range.low < 1 else below
        size = call("floordiv", fraction, call("shl", 0, call("abs", 0, above), number(shift)), divisor)
        size = self.line("size", size)
        if above.range.low >= 0 and below.range.low >= 0:
            return size
        apart = Call("ne", (_sign(above), _sign(below)))
        minus = call("neg", fraction, size)
        chosen = self.arithmetic.chosen("select", [minus, size], (apart,))
        if not isinstance(chosen, Fixed):
            raise TypeError("of two values with a point, the choice has one")
        return chosen


def _sign(value: Fixed) -> Call:
    return Call("select", (Call("lt", (value.tree, number(0).tree)), number(1).tree, number(0).tree))

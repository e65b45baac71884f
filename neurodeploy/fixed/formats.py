"""Formats of fixed-point numbers: how many bits, how many of them behind the point, with or without sign."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from neurodeploy.fixed.floats import Floats
from neurodeploy.step import Interval, signed, unsigned

#: Room above what calibration reaches before a register saturates: a factor.
HEADROOM = 1.5
#: Fraction bits beyond which a format of tiny numbers gains nothing.
FINEST = 40


@dataclass(frozen=True)
class Bits:
    """Widths that a derivation may use.

    state : of a register that keeps its value between steps
    parameter : of a constant of a neuron
    weight : of a synapse, sign included
    guard : bits that a value within a step has more than a state
    """

    state: int = 16
    parameter: int = 16
    weight: int = 16
    guard: int = 12

    @property
    def working(self) -> int:
        """Width of a value within a step."""
        return self.state + self.guard


@dataclass(frozen=True)
class Format:
    """How a register is read: a whole number of ``bits`` bits stands for itself times 2 ** -fraction."""

    bits: int
    fraction: int
    signed: bool

    @property
    def interval(self) -> Interval:
        """Whole numbers that the register holds."""
        return signed(self.bits) if self.signed else unsigned(self.bits)

    @property
    def step(self) -> float:
        """What one unit of the last place stands for."""
        return math.ldexp(1.0, -self.fraction)

    def __str__(self) -> str:
        sort = "signed" if self.signed else "unsigned"
        return f"{sort} {self.bits} bits, {self.fraction} of them fraction"


def format_of(largest: float, bits: int, *, negative: bool) -> Format:
    """The format of a width with the finest step that holds a magnitude, with headroom."""
    room = largest * HEADROOM
    whole = math.frexp(room)[1] if room > 0 else 0
    return Format(bits, min(bits - int(negative) - whole, FINEST), negative)


def whole_format(largest: float, *, negative: bool) -> Format:
    """The narrowest format of whole numbers that holds a magnitude."""
    return Format(max(int(largest).bit_length() + int(negative), 1), 0, negative)


def most_places(values: Floats, bits: int) -> int:
    """Fraction bits that a width has room for beside the largest of these constants."""
    largest, sign = float(abs(values).max(initial=0.0)), int(bool((values < 0).any()))
    whole = math.frexp(largest)[1] if largest > 0 else 0
    most = min(bits - sign - whole, FINEST)
    if round(math.ldexp(largest, most)).bit_length() > bits - sign:
        most -= 1  # rounding up reached the next power of two
    return most


def finest(values: Floats, bits: int) -> int:
    """Fraction bits that constants need: as few as hold them exactly, or else as many as the width has room for."""
    return min(max((_needed(v) for v in values), default=0), most_places(values, bits))


def _needed(value: float) -> int:
    mantissa, exponent = math.frexp(value)
    if mantissa == 0:
        return 0
    whole = int(math.ldexp(mantissa, 53))
    return max(53 - exponent - ((whole & -whole).bit_length() - 1), 0)


def rounded(values: Iterable[float], fraction: int) -> list[int]:
    """Nearest whole numbers of 2 ** -fraction, halves to even."""
    return [round(math.ldexp(float(v), fraction)) for v in values]

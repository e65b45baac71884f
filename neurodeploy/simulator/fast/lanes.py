"""Values as lines of code that numba turns into vector instructions: each in the narrowest type that its range allows.

numba widens every operation to 64 bits, so each result is cast back, and no literal stands without a type; sums,
products and shifts are functions of the prelude, which do not widen. Sums and
products are computed in the type of the result: where that fits, they are exact modulo its width. An operator that
looks at whole values (a shift to the right, a comparison) is computed in a type that holds its arguments, too.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from neurodeploy.simulator.fast.values import Value, Values
from neurodeploy.step import Interval, signed, unsigned

#: Types that arrays have, from the narrowest.
STORED: Mapping[str, Interval] = {
    name: (unsigned if name.startswith("u") else signed)(8 * np.dtype(name).itemsize)
    for name in ("uint8", "int8", "int16", "uint16", "int32", "int64")
}
SHORT, WORD, LONG = COMPUTED = tuple(8 * np.dtype(name).itemsize for name in ("int16", "int32", "int64"))
_MODULAR = frozenset({"add", "sub", "mul"})
_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_SHIFTS = frozenset({"shl", "shr", "shift_to_zero", "round_half_even", "scale2"})


def stored_type(interval: Interval) -> str:
    """Narrowest type of an array that holds a range."""
    return next(name for name, held in STORED.items() if interval.within(held))


def held_class(values: Any, declared: Interval) -> Interval:
    """Round the range of register values up to one of few, so that few kernels are compiled: 0, 1, or a width."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low == high and low in {0, 1}:
        return Interval(low, high)
    for bits in (1, 4, 7, 8, SHORT - 1, SHORT, WORD - 1, WORD):
        for wide in (unsigned(bits), signed(bits)):
            if Interval(low, high).within(wide):
                return Interval(max(wide.low, declared.low), min(wide.high, declared.high))
    return declared


def reached_class(interval: Interval, declared: Interval) -> Interval:
    """Round the range of a state up to one of few."""
    for bits in (8, SHORT, 20, 24, 28, WORD, 48):
        wide = Interval(0, signed(bits).high) if interval.low >= 0 else signed(bits)
        if interval.within(wide):
            return Interval(max(wide.low, declared.low), min(wide.high, declared.high))
    return declared


def width_of(interval: Interval) -> int:
    """Bits of the narrowest type to compute in."""
    return next(bits for bits in COMPUTED if interval.within(signed(bits)))


def literal(value: int, bits: int) -> str:
    """Write a number with its type."""
    if value == -(1 << 63):
        return "np.int64(-9223372036854775807 - 1)"
    return f"np.int{bits}({value})"


class Lines:
    """Writes the nodes that ends need, one local variable each.

    known : node -> expression that is already there (a loaded state, a parameter), of the type of its range
    """

    def __init__(self, values: Values, known: Mapping[int, str], prefix: str = "n") -> None:
        self.values, self.names, self.prefix = values, dict(known), prefix

    def write(self, ends: Iterable[int]) -> list[str]:
        """Return the lines; afterwards ``ref`` names the ends."""
        lines = []
        for node in sorted(self.values.needed(ends, self.names)):
            value = self.values.nodes[node]
            if value.op == "const":
                self.names[node] = literal(value.range.low, width_of(value.range))
            elif value.op == "truth":
                self.names[node] = str(bool(value.range.low))
            else:
                name = f"{self.prefix}{node}"
                lines += self._line(name, value)
                self.names[node] = name
        return lines

    def ref(self, node: int, bits: int | None = None) -> str:
        """Name of a node, cast to a type of so many bits."""
        value = self.values.nodes[node]
        if bits is None or value.is_condition or width_of(value.range) == bits:
            return self.names[node]
        return literal(value.range.low, bits) if value.op == "const" else f"np.int{bits}({self.names[node]})"

    def _line(self, name: str, value: Value) -> list[str]:
        if value.is_condition:
            return [f"{name} = {self._condition(value)}"]
        bits = width_of(value.range)
        at = self._width(value, bits)
        special = self._scaled_magnitude(value)
        if special is not None:
            x, k, places = special
            return _split_product(name, self.ref(x, WORD), self.ref(k, WORD), places, bits)
        lines, code = self._number(name, value, at)
        return [*lines, f"{name} = np.int{bits}({code})"]

    def _width(self, value: Value, bits: int) -> int:
        """Bits in which an operator is computed."""
        arguments = [self.values.nodes[a] for a in value.args if not self.values.nodes[a].is_condition]
        if value.op in _MODULAR or value.op in {"neg", "select"}:
            return bits
        whole = max([bits, *(width_of(a.range) for a in arguments[: 1 if value.op in _SHIFTS else None])])
        if value.op in _SHIFTS:
            most = max(abs(arguments[1].range.low), abs(arguments[1].range.high))
            room = most + (value.op == "round_half_even")  # which needs 2**n as a number
            whole = next(w for w in COMPUTED if w >= whole and w > room)
        return whole

    def _condition(self, value: Value) -> str:
        if value.op in _COMPARE:
            at = max(width_of(self.values.nodes[a].range) for a in value.args)
            left, right = (self.ref(a, at) for a in value.args)
            return f"{left} {_COMPARE[value.op]} {right}"
        refs = [self.ref(a) for a in value.args]
        return f"not {refs[0]}" if value.op == "not" else f"{refs[0]} {'&' if value.op == 'and' else '|'} {refs[1]}"

    def _scaled_magnitude(self, value: Value) -> tuple[int, int, int] | None:
        """Find (x * k) to zero by n places, 0 <= k <= 2**n, which fits 32 bits if taken in two halves."""
        if value.op != "shift_to_zero" or self.values.nodes[value.args[1]].op != "const":
            return None
        places, product = self.values.nodes[value.args[1]].range.low, self.values.nodes[value.args[0]]
        if product.op != "mul" or width_of(product.range) < LONG or places > SHORT:
            return None
        for x, k in (product.args, product.args[::-1]):
            factor = self.values.nodes[k].range
            if self.values.nodes[x].range.within(signed(WORD)) and factor.low >= 0 and factor.high <= 1 << places:
                return x, k, places
        return None

    def _number(self, name: str, value: Value, at: int) -> tuple[list[str], str]:
        op = value.op
        if op == "select":
            condition, a, b = value.args
            return [], f"{self.ref(a, at)} if {self.ref(condition)} else {self.ref(b, at)}"
        refs = [self.ref(a, at) for a in value.args]
        if op in _MODULAR:
            return [], f"_{op}({refs[0]}, {refs[1]})"
        if op in {"sat", "wrap"}:
            return self._bounded(name, value, refs[0], at)
        one, top = literal(1, at), literal(at - 1, at)
        if op == "clip":
            raised = f"{name}_a = {refs[1]} if {refs[0]} < {refs[1]} else {refs[0]}"
            return [raised], f"{refs[2]} if {name}_a > {refs[2]} else {name}_a"
        if op == "shift_to_zero":
            # 2**n - 1 is added where x < 0: the floor is then the ceiling
            added = f"np.int{at}(_shr({refs[0]}, {top}) & np.int{at}(_sub(_shl({one}, {refs[1]}), {one})))"
            return [], f"_shr(np.int{at}(_add({refs[0]}, {added})), {refs[1]})"
        if op == "round_half_even":
            lines = [
                f"{name}_f = _shr({refs[0]}, {refs[1]})",
                f"{name}_p = _shl({one}, {refs[1]})",
                f"{name}_r = np.int{at}({refs[0]} & np.int{at}({name}_p - {one}))",
                f"{name}_o = np.int{at}({name}_f & {one})",
                # twice the rest and the last bit of the floor, against the whole: the rest against the other part
                f"{name}_u = {name}_r > np.int{at}({name}_p - {name}_r - {name}_o)",
            ]
            return lines, f"{name}_f + ({one} if {name}_u else {literal(0, at)})"
        if op == "scale2":
            zero = literal(0, at)
            lines = [
                f"{name}_l = {refs[1]} if {refs[1]} > {zero} else {zero}",
                f"{name}_r = np.int{at}(-{refs[1]}) if {refs[1]} < {zero} else {zero}",
            ]
            return lines, f"_shr(_shl({refs[0]}, {name}_l), {name}_r)"
        return [], _PATTERNS[op].format(*refs, zero=literal(0, at), t=f"np.int{at}")

    def _bounded(self, name: str, value: Value, x: str, at: int) -> tuple[list[str], str]:
        width = self.values.nodes[value.args[1]].range.low
        half = 1 << width - 1
        if value.op == "sat":
            low, high = literal(-half, at), literal(half - 1, at)
            return [f"{name}_a = {low} if {x} < {low} else {x}"], f"{high} if {name}_a > {high} else {name}_a"
        if width in (8, SHORT, WORD):
            return [], f"np.int{width}({x})"
        if width == at:
            return [], x
        mask, sign = literal(2 * half - 1, at), literal(half, at)
        return [], f"np.int{at}(({x} & {mask}) ^ {sign}) - {sign}"


def _split_product(name: str, x: str, k: str, places: int, bits: int) -> list[str]:
    n, mask = f"np.uint32({places})", f"np.uint32({(1 << places) - 1})"
    return [
        f"{name}_m = np.uint32(np.uint32({x}) if {x} >= np.int32(0) else np.uint32(np.uint32(0) - np.uint32({x})))",
        f"{name}_k = np.uint32({k})",
        f"{name}_h = np.uint32(np.uint32({name}_m >> {n}) * {name}_k)",
        f"{name}_l = np.uint32(np.uint32(np.uint32({name}_m & {mask}) * {name}_k) >> {n})",
        f"{name}_s = np.int32(np.uint32({name}_h + {name}_l))",
        f"{name} = np.int{bits}({name}_s if {x} >= np.int32(0) else np.int32(-{name}_s))",
    ]


_PATTERNS = {
    "neg": "_sub({zero}, {0})",
    "floordiv": "{0} // {1}",
    "shl": "_shl({0}, {1})",
    "shr": "_shr({0}, {1})",
    "min": "{1} if {1} < {0} else {0}",
    "max": "{1} if {1} > {0} else {0}",
    "abs": "{0} if {0} >= {zero} else {t}(-{0})",
}

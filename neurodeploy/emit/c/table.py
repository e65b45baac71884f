"""Operators of the step language in C99: expressions, and the helper functions that they call."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from neurodeploy.step import Interval
from neurodeploy.step.intervals import RANGES

#: Widths that texts are computed in. A shift by more than ``MOST_SHIFT`` asks for the wider one.
WIDTHS = (32, 64)
MOST_SHIFT = {32: 30, 64: 62}

#: Functions by name; ``T`` is the type, ``W`` its width. Right shifts of negative numbers and overflows are no C: each
#: is written so that neither occurs for any operand inside the ranges that the chip's texts were checked with.
HELPERS: Mapping[str, str] = MappingProxyType(
    {
        "min": "T min_W(T a, T b) { return b < a ? b : a; }",
        "max": "T max_W(T a, T b) { return b > a ? b : a; }",
        "abs": "T abs_W(T x) { return x < 0 ? -x : x; }",
        "clip": "T clip_W(T x, T low, T high) { T y = x < low ? low : x; return y > high ? high : y; }",
        "floordiv": "T floordiv_W(T a, T b) { T q = a / b; return a % b < 0 ? q - 1 : q; }",
        "shl": "T shl_W(T x, T n) { return x * ((T)1 << n); }",
        "shr": "T shr_W(T x, T n) { return x < 0 ? ~(~x >> n) : x >> n; }",
        "wrap": "T wrap_W(T x, T half) { return ((x & (half - 1 + half)) ^ half) - half; }",
        "shift_to_zero": "T shift_to_zero_W(T x, T n) { return shr_W(x < 0 ? x + (((T)1 << n) - 1) : x, n); }",
        "round_half_even": (
            "T round_half_even_W(T x, T n) {\n"
            "    T floor = shr_W(x, n), rest = x & (((T)1 << n) - 1);\n"
            "    return floor + (2 * rest + (floor & 1) > (T)1 << n ? 1 : 0);\n"
            "}"
        ),
        "scale2": "T scale2_W(T x, T e) { return e < 0 ? shr_W(x, -e) : x * ((T)1 << e); }",
    }
)
#: helper -> helpers that it calls
CALLS = {"shift_to_zero": ("shr",), "round_half_even": ("shr",), "scale2": ("shr",)}

_SIGNS = {"add": "+", "sub": "-", "mul": "*", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_SHIFTS = frozenset({"shl", "shr", "shift_to_zero", "round_half_even", "scale2"})


def number(value: int) -> str:
    """Write a number; one that needs 64 bits says so."""
    if -(1 << 15) <= value < 1 << 15:
        return str(value)
    if -(1 << 31) < value < 1 << 31:
        return f"INT32_C({value})"
    return f"INT64_C({value})" if value > -(1 << 63) else f"(-INT64_C({-value - 1}) - 1)"


def bare(code: str) -> str:
    """An expression without the brackets around all of it."""
    if not code.startswith("("):
        return code
    depth = 0
    for at, sign in enumerate(code):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return code[1:-1] if at == len(code) - 1 else code
    return code


def call(op: str, arguments: list[str], ranges: list[Interval], width: int, used: set[tuple[str, int]]) -> str:
    """Write an operator over expressions that are written already.

    ranges : of the arguments; of ``sat`` and ``wrap`` the last is the number of bits
    used : (helper, width) that are called, added to
    """
    if op in _SIGNS:
        # a choice among literals is an int, whatever the numbers around it are
        narrow = width > WIDTHS[0] and op in RANGES and all(needs("neg", [r], r) == WIDTHS[0] for r in ranges)
        wide = narrow and op in {"add", "sub", "mul"} and needs("neg", ranges, RANGES[op](*ranges)) > WIDTHS[0]
        return f"({f'(int{width}_t)' if wide else ''}{arguments[0]} {_SIGNS[op]} {arguments[1]})"
    if op == "neg":
        return f"(-{arguments[0]})"
    if op == "select":
        return f"({arguments[0]} ? {arguments[1]} : {arguments[2]})"
    if op in {"and", "or"}:
        return f"({arguments[0]} {'&&' if op == 'and' else '||'} {arguments[1]})"
    if op == "not":
        return f"(!{arguments[0]})"
    if op in {"sat", "wrap"}:
        half = 1 << ranges[-1].low - 1
        name = "clip" if op == "sat" else op
        arguments = [arguments[0], *((number(-half), number(half - 1)) if op == "sat" else (number(half),))]
    else:
        name = op
    used.add((name, width))
    return f"{name}_I{width}({', '.join(map(bare, arguments))})"


def needs(op: str, ranges: list[Interval], result: Interval) -> int:
    """Width that an operator needs: 32, or 64 where something in it can leave 32 bits."""
    ends = [*ranges, result]
    if op in {"sat", "wrap"}:
        half = 1 << ranges[-1].low - 1
        ends = [ranges[0], result, Interval(-half, half)]
    if op == "neg":
        ends.append(Interval(-ranges[0].high, -ranges[0].low))
    if op == "abs":
        ends.append(Interval(0, max(abs(ranges[0].low), abs(ranges[0].high))))
    if op in _SHIFTS and max(abs(ranges[1].low), ranges[1].high) > MOST_SHIFT[32]:
        return 64
    if op == "round_half_even":
        ends.append(Interval(0, (2 << ranges[1].high) - 1))
    return 64 if any(e.low <= -(1 << 31) or e.high >= 1 << 31 for e in ends) else 32


def helpers(used: set[tuple[str, int]], declare: Callable[[int], str]) -> list[str]:
    """Definitions of the helpers that are called, and of those that they call."""
    wanted = used | {(inner, width) for name, width in used for inner in CALLS.get(name, ())}
    made = []
    for width in WIDTHS:
        for name, text in HELPERS.items():
            if (name, width) in wanted:
                written = text.replace("(T)", f"({declare(width)})").replace("_W(", f"_I{width}(")
                made.append("static " + _typed(written, declare(width)))
    return made


def _typed(text: str, name: str) -> str:
    """Put the type in the place of every ``T`` that stands alone."""
    words = text.replace("(T ", f"({name} ").replace(" T ", f" {name} ")
    return f"{name} {words.removeprefix('T ')}" if words.startswith("T ") else words

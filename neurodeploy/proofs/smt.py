"""Step texts as formulas: one more table, whose values are the bit vectors of an SMT solver (z3, extra ``prove``).

Every value is as wide as the widest that any operator of a text can give, so that nothing wraps that the text does not
wrap itself. ``equal`` asks whether two texts compute the same for everything that registers can hold.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from neurodeploy.errors import Refusal, missing_extra
from neurodeploy.step import PYTHON, Call, Guard, Interval, Table, Text, assigned, run
from neurodeploy.step.intervals import hull
from neurodeploy.step.paths import path_reach
from neurodeploy.step.tree import Expression, Statement

#: Bits of a formula with roundings, whose halves no interval shows: twice int64, and some.
WIDEST = 130


@dataclass(frozen=True)
class Answer:
    """What the solver says.

    proved : True for all numbers, False not for ``numbers``, None where it said nothing in time
    """

    proved: bool | None
    numbers: Mapping[str, int]


def solver_module() -> ModuleType:
    """The package z3; raises Missing with the line that installs it."""
    try:
        import z3
    except ImportError:
        raise missing_extra("z3", "prove", "a proof by an SMT solver") from None
    module: ModuleType = z3
    return module


def available() -> bool:
    """Whether the solver is installed."""
    from importlib.util import find_spec

    return find_spec("z3") is not None


def table(bits: int) -> Table:
    """The table whose numbers are bit vectors of this width, and whose conditions are formulas.

    What an operator of the language gives must fit the width for every value that its operands can have.
    """
    z3 = solver_module()

    def number(value: Any) -> Any:
        return z3.BitVecVal(int(value), bits)

    def floordiv(a: Any, b: Any) -> Any:
        quotient = a / b  # toward zero
        return z3.If(z3.And(a < 0, quotient * b != a), quotient - 1, quotient)

    def wrap(x: Any, width: Any) -> Any:
        kept = z3.simplify(width).as_long()
        return x if kept >= bits else z3.SignExt(bits - kept, z3.Extract(kept - 1, 0, x))

    def sat(x: Any, width: Any) -> Any:
        half = 1 << z3.simplify(width).as_long() - 1
        return low_high(x, number(-half), number(half - 1))

    def least(*values: Any) -> Any:
        return _fold(values, lambda a, b: z3.If(a <= b, a, b))

    def most(*values: Any) -> Any:
        return _fold(values, lambda a, b: z3.If(a >= b, a, b))

    def low_high(x: Any, low: Any, high: Any) -> Any:
        return least(most(x, low), high)

    def shift_to_zero(x: Any, n: Any) -> Any:
        return z3.If(x < 0, -((-x) >> n), x >> n)

    def round_half_even(x: Any, n: Any) -> Any:
        floor = x >> n
        beyond = 2 * (x - (floor << n)) - (number(1) << n)
        odd = z3.Extract(0, 0, floor) == 1
        return z3.If(z3.Or(beyond > 0, z3.And(beyond == 0, odd)), floor + 1, floor)

    def guard(condition: Any, body: tuple[Statement, ...], environment: dict[str, Any], here: Table) -> None:
        inside = dict(environment)
        run(body, inside, here)
        for name in {a.name for a in assigned(body)} & set(environment):
            environment[name] = z3.If(condition, inside[name], environment[name])

    return PYTHON | {
        "literal": number,
        "floordiv": floordiv,
        "shl": lambda x, n: x << n,
        "shr": lambda x, n: x >> n,  # arithmetic: bit vectors are signed here
        "min": least,
        "max": most,
        "abs": lambda x: z3.If(x < 0, -x, x),
        "clip": low_high,
        "sat": sat,
        "wrap": wrap,
        "shift_to_zero": shift_to_zero,
        "round_half_even": round_half_even,
        "scale2": lambda x, e: z3.If(e >= 0, x << e, x >> -e),
        "select": z3.If,
        "and": z3.And,
        "or": z3.Or,
        "not": z3.Not,
        "guard": guard,
    }


def _fold(values: Sequence[Any], join: Callable[[Any, Any], Any]) -> Any:
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def width_of(texts: Sequence[Text], ranges: Mapping[str, Interval]) -> int | None:
    """Bits that hold every value that texts can meet from these ranges; None where none is known to."""
    reach = hull(*ranges.values(), Interval(0, 1))
    for text in texts:
        if any(call.op == "round_half_even" for call in _calls(text.statements)):
            return WIDEST  # what lies beyond a half is met by no operator
        try:
            reach = hull(reach, path_reach(text, ranges)[1])
        except (Refusal, KeyError):
            return None
    return max(8, *(end.bit_length() + 2 for end in reach))


def _calls(statements: tuple[Statement, ...]) -> list[Call]:
    found, todo = list[Call](), list[Expression]()
    for statement in statements:
        if isinstance(statement, Guard):
            found += _calls(statement.body)
        todo.append(statement.condition if isinstance(statement, Guard) else statement.value)
    while todo:
        here = todo.pop()
        if isinstance(here, Call):
            found.append(here)
            todo += here.args
    return found


def variable(solver: Any, name: str, interval: Interval, bits: int) -> Any:
    """A number that can be anything in an interval; the number itself where that is one value."""
    z3 = solver_module()
    if interval.low == interval.high:
        return z3.BitVecVal(interval.low, bits)
    made = z3.BitVec(name, bits)
    solver.add(made >= interval.low, made <= interval.high)
    return made


def equal(
    first: Sequence[Text],
    second: Sequence[Text],
    ranges: Mapping[str, Interval],
    outputs: Collection[str],
    *,
    given: Sequence[Text] = (),
    seconds: float = 60,
) -> Answer:
    """Whether two sequences of texts, from the same numbers, end with the same numbers.

    ranges : of every name that the texts read before they assign it
    outputs : names that must have equal values at the end
    given : texts ``holds = 1 if ... else 0``, each with the condition under which the question is asked
    Raises Missing where the solver is not installed.
    """
    return _ask((first, second), ranges, lambda a, b: [a[n] != b[n] for n in sorted(outputs)], given, seconds)


def stays(
    text: Text,
    ranges: Mapping[str, Interval],
    limits: Mapping[str, Interval],
    *,
    given: Sequence[Text] = (),
    seconds: float = 60,
) -> Answer:
    """Whether every name of ``limits`` ends inside its interval; otherwise as ``equal``."""

    def outside(end: Mapping[str, Any]) -> list[Any]:
        # an interval may be wider than any number here: then nothing is outside
        inside = {n: limit for n, limit in limits.items() if n in end}
        return [end[n] < low for n, (low, _) in inside.items()] + [end[n] > high for n, (_, high) in inside.items()]

    return _ask(([text],), {**ranges, **{f" {n}": limit for n, limit in limits.items()}}, outside, given, seconds)


def _ask(
    sequences: Sequence[Sequence[Text]],
    ranges: Mapping[str, Interval],
    wrong: Callable[..., list[Any]],
    given: Sequence[Text],
    seconds: float,
) -> Answer:
    """Whether no numbers make one of the formulas true that ``wrong`` makes of what the sequences end with."""
    z3 = solver_module()
    texts = [*(text for many in sequences for text in many), *given]
    bits = width_of(texts, _all_ranges(texts, ranges))
    if bits is None:
        return Answer(proved=None, numbers={})
    solver, here = z3.SolverFor("QF_BV"), table(bits)
    solver.set("timeout", int(seconds * 1000))
    start = {n: variable(solver, n, interval, bits) for n, interval in ranges.items()}

    def end(many: Sequence[Text]) -> dict[str, Any]:
        environment = dict(start)
        for text in many:
            run(text.statements, environment, here)
        return environment

    for text in given:
        solver.add(end([text])["holds"] == 1)
    solver.add(z3.Or(wrong(*map(end, sequences))))
    found = solver.check()
    if found != z3.sat:
        return Answer(proved=True if found == z3.unsat else None, numbers={})
    model = solver.model()
    numbers = {n: model.eval(v, model_completion=True).as_signed_long() for n, v in start.items()}
    return Answer(proved=False, numbers=numbers)


def _all_ranges(texts: Sequence[Text], ranges: Mapping[str, Interval]) -> dict[str, Interval]:
    """Ranges for texts that follow each other: what one assigns may be anything for the next."""
    known = dict(ranges)
    for text in texts:
        try:
            after = path_reach(text, known)
        except (Refusal, KeyError):
            break  # its width is not known either
        known |= {n: hull(known.get(n, e), e) for n, e in after[0].items()}
    return known

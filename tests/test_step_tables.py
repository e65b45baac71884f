import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import corners, registers, texts, values

from neurodeploy.step import (
    FLOAT,
    FORMULA,
    INTEGER,
    NUMPY,
    PYTHON,
    Call,
    Guard,
    Interval,
    assigned,
    check_names,
    evaluate,
    final_intervals,
    parse,
    run,
    signed,
)
from neurodeploy.step.language import parse_expression
from neurodeploy.step.tables import FEW

INT64 = signed(64)


def middle(*three):
    return sorted(three)[1]


def wrapped(x, bits):
    (value,) = (y for y in (x % 2**bits, x % 2**bits - 2**bits) if -(2**bits) <= 2 * y < 2**bits)
    return value


# what the specification says, in exact arithmetic with other means than the table's
DEFINITIONS = {
    "add": lambda a, b: sum((a, b)),
    "sub": lambda a, b: sum((a, -b)),
    "mul": lambda a, b: math.prod((a, b)),
    "neg": lambda a: 0 - a,
    "floordiv": lambda a, b: math.floor(Fraction(a, b)),
    "shl": lambda x, n: x * 2**n,
    "shr": lambda x, n: math.floor(Fraction(x, 2**n)),
    "min": lambda a, b: Fraction(a + b - abs(a - b), 2),
    "max": lambda a, b: Fraction(a + b + abs(a - b), 2),
    "abs": lambda a: math.isqrt(a**2),
    "clip": lambda x, low, high: middle(x, low, high) if low <= high else high,
    "sat": lambda x, bits: middle(x, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
    "wrap": wrapped,
    "shift_to_zero": lambda x, n: math.trunc(Fraction(x, 2**n)),
    "round_half_even": lambda x, n: round(Fraction(x, 2**n)),
    "scale2": lambda x, e: math.floor(x * Fraction(2) ** e),
    "select": lambda c, a, b: (b, a)[c],
    "lt": lambda a, b: a - b < 0,
    "le": lambda a, b: a - b <= 0,
    "gt": lambda a, b: a - b > 0,
    "ge": lambda a, b: a - b >= 0,
    "eq": lambda a, b: a - b == 0,
    "ne": lambda a, b: a - b != 0,
    "and": lambda a, b: bool(a * b),
    "or": lambda a, b: bool(a + b),
    "not": lambda a: bool(1 - a),
}
SECOND = {
    "floordiv": Interval(1, INT64.high),
    **dict.fromkeys(("shl", "shr", "shift_to_zero", "round_half_even"), Interval(0, 62)),
    "scale2": Interval(-62, 62),
}


def operands(op, bits):
    """Corners of a width for every number of an operator, where the result fits int64."""
    number, seconds = corners(signed(bits)), SECOND.get(op)
    if seconds:
        near = {*corners(seconds), *number, bits - 1, bits, bits + 1, -bits}
        second = sorted(value for value in near if value in seconds)
    kinds = {"n": number, "c": [False, True], "w": sorted({1, 2, bits - 1, bits, bits + 1, 62, 63} & set(range(1, 64)))}
    sorts = [kinds[sort] for sort in INTEGER[op].replace("*", "nn")]
    if seconds:
        sorts[1] = second
    return [arguments for arguments in product(*sorts) if int(DEFINITIONS[op](*arguments)) in INT64]


def as_arrays(op, rows):
    sorts = INTEGER[op].replace("*", "nn")
    return [
        np.array(c, bool if sort == "c" else np.int64) for sort, c in zip(sorts, zip(*rows, strict=True), strict=True)
    ]


def test_every_operator_has_a_definition_and_an_entry():
    assert set(DEFINITIONS) == set(INTEGER)
    assert set(PYTHON) == set(INTEGER) | {"guard"}
    assert set(NUMPY) == set(PYTHON) | {"literal"}
    assert set(FORMULA) >= set(FLOAT) | {"guard"}


@pytest.mark.parametrize("op", INTEGER)
def test_python_is_the_definition_at_the_corners_of_every_width(op):
    rows = [row for bits in range(1, 65) for row in operands(op, bits)]
    assert [PYTHON[op](*row) for row in rows] == [DEFINITIONS[op](*row) for row in rows]


@pytest.mark.parametrize("op", INTEGER)
@settings(max_examples=30)
@given(st.data())
def test_python_is_the_definition_beyond_every_width(op, data):
    number = st.integers(-(2**80), 2**80) | st.integers(-40, 40)
    kinds = {"n": number, "c": st.booleans(), "w": st.integers(1, 63)}
    arguments = [data.draw(kinds[sort]) for sort in INTEGER[op].replace("*", "nn")]
    if op in SECOND:
        arguments[1] = data.draw(values(SECOND[op]) | st.integers(max(SECOND[op].low, -5), 5))
    assert PYTHON[op](*arguments) == DEFINITIONS[op](*arguments)


NUMBERS = set(INTEGER) - {"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"}


@pytest.mark.parametrize("op", INTEGER)
def test_numpy_is_python_at_the_corners_of_every_width(op):
    for bits in range(1, 65):
        rows = operands(op, bits)
        groups = [rows]
        if INTEGER[op][-1] == "w":  # one call has one width
            groups = [[row for row in rows if row[1] == width] for width in sorted({row[1] for row in rows})]
        for group in groups:
            arguments = as_arrays(op, group)
            if INTEGER[op][-1] == "w":
                arguments[1] = arguments[1][0]
            found = NUMPY[op](*arguments)
            assert found.dtype == (np.int64 if op in NUMBERS else bool)
            assert found.tolist() == [PYTHON[op](*row) for row in group]


@pytest.mark.parametrize("op", INTEGER)
def test_numpy_is_python_on_single_numbers(op):
    # a single int64 announces an overflow inside an operator as a warning, and warnings are errors here
    for row in operands(op, 64) + operands(op, 63) + operands(op, 7):
        arguments = [np.bool_(a) if isinstance(a, bool) else np.int64(a) for a in row]
        found = NUMPY[op](*arguments)
        assert found == PYTHON[op](*row)
        assert np.asarray(found).dtype == (np.int64 if op in NUMBERS else bool)


@pytest.mark.parametrize("size", [FEW - 1, FEW, FEW + 1])
def test_numpy_saturates_few_and_many_numbers_alike(size):
    x = np.random.default_rng(size).integers(-300, 300, size)
    for bits in (1, 8, 9, 63):
        assert NUMPY["sat"](x, bits).tolist() == [PYTHON["sat"](n, bits) for n in x.tolist()]


def test_halves_go_to_the_even_neighbour():
    assert [PYTHON["round_half_even"](x, 2) for x in range(-10, 11)] == [
        -2, -2, -2, -2, -2, -1, -1, -1, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2,
    ]  # fmt: skip
    half = 2**61  # of 2**62
    x = np.array([half, half + 1, 3 * half - 1, 3 * half, -half, -half - 1, -3 * half, INT64.low, INT64.high])
    assert NUMPY["round_half_even"](x, 62).tolist() == [0, 1, 1, 2, 0, -1, -2, -2, 2]
    assert NUMPY["round_half_even"](x, 0).tolist() == x.tolist()


def test_shifts_of_negative_numbers_floor():
    assert PYTHON["shr"](-1, 3) == -1
    assert PYTHON["shift_to_zero"](-1, 3) == 0
    assert NUMPY["shift_to_zero"](np.array([INT64.low, -(2**62) - 1, -1]), np.array([1, 62, 62])).tolist() == [
        -(2**62),
        -1,
        0,
    ]
    assert NUMPY["scale2"](np.array([-1, -5, 5, -1]), np.array([-62, -1, -1, 62])).tolist() == [-1, -3, 2, -(2**62)]


def test_clip_gives_high_where_low_is_above_it():
    for table in (PYTHON, NUMPY):
        assert [int(table["clip"](np.int64(x), 5, 3)) for x in (0, 4, 9)] == [3, 3, 3]
    x = np.arange(-2, 3)
    assert NUMPY["clip"](x, np.array([0, 1, 2, 1, 0]), np.array([1, 1, 1, 0, -1])).tolist() == [0, 1, 1, 0, -1]


# texts


def run_python(text, row):
    environment = dict(row)
    run(text.statements, environment, PYTHON)
    return environment


@settings(max_examples=75)
@given(texts(), st.data())
def test_numpy_is_python_on_random_texts(case, data):
    batch, neurons = 2, 3
    text = parse(case.source, case.functions)
    assert check_names(text, states=case.states, readable=set(case.ranges) - case.states) == []
    final_intervals(text, case.ranges)
    drawn = data.draw(case.rows(batch * neurons))
    arrays = {name: np.array(column, np.int64).reshape(batch, neurons) for name, column in drawn.items()}
    arrays["parameter"] = arrays["parameter"][0]  # one for each neuron
    arrays["external"] = arrays["external"][:, :1]  # one for each sample
    arrays["exponent"] = arrays["exponent"][0, 0]  # one for all
    environment = dict(arrays)
    run(text.statements, environment, NUMPY)
    shape = (batch, neurons)
    for at in np.ndindex(shape):
        row = {name: int(np.broadcast_to(array, shape)[at]) for name, array in arrays.items()}
        expected = run_python(text, row)
        for name in case.states:
            assert int(np.broadcast_to(environment[name], shape)[at]) == expected[name], name
    for name in {a.name for a in assigned(text.statements)} & set(environment):
        assert environment[name].dtype == np.int64


def test_random_texts_reach_every_operator_and_both_sides_of_guards():
    seen = set()

    def walk(expression):
        if isinstance(expression, Call):
            seen.add(expression.op)
            for argument in expression.args:
                walk(argument)

    def collect(statements, row):
        for statement in statements:
            if isinstance(statement, Guard):
                walk(statement.condition)
                taken = evaluate(statement.condition, row, PYTHON)
                seen.add(f"guard {bool(taken)}")
                if taken:
                    collect(statement.body, row)
            else:
                walk(statement.value)
                run((statement,), row, PYTHON)

    @settings(max_examples=75)
    @given(texts(), st.data())
    def look(case, data):
        collect(parse(case.source, case.functions).statements, data.draw(case.environments()))

    look()
    assert seen == set(INTEGER) | {"guard True", "guard False"}


@pytest.mark.parametrize("held", [[0, 0, 0], [1, 0, 1], [1, 1, 1]])
def test_a_guard_changes_those_for_which_it_held(held):
    text = parse("if c > 0:\n    c = 0\n    t = v + 1\n    if v > 15:\n        t = t + 100\n    v = t\n    c = c - 1")
    environment = {"c": np.array(held), "v": np.array([10, 20, 30])}
    run(text.statements, environment, NUMPY)
    rows = [run_python(text, {"c": c, "v": v}) for c, v in zip(held, [10, 20, 30], strict=True)]
    assert environment["v"].tolist() == [row["v"] for row in rows]
    assert environment["c"].tolist() == [row["c"] for row in rows] == [-h for h in held]
    assert environment["v"].tolist() != [10, 20, 30] or not any(held)
    assert "t" not in environment


def test_a_guard_reads_its_condition_once():
    text = parse("if v > 0:\n    v = -1\n    w = 7")
    for table, number in ((PYTHON, int), (NUMPY, np.int64)):
        environment = {"v": number(1), "w": number(0)}
        run(text.statements, environment, table)
        assert (environment["v"], environment["w"]) == (-1, 7)


def test_what_numpy_assigns_is_int64_and_its_inputs_stay():
    text = parse("a = 3\nb = 0 if x > 1 else 1\nc = a\nd = min(2, 3)\nif 1 < 2:\n    c = -7\ne = x\nf = a << 40")
    x = np.array([[1, 2]])
    environment = {"x": x}
    run(text.statements, environment, NUMPY)
    found = {name: (value.dtype, value.tolist()) for name, value in environment.items()}
    expected = {"a": 3, "b": [[1, 0]], "c": -7, "d": 2, "e": [[1, 2]], "f": 3 << 40, "x": [[1, 2]]}
    assert found == {name: (np.int64, value) for name, value in expected.items()}
    assert environment["x"] is x


@given(registers().flatmap(lambda r: st.tuples(st.just(r), values(r))), st.integers(1, 63))
def test_saturation_and_wrapping_leave_what_fits(pair, bits):
    _, x = pair
    for op in ("sat", "wrap"):
        y = PYTHON[op](x, bits)
        assert y in signed(bits)
        assert (y == x) == (x in signed(bits))
        assert PYTHON[op](y, bits) == y


# formulas


def formula(source, **names):
    return evaluate(parse_expression(source, operators=FLOAT, where="formula"), names, FORMULA)


@pytest.mark.parametrize(
    ("source", "x", "expected"),
    [
        ("x / 4", 3, 0.75),
        ("1 / x", 0, math.inf),
        ("-1 / x", 0, -math.inf),
        ("1 / x", -0.0, -math.inf),
        ("x / 0", 0, math.nan),
        ("x / 0", math.nan, math.nan),
        ("x / x", math.inf, math.nan),
        ("exp(x)", 1000, math.inf),
        ("exp(x)", -1000, 0),
        ("exp2(x)", 2000, math.inf),
        ("exp2(x)", -1, 0.5),
        ("expm1(x)", 1000, math.inf),
        ("expm1(x)", 1e-20, 1e-20),
        ("log2(x)", 8, 3),
        ("log2(x)", 0, -math.inf),
        ("log2(x)", -1, math.nan),
        ("log2(x)", math.nan, math.nan),
        ("round(x)", 2.5, 2),
        ("round(x)", 3.5, 4),
        ("round(x)", math.inf, math.inf),
        ("round(x)", math.nan, math.nan),
        ("floor(x)", -0.5, -1),
        ("floor(x)", -math.inf, -math.inf),
        ("detach(x)", 1.5, 1.5),
        ("above(x, 1)", 1, 0),
        ("above(x, 1)", 1.5, 1),
        ("at_or_above(x, 1)", 1, 1),
        ("at_or_above(x, 1)", 0.5, 0),
        ("count(x, 1.5)", 3, 2),
        ("count(x, 1.5)", 2.9, 1),
        ("count(x, 1.5)", -3, 0),
        ("count_above(x, 1.5)", 3, 1),
        ("count_above(x, 1.5)", 3.1, 2),
        ("count_above(x, 1.5)", -3, 0),
        ("max(round(log2(x)), 1)", 0, 1),
    ],
)
def test_formulas_follow_ieee_754_and_raise_nothing(source, x, expected):
    assert formula(source, x=x) == pytest.approx(expected, rel=1e-15, abs=0, nan_ok=True)

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import texts, values

from neurodeploy.errors import Refusal
from neurodeploy.step import (
    INTEGER,
    PYTHON,
    Call,
    Const,
    Guard,
    Interval,
    Name,
    final_intervals,
    parse,
    signed,
    unsigned,
)
from neurodeploy.step.intervals import _Walker, refuse_outside

INT64 = signed(64)
LOW, HIGH = INT64
SHIFTS = ("shl", "shr", "shift_to_zero", "round_half_even")
DOMAINS = {"floordiv": (1, HIGH), "scale2": (-62, 62)} | dict.fromkeys(SHIFTS, (0, 62))
FEW = {"floordiv": (1, 9), "scale2": (-4, 4)} | dict.fromkeys(SHIFTS, (0, 4))
OPERATORS = [op for op, sorts in INTEGER.items() if "n" in sorts or sorts == "*"]


def faults(source, functions=None, **ranges):
    text = parse(source, functions, where="step")
    with pytest.raises(Refusal) as refused:
        final_intervals(text, {name: Interval(*r) for name, r in ranges.items()})
    return [str(fault) for fault in refused.value.faults]


def interval(expression, **ranges):
    text = parse(f"result = {expression}", where="step")
    return final_intervals(text, {name: Interval(*r) for name, r in ranges.items()})["result"]


# sound: every value that occurs lies in its interval


class _Recorder(_Walker):
    """Remembers the interval of every expression."""

    def __init__(self, text):
        super().__init__(text)
        self.seen = {}

    def value(self, expression, environment):
        result = super().value(expression, environment)
        self.seen[id(expression)] = result
        return result


def every_value(statements, environment):
    """All (expression, value), in untaken branches and guards too, by a fold of the test's own."""

    def values_of(expression):
        if isinstance(expression, Const):
            result = expression.value
        elif isinstance(expression, Name):
            result = environment[expression.id]
        else:
            arguments = []
            for argument in expression.args:
                found = list(values_of(argument))
                arguments.append(found[-1][1])
                yield from found
            result = PYTHON[expression.op](*arguments)
        yield expression, result

    for statement in statements:
        if isinstance(statement, Guard):
            found = list(values_of(statement.condition))
            inside = dict(environment)
            yield from found + list(every_value(statement.body, inside))
            if found[-1][1]:
                environment.update(inside)
        else:
            found = list(values_of(statement.value))
            yield from found
            environment[statement.name] = found[-1][1]


@settings(max_examples=75)
@given(texts(), st.data())
def test_every_value_lies_in_its_interval_taken_or_not(case, data):
    text = parse(case.source, case.functions)
    recorder = _Recorder(text)
    recorder.block(text.statements, dict(case.ranges))
    assert recorder.faults == []
    after = final_intervals(text, case.ranges)
    for environment in data.draw(st.lists(case.environments(), min_size=3, max_size=3)):
        reached = dict(environment)
        checked = 0
        for expression, value in every_value(text.statements, reached):
            assert value in recorder.seen[id(expression)]
            assert recorder.seen[id(expression)].within(INT64)
            checked += 1
        assert checked
        assert all(reached[name] in after[name] for name in case.states)


def call(op, ranges):
    """Interval of one operator, None where it leaves int64."""
    sorts = INTEGER[op].replace("*", "nn")
    pairs = list(enumerate(zip(sorts, ranges, strict=True)))
    arguments = tuple(Const(r.low) if sort == "w" else Name(f"a{i}") for i, (sort, r) in pairs)
    return _Walker(parse("")).value(Call(op, arguments), {f"a{i}": r for i, (_, r) in pairs})


def ranges_for(op, data, ends, seconds, widths):
    """Random ranges of an operator's arguments, the second one in its domain."""
    result = []
    for position, sort in enumerate(INTEGER[op].replace("*", "nn")):
        if sort == "w":
            result.append(Interval(*[data.draw(st.integers(1, widths))] * 2))
        elif sort == "c":
            result.append(Interval(0, 1))
        else:
            inside = seconds[op] if position == 1 and op in seconds else ends
            result.append(Interval(*sorted(data.draw(st.tuples(*[values(Interval(*inside))] * 2)))))
    return result


@pytest.mark.parametrize("op", OPERATORS)
@settings(max_examples=15)
@given(st.data())
def test_the_interval_of_an_operator_holds_its_values_up_to_int64(op, data):
    ends = data.draw(st.sampled_from([(-100, 100), (-(2**31), 2**31), (LOW, HIGH)]))
    ranges = ranges_for(op, data, ends, DOMAINS, 63)
    found = call(op, ranges)
    results = [PYTHON[op](*(data.draw(values(r)) for r in ranges)) for _ in range(3)]
    assert found is None or all(result in found for result in results)
    if op in {"min", "max", "clip", "sat", "wrap", "select", "shr", "shift_to_zero", "round_half_even", "floordiv"}:
        assert found is not None  # no value of theirs is larger than an argument


# tight: no wider than what occurs


@pytest.mark.parametrize("op", [op for op in OPERATORS if op not in {"lt", "le", "gt", "ge", "eq", "ne"}])
@settings(max_examples=30)
@given(st.data())
def test_the_interval_of_one_operator_is_exact(op, data):
    ranges = ranges_for(op, data, (-9, 9), FEW, 5)
    occurring = [PYTHON[op](*a) for a in product(*(range(r.low, r.high + 1) for r in ranges))]
    found, exact = call(op, ranges), Interval(min(occurring), max(occurring))
    if op == "wrap" and found != exact:
        x, bits = ranges[0], ranges[1].low
        assert found == signed(bits)
        assert (x.low - found.low) >> bits != (x.high - found.low) >> bits  # it wraps somewhere
    else:
        assert found == exact


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("v + p", (-128, 382)),
        ("v - p", (-383, 127)),
        ("v * p", (-128 * 255, 127 * 255)),
        ("v * v", (-128 * 127, 128 * 128)),
        ("-v", (-127, 128)),
        ("abs(v)", (0, 128)),
        ("v // (p + 1)", (-128, 127)),
        ("100 // (p + 1)", (0, 100)),
        ("v >> 3", (-16, 15)),
        ("v << 3", (-1024, 1016)),
        ("1 << min(p, 62)", (1, 2**62)),
        ("shift_to_zero(v, 3)", (-16, 15)),
        ("round_half_even(v, 3)", (-16, 16)),
        ("round_half_even(3, 1)", (2, 2)),
        ("round_half_even(v, 0)", (-128, 127)),
        ("scale2(v, 2)", (-512, 508)),
        ("scale2(v, -2)", (-32, 31)),
        ("scale2(v, clip(p, -1, 1))", (-256, 254)),
        ("min(v, p)", (-128, 127)),
        ("max(v, p)", (0, 255)),
        ("clip(v, 0, p)", (0, 127)),
        ("clip(v, 9, 3)", (3, 3)),
        ("sat(v, 4)", (-8, 7)),
        ("sat(p, 16)", (0, 255)),
        ("sat(p + 9, 4)", (7, 7)),
        ("wrap(v, 8)", (-128, 127)),
        ("wrap(p, 8)", (-128, 127)),
        ("wrap(p + 256, 9)", (-256, -1)),
        ("1 if v > 0 else p", (0, 255)),
        ("v if v > 0 else -v", (-128, 127 + 1)),
    ],
)  # fmt: skip
def test_simple_ranges_are_tight(expression, expected):
    assert interval(expression, v=signed(8), p=unsigned(8)) == Interval(*expected)


def test_a_guard_adds_its_range_to_the_one_before():
    source = "t = 1\nif v > 0:\n    v = 300\n    t = 2\n    u = t + 5\n    v = v + u\nw = t"
    after = final_intervals(parse(source), {"v": Interval(0, 9)})
    assert after["v"] == Interval(0, 307)
    assert after["t"] == after["w"] == Interval(1, 2)
    inside = final_intervals(
        parse("if v > 0:\n    t = 5\n    v = t\nif v > 1:\n    t = 9\n    v = t"), {"v": Interval(0, 1)}
    )
    assert inside["v"] == Interval(0, 9)


# what is refused: operands outside their domain, values outside int64


BOUND = "narrow the range of the parameter, or bound it with max() or clip(). [ND1003]"


@pytest.mark.parametrize(
    ("accepted", "refused", "said"),
    [
        ("v // max(p, 1)", "v // p", "the divisor of // can be 0..9; must lie in 1 and above"),
        ("v // (p + 1)", "v // (p - 10)", "the divisor of // can be -10..-1; must lie in 1 and above"),
        ("v >> p", "v >> (p - 1)", "the shift of >> can be -1..8; must lie in 0..62"),
        ("v >> (p + 53)", "v >> (p + 54)", "the shift of >> can be 54..63; must lie in 0..62"),
        ("v << p", "v << (p - 1)", "the shift of << can be -1..8; must lie in 0..62"),
        ("0 << (p + 53)", "0 << (p + 54)", "the shift of << can be 54..63; must lie in 0..62"),
        ("shift_to_zero(v, p)", "shift_to_zero(v, -p)", "the shift of shift_to_zero can be -9..0; must lie in 0..62"),
        (
            "round_half_even(v, p)",
            "round_half_even(v, p - 1)",
            "the shift of round_half_even can be -1..8; must lie in 0..62",
        ),
        ("scale2(v, p - 62)", "scale2(v, p - 63)", "the exponent of scale2 can be -63..-54; must lie in -62..62"),
        ("scale2(0, p + 53)", "scale2(0, p + 54)", "the exponent of scale2 can be 54..63; must lie in -62..62"),
    ],
)
def test_an_operand_outside_the_domain_is_refused(accepted, refused, said):
    assert interval(accepted, v=signed(8), p=(0, 9)).within(INT64)
    assert faults(f"a = {refused}", v=signed(8), p=(0, 9)) == [f"step, line 1, column 5: {said}; {BOUND}"]


@pytest.mark.parametrize(
    ("accepted", "refused", "said"),
    [
        ("h + 0", "h + 1", "+ can reach 9223372036854775808"),
        ("l - 0", "l - 1", "- can reach -9223372036854775809"),
        ("-(l + 1)", "-l", "- can reach 9223372036854775808"),
        ("abs(l + 1)", "abs(l)", "abs can reach 9223372036854775808"),
        ("(1 << 62) * -2", "(1 << 62) * 2", "* can reach 9223372036854775808"),
        ("1 << 62", "2 << 62", "<< can reach 9223372036854775808"),
        ("scale2(-2, 62)", "scale2(2, 62)", "scale2 can reach 9223372036854775808"),
        ("-9223372036854775808", "-9223372036854775809", "the literal can reach -9223372036854775809"),
        ("9223372036854775807", "9223372036854775808", "the literal can reach 9223372036854775808"),
        ("0x7fff_ffff_ffff_ffff", "0x" + "f" * 5000, "the literal can reach 20000 bits"),
    ],
)
def test_what_leaves_int64_is_refused(accepted, refused, said):
    ranges = {"l": (LOW, 0), "h": (0, HIGH)}
    assert interval(accepted, **ranges).within(INT64)
    (fault,) = faults(f"a = {refused}", **ranges)
    assert fault.startswith("step, line 1, column ")
    assert fault.endswith(f": {said}; must fit 64 bits; narrow a width, or saturate earlier. [ND1004]")


def test_a_given_range_beyond_int64_is_refused():
    assert interval("v", v=signed(64), u=unsigned(63)) == INT64
    assert faults("a = 1", v=unsigned(64)) == [
        "step: v can reach 18446744073709551615; must fit 64 bits; narrow a width, or saturate earlier. [ND1004]"
    ]


def test_conditions_and_untaken_branches_count():
    for source, place in [
        ("a = 1 if v * h > 0 else 2", "column 10"),
        ("if v * h > 0:\n    a = 1", "column 4"),
        ("if 1 > 2:\n    a = v * h", "line 2, column 9"),
        ("a = v * h if 1 > 2 else 0", "column 5"),
    ]:
        (fault,) = faults(source, v=signed(8), h=(0, HIGH))
        assert place in fault
        assert "* can reach -1180591620717411303296" in fault


def test_all_faults_come_at_once_and_none_follows_from_another():
    source = "a = v // p + v * v * v\nb = (a << 5) // a\nif v >> 63 > a:\n    c = p // 0\nc = v + 1"
    found = faults(source, v=signed(40), p=(0, 1), a=(0, 0))
    assert [fault.split(": ")[0] for fault in found] == [
        "step, line 1, column 5",
        "step, line 1, column 14",
        "step, line 3, column 4",
        "step, line 4, column 9",
    ]


def test_a_fault_under_a_guard_leaves_the_name_unknown():
    found = faults("if v > 0:\n    v = v * v\n    v = v + h\nw = 1 // v\nv = 1 // v", v=signed(40), h=(0, HIGH))
    assert [fault.split(": ")[0] for fault in found] == ["step, line 2, column 9"]


def test_an_argument_that_a_function_repeats_is_one_fault():
    assert len(faults("a = f(v // p)", {"f(x)": "x * x - x"}, v=signed(8), p=(0, 1))) == 1


def test_the_fault_of_a_function_stands_at_its_call():
    (fault,) = faults("a = 1\nb = 2 + f(v)", {"f(x)": "1 // x"}, v=signed(8))
    assert fault.startswith("step, line 2, column 9: the divisor of // can be -128..127")


def test_values_are_those_of_the_fault():
    with pytest.raises(Refusal) as refused:
        final_intervals(parse("a = v * v"), {"v": signed(40)})
    assert refused.value.values == {"low": -(2**39) * (2**39 - 1), "high": 2**78}


# ranges


def test_registers_hold_their_ranges():
    assert signed(1) == Interval(-1, 0)
    assert signed(8) == Interval(-128, 127)
    assert unsigned(1) == Interval(0, 1)
    assert unsigned(8) == Interval(0, 255)
    assert str(signed(8)) == "-128..127"


@pytest.mark.parametrize("number", [int, np.int64, np.int8])
def test_membership_takes_every_kind_of_integer(number):
    assert number(-8) in signed(4)
    assert number(7) in signed(4)
    assert number(8) not in signed(4)
    assert number(-9) not in signed(4)
    assert 7.0 not in signed(4)


def test_within_is_inclusive():
    assert signed(8).within(signed(8))
    assert not Interval(-129, 0).within(signed(8))
    assert not Interval(0, 128).within(signed(8))


def test_a_value_outside_its_register_is_refused_in_words():
    refusal = refuse_outside("bias", 128, signed(8), "chip, neuron 3")
    assert str(refusal) == "chip, neuron 3: bias = 128; the register holds -128..127. [ND1202]"
    assert refusal.values == {"value": 128}

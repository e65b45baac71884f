import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import texts

from neurodeploy.errors import Refusal
from neurodeploy.step import PYTHON, Interval, final_intervals, parse, run
from neurodeploy.step.paths import MOST_PATHS, path_intervals


def after(source, functions=None, **ranges):
    text = parse(source, functions, where="step")
    return path_intervals(text, {name: Interval(*r) for name, r in ranges.items()})


@settings(max_examples=30)
@given(st.data())
def test_every_value_lies_in_its_path_interval(data):
    case = data.draw(texts())
    text = parse(case.source, case.functions, where="text")
    found = path_intervals(text, case.ranges)
    for _ in range(5):
        names = dict(data.draw(case.environments()))
        run(text.statements, names, PYTHON)
        assert all(names[name] in interval for name, interval in found.items() if name in names)


@settings(max_examples=40)
@given(st.data())
def test_paths_are_never_wider_than_plain_intervals(data):
    case = data.draw(texts())
    text = parse(case.source, case.functions, where="text")
    plain, found = final_intervals(text, case.ranges), path_intervals(text, case.ranges)
    assert all(found[state].within(plain[state]) for state in case.states)


def test_a_wrap_that_cannot_happen_is_not_followed():
    text = "u = u - 100 if u > 50 else (u + 100 if u <= -50 else u)"
    assert after(text, u=(-49, 50))["u"] == (-49, 50)
    assert after(text, u=(-49, 51))["u"] == (-49, 50)  # 51 becomes -49
    assert final_intervals(parse(text, where="step"), {"u": Interval(-49, 50)})["u"] == (-149, 150)


def test_a_condition_bounds_what_it_compares_in_both_branches():
    assert after("y = x - 10 if x > 10 else x", x=(0, 30), y=(0, 0))["y"] == (0, 20)
    assert after("y = x if x < limit else 0", x=(0, 30), limit=(5, 9), y=(0, 0))["y"] == (0, 8)
    assert after("y = x if x == 7 else 0", x=(0, 30), y=(0, 0))["y"] == (0, 7)
    assert after("y = x if x != 30 else 0", x=(0, 30), y=(0, 0))["y"] == (0, 29)


def test_a_condition_bounds_an_argument_of_a_function():
    function = {"fold(x)": "x - 100 if x >= 100 else x"}
    assert after("y = fold(a + b)", function, a=(0, 99), b=(0, 99), y=(0, 0))["y"] == (0, 99)


def test_what_a_condition_made_true_is_remembered_on_its_path():
    text = "fire = 1 if v >= 10 else 0\nif fire == 1:\n    v = v - 10"
    assert after(text, v=(0, 19), fire=(0, 1))["v"] == (0, 9)
    assert after(text, v=(0, 20), fire=(0, 1))["v"] == (0, 10)


@pytest.mark.parametrize(
    ("condition", "ends"),
    [
        ("x > 2 and x < 8", (3, 7)),
        ("not (x <= 2 or x >= 8)", (3, 7)),
        ("x > 2 or x > 5", (3, 9)),
        ("not (x > 2 and x > 5)", (0, 5)),
    ],
)
def test_joined_conditions_bound_together(condition, ends):
    found = after(f"y = 5\nif {condition}:\n    y = x", x=(0, 9), y=(0, 0))["y"]
    assert found == (min(ends[0], 5), max(ends[1], 5))


def test_a_sum_that_reads_a_name_twice_is_computed_piece_by_piece():
    assert after("x = x - (x >> 1)", x=(-1024, 1024))["x"].within(Interval(-600, 600))
    assert final_intervals(parse("x = x - (x >> 1)", where="step"), {"x": Interval(-1024, 1024)})["x"] == (-1536, 1536)


def test_an_untaken_branch_cannot_fail():
    assert after("y = x // d if d > 0 else 0", x=(0, 9), d=(0, 3), y=(0, 0))["y"] == (0, 9)
    with pytest.raises(Refusal, match=r"the divisor of // can be 0\.\.3") as refused:
        after("y = x // d if d >= 0 else 0", x=(0, 9), d=(0, 3), y=(0, 0))
    assert refused.value.code == "ND1003"


def test_a_value_beyond_64_bits_is_refused():
    with pytest.raises(Refusal) as refused:
        after("x = x * x", x=(0, 2**40))
    assert refused.value.code == "ND1004"


def test_many_paths_are_joined_and_still_hold():
    lines = [f"y = y + (1 << {i}) if x{i} > 0 else y" for i in range(10)]
    ranges = {f"x{i}": (0, 1) for i in range(10)}
    assert MOST_PATHS < 2**10
    assert after("\n".join(lines), y=(0, 0), **ranges)["y"] == (0, 1023)


def test_intervals_are_plain_integers():
    found = after("y = x + 1", x=(np.int64(0), 3), y=(0, 0))["y"]
    assert found == (1, 4)


def test_a_choice_among_many_literals_is_one_range_and_splits_no_path():
    table = "0"
    for k in range(1, 16):
        table = f"({table} if k < {k} else {k * k})"
    lines = "".join(f"t{i} = {table.replace('k', f'k{i}')}\n" for i in range(12))
    source = lines + "x = " + " + ".join(f"t{i}" for i in range(12)) + "\n"
    ranges = {f"k{i}": Interval(0, 15) for i in range(12)} | {"x": Interval(0, 0)}
    assert path_intervals(parse(source), ranges)["x"] == Interval(0, 12 * 225)  # 16 ** 12 paths, were they followed


def test_a_choice_among_few_literals_says_what_its_condition_says():
    after = path_intervals(parse("y = 1 if x > 5 else 0\nif y == 1:\n    x = 5\n"), {"x": Interval(0, 9)})
    assert after["x"] == Interval(0, 5)

import pytest

from neurodeploy.errors import Refusal
from neurodeploy.step import FLOAT, INTEGER, Const, parse
from neurodeploy.step.language import parse_expression

NUMBER = "allowed: a literal, a name, an operator or a function"
CONDITION = "allowed: a comparison, `and`, `or`, `not`"
SIGNS = "allowed: + - * // << >>"
NAMES = "allowed: lower case letters, digits and _, first a letter, no keyword, no function and no flag"
LARGE = "an expression too deep or too large"
WIDTH = "allowed: an integer literal from 1 to 63"


def faults(source, *arguments, **options):
    with pytest.raises(Refusal) as refused:
        parse(source, *arguments, **options)
    return refused.value.faults


def value(source, *arguments, **options):
    (statement,) = parse(source, *arguments, **options).statements
    return statement.value


def test_a_function_is_its_body_with_the_arguments_in_place():
    functions = {"dash(x, d)": "1 if x > 0 and x >> d == 0 else x >> d", "twice(x)": "dash(x, 1) + x"}
    assert value("v = dash(v + 1, k)", functions) == value("v = 1 if v + 1 > 0 and v + 1 >> k == 0 else v + 1 >> k")
    inner = "(1 if a * b > 0 and a * b >> 1 == 0 else a * b >> 1) + a * b"
    assert value("v = twice(a * b)", functions) == value(f"v = {inner}")
    assert value("v = one()", {"one()": "1"}) == Const(1)


def test_what_a_function_brings_stands_where_it_is_called():
    call = value("v = 2 + dash(\n  v, k >> j)", {"dash(x, d)": "-x + d * 3"}).args[1]
    assert (call.op, call.line, call.column) == ("add", 1, 9)
    x, product = call.args
    assert (x.line, x.column) == (1, 9)
    assert (x.args[0].line, x.args[0].column) == (2, 3)
    shift, three = product.args
    assert (shift.line, shift.column) == (2, 6)
    assert (three.line, three.column) == (1, 9)


@pytest.mark.parametrize(
    ("head", "body", "where", "was", "must"),
    [
        (
            "f(x)",
            "x + v",
            "function f(x), line 1, column 5",
            "name 'v'",
            "allowed: the arguments of the function alone",
        ),
        (
            "f(x)",
            "f(x)",
            "function f(x), line 1, column 1",
            "function f that calls itself",
            "allowed: functions without",
        ),
        ("f(x)", "x % 2", "function f(x), line 1, column 1", "operator %", SIGNS),
        ("f(x)", "sat(x, 2 * 4)", "function f(x), line 1, column 8", "the width of sat is no literal", WIDTH),
        ("f(x, w)", "sat(x, w)", "function f(x, w), line 1, column 8", "the width of sat is no literal", WIDTH),
        ("f(x)", "g(x)", "function f(x), line 1, column 1", "function 'g'", "allowed: abs, clip, f, max"),
        ("f(x)", "x > 1", "function f(x), line 1, column 1", "a condition where a number belongs", NUMBER),
        (
            "f(x)",
            "1 if flag else x",
            "function f(x), line 1, column 6",
            "a number where a condition belongs",
            CONDITION,
        ),
        ("f(x)", "\uff58", "function f(x), line 1, column 1", "character '\uff58'", "allowed: ASCII"),
        ("f(x)", "+".join(["x"] * 101), "function f(x), line 1, column 1", LARGE, "allowed: 100 levels"),
        ("f(x)", "+".join(["x"] * 700), "function f(x), line 1, column 1", LARGE, "allowed: 100 levels"),
        ("f", "1", "line 1, column 1", "function head 'f'", "allowed: a name and its arguments"),
        ("f(x=1)", "x", "line 1, column 1", "function head 'f(x=1)'", "allowed: a name and its arguments"),
        ("f(1)", "1", "line 1, column 1", "function head 'f(1)'", "allowed: a name and its arguments"),
        ("f(*x)", "1", "line 1, column 1", "function head 'f(*x)'", "allowed: a name and its arguments"),
        ("f.g(x)", "x", "line 1, column 1", "function head 'f.g(x)'", "allowed: a name and its arguments"),
        ("f(x, x)", "x", "line 1, column 1", "function head 'f(x, x)'", "allowed: arguments with different names"),
        ("F(x)", "x", "line 1, column 1", "name 'F'", NAMES),
        ("f(X)", "1", "line 1, column 1", "name 'X'", NAMES),
        ("sat(x, w)", "x", "line 1, column 1", "name 'sat', a function", NAMES),
        ("f(flag)", "1", "line 1, column 1", "name 'flag', a flag", NAMES),
    ],
)
def test_a_function_at_fault_is_refused_though_nothing_calls_it(head, body, where, was, must):
    (fault,) = faults("b = a", {head: body}, flags={"flag": True}, where="chip x")
    assert fault.where.startswith(f"chip x, {where}")
    assert (fault.was, fault.must[: len(must)]) == (was, must)


def test_syntax_errors_of_a_function_name_the_function():
    (fault,) = faults("b = a", {"f(x)": "x +"}, where="chip x")
    assert fault.where.startswith("chip x, function f(x), line 1, column ")
    assert parse("b = a", {"f(x)": " x + 1 "}).statements


def test_all_functions_at_fault_are_listed():
    both = faults("b = a", {"f(x)": "x % 2", "g(x)": "x + y", "h(x)": "x"})
    assert [fault.was for fault in both] == ["operator %", "name 'y'"]
    both = faults("b = a", {"f(x)": "x +", "G(x)": "x"})
    assert len(both) == 2


def test_functions_may_call_each_other_but_not_in_a_circle():
    assert value("b = f(a)", {"f(x)": "g(x) + 1", "g(x)": "x * 2"}) == value("b = a * 2 + 1")
    circle = faults("b = a", {"f(x)": "g(x)", "g(x)": "f(x)"})
    assert [fault.was for fault in circle] == ["function f that calls itself", "function g that calls itself"]
    assert value("b = f(f(a))", {"f(x)": "x + 1"}) == value("b = a + 1 + 1")


def test_a_function_is_no_name_and_defined_once():
    functions = {"f(x)": "x"}
    assert faults("f = 1", functions)[0].was == "name 'f', a function"
    assert faults("b = f", functions)[0].was == "name 'f', a function"
    assert faults("b = f(1, 2)", functions)[0].was == "f with 2 argument(s)"
    assert faults("b = f(x=1)", functions)[0].was == "arguments of f"
    (fault,) = faults("b = 1", {"f(x)": "x", "f(x, y)": "x + y"})
    assert fault.was == "name 'f', a function"


def test_functions_cannot_multiply_without_end():
    tower = {f"f{n}(x)": f"f{n + 1}(x) + f{n + 1}(x)" for n in range(60)} | {"f60(x)": "x"}
    assert {fault.was for fault in faults("b = a", tower)} == {LARGE}
    nested = "a"
    for _ in range(40):
        nested = f"f({nested})"
    assert faults(f"b = {nested}", {"f(x)": "x + x"})[0].was == LARGE
    assert parse("b = f(f(f(a)))", {"f(x)": "x + x"}).statements
    lines = ["b = f(a)"] * 9_999  # and one call to check the function itself
    assert parse("\n".join(lines), {"f(x)": "x"}).statements
    (fault,) = faults("\n".join([*lines, "b = f(a)"]), {"f(x)": "x"})
    assert (fault.was, fault.values["line"]) == (LARGE, 10_000)


def test_float_texts_have_decimals_and_no_shifts():
    text = "b = 0.5 * a / 2 + exp(-1 / tau) + count(v, 1.0) + floor(round(log2(exp2(expm1(detach(a))))))"
    assert parse(text, operators=FLOAT).statements
    assert parse("b = count_above(v, 1) + above(v, 1) + at_or_above(v, 1)", operators=FLOAT).statements
    for source, was in [
        ("b = a // 2", "operator //"),
        ("b = a << 2", "operator <<"),
        ("b = sat(a, 8)", "function 'sat'"),
        ("b = 1j", "literal 1j"),
        ("b = True", "literal True"),
        ("b = 1e400", "literal inf"),
        ("b = exp(a, a)", "exp with 2 argument(s)"),
        ("count = 1", "name 'count', a function"),
    ]:
        assert faults(source, operators=FLOAT)[0].was == was
    assert faults("b = a >> 2", operators=FLOAT)[0].must == "allowed: + - * /"
    assert parse("count = count + 1").statements


def test_flags_are_resolved_when_the_text_is_parsed():
    source = "g = 1 - a if norm else 1.5\nif delayed:\n    r = a\nif not delayed:\n    r = b"
    on = parse(source, operators=FLOAT, flags={"norm": True, "delayed": True})
    assert on == parse("g = 1 - a\nr = a", operators=FLOAT)
    off = parse(source, operators=FLOAT, flags={"norm": False, "delayed": False})
    assert off == parse("g = 1.5\nr = b", operators=FLOAT)
    assert on.source == source


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("yes", True),
        ("no", False),
        ("not yes", False),
        ("yes and no", False),
        ("yes or no", True),
        ("yes and not no", True),
        ("no or not yes", False),
        ("yes and a > 1", "a > 1"),
        ("a > 1 and yes", "a > 1"),
        ("no and a > 1", False),
        ("a > 1 and no", False),
        ("yes or a > 1", True),
        ("no or a > 1", "a > 1"),
        ("not (no or a > 1)", "not a > 1"),
        ("a > 1 and yes and a < 9", "a > 1 and a < 9"),
    ],
)
def test_flags_stand_beside_other_conditions(condition, left):
    expected = {True: "b = 1", False: ""}.get(left, f"if {left}:\n    b = 1")
    flags = {"yes": True, "no": False}
    assert parse(f"if {condition}:\n    b = 1", flags=flags) == parse(expected)
    expected = {True: "b = 1", False: "b = 2"}.get(left, f"b = 1 if {left} else 2")
    assert parse(f"b = 1 if {condition} else 2", flags=flags) == parse(expected)


def test_a_flag_is_no_number_and_its_branches_are_checked():
    flags = {"norm": False}
    assert faults("b = norm", flags=flags)[0].was == "name 'norm', a flag"
    assert faults("norm = 1", flags=flags)[0].was == "name 'norm', a flag"
    assert faults("b = 1 if norm == 1 else 2", flags=flags)[0].was == "name 'norm', a flag"
    assert faults("b = a % 2 if norm else 1", flags=flags)[0].was == "operator %"
    assert faults("if norm:\n    b = a % 2", flags=flags)[0].was == "operator %"
    assert faults("b = 1 if norm and a else 2", flags=flags)[0].was == "a number where a condition belongs"
    assert parse("if a > 1:\n    if norm:\n        b = 1", flags=flags).statements[0].body == ()


def test_a_formula_is_one_number():
    assert parse_expression(" min(64, n) ", operators=INTEGER, where="limit") == value("x = min(64, n)")
    for source, was in [("a > 1", "a condition where a number belongs"), ("+".join(["a"] * 700), LARGE)]:
        with pytest.raises(Refusal) as refused:
            parse_expression(source, operators=INTEGER, where="limit")
        assert refused.value.faults[0].was == was
        assert refused.value.faults[0].where == "limit, line 1, column 1"
    for source in ("b = 1", "", "a b"):
        with pytest.raises(Refusal, match=r"limit, line .*ND1001"):
            parse_expression(source, operators=INTEGER, where="limit")

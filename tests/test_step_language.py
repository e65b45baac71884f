import warnings

import pytest

from neurodeploy.errors import Refusal
from neurodeploy.step import FLOAT, INTEGER, Assign, Call, Const, Guard, Name, assigned, parse

NUMBER = "allowed: a literal, a name, an operator or a function"
CONDITION = "allowed: a comparison, `and`, `or`, `not`"
STATEMENT = "allowed: `name = number` and `if condition:` without else"
SIGNS = "allowed: + - * // << >>"
FUNCTIONS = "allowed: abs, clip, max, min, round_half_even, sat, scale2, shift_to_zero, wrap"
NAMES = "allowed: lower case letters, digits and _, first a letter, no keyword, no function and no flag"
PLAIN = "allowed: plain arguments, in order"
WIDTH = "allowed: an integer literal from 1 to 63"


def faults(source, *arguments, **options):
    with pytest.raises(Refusal) as refused:
        parse(source, *arguments, **options)
    return refused.value.faults


def value(source, *arguments, **options):
    (statement,) = parse(source, *arguments, **options).statements
    return statement.value


# each accepted form, the nearest refused one, and what the refusal says: column, was, must
PAIRS = [
    ("if a > 1:\n    b = 1", "if a > 1:\n    b = 1\nelse:\n    b = 2", 1, "an else branch", STATEMENT),
    ("if a > 1:\n    b = 1", "if a > 1:\n    b = 1\nelif a < 0:\n    b = 2", 1, "an else branch", STATEMENT),
    (
        "b = 1 if 0 < a and a < 3 else 2",
        "b = 1 if 0 < a < 3 else 2",
        10,
        "a chained comparison",
        "allowed: one compari",
    ),
    ("b = 1 if a > 1 else 0", "b = a > 1", 5, "a condition where a number belongs", NUMBER),
    ("b = (1 if a > 1 else 0) + 1", "b = (a > 1) + 1", 6, "a condition where a number belongs", NUMBER),
    ("b = 0 if not a > 1 else 1", "b = not a", 5, "a condition where a number belongs", NUMBER),
    ("b = min(a, c)", "b = a and c", 5, "a condition where a number belongs", NUMBER),
    ("b = 1 if a != 0 else 2", "b = 1 if a else 2", 10, "a number where a condition belongs", CONDITION),
    ("if a != 0:\n    b = 1", "if a:\n    b = 1", 4, "a number where a condition belongs", CONDITION),
    ("if 1 == 1:\n    b = 1", "if True:\n    b = 1", 4, "a number where a condition belongs", CONDITION),
    ("if a > 1 or c > 1:\n    b = 1", "if a > 1 or c:\n    b = 1", 13, "a number where a condition belongs", CONDITION),
    ("b = 1 if a == c else 2", "b = 1 if a is c else 2", 10, "comparison is", "allowed: < <= > >= == !="),
    ("b = 1 if a == c else 2", "b = 1 if a in c else 2", 10, "comparison in", "allowed: < <= > >= == !="),
    ("b = 1", "b = 1.0", 5, "literal 1.0", "allowed: integers"),
    ("b = 1", "b = 1e3", 5, "literal 1000.0", "allowed: integers"),
    ("b = 1", "b = 1j", 5, "literal 1j", "allowed: integers"),
    ("b = 1", "b = True", 5, "literal True", "allowed: integers"),
    ("b = 0", "b = False", 5, "literal False", "allowed: integers"),
    ("b = 0", "b = None", 5, "literal None", "allowed: integers"),
    ("b = 1", "b = '1'", 5, "literal '1'", "allowed: integers"),
    ("b = a", "b = f'{a}'", 5, "a string where a number belongs", NUMBER),
    ("b = a // 2", "b = a / 2", 5, "operator /", SIGNS),
    ("b = wrap(a, 4)", "b = a % 16", 5, "operator %", SIGNS),
    ("b = a * a", "b = a ** 2", 5, "operator **", SIGNS),
    ("b = a * a", "b = a @ a", 5, "operator @", SIGNS),
    ("b = a + 1", "b = a | 1", 5, "operator |", SIGNS),
    ("b = a + 1", "b = a & 1", 5, "operator &", SIGNS),
    ("b = a + 1", "b = a ^ 1", 5, "operator ^", SIGNS),
    ("b = -a", "b = +a", 5, "operator + with one operand where a number belongs", NUMBER),
    ("b = -a - 1", "b = ~a", 5, "operator ~ where a number belongs", NUMBER),
    ("b = b + 1", "b += 1", 1, "an augmented assignment", STATEMENT),
    ("b = 1\nc = 2", "b, c = 1, 2", 1, "an assignment to anything but one name", STATEMENT),
    ("b = 1\nc = 1", "b = c = 1", 1, "an assignment to anything but one name", STATEMENT),
    ("b = 1", "b: int = 1", 1, "an annotation", STATEMENT),
    ("b = 1", "b", 1, "a line that assigns nothing", STATEMENT),
    ("b = 1", "b.c = 1", 1, "an assignment to anything but one name", STATEMENT),
    ("b = 1", "b[0] = 1", 1, "an assignment to anything but one name", STATEMENT),
    ("b = a", "b = a.real", 5, "an attribute where a number belongs", NUMBER),
    ("b = a", "b = a[0]", 5, "a subscript where a number belongs", NUMBER),
    ("b = (a)", "b = (a,)", 5, "a tuple where a number belongs", NUMBER),
    ("b = (a)", "b = [a]", 5, "a list where a number belongs", NUMBER),
    ("b = a", "b = lambda: a", 5, "a lambda where a number belongs", NUMBER),
    ("b = (a)", "b = (c := a)", 6, "`:=` where a number belongs", NUMBER),
    ("b = clip(a, 1, 2)", "b = clip(a, 1, high=2)", 5, "arguments of clip", PLAIN),
    ("b = min(a, c)", "b = min(*a)", 5, "arguments of min", PLAIN),
    ("b = min(a, c)", "b = min(a, c, **d)", 5, "arguments of min", PLAIN),
    ("b = abs(a)", "b = a.abs()", 5, "an attribute as function", FUNCTIONS),
    ("b = abs(a)", "b = absolute(a)", 5, "function 'absolute'", FUNCTIONS),
    ("b = a + 1", "b = add(a, 1)", 5, "function 'add'", FUNCTIONS),
    ("b = a", "b = int(a)", 5, "function 'int'", FUNCTIONS),
    ("b = abs(a)", "b = abs(a, 1)", 5, "abs with 2 argument(s)", "allowed: 1"),
    ("b = abs(a)", "b = abs()", 5, "abs with 0 argument(s)", "allowed: 1"),
    ("b = clip(a, 1, 2)", "b = clip(a, 1)", 5, "clip with 2 argument(s)", "allowed: 3"),
    ("b = scale2(a, 1)", "b = scale2(a, 1, 2)", 5, "scale2 with 3 argument(s)", "allowed: 2"),
    ("b = max(a, 1)", "b = max(a)", 5, "max with 1 argument(s)", "allowed: two or more"),
    ("b = min(a, 1, c, 2)", "b = min()", 5, "min with 0 argument(s)", "allowed: two or more"),
    ("b = a", "B = a", 1, "name 'B'", NAMES),
    ("b_1 = a", "_b = a", 1, "name '_b'", NAMES),
    ("b = a_", "b = _", 5, "name '_'", NAMES),
    ("b = a", "b = A", 5, "name 'A'", NAMES),
    ("b = a", "b = aB", 5, "name 'aB'", NAMES),
    ("b = abs(a)", "b = abs", 5, "name 'abs', a function", NAMES),
    ("saturated = 1", "sat = 1", 1, "name 'sat', a function", NAMES),
    ("add = lt + select", "wrap = 1", 1, "name 'wrap', a function", NAMES),
    ("b = 1", "pass", 1, "Pass of Python", STATEMENT),
    ("if a > 1:\n    a = 1", "while a > 1:\n    a = 1", 1, "a loop", STATEMENT),
    ("if a > 1:\n    a = 1", "for b in a:\n    a = 1", 1, "a loop", STATEMENT),
    ("b = a", "def b(a):\n    c = 1", 1, "a definition", STATEMENT),
    ("b = a", "class b:\n    c = 1", 1, "a definition", STATEMENT),
    ("b = 1", "import b", 1, "an import", STATEMENT),
    ("b = 1", "from b import c", 1, "an import", STATEMENT),
    ("a = 1\nb = 2", "a = 1; b = 2", 8, "a second statement on one line", "allowed: one statement per line"),
    (
        "if a > 1:\n    b = 2",
        "if a > 1: b = 2",
        11,
        "a second statement on one line",
        "allowed: one statement per line",
    ),
    ("b = 1 # é", "b = é", 5, "character 'é'", "allowed: ASCII, except in comments"),
    ("b = 1", "\uff42 = 1", 1, "character '\uff42'", "allowed: ASCII, except in comments"),
    ("fi = 1", "\ufb01 = 1", 1, "character '\ufb01'", "allowed: ASCII, except in comments"),
    ("b = 1", "b =\u00a01", 4, "character '\\xa0'", "allowed: ASCII, except in comments"),
    ("b = 1", "\ufeffb = 1", 1, "character '\\ufeff'", "allowed: ASCII, except in comments"),
]


@pytest.mark.parametrize(("accepted", "refused", "column", "was", "must"), PAIRS, ids=[pair[1] for pair in PAIRS])
def test_a_form_is_accepted_and_its_neighbour_refused_at_its_place(accepted, refused, column, was, must):
    assert parse(accepted).statements
    (fault,) = faults(refused, where="chip x, step")
    assert fault.code == "ND1001"
    assert (fault.was, fault.must[: len(must)]) == (was, must)
    assert fault.where == f"chip x, step, line 1, column {column}"
    assert fault.values == {"line": 1, "column": column}


@pytest.mark.parametrize("function", ["sat", "wrap"])
def test_a_width_is_a_literal_from_1_to_63(function):
    for bits in (1, 63):
        assert value(f"b = {function}(a, {bits})") == Call(function, (Name("a"), Const(bits)))
    for width, was in [("0", "is 0"), ("64", "is 64"), ("c", "is no literal"), ("4 + 4", "is no literal")]:
        (fault,) = faults(f"b = {function}(a, {width})")
        assert (fault.code, fault.was, fault.must) == ("ND1003", f"the width of {function} {was}", WIDTH)
        assert fault.values["column"] == len(f"b = {function}(a, ") + 1
    for width in ("-1", "True", "8.0", "(lambda: 8)"):
        assert faults(f"b = {function}(a, {width})")[0].was == f"the width of {function} is no literal"


# Python's own words differ between its versions; line and code do not
@pytest.mark.parametrize(
    ("accepted", "refused", "line"),
    [
        ("b = 1", "if = 1", 1),
        ("b = 1", "b = if", 1),
        ("b = 1", "None = 1", 1),
        ("b = (a)", "c = 1\nb = (a", 2),
        ("b = 1 if a > 1 else 0", "b = 1 if a > 1", 1),
        ("b = 1 if a > 1 else 0", "b = 1if a > 1 else 0", 1),
        ("b = 7", "b = 07", 1),
        ("b = 1", "  b = 1", 1),
        ("if a > 1:\n    b = 1", "if a > 1:\nb = 1", 2),
        ("if a > 1:\n\tb = 1\n\tc = 2", "if a > 1:\n\tb = 1\n        c = 2", 3),
        ("b\t=\t1", "c = 1\n\tb = 1", 2),
        ("b = a", "b = a\0", 1),
        ("b = a", "b = a b", 1),
        ("b = a", "b = 'a\\d' b", 1),
        (f"b = {'9' * 18}", f"b = {'9' * 5000}", 1),
    ],
)
def test_what_python_cannot_read_is_a_refusal_with_its_line(accepted, refused, line):
    assert parse(accepted).statements
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a text is refused whatever the caller thinks of warnings
        (fault,) = faults(refused, where="step")
    assert fault.code == "ND1001"
    assert fault.values["line"] == line
    assert fault.where.startswith(f"step, line {line}, column ")
    assert fault.was
    assert fault.must == "allowed: `name = number` and `if condition:`, one per line"


@pytest.mark.parametrize("source", ["", "\n\n", "# nothing\n", "  # nothing"])
def test_an_empty_text_has_no_statements(source):
    assert parse(source).statements == ()


def test_precedence_is_that_of_python():
    a, b, c = Name("a"), Name("b"), Name("c")
    assert value("x = a - b * c >> 1") == Call("shr", (Call("sub", (a, Call("mul", (b, c)))), Const(1)))
    assert value("x = a - b - c") == Call("sub", (Call("sub", (a, b)), c))
    assert value("x = a - (b - c)") == Call("sub", (a, Call("sub", (b, c))))
    assert value("x = -a // b") == Call("floordiv", (Call("neg", (a,)), b))
    assert value("x = a << b + c") == Call("shl", (a, Call("add", (b, c))))
    either = Call("or", (Call("lt", (a, b)), Call("and", (Call("not", (Call("eq", (b, c)),)), Call("ge", (c, a))))))
    assert value("x = a if a < b or not b == c and c >= a else b") == Call("select", (either, a, b))


def test_every_operator_has_a_spelling():
    source = """
x = a + b - c * a // b << 1 >> c
x = -min(a, b, c) + max(abs(a), clip(a, b, c))
x = sat(a, 8) + wrap(b, 9) + shift_to_zero(a, 1) + round_half_even(b, 2) + scale2(c, -3)
x = a if a < b and not a <= b or a > b else b
x = a if a >= b and a == b or a != b else b
"""

    def operators(expression):
        if isinstance(expression, Call):
            yield expression.op
            for argument in expression.args:
                yield from operators(argument)

    assert {op for a in assigned(parse(source).statements) for op in operators(a.value)} == set(INTEGER)


def test_a_negative_literal_is_one_literal():
    assert value("x = -5") == Const(-5)
    assert value("x = --5") == Const(5)
    assert value("x = -9223372036854775808") == Const(-(2**63))
    assert value("x = 0x1f + 1_000") == Call("add", (Const(31), Const(1000)))


def test_min_of_many_is_min_of_pairs():
    a, b, c = Name("a"), Name("b"), Name("c")
    assert value("x = min(a, b, c)") == Call("min", (Call("min", (a, b)), c))


def test_nested_guards_keep_their_shape():
    text = parse("if a > 0:\n    b = 1\n    if a > 1:\n        b = 2\n    b = 3\nc = 4")
    first, last = text.statements
    assert isinstance(first, Guard)
    assert [type(s) for s in first.body] == [Assign, Guard, Assign]
    assert last == Assign("c", Const(4))
    assert [a.value.value for a in assigned(text.statements)] == [1, 2, 3, 4]


def test_lines_are_counted_over_comments_and_brackets():
    text = parse("# first\n\na = 1  # one\nif a > (\n    0\n):\n    # inside\n    b = (a +\n      2)\nc = 3\n")
    lines = [a.line for a in assigned(text.statements)]
    assert lines == [3, 8, 10]
    assert text.statements[1].line == 4
    assert text.line(3) == "a = 1"
    assert text.line(10) == "c = 3"
    (fault,) = faults("# first\n\na = 1  # one\nif a > 0:\n    # inside\n    b = (a +\n      2.5)\n")
    assert fault.values == {"line": 7, "column": 7}


def test_lines_are_those_of_the_parser_whatever_stands_in_comments():
    source = "a = 1 # x\u2028 \x85 \x0c\r\nb = 2\rc = 3"
    text = parse(source)
    assert [text.line(a.line) for a in text.statements] == ["a = 1", "b = 2", "c = 3"]


def test_each_line_at_fault_is_listed():
    source = "a = x.y\nb = 1\nif b > 0:\n    c = b % 2\n    d = 1\n    e = 1.5\nif b:\n    f = 1\ng = min(1)"
    assert [(f.values["line"], f.was) for f in faults(source)] == [
        (1, "an attribute where a number belongs"),
        (4, "operator %"),
        (6, "literal 1.5"),
        (7, "a number where a condition belongs"),
        (9, "min with 1 argument(s)"),
    ]


DEEP = "an expression nested too deeply"
LARGE = "an expression too deep or too large"


def test_an_expression_has_at_most_100_levels():
    for form in ("{}", "1 if {} > 0 else 2"):
        levels = 100 if form == "{}" else 98
        assert parse("b = " + form.format(" + ".join(["a"] * levels))).statements
        (fault,) = faults("c = 1\nb = " + form.format(" + ".join(["a"] * (levels + 1))))
        assert (fault.was, fault.must, fault.values["line"]) == (LARGE, "allowed: 100 levels and 10,000 operators", 2)
    assert faults("b = " + " + ".join(["a"] * 700))[0].was == LARGE
    assert faults("if " + " + ".join(["a"] * 101) + " > 0:\n    b = 1")[0].was == LARGE
    assert parse("b = min(" + ", ".join(["a"] * 100) + ")").statements
    assert faults("b = min(" + ", ".join(["a"] * 101) + ")")[0].was == LARGE


@pytest.mark.parametrize("source", ["b = " + "-" * 100_000 + "a", "b = " + "+".join(["a"] * 20_000)])
def test_nesting_that_python_cannot_read_is_refused_in_the_same_words(source):
    (fault,) = faults(source)
    assert fault.was in {DEEP, LARGE}


def test_a_literal_of_any_size_can_be_refused():
    (fault,) = faults("b = a / 0x" + "f" * 5000, operators=FLOAT)
    assert fault.was == "literal beyond float"
    assert value("b = 0x" + "f" * 5000).value == 16**5000 - 1

import pytest

from neurodeploy.step import check_names, parse


def name_faults(source, functions=None, states=("v", "s"), readable=("p", "n")):
    return [str(f) for f in check_names(parse(source, functions, where="step"), states=states, readable=readable)]


@pytest.mark.parametrize(
    "source",
    [
        "v = v + p",
        "t = p\nv = t",
        "t = p\nt = t + 1\nv = t",
        "t = 1\nif v > 0:\n    t = 2\nv = t",
        "if v > 0:\n    t = p\n    v = t",
        "if v > 0:\n    t = p\n    v = t\nif s > 0:\n    t = n\n    s = t",
        "t = 1\nif t > 0:\n    v = 1",
        "t = 1\nif v > 0:\n    if s > 0:\n        v = t",
        "v = 1\nv = 2",
        "t = 1\nv = t if t > 0 else p",
    ],
)
def test_names_that_have_a_value_and_are_read_are_accepted(source):
    assert name_faults(source) == []


UNDER_GUARD = "'t' has no value here; it is assigned only under a guard; assign it before the guard. [ND1006]"
UNREAD = "'t' is assigned and never read; it must be a state or be read later; remove the line. [ND1006]"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("v = w", "step, line 1, column 5: unknown name 'w'; known here: n, p, s, v. [ND1002]"),
        ("t = t + 1\nv = t", "step, line 1, column 5: unknown name 't'; known here: n, p, s, v. [ND1002]"),
        ("v = t\nt = 1\ns = t", "step, line 1, column 5: unknown name 't'; known here: n, p, s, v. [ND1002]"),
        ("p = 1", "step, line 1: 'p' is assigned; it is read-only; assign a new name instead. [ND1002]"),
        *[
            (source, f"step, line {line}, column {column}: {UNDER_GUARD}")
            for source, line, column in [
                ("if v > 0:\n    t = 1\n    s = t\nv = t", 4, 5),
                ("if v > 0:\n    t = 1\n    s = t\nif v > 1:\n    v = t", 5, 9),
                ("if v > 0:\n    if s > 0:\n        t = 1\n        s = t\n    v = t", 5, 9),
            ]
        ],
        *[
            (source, f"step, line {line}: {UNREAD}")
            for source, line in [
                ("t = 1\nv = 2", 1),
                ("v = 2\nt = v", 2),
                ("t = 1\nt = 2\nv = t", 1),
                ("t = 1\nv = t\nt = 2", 3),
                ("if v > 0:\n    t = 1", 2),
                ("t = 1\nv = t\nif v > 0:\n    t = 2", 4),
                ("t = 1\nif v > 0:\n    t = 2\n    t = 3\nv = t", 3),
            ]
        ],
    ],
)
def test_a_name_at_fault_is_said(source, said):
    assert name_faults(source) == [said]


def test_all_name_faults_come_at_once_in_the_order_of_the_text():
    source = "t = a\np = v\nif v > 0:\n    u = b\nv = u\nw = c"
    assert [f.split(";")[0].removeprefix("step, ") for f in name_faults(source)] == [
        "line 1, column 5: unknown name 'a'",
        "line 1: 't' is assigned and never read",
        "line 2: 'p' is assigned",
        "line 4, column 9: unknown name 'b'",
        "line 5, column 5: 'u' has no value here",
        "line 6, column 5: unknown name 'c'",
        "line 6: 'w' is assigned and never read",
    ]


def test_an_argument_that_a_function_repeats_is_one_fault():
    assert len(name_faults("v = f(w)", {"f(x)": "x * x - x"})) == 1

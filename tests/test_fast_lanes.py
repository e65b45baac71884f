"""Operators in the lanes of generated kernels: in every width that ranges can ask for, they mean what Python's do."""

import random

import numpy as np
import pytest
from plain_kernels import plain

from neurodeploy.generated import Compiled
from neurodeploy.simulator.fast.lanes import Lines, held_class, reached_class, stored_type, width_of
from neurodeploy.simulator.fast.prelude import PRELUDE
from neurodeploy.simulator.fast.values import Values
from neurodeploy.step import INTEGER, PYTHON, Interval, parse, signed, unsigned
from neurodeploy.step.intervals import INT64, RANGES
from neurodeploy.step.operators import CONDITIONS

WIDTHS = (5, 8, 15, 16, 17, 24, 31, 32, 33, 40)
SAMPLES = 24


def corners(interval, rng):
    low, high = interval
    fixed = [v for v in (low, low + 1, -2, -1, 0, 1, 2, high - 1, high) if low <= v <= high]
    return fixed + [rng.randint(low, high) for _ in range(SAMPLES - len(fixed))]


def cases(widths):
    """Operator, and the ranges of its arguments; widths of saturation and wrapping are numbers."""
    for op, sorts in INTEGER.items():
        for bits in widths:
            x = signed(bits)
            if op in {"sat", "wrap"}:
                yield from ((op, (x, Interval(w, w))) for w in (3, 8, 12, 16, 20, 32, 48) if w <= bits)
            elif op == "floordiv":
                yield op, (x, Interval(1, unsigned(bits - 1).high))
            elif op in {"shr", "shift_to_zero", "round_half_even"}:
                yield from ((op, (x, n)) for n in (Interval(0, 7), Interval(12, 12), Interval(0, 40)))
            elif op == "shl":
                yield from ((op, (x, n)) for n in (Interval(0, 7), Interval(6, 6), Interval(0, 20)))
            elif op == "scale2":
                yield op, (x, Interval(-9, 7))
            elif op == "clip":
                yield op, (x, Interval(x.low // 2, 3), Interval(4, x.high))
            elif op not in {"and", "or", "not", "select"}:
                number = 2 if sorts == "*" else len(sorts)
                yield op, (x, Interval(-100, 100), x)[:number]
                yield op, (x, x, x)[:number]


def fitting(widths):
    for op, ranges in cases(widths):
        if op in CONDITIONS or RANGES[op](*ranges).within(INT64):
            yield op, ranges


class Operators:
    """One kernel that computes every case at every sample."""

    def __init__(self, widths):
        rng, lines = random.Random(1), ["results = _int64(high)", "given = _int64(table_address)"]  # noqa: S311
        self.given, self.wanted = [], []
        for op, ranges in fitting(widths):
            columns = [corners(r, rng) for r in ranges]
            for column in columns[1:]:
                rng.shuffle(column)
            values = Values()
            leaves = [values.leaf(f"x{i}", r) for i, r in enumerate(ranges)]
            end = values.call(op, leaves)
            if op in CONDITIONS:
                end = values.call("select", (end, values.const(1), values.const(0)))
            at, known = len(self.wanted), {}
            lines.append(f"for j in range({SAMPLES}):")
            for i, leaf in enumerate(leaves):
                if values.nodes[leaf].op == "leaf":
                    known[leaf] = f"x{at}_{i}"
                    number = f"np.int{width_of(ranges[i])}(given[{len(self.given) + i * SAMPLES} + j])"
                    lines.append(f"    x{at}_{i} = {number}")
            code = Lines(values, known, f"n{at}_")
            lines += ["    " + line for line in code.write([end])]
            lines.append(f"    results[{at} + j] = np.int64({code.ref(end)})")
            self.given += [v for column in columns for v in column]
            self.wanted += [(op, a, int(PYTHON[op](*a))) for a in zip(*columns, strict=True)]
        head = "def run(low, high, steps, batch, begin, table_address):\n"
        self.code = PRELUDE + head + "".join(f"    {line}\n" for line in lines)

    def signature(self, _):
        return f"void({', '.join(['int64'] * 6)})"

    def wrong(self, run):
        results, given = np.zeros(len(self.wanted), np.int64), np.array(self.given, np.int64)
        run(0, results.ctypes.data, 0, 0, 0, given.ctypes.data)
        return [(*w, int(r)) for w, r in zip(self.wanted, results, strict=True) if w[2] != r][:5]


def test_every_operator_means_what_python_says():
    operators = Operators(WIDTHS)
    assert {op for op, *_ in operators.wanted} == set(INTEGER) - {"and", "or", "not", "select"}
    assert len(operators.wanted) > 3000
    assert operators.wrong(plain(operators)) == []


@pytest.mark.slow
@pytest.mark.compiled
def test_every_compiled_operator_means_what_python_says():
    pytest.importorskip("numba")
    operators = Operators((8, 33))
    assert operators.wrong(Compiled(operators).function("run")) == []


@pytest.mark.parametrize(("low", "high", "kind"), [(0, 255, "uint8"), (-1, 127, "int8"), (-1, 128, "int16")])
def test_memory_is_as_narrow_as_a_range_allows(low, high, kind):
    assert stored_type(Interval(low, high)) == kind


def test_ranges_are_rounded_up_to_few_classes_inside_the_register():
    assert held_class(np.array([3, 9]), signed(16)) == unsigned(4)
    assert held_class(np.array([1, 1]), signed(16)) == Interval(1, 1)
    assert held_class(np.array([-9, 300]), Interval(-256, 400)) == Interval(-256, 400)
    assert reached_class(Interval(-70000, 5), signed(32)) == signed(20)
    assert reached_class(Interval(0, 5), signed(32)) == Interval(0, 127)


def test_what_a_condition_says_narrows_what_a_text_leaves():
    """Count times threshold is never more than v where the count is 1 only at the threshold."""
    values, width = Values(), signed(16)
    nodes = {"v": values.leaf("v", width), "threshold": values.leaf("threshold", Interval(1, 32767))}
    text = parse("n = 1 if v >= threshold else 0\nv = v - n * threshold")
    values.follow(text, nodes, {"v": width})
    assert values.nodes[nodes["v"]].range.within(width)


def test_what_is_known_beforehand_needs_no_code():
    values = Values()
    x = values.leaf("x", Interval(0, 0))
    y = values.leaf("y", signed(16))
    assert values.nodes[x].op == "const"
    assert values.call("add", (y, x)) == y
    assert values.call("sat", (y, values.const(16))) == y
    assert values.call("select", (values.call("gt", (y, values.const(40000))), x, y)) == y

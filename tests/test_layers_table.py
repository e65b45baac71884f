"""The torch table: values against Python, and where each gradient goes."""

import math

import pytest
import torch

from neurodeploy.errors import Refusal
from neurodeploy.layers import SURROGATES, Atan, FastSigmoid, PeriodicExponential, SingleExponential, register
from neurodeploy.layers.surrogates import build_surrogate, describe_surrogate
from neurodeploy.layers.table import torch_table
from neurodeploy.step import FLOAT, parse, run

TABLE = torch_table(SingleExponential())
POINTS = [-2.5, -1.0, -0.25, 0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 7.3]
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "min": min,
    "max": max,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
}
FIRING = {
    "above": lambda v, t: float(v > t),
    "at_or_above": lambda v, t: float(v >= t),
    "count": lambda v, t: float(max(math.floor(v / t), 0)),
    "count_above": lambda v, t: float(max(math.ceil(v / t) - 1, 0)),
}
UNARY = {
    "neg": lambda x: -x,
    "abs": abs,
    "exp": math.exp,
    "exp2": math.exp2,
    "expm1": math.expm1,
    "round": round,
    "floor": math.floor,
    "detach": lambda x: x,
}


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_table_has_every_operator_of_float_texts():
    assert set(TABLE) == {*FLOAT, "guard"}


@pytest.mark.parametrize("name", [*BINARY, *FIRING])
def test_two_operands_in_any_mixture_give_the_value_of_python(name):
    function = (BINARY | FIRING)[name]
    for a in POINTS:
        for b in (0.25, 0.5, 1.0, 1.5):
            expected = function(a, b)
            assert TABLE[name](a, b) == expected
            for left, right in ((double(a), b), (a, double(b)), (double(a), double(b))):
                found = TABLE[name](left, right)
                assert found.item() == expected, (a, b)
                assert found.dtype in (torch.float64, torch.bool)


@pytest.mark.parametrize("name", UNARY)
def test_one_operand_gives_the_value_of_python(name):
    for a in POINTS:
        expected = UNARY[name](a)
        assert TABLE[name](a) == pytest.approx(expected, rel=1e-15)
        assert TABLE[name](double(a)).item() == pytest.approx(expected, rel=1e-15)


def test_numbers_alone_follow_ieee():
    assert TABLE["div"](1, 0) == math.inf
    assert math.isnan(TABLE["div"](0, 0))
    assert TABLE["exp"](1000) == math.inf
    assert TABLE["log2"](0) == -math.inf
    assert TABLE["log2"](double(8.0)).item() == 3


@pytest.mark.parametrize("name", ["min", "max"])
def test_not_a_number_is_never_hidden(name):
    nan = double(math.nan)
    assert TABLE[name](nan, 1.0).isnan()
    assert TABLE[name](1.0, nan).isnan()
    assert TABLE[name](nan, double(1.0)).isnan()
    assert TABLE[name](double(1.0), nan).isnan()


@pytest.mark.parametrize("name", ["min", "max"])
def test_at_a_tie_the_first_operand_receives_the_gradient(name):
    a, b = double(2.0).requires_grad_(), double(2.0).requires_grad_()
    TABLE[name](a, b).sum().backward()
    assert (a.grad.item(), b.grad.item()) == (1, 0)
    x = double(2.0).requires_grad_()
    TABLE[name](x, 2).sum().backward()
    assert x.grad.item() == 1
    (TABLE[name](2, x).sum() + 0 * x.sum()).backward()
    assert x.grad.item() == 1  # nothing was added


def test_clip_passes_the_gradient_within_its_bounds_included():
    x = double(-1.0, 0.0, 0.5, 1.0, 2.0).requires_grad_()
    found = TABLE["clip"](x, 0, 1)
    found.sum().backward()
    assert found.tolist() == [0, 0, 0.5, 1, 1]
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.parametrize("name", FIRING)
def test_firing_gives_v_the_surrogate_and_the_threshold_nothing(name):
    v, threshold = double(-0.5, 0.75, 1.0, 2.5).requires_grad_(), double(1.0).requires_grad_()
    TABLE[name](v, threshold).mul(double(1.0, 2.0, 3.0, 4.0)).sum().backward()
    slopes = [2 * math.exp(-abs(x - 1) * 2) for x in (-0.5, 0.75, 1.0, 2.5)]
    assert v.grad.tolist() == pytest.approx([slope * (k + 1) for k, slope in enumerate(slopes)])
    assert threshold.grad is None


def test_a_membrane_shared_by_several_thresholds_sums_their_gradients():
    v = double(1.0).requires_grad_()
    TABLE["above"](v, double(1.0, 2.0, 3.0)).sum().backward()
    expected = sum(2 / t * math.exp(-(t - 1) * 2 / t) for t in (1.0, 2.0, 3.0))
    assert v.grad.tolist() == pytest.approx([expected])


@pytest.mark.parametrize("threshold", [0.1, 0.3, 1.0, 1.7, 1.9999999999999998, 123.456])
def test_counts_agree_with_the_comparison_at_the_threshold_itself(threshold):
    below, above = math.nextafter(threshold, 0), math.nextafter(threshold, math.inf)
    v = double(below, threshold, above)
    assert TABLE["count"](v, threshold).tolist() == [0, 1, 1]
    assert TABLE["count_above"](v, threshold).tolist() == [0, 0, 1]


def executed(text, **given):
    environment = dict(given)
    run(parse(text, operators=FLOAT).statements, environment, torch_table(SingleExponential(), torch.float64))
    return environment


def test_a_guard_changes_only_where_its_condition_holds():
    found = executed("if x > 0:\n    v = v + x\n    w = 2 * v", x=double(-1.0, 3.0), v=double(1.0, 1.0), w=double(0, 0))
    assert found["v"].tolist() == [1, 4]
    assert found["w"].tolist() == [0, 8]


@pytest.mark.parametrize(("x", "v"), [(1, 3), (-1, 2)])
def test_a_guard_on_plain_numbers_is_taken_or_not(x, v):
    assert executed("if x > 0 and not x > 5:\n    v = v + x", x=x, v=2)["v"] == v


def test_a_choice_between_literals_keeps_the_precision_of_the_tensors():
    assert executed("y = 0.1 if x > 0 or x == 0 else 0.2", x=double(1.0, -1.0))["y"].tolist() == [0.1, 0.2]


def test_smooth_texts_have_true_gradients():
    text = "y = expm1(a * b) / (1 + exp2(a)) - log2(abs(b) + 1) if a < b else clip(a, 0, 2) * -b"

    def function(a, b):
        return executed(text, a=a, b=b)["y"]

    given = [double(0.3, 1.4, -0.6).requires_grad_(), double(0.9, 0.2, -1.4).requires_grad_()]
    assert torch.autograd.gradcheck(function, given)


@pytest.mark.parametrize(
    ("surrogate", "formula"),
    [
        (SingleExponential(0.3, 2.0), lambda v, t: 2 / (t * 0.3) * math.exp(-abs(v - t) / (t * 0.3))),
        (FastSigmoid(10.0), lambda v, t: 1 / (10 * abs(v - t) + 1) ** 2),
        (Atan(3.0), lambda v, t: 1.5 / (1 + (math.pi * 3 * (v - t) / 2) ** 2)),
        (
            PeriodicExponential(0.4, 3.0),
            lambda v, t: 3 * math.exp(-abs(v - t if v < t else t * (2 * ((v / t - 0.5) % 1) - 1)) / 0.4),
        ),
    ],
    ids=lambda value: type(value).__name__,  # names that every worker gives alike
)
@pytest.mark.parametrize("threshold", [1.0, 0.75])
def test_surrogates_follow_their_formula(surrogate, formula, threshold):
    found = surrogate.gradient(double(*POINTS), double(threshold))
    assert found.tolist() == pytest.approx([formula(v, threshold) for v in POINTS], rel=1e-12)


def test_the_periodic_surrogate_peaks_at_every_multiple():
    found = PeriodicExponential().gradient(double(0.5, 1.0, 1.5, 2.0, 3.0), double(1.0)).tolist()
    assert found[1] == found[3] == found[4] == 1
    assert max(found[0], found[2]) < 0.5


@pytest.mark.parametrize("name", SURROGATES)
def test_surrogates_are_found_by_name(name):
    assert build_surrogate({**describe_surrogate(SURROGATES[name]())}) == SURROGATES[name]()


def test_surrogates_with_other_options_are_refused():
    with pytest.raises(Refusal, match="options slope, width; its options are width, scale"):
        build_surrogate({"name": "SingleExponential", "width": 1.0, "slope": 1.0})


def test_a_taken_name_is_not_registered():
    with pytest.raises(Refusal, match="register LIF: the name is taken"):
        register(type("LIF", (torch.nn.Module,), {}))
    with pytest.raises(Refusal, match="register Linear: the name is taken"):
        register(type("Linear", (torch.nn.Module,), {}))


@pytest.mark.parametrize("kind", SURROGATES.values(), ids=list(SURROGATES))
def test_a_surrogate_is_relative_where_moving_membrane_and_threshold_together_changes_it(kind):
    v = torch.linspace(-1, 3, 41, dtype=torch.float64)
    near, far = kind().gradient(v, double(1.0)), kind().gradient(v + 2.3, double(3.3))
    assert kind.relative == (not torch.allclose(near, far))

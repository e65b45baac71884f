"""Generated kernels against the looped torch executor: spikes, recordings, states and every gradient.

All classes and options run the generated code as plain Python, which needs no compiler; each class and each surrogate
runs compiled once.
"""

import importlib.util

import pytest
import torch
from kernel_comparison import BATCH, NUMBA, TOLERANCE, T, compare, plain  # noqa: F401 - plain is a fixture
from neuron_variants import N, neuron_classes, said, variants

from neurodeploy import generated
from neurodeploy.errors import Refusal
from neurodeploy.kernels import Result, sequence
from neurodeploy.kernels.gradient import adjoint
from neurodeploy.kernels.graph import Graph, graph_of
from neurodeploy.kernels.plan import forward_plan, with_gradient
from neurodeploy.layers import LIF, Neuron
from neurodeploy.layers.surrogates import SURROGATES, HeavisideWindow, SingleExponential
from neurodeploy.layers.table import torch_table
from neurodeploy.step import FLOAT, parse

torch.set_num_threads(1)

CASES = [(kind, options) for kind in neuron_classes() for options in variants(kind)]
NAMES = [f"{kind.__name__}-{said(options)}" for kind, options in CASES]
#: every option in one type, in turn; .ci/run has the other
OPTIONS = [
    pytest.param(*case, dtype, id=f"{name}-{dtype}", marks=pytest.mark.slow if (i + j) % 2 else ())
    for i, (name, case) in enumerate(zip(NAMES, CASES, strict=True))
    for j, dtype in enumerate(TOLERANCE)
]
#: every neuron with every surrogate in one type, in turn; .ci/run has the other
GRADIENTS = [
    pytest.param(kind, surrogate, dtype, marks=pytest.mark.slow if (i + j + k) % 2 else ())
    for i, kind in enumerate(neuron_classes())
    for j, surrogate in enumerate(SURROGATES.values())
    for k, dtype in enumerate(TOLERANCE)
]


@pytest.mark.parametrize(("kind", "options", "dtype"), OPTIONS)
@pytest.mark.usefixtures("plain")
def test_every_option_of_every_neuron_runs_alike_in_the_generated_code(kind, options, dtype):
    compare(kind, options, None, dtype)


@pytest.mark.parametrize(("kind", "surrogate", "dtype"), GRADIENTS, ids=lambda of: getattr(of, "__name__", str(of)))
@pytest.mark.usefixtures("plain")
def test_every_surrogate_of_every_neuron_has_the_gradient_of_the_torch_executor(kind, surrogate, dtype):
    _, moved = compare(kind, variants(kind)[-1], surrogate(), dtype)
    assert moved >= 2


def test_the_cases_fire():
    fired = 0
    for kind, options in CASES:
        layer = kind(N, **options)
        x = torch.rand(T, BATCH, N, dtype=layer.dtype) * 3
        fired += bool(layer(x).sum() > 0)
    assert fired >= 0.8 * len(CASES)


@NUMBA
@pytest.mark.parametrize(
    "kind",
    [k if k.__name__ == "LIF" else pytest.param(k, marks=pytest.mark.slow) for k in neuron_classes()],
    ids=lambda kind: kind.__name__,
)
def test_every_neuron_runs_alike_compiled(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path))
    sequence._kernels.cache_clear()
    compare(kind, variants(kind)[-1], None, torch.float64)
    sequence._kernels.cache_clear()


@NUMBA
@pytest.mark.slow  # as plain Python above; compiled in .ci/run
@pytest.mark.parametrize("surrogate", SURROGATES.values(), ids=list(SURROGATES))
def test_every_surrogate_runs_alike_compiled(surrogate, tmp_path, monkeypatch):
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path))
    sequence._kernels.cache_clear()
    compare(LIF, {"tau_mem": 5.0}, surrogate(), torch.float32)
    sequence._kernels.cache_clear()


# the gradient of a text

TEXTS = {
    "arithmetic": "y = a * b - a / b + -a",
    "bounds": "y = min(a, b, 0.4) + max(a, b) * clip(a, -0.3, b)",
    "ties": "y = min(a, a) * max(b, b) + min(a, b + (a - b))",
    "functions": "y = exp(a) + exp2(b) * expm1(a) + log2(abs(b) + 1)",
    "rounding": "y = a * round(3 * a) + b * floor(5 * b)",
    "detached": "y = detach(a * b) * a",
    "choice": "y = a * b if a > b and not a < 0.1 else a / (abs(b) + 1)",
    "guard": "y = a\nif a > b or a == b:\n    c = y * b\n    y = c + a\n    if c > 0:\n        y = y * y",
    "firing": "y = count(a, b) * a + above(b, 0.5) + at_or_above(a, 0.2) + count_above(b, a)",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
def test_the_gradient_of_a_text_is_that_of_autograd(text):
    torch.manual_seed(7)
    surrogate = SingleExponential()
    table = torch_table(surrogate, torch.float64)
    a, b = (torch.randn(40, dtype=torch.float64, requires_grad=True) for _ in range(2))
    graph, names = graph_of(parse(text, operators=FLOAT).statements, ["a", "b"])
    found = adjoint(
        graph,
        {names["y"]: [graph.name("grad.y")]},
        [graph.name("a"), graph.name("b")],
        surrogate.derivative(),
        {"width": graph.const(surrogate.width), "scale": graph.const(surrogate.scale)},
    )
    arriving = torch.randn(40, dtype=torch.float64)
    y = graph.fold([names["y"]], {"a": a, "b": b}, table)[names["y"]]
    expected = torch.autograd.grad(y, (a, b), arriving, allow_unused=True)
    with torch.no_grad():
        given = {"a": a, "b": b, "grad.y": arriving}
        ours = graph.fold(found.values(), given, table)
    for name, value in zip(("a", "b"), expected, strict=True):
        if value is None:
            assert graph.name(name) not in found
        else:
            assert torch.allclose(ours[found[graph.name(name)]], value, rtol=1e-12, atol=1e-12)
    assert found


@pytest.mark.parametrize(
    ("kind", "options"), [(kind, variants(kind)[place]) for kind in neuron_classes() for place in (0, -1)]
)
def test_the_gradient_of_once_is_that_of_autograd(kind, options):
    layer = kind(N, **options).double()
    table = torch_table(layer.surrogate, torch.float64)
    given = layer._parameters_by_name()
    tensors = {name: value.detach().clone().requires_grad_() for name, value in given.items() if name in layer._tensors}
    graph, names = graph_of(layer._once.statements, given)
    for name in set(layer.derived()):
        expected_of = graph.fold([names[name]], given | tensors, table)[names[name]]
        if not isinstance(expected_of, torch.Tensor) or not expected_of.requires_grad:
            continue
        leaves = [graph.name(tensor) for tensor in tensors]
        found = adjoint(graph, {names[name]: [graph.name("grad")]}, leaves)
        with torch.no_grad():
            ours = graph.fold(found.values(), given | tensors | {"grad": torch.ones((), dtype=torch.float64)}, table)
        expected = torch.autograd.grad(expected_of.sum(), list(tensors.values()), allow_unused=True)
        for leaf, value, tensor in zip(leaves, expected, tensors.values(), strict=True):
            if value is not None and value.any():
                total = torch.broadcast_to(ours[found[leaf]], expected_of.shape).sum_to_size(tensor.shape)
                assert torch.allclose(total, value, rtol=1e-10)


def test_a_graph_has_each_value_once():
    graph = Graph()
    a, b = graph.name("a"), graph.name("b")
    assert graph.add("add", a, b) == graph.add("add", a, b)
    assert graph.add("mul", graph.const(1), a) == a
    assert graph.add("mul", a, graph.const(1.0)) == a
    assert graph.const(0.0) != graph.const(-0.0)
    assert graph.add("select", graph.add("lt", a, b), a, a) == a


def test_a_leaky_neuron_saves_one_number_a_step():
    question = {"x_wanted": True, "wanted": (), "surrogate": SingleExponential().derivative()}
    layer = LIF(N, 5.0, tau_syn=3.0)
    plan = forward_plan(layer._step.statements, ("i", "v"), ("alpha_mem", "alpha_syn", "gain", "threshold"), ())
    plan = with_gradient(plan, options=("width", "scale"), **question)
    assert len(plan.saved) == 1
    assert plan.x not in plan.saved


class Own(Neuron):
    step = "v = keep * v + x\nspike = above(v, 1)\nv = v - spike"

    def __init__(self, **more):
        tensors = {"keep": torch.tensor(0.9)}
        super().__init__((N,), states={"v": 0.0}, tensors=tensors, options={}, **more)


class Exponential(Neuron):
    """An exponential upswing, a counter and a choice between numbers: what the registered ones do not have yet."""

    step = """
rise = width * exp((min(v, 2) - 0.5) / width)
if wait <= 0:
    v = v + 0.1 * (rise - v + expm1(0.1 * x) + x * exp2(-abs(v)))
spike = at_or_above(v, threshold)
wait = hold if spike > 0 else max(wait - 1, 0)
v = v - detach(spike) * (threshold if v > 0.1 else 0.5) + log2(1 + width / (2 - 1))
"""

    def __init__(self, shape, **more):
        tensors = {"width": torch.full((N,), 0.4), "threshold": torch.tensor(1.0)}
        states = {"v": 0.0, "wait": 0.0}
        super().__init__((shape,), states=states, tensors=tensors, numbers={"hold": 2}, options={}, **more)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.usefixtures("plain")
def test_a_neuron_of_ones_own_runs_alike_in_the_generated_code(dtype):
    spikes, moved = compare(Exponential, {}, SingleExponential(), dtype)
    assert spikes > 0
    assert moved >= 4


@NUMBA
@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_neuron_of_ones_own_runs_alike_compiled(dtype, tmp_path, monkeypatch):
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path))
    sequence._kernels.cache_clear()
    spikes, _ = compare(Exponential, {}, SingleExponential(), dtype)
    assert spikes > 0
    sequence._kernels.cache_clear()


@pytest.mark.usefixtures("plain")
def test_a_saved_value_of_the_surrogate_may_read_what_the_step_does_not():
    spikes, moved = compare(lambda _shape: Own(), {}, HeavisideWindow(), torch.float64)
    assert spikes > 0
    assert moved == 3


# the choice of an executor


def test_auto_takes_kernels_for_large_calls_alone(monkeypatch):
    taken = []
    monkeypatch.setattr("neurodeploy.layers.executors.has_numba", lambda: True)

    def stand_in(_layer, _text, x, states, _environment):
        taken.append(x.shape)
        return Result(x, states, {})

    monkeypatch.setattr("neurodeploy.layers.neuron.run_kernels", stand_in)
    layer = Own()
    layer(torch.zeros(4, 1, N))
    assert taken == []
    large = torch.zeros(Neuron.AUTO // N + 1, 1, N)
    layer(large)
    assert taken == [large.shape]
    layer.executor = "torch"
    layer(large)
    assert len(taken) == 1


def test_the_executor_is_no_part_of_the_description():
    layer = LIF(N, 5.0)
    layer.executor = "torch"
    assert "executor" not in layer.describe()["options"]


@pytest.mark.parametrize(
    ("layer", "x", "words"),
    [
        (Own(executor="cuda"), torch.ones(2, 1, N), "executor is 'cuda'; it must be one of 'auto', 'torch', 'numba'"),
        (Own(executor="numba", rec_connect=torch.nn.Tanh()), torch.ones(2, 1, N), "it cannot run rec_connect"),
        (Own(executor="numba").to(torch.float16), torch.ones(2, 1, N).half(), "it cannot run a tensor of float16"),
    ],
)
def test_an_executor_that_cannot_run_says_why(layer, x, words, monkeypatch):
    monkeypatch.setattr(type(layer), "dtype", property(lambda _self: x.dtype))
    with pytest.raises(Refusal, match=words):
        layer(x)


def test_without_numba_the_executor_is_named_with_its_extra(monkeypatch):
    monkeypatch.setattr("neurodeploy.layers.executors.has_numba", lambda: False)
    with pytest.raises(Refusal, match=r'pip install "neurodeploy\[fast\]"'):
        Own(executor="numba")(torch.ones(2, 1, N))
    assert Own()(torch.ones(Neuron.AUTO, 1, N)).sum() > 0


def test_without_numba_one_line_is_logged(monkeypatch, caplog):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    generated.has_numba.cache_clear()
    with caplog.at_level("INFO", "neurodeploy"):
        assert not generated.has_numba()
        assert not generated.has_numba()
    generated.has_numba.cache_clear()
    assert [record.name for record in caplog.records] == ["neurodeploy"]
    assert "neurodeploy[fast]" in caplog.text

"""Graphs of layers and modules folded over time: what they compute, how they are saved, what they refuse."""

import json

import pytest
import torch

from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF, Delay, Graph, PerStep, build
from neurodeploy.models import load_model, reset_states, save_model

torch.set_num_threads(1)


def make_graph():
    torch.manual_seed(2)
    layers = {"a": torch.nn.Linear(3, 4), "spikes": LIF(4, 5.0), "b": torch.nn.Linear(4, 4), "out": IAF(4)}
    edges = [("input", "a"), ("a", "spikes"), ("spikes", "b"), ("b", "out"), ("spikes", "out", 0.5), ("out", "output")]
    return Graph(layers, edges)


X = torch.rand(12, 2, 3, generator=torch.Generator().manual_seed(1)) * 4


def test_edges_that_meet_are_added_with_their_factors():
    graph = make_graph()
    twin = make_graph().layers
    spikes = twin.spikes(twin.a(X))
    expected = twin.out(twin.b(spikes) + 0.5 * spikes)
    assert torch.equal(graph(X), expected)
    assert expected.sum() > 0


def test_the_order_of_the_layers_does_not_matter():
    graph = make_graph()
    names = ["out", "b", "spikes", "a"]
    turned = Graph({name: graph.layers.get_submodule(name) for name in names}, graph.edges)
    expected = graph(X)
    reset_states(graph)
    assert torch.equal(turned(X), expected)


def test_an_edge_twice_counts_twice():
    graph = Graph({"same": torch.nn.Identity()}, [("input", "same"), ("same", "output"), ("same", "output")])
    assert torch.equal(graph(X), 2 * X)


def test_gradients_reach_every_branch():
    graph = make_graph()
    graph(X).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in graph.parameters())


def test_description_and_state_dict_restore_the_graph():
    graph = make_graph()
    description = json.loads(json.dumps(graph.describe()))
    twin = build(description)
    assert twin.describe() == description
    twin.load_state_dict(graph.state_dict())
    assert torch.equal(twin(X), graph(X))


def test_a_model_with_a_graph_and_a_folded_module_is_saved_and_loaded(tmp_path):
    model = torch.nn.Sequential(
        PerStep(torch.nn.Conv2d(1, 2, 3)), torch.nn.Flatten(2), torch.nn.Linear(2, 3), make_graph()
    )
    images = torch.rand(6, 2, 1, 3, 3)
    save_model(model, tmp_path / "m.safetensors", dt_s=0.001)
    loaded, _ = load_model(tmp_path / "m.safetensors")
    assert torch.equal(loaded(images), model(images))


@pytest.mark.parametrize(
    ("layers", "edges", "words"),
    [
        (["a"], [("input", "a"), ("a", "b")], "'b' must be one of a, output"),
        (["a"], [("output", "a"), ("a", "output")], "'output' must be one of input, a"),
        (["a", "b"], [("input", "a"), ("a", "output"), ("a", "b")], "nothing leads on from 'b'"),
        (["a", "b"], [("input", "a"), ("a", "output"), ("b", "output")], "nothing leads to 'b'"),
        (["a"], [("input", "a")], "nothing leads to 'output'"),
        (["a"], [("input", "a", float("nan")), ("a", "output")], "the factor of input -> a is nan"),
        (["a"], ["input", ("a", "output")], "it must be (source, target) or (source, target, factor)"),
        (["input"], [("input", "output")], "a layer named 'input'"),
        (["a.b"], [("input", "a.b"), ("a.b", "output")], "a name without dots"),
        (["a", "b"], [("input", "a"), ("b", "a"), ("a", "b"), ("a", "output")], "a cycle: a -> b -> a"),
    ],
)
def test_a_graph_that_cannot_be_computed_is_refused(layers, edges, words):
    with pytest.raises(Refusal) as refusal:
        Graph({name: torch.nn.Identity() for name in layers}, edges)
    assert words in str(refusal.value)
    assert refusal.value.code == "ND1601"


def test_values_of_different_shapes_that_meet_are_refused():
    graph = Graph({"a": torch.nn.Linear(3, 1)}, [("input", "a"), ("a", "output"), ("input", "output")])
    with pytest.raises(Refusal, match=r"Graph, 'output': values of shape \(12, 2, 1\) and \(12, 2, 3\) meet"):
        graph(X)


def test_one_module_in_two_places_is_refused_when_it_is_described():
    layer = torch.nn.Linear(3, 3)
    graph = Graph({"a": layer, "b": layer}, [("input", "a"), ("a", "b"), ("b", "output")])
    with pytest.raises(Refusal, match="the same module stands in the model twice"):
        graph.describe()


def test_a_folded_module_sees_each_step_by_itself():
    conv = torch.nn.Conv2d(2, 3, 3, stride=2)
    images = torch.rand(4, 5, 2, 7, 7)
    expected = torch.stack([conv(step) for step in images])
    assert torch.allclose(PerStep(conv)(images), expected, atol=1e-6)
    assert PerStep(conv)(images).shape == (4, 5, 3, 3, 3)


def test_modules_with_memory_are_not_folded():
    with pytest.raises(Refusal, match="PerStep: holds Delay, LIF; modules without memory"):
        PerStep(torch.nn.Sequential(Delay(1), LIF(3, 5.0)))
    assert PerStep(torch.nn.Sequential(torch.nn.Linear(3, 2)))(X).shape == (12, 2, 2)


def test_folding_refuses_what_has_no_batch_or_loses_rows():
    with pytest.raises(Refusal, match=r"the input has shape \(4, 5\); it must be \(time, batch, \.\.\.\)"):
        PerStep(torch.nn.Identity())(torch.rand(4, 5))
    with pytest.raises(Refusal, match=r"Flatten returns shape \(72,\) for 24 rows; one row for each"):
        PerStep(torch.nn.Flatten(0))(X)

"""NIR files: read by a stated contract, refused by name, and a published network on a chip of maps."""

import os
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import neurodeploy as nd
from neurodeploy.errors import Missing, Refusal
from neurodeploy.layers import IAF, Graph, PerStep, SumPool2d
from neurodeploy.quantizer import lower

CONTRACT = {
    "dt_s": 1e-3,
    "reset": "subtract",
    "comparison": ">=",
    "charge": "per step",
    "v_min": -1.0,
    "max_spikes": None,
}
RNG = np.random.default_rng(7)
KERNEL = RNG.normal(size=(3, 2, 3, 3)).astype(np.float32)
MATRIX = RNG.normal(size=(4, 27)).astype(np.float32)


def nodes():
    both = {"stride": [1, 1], "padding": [1, 1]}
    return {
        "input": {"type": "Input", "shape": [2, 6, 6]},
        "c.1": {"type": "Conv2d", "weight": KERNEL, "dilation": [1, 1], "groups": 1, "bias": np.zeros(3), **both},
        "n": {"type": "IF", "r": np.ones((3, 6, 6)), "v_threshold": np.ones((3, 6, 6))},
        "p": {"type": "SumPool2d", "kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]},
        "f": {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": [3, 3, 3]},
        "w": {"type": "Affine", "weight": MATRIX, "bias": np.zeros(4)},
        "o": {"type": "IF", "r": np.full(4, 2.0), "v_threshold": np.full(4, 3.0)},
        "output": {"type": "Output", "shape": [4]},
    }


def write(path, table, edges=None):
    names = list(table)
    links = list(pairwise(names)) if edges is None else edges
    with h5py.File(path, "w") as file:
        file["version"], file["node/type"] = "1.0", "NIRGraph"
        file["node/edges"] = np.array(links[::-1], h5py.string_dtype())
        for name, fields in table.items():
            for field, value in fields.items():
                file[f"node/nodes/{name}/{field}"] = value
    return path


def refused(path, **changes):
    with pytest.raises(Refusal) as caught:
        nd.read_nir(path, **(CONTRACT | changes))
    return [str(fault) for fault in caught.value.faults]


def test_a_chain_becomes_layers_in_the_order_of_its_edges(tmp_path):
    found = nd.read_nir(write(tmp_path / "a.nir", nodes()), **CONTRACT)
    kinds = [type(layer) for layer in found.model]
    assert kinds == [torch.nn.Unflatten, PerStep, IAF, PerStep, torch.nn.Flatten, torch.nn.Linear, IAF]
    assert [name for name, _ in found.model.named_children()] == ["input", "c_1", "n", "p", "f", "w", "o"]
    assert np.array_equal(found.model[1].module.weight.detach().numpy(), KERNEL)
    assert np.array_equal(found.model[5].weight.detach().numpy(), MATRIX)
    assert isinstance(found.model[3].module, SumPool2d)
    assert dict(found.contract) == {k: v for k, v in CONTRACT.items() if k != "dt_s"}
    assert found.dt_s == 1e-3


def test_the_gain_of_a_neuron_enters_its_threshold_and_bound(tmp_path):
    path = write(tmp_path / "a.nir", nodes())
    per_step = nd.read_nir(path, **CONTRACT).model[-1]
    per_second = nd.read_nir(path, **(CONTRACT | {"charge": "per second"})).model[-1]
    assert float(per_step.threshold) == 1.5
    assert per_step.options["v_min"] == -0.5
    assert float(per_second.threshold) == pytest.approx(1500)
    assert (per_step.options["reset"], per_step.options["comparison"]) == ("subtract", ">=")


def test_branches_become_a_graph(tmp_path):
    table = nodes()
    table["d"] = table["c.1"] | {"weight": -0.5 * KERNEL}
    edges = [("input", "c.1"), ("input", "d"), ("c.1", "n"), ("d", "n"), ("n", "p"), ("p", "f"), ("f", "w")]
    edges += [("w", "o"), ("o", "output")]
    model = nd.read_nir(write(tmp_path / "a.nir", table, edges), **CONTRACT).model
    assert isinstance(model[-1], Graph)
    stage = lower(model, nd.chip("speck2f")).stages[0]
    assert len(stage.edges) == 1, "kernels of equal form on the same way are one kernel"
    assert np.allclose(stage.edges[0].weight, 0.5 * KERNEL)


def test_what_is_not_read_is_named_all_at_once(tmp_path):
    table = nodes()
    table["n"]["type"], table["w"]["type"], table["q"] = "CubaLIF", "Scale", {"nodes": 1}
    told = refused(write(tmp_path / "a.nir", table))
    assert [line.split(";")[0] for line in told] == [
        "node 'n': CubaLIF",
        "node 'q': a group without type, such as a graph in the graph",
        "node 'w': Scale",
    ]
    assert "one of Input, Output, Conv2d, Affine" in told[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reset": None}, "reset = None; one of 'subtract', 'zero': the file does not say it"),
        ({"comparison": "=="}, "comparison = '=='; one of '>=', '>'"),
        ({"charge": ""}, "charge = ''; one of 'per second', 'per step'"),
        ({"dt_s": 0.0}, "dt_s = 0.0; seconds above 0: the file has none"),
    ],
)
def test_the_contract_is_stated_and_sound(tmp_path, changes, words):
    assert words in "\n".join(refused(write(tmp_path / "a.nir", nodes()), **changes))


BROKEN = {
    "flatten": ("f", {"start_dim": 1}, "start_dim 1, end_dim -1; start_dim 0 and end_dim -1"),
    "pooling": ("p", {"stride": [1, 1]}, "kernel (2, 2), stride (1, 1)"),
    "reset value": ("n", {"v_reset": np.full((3, 6, 6), 0.5)}, "v_reset [0.5] with reset = 'subtract'"),
    "gain": ("n", {"r": np.zeros((3, 6, 6))}, "r at or below 0"),
    "two gains": ("o", {"r": np.array([1.0, 2, 3, 4])}, "a v_min and different r"),
    "padding": ("c.1", {"padding": "same"}, "padding 'same'; numbers of rows and columns"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_values_that_have_no_meaning_here_are_refused(tmp_path, name):
    node, changed, words = BROKEN[name]
    table = nodes()
    table[node] |= changed
    assert words in "\n".join(refused(write(tmp_path / "a.nir", table)))


def test_a_missing_field_and_an_unknown_end_are_refused(tmp_path):
    table = nodes()
    del table["n"]["r"]
    assert "node 'n' (IF): r missing; it has r, v_threshold" in refused(write(tmp_path / "a.nir", table))[0]
    told = refused(write(tmp_path / "b.nir", nodes(), [("input", "nowhere")]))
    assert any("no node 'nowhere'" in line for line in told)


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_what_is_no_nir_file_is_refused(tmp_path, content):
    (tmp_path / "a.nir").write_bytes(content)
    assert "a NIR file: HDF5 with the groups node" in refused(tmp_path / "a.nir")[0]


def test_without_h5py_the_line_that_installs_it_is_given(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(Missing, match=r'pip install "neurodeploy\[nir\]"'):
        nd.read_nir(tmp_path / "a.nir", **CONTRACT)


@pytest.mark.shared_data
@pytest.mark.parametrize("events", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_published_network_converts_maps_and_meets_a_moving_edge(events, count):
    found = nd.read_nir(Path(os.environ["NEURODEPLOY_DATA"]) / "nir" / "cnn_sinabs.nir", **CONTRACT)
    chip = nd.chip("speck2f")
    weights = sum(p.numel() for n, p in found.model.named_parameters() if n.endswith("weight"))
    assert weights == 39_584
    network = nd.map(nd.quantize(nd.constrain(found.model, chip), chip, dt_s=found.dt_s).network).network
    assert [g.shape for g in network.groups] == [
        (2, 34, 34), (16, 16, 16), (16, 16, 16), (8, 8, 8), (256, 1, 1), (10, 1, 1)
    ]  # fmt: skip
    edge = nd.moving_edge(events, width=34, height=34, duration_us=events)
    run = nd.simulate(network, nd.stimulus(edge, dt_us=1000))
    assert run.counts["pixel"].sum() == events
    assert all(run.counts[g.name].any() for g in network.groups)
    count("events simulated", events)

"""Every primitive of NIR against a plain reading of the file, one node and one step after the other."""

import nir_plain
import numpy as np
import pytest
import torch
from nir_files import DT, affine, conv, end, neurons, pool, write

import neurodeploy as nd
from neurodeploy.nir.primitives import PRIMITIVES

BASE = {"reset": "zero", "integrator": "euler", "comparison": ">", "max_spikes": 1, "v_min": None}
STEPS = 30


def rng(seed=0):
    return np.random.default_rng(seed)


def between(into, out, *middle):
    """Input, nodes in a chain, Output."""
    return {
        "input": end("Input", *into),
        **{f"n{i}": node for i, node in enumerate(middle)},
        "output": end("Output", *out),
    }


def driven(kind, n=6, **given):
    return between((5,), (n,), affine(rng(1), n, 5), neurons(kind, (n,), rng(2), **given))


def recurrent(kind, rec, n=6, **given):
    nodes = {
        "input": end("Input", 5),
        "fc": affine(rng(1), n, 5),
        "lif": neurons(kind, (n,), rng(2), **given),
        **rec,
        "output": end("Output", n),
    }
    edges = [("input", "fc"), ("fc", "lif"), ("lif", "output")]
    return nodes, edges


def with_loop(kind, **given):
    nodes, edges = recurrent(kind, {"w.rec": affine(rng(3), 6, 6, 0.3)}, **given)
    return nodes, [*edges, ("lif", "w.rec"), ("w.rec", "lif")]


def with_two_ways(kind):
    ways = {
        "a": affine(rng(3), 4, 6, 0.3),
        "b": affine(rng(4), 6, 4, 0.3),
        "s": {"type": "Scale", "scale": rng(5).normal(size=6)},
    }
    nodes, edges = recurrent(kind, ways)
    return nodes, [*edges, ("lif", "a"), ("a", "b"), ("b", "lif"), ("lif", "s"), ("s", "lif"), ("lif", "lif")]


def nested(kind):
    inner = {
        "input": end("Input", 6),
        "lif": neurons(kind, (6,), rng(2)),
        "w": affine(rng(3), 6, 6, 0.3),
        "output": end("Output", 6),
    }
    links = [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")]
    outer = {
        "input": end("Input", 5),
        "fc": affine(rng(1), 6, 5),
        "sub": ("NIRGraph", inner, links),
        "output": end("Output", 6),
    }
    return outer, [("input", "fc"), ("fc", "sub"), ("sub", "output")]


def branches():
    nodes = {
        "input": end("Input", 5),
        "a": affine(rng(1), 6, 5),
        "b": affine(rng(2), 6, 5, bias=False),
        "lif": neurons("LIF", (6,), rng(3)),
        "id": {"type": "Identity"},
        "output": end("Output", 6),
    }
    return nodes, [("input", "a"), ("input", "b"), ("a", "lif"), ("b", "lif"), ("lif", "id"), ("id", "output")]


FLAT = {"type": "Flatten", "start_dim": 0, "end_dim": -1}
GRAPHS = {
    **{kind: driven(kind) for kind in ("I", "IF", "LI", "LIF", "CubaLI", "CubaLIF")},
    **{f"{kind} with a leak": driven(kind, v_leak=0.15) for kind in ("LI", "LIF", "CubaLI", "CubaLIF")},
    "negative resistance": driven("LIF", r=-1.0, v_threshold=0.1),
    "current of one step": between((5,), (6,), affine(rng(1), 6, 5), neurons("CubaLIF", (6,), tau_syn=DT)),
    "membrane of one step": between((5,), (6,), affine(rng(1), 6, 5), neurons("LIF", (6,), tau=DT)),
    "Scale": between((5,), (5,), {"type": "Scale", "scale": rng(1).normal(size=5)}),
    "Threshold": between((5,), (5,), {"type": "Threshold", "threshold": np.array([1.0, 2, 0.5, 1.5, 3])}),
    "one delay": between((5,), (5,), {"type": "Delay", "delay": np.full(5, 3 * DT)}),
    "delays": between((5,), (5,), {"type": "Delay", "delay": np.array([0, 1, 1, 4, 2]) * np.float32(DT)}),
    "Conv2d": between((2, 7, 8), (3, 3, 4), conv(rng(1), 3, 2, (3, 2), (2, 2), (0, 0), (1, 1))),
    "Conv2d, rows apart": between((4, 9, 8), (6, 9, 10), conv(rng(1), 6, 4, (5, 3), 1, (4, 2), (2, 1), groups=2)),
    "Conv2d, same": between((2, 5, 6), (3, 5, 6), conv(rng(1), 3, 2, (3, 5), padding="same")),
    "Conv2d, same and even": between((2, 5, 6), (3, 5, 6), conv(rng(1), 3, 2, (2, 4), padding="same")),
    "Conv2d, same and even with gaps": between(
        (2, 7, 9), (3, 7, 9), conv(rng(1), 3, 2, (2, 4), padding="same", dilation=(3, 1))
    ),
    "Conv2d, valid": between((2, 5, 6), (3, 3, 4), conv(rng(1), 3, 2, (3, 3), padding="valid", bias=False)),
    "Conv1d": between((2, 9), (3, 4), conv(rng(1), 3, 2, (3,), 2, 1, 2)),
    "Conv1d, same": between((2, 9), (4, 9), conv(rng(1), 4, 2, (3,), padding="same", groups=2)),
    "SumPool2d": between((2, 5, 6), (2, 2, 3), pool("SumPool2d", (2, 2))),
    "SumPool2d over the edge": between((2, 5, 6), (2, 3, 3), pool("SumPool2d", (3, 2), (2, 3), (1, 1))),
    "AvgPool2d": between((2, 6, 6), (2, 3, 3), pool("AvgPool2d", 2, 2, 0)),
    "AvgPool2d over the edge": between((2, 5, 6), (2, 3, 4), pool("AvgPool2d", (3, 2), (2, 2), (1, 1))),
    "Flatten": between((2, 3, 4), (24,), FLAT),
    "Flatten in the middle": between((2, 3, 4), (2, 12), {"type": "Flatten", "start_dim": 1, "end_dim": -1}),
    "map": between(
        (2, 6, 6), (4,), conv(rng(1), 3, 2, (3, 3), 1, 1), neurons("IF", (3, 6, 6)), pool("SumPool2d", (2, 2)), FLAT,
        affine(rng(2), 4, 27), neurons("LIF", (4,)),
    ),
    "branches": branches(),
    "nested": nested("LIF"),
    **{f"recurrent {kind}": with_loop(kind) for kind in ("IF", "LIF", "CubaLIF")},
    "recurrent with a leak": with_loop("CubaLIF", v_leak=0.1),
    "recurrent, negative resistance": with_loop("CubaLIF", r=-1.0, v_threshold=0.05),
    "two ways back": with_two_ways("LIF"),
    "two ways back, current": with_two_ways("CubaLIF"),
    "v_reset": driven("LIF", v_reset=0.1),
    "v_reset of IF": driven("IF", v_reset=-0.2),
}  # fmt: skip


def both(path, contract, seed=0, charge="per second"):
    """Output of the model and of the plain reading, (time, ...) each."""
    found = nd.read_nir(path, dt_s=DT, recurrent_delay=1, charge=charge, **contract)
    plain = nir_plain.read(path)
    (shape,) = [tuple(n["shape"]) for n in plain["nodes"].values() if n.get("type") == "Input"]
    x = np.random.default_rng(seed).poisson(0.7, (STEPS, *shape)).astype(float)
    dtype = next((p.dtype for p in found.model.parameters()), torch.float32)
    with torch.no_grad():
        ours = found.model(torch.as_tensor(x.reshape(STEPS, 1, -1), dtype=dtype))[:, 0].double().numpy()
    return ours, nir_plain.Run(plain, {"dt": DT, **contract})(x), found


def file_of(path, name):
    made = GRAPHS[name]
    return write(path, *(made if isinstance(made, tuple) else (made,)))


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_computes_what_its_equations_say(tmp_path, name):
    reset = "value" if name.startswith("v_reset") else "zero"
    ours, theirs, found = both(file_of(tmp_path / "a.nir", name), BASE | {"reset": reset})
    assert ours.shape == theirs.shape
    assert np.abs(theirs).sum() > 0
    assert np.abs(ours - theirs).max() <= 1e-4 * max(1.0, np.abs(theirs).max())
    assert found.report.faithful


@pytest.mark.parametrize("name", ["IF", "LIF with a leak", "CubaLIF", "recurrent LIF", "recurrent CubaLIF", "map"])
@pytest.mark.parametrize(
    "changed",
    [
        {"reset": "subtract"},
        {"integrator": "exact"},
        {"comparison": ">=", "max_spikes": None, "reset": "subtract"},
        {"max_spikes": 3, "reset": "subtract", "v_min": -0.1},
        {"v_min": -0.05},
    ],
    ids=str,
)
def test_the_contract_decides_what_the_file_does_not_say(tmp_path, name, changed):
    ours, theirs, _ = both(file_of(tmp_path / "a.nir", name), BASE | changed)
    assert np.array_equal(ours, theirs)
    assert theirs.any()


def test_every_primitive_stands_in_a_graph_here():
    def kinds(nodes):
        for node in nodes.values():
            yield from kinds(node[1]) if isinstance(node, tuple) else [node["type"]]

    shown = {kind for made in GRAPHS.values() for kind in kinds(made[0] if isinstance(made, tuple) else made)}
    assert shown == set(PRIMITIVES)


def test_a_reading_that_differs_is_noticed(tmp_path):
    path = file_of(tmp_path / "a.nir", "recurrent LIF")
    ours, theirs, _ = both(path, BASE)
    other = nir_plain.Run(nir_plain.read(path), {"dt": DT, **BASE, "integrator": "exact"})
    x = np.random.default_rng(0).poisson(0.7, (STEPS, 5)).astype(float)
    assert np.array_equal(ours, theirs)
    assert not np.array_equal(ours, other(x))


SAVED = ("I", "Scale", "Threshold", "delays", "Conv1d", "CubaLI with a leak", "two ways back", "v_reset", "map")


def test_a_model_of_every_kind_of_layer_can_be_saved_and_computes_the_same(tmp_path):
    for name in SAVED:
        contract = BASE | {"reset": "value" if name.startswith("v_reset") else "zero"}
        ours, _, found = both(file_of(tmp_path / "a.nir", name), contract)
        nd.save_model(found.model, tmp_path / "m.safetensors", dt_s=DT)
        model, info = nd.load_model(tmp_path / "m.safetensors")
        shape = next(
            tuple(n["shape"]) for n in nir_plain.read(tmp_path / "a.nir")["nodes"].values() if n.get("type") == "Input"
        )
        x = np.random.default_rng(0).poisson(0.7, (STEPS, *shape)).astype(float)
        with torch.no_grad():
            again = model(torch.as_tensor(x.reshape(STEPS, 1, -1), dtype=torch.float32))[:, 0].double().numpy()
        assert np.array_equal(ours, again), name
        assert info.dt_s == DT

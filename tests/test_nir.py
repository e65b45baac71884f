"""NIR files: what decides spikes is stated or asked for, published networks compute as published."""

import os
from pathlib import Path

import nir_plain
import numpy as np
import pytest
import torch
from nir_files import DT, affine, conv, end, neurons, pool, write

import neurodeploy as nd
from neurodeploy.errors import Missing, Refusal
from neurodeploy.layers import IAF, LIF, Graph, Leaky, PerStep, RSynaptic, SumPool2d
from neurodeploy.nir import PRESETS
from neurodeploy.nir.names import to_layer_name, to_node_name
from neurodeploy.quantizer import lower

STATED = {
    "dt_s": DT,
    "reset": "subtract",
    "integrator": "euler",
    "comparison": ">=",
    "max_spikes": None,
    "v_min": -1.0,
    "recurrent_delay": 1,
}
RNG = np.random.default_rng(7)


def nodes():
    return {
        "input": end("Input", 2, 6, 6),
        "c.1": conv(RNG, 3, 2, (3, 3), padding=1, bias=False),
        "n": neurons("IF", (3, 6, 6), r=1.0, v_threshold=1.0),
        "p": pool("SumPool2d", (2, 2)),
        "f": {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": [3, 3, 3]},
        "w": affine(RNG, 4, 27, bias=False),
        "o": neurons("IF", (4,), r=2.0, v_threshold=3.0),
        "output": end("Output", 4),
    }


def layer(kind="LIF", **given):
    return {
        "input": end("Input", 5),
        "fc": affine(RNG, 4, 5),
        "n": neurons(kind, (4,), **given),
        "output": end("Output", 4),
    }


def looped(kind="LIF"):
    table = layer(kind) | {"w": affine(RNG, 4, 4)}
    return table, [("input", "fc"), ("fc", "n"), ("n", "output"), ("n", "w"), ("w", "n")]


def refused(path, **changes):
    with pytest.raises(Refusal) as caught:
        nd.read_nir(path, **(STATED | changes))
    return [str(fault) for fault in caught.value.faults]


# layers


def test_a_chain_becomes_layers_in_the_order_of_its_edges(tmp_path):
    table = nodes()
    found = nd.read_nir(write(tmp_path / "a.nir", table), **STATED, charge="per step")
    kinds = [type(part) for part in found.model]
    assert kinds == [torch.nn.Unflatten, PerStep, IAF, PerStep, torch.nn.Flatten, torch.nn.Linear, IAF]
    assert [name for name, _ in found.model.named_children()] == ["input", "c__1", "n", "p", "f", "w", "o"]
    assert np.array_equal(found.model[1].module.weight.detach().numpy(), table["c.1"]["weight"])
    assert np.array_equal(found.model[5].weight.detach().numpy(), table["w"]["weight"])
    assert isinstance(found.model[3].module, SumPool2d)
    assert {name: getattr(found.contract, name) for name in STATED} == STATED


def test_the_gain_of_a_neuron_enters_its_threshold_and_bound(tmp_path):
    path = write(tmp_path / "a.nir", nodes())
    per_step = nd.read_nir(path, **STATED, charge="per step").model[-1]
    per_second = nd.read_nir(path, **STATED).model[-1]
    assert float(per_step.threshold) == 1.5
    assert per_step.options["v_min"] == -0.5
    assert float(per_second.threshold) == pytest.approx(1500)
    assert (per_step.options["reset"], per_step.options["comparison"]) == ("subtract", ">=")


def test_a_membrane_is_that_of_the_file_where_its_gain_is_the_layers_own(tmp_path):
    plain = nd.read_nir(write(tmp_path / "a.nir", layer(r=1.0, v_threshold=0.25)), **STATED).model[-1]
    other = nd.read_nir(write(tmp_path / "b.nir", layer(r=2.0, v_threshold=0.25)), **STATED).model[-1]
    assert (float(plain.threshold), plain.options["v_min"], plain.options["norm_input"]) == (0.25, -1.0, True)
    assert float(other.threshold) == pytest.approx(0.125 / (1 - float(other.alpha_mem)))
    assert not other.options["norm_input"]


def test_branches_become_a_graph(tmp_path):
    table = nodes()
    table["d"] = table["c.1"] | {"weight": -0.5 * table["c.1"]["weight"]}
    edges = [("input", "c.1"), ("input", "d"), ("c.1", "n"), ("d", "n"), ("n", "p"), ("p", "f"), ("f", "w")]
    edges += [("w", "o"), ("o", "output")]
    model = nd.read_nir(write(tmp_path / "a.nir", table, edges), **STATED, charge="per step").model
    assert isinstance(model[-1], Graph)
    stage = lower(model, nd.chip("speck2f")).stages[0]
    assert len(stage.edges) == 1, "kernels of equal form on the same way are one kernel"
    assert np.allclose(stage.edges[0].weight, 0.5 * table["c.1"]["weight"])


NAMES = ["lif1.lif", "lif1/w.rec", "0", "class", "forward", "training", "a__b", "_.x", "%41", " ", "ü.", "input"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_becomes_one_that_torch_takes_and_comes_back(name):
    layer_name = to_layer_name(name)
    assert to_node_name(layer_name) == name
    holder = torch.nn.Sequential()
    holder.add_module(layer_name, torch.nn.Identity())
    assert layer_name not in ("input", "output")


def test_names_that_differ_stay_different():
    names = ["a.b", "a__b", "a_.b", "a._b", "a%2Eb", "%61.b"]
    assert len({to_layer_name(name) for name in names}) == len(names)


# the contract


def test_everything_that_the_file_does_not_say_is_asked_for_at_once(tmp_path):
    table, edges = looped()
    with pytest.raises(Refusal) as caught:
        nd.read_nir(write(tmp_path / "a.nir", table, edges))
    asked = [fault.was.split()[0] for fault in caught.value.faults]
    assert asked == ["dt_s", "integrator", "reset", "comparison", "max_spikes", "v_min", "recurrent_delay"]
    assert all("state it (--" in fault.todo for fault in caught.value.faults)


@pytest.mark.parametrize("name", STATED)
def test_one_thing_missing_is_asked_for_alone(tmp_path, name):
    path = write(tmp_path / "a.nir", *looped())
    nd.read_nir(path, **STATED)
    with pytest.raises(Refusal) as caught:
        nd.read_nir(path, **{key: value for key, value in STATED.items() if key != name})
    assert [fault.was.split()[0] for fault in caught.value.faults] == [name]


def test_what_a_graph_does_not_use_is_not_asked_for(tmp_path):
    chain = {"input": end("Input", 5), "fc": affine(RNG, 4, 5), "output": end("Output", 4)}
    assert set(nd.read_nir(write(tmp_path / "a.nir", chain), dt_s=DT).report.contract) == {"dt_s"}
    leaky = nd.read_nir(write(tmp_path / "b.nir", layer("LI")), dt_s=DT, integrator="exact")
    assert "reset" not in leaky.report.contract


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reset": None}, "reset = None; one of 'subtract', 'zero', 'value'"),
        ({"comparison": "=="}, "comparison = '=='; one of '>', '>='"),
        ({"charge": ""}, "charge = ''; one of 'per second', 'per step'"),
        ({"dt_s": 0.0}, "dt_s = 0.0; seconds above 0"),
        ({"max_spikes": 0}, "max_spikes = 0; a whole number of at least 1, or None"),
        ({"v_min": float("nan")}, "v_min = nan; a number in the file's unit, or None"),
        ({"like": "brian"}, "the exporter 'brian'; one of nir, snntorch, sinabs"),
    ],
)
def test_values_of_a_contract_are_sound(tmp_path, changes, words):
    assert words in "\n".join(refused(write(tmp_path / "a.nir", layer()), **changes))


def test_a_reset_value_of_the_file_counts_where_nothing_is_stated(tmp_path):
    rest = {name: value for name, value in STATED.items() if name != "reset"}
    zero = nd.read_nir(write(tmp_path / "a.nir", layer(v_reset=0.0)), **rest)
    other = nd.read_nir(write(tmp_path / "b.nir", layer(v_reset=0.1)), **rest)
    assert (zero.contract.reset, zero.report.origins["reset"]) == ("zero", "file")
    assert (other.model[-1].options["reset"], other.report.origins["reset"]) == ("value", "file")
    assert "v_reset [0.1] with reset = 'subtract'" in refused(tmp_path / "b.nir")[0]
    assert nd.read_nir(tmp_path / "a.nir", **STATED).contract.reset == "subtract", "legacy files rewritten say 0"


@pytest.mark.parametrize("name", PRESETS)
def test_an_exporter_leaves_open_only_what_its_files_do_not_decide(tmp_path, name):
    path = write(tmp_path / "a.nir", *looped("CubaLIF"))
    open_ = {"nir": ["dt_s", "reset"], "sinabs": ["dt_s", "v_min"], "rockpool": ["dt_s"], "spikingjelly": []}
    try:
        nd.read_nir(path, like=name)
        asked = []
    except Refusal as refusal:
        asked = [fault.was.split()[0] for fault in refusal.faults if "is not stated" in fault.was]
    assert asked == open_.get(name, [])


def test_what_is_stated_counts_before_the_exporter_and_its_defects_are_told(tmp_path):
    path = write(tmp_path / "a.nir", layer())
    own = nd.read_nir(path, like="snntorch", reset="zero", reset_delay=0, dt_s=DT)
    assert (own.contract.reset, own.contract.comparison, own.contract.dt_s) == ("zero", ">", DT)
    assert own.report.origins["comparison"] == "--as snntorch"
    assert any("v_reset is written as 0 whatever" in note for note in own.report.notes)
    assumed = nd.read_nir(path, like="snntorch", dt_s=DT).report.origins["reset"]
    assert assumed == "--as snntorch, a default of its layers that no file tells"


def test_an_exporter_that_resets_late_gets_layers_that_do(tmp_path):
    path = write(tmp_path / "a.nir", *looped("CubaLIF"))
    late = nd.read_nir(path, like="snntorch", dt_s=DT).model[-1]
    same = nd.read_nir(path, like="snntorch", dt_s=DT, reset="zero", reset_delay=0).model[-1]
    double = nd.read_nir(write(tmp_path / "b.nir", layer()), like="snntorch", dt_s=DT, reset_delay=0).model[-1]
    assert isinstance(late, RSynaptic)
    assert late.options["reset_delay"] is True
    assert isinstance(same, LIF)
    assert isinstance(double, Leaky)
    assert double.options["compat"] == ("snntorch-double-reset",)


@pytest.mark.parametrize(("field", "value"), [("comparison", ">="), ("max_spikes", 2), ("v_min", 0.0)])
def test_a_late_reset_excludes_what_no_such_layer_has(tmp_path, field, value):
    late = {"reset_delay": 1, "comparison": ">", "max_spikes": 1, "v_min": None}
    told = refused(write(tmp_path / "a.nir", layer()), **(late | {field: value}))
    assert [f"{field} = {value!r} and the reset one step later" in line for line in told] == [True]


# what is refused


def test_what_is_no_primitive_is_named_all_at_once(tmp_path):
    table = nodes()
    table["n"] = table["n"] | {"type": "ALIF"}
    table["w"] = table["w"] | {"type": "Dense"}
    told = refused(write(tmp_path / "a.nir", table))
    assert [line.split(";")[0] for line in told] == [
        "node 'n': the primitive 'ALIF'",
        "node 'w': the primitive 'Dense'",
    ]
    assert "one of Input, Output, Identity, Affine" in told[0]


BROKEN = {
    "strange field": ("n", {"v_peak": np.ones(3)}, "node 'n' (IF): the field v_peak; fields that some version"),
    "flatten": ("f", {"start_dim": 5}, "start_dim 5, end_dim -1 of (3, 3, 3); axes that exist"),
    "pooling": ("p", {"kernel_size": [9, 9]}, "blocks of (9, 9) on (6, 6)"),
    "padded pooling": ("p", {"padding": [2, 2]}, "padding (2, 2) for blocks of (2, 2); at most half a block"),
    "stride": ("c.1", {"stride": 0}, "stride (0, 0); at least 1"),
    "half a stride": ("c.1", {"stride": 1.5}, "stride is [1.5]; whole numbers"),
    "huge stride": ("p", {"stride": 1 << 40}, "stride is [1099511627776]; whole numbers of a sensible size"),
    "groups": ("c.1", {"groups": 2}, "groups [2]; a number that divides the 3 outputs"),
    "padding": ("c.1", {"padding": "reflect"}, "padding is 'reflect'; one of 'same', 'valid', or numbers"),
    "bias": ("c.1", {"bias": np.ones(5)}, "bias of shape (5,) for a weight of shape (3, 2, 3, 3)"),
    "weight": ("w", {"weight": np.ones(3)}, "weight of shape (3,); 2 dimensions"),
    "word": ("n", {"r": "one"}, "r is 'one'; numbers"),
    "NaN": ("n", {"r": np.full((3, 6, 6), np.nan)}, "r: 108 of 108 values are NaN or infinite"),
    "too large for a float32": ("w", {"weight": np.full((4, 27), 1e300)}, "a weight or bias of 1e+300; numbers of"),
    "zero gain with a bound": ("o", {"v_threshold": np.zeros(4)}, "a threshold of 0; above 0"),
    "shape of neurons": ("o", {"r": np.ones(3)}, "r has shape (3,), what arrives (4,)"),
    "shape of a map": ("input", {"shape": [3, 6, 6]}, "it takes 2 channels of 2 axes and gets (3, 6, 6)"),
    "shape of a row": ("w", {"weight": np.ones((4, 26))}, "it takes 26 values and gets 27"),
    "stated input": ("f", {"input_type": [3, 3, 4]}, "input_type (3, 3, 4) is stated and (3, 3, 3) arrives"),
    "stated output": ("output", {"shape": [5]}, "shape (5,) is stated and (4,) arrives"),
    "huge": ("input", {"shape": [2, 1 << 20, 1 << 20]}, "values of shape (2, 1048576, 1048576); 1 to 100,000,000"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_values_that_have_no_meaning_are_refused(tmp_path, name):
    node, changed, words = BROKEN[name]
    table = nodes()
    table[node] = table[node] | changed
    assert words in "\n".join(refused(write(tmp_path / "a.nir", table), charge="per step"))


def test_a_missing_field_and_an_unknown_end_are_refused(tmp_path):
    table = nodes()
    del table["n"]["r"]
    assert (
        "node 'n' (IF): r missing; it has r, v_threshold, v_reset (optional)"
        in refused(write(tmp_path / "a.nir", table))[0]
    )
    told = refused(write(tmp_path / "b.nir", nodes(), [("input", "nowhere")]))
    assert any("edge 'input' -> 'nowhere': no node 'nowhere'; one of 'c.1', 'f'" in line for line in told)
    told = refused(write(tmp_path / "c.nir", nodes(), [("input", "c.1"), ("c.1", "n"), ("n", "output")]))
    assert "node 'w' (Linear): no edge leads to it" in "\n".join(told)
    assert "node 'w' (Linear): no edge leads on from it" in "\n".join(told)


LIF2, MEMBRANE, SCALE = neurons("LIF", (4,)), neurons("LI", (4,)), {"type": "Scale", "scale": np.ones(4)}
CYCLES = {
    "two layers": (
        {"n2": LIF2, "w2": affine(RNG, 4, 4)},
        [("n", "w"), ("w", "n2"), ("n2", "w2"), ("w2", "n")],
        "2 layers that fire",
    ),
    "none": ({}, [("fc", "w"), ("w", "fc")], "0 layers that fire"),
    "a membrane": ({"m": MEMBRANE}, [("n", "w"), ("w", "m"), ("m", "n")], "1 layers that fire, and 'm'"),
    "without neurons": ({"s": SCALE}, [("n", "w"), ("w", "s"), ("s", "w"), ("s", "n")], "a cycle without neurons"),
    "strangers": ({}, [("n", "w"), ("w", "n"), ("fc", "w")], "edge 'fc' -> 'w'"),
}


@pytest.mark.parametrize("name", CYCLES)
def test_cycles_that_no_layer_computes_are_refused(tmp_path, name):
    more, edges, words = CYCLES[name]
    table = layer() | {"w": affine(RNG, 4, 4)} | more
    chain = [("input", "fc"), ("fc", "n"), ("n", "output")]
    told = "\n".join(refused(write(tmp_path / "a.nir", table, [*chain, *edges])))
    assert words in told
    assert "a cycle of" in told


def test_spikes_that_come_back_later_than_the_next_step_are_refused(tmp_path):
    path = write(tmp_path / "a.nir", *looped())
    assert nd.read_nir(path, **STATED).model[-1].rec_connect is not None
    assert "spikes that come back after 2 steps" in refused(path, recurrent_delay=2)[0]
    assert "spikes that come back after 0 steps" in refused(path, recurrent_delay=0)[0]


def test_a_step_longer_than_a_time_constant_is_refused_by_euler_alone(tmp_path):
    path = write(tmp_path / "a.nir", layer(tau=0.5 * DT))
    assert "1 - dt / tau is -1; a decay from 0 to 1" in refused(path)[0]
    nd.read_nir(path, **(STATED | {"integrator": "exact"}))


def test_a_delay_between_two_steps_is_approximated_with_its_bound(tmp_path):
    chain = {
        "input": end("Input", 3),
        "d": {"type": "Delay", "delay": np.array([2.0, 2.25, 5.0]) * DT},
        "output": end("Output", 3),
    }
    found = nd.read_nir(write(tmp_path / "a.nir", chain), dt_s=DT)
    assert not found.report.faithful
    assert "d (Delay) -> Graph, approximated: each value comes at most 0.25 steps early or late" in str(found.report)


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + bytes(100)])
def test_what_is_no_nir_file_is_refused(tmp_path, content):
    (tmp_path / "a.nir").write_bytes(content)
    assert "a NIR file: HDF5 with the group node" in refused(tmp_path / "a.nir")[0]


def test_without_h5py_the_line_that_installs_it_is_given(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(Missing, match=r'pip install "neurodeploy\[nir\]"'):
        nd.read_nir(tmp_path / "a.nir", **STATED)


# published networks


def published(name):
    return Path(os.environ["NEURODEPLOY_DATA"]) / name


@pytest.mark.shared_data
def test_the_braille_network_fires_as_snntorch_published_it(count):
    found = nd.read_nir(published("nir/braille_noDelay_bias_zero.nir"), like="nir", dt_s=1e-4, reset="zero")
    sample = np.load(published("recordings/braille_test_sample0.npy"))
    theirs = np.load(published("recordings/braille_zero_snntorch_hidden.npy"))
    hidden = []
    found.model.lif1__lif.register_forward_hook(lambda _module, _given, spikes: hidden.append(spikes))
    with torch.no_grad():
        found.model(torch.as_tensor(sample[:, None], dtype=torch.float32))
    assert theirs.shape == (256, 38)
    assert theirs.sum() > 100
    assert (hidden[0][:, 0].numpy() != theirs).sum() == 0
    assert found.report.faithful
    count("published spikes compared", theirs.size)


@pytest.mark.shared_data
def test_the_broken_nested_file_is_refused_by_the_name_that_is_missing():
    told = refused(published("nir/braille_noDelay_bias_zero_subgraph.nir"))
    assert len(told) == 4
    assert all("graph 'lif1': edge" in line and "no node 'lif'; one of 'input', 'lif1', 'lin'" in line for line in told)


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "input_"), [("lif_rockpool", 3), ("two_lif_neurons", 3_000)])
def test_other_published_files_compute_what_their_equations_say(name, input_):
    path, contract = published(f"nir/{name}.nir"), STATED | {"v_min": None}
    found = nd.read_nir(path, **contract)
    x = np.full((200, 1), float(input_))
    with torch.no_grad():
        ours = found.model(torch.as_tensor(x[:, None], dtype=next(found.model.parameters()).dtype))
    theirs = nir_plain.Run(nir_plain.read(path), {"dt": DT, **contract})(x)
    assert theirs.any()
    assert np.array_equal(ours[:, 0].numpy(), theirs)


@pytest.mark.shared_data
@pytest.mark.parametrize("events", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_published_network_converts_maps_and_meets_a_moving_edge(events, count):
    found = nd.read_nir(published("nir/cnn_sinabs.nir"), like="sinabs", dt_s=1e-3, v_min=-1.0)
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


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["loihi2_lif", "lava_cpu_fixed_lif"])
def test_a_published_neuron_fires_as_it_was_recorded(name, count):
    """Recorded one step after the input, as on the chip; in float, and in the integers that the quantizer finds."""
    found = nd.read_nir(published("nir/lif_norse.nir"), like="nir", dt_s=1e-4, reset="zero")
    events, _, spikes = np.loadtxt(published(f"recordings/{name}.csv"), delimiter=",").T
    given = events.astype(np.int64)[:, None, None]
    assert (len(spikes), spikes.sum()) == (1000, 4)
    assert np.array_equal(nd.run_model(found.model, given)[:-1, 0, 0], spikes[1:])
    chip = nd.chip("loihi2")
    network = nd.map(nd.quantize(nd.constrain(found.model, chip), chip, dt_s=found.dt_s).network).network
    assert np.array_equal(nd.simulate(network, given, drain=0).output[:, 0, 0], spikes)
    count("recorded steps compared", len(spikes))

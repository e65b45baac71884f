"""The vendor's recipe for clocked chips: its integers exactly, and a refusal wherever it would spoil something."""

import json

import numpy as np
import pytest
import torch
from command_line import run
from slayer_cases import GOLDEN, INTERPRETER, OPTIONS, cases, linear, made, model_of, plain, spoilt

from neurodeploy import chip, constrain, data, quantize, save_data, save_model, simulate
from neurodeploy.bundles import load_bundle
from neurodeploy.chips import from_raw, target_folders
from neurodeploy.chips.schema import RecipeEntry
from neurodeploy.emit.netx import read_netx, write_netx
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF
from neurodeploy.network import Network, place_identity

CHIPS = [n for n in target_folders() if any(isinstance(e, RecipeEntry) for e in chip(n).file.parity.values())]
CHIP = chip(CHIPS[0])


def ours(case):
    """Integers of a layer in its network, as the recipe names them; the codes of its refusal where there is one."""
    try:
        network = quantize(model_of(case, CHIP), CHIP, parity="slayer").network
    except Refusal as refusal:
        return {fault.code for fault in refusal.faults}
    neurons, (feed, *back) = network.groups[1], network.projections
    registers = {n: np.unique(v[: len(v)]).tolist() for n, v in neurons.parameters.items() if n != "bias_mant"}
    assert registers["bias_exp"] == [6]
    found = {"weight": worth(feed, np.shape(case["weight"]))}
    if back:
        found["back"] = worth(back[0], np.shape(case["back"]))
    if case["bias"] is not None:
        found["bias"] = neurons.parameters["bias_mant"].reshape(len(case["bias"]), -1)[:, 0].tolist()
    (du,), (dv,), (threshold,) = (registers[n] for n in ("du", "dv", "threshold"))
    return found | {"threshold": threshold, "current_decay": du + 1, "voltage_decay": dv}


def worth(projection, shape):
    """Weights as they add, (target, source) or as a kernel."""
    stored = projection.fields["w"]
    if projection.geometry is not None:
        return stored.reshape(shape).tolist()
    matrix = np.zeros(shape)
    matrix[projection.targets, projection.sources] = stored * 2.0 ** projection.parameters["exponent"]
    return matrix.astype(int).tolist()


def compared(asked, integers):
    """How many layers became the same integers; each other one is refused, and for a reason."""
    equal, reasons = 0, set()
    for case, theirs in zip(asked, integers, strict=True):
        uncut, found = plain(case), ours(case)
        spoils = spoilt(uncut)
        if not isinstance(found, set):
            assert spoils == set(), case
            assert found == theirs == uncut
            equal += 1
        else:
            reasons |= spoils
            # the rest: emulators could differ, a guard of the chip, -256 beside the grid of a matrix
            assert spoils or found <= {"ND2201", "ND2202"} or np.min(uncut["weight"]) == -256, (case, found)
    return equal, reasons


def test_golden_integers_are_the_same():
    golden = json.loads(GOLDEN.read_text())
    assert golden["made_by"].startswith("lava-dl 0.6.0")
    equal, reasons = compared(golden["cases"], golden["integers"])
    assert equal >= 12
    assert {case["form"] for case in golden["cases"]} == {"dense", "conv", "recurrent"}
    assert {"cut", "threshold 0", "threshold too high"} <= reasons


@pytest.mark.interpreter(INTERPRETER)
def test_random_layers_become_the_same_integers(count):
    asked = cases(160, 1)
    equal, reasons = compared(asked, made(asked)["integers"])
    assert equal > 80
    assert reasons >= {"cut", "threshold 0", "threshold too high", "no decay"}
    count("layers compared with lava-dl's export", equal)


# what it would spoil in silence


def layer(weight, threshold=1.0, **options):
    """A matrix (target, source) and its neurons, which keep nothing of a current and never leak."""
    weight = np.atleast_2d(weight).tolist()
    return torch.nn.Sequential(linear(weight), IAF(len(weight), threshold=threshold, **(OPTIONS | options)))


def refused(model, parity="slayer", target=CHIP):
    with pytest.raises(Refusal) as caught:
        quantize(constrain(model, target), target, parity=parity)
    return str(caught.value)


def network_of(model):
    return quantize(constrain(model, CHIP), CHIP, parity="slayer").network


@pytest.mark.parametrize("name", CHIPS)
def test_scale_and_step_stand_in_the_file_of_the_chip(name):
    entry = chip(name).file.parity["slayer"]
    assert (entry.scale, entry.step, entry.weight) == (64, 2, (-256, 254))


@pytest.mark.parametrize(
    ("weight", "integer"),
    [(0.015625, 0), (0.016, 2), (0.046875, 4), (-0.015625, 0), (-0.046875, -4), (3.984, 254), (-3.97, -254)],
)
def test_weights_are_even_and_halves_go_to_the_even_step(weight, integer):
    assert worth(network_of(layer([[weight, 0.5, -0.5]])).projections[0], (1, 3))[0][0] == integer


@pytest.mark.parametrize(("threshold", "integer"), [(1.0, 64), (1.0156, 64), (1.015625, 65), (2047.99, 131071)])
def test_a_threshold_is_truncated(threshold, integer):
    assert network_of(layer([[0.5, -0.5]], threshold)).groups[1].parameters["threshold"].tolist() == [integer]


def test_weights_that_it_would_cut_are_refused_in_every_layer_at_once():
    first, second = layer([[3.98, -0.5]]), layer([[3.99], [-5.0], [0.1]])
    assert worth(network_of(first).projections[0], (1, 2)) == [[254, -32]]
    text = refused(torch.nn.Sequential(*layer([[4.1, -0.5]]), *second))
    assert "layer '0'" not in text
    assert "layer '1': weights from 'input' from -32 to 262, 1 of 2 outside -256 to 254" in text
    assert "layer '3': weights from '1' from -320 to 256, 2 of 3 outside -256 to 254" in text
    assert text.count("parity: slayer cuts them there without a word") == 2
    assert "smaller by one factor, or quantize without parity" in text
    quantize(constrain(torch.nn.Sequential(*layer([[4.1, -0.5]])), CHIP), CHIP)  # our own scale takes them


def test_biases_that_it_would_cut_are_refused():
    assert network_of(layer([[1.0]], bias=3.97)).groups[1].parameters["bias_mant"].tolist() == [254]
    assert "biases from 256 to 256, 1 of 1 outside -254 to 254" in refused(layer([[1.0]], bias=4.0))


def test_a_threshold_that_becomes_0_is_refused():
    assert network_of(layer([[1.0]], 0.015625)).groups[1].parameters["threshold"].tolist() == [1]
    text = refused(layer([[1.0]], 0.0156))
    assert "the threshold 0.0156 of neuron 0 becomes 0; parity: slayer truncates it; at least 0.015625" in text


def test_a_threshold_beyond_its_register_is_refused():
    assert "threshold of neuron 0 becomes 131072; 0..131071, which threshold may hold" in refused(layer([[1.0]], 2048))


def test_a_decay_of_0_is_refused_where_it_would_mean_no_decay():
    def model(tau_syn):
        return torch.nn.Sequential(linear([[0.1, -0.1]]), LIF(1, tau_mem=8.0, tau_syn=tau_syn, **OPTIONS))

    assert "tau = 9998 steps in 1 of 1 neurons; 0 to 4095.5 steps can be had" in refused(model(1e4))
    assert network_of(model(20.0)).groups[1].parameters["du"].tolist() == [199]


def test_a_matrix_below_its_grid_is_refused_and_a_kernel_has_the_place():
    assert "of which -256 has no place; weights on the grid of the chip's matrices" in refused(layer([[-4.0, 1.0]]))
    case = {"form": "conv", "back": None, "bias": None, "threshold": 1.0, "tau_mem": None, "tau_syn": None}
    kernel = case | {"weight": [[[[-4.0, 1.0]]]], "norm_input": False}
    assert ours(kernel)["weight"] == [[[[-256, 64]]]]


def test_guards_of_the_chip_hold_for_its_integers():
    assert "guard 'negative_power'" in refused(layer([[-1.0, -0.5]]))
    network_of(layer([[-1.03125, -0.5]]))
    assert "guard 'mixed_power'" in refused(layer([[-1.0, 0.5]]))
    network_of(layer([[-1.0, 1.0]]))


def test_what_emulators_could_compute_differently_is_refused():
    text = refused(layer(np.full((1, 200), 3.9), bias=0.5))
    assert "with the worst input" in text
    assert "lava, nengo_loihi agree" in text


def test_thresholds_of_single_neurons_are_refused():
    text = refused(layer([[1.0], [1.0]], torch.tensor([1.0, 2.0])))
    assert "threshold from 64 to 128; one value for all neurons of a layer" in text


def test_other_names_are_refused_with_those_that_are_known():
    assert "parity = 'sinabs'; one of slayer" in refused(layer([[1.0]]), parity="sinabs")


@pytest.mark.parametrize(
    ("key", "value", "words"), [("scale", 60, "60 is no power of two"), ("step", 3, "3 is no power")]
)
def test_a_scale_that_floats_would_round_is_refused_in_a_chips_file(key, value, words):
    raw = CHIP.file.model_dump(by_alias=True)
    raw["parity"]["slayer"][key] = value
    with pytest.raises(Refusal, match=words):
        from_raw(raw)


def test_the_report_says_whose_scale_it_is():
    (report,) = quantize(constrain(layer([[0.5, -0.25]]), CHIP), CHIP, parity="slayer").layers
    assert (report.limited_by, report.scale_low, report.scale_high) == ("scale of slayer", 64, 64)
    assert report.weight_error == 0


# the whole way


def deep(seed=0):
    rng = np.random.default_rng(seed)
    neurons = OPTIONS | {"threshold": 1.0}
    back = linear(rng.normal(0, 0.15, (12, 12)).tolist())
    return torch.nn.Sequential(
        linear(rng.normal(0.2, 0.3, (12, 8)).tolist()),
        LIF(12, tau_mem=8.0, tau_syn=3.0, norm_input=False, rec_connect=back, **neurons),
        linear(rng.normal(0.2, 0.3, (5, 12)).tolist()),
        IAF(5, bias=0.05, **neurons),
    )


def test_a_network_by_the_recipe_is_computed_alike_by_every_dialect_and_survives_its_file(tmp_path):
    network = network_of(deep())
    counts = (np.random.default_rng(1).random((60, 3, 8)) < 0.4).astype(int)
    run = simulate(place_identity(network), counts, record=["u", "v"])
    assert run.output.sum() > 20
    assert len(CHIP.dialects) > 1
    for name in CHIP.dialects:
        spoken = Network(CHIP.dialect(name), network.groups, network.projections, network.dt_s)
        other = simulate(place_identity(spoken), counts, record=["u", "v"])
        for group in run.states:
            assert all(np.array_equal(run.states[group][s], other.states[group][s]) for s in ("u", "v"))
    write_netx(network, tmp_path / "net.net")
    back = simulate(place_identity(read_netx(tmp_path / "net.net", CHIP)), counts)
    assert np.array_equal(back.output, run.output)


def test_the_command_line_takes_the_name_of_the_recipe(tmp_path):
    save_model(constrain(deep(), CHIP), tmp_path / "model.safetensors", dt_s=1e-3)
    counts = (np.random.default_rng(1).random((10, 2, 8)) < 0.4).astype(int)
    save_data(tmp_path / "data.npz", data(counts, layout="time,batch,channel", dt_s=1e-3))
    files = ["--target", CHIP.name, "--data", tmp_path / "data.npz", "--out", tmp_path / "net.nd"]
    line = ["convert", tmp_path / "model.safetensors", *files, "--json", "--parity"]
    wrong = run(*line, "slayr")
    assert (wrong.status, wrong.codes) == (2, ["ND1703"] * 2)
    answer = run(*line, "slayer")
    assert answer.status == 0
    assert [layer["limited_by"] for layer in answer.json["layers"]] == ["scale of slayer"] * 2
    held = load_bundle(tmp_path / "net.nd").network
    assert [held.group(n).parameters["threshold"][0] for n in ("1", "3")] == [
        89,
        64,
    ]  # 1.0 over what is kept of the current, 1.0

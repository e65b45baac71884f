"""Float against integer, layer by layer: rates, correlation, membranes, and where the error begins."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from command_line import refused, run

import neurodeploy as nd
from neurodeploy.conversion import write_bundle
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF, PerStep
from neurodeploy.report import measure_fidelity
from neurodeploy.report.fidelity import GROWS, LEAST

STEPS, SAMPLES = 40, 4


def built(target, seed=0):
    torch.manual_seed(seed)
    if target == "speck2f":
        model = torch.nn.Sequential(
            torch.nn.Unflatten(2, (1, 4, 4)),
            PerStep(torch.nn.Conv2d(1, 3, 3, padding=1, bias=False)),
            IAF((3, 4, 4), threshold=0.5, v_min=-0.5),
            torch.nn.Flatten(2),
            torch.nn.Linear(48, 3, bias=False),
            IAF(3, threshold=0.5, v_min=-0.5),
        )
        channels = 16
    else:
        reset = {"reset": "zero", "comparison": ">"} if target == "loihi2" else {}
        options = {"tau_mem": 8, "tau_syn": 4, "norm_input": False, "threshold": 0.4, **reset}
        model = torch.nn.Sequential(
            torch.nn.Linear(6, 12, bias=False),
            LIF(12, **options),
            torch.nn.Linear(12, 3, bias=False),
            LIF(3, **options),
        )
        channels = 6
    counts = np.random.default_rng(seed).integers(0, 2, (STEPS, SAMPLES, channels))
    return model, nd.convert(model, nd.chip(target), calibration=counts, dt_s=1e-3), counts


@pytest.mark.parametrize("target", ["xylo_audio3", "loihi2", "speck2f"])
def test_a_good_conversion_has_equal_rates_and_little_noise(target):
    model, converted, counts = built(target)
    found = measure_fidelity(model, converted.network, counts)
    assert [layer.layer for layer in found.layers] == [g.name for g in converted.network.groups[1:]]
    assert found.events > 100
    for layer in found.layers:
        assert abs(layer.rate_error) < 0.2
        assert layer.correlation > 0.8
        assert layer.rate_integer == pytest.approx(
            found.run.counts[layer.layer][_late(found, layer) :].mean(), rel=0.05
        )
        assert layer.sqnr_db is None or layer.sqnr_db > 0
    assert any(layer.sqnr_db is not None for layer in found.layers)


def _late(found, layer):
    return found.stages[layer.layer].late


def test_the_membrane_noise_is_that_of_the_formula():
    model, converted, counts = built("xylo_audio3")
    found = measure_fidelity(model, converted.network, counts)
    layer, course = found.layers[0], found.courses[found.layers[0].layer]
    noise = ((course.scaled - course.membrane) ** 2).sum()
    assert layer.sqnr_db == pytest.approx(10 * np.log10((course.membrane**2).sum() / noise))
    register = converted.network.group(layer.layer).parameters["threshold"]
    integer = found.run.states[layer.layer]["v"]
    assert np.allclose(course.scaled / course.threshold, integer / register)


@pytest.mark.parametrize("number", [1, 2])
def test_the_layer_that_is_spoilt_is_the_first_in_which_the_error_grows(number):
    model, converted, counts = built("xylo_audio3")
    network = converted.network
    good = measure_fidelity(model, network, counts)
    spoilt = network.groups[number]
    changed = replace(spoilt, parameters=spoilt.parameters | {"threshold": spoilt.parameters["threshold"] * 2 // 3})
    groups = tuple(changed if g is spoilt else g for g in network.groups)
    found = measure_fidelity(model, replace(network, groups=groups), counts)
    assert found.grows_at == spoilt.name
    errors = {layer.layer: layer.count_error for layer in found.layers}
    assert errors[spoilt.name] >= max(LEAST, GROWS * good.layers[number - 1].count_error)


def test_a_layer_that_is_silent_has_no_relative_error():
    model, converted, counts = built("xylo_audio3")
    found = measure_fidelity(model, converted.network, counts * 0)
    assert [layer.rate_error for layer in found.layers] == [None, None]
    assert [layer.count_error for layer in found.layers] == [None, None]
    assert found.grows_at is None
    assert "count error silent, correlation none" in str(found)


def test_another_model_and_nothing_are_refused():
    model, converted, counts = built("xylo_audio3")
    with pytest.raises(Refusal, match="no step or no sample"):
        measure_fidelity(model, converted.network, counts[:0])
    options = {"tau_mem": 8, "tau_syn": 4, "norm_input": False}
    layers = torch.nn.Linear(6, 9, bias=False), LIF(9, **options), torch.nn.Linear(9, 3, bias=False), LIF(3, **options)
    other = torch.nn.Sequential(*layers)
    with pytest.raises(Refusal, match=r"the model's layer '1' of 9 neurons; the layers of the network: ") as caught:
        measure_fidelity(other, converted.network, counts)
    assert caught.value.code == "ND2003"


def test_the_command_takes_a_model_and_its_bundle(tmp_path):
    model, converted, counts = built("xylo_audio3")
    nd.save_model(model, tmp_path / "m.safetensors", dt_s=1e-3)
    write_bundle(converted, counts, tmp_path / "b.nd")
    answer = run("compare", tmp_path / "m.safetensors", tmp_path / "b.nd", "--json")
    assert answer.status == 0
    assert answer.json == run("compare", tmp_path / "b.nd", tmp_path / "m.safetensors", "--json").json
    found = measure_fidelity(nd.load_model(tmp_path / "m.safetensors")[0], converted.network, counts)
    assert [row["rate_float"] > 0 for row in answer.json["layers"]] == [True, True]
    assert len(found.layers) == len(answer.json["layers"])
    words = run("compare", tmp_path / "m.safetensors", tmp_path / "b.nd").out
    assert "Float against xylo_audio3" in words
    assert "The error grows" in words
    nd.save_data(tmp_path / "silent.npz", nd.data(counts * 0, layout="time,batch,channel", dt_s=1e-3))
    silent = run("compare", tmp_path / "m.safetensors", tmp_path / "b.nd", "--input", tmp_path / "silent.npz")
    assert silent.status == 1
    nd.save_trace(nd.simulate(converted.network, counts), tmp_path / "trace.npz")
    refused("ND9002", 2, "compare", tmp_path / "m.safetensors", tmp_path / "trace.npz")

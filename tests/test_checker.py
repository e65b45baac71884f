"""The answer before training: which float models fit which chip, and all reasons why not."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from mapper_chip import write_chip

from neurodeploy.checker import check
from neurodeploy.chips import chip, target_folders
from neurodeploy.layers import IAF, LIF, PerStep, SparseLinear
from neurodeploy.mapper import map_network, reports
from neurodeploy.quantizer import constrain, quantize

XYLOS = [name for name in target_folders() if {"channel", "hidden", "output"} <= set(chip(name).neurons)]
Seq = torch.nn.Sequential


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def linear(source: int, target: int) -> torch.nn.Linear:
    return torch.nn.Linear(source, target, bias=False)


def lif(size: int, **options: object) -> LIF:
    return LIF(size, **{"tau_mem": 16.0, "tau_syn": 8.0, "norm_input": False, **options})


def layers(*sizes: int) -> Seq:
    parts = []
    for source, target in pairwise(sizes):
        parts += [linear(source, target), lif(target)]
    return Seq(*parts)


def asked(fit) -> dict[str, int]:
    return {u.limit: u.asked for u in fit.usage}


# the largest models with one and with two hidden layers, and what the next larger one breaks
BOUNDARIES = [
    ("xylo_audio2", (16, 1000, 8), (17, 1000, 8), {"inputs"}),
    ("xylo_audio2", (16, 1000, 8), (16, 1001, 8), {"hidden"}),
    ("xylo_audio2", (16, 1000, 8), (16, 1000, 9), {"outputs"}),
    ("xylo_audio2", (16, 500, 64, 8), (16, 500, 65, 8), {"fan_out", "pool"}),
    ("xylo_audio2", (16, 400, 64, 8), (16, 400, 65, 8), {"fan_out"}),
    ("xylo_audio3", (16, 128, 32), (16, 129, 32), {"in_targets", "out_sources"}),
    ("xylo_audio3", (16, 128, 128, 32), (16, 129, 128, 32), {"in_targets"}),
    ("xylo_audio3", (16, 128, 128, 32), (16, 128, 129, 32), {"out_sources"}),
    ("xylo_audio3", (16, 128, 124, 124, 32), (16, 128, 125, 126, 32), {"pool"}),
    ("xylo_imu", (16, 128, 128, 16), (16, 128, 128, 17), {"outputs"}),
    ("xylo_imu", (16, 128, 128, 16), (17, 129, 129, 17), {"inputs", "in_targets", "out_sources", "outputs"}),
    ("xylo_imu", (16, 80, 136, 80, 16), (16, 80, 337, 80, 16), {"hidden", "pool"}),
]


@pytest.mark.parametrize(("name", "largest", "larger", "limits"), BOUNDARIES)
def test_the_largest_model_fits_and_the_next_one_does_not(name, largest, larger, limits):
    fit = check(layers(*largest), chip(name))
    assert (fit.fits, fit.exit_status, fit.faults, fit.chip) == (True, 0, (), name)
    assert asked(fit)["inputs"] == largest[0]
    assert asked(fit)["hidden"] == sum(largest[1:-1])
    refused = check(layers(*larger), chip(name))
    assert (refused.fits, refused.exit_status) == (False, 1)
    assert {f.values["limit"] for f in refused.faults} == limits
    assert {u.limit for u in refused.usage if not u.fits} == limits
    assert {u.limit for u in refused.usage} == set(chip(name).limits)


def test_reasons_say_asked_available_and_what_to_change():
    fit = check(layers(16, 1040, 8), chip("xylo_audio2"))
    (fault,) = fit.faults
    assert str(fault).startswith("xylo_audio2: 1,040 hidden neurons; at most 1,000 fit; 40 too many: ")
    assert str(fault).endswith("make a hidden layer smaller or choose a larger chip. [ND1801]")
    fit = check(layers(4, 100, 100, 8), chip("xylo_audio2"))
    assert "100 recurrent targets of one hidden neuron ('1' neuron 0 and 99 more); at most 64 fit" in str(fit.faults[0])


def test_a_sparse_layer_of_the_limit_s_fan_out_fits_and_one_more_does_not():
    def model(fan_out: int) -> Seq:
        return Seq(linear(4, 200), lif(200), SparseLinear(200, 200, fan_out=fan_out), lif(200), linear(200, 8), lif(8))

    assert check(model(64), chip("xylo_audio2")).fits
    fit = check(model(65), chip("xylo_audio2"))
    assert [f.values["limit"] for f in fit.faults] == ["fan_out"]
    assert "SparseLinear" in fit.faults[0].todo


def test_weights_that_are_0_are_no_synapses():
    target = chip("xylo_audio3")
    model = layers(4, 140, 8)
    assert {f.values["limit"] for f in check(model, target).faults} == {"in_targets", "out_sources"}
    with torch.no_grad():
        model[0].weight[128:] = 0
        model[2].weight[:, :12] = 0
    fit = check(model, target)
    assert fit.fits
    assert (asked(fit)["in_targets"], asked(fit)["out_sources"]) == (128, 128)


@pytest.mark.parametrize("name", XYLOS)
def test_a_recurrent_layer_counts_its_own_synapses(name):
    target = chip(name)
    model = Seq(linear(4, 60), lif(60, rec_connect=linear(60, 60)), linear(60, 2), lif(2))
    fit = check(model, target)
    assert fit.fits
    assert asked(fit)["pool"] == 60 * 60
    assert asked(fit)["fan_out"] == 60


@pytest.mark.parametrize("name", XYLOS)
def test_recurrent_outputs_are_refused(name):
    fit = check(Seq(linear(4, 6), lif(6), linear(6, 2), lif(2, rec_connect=linear(2, 2))), chip(name))
    assert not fit.fits
    (fault,) = fit.faults
    assert fault.was == "recurrent weights"
    assert fault.must == "output neurons have no connection among themselves"
    assert fault.where == f"{name}, layer '3'"


def test_a_recurrent_matrix_of_the_wrong_size_is_a_reason():
    fit = check(Seq(linear(4, 6), lif(6, rec_connect=linear(6, 5)), linear(6, 2), lif(2)), chip("xylo_audio2"))
    assert not fit.fits
    assert "rec_connect from 6 to 5 values; 6 to 6 values" in str(fit.faults[0])


MODULES = [
    (Seq(linear(4, 6), torch.nn.ReLU(), linear(6, 2), lif(2)), "ReLU", "ND1603"),
    (Seq(torch.nn.Conv2d(1, 2, 3), lif(6), linear(6, 2), lif(2)), "Conv2d", "ND1603"),
    (Seq(linear(4, 6), lif(6), linear(6, 2)), "no neurons after it", "ND1603"),
    (Seq(lif(6), linear(6, 2), lif(2)), "no weights before it", "ND1603"),
    (torch.nn.ReLU(), "a module that no synapse or neuron of the chip computes", "ND1603"),
    (Seq(), "no neuron layer", "ND1603"),
    (layers(4, 2), "an output layer fed by 'channel' neurons", "ND1701"),
    (Seq(linear(4, 6), lif(6), linear(7, 2), lif(2)), "it takes 7 values, '1' gives 6", "ND1602"),
    (Seq(linear(4, 6), lif(5), linear(6, 2), lif(2)), "'0' gives 6 values for 5 neurons", "ND1602"),
    (Seq(linear(4, 6), IAF(6), linear(6, 2), lif(2)), "an IAF neuron, which never leaks", "ND1701"),
    (Seq(linear(4, 6), lif(6, tau_syn=None), linear(6, 2), lif(2)), "no synaptic current", "ND1701"),
    (Seq(linear(4, 6), lif(6, reset="zero"), linear(6, 2), lif(2)), "reset = 'zero'", "ND1701"),
    (Seq(torch.nn.Linear(4, 6), lif(6), linear(6, 2), lif(2)), "a bias in '0'", "ND1701"),
]


@pytest.mark.parametrize("name", XYLOS)
@pytest.mark.parametrize(("model", "words", "code"), MODULES)
def test_a_model_that_is_not_of_the_chip_is_refused_with_a_reason(name, model, words, code):
    fit = check(model, chip(name))
    assert (fit.fits, fit.exit_status) == (False, 1)
    assert any(words in str(f) and f.code == code for f in fit.faults), fit.faults


@pytest.mark.parametrize("name", XYLOS)
@pytest.mark.parametrize("option", ["tau_mem", "tau_syn"])
def test_a_time_constant_outside_the_grid_is_refused_before_training(name, option):
    grid = (1.1, 16.0, 32767.5)
    for tau in grid:
        model = Seq(linear(4, 6), lif(6, **{option: tau}), linear(6, 2), lif(2))
        assert check(model, chip(name)).fits, tau
    for tau in (0.5, 70000.0):
        fit = check(Seq(linear(4, 6), lif(6, **{option: tau}), linear(6, 2), lif(2)), chip(name))
        (fault,) = fit.faults
        assert fault.code == "ND1702"
        assert fault.was.startswith(f"{option}: tau = ")
        assert fault.was.endswith(" steps in 6 of 6 neurons")
        assert "steps can be had" in fault.must
        assert asked(fit)["hidden"] == 6, "the wiring is counted all the same"


def test_limits_and_time_constants_are_refused_together():
    model = Seq(linear(17, 1001), lif(1001, tau_mem=0.2), linear(1001, 9), lif(9, reset="zero"))
    fit = check(model, chip("xylo_audio2"))
    assert sorted(f.code for f in fit.faults) == ["ND1701", "ND1702", "ND1801", "ND1801", "ND1801"]


@pytest.mark.parametrize("name", XYLOS)
def test_what_fits_can_be_quantized_and_mapped_within_the_same_limits(name):
    target = chip(name)
    sizes = (5, 40, 30, 4)
    fit = check(layers(*sizes), target)
    placed = map_network(quantize(constrain(layers(*sizes), target), target).network)
    assert fit.fits
    before, after = asked(fit), {u.limit: u.asked for u in placed.usage}
    assert before.keys() == after.keys()
    assert all(after[limit] <= before[limit] for limit in before)
    assert after["pool"] > 0.9 * before["pool"], "few weights are rounded to 0"


@pytest.mark.parametrize("name", [n for n in target_folders() if chip(n).layer_core is not None])
@pytest.mark.parametrize("leak", [0.0, -0.25])
def test_memories_that_check_states_are_those_of_the_mapped_network(name, leak):
    """Also of the biases, which only layers that have one need."""
    c = chip(name)
    conv = torch.nn.Conv2d(2, 5, 3)
    with torch.no_grad():
        conv.bias.fill_(leak)
    model = torch.nn.Sequential(torch.nn.Unflatten(2, (2, 6, 6)), PerStep(conv), IAF((5, 4, 4), v_min=-1.0))
    placed = map_network(quantize(constrain(model, c), c).network)
    assert check(model, c).cores == placed.cores
    assert [u.asked for u in placed.cores[0].usage if u.limit == "bias"] == [5 if leak else 0]


def test_a_step_too_short_for_the_worst_case_is_a_warning():
    target, model = chip("xylo_audio2"), layers(16, 500, 64, 8)
    assert check(model, target).warnings == ()
    needed = check(model, target).figures["shortest_step"][0]
    assert check(model, target, dt_s=needed).warnings == ()
    fit = check(model, target, dt_s=needed / 2)
    assert fit.fits
    (warning,) = fit.warnings
    assert "the shortest step that the default clock guarantees" in warning.was
    assert str(fit.to_json()["warnings"][0]).startswith("xylo_audio2: ")


def test_figures_are_those_of_the_mapped_network():
    target, model = chip("xylo_audio3"), layers(16, 100, 100, 8)
    figures = check(model, target).figures
    cycles = 16 * (100 * 3.5 + 1) + 7 * 100 * 100 + 3 * 200 + 100 * (1 + 8 * 8) + 200 * 22 + 12 * 8
    assert figures["cycles"] == (cycles, "clock cycles per step in the worst case")
    quantized = quantize(constrain(model, target), target).network
    assert reports(quantized)["cycles"][0] <= cycles


def test_the_model_is_not_changed():
    model = layers(4, 6, 2)
    before = {n: v.clone() for n, v in model.state_dict().items()}
    check(model, chip("xylo_audio3"))
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[n], after[n]) for n in before)
    assert [m.options["max_spikes"] for m in model if isinstance(m, LIF)] == [None, None]


def test_the_answer_is_plain_data():
    for sizes in ((4, 6, 2), (17, 6, 2)):
        fit = check(layers(*sizes), chip("xylo_imu"))
        data = json.loads(json.dumps(fit.to_json()))
        assert data["fits"] is fit.fits
        assert (data["target"], len(data["usage"])) == ("xylo_imu", 8)
        assert data["reasons"] == [str(f) for f in fit.faults]
        row = next(r for r in data["usage"] if r["limit"] == "inputs")
        assert row == {
            "limit": "inputs",
            "unit": "input channels",
            "asked": sizes[0],
            "at_most": 16,
            "fits": fit.fits,
            "where": "",
            "grade": "documentation",
        }
        assert data["figures"]["clock"]["value"] == 50e6


def test_a_layer_named_as_the_inputs_is_a_reason_not_a_crash():
    named = torch.nn.Sequential()
    for name, module in (("w", linear(4, 6)), ("channel", lif(6)), ("v", linear(6, 2)), ("o", lif(2))):
        named.add_module(name, module)
    fit = check(named, chip("xylo_audio2"))
    assert not fit.fits
    assert "the name stands twice" in str(fit.faults[0])


def test_a_chip_without_a_float_neuron_says_so(tmp_path):
    fit = check(layers(4, 6, 2), write_chip(tmp_path))
    assert not fit.fits
    assert fit.faults[0].code == "ND1701"
    assert fit.usage == ()


def test_untrained_and_trained_weights_give_the_same_answer():
    target, model = chip("xylo_audio2"), layers(4, 64, 64, 4)
    first = check(model, target)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(-3.7)
    again = check(model, target)
    assert replace(first, warnings=()) == replace(again, warnings=())
    assert np.all([u.fits for u in first.usage])

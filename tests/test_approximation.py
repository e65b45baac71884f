"""Approximation: rewritings that change nothing, substitutions that are declared, errors that are measured."""

import json
import math

import numpy as np
import pytest
import torch
from command_line import refused, run

import neurodeploy as nd
from neurodeploy.approximation import TABLE, spike_error, substitute, translate, van_rossum
from neurodeploy.approximation.measure import TAU
from neurodeploy.bundles import load_bundle
from neurodeploy.chips import from_raw
from neurodeploy.conversion import write_bundle
from neurodeploy.errors import Refusal
from neurodeploy.layers import ALIF, GIF, IAF, LIF, Alpha, Lapicque, Leaky, Neuron, RefractoryIF, RLeaky, RSynaptic
from neurodeploy.layers import Synaptic as Syn

torch.set_num_threads(1)
CHIP, N, OUT = "xylo_imu", 5, 3


def counts(steps=60):
    return np.random.default_rng(2).poisson(0.6, (steps, 4, N))


def model(neuron, *, last=None):
    torch.manual_seed(1)
    layers = torch.nn.Sequential(
        torch.nn.Linear(N, N, bias=False),
        neuron,
        torch.nn.Linear(N, OUT, bias=False),
        last or LIF(OUT, 8.0, tau_syn=4.0, norm_input=False, max_spikes=1),
    )
    with torch.no_grad():
        for linear in (layers[0], layers[2]):
            linear.weight.copy_(torch.rand_like(linear.weight) * 0.4 - 0.05)
    return layers


def chip_with(**deploy):
    """The chip with other capabilities of its hidden neurons."""
    raw = nd.chip(CHIP).raw
    hidden = raw["neuron"]["hidden"]
    changed = {**hidden, "deploy": {**hidden["deploy"], **deploy}}
    return from_raw({**raw, "neuron": {**raw["neuron"], "hidden": changed}})


# rewritings


def spikes(layer, x):
    layer = layer.double()
    layer.reset_states()
    with torch.no_grad():
        return layer(x)


EQUAL = {
    "Leaky, late zero": Leaky(N, 0.8, reset="zero"),
    "Leaky, same step": Leaky(N, 0.8, reset_delay=False),
    "Leaky, same step, zero": Leaky(N, torch.linspace(0.5, 0.9, N), reset="zero", reset_delay=False, threshold=0.7),
    "Leaky that never leaks, late": Leaky(N, 1.0),
    "Synaptic, same step": Syn(N, 0.7, 0.9, reset_delay=False),
    "Synaptic, per neuron": Syn(N, torch.linspace(0.3, 0.9, N), 0.8, reset="zero", reset_delay=False, threshold=2.0),
    "Lapicque": Lapicque(N, resistance=2.0, capacitance=3.0, reset_delay=False),
    "Lapicque by beta": Lapicque(N, beta=0.8, dt=0.5, threshold=0.3, reset_delay=False),
    "RLeaky, own spikes": RLeaky(N, 0.8, rec_weight=torch.linspace(-0.5, 0.5, N), reset_delay=False),
    "RSynaptic, own spikes": RSynaptic(N, 0.6, 0.8, rec_weight=-0.3, reset_delay=False),
    "RLeaky, module": RLeaky(N, 0.8, rec_connect=torch.nn.Linear(N, N, bias=False), reset_delay=False),
    "RefractoryIF without rest": RefractoryIF(N, 1.0, tau_ref=0.0),
    "RefractoryIF, bound": RefractoryIF(N, 1.0, tau_ref=0.0, threshold=3.0, v_rest=1.0, resistance=2.0, v_min=0.5),
    "RefractoryIF, floats": RefractoryIF(N, 1.0, tau_ref=0.0, compat="synapticflow-float-refractory"),
}


@pytest.mark.parametrize("name", EQUAL)
def test_a_rewriting_without_changes_fires_alike_in_every_step(name):
    layer = EQUAL[name].double()
    found = translate(layer)
    assert found.changes == ()
    x = torch.as_tensor(np.random.default_rng(3).normal(0.3, 0.8, (200, 4, N)))
    wanted = spikes(layer, x)
    assert 0.02 < wanted.mean() < 0.98
    assert torch.equal(spikes(found.layer, x), wanted)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Leaky(N, 0.8), "what is subtracted decays once, too"),
        (Syn(N, 0.7, 0.8, reset="zero"), "the input of the next step counts"),
        (Leaky(N, 0.8, reset_delay=False, compat="snntorch-double-reset"), "the threshold is subtracted once"),
    ],
    ids=["late subtract", "late zero", "double reset"],
)
def test_a_rewriting_that_changes_a_rule_says_so_and_fires_otherwise(layer, words):
    found = translate(layer.double())
    assert len(found.changes) == 1
    assert words in found.changes[0]
    x = torch.as_tensor(np.random.default_rng(3).normal(0.6, 1.5, (200, 4, N)))
    assert not torch.equal(spikes(found.layer, x), spikes(layer, x))


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (ALIF(N, 8.0, 20.0), "its threshold rises with each spike"),
        (Alpha(N, 0.9, 0.8), "difference of two currents"),
        (GIF(N, 0.1), "starts internal currents"),
        (Leaky(N, 0.8, reset="none"), "its membrane is never reset"),
        (Leaky(N, 0.8, graded=2.0), "a value other than 1"),
        (Leaky(N, 0.0), "a decay fraction of its membrane is not between 0 and 1"),
        (Leaky(N, torch.tensor([0.5, 1.0, 0.5, 0.5, 0.5])), "a decay fraction of its membrane"),
        (Syn(N, 0.0, 0.8), "a decay fraction of its current is not between 0 and 1"),
        (RefractoryIF(N, 1.0), "it rests for a while after each spike"),
        (RefractoryIF(N, 1.0, tau_ref=0.0, is_inhibitory=True), "its spikes have the value -1"),
        (RefractoryIF(N, 1.0, tau_ref=0.0, threshold=-70.0), "its threshold must lie above its rest"),
    ],
)
def test_a_neuron_without_a_substitute_is_refused_with_the_reason(layer, words):
    assert words in "; ".join(translate(layer).reasons)
    with pytest.raises(Refusal, match=words) as caught:
        nd.approximate(model(layer), nd.chip(CHIP))
    assert caught.value.code == "ND1701"


def test_every_neuron_without_a_substitute_is_listed():
    with pytest.raises(Refusal) as caught:
        nd.approximate(model(ALIF(N, 8.0, 20.0), last=GIF(OUT, 0.1)), nd.chip(CHIP))
    assert ["ALIF" in str(caught.value.faults[0]), "GIF" in str(caught.value.faults[1])] == [True, True]


def test_a_class_of_the_user_is_refused_even_if_it_is_an_lif():
    class Own(LIF):
        pass

    with pytest.raises(Refusal, match="nothing is known about how its text"):
        nd.approximate(model(Own(N, 8.0, tau_syn=4.0)), nd.chip(CHIP))


# substitutions

FITS = {"tau_mem": 8.0, "tau_syn": 4.0, "norm_input": False, "max_spikes": 31}
#: option -> (what the neuron asks, capabilities under which it is replaced, under which it is kept, the sentence)
RULES = {
    "reset": ({"reset": "zero"}, {}, {"reset": ["zero"]}, "a reset to zero becomes a reset by subtraction"),
    "comparison": ({"comparison": ">"}, {}, {"comparison": [">"]}, "a spike where v >= threshold, not where v > thr"),
    "max_spikes": ({"max_spikes": 1}, {}, {"max_spikes": 1}, "at most 31 spikes in a step, not at most 1 spike"),
    "synaptic_current": (
        {"tau_syn": None},
        {},
        {"synaptic_current": "optional"},
        "the fastest current, tau_syn = 1.4",
    ),
    "lower_bound": ({"v_min": -0.5}, {}, {"lower_bound": "bias"}, "the membrane may fall below -0.5"),
    "reset_amount": ({"reset_amount": 0.75}, {}, None, "takes the threshold off the membrane, not 0.75"),
}


@pytest.mark.parametrize("option", RULES)
def test_an_option_is_replaced_where_the_chip_lacks_it_and_only_there(option):
    asked, lacking, having, words = RULES[option]
    given = model(LIF(N, **FITS | asked))
    made, (step,) = substitute(given, chip_with(**lacking))
    assert (step.layer, step.option, step.exact) == ("1", option, False)
    assert words in step.sentence
    nd.constrain(made, chip_with(**lacking))
    if having is not None:
        assert substitute(given, chip_with(**having))[1] == ()


def test_every_rule_of_the_table_is_tried():
    assert {rule.option for rule in TABLE} == {*RULES, "model"}


def test_a_membrane_that_never_leaks_gets_the_slowest_decay_of_the_grid():
    made, steps = substitute(model(IAF(N, tau_syn=4.0, max_spikes=31)), nd.chip(CHIP))
    assert [s.option for s in steps] == ["model"]
    assert made[1].alpha_mem.item() == pytest.approx(1 - 2.0**-15)


@pytest.mark.parametrize(("reset", "nearest"), [("value", "zero"), ("zero", "subtract"), ("subtract", "zero")])
def test_the_nearest_reset_that_the_chip_has_is_taken(reset, nearest):
    has = [r for r in ("zero", "subtract") if r != reset]
    made, _ = substitute(model(LIF(N, **FITS, reset=reset)), chip_with(reset=has))
    assert made[1].options["reset"] == nearest


def test_a_current_that_must_be_there_keeps_the_charge_of_an_event():
    inverse = {"to_register": "round(-log2(1 - keep)) - 1", "from_register": "1 - exp2(-value - 1)"}
    grid = {"param": "dash_syn1", **inverse}  # the fastest keeps 0.75
    decay = {**nd.chip(CHIP).raw["neuron"]["hidden"]["deploy"]["decay"], "alpha_syn": grid}
    layer = LIF(N, 8.0, norm_input=False, max_spikes=31, threshold=0.5, bias=0.1)
    made, (step,) = substitute(model(layer), chip_with(decay=decay))
    assert made[1].alpha_syn.item() == pytest.approx(0.75)  # 0.75 + 0.75**2 + ... = 3
    assert made[1].threshold.item() == pytest.approx(1.5)
    assert made[1].bias[0].item() == pytest.approx(0.3)
    assert "the threshold is scaled by 3" in step.sentence


DRIVEN = "speck2f"  # neither a leak nor a current; a lower bound that must be given; any number of spikes in a step


def test_where_nothing_leaks_decays_are_left_out_and_the_charge_stays():
    layer = LIF(N, 8.0, tau_syn=4.0, norm_input=False, v_min=-1.0, bias=0.1)
    made, steps = substitute(model(layer, last=IAF(OUT, v_min=-1.0)), nd.chip(DRIVEN))
    charge = 1 / np.expm1(1 / 4.0)  # keep + keep**2 + ...
    assert [s.option for s in steps] == ["model", "synaptic_current"]
    assert (type(made[1]), made[1].alpha_syn) == (IAF, None)
    assert made[1].threshold.item() == pytest.approx(1 / charge)
    assert (made[1].options["v_min"], made[1].bias[0].item()) == (
        pytest.approx(-1 / charge),
        pytest.approx(0.1 / charge),
    )
    assert f"the threshold is scaled by {1 / charge:.4g}" in steps[1].sentence


def test_a_normed_input_is_left_out_with_the_leak():
    made, (step,) = substitute(model(LIF(N, 8.0, v_min=-1.0), last=IAF(OUT, v_min=-1.0)), nd.chip(DRIVEN))
    gain = -np.expm1(-1 / 8.0)
    assert made[1].threshold.item() == pytest.approx(1 / gain)
    assert made[1].options["v_min"] == pytest.approx(-1 / gain)
    assert "never leaks; the threshold is scaled by 8.51" in step.sentence


def test_a_bound_that_must_be_there_is_minus_the_threshold():
    made, (step,) = substitute(model(IAF(N, threshold=0.5), last=IAF(OUT, v_min=-1.0)), nd.chip(DRIVEN))
    assert (step.option, made[1].options["v_min"]) == ("lower_bound", -0.5)
    assert "the membrane ends at -0.5, minus the threshold" in step.sentence
    assert substitute(model(IAF(N, v_min=-0.25), last=IAF(OUT, v_min=-1.0)), nd.chip(DRIVEN))[1] == ()


def test_a_cap_is_lifted_where_each_event_may_make_a_spike():
    made, (step,) = substitute(model(IAF(N, v_min=-1.0, max_spikes=1), last=IAF(OUT, v_min=-1.0)), nd.chip(DRIVEN))
    assert made[1].options["max_spikes"] is None
    assert step.sentence == "any number of spikes in a step, not at most 1 spike"


def test_what_the_chip_computes_is_left_alone():
    given = model(LIF(N, **FITS))
    result = nd.approximate(given, nd.chip(CHIP), calibration=counts())
    assert result.substitutions == ()
    assert [loss.loss for loss in result.losses] == ["faithful", "faithful"]
    errors = [e for loss in result.losses for e in loss.errors if e.of == "substitute"]
    assert [(e.count_error, e.time_error, e.equal) for e in errors] == [(0.0, 0.0, 1.0)] * 2


def test_what_cannot_be_had_is_refused_with_what_is_left():
    with pytest.raises(Refusal, match="a bias; hidden neurons have none"):
        substitute(model(LIF(N, **FITS | {"reset": "zero"}, bias=0.1)), chip_with(bias=None))


def test_the_argument_is_not_changed():
    given = model(Leaky(N, 0.8, train=("beta",)))
    before = {name: value.clone() for name, value in given.state_dict().items()}
    given(torch.rand(5, 2, N))
    nd.approximate(given, nd.chip(CHIP), calibration=counts())
    assert type(given[1]) is Leaky
    assert all(torch.equal(value, before[name]) for name, value in given.state_dict().items())
    assert given[1]._state["v"].shape == (2, N)


# the measure


def train(*steps, length=400):
    found = np.zeros((length, 1, 1))
    for step in steps:
        found[step] += 1
    return found


@pytest.mark.parametrize("late", [0, 1, 3, 10, 50])
def test_a_lonely_spike_that_comes_late_costs_what_the_formula_says(late):
    assert van_rossum(train(5), train(5 + late)) == pytest.approx(math.sqrt(1 - math.exp(-late / TAU)))


def test_the_distance_of_times_runs_from_0_to_1():
    assert van_rossum(train(), train()) == 0
    assert van_rossum(train(5, 9), train(5, 9)) == 0
    assert van_rossum(train(5), train()) == 1
    assert van_rossum(train(5), train(399)) == pytest.approx(1)
    assert van_rossum(train(5), train(5, 5)) == pytest.approx(math.sqrt(1 / 5))


def test_the_last_steps_count_as_much_as_the_first():
    assert van_rossum(train(5, length=8), train(7, length=8)) == pytest.approx(van_rossum(train(5), train(7)))


def test_counts_times_and_equal_trains_are_told_apart():
    given = np.concatenate([train(5, 9), train(5, 9), train(), train(7)], axis=2)
    found = np.concatenate([train(5, 9), train(6, 8), train(3), train()], axis=2)
    error = spike_error("1", "substitute", given, found)
    assert (error.count_error, error.equal) == (2 / 5, 1 / 4)
    assert 0 < error.time_error < 1
    assert spike_error("1", "integer", train(), train(3)).count_error is None


# in a conversion


def test_a_conversion_approximates_only_when_asked_and_reports_it(tmp_path):
    chip, given = nd.chip(CHIP), model(Leaky(N, 0.75))
    with pytest.raises(Refusal, match="a Leaky neuron"):
        nd.convert(given, chip, calibration=counts())
    converted = nd.convert(given, chip, calibration=counts(), approximate=True)
    first, last = converted.losses
    assert (first.loss, last.loss, last.substitutions) == ("approximated", "faithful", ())
    options = [step.option for step in first.substitutions]
    assert options == ["class", "class", "comparison", "max_spikes", "synaptic_current"]
    assert [error.of for error in first.errors] == ["substitute", "integer"]
    assert all(0 < e.time_error < 0.6 and e.rate_given > 0.05 for e in first.errors)
    write_bundle(converted, counts(), tmp_path / "b.nd")
    report = load_bundle(tmp_path / "b.nd").report
    assert report["losses"] == json.loads(json.dumps([loss.to_json() for loss in converted.losses]))
    assert nd.verify(tmp_path / "b.nd").exact


def test_the_integer_error_is_that_of_the_network_against_the_given_neurons():
    """With the chip's delays between the layers: a network that is late by them is not at fault for it."""
    given = model(LIF(N, **FITS | {"tau_mem": -1 / math.log(0.875), "tau_syn": -1 / math.log(0.75)}))
    result = nd.approximate(given, nd.chip(CHIP), calibration=counts())
    integer = [e for loss in result.losses for e in loss.errors if e.of == "integer"]
    assert all(e.rate_given > 0.02 for e in integer)
    assert integer[0].time_error < 0.05
    assert integer[1].time_error < 0.2


def test_a_cap_that_constrain_sets_is_declared_without_being_asked():
    converted = nd.convert(model(LIF(N, **FITS | {"max_spikes": None})), nd.chip(CHIP), calibration=counts())
    (step,) = converted.losses[0].substitutions
    assert step.sentence == "at most 31 spikes in a step, not any number of spikes"
    assert converted.losses[0].loss == "approximated"
    assert converted.losses[0].errors[0].count_error == 0


def test_the_command_approximates_on_request(tmp_path):
    nd.save_model(model(Leaky(N, 0.75)), tmp_path / "m.safetensors", dt_s=1e-3)
    made = nd.data(counts(), layout="time,batch,channel", dt_s=1e-3, label=np.zeros(4, int))
    nd.save_data(tmp_path / "d.npz", made)
    line = ["convert", tmp_path / "m.safetensors", "--target", CHIP, "--data", tmp_path / "d.npz"]
    line += ["--calibration", tmp_path / "d.npz", "--out"]
    refused("ND1701", 2, *line, tmp_path / "no.nd")
    plain = run(*line, tmp_path / "a.nd", "--approximate")
    assert plain.status == 0, plain.err
    assert "layer '1', rewritten: written as LIF" in plain.out
    assert "layer '1', approximated: a spike where v >= threshold" in plain.out
    assert "integer: error of the counts" in plain.out
    shown = run(*line, tmp_path / "b.nd", "--approximate", "--json").json
    assert [loss["loss"] for loss in shown["losses"]] == ["approximated", "faithful"]


@pytest.mark.parametrize("layer", EQUAL.values(), ids=list(EQUAL))
def test_what_is_translated_can_be_saved(layer, tmp_path):
    found = translate(layer).layer
    assert isinstance(found, Neuron)
    nd.save_model(torch.nn.Sequential(found), tmp_path / "m.safetensors", dt_s=1e-3)

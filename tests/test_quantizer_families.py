import numpy as np
import pytest
import torch

from neurodeploy import check, constrain, evaluate, quantize, run_model, simulate
from neurodeploy.chips import chip, from_raw
from neurodeploy.emit.netx import read_netx, write_netx
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF, PerStep
from neurodeploy.network import Network, group, guard_faults, place_identity
from neurodeploy.quantizer import whole_registers
from neurodeploy.ranges import agreement_faults

CLOCKED, EVENTS = chip("loihi1"), chip("speck2f")


def clocked(scale=1.0, tau_syn=3.0, bias=0.01, inputs=16, back=None, *, norm_input=False):
    torch.manual_seed(0)
    options = {"reset": "zero", "comparison": ">", "max_spikes": 1}
    constants = options | {"bias": bias, "rec_connect": back}
    layers = [
        torch.nn.Linear(inputs, 20, bias=False),
        LIF(20, tau_mem=8.0, tau_syn=tau_syn, threshold=0.7, norm_input=norm_input, **constants),
        torch.nn.Linear(20, 4, bias=False),
        LIF(4, tau_mem=6.0, threshold=0.2, norm_input=True, **options),
    ]
    layers[0].weight.data.abs_().mul_(scale)
    return constrain(torch.nn.Sequential(*layers), CLOCKED)


def driven(**options):
    torch.manual_seed(1)
    conv = torch.nn.Conv2d(2, 4, 3, padding=1, bias=False)
    conv.weight.data = conv.weight.data + 0.1
    given = {"threshold": 1.0, "v_min": -1.0} | options
    layers = [torch.nn.Unflatten(2, (2, 6, 6)), PerStep(conv), IAF((4, 6, 6), **given), torch.nn.Flatten(2)]
    return torch.nn.Sequential(*layers, torch.nn.Linear(144, 3, bias=False), IAF(3, threshold=0.5, v_min=-0.5))


def counts(inputs, seed=0, rate=0.2, steps=50, samples=8):
    return (np.random.default_rng(seed).random((steps, samples, inputs)) < rate).astype(np.int64)


@pytest.mark.parametrize("tau_syn", [3.0, None])
@pytest.mark.parametrize("norm_input", [False, True])
def test_rounding_explains_every_count_of_a_clocked_chip(tau_syn, norm_input):
    scale = 6.0 if norm_input else 1.0
    quantized = quantize(clocked(scale, tau_syn, norm_input=norm_input), CLOCKED, calibration=counts(16))
    for layer in quantized.layers:
        assert layer.rate_float > 0.01
        assert layer.count_error < 0.05
        assert layer.explained == 1
        assert layer.explained_width < 1.5
        assert layer.rails_hit == 0


def test_weights_threshold_and_bias_share_the_scale_and_the_grid():
    (first, _) = (quantized := quantize(clocked(), CLOCKED)).layers
    assert first.limited_by == "weight"
    hidden, weights = quantized.network.group("1"), quantized.network.projections[0]
    assert weights.parameters == {"exponent": 0, "bits": 8, "sign_mode": 2}
    assert weights.fields["w"].max() == 255
    assert first.formats == {weights.source: weights.parameters}
    assert first.shifts == {}
    assert hidden.parameters["threshold"][0] == round(0.7 * first.scale_low / alpha_of(quantized, "alpha_syn"))


def alpha_of(quantized, name):
    return next(d.keep_chip for d in quantized.layers[0].decays if d.name == name)


@pytest.mark.parametrize("spread", [0.01, 0.4])
def test_recurrent_weights_share_exponent_and_width_with_what_arrives_as_the_file_has_one_for_both(spread, tmp_path):
    back = torch.nn.Linear(20, 20, bias=False)
    torch.nn.init.uniform_(back.weight, -spread, spread)
    quantized = quantize(clocked(back=back), CLOCKED, calibration=counts(16))
    feed, again = (p for p in quantized.network.projections if p.target == "1")
    assert (feed.parameters["sign_mode"], again.parameters["sign_mode"]) == (2, 1)
    assert [feed.parameters[n] for n in ("exponent", "bits")] == [again.parameters[n] for n in ("exponent", "bits")]
    assert quantized.layers[0].clipped_share == 0
    assert quantized.layers[0].explained == 1
    write_netx(quantized.network, tmp_path / "net.net")
    read = {(p.source, p.target): p for p in read_netx(tmp_path / "net.net", CLOCKED).projections}
    for p in quantized.network.projections:
        assert read[p.source, p.target].parameters == p.parameters


def test_a_scale_is_lowered_until_the_dialects_agree():
    model = clocked(tau_syn=60.0, inputs=160)
    quantized = quantize(model, CLOCKED)
    first, second = quantized.layers
    assert first.limited_by == "agreement of dialects"
    assert second.limited_by == "weight"
    assert first.zeroed_share < 0.1
    assert agreement_faults(quantized.network) == []


def test_a_network_on_which_dialects_could_differ_at_any_scale_is_refused_by_neuron():
    with pytest.raises(Refusal) as refused:
        quantize(clocked(tau_syn=1000.0, inputs=4000), CLOCKED)
    text = str(refused.value)
    assert "loihi1, group '1', neuron" in text
    assert "decay(u, du + 1) + (a << 6) can reach" in text
    assert "let states decay faster, or connect fewer sources" in text


def test_all_zero_weights_are_refused():
    model = clocked()
    model[0].weight.data.zero_() if isinstance(model[0], torch.nn.Linear) else model[1].weight.data.zero_()
    with pytest.raises(Refusal, match="guard 'no_weight'"):
        quantize(model, CLOCKED)


def test_event_driven_layers_are_quantized_on_one_scale():
    quantized = quantize(constrain(driven(), EVENTS), EVENTS)
    for layer, group_ in zip(quantized.layers, quantized.network.groups[1:], strict=True):
        assert layer.scale_low == layer.scale_high
        assert set(group_.parameters["threshold_high"]) == {layer.threshold_low}
        assert set(group_.parameters["threshold_low"]) == {-layer.threshold_low}
    assert abs(quantized.network.projections[0].fields["w"]).max() == 127
    assert guard_faults(quantized.network) == []


def test_event_driven_layers_are_compared_by_counts_alone():
    quantized = quantize(constrain(driven(), EVENTS), EVENTS, calibration=counts(72, rate=0.05))
    for layer in quantized.layers:
        assert layer.rate_float > 0
        assert layer.count_error is not None
        assert layer.explained is None
        assert layer.rails_hit is None
    assert quantized.layers[0].count_error < 0.3


def test_accuracy_of_an_event_driven_network_is_evaluated_against_the_float_one():
    model, x = constrain(driven(), EVENTS), counts(72, 3, rate=0.1)
    placed, labels = place_identity(quantize(model, EVENTS).network), np.arange(8) % 3
    real = evaluate(run_model(model, x), labels)
    found = evaluate(simulate(placed, x), labels, against=real)
    assert found.total == 8
    assert found.points_lost is not None


def test_a_reset_to_zero_sets_its_register():
    network = quantize(constrain(driven(reset="zero"), EVENTS), EVENTS).network
    assert set(network.groups[1].parameters["return_to_zero"]) == {1}
    assert set(network.groups[2].parameters["return_to_zero"]) == {0}


def test_check_lists_every_reason_at_once():
    model = driven(v_min=None, comparison=">")
    fit = check(model, EVENTS)
    text = str(fit)
    assert not fit.fits
    assert "v_min = None" in text
    assert "comparison = '>'" in text
    options = {"tau_mem": 8, "tau_syn": 3, "norm_input": False}
    wrong = torch.nn.Sequential(torch.nn.Linear(4, 3, bias=False), LIF(3, reset="subtract", **options))
    text = str(check(wrong, CLOCKED))
    assert "reset = 'subtract'" in text
    assert "comparison = '>='" in text


def test_guards_speak_of_smallest_and_largest_values():
    def start(**parameters):
        unit = group(EVENTS, "h", "unit", 4, **({"threshold_high": 10, "threshold_low": -10} | parameters))
        return [str(f) for f in guard_faults(Network(EVENTS, (unit,), ()))]

    assert start() == []
    assert start(initial=[0, 9, 0, -10]) == []
    assert "guard 'highest_start': initial_max = 10, threshold_high_min = 10" in start(initial=[0, 10, 0, 0])[0]
    assert "guard 'lowest_start': initial_min = -11, threshold_low_max = -10" in start(initial=[0, 0, -11, 0])[0]
    assert start(threshold_low=-32640, bias=-128) == []
    (fault,) = start(threshold_low=-32640, bias=[-1, -129, 0, 0])
    assert "bias_min = -129" in fault
    assert "train with a higher lower bound or a smaller leak. [ND2202]" in fault


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"guard": {"largest_weight": {"value": "weight_most"}}}, "unknown name 'weight_most'"),
        ({"guard": {"largest_weight": {"of": "units"}}}, "of = 'units'; one of pixel, unit, convolve"),
    ],
)
def test_a_guard_that_says_nothing_is_refused(table, words):
    raw = {**EVENTS.raw, "guard": {**EVENTS.raw["guard"]}}
    for name, change in table["guard"].items():
        raw["guard"][name] = {**raw["guard"][name], **change}
    with pytest.raises(Refusal, match=words):
        from_raw(raw)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"exponent": "power"}, "exponent = 'power'; a parameter of the connection: exponent, bits, sign_mode"),
        ({"mixed": {"code": 4, "values": [-2, 2], "step": 2}}, "code = 4; what sign_mode holds, 1..3"),
        ({"mixed": {"code": 1, "values": [-3, 2], "step": 2}}, "ends that are multiples of the step"),
        ({"mixed": {"code": 1, "values": [-6, 6], "step": 3}}, "ends that are multiples of the step, a power of two"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(change, words):
    connections = {**CLOCKED.raw["connection"]}
    connections["dense"] = {**connections["dense"], "grid": {**connections["dense"]["grid"], **change}}
    with pytest.raises(Refusal, match=words):
        from_raw({**CLOCKED.raw, "connection": connections})


def test_decays_of_whole_parts_become_registers():
    adaptive = chip("loihi2").neurons["atrlif"]
    assert whole_registers(adaptive, d_v=0.25, d_i=3 / 4096, d_theta=1.0) == {"d_v": 1024, "d_i": 3, "d_theta": 4096}


def test_decays_that_are_no_whole_part_are_refused_all_at_once():
    adaptive = chip("loihi2").neurons["atrlif"]
    with pytest.raises(Refusal) as refused:
        whole_registers(adaptive, d_v=0.4, d_r=1.5, theta_0=0.5, d_theta=float("nan"))
    text = str(refused.value)
    assert "d_v = 0.4; a whole number of 4096 parts, 0 to 4096 of them; for instance 1638/4096 or 1639/4096" in text
    assert "d_r = 1.5; a whole number of 4096 parts, 0 to 4096 of them; for instance 4096/4096" in text
    assert "a fraction 'theta_0'; one of d_i, d_v, d_theta, d_r" in text
    assert "d_theta = nan" in text


def test_a_lowered_scale_is_only_lowered_for_the_layer_that_needs_it():
    quantized = quantize(clocked(tau_syn=60.0, inputs=160), CLOCKED)
    plain = quantize(clocked(tau_syn=3.0, inputs=160), CLOCKED)
    assert quantized.layers[1].scale_low == plain.layers[1].scale_low
    assert quantized.layers[0].scale_low < 0.5 * plain.layers[0].scale_low

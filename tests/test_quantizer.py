"""Quantizer: one grid for each neuron, registers by hand, reports by recomputation, models of every form."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from float_models import Options, counts_of, linear, model_of

from neurodeploy import chips
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF, Delay, SparseLinear
from neurodeploy.mapper import map_network
from neurodeploy.network import place_identity, save_network
from neurodeploy.quantizer import constrain, lower, quantize, structure
from neurodeploy.quantizer.activity import observe
from neurodeploy.quantizer.rails import Watch
from neurodeploy.quantizer.registers import quantize_stage
from neurodeploy.quantizer.scale import Choice, Room, largest_shift, room_of
from neurodeploy.quantizer.search import wanted_counts
from neurodeploy.simulator import simulate
from neurodeploy.training import run_model

torch.set_num_threads(1)
AUDIO3 = chips.chip("xylo_audio3")
KEEP_3, KEEP_4 = 7 / 8, 15 / 16  # dash 3 and 4


def tau(keep):
    return -1 / np.log(keep)


def lif(size, **options):
    given = {"tau_mem": tau(KEEP_4), "tau_syn": tau(KEEP_3), "norm_input": False, "max_spikes": 31}
    return LIF(size, **given | options)


def two_layers(hidden=None, output=None, weights=None):
    """Two inputs, two hidden neurons, one output; exactly on the chip's grid."""
    return torch.nn.Sequential(
        linear(np.array([[1.0, -0.5], [0.25, 0.1]]) if weights is None else weights),
        hidden or lif(2),
        Delay(1),
        linear(np.array([[0.5, 0.5]])),
        output or lif(1, max_spikes=1),
    )


def matrix(network, source, target):
    """Dense (source, target) weights of a projection."""
    for p in network.projections:
        if (p.source, p.target) == (source, target):
            dense = np.zeros((network.group(source).size, network.group(target).size), np.int64)
            dense[p.sources, p.targets] = p.fields["w1"]
            return dense
    raise KeyError((source, target))


def with_per_layer(*parameters):
    """Audio 3 with one register for all hidden neurons of a layer where it has one for each."""
    raw = json.loads(json.dumps(AUDIO3.raw))
    for name in parameters:
        raw["neuron"]["hidden"]["param"][name]["per"] = "layer"
    return chips.from_raw(raw)


# --- one grid for each neuron


def test_weight_threshold_and_bias_of_a_neuron_are_rounded_on_one_grid_halves_to_even():
    hidden = lif(2, threshold=torch.tensor([1.0, 0.5]), bias=torch.tensor([2.5 / 127, -0.3]))
    stage = lower(two_layers(hidden), AUDIO3).stages[0]
    source = structure(two_layers(hidden), AUDIO3).group("channel")
    quantized, faults = quantize_stage(
        AUDIO3, stage, {source.name: source}, Choice(shifts={"in": 0}), room_of(stage, None)
    )
    assert faults == []
    # neuron 0: its largest weight 1.0 is 127 steps; neuron 1: 0.25 is 127 steps, so 1.0 is 508
    assert np.allclose(quantized.scale, [127, 508])
    assert quantized.projections[0].fields["w1"].tolist() == [127, 127, -64, 51]  # -63.5 -> -64, 50.8 -> 51
    assert quantized.group.parameters["threshold"].tolist() == [127, 254]
    assert quantized.group.parameters["bias"].tolist() == [2, -152]  # 2.5 -> 2, -152.4 -> -152
    assert quantized.group.parameters["dash_mem"].tolist() == [4, 4]
    assert quantized.group.parameters["dash_syn1"].tolist() == [3, 3]
    # the two rounding errors, in thresholds of 127 and 254 steps, over the weights in thresholds
    error, power = (0.5 / 127) ** 2 + (0.2 / 254) ** 2, 1.0**2 + 0.5**2 + 0.5**2 + 0.2**2
    assert quantized.report.weight_error == pytest.approx(np.sqrt(error / power))
    assert (quantized.report.scale_low, quantized.report.scale_high) == pytest.approx((127, 508))
    assert (quantized.report.clipped_share, quantized.report.zeroed_share) == (0, 0)


def test_the_shift_halves_the_weights_and_not_threshold_and_bias():
    stage = lower(two_layers(lif(2, bias=0.25)), AUDIO3).stages[0]
    source = structure(two_layers(), AUDIO3).group("channel")
    room = Room(np.full(2, 127.0), np.full(2, 127.0))  # the scale stays
    (one, _), (two, _) = (
        quantize_stage(AUDIO3, stage, {source.name: source}, Choice(shifts={"in": shift}), room) for shift in (0, 1)
    )
    assert one.projections[0].fields["w1"].tolist() == [127, 32, -64, 13]
    assert two.projections[0].fields["w1"].tolist() == [64, 16, -32, 6]  # 63.5, 15.9, -31.75, 6.35
    assert two.projections[0].parameters == {"shift": 1}
    for name in ("threshold", "bias"):
        assert one.group.parameters[name].tolist() == two.group.parameters[name].tolist()
    assert one.group.parameters["bias"].tolist() == [32, 32]


def test_the_input_gain_goes_into_threshold_and_bias():
    plain = lif(2, threshold=16.0, bias=torch.tensor([1.6, -0.8]))
    gained = lif(2, threshold=1.0, bias=torch.tensor([0.1, -0.05]), norm_input=True)  # gain 1/16
    one, two = (quantize(two_layers(layer), AUDIO3).network.group("1").parameters for layer in (plain, gained))
    assert one["threshold"].tolist() == two["threshold"].tolist()
    assert one["bias"].tolist() == two["bias"].tolist()


def test_the_scales_of_two_neurons_do_not_touch_each_other():
    done = []
    for weight in (0.25, 9.0):
        lowered = lower(two_layers(weights=np.array([[1.0, -0.5], [weight, 0.1]])), AUDIO3)
        stage, source = lowered.stages[0], structure(lowered.model, AUDIO3).group("channel")
        done.append(
            quantize_stage(AUDIO3, stage, {source.name: source}, Choice(shifts={"in": 1}), room_of(stage, None))[0]
        )
    one, two = (q.projections[0].fields["w1"].reshape(2, 2) for q in done)
    thresholds = [q.group.parameters["threshold"] for q in done]
    assert one[:, 0].tolist() == two[:, 0].tolist()
    assert thresholds[0][0] == thresholds[1][0]
    assert thresholds[0][1] > thresholds[1][1]


def test_the_largest_shift_keeps_the_largest_weight_in_sixteen_bits():
    kind = AUDIO3.connections["in"]
    assert 127 << largest_shift(kind) <= 32767 < 127 << (largest_shift(kind) + 1)


# --- the grid of decays


@pytest.mark.parametrize("dash", range(1, 16))
def test_a_decay_on_the_grid_gets_its_own_dash_and_no_error(dash):
    layer = lif(2, tau_mem=torch.tensor(tau(1 - 2.0**-dash), dtype=torch.float64))
    done = quantize(two_layers(layer.double()).double(), AUDIO3)
    assert done.network.group("1").parameters["dash_mem"].tolist() == [dash, dash]
    assert {d.name: d.error for d in done.layers[0].decays}["alpha_mem"] < 1e-9


@pytest.mark.parametrize(("ratio", "dash"), [(0.9, 1), (1.3, 1), (2.4, 2), (2.7, 2), (5.4, 3), (10.9, 4), (11.4, 4)])
def test_dash_follows_the_decay_fraction_and_the_error_is_reported(ratio, dash):
    done = quantize(two_layers(lif(2, tau_syn=ratio)), AUDIO3)
    assert done.network.group("1").parameters["dash_syn1"].tolist() == [dash, dash]
    decay = next(d for d in done.layers[0].decays if d.name == "alpha_syn")
    assert decay.keep_float == pytest.approx(np.exp(-1 / ratio))
    assert (decay.keep_chip, decay.register) == (1 - 2.0**-dash, dash)
    assert decay.error == pytest.approx(abs(np.exp(-1 / ratio) - (1 - 2.0**-dash)), abs=1e-6)
    assert decay.error > 0.001


def test_a_layer_with_one_decay_register_takes_one_tau():
    chip = with_per_layer("dash_mem")
    done = quantize(two_layers(lif(2, tau_mem=8.0)), chip)
    assert done.network.group("1").parameters["dash_mem"].tolist() == [3, 3]
    different = two_layers(lif(2, tau_mem=torch.tensor([8.0, 30.0])))
    assert quantize(different, AUDIO3).network.group("1").parameters["dash_mem"].tolist() == [3, 5]
    for refuse in (lambda: quantize(different, chip), lambda: constrain(different, chip)):
        with pytest.raises(Refusal, match="2 different ones on the chip's grid; one for all hidden neurons of a layer"):
            refuse()


def test_a_layer_with_one_threshold_register_scales_each_neuron_to_it():
    layer = lif(2, threshold=torch.tensor([1.0, 0.25]))
    done = quantize(two_layers(layer), with_per_layer("threshold"))
    low, high = done.network.group("1").parameters["threshold"].tolist()
    assert low == high
    weights = matrix(done.network, "channel", "1") << done.layers[0].shifts["in"]
    exact = np.array([[1.0, 1.0], [-0.5, 0.4]])  # in thresholds
    assert np.allclose(weights / low, exact, atol=2 ** done.layers[0].shifts["in"] / low)


def test_a_layer_with_one_bias_register_refuses_two():
    chip = with_per_layer("threshold", "bias")
    assert quantize(two_layers(lif(2, bias=0.25)), chip).network.group("1").parameters["bias"].min() > 0
    with pytest.raises(Refusal, match=r"bias from .* one value for all neurons of a layer"):
        quantize(two_layers(lif(2, bias=torch.tensor([0.25, 0.5]))), chip)


# --- models of every form


def test_nested_names_dropout_and_flatten_change_nothing():
    plain = constrain(model_of(Options(hidden=(5, 4), recurrent=True)), AUDIO3)
    parts = list(plain)
    nested = torch.nn.Sequential()
    nested.add_module("front", torch.nn.Sequential(torch.nn.Flatten(2), parts[0], torch.nn.Dropout(0.5), parts[1]))
    nested.add_module("back", torch.nn.Sequential(torch.nn.Identity(), *parts[2:]))
    counts = counts_of(steps=20)
    one, two = (quantize(model, AUDIO3, calibration=counts) for model in (plain, nested.train()))
    assert [g.name for g in two.network.groups] == ["channel", "front.3", "back.3", "back.6"]
    for ours, theirs in zip(one.network.groups, two.network.groups, strict=True):
        assert all(np.array_equal(v, theirs.parameters[n]) for n, v in ours.parameters.items())
    for ours, theirs in zip(one.network.projections, two.network.projections, strict=True):
        assert np.array_equal(ours.fields["w1"], theirs.fields["w1"])
    for ours, theirs in zip(one.layers, two.layers, strict=True):
        assert replace(ours, layer="") == replace(theirs, layer="")
    assert simulate(place_identity(two.network), counts).output.any()


def test_layers_that_share_a_connection_kind_share_its_shift():
    model = constrain(model_of(Options(hidden=(8, 8, 8), recurrent=True, per_neuron=True), 3), AUDIO3)
    done = quantize(model, AUDIO3, calibration=counts_of(steps=20))
    rec = [layer.shifts["rec"] for layer in done.layers if "rec" in layer.shifts]
    assert len(rec) == 3
    assert len(set(rec)) == 1
    assert {p.parameters["shift"] for p in done.network.projections if p.kind == "rec"} == set(rec)
    map_network(done.network)  # every register may be written


def test_a_shared_shift_serves_the_later_layers_too():
    """The first layer alone takes its small recurrent weights without shift; its successors do better with one."""
    model = model_of(Options(hidden=(8, 8, 8), recurrent=True))
    with torch.no_grad():
        model[1].rec_connect.weight.mul_(0.3)
    alone = quantize(constrain(torch.nn.Sequential(*model[:2], *model[-2:]), AUDIO3), AUDIO3)
    deep = quantize(constrain(model, AUDIO3), AUDIO3)
    assert alone.layers[0].shifts["rec"] == 0
    assert [layer.shifts["rec"] for layer in deep.layers[:3]] == [1, 1, 1]


def test_recurrent_weights_that_are_all_zero_are_no_fault():
    back = torch.nn.Linear(2, 2, bias=False)
    torch.nn.init.zeros_(back.weight)
    done = quantize(two_layers(lif(2, rec_connect=back)), AUDIO3)
    assert next(p for p in done.network.projections if p.kind == "rec").sources.size == 0
    with torch.no_grad():
        back.weight[0, 1] = 1e-9
    with pytest.raises(Refusal, match="all weights from '1' would become 0; a layer keeps its weights"):
        quantize(two_layers(lif(2, rec_connect=back)), AUDIO3)


def test_sparse_weights_take_their_entries_alone():
    sparse = SparseLinear(12, 12, fan_out=3, seed=1)
    model = torch.nn.Sequential(linear(np.ones((12, 2))), lif(12, rec_connect=sparse), Delay(1), *two_layers()[3:])
    model[3] = linear(np.ones((1, 12)))
    network = quantize(model, AUDIO3).network
    rec = next(p for p in network.projections if p.kind == "rec")
    assert rec.sources.size <= 36
    assert bool(sparse.mask.T[rec.sources, rec.targets].all())
    assert np.bincount(rec.sources, minlength=12).max() <= 3


def test_a_linear_layer_may_stand_in_two_places_a_neuron_layer_may_not():
    shared = linear(np.array([[1.0, -0.5], [0.25, 0.1]]))
    twice = torch.nn.Sequential(shared, lif(2), Delay(1), shared, lif(2, max_spikes=1))
    assert [g.name for g in quantize(twice, AUDIO3).network.groups] == ["channel", "1", "4"]
    neurons = lif(2)
    model = torch.nn.Sequential(shared, neurons, Delay(1), shared, neurons, Delay(1), linear([[1.0, 1.0]]), lif(1))
    with pytest.raises(Refusal, match=r"layer '4' \(LIF\): the same module as '1'.*copy it with copy.deepcopy"):
        quantize(model, AUDIO3)


def test_the_duration_of_a_step_is_carried_along():
    assert quantize(two_layers(), AUDIO3, dt_s=0.002).network.dt_s == 0.002
    assert quantize(two_layers(), AUDIO3).network.dt_s is None


@pytest.mark.slow  # .ci/run has it
def test_the_same_model_and_calibration_give_the_same_bytes(tmp_path):
    options = Options(hidden=(8, 6), recurrent=True, bias=True, per_neuron=True)
    for name in ("a", "b"):
        done = quantize(constrain(model_of(options), AUDIO3), AUDIO3, calibration=counts_of(steps=20), dt_s=0.001)
        save_network(done.network, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    other = quantize(constrain(model_of(options, 1), AUDIO3), AUDIO3, calibration=counts_of(steps=20), dt_s=0.001)
    save_network(other.network, tmp_path / "c")
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


# --- calibration


def test_peaks_are_the_states_before_decay_and_reset():
    """One event of weight 40 with keep 7/8: the current passes 40, the membrane 35, thirty-one thresholds are taken."""
    model = torch.nn.Sequential(
        linear([[40.0]]), lif(1, threshold=1.0), Delay(1), linear([[1.0]]), lif(1, threshold=100.0, max_spikes=1)
    )
    counts = np.zeros((4, 1, 1), np.int64)
    counts[0] = 1
    seen = observe(lower(model, AUDIO3), counts)
    assert seen.counts["1"][0, 0, 0] == 31
    assert seen.peaks["1"]["i"] == pytest.approx([40.0], rel=0.011)
    # v = 35, 31 fired: 4 stay; then 4 * 15/16 + 35 * 7/8 = 34.4, again below 35
    assert seen.peaks["1"]["v"] == pytest.approx([35.0], rel=0.011)


def test_peaks_of_normalised_input_are_in_units_of_the_current():
    model = two_layers(lif(2, threshold=1 / 16, norm_input=True))
    plain = two_layers(lif(2, threshold=1.0))
    one, two = (observe(lower(m, AUDIO3), counts_of(steps=20, inputs=2)) for m in (model, plain))
    for state in ("i", "v"):
        assert np.allclose(one.peaks["1"][state], two.peaks["1"][state], rtol=0.011)


def test_calibration_keeps_the_counts_of_the_float_model():
    counts = counts_of(steps=40, samples=6)
    model = constrain(model_of(Options(recurrent=True, hidden=(16,)), 5), AUDIO3)
    done = quantize(model, AUDIO3, calibration=counts)
    real = run_model(model, counts, drain=0)
    integer = simulate(place_identity(done.network), counts, drain=0).output
    assert real.sum() > 100
    assert abs(int(integer.sum()) - int(real.sum())) < 0.02 * real.sum()
    assert all(layer.count_error < 0.05 for layer in done.layers)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (np.zeros((5, 6), int), r"an array of shape \(5, 6\).*add a batch axis: x\[:, None, :\]"),
        (np.zeros((5, 2, 7), int), r"an array of shape \(5, 2, 7\); \(time, batch, 6\) whole numbers of events"),
        (np.zeros((0, 2, 6), int), r"an array of shape \(0, 2, 6\)"),
        (np.zeros((5, 2, 6)), "values of type float64.*count the events of each step first"),
        (np.full((5, 2, 6), -1), "60 values below 0, the lowest -1"),
        (np.full((5, 2, 6), 16), "16 events at step 0, sample 0, channel 0"),
    ],
)
def test_calibration_data_that_are_no_counts_are_refused(counts, words):
    model = constrain(model_of(Options()), AUDIO3)
    with pytest.raises(Refusal, match=words):
        quantize(model, AUDIO3, calibration=counts)


def test_boolean_calibration_and_single_steps_are_taken():
    model = constrain(model_of(Options()), AUDIO3)
    events = counts_of(steps=9) > 0
    one, two = (quantize(model, AUDIO3, calibration=x) for x in (events, events.astype(np.int64)))
    assert one.layers == two.layers
    quantize(model, AUDIO3, calibration=np.ones((1, 1, 6), int))


def test_silent_calibration_data_leave_the_scales_to_the_weights():
    model = constrain(model_of(Options()), AUDIO3)
    done = quantize(model, AUDIO3, calibration=np.zeros((5, 2, 6), int))
    assert [layer.rate_integer for layer in done.layers] == [0, 0]
    assert all(layer.threshold_low > 100 for layer in done.layers)


def test_a_model_without_delays_is_compared_with_the_steps_that_the_chip_had_time_for():
    model = model_of(Options(hidden=(8, 8)))
    lowered = lower(model_with_caps(model), AUDIO3)
    counts = np.ones((12, 2, 6), int)
    activity = observe(lowered, counts)
    for stage, late in zip(lowered.stages, (0, 1, 2), strict=True):
        expected = activity.counts[stage.name][: 12 - late].sum(0)
        assert np.array_equal(wanted_counts(stage, activity), expected)
    done = quantize(model_with_caps(model), AUDIO3, calibration=counts)
    assert done.layers[2].count_error < 0.1
    assert all(layer.explained == 1 for layer in done.layers)


def model_with_caps(model):
    """The constrained model without its delays."""
    return torch.nn.Sequential(*[m for m in constrain(model, AUDIO3) if not isinstance(m, Delay)])


# --- reports


@pytest.fixture(scope="module")
def measured():
    """A model, its calibration data, its quantization, and a run of the integer network that records every state."""
    options = Options(hidden=(12, 10), recurrent=True, bias=True, per_neuron=True, tau_mem=10.0, drive=1.0)
    model, counts = model_of(options, 3), counts_of(7, steps=40, samples=5)
    capped = torch.nn.Sequential()  # off the grid of decays: constrain sets caps and delays alone
    for name, module in constrain(model, AUDIO3).named_children():
        plain = model[int(name)] if isinstance(module, LIF) else module
        if isinstance(plain, LIF):
            plain = LIF(
                plain.shape,
                tau_mem=plain.tau_mem,
                tau_syn=plain.tau_syn,
                threshold=plain.threshold,
                bias=plain.bias,
                norm_input=False,
                rec_connect=plain.rec_connect,
                max_spikes=module.options["max_spikes"],
            )
        capped.add_module(name, plain)
    done = quantize(capped, AUDIO3, calibration=counts)
    run = simulate(place_identity(done.network), counts, record=["v", "i1"], drain=0)
    return capped, counts, done, run


@pytest.mark.slow  # .ci/run has it
def test_reported_rates_and_count_errors_are_those_of_the_two_models(measured):
    model, counts, done, run = measured
    real = {}
    for name, module in model.named_children():
        if isinstance(module, LIF):
            module.register_forward_hook(lambda _m, _i, out, name=name: real.__setitem__(name, out))
    run_model(model, counts, drain=0)
    for layer in done.layers:
        float_total, integer_total = real[layer.layer].numpy().sum(0), run.counts[layer.layer].sum(0)
        assert layer.rate_float == pytest.approx(real[layer.layer].numpy().mean())
        assert layer.rate_integer == pytest.approx(run.counts[layer.layer].mean())
        assert layer.rate_integer > 0.05
        assert layer.count_error == pytest.approx(np.abs(float_total - integer_total).sum() / float_total.sum())


def test_reported_scales_weights_and_decays_are_those_of_the_network(measured):
    model, _, done, _ = measured
    layers = dict(model.named_children())
    for layer, linear_name in zip(done.layers, ("0", "2", "4"), strict=True):
        neuron, registers = layers[layer.layer], done.network.group(layer.layer).parameters
        threshold = neuron.threshold.double().numpy()
        assert (layer.threshold_low, layer.threshold_high) == (
            registers["threshold"].min(),
            registers["threshold"].max(),
        )
        scale = registers["threshold"] / threshold
        assert layer.scale_low == pytest.approx(scale.min(), rel=0.5 / layer.threshold_low)
        assert layer.scale_high == pytest.approx(scale.max(), rel=0.5 / layer.threshold_low)
        float_weights = [layers[linear_name].weight.detach().double().numpy().T]
        integer_weights = [matrix(done.network, source_of(done.network, layer.layer), layer.layer)]
        shifts = [layer.shifts["in" if linear_name == "0" else "out" if linear_name == "4" else "rec"]]
        if neuron.rec_connect is not None:
            float_weights.append(neuron.rec_connect.weight.detach().double().numpy().T)
            integer_weights.append(matrix(done.network, layer.layer, layer.layer))
            shifts.append(layer.shifts["rec"])
        float_all = np.concatenate(float_weights) / threshold
        steps = np.concatenate([w << s for w, s in zip(integer_weights, shifts, strict=True)])
        ends = np.concatenate([np.full(w.shape, 127 << s) for w, s in zip(integer_weights, shifts, strict=True)])
        error = float_all - steps / registers["threshold"]
        assert layer.weight_error == pytest.approx(
            np.sqrt((error**2).sum() / (float_all**2).sum()), rel=0.3, abs=1 / layer.threshold_low
        )
        assert layer.zeroed_share == ((steps == 0) & (float_all != 0)).sum() / (float_all != 0).sum()
        beyond = np.abs(float_all * registers["threshold"]) > ends * (1 + 1 / layer.threshold_low)
        assert layer.clipped_share == pytest.approx(beyond.sum() / (float_all != 0).sum(), abs=0.01)
        for decay in layer.decays:
            keep = np.exp(-1 / (neuron.tau_mem if decay.name == "alpha_mem" else neuron.tau_syn).double().numpy())
            dash = registers["dash_mem" if decay.name == "alpha_mem" else "dash_syn1"]
            worst = np.abs(keep - (1 - 2.0**-dash)).max()
            assert decay.error == pytest.approx(worst, abs=1e-6)
            assert decay.error > 0.001  # this model is off the grid


def source_of(network, name):
    return next(p.source for p in network.projections if p.target == name and p.source != name)


def test_headroom_is_measured_before_decay_and_reset(measured):
    _, _, done, run = measured
    for layer in done.layers:
        registers = run.network.group(layer.layer).parameters
        v, i = run.states[layer.layer]["v"], run.states[layer.layer]["i1"]
        before_reset = v + run.counts[layer.layer] * registers["threshold"]
        highest = max(before_reset.max() / 32767, v.min() / -32768)
        assert layer.headroom_bits["v"] == pytest.approx(-np.log2(highest))
        assert layer.headroom_bits["i1"] <= -np.log2(np.abs(i).max() / 32767)
        # the current is seen before it decays: x - (x >> dash) = i
        assert layer.headroom_bits["i1"] >= -np.log2(min(np.abs(i).max() * 2 / 32767, 1)) - 1e-9


def saturating(second, shift):
    """Fifteen events in each of two channels at step 0: they bring 15 * 127 << shift, then 15 * second << shift."""
    network = quantize(two_layers(lif(2, threshold=2000.0)), AUDIO3).network
    projections = []
    for p in network.projections:
        if p.kind == "in":
            fields = {**p.fields, "w1": np.array([127, 10, second, 10])}
            projections.append(replace(p, fields=fields, parameters={"shift": shift}))
        else:
            projections.append(p)
    counts = np.zeros((3, 1, 2), np.int64)
    counts[0] = 15
    return place_identity(replace(network, projections=tuple(projections))), counts


@pytest.mark.parametrize(("shift", "second", "hits"), [(4, -120, 0), (5, -64, 1)])
def test_a_saturation_inside_a_step_is_a_rail_hit_even_if_nothing_shows_after_it(shift, second, hits):
    """15 * 127 << 4 = 30480 fits, << 5 = 60960 does not; the second channel takes it away in the same step."""
    placed, counts = saturating(second, shift)
    watch = Watch()
    run = simulate(placed, counts, record=["i1"], executor=watch, observer=watch.look, progress=watch.end_step, drain=0)
    plain = simulate(placed, counts, record=["i1"], drain=0)
    assert np.array_equal(run.states["1"]["i1"], plain.states["1"]["i1"])
    assert np.abs(plain.states["1"]["i1"]).max() < 10000  # no rail to be seen after the step
    assert watch.hits_of(placed, "1") == hits
    assert watch.hits_of(placed, "4") == 0


def test_rails_are_counted_for_the_layer_that_they_belong_to(measured):
    _, _, done, _ = measured
    assert [layer.rails_hit for layer in done.layers] == [0, 0, 0]
    assert all(layer.explained == 1 for layer in done.layers)
    assert all(layer.explained_width < 3 for layer in done.layers)


def test_a_report_is_plain_data(measured):
    _, _, done, _ = measured
    text = json.dumps(done.to_json(), allow_nan=False)
    assert json.loads(text)[0]["layer"] == "1"
    assert json.loads(text)[0]["shifts"] == dict(done.layers[0].shifts)


def test_without_calibration_nothing_is_measured():
    layer = quantize(two_layers(), AUDIO3).layers[0]
    assert (layer.rate_float, layer.count_error, layer.explained, layer.rails_hit) == (None, None, None, None)


# --- wiring alone


def test_structure_has_the_entries_of_the_float_weights():
    weights = np.array([[1.0, 0.0], [0.25, 0.1]])
    network = structure(two_layers(lif(2, rec_connect=linear(weights)), weights=weights), AUDIO3)
    sizes = {(p.kind, p.source, p.target): p.sources.size for p in network.projections}
    assert sizes == {("in", "channel", "1"): 4, ("rec", "1", "1"): 3, ("out", "1", "4"): 2}  # dense, pairs, dense
    map_network(network)


def test_iaf_layers_become_stages_on_a_chip_whose_membranes_never_decay():
    raw = json.loads(json.dumps(AUDIO3.raw))
    for kind in ("hidden", "output"):
        deploy = raw["neuron"][kind]["deploy"]
        deploy["model"] = "IAF"
        del deploy["decay"]["alpha_mem"]
    chip = chips.from_raw(raw)
    model = torch.nn.Sequential(linear([[1.0]]), IAF(1, tau_syn=8.0), linear([[1.0]]), IAF(1, tau_syn=8.0))
    constrained = constrain(model, chip)
    assert [m.options["max_spikes"] for m in constrained if isinstance(m, IAF)] == [31, 1]
    assert [s.keep.keys() for s in lower(constrained, chip).stages] == [{"alpha_syn"}] * 2
    with pytest.raises(Refusal, match="an LIF neuron, which leaks; the membrane of hidden neurons never decays"):
        constrain(two_layers(), chip)

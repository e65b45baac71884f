"""Defects that are known of other quantizers and mappers: each test shows that this one does not have it."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from float_models import Options, counts_of, linear, model_of

from neurodeploy import chips
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF, Delay, Neuron, SparseLinear
from neurodeploy.mapper import map_network
from neurodeploy.network import place_identity
from neurodeploy.quantizer import constrain, lower, quantize, structure
from neurodeploy.quantizer.registers import quantize_stage
from neurodeploy.quantizer.scale import Choice, Room, largest_shift, room_of
from neurodeploy.simulator import simulate

torch.set_num_threads(1)
CHIPS = ("xylo_audio2", "xylo_audio3", "xylo_imu")
AUDIO3 = chips.chip("xylo_audio3")


def lif(size, **options):
    given = {"tau_mem": 8.0, "tau_syn": 4.0, "norm_input": False, "max_spikes": 31}
    return LIF(size, **given | options)


WEIGHTS = np.array([[1.0, -0.5], [0.25, 0.1]])


def model_with(hidden=None, *, weights=None, between=None, output=None, readout=None):
    """Two inputs, two hidden neurons, one output, within the rules of the chip."""
    return torch.nn.Sequential(
        linear(WEIGHTS if weights is None else weights),
        hidden or lif(2),
        between or Delay(1),
        readout or linear([[0.5, 0.5]]),
        output or lif(1, max_spikes=1),
    )


def registers(model, chip=AUDIO3, **options):
    return {g.name: g.parameters for g in quantize(model, chip, **options).network.groups}


# --- constants are scaled with their neuron


def test_a_hidden_bias_is_scaled_with_its_neuron():
    bias = torch.tensor([0.25, -0.125])
    hidden = registers(model_with(lif(2, bias=bias, threshold=torch.tensor([1.0, 0.5]))))["1"]
    assert hidden["bias"] / hidden["threshold"] == pytest.approx([0.25, -0.25], abs=1e-3)
    assert np.abs(hidden["bias"]).min() > 100


def test_an_output_bias_is_on_the_scale_of_the_output():
    """Hidden and output scales differ by two orders of magnitude: the other one would be off by as much."""
    model = model_with(
        lif(2, bias=torch.tensor([0.25, 0.25])),
        output=lif(1, bias=torch.tensor([25.0]), threshold=100.0, max_spikes=1),
        readout=linear([[50.0, 50.0]]),
    )
    done = quantize(model, AUDIO3)
    found = {g.name: g.parameters for g in done.network.groups}
    assert done.layers[0].scale_low > 50 * done.layers[1].scale_high
    assert found["4"]["bias"] / found["4"]["threshold"] == pytest.approx(0.25, abs=1e-3)
    assert found["1"]["bias"] / found["1"]["threshold"] == pytest.approx([0.25, 0.25], abs=1e-3)


def test_hidden_and_output_biases_stay_with_their_layers():
    hidden = [lif(3, bias=torch.tensor([0.1, 0.2, 0.3])), lif(2, bias=torch.tensor([0.4, 0.5]))]
    model = torch.nn.Sequential(
        linear(np.ones((3, 2))), hidden[0], Delay(1), linear(np.ones((2, 3))), hidden[1], Delay(1),
        linear(np.ones((1, 2))), lif(1, bias=torch.tensor([0.6]), max_spikes=1),
    )  # fmt: skip
    found = registers(model)
    shares = np.concatenate([found[n]["bias"] / found[n]["threshold"] for n in ("1", "4", "7")])
    assert shares == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], abs=1e-3)


@pytest.mark.parametrize("layer", [0, 1])
def test_a_threshold_too_large_for_its_register_rescales_its_neuron_alone(layer):
    """Weight, threshold and bias of that neuron shrink together; every other neuron keeps its registers."""
    stages = []
    for threshold in (1.0, 4000.0):
        values = torch.tensor([1.0, threshold])
        options = {"threshold": values, "bias": values / 4}
        both = [lif(2, **options), lif(2, max_spikes=1)] if layer == 0 else [lif(2), lif(2, max_spikes=1, **options)]
        readout = linear(WEIGHTS)
        lowered = lower(model_with(both[0], output=both[1], readout=readout), AUDIO3)
        network = structure(lowered.model, AUDIO3)
        room = Room(32767 / lowered.stages[layer].threshold, np.full(2, np.inf))
        source = network.groups[layer]
        stage = lowered.stages[layer]
        stages.append(quantize_stage(AUDIO3, stage, {source.name: source}, Choice(), room)[0])
    small, large = stages
    weights = [q.projections[0].fields["w1"].reshape(2, 2) for q in stages]
    assert weights[0][:, 0].tolist() == weights[1][:, 0].tolist() == [127, -64]
    assert small.group.parameters["threshold"][0] == large.group.parameters["threshold"][0] == 127
    assert large.group.parameters["threshold"][1] == 32767
    assert large.group.parameters["bias"][1] == 8192  # a quarter, 8191.75
    assert weights[0][:, 1].tolist() == [127, 51]
    assert weights[1][:, 1].tolist() == [2, 1]  # 0.25 and 0.1 times 32767 / 4000
    assert np.array_equal(small.scale[:1], large.scale[:1])


def test_an_output_threshold_out_of_range_leaves_recurrent_weights_alone():
    back = linear([[0.0, 0.5], [-0.5, 0.0]])
    plain, large = (
        quantize(model_with(lif(2, rec_connect=back), output=lif(1, threshold=t, max_spikes=1)), AUDIO3)
        for t in (1.0, 1000.0)
    )
    rec = [next(p for p in q.network.projections if p.kind == "rec") for q in (plain, large)]
    assert rec[0].fields["w1"].tolist() == rec[1].fields["w1"].tolist()
    assert rec[0].parameters == rec[1].parameters
    assert np.abs(rec[0].fields["w1"]).min() > 60
    assert large.layers[1].threshold_high <= 32767


def test_a_neuron_without_weights_keeps_its_threshold():
    weights = np.array([[1.0, -0.5], [0.0, 0.0]])
    found = registers(model_with(lif(2, threshold=0.004, bias=torch.tensor([0.001, 0.001])), weights=weights * 0.01))
    assert found["1"]["threshold"].min() >= 1
    assert found["1"]["bias"] / found["1"]["threshold"] == pytest.approx([0.25, 0.25], abs=0.02)
    run = simulate(place_identity(quantize(model_with(weights=weights), AUDIO3).network), np.ones((20, 1, 2), int))
    assert run.counts["1"][:, :, 1].sum() == 0


def test_a_threshold_that_would_round_to_0_is_refused_with_its_neuron():
    weights = np.array([[1.0, -0.5], [4e5, 0.1]])
    words = (
        r"layer '1': the threshold of neuron 1 becomes 0; at least 1; "
        "its weights are too large for its threshold: scale them down or prune the largest"
    )
    with pytest.raises(Refusal, match=words):
        quantize(model_with(lif(2, threshold=1.0), weights=weights), AUDIO3)
    quantize(model_with(lif(2, threshold=30.0), weights=weights), AUDIO3)


# --- nothing wraps, nothing is lost without a word


def test_clipped_weights_keep_their_sign_and_are_reported():
    lowered = lower(model_with(), AUDIO3)
    stage, source = lowered.stages[0], structure(lowered.model, AUDIO3).group("channel")
    choice = Choice(full={"1": 0.5})
    quantized, faults = quantize_stage(AUDIO3, stage, {source.name: source}, choice, room_of(stage, None))
    assert faults == []
    # 1.0 and 0.25 would be 254, -0.5 is -127 and 0.1 is 101.6
    assert quantized.projections[0].fields["w1"].tolist() == [127, 127, -127, 102]
    assert quantized.report.clipped_share == 2 / 4
    assert quantized.group.parameters["threshold"].tolist() == [254, 1016]


def test_clipping_is_reported_by_quantize_where_the_search_takes_it(monkeypatch):
    monkeypatch.setattr("neurodeploy.quantizer.search.MUST_GAIN", 100.0)  # the last variant is taken
    monkeypatch.setattr("neurodeploy.quantizer.search.REACHES", ())
    monkeypatch.setattr("neurodeploy.quantizer.search.FINER", ())
    model = constrain(model_of(Options(drive=0.1), 2), AUDIO3)
    done = quantize(model, AUDIO3, calibration=counts_of(steps=20))
    assert done.layers[0].clipped_share > 0
    weights = done.network.projections[0].fields["w1"]
    assert np.abs(weights).max() == 127
    assert (np.abs(weights) == 127).sum() > 2


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("threshold", [1e-3, 1.0, 300.0])
def test_shifted_weights_stay_in_sixteen_bits(name, threshold):
    chip = chips.chip(name)
    model = constrain(model_of(Options(threshold=threshold, recurrent=True, hidden=(8, 6), drive=0.02)), chip)
    network = quantize(model, chip).network
    for p in network.projections:
        assert p.parameters["shift"] <= largest_shift(chip.connections[p.kind])
        assert np.abs(p.fields["w1"] << p.parameters["shift"]).max() <= 32767
    map_network(network)


def test_small_thresholds_use_the_weight_shift():
    """Weights of many thresholds: without the shift a threshold would have a dozen steps."""
    done = quantize(model_with(lif(2, threshold=0.1), output=lif(1, threshold=0.05, max_spikes=1)), AUDIO3)
    assert done.layers[0].shifts["in"] > 0
    assert done.layers[0].threshold_low > 2 * 12.7


def test_weights_that_would_all_round_to_0_are_refused():
    words = (
        "layer '1': all weights from 'channel' would become 0; a layer keeps its weights; "
        "the weights are too small for the thresholds of this layer: train with smaller thresholds"
    )
    with pytest.raises(Refusal, match=words):
        quantize(model_with(lif(2, threshold=1e6)), AUDIO3)
    done = quantize(model_with(lif(2, threshold=1000.0)), AUDIO3)
    assert all(p.fields["w1"].any() for p in done.network.projections)


def test_the_share_of_weights_that_became_0_is_reported():
    weights = np.array([[1.0, 1e-6, 1e-6], [0.25, 0.1, 0.0]])
    model = torch.nn.Sequential(linear(weights), lif(2), Delay(1), linear([[0.5, 0.5]]), lif(1, max_spikes=1))
    assert quantize(model, AUDIO3).layers[0].zeroed_share == 2 / 5  # of those that were not 0


def test_the_rails_are_reported():
    """The membrane climbs to 90,000 thresholds: any scale that keeps a threshold of 1 overflows."""
    model = model_with(lif(2, threshold=0.002), output=lif(1, threshold=100.0, max_spikes=1))
    done = quantize(model, AUDIO3, calibration=np.full((30, 2, 2), 15))
    assert done.layers[0].threshold_low >= 1
    assert done.layers[0].rails_hit > 0
    assert done.layers[0].headroom_bits["v"] == 0
    quiet = quantize(model_with(), AUDIO3, calibration=counts_of(steps=30, inputs=2, rate=0.2))
    assert quiet.layers[0].rails_hit == 0


# --- time constants


def test_a_synapse_without_memory_is_refused_with_the_smallest_tau():
    words = r"layer '1': tau_syn: tau = 0.8 steps in 2 of 2 neurons; 1.44 to 32767 steps can be had; choose"
    for act in (quantize, constrain):
        with pytest.raises(Refusal, match=words) as caught:
            act(model_with(lif(2, tau_syn=0.8)), AUDIO3)
        assert [fault.code for fault in caught.value.faults] == ["ND1702"]
        act(model_with(lif(2, tau_syn=0.82)), AUDIO3)


def test_tau_of_1_3_steps_is_no_dead_synapse_and_no_secret():
    """round(log2(1.3)) is 0 and silences the network; the decay fraction asks for dash 1."""
    model = model_with(lif(2, tau_syn=1.3), output=lif(1, tau_syn=1.3, max_spikes=1))
    done = quantize(model, AUDIO3)
    assert done.network.group("1").parameters["dash_syn1"].tolist() == [1, 1]
    for layer in done.layers:
        error = next(d.error for d in layer.decays if d.name == "alpha_syn")
        assert error == pytest.approx(0.5 - np.exp(-1 / 1.3), abs=1e-6)
    run = simulate(place_identity(done.network), np.ones((40, 1, 2), int))
    assert run.counts["1"].sum() > 10
    assert run.output.sum() > 5


def test_a_decay_slower_than_the_register_is_refused():
    quantize(model_with(lif(2, tau_mem=40000.0)), AUDIO3)
    with pytest.raises(Refusal, match=r"tau_mem: tau = 4.993e\+04 steps in 2 of 2 neurons; 1.44 to 32767 steps"):
        quantize(model_with(lif(2, tau_mem=50000.0)), AUDIO3)


def test_no_register_is_written_that_kills_a_synapse():
    for seed in range(3):
        model = constrain(model_of(Options(per_neuron=True, tau_syn=1.5, tau_mem=1.5), seed), AUDIO3)
        for name, values in registers(model).items():
            if name != "channel":
                assert values["dash_syn1"].min() >= 1
                assert values["dash_mem"].min() >= 1


# --- nothing is changed in place


def test_the_arguments_stay_as_they_are_and_a_second_call_is_equal():
    model = constrain(model_of(Options(recurrent=True, bias=True, hidden=(8, 6)), 1), AUDIO3)
    model.add_module("pause", torch.nn.Dropout(0.5).eval())  # a mode of its own
    model.train()
    model.pause.eval()
    for module in model:
        if isinstance(module, Neuron):
            module.record_states = True
    counts = counts_of(1, steps=15)
    before = model(torch.as_tensor(counts, dtype=torch.float32))  # leaves states and recordings with history
    state = copy.deepcopy(model.state_dict())
    kept = [(m, dict(m._state), dict(m.recordings)) for m in model if isinstance(m, Neuron)]
    modes = [m.training for m in model.modules()]
    given = counts.copy()
    one = quantize(model, AUDIO3, calibration=counts, dt_s=0.001)
    two = quantize(model, AUDIO3, calibration=counts, dt_s=0.001)
    assert np.array_equal(counts, given)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    for module, states, recordings in kept:
        assert all(module._state[name] is value for name, value in states.items())
        assert all(module.recordings[name] is value for name, value in recordings.items())
        assert module.record_states
        assert not module._forward_hooks
    assert before.requires_grad
    assert one.layers == two.layers
    for ours, theirs in zip(one.network.groups, two.network.groups, strict=True):
        assert all(np.array_equal(v, theirs.parameters[n]) for n, v in ours.parameters.items())
    for ours, theirs in zip(one.network.projections, two.network.projections, strict=True):
        assert np.array_equal(ours.fields["w1"], theirs.fields["w1"])
        assert ours.parameters == theirs.parameters


def test_the_network_does_not_look_into_the_model():
    model = model_with()
    stage = lower(model, AUDIO3).stages[0]
    weights = stage.edges[0].weight.copy()
    with torch.no_grad():
        model[0].weight.zero_()
        model[1].threshold.fill_(9.0)
    assert np.array_equal(stage.edges[0].weight, weights)
    assert stage.threshold.tolist() == [1.0, 1.0]


# --- what the chip cannot do is refused, in words


class Foreign(LIF):
    """A subclass may compute anything."""


class Skipping(torch.nn.Sequential):
    """A Sequential that is none."""

    def forward(self, x):
        return x + super().forward(x)


REFUSED = {
    "iaf": (
        lambda: model_with(IAF(2, tau_syn=4.0, max_spikes=31)),
        "an IAF neuron, which never leaks; .*always decays",
    ),
    "no current": (lambda: model_with(lif(2, tau_syn=None)), "no synaptic current; hidden neurons always have one"),
    "reset by another amount": (
        lambda: model_with(lif(2, reset_amount=0.75)),
        "reset_amount = 0.75; hidden neurons subtract their threshold",
    ),
    "reset to zero": (lambda: model_with(lif(2, reset="zero")), "reset = 'zero'; hidden neurons have 'subtract'"),
    "reset to value": (
        lambda: model_with(lif(2, reset="value", reset_value=-0.1)),
        "reset = 'value'; hidden neurons have 'subtract'",
    ),
    "strict": (lambda: model_with(lif(2, comparison=">")), "comparison = '>'; hidden neurons have '>='"),
    "lower bound": (lambda: model_with(lif(2, v_min=-1.0)), r"v_min = -1.0; hidden neurons have no lower bound"),
    "linear bias": (
        lambda: model_with(readout=torch.nn.Linear(2, 1)),
        "a bias in '3', which would pass through the synaptic current; the chip adds a bias to the membrane only",
    ),
    "module": (lambda: model_with(between=torch.nn.ReLU()), r"layer '2' \(ReLU\): a module that no synapse or neuron"),
    "batch norm": (
        lambda: model_with(between=torch.nn.BatchNorm1d(2)),
        r"layer '2' \(BatchNorm1d\): it knows \(batch,",
    ),
    "recurrent output": (
        lambda: model_with(output=lif(1, max_spikes=1, rec_connect=linear([[1.0]]))),
        "layer '4': recurrent weights; output neurons have no connection among themselves; drop rec_connect",
    ),
    "recurrent bias": (
        lambda: model_with(lif(2, rec_connect=torch.nn.Linear(2, 2))),
        "rec_connect is Linear with a bias; Linear.*bias=False.* or SparseLinear",
    ),
    "recurrent shape": (
        lambda: model_with(lif(2, rec_connect=linear(np.ones((2, 3))))),
        "rec_connect from 3 to 2 values; 2 to 2 values",
    ),
    "recurrent module": (
        lambda: model_with(lif(2, rec_connect=torch.nn.Identity())),
        "rec_connect is Identity; Linear",
    ),
    "hidden spikes": (
        lambda: model_with(lif(2, max_spikes=None)),
        r"max_spikes = None; hidden neurons fire at most 31 times in a step; nd.constrain\(model, chip\) sets it",
    ),
    "output spikes": (
        lambda: model_with(output=lif(1)),
        r"max_spikes = 31; output neurons fire at most 1 times in a step; nd.constrain\(model, chip\) sets it",
    ),
    "delay": (
        lambda: model_with(between=Delay(2)),
        r"a delay of 2 steps from '1'; 'out' delays exactly 1 steps; use Delay\(1\), or no Delay: nd.constrain",
    ),
    "no delay": (lambda: model_with(between=Delay(0)), "a delay of 0 steps from '1'; 'out' delays exactly 1 steps"),
    "input delay": (
        lambda: torch.nn.Sequential(Delay(1), *model_with()),
        "a delay of 1 steps from 'channel'; 'in' delays exactly 0 steps",
    ),
    "delay at the end": (
        lambda: torch.nn.Sequential(*model_with(), Delay(3)),
        "layer '5': 3 steps after the last neurons; delays stand before weights",
    ),
    "no hidden layer": (
        lambda: torch.nn.Sequential(linear([[1.0]]), lif(1, max_spikes=1)),
        "an output layer fed by 'channel' neurons; .*add a hidden layer between",
    ),
    "two matrices": (
        lambda: model_with(between=linear(WEIGHTS)),
        r"layer '3' \(Linear\): follows '2' without neurons between.*multiply the two matrices",
    ),
    "no weights": (lambda: model_with(between=lif(2)), r"layer '2' \(LIF\): no weights before it"),
    "no neurons at the end": (lambda: model_with()[:4], "layer '3': no neurons after it; .*append an LIF layer"),
    "nothing": (lambda: torch.nn.Sequential(torch.nn.Identity()), "model: no neuron layer"),
    "sizes": (
        lambda: model_with(readout=linear(np.ones((1, 3)))),
        "layer '3': it takes 3 values, '1' gives 2; both must be equal",
    ),
    "neurons": (lambda: model_with(lif(3)), "'0' gives 2 values for 3 neurons; both must be equal"),
    "shape": (
        lambda: model_with(lif((1, 2))),
        r"'0' gives 2 values for 2 neurons of shape \(1, 2\); both must be equal",
    ),
    "flatten": (
        lambda: model_with(between=torch.nn.Flatten()),
        r"layer '2' \(Flatten\): Flatten\(1, -1\) of \(time, batch, ...\); time and batch stay apart; use Flatten\(2\)",
    ),
    "foreign neuron": (
        lambda: model_with(Foreign(2, tau_mem=8.0, tau_syn=4.0, max_spikes=31)),
        "a Foreign neuron; hidden neurons compute LIF",
    ),
    "foreign sequential": (lambda: Skipping(*model_with()), r"layer 'model' \(Skipping\): a module that no synapse"),
    "nan weight": (
        lambda: model_with(weights=np.array([[np.nan, 1.0], [1.0, np.inf]])),
        "2 of 4 weights are NaN or infinite; finite weights",
    ),
    "nan bias": (
        lambda: model_with(lif(2, bias=0.0)),
        "layer '1': bias is nan in 1 of 2 places; it must be finite",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_chip_cannot_do_is_refused_in_words(name):
    make, words = REFUSED[name]
    model = make()
    if name == "nan bias":
        model[1].bias.data[1] = np.nan
    with pytest.raises(Refusal, match=words):
        quantize(model, AUDIO3)


@pytest.mark.parametrize("name", CHIPS)
def test_the_model_that_those_differ_from_is_accepted(name):
    chip = chips.chip(name)
    network = quantize(model_with(lif(2, rec_connect=linear(WEIGHTS), bias=0.0)), chip).network
    map_network(network)
    assert simulate(place_identity(network), np.ones((30, 1, 2), int)).output.sum() > 0


def test_all_faults_of_a_model_are_listed_at_once():
    model = model_with(
        lif(2, tau_syn=None, reset="zero", tau_mem=0.5),
        output=lif(1, comparison=">", rec_connect=torch.nn.Linear(1, 1)),
        readout=torch.nn.Linear(2, 1),
    )
    with pytest.raises(Refusal) as caught:
        quantize(model, AUDIO3)
    text = str(caught.value)
    for words in ("no synaptic current", "reset = 'zero'", "tau_mem: tau = 0.5", "comparison = '>'", "a bias in '3'"):
        assert words in text
    assert "max_spikes = 31" in text
    assert "recurrent weights" in text


def test_a_sparse_layer_counts_as_linear():
    sparse = SparseLinear(2, 2, fan_out=1)
    model = model_with()
    model[0] = sparse
    dense = quantize(model, AUDIO3).network.projections[0]
    kept = dense.fields["w1"][sparse.mask.T.reshape(-1).numpy()]
    lost = dense.fields["w1"][~sparse.mask.T.reshape(-1).numpy()]
    assert np.abs(kept).min() > 0
    assert not lost.any()


def test_a_constant_that_is_not_finite_does_not_reach_a_register():
    network = quantize(model_with(), AUDIO3).network
    for group in network.groups:
        for values in group.parameters.values():
            assert np.abs(values).max() < 32768
    model = model_with()
    model[1].threshold = torch.tensor(float("inf"))
    with pytest.raises(Refusal, match="layer '1': threshold is inf; it must be finite and above 0"):
        quantize(model, AUDIO3)
    assert replace(network, dt_s=0.5).dt_s == 0.5

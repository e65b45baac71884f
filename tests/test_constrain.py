"""Constraining: a float copy that computes as the chip will, and the same one again after training and saving."""

import copy

import numpy as np
import pytest
import torch
from float_models import Options, counts_of, linear, model_of

from neurodeploy import chips
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF, Delay, SparseLinear
from neurodeploy.models import load_model, reset_states, save_model
from neurodeploy.network import place_identity
from neurodeploy.quantizer import constrain, lower, quantize
from neurodeploy.simulator import simulate
from neurodeploy.training import run_model

torch.set_num_threads(1)
CHIPS = ("xylo_audio2", "xylo_audio3", "xylo_imu")
AUDIO3 = chips.chip("xylo_audio3")
GRID = 1 - 2.0 ** -np.arange(1, 16)


def distance_to_grid(alpha):
    values = alpha.detach().double().numpy().reshape(-1, 1)
    return np.abs(values - GRID).min(axis=1).max()


def neurons(model):
    return [m for m in model if isinstance(m, LIF)]


def trainable(tau_mem=11.0, tau_syn=5.0):
    return torch.nn.Sequential(
        linear(np.full((8, 6), 0.02)),
        LIF(8, tau_mem=torch.linspace(6, tau_mem, 8), tau_syn=tau_syn, norm_input=False, train_tau=True, bias=0.1),
        linear(np.full((4, 8), 0.05)),
        LIF(4, tau_mem=tau_mem, tau_syn=tau_syn, norm_input=False, train_tau=True),
    )


def spikes(model, counts):
    reset_states(model)
    with torch.no_grad():
        return model(torch.as_tensor(counts, dtype=torch.float32))


# --- decays


@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("per_neuron", [False, True])
def test_decays_lie_on_the_grid_of_the_chip(name, per_neuron):
    model = model_of(Options(tau_mem=11.0, tau_syn=5.5, per_neuron=per_neuron), 1)
    constrained = constrain(model, chips.chip(name))
    for before, after in zip(neurons(model), neurons(constrained), strict=True):
        assert distance_to_grid(before.alpha_mem) > 1e-3
        assert distance_to_grid(after.alpha_mem) < 1e-6
        assert distance_to_grid(after.alpha_syn) < 1e-6
        assert after.alpha_mem.shape == before.alpha_mem.shape


@pytest.mark.parametrize(("tau", "dash"), [(0.9, 1), (1.3, 1), (2.0, 1), (2.4, 2), (5.3, 3), (11.0, 4), (20000, 14)])
def test_the_nearest_decay_is_that_of_the_register_rule(tau, dash):
    model = model_of(Options())
    model[1].tau_mem.fill_(tau)
    assert constrain(model, AUDIO3)[1].alpha_mem.item() == pytest.approx(1 - 2.0**-dash, abs=1e-7)
    assert lower(constrain(model, AUDIO3), AUDIO3).stages[0].keep["alpha_mem"][0] == pytest.approx(1 - 2.0**-dash)


def test_trained_decays_stay_on_the_grid_and_move():
    model = constrain(trainable(), AUDIO3)
    first = [layer.alpha_mem.detach().clone() for layer in neurons(model)]
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    x = torch.as_tensor(counts_of(steps=12), dtype=torch.float32)
    for _ in range(6):
        reset_states(model)
        loss = (model(x).sum(0) ** 2).sum()  # fire less: forget faster
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for layer in neurons(model):
            assert distance_to_grid(layer.alpha_mem) < 1e-6
            assert distance_to_grid(layer.alpha_syn) < 1e-6
    assert any(distance_to_grid(layer.decay_mem) > 1e-3 for layer in neurons(model))  # what is trained is free
    moved = [not torch.equal(a, layer.alpha_mem) for a, layer in zip(first, neurons(model), strict=True)]
    assert any(moved)
    done = quantize(model, AUDIO3)
    assert max(d.error for layer in done.layers for d in layer.decays) < 1e-6


@pytest.mark.parametrize(("value", "keep"), [(-0.5, 0.5), (0.2, 0.5), (1.5, 1 - 2.0**-15)])
def test_a_decay_that_an_optimizer_pushed_outside_uses_the_end_of_the_grid(value, keep):
    model = constrain(trainable(), AUDIO3)
    model[1].decay_mem.data.fill_(value)
    assert model[1].alpha_mem.detach().numpy() == pytest.approx(keep, abs=1e-6)
    again = constrain(model, AUDIO3)
    assert again[1].alpha_mem.detach().numpy() == pytest.approx(keep, abs=1e-6)
    assert quantize(model, AUDIO3).layers[0].decays[1].error < 1e-6


# --- caps and delays


@pytest.mark.parametrize("name", CHIPS)
def test_caps_are_those_of_the_chip(name):
    model = constrain(model_of(Options(hidden=(5, 4))), chips.chip(name))
    assert [layer.options["max_spikes"] for layer in neurons(model)] == [31, 31, 1]
    driven = torch.nn.Sequential(*model[:2])
    loud = spikes(driven, np.full((3, 1, 6), 15_000))
    assert loud.max() == 31


def test_a_smaller_cap_of_the_model_becomes_that_of_the_chip():
    model = model_of(Options())
    capped = copy.deepcopy(model)
    capped[1] = LIF(12, tau_mem=8.0, tau_syn=4.0, norm_input=False, max_spikes=1)
    assert constrain(capped, AUDIO3)[1].options["max_spikes"] == 31


@pytest.mark.parametrize(("hidden", "delays"), [((5,), 1), ((5, 4), 2), ((5, 4, 3), 3)])
def test_delays_stand_where_the_chip_has_them(hidden, delays):
    """None from the input to the first layer, one step to each other layer."""
    model = constrain(model_of(Options(hidden=hidden)), AUDIO3)
    kinds = [type(m).__name__ for m in model]
    assert kinds == ["Linear", "LIF"] + ["Delay", "Linear", "LIF"] * delays
    assert all(m.steps == 1 for m in model if isinstance(m, Delay))


def first_event(counts):
    return int((counts.reshape(len(counts), -1).max(axis=1) > 0).argmax())


@pytest.mark.parametrize("hidden", [(1,), (1, 1), (1, 1, 1)])
def test_an_event_takes_the_steps_that_the_integer_network_takes(hidden):
    strong = torch.nn.Sequential()
    for _ in range(len(hidden) + 1):
        strong.append(linear([[8.0]]))
        strong.append(LIF(1, tau_mem=2.0, tau_syn=2.0, norm_input=False))
    model = constrain(strong, AUDIO3)
    counts = np.zeros((8, 1, 1), np.int64)
    counts[2] = 1
    assert first_event(run_model(model, counts, drain=0)) == 2 + len(hidden)
    assert first_event(spikes(strong, counts).numpy()) == 2
    network = place_identity(quantize(model, AUDIO3).network)
    assert first_event(simulate(network, counts, drain=0).output) == 2 + len(hidden)
    lowered = lower(model, AUDIO3)
    assert [stage.edges[0].delay for stage in lowered.stages] == [None, *[1] * len(hidden)]


# --- the argument


def test_the_argument_is_not_changed_and_shares_nothing():
    model = model_of(Options(recurrent=True, bias=True))
    model[1].record_states = True
    model(torch.as_tensor(counts_of(steps=5), dtype=torch.float32))  # states and recordings with history
    state, text = copy.deepcopy(model.state_dict()), repr(model)
    result = constrain(model, AUDIO3)
    assert repr(model) == text
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    ours = {p.data_ptr() for p in [*result.parameters(), *result.buffers()]}
    assert not ours & {p.data_ptr() for p in [*model.parameters(), *model.buffers()]}


def test_weights_thresholds_and_biases_are_equal():
    model = model_of(Options(recurrent=True, bias=True, per_neuron=True, norm_input=True))
    result = constrain(model, AUDIO3)
    for a, b in zip((model[0], model[2]), (result[0], result[3]), strict=True):
        assert torch.equal(a.weight, b.weight)
    for a, b in zip(neurons(model), neurons(result), strict=True):
        assert torch.equal(a.threshold, b.threshold)
        assert torch.equal(a.bias, b.bias)
        assert a.options["norm_input"] == b.options["norm_input"] is True
        assert a.surrogate == b.surrogate
    assert torch.equal(model[1].rec_connect.weight, result[1].rec_connect.weight)


def test_a_model_within_the_rules_computes_what_it_computed():
    model = constrain(model_of(Options(recurrent=True, hidden=(8, 6))), AUDIO3)
    counts = counts_of(steps=30)
    expected = spikes(model, counts)
    assert expected.sum() > 20
    assert torch.equal(spikes(constrain(model, AUDIO3), counts), expected)


@pytest.mark.parametrize("make", [trainable, lambda: model_of(Options(recurrent=True, bias=True, hidden=(8, 6)))])
def test_constraining_twice_is_constraining_once(make):
    once = constrain(make(), AUDIO3)
    twice = constrain(once, AUDIO3)
    assert repr(once) == repr(twice)
    assert once.state_dict().keys() == twice.state_dict().keys()
    for name, value in once.state_dict().items():
        assert torch.allclose(value, twice.state_dict()[name], rtol=1e-6), name
    assert [m.options for m in neurons(once)] == [m.options for m in neurons(twice)]


def test_modes_and_frozen_parameters_are_kept():
    model = trainable()
    model[1].decay_mem.requires_grad_(requires_grad=False)
    model[0].weight.requires_grad_(requires_grad=False)
    model.eval()
    result = constrain(model, AUDIO3)
    assert not result[1].decay_mem.requires_grad
    assert result[1].decay_syn.requires_grad
    assert not result[0].weight.requires_grad
    assert not any(m.training for m in result.modules())
    assert all(m.training for m in constrain(trainable(), AUDIO3).modules())


def test_nested_names_become_flat_ones_and_none_is_lost():
    parts = list(model_of(Options(hidden=(5, 4))))
    model = torch.nn.Sequential()
    model.add_module("a", torch.nn.Sequential())
    model.a.add_module("b", parts[0])
    model.add_module("a_b", parts[1])
    model.add_module("rest", torch.nn.Sequential(torch.nn.Dropout(0.3), *parts[2:]))
    result = constrain(model, AUDIO3)
    names = [name for name, _ in result.named_children()]
    assert names == ["a_b", "a_b_", "rest_0", "delay_rest_1", "rest_1", "rest_2", "delay_rest_3", "rest_3", "rest_4"]
    counts = counts_of(steps=15)
    plain = constrain(torch.nn.Sequential(*parts), AUDIO3)
    assert torch.equal(spikes(result.eval(), counts), spikes(plain.eval(), counts))


# --- files


@pytest.mark.parametrize("make", [trainable, lambda: model_of(Options(recurrent=True, bias=True, hidden=(8, 6)))])
def test_a_constrained_model_saved_and_loaded_computes_the_same(make, tmp_path):
    model = constrain(make(), AUDIO3)
    if hasattr(model[1], "decay_mem"):
        model[1].decay_mem.data.sub_(0.013)  # as training would: off the grid, where only set_grid holds it
    counts = counts_of(steps=20)
    expected = spikes(model, counts)
    save_model(model, tmp_path / "m.safetensors", dt_s=0.001)
    loaded, _ = load_model(tmp_path / "m.safetensors")
    assert expected.sum() > 10
    assert torch.equal(spikes(loaded, counts), expected)
    for a, b in zip(neurons(model), neurons(loaded), strict=True):
        assert torch.equal(a.alpha_mem, b.alpha_mem)
        assert distance_to_grid(b.alpha_mem) < 1e-6
    one, two = (quantize(m, AUDIO3, calibration=counts) for m in (model, loaded))
    assert one.layers == two.layers


# --- refusals


def with_layer(layer):
    model = model_of(Options())
    model[1] = layer
    return model


REFUSED = {
    "reset": (lambda: with_layer(LIF(12, 8.0, tau_syn=4.0, reset="zero")), "reset = 'zero'"),
    "comparison": (lambda: with_layer(LIF(12, 8.0, tau_syn=4.0, comparison=">")), "comparison = '>'"),
    "no current": (
        lambda: with_layer(LIF(12, 8.0)),
        "no synaptic current; hidden neurons always have one; set tau_syn",
    ),
    "lower bound": (lambda: with_layer(LIF(12, 8.0, tau_syn=4.0, v_min=-1.0)), "v_min = -1.0"),
    "iaf": (
        lambda: with_layer(IAF(12, tau_syn=4.0)),
        "an IAF neuron, which never leaks; .*use LIF with a long tau_mem",
    ),
    "tau": (lambda: with_layer(LIF(12, 0.5, tau_syn=4.0)), "tau_mem: tau = 0.5 steps in 12 of 12 neurons; 1.44 to"),
    "trained tau": (
        lambda: with_layer(LIF(12, 0.5, tau_syn=4.0, train_tau=True)),
        "tau_mem: tau = 0.5 steps in 12 of 12 neurons",
    ),
    "linear bias": (
        lambda: torch.nn.Sequential(torch.nn.Linear(6, 12), *model_of(Options())[1:]),
        "a bias in '0', which would pass through the synaptic current",
    ),
    "delay": (
        lambda: torch.nn.Sequential(*model_of(Options())[:2], Delay(2), *model_of(Options())[2:]),
        r"a delay of 2 steps from '1'; 'out' delays exactly 1 steps; use Delay\(1\)",
    ),
    "recurrent output": (
        lambda: torch.nn.Sequential(
            *model_of(Options())[:3], LIF(4, 8.0, tau_syn=4.0, rec_connect=linear(np.ones((4, 4))))
        ),
        "recurrent weights; output neurons have no connection among themselves",
    ),
    "module": (lambda: torch.nn.Sequential(*model_of(Options())[:2], torch.nn.ReLU()), "a module that no synapse"),
    "nan": (
        lambda: torch.nn.Sequential(linear(np.full((12, 6), np.nan)), *model_of(Options())[1:]),
        "72 of 72 weights are NaN or infinite",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_constraining_cannot_give_is_refused(name):
    make, words = REFUSED[name]
    with pytest.raises(Refusal, match=words):
        constrain(make(), AUDIO3)


def test_every_layer_at_fault_is_named():
    model = model_of(Options(hidden=(5, 4)))
    model[1] = LIF(5, 0.5, tau_syn=4.0)
    model[5] = LIF(4, 8.0, tau_syn=4.0, reset="zero")
    with pytest.raises(Refusal) as caught:
        constrain(model, AUDIO3)
    assert [fault.where for fault in caught.value.faults] == ["xylo_audio3, layer '1'", "xylo_audio3, layer '5'"]


def test_the_pieces_that_those_differ_from_are_accepted():
    constrain(with_layer(LIF(12, 8.0, tau_syn=4.0)), AUDIO3)
    constrain(with_layer(LIF(12, 8.0, tau_syn=4.0, rec_connect=SparseLinear(12, 12, fan_out=3))), AUDIO3)
    constrain(torch.nn.Sequential(*model_of(Options())[:2], Delay(1), *model_of(Options())[2:]), AUDIO3)

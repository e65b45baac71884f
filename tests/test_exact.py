"""Training on the chip's own arithmetic: forwards the integer network, backwards the gradient of the float text."""

import copy
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch
from float_models import Options, counts_of, model_of

import neurodeploy as nd
from neurodeploy.chips import chip, from_raw, target_folders
from neurodeploy.conversion import convert
from neurodeploy.demo import pipeline
from neurodeploy.demo.design import design_for, rounds_coarsely
from neurodeploy.demo.digits import digits
from neurodeploy.demo.maps import neurons
from neurodeploy.demo.pipeline import calibration_of
from neurodeploy.errors import Refusal
from neurodeploy.evaluation import evaluate
from neurodeploy.layers import IAF, LIF, Delay, Neuron, PerStep
from neurodeploy.models import load_model, reset_states, save_model
from neurodeploy.network import place_identity
from neurodeploy.quantizer import constrain, lower, quantize
from neurodeploy.quantizer.exact import arithmetic_of
from neurodeploy.simulator import simulate
from neurodeploy.training import run_model

torch.set_num_threads(1)
CHIPS = [n for n in target_folders() if any(k.deploy for k in chip(n).neurons.values())]
XYLO, LOIHI, EVENTS = "xylo_audio3", "loihi2", "tinyodin"
INPUTS, SIZES = 6, (8, 7, 4)


def small(described, seed=0):
    """Float model of three layers of the chip's own neurons, their weights below the threshold."""
    torch.manual_seed(seed)
    hidden, output = (next(k for k in kinds if k.deploy) for kinds in (described.hidden(), described.outputs()))
    layers = list[torch.nn.Module]()
    for fan_in, size in pairwise((INPUTS, *SIZES)):
        weights = torch.nn.Linear(fan_in, size, bias=False)
        weights.weight.data.uniform_(-0.4, 0.9)
        layers += [weights, neurons(described, output if size == SIZES[-1] else hidden, (size,))]
    return torch.nn.Sequential(*layers)


def zeros_and_ones(seed=0, steps=16, samples=4):
    return np.random.default_rng(seed).integers(0, 2, (steps, samples, INPUTS))


@cache
def _exact(name):
    return constrain(small(chip(name)), chip(name), exact=True, calibration=zeros_and_ones())


def exact_on(name):
    """An exact model, one's own."""
    return copy.deepcopy(_exact(name))


def forward(model, counts):
    reset_states(model)
    return model(torch.as_tensor(counts, dtype=torch.float32))


def courses(model, counts):
    """Spikes and recordings of every neuron layer in one forward pass, by name."""
    seen, hooks = {}, []
    for name, layer in model.named_modules():
        if isinstance(layer, Neuron):
            layer.record_states = True
            hooks.append(layer.register_forward_hook(lambda _m, _x, out, name=name: seen.__setitem__(name, out)))
    with torch.no_grad():
        forward(model, counts)
    for hook in hooks:
        hook.remove()
    return seen, {name: model.get_submodule(name).recordings for name in seen}


def stages(model, described):
    return {stage.name: stage for stage in lower(model, described).stages}


def firing(described):
    """What the chip's neurons ask of a layer."""
    deploy = next(kind.deploy for kind in described.hidden() if kind.deploy)
    return {"reset": deploy.reset[0], "comparison": deploy.comparison[0], "norm_input": False}


def simulated(model, described, counts, record=()):
    return simulate(place_identity(quantize(model, described).network), counts, drain=0, record=record)


def require_equal(model, described, counts):
    spikes, _ = courses(model, counts)
    run = simulated(model, described, counts)
    assert len(spikes) >= 2
    for name, found in spikes.items():
        assert run.counts[name].any(), name
        assert np.array_equal(found.flatten(2).numpy(), run.counts[name]), name
    return run


# --- the forward pass


def stored(network):
    return [values for p in network.projections for values in p.fields.values()]


#: chips of different behaviour; .ci/run has the others
FEW = [n if n in (XYLO, LOIHI, EVENTS, "speck2f") else pytest.param(n, marks=pytest.mark.slow) for n in CHIPS]


@pytest.mark.parametrize("name", FEW)
def test_the_forward_pass_is_the_integer_network_before_and_after_a_step_of_training(name):
    described, counts = chip(name), zeros_and_ones()
    model = exact_on(name)
    before = require_equal(model, described, counts).network
    forward(model, counts).sum().backward()
    weights = [layer.weight for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    assert len(weights) == len(SIZES)
    for weight in weights:
        assert torch.isfinite(weight.grad).all()
        assert weight.grad.abs().max() > 0
        weight.data -= 0.1 * weight.grad / weight.grad.abs().max()
    after = require_equal(model, described, zeros_and_ones(1)).network
    changed = [len(a) != len(b) or (a != b).any() for a, b in zip(stored(before), stored(after), strict=True)]
    assert any(changed)


def test_every_chip_that_takes_float_models_is_asked():
    assert {"tinyodin", "speck2e", "speck2f", "loihi1", "loihi2", "xylo_audio2", "xylo_audio3", "xylo_imu"} <= set(
        CHIPS
    )


@pytest.mark.parametrize("recurrent", [False, True])
def test_delays_and_recurrent_layers_take_the_course_of_the_chip(recurrent):
    options = Options(hidden=(9, 7), recurrent=recurrent, bias=True, per_neuron=True)
    counts = counts_of(steps=30)
    model = constrain(model_of(options), chip(XYLO), exact=True, calibration=counts)
    assert any(isinstance(layer, Delay) for layer in model)
    require_equal(model, chip(XYLO), counts)


def test_maps_take_the_course_of_the_chip():
    described = chip("speck2f")
    torch.manual_seed(0)
    layers = [torch.nn.Unflatten(2, (1, 4, 4)), PerStep(torch.nn.Conv2d(1, 2, 3, padding=1, bias=False))]
    layers += [IAF((2, 4, 4), v_min=-1.0), PerStep(torch.nn.AvgPool2d(2)), torch.nn.Flatten(2)]
    layers += [torch.nn.Linear(8, 3, bias=False), IAF(3, v_min=-1.0)]
    model = torch.nn.Sequential(*layers)
    model[1].module.weight.data.uniform_(-0.2, 0.9)
    model[5].weight.data.uniform_(-0.1, 0.9)
    counts = np.random.default_rng(0).integers(0, 2, (12, 3, 16))
    require_equal(constrain(model, described, exact=True, calibration=counts), described, counts)


@pytest.mark.parametrize("name", [XYLO, LOIHI, EVENTS])
def test_the_states_of_a_layer_are_the_registers_of_the_chip_in_its_own_unit(name):
    described, counts = chip(name), zeros_and_ones()
    model = exact_on(name)
    spikes, recorded = courses(model, counts)
    deploy = {layer: described.neurons[lowered.kind.name].deploy for layer, lowered in stages(model, described).items()}
    run = simulated(model, described, counts, [f"{n}.{d.states['v']}" for n, d in deploy.items()])
    for layer, means in deploy.items():
        register, membrane = run.states[layer][means.states["v"]], recorded[layer]["v"].numpy()
        threshold = run.network.group(layer).parameters[means.threshold]
        seen = register != 0
        assert seen.sum() > 10
        # the threshold is 1.0 in the layer; its register is rounded
        ratio = membrane[seen] / (register / (threshold * means.unit))[seen]
        assert np.allclose(ratio, 1.0, atol=1 / threshold.min())
        assert spikes[layer].any()


def test_the_current_of_a_layer_is_that_of_the_chip():
    """Weights of whole registers: the float layer and the chip's compute the same currents."""
    for name in (XYLO, LOIHI):
        described, counts = chip(name), zeros_and_ones(steps=6)
        layers = [
            torch.nn.Linear(INPUTS, 5, bias=False),
            LIF(5, 20.0, tau_syn=4.0, threshold=100.0, **firing(described)),
        ]
        layers += [torch.nn.Linear(5, 2, bias=False), LIF(2, 20.0, tau_syn=4.0, **firing(described))]
        layers[0].weight.data = torch.arange(30.0).reshape(5, INPUTS) / 30
        model = constrain(torch.nn.Sequential(*layers), described)
        exact = constrain(model, described, exact=True)
        free, told = (courses(m, counts)[1] for m in (model, exact))
        first = next(iter(free))
        assert free[first]["i"].abs().max() > 1
        assert torch.allclose(free[first]["i"], told[first]["i"], atol=0.1), name


def test_the_network_is_that_of_the_frozen_choice_whatever_the_calibration():
    described, model = chip(EVENTS), exact_on(EVENTS)
    one = quantize(model, described).network
    other = quantize(model, described, calibration=zeros_and_ones(7)).network
    converted = convert(model, described, calibration=zeros_and_ones(8)).network
    for network in (other, converted):
        for mine, theirs in zip(one.projections, network.projections, strict=True):
            assert all(np.array_equal(mine.fields[n], theirs.fields[n]) for n in mine.fields)


# --- the gradient


def course_of(layer, x, seed=0):
    """A course that the layer would not take by itself."""
    rng = np.random.default_rng(seed)
    spikes = torch.as_tensor(rng.integers(0, 3, x.shape), dtype=x.dtype)
    states = {"v": torch.as_tensor(rng.normal(0, 1, x.shape), dtype=x.dtype)}
    if layer.alpha_syn is not None:
        states["i"] = torch.as_tensor(rng.normal(0, 1, x.shape), dtype=x.dtype)
    return spikes, states


def followed(layer, x, course, executor):
    """Spikes, recordings and gradients of a layer that takes a course."""
    layer = copy.deepcopy(layer)
    layer.executor, layer.record_states = executor, True
    layer.follow(*course)
    x = x.clone().requires_grad_()
    out = layer(x)
    weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).reshape(out.shape)
    ((out * weight).sum() + 0.1 * layer.recordings["v"].pow(2).sum()).backward()
    found = [x.grad, *(p.grad for p in layer.parameters())]
    return out.detach(), {n: v.detach() for n, v in layer.recordings.items()}, found


LAYERS = {
    "leaky": lambda: LIF(5, tau_mem=6.0, tau_syn=3.0, bias=0.1, max_spikes=2, v_min=-0.5, train_tau=True),
    "recurrent": lambda: IAF(5, reset="zero", rec_connect=torch.nn.Linear(5, 5)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_kernels_follow_a_course_as_the_table_does(name):
    torch.manual_seed(1)
    layer = LAYERS[name]().double()
    x = torch.randn(9, 3, 5, dtype=torch.float64)
    course = course_of(layer, x)
    table, kernels = (followed(layer, x, course, executor) for executor in ("torch", "numba"))
    assert torch.equal(table[0], course[0])
    assert torch.equal(kernels[0], course[0])
    assert table[1].keys() == kernels[1].keys()
    for state, rows in course[1].items():
        assert torch.equal(table[1][state], rows)
        assert torch.equal(kernels[1][state], rows)
    for one, other in zip(table[2], kernels[2], strict=True):
        assert one.abs().max() > 0
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)


def test_every_step_is_differentiated_from_the_state_that_it_was_told():
    layer = IAF(1, reset="zero").double()
    x = torch.full((2, 1, 1), 0.25, dtype=torch.float64, requires_grad=True)
    told = torch.tensor([0.6, 0.0], dtype=torch.float64).reshape(2, 1, 1)
    layer.follow(torch.tensor([0.0, 1.0], dtype=torch.float64).reshape(2, 1, 1), {"v": told})
    layer(x)[1].sum().backward()
    slope = layer.surrogate.gradient(torch.tensor(0.85, dtype=torch.float64), torch.ones((), dtype=torch.float64))
    assert x.grad[1].item() == pytest.approx(float(slope)), "0.6 as told and 0.25, not 0.25 and 0.25"


def test_the_gradient_stands_where_the_rounded_weights_put_the_membrane():
    """What the text makes of the chip's last state and of the input is the chip's membrane."""
    for name, most in ((XYLO, 0.02), (EVENTS, 1e-5)):
        described, counts, model = chip(name), zeros_and_ones(), exact_on(name)
        course = {}
        layer = model.get_submodule(next(iter(stages(model, described))))
        layer.register_forward_pre_hook(lambda m, x, course=course: course.update(given=m.course, x=x[0]))
        with torch.no_grad():
            forward(model, counts)
        given, x = course["given"], course["x"] + course["given"].added
        assert given.added.abs().max() > 1e-3
        before = torch.cat([torch.zeros_like(x[:1]), given.states["v"][:-1]])
        decayed = before * (1 if isinstance(layer, IAF) else layer.alpha_mem)
        reached = decayed + given.states.get("i", x)
        quiet = (given.spikes == 0) & (before.abs() < 1) & (given.states["v"].abs() < 1)
        assert quiet.sum() > 20
        wrong = (reached - given.states["v"])[quiet].abs()
        assert wrong.max() < most, name


def test_a_course_lasts_for_one_call():
    layer, x = IAF(5), torch.rand(6, 2, 5)
    free = layer(x)
    layer.reset_states()
    course = course_of(layer, x)
    layer.follow(*course)
    assert torch.equal(layer(x), course[0])
    layer.reset_states()
    assert torch.equal(layer(x), free)


def test_a_state_that_the_layer_has_not_is_refused():
    with pytest.raises(Refusal, match=r"state 'u'; its states are v"):
        IAF(5).follow(torch.zeros(2, 1, 5), {"u": torch.zeros(2, 1, 5)})


# --- what stays and what is refused


def test_the_argument_and_its_weights_stay_as_they_are():
    described = chip(EVENTS)
    model = small(described)
    weights = copy.deepcopy(model.state_dict())
    exact = constrain(model, described, exact=True)
    exact[0].weight.data.add_(0.1)
    assert arithmetic_of(model) is None
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_copies_and_a_second_constraining_stay_exact_and_a_saved_model_is_a_float_one(tmp_path):
    described, counts = chip(XYLO), zeros_and_ones(steps=8)
    model = constrain(small(described), described, exact=True)
    wanted = run_model(model, counts)
    for other in (copy.deepcopy(model), constrain(model, described), constrain(model, described, exact=True)):
        assert arithmetic_of(other) is arithmetic_of(model)
        assert np.array_equal(run_model(other, counts), wanted)
    assert arithmetic_of(constrain(model, described, exact=True, calibration=counts)) is not arithmetic_of(model)
    save_model(model, tmp_path / "model.safetensors", dt_s=1e-3)
    loaded, _ = load_model(tmp_path / "model.safetensors")
    assert arithmetic_of(loaded) is None
    assert np.array_equal(run_model(constrain(loaded, described, exact=True), counts), wanted)


def test_for_another_chip_the_model_is_a_float_one_again():
    model = exact_on("speck2f")
    with pytest.raises(Refusal, match=r"a model in the arithmetic of speck2f; .*nd.constrain\(model, chip\)"):
        quantize(model, chip("speck2e"))
    assert arithmetic_of(constrain(model, chip("speck2e"))) is None
    assert arithmetic_of(model) is not None


def test_other_integers_than_those_of_the_training_are_refused():
    model = exact_on("speck2f")
    with pytest.raises(Refusal, match="parity = 'sinabs' for an exact model; the integers that the model was trained"):
        quantize(model, chip("speck2f"), parity="sinabs")
    with pytest.raises(Refusal, match=r"weight_bits = \{'1': 5\} for an exact model"):
        quantize(exact_on(LOIHI), chip(LOIHI), weight_bits={"1": 5})


def test_what_the_chip_cannot_do_is_refused_as_quantize_does():
    described, counts = chip("speck2f"), zeros_and_ones()
    model = small(described)
    model[0].weight.data[0, 0] = 3.0
    for act in (quantize, lambda m, c: constrain(m, c, exact=True)):
        with pytest.raises(Refusal, match="no weight exceeds threshold_high"):
            act(model, described)
    model[0].weight.data[0, 0] = 0.5
    exact = constrain(model, described, exact=True)
    exact[0].weight.data[0, 0] = 3.0
    with pytest.raises(Refusal, match="no weight exceeds threshold_high"):
        forward(exact, counts)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x: x + 0.5, "whole numbers of events"),
        (lambda x: -x, "whole numbers of events"),
        (lambda x: x.numpy(), "whole numbers of events"),
    ],
)
def test_an_input_that_is_no_counts_is_refused(spoil, words):
    counts, model = zeros_and_ones(), exact_on(EVENTS)
    with pytest.raises(Refusal, match=words):
        model(spoil(torch.as_tensor(counts, dtype=torch.float32)))


def test_states_of_the_last_call_are_refused_until_they_are_reset():
    counts, model = zeros_and_ones(), exact_on(EVENTS)
    forward(model, counts)
    with pytest.raises(Refusal, match=r"states kept from the last call; .*reset_states\(model\)"):
        model(torch.as_tensor(counts, dtype=torch.float32))
    forward(model, counts)


def test_calibration_data_belong_to_exact_models():
    with pytest.raises(Refusal, match="calibration data; exact = True"):
        constrain(small(chip(EVENTS)), chip(EVENTS), calibration=zeros_and_ones())


def test_a_machine_that_takes_any_neuron_has_no_integers_to_train_on():
    with pytest.raises(Refusal, match=r"exact = True for a machine that takes any neuron; .* nd.derive the network"):
        constrain(small(chip(EVENTS)), chip("fixed"), exact=True)
    assert arithmetic_of(constrain(exact_on(EVENTS), chip("fixed"))) is None


def test_dropout_is_off_in_training_too():
    described, counts = chip(EVENTS), zeros_and_ones()
    model = small(described)
    dropped = torch.nn.Sequential(*model[:2], torch.nn.Dropout(0.9), *model[2:])
    exact = constrain(dropped, described, exact=True).train()
    forward(exact, counts).sum().backward()
    first = exact[0].weight.grad.clone()
    exact.zero_grad()
    forward(exact.train(), counts).sum().backward()
    assert torch.equal(first, exact[0].weight.grad)


def test_nd_constrain_is_the_way_in():
    assert nd.constrain is constrain


# --- what it is for


@pytest.mark.slow  # .ci/run has it
def test_training_on_four_bits_closes_at_least_half_of_what_rounding_leaves():
    described, seed = chip(EVENTS), 2
    design = replace(design_for(described, 10), exact_epochs=3)
    parts = digits(10, seed, design.encode)
    calibration = calibration_of(parts.train).input
    trained = pipeline._train(described, design, seed, design.epochs, parts, lambda _what, _share: None)
    converted = convert(trained.model, described, calibration=calibration)
    run = simulate(converted.network, parts.test.input)
    assert np.array_equal(run.output, run_model(trained.model, parts.test.input)), "the network in the mapper's places"
    label = np.asarray(parts.test.label)
    real, rounded, exact = (evaluate(o, label).accuracy for o in (trained.outputs, trained.rounded, run.output))
    assert real - rounded > 0.03, "else there is no gap to close"
    assert exact - rounded > (real - rounded) / 2


def test_the_demo_trains_so_where_the_file_of_a_chip_states_few_steps_of_a_weight():
    assert [name for name in CHIPS if rounds_coarsely(chip(name))] == [EVENTS]
    raw = copy.deepcopy(dict(chip(EVENTS).raw))
    for bits, coarse in ((5, True), (6, False)):
        raw["connection"]["row"]["synapse"]["w"]["signed"] = bits
        assert rounds_coarsely(from_raw(raw)) == coarse

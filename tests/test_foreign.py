"""Layers of other libraries: recognised by name, refused by name, never imported."""

import copy
import sys

import numpy as np
import pytest
import torch
from foreign_stand_ins import (
    MAKES,
    InOrder,
    _base_zero,
    instance,
    named,
    norse,
    parameter,
    reset_method,
    sinabs,
    sinabs_plain,
    snntorch,
    spike_grad,
    spikingjelly,
    spikingjelly_layer,
    value_of,
)
from torch import nn

import neurodeploy as nd
from neurodeploy.errors import Refusal
from neurodeploy.foreign.names import _REASONS
from neurodeploy.foreign.neurons import NEURONS

CLASSES = [(library, name) for library, kinds in NEURONS.items() for name in kinds]


def refused(model, shape=4):
    with pytest.raises(Refusal) as caught:
        nd.adopt(model, shape)
    return [str(fault) for fault in caught.value.faults]


def behind(*neurons):
    """Neurons behind weights, each."""
    return nn.Sequential(*(part for neuron in neurons for part in (nn.Linear(4, 4), neuron)))


def layer_of(neuron):
    """The neuron layer that a stand-in becomes."""
    return nd.adopt(behind(neuron), 4)[0][1]


class Calls(nn.Module):
    """Calls parts as a function says."""

    def __init__(self, how, **parts):
        super().__init__()
        self.how = how
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.how(self, x)


@pytest.mark.parametrize(("library", "name"), CLASSES)
def test_every_class_of_the_table_becomes_a_layer(library, name):
    model, report = nd.adopt(InOrder(nn.Linear(4, 4), MAKES[library](name)), 4)
    assert model(torch.ones(3, 2, 4)).shape == (3, 2, 4)
    assert report.layers[1].kind.endswith(f".{name}")
    assert report.layers[1].layers[-1] == type(next(reversed(model._modules.values()))).__name__


def test_no_library_is_imported(monkeypatch):
    class Refuses:
        def find_spec(self, name, *_):
            if name.partition(".")[0] in NEURONS:
                raise AssertionError(f"{name} is imported")

    monkeypatch.setattr(sys, "meta_path", [Refuses(), *sys.meta_path])
    for library in NEURONS:
        nd.adopt(behind(MAKES[library]()) if library != "norse" else InOrder(norse()), 4)
        assert not any(name.partition(".")[0] == library for name in sys.modules)


@pytest.mark.parametrize(("library", "name"), [(lib, name) for lib, kinds in _REASONS.items() for name in kinds])
def test_a_class_without_a_meaning_here_is_refused_by_name_with_the_reason(library, name):
    place = {"norse": "norse.torch.module", "snntorch": "snntorch._neurons"}.get(
        library, "spikingjelly.activation_based"
    )
    (told,) = refused(behind(instance(named(f"{place}.any", name))))
    assert f"a {place}.any.{name}: {_REASONS[library][name]}" in told
    assert all(known in told for known in NEURONS[library])


def test_a_class_that_nobody_knows_is_refused_by_name_and_one_beside_the_layers_too():
    assert "a snntorch._neurons.new.Newest;" in refused(behind(instance(named("snntorch._neurons.new", "Newest"))))[0]
    assert "a snntorch.elsewhere.Leaky;" in refused(behind(instance(named("snntorch.elsewhere", "Leaky"))))[0]
    assert "a torch.nn.modules.activation.ReLU;" in refused(nn.Sequential(nn.ReLU(), snntorch()))[0]
    assert "no neurons; neurons of sinabs, snntorch" in refused(nn.Linear(4, 4))[0]


def test_a_subclass_counts_as_its_class_unless_it_changes_what_that_computes():
    harmless = snntorch()
    harmless.__class__ = type("Mine", (type(harmless),), {"note": 1, "extra_repr": lambda _: ""})
    assert nd.adopt(behind(harmless), 4)[1].layers[1].layers == ("Leaky",)
    base = named("snntorch._neurons.leaky", "Leaky", nn.Module, fire=lambda _: None)
    made = type("Mine", (base,), {"forward": lambda _, x: x, "fire": lambda _, x: x, "__module__": "mine"})()
    assert "module '1': a mine.Mine with its own fire, forward; what snntorch" in refused(behind(made))[0]
    patched = snntorch()
    patched.forward = lambda x: x
    assert "with its own forward" in refused(behind(patched))[0]
    hooked = snntorch()
    hooked.register_forward_hook(lambda *_: None)
    assert "a Leaky with forward hooks" in refused(behind(hooked))[0]


def test_all_faults_are_told_at_once_with_the_paths_of_their_modules():
    inner = nn.Sequential(nn.Linear(4, 4), snntorch(inhibition=True))
    model = nn.Sequential(inner, nn.Linear(4, 4), snntorch("SLSTM"), nn.Tanh(), snntorch("Leaky", state_quant=True))
    told = refused(model)
    assert [fault.partition(":")[0] for fault in told] == ["module '0.1'", "module '2'", "module '3'", "module '4'"]


@pytest.mark.parametrize(
    ("neuron", "words"),
    [
        (
            lambda: sinabs(reset_fn=value_of("sinabs.activation.r", "MembraneReset", reset_value=0.5)),
            "MembraneReset(0.5); reset_value 0: sinabs adds another one to every neuron in every step",
        ),
        (lambda: sinabs(spike_fn=named("mine", "Spikes", object)), "spike_fn mine.Spikes; one of MultiSpike"),
        (lambda: sinabs(reset_fn=len), "reset_fn builtins.builtin_function_or_method"),
        (
            lambda: sinabs(min_v_mem=torch.tensor([-1.0, -2.0])),
            "min_v_mem [-2.0, -1.0] for different neurons; one value",
        ),
        (lambda: sinabs(tau_mem=parameter(-1)), "as LIF: tau_mem is -1; it must be finite and above 0"),
        (
            lambda: sinabs("LIFRecurrent", rec_connect=nn.RNN(4, 4)),
            "a recurrent connection of RNN; of Linear or Conv2d",
        ),
        (lambda: snntorch(inhibition=True), "inhibition=True; False: which neuron wins depends on the whole layer"),
        (lambda: snntorch(state_quant=lambda x: x), "state_quant; states that nothing rounds"),
        (
            lambda: snntorch(state_function=_base_zero),
            "reset_mechanism 'subtract', and _base_zero that was chosen when",
        ),
        (lambda: snntorch("RSynaptic", reset_delay=False), "an RSynaptic with reset_delay=False; reset_delay=True"),
        (lambda: snntorch(spike_grad=spike_grad("mine", "my_file")), "spike_grad my_file.mine; a function of snntorch"),
        (lambda: snntorch("Alpha", alpha=torch.tensor(0.5)), "alpha - beta is -0.3"),
        (
            lambda: norse("LIFBoxCell", reset_method=reset_method("mine", "mine")),
            "reset_method mine; one of reset_value",
        ),
        (lambda: norse(tau_mem_inv=-1.0), "tau_mem_inv is -1; above 0"),
        (lambda: norse(tau_mem_inv=3000.0), "1 - dt / tau is -2"),
        (lambda: norse(v_leak=2.0), "a threshold of -1; above 0"),
        (lambda: spikingjelly(_neuron_precision=("bf16",)), "a neuron of reduced precision"),
        (lambda: spikingjelly(v_reset=1.0), "v_threshold 1.0 and v_reset 1; a threshold above v_reset"),
        (lambda: spikingjelly(_memories_rv={"v": 0.5}), "membranes that begin at 0.5; at v_reset, 0"),
        (lambda: spikingjelly("SimpleIFNode", v_reset=-1.0, _memories_rv={"v": 0.0}), "membranes that begin at 0.0"),
        (lambda: spikingjelly(surrogate_function=len), "surrogate_function builtins.builtin_function_or_method"),
    ],
)
def test_options_that_no_layer_has_are_refused(neuron, words):
    made = neuron()
    told = refused(InOrder(nn.Linear(4, 4), made))
    assert words in told[0]
    assert told[0].startswith("module '1'")


def test_a_surrogate_that_is_not_spiking_is_refused():
    neuron = spikingjelly()
    neuron.surrogate_function.spiking = False
    assert "Sigmoid(spiking=False); spiking=True: otherwise no spikes" in refused(behind(neuron))[0]


@pytest.mark.parametrize(
    ("neuron", "options"),
    [
        (sinabs, {"max_spikes": None, "comparison": ">=", "reset": "subtract", "norm_input": True}),
        (lambda: sinabs(min_v_mem=torch.tensor(-1.0)), {"v_min": -1.0, "train_tau": True}),
        (
            lambda: sinabs(spike_fn=value_of("sinabs.activation.s", "MaxSpike", max_num_spikes_per_bin=3)),
            {"max_spikes": 3},
        ),
        (lambda: sinabs("ALIF", tau_syn=parameter(3)), {"compat": ("sinabs-alif-syn-norm",), "max_spikes": None}),
        (snntorch, {"reset_delay": True, "reset": "subtract", "compat": ()}),
        (lambda: snntorch(reset_delay=False), {"reset_delay": False, "compat": ("snntorch-double-reset",)}),
        (lambda: snntorch("Synaptic", reset_mechanism="zero", state_function=_base_zero), {"reset": "zero"}),
        (lambda: norse("LIFBoxCell"), {"comparison": ">", "reset": "zero", "max_spikes": 1}),
        (lambda: norse("LIFBoxCell", reset_method=reset_method("reset_subtract")), {"reset": "subtract"}),
        (lambda: norse("LIFBoxCell", v_reset=-0.5), {"reset": "value", "reset_value": -0.5}),
        (spikingjelly, {"comparison": ">=", "reset": "zero", "max_spikes": 1, "norm_input": True}),
        (lambda: spikingjelly(v_reset=None, decay_input=False), {"reset": "subtract", "norm_input": False}),
    ],
)
def test_what_decides_spikes_is_that_of_the_library(neuron, options):
    made = nd.adopt(InOrder(nn.Linear(4, 4), neuron()), 4)[0][1]
    assert {name: made.options[name] for name in options} == options


def test_decays_are_those_of_the_library():
    assert float(layer_of(spikingjelly(tau=4.0)).alpha_mem) == pytest.approx(0.75)
    parametric = layer_of(spikingjelly("ParametricLIFNode", w=parameter(1.0))).alpha_mem
    assert parametric.detach().numpy() == pytest.approx(0.26894142)
    assert parametric.requires_grad
    box = nd.adopt(InOrder(norse("LIFBoxCell", dt=0.002)), 4)[0][0]
    assert float(box.alpha_mem) == pytest.approx(0.8)
    assert layer_of(sinabs()).alpha_mem.detach().numpy() == pytest.approx(np.exp(-1 / 8))
    alphas = sinabs(train_alphas=True, alpha_mem=parameter(0.3), alpha_syn=None)
    assert torch.equal(layer_of(alphas).decay_mem, alphas.alpha_mem)


def test_surrogates_with_a_counterpart_are_taken_over_and_others_named():
    assert layer_of(snntorch()).surrogate.alpha == 2.0
    assert layer_of(spikingjelly(surrogate="ATan")).surrogate.alpha == 2.0
    assert layer_of(sinabs()).surrogate.width == 0.5
    report = nd.adopt(behind(snntorch(spike_grad=spike_grad("sigmoid"))), 4)[1]
    assert "surrogate sigmoid has no counterpart: Atan trains here" in report.layers[1].note


def test_what_was_trained_is_trained_and_nothing_is_shared():
    source = behind(snntorch(beta=parameter(0.7), threshold=parameter(1, learned=False)))
    source[0].bias.requires_grad_(requires_grad=False)
    model = nd.adopt(source, 4)[0]
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"0.weight", "1.beta"}
    before = copy.deepcopy(source.state_dict())
    for p in model.parameters():
        p.data += 1
    assert all(torch.equal(before[name], value) for name, value in source.state_dict().items())


def test_a_layer_without_an_attribute_of_the_version_that_was_read_is_refused():
    made = snntorch()
    del made.inhibition
    assert "without an attribute 'inhibition'; the attributes of snnTorch 1.0.0" in refused(behind(made))[0]


def test_the_float_type_is_that_of_the_model():
    model = nd.adopt(behind(spikingjelly()).double(), 4)[0]
    assert model(torch.ones(2, 1, 4, dtype=torch.float64)).dtype == torch.float64


# ---------------------------------------------------------------- how values lie


def squeezed(*parts):
    return nn.Sequential(nn.Conv2d(1, 2, 3), *parts, sinabs("IAFSqueeze"))


def test_layouts_are_followed_through_folding_and_unfolding():
    folded = [sinabs_plain("FlattenTime"), nn.Conv2d(1, 2, 3), sinabs_plain("UnflattenTime", batch_size=2)]
    model, report = nd.adopt(
        nn.Sequential(*folded, sinabs("IAF"), nn.Flatten(2), nn.Linear(32, 3), sinabs("LIF")), (1, 6, 6)
    )
    assert report.layout == "(batch, time, ...)"
    assert [type(part).__name__ for part in model] == ["Unflatten", "PerStep", "IAF", "Flatten", "Linear", "LIF"]
    assert model(torch.rand(5, 2, 36)).shape == (5, 2, 3)
    rows, told = nd.adopt(squeezed(), (1, 6, 6))
    assert told.layout == "(batch * time, ...)"
    assert rows(torch.rand(5, 2, 36)).shape == (5, 2, 2, 4, 4)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: nn.Sequential(nn.Conv2d(1, 2, 3), sinabs("IAF")), "a Conv2d for (batch, ...) gets (batch, time, ...)"),
        (
            lambda: nn.Sequential(sinabs("IAFSqueeze"), sinabs("IAF")),
            "values that lie (batch * time, ...); for it (batch, time, ...)",
        ),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 4), sinabs()), "Flatten(1, -1); Flatten(2)"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(35, 4), snntorch()), "values of shape (36,) do not pass"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(36, 4), snntorch(), norse("LIF")), "one step in a call; for it"),
        (
            lambda: nn.Sequential(spikingjelly_layer("Conv2d", nn.Conv2d(1, 2, 3)), spikingjelly(step_mode="s")),
            "values that lie (time, batch, ...); for it (batch, ...), one step",
        ),
        (
            lambda: nn.Sequential(
                sinabs("IAFSqueeze"),
                sinabs_plain("SumPool2d", "pool2d", kernel_size=(2, 3), stride=None, ceil_mode=False),
            ),
            "square blocks side by side",
        ),
    ],
)
def test_values_that_lie_otherwise_are_refused(model, words):
    assert any(words in told for told in refused(model(), (1, 6, 6)))


def test_spikingjelly_layers_become_torch_layers_by_their_step_mode():
    convolution = spikingjelly_layer("Conv2d", nn.Conv2d(1, 2, 3))
    model = nn.Sequential(convolution, spikingjelly(step_mode="m"), spikingjelly_layer("Flatten", nn.Flatten()))
    adopted = nd.adopt(model, (1, 6, 6))[0]
    assert type(adopted[1].module) is nn.Conv2d
    assert torch.equal(adopted[1].module.weight, convolution.weight)
    assert adopted(torch.rand(5, 2, 36)).shape == (5, 2, 32)


# ---------------------------------------------------------------- forwards of the user


def test_states_in_and_out_are_left_out():
    class Passed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.lif = nn.Linear(4, 4), snntorch(init_hidden=False)

        def forward(self, x, mem):
            spk, mem = self.lif(self.one(x), mem)
            return spk, mem

    model, report = nd.adopt(Passed(), 4)
    assert [type(part).__name__ for part in model] == ["Linear", "Leaky"]
    assert "the model took one step in a call; now it takes all steps at once" in report.notes


def test_sums_and_branches_become_a_graph():
    def how(net, x):
        return net.out(net.merge(net.a(net.one(x)), net.b(net.two(x))) + x)

    parts = {"one": nn.Linear(4, 4), "two": nn.Linear(4, 4), "a": sinabs(), "b": sinabs(), "out": sinabs("IAF")}
    model = nd.adopt(Calls(how, **parts, merge=sinabs_plain("Merge", "merge")), 4)[0]
    assert ("input", "out", 1.0) in model.graph.edges
    assert {s for s, t, _ in model.graph.edges if t == "out"} == {"a", "b", "input"}


def loop(net, x):
    spikes = []
    for _ in range(5):
        spk, _ = net.lif(net.one(x))
        spikes.append(spk)
    return torch.stack(spikes)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (loop, "the same Leaky is called again; each layer in one place; of a loop over time the body is the model"),
        (
            lambda net, x: [net.lif(net.one(x[t])) for t in range(x.size(0))],
            "of a loop over time the body is the model",
        ),
        (lambda net, x: net.lif(net.one(x))[1], "forward returns a state; the spikes of the last layer first"),
        (lambda net, x: net.one(net.lif(net.one(x))), "it gets (spikes, states)"),
        (lambda net, x: net.lif(net.one(x), torch.ones(4))[0], "a state that is not at rest"),
        (lambda net, x: net.lif(net.one(x), net.one(x))[0], "a state that is not at rest"),
        (lambda net, x: net.lif(net.one(x[0]))[0], "the function getitem"),
        (lambda net, x: net.lif(net.one(x))[0].mean(0), "the function mean;"),
        (lambda net, x: net.lif(net.one(x.unsqueeze(0)))[0], "leave it out: the model that is made takes all steps"),
        (lambda net, x: net.lif(net.one(x).relu())[0], "the function relu"),
        (lambda net, x: (net.lif(net.one(x))[0], x), "forward returns several values of the network"),
        (lambda net, x: net.lif(net.one(x) + 1)[0], "an addition of something else than two values"),
        (lambda net, x: net.lif(net.one(x))[0] if x.sum() > 0 else x, "a condition on"),
    ],
)
def test_what_is_no_forward_of_one_step_is_refused_with_its_line(how, words):
    told = refused(Calls(how, one=nn.Linear(4, 4), lif=snntorch(init_hidden=False)))
    assert any(words in fault for fault in told)
    assert all("test_foreign.py, line" in fault or "forward returns" in fault for fault in told)


def test_a_loop_is_told_once_for_each_layer():
    told = refused(Calls(loop, one=nn.Linear(4, 4), lif=snntorch(init_hidden=False)))
    assert [fault.partition(" (")[0] for fault in told] == ["module 'one'", "module 'lif'", "stack"]


def test_arguments_may_have_names():
    def how(net, x):
        return net.lif(input_=net.one(x), mem=None)[0]

    assert len(nd.adopt(Calls(how, one=nn.Linear(4, 4), lif=snntorch(init_hidden=False)), 4)[0]) == 2


def test_a_start_at_rest_is_a_state():
    def how(net, x):
        return net.lif(net.one(x), torch.zeros(3, 4))

    assert len(nd.adopt(Calls(how, one=nn.Linear(4, 4), lif=snntorch(init_hidden=False)), 4)[0]) == 2


def test_a_forward_may_reset_its_layers_and_changes_nothing_of_the_model():
    def forget(self):
        self.mem = torch.zeros(4)
        return self.mem

    kind = named("snntorch._neurons.leaky", "Leaky", nn.Module, init_leaky=forget)
    lif = instance(
        kind, **{name: v for name, v in vars(snntorch(init_hidden=False)).items() if not name.startswith("_")}
    )
    for name, buffer in (("beta", 0.8), ("threshold", 1.0), ("graded_spikes_factor", 1.0)):
        setattr(lif, name, torch.tensor(buffer))
    lif.mem = torch.ones(4)

    def how(net, x):
        net.kept = net.lif.init_leaky()
        spk, net.kept = net.lif(net.one(x), net.kept)
        return spk

    model = Calls(how, one=nn.Linear(4, 4), lif=lif)
    nd.adopt(model, 4)
    assert torch.equal(lif.mem, torch.ones(4))
    assert not hasattr(model, "kept")


# ---------------------------------------------------------------- the ways in


def test_check_convert_and_quantize_say_how_to_adopt():
    chip, todo = nd.chip("xylo_audio3"), "make it one of ours first: model, report = nd.adopt(model, shape)"
    model = behind(snntorch())
    fit = nd.check(model, chip)
    assert not fit.fits
    assert any("a layer of snntorch" in str(fault) and todo in str(fault) for fault in fit.faults)
    for refuse in (nd.convert, nd.quantize, nd.constrain):
        with pytest.raises(Refusal, match="a layer of snntorch") as caught:
            refuse(model, chip)
        assert todo in str(caught.value)


def test_an_adopted_model_fits_a_chip():
    neurons = [sinabs(tau_syn=parameter(3), norm_input=False) for _ in range(2)]
    model = behind(*neurons)
    for layer in (model[0], model[2]):
        layer.bias = None
    adopted = nd.adopt(model, 4)[0]
    assert nd.check(adopted, nd.chip("xylo_audio3")).fits


def test_the_report_tells_versions_and_reads_as_json():
    _, report = nd.adopt(behind(sinabs()), 4)
    told = report.to_json()
    assert told["layers"][1]["layers"] == ("LIF",)
    assert "sinabs: read as sinabs 3.1.3; its version here is unknown" in report.notes
    assert "1 (sinabs.layers.lif.LIF) -> LIF" in str(report)


def test_another_version_is_told(monkeypatch):
    monkeypatch.setattr("neurodeploy.foreign.names.metadata.version", lambda _: "4.0")
    _, report = nd.adopt(behind(sinabs()), 4)
    assert "sinabs: read as sinabs 3.1.3, and 4.0 is installed: compare the spikes of both" in report.notes


def test_what_is_no_module_or_no_shape_is_refused():
    assert "a list; a torch.nn.Module" in refused([nn.Linear(4, 4)])[0]
    assert "shape is 0" in refused(behind(snntorch()), 0)[0]

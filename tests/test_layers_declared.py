"""Neurons that declare their parameters: the constructor that follows, what it refuses and why."""

import inspect

import pytest
import torch

from neurodeploy.errors import Refusal
from neurodeploy.layers import (
    ALIF,
    GIF,
    GIF_PRESETS,
    IAF,
    LIF,
    Alpha,
    ExpIF,
    ExpLeak,
    Lapicque,
    Leaky,
    Neuron,
    RefractoryIF,
    RLeaky,
    RSynaptic,
    Synaptic,
)
from neurodeploy.layers.parameters import Positive, Real
from neurodeploy.layers.registry import LAYERS

torch.set_num_threads(1)


class Falling(Neuron):
    """A membrane that falls by itself."""

    arguments = {"tau": Positive(), "start": Real(1.0), "threshold": Real(0.5)}  # noqa: RUF012 - as short as users write
    states = {"v": "start"}  # noqa: RUF012 - the same
    step = "v = v - v / tau + x\nspike = above(v, threshold)"


def test_declared_parameters_make_the_constructor():
    assert list(inspect.signature(Falling).parameters)[:4] == ["shape", "tau", "start", "threshold"]
    layer = Falling(2, 2.0, start=torch.tensor([1.0, 4.0]))
    assert layer(torch.zeros(3, 1, 2)).flatten(1).tolist() == [[0, 1], [0, 1], [0, 0]]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Falling(2), "missing a required argument: 'tau'"),
        (lambda: Falling(2, 2.0, strat=1.0), "unexpected keyword argument 'strat'"),
        (lambda: LIF(2, 5.0, 1.0), "too many positional arguments"),
    ],
)
def test_a_misspelt_or_missing_argument_is_a_type_error(make, words):
    with pytest.raises(TypeError, match=words):
        make()


def test_what_train_names_is_a_parameter_and_nothing_else_is():
    layer = Leaky(3, torch.tensor([0.5, 0.75, 0.875]), train=("beta",))
    assert [(name, tuple(p.shape)) for name, p in layer.named_parameters()] == [("beta", (3,))]
    assert list(Leaky(3, 0.5).parameters()) == []


def test_a_state_that_the_options_leave_out_does_not_exist():
    layer = ALIF(1, 8.0, 8.0, record_states=True)
    layer(torch.ones(1, 1, 1))
    assert set(layer.recordings) == {"v", "b", "spike_threshold"}
    layer = ALIF(1, 8.0, 8.0, tau_syn=2.0, record_states=True)
    layer(torch.ones(1, 1, 1))
    assert set(layer.recordings) == {"i", "v", "b", "spike_threshold"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Leaky(3, 1.25), r"beta is 1.25; it must lie in 0 to 1"),
        (lambda: Leaky(3, 0.5, reset="value"), "reset is 'value'; it must be one of 'subtract', 'zero', 'none'"),
        (lambda: Leaky(3, 0.5, train=("betta",)), "train is 'betta'; what can be trained is beta, threshold, graded"),
        (lambda: Leaky(3, 0.5, train="beta"), "train is 'beta'; it must be a tuple of names"),
        (lambda: RLeaky(3, 0.5, rec_connect=torch.nn.Identity(), train=("rec_weight",)), "must be given to be trained"),
        (lambda: Leaky(3, 0.5, compat="snntorch-inhibition"), "which neuron wins depends on the whole layer"),
        (lambda: Leaky(3, 0.5, compat="sinabs"), "compat is 'sinabs'; it must be of 'snntorch-double-reset'"),
        (lambda: Leaky(3, 0.5, compat="snntorch-double-reset"), "only with reset='subtract' and reset_delay=False"),
        (lambda: Lapicque(3), "the circuit is 'nothing'; resistance and capacitance must be given, or beta"),
        (lambda: Lapicque(3, resistance=1.0), "the circuit is 'resistance'"),
        (lambda: Lapicque(3, resistance=1.0, capacitance=2.0, beta=0.5), "the circuit is 'resistance, capacitance, b"),
        (
            lambda: Lapicque(3, resistance=1.0, capacitance=2.0, compat="snntorch-lapicque-beta"),
            "it says what beta means, and beta is not given",
        ),
        (lambda: RLeaky(3, 0.5), "rec_weight or rec_connect is 'none'; exactly one must be given"),
        (lambda: RSynaptic(3, 0.5, 0.5, rec_weight=1.0, rec_connect=torch.nn.Identity()), "is 'both'; exactly one"),
        (lambda: Alpha(3, 0.5, 0.5), "alpha - beta is 0.0; alpha must be above beta"),
        (lambda: LIF(3, 5.0, reset="zero", reset_amount=0.5), "reset_amount is 0.5; it counts only with reset='subtr"),
        (lambda: RefractoryIF(3, 0.0), "dt is 0.0; it must be above 0"),
        (lambda: RefractoryIF(3, 0.1, tau_ref=-1.0), "tau_ref is -1.0; it must be at least 0"),
        (lambda: RefractoryIF(3, 0.1, trace_scale=2.0), "it counts only with additive_trace=True"),
        (lambda: RefractoryIF(3, 0.1, spike_trace=False, tau_s=2.0), "it counts only with spike_trace=True"),
        (lambda: GIF(3, 0.1, compat="brainpy-float-refractory"), "it acts only with tau_ref"),
        (lambda: ExpIF(3, 0.1, delta_t=0.0), "delta_t is 0; it must be finite and above 0"),
        (lambda: IAF(3, compat="sinabs-alif-syn-norm"), "it must be of 'sinabs-record-shift'"),
        (lambda: Falling(3, 2.0, train=("shape",)), "what can be trained is tau, start, threshold"),
    ],
)
def test_refused_with_the_reason(make, words):
    with pytest.raises(Refusal, match=words) as caught:
        make()
    assert [fault.code for fault in caught.value.faults] == ["ND1601"]


def test_their_nearest_neighbours_are_taken():
    assert Leaky(3, 1.0, reset_delay=False, compat="snntorch-double-reset").options["compat"] == (
        "snntorch-double-reset",
    )
    assert Lapicque(3, beta=0.5, capacitance=2.0).derived()["r"].item() == 1
    assert Alpha(3, 0.5, 0.4375).derived()["gain"].item() > 1
    assert LIF(3, 5.0, reset_amount=0.5).options["reset_amount"] == 0.5
    assert RefractoryIF(3, 0.1, additive_trace=True, trace_scale=2.0, tau_ref=0.0).tau_ref_steps == 0


def test_a_parameter_that_no_text_reads_under_the_options_is_refused():
    class Deaf(Falling):
        step = "v = v - v / tau + x\nspike = above(v, 1)"

    with pytest.raises(Refusal, match=r"threshold is 0\.75; it has no effect with these options; leave it out"):
        Deaf(2, 2.0, threshold=0.75)
    assert Deaf(2, 2.0).options["threshold"] == 0.5


# what the named rules are


def last(layer, *values):
    layer(torch.tensor(values).reshape(-1, 1, 1))
    return {name: rows.flatten().tolist() for name, rows in layer.recordings.items()}


@pytest.mark.parametrize(("reset", "v"), [("subtract", [1.5, 0.75]), ("zero", [1.5, 0.5]), ("none", [1.5, 1.25])])
def test_a_late_reset_of_leaky_keeps_the_input_of_its_step(reset, v):
    assert last(Leaky(1, 0.5, reset=reset, record_states=True), 1.5, 0.5 if reset != "subtract" else 1.0)["v"] == v


@pytest.mark.parametrize(("reset", "v"), [("subtract", 0.5), ("zero", 0.0), ("none", 1.5)])
def test_a_reset_in_the_same_step_acts_at_once_and_once(reset, v):
    layer = Leaky(1, 1.0, reset=reset, reset_delay=False, record_states=True)
    assert last(layer, 1.5)["v"] == [v]


def test_a_late_zero_of_synaptic_loses_the_membrane_and_keeps_the_current():
    found = last(Synaptic(1, 0.5, 0.5, reset="zero", record_states=True), 2.0, 1.0)
    assert found == {"i": [2.0, 2.0], "v": [2.0, 0.0]}


def test_equal_fires_in_the_families_that_say_so():
    x = torch.ones(1, 1, 1)
    assert ALIF(1, 8.0, 8.0, norm_input=False)(x).item() == 1
    assert Leaky(1, 0.5)(x).item() == 0


def test_beta_of_lapicque_is_the_decay_unless_the_source_is_mimicked():
    plain, mimicked = Lapicque(1, beta=0.9), Lapicque(1, beta=0.9, compat="snntorch-lapicque-beta")
    decays = [1 - 1 / (layer.derived()["r"] * layer.derived()["c"]) for layer in (plain, mimicked)]
    assert [round(float(decay), 4) for decay in decays] == [0.9, 0.8946]


def test_inhibitory_spikes_are_negative_and_their_trace_is_not():
    layer = RefractoryIF(1, 1.0, is_inhibitory=True, record_states=True)
    assert layer(torch.ones(2, 1, 1)).flatten().tolist() == [-1, 0]
    assert layer.recordings["trace"][0].item() == 1


def test_sum_input_is_the_sum_of_all_inputs():
    layer = RefractoryIF(1, 1.0, sum_input=True, record_states=True)
    assert last(layer, 1.0, 2.0, 3.0)["summed"] == [1, 3, 6]


def test_a_trained_threshold_of_leaky_gets_minus_the_gradient_of_the_membrane():
    layer = Leaky(1, 0.5, reset="none", train=("threshold",))
    x = torch.full((1, 1, 1), 0.75, requires_grad=True)
    layer(x).sum().backward()
    assert layer.threshold.grad.item() == -x.grad.item() != 0


def test_the_output_of_exp_leak_is_its_membrane_before_the_bound():
    layer = ExpLeak(1, 8.0, v_min=-0.5, record_states=True)
    assert layer(torch.full((1, 1, 1), -2.0)).item() == -2
    assert layer.recordings["v"].item() == -0.5


@pytest.mark.parametrize("name", GIF_PRESETS)
def test_presets_are_options_of_gif(name):
    assert GIF(1, 0.1, **GIF_PRESETS[name]).options.items() >= {"dt": 0.1}.items()


def test_every_parameter_stands_in_the_docstring_of_its_neuron():
    for kind in LAYERS.values():
        if issubclass(kind, Neuron) and kind.arguments and kind is not IAF:
            assert not [name for name in kind.arguments if name not in f"{kind.__doc__} grid_ compat"], kind

"""Layers: descriptions that restore them, and the words with which they refuse."""

import json

import pytest
import torch

from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF, SURROGATES, Atan, Delay, Neuron, SingleExponential, build
from neurodeploy.layers.registry import LAYERS as REGISTRY

torch.set_num_threads(1)

LAYERS = [
    LIF(3, 5.0),
    LIF((2, 3), torch.rand(3) + 2, tau_syn=2.0, bias=torch.rand(2, 3), max_spikes=31, v_min=-0.1, train_tau=True),
    LIF(3, 5.0, reset="value", reset_value=0.1, comparison=">", norm_input=False, surrogate=Atan(3.0)).double(),
    IAF(3, tau_syn=torch.rand(3) + 1, rec_connect=torch.nn.Linear(3, 3)),
    IAF(3, rec_connect=torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Identity(), torch.nn.Linear(2, 3))),
    Delay(3),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_description_and_state_dict_restore_the_layer(layer):
    description = json.loads(json.dumps(layer.describe()))
    twin = build(description)
    assert twin.describe() == description
    twin.load_state_dict(layer.state_dict())
    dtype = layer.dtype if isinstance(layer, Neuron) else torch.float32
    shape = layer.shape if isinstance(layer, Neuron) else (3,)
    x = torch.rand(30, 2, *shape, dtype=dtype) * 3
    layer.reset_states()
    found = layer(x)
    assert torch.equal(found, twin(x))
    assert found.sum() > 0
    assert [p.requires_grad for p in twin.parameters()] == [p.requires_grad for p in layer.parameters()]


def test_what_decides_spikes_stands_in_the_description():
    found = LIF(3, 5.0, max_spikes=31, comparison=">", v_min=-1.0).describe()
    assert (found["class"], found["dtype"]) == ("LIF", "float32")
    expected = {
        "shape": [3],
        "tau_mem": {"shape": []},
        "tau_syn": None,
        "threshold": {"shape": []},
        "bias": None,
        "max_spikes": 31,
        "norm_input": True,
        "reset": "subtract",
        "reset_value": 0.0,
        "comparison": ">",
        "v_min": -1.0,
        "rec_connect": None,
        "surrogate": {"name": "SingleExponential", "width": 0.5, "scale": 1.0},
        "train_tau": False,
    }
    assert {name: found["options"].get(name, "absent") for name in expected} == expected


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda d: d.update({"class": "system"}), "ND1603", "class 'system'; it must be one of ALIF, A"),
        (lambda d: d["options"].pop("v_min"), "ND1401", "missing, unknown or of another meaning here"),
        (lambda d: d["options"].update(record_states=True), "ND1401", "missing, unknown or of another meaning here"),
        (lambda d: d["options"].update(gain=2), "ND1401", "unexpected keyword argument 'gain'"),
        (lambda d: d["options"].update(max_spikes=0), "ND1601", "max_spikes is 0"),
        (lambda d: d["options"].update(surrogate={"name": "Step"}), "ND1601", "surrogate 'Step': unknown name"),
        (lambda d: d["options"].update(tau_mem={"shape": [-1]}), "ND1401", "options cannot be taken"),
        (lambda d: d.update(dtype="float99"), "ND1401", "missing, unknown or of another meaning here"),
        (lambda d: d.update(options=None), "ND1401", "no description of a layer"),
    ],
)
def test_build_refuses_what_it_does_not_know(change, code, words):
    description = LIF(3, 5.0).describe()
    change(description)
    with pytest.raises(Refusal, match=words) as caught:
        build(description)
    assert caught.value.code == code


# refusals


def test_every_wrong_parameter_is_named_with_its_value():
    with pytest.raises(Refusal) as caught:
        LIF(
            3,
            tau_mem=-1,
            tau_syn=float("nan"),
            threshold=torch.tensor([1.0, 0.0, -2.0]),
            bias=torch.ones(2),
            max_spikes=0,
            reset="none",
            reset_value=1.0,
            comparison="=",
            v_min=float("inf"),
        )
    text = str(caught.value)
    assert {fault.code for fault in caught.value.faults} == {"ND1601"}
    for words in (
        "LIF: tau_mem is -1; it must be finite and above 0",
        "tau_syn is nan",
        "threshold is 0 in 2 of 3 places",
        "bias has shape (2,), the neurons (3,)",
        "max_spikes is 0; it must be a whole number of at least 1",
        "reset is 'none'; it must be one of 'subtract', 'zero', 'value'",
        "reset_value is 1.0; it counts only with reset='value'",
        "comparison is '='; it must be one of '>=', '>'",
        "v_min is inf; it must be a finite number",
    ):
        assert words in text
    assert len(caught.value.faults) == 9


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LIF(0, 5.0), "shape is 0; it must be a whole number of at least 1"),
        (lambda: LIF((3, 0), 5.0), r"shape is \(3, 0\)"),
        (lambda: LIF(3, "5"), "tau_mem is '5'; it must be a number"),
        (lambda: LIF(3, 1e9), "its decay .* must not round to 1; use a smaller one, or IAF"),
        (lambda: LIF(3, 5.0, max_spikes=1.0), "max_spikes is 1.0"),
        (lambda: LIF(3, 5.0, norm_input=1), "norm_input is 1; it must be True or False"),
        (lambda: IAF(3, train_tau=True), "there must be a time constant to train; give tau_syn"),
        (lambda: SingleExponential(width=0), "width is 0; it must be a finite number above 0"),
        (lambda: Atan(float("inf")), "alpha is inf"),
        (lambda: Delay(-1), "Delay: steps is -1; it must be a whole number of at least 0"),
        (lambda: Delay(1.0), "Delay: steps is 1.0"),
    ],
)
def test_refused_at_construction(make, words):
    with pytest.raises(Refusal, match=words) as caught:
        make()
    assert len(caught.value.faults) == 1
    assert caught.value.code == "ND1601"


@pytest.mark.parametrize("make", [lambda: LIF(1, 1e6), lambda: LIF(1, 1e9, threshold=torch.ones(1).double())])
def test_a_long_time_constant_that_the_type_can_hold_is_taken(make):
    assert make().alpha_mem.item() < 1


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (torch.rand(2, 4, 5), r"the input has shape \(2, 4, 5\); it must be \(time, batch, 3\)"),
        (torch.rand(3), r"the input has shape \(3,\)"),
        (torch.rand(2, 4, 3).double(), "the input is float64; the layer is float32"),
        (torch.rand(2, 4, 3, dtype=torch.complex64), "it must be real"),
        ([[[1.0]]], "the input is a list; it must be a torch.Tensor"),
        (torch.rand(2, 5, 3), r"shape \(5, 3\), the state kept from the last call \(4, 3\).*call reset_states\(\)"),
    ],
)
def test_refused_input(x, words):
    layer = LIF(3, 5.0)
    layer(torch.rand(2, 4, 3))
    with pytest.raises(Refusal, match=words) as caught:
        layer(x)
    assert caught.value.code == "ND1602"


def test_after_a_reset_another_batch_is_taken():
    layer = LIF(3, 5.0)
    layer(torch.rand(2, 4, 3))
    layer.reset_states()
    assert layer(torch.rand(2, 5, 3)).shape == (2, 5, 3)


def test_not_a_number_is_refused_only_when_asked():
    x = torch.zeros(2, 1, 3)
    x[1, 0, 2] = float("nan")
    with pytest.raises(Refusal, match=r"1 NaN or infinite values, the first at \(1, 0, 2\)") as caught:
        IAF(3, check_input=True)(x)
    assert caught.value.code == "ND1604"
    assert IAF(3, check_input=True)(torch.ones(2, 1, 3)).sum() == 6
    assert IAF(3)(x).isnan().any()


def test_a_recurrent_connection_of_another_shape_is_refused():
    layer = IAF(3, rec_connect=torch.nn.Linear(3, 1))
    with pytest.raises(Refusal, match=r"rec_connect returns shape \(2, 1\); .*spikes, \(2, 3\)"):
        layer(torch.rand(2, 2, 3))


NEURONS = [kind for _, kind in sorted(REGISTRY.items()) if issubclass(kind, Neuron) and kind.arguments]


@pytest.mark.parametrize("kind", NEURONS, ids=lambda kind: kind.__name__)
def test_a_neuron_with_a_resting_potential_does_not_rest_at_zero(kind):
    assert kind.rests_at_zero == ("v_rest" not in kind.arguments)


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize("kind", [kind for kind in NEURONS if not kind.rests_at_zero], ids=lambda kind: kind.__name__)
def test_a_surrogate_in_thresholds_is_refused_where_the_threshold_is_no_distance(kind, name):
    surrogate = SURROGATES[name]()
    assert LIF(3, 5.0, surrogate=surrogate).surrogate == surrogate
    if not surrogate.relative:
        assert kind(3, 0.1, surrogate=surrogate).surrogate == surrogate
        return
    with pytest.raises(
        Refusal, match=f"surrogate {name}, which measures in thresholds; .*does not rest at 0"
    ) as caught:
        kind(3, 0.1, surrogate=surrogate)
    assert caught.value.code == "ND1601"

"""State and shape habits of every registered neuron, under every option that it declares: no list by hand."""

import itertools
import json
import math

import pytest
import torch

from neurodeploy.errors import Refusal
from neurodeploy.layers import Neuron, build
from neurodeploy.layers.parameters import (
    REQUIRED,
    Choice,
    Compat,
    Flag,
    Fraction,
    Grid,
    Number,
    Real,
    Steps,
    TimeConstant,
    TrainTau,
    Whole,
)
from neurodeploy.layers.registry import LAYERS
from neurodeploy.models import load_model, save_model

torch.set_num_threads(1)

NEURONS = {name: kind for name, kind in LAYERS.items() if issubclass(kind, Neuron) and kind.arguments}
BATCH, SHAPE, STEPS = 2, (3,), 9


def samples(kind, number):
    """Values of a kind other than its default."""
    if isinstance(kind, Fraction):
        return [torch.tensor([0.9, 0.8, 0.7]) - 0.1 * number]
    if isinstance(kind, Steps):
        return [torch.tensor([0.0, 1.0, 2.0])]
    if isinstance(kind, Real | TimeConstant):
        near = kind.default if isinstance(kind.default, float) and kind.default else 2.0
        return [near * torch.tensor([1.0, 1.25, 1.5])]
    if isinstance(kind, Number):
        return [0.5]
    if isinstance(kind, Whole):
        return [1, 2, None]
    if isinstance(kind, Flag | TrainTau):
        return [not kind.default]
    if isinstance(kind, Choice):
        return [word for word in kind.flags if word != kind.default]
    if isinstance(kind, Compat):
        return list(kind.modes)
    assert isinstance(kind, Grid), kind
    return []  # of trained decays alone, which test_quantizer tries


def required(kind):
    fractions = itertools.count()
    names = [name for name, of in kind.arguments.items() if of.default is REQUIRED]
    kinds = {name: kind.arguments[name] for name in names}
    return {n: samples(k, next(fractions) if isinstance(k, Fraction) else 0)[0] for n, k in kinds.items()}


def accepted(kind, options):
    try:
        return kind(SHAPE, **options, record_states=True)
    except Refusal:
        return None


def plainest(kind):
    """Every least set of options with which a neuron can be made."""
    options, found = required(kind), []
    extra = {name: of for name, of in kind.arguments.items() if isinstance(of, Real) and of.default is None}
    for many in range(len(extra) + 1):
        for names in itertools.combinations(extra, many):
            more = {name: samples(extra[name], 0)[0] for name in names}
            if not any(less.keys() <= more.keys() for less in found) and accepted(kind, options | more) is not None:
                found.append(more)
    return [options | more for more in found]


def with_option(kind, plain, name, value):
    """Options with one more, and with a second one where that counts only beside it; None where nothing helps."""
    others = [(n, v) for n, of in kind.arguments.items() for v in samples(of, 0) if n != name]
    for pair in [{}, *({n: v} for n, v in others)]:
        options = plain | pair | {name: value}
        only = kind.arguments[next(iter(pair))].only if pair else None
        options |= {only[0]: only[1]} if only else {}
        if accepted(kind, options) is not None:
            return options
    return None


def variants(kind):
    """The plainest neurons, one for each value of each option, one that trains each parameter."""
    for number, plain in enumerate(plainest(kind)):
        yield f"plain {number}", plain
    plain = plainest(kind)[0]
    each, trained = dict(plain), []
    for name, of in kind.arguments.items():
        for value in samples(of, 0):
            options = with_option(kind, plain, name, value)
            if isinstance(of, Real) and options is not None and accepted(kind, each | options) is not None:
                each |= options
                trained += [name] if accepted(kind, each | {"train": (name,)}) is not None else []
            elif options is not None and options.keys() != plain.keys():
                yield f"{name} {'of each neuron' if isinstance(value, torch.Tensor) else value}", options
    yield "each neuron differs", each
    if trained:
        yield "train all", each | {"train": tuple(trained)}
    module = torch.nn.Linear(*SHAPE, *SHAPE)
    torch.nn.init.constant_(module.weight, -0.25)
    if accepted(kind, plain | {"rec_connect": module}) is not None:
        yield "rec_connect", plain | {"rec_connect": module}


CASES = [
    pytest.param(kind, options, id=f"{name}-{said}")
    for name, kind in NEURONS.items()
    for said, options in variants(kind)
]


PLAIN = [case for case in CASES if "-plain" in case.id]
SOME = [case for case in CASES if "-plain" in case.id or "-train" in case.id or "each neuron" in case.id]
SCALES = {}


def made(kind, options):
    """A neuron, and inputs with which it fires after the first step."""
    layer = kind(SHAPE, **options, record_states=True)
    x = torch.rand((STEPS, BATCH, *SHAPE), generator=torch.Generator().manual_seed(3))
    if id(options) in SCALES:
        return layer, x * SCALES[id(options)]
    for scale in (1.0, 4.0, 16.0, 64.0, 256.0):
        with torch.no_grad():
            spikes = layer(x * scale)
        layer.reset_states()
        if spikes[1:].abs().sum() > 0:
            SCALES[id(options)] = scale
            return layer, x * scale
    message = "it never fires"
    raise AssertionError(message)


def test_every_neuron_is_tried_under_many_options():
    assert len(NEURONS) >= 13
    for name, kind in NEURONS.items():
        tried = {key for case in CASES if case.values[0] is kind for key in case.values[1]}
        untried = {n for n, of in kind.arguments.items() if n not in tried and not isinstance(of, Grid)}
        assert untried == ({"compat"} if not getattr(kind.arguments.get("compat"), "modes", ()) else set()) & {
            *kind.arguments
        }, name


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_states_persist_until_they_are_reset(kind, options):
    layer, x = made(kind, options)
    whole = layer(x)
    recorded = layer.recordings
    layer.reset_states()
    parts = [layer(x[:5]), layer(x[5:])]
    assert torch.equal(torch.cat(parts), whole)
    if "sinabs-record-shift" not in layer.options.get("compat", ()):
        assert all(torch.equal(layer.recordings[name], rows[5:]) for name, rows in recorded.items())
    layer.reset_states()
    assert torch.equal(layer(x), whole)


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_recordings_are_the_whole_state_after_each_step(kind, options):
    layer, x = made(kind, options)
    layer(x[:5])
    last = {name: rows[-1] for name, rows in layer.recordings.items()}
    assert {rows.shape for rows in layer.recordings.values()} == {(5, BATCH, *SHAPE)}
    rest, twin = layer(x[5:]), made(kind, options)[0]
    if layer.rec_connect is not None and "spike" not in last:
        return  # the last spikes are a part of the state that is no state of the text
    twin.load_state_dict(layer.state_dict())
    twin.set_states(**last)
    assert torch.equal(twin(x[5:]), rest)


@pytest.mark.parametrize(("kind", "options"), SOME)
def test_detached_states_keep_their_values_and_end_the_history(kind, options):
    layer, x = made(kind, options)
    early = x[:5].clone().requires_grad_()
    layer(early)
    kept = {name: value.clone() for name, value in layer._state.items()}
    assert any(value.requires_grad for value in kept.values())
    layer.detach_states()
    assert all(torch.equal(layer._state[name], value) for name, value in kept.items())
    late = x[5:].clone().requires_grad_()
    layer(late).sum().backward()
    assert early.grad is None
    assert late.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in layer.parameters() if p.grad is not None)


@pytest.mark.parametrize(("kind", "options"), PLAIN)
def test_another_batch_is_refused_with_both_shapes_until_reset(kind, options):
    layer, x = made(kind, options)
    layer(x)
    with pytest.raises(Refusal, match=rf"shape \({BATCH + 1}, 3\), the state .* \({BATCH}, 3\)") as caught:
        layer(torch.cat([x, x[:, :1]], 1))
    assert caught.value.values == {"shape": (BATCH + 1, *SHAPE), "state": (BATCH, *SHAPE)}
    with pytest.raises(Refusal, match=rf"\({STEPS}, {BATCH}, 2\); it must be \(time, batch, 3\)"):
        layer(x[..., :2])
    layer.reset_states()
    assert layer(torch.cat([x, x[:, :1]], 1)).shape == (STEPS, BATCH + 1, *SHAPE)


@pytest.mark.parametrize(("kind", "options"), CASES)
def test_description_and_state_dict_restore_everything_that_decides_spikes(kind, options):
    layer, x = made(kind, options)
    spikes = layer(x)
    twin = build(json.loads(json.dumps(layer.describe())))
    twin.load_state_dict(layer.state_dict())
    assert torch.equal(twin(x), spikes)


@pytest.mark.parametrize(("kind", "options"), SOME)
def test_a_saved_model_is_the_same_after_loading(kind, options, tmp_path):
    layer, x = made(kind, options)
    spikes = layer(x)
    save_model(torch.nn.Sequential(layer), tmp_path / "one.safetensors", dt_s=1e-3)
    model, _ = load_model(tmp_path / "one.safetensors")
    assert torch.equal(model(x), spikes)
    trained = [name for name, _ in layer.named_parameters()]
    assert [name.removeprefix("0.") for name, _ in model.named_parameters()] == trained


@pytest.mark.parametrize(("kind", "options"), [case for case in CASES if "-train" in case.id])
def test_what_is_trained_gets_a_finite_gradient(kind, options):
    layer, x = made(kind, options)
    (layer(x).sum() + sum(rows.clamp(-1e3, 1e3).sum() for rows in layer.recordings.values())).backward()
    for name in options.get("train") or [name for name, _ in layer.named_parameters()]:
        assert getattr(layer, name).grad.isfinite().all()


# where a layer starts


def test_set_states_says_where_the_next_call_begins_and_takes_a_gradient():
    layer = LAYERS["Leaky"](SHAPE, 0.5, record_states=True)
    v = torch.full((BATCH, *SHAPE), 0.5, requires_grad=True)
    layer.set_states(v=v)
    layer(torch.zeros(1, BATCH, *SHAPE))
    layer.recordings["v"].sum().backward()
    assert layer.recordings["v"].unique().item() == 0.25
    assert v.grad.unique().item() == 0.5


def test_states_that_are_not_named_begin_at_their_start_values():
    layer = LAYERS["GIF"](SHAPE, 0.1, record_states=True)
    layer.set_states(v=torch.full((BATCH, *SHAPE), -60.0))
    layer(torch.zeros(1, BATCH, *SHAPE))
    assert math.isclose(layer.recordings["v_th"][0, 0, 0].item(), -50.0)
    assert layer.recordings["v"][0, 0, 0] < -60


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"w": torch.zeros(2, 3)}, r"Leaky: state 'w'; its states are v"),
        (
            {"v": torch.zeros(2, 4)},
            r"state v is float32 of shape \(2, 4\); it must be float32 of shape \(batch, \*\(3,",
        ),
        ({"v": torch.zeros(2, 3).double()}, "state v is float64"),
    ],
)
def test_wrong_states_are_refused(states, words):
    with pytest.raises(Refusal, match=words) as caught:
        LAYERS["Leaky"](SHAPE, 0.5).set_states(**states)
    assert caught.value.code == "ND1602"


def test_states_of_two_batch_sizes_are_refused():
    with pytest.raises(Refusal, match="all must have the same batch size"):
        LAYERS["Synaptic"](SHAPE, 0.5, 0.5).set_states(v=torch.zeros(2, 3), i=torch.zeros(1, 3))

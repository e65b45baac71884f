"""Any float neuron in fixed point: the derived text can be read, all executors run it, it does what the float does."""

import numpy as np
import pytest
import torch

import neurodeploy as nd
from neurodeploy.errors import Refusal
from neurodeploy.fixed import Bits
from neurodeploy.layers import (
    ALIF,
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
from neurodeploy.layers.parameters import Positive

torch.set_num_threads(1)
CHIP = nd.chip("fixed")
SIZE, STEPS = 3, 60
X = np.random.default_rng(3).random((STEPS, 2, SIZE)).astype(np.float32) * 0.6


class Swing(Neuron):
    """A neuron of the user's own: current and membrane swing."""

    arguments = {"omega": Positive(0.5), "damping": Positive(0.1), "threshold": Positive(0.75)}  # noqa: RUF012
    states = {"current": 0.0, "v": 0.0}  # noqa: RUF012
    step = """
current = current + x - damping * current - omega * v
if current > 0:
    v = v + omega * current
v = v - damping * v
spike = above(v, threshold)
v = v - spike * threshold
"""


def back(*, bias=True):
    torch.manual_seed(1)
    return torch.nn.Linear(SIZE, SIZE, bias=bias)


LAYERS = {
    "IAF": lambda: IAF(SIZE, tau_syn=5.0, threshold=[0.9, 1.0, 1.1], v_min=-1.0),
    "LIF": lambda: LIF(SIZE, tau_mem=20.0, tau_syn=5.0, bias=0.02, norm_input=False),
    "LIF recurrent": lambda: LIF(SIZE, tau_mem=9.0, comparison=">", rec_connect=back(bias=False), norm_input=False),
    "LIF, recurrent bias": lambda: LIF(SIZE, tau_mem=9.0, rec_connect=back(), norm_input=False),
    "LIF capped": lambda: LIF(SIZE, tau_mem=20.0, norm_input=False, max_spikes=1, threshold=0.3, reset="zero"),
    "ExpLeak": lambda: ExpLeak(SIZE, tau_mem=20.0, v_min=0.25),
    "ALIF": lambda: ALIF(SIZE, tau_mem=20.0, tau_adapt=30.0, norm_input=False),
    "ALIF with a synapse": lambda: ALIF(SIZE, tau_mem=20.0, tau_adapt=30.0, tau_syn=4.0, threshold=0.2),
    "ALIF, many spikes": lambda: ALIF(SIZE, tau_mem=20.0, tau_adapt=9.0, threshold=0.2, max_spikes=None),
    "Lapicque": lambda: Lapicque(SIZE, resistance=5.1, capacitance=5e-3, dt=1e-3),
    "Leaky": lambda: Leaky(SIZE, beta=0.9, reset="zero"),
    "Synaptic": lambda: Synaptic(SIZE, alpha=0.8, beta=0.9, reset_delay=False),
    "Alpha": lambda: Alpha(SIZE, alpha=0.9, beta=0.8),
    "RLeaky": lambda: RLeaky(SIZE, beta=0.9, rec_weight=-0.1),
    "RSynaptic": lambda: RSynaptic(SIZE, alpha=0.5, beta=0.9, rec_connect=back()),
    "IF": lambda: RefractoryIF(SIZE, dt=1.0, tau_ref=3.0, v_min=-70.0),
    "graded": lambda: Leaky(SIZE, beta=0.9, graded=0.375),
    "own": lambda: Swing(SIZE, omega=torch.tensor([0.3, 0.5, 0.7])),
}


def derived(layer, bits=16, x=X, **options):
    return nd.derive(layer, CHIP, calibration=x, bits=bits, **options)


def both(layer, made, x=X, executor="numpy"):
    """Spikes and states of the float layer and of its derived network, in the unit of the float layer."""
    states = list(made.layers[0].kind.plain.states)
    layer.record_states = True
    layer.reset_states()
    with torch.no_grad():
        wanted = layer(torch.as_tensor(x)).numpy()
    run = nd.simulate(nd.place_identity(made.network), made.encode(x), record=states, drain=0, executor=executor)
    found = {name: made.decode("neurons", name, run.states["neurons"][name]) for name in states}
    spikes = made.decode("neurons", "spike", run.counts["neurons"])
    return wanted, spikes, {name: layer.recordings[name].numpy() for name in states}, found


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_in_24_bits_does_what_it_does_in_floats(name):
    layer = LAYERS[name]()
    wanted, spikes, states, found = both(layer, derived(layer, 24))
    assert np.abs(wanted).sum() > 0
    assert np.abs(spikes - wanted).max() < 1e-4
    for state, values in states.items():
        assert np.abs(found[state] - values).max() < 1e-4 * max(1, np.abs(values).max()), state


@pytest.mark.parametrize("name", LAYERS)
def test_every_executor_runs_a_derived_text(name):
    made = derived(LAYERS[name]())
    placed, counts = nd.place_identity(made.network), made.encode(X[:20])
    record = list(made.layers[0].kind.states)
    runs = [nd.simulate(placed, counts, record=record, executor=e) for e in ("reference", "numpy", "torch")]
    for other in runs[1:]:
        assert np.array_equal(runs[0].counts["neurons"], other.counts["neurons"])
        assert all(np.array_equal(runs[0].states["neurons"][n], other.states["neurons"][n]) for n in record)


@pytest.mark.parametrize("name", LAYERS)
def test_intervals_prove_that_every_state_stays_in_its_register(name):
    made = derived(LAYERS[name]())
    kind = made.network.chip.neurons[made.layers[0].kind.name]
    assert kind.handlers["step"].unproved == frozenset()


def test_a_derived_text_can_be_read():
    text = derived(Leaky(SIZE, beta=0.875)).layers[0].text
    assert "#   v = keep * v + x" in text
    assert "#   threshold: unsigned" in text
    assert "fired = 1 if v > threshold else 0" in text
    assert "v = sat(" in text


def test_narrower_registers_make_larger_errors():
    layer = LIF(SIZE, tau_mem=20.0, norm_input=False, threshold=8.0)
    off = {
        bits: np.abs(f["v"] - s["v"]).max() for bits in (10, 16) for _, _, s, f in [both(layer, derived(layer, bits))]
    }
    assert off[10] > 8 * off[16]


@pytest.mark.parametrize("rounding", ["nearest", "floor", "to_zero"])
def test_the_rounding_is_that_which_is_stated(rounding):
    made = derived(Leaky(SIZE, beta=0.9), rounding=rounding)
    operator = {"nearest": "round_half_even(", "floor": " >> ", "to_zero": "shift_to_zero("}
    text = "\n".join(line for line in made.layers[0].text.splitlines() if not line.startswith("#"))
    assert [word for word, sign in operator.items() if sign in text] == [rounding]


def network():
    torch.manual_seed(2)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 8, bias=False),
        ALIF(8, tau_mem=8.0, tau_adapt=20.0, norm_input=False, rec_connect=torch.nn.Linear(8, 8, bias=False)),
        torch.nn.Linear(8, SIZE),
        LIF(SIZE, tau_mem=8.0, norm_input=False, threshold=0.5),
    )


def test_a_whole_network_spikes_as_in_floats():
    model, counts = network(), np.random.default_rng(0).poisson(0.7, (STEPS, 4, 4))
    made = nd.derive(model, CHIP, calibration=counts, bits=24)
    run = nd.simulate(nd.place_identity(made.network), counts, drain=0)
    with torch.no_grad():
        wanted = model(torch.as_tensor(counts, dtype=torch.float32)).numpy()
    assert wanted.sum() > 20
    assert np.array_equal(run.counts["3"], wanted)


def test_maps_and_pooling_stay_what_they_are():
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Unflatten(2, (1, 6, 6)),
        nd.layers.PerStep(torch.nn.Conv2d(1, 2, 3, padding=1, bias=False)),
        Leaky((2, 6, 6), beta=0.5, threshold=0.2),
        nd.layers.PerStep(torch.nn.AvgPool2d(2)),
        nd.layers.PerStep(torch.nn.Conv2d(2, 2, 2)),
        Leaky((2, 2, 2), beta=0.5, threshold=0.02),
        torch.nn.Flatten(2),
        torch.nn.Linear(8, 2, bias=False),
        Leaky(2, beta=0.5, threshold=0.02),
    )
    for parameter in model.parameters():
        parameter.data.abs_()
    counts = np.random.default_rng(0).poisson(1.0, (20, 2, 36))
    made = nd.derive(model, CHIP, calibration=counts, bits=24)
    run = nd.simulate(nd.place_identity(made.network), counts, drain=0)
    with torch.no_grad():
        wanted = model(torch.as_tensor(counts, dtype=torch.float32)).numpy()
    assert wanted.sum() > 5
    assert np.array_equal(run.counts["8"], wanted)


def test_widths_can_be_those_of_a_layer():
    counts = np.random.default_rng(0).poisson(0.7, (10, 1, 4))
    made = nd.derive(network(), CHIP, calibration=counts, bits={"1": Bits(state=12, parameter=10, weight=6)})
    first, last = (layer.kind.states["v"].bits for layer in made.layers)
    assert (first, last) == (12, CHIP.file.programmable.bits)
    assert max(w.format.bits for w in made.layers[0].weights) == 6


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bits": 99}, "99 bits"),
        ({"rounding": "up"}, "one of nearest, floor, to_zero"),
    ],
)
def test_what_the_machine_has_not_is_refused(options, words):
    with pytest.raises(Refusal, match=words):
        nd.derive(Leaky(SIZE, beta=0.9), CHIP, calibration=X, **options)


@pytest.mark.parametrize(
    ("x", "words"),
    [(np.zeros((4, 1, 5)), "with 3 values"), (np.zeros((0, 1, 3)), "shape"), (np.full((4, 1, 3), np.nan), "NaN")],
)
def test_calibration_that_says_nothing_is_refused(x, words):
    with pytest.raises(Refusal, match=f"ND1704|{words}"):
        nd.derive(Leaky(SIZE, beta=0.9), CHIP, calibration=x)


@pytest.mark.parametrize("name", ["LIF", "ALIF", "Leaky", "own"])
def test_a_threshold_fits_where_calibration_never_reached_it(name):
    layer = LAYERS[name]()
    made = derived(layer, 16, X / 64)
    assert made.layers[0].kind.course.spikes.sum() == 0
    kind = made.layers[0].kind
    form = kind.states["v"]
    assert form.interval.high * form.step > kind.plain.constants["threshold"].max()


def test_a_chip_with_neurons_of_its_own_is_refused():
    with pytest.raises(Refusal, match="programmable"):
        nd.derive(Leaky(SIZE, beta=0.9), nd.chip("loihi2"), calibration=X)


def test_an_input_beyond_its_register_is_refused():
    made = derived(Leaky(SIZE, beta=0.9))
    made.encode(X)
    with pytest.raises(Refusal, match="ND1302"):
        made.encode(9 * X)


class Curved(Neuron):
    """Each state is a curve of the input, or a quotient of two numbers that change."""

    states = {"grown": 0.0, "doubled": 0.0, "gone": 0.0, "ratio": 0.0}  # noqa: RUF012
    step = """
grown = exp(x)
doubled = exp2(x - 1)
gone = expm1(0.125 * x)
ratio = x / (x + 3)
spike = above(grown + doubled + gone + ratio, 1)
"""


@pytest.mark.parametrize(("bits", "within"), [(16, 2.0**-11), (24, 2.0**-18), (30, 2.0**-19)])
def test_curves_are_as_exact_as_their_registers(bits, within):
    x = np.linspace(-2.5, 2.5, 301).reshape(-1, 1, 1).astype(np.float32)
    made = derived(Curved(1), bits, x)
    _, _, states, found = both(Curved(1), made, x)
    assert set(states) == {"grown", "doubled", "gone", "ratio"}
    for name, values in states.items():
        assert np.abs(found[name] - values).max() <= within * max(1.0, np.abs(values).max()), name


def test_an_exponential_neuron_fires_where_it_does_in_floats():
    x = np.full((500, 1, 2), [10.0, 14.0], np.float32)
    layer = ExpIF(2, dt=0.1)
    wanted, spikes, _, _ = both(layer, derived(layer, 24, x), x)
    assert wanted.sum() > 6
    assert np.array_equal(spikes, wanted)


def test_what_lies_beyond_the_threshold_needs_no_bits():
    x = np.full((300, 1, 1), 14.0, np.float32)
    kind = derived(ExpIF(1, dt=0.1), 16, x).layers[0].kind
    assert kind.course.reach["change"].high > 1e20  # it starts above the threshold, where the upswing has no end
    assert kind.largest["change"] < 1e3
    assert kind.states["v"].fraction == 8


class Rounded(Neuron):
    """It rounds in its step."""

    states = {"v": 0.0}  # noqa: RUF012
    step = "v = round(v + x)\nspike = above(v, 3)\nv = v - 3 * spike"


def test_an_operator_without_a_form_in_whole_numbers_is_refused():
    with pytest.raises(Refusal, match="round in a step"):
        derived(Rounded(SIZE))
    assert derived(Swing(SIZE)).layers


def test_the_same_model_gives_the_same_bytes():
    first, second = (nd.network.file.pack_network(derived(Leaky(SIZE, beta=0.9)).network) for _ in range(2))
    assert first == second

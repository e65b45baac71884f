"""LIF, IAF and Delay against loops written out here, one neuron at a time, in plain Python floats."""

import collections
import copy
import math
import random
import time

import pytest
import torch

from neurodeploy.layers import IAF, LIF, Delay

torch.set_num_threads(1)

T, BATCH, N = 15, 2, 5


def plain_loop(x, *, alpha_mem, alpha_syn, gain, threshold, bias, weights, options):
    """Nested lists x[t][b][n] -> spikes, currents, membranes; every rule spelled out per neuron."""
    batch, neurons = len(x[0]), len(x[0][0])
    i = [[0.0] * neurons for _ in range(batch)]
    v = [[0.0] * neurons for _ in range(batch)]
    last = None
    spikes, currents, membranes = [], [], []
    for row in x:
        now = [[0.0] * neurons for _ in range(batch)]
        for b in range(batch):
            for n in range(neurons):
                total = row[b][n]
                if weights is not None and last is not None:
                    total = total + sum(weights[n][m] * last[b][m] for m in range(neurons))
                current = total
                if alpha_syn is not None:
                    i[b][n] = alpha_syn[n] * (i[b][n] + total)
                    current = i[b][n]
                u = alpha_mem[n] * v[b][n] + gain[n] * current + bias[n]
                if options["comparison"] == ">=":
                    count = max(math.floor(u / threshold[n]), 0)
                else:
                    count = max(math.ceil(u / threshold[n]) - 1, 0)
                if options["max_spikes"] is not None:
                    count = min(count, options["max_spikes"])
                if options["reset"] == "subtract":
                    u = u - count * threshold[n]
                elif count > 0:
                    u = options["reset_value"]
                if options["v_min"] is not None and u < options["v_min"]:
                    u = options["v_min"]
                v[b][n], now[b][n] = u, float(count)
        last = now
        spikes.append(now)
        currents.append(copy.deepcopy(i))
        membranes.append(copy.deepcopy(v))
    return [torch.tensor(values, dtype=torch.float64) for values in (spikes, currents, membranes)]


def random_case(seed):
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    pick = rng.choice

    def per_neuron(low, high):
        return [rng.uniform(low, high) for _ in range(N)]

    reset = pick(["subtract", "zero", "value"])
    options = {
        "max_spikes": pick([None, 1, 2, 31]),
        "reset": reset,
        "reset_value": pick([-0.3, 0.25]) if reset == "value" else 0.0,
        "comparison": pick([">=", ">"]),
        "v_min": pick([None, -0.4, 0.0]),
    }
    case = {
        "leaky": pick([True, True, False]),
        "tau_mem": per_neuron(2, 20),
        "tau_syn": pick([None, per_neuron(1, 8)]),
        "threshold": per_neuron(0.3, 1.5),
        "bias": pick([None, per_neuron(-0.2, 0.3)]),
        "norm_input": pick([True, False]),
        "weights": pick([None, [per_neuron(-0.4, 0.3) for _ in range(N)]]),
        "options": options,
    }
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(T, BATCH, N, generator=generator, dtype=torch.float64) * 2 + 1
    return case, x


def layer_of(case, **more):
    def tensor(values):
        return None if values is None else torch.tensor(values, dtype=torch.float64)

    given = {name: tensor(case[name]) for name in ("tau_syn", "threshold", "bias")} | case["options"] | more
    if case["weights"] is not None:
        given["rec_connect"] = torch.nn.Linear(N, N, bias=False, dtype=torch.float64)
        with torch.no_grad():
            given["rec_connect"].weight.copy_(tensor(case["weights"]))
    if case["leaky"]:
        return LIF(N, tensor(case["tau_mem"]), norm_input=case["norm_input"], **given)
    return IAF(N, **given)


def expected_of(case, x):
    alpha_mem = [math.exp(-1 / tau) if case["leaky"] else 1.0 for tau in case["tau_mem"]]
    return plain_loop(
        x.tolist(),
        alpha_mem=alpha_mem,
        alpha_syn=None if case["tau_syn"] is None else [math.exp(-1 / tau) for tau in case["tau_syn"]],
        gain=[1 - alpha if case["leaky"] and case["norm_input"] else 1.0 for alpha in alpha_mem],
        threshold=case["threshold"],
        bias=case["bias"] or [0.0] * N,
        weights=case["weights"],
        options=case["options"],
    )


@pytest.mark.parametrize("seed", range(120))
def test_layers_equal_the_loop_written_out(seed):
    case, x = random_case(seed)
    layer = layer_of(case, record_states=True)
    spikes, currents, membranes = expected_of(case, x)
    found = layer(x)
    assert found.dtype is torch.float64
    assert torch.equal(found, spikes)
    assert torch.allclose(layer.recordings["v"], membranes, rtol=1e-12, atol=1e-12)
    assert set(layer.recordings) == ({"v"} if case["tau_syn"] is None else {"i", "v"})
    if case["tau_syn"] is not None:
        assert torch.allclose(layer.recordings["i"], currents, rtol=1e-12, atol=1e-12)
    assert spikes.sum() > 0


def test_the_cases_reach_every_option():
    seen = collections.Counter()
    for seed in range(120):
        case, x = random_case(seed)
        spikes, _, membranes = expected_of(case, x)
        options = case["options"]
        seen.update((name, options[name]) for name in ("reset", "comparison", "max_spikes"))
        seen.update((name, case[name]) for name in ("leaky", "norm_input"))
        seen.update((name, case[name] is None) for name in ("tau_syn", "weights", "bias"))
        seen["capped"] += options["max_spikes"] is not None and bool((spikes == options["max_spikes"]).any())
        seen["held"] += options["v_min"] is not None and bool((membranes == options["v_min"]).any())
    assert len(seen) == 3 + 2 + 4 + 2 + 2 + 2 + 2 + 2 + 2
    assert min(seen.values()) >= 15


@pytest.mark.parametrize("seed", range(12))
def test_two_calls_equal_one(seed):
    case, x = random_case(seed)
    layer = layer_of(case)
    whole = layer(x)
    layer.reset_states()
    parts = torch.cat([layer(x[:4]), layer(x[4:5]), layer(x[5:])])
    assert torch.equal(parts, whole)


@pytest.mark.parametrize("seed", range(12))
def test_float32_equals_float64_within_its_rounding(seed):
    case, x = random_case(seed)
    double, single = layer_of(case, record_states=True), layer_of(case, record_states=True).float()
    spikes = double(x)
    found = single(x.float())
    assert found.dtype is torch.float32
    same = (spikes == found.double()).all(0)  # a rounding may decide a spike; columns with none must agree closely
    assert same.float().mean() > 0.5
    if case["weights"] is None:
        difference = (double.recordings["v"] - single.recordings["v"].double()).abs().amax(0)
        assert difference[same].max() < 1e-4


def test_a_reset_forgets_the_past():
    layer = LIF(3, 8.0, rec_connect=torch.nn.Linear(3, 3))
    x = torch.rand(6, 2, 3) * 9
    first = layer(x)
    continued = layer(x)
    layer.reset_states()
    assert torch.equal(layer(x), first)
    assert not torch.equal(continued, first)


def test_the_recurrent_term_is_zero_at_the_first_step_even_with_a_bias():
    back = torch.nn.Linear(1, 1)
    with torch.no_grad():
        back.weight.fill_(0.0)
        back.bias.fill_(1.0)
    layer = IAF(1, rec_connect=back)
    assert layer(torch.zeros(3, 1, 1)).flatten().tolist() == [0, 1, 1]
    assert layer(torch.zeros(1, 1, 1)).flatten().tolist() == [1]  # kept between calls
    layer.reset_states()
    assert layer(torch.zeros(1, 1, 1)).flatten().tolist() == [0]


@pytest.mark.parametrize(("comparison", "spikes"), [(">=", [0, 1, 1, 2, 3]), (">", [0, 0, 1, 1, 2])])
def test_the_comparison_decides_at_the_threshold(comparison, spikes):
    layer = IAF(1, threshold=0.5, comparison=comparison)
    found = []
    for v in (0.4921875, 0.5, 0.5078125, 1.0, 1.5):
        layer.reset_states()
        found.append(int(layer(torch.full((1, 1, 1), v))))
    assert found == spikes


@pytest.mark.parametrize(("most", "spikes"), [(None, 7), (31, 7), (7, 7), (6, 6), (1, 1)])
def test_max_spikes_leaves_the_rest_in_the_membrane(most, spikes):
    layer = IAF(1, max_spikes=most, record_states=True)
    assert layer(torch.full((1, 1, 1), 7.5)).item() == spikes
    assert layer.recordings["v"].item() == 7.5 - spikes


def test_only_neurons_that_fired_take_the_reset_value():
    layer = IAF(2, reset="value", reset_value=-0.5, record_states=True)
    layer(torch.tensor([[[1.25, 0.75]]]))
    assert layer.recordings["v"].flatten().tolist() == [-0.5, 0.75]


def test_v_min_acts_after_the_reset():
    layer = IAF(1, reset="value", reset_value=-2.0, v_min=-1.0, record_states=True)
    layer(torch.full((1, 1, 1), 1.0))
    assert layer.recordings["v"].item() == -1.0


def test_recordings_are_copies_of_the_end_of_each_step():
    layer = IAF(1, record_states=True)
    x = torch.full((2, 1, 1), 0.75)
    layer(x)
    x.fill_(9.0)
    kept = layer.recordings["v"]
    layer(torch.full((2, 1, 1), 0.25))
    assert kept.flatten().tolist() == [0.75, 0.5]
    assert layer.recordings["v"].flatten().tolist() == [0.75, 0.0]


def test_without_record_states_nothing_is_recorded():
    layer = IAF(1)
    layer(torch.ones(2, 1, 1))
    assert layer.recordings == {}


def test_integer_counts_are_taken_as_numbers():
    layer = LIF(3, 4.0)
    counts = torch.randint(0, 9, (7, 2, 3))
    found = layer(counts)
    layer.reset_states()
    assert torch.equal(found, layer(counts.float()))
    assert found.sum() > 0


def test_parameters_broadcast_over_the_neuron_dimensions():
    threshold = torch.tensor([1.0, 2.0, 4.0]).reshape(3, 1, 1)
    found = IAF((3, 2, 2), threshold=threshold)(torch.full((1, 5, 3, 2, 2), 4.0))
    assert found.shape == (1, 5, 3, 2, 2)
    assert found[0, 4, :, 1, 0].tolist() == [4, 2, 1]


def test_no_steps_give_no_spikes_and_keep_the_state():
    layer = IAF(1, record_states=True)
    layer(torch.full((1, 1, 1), 0.75))
    assert layer(torch.zeros(0, 1, 1)).shape == (0, 1, 1)
    assert layer.recordings["v"].shape == (0, 1, 1)
    assert layer(torch.full((1, 1, 1), 0.25)).item() == 1


def test_layers_stand_in_sequential():
    model = torch.nn.Sequential(
        torch.nn.Linear(16, 100, bias=False),
        LIF(100, tau_mem=16, tau_syn=4, norm_input=False, max_spikes=31),
        Delay(1),
        torch.nn.Linear(100, 4),
        IAF(4, v_min=-1.0),
    )
    torch.manual_seed(0)
    found = model(torch.rand(20, 3, 16) * 4)
    found.sum().backward()
    assert found.shape == (20, 3, 4)
    assert model[0].weight.grad.abs().sum() > 0


def test_a_recurrent_step_is_fast_enough_to_train():
    layer = LIF(126, 16.0, tau_syn=4.0, max_spikes=31, rec_connect=torch.nn.Linear(126, 126, bias=False))
    x = torch.rand(20, 64, 126)
    taken = []
    for _ in range(5):
        layer.reset_states()
        start = time.perf_counter()
        layer(x).sum().backward()
        taken.append(time.perf_counter() - start)
    assert min(taken) < 0.1  # 5 ms measured; room for a busy machine

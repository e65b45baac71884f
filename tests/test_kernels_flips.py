"""Networks with products of spikes against those with matrix products: equal up to the first spike that rounding moves.

Both sum the same numbers in another order. The looped executor with torch.nn.Linear is the reference. Where a spike
differs for the first time in a sample, the membrane that decided it lies within 8 ulp of the threshold in both: one ulp
is the distance from the threshold's absolute value to the next larger number of the float type. This is no theorem:
rounding is that of the largest membrane and partial sum on the way, here up to some tens of thresholds.

Weights on a grid of 0.05, which no float holds exactly, put membranes onto the threshold but for their rounding.
"""

import itertools

import numpy as np
import pytest
import torch
from kernel_comparison import NUMBA

from neurodeploy.layers import EventLinear, Neuron

torch.set_num_threads(1)

MOST = 8  # ulp
GRID, GAIN = 0.05, 1.6
#: sizes, share of input spikes, what is kept of the membrane in a step, seeds; the flips that must be seen
CASES = {
    "no leak": ((256, 64, 64), 0.05, 1.0, 4, 50),
    "large fan-in": ((1024, 256, 64), 0.1, 1.0, 3, 50),
    "leak": ((1024, 256, 64), 0.1, 0.5, 3, 15),
    "largest fan-in": ((4096, 64, 32), 0.14, 0.5, 3, 3),
}
STEPS, BATCH = 60, 16


class Seen(Neuron):
    """LIF neurons that show the membrane at which they decide."""

    step = """
v = keep * v + x
seen = v
spike = at_or_above(v, threshold)
v = v - spike * threshold
"""

    def __init__(self, size, keep, threshold, dtype):
        given = {"keep": keep, "threshold": threshold}
        tensors = {name: torch.tensor(value, dtype=dtype) for name, value in given.items()}
        super().__init__((size,), states={"v": 0.0, "seen": 0.0}, tensors=tensors, options={}, record_states=True)


def networks(sizes, keep, dtype, *, seed, grid, threshold=1.0):
    """The same network twice: matrix products and the looped executor; products of spikes and the kernels."""
    generator, found = torch.Generator().manual_seed(seed), ([], [])
    for inputs, outputs in itertools.pairwise(sizes):
        weight = torch.randn(outputs, inputs, generator=generator, dtype=torch.float64) * GAIN * inputs**-0.5
        weight = (weight / grid).round() * grid if grid else weight
        for layers, kind, executor in zip(found, (torch.nn.Linear, EventLinear), ("torch", "numba"), strict=True):
            linear = kind(inputs, outputs, bias=False, dtype=dtype)
            linear.weight.data = (weight * threshold).to(dtype)
            neurons = Seen(outputs, keep, threshold, dtype)
            neurons.executor = executor
            layers += [linear, neurons]
    return found


def run(layers, x):
    """Spikes and deciding membranes of each layer of neurons, (time, batch, neuron) each."""
    found = []
    for layer in layers:
        x = layer(x)
        if isinstance(layer, Seen):
            found.append((x, layer.recordings["seen"]))
    return found


def first_flips(one, other, threshold):
    """Distances in ulp, of both membranes, at the first spikes that differ in a sample; and how many were compared."""
    ulp, distances, compared = np.spacing(np.asarray(abs(threshold), one[0][0].detach().numpy().dtype)), [], 0
    widths = sum(spikes.shape[2] for spikes, _ in one)
    for sample in range(BATCH):
        differ = [(a[:, sample] != b[:, sample]).nonzero() for (a, _), (b, _) in zip(one, other, strict=True)]
        found = [(int(places[0, 0]), layer) for layer, places in enumerate(differ) if len(places)]
        compared += (min(found)[0] if found else STEPS) * widths
        if found:
            step, layer = min(found)
            for where in differ[layer][differ[layer][:, 0] == step][:, 1]:
                both = [float(run[layer][1][step, sample, where]) for run in (one, other)]
                distances.append(max(abs(v - threshold) for v in both) / float(ulp))
    return distances, compared


def compare(case, dtype, threshold=1.0, wrong=0.0):
    sizes, rate, keep, seeds, _ = CASES[case]
    distances, compared = [], 0
    for seed in range(seeds):
        dense, sparse = networks(sizes, keep, dtype, seed=seed, grid=GRID, threshold=threshold)
        sparse[0].weight.data.mul_(1 + wrong)
        drawn = torch.rand(STEPS, BATCH, sizes[0], generator=torch.Generator().manual_seed(100 + seed))
        x = (drawn < rate).to(dtype)
        with torch.no_grad():
            found, more = first_flips(run(dense, x), run(sparse, x), float(torch.tensor(threshold, dtype=dtype)))
        distances, compared = distances + found, compared + more
    return distances, compared


#: every case in both types, each with one of the thresholds, in turn
JUDGED = [
    pytest.param(case, dtype, threshold, marks=pytest.mark.long if (i + j + k) % 2 else ())
    for i, case in enumerate(CASES)
    for j, dtype in enumerate((torch.float32, torch.float64))
    for k, threshold in enumerate((1.0, 0.3))
]


@NUMBA
@pytest.mark.parametrize(("case", "dtype", "threshold"), JUDGED, ids=str)
def test_the_first_spike_that_moves_was_decided_by_rounding(case, dtype, threshold):
    distances, compared = compare(case, dtype, threshold)
    assert len(distances) >= CASES[case][-1]
    assert compared >= 10_000
    assert max(distances) > 0
    assert max(distances) <= MOST


@NUMBA
def test_a_product_that_is_slightly_wrong_moves_spikes_further():
    distances, _ = compare("large fan-in", torch.float32, wrong=1e-5)
    assert max(distances) > MOST


@NUMBA
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)], ids=str)
@pytest.mark.parametrize("sizes", [(128, 256, 10), (1024, 64, 16)], ids=str)
def test_where_no_spike_moves_the_gradients_are_equal(sizes, dtype, tolerance):
    networks_of = networks(sizes, 0.9, dtype, seed=0, grid=None)
    drawn = torch.rand(STEPS, BATCH, sizes[0], generator=torch.Generator().manual_seed(1))
    results, gradients = [], []
    for layers in networks_of:
        x = (drawn < 0.08).to(dtype).requires_grad_()
        results.append(run(layers, x))
        weigh = torch.linspace(-1, 1, sizes[-1], dtype=dtype)
        wanted = [x, *(layer.weight for layer in layers[::2])]
        gradients.append(torch.autograd.grad((results[-1][-1][0] * weigh).sum(), wanted))
    for (one, _), (other, _) in zip(*results, strict=True):
        assert torch.equal(one, other)
        assert one.mean() > 0.01
    for one, other in zip(*gradients, strict=True):
        assert one.abs().max() > 0
        assert torch.allclose(one, other, rtol=0, atol=tolerance * one.abs().max().item())

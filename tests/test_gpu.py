"""Executors on a CUDA device: the same bits as on the processor. Run with ``pytest -m gpu`` where there is one."""

import importlib.util

import numpy as np
import pytest
import torch
from random_networks import Options, random_counts, random_network
from test_equal_executors import TARGETS, differing, everything

from neurodeploy.layers import LIF
from neurodeploy.simulator import simulate
from neurodeploy.simulator.tensors.run import exact_products

DEVICE = "cuda"
pytestmark = pytest.mark.gpu
SMALL = Options(hidden=(1, 12), steps=(6, 12), groups=3, corners=0.3, doubled=0.1, links=(0, 2))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", TARGETS)
def test_tensors_on_a_device_are_the_reference_in_every_bit(name, seed):
    rng = np.random.default_rng(seed)
    network = random_network(TARGETS[name], rng, SMALL)
    x = {n: np.repeat(v[:, :1], 3, 1) * [[[1], [0], [1]]] for n, v in random_counts(network, rng, SMALL).items()}
    options = {"record": everything(network), "raw": True}
    found = simulate(network, x, executor="torch", device=DEVICE, **options)
    assert torch.device(found.how.device).type == torch.device(DEVICE).type
    assert differing(found, simulate(network, x, executor="reference", **options)) == []


@pytest.mark.parametrize(("dtype", "bits"), [(torch.float32, 24), (torch.float64, 53)], ids=str)
def test_products_below_the_bound_of_a_type_are_exact_whatever_the_process_has_set(dtype, bits):
    rng = np.random.default_rng(0)
    most = (1 << bits) // (32 * 300)
    left, right = rng.integers(0, 32, (70, 300)), rng.integers(-most, most, (300, 90))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with exact_products():
            found = torch.tensor(left, dtype=dtype, device=DEVICE) @ torch.tensor(right, dtype=dtype, device=DEVICE)
    finally:
        torch.set_float32_matmul_precision(before)
    assert np.array_equal(found.cpu().numpy().astype(np.int64), left @ right)


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_a_layer_on_a_device_fires_and_learns_as_the_looped_one_does():
    results = []
    for device, executor in ((DEVICE, "auto"), ("cpu", "torch")):
        torch.manual_seed(0)
        layer = LIF(40, 5.0, max_spikes=1).to(device)
        layer.executor = executor
        x = (torch.rand(30, 8, 40) * 0.6).to(device).requires_grad_()
        spikes = layer(x)
        (spikes * torch.linspace(0, 1, 40, device=device)).sum().backward()
        results.append((spikes.detach().cpu(), x.grad.cpu()))
    (spikes, slope), (expected, wanted) = results
    assert expected.any()
    assert torch.equal(spikes, expected)
    assert torch.allclose(slope, wanted, rtol=1e-4, atol=1e-6)

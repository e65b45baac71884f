"""Products of spikes against the matrix product, and memory that is used again."""

import gc
import importlib.util
import json

import pytest
import torch

from neurodeploy.kernels import memory
from neurodeploy.layers import EventLinear, build

torch.set_num_threads(1)
NUMBA = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason='numba is not installed: pip install "neurodeploy[fast]"'
)


def everything(layer, x, arriving):
    x = x.clone().requires_grad_()
    y = layer(x)
    return [y, *torch.autograd.grad(y, (x, *layer.parameters()), arriving)]


@NUMBA
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str)
@pytest.mark.parametrize("density", [0.0, 0.03, 0.1, 0.9])
@pytest.mark.parametrize(("inputs", "outputs"), [(37, 5), (16, 64), (3, 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_products_of_spikes_equal_the_matrix_product(dtype, tolerance, density, inputs, outputs, bias):
    torch.manual_seed(inputs)
    x = torch.randint(1, 4, (7, 3, inputs)).to(dtype) * (torch.rand(7, 3, inputs) < density)
    layer = EventLinear(inputs, outputs, bias=bias, dtype=dtype)
    twin = torch.nn.Linear(inputs, outputs, bias=bias, dtype=dtype)
    twin.load_state_dict(layer.state_dict())
    arriving = torch.randn(7, 3, outputs, dtype=dtype)
    for one, other in zip(everything(layer, x, arriving), everything(twin, x, arriving), strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, rtol=tolerance, atol=tolerance)


@NUMBA
def test_the_number_of_threads_changes_nothing():
    torch.manual_seed(0)
    x = (torch.rand(600, 2, 160) < 0.1).float()
    layer, arriving = EventLinear(160, 96), torch.randn(600, 2, 96)
    alone = everything(layer, x, arriving)
    torch.set_num_threads(2)
    try:
        together = everything(layer, x, arriving)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(alone[0], together[0])
    assert torch.equal(alone[2], together[2])


@NUMBA
@pytest.mark.parametrize(
    ("rows", "inputs", "outputs"), [(1030, 20, 300), (1030, 600, 257), (511, 20, 256), (5000, 9, 3)]
)
def test_parts_of_the_weights_gradient_add_up(rows, inputs, outputs):
    torch.manual_seed(rows)
    x = torch.randint(1, 4, (rows, inputs)).double() * (torch.rand(rows, inputs) < 0.1)
    layer, arriving = EventLinear(inputs, outputs, bias=False, dtype=torch.float64), torch.randn(rows, outputs).double()
    (found,) = torch.autograd.grad(layer(x), layer.weight, arriving)
    assert torch.allclose(found, arriving.t() @ x, rtol=1e-12, atol=1e-12)


def test_an_event_layer_is_restored_from_its_description():
    layer = EventLinear(5, 4, bias=False, dtype=torch.float64)
    twin = build(json.loads(json.dumps(layer.describe())))
    twin.load_state_dict(layer.state_dict())
    assert isinstance(twin, EventLinear)
    assert twin.describe() == layer.describe()
    x = torch.ones(2, 3, 5, dtype=torch.float64)
    assert torch.equal(twin(x), layer(x))


def test_other_types_take_the_matrix_product():
    layer = EventLinear(5, 4).to(torch.bfloat16)
    x = torch.ones(2, 5, dtype=torch.bfloat16)
    assert torch.equal(layer(x), torch.nn.functional.linear(x, layer.weight, layer.bias))


def test_large_memory_is_used_again_when_its_last_tensor_is_gone():
    size = memory.LARGE + 256
    first = memory.empty((size // 4,), torch.float32)
    place, part = first.data_ptr(), first[3:]
    del first
    gc.collect()
    other = memory.empty((size // 4,), torch.float32)
    assert other.data_ptr() != place  # a part is still in use
    del part
    gc.collect()
    again = memory.empty((size // 8,), torch.float64)
    assert again.data_ptr() == place
    assert again.data_ptr() % memory.ALIGNED == 0


def test_idle_memory_has_a_limit(monkeypatch):
    monkeypatch.setattr(memory, "MOST_IDLE", 3 * memory.LARGE)
    tensors = [memory.empty((memory.LARGE + 64 * k,), torch.uint8) for k in range(6)]
    assert all(tensor.numel() >= memory.LARGE for tensor in tensors)
    del tensors
    gc.collect()
    assert 0 < sum(block.nbytes for block in memory._idle) <= memory.MOST_IDLE

"""Layers run where their input is: on torch's device "meta", whose tensors have a type and a shape and no values.

There an operation on tensors of two devices raises, and so does whatever asks for a value or brings a tensor to the
processor. A layer that passes here makes its tensors where its input is.
"""

import pytest
import torch
from neuron_variants import N, neuron_classes, said, variants

from neurodeploy.layers import Delay, EventLinear, Leaky, Neuron, SparseLinear
from neurodeploy.layers.surrogates import SURROGATES

T, BATCH, DEVICE = 4, 2, "meta"
#: the defaults, and as many options together as a class takes, in two orders
CASES = [(kind, variants(kind)[place]) for kind in neuron_classes() for place in (0, -2, -1)]


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Calls for which "auto" would take the kernels on the processor."""
    monkeypatch.setattr(Neuron, "AUTO", 1)


def trained(layer, shape, dtype):
    """Two calls of a layer and the gradient of what they return."""
    layer.to(DEVICE)
    for name in getattr(layer, "_tensors", ()):
        getattr(layer, name).requires_grad_()
    x = torch.randn(2 * T, BATCH, *shape, device=DEVICE, dtype=dtype).requires_grad_()
    outputs = [layer(part) for part in x.split(T)]
    values = [*outputs, *getattr(layer, "_state", {}).values(), *getattr(layer, "recordings", {}).values()]
    gradients = torch.autograd.grad(sum(value.sum() for value in values), [x, *layer.parameters()], allow_unused=True)
    found = [*values, *(gradient for gradient in gradients if gradient is not None)]
    assert {value.device.type for value in found} == {DEVICE}
    assert {value.dtype for value in found} == {dtype}
    assert outputs[0].shape == x[:T].shape
    assert gradients[0] is not None


@pytest.mark.parametrize(("kind", "options"), CASES, ids=[f"{kind.__name__}-{said(o)}" for kind, o in CASES])
def test_every_neuron_stays_on_the_device(kind, options):
    layer = kind(N, **options, record_states=True)
    trained(layer, (N,), layer.dtype)


@pytest.mark.parametrize("surrogate", SURROGATES.values(), ids=list(SURROGATES))
def test_every_surrogate_stays_on_the_device(surrogate):
    trained(Leaky(N, 0.9, surrogate=surrogate()), (N,), torch.float32)


@pytest.mark.parametrize(
    "module",
    [lambda: torch.nn.Linear(N, N), lambda: SparseLinear(N, N, fan_out=2), lambda: EventLinear(N, N)],
    ids=["Linear", "SparseLinear", "EventLinear"],
)
def test_weights_before_and_within_a_layer_stay_on_the_device(module):
    trained(module(), (N,), torch.float32)
    trained(Leaky(N, 0.9, rec_connect=module()), (N,), torch.float32)


def test_delays_stay_on_the_device():
    trained(Delay(2), (N,), torch.float32)


def test_what_leaves_the_device_is_noticed():
    class Leaves(Leaky):
        def forward(self, x):
            return super().forward(x) + torch.ones(N)

    class Asks(Leaky):
        def forward(self, x):
            return super().forward(x) * x.max().item()

    class Fetches(Leaky):
        def forward(self, x):
            return super().forward(x.cpu())

    with pytest.raises(RuntimeError, match="Tensor on device cpu is not on the expected device meta"):
        trained(Leaves(N, 0.9), (N,), torch.float32)
    with pytest.raises(RuntimeError, match="cannot be called on meta tensors"):
        trained(Asks(N, 0.9), (N,), torch.float32)
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        trained(Fetches(N, 0.9), (N,), torch.float32)

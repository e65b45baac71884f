"""Recurrent layers on the generated kernels against the looped executor, for every class, option and surrogate."""

import pytest
import torch
from kernel_comparison import BATCH, NUMBA, TOLERANCE, T, compare, firing, plain  # noqa: F401 - plain is a fixture
from neuron_variants import N, neuron_classes, said, variants

from neurodeploy.errors import Refusal
from neurodeploy.kernels import sequence
from neurodeploy.layers import IAF, LIF, EventLinear, RLeaky, SparseLinear
from neurodeploy.layers.surrogates import SURROGATES

torch.set_num_threads(1)

#: shape of the neurons and a module for it
MODULES = {
    "linear": (N, lambda: torch.nn.Linear(N, N)),
    "linear-without-bias": (N, lambda: torch.nn.Linear(N, N, bias=False)),
    "sparse": (N, lambda: SparseLinear(N, N, fan_out=2)),
    "events": (N, lambda: EventLinear(N, N)),
    "one-to-one": (N, torch.nn.Identity),
    "rows": ((2, N), lambda: torch.nn.Linear(N, N)),
    "images": ((2, 4, N), lambda: torch.nn.Conv2d(2, 2, 3, padding=1)),
    "groups": ((2, 4, N), lambda: torch.nn.Conv2d(2, 2, (3, 1), padding=(2, 0), dilation=(2, 1), groups=2, bias=False)),
}
#: every neuron with every module and every surrogate, the types by turns: a hand runs the other type of each pair and
#: .ci/run every other surrogate
MODULE_CASES = [
    pytest.param(kind, shape, module, dtype, id=f"{kind.__name__}-{name}-{dtype}", marks=[pytest.mark.long] * other)
    for i, kind in enumerate(neuron_classes())
    for j, (name, (shape, module)) in enumerate(MODULES.items())
    for k, dtype in enumerate(TOLERANCE)
    for other in [(i + j + k) % 2]
]
SURROGATE_CASES = [
    pytest.param(kind, surrogate, dtype, id=f"{kind.__name__}-{name}-{dtype}", marks=marks)
    for i, kind in enumerate(neuron_classes())
    for j, (name, surrogate) in enumerate(SURROGATES.items())
    for k, dtype in enumerate(TOLERANCE)
    for marks in [[pytest.mark.long] if (i // 2 + j // 2 + k) % 2 else [pytest.mark.slow] * ((i + j) % 2)]
]


def recurrent(options, module):
    torch.manual_seed(11)
    rest = {name: value for name, value in options.items() if name != "rec_weight"}
    return rest | {"rec_connect": module()}


CASES = [(kind, options) for kind in neuron_classes() for options in variants(kind)]


@pytest.mark.slow  # the text is that of the layer without recurrence, whose options test_kernels.py covers
@pytest.mark.parametrize(("kind", "options"), CASES, ids=[f"{kind.__name__}-{said(o)}" for kind, o in CASES])
@pytest.mark.usefixtures("plain")
def test_every_option_of_every_recurrent_neuron_runs_alike(kind, options):
    compare(kind, recurrent(options, MODULES["linear"][1]), None, torch.float64, fire=True)


@pytest.mark.parametrize(("kind", "shape", "module", "dtype"), MODULE_CASES)
@pytest.mark.usefixtures("plain")
def test_every_recurrent_neuron_runs_alike_with_every_module(kind, shape, module, dtype):
    spikes, moved = compare(kind, recurrent(firing(kind), module), None, dtype, shape, fire=True)
    assert spikes != 0
    assert moved >= 2 + len(list(module().parameters()))


@pytest.mark.parametrize(("kind", "surrogate", "dtype"), SURROGATE_CASES)
@pytest.mark.usefixtures("plain")
def test_every_surrogate_of_every_recurrent_neuron_has_the_gradient_of_the_torch_executor(kind, surrogate, dtype):
    compare(kind, recurrent(variants(kind)[-1], MODULES["linear"][1]), surrogate(), dtype, fire=True)


@NUMBA
@pytest.mark.slow  # a compiler's time; .ci/run has it
@pytest.mark.parametrize("kind", neuron_classes(), ids=lambda kind: kind.__name__)
def test_every_recurrent_neuron_runs_alike_compiled(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("NEURODEPLOY_CACHE", str(tmp_path))
    sequence._kernels.cache_clear()
    compare(kind, recurrent(firing(kind), MODULES["linear"][1]), None, torch.float32, fire=True)
    sequence._kernels.cache_clear()


def trained(layer, x, executor):
    layer.executor = executor
    layer.reset_states()
    spikes, weigh = layer(x), torch.linspace(0, 1, len(x))[:, None, None]
    wanted = [parameter for parameter in layer.parameters() if parameter.requires_grad]
    return spikes.detach(), torch.autograd.grad((spikes * weigh).sum(), wanted)


@NUMBA
@pytest.mark.parametrize("module", [torch.nn.Linear, EventLinear])
@pytest.mark.parametrize("batch", [1, 7])
def test_the_spikes_of_a_large_layer_are_equal_to_the_last_bit(module, batch):
    torch.manual_seed(3)
    neurons = 77  # rows that begin anywhere in memory
    layer = LIF(neurons, 8.0, tau_syn=3.0, norm_input=False, rec_connect=module(neurons, neurons), train_tau=True)
    x = torch.randn(60, batch, neurons) * 0.6
    spikes, expected = trained(layer, x, "torch")
    found, gradients = trained(layer, x, "numba")
    assert spikes.sum() > 20 * neurons * batch / 7
    assert torch.equal(found, spikes)
    for one, other in zip(gradients, expected, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-5 * other.abs().max().item())


@pytest.mark.usefixtures("plain")
def test_without_gradients_and_with_frozen_parts_the_spikes_stay():
    torch.manual_seed(1)
    layer = IAF(N, rec_connect=torch.nn.Linear(N, N))
    x = torch.randn(9, 2, N) + 1
    expected, _ = trained(layer, x, "torch")
    layer.executor = "numba"
    for frozen in (True, False):
        layer.rec_connect.bias.requires_grad_(not frozen)
        layer.reset_states()
        with torch.no_grad():
            assert torch.equal(layer(x), expected)
        assert torch.equal(trained(layer, x, "numba")[0], expected)
    layer.rec_connect.requires_grad_(False)
    layer.reset_states()
    assert not layer(x).requires_grad


@pytest.mark.usefixtures("plain")
def test_weights_changed_between_the_passes_are_noticed():
    layer = IAF(N, rec_connect=torch.nn.Linear(N, N), executor="numba")
    spikes = layer(torch.ones(4, 1, N))
    with torch.no_grad():
        layer.rec_connect.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        spikes.sum().backward()


class Doubled(torch.nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def hooked():
    module = torch.nn.Linear(N, N)
    module.register_forward_hook(lambda *_: None)
    return module


REFUSED = {
    "a subclass": (N, Doubled, (N, N), "rec_connect, a Doubled, which is none of Linear, SparseLinear, EventLinear"),
    "an activation": (N, torch.nn.Tanh, (), "rec_connect, a Tanh, which is none of Linear"),
    "hooks": (N, hooked, (), "rec_connect with hooks"),
    "another type": (N, torch.nn.Linear, (N, N, True, None, torch.float64), "rec_connect of another float type"),
    "padding": ((2, 4, N), torch.nn.Conv2d, (2, 2, 3, 1, "same"), "rec_connect with padding 'same' of zeros"),
    "another width": (N, torch.nn.Linear, (N, N + 1), "rec_connect that changes the shape"),
    "another channel": ((2, 4, N), torch.nn.Conv2d, (2, 1, 3, 1, 1), "rec_connect that changes the shape"),
    "no padding": ((2, 4, N), torch.nn.Conv2d, (2, 2, 3), "rec_connect that changes the shape"),
}


@pytest.mark.parametrize(("shape", "module", "values", "words"), REFUSED.values(), ids=list(REFUSED))
@pytest.mark.usefixtures("plain")
def test_a_module_that_kernels_cannot_contain_is_refused_by_name(shape, module, values, words):
    layer = IAF(shape, rec_connect=module(*values), executor="numba")
    with pytest.raises(Refusal, match=f"it cannot run {words}"):
        layer(torch.ones(2, 1, *layer.shape))


@pytest.mark.parametrize("module", [lambda: Doubled(N, N), torch.nn.Tanh, hooked])
@pytest.mark.usefixtures("plain")
def test_auto_runs_such_a_module_step_by_step(module, monkeypatch):
    monkeypatch.setattr(IAF, "AUTO", 1)
    monkeypatch.setattr("neurodeploy.layers.neuron.run_kernels", None)
    layer = IAF(N, rec_connect=module())
    x = torch.rand(6, 2, N) * 2
    found = layer(x)
    layer.executor = "torch"
    layer.reset_states()
    assert torch.equal(found, layer(x))
    assert found.sum() > 0


@pytest.mark.usefixtures("plain")
def test_auto_takes_the_kernels_for_a_map_that_they_know(monkeypatch):
    monkeypatch.setattr(RLeaky, "AUTO", 1)
    monkeypatch.setattr(RLeaky, "_with_feedback", None)
    layer = RLeaky(N, 0.9, rec_connect=torch.nn.Linear(N, N))
    assert layer(torch.rand(6, 2, N) * 2).sum() > 0

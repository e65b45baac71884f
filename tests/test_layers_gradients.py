"""Gradients of the layers against loops of plain autograd operations, and what a kept state does to them."""

import copy
import math

import pytest
import torch

from neurodeploy.layers import IAF, LIF, Atan, FastSigmoid, PeriodicExponential, SingleExponential

torch.set_num_threads(1)

N = 5
SURROGATES = [SingleExponential(), SingleExponential(0.3, 2.0), PeriodicExponential(), FastSigmoid(), Atan()]


def stand_in(v, threshold, surrogate, spikes):
    """Value of the spikes, derivative of the surrogate: a straight line through v, built from plain autograd."""
    slope = surrogate.gradient(v.detach(), threshold)
    line = slope * (v - v.detach())
    return spikes + line


def autograd_loop(x, layer_options, alpha_mem, alpha_syn, bias, weight):
    threshold, surrogate = layer_options["threshold"], layer_options["surrogate"]
    most, v_min, reset = layer_options["max_spikes"], layer_options["v_min"], layer_options["reset"]
    i = v = torch.zeros_like(x[0])
    spike, outputs, membranes = None, [], []
    for row in x.unbind(0):
        total = row if spike is None else row + spike @ weight.T
        i = alpha_syn * (i + total)
        v = alpha_mem * v + (1 - alpha_mem) * i + bias
        count = torch.clamp(torch.floor(v.detach() / threshold), min=0)
        spike = stand_in(v, threshold, surrogate, count)
        if most is not None:
            spike = torch.where(count <= most, spike, torch.full_like(spike, most))
        v = v - spike * threshold if reset == "subtract" else torch.where(spike.detach() > 0, 0.0, v)
        if v_min is not None:
            v = torch.where(v >= v_min, v, torch.full_like(v, v_min))
        outputs.append(spike)
        membranes.append(v)
    return torch.stack(outputs), torch.stack(membranes)


@pytest.mark.parametrize("surrogate", SURROGATES, ids=repr)
@pytest.mark.parametrize(
    ("most", "reset", "v_min"), [(None, "subtract", None), (2, "subtract", -0.2), (1, "zero", 0.0)]
)
def test_gradients_equal_those_of_a_written_out_loop(surrogate, most, reset, v_min):
    torch.manual_seed(3)
    x = (torch.randn(12, 3, N, dtype=torch.float64) * 4 + 1).requires_grad_()
    back = torch.nn.Linear(N, N, bias=False, dtype=torch.float64)
    layer = LIF(
        N,
        torch.full((N,), 5.0, dtype=torch.float64),
        tau_syn=2.0,
        threshold=0.75,
        bias=0.05,
        max_spikes=most,
        reset=reset,
        v_min=v_min,
        rec_connect=back,
        surrogate=surrogate,
        train_tau=True,
        record_states=True,
    )
    wanted = (x, layer.bias, layer.decay_mem, layer.decay_syn, back.weight)
    weigh = torch.randn(2, 12, 3, N, dtype=torch.float64)
    spikes = layer(x)
    found = torch.autograd.grad((weigh[0] * spikes + weigh[1] * layer.recordings["v"]).sum(), wanted)
    options = {"threshold": 0.75, "surrogate": surrogate, "max_spikes": most, "v_min": v_min, "reset": reset}
    twin_spikes, twin_v = autograd_loop(x, options, layer.decay_mem, layer.decay_syn, layer.bias, back.weight)
    twin = torch.autograd.grad((weigh[0] * twin_spikes + weigh[1] * twin_v).sum(), wanted)
    assert torch.equal(spikes, twin_spikes)
    assert spikes.sum() > 0
    for one, other in zip(found, twin, strict=True):
        assert one.abs().max() > 0
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


def test_below_the_threshold_the_gradient_is_the_true_one():
    layer = LIF(2, torch.tensor([3.0, 9.0], dtype=torch.float64), tau_syn=2.0, threshold=1e6, record_states=True)

    def membranes(x):
        layer.reset_states()
        layer(x)
        return layer.recordings["v"]

    # a surrogate so narrow that it is exactly 0 there
    layer.surrogate = SingleExponential(width=1e-4)
    assert torch.autograd.gradcheck(membranes, (torch.rand(4, 2, 2, dtype=torch.float64, requires_grad=True),))


def test_training_the_decay_moves_the_time_constant():
    layer = LIF(4, 10.0, tau_syn=3.0, train_tau=True)
    before = layer.alpha_mem.item()
    assert before == pytest.approx(math.exp(-1 / 10))
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-4)
    layer(torch.rand(20, 3, 4) * 5).sum().backward()
    optimizer.step()
    assert layer.alpha_mem.item() != before
    with torch.no_grad():
        layer.decay_mem.fill_(1.5)
        layer.decay_syn.fill_(-0.5)
    assert 0.99999 < layer.alpha_mem.item() < 1
    assert layer.alpha_syn.item() == 0


def test_alphas_are_the_decays_of_a_step():
    assert LIF(1, 16.0, tau_syn=4.0).alpha_syn.item() == pytest.approx(math.exp(-1 / 4))
    assert LIF(1, 16.0).alpha_syn is None
    assert IAF(1).alpha_mem.item() == 1


def test_the_bias_alone_is_trained_by_default():
    assert [name for name, _ in LIF(3, 4.0, tau_syn=2.0, bias=0.5).named_parameters()] == ["bias"]
    assert list(IAF(3).parameters()) == []
    assert LIF(3, 4.0, bias=0.5).bias.shape == (3,)


def test_detached_states_end_the_history_and_keep_the_values():
    layer = IAF(1)
    x = torch.full((1, 1, 1), 0.75, requires_grad=True)
    layer(x).sum().backward()
    layer.detach_states()
    x.grad = None
    found = layer(torch.full((1, 1, 1), 0.25, requires_grad=True))
    found.sum().backward()
    assert found.item() == 1
    assert x.grad is None


def test_the_state_carries_gradients_between_calls():
    layer = IAF(1)
    x = torch.full((1, 1, 1), 0.75, requires_grad=True)
    layer(x)
    layer(torch.full((1, 1, 1), 0.25)).sum().backward()
    assert x.grad.item() != 0


def test_a_layer_that_ran_can_be_copied_and_continues_alike():
    layer = LIF(3, 5.0, bias=0.1)
    layer(torch.rand(4, 2, 3))
    twin = copy.deepcopy(layer)
    x = torch.rand(9, 2, 3) * 4
    assert torch.equal(twin(x), layer(x))


def test_the_state_changes_type_with_the_layer():
    layer = IAF(1).double()
    layer(torch.full((1, 1, 1), 0.75, dtype=torch.float64))
    found = layer.float()(torch.full((1, 1, 1), 0.25))
    assert found.item() == 1
    assert found.dtype is torch.float32

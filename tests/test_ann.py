"""ANN to SNN: what is computed, how close it comes, and the words of every refusal."""

import inspect
import operator
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import neurodeploy as nd
from neurodeploy.ann import merged, trace
from neurodeploy.errors import Refusal
from neurodeploy.events import encode_rate
from neurodeploy.layers import IAF, Graph
from neurodeploy.models import load_model, reset_states, save_model

torch.set_num_threads(1)


class Module(nn.Module):
    """A module whose forward is given: the tests read their own lines."""

    def __init__(self, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


class Residual(Module):
    def forward(self, x):
        x = torch.relu(self.stem(x))
        y = self.act(self.norm(self.conv(x)))
        x = self.act(x + self.conv2(y))
        return self.head(self.drop(torch.flatten(self.pool(x), 1)))


def residual(**like):
    torch.manual_seed(4)
    conv = {"kernel_size": 3, "padding": 1, **like}
    net = Residual(
        stem=nn.Conv2d(1, 4, **conv),
        conv=nn.Conv2d(4, 4, bias=False, **conv),
        norm=nn.BatchNorm2d(4, eps=0.1, **like),
        conv2=nn.Conv2d(4, 4, **conv),
        pool=nn.AvgPool2d(2),
        act=nn.ReLU(inplace=True),
        drop=nn.Dropout(0.5),
        head=nn.Linear(4 * 9, 3, **like),
    )
    return settled(net, torch.rand(40, 1, 6, 6, **like))


def settled(net, x):
    """Running statistics that differ from their start, and gains and shifts that are no 1 and 0."""
    for part in net.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d) and part.affine:
            nn.init.uniform_(part.weight, 0.5, 2.0)
            nn.init.uniform_(part.bias, -1.0, 1.0)
    net.train()
    for _ in range(3):
        net(x.clone())
    return net.eval()


def repeated(x, steps):
    return x.expand(steps, *x.shape)


def rates_of(model, x, steps):
    reset_states(model)
    with torch.no_grad():
        return model(repeated(x, steps)).mean(0)


# ---------------------------------------------------------------- merging


MERGED = {
    "after a convolution": lambda like: [nn.Conv2d(2, 3, 3, **like), nn.BatchNorm2d(3, eps=0.3, **like)],
    "after a convolution without bias, in groups": lambda like: [
        nn.Conv2d(2, 4, 3, groups=2, bias=False, **like),
        nn.BatchNorm2d(4, **like),
    ],
    "twice": lambda like: [nn.Conv2d(2, 3, 3, **like), nn.BatchNorm2d(3, **like), nn.BatchNorm2d(3, **like)],
    "without gain": lambda like: [nn.Conv2d(2, 3, 3, **like), nn.BatchNorm2d(3, affine=False, **like)],
    "before everything": lambda like: [nn.BatchNorm2d(2, **like), nn.Conv2d(2, 3, 3, **like)],
    "after a ReLU": lambda like: [nn.Conv2d(2, 3, 3, **like), nn.ReLU(), nn.BatchNorm2d(3, **like)],
    "after a linear layer": lambda like: [nn.Flatten(), nn.Linear(72, 5, **like), nn.BatchNorm1d(5, eps=0.2, **like)],
    "of features alone": lambda like: [nn.Flatten(), nn.BatchNorm1d(72, **like)],
}


@pytest.mark.parametrize("case", MERGED)
def test_normalisation_is_merged_exactly(case):
    torch.manual_seed(1)
    like = {"dtype": torch.float64}
    x = torch.randn(30, 2, 6, 6, **like)
    net = settled(nn.Sequential(*MERGED[case](like)), x)
    plan = merged(trace(net))
    with torch.no_grad():
        found, expected = plan.compute(x)[plan.output], net(x)
    assert not any(isinstance(step.module, nn.BatchNorm1d | nn.BatchNorm2d) for step in plan.steps)
    assert (found - expected).abs().max() < 1e-6 * expected.abs().max()
    assert (found - expected).abs().max() < 1e-10


def test_a_normalised_layer_keeps_its_own_value_where_it_is_used_too():
    class Net(Module):
        def forward(self, x):
            y = self.linear(x)
            return self.norm(y) + y

    x = torch.randn(20, 3, dtype=torch.float64)
    net = settled(Net(linear=nn.Linear(3, 3).double(), norm=nn.BatchNorm1d(3).double()), x)
    plan = merged(trace(net))
    assert torch.allclose(plan.compute(x)[plan.output], net(x), atol=1e-12)
    assert [step.kind for step in plan.steps] == ["affine", "affine", "add"]


def test_the_module_is_not_changed():
    net = residual().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    nd.convert_ann(net, torch.rand(5, 1, 6, 6), steps=2)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(part.training for part in net.modules())


# ---------------------------------------------------------------- rates


def bounds(net, thresholds):
    """The stated bound of each neuron layer's charge error for a chain of Linear and ReLU."""
    error, found = 0.0, []
    linears = [part for part in net if isinstance(part, nn.Linear)]
    for linear, threshold in zip(linears, thresholds, strict=False):
        error = threshold + float(linear.weight.detach().abs().sum(1).max()) * error
        found.append(error)
    return found


def test_rates_converge_to_the_activations_within_the_stated_bound():
    torch.manual_seed(8)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3), nn.ReLU()).double()
    x = torch.randn(50, 4, dtype=torch.float64)
    model, report = nd.convert_ann(net, x)
    assert [type(part).__name__ for part in model] == ["Linear", "IAF"] * 3
    thresholds = [layer.threshold for layer in report.layers]
    bound = bounds(net, thresholds)[-1]
    fresh = torch.randn(50, 4, dtype=torch.float64)
    activations = net(fresh).detach()
    assert (activations > 0).any()
    errors = {}
    for steps in (1, 10, 100, 1000):
        errors[steps] = float((rates_of(model, fresh, steps) * report.output_unit - activations).abs().max())
        assert errors[steps] <= bound / steps + 1e-9
    assert errors[1000] < errors[100] < errors[10]
    assert report.output_unit == pytest.approx(thresholds[-1])


def test_a_cap_of_one_spike_cuts_off_at_the_threshold():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU())
    nn.init.constant_(net[0].weight, 1.0)
    x = torch.linspace(0.1, 2.0, 20).reshape(-1, 1)
    model, report = nd.convert_ann(net, x, percentile=50, max_spikes=1)
    (layer,) = report.layers
    assert layer.threshold == pytest.approx(float(np.percentile(x.numpy(), 50)))
    assert layer.share_above == 0.5
    rates = rates_of(model, x, 100) * layer.threshold
    assert torch.allclose(rates, x.clamp(max=layer.threshold), atol=layer.threshold / 100)
    free, _ = nd.convert_ann(net, x, percentile=50)
    assert torch.allclose(rates_of(free, x, 100) * layer.threshold, x, atol=layer.threshold / 100)


def test_the_report_states_what_the_rates_are():
    torch.manual_seed(5)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    x = torch.rand(30, 4)
    model, report = nd.convert_ann(net, x, percentile=99, steps=20)
    activations = torch.relu(net[0](x)).detach()
    (layer,) = report.layers
    positive = activations[activations > 0].double()
    assert layer.threshold == pytest.approx(float(np.percentile(positive.numpy(), 99)))
    assert layer.share_above == pytest.approx(float((positive > layer.threshold).double().mean()))
    assert layer.activation == pytest.approx(float(activations.mean()))
    reset_states(model)
    counts = model[:2](repeated(x, 20)).detach()
    assert layer.rate == pytest.approx(float(counts.mean()), rel=1e-5)
    error = (counts.mean(0) * layer.threshold - activations).abs().mean() / activations.mean()
    assert layer.rate_error == pytest.approx(float(error), rel=1e-4)
    assert 0 < layer.rate_error < 0.2
    output = rates_of(model, x, 20) * report.output_unit
    expected = net(x).detach()
    assert report.output_error == pytest.approx(
        float((output - expected).abs().mean() / expected.abs().mean()), rel=1e-4
    )
    assert (report.samples, report.steps, report.percentile) == (30, 20, 99)
    assert "99th percentile, 30 samples, 20 steps" in str(report)
    assert report.to_json()["layers"][0]["layer"] == layer.layer


def test_a_residual_network_becomes_a_graph_that_can_be_saved(tmp_path):
    net = residual(dtype=torch.float64)
    x = torch.rand(20, 1, 6, 6, dtype=torch.float64)
    model, report = nd.convert_ann(net, x, steps=256)
    assert isinstance(model.graph, Graph)
    into = [edge[0] for edge in model.graph.edges if edge[1] == "act_1"]
    assert into == ["relu", "conv2"]
    assert report.merge_error < 1e-12
    expected = net(x).detach()
    errors = [float((rates_of(model, x, steps) * report.output_unit - expected).abs().max()) for steps in (32, 512)]
    assert errors[1] < errors[0] / 8
    assert errors[1] < 0.01
    save_model(model, tmp_path / "m.safetensors", dt_s=0.001)
    loaded, _ = load_model(tmp_path / "m.safetensors")
    reset_states(model)
    assert torch.equal(loaded(repeated(x, 4)), model(repeated(x, 4)))


def test_branches_of_different_thresholds_are_added_in_one_unit():
    class Net(Module):
        def forward(self, x):
            a, b = torch.relu(self.a(x)), torch.relu(self.b(x))
            return torch.relu(a + b + a)

    torch.manual_seed(2)
    x = torch.rand(30, 3, dtype=torch.float64)
    net = Net(a=nn.Linear(3, 4).double(), b=nn.Linear(3, 4).double())
    with torch.no_grad():
        net.b.weight *= 10
    model, report = nd.convert_ann(net, x)
    first, second, _ = report.layers
    factors = [edge[2] for edge in model.graph.edges if edge[1] == "relu_2"]
    assert factors == pytest.approx([2 * first.threshold, second.threshold])
    assert torch.allclose(rates_of(model, x, 1000) * report.output_unit, net(x), atol=0.1)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda x: torch.flatten(x, 1),
        lambda x: x.flatten(start_dim=1),
        lambda x: x.view(x.size(0), -1),
        lambda x: x.view(x.shape[0], -1),
        lambda x: torch.reshape(x, (x.size()[0], -1)),
    ],
)
def test_every_spelling_of_flatten_is_understood(spelling):
    class Net(Module):
        def forward(self, x):
            return self.linear(spelling(functional.relu(x)))

    torch.manual_seed(1)
    x = torch.rand(5, 2, 3)
    net = Net(linear=nn.Linear(6, 2))
    model, report = nd.convert_ann(net, x)
    assert [type(part) for part in model] == [IAF, nn.Flatten, nn.Linear]
    assert torch.allclose(rates_of(model, x, 2000) * report.output_unit, net(x), atol=2e-3)


@pytest.mark.parametrize("plus", [operator.add, torch.add, lambda a, b: a.add(b), operator.iadd])
def test_every_spelling_of_addition_is_understood(plus):
    class Net(Module):
        def forward(self, x):
            return plus(self.a(x), self.b(x))

    net = Net(a=nn.Linear(3, 2), b=nn.Linear(3, 2))
    x = torch.rand(5, 3)
    model, _ = nd.convert_ann(net, x)
    assert torch.allclose(rates_of(model, x, 3), net(x), atol=1e-6)


def test_a_spiking_output_counts():
    torch.manual_seed(6)
    net = nn.Sequential(nn.Linear(4, 3))
    x = torch.randn(20, 4)
    model, report = nd.convert_ann(net, x, spiking_output=True)
    counts = model(repeated(x, 50)).detach()
    assert torch.equal(counts, counts.round())
    assert torch.allclose(counts.mean(0) * report.output_unit, torch.relu(net(x)), atol=report.output_unit / 50 + 1e-5)


def test_the_model_can_be_trained_further():
    model, _ = nd.convert_ann(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)), torch.rand(10, 4))
    model(repeated(torch.rand(3, 4), 8)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


# ---------------------------------------------------------------- digits


@cache
def digits():
    from sklearn.datasets import load_digits  # of all that is collected, only what needs it waits for this import

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x = torch.as_tensor(images[order] / 16.0, dtype=torch.float32)
    y = torch.as_tensor(labels[order].astype(np.int64))
    return (x[:1300], y[:1300]), (x[1300:], y[1300:])


class Perceptron(Module):
    def __init__(self):
        super().__init__(body=nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.1)))
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(self.body(x))


class Convolutional(Module):
    def __init__(self):
        super().__init__(stem=nn.Conv2d(1, 8, 3, padding=1), norm=nn.BatchNorm2d(8), pool=nn.AvgPool2d(2))
        self.conv, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Linear(8 * 4, 10)

    def forward(self, x):
        x = self.pool(torch.relu(self.norm(self.stem(x))))
        x = self.pool(torch.relu(x + self.conv(x)))
        return self.head(torch.flatten(x, 1))


@cache
def trained(kind, shape):
    torch.manual_seed(0)
    (x, y), _ = digits()
    net, x = kind(), x.reshape(-1, *shape)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(8):
        for chosen in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
    return net.eval()


@pytest.mark.parametrize(("kind", "shape"), [(Perceptron, (64,)), (Convolutional, (1, 8, 8))])
def test_spikes_tell_digits_as_well_as_activations(kind, shape):
    (train, _), (x, y) = digits()
    net, x = trained(kind, shape), x.reshape(-1, *shape)
    model, _ = nd.convert_ann(net, train.reshape(-1, *shape)[:200])
    real = float((net(x).argmax(1) == y).float().mean())
    spiking = float((rates_of(model, x, 64).argmax(1) == y).float().mean())
    assert real > 0.9
    assert abs(real - spiking) <= 0.02


def test_random_counts_tell_digits_too():
    (train, _), (x, y) = digits()
    net = trained(Perceptron, (64,))
    model, report = nd.convert_ann(net, train[:200], input_unit=1 / 4)
    assert report.output_error < 0.1
    counts = torch.as_tensor(encode_rate(x.numpy(), 64, max_count=4, seed=1)).float()
    with torch.no_grad():
        found = model(counts).mean(0).argmax(1)
    real = float((net(x).argmax(1) == y).float().mean())
    assert abs(real - float((found == y).float().mean())) <= 0.02


# ---------------------------------------------------------------- refusals


def line_of(kind, text):
    lines, first = inspect.getsourcelines(kind)
    (found,) = [first + i for i, line in enumerate(lines) if text in line]
    return found


def refused(net, x=None, **options):
    with pytest.raises(Refusal) as caught:
        nd.convert_ann(net, torch.rand(6, 3) if x is None else x, **options)
    return caught.value


class Unsupported(Module):
    def forward(self, x):
        x = self.squash(x)
        x = functional.max_pool1d(x, 1)
        if x.sum() > 0:
            x = x * 2
        return torch.softmax(self.last(x), 1)


def test_everything_unsupported_is_refused_at_once_with_its_line():
    refusal = refused(Unsupported(squash=nn.Tanh(), last=nn.LSTM(3, 3)))
    told = {(fault.code, fault.values.get("line")): str(fault) for fault in refusal.faults}
    assert len(refusal.faults) == 5
    at = {name: line_of(Unsupported, text) for name, text in
          {"Tanh": "squash(x)", "max_pool1d": "max_pool1d", "if": "if x.sum", "last": "softmax"}.items()}  # fmt: skip
    assert (
        "a condition on the value 'gt', which is known only with the data; a forward that takes the same way"
        in (told["ND1605", at["if"]])
    )
    assert f"{__file__}, line {at['if']}" in told["ND1605", at["if"]]
    assert f"module squash ({__file__}, line {at['Tanh']}): a torch.nn.modules.activation.Tanh" in str(refusal)
    assert "use ReLU and train again: a rate of spikes is never negative" in told["ND1603", at["Tanh"]]
    assert f"max_pool1d ({__file__}, line {at['max_pool1d']}): the function" in str(refusal)
    assert f"module last ({__file__}, line {at['last']}): a torch.nn.modules.rnn.LSTM" in str(refusal)
    assert "leave it out: the largest output is the same one" in str(refusal)
    assert "x * 2" not in str(refusal)


def test_modules_of_a_sequential_are_named():
    (fault,) = refused(nn.Sequential(nn.Linear(3, 3), nn.Sigmoid())).faults
    assert str(fault).startswith("module 1: a torch.nn.modules.activation.Sigmoid; it must be one of Linear, Conv2d,")
    assert "line" not in fault.values


class Loop(Module):
    def forward(self, x):
        while x.sum() < 10:
            x = x + x
        for row in x:
            x = x + row
        return x


def test_loops_over_data_are_refused():
    refusal = refused(Loop())
    assert [fault.code for fault in refusal.faults] == ["ND1605", "ND1605"]
    assert "a condition on" in refusal.faults[0].was
    assert refusal.faults[1].values["line"] == line_of(Loop, "for row in x")
    assert "a loop over, or unpacking of, the value" in refusal.faults[1].was


class Endless(Module):
    def forward(self, x):
        while not (x.sum() > 10 and x.sum() < 5):
            x = x + x
        return x


def test_a_loop_that_waits_for_data_does_not_hang():
    assert {fault.code for fault in refused(Endless()).faults} == {"ND1605"}


class Numbers(Module):
    def forward(self, x):
        return x + float(x.sum())


def test_numbers_taken_out_of_data_are_refused():
    fault = refused(Numbers()).faults[0]
    assert "forward cannot be followed with a stand-in for the data (TypeError" in fault.was
    assert fault.values["line"] == line_of(Numbers, "float(")


class Two(Module):
    def forward(self, x, y):
        return x, y


class Constant(Module):
    def forward(self, x):
        return torch.add(x + self.offset, x, alpha=2) + 1


class AlwaysDropped(Module):
    def forward(self, x):
        return functional.dropout(torch.flatten(x), 0.5)


def test_forms_of_forward_that_do_not_fit_are_refused():
    assert "a second input 'y'; forward(self, x) with one tensor" in str(refused(Two()))
    assert "forward returns a tuple; one tensor" in str(refused(Two()))
    constants = refused(Constant(offset=nn.Parameter(torch.ones(3))))
    assert len(constants.faults) == 3
    assert "put a constant into the bias of a layer" in str(constants)
    dropped = str(refused(AlwaysDropped()))
    assert "a flattening from dimension 0 to -1; start_dim 1 or above: samples stay apart" in dropped
    assert "a dropout that is always on; F.dropout(x, p, training=self.training)" in dropped


def test_the_forward_of_a_subclass_is_what_counts():
    class Other(nn.ReLU):
        def forward(self, x):
            return torch.relu(x) + x

    x = torch.rand(6, 3)
    model, _ = nd.convert_ann(nn.Sequential(Other()), x)
    assert isinstance(model[0], Graph)
    assert torch.allclose(rates_of(model, x, 1000), 2 * x, atol=2e-3)


def test_modules_that_do_not_compute_what_their_class_says_are_refused():
    hooked = nn.Linear(3, 3)
    hooked.register_forward_hook(lambda _m, _x, y: y * 2)
    assert "a Linear with forward hooks" in str(refused(nn.Sequential(hooked)))
    drifting = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False))
    assert "a BatchNorm1d without running statistics; track_running_stats=True" in str(refused(drifting))


class InPlace(Module):
    def forward(self, x):
        y = self.linear(x)
        z = self.act(y)
        return y + z


def test_a_value_that_is_changed_in_place_and_used_again_is_noticed():
    net = InPlace(linear=nn.Linear(3, 3), act=nn.ReLU(inplace=True))
    assert "values that are changed in place (ReLU(inplace=True), +=) and used again" in str(refused(net))
    nd.convert_ann(InPlace(linear=nn.Linear(3, 3), act=nn.ReLU()), torch.rand(6, 3))


@pytest.mark.parametrize(
    ("x", "code", "words"),
    [
        (torch.rand(6, 4), "ND1602", "samples of shape (4,) do not pass through the network"),
        (torch.rand(0, 3), "ND1606", "an array of shape (0, 3); (batch, ...), with samples"),
        (torch.rand(6, 3).double(), "ND1602", "values of type float64; those of the network, float32"),
        (torch.full((6, 3), torch.nan), "ND1604", "18 NaN or infinite values"),
        ("six", "ND1606", "a str; a tensor or array (batch, ...)"),
        (torch.zeros(6, 3), "ND1606", "module 1: no activation above 0 on the calibration data"),
    ],
)
def test_calibration_data_that_do_not_fit_are_refused(x, code, words):
    net = nn.Sequential(nn.Linear(3, 3, bias=False), nn.ReLU())
    refusal = refused(net, x)
    assert refusal.code == code
    assert words in str(refusal)


def test_all_faults_of_options_are_listed():
    options = {"percentile": 0, "steps": 0, "input_unit": -1, "max_spikes": 0, "v_min": 1, "spiking_output": "yes"}
    refusal = refused(nn.Sequential(nn.Linear(3, 3)), **options)
    assert {name for fault in refusal.faults for name in fault.values} >= set(options)
    assert "percentile is 0; it must lie above 0 and at or below 100" in str(refusal)


def test_nan_in_the_network_is_refused_by_parameter():
    net = nn.Sequential(nn.Linear(3, 3))
    nn.init.constant_(net[0].bias, torch.nan)
    assert "parameter 0.bias: 3 of 3 values are NaN or infinite" in str(refused(net))


def test_images_without_a_batch_are_refused():
    refusal = refused(nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU()), torch.rand(2, 5, 5))
    assert "a Conv2d of values of shape (2, 5, 5); it must be (batch, channel, row, column)" in str(refusal)

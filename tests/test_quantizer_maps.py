"""Maps, branches and modules of one's own: what reaches a stage is what reaches the layer of the model."""

import numpy as np
import pytest
import torch

import neurodeploy as nd
from neurodeploy.emit.samna import layers
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, LIF, Delay, Graph, PerStep, SparseLinear, SumPool2d
from neurodeploy.quantizer import constrain, lower, structure

SHAPE = (2, 9, 6)
#: connections: kernels with pooling; kernels without, and matrices; matrices alone
OPTIONS = {
    "speck2f": {"v_min": -1.0},
    "loihi2": {"comparison": ">", "reset": "zero", "max_spikes": 1},
}
CHIPS = [*OPTIONS]


def iaf(shape, chip, **more):
    return IAF(shape, threshold=0.2, **(OPTIONS[chip] | more))


def conv(inputs, features, size, **options):
    options = {"bias": False} | options
    return PerStep(torch.nn.Conv2d(inputs, features, size, **options))


def begin(shape=SHAPE):
    return torch.nn.Unflatten(2, shape)


def normed(features):
    norm = torch.nn.BatchNorm2d(features, eps=0.1)
    norm.running_mean.uniform_(-0.1, 0.1)
    norm.running_var.uniform_(0.5, 2.0)
    norm.weight.data.uniform_(0.5, 1.5)
    norm.bias.data.uniform_(-0.3, -0.1)
    return norm


def plain(chip):
    return [begin(), conv(2, 3, 3, padding=1), iaf((3, 9, 6), chip)]


def strided(chip):
    return [begin(), conv(2, 4, (3, 2), stride=(2, 1), padding=(0, 1), groups=2), iaf((4, 4, 7), chip)]


def pooled_before(chip):
    return [begin((2, 8, 6)), PerStep(torch.nn.AvgPool2d(2)), conv(2, 3, 3, padding=1), iaf((3, 4, 3), chip)]


def pooled_remainder(chip):
    return [begin(), PerStep(SumPool2d(2)), conv(2, 3, 2), iaf((3, 3, 2), chip)]


def pooled_after(chip):
    part = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3, stride=2, padding=1, bias=False), torch.nn.AvgPool2d(2))
    return [begin(), PerStep(part), iaf((3, 2, 1), chip)]


def flattened(chip):
    head = [begin((2, 8, 6)), conv(2, 3, 3, padding=1), iaf((3, 8, 6), chip), PerStep(SumPool2d(2))]
    return [*head, torch.nn.Flatten(2), torch.nn.Linear(36, 5, bias=False), iaf(5, chip)]


def flattened_first(chip):
    head = [begin(), conv(2, 3, 3), torch.nn.Flatten(2), iaf(84, chip)]
    return [*head, torch.nn.Dropout(0.5), torch.nn.Linear(84, 4, bias=False), iaf(4, chip)]


def normalised(chip):
    part = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3, padding=1, bias=False), normed(3), torch.nn.AvgPool2d(3))
    return [begin(), PerStep(part), iaf((3, 3, 2), chip)]


def rows(chip):
    return [torch.nn.Linear(7, 6, bias=False), iaf(6, chip), SparseLinear(6, 4, fan_out=2), iaf(4, chip)]


def merged(chip):
    layers = {
        "begin": begin(),
        "a": conv(2, 3, 3, padding=1),
        "s": iaf((3, 9, 6), chip),
        "b": conv(3, 3, 3, padding=1),
        "c": conv(2, 3, 1),
        "t": iaf((3, 9, 6), chip),
    }
    edges = [("input", "begin"), ("begin", "a"), ("a", "s"), ("s", "b"), ("b", "t"), ("begin", "c"), ("c", "t", 0.5)]
    return [Graph(layers, [*edges, ("t", "output")])]


def residual(chip):
    layers = {
        "begin": begin(),
        "a": conv(2, 3, 3, padding=1),
        "s": iaf((3, 9, 6), chip),
        "b": conv(3, 3, 3, padding=1),
        "t": iaf((3, 9, 6), chip),
    }
    edges = [("input", "begin"), ("begin", "a"), ("a", "s"), ("s", "b"), ("b", "t"), ("s", "t", 0.5), ("t", "output")]
    return [Graph(layers, edges)]


class Branching(torch.nn.Module):
    def __init__(self, chip):
        super().__init__()
        self.begin, self.pool = begin((2, 8, 6)), PerStep(SumPool2d(2))
        self.left, self.right = conv(2, 3, 3, padding=1), conv(2, 3, 1)
        self.fire = iaf((3, 4, 3), chip)
        self.head, self.last = torch.nn.Linear(36, 4, bias=False), iaf(4, chip)

    def forward(self, x):
        x = self.pool(self.begin(x))
        x = self.fire(self.left(x) + self.right(x))
        return self.last(self.head(torch.flatten(x, 2)))


def traced(chip):
    return [Branching(chip)]


def oblong(chip):
    """Kernels and maps that are not square, an even and an odd number of rows short of it."""
    head = [begin((2, 9, 6)), conv(2, 3, (3, 5), padding=(1, 2)), iaf((3, 9, 6), chip)]
    middle = [conv(3, 4, (1, 2), stride=(2, 1)), iaf((4, 5, 5), chip), conv(4, 2, (3, 1))]
    last = [iaf((2, 3, 5), chip), torch.nn.Flatten(2), torch.nn.Linear(30, 5, bias=False), iaf(5, chip)]
    return [*head, *middle, *last]


def halved(chip):
    """Two layers meet, each through a kernel and a stride of its own."""
    layers = {
        "begin": begin((2, 8, 8)),
        "a": conv(2, 3, 3, padding=1),
        "s": iaf((3, 8, 8), chip),
        "b": conv(3, 4, 3, padding=1),
        "t": iaf((4, 8, 8), chip),
        "c": conv(4, 2, 3, stride=2, padding=1),
        "d": conv(3, 2, 1, stride=2),
        "u": iaf((2, 4, 4), chip),
    }
    edges = [("input", "begin"), ("begin", "a"), ("a", "s"), ("s", "b"), ("b", "t"), ("t", "c"), ("s", "d")]
    return [Graph(layers, [*edges, ("c", "u"), ("d", "u", -0.5), ("u", "output")])]


def added(chip):
    """Two layers meet as they are, and one kernel takes their sum."""
    layers = {
        "begin": begin((2, 8, 8)),
        "a": conv(2, 3, 3, padding=1),
        "s": iaf((3, 8, 8), chip),
        "b": conv(3, 3, 5, padding=2),
        "t": iaf((3, 8, 8), chip),
        "c": conv(3, 2, 3),
        "u": iaf((2, 6, 6), chip),
    }
    edges = [("input", "begin"), ("begin", "a"), ("a", "s"), ("s", "b"), ("b", "t"), ("s", "c"), ("t", "c")]
    return [Graph(layers, [*edges, ("c", "u"), ("u", "output")])]


MODELS = [plain, strided, pooled_before, pooled_remainder, pooled_after, flattened, flattened_first, normalised, rows]
MODELS += [merged, residual, traced, halved, added, oblong]


def model_of(make, chip):
    torch.manual_seed(1)
    layers = make(chip)
    model = layers[0] if len(layers) == 1 else torch.nn.Sequential(*layers)
    return model.eval()


def observed(model, lowered, counts):
    """What reaches each neuron layer and what leaves it."""
    into, out = {}, {lowered.input_kind.name: torch.as_tensor(counts, dtype=torch.float64)}
    for stage in lowered.stages:
        layer = model.get_submodule(stage.name)
        layer.register_forward_pre_hook(lambda _m, x, n=stage.name: into.__setitem__(n, x[0].flatten(2).double()))
        layer.register_forward_hook(lambda _m, _x, y, n=stage.name: out.__setitem__(n, y.flatten(2).double()))
    with torch.no_grad():
        model(torch.as_tensor(counts, dtype=torch.float32))
    return into, out


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_the_edges_of_a_stage_carry_what_the_model_carries(make, chip):
    model, described = model_of(make, chip), nd.chip(chip)
    lowered = lower(model, described)
    counts = np.random.default_rng(0).poisson(1.0, (4, 3, lowered.inputs))
    into, out = observed(model, lowered, counts)
    assert any(spikes.any() for name, spikes in out.items() if name != lowered.input_kind.name)
    for stage in lowered.stages:
        drive = sum(out[e.source].numpy() @ e.matrix for e in stage.edges) + stage.bias
        assert np.allclose(drive, into[stage.name], atol=1e-5), stage.name


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("make", MODELS, ids=lambda f: f.__name__)
def test_the_wiring_is_a_network_of_the_chip(make, chip):
    model = model_of(make, chip)
    network, lowered = structure(model, nd.chip(chip)), lower(model, nd.chip(chip))
    assert [g.shape for g in network.groups[1:]] == [s.shape for s in lowered.stages]
    for p in network.projections:
        edges = [e for s in lowered.stages for e in s.edges if s.name == p.target and e.source == p.source]
        assert p.geometry in [e.geometry for e in edges]
        assert any(np.array_equal(p.fields["w"] != 0, (e.weight != 0).reshape(-1)) for e in edges)


#: model -> channels and kernels of the core on which ways meet
ENDING = {"merged": (5, 2), "residual": (3, 1), "traced": (2, 1), "halved": (7, 2), "added": (3, 2), "oblong": (2, 1)}


#: one source and several; the others by hand
WHOLE_WAY = [name if name in ("traced", "merged") else pytest.param(name, marks=pytest.mark.long) for name in ENDING]


def with_high_thresholds(name, chip):
    model = model_of(globals()[name], chip.name)
    for layer in model.modules():
        if isinstance(layer, IAF):
            layer.threshold.data.fill_(0.75)  # above every weight, as the chip wants it
    return model


@pytest.mark.parametrize("name", ENDING)
def test_what_meets_before_neurons_is_one_kernel_or_has_channels_of_its_own(name):
    """Of one source it is one kernel; of several each has its channels, unless the kernels are equal."""
    chip = nd.chip("speck2f")
    lowered = lower(constrain(with_high_thresholds(name, chip), chip), chip)
    meeting = lowered.stages[0 if name == "traced" else -1]
    assert (meeting.edges[0].weight.shape[1], len(meeting.edges)) == ENDING[name]


@pytest.mark.parametrize("name", WHOLE_WAY)
def test_what_meets_before_neurons_goes_the_whole_way_to_one_core(name):
    pytest.importorskip("ortools")
    chip = nd.chip("speck2f")
    model = with_high_thresholds(name, chip)
    lowered = lower(constrain(model, chip), chip)
    fit = nd.check(model, chip)
    placed = nd.map(nd.quantize(constrain(model, chip), chip).network)
    assert fit.fits
    assert [c.holds for c in fit.cores] == [c.holds for c in placed.cores]
    read, _ = layers.from_configuration(layers.to_configuration(placed.network))
    x = np.random.default_rng(0).poisson(4, (10, 1, lowered.inputs))
    runs = [nd.simulate(network, x) for network in (placed.network, read)]
    assert all(np.array_equal(runs[0].events[n], runs[1].events[n]) for n in runs[0].events)
    assert all(counts.any() for counts in runs[0].counts.values())


def test_kernels_of_different_strides_are_left_to_the_mapper():
    parts = {"begin": begin((1, 4, 4)), "a": conv(1, 1, 1), "s": iaf((1, 4, 4), "speck2f"), "b": conv(1, 1, 1)}
    parts |= {"t": iaf((1, 4, 4), "speck2f"), "c": conv(1, 1, 3, stride=2, padding=1), "d": conv(1, 1, 3)}
    parts |= {"u": iaf((1, 2, 2), "speck2f")}
    links = [("input", "begin"), ("begin", "a"), ("a", "s"), ("begin", "b"), ("b", "t"), ("s", "c"), ("t", "d")]
    model = Graph(parts, [*links, ("c", "u"), ("d", "u"), ("u", "output")])
    told = [str(f) for f in nd.check(model, nd.chip("speck2f")).faults]
    assert any("'layers.t' comes in by another geometry than 'layers.s'" in line for line in told)


def test_pooling_stays_where_the_chip_has_it_and_enters_the_kernel_elsewhere():
    edges = {c: lower(model_of(pooled_before, c), nd.chip(c)).stages[0].edges[0] for c in CHIPS}
    assert edges["speck2f"].geometry.pooling == (2, 2)
    assert edges["speck2f"].geometry.kernel == (3, 2, 3, 3)
    folded = edges["loihi2"].geometry
    assert (folded.pooling, folded.kernel, folded.stride, folded.padding) == ((1, 1), (3, 2, 6, 6), (2, 2), (2, 2))
    assert np.array_equal(edges["loihi2"].matrix, edges["speck2f"].matrix)


def test_a_row_becomes_a_matrix_where_the_chip_has_one_and_points_elsewhere():
    shapes = {c: [s.shape for s in lower(model_of(rows, c), nd.chip(c)).stages] for c in CHIPS}
    assert shapes == {"speck2f": [(6, 1, 1), (4, 1, 1)], "loihi2": [(), ()]}


def test_the_mean_of_a_block_enters_the_weights():
    mean, total = model_of(pooled_before, "speck2f"), model_of(pooled_before, "speck2f")
    total[1] = PerStep(SumPool2d(2))
    first, second = (lower(m, nd.chip("speck2f")).stages[0].edges[0].weight for m in (mean, total))
    assert np.allclose(first * 4, second)


def test_remainders_that_padding_would_reach_are_refused_and_those_that_nothing_reaches_are_not():
    assert lower(model_of(pooled_remainder, "loihi2"), nd.chip("loihi2")).stages
    layers = [begin(), PerStep(SumPool2d(2)), conv(2, 3, 3, padding=1), iaf((3, 4, 3), "loihi2")]
    with pytest.raises(Refusal, match=r"pooling of a map of \(2, 9, 6\) leaves rows or columns out"):
        lower(torch.nn.Sequential(*layers), nd.chip("loihi2"))


@pytest.mark.parametrize("make", [flattened, merged, residual, traced], ids=lambda f: f.__name__)
def test_constraining_keeps_the_form_of_a_model_and_sets_delays(make):
    described, model = nd.chip("loihi2"), model_of(make, "loihi2")
    once = constrain(model, described)
    assert all(
        e.delay is not None or not described.delay(e.kind.name, lowered.kind_of(e.source).name)
        for lowered in [lower(once, described)]
        for s in lowered.stages
        for e in s.edges
    )
    x = torch.ones(9, 1, lower(model, described).inputs)
    assert torch.equal(
        once(x)[lower(model, described).stages[-1].late :], model(x)[: 9 - lower(model, described).stages[-1].late]
    )
    again = constrain(once, described)
    assert [type(m) for m in again.modules()] == [type(m) for m in once.modules()]


def test_a_way_that_is_quicker_on_the_chip_waits_for_the_others():
    chip = nd.chip("loihi2")
    layers = {
        "a": torch.nn.Linear(4, 4, bias=False), "s": iaf(4, "loihi2"),
        "b": torch.nn.Linear(4, 4, bias=False), "t": iaf(4, "loihi2"),
        "c": torch.nn.Linear(4, 4, bias=False), "d": torch.nn.Linear(4, 4, bias=False), "u": iaf(4, "loihi2"),
    }  # fmt: skip
    edges = [("input", "a"), ("a", "s"), ("s", "b"), ("b", "t"), ("t", "c"), ("s", "d"), ("c", "u"), ("d", "u")]
    lowered = lower(torch.nn.Sequential(Graph(layers, [*edges, ("u", "output")])), chip)
    long, short = (e.delay for e in lowered.stages[-1].edges)
    base = chip.delay("dense", "lif")
    assert (long, short) == (None, 2 * base)


# --- what is refused, in words ----------------------------------------------------------------------------------------


class Doubling(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weights, self.fire = torch.nn.Linear(4, 3, bias=False), iaf(3, "speck2f")

    def forward(self, x):
        return self.fire(torch.sigmoid(self.weights(x)).cumsum(0))


def chain(*layers):
    return lambda: torch.nn.Sequential(*layers)


REFUSED = {
    "dilation": (chain(begin(), conv(2, 3, 3, dilation=2), iaf((3, 5, 2), "speck2f")), r"Conv2d\): dilation \(2, 2\)"),
    "bare": (chain(begin(), torch.nn.Conv2d(2, 3, 3), iaf((3, 7, 4), "speck2f")), r"use PerStep\(Conv2d\(...\)\)"),
    "size": (chain(conv(2, 3, 3), iaf((3, 7, 4), "speck2f")), r"unknown size.*begin with torch.nn.Unflatten\(2,"),
    "channels": (chain(begin(), conv(3, 3, 3), iaf((3, 7, 4), "speck2f")), r"takes 3 channels and gets a map of \(2,"),
    "shape": (chain(begin(), conv(2, 3, 3), iaf((3, 9, 6), "speck2f")), r"gives a map of \(3, 7, 4\).*both must be"),
    "max": (chain(begin(), PerStep(torch.nn.MaxPool2d(2)), conv(2, 3, 3), iaf((3, 2, 1), "speck2f")), "use AvgPool2d"),
    "overlap": (
        chain(begin(), PerStep(torch.nn.AvgPool2d(3, stride=2)), conv(2, 3, 2), iaf((3, 3, 1), "speck2f")),
        r"blocks of 3 every 2.*square blocks side by side",
    ),
    "norm": (chain(begin(), PerStep(normed(2)), conv(2, 3, 3), iaf((3, 7, 4), "speck2f")), "no weights before it"),
    "functions": (Doubling, r"sigmoid \(.*test_quantizer_maps.py, line \d+\): the function sigmoid(.|\n)*cumsum"),
    "no bound": (chain(torch.nn.Linear(4, 3, bias=False), IAF(3)), r"v_min = None; the membrane of unit neurons ends"),
    "leak": (chain(torch.nn.Linear(4, 3, bias=False), LIF(3, 9.0, v_min=-1)), "never decays; use IAF"),
    "current": (chain(torch.nn.Linear(4, 3, bias=False), IAF(3, tau_syn=3.0, v_min=-1)), "a synaptic current"),
    "loop": (
        chain(torch.nn.Linear(4, 3, bias=False), iaf(3, "speck2f", rec_connect=torch.nn.Linear(3, 3, bias=False))),
        "recurrent weights; unit neurons have no connection among themselves",
    ),
    "late bias": (chain(torch.nn.Linear(4, 3), Delay(1), iaf(3, "speck2f")), "a bias that would set in late"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_had_is_refused_in_words(name):
    make, words = REFUSED[name]
    with pytest.raises(Refusal, match=words):
        lower(make(), nd.chip("speck2f"))


def test_reset_by_subtraction_is_refused_where_the_chip_resets_to_zero():
    model = torch.nn.Sequential(torch.nn.Linear(4, 3, bias=False), iaf(3, "loihi2", reset="subtract"))
    with pytest.raises(Refusal, match="reset = 'subtract'; lif neurons have 'zero'"):
        lower(model, nd.chip("loihi2"))


def test_a_bias_before_neurons_without_current_is_theirs():
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), iaf(3, "loihi2", bias=0.25))
    stage = lower(model, nd.chip("loihi2")).stages[0]
    assert np.allclose(stage.bias, model[0].bias.detach().numpy() + 0.25)


def test_what_decays_from_the_next_step_on_is_the_same_current_in_another_unit():
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 3, bias=False), LIF(3, 9.0, tau_syn=4.0, norm_input=False, **OPTIONS["loihi2"])
    )
    stage = lower(model, nd.chip("loihi2")).stages[0]
    assert np.allclose(stage.threshold, 1 / np.exp(-1 / 4.0))
    assert np.allclose(stage.keep["alpha_syn"], np.exp(-1 / 4.0))

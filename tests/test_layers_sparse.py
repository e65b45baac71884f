"""SparseLinear: a fixed number of targets for each source, drawn once, kept through training and files."""

import numpy as np
import pytest
import torch

from neurodeploy.errors import Refusal
from neurodeploy.layers import LIF, SparseLinear
from neurodeploy.models import load_model, save_model

torch.set_num_threads(1)


@pytest.mark.parametrize(("inputs", "outputs", "fan_out"), [(7, 12, 3), (12, 7, 7), (1, 1, 1), (40, 5, 1)])
def test_each_input_reaches_exactly_fan_out_outputs(inputs, outputs, fan_out):
    layer = SparseLinear(inputs, outputs, fan_out=fan_out)
    assert layer.mask.shape == (outputs, inputs)
    assert layer.mask.sum(0).tolist() == [fan_out] * inputs
    assert not layer.weight[~layer.mask].any()
    assert bool((layer.weight[layer.mask] != 0).all())


def test_the_output_is_that_of_the_weights_inside_the_pattern():
    layer, x = SparseLinear(6, 8, fan_out=2), torch.rand(3, 4, 6)
    with torch.no_grad():
        layer.weight.fill_(1.0)  # outside the pattern too
    expected = x @ layer.mask.float().T
    assert torch.allclose(layer(x), expected)
    assert torch.equal(layer.effective_weight(), layer.mask.float())


def test_the_pattern_stays_through_training_with_weight_decay():
    torch.manual_seed(0)
    layer = SparseLinear(6, 8, fan_out=2)
    mask, before = layer.mask.clone(), layer.weight.detach().clone()
    optimizer = torch.optim.AdamW(layer.parameters(), 0.1, weight_decay=0.1)
    for _ in range(5):
        loss = ((layer(torch.rand(16, 6)) - 1) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.equal(layer.mask, mask)
    assert not layer.weight[~mask].any()
    assert not torch.equal(layer.weight[mask], before[mask])


def test_the_seed_alone_decides_the_pattern():
    torch.manual_seed(1)
    one = SparseLinear(20, 30, fan_out=5, seed=3)
    torch.manual_seed(2)
    two, three = SparseLinear(20, 30, fan_out=5, seed=3), SparseLinear(20, 30, fan_out=5, seed=4)
    assert torch.equal(one.mask, two.mask)
    assert not torch.equal(one.weight, two.weight)
    assert not torch.equal(one.mask, three.mask)


def test_an_output_has_the_variance_of_a_dense_layer():
    torch.manual_seed(0)
    x = torch.rand(200, 300)
    with torch.no_grad():
        dense, sparse = torch.nn.Linear(300, 400, bias=False)(x), SparseLinear(300, 400, fan_out=20)(x)
    assert float(sparse.std() / dense.std()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fan_out": 9}, "fan_out = 9; at most out_features = 8; use 8"),
        ({"fan_out": 0}, "fan_out is 0; it must be a whole number of at least 1"),
        ({"fan_out": 2.0}, "fan_out is 2.0; it must be a whole number of at least 1"),
        ({"fan_out": True}, "fan_out is True"),
        ({"fan_out": 2, "in_features": -1}, "in_features is -1; it must be a whole number of at least 1"),
        ({"fan_out": 2, "seed": -1}, "seed is -1; it must be a whole number of at least 0"),
        ({"fan_out": 2, "seed": 0.5}, "seed is 0.5; it must be a whole number of at least 0"),
    ],
)
def test_options_are_refused_in_words(options, words):
    SparseLinear(6, 8, fan_out=8, seed=0)
    with pytest.raises(Refusal, match=words):
        SparseLinear(**{"in_features": 6, "out_features": 8, **options})


def test_pattern_and_weights_travel_in_the_file(tmp_path):
    model = torch.nn.Sequential(
        SparseLinear(6, 8, fan_out=2, seed=5),
        LIF(8, 5.0, tau_syn=3.0, rec_connect=SparseLinear(8, 8, fan_out=1)),
    )
    save_model(model, tmp_path / "m.safetensors", dt_s=0.001)
    loaded, _ = load_model(tmp_path / "m.safetensors")
    assert torch.equal(loaded[0].mask, model[0].mask)
    assert torch.equal(loaded[0].effective_weight(), model[0].effective_weight())
    assert torch.equal(loaded[1].rec_connect.mask, model[1].rec_connect.mask)
    x = torch.as_tensor(np.random.default_rng(0).poisson(1, (10, 2, 6)), dtype=torch.float32)
    assert torch.equal(loaded(x), model(x))


def test_a_printed_layer_says_its_sizes():
    assert repr(SparseLinear(6, 8, fan_out=2)) == "SparseLinear(in_features=6, out_features=8, fan_out=2)"

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from float_models import Options, model_of
from parity_cases import GOLDEN, INTERPRETER, cases, made

from neurodeploy import constrain, quantize
from neurodeploy.chips import chip
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF, PerStep
from neurodeploy.quantizer.lower import lower
from neurodeploy.quantizer.parity import full_scale, joint_integers, parity_faults

SPECK = chip("speck2f")
ENTRY = SPECK.file.parity["sinabs"]


def ours(case):
    weight = np.array(case["weight"], np.float32)
    bias = np.zeros(len(weight), np.float32) if case["bias"] is None else np.array(case["bias"], np.float32)
    found = joint_integers(weight, bias, case["threshold"], case["low"], ENTRY)
    return {
        "weight": found.weight.tolist(),
        "bias": found.bias.tolist(),
        "threshold": found.threshold,
        "low": found.low,
    }


def layer(weight=None, threshold=1.0, v_min=-1.0, bias=None, **options):
    """One map of neurons behind a kernel, as a model."""
    conv = torch.nn.Conv2d(2, 3, 2, bias=bias is not None)
    if weight is None:
        weight = np.random.default_rng(0).normal(0, 0.3, (3, 2, 2, 2))
    conv.weight.data = torch.as_tensor(np.asarray(weight), dtype=torch.float32)
    if bias is not None:
        conv.bias.data = torch.tensor(bias, dtype=torch.float32)
    neurons = IAF((3, 3, 3), threshold=threshold, v_min=v_min, **options)
    return torch.nn.Sequential(torch.nn.Unflatten(2, (2, 4, 4)), PerStep(conv), neurons)


def refused(model, parity="sinabs"):
    with pytest.raises(Refusal) as caught:
        quantize(constrain(model, SPECK), SPECK, parity=parity)
    return str(caught.value)


def test_golden_integers_are_the_same():
    golden = json.loads(GOLDEN.read_text())
    assert golden["made_by"].startswith("sinabs 3.1.3")
    assert len(golden["cases"]) == 40
    for case, integers in zip(golden["cases"], golden["integers"], strict=True):
        assert ours(case) == integers


def test_golden_cases_meet_every_limit_and_both_signs():
    limits, signs = set(), set()
    for case in json.loads(GOLDEN.read_text())["cases"]:
        weight = np.array(case["weight"], np.float32)
        bias = np.array([0.0] if case["bias"] is None else case["bias"], np.float32)
        limits.add(joint_integers(weight, bias, case["threshold"], case["low"], ENTRY).limited_by)
        signs.add((weight.min() < 0, weight.max() > 0, bool(abs(weight.min()) > abs(weight.max()))))
    assert limits == {"weight", "bias", "threshold"}
    assert len(signs) >= 4


@pytest.mark.interpreter(INTERPRETER)
def test_random_layers_become_the_same_integers(count):
    asked = cases(1500, 1)
    different = [
        i for i, (case, theirs) in enumerate(zip(asked, made(asked)["integers"], strict=True)) if ours(case) != theirs
    ]
    assert different == []
    count("layers compared with sinabs' discretize", len(asked))


@pytest.mark.parametrize(
    ("values", "scale"),
    [([-1.0, 1.0], 127), ([-1.0, 0.5], 128), ([-1.01, 1.0], 128 / 1.01), ([-1.007, 1.0], 127), ([0.0, 0.0], np.inf)],
)
def test_the_fuller_end_decides_the_scale(values, scale):
    assert full_scale(np.array(values, np.float32), 8) == pytest.approx(scale, rel=1e-6)


def test_a_network_holds_these_integers():
    model = layer(bias=[-0.01, -0.3, 0.0], threshold=0.8, v_min=-0.9)
    network = quantize(constrain(model, SPECK), SPECK, parity="sinabs").network
    conv = model[1].module
    case = {"weight": conv.weight.tolist(), "bias": conv.bias.tolist(), "threshold": 0.8, "low": -0.9}
    expected, group = ours(case), network.groups[1]
    assert network.projections[0].fields["w"].tolist() == np.ravel(expected["weight"]).tolist()
    assert group.parameters["bias"].reshape(3, 9)[:, 0].tolist() == expected["bias"]
    assert set(group.parameters["threshold_high"]) == {expected["threshold"]}
    assert set(group.parameters["threshold_low"]) == {expected["low"]}


def test_the_report_says_what_limits_the_scale():
    (report,) = quantize(constrain(layer(bias=[-2.0, 0.0, 0.0]), SPECK), SPECK, parity="sinabs").layers
    assert report.limited_by == "bias"
    (own,) = quantize(constrain(layer(bias=[-2.0, 0.0, 0.0]), SPECK), SPECK).layers
    assert own.limited_by == "weight"  # our biases have the 16 bits of the register
    assert own.scale_low > 1.5 * report.scale_low


# what is defective there is refused here


def test_a_missing_lower_bound_is_refused_and_zeroes_nothing():
    stage = lower(constrain(layer(), SPECK), SPECK).stages[0]
    (fault,) = parity_faults("here", replace(stage, low=None))
    assert "no lower bound; parity: -32768 is taken in float units, which sets most weights to 0" in str(fault)
    assert "v_min = None" in refused(layer(v_min=None))


def test_thresholds_of_a_vector_are_refused():
    model = layer(threshold=torch.tensor([1.0, 2.0, 1.0])[:, None, None].expand(3, 3, 3), v_min=-1.0)
    assert "threshold from 1 to 2; parity: one for all neurons of a layer" in refused(model)
    # ours would scale the rows, and then the lower bounds differ
    assert "threshold_low from" in refused(model, parity="")


def test_another_reset_amount_is_refused():
    assert "reset_amount = 0.5; unit neurons subtract their threshold" in refused(layer(reset_amount=0.5))


def test_a_reset_to_a_value_is_refused():
    assert "reset = 'value'" in refused(layer(reset="value", reset_value=0.25))


def test_an_unknown_parity_is_refused_with_those_that_are_known():
    assert "parity = 'sinab'; one of sinabs" in refused(layer(), parity="sinab")
    xylo = chip("xylo_audio3")
    with pytest.raises(Refusal, match="no parity: the chip's file names no other quantizer"):
        quantize(constrain(model_of(Options()), xylo), xylo, parity="sinabs")


def test_a_result_outside_a_guard_is_refused_by_its_name():
    weight = np.zeros((3, 2, 2, 2))
    weight[0, 0, 0, 0] = 1.5
    text = refused(layer(weight=weight, threshold=1.0))
    assert "guard 'largest_weight': return_to_zero_min = 0, threshold_high_min = 85, weight_max = 127" in text
    assert "no weight exceeds threshold_high" in text
    weight[0, 0, 0, 0] = 1.0
    network = quantize(constrain(layer(weight=weight), SPECK), SPECK, parity="sinabs").network
    assert network.projections[0].fields["w"].max() == network.groups[1].parameters["threshold_high"][0] == 127


def test_a_positive_bias_is_refused_by_its_register():
    assert "bias of neuron 0 becomes" in refused(layer(bias=[0.1, 0.0, 0.0]))
    assert "-32768..0, which bias may hold" in refused(layer(bias=[0.1, 0.0, 0.0]), parity="")

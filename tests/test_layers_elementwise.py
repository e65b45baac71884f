"""Scale and Integrator: elementwise layers that trained files of other programs need."""

import pytest
import torch

from neurodeploy.errors import Refusal
from neurodeploy.layers import Integrator, Scale, build, describe


def test_scale_multiplies_and_adds_in_every_step():
    layer = Scale((2, 3), torch.arange(6.0).reshape(2, 3), 0.5)
    x = torch.randn(4, 2, 2, 3)
    assert torch.equal(layer(x), x * layer.factor + 0.5)
    assert torch.equal(Scale(3, 2.0)(torch.ones(3, dtype=torch.int64)), torch.full((3,), 2.0))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Scale(3, torch.ones(4)), "factor has shape (4,), the neurons (3,)"),
        (lambda: Scale(3, float("nan")), "factor is nan"),
        (lambda: Scale(3, 1.0, float("inf")), "offset is inf"),
        (lambda: Scale(0, 1.0), "shape is 0"),
        (lambda: Scale(3, 1.0)(torch.ones(2, 4)), "the input has shape (2, 4)"),
    ],
)
def test_scale_refuses_other_shapes_and_values_that_are_not_finite(make, words):
    with pytest.raises(Refusal) as caught:
        make()
    assert words in str(caught.value)


@pytest.mark.parametrize("layer", [Scale(3, torch.ones(3)), Scale((2, 2), 1.0, torch.ones(2)), Integrator()], ids=str)
def test_they_are_built_again_from_their_description(layer):
    again = build(describe(layer))
    assert describe(again) == describe(layer)
    again.load_state_dict(layer.state_dict())


def test_an_integrator_adds_up_across_calls_until_it_is_reset():
    layer, x = Integrator(), torch.randn(6, 2, 3)
    whole = layer(x)
    assert torch.allclose(whole, x.cumsum(0))
    layer.reset_states()
    parts = torch.cat([layer(x[:2]), layer(x[2:])])
    assert torch.equal(parts, whole)
    with pytest.raises(Refusal, match="reset_states"):
        layer(torch.zeros(1, 3, 3))
    layer.reset_states()
    assert layer(torch.ones(2, 1, 1, dtype=torch.int64)).tolist() == [[[1.0]], [[2.0]]]

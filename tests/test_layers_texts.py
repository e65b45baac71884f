"""Neurons of one's own as texts, and the delay line."""

import pytest
import torch

from neurodeploy.errors import Refusal
from neurodeploy.layers import Delay, Neuron

torch.set_num_threads(1)


class Leaky(Neuron):
    step = """
v = beta * v + x
spike = above(v, threshold)
v = v - detach(spike) * threshold
"""

    def __init__(self, beta, text=None):
        if text is not None:
            self.__class__ = type("Leaky", (Leaky,), {"step": text})
        tensors = {"beta": torch.tensor(beta)}
        super().__init__((2,), states={"v": 0.0}, tensors=tensors, numbers={"threshold": 1.0}, options={"beta": beta})


def test_a_neuron_is_a_text():
    x = torch.tensor([1.0, 0.75, 0.25, 2.0, 0.0]).reshape(5, 1, 1).expand(5, 1, 2)
    v, spikes = 0.0, []
    for row in x[:, 0, 0].tolist():
        v = 0.5 * v + row
        spikes.append(float(v > 1))
        v -= spikes[-1]
    assert Leaky(0.5)(x)[:, 0, 1].tolist() == spikes
    assert sum(spikes) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("v = beta * v + x", "unknown name 'spike'"),
        ("spike = above(x, threshold)\nw = 1", "'w' is assigned and never read"),
        ("spike = above(y, threshold)", "unknown name 'y'"),
        ("beta = 1\nspike = above(x, beta)", "'beta' is assigned; it is read-only"),
        ("spike = fire(x, 1)", "function 'fire'"),
    ],
)
def test_a_faulty_text_is_refused_when_the_layer_is_made(text, words):
    with pytest.raises(Refusal, match=words):
        Leaky(0.5, text)


def test_what_once_assigns_must_be_read():
    class Wasteful(Leaky):
        once = "gain = 1 - beta"

    with pytest.raises(Refusal, match=r"Wasteful.once: 'gain' is assigned and never read; .*remove the line"):
        Wasteful(0.5)


# delay


@pytest.mark.parametrize("steps", [0, 1, 3, 9])
def test_delay_shifts_by_its_steps_across_calls(steps):
    x = torch.rand(7, 2, 4)
    layer = Delay(steps)
    found = torch.cat([layer(x[:2]), layer(x[2:3]), layer(x[3:])])
    assert torch.equal(found, torch.cat([torch.zeros(steps, 2, 4), x])[:7])
    layer.reset_states()
    assert torch.equal(layer(x)[:steps], torch.zeros(min(steps, 7), 2, 4))


def test_delay_refuses_another_batch_or_type_until_reset():
    layer = Delay(2)
    layer(torch.rand(3, 2, 4))
    with pytest.raises(Refusal, match=r"is float64 .*, those kept from the last call float32"):
        layer(torch.rand(3, 2, 4).double())
    with pytest.raises(Refusal, match=r"float32 \(3, 4\), those kept from the last call float32 \(2, 4\)") as caught:
        layer(torch.rand(3, 3, 4))
    assert caught.value.code == "ND1602"
    layer.reset_states()
    assert layer(torch.rand(3, 3, 4)).shape == (3, 3, 4)

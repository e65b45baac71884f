"""A neuron that no library has, in ten lines; trained on its generated kernels to tell two frequencies apart; drawn."""

import argparse
import math
import tempfile
from pathlib import Path
from typing import ClassVar

import torch

from neurodeploy.kernels import has_numba
from neurodeploy.layers import Neuron, register
from neurodeploy.layers.parameters import Positive
from neurodeploy.plot import plot_evolution, save_picture


@register
class Resonator(Neuron):
    """A damped swing of current and membrane, omega radians a step; it fires where the swing reaches too far."""

    arguments: ClassVar = {"omega": Positive(0.5), "damping": Positive(0.1), "threshold": Positive(2.0)}
    states: ClassVar = {"current": 0.0, "v": 0.0}
    step = """
current = current + x - damping * current - omega * v
v = v + omega * current - damping * v
spike = above(v, threshold)
v = v - spike * threshold
"""


def waves(count: int, steps: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """Noisy waves of period 10 (class 0) or 16 steps (class 1) and of any phase, (time, batch, 1)."""
    label, phase = torch.randint(0, 2, (count,)), torch.rand(count) * 2 * math.pi
    period = torch.where(label == 0, 10.0, 16.0)
    time = torch.arange(steps).unsqueeze(1)
    return (torch.sin(2 * math.pi * time / period + phase) + 0.3 * torch.randn(steps, count)).unsqueeze(2), label


parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "own_neuron.png")
out = parser.parse_args().out
torch.manual_seed(0)
executor = "numba" if has_numba() else "torch"
neurons = Resonator(16, omega=torch.linspace(0.2, 0.8, 16), train=("omega",), executor=executor)
model = torch.nn.Sequential(torch.nn.Linear(1, 16, bias=False), neurons, torch.nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for step in range(30):
    x, label = waves(64)
    neurons.reset_states()
    loss = torch.nn.functional.cross_entropy(model(x).mean(0), label)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 29 == 0:
        print(f"{executor}, step {step}: loss {loss:.3f}")
neurons.reset_states()
save_picture(plot_evolution(neurons, model[0](x[:, :1]).detach(), title="Resonators and a wave"), out)
print(out)

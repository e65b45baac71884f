"""What is timed: a training step of LIF 128-256-256-10, batch 64, float32, and our ways to compute it."""

import itertools
import math
import time
from collections.abc import Callable

import torch

from neurodeploy.layers import LIF, EventLinear, FastSigmoid, Stateful

SIZES, BATCH, RATE, DECAY, SLOPE = (128, 256, 256, 10), 64, 0.05, 0.9, 5.0
TAU = -1 / math.log(DECAY)
OURS = ("events", "kernels", "looped", "products alone")


class Peer(torch.nn.Module):
    """A layer of another library, run over (time, batch, neuron)."""

    def forget(self) -> None:
        """Start the next sequence from rest."""


def sample(steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Input (time, batch, neuron) of 0 and 1, at a rate of 5 %; targets (batch,)."""
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(steps, BATCH, SIZES[0], generator=generator) < RATE).float()
    return x, torch.randint(0, SIZES[-1], (BATCH,), generator=generator)


def model_of(neurons: Callable[[int], torch.nn.Module], linear: type[torch.nn.Linear]) -> torch.nn.Sequential:
    """Layers in turn, linear and neurons; the weights are the same in every call."""
    generator = torch.Generator().manual_seed(1)
    model = torch.nn.Sequential()
    for inputs, outputs in itertools.pairwise(SIZES):
        layer = linear(inputs, outputs, bias=False)
        torch.nn.init.normal_(layer.weight, std=1.6 / math.sqrt(inputs), generator=generator)
        model.extend([layer, neurons(outputs)])
    return model


def ours(name: str) -> torch.nn.Sequential:
    """One of OURS: kernels behind linear maps of spikes, behind matrix products, the torch executor, no neurons."""
    if name == "products alone":
        return model_of(lambda _: torch.nn.Identity(), torch.nn.Linear)

    def neurons(count: int) -> torch.nn.Module:
        surrogate = FastSigmoid(SLOPE)
        layer = LIF(count, TAU, norm_input=False, max_spikes=1, comparison=">", surrogate=surrogate)
        layer.executor = "torch" if name == "looped" else "numba"
        return layer

    return model_of(neurons, EventLinear if name == "events" else torch.nn.Linear)


def step(model: torch.nn.Module, x: torch.Tensor, target: torch.Tensor) -> float:
    """Milliseconds of one forward and backward pass from a fresh state."""
    model.zero_grad(set_to_none=True)
    forget(model)
    begin = time.perf_counter()
    torch.nn.functional.cross_entropy(model(x).sum(0), target).backward()  # type: ignore[no-untyped-call] # torch's
    return (time.perf_counter() - begin) * 1e3


def spikes_of(model: torch.nn.Sequential, x: torch.Tensor) -> list[torch.Tensor]:
    """Spikes of each layer of neurons, in a byte each."""
    found: list[torch.Tensor] = []
    forget(model)
    with torch.no_grad():
        for layer in model:
            x = layer(x)
            if not isinstance(layer, torch.nn.Linear):
                found.append(x.byte())
    return found


def forget(model: torch.nn.Module) -> None:
    """Set all states to rest."""
    for layer in model.modules():
        if isinstance(layer, Stateful):
            layer.reset_states()
        elif isinstance(layer, Peer):
            layer.forget()

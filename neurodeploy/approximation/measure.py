"""How far two spike trains lie apart: counts, times, and how many are equal; measured layer by layer.

Times are compared by the distance of van Rossum (Neural Computation 13 (2001), 751-763): each spike becomes an
exponential that falls with ``TAU`` steps, f and g are the two sums, and

    time_error**2 = sum (f - g)**2 / (sum f**2 + sum g**2)

over all steps, samples and neurons. Spikes are never negative, so it lies between 0 (equal) and 1 (no spike of one is
near a spike of the other). A lonely spike that comes d steps late costs
sqrt(1 - exp(-d / TAU)): 0.31 for one step.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.models import reset_states
from neurodeploy.quantizer.decays import Floats
from neurodeploy.quantizer.pieces import neuron_layers

#: Steps after which a spike counts 1 / e in the comparison of times.
TAU = 10.0


@dataclass(frozen=True)
class SpikeError:
    """Spikes of one layer of the model and of what stands for it, on the same input, from reset.

    layer : of the model; the error of a layer includes that of the layers before it
    of : "substitute": the float neurons that were put in place, decays as given; "integer": the integer network, so
        with the chip's decays and all rounding; both against the given neurons (for "integer" with the chip's delays)
    rate_given, rate_found : mean spikes per neuron and step
    count_error : sum of absolute differences of spike counts per neuron and sample, relative to the given total; None
        where the given neurons never fire
    time_error : normalised distance of van Rossum, 0 to 1
    equal : share of (neuron, sample) pairs whose spikes are equal in every step
    """

    layer: str
    of: str
    rate_given: float
    rate_found: float
    count_error: float | None
    time_error: float
    equal: float


def spike_error(layer: str, of: str, given: Floats, found: Floats) -> SpikeError:
    """Compare two (time, batch, neuron) arrays of spike counts."""
    total = given.sum()
    apart = float(np.abs(given.sum(axis=0) - found.sum(axis=0)).sum())
    return SpikeError(
        layer,
        of,
        float(given.mean()),
        float(found.mean()),
        apart / float(total) if total else None,
        van_rossum(given, found),
        float(np.mean(np.all(given == found, axis=0))),
    )


def van_rossum(given: Floats, found: Floats) -> float:
    """Return the normalised distance of van Rossum of two (time, ...) arrays of spike counts, 0 to 1.

    Both fall silent at the end: what follows the last step is added in closed form.
    """
    keep = float(np.exp(-1 / TAU))
    traces = np.zeros((3, *given.shape[1:]))  # of f - g, f and g
    sums = np.zeros(3)
    axes = tuple(range(1, traces.ndim))
    for one, other in zip(given, found, strict=True):
        traces = keep * traces + np.stack([one - other, one, other])
        sums += (traces**2).sum(axis=axes)
    sums += (traces**2).sum(axis=axes) * keep**2 / (1 - keep**2)
    return float(np.sqrt(sums[0] / (sums[1] + sums[2]))) if sums[1] + sums[2] > 0 else 0.0


def spikes_of(model: torch.nn.Module, counts: npt.NDArray[Any]) -> list[Floats]:
    """(time, batch, neuron) spikes of each layer of neurons in a copy of a model, dropout off, from reset."""
    model = copy.deepcopy(model).cpu().eval()
    reset_states(model)
    neurons = [neuron for _, neuron in neuron_layers(model)]
    seen: dict[int, torch.Tensor] = {}
    for index, neuron in enumerate(neurons):
        neuron.register_forward_hook(lambda _m, _i, out, index=index: seen.__setitem__(index, out))
    with torch.no_grad():
        model(torch.as_tensor(np.asarray(counts, np.float64)).to(neurons[0].dtype))
    return [seen[index].double().flatten(2).numpy() for index in range(len(neurons))]


def measure(names: Sequence[str], of: str, given: Sequence[Floats], found: Sequence[Floats]) -> tuple[SpikeError, ...]:
    """Compare all layers, each a (time, batch, neuron) array."""
    return tuple(spike_error(*row) for row in zip(names, [of] * len(names), given, found, strict=True))

"""Approximation on request: a model with the nearest neurons of a chip, what was replaced, and the measured error."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.approximation.measure import SpikeError, measure, spikes_of
from neurodeploy.approximation.search import LayerLoss, layer_losses, substitute, swapped
from neurodeploy.approximation.table import Substitution
from neurodeploy.chips import Chip
from neurodeploy.network import Network, place_identity
from neurodeploy.quantizer import constrain, quantize
from neurodeploy.quantizer.pieces import neuron_layers
from neurodeploy.simulator import simulate


@dataclass(frozen=True)
class Approximation:
    """A float model that the chip computes, and how it differs from the one that was given.

    model : for ``constrain``, ``quantize`` or ``convert``
    substitutions : every difference, and every rewriting that changes nothing, in the order of the layers
    losses : one entry for each layer of neurons, with the errors measured on calibration data
    """

    model: torch.nn.Module
    substitutions: tuple[Substitution, ...]
    losses: tuple[LayerLoss, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """Loss report as plain data."""
        return [loss.to_json() for loss in self.losses]


def approximate(
    model: torch.nn.Module, chip: Chip, *, calibration: npt.ArrayLike | None = None, dt_s: float | None = None
) -> Approximation:
    """Replace the neurons that a chip does not compute by the nearest that it does, and say so.

    Nothing is replaced silently: each substitution is a sentence of the result. With calibration data both models and
    the integer network run on them, and the result holds the errors of spike counts and spike times (``SpikeError``).

    model : sequential; it is not changed
    calibration : (time, batch, channel) counts
    Raises Refusal with everything that has no substitute (ND1701, with the reason), and all that ``constrain`` and
    ``quantize`` refuse.
    """
    made, substitutions = substitute(model, chip)
    constrained = constrain(made, chip)
    errors = tuple[SpikeError, ...]()
    if calibration is not None:
        network = quantize(constrained, chip, calibration=calibration, dt_s=dt_s).network
        errors = errors_of(model, made, constrained, network, calibration)
    return Approximation(made, substitutions, layer_losses(layer_names(model), substitutions, errors))


def layer_names(model: torch.nn.Module) -> list[str]:
    """Layers of neurons of a model, in order."""
    return [name for name, _ in neuron_layers(model)]


def errors_of(
    model: torch.nn.Module,
    made: torch.nn.Module,
    constrained: torch.nn.Module,
    network: Network | None,
    calibration: npt.ArrayLike,
) -> tuple[SpikeError, ...]:
    """Errors of every layer of the substitutes and of the integer network.

    made, constrained, network : the model with substitutes, as ``constrain`` returns it, and quantized; without a
        network the errors are those of the substitutes alone
    """
    counts, names = np.asarray(calibration), layer_names(model)
    errors = measure(names, "substitute", spikes_of(model, counts), spikes_of(made, counts))
    if network is None:
        return errors
    # the given neurons between the delays of the chip, which are no error of the neurons
    given = [neuron for _, neuron in neuron_layers(model)]
    delayed = swapped(constrained, dict(zip(layer_names(constrained), given, strict=True)))
    run = simulate(place_identity(network), counts, drain=0)
    found = [run.counts[name].astype(np.float64) for name in layer_names(constrained)]
    return errors + measure(names, "integer", spikes_of(delayed, counts), found)

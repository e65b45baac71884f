"""The wiring of a float model on a chip before any scale is chosen: enough to ask whether it fits."""

from collections.abc import Mapping

import numpy as np
import torch

from neurodeploy.chips import Chip, ConnectionKind
from neurodeploy.chips.schema import ParameterEntry
from neurodeploy.layers import SparseLinear
from neurodeploy.network import Group, Network, Projection
from neurodeploy.network.network import Ints
from neurodeploy.quantizer.decays import Floats
from neurodeploy.quantizer.lower import choose_kind, pieces, weight_of


def structure(model: torch.nn.Module, chip: Chip, *, dt_s: float | None = None) -> Network | None:
    """Network with a synapse entry for every float weight that is not 0; weights are 1, parameters unset.

    Asks nothing of the neurons: time constants, resets and caps that the chip does not have do not change the wiring.
    None where the layers cannot be read as stages of the chip; ``lower`` says why.
    """
    parts, faults = pieces(model)
    if faults:
        return None
    kind = chip.inputs()[0]
    inputs = parts[0].linear.in_features
    groups, projections = [Group(kind.name, kind.name, inputs, _lowest(kind.parameters, inputs))], []
    for index, part in enumerate(parts):
        source, source_kind = groups[-1], kind
        chosen, faults = choose_kind(chip, source_kind, part, last=index == len(parts) - 1)
        if chosen is None or part.linear.in_features != source.size:
            return None
        kind, size = chosen, part.linear.out_features
        groups.append(Group(part.name, kind.name, size, _lowest(kind.parameters, size)))
        arriving = chip.between(source_kind.name, kind.name)[0]
        projections.append(_entries(arriving, source.name, part.name, weight_of(part.linear).T))
        recurrent, again = chip.between(kind.name, kind.name), part.neuron.rec_connect
        if recurrent and isinstance(again, torch.nn.Linear | SparseLinear):
            if weight_of(again).shape != (size, size):
                return None
            projections.append(_entries(recurrent[0], part.name, part.name, weight_of(again).T))
    return Network(chip, tuple(groups), tuple(projections), dt_s)


def _entries(kind: ConnectionKind, source: str, target: str, weights: Floats) -> Projection:
    used = weights != 0
    sources, targets = np.nonzero(used if kind.entry.pattern == "pairs" else np.ones(weights.shape, bool))
    fields = {n: np.zeros(len(sources), np.int64) for n in kind.fields}
    fields[kind.entry.weights[0]] = used[sources, targets].astype(np.int64)
    parameters = {n: p.allowed.low if p.default is None else p.default for n, p in kind.parameters.items()}
    return Projection(kind.name, source, target, sources, targets, fields, parameters)


def _lowest(parameters: Mapping[str, ParameterEntry], size: int) -> dict[str, Ints]:
    return {n: np.full(size, p.allowed.low if p.default is None else p.default) for n, p in parameters.items()}

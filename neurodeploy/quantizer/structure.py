"""The wiring of a float model on a chip before any scale is chosen: enough to ask whether it fits."""

from collections.abc import Mapping

import numpy as np

from neurodeploy.chips.schema import ParameterEntry
from neurodeploy.network import Group, Network, Projection
from neurodeploy.network.network import Ints
from neurodeploy.quantizer.lower import Lowered


def structure(lowered: Lowered) -> Network:
    """Network with a synapse entry for every float weight that is not 0; weights are 1, thresholds the lowest."""
    chip = lowered.chip
    kind = lowered.input_kind
    groups = [Group(kind.name, kind.name, lowered.inputs, _lowest(kind.parameters, lowered.inputs))]
    projections = []
    for stage in lowered.stages:
        groups.append(Group(stage.name, stage.kind.name, stage.size, _lowest(stage.kind.parameters, stage.size)))
        for edge in stage.edges:
            used = edge.weight != 0 if edge.kind.entry.pattern == "pairs" else np.ones(edge.weight.shape, bool)
            sources, targets = np.nonzero(used)
            fields = {n: np.zeros(len(sources), np.int64) for n in edge.kind.fields}
            fields[edge.kind.entry.weights[0]] = np.ones(len(sources), np.int64)
            parameters = {n: p.allowed.low for n, p in edge.kind.parameters.items()}
            projections.append(
                Projection(edge.kind.name, edge.source, stage.name, sources, targets, fields, parameters)
            )
    return Network(chip, tuple(groups), tuple(projections))


def _lowest(parameters: Mapping[str, ParameterEntry], size: int) -> dict[str, Ints]:
    return {n: np.full(size, p.allowed.low if p.default is None else p.default) for n, p in parameters.items()}

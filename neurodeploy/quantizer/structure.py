"""The wiring of a float model on a chip before any scale is chosen: enough to ask whether it fits."""

from collections.abc import Collection, Mapping

import numpy as np
import torch

from neurodeploy.chips import Chip
from neurodeploy.chips.schema import ParameterEntry
from neurodeploy.network import Group, Network, Projection
from neurodeploy.network.network import Ints
from neurodeploy.quantizer.sharing import arriving_edges
from neurodeploy.quantizer.stages import Edge
from neurodeploy.quantizer.wiring import wire


def structure(
    model: torch.nn.Module, chip: Chip, *, dt_s: float | None = None, biased: Collection[str] = ()
) -> Network | None:
    """Network with a synapse entry for every float weight that is not 0; weights are 1, parameters unset.

    biased : layers whose neurons have a bias; theirs is set to some value, for memories that count it
    Asks nothing of the neurons: time constants, resets and caps that the chip does not have do not change the wiring.
    None where the layers cannot be read as stages of the chip; ``lower`` says why.
    """
    wiring, _ = wire(model, chip)
    if wiring is None:
        return None
    kind, inputs = wiring.input_kind, wiring.cut.inputs
    groups = [Group(kind.name, kind.name, inputs, _lowest(kind.parameters, inputs), shape=wiring.shape)]
    projections = list[Projection]()
    for layer in wiring.layers:
        size, name = layer.piece.size, layer.piece.name
        registers = _lowest(layer.kind.parameters, size)
        if name in biased and layer.kind.deploy is not None and layer.kind.deploy.bias is not None:
            registers |= _smallest(layer.kind.deploy.bias, layer.kind.parameters, size)
        groups.append(Group(name, layer.kind.name, size, registers, shape=layer.shape))
        projections += [_entries(edge, name) for edge in arriving_edges(chip, layer)]
    return Network(chip, tuple(groups), tuple(projections), dt_s)


def _entries(edge: Edge, target: str) -> Projection:
    kind, used = edge.kind, edge.weight != 0
    parameters = {n: p.allowed.low if p.default is None else p.default for n, p in kind.parameters.items()}
    first = kind.entry.weights[0]
    if edge.geometry is not None:
        none = np.zeros(0, np.int64)
        fields = {n: np.zeros(used.size, np.int64) for n in kind.fields} | {first: used.reshape(-1).astype(np.int64)}
        return Projection(kind.name, edge.source, target, none, none, fields, parameters, edge.geometry)
    sources, targets = np.nonzero(used if kind.entry.pattern == "pairs" else np.ones(used.shape, bool))
    fields = {n: np.zeros(len(sources), np.int64) for n in kind.fields}
    fields[first] = used[sources, targets].astype(np.int64)
    return Projection(kind.name, edge.source, target, sources, targets, fields, parameters)


def _lowest(parameters: Mapping[str, ParameterEntry], size: int) -> dict[str, Ints]:
    return {n: np.full(size, p.allowed.low if p.default is None else p.default) for n, p in parameters.items()}


def _smallest(name: str, parameters: Mapping[str, ParameterEntry], size: int) -> dict[str, Ints]:
    """A register at the value nearest to 0, and not 0, that it may have."""
    allowed = parameters[name].allowed
    return {name: np.full(size, -1 if allowed.low < 0 else max(allowed.low, 1))}

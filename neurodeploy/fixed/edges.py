"""What leads to a layer: weights from the input, from layers before it and from its own spikes."""

from dataclasses import dataclass

import numpy as np
import torch

from neurodeploy.errors import Fault, Refusal
from neurodeploy.fixed.floats import Floats
from neurodeploy.layers import Neuron
from neurodeploy.network import Convolution
from neurodeploy.quantizer.nodes import LINEAR
from neurodeploy.quantizer.pieces import Piece
from neurodeploy.quantizer.ways import Way, numbers, pair, weight_of

#: Matrices up to this size are spelled out where a pooled map meets all neurons of a layer.
SPELLED = 1 << 26


@dataclass(frozen=True)
class Edge:
    """Weights from one source.

    source : name of a layer, "" for the input
    weight : (source, target) matrix, or with a geometry the kernel; None where each source meets its own target
    """

    source: str
    weight: Floats | None
    delay: int = 0
    geometry: Convolution | None = None

    def totals(self, most: Floats, size: int) -> Floats:
        """(target,) largest magnitude that can arrive at once, in units of the weights.

        most : (source,) largest magnitude that each source emits
        """
        if self.weight is None:
            return most
        if self.geometry is None:
            return np.asarray(most @ np.abs(self.weight))
        sources, targets, entries = self.geometry.links
        total = np.zeros(size)
        np.add.at(total, targets, most[sources] * np.abs(self.weight).reshape(-1)[entries])
        return total


def edges_of(piece: Piece, sizes: dict[str, int]) -> list[Edge]:
    """All that leads to a layer; the recurrent weights come last.

    Raises Refusal (ND1603) for a rec_connect that is no linear layer.
    """
    found = [_edge(way, sizes[way.source]) for way in piece.ways]
    back = piece.neuron.rec_connect
    if back is not None:
        found.append(_back(piece, back))
    return found


def _edge(way: Way, size: int) -> Edge:
    geometry, delay = way.geometry(size), way.delay or 0
    if way.kernel is None and way.pooling == (1, 1) and way.factor == 1:
        return Edge(way.source, None, delay)
    kernel = way.carried(geometry.source[0]) if way.kernel is None else way.kernel
    if not way.full:
        return Edge(way.source, kernel, delay, geometry)
    if way.pooling == (1, 1):
        return Edge(way.source, np.ascontiguousarray(kernel.reshape(len(kernel), -1).T), delay)
    if size * len(kernel) > SPELLED:
        return Edge(way.source, kernel, delay, geometry)
    sources, targets, entries = geometry.links
    matrix = np.zeros((size, len(kernel)))
    np.add.at(matrix, (sources, targets), kernel.reshape(-1)[entries])
    return Edge(way.source, matrix, delay)


def _back(piece: Piece, module: torch.nn.Module) -> Edge:
    name = piece.name
    if type(module) is torch.nn.Identity:
        return Edge(name, None)
    if type(module) in LINEAR:
        return Edge(name, np.ascontiguousarray(weight_of(module).T))
    if type(module) is torch.nn.Conv2d and piece.map is not None and module.dilation == (1, 1):
        kernel = numbers(module.weight)
        form = kernel.shape
        shape = (form[0], form[1], form[2], form[3])
        lies = Convolution(piece.map, shape, pair(module.stride), pair(module.padding), groups=module.groups)
        if not list(lies.faults(piece.where)) and lies.target == piece.map:
            return Edge(name, kernel, 0, lies)
    was = f"rec_connect = {type(module).__name__}"
    must = "weights from spikes to the input: Linear, SparseLinear, EventLinear, Identity, a Conv2d that keeps the map"
    raise Refusal(Fault("ND1603", piece.where, was, must))


def bias_of(piece: Piece) -> Floats | None:
    """(neuron,) constant that enters in every step, that of rec_connect too where it acts at once; None for nothing."""
    bias = None if piece.bias is None else np.asarray(piece.bias, np.float64).reshape(-1)
    own = _own_bias(piece)
    if own is None or not starts_with_spikes(piece.neuron):
        return bias
    return own if bias is None else bias + own


def late_bias_of(piece: Piece) -> Floats | None:
    """(neuron,) constant of rec_connect that enters from the second step on, None for nothing."""
    return None if starts_with_spikes(piece.neuron) else _own_bias(piece)


def _own_bias(piece: Piece) -> Floats | None:
    back = getattr(piece.neuron.rec_connect, "bias", None)
    return np.repeat(numbers(back), piece.size // len(back)) if isinstance(back, torch.Tensor) else None


def starts_with_spikes(neuron: Neuron) -> bool:
    """Whether the last spikes are a state, so that what they bring acts from the first step on."""
    return "spike" in neuron.anatomy().starts

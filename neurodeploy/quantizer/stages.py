"""A float model as stages: neuron layers, each a kind of the chip, and the weights between them, still float."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from neurodeploy.chips import Chip, ConnectionKind, NeuronKind
from neurodeploy.layers import Neuron
from neurodeploy.network import Convolution
from neurodeploy.quantizer.decays import Floats


@dataclass(frozen=True)
class Edge:
    """Float weights of one connection kind from one stage, or from the input, to another.

    source : name of the stage, or of the input kind
    weight : (source, target) matrix; with a geometry the kernel (features, channels, rows, columns)
    delay : what the model asks for, in steps; None where it states nothing
    geometry : of the convolution where the connection kind stores kernels
    bits : most bits of a stored weight, where the kind has a register of their width; None for all that it holds
    """

    kind: ConnectionKind
    source: str
    weight: Floats
    delay: int | None
    geometry: Convolution | None = None
    bits: int | None = None

    def spread(self, values: Floats) -> Floats:
        """(target,) values in a shape that multiplies ``weight``; with a kernel those of each feature's first neuron.

        Where one kernel serves a whole map, the values must be equal within each feature.
        """
        if self.geometry is None:
            return values
        return values.reshape(self.geometry.features, -1)[:, :1, None, None]

    @cached_property
    def largest(self) -> Floats:
        """(target,) largest magnitude among the weights of each target neuron."""
        if self.geometry is None:
            return np.asarray(np.abs(self.weight).max(axis=0, initial=0.0))
        each = np.abs(self.weight).max(axis=(1, 2, 3), initial=0.0)
        return np.repeat(each, self.geometry.target[1] * self.geometry.target[2])

    @cached_property
    def matrix(self) -> Floats:
        """(source, target) weights, a convolution spelled out."""
        if self.geometry is None:
            return self.weight
        sources, targets, entries = self.geometry.links
        source, target = np.prod(self.geometry.source), np.prod(self.geometry.target)
        spelled = np.zeros((int(source), int(target)))
        np.add.at(spelled, (sources, targets), self.weight.reshape(-1)[entries])
        return spelled


@dataclass(frozen=True)
class Stage:
    """A neuron layer of the model and the kind of neuron that it becomes.

    name : of the layer in the model
    shape : how its neurons lie, (channels, rows, columns) for maps; () stands for a row of ``size``
    threshold, bias : (neuron,) in units of what the chip's synapses add: divided by the input gain of the layer
    low : (neuron,) lower bound of the membrane in the same unit, None where the model has none
    keep : decay name -> (neuron,) what remains after one step, of every decay that the chip's neuron has: a current
        that the model does without keeps nothing, a membrane that never leaks keeps all
    gain : (neuron,) factor from what the chip's synapses add to the membrane in the model
    edges : what arrives: the feed-forward weights in the order of the model, then the recurrent ones
    late : steps by which the chip's layer runs behind the model's, where that states no delay
    """

    name: str
    kind: NeuronKind
    module: Neuron
    size: int
    threshold: Floats
    bias: Floats
    keep: Mapping[str, Floats]
    gain: Floats
    edges: tuple[Edge, ...]
    shape: tuple[int, ...] = ()
    low: Floats | None = None
    late: int = 0

    def together(self, edge: Edge, scale: Floats | None = None) -> Floats:
        """All weights whose matrices share the registers of an edge's matrix, its own among them, in a row.

        scale : (neuron,) factor on the weights of each neuron, None for 1
        """
        grid, sharing = edge.kind.entry.grid, [edge]
        if grid is not None and grid.loops_share:
            same = [e for e in self.edges if e.kind.name == edge.kind.name]
            sharing = same if any(e.source == self.name for e in same) else sharing
        factor = np.ones(self.size) if scale is None else scale
        return np.concatenate([(e.weight * e.spread(factor)).reshape(-1) for e in sharing])


@dataclass(frozen=True)
class Lowered:
    """A float model as stages on a chip, sources before targets.

    input_kind : takes the events from outside; edges name it as their source
    inputs : number of input neurons, which lie in ``shape`` ((channels, rows, columns) for maps, () for a row)
    """

    chip: Chip
    model: torch.nn.Module
    input_kind: NeuronKind
    inputs: int
    stages: tuple[Stage, ...]
    shape: tuple[int, ...] = ()

    def kind_of(self, source: str) -> NeuronKind:
        """Neuron kind of a stage, or of the input, by name."""
        return next((stage.kind for stage in self.stages if stage.name == source), self.input_kind)

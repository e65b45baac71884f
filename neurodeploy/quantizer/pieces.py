"""A float model cut at its neuron layers: each with the ways that lead to it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch

from neurodeploy.errors import Fault
from neurodeploy.layers import Delay, Neuron
from neurodeploy.quantizer.nodes import INPUT, LINEAR, NORMS, PASS, POOLS, Node, nodes_of
from neurodeploy.quantizer.ways import Map, Value, Way, convolved, linear, normalised, pooled, total


@dataclass(frozen=True)
class Piece:
    """A neuron layer and what leads to it.

    ways : with weights each, or without where several meet
    bias : what the layers on the ways add in every step, in the shape of the neurons; None for nothing
    map : (channels, rows, columns) in which the neurons lie; None for a row
    """

    name: str
    neuron: Neuron
    ways: tuple[Way, ...]
    bias: Any
    map: Map | None
    where: str

    @property
    def size(self) -> int:
        """Number of neurons."""
        return math.prod(self.neuron.shape)


@dataclass(frozen=True)
class Cut:
    """A whole model.

    inputs : number of values of one step; ``map`` says how they lie, None for a row
    last : name of the piece whose events leave
    """

    pieces: tuple[Piece, ...]
    inputs: int
    map: Map | None
    last: str


def cut(model: torch.nn.Module) -> tuple[Cut | None, list[Fault]]:
    """Cut a model at its neuron layers; everything that is no linear map between two of them is a fault."""
    nodes, result, faults = nodes_of(model)
    walk = _Walk()
    for node in nodes:
        walk.take(node)
    faults += walk.faults
    last = walk.end(result) if not faults else ""
    faults += walk.faults if not faults else []
    inputs = math.prod(walk.input or (0,))
    lies: Map | None = (walk.input[0], walk.input[1], walk.input[2]) if walk.input and len(walk.input) == 3 else None
    return (None if faults else Cut(tuple(walk.pieces), inputs, lies, last)), faults


def neuron_layers(model: torch.nn.Module) -> list[tuple[str, Neuron]]:
    """Names and neurons of a model, sources before targets."""
    nodes, _, _ = nodes_of(model)
    return [(node.path, node.module) for node in nodes if isinstance(node.module, Neuron)]


class _Walk:
    """Follows the values through a model."""

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.faults: list[Fault] = []
        self.values: dict[str, Value | None] = {INPUT: Value((Way(INPUT),), None)}
        self.input: tuple[int, ...] | None = None
        self._delayed: dict[str, str] = {}

    def fault(self, node: Node, was: str, must: str, todo: str = "", code: str = "ND1603") -> None:
        self.faults.append(Fault(code, node.where, was, must, todo))

    def take(self, node: Node) -> None:
        """Compute the value of one node; None where it, or what it needs, is at fault."""
        given = [self.values.get(source) for source, _ in node.sources]
        self.values[node.name] = None
        parts = [value for value in given if value is not None]
        if len(parts) < len(given):
            return
        if node.module is None or any(factor != 1 for _, factor in node.sources):
            shapes = {value.shape for value in parts}
            if len(shapes) > 1:
                was = f"values of shape {' and '.join(str(value.shape) for value in parts)} meet"
                self.fault(node, was, "what is added must have one shape", code="ND1602")
                return
            value = total(zip(parts, (factor for _, factor in node.sources), strict=True))
        else:
            value = parts[0]
        if node.module is None or type(node.module) in PASS:
            self.values[node.name] = value
            return
        if type(node.module) not in _LIGHT:
            value = replace(value, ways=tuple(replace(w, entry=w.entry or node.outer) for w in value.ways))
        if isinstance(node.module, Neuron):
            self._neuron(node, node.module, value)
        else:
            self.values[node.name] = _TAKES[type(node.module)](self, node, node.module, value)

    def end(self, result: str) -> str:
        """Name of the neuron layer that the result comes from."""
        value = self.values.get(result)
        if value is None:
            return ""
        if not self.pieces:
            self.faults.append(Fault("ND1603", "model", "no neuron layer", "Linear and neuron layers in turn"))
            return ""
        for way in value.ways:
            name = f"layer {way.weights!r}"
            if way.kernel is not None or way.pooling != (1, 1) or way.factor != 1:
                must = "the last layer is a neuron layer: what leaves the chip are spikes"
                where = name if way.weights else f"layer {way.entry!r}"
                self.faults.append(Fault("ND1603", where, "no neurons after it", must, "append an LIF layer"))
            elif way.delay is not None:
                must = "delays stand before weights: what leaves the chip leaves it at once"
                was = f"{way.delay} steps after the last neurons"
                self.faults.append(Fault("ND1603", f"layer {self._delayed[result]!r}", was, must, "drop it"))
        if len(value.ways) != 1 and not self.faults:
            was = f"the sum of {len(value.ways)} layers is returned"
            self.faults.append(Fault("ND1603", "model", was, "the events of one neuron layer", "append a neuron layer"))
        elif not self.faults and any(way.source == value.ways[0].source for p in self.pieces for way in p.ways):
            was = f"layer {value.ways[0].source!r} is returned and leads on"
            must = "the layer whose events leave the chip is the last one"
            self.faults.append(Fault("ND1603", "model", was, must, "return a layer that nothing else reads"))
        return value.ways[0].source

    def _neuron(self, node: Node, neuron: Neuron, value: Value) -> None:
        shape = neuron.shape
        self.values[node.name] = Value((Way(node.path, map=_map(shape)),), shape)
        if any(way.kernel is None and way.pooling == (1, 1) for way in value.ways) and len(value.ways) == 1:
            must = "a Linear or SparseLinear layer before each neuron layer"
            self.fault(node, "no weights before it", must, "insert torch.nn.Linear(..., bias=False)")
            return
        if value.shape is not None and value.shape != shape:
            many, shaped = math.prod(shape), f" of shape {shape}" if len(shape) > 1 else ""
            gives = str(math.prod(value.shape)) if len(value.shape) == 1 else f"a map of {value.shape}:"
            was = f"{value.ways[0].weights!r} gives {gives} values for {many} neurons{shaped}"
            self.fault(node, was, "both must be equal", code="ND1602")
            return
        lies = _map(shape)
        forms = {way.geometry(1).target for way in value.ways if way.kernel is not None and not way.full}
        if lies is None and len(forms) == 1:
            lies = forms.pop()  # a map that was flattened before its neurons still is one
            self.values[node.name] = Value((Way(node.path, map=lies),), shape)
        self.pieces.append(Piece(node.path, neuron, value.ways, value.bias, lies, node.where))

    def linear(self, node: Node, module: Any, value: Value) -> Value | None:
        """Weights of a row."""
        wanted = module.in_features
        if self._follows(node, value):
            return None
        if value.shape is None:
            value = self._enters(value, (wanted,))
        if len(value.shape or ()) > 1:
            was = f"values of shape {value.shape}"
            self.fault(node, was, "a row of values", "put Flatten(2) before it, or Flatten(1) inside PerStep")
            return None
        if value.shape != (wanted,):
            source = value.ways[0].source
            given = f"{source!r} gives" if source != INPUT else "it gets"
            was = f"it takes {wanted} values, {given} {math.prod(value.shape or ())}"
            self.faults.append(Fault("ND1602", f"layer {node.path!r}", was, "both must be equal"))
            return None
        return linear(value, module, node.path)

    def convolve(self, node: Node, module: Any, value: Value) -> Value | None:
        """Weights of a map."""
        if self._follows(node, value) or not self._is_map(node, value):
            return None
        before = len(self.faults)
        if module.dilation != (1, 1):
            self.fault(node, f"dilation {module.dilation}", "1: kernels have no gaps", "use a larger kernel with zeros")
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            was = f"padding {module.padding!r} with {module.padding_mode}"
            self.fault(node, was, "zeros, and numbers of rows and columns", "state padding as a number")
        if module.in_channels != (value.shape or (0,))[0]:
            was = f"it takes {module.in_channels} channels and gets a map of {value.shape}"
            self.fault(node, was, "both must be equal", code="ND1602")
        if len(self.faults) > before:
            return None
        done = convolved(value, module, node.path)
        if min(done.shape or (0,)) < 1:
            was = f"a kernel of {module.kernel_size} on a map of {value.shape}"
            self.fault(node, was, "a kernel that fits the padded map", code="ND1602")
            return None
        return done

    def pool(self, node: Node, module: Any, value: Value) -> Value | None:
        """Sum or mean of blocks."""
        if not self._is_map(node, value):
            return None
        if any(way.full for way in value.ways):
            self.fault(node, "a map that a Linear made", "a map that a Conv2d made", "pool in the weights")
            return None
        sizes = [module.kernel_size, getattr(module, "stride", module.kernel_size)]
        size = {n for s in sizes for n in (s if isinstance(s, tuple) else (s, s))}
        padding = getattr(module, "padding", 0)
        if len(size) != 1 or padding not in (0, (0, 0)) or getattr(module, "ceil_mode", False):
            was = f"blocks of {sizes[0]} every {sizes[1]}, padding {padding}"
            self.fault(node, was, "square blocks side by side, without padding or ceil_mode")
            return None
        block = size.pop()
        if min((value.shape or (0, 0, 0))[1:]) < block:
            self.fault(node, f"blocks of {block} on a map of {value.shape}", "a block that fits", code="ND1602")
            return None
        mean = isinstance(module, torch.nn.AvgPool2d)
        return pooled(value, block, 1 / (getattr(module, "divisor_override", None) or block**2) if mean else 1.0)

    def normalise(self, node: Node, module: Any, value: Value) -> Value | None:
        """Merge into the weights before."""
        if not self._folded(node):
            return None
        if any(way.kernel is None for way in value.ways):
            todo = "put it after a Conv2d or Linear layer"
            self.fault(node, "no weights before it", "a normalisation that enters the weights before it", todo)
        elif module.running_mean is None:
            must = "track_running_stats=True"
            self.fault(
                node, "no running statistics", must, "train with it: a normalisation by the batch is no fixed map"
            )
        elif len(value.shape or ()) != (3 if isinstance(module, torch.nn.BatchNorm2d) else 1):
            self.fault(node, f"values of shape {value.shape}", "maps for BatchNorm2d, rows for BatchNorm1d")
        elif module.num_features != (value.shape or (0,))[0]:
            was = f"it takes {module.num_features} channels and gets {(value.shape or (0,))[0]}"
            self.fault(node, was, "both must be equal", code="ND1602")
        else:
            return normalised(value, module)
        return None

    def flatten(self, node: Node, module: Any, value: Value) -> Value | None:
        """Order of the values stays; only their shape is another."""
        if (module.start_dim, module.end_dim) != (node.lead, -1):
            was = (
                f"Flatten({module.start_dim}, {module.end_dim}) of ({'time, batch' if node.lead > 1 else 'batch'}, ...)"
            )
            must = "time and batch stay apart" if node.lead > 1 else "rows stay apart"
            self.fault(node, was, must, f"use Flatten({node.lead})")
            return None
        if value.shape is None:
            return value
        bias = None if value.bias is None else value.bias.reshape(-1)
        return Value(value.ways, (math.prod(value.shape),), bias)

    def unflatten(self, node: Node, module: Any, value: Value) -> Value | None:
        """Say how the values of a row lie."""
        shape = tuple(module.unflattened_size)
        if module.dim not in (node.lead, -1) or len(shape) != 3 or not all(isinstance(n, int) and n > 0 for n in shape):
            was = f"Unflatten({module.dim}, {shape})"
            self.fault(node, was, "rows become maps", f"use Unflatten({node.lead}, (channels, rows, columns))")
            return None
        if value.shape is None:
            return self._enters(value, shape)
        if math.prod(value.shape) != math.prod(shape) or len(value.shape) != 1:
            self.fault(node, f"values of shape {value.shape}", f"{math.prod(shape)} in a row", code="ND1602")
            return None
        if any(way.pooling != (1, 1) or way.map not in (None, shape) for way in value.ways if way.kernel is None):
            self.fault(node, f"a map turned into one of {shape}", "maps keep their shape", "leave Flatten and this out")
            return None
        ways = tuple(replace(way, map=way.map if way.kernel is not None else _map(shape)) for way in value.ways)
        return Value(ways, shape, None if value.bias is None else value.bias.reshape(shape))

    def delay(self, node: Node, module: Any, value: Value) -> Value | None:
        """Steps of all ways."""
        if value.bias is not None:
            was, todo = "a bias that would set in late", "put the Delay before the weights"
            self.fault(node, was, "delays of events", todo)
            return None
        self._delayed[node.name] = node.path
        ways = tuple(replace(way, delay=(way.delay or 0) + module.steps) for way in value.ways)
        return Value(ways, value.shape)

    def _follows(self, node: Node, value: Value) -> bool:
        """Whether weights follow weights, which is a fault."""
        before = next((way.weights for way in value.ways if way.kernel is not None), None)
        if before is None:
            return False
        was, must = f"follows {before!r} without neurons between", "a neuron layer after each linear layer"
        self.fault(node, was, must, "multiply the two matrices, or add a neuron layer")
        return True

    def _folded(self, node: Node) -> bool:
        """Whether time and batch are one dimension, as torch's modules for maps want it."""
        if node.lead != 1:
            kind = type(node.module).__name__
            self.fault(node, "it knows (batch, ...) only", "time and batch folded", f"use PerStep({kind}(...))")
        return node.lead == 1

    def _is_map(self, node: Node, value: Value) -> bool:
        if not self._folded(node):
            return False
        if value.shape is None:
            must, todo = "rows and columns of the input", "begin with torch.nn.Unflatten(2, (channels, rows, columns))"
            self.fault(node, "an input of unknown size", must, todo, "ND1602")
            return False
        if len(value.shape) != 3:
            self.fault(node, f"values of shape {value.shape}", "a map", "see torch.nn.Unflatten", "ND1602")
            return False
        if any(way.map is None and way.kernel is None for way in value.ways):
            self.fault(node, "a row as a map", "a map", "see torch.nn.Unflatten", "ND1602")
            return False
        return True

    def _enters(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Note the shape of the input where it first shows."""
        if self.input is None:
            self.input = shape
        elif math.prod(self.input) != math.prod(shape):
            was = f"an input of {math.prod(self.input)} values in one place and of {math.prod(shape)} in another"
            self.faults.append(Fault("ND1602", "model", was, "one input"))
        elif len(shape) > len(self.input):
            self.input = shape
        return Value(tuple(replace(way, map=_map(shape)) for way in value.ways), shape)


#: modules before which no delay is put: others may read the same value
_LIGHT = (torch.nn.Flatten, torch.nn.Unflatten, Delay)


def _map(shape: tuple[int, ...]) -> Map | None:
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else None


_TAKES: Mapping[type, Callable[..., Value | None]] = MappingProxyType(
    {
        **dict.fromkeys(LINEAR, _Walk.linear),
        torch.nn.Conv2d: _Walk.convolve,
        **dict.fromkeys(POOLS, _Walk.pool),
        **dict.fromkeys(NORMS, _Walk.normalise),
        torch.nn.Flatten: _Walk.flatten,
        torch.nn.Unflatten: _Walk.unflatten,
        Delay: _Walk.delay,
    }
)

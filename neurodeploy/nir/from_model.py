"""A float model as a graph of NIR: layers become nodes, what no node says becomes a contract."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.layers import EventLinear, Graph, Neuron, PerStep, Scale, SparseLinear, SumPool2d
from neurodeploy.layers.graph import INPUT, OUTPUT
from neurodeploy.layers.registry import children
from neurodeploy.layers.stateful import TIME_BATCH
from neurodeploy.nir.contract import Contract
from neurodeploy.nir.graph import NirGraph, Node, Value
from neurodeploy.nir.names import DOT, to_node_name
from neurodeploy.nir.shapes import Shape, infer_shapes, shape_after
from neurodeploy.nir.to_nodes import NodeOf, node_of
from neurodeploy.nir.wiring import flatten

#: What arrives at a layer: node -> factor.
Sum = dict[str, float]
_LINEAR = (torch.nn.Linear, EventLinear, SparseLinear)
_PASS = (torch.nn.Dropout, torch.nn.Identity)


@dataclass
class Written:
    """Nodes and edges so far.

    contracts : of nodes that fire
    origins : node -> (path, class) of the layer that it is from
    """

    dt_s: float
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: set[tuple[str, str]] = field(default_factory=set)
    contracts: dict[str, Contract] = field(default_factory=dict)
    origins: dict[str, tuple[str, str]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)

    def add(self, name: str, kind: str, fields: Mapping[str, Value], arriving: Sum, shape: Shape) -> Sum:
        """Add a node; what arrives with a factor passes a Scale."""
        while name in self.nodes:
            name += "'"
        for source, factor in arriving.items():
            if factor == 1:
                self.edges.add((source, name))
                continue
            before = self.add(
                f"{source}.to.{name}",
                "Scale",
                {"scale": np.full(self.shapes[source], factor)},
                {source: 1.0},
                self.shapes[source],
            )
            self.edges |= {(scaled, name) for scaled in before}
        self.nodes[name], self.shapes[name] = Node(name, kind, dict(fields)), shape
        return {name: 1.0}


def from_model(
    model: torch.nn.Module, dt_s: float, *, input_shape: tuple[int, ...] | None = None
) -> tuple[NirGraph, Written]:
    """Graph of a model, without metadata, and what its nodes mean.

    Raises Refusal with everything at once: ND1603 for layers that NIR has no primitive for, by name, ND1602 for an
    input whose shape nothing tells, ND1601 for options that no field and no contract can say.
    """
    written = Written(dt_s)
    layers = children(model) if type(model) is torch.nn.Sequential else [("", model)]
    shape = input_shape
    first: Any = layers[0][1] if layers else None
    if type(first) is torch.nn.Unflatten and first.dim == TIME_BATCH:
        shape = tuple(int(n) for n in first.unflattened_size)
        del layers[0]
    shape = shape or next((found for _, layer in layers[:1] if (found := _wanted(layer))), None)
    if shape is None:
        was, todo = "an input whose shape no layer tells", "state input_shape, or begin with torch.nn.Unflatten"
        raise Refusal(Fault("ND1602", "model", was, "a shape", todo))
    arriving = written.add(INPUT, "Input", {"shape": np.array(shape)}, {}, shape)
    for name, layer in layers:
        arriving = _emit(written, name, layer, arriving, lead=TIME_BATCH)
    raise_if(written.faults)
    last = written.shapes[next(iter(arriving))]
    written.add(OUTPUT, "Output", {"shape": np.array(last)}, arriving, last)
    graph = NirGraph(dict(written.nodes), tuple(sorted(written.edges)))
    infer_shapes(flatten(graph))  # what is written can be read
    return graph, written


def _wanted(layer: torch.nn.Module) -> Shape | None:
    if isinstance(layer, _LINEAR):
        return (int(layer.in_features),)
    if isinstance(layer, Neuron | Scale):
        return layer.shape
    if isinstance(layer, Graph):
        first = [
            layer.layers.get_submodule(target)
            for source, target, _ in layer.edges
            if source == INPUT and target != OUTPUT
        ]
        return next((found for part in first if (found := _wanted(part))), None)
    return None


def _emit(written: Written, path: str, layer: torch.nn.Module, arriving: Sum, *, lead: int) -> Sum:
    """Nodes of a layer; ``lead`` dimensions come before those of the values: time and batch, or one for both."""
    kind = type(layer)
    before = set(written.nodes)
    if kind in _PASS:
        return arriving
    if kind is torch.nn.Sequential:
        row = _row_convolution(layer)
        if row is not None:
            return _found(written, path, layer, arriving, row, before)
        for name, part in children(layer):
            arriving = _emit(written, _join(path, name), part, arriving, lead=lead)
        return arriving
    if isinstance(layer, PerStep):
        return _emit(written, path, layer.module, arriving, lead=1)
    if isinstance(layer, Graph):
        return _graph(written, path, layer, arriving, lead)
    shape = written.shapes[next(iter(arriving))]
    try:
        found = _WEIGHTS[kind](layer, shape, lead) if kind in _WEIGHTS else node_of(layer, shape, written.dt_s)
    except Refusal as refusal:
        written.faults += [replace(fault, where=f"layer {path!r}") for fault in refusal.faults]
        return arriving
    return _found(written, path, layer, arriving, found, before)


def _found(
    written: Written, path: str, layer: torch.nn.Module, arriving: Sum, found: list[NodeOf], before: set[str]
) -> Sum:
    for part in found:
        name = ".".join(filter(None, (_node_name(path), part.suffix)))
        arriving = written.add(name, part.kind, part.fields, arriving, part.shape)
        (own,) = arriving
        if part.contract is not None:
            written.contracts[own] = part.contract
        if part.back is not None:
            back = {own: 1.0}
            if isinstance(part.back, torch.nn.Module):
                inside = set(written.nodes)
                back = _emit(written, f"{path}{DOT}w_rec", part.back, back, lead=1)
                written.origins |= {n: (path, "rec_connect") for n in written.nodes if n not in inside}
            else:
                back = written.add(f"{own}.w_rec", "Scale", {"scale": part.back}, back, part.shape)
            written.edges |= {(source, own) for source in back}
    for name in written.nodes:
        if name not in before:
            written.origins.setdefault(name, (path, type(layer).__name__))
    return arriving


def _graph(written: Written, path: str, graph: Graph, arriving: Sum, lead: int) -> Sum:
    values = {INPUT: arriving}
    for name in graph.order:
        total: Sum = {}
        for source, target, factor in graph.edges:
            if target == name:
                for node, own in values[source].items():
                    total[node] = total.get(node, 0.0) + own * factor
        at = name if path in ("", "graph") else _join(path, name)
        values[name] = (
            total if name == OUTPUT else _emit(written, at, graph.layers.get_submodule(name), total, lead=lead)
        )
    return values[OUTPUT]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _node_name(path: str) -> str:
    return ".".join(to_node_name(part) for part in path.split("."))


def _numbers(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy().copy()


def _matrix(layer: Any, _shape: Shape, _lead: int) -> list[NodeOf]:
    weight = _numbers(layer.effective_weight() if isinstance(layer, SparseLinear) else layer.weight)
    bias = getattr(layer, "bias", None)
    if bias is None:
        return [NodeOf("Linear", {"weight": weight}, (len(weight),))]
    return [NodeOf("Affine", {"weight": weight, "bias": _numbers(bias)}, (len(weight),))]


def _convolution(layer: torch.nn.Conv2d, shape: Shape, _lead: int) -> list[NodeOf]:
    if layer.padding_mode != "zeros":
        raise Refusal(Fault("ND1603", "", f"padding_mode {layer.padding_mode!r}", "zeros: NIR has no other"))
    weight = _numbers(layer.weight)
    fields: dict[str, Value] = {
        "weight": weight,
        "bias": np.zeros(len(weight), weight.dtype) if layer.bias is None else _numbers(layer.bias),
        "stride": np.array(layer.stride),
        "padding": layer.padding if isinstance(layer.padding, str) else np.array(layer.padding),
        "dilation": np.array(layer.dilation),
        "groups": np.array(layer.groups),
        "input_shape": np.array(shape[1:]),
    }
    return [_shaped("Conv2d", fields, shape)]


def _row_convolution(layer: torch.nn.Module) -> list[NodeOf] | None:
    """Conv1d, which stands as the convolution of a map with one row."""
    parts: list[Any] = [part for _, part in children(layer)]
    if [type(part) for part in parts] != [torch.nn.Unflatten, torch.nn.Conv2d, torch.nn.Flatten]:
        return None
    rows, conv, row = parts
    if rows.dim != 2 or rows.unflattened_size[0] != 1 or (row.start_dim, row.end_dim) != (2, 3):
        return None
    length = int(rows.unflattened_size[1])
    (found,) = _convolution(conv, (conv.in_channels, 1, length), 1)
    fields = dict(found.fields) | {
        "weight": np.asarray(found.fields["weight"])[:, :, 0],
        "input_shape": np.array(length),
    }
    for name in ("stride", "padding", "dilation"):
        value = fields[name]
        fields[name] = value if isinstance(value, str) else value[1:].reshape(())
    return [NodeOf("Conv1d", fields, (found.shape[0], found.shape[2]))]


def _pool(layer: Any, shape: Shape, _lead: int) -> list[NodeOf]:
    mean = isinstance(layer, torch.nn.AvgPool2d)
    padding = getattr(layer, "padding", 0)
    fields: dict[str, Value] = {
        "kernel_size": _two(layer.kernel_size),
        "stride": _two(getattr(layer, "stride", None) or layer.kernel_size),
        "padding": _two(padding),
    }
    divisor = getattr(layer, "divisor_override", None)
    if mean and (
        layer.ceil_mode or divisor not in (None, 1) or (np.any(_two(padding)) and not layer.count_include_pad)
    ):
        raise Refusal(Fault("ND1603", "", "ceil_mode, divisor or count_include_pad", "sums or means of whole blocks"))
    return [_shaped("AvgPool2d" if mean and divisor is None else "SumPool2d", fields, shape)]


def _two(value: Any) -> Any:
    return np.broadcast_to(np.asarray(value, np.int64), (2,)).copy()


def _flatten(layer: torch.nn.Flatten, shape: Shape, lead: int) -> list[NodeOf]:
    axes = [n if n < 0 else n - lead for n in (layer.start_dim, layer.end_dim)]
    if layer.start_dim >= 0 and axes[0] < 0:
        was = f"Flatten({layer.start_dim}, {layer.end_dim}) joins time or batch with values"
        raise Refusal(Fault("ND1603", "", was, f"Flatten({lead}): NIR knows no batch"))
    if len(shape) == 1:
        return []
    start, end = (np.array(n) for n in axes)
    return [_shaped("Flatten", {"start_dim": start, "end_dim": end, "input_type": np.array(shape)}, shape)]


def _scale(layer: Scale, shape: Shape, _lead: int) -> list[NodeOf]:
    factor = np.broadcast_to(_numbers(layer.factor), layer.shape).copy()
    if layer.offset is None:
        return [NodeOf("Scale", {"scale": factor}, shape)]
    if len(shape) > 1:
        must = "a constant in the layer before: NIR adds none to a map"
        raise Refusal(Fault("ND1603", "", "a Scale of a map with an offset", must))
    offset = np.broadcast_to(_numbers(layer.offset), layer.shape).copy()
    return [NodeOf("Affine", {"weight": np.diag(factor), "bias": offset}, shape)]


def _shaped(kind: str, fields: dict[str, Value], shape: Shape) -> NodeOf:
    """Node whose outgoing shape follows from the incoming one."""
    return NodeOf(kind, fields, shape_after(Node("", kind, fields), shape))


_WEIGHTS: Mapping[type, Callable[[Any, Shape, int], list[NodeOf]]] = MappingProxyType(
    {
        **dict.fromkeys(_LINEAR, _matrix),
        torch.nn.Conv2d: _convolution,
        torch.nn.AvgPool2d: _pool,
        SumPool2d: _pool,
        torch.nn.Flatten: _flatten,
        Scale: _scale,
    }
)

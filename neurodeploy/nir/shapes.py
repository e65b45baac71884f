"""Shapes of all values of a graph: inferred from the input, checked against what the file states."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.nir.graph import Node
from neurodeploy.nir.primitives import array, checked, shape_of, sizes, where
from neurodeploy.nir.wiring import Flat

Shape = tuple[int, ...]
#: Values of one step at one place: a file can state more than any memory holds.
MAX_VALUES = 100_000_000


@dataclass(frozen=True)
class Shapes:
    """Shapes of one step of one sample.

    into, out : name of a node -> shape of what arrives and of what leaves
    notes : what the file states otherwise and what was taken
    """

    into: Mapping[str, Shape]
    out: Mapping[str, Shape]
    notes: tuple[str, ...]


def infer_shapes(flat: Flat) -> Shapes:
    """Follow the shapes through a graph.

    A leading 1 of the input counts as the batch of the sample that an exporter ran, where the network fits without it
    alone. Raises Refusal (ND1602) with every node where shapes disagree.
    """
    declared = shape_of(flat.nodes[flat.input], "shape")
    walk = _Walk(flat, declared)
    rest, dropped = declared, 0
    while walk.faults and len(rest) > 1 and rest[0] == 1:
        rest, dropped = rest[1:], dropped + 1
        again = _Walk(flat, rest)
        if not again.faults:
            taken = f"node {flat.input!r}: shape {declared} is taken as {rest}: the network does not fit otherwise"
            return Shapes(again.into, again.out, (taken, *again.notes))
    raise_if(walk.faults)
    return Shapes(walk.into, walk.out, tuple(walk.notes))


def shape_after(node: Node, shape: Shape) -> Shape:
    """Shape that a node makes of another; raises Refusal (ND1601, ND1602) for one that it does not take."""
    own, faults = checked(node)
    raise_if(faults)
    found = _RULES.get(own.kind, _neurons)(own, shape)
    if isinstance(found, str):
        was, _, must = found.partition("|")
        raise Refusal(Fault("ND1602", where(own), was, must))
    return found


class _Walk:
    def __init__(self, flat: Flat, start: Shape) -> None:
        self.flat = flat
        self.into: dict[str, Shape] = {}
        self.out: dict[str, Shape] = {}
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        sources: dict[str, list[str]] = {name: [] for name in flat.nodes}
        for source, target in flat.edges:
            sources[target].append(source)
        for name, node in flat.nodes.items():
            given = [start] if name == flat.input else [self.out[s] for s in sources[name] if s in self.out]
            if len(given) < max(1, len(sources[name])):
                if not sources[name] and name != flat.input:
                    self._fault(node, "nothing but its own spikes arrives", "an input")
                continue
            if len(set(given)) > 1:
                self._fault(node, f"values of shape {_listed(given)} meet", "what is added must have one shape")
                continue
            self._take(node, given[0])
        for source, target in flat.back:
            if source in self.out and target in self.into and self.out[source] != self.into[target]:
                was = f"shape {self.out[source]} comes back to {self.into[target]}"
                self._fault(flat.nodes[target], was, "what is added must have one shape")

    def _fault(self, node: Node, was: str, must: str) -> None:
        self.faults.append(Fault("ND1602", where(node), was, must))

    def _take(self, node: Node, shape: Shape) -> None:
        if not shape or min(shape) < 1 or math.prod(shape) > MAX_VALUES:
            self._fault(node, f"values of shape {shape}", f"1 to {MAX_VALUES:,} values")
            return
        self.into[node.name] = shape
        found = _RULES.get(node.kind, _neurons)(node, shape)
        if isinstance(found, str):
            was, _, must = found.partition("|")
            self._fault(node, was, must)
            return
        self.out[node.name] = found
        if node.kind == "Output" and found != shape:
            self.notes.append(f"{where(node)}: shape {found} is stated, {shape} arrives and leaves")
            self.out[node.name] = shape


def _neurons(node: Node, shape: Shape) -> Shape | str:
    """Elementwise nodes: every parameter has the shape of the layer, or one value."""
    for name in sorted(node.fields):
        value = array(node, name)
        if value.size != 1 and tuple(value.shape) != shape and _bare(value.shape) != shape:
            return f"{name} has shape {tuple(value.shape)}, what arrives {shape}|both must be equal"
    return shape


def _matrix(node: Node, shape: Shape) -> Shape | str:
    out, into = array(node, "weight").shape
    return (out,) if shape == (into,) else f"it takes {into} values and gets {_shown(shape)}|both must be equal"


def _end(node: Node, shape: Shape) -> Shape | str:
    """Ends and identities hand on what they get; a stated shape may differ by ones alone."""
    stated = shape_of(node, "shape") if "shape" in node.fields else shape
    if node.kind == "Input" or stated == shape:
        return shape
    if math.prod(stated) == math.prod(shape) and _without_ones(stated) == _without_ones(shape):
        return stated if node.kind == "Output" else shape
    return f"shape {stated} is stated and {shape} arrives|both must be equal"


def _convolution(node: Node, shape: Shape) -> Shape | str:
    weight, axes = array(node, "weight"), array(node, "weight").ndim - 2
    groups = int(array(node, "groups").flat[0])
    if len(shape) != axes + 1 or shape[0] != weight.shape[1] * groups:
        return f"it takes {weight.shape[1] * groups} channels of {axes} axes and gets {shape}|both must be equal"
    if "input_shape" in node.fields and (stated := shape_of(node, "input_shape")) not in (shape[1:], ()):
        return f"input_shape {stated} is stated and {shape[1:]} arrives|both must be equal"
    stride, dilation = sizes(node, "stride", axes) or (), sizes(node, "dilation", axes) or ()
    span = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    padded = node.fields["padding"] if isinstance(node.fields["padding"], str) else ""
    if padded == "same":
        if set(stride) != {1}:
            return f"padding 'same' with stride {stride}|stride 1: programs pad otherwise differently"
        return (weight.shape[0], *shape[1:])
    padding = (0,) * axes if padded else sizes(node, "padding", axes) or ()
    lengths = [(n + 2 * p - s) // d + 1 for n, p, s, d in zip(shape[1:], padding, span, stride, strict=True)]
    if min(n + 2 * p - s for n, p, s in zip(shape[1:], padding, span, strict=True)) < 0:
        return f"a kernel of {tuple(span)} on {shape[1:]}, padding {padding}|a kernel that fits"
    return (weight.shape[0], *lengths)


def _pool(node: Node, shape: Shape) -> Shape | str:
    kernel, stride = sizes(node, "kernel_size", 2) or (), sizes(node, "stride", 2) or ()
    padding = sizes(node, "padding", 2) or ()
    if len(shape) != 3:  # channels, rows, columns
        return f"values of shape {shape}|channels, rows and columns"
    if any(n + 2 * p < k for n, p, k in zip(shape[1:], padding, kernel, strict=True)):
        return f"blocks of {kernel} on {shape[1:]}, padding {padding}|blocks that fit"
    lengths = zip(shape[1:], padding, kernel, stride, strict=True)
    return (shape[0], *((n + 2 * p - k) // s + 1 for n, p, k, s in lengths))


def _flatten(node: Node, shape: Shape) -> Shape | str:
    if "input_type" in node.fields and (stated := shape_of(node, "input_type")) != shape and _bare(stated) != shape:
        return f"input_type {stated} is stated and {shape} arrives|both must be equal"
    first, last = flattened(node, len(shape))
    if not 0 <= first <= last < len(shape):
        was = f"start_dim {array(node, 'start_dim').tolist()}, end_dim {array(node, 'end_dim').tolist()} of {shape}"
        return f"{was}|axes that exist, counted without the batch"
    return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


def flattened(node: Node, axes: int) -> tuple[int, int]:
    """First and last axis that a Flatten joins, from 0; the batch has none."""
    first, last = (int(array(node, name).flat[0]) for name in ("start_dim", "end_dim"))
    return (first + axes if first < 0 else first), (last + axes if last < 0 else last)


def full(value: Any, shape: Shape) -> Any:
    """Parameter of a layer as float64, one value for each neuron."""
    numbers = np.asarray(value, np.float64)
    return np.broadcast_to(numbers.reshape(()) if numbers.size == 1 else numbers.reshape(shape), shape)


def _bare(shape: Shape) -> Shape:
    start = next((i for i, n in enumerate(shape) if n != 1), len(shape))
    return tuple(shape[start:])


def _without_ones(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)


def _shown(shape: Shape) -> str:
    return str(shape[0]) if len(shape) == 1 else f"shape {shape}"


def _listed(shapes: list[Shape]) -> str:
    return " and ".join(str(shape) for shape in sorted(set(shapes)))


_RULES: Mapping[str, Callable[[Node, Shape], Shape | str]] = MappingProxyType(
    {
        **dict.fromkeys(("Input", "Output", "Identity"), _end),
        **dict.fromkeys(("Affine", "Linear"), _matrix),
        **dict.fromkeys(("Conv1d", "Conv2d"), _convolution),
        **dict.fromkeys(("SumPool2d", "AvgPool2d"), _pool),
        "Flatten": _flatten,
    }
)

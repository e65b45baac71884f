"""A graph of ONNX nodes under construction: values, constants, nested graphs; what is known is computed at once.

A node is placed in the outermost graph that has its inputs, so that what does not change in a loop stands before it,
and two nodes that compute the same are one. Names are given when the graph is written out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.errors import Fault, Refusal

#: Bytes of constants in one model: a protobuf holds no more than 2 GB, and the nodes need their share.
MOST_BYTES = 2**31 - 2**26
#: Constants of as many numbers are kept in the narrowest integers that hold them, and widened once.
NARROW_FROM = 64

Array = npt.NDArray[Any]
#: onnx.TensorProto.INT64 and BOOL
INT64, BOOL = 7, 9


@dataclass(eq=False)
class Value:
    """A tensor of int64, or of bool where it is a condition.

    graph : where it is computed; None where it is known
    axes : 0 a number, 1 (neuron,), 2 (batch, neuron)
    known : what it is, where that does not depend on any input
    hint : what to call it; the name is made unique when the graph is written
    """

    graph: "Graph | None"
    axes: int
    condition: bool = False
    known: Array | None = None
    hint: str = ""


@dataclass(eq=False)
class Node:
    """One operator; ``body`` is the graph that a Scan repeats."""

    op: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    attributes: Mapping[str, Any]
    label: str
    note: str
    body: "Graph | None" = None


@dataclass
class Root:
    """What all graphs of a model share.

    constants : tensors that are known, as they are kept
    label, note : of the nodes that are being made: where they stand in a chip's texts, and that line
    """

    where: str
    constants: list[tuple[Value, Array]] = field(default_factory=list)
    kept: int = 0  # bytes of the constants
    label: str = ""
    note: str = ""
    _same: dict[tuple[str, str, tuple[int, ...], bytes], Value] = field(default_factory=dict)

    def reserve(self, size: int) -> None:
        """Refuse (ND1901) constants that are larger than one file holds, before they are made. size : bytes."""
        if self.kept + size > MOST_BYTES:
            was = f"constants of at least {self.kept + size:,} bytes"
            todo = "a smaller network, or one with fewer synapses"
            raise Refusal(Fault("ND1901", self.where, was, f"at most {MOST_BYTES:,}: a protobuf holds 2 GB", todo))


class Graph:
    """Nodes in an order in which they can be computed; ``outer`` is the graph whose Scan repeats this one."""

    def __init__(self, root: Root, outer: "Graph | None" = None) -> None:
        self.root, self.outer = root, outer
        self.depth: int = 0 if outer is None else outer.depth + 1
        self.nodes: list[Node] = []
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self._made: dict[tuple[Any, ...], Value] = {}

    def input(self, hint: str, axes: int = 2, *, condition: bool = False) -> Value:
        """A tensor that comes from outside."""
        value = Value(self, axes, condition, hint=hint)
        self.inputs.append(value)
        return value

    def node(
        self, op: str, *inputs: Value, axes: int | None = None, condition: bool = False, **attributes: Any
    ) -> Value:
        """Result of an operator with one output."""
        tensors = tuple(self.tensor(v) for v in inputs)
        graph = max((t.graph for t in tensors if t.graph is not None), key=lambda g: g.depth, default=self.outermost)
        key = (op, tuple(map(id, tensors)), tuple(sorted(attributes.items())))
        if key not in graph._made:  # noqa: SLF001 - a graph of the same model
            rank = max(v.axes for v in inputs) if axes is None else axes
            graph._made[key] = graph.own(op, tensors, attributes, rank, condition=condition)  # noqa: SLF001
        return graph._made[key]  # noqa: SLF001

    def own(
        self, op: str, tensors: tuple[Value, ...], attributes: Mapping[str, Any], axes: int, *, condition: bool
    ) -> Value:
        """Result of a node in this very graph."""
        value = Value(self, axes, condition, hint=f"{self.root.label}/{op}" if self.root.label else op)
        self.nodes.append(Node(op, tensors, (value,), attributes, self.root.label, self.root.note))
        return value

    def tensor(self, value: Value) -> Value:
        """The same as a tensor: what is known becomes a constant of the model."""
        if value.known is None:
            return value
        return self.outermost.constant(value.known, value.hint)

    @property
    def outermost(self) -> "Graph":
        """The graph of the model."""
        return self if self.outer is None else self.outer.outermost

    def constant(self, array: Array, hint: str = "") -> Value:
        """A constant tensor; equal ones of one name are one, wide ones are kept narrow."""
        called = hint if array.ndim else ""  # numbers are called what they are
        key = (called, str(array.dtype), array.shape, sha256(np.ascontiguousarray(array).data).digest())
        same = self.root._same  # noqa: SLF001 - of the same model
        if key not in same:
            narrow = _narrowest(array) if array.size >= NARROW_FROM and array.dtype == np.int64 else array
            name = str(array).lower() if array.ndim == 0 else hint or "constant"
            kept = Value(self, min(array.ndim, 2), array.dtype == bool, hint=name)
            self.root.reserve(narrow.nbytes)
            self.root.kept += narrow.nbytes
            self.root.constants.append((kept, narrow))
            if narrow.dtype != array.dtype:
                kept.hint, made = f"{name}, {narrow.dtype}", Value(self, kept.axes, hint=name)
                self.nodes.append(Node("Cast", (kept,), (made,), {"to": INT64}, name, ""))
                kept = made
            same[key] = kept
        return same[key]

    def scan(
        self,
        carried: Mapping[str, Value],
        scanned: Mapping[str, tuple[Value, int]],
        body: Callable[["Graph", dict[str, Value], dict[str, Value]], tuple[Mapping[str, Value], Mapping[str, Value]]],
    ) -> tuple[dict[str, Value], dict[str, Value]]:
        """Repeat a body along one axis of each scanned tensor; returns what is carried out and what was collected.

        carried : name -> value before the first time
        scanned : name -> tensor and the axis that is walked along
        body : its graph, what is carried, what is met -> what is carried on, what is collected along a new first axis
        """
        inner, label = Graph(self.root, self), self.root.label
        own = {n: inner.input(f"{label}/{n} before", v.axes, condition=v.condition) for n, v in carried.items()}
        met = {
            n: inner.input(f"{label}/{n}", max(0, v.axes - 1), condition=v.condition) for n, (v, _) in scanned.items()
        }
        on, collected = body(inner, own, met)
        self.root.label, self.root.note = label, ""
        for n in carried:
            inner.outputs.append(inner.here(on[n], f"{label}/{n} after"))
        for n, v in collected.items():
            inner.outputs.append(inner.here(v, f"{label}/{n} of a step"))
        ends = {n: Value(self, v.axes, v.condition, hint=f"{label}/{n}") for n, v in carried.items()}
        lists = {n: Value(self, 2, v.condition, hint=f"{label}/{n} of all") for n, v in collected.items()}
        inputs = tuple(self.tensor(v) for v in (*carried.values(), *(v for v, _ in scanned.values())))
        attributes = {"num_scan_inputs": len(scanned), "scan_input_axes": tuple(axis for _, axis in scanned.values())}
        self.nodes.append(Node("Scan", inputs, (*ends.values(), *lists.values()), attributes, label, "", inner))
        return ends, lists

    def here(self, value: Value, hint: str) -> Value:
        """The same as a result of this very graph that is no output yet, as the outputs of a body must be."""
        tensor = self.tensor(value)
        if tensor.graph is self and tensor not in (*self.inputs, *self.outputs):
            tensor.hint = hint
            return tensor
        made = self.own("Identity", (tensor,), {}, value.axes, condition=value.condition)
        made.hint = hint
        return made


def known(array: npt.ArrayLike, hint: str = "") -> Value:
    """A value that is known now: whole numbers, or truths."""
    found = np.asarray(array)
    found = found if found.dtype == bool else found.astype(np.int64)
    return Value(None, min(found.ndim, 2), found.dtype == bool, found, hint)


def integers(values: Sequence[int] | int) -> Value:
    """Constant shapes, axes and indices."""
    return known(np.array(values, np.int64), "shape")


def _narrowest(array: Array) -> Array:
    low, high = int(array.min()), int(array.max())
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return array.astype(kind)
    return array

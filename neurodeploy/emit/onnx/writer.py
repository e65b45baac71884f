"""A graph under construction -> the protobuf of ONNX, with names for people."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from neurodeploy.emit.onnx.graph import BOOL, INT64, Graph, Node, Value
from neurodeploy.errors import Fault, Refusal, missing_extra

Shape = tuple[int | str, ...]


def write_graph(graph: Graph, shapes: Mapping[str, Shape], what: str) -> Any:
    """``onnx.GraphProto`` of a graph.

    shapes : of the inputs and outputs, which keep the names that they were given
    Raises Refusal ND1901 where two of them have the same name.
    """
    return _Writer(graph).write(shapes, what)


class _Writer:
    def __init__(self, graph: Graph) -> None:
        self.onnx, self.graph = onnx_package(), graph
        self.names: dict[int, str] = {}
        self.taken: set[str] = set()  # names of tensors
        self.called: set[str] = set()  # and of nodes

    def write(self, shapes: Mapping[str, Shape], what: str) -> Any:
        helper, graph = self.onnx.helper, self.graph
        ends = [*graph.inputs, *graph.outputs]
        for value in ends:
            if value.hint in self.taken:
                todo = "give the groups other names"
                was = f"two inputs or outputs of the name {value.hint!r}"
                raise Refusal(Fault("ND1901", graph.root.where, was, "one name for each", todo))
            self.names[id(value)] = _unique(value.hint, self.taken)
        constants = [
            self.onnx.numpy_helper.from_array(array, self.name(value)) for value, array in graph.root.constants
        ]
        nodes = [self.node(n) for n in graph.nodes]
        told = {id(v): helper.make_tensor_value_info(v.hint, _type(v), shapes[v.hint]) for v in ends}
        inputs, outputs = [told[id(v)] for v in graph.inputs], [told[id(v)] for v in graph.outputs]
        return helper.make_graph(nodes, what, inputs, outputs, constants)

    def node(self, node: Node) -> Any:
        body = {} if node.body is None else {"body": self.body(node.body, node.label)}
        inputs, outputs = [self.name(v) for v in node.inputs], [self.name(v) for v in node.outputs]
        name = _unique(f"{node.label}/{node.op}" if node.label else node.op, self.called)
        return self.onnx.helper.make_node(
            node.op, inputs, outputs, name, doc_string=node.note or None, **node.attributes, **body
        )

    def body(self, graph: Graph, label: str) -> Any:
        nodes = [self.node(n) for n in graph.nodes]
        ends = [
            [self.onnx.helper.make_tensor_value_info(self.name(v), _type(v), None) for v in side]
            for side in (graph.inputs, graph.outputs)
        ]
        return self.onnx.helper.make_graph(nodes, label, *ends)

    def name(self, value: Value) -> str:
        if id(value) not in self.names:
            self.names[id(value)] = _unique(value.hint, self.taken)
        return self.names[id(value)]


def _unique(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted} ({number})"
    taken.add(name)
    return name


def _type(value: Value) -> int:
    return BOOL if value.condition else INT64


def onnx_package() -> ModuleType:
    """The package; raises Missing (ND9001) where it is not installed."""
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise missing_extra("onnx", "onnx", "ONNX models") from None
    return onnx

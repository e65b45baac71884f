"""The content of a NIR file as plain values, and the same values as bytes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurodeploy.errors import Fault

Value = NDArray[Any] | str


@dataclass(frozen=True)
class Node:
    """One primitive.

    name : of the node; those of nested graphs come first, "lif1/lif" (no name has a "/" of its own)
    kind : of the primitive, as the file says it
    fields : numbers as arrays, strings as such
    """

    name: str
    kind: str
    fields: Mapping[str, Value]


@dataclass(frozen=True)
class NirGraph:
    """Named nodes and edges (source, target); a node may be a graph.

    metadata : of other programs, and our own under a name that is ours alone
    """

    nodes: Mapping[str, "Node | NirGraph"]
    edges: tuple[tuple[str, str], ...]
    metadata: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class NirFile:
    """What a file holds.

    version : of the program that wrote it, as it says; it decides nothing. "" where the file does not say
    """

    version: str
    graph: NirGraph


def all_nodes(graph: NirGraph) -> Iterator[Node]:
    """Every primitive of a graph and of the graphs in it."""
    for node in graph.nodes.values():
        if isinstance(node, NirGraph):
            yield from all_nodes(node)
        else:
            yield node


def pack(faults: list[Fault], file: NirFile | None) -> bytes:
    """Faults and values as bytes: a line of JSON, then all arrays."""
    arrays = list[bytes]()
    tree = None if file is None else {"version": file.version, "graph": _packed_graph(file.graph, arrays)}
    told = [[fault.code, fault.where, fault.was, fault.must] for fault in faults]
    return b"".join([json.dumps({"faults": told, "file": tree}).encode(), b"\n", *arrays])


def _packed_graph(graph: NirGraph, arrays: list[bytes]) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, NirGraph):
            nodes[name] = {"graph": _packed_graph(node, arrays)}
        else:
            nodes[name] = {"name": node.name, "kind": node.kind, "fields": _packed(node.fields, arrays)}
    return {"nodes": nodes, "edges": graph.edges, "metadata": _packed(graph.metadata, arrays)}


def _packed(values: Mapping[str, Value], arrays: list[bytes]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, str):
            found[name] = value
        else:
            array = value.astype(value.dtype.newbyteorder("<"), copy=False)
            arrays.append(array.tobytes())
            found[name] = [array.dtype.str, list(array.shape), len(arrays[-1])]
    return found


def unpack(content: bytes) -> tuple[list[Fault], NirFile | None]:
    """What ``pack`` packed."""
    head, _, rest = content.partition(b"\n")
    tree = json.loads(head)
    faults = [Fault(*told) for told in tree["faults"]]
    if tree["file"] is None:
        return faults, None
    return faults, NirFile(tree["file"]["version"], _Arrays(rest).graph(tree["file"]["graph"]))


class _Arrays:
    """Takes arrays from bytes in the order in which they were packed."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = memoryview(content), 0

    def graph(self, tree: Mapping[str, Any]) -> NirGraph:
        nodes = dict[str, Node | NirGraph]()
        for name, node in tree["nodes"].items():
            inner = node.get("graph")
            nodes[name] = self.graph(inner) if inner else Node(node["name"], node["kind"], self.values(node["fields"]))
        edges = tuple((source, target) for source, target in tree["edges"])
        return NirGraph(nodes, edges, self.values(tree["metadata"]))

    def values(self, tree: Mapping[str, Any]) -> dict[str, Value]:
        found = dict[str, Value]()
        for name, value in tree.items():
            if isinstance(value, str):
                found[name] = value
                continue
            kind, shape, size = value
            part = self.content[self.at : self.at + size]
            found[name] = np.frombuffer(part, np.dtype(kind)).reshape(shape).astype(np.dtype(kind).newbyteorder("="))
            self.at += size
        return found

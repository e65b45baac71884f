"""A float model as a list of operations, in an order in which they can be computed: chains, graphs, traced modules."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.fx import Node as Traced
from torch.nn import functional

from neurodeploy.ann.trace import ADD, FLATTEN, INSTEAD, SHAPE, given_argument, live
from neurodeploy.ann.tracer import Place, Tracer, shown
from neurodeploy.errors import Fault
from neurodeploy.foreign import library_of
from neurodeploy.layers import Delay, EventLinear, Graph, Neuron, PerStep, SparseLinear, Stateful, SumPool2d
from neurodeploy.layers.graph import INPUT as GRAPH_INPUT
from neurodeploy.layers.graph import OUTPUT as GRAPH_OUTPUT
from neurodeploy.layers.registry import children
from neurodeploy.layers.stateful import TIME_BATCH

#: Name of the value that enters the model; no layer has it.
INPUT = ""
# exact classes throughout: a subclass may compute anything
LINEAR = (torch.nn.Linear, EventLinear, SparseLinear)
POOLS = (torch.nn.AvgPool2d, SumPool2d)
NORMS = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)
PASS = (torch.nn.Identity, torch.nn.Dropout)
_LEAVES = (*LINEAR, torch.nn.Conv2d, *POOLS, *NORMS, *PASS, torch.nn.Flatten, torch.nn.Unflatten, Delay)
_KNOWN = (
    "Linear, EventLinear, SparseLinear, Conv2d, AvgPool2d, SumPool2d, BatchNorm1d, BatchNorm2d, LIF, IAF, Delay, "
    "Flatten(2), Unflatten(2, ...), Dropout, Identity, in Sequential, PerStep, Graph or a module of your own that "
    "torch.fx follows"
)


@dataclass(frozen=True)
class Node:
    """One operation on values of shape (time, batch, ...).

    name : of the value that it makes
    path : of its module in the model; of an addition its place
    module : what computes it; None adds its sources
    sources : (name, factor) of what it reads, added up
    where : its place in the user's terms
    lead : dimensions before those of the neurons: time and batch, or one for both inside PerStep
    outer : path of what stands for it among modules that keep time and batch apart
    """

    name: str
    path: str
    module: torch.nn.Module | None
    sources: tuple[tuple[str, float], ...]
    where: str
    lead: int
    outer: str


def nodes_of(model: torch.nn.Module) -> tuple[list[Node], str, list[Fault]]:
    """Operations of a model, the name of its result, and what cannot be read, with file and line where known."""
    reader = _Reader()
    result = reader.read("", model, INPUT)
    return reader.nodes, result, reader.faults


def flat(model: torch.nn.Module, prefix: str = "") -> Iterator[tuple[str, torch.nn.Module]]:
    """Layers of nested Sequentials in order, a repeated one each time, with dotted names."""
    if type(model) is torch.nn.Sequential:
        for name, child in children(model):
            yield from flat(child, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix or "model", model


class _Tracer(Tracer):
    def is_leaf_module(self, m: torch.nn.Module, module_qualified_name: str) -> bool:
        ours = type(m).__module__.partition(".")[0] == __name__.partition(".")[0]
        return (
            ours or bool(library_of(m)) or isinstance(m, Stateful) or super().is_leaf_module(m, module_qualified_name)
        )


class _Reader:
    """Walks a model; ``read`` returns the name of the value that a module makes of another."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.faults: list[Fault] = []
        self._seen: dict[int, str] = {}
        self._names: set[str] = {INPUT}

    def read(
        self,
        path: str,
        module: torch.nn.Module,
        source: str,
        *,
        lead: int = TIME_BATCH,
        outer: str = "",
        at: Place | None = None,
    ) -> str:
        """Take in one module and what it holds."""
        kind = type(module)
        if kind is torch.nn.Sequential:
            for name, child in children(module):
                source = self.read(_join(path, name), child, source, lead=lead, outer=outer, at=at)
            return source
        if kind is PerStep and isinstance(module.module, torch.nn.Module):
            return self.read(_join(path, "module"), module.module, source, lead=1, outer=outer or path, at=at)
        if isinstance(module, Graph) and kind is Graph:
            return self._graph(path, module, source)
        place = f", {shown(at)}" if at else ""
        where = f"layer {path or 'model'!r} ({kind.__name__}{place})"
        if isinstance(module, Stateful):
            if id(module) in self._seen:
                was, todo = f"the same module as {self._seen[id(module)]!r}", "copy it with copy.deepcopy(...)"
                self._fault(where, was, "each layer that keeps a state stands in one place", todo, at)
            self._seen.setdefault(id(module), path)
        if kind in _LEAVES or isinstance(module, Neuron):
            return self._node(path, module, ((source, 1.0),), where, lead, outer or path)
        if library := library_of(module):
            was, todo = f"a layer of {library}", "make it one of ours first: model, report = nd.adopt(model, shape)"
            self._fault(where, was, _KNOWN, todo, at)
            return source
        if _is_users(module):
            return self._traced(path, module, source, lead, outer)
        was = "a module that no synapse or neuron of the chip computes"
        self._fault(where, was, _KNOWN, INSTEAD.get(kind.__name__, ""), at)
        return source

    def _node(
        self,
        path: str,
        module: torch.nn.Module | None,
        sources: tuple[tuple[str, float], ...],
        where: str,
        lead: int,
        outer: str,
    ) -> str:
        name = path or "model"
        while name in self._names:
            name += "'"
        self._names.add(name)
        self.nodes.append(Node(name, path or "model", module, sources, where, lead, outer))
        return name

    def _fault(self, where: str, was: str, must: str, todo: str, at: Place | None) -> None:
        values = {} if at is None else {"file": at[0], "line": at[1]}
        self.faults.append(Fault("ND1603", where, was, must, todo, values))

    def _graph(self, path: str, graph: Graph, source: str) -> str:
        values, order = {GRAPH_INPUT: source}, graph.order
        for name in order:
            into = tuple((values[s], factor) for s, t, factor in graph.edges if t == name)
            at = _join(path, name)
            if len(into) == 1 and into[0][1] == 1:
                arriving = into[0][0]
            else:
                arriving = self._node(f"{at} (sum)", None, into, f"what meets at {at!r}", TIME_BATCH, at)
            if name == GRAPH_OUTPUT:
                values[name] = arriving
            else:
                values[name] = self.read(_join(path, f"layers.{name}"), graph.layers.get_submodule(name), arriving)
        return values[GRAPH_OUTPUT]

    def _traced(self, path: str, module: torch.nn.Module, source: str, lead: int, outer: str) -> str:
        """Follow the forward of a module of the user's own."""
        tracer = _Tracer()
        graph = tracer.run(copy.deepcopy(module).eval())
        self.faults += tracer.faults
        values: dict[Traced, str] = {}
        result, entered = source, False
        for node in live(graph):
            at = tracer.places.get(node.name)
            first = values.get(node.all_input_nodes[0], source) if node.all_input_nodes else source
            values[node] = first
            if node.op == "placeholder":
                if entered:
                    self._fault(f"layer {path or 'model'!r}", f"a second input {node.target!r}", "one tensor", "", at)
                entered = True
            elif node.op == "output":
                if isinstance(node.args[0], Traced):
                    result = values[node.args[0]]
                else:
                    self._fault(f"layer {path or 'model'!r}", "forward returns no tensor", "one tensor", "", at)
            elif node.op == "call_module":
                target = str(node.target)
                inner = module.get_submodule(target)
                values[node] = self.read(_join(path, target), inner, first, lead=lead, outer=outer, at=at)
            elif node.op != "get_attr":
                values[node] = self._function(path, node, first, values, lead, outer, at)
        return result

    def _function(
        self, path: str, node: Traced, first: str, values: dict[Traced, str], lead: int, outer: str, at: Place | None
    ) -> str:
        where = f"{_join(path, node.name)}" + (f" ({shown(at)})" if at else "")
        if node.target in ADD:
            given = [*node.args, *(node.kwargs[key] for key in ("input", "other") if key in node.kwargs)]
            parts = [values[a] for a in given if isinstance(a, Traced) and a.op != "get_attr"]
            if len(parts) == len(given) == 2 and not set(node.kwargs) - {"input", "other"}:
                at_both = tuple((part, 1.0) for part in parts)
                return self._node(_join(path, node.name), None, at_both, where, lead, outer)
            was = "an addition of something else than two values of the network"
            self._fault(where, was, "x + y, without alpha", "put a constant into the bias of a layer", at)
        elif node.target in FLATTEN:
            start, end = given_argument(node, 1, "start_dim", 0), given_argument(node, 2, "end_dim", -1)
            if isinstance(start, int) and isinstance(end, int):
                module = torch.nn.Flatten(start, end)
                return self._node(_join(path, node.name), module, ((first, 1.0),), where, lead, outer)
            self._fault(where, "a flattening that depends on data", "whole numbers", "", at)
        elif node.target is functional.dropout and given_argument(node, 2, "training", default=True) is False:
            pass
        elif node.target not in SHAPE:
            name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
            self._fault(where, f"the function {name}", f"additions, flattening and {_KNOWN}", INSTEAD.get(name, ""), at)
        return first


def _is_users(module: torch.nn.Module) -> bool:
    """Whether a module is of the user's own making, not a subclass of a layer that has a meaning here."""
    package = type(module).__module__.partition(".")[0]
    layer = isinstance(module, (*_LEAVES, Stateful, PerStep, Graph, torch.nn.Sequential))
    return package not in ("torch", __name__.partition(".")[0]) and not layer


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

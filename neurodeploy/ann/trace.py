"""A torch module as a list of steps: affine maps, normalisations, pooling, flattening, ReLU and additions."""

import copy
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch.fx import Node
from torch.nn import functional

from neurodeploy.ann.tracer import Tracer, shown
from neurodeploy.errors import Fault, raise_if

#: Exact classes and the kind of step that each becomes: a subclass may compute anything.
MODULES: Mapping[type, str] = MappingProxyType(
    {
        torch.nn.Linear: "affine",
        torch.nn.Conv2d: "affine",
        torch.nn.BatchNorm1d: "norm",
        torch.nn.BatchNorm2d: "norm",
        torch.nn.AvgPool2d: "linear",
        torch.nn.Flatten: "linear",
        torch.nn.ReLU: "relu",
        torch.nn.Dropout: "none",
        torch.nn.Identity: "none",
    }
)
_RELU = (torch.relu, torch.relu_, functional.relu, functional.relu_, "relu", "relu_")
ADD = (operator.add, operator.iadd, torch.add, "add", "add_")
FLATTEN = (torch.flatten, "flatten")
RESHAPE = (torch.reshape, "view", "reshape")
SHAPE = (getattr, operator.getitem, "size", "dim")  # harmless by themselves: whoever uses the result is judged
_MUST = (
    "one of Linear, Conv2d, BatchNorm1d, BatchNorm2d, AvgPool2d, Flatten, ReLU, Dropout, Identity, and additions of "
    "two values"
)
INSTEAD = {
    "MaxPool2d": "use AvgPool2d and train again",
    "max_pool2d": "use torch.nn.AvgPool2d and train again",
    "AdaptiveAvgPool2d": "use AvgPool2d with the kernel size that your images need",
    "avg_pool2d": "use the module torch.nn.AvgPool2d",
    "Softmax": "leave it out: the largest output is the same one",
    "LogSoftmax": "leave it out: the largest output is the same one",
    "softmax": "leave it out: the largest output is the same one",
    "log_softmax": "leave it out: the largest output is the same one",
    "linear": "use the module torch.nn.Linear",
    "conv2d": "use the module torch.nn.Conv2d",
    "batch_norm": "use the module torch.nn.BatchNorm2d",
    "LayerNorm": "use BatchNorm and train again",
    "view": "use torch.flatten(x, 1)",
    "reshape": "use torch.flatten(x, 1)",
} | dict.fromkeys(
    ("Sigmoid", "Tanh", "GELU", "SiLU", "LeakyReLU", "ELU", "ReLU6", "sigmoid", "tanh", "gelu", "silu", "leaky_relu"),
    "use ReLU and train again: a rate of spikes is never negative",
)


@dataclass(frozen=True)
class Step:
    """One operation on values of shape (batch, ...).

    name : unique, made from the name of the module or the function
    kind : "affine" (Linear, Conv2d), "norm", "linear" (pooling, flattening), "relu" or "add"
    sources : names of the steps that it reads; "input" is the input of the network
    module : what computes it, None for "relu" and "add"
    place : where it stands in the user's terms
    """

    name: str
    kind: str
    sources: tuple[str, ...]
    module: torch.nn.Module | None
    place: str

    def compute(self, *values: torch.Tensor) -> torch.Tensor:
        """What the step makes of its sources' values."""
        if self.kind == "relu":
            return torch.relu(values[0])
        if self.kind == "add":
            return values[0] + values[1]
        result: torch.Tensor = self.module(values[0])  # type: ignore[misc] # every other kind has a module
        return result


@dataclass(frozen=True)
class Plan:
    """The steps in an order in which they can be computed, and the name of the one that is returned."""

    steps: tuple[Step, ...]
    output: str

    def compute(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Value of every step, and of "input"."""
        values = {"input": x}
        for step in self.steps:
            values[step.name] = step.compute(*(values[source] for source in step.sources))
        return values


def trace(module: torch.nn.Module) -> Plan:
    """Follow the forward of a module, in evaluation mode, on stand-ins for the data. The module is not changed.

    Raises Refusal that lists everything at once: ND1603 modules and functions that are not supported, ND1605 control
    flow that depends on data; with file and line where the user's code is involved.
    """
    module = copy.deepcopy(module).eval()
    tracer = Tracer()
    graph = tracer.run(module)
    reader = _Reader(module, tracer)
    for node in live(graph):
        reader.read(node)
    raise_if([*tracer.faults, *reader.faults])
    return Plan(tuple(reader.steps), reader.output)


def live(graph: torch.fx.Graph) -> list[Node]:
    """Nodes that the result depends on, in order; all of them where the trace broke off before a result."""
    live = {node for node in graph.nodes if node.op in ("placeholder", "output")}
    if not any(node.op == "output" for node in live):
        return list(graph.nodes)
    for node in reversed(graph.nodes):
        if node in live:
            live.update(node.all_input_nodes)
    return [node for node in graph.nodes if node in live]


class _Reader:
    """Turns nodes into steps; what cannot be turned is a fault."""

    def __init__(self, module: torch.nn.Module, tracer: Tracer) -> None:
        self.module, self.tracer = module, tracer
        self.steps: list[Step] = []
        self.faults: list[Fault] = []
        self.output = "input"
        self._names: dict[Node, str] = {}  # node -> the step whose value it has
        self._inputs = 0

    def read(self, node: Node) -> None:
        """Take in one node."""
        if node.op == "placeholder":
            self._inputs += 1
            self._names[node] = "input"
            if self._inputs > 1:
                self._fault(node, f"a second input {node.target!r}", "forward(self, x) with one tensor")
        elif node.op == "output":
            if isinstance(node.args[0], Node):
                self.output = self._names[node.args[0]]
            else:
                self._fault(node, f"forward returns a {type(node.args[0]).__name__}", "one tensor")
        else:
            self._names[node] = self._names.get(node.all_input_nodes[0], "input") if node.all_input_nodes else "input"
            if node.op == "call_module":
                self._module(node)
            elif node.op != "get_attr":  # a parameter that is read: whoever uses it is judged
                self._function(node)

    def _module(self, node: Node) -> None:
        module = self.module.get_submodule(str(node.target))
        kind = MODULES.get(type(module))
        if kind is None:
            self._unsupported(node, type(module).__name__, f"a {type(module).__module__}.{type(module).__qualname__}")
            return
        if module._forward_hooks or module._forward_pre_hooks:  # noqa: SLF001 - torch has no public way to ask
            was, todo = f"a {type(module).__name__} with forward hooks", "remove the hooks (parametrizations, pruning)"
            self._fault(node, was, "modules that compute what their class computes", todo)
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d) and module.running_mean is None:
            was, must = f"a {type(module).__name__} without running statistics", "track_running_stats=True"
            self._fault(node, was, must, "train with it: a normalisation by the batch at hand is no fixed map")
        if isinstance(module, torch.nn.Flatten):
            self._flatten(node, module.start_dim, module.end_dim)
        elif kind != "none":
            self._step(node, kind, None if kind == "relu" else module)

    def _function(self, node: Node) -> None:
        if node.target in _RELU:
            self._step(node, "relu")
        elif node.target in ADD:
            self._add(node)
        elif node.target in FLATTEN:
            start, end = given_argument(node, 1, "start_dim", 0), given_argument(node, 2, "end_dim", -1)
            self._flatten(node, start, end)
        elif node.target in RESHAPE and keeps_batch(node):
            self._flatten(node, 1, -1)
        elif node.target is functional.dropout and given_argument(node, 2, "training", default=True) is False:
            pass  # evaluation mode: nothing is dropped
        elif node.target is functional.dropout:
            self._fault(node, "a dropout that is always on", "F.dropout(x, p, training=self.training)", "or nn.Dropout")
        elif node.target not in SHAPE:
            name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
            what = "method" if node.op == "call_method" else "function"
            self._unsupported(node, name, f"the {what} {name}")

    def _add(self, node: Node) -> None:
        given = [*node.args, *(node.kwargs[key] for key in ("input", "other") if key in node.kwargs)]
        values = [a for a in given if isinstance(a, Node) and a.op != "get_attr"]
        if len(values) == len(given) == 2 and not set(node.kwargs) - {"input", "other"}:
            self._step(node, "add", None, values)
        else:
            was = "an addition of something else than two values of the network"
            self._fault(node, was, "x + y, without alpha", "put a constant into the bias of a layer")

    def _flatten(self, node: Node, start: Any, end: Any) -> None:
        if not isinstance(start, int) or not isinstance(end, int) or start < 1 or (0 <= end < start):
            was = f"a flattening from dimension {start} to {end}"
            self._fault(node, was, "start_dim 1 or above: samples stay apart", "use torch.flatten(x, 1)")
        else:
            self._step(node, "linear", torch.nn.Flatten(start, end))

    def _step(
        self, node: Node, kind: str, module: torch.nn.Module | None = None, sources: list[Node] | None = None
    ) -> None:
        name = node.name
        while hasattr(torch.nn.Sequential, name) or name in ("input", "output"):
            name += "_"  # names that no layer of torch.nn.Sequential may have
        read = node.all_input_nodes[:1] if sources is None else sources
        self.steps.append(Step(name, kind, tuple(self._names[source] for source in read), module, self._where(node)))
        self._names[node] = name

    def _where(self, node: Node) -> str:
        place = shown(self.tracer.places.get(node.name))
        name = f"module {node.target}" if node.op == "call_module" else node.name
        return f"{name} ({place})" if place else name

    def _fault(self, node: Node, was: str, must: str, todo: str = "", **values: object) -> None:
        place = self.tracer.places.get(node.name)
        told = {} if place is None else {"file": place[0], "line": place[1]}
        self.faults.append(Fault("ND1603", self._where(node), was, must, todo, told | values))

    def _unsupported(self, node: Node, name: str, was: str) -> None:
        self._fault(node, was, f"it must be {_MUST}", INSTEAD.get(name, ""), name=name)


def given_argument(node: Node, position: int, name: str, default: object) -> Any:
    """Argument of a traced call, by position or by name."""
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def keeps_batch(node: Node) -> bool:
    """Whether a reshape is ``x.view(x.size(0), -1)`` in one of its spellings, which is ``flatten(x, 1)``."""
    sizes = node.args[1] if len(node.args) == 2 else node.args[1:]
    if not isinstance(sizes, tuple | list) or len(sizes) != 2 or sizes[1] != -1 or not isinstance(sizes[0], Node):
        return False
    size = sizes[0]
    if size.target == "size":
        return size.args[1:] == (0,) and size.args[0] is node.args[0]
    shape = size.args[0] if size.target is operator.getitem else None
    if not isinstance(shape, Node) or shape.args[0] is not node.args[0] or size.args[1] != 0:
        return False
    return (shape.target is getattr and shape.args[1] == "shape") or (shape.target == "size" and len(shape.args) == 1)

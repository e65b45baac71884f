"""Reads a traced model step by step: layers, edges, shapes, and every fault with the path of its module."""

from collections import OrderedDict
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch.fx import Node
from torch.nn import functional

from neurodeploy.ann.trace import ADD, FLATTEN, INSTEAD, RESHAPE, SHAPE, given_argument, keeps_batch, live
from neurodeploy.ann.tracer import shown
from neurodeploy.errors import Fault, Refusal
from neurodeploy.foreign.flow import Held, State, guessed, nodes_in, wanted
from neurodeploy.foreign.names import change_faults, class_name, library_of, qualified, unknown_fault
from neurodeploy.foreign.neurons import LEAD, NEURONS, TIME_FIRST, Kind, known_names, neuron_kind
from neurodeploy.foreign.structure import (
    KNOWN,
    Container,
    container_of,
    contents,
    stateless,
    torch_class,
    turned,
    wanted_layout,
)
from neurodeploy.foreign.tracing import follow
from neurodeploy.foreign.values import Shape, Source
from neurodeploy.layers.graph import INPUT, OUTPUT
from neurodeploy.layers.stateful import TIME_BATCH, Stateful
from neurodeploy.nir.names import to_layer_name
from neurodeploy.nir.presets import PRESETS
from neurodeploy.nir.report import Became

_ZEROS = (torch.zeros, torch.zeros_like, "new_zeros")
_BODY = "of a loop over time the body is the model that is wanted: a forward of one step"
#: What somebody may do about functions of other names than torch's layers.
_TODO = {
    **dict.fromkeys(("getitem", "stack", "cat", "unbind"), _BODY),
    **dict.fromkeys(("mean", "sum"), "leave it out: nd.evaluate counts the spikes that the model returns"),
    **dict.fromkeys(("unsqueeze", "repeat", "expand"), "leave it out: the model that is made takes all steps"),
}


class Reader:
    """Reads a model; look at ``faults`` before anything else."""

    def __init__(self, model: torch.nn.Module, shape: Shape) -> None:
        self.model = model
        self.layers = OrderedDict[str, torch.nn.Module]()
        self.edges: list[tuple[str, str]] = []
        self.became: list[Became] = []
        self.faults: list[Fault] = []
        graph, self.tracer = follow(model)
        self.faults += [replace(fault, todo=_BODY) for fault in self.tracer.faults]
        self._nodes = live(graph)
        self.layout = self._entering()
        self._input = Held((INPUT,), self.layout, shape)
        floats = (p.dtype for p in model.parameters() if p.is_floating_point())
        self._dtype = next(floats, torch.get_default_dtype())
        self._values: dict[Node, Held | State] = {}
        self._called: dict[int, int] = {}

    def read(self) -> None:
        """Take in every operation."""
        for node in self._nodes:
            self._values[node] = self._value(node)
        if not self.faults and not any(isinstance(layer, Stateful) for layer in self.layers.values()):
            must = f"neurons of {', '.join(NEURONS)}"
            self.faults.append(Fault("ND1603", "model", "no neurons", must, "a network of ReLU layers: nd.convert_ann"))

    def _entering(self) -> str:
        """How the input lies: as the first module wants it that decides."""
        modules = [self._module(node)[1] for node in self._nodes if node.op == "call_module"]
        return next((layout for module in modules for layout in wanted(module)), TIME_FIRST)

    def _module(self, node: Node) -> tuple[str, torch.nn.Module]:
        path = str(node.target).removeprefix("model").removeprefix(".")
        return path or "model", self.model.get_submodule(path)

    def _value(self, node: Node) -> Held | State:
        if node.op == "placeholder":
            return self._input
        if node.op == "get_attr":
            return State(rest=self._is_rest(str(node.target)))
        if node.op == "output":
            return self._output(node.args[0])
        if node.op == "call_module":
            path, module = self._module(node)
            return self._call(path, module, node)
        return self._function(node)

    def _is_rest(self, target: str) -> bool:
        """Whether a tensor that forward reads, such as what ``init_leaky()`` returned, holds nothing."""
        owner: Any = self.tracer.root
        for name in target.split("."):
            owner = getattr(owner, name)
        return isinstance(owner, torch.Tensor) and not bool(owner.any())

    def _output(self, given: Any) -> Held | State:
        """The first of what forward returns are the spikes; the rest may be states."""
        first, *rest = given if isinstance(given, tuple | list) else (given,)
        value = self._values.get(first) if isinstance(first, Node) else None
        if any(isinstance(self._values.get(n), Held) for part in rest for n in nodes_in(part)):
            was, must = "forward returns several values of the network", "the spikes of one layer, then states alone"
            self._fault(None, "forward", was, must)
        if isinstance(value, Held):
            self.edges += [(name, OUTPUT) for name in value.names]
            return value
        was = "a state" if isinstance(value, State) else f"a {type(first).__name__}"
        self._fault(None, "forward", f"forward returns {was}", "the spikes of the last layer first")
        return State(rest=False)

    # modules

    def _call(self, path: str, module: torch.nn.Module, node: Node) -> Held | State:
        where = self._where(node, f"module {path!r}")
        entering, *states = [*node.args, *node.kwargs.values()] or [None]
        first = self._values.get(entering) if isinstance(entering, Node) else None
        if class_name(module) == "Merge" and library_of(module) == "sinabs":
            return self._add(node, where, [*node.args, *node.kwargs.values()])
        if not isinstance(first, Held):
            self._fault(node, where, "it gets a state, or nothing of the network", "the values of a layer")
            first = Held((), self.layout, None)
        for given in states if id(module) not in self._called else ():
            found = [self._values.get(n) for n in nodes_in(given)]
            if any(isinstance(v, Held) or (isinstance(v, State) and not v.rest) for v in found):
                was = "a state that is not at rest, or a value of the network, as a state"
                self._fault(node, where, was, "states that begin at rest and that the neurons alone change")
        return self._through(path, module, first, node)

    def _through(self, path: str, module: torch.nn.Module, held: Held, node: Node) -> Held:
        """What a module makes of a value."""
        where = self._where(node, f"module {path!r}")
        kind, container = neuron_kind(module), container_of(module)
        if held.pair:
            todo = "take the first of the two, or use init_hidden=True, or Norse's SequentialState"
            self._fault(node, where, "it gets (spikes, states)", "the values of a layer", todo)
            held = replace(held, pair=False)
        changed = change_faults(module, where) if library_of(module) else []
        self.faults += changed
        if changed:
            return replace(held, shape=None, pair=kind is not None and kind.pair(module))
        if container is not None:
            return self._contained(path, module, container, held, node)
        known = torch_class(module)
        if kind is None and known is None and not turned(module):
            names = KNOWN if not library_of(module) else f"{known_names(library_of(module))}; {KNOWN}"
            self.faults.append(unknown_fault(module, where, names))
            return replace(held, shape=None)
        many = self._called[id(module)] = self._called.get(id(module), 0) + 1
        if many > 1 and (kind is not None or next(module.parameters(), None) is not None):
            if many == 2:  # once for a loop over many steps
                was = f"the same {type(module).__name__} is called again"
                self._fault(node, where, was, "each layer in one place", _BODY)
            return replace(held, pair=kind is not None and kind.pair(module))
        if kind is not None:
            return self._neurons(path, module, kind, held, where)
        if turned(module):
            if held.layout != wanted_layout(module):
                self._fault(node, where, f"values that lie {held.layout}", wanted_layout(module))
            self.became.append(Became(path, qualified(module), (), "faithful", "batch and time stay apart here"))
            return replace(held, layout=turned(module))
        try:
            layer = stateless(module, known, held.layout, where) if known else module
        except Refusal as refusal:
            self.faults += refusal.faults
            return replace(held, shape=None)
        return self._placed(path, qualified(module), [layer], (), held, where)

    def _contained(self, path: str, module: torch.nn.Module, container: Container, held: Held, node: Node) -> Held:
        if container.outside and LEAD[held.layout] != LEAD[container.outside]:
            self._fault(
                node, self._where(node, f"module {path!r}"), f"values that lie {held.layout}", container.outside
            )
        inner = replace(held, layout=container.inside) if container.inside else held
        for name, child in contents(module):
            inner = self._through(f"{path}.{name}" if path != "model" else name, child, inner, node)
            if container.unpacks:
                inner = replace(inner, pair=False)
        inner = replace(inner, layout=held.layout) if container.inside else inner
        return replace(inner, pair=True) if container.unpacks else inner

    def _neurons(self, path: str, module: torch.nn.Module, kind: Kind, held: Held, where: str) -> Held:
        wanted = kind.layout(module)
        if held.layout != wanted:
            self.faults.append(Fault("ND1603", where, f"values that lie {held.layout}", f"for it {wanted}"))
        source = Source(module, where, held.shape or guessed(module), self._dtype)
        try:
            made = kind.make(source)
        except Refusal as refusal:
            self.faults += refusal.faults
            return replace(held, shape=None, pair=kind.pair(module))
        except AttributeError as error:
            was = f"a {qualified(module)} without an attribute {error.name!r}"
            self.faults.append(Fault("ND1603", where, was, f"the attributes of {PRESETS[library_of(module)].source}"))
            return replace(held, shape=None)
        done = self._placed(path, qualified(module), list(made.layers), made.notes, held, where)
        return replace(done, pair=kind.pair(module))

    def _placed(
        self, path: str, kind: str, layers: list[torch.nn.Module], notes: tuple[str, ...], held: Held, where: str
    ) -> Held:
        """Put layers behind a value; the last has the name of the path."""
        last, many = to_layer_name(path), len(layers)
        while last in self.layers:
            last += "'"
        names = [last if at == many else f"{last} {at} of {many}" for at in range(1, many + 1)]
        self.layers.update(zip(names, layers, strict=True))
        self.edges += [(name, names[0]) for name in held.names] + list(pairwise(names))
        self.became.append(Became(path, kind, tuple(map(_shown, layers)), "faithful", "; ".join(notes)))
        shape = held.shape
        for layer in layers:
            shape = self._shape_behind(layer, shape, where)
        return Held((last,), held.layout, shape)

    def _shape_behind(self, layer: torch.nn.Module, shape: Shape | None, where: str) -> Shape | None:
        if shape is None:
            return (layer.out_features,) if isinstance(layer, torch.nn.Linear) else None
        x = torch.zeros((1, 1, *shape), dtype=self._dtype, device=next((p.device for p in layer.parameters()), "cpu"))
        mode = layer.training
        try:
            with torch.no_grad():
                found = tuple(layer.eval()(x).shape[TIME_BATCH:])
        except (RuntimeError, ValueError) as error:
            told = str(error).splitlines()[0]
            self.faults.append(
                Fault("ND1602", where, f"values of shape {shape} do not pass ({told})", "shapes that fit")
            )
            return None
        finally:
            layer.train(mode)
            if isinstance(layer, Stateful):
                layer.reset_states()
        return found

    # functions

    def _function(self, node: Node) -> Held | State:
        where = self._where(node, node.name)
        first = next((self._values[n] for n in node.all_input_nodes), State(rest=True))
        if node.target in _ZEROS:
            return State(rest=True)
        if isinstance(first, State):
            return State(rest=False)  # whoever uses it is judged
        if node.target in ADD:
            return self._add(
                node, where, [*node.args, *(node.kwargs[k] for k in ("input", "other") if k in node.kwargs)]
            )
        if getattr(node.target, "__name__", "") == "getitem" and first.pair:
            return replace(first, pair=False) if node.args[1] == 0 else State(rest=False)
        if first.pair:
            self._fault(node, where, "a calculation with (spikes, states)", "the first of the two")
            return replace(first, pair=False)
        if node.target in FLATTEN or (node.target in RESHAPE and keeps_batch(node)):
            start = given_argument(node, 1, "start_dim", 0) if node.target in FLATTEN else 1
            end = given_argument(node, 2, "end_dim", -1) if node.target in FLATTEN else -1
            flat = torch.nn.Flatten(start, end)
            try:
                layer = stateless(flat, torch.nn.Flatten, first.layout, where)
            except Refusal as refusal:
                self.faults += refusal.faults
                return replace(first, shape=None)
            return self._placed(node.name, "flatten", [layer], (), first, where)
        if node.target is functional.dropout and given_argument(node, 2, "training", default=True) is False:
            return first
        if node.target in SHAPE and getattr(node.target, "__name__", "") != "getitem":
            return State(rest=False)
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        todo = INSTEAD.get(name, _TODO.get(name, ""))
        self._fault(node, where, f"the function {name}", f"additions, flattening, {KNOWN}", todo)
        return replace(first, shape=None)

    def _add(self, node: Node, where: str, given: list[Any]) -> Held:
        parts = [self._values.get(part) if isinstance(part, Node) else None for part in given]
        values = [part for part in parts if isinstance(part, Held) and not part.pair]
        if len(values) != len(given) or len(values) != 2 or set(node.kwargs) - {"input", "other", "data1", "data2"}:
            was = "an addition of something else than two values of the network"
            self._fault(node, where, was, "x + y, without alpha", "put a constant into the bias of a layer")
            return replace(values[0], shape=None) if values else Held((), self.layout, None)
        a, b = values
        if a.layout != b.layout or (None not in (a.shape, b.shape) and a.shape != b.shape):
            was = f"values of shape {a.shape}, {a.layout}, and {b.shape}, {b.layout}, meet"
            self.faults.append(Fault("ND1602", where, was, "what is added must have one shape"))
        return Held(a.names + b.names, a.layout, a.shape)

    def _where(self, node: Node, name: str) -> str:
        place = shown(self.tracer.places.get(node.name))
        return f"{name} ({place})" if place else name

    def _fault(self, node: Node | None, where: str, was: str, must: str, todo: str = "") -> None:
        place = None if node is None else self.tracer.places.get(node.name)
        told = {} if place is None else {"file": place[0], "line": place[1]}
        self.faults.append(Fault("ND1603", where, was, must, todo, told))


def _shown(layer: torch.nn.Module) -> str:
    inner = getattr(layer, "module", None)
    return type(inner if isinstance(inner, torch.nn.Module) else layer).__name__

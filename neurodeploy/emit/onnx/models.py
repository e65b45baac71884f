"""Placed network -> ONNX: one step with explicit states, and a whole run from the reset as a Scan over steps."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from neurodeploy.emit.onnx.graph import Graph, Root, Value, integers, known
from neurodeploy.emit.onnx.steps import States, StepBuilder, longest_past
from neurodeploy.emit.onnx.writer import Shape, onnx_package, write_graph
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Group, Network
from neurodeploy.ranges import Proof, prove_group
from neurodeploy.simulator import assemble, latency_of
from neurodeploy.simulator.machine import Ints, Machine
from neurodeploy.step import Interval

#: Version of the operators, and of the file, that the models state.
OPSET, IR_VERSION = 17, 8
STEP, TIME, BATCH = "step", "time", "batch"


def to_step_model(network: Network) -> Any:
    """Return one step as an ``onnx.ModelProto``.

    Inputs: for each input group ``GROUP`` (batch, neuron) counts; for each state ``GROUP.STATE`` (batch, neuron); where
    synapses have delays ``GROUP.past`` (steps, batch, neuron), what the group emitted, the newest first; where a phase
    is periodic ``step`` (), the number of steps since the reset. Outputs: the same names with ``.next``. All are int64.
    Raises Refusal ND1901 for a chip that events drive, or a network beyond what one file holds, ND1204 without hardware
    ids; Missing where onnx is not installed.
    """
    model = _Model(network)
    graph, machine = model.graph, model.machine
    external = model.joined({g.name: graph.input(g.name) for g in network.inputs()}, model.inputs)
    states: States = {}
    for kind, lane in model.lanes.items():
        per_state = {s: {g.name: graph.input(f"{g.name}.{s}") for g in model.groups[kind]} for s in lane.kind.states}
        states[kind] = {s: model.join(kind, own) for s, own in per_state.items()}
    depth = longest_past(machine)
    past = {k: model.join(k, {g.name: graph.input(f"{g.name}.past") for g in model.groups[k]}, 2) for k in depth}
    number = graph.input(STEP, 0) if model.periodic else None
    builder = StepBuilder(graph, machine, states, past, external, number)
    builder.step()
    shapes: dict[str, Shape] = {g.name: (BATCH, g.size) for g in network.inputs()}
    results: dict[str, Value] = {}
    for g in network.groups:
        for s, value in states[g.kind].items():
            shapes[f"{g.name}.{s}"] = (BATCH, g.size)
            results[f"{g.name}.{s}"] = model.part(g, value)
        if g.kind in depth:
            shapes[f"{g.name}.past"] = (depth[g.kind], BATCH, g.size)
            results[f"{g.name}.past"] = model.part(g, builder.past[g.kind], 2)
    if builder.number is not None:
        shapes[STEP] = ()
        results[STEP] = builder.number
    for name, value in results.items():
        graph.outputs.append(graph.here(value, f"{name}.next"))
    shapes |= {f"{name}.next": shapes[name] for name in results}
    return model.proto(shapes, "one step with explicit states")


def to_run_model(network: Network, *, states: bool = False) -> Any:
    """Return the whole run from the reset as an ``onnx.ModelProto``: a Scan whose body is one step.

    Inputs: for each input group ``GROUP`` (time, batch, neuron) counts of at least one step; nothing is appended, so
    ``latency`` in the metadata says how many silent steps let the last input reach the outputs. Outputs:
    ``GROUP.STATE`` (time, batch, neuron) of the state that each group emits, and ``GROUP.STATE.final`` (batch, neuron)
    of all. All are int64. Where a proof (``neurodeploy.ranges``) shows that no input that the registers hold can clip a
    sum, its order is not kept.
    states : every state at every step is an output, too
    Raises the same as ``to_step_model``.
    """
    model = _Model(network)
    graph, machine = model.graph, model.machine
    given = {g.name: graph.input(g.name) for g in network.inputs()}
    external = model.joined(given, model.inputs, 2)
    start = model.start(next(iter(given.values())))
    depth = longest_past(machine)
    carried = {f"{k}.{s}": v for k, own in start.items() for s, v in own.items()}
    for kind, steps in depth.items():
        graph.root.label = f"{kind}/past"
        like = graph.node("Expand", start[kind][model.lanes[kind].kind.emits], integers([steps, 1, 1]), axes=2)
        carried[f"{kind}.past"] = graph.node("Mul", like, known(0))
    if model.periodic:
        carried[STEP] = known(0)
    traced = {
        f"{g.name}.{s}": (g, s)
        for g in network.groups
        for s in model.lanes[g.kind].kind.states
        if states or s == model.lanes[g.kind].kind.emits
    }

    def body(
        inner: Graph, on: dict[str, Value], here: dict[str, Value]
    ) -> tuple[Mapping[str, Value], Mapping[str, Value]]:
        now = {k: {s: on[f"{k}.{s}"] for s in own} for k, own in start.items()}
        past = {k: on[f"{k}.past"] for k in depth}
        builder = StepBuilder(inner, machine, now, past, here, on.get(STEP), model.stays)
        builder.step()
        after = {f"{k}.{s}": v for k, own in now.items() for s, v in own.items()}
        after |= {f"{k}.past": v for k, v in builder.past.items()}
        after |= {STEP: builder.number} if builder.number is not None else {}
        return after, {n: model.part(g, now[g.kind][s]) for n, (g, s) in traced.items()}

    graph.root.label, graph.root.note = "run", ""
    ends, lists = graph.scan(carried, {k: (v, 0) for k, v in external.items()}, body)
    shapes: dict[str, Shape] = {g.name: (TIME, BATCH, g.size) for g in network.inputs()}
    for name, (g, _) in traced.items():
        shape: Shape = (TIME, BATCH, g.size)
        model.output(name, lists[name], shape, shapes)
    for g in network.groups:
        for s in model.lanes[g.kind].kind.states:
            model.output(f"{g.name}.{s}.final", model.part(g, ends[f"{g.kind}.{s}"]), (BATCH, g.size), shapes)
    return model.proto(shapes, "the whole run from the reset")


class _Model:
    """A network laid out, and the graph that is made of it.

    groups : neuron kind -> its groups that have neurons
    """

    def __init__(self, network: Network) -> None:
        self.network, self.where = network, f"{network.chip.name}, onnx"
        if network.chip.event_driven:
            must = "a chip that takes steps: ONNX has no queue of events"
            raise Refusal(Fault("ND1901", self.where, "events drive the chip", must))
        if not network.inputs():
            raise Refusal(Fault("ND1901", self.where, "a network without an input group", "at least one"))
        self.onnx = onnx_package()
        self.machine: Machine = assemble(network)
        self.lanes = {k: lane for k, lane in self.machine.lanes.items() if lane.size}
        self.groups = {k: network.of_kind(k) for k in self.lanes}
        self.inputs = {g.kind for g in network.inputs()}
        self.periodic = any(p.every is not None for p in network.chip.schedule)
        self.graph = Graph(Root(self.where))
        self.proofs: dict[str, Proof] = {}

    def start(self, given: Value) -> States:
        """States after a reset, for as many samples as the input has."""
        self.graph.root.label = "reset"
        whole = self.graph.node("Shape", given, axes=1)
        samples = self.graph.node("Gather", whole, integers([1]), axes=1, axis=0)
        found: States = {}
        for kind, lane in self.lanes.items():
            shape = self.graph.node("Concat", samples, integers([lane.size]), axes=1, axis=0)
            starts = {s: e.start for s, e in lane.kind.states.items()}
            values = {s: lane.parameters[v] if isinstance(v, str) else np.int64(v) for s, v in starts.items()}
            found[kind] = {
                s: self.graph.node("Expand", known(v, f"{kind}.{s} at the reset"), shape, axes=2)
                for s, v in values.items()
            }
        return found

    def stays(self, kind: str, state: str, interval: Interval) -> bool:
        """Whether no input from the reset on brings a state to an end of an interval."""
        for g in self.groups[kind]:
            if g.name not in self.proofs:
                self.proofs[g.name] = prove_group(self.network, g)
            proved = self.proofs[g.name].states[state].interval
            if proved is None or not interval.low < proved.low <= proved.high < interval.high:
                return False
        return True

    def joined(self, given: Mapping[str, Value], kinds: set[str], axis: int = 1) -> dict[str, Value]:
        """Input kind -> counts of its groups side by side."""
        return {k: self.join(k, given, axis) for k in sorted(kinds)}

    def join(self, kind: str, given: Mapping[str, Value], axis: int = 1) -> Value:
        """Groups of a kind side by side, in ascending hardware id."""
        self.graph.root.label, self.graph.root.note = f"{kind}/in order", ""
        parts = [given[g.name] for g in self.groups[kind]]
        whole = parts[0] if len(parts) == 1 else self.graph.node("Concat", *parts, axis=axis)
        order = np.argsort(np.concatenate([self.lanes[kind].slices[g.name] for g in self.groups[kind]]))
        return self._taken(self.graph, whole, order, kind, axis)

    def part(self, g: Group, value: Value, axis: int = 1) -> Value:
        """Neurons of a group, in its own order."""
        self.graph.root.label, self.graph.root.note = f"{g.name}/own order", ""
        return self._taken(value.graph or self.graph, value, self.lanes[g.kind].slices[g.name], g.kind, axis)

    def _taken(self, graph: Graph, value: Value, order: Ints, kind: str, axis: int) -> Value:
        if np.array_equal(order, np.arange(self.lanes[kind].size)):
            return value
        return graph.node("Gather", value, known(order, graph.root.label), axes=2, axis=axis)

    def output(self, name: str, value: Value, shape: Shape, shapes: dict[str, Shape]) -> None:
        """Add an output of the model."""
        self.graph.outputs.append(self.graph.here(value, name))
        shapes[name] = shape

    def proto(self, shapes: Mapping[str, Shape], what: str) -> Any:
        """The model, checked."""
        made = write_graph(self.graph, shapes, what)
        n = self.network
        told = {"chip": n.chip.name, "digest": n.chip.digest, "content": what, "latency": str(latency_of(n))}
        told |= {} if n.dt_s is None else {"dt_s": repr(float(n.dt_s))}
        operators = [self.onnx.helper.make_opsetid("", OPSET)]
        program = {"producer_name": "neurodeploy", "producer_version": version("neurodeploy")}
        model = self.onnx.helper.make_model(made, opset_imports=operators, ir_version=IR_VERSION, **program)
        self.onnx.helper.set_model_props(model, told)
        self.onnx.checker.check_model(model, full_check=True)
        return model

"""One step of a chip as a graph: the phases of its schedule, one after the other."""

from collections.abc import Mapping, Sequence

import numpy as np

from neurodeploy.chips import Handler, Phase
from neurodeploy.chips.compile import GIVEN_EXTERNAL
from neurodeploy.emit.onnx.deliveries import Rows, Sources, Stays, back_of, deliver, full_size
from neurodeploy.emit.onnx.graph import Graph, Value, integers, known
from neurodeploy.emit.onnx.sums import keeps_all, lines_of
from neurodeploy.emit.onnx.table import onnx_table, run_text
from neurodeploy.simulator.machine import Delivery, Ints, Lane, Machine, Part, Scan

States = dict[str, dict[str, Value]]


class StepBuilder:
    """Adds steps of a machine to a graph.

    states : neuron kind -> state -> (batch, neuron); changed phase by phase
    past : neuron kind -> (steps, batch, neuron) what it emitted in the steps before, the newest first
    external : input kind -> (batch, neuron) counts from outside
    number : of this step, counted from the reset; None where no phase is periodic
    stays : as Sources has it
    """

    def __init__(
        self,
        graph: Graph,
        machine: Machine,
        states: States,
        past: Mapping[str, Value],
        external: Mapping[str, Value],
        number: Value | None,
        stays: Stays = lambda *_: False,
    ) -> None:
        self.graph, self.machine, self.states = graph, machine, states
        self.past, self.external, self.number = dict(past), external, number
        self.sources = Sources(machine.chip, machine.lanes, states, self.past, stays)

    def step(self) -> None:
        """Add one step; afterwards states, past and number are those of the next."""
        for phase in self.machine.chip.schedule:
            before = {kind: dict(own) for kind, own in self.states.items()}
            self.phase(phase)
            self.only_sometimes(phase, before)
        for kind, past in self.past.items():
            self.graph.root.label = f"{kind}/past"
            newest = self.graph.node("Unsqueeze", self.emitted(kind), integers([0]), axes=2)
            ends = (integers([0]), integers([-1]), integers([0]))
            kept = self.graph.node("Slice", past, *ends, axes=2)
            self.past[kind] = self.graph.node("Concat", newest, kept, axis=0)
        if self.number is not None:
            self.graph.root.label = "step"
            self.number = self.graph.node("Add", self.number, known(1))

    def emitted(self, kind: str) -> Value:
        """(batch, neuron) what a kind shows."""
        return self.states[kind][self.machine.lanes[kind].kind.emits]

    def only_sometimes(self, phase: Phase, before: Mapping[str, Mapping[str, Value]]) -> None:
        """Undo a periodic phase in steps that are not its own."""
        if phase.every is None or self.number is None:
            return
        self.graph.root.label, self.graph.root.note = f"{phase.name}/its turn", ""
        table = onnx_table(self.graph)
        rest = self.graph.node("Mod", self.number, known(phase.every.period))
        turn = table["eq"](rest, known(phase.every.offset))
        for kind, own in self.states.items():
            for name, value in own.items():
                if value is not before[kind][name]:
                    own[name] = table["select"](turn, value, before[kind][name])

    def phase(self, phase: Phase) -> None:
        """Add one entry of the schedule."""
        if not phase.neuron:
            for number, delivery in enumerate(self.machine.deliveries[phase.name]):
                if delivery.rows:
                    many = len(self.machine.deliveries[phase.name]) > 1
                    self.deliver(phase.name, delivery, f"{phase.name} {number}" if many else phase.name)
            return
        lane = self.machine.lanes[phase.neuron]
        scans = self.machine.scans[phase.name]
        if any(scan.deliveries for scan in scans):
            self.relay(phase, lane, scans)
        elif lane.size:
            own = self.states[phase.neuron]
            given = {GIVEN_EXTERNAL: self.external[phase.neuron]} if phase.neuron in self.external else {}
            own |= self.handle(self.graph, lane.kind.handlers[phase.handler], lane, own, given, phase.name)

    def handle(
        self,
        graph: Graph,
        handler: Handler,
        lane: Lane,
        states: Mapping[str, Value],
        given: Mapping[str, Value],
        label: str,
    ) -> dict[str, Value]:
        """Registers that a handler writes, after it."""
        parameters = {n: known(v, f"{lane.kind.name}.{n}") for n, v in lane.parameters.items()}
        return written(graph, handler, {**parameters, **states, **given}, next(iter(lane.kind.states)), label)

    def deliver(self, name: str, delivery: Delivery, label: str) -> None:
        """Add what arrives over a connection, and what is made of the sums."""
        kind = self.machine.chip.connections[name]
        lane, own = self.machine.lanes[kind.target], self.states[kind.target]
        registers = {r: known(0) for r in kind.registers}
        changed = deliver(self.graph, self.sources, kind, delivery, {**own, **registers}, label)
        if kind.on_sum is not None:
            given = {n: known(v) for n, v in delivery.registers.items()}
            summed = self.handle(self.graph, kind.on_sum, lane, own, given | registers | changed, f"{label}/sum")
            changed = self.inside(lane, delivery.part, summed, own, label)
        own |= {n: v for n, v in changed.items() if n in own}

    def inside(
        self, lane: Lane, part: Part, changed: Mapping[str, Value], before: Mapping[str, Value], label: str
    ) -> dict[str, Value]:
        """Changes at some neurons of a lane only."""
        mask = np.zeros(lane.size, bool)
        mask[part] = True
        if mask.all():
            return dict(changed)
        self.graph.root.label, select = f"{label}/part", onnx_table(self.graph)["select"]
        return {n: select(known(mask, f"{label}/part"), v, before[n]) for n, v in changed.items()}

    def relay(self, phase: Phase, lane: Lane, scans: Sequence[Scan]) -> None:
        """A scan in which neurons deliver: one after the other takes its step and delivers, by hardware id."""
        handler, graph = lane.kind.handlers[phase.handler], self.graph
        inner = _Inside(self, phase, lane, scans)
        kinds = [phase.neuron, *dict.fromkeys(s.kind.target for s in inner.slots if s.kind.target != phase.neuron)]
        changing = {phase.neuron: {*handler.writes}} | {k: set[str]() for k in kinds[1:]}
        for slot in inner.slots:
            changing[slot.kind.target] |= slot.kind.on_input.writes
        carried = {f"{k}.{s}": self.states[k][s] for k in kinds for s in self.states[k] if s in changing[k]}
        if not carried:
            return
        met = {"neuron": (known(np.arange(lane.size)), 0)}
        met |= {f"param {n}": (known(v, f"{lane.kind.name}.{n}"), 0) for n, v in lane.parameters.items()}
        if phase.neuron in self.external:
            met[GIVEN_EXTERNAL] = (self.external[phase.neuron], 1)
        for i, slot in enumerate(inner.slots):
            met |= {f"{i} {n}": (v, 0) for n, v in slot.scanned().items()}
        met |= {f"{i} back": (known(b), 0) for i, b in inner.backs.items()}

        def body(
            body: Graph, on: dict[str, Value], here: dict[str, Value]
        ) -> tuple[Mapping[str, Value], Mapping[str, Value]]:
            now = {k: {s: on.get(f"{k}.{s}", v) for s, v in self.states[k].items()} for k in kinds}
            at = body.node("Unsqueeze", here["neuron"], integers([0]), axes=1)
            inner.take_step(body, now, at, here, phase.name)
            inner.deliver(body, now, at, here)
            return {name: now[name.rsplit(".", 1)[0]][name.rsplit(".", 1)[1]] for name in on}, {}

        graph.root.label, graph.root.note = phase.name, ""
        ends = graph.scan(carried, met, body)[0]
        for name, value in ends.items():
            kind, state = name.rsplit(".", 1)
            self.states[kind][state] = value


class _Inside:
    """The deliveries inside a scan, as slots: the same number for each neuron, most of them empty.

    slots : connection after connection; row i is what neuron i delivers there
    firsts : slots at whose beginning a neuron's events are counted
    backs : slot -> (neuron,) place in the past that it reads, -1 for none, where one has a delay
    """

    def __init__(self, step: StepBuilder, phase: Phase, lane: Lane, scans: Sequence[Scan]) -> None:
        self.step, self.phase, self.lane = step, phase, lane
        self.handler = lane.kind.handlers[phase.handler]
        self.slots, self.backs, self.firsts = list[Rows](), dict[int, Ints](), list[bool]()
        for name in phase.connections:
            together: dict[tuple[int, int], list[Delivery]] = {}
            for delivery in (d for scan in scans for c, d in scan.deliveries if c == name):
                together.setdefault((delivery.projection, -delivery.delay), []).append(delivery)
            for _, deliveries in sorted(together.items()):
                self.add(name, deliveries)

    def add(self, name: str, deliveries: Sequence[Delivery]) -> None:
        chip, lanes = self.step.machine.chip, self.step.machine.lanes
        delivery, by_source = deliveries[0], {d.rows[0].source: d.rows for d in deliveries}
        kind = chip.connections[name]
        target = lanes[kind.target]
        lines = lines_of(kind, target, delivery) or ()
        lines = lines if lines and keeps_all(lines, target.kind.states) else ()
        for place in range(max(map(len, by_source.values()))):
            rows = [by_source.get(i, ())[place : place + 1] for i in range(self.lane.size)]
            own = tuple(row[0] if row else None for row in rows)
            backs = [-1 if row is None else back_of(chip, kind, row) for row in own]
            if any(b is not None and b >= 0 for b in backs):
                self.backs[len(self.slots)] = np.array([-1 if b is None else b for b in backs])
            self.firsts.append(place == 0)
            self.slots.append(Rows(kind, target, own, delivery.registers, lines, self.step.graph.root))

    def take_step(self, graph: Graph, now: States, at: Value, here: Mapping[str, Value], label: str) -> None:
        """One neuron runs its handler."""
        own = now[self.phase.neuron]
        needed = self.handler.reads | self.handler.writes
        graph.root.label = f"{label}/neuron"
        environment = {n: graph.node("Gather", v, at, axes=2, axis=1) for n, v in own.items() if n in needed}
        like = graph.node("Gather", next(iter(own.values())), at, axes=2, axis=1)
        for n in self.lane.parameters:
            if n in needed:
                environment[n] = graph.node("Unsqueeze", here[f"param {n}"], integers([0]), axes=1)
        if GIVEN_EXTERNAL in here:
            environment[GIVEN_EXTERNAL] = graph.node("Unsqueeze", here[GIVEN_EXTERNAL], integers([1]), axes=2)
        run_text(graph, self.handler.text, environment, label)
        graph.root.label = f"{label}/neuron"
        table = onnx_table(graph)
        mine = table["eq"](known(np.arange(self.lane.size)), at)
        for n in sorted(self.handler.writes):
            own[n] = table["select"](mine, full_size(graph, environment[n], like), own[n])

    def deliver(self, graph: Graph, now: States, at: Value, here: Mapping[str, Value]) -> None:
        """What one neuron has emitted meets its synapses; all of a connection see the same."""
        shown = None
        for i, slot in enumerate(self.slots):
            label, emits = slot.kind.name, self.lane.kind.emits
            graph.root.label = f"{label}/arriving"
            if self.firsts[i] or shown is None:
                shown = graph.node("Gather", now[self.phase.neuron][emits], at, axes=2, axis=1)
            arriving = shown
            if i in self.backs:
                table = onnx_table(graph)
                back = here[f"{i} back"]
                past = graph.node(
                    "Gather", self.step.past[self.phase.neuron], table["max"](back, known(0)), axes=2, axis=0
                )
                older = graph.node("Gather", past, at, axes=2, axis=1)
                arriving = table["select"](table["lt"](back, known(0)), shown, older)
            met = {n: here[f"{i} {n}"] for n in slot.scanned_names}
            now[slot.kind.target] |= slot.apply(graph, label, met, arriving, now[slot.kind.target])


def written(graph: Graph, handler: Handler, environment: dict[str, Value], like: str, label: str) -> dict[str, Value]:
    """Run a handler; the registers that it writes, each as large as the others."""
    size = environment[like]
    run_text(graph, handler.text, environment, label)
    return {n: full_size(graph, environment[n], size) for n in sorted(handler.writes)}


def longest_past(machine: Machine) -> dict[str, int]:
    """Neuron kind -> steps whose events some synapse still waits for; kinds without such are left out."""
    depth: dict[str, int] = {}
    for name, deliveries in machine.deliveries.items():
        kind = machine.chip.connections[name]
        for row in (row for delivery in deliveries for row in delivery.rows):
            back = back_of(machine.chip, kind, row)
            if back is not None:
                depth[row.source_kind] = max(depth.get(row.source_kind, 0), back + 1)
    return depth

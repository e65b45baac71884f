"""A network computed otherwise: other texts for some neurons, other synapses, delays or times; one sample at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Chip, Handler
from neurodeploy.network import Network
from neurodeploy.simulator import Engine, Run, Snapshot, assemble, expand
from neurodeploy.simulator.event_engine import EventEngine
from neurodeploy.simulator.executors import Given, NumpyExecutor, States, Widths, positions
from neurodeploy.simulator.footprints import EventMachine, assemble_events
from neurodeploy.simulator.machine import Delivery, Ints, Lane, Machine, Part, Row
from neurodeploy.simulator.meetings import Flat, meet_numpy
from neurodeploy.verifier.rewrites import Handlers, Rewrite

View = Mapping[tuple[str, str], Ints]  # (group, state or what it emits) -> (neuron,)
Bools = npt.NDArray[np.bool_]
EVENTS = "events"  # name of the counts where the chip's word for them is no state


@dataclass(frozen=True)
class Scope:
    """Neurons of one kind. mask : (neuron,) in the order of the lane."""

    words: str
    kind: str
    mask: Bools


@dataclass(frozen=True)
class Delay:
    """Events from one group to another that arrive a step later. neuron : of the source, None for all."""

    source: str
    target: str
    neuron: int | None = None


@dataclass(frozen=True)
class Variant:
    """What is computed otherwise.

    words : what it is, in words
    rewrites : other texts, each with the neurons that run them
    network : other synapses; None keeps them
    parameters : (neuron kind, parameter) -> (neuron,) registers instead, in the order of the lane
    delays : events that arrive later
    late_input : input group -> (neuron,) steps by which its events come later (or earlier, below 0)
    seen_late : group -> steps by which everything that is observed of it comes later; computes nothing otherwise
    """

    words: str
    rewrites: tuple[tuple[Rewrite, Scope], ...] = ()
    network: Network | None = None
    parameters: Mapping[tuple[str, str], Ints] = field(default_factory=dict)
    delays: tuple[Delay, ...] = ()
    late_input: Mapping[str, Ints] = field(default_factory=dict)
    seen_late: Mapping[str, int] = field(default_factory=dict)

    @property
    def local(self) -> bool:
        """Whether one step from a state that both sides share shows it: nothing of the past is different."""
        return not self.delays and not self.late_input and not self.seen_late


def handlers_of(chip: Chip, kind: str) -> Handlers:
    """All texts that run on neurons of a kind, by their place."""
    found = {f"{kind}.{name}": h for name, h in chip.neurons[kind].handlers.items()}
    for name, connection in chip.connections.items():
        if connection.target == kind:
            found[f"{name}.on_input"] = connection.on_input
            if connection.on_sum is not None:
                found[f"{name}.on_sum"] = connection.on_sum
    return found


class Replica:
    """One sample of a run, to be computed again and otherwise, step by step.

    steps : how many the run took
    """

    def __init__(self, run: Run, sample: int) -> None:
        self.run, self.network, self.chip = run, run.network, run.network.chip
        self.steps = len(next(iter(run.counts.values()))) if run.counts else 0
        self.initial = None if run.initial is None else one_sample(run.initial, sample)
        self.machine = self.machine_of(run.network)
        self.input = {g: _padded(v[:, sample : sample + 1], self.steps) for g, v in run.input.items()}
        self.stimulus = None if run.stimulus is None else run.stimulus.part(slice(sample, sample + 1))

    def machine_of(self, network: Network) -> Machine | EventMachine:
        """A network of the same groups laid out as the run's own was."""
        return assemble_events(network, self.run.scans[0]) if self.chip.event_driven else assemble(network)

    def views(self) -> Iterator[View]:
        """What every group shows after each step."""
        course = Course(self, Variant(""), None)
        yield from map(course.step, range(self.steps))


def one_sample(snapshot: Snapshot, sample: int) -> Snapshot:
    """A snapshot of one sample."""
    part = slice(sample, sample + 1)
    states = {n: {s: v[part] for s, v in many.items()} for n, many in snapshot.states.items()}
    return Snapshot(states, {n: tuple(h[part] for h in many) for n, many in snapshot.history.items()}, snapshot.step)


def _padded(values: Ints, steps: int) -> Ints:
    missing = max(steps - len(values), 0)
    return np.concatenate([values, np.zeros((missing, *values.shape[1:]), np.int64)])


class Course:
    """A variant on its way through time.

    begin : step of the run with which it begins
    """

    def __init__(self, replica: Replica, variant: Variant, snapshot: Snapshot | None) -> None:
        self.replica, first = replica, 0 if replica.initial is None else replica.initial.step
        self.begin = 0 if snapshot is None else snapshot.step - first
        machine = replica.machine if variant.network is None else replica.machine_of(variant.network)
        lanes = dict(machine.lanes)
        for (kind, name), values in variant.parameters.items():
            lanes[kind] = replace(lanes[kind], parameters={**lanes[kind].parameters, name: values})
        machine = replace(machine, lanes=lanes)
        start, texts = snapshot or replica.initial, _Texts(machine, variant)
        if isinstance(machine, EventMachine):
            self.engine: Engine | EventEngine = self._events(machine, variant, start, texts)
        else:
            delayed = _delayed(machine, variant.delays) if variant.delays else machine
            self.engine = Engine(delayed, 1, texts, None if start is None else _deepened(start, delayed.longest_delay))
        self.input = {g: _shifted(v, variant.late_input.get(g)) for g, v in replica.input.items()}
        self.machine = machine

    def _events(self, machine: EventMachine, variant: Variant, start: Snapshot | None, texts: "_Texts") -> EventEngine:
        replica = self.replica
        if variant.late_input or replica.stimulus is None:
            given = {g: _shifted(v, variant.late_input.get(g)) for g, v in replica.input.items()}
            stimulus = expand(given, machine.network.inputs())
        else:
            stimulus = replica.stimulus
        # without other texts a step can be taken layer by layer, which gives the same
        executor = "reference" if variant.rewrites else "numpy"
        engine = EventEngine(machine, stimulus, executor=executor, order=replica.run.order, snapshot=start)
        engine.taken = self.begin
        if variant.rewrites:
            engine.meet = texts.meet
        return engine

    def step(self, t: int) -> View:
        """Take the step; what every group then shows."""
        if isinstance(self.engine, EventEngine):
            self.engine.step()
        else:
            lanes = {name: lane for name, lane in self.machine.lanes.items() if lane.kind.is_input()}
            external = {name: np.zeros((1, lane.size), np.int64) for name, lane in lanes.items()}
            for group, counts in self.input.items():
                kind = self.replica.network.group(group).kind
                external[kind][:, lanes[kind].slices[group]] = counts[t]
            self.engine.step(external)
        return self.view()

    def view(self) -> View:
        """What every group shows now."""
        found = {}
        for g in self.replica.network.groups:
            lane = self.machine.lanes[g.kind]
            at = lane.slices[g.name]
            found[g.name, EVENTS] = self.engine.emitted(g.kind)[0, at]
            for state in lane.kind.states:
                found[g.name, state] = self.engine.states[g.kind][state][0, at]
        return found


class _Texts(NumpyExecutor):
    """The NumPy table, with other texts for some neurons."""

    name = "variant"

    def __init__(self, machine: Machine | EventMachine, variant: Variant) -> None:
        chip = machine.chip
        self.changed: dict[int, tuple[Handler, Scope]] = {}
        self.extra: dict[str, dict[str, Ints]] = {}
        for rewrite, scope in variant.rewrites:
            size = machine.lanes[scope.kind].size
            self.extra.setdefault(scope.kind, {}).update({n: np.zeros((1, size), np.int64) for n in rewrite.extra})
            originals = handlers_of(chip, scope.kind)
            for place in rewrite.texts:
                self.changed[id(originals[place])] = (rewrite.handler(place, originals[place]), scope)

    def handle(self, handler: Handler, lane: Lane, widths: Widths, states: States, part: Part, given: Given) -> None:
        """See Executor."""
        if id(handler) not in self.changed:
            super().handle(handler, lane, widths, states, part, given)
            return
        other, scope = self.changed[id(handler)]
        at = np.fromiter(positions(part), np.int64)
        inside = scope.mask[at]
        if not inside.all():
            super().handle(handler, lane, widths, states, at[~inside], given)
        if inside.any():
            super().handle(other, lane, widths, self._all(lane, states), at[inside], given)

    def deliver(
        self, handler: Handler, lane: Lane, widths: Widths, states: States, row: Row, given: Given, arriving: Ints
    ) -> None:
        """See Executor."""
        if id(handler) not in self.changed:
            super().deliver(handler, lane, widths, states, row, given, arriving)
            return
        other, scope = self.changed[id(handler)]
        inside = scope.mask[row.targets]
        for which, text, seen in ((~inside, handler, states), (inside, other, self._all(lane, states))):
            if which.any():
                fields = {n: v[which] for n, v in row.fields.items()}
                some = replace(row, targets=row.targets[which], fields=fields)
                super().deliver(text, lane, widths, seen, some, given, arriving)

    def meet(
        self, handler: Handler, lane: Lane, states: Flat, slots: Ints, given: Mapping[str, Ints | int], *, once: bool
    ) -> Ints:
        """See Meeting; neurons do not see each other, so those of the scope may come last."""
        if id(handler) not in self.changed:
            return meet_numpy(handler, lane, states, slots, given, once=once)
        other, scope = self.changed[id(handler)]
        inside, found = scope.mask[slots], list[Ints]()
        flat = {n: v[0] for n, v in self.extra[lane.kind.name].items()}
        for which, text, seen in ((~inside, handler, states), (inside, other, {**states, **flat})):
            at = np.flatnonzero(which)
            here = {n: v if isinstance(v, int) else v[at] for n, v in given.items()}
            found.append(at[meet_numpy(text, lane, seen, slots[at], here, once=once)])
        return np.sort(np.concatenate(found))

    def _all(self, lane: Lane, states: States) -> States:
        return {**states, **self.extra[lane.kind.name]}


def _shifted(values: Ints, steps: Ints | None) -> Ints:
    """Counts (time, batch, neuron) that come later by so many steps, of each neuron; silence fills up."""
    if steps is None:
        return values
    shifted = np.zeros_like(values)
    for by in np.unique(steps).tolist():
        mine = steps == by
        to, of = slice(max(by, 0), len(values) + min(by, 0)), slice(max(-by, 0), len(values) - max(by, 0))
        shifted[to, :, mine] = values[of, :, mine]
    return shifted


def _deepened(snapshot: Snapshot, longest: int) -> Snapshot:
    """A snapshot whose history reaches as far back as the machine's; silence is what lies before."""
    history = {}
    for name, past in snapshot.history.items():
        silence = np.zeros_like(past[0])
        history[name] = (*past, *(silence for _ in range(longest + 1 - len(past))))
    return replace(snapshot, history=history)


def _delayed(machine: Machine, delays: tuple[Delay, ...]) -> Machine:
    """A machine whose rows are one step longer on their way where a delay says so; not of those inside a scan."""
    at = {(g, name): set(at.tolist()) for name, lane in machine.lanes.items() for g, at in lane.slices.items()}
    deliveries = {
        name: tuple(_slower(d, machine.chip.connections[name].target, delays, at) for d in many)
        for name, many in machine.deliveries.items()
    }
    return replace(machine, deliveries=deliveries, longest_delay=machine.longest_delay + 1)


def _slower(
    delivery: Delivery, kind: str, delays: tuple[Delay, ...], at: Mapping[tuple[str, str], set[int]]
) -> Delivery:
    """A delivery to neurons of a kind."""
    rows: list[Row] = []
    for row in delivery.rows:
        late = np.zeros(len(row.targets), bool)
        for delay in delays:
            mine = at.get((delay.source, row.source_kind), set())
            if row.source in mine and delay.neuron in {None, row.source}:
                late |= np.isin(row.targets, list(at.get((delay.target, kind), set())))
        for which, more in ((late, 1), (~late, 0)):  # the older event first
            if which.any():
                fields = {n: v[which] for n, v in row.fields.items()}
                rows.append(replace(row, delay=row.delay + more, targets=row.targets[which], fields=fields))
    return replace(delivery, rows=tuple(rows))

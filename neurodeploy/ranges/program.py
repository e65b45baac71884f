"""What happens to one group of neurons in one step, as ranges: handlers and arriving sums in the chip's order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np

from neurodeploy.chips import ConnectionKind, NeuronKind
from neurodeploy.chips.compile import DELAY, GIVEN_ARRIVING, GIVEN_EXTERNAL
from neurodeploy.errors import Refusal
from neurodeploy.network import Group, Network, Projection
from neurodeploy.network.network import Ints
from neurodeploy.ranges.additive import totals
from neurodeploy.simulator.machine import stored_fields
from neurodeploy.step import Interval, Text, assigned
from neurodeploy.step.fixpoint import NotProvedError, States, enclose
from neurodeploy.step.intervals import hull
from neurodeploy.step.paths import path_intervals
from neurodeploy.step.tree import read

TOTAL = "total"  # the name of what arrives, in a text whose sum was taken out


@dataclass(frozen=True)
class Op:
    """A text that may run at one moment of the step.

    where : what runs, for messages
    given : ranges of names that are the same for all neurons
    columns : name -> column of the program: what differs between neurons
    zero : accumulators, 0 before the text
    checked : register -> its range: what the text writes must lie inside
    times : "once", "maybe" or "often"; often is any number of times
    """

    where: str
    text: Text
    given: Mapping[str, Interval]
    columns: Mapping[str, str] = field(default_factory=dict)
    zero: Mapping[str, Interval] = field(default_factory=dict)
    checked: Mapping[str, Interval] = field(default_factory=dict)
    times: str = "once"

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Names whose ranges decide what the text does: all that it names."""
        return tuple(sorted(set(read(self.text.statements)) | {a.name for a in assigned(self.text.statements)}))


@dataclass(frozen=True)
class Program:
    """A group of neurons.

    low, high : column -> (neuron,) ends of parameters and of arriving sums
    ops : in the order of a step; where events drive the chip the order means nothing
    free : whether each op may run at any time
    known : what texts did to ranges that were met before
    """

    group: Group
    kind: NeuronKind
    low: Mapping[str, Ints]
    high: Mapping[str, Ints]
    ops: tuple[Op, ...]
    free: bool
    known: dict[tuple[object, ...], States] = field(default_factory=dict, compare=False)

    def start(self, row: Mapping[str, Interval]) -> States:
        """Values after a reset."""
        starts = {n: s.start for n, s in self.kind.states.items()}
        return {n: Interval(s, s) if isinstance(s, int) else row[s] for n, s in starts.items()}

    def step(self, row: Mapping[str, Interval], before: Mapping[str, Interval]) -> tuple[States, States]:
        """Ranges at the end of a step, and over all its moments.

        row : column -> range, of the neurons that are meant
        Raises NotProvedError where a text can leave a register or its domain.
        """
        now, seen = dict(before), dict(before)
        for op in self.ops:
            after = self._run(op, row, now)
            now = {n: hull(now[n], after[n]) for n in now} if self.free or op.times != "once" else after
            seen = {n: hull(seen[n], now[n]) for n in now}
        return now, seen

    def _run(self, op: Op, row: Mapping[str, Interval], now: States) -> States:
        if op.times == "often" and not self.free:
            registers = {n: s.interval for n, s in self.kind.states.items()}
            return enclose(now, lambda s: (self._once(op, row, dict(s)),) * 2, registers, tight=False)
        return self._once(op, row, now)

    def _once(self, op: Op, row: Mapping[str, Interval], now: States) -> States:
        parameters = {n: row[n] for n in self.kind.parameters}
        names = {**now, **parameters, **op.zero, **op.given, **{n: row[c] for n, c in op.columns.items()}}
        key = (id(op.text), *(names.get(n) for n in op.reads))
        if key not in self.known:
            self.known[key] = _after(op.text, {n: names[n] for n in op.reads if n in names})
        after = {**names, **self.known[key]}
        for name, register in op.checked.items():
            if not after[name].within(register):
                was = f"{op.where} can bring {name} to {after[name]}, the register holds {register}"
                raise NotProvedError(name, was)
        return {n: after[n] for n in now}


def program_of(
    network: Network,
    group: Group,
    external: Interval | None = None,
    emitted: Mapping[str, tuple[Ints, Ints]] = MappingProxyType({}),
) -> Program:
    """Lay out what one group of a network computes.

    external : counts from outside; None is all that the input takes
    emitted : group -> (neuron,) least and most that its neurons emit, where more is known than the width of the state
    """
    return _Builder(network, group, external, emitted).program()


class _Builder:
    def __init__(
        self,
        network: Network,
        group: Group,
        external: Interval | None,
        emitted: Mapping[str, tuple[Ints, Ints]],
    ) -> None:
        self.network, self.group, self.chip, self.emitted = network, group, network.chip, emitted
        self.kind = self.chip.neurons[group.kind]
        self.low: dict[str, Ints] = dict(group.parameters)
        self.high: dict[str, Ints] = dict(group.parameters)
        entry = self.kind.entry.external
        self.external = {} if entry is None else {GIVEN_EXTERNAL: external or entry.interval}
        self.registers = {n: s.interval for n, s in self.kind.states.items()}

    def program(self) -> Program:
        event = self.chip.event_driven
        ops = tuple(self.free_ops() if event else self.ordered_ops())
        return Program(self.group, self.kind, self.low, self.high, ops, event)

    def free_ops(self) -> Iterator[Op]:
        for name in self.kind.handlers:
            yield self.handler(name, periodic=False)
        for projection in self.arriving(self.chip.connections):
            yield from self.delivery(projection)

    def ordered_ops(self) -> Iterator[Op]:
        for phase in self.chip.schedule:
            inside = [op for p in self.arriving(phase.connections) for op in self.delivery(p)]
            yield from inside
            if phase.neuron == self.kind.name:
                yield self.handler(phase.handler, periodic=phase.every is not None)
                yield from inside  # inside a scan, a neuron has stepped before or after what arrives

    def handler(self, name: str, *, periodic: bool) -> Op:
        handler = self.kind.handlers[name]
        checked = {n: self.registers[n] for n in handler.writes}
        where, times = f"{self.kind.name}.{name}", "maybe" if periodic else "once"
        return Op(where, handler.text, self.external, checked=checked, times=times)

    def arriving(self, connections: Iterator[str] | Mapping[str, ConnectionKind] | tuple[str, ...]) -> list[Projection]:
        return [p for c in connections for p in self.network.projections if p.kind == c and p.target == self.group.name]

    def delivery(self, projection: Projection) -> Iterator[Op]:
        """The texts of one projection; one sum for each delay where it has accumulators."""
        kind = self.chip.connections[projection.kind]
        where = f"{projection.kind} from {projection.source}"
        spelled = projection.pairwise
        fields = stored_fields(kind, spelled.fields, spelled.parameters)
        registers = {n: Interval(v, v) for n, v in projection.parameters.items()}
        if not len(spelled.targets):
            return
        low, high = (side[spelled.sources] for side in self.counts(projection.source))
        accumulators = {n: s.interval for n, s in kind.registers.items()}
        written = accumulators or self.registers
        plain = {n: v for n, v in fields.items() if n != DELAY}
        zero = {n: Interval(0, 0) for n in accumulators}
        sums = totals(kind.on_input.text, set(accumulators or self.kind.states), plain, registers, (low, high), TOTAL)
        checked = {n: written[n] for n in kind.on_input.writes}
        if sums is None:
            given = dict(registers)
            if accumulators:
                # nothing is known of a sum that is no sum but what its register holds
                given, zero = given | accumulators, accumulators
            each = {**{n: (v, v) for n, v in plain.items()}, GIVEN_ARRIVING: (low, high)}
            columns = {n: self.spread(f"{where}, {n}", spelled.targets, *ends) for n, ends in each.items()}
            yield Op(where, kind.on_input.text, given, columns, zero=zero, checked=checked, times="often")
            text, parts = None, dict[str, tuple[Ints, Ints]]()
        else:
            text, parts = sums
        slots = fields.get(DELAY, np.zeros(len(spelled.targets), np.int64))
        for slot in np.unique(slots):
            here = slots == slot
            columns = {}
            if text is not None:
                columns = {
                    name: self.column(f"{where} at delay {slot}", spelled.targets[here], least[here], most[here])
                    for name, (least, most) in parts.items()
                }
            both = Text((*(text.statements if text else ()), *(kind.on_sum.text.statements if kind.on_sum else ())))
            own = {n: self.registers[n] for n in kind.on_sum.writes} if kind.on_sum else {}
            if both.statements:
                yield Op(where, both, registers, columns, zero, checked | own if text else own)

    def counts(self, source: str) -> tuple[Ints, Ints]:
        """(neuron,) least and most with which each neuron of a group can arrive at once."""
        group = self.network.group(source)
        known = (1, 1) if self.chip.event_driven else self.chip.neurons[group.kind].states[self.emits(group)].interval
        low, high = (np.full(group.size, end, np.int64) for end in known)
        if self.chip.event_driven or source not in self.emitted:
            return low, high
        least, most = self.emitted[source]
        return np.maximum(low, least), np.minimum(high, most)

    def emits(self, group: Group) -> str:
        return self.chip.neurons[group.kind].emits

    def spread(self, name: str, targets: Ints, least: Ints, most: Ints) -> str:
        """Ends of a number over the synapses of each neuron; of all synapses where a neuron has none."""
        name = f"{name}, {len(self.low)}"
        size = self.group.size
        low, high = np.full(size, most.max()), np.full(size, least.min())
        np.minimum.at(low, targets, least)
        np.maximum.at(high, targets, most)
        none = np.bincount(targets, minlength=size) == 0
        self.low[name], self.high[name] = np.where(none, least.min(), low), np.where(none, most.max(), high)
        return name

    def column(self, name: str, targets: Ints, least: Ints, most: Ints) -> str:
        """The sum of what can arrive at each neuron, by sign."""
        name = f"{name}, {len(self.low)}"  # two projections may have the same name
        size = self.group.size
        self.low[name], self.high[name] = np.zeros(size, np.int64), np.zeros(size, np.int64)
        np.add.at(self.low[name], targets, np.minimum(least, 0))
        np.add.at(self.high[name], targets, np.maximum(most, 0))
        return name


def _after(text: Text, ranges: Mapping[str, Interval]) -> States:
    try:
        return path_intervals(text, ranges)
    except Refusal as refusal:
        raise NotProvedError("", str(refusal.faults[0])) from None

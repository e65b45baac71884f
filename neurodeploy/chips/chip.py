"""A chip as the rest of the program sees it: frozen, with parsed texts and ranges."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurodeploy.chips.core_tables import CoreEntry, LayerCoreEntry, LimitEntry, MeshEntry
from neurodeploy.chips.schema import (
    ChipFile,
    ConnectionEntry,
    DeployEntry,
    Every,
    Evidence,
    Figure,
    GuardEntry,
    NeuronEntry,
    ParameterEntry,
    StateEntry,
)
from neurodeploy.errors import Fault, Refusal
from neurodeploy.step import Interval, Text
from neurodeploy.step.language import Expression


@dataclass(frozen=True)
class Handler:
    """A step text with what is known about it.

    text : the parsed text
    reads, writes : names that occur on the right, registers that are assigned
    unproved : states that intervals cannot show to stay inside their width; they are checked at run time
    emits : where events drive the chip, the name whose value 1 makes an event; empty if the text makes none
    """

    text: Text
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    unproved: frozenset[str] = frozenset()
    emits: str = ""


@dataclass(frozen=True)
class NeuronKind:
    """One kind of neuron: registers, parameters and handlers by name."""

    name: str
    entry: NeuronEntry
    handlers: Mapping[str, Handler]

    @property
    def states(self) -> Mapping[str, StateEntry]:
        """Registers by name."""
        return self.entry.state

    @property
    def parameters(self) -> Mapping[str, ParameterEntry]:
        """Configured numbers by name."""
        return self.entry.param

    @property
    def emits(self) -> str:
        """State that connections deliver; where events drive the chip, the name that makes an event."""
        return self.entry.emits

    @property
    def deploy(self) -> DeployEntry | None:
        """Which float neuron this kind computes."""
        return self.entry.deploy

    def is_input(self) -> bool:
        """Whether its events come from outside."""
        return self.entry.external is not None

    def is_output(self) -> bool:
        """Whether its events leave the chip."""
        return "output" in self.entry.role


@dataclass(frozen=True)
class ConnectionKind:
    """One kind of connection: synapse fields, what is stored, what an arriving event does."""

    name: str
    entry: ConnectionEntry
    sources: tuple[str, ...]
    target: str
    stored: Text
    stored_ranges: Mapping[str, Interval]
    on_input: Handler
    on_sum: Handler | None
    may: Mapping[str, tuple[Expression, Interval]]

    @property
    def fields(self) -> Mapping[str, StateEntry]:
        """Synapse fields by name; ``delay``, if present, is the number of additional steps."""
        return self.entry.synapse

    @property
    def parameters(self) -> Mapping[str, ParameterEntry]:
        """Numbers configured once for the connection kind, or with per = "projection" once for each projection."""
        return self.entry.param

    @property
    def apart(self) -> bool:
        """Whether each projection is delivered on its own, and each delay of it: it sums, or has its own parameters."""
        return self.on_sum is not None or any(p.per == "projection" for p in self.parameters.values())

    @property
    def registers(self) -> Mapping[str, StateEntry]:
        """Accumulators, one for each target, zero before each delivery."""
        return self.entry.register_


@dataclass(frozen=True)
class Phase:
    """One entry of the schedule: a handler of a neuron kind, or a connection, or a neuron scan that delivers inside."""

    name: str
    neuron: str = ""
    handler: str = ""
    connections: tuple[str, ...] = ()
    every: Every | None = None


@dataclass(frozen=True)
class Limit:
    """An upper bound with its parsed formula."""

    name: str
    entry: LimitEntry
    formula: Expression


@dataclass(frozen=True)
class Guard:
    """What a network must keep, with its parsed formula."""

    name: str
    entry: GuardEntry
    formula: Expression


@dataclass(frozen=True)
class Chip:
    """A chip: everything that the program knows about it comes from its folder.

    raw : the merged file, as plain data; ``neurodeploy targets show`` prints it
    layer_formulas : parsed formulas of [layer_core], by "memory.NAME", "limit.NAME" and "readout.features"
    digest : hash of ``raw``; two chips with the same digest compute the same
    dialects : what others compute for this chip, by name: the file with ``[dialect.NAME]`` laid over it
    spoken : name of the dialect that this is, empty for the chip itself
    guards : what networks must keep
    agreement : neuron or connection, kind -> formulas with the ranges in which all dialects are equal
    """

    name: str
    title: str
    file: ChipFile
    neurons: Mapping[str, NeuronKind]
    connections: Mapping[str, ConnectionKind]
    schedule: tuple[Phase, ...]
    limits: Mapping[str, Limit]
    reports: Mapping[str, tuple[Figure, Expression]]
    raw: Mapping[str, Any] = field(repr=False)
    digest: str = ""
    path: Path | None = field(default=None, compare=False)
    layer_formulas: Mapping[str, Expression] = field(default_factory=dict, repr=False)
    dialects: Mapping[str, "Chip"] = field(default_factory=dict, repr=False)
    spoken: str = ""
    guards: tuple[Guard, ...] = ()
    agreement: Mapping[tuple[str, str], tuple[tuple[Expression, Interval], ...]] = field(default_factory=dict)

    @property
    def event_driven(self) -> bool:
        """Whether each event acts on its own, at once; else the chip takes steps."""
        return self.file.schedule.kind == "event"

    def dialect(self, name: str) -> "Chip":
        """The chip as somebody else computes it; "" is the chip itself.

        A network of the chip is one of a dialect, too, ``dataclasses.replace(network, chip=chip.dialect(name))``, and
        is refused where that holds less in a register.
        Raises Refusal ND1104 for a dialect that the file does not have.
        """
        if name == self.spoken:
            return self
        if name not in self.dialects:
            must = f"one of {', '.join(self.dialects)}" if self.dialects else "a chip file with dialects"
            raise Refusal(Fault("ND1104", f"chip {self.name!r}", f"no dialect {name!r}", must))
        return self.dialects[name]

    @property
    def core(self) -> CoreEntry | None:
        """Cores, if the chip has several."""
        return self.file.core

    @property
    def layer_core(self) -> LayerCoreEntry | None:
        """Cores that hold one layer each, if the chip has such."""
        return self.file.layer_core

    @property
    def mesh(self) -> MeshEntry | None:
        """The grid of the cores, if it is known."""
        return self.file.mesh

    @property
    def evidence(self) -> Mapping[str, Evidence]:
        """Sources by name."""
        return self.file.evidence_table

    def grade(self, evidence: str | None) -> str:
        """Evidence grade of an entry of the file; the file's own where the entry states none."""
        return self.evidence[evidence or self.file.evidence or ""].grade

    @property
    def unknown(self) -> tuple[str, ...]:
        """What nobody outside the vendor knows."""
        return self.file.unknown

    @property
    def oracles(self) -> Mapping[str, Mapping[str, object]]:
        """Simulators of others that can run this chip: name -> which of our parts plays which of its parts."""
        return self.file.oracle

    def inputs(self) -> tuple[NeuronKind, ...]:
        """Neuron kinds that events enter through."""
        return tuple(n for n in self.neurons.values() if n.is_input())

    def outputs(self) -> tuple[NeuronKind, ...]:
        """Neuron kinds whose events leave the chip."""
        return tuple(n for n in self.neurons.values() if n.is_output())

    def hidden(self) -> tuple[NeuronKind, ...]:
        """Neuron kinds that a hidden layer can be made of."""
        return tuple(n for n in self.neurons.values() if "hidden" in n.entry.role)

    def between(self, source: str, target: str) -> tuple[ConnectionKind, ...]:
        """Connection kinds that carry weights from one neuron kind to another."""
        return tuple(
            c for c in self.connections.values() if source in c.sources and c.target == target and c.entry.weights
        )

    def lag(self, connection: str, source: str) -> int:
        """Steps by which a delivery lags behind the event: 1 where it stands before the handlers that emit.

        None where events drive the chip: an event is followed to its end before the step ends.
        """
        if self.event_driven:
            return 0
        at = next(i for i, p in enumerate(self.schedule) if connection in p.connections)
        return 0 if all(i <= at for i in self.emitting(source)) else 1

    def delay(self, connection: str, source: str) -> int:
        """Steps from an event to the first event of the target that it can cause, as the order of the phases has it.

        The lag of the delivery, and one step more where the target has already taken its step by then.
        """
        if self.event_driven:
            return 0
        at = next(i for i, p in enumerate(self.schedule) if connection in p.connections)
        kind = self.connections[connection]
        emits = self.neurons[kind.target].emits
        direct = emits in kind.on_input.writes or (kind.on_sum is not None and emits in kind.on_sum.writes)
        late = not direct and all(i < at for i in self.emitting(kind.target))
        return self.lag(connection, source) + int(late)

    def emitting(self, source: str) -> tuple[int, ...]:
        """Positions in the schedule where handlers of a neuron kind write what it emits."""
        kind = self.neurons[source]
        return tuple(
            i
            for i, p in enumerate(self.schedule)
            if p.neuron == source and kind.emits in kind.handlers[p.handler].writes
        )

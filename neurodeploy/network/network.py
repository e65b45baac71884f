"""The integer network: groups of neurons and projections between them, with every register value."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import index
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Chip, ConnectionKind
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network.faults import faults
from neurodeploy.network.geometry import Convolution

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Neurons of one kind that belong together, in the user's terms a layer.

    name : name of the layer
    kind : neuron kind of the chip
    size : number of neurons
    parameters : name -> (size,) register values
    ids : (size,) hardware ids, None as long as the group is not placed
    shape : how the neurons lie, (channel, row, column) for maps; () stands for a row of ``size``
    """

    name: str
    kind: str
    size: int
    parameters: Mapping[str, Ints]
    ids: Ints | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Projection:
    """Synapses of one connection kind from one group to another.

    kind : connection kind of the chip
    source, target : names of groups
    sources, targets : (synapse,) index inside the group; empty where ``geometry`` says who meets whom
    fields : name -> (synapse,) synapse fields as written to the chip; with a geometry (kernel entry,)
    parameters : name -> value; one register for the connection kind, or where the chip says so for each projection
    geometry : a convolution whose kernel the fields hold; None where each synapse has fields of its own
    """

    kind: str
    source: str
    target: str
    sources: Ints
    targets: Ints
    fields: Mapping[str, Ints]
    parameters: Mapping[str, int] = field(default_factory=dict)
    geometry: Convolution | None = None

    @cached_property
    def pairwise(self) -> "Projection":
        """The same synapses spelled out, each with fields of its own; a large convolution becomes very large."""
        if self.geometry is None:
            return self
        sources, targets, entries = self.geometry.links
        fields = {n: v[entries] for n, v in self.fields.items()}
        return replace(self, sources=sources, targets=targets, fields=fields, geometry=None)


@dataclass(frozen=True)
class Network:
    """An integer network for one chip. ``placed`` networks have hardware ids, which decide the order of events.

    dt_s : duration of a step in seconds, None where nobody stated it
    notes : what made the network (scales, report); carried along, never read by the simulator
    """

    chip: Chip
    groups: tuple[Group, ...]
    projections: tuple[Projection, ...]
    dt_s: float | None = None
    notes: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        raise_if(faults(self))

    @property
    def placed(self) -> bool:
        """Whether every group has hardware ids."""
        return all(g.ids is not None for g in self.groups)

    def group(self, name: str) -> Group:
        """Group by name; raises Refusal ND1203 if there is none."""
        for g in self.groups:
            if g.name == name:
                return g
        must = f"one of {', '.join(g.name for g in self.groups)}"
        raise Refusal(Fault("ND1203", f"{self.chip.name}, network", f"group {name!r}", must))

    def of_kind(self, kind: str) -> tuple[Group, ...]:
        """Groups of one neuron kind, in order."""
        return tuple(g for g in self.groups if g.kind == kind)

    def inputs(self) -> tuple[Group, ...]:
        """Groups that take events from outside."""
        return tuple(g for g in self.groups if self.chip.neurons[g.kind].is_input())

    def outputs(self) -> tuple[Group, ...]:
        """Groups whose events leave the chip; with kinds that can also be hidden, those that feed nothing on."""
        leaving = [g for g in self.groups if self.chip.neurons[g.kind].is_output()]
        feeding = {p.source for p in self.projections if p.target != p.source}
        return tuple(
            g for g in leaving if "hidden" not in self.chip.neurons[g.kind].entry.role or g.name not in feeding
        )


def group(chip: Chip, name: str, kind: str, size: int | tuple[int, ...], **parameters: npt.ArrayLike) -> Group:
    """Build a group of a size or a shape; parameters are scalars or (size,), those left out take the chip's default."""
    known = chip.neurons[kind].parameters if kind in chip.neurons else {}
    given = {n: p.default for n, p in known.items() if p.default is not None} | parameters
    where = f"{chip.name}, group {name!r}"
    shape = tuple(map(index, size)) if isinstance(size, tuple) else ()
    count = math.prod(shape) if isinstance(size, tuple) else index(size)
    registers = {n: _integers(v, (count,), f"{where}, {n}") for n, v in given.items()}
    return Group(name, kind, count, registers, shape=shape)


def projection(
    chip: Chip,
    kind: str,
    source: Group,
    target: Group,
    parameters: Mapping[str, int] = MappingProxyType({}),
    **fields: npt.ArrayLike,
) -> Projection:
    """Build a projection from matrices (source, target), one for each synapse field.

    Pairs whose weights are all 0 are left out where the chip stores pairs, kept where it stores a dense block.
    """
    where = f"{chip.name}, projection {source.name} -> {target.name}"
    connection = _connection(chip, kind, where)
    shape = (source.size, target.size)
    matrices = {n: _integers(v, shape, f"{where}, {n}") for n, v in fields.items()}
    for name in connection.fields:
        matrices.setdefault(name, np.zeros(shape, np.int64))
    kept = np.ones(shape, bool)
    if connection.entry.pattern == "pairs" and connection.entry.weights:
        kept = np.any([matrices[w] != 0 for w in connection.entry.weights], axis=0)
    sources, targets = np.nonzero(kept)
    given = _defaults(connection) | {n: int(_integers(v, (), f"{where}, {n}")) for n, v in parameters.items()}
    columns = {n: m[sources, targets] for n, m in matrices.items()}
    return Projection(kind, source.name, target.name, sources, targets, columns, given)


def convolution(
    chip: Chip,
    kind: str,
    source: Group,
    target: Group,
    geometry: Convolution,
    parameters: Mapping[str, int] = MappingProxyType({}),
    **fields: npt.ArrayLike,
) -> Projection:
    """Build a projection from kernels (features, channels, rows, columns), one for each synapse field."""
    where = f"{chip.name}, projection {source.name} -> {target.name}"
    connection = _connection(chip, kind, where)
    kernels = {n: _integers(v, geometry.kernel, f"{where}, {n}").reshape(-1) for n, v in fields.items()}
    for name in connection.fields:
        kernels.setdefault(name, np.zeros(geometry.entries, np.int64))
    given = _defaults(connection) | {n: int(_integers(v, (), f"{where}, {n}")) for n, v in parameters.items()}
    none = np.zeros(0, np.int64)
    return Projection(kind, source.name, target.name, none, none, kernels, given, geometry)


def pairs(chip: Chip, kind: str, source: Group, target: Group, links: Iterable[tuple[int, int]]) -> Projection:
    """Build a projection without weights from (source, target) pairs, for instance aliases."""
    where = f"{chip.name}, projection {source.name} -> {target.name}"
    connection = _connection(chip, kind, where)
    listed = [tuple(link) for link in links]
    table = _integers(listed, (len(listed), 2), f"{where}, links")
    fields = {n: np.zeros(len(table), np.int64) for n in connection.fields}
    return Projection(kind, source.name, target.name, table[:, 0], table[:, 1], fields, _defaults(connection))


def place_identity(network: Network) -> Network:
    """Give hardware ids in the order of the groups, counted from 0 for each neuron kind; checks no limit."""
    used: dict[str, int] = {}
    groups = []
    for g in network.groups:
        first = used.get(g.kind, 0)
        groups.append(replace(g, ids=np.arange(first, first + g.size)))
        used[g.kind] = first + g.size
    return replace(network, groups=tuple(groups))


def _connection(chip: Chip, kind: str, where: str) -> ConnectionKind:
    if kind not in chip.connections:
        must = f"one of {', '.join(chip.connections)}"
        raise Refusal(Fault("ND1203", where, f"connection kind {kind!r}", must))
    return chip.connections[kind]


def _defaults(connection: ConnectionKind) -> dict[str, int]:
    return {n: p.default for n, p in connection.parameters.items() if p.default is not None}


def _integers(value: npt.ArrayLike, shape: tuple[int, ...], where: str) -> Ints:
    """Whole numbers of a shape, a single one repeated; nothing is rounded, cut or wrapped."""
    try:
        array = np.asarray(value)
    except ValueError:
        raise Refusal(Fault("ND1201", where, "rows of different lengths", f"shape {shape}")) from None
    if array.size == 0 == math.prod(shape):
        return np.zeros(shape, np.int64)
    if array.shape != shape and array.ndim:
        raise Refusal(Fault("ND1201", where, f"an array of shape {array.shape}", f"shape {shape}"))
    if array.dtype != bool and (not np.issubdtype(array.dtype, np.integer) or not np.can_cast(array.dtype, np.int64)):
        was, must = f"values of type {array.dtype}", "integers of at most 64 bits with sign"
        raise Refusal(Fault("ND1202", where, was, must, "quantize first, or convert: array.astype(int)"))
    return np.broadcast_to(array.astype(np.int64), shape).copy()

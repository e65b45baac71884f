"""The integer network: groups of neurons and projections between them, with every register value."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import index
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Chip, ConnectionKind
from neurodeploy.errors import Fault, Refusal, raise_if

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """Neurons of one kind that belong together, in the user's terms a layer.

    name : name of the layer
    kind : neuron kind of the chip
    size : number of neurons
    parameters : name -> (size,) register values
    ids : (size,) hardware ids, None as long as the group is not placed
    """

    name: str
    kind: str
    size: int
    parameters: Mapping[str, Ints]
    ids: Ints | None = None


@dataclass(frozen=True)
class Projection:
    """Synapses of one connection kind from one group to another.

    kind : connection kind of the chip
    source, target : names of groups
    sources, targets : (synapse,) index inside the group
    fields : name -> (synapse,) synapse fields as written to the chip
    parameters : name -> value; one register for the connection kind
    """

    kind: str
    source: str
    target: str
    sources: Ints
    targets: Ints
    fields: Mapping[str, Ints]
    parameters: Mapping[str, int] = field(default_factory=dict)


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


def group(chip: Chip, name: str, kind: str, size: int, **parameters: npt.ArrayLike) -> Group:
    """Build a group; parameters are scalars or (size,), those left out take the chip's default."""
    known = chip.neurons[kind].parameters if kind in chip.neurons else {}
    given = {n: p.default for n, p in known.items() if p.default is not None} | parameters
    where = f"{chip.name}, group {name!r}"
    size = index(size)
    return Group(name, kind, size, {n: _integers(v, (size,), f"{where}, {n}") for n, v in given.items()})


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


def faults(network: Network) -> list[Fault]:
    """Everything that is wrong with a network for its own chip's registers; limits are the mapper's business."""
    chip, found = network.chip, list[Fault]()
    names = [g.name for g in network.groups]
    for name in sorted({n for n in names if names.count(n) > 1}):
        found.append(Fault("ND1203", f"{chip.name}, group {name!r}", "the name stands twice", "names are unique"))
    if network.dt_s is not None and not (network.dt_s > 0 and math.isfinite(network.dt_s)):
        found.append(Fault("ND1202", "network", f"dt_s = {network.dt_s}", "a duration in seconds, above 0, or None"))
    for g in network.groups:
        found += _group_faults(chip, g)
    taken: dict[tuple[str, int], str] = {}
    for g in network.groups:
        for number in () if g.ids is None else g.ids.tolist():
            other = taken.setdefault((g.kind, number), g.name)
            if other != g.name:
                was = f"hardware id {number} of kind {g.kind!r}"
                found.append(Fault("ND1201", f"{chip.name}, group {g.name!r}", was, f"a free id; {other!r} has it"))
                break
    by_name = {g.name: g for g in network.groups}
    shared: dict[tuple[str, str], int] = {}
    for p in network.projections:
        found += _projection_faults(chip, p, by_name)
        for name, value in p.parameters.items():
            first = shared.setdefault((p.kind, name), value)
            if first != value:
                where = f"{chip.name}, projection {p.source} -> {p.target}"
                must = f"one value for all of kind {p.kind!r}; another projection has {first}"
                found.append(Fault("ND1202", where, f"{name} = {value}", must))
    return found


def _group_faults(chip: Chip, g: Group) -> list[Fault]:
    where = f"{chip.name}, group {g.name!r}"
    kind = chip.neurons.get(g.kind)
    if kind is None:
        return [Fault("ND1203", where, f"neuron kind {g.kind!r}", f"one of {', '.join(chip.neurons)}")]
    found = []
    if g.size < 1:
        found.append(Fault("ND1201", where, f"{g.size} neurons", "at least one"))
    for name in sorted(set(kind.parameters) ^ set(g.parameters)):
        state = "is missing" if name in kind.parameters else "is unknown"
        found.append(Fault("ND1203", where, f"parameter {name!r} {state}", f"exactly {', '.join(kind.parameters)}"))
    for name, values in g.parameters.items():
        form = _form(where, name, values, (g.size,))
        found += form
        if name in kind.parameters and not form:
            found += _outside(where, name, values, *kind.parameters[name].interval)
    if g.ids is not None:
        form = _form(where, "ids", g.ids, (g.size,))
        found += form
        if not form and (len(set(g.ids.tolist())) != g.size or g.ids.min(initial=0) < 0):
            found.append(Fault("ND1201", where, "hardware ids negative or doubled", f"{g.size} different ids from 0"))
    return found


def _form(where: str, name: str, values: Ints, shape: tuple[int, ...]) -> list[Fault]:
    if not isinstance(values, np.ndarray) or values.dtype != np.int64:
        was = f"{name} of type {getattr(values, 'dtype', type(values).__name__)}"
        return [Fault("ND1202", where, was, "an array of int64", "build it with group(), projection() or pairs()")]
    if values.shape != shape:
        return [Fault("ND1201", where, f"{name} of shape {values.shape}", f"shape {shape}")]
    return []


def _projection_faults(chip: Chip, p: Projection, groups: Mapping[str, Group]) -> list[Fault]:
    where = f"{chip.name}, projection {p.source} -> {p.target}"
    kind = chip.connections.get(p.kind)
    if kind is None:
        return [Fault("ND1203", where, f"connection kind {p.kind!r}", f"one of {', '.join(chip.connections)}")]
    missing = [n for n in (p.source, p.target) if n not in groups]
    if missing:
        return [Fault("ND1203", where, f"group {n!r}", f"one of {', '.join(groups)}") for n in missing]
    found = []
    source, target = groups[p.source], groups[p.target]
    if source.kind not in kind.sources or target.kind != kind.target:
        was = f"{p.kind!r} from {source.kind!r} to {target.kind!r}"
        must = f"it joins {' or '.join(kind.sources)} to {kind.target}"
        found.append(Fault("ND1203", where, was, must))
    synapses = (np.size(p.sources),)
    for name, at, size in (("sources", p.sources, source.size), ("targets", p.targets, target.size)):
        form = _form(where, name, at, synapses)
        found += form
        if not form and at.size and (at.min() < 0 or at.max() >= size):
            found.append(Fault("ND1201", where, f"{name} from {at.min()} to {at.max()}", f"0..{size - 1}"))
    for name in sorted(set(kind.fields) ^ set(p.fields)):
        state = "is missing" if name in kind.fields else "is unknown"
        found.append(Fault("ND1203", where, f"synapse field {name!r} {state}", f"exactly {', '.join(kind.fields)}"))
    for name, values in p.fields.items():
        form = _form(where, name, values, synapses)
        found += form
        if name in kind.fields and not form:
            found += _outside(where, name, values, *kind.fields[name].interval)
    for name in sorted(set(kind.parameters) ^ set(p.parameters)):
        state = "is missing" if name in kind.parameters else "is unknown"
        found.append(Fault("ND1203", where, f"parameter {name!r} {state}", f"exactly {', '.join(kind.parameters)}"))
    for name, value in p.parameters.items():
        if type(value) is not int:
            found.append(Fault("ND1202", where, f"{name} = {value!r}", "an int"))
        elif name in kind.parameters:
            found += _outside(where, name, np.asarray([value]), *kind.parameters[name].interval)
    return found


def _outside(where: str, name: str, values: Ints, low: int, high: int) -> list[Fault]:
    bad = np.flatnonzero((values < low) | (values > high))
    if not bad.size:
        return []
    first = int(bad[0])
    was = f"{name} = {int(values[first])} at index {first}" + (f" and {bad.size - 1} more" if bad.size > 1 else "")
    values_ = {"parameter": name, "value": int(values[first]), "count": int(bad.size)}
    return [Fault("ND1202", where, was, f"the register holds {low}..{high}", "", values_)]

"""What is wrong with a network: shapes, names and register values, all of it at once."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Chip, ConnectionKind
from neurodeploy.errors import Fault

if TYPE_CHECKING:
    from neurodeploy.network.network import Group, Network, Projection

Ints = npt.NDArray[np.int64]
_PATTERNS = {"pairs": "single synapses", "dense": "blocks of synapses", "conv": "kernels: it needs a geometry"}


def faults(network: "Network") -> list[Fault]:
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
        kind = chip.connections.get(p.kind)
        apart = {n for n, e in kind.parameters.items() if e.per == "projection"} if kind else set()
        for name, value in p.parameters.items():
            if name in apart:
                continue
            first = shared.setdefault((p.kind, name), value)
            if first != value:
                where = f"{chip.name}, projection {p.source} -> {p.target}"
                must = f"one value for all of kind {p.kind!r}; another projection has {first}"
                found.append(Fault("ND1202", where, f"{name} = {value}", must))
    return found


def _group_faults(chip: Chip, g: "Group") -> list[Fault]:
    where = f"{chip.name}, group {g.name!r}"
    kind = chip.neurons.get(g.kind)
    if kind is None:
        return [Fault("ND1203", where, f"neuron kind {g.kind!r}", f"one of {', '.join(chip.neurons)}")]
    found = []
    if g.size < 1:
        found.append(Fault("ND1201", where, f"{g.size} neurons", "at least one"))
    if g.shape and math.prod(g.shape) != g.size:
        found.append(Fault("ND1201", where, f"shape {g.shape} of {g.size} neurons", "a shape with that many"))
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


def _projection_faults(chip: Chip, p: "Projection", groups: Mapping[str, "Group"]) -> list[Fault]:
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
    synapses = (np.size(p.sources),) if p.geometry is None else (p.geometry.entries,)
    found += _geometry_faults(where, p, kind, source, target)
    for name, at, size in (("sources", p.sources, source.size), ("targets", p.targets, target.size)):
        form = _form(where, name, at, synapses if p.geometry is None else (0,))
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


def _geometry_faults(
    where: str, p: "Projection", kind: ConnectionKind, source: "Group", target: "Group"
) -> list[Fault]:
    pattern, geometry = kind.entry.pattern, p.geometry
    if (geometry is None) == (pattern == "conv"):
        was = "a convolution" if geometry else "single synapses"
        return [Fault("ND1203", where, was, f"{p.kind!r} stores {_PATTERNS[pattern]}")]
    if geometry is None:
        return []
    found = list(geometry.faults(where))
    for end, shape, g in (("source", geometry.source, source), ("target", geometry.target, target)):
        if not found and (g.shape or (g.size,)) != shape:
            was = f"a convolution whose {end} is {shape}, and {g.name!r} is {g.shape or g.size}"
            found.append(Fault("ND1201", where, was, "equal shapes"))
    return found


def _outside(where: str, name: str, values: Ints, low: int, high: int) -> list[Fault]:
    bad = np.flatnonzero((values < low) | (values > high))
    if not bad.size:
        return []
    first = int(bad[0])
    was = f"{name} = {int(values[first])} at index {first}" + (f" and {bad.size - 1} more" if bad.size > 1 else "")
    values_ = {"parameter": name, "value": int(values[first]), "count": int(bad.size)}
    return [Fault("ND1202", where, was, f"the register holds {low}..{high}", "", values_)]

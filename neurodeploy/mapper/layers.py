"""Layers as cores see them that hold one layer each: shapes without weights, memories, geometry limits."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.chips.core_tables import LayerCoreEntry
from neurodeploy.errors import Fault, Refusal
from neurodeploy.mapper.rows import Usage
from neurodeploy.network import Network
from neurodeploy.network.geometry import Convolution
from neurodeploy.step import FORMULA, evaluate


@dataclass(frozen=True)
class Edge:
    """A convolution from one layer, or an input, to a layer."""

    source: str
    target: str
    geometry: Convolution


@dataclass(frozen=True)
class Layer:
    """A group that stands on cores of its own.

    edges : convolutions that end on it; several add up, or come in on channels of their own
    registers : parameter -> 1 where it is not 0 somewhere
    last : whether its events leave the chip
    """

    name: str
    shape: tuple[int, int, int]
    edges: tuple[Edge, ...]
    registers: Mapping[str, int] = field(default_factory=dict)
    last: bool = False

    def facts(self, edge: Edge, features: int | None = None) -> dict[str, int]:
        """What formulas may ask, of the whole layer or of a block of its features."""
        g, (count, rows, columns) = edge.geometry, self.shape
        pairs = {
            "kernel": g.kernel[2:],
            "stride": g.stride,
            "padding": g.padding,
            "source": g.source[1:],
            "pooling": g.pooling,
            "input": g.pooled,
            "output": (rows, columns),
        }
        facts = {f"{n}_{axis}": p[i] for n, p in pairs.items() for i, axis in enumerate(("rows", "columns"))}
        facts |= {"channels": g.kernel[1] * g.groups, "groups": g.groups, "shift": g.shift}
        return facts | {"features": features or count} | {f"set_{n}": used for n, used in self.registers.items()}


@dataclass(frozen=True)
class Plan:
    """What has to be known of a network to give its layers cores.

    cores : the chip's table of such cores
    inputs : input -> blocks of layers that it can feed
    layers : in the order of the network
    split : layers that may stand on several cores
    readout : layer that the readout counts, empty where none is
    known : rooms found before, also of plans that this one was changed from
    """

    chip: Chip
    cores: LayerCoreEntry
    inputs: Mapping[str, int]
    layers: tuple[Layer, ...]
    split: frozenset[str] = frozenset()
    readout: str = ""
    known: dict[object, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)

    def feeds(self, source: str) -> tuple[str, ...]:
        """Layers that a layer or an input leads to, one as often as projections lead there."""
        return tuple(e.target for layer in self.layers for e in layer.edges if e.source == source)

    def layer(self, name: str) -> Layer:
        """Layer by name."""
        return next(layer for layer in self.layers if layer.name == name)

    def reaches(self, source: str) -> int:
        """Blocks of layers that a layer or an input can be sent to."""
        return self.inputs.get(source, self.cores.destinations - (source == self.readout))

    def needs(self, layer: Layer, features: int | None = None) -> dict[str, int]:
        """Words of each memory for a layer, or for a block of its features."""
        if layer.name == self.readout:
            features = self._formula("readout.features", {"classes": features or layer.shape[0]})
        facts = layer.facts(layer.edges[0], features)
        return {name: self._formula(f"memory.{name}", facts) for name in self.cores.memory}

    def rooms(self, layer: Layer) -> tuple[int, ...]:
        """Most features of a layer that each core takes: all or none, unless the layer may be split."""
        chosen = layer.name in self.split, layer.name == self.readout
        key = (layer.edges[0].geometry, layer.shape, tuple(layer.registers.items()), *chosen)
        if key not in self.known:
            self.known[key] = tuple(self._rooms(layer))
        return self.known[key]

    def _rooms(self, layer: Layer) -> Iterator[int]:
        needs = cache(lambda features: self.needs(layer, features))

        def takes(core: int, features: int) -> bool:
            return all(needs(features)[name] <= memory.each[core] for name, memory in self.cores.memory.items())

        for core in range(self.cores.count):
            fitting, too_many = 0, layer.shape[0] + 1
            if takes(core, layer.shape[0]):
                fitting = layer.shape[0]
            while layer.name in self.split and too_many - fitting > 1:  # more features never need less
                middle = (fitting + too_many) // 2
                fitting, too_many = (middle, too_many) if takes(core, middle) else (fitting, middle)
            yield fitting

    def _formula(self, name: str, facts: Mapping[str, int]) -> int:
        value = float(evaluate(self.chip.layer_formulas[name], facts, FORMULA))
        if not math.isfinite(value):
            where = f"layer_core.{name}.value of the chip file"
            raise Refusal(Fault("ND1103", where, f"the value is {value}", "a finite number for every layer"))
        return math.ceil(value)

    def limits(self) -> Iterator[Usage]:
        """Every geometry limit with the layer that asks most of it."""
        for name, entry in self.cores.limit.items():
            asked = [
                (self._formula(f"limit.{name}", layer.facts(edge)), layer)
                for layer in self.layers
                for edge in layer.edges
                if entry.of == "layer" or layer.last
            ]
            most = entry.at_most
            over = [(v, lay) for v, lay in asked if (v > most if most is not None else v not in entry.one_of)]
            value, worst = max(over or asked, key=lambda pair: pair[0], default=(0, None))
            where = f"layer {worst.name!r}" if worst else ""
            bound = max(entry.one_of) if most is None else most
            grade = self.chip.grade(entry.evidence or self.cores.evidence)
            count = len({lay.name for _, lay in over})
            yield Usage(name, entry.unit, value, bound, grade, where, count, entry.todo, entry.one_of, entry.rule)


def read_plan(
    network: Network, split: frozenset[str] = frozenset(), readout: str = ""
) -> tuple[Plan, tuple[Fault, ...]]:
    """What the cores have to hold, and what stands in the way whatever core a layer gets.

    split : layers that may stand on several cores
    readout : layer whose classes the readout counts
    """
    chip = network.chip
    cores = chip.layer_core
    if cores is None:
        raise Refusal(Fault("ND1203", chip.name, "no [layer_core] table", "a chip whose cores hold a layer each"))
    leaving = {g.name for g in network.outputs()}
    inputs = {g.name: cores.inputs[g.kind] for g in network.groups if g.kind in cores.inputs}
    layers, faults = list[Layer](), list[Fault]()
    for g in network.groups:
        if g.kind not in cores.kinds:
            continue
        ending = [p for p in network.projections if p.target == g.name]
        edges = tuple(Edge(p.source, g.name, p.geometry) for p in ending if p.geometry is not None)
        where = f"{chip.name}, layer {g.name!r}"
        if len(edges) < len(ending):
            must = "convolutions: a core has a kernel, not single synapses"
            faults.append(Fault("ND1801", where, "synapses without a geometry", must, "write them as a convolution"))
        elif not edges:
            must = "a layer that something feeds: its kernel lies in the core"
            faults.append(Fault("ND1801", where, "no convolution ends here", must, "remove the layer or feed it"))
        else:
            shape = edges[0].geometry.target
            registers = {n: int(v.any()) for n, v in g.parameters.items()}
            layers.append(Layer(g.name, shape, edges, registers, g.name in leaving))
            faults += _kernel_faults(network, g.name, where)
    names = {layer.name for layer in layers}
    if unknown := sorted(split - names):
        must = f"one of {', '.join(layer.name for layer in layers)}"
        faults.append(Fault("ND1203", f"{chip.name}, split", ", ".join(map(repr, unknown)), must))
    plan = Plan(chip, cores, inputs, tuple(layers), split, readout if cores.readout is not None else "")
    return plan, (*faults, *(_readout_faults(plan, readout) if readout else ()))


def _readout_faults(plan: Plan, name: str) -> Iterator[Fault]:
    """A layer that the readout cannot count."""
    entry, where = plan.cores.readout, f"{plan.chip.name}, readout"
    layer = next((layer for layer in plan.layers if layer.name == name), None)
    if entry is None:
        yield Fault("ND1203", where, f"layer {name!r}", "none: the cores of this chip have no readout behind them")
    elif layer is None:
        must = f"one of {', '.join(layer.name for layer in plan.layers)}"
        yield Fault("ND1203", where, f"layer {name!r}", must)
    else:
        if layer.shape[1:] != (1, 1) or layer.shape[0] > entry.classes:
            must = f"(classes, 1, 1), at most {entry.classes} classes"
            yield Fault("ND1801", where, f"layer {layer.name!r} of shape {layer.shape}", must)
        if layer.name in plan.split:
            yield Fault("ND1203", where, f"layer {layer.name!r}, which is split", "a layer on one core")


def _kernel_faults(network: Network, name: str, where: str) -> Iterator[Fault]:
    """Convolutions onto one layer share one kernel: they differ in their source, its pooling and its channels only."""
    first, *others = [p for p in network.projections if p.target == name]
    stored: dict[str, np.ndarray] = {}
    known: np.ndarray | None = None
    for p in (first, *others):
        g, base = p.geometry, first.geometry
        if g is None or base is None:
            return
        same = replace(g, source=base.source, pooling=base.pooling, shift=base.shift)
        if same != base or g.pooled != base.pooled:
            was = f"{p.source!r} comes in by another geometry than {first.source!r}"
            yield Fault("ND1801", where, was, "one kernel, stride, padding and map for all that ends on a core")
            return
        whole = np.zeros(g.kernel, bool)
        block = np.arange(g.kernel[0]) // (g.kernel[0] // g.groups) * g.kernel[1]
        channel = block[:, None] + np.arange(g.kernel[1]) - g.shift
        whole[(channel >= 0) & (channel < g.source[0])] = True
        used = whole.reshape(-1)
        known = np.zeros(used.shape, bool) if known is None else known
        for field_name, values in p.fields.items():
            held = stored.setdefault(field_name, values.copy())
            if np.any((held != values) & used & known):
                was = f"{p.source!r} comes in by other weights {field_name!r} than {first.source!r}"
                todo = "let them come in on channels of their own (shift), or add the layers up before"
                yield Fault("ND1801", where, was, "one kernel for all that ends on a core", todo)
                return
            held[used] = values[used]
        known |= used


def circles(plan: Plan) -> list[str]:
    """Layers that feed themselves on a way round, in the order of the network."""
    ahead = {layer.name: set(plan.feeds(layer.name)) for layer in plan.layers}
    while True:
        more = {n: to | {far for near in to for far in ahead[near]} for n, to in ahead.items()}
        if more == ahead:
            return [n for n, to in ahead.items() if n in to]
        ahead = more


def wiring_faults(plan: Plan, *, loops: bool) -> list[Fault]:
    """Circles, and sources that feed more layers than they can, whatever core these stand on."""
    chip, cores, faults = plan.chip.name, plan.cores, list[Fault]()
    around = circles(plan)
    if around and cores.loops != "allow" and not (loops and cores.loops == "ask"):
        todo = "allow it with loops=True; whether the chip then comes to a halt is unknown" * (cores.loops == "ask")
        was = f"layers that feed themselves on a way round: {', '.join(map(repr, around))}"
        faults.append(Fault("ND1801", chip, was, "layers without a circle", todo, {"layers": around}))
    for name in [*(layer.name for layer in plan.layers), *plan.inputs]:
        most, fed = plan.inputs.get(name, cores.destinations), list(map(repr, plan.feeds(name)))
        fed += ["the readout"] * (name == plan.readout)
        if len(fed) > most:
            what = "input" if name in plan.inputs else "layer"
            was = f"{what} {name!r} feeds {len(fed)}: {', '.join(fed)}"
            given = {"limit": "layer_core.destinations", "asked": len(fed), "at_most": most}
            must, todo = f"at most {most} destinations", "feed fewer layers, or pass through one that feeds the others"
            faults.append(Fault("ND1801", chip, was, must, todo, given))
    return faults

"""The chip that is made for a model, and the network on it: derived kinds, their connections, their order in a step."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Chip, from_raw
from neurodeploy.chips.compile import DELAY
from neurodeploy.fixed.edges import Edge
from neurodeploy.fixed.formats import Format, finest, rounded
from neurodeploy.fixed.kind import Arrival, Kind
from neurodeploy.network import Group, Network, Projection
from neurodeploy.quantizer.nodes import INPUT
from neurodeploy.quantizer.pieces import Cut


@dataclass(frozen=True)
class Weights:
    """Rounded weights of an edge.

    values : whole numbers in the shape of the edge's weights; None where there are none
    format : how they are read
    """

    edge: Edge
    values: npt.NDArray[np.int64] | None
    format: Format


@dataclass(frozen=True)
class Layer:
    """What became of one layer of neurons.

    weights : of its edges, in the order of the kind's accumulators
    """

    name: str
    kind: Kind
    weights: tuple[Weights, ...]

    @property
    def text(self) -> str:
        """The derived step text."""
        return self.kind.text

    def to_json(self) -> dict[str, Any]:
        """Plain data: formats by name, and what calibration reached."""
        kind = self.kind
        forms = {
            "states": kind.states,
            "parameters": {n: c.format for n, c in kind.constants.items()},
            "products": kind.temporaries,
        }
        reached = {n: [r.low, r.high] for n, r in sorted(kind.course.reach.items())}
        found: dict[str, Any] = {k: {n: str(f) for n, f in v.items()} for k, v in forms.items()}
        weights = [{"source": w.edge.source, "format": str(w.format)} for w in self.weights]
        return {"layer": self.name, **found, "weights": weights, "reached": reached}


def rounded_weights(edge: Edge, bits: int) -> Weights:
    """Weights in the fewest bits that hold them exactly, or in all that there are."""
    if edge.weight is None:
        return Weights(edge, None, Format(1, 0, signed=False))
    fraction = finest(edge.weight.reshape(-1), bits - int(not (edge.weight < 0).any()))
    whole = np.array(rounded(edge.weight.reshape(-1), fraction), np.int64).reshape(edge.weight.shape)
    width = max(int(np.abs(whole).max(initial=1)).bit_length() + 1, 2)
    return Weights(edge, whole, Format(width, fraction, signed=True))


def assemble_network(chip: Chip, form: Format, found: Cut, layers: Sequence[Layer], dt_s: float | None) -> Network:
    """Lay out a network on a chip of its own, which is ``chip`` with the derived kinds in place of its example.

    form : of the input
    """
    machine = chip.file.programmable
    if machine is None:
        raise TypeError("only a programmable chip takes other kinds")
    return _Assembly(chip, machine.input, form, found, tuple(layers)).network(dt_s)


@dataclass(frozen=True)
class _Assembly:
    chip: Chip
    input_kind: str
    input: Format
    found: Cut
    layers: tuple[Layer, ...]

    def network(self, dt_s: float | None) -> Network:
        raw, connections = self.raw()
        chip = from_raw(raw)
        inputs = Group(self.input_kind, self.input_kind, self.found.inputs, {}, shape=self.found.map or ())
        groups = {INPUT: inputs}
        for piece, layer in zip(self.found.pieces, self.layers, strict=True):
            groups[piece.name] = Group(
                piece.name, layer.kind.name, piece.size, layer.kind.parameters(), shape=piece.map or ()
            )
        projections = tuple(
            _projection(name, weights, groups[weights.edge.source], groups[layer.name])
            for layer, names in zip(self.layers, connections, strict=True)
            for name, weights in zip(names, layer.weights, strict=True)
        )
        notes = {"fixed": {"input": str(self.input), "layers": [layer.to_json() for layer in self.layers]}}
        return Network(chip, tuple(groups.values()), projections, dt_s, notes)

    def raw(self) -> tuple[dict[str, Any], list[list[str]]]:
        """Chip file with the derived kinds in place of the example, and the names of the connections by layer."""
        raw = copy.deepcopy(dict(self.chip.raw))
        entry = copy.deepcopy(raw["neuron"][self.input_kind])
        emits = entry["emits"]
        low, high = self.input.interval
        entry["external"]["holds"] = [low, high]
        entry["state"][emits] = {"signed" if self.input.signed else "unsigned": self.input.bits}
        raw["neuron"] = {self.input_kind: entry}
        raw["connection"], raw["function"] = {}, {}
        kinds = {layer.name: layer.kind.name for layer in self.layers}
        phases, names = [f"{self.input_kind}.step"], list[list[str]]()
        for layer in self.layers:
            kind = layer.kind
            raw["neuron"][kind.name] = kind.entry()
            raw["function"] |= kind.functions
            own = []
            for index, (weights, arrival) in enumerate(zip(layer.weights, kind.arrivals, strict=True)):
                name = f"to_{kind.name}" + (f"_{index + 1}" if index else "")
                source = kinds.get(weights.edge.source, self.input_kind)
                raw["connection"][name] = _connection(source, kind.name, weights, arrival)
                own.append(name)
            names.append(own)
            phases += [*([f"{kind.name}.begin"] if own else []), *own, f"{kind.name}.step"]
        raw["schedule"] = raw["schedule"] | {"step": phases}
        return raw, names


def _connection(source: str, target: str, weights: Weights, arrival: Arrival) -> dict[str, Any]:
    edge = weights.edge
    entry: dict[str, Any] = {"from": source, "to": target, "pattern": "pairs", "synapse": {}}
    given = "arriving"
    if edge.geometry is not None:
        entry |= {"pattern": "conv", "pooling": sorted(set(edge.geometry.pooling))}
    elif weights.values is not None:
        entry["pattern"] = "dense"
    if weights.values is not None:
        entry["synapse"]["w"] = {"signed": weights.format.bits}
        entry["weights"] = ["w"]
        given = "w * arriving"
    if edge.delay:
        entry["synapse"][DELAY] = {"unsigned": edge.delay.bit_length()}
    if arrival.shift:
        given = f"({given} << {arrival.shift})"
    return entry | {"on_input": f"{arrival.name} = {arrival.name} + {given}\n"}


def _projection(kind: str, weights: Weights, source: Group, target: Group) -> Projection:
    edge, none = weights.edge, np.zeros(0, np.int64)
    sources, targets, fields = none, none, dict[str, npt.NDArray[np.int64]]()
    if weights.values is None:
        sources = targets = np.arange(target.size)
    elif edge.geometry is None:
        sources, targets = (a.reshape(-1) for a in np.indices(weights.values.shape))
    if weights.values is not None:
        fields["w"] = weights.values.reshape(-1)
    if edge.delay:
        fields[DELAY] = np.full(len(fields.get("w", targets)), edge.delay)
    return Projection(kind, source.name, target.name, sources, targets, fields, {}, edge.geometry)

"""Float model -> network in fixed point: each layer of neurons becomes a kind of a chip that is made for the model."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.chips import Chip, from_raw
from neurodeploy.chips.compile import DELAY
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.fixed.edges import Edge, bias_of, edges_of
from neurodeploy.fixed.floats import Floats
from neurodeploy.fixed.formats import Bits, Format, finest, rounded
from neurodeploy.fixed.kind import Arrival, Brought, Kind, derive_kind, state_format
from neurodeploy.fixed.measure import Feedback, measure
from neurodeploy.fixed.plain import SPIKE, plain
from neurodeploy.fixed.writer import whole_names
from neurodeploy.layers import Neuron
from neurodeploy.models import reset_states
from neurodeploy.network import Group, Network, Projection
from neurodeploy.quantizer.nodes import INPUT
from neurodeploy.quantizer.pieces import Cut, Piece, cut
from neurodeploy.quantizer.ways import Way

#: Name of a model that is a single layer of neurons.
ALONE = "neurons"


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


@dataclass(frozen=True)
class Derivation:
    """A network in fixed point.

    network : on a chip whose neuron kinds are the derived ones
    layers : one for each layer of neurons
    input : how the counts of the input are read
    """

    network: Network
    layers: tuple[Layer, ...]
    input: Format

    def encode(self, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Input of the float model as whole numbers of the network's input.

        values : (time, batch, ...)
        Raises Refusal (ND1302) for values that the input does not hold.
        """
        return _encoded(np.asarray(values, np.float64), self.input)

    def decode(self, layer: str, state: str, values: npt.ArrayLike) -> Floats:
        """Whole numbers of a state in the unit of the float neuron."""
        form = next(one for one in self.layers if one.name == layer).kind.states[state]
        return np.ldexp(np.asarray(values, np.float64), -form.fraction)

    def to_json(self) -> list[dict[str, Any]]:
        """The report as plain data."""
        return [layer.to_json() for layer in self.layers]


def derive(
    model: torch.nn.Module,
    chip: Chip,
    *,
    calibration: npt.ArrayLike,
    bits: int | Bits | Mapping[str, Bits] | None = None,
    rounding: str | None = None,
    dt_s: float | None = None,
) -> Derivation:
    """Turn a float model with any neurons into a network in fixed point.

    model : a layer of neurons, or layers of neurons with linear layers between them; it is not changed
    chip : a programmable one (``nd.chip("fixed")``): the network's own chip is made of it
    calibration : (time, batch, ...) input that the formats are chosen by; counts, or any numbers
    bits : width of states, parameters and weights, or each by itself, or by layer; None takes the chip's
    rounding : "nearest", "floor" or "to_zero", of those that the chip has; None takes its first
    dt_s : duration of a step in seconds, carried along

    Constants are rounded to nearest, halves to even; each line of a derived text rounds once. A state saturates at the
    ends of its register, which lies beyond all that calibration reached.
    Raises Refusal: ND1701 for widths, roundings and operators that there are not, ND16xx for what is no such model.
    """
    machine = chip.file.programmable
    if machine is None:
        was, must = f"chip {chip.name!r}", "a chip whose file has a table [programmable]"
        raise Refusal(Fault("ND1701", "derive", was, must, 'use nd.chip("fixed"), or nd.quantize'))
    rounding = machine.rounding[0] if rounding is None else rounding
    if rounding not in machine.rounding:
        raise Refusal(
            Fault("ND1701", chip.name, f"rounding = {rounding!r}", f"one of {', '.join(machine.rounding)}")
        )
    found = _cut(model)
    widths = {piece.name: _bits(bits, piece.name, chip) for piece in found.pieces}
    data = np.asarray(calibration, np.float64)
    data = data.reshape(*data.shape[:2], -1)
    inputs = _inputs_of(model, np.asarray(calibration), found)
    form = _input_format(data, max(w.state for w in widths.values()))
    builder = _Builder(chip, machine.input, form, found, rounding)
    for piece in found.pieces:
        builder.add(piece, widths[piece.name], inputs[piece.name])
    return builder.done(dt_s)


def _bits(bits: int | Bits | Mapping[str, Bits] | None, layer: str, chip: Chip) -> Bits:
    machine = chip.file.programmable
    if machine is None:
        raise TypeError("only a programmable chip has widths")
    chosen = bits.get(layer) if isinstance(bits, Mapping) else bits
    chosen = machine.bits if chosen is None else chosen
    if isinstance(chosen, int):
        chosen = Bits(chosen, chosen, chosen, machine.guard_bits)
    faults = []
    for what, allowed in (("state", machine.state_bits), ("parameter", machine.parameter_bits), ("weight", machine.weight_bits)):
        width = getattr(chosen, what)
        if not isinstance(width, int) or not allowed[0] <= width <= allowed[1]:
            must = f"{allowed[0]} to {allowed[1]}"
            faults.append(Fault("ND1701", f"{chip.name}, layer {layer!r}", f"{what} of {width} bits", must))
    raise_if(faults)
    return chosen


def _cut(model: torch.nn.Module) -> Cut:
    if isinstance(model, Neuron):
        way = Way("" if INPUT == "" else INPUT)
        shape = model.shape if len(model.shape) == 3 else None
        lies = (shape[0], shape[1], shape[2]) if shape else None
        piece = Piece(ALONE, model, (way,), None, lies, f"layer {type(model).__name__}")
        return Cut((piece,), piece.size, lies, ALONE)
    found, faults = cut(model)
    raise_if(faults)
    if found is None:
        raise TypeError("a model without faults has been cut")
    return found


def _inputs_of(model: torch.nn.Module, data: npt.NDArray[Any], found: Cut) -> dict[str, Floats]:
    """(time, batch, neuron) what arrives at each layer of neurons in the float model, its own spikes left out."""
    model = copy.deepcopy(model).cpu().eval()
    reset_states(model)
    modules = {ALONE: model} if isinstance(model, Neuron) else dict(model.named_modules())
    seen: dict[str, torch.Tensor] = {}
    for piece in found.pieces:
        layer = modules[piece.name]
        layer.register_forward_pre_hook(lambda _m, given, name=piece.name: seen.__setitem__(name, given[0]))
    first = modules[found.pieces[0].name]
    dtype = first.dtype if isinstance(first, Neuron) else torch.float32
    with torch.no_grad():
        model(torch.as_tensor(np.asarray(data, np.float64)).to(dtype))
    return {name: x.double().flatten(2).numpy() for name, x in seen.items()}


def _input_format(data: Floats, bits: int) -> Format:
    low, high = float(data.min(initial=0.0)), float(data.max(initial=0.0))
    largest = max(-low, high)
    if (data == data.round()).all():
        return Format(max(int(2 * largest).bit_length(), 4) + int(low < 0), 0, low < 0)
    values = np.array([2 * largest])
    return Format(bits, finest(np.array([largest * 1.000001, 2 * largest]), bits - 1), True) if values.any() else Format(4, 0, False)


def _encoded(values: Floats, form: Format) -> npt.NDArray[np.int64]:
    whole = np.round(np.ldexp(values, form.fraction))
    low, high = form.interval
    if whole.size and (whole.min() < low or whole.max() > high):
        was = f"{np.ldexp(whole.min(), -form.fraction)} to {np.ldexp(whole.max(), -form.fraction)}"
        must = f"{np.ldexp(low, -form.fraction)} to {np.ldexp(high, -form.fraction)}: the input has {form}"
        raise Refusal(Fault("ND1302", "encode", was, must, "calibrate with data that reach as far"))
    return whole.astype(np.int64)


@dataclass
class _Builder:
    """Layers of a network, one after the other."""

    chip: Chip
    input_kind: str
    input: Format
    found: Cut
    rounding: str
    layers: list[Layer] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sizes = {INPUT: self.found.inputs}
        self.emitted = {INPUT: self.input}
        self.taken = set(self.chip.neurons)

    def add(self, piece: Piece, bits: Bits, x: Floats) -> None:
        """Derive one layer."""
        where = f"{self.chip.name}, {piece.where}"
        neuron = plain(piece.neuron, where)
        edges = edges_of(piece, self.sizes)
        measured = measure(neuron, x, _feedback(piece))
        self.sizes[piece.name] = piece.size
        own = measured[0].reach[SPIKE]
        weights, brought = [], []
        for edge in edges:
            back = edge.source == piece.name
            rounded_ = _weights(edge, bits.weight)
            # what a layer sends itself: its own width, which is chosen the same way below
            source = _emitted(neuron, own.largest, own.low < 0, bits) if back else self.emitted[edge.source]
            reach = np.full(self.sizes[edge.source], max(abs(e) for e in source.interval), np.float64)
            whole = edge if rounded_.values is None else replace(edge, weight=rounded_.values.astype(np.float64))
            most = int(whole.totals(reach, piece.size).max(initial=0.0) * (1 + 2**-50)) + 1
            brought.append(Brought(rounded_.format.fraction + source.fraction, most, True, back))
            weights.append(rounded_)
        bias = bias_of(piece)
        name = self._kind_name(piece)
        kind = derive_kind(name, neuron, brought, bias, bits, self.rounding, measured)
        self.emitted[piece.name] = kind.states[SPIKE]
        self.kinds[piece.name] = name
        self.layers.append(Layer(piece.name, kind, tuple(weights)))

    def _kind_name(self, piece: Piece) -> str:
        words = "".join(c if c.isascii() and c.isalnum() else "_" for c in f"{type(piece.neuron).__name__}_{piece.name}")
        name = words.lower()
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def done(self, dt_s: float | None) -> Derivation:
        """Chip and network of the layers so far."""
        raw, connections = self._raw()
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
        network = Network(chip, tuple(groups.values()), projections, dt_s, notes)
        return Derivation(network, tuple(self.layers), self.input)

    def _raw(self) -> tuple[dict[str, Any], list[list[str]]]:
        """Chip file with the derived kinds in place of the example, and the names of the connections by layer."""
        raw = copy.deepcopy(dict(self.chip.raw))
        entry = copy.deepcopy(raw["neuron"][self.input_kind])
        emits = entry["emits"]
        low, high = self.input.interval
        entry["external"]["holds"] = [low, high]
        entry["state"][emits] = {"signed" if self.input.signed else "unsigned": self.input.bits}
        raw["neuron"] = {self.input_kind: entry}
        raw["connection"], raw["function"] = {}, {}
        phases, names = [f"{self.input_kind}.step"], list[list[str]]()
        for layer in self.layers:
            kind = layer.kind
            raw["neuron"][kind.name] = kind.entry()
            raw["function"] |= kind.functions
            own = []
            for index, (weights, arrival) in enumerate(zip(layer.weights, kind.arrivals, strict=True)):
                name = f"to_{kind.name}" + (f"_{index + 1}" if index else "")
                source = self.kinds.get(weights.edge.source, self.input_kind)
                raw["connection"][name] = _connection(source, kind.name, weights, arrival)
                own.append(name)
            names.append(own)
            phases += [*([f"{kind.name}.begin"] if own else []), *own, f"{kind.name}.step"]
        raw["schedule"] = raw["schedule"] | {"step": phases}
        return raw, names


def _feedback(piece: Piece) -> Feedback | None:
    module = piece.neuron.rec_connect
    if module is None:
        return None
    double, shape = copy.deepcopy(module).cpu().double(), piece.neuron.shape

    def back(spikes: Floats) -> Floats:
        with torch.no_grad():
            given = torch.tensor(spikes).reshape(-1, *shape)
            found: Floats = double(given).flatten(1).numpy()
        return found

    return back


def _emitted(neuron: Any, largest: float, negative: bool, bits: Bits) -> Format:  # noqa: FBT001
    return state_format(SPIKE, largest, bits, whole_names(neuron), negative=negative)


def _weights(edge: Edge, bits: int) -> Weights:
    if edge.weight is None:
        return Weights(edge, None, Format(1, 0, signed=False))
    fraction = finest(edge.weight.reshape(-1), bits - int(not (edge.weight < 0).any()))
    whole = np.array(rounded(edge.weight.reshape(-1), fraction), np.int64).reshape(edge.weight.shape)
    width = max(int(np.abs(whole).max(initial=1)).bit_length() + 1, 2)
    return Weights(edge, whole, Format(width, fraction, signed=True))


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

"""Float model -> network in fixed point: each layer of neurons becomes a kind of a chip that is made for the model."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from neurodeploy.chips import Chip
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.fixed.assembly import Layer, assemble_network, rounded_weights
from neurodeploy.fixed.edges import bias_of, edges_of, late_bias_of
from neurodeploy.fixed.floats import Floats
from neurodeploy.fixed.formats import Bits, Format, most_places
from neurodeploy.fixed.kind import Brought, derive_kind, state_format
from neurodeploy.fixed.measure import Feedback, measure
from neurodeploy.fixed.plain import SPIKE, plain
from neurodeploy.fixed.writer import whole_names
from neurodeploy.layers import Neuron
from neurodeploy.layers.stateful import TIME_BATCH
from neurodeploy.models import reset_states
from neurodeploy.network import Network
from neurodeploy.quantizer.nodes import INPUT
from neurodeploy.quantizer.pieces import Cut, Piece, cut
from neurodeploy.quantizer.ways import Way

#: Fewest bits of an input of counts.
LEAST_COUNT = 4
#: Name of a model that is a single layer of neurons.
ALONE = "neurons"


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
        raise Refusal(Fault("ND1701", chip.name, f"rounding = {rounding!r}", f"one of {', '.join(machine.rounding)}"))
    found = _cut(model)
    widths = {piece.name: _bits(bits, piece.name, chip) for piece in found.pieces}
    data = _checked(calibration, chip, found)
    inputs = _inputs_of(model, np.asarray(calibration), found)
    form = _input_format(data, max(w.state for w in widths.values()))
    builder = _Builder(chip, form, found, rounding)
    for piece in found.pieces:
        builder.add(piece, widths[piece.name], inputs[piece.name])
    network = assemble_network(chip, form, found, builder.layers, dt_s)
    return Derivation(network, tuple(builder.layers), form)


def _checked(calibration: npt.ArrayLike, chip: Chip, found: Cut) -> Floats:
    """(time, batch, channel) calibration data.

    Raises Refusal (ND1704) for what is empty, not finite, or of another shape.
    """
    data, where = np.asarray(calibration, np.float64), f"{chip.name}, calibration"
    if data.ndim <= TIME_BATCH or not data.size or int(np.prod(data.shape[TIME_BATCH:])) != found.inputs:
        must = f"(time, batch, ...) with {found.inputs} values for each step and sample"
        raise Refusal(Fault("ND1704", where, f"data of shape {data.shape}", must))
    if not np.isfinite(data).all():
        raise Refusal(Fault("ND1704", where, "NaN or infinite values", "finite numbers"))
    return data.reshape(*data.shape[:TIME_BATCH], -1)


def underivable(model: torch.nn.Module, chip: Chip) -> list[Fault]:
    """Why a model has no network in fixed point, as far as it shows without data; empty where it has one."""
    faults = list[Fault]()
    try:
        found = _cut(model)
    except Refusal as refusal:
        return list(refusal.faults)
    sizes = {INPUT: found.inputs} | {piece.name: piece.size for piece in found.pieces}
    for piece in found.pieces:
        for look in (lambda p: plain(p.neuron, f"{chip.name}, {p.where}"), lambda p: edges_of(p, sizes)):
            try:
                look(piece)
            except Refusal as refusal:
                faults += refusal.faults
    return faults


def _bits(bits: int | Bits | Mapping[str, Bits] | None, layer: str, chip: Chip) -> Bits:
    machine = chip.file.programmable
    if machine is None:
        raise TypeError("only a programmable chip has widths")
    chosen = bits.get(layer) if isinstance(bits, Mapping) else bits
    chosen = machine.bits if chosen is None else chosen
    if isinstance(chosen, int):
        chosen = Bits(chosen, chosen, chosen, machine.guard_bits)
    faults, widths = list[Fault](), {"state": machine.state_bits, "parameter": machine.parameter_bits}
    for what, allowed in (widths | {"weight": machine.weight_bits}).items():
        width = getattr(chosen, what)
        if not isinstance(width, int) or not allowed[0] <= width <= allowed[1]:
            must = f"{allowed[0]} to {allowed[1]}"
            faults.append(Fault("ND1701", f"{chip.name}, layer {layer!r}", f"{what} of {width} bits", must))
    raise_if(faults)
    return chosen


def _cut(model: torch.nn.Module) -> Cut:
    if isinstance(model, Neuron):
        way = Way(INPUT)
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
    if isinstance(model, Neuron):
        return {ALONE: np.asarray(data, np.float64).reshape(*data.shape[:2], -1)}
    model = copy.deepcopy(model).cpu().eval()
    reset_states(model)
    modules = dict(model.named_modules())
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
    """Whole numbers as they are; others with so many bits; twice what calibration reaches fits."""
    low, high = float(data.min(initial=0.0)), float(data.max(initial=0.0))
    twice = 2 * max(-low, high)
    if (data == data.round()).all():
        return Format(max(int(twice).bit_length(), LEAST_COUNT) + int(low < 0), 0, low < 0)
    return Format(bits, most_places(np.array([twice, -twice]), bits), signed=True)


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
    input: Format
    found: Cut
    rounding: str
    layers: list[Layer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sizes = {INPUT: self.found.inputs}
        self.emitted = {INPUT: self.input}
        self.taken = set(self.chip.neurons)

    def add(self, piece: Piece, bits: Bits, x: Floats) -> None:
        """Derive one layer."""
        where = f"{self.chip.name}, {piece.where}"
        neuron = plain(piece.neuron, where)
        edges = edges_of(piece, self.sizes)
        measured = measure(neuron, x, feedback_of(piece.neuron))
        self.sizes[piece.name] = piece.size
        own = measured[0].reach[SPIKE]
        weights, brought = [], []
        for edge in edges:
            back = edge.source == piece.name
            rounded_ = rounded_weights(edge, bits.weight)
            # what a layer sends itself: its own width, which is chosen the same way below
            source = _emitted(neuron, own.largest, own.low < 0, bits) if back else self.emitted[edge.source]
            reach = np.full(self.sizes[edge.source], max(abs(e) for e in source.interval), np.float64)
            whole = edge if rounded_.values is None else replace(edge, weight=rounded_.values.astype(np.float64))
            most = int(whole.totals(reach, piece.size).max(initial=0.0) * (1 + 2**-50)) + 1
            bias = bias_of(piece) if edge is edges[0] else late_bias_of(piece) if back else None
            brought.append(Brought(rounded_.format.fraction + source.fraction, most, bias, back, late=back))
            weights.append(rounded_)
        name = self._kind_name(piece)
        kind = derive_kind(name, neuron, brought, bits, self.rounding, measured)
        self.emitted[piece.name] = kind.states[SPIKE]
        self.layers.append(Layer(piece.name, kind, tuple(weights)))

    def _kind_name(self, piece: Piece) -> str:
        words = f"{type(piece.neuron).__name__}_{piece.name}"
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in words).lower()
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name


def feedback_of(neuron: Neuron) -> Feedback | None:
    """What the spikes of a layer bring back to it; None where nothing comes back."""
    module, shape = neuron.rec_connect, neuron.shape
    if module is None:
        return None
    double = copy.deepcopy(module).cpu().double()

    def back(spikes: Floats) -> Floats:
        with torch.no_grad():
            given = torch.tensor(spikes).reshape(-1, *shape)
            found: Floats = double(given).flatten(1).numpy()
        return found

    return back


def _emitted(neuron: Any, largest: float, negative: bool, bits: Bits) -> Format:  # noqa: FBT001
    return state_format(SPIKE, largest, bits, whole_names(neuron), negative=negative)

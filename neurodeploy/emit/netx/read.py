"""NetX file -> network, as the published loader reads it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.emit.netx.file import read_file
from neurodeploy.emit.netx.layers import Layer, layer_of_json
from neurodeploy.emit.netx.loader import Ints, kernel_faults, load_weights, weight_faults
from neurodeploy.emit.netx.reset import registers
from neurodeploy.emit.netx.table import FORMAT, NetxTable, Weights, netx_table
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Convolution, Group, Network, Projection, group, projection
from neurodeploy.network.network import convolution
from neurodeploy.simulator.machine import stored_fields


def read_netx(path: str | Path, chip: Chip) -> Network:
    """Network of a file, not placed.

    chip : the file does not say for which chip it is
    Raises Refusal: ND1401 for the file, ND1901 with everything in it that the loader refuses, drops or changes.
    """
    layers, about = read_file(Path(path))
    return from_layers(layers, chip, about, str(path))


def from_netx(content: Mapping[str, Any], chip: Chip) -> Network:
    """Network of the content of a file as ``to_netx`` gives it, not placed.

    Raises Refusal ND1901 with what is no such content, and as ``read_netx`` does for its layers.
    """
    where = "configuration for NetX"
    if content.get("format") != FORMAT or content.get("chip") != chip.name:
        was = f"format {content.get('format')!r:.40} for {content.get('chip')!r:.40}"
        raise Refusal(Fault("ND1901", where, was, f"{FORMAT!r} for {chip.name!r}"))
    try:
        layers = tuple(layer_of_json(entry) for entry in content["layers"])
        about = {n: v for n, v in content.items() if n not in {"format", "note", "layers"}}
        return from_layers(layers, chip, about, where)
    except Refusal:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        was = f"entry missing or of the wrong kind: {error!s:.120}"
        raise Refusal(Fault("ND1901", where, was, "the layers of a file, as neurodeploy writes them")) from None


def from_layers(layers: tuple[Layer, ...], chip: Chip, about: dict[str, Any], where: str) -> Network:
    """Network of layers; ``about`` may name the groups and the time step."""
    table = netx_table(chip)
    layers = _begun(layers)
    if layers[0].type != "input" or layers[0].neuron:
        neurons = " with neurons, which the host drives through their bias" if layers[0].type == "input" else ""
        must = "an input layer without neurons: events come from outside"
        raise Refusal(Fault("ND1901", f"{where}, layer 0", f"a layer of type {layers[0].type!r}{neurons}", must))
    groups = [_input(chip, table, str(about.get("group0", table.input)), layers[0].shape)]
    projections, faults, shape = list[Projection](), list[Fault](), groups[0].shape
    for i, layer in enumerate(layers[1:], 1):
        place = f"{where}, layer {i} ({layer.type})"
        if layer.type == "input":
            faults.append(Fault("ND1901", place, "a second input layer", "one, the first"))
            continue
        if layer.type == "flatten":
            shape = ()
            continue
        try:
            target = _group(chip, table, len(groups), place, layer, about)
            if layer.type == "conv":
                projections.append(_kernel(chip, table, place, layer, groups[-1], target))
            else:
                source = groups[-1] if not shape else _flat(groups[-1], layer, place)
                projections += _matrices(chip, table, place, layer, source, target)
        except Refusal as refusal:
            faults += refusal.faults
            break  # the shapes of what follows are unknown
        groups.append(target)
        shape = target.shape
    raise_if(faults)
    return Network(chip, tuple(groups), tuple(projections), about.get("dt_s"))


def _begun(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The layers behind an input layer; the loader does without one where a matrix says how many inputs there are."""
    weight = layers[0].arrays.get("weight")
    if layers[0].type not in {"dense", "dense_rec"} or weight is None or weight.ndim != 2:
        return layers
    return Layer("input", (weight.shape[1],)), *layers


def _input(chip: Chip, table: NetxTable, name: str, shape: tuple[int, ...]) -> Group:
    return group(chip, name, table.input, shape if len(shape) > 1 else math.prod(shape))


def _flat(source: Group, layer: Layer, place: str) -> Group:
    if layer.arrays["weight"].shape[1] != source.size:
        was = f"{layer.arrays['weight'].shape[1]} columns for a map {source.shape}"
        raise Refusal(Fault("ND1901", place, was, f"a flatten layer before it and {source.size} columns"))
    return source


def _group(chip: Chip, table: NetxTable, at: int, place: str, layer: Layer, about: Mapping[str, Any]) -> Group:
    kinds = {n.type: kind for kind, n in table.neuron.items()}
    given = str(layer.neuron.get("type", ""))
    if given == "CUBA" and given not in kinds:
        given = "LOIHI"  # the loader takes both for the same neuron
    if given not in kinds:
        was = f"neurons of type {given!r}" if given else "no neurons: the loader makes a pure accumulator of it"
        raise Refusal(Fault("ND1901", place, was, f"one of {', '.join(kinds)}"))
    neurons = table.neuron[kinds[given]]
    missing = [d for d in neurons.registers if d not in layer.neuron]
    if missing:
        raise Refusal(Fault("ND1901", place, f"no neuron/{', neuron/'.join(missing)}", "every register of the neuron"))
    for dataset, value in _UNREAD.items():
        if layer.neuron.get(dataset, value) != value:
            was = f"neuron/{dataset} = {layer.neuron[dataset]}"
            raise Refusal(Fault("ND1901", place, was, f"{value}: the loader has no other and would say nothing"))
    found: dict[str, Any] = dict(neurons.fixed)
    found |= {p: int(layer.neuron[d]) - plus for d, (p, plus) in neurons.registers.items()}
    found |= registers(neurons, about, at - 1, place)
    shape = layer.shape if layer.type == "conv" else (math.prod(layer.shape),)
    if "bias" in layer.arrays:
        bias = None if neurons.bias is None else _bias(layer.arrays["bias"], shape)
        if neurons.bias is None or bias is None:
            wide = f" or {shape[::-1]}, columns first" if len(shape) > 1 else ""
            was, must = f"a bias of shape {layer.arrays['bias'].shape}", f"({shape[0]},){wide}"
            raise Refusal(Fault("ND1901", place, was, must))
        found[neurons.bias] = bias
    name = str(about.get(f"group{at}", f"layer{at}"))
    return group(chip, name, kinds[given], shape if len(shape) > 1 else shape[0], **found)


#: Datasets of neurons that the loader leaves unread, or takes for something else, with what they must be.
_UNREAD = {"refDelay": 1, "gradedSpike": 0, "messageBits": 0}


def _bias(bias: Ints, shape: tuple[int, ...]) -> Ints | None:
    """Bias of every neuron; None for a shape that the loader does not take."""
    if bias.shape == shape[::-1]:
        return bias.transpose().reshape(-1)
    return np.repeat(bias, math.prod(shape[1:])) if bias.shape == shape[:1] else None


def _kind(chip: Chip, many: dict[str, Weights], place: str, source: Group, target: Group) -> tuple[str, Weights]:
    for name, weights in many.items():
        kind = chip.connections[name]
        if source.kind in kind.sources and kind.target == target.kind:
            return name, weights
    was = f"weights from {source.kind!r} to {target.kind!r}"
    raise Refusal(Fault("ND1901", place, was, f"a connection of the chip: {', '.join(many)}"))


def _matrices(chip: Chip, table: NetxTable, place: str, layer: Layer, source: Group, target: Group) -> list[Projection]:
    shapes = {"weight": (target.size, source.size)}
    if layer.type == "dense_rec":
        shapes["weight_rec"] = (target.size, target.size)
    for name, shape in shapes.items():
        if name not in layer.arrays or layer.arrays[name].shape != shape:
            was = f"{name} of shape {layer.arrays[name].shape}" if name in layer.arrays else f"no {name}"
            raise Refusal(Fault("ND1901", place, was, f"shape {shape}"))
    if "weight_rec" in shapes and np.any(layer.arrays.get("delay", 0)):
        must = "no delays: the loader takes them for both matrices of a recurrent layer"
        raise Refusal(Fault("ND1901", place, "a delay", must))
    matrices = [layer.arrays[name] for name in shapes]
    raise_if(list(weight_faults(place, *matrices)))
    loaded, result = load_weights(*matrices), list[Projection]()
    for i, (matrix, end) in enumerate(zip(matrices, (source, target), strict=False)):
        name, weights = _kind(chip, dict(table.dense), place, end, target)
        fields = {weights.weight: loaded.weights[i].T}
        if i == 0 and "delay" in layer.arrays:
            fields[weights.delay] = _delay(place, table, layer.arrays["delay"], matrix.shape).T
        chosen = {"exponent": loaded.exponent, "bits": loaded.bits, "sign_mode": loaded.sign_mode[i]}
        registers = dict(weights.fixed) | {p: chosen[role] for role, p in weights.chosen().items()}
        built = projection(chip, name, end, target, registers, **fields)
        kept = stored_fields(chip.connections[name], built.fields, built.parameters)[weights.weight]
        lost = np.flatnonzero(kept != built.fields[weights.weight])
        if lost.size:
            was = (
                f"weight {int(built.fields[weights.weight][lost[0]])} that the chip would store as {int(kept[lost[0]])}"
            )
            raise Refusal(Fault("ND1901", place, was, "weights that survive the loader", "write the file anew"))
        result.append(built)
    return result


def _delay(place: str, table: NetxTable, delay: Ints, shape: tuple[int, int]) -> Ints:
    if delay.min(initial=0) < 0 or delay.max(initial=0) > table.delay:
        was, must = f"delays from {delay.min()} to {delay.max()}", f"0..{table.delay}: the loader cuts them there"
        raise Refusal(Fault("ND1901", place, was, must))
    if delay.ndim > 1 or (delay.size not in {1, *shape}) or (delay.size > 1 and shape[0] == shape[1]):
        was, must = f"a delay of shape {delay.shape} for a matrix {shape}", "one number, or one for each row or column"
        raise Refusal(Fault("ND1901", place, was, must))
    column = delay.reshape(-1, 1) if delay.size == shape[0] else delay.reshape(1, -1)
    return np.broadcast_to(column, shape).copy()


def _kernel(chip: Chip, table: NetxTable, place: str, layer: Layer, source: Group, target: Group) -> Projection:
    name, weights = _kind(chip, dict(table.conv), place, source, target)
    kernel = layer.arrays.get("weight")
    if kernel is not None and kernel.ndim == 5 and kernel.shape[4] == 1:
        kernel = kernel[..., 0]
    if kernel is None or kernel.ndim != 4 or len(source.shape) != 3:
        was = "no kernel" if kernel is None else f"a kernel of shape {kernel.shape} on a layer of shape {source.shape}"
        raise Refusal(Fault("ND1901", place, was, "(features, channels, rows, columns) on (channels, rows, columns)"))
    pairs = {n: _pair(place, n, layer.arrays.get(n, np.array(1 if n != "padding" else 0))) for n in _PAIRS}
    if pairs["dilation"] != (1, 1):
        raise Refusal(Fault("ND1901", place, f"dilation {pairs['dilation']}", "(1, 1): the chip file has no other"))
    if "delay" in layer.arrays:
        raise Refusal(Fault("ND1901", place, "a delay", "none: the loader ignores it in convolutions"))
    groups = layer.arrays.get("groups", np.array(1)).reshape(-1)
    geometry = Convolution(
        (source.shape[0], source.shape[1], source.shape[2]),
        (kernel.shape[0], kernel.shape[1], kernel.shape[2], kernel.shape[3]),
        pairs["stride"],
        pairs["padding"],
        groups=int(groups[0]) if groups.size == 1 else 0,
    )
    raise_if(list(geometry.faults(place)))
    if geometry.target != target.shape:
        raise Refusal(Fault("ND1901", place, f"shape {target.shape}", f"{geometry.target}, which the kernel gives"))
    raise_if(list(kernel_faults(place, chip.connections[name].entry.grid, kernel)))
    return convolution(chip, name, source, target, geometry, dict(weights.fixed), **{weights.weight: kernel})


_PAIRS = ("stride", "padding", "dilation")


def _pair(place: str, name: str, values: Ints) -> tuple[int, int]:
    flat = values.reshape(-1).tolist()
    if len(flat) not in {1, 2}:
        raise Refusal(Fault("ND1901", place, f"{name} of {len(flat)} numbers", "one, or (rows, columns)"))
    return flat[0], flat[-1]

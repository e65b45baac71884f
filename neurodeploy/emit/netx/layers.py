"""Placed network -> the layers of a NetX file: a chain of matrices and kernels with their neurons."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.archive import exactly, integers
from neurodeploy.chips import ConnectionKind
from neurodeploy.emit.netx.loader import kernel_faults, load_weights, weight_faults
from neurodeploy.emit.netx.reset import reset_faults
from neurodeploy.emit.netx.table import NetxTable, Neurons, Weights, netx_table
from neurodeploy.errors import Fault, raise_if
from neurodeploy.network import Group, Network, Projection
from neurodeploy.simulator.machine import stored_fields

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Layer:
    """One entry ``/layer/<i>`` of the file.

    type : "input", "dense", "dense_rec", "conv" or "flatten"
    shape : (N,), or (channels, height, width)
    arrays : dataset -> integers
    neuron : dataset under ``neuron`` -> integer or text
    """

    type: str
    shape: tuple[int, ...]
    arrays: Mapping[str, Ints] = field(default_factory=dict)
    neuron: Mapping[str, int | str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        arrays = {name: values.tolist() for name, values in self.arrays.items()}
        return {"type": self.type, "shape": list(self.shape), **arrays, "neuron": dict(self.neuron)}


def layer_of_json(raw: Mapping[str, Any]) -> Layer:
    """Layer of ``Layer.to_json``; raises KeyError, TypeError, ValueError or OverflowError for anything else."""
    beside = {"type", "shape", "neuron"}
    arrays = {name: integers(np.asarray(values)) for name, values in raw.items() if name not in beside}
    neuron = {exactly(str, n): v if isinstance(v, str) else exactly(int, v) for n, v in raw["neuron"].items()}
    return Layer(exactly(str, raw["type"]), tuple(exactly(int, n) for n in raw["shape"]), arrays, neuron)


def to_layers(network: Network) -> tuple[Layer, ...]:
    """Layers in the order of the signal.

    Raises Refusal ND1901 with everything that the file cannot express or that its loader would change in silence.
    """
    table = netx_table(network.chip)
    chain, faults = _chain(network, table)
    raise_if(faults)
    faults += reset_faults(network.chip.name, table, [g for g, _, _ in chain[1:]])
    layers = [Layer("input", chain[0][0].shape or (chain[0][0].size,))]
    for group, into, back in chain[1:]:
        assert into is not None  # noqa: S101 - only the first group of a chain has nothing before it
        before = layers[-1].shape
        if into.geometry is None and len(before) > 1:
            layers.append(Layer("flatten", (int(np.prod(before)),)))
        neurons, found = _neurons(network, table.neuron[group.kind], group)
        faults += found
        layer, found = _weights(network, table, group, into, back)
        faults += found
        arrays = dict(layer.arrays) | {n: v for n, v in neurons.items() if isinstance(v, np.ndarray)}
        plain = {n: v for n, v in neurons.items() if not isinstance(v, np.ndarray)}
        layers.append(Layer(layer.type, layer.shape, arrays, plain))
    raise_if(faults)
    return tuple(layers)


def chain_of(network: Network) -> tuple[Group, ...]:
    """Groups in the order of the signal; as far as there is one."""
    return tuple(g for g, _, _ in _chain(network, netx_table(network.chip))[0])


Link = tuple[Group, Projection | None, Projection | None]


def _chain(network: Network, table: NetxTable) -> tuple[list[Link], list[Fault]]:
    """Groups from the input on, with what arrives from the one before and from themselves."""
    where, chip = f"{network.chip.name}, NetX", network.chip
    faults = [
        Fault("ND1901", f"{where}, layer {g.name!r}", f"neurons of kind {g.kind!r}", _known(table), _OTHER)
        for g in network.groups
        if g.kind not in table.neuron and g.kind != table.input
    ]
    faults += [
        Fault("ND1901", f"{where}, {p.source!r} -> {p.target!r}", f"connection {p.kind!r}", _known(table), _OTHER)
        for p in network.projections
        if p.kind not in table.dense and p.kind not in table.conv
    ]
    inputs = [g for g in network.groups if g.kind == table.input]
    if len(inputs) != 1:
        faults.append(Fault("ND1901", where, f"{len(inputs)} input layers", "one: the file is a chain"))
        return [], faults
    chain: list[Link] = [(inputs[0], None, None)]
    done = {inputs[0].name}
    while True:
        last = chain[-1][0]
        after = [p for p in network.projections if p.source == last.name and p.target != last.name]
        if not after:
            break
        targets = sorted({p.target for p in after})
        into = [p for p in network.projections if p.target == targets[0] and p.source != targets[0]]
        if len(targets) > 1 or len(into) > 1 or targets[0] in done:
            was = f"{last.name!r} leads to {', '.join(map(repr, targets))} by {len(after)} connections"
            faults.append(Fault("ND1901", where, was, "a chain: one connection to one later layer", _OTHER))
            break
        own = [p for p in network.projections if p.source == p.target == targets[0]]
        if len(own) > 1:
            faults.append(Fault("ND1901", where, f"{len(own)} recurrent connections of {targets[0]!r}", "at most one"))
        chain.append((network.group(targets[0]), into[0], own[0] if own else None))
        done.add(targets[0])
    left = [g.name for g in network.groups if g.name not in done]
    if left and not faults:
        was = f"no connection leads to {', '.join(map(repr, left))}"
        faults.append(Fault("ND1901", f"{chip.name}, NetX", was, "a chain that holds every layer"))
    return chain, faults


_OTHER = "the file cannot hold it: simulate and verify here, or choose another format"


def _known(table: NetxTable) -> str:
    return f"{', '.join(table.neuron)} neurons, joined by {', '.join([*table.dense, *table.conv])}"


def _neurons(network: Network, table: Neurons, group: Group) -> tuple[dict[str, int | str | Ints], list[Fault]]:
    where, faults = f"{network.chip.name}, layer {group.name!r}, NetX", list[Fault]()
    result: dict[str, int | str | Ints] = {"type": table.type}
    for dataset, (name, plus) in table.registers.items():
        values = np.unique(group.parameters[name])
        if len(values) != 1:
            was = f"{name} from {values[0]} to {values[-1]}"
            faults.append(Fault("ND1901", where, was, "one value for a layer: the file has one", "split the layer"))
        result[dataset] = int(values[0]) + plus
    for name, value in table.fixed.items():
        given = group.parameters[name]
        counts = given != value
        if name in table.idle:
            counts &= group.parameters[table.idle[name]] != 0
        if counts.any():
            was = f"{name} = {int(given[counts][0])}" + (
                f" and {int(counts.sum()) - 1} more" if counts.sum() > 1 else ""
            )
            must = f"{value}: the loader sets it, the file has no place for another"
            faults.append(Fault("ND1901", where, was, must, f"quantize with {name} = {value}", {"parameter": name}))
    if table.bias is not None and np.any(group.parameters[table.bias]):
        result["bias"] = _bias(group.parameters[table.bias], group.shape)
    return result, faults


def _bias(bias: Ints, shape: tuple[int, ...]) -> Ints:
    """One number for each feature of a map where that is all it needs, else (columns, rows, features) as in lava."""
    if len(shape) < 3:
        return bias
    each = bias.reshape(shape)
    same = bool(np.all(each == each[:, :1, :1]))
    return each[:, 0, 0].copy() if same else np.ascontiguousarray(each.transpose(2, 1, 0))


def _weights(
    network: Network, table: NetxTable, group: Group, into: Projection, back: Projection | None
) -> tuple[Layer, list[Fault]]:
    where = f"{network.chip.name}, {into.source!r} -> {into.target!r}, NetX"
    shape = group.shape or (group.size,)
    if into.geometry is not None:
        return _convolution(where, network.chip.connections[into.kind], table.conv[into.kind], into, shape, back)
    weights, faults = table.dense[into.kind], list[Fault]()
    if len(shape) > 1:
        faults.append(Fault("ND1901", where, f"a matrix into a map {shape}", "a layer without rows and columns"))
    sizes = {"weight": (into, network.group(into.source).size)} | ({"weight_rec": (back, group.size)} if back else {})
    arrays: dict[str, Ints] = {}
    for dataset, (p, size) in sizes.items():
        kind = network.chip.connections[p.kind]
        faults += _fixed_faults(where, table.dense[p.kind], p)
        found, matrix = _matrix(where, kind, table.dense[p.kind], p, (group.size, size))
        faults += found
        arrays[dataset] = matrix
    problems = list(weight_faults(where, *arrays.values()))
    faults += problems
    if not faults:
        loaded = load_weights(*arrays.values())
        for i, (p, _) in enumerate(sizes.values()):
            chosen = {"exponent": loaded.exponent, "bits": loaded.bits, "sign_mode": loaded.sign_mode[i]}
            faults += _changed(where, table.dense[p.kind], p.parameters, chosen)
    if weights.delay:
        found, delays = _delays(where, table, weights, into, (group.size, sizes["weight"][1]))
        faults += found
        arrays |= delays
        if back is not None and (np.any(into.fields[weights.delay]) or np.any(back.fields[weights.delay])):
            must = "0: the loader takes the delays of a recurrent layer for both of its matrices"
            faults.append(Fault("ND1901", where, "delays in a recurrent layer", must, _OTHER))
    return Layer("dense_rec" if back else "dense", shape, arrays), faults


def _matrix(
    where: str, kind: ConnectionKind, weights: Weights, p: Projection, shape: tuple[int, int]
) -> tuple[list[Fault], Ints]:
    """(out, in) weights as they count, exponent included."""
    counting = stored_fields(kind, p.fields, p.parameters)[weights.weight]
    exponent = p.parameters[weights.exponent] if weights.exponent else 0
    whole = counting << exponent if exponent >= 0 else counting >> -exponent
    faults = list[Fault]()
    lost = np.flatnonzero(whole << -exponent != counting) if exponent < 0 else np.zeros(0, np.int64)
    if lost.size:
        was = f"weight {int(counting[lost[0]])} times 2**{exponent}" + (f" and {lost.size - 1} more" * (lost.size > 1))
        faults.append(Fault("ND1901", where, was, "whole numbers: simulators disagree about others", "quantize anew"))
    off = np.flatnonzero(counting != p.fields[weights.weight])
    if off.size:
        was = f"weight {int(p.fields[weights.weight][off[0]])}, stored as {int(counting[off[0]])}"
        faults.append(Fault("ND1901", where, was, "weights on the grid of their bits", "quantize anew"))
    matrix = np.zeros(shape, np.int64)
    matrix[p.targets, p.sources] = whole
    return faults, matrix


def _changed(where: str, weights: Weights, given: Mapping[str, int], chosen: Mapping[str, int]) -> Iterator[Fault]:
    """Where the loader would choose another exponent, width or sign mode than the network has."""
    for role, name in weights.chosen().items():
        if given[name] != chosen[role]:
            must = f"{chosen[role]}, as the loader chooses for these weights"
            yield Fault("ND1901", where, f"{name} = {given[name]}", must, "quantize anew", {"parameter": name})


def _delays(
    where: str, table: NetxTable, weights: Weights, p: Projection, shape: tuple[int, int]
) -> tuple[list[Fault], dict[str, Ints]]:
    delays = p.fields[weights.delay]
    if not np.any(delays):
        return [], {}
    if delays.max() > table.delay:
        was, must = f"a delay of {int(delays.max())} steps", f"at most {table.delay}: the loader cuts it there"
        return [Fault("ND1901", where, was, must, "train with shorter delays")], {}
    if len(np.unique(delays)) == 1:
        return [], {"delay": delays[:1].copy().reshape(())}
    for axis, ends, size in (("target", p.targets, shape[0]), ("source", p.sources, shape[1])):
        least, most = np.full(size, table.delay + 1), np.full(size, -1)
        np.minimum.at(least, ends, delays)
        np.maximum.at(most, ends, delays)
        if np.all((least == most) | (most < 0)):
            if shape[0] == shape[1]:
                was, must = f"a delay for each {axis} of a square matrix", "one delay: the loader cannot tell the axes"
                return [Fault("ND1901", where, was, must, _OTHER)], {}
            return [], {"delay": np.maximum(most, 0)}
    must = "one for a layer, for each source or for each target"
    return [Fault("ND1901", where, "a delay of its own for each synapse", must, _OTHER)], {}


def _fixed_faults(where: str, weights: Weights, p: Projection) -> Iterator[Fault]:
    for name, value in weights.fixed.items():
        if p.parameters[name] != value:
            must = f"{value}: the loader sets it, the file has no place for another"
            yield Fault("ND1901", where, f"{name} = {p.parameters[name]}", must)


def _convolution(
    where: str,
    kind: ConnectionKind,
    weights: Weights,
    p: Projection,
    shape: tuple[int, ...],
    back: Projection | None,
) -> tuple[Layer, list[Fault]]:
    geometry = p.geometry
    assert geometry is not None  # noqa: S101 - the caller has looked
    faults = [*_fixed_faults(where, weights, p), *kernel_faults(where, kind.entry.grid, p.fields[weights.weight])]
    if back is not None:
        faults.append(Fault("ND1901", where, "recurrent synapses of a convolution", "none: the file has no place"))
    if geometry.pooling != (1, 1) or geometry.shift:
        must = "no pooling and no shift of features: the loader has no pooling layers"
        was = f"pooling {geometry.pooling}, shift {geometry.shift}"
        faults.append(Fault("ND1901", where, was, must, "fold the pooling into the kernel"))
    if weights.delay and np.any(p.fields[weights.delay]):
        faults.append(Fault("ND1901", where, "delays in a convolution", "0: the loader ignores them", _OTHER))
    arrays = {
        "weight": p.fields[weights.weight].reshape(geometry.kernel),
        "stride": np.array(geometry.stride),
        "padding": np.array(geometry.padding),
        "dilation": np.array((1, 1)),
        "groups": np.array(geometry.groups),
    }
    return Layer("conv", shape, arrays), faults

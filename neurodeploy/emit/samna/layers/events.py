"""Events as samna knows them, and as a network does: spikes of (layer, feature, y, x, time), rasters, addresses."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from neurodeploy.chips import Chip
from neurodeploy.emit.samna.layers.blocks import blocks_of
from neurodeploy.emit.samna.layers.setup import Readout
from neurodeploy.emit.samna.layers.table import layers_table, number
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Network
from neurodeploy.simulator import Stimulus

Ints = npt.NDArray[np.int64]
#: one spike: microseconds, and the core, feature and place that it comes from or goes to
SPIKE = np.dtype([("t_us", np.int64), ("layer", np.int64), ("feature", np.int64), ("y", np.int64), ("x", np.int64)])
Spikes = npt.NDArray[np.void]
#: one word of the readout: whether it is valid, the class of the largest average from 1 on, and what the mode puts out
READING = np.dtype([("valid", np.bool_), ("class", np.int64), ("data", np.int64)])
Readings = npt.NDArray[np.void]
#: Our column -> samna's attribute.
ATTRIBUTES: Mapping[str, str] = {"layer": "layer", "feature": "feature", "y": "y", "x": "x", "t_us": "timestamp"}


def spikes_of_stimulus(network: Network, stimulus: Stimulus, *, dt_us: int | None = None, sample: int = 0) -> Spikes:
    """What the host sends for one sample of a stimulus, in its order: one spike for each core that an event reaches.

    dt_us : microseconds of a step; needed where the stimulus has no times of its own, which are kept as they are
    Pooling and shift between input and core are done here: the chip pools behind a core, never before one.
    Raises Refusal: ND1301 without times, ND1901 for a network that stands on no cores.
    """
    table, blocks = layers_table(network.chip), _blocks(network)
    if stimulus.t_us is None and dt_us is None:
        raise Refusal(Fault("ND1301", "stimulus", "no times", "t_us of every event, or dt_us of a step"))
    mine = np.flatnonzero(stimulus.sample == sample)
    t_us = stimulus.t_us[mine] if stimulus.t_us is not None else stimulus.step[mine] * int(dt_us or 0)
    which = np.zeros(len(mine), np.int64) if stimulus.group is None else stimulus.group[mine]
    neuron, parts, order = stimulus.neuron[mine], list[Spikes](), list[Ints]()
    for index, g in enumerate(network.inputs()):
        at = np.flatnonzero(which == index)
        for turn, p in enumerate(network.projections):
            if p.source != g.name or p.geometry is None or g.kind != table.input:
                continue
            channel, y, x = np.unravel_index(neuron[at], g.shape)
            pool_y, pool_x = p.geometry.pooling
            for block in blocks[p.target]:
                row = (t_us[at], block.core, channel + p.geometry.shift, y // pool_y, x // pool_x)
                parts.append(_spikes(*row))
                order.append(at * len(network.projections) + turn)
    if not parts:
        return np.zeros(0, SPIKE)
    return np.concatenate(parts)[np.argsort(np.concatenate(order), kind="stable")]


def spikes_of_raster(
    raster: npt.ArrayLike, layer: int, *, dt_s: float, delay_s: float = 0.0, truncate: bool = False
) -> Spikes:
    """Spikes of a raster (time, feature, row, column) for one core, in the vendor's order.

    A count of n is n spikes. Bin by bin; within a bin the highest count comes first: all its places in the order of
    feature, row, column, n times over. Times are int(bin * 1e6 * dt_s + delay_s * 1e6) microseconds.
    truncate : one spike at most for each bin and place
    Raises Refusal ND1502.
    Source: sinabs 3.1.3, raster_to_events.
    """
    counts = np.asarray(raster)
    if counts.ndim != 4 or counts.dtype.kind not in "biu" or (counts.size and counts.min() < 0):
        was = f"shape {counts.shape}, type {counts.dtype}"
        raise Refusal(Fault("ND1502", "raster", was, "(time, feature, row, column), whole numbers from 0"))
    if not (dt_s > 0 and delay_s >= 0):
        was = f"dt_s = {dt_s}, delay_s = {delay_s}"
        raise Refusal(Fault("ND1502", "raster", was, "a step above 0 and a delay from 0 on, in seconds"))
    if truncate:
        counts = np.minimum(counts.astype(np.int64), 1)
    values = range(int(counts.max(initial=0)), 0, -1)
    places = [np.tile(np.argwhere(counts == value), (value, 1)) for value in values] or [np.zeros((0, 4), np.int64)]
    rows = np.concatenate(places)
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    t_us = (rows[:, 0] * 1e6 * dt_s + delay_s * 1e6).astype(np.int64)
    return _spikes(t_us, layer, *rows[:, 1:].T)


def events_of_groups(
    network: Network, spikes: Spikes, *, readout: Readout | None = None
) -> tuple[dict[str, npt.NDArray[np.void]], Spikes]:
    """Spikes that the chip sent, layer by layer as (t_us, neuron) in their order; and those of no neuron.

    readout : as it was configured; its layer stands on the core with silent features in between
    """
    table, result, known = layers_table(network.chip), {}, np.zeros(len(spikes), bool)
    for name, blocks in _blocks(network).items():
        _, rows, columns = network.group(name).shape
        every = table.readout.spread if readout is not None and readout.layer == name else 1
        neuron, mine = np.zeros(len(spikes), np.int64), np.zeros(len(spikes), bool)
        for block in blocks:
            feature, left = np.divmod(spikes["feature"], every)
            here = (spikes["layer"] == block.core) & (left == 0) & (feature >= 0) & (feature < block.features)
            here &= (spikes["y"] >= 0) & (spikes["y"] < rows) & (spikes["x"] >= 0) & (spikes["x"] < columns)
            place = ((feature + block.first) * rows + spikes["y"]) * columns + spikes["x"]
            neuron, mine = np.where(here, place, neuron), mine | here
        found = np.zeros(int(mine.sum()), np.dtype([("t_us", np.int64), ("neuron", np.int64)]))
        found["t_us"], found["neuron"] = spikes["t_us"][mine], neuron[mine]
        result[name], known = found, known | mine
    return result, spikes[~known]


def counts_of_groups(
    network: Network, spikes: Spikes, *, dt_us: int, steps: int, readout: Readout | None = None
) -> tuple[dict[str, Ints], Spikes]:
    """Counts (time, 1, neuron) of each layer in steps of dt_us from 0 on; and spikes of no neuron, or of no step."""
    inside = (spikes["t_us"] >= 0) & (spikes["t_us"] < steps * dt_us)
    events, strange = events_of_groups(network, spikes[inside], readout=readout)
    counts = {}
    for name, rows in events.items():
        counts[name] = np.zeros((steps, 1, network.group(name).size), np.int64)
        np.add.at(counts[name], (rows["t_us"] // dt_us, np.zeros(len(rows), np.int64), rows["neuron"]), 1)
    return counts, np.concatenate([strange, spikes[~inside]])


def spikes_of_groups(network: Network, events: Mapping[str, npt.NDArray[np.void]]) -> Spikes:
    """What the chip would send for (t_us, neuron) of some layers: the other way round, layer after layer.

    Raises Refusal: ND1901 for a layer that stands on no core.
    """
    blocks, parts = _blocks(network), [np.zeros(0, SPIKE)]
    for name, rows in events.items():
        if name not in blocks:
            raise Refusal(Fault("ND1901", f"events of {name!r}", "no such layer", f"one of {', '.join(blocks)}"))
        feature, y, x = np.unravel_index(rows["neuron"], network.group(name).shape)
        core = np.zeros(len(rows), np.int64)
        own = np.zeros(len(rows), np.int64)
        for block in blocks[name]:
            here = (feature >= block.first) & (feature < block.first + block.features)
            core, own = np.where(here, block.core, core), np.where(here, feature - block.first, own)
        parts.append(_spikes(rows["t_us"], core, own, y, x))
    return np.concatenate(parts)


def to_samna(spikes: Spikes, spike_class: Any) -> list[Any]:
    """Event objects of samna, in the order of the table."""
    columns = {ours: spikes[ours].tolist() for ours in ATTRIBUTES}
    return [
        spike_class(**{theirs: columns[ours][i] for ours, theirs in ATTRIBUTES.items()}) for i in range(len(spikes))
    ]


def from_samna(objects: Iterable[Any]) -> Spikes:
    """Table of event objects, in their order."""
    held = list(objects)
    table = np.zeros(len(held), SPIKE)
    for ours, theirs in ATTRIBUTES.items():
        table[ours] = [int(getattr(o, theirs)) for o in held]
    return table


def readings_of(chip: Chip, words: Iterable[int]) -> Readings:
    """Words of the chip's readout taken apart, in their order. Source: datasheet 3.2.5."""
    names = layers_table(chip).readout
    held = np.array(list(words), np.int64)
    table = np.zeros(len(held), READING)
    for column, path in zip(READING.names or (), (names.valid, names.index, names.data), strict=True):
        entry = number(chip, path)
        low, high = entry.holds or (int(str(entry.value)), int(str(entry.value)))
        table[column] = held >> low & (1 << high - low + 1) - 1
    return table


def neuron_address(network: Network, layer: str, feature: int, y: int, x: int) -> tuple[int, int]:
    """Core, and logical address, of a neuron, as requests for its state name it.

    Raises Refusal: ND1901 for a map that is not square (the vendor's formula mixes rows and columns up there, and was
    tested on squares only), for an address with too many bits, and for a place outside the map.
    Source: sinabs 3.1.3, io.py.
    """
    where = f"{network.chip.name}, probe of layer {layer!r}"
    blocks = _blocks(network).get(layer, ())
    shape, faults = network.group(layer).shape, list[Fault]()
    if not blocks:
        raise Refusal(Fault("ND1901", where, "no layer on a core", f"one of {', '.join(_blocks(network))}"))
    if shape[1] != shape[2]:
        must = "a square map: elsewhere the address is not known"
        faults.append(Fault("ND1901", where, f"a map of {shape[1]} x {shape[2]}", must))
    if not all(0 <= i < size for i, size in zip((feature, y, x), shape, strict=True)):
        faults.append(Fault("ND1901", where, f"place {(feature, y, x)}", f"inside {shape}"))
    raise_if(faults)
    block = next(b for b in blocks if b.first <= feature < b.first + b.features)
    features, side = (_bits(size) for size in (block.features, shape[1]))
    most = int(str(number(network.chip, layers_table(network.chip).board.address_bits).value))
    if features + 2 * side > most:
        raise Refusal(Fault("ND1901", where, f"an address of {features + 2 * side} bits", f"at most {most}"))
    return block.core, y << (features + side) | x << features | feature - block.first


def _bits(size: int) -> int:
    return (size - 1).bit_length()


def _blocks(network: Network) -> dict[str, Any]:
    if not network.placed:
        raise Refusal(
            Fault("ND1204", "network", "no hardware ids", "a placed network", "call neurodeploy.map(network)")
        )
    blocks, faults = blocks_of(network, layers_table(network.chip))
    raise_if(faults)
    return blocks


def _spikes(*columns: npt.ArrayLike) -> Spikes:
    names = SPIKE.names or ()
    arrays = np.broadcast_arrays(*columns)
    table = np.zeros(arrays[0].shape, SPIKE)
    for name, values in zip(names, arrays, strict=True):
        table[name] = values
    return table


def by_place(spikes: Spikes) -> Iterator[tuple[tuple[int, ...], int]]:
    """(layer, feature, y, x) with the number of its spikes, in ascending order."""
    rows = np.stack([spikes[n] for n in (SPIKE.names or ())[1:]], axis=1) if len(spikes) else np.zeros((0, 4), np.int64)
    places, times = np.unique(rows, axis=0, return_counts=True)
    yield from zip(map(tuple, places.tolist()), times.tolist(), strict=True)

"""The images as plain data and as files, and their way back to the same network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from neurodeploy.archive import canonical_json, exactly, file_named, write_atomically
from neurodeploy.chips import Chip
from neurodeploy.emit.crossbar.images import Images, images_of, signed_of, unpacked, unpacked_weights
from neurodeploy.emit.crossbar.stream import lines, transfers
from neurodeploy.emit.crossbar.table import FORMAT, CrossbarTable, crossbar_table
from neurodeploy.errors import Fault, Refusal, raise_if
from neurodeploy.network import Group, Network, Projection
from neurodeploy.network.network import Ints

SUFFIX, HEXADECIMAL = ".json", 16
NOTE = (
    "Reset the core before and after the transfers of the .spi.hex file, and send them while it is idle. "
    "Wait until it is idle after every event, else spikes may come in another order: no pin says that it is idle, so "
    "export that state of the core or wait as many cycles as stand beside the events. Acknowledge every spike: until "
    "then the core stands still. No chip and no board was at hand."
)


def to_crossbar(network: Network) -> dict[str, Any]:
    """Both memories and the registers as plain data; pairs of neurons without a synapse have a weight of 0.

    Raises Refusal ND1901 with everything that the core does not hold.
    """
    table = crossbar_table(network.chip)
    return _content(network, images_of(network, table), table)


def _content(network: Network, images: Images, table: CrossbarTable) -> dict[str, Any]:
    groups = [
        {"name": g.name, "kind": g.kind, "rows": images.rows[g.name].tolist(), "shape": list(g.shape)}
        for g in network.groups
    ]
    return {
        "format": FORMAT,
        "chip": network.chip.name,
        "note": NOTE,
        "dt_s": network.dt_s,
        "last_neuron": images.last,
        "open_loop": int(images.alone),
        "source": 0,
        "leak": "after the events of each step",
        "cycles": {
            "row": table.cycles.row + table.cycles.neuron * (images.last + 1),
            "leak": table.cycles.leak + table.cycles.neuron * (images.last + 1),
            "spike": table.cycles.spike,
        },
        "groups": groups,
        "projections": [[p.kind, p.source, p.target] for p in network.projections],
        "neurons": lines(images.neurons.tolist(), table.word_bits).decode().split(),
        "synapses": lines(images.synapses.tolist(), table.word_bits).decode().split(),
    }


def write_crossbar(network: Network, path: str | Path) -> None:
    """Write ``NAME.json``, and beside it ``NAME.neurons.hex``, ``NAME.synapses.hex`` and ``NAME.spi.hex``.

    Raises Refusal ND1401 for another suffix, ND1901 with everything that the core does not hold.
    """
    target = file_named(path, SUFFIX)
    table = crossbar_table(network.chip)
    images = images_of(network, table)
    bits = table.port.address_bits + table.port.data_bits
    write_atomically(target.with_suffix(".neurons.hex"), lines(images.neurons.tolist(), table.word_bits))
    write_atomically(target.with_suffix(".synapses.hex"), lines(images.synapses.tolist(), table.word_bits))
    write_atomically(target.with_suffix(".spi.hex"), lines(list(transfers(images, table)), bits))
    write_atomically(target, canonical_json(_content(network, images, table)).encode())


def read_crossbar(path: str | Path, chip: Chip) -> Network:
    """Network of a file of ``write_crossbar``; raises Refusal ND1401 for no JSON, else as ``from_crossbar``."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        must = "memory images as neurodeploy writes them"
        raise Refusal(Fault("ND1401", str(path), f"cannot be read: {reason}", must)) from None
    return from_crossbar(content, chip)


def from_crossbar(content: Mapping[str, Any], chip: Chip) -> Network:
    """Placed network of the images.

    Raises Refusal ND1901 for what is no such content, and for weights or neurons that no group owns.
    """
    table, where = crossbar_table(chip), f"{chip.name}, crossbar"
    try:
        if content["format"] != FORMAT:
            raise Refusal(Fault("ND1901", where, f"format {content['format']!r:.40}", FORMAT))
        neurons = _words(content["neurons"], table.slots, table)
        synapses = _words(content["synapses"], table.slots**2 // table.weights_per_word, table)
        last, alone = exactly(int, content["last_neuron"]), bool(exactly(int, content["open_loop"]))
        matrix, registers = unpacked_weights(table, synapses), _registers(chip, table, neurons, last)
        groups = tuple(_group(chip, table, g, registers, 0 if alone else last + 1) for g in content["groups"])
        rows = {g["name"]: _rows(g) for g in content["groups"]}
        projections = tuple(_projection(chip, table, tuple(p), rows, matrix) for p in content["projections"])
        dt_s = content["dt_s"]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, Refusal):
            raise
        was = f"entry missing or of the wrong kind: {error}"
        raise Refusal(Fault("ND1901", where, was, "images as neurodeploy writes them")) from None
    network = Network(chip, groups, projections, dt_s)
    raise_if(list(_left(where, network, table, content, neurons, synapses)))
    return network


def _words(texts: object, count: int, table: CrossbarTable) -> Ints:
    found = [int(exactly(str, t), HEXADECIMAL) for t in exactly(list, texts)]
    if len(found) != count or min(found) < 0 or max(found) >> table.word_bits:
        raise ValueError(f"{len(found)} words where {count} of {table.word_bits} bits belong")
    return np.array(found, np.int64)


def _registers(chip: Chip, table: CrossbarTable, words: Ints, last: int) -> dict[str, Ints]:
    return unpacked(table, words, signed_of(chip, table)) | {
        table.swept: (np.arange(table.slots) <= last).astype(np.int64)
    }


def _rows(raw: Mapping[str, Any]) -> Ints:
    return np.array([exactly(int, row) for row in exactly(list, raw["rows"])], np.int64)


def _group(
    chip: Chip, table: CrossbarTable, raw: Mapping[str, Any], registers: Mapping[str, Ints], inputs_from: int
) -> Group:
    rows = _rows(raw)
    if raw["kind"] == table.unit:
        values = {n: registers[n][rows] for n in chip.neurons[table.unit].parameters}
        return Group(raw["name"], table.unit, len(rows), values, rows, tuple(raw["shape"]))
    return Group(raw["name"], table.input, len(rows), {}, rows - inputs_from, tuple(raw["shape"]))


def _projection(
    chip: Chip, table: CrossbarTable, ends: tuple[str, str, str], rows: Mapping[str, Ints], matrix: Ints
) -> Projection:
    kind, source, target = ends
    if kind not in chip.connections:
        raise ValueError(f"connection {kind!r:.40}")
    sources, targets = (a.reshape(-1) for a in np.indices((len(rows[source]), len(rows[target]))))
    weights = matrix[rows[source][sources], rows[target][targets]]
    return Projection(kind, source, target, sources, targets, {table.weight: weights}, {})


def _left(
    where: str, network: Network, table: CrossbarTable, content: Mapping[str, Any], neurons: Ints, synapses: Ints
) -> list[Fault]:
    """What stands in the memories and in no group."""
    again = images_of(network, table)
    stray = int((again.synapses != synapses).sum()) + int((again.neurons != neurons).sum())
    if stray or (again.last, int(again.alone)) != (content["last_neuron"], content["open_loop"]):
        was = f"{stray} words, or registers, that the groups and projections do not explain"
        return [Fault("ND1901", where, was, "only what belongs to a group")]
    return []

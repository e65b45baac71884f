"""What chip.toml says about samna where a core holds a layer: its names for what we know. ``[emit.samna_layers]``."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from neurodeploy.chips import Chip
from neurodeploy.chips.core_tables import LayerCoreEntry
from neurodeploy.chips.cores import GEOMETRY
from neurodeploy.chips.formats import table_of
from neurodeploy.chips.part import Part
from neurodeploy.chips.schema import NumberEntry
from neurodeploy.errors import Fault, Refusal

NAME = "samna_layers"
_COUNTED = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class LayerNames(_Table):
    """One core of the configuration; samna's name -> what of the layer stands there.

    weights : synapse field, [feature][channel] and then the map
    features, neurons, registers : parameter, one for each feature, one for each neuron ([feature], then the map), one
        for the layer
    switches : parameter of 0 or 1 that samna wants as true or false
    used : on where that parameter is not 0 anywhere
    off : switches that stay off
    monitor : switch that sends the spikes of the core to the host, too
    geometry : dotted path -> geometry (as in [layer_core]); where several stand, they must be equal
    fixed : geometry that has no field -> the value that it must have
    """

    weights: Mapping[str, str]
    features: Mapping[str, str]
    neurons: Mapping[str, str]
    registers: Mapping[str, str]
    switches: Mapping[str, str]
    used: Mapping[str, str]
    off: tuple[str, ...]
    monitor: str
    geometry: Mapping[str, tuple[str, ...]]
    fixed: Mapping[str, int]


class DestinationNames(_Table):
    """Where a core sends its spikes: the list, and what stands in each of its entries."""

    list: str
    enable: str
    layer: str
    pooling: str
    shift: str


class SensorNames(_Table):
    """The pixel array before the cores; ``size`` and ``poolings`` name numbers of the chip's blocks."""

    block: str
    origin: str
    cut: str
    pooling: str
    merge: str
    channels: tuple[str, str]
    mirror: str
    diagonal: str
    pixels: str
    monitor: str
    raw_monitor: str
    size: tuple[str, str]
    poolings: str


class FilterNames(_Table):
    """The filter of sensor events, which no simulation knows: off, or what the caller gives."""

    block: str
    off: tuple[str, ...]
    given: tuple[str, ...]


class ReadoutNames(_Table):
    """The block that picks the class of the most spikes.

    destination, classes, averages, thresholds, modes : numbers of the chip's blocks
    event, value : event of a reading, and its attribute; it has no time
    valid, index, data : numbers of the chip's blocks: bits of that value
    shape_value : the one shape of inputs that is written
    spread : class n (from 1) listens to feature spread * (n - 1)
    """

    block: str
    enable: str
    monitor: str
    pin_monitor: str
    threshold: str
    select: str
    mode: str
    shape: str
    unfiltered: str
    longer: str
    off: tuple[str, ...]
    destination: str
    classes: str
    averages: str
    thresholds: str
    modes: str
    event: str
    value: str
    valid: str
    index: str
    data: str
    shape_value: int
    spread: _COUNTED


class BoardNames(_Table):
    """Boards with this chip, as samna calls them, and the nodes through which events come and go."""

    names: tuple[str, ...]
    source: str
    sink: str
    slow_clock: str
    address_bits: str


class LayersTable(Part):
    """The whole table.

    module, configuration : samna's module, and the class of the whole configuration in it
    layers : attribute with the list of cores
    input, kind, connection : neuron kind of the input, neuron kind of the layers, connection kind of their kernels
    map_order : the last two axes of weights and initial states
    """

    module: str
    configuration: str
    layers: str
    input: str
    kind: str
    connection: str
    map_order: tuple[str, str]
    layer: LayerNames
    destination: DestinationNames
    sensor: SensorNames
    filter: FilterNames
    readout: ReadoutNames
    board: BoardNames

    @property
    def map_axes(self) -> tuple[int, int]:
        """Places of samna's last two axes in (row, column); the same order leads back."""
        return (0, 1) if self.map_order == ("row", "column") else (1, 0)


def layers_table(chip: Chip) -> LayersTable:
    """Table of a chip.

    Raises Refusal: ND1901 the chip has none, ND1102 and ND1103 with every fault of the table.
    """
    return table_of(chip, NAME, LayersTable, _contradictions, "such configuration for samna")


def cores_of(chip: Chip) -> LayerCoreEntry:
    """The chip's cores; raises Refusal ND1103 where it has none that hold a layer each."""
    if chip.layer_core is None:
        raise Refusal(Fault("ND1103", f"{chip.name}, emit.{NAME}", "no [layer_core] table", "cores that hold a layer"))
    return chip.layer_core


def number(chip: Chip, path: str) -> NumberEntry:
    """A number of the chip's blocks, named "block.number"."""
    block, _, name = path.partition(".")
    return chip.file.block[block].number[name]


def _contradictions(chip: Chip, table: LayersTable) -> Iterator[Fault]:
    where = f"{chip.name}, emit.{NAME}"
    cores, layer = cores_of(chip), table.layer
    ends = {"input": (table.input, cores.inputs), "kind": (table.kind, cores.kinds)}
    for key, (name, known) in ends.items():
        if name not in known:
            yield Fault("ND1103", f"{where}.{key}", f"found {name!r}", f"one of {', '.join(known)} of [layer_core]")
    yield from _uncovered(f"{where}: neuron kinds", [table.input, table.kind], chip.neurons)
    yield from _uncovered(f"{where}: connections", [table.connection], chip.connections)
    connection = chip.connections.get(table.connection)
    if connection is None or table.kind not in chip.neurons:
        return
    yield from _uncovered(f"{where}.layer.weights", list(layer.weights.values()), connection.fields)
    named = [n for part in (layer.features, layer.neurons, layer.registers, layer.switches) for n in part.values()]
    yield from _uncovered(f"{where}.layer: registers", named, chip.neurons[table.kind].parameters)
    yield from _uncovered(f"{where}.map_order", list(table.map_order), ("row", "column"))
    geometry = {f for facts in layer.geometry.values() for f in facts} | set(layer.fixed)
    for name in sorted(geometry - GEOMETRY):
        yield Fault("ND1103", f"{where}.layer.geometry", f"found {name!r}", f"one of {', '.join(sorted(GEOMETRY))}")
    for name in sorted(_STATED - geometry):
        must = "a field, or one value under fixed: it would be dropped"
        yield Fault("ND1103", f"{where}.layer.geometry", f"{name!r} stands nowhere", must)
    paths = [*table.sensor.size, table.sensor.poolings, table.board.slow_clock, table.board.address_bits]
    numbers = ("destination", "classes", "averages", "thresholds", "modes", "valid", "index", "data")
    paths += [getattr(table.readout, n) for n in numbers]
    for path in paths:
        block, _, name = path.partition(".")
        if block not in chip.file.block or name not in chip.file.block[block].number:
            yield Fault("ND1103", where, f"no number {path!r}", "block.number, one of the chip's blocks")


#: What decides who meets whom; pooling and shift belong to the destinations, the rest follows from these.
_STATED = {f"{what}_{axis}" for what in ("kernel", "stride", "padding", "input") for axis in ("rows", "columns")} | {
    "channels",
    "features",
    "groups",
}


def _uncovered(where: str, named: list[str], known: Collection[str]) -> Iterator[Fault]:
    for name in sorted({*named, *known}):
        times = named.count(name)
        if times != 1 or name not in known:
            was = f"{name!r} stands {times} times"
            yield Fault("ND1103", where, was, f"each of {', '.join(known) or 'nothing'} once, and no other")

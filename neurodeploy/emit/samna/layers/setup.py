"""What the user decides beside the network: where events come from, what is watched, the readout block."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurodeploy.chips.schema import NumberEntry
from neurodeploy.emit.samna.layers.table import LayersTable, number
from neurodeploy.errors import Fault
from neurodeploy.network import Group, Network


@dataclass(frozen=True)
class Sensor:
    """The chip's own pixels feed the input.

    origin : (column, row) of the region's upper left pixel, counted after pooling; its size is that of the input
    mirror : (left to right, top to bottom)
    diagonal : rows and columns exchanged; for square inputs only
    pixels : let the pixels through; without, only events that the host sends as pixels
    monitor, raw_monitor : send the events after, and before, all this to the host, too
    """

    origin: tuple[int, int] = (0, 0)
    mirror: tuple[bool, bool] = (False, False)
    diagonal: bool = False
    pixels: bool = True
    monitor: bool = False
    raw_monitor: bool = False


@dataclass(frozen=True)
class Readout:
    """The chip itself picks the class with the most spikes, once in every period of the slow clock.

    layer : the layer whose features are the classes; its map is a single place
    threshold : the average of a class must exceed it
    average : periods of the slow clock
    mode, select : what the block puts out, and the class that it is about where one is selected
    monitor, pin_monitor : send values, and changes of the pins, to the host
    """

    layer: str
    threshold: int = 0
    average: int = 16
    mode: int = 3
    select: int = 0
    monitor: bool = True
    pin_monitor: bool = False


@dataclass(frozen=True)
class Setup:
    """Everything of a configuration that is not the network.

    sensor : None: the host sends spikes straight to the cores, and the pixels stay off
    readout : None: off
    monitor : layers whose spikes go to the host; None means those whose spikes leave the chip, if it may send them
    filter : fields of the event filter, copied as they are and listed under "unverified"; no simulation knows it
    """

    sensor: Sensor | None = None
    readout: Readout | None = None
    monitor: tuple[str, ...] | None = None
    filter: Mapping[str, Any] = field(default_factory=dict)

    def monitored(self, network: Network) -> tuple[str, ...]:
        """Names of the layers whose spikes go to the host, in the order of the network."""
        if self.monitor is not None:
            return tuple(g.name for g in network.groups if g.name in self.monitor)
        blocked = self.readout is not None and self.readout.monitor
        return () if blocked else tuple(g.name for g in network.outputs())


def setup_faults(network: Network, table: LayersTable, setup: Setup) -> Iterator[Fault]:
    """What the chip does not offer, or this network does not allow."""
    layers = {g.name: g for g in network.of_kind(table.kind)}
    for name in setup.monitor or ():
        if name not in layers:
            yield _fault(network, "monitor", f"layer {name!r}", f"one of {', '.join(layers)}")
    if setup.sensor is not None:
        yield from _sensor_faults(network, table, setup.sensor)
    if setup.readout is not None:
        yield from _readout_faults(network, table, setup.readout, layers)
        if setup.readout.monitor and setup.monitored(network):
            todo = "monitor the layers or the readout"
            was = f"the readout and layers {', '.join(map(repr, setup.monitored(network)))}"
            yield _fault(network, "monitor", was, "one of both: while the readout is watched, no spikes arrive", todo)
    for name, value in setup.filter.items():
        known = (*table.filter.off, *table.filter.given)
        if name not in known:
            yield _fault(network, f"filter.{name}", "unknown", f"one of {', '.join(known)}")
        elif not _plain(value):
            yield _fault(
                network, f"filter.{name}", f"{value!r}"[:60], "whole numbers, true or false, or tables of them"
            )


def sensor_pooling(network: Network, g: Group) -> list[tuple[int, int]]:
    """The different poolings (rows, columns) with which layers take an input."""
    found = (p.geometry.pooling for p in network.projections if p.source == g.name and p.geometry is not None)
    return sorted(set(found)) or [(1, 1)]


def _sensor_faults(network: Network, table: LayersTable, sensor: Sensor) -> Iterator[Fault]:
    inputs = network.of_kind(table.input)
    if len(inputs) != 1:
        yield _fault(network, "sensor", f"{len(inputs)} inputs", "one: there is one array of pixels")
        return
    (g,) = inputs
    where = f"sensor, input {g.name!r}"
    if len(g.shape) != 3 or g.shape[0] > 2:
        must = "(1 or 2, rows, columns): both polarities merged, or each for itself"
        yield _fault(network, where, f"shape {g.shape}", must)
        return
    poolings = sensor_pooling(network, g)
    shifts = {p.geometry.shift for p in network.projections if p.source == g.name and p.geometry is not None}
    if len(poolings) > 1:
        yield _fault(network, where, f"poolings {poolings}", "one for all layers that it feeds", "pool in the layers")
    if shifts - {0}:
        yield _fault(network, where, f"features shifted by {sorted(shifts)}", "0: the sensor shifts nothing")
    allowed = number(network.chip, table.sensor.poolings).one_of or ()
    for axis, (name, path) in enumerate(zip(("rows", "columns"), table.sensor.size, strict=True)):
        pooling, first = poolings[0][axis], sensor.origin[1 - axis]
        if pooling not in allowed:
            yield _fault(network, where, f"pooling of {pooling} {name}", f"one of {', '.join(map(str, allowed))}")
            continue
        most, last = int(str(number(network.chip, path).value)) // pooling, first + g.shape[1 + axis] // pooling
        if first < 0 or last > most:
            was = f"{name} {first} to {last - 1} after pooling"
            yield _fault(network, where, was, f"within 0 to {most - 1}", "move the origin, or make the input smaller")
    if sensor.diagonal and g.shape[1] != g.shape[2]:
        must = "a square one: whether rows are exchanged with columns before or after the cut is unknown"
        yield _fault(network, where, f"an exchanged map of {g.shape[1]} x {g.shape[2]}", must)


def _readout_faults(
    network: Network, table: LayersTable, readout: Readout, layers: Mapping[str, Group]
) -> Iterator[Fault]:
    chip, names = network.chip, table.readout
    g = layers.get(readout.layer)
    if g is None:
        yield _fault(network, "readout.layer", f"layer {readout.layer!r}", f"one of {', '.join(layers)}")
    elif len(g.shape) != 3 or g.shape[1:] != (1, 1) or not _within(number(chip, names.classes), g.shape[0]):
        must = f"(classes, 1, 1), {_words(number(chip, names.classes))} classes"
        yield _fault(network, f"readout, layer {g.name!r}", f"shape {g.shape}", must)
    stated = {"threshold": names.thresholds, "average": names.averages, "mode": names.modes}
    for name, path in stated.items():
        value = getattr(readout, name)
        if type(value) is not int or not _within(number(chip, path), value):
            yield _fault(network, f"readout.{name}", f"found {value!r}", _words(number(chip, path)))
    if type(readout.select) is not int or not (
        readout.select == 0 or _within(number(chip, names.classes), readout.select)
    ):
        must = f"0 for none, or a class, {_words(number(chip, names.classes))}"
        yield _fault(network, "readout.select", f"found {readout.select!r}", must)


def _within(entry: NumberEntry, value: int) -> bool:
    if entry.one_of is not None:
        return value in entry.one_of
    return entry.holds is None or entry.holds[0] <= value <= entry.holds[1]


def _words(entry: NumberEntry) -> str:
    if entry.one_of is not None:
        return f"one of {', '.join(map(str, entry.one_of))}"
    return "any number" if entry.holds is None else f"{entry.holds[0]}..{entry.holds[1]}"


def _plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(k, str) and _plain(v) for k, v in value.items())
    return type(value) in {int, bool}


def _fault(network: Network, where: str, was: str, must: str, todo: str = "") -> Fault:
    return Fault("ND1901", f"{network.chip.name}, {where}", was, must, todo)

"""A core, the sensor and the readout of a foreign configuration; what is missing or out of range is noted."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurodeploy.chips import Chip
from neurodeploy.emit.samna.checks import Checks, Ints, short
from neurodeploy.emit.samna.layers.setup import Readout, Sensor
from neurodeploy.emit.samna.layers.table import LayersTable, number
from neurodeploy.step import Interval

#: Sizes and places in a configuration; the chip's limits are the mapper's business.
WORD = Interval(0, 65535)
SIZE = Interval(1, 65535)


@dataclass(frozen=True)
class Core:
    """What a core holds; arrays are (feature, ...) with rows before columns.

    facts : geometry
    weights, registers : synapse field and parameter -> values
    leading : (layer, pooling, shift) of every destination that is on
    """

    facts: Mapping[str, int]
    weights: Mapping[str, Ints | None]
    registers: Mapping[str, Ints | None]
    monitored: bool
    leading: tuple[tuple[int, int, int], ...]


class Parser(Checks):
    """Reads the parts of one configuration, and collects every fault."""

    def __init__(self, chip: Chip, table: LayersTable) -> None:
        super().__init__()
        self.chip, self.table = chip, table
        self.kind, self.connection = chip.neurons[table.kind], chip.connections[table.connection]

    def core(self, value: object, where: str, spots: tuple[int, int], features: int, reads: object) -> Core:
        """A core that holds so many features of a layer whose map is ``spots`` (rows, columns) large."""
        table, names = self.table, self.table.layer
        paths = {p.split(".")[0] for p in names.geometry}
        arrays = [*names.weights, *names.features, *names.neurons, *names.registers, *names.switches]
        flags = [*names.used, *names.off, names.monitor]
        entries = self.entries(value, where, [*paths, *arrays, *flags, table.destination.list])
        facts = dict(names.fixed)
        for path, (fact, *_) in names.geometry.items():
            facts[fact] = self.integer(_at(entries, path), f"{where}.{path}", WORD)
        for others in names.geometry.values():
            facts |= dict.fromkeys(others, facts[others[0]])
        leading = tuple(self.leading(entries.get(table.destination.list), f"{where}.{table.destination.list}"))
        spread = any(layer == reads for layer, _, _ in leading)
        wide, every = ((features - 1) * table.readout.spread + 1, table.readout.spread) if spread else (features, 1)
        first, second = table.map_axes
        kernel = (facts["kernel_rows"], facts["kernel_columns"])
        shapes = {
            "weights": (wide, facts["channels"] // max(facts["groups"], 1), kernel[first], kernel[second]),
            "features": (wide,),
            "neurons": (wide, spots[first], spots[second]),
        }
        bounds = {p: e.interval for p, e in self.kind.parameters.items()}
        registers, weights = dict[str, Ints | None](), dict[str, Ints | None]()
        for name, field in names.weights.items():
            held = self.array(entries.get(name), f"{where}.{name}", shapes["weights"], self._synapse(field))
            weights[field] = None if held is None else self.turned(held)[::every]
        for name, parameter in names.features.items():
            held = self.array(entries.get(name), f"{where}.{name}", shapes["features"], bounds[parameter])
            registers[parameter] = None if held is None else held[::every, None, None]
        for name, parameter in names.neurons.items():
            held = self.array(entries.get(name), f"{where}.{name}", shapes["neurons"], bounds[parameter])
            registers[parameter] = None if held is None else self.turned(held)[::every]
        for name, parameter in names.registers.items():
            value_ = self.integer(entries.get(name), f"{where}.{name}", bounds[parameter])
            registers[parameter] = np.full((1, 1, 1), value_)
        for name, parameter in names.switches.items():
            registers[parameter] = np.full((1, 1, 1), int(self.flag(entries.get(name), f"{where}.{name}")))
        monitored = self.flag(entries.get(names.monitor), f"{where}.{names.monitor}")
        return Core(facts, weights, registers, monitored, leading)

    def _synapse(self, field: str) -> Interval:
        return self.connection.fields[field].interval

    def turned(self, values: Ints) -> Ints:
        """The last two axes from samna's order to (row, column)."""
        first, second = self.table.map_axes
        ahead = values.ndim - 2
        return values.transpose(*range(ahead), ahead + first, ahead + second)

    def leading(self, value: object, where: str) -> Iterator[tuple[int, int, int]]:
        """Destinations that are on."""
        if not isinstance(value, list):
            self.fault(where, f"found {short(value)}", "a list of destinations")
            return
        names = self.table.destination
        for i, entry in enumerate(value):
            place = f"{where}[{i}]"
            entries = self.entries(entry, place, (names.enable, names.layer, names.pooling, names.shift))
            if self.flag(entries.get(names.enable), f"{place}.{names.enable}"):
                yield (
                    self.integer(entries.get(names.layer), f"{place}.{names.layer}", WORD),
                    self.integer(entries.get(names.pooling), f"{place}.{names.pooling}", SIZE),
                    self.integer(entries.get(names.shift), f"{place}.{names.shift}", WORD),
                )

    def sensor(self, entries: Mapping[str, Any]) -> Sensor | None:
        """The sensor, if anything leads from it to a core."""
        names, where = self.table.sensor, self.table.sensor.block
        listed = entries.get(self.table.destination.list)
        first = listed[0] if isinstance(listed, list) and listed else None
        if not (isinstance(first, Mapping) and first.get(self.table.destination.enable) is True):
            return None
        origin = [self.integer(_at(entries, f"{names.origin}.{a}"), f"{where}.{names.origin}.{a}", WORD) for a in "xy"]
        mirror = [self.flag(_at(entries, f"{names.mirror}.{a}"), f"{where}.{names.mirror}.{a}") for a in "xy"]
        flags = [
            self.flag(entries.get(name), f"{where}.{name}")
            for name in (names.diagonal, names.pixels, names.monitor, names.raw_monitor)
        ]
        return Sensor((origin[0], origin[1]), (mirror[0], mirror[1]), *flags)

    def readout(self, entries: Mapping[str, Any], layer: str) -> Readout:
        """The readout of a layer."""
        names, where = self.table.readout, self.table.readout.block

        def flag(name: str) -> bool:
            return self.flag(entries.get(name), f"{where}.{name}")

        def word(name: str) -> int:
            return self.integer(entries.get(name), f"{where}.{name}", WORD)

        shortest, *between, longest = sorted(number(self.chip, names.averages).one_of or ())
        average = shortest if flag(names.unfiltered) else longest if flag(names.longer) else between[0]
        words = [word(name) for name in (names.threshold, names.mode, names.select)]
        return Readout(layer, words[0], average, words[1], words[2], flag(names.monitor), flag(names.pin_monitor))


def _at(entries: object, path: str) -> object:
    """What stands at the end of a dotted path; None where it ends before."""
    for part in path.split("."):
        entries = entries.get(part) if isinstance(entries, Mapping) else None
    return entries

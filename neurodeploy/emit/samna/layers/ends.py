"""The blocks before and behind the cores: pixels and readout, under samna's names."""

from collections.abc import Mapping
from typing import Any

from neurodeploy.chips import Chip
from neurodeploy.emit.samna.layers.blocks import Block
from neurodeploy.emit.samna.layers.setup import Readout, Sensor, sensor_pooling
from neurodeploy.emit.samna.layers.table import LayersTable, cores_of, number
from neurodeploy.network import Network


def sensor_entries(
    network: Network, table: LayersTable, sensor: Sensor | None, blocks: Mapping[str, tuple[Block, ...]]
) -> dict[str, Any]:
    """The pixels: every field of region and mirror is written, for boards differ in what they take as given."""
    names, destination = table.sensor, table.destination
    rows, columns = (int(str(number(network.chip, path).value)) for path in names.size)
    chosen, cores, pooling, merge = sensor or Sensor(pixels=False), list[int](), (1, 1), False
    if sensor is not None:
        (g,) = network.of_kind(table.input)
        (pooling,), merge = sensor_pooling(network, g), g.shape[0] == 1
        rows, columns = g.shape[1:]
        cores = [b.core for p in network.projections if p.source == g.name for b in blocks[p.target]]
    (left, top), (mirror_x, mirror_y) = chosen.origin, chosen.mirror
    leading = [{destination.enable: True, destination.layer: core} for core in cores]
    idle = cores_of(network.chip).inputs[table.input] - len(cores)
    leading += [{destination.enable: False, destination.layer: 0} for _ in range(idle)]
    return {
        names.origin: {"x": left, "y": top},
        names.cut: {"x": left + columns // pooling[1] - 1, "y": top + rows // pooling[0] - 1},
        names.pooling: {"x": pooling[1], "y": pooling[0]},
        names.mirror: {"x": mirror_x, "y": mirror_y},
        names.diagonal: chosen.diagonal,
        names.merge: merge,
        **dict.fromkeys(names.channels, True),
        names.pixels: chosen.pixels,
        names.monitor: chosen.monitor,
        names.raw_monitor: chosen.raw_monitor,
        destination.list: leading,
    }


def readout_entries(chip: Chip, table: LayersTable, readout: Readout | None) -> dict[str, Any]:
    """The readout; without one every switch is off, and the numbers stay as samna has them."""
    names = table.readout
    off = dict.fromkeys(names.off, False)
    if readout is None:
        return off | dict.fromkeys((names.enable, names.monitor, names.pin_monitor), False)
    shortest, *_, longest = sorted(number(chip, names.averages).one_of or ())
    return off | {
        names.enable: True,
        names.monitor: readout.monitor,
        names.pin_monitor: readout.pin_monitor,
        names.threshold: readout.threshold,
        names.select: readout.select,
        names.mode: readout.mode,
        names.shape: names.shape_value,
        names.unfiltered: readout.average == shortest,
        names.longer: readout.average == longest,
    }

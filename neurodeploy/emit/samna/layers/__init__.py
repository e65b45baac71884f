"""Configurations for samna's event-driven chips, whose cores hold a layer each: written, read, applied, driven."""

from neurodeploy.emit.samna.layers.adapter import apply
from neurodeploy.emit.samna.layers.board import Board, open_board
from neurodeploy.emit.samna.layers.collect import Collected, Comparison
from neurodeploy.emit.samna.layers.events import (
    READING,
    SPIKE,
    counts_of_groups,
    events_of_groups,
    from_samna,
    neuron_address,
    readings_of,
    spikes_of_groups,
    spikes_of_raster,
    spikes_of_stimulus,
    to_samna,
)
from neurodeploy.emit.samna.layers.read import from_configuration, read_configuration
from neurodeploy.emit.samna.layers.setup import Readout, Sensor, Setup
from neurodeploy.emit.samna.layers.table import LayersTable, layers_table
from neurodeploy.emit.samna.layers.write import to_configuration, write_configuration
from neurodeploy.emit.samna.plugged import Clock

__all__ = [
    "READING",
    "SPIKE",
    "Board",
    "Clock",
    "Collected",
    "Comparison",
    "LayersTable",
    "Readout",
    "Sensor",
    "Setup",
    "apply",
    "counts_of_groups",
    "events_of_groups",
    "from_configuration",
    "from_samna",
    "layers_table",
    "neuron_address",
    "open_board",
    "read_configuration",
    "readings_of",
    "spikes_of_groups",
    "spikes_of_raster",
    "spikes_of_stimulus",
    "to_configuration",
    "to_samna",
    "write_configuration",
]

"""Devices: chips that answer for a network, boards or anything behind two csv files; recordings of what they said."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from neurodeploy.devices.board import SamnaBoard, board_names
from neurodeploy.devices.device import About, Answer, Device, Sample, events_table
from neurodeploy.devices.exchange import Exchange
from neurodeploy.devices.recording import Note, Recording, load_recording, save_recording
from neurodeploy.devices.session import record
from neurodeploy.devices.stepped import SteppedBoard, steps_of_board
from neurodeploy.errors import Fault, Refusal
from neurodeploy.network import Network

__all__ = [
    "DRIVERS",
    "About",
    "Answer",
    "Device",
    "Exchange",
    "Note",
    "Recording",
    "SamnaBoard",
    "Sample",
    "SteppedBoard",
    "driver_of",
    "events_table",
    "load_recording",
    "open_device",
    "record",
    "save_recording",
]


def _samna(network: Network, name: str) -> Device:
    """A board by the way in which its chip is driven; a chip that is driven in neither is refused."""
    kind = SamnaBoard if steps_of_board(network.chip) is None else SteppedBoard
    return kind(network, name or None)


#: what stands before the colon of a device's id -> how it is opened, with the network and what stands behind the colon
DRIVERS: Mapping[str, Callable[[Network, str], Device]] = MappingProxyType(
    {
        "csv": Exchange,
        "samna": _samna,
    }
)


def driver_of(name: str) -> str:
    """Driver of a device's id; empty for a name that is none."""
    head, colon, _ = name.partition(":")
    return head if colon and head in DRIVERS else ""


def open_device(network: Network, name: str) -> Device:
    """Open a device by its id: "csv:FOLDER", "samna:" or "samna:BOARD:NUMBER".

    Raises Refusal ND9002 for an unknown id, and what the driver raises.
    """
    driver = driver_of(name)
    if not driver:
        known = [f"{n}:..." for n in DRIVERS]
        boards = [f"samna:{n}:0" for n in board_names(network)]
        must = f"one of {', '.join((*known, *boards))}"
        raise Refusal(Fault("ND9002", f"device {name!r}", "no such device", must))
    return DRIVERS[driver](network, name.partition(":")[2])

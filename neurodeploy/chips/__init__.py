"""Chip descriptions: find, read, check, list every fault."""

from neurodeploy.chips.chip import Chip, ConnectionKind, Guard, Handler, Limit, NeuronKind, Phase
from neurodeploy.chips.read import chip, from_raw, target_folders, target_root

__all__ = [
    "Chip",
    "ConnectionKind",
    "Guard",
    "Handler",
    "Limit",
    "NeuronKind",
    "Phase",
    "chip",
    "from_raw",
    "target_folders",
    "target_root",
]

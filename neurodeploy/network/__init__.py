"""Integer networks: weights, parameters and connections with the chip's register values; save and load."""

from neurodeploy.network.file import load_network, pack_network, save_network
from neurodeploy.network.geometry import Convolution
from neurodeploy.network.guards import guard_faults
from neurodeploy.network.identity import identity
from neurodeploy.network.network import (
    Group,
    Network,
    Projection,
    convolution,
    group,
    pairs,
    place_identity,
    projection,
)

__all__ = [
    "Convolution",
    "Group",
    "Network",
    "Projection",
    "convolution",
    "group",
    "guard_faults",
    "identity",
    "load_network",
    "pack_network",
    "pairs",
    "place_identity",
    "projection",
    "save_network",
]

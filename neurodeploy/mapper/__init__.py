"""Network -> placed Network, or all reasons why not."""

from neurodeploy.mapper.counts import reports, usage
from neurodeploy.mapper.mesh import Hops
from neurodeploy.mapper.place import Placement, fit_faults, map_network
from neurodeploy.mapper.placed import placed_faults
from neurodeploy.mapper.queue import queue_faults
from neurodeploy.mapper.rows import Core, Usage
from neurodeploy.mapper.values import value_faults

__all__ = [
    "Core",
    "Hops",
    "Placement",
    "Usage",
    "fit_faults",
    "map_network",
    "placed_faults",
    "queue_faults",
    "reports",
    "usage",
    "value_faults",
]

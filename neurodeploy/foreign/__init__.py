"""Modules of sinabs, snnTorch, Norse and SpikingJelly, by name, as layers of ours; none of them is imported."""

from neurodeploy.foreign.adopt import adopt
from neurodeploy.foreign.names import library_of
from neurodeploy.foreign.report import AdoptionReport

__all__ = ["AdoptionReport", "adopt", "library_of"]

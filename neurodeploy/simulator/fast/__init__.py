"""Generated kernels for clocked chips: exact integers, one fused loop over time, cost by the events that happen."""

from neurodeploy.simulator.fast.run import NAME, run_fused

__all__ = ["NAME", "run_fused"]

"""Training speed: one step of a spiking network, our kernels against other ways to compute it, in one process.

Only ratios within one run count: the variants take turns, so that what else the machine does meets all of them.
"""

from neurodeploy.bench.fresh import Fresh, bench_fresh
from neurodeploy.bench.peers import PEERS
from neurodeploy.bench.training import Training, bench_training
from neurodeploy.bench.workload import OURS

__all__ = ["OURS", "PEERS", "Fresh", "Training", "bench_fresh", "bench_training"]

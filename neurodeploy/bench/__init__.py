"""Speed: training steps and simulations, ours against other ways to compute them, in one process.

Only ratios within one run count: the variants take turns, so that what else the machine does meets all of them.
"""

from neurodeploy.bench.fresh import Fresh, bench_fresh
from neurodeploy.bench.growth import FirstUse, Point, bench_first_use, bench_growth
from neurodeploy.bench.networks import workloads
from neurodeploy.bench.peers import PEERS
from neurodeploy.bench.simulation import Cell, Simulations, bench_simulation
from neurodeploy.bench.training import Training, bench_training
from neurodeploy.bench.workload import OURS

__all__ = [
    "OURS",
    "PEERS",
    "Cell",
    "FirstUse",
    "Fresh",
    "Point",
    "Simulations",
    "Training",
    "bench_first_use",
    "bench_fresh",
    "bench_growth",
    "bench_simulation",
    "bench_training",
    "workloads",
]

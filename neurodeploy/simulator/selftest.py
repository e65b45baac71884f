"""Input for vectors that stand in written code: a few loud steps, the same each time."""

import numpy as np
import numpy.typing as npt

from neurodeploy.network import Network

STEPS, SEED, DENSITY, LOUDEST = 24, 0, 0.3, 3


def self_test_counts(network: Network, steps: int = STEPS) -> dict[str, npt.NDArray[np.int64]]:
    """Counts of one sample by input group: (time, 1, neuron), from a stated seed."""
    draw = np.random.default_rng(SEED)
    found = {}
    for g in network.inputs():
        entry = network.chip.neurons[g.kind].entry.external
        most = min(entry.allowed.high, LOUDEST) if entry is not None else 1
        shape = (steps, 1, g.size)
        found[g.name] = (draw.integers(1, most + 1, shape) * (draw.random(shape) < DENSITY)).astype(np.int64)
    return found

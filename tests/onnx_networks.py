"""Networks that the golden model is written of."""

import numpy as np
from onnx_runs import run_differences, simulated, step_differences
from random_networks import Options, random_counts, random_network

from neurodeploy.chips import chip, target_folders
from neurodeploy.network import (
    Network,
    group,
    pairs,
    place_identity,
    projection,
)

CLOCKED = [name for name in target_folders() if not chip(name).event_driven]


def sample(name, seed):
    rng = np.random.default_rng(seed)
    options = Options(groups=1 + 2 * (seed % 2), doubled=0.1 * (seed % 2), hidden=(3, 12), steps=(14, 14))
    made = random_network(chip(name), rng, options)
    return made, random_counts(made, rng, options)


def differences(made, counts):
    """What leaves the simulation; the simulation must have fired."""
    run = simulated(made, counts)
    return run_differences(made, counts, run) + step_differences(made, counts, run)


def net(*, w1=1, recurrent=None, aliases=(), threshold=500):
    """Two channels, three hidden neurons."""
    c = chip("xylo_audio2")
    x, h = group(c, "spikes", "channel", 2), group(c, "cells", "hidden", 3, threshold=threshold)
    links = [projection(c, "in", x, h, w1=w1)]
    links += [] if recurrent is None else [projection(c, "rec", h, h, w1=recurrent)]
    links += [pairs(c, "alias", h, h, aliases)] if aliases else []
    return place_identity(Network(c, (x, h), tuple(links)))

"""Golden vectors of the chips that are RTL of our own; run as a script it simulates that RTL and writes golden.json.

Only on purpose, with Icarus Verilog: PYTHONPATH=. python tests/golden_rtl.py
"""

from datetime import UTC, datetime

import numpy as np
from random_networks import Options, random_counts, random_network

from neurodeploy.chips import chip, target_folders
from neurodeploy.golden import Vector, write_golden
from neurodeploy.network import Network, group, place_identity, projection
from neurodeploy.oracles import oracle

TELLER = "icarus"
CHIPS = [name for name in target_folders() if TELLER in chip(name).oracles]
#: Registers, weights, channels that drive every neuron alike, claim.
RULES = {
    "decay": (
        {"keep_syn": 2048, "keep_mem": 3900, "threshold": 131071},
        (100, -100, 1, -1),
        1,
        "what is lost goes toward zero from both sides",
    ),
    "ends": (
        {"keep_syn": 0, "keep_mem": 4096, "threshold": 300},
        (50, 127, -128, 3),
        1,
        "a current of 0 lasts for a step, a membrane of 4096 is kept",
    ),
    "subtract": (
        {"keep_syn": 0, "keep_mem": 4096, "threshold": 40},
        (127, 60, 40, 39),
        1,
        "a reset takes the threshold away, one spike a step",
    ),
    "zero": (
        {"keep_syn": 0, "keep_mem": 4096, "threshold": 40, "to_zero": 1},
        (127, 60, 40, 39),
        1,
        "a reset to zero leaves nothing",
    ),
    "bias": (
        {"keep_syn": 1000, "keep_mem": 3000, "threshold": 500, "bias": 400},
        (0, 20, -20, -128),
        1,
        "a bias is added in every step",
    ),
    "rails": (
        {"keep_syn": 0, "keep_mem": 4096, "threshold": 131071, "bias": (32767, -32768, 0, 9)},
        (0, 0, 1, -1),
        1,
        "a membrane stops at the ends of 24 bits",
    ),
    "crowd": (
        {"keep_syn": (4096, 4096, 0, 0), "keep_mem": 0, "threshold": 131071},
        (127, -128, 127, -128),
        90,
        "what arrives stops at the ends of 18 bits, a current at those of 24",
    ),
}
#: Weights by which a neuron that fires in every step acts on those of a rule: after what comes from outside.
BACK = {"crowd": (127, -128, -128, 127)}
SEEDS = range(3)


def rule(c, name):
    """Four neurons of one rule, driven alike by some channels; one more is silent."""
    parameters, weights, channels, claim = RULES[name]
    inputs, cells = group(c, "in", "channel", channels + 1), group(c, "cells", "cell", len(weights), **parameters)
    joined = projection(c, "in", inputs, cells, w=np.array([*[weights] * channels, [0] * len(weights)]))
    groups, projections = (inputs, cells), (joined,)
    if name in BACK:
        driver = group(c, "driver", "cell", 1, keep_mem=0, threshold=1, bias=1)
        groups, projections = (*groups, driver), (joined, projection(c, "rec", driver, cells, w=np.array([BACK[name]])))
    counts = np.zeros((40 if channels == 1 else 12, 1, channels + 1), np.int64)
    for step, events in {0: 1, 1: 15, 7: 3, 8: 1, 9: 2, 20: 15, 30: 1}.items():
        counts[step : step + 1, 0, :channels] = events
    return claim, place_identity(Network(c, groups, projections)), {"in": counts}


def cases(name):
    """Name, claim, network and input of each vector of a chip."""
    c = chip(name)
    for known in RULES:
        yield (known, *rule(c, known))
    options = Options(inputs=(3, 3), hidden=(7, 7), steps=(24, 24), batch=1, rates=(1, 3), density=(0.5, 1))
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        made = random_network(c, rng, options)
        yield f"random_{seed}", "all rules together, spikes that come back", made, random_counts(made, rng, options)


def vectors_of(name):
    """The vectors, as the RTL answers."""
    asked = ((n, claim, made, given, oracle(TELLER).run(made, given)) for n, claim, made, given in cases(name))
    return [Vector.of(*answered, courses=answered[0] in RULES) for answered in asked]


if __name__ == "__main__":
    for made in CHIPS:
        teller = oracle(TELLER)
        told = f"{teller.package} {teller.available()}"
        write_golden(chip(made).path, vectors_of(made), made_by=told, on=datetime.now(UTC).date(), grade=teller.grade)

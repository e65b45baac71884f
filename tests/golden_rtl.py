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
#: Keeps of current and membrane, of 4096; threshold; bias; whether the reset goes to zero; weight; claim.
RULES = {
    "decay": ((2048, 3900), 131071, 0, 0, (100, -100, 1, -1), "what is lost goes toward zero from both sides"),
    "ends": (
        (0, 4096),
        300,
        0,
        0,
        (50, 127, -128, 3),
        "a current of 0 lasts for a step, a membrane of 4096 is kept",
    ),
    "subtract": (
        (0, 4096),
        40,
        0,
        0,
        (127, 60, 40, 39),
        "a reset takes the threshold away, one spike a step",
    ),
    "zero": ((0, 4096), 40, 0, 1, (127, 60, 40, 39), "a reset to zero leaves nothing"),
    "bias": ((1000, 3000), 500, 400, 0, (0, 20, -20, -128), "a bias is added in every step"),
    "rails": ((0, 4096), 131071, (32767, -32768, 0, 9), 0, (0, 0, 1, -1), "a membrane stops at the ends of 24 bits"),
}
SEEDS = range(3)


def rule(c, name):
    """Four neurons of one rule, driven alike by one channel; a second one is silent."""
    (keep_syn, keep_mem), threshold, bias, to_zero, weights, claim = RULES[name]
    size = len(weights)
    parameters = {"keep_syn": keep_syn, "keep_mem": keep_mem, "threshold": threshold, "bias": bias, "to_zero": to_zero}
    inputs, cells = group(c, "in", "channel", 2), group(c, "cells", "cell", size, **parameters)
    joined = projection(c, "in", inputs, cells, w=np.array([weights, [0] * size]))
    counts = np.zeros((40, 1, 2), np.int64)
    counts[[0, 1, 7, 8, 9, 20, 30], 0, 0] = [1, 15, 3, 1, 2, 15, 1]
    return claim, place_identity(Network(c, (inputs, cells), (joined,))), {"in": counts}


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

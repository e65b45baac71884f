"""Networks for the chips whose oracles run in a Python of their own: families, and what an oracle can be asked."""

from dataclasses import replace

import numpy as np
from random_networks import Options, random_counts, random_network

from neurodeploy.chips import chip, target_folders
from neurodeploy.oracles import ORACLES
from neurodeploy.oracles.process import Process

PROCESSES: dict[str, Process] = {n: o.process for n, o in ORACLES.items() if o.process is not None}
CHIPS = [n for n in target_folders() if set(chip(n).oracles) & set(PROCESSES)]
SMALL = {"inputs": (1, 5), "hidden": (1, 7), "outputs": (1, 4), "steps": (20, 30), "batch": 1}
QUIET = {"bias_mant": (-40, 40), "bias_exp": (0, 3)}
#: what every network leaves aside that the oracle has not
ASIDE = {
    "nengo_loihi": {"delay": (0, 0), "reset_every": (0, 0), "reset_first": (0, 0), "exponent": (-6, 7)},
    "lava": {"refractory": (1, 1), "v_min_exp": (23, 23), "v_max_exp": (7, 7)}
    | {"reset_every": (0, 0), "reset_first": (0, 0)},
}
PLAIN = {"nengo_loihi": {"v_min_exp": (23, 23), "v_max_exp": (7, 7), "refractory": (1, 1)}, "lava": {"delay": (0, 0)}}
FAMILIES = {
    "plain": {"narrow": QUIET | {"exponent": (0, 0), "bits": (8, 8)}, "rates": (0.2, 0.6), "plain": True},
    "decays": {"narrow": {"threshold": (100, 4000), "exponent": (0, 3)}, "plain": True},
    "firing": {"narrow": QUIET | {"threshold": (1, 300), "dv": (0, 600), "exponent": (0, 2)}},
    "layers": {"groups": 4, "narrow": {"threshold": (1, 2000), "exponent": (0, 3)}},
    "biases": {"narrow": {"exponent": (-3, 0), "bias_exp": (3, 7)}},
    "formats": {"narrow": {"bits": (1, 6), "threshold": (1, 3000)}},
    "negative exponents": {"narrow": {"exponent": (-6, -1), "threshold": (1, 200)}},
    "overflow": {"narrow": {"exponent": (5, 7), "du": (0, 200), "dv": (0, 300), "w": (-256, 255)}, "rates": (3, 12)},
    "corners": {"corners": 0.7},
    "everything": {"groups": 3, "corners": 0.2},
}


def asked(name, family):
    """Options of a family for an oracle."""
    options = dict(FAMILIES[family])
    narrow = options.pop("narrow", {}) | ASIDE[name]
    if options.pop("plain", False):
        narrow |= PLAIN[name]
    if name == "nengo_loihi":
        options["without"] = frozenset({"conv", "conv_atrlif", "dense_atrlif", "atrlif"})
    return Options(**(SMALL | options), narrow=narrow)


def cases(name, target, family, seeds):
    """Random networks of a chip in the dialect that the oracle speaks, each with its input."""
    options, spoken = asked(name, family), target.dialect(name)
    for seed in seeds:
        rng = np.random.default_rng([*name.encode(), *family.encode(), seed])
        network = accepted(name, random_network(spoken, rng, options), rng)
        yield network, random_counts(network, rng, options)


def accepted(name, network, rng):
    """The network within what the oracle has: widths that exist, a periodic reset that begins in its first period."""
    groups, projections = network.groups, network.projections
    if name == "nengo_loihi":  # there is no width of 7 bits
        projections = tuple(
            replace(p, parameters=p.parameters | {"bits": 8}) if p.parameters.get("bits") == 7 else p
            for p in projections
        )
    elif rng.random() < 0.5:
        groups = tuple(with_reset(g, rng) for g in groups)
    return replace(network, groups=groups, projections=projections)


def with_reset(g, rng):
    if "reset_every" not in g.parameters:
        return g
    every = int(rng.choice([1, 2, 3, 7, 11, 17]))
    values = {"reset_every": every, "reset_first": int(rng.integers(1, every + 1))}
    return replace(g, parameters=g.parameters | {n: np.full(g.size, v) for n, v in values.items()})

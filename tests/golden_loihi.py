"""Golden vectors of the chips whose oracles run in a Python of their own; run as a script it asks them and writes them.

Only on purpose, with NEURODEPLOY_ORACLE_NENGO_LOIHI and NEURODEPLOY_ORACLE_LAVA naming their interpreters:
PYTHONPATH=. python tests/golden_loihi.py [chip ...]
"""

import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
from loihi_networks import ASIDE, CHIPS, PROCESSES, accepted
from random_networks import Options, random_counts, random_network

from neurodeploy.chips import chip
from neurodeploy.golden import Vector, write_golden
from neurodeploy.network import Network, group, place_identity, projection

VENDOR, OTHER = "lava", "nengo_loihi"
SMALL = {"inputs": (3, 3), "hidden": (4, 4), "steps": (24, 24), "batch": 1, "rates": (0.3, 1, 3), "density": (0.5, 1)}
ONE = frozenset({"conv", "conv_atrlif", "dense_atrlif", "atrlif"})
ON_GRID = {"exponent": (0, 4), "bits": (8, 8), "sign_mode": (2, 2), "w": (0, 255), "bias_exp": (0, 4)}


@dataclass(frozen=True)
class Draw:
    """Random networks with a claim. spoken : dialect, "" is the chip; narrow, more : options of the networks."""

    claim: str
    oracle: str
    spoken: str = ""
    narrow: dict = field(default_factory=dict)
    more: dict = field(default_factory=dict)
    seeds: int = 2


@dataclass(frozen=True)
class Case:
    """A network in matrices (source, target), for the chip itself.

    links : source, target, w, delays, parameters of each projection
    """

    claim: str
    events: list
    lif: dict
    links: list


DRAWS = {
    "corners": Draw("everything at once, at the corners of the registers", VENDOR, more={"corners": 0.4}, seeds=4),
    "overflow": Draw(
        "a current beyond 2^23 turns once, whatever is left over stays outside",
        VENDOR,
        narrow={"exponent": (5, 7), "du": (0, 300), "dv": (0, 300)},
        seeds=2,
    ),
    "firing": Draw(
        "neurons that fire often, on weights of every format",
        VENDOR,
        narrow={"threshold": (1, 300), "exponent": (-4, 2), "dv": (0, 900), "bias_mant": (-60, 60), "bias_exp": (0, 4)},
        seeds=3,
    ),
    "pauses": Draw(
        "a refractory period holds v at 0, limits cut v: where nothing overflows, on weights that lie on their grid",
        OTHER,
        narrow=ON_GRID | {"refractory": (1, 6), "threshold": (1, 200), "v_min_exp": (6, 23), "dv": (0, 900)},
        more={"without": ONE},
        seeds=4,
    ),
    "other_rules": Draw(
        "another emulator's rules: 22 bits of input, 24 bits of current in two's complement, each weight rounded",
        OTHER,
        OTHER,
        more={"without": ONE, "corners": 0.3},
        seeds=5,
    ),
    "other_overflow": Draw(
        "another emulator's rules where all registers overflow",
        OTHER,
        OTHER,
        narrow={"exponent": (3, 7), "du": (0, 300), "dv": (0, 300), "bias_exp": (5, 7), "bias_mant": (3000, 4095)},
        more={"without": ONE},
        seeds=3,
    ),
}


def course(*parts):
    """Events step by step: a row of counts, or a number of silent steps."""
    width = max(len(p) for p in parts if not isinstance(p, int))
    rows = [row for p in parts for row in ([[0] * width] * p if isinstance(p, int) else [list(p)])]
    return np.array(rows)[:, None]


CASES = {
    "decay": Case(
        "decays go toward zero from both sides, that of the current is du + 1",
        course([1, 0], 6, [0, 1], 6, [1, 1], 12),
        {"du": [0, 0, 1023, 1023, 4094, 4095], "dv": [0, 1, 500, 500, 4095, 2000], "threshold": 131071},
        [("in", "lif", [[100, -100, 3, -3, 255, -255], [40, -40, -1, 1, 255, 90]], 0, {"sign_mode": 1, "bits": 8})],
    ),
    "threshold": Case(
        "v must be above threshold * 64, a neuron that fires is set to 0",
        course([1], [1], [0], [1], [1], 6),
        {"du": 4095, "dv": [0, 0, 0, 1000], "threshold": [60, 59, 120, 50], "bias_mant": [0, 0, 0, 1], "bias_exp": 0},
        [("in", "lif", [[60, 60, 60, 60]], 0, {"sign_mode": 2, "bits": 8})],
    ),
    "delays": Case(
        "each delay is summed on its own: (3 >> 1) + (3 >> 1) is 2 where 6 >> 1 would be 3; up to 63 steps",
        course([1, 1], [1, 0], 2, [0, 1], 66),
        {"du": 4095, "dv": 0, "threshold": 131071},
        [("in", "lif", [[3, 3, 5, 7], [3, 3, 9, 1]], [[0, 0, 2, 63], [0, 1, 0, 63]], {"exponent": -1, "sign_mode": 2})],
    ),
    "formats": Case(
        "mixed weights are floored to their grid, others go toward zero; what has the other sign is cut to 0",
        course(*np.eye(6, dtype=int).tolist(), [1] * 6, 3),
        {"du": 4095, "dv": 4095, "threshold": 131071},
        [
            ("in", "lif", [[-3, 3, -256, 255, 100, -100]] * 6, 0, {"sign_mode": 1, "bits": 8}),
            ("in", "lif", np.diag([-3, 77, -255, 255, 99, -99]), 0, {"sign_mode": 1, "bits": 3}),
            ("in", "lif", np.diag([-3, 77, 15, 255, 99, 16]), 0, {"sign_mode": 2, "bits": 4}),
            ("in", "lif", np.diag([-3, -77, -256, 255, -15, -16]), 0, {"sign_mode": 3, "bits": 5, "exponent": -2}),
        ],
    ),
    "far_out": Case(
        "1,056 full weights at the largest exponent: what passes 2^31 turns, as the 32 bits of the simulator do",
        course([1] * 33, [1] * 33, 3, [1] * 33, 2),
        {"du": [4095, 100], "dv": [0, 4000], "threshold": 131071},
        [("in", "lif", [[255, -255]] * 33, 0, {"exponent": 7, "sign_mode": 1})] * 32,
    ),
}


def network_of(target, case):
    """Network of a case; the weights of one projection are as they are written."""
    inputs = group(target, "in", "input", case.events.shape[2])
    lif = group(target, "lif", "lif", len(case.links[0][2][0]), **case.lif)
    ends = {"in": inputs, "lif": lif}
    projections = [
        projection(target, "dense", ends[a], ends[b], parameters, w=w, delay=delay)
        for a, b, w, delay, parameters in case.links
    ]
    return place_identity(Network(target, (inputs, lif), tuple(projections)))


def asked(target):
    """Yield name, claim, network, inputs and oracle of every vector."""
    for name, case in CASES.items():
        yield name, case.claim, network_of(target, case), {"in": case.events}, VENDOR
    for name, draw in DRAWS.items():
        aside = ASIDE[draw.oracle] | draw.narrow
        options = Options(**(SMALL | draw.more), narrow=aside)
        for seed in range(draw.seeds):
            rng = np.random.default_rng([*name.encode(), seed])
            network = accepted(draw.oracle, random_network(target.dialect(draw.spoken), rng, options), rng)
            yield f"{name}_{seed}", draw.claim, network, random_counts(network, rng, options), draw.oracle


def vectors_of(target):
    """Vectors of a chip as its oracles give them."""
    questions, made = list(asked(target)), {}
    for oracle in (VENDOR, OTHER):
        mine = [q for q in questions if q[4] == oracle]
        process = PROCESSES[oracle]
        for question, trace in zip(mine, process.observe_all([(q[2], q[3]) for q in mine]), strict=True):
            name, claim, network, inputs, _ = question
            vector = Vector.of(name, claim, network, inputs, trace, courses=name in CASES)
            other = {} if oracle == VENDOR else {"made_by": trace.made_by, "grade": process.grade}
            made[name] = replace(vector, **other)
    return [made[q[0]] for q in questions]


def main(names):
    vendor = PROCESSES[VENDOR]
    for name in names or CHIPS:
        made_by = f"{vendor.package} {vendor.available()}"
        vectors = vectors_of(chip(name))
        write_golden(chip(name).path, vectors, made_by=made_by, on=datetime.now(UTC).date(), grade=vendor.grade)


if __name__ == "__main__":
    main(sys.argv[1:])

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
    kind: str = "lif"  # only for chips that have it


@dataclass(frozen=True)
class Case:
    """A network in matrices (source, target).

    cells : registers of the neurons
    links : w, delays and parameters of each projection
    kind : neuron kind; the vector is only for chips that have it
    askers : oracle and dialect of each vector
    """

    claim: str
    events: list
    cells: dict
    links: list
    kind: str = "lif"
    askers: tuple = ((VENDOR, ""), (OTHER, OTHER))


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
    "adaptive": Draw(
        "a threshold that rises and falls back, a refractory state of twice the threshold; firing at equality",
        VENDOR,
        narrow={
            "theta_0": (0, 4000),
            "theta_step": (0, 3000),
            "d_theta": (0, 900),
            "d_r": (0, 4096),
            "exponent": (-1, 3),
            "bias_mant": (-60, 100),
            "bias_exp": (0, 4),
        },
        more={"without": frozenset({"conv", "conv_atrlif", "lif"}), "corners": 0.05},
        seeds=4,
        kind="atrlif",
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
        [([[100, -100, 3, -3, 255, -255], [40, -40, -1, 1, 255, 90]], 0, {"sign_mode": 1, "bits": 8})],
    ),
    "threshold": Case(
        "v must be above threshold * 64, a neuron that fires is set to 0",
        course([1], [1], [0], [1], [1], 6),
        {"du": 4095, "dv": [0, 0, 0, 1000], "threshold": [60, 59, 120, 50], "bias_mant": [0, 0, 0, 1], "bias_exp": 0},
        [([[60, 60, 60, 60]], 0, {"sign_mode": 2, "bits": 8})],
    ),
    "delays": Case(
        "each delay is summed on its own: (3 >> 1) + (3 >> 1) is 2 where 6 >> 1 would be 3; up to 63 steps",
        course([1, 1], [1, 0], 2, [0, 1], 66),
        {"du": 4095, "dv": 0, "threshold": 131071},
        [([[3, 3, 5, 7], [3, 3, 9, 1]], [[0, 0, 2, 63], [0, 1, 0, 63]], {"exponent": -1, "sign_mode": 2})],
        askers=((VENDOR, ""),),
    ),
    "formats": Case(
        "mixed weights are floored to their grid, others go toward zero; what has the other sign is cut to 0",
        course(*np.eye(6, dtype=int).tolist(), [1] * 6, 3),
        {"du": 4095, "dv": 4095, "threshold": 131071},
        [
            ([[-3, 3, -256, 255, 100, -100]] * 6, 0, {"sign_mode": 1, "bits": 8}),
            (np.diag([-3, 77, -255, 255, 99, -99]), 0, {"sign_mode": 1, "bits": 3}),
            (np.diag([-3, 77, 15, 255, 99, 16]), 0, {"sign_mode": 2, "bits": 4}),
            (np.diag([-3, -77, -256, 255, -15, -16]), 0, {"sign_mode": 3, "bits": 5, "exponent": -2}),
            (np.diag([-255, -254, -256, -253, 3, -1]), 0, {"sign_mode": 3, "bits": 8}),
            (np.diag([-256, -200, 255, -129, -128, -64]), 0, {"sign_mode": 1, "bits": 2, "exponent": -8}),
        ],
    ),
    "corners_of_u": Case(
        "2^23 stays, what is above turns; -2^23 turns, what is above stays: to the last bit, after a rest of 1",
        course([1] * 8 + [0, 0], 2, [1] * 8 + [1, 0], 2, [1] * 8 + [0, 1], 6, [0] * 8 + [1, 0], [1] * 8 + [0, 0], 3),
        {"du": [4095, 4095, 4050, 4050, 4050, 0], "dv": [4095, 4095, 0, 4000, 4095, 0], "threshold": 131071},
        [
            ([[128, -128, 128, -128, -128, 128]] * 8 + [[0] * 6] * 2, 0, {"exponent": 7, "sign_mode": 1}),
            ([[0] * 6] * 8 + [[2, -2, 2, -2, 2, 2], [-2, 2, -2, 2, -2, 2]], 0, {"exponent": 0, "sign_mode": 1}),
        ],
    ),
    "limits": Case(
        "a refractory period of n pauses v for n - 1 steps; v stays in 1 - 2^v_min_exp .. 2^(9 + 2 v_max_exp) - 1",
        course(40, [1], 3),
        {
            "du": 4095,
            "dv": [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0],
            "threshold": [30, 30, 30, 30, 30, 30, 30] + [131071] * 5,
            "bias_mant": [900, 900, 900, 900, 900, 900, 900, 4095, -4096, 1000, -50, 300],
            "bias_exp": [1, 1, 1, 1, 1, 1, 2, 7, 7, 6, 1, 1],
            "refractory": [1, 2, 3, 4, 5, 9, 63, 1, 1, 1, 1, 1],
            "v_min_exp": [23, 23, 23, 23, 23, 23, 23, 23, 20, 2, 9, 0],
            "v_max_exp": [7, 7, 7, 7, 7, 7, 7, 6, 7, 5, 2, 1],
        },
        [([[2] * 12], 0, {"sign_mode": 2})],
        askers=((OTHER, ""), (OTHER, OTHER)),
    ),
    "far_out": Case(
        "1,056 full weights at the largest exponent: what passes 2^31 turns, as the 32 bits of the simulator do",
        course([1] * 33, [1] * 33, 3, [1] * 33, 2),
        {"du": [4095, 100], "dv": [0, 4000], "threshold": 131071},
        [([[255, -255]] * 33, 0, {"exponent": 7, "sign_mode": 1})] * 32,
        askers=((VENDOR, ""),),
    ),
    "far_out_adaptive": Case(
        "the same of the neuron with an adaptive threshold",
        course([1] * 33, [1] * 33, 3, [1] * 33, 2),
        {"d_i": [4095, 100], "d_v": [0, 4000], "d_theta": 100, "d_r": 9, "theta_0": 8000000, "theta_step": 640},
        [([[255, -255]] * 33, 0, {"exponent": 7, "sign_mode": 1})] * 32,
        kind="atrlif",
        askers=((VENDOR, ""),),
    ),
}


def network_of(target, case):
    """Network of a case; the weights of one projection are as they are written."""
    inputs = group(target, "in", "input", case.events.shape[2])
    cells = group(target, case.kind, case.kind, len(case.links[0][0][0]), **case.cells)
    (connection,) = (c.name for c in target.between("input", case.kind) if c.entry.pattern == "dense")
    projections = [
        projection(target, connection, inputs, cells, parameters, w=w, delay=delay)
        for w, delay, parameters in case.links
    ]
    return place_identity(Network(target, (inputs, cells), tuple(projections)))


def asked(target):
    """Yield name, claim, network, inputs and oracle of every vector."""
    for name, case in CASES.items():
        for oracle, spoken in case.askers if case.kind in target.neurons else ():
            label = f"{name}_{spoken}" if spoken else name
            yield label, case.claim, network_of(target.dialect(spoken), case), {"in": case.events}, oracle
    for name, draw in DRAWS.items():
        if draw.kind not in target.neurons:
            continue
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
            vector = Vector.of(name, claim, network, inputs, trace, courses=inputs.keys() == {"in"})
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

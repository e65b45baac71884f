"""Networks of the golden vectors of Xylo, one for each rule; run as a script it asks xylosim and writes golden.json.

Only on purpose: PYTHONPATH=. python tests/golden_networks.py [chip ...]
"""

import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from random_networks import Options, random_counts, random_network

from neurodeploy.chips import chip, target_folders
from neurodeploy.golden import Vector, write_golden
from neurodeploy.network import Network, group, pairs, place_identity, projection
from neurodeploy.oracles import oracle

ORACLE = "xylosim"
CHIPS = [name for name in target_folders() if ORACLE in chip(name).oracles]
SILENT = [0]


@dataclass(frozen=True)
class Case:
    """A network in matrices (source, target); what is left out is 0 or the chip's default.

    shifts : of input, recurrent and output weights
    courses : keep the states of every step
    """

    claim: str
    events: list
    w_in: list
    hidden: dict
    w_in2: list | int = 0
    w_rec: list | int = 0
    w_rec2: list | int = 0
    w_out: list | int = 0
    output: dict = field(default_factory=lambda: {"threshold": 32767})
    outputs: int = 1
    aliases: tuple = ()
    shifts: tuple = (0, 0, 0)
    courses: bool = False
    second: bool = False


def network_of(target, case):
    w_in = np.array(case.w_in)
    inputs = group(target, "in", "channel", len(w_in))
    known = {n: v for n, v in case.hidden.items() if n in target.neurons["hidden"].parameters}
    hidden = group(target, "hidden", "hidden", w_in.shape[1], **known)
    output = group(target, "out", "output", case.outputs, **case.output)

    def joined(kind, source, goal, shift, **weights):
        fields = target.connections[kind].fields
        weights = {n: np.broadcast_to(w, (source.size, goal.size)) for n, w in weights.items() if n in fields}
        return projection(target, kind, source, goal, {"shift": shift}, **weights)

    projections = (
        joined("in", inputs, hidden, case.shifts[0], w1=w_in, w2=case.w_in2),
        joined("rec", hidden, hidden, case.shifts[1], w1=case.w_rec, w2=case.w_rec2),
        joined("out", hidden, output, case.shifts[2], w1=case.w_out),
        pairs(target, "alias", hidden, hidden, case.aliases),
    )
    return place_identity(Network(target, (inputs, hidden, output), projections))


def course(*parts):
    """Events step by step: a row of counts, or a number of silent steps."""
    width = max(len(p) for p in parts if not isinstance(p, int))
    rows = [row for p in parts for row in ([[0] * width] * p if isinstance(p, int) else [list(p)])]
    return np.array(rows)[:, None]


CASES = {
    "decay": Case(
        "a positive state loses at least 1 in a step, a negative one is floored: +100 becomes 88, -100 becomes -87",
        course([1, 0], 3, [0, 1], 3, [1, 15], 12),
        [[100, -100, 100, -100, 7, -7, 100, 100], [0, 0, 0, 0, 1, -1, -128, 100]],
        {"threshold": 32767, "dash_syn1": [3, 3, 1, 1, 4, 4, 15, 0], "dash_mem": [3, 3, 15, 15, 0, 1, 2, 4]},
        w_out=[[1]] * 8,
        courses=True,
    ),
    "threshold": Case(
        "a neuron fires at the threshold, not only above it; the threshold is subtracted and the rest stays",
        course([1], 2, [1], [1], 1, [1], 5),
        [[100, 100, 100, 100, -100]],
        {"threshold": [50, 51, 20, 49, 1], "dash_syn1": 1, "dash_mem": [4, 4, 4, 2, 1]},
        w_out=[[40, 0], [0, 90], [3, 30], [-10, 1], [5, 5]],
        output={"threshold": [20, 31], "dash_syn1": [1, 2], "dash_mem": [2, 3]},
        outputs=2,
        courses=True,
    ),
    "multi_spike": Case(
        "a hidden neuron fires up to 31 times in a step and keeps what is above; an input channel counts up to 15",
        course([1, 0], [15, 1], [16, 0], [255, 2], [14, 15], 3, [200, 40], 6),
        [[60, 60, 127, 127, -5], [127, -90, 33, 127, 127]],
        {"threshold": [1, 7, 30, 31, 16], "dash_syn1": [1, 2, 3, 1, 6], "dash_mem": [1, 3, 5, 1, 7]},
        w_out=[[1, -1], [2, 9], [-3, 30], [4, 1], [1, 1]],
        output={"threshold": [9, 200], "dash_syn1": 2, "dash_mem": [3, 1]},
        outputs=2,
    ),
    "source_order": Case(
        "a current saturates after each source in ascending id, inputs first, then hidden neurons of the step before",
        course([2, 1, 2], [1, 2, 1], 1, [3, 3, 3], [0, 15, 1], [15, 0, 15], [1, 1, 1], 4),
        [[127, -128, 127, -128, 100, -3], [-127, 127, 127, -100, -128, 90], [127, -90, -128, 127, -1, -128]],
        {"threshold": [3000, 32767, 20000, 900, 5000, 15000], "dash_syn1": [1, 2, 6, 1, 4, 3], "dash_mem": 1},
        w_rec=[
            [0, -128, 127, 90, 0, 1],
            [127, 0, -128, 0, 127, -7],
            [-128, 127, 0, 9, -1, 127],
            [127, -60, -128, -128, 127, 0],
            [-127, 0, 127, 127, -128, -128],
            [100, 127, -128, 50, 0, 127],
        ],
        w_out=[[127], [-128], [127], [127], [-128], [127]],
        shifts=(8, 8, 8),
    ),
    "recurrence": Case(
        "a hidden spike arrives one step later, at hidden and at output neurons, and as often as it was counted",
        course([1], 8, [3], 10),
        [[127, 0, 0, 0, 0]],
        {"threshold": [30, 40, 50, 20, 60], "dash_syn1": [1, 2, 1, 3, 1], "dash_mem": [2, 3, 1, 4, 2], "dash_syn2": 2},
        w_rec=[[0, 90, 0, 0, 0], [0, 0, 110, 0, 0], [0, 0, 0, 60, 20], [-20, 0, 0, 30, 120], [10, 0, 0, 0, -128]],
        w_rec2=[[0, 5, 0, 0, 0], [0, 0, -10, 0, 0], [0, 0, 0, 40, 0], [30, 0, 0, 0, 0], [0, 9, 0, 0, 0]],
        w_out=[[60, 0], [0, 60], [60, 60], [30, -30], [-20, 90]],
        output={"threshold": [30, 45], "dash_syn1": [1, 2], "dash_mem": [2, 2], "bias": [0, 1]},
        outputs=2,
        shifts=(0, 1, 0),
    ),
    "two_synapses": Case(
        "two currents decay on their own and are summed before one saturation",
        course([1, 1], 3, [0, 15], [15, 0], [15, 15], 2, [1, 2], 5),
        [[80, 127, 127, -128, 20], [-20, 127, -128, -128, 3]],
        {
            "threshold": [60, 32767, 20000, 500, 7],
            "dash_syn1": [3, 1, 2, 1, 5],
            "dash_syn2": [1, 4, 2, 1, 0],
            "dash_mem": [3, 4, 1, 2, 6],
            "bias": [0, -32000, 0, 32767, -2],
        },
        w_in2=[[-40, 127, 127, -128, 99], [60, 127, 127, -128, -99]],
        w_rec2=np.diag([0, 7, -128, 9, 20]).tolist(),
        w_out=[[50], [1], [1], [1], [9]],
        output={"threshold": 35, "dash_syn1": 2, "dash_mem": 2},
        shifts=(7, 4, 0),
        courses=True,
        second=True,
    ),
    "bias": Case(
        "a bias is added after the currents have saturated, at hidden and at output neurons, up to 16 bits",
        course([0], [1], 3, [15], [15], 6, [2], 4),
        [[127, -128, 127, -128, 5, 0, 127]],
        {
            "threshold": [32767, 32767, 9000, 32767, 100, 1000, 31],
            "dash_syn1": [1, 1, 3, 4, 2, 1, 2],
            "dash_mem": [4, 4, 1, 0, 15, 3, 5],
            "bias": [-32768, 32767, 32767, -32768, 5, 128, -128],
        },
        w_out=[[9, -9], [1, 1], [20, 0], [0, 1], [30, -30], [127, -128], [1, 0]],
        output={"threshold": [100, 32767], "dash_syn1": 1, "dash_mem": [2, 1], "bias": [-20, -32768]},
        outputs=2,
        shifts=(8, 0, 4),
    ),
    "shift_wrap": Case(
        "a shifted weight wraps to 16 bits, it does not saturate: 100 << 9 acts as -14336",
        course([1, 0], 1, [0, 1], 1, [1, 1], [2, 0], [0, 15], 4),
        [[100, 64, -128, 127, -1, 63], [127, -65, 1, -100, 3, -64]],
        {
            "threshold": [2000, 700, 32767, 9000, 400, 5000],
            "dash_syn1": [1, 3, 2, 1, 5, 2],
            "dash_mem": [1, 2, 3, 1, 0, 4],
        },
        w_in2=[[1, 100, 5, -90, 7, 127], [2, 9, -128, 64, 64, 0]],
        w_rec=np.diag([9, -9, 17, 15, -8, 100]).tolist(),
        w_out=[[3, 1], [5, 127], [-7, 2], [9, 100], [-128, -3], [127, 64]],
        output={"threshold": [3000, 12000], "dash_syn1": [1, 2], "dash_mem": [1, 2]},
        outputs=2,
        shifts=(9, 12, 15),
    ),
    "rails": Case(
        "the step of the membrane is cut to 16 bits before it is added; -32768 without memory stays where it is",
        course([0, 1], 1, [0, 15], [0, 15], [15, 0], [15, 0], [0, 3], 2, [4, 4], [15, 0], [15, 1], 5),
        [[127, 127, 127, 127, 127, 60], [-128, -128, -128, -128, -128, -128]],
        {
            "threshold": [32767, 32767, 30000, 10000, 32767, 32000],
            "dash_syn1": [1, 2, 1, 3, 2, 4],
            "dash_mem": [0, 4, 1, 2, 15, 3],
            "bias": [0, 0, -9000, 30000, -100, 20000],
        },
        w_out=[[127, 127], [-128, 127], [127, -128], [-128, -128], [127, 1], [90, 127]],
        output={"threshold": [32767, 15000], "dash_syn1": [1, 4], "dash_mem": [0, 3], "bias": [-32768, 30000]},
        outputs=2,
        shifts=(8, 0, 8),
        courses=True,
    ),
    "alias": Case(
        "an alias adds the count in the same step: upwards before the target fires and along a chain, downwards after",
        course([1, 0], 2, [0, 1], 2, [15, 0], [15, 15], 2, [0, 2], 6),
        [[100, 0, 30, 0, 0, 20, 127], [0, 60, 0, 100, 10, 127, 0]],
        {"threshold": [20, 25, 9, 30, 5, 3, 40], "dash_syn1": [1, 2, 1, 1, 3, 1, 2], "dash_mem": [2, 3, 1, 2, 4, 1, 2]},
        w_rec=np.diag([0, 0, 3, 0, 0, -2, 10]).tolist(),
        w_out=[[10, 0], [0, 10], [1, 1], [5, -5], [3, 0], [1, -1], [0, 7]],
        output={"threshold": [25, 40], "dash_syn1": 1, "dash_mem": [2, 3]},
        outputs=2,
        aliases=((0, 1), (1, 2), (2, 4), (3, 0), (5, 6), (6, 3)),
    ),
    "alias_cap": Case(
        "an inherited count uses up part of the 31 spikes of the target, which fires also where V is below that count",
        course([15, 15, 0], [15, 15, 15], [3, 15, 2], [0, 9, 0], 3, [15, 1, 1], 4),
        [[127, 0, 0, 60, 0, 90, 0], [0, 127, 0, 60, 90, 0, 0], [0, 0, 127, 9, 9, -1, 0]],
        {
            "threshold": [64, 40, 50, 9, 6, 60, 1],
            "dash_syn1": [1, 1, 2, 1, 1, 1, 14],
            "dash_mem": [1, 2, 3, 1, 2, 1, 15],
            "bias": [0, 0, 0, 0, 0, 0, 3],
        },
        w_out=[[1], [2], [-1], [3], [-2], [0], [0]],
        output={"threshold": 40, "dash_syn1": 1, "dash_mem": 2},
        aliases=((0, 1), (1, 2), (2, 0), (3, 4), (4, 2), (5, 6)),
    ),
    "no_memory": Case(
        "with dash_mem 0 the decay of -32768 is 32768 and wraps; a bias saturates the step on its own",
        course([1, 0, 1], 1, [0, 1, 0], 1, [1, 0, 1], [0, 1, 0], 1, [15, 0, 15], [0, 15, 0], [0, 15, 0], 4),
        [[2, 0, -128, -128], [0, 2, 127, 127], [0, 0, -128, -128]],
        {
            "threshold": [1, 1, 32767, 32767],
            "dash_syn1": [1, 1, 1, 15],
            "dash_mem": [0, 0, 0, 15],
            "bias": [0, 0, -16384, 15000],
        },
        w_out=[[-128, -128, -128], [127, 127, 90], [0, 0, 0], [0, 0, 0]],
        output={"threshold": 32767, "dash_syn1": [1, 15, 2], "dash_mem": [0, 15, 0], "bias": [-16384, 15000, -9000]},
        outputs=3,
        shifts=(8, 0, 8),
        courses=True,
    ),
    "output": Case(
        "an output neuron fires at most once in a step and keeps the rest",
        course([1], [15], [15], 1, [4], 12),
        [[127, 100, 64]],
        {"threshold": [10, 50, 90], "dash_syn1": [1, 2, 1], "dash_mem": [1, 2, 3]},
        w_out=[[127, 20, 4, -9], [127, -30, 3, 30], [127, 40, 2, -7]],
        output={
            "threshold": [100, 1, 300, 20],
            "dash_syn1": [1, 2, 3, 15],
            "dash_mem": [5, 1, 2, 15],
            "bias": [0, 1, 0, 0],
        },
        outputs=4,
        shifts=(0, 0, 2),
    ),
}
RANDOM = Options(
    inputs=(3, 3),
    hidden=(6, 6),
    outputs=(2, 2),
    steps=(16, 16),
    batch=1,
    corners=0.3,
    groups=2,
    links=(0, 1),
    rates=(1, 3),
)


def vectors_of(name, *, observe):
    """Vectors of a chip; ``observe(network, inputs)`` gives the trace."""
    target, made = chip(name), []
    for label, case in CASES.items():
        if case.second and "w2" not in target.connections["in"].fields:
            continue
        network, inputs = network_of(target, case), {"in": case.events}
        made.append(Vector.of(label, case.claim, network, inputs, observe(network, inputs), courses=case.courses))
    for seed in range(3):
        rng = np.random.default_rng(seed)
        network = random_network(target, rng, RANDOM)
        inputs = random_counts(network, rng, RANDOM)
        claim = (
            "everything at once, at the corners of the registers, in two groups of each kind with mixed hardware ids"
        )
        made.append(Vector.of(f"corners_{seed}", claim, network, inputs, observe(network, inputs)))
    return made


def main(names):
    teller = oracle(ORACLE)
    for name in names or CHIPS:
        made_by = f"{teller.name} {teller.available()}"
        vectors = vectors_of(name, observe=teller.run)
        write_golden(chip(name).path, vectors, made_by=made_by, on=datetime.now(UTC).date(), grade=teller.grade)


if __name__ == "__main__":
    main(sys.argv[1:])

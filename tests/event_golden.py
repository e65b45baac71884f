"""Golden vectors of chips whose connections are kernels and which events drive; run as a script it writes golden.json.

Nothing independent computes these chips. The answers are those of the straight-line loops beside this file, which were
written from the published rules and share nothing with the program: their maker and grade say no more than that.
Only on purpose: PYTHONPATH=. python tests/event_golden.py [chip ...]
"""

import sys
from datetime import UTC, datetime

import numpy as np
from event_networks import CONVOLVE, PIXEL, UNIT, branches, chain, looped, random_input
from straight_line_events import run_straight

from neurodeploy.chips import chip, target_folders
from neurodeploy.golden import Vector, write_golden
from neurodeploy.network import Convolution, Network, convolution, group, place_identity
from neurodeploy.simulator import Trace

MADE_BY = "straight-line loops of tests/straight_line_events.py; nothing independent of this project"
GRADE = "inferred"
CHIPS = [n for n in target_folders() if {PIXEL, UNIT} <= set(chip(n).neurons)]
HIGH, LOW = 32767, -32768


def units(target, weights, source, geometry=None, **parameters):
    """One layer; without a geometry a kernel of 1 x 1 for each unit: weights are (unit, channel)."""
    weights = np.array(weights)
    geometry = geometry or Convolution(source, (len(weights), source[0], 1, 1))
    pixels = group(target, "in", PIXEL, source)
    layer = group(target, "out", UNIT, geometry.target, **parameters)
    weights = weights.reshape(geometry.kernel)
    return place_identity(
        Network(target, (pixels, layer), (convolution(target, CONVOLVE, pixels, layer, geometry, w=weights),))
    )


def course(*rows):
    return {"in": np.array(rows)[:, None]}


def written(target):
    """(name, claim, network, inputs) of the vectors that each show one rule."""
    five = {"threshold_high": [10, 11, 25, 40, 9], "threshold_low": -50}
    yield (
        "threshold",
        "a neuron fires at the threshold, at most once for each event; the threshold is subtracted and the rest stays",
        units(target, [[10], [10], [60], [100], [9]], (1, 1, 1), **five),
        course([1], [0], [2], [1], [5], [0], [1]),
    )
    yield (
        "return_to_zero",
        "with return_to_zero a spike leaves 0, without it the rest, also where the rest is at the threshold again",
        units(target, [[10], [10], [60], [60], [127]], (1, 1, 1), return_to_zero=[0, 1, 0, 1, 1], **five),
        course([1], [3], [1], [0], [4], [2]),
    )
    yield (
        "lower_bound",
        "the lower bound holds at every operation: three times -30 and then 20 is not -70 where the bound is -40",
        units(
            target,
            [[-30, 20], [-30, 20], [-128, 127], [-1, 1], [-128, 9]],
            (2, 1, 1),
            threshold_high=[30, 30, 100, 1, 5],
            threshold_low=[-40, -32768, -1, -1, -129],
        ),
        course([3, 1], [1, 4], [0, 3], [2, 2], [1, 0], [0, 6]),
    )
    yield (
        "leak",
        "a tick adds the bias once a step, with or without events, through 0 to the lower bound; it does not fire",
        units(
            target,
            [[20], [20], [20], [50], [30]],
            (1, 1, 1),
            threshold_high=[60, 60, 60, 60, 32],
            threshold_low=[-30, -9, -20, -1, -40],
            bias=[-7, -1, 0, -50, 3],
        ),
        course([2], [0], [0], [1], [0], [0], [0], [3], [0], [4], [0], [0]),
    )
    yield (
        "initial",
        "states begin where they are told to; the first event may already fire",
        units(
            target,
            [[5], [5], [5], [-5]],
            (1, 1, 1),
            threshold_high=20,
            threshold_low=-30,
            initial=[19, -30, 7, 0],
        ),
        course([0], [1], [0], [3], [5]),
    )
    yield (
        "sixteen_bits",
        "states use all 16 bits",
        units(
            target,
            [[127], [-128], [127]],
            (1, 1, 1),
            threshold_high=[32640, HIGH, HIGH],
            threshold_low=[-1, LOW, -1],
            bias=[0, -30000, 0],
            initial=[32600, 100, 32000],
        ),
        course([1], [1], [6], [0], [1]),
    )
    shape = (2, 4, 7)
    geometry = Convolution(shape, (3, 2, 2, 3), stride=(1, 2), padding=(1, 0))
    kernel = np.arange(-14, 22) * 3
    rng = np.random.default_rng(0)
    yield (
        "geometry",
        "a kernel of 2 rows and 3 columns is not flipped; maps, strides and padding differ in rows and columns",
        units(target, kernel, shape, geometry, threshold_high=80, threshold_low=-60),
        {"in": (rng.random((6, 1, 56)) < 0.3).astype(int)},
    )
    for name, claim, draw in (
        ("chain", "layers follow one another; pooling divides addresses and forwards every spike", chain),
        ("branches", "two destinations, one of them pooled, meet again with shifted features, oldest first", branches),
        ("loops", "a layer that inhibits itself and another: every event is followed to its end", looped),
    ):
        for seed in range(3):
            rng = np.random.default_rng(100 + seed)
            network = draw(target, rng, layers=3) if draw is chain else draw(target, rng)
            yield f"{name}_{seed}", claim, network, random_input(network, rng, steps=5, batch=1, rate=1)


def vectors_of(name):
    made = []
    for label, claim, network, inputs in written(chip(name)):
        counts, states = run_straight(network, inputs)
        trace = Trace(MADE_BY, counts, states, GRADE)
        small = sum(g.size for g in network.groups) < 20
        made.append(Vector.of(label, claim, network, inputs, trace, courses=small))
    return made


def main(names):
    for name in names or CHIPS:
        on = datetime.now(UTC).date()
        write_golden(chip(name).path, vectors_of(name), made_by=MADE_BY, on=on, grade=GRADE)


if __name__ == "__main__":
    main(sys.argv[1:])

"""Golden vectors of chips that are one crossbar; run as a script it writes golden.json.

The answers are those of the straight loops beside this file, which reproduce the recordings of the RTL (test_tinyodin):
their maker and grade say no more than that. Only on purpose: PYTHONPATH=. python tests/crossbar_golden.py [chip ...]
"""

import sys
from datetime import UTC, datetime

import numpy as np
from straight_crossbar import ALL, ROWS, Crossbar

from neurodeploy.chips import chip, target_folders
from neurodeploy.golden import Vector, write_golden
from neurodeploy.network import Network, group, place_identity, projection
from neurodeploy.simulator import Trace

MADE_BY = "straight loops of tests/straight_crossbar.py, which reproduce four recordings of the RTL"
GRADE = "inferred"
CHIPS = [n for n in target_folders() if {"row_input", "virtual_input", "unit"} <= set(chip(n).neurons)]


def written():
    """(name, claim, weights of lines, weights of units or None, registers, events of lines by step)."""
    yield (
        "threshold",
        "a neuron fires at its threshold, once for each event, and is set to 0; a disabled one keeps it to itself",
        [[7, 7, 7, 7, 3, 7]],
        None,
        {"threshold": [7, 8, 14, 15, 4, 7], "disable": [0, 0, 0, 0, 0, 1]},
        [[1], [2], [3], [0], [5]],
    )
    yield (
        "leak",
        "a leak goes toward 0 from both sides and never beyond; without one the state stays",
        [[7, 7, -8, -8, 5, -3]],
        None,
        {"threshold": 2047, "leak": [3, 0, 3, 127, 9, 1]},
        [[2], [0], [0], [1], [0], [0]],
    )
    yield (
        "ends",
        "states stop at both ends of twelve bits; a threshold that they do not reach never fires",
        [[7, -8, 7, -8]],
        None,
        {"threshold": [4095, 4095, 2047, 2047], "initial": [2030, -2040, 2030, -2040]},
        [[1], [3], [4]],
    )
    yield (
        "order",
        "events meet neurons one after the other: what fires before an inhibition comes has fired",
        [[7, 7], [-8, -8]],
        None,
        {"threshold": [7, 8]},
        [[1, 1], [2, 1], [3, 3]],
    )
    rng = np.random.default_rng(3)
    for number in range(6):
        back = np.clip(np.rint(rng.normal(-1, 4, (12, 12))), -8, 7).astype(int)
        into = np.clip(np.rint(rng.normal(2, 3, (4, 12))), -8, 7).astype(int)
        yield (
            f"loop_{number}",
            "spikes of neurons come back along their own rows, the oldest first, before the next event",
            into,
            back,
            {"threshold": rng.integers(5, 12, 12), "leak": rng.integers(0, 3, 12)},
            rng.integers(0, 2, (8, 4)),
        )


def vector(target, name, claim, into, back, registers, events):
    """A vector: units at the first rows, lines behind them."""
    into = np.array(into)
    lines, size = into.shape
    units = group(target, "unit", "unit", size, **registers)
    sources = group(target, "line", "row_input", lines)
    pieces = [projection(target, "row", sources, units, w=into)]
    weights = np.zeros((ROWS, ROWS), int)
    weights[size : size + lines, :size] = into
    if back is not None:
        pieces.append(projection(target, "unit_row", units, units, w=back))
        weights[:size, :size] = back
    network = place_identity(Network(target, (sources, units), tuple(pieces)))
    words = np.full(ROWS, 0x80FFF000)
    p = units.parameters
    words[:size] = (p["initial"] & 0xFFF) | p["threshold"] << 12 | p["leak"] << 24 | p["disable"] << 31
    core = Crossbar(words, weights, size - 1, alone=back is None)
    events = np.array(events)
    counts, states = np.zeros((len(events), 1, size), int), np.zeros((len(events), 1, size), int)
    for step, row in enumerate(events):
        before = len(core.spikes)
        core.run([size + line for line, times in enumerate(row) for _ in range(times)] + [ALL])
        np.add.at(counts[step, 0], [n for _, n in core.spikes[before:]], 1)
        states[step, 0] = core.v[:size]
    assert not core.endless
    inputs = {"line": events[:, None]}
    trace = Trace(MADE_BY, {"line": events[:, None], "unit": counts}, {"unit": {"v": states}}, GRADE)
    return Vector.of(name, claim, network, inputs, trace, courses=True)


def main(names):
    for name in names or CHIPS:
        on = datetime.now(UTC).date()
        vectors = [vector(chip(name), *parts) for parts in written()]
        write_golden(chip(name).path, vectors, made_by=MADE_BY, on=on, grade=GRADE)


if __name__ == "__main__":
    main(sys.argv[1:])

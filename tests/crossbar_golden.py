"""Golden vectors of chips that are one crossbar, recorded from the published RTL; as a script it writes golden.json.

The RTL is programmed by its own port with the files that the emitter writes, and gets the words that the emitter makes
of events: what comes back judges both. Each recording is compared with the straight loops beside this file.
Only on purpose, with Verilator and a folder of the RTL, which is no part of this project:
PYTHONPATH=. python tests/crossbar_golden.py FOLDER [chip ...]
"""

import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from straight_crossbar import Crossbar

from neurodeploy.chips import chip, target_folders
from neurodeploy.emit.crossbar import event_words, to_crossbar, write_crossbar, write_events
from neurodeploy.golden import Vector, write_golden
from neurodeploy.network import Network, Projection, group, place_identity, projection
from neurodeploy.simulator import Trace

MADE_BY = "tinyodin-rtl 1865653, simulated with Verilator 5.006 and programmed by its own port"
GRADE = "rtl"
BENCH = Path(__file__).parent / "golden_crossbar" / "bench.sv"
LEAK = 511
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
    yield (
        "lost",
        "a queue of 128, with the spike that is at work, loses the rest: 127 of 140 reach the last neuron",
        [[7] * 140 + [0], [0] * 140 + [0]],
        {(i, 140): -1 for i in range(140)},
        {"threshold": 7},
        [[1, 0], [0, 3], [1, 1]],
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


def network_of(target, into, back, registers):
    """Lines and units; weights are matrices, or {(source, target): weight}."""
    lines = group(target, "line", "row_input", len(into))
    units = group(target, "unit", "unit", len(into[0]), **registers)
    pieces = [projection(target, "row", lines, units, w=np.array(into))]
    if isinstance(back, dict):
        sources, targets = (np.array(ends) for ends in zip(*back, strict=True))
        pieces.append(Projection("unit_row", "unit", "unit", sources, targets, {"w": np.array([*back.values()])}, {}))
    elif back is not None:
        pieces.append(projection(target, "unit_row", units, units, w=np.array(back)))
    return place_identity(Network(target, (lines, units), tuple(pieces)))


def built(folder, into):
    """Program that simulates the RTL."""
    sources = sorted(str(f) for f in Path(folder).glob("*.v"))
    options = ["--binary", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--top-module", "bench", "--Mdir", into]
    line = ["verilator", *options, "-o", "bench", str(BENCH), *sources]
    subprocess.run(line, check=True, capture_output=True)  # noqa: S603
    return Path(into) / "bench"


def recorded(program, network, events):
    """Spikes of each step and final states of the RTL, compared with the straight loops; and how many were lost."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_crossbar(network, folder / "net.json")
        write_events(network, events[:, None], folder / "net.events.hex")
        done = subprocess.run([program], cwd=folder, capture_output=True, text=True, check=True, timeout=900)  # noqa: S603
        words = event_words(network, events[:, None])
        assert f"PASS {len(words)}" in done.stdout
        spikes = [tuple(map(int, line.split())) for line in (folder / "net.spikes.txt").read_text().splitlines()]
        final = [int(w, 16) for w in (folder / "net.final.hex").read_text().split() if len(w) == 8]
    core = core_of(to_crossbar(network))
    core.run(words)
    assert (core.spikes, core.final_words()) == (spikes, final)
    size = network.group("unit").size
    counts, step = np.zeros((len(events), 1, size), int), np.cumsum([0, *(w == LEAK for w in words)])
    np.add.at(counts, (step[[e for e, _ in spikes]], 0, [n for _, n in spikes]), 1)
    return counts, np.array(core.v[:size]), core.lost


def core_of(content):
    """Straight loops on the words of an emitted file."""
    words = [int(w, 16) for w in content["neurons"]]
    synapses = np.array([int(w, 16) for w in content["synapses"]])
    parts = synapses[:, None] >> 4 * np.arange(8) & 15
    weights = np.where(parts > 7, parts - 16, parts).reshape(len(words), len(words))
    return Crossbar(words, weights, content["last_neuron"], alone=bool(content["open_loop"]))


def vectors_of(target, program):
    for name, claim, into, back, registers, steps in written():
        network, events = network_of(target, into, back, registers), np.array(steps)
        counts, v, lost = recorded(program, network, events)
        sys.stderr.write(f"{name}: {counts.sum()} spikes, {lost} lost\n")
        inputs = {"line": events[:, None]}
        trace = Trace(MADE_BY, {**inputs, "unit": counts}, {"unit": {"v": v[None, None]}}, GRADE)
        yield Vector.of(name, claim, network, inputs, trace)


def main(folder, *names):
    with tempfile.TemporaryDirectory() as place:
        program = built(folder, place)
        for name in names or CHIPS:
            vectors = list(vectors_of(chip(name), program))
            write_golden(chip(name).path, vectors, made_by=MADE_BY, on=datetime.now(UTC).date(), grade=GRADE)


if __name__ == "__main__":
    main(*sys.argv[1:])

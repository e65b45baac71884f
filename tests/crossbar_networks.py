"""Words of a crossbar core as a network and a stimulus, and networks drawn at random."""

from dataclasses import dataclass

import numpy as np
from straight_crossbar import ALL, ROWS

from neurodeploy.network import Network, Projection, group, place_identity
from neurodeploy.simulator import Stimulus, simulate


@dataclass(frozen=True)
class Recording:
    """What goes into the core: neuron words, weights, highest neuron of a sweep, no loop, and words of the host."""

    words: np.ndarray
    weights: np.ndarray
    last: int
    alone: bool
    events: np.ndarray


def network_of(chip, recording):
    """The network of a recording, and the (neuron, weight) pairs of its virtual events, in the order of their lines."""
    words, last = np.asarray(recording.words, np.int64), recording.last
    v = words & 0xFFF
    registers = {
        "threshold": words >> 12 & 0xFFF,
        "leak": words >> 24 & 0x7F,
        "disable": words >> 31,
        "initial": np.where(v > 2047, v - 4096, v),
        "swept": (np.arange(ROWS) <= last).astype(int),
    }
    events = np.asarray(recording.events, np.int64)
    sent = events[(events >> 8 == 2) & (events >> 4 & 15 > 0)]
    pairs = sorted({(int(e) & 15, int(e) >> 4 & 15) for e in sent}) or [(0, 1)]
    unit = group(chip, "unit", "unit", ROWS, **registers)
    lines = [
        group(chip, n, n, s) for n, s in (("row_input", ROWS), ("leak_input", ROWS), ("virtual_input", len(pairs)))
    ]
    rows, targets = (a.ravel() for a in np.indices((ROWS, last + 1)))
    weights = {"w": np.asarray(recording.weights, np.int64)[:, : last + 1].ravel()}
    own, weight = np.arange(ROWS), np.array([w - 16 if w > 7 else w for _, w in pairs])
    pieces = [
        Projection("row", "row_input", "unit", rows, targets, weights, {}),
        Projection("single_leak", "leak_input", "unit", own, own, {}, {}),
        Projection(
            "virtual",
            "virtual_input",
            "unit",
            np.arange(len(pairs)),
            np.array([n for n, _ in pairs]),
            {"w": weight},
            {},
        ),
    ]
    if not recording.alone:
        pieces.append(Projection("unit_row", "unit", "unit", rows, targets, weights, {}))
    return place_identity(Network(chip, (*lines, unit), tuple(pieces))), pairs


def stimulus_of(recording, pairs):
    """The host's words as events: steps end with a global leak; index of each event's word, and of each step's leak."""
    columns, index, ends, step = [], [], [], 0
    for number, word in enumerate(np.asarray(recording.events, np.int64).tolist()):
        code, low = word >> 8, word & 0xFF
        if code & 1 and low == ALL & 0xFF:
            ends.append(number)
            step += 1
            continue
        virtual = code == 2 and low >> 4
        place = (
            (1, low)
            if code & 1
            else (2, pairs.index((low & 15, low >> 4)))
            if virtual
            else (0, low & (15 if code else 255))
        )
        columns.append((step, *place))
        index.append(number)
    steps, groups, neurons = np.array(columns, np.int64).reshape(-1, 3).T.copy()
    stimulus = Stimulus(step + 1, 1, steps, np.zeros(len(index), np.int64), neurons, groups)
    return stimulus, np.array([*index, -1]), np.array([*ends, -1])


def computed(chip, recording, executor):
    """Spikes as (word, neuron), final states and lost spikes; the last step has no leak."""
    network, pairs = network_of(chip, recording)
    stimulus, index, ends = stimulus_of(recording, pairs)
    seen = {}

    def look(step, phase, engine):
        if step == stimulus.steps - 1 and phase.name == "events":
            seen["v"], seen["lost"] = engine.states["unit"]["v"][0].tolist(), int(engine.lost[0])

    run = simulate(network, stimulus, executor=executor, observer=look, drain=0)
    spikes = run.events["unit"]
    spikes = spikes[(spikes["cause"] >= 0) | (spikes["step"] < stimulus.steps - 1)]
    words = np.where(spikes["cause"] >= 0, index[spikes["cause"]], ends[spikes["step"]])
    return list(zip(words.tolist(), spikes["neuron"].tolist(), strict=True)), seen["v"], seen["lost"]


def drawn(rng, *, events=40):
    """A core of every sort: few or all neurons in the sweep, inhibition that mostly settles, many thresholds."""
    many = bool(rng.random() < 0.4)  # rows that make many fire at once, and never fire themselves
    last = 255 if many else int(rng.choice([0, 7, 40, 255]))
    dense = rng.random() < 0.3
    weights = np.clip(np.rint(rng.normal(-1.2 if dense else 0, 3, (ROWS, ROWS))), -8, 7).astype(int)
    weights *= rng.random((ROWS, ROWS)) < (1.0 if dense else 4 / (last + 1))
    loud = rng.integers(ROWS, size=3)
    if many:
        weights = -np.abs(weights)
        weights[loud], weights[:, loud] = 7, -8
    threshold = rng.choice([rng.integers(1, 8), 7, 30, 2047, 2048, 4095], ROWS, p=[0.4, 0.3, 0.2, 0.04, 0.03, 0.03])
    v = rng.integers(-60, np.minimum(threshold, 60)) * (rng.random() < 0.6)
    if rng.random() < 0.25:  # what no deployment has: 0 fires at every update, and states begin beyond their threshold
        threshold[rng.random(ROWS) < 0.8] = 0
        v = rng.integers(-2048, 2048, ROWS) * (rng.random(ROWS) < 0.2)
    words = (v & 0xFFF) | threshold << 12 | rng.integers(0, 20, ROWS) << 24 | (rng.random(ROWS) < 0.1).astype(int) << 31
    kinds = rng.choice(4, events, p=[0.65, 0.15, 0.1, 0.1])
    low = np.where(many & (rng.random(events) < 0.2), rng.choice(loud, events), rng.integers(0, 256, events))
    sent = np.select([kinds == 0, kinds == 1, kinds == 2], [low, 0x1FF, 0x100 | low], 0x200 | low)
    return Recording(words, weights, last, not many and bool(rng.random() < 0.3), sent)

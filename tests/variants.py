"""The 22 misreadings of Xylo's rules that a suite must reject (reference, section 3.4), as edits of the chip file.

Each is what somebody could plausibly have built instead; those that mechanical mutation reaches stand here too, so that
the list is complete. ``descending`` is one of them: it changes the order of the hardware ids, not a text.
"""

import re
from dataclasses import replace

from mutants import edited

HIDDEN, OUTPUT = ("neuron", "hidden", "on", "step"), ("neuron", "output", "on", "step")
DASH = ("function", "dash(x, d)")
STEP = ("schedule", "step")


def at(raw, path):
    for part in path:
        raw = raw[part]
    return raw


def rewritten(raw, path, *pairs):
    """Edit of a text: every (old, new) must be found."""
    text = at(raw, path)
    for old, new in pairs:
        if old not in text:
            raise LookupError(f"{old!r} is not in {'.'.join(path)}")
        text = text.replace(old, new)
    return path, text


def cut_lines(raw, path, begins):
    """Edit of a text without the lines that begin so."""
    return path, "\n".join(line for line in at(raw, path).splitlines() if not line.strip().startswith(begins))


def two(raw):
    return "i2" in raw["neuron"]["hidden"]["state"]


def synapses(raw, text):
    """A line about i1, and the like about i2 where the chip has two synapses."""
    return "\n".join([text, re.sub(r"(?<=[a-z])1", "2", text)] if two(raw) else [text])


def currents(raw):
    return "i1 + i2" if two(raw) else "i1"


def delivered(raw, old, new):
    return [rewritten(raw, ("connection", kind, "on_input"), (old, new)) for kind in ("in", "rec", "out")]


def one_saturation(raw):
    """Currents grow beyond their width while events are delivered and are cut once."""
    wide = [(("neuron", "output", "state", "i1", "signed"), 32)]
    wide += [(("neuron", "hidden", "state", f"i{n}", "signed"), 32) for n in ((1, 2) if two(raw) else (1,))]
    add = "i1 = i1 + arriving * w1"
    return [
        *wide,
        (("connection", "in", "on_input"), synapses(raw, add)),
        (("connection", "rec", "on_input"), synapses(raw, add)),
        (("connection", "out", "on_input"), add),
        (("neuron", "hidden", "on", "begin"), "count = 0\n" + synapses(raw, "i1 = sat(i1, 16)")),
        (OUTPUT, "i1 = sat(i1, 16)\n" + at(raw, OUTPUT)),
    ]


def decay_first(raw):
    """Currents decay before the events of the step arrive."""
    decay = "i1 = i1 - dash(i1, dash_syn1)"
    return [
        cut_lines(raw, HIDDEN, ("i1 =", "i2 =")),
        cut_lines(raw, OUTPUT, ("i1 =",)),
        (("neuron", "hidden", "on", "decay"), synapses(raw, decay)),
        (("neuron", "output", "on", "decay"), decay),
        (STEP, ["hidden.decay", "output.decay", *at(raw, STEP)]),
    ]


def integration(sums):
    """The lines that integrate, as both texts have them."""
    return f"d = wrap(-dash(v, dash_mem), 16)\nd = sat(d + {sums}, 16)\nd = sat(d + bias, 16)\nv = sat(v + d, 16)"


def one_clamp(raw):
    sums = ((HIDDEN, currents(raw)), (OUTPUT, "i1"))
    return [rewritten(raw, p, (integration(s), f"v = sat(v - dash(v, dash_mem) + {s} + bias, 16)")) for p, s in sums]


def moved(raw, phase, behind):
    order = [p for p in at(raw, STEP) if p != phase]
    order.insert(order.index(behind) + 1, phase)
    return [(STEP, order)]


SCAN = ["hidden.step", "alias"]
VARIANTS = {
    "a shift that truncates": lambda raw: [rewritten(raw, DASH, ("else x >> d", "else shift_to_zero(x, d)"))],
    "no minus-one rule": lambda _: [(DASH, "x >> d")],
    "minus one at zero too": lambda raw: [rewritten(raw, DASH, ("x > 0", "x >= 0"))],
    "recurrent before input": lambda raw: moved(raw, "in", "rec"),
    "one saturation for each step": one_saturation,
    "currents that wrap": lambda raw: delivered(raw, "sat(", "wrap("),
    "one clamp on the whole sum": one_clamp,
    "bias inside the first clamp": lambda raw: [
        rewritten(raw, p, (f"d = sat(d + {s}, 16)\nd = sat(d + bias, 16)", f"d = sat(d + {s} + bias, 16)"))
        for p, s in ((HIDDEN, currents(raw)), (OUTPUT, "i1"))
    ],
    "a clamp after each synapse": lambda raw: [
        rewritten(raw, HIDDEN, ("d = sat(d + i1 + i2, 16)", "d = sat(d + i1, 16)\nd = sat(d + i2, 16)"))
    ],
    "decay before delivery": decay_first,
    "above the threshold only": lambda raw: [
        rewritten(raw, p, ("v >= threshold", "v > threshold")) for p in (HIDDEN, OUTPUT)
    ],
    "15 spikes at most": lambda raw: [rewritten(raw, HIDDEN, ("31 - count", "15 - min(count, 15)"))],
    "32 spikes at most": lambda raw: [
        rewritten(raw, HIDDEN, ("31", "32")),
        rewritten(raw, ("connection", "alias", "on_input"), ("31", "32")),
        (("neuron", "hidden", "state", "count", "unsigned"), 6),
    ],
    "input that is not cut at 15": lambda _: [
        (("neuron", "channel", "on", "step"), "count = external"),
        (("neuron", "channel", "state", "count", "unsigned"), 8),
    ],
    "31 output spikes": lambda raw: [
        rewritten(raw, OUTPUT, ("1 if v >= threshold else 0", "min(v // threshold, 31) if v >= threshold else 0")),
        (("neuron", "output", "state", "count", "unsigned"), 5),
    ],
    "no delay from hidden to output": lambda raw: moved(raw, "out", SCAN),
    "a shift that saturates": lambda raw: [
        rewritten(raw, ("connection", kind, "stored"), ("wrap(", "sat(")) for kind in ("in", "rec", "out")
    ],
    "an alias that waits for the whole scan": lambda raw: [
        (STEP, [q for p in at(raw, STEP) for q in (p if p == SCAN else [p])])
    ],
    "an alias beside the 31 spikes": lambda raw: [
        rewritten(raw, HIDDEN, ("31 - count", "31"), ("count = count + fired", "count = min(count + fired, 31)"))
    ],
    "reset to zero": lambda raw: [
        rewritten(raw, HIDDEN, ("v = v - fired * threshold", "v = 0")),
        rewritten(raw, OUTPUT, ("v = v - count * threshold", "v = 0 if count == 1 else v")),
    ],
    "no wrap at -32768": lambda raw: [
        rewritten(raw, p, ("d = wrap(-dash(v, dash_mem), 16)", "d = -dash(v, dash_mem)")) for p in (HIDDEN, OUTPUT)
    ],
}
ONLY_TWO = frozenset({"a clamp after each synapse"})  # says nothing about a neuron with one synapse


def variants(raw):
    """Every variant that the chip can have: name -> merged chip file."""
    return {n: edited(raw, *edits(raw)) for n, edits in VARIANTS.items() if two(raw) or n not in ONLY_TWO}


def descending(vector):
    """The same vector with hardware ids turned round: sources are scanned from the last to the first."""
    groups = tuple(replace(g, ids=g.ids.max() - g.ids) for g in vector.network.groups)
    return replace(vector, network=replace(vector.network, groups=groups))

"""The width contract: after every text of every chip each register holds what was written, proved once for each chip.

A text gets whatever its registers can hold. Where intervals do not show that it ends inside them, an SMT solver is
asked; where the chip's guards are needed for it, they are given; a sum is shown to hold as many synapses as can be.
What is left is checked in every simulation, and an example shows why.
"""

import math

import numpy as np
import pytest
from smt_equivalence import arriving

from neurodeploy.chips import chip, target_folders
from neurodeploy.proofs.rails import marked
from neurodeploy.proofs.smt import stays
from neurodeploy.step import NUMPY, PYTHON, Interval, final_intervals, parse, run
from neurodeploy.step.tree import read

#: What the guards of a chip keep, where registers alone do not keep a text inside: kind of neuron or connection, text.
GUARDED = {
    ("unit", "tick"): ("threshold_low <= v", "v < threshold_high", "bias <= 0"),
    ("convolve", "on_input"): (
        "threshold_low <= v",
        "v < threshold_high",
        "return_to_zero == 1 or w <= threshold_high",
    ),
}
#: States that a text can bring out of their registers, which a simulation refuses, with numbers that do it.
OPEN = {
    ("atrlif", "step", "r"): {"theta": -(2**31)},
    ("atrlif", "step", "theta"): {"theta": 2**31 - 1, "theta_step": 8388607, "r": -(2**31)},
}
#: Synapses of one neuron at least that an accumulator must hold.
SYNAPSES = 32_000
EXHAUSTIVE = 1_000_000


def subjects():
    """Every text once, with what it may read: (name, text, ranges, registers that it writes, kind and handler)."""
    seen = {}
    for name in target_folders():
        for spoken in ("", *chip(name).dialects):
            c = chip(name).dialect(spoken)
            for kind, handler, text, ranges, registers in texts(c):
                key = (kind, handler, text.source, tuple(sorted(ranges.items())))
                seen.setdefault(key, (f"{name}{'.' * bool(spoken)}{spoken}", kind, handler, text, ranges, registers))
    return list(seen.values())


def ranges_of(entries):
    return {n: e.interval for n, e in entries.items()}


def texts(c):
    for kind in c.neurons.values():
        ranges = ranges_of(kind.states) | ranges_of(kind.parameters)
        ranges |= {"external": kind.entry.external.interval} if kind.entry.external else {}
        for name, handler in kind.handlers.items():
            yield kind.name, name, handler.text, ranges, {n: kind.states[n].interval for n in handler.writes}
    for kind in c.connections.values():
        target = c.neurons[kind.target]
        own = ranges_of(target.states) | ranges_of(target.parameters) | ranges_of(kind.parameters)
        own |= ranges_of(kind.registers)
        synapse = stored_ranges(kind)
        given = own | synapse | {"arriving": arriving(c, kind)}
        for name, handler, known in (("on_input", kind.on_input, given), ("on_sum", kind.on_sum, own)):
            if handler is not None:
                written = ranges_of(kind.registers) | ranges_of(target.states)
                yield kind.name, name, handler.text, known, {n: written[n] for n in handler.writes}


def stored_ranges(kind):
    """What synapse fields can be as the chip keeps them: over the whole product of registers where that is small."""
    known = {n: r for n, r in (ranges_of(kind.fields) | ranges_of(kind.parameters)).items() if n != "delay"}
    if math.prod(r.high - r.low + 1 for r in known.values()) > EXHAUSTIVE:
        return {n: r for n, r in kind.stored_ranges.items() if n != "delay"}
    axes = np.meshgrid(*(np.arange(r.low, r.high + 1) for r in known.values()), indexing="ij", sparse=True)
    environment = dict(zip(known, axes, strict=True)) | {"delay": np.int64(0)}
    run(kind.stored.statements, environment, NUMPY)
    return {n: Interval(int(np.min(environment[n])), int(np.max(environment[n]))) for n in kind.fields if n != "delay"}


SUBJECTS = subjects()


def test_every_chip_and_dialect_has_texts_here():
    assert len(SUBJECTS) > 25
    assert {s[1] for s in SUBJECTS} >= {
        k.name for n in target_folders() for k in chip(n).neurons.values() if k.handlers
    }


def accumulates(text, name):
    """Whether a text is one line that adds to a name what does not depend on it."""
    (line, *more) = text.source.strip().splitlines()
    head, _, value = line.partition(f"{name} = {name} + ")
    return not more and not head and bool(value) and name not in value.replace("(", " ").replace(")", " ").split()


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: f"{s[0]}-{s[1]}-{s[2]}")
def test_a_text_leaves_every_register_inside_its_width(subject):
    _, kind, handler, text, ranges, registers = subject
    after = final_intervals(text, ranges)
    for name in sorted(n for n, r in registers.items() if not after[n].within(r)):
        if (kind, handler, name) in OPEN:
            continue
        if accumulates(text, name):
            part = final_intervals(text, ranges | {name: Interval(0, 0)})[name]
            most = max(-part.low, part.high)
            if handler == "on_input":
                assert registers[name].high // most >= SYNAPSES
            continue  # on_sum adds a whole sum: how many there are is a network's, whose ranges are proved
        given = [parse(f"holds = 1 if {words} else 0") for words in GUARDED.get((kind, handler), ())]
        known = {n: r for n, r in ranges.items() if n in set(read(text.statements)) | {name}}
        known |= {n: ranges[n] for g in given for n in read(g.statements)}
        assert stays(text, known, {name: registers[name]}, given=given, seconds=60).proved, name


@pytest.mark.parametrize("place", OPEN, ids=".".join)
def test_what_is_not_proved_does_leave_its_register_and_is_checked_at_run_time(place):
    kind, handler, name = place
    (entry,) = {id(c.neurons[kind]): c.neurons[kind] for c in map(chip, target_folders()) if kind in c.neurons}.values()
    environment = {n: max(e.interval.low, 0) for n, e in (entry.states | entry.parameters).items()} | OPEN[place]
    run(entry.handlers[handler].text.statements, environment, PYTHON)
    assert environment[name] not in entry.states[name].interval
    assert name in entry.handlers[handler].unproved


def test_the_solver_finds_a_number_that_leaves_a_register():
    text = parse("v = v - (v >> n) + 1")
    found = stays(text, {"v": Interval(-8, 7), "n": Interval(1, 3)}, {"v": Interval(-8, 7)})
    assert found.proved is False
    v, n = found.numbers["v"], found.numbers["n"]
    assert v - (v >> n) + 1 > 7
    assert stays(parse("v = v - (v >> n)"), {"v": Interval(-8, 7), "n": Interval(1, 3)}, {"v": Interval(-8, 7)}).proved


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda s: f"{s[0]}-{s[1]}-{s[2]}")
def test_what_a_rail_lets_through_fits_the_width_that_its_line_states(subject):
    """Behind sat and wrap stands what the line states, for all that registers hold: the table is what says it."""
    _, _, _, text, ranges, registers = subject
    for rail in marked(text, registers)[1]:
        if rail.kind in {"sat", "wrap"}:
            bits = (rail.limits.high + 1).bit_length()
            for value in (rail.limits.low - 1, rail.limits.high + 1, 2**40 + 3, -(2**40)):
                assert PYTHON[rail.kind](value, bits) in rail.limits
    assert ranges

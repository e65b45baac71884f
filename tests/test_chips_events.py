"""Chip files of chips that events drive: what they must and must not say."""

import numpy as np
import pytest
from command_line import run
from event_chip import PLAIN, chip_of, crossbar
from small_chip import SOUND, refused

from neurodeploy.chips import chip
from neurodeploy.chips.evidence import evidence_keys
from neurodeploy.simulator import simulate
from neurodeploy.step import check_names, parse

SPECKS = ("speck2f", "speck2e")


def faults(tmp_path, *changes):
    return refused(tmp_path, PLAIN, **{f"c{i}": change for i, change in enumerate(changes)})


def test_the_sound_file_is_accepted():
    c = chip_of(PLAIN)
    assert c.event_driven
    assert [p.name for p in c.schedule] == ["events", "cell.tick"]
    assert c.schedule[0].connections == ("row",)
    assert c.connections["row"].on_input.emits == c.neurons["cell"].handlers["tick"].emits == "spike"
    assert (c.lag("row", "cell"), c.delay("row", "line")) == (0, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('scan = "target"', ""), "scan = []; each of target once"),
        (('scan = "target"', 'scan = ["f", "ky", "kx"]'), "each of target once, the outermost loop first"),
        (('scan = "target"', 'scan = ["target", "-target"]'), "each of target once"),
        (('step = ["events", "cell.tick"]', 'step = ["cell.tick"]'), "phase 'events' is missing"),
        (('step = ["events", "cell.tick"]', 'step = ["events"]'), "phase 'cell.tick' is missing"),
        (('step = ["events", "cell.tick"]', 'step = ["events", "row", "cell.tick"]'), "phase = 'row'; one of events"),
        (('step = ["events", "cell.tick"]', 'step = [["events", "row"], "cell.tick"]'), "one phase: events deliver"),
        (('["events", "cell.tick"]', '["events", "cell.tick"]\nwhen_full = "drop"'), "without a depth"),
        (
            ('["events", "cell.tick"]', '["events", "cell.tick"]\nevery.events = { period = 2 }'),
            "schedule.every: phase 'events'",
        ),
        (('emits = "spike"', 'emits = "v"'), "emits = 'v', which is a state or a parameter"),
        (
            ("external = { holds = [0, 100] }", "external = { holds = [0, 100] }\nstate.n = { unsigned = 4 }"),
            "n of an input; no handler and no state",
        ),
        (
            ("v = sat(v + bias, 12)\nspike = 1 if v >= threshold else 0", "spike = 2 if v >= threshold else bias"),
            "spike can be -9..9; 0 or 1",
        ),
        (
            ("v = sat(v + bias, 12)\nspike = 1 if v >= threshold else 0\nif spike == 1:", "if v > 1:\n    spike = 1"),
            "'spike' is assigned only under a guard; a value for every event; assign 0 first",
        ),
        (
            ("synapse.w = { signed = 8 }", "synapse.w = { signed = 8 }\nsynapse.delay = { unsigned = 2 }"),
            "'delay' where events drive the chip; each event acts on its own, at once",
        ),
    ],
)
def test_each_fault_is_named(tmp_path, change, words):
    found = faults(tmp_path, change)
    assert any(words in fault for fault in found), found


def test_a_clocked_chip_has_no_queue_and_no_scan(tmp_path):
    found = refused(
        tmp_path,
        SOUND,
        queue=('step = ["channel.step"', 'queue = "depth"\nstep = ["channel.step"'),
        scan=("synapse.w = { signed = 6 }", 'synapse.w = { signed = 6 }\nscan = "target"'),
    )
    assert any('queue on a clocked chip; kind = "event", or none of these: nothing waits' in f for f in found)
    assert any("scan = ['target']; it belongs to schedule.kind = \"event\"" in f for f in found)


def test_a_tick_may_be_periodic():
    chip_ = chip_of(PLAIN + "every.'cell.tick' = { period = 3, offset = 1 }\n")
    run_ = simulate(crossbar(chip_, weights=[[0]], bias=1), np.zeros((6, 1, 2), int), record="v")
    assert run_.states["cell"]["v"].ravel().tolist() == [0, 1, 1, 1, 2, 2]


def test_what_is_kept_counts_as_read():
    text = parse("fire = 1", {})
    assert [f.code for f in check_names(text, states=(), readable=())] == ["ND1006"]
    assert check_names(text, states=(), readable=(), kept=["fire"]) == []


@pytest.mark.parametrize("name", SPECKS)
def test_both_specks_have_nine_cores_and_the_same_arithmetic(name):
    c = chip(name)
    for memory, total in (("kernel", 272 * 1024), ("neuron", 327_680), ("bias", 9 * 1024)):
        each = c.layer_core.memory[memory].each
        assert (len(each), sum(each)) == (9, total)
    assert c.raw["connection"] == chip(SPECKS[0]).raw["connection"]
    assert c.raw["neuron"] == chip(SPECKS[0]).raw["neuron"]


def test_what_may_be_emitted_keeps_the_unknowns_of_the_silicon_out():
    unit = chip("speck2f").neurons["unit"].parameters
    assert tuple(unit["threshold_high"].allowed) == (1, 32640)
    assert tuple(unit["threshold_low"].allowed) == (-32640, -1)
    assert tuple(unit["bias"].allowed) == (-32768, 0)
    assert 0 not in unit["threshold_low"].interval


@pytest.mark.parametrize("name", SPECKS)
def test_show_prints_every_number_erratum_and_unknown(name):
    c = chip(name)
    shown = run("targets", "show", name).out
    for place, key in evidence_keys(c.file):
        assert place in shown
        assert c.evidence[key].grade in shown
    assert all(line in shown for line in c.unknown)
    assert "4 * (n - 1)" in shown
    assert len(c.file.erratum) == 5
    assert "mirrored in x" in run("targets", "show", "speck2e").out
    assert "mirrored in x" not in run("targets", "show", "speck2f").out

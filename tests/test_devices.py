"""Sessions with a device that loses, delays, doubles and reorders events; recordings, and what verification says."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from event_networks import chain, random_input
from simulated_device import SimulatedDevice
from xylo_networks import events, small, with_parameter, with_weight

from neurodeploy import archive
from neurodeploy.bundles import ask, bundle, load_bundle, verify
from neurodeploy.bundles.recorded import compare_recording
from neurodeploy.chips import chip
from neurodeploy.devices import load_recording, record, save_recording
from neurodeploy.errors import Refusal
from neurodeploy.simulator import simulate

GIVEN = {"in": np.concatenate([events(samples=2), np.zeros((1, 2, 2), int)])}


def recorded(network=None, given=None, session=None, **line):
    network = network or small()
    device = SimulatedDevice(network, **line)
    return record(network, given or GIVEN, device, **(session or {}))


def found(recording, network=None, given=None):
    return compare_recording(network or small(), given or GIVEN, recording, executor="auto")[0]


# the session


def test_each_sample_is_run_from_a_reset_after_a_warm_up_and_with_a_drain():
    device = SimulatedDevice(small())
    recording = record(small(), GIVEN, device, sample_ids=["sa", "sb"], warm_up=2, drain=3, timeout_s=7.0)
    names = ["warm-up-0", "warm-up-1", "sa", "sb"]
    assert device.log[0] == ("announce", names)
    assert device.log[1:] == [entry for n in names for entry in ("reset", ("run", n, 13 + 3, 7.0))]
    assert [n.id for n in recording.notes] == ["sa", "sb"]
    assert (recording.warm_up, recording.drain, recording.steps) == (2, 3, 13)


def test_a_recording_states_device_firmware_sdk_chip_and_network():
    told = recorded().to_json()
    assert told["device"] == {
        "id": "simulated:0",
        "name": "stand-in board",
        "firmware": "1.4",
        "sdk": "stand-in 2.0",
        "grade": "silicon",
    }
    assert told["target"] == "xylo_audio3"
    assert told["complete"] is True
    assert told["groups"] == ["hid", "out"]
    assert told["events"] > 10


def test_an_unfinished_sample_is_run_again_and_the_attempts_are_counted():
    device = SimulatedDevice(small(), unfinished=2)
    recording = record(small(), GIVEN, device)
    assert [n.attempts for n in recording.notes] == [3, 1]
    assert recording.complete
    assert found(recording).exact


def test_a_sample_that_is_never_finished_makes_the_recording_incomplete_and_no_proof():
    recording = recorded(unfinished=9, session={"attempts": 2})
    assert not recording.complete
    comparison = found(recording)
    assert not comparison.exact
    assert "sample 's0': not finished in 2 attempts" in str(comparison)


def test_a_device_that_cannot_do_better_is_asked_once():
    assert [n.attempts for n in recorded(unfinished=9, again=False).notes] == [1, 1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sample_ids": ["a"]}, "2 different names"),
        ({"sample_ids": ["a", "a"]}, "2 different names"),
        ({"sample_ids": ["a", "b,c"]}, "without commas"),
        ({"sample_ids": ["a", "warm-up-0"]}, "none of which begins with 'warm-up'"),
        ({"warm_up": -1}, "warm_up = -1"),
        ({"drain": 1.5}, "drain = 1.5"),
        ({"attempts": 0}, "a whole number from 1 to 10,000"),
        ({"timeout_s": 0}, "seconds, above 0"),
        ({"timeout_s": float("inf")}, "seconds, above 0"),
        ({"jitter_steps": 1}, "0: this chip is clocked, a step is a step"),
    ],
)
def test_a_session_refuses_an_option_before_it_touches_the_device(options, words):
    device = SimulatedDevice(small())
    with pytest.raises(Refusal) as caught:
        record(small(), GIVEN, device, **options)
    assert caught.value.code == "ND9002"
    assert words in str(caught.value)
    assert device.log == []


def test_nothing_to_record_and_a_network_without_places_are_refused():
    with pytest.raises(Refusal, match="0 steps of 2 samples") as caught:
        record(small(), np.zeros((0, 2, 2), int), SimulatedDevice(small()))
    assert caught.value.code == "ND2001"
    unplaced = replace(small(), groups=tuple(replace(g, ids=None) for g in small().groups))
    with pytest.raises(Refusal) as caught:
        record(unplaced, GIVEN, SimulatedDevice(small()))
    assert caught.value.code == "ND1204"


# what happened on the line


def test_a_device_that_keeps_everything_is_exact_in_every_event_and_state():
    recording = recorded(states=True)
    comparison = found(recording)
    assert comparison.exact
    assert comparison.compared == 13 * 2 * (3 + 2 + 3 * 4 + 2 * 3)
    assert comparison.spikes == sum(v.sum() for v in recording.counts.values())


@cache
def rows_of():
    """Events of a sample in the order in which the simulated device sends them."""
    return [tuple(row) for row in recorded().arrived[0].tolist()]


def named(number):
    step, group, neuron, _ = rows_of()[number]
    return f"group {('hid', 'out')[group]!r}, neuron {neuron}, sample 's0', step {step}"


@pytest.mark.parametrize("lost", [(0,), (3,), (1, 5)])
def test_lost_events_are_counted_and_the_first_is_named(lost):
    comparison = found(recorded(lose=lost))
    assert not comparison.exact
    step, group, neuron, _ = rows_of()[lost[0]]
    difference = comparison.difference
    assert (difference.step, difference.group, difference.neuron) == (step, ("hid", "out")[group], neuron)
    number = sum(rows_of()[i][3] for i in lost) * 2  # both samples lose them
    events_lost = f"{number} events lost, the first at {named(lost[0])}"
    assert events_lost in str(comparison)
    assert "delayed" not in str(comparison)


def test_doubled_events_are_too_many():
    comparison = found(recorded(double=(2,)))
    assert f"{rows_of()[2][3] * 2} events too many, the first at {named(2)}" in str(comparison)


@pytest.mark.parametrize("steps", [1, 2])
def test_delayed_events_are_told_from_lost_ones_with_their_delay(steps):
    last = max(i for i, row in enumerate(rows_of()) if row[0] < 13)
    comparison = found(recorded(delay={last: steps}, session={"drain": 4}))
    assert not comparison.exact
    unit, number = "step" if steps == 1 else "steps", 2 * rows_of()[last][3]
    assert f"{number} events delayed by {steps} {unit}, the first expected at {named(last)}" in str(comparison)
    assert "lost" not in str(comparison)


@pytest.mark.slow  # .ci/run has it
def test_an_event_that_comes_while_the_host_drains_is_delayed_and_without_draining_it_is_lost():
    index, row = max(enumerate(rows_of()), key=lambda pair: (pair[1][0] < 13) * pair[0])
    past = 13 - row[0]
    listening = recorded(delay={index: past}, session={"drain": past + 1})
    assert f"delayed by {past} step" in str(found(listening))
    assert "lost" not in str(found(listening))
    deaf = recorded(delay={index: past}, session={"drain": 0})
    assert f"lost, the first at {named(index)}" in str(found(deaf))
    assert "delayed" not in str(found(deaf))


def test_a_thousand_million_events_in_a_step_are_counted_and_not_followed():
    recording = recorded()
    arrived = tuple(a.copy() for a in recording.arrived)
    arrived[0]["count"][0] += 10**9
    assert "1,000,000,000 events too many, the first at" in str(found(replace(recording, arrived=arrived)))


def test_early_events_are_named():
    first = rows_of()[0]
    assert first[0] > 0
    comparison = found(recorded(delay={0: -1}))
    assert f"early by 1 step, the first expected at {named(0)}" in str(comparison)


def test_the_order_inside_a_step_is_free_and_the_order_of_steps_is_not():
    rows = rows_of()
    inside = next(i for i in range(len(rows) - 1) if rows[i][0] == rows[i + 1][0])
    across = next(i for i in range(len(rows) - 1) if rows[i][0] < rows[i + 1][0])
    assert found(recorded(swap=(inside,))).exact
    recording = recorded(swap=(across,))
    assert (recording.notes[0].backward, recording.notes[0].furthest) == (1, rows[across + 1][0] - rows[across][0])
    comparison = found(recording)
    assert not comparison.exact
    assert "sample 's0': 1 events arrived after one of a later step" in str(comparison)
    assert "inside a step any order" in str(comparison)


def test_events_of_no_neuron_are_a_fault():
    assert "3 events of no neuron of the network" in str(found(recorded(strange=3)))


def test_events_that_were_waiting_from_before_are_noted():
    assert recorded(stale=4).notes[0].stale == 4


def test_a_group_that_the_device_does_not_report_is_left_out_by_name():
    comparison = found(recorded(groups=("out",)))
    assert comparison.exact
    assert "hid" in comparison.left_out


def test_a_device_that_reports_nothing_shows_nothing():
    recording = replace(recorded(), groups=(), arrived=tuple(a[:0] for a in recorded().arrived))
    comparison = found(recording)
    assert not comparison.exact
    assert [f.code for f in comparison.faults] == ["ND2001"]


@pytest.fixture(scope="module")
def driven():
    """A network on a chip that events drive, and an input."""
    rng = np.random.default_rng(1)
    network = chain(chip("speck2f"), rng, layers=1)
    given = random_input(network, rng, steps=4, batch=1, rate=0.6)
    assert sum(v.sum() for n, v in simulate(network, given).counts.items() if n not in given) > 5
    return network, given


def test_within_the_stated_jitter_a_chip_that_events_drive_may_move_events(driven):
    network, given = driven
    moved = {"delay": {0: 1}}
    free = recorded(network, given, {"jitter_steps": 1}, **moved)
    comparison, _, part = compare_recording(network, given, free, executor="auto")
    assert comparison.exact, str(comparison)
    assert part.startswith("the order inside a step is not compared; ")
    assert part.endswith(" events moved by at most 1 steps, as the recording states")
    strict = recorded(network, given, **moved)
    assert not found(strict, network, given).exact
    far = recorded(network, given, {"jitter_steps": 1, "drain": 4}, delay={0: 2})
    assert not found(far, network, given).exact


# another network, another input


@pytest.mark.parametrize(
    "changed",
    [with_weight(small(), "in", 0, 1, 102), with_parameter(small(), "hid", "threshold", 1, 101)],
    ids=["weight", "threshold"],
)
def test_a_network_that_is_off_by_one_differs_from_the_recording_at_a_named_place(changed):
    comparison = found(recorded(states=True), changed)
    assert comparison.difference is not None
    assert (comparison.difference.group, comparison.difference.neuron, comparison.difference.step) == ("hid", 1, 2)
    assert "the recording was made of another network" in str(comparison)


def test_equality_with_the_recording_of_another_network_shows_nothing():
    unseen = with_parameter(small(), "hid", "dash_mem", 2, 4)
    silent = {"in": np.zeros((4, 1, 2), int)}
    silent["in"][0, 0, 0] = 0
    comparison = found(recorded(given=silent), unseen, silent)
    assert not comparison.exact
    assert comparison.difference is None
    assert "of another network than" in str(comparison)


def test_another_input_another_chip_and_other_groups_are_refused():
    other = {"in": GIVEN["in"].copy()}
    other["in"][0, 1, 1] += 1
    assert "made with another input" in str(found(recorded(), given=other))
    assert "of a xylo_audio3; of a xylo_imu" in str(found(recorded(), small("xylo_audio2"))).replace("audio2", "imu")
    recording = recorded()
    assert "group 'hid' of 4 neurons; 3 neurons" in str(found(replace(recording, groups=(("hid", 4), ("out", 2)))))
    assert "group 'deep' of 3 neurons" in str(found(replace(recording, groups=(("deep", 3), ("out", 2)))))


# the file


def test_a_recording_is_read_back_as_it_was_and_gives_the_same_bytes(tmp_path):
    recording = recorded(states=True, session={"jitter_steps": 0})
    save_recording(recording, tmp_path / "a.npz")
    again = load_recording(tmp_path / "a.npz")
    assert again.to_json() == recording.to_json()
    assert [a.tolist() for a in again.arrived] == [a.tolist() for a in recording.arrived]
    save_recording(again, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert found(again).exact


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda h, _: h["about"].update(grade="gold"), "ND1401", "grade 'gold'"),
        (lambda h, _: h.pop("network"), "ND1401", "'network'"),
        (lambda h, _: h.update(schema_version=2), "ND1404", "this program reads 1"),
        (lambda h, _: h["notes"].pop(), "ND2301", "arrays of several lengths"),
        (lambda h, _: h["notes"][0].update(furthest="far"), "ND1401", "'far' where int belongs"),
        (lambda h, _: h["notes"][0].update(more=1), "ND1401", "a note with attempts, backward"),
        (lambda h, _: h["groups"][0].__setitem__(1, 10**30), "ND1401", "no number of neurons"),
        (lambda h, _: h.update(drain=-1), "ND1401", "-1, no number of neurons, steps or events"),
        (lambda h, _: h.update(drain=10**6), "ND2301", "drain = 1,000,000; at most 10,000 steps"),
        (lambda _, a: a["arrived.0"].__setitem__((0, 2), 99), "ND2301", "sample 's0': an event of no neuron"),
        (lambda _, a: a["arrived.1"].__setitem__((0, 3), 0), "ND2301", "sample 's1': an event of no neuron"),
        (lambda _, a: a.update({"arrived.0": a["arrived.0"].astype(float)}), "ND1401", "where integers belong"),
        (lambda _, a: a.pop("input.in"), "ND1401", "input.in"),
    ],
)
def test_a_recording_that_is_damaged_or_contradicts_itself_is_refused(tmp_path, change, code, words):
    save_recording(recorded(states=True), tmp_path / "a.npz")
    header, arrays = archive.read_arrays(tmp_path / "a.npz", what="neurodeploy recording", version=1)
    arrays = {n: v.copy() for n, v in arrays.items()}
    change(header, arrays)
    sealed = archive.seal({k: v for k, v in header.items() if k not in {"hashes", "digest"}}, arrays)
    archive.write_arrays(tmp_path / "a.npz", sealed, arrays)
    with pytest.raises(Refusal) as caught:
        load_recording(tmp_path / "a.npz")
    assert caught.value.code == code
    assert words in str(caught.value)


def test_a_part_of_a_recording_that_was_changed_is_named(tmp_path):
    save_recording(recorded(states=True), tmp_path / "a.npz")
    header, arrays = archive.read_arrays(tmp_path / "a.npz", what="neurodeploy recording", version=1)
    arrays = {n: v.copy() for n, v in arrays.items()}
    arrays["arrived.1"][0, 3] += 1
    header["about"]["firmware"] = "1.5"
    archive.write_arrays(tmp_path / "a.npz", header, arrays)
    with pytest.raises(Refusal) as caught:
        load_recording(tmp_path / "a.npz")
    assert [(f.code, f.where.rpartition(", ")[2]) for f in caught.value.faults] == [
        ("ND1403", "arrived.1"),
        ("ND1403", "header"),
    ]


def test_a_bundle_is_verified_against_a_recording_by_the_name_of_its_file(tmp_path):
    made = bundle(small(), events(samples=2), tmp_path / "a.nd")
    save_recording(record(small(), made.input, SimulatedDevice(small(), states=True)), tmp_path / "rec.npz")
    result = verify(tmp_path / "a.nd", against=str(tmp_path / "rec.npz"))
    assert result.exact
    check = result.checks[-1]
    assert (check.kind, check.grade) == ("recording", "silicon")
    assert check.version.startswith("stand-in board, firmware 1.4, stand-in 2.0, 20")
    assert json.loads(json.dumps(result.to_json()))["exact_against"][-1]["part"].startswith("the order inside a step")
    save_recording(record(small(), made.input, SimulatedDevice(small(), lose=(1,))), tmp_path / "rec.npz")
    result = verify(tmp_path / "a.nd", against=str(tmp_path / "rec.npz"))
    assert result.exit_status == 1
    assert "lost, the first at group" in str(result)
    assert load_bundle(tmp_path / "a.nd").input["in"].shape == (13, 2, 2)


def test_all_names_recordings_and_devices_that_nobody_named():
    left = [str(f) for f in ask(small(), {"in": GIVEN["in"][:3, :1]}, "all").left_out]
    assert any("give the file that neurodeploy record wrote: REC.npz" in text for text in left)
    assert any("give a device by its id: csv:..., samna:..." in text for text in left)
    named_alone = ask(small(), GIVEN, "device")
    assert [f.code for f in named_alone.missing] == ["ND9001"]


def test_a_recording_that_is_not_there_is_refused(tmp_path):
    (fault,) = ask(small(), GIVEN, str(tmp_path / "none.npz")).faults
    assert fault.code == "ND1401"

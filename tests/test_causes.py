"""Seven faults in random places of three targets: where each first shows, and what made it."""

import json

import numpy as np
import pytest
from event_networks import chain, random_input
from injections import CAUSES, EVENT, TARGETS, draw, equal, shown, target_of, truth
from xylo_networks import events, small, with_parameter, with_weight

from neurodeploy.chips import chip
from neurodeploy.simulator import Trace, simulate
from neurodeploy.verifier import compare
from neurodeploy.verifier.causes import CAUSES as TABLE
from neurodeploy.verifier.explanation import SHARE

PLACES = 20


def place(difference):
    return difference.step, difference.group, difference.neuron, difference.state


def judge(case, pair):
    """Whether the place is the true one, and whether the right cause comes first."""
    result = compare(*pair)
    assert not result.faults
    hints = result.explanation.hints
    return place(result.difference) == truth(case), bool(hints) and hints[0].cause == case.cause


@pytest.mark.parametrize("name", [TARGETS[0], *(pytest.param(n, marks=pytest.mark.slow) for n in TARGETS[1:])])
@pytest.mark.parametrize("cause", CAUSES)
def test_a_fault_is_found_where_it_is_and_named_for_what_it_is(cause, name):
    ((case, pair),), _ = shown(cause, name, 1)
    assert judge(case, pair) == (True, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("cause", CAUSES)
def test_twenty_random_places_are_found_exactly_and_nine_in_ten_are_explained(cause, name, count):
    found, drawn = shown(cause, name, PLACES)
    judged = [judge(case, pair) for case, pair in found]
    exact, right = (sum(column) for column in zip(*judged, strict=True))
    label = f"{cause} in {target_of(cause, name)}"
    count(f"faults {label}", len(found))
    count(f"faults {label}: right cause first", right)
    count(f"faults {label}: drawn until so many showed", drawn)
    assert exact == PLACES
    assert right >= 0.9 * PLACES


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("cause", CAUSES)
def test_what_somebody_else_shows_of_a_fault_is_explained_as_well(cause, name, count):
    found, _ = shown(cause, name, PLACES // 4)
    judged = 0
    for case, _ in found:
        result = compare(*case.traces())
        hints = result.explanation.hints
        judged += bool(hints) and hints[0].cause == cause
    count("faults in traces of others: right cause first", judged)
    assert judged >= 0.8 * len(found)


@pytest.mark.parametrize(
    ("cause", "name"), [("transposed-axes", EVENT), ("missing-bias", TARGETS[0]), ("wrap-or-saturate", TARGETS[0])]
)
def test_events_alone_tell_the_cause_although_states_parted_before(cause, name):
    judged = 0
    for case, (a, b) in shown(cause, name, 2)[0]:
        events_alone = Trace("somebody", b.counts, {})
        result = compare(a, events_alone)
        if result.difference is not None:
            judged += 1
            assert result.explanation.hints[0].cause == case.cause
            assert result.difference.step >= compare(a, b).difference.step
    assert judged >= 1


def test_the_table_has_the_seven_causes():
    assert sorted(cause.name for cause in TABLE) == sorted(CAUSES)


def test_a_fault_that_does_not_show_leaves_equal_runs_and_no_hint():
    silent = 0
    for name in TARGETS:
        for seed in range(8):
            case = draw("missing-bias", name, seed)
            a, b = case.runs()
            if equal(a, b):
                silent += 1
                result = compare(a, b)
                assert result.exact
                assert result.explanation is None
                assert result.to_json()["hints"] == []
                assert "hint" not in str(result)
    a = simulate(small(), events())
    assert compare(a, a).explanation is None
    assert silent > 0


def unknown(seed):
    """A weight that is off by one: nothing of the table."""
    network = small()
    rng = np.random.default_rng(seed)
    p = network.projections[int(rng.integers(3))]
    at = int(rng.choice(np.flatnonzero(p.fields["w1"])))
    value = int(p.fields["w1"][at]) + int(rng.choice([-1, 1]))
    return network, with_weight(network, p.kind, p.sources[at], p.targets[at], value)


def test_a_cause_that_is_not_in_the_table_is_not_guessed():
    judged = 0
    for seed in range(8):
        result = compare(*(simulate(n, events()) for n in unknown(seed)))
        if result.difference is not None:
            judged += 1
            assert result.explanation.hints == ()
            assert "no hint: of 7 known causes" in str(result)
            assert "none explains the difference" in str(result)
            assert result.to_json()["hints"] == []
    assert judged >= 3


def test_a_threshold_off_by_one_is_no_strict_comparison_where_the_residue_tells():
    changed = with_parameter(small(), "hid", "threshold", 1, 101)
    result = compare(simulate(small(), events()), simulate(changed, events()))
    assert all(hint.explained < 1 for hint in result.explanation.hints)


def test_a_hint_says_which_side_what_and_how_much():
    missing = with_parameter(small(), "hid", "bias", 2, 7)
    result = compare(simulate(missing, events()), simulate(small(), events()))
    (hint, *_) = result.explanation.hints
    assert (hint.cause, hint.side, hint.explained) == ("missing-bias", "first", 1.0)
    assert hint.change == "neuron 2 of 'hid': bias = 0"
    assert str(hint) == (
        "a bias is missing: the first run becomes the other one with neuron 2 of 'hid': bias = 0 "
        f"(explains 100% of {hint.values} differing values)"
    )
    assert json.loads(json.dumps(result.to_json()))["hints"][0] == hint.to_json()
    other = compare(simulate(small(), events()), simulate(missing, events()))
    assert [h.side for h in other.explanation.hints][:1] == ["second"]


def test_a_trace_without_a_network_on_either_side_gets_no_hint():
    counts = {"a": np.zeros((3, 1, 2), int)}
    result = compare(Trace("one", counts, {}), Trace("other", {"a": counts["a"] + 1}, {}))
    assert "no hint: without the network of one side nothing can be tried" in str(result)


def test_a_hint_explains_nearly_all_of_a_difference():
    assert SHARE == 0.9
    two = with_parameter(with_parameter(small(), "hid", "bias", 2, 7), "out", "bias", 0, 9)
    result = compare(simulate(two, events()), simulate(small(), events()))
    assert all(hint.explained >= SHARE for hint in result.explanation.hints)


# --- where events drive the chip


def test_the_place_in_a_map_is_given_as_channel_row_and_column():
    found, _ = shown("transposed-axes", EVENT, 1)
    ((case, pair),) = found
    difference = compare(*pair).difference
    shape = case.network.group(difference.group).shape
    assert difference.coordinates == tuple(int(i) for i in np.unravel_index(difference.neuron, shape))
    assert f"at {difference.coordinates}" in str(difference)
    assert difference.to_json()["coordinates"] == list(difference.coordinates)
    assert compare(*(simulate(n, events()) for n in unknown(0))).difference.coordinates == ()


def test_the_event_and_the_line_that_made_the_difference_are_named():
    ((case, pair),), _ = shown("transposed-axes", EVENT, 1)
    difference = compare(*pair).difference
    assert difference.phase == "events"
    assert difference.line == "v = max(v + w, threshold_low)"
    assert difference.where == f"{EVENT}, connection.convolve.on_input, line 1"
    source = {p.source for p in case.network.projections if p.target == difference.group}
    assert difference.source[0] in source
    assert difference.before[0] == difference.before[1]
    assert difference.notes[0].startswith("w is ")


def test_another_leak_is_found_at_the_tick():
    ((_, pair),), _ = shown("missing-bias", EVENT, 1)
    difference = compare(*pair).difference
    assert difference.phase == "unit.tick"
    assert difference.source is None
    assert difference.line == "v = max(v + bias, threshold_low)"


def test_another_input_of_events_is_found_in_the_input():
    network = chain(chip(EVENT), np.random.default_rng(4))
    counts = random_input(network, np.random.default_rng(4), rate=2)["in"]
    other = counts.copy()
    other[1, 0, 1] += 1
    difference = compare(simulate(network, counts), simulate(network, other)).difference
    assert place(difference) == (1, "in", 1, "event")
    assert difference.after == (int(counts[1, 0, 1]), int(other[1, 0, 1]))
    assert difference.notes == ("the inputs differ",)


def test_another_scan_order_is_named():
    differing = 0
    for seed in range(6):
        network = chain(chip(EVENT), np.random.default_rng(seed))
        counts = random_input(network, np.random.default_rng(seed), rate=2)
        runs = [simulate(network, counts, scan=scan) for scan in (None, ("-f", "-ky", "-kx"))]
        difference = compare(*runs).difference
        if difference is not None:
            differing += 1
            assert any("the scan orders differ" in note for note in difference.notes)
    assert differing > 0


def test_a_state_at_the_start_is_found_there():
    ((case, _),), _ = shown("latency", EVENT, 1)
    changed = with_parameter(case.network, "b", "initial", 2, 30)
    difference = compare(*(simulate(n, case.counts) for n in (case.network, changed))).difference
    assert (place(difference), difference.phase) == ((0, "b", 2, "v"), "start")
    assert difference.after == (0, 30)

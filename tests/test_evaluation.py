"""Accuracy: one rule, ties wrong, intervals from the formula."""

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.errors import Refusal
from neurodeploy.evaluation import DECISIONS, Tally, evaluate, wilson_interval


def output(*samples):
    """Counts (time, batch, class) from one list of steps for each sample."""
    return np.array(samples, dtype=np.int64).transpose(1, 0, 2)


#          step 0     step 1     step 2
RUN = output(
    ([0, 0, 1], [2, 0, 0], [0, 0, 0]),  # most: 0, first: 2
    ([0, 0, 0], [0, 1, 0], [0, 1, 0]),  # most: 1, first: 1
    ([1, 1, 0], [0, 0, 0], [0, 0, 0]),  # tie in both
    ([0, 0, 0], [0, 0, 0], [0, 0, 0]),  # silent: tie in both
    ([0, 1, 0], [1, 0, 0], [0, 0, 2]),  # most: 2, first: 1
)
LABELS = [0, 1, 0, 0, 2]


def refused(action, *codes):
    with pytest.raises(Refusal) as caught:
        action()
    assert [fault.code for fault in caught.value.faults] == ["ND1504"] * len(caught.value.faults)
    assert [fault.where for fault in caught.value.faults] == list(codes)
    return str(caught.value)


def test_most_spikes_decide_and_ties_are_wrong():
    result = evaluate(RUN, LABELS)
    assert result.rule == "spike_count"
    assert result.decision.tolist() == [0, 1, -1, -1, 2]
    assert (result.correct, result.total, result.accuracy) == (3, 5, 0.6)
    assert (result.ties, result.tie_id) == (2, (2, 3))


def test_the_earliest_spike_decides_and_ties_are_wrong():
    result = evaluate(RUN, LABELS, decision="first_spike")
    assert result.decision.tolist() == [2, 1, -1, -1, 1]
    assert (result.correct, result.ties) == (1, 2)


def test_a_spike_in_the_last_step_still_decides_first():
    assert evaluate(output(([0, 0], [0, 0], [0, 1])), [1], decision="first_spike").correct == 1


@pytest.mark.parametrize("rule", DECISIONS)
def test_a_silent_sample_is_a_tie_even_with_one_class(rule):
    assert evaluate(np.zeros((2, 1, 1), int), [0], decision=rule).decision.tolist() == [-1]
    assert evaluate(np.ones((2, 1, 1), int), [0], decision=rule).decision.tolist() == [0]


def test_steps_before_the_latency_do_not_count():
    early = output(([0, 5], [1, 0], [0, 0]))
    assert evaluate(early, [0]).correct == 0
    late = evaluate(early, [0], latency=1)
    assert (late.correct, late.latency) == (1, 1)
    assert evaluate(early, [0], latency=1, decision="first_spike").correct == 1


def test_a_run_brings_its_output_and_latency():
    run = SimpleNamespace(output=output(([0, 5], [1, 0], [0, 0])), latency=1)
    result = evaluate(run, [0])
    assert (result.correct, result.latency) == (1, 1)
    assert evaluate(run, [0], latency=1).latency == 1
    assert "2 is given, and the run has latency 1" in refused(lambda: evaluate(run, [0], latency=2), "latency")


@pytest.mark.parametrize("rule", DECISIONS)
@pytest.mark.parametrize("latency", [0, 3, 5])
def test_pieces_of_an_output_are_decided_like_the_whole(rule, latency):
    rng = np.random.default_rng(latency)
    output, labels = rng.integers(0, 2, (12, 40, 3)) * rng.integers(0, 2, (12, 40, 1)), rng.integers(0, 3, 40)
    whole = evaluate(output, labels, decision=rule, latency=latency)
    assert 0 < whole.ties < 40
    assert 0 < whole.correct < 40
    for cuts in ([1, 2, 7], [6, 6], list(range(12))):
        tally = Tally(rule, latency)
        for piece in np.split(output, cuts):
            tally.add(piece)
        assert evaluate(tally, labels).to_json() == whole.to_json()


def test_pieces_that_do_not_belong_together_are_refused():
    tally = Tally()
    tally.add(np.zeros((2, 3, 4), int))
    for piece in (np.zeros((2, 4, 4), int), np.zeros((2, 3), int), np.zeros((2, 3, 4))):
        with pytest.raises(Refusal, match=r"output: a piece of shape .*; \(time, 3, 4\) integers"):
            tally.add(piece)
    with pytest.raises(Refusal, match="perhaps 'first_spike' is meant"):
        Tally("first_spikes")
    with pytest.raises(Refusal, match="output spikes are"):
        evaluate(Tally(), [0])


def test_rows_of_the_confusion_are_labels_and_ties_are_in_no_column():
    confusion = evaluate(RUN, [0, 2, 0, 0, 2]).confusion
    assert confusion.tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 1]]
    assert confusion.sum() == 3


def test_counts_that_overflow_their_type_are_summed_in_int64():
    counts = np.array([[[100, 50]]] * 3, dtype=np.uint8)  # 300 and 150; in 8 bits 44 and 150
    assert evaluate(counts, [0]).correct == 1


def test_boolean_spikes_count():
    assert evaluate(RUN > 0, LABELS, decision="first_spike").correct == 1


# --- the interval -------------------------------------------------------------------------------------------------


def roots_of_the_score_equation(correct, total, z):
    """(p_hat - p)**2 == z**2 * p * (1 - p) / total, solved as a quadratic in p."""
    share = correct / total
    a, b, c = 1 + z * z / total, -(2 * share + z * z / total), share * share
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def test_wilson_interval_of_95_in_100_is_the_published_one():
    low, high = wilson_interval(95, 100, 0.95)
    assert (round(low, 4), round(high, 4)) == (0.8882, 0.9785)
    assert (low, high) == pytest.approx(roots_of_the_score_equation(95, 100, 1.959963984540054), abs=1e-12)


def test_wilson_interval_of_81_in_263_is_newcombes():
    # R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872, table I: method 3
    assert [round(end, 4) for end in wilson_interval(81, 263, 0.95)] == [0.2553, 0.3662]
    assert [round(end, 4) for end in wilson_interval(15, 148, 0.95)] == [0.0624, 0.1605]
    assert [round(end, 4) for end in wilson_interval(0, 20, 0.95)] == [0.0, 0.1611]
    assert [round(end, 4) for end in wilson_interval(1, 29, 0.95)] == [0.0061, 0.1718]


@settings(max_examples=100, deadline=None)
@given(total=st.integers(1, 10**6), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_the_interval_holds_the_accuracy_and_stays_in_zero_to_one(total, share, confidence):
    correct = round(share * total)
    low, high = wilson_interval(correct, total, confidence)
    assert 0 <= low <= correct / total <= high <= 1
    assert low < high


def test_the_ends_are_exact():
    for total in range(1, 200):
        assert wilson_interval(0, total, 0.95)[0] == 0.0
        assert wilson_interval(total, total, 0.95)[1] == 1.0


def test_more_confidence_is_a_wider_interval():
    narrow, wide = (evaluate(RUN, LABELS, confidence=c) for c in (0.9, 0.99))
    assert wide.low < narrow.low < narrow.accuracy < narrow.high < wide.high
    assert wide.confidence == 0.99


# --- another run --------------------------------------------------------------------------------------------------


def test_disagreements_are_the_ids_decided_differently_ties_included():
    ids = ["a", "b", "c", "d", "e"]
    other = RUN.copy()
    other[2, 2, 0] = 1  # sample c is no tie any more
    other[0, 4, 1] = 9  # sample e turns wrong
    other[0, 1, 1] = 7  # sample b has more spikes and the same decision
    one, two = evaluate(RUN, LABELS, sample_id=ids), evaluate(other, LABELS, sample_id=ids)
    result = evaluate(other, LABELS, sample_id=ids, against=one)
    assert result.disagreements == ("c", "e")
    assert result.points_lost == 0.0
    assert (two.disagreements, two.points_lost) == ((), None)


def test_points_lost_are_percentage_points_above_0_where_this_run_is_worse():
    better, worse = evaluate(RUN, LABELS), evaluate(RUN, [0, 1, 0, 0, 2], latency=1)
    assert (better.correct, worse.correct) == (3, 3)
    silent = evaluate(np.zeros_like(RUN), LABELS, against=better)
    assert silent.points_lost == 60.0
    assert evaluate(RUN, LABELS, against=evaluate(np.zeros_like(RUN), LABELS)).points_lost == -60.0


def test_samples_are_matched_by_id_and_not_by_place():
    order = [3, 1, 4, 0, 2]
    shuffled = evaluate(RUN[:, order], np.array(LABELS)[order], sample_id=order)
    result = evaluate(RUN, LABELS, against=shuffled)
    assert (result.disagreements, result.points_lost) == ((), 0.0)


def test_runs_of_other_samples_labels_or_rules_are_not_compared():
    one = evaluate(RUN, LABELS)
    words = refused(lambda: evaluate(RUN, LABELS, sample_id=[0, 1, 2, 3, 9], against=one), "against")
    assert "1 samples are missing in it, 1 are only in it (the first: 9)" in words
    words = refused(lambda: evaluate(RUN, [0, 1, 0, 1, 2], against=one), "against")
    assert "1 samples have another label in it (the first: 3)" in words
    words = refused(lambda: evaluate(RUN, LABELS, decision="first_spike", against=one), "against")
    assert "decided by spike_count, this run by first_spike" in words


def test_json_is_plain_and_complete():
    first = evaluate(RUN, LABELS, sample_id=["a", "b", "c", "d", "e"])
    result = evaluate(RUN, LABELS, sample_id=["a", "b", "c", "d", "e"], against=first)
    plain = json.loads(json.dumps(result.to_json()))
    assert plain == result.to_json()
    assert set(plain) == {field.name for field in dataclasses.fields(result)}
    assert plain["tie_id"] == ["c", "d"]
    assert plain["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 5), (3, 0, 3), (0, 5, 3), (3, 5, 0), (3, 5, 3, 1)])
def test_other_shapes_are_refused(shape):
    assert f"shape {shape}" in refused(lambda: evaluate(np.zeros(shape, int), LABELS), "counts")


def test_fractional_and_negative_counts_are_refused():
    assert "type float64" in refused(lambda: evaluate(RUN / 1, LABELS), "counts")
    negative = RUN.copy()
    negative[1, 2, 0] = -4
    assert "-4 is negative; counts are 0 or more" in refused(lambda: evaluate(negative, LABELS), "counts[1, 2, 0]")


def test_the_first_label_outside_the_classes_is_named():
    assert evaluate(RUN, [2] * 5).total == 5
    words = refused(lambda: evaluate(RUN, [2, 3, 0, 9, 2]), "labels[1]")
    assert "3 is no class (the first of 2); the run has the classes 0..2" in words
    refused(lambda: evaluate(RUN, [0, 0, 0, 0, -1]), "labels[4]")


@pytest.mark.parametrize("labels", [[0, 1], [[0, 1, 0, 0, 2]], [0.0, 1.0, 0.0, 0.0, 2.0], None])
def test_labels_of_another_shape_or_type_are_refused(labels):
    with pytest.raises(Refusal, match=r"^labels: .*\[ND1504\]"):
        evaluate(RUN, labels)


@pytest.mark.parametrize(("given", "near"), [("first", "first_spike"), ("spikecount", "spike_count")])
def test_an_unknown_rule_is_answered_with_the_nearest(given, near):
    words = refused(lambda: evaluate(RUN, LABELS, decision=given), "decision")
    assert f"decision: {given!r}; the rules are spike_count, first_spike; perhaps {near!r} is meant. [ND1504]" in words


def test_a_latency_that_leaves_no_step_is_refused():
    assert evaluate(RUN, LABELS, latency=2).total == 5
    for latency in (3, -1, 1.0):
        words = refused(lambda latency=latency: evaluate(RUN, LABELS, latency=latency), "latency")
        assert "a whole number from 0 to 2" in words


@pytest.mark.parametrize("confidence", [0, 1.0, 95, 95.0, float("nan")])
def test_a_confidence_that_is_no_fraction_is_refused(confidence):
    assert "write 0.95 for 95 %" in refused(lambda: evaluate(RUN, LABELS, confidence=confidence), "confidence")


def test_ids_that_do_not_fit_are_refused():
    refused(lambda: evaluate(RUN, LABELS, sample_id=[1, 2]), "sample_id")
    assert "1 occurs 2 times" in refused(lambda: evaluate(RUN, LABELS, sample_id=[1, 1, 2, 3, 4]), "sample_id")


def test_all_faults_come_at_once():
    places = ("latency", "labels[0]", "decision", "confidence", "sample_id")
    refused(
        lambda: evaluate(RUN, [7] * 5, latency=9, decision="x", confidence=2.0, sample_id=[0] * 5),
        *places,
    )

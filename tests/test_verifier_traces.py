"""Comparisons with the observations of others: traces that hold counts and some states."""

from dataclasses import replace

from verifier_places import FIRE, observed, place
from xylo_networks import events, small

from neurodeploy.verifier import compare

# --- observations of others


def test_one_changed_value_of_a_trace_is_found():
    run, trace = observed(small(), events(), lambda t: t.states["hid"]["v"].__setitem__((6, 0, 2), 13))
    difference = compare(run, trace).difference
    assert place(difference) == ("hid", 2, 6, "hidden.step", "v")
    assert difference.after == (12, 13)
    assert difference.before == (75, 75)
    assert difference.line == FIRE
    assert difference.source is None
    assert difference.sides == (run.trace().made_by, "somebody 1.0")
    assert compare(trace, run).difference.after == (13, 12)


def test_in_a_trace_counts_come_after_states_and_outputs_after_hidden_neurons():
    def change(trace):
        trace.counts["hid"][7, 0, 0] += 1
        trace.states["hid"]["v"][7, 0, 2] += 1
        trace.states["out"]["i1"][7, 0, 0] += 1
        trace.states["out"]["v"][8, 0, 0] += 1

    run, trace = observed(small(), events(), change)
    result = compare(run, trace)
    assert place(result.difference) == ("hid", 2, 7, "hidden.step", "v")
    assert result.differing == 4
    without = replace(trace, states={"out": trace.states["out"]})
    assert place(compare(run, without).difference) == ("hid", 0, 7, "hidden.step", "count")


def test_a_count_alone_names_the_line_that_counts():
    run, trace = observed(small(), events(), lambda t: t.counts["out"].__setitem__((3, 0, 0), 1), states=())
    difference = compare(run, trace).difference
    assert place(difference) == ("out", 0, 3, "output.step", "count")
    assert difference.line == "count = 1 if v >= threshold else 0"
    assert difference.where == "xylo_audio3, neuron.output.on.step, line 6"


def test_two_traces_are_compared_without_a_network():
    _, one = observed(small(), events())
    _, other = observed(small(), events(), lambda t: t.counts["out"].__setitem__((0, 0, 1), 9))
    assert compare(one, one).exact
    difference = compare(one, other).difference
    assert place(difference) == ("out", 1, 0, "", "events")
    assert difference.hardware_id is None
    assert difference.before == (None, None)
    assert difference.line == ""

"""Comparisons of two runs: every planted change is found where it acts first, and named."""

import json
from dataclasses import replace

import numpy as np
import pytest
from verifier_places import FIRE, observed, place
from xylo_networks import EVENT_STEP, STEPS, busy, events, small, with_alias, with_chip, with_parameter, with_weight

from neurodeploy.errors import Differs, Refusal
from neurodeploy.simulator import Trace, simulate
from neurodeploy.simulator.executors import STEPPING, NumpyExecutor
from neurodeploy.verifier import compare

ADD = "i1 = sat(i1 + arriving * w1, 16)"


def found(first, second, counts=None, record=("v", "i1")):
    """The difference of two networks on one input."""
    counts = events() if counts is None else counts
    result = compare(*(simulate(n, counts, record=record, drain=1) for n in (first, second)))
    assert not result.faults
    return result.difference


def after_phases(network, counts):
    """Values of all neurons after every phase, by (step, phase): what the truth is read from."""
    seen = {}

    def look(step, phase, engine):
        seen[step, phase.name] = {(k, s): v.copy() for k, many in engine.states.items() for s, v in many.items()}

    simulate(network, counts, executor="reference", observer=look)
    return seen


def truth(first, second, counts):
    """Step, phase, neuron kind, hardware id and states of the first difference, by looking at everything."""
    one, other = after_phases(first, counts), after_phases(second, counts)
    for at in one:
        hits = [(int(n), *k) for k in one[at] for n in np.flatnonzero(one[at][k][0] != other[at][k][0])]
        if hits:
            lowest, kind, _ = min(hits)
            return *at, kind, lowest, {state for n, _, state in hits if n == lowest}
    return None


# --- runs that are equal, and runs that cannot be compared


def test_identical_runs_are_exact():
    a, b = simulate(small(), events(), record=["v"]), simulate(small(), events(), record=["v"])
    result = compare(a, b)
    steps = STEPS + a.latency
    assert result.exact
    assert result.difference is None
    assert result.compared == steps * (2 + 3 + 2) + steps * (3 + 2)
    assert result.spikes == sum(int(a.counts[g].sum()) for g in ("hid", "out")) > 0
    assert str(result) == f"exact: {result.compared} values compared, {result.spikes} events among them."
    result.require()


def test_silence_is_exact_but_says_that_no_neuron_fired():
    silence = np.zeros((4, 1, 2), int)
    result = compare(simulate(small(), silence), simulate(small(), silence))
    assert result.exact
    assert result.spikes == 0
    assert str(result).endswith("no event among them: no neuron fired.")


@pytest.mark.parametrize("shape", [(0, 1, 2), (4, 0, 2)])
def test_comparing_no_value_is_not_exact(shape):
    run = simulate(small(), np.zeros(shape, int), drain=0)
    result = compare(run, run)
    assert not result.exact
    assert result.compared == 0
    with pytest.raises(Differs, match=r"no value of any neuron stands on both sides") as caught:
        result.require()
    assert caught.value.code == "ND2001"
    assert caught.value.exit_status == 1


def test_comparing_with_a_trace_of_the_input_alone_is_not_exact():
    run = simulate(small(), events())
    result = compare(run, Trace("somebody", {"in": run.counts["in"]}, {}))
    assert result.compared > 0
    assert not result.exact
    with pytest.raises(Differs, match="only the input was compared"):
        result.require()


def test_an_empty_trace_is_not_exact():
    assert not compare(simulate(small(), events()), Trace("nobody", {}, {})).exact


def test_runs_of_different_length_are_refused_with_both_shapes():
    result = compare(simulate(small(), events(), drain=0), simulate(small(), events(), drain=1))
    assert not result.exact
    assert result.compared == 0
    with pytest.raises(Refusal, match=r"hid\.count: shape \(12, 1, 3\) against \(13, 1, 3\)") as caught:
        result.require()
    assert {f.code for f in caught.value.faults} == {"ND2003"}
    assert len(caught.value.faults) == 3
    assert caught.value.values == {"first": [12, 1, 2], "second": [13, 1, 2]}


def test_runs_with_other_groups_are_refused():
    network = small()
    renamed = replace(
        network,
        groups=tuple(replace(g, name=g.name.replace("out", "readout")) for g in network.groups),
        projections=tuple(replace(p, target=p.target.replace("out", "readout")) for p in network.projections),
    )
    result = compare(simulate(network, events()), simulate(renamed, events()))
    assert [f.where for f in result.faults] == ["comparison, group 'out'", "comparison, group 'readout'"]
    assert result.faults[0].was == "only the first run has it"
    assert result.faults[1].was == "only the second run has it"


def test_a_trace_may_leave_a_group_out_but_not_invent_one():
    run = simulate(small(), events())
    partial = compare(run, Trace("somebody", {"out": run.counts["out"]}, {}))
    assert partial.exact
    assert partial.left_out == ("hid", "in")
    invented = compare(run, Trace("somebody", run.counts | {"hidden": run.counts["hid"]}, {}))
    assert not invented.exact
    assert "group 'hidden': unknown to the network; a group of the network: in, hid, out" in str(invented)


def test_a_trace_may_leave_a_state_out_but_not_invent_one():
    run = simulate(small(), events(), record=["v"])
    partial = compare(run, Trace("somebody", run.counts, {"hid": {"v": run.states["hid"]["v"]}}))
    assert partial.exact
    assert partial.left_out == ("out.v",)
    invented = compare(run, Trace("somebody", run.counts, {"hid": {"vmem": run.states["hid"]["v"]}}))
    assert "hid.vmem: unknown to the network; one of i1, i2, v, count" in str(invented)


def test_values_that_are_no_integers_are_refused_even_if_equal():
    run = simulate(small(), events())
    result = compare(run, Trace("somebody", {"out": run.counts["out"].astype(float)}, {}))
    assert not result.exact
    assert "out.count: values of type float64; integers" in str(result)


# --- one change, found in its place


def test_a_threshold_off_by_one_is_found_where_the_neuron_fires():
    changed = with_parameter(small(), "hid", "threshold", 1, 101)
    difference = found(small(), changed)
    assert place(difference) == ("hid", 1, EVENT_STEP, "hidden.step", "v")
    assert difference.before == (0, 0)
    assert difference.after == (0, 100)
    assert difference.line == FIRE
    assert difference.where == "xylo_audio3, neuron.hidden.on.step, line 9"
    assert difference.source is None
    assert difference.notes == ("threshold is 100 against 101", "only the first run executes this line")


def test_a_threshold_that_no_value_meets_makes_no_difference():
    changed = with_parameter(small(), "hid", "threshold", 1, 101)
    counts = events()
    counts[EVENT_STEP, :, 0] = 0
    assert found(small(), changed) is not None
    assert found(small(), changed, counts) is None


def test_a_weight_off_by_one_is_found_at_its_delivery_with_its_source():
    difference = found(small(), with_weight(small(), "in", 0, 1, 102))
    assert place(difference) == ("hid", 1, EVENT_STEP, "in", "i1")
    assert difference.before == (0, 0)
    assert difference.after == (101, 102)
    assert difference.line == ADD
    assert difference.where == "xylo_audio3, connection.in.on_input, line 1"
    assert difference.source == ("in", 0)
    assert difference.notes == ("w1 is 101 against 102",)


def test_a_recurrent_weight_off_by_one_is_found_one_step_after_the_event():
    difference = found(small(), with_weight(small(), "rec", 1, 2, 89))
    assert place(difference) == ("hid", 2, EVENT_STEP + 1, "rec", "i1")
    assert difference.after == (90, 89)
    assert difference.source == ("hid", 1)
    assert difference.line == ADD


def test_the_source_is_the_one_whose_event_differs_not_the_first_that_delivers():
    counts = np.zeros((4, 1, 2), int)
    counts[0] = [1, 1]
    two = replace(
        small(),
        projections=tuple(
            replace(p, fields=p.fields | {"w1": np.where(p.sources == 1, 30, p.fields["w1"])}) if p.kind == "in" else p
            for p in small().projections
        ),
    )
    difference = found(two, with_weight(two, "in", 1, 1, 31), counts)
    assert place(difference) == ("hid", 1, 0, "in", "i1")
    assert difference.after == (131, 132)
    assert difference.source == ("in", 1)


def test_an_output_weight_off_by_one_is_found_in_the_output():
    difference = found(small(), with_weight(small(), "out", 1, 1, 32))
    assert place(difference) == ("out", 1, EVENT_STEP + 1, "out", "i1")
    assert difference.after == (33, 32)
    assert difference.source == ("hid", 1)


def test_a_decay_of_the_current_off_by_one_is_found_in_the_line_that_decays():
    # i1 of output 1 is 33 after the first event: 33 - (33 >> 2) = 25 against 33 - (33 >> 3) = 29
    difference = found(small(), with_parameter(small(), "out", "dash_syn1", 1, 3))
    assert place(difference) == ("out", 1, EVENT_STEP + 1, "output.step", "i1")
    assert difference.before == (33, 33)
    assert difference.after == (25, 29)
    assert difference.line == "i1 = i1 - dash(i1, dash_syn1)"
    assert difference.notes == ("dash_syn1 is 2 against 3",)


def test_a_decay_of_the_membrane_off_by_one_is_found_in_the_line_that_adds():
    # v of hidden 1 is 99 from step 3 on; at step 4 it loses 99 >> 3 = 12 against 99 >> 4 = 6 and gains 98
    difference = found(small(), with_parameter(small(), "hid", "dash_mem", 1, 4))
    assert place(difference) == ("hid", 1, EVENT_STEP + 2, "hidden.step", "v")
    assert difference.before == (99, 99)
    assert difference.after == (99 - 12 + 98 - 100, 99 - 6 + 98 - 100)
    assert difference.line == "v = sat(v + d, 16)"
    assert difference.where.endswith("neuron.hidden.on.step, line 6")
    assert difference.notes == ("dash_mem is 3 against 4",)


def test_greater_instead_of_greater_or_equal_is_found_where_they_disagree():
    def change(raw):
        hidden = raw["neuron"]["hidden"]["on"]
        hidden["step"] = hidden["step"].replace("v >= threshold", "v > threshold")

    difference = found(small(), with_chip(small(), change))
    assert place(difference) == ("hid", 1, EVENT_STEP, "hidden.step", "v")
    assert difference.after == (0, 100)
    assert difference.line == FIRE
    assert difference.notes == (
        "the texts differ: line 7 is 'if v >= threshold:' against 'if v > threshold:'",
        "only the first run executes this line",
    )


def test_another_macro_is_named_although_the_lines_are_equal():
    def change(raw):
        raw["function"]["dash(x, d)"] = "x >> d"

    difference = found(small(), with_chip(small(), change))
    assert difference.line == "i1 = i1 - dash(i1, dash_syn1)"
    assert difference.after == (100, 101)
    assert "the texts call functions that the two chips define differently" in difference.notes


def test_a_delivery_that_is_a_phase_too_late_is_found_at_that_delivery():
    def change(raw):
        order = raw["schedule"]["step"]
        order.remove("out")
        order.insert(-1, "out")  # after the hidden neurons: no step of delay

    difference = found(small(), with_chip(small(), change))
    assert place(difference) == ("out", 1, EVENT_STEP, "out", "i1")
    assert difference.after == (0, 33)
    assert difference.source == ("hid", 1)
    assert difference.notes[0] == "no such event in the first run"
    assert difference.notes[1].startswith("the schedules differ: channel.step, in, rec, out, hidden.begin,")


def test_two_deliveries_in_another_order_are_equal_until_saturation_tells_them_apart():
    def change(raw):
        order = raw["schedule"]["step"]
        order[1], order[2] = order[2], order[1]

    assert found(small(), with_chip(small(), change)) is None
    differing = 0
    for seed in range(6):
        network = busy(np.random.default_rng(seed))
        shifted = tuple(replace(p, parameters={"shift": 8}) if p.kind == "in" else p for p in network.projections)
        network = replace(network, projections=shifted)
        counts = np.random.default_rng(seed).integers(0, 3, (8, 1, 3))
        difference = found(network, with_chip(network, change), counts)
        if difference is not None:
            differing += 1
            assert difference.phase == "in"
            assert difference.notes[-1].startswith("the schedules differ: channel.step, in, rec,")
    assert differing > 0


def test_a_delay_off_by_one_is_found_at_the_step_where_one_event_is_missing():
    def change(raw):
        raw["connection"]["rec"]["synapse"]["delay"] = {"unsigned": 3}

    delays = {"delay": np.ones(2, int)}
    links = (replace(p, fields=p.fields | delays) if p.kind == "rec" else p for p in small().projections)
    network = with_chip(small(), change, tuple(links))
    difference = found(network, with_weight(network, "rec", 1, 2, 2, field="delay"))
    assert place(difference) == ("hid", 2, EVENT_STEP + 2, "rec", "i1")
    assert difference.after == (90, 0)
    assert difference.source == ("hid", 1)
    assert difference.notes == ("no such event in the second run",)


def test_a_sum_is_traced_back_to_the_event_that_made_it_differ():
    def change(raw):
        raw["connection"]["out"] |= {
            "register": {"total": {"signed": 24}},
            "on_input": "total = total + arriving * w1",
            "on_sum": "i1 = sat(i1 + total, 16)",
        }

    network = with_chip(small(), change)
    difference = found(network, with_weight(network, "out", 1, 1, 32))
    assert place(difference) == ("out", 1, EVENT_STEP + 1, "out", "i1")
    assert difference.after == (33, 32)
    assert difference.line == "i1 = sat(i1 + total, 16)"
    assert difference.where == "xylo_audio3, connection.out.on_sum, line 1"
    assert difference.source == ("hid", 1)
    assert "w1 is 33 against 32" in difference.notes


def test_inside_a_scan_the_neuron_that_fired_comes_before_those_it_relays_to():
    network = with_alias(small(), [(1, 0)])  # backwards: neuron 0 has stepped when it receives
    difference = found(network, with_parameter(network, "hid", "threshold", 1, 101))
    assert place(difference) == ("hid", 1, EVENT_STEP, "hidden.step", "v")


def test_an_alias_that_only_one_network_has_is_found_with_its_source():
    difference = found(small(), with_alias(small(), [(1, 0)]))
    assert place(difference) == ("hid", 0, EVENT_STEP, "hidden.step", "count")
    assert difference.after == (0, 1)
    assert difference.source == ("hid", 1)
    assert difference.line == "count = min(count + arriving, 31)"
    assert difference.notes == ("no such event in the first run",)


def test_another_input_is_found_in_the_input():
    counts = events()
    counts[1, 0, 1] = 3
    difference = compare(simulate(small(), events()), simulate(small(), counts)).difference
    assert place(difference) == ("in", 1, 1, "channel.step", "count")
    assert difference.line == "count = min(external, 15)"
    assert difference.notes == ("external is 0 against 3",)


def test_the_first_difference_need_not_be_in_a_recorded_value():
    changed = with_parameter(small(), "hid", "dash_syn1", 1, 5)
    difference = found(small(), changed, record=())
    # 101 loses 101 >> 5 = 3 instead of 1: v = 98 does not fire
    assert place(difference) == ("hid", 1, EVENT_STEP, "hidden.step", "i1")
    assert difference.after == (100, 98)


def test_a_later_effect_leads_back_to_its_cause():
    changed = with_weight(small(), "rec", 1, 2, 80)
    a, b = (simulate(n, events()) for n in (small(), changed))
    first = next(t for t in range(STEPS) if any((a.counts[g][t] != b.counts[g][t]).any() for g in a.counts))
    assert first > EVENT_STEP + 1
    difference = compare(a, b).difference
    assert place(difference) == ("hid", 2, EVENT_STEP + 1, "rec", "i1")


def test_the_sample_is_named():
    counts = np.zeros((6, 3, 2), int)
    counts[3, 2, 0] = 1
    difference = found(small(), with_parameter(small(), "hid", "threshold", 1, 101), counts)
    assert (difference.sample, difference.step) == (2, 3)


def test_runs_that_went_on_from_a_state_are_replayed_from_it():
    head, tail = events()[:4], events()[4:]
    state = simulate(small(), head, drain=0).final
    changed = with_parameter(small(), "out", "threshold", 1, 41)
    whole = found(small(), changed)
    runs = (simulate(n, tail, state=state, record=["v", "i1"]) for n in (small(), changed))
    rest = compare(*runs).difference
    assert whole.step >= 4
    assert replace(whole, step=whole.step - 4) == rest


def test_states_that_differ_before_the_first_step_are_found_there():
    state = simulate(small(), events(), drain=0).final
    difference = compare(simulate(small(), events()), simulate(small(), events(), state=state)).difference
    assert (difference.step, difference.phase) == (0, "start")

    def change(raw):
        raw["neuron"]["output"]["state"]["v"]["start"] = 7

    difference = found(small(), with_chip(small(), change))
    assert place(difference) == ("out", 0, 0, "start", "v")
    assert difference.after == (0, 7)
    assert (difference.line, difference.where) == ("start = 0", "xylo_audio3, neuron.output.state.v")


def test_the_hardware_id_decides_which_neuron_comes_first():
    network = small()
    turned = replace(
        network,
        groups=tuple(replace(g, ids=g.ids[::-1].copy()) if g.name == "hid" else g for g in network.groups),
    )
    both = {"bias": np.array([5, 0, 5])}
    changed = replace(
        turned,
        groups=tuple(replace(g, parameters=g.parameters | both) if g.name == "hid" else g for g in turned.groups),
    )
    difference = found(turned, changed)
    assert (difference.neuron, difference.hardware_id, difference.step) == (2, 0, 0)


def test_another_placement_alone_makes_no_difference_here():
    network = small()
    turned = replace(
        network,
        groups=tuple(replace(g, ids=g.ids[::-1].copy()) if g.name == "hid" else g for g in network.groups),
    )
    assert compare(simulate(network, events()), simulate(turned, events())).exact
    difference = found(network, with_parameter(turned, "hid", "threshold", 1, 101))
    assert place(difference) == ("hid", 1, EVENT_STEP, "hidden.step", "v")
    assert difference.notes[-1] == "the placements differ"


def test_an_executor_at_fault_is_not_blamed_on_the_text(monkeypatch):
    class Broken(NumpyExecutor):
        name = "broken"

        def handle(self, handler, lane, widths, states, part, given):
            super().handle(handler, lane, widths, states, part, given)
            if "bias" in lane.parameters and "i2" in states:
                states["v"][states["v"] == 99] = 98

    monkeypatch.setitem(STEPPING, "broken", Broken())
    counts = events()
    a, b = (simulate(small(), counts, executor=e, record=["v"]) for e in ("numpy", Broken()))
    difference = compare(a, b).difference
    assert place(difference) == ("hid", 1, EVENT_STEP + 1, "hidden.step", "v")
    assert difference.after == (99, 98)
    assert difference.line == FIRE
    assert difference.notes == ("the reference finds no difference here: an executor is at fault",)
    assert difference.sides[1].endswith("(broken)")


def mutants(network, rng):
    """The network with one number off by one, each in another place."""
    for name, parameter in (("hid", "threshold"), ("hid", "dash_mem"), ("hid", "bias"), ("out", "dash_syn1")):
        g = network.group(name)
        neuron = int(rng.integers(g.size))
        yield with_parameter(network, name, parameter, neuron, g.parameters[parameter][neuron] + 1)
    for p in network.projections[:3]:
        at = int(rng.integers(len(p.sources)))
        value = p.fields["w1"][at]
        yield with_weight(network, p.kind, p.sources[at], p.targets[at], value + (1 if value < 127 else -1))


@pytest.mark.parametrize("seed", range(3))
def test_the_first_difference_is_the_one_that_a_look_at_everything_finds(seed):
    rng = np.random.default_rng(seed)
    network = busy(rng)
    counts = rng.poisson(0.6, (10, 1, 3))
    differing = 0
    for changed in mutants(network, rng):
        result = compare(*(simulate(n, counts, record=["v", "i1"]) for n in (network, changed)))
        if result.difference is None:
            continue
        differing += 1
        step, phase, kind, number, states = truth(network, changed, counts)
        difference = result.difference
        assert (difference.step, difference.phase) == (step, phase)
        assert network.group(difference.group).kind == kind
        if phase != "hidden.step":  # there an alias may reach a lower neuron
            assert difference.hardware_id == number
            assert difference.state in states
        assert f"{difference.state} =" in difference.line
    assert differing >= 3


# --- the words


def test_a_difference_is_one_readable_paragraph():
    difference = found(small(), with_weight(small(), "in", 0, 1, 102))
    assert str(difference) == (
        "group 'hid', neuron 1 (hardware id 1), sample 0, step 2, phase in: "
        "i1 = 101 in the first run, 102 in the second run, from 0 and 0 before; "
        "xylo_audio3, connection.in.on_input, line 1: i1 = sat(i1 + arriving * w1, 16); "
        "the event came from group 'in', neuron 0; w1 is 101 against 102."
    )


def test_a_difference_is_plain_data():
    changed = with_weight(small(), "in", 0, 1, 102)
    result = compare(simulate(small(), events()), simulate(changed, events()))
    data = json.loads(json.dumps(result.to_json()))
    assert data["exact"] is False
    assert data["difference"]["source"] == ["in", 0]
    assert data["difference"]["after"] == [101, 102]
    assert data["differing"] == result.differing > 0


def test_a_required_equality_says_how_many_values_differ_and_which_is_first():
    run, trace = observed(small(), events(), lambda t: t.counts["out"].__setitem__((3, 0, 0), 1), states=())
    result = compare(run, trace)
    with pytest.raises(Differs, match=rf"1 of {result.compared} values differ; the first: group 'out'") as caught:
        result.require()
    assert caught.value.code == "ND2002"
    assert caught.value.values["step"] == 3

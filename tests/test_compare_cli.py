"""The compare command, and the files of traces."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from command_line import refused, run
from xylo_networks import events, small, with_parameter

import neurodeploy as nd
from neurodeploy.bundles import bundle
from neurodeploy.errors import Refusal
from neurodeploy.events import data, save_data
from neurodeploy.network import save_network
from neurodeploy.simulator import Trace, simulate
from neurodeploy.verifier.traces import COLUMNS, load_trace, save_trace

CHANGED = ("hid", "bias", 2, 7)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Bundles of a network and of the same with another bias, traces of both, and the input."""
    tmp_path = tmp_path_factory.mktemp("compared")
    other = with_parameter(small(), *CHANGED)
    bundle(small(), events(), tmp_path / "a.nd")
    bundle(other, events(), tmp_path / "b.nd")
    for name, network in (("a", small()), ("b", other)):
        save_network(network, tmp_path / f"{name}.npz")
        made = simulate(network, events(), record=["v", "i1"], drain=1)
        save_trace(made, tmp_path / f"{name}-trace.npz")
        write_table(made, tmp_path / f"{name}.csv")
    save_data(tmp_path / "x.npz", data(events(), layout="time,batch,channel", dt_s=1e-3))
    return tmp_path


def write_table(observed, path, states=("v",)):
    with path.open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(COLUMNS)
        for group, counts in observed.counts.items():
            for step, sample, neuron in np.argwhere(counts):
                lines.writerow([step, sample, group, neuron, "events", counts[step, sample, neuron]])
        for group, many in observed.states.items():
            for name in states:
                for (step, sample, neuron), value in np.ndenumerate(many[name]):
                    lines.writerow([step, sample, group, neuron, name, value])


@pytest.mark.parametrize("other", ["b.nd", "b.npz", "b-trace.npz", "b.csv"])
def test_a_bundle_is_compared_with_a_bundle_a_network_and_traces(files, other):
    equal = run("compare", files / "a.nd", files / other.replace("b", "a", 1))
    assert equal.status == 0
    assert equal.out.startswith("exact: ")
    answer = run("compare", files / "a.nd", files / other)
    assert answer.status == 1
    assert "The first: group 'hid', neuron 2 (hardware id 2), sample 0, step 0" in answer.out
    # a trace shows no bias of which the network could say that it is missing; the other way round it does
    assert ("hint: a bias is missing: the second run" in answer.out) == (other in ("b.nd", "b.npz"))
    shown = run("compare", files / "b.nd", files / other.replace("b", "a", 1), "--json").json
    assert shown["exact"] is False
    assert shown["difference"]["group"] == "hid"
    assert shown["hints"][0]["cause"] == "missing-bias"
    assert shown["hints"][0]["side"] == "first"


def test_networks_run_on_the_input_that_is_given(files):
    answer = run("compare", files / "a.npz", files / "b.npz", "--input", files / "x.npz", "--json")
    assert (answer.status, answer.json["difference"]["neuron"]) == (1, 2)
    refused("ND9002", 2, "compare", files / "a.npz", files / "b.npz")


def test_two_traces_are_compared_without_a_network(files):
    assert run("compare", files / "a-trace.npz", files / "a-trace.npz").status == 0
    answer = run("compare", files / "a-trace.npz", files / "b-trace.npz")
    assert answer.status == 1
    assert "no hint: without the network of one side nothing can be tried" in answer.out


def test_comparing_nothing_fails(files):
    save_trace(Trace("nobody", {}, {"hid": {"v": np.zeros((0, 1, 3), int)}}), files / "empty.npz")
    save_trace(Trace("nobody", {"in": simulate(small(), events(), drain=1).counts["in"]}, {}), files / "input.npz")
    answer = run("compare", files / "empty.npz", files / "empty.npz")
    assert (answer.status, "ND2001" in answer.out) == (1, True)
    answer = run("compare", files / "a.nd", files / "input.npz")
    assert answer.status == 1
    assert "only the input was compared" in answer.out


def test_what_cannot_be_compared_is_no_answer(files):
    trace = load_trace(files / "a-trace.npz")
    save_trace(replace(trace, counts={g: v[:3] for g, v in trace.counts.items()}), files / "short.npz")
    answer = run("compare", files / "a.nd", files / "short.npz")
    assert answer.status == 2
    assert "shape (13, 1, 3) against (3, 1, 3)" in answer.out


def test_a_trace_comes_back_as_it_was_written_byte_for_byte(tmp_path):
    made = simulate(small(), events(), record=["v"])
    for name in ("one", "two"):
        nd.save_trace(made, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read = nd.load_trace(tmp_path / "one")
    assert read.made_by == made.trace().made_by
    assert nd.compare(made, read).exact


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"hid": np.zeros((2, 1, 3), int)}, "hid: an array of another name; counts.GROUP, states.GROUP.STATE"),
        ({"counts.hid": np.zeros((2, 3), int)}, r"counts.hid: shape \(2, 3\), type int64; \(time, batch, neuron\)"),
        ({"states.hid.v": np.zeros((2, 1, 3))}, "states.hid.v: shape .*, type float64"),
        ({"counts.hid": np.zeros((2, 1, 3), int), "schema_version": np.array(9)}, "schema_version 9; this program"),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(Refusal, match=words):
        load_trace(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["t,neuron"], "line 1: t,neuron; step,sample,group,neuron,name,value"),
        ([",".join(COLUMNS), "0,0,hid,0,v"], "line 2: 5 values; 6: step,sample,group"),
        ([",".join(COLUMNS), "0,0,hid,x,v,1"], "line 2: 0,0,hid,x,v,1; whole numbers"),
        ([",".join(COLUMNS), "0,-1,hid,0,v,1"], "line 2: .*places from 0 on"),
        ([",".join(COLUMNS), "0,0,hid,0,v,1", "0,0,hid,0,v,2"], "line 3: a second value of the same place"),
        ([",".join(COLUMNS), "0,0,hid,1,v,1"], "hid.v: 1 values of a state; one for each of"),
        ([",".join(COLUMNS), "9999999,0,hid,9999,events,1"], "at most 20,000,000 values in a table"),
    ],
)
def test_tables_of_another_kind_are_refused(tmp_path, rows, words):
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    with pytest.raises(Refusal, match=words):
        load_trace(tmp_path / "t.csv")


def test_a_table_of_more_than_the_run_has_is_refused(files):
    (files / "more.csv").write_text((files / "a.csv").read_text() + "99,0,hid,0,events,1\n")
    refused("ND2003", 2, "compare", files / "a.nd", files / "more.csv")

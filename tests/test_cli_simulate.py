"""The simulate command: counts and decisions, pieces, files of events, engines, the bar."""

import numpy as np
import pytest
from command_files import folder, made
from command_line import SAMPLES, STEPS, counts, data, run

import neurodeploy as nd
from neurodeploy.evaluation import DECISIONS
from neurodeploy.network import Convolution, Network, convolution, group, save_network

assert folder  # a fixture of every test here: commands write below the present folder at most
assert made

# simulate


def test_simulate_counts_events_and_decides(made):
    answer = run("simulate", made / "bundle.nd", made / "data.npz", "--json")
    assert (answer.status, answer.err) == (0, "")
    shown = answer.json
    direct = nd.simulate(nd.load_network(made / "bundle.nd" / "network.npz"), counts())
    result = nd.evaluate(direct, data().label)
    assert shown["events"] == {name: int(v.sum()) for name, v in direct.counts.items()}
    assert shown["events"]["3"] > 0
    assert shown["accuracy"] == result.accuracy
    assert (shown["steps"], shown["samples"], shown["latency"]) == (STEPS, SAMPLES, direct.latency)
    assert shown["decision"] == "spike_count"
    assert shown["unchecked"] is False


def test_simulate_prints_figures_for_people(made):
    answer = run("simulate", made / "bundle.nd", made / "data.npz")
    assert (answer.status, answer.err) == (0, "")
    shown = run("simulate", made / "bundle.nd", made / "data.npz", "--json").json
    assert f"{shown['events']['1']:,}" in answer.out
    assert f"{100 * shown['accuracy']:.1f} %" in answer.out
    assert "{" not in answer.out
    assert "[" not in answer.out


def test_simulate_takes_a_network_file_and_writes_the_output(made, folder):
    network = nd.load_network(made / "bundle.nd" / "network.npz")
    save_network(network, folder / "n.npz")
    assert run("simulate", "n.npz", made / "data.npz", "--out", "out.npz", "--executor", "reference").status == 0
    with np.load(folder / "out.npz", allow_pickle=False) as written:
        assert np.array_equal(written["output"], nd.simulate(network, counts()).output)
        assert written["sample_id"].tolist() == list(range(SAMPLES))


def test_simulate_without_labels_decides_nothing(made, folder):
    nd.save_data(folder / "plain.npz", nd.data(counts(), layout="time,batch,channel", dt_s=1e-3))
    assert "accuracy" not in run("simulate", made / "bundle.nd", "plain.npz", "--json").json


@pytest.mark.parametrize("count", [15, 16, 255])
def test_raw_takes_what_the_register_holds_and_says_so(made, folder, count):
    array = counts()
    array[2, 1, 0] = count
    nd.save_data(folder / "d.npz", data(array))
    answer = run("simulate", made / "bundle.nd", "d.npz", "--raw", "--json")
    assert answer.status == 0
    assert answer.json["unchecked"] is True
    assert run("simulate", made / "bundle.nd", "d.npz").status == (0 if count == 15 else 2)


@pytest.mark.parametrize("chunk", [1, 4, 1000])
@pytest.mark.parametrize("decision", DECISIONS)
def test_in_chunks_the_answer_and_the_file_are_the_same(chunk, decision, made, folder):
    command = ("simulate", made / "bundle.nd", made / "data.npz", "--json", "--decision", decision, "--out")
    whole, pieces = run(*command, "whole.npz"), run(*command, "pieces.npz", "--chunk", str(chunk))
    assert (whole.status, pieces.status, pieces.err) == (0, 0, "")
    assert whole.json | {"out": ""} == pieces.json | {"out": ""}
    assert whole.json["events"]["3"] > 0
    assert (folder / "whole.npz").read_bytes() == (folder / "pieces.npz").read_bytes()


def test_chunks_of_a_bare_array_have_no_labels(made, folder):
    np.save(folder / "x.npy", counts())
    shown = run("simulate", made / "bundle.nd", "x.npy", "--chunk", "3", "--json").json
    assert shown["events"] == run("simulate", made / "bundle.nd", made / "data.npz", "--json").json["events"]
    assert "accuracy" not in shown
    assert "single .npy array without names" in run("simulate", made / "bundle.nd", "x.npy").err


def test_chunks_of_a_file_of_events(folder):
    chip = nd.chip("speck2f")
    pixels = group(chip, "in", "pixel", (2, 6, 8))
    units = group(chip, "out", "unit", (1, 6, 8), threshold_high=1, threshold_low=-1)
    joined = convolution(chip, "convolve", pixels, units, Convolution((2, 6, 8), (1, 2, 1, 1)), w=[[[[1]], [[1]]]])
    network = nd.place_identity(Network(chip, (pixels, units), (joined,)))
    save_network(network, folder / "n.npz")
    events = nd.moving_edge(200, width=8, height=6, duration_us=9_500)
    nd.save_events(folder / "e.npz", events)
    command = ("simulate", "n.npz", "e.npz", "--chunk", "3")
    shown = run(*command, "--dt-us", "1000", "--json", "--out", "out.npz").json
    assert (shown["steps"], shown["events"]) == (10, {"in": 200, "out": 200})
    with np.load(folder / "out.npz", allow_pickle=False) as written:
        assert np.array_equal(written["output"], nd.simulate(network, nd.stimulus(events, 1000)).output)
    assert "a file of events without --dt-us; the length of a time step; add --dt-us 1000" in run(*command).err
    assert "--dt-us without --chunk" in run("simulate", "n.npz", "e.npz", "--dt-us", "1000").err
    nd.save_data(folder / "x.npz", data(counts()))
    assert "dt_us for counts" in run("simulate", "n.npz", "x.npz", "--chunk", "3", "--dt-us", "9").err


def test_samples_that_are_shared_out_give_the_same_answer_and_file(made, folder):
    command = ("simulate", made / "bundle.nd", made / "data.npz", "--json", "--decision", "first_spike", "--out")
    whole, shared = run(*command, "whole.npz"), run(*command, "shared.npz", "--jobs", "2", "--progress")
    assert (whole.status, shared.status) == (0, 0)
    assert whole.json | {"out": ""} == shared.json | {"out": ""}
    assert "samples" in shared.err
    assert f"{SAMPLES}/{SAMPLES}" in shared.err
    assert (folder / "whole.npz").read_bytes() == (folder / "shared.npz").read_bytes()


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--engine", "dask"), 2, "a Dask cluster without address"),
        (("--engine", "dask", "--address", "tcp://127.0.0.1:9"), 3, "nobody answers at 'tcp://127.0.0.1:9'"),
        (("--engine", "spark"), 2, "engine = 'spark'; one of loky, dask"),
        (("--jobs", "2", "--chunk", "5"), 2, "--chunk with an engine; either pieces of time (--chunk), or parts"),
    ],
)
def test_an_engine_that_is_not_there_is_refused(options, status, words, made):
    answer = run("simulate", made / "bundle.nd", made / "data.npz", *options)
    assert (answer.status, words in answer.err) == (status, True)


def test_the_bar_is_on_stderr_and_only_where_it_is_asked_for(made):
    command = ("simulate", made / "bundle.nd", made / "data.npz", "--chunk", "2", "--json")
    quiet, shown = run(*command), run(*command, "--progress")
    assert quiet.err == ""
    total = quiet.json["steps"] + quiet.json["latency"]
    assert f"{total}/{total}" in shown.err
    assert shown.json == quiet.json


def test_the_decision_rule_is_that_asked_for(made):
    answer = run("simulate", made / "bundle.nd", made / "data.npz", "--decision", "first_spike", "--json")
    assert answer.json["decision"] == "first_spike"

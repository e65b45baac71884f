"""The simulator: two executors that agree, states that go on, and input that is refused in words."""

import dataclasses

import numpy as np
import pytest
from drawn_networks import CHIPS, networks, random_counts, random_network
from executor_names import CLOCKED
from hypothesis import given, settings

from neurodeploy.chips import chip
from neurodeploy.errors import Refusal
from neurodeploy.network import Network, group, place_identity, projection
from neurodeploy.simulator import Run, Simulation, simulate

EVERYTHING = ("v", "i1", "count")
XYLO = "xylo_audio3"


def refusal(*arguments, **options) -> Refusal:
    with pytest.raises(Refusal) as caught:
        simulate(*arguments, **options)
    return caught.value


def same(a: Run, b: Run) -> bool:
    return all(np.array_equal(a.counts[g], b.counts[g]) for g in a.counts) and all(
        np.array_equal(a.states[g][s], b.states[g][s]) for g in a.states for s in a.states[g]
    )


def layered(*sizes: int, threshold: int = 100, weight: int = 100, c=None) -> Network:
    """Inputs, hidden layers and outputs, all joined to all."""
    c = c or chip(XYLO)
    hidden = [
        group(c, f"h{i}", "hidden", n, threshold=threshold, dash_mem=1, dash_syn1=1) for i, n in enumerate(sizes[1:-1])
    ]
    out = group(c, "out", "output", sizes[-1], threshold=threshold)
    layers = [group(c, "in", "channel", sizes[0]), *hidden, out]
    kinds = ["in", *["rec"] * (len(hidden) - 1), "out"]
    projections = [
        projection(c, kind, a, b, w1=weight) for kind, a, b in zip(kinds, layers[:-1], layers[1:], strict=True)
    ]
    return place_identity(Network(c, tuple(layers), tuple(projections)))


def counts(*steps: int, channels: int = 1) -> np.ndarray:
    return np.array(steps).reshape(-1, 1, 1).repeat(channels, axis=2)


# --- executors --------------------------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None, derandomize=True)
@given(case=networks())
def test_the_numpy_executor_equals_the_python_executor(case):
    network, x = case
    fast = simulate(network, x, record=EVERYTHING, drain=1, executor="numpy")
    slow = simulate(network, x, record=EVERYTHING, drain=1, executor="reference")
    assert same(fast, slow)
    assert (fast.executor, slow.executor) == ("numpy", "reference")


@settings(max_examples=15, deadline=None, derandomize=True)
@given(case=networks())
def test_one_call_equals_two_calls(case):
    network, x = case
    whole = simulate(network, x, record=EVERYTHING, drain=0)
    for cut in (0, 1, 5):
        first = simulate(network, {n: a[:cut] for n, a in x.items()}, record=EVERYTHING, drain=0)
        rest = simulate(network, {n: a[cut:] for n, a in x.items()}, record=EVERYTHING, drain=0, state=first.final)
        for g in network.groups:
            joined = np.concatenate([first.counts[g.name], rest.counts[g.name]])
            assert np.array_equal(joined, whole.counts[g.name])
            for name, states in whole.states[g.name].items() if g.name in whole.states else ():
                assert np.array_equal(np.concatenate([r.states[g.name][name] for r in (first, rest)]), states)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(case=networks())
def test_samples_of_a_batch_do_not_meet(case):
    network, x = case
    both = simulate(network, x, drain=0)
    second = simulate(network, {n: a[:, 1:] for n, a in x.items()}, drain=0)
    assert all(np.array_equal(both.counts[g][:, 1:], second.counts[g]) for g in both.counts)


@pytest.mark.parametrize("c", CHIPS, ids=lambda c: c.name)
def test_random_networks_are_alive_and_meet_what_they_should(c):
    many = [random_network(c, seed) for seed in range(12)]
    runs = [simulate(n, random_counts(n, seed), drain=0) for seed, n in enumerate(many)]
    assert sum(r.output.any() for r in runs) > 3
    aliases = [
        (p, n.group(p.source).ids, n.group(p.target).ids) for n in many for p in n.projections if p.kind == "alias"
    ]
    steps = np.concatenate([b[p.targets] - a[p.sources] for p, a, b in aliases])
    assert (steps > 0).any()
    assert (steps < 0).any()
    assert (steps == 0).any()
    assert any(len(set(zip(p.sources, p.targets, strict=True))) < len(p.sources) for n in many for p in n.projections)


# --- states -----------------------------------------------------------------------------------------------------------


def test_without_a_state_a_run_starts_from_reset():
    network, x = layered(1, 3, 1), counts(3, 9, 0, 1)
    assert same(simulate(network, x), simulate(network, x))
    first = simulate(network, x, drain=0)
    assert not same(first, simulate(network, x, drain=0, state=first.final))


def test_going_on_leaves_the_given_state_alone():
    network, x = layered(1, 3, 1), counts(3, 9, 0, 1)
    state = simulate(network, x, drain=0).final
    assert same(simulate(network, x, state=state), simulate(network, x, state=state))


def test_spikes_on_their_way_are_part_of_the_state():
    network = layered(1, 1, 1, threshold=50)
    silent = counts(0, 0)
    first = simulate(network, counts(1), drain=0)
    assert first.counts["h0"].sum() > 0
    assert first.output.sum() == 0
    assert simulate(network, silent, drain=0, state=first.final).output[0, 0, 0] == 1
    assert simulate(network, silent, drain=0).output.sum() == 0


def test_the_state_of_another_batch_or_network_is_refused():
    network = layered(1, 3, 1)
    state = simulate(network, counts(1)).final
    error = refusal(network, np.zeros((1, 2, 1), int), state=state)
    assert error.code == "ND1301"
    assert len(error.faults) == 3
    assert (
        "xylo_audio3, state of 'output': found count int64[1, 1], i1 int64[1, 1], v int64[1, 1], 1 past steps"
        in str(error)
    )
    assert "count int64[2, 1]" in error.faults[0].must
    assert "go on with the state of the same network and batch" in str(error)
    other = random_network(CHIPS[-1], 1)
    assert refusal(other, random_counts(other, 1, batch=1), state=state).code == "ND1301"
    missing = dataclasses.replace(state, states={"hidden": state.states["hidden"]})
    assert "state of 'output': found nothing" in str(refusal(network, counts(1), state=missing))


# --- what is recorded -------------------------------------------------------------------------------------------------


def test_states_are_selected_by_name_by_kind_and_by_group():
    network = layered(1, 2, 3, 1)
    x = counts(1)
    assert {g: sorted(s) for g, s in simulate(network, x, record=["v"]).states.items()} == {
        "h0": ["v"], "h1": ["v"], "out": ["v"]
    }  # fmt: skip
    assert sorted(simulate(network, x, record=["hidden.v"]).states) == ["h0", "h1"]
    assert sorted(simulate(network, x, record=["h1.i2"]).states) == ["h1"]
    assert sorted(simulate(network, x, record=["i2", "out.v"]).states) == ["h0", "h1", "out"]
    assert sorted(simulate(network, x, record="i1").states) == ["h0", "h1", "out"]
    assert simulate(network, x).states == {}
    assert simulate(network, x, record=["h1.v"], drain=2).states["h1"]["v"].shape == (3, 1, 3)


@pytest.mark.parametrize("record", ["u", "h9.v", "out.i2", "channel.v", ""])
def test_an_unknown_state_is_refused(record):
    error = refusal(layered(1, 2, 1), counts(1), record=[record])
    assert error.code == "ND1303"
    assert f"simulate: record = {record!r}; one of h0.count, h0.i1, h0.i2, h0.v, in.count, out.count" in str(error)


@pytest.mark.parametrize(
    ("keep", "names"), [("outputs", ["out"]), ("h0", ["h0"]), (["out", "in"], ["in", "out"]), ((), []), (None, None)]
)
def test_counts_are_kept_of_the_groups_that_are_named(keep, names):
    network, x = layered(2, 3, 2), counts(3, 2, 3, channels=2)
    whole, run = simulate(network, x, record="h0.v"), simulate(network, x, record="h0.v", keep=keep)
    assert list(run.counts) == (list(whole.counts) if names is None else names)
    assert whole.output.any()
    assert all(np.array_equal(run.counts[g], whole.counts[g]) for g in run.counts)
    assert np.array_equal(run.states["h0"]["v"], whole.states["h0"]["v"])


def test_a_group_that_is_not_there_is_not_kept():
    words = str(refusal(layered(1, 1, 1), counts(1), keep=["out", "exit"]))
    assert words == "simulate: keep = 'exit'; 'outputs', or names of in, h0, out. [ND1303]"
    run = simulate(layered(1, 1, 1), counts(1), keep="h0")
    with pytest.raises(Refusal, match=r"the counts of out were not kept; all groups .*; keep=\"outputs\""):
        _ = run.output


def test_a_simulation_runs_again_and_again_from_reset():
    network, x = layered(1, 2, 1), counts(3, 3)
    simulation = Simulation(network)
    assert same(simulation.run(x), simulation.run(x))
    assert same(simulation.run(x), simulate(network, x))


def test_recorded_states_are_those_after_the_step():
    network = layered(1, 1, 1, threshold=1000, weight=64)
    run = simulate(network, counts(1, 0, 0), record=["v", "i1"], drain=0)
    assert run.states["h0"]["i1"][:, 0, 0].tolist() == [32, 16, 8]
    assert run.states["h0"]["v"][:, 0, 0].tolist() == [32, 32, 24]
    assert {s: v[0, 0] for s, v in run.final.states["hidden"].items()} == {"i1": 8, "i2": 0, "v": 24, "count": 0}


# --- input ------------------------------------------------------------------------------------------------------------


def test_fifteen_events_are_accepted_and_sixteen_refused():
    network = layered(2, 2, 1)
    x = counts(0, 15, channels=2)
    assert simulate(network, x).counts["in"].max() == 15
    x[1, 0, 1] = 16
    error = refusal(network, x)
    assert str(error) == (
        "xylo_audio3, input 'in': 16 events at step 1, sample 0, channel 1, and 0 more such places; 0..15 events per"
        " channel and step; bin the events into shorter steps, or clip them knowingly before. [ND1302]"
    )
    assert error.values == {"value": 16, "cap": 15, "count": 1}


def test_raw_takes_what_the_register_holds_and_stamps_the_run():
    network = layered(1, 2, 1)
    run = simulate(network, counts(255), raw=True)
    assert run.unchecked
    assert not simulate(network, counts(15)).unchecked
    assert run.counts["in"].max() == 15
    assert "0..255 events" in str(refusal(network, counts(256), raw=True))


WRONG_INPUT = {
    "negative": (np.array([[[-1]]]), "ND1302", "-1 events at step 0, sample 0, channel 0"),
    "float": (np.array([[[1.0]]]), "ND1301", "values of type float64; whole numbers of events"),
    "no batch": (np.array([[1]]), "ND1301", "shape (1, 1); (time, batch, 1); add a batch axis: x[:, None, :]"),
    "channels": (np.array([[[1, 2]]]), "ND1301", "xylo_audio3, input 'in': shape (1, 1, 2); (time, batch, 1)"),
    "ragged": ([[[1]], [[1], [2]]], "ND1301", "input 'in': rows of different lengths; (time, batch, 1)"),
    "text": (np.array([[["a"]]]), "ND1301", "values of type <U1"),
    "objects": (np.array([[[2**80]]]), "ND1301", "values of type object"),
    "too large": (np.array([[[2**63 + 1]]], np.uint64), "ND1302", "9223372036854775809 events"),
    "unknown group": ({"inn": np.array([[[1]]])}, "ND1301", "input for inn; one array for each of in"),
    "no group": ({}, "ND1301", "input for no group; one array for each of in"),
}


@pytest.mark.parametrize("name", WRONG_INPUT)
def test_wrong_input_is_refused_in_words(name):
    x, code, words = WRONG_INPUT[name]
    error = refusal(layered(1, 2, 1), x)
    assert error.code == code
    assert words in str(error)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, bool, np.uint64])
def test_whole_numbers_of_any_type_are_accepted(dtype):
    x = counts(1, 0, 1)
    assert same(simulate(layered(1, 2, 1), x.astype(dtype)), simulate(layered(1, 2, 1), x))


def test_no_step_and_no_sample_are_runs_too():
    network = layered(1, 2, 1)
    assert simulate(network, np.zeros((0, 2, 1), int), drain=0).output.shape == (0, 2, 1)
    assert simulate(network, np.zeros((3, 0, 1), int), drain=0).output.shape == (3, 0, 1)


def test_several_input_groups_take_one_array_each():
    c = chip(XYLO)
    a, b = group(c, "a", "channel", 1), group(c, "b", "channel", 2)
    h = group(c, "h", "hidden", 1, threshold=9999, dash_mem=15, dash_syn1=15)
    network = place_identity(
        Network(c, (a, b, h), (projection(c, "in", a, h, w1=1), projection(c, "in", b, h, w1=[[10], [100]])))
    )
    x = {"a": np.array([[[3]]]), "b": np.array([[[2, 1]]])}
    assert simulate(network, x, record=["i1"], drain=0).states["h"]["i1"].item() == 3 + 20 + 100 - 1
    assert "input for no group; one array for each of a, b" in str(refusal(network, {}))
    assert "input for a; one array for each of a, b" in str(refusal(network, counts(1)))
    assert "equal time and batch" in str(refusal(network, x | {"a": np.zeros((2, 1, 1), int)}))


def test_a_network_without_input_or_output_is_refused():
    c = chip(XYLO)
    network = place_identity(Network(c, (group(c, "h", "hidden", 1, threshold=1),), ()))
    assert "simulate: a network without an input group; at least one" in str(refusal(network, {}))
    network = place_identity(Network(c, (group(c, "in", "channel", 1),), ()))
    run = simulate(network, counts(1))
    with pytest.raises(Refusal, match=r"xylo_audio3, output: no group leaves the chip; .*; read counts"):
        _ = run.output


def test_unknown_options_are_refused():
    network = layered(1, 2, 1)
    known = ", ".join(("auto", *CLOCKED))
    assert f"executor = 'fpga'; one of {known}" in str(refusal(network, counts(1), executor="fpga"))
    assert "drain = -1; a number of steps, 0 or more" in str(refusal(network, counts(1), drain=-1))
    assert "drain = 1.5" in str(refusal(network, counts(1), drain=1.5))


def test_an_unplaced_network_is_refused():
    c = chip(XYLO)
    error = refusal(Network(c, (group(c, "in", "channel", 1), group(c, "h", "hidden", 1, threshold=1)), ()), counts(1))
    assert error.code == "ND1204"
    assert "groups without hardware ids: in, h; a placed network; call neurodeploy.map(network)" in str(error)

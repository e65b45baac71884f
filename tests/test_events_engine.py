"""Chips that events drive: two executors that agree, orders, queues, ticks, and the words of refusals."""

import dataclasses

import numpy as np
import pytest
from event_chip import PLAIN, WAITING, chip_of, crossbar
from event_networks import CONVOLVE, DRAWN, PIXEL, UNIT, branches, chain, random_input, same
from executor_names import EVENT
from hypothesis import given, settings
from hypothesis import strategies as st
from straight_line_events import run_straight

from neurodeploy.chips import chip
from neurodeploy.errors import Refusal, TextAtFault
from neurodeploy.network import Convolution, Network, convolution, group, place_identity
from neurodeploy.simulator import Stimulus, expand, scan_orders, simulate, simulate_orders

CHIP = chip("speck2f")
FIRST_REFERENCE = ["reference", *(name for name in EVENT if name != "reference")]
SCANS = scan_orders(CHIP, 48)
seeds = st.integers(0, 10**9)


def refusal(*arguments, **options):
    with pytest.raises(Refusal) as caught:
        simulate(*arguments, **options)
    return caught.value


def one_unit(weight=10, *, source=(1, 1, 1), target=None, **parameters):
    """An input map joined to one layer by a kernel of 1 x 1, or to as many units as ``target`` says."""
    given = {"threshold_high": 10, "threshold_low": -20} | parameters
    geometry = target or Convolution(source, (1, source[0], 1, 1))
    pixels, units = group(CHIP, "in", PIXEL, source), group(CHIP, "out", UNIT, geometry.target, **given)
    weights = np.broadcast_to(np.asarray(weight), geometry.kernel)
    return place_identity(
        Network(CHIP, (pixels, units), (convolution(CHIP, CONVOLVE, pixels, units, geometry, w=weights),))
    )


def course(*counts):
    return np.array(counts).reshape(len(counts), 1, -1)


# --- executors and models ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sort", [s if i == 0 else pytest.param(s, marks=pytest.mark.slow) for i, s in enumerate(DRAWN)]
)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=seeds, scan=st.sampled_from(SCANS), order=st.sampled_from(["breadth", "depth"]))
def test_every_executor_equals_the_reference_in_every_bit(sort, seed, scan, order):
    rng = np.random.default_rng(seed)
    network = DRAWN[sort](CHIP, rng)
    options = {"record": "v", "scan": scan, "order": order}
    x = random_input(network, rng)
    reference, *others = (simulate(network, x, executor=e, **options) for e in FIRST_REFERENCE)
    assert all(same(run, reference) for run in others)


@pytest.mark.parametrize("sort", DRAWN)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=seeds, scan=st.sampled_from(SCANS), newest_first=st.booleans())
def test_the_engine_equals_loops_that_were_written_apart(sort, seed, scan, newest_first):
    rng = np.random.default_rng(seed)
    network = DRAWN[sort](CHIP, rng)
    x = random_input(network, rng, batch=1)
    loops = [a if a.startswith("-") else f"+{a}" for a in scan[CONVOLVE]]
    counts, states = run_straight(network, x, loops=loops, newest_first=newest_first)
    run = simulate(network, x, record="v", scan=scan, order="depth" if newest_first else "breadth")
    for g in network.groups:
        assert np.array_equal(run.counts[g.name], counts[g.name])
    for name, many in states.items():
        assert np.array_equal(run.states[name]["v"], many["v"])


def test_drawn_networks_fire_in_every_layer():
    for draw in DRAWN.values():
        fired = {}
        for seed in range(20):
            rng = np.random.default_rng(seed)
            network = draw(CHIP, rng)
            run = simulate(network, random_input(network, rng))
            for g, counts in run.counts.items():
                fired[g] = fired.get(g, 0) + int(counts.sum())
        assert min(fired.values()) > 50


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=seeds, scan=st.sampled_from(SCANS))
def test_on_a_chain_breadth_and_depth_are_identical(seed, scan):
    rng = np.random.default_rng(seed)
    network = chain(CHIP, rng, layers=4)
    x = random_input(network, rng)
    breadth, depth = (simulate(network, x, record="v", scan=scan, order=o) for o in ("breadth", "depth"))
    assert same(breadth, depth)


def test_where_branches_meet_breadth_and_depth_differ():
    differing = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        network = branches(CHIP, rng)
        x = random_input(network, rng, steps=6, rate=2)
        breadth, depth = (simulate(network, x, record="v", order=o) for o in ("breadth", "depth"))
        differing += not same(breadth, depth)
    assert differing > 3


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=seeds)
def test_the_first_layer_is_the_same_in_every_scan_order(seed):
    rng = np.random.default_rng(seed)
    network = chain(CHIP, rng, layers=2)
    x = random_input(network, rng)
    runs = simulate_orders(network, x, SCANS)
    assert len(runs) == 48
    assert len({r.scans[0][CONVOLVE] for r in runs}) == 48
    assert all(np.array_equal(r.counts["l0"], runs[0].counts["l0"]) for r in runs)


@pytest.mark.parametrize("sort", DRAWN)
def test_orders_side_by_side_equal_single_runs(sort):
    rng = np.random.default_rng(5)
    network = DRAWN[sort](CHIP, rng)
    x = random_input(network, rng, steps=4)
    scans = scan_orders(CHIP, 5)
    stimulus = expand(x, network.inputs())
    for given_input in (x, next(iter(x.values())), stimulus):
        for scan, run in zip(scans, simulate_orders(network, given_input, scans, record="v"), strict=True):
            alone = simulate(network, given_input, record="v", scan=scan)
            assert same(run, alone)
            assert run.scans == alone.scans
            assert np.array_equal(run.stimulus.neuron, alone.stimulus.neuron)


@pytest.mark.parametrize("sort", DRAWN)
def test_one_call_equals_two_calls(sort):
    rng = np.random.default_rng(2)
    network = DRAWN[sort](CHIP, rng)
    x = random_input(network, rng, steps=6)
    whole = simulate(network, x, record="v")
    first = simulate(network, {n: v[:2] for n, v in x.items()}, record="v")
    rest = simulate(network, {n: v[2:] for n, v in x.items()}, record="v", state=first.final)
    for g in network.groups:
        assert np.array_equal(np.concatenate([first.counts[g.name], rest.counts[g.name]]), whole.counts[g.name])
    assert rest.final.step == 6


@pytest.mark.parametrize("sort", DRAWN)
def test_samples_of_a_batch_do_not_meet(sort):
    rng = np.random.default_rng(4)
    network = DRAWN[sort](CHIP, rng)
    x = random_input(network, rng, batch=3)
    whole = simulate(network, x)
    for sample in range(3):
        alone = simulate(network, {n: v[:, [sample]] for n, v in x.items()})
        assert all(np.array_equal(alone.counts[g][:, 0], whole.counts[g][:, sample]) for g in alone.counts)


# --- the rules, one by one --------------------------------------------------------------------------------------------


def test_threshold_is_inclusive_and_one_below_does_not_fire():
    assert simulate(one_unit(10), course([1], [1])).output.ravel().tolist() == [1, 1]
    assert simulate(one_unit(9), course([1], [0])).output.sum() == 0


def test_an_event_makes_one_spike_and_the_rest_stays():
    run = simulate(one_unit(25), course([1], [0], [1]), record="v")
    assert run.output.ravel().tolist() == [1, 0, 1]
    assert run.states["out"]["v"].ravel().tolist() == [15, 15, 30]


def test_return_to_zero_leaves_no_rest():
    run = simulate(one_unit(25, return_to_zero=1), course([1], [2]), record="v")
    assert run.output.ravel().tolist() == [1, 2]
    assert run.states["out"]["v"].sum() == 0


def test_the_lower_bound_holds_at_every_operation_not_once_a_step():
    network = one_unit([[[[-30]], [[9]]]], source=(2, 1, 1))
    run = simulate(network, course([2, 1]), record="v")
    assert run.states["out"]["v"].ravel().tolist() == [-11]


def test_the_leak_is_added_once_a_tick_through_zero_to_the_bound():
    run = simulate(one_unit(9, bias=-7), course([1], [0], [0], [0], [0]), record="v")
    assert run.states["out"]["v"].ravel().tolist() == [2, -5, -12, -19, -20]


def test_a_tick_does_not_fire():
    run = simulate(one_unit(9, bias=7), course([1], [0], [1]), record="v")
    assert run.output.ravel().tolist() == [0, 0, 1]
    assert run.states["out"]["v"].ravel().tolist() == [16, 23, 29]


def test_a_count_of_n_is_n_events():
    assert simulate(one_unit(4), course([5])).output.ravel().tolist() == [2]


def test_a_value_beyond_the_register_is_a_fault_of_the_text_in_every_executor():
    network = one_unit(127, threshold_high=1)
    for executor in EVENT:
        with pytest.raises(TextAtFault) as caught:
            simulate(network, course([400]), executor=executor)
        assert "v = 32768; the register holds -32768..32767" not in str(caught.value)  # reset keeps it below
        assert "the register holds -32768..32767" in str(caught.value)
    assert simulate(network, course([100])).output.sum() == 100


def test_events_are_listed_in_the_order_in_which_they_were_made():
    geometry = Convolution((1, 1, 2), (2, 1, 1, 2), padding=(0, 1))
    network = one_unit(10, source=(1, 1, 2), target=geometry)
    forwards, backwards = (
        simulate(network, course([1, 0]), scan=s).events["out"]["neuron"].tolist()
        for s in (("f", "ky", "kx"), ("-f", "ky", "-kx"))
    )
    assert (forwards, backwards) == ([1, 0, 4, 3], [3, 4, 0, 1])


def test_an_event_knows_what_caused_it():
    run = simulate(one_unit(5, source=(2, 1, 1)), np.array([[[1, 0], [0, 3]], [[1, 1], [1, 0]]]))
    assert run.events["out"].tolist() == [(4, 1, 0, 0), (2, 0, 1, 0), (6, 1, 1, 0)]
    assert run.stimulus.neuron.tolist() == [0, 1, 1, 1, 0, 1, 0]


def test_the_kernel_is_not_flipped_and_rows_are_not_columns():
    kernel = np.arange(1, 7).reshape(1, 1, 2, 3)
    geometry = Convolution((1, 3, 5), kernel.shape)
    network = one_unit(kernel, source=(1, 3, 5), target=geometry, threshold_high=1000)
    x = np.zeros((1, 1, 15), int)
    x[0, 0, 1 * 5 + 2] = 1  # row 1, column 2
    v = simulate(network, x, record="v").states["out"]["v"].reshape(2, 3)
    assert v.tolist() == [[6, 5, 4], [3, 2, 1]]


def test_input_may_have_the_shape_of_its_map_but_no_other():
    network = chain(CHIP, np.random.default_rng(0), source=(2, 4, 6))
    x = random_input(network, np.random.default_rng(0))["in"]
    assert same(simulate(network, x), simulate(network, x.reshape(*x.shape[:2], 2, 4, 6)))
    assert refusal(network, x.reshape(*x.shape[:2], 2, 6, 4)).code == "ND1301"


def test_each_projection_may_have_a_register_of_its_own():
    text = PLAIN.replace("v = sat(v + w, 12)", "v = sat(v + (w << gain), 12)").replace(
        "synapse.w = { signed = 8 }",
        'synapse.w = { signed = 8 }\nparam.gain = { holds = [0, 3], default = 0, per = "projection" }',
    )
    network = crossbar(chip_of(text), weights=[[5]], into=[[10], [20]])
    for number, gain in enumerate((2, 1)):
        pieces = list(network.projections)
        pieces[number] = dataclasses.replace(pieces[number], parameters={"gain": gain})
        network = dataclasses.replace(network, projections=tuple(pieces))
    for executor in EVENT:
        run = simulate(network, np.array([[[1, 0]], [[0, 1]], [[1, 0]]]), record="v", executor=executor)
        assert run.states["cell"]["v"].ravel().tolist() == [40, 10, 50]  # 40, 120: fires, 0 and 5 << 1 of its own


# --- queues, ticks that fire, hardware order: another chip ------------------------------------------------------------


def test_ticks_make_events_in_ascending_hardware_id_on_a_crossbar():
    network = crossbar(chip_of(PLAIN), weights=np.diag([50, 50, 50]), start=[10, 99, 10], bias=1)
    run = simulate(network, np.zeros((1, 1, 2), int))
    assert run.events["cell"]["neuron"].tolist() == [1]
    assert run.events["cell"]["cause"].tolist() == [-1]


@pytest.mark.slow  # compiles; .ci/run has it
@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=seeds, order=st.sampled_from(["breadth", "depth"]), waits=st.sampled_from([PLAIN, WAITING]))
def test_all_executors_agree_on_crossbars_with_queues_that_drop(seed, order, waits):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 9))
    network = crossbar(chip_of(waits), weights=rng.integers(-60, 45, (size, size)), rng=rng)
    x = rng.integers(0, 3, (4, 2, 2))
    slow, *others = (simulate(network, x, record="v", order=order, executor=e) for e in FIRST_REFERENCE)
    for run in others:
        assert same(run, slow)
        assert np.array_equal(run.lost, slow.lost)


def test_a_full_queue_loses_events_for_neurons_but_not_for_the_outside():
    weights = np.zeros((9, 9), int)
    weights[0, 1:] = 100
    weights[1:, 0] = -1
    run = simulate(
        crossbar(chip_of(WAITING), weights=weights, into=[[100] + [0] * 8] * 2), np.array([[[1, 0]]]), record="v"
    )
    assert run.counts["cell"].ravel().tolist() == [1] * 9
    assert run.lost.tolist() == [5]
    assert run.states["cell"]["v"].ravel()[0] == -3  # the event in work holds a place of four


def test_a_spike_that_meets_no_neuron_takes_a_place_only_where_any_spike_waits():
    weights = np.zeros((9, 9), int)
    weights[0, 1:] = 100
    quiet = projection_without(weights, nobody=range(1, 9))
    for waits, lost in (("spike", 0), ("any spike", 5)):
        target = chip_of(WAITING.replace('"spike"\ndepth', f'"{waits}"\ndepth'))
        for executor in EVENT:
            run = simulate(quiet(target), np.array([[[1, 0]]]), executor=executor)
            assert run.counts["cell"].ravel().tolist() == [1] * 9
            assert run.lost.tolist() == [lost]


def projection_without(weights, nobody):
    """A crossbar in which some neurons have no synapse at all."""

    def made(target):
        network = crossbar(target, weights=weights, into=[[100] + [0] * 8] * 2)
        into, own = network.projections
        kept = np.flatnonzero(~np.isin(own.sources, list(nobody)))
        fields = {n: v[kept] for n, v in own.fields.items()}
        own = dataclasses.replace(own, sources=own.sources[kept], targets=own.targets[kept], fields=fields)
        return dataclasses.replace(network, projections=(into, own))

    return made


def test_where_nothing_leaves_a_kind_its_spikes_do_not_wait():
    target = chip_of(WAITING.replace('"spike"\ndepth', '"any spike"\ndepth'))
    network = crossbar(target, weights=np.zeros((9, 9), int), into=[[100] * 9] * 2)
    open_ = dataclasses.replace(network, projections=network.projections[:1])
    for executor in EVENT:
        assert simulate(open_, np.array([[[1, 0]]]), executor=executor).lost.tolist() == [0]
        assert simulate(network, np.array([[[1, 0]]]), executor=executor).lost.tolist() == [6]


@pytest.mark.parametrize(("depth", "lost"), [(9, 0), (8, 1), (4, 5)])
def test_a_tick_fills_the_queue_to_its_end_as_no_event_is_at_work(depth, lost):
    target = chip_of(WAITING.replace("depth = 4", f"depth = {depth}"))
    network = crossbar(target, weights=np.full((9, 9), -1), start=[99] * 9, bias=1)
    for executor in EVENT:
        run = simulate(network, np.zeros((1, 1, 2), int), record="v", executor=executor)
        assert run.counts["cell"].ravel().tolist() == [1] * 9
        assert run.lost.tolist() == [lost]
        assert run.states["cell"]["v"].ravel().tolist() == [lost - 9] * 9
        full = chip_of(WAITING.replace("depth = 4", f"depth = {depth}").replace('"drop"', '"refuse"'))
        if lost:
            assert (
                refusal(dataclasses.replace(network, chip=full), np.zeros((1, 1, 2), int), executor=executor).code
                == "ND1304"
            )


def test_a_full_queue_stops_where_the_chip_says_so():
    weights = np.zeros((9, 9), int)
    weights[0, 1:] = 100
    weights[1:, 0] = -1
    text = WAITING.replace('when_full = "drop"', 'when_full = "refuse"')
    network = crossbar(chip_of(text), weights=weights, into=[[100] + [0] * 8] * 2)
    refused = refusal(network, np.array([[[1, 0]]]))
    assert refused.code == "ND1304"
    assert "the queue of events is full; at most 4 events that wait" in str(refused)


def test_activity_that_never_ends_is_refused(monkeypatch):
    monkeypatch.setattr("neurodeploy.simulator.event_engine.SETTLED_AFTER", 100)
    network = crossbar(chip_of(PLAIN), weights=np.full((2, 2), 127), into=[[127, 0]] * 2)
    refused = refusal(network, np.array([[[1, 0]]]))
    assert refused.code == "ND1304"
    assert "sample 0 caused more than 100 arrivals; activity that ends before the next input" in str(refused)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scan": ["f", "ky"]}, "scan of 'convolve': ['f', 'ky']; each of f, ky, kx once"),
        ({"scan": {"other": ["f"]}}, "connection kind 'other'; one of convolve"),
        ({"scan": ["f", "ky", "-ky"]}, "each of f, ky, kx once, the outermost loop first; a minus runs backwards"),
        ({"order": "width"}, "order = 'width'; one of breadth, depth"),
        ({"record": "fire"}, "record = 'fire'"),
    ],
)
def test_unknown_orders_are_refused(options, words):
    refused = refusal(one_unit(), course([1]), **options)
    assert refused.code == "ND1303"
    assert words in str(refused)


def test_options_of_the_other_sort_of_chip_are_refused():
    from test_simulator import layered

    clocked = layered(1, 1, 1)
    stimulus = Stimulus(1, 1, *(np.zeros(1, np.int64) for _ in range(3)))
    for given_input, options in ((course([1]), {"scan": ["f"]}), (course([1]), {"order": "depth"}), (stimulus, {})):
        assert "for a clocked chip; a chip that events drive" in str(refusal(clocked, given_input, **options))
    with pytest.raises(Refusal, match="scan orders of a clocked chip"):
        scan_orders(clocked.chip, 2)


def test_as_many_different_orders_as_there_are():
    assert len({s[CONVOLVE] for s in scan_orders(CHIP, 100)}) == 48
    assert [s["row"] for s in scan_orders(chip_of(PLAIN), 8)] == [("target",), ("-target",)]
    with pytest.raises(Refusal, match="0 orders; 1 or more"):
        scan_orders(CHIP, 0)


def test_input_that_no_pixel_has_is_refused():
    assert "neuron from 1 to 1; 0..0" in str(refusal(one_unit(), Stimulus(1, 1, *np.array([[0], [0], [1]]))))
    assert refusal(one_unit(), course([-1])).code == "ND1302"
    assert refusal(one_unit(), course([65536])).code == "ND1302"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (([0, 0], [0, 0], [0]), "neuron of type int64 and shape (1,)"),
        (([1, 0], [0, 0], [0, 0]), "event 1 of sample 0 goes back to step 0"),
        (([0, 2], [0, 0], [0, 0]), "step from 0 to 2; 0..1"),
        (([0, 0], [0, 1], [0, 0]), "sample from 0 to 1; 0..0"),
    ],
)
def test_a_stimulus_is_checked(columns, words):
    with pytest.raises(Refusal) as caught:
        Stimulus(2, 1, *(np.array(c) for c in columns))
    assert words in str(caught.value)


def test_an_unplaced_network_is_refused():
    network = one_unit()
    bare = dataclasses.replace(network, groups=tuple(dataclasses.replace(g, ids=None) for g in network.groups))
    assert refusal(bare, course([1])).code == "ND1204"

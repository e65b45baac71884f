"""Compiled code that follows events: equal to the tables in every bit, every state, every event and every refusal."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from event_chip import PLAIN, WAITING, chip_of, crossbar
from event_networks import CONVOLVE, DRAWN, PIXEL, UNIT, branches, chain, random_input, same
from hypothesis import given, settings
from hypothesis import strategies as st

from neurodeploy.chips import chip, target_folders
from neurodeploy.errors import Missing, Refusal, TextAtFault
from neurodeploy.network import Convolution, Network, convolution, group, place_identity, projection
from neurodeploy.simulator import Simulation, scan_orders, simulate, simulate_orders
from neurodeploy.simulator.follow import runner, whole
from neurodeploy.simulator.follow.layout import Layout
from neurodeploy.simulator.footprints import assemble_events

NUMBA = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason='numba is not installed: pip install "neurodeploy[fast]"'
)
CHIPS = [c for c in map(chip, target_folders()) if CONVOLVE in c.connections]
SCANS = scan_orders(CHIPS[0], 48)
ORDERS = ("breadth", "depth")
seeds = st.integers(0, 10**9)


def outcome(network, x, **options):
    """A run, or the words of its refusal."""
    try:
        return simulate(network, x, **options)
    except Refusal as refusal:
        return f"{type(refusal).__name__}: {refusal}"


def equal(network, x, reference="reference", **options):
    fast, slow = (outcome(network, x, executor=e, **options) for e in ("numba", reference))
    return fast == slow if isinstance(slow, str) or isinstance(fast, str) else same(fast, slow)


def layers(thresholds, weights, shape=(2, 4, 4), *, low=-100, zero=0):
    """A chain of 3 x 3 kernels, for the first chip."""
    rng = np.random.default_rng(0)
    groups, pieces = [group(CHIPS[0], "in", PIXEL, shape)], []
    for number, threshold in enumerate(thresholds):
        geometry = Convolution(groups[-1].shape, (3, groups[-1].shape[0], 3, 3), padding=(1, 1))
        given = {"threshold_high": threshold, "threshold_low": low, "return_to_zero": zero}
        groups.append(group(CHIPS[0], f"l{number}", UNIT, geometry.target, **given))
        kernel = rng.integers(*weights, geometry.kernel)
        pieces.append(convolution(CHIPS[0], CONVOLVE, *groups[-2:], geometry, w=kernel))
    return place_identity(Network(CHIPS[0], tuple(groups), tuple(pieces)))


# --- equal results ----------------------------------------------------------------------------------------------------


@NUMBA
@pytest.mark.parametrize("of", CHIPS, ids=lambda c: c.name)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=seeds, sort=st.sampled_from(sorted(DRAWN)), scan=st.sampled_from(SCANS), order=st.sampled_from(ORDERS))
def test_drawn_networks_are_equal_on_every_chip_that_events_drive(of, seed, sort, scan, order):
    rng = np.random.default_rng(seed)
    network = DRAWN[sort](of, rng)
    assert equal(network, random_input(network, rng), record="v", scan=scan, order=order)


def no_steps(*_):
    raise AssertionError("taken step by step")


LEAKING = (
    PLAIN.replace("spike = 1 if v >= threshold else 0\nif spike == 1:\n    v = 0\n'''", "'''", 1)
    + """
every."cell.tick" = { period = 3, offset = 1 }
"""
)


@NUMBA
@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=seeds)
def test_all_steps_at_once_are_equal_to_one_after_the_other(seed):
    rng = np.random.default_rng(seed)
    leaking = chip_of(LEAKING)
    lines = [group(leaking, f"line{i}", "line", 3) for i in range(2)]
    cells = [group(leaking, f"cell{i}", "cell", 4, bias=rng.integers(-9, 10, 4)) for i in range(3)]
    pairs = ((lines[1], cells[2]), (cells[2], cells[0]), (lines[0], cells[1]))
    pieces = [projection(leaking, "row", a, b, w=rng.integers(-60, 100, (a.size, b.size))) for a, b in pairs]
    groups = tuple(replace(g, ids=rng.permutation(20)[: g.size] + 20 * i) for i, g in enumerate((*cells, *lines)))
    network = Network(leaking, tuple(groups[i] for i in rng.permutation(5)), tuple(pieces))
    x = {g.name: rng.integers(0, 3, (7, 2, 3)) for g in lines}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurodeploy.simulator.registry.walk", no_steps)
        simulation = Simulation(network, executor="numba")
        first = simulation.run(x, record="v", keep=("cell0", "line1"))
        second = simulation.run(x, state=first.final, record="cell1.v")
    assert same(first, simulate(network, x, executor="reference", record="v", keep=("cell0", "line1")))
    assert same(second, simulate(network, x, executor="reference", record="cell1.v", state=first.final))
    seen = simulation.run(x, record="v", observer=lambda *_: None)
    assert same(seen, simulate(network, x, executor="reference", record="v"))


@NUMBA
@pytest.mark.parametrize("limit", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (50, 400))])
def test_an_input_that_causes_too_much_is_told_from_many_inputs(limit, monkeypatch):
    monkeypatch.setattr("neurodeploy.simulator.event_engine.SETTLED_AFTER", limit)
    network = layers((100, 300, 500), (20, 100))
    x = np.random.default_rng(1).poisson(1, (4, 2, 32))
    assert equal(network, x)
    refused = isinstance(outcome(network, x, executor="numba"), str)
    assert refused == (limit < 400)


@NUMBA
@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=seeds, order=st.sampled_from(ORDERS), text=st.sampled_from([PLAIN, WAITING]), drop=st.booleans())
def test_crossbars_are_equal_with_ticks_that_fire_loops_and_queues_that_overflow(seed, order, text, drop):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 9))
    chosen = chip_of(text if drop else text.replace('"drop"', '"refuse"'))
    weights = rng.integers(-60, 40, (size, size))
    start, bias = rng.integers(-50, 100, size), rng.integers(-9, 10, size)
    network = crossbar(chosen, weights=weights, start=start, bias=bias, rng=rng)
    assert equal(network, rng.integers(0, 3, (4, 2, 2)), record="v", order=order)


OPERATORS = PLAIN.replace(
    "v = sat(v + w, 12)",
    """
x = clip(v * w, -w * w, 900) // (1 + abs(w)) - shift_to_zero(v, 2) + (w << 1)
y = round_half_even(x, 3) if w > 3 and not v < 0 or w == 2 else scale2(w, 2 if v != 1 else -1)
v = wrap(min(x, y, 500) + max(-x, y) - (v >> 3), 12)
""",
)


@NUMBA
def test_every_operator_means_what_the_reference_says():
    into = np.arange(-128, 128).reshape(2, 128)
    network = crossbar(
        chip_of(OPERATORS), weights=np.zeros((128, 128), int), into=into, start=np.arange(128) * 30 - 2048
    )
    assert equal(network, np.random.default_rng(0).integers(0, 6, (3, 1, 2)), record="v")


@NUMBA
def test_narrow_lanes_are_taken_where_no_value_can_leave_them():
    for thresholds, weights, expected in (
        ((500, 1500), (-60, 100), ("int16", False)),
        ((500, 32700), (-60, 100), ("int32", False)),
        ((500, 60), (-60, 100), ("int32", True)),
    ):
        network = layers(thresholds, weights)
        plan = Layout(assemble_events(network)).plans[0].arriving[CONVOLVE]
        assert (plan.lanes, plan.checked) == expected
        rng = np.random.default_rng(1)
        x = rng.poisson(1, (40, 1, 32))
        assert equal(network, x, "numpy", record="v")
        assert simulate(network, x, executor="numba").counts["l0"].sum() > 0


@NUMBA
def test_a_state_outside_what_was_proved_gets_other_code():
    network = layers((500, 1500), (-60, 100))
    x = np.random.default_rng(1).poisson(1, (5, 1, 32))
    simulation = Simulation(network, executor="numba")
    first = simulation.run(x)
    assert len(simulation.memo["layout"].plans) == 1
    again = simulation.run(x, state=first.final)
    assert len(simulation.memo["layout"].plans) == 1
    assert same(again, simulate(network, x, state=first.final))
    first.final.states[UNIT]["v"][0, 0] = 32767
    assert same(simulation.run(x, state=first.final, record="v"), simulate(network, x, state=first.final, record="v"))
    assert len(simulation.memo["layout"].plans) == 2


@NUMBA
@pytest.mark.parametrize("draw", [branches, chain])
def test_orders_side_by_side_and_samples_in_threads_are_equal(draw, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(runner, "WORTH_A_THREAD", 1)
    monkeypatch.setattr(whole, "WORTH_A_THREAD", 1)
    rng = np.random.default_rng(3)
    network = draw(CHIPS[0], rng)
    x = random_input(network, rng, batch=3)
    for fast, slow in zip(
        *(simulate_orders(network, x, SCANS[:4], executor=e) for e in ("numba", "numpy")), strict=True
    ):
        assert same(fast, slow)


class _Reused(list):
    """Spaces of a machine that another thread takes and writes to as soon as they are given back."""

    def append(self, space):
        super().append(space)
        for values in vars(space).values():
            values[:] = 77


@NUMBA
@pytest.mark.parametrize("draw", [branches, chain])
@pytest.mark.parametrize("schedule", ORDERS)
def test_a_space_is_read_only_until_it_is_given_back(draw, schedule):
    rng = np.random.default_rng(4)
    network = draw(CHIPS[0], rng)
    x = random_input(network, rng, batch=2)
    simulation = Simulation(network, executor="numba", order=schedule)
    simulation.run(x)
    simulation.memo["layout"].spaces = _Reused()
    assert same(simulation.run(x), simulate(network, x, executor="numpy", order=schedule))
    assert simulation.memo["layout"].spaces


@NUMBA
@pytest.mark.parametrize("order", ORDERS)
def test_the_queue_and_the_output_grow_where_they_are_too_short(order, monkeypatch):
    monkeypatch.setattr(runner, "MADE_AT_ONCE", 1)
    monkeypatch.setattr(runner, "RING", 1)
    rng = np.random.default_rng(5)
    network = chain(CHIPS[0], rng, layers=4)
    assert equal(network, random_input(network, rng, rate=3), record="v", order=order)
    size = 40
    cells = crossbar(chip_of(PLAIN), weights=-np.ones((size, size), int), start=99, bias=1)
    assert equal(cells, np.ones((2, 1, 2), int), record="v", order=order)


# --- equal refusals ---------------------------------------------------------------------------------------------------


@NUMBA
def test_a_register_that_is_left_is_refused_in_the_words_of_the_reference():
    network = layers((1,), (100, 128))
    x = np.full((1, 2, 32), 30)
    with pytest.raises(TextAtFault, match=r"the register holds -32768\.\.32767"):
        simulate(network, x, executor="numba")
    assert equal(network, x)
    assert equal(network, x // 8, record="v")


@NUMBA
def test_a_tick_that_leaves_a_register_is_refused_in_the_words_of_the_reference():
    loose = PLAIN.replace("on.tick = '''\nv = sat(v + bias, 12)", "on.tick = '''\nv = v + bias")
    network = crossbar(chip_of(loose), weights=np.zeros((3, 3), int), start=[0, -2047, 5], bias=-1)
    assert "the register holds -2048..2047" in outcome(network, np.zeros((2, 1, 2), int), executor="numba")
    assert equal(network, np.zeros((2, 1, 2), int))
    assert equal(network, np.zeros((1, 1, 2), int))


@NUMBA
def test_activity_that_never_ends_is_refused_alike(monkeypatch):
    monkeypatch.setattr("neurodeploy.simulator.event_engine.SETTLED_AFTER", 100)
    network = crossbar(chip_of(PLAIN), weights=np.full((2, 2), 127), into=[[127, 0]] * 2)
    assert "more than 100 arrivals" in outcome(network, np.array([[[1, 0]]]), executor="numba")
    assert equal(network, np.array([[[1, 0]]]))


def test_the_executor_is_refused_where_it_is_not_installed(monkeypatch):
    network = layers((500,), (-60, 100))
    with pytest.raises(Refusal, match=r"executor = 'cobol'; one of auto, numba, numpy, reference\."):
        Simulation(network, executor="cobol")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(Missing, match=r'pip install "neurodeploy\[fast\]"'):
        Simulation(network, executor="numba")
    assert Simulation(network, executor="numpy").executor == "numpy"

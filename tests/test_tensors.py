"""Integer tensors: the table, the types, when a sum may be a product, order, chunks, devices, what the result says."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loihi_networks import CHIPS as LOIHI
from small_chip import small_network, write
from strategies import texts
from test_equal_executors import differing, everything
from test_simulator import XYLO, counts, refusal
from test_step_tables import NUMBERS, operands, run_python

from neurodeploy.chips import chip
from neurodeploy.errors import TextAtFault
from neurodeploy.network import Network, group, place_identity, projection
from neurodeploy.simulator import EXECUTORS, Simulation, registry, simulate
from neurodeploy.simulator.machine import assemble
from neurodeploy.simulator.run import Snapshot
from neurodeploy.simulator.tensors import run as tensor_run
from neurodeploy.simulator.tensors.engine import Chunk, Prepared
from neurodeploy.simulator.tensors.sums import additions
from neurodeploy.simulator.tensors.table import integer_table, type_of
from neurodeploy.step import INTEGER, PYTHON, Interval, parse, run, signed

CPU = torch.device("cpu")
TABLES = {dtype: integer_table(dtype, CPU) for dtype in (torch.int32, torch.int64)}


def given_tensors(op, rows, dtype):
    """Operands of many rows; a width is a literal."""
    table, sorts = TABLES[dtype], INTEGER[op].replace("*", "nn")
    columns = [
        torch.tensor(c, dtype=torch.bool if s == "c" else dtype)
        for s, c in zip(sorts, zip(*rows, strict=True), strict=True)
    ]
    return [table["literal"](rows[0][1]) if s == "w" else c for s, c in zip(sorts, columns, strict=True)]


# --- the table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", INTEGER)
@pytest.mark.parametrize("dtype", TABLES, ids=str)
def test_the_table_is_python_at_the_corners_of_every_width_that_its_type_holds(op, dtype):
    compared, width = 0, torch.iinfo(dtype).bits
    for bits in (*range(1, width, 5), width - 1, width):
        rows = operands(op, bits)
        if width == 32:
            most = 30 if op in {"shl", "shr", "shift_to_zero", "round_half_even", "scale2"} else 63
            inside = [(*row, int(PYTHON[op](*row))) for row in rows]
            rows = [r[:-1] for r in inside if all(v in signed(32) for v in r) and abs(int(r[-2])) <= max(most, 31)]
            rows = [r for r in rows if most == 63 or abs(r[1]) <= most]
        widths = sorted({row[1] for row in rows}) if INTEGER[op][-1] == "w" else [None]
        for one in widths:
            some = [row for row in rows if one is None or row[1] == one]
            if some:
                found = TABLES[dtype][op](*given_tensors(op, some, dtype))
                assert found.dtype == (dtype if op in NUMBERS else torch.bool)
                assert found.tolist() == [PYTHON[op](*row) for row in some]
                compared += len(some)
    assert compared >= 2


@settings(max_examples=25, deadline=None)
@given(texts(), st.data())
def test_random_texts_are_python_in_the_type_that_is_chosen_for_them(case, data):
    text = parse(case.source, case.functions)
    dtype = type_of(text, case.ranges)
    drawn = data.draw(case.rows(4))
    environment = {n: torch.tensor(c, dtype=dtype) for n, c in drawn.items()}
    run(text.statements, environment, TABLES[dtype])
    for at in range(4):
        expected = run_python(text, {n: c[at] for n, c in drawn.items()})
        for name in case.states:
            assert int(environment[name].expand(4)[at]) == expected[name], name


@pytest.mark.parametrize(
    ("source", "high", "dtype"),
    [
        ("v = v * 2", (1 << 30) - 1, torch.int32),
        ("v = v * 2", 1 << 30, torch.int64),
        ("v = (v * 4) >> 2", 1 << 29, torch.int64),  # inside, not at the end
        ("v = min(v, 0) >> 30", 5, torch.int32),
        ("v = min(v, 0) >> 31", 5, torch.int64),
        ("if v > 3:\n    v = v * 2", 1 << 30, torch.int64),
    ],
)
def test_thirty_two_bits_are_taken_where_nothing_leaves_them(source, high, dtype):
    assert type_of(parse(source), {"v": Interval(-5, high)}) == dtype


# --- sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "adds"),
    [
        ("v = sat(v + arriving * w, 12)", True),
        ("v = sat(arriving * (w * 2) + v, 12)", True),
        ("v = max(min(v + w * arriving, 300), -40)", True),
        ("v = wrap(v + arriving * w, 12)", True),
        ("v = wrap(v + arriving * w, 9)", False),  # it changes what nothing arrived at
        ("v = sat(wrap(v + arriving * w, 12), 11)", False),
        ("v = sat(v - arriving * w, 12)", False),
        ("v = sat(v + min(arriving, 3) * w, 12)", False),  # three events are not three times one
        ("v = sat(v + w, 12)", False),
        ("v = sat(v + arriving * (w + n), 12)", False),  # n is a state
        ("v = sat(v + arriving * (w + threshold), 12)", True),
        ("v = sat(v + arriving * v + w, 12)", False),
        ("t = arriving * w\nv = sat(v + t, 12)", False),
        ("v = min(300, v + arriving * w)\nv = sat(v, 12)", False),
        ("if arriving > 2:\n    v = sat(v + w, 12)", False),
    ],
)
def test_texts_that_add_are_told_from_others_and_all_are_exact(text, adds, tmp_path):
    change = ('"v = sat(v + arriving * w, 12)"', f'"""{text}"""')
    c = chip(write(tmp_path / "small", on_input=change))
    kind = c.connections["in"]
    assert (additions(kind.on_input, c.neurons["cell"].states, {"v", "n"}, Interval(0, 15)) is not None) == adds
    rng = np.random.default_rng(3)
    source, cell = group(c, "x", "channel", 6), group(c, "y", "cell", 5, threshold=[5, 9, 20, 40, 60])
    joins = [
        projection(c, k, a, cell, w=rng.integers(-20, 32, (a.size, 5))) for k, a in (("in", source), ("rec", cell))
    ]
    network = place_identity(Network(c, (source, cell), tuple(joins)))
    x = rng.integers(0, 16, (12, 3, 6)) * (rng.random((12, 3, 6)) < 0.4)
    runs = [simulate(network, x, record=everything(network), executor=e) for e in ("torch", "reference")]
    assert differing(*runs) == []
    assert runs[0].output.any()


def test_events_of_one_add_whatever_the_text_makes_of_them(tmp_path):
    c = chip(write(tmp_path / "small", on_input=("arriving * w", "min(arriving, 3) * w")))
    kind, states = c.connections["in"], c.neurons["cell"].states
    assert additions(kind.on_input, states, set(states), Interval(0, 1)) is not None
    assert additions(kind.on_input, states, set(states), Interval(0, 2)) is None


def arrow(weight, *, shift=8, thresholds=1, sources=40, targets=3):
    """Sources of one group with equal weights into a few neurons of a saturating chip."""
    c = chip(XYLO)
    groups = [
        group(c, "in", "channel", 1),
        group(c, "h", "hidden", sources, threshold=thresholds, dash_mem=1, dash_syn1=1),
    ]
    groups.append(group(c, "o", "output", targets, threshold=30000, dash_mem=1, dash_syn1=1))
    signs = np.where(np.arange(sources) % 2, 1, -1)[:, None] * np.ones((1, targets), int)
    joins = (
        projection(c, "in", *groups[:2], {"shift": 0}, w1=np.full((1, sources), 127), w2=np.zeros((1, sources), int)),
        projection(c, "out", *groups[1:], {"shift": shift}, w1=signs * weight),
    )
    return place_identity(Network(c, tuple(groups), joins))


def test_a_sum_that_cannot_meet_a_rail_is_a_product_and_says_its_bound():
    network = arrow(1, sources=16, shift=0)
    run = simulate(network, np.ones((6, 70, 1), int), record="i1", executor="torch")
    assert differing(run, simulate(network, np.ones((6, 70, 1), int), record="i1", executor="numpy")) == []
    product = next(p for p in run.how.products if p.connection == "out")
    assert (product.dtype, product.limit) == ("float32", 1 << 24)
    assert product.bound == 16 * 31  # sources, and the most events of one
    assert str(product) == "out: float32, no partial sum beyond 496, exact up to 16,777,216"


def test_float64_where_float32_is_too_narrow():
    network = arrow(127, thresholds=[60] + [30000] * 39)
    x = np.zeros((4, 30, 1), int)
    x[0] = 1
    run = simulate(network, x, record="i1", executor="torch")
    assert differing(run, simulate(network, x, record="i1", executor="numpy")) == []
    assert (run.states["o"]["i1"] < 0).any()
    (product,) = (p for p in run.how.products if p.connection == "out")
    assert (product.dtype, product.bound, product.limit) == ("float64", 40 * (127 << 8) * 31, 1 << 53)
    assert product.bound > 1 << 24


def test_the_samples_that_could_meet_a_rail_are_delivered_in_order():
    network = arrow(127)
    quiet, loud = np.zeros((5, 2, 1), int), np.ones((5, 2, 1), int)
    assert simulate(network, quiet, executor="torch").how.ordered == 0
    mixed = np.concatenate([quiet, loud], 1)
    runs = [simulate(network, mixed, record="i1", executor=e) for e in ("torch", "reference")]
    assert differing(*runs) == []
    assert 0 < runs[0].how.ordered <= 2 * runs[0].output.shape[0] * 44  # neurons of the loud samples
    rails = signed(16)
    decayed = rails.high - (rails.high >> 1)  # in another order the sum is 0
    assert decayed in runs[1].states["o"]["i1"]


def test_without_the_look_at_rails_the_sum_would_be_wrong(monkeypatch):
    network, loud = arrow(127), np.ones((5, 2, 1), int)
    must = simulate(network, loud, record="i1", executor="reference")
    monkeypatch.setattr("neurodeploy.simulator.tensors.deliver.Sum.safe", lambda *_: None)
    assert differing(simulate(network, loud, record="i1", executor="torch"), must) != []


@pytest.mark.parametrize(("limit", "value"), [("LARGEST_MATRIX", 0), ("CROSSING_COST", 0)])
def test_whole_samples_in_order_equal_single_neurons_in_order(limit, value, monkeypatch):
    network, x = arrow(127), np.random.default_rng(0).integers(0, 2, (8, 6, 1))
    single = simulate(network, x, record="i1", executor="torch")
    monkeypatch.setattr(f"neurodeploy.simulator.tensors.deliver.{limit}", value)
    whole = simulate(network, x, record="i1", executor="torch")
    assert differing(single, whole) == []
    assert 0 < single.how.ordered <= whole.how.ordered


@pytest.mark.parametrize("weights", [1, 127])
def test_precision_that_a_process_has_given_away_is_taken_back_and_left_as_it_was(weights):
    network, x = arrow(weights), np.random.default_rng(0).integers(0, 3, (6, 20, 1))
    must = simulate(network, x, record="i1", executor="numpy")
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        assert differing(simulate(network, x, record="i1", executor="torch"), must) == []
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_events_added_one_by_one_equal_the_product(monkeypatch):
    network, x = arrow(1), np.random.default_rng(0).integers(0, 3, (6, 5, 1))
    product = simulate(network, x, record="i1", executor="torch")
    monkeypatch.setattr("neurodeploy.simulator.tensors.deliver.LARGEST_MATRIX", 0)
    monkeypatch.setattr("neurodeploy.simulator.tensors.deliver.AT_ONCE", 7)
    added = simulate(network, x, record="i1", executor="torch")
    assert added.how.products == ()
    assert differing(added, product) == []


def test_a_sum_of_a_text_that_never_saturates_is_a_product_on_every_chip_that_sums():
    for c in LOIHI:
        assert all(
            additions(k.on_input, k.registers, {"a", "u", "v"}, Interval(0, 1)) is not None
            for k in chip(c).connections.values()
            if k.registers
        )


# --- chunks and devices -----------------------------------------------------------------------------------------------


def test_samples_in_chunks_equal_all_at_once_and_the_bound_on_memory_is_kept(monkeypatch):
    network, x = arrow(60), np.random.default_rng(0).integers(0, 3, (4, 7, 1))
    whole = simulate(network, x, record="v", executor="torch")
    assert whole.how.chunks == 1
    monkeypatch.setattr(tensor_run, "MEMORY", 12_000)
    done = []
    pieces = simulate(network, x, record="v", executor="torch", progress=done.append)
    assert pieces.how.chunks == 4
    assert differing(pieces, whole) == []
    assert done == sorted(set(done))
    assert done[-1] == len(pieces.output) - 1


def test_a_run_without_steps_or_samples_is_one():
    network = arrow(1)
    for shape in ((0, 3, 1), (3, 0, 1)):
        runs = [simulate(network, np.zeros(shape, int), executor=e, drain=0) for e in ("torch", "numpy")]
        assert differing(*runs) == []


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("meta", "device = 'meta': it holds no numbers"),
        ("abacus", "executor = 'torch': device = 'abacus': Expected one of cpu"),
        pytest.param(
            "cuda", "device = 'cuda': ", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
        ),
    ],
)
def test_a_device_that_is_not_there_is_refused(device, words):
    assert words in str(refusal(arrow(1), counts(1), executor="torch", device=device))


def test_auto_takes_tensors_where_a_device_is_named():
    run = simulate(arrow(1), counts(1), device="cpu")
    assert (run.executor, run.how.why, run.how.device) == ("torch", "device = 'cpu' was asked for", "cpu")


def test_auto_takes_tensors_for_many_neurons_and_steps(monkeypatch):
    monkeypatch.setattr(registry, "WIDE_STEP", 88)
    monkeypatch.setattr(registry, "LONG_RUN", 300)
    table = {n: e for n, e in EXECUTORS.items() if n != "numba"}
    monkeypatch.setattr(registry, "EXECUTORS", table)
    network = arrow(1)  # 44 neurons
    runs = [simulate(network, np.zeros((steps, batch, 1), int), drain=0) for steps, batch in ((4, 2), (4, 1), (3, 2))]
    assert [r.executor for r in runs] == ["torch", "numpy", "numpy"]
    assert runs[0].how.why == "88 neurons in a step, of all samples, are worth tensors"


def test_a_step_of_sums_asks_its_device_for_nothing():
    """On the meta device every question for a value, and every mix of devices, raises."""
    c = chip(LOIHI[0])
    kind = next(n for n, k in c.neurons.items() if not k.is_input())
    source = next(n for n, k in c.neurons.items() if k.is_input())
    some = {"threshold": 3, "dv": 100}
    groups = (group(c, "in", source, 3), group(c, "h", kind, 4, **some), group(c, "o", kind, 2, **some))
    dense = next(n for n, k in c.connections.items() if "exponent" in k.parameters)
    ones = [
        projection(c, dense, a, b, w=np.full((a.size, b.size), 2), delay=np.zeros((a.size, b.size), int))
        for a, b in pairwise(groups)
    ]
    network = place_identity(Network(c, groups, tuple(ones)))
    machine, meta = assemble(network), torch.device("meta")
    final = simulate(network, np.zeros((1, 2, 3), int), drain=0).final
    chunk = Chunk(Prepared(network, machine, meta), Snapshot(final.states, final.history, 0))
    chunk.step({source: torch.zeros(2, 3, dtype=torch.int32, device=meta)})
    assert {v.device.type for many in chunk.states.values() for v in many.values()} == {"meta"}
    assert {tuple(v.shape) for v in chunk.states[kind].values()} == {(2, 6)}


def test_a_value_outside_its_register_is_told_in_the_same_words_and_forgotten_by_the_next_run(tmp_path):
    change = ("v = sat(v + arriving * w, 12)", "v = v + arriving * w")
    simulation = Simulation(small_network(chip(write(tmp_path / "small", change=change))), executor="torch")
    with pytest.raises(TextAtFault, match=r"v = 2312; the register holds -2048\.\.2047"):
        simulation.run(counts(*[15] * 5, channels=2), drain=0)
    assert simulation.run(counts(1, channels=2)).executor == "torch"

"""Kernels of clocked chips: equal to the reference in every bit, every state and at every step."""

import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from generated_chips import draw, network, plain_network, toml
from mutants import edited
from random_networks import Options, random_counts, random_network

from neurodeploy.chips import chip, from_raw, target_folders
from neurodeploy.errors import TextAtFault
from neurodeploy.network import Group, Network, Projection, group, place_identity, projection
from neurodeploy.simulator import assemble, simulate
from neurodeploy.simulator.engine import Engine
from neurodeploy.simulator.executors import STEPPING
from neurodeploy.simulator.fast import additions, prepared
from neurodeploy.simulator.fast.deliveries import Deliveries
from neurodeploy.simulator.fast.prepared import Prepared
from neurodeploy.simulator.fast.source import kernel_of

CHIPS = [name for name in target_folders() if not chip(name).event_driven]
DIALECTS = [(name, dialect) for name in CHIPS for dialect in chip(name).dialects]


def different(network, counts, executor="numba", drain=2, **options):
    """Where two executors differ in counts, in any state of any step, or in what they remember at the end."""
    record = sorted({s for g in network.groups for s in network.chip.neurons[g.kind].states})
    options = {"record": record, "raw": True, "drain": drain} | options
    want = simulate(network, counts, executor="numpy", **options)
    got = simulate(network, counts, executor=executor, **options)
    assert got.executor == executor
    pairs = {f"counts of {g}": (v, got.counts[g]) for g, v in want.counts.items()}
    pairs |= {f"{g}.{s}": (v, got.states[g][s]) for g, many in want.states.items() for s, v in many.items()}
    pairs |= {
        f"{n}.{s} at the end": (v, got.final.states[n][s])
        for n, many in want.final.states.items()
        for s, v in many.items()
    }
    pairs |= {f"past of {n}": (np.array(v), np.array(got.final.history[n])) for n, v in want.final.history.items()}
    assert want.final.step == got.final.step
    return [place for place, (a, b) in pairs.items() if a.dtype != b.dtype or not np.array_equal(a, b)]


def drawn(target, seed, **options):
    rng = np.random.default_rng(seed)
    drawn = Options(
        groups=1 + seed % 3,
        doubled=0.2 * (seed % 2),
        corners=(0.1, 0.5)[seed // 2 % 2],
        inputs=(1, 5),
        hidden=(1, 9),
        outputs=(1, 4),
        steps=(5, 12),
        **options,
    )
    network = random_network(target, rng, drawn)
    return network, random_counts(network, rng, drawn)


#: three seeds for each chip, with few and many corners, with synapses once and twice; .ci/run has the others
SEEDS = [
    pytest.param(name, seed, marks=pytest.mark.slow if (i + seed + seed // 2) % 2 else ())
    for i, name in enumerate(CHIPS)
    for seed in range(6)
]


@pytest.mark.parametrize(("name", "seed"), SEEDS)
def test_a_random_network_at_corners_runs_as_by_numpy(name, seed):
    assert different(*drawn(chip(name), seed)) == []


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "dialect"), DIALECTS)
def test_a_dialect_runs_as_by_numpy(name, dialect, seed):
    assert different(*drawn(chip(name).dialect(dialect), seed)) == []


def generated(seed, folder, text=None):
    d = draw(seed)
    net = plain_network(d)
    folder.mkdir(exist_ok=True)
    (folder / "chip.toml").write_text(text or toml(d))
    rng = np.random.default_rng(seed)
    shape = (14, 2, net.sizes["source"])
    return network(chip(folder), d, net), rng.integers(0, 2 * d.cap_in + 3, shape) * (rng.random(shape) < 0.6)


@pytest.mark.parametrize("block", [0, 1, *(pytest.param(block, marks=pytest.mark.slow) for block in (2, 3))])
def test_chips_nobody_has_seen_run_as_by_numpy(block, tmp_path):
    for seed in range(100 + 9 * block, 109 + 9 * block):
        assert different(*generated(seed, tmp_path / str(seed))) == [], seed


@pytest.mark.slow
@pytest.mark.parametrize("block", range(12))
def test_many_chips_and_networks_run_as_by_numpy(block, tmp_path):
    for seed in range(1000 + 50 * block, 1050 + 50 * block):
        assert different(*generated(seed, tmp_path / str(seed))) == [], seed
        if seed % 5 == 0:
            assert different(*drawn(chip(CHIPS[seed // 5 % len(CHIPS)]), seed)) == [], seed


def test_what_stands_between_a_pass_and_its_rare_rest_counts_as_a_moment(tmp_path):
    """Where v goes far beyond what it is at the end of any step, until the guard of the same step resets it."""
    network, counts = generated(33, tmp_path / "drawn")
    assert different(network, counts, drain=3) == []
    reach = kinds_by_name(network)["cell"]
    assert reach.between["v"].high <= reach.lane.parameters["threshold"].max()
    assert reach.width("v").high > 1000 * reach.between["v"].high


def kinds_by_name(network):
    return kernel_of(assemble(network), fresh=True).kinds


@pytest.mark.parametrize("name", CHIPS)
def test_states_stay_where_the_kernel_takes_them_to_be(name):
    narrow = 0
    for seed in range(3):
        network, counts = drawn(chip(name), seed)
        kinds = kinds_by_name(network)
        record = sorted({s for kind in network.chip.neurons.values() for s in kind.states})
        run = simulate(network, counts, record=record, executor="numpy", raw=True)
        for g in network.groups:
            for state, values in run.states[g.name].items():
                between, register = kinds[g.kind].between[state], kinds[g.kind].lane.kind.states[state].interval
                assert values.min() in between, (g.name, state)
                assert values.max() in between, (g.name, state)
                narrow += between.within(register) and between != register
    assert narrow > 3


# --- what each kind of projection is ----------------------------------------------------------------------------------


def kinds_of(network):
    """How the synapses of each connection kind are delivered."""
    made = []
    before = Deliveries.memory

    def seen(self):
        made.append(self)
        before(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Deliveries, "memory", seen)
        code = kernel_of(assemble(network), fresh=True).code
    return made, code


def test_the_drawn_networks_meet_every_way_of_delivery(tmp_path):
    found = set()
    networks = [drawn(chip(name), seed)[0] for name in CHIPS for seed in range(2)]
    networks += [generated(seed, tmp_path / str(seed))[0] for seed in range(100, 130)]
    for one in networks:
        for d in kinds_of(one)[0]:
            ways = {
                "walked": d.walks,
                "dense": d.dense,
                "single synapses": not d.dense and not d.walks and bool(d.additions),
                "as written": d.additions is None,
                "delays in lists": d.lists_delays,
                "delays walked": d.walks and bool(d.table.delays.any()),
                "sums": d.kind.on_sum is not None,
                "several pieces": len(d.table.pieces) > 1,
                "events of several sizes": not d.ones,
                "scattered neurons": any(not isinstance(p.part, slice) for p in d.table.pieces),
            }
            if d.additions:
                ways |= {
                    "rails": any(a.rail is not None for a in d.additions),
                    "no rail in reach": any(a.rail is None for a in d.additions),
                    "two states": len(d.additions) > 1,
                }
            found |= {name for name, true in ways.items() if true}
    assert found == {*ways, "rails", "no rail in reach", "two states"}


# --- the order of additions -------------------------------------------------------------------------------------------


def layered(weights, threshold=32767):
    """Input and hidden neurons of a chip that saturates after every source: dense rows, a decay that takes nothing."""
    target = chip("xylo_audio2")
    inputs, hidden = weights.shape
    values = {n: np.full(hidden, 15 if n.startswith("dash") else 0) for n in target.neurons["hidden"].parameters}
    values["threshold"] = np.full(hidden, threshold)
    groups = (
        Group("x", "channel", inputs, {}, np.arange(inputs)),
        Group("h", "hidden", hidden, {n: v.astype(np.int64) for n, v in values.items()}, np.arange(hidden)),
    )
    at = [i.reshape(-1).astype(np.int64) for i in np.indices(weights.shape)]
    fields = {"w1": weights.reshape(-1).astype(np.int64), "w2": np.zeros(weights.size, np.int64)}
    return Network(target, groups, (Projection("in", "x", "h", *at, fields, {"shift": 0}),))


def steps(rows):
    return np.array(rows, np.int64)[:, None, :]


UP_AND_DOWN = np.array([[127] * 40, [-128] * 40, [100] * 40, [-90] * 40, [3] * 40])


def test_additions_that_may_meet_a_rail_keep_their_order():
    """First filled to the rail, then up and down again: the order decides."""
    counts = steps([[15, 0, 0, 0, 0]] * 20 + [[15, 15, 15, 15, 15]] * 4)
    network = layered(UP_AND_DOWN)
    assert different(network, counts) == []
    run = simulate(network, counts, record="i1", executor="numba", drain=0)
    assert run.states["h"]["i1"].max() > 32000
    with pytest.MonkeyPatch.context() as patch:  # the same without the guard
        patch.setattr(additions.Adder, "_guard", lambda self, _: self.code.write("pass"))
        assert different(network, counts) != []


def test_additions_far_from_any_rail_are_made_four_rows_at_once(monkeypatch):
    counts = steps([[1, 1, 1, 1, 0], [0, 2, 0, 1, 0], [0, 0, 0, 0, 0], [9, 9, 9, 0, 9]])
    network = layered(UP_AND_DOWN)
    assert different(network, counts) == []
    monkeypatch.setattr(additions.Adder, "row", lambda *_, **__: None)  # a single row adds nothing any more
    assert different(network, counts) == []
    assert different(network, steps([[0, 0, 1, 0, 0]])) != []


@pytest.mark.parametrize("rest", [-1, 0, 1])
def test_the_guard_leaves_the_rail_itself_in_order(rest):
    """Two rows that end on the rail exactly, one below it and one beyond."""
    filled = 32767 // 127
    weights = np.array([[127] * 3, [32767 - filled * 127 + rest] * 3, [1] * 3])
    counts = steps([[15, 0, 0]] * (filled // 15) + [[filled % 15, 1, 0], [0, 0, 0], [1, 1, 1]])
    assert different(layered(weights), counts) == []


# --- going on, faults, refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHIPS)
def test_a_run_goes_on_where_another_executor_ended(name):
    network, counts = drawn(chip(name), 1)
    halves = [{n: v[:4] for n, v in counts.items()}, {n: v[4:] for n, v in counts.items()}]
    state = simulate(network, halves[0], executor="numpy", drain=0, raw=True).final
    assert different(network, halves[1], state=state) == []
    same = simulate(network, halves[0], executor="numba", drain=0, raw=True).final
    assert different(network, halves[1], state=same) == []


def test_a_state_that_no_reset_leads_to_is_taken():
    """A second synapse that this network does not use, and yet begins with a current."""
    network = layered(UP_AND_DOWN, threshold=50)
    state = simulate(network, steps([[0] * 5]), drain=0).final
    state.states["hidden"]["i2"][:] = 4000
    assert different(network, steps([[0] * 5] * 6), state=state) == []
    assert simulate(network, steps([[0] * 5]), state=state, executor="numba", drain=0).counts["h"].any()


def test_a_state_from_which_a_kernel_could_leave_its_ranges_gets_another_kernel(tmp_path):
    network, counts = generated(33, tmp_path / "drawn")
    state = simulate(network, counts[:1], drain=0).final
    high = kinds_by_name(network)["cell"].between["v"].high
    state.states["cell"]["v"][:] = high
    machine = Prepared(assemble(network))
    assert machine.kernel(state) is machine.kernel(None)
    state.states["cell"]["v"][:] = high + 1
    assert machine.kernel(state) is not machine.kernel(None)
    assert different(network, counts, state=state) == []


def test_a_state_beyond_a_register_is_refused():
    network = layered(UP_AND_DOWN)
    state = simulate(network, steps([[0] * 5]), drain=0).final
    state.states["hidden"]["v"][0, 3] = 40000
    words = "executor = 'numba': the state that is given holds hidden.v outside -32768..32767"
    with pytest.raises(ValueError, match=re.escape(words)):
        simulate(network, steps([[0] * 5]), state=state, executor="numba")
    assert simulate(network, steps([[0] * 5]), state=state).executor == "numpy"


def test_a_register_too_narrow_is_told_as_by_the_reference():
    raw = chip("xylo_audio2").raw
    text = raw["neuron"]["hidden"]["on"]["step"].replace("v = sat(v + d, 16)", "v = v + d")
    wrong = from_raw(edited(raw, (("neuron", "hidden", "on", "step"), text)))
    network = layered(np.array([[-128] * 3] * 4))
    network = Network(wrong, network.groups, network.projections)
    counts = np.full((40, 3, 4), 15)
    counts[:, 0] = 0
    found = []
    for executor in ("reference", "numba"):
        with pytest.raises(TextAtFault) as caught:
            simulate(network, counts, executor=executor)
        found.append(str(caught.value))
    assert found[0] == found[1]
    assert "v = -46072; the register holds -32768..32767" in found[0]


def test_an_observer_is_refused():
    words = "an observer sees every phase, and a fused loop shows none"
    with pytest.raises(ValueError, match=words):
        simulate(layered(UP_AND_DOWN), steps([[0] * 5]), executor="numba", observer=lambda *_: None)


def test_progress_is_told_step_by_step(monkeypatch):
    monkeypatch.setattr("neurodeploy.simulator.fast.run.RECORDED", 100)
    seen = []
    simulate(layered(UP_AND_DOWN), steps([[1] * 5] * 9), executor="numba", drain=1, progress=seen.append)
    assert seen == list(range(10))
    assert different(layered(UP_AND_DOWN), steps([[1] * 5] * 9)) == []


# --- compiled ---------------------------------------------------------------------------------------------------------


def test_a_kernel_is_that_of_its_texts_and_types_not_of_sizes_and_values():
    codes = [kernel_of(assemble(layered(w)), fresh=True).code for w in (UP_AND_DOWN, UP_AND_DOWN[:, :7] // 3)]
    assert codes[0] == codes[1]
    assert kernel_of(assemble(layered(UP_AND_DOWN * 1, threshold=9)), fresh=True).code == codes[0]


@pytest.mark.compiled
@pytest.mark.slow  # .ci/run has it
def test_compiled_kernels_run_as_by_numpy():
    pytest.importorskip("numba")
    assert different(*drawn(chip("xylo_audio3"), 1)) == []
    network = layered(UP_AND_DOWN)
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 16, (300, 9, 5)) * (rng.random((300, 9, 5)) < 0.2)
    assert different(network, counts) == []
    machine, external = assemble(network), {"channel": counts}
    start = Engine(machine, 9, STEPPING["numpy"]).snapshot()
    runs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared, "SMALL", 1)
        for threads in (1, 3):
            one = Prepared(machine)
            memory = one.begin(start, 9)
            runs.append(one.advance(memory, external, 300, {("hidden", "v"): (0, 40)}, threads=threads)["hidden", "v"])
    assert np.array_equal(*runs)
    assert runs[0].any()


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [*CHIPS, "generated"])
def test_many_compiled_kernels_run_as_by_numpy(name, seed, tmp_path):
    case = generated(seed, tmp_path / "drawn") if name == "generated" else drawn(chip(name), seed)
    assert different(*case) == []


def test_nothing_of_numba_is_imported_before_a_kernel_is_asked_for():
    code = "import sys, neurodeploy.simulator; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own words


def test_a_dense_matrix_is_laid_out_in_the_memory_of_a_few_numbers_a_synapse():
    """Spelled out in a table and sorted, each synapse took 177 bytes."""
    target = chip("loihi1")
    ends = group(target, "in", "input", 64), group(target, "out", "lif", 4000, threshold=500, du=1024, dv=256)
    dense = projection(target, "dense", *ends, w=np.resize(np.arange(-64, 64, 2), (64, 4000)))
    network = place_identity(Network(target, ends, (dense,)))
    tracemalloc.start()
    try:
        kernel_of(assemble(network), fresh=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 80 * dense.sources.size

"""When and in which order the simulator delivers: latency, hardware ids, scans, sums, and texts that are at fault."""

import numpy as np
import pytest
from executor_names import CLOCKED
from small_chip import SOUND, small_network, write
from test_simulator import XYLO, counts, layered, refusal, same

from neurodeploy.chips import chip
from neurodeploy.errors import TextAtFault
from neurodeploy.network import Group, Network, group, pairs, place_identity, projection
from neurodeploy.simulator import latency_of, simulate
from neurodeploy.simulator.sorting import ascending, sorted_by

# --- latency ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_each_hidden_layer_adds_a_step(layers):
    network = layered(1, *[2] * layers, 1, threshold=10)
    run = simulate(network, counts(15))
    assert run.latency == latency_of(network) == layers
    assert run.output[:, 0, 0].tolist() == [*[0] * layers, 1]


def test_drain_appends_the_latency_unless_told_otherwise():
    network = layered(1, 2, 2, 1)
    for drain, steps in ((None, 4 + 2), (0, 4), (5, 9)):
        assert len(simulate(network, counts(1, 0, 0, 1), drain=drain).output) == steps


def test_the_fastest_path_counts_and_an_empty_projection_is_none():
    c = chip(XYLO)
    x, a, b, out = (group(c, n, k, 1, **({"threshold": 1} if k != "channel" else {}))
                    for n, k in (("x", "channel"), ("a", "hidden"), ("b", "hidden"), ("o", "output")))  # fmt: skip
    way = [projection(c, "in", x, a, w1=1), projection(c, "rec", a, b, w1=1), projection(c, "out", b, out, w1=1)]
    groups = (x, a, b, out)
    assert latency_of(Network(c, groups, tuple(way))) == 2
    assert latency_of(Network(c, groups, (*way, projection(c, "out", a, out, w1=1)))) == 1
    assert latency_of(Network(c, groups, (*way, projection(c, "rec", a, a, w1=0), pairs(c, "alias", a, b, [])))) == 2
    assert latency_of(Network(c, groups, (*way, pairs(c, "alias", a, b, [(0, 0)])))) == 1
    assert latency_of(Network(c, groups, ())) == 0


# --- hardware ids -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", CLOCKED)
@pytest.mark.parametrize(("ids", "i1"), [([0, 1, 2], 0), ([1, 2, 0], 32255), ([5, 9, 7], 32255)])
def test_sources_deliver_in_ascending_hardware_id(ids, i1, executor):
    """Near the rails the order shows: 32512 + 32512 - 32768 saturates, or does not."""
    c = chip(XYLO)
    x = Group("x", "channel", 3, {}, np.array(ids))
    h = Group("h", "hidden", 1, group(c, "h", "hidden", 1, threshold=32767, dash_syn1=15).parameters, np.array([0]))
    weights = projection(c, "in", x, h, {"shift": 8}, w1=[[127], [127], [-128]])
    network = Network(c, (x, h), (weights,))
    got = simulate(network, counts(1, channels=3), record=["i1"], drain=0, executor=executor).states["h"]["i1"].item()
    # the step takes away dash: 1 from a positive current, nothing more from one above -2**15
    total, rows = 0, [w for _, w in sorted(zip(ids, (32512, 32512, -32768), strict=True))]
    for w in rows:
        total = min(max(total + w, -32768), 32767)
    assert got == total - (1 if total > 0 else total >> 15)
    assert got == i1


def test_groups_share_the_order_of_their_kind():
    """Hardware ids that alternate between two groups: the chain runs through both in one step."""
    c = chip(XYLO)
    parameters = group(c, "", "hidden", 2, threshold=30000).parameters
    x = Group("x", "channel", 1, {}, np.array([0]))
    first = Group("a", "hidden", 2, parameters | {"threshold": np.array([10, 30000])}, np.array([0, 2]))
    second = Group("b", "hidden", 2, parameters, np.array([1, 3]))
    chain = [pairs(c, "alias", first, second, [(0, 0), (1, 1)]), pairs(c, "alias", second, first, [(0, 1)])]
    weights = projection(c, "in", x, first, w1=[[40, 0]])
    run = simulate(Network(c, (x, first, second), (weights, *chain)), counts(1), drain=0)
    assert run.counts["a"][0, 0].tolist() == [2, 2]
    assert run.counts["b"][0, 0].tolist() == [2, 2]


@pytest.mark.parametrize("executor", CLOCKED)
def test_an_alias_to_a_lower_neuron_is_added_but_not_relayed(executor):
    c = chip(XYLO)
    x, h = group(c, "x", "channel", 1), group(c, "h", "hidden", 3, threshold=[30000, 30000, 10])
    links = pairs(c, "alias", h, h, [(2, 0), (0, 1)])
    network = place_identity(Network(c, (x, h), (projection(c, "in", x, h, w1=[[0, 0, 40]]), links)))
    run = simulate(network, counts(1, 0), executor=executor, drain=0)
    assert run.counts["h"][0, 0].tolist() == [2, 0, 2]


# --- scans, sums, several kinds ---------------------------------------------------------------------------------------

RELAYS = """
[connection.relay]
from = "cell"
to = "cell"
on_input = "n = min(n + arriving, 12)"
[connection.damp]
from = "cell"
to = "cell"
on_input = "n = n >> min(arriving, 3)"
"""
SCAN = SOUND.replace("state.n = { unsigned = 1 }", "state.n = { unsigned = 4 }")
SCAN = SCAN.replace('[connection.rec]\nlike = "in"\nfrom = "cell"', RELAYS)
SCAN = SCAN.replace('"rec", "cell.step"]', '["cell.step", "relay", "damp"]]')


@pytest.mark.parametrize("executor", CLOCKED)
def test_what_a_source_emits_is_read_before_its_first_synapse(executor, tmp_path):
    """A relay to itself does not change what the neuron's other relays carry."""
    c = chip(write(tmp_path / "scan", SCAN))
    x, y = group(c, "x", "channel", 1), group(c, "y", "cell", 3, threshold=[2000, 2000, 10])
    links = pairs(c, "relay", y, y, [(2, 2), (2, 2), (2, 0), (2, 1), (2, 1)])
    network = place_identity(Network(c, (x, y), (projection(c, "in", x, y, w=[[0, 0, 20]]), links)))
    run = simulate(network, counts(1), executor=executor, drain=0)
    assert run.counts["y"][0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("executor", CLOCKED)
def test_two_connections_in_a_scan_deliver_source_by_source(executor, tmp_path):
    """Neuron 0 relays and damps before neuron 1 does: ((1 + 1) >> 1) + 1, not (1 + 1 + 1) >> 1."""
    c = chip(write(tmp_path / "scan", SCAN))
    x, y = group(c, "x", "channel", 1), group(c, "y", "cell", 3, threshold=[10, 10, 10])
    links = [pairs(c, "relay", y, y, [(1, 0), (2, 0)]), pairs(c, "damp", y, y, [(1, 0)])]
    network = place_identity(Network(c, (x, y), (projection(c, "in", x, y, w=20), *links)))
    run = simulate(network, counts(1), executor=executor, drain=0)
    assert run.counts["y"][0, 0].tolist() == [2, 1, 1]


@pytest.mark.parametrize("executor", CLOCKED)
def test_sums_run_on_every_neuron_of_a_projection_also_where_no_synapse_is(executor, tmp_path):
    change = ('on_input = "v = sat(v + arriving * w, 12)"', """register.acc = { signed = 12 }
param.offset = { holds = [0, 9], default = 5 }
on_input = "acc = sat(acc + arriving * w, 12)"
on_sum = "v = sat(v + acc + offset, 12)"
""")  # fmt: skip
    c = chip(write(tmp_path / "sums", change=change))
    x, y, z = group(c, "x", "channel", 1), group(c, "y", "cell", 2), group(c, "z", "cell", 1)
    network = place_identity(Network(c, (x, y, z), (projection(c, "in", x, y, w=[[4, 0]]),)))
    run = simulate(network, counts(0, 1), record=["v"], executor=executor, drain=0)
    # 5 is added to both neurons of y, then a quarter decays: 5 -> 4, 4 + 4 + 5 -> 10; nothing reaches z
    assert run.states["y"]["v"][:, 0].tolist() == [[4, 4], [10, 7]]
    assert run.states["z"]["v"].tolist() == [[[0]], [[0]]]


PER_DELAY = """register.acc = { signed = 12 }
synapse.delay = { unsigned = 2 }
param.halved = { holds = [0, 4], per = "projection" }
on_input = "acc = sat(acc + arriving * w, 12)"
on_sum = "v = sat(v + (acc >> halved), 12)"
"""


@pytest.mark.parametrize("executor", CLOCKED)
def test_sums_are_made_for_each_projection_and_each_delay(executor, tmp_path):
    """3 >> 1 twice is 2, 6 >> 1 is 3: what arrives together is summed apart where delay or projection differ."""
    change = ('on_input = "v = sat(v + arriving * w, 12)"', PER_DELAY)
    c = chip(write(tmp_path / "sums", change=change))
    x = group(c, "x", "channel", 2)
    y, z = (group(c, n, "cell", 2, threshold=2000) for n in "yz")
    one = projection(c, "in", x, y, {"halved": 1}, w=[[3, 3], [3, 3]], delay=[[0, 0], [0, 1]])
    two = projection(c, "in", x, z, {"halved": 0}, w=[[3, 3], [3, 3]])
    three = projection(c, "in", x, z, {"halved": 2}, w=[[-3, 0], [-3, 0]])
    network = place_identity(Network(c, (x, y, z), (one, two, three)))
    run = simulate(network, counts(1, 1, channels=2), record=["v"], executor=executor, drain=0)
    # then a quarter of v decays. y: 3 and 3 >> 1 = 1, then 3 and (3 >> 1) + (3 >> 1); z: 6 + (-6 >> 2) and 6
    assert run.states["y"]["v"][:, 0].tolist() == [[3, 1], [5, 3]]
    assert run.states["z"]["v"][:, 0].tolist() == [[3, 5], [6, 9]]


@pytest.mark.parametrize("executor", CLOCKED)
def test_an_input_kind_may_stay_unused(executor, tmp_path):
    second = '[neuron.other]\nrole = "input"\nemits = "n"\nexternal = { holds = [0, 1] }\nstate.n = { unsigned = 1 }\n'
    text = SOUND.replace("[neuron.cell]", f"{second}on.step = 'n = external'\n[neuron.cell]")
    c = chip(write(tmp_path / "two", text.replace('["channel.step"', '["other.step", "channel.step"')))
    assert simulate(small_network(c), counts(9, channels=2), executor=executor).output.sum() > 0


def test_periodic_phases_keep_their_step_over_calls(tmp_path):
    c = chip(write(tmp_path / "slow", x=('"cell.step"]', '"cell.step"]\nevery.in = { period = 3, offset = 1 }')))
    network, x = small_network(c), counts(*[1] * 7, channels=2)
    whole = simulate(network, x, record=["v"], drain=0)
    assert np.flatnonzero(np.diff(whole.states["y"]["v"][:, 0, 1], prepend=0) > 0).tolist() == [1, 4]
    first = simulate(network, x[:2], drain=0)
    rest = simulate(network, x[2:], record=["v"], drain=0, state=first.final)
    assert np.array_equal(rest.states["y"]["v"], whole.states["y"]["v"][2:])


# --- texts at fault ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("executor", CLOCKED)
def test_a_text_that_leaves_its_width_is_at_fault(executor, tmp_path):
    c = chip(
        write(tmp_path / "small", x=('"v = sat(v + arriving * w, 12)"', '"""\n\nv = v + arriving * w   # no sat"""'))
    )
    network = small_network(c)
    edge = simulate(network, np.array([[[15, 15]], [[15, 15]]]), executor=executor, drain=0)
    assert edge.counts["y"].sum() > 0
    with pytest.raises(TextAtFault) as caught:
        simulate(network, counts(*[15] * 5, channels=2), executor=executor, drain=0)
    assert caught.value.code == "ND1005"
    assert str(caught.value) == (
        "small, connection.in.on_input, line 2: v = v + arriving * w: v = 2312; the register holds -2048..2047;"
        " correct the text in chip.toml: it must saturate, wrap or bound this state. [ND1005]"
    )
    assert caught.value.values == {"state": "v", "value": 2312, "line": 2}


@pytest.mark.parametrize("executor", CLOCKED)
def test_an_accumulator_that_leaves_its_width_is_at_fault(executor, tmp_path):
    summed = 'register.acc = { signed = 9 }\non_input = "acc = acc + arriving * w"\non_sum = "v = sat(v + acc, 12)"'
    change = ('on_input = "v = sat(v + arriving * w, 12)"', summed)
    network = small_network(chip(write(tmp_path / "small", change=change)))
    simulate(network, counts(4, channels=2), executor=executor)
    with pytest.raises(TextAtFault, match=r"on_input, line 1: .*: acc = 310; the register holds -256..255"):
        simulate(network, counts(5, channels=2), executor=executor)


@pytest.mark.parametrize("executor", CLOCKED)
def test_states_may_be_exchanged(executor, tmp_path):
    """A text that swaps two states must not read what it has just written."""
    text = SOUND.replace("v = sat(v - (v >> 2), 12)", "t = v\nv = u\nu = t").replace("v = v - n * threshold\n", "")
    text = text.replace("state.n = { unsigned = 1 }", "state.u = { signed = 12 }\nstate.n = { unsigned = 1 }")
    network = small_network(chip(write(tmp_path / "small", text)))
    run = simulate(network, counts(1, 0, 0, channels=2), record=["u", "v"], executor=executor, drain=0)
    assert run.states["y"]["v"][:, 0, 1].tolist() == [0, 20, 0]
    assert run.states["y"]["u"][:, 0, 1].tolist() == [20, 0, 20]


def test_a_run_shows_its_observations():
    network = layered(1, 2, 1)
    seen = []
    run = simulate(network, counts(9, 9), record=["v"], drain=1, progress=seen.append)
    assert seen == [0, 1, 2]
    trace = run.trace()
    assert trace.made_by.startswith("neurodeploy ")
    assert trace.counts is run.counts
    assert trace.states is run.states
    assert same(run, simulate(network, counts(9, 9), record=["v"], drain=1))
    assert refusal(network, counts(16)).code == "ND1302"


@pytest.mark.parametrize("spread", [3, 1000, 10**6])
def test_synapses_are_sorted_as_by_lexsort(spread):
    rng = np.random.default_rng(spread)
    for keys in range(1, 5):  # of the widest, four together leave 64 bits
        given = [rng.integers(-spread, spread, 200) // rng.integers(1, 9) for _ in range(keys)]
        assert np.array_equal(sorted_by(*given), np.lexsort(given[::-1]))
    assert sorted_by(np.zeros(0, np.int64)).size == 0


@pytest.mark.parametrize(
    ("first", "second", "is_so"),
    [
        ([0, 0, 1], [-3, 2, 0], True),
        ([0, 0, 1], [2, 2, 0], False),  # one place twice
        ([0, 1, 0], [0, 0, 5], False),
        ([0, 0, 1], [2, 1, 0], False),
        ([0, 1 << 40, 1 << 41], [0, 1 << 40, 0], False),  # too wide for one number: it is sorted anyway
        ([], [], True),
    ],
)
def test_keys_that_ascend_need_no_order(first, second, is_so):
    assert ascending(np.array(first, np.int64), np.array(second, np.int64)) == is_so

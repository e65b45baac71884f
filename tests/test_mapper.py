"""Mapping: placements, and which synapse entries count."""

import copy
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from limit_networks import network, spread
from mapper_chip import wired, write_chip

from neurodeploy.chips import chip, target_folders
from neurodeploy.errors import Refusal
from neurodeploy.mapper import fit_faults, map_network, usage
from neurodeploy.mapper.counts import Tally
from neurodeploy.mapper.place import earliest_deadline
from neurodeploy.network import Network, group, load_network, pairs, place_identity, projection, save_network
from neurodeploy.simulator import simulate

XYLOS = [name for name in target_folders() if {"channel", "hidden", "output"} <= set(chip(name).neurons)]


# ---- placement


def right(ids: np.ndarray, reached: np.ndarray, read: np.ndarray, feeding: np.ndarray) -> bool:
    """Reached neurons among the first 3 ids, read ones among the last 3, feeding ones among the last 2."""
    return bool(np.all(ids[reached] < 3) and np.all(ids[read] >= len(ids) - 3) and np.all(ids[feeding] >= len(ids) - 2))


def test_a_placement_is_found_whenever_there_is_one(tmp_path):
    target = write_chip(tmp_path, reach_in=3, reach_out=3, reach_rec=2)
    draw = np.random.default_rng(1)
    verdicts = []
    for _ in range(400):
        count = int(draw.integers(1, 7))
        ends = [draw.random(count) < draw.choice([0.2, 0.5]) for _ in range(3)]
        reached, read, feeding = ends
        net = wired(
            target,
            {"c": 1, "h": count, "o": 1},
            ("in", "c", "h", reached[None].astype(int)),
            ("rec", "h", "h", np.outer(feeding, np.ones(count, int))),
            ("out", "h", "o", read[:, None].astype(int)),
        )
        possible = any(right(np.array(ids), *ends) for ids in permutations(range(count)))
        faults = fit_faults(net)
        assert (not faults) == possible, (ends, faults)
        verdicts.append(possible)
        if possible:
            ids = map_network(net).network.group("h").ids
            assert sorted(ids.tolist()) == list(range(count))
            assert right(ids, *ends)
        else:
            assert {f.code for f in faults} == {"ND1802"}
    assert 40 < sum(verdicts) < len(verdicts) - 40, "both answers occur"


def test_any_windows_are_served_whenever_they_can_be():
    draw = np.random.default_rng(2)
    verdicts = []
    for _ in range(400):
        count = int(draw.integers(1, 7))
        ends = np.sort(draw.integers(0, count + 1, (count, 2)), axis=1)
        low, high = ends[:, 0], np.maximum(ends[:, 1], ends[:, 0] + 1)
        low = np.minimum(low, count - 1)
        possible = any(
            all(a <= place < b for a, b, place in zip(low, high, order, strict=True))
            for order in permutations(range(count))
        )
        ids = earliest_deadline(low, high)
        assert sorted(ids.tolist()) == list(range(count))
        assert bool(np.all((low <= ids) & (ids < high))) == possible
        verdicts.append(possible)
    assert 40 < sum(verdicts) < len(verdicts) - 40, "both answers occur"


def test_a_window_that_no_limit_speaks_of_is_explained_by_the_mapper(tmp_path):
    target = write_chip(tmp_path, reach_in=3, reach_out=3)
    ones = np.ones((1, 3), int)
    assert map_network(wired(target, {"c": 1, "h": 3, "o": 1}, ("in", "c", "h", ones), ("out", "h", "o", ones.T)))
    ones = np.ones((1, 5), int)
    net = wired(target, {"c": 1, "h": 5, "o": 1}, ("in", "c", "h", ones), ("out", "h", "o", ones.T))
    reached, read = fit_faults(net)
    assert reached.was == "5 neurons for 3 places"
    assert reached.must == "'in' reaches ids 0..2 of kind 'hidden'"
    assert reached.todo == "2 too many"
    assert read.must == "'out' leaves from ids 2..4 of kind 'hidden'"
    assert read.values == {"kind": "hidden", "asked": 5, "at_most": 3}


@pytest.mark.parametrize("name", XYLOS)
def test_layers_in_any_order_come_to_their_windows(name):
    target = chip(name)
    sizes = {"late": 60, "middle": 70, "early": 50}
    layers = {n: group(target, n, "hidden", size, threshold=10) for n, size in sizes.items()}
    i, o = group(target, "input", "channel", 3), group(target, "readout", "output", 2, threshold=10)
    links = (
        projection(target, "in", i, layers["early"], w1=np.ones((3, 50), int)),
        projection(target, "rec", layers["early"], layers["middle"], w1=np.eye(50, 70, dtype=int)),
        projection(target, "rec", layers["middle"], layers["late"], w1=np.eye(70, 60, dtype=int)),
        projection(target, "out", layers["late"], o, w1=np.ones((60, 2), int)),
    )
    placed = map_network(Network(target, (o, *layers.values(), i), links)).network
    ids = np.concatenate([g.ids for g in placed.of_kind("hidden")])
    assert sorted(ids.tolist()) == list(range(180))
    reach, read = target.connections["in"].entry.targets_first, target.connections["out"].entry.sources_last
    if reach and read:
        assert placed.group("early").ids.max() < reach
        assert placed.group("late").ids.min() >= 180 - read
        assert np.all(np.diff(placed.group("middle").ids) > 0), "inside a layer the order stays"


@pytest.mark.parametrize("name", XYLOS)
def test_mapping_again_gives_the_same_ids_and_ignores_old_ones(name, tmp_path):
    net = network(chip(name), hidden=180, reached=120, read=100, rec=spread(180, 700))
    first = map_network(net).network
    backward = replace(net, groups=tuple(replace(g, ids=np.arange(g.size)[::-1]) for g in net.groups))
    save_network(net, tmp_path / "net.npz")
    others = [net, first, backward, load_network(tmp_path / "net.npz")]
    for other in others:
        again = map_network(other).network
        for g in first.groups:
            assert np.array_equal(g.ids, again.group(g.name).ids)


def arrays_of(net: Network) -> list[np.ndarray]:
    result = [v for g in net.groups for v in g.parameters.values()]
    return result + [a for p in net.projections for a in (p.sources, p.targets, *p.fields.values())]


@pytest.mark.parametrize("name", XYLOS)
def test_nothing_of_the_argument_is_changed(name):
    net = network(chip(name), hidden=150, reached=100, read=100, rec=spread(150, 300), aliases=[(3, 2)], dt_s=0.01)
    before = copy.deepcopy([(g.name, g.ids) for g in net.groups]), [a.copy() for a in arrays_of(net)]
    for array in arrays_of(net):
        array.flags.writeable = False
    placed = map_network(net).network
    assert [(g.name, g.ids) for g in net.groups] == before[0]
    assert all(np.array_equal(a, b) for a, b in zip(arrays_of(net), before[1], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(arrays_of(placed), before[1], strict=True))
    assert (placed.dt_s, placed.chip, placed.notes) == (net.dt_s, net.chip, net.notes)


@pytest.mark.parametrize("name", XYLOS)
def test_where_order_does_not_matter_a_placement_changes_no_event(name):
    target, draw = chip(name), np.random.default_rng(5)
    sizes = {"late": 60, "middle": 50, "early": 50}
    layers = {n: group(target, n, "hidden", size, threshold=20, dash_mem=4) for n, size in sizes.items()}
    i, o = group(target, "input", "channel", 6), group(target, "readout", "output", 3, threshold=30)
    links = (
        projection(target, "in", i, layers["early"], w1=draw.integers(-8, 20, (6, 50))),
        projection(target, "rec", layers["early"], layers["middle"], w1=draw.integers(-8, 12, (50, 50))),
        projection(target, "rec", layers["middle"], layers["late"], w1=draw.integers(-8, 12, (50, 60))),
        projection(target, "out", layers["late"], o, w1=draw.integers(-8, 12, (60, 3))),
    )
    net = Network(target, (*layers.values(), i, o), links)
    mapped, identity = map_network(net).network, place_identity(net)
    moved = [not np.array_equal(mapped.group(n).ids, identity.group(n).ids) for n in layers]
    assert any(moved) == bool(target.connections["in"].entry.targets_first)
    counts = draw.integers(0, 4, (30, 2, 6))
    one, other = (simulate(n, counts, record=("v",)) for n in (mapped, identity))
    for g in net.groups:
        assert np.array_equal(one.counts[g.name], other.counts[g.name])
        assert one.counts[g.name].any()
        for state, values in one.states.get(g.name, {}).items():
            assert np.array_equal(values, other.states[g.name][state])


def test_a_forward_only_connection_can_be_forbidden_to_look_back(tmp_path):
    target = write_chip(tmp_path, forward_only="refuse")
    h = group(target, "h", "hidden", 3)
    ahead = Network(target, (h,), (pairs(target, "alias", h, h, [(0, 1), (1, 1)]),))
    assert map_network(ahead).warnings == ()
    (fault,) = fit_faults(replace(ahead, projections=(pairs(target, "alias", h, h, [(2, 1)]),)))
    assert fault.was == "'alias' from neuron 2 to neuron 1 leads to a lower hardware id"


# ---- what counts


def test_sources_of_two_kinds_are_different_neurons(tmp_path):
    limits = """
[limit.read]
value = "sources_out"
at_most = 4
unit = "neurons that are read"
[limit.fan]
per = "source"
of = "out"
value = "entries_out"
at_most = 2
unit = "outputs of one neuron"
"""
    target = write_chip(tmp_path, limits, out_from=("hidden", "channel"))
    every = np.ones((2, 2), int)
    fits = wired(target, {"c": 2, "h": 2, "o": 2}, ("out", "h", "o", every), ("out", "c", "o", every))
    assert {u.limit: (u.asked, u.where) for u in map_network(fits).usage} == {
        "read": (4, ""),
        "fan": (2, "'h' neuron 0"),
    }
    more = wired(target, {"c": 3, "h": 2, "o": 2}, ("out", "h", "o", every), ("out", "c", "o", np.ones((3, 2), int)))
    assert [f.values["limit"] for f in fit_faults(more)] == ["read"]
    three = np.array([[1, 1, 1], [1, 0, 0]])
    wide = wired(target, {"c": 2, "h": 2, "o": 3}, ("out", "h", "o", 0 * three), ("out", "c", "o", three))
    (fault,) = fit_faults(wide)
    assert fault.was == "3 outputs of one neuron ('c' neuron 0)"
    assert fault.todo == "1 too many", "nothing to do is invented where the chip file says nothing"


def test_a_window_of_sources_holds_for_each_kind_by_itself(tmp_path):
    target = write_chip(tmp_path, reach_out=2, out_from=("hidden", "channel"))
    net = wired(
        target, {"c": 4, "h": 3, "o": 1}, ("out", "h", "o", [[1], [1], [0]]), ("out", "c", "o", [[1], [0], [1], [0]])
    )
    placed = map_network(net).network
    assert placed.group("h").ids.tolist() == [1, 2, 0]
    assert sorted(placed.group("c").ids[[0, 2]].tolist()) == [2, 3]


def test_counts_of_one_neuron_are_its_own(tmp_path):
    limits = "".join(
        f"""
[limit.l{index}]
per = "{per}"
of = "rec"
value = "{formula}"
at_most = 99
unit = "x"
"""
        for index, (per, formula) in enumerate(
            (per, formula)
            for per in ("source", "target")
            for formula in (
                "entries_rec",
                "sources_rec",
                "targets_rec",
                "neurons_hidden",
                "nonzero_rec_w",
                "entries_out",
            )
        )
    )
    target = write_chip(tmp_path, limits)
    rec = np.array([[1, 1, 1], [0, 0, 5], [0, 0, 0]])
    net = wired(target, {"h": 3, "o": 4}, ("rec", "h", "h", rec), ("out", "h", "o", np.eye(3, 4, dtype=int)[[0, 0, 1]]))
    assert [u.asked for u in usage(net)] == [3, 1, 3, 1, 3, 1, 2, 2, 1, 1, 2, 0]


def test_a_limit_that_nobody_asks_for_is_listed_with_0(tmp_path):
    limits = """
[limit.fan]
per = "target"
of = "rec"
value = "entries_rec"
at_most = 2
unit = "x"
"""
    target = write_chip(tmp_path, limits)
    (row,) = usage(wired(target, {"c": 1}))
    assert (row.asked, row.where, row.fits) == (0, "", True)


def test_a_formula_that_is_not_finite_is_the_chip_file_s_fault(tmp_path):
    target = write_chip(tmp_path, '[limit.odd]\nvalue = "neurons_hidden / neurons_output"\nat_most = 2\nunit = "x"\n')
    assert usage(wired(target, {"h": 3, "o": 2}))[0].asked == 2, "rounded up"
    with pytest.raises(Refusal, match=r"limit\.odd\.value of the chip file: neurons_hidden / neurons_output = inf"):
        usage(wired(target, {"h": 3}))


def test_a_register_of_a_connection_is_held_to_its_ranges_once(tmp_path):
    target = write_chip(tmp_path)
    groups = {n: group(target, n, k, 2) for n, k in (("h", "hidden"), ("k", "hidden"), ("o", "output"))}

    def with_gain(gain: int) -> Network:
        links = [
            projection(target, "out", groups[n], groups["o"], {"gain": gain}, w=np.eye(2, dtype=int)) for n in "hk"
        ]
        return Network(target, tuple(groups.values()), tuple(links))

    assert map_network(with_gain(3)).warnings == ()
    (warning,) = map_network(with_gain(7)).warnings
    assert warning.where == "small, connection 'out'"
    assert (warning.was, warning.todo) == ("gain = 7 at index 0", "lower it to 3 or less")
    (fault,) = fit_faults(with_gain(8))
    assert (fault.was, fault.must) == ("gain = 8 at index 0", "0..7 may be written")


def test_synapses_of_different_delay_are_not_doubled(tmp_path):
    write_chip(tmp_path)
    path, line = tmp_path / "chip.toml", 'weights = ["w"]\n'
    path.write_text(path.read_text().replace(line, "synapse.delay = { unsigned = 2 }\n" + line))
    (tmp_path / "delays").mkdir()
    path = path.rename(tmp_path / "delays" / "chip.toml")
    target = chip(path)
    h = group(target, "h", "hidden", 2)
    twice = [projection(target, "rec", h, h, w=[[1, 0], [0, 0]], delay=[[d, 0], [0, 0]]) for d in (0, 1)]
    net = Network(target, (h,), tuple(twice))
    assert map_network(net)
    _, rows, which = Tally(net).of_each(["hidden"], "source")
    assert [(rows[i]["entries_rec"], rows[i]["targets_rec"]) for i in which] == [(2, 1), (0, 0)]


def test_weights_of_each_synapse_are_counted_for_each_neuron():
    target = chip("xylo_audio2")
    h = group(target, "h", "hidden", 2, threshold=1)
    rec = projection(target, "rec", h, h, w1=[[1, 0], [0, 0]], w2=[[1, 1], [0, 1]])
    tally = Tally(Network(target, (h,), (rec,)))
    _, rows, which = tally.of_each(["hidden"], "source")
    counted = [[rows[i][n] for n in ("entries_rec", "nonzero_rec_w1", "nonzero_rec_w2")] for i in which]
    assert counted == [[2, 1, 2], [1, 0, 1]]
    assert tally.whole()["nonzero_rec_w1"] == 1

"""Mapping: placements, what entries count, figures for reports."""

import copy
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from limit_networks import network, spread
from mapper_chip import write_chip

from neurodeploy.chips import Chip, chip, target_folders
from neurodeploy.errors import DoesNotFit, Refusal
from neurodeploy.mapper import fit_faults, map_network, reports, usage
from neurodeploy.mapper.counts import Tally
from neurodeploy.mapper.place import earliest_deadline
from neurodeploy.network import Network, group, load_network, pairs, place_identity, projection, save_network
from neurodeploy.simulator import simulate

XYLOS = [name for name in target_folders() if {"channel", "hidden", "output"} <= set(chip(name).neurons)]


def wired(target: Chip, sizes: dict[str, int], *links: tuple[str, str, str, np.ndarray]) -> Network:
    """Groups named after their kinds' first letter and a number; links are (kind, source, target, weights)."""
    kinds = {"c": "channel", "h": "hidden", "o": "output"}
    groups = {name: group(target, name, kinds[name[0]], size) for name, size in sizes.items()}
    projections = [projection(target, kind, groups[s], groups[t], w=w) for kind, s, t, w in links]
    return Network(target, tuple(groups.values()), tuple(projections))


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


# ---- figures


def cycles_by_the_book(net: Network, *, all_reached: bool) -> float:
    """The vendor's model, written from its description, with every probability 1."""
    sizes = {k: sum(g.size for g in net.of_kind(k)) for k in ("channel", "hidden", "output")}
    n_in, n_hid, n_out = sizes.values()
    matrices = {
        k: np.zeros((n_hid if k != "in" else n_in, n_out if k == "out" else n_hid), bool) for k in ("in", "rec", "out")
    }
    aliases = np.zeros((n_hid, n_hid), bool)
    for p in net.projections:
        if p.kind == "alias":
            aliases[p.sources, p.targets] = True
        else:
            matrices[p.kind][p.sources, p.targets] |= np.any([p.fields[w] != 0 for w in p.fields], axis=0)
    syn1 = np.zeros((n_hid, n_hid), bool)
    for p in net.projections:
        if p.kind == "rec":
            syn1[p.sources, p.targets] = p.fields["w1"] != 0
    f = syn1.sum(axis=1).mean()
    n_ien = n_hid if all_reached else int(matrices["in"].any(axis=0).sum())
    n_oen = n_hid if all_reached else int(matrices["out"].any(axis=1).sum())
    a_t, a_s = aliases.sum(axis=0).mean(), aliases.sum(axis=1).mean()
    p = 1
    v = 2 * max(p, a_t * a_s) + 3 * max(p * a_t, a_t * a_s) + p + max(p, a_t) * a_s
    return float(
        n_in * (p * n_ien * 3.5 + 1)
        + n_hid * (f * 7 * p + 3)
        + n_oen * p * (1 + 8 * n_out)
        + n_hid * (19 + v)
        + 12 * n_out
    )


@pytest.mark.parametrize("name", XYLOS)
def test_cycles_are_those_of_the_vendor_s_model(name):
    target, draw = chip(name), np.random.default_rng(7)
    windows = bool(target.connections["in"].entry.targets_first)
    seen = set()
    for _ in range(60):
        hidden, inputs, outputs = (int(draw.integers(1, n)) for n in (40, 17, 9))
        shares = draw.random(3)
        aliases = [(i, (i + 1 + int(draw.integers(hidden - 1))) % hidden) for i in range(hidden) if hidden > 1]
        net = network(
            target, inputs=inputs, hidden=hidden, outputs=outputs, aliases=aliases[:: int(draw.integers(1, 4))]
        )
        i, h, o = net.groups
        matrices = [draw.integers(-3, 4, s) * (draw.random(s) < c) for s, c in zip(
            [(inputs, hidden), (hidden, hidden), (hidden, outputs)], shares, strict=True)]  # fmt: skip
        second = {"w2": draw.integers(-1, 2, (hidden, hidden))} if "w2" in target.connections["rec"].fields else {}
        links = (
            projection(target, "in", i, h, w1=matrices[0]),
            projection(target, "rec", h, h, w1=matrices[1], **second),
            projection(target, "out", h, o, w1=matrices[2]),
            net.projections[-1],
        )
        net = replace(net, projections=links)
        value, unit = reports(net)["cycles"]
        assert value == pytest.approx(cycles_by_the_book(net, all_reached=not windows), rel=1e-12)
        assert unit == "clock cycles per step in the worst case"
        seen.add(value)
    assert len(seen) > 50


def test_the_largest_audio_2_network_needs_370_112_cycles():
    target = chip("xylo_audio2")
    net = network(target, inputs=16, hidden=1000, outputs=8, rec=spread(1000, 32000))
    figures = reports(net)
    assert figures["cycles"][0] == 370112
    assert figures["cycles"][0] / figures["clock"][0] == pytest.approx(0.0074, rel=1e-3)
    assert figures["shortest_step"][0] == pytest.approx(1.2 * 370112 / 50e6)


# made by rockpool 3.1.0, printed in its notebooks xylo-imu-intro.ipynb (757) and quick-xylo/xylo-audio-intro.ipynb
# (555, run on Audio 3; 7 below what 32 recurrent weights give: one of the random weights was rounded to 0)
@pytest.mark.parametrize(("name", "inputs", "zeros", "cycles"), [("xylo_imu", 15, 0, 757), ("xylo_audio3", 2, 1, 555)])
def test_cycles_are_those_that_the_vendor_printed(name, inputs, zeros, cycles):
    rec = np.zeros((8, 8), int)
    rec[:, 4:] = 1
    rec[7, 7 : 7 + zeros] = 0
    aliases = [(i, 4 + i) for i in range(4)]
    net = network(chip(name), inputs=inputs, hidden=8, outputs=2, reached=4, read=4, rec=rec, aliases=aliases)
    assert reports(net)["cycles"][0] == cycles


@pytest.mark.parametrize("name", XYLOS)
def test_a_step_shorter_than_the_slowest_possible_one_is_a_warning(name):
    hidden = chip(name).limits["hidden"].entry.at_most
    net = network(chip(name), inputs=16, hidden=hidden, outputs=8, rec=spread(hidden, 20 * hidden))
    needed = reports(net)["shortest_step"][0]
    assert 1e-4 < needed < 1e-2
    assert map_network(net).warnings == ()
    assert map_network(replace(net, dt_s=needed)).warnings == ()
    (warning,) = map_network(replace(net, dt_s=0.99 * needed)).warnings
    assert f"{needed:.6g} s, the shortest step that the default clock guarantees" in warning.was
    assert warning.must == f"dt_s = {0.99 * needed:.6g} of the network is less"
    assert "a longer step, a faster clock" in warning.todo
    assert warning.values["asked"] == needed


def test_figures_may_be_made_of_figures_in_any_order(tmp_path):
    figures = """
[report.a]
value = "2 * b"
unit = "x"
[report.b]
value = "c + 1"
unit = "x"
[report.c]
value = "neurons_hidden"
unit = "x"
"""
    target = write_chip(tmp_path, figures)
    assert {n: v for n, (v, _) in reports(wired(target, {"h": 3})).items()} == {"a": 8, "b": 4, "c": 3}


def test_figures_in_a_circle_are_refused(tmp_path):
    figures = """
[report.a]
value = "b"
unit = "x"
[report.b]
value = "a"
unit = "x"
[report.c]
value = "d"
unit = "x"
"""
    with pytest.raises(Refusal) as caught:
        write_chip(tmp_path, figures)
    text = str(caught.value)
    assert "report.a.value: made of b, which need it or each other; figures without a circle" in text
    assert "report.b.value: made of a" in text
    assert "report.c.value: unknown name 'd'" in text
    assert len(caught.value.faults) == 3


def test_a_figure_is_compared_only_with_what_a_network_states(tmp_path):
    figure = '[report.a]\nvalue = "neurons_hidden"\nunit = "s"\nat_most = "dt_s"\n'
    target = write_chip(tmp_path, figure)
    assert len(map_network(replace(wired(target, {"h": 3}), dt_s=2.0)).warnings) == 1
    (tmp_path / "other").mkdir()
    with pytest.raises(Refusal, match=r"report\.a\.at_most"):
        write_chip(tmp_path / "other", figure.replace("dt_s", "cycles"))


# ---- cores

CORES = """
[core]
count = 3
neurons = 4
kinds = ["hidden"]
[limit.memory]
per = "core"
value = "2 * neurons_hidden + entries_rec + entries_in"
at_most = 10
unit = "words of synapse memory"
todo = "use fewer synapses"
[limit.axons]
per = "core"
value = "sources_rec"
at_most = 2
unit = "arriving axons"
[limit.fan_in]
per = "target"
of = "rec"
value = "entries_rec"
at_most = 5
unit = "recurrent sources of one neuron"
todo = "use fewer sources"
"""


def recurrent(target: Chip, size: int, *links: tuple[int, int]) -> Network:
    matrix = np.zeros((size, size), int)
    for source, end in links:
        matrix[source, end] = 1
    return wired(target, {"h": size}, ("rec", "h", "h", matrix))


def test_neurons_fill_the_cores_in_their_order(tmp_path):
    target = write_chip(tmp_path, CORES)
    placed = map_network(recurrent(target, 12))
    assert placed.network.group("h").ids.tolist() == list(range(12))
    rows = {u.limit: (u.asked, u.at_most, u.where) for u in placed.usage}
    assert rows["core.count"] == (3, 3, "")
    assert rows["core.neurons"] == (4, 4, "core 0")
    assert rows["memory"] == (8, 10, "core 0")
    assert len(rows) == 5
    (fault,) = fit_faults(recurrent(target, 13))
    assert fault.was == "1 of 13 neurons without a core when the cores are filled in the order of the layers"
    assert fault.must == (
        "3 cores of 4 neurons, each within its limits: at most 10 words of synapse memory, at most 2 arriving axons"
    )
    assert fault.values["left"] == 1


def test_a_core_is_full_where_its_memory_is(tmp_path):
    target = write_chip(tmp_path, CORES)
    at_the_limit = recurrent(target, 5, (0, 0), (0, 1))  # 4 neurons and 2 entries: 10 words
    assert map_network(at_the_limit).network.group("h").ids.tolist() == [0, 1, 2, 3, 4]
    rows = {u.limit: u for u in map_network(at_the_limit).usage}
    assert (rows["memory"].asked, rows["memory"].where) == (10, "core 0")
    one_more = map_network(recurrent(target, 5, (0, 0), (0, 1), (0, 2)))
    assert one_more.network.group("h").ids.tolist() == [0, 1, 2, 4, 5]
    assert {u.limit: u.asked for u in one_more.usage}["memory"] == 9


def test_a_core_is_full_where_its_axons_are(tmp_path):
    target = write_chip(tmp_path, CORES)
    two = recurrent(target, 4, (0, 0), (1, 1))
    assert map_network(two).network.group("h").ids.tolist() == [0, 1, 2, 3]
    three = recurrent(target, 4, (0, 0), (1, 1), (2, 1), (2, 2))
    with pytest.raises(DoesNotFit, match="arriving axons"):
        map_network(recurrent(target, 4, (0, 0), (1, 0), (2, 0)))
    assert map_network(three).network.group("h").ids.tolist() == [0, 4, 5, 6]


def test_a_neuron_too_large_for_any_core_is_named(tmp_path):
    target = write_chip(tmp_path, CORES)
    links = [(source, end) for end, many in ((2, 2), (3, 3), (4, 5)) for source in range(many)]
    (fault,) = fit_faults(recurrent(target, 6, *links))
    assert fault.was == "3 arriving axons ('h' neuron 3 alone on a core and 1 more)"
    assert (fault.must, fault.todo) == ("at most 2 fit", "1 too many")
    assert fault.values == {"limit": "axons", "asked": 3, "at_most": 2}


def test_a_limit_of_fan_in_is_inclusive(tmp_path):
    target = write_chip(tmp_path, CORES.replace("at_most = 2\n", "at_most = 9\n"))
    five = recurrent(target, 6, *((i, 3) for i in range(5)))
    rows = {u.limit: u for u in map_network(five).usage}
    assert (rows["fan_in"].asked, rows["fan_in"].where) == (5, "'h' neuron 3")
    (fault,) = fit_faults(recurrent(target, 6, *((i, 3) for i in range(6))))
    assert fault.was == "6 recurrent sources of one neuron ('h' neuron 3)"
    assert (fault.must, fault.todo) == ("at most 5 fit", "1 too many: use fewer sources")


def test_faults_of_cores_stand_beside_all_others(tmp_path):
    target = write_chip(tmp_path, CORES + '[limit.c]\nvalue = "neurons_channel"\nat_most = 1\nunit = "channels"\n')
    assert map_network(wired(target, {"c": 1, "h": 12}))
    assert [f.values["limit"] for f in fit_faults(wired(target, {"c": 2, "h": 13}))] == ["c", "core.count"]
    heavy = wired(target, {"c": 2, "h": 6}, ("rec", "h", "h", np.tile([1, 0, 0, 0, 0, 0], (6, 1))))
    assert [f.values["limit"] for f in fit_faults(heavy)] == ["fan_in", "c", "axons"]


def test_two_kinds_share_the_cores_and_their_slots(tmp_path):
    shared = """
[core]
count = 2
neurons = 3
kinds = ["hidden", "output"]
[limit.memory]
per = "core"
value = "neurons_hidden + 3 * neurons_output"
at_most = 6
unit = "words"
"""
    target = write_chip(tmp_path, shared)
    placed = map_network(wired(target, {"h": 2, "o": 2, "c": 5})).network
    assert placed.group("h").ids.tolist() == [0, 1]
    assert placed.group("o").ids.tolist() == [2, 3], "the third slot of core 0 is free, a fourth there is not"
    assert placed.group("c").ids.tolist() == [0, 1, 2, 3, 4], "channels stand on no core"
    slots = [*placed.group("h").ids.tolist(), *placed.group("o").ids.tolist()]
    assert len(set(slots)) == len(slots)
    assert map_network(wired(target, {"h": 1, "o": 3})).network.group("o").ids.tolist() == [1, 3, 4], (
        "7 words are too many"
    )
    assert fit_faults(wired(target, {"h": 4, "o": 1})) == []
    assert len(fit_faults(wired(target, {"h": 5, "o": 2}))) == 1


def test_random_networks_on_cores_keep_every_limit(tmp_path):
    target = write_chip(tmp_path, CORES.replace("count = 3", "count = 9").replace("at_most = 2\n", "at_most = 4\n"))
    draw, answers = np.random.default_rng(3), []
    for _ in range(60):
        size = int(draw.integers(1, 20))
        rec = (draw.random((size, size)) < 0.15).astype(int)
        net = wired(target, {"h": size}, ("rec", "h", "h", rec))
        faults = fit_faults(net)
        answers.append(not faults)
        if faults:
            continue
        ids = map_network(net).network.group("h").ids
        assert len(set(ids.tolist())) == size
        assert ids.max() < 9 * 4
        for core in range(9):
            here = ids // 4 == core
            assert 2 * here.sum() + rec[:, here].sum() <= 10
            assert rec[:, here].any(axis=1).sum() <= 4
    assert 5 < sum(answers) < len(answers) - 5, "both answers occur"


def test_a_window_on_a_chip_with_cores_is_kept_or_refused(tmp_path):
    target = write_chip(tmp_path, CORES, reach_in=2)
    first = wired(target, {"c": 1, "h": 4}, ("in", "c", "h", np.array([[1, 1, 0, 0]])))
    assert map_network(first).network.group("h").ids.tolist() == [0, 1, 2, 3]
    (fault,) = fit_faults(wired(target, {"c": 1, "h": 4}, ("in", "c", "h", np.array([[1, 0, 1, 0]]))))
    assert fault.was == "1 of 4 hidden neurons without a place, first 'h' neuron 2"
    (tmp_path / "last").mkdir()
    target = write_chip(tmp_path / "last", CORES, reach_out=2)
    last = wired(target, {"o": 1, "h": 12}, ("out", "h", "o", np.arange(12)[:, None] // 10))
    assert map_network(last).network.group("h").ids[-2:].tolist() == [10, 11]
    (fault,) = fit_faults(wired(target, {"o": 1, "h": 11}, ("out", "h", "o", np.arange(11)[:, None] // 9)))
    assert fault.must == "'out' leaves from ids 10..11 of kind 'hidden'", "a chip with cores numbers all its slots"

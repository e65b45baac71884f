"""Configurations for samna where a core holds a layer: written, read back, damaged; what they cannot express."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from layer_networks import chain, merge, placed

from neurodeploy import emit
from neurodeploy.chips import chip, from_raw, target_folders
from neurodeploy.emit.samna import layers, read_configuration
from neurodeploy.emit.samna.layers import Readout, Sensor, Setup
from neurodeploy.errors import Refusal
from neurodeploy.mapper import map_network
from neurodeploy.network import Convolution, Network, convolution, group

CHIPS = [name for name in target_folders() if "samna_layers" in chip(name).file.emit]
SETUPS = {
    "none": Setup(),
    "sensor": Setup(sensor=Sensor((3, 5), (True, False), monitor=True)),
    "readout": Setup(readout=Readout("o", threshold=7, average=32, mode=1, select=3)),
    "both": Setup(
        Sensor(pixels=False, raw_monitor=True), Readout("o", average=1, monitor=False, pin_monitor=True), ("a", "o")
    ),
    "filter": Setup(monitor=(), filter={"enable": True, "filter_size": {"x": 3, "y": 2}, "threshold": 4}),
}


def equal(a, b):
    """Whether two networks hold the same, value by value and in the same order; notes apart."""
    assert (a.chip.name, a.dt_s) == (b.chip.name, b.dt_s)
    assert [(g.name, g.kind, g.size, g.shape) for g in a.groups] == [
        (g.name, g.kind, g.size, g.shape) for g in b.groups
    ]
    for g, h in zip(a.groups, b.groups, strict=True):
        np.testing.assert_array_equal(g.ids, h.ids)
        assert g.parameters.keys() == h.parameters.keys()
        for name, values in g.parameters.items():
            np.testing.assert_array_equal(values, h.parameters[name])
    assert len(a.projections) == len(b.projections)
    for p, q in zip(a.projections, b.projections, strict=True):
        assert (p.kind, p.source, p.target, p.geometry) == (q.kind, q.source, q.target, q.geometry)
        np.testing.assert_array_equal(p.fields["w"], q.fields["w"])
    return True


def refused(network, setup=None):
    with pytest.raises(Refusal) as refusal:
        layers.to_configuration(network, setup)
    return str(refusal.value)


def changed(network, name, **registers):
    groups = []
    for g in network.groups:
        new = {n: np.full(g.size, v) if np.ndim(v) == 0 else v for n, v in registers.items()}
        groups.append(replace(g, parameters=dict(g.parameters) | new) if g.name == name else g)
    return replace(network, groups=tuple(groups))


# what is written


@pytest.mark.parametrize("chip_name", CHIPS)
def test_weights_and_states_lie_column_before_row(chip_name):
    network = chain(chip_name)
    core = layers.to_configuration(network)["cnn_layers"][int(network.group("b").ids[0]) // 65536]
    p = network.projections[1]
    kernel, states = p.fields["w"].reshape(p.geometry.kernel), network.group("b").parameters["initial"]
    f, c, y, x = 4, 3, 0, 1
    assert core["weights"][f][c][x][y] == kernel[f, c, y, x] != kernel[f, c, x, y]
    assert core["neurons_initial_value"][f][2][0] == states.reshape(6, 1, 3)[f, 0, 2]
    assert np.shape(core["neurons_initial_value"]) == (6, 3, 1)


def test_geometry_of_an_oblong_map_stands_by_axis():
    network = chain()
    core = layers.to_configuration(network)["cnn_layers"][int(network.group("a").ids[0]) // 65536]
    assert core["dimensions"] == {
        "padding": {"x": 0, "y": 1},
        "stride": {"x": 2, "y": 1},
        "kernel_size": 3,
        "input_shape": {"size": {"x": 10, "y": 6}, "feature_count": 2},
        "output_shape": {"size": {"x": 4, "y": 6}, "feature_count": 5},
    }


def test_destinations_carry_pooling_and_the_place_of_split_features():
    network = placed(chain(), {"a": [(5, 2), (1, 3)], "b": [(2, 6)], "o": [(8, 1), (0, 3)]})
    cores = layers.to_configuration(network)["cnn_layers"]
    on = {k: [d for d in core["destinations"] if d["enable"]] for k, core in enumerate(cores)}
    assert on[5] == [{"enable": True, "layer": 2, "pooling": 2, "feature_shift": 0}]
    assert on[1] == [{"enable": True, "layer": 2, "pooling": 2, "feature_shift": 2}]
    assert [d["layer"] for d in on[2]] == [8, 0]
    assert [k for k, found in on.items() if found] == [1, 2, 5]
    assert [len(core["destinations"]) for core in cores] == [2] * 9
    assert [np.shape(cores[k]["weights"]) for k in (5, 1)] == [(2, 2, 3, 3), (3, 2, 3, 3)]
    assert [k for k, core in enumerate(cores) if core["monitor_enable"]] == [0, 8]


def test_unused_cores_are_silent():
    cores = layers.to_configuration(chain())["cnn_layers"]
    idle = [core for core in cores if "weights" not in core]
    assert len(idle) == 6
    for core in idle:
        switches = {n: v for n, v in core.items() if n != "destinations"}
        assert set(switches.values()) == {False}
        assert not any(d["enable"] for d in core["destinations"])


def test_the_leak_is_on_exactly_where_a_bias_is_set():
    network = changed(changed(chain(), "a", bias=0), "b", bias=-2)
    cores = layers.to_configuration(network)["cnn_layers"]
    where = {n: int(network.group(n).ids[0]) // 65536 for n in "ab"}
    assert (cores[where["a"]]["leak_enable"], cores[where["b"]]["leak_enable"]) == (False, True)
    assert cores[where["b"]]["biases"] == [-2] * 6


@pytest.mark.parametrize("chip_name", CHIPS)
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_every_mirror_field_is_always_written(chip_name, setup):
    dvs = layers.to_configuration(chain(chip_name), setup)["dvs_layer"]
    mirror = setup.sensor.mirror if setup.sensor else (False, False)
    assert (dvs["mirror"], dvs["mirror_diagonal"]) == ({"x": mirror[0], "y": mirror[1]}, False)
    assert dvs["pass_sensor_events"] is (setup.sensor is not None and setup.sensor.pixels)


def test_the_cut_is_inclusive_and_counted_after_pooling():
    network = chain()  # 12 rows and 20 columns of pixels, pooled by 2
    dvs = layers.to_configuration(network, Setup(Sensor((3, 5))))["dvs_layer"]
    assert (dvs["origin"], dvs["cut"], dvs["pooling"]) == ({"x": 3, "y": 5}, {"x": 12, "y": 10}, {"x": 2, "y": 2})
    assert [d["layer"] for d in dvs["destinations"]] == [int(network.group("a").ids[0]) // 65536, 0]
    assert [d["enable"] for d in dvs["destinations"]] == [True, False]
    assert dvs["merge"] is False
    assert layers.to_configuration(chain(channels=1), Setup(Sensor()))["dvs_layer"]["merge"] is True


def test_the_region_may_touch_the_edge_and_not_leave_the_array():
    assert layers.to_configuration(chain(), Setup(Sensor((54, 58))))["dvs_layer"]["cut"] == {"x": 63, "y": 63}
    text = refused(chain(), Setup(Sensor((55, 59))))
    assert "rows 59 to 64 after pooling; within 0 to 63" in text
    assert "columns 55 to 64 after pooling" in text


def test_classes_of_the_readout_are_spread_over_every_fourth_feature():
    network = chain()
    configuration = layers.to_configuration(network, SETUPS["readout"])
    core = configuration["cnn_layers"][int(network.group("o").ids[0]) // 65536]
    weights, p = np.array(core["weights"]), network.projections[2]
    assert core["dimensions"]["output_shape"]["feature_count"] == 13
    np.testing.assert_array_equal(weights[::4].transpose(0, 1, 3, 2).reshape(-1), p.fields["w"])
    assert not np.delete(weights, [0, 4, 8, 12], axis=0).any()
    assert [len(core[n]) for n in ("biases", "neurons_initial_value")] == [13, 13]
    assert [d["layer"] for d in core["destinations"] if d["enable"]] == [12]
    assert configuration["readout"] | {"threshold": 7} == configuration["readout"]
    assert configuration["readout"]["readout_configuration_sel"] == 3
    assert not any(c["monitor_enable"] for c in configuration["cnn_layers"])


def test_silent_features_must_fit_the_core():
    c = chip(CHIPS[0])
    geometry = Convolution((64, 4, 4), (15, 64, 4, 4))
    source, o = (
        group(c, "in", "pixel", (64, 4, 4)),
        group(c, "o", "unit", (15, 1, 1), threshold_high=9, threshold_low=-9),
    )
    link = convolution(c, "convolve", source, o, geometry, w=np.ones(geometry.kernel, int))
    network = Network(c, (source, o), (link,))
    setup = Setup(readout=Readout("o"))
    assert layers.to_configuration(placed(network, {"o": [(5, 15)]}), setup)
    text = refused(placed(network, {"o": [(0, 15)]}), setup)
    assert "65,536 words of kernel memory for 57 features, which the readout wants; core 0 has 16,384" in text


# the way back


@pytest.mark.parametrize("chip_name", CHIPS)
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_a_chain_comes_back_with_what_was_decided_beside_it(chip_name, setup, tmp_path):
    network = chain(chip_name, 3)
    layers.write_configuration(network, tmp_path / "a.json", setup)
    read, decided = layers.read_configuration(tmp_path / "a.json")
    assert equal(read, network)
    assert (decided.sensor, decided.readout) == (setup.sensor, setup.readout)
    assert decided.monitored(read) == setup.monitored(network)
    layers.write_configuration(read, tmp_path / "b.json", decided)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@pytest.mark.parametrize("seed", range(12))
def test_split_layers_branches_and_merges_come_back(seed):
    for network in (chain(seed=seed, split=True), merge(seed=seed)):
        written = layers.to_configuration(network)
        read, decided = layers.from_configuration(json.loads(json.dumps(written)))
        assert equal(read, network)
        assert layers.to_configuration(read, decided) == written


def test_a_network_that_was_mapped_comes_back():
    network = map_network(chain()).network
    read, _ = layers.from_configuration(layers.to_configuration(network))
    assert equal(read, network)


def test_projections_hold_the_whole_kernel_or_their_own_channels():
    kinds = set()
    for seed in range(8):
        kinds |= {p["kernel"] for p in layers.to_configuration(merge(seed=seed))["projections"] if p["target"] == "m"}
    assert kinds == {"whole", "own"}


# what cannot be expressed


def test_a_network_that_is_not_placed_is_refused():
    network = chain()
    bare = replace(network, groups=tuple(replace(g, ids=None) for g in network.groups))
    assert "groups without hardware ids: pixels, a, b, o" in refused(bare)


def test_ids_must_be_those_of_whole_features_on_a_core():
    network = chain()
    groups = [replace(g, ids=g.ids + 1) if g.name in {"a", "pixels"} else g for g in network.groups]
    assert "layer 'a': hardware ids that are not those of whole features" in refused(
        replace(network, groups=tuple(groups))
    )
    pixels = replace(network.groups[0], ids=network.groups[0].ids[::-1].copy())
    assert "scattered hardware ids" in refused(replace(network, groups=(pixels, *network.groups[1:])))


def test_a_core_that_is_not_there_and_two_layers_on_one_core_are_refused():
    text = refused(placed(chain(), {"a": [(3, 5)], "b": [(9, 6)], "o": [(4, 4)]}))
    assert "layer 'b': core 9; a core below 9" in text
    assert layers.to_configuration(placed(chain(), {"a": [(3, 5)], "b": [(8, 6)], "o": [(4, 4)]}))
    with pytest.raises(Refusal, match="a free id; 'a' has it"):
        placed(chain(), {"a": [(3, 5)], "b": [(3, 6)], "o": [(4, 4)]})


def test_everything_that_has_no_field_is_refused_together():
    network = chain()
    uneven = np.arange(network.group("a").size) % 7 + 20
    network = changed(network, "a", threshold_high=uneven, bias=-uneven)
    p = network.projections[1]
    oblong = replace(p.geometry, pooling=(1, 2), kernel=(6, 5, 4, 2), stride=(3, 1))
    link = replace(p, geometry=oblong, fields={"w": np.zeros(oblong.entries, np.int64)})
    b = replace(network.group("b"), shape=oblong.target)
    assert oblong.target == network.group("b").shape
    network = replace(network, groups=tuple(b if g.name == "b" else g for g in network.groups))
    network = replace(network, projections=(network.projections[0], link, network.projections[2]))
    text = refused(network)
    assert "layer 'b': kernel_columns = 2, kernel_rows = 4; equal ones: they share the field dimensions.kernel" in text
    assert "layer 'b': 'a' pooled by (1, 2); one number for rows and columns" in text
    assert "layer 'a': threshold_high from 20 to 26; one value" in text
    assert "layer 'a': bias differs inside feature 0; one value for each feature" in text


def test_groups_of_a_convolution_have_no_field():
    c = chip(CHIPS[0])
    geometry = Convolution((2, 4, 4), (2, 1, 3, 3), groups=2)
    source, a = group(c, "in", "pixel", (2, 4, 4)), group(c, "a", "unit", (2, 2, 2), threshold_high=9, threshold_low=-9)
    link = convolution(c, "convolve", source, a, geometry, w=np.ones(geometry.kernel, int))
    assert "groups = 2; 1: there is no field for it" in refused(
        placed(Network(c, (source, a), (link,)), {"a": [(0, 2)]})
    )


def test_more_destinations_than_a_core_has_are_refused():
    network = placed(chain(), {"a": [(5, 5)], "b": [(2, 6)], "o": [(8, 1), (0, 1), (1, 2)]})
    assert "3 destinations of 'b', the blocks of split layers and the readout among them; at most 2" in refused(network)


def test_weights_on_channels_that_nothing_feeds_would_be_lost():
    network = next(n for n in (merge(seed=s) for s in range(8)) if n.projections[2].fields["w"][0] == 0)
    p = network.projections[2]
    stray = p.fields["w"].copy()
    stray[0] = network.projections[3].fields["w"][0] + 1
    links = list(network.projections)
    links[2] = replace(p, fields={"w": np.clip(stray, -128, 127)})
    assert "projection b -> m: weights other than 0 on channels" in refused(replace(network, projections=tuple(links)))


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        (Setup(monitor=("c",)), "monitor: layer 'c'; one of a, b, o"),
        (Setup(readout=Readout("b")), "readout, layer 'b': shape (6, 1, 3); (classes, 1, 1), 1..15 classes"),
        (Setup(readout=Readout("x")), "readout.layer: layer 'x'"),
        (Setup(readout=Readout("o", average=2)), "readout.average: found 2; one of 1, 16, 32"),
        (Setup(readout=Readout("o", threshold=65536)), "readout.threshold: found 65536; 0..65535"),
        (Setup(readout=Readout("o", select=16)), "readout.select: found 16; 0 for none, or a class, 1..15"),
        (Setup(readout=Readout("o"), monitor=("a",)), "one of both: while the readout is watched, no spikes arrive"),
        (Setup(Sensor(diagonal=True)), "an exchanged map of 12 x 20; a square one"),
        (Setup(Sensor((-1, 0))), "columns -1 to 8 after pooling"),
        (Setup(filter={"gain": 3}), "filter.gain: unknown; one of enable"),
        (Setup(filter={"threshold": 0.5}), "filter.threshold: 0.5; whole numbers"),
    ],
)
def test_what_the_chip_does_not_offer_is_refused(setup, words):
    assert words in refused(chain(), setup)


def test_a_sensor_feeds_one_input_of_one_or_two_polarities():
    assert "2 inputs; one: there is one array of pixels" in refused(merge(), Setup(Sensor()))
    assert "shape (3, 12, 20); (1 or 2, rows, columns)" in refused(chain(channels=3), Setup(Sensor()))
    assert layers.to_configuration(chain(channels=3))


# damage


def spots(thing, path=()):
    """Every place of a configuration; of long lists the first and the last entry."""
    yield path
    if isinstance(thing, dict):
        for name, value in thing.items():
            yield from spots(value, (*path, name))
    elif isinstance(thing, list):
        for i in sorted({0, len(thing) - 1}) if thing else ():
            yield from spots(thing[i], (*path, i))


def damaged(configuration, path, action):
    result = copy.deepcopy(configuration)
    if not path:
        return action(result)
    holder = result
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = action(holder[path[-1]])
    return result


def doubled(value):
    return value * 2 if isinstance(value, list) else [value, value]


def emptied(value):
    return type(value)()


def nested(value):
    return {"a": value}


def shifted(value):
    return value + 1 if type(value) is int else not value


JUNK = [None, -1, 0, 1, 10**12, 0.5, float("nan"), True, "a", "b", [], [[]], [0, 0, 0], {}, {"x": 1}]
ACTIONS = [*((lambda _, j=j: j) for j in JUNK), doubled, emptied, nested, shifted]
SAMPLES = {
    "readout": (chain(), SETUPS["readout"]),
    "sensor": (chain(split=True), SETUPS["sensor"]),
    "merge": (merge(), None),
}


@pytest.mark.parametrize("times", [1, pytest.param(len(ACTIONS), marks=pytest.mark.slow)])
@pytest.mark.parametrize("sample", SAMPLES)
def test_damage_is_refused_or_changes_the_network_and_nothing_else(sample, times):
    """What is still accepted must be what its own network is written as: nothing is read and then forgotten."""
    whole = layers.to_configuration(*SAMPLES[sample])
    rng, faults, accepted, owner = np.random.default_rng(1), 0, 0, chip(whole["chip"])
    places = list(spots(whole))
    for path in places[:: 2 if times == 1 else 1]:  # the slow version damages every place
        for k in rng.choice(len(ACTIONS), times, replace=False):
            broken = damaged(whole, path, ACTIONS[k])
            try:
                read, decided = layers.from_configuration(broken, chip=owner)
            except Refusal:
                faults += 1
                continue
            accepted += 1
            made = layers.to_configuration(read, decided) | {"note": broken["note"]}
            assert json.dumps(made, sort_keys=True) == json.dumps(broken, sort_keys=True)
    assert faults > 3 * accepted > 0
    assert len(places) > 150


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_entry_is_needed_and_none_is_added(sample):
    whole = layers.to_configuration(*SAMPLES[sample])
    owner = chip(whole["chip"])
    for path in spots(whole):
        holder = whole
        for name in path:
            holder = holder[name]
        if isinstance(holder, dict) and path != ("dvs_filter",):
            with pytest.raises(Refusal, match="colour"):
                layers.from_configuration(damaged(whole, path, lambda found: found | {"colour": 1}), chip=owner)
            name = next(iter(holder))
            without = damaged(whole, path, lambda found, gone=name: {n: v for n, v in found.items() if n != gone})
            with pytest.raises(Refusal):
                layers.from_configuration(without, chip=owner)


def test_contradictions_are_named_with_what_follows_from_the_rest():
    whole = layers.to_configuration(chain(), SETUPS["sensor"])
    whole["dvs_layer"]["cut"]["x"] += 1
    whole["cnn_layers"][0]["output_decimator_enable"] = True
    with pytest.raises(Refusal) as refusal:
        layers.from_configuration(whole)
    assert "dvs_layer.cut.x: found 13; 12, as follows from the rest" in str(refusal.value)
    assert "cnn_layers[0].output_decimator_enable: found True; False" in str(refusal.value)


def test_another_version_another_chip_and_another_layout_are_refused(tmp_path):
    whole = layers.to_configuration(chain())
    for changes, code in (
        ({"format": "neurodeploy/2"}, "ND1404"),
        ({"chip": "nobody"}, "ND1104"),
        ({"format": 1}, "ND1901"),
    ):
        with pytest.raises(Refusal) as refusal:
            layers.from_configuration(whole | changes)
        assert refusal.value.code == code
    with pytest.raises(Refusal, match="chip: found"):
        layers.from_configuration(whole, chip=chip(CHIPS[0] if CHIPS[0] != whole["chip"] else CHIPS[1]))
    layers.write_configuration(chain(), tmp_path / "a.json")
    with pytest.raises(Refusal, match="its formats: samna_layers"):
        read_configuration(tmp_path / "a.json")
    (tmp_path / "b.json").write_text("[" * 100_000)
    with pytest.raises(Refusal) as refusal:
        layers.read_configuration(tmp_path / "b.json")
    assert refusal.value.code == "ND1401"


# the tables


def test_emitters_are_found_by_chip(tmp_path):
    assert [emit.formats(chip(name)) for name in CHIPS] == [("samna_layers",)] * len(CHIPS)
    made = emit.emitter("samna_layers")
    made.write(chain(), tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == made.configure(chain())
    assert emit.chip_format(chip(CHIPS[0]), "samna_layers") == "samna_layers"
    with pytest.raises(Refusal, match="format 'samna'; one of samna_layers") as refusal:
        emit.chip_format(chip(CHIPS[0]), "samna")
    assert refusal.value.code == "ND9002"


def other_table(change):
    raw = dict(chip(CHIPS[0]).raw)
    table = json.loads(json.dumps(raw["emit"]))
    change(table["samna_layers"])
    return from_raw(raw | {"emit": table})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t["layer"]["neurons"].clear(), "'initial' stands 0 times"),
        (lambda t: t["layer"]["fixed"].clear(), "'groups' stands nowhere; a field, or one value under fixed"),
        (lambda t: t["layer"]["geometry"].update({"a.b": ["height"]}), "found 'height'"),
        (lambda t: t.update(kind="pixel"), "kind: found 'pixel'; one of unit of [layer_core]"),
        (lambda t: t.update(map_order=["row", "row"]), "'row' stands 2 times"),
        (lambda t: t["readout"].update(classes="readout.colours"), "no number 'readout.colours'"),
        (lambda t: t["layer"].pop("monitor"), "layer.monitor"),
    ],
)
def test_a_table_that_would_drop_something_is_refused(change, words):
    with pytest.raises(Refusal) as refusal:
        layers.layers_table(other_table(change))
    assert words in str(refusal.value)


def test_a_chip_without_the_table_is_refused():
    name = next(n for n in target_folders() if "samna_layers" not in chip(n).file.emit)
    with pytest.raises(Refusal, match=r"a chip with an \[emit.samna_layers\] table"):
        layers.layers_table(chip(name))

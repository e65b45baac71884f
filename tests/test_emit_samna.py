"""Configurations in samna's field names: written and read back; samna is never imported."""

import copy
import json

import numpy as np
import pytest
import samna_stand_in
from samna_networks import CHIPS, refused, second, small_network

from neurodeploy import emit
from neurodeploy.chips import chip, from_raw
from neurodeploy.emit import samna
from neurodeploy.errors import Refusal
from neurodeploy.network import Group, Network, group, pairs, place_identity, projection
from neurodeploy.simulator import simulate

WINDOWED = [name for name in CHIPS if chip(name).connections["in"].entry.targets_first]


def random_group(rng, chip_, name, kind, size):
    """Registers drawn from all that they hold, often small enough to fire."""
    wide = rng.random() < 0.4
    drawn = {}
    for parameter, entry in chip_.neurons[kind].parameters.items():
        low, high = entry.holds
        drawn[parameter] = rng.integers(low, high + 1 if wide else min(high, 300) + 1, size)
        if parameter == "bias" and not wide:
            drawn[parameter] = rng.integers(-60, 61, size) * (rng.random() < 0.7)
    return group(chip_, name, kind, size, **drawn)


def random_network(rng, chip_):
    """Two input layers, two hidden layers and two output layers with hardware ids in any order."""
    inputs = [random_group(rng, chip_, f"in{i}", "channel", int(rng.integers(1, 5))) for i in range(2)]
    hidden = [random_group(rng, chip_, f"h{i}", "hidden", int(rng.integers(1, 9))) for i in range(2)]
    outputs = [random_group(rng, chip_, f"o{i}", "output", int(rng.integers(1, 4))) for i in range(2)]
    links = []
    for kind, sources, targets in (("in", inputs, hidden), ("rec", hidden, hidden), ("out", hidden, outputs)):
        shift = int(rng.integers(0, 16) if rng.random() < 0.3 else rng.integers(0, 4))
        for s in sources:
            for t in targets:
                shape = (s.size, t.size)
                fields = {
                    f: rng.integers(-128, 128, shape) * (rng.random(shape) < 0.8)
                    for f in chip_.connections[kind].fields
                }
                if "w2" in fields and rng.random() < 0.3:
                    fields["w2"] *= 0
                links.append(projection(chip_, kind, s, t, {"shift": shift}, **fields))
    a, b = hidden
    links.append(pairs(chip_, "alias", a, b, [(i, int(rng.integers(b.size))) for i in range(a.size) if i % 2]))
    links.append(pairs(chip_, "alias", b, a, [(i, 0) for i in range(b.size) if i % 3 == 0]))
    groups = []
    for layer in (inputs, hidden, outputs):
        ids = rng.permutation(sum(g.size for g in layer))
        for g in layer:
            ids, own = ids[g.size :], ids[: g.size]
            groups.append(Group(g.name, g.kind, g.size, g.parameters, own))
    order = rng.permutation(len(groups))
    return Network(chip_, tuple(groups[i] for i in order), tuple(links), 0.001)


def observed(network, counts):
    states = tuple(sorted({f"{g.name}.{s}" for g in network.groups for s in network.chip.neurons[g.kind].states}))
    return simulate(network, counts, record=states, drain=0, raw=True)


def spikes(rng, network, steps=25):
    rate = rng.choice([0.3, 3, 12])
    return {g.name: np.minimum(rng.poisson(rate, (steps, 1, g.size)), 255) for g in network.inputs()}


# the configuration and the way back


@pytest.mark.parametrize("chip_name", CHIPS)
def test_a_configuration_read_back_simulates_identically(chip_name):
    fired, targets, two = 0, set(), 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        network = random_network(rng, chip(chip_name))
        written = samna.to_configuration(network)
        read = samna.from_configuration(written)
        assert samna.to_configuration(read) == written
        assert [g.name for g in read.groups] == [g.name for g in network.groups]
        counts = spikes(rng, network)
        a, b = observed(network, counts), observed(read, counts)
        assert a.latency == b.latency
        for name, values in a.counts.items():
            np.testing.assert_array_equal(values, b.counts[name])
            for state, held in a.states[name].items():
                np.testing.assert_array_equal(held, b.states[name][state])
        fired += a.output.sum() + sum(a.counts[n].sum() for n in ("h0", "h1"))
        targets |= {n["alias_target"] for n in hidden_block(written)["neurons"]}
        two += written.get("synapse2_enable", False)
    assert fired > 1000
    assert {None, 0, 1} <= targets
    assert two > 2 or not second(chip(chip_name))


def hidden_block(configuration):
    return configuration["reservoir"] if "reservoir" in configuration else configuration["hidden"]


@pytest.mark.parametrize("chip_name", CHIPS)
def test_every_register_comes_back(chip_name):
    for seed in range(10):
        network = random_network(np.random.default_rng(seed), chip(chip_name))
        read = samna.from_configuration(samna.to_configuration(network))
        for g in network.groups:
            np.testing.assert_array_equal(g.ids, read.group(g.name).ids)
            for name, values in g.parameters.items():
                np.testing.assert_array_equal(values, read.group(g.name).parameters[name])
        registers = {p.kind: dict(p.parameters) for p in network.projections}
        assert registers == {p.kind: dict(p.parameters) for p in read.projections}
        assert read.dt_s == network.dt_s


@pytest.mark.parametrize("chip_name", CHIPS)
def test_names_are_those_of_the_chips_own_module(chip_name):
    network = small_network(chip_name)
    configuration = samna.to_configuration(network)
    module = getattr(samna_stand_in.samna(), configuration["module"].removeprefix("samna."))
    config = module.configuration.XyloConfiguration()
    frame = {"format", "chip", "module", "dt_s", "ids", "note", "unverified"}
    optional = set(samna.samna_table(network.chip).given)
    assert set(configuration) - frame | optional == set(config.FIELDS)
    for name in ("input", "readout", "hidden" if "hidden" in configuration else "reservoir"):
        assert set(configuration[name]) == set(getattr(config, name).FIELDS)


def test_values_stand_where_samna_has_them():
    configuration = samna.to_configuration(small_network("xylo_audio2"))
    assert configuration["input"]["weights"] == [[-3, -2, -1, 0], [1, 2, 3, 4]]
    assert configuration["input"]["syn2_weights"] == [[5] * 4] * 2
    assert configuration["reservoir"]["weights"][1] == [0, 7, 0, 0]
    assert configuration["readout"]["weights"][3] == [10, 11, 12]
    shifts = [configuration[b]["weight_bit_shift"] for b in ("input", "reservoir", "readout")]
    assert shifts == [1, 2, 3]
    neuron = {"i_syn_decay": 1, "i_syn2_decay": 1, "v_mem_decay": 1, "threshold": 10}
    assert configuration["reservoir"]["neurons"][1] == neuron | {"v_mem_bias": 0, "alias_target": 0}
    assert configuration["reservoir"]["neurons"][3] == neuron | {"v_mem_bias": 2, "alias_target": None}
    assert [n["v_mem_bias"] for n in configuration["readout"]["neurons"]] == [0, -3, 3]
    assert configuration["ids"][1] == {"group": "layer", "kind": "hidden", "ids": [0, 1, 2, 3]}
    assert configuration["operation_mode"] == "AcceleratedTime"
    assert (configuration["format"], configuration["module"]) == ("neurodeploy/1", "samna.xyloCore2")
    assert configuration["dt_s"] == 0.01
    assert "untested" in configuration["note"]
    assert "debug" not in configuration


def test_switches_follow_the_values():
    on = samna.to_configuration(small_network())
    assert (on["bias_enable"], on["synapse2_enable"], on["hidden"]["aliasing"]) == (True, True, True)
    network = small_network(alias=(), bias=0)
    quiet = group(network.chip, "class", "output", 3, threshold=20)
    links = [p for p in network.projections if p.kind != "in"]
    source, target = network.groups[:2]
    links.append(projection(network.chip, "in", source, target, w1=np.ones((2, 4), int)))
    network = place_identity(Network(network.chip, (source, target, quiet), tuple(links)))
    off = samna.to_configuration(network)
    assert (off["bias_enable"], off["synapse2_enable"], off["hidden"]["aliasing"]) == (False, False, False)


def test_an_output_bias_alone_enables_the_bias():
    assert samna.to_configuration(small_network(bias=0))["bias_enable"]


def test_a_connection_without_weights_keeps_its_shift():
    network = small_network()
    links = tuple(p for p in network.projections if p.kind != "rec")
    h = network.group("layer")
    empty = projection(network.chip, "rec", h, h, {"shift": 9}, w1=np.zeros((4, 4), int))
    network = Network(network.chip, network.groups, (*links, empty))
    read = samna.from_configuration(samna.to_configuration(network))
    assert [p.parameters["shift"] for p in read.projections if p.kind == "rec"] == [9]


# windows of ids


@pytest.mark.parametrize("chip_name", WINDOWED)
def test_input_weights_cover_the_first_ids_and_output_weights_the_last(chip_name):
    reach = chip(chip_name).connections["in"].entry.targets_first
    network = windowed(chip_name, reach - 1, 200 - reach)
    configuration = samna.to_configuration(network)
    assert np.shape(configuration["input"]["weights"]) == (2, reach)
    assert np.shape(configuration["readout"]["weights"]) == (reach, 3)
    assert configuration["input"]["weights"][0][reach - 1] == 9
    assert configuration["readout"]["weights"][0] == [8, 8, 8]
    read = samna.from_configuration(configuration)
    counts = np.full((20, 1, 2), 5)
    a, b = observed(network, counts), observed(read, counts)
    np.testing.assert_array_equal(a.states["layer"]["v"], b.states["layer"]["v"])
    np.testing.assert_array_equal(a.states["class"]["i1"], b.states["class"]["i1"])
    assert a.states["class"]["i1"].any()


@pytest.mark.parametrize("chip_name", WINDOWED)
def test_weights_outside_the_window_are_refused_together(chip_name):
    reach = chip(chip_name).connections["in"].entry.targets_first
    with pytest.raises(Refusal) as refusal:
        samna.to_configuration(windowed(chip_name, reach, 200 - reach - 1))
    text = str(refusal.value)
    assert [f.code for f in refusal.value.faults] == ["ND1901", "ND1901"]
    assert f"it reaches the first {reach} ids, 0..{reach - 1}" in text
    assert f"it reads the last {reach} of 200 ids, {200 - reach}..199" in text
    assert "neurodeploy.map" in text


@pytest.mark.parametrize("chip_name", WINDOWED)
def test_matrices_wider_than_the_window_are_not_read(chip_name):
    reach = chip(chip_name).connections["in"].entry.targets_first
    configuration = samna.to_configuration(windowed(chip_name, reach - 1, 200 - reach))
    for name in samna.samna_table(chip(chip_name)).input.weights:
        for row in configuration["input"][name]:
            row.append(0)
    configuration["readout"]["weights"].append([0, 0, 0])
    error = str(misread(configuration))
    assert f"input.weights: 2 rows of {reach + 1}; 2..2 rows of 1..{reach}" in error
    assert f"readout.weights: {reach + 1} rows of 3; 1..{reach} rows of 3..3" in error


def test_what_is_read_asks_for_no_more_synapses_than_the_chip_stores():
    reach = chip("xylo_audio3").connections["in"].entry.targets_first
    network = samna.from_configuration(samna.to_configuration(windowed("xylo_audio3", reach - 1, 200 - reach)))
    links = {p.kind: p for p in network.projections}
    assert len(links["rec"].sources) == 200
    assert links["in"].targets.max() == reach - 1
    assert len(links["in"].sources) == 2 * reach  # a dense block keeps its zeros
    assert links["out"].sources.min() == 200 - reach


def windowed(chip_name, last_target, first_source):
    """200 hidden neurons, one with weights from the inputs and one with weights to the outputs."""
    network = small_network(chip_name, hidden=200)
    i, h, o = network.groups
    into, out = np.zeros((2, 200), int), np.zeros((200, 3), int)
    into[:, last_target], out[first_source] = 9, 8
    links = [p for p in network.projections if p.kind in {"rec", "alias"}]
    links += [projection(network.chip, "in", i, h, w1=into), projection(network.chip, "out", h, o, w1=out)]
    return Network(network.chip, network.groups, tuple(links))


def test_without_a_window_the_matrices_are_whole():
    configuration = samna.to_configuration(small_network("xylo_audio2", hidden=200))
    assert np.shape(configuration["input"]["weights"]) == (2, 200)
    assert np.shape(configuration["readout"]["weights"]) == (200, 3)


# what cannot be written


def test_an_unplaced_network_is_refused():
    network = small_network()
    loose = Network(network.chip, tuple(Group(g.name, g.kind, g.size, g.parameters) for g in network.groups), ())
    assert refused(loose).code == "ND1204"


def test_a_gap_in_the_ids_is_refused():
    network = small_network()
    i, h, o = network.groups
    gap = Group(h.name, h.kind, h.size, h.parameters, np.array([0, 1, 2, 4]))
    error = refused(Network(network.chip, (i, gap, o), network.projections))
    assert "4 hardware ids up to 4; 3 is free" in str(error)


def test_a_network_without_outputs_is_refused():
    network = small_network()
    links = tuple(p for p in network.projections if p.kind != "out")
    assert "neurons of kind 'output': none" in str(refused(Network(network.chip, network.groups[:2], links)))


def test_two_synapses_of_one_pair_are_refused():
    network = small_network()
    error = refused(Network(network.chip, network.groups, (*network.projections, network.projections[1])))
    assert "a second synapse from id 0 to id 0" in str(error)
    assert "merge the projections" in str(error)


def test_a_second_alias_target_is_refused_and_one_is_not():
    assert hidden_block(samna.to_configuration(small_network(alias=[(3, 2)])))["neurons"][3]["alias_target"] == 2
    error = refused(small_network(alias=[(3, 2), (3, 1)]))
    assert "hardware id 3 has a second target, 1; one target; it has 2" in str(error)
    error = refused(small_network(alias=[(3, 0), (3, 1)]))
    assert "hardware id 3 has a second target, 1; one target; it has 0" in str(error)


def test_an_alias_to_itself_is_refused():
    assert "hardware id 2 has itself as target" in str(refused(small_network(alias=[(2, 2)])))


def test_a_chip_without_the_table_is_refused():
    raw = copy.deepcopy(dict(chip("xylo_audio3").raw))
    raw["emit"] = {}
    network = small_network()
    other = Network(from_raw(raw), network.groups, network.projections)
    assert "no configuration for samna; its formats: none" in str(refused(other))


def test_a_register_without_a_name_is_a_fault_of_the_chip_file():
    raw = copy.deepcopy(dict(chip("xylo_audio3").raw))
    del raw["emit"]["samna"]["hidden"]["neuron"]["v_mem_bias"]
    with pytest.raises(Refusal, match=r"emit.samna.hidden.neuron: 'bias' stands 0 times") as refusal:
        samna.samna_table(from_raw(raw))
    assert refusal.value.code == "ND1103"


def test_a_misspelt_entry_of_the_table_is_a_fault_of_the_chip_file():
    raw = copy.deepcopy(dict(chip("xylo_audio3").raw))
    raw["emit"]["samna"]["hidden"]["blok"] = "hidden"
    with pytest.raises(Refusal, match=r"emit.samna.hidden.blok") as refusal:
        samna.samna_table(from_raw(raw))
    assert refusal.value.code == "ND1102"


# what cannot be read


def misread(configuration, **options):
    with pytest.raises(Refusal) as refusal:
        samna.from_configuration(configuration, **options)
    return refusal.value


def test_missing_and_unknown_entries_are_listed_together():
    configuration = samna.to_configuration(small_network())
    del configuration["bias_enable"], configuration["hidden"]["neurons"][2]["v_mem_bias"], configuration["dt_s"]
    del configuration["input"]["syn2_weights"]
    configuration["bias"] = 1
    configuration["hidden"]["neurons"][0]["bias"] = 1
    configuration["readout"]["syn2_weights"] = [[0]]
    error = misread(configuration)
    text = str(error)
    for missing in ("bias_enable", "dt_s", "input.syn2_weights", "hidden.neurons[2].v_mem_bias"):
        assert f"configuration, {missing}: entry missing" in text
    for unknown in ("bias", "hidden.neurons[0].bias", "readout.syn2_weights"):
        assert f"configuration, {unknown}: unknown entry" in text
    assert len(error.faults) == 7
    assert error.code == "ND1901"


def every_place(value, path=()):
    """Every entry of the configuration that a name leads to."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name)
            yield from every_place(inner, (*path, name))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from every_place(inner, (*path, i))


def parent_of(configuration, path):
    for part in path[:-1]:
        configuration = configuration[part]
    return configuration


@pytest.mark.parametrize("chip_name", CHIPS)
def test_no_entry_may_be_missing(chip_name):
    whole = samna.to_configuration(small_network(chip_name))
    places = list(every_place(whole))
    assert len(places) > 60
    for path in places:
        broken = copy.deepcopy(whole)
        del parent_of(broken, path)[path[-1]]
        assert path[-1] in str(misread(broken))


JUNK = [object(), 1.5, "7", -(10**30), [[]], {}, [None]]
#: all of it on one chip, and on the others each in turn
THROWN = [(junk, name) for i, junk in enumerate(JUNK) for name in (CHIPS[0], CHIPS[1 + i % (len(CHIPS) - 1)])]


@pytest.mark.parametrize(("junk", "chip_name"), THROWN)
def test_no_entry_may_hold_junk(chip_name, junk):
    whole = samna.to_configuration(small_network(chip_name))
    for path in every_place(whole):
        if path in {("note",), ("dt_s",), ("ids", 0, "group"), ("ids", 1, "group"), ("ids", 2, "group")}:
            continue  # a sentence, seconds and names: some of the junk is none
        broken = copy.deepcopy(whole)
        parent_of(broken, path)[path[-1]] = junk
        assert misread(broken).code in {"ND1901", "ND1404", "ND1104"}


@pytest.mark.parametrize("step", [0, -0.001, float("inf"), float("nan"), True, "1 ms"])
def test_a_step_without_length_is_refused(step):
    assert "dt_s" in str(misread(samna.to_configuration(small_network()) | {"dt_s": step}))


def test_values_outside_their_register_are_refused():
    configuration = samna.to_configuration(small_network())
    configuration["hidden"]["neurons"][1]["v_mem_decay"] = 16
    configuration["input"]["weights"][1][0] = 128
    configuration["readout"]["weight_bit_shift"] = True
    error = str(misread(configuration))
    assert "hidden.neurons[1].v_mem_decay: found 16; an integer in 0..15" in error
    assert "input.weights[1][0]: found 128; an integer in -128..127" in error
    assert "readout.weight_bit_shift: found True; an integer in 0..15" in error
    configuration["hidden"]["neurons"][1]["v_mem_decay"] = 15
    configuration["input"]["weights"][1][0] = 127
    configuration["readout"]["weight_bit_shift"] = 15
    assert samna.from_configuration(configuration).group("layer").parameters["dash_mem"][1] == 15


def test_shapes_that_disagree_are_refused():
    configuration = samna.to_configuration(small_network())
    configuration["hidden"]["weights"].pop()
    configuration["input"]["weights"] = [row[:2] for row in configuration["input"]["weights"]]
    configuration["readout"]["weights"] = [row[:2] for row in configuration["readout"]["weights"]]
    error = misread(configuration)
    assert "hidden.weights: 3 rows of 4; 4..4 rows of 4..4" in str(error)
    assert "input.syn2_weights: 2 rows of 4" in str(error)
    assert "readout.weights: 4 rows of 2; 1..4 rows of 3..3" in str(error)
    assert "rows of 1 to 4 values" in str(misread(samna_with_ragged_rows()))


def samna_with_ragged_rows():
    configuration = samna.to_configuration(small_network())
    configuration["input"]["weights"][0] = [1]
    return configuration


@pytest.mark.parametrize("switch", ["bias_enable", "synapse2_enable", "aliasing"])
def test_a_switch_that_hides_values_is_refused(switch):
    configuration = samna.to_configuration(small_network())
    holder = configuration["hidden"] if switch == "aliasing" else configuration
    holder[switch] = False
    error = misread(configuration)
    assert f"{switch}: false, while" in str(error)


def test_hardware_ids_must_cover_the_neurons():
    configuration = samna.to_configuration(small_network())
    configuration["ids"][1]["ids"] = [0, 1, 2, 2]
    assert "4 hardware ids of kind 'hidden': [0, 1, 2, 2]; each of 0..3 once" in str(misread(configuration))
    configuration["ids"][1] |= {"ids": [0, 1, 2, 3], "group": "mic"}
    assert "ids[1].group: found 'mic'; a name that stands once" in str(misread(configuration))


def test_an_alias_outside_or_to_itself_is_refused():
    configuration = samna.to_configuration(small_network())
    configuration["hidden"]["neurons"][0]["alias_target"] = 4
    assert "hidden.neurons[0].alias_target: found 4; an integer in 0..3" in str(misread(configuration))
    configuration["hidden"]["neurons"][0]["alias_target"] = 0
    assert "hidden.neurons[0].alias_target: found 0, the neuron itself" in str(misread(configuration))


def test_another_version_and_another_chip_are_refused():
    configuration = samna.to_configuration(small_network())
    assert misread(configuration | {"format": "neurodeploy/2"}).code == "ND1404"
    assert misread(configuration | {"format": "samna"}).code == "ND1901"
    assert misread([]).code == "ND1901"
    assert misread(configuration | {"chip": "xylo_audio33"}).code == "ND1104"
    error = str(misread(configuration, chip=chip("xylo_imu")))
    assert "chip: found 'xylo_audio3'; 'xylo_imu'" in error
    assert "synapse2_enable: unknown entry" in error


def test_an_unverified_entry_must_be_marked():
    configuration = samna.to_configuration(small_network(), frontend={"time_resolution_wrap": 3})
    assert "unverified: found []" in str(misread(configuration | {"unverified": []}))


# files


def test_files_are_canonical_and_come_back(tmp_path):
    network = random_network(np.random.default_rng(5), chip("xylo_audio2"))
    one, two = tmp_path / "a.json", tmp_path / "b.json"
    samna.write_configuration(network, one)
    read = samna.read_configuration(one)
    emit.emitter("samna").write(read, two)
    assert one.read_bytes() == two.read_bytes()
    assert list(json.loads(one.read_text())) == sorted(samna.to_configuration(network))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    samna.write_configuration(small_network(), path)
    before = path.read_bytes()
    with pytest.raises(Refusal):
        samna.write_configuration(small_network(alias=[(2, 2)]), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"format": 1, "format": 2}', "'format' stands twice"),
        ('{"dt_s": NaN}', "NaN is no number"),
        ('{"format": ', "Expecting value"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_a_file_that_is_no_plain_json_is_refused(tmp_path, text, words):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(Refusal, match=words) as refusal:
        samna.read_configuration(path)
    assert refusal.value.code == "ND1401"


def test_a_missing_file_and_no_text_are_refused(tmp_path):
    with pytest.raises(Refusal, match="No such file"):
        samna.read_configuration(tmp_path / "none.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refusal, match="cannot be read"):
        samna.read_configuration(tmp_path / "a.json")


# the table of emitters


def test_emitters_are_found_by_format_and_by_chip():
    assert emit.emitter("samna").suffix == ".json"
    assert emit.formats(chip("xylo_imu")) == ("samna",)
    with pytest.raises(Refusal, match="did you mean samna") as refusal:
        emit.emitter("sanma")
    assert refusal.value.code == "ND9002"

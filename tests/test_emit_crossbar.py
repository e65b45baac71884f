"""Memory images of a crossbar: straight loops that run them, with the events, fire as the simulation does."""

import dataclasses
import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from crossbar_golden import core_of

import neurodeploy
from neurodeploy.chips import target_folders
from neurodeploy.emit import emitter, formats
from neurodeploy.emit.crossbar import (
    answer,
    event_words,
    from_crossbar,
    read_crossbar,
    to_crossbar,
    transfers,
    write_answer,
    write_crossbar,
    write_events,
)
from neurodeploy.emit.crossbar.images import images_of
from neurodeploy.emit.crossbar.table import crossbar_table
from neurodeploy.errors import Refusal
from neurodeploy.layers import IAF
from neurodeploy.network import Network, group, place_identity, projection
from neurodeploy.simulator import simulate

CHIPS = [name for name in target_folders() if "crossbar" in formats(neurodeploy.chip(name))]
CHIP = neurodeploy.chip(CHIPS[0])
GATE, ALONE, SOURCE, LAST = range(4)


def refused(make) -> str:
    with pytest.raises(Refusal) as caught:
        make()
    return str(caught.value)


def linear(rng, into, out):
    layer = torch.nn.Linear(into, out, bias=False)
    layer.weight.data = torch.tensor(rng.normal(0.15, 0.5, (out, into)), dtype=torch.float32)
    return layer


def placed(sizes, seed=0):
    """A network by the quantizer and the mapper; one layer has no loop."""
    rng, layers = np.random.default_rng(seed), []
    for into, out in pairwise(sizes):
        layers += [linear(rng, into, out), IAF(out, threshold=1.0, reset="zero", comparison=">=", max_spikes=None)]
    return neurodeploy.convert(torch.nn.Sequential(*layers), CHIP, dt_s=1e-3).network


def given(network, steps=6):
    rng = np.random.default_rng(1)
    return rng.poisson(0.4, (steps, 2, sum(g.size for g in network.inputs())))


@pytest.mark.parametrize("sizes", [(30, 20, 12, 5), (200, 150)])
def test_straight_loops_on_the_images_and_the_events_fire_as_the_simulation(sizes, count):
    network = placed(sizes)
    x, content = given(network), to_crossbar(network)
    assert content["open_loop"] == (len(sizes) == 2)
    run = simulate(network, x, record="v")
    for sample in range(x.shape[1]):
        core = core_of(content)
        core.run(event_words(network, x, sample))
        found = np.bincount([n for _, n in core.spikes], minlength=256)
        for g in network.groups[1:]:
            assert found[g.ids].tolist() == run.counts[g.name][:, sample].sum(axis=0).tolist()
            assert np.array(core.v)[g.ids].tolist() == run.states[g.name]["v"][-1, sample].tolist()
        assert core.lost == run.lost[sample]
        assert len(core.spikes) > 20
        count("spikes of memory images equal to the simulation", len(core.spikes))


@pytest.mark.parametrize("sizes", [(30, 20, 12, 5), (200, 150)])
def test_a_file_read_back_is_the_same_network(sizes, tmp_path):
    network = placed(sizes)
    emitter("crossbar").write(network, tmp_path / "net.json")
    back = read_crossbar(tmp_path / "net.json", CHIP)
    assert (back.dt_s, [g.name for g in back.groups]) == (network.dt_s, [g.name for g in network.groups])
    for one, other in zip(network.groups, back.groups, strict=True):
        assert (one.kind, one.shape, one.ids.tolist()) == (other.kind, other.shape, other.ids.tolist())
        assert all(np.array_equal(v, other.parameters[n]) for n, v in one.parameters.items())
    for one, other in zip(network.projections, back.projections, strict=True):
        assert (one.kind, one.source, one.target) == (other.kind, other.source, other.target)
        assert np.array_equal(one.fields["w"], other.fields["w"])
    assert to_crossbar(back) == to_crossbar(network)


def test_equal_networks_give_equal_bytes_and_the_hex_files_say_what_the_json_says(tmp_path):
    for name in ("one", "two"):
        write_crossbar(placed((9, 7, 4)), tmp_path / f"{name}.json")
    files = sorted(f.name.partition(".")[2] for f in tmp_path.glob("one.*"))
    assert files == ["json", "neurons.hex", "spi.hex", "synapses.hex"]
    for end in files:
        assert (tmp_path / f"one.{end}").read_bytes() == (tmp_path / f"two.{end}").read_bytes()
    content = json.loads((tmp_path / "one.json").read_text())
    for part, lines in (("neurons", 256), ("synapses", 8192)):
        assert (tmp_path / f"one.{part}.hex").read_text().split() == content[part]
        assert len(content[part]) == lines
    assert content["neurons"][11:] == ["80fff000"] * 245  # nobody's: silent, and never at the threshold


class Port:
    """The programming port, as it is described: registers, byte writes, and what is written while."""

    def __init__(self):
        self.registers, self.memory = {}, {1: np.zeros(256, np.int64), 2: np.zeros(8192, np.int64)}
        self.safe = True

    def transfer(self, word):
        address, data = word >> 20, word & 0xFFFFF
        if not address >> 18:
            self.registers[address] = data
            return
        assert address >> 18 == 1
        self.safe &= self.registers.get(GATE) == 1 and self.registers.get(ALONE) == 1
        space = address >> 16 & 3
        byte, at = (address >> 8 & 3, address & 0xFF) if space == 1 else (address >> 13 & 3, address & 0x1FFF)
        keep = data >> 8 & 0xFF
        old = self.memory[space][at] >> 8 * byte & 0xFF
        new = (old & keep) | (data & 0xFF & ~keep)
        self.memory[space][at] = self.memory[space][at] & ~(0xFF << 8 * byte) | new << 8 * byte


@pytest.mark.parametrize("sizes", [(30, 20, 12, 5), (200, 150)])
def test_the_stream_fills_both_memories_behind_the_gate_and_opens_it_last(sizes):
    network = placed(sizes)
    table, content, port = crossbar_table(CHIP), to_crossbar(network), Port()
    words = list(transfers(images_of(network, table), table))
    for word in words:
        port.transfer(word)
    assert port.safe
    assert [f"{w:08x}" for w in port.memory[1]] == content["neurons"]
    assert [f"{w:08x}" for w in port.memory[2]] == content["synapses"]
    assert port.registers == {
        GATE: 0,
        ALONE: content["open_loop"],
        SOURCE: 0,
        LAST: sum(g.size for g in network.groups[1:]) - 1,
    }
    assert len(words) == 4 + 1024 + 32768 + 2
    assert [f"{w:010x}" for w in words[:3]] == ["0000000001", "0000100001", "0000200000"]
    assert [w >> 20 for w in words[4:8]] == [0x50300, 0x50200, 0x50100, 0x50000]
    assert [f"{w:010x}" for w in words[-2:]] == [f"000010000{content['open_loop']}", "0000000000"]


def test_events_are_rows_in_ascending_channel_and_a_leak_ends_each_step(tmp_path):
    network = placed((3, 4, 2))
    counts = np.array([[[1, 0, 2]], [[0, 0, 0]], [[0, 1, 0]]])
    assert event_words(network, counts) == [6, 8, 8, 511, 511, 7, 511]  # inputs stand above the six neurons
    write_events(network, counts, tmp_path / "events.hex")
    assert (tmp_path / "events.hex").read_text() == "0006\n0008\n0008\n01ff\n01ff\n0007\n01ff\n"
    alone = placed((3, 4))
    assert event_words(alone, counts) == [0, 2, 2, 511, 511, 1, 511]


@pytest.mark.parametrize("sizes", [(30, 20, 12, 5), (200, 150)])
def test_the_answer_has_every_spike_in_order_and_the_memory_at_the_end(sizes, tmp_path, count):
    network = placed(sizes)
    x, content = given(network), to_crossbar(network)
    for sample in range(x.shape[1]):
        core, found = core_of(content), answer(network, x, sample)
        core.run(found.words)
        assert list(found.words) == event_words(network, x, sample)
        assert list(found.spikes) == core.spikes
        assert list(found.neurons) == core.final_words()
        assert len(core.spikes) > 20
        count("spikes of memory images equal to the simulation", len(core.spikes))
    write_answer(network, x, tmp_path / "x.events.hex", 1)
    write_events(network, x, tmp_path / "x.words.hex", 1)
    assert (tmp_path / "x.events.hex").read_bytes() == (tmp_path / "x.words.hex").read_bytes()
    lines = (tmp_path / "x.events.spikes.txt").read_text().splitlines()
    assert [tuple(map(int, line.split())) for line in lines] == core.spikes
    assert [int(w, 16) for w in (tmp_path / "x.events.neurons.hex").read_text().split()] == core.final_words()
    assert list(map(int, (tmp_path / "x.events.cycles.txt").read_text().split())) == list(found.cycles)


def test_spikes_that_the_queue_loses_still_leave_the_core():
    lines, units = group(CHIP, "in", "row_input", 1), group(CHIP, "u", "unit", 200, threshold=7)
    rows = projection(CHIP, "row", lines, units, w=np.full((1, 200), 7))
    back = projection(CHIP, "unit_row", units, units, w=np.zeros((200, 200), int))
    network = place_identity(Network(CHIP, (lines, units), (rows, back)))
    found = answer(network, np.ones((1, 1, 1), int))
    assert simulate(network, np.ones((1, 1, 1), int)).lost.tolist() == [73]  # 127 wait beside the row at work
    assert found.spikes == tuple((0, n) for n in range(200))


def test_a_host_waits_for_the_sweep_each_spike_and_its_row_where_neurons_feed_neurons():
    counts = np.array([[[1]], [[0]]])
    lines, units = group(CHIP, "in", "row_input", 1), group(CHIP, "u", "unit", 4, threshold=[7, 7, 8, 8])
    rows = projection(CHIP, "row", lines, units, w=np.full((1, 4), 7))
    back = projection(CHIP, "unit_row", units, units, w=np.zeros((4, 4), int))
    alone, loop = (place_identity(Network(CHIP, (lines, units), p)) for p in ((rows,), (rows, back)))
    # a row costs 12 and 2 for each of 4 neurons, a leak 10 and 2; a spike 4, and in the loop a row
    assert answer(alone, counts).cycles == (20 + 2 * 4, 18, 18)
    assert answer(loop, counts).cycles == (20 + 2 * (4 + 20), 18, 18)
    assert to_crossbar(loop)["cycles"] == {"row": 20, "leak": 18, "spike": 4}


def test_no_steps_are_answered_by_the_memory_as_it_was():
    network = placed((3, 4))
    found = answer(network, np.zeros((0, 1, 3), int))
    assert (found.words, found.spikes, found.cycles) == ((), (), ())
    assert [f"{w:08x}" for w in found.neurons] == to_crossbar(network)["neurons"]


@pytest.mark.parametrize(
    ("counts", "sample", "words"),
    [
        (np.zeros((2, 1, 4), int), 0, "counts of shape (2, 1, 4) for 1 input groups"),
        (np.zeros((2, 1, 3), int), 1, "sample 1; (time, batch, 3) and one of the batch"),
        (np.full((2, 1, 3), 0.5), 0, "counts of float64"),
        (np.full((2, 1, 3), -1), 0, "from -1; whole numbers, 0 or more"),
    ],
)
def test_counts_that_are_none_are_refused(counts, sample, words):
    assert words in refused(lambda: event_words(placed((3, 4)), counts, sample))


# what the memories do not hold


def small(**registers):
    lines, units = group(CHIP, "in", "row_input", 3), group(CHIP, "u", "unit", 4, threshold=5, **registers)
    rows = projection(CHIP, "row", lines, units, w=np.ones((3, 4), int))
    return Network(CHIP, (lines, units), (rows,))


def test_a_network_without_places_is_refused():
    assert "group 'in': no hardware ids; a placed network; map it first" in refused(lambda: to_crossbar(small()))
    to_crossbar(place_identity(small()))


def test_neurons_that_a_sweep_would_reach_all_the_same_are_refused():
    text = refused(lambda: to_crossbar(place_identity(small(swept=[1, 0, 1, 1]))))
    assert "swept = 0 in group 'u'; 1: a sweep ends at neuron 3, the highest in use" in text


def test_events_of_the_host_have_no_place_in_the_memories():
    network = small()
    leaks = group(CHIP, "leaks", "leak_input", 1)
    network = place_identity(dataclasses.replace(network, groups=(*network.groups, leaks)))
    text = refused(lambda: to_crossbar(network))
    assert "group 'leaks': neurons of kind 'leak_input'; unit and row_input; the host sends such events" in text


def test_two_synapses_in_one_place_and_rows_beyond_the_last_are_refused():
    network = small()
    twice = dataclasses.replace(network, projections=network.projections * 2)
    assert "two synapses of one row and one neuron; one; add the weights up" in refused(
        lambda: to_crossbar(place_identity(twice))
    )
    lines, units = group(CHIP, "in", "row_input", 200), group(CHIP, "u", "unit", 57, threshold=5)
    rows = [
        projection(CHIP, "row", lines, units, w=np.ones((200, 57), int)),
        projection(CHIP, "unit_row", units, units, w=np.zeros((57, 57), int)),
    ]
    wide = place_identity(Network(CHIP, (lines, units), tuple(rows)))
    assert "row 256; 0..255; map it" in refused(lambda: to_crossbar(wide))
    to_crossbar(dataclasses.replace(wide, projections=wide.projections[:1]))  # without a loop no row is shared


def test_another_suffix_is_refused(tmp_path):
    text = refused(lambda: write_crossbar(placed((3, 4)), tmp_path / "net.hex"))
    assert "suffix '.hex'; a name that ends in .json" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.update(format="other/1"), "format 'other/1'; crossbar/1"),
        (lambda c: c["neurons"].pop(), "255 words where 256 of 32 bits belong"),
        (lambda c: c["neurons"].__setitem__(9, "00fff000"), "1 words, or registers, that the groups"),
        (lambda c: c["synapses"].__setitem__(8191, "00000001"), "1 words, or registers, that the groups"),
        (lambda c: c.update(last_neuron=3), "swept = 0 in group"),
        (lambda c: c.update(open_loop=1), "that the groups and projections do not explain"),
        (lambda c: c["projections"][0].__setitem__(0, "other"), "connection 'other'"),
        (lambda c: c.pop("groups"), "entry missing or of the wrong kind: 'groups'"),
        (lambda c: c["groups"][0].update(rows=[0.5]), "entry missing or of the wrong kind"),
    ],
)
def test_content_that_is_damaged_is_refused(change, words):
    content = to_crossbar(placed((3, 4, 2)))
    from_crossbar(content, CHIP)
    change(content)
    assert words in refused(lambda: from_crossbar(content, CHIP))


def test_a_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "net.json").write_text("{")
    assert "cannot be read" in refused(lambda: read_crossbar(tmp_path / "net.json", CHIP))

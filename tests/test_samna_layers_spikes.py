"""Spikes of a board: counts, rasters and events to addresses and back, and what stands on no core."""

from dataclasses import replace

import numpy as np
import pytest
from layer_networks import chain, merge, placed
from samna_layers_boards import package

from neurodeploy.emit.samna import layers
from neurodeploy.emit.samna.layers import Readout
from neurodeploy.errors import Refusal
from neurodeploy.simulator import Stimulus

# spikes


def spikes_as_tuples(table):
    return [tuple(row) for row in table.tolist()]


def test_a_host_pools_and_shifts_and_serves_every_core_of_a_split_layer():
    network = placed(chain(), {"a": [(5, 2), (1, 3)], "b": [(2, 6)], "o": [(4, 4)]})  # 2 x 12 x 20, pooled by 2
    neuron = np.array([0, 20 * 12 + 7 * 20 + 13, 5])
    stimulus = Stimulus(2, 2, np.array([0, 0, 1]), np.array([0, 0, 1]), neuron, None, np.array([4, 9, 11]))
    assert spikes_as_tuples(layers.spikes_of_stimulus(network, stimulus)) == [
        (4, 5, 0, 0, 0), (4, 1, 0, 0, 0), (9, 5, 1, 3, 6), (9, 1, 1, 3, 6),
    ]  # fmt: skip
    assert spikes_as_tuples(layers.spikes_of_stimulus(network, stimulus, sample=1)) == [
        (11, 5, 0, 0, 2), (11, 1, 0, 0, 2),
    ]  # fmt: skip
    timeless = replace(stimulus, t_us=None)
    assert layers.spikes_of_stimulus(network, timeless, dt_us=70, sample=1)["t_us"].tolist() == [70, 70]
    with pytest.raises(Refusal, match="no times; t_us of every event, or dt_us of a step"):
        layers.spikes_of_stimulus(network, timeless)


def test_events_of_several_inputs_keep_their_order():
    network = merge()  # the inputs "two" and "one", in this order
    one, two = network.group("one"), network.group("two")
    which, neuron = np.array([1, 0, 1]), np.array([one.size - 1, 4 * 16 + 9, 0])
    table = layers.spikes_of_stimulus(
        network, Stimulus(1, 1, np.zeros(3, int), np.zeros(3, int), neuron, which, np.array([1, 2, 2]))
    )
    core = {name: int(network.group(name).ids[0]) // 65536 for name in "ab"}
    assert two.shape == (1, 12, 16)
    assert spikes_as_tuples(table) == [(1, core["a"], 2, 5, 3), (2, core["b"], 0, 2, 2), (2, core["a"], 0, 0, 0)]


@pytest.mark.parametrize("seed", range(4))
def test_spikes_of_groups_and_back_are_the_same(seed):
    network, rng = chain(seed=seed, split=True), np.random.default_rng(seed)
    given = {}
    for g in network.groups[1:]:
        given[g.name] = np.zeros(30, [("t_us", np.int64), ("neuron", np.int64)])
        given[g.name]["t_us"], given[g.name]["neuron"] = np.sort(rng.integers(0, 99, 30)), rng.integers(0, g.size, 30)
    found, strange = layers.events_of_groups(network, layers.spikes_of_groups(network, given))
    assert not len(strange)
    for name, rows in given.items():
        np.testing.assert_array_equal(np.sort(found[name]), np.sort(rows))
    with pytest.raises(Refusal, match="events of 'z': no such layer; one of a, b, o"):
        layers.spikes_of_groups(network, {"z": given["a"]})


def test_spikes_of_no_neuron_are_handed_back():
    network = chain()
    core = int(network.group("b").ids[0]) // 65536  # 6 features of 1 x 3
    free = next(c for c in range(9) if c not in {int(g.ids[0]) // 65536 for g in network.groups[1:]})
    rows = [(0, core, 5, 0, 2), (0, core, 6, 0, 0), (0, core, 0, 1, 0), (0, core, 0, 0, 3), (0, free, 0, 0, 0)]
    found, strange = layers.events_of_groups(network, np.array(rows, layers.SPIKE))
    assert found["b"]["neuron"].tolist() == [17]
    assert spikes_as_tuples(strange) == rows[1:]


def test_silent_features_of_the_readout_are_no_classes():
    network = chain()
    core = int(network.group("o").ids[0]) // 65536
    rows = np.array([(0, core, 4, 0, 0), (0, core, 12, 0, 0), (0, core, 3, 0, 0)], layers.SPIKE)
    found, strange = layers.events_of_groups(network, rows, readout=Readout("o"))
    assert found["o"]["neuron"].tolist() == [1, 3]
    assert spikes_as_tuples(strange) == [(0, core, 3, 0, 0)]
    assert layers.events_of_groups(network, rows)[0]["o"]["neuron"].tolist() == [3]


def test_counts_are_those_of_the_steps_and_the_rest_is_handed_back():
    network = chain()
    core = int(network.group("o").ids[0]) // 65536
    times = [0, 9, 10, 19, 20, -1]
    rows = np.array([(t, core, 2, 0, 0) for t in times], layers.SPIKE)
    counts, strange = layers.counts_of_groups(network, rows, dt_us=10, steps=2)
    assert counts["o"][:, 0].tolist() == [[0, 0, 2, 0], [0, 0, 2, 0]]
    assert {name: table.shape for name, table in counts.items()} == {"a": (2, 1, 120), "b": (2, 1, 18), "o": (2, 1, 4)}
    assert strange["t_us"].tolist() == [20, -1]


def vendor_raster(raster, layer, dt_s, delay_s):
    """The vendor's rule, read from its documentation: bins in order; in a bin higher counts first, repeated whole."""
    rows = []
    for number, frame in enumerate(raster.tolist()):
        places = [
            (f, y, x, n) for f, plane in enumerate(frame) for y, line in enumerate(plane) for x, n in enumerate(line)
        ]
        for value in range(raster.max(), 0, -1):
            for _ in range(value):
                t_us = int(number * 1e6 * dt_s + delay_s * 1e6)
                rows += [(t_us, layer, f, y, x) for f, y, x, n in places if n == value]
    return rows


@pytest.mark.parametrize("seed", range(3))
def test_a_raster_becomes_spikes_in_the_vendors_order(seed):
    raster = np.random.default_rng(seed).integers(0, 4, (5, 2, 3, 4)) * 1
    table = layers.spikes_of_raster(raster, 7, dt_s=0.002, delay_s=0.01)
    assert spikes_as_tuples(table) == vendor_raster(raster, 7, 0.002, 0.01)
    cut = layers.spikes_of_raster(raster, 7, dt_s=0.002, truncate=True)
    assert spikes_as_tuples(cut) == vendor_raster(np.minimum(raster, 1), 7, 0.002, 0)
    assert len(table) == raster.sum() > len(cut) == (raster > 0).sum()
    assert len(layers.spikes_of_raster(raster * 0, 0, dt_s=1.0)) == 0


@pytest.mark.parametrize(
    ("raster", "options", "words"),
    [
        (np.zeros((2, 3, 4), int), {}, "shape (2, 3, 4)"),
        (np.full((1, 1, 1, 1), -1), {}, "whole numbers from 0"),
        (np.zeros((1, 1, 1, 1)), {}, "type float64"),
        (np.zeros((1, 1, 1, 1), int), {"dt_s": 0.0}, "a step above 0 and a delay from 0 on"),
        (np.zeros((1, 1, 1, 1), int), {"delay_s": -1.0}, "delay_s = -1.0"),
    ],
)
def test_what_is_no_raster_is_refused(raster, options, words):
    with pytest.raises(Refusal) as refusal:
        layers.spikes_of_raster(raster, 0, **({"dt_s": 1e-3} | options))
    assert words in str(refusal.value)


def test_events_become_objects_of_samna_and_come_back():
    rows = np.array([(5, 1, 2, 3, 4), (6, 0, 9, 8, 7)], layers.SPIKE)
    made = layers.to_samna(rows, package().speck2f.event.Spike)
    assert [(e.layer, e.feature, e.y, e.x, e.timestamp) for e in made] == [(1, 2, 3, 4, 5), (0, 9, 8, 7, 6)]
    np.testing.assert_array_equal(layers.from_samna(made), rows)


def test_addresses_of_probes_are_those_of_the_vendor_on_square_maps_only():
    # the vendor's formula: y << (c_bits + y_bits) | x << c_bits | c; the layer "o" is a single place
    network = placed(chain(), {"a": [(5, 5)], "b": [(2, 6)], "o": [(8, 1), (0, 3)]})
    assert layers.neuron_address(network, "o", 0, 0, 0) == (8, 0)
    assert layers.neuron_address(network, "o", 3, 0, 0) == (0, 2)
    with pytest.raises(Refusal, match=r"a map of 6 x 4; a square map: elsewhere the address is not known"):
        layers.neuron_address(network, "a", 0, 0, 0)
    with pytest.raises(Refusal, match=r"place \(4, 0, 0\); inside \(4, 1, 1\)"):
        layers.neuron_address(network, "o", 4, 0, 0)
    with pytest.raises(Refusal, match="no layer on a core; one of a, b, o"):
        layers.neuron_address(network, "pixels", 0, 0, 0)


def test_what_stands_on_no_core_has_no_spikes():
    network = chain()
    bare = replace(network, groups=tuple(replace(g, ids=None) for g in network.groups))
    with pytest.raises(Refusal, match="no hardware ids; a placed network"):
        layers.spikes_of_groups(bare, {})

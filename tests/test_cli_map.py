"""The map command: what every core holds, the placed network, and every reason why not."""

import numpy as np
import pytest
from command_line import run
from layer_chip import Shape, build, layer_chip
from mapper_chip import wired, write_chip
from test_mapper_layer_limits import on_chip

import neurodeploy as nd
from neurodeploy.network import Network, group, load_network, projection, save_network

OPTION = ("--readout", "u")
CORES = "[core]\ncount = 2\nneurons = 3\nkinds = ['hidden']\n[mesh]\nrows = 1\ncolumns = 2\n"


def test_map_prints_every_core_and_writes_the_placed_network(tmp_path):
    save_network(wired(write_chip(tmp_path, CORES), {"h": 4}), tmp_path / "net.npz")
    answer = run("map", tmp_path / "net.npz", "--out", tmp_path / "placed.npz", "--json")
    assert answer.status == 0
    assert [(c["core"], c["holds"]) for c in answer.json["cores"]] == [
        (0, [{"layer": "h", "first": 0, "neurons": 3}]),
        (1, [{"layer": "h", "first": 3, "neurons": 1}]),
    ]
    assert answer.json["hops"]["placed"] == 0
    assert load_network(tmp_path / "placed.npz").group("h").ids.tolist() == [0, 1, 2, 3]
    said = run("map", tmp_path / "net.npz").out
    assert "'h' neurons 0..2" in said
    assert "Spikes times hops" in said


def test_map_says_everything_that_does_not_fit_with_status_1(tmp_path):
    pytest.importorskip("ortools")
    target = layer_chip(tmp_path)
    save_network(build(target, {"a": Shape(("input",), 32)}, (2, 64, 64)), tmp_path / "net.npz")
    refused = run("map", tmp_path / "net.npz", "--json")
    assert (refused.status, refused.codes) == (1, ["ND1802"])
    assert "layer 'a' needs 128 Ki words of neuron memory; the largest core has 64 Ki" in refused.err
    assert "split 'a' over several cores (1 core more)" in refused.err
    halves = run("map", tmp_path / "net.npz", "--split", "a", "--json")
    assert (halves.status, len(halves.json["cores"])) == (0, 2)


def test_map_gives_the_layer_of_the_readout_a_core_with_room(tmp_path):
    pytest.importorskip("ortools")
    save_network(on_chip("speck2f", (64, 4, 4), (15, 64, 4, 4)), tmp_path / "net.npz")
    chosen = [run("map", tmp_path / "net.npz", *more, "--json").json["cores"][0]["core"] for more in ((), OPTION)]
    assert chosen == [7, 5]
    assert "layer 'z'; one of u" in run("map", tmp_path / "net.npz", "--readout", "z").err


def test_spikes_of_a_bundle_are_counted_and_those_of_a_network_are_not(tmp_path):
    chip = nd.chip("loihi1")
    groups = (group(chip, "in", "input", 1), group(chip, "h", "lif", 1, dv=0, threshold=9))
    net = Network(chip, groups, (projection(chip, "dense", *groups, {"sign_mode": 2}, w=20),))
    nd.bundle(nd.map(net).network, np.ones((3, 1, 1), int), tmp_path / "b.nd")
    save_network(net, tmp_path / "net.npz")
    assert run("map", tmp_path / "b.nd", "--json").json["hops"]["spikes"] == "counted"
    assert run("map", tmp_path / "net.npz", "--json").json["hops"]["spikes"] == "one for each neuron"

"""Neurons that feed no other, computed tile by tile: equal to the NumPy executor in every bit, wherever tiles end."""

from dataclasses import replace

import numpy as np
import pytest
from mutants import edited
from random_networks import Options, random_counts, random_network
from test_fast import CHIPS, different, layered, steps

from neurodeploy.chips import chip, from_raw
from neurodeploy.errors import TextAtFault
from neurodeploy.network import Network, place_identity
from neurodeploy.simulator import Simulation, assemble, simulate
from neurodeploy.simulator.fast import prepared, run, shares, tiles
from neurodeploy.simulator.fast.source import kernel_of


def fed(target):
    """Connection kinds through which input reaches neurons, all pairs of a weight each, whose sums keep their ends."""
    inputs = {n for n, kind in target.neurons.items() if kind.entry.external}
    kinds = [k for k in target.connections.values() if k.entry.weights and set(k.sources) & inputs]
    kept = [k for k in kinds if k.registers or "sat(" in k.on_input.text.source]
    return [k.name for k in kept if k.entry.pattern != "conv"]


CASES = [(name, connection) for name in CHIPS for connection in fed(chip(name))]


@pytest.fixture(autouse=True)
def used(monkeypatch):
    """Tiles of 64 neurons for every network that can be cut; the numbers of those that were computed."""
    found = []
    whole = shares.Call.tiles

    def seen(call, cut, threads):
        found.append(len(cut))
        return whole(call, cut, threads)

    monkeypatch.setattr(tiles, "TILE", 64)
    monkeypatch.setattr(tiles, "SHARE", 1)
    monkeypatch.setattr(tiles, "WIDE", 0)
    monkeypatch.setattr(shares.Call, "tiles", seen)
    return found


def wide(target, connection, seed, **options):
    """Inputs and neurons alone, in one or two groups each, whose rows end within tiles."""
    kind, rng = target.connections[connection], np.random.default_rng(seed)
    inputs = {n for n in kind.sources if target.neurons[n].entry.external}
    left_out = {n for n in target.neurons if n not in {*inputs, kind.target}} | set(target.connections) - {connection}
    sizes = {"inputs": (1, 4), "hidden": (90, 130), "outputs": (90, 130), "steps": (7, 9)}
    options = {"narrow": {"delay": (0, 0)}} | options  # all synapses of a source in one row
    drawn = Options(**sizes, groups=1 + seed % 2, density=(1, 1), corners=0.02, without=frozenset(left_out), **options)
    network = random_network(target, rng, drawn)
    groups = tuple(replace(g, ids=None) for g in network.groups)
    heard = tuple(p for p in network.projections if network.group(p.source).kind in inputs)
    return place_identity(replace(network, groups=groups, projections=heard)), random_counts(network, rng, drawn)


#: one or two groups of neurons, in turn
DRAWN = [
    pytest.param(*case, seed, marks=pytest.mark.long if (i + seed) % 2 else ())
    for i, case in enumerate(CASES)
    for seed in (1, 2)
]


@pytest.mark.parametrize(("name", "connection", "seed"), DRAWN)
def test_tiles_are_equal_to_the_whole(name, connection, seed, used):
    assert different(*wide(chip(name), connection, seed)) == []
    assert used
    assert min(used) > 1


def test_a_run_in_tiles_goes_on_with_delays(used):
    network, counts = wide(chip("loihi2"), "dense", 1, narrow={"delay": (3, 3)}, rates=(0.5,))
    assert assemble(network).longest_delay == 3
    halves = [{n: v[:4] for n, v in counts.items()}, {n: v[4:] for n, v in counts.items()}]
    state = simulate(network, halves[0], executor="numba", drain=0, raw=True).final
    assert different(network, halves[1], state=state) == []
    assert len(used) >= 2


def test_what_others_hear_or_single_synapses_reach_is_not_cut():
    weights = np.ones((2, 200), np.int64)
    assert kernel_of(assemble(layered(weights)), fresh=True).cut.name == "hidden"
    network = layered(weights)
    at_one = replace(network.projections[0], kind="rec", source="h", sources=np.array([7]), targets=np.array([0]))
    at_one = replace(at_one, fields={n: v[:1] for n, v in at_one.fields.items()})
    heard = replace(network, projections=(*network.projections, at_one))
    assert kernel_of(assemble(heard), fresh=True).cut is None
    p = network.projections[0]
    kept = np.arange(p.sources.size) % 3 > 0
    fields = {n: v[kept] for n, v in p.fields.items()}
    thin = replace(network, projections=(replace(p, sources=p.sources[kept], targets=p.targets[kept], fields=fields),))
    assert kernel_of(assemble(thin), fresh=True).cut is None


def test_a_register_too_narrow_is_told_wherever_its_tile_is(used):
    raw = chip("xylo_audio2").raw
    text = raw["neuron"]["hidden"]["on"]["step"].replace("v = sat(v + d, 16)", "v = v + d")
    wrong = from_raw(edited(raw, (("neuron", "hidden", "on", "step"), text)))
    weights = np.zeros((2, 200), np.int64)
    weights[0, 150], weights[1, 3] = -128, -100
    network = layered(weights)
    network = Network(wrong, network.groups, network.projections)
    counts = np.full((60, 2, 2), 15)
    counts[:, 0, 0] = 0
    found = []
    for executor in ("reference", "numba"):
        with pytest.raises(TextAtFault) as caught:
            simulate(network, counts, executor=executor)
        found.append(str(caught.value))
    assert found[0] == found[1]
    assert used == [4, 4]  # the run, and what the reference needs to begin from


def test_small_or_many_samples_are_not_cut(monkeypatch, used):
    monkeypatch.setattr(tiles, "WIDE", 1 << 17)
    monkeypatch.setattr(run, "threads", lambda: 2)
    monkeypatch.setattr(prepared, "SMALL", 1)
    network = layered(np.full((2, 200), 90))
    two = Simulation(network, executor="numba")
    two.run(np.ones((9, 2, 2), int))
    assert used == []
    two.run(np.ones((9, 1, 2), int))
    assert used == [4]
    monkeypatch.setattr(prepared, "SMALL", 1 << 18)  # nothing to share out
    two.run(np.ones((9, 1, 2), int))
    assert used == [4]


@pytest.mark.compiled
def test_compiled_tiles_in_threads_are_equal(monkeypatch, used):
    pytest.importorskip("numba")
    monkeypatch.setattr(run, "threads", lambda: 3)
    monkeypatch.setattr(prepared, "SMALL", 1)
    rng = np.random.default_rng(0)
    weights = rng.integers(-60, 127, (5, 1000))
    counts = rng.integers(0, 16, (60, 2, 5)) * (rng.random((60, 2, 5)) < 0.3)
    network = layered(weights, threshold=900)
    assert different(network, counts) == []
    assert used == [16]
    assert simulate(network, counts, executor="numba").counts["h"].any()
    assert different(network, steps([[0] * 5] * 3)) == []

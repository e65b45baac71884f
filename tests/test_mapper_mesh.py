"""Axons by formula, and cores on a mesh: what a core holds, and how far spikes go."""

import itertools

import numpy as np
import pytest
from mapper_chip import wired, write_chip

from neurodeploy.chips import chip
from neurodeploy.errors import Refusal
from neurodeploy.mapper import fit_faults, map_network
from neurodeploy.network import Network, group, projection

MESH = """
[core]
count = 6
neurons = 4
kinds = ["hidden"]
[mesh]
rows = 2
columns = 3
"""
LIMITS = """
[limit.bits]
per = "axon"
of = "rec"
value = "10 * entries + 100 * gaps + 1000 * reach + 10000 * reach_all + 100000 * most_w"
at_most = 9999999
unit = "bits"
[limit.memory]
per = "core"
value = "bits + 3 * axons_rec + leaving_rec"
at_most = 9999999
unit = "words"
"""


def test_axons_are_counted_by_projection_source_and_core(tmp_path):
    target = write_chip(tmp_path, MESH.replace("[mesh]\nrows = 2\ncolumns = 3\n", "") + LIMITS)
    rec = np.zeros((6, 6), int)
    rec[0, [0, 1, 2]] = 2  # all of its first three slots: no gap
    rec[1, [1, 5]] = 3  # a gap on core 0, slot 1 on core 1
    core_0, core_1 = map_network(wired(target, {"h": 6}, ("rec", "h", "h", rec))).cores
    # core 0: axon of neuron 0 (3 entries, reach 3) and of neuron 1 (1 entry, reach 2); gaps are those of all axons
    bits_0 = (30 + 100 + 3000 + 30000 + 300000) + (10 + 100 + 2000 + 30000 + 300000)
    bits_1 = 10 + 100 + 2000 + 20000 + 300000
    assert [u.asked for u in core_0.usage] == [4, bits_0, bits_0 + 3 * 2 + 3]
    assert [u.asked for u in core_1.usage] == [2, bits_1, bits_1 + 3]
    assert (core_0.held, core_1.held) == ("'h' neurons 0..3", "'h' neurons 4..5")


def test_a_core_takes_as_many_neurons_as_the_axons_of_its_memory_allow(tmp_path):
    formula = '"10 * entries + 100 * gaps + 1000 * reach + 10000 * reach_all + 100000 * most_w"'
    blocks = LIMITS.replace(formula, '"64 * ceil((16 * entries + 10) / 64)"')
    target = write_chip(tmp_path, MESH + blocks.replace("at_most = 9999999", "at_most = 64", 1))
    one, two = np.zeros((4, 4), int), np.zeros((4, 4), int)
    one[0, :3] = 1
    assert len(map_network(wired(target, {"h": 4}, ("rec", "h", "h", one))).cores) == 1, "58 bits are one word"
    one[0, 3] = 1
    placed = map_network(wired(target, {"h": 4}, ("rec", "h", "h", one)))
    assert sorted(c.usage[0].asked for c in placed.cores) == [1, 3], "74 bits would be two"
    two[:2] = 1
    (fault,) = fit_faults(wired(target, {"h": 4}, ("rec", "h", "h", two)))
    assert fault.was == "128 bits ('h' neuron 0 alone on a core and 3 more)"


def bits_of(entries: int, reach_all: int, width: int, *, gaps: bool, delayed: bool) -> int:
    """Synapse memory of one axon, written out as blocks."""
    each = (8 if width == 7 else width) + 6 * delayed
    if gaps:
        each += max(6, (reach_all - 1).bit_length())
    blocks = [min(64, entries - done) for done in range(0, entries, 64)]
    return sum(-(-(n * each + 10) // 64) * 64 for n in blocks)


LIMITED = [name for name in ("loihi1", "loihi2") if "bits_dense" in chip(name).limits]


@pytest.mark.parametrize("name", LIMITED)
def test_synapse_memory_is_that_of_blocks_of_64_weights(name):
    target, draw = chip(name), np.random.default_rng(0)
    for size, width, delayed, before in itertools.product((1, 64, 65, 200), (1, 6, 7), (0, 1), (0, 5)):
        i, h = group(target, "i", "input", 3), group(target, "h", "lif", size, dv=0, threshold=10)
        other = [group(target, "other", "lif", before, dv=0, threshold=10)] * bool(before)
        w = draw.integers(1, 9, (3, size)) * 2
        dense = projection(target, "dense", i, h, {"bits": width}, w=w, delay=np.full((3, size), delayed))
        placed = map_network(Network(target, (i, *other, h), (dense,)))
        rows = {u.limit: u.asked for u in placed.cores[0].usage}
        asked = 3 * bits_of(size, before + size, width, gaps=bool(before), delayed=bool(delayed))
        assert (rows["bits_dense"], rows["synapse_memory"], rows["in_axons"]) == (asked, asked, 3)


def chain(target, blocks: int, seed: int = 3) -> Network:
    """Blocks of four neurons whose spikes go between blocks that are far apart in the order of the layers."""
    order = np.random.default_rng(seed).permutation(blocks)
    rec = np.zeros((4 * blocks, 4 * blocks), int)
    for a, b in itertools.pairwise(order.tolist()):
        rec[4 * a : 4 * a + 4, 4 * b : 4 * b + 4] = 1
    return wired(target, {"h": 4 * blocks}, ("rec", "h", "h", rec))


def hops_of(net: Network, spikes: np.ndarray) -> float:
    """Spikes times hops by a loop over pairs of neurons."""
    ids = net.group("h").ids
    seen = {(int(s), int(ids[t]) // 4) for p in net.projections for s, t in zip(p.sources, p.targets, strict=True)}
    total = 0.0
    for source, core in seen:
        (y, x), (v, u) = divmod(int(ids[source]) // 4, 3), divmod(core, 3)
        total += spikes[source] * (abs(y - v) + abs(x - u))
    return total


def test_blocks_move_as_a_whole_to_where_spikes_go_few_hops(tmp_path):
    target = write_chip(tmp_path, MESH)
    net = chain(target, 6)
    placed = map_network(net)
    hops = placed.hops
    assert hops.placed == hops_of(placed.network, np.ones(24)) == 4 * 5, "a path over the mesh: one hop for each link"
    assert hops.in_order > hops.placed
    assert hops.bound <= hops.placed
    assert hops.gap == pytest.approx((hops.placed - hops.bound) / hops.placed)
    ids = placed.network.group("h").ids
    assert sorted(ids.tolist()) == list(range(24))
    assert np.all(ids % 4 == np.arange(24) % 4)
    assert np.all(ids // 4 == np.repeat(ids[::4] // 4, 4))
    assert [c.number for c in placed.cores] == list(range(6))
    by_core = {c.number: c.holds[0] for c in placed.cores}
    assert all(by_core[int(ids[n]) // 4] == ("h", n, 4) for n in range(0, 24, 4))
    again = map_network(net)
    assert again.network.group("h").ids.tolist() == ids.tolist()
    assert again.hops == hops


def test_activity_decides_who_stands_close(tmp_path):
    target = write_chip(tmp_path, MESH)
    net, loud = chain(target, 6), np.ones(24)
    loud[8:12] = 100
    placed = map_network(net, activity={"h": loud}, seed=4)
    assert placed.hops.placed == hops_of(placed.network, loud)
    assert (placed.hops.spikes, placed.hops.seed) == ("counted", 4)
    assert placed.to_json()["hops"]["messages"] == pytest.approx(sum(loud[: 4 * 6]) - loud[hop_less(net)].sum())
    with pytest.raises(Refusal, match=r"activity of 'h'.*shape \(3,\)"):
        map_network(net, activity={"h": [1, 2, 3]})


def hop_less(net: Network) -> np.ndarray:
    """Neurons whose spikes lead nowhere."""
    return np.setdiff1d(np.arange(24), np.unique(net.projections[0].sources))


def test_a_mesh_needs_a_place_for_every_core(tmp_path):
    with pytest.raises(Refusal, match="6 cores on 1 x 5 places"):
        write_chip(tmp_path, MESH.replace("rows = 2\ncolumns = 3", "rows = 1\ncolumns = 5"))
    with pytest.raises(Refusal, match=r"mesh: no \[core\] table"):
        write_chip(tmp_path, "[mesh]\nrows = 1\ncolumns = 5\n")

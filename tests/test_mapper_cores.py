"""Neurons on cores: filled in order, each within its limits."""

from dataclasses import replace

import numpy as np
import pytest
from mapper_chip import wired, write_chip

from neurodeploy.chips import Chip
from neurodeploy.errors import DoesNotFit, Refusal
from neurodeploy.mapper import fit_faults, map_network, placed_faults
from neurodeploy.network import Network

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
        placed = map_network(net).network
        assert placed_faults(placed) == []
        ids = placed.group("h").ids
        assert len(set(ids.tolist())) == size
        assert ids.max() < 9 * 4
        for core in range(9):
            here = ids // 4 == core
            assert 2 * here.sum() + rec[:, here].sum() <= 10
            assert rec[:, here].any(axis=1).sum() <= 4
    assert 5 < sum(answers) < len(answers) - 5, "both answers occur"


def test_a_network_that_stands_somewhere_is_judged_where_it_stands(tmp_path):
    """Any ids, not only those of the mapper: limits of each core, added up by hand, and cores that there are."""
    target = write_chip(tmp_path, CORES.replace("count = 3", "count = 9").replace("at_most = 2\n", "at_most = 4\n"))
    draw, answers = np.random.default_rng(4), []
    for _ in range(60):
        size = int(draw.integers(1, 14))
        rec = (draw.random((size, size)) < 0.15).astype(int)
        net = wired(target, {"h": size}, ("rec", "h", "h", rec))
        ids = draw.permutation(4 * 10)[:size]
        here = [np.flatnonzero(ids // 4 == core) for core in range(10)]
        full = any(2 * len(h) + rec[:, h].sum() > 10 or rec[:, h].any(axis=1).sum() > 4 for h in here)
        moved = replace(net, groups=tuple(replace(g, ids=ids) for g in net.groups))
        assert bool(placed_faults(moved)) == (full or bool(len(here[9])))
        answers.append(full or bool(len(here[9])))
    assert 5 < sum(answers) < len(answers) - 5, "both answers occur"
    with pytest.raises(Refusal, match="groups without hardware ids: h"):
        placed_faults(net)


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

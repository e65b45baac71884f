import numpy as np
import pytest
from mutants import edited
from random_networks import Options, random_counts, random_network

from neurodeploy.chips import chip, from_raw, target_folders
from neurodeploy.simulator import simulate

CHIPS = [name for name in target_folders() if not chip(name).event_driven]


def many(name, seeds=range(20), **options):
    drawn = Options(**options)
    for seed in seeds:
        rng = np.random.default_rng(seed)
        network = random_network(chip(name), rng, drawn)
        yield network, random_counts(network, rng, drawn)


@pytest.mark.parametrize("name", CHIPS)
def test_random_networks_use_every_neuron_and_connection_kind_and_fire(name):
    emitted = {}
    for network, counts in many(name, range(8)):
        assert {g.kind for g in network.groups} == set(network.chip.neurons)
        assert {p.kind for p in network.projections} == set(network.chip.connections)
        run = simulate(network, counts, drain=0, raw=True, executor="numpy")
        for g in network.groups:
            emitted[g.kind] = emitted.get(g.kind, 0) + int((run.counts[g.name] > 0).sum())
    assert min(emitted.values()) > 80


@pytest.mark.parametrize("name", CHIPS)
def test_corners_reach_both_ends_of_every_register(name):
    found = {}
    for network, counts in many(name, range(40), corners=0.5, steps=(20, 20)):
        held = [(g.kind, n, v) for g in network.groups for n, v in g.parameters.items()]
        held += [(p.kind, n, v) for p in network.projections for n, v in p.fields.items()]
        held += [(network.group(n).kind, "external", v) for n, v in counts.items()]
        for kind, register, values in held:
            if values.size:
                found.setdefault((kind, register), set()).update((int(values.min()), int(values.max())))
    target = chip(name)
    for (kind, register), values in found.items():
        if register == "delay":
            continue
        entry = target.neurons.get(kind) or target.connections[kind]
        number = (
            entry.entry.external
            if register == "external"
            else (entry.parameters | getattr(entry, "fields", {}))[register]
        )
        assert set(number.interval) <= values, (kind, register)


def test_the_same_seed_gives_the_same_network():
    (one, counts), (other, again) = next(many("xylo_imu")), next(many("xylo_imu"))
    np.testing.assert_array_equal(counts["channel"], again["channel"])
    for p, q in zip(one.projections, other.projections, strict=True):
        np.testing.assert_array_equal(p.fields.get("w1", p.sources), q.fields.get("w1", q.sources))


def test_aliases_keep_the_limit_of_the_chip_unless_asked_otherwise():
    def most(**options):
        for network, _ in many("xylo_audio2", hidden=(6, 6), **options):
            yield from (np.bincount(p.sources).max(initial=0) for p in network.projections if p.kind == "alias")

    assert max(most()) == 1
    assert max(most(links=(0, 3))) == 3


def test_an_alias_never_joins_a_neuron_to_itself_and_a_synapse_does():
    loops = {"rec": 0, "alias": 0}
    for network, _ in many("xylo_audio2", links=(2, 2)):
        for p in network.projections:
            if p.kind in loops:
                loops[p.kind] += int((p.sources == p.targets).sum())
    assert loops["alias"] == 0
    assert loops["rec"] > 0


def test_several_groups_share_a_kind_with_mixed_hardware_ids():
    mixed = 0
    for network, _ in many("xylo_audio2", groups=3):
        for kind in network.chip.neurons:
            ids = np.concatenate([g.ids for g in network.of_kind(kind)])
            assert len(set(ids.tolist())) == len(ids)
            mixed += int(np.any(np.diff(ids) < 0))
    assert mixed > 10


def test_narrow_without_and_beyond_cap_are_kept():
    options = {"narrow": {"bias": (0, 0)}, "without": frozenset({"alias"})}
    largest = {}
    for beyond in (True, False):
        for network, counts in many("xylo_audio2", beyond_cap=beyond, corners=0.5, **options):
            assert not any(g.parameters["bias"].any() for g in network.groups if g.kind != "channel")
            assert "alias" not in {p.kind for p in network.projections}
            largest[beyond] = max(largest.get(beyond, 0), int(counts["channel"].max()))
    assert largest == {True: 255, False: 15}


def test_delays_and_forward_only_links_come_from_the_chip_data():
    raw = edited(
        chip("xylo_audio2").raw,
        (("connection", "rec", "synapse", "delay"), {"unsigned": 3}),
        (("connection", "alias", "forward_only"), "refuse"),
    )
    network = random_network(from_raw(raw), np.random.default_rng(1), Options(hidden=(9, 9), links=(3, 3)))
    by_kind = {p.kind: p for p in network.projections}
    assert set(by_kind["rec"].fields["delay"].tolist()) == {0, 1, 2, 3}
    assert by_kind["alias"].sources.size
    assert np.all(by_kind["alias"].sources < by_kind["alias"].targets)

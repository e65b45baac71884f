"""Every limit of every Xylo, one at the boundary and one beyond it."""

from dataclasses import replace

import numpy as np
import pytest
from limit_networks import asking, fan, network, spread

from neurodeploy.chips import chip, target_folders
from neurodeploy.errors import DoesNotFit, Refusal
from neurodeploy.mapper import map_network, usage
from neurodeploy.network import Network, load_network, pairs, projection, save_network

XYLOS = [name for name in target_folders() if {"channel", "hidden", "output"} <= set(chip(name).neurons)]
LIMITS = [(name, limit) for name in XYLOS for limit in chip(name).limits]
# fan-out beyond the number of hidden neurons: no network without that many neurons can reach it
OUT_OF_REACH = [
    (name, limit)
    for name, limit in LIMITS
    if limit == "fan_out" and chip(name).limits[limit].entry.at_most > chip(name).limits["hidden"].entry.at_most
]
WITH_WINDOWS = [name for name in XYLOS if chip(name).connections["in"].entry.targets_first]
WITHOUT_WINDOWS = [name for name in XYLOS if name not in WITH_WINDOWS]


def refused(net: Network) -> tuple:
    with pytest.raises(DoesNotFit) as caught:
        map_network(net)
    return caught.value.faults


def limits_of(faults: tuple) -> list[str]:
    return sorted(str(f.values["limit"]) for f in faults)


def test_the_limits_are_those_of_the_vendor_s_documents():
    at_most = {name: {n: limit.entry.at_most for n, limit in chip(name).limits.items()} for name in XYLOS}
    windows = {"in_targets": 128, "out_sources": 128}
    assert at_most == {
        "xylo_audio2": {"inputs": 16, "hidden": 1000, "outputs": 8, "fan_out": 64, "pool": 32000, "alias": 1},
        "xylo_audio3": {"inputs": 16, "hidden": 992, "outputs": 32, "fan_out": 1024, "pool": 31744, "alias": 1}
        | windows,
        "xylo_imu": {"inputs": 16, "hidden": 496, "outputs": 16, "fan_out": 512, "pool": 31744, "alias": 1} | windows,
    }


@pytest.mark.parametrize(("name", "limit"), [case for case in LIMITS if case not in OUT_OF_REACH])
def test_a_limit_is_inclusive(name, limit):
    most = chip(name).limits[limit].entry.at_most
    placed = map_network(asking(chip(name), limit, most))
    row = next(u for u in placed.usage if u.limit == limit)
    assert (row.asked, row.at_most, row.fits) == (most, most, True)
    assert placed.network.placed
    assert len(placed.usage) == len(chip(name).limits)


@pytest.mark.parametrize(("name", "limit"), [case for case in LIMITS if case not in OUT_OF_REACH])
def test_one_more_than_a_limit_is_refused_with_all_numbers(name, limit):
    entry = chip(name).limits[limit].entry
    faults = refused(asking(chip(name), limit, entry.at_most + 1))
    assert limits_of(faults) == [limit]
    text = str(faults[0])
    assert text.startswith(f"{name}: {entry.at_most + 1:,} {entry.unit}")
    assert f"; at most {entry.at_most:,} fit; 1 too many: {entry.todo}. [ND1801]" in text
    assert entry.todo
    assert faults[0].values == {"limit": limit, "asked": entry.at_most + 1, "at_most": entry.at_most}


@pytest.mark.parametrize(("name", "limit"), OUT_OF_REACH)
def test_a_fan_out_beyond_the_hidden_neurons_cannot_be_reached_alone(name, limit):
    most, hidden = chip(name).limits[limit].entry.at_most, chip(name).limits["hidden"].entry.at_most
    assert map_network(network(chip(name), hidden=hidden, rec=fan(hidden, hidden)))
    assert limits_of(refused(asking(chip(name), limit, most))) == ["hidden"]
    assert limits_of(refused(asking(chip(name), limit, most + 1))) == [limit, "hidden"]


def test_some_fan_out_is_reachable_and_some_is_not():
    assert 0 < len(OUT_OF_REACH) < len(XYLOS)


@pytest.mark.parametrize("name", XYLOS)
def test_a_per_neuron_limit_names_the_neuron_and_counts_the_others(name):
    aliases = [(0, 1), (2, 1), (2, 3), (2, 4), (5, 1), (5, 2)]
    faults = refused(network(chip(name), hidden=6, aliases=aliases))
    assert [f.was for f in faults] == ["3 alias targets of one hidden neuron ('layer' neuron 2 and 1 more)"]
    assert faults[0].must == "at most 1 fit"
    assert faults[0].todo == "2 too many: keep one alias for each neuron"


@pytest.mark.parametrize("name", XYLOS)
def test_every_limit_that_is_broken_is_listed(name):
    target = chip(name)
    most = {n: limit.entry.at_most for n, limit in target.limits.items()}
    hidden = max(most["hidden"], most["fan_out"]) + 1
    rec = spread(hidden, most["pool"] + 1)
    rec[0, : most["fan_out"] + 1] = 1
    net = network(
        target,
        inputs=most["inputs"] + 1,
        hidden=hidden,
        outputs=most["outputs"] + 1,
        reached=most.get("in_targets", hidden - 1) + 1,
        read=most.get("out_sources", hidden - 1) + 1,
        rec=rec,
        aliases=[(0, 1), (0, 2)],
    )
    assert limits_of(refused(net)) == sorted(target.limits)
    assert len(target.limits) >= 6


@pytest.mark.parametrize("name", XYLOS)
def test_limits_values_and_pairs_are_refused_together(name):
    most = chip(name).limits["inputs"].entry.at_most
    net = network(chip(name), inputs=most + 1, hidden=2, aliases=[(0, 0)], dash_syn1=[0, 1], dash_mem=[1, 0])
    faults = refused(net)
    assert sorted(f.code for f in faults) == ["ND1703", "ND1703", "ND1801", "ND1801"]


# ---- windows of hardware ids


@pytest.mark.parametrize("name", WITH_WINDOWS)
@pytest.mark.parametrize(("limit", "word"), [("in_targets", "input"), ("out_sources", "output")])
def test_a_full_window_takes_exactly_its_ids(name, limit, word):
    target = chip(name)
    most = target.limits[limit].entry.at_most
    placed = map_network(asking(target, limit, most)).network
    ids = placed.group("layer").ids
    used = ids[:most] if word == "input" else ids[most:]
    first = 0 if word == "input" else most
    assert sorted(used.tolist()) == list(range(first, first + most))


@pytest.mark.parametrize("name", WITH_WINDOWS)
def test_neurons_at_both_ends_need_ids_in_both_windows(name):
    window = chip(name).connections["in"].entry.targets_first
    hidden = 2 * window - 10  # 10 ids lie in both windows
    both = 10
    fits = network(chip(name), hidden=hidden, reached=(hidden + both) // 2, read=(hidden + both) // 2)
    placed = map_network(fits).network
    assert sorted(placed.group("layer").ids.tolist()) == list(range(hidden))


@pytest.mark.parametrize("name", WITH_WINDOWS)
def test_more_neurons_at_both_ends_than_ids_in_both_windows_are_refused(name):
    target = chip(name)
    window = target.connections["in"].entry.targets_first
    hidden = 2 * window - 10
    i, h, o = network(target, hidden=hidden).groups
    ends = np.zeros((1, hidden), int)
    ends[0, :10] = 1
    fits = Network(
        target, (i, h, o), (projection(target, "in", i, h, w1=ends), projection(target, "out", h, o, w1=ends.T))
    )
    placed = map_network(fits).network
    assert set(placed.group("layer").ids[:10].tolist()) == set(range(window - 10, window))
    ends[0, 10] = 1
    more = Network(
        target, (i, h, o), (projection(target, "in", i, h, w1=ends), projection(target, "out", h, o, w1=ends.T))
    )
    (fault,) = refused(more)
    assert fault.code == "ND1802"
    assert fault.was == f"1 of {hidden} hidden neurons without a place, first 'layer' neuron 10"
    assert fault.must == (
        f"'in' reaches ids 0..{window - 1} of kind 'hidden'; "
        f"'out' leaves from ids {hidden - window}..{hidden - 1} of kind 'hidden'"
    )
    assert "let fewer neurons stand at both ends" in fault.todo


@pytest.mark.parametrize("name", WITHOUT_WINDOWS)
def test_without_windows_every_hidden_neuron_may_stand_at_both_ends(name):
    hidden = chip(name).limits["hidden"].entry.at_most
    placed = map_network(network(chip(name), hidden=hidden, reached=hidden, read=hidden)).network
    assert placed.group("layer").ids.tolist() == list(range(hidden))


@pytest.mark.parametrize("name", WITH_WINDOWS)
def test_a_weight_of_zero_reaches_nobody(name):
    target = chip(name)
    net = network(target, hidden=300, reached=128, read=128)
    dense = next(p for p in net.projections if p.kind == "in")
    assert len(dense.targets) == 300, "the dense block holds zeros too"
    rows = {u.limit: u.asked for u in map_network(net).usage}
    assert (rows["in_targets"], rows["out_sources"]) == (128, 128)


# ---- aliases


@pytest.mark.parametrize("name", XYLOS)
def test_an_alias_to_another_neuron_fits_and_one_to_itself_does_not(name):
    assert map_network(network(chip(name), hidden=2, aliases=[(0, 1)])).warnings == ()
    (fault,) = refused(network(chip(name), hidden=2, aliases=[(1, 1)]))
    assert fault.was == "neuron 1 joined to itself by 'alias'"
    assert (fault.must, fault.todo) == ("two different neurons", "remove that pair")


@pytest.mark.parametrize("name", XYLOS)
def test_neurons_of_one_index_in_two_layers_are_different(name):
    target = chip(name)
    first, second = (replace(network(target).group("layer"), name=n) for n in ("first", "second"))
    assert map_network(Network(target, (first, second), (pairs(target, "alias", first, second, [(0, 0)]),)))


@pytest.mark.parametrize("name", XYLOS)
def test_an_alias_to_a_lower_id_is_a_warning_that_says_what_happens(name):
    (warning,) = map_network(network(chip(name), hidden=3, aliases=[(1, 0), (2, 1), (0, 2)])).warnings
    assert warning.was == "'alias' from neuron 1 to neuron 0 leads to a lower hardware id and 1 more"
    assert "counts the events but does not relay them" in warning.must
    assert "behind the source" in warning.todo
    assert warning.code == "ND1802"


@pytest.mark.parametrize("name", XYLOS)
def test_the_same_alias_twice_is_refused(name):
    faults = refused(network(chip(name), hidden=2, aliases=[(0, 1), (0, 1)]))
    assert any(
        "'layer' neuron 0 and 'layer' neuron 1, a pair of neurons joined twice by 'alias'" in f.was for f in faults
    )


# ---- synapses


@pytest.mark.parametrize("name", XYLOS)
def test_a_recurrent_synapse_to_the_neuron_itself_fits(name):
    assert map_network(network(chip(name), hidden=2, rec=np.eye(2, dtype=int)))


@pytest.mark.parametrize("name", [n for n in XYLOS if "w2" in chip(n).connections["rec"].fields])
def test_both_synapses_of_a_pair_share_one_entry(name):
    target = chip(name)
    net = network(target, hidden=3)
    h = net.group("layer")
    both = projection(target, "rec", h, h, w1=fan(3, 2), w2=fan(3, 3))
    rows = {u.limit: u.asked for u in usage(replace(net, projections=(*net.projections, both)))}
    assert (rows["pool"], rows["fan_out"]) == (3, 3)


def test_a_network_with_two_synapses_does_not_load_where_a_neuron_has_one(tmp_path):
    two, one = chip("xylo_audio3"), chip("xylo_imu")
    assert "dash_syn2" in two.neurons["hidden"].parameters
    net = network(two, hidden=2, rec=spread(2, 2))
    assert map_network(net)
    with pytest.raises(Refusal, match="synapse field 'w2' is unknown; exactly w1") as caught:
        replace(net, chip=one)
    assert {f.code for f in caught.value.faults} == {"ND1203"}
    assert "parameter 'dash_syn2' is unknown" in str(caught.value)
    save_network(net, tmp_path / "two.npz")
    assert load_network(tmp_path / "two.npz").chip.name == "xylo_audio3", "a file stays with the chip it was made for"


@pytest.mark.parametrize("name", XYLOS)
def test_output_neurons_are_not_recurrent(name):
    target = chip(name)
    i, h, o = network(target, hidden=2).groups
    again = projection(target, "rec", o, o, w1=[[1]])
    with pytest.raises(Refusal, match="'rec' from 'output' to 'output'; it joins hidden to hidden"):
        Network(target, (i, h, o), (again,))
    with pytest.raises(Refusal, match="'alias' from 'output' to 'output'"):
        Network(target, (i, h, o), (pairs(target, "alias", o, o, [(0, 0)]),))


@pytest.mark.parametrize("name", XYLOS)
def test_a_pair_of_neurons_is_joined_once_even_by_two_projections(name):
    target = chip(name)
    once = network(target, hidden=3, rec=fan(3, 2))
    assert map_network(once)
    h = once.group("layer")
    apart = projection(target, "rec", h, h, w1=np.roll(fan(3, 2), 1, axis=0))
    assert map_network(replace(once, projections=(*once.projections, apart)))
    again = projection(target, "rec", h, h, w1=fan(3, 1))
    (fault,) = refused(replace(once, projections=(*once.projections, again)))
    assert fault.was == "'layer' neuron 0 and 'layer' neuron 0, a pair of neurons joined twice by 'rec'"
    assert (fault.must, fault.todo) == ("one synapse entry for a pair", "add the weights up")
    within = projection(target, "rec", h, h, w1=fan(3, 1))
    doubled = replace(
        within,
        sources=np.repeat(within.sources, 2),
        targets=np.repeat(within.targets, 2),
        fields={n: np.repeat(v, 2) for n, v in within.fields.items()},
    )
    (fault,) = refused(replace(once, projections=(*once.projections[:2], doubled)))
    assert "joined twice by 'rec'" in fault.was

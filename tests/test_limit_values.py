"""Register values of every Xylo that may be written, one at the boundary and one beyond it."""

from dataclasses import replace

import numpy as np
import pytest
from limit_networks import network

from neurodeploy.chips import chip, target_folders
from neurodeploy.errors import DoesNotFit, Refusal
from neurodeploy.mapper import map_network
from neurodeploy.network import Network, projection
from neurodeploy.simulator import simulate

XYLOS = [name for name in target_folders() if {"channel", "hidden", "output"} <= set(chip(name).neurons)]


def refused(net: Network) -> tuple:
    with pytest.raises(DoesNotFit) as caught:
        map_network(net)
    return caught.value.faults


WEIGHTS = [
    (1, 14, True),
    (127, 8, True),
    (128, 8, None),
    (-128, 8, True),
    (-128, 9, False),
    (64, 9, False),
    (2, 14, False),
]


@pytest.mark.parametrize("name", XYLOS)
@pytest.mark.parametrize("connection", ["in", "rec", "out"])
@pytest.mark.parametrize(("weight", "shift", "fits"), WEIGHTS)
def test_a_shifted_weight_stays_within_16_bits(name, connection, weight, shift, fits):
    target = chip(name)
    net = network(target, hidden=1)
    i, h, o = net.groups
    ends = {"in": (i, h), "rec": (h, h), "out": (h, o)}[connection]
    others = tuple(p for p in net.projections if p.kind != connection)

    def shifted() -> Network:
        own = projection(target, connection, *ends, {"shift": shift}, w1=[[weight]])
        return replace(net, projections=(*others, own))

    if fits is None:
        with pytest.raises(Refusal, match=r"w1 = 128 at index 0; the register holds -128\.\.127"):
            shifted()
    elif fits:
        assert map_network(shifted())
    else:
        (fault,) = refused(shifted())
        assert fault.was == f"w1 << shift = {weight << shift} at index 0"
        assert fault.must == "-32768..32767 may be written"
        assert fault.code == "ND1703"


@pytest.mark.parametrize("name", [n for n in XYLOS if "w2" in chip(n).connections["rec"].fields])
def test_the_second_synapse_is_held_to_16_bits_too(name):
    target = chip(name)
    net = network(target, hidden=1)
    i, h, _ = net.groups
    for weight, fits in ((127, True), (-128, True), (-127, True)):
        own = projection(target, "in", i, h, {"shift": 8}, w1=[[0]], w2=[[weight]])
        assert bool(map_network(replace(net, projections=(own, net.projections[1])))) is fits
    own = projection(target, "in", i, h, {"shift": 9}, w1=[[1]], w2=[[64]])
    (fault,) = refused(replace(net, projections=(own, net.projections[1])))
    assert fault.was == "w2 << shift = 32768 at index 0"
    assert fault.todo == "lower it to 32767 or less"


@pytest.mark.parametrize("name", XYLOS)
def test_a_shift_beyond_its_register_is_refused(name):
    target = chip(name)
    i, h, _ = network(target, hidden=1).groups
    assert projection(target, "in", i, h, {"shift": 15}, w1=[[0]]).parameters["shift"] == 15
    with pytest.raises(Refusal, match=r"shift = 16 at index 0; the register holds 0\.\.15"):
        Network(target, (i, h), (projection(target, "in", i, h, {"shift": 16}, w1=[[0]]),))


DASHES = [(n, g, p) for n in XYLOS for g in ("hidden", "output") for p in chip(n).neurons[g].parameters if "dash" in p]


@pytest.mark.parametrize(("name", "kind", "dash"), DASHES)
def test_dash_0_is_simulated_but_not_mapped(name, kind, dash):
    net = network(chip(name), hidden=2)

    def with_dash(value: int) -> Network:
        groups = [
            replace(g, parameters={**g.parameters, dash: np.full(g.size, value)}) if g.kind == kind else g
            for g in net.groups
        ]
        return replace(net, groups=tuple(groups))

    for value in (1, 15):
        assert map_network(with_dash(value))
    (fault,) = refused(with_dash(0))
    assert fault.was.startswith(f"{dash} = 0 at index 0")
    assert (fault.must, fault.todo) == ("1..15 may be written", "raise it to 1 or more")
    layer = next(g.name for g in net.groups if g.kind == kind)
    assert fault.where == f"{name}, layer {layer!r}"
    placed = map_network(net).network
    ids = {g.name: g.ids for g in placed.groups}
    dead = with_dash(0)
    dead = replace(dead, groups=tuple(replace(g, ids=ids[g.name]) for g in dead.groups))
    assert simulate(dead, np.ones((5, 1, 1), int)).counts
    with pytest.raises(Refusal, match=rf"{dash} = 16 at index 0.*the register holds 0\.\.15"):
        with_dash(16)


@pytest.mark.parametrize("name", XYLOS)
def test_a_threshold_lies_in_1_to_32767(name):
    for value in (1, 32767):
        assert map_network(network(chip(name), hidden=2, threshold=value))
    for value in (0, -1, 32768):
        with pytest.raises(Refusal, match=rf"threshold = {value} at index 0.*the register holds 1\.\.32767"):
            network(chip(name), hidden=2, threshold=value)


@pytest.mark.parametrize("name", XYLOS)
def test_a_bias_beyond_int8_warns_and_beyond_int16_is_refused(name):
    for value in (-128, 127):
        assert map_network(network(chip(name), hidden=2, bias=value)).warnings == ()
    for value, todo in (
        (-129, "raise it to -128 or more"),
        (128, "lower it to 127 or less"),
        (32767, ""),
        (-32768, ""),
    ):
        (warning,) = map_network(network(chip(name), hidden=3, bias=[0, value, value])).warnings
        assert warning.was == f"bias = {value} at index 1 and 1 more"
        assert warning.must == "-128..127 is the range that every source agrees on"
        assert warning.where == f"{name}, layer 'layer'"
        assert todo in warning.todo
    for value in (-32769, 32768):
        with pytest.raises(Refusal, match=rf"bias = {value} at index 0.*the register holds -32768\.\.32767"):
            network(chip(name), hidden=2, bias=value)

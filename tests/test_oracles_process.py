"""Oracles in a Python of their own: what is refused before anything runs, and what is said when it cannot run."""

import os
import stat
import sys
from dataclasses import replace

import numpy as np
import pytest
from loihi_networks import CHIPS, PROCESSES
from mutants import edited

from neurodeploy.chips import chip, from_raw
from neurodeploy.errors import Missing, Refusal
from neurodeploy.network import Network, group, place_identity, projection
from neurodeploy.oracles import oracle

NAMES = sorted(PROCESSES)


def network(parameters=None, delay=0, target=None, **registers):
    target = target or chip("loihi2")
    x, y = group(target, "x", "input", 2), group(target, "y", "lif", 2, **({"dv": 0, "threshold": 9} | registers))
    link = projection(target, "dense", x, y, parameters or {}, w=[[20, 2], [-4, 6]], delay=delay)
    return place_identity(Network(target, (x, y), (link,)))


def words(name, made):
    return [str(fault) for fault in oracle(name).faults(made)]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_that_the_oracle_has_is_accepted(name):
    assert words(name, network()) == []


@pytest.mark.parametrize(
    ("name", "made", "said"),
    [
        ("lava", {"refractory": 2}, "group 'y': refractory = 2; 1: lava has no such parameter"),
        ("lava", {"v_min_exp": [23, 4]}, "group 'y': v_min_exp = 4; 23: lava has no such parameter"),
        ("lava", {"reset_every": [2, 3]}, "group 'y': reset_every of several values; one for a group"),
        ("nengo_loihi", {"reset_first": 3}, "group 'y': reset_first = 3; 0: nengo_loihi has no such parameter"),
        ("nengo_loihi", {"delay": 1}, "projection x -> y: synapse field delay = 1; 0: nengo_loihi has no such field"),
        (
            "nengo_loihi",
            {"parameters": {"bits": 7}},
            "projection x -> y: bits = 7; what nengo_loihi has: 1, 2, 3, 4, 5, 6, 8",
        ),
    ],
)
def test_what_the_oracle_does_not_have_is_refused_in_words(name, made, said):
    assert any(said in line for line in words(name, network(**made))), words(name, network(**made))
    with pytest.raises(Refusal):
        PROCESSES[name].observe(network(**made), np.zeros((1, 1, 2), int))


def test_kinds_that_the_oracle_does_not_have_are_refused():
    target = chip("loihi2")
    x = group(target, "x", "input", 1)
    y = group(target, "y", "atrlif", 1, d_i=0, d_v=0, d_theta=0, d_r=0, theta_0=64, theta_step=64)
    made = place_identity(Network(target, (x, y), (projection(target, "dense_atrlif", x, y, w=20),)))
    assert words("lava", made) == []
    said = words("nengo_loihi", made)
    assert any("neuron kind 'atrlif'; neurons that nengo_loihi has: input, lif" in line for line in said)
    assert any("connection kind 'dense_atrlif'; connections that nengo_loihi has: dense" in line for line in said)


def test_a_synapse_that_stands_twice_is_refused():
    made = network()
    p = made.projections[0]
    twice = replace(p, sources=np.array([0, 0, 1, 1]), targets=np.array([0, 0, 0, 1]))
    assert any("a synapse that stands twice" in line for line in words("lava", replace(made, projections=(twice,))))


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("dialect",), "brian", "dialect 'brian'; a dialect of the chip: lava, nengo_loihi"),
        (("neuron", "LIF", "kind"), "cuba", "neuron kind 'cuba'; a neuron kind of the chip: input, lif"),
        (("neuron", "LIF", "states"), {"u": "x"}, "state 'x'; a state of the chip: a, u, v, waiting, spike"),
        (
            ("connection", "Conv", "kinds"),
            ["dens"],
            "connection kind 'dens'; a connection kind of the chip: dense, conv",
        ),
        (("neuron", "LIF", "color"), "red", "extra inputs"),
    ],
)
def test_a_table_that_does_not_meet_the_chip_is_refused(place, value, said):
    raw = edited(chip("loihi1").raw, (("oracle", "lava", *place), value))
    found = words("lava", network(target=from_raw(raw)))
    assert any(said in line.replace("Extra", "extra") for line in found), found


def test_a_chip_without_the_table_is_refused():
    raw = {k: v for k, v in chip("loihi1").raw.items() if k != "oracle"}
    assert "no table [oracle.lava] in chip.toml" in words("lava", network(target=from_raw(raw)))[0]


@pytest.mark.parametrize("name", NAMES)
def test_without_an_interpreter_the_message_says_how_to_make_one(name, monkeypatch):
    monkeypatch.delenv(PROCESSES[name].variable, raising=False)
    assert oracle(name).available() is None
    with pytest.raises(Missing, match=rf"{PROCESSES[name].variable} names no Python.*-m venv DIR") as caught:
        oracle(name).run(network(), np.zeros((1, 1, 2), int))
    assert (caught.value.exit_status, caught.value.code) == (3, "ND9001")


@pytest.mark.parametrize("name", NAMES)
def test_an_interpreter_without_the_package_or_none_at_all_is_missing(name, monkeypatch, tmp_path):
    for path in (sys.executable, str(tmp_path / "python")):
        monkeypatch.setenv(PROCESSES[name].variable, path)
        assert oracle(name).available() is None


def test_an_oracle_that_fails_is_told_with_its_last_line(monkeypatch, tmp_path):
    fake = tmp_path / "python"
    fake.write_text(
        '#!/bin/sh\nif [ "$2" = "-c" ]; then echo 1.2; else cat >/dev/null; echo "no luck" >&2; exit 3; fi\n'
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(PROCESSES["lava"].variable, os.fspath(fake))
    assert oracle("lava").available() == "1.2"
    with pytest.raises(Refusal, match="oracle lava: it failed: no luck"):
        oracle("lava").run(network(), np.zeros((1, 1, 2), int))


@pytest.mark.parametrize("name", CHIPS)
def test_every_oracle_of_the_chip_has_a_dialect_of_its_name(name):
    target = chip(name)
    for spoken in set(target.oracles) & set(PROCESSES):
        assert PROCESSES[spoken].roles(target)[0].dialect in target.dialects

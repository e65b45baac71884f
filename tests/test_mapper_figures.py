"""Figures for reports: the cycles of a step, and the time that they need."""

from dataclasses import replace

import numpy as np
import pytest
from limit_networks import network, spread
from mapper_chip import wired, write_chip

from neurodeploy.chips import chip, target_folders
from neurodeploy.errors import Refusal
from neurodeploy.mapper import map_network, reports
from neurodeploy.network import Network, projection

XYLOS = [name for name in target_folders() if {"channel", "hidden", "output"} <= set(chip(name).neurons)]


def cycles_by_the_book(net: Network, *, all_reached: bool) -> float:
    """The vendor's model, written from its description, with every probability 1."""
    sizes = {k: sum(g.size for g in net.of_kind(k)) for k in ("channel", "hidden", "output")}
    n_in, n_hid, n_out = sizes.values()
    matrices = {
        k: np.zeros((n_hid if k != "in" else n_in, n_out if k == "out" else n_hid), bool) for k in ("in", "rec", "out")
    }
    aliases = np.zeros((n_hid, n_hid), bool)
    for p in net.projections:
        if p.kind == "alias":
            aliases[p.sources, p.targets] = True
        else:
            matrices[p.kind][p.sources, p.targets] |= np.any([p.fields[w] != 0 for w in p.fields], axis=0)
    syn1 = np.zeros((n_hid, n_hid), bool)
    for p in net.projections:
        if p.kind == "rec":
            syn1[p.sources, p.targets] = p.fields["w1"] != 0
    f = syn1.sum(axis=1).mean()
    n_ien = n_hid if all_reached else int(matrices["in"].any(axis=0).sum())
    n_oen = n_hid if all_reached else int(matrices["out"].any(axis=1).sum())
    a_t, a_s = aliases.sum(axis=0).mean(), aliases.sum(axis=1).mean()
    p = 1
    v = 2 * max(p, a_t * a_s) + 3 * max(p * a_t, a_t * a_s) + p + max(p, a_t) * a_s
    return float(
        n_in * (p * n_ien * 3.5 + 1)
        + n_hid * (f * 7 * p + 3)
        + n_oen * p * (1 + 8 * n_out)
        + n_hid * (19 + v)
        + 12 * n_out
    )


@pytest.mark.parametrize("name", XYLOS)
def test_cycles_are_those_of_the_vendor_s_model(name):
    target, draw = chip(name), np.random.default_rng(7)
    windows = bool(target.connections["in"].entry.targets_first)
    seen = set()
    for _ in range(60):
        hidden, inputs, outputs = (int(draw.integers(1, n)) for n in (40, 17, 9))
        shares = draw.random(3)
        aliases = [(i, (i + 1 + int(draw.integers(hidden - 1))) % hidden) for i in range(hidden) if hidden > 1]
        net = network(
            target, inputs=inputs, hidden=hidden, outputs=outputs, aliases=aliases[:: int(draw.integers(1, 4))]
        )
        i, h, o = net.groups
        matrices = [draw.integers(-3, 4, s) * (draw.random(s) < c) for s, c in zip(
            [(inputs, hidden), (hidden, hidden), (hidden, outputs)], shares, strict=True)]  # fmt: skip
        second = {"w2": draw.integers(-1, 2, (hidden, hidden))} if "w2" in target.connections["rec"].fields else {}
        links = (
            projection(target, "in", i, h, w1=matrices[0]),
            projection(target, "rec", h, h, w1=matrices[1], **second),
            projection(target, "out", h, o, w1=matrices[2]),
            net.projections[-1],
        )
        net = replace(net, projections=links)
        value, unit = reports(net)["cycles"]
        assert value == pytest.approx(cycles_by_the_book(net, all_reached=not windows), rel=1e-12)
        assert unit == "clock cycles per step in the worst case"
        seen.add(value)
    assert len(seen) > 50


def test_the_largest_audio_2_network_needs_370_112_cycles():
    target = chip("xylo_audio2")
    net = network(target, inputs=16, hidden=1000, outputs=8, rec=spread(1000, 32000))
    figures = reports(net)
    assert figures["cycles"][0] == 370112
    assert figures["cycles"][0] / figures["clock"][0] == pytest.approx(0.0074, rel=1e-3)
    assert figures["shortest_step"][0] == pytest.approx(1.2 * 370112 / 50e6)


# made by rockpool 3.1.0, printed in its notebooks xylo-imu-intro.ipynb (757) and quick-xylo/xylo-audio-intro.ipynb
# (555, run on Audio 3; 7 below what 32 recurrent weights give: one of the random weights was rounded to 0)
@pytest.mark.parametrize(("name", "inputs", "zeros", "cycles"), [("xylo_imu", 15, 0, 757), ("xylo_audio3", 2, 1, 555)])
def test_cycles_are_those_that_the_vendor_printed(name, inputs, zeros, cycles):
    rec = np.zeros((8, 8), int)
    rec[:, 4:] = 1
    rec[7, 7 : 7 + zeros] = 0
    aliases = [(i, 4 + i) for i in range(4)]
    net = network(chip(name), inputs=inputs, hidden=8, outputs=2, reached=4, read=4, rec=rec, aliases=aliases)
    assert reports(net)["cycles"][0] == cycles


@pytest.mark.parametrize("name", XYLOS)
def test_a_step_shorter_than_the_slowest_possible_one_is_a_warning(name):
    hidden = chip(name).limits["hidden"].entry.at_most
    net = network(chip(name), inputs=16, hidden=hidden, outputs=8, rec=spread(hidden, 20 * hidden))
    needed = reports(net)["shortest_step"][0]
    assert 1e-4 < needed < 1e-2
    assert map_network(net).warnings == ()
    assert map_network(replace(net, dt_s=needed)).warnings == ()
    (warning,) = map_network(replace(net, dt_s=0.99 * needed)).warnings
    assert f"{needed:.6g} s, the shortest step that the default clock guarantees" in warning.was
    assert warning.must == f"dt_s = {0.99 * needed:.6g} of the network is less"
    assert "a longer step, a faster clock" in warning.todo
    assert warning.values["asked"] == needed


def test_figures_may_be_made_of_figures_in_any_order(tmp_path):
    figures = """
[report.a]
value = "2 * b"
unit = "x"
[report.b]
value = "c + 1"
unit = "x"
[report.c]
value = "neurons_hidden"
unit = "x"
"""
    target = write_chip(tmp_path, figures)
    assert {n: v for n, (v, _) in reports(wired(target, {"h": 3})).items()} == {"a": 8, "b": 4, "c": 3}


def test_figures_in_a_circle_are_refused(tmp_path):
    figures = """
[report.a]
value = "b"
unit = "x"
[report.b]
value = "a"
unit = "x"
[report.c]
value = "d"
unit = "x"
"""
    with pytest.raises(Refusal) as caught:
        write_chip(tmp_path, figures)
    text = str(caught.value)
    assert "report.a.value: made of b, which need it or each other; figures without a circle" in text
    assert "report.b.value: made of a" in text
    assert "report.c.value: unknown name 'd'" in text
    assert len(caught.value.faults) == 3


def test_a_figure_is_compared_only_with_what_a_network_states(tmp_path):
    figure = '[report.a]\nvalue = "neurons_hidden"\nunit = "s"\nat_most = "dt_s"\n'
    target = write_chip(tmp_path, figure)
    assert len(map_network(replace(wired(target, {"h": 3}), dt_s=2.0)).warnings) == 1
    (tmp_path / "other").mkdir()
    with pytest.raises(Refusal, match=r"report\.a\.at_most"):
        write_chip(tmp_path / "other", figure.replace("dt_s", "cycles"))

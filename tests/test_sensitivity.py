"""What scan orders change is observed and worded as that; a hundred thousand events over eight orders."""

import numpy as np
import pytest
from command_line import refused, run
from event_chip import PLAIN, chip_of, crossbar
from event_networks import branches, chain, random_input

from neurodeploy.bundles import bundle, verification, verify
from neurodeploy.chips import chip
from neurodeploy.errors import Refusal
from neurodeploy.events import data, moving_edge, save_data, stimulus
from neurodeploy.mapper import map_network
from neurodeploy.network import Convolution, Network, convolution, group, place_identity, save_network
from neurodeploy.simulator import scan_orders, simulate, simulate_orders
from neurodeploy.verifier import observe_orders

pytestmark = pytest.mark.compiled  # a hundred thousand events

CHIP = chip("speck2f")


def three_layers(c, seed=0, size=128):
    """A square of pixels, two layers of features and ten classes that the whole map feeds."""
    rng = np.random.default_rng(seed)
    source = group(c, "in", "pixel", (2, size, size))
    first = Convolution(source.shape, (4, 2, 4, 4), stride=(4, 4))
    a = group(c, "first", "unit", first.target, threshold_high=200, threshold_low=-200, return_to_zero=1)
    second = Convolution(a.shape, (8, 4, 3, 3), stride=(2, 2), padding=(1, 1))
    b = group(c, "second", "unit", second.target, threshold_high=220, threshold_low=-120, return_to_zero=1)
    third = Convolution(b.shape, (10, 8, size // 8, size // 8))
    d = group(c, "classes", "unit", third.target, threshold_high=300, threshold_low=-300)
    pieces = (
        convolution(c, "convolve", source, a, first, w=rng.integers(-30, 90, first.kernel)),
        convolution(c, "convolve", a, b, second, w=rng.integers(-60, 90, second.kernel)),
        convolution(c, "convolve", b, d, third, w=rng.integers(-20, 24, third.kernel)),
    )
    return place_identity(Network(c, (source, a, b, d), pieces))


@pytest.mark.slow  # .ci/run has it
def test_a_hundred_thousand_events_over_eight_orders(count):
    network, given = three_layers(CHIP), stimulus(moving_edge(100_000), 20_000)
    assert len(given) == 100_000
    runs = simulate_orders(network, given, scan_orders(CHIP, 8))
    assert len({r.scans[0]["convolve"] for r in runs}) == 8
    fired = {g.name: {int(r.counts[g.name].sum()) for r in runs} for g in network.groups[1:]}
    assert min(min(f) for f in fired.values()) > 1000
    assert len(fired["first"]) == 1
    assert all(np.array_equal(r.counts["first"], runs[0].counts["first"]) for r in runs)
    assert len({r.counts["second"].tobytes() for r in runs}) > 1
    alone = simulate(network, given, scan=runs[5].scans[0])
    assert all(np.array_equal(alone.events[g], runs[5].events[g]) for g in alone.events)
    count("input events over eight scan orders", 8 * len(given))
    count("synaptic operations over eight scan orders", sum(int(r.meetings.sum()) for r in runs))


def test_the_report_separates_what_is_exact_from_what_was_observed():
    rng = np.random.default_rng(3)
    network = branches(CHIP, rng)
    report = observe_orders(network, random_input(network, rng, steps=6, batch=4, rate=2), orders=6)
    by_name = {layer.group: layer for layer in report.layers}
    assert [name for name, layer in by_name.items() if layer.predicted] == ["a"]
    assert by_name["a"].least == by_name["a"].most > 0
    assert by_name["c"].most > by_name["c"].least
    assert by_name["c"].changed > 0
    text = str(report)
    assert text.startswith("speck2f: observed over 6 scan orders, 4 samples; other orders untried")
    assert "'a': exact" in text
    assert not {"guarantee", "proved", "always", "independent"} & set(text.lower().replace(",", "").split())


def test_a_class_that_changes_is_counted():
    shares = []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        network = chain(CHIP, rng, source=(2, 4, 4))
        x = random_input(network, rng, batch=12, rate=1.5)
        report = observe_orders(network, x)
        decided = [r.output.sum(axis=0) for r in simulate_orders(network, x, report.scans)]
        best = [np.where((d == d.max(1, keepdims=True)).sum(1) > 1, -1, d.argmax(1)) for d in decided]
        share = np.mean([len({b[s] for b in best}) > 1 for s in range(12)])
        assert report.reclassified == share
        shares.append(share)
    assert max(shares) > 0


def test_a_crossbar_has_two_orders_and_no_predicted_layer_where_it_feeds_itself():
    network = crossbar(chip_of(PLAIN), weights=np.diag([-1, -2, -3]))
    report = observe_orders(network, np.ones((3, 2, 2), int))
    assert len(report.scans) == 2
    assert not any(layer.predicted for layer in report.layers)


def test_one_order_shows_no_spread():
    network = chain(CHIP, np.random.default_rng(0))
    with pytest.raises(Refusal, match="1 order; at least two orders: a spread is a difference") as caught:
        observe_orders(network, random_input(network, np.random.default_rng(0)), orders=1)
    assert caught.value.code == "ND2001"


def test_verify_of_a_bundle_says_what_the_orders_changed(tmp_path):
    rng = np.random.default_rng(1)
    network = map_network(three_layers(CHIP, size=16)).network
    bundle(network, random_input(network, rng, rate=1), tmp_path / "b.nd")
    result = verify(tmp_path / "b.nd", orders=3)
    assert (result.exact, result.exit_status) == (True, 0)
    assert "observed over 3 scan orders" in str(result)
    assert len(result.to_json()["orders"]["scans"]) == 3
    assert verify(tmp_path / "b.nd", orders=0).orders is None


def test_verify_takes_as_many_samples_as_the_time_allows_and_says_so(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    network = map_network(three_layers(CHIP, size=16)).network
    given = random_input(network, rng, rate=1, batch=7)
    bundle(network, given, tmp_path / "b.nd")
    met = np.cumsum(simulate(network, given, drain=0).meetings)
    for budget, samples in ((4 * met[2], 3), (4 * met[2] - 1, 2), (0, 1), (10**9, 7)):
        monkeypatch.setattr(verification, "ORDERS_BUDGET", dict.fromkeys(("numpy", "numba"), budget))
        result = verify(tmp_path / "b.nd", orders=4)
        shown = f"4 scan orders, {samples} of 7 samples;" if samples < 7 else "4 scan orders, 7 samples;"
        assert shown in str(result)
        few = {n: v[:, :samples] for n, v in given.items()}
        assert result.orders.layers == observe_orders(network, few, orders=4).layers


@pytest.mark.slow  # .ci/run has it
def test_scan_and_order_are_options_of_the_commands(tmp_path):
    rng = np.random.default_rng(3)
    network = map_network(three_layers(CHIP, size=8)).network
    x = random_input(network, rng, steps=4, batch=2, rate=2)["in"]
    save_network(network, tmp_path / "n.npz")
    save_data(tmp_path / "x.npz", data(x, layout="time,batch,channel", dt_s=1e-3))
    for scan, order in ((None, None), ("-kx,f,ky", "depth")):
        options = [] if scan is None else ["--scan", scan, "--order", order]
        shown = run("simulate", tmp_path / "n.npz", tmp_path / "x.npz", *options, "--json").json
        made = simulate(network, x, scan=scan and scan.split(","), order=order)
        assert shown["events"] == {g: int(v.sum()) for g, v in made.counts.items()}
        assert (shown["order"], shown["scan"]) == (order or "breadth", {"convolve": scan or "f,ky,kx"})
        assert shown["synaptic_operations"] == made.meetings.sum()
    assert "scan of convolve" in run("simulate", tmp_path / "n.npz", tmp_path / "x.npz").out
    refused("ND1303", 2, "simulate", tmp_path / "n.npz", tmp_path / "x.npz", "--scan", "ky,kx")
    bundle(network, x, tmp_path / "b.nd")
    assert "observed over 3 scan orders" in run("verify", tmp_path / "b.nd", "--orders", 3).out
    assert "observed" not in run("verify", tmp_path / "b.nd", "--orders", 0).out
    refused("ND2001", 2, "verify", tmp_path / "b.nd", "--orders", 1)

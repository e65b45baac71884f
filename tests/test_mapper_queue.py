"""Spikes that a queue loses are a failure of mapping, with the rate that avoids them."""

import numpy as np
import pytest
import torch
from command_line import run

from neurodeploy import chip, convert, data, save_data, simulate
from neurodeploy.errors import DoesNotFit
from neurodeploy.layers import IAF
from neurodeploy.mapper import queue_faults
from neurodeploy.mapper.queue import thinned
from neurodeploy.network import Network, Projection, group, place_identity, projection, save_network

CHIP = chip("tinyodin")


def burst(size, threshold=7):
    """One line that makes all neurons but the last fire at once, each of which inhibits the last."""
    lines = group(CHIP, "in", "row_input", 1)
    units = group(CHIP, "u", "unit", size + 1, threshold=threshold, leak=7)
    into = projection(CHIP, "row", lines, units, w=np.array([[7] * size + [0]]))
    own = Projection("unit_row", "u", "u", np.arange(size), np.full(size, size), {"w": np.full(size, -1)}, {})
    return place_identity(Network(CHIP, (lines, units), (into, own)))


def test_the_queue_holds_what_it_holds_and_one_spike_more_is_a_fault():
    one = np.ones((1, 2, 1), int)
    assert queue_faults(burst(127), one) == []
    (fault,) = queue_faults(burst(128), one)
    assert fault.code == "ND1801"
    assert "2 spikes lost in 2 of 2 samples; at most 128 events that wait, with the one at work" in str(fault)
    assert "raise thresholds or weaken loops" in str(fault)


def test_the_rate_that_avoids_losses_is_found_and_loses_nothing():
    network = burst(140, threshold=14)  # two events in a step are too many, as the leak takes the first away
    counts = np.full((16, 1, 1), 2)
    (fault,) = queue_faults(network, counts)
    assert fault.values["share"] == 0.5
    assert "or send fewer events: at 50% of them, 1 in a step, none was lost" in str(fault)
    assert simulate(network, thinned(counts, 0.5), drain=0).lost.sum() == 0
    assert simulate(network, thinned(counts, 0.5625), drain=0).lost.sum() > 0


def test_thinning_keeps_the_share_of_each_channel_evenly():
    counts = np.random.default_rng(0).integers(0, 5, (40, 3, 2))
    half = thinned(counts, 0.5)
    assert np.array_equal(half.sum(axis=0), counts.sum(axis=0) // 2)
    assert half.min() >= 0
    assert (half <= counts).all()


@pytest.mark.parametrize("name", ["speck2f", "loihi1"])
def test_a_chip_whose_queue_loses_nothing_has_no_such_fault(name):
    other = chip(name)
    empty = Network(other, (), ())
    assert queue_faults(empty, np.zeros((1, 1, 1), int)) == []


def model(threshold):
    options = {"reset": "zero", "comparison": ">=", "max_spikes": None}
    layers = torch.nn.Sequential(
        torch.nn.Linear(4, 140, bias=False),
        IAF(140, threshold=threshold, **options),
        torch.nn.Linear(140, 3, bias=False),
        IAF(3, threshold=20.0, **options),
    )
    for layer in (layers[0], layers[2]):
        layer.weight.data.fill_(1.0)
    return layers


@pytest.mark.slow  # .ci/run has it
def test_a_conversion_that_would_lose_spikes_on_its_calibration_data_is_refused():
    counts = np.ones((3, 2, 4), int)
    with pytest.raises(DoesNotFit, match="spikes lost in 2 of 2 samples"):
        convert(model(1.0), CHIP, calibration=counts)
    converted = convert(model(1.0), CHIP)  # nothing is known of the input then: a run counts what it loses
    assert simulate(converted.network, counts).lost.min() > 0
    quiet = model(1.0)
    quiet[0].weight.data[100:] = 0.05
    assert simulate(convert(quiet, CHIP, calibration=counts).network, counts).lost.sum() == 0


def test_the_command_that_simulates_says_what_was_lost(tmp_path):
    save_network(burst(128), tmp_path / "net.npz")
    save_data(tmp_path / "data.npz", data(np.ones((2, 3, 1), int), layout="time,batch,channel", dt_s=1e-3))
    answer = run("simulate", tmp_path / "net.npz", tmp_path / "data.npz", "--json")
    assert answer.json["lost_spikes"] == 6
    assert "lost_spikes" in run("simulate", tmp_path / "net.npz", tmp_path / "data.npz").out.replace(" ", "_")

"""What a simulation is given: never changed, never changed behind a result's back, and counted where it must be."""

import numpy as np
import pytest
from event_chip import PLAIN, chip_of, crossbar
from event_networks import same
from random_networks import random_network

import neurodeploy as nd
from neurodeploy.errors import Refusal
from neurodeploy.simulator import EXECUTORS, Stimulus, simulate

STEPS, CAP = 6, 100


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("dtype", [np.int64, np.int16, np.uint8])
def test_a_result_keeps_its_input_though_it_is_changed_later(executor, dtype):
    rng = np.random.default_rng(1)
    network = random_network(nd.chip("xylo_audio2"), rng)
    (name,) = (g.name for g in network.inputs())
    x = rng.integers(0, 3, (STEPS, 2, network.group(name).size)).astype(dtype)
    before = x.copy()
    run = simulate(network, x, executor=executor)
    assert (x == before).all()
    x[:] = 0
    assert (run.input[name] == before).all()
    assert run.input[name].dtype == np.int64
    assert same(run, simulate(network, before, executor="reference"))


def events(neurons, steps=STEPS):
    """All in step 2 of one sample."""
    neuron = np.array(neurons, np.int64)
    return Stimulus(steps, 1, np.full(len(neuron), 2), np.zeros(len(neuron), np.int64), neuron)


def test_events_are_counted_where_a_channel_might_get_more_than_the_chip_allows():
    network = crossbar(chip_of(PLAIN), np.zeros((3, 3), np.int64))
    size = network.inputs()[0].size
    assert network.chip.neurons["line"].entry.external.allowed.high == CAP
    with pytest.raises(Refusal, match=f"{CAP + 1} events at step 2, sample 0, channel 1") as caught:
        simulate(network, events([1] * (CAP + 1)))
    assert caught.value.faults[0].code == "ND1302"
    spread = events([0, 1] * CAP)
    for stimulus in (spread, events([1] * CAP)):
        run = simulate(network, stimulus)
        dense = stimulus.counts(network.inputs())
        assert {n: v.tolist() for n, v in run.input.items()} == {n: v.tolist() for n, v in dense.items()}
    for wrong in ([size], [-1]):
        with pytest.raises(Refusal, match=rf"neuron from {wrong[0]} to {wrong[0]}; 0\.\.{size - 1}"):
            simulate(network, events(wrong))

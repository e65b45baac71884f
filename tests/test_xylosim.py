from dataclasses import replace

import numpy as np
import pytest
from executor_names import CLOCKED
from random_networks import Options, random_counts, random_network

from neurodeploy.chips import chip, target_folders
from neurodeploy.oracles import oracle
from neurodeploy.simulator import simulate

CHIPS = [name for name in target_folders() if "xylosim" in chip(name).oracles]
EACH = 10  # networks of each family and chip in the default run
NO_BIAS, ONE_SYNAPSE = {"bias": (0, 0)}, {"w2": (0, 0)}
FAMILIES = {
    "plain": Options(narrow=NO_BIAS | ONE_SYNAPSE, without=frozenset({"rec", "alias"})),
    "two synapses": Options(narrow=NO_BIAS, without=frozenset({"rec", "alias"})),
    "recurrent": Options(narrow=NO_BIAS | {"threshold": (1, 2000)}, without=frozenset({"alias"})),
    "alias": Options(narrow={"threshold": (1, 2000)}, hidden=(2, 23)),
    "alias chains": Options(narrow={"threshold": (1, 500), "bias": (-50, 400)}, links=(0, 3), hidden=(3, 12)),
    "bias": Options(narrow={"bias": (-32768, 32767)}, without=frozenset({"alias"}), corners=0.2),
    "shift": Options(narrow={"shift": (4, 15)}, without=frozenset({"alias"})),
    "saturation": Options(narrow={"shift": (6, 9), "w1": (-128, 127)}, rates=(3, 12), corners=0.3),
    "multi-spike": Options(narrow={"threshold": (1, 20), "shift": (0, 3)}, rates=(0.5, 3)),
    "placed": Options(groups=3, hidden=(1, 9), inputs=(1, 4), outputs=(1, 3), doubled=0.2),
    "corners": Options(corners=0.7),
    "everything": Options(links=(0, 2), corners=0.2, doubled=0.05),
}


def compared(network, counts, executor="numpy"):
    """Compare every count and every state of every step with xylosim; what was compared, as numbers."""
    trace = oracle("xylosim").run(network, counts)
    record = [f"{g}.{s}" for g, states in trace.states.items() for s in states]
    run = simulate(network, counts, record=record, drain=0, raw=True, executor=executor)
    seen = {"values": 0, "spiking cells": 0, "multi-spike cells": 0, "cells at a rail": 0}
    for group, expected in trace.counts.items():
        np.testing.assert_array_equal(run.counts[group], expected, err_msg=f"{group}, spikes")
        seen["values"] += expected.size
        seen["spiking cells"] += int((expected > 0).sum())
        seen["multi-spike cells"] += int((expected > 1).sum())
        for state, values in trace.states[group].items():
            np.testing.assert_array_equal(run.states[group][state], values, err_msg=f"{group}.{state}")
            interval = network.chip.neurons[network.group(group).kind].states[state].interval
            seen["values"] += values.size
            seen["cells at a rail"] += int(((values == interval.low) | (values == interval.high)).sum())
    return seen


def differential(name, family, seeds, count):
    """Compare one random network for each seed; some neuron must have fired."""
    totals = {}
    for seed in seeds:
        rng = np.random.default_rng([list(FAMILIES).index(family), CHIPS.index(name), seed])
        network = random_network(chip(name), rng, FAMILIES[family])
        counts = random_counts(network, rng, FAMILIES[family])
        for key, number in compared(network, counts).items():
            totals[key] = totals.get(key, 0) + number
    assert totals["spiking cells"] > 10 * len(seeds)
    count("random networks equal to xylosim", len(seeds))
    for key, number in totals.items():
        count(f"random networks equal to xylosim: {key}", number)
    return totals


@pytest.mark.oracle("xylosim")
@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("family", FAMILIES)
def test_random_networks_equal_xylosim_in_every_spike_and_state(name, family, count):
    totals = differential(name, family, range(EACH), count)
    if family == "multi-spike":
        assert totals["multi-spike cells"] > 100
    if family == "saturation":
        assert totals["cells at a rail"] > 100


@pytest.mark.oracle("xylosim")
@pytest.mark.parametrize("executor", CLOCKED)
@pytest.mark.parametrize("name", CHIPS)
def test_every_executor_equals_xylosim(name, executor):
    options = Options(links=(0, 2), corners=0.3, hidden=(4, 8), steps=(12, 16), batch=1, groups=2)
    seen = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        network = random_network(chip(name), rng, options)
        seen += compared(network, random_counts(network, rng, options), executor)["spiking cells"]
    assert seen > 100


@pytest.mark.oracle("xylosim")
def test_a_weight_that_is_off_by_one_is_a_difference():
    options = Options(
        inputs=(2, 2),
        density=(1, 1),
        corners=0,
        narrow={"shift": (0, 0), "w1": (1, 50), "dash_syn1": (3, 5)},
        rates=(0.5,),
    )
    rng = np.random.default_rng(0)
    network = random_network(chip(CHIPS[0]), rng, options)
    counts = random_counts(network, rng, options)
    first = network.projections[0]
    other = replace(first, fields=first.fields | {"w1": first.fields["w1"] + (first.targets == 0)})
    trace = oracle("xylosim").run(network, counts)
    run = simulate(
        replace(network, projections=(other, *network.projections[1:])), counts, record=["hidden.i1"], drain=0, raw=True
    )
    differing = np.flatnonzero((run.states["hidden"]["i1"] != trace.states["hidden"]["i1"]).any(axis=(0, 1)))
    assert 0 in differing


@pytest.mark.long  # six minutes
@pytest.mark.oracle("xylosim")
@pytest.mark.parametrize("name", CHIPS)
@pytest.mark.parametrize("family", FAMILIES)
def test_ten_thousand_random_networks_equal_xylosim(name, family, count):
    differential(name, family, range(EACH, EACH + -(-10_000 // (len(CHIPS) * len(FAMILIES)))), count)


def test_the_default_run_compares_at_least_300_networks():
    assert len(CHIPS) * len(FAMILIES) * EACH >= 300

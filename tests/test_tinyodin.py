"""An open core of the event-driven sort: recordings of its RTL, and straight loops, in every spike, state and loss."""

import os
from pathlib import Path

import numpy as np
import pytest
from crossbar_networks import Recording, computed, drawn
from executor_names import EVENT
from straight_crossbar import Crossbar

from neurodeploy.chips import chip

CHIP = chip("tinyodin")
RECORDINGS = sorted(Path(os.environ.get("NEURODEPLOY_DATA", "")).glob("tinyodin/*.npz"))


def straight(recording):
    core = Crossbar(recording.words, recording.weights, recording.last, alone=recording.alone)
    core.run(recording.events)
    return core


@pytest.mark.shared_data
@pytest.mark.parametrize("executor", EVENT)
def test_recordings_of_the_rtl_are_reproduced_in_every_spike_and_final_state(executor, count):
    assert len(RECORDINGS) == 4
    for path in RECORDINGS:
        with np.load(path, allow_pickle=False) as file:
            known = dict(file)
        assert int(known["aer_src_ctrl"]) == 0
        recording = Recording(
            known["neur"], known["W"], int(known["max_neur"]), bool(known["open_loop"]), known["events"]
        )
        spikes, v, lost = computed(CHIP, recording, executor)
        theirs = [tuple(pair) for pair in known["spikes"].tolist()]
        assert len(theirs) > 4
        assert [n for _, n in spikes] == [n for _, n in theirs]
        if known["host_waits_idle"].all():  # only then it is known which word a spike belongs to
            assert spikes == theirs
        words = known["neur_final"].astype(np.int64)
        assert [x & 0xFFF for x in v] == (words & 0xFFF).tolist()
        assert lost == int(known["dropped"])
        core = straight(recording)
        assert (core.spikes, core.final_words(), core.lost) == (spikes, words.tolist(), lost)
        count(f"spikes and final states of the RTL reproduced in {executor}", len(theirs) + len(words))


@pytest.mark.slow  # .ci/run has it
def test_drawn_cores_are_equal_to_straight_loops_in_every_spike_state_and_loss(count):
    compared, lost, ticked, endless = 0, 0, 0, 0
    for seed in range(13):
        recording = drawn(np.random.default_rng(seed))
        core = straight(recording)
        if core.endless:
            endless += 1
            continue
        found = [computed(CHIP, recording, executor) for executor in EVENT if executor != "reference"]
        for spikes, v, drops in found:
            assert spikes == core.spikes
            assert v == core.v
            assert drops == core.lost
        compared += len(core.spikes)
        lost += core.lost
        ticked += sum(recording.events[word] == 0x1FF for word, _ in core.spikes)
    assert endless < 4
    assert min(compared, lost, ticked) > 0
    count("spikes of drawn cores equal to straight loops", compared)
    count("lost spikes of drawn cores equal to straight loops", lost)

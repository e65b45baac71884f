"""A board driven through a stand-in of samna as a device: recorded, verified, and what it cannot be asked for."""

from dataclasses import replace

import numpy as np
import pytest
from layer_networks import chain
from samna_layers_boards import package
from samna_layers_stand_in import Clock
from samna_layers_stand_in import Device as Board
from test_emit_samna_layers_board import quiet, real

from neurodeploy.bundles.recorded import compare_recording
from neurodeploy.devices import SamnaBoard, record
from neurodeploy.errors import Missing, Refusal

RATE = 0.2  # the stand-in computes every synapse in plain Python

assert real  # a fixture of every test here: a package that counts as the real samna


def network(dt_s=0.01):
    return replace(quiet(chain()), dt_s=dt_s)


def driven():
    rng = np.random.default_rng(0)
    return {g.name: (rng.random((2, 1, g.size)) < RATE).astype(np.int64) for g in network().inputs()}


def session(warm_up=0, **line):
    clock = Clock()
    board = Board(clock, **line)
    device = SamnaBoard(network(), samna_module=package(device=board), clock=clock)
    return record(network(), driven(), device, warm_up=warm_up, timeout_s=5.0, attempts=2), board


def compared(recording):
    return compare_recording(network(), driven(), recording, executor="auto")[0]


def test_a_board_is_configured_anew_before_every_sample_and_its_spikes_equal_the_simulation():
    recording, board = session(warm_up=1)
    assert board.calls.count("soft reset") == 2, "the warm-up, and the sample"
    assert recording.complete
    assert (recording.about.grade, recording.about.firmware) == ("silicon", "unknown")
    assert recording.about.sdk.startswith("samna ")
    found = compared(recording)
    assert found.exact, str(found)
    assert found.spikes > 5


@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize(("line", "words"), [({"lose": 0.4}, " lost, the first at"), ({"double": 0.4}, " too many")])
def test_what_the_line_loses_or_doubles_is_named(line, words):
    recording, _ = session(**line)
    found = compared(recording)
    assert not found.exact
    assert words in str(found)


def test_a_board_that_never_falls_silent_is_not_finished():
    recording, _ = session(babble=True)
    assert [(note.complete, note.attempts) for note in recording.notes] == [(False, 2)]
    assert not compared(recording).exact


@pytest.mark.parametrize("dt_s", [None, 1e-7, 1.5e-6])
def test_a_step_must_be_whole_microseconds(dt_s):
    with pytest.raises(Refusal, match="whole microseconds: set dt_s") as caught:
        SamnaBoard(network(dt_s), samna_module=package(device=Board(Clock())))
    assert caught.value.code == "ND1902"


def test_a_board_that_is_not_there_is_missing():
    with pytest.raises(Missing, match="samna sees"):
        SamnaBoard(network(), "Speck2fDevKit:7", samna_module=package(device=Board(Clock())))

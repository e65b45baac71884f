"""Boards with clocked chips through a stand-in of samna: recorded, verified; a line that loses and reorders."""

from dataclasses import replace

import numpy as np
import pytest
from command_line import run
from samna_layers_stand_in import Clock
from samna_networks import small_network
from samna_stepped_stand_in import BOARDS, Board, samna
from test_devices_exchange import loihi
from test_emit_samna_layers_board import real

from neurodeploy import devices
from neurodeploy.bundles import bundle
from neurodeploy.bundles.recorded import compare_recording
from neurodeploy.chips import chip, from_raw, target_folders
from neurodeploy.devices import SteppedBoard, load_recording, open_device, record, save_recording
from neurodeploy.emit.samna import samna_table
from neurodeploy.errors import Missing, Refusal

TABLES = {name: chip(name).file.emit.get("samna") for name in target_folders()}
DRIVEN = [name for name, table in TABLES.items() if table and "board" in table]
STEPS, DRAIN = 6, 2

assert real  # a fixture of every test here: a package that counts as the real samna


def driven(network, samples=2):
    rng = np.random.default_rng(1)
    return {g.name: rng.integers(0, 4, (STEPS, samples, g.size)) for g in network.inputs()}


def session(chip_name="xylo_audio3", samples=2, warm_up=0, attempts=2, **line):
    network, clock = small_network(chip_name), Clock()
    board = Board(network, clock, **line)
    device = SteppedBoard(network, samna_module=samna(chip_name, board), clock=clock)
    given = driven(network, samples)
    options = {"warm_up": warm_up, "drain": DRAIN, "timeout_s": 5.0, "attempts": attempts}
    recording = record(network, given, device, **options)
    return recording, board, lambda: compare_recording(network, given, recording, executor="auto")[0]


def notes(recording):
    return [(n.complete, n.attempts, n.trouble) for n in recording.notes]


def test_the_boards_that_are_known_are_driven():
    assert sorted(BOARDS) == DRIVEN
    assert [samna_table(chip(name)).board.names for name in DRIVEN] == [(BOARDS[name],) for name in DRIVEN]


@pytest.mark.parametrize("trailing", [False, True])
@pytest.mark.parametrize("chip_name", DRIVEN)
def test_a_board_is_configured_anew_before_every_sample_and_its_spikes_equal_the_simulation(chip_name, trailing):
    recording, board, compared = session(chip_name, samples=3, warm_up=1, trailing=trailing)
    assert board.calls.count("configure") == 4, "the warm-up, and the samples"
    assert notes(recording) == [(True, 1, "")] * 3
    assert [note.stale + note.strange for note in recording.notes] == [0, 0, 0]
    about = recording.about
    assert (about.name, about.grade, about.firmware) == (
        f"{BOARDS[chip_name]}:0",
        "silicon",
        "fxtree 0.11.5, unifirm 1.4.0",
    )
    assert about.sdk.startswith("samna ")
    assert compared().exact, str(compared())
    assert compared().spikes > 10


def test_without_a_new_configuration_the_states_of_the_last_sample_are_found():
    """A test of the test: the made-up board keeps what it holds."""
    network, clock = small_network(), Clock()
    board = Board(network, clock)
    device = SteppedBoard(network, samna_module=samna("xylo_audio3", board), clock=clock)
    device.reset()
    device.reset = lambda: None
    given = driven(network)
    recording = record(network, given, device, warm_up=0, drain=DRAIN, timeout_s=5.0)
    assert recording.complete
    found = compare_recording(network, given, recording, executor="auto")[0]
    assert found.difference.sample == 1


def test_counts_come_from_the_host_alone():
    _, board, _ = session("xylo_audio3")
    assert board.config.input_source.name == "SpikeEvents"
    _, board, _ = session("xylo_imu")
    assert board.config.imu_if_input_enable is False
    assert "imu_if_input_enable" in board.config.filled
    assert board.calls[0] == ("manual", True)
    assert board.config.debug.ram_power_enable is True


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"lose": (3,)}, "1 readout lost or too late, the first of step 3; nothing more in 5 s"),
        ({"lose": (7, 2)}, "2 readouts lost or too late, the first of step 2; nothing more in 5 s"),
        ({"double": (4, 5)}, "2 readouts doubled, the first of step 4"),
        ({"delay": {5: 60.0}}, "1 readout lost or too late, the first of step 5; nothing more in 5 s"),
        ({"mute": True}, "8 readouts lost or too late, the first of step 0; nothing more in 5 s"),
        ({"deaf": True}, "the board does not say at which step it stands: nothing more in 5 s"),
        ({"outputs": 2}, "8 readouts with too few neurons"),
        ({"breaks": 3}, "the board does not say at which step it stands: OSError: the cable is out"),
    ],
)
def test_a_sample_without_every_readout_once_is_not_finished(line, words):
    recording, _, compared = session(samples=1, **line)
    assert notes(recording) == [(False, 2, words)]
    found = compared()
    assert not found.exact
    assert f"not finished in 2 attempts: {words}" in str(found)


def test_a_readout_that_comes_too_late_spoils_the_next_run_and_not_the_one_after_it():
    late = {"delay": {5: 5.15, 6: 5.1}, "wrong": 1}
    recording, _, _ = session(samples=1, attempts=2, **late)
    assert notes(recording) == [(False, 2, "2 readouts of an earlier step")]
    assert recording.notes[0].stale == 2
    recording, _, compared = session(samples=1, attempts=3, **late)
    assert notes(recording) == [(True, 3, "")]
    assert compared().exact


def test_readouts_out_of_order_are_told_and_stand_at_their_step():
    recording, _, compared = session(samples=1, swap=(2,), delay={6: 1.0})
    assert notes(recording) == [(True, 1, "2 readouts out of order, the first of step 2")]
    assert len(recording.arrived[0]) > 10
    (note,) = recording.notes
    assert note.backward > 0
    found = compared()
    assert not found.exact
    assert "arrived after one of a later step" in str(found)


def test_a_readout_of_no_step_of_the_sample_is_strange():
    recording, _, _ = session(samples=1, stray=1)
    assert (recording.notes[0].complete, recording.notes[0].strange) == (True, 1)


def test_neurons_that_the_network_does_not_have_are_strange():
    class Larger(Board):
        def line(self, readouts):
            for readout in readouts:
                readout.output_spikes += [0, 1]
            return super().line(readouts)

    network, clock = small_network(), Clock()
    device = SteppedBoard(network, samna_module=samna("xylo_audio3", Larger(network, clock)), clock=clock)
    recording = record(network, driven(network, 1), device, warm_up=0, drain=0, timeout_s=5.0)
    assert recording.notes[0].strange == STEPS


@pytest.mark.parametrize("refusals", [2, 3])
def test_a_configuration_is_tried_three_times(refusals):
    if refusals < 3:
        assert session(samples=1, refusals=refusals)[0].complete
        return
    with pytest.raises(Refusal, match="not taken in 3 attempts, the last: RuntimeError: timeout") as refused:
        session(samples=1, refusals=refusals)
    assert refused.value.code == "ND1902"


@pytest.mark.parametrize("network", [lambda: small_network("xylo_audio2"), loihi], ids=["older", "other maker"])
def test_a_clocked_chip_without_the_data_is_recorded_through_files(network):
    with pytest.raises(Refusal, match="record through two csv files: --device csv:FOLDER") as refused:
        open_device(network(), "samna:")
    assert refused.value.code == "ND1902"


@pytest.mark.parametrize("chip_name", DRIVEN)
def test_a_board_is_opened_by_its_id_and_given_back(chip_name, monkeypatch):
    network = small_network(chip_name)
    board = Board(network, Clock())
    stand_in = samna(chip_name, board, ("Speck2fDevKit", BOARDS[chip_name], BOARDS[chip_name]))
    monkeypatch.setattr("neurodeploy.emit.samna.fill.importlib.import_module", lambda _: stand_in)
    device = open_device(network, f"samna:{BOARDS[chip_name]}:1")
    device.close()
    device.close()
    assert stand_in.opened == [f"{BOARDS[chip_name]}:1", ("closed", board)]
    with pytest.raises(Missing, match=f"a free board {BOARDS[chip_name]}:2"):
        open_device(network, f"samna:{BOARDS[chip_name]}:2")
    with pytest.raises(Refusal, match=f"samna:{BOARDS[chip_name]}:0"):
        open_device(network, "nothing")


def test_what_samna_lacks_or_refuses_is_named():
    network = small_network()
    busy = samna("xylo_audio3")
    with pytest.raises(Refusal, match="not opened: RuntimeError: XyloAudio3TestBoard:0 is busy"):
        SteppedBoard(network, samna_module=busy)
    busy.xyloAudio3.validate_configuration = lambda _: (False, "too many neurons")
    with pytest.raises(Refusal, match="too many neurons; a configuration that samna takes"):
        SteppedBoard(network, samna_module=busy)
    del busy.xyloAudio3.event.Readout, busy.xyloAudio3.event.TriggerReadout
    with pytest.raises(Refusal) as refused:
        SteppedBoard(network, samna_module=busy)
    assert all(name in str(refused.value) for name in ("'Readout'", "'TriggerReadout'"))


def test_a_board_that_breaks_while_it_is_opened_is_given_back(monkeypatch):
    network = small_network("xylo_imu")
    board = Board(network, Clock())
    monkeypatch.delattr(Board, "enable_manual_input_acceleration")
    stand_in = samna("xylo_imu", board)
    with pytest.raises(Refusal, match="not opened: AttributeError"):
        SteppedBoard(network, samna_module=stand_in)
    assert stand_in.opened[-1] == ("closed", board)


def test_a_board_that_tells_no_firmware_is_unknown(monkeypatch):
    monkeypatch.delattr(Board, "get_firmware_versions")
    assert session(samples=1)[0].about.firmware == "unknown"


def test_an_entry_that_the_configuration_lacks_is_a_fault_of_the_table():
    raw = dict(chip("xylo_imu").raw)
    emit = raw["emit"]["samna"]
    board = emit["board"] | {"given": {"input_source": "SpikeEvents"}}
    changed = from_raw(raw | {"emit": {"samna": emit | {"board": board}}})
    with pytest.raises(Refusal, match=r"emit.samna.board.given: found 'input_source'; one of debug, "):
        samna_table(changed)


def test_trouble_is_kept_and_a_recording_without_any_has_the_bytes_of_old(tmp_path):
    lost, _, _ = session(samples=1, lose=(3,))
    save_recording(lost, tmp_path / "a.npz")
    assert load_recording(tmp_path / "a.npz").notes == lost.notes
    assert "trouble" in lost.to_json()["samples"][0]
    assert "trouble" not in replace(lost.notes[0], trouble="").to_json()


def test_the_command_says_what_went_wrong_on_the_way(tmp_path, monkeypatch):
    network, clock = small_network(), Clock()
    bundle(network, driven(network, 1)["mic"], tmp_path / "a.nd")
    device = SteppedBoard(network, samna_module=samna("xylo_audio3", Board(network, clock, lose=(3,))), clock=clock)
    monkeypatch.setattr(devices, "open_device", lambda *_: device)
    answer = run("record", tmp_path / "a.nd", "--device", "samna:", "-o", tmp_path / "r.npz", "--warm-up", "0")
    assert answer.status == 1
    assert "Sample s0: 1 readout lost or too late, the first of step 3" in answer.out

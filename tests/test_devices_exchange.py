"""A device behind two csv files, the recording of a real Loihi 2 read that way, evidence, and the commands."""

import csv
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import refused, run
from simulated_device import SimulatedDevice
from xylo_networks import events, small, with_parameter

from neurodeploy.bundles import bundle, load_bundle, verify
from neurodeploy.bundles.evidence import add_evidence
from neurodeploy.bundles.recorded import compare_recording
from neurodeploy.chips import chip
from neurodeploy.devices import Exchange, load_recording, open_device, record, save_recording
from neurodeploy.errors import Differs, Missing, Refusal
from neurodeploy.golden import check_golden, differences, read_golden
from neurodeploy.network import Network, group, identity, place_identity, projection
from neurodeploy.simulator import shown, simulate

HEAD = {"device": "my board", "firmware": "0.9", "sdk": "my sdk 3", "grade": "silicon", "groups": "hid | out"}


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def now(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


def rows_of(path):
    """The lines of comment, and the rows as dictionaries."""
    lines = path.read_text().splitlines()
    told = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    return told, list(csv.DictReader(line for line in lines if not line.startswith("#")))


def board_program(folder, network, *, states=("v",), head=None, edit=lambda rows: rows):
    """What a board's own program does: read input.csv, run each sample from a reset, write output.csv."""
    told, rows = rows_of(folder / "input.csv")
    found = []
    for name in dict.fromkeys(row["sample"] for row in rows):
        mine = [row for row in rows if row["sample"] == name]
        steps = next(int(row["step"]) for row in mine if row["what"] == "end")
        given = {g.name: np.zeros((steps, 1, g.size), int) for g in network.inputs()}
        for row in mine:
            if row["what"] == "event":
                given[row["group"]][int(row["step"]), 0, int(row["neuron"])] += int(row["value"])
        made = simulate(network, given, record=[f"hid.{s}" for s in states], drain=0)
        for t in range(steps):
            for g in ("hid", "out"):
                fired = np.flatnonzero(made.counts[g][t, 0])
                found += [(name, t, "event", g, n, made.counts[g][t, 0, n]) for n in fired]
            for s in states:
                found += [(name, t, s, "hid", n, v) for n, v in enumerate(made.states["hid"][s][t, 0])]
        found.append((name, steps, "end", "", "", ""))
    lines = [f"# {k}: {v}" for k, v in ({"session": told["session"]} | HEAD | (head or {})).items() if v is not None]
    lines += ["sample,step,what,group,neuron,value", *(",".join(map(str, row)) for row in edit(found))]
    (folder / "output.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path):
    """A bundle, and a folder for the exchange."""
    bundle(small(), events(samples=2), tmp_path / "a.nd")
    (tmp_path / "x").mkdir()
    return tmp_path


def ask(folder, timeout=1.0):
    loaded, clock = load_bundle(folder / "a.nd"), Clock()
    device = Exchange(loaded.network, folder / "x", now=clock.now, sleep=clock.sleep)
    return record(loaded.network, loaded.input, device, timeout_s=timeout)


def answered(folder, **options):
    with pytest.raises(Missing):
        ask(folder)
    board_program(folder / "x", small(), **options)
    return ask(folder)


# the exchange


def test_the_file_for_the_board_states_session_target_and_network_and_each_sample_from_reset_to_end(folder):
    with pytest.raises(Missing, match=r"run the board's program on .*input\.csv, then this command again"):
        ask(folder)
    told, rows = rows_of(folder / "x" / "input.csv")
    assert told["target"] == "xylo_audio3"
    assert told["network"] == identity(small())
    assert len(told["session"]) == 16
    assert list(dict.fromkeys(row["sample"] for row in rows)) == ["warm-up-0", "s0", "s1"]
    for name in ("warm-up-0", "s0", "s1"):
        mine = [row for row in rows if row["sample"] == name]
        assert (mine[0]["what"], mine[-1]["what"], mine[-1]["step"]) == ("reset", "end", str(13 + 2))
        assert {row["what"] for row in mine[1:-1]} == {"event"}
        steps = [int(row["step"]) for row in mine]
        assert steps == sorted(steps)
        assert sum(int(row["value"]) for row in mine[1:-1]) == events().sum()


def test_the_same_bundle_gives_the_same_session_and_another_input_another(folder):
    with pytest.raises(Missing):
        ask(folder)
    first = (folder / "x" / "input.csv").read_bytes()
    with pytest.raises(Missing):
        ask(folder)
    assert (folder / "x" / "input.csv").read_bytes() == first
    shutil.rmtree(folder / "a.nd")
    bundle(small(), events(samples=3), folder / "a.nd")
    with pytest.raises(Missing):
        ask(folder)
    assert rows_of(folder / "x" / "input.csv")[0]["session"] not in first.decode()


def test_an_answer_becomes_a_recording_that_equals_the_simulation(folder):
    recording = answered(folder, states=("v", "i1"))
    assert recording.about.made_by == "my board, firmware 0.9, my sdk 3"
    assert recording.about.grade == "silicon"
    assert [name for name, _ in recording.groups] == ["hid", "out"]
    assert set(recording.states["hid"]) == {"v", "i1"}
    save_recording(recording, folder / "rec.npz")
    result = verify(folder / "a.nd", against=str(folder / "rec.npz"))
    assert result.exact
    assert result.checks[-1].comparison.compared == 13 * 2 * (3 + 2 + 2 * 3)


def test_the_answer_to_an_older_input_is_not_taken(folder):
    answered(folder)
    shutil.rmtree(folder / "a.nd")
    bundle(small(), events(samples=3), folder / "a.nd")
    with pytest.raises(Missing, match=r"output\.csv answers session"):
        ask(folder)


def test_waiting_ends_at_the_time_that_was_given(folder):
    clock, loaded = Clock(), load_bundle(folder / "a.nd")
    device = Exchange(loaded.network, folder / "x", now=clock.now, sleep=clock.sleep)
    with pytest.raises(Missing, match="within 5 s") as caught:
        record(loaded.network, loaded.input, device, timeout_s=5.0)
    assert caught.value.exit_status == 3
    assert 5.0 <= clock.seconds < 5.5


def without_end(rows):
    return [row for row in rows if row[:1] + row[2:3] != ("s1", "end")]


def test_a_sample_without_its_end_is_not_finished(folder):
    recording = answered(folder, edit=without_end)
    assert [(n.id, n.complete, n.attempts) for n in recording.notes] == [("s0", True, 1), ("s1", False, 1)]


LAST = ("s1", 15, "end", "", "", "")
WRONG = {
    "an unknown sample": (("s9", 3, "event", "hid", 0, 1), "sample 's9' was not asked for"),
    "a step beyond the end": (("s0", 15, "event", "hid", 0, 1), "step '15'; 0..14"),
    "a negative step": (("s0", -1, "event", "hid", 0, 1), "step '-1'"),
    "an unknown group": (("s0", 3, "event", "deep", 0, 1), "group 'deep'; one of in, hid, out"),
    "an unknown neuron": (("s0", 3, "event", "hid", 3, 1), "neuron '3' of group 'hid'; 0..2"),
    "no number": (("s0", 3, "event", "hid", 0, "1.0"), "value '1.0'; a whole number"),
    "a number of forty digits": (("s0", 3, "v", "hid", 0, "9" * 40), "a whole number"),
    "more events than a machine counts": (
        ("s0", 3, "event", "hid", 0, 10**17),
        "0000 events of group 'hid'; 1 or more",
    ),
    "a quote that never ends": (('"s0', 3, "event", "hid", 0, 1), "1 columns"),
    "no event": (("s0", 3, "event", "hid", 0, 0), "0 events of group 'hid'; 1 or more"),
    "a group that is not reported": (("s0", 3, "event", "in", 0, 1), "1 events of group 'in'"),
    "an unknown state": (("s0", 3, "w", "hid", 0, 1), "what = 'w'"),
    "a state for the second time": (("s0", 3, "v", "hid", 0, 1), "v of neuron 0 at step 3 for the second time"),
    "an early end": (("s0", 9, "end", "", "", ""), "the sample ended after 9 steps; 15"),
    "too few columns": (("s0", 3), "2 columns; sample,step,what,group,neuron,value"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_row_that_cannot_be_is_refused_with_its_line(folder, name):
    row, words = WRONG[name]

    def edit(rows):
        place = next(i for i, r in enumerate(rows) if r[0] == "s0" and r[2] == "end")
        return [*rows[:place], row, *rows[place:]]

    with pytest.raises(Refusal) as caught:
        answered(folder, edit=edit)
    assert caught.value.code == "ND2301"
    assert "output.csv, line " in str(caught.value)
    assert words in str(caught.value)


def test_a_row_after_the_end_and_a_state_with_a_gap_are_refused(folder):
    with pytest.raises(Refusal, match="a row after the end of sample 's1'"):
        answered(folder, edit=lambda rows: [*rows, ("s1", 3, "event", "hid", 0, 1)])
    board_program(folder / "x", small(), edit=lambda rows: [r for r in rows if r[:5] != ("s0", 4, "v", "hid", 1)])
    with pytest.raises(Refusal, match=r"sample 's0': 44 values of hid\.v; 45: each neuron at each step"):
        ask(folder)


def test_all_wrong_rows_are_listed_up_to_a_number(folder):
    with pytest.raises(Refusal) as caught:
        answered(folder, edit=lambda rows: [("s0", 3, "event", "hid", 7, 1)] * 30 + rows)
    assert len(caught.value.faults) == 21
    assert "10 more lines like these" in str(caught.value)


@pytest.mark.parametrize("key", HEAD)
def test_what_the_board_does_not_state_is_asked_for(folder, key):
    with pytest.raises(Refusal, match=f"no line '# {key}: ...'"):
        answered(folder, head={key: None})


@pytest.mark.parametrize(("head", "words"), [({"grade": "gold"}, "grade 'gold'"), ({"groups": "deep"}, "group 'deep'")])
def test_what_the_board_states_wrongly_is_refused(folder, head, words):
    with pytest.raises(Refusal, match=words):
        answered(folder, head=head)


def test_devices_are_opened_by_their_id_and_unknown_ones_refused(tmp_path):
    assert isinstance(open_device(small(), f"csv:{tmp_path}"), Exchange)
    for name, words in (("usb:0", "one of csv:..., samna:..."), ("board", "no such device")):
        with pytest.raises(Refusal, match=words):
            open_device(small(), name)
    with pytest.raises(Refusal, match="no such folder"):
        open_device(small(), "csv:nowhere")
    with pytest.raises(Refusal, match="record through two csv files"):
        open_device(small("xylo_audio2"), "samna:")


# the commands


def test_the_command_records_and_verifies_and_tells_what_to_do_next(folder, monkeypatch):
    monkeypatch.chdir(folder)
    line = ("record", "a.nd", "--device", "csv:x", "-o", "rec.npz", "--timeout", "0.01")
    assert refused("ND9001", 3, *line).json["error"][0]["todo"].startswith("run the board's program on x")
    board_program(Path("x"), small())
    answer = run(*line)
    assert answer.status == 0
    assert answer.out.endswith("Written: rec.npz. Next: neurodeploy verify a.nd --against rec.npz\n")
    assert run(*line, "--json").json["device"]["firmware"] == "0.9"
    assert run("verify", "a.nd", "--against", "rec.npz").status == 0
    assert run("verify", "a.nd", "--against", "csv:x").status == 0
    board_program(Path("x"), with_parameter(small(), "hid", "threshold", 1, 101))
    assert run(*line).status == 0
    answer = run("verify", "a.nd", "--against", "rec.npz")
    assert answer.status == 1
    assert "group 'hid', neuron 1 (hardware id 1), sample 0, step 2" in answer.out
    board_program(Path("x"), small(), edit=without_end)
    answer = run(*line)
    assert (answer.status, load_recording("rec.npz").complete) == (1, False)
    assert "Not complete" in answer.out


# evidence


@pytest.fixture
def own_chip(tmp_path):
    """A folder of a chip that evidence may be added to."""
    shutil.copytree(chip("xylo_audio3").path, tmp_path / "audio3")
    return tmp_path / "audio3"


def save(folder, **line):
    network = load_bundle(folder / "a.nd").network
    device = SimulatedDevice(network, states=True, **line)
    save_recording(record(network, load_bundle(folder / "a.nd").input, device, sample_ids=["u", "w"]), folder / "r.npz")


def test_an_accepted_recording_becomes_golden_vectors_of_its_grade(folder, own_chip):
    save(folder)
    before = read_golden(own_chip).vectors
    found = add_evidence(
        folder / "a.nd", folder / "r.npz", name="board", claim="a small network on a board", folder=own_chip
    )
    golden = read_golden(own_chip)
    assert [v.name for v in golden.vectors] == [*(v.name for v in before), "board_u", "board_w"]
    vector = golden.vectors[-1]
    assert (vector.grade, vector.claim) == ("silicon", "a small network on a board")
    assert vector.made_by.startswith("stand-in board, firmware 1.4, stand-in 2.0, 20")
    assert found.values == 2 * 13 * (3 + 2 + 3 * 4 + 2 * 3)
    assert check_golden(chip(own_chip)) > found.values
    with pytest.raises(Refusal, match="vector 'board_u' is there"):
        add_evidence(folder / "a.nd", folder / "r.npz", name="board", claim="again", folder=own_chip)


def test_a_chip_whose_text_changes_no_longer_gives_the_evidence(folder, own_chip):
    save(folder)
    add_evidence(folder / "a.nd", folder / "r.npz", name="board", claim="c", folder=own_chip, samples=["u"])
    golden = read_golden(own_chip)
    wrong = {g: {s: v.copy() for s, v in many.items()} for g, many in golden.vectors[-1].views.items()}
    wrong["hid"]["v"][6, 0, 1] += 1
    (fault,) = differences(replace(golden.vectors[-1], views=wrong), "numpy", "the board")[0]
    assert "probe of v = " in str(fault)
    assert "at step 6, neuron 1; the board has" in str(fault)


@pytest.mark.parametrize(
    ("line", "options", "kind", "words"),
    [
        ({"grade": "vendor-simulator"}, {}, Refusal, "graded 'vendor-simulator' by its device; the answer of a chip"),
        ({"lose": (1,)}, {}, Differs, "lost"),
        ({"unfinished": 99}, {}, Refusal, "not finished"),
        ({}, {"samples": ["z"]}, Refusal, "sample 'z'; one of u, w"),
    ],
)
def test_what_is_no_evidence_is_refused_and_the_file_stays(folder, own_chip, line, options, kind, words):
    save(folder, **line)
    before = (own_chip / "golden.json").read_bytes()
    with pytest.raises(kind) as caught:
        add_evidence(folder / "a.nd", folder / "r.npz", name="b", claim="c", **({"folder": own_chip} | options))
    assert words in str(caught.value)
    assert (own_chip / "golden.json").read_bytes() == before


def test_the_command_adds_evidence(folder, own_chip):
    save(folder)
    line = ("targets", "add-evidence", folder / "r.npz", "--bundle", folder / "a.nd", "--name", "b", "--claim", "c")
    answer = run(*line, "--into", own_chip, "--sample", "w")
    assert answer.status == 0
    assert "b, graded silicon; " in answer.out
    assert read_golden(own_chip).vectors[-1].name == "b"
    (own_chip / "golden.json").unlink()
    shown_ = run(*line, "--into", own_chip, "--json").json
    assert (shown_["grade"], shown_["vectors"]) == ("silicon", ["b_u", "b_w"])
    assert read_golden(own_chip).grade == "silicon"


# a real chip


def loihi():
    """The neuron of the paper on NIR: lif_norse.nir as its script wrote it; see test_loihi_recordings.py."""
    target, alpha = chip("loihi2"), 0.0001 / 0.0025
    registers = {"du": 4095, "dv": int(alpha * 4095), "threshold": int(0.1 * 131071) >> 9}
    x, y = group(target, "x", "input", 1), group(target, "y", "lif", 1, **registers)
    link = projection(target, "dense", x, y, {"sign_mode": 2}, w=int(alpha * 256))
    return place_identity(Network(target, (x, y), (link,)))


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A bundle with the input of the recording, and the recording in the words of the exchange."""
    tmp_path = tmp_path_factory.mktemp("real")
    table = np.loadtxt(Path(os.environ["NEURODEPLOY_DATA"]) / "recordings" / "loihi2_lif.csv", delimiter=",")
    given, v, spikes = (table[:, i].astype(int) for i in range(3))
    bundle(loihi(), given[:, None, None], tmp_path / "neuron.nd")
    (tmp_path / "x").mkdir()
    network = load_bundle(tmp_path / "neuron.nd").network
    steps = len(given)
    options = {"warm_up": 0, "drain": 0, "timeout_s": 0.01}
    with pytest.raises(Missing):
        record(network, given[:, None, None], Exchange(network, tmp_path / "x"), **options)
    told, _ = rows_of(tmp_path / "x" / "input.csv")
    head = {"session": told["session"], "device": "Loihi 2", "firmware": "unknown", "sdk": "unknown"}
    lines = [f"# {k}: {v}" for k, v in (head | {"grade": "silicon", "groups": "y"}).items()]
    lines.append("sample,step,what,group,neuron,value")
    for t in range(steps):
        lines += [f"s0,{t},event,y,0,1"] * spikes[t] + [f"s0,{t},v,y,0,{v[t]}"]
    (tmp_path / "x" / "output.csv").write_text("\n".join([*lines, f"s0,{steps},end,,,"]) + "\n")
    save_recording(
        record(network, given[:, None, None], Exchange(network, tmp_path / "x"), **options), tmp_path / "loihi.npz"
    )
    return tmp_path


@pytest.mark.shared_data
def test_a_recording_of_a_real_chip_equals_the_simulation_as_its_probe_shows_it(real):
    result = verify(real / "neuron.nd", against=str(real / "loihi.npz"))
    assert result.exact, str(result)
    check = result.checks[-1]
    assert (check.comparison.compared, check.comparison.spikes, check.grade) == (2000, 4, "silicon")
    recording, network = load_recording(real / "loihi.npz"), loihi()
    states = simulate(network, recording.input, record=["y.v", "y.spike"], drain=0).states["y"]
    held = simulate(network, recording.input, record=[f"y.{s}" for s in network.chip.neurons["lif"].states], drain=0)
    probed = shown(network, "y", held.states["y"])["v"]
    assert np.array_equal(probed, recording.states["y"]["v"])
    assert not np.array_equal(states["v"], probed), "the register counts where the probe reads"


@pytest.mark.shared_data
@pytest.mark.parametrize(("register", "change"), [("dv", 1), ("threshold", 1), ("du", -8)])
def test_a_register_that_is_off_differs_from_the_real_chip_at_a_named_step(real, register, change):
    network = loihi()
    g = network.group("y")
    other = replace(g, parameters=dict(g.parameters) | {register: g.parameters[register] + change})
    changed = replace(network, groups=(network.groups[0], other))
    recording = load_recording(real / "loihi.npz")
    found, _, _ = compare_recording(changed, recording.input, recording, executor="numpy")
    assert not found.exact
    difference = found.difference
    assert (difference.group, difference.neuron) == ("y", 0)
    assert difference.sides[1] == "Loihi 2, firmware unknown, unknown"
    assert difference.line
    assert "the recording was made of another network" in difference.notes


@pytest.mark.shared_data
def test_the_recording_of_a_real_chip_becomes_a_golden_vector_graded_silicon(real, tmp_path):
    own = tmp_path / "loihi2"
    shutil.copytree(chip("loihi2").path, own)
    answer = run(
        *("targets", "add-evidence", real / "loihi.npz", "--bundle", real / "neuron.nd", "--into", own),
        *("--name", "paper_lif", "--claim", "1,000 steps of one neuron on a Loihi 2", "--json"),
    )
    assert answer.status == 0, answer.out + answer.err
    assert answer.json["values"] == 2000
    vector = read_golden(own).vectors[-1]
    assert (vector.name, vector.grade, list(vector.views["y"])) == ("paper_lif", "silicon", ["v"])
    assert check_golden(chip(own)) > 2000
    assert json.loads((own / "golden.json").read_text())["vectors"][-1]["views"]["y"]["v"][0][:3] == [0, 0, 0]

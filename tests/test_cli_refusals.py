"""Bad input of every kind to every command: a sentence with a stable code and an exit status, never a traceback."""

import sys

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from command_files import SAMNA, SIMULATE, VERIFY, changed, files, made, resign
from command_line import CHANNELS, CHIP, DT_S, SAMPLES, counts, data, model, refused, run

import neurodeploy as nd
from neurodeploy import npz
from neurodeploy.archive import read_arrays, write_arrays
from neurodeploy.bundles.content import GOLDEN_FORMAT

assert files  # a fixture of every test here: a copy of the good files
assert made


def without(files, *expected):
    """Nothing was written but what stood there before."""
    return {p.name for p in files.iterdir()} == {"model.safetensors", "data.npz", "bundle.nd", "folder", *expected}


CHECK = ("check", "model.safetensors", "--target", CHIP)
CONVERT = ("convert", "model.safetensors", "--target", CHIP, "--data", "data.npz", "--out", "new.nd")


@pytest.mark.parametrize("command", [CHECK, CONVERT, SIMULATE, VERIFY], ids=lambda c: c[0])
def test_the_commands_of_this_file_are_accepted_as_they_stand(command):
    assert run(*command).status == 0


# usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("frob",), "no such command 'frob'"),
        (("check",), "missing argument 'MODEL'"),
        (("check", "model.safetensors"), "missing option '--target'"),
        ((*CHECK, "--fast"), "no such option"),
        ((*CHECK, "more"), "got unexpected extra argument"),
        (("demo", "--seeds", "0"), "0 is not in the range x>=1"),
        (("demo", "--seeds", "two"), "'two' is not a valid integer"),
        (("demo", "--epochs", "-1"), "-1 is not in the range x>=1"),
        (("targets", "nope"), "no such command 'nope'"),
        (("targets", "show"), "missing argument 'NAME'"),
        (("verify",), "missing argument 'BUNDLE'"),
        (("simulate", "bundle.nd"), "missing argument 'DATA'"),
    ],
)
def test_wrong_usage_is_a_sentence_with_the_line_of_usage(arguments, words):
    answer = refused("ND9002", 2, *arguments)
    (fault,) = answer.json["error"]
    assert words in fault["was"]
    assert fault["must"].startswith("usage: neurodeploy")
    assert "--help" in fault["todo"]


# chips


@pytest.mark.parametrize(
    "command",
    [
        changed(CHECK, CHIP, "xylo_imo"),
        changed(CONVERT, CHIP, "xylo_imo"),
        ("targets", "show", "xylo_imo"),
        ("demo", "--target", "xylo_imo"),
    ],
    ids=lambda c: c[0],
)
def test_an_unknown_chip_is_answered_with_the_nearest(files, command):
    answer = refused("ND1104", 2, *command)
    assert "did you mean xylo_imu?" in answer.json["error"][0]["text"]
    assert without(files)


@pytest.mark.parametrize("command", [CHECK, CONVERT], ids=lambda c: c[0])
def test_a_chip_folder_without_a_chip_is_refused(command):
    refused("ND1101", 2, *changed(command, CHIP, "./folder"))


def test_a_chip_file_with_faults_lists_them_all(files):
    (files / "folder" / "chip.toml").write_text("schema_version = 1\nname = 3\nwhat = 1\n")
    answer = refused("ND1102", 2, "targets", "show", "folder")
    assert len(answer.json["error"]) >= 3
    assert len(answer.err.splitlines()) == len(answer.json["error"])


# files that are not there, folders, truncated, tampered with and foreign ones

FILES = [
    (CHECK, "model.safetensors"),
    (CONVERT, "model.safetensors"),
    (CONVERT, "data.npz"),
    (SIMULATE, "data.npz"),
    ((*CONVERT, "--calibration", "calibration.npz"), "calibration.npz"),
]
IDS = [f"{command[0]}-{name}" for command, name in FILES]


@pytest.mark.parametrize(("command", "name"), FILES, ids=IDS)
@pytest.mark.parametrize("what", ["missing", "folder", "empty", "text", "truncated", "below a file"])
def test_a_file_that_cannot_be_read_is_named(files, command, name, what):
    bad = files / f"bad{(files / name).suffix}"
    source = files / name if (files / name).exists() else files / "data.npz"
    if what == "folder":
        bad.mkdir()
    elif what == "below a file":
        bad = files / "data.npz" / "inner.npz"
    elif what != "missing":
        whole = source.read_bytes()
        bad.write_bytes({"empty": b"", "text": b"a letter to a friend", "truncated": whole[: len(whole) // 2]}[what])
    answer = refused("ND1401", 2, *changed(command, name, str(bad)))
    assert str(bad) in answer.json["error"][0]["where"]
    assert not (files / "new.nd").exists()


@pytest.mark.parametrize("what", ["missing", "data", "model", "pickle", "truncated", "tampered"])
def test_a_network_that_cannot_be_read_is_named(files, what):
    network = files / "bundle.nd" / "network.npz"
    bad = files / "bad.npz"
    content = {
        "data": (files / "data.npz").read_bytes(),
        "model": (files / "model.safetensors").read_bytes(),
        "pickle": b"\x80\x04N.",
        "truncated": network.read_bytes()[:-700],
    }
    if what == "tampered":
        arrays = npz.read_arrays(network)
        arrays["group1.threshold"] = arrays["group1.threshold"] + 1
        npz.write_arrays(bad, arrays)
    elif what != "missing":
        bad.write_bytes(content[what])
    code = {"pickle": "ND1402", "tampered": "ND1403"}.get(what, "ND1401")
    refused(code, 2, *changed(SIMULATE, "bundle.nd", str(bad)))


@pytest.mark.parametrize("suffix", ["pt", "pth", "safetensors"])
@pytest.mark.parametrize("command", [CHECK, CONVERT], ids=lambda c: c[0])
def test_a_pickled_model_is_answered_with_two_lines_and_never_loaded(files, command, suffix):
    torch.save({"weight": torch.ones(2)}, files / f"net.{suffix}")
    answer = refused("ND1402", 2, *changed(command, "model.safetensors", f"net.{suffix}"))
    lines = answer.json["error"][0]["todo"].splitlines()[1:3]
    assert lines == [
        f'    model.load_state_dict(torch.load("net.{suffix}", weights_only=True))',
        '    neurodeploy.save_model(model, "net.safetensors", dt_s=DT_S)',
    ]


def test_an_array_file_is_no_pickle_and_no_model():
    answer = refused("ND1401", 2, *changed(CHECK, "model.safetensors", "data.npz"))
    assert "an .npz file of arrays" in answer.json["error"][0]["was"]


def test_a_safetensors_file_of_somebody_else_is_refused(files):
    safetensors.torch.save_file({"w": torch.ones(2)}, files / "other.safetensors")
    answer = refused("ND1401", 2, *changed(CHECK, "model.safetensors", "other.safetensors"))
    assert "describes no layers" in answer.json["error"][0]["was"]


# values


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("command", [CHECK, CONVERT], ids=lambda c: c[0])
def test_weights_that_are_not_finite_are_refused(files, command, value):
    with safetensors.safe_open(files / "model.safetensors", framework="pt") as opened:
        tensors = {name: opened.get_tensor(name).clone() for name in opened.keys()}  # noqa: SIM118 - no mapping
        metadata = opened.metadata()
    tensors["0.weight"][2, 1] = value
    (files / "bad.safetensors").write_bytes(safetensors.torch.save(tensors, metadata=metadata))
    answer = refused("ND1604", 2, *changed(command, "model.safetensors", "bad.safetensors"))
    assert "0.weight" in answer.json["error"][0]["where"]


def test_a_time_constant_outside_the_grid_is_refused_with_the_range(files):
    nd.save_model(model(tau_mem=1e6), files / "slow.safetensors", dt_s=1e-3)
    answer = refused("ND1702", 2, *changed(CONVERT, "model.safetensors", "slow.safetensors"))
    assert "tau_mem" in answer.json["error"][0]["text"]
    assert without(files, "slow.safetensors")


def test_a_model_that_does_not_fit_is_status_1_with_every_reason(files):
    nd.save_model(model(hidden=129, classes=17), files / "large.safetensors", dt_s=1e-3)
    answer = refused("ND1801", 1, *changed(CONVERT, "model.safetensors", "large.safetensors"))
    assert len(answer.json["error"]) >= 3
    assert without(files, "large.safetensors")


def arrays_of(files):
    with np.load(files / "data.npz", allow_pickle=False) as loaded:
        return dict(loaded)


@pytest.mark.parametrize("command", [CONVERT, SIMULATE], ids=lambda c: c[0])
def test_data_without_a_layout_is_answered_with_both_lines(files, command):
    arrays = arrays_of(files)
    del arrays["layout"]
    np.savez(files / "bad.npz", **arrays)
    answer = refused("ND1501", 2, *changed(command, "data.npz", "bad.npz"))
    todo = answer.json["error"][0]["todo"]
    assert 'layout="time,batch,channel"' in todo
    assert 'layout="batch,time,channel"' in todo


@pytest.mark.parametrize("command", [CONVERT, SIMULATE], ids=lambda c: c[0])
@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("input", np.where(counts() == 3, -3, counts()), "ND1502"),
        ("input", counts() + 0.5, "ND1502"),
        ("input", counts() * np.nan, "ND1502"),
        ("input", np.array([["a"]]), "ND1502"),
        ("input", np.array([[{}]], dtype=object), "ND1402"),
        ("layout", np.array("time,batch"), "ND1501"),
        ("layout", np.array("time,sample,channel"), "ND1501"),
        ("layout", np.array([1, 2]), "ND1501"),
        ("dt_s", np.array(0.0), "ND1502"),
        ("dt_s", np.array("soon"), "ND1502"),
        ("label", np.arange(SAMPLES + 1), "ND1502"),
        ("label", np.array(["cat"] * SAMPLES), "ND1502"),
        ("sample_id", np.zeros(SAMPLES, np.int64), "ND1502"),
        ("schema_version", np.array(2), "ND1404"),
        ("schema_version", np.array([1, 1]), "ND1404"),
        ("schema_version", np.zeros(1, [("a", int)]), "ND1404"),
        ("surprise", np.array(1), "ND1401"),
    ],
)
def test_bad_entries_of_a_data_file_are_refused(files, command, key, value, code):
    np.savez(files / "bad.npz", **{**arrays_of(files), key: value})
    refused(code, 2, *changed(command, "data.npz", "bad.npz"))
    assert without(files, "bad.npz")


@pytest.mark.parametrize("command", [CONVERT, SIMULATE, (*CONVERT, "--calibration", "data.npz")])
@pytest.mark.parametrize("channels", [CHANNELS - 1, CHANNELS + 1])
def test_another_number_of_channels_is_refused(files, command, channels):
    nd.save_data(files / "bad.npz", data(counts(channels=channels)))
    answer = run(*changed(command, "data.npz", "bad.npz"), "--json")
    assert answer.status == 2
    assert answer.codes in (["ND1301"], ["ND1704"])
    assert str(channels) in answer.json["error"][0]["was"]
    assert f"{CHANNELS}" in answer.json["error"][0]["must"]
    assert without(files, "bad.npz")


@pytest.mark.parametrize("count", [16, 255, 256])
@pytest.mark.parametrize("command", [CONVERT, SIMULATE], ids=lambda c: c[0])
def test_a_count_above_the_cap_is_named_with_its_place(files, command, count):
    array = counts()
    array[7, 2, 3] = count
    nd.save_data(files / "bad.npz", data(array))
    answer = refused("ND1302", 2, *changed(command, "data.npz", "bad.npz"))
    assert f"{count} events at step 7, sample 2, channel 3" in answer.json["error"][0]["was"]
    assert "0..15 events" in answer.json["error"][0]["must"]


@pytest.mark.parametrize("count", [256, 100_000])
def test_raw_stops_at_what_the_register_holds(files, count):
    array = counts()
    array[7, 2, 3] = count
    nd.save_data(files / "bad.npz", data(array))
    answer = refused("ND1302", 2, *changed(SIMULATE, "data.npz", "bad.npz"), "--raw")
    assert "0..255 events" in answer.json["error"][0]["must"]


def test_labels_outside_the_classes_are_refused(files):
    wrong = nd.data(counts(), layout="time,batch,channel", dt_s=1e-3, label=[0, 1, 2, 0, 1, 3])
    nd.save_data(files / "bad.npz", wrong)
    answer = refused("ND1504", 2, *changed(SIMULATE, "data.npz", "bad.npz"))
    assert "classes 0..2" in answer.json["error"][0]["must"]


# options


def test_an_unknown_executor_is_refused():
    answer = refused("ND1303", 2, *SIMULATE, "--executor", "fpga")
    assert "auto, " in answer.json["error"][0]["must"]
    assert "numpy, reference" in answer.json["error"][0]["must"]


def test_an_unknown_decision_is_refused_before_anything_is_simulated(monkeypatch):
    monkeypatch.setattr("neurodeploy.cli.simulate.simulate", lambda *_, **__: pytest.fail("simulated"))
    answer = refused("ND1504", 2, *SIMULATE, "--decision", "first_spik")
    assert "'first_spike'" in answer.json["error"][0]["todo"]


def test_an_unknown_oracle_is_refused_with_the_known_ones():
    answer = run(*VERIFY, "--against", "xylsim", "--json")
    assert (answer.status, answer.codes) == (2, ["ND9002"])
    assert answer.json["exact"] is False
    assert "xylosim" in answer.json["error"][0]["must"]
    assert run(*VERIFY, "--against", "xylsim").status == 2


# bundles


@pytest.mark.parametrize("what", ["missing", "file", "folder"])
@pytest.mark.parametrize("command", [VERIFY, SIMULATE], ids=lambda c: c[0])
def test_what_is_no_bundle_is_refused(command, what):
    name = {"missing": "nowhere", "file": "data.npz", "folder": "folder"}[what]
    answer = run(*changed(command, "bundle.nd", name), "--json")
    assert answer.status == 2
    assert set(answer.codes) <= {"ND2101", "ND1401"}


@pytest.mark.parametrize("name", ["network.npz", "golden.npz", SAMNA, "report.json", "manifest.json"])
@pytest.mark.parametrize("command", [VERIFY, SIMULATE], ids=lambda c: c[0])
def test_a_bundle_that_was_tampered_with_is_status_2_and_names_the_file(files, command, name):
    file = files / "bundle.nd" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    answer = run(*command, "--json")
    assert answer.status == 2
    assert name in answer.json["error"][0]["where"]
    assert answer.codes[0] in {"ND1403", "ND2101"}
    assert ": exact\n" not in run(*command).out


@pytest.mark.parametrize("name", ["network.npz", "golden.npz", SAMNA, "made.json", "manifest.json"])
def test_a_bundle_that_misses_a_file_is_refused(files, name):
    (files / "bundle.nd" / name).unlink()
    answer = run(*VERIFY, "--json")
    assert (answer.status, answer.codes[0]) == (2, "ND2101")
    assert name in answer.json["error"][0]["where"]


def test_a_bundle_whose_vectors_differ_is_status_1_and_shows_where(files):
    golden = files / "bundle.nd" / "golden.npz"
    header, arrays = read_arrays(golden, what=GOLDEN_FORMAT, version=1)
    arrays["counts.3"][4, 2, 1] ^= 1
    write_arrays(golden, header, arrays)
    resign(files / "bundle.nd")
    answer = run(*VERIFY)
    assert answer.status == 1
    assert "neuron 1 (hardware id 1), sample 2, step 4" in answer.out
    shown = run(*VERIFY, "--json")
    assert shown.status == 1
    assert shown.json["exact"] is False
    assert shown.json["differences"][0]["comparison"]["differing"] == 1


# places to write


@pytest.mark.parametrize(
    ("command", "place", "code"),
    [
        (CONVERT, "nowhere/new.nd", "ND2101"),
        (CONVERT, "data.npz/new.nd", "ND2101"),
        (CONVERT, "data.npz", "ND2101"),
        (CONVERT, "folder", "ND2101"),
        ((*SIMULATE, "--out", "new.nd"), "nowhere/o.npz", "ND1401"),
        ((*SIMULATE, "--out", "new.nd"), "data.npz/o.npz", "ND1401"),
        ((*SIMULATE, "--out", "new.nd"), "folder", "ND1401"),
        (("demo", "--target", CHIP, "--out", "new.nd"), "data.npz", "ND1401"),
        (("demo", "--target", CHIP, "--out", "new.nd"), "data.npz/demo", "ND1401"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(files, monkeypatch, command, place, code):
    for work in ("conversion.convert", "cli.simulate.simulate", "demo.pipeline.train"):
        monkeypatch.setattr(f"neurodeploy.{work}", lambda *_, **__: pytest.fail("work was spent"))
    before = (files / "data.npz").read_bytes()
    refused(code, 2, *changed(command, "new.nd", place))
    assert without(files)
    assert (files / "data.npz").read_bytes() == before
    assert list((files / "folder").iterdir()) == []


def test_a_demo_bundle_that_cannot_be_replaced_is_refused_before_any_work(files, monkeypatch):
    monkeypatch.setattr("neurodeploy.demo.pipeline.train", lambda *_, **__: pytest.fail("work was spent"))
    (files / "folder" / "digits.nd").write_text("mine")
    refused("ND2101", 2, "demo", "--target", CHIP, "--out", "folder")
    assert (files / "folder" / "digits.nd").read_text() == "mine"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("command", [CONVERT, (*SIMULATE, "--out", "new.npz")], ids=["convert", "simulate"])
def test_an_interrupted_write_leaves_nothing_half_written(files, monkeypatch, command, failure):
    def broken(stream, *_, **__):
        stream.write(b"half")
        raise failure

    monkeypatch.setattr(np.lib.format, "write_array", broken)
    answer = run(*command)
    assert answer.status == (2 if isinstance(failure, OSError) else 130)
    assert ("No space left on device" in answer.err) is isinstance(failure, OSError)
    assert without(files)


def test_what_the_system_refuses_elsewhere_is_a_sentence_too(monkeypatch):
    def refuses(*_, **__):
        raise PermissionError(13, "Permission denied", "/some/where")

    monkeypatch.setattr("neurodeploy.doctor.diagnose", refuses)
    answer = refused("ND1401", 2, "doctor")
    assert answer.json["error"][0]["where"] == "/some/where"


# optional packages


def test_the_demo_without_its_package_is_status_3_with_the_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    answer = refused("ND9001", 3, "demo", "--target", CHIP, "--out", "new")
    assert answer.json["error"][0]["todo"] == 'pip install "neurodeploy[demo]"'


# steps of another length


@pytest.mark.parametrize("which", ["--data", "--calibration"])
def test_data_in_steps_of_another_length_are_refused(files, tmp_path, which):
    other, right = tmp_path / "other.npz", tmp_path / "right.npz"
    nd.save_data(other, data(dt_s=2 * DT_S))
    nd.save_data(right, data())
    given = {"--data": right, "--calibration": right} | {which: other}
    options = [str(part) for pair in given.items() for part in pair]
    answer = run(
        "convert", str(files / "model.safetensors"), "--target", CHIP, *options, "--out", str(tmp_path / "x.nd")
    )
    assert answer.status == 2
    assert f"other.npz: steps of {2 * DT_S:g} s; the network runs in steps of {DT_S:g} s" in answer.err
    assert "[ND1502]" in answer.err
    assert not (tmp_path / "x.nd").exists()


def test_a_simulation_wants_the_steps_of_its_network(files, tmp_path):
    nd.save_data(tmp_path / "other.npz", data(dt_s=2 * DT_S))
    answer = run("simulate", str(files / "bundle.nd"), str(tmp_path / "other.npz"))
    assert answer.status == 2
    assert "bin the events again, or correct dt_s. [ND1502]" in answer.err

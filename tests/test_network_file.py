"""Network files come back as they were written; cut off, changed, forged and foreign ones are refused."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
from drawn_networks import networks
from hypothesis import given, settings
from sample_network import XYLO, parts, refusal, sound
from small_chip import small_network, write

from neurodeploy.archive import canonical_json, read_arrays, write_arrays
from neurodeploy.chips import chip
from neurodeploy.errors import Refusal
from neurodeploy.network import Network, load_network, save_network
from neurodeploy.network import file as network_file
from neurodeploy.simulator import simulate


@settings(max_examples=12, deadline=None, derandomize=True)
@given(case=networks())
def test_a_network_comes_back_as_it_was_written(case, tmp_path_factory):
    network, x = case
    path = tmp_path_factory.mktemp("file") / "n.npz"
    save_network(network, path)
    back = load_network(path)
    assert back.chip.digest == network.chip.digest
    runs = [simulate(n, x, record=("v",)) for n in (network, back)]
    assert all(np.array_equal(runs[0].states[g]["v"], runs[1].states[g]["v"]) for g in runs[0].states)
    written = path.read_bytes()
    save_network(back, path)
    assert path.read_bytes() == written


def test_notes_duration_and_missing_places_come_back(tmp_path):
    for network in (sound(), Network(XYLO, parts()[:2], ())):
        save_network(network, tmp_path / "n.npz")
        back = load_network(tmp_path / "n.npz")
        assert (back.dt_s, back.notes, back.placed) == (network.dt_s, network.notes, network.placed)
        assert [(g.name, g.kind, g.size) for g in back.groups] == [(g.name, g.kind, g.size) for g in network.groups]
        assert [p.parameters for p in back.projections] == [p.parameters for p in network.projections]


def test_a_network_of_a_chip_that_is_not_installed_comes_back(tmp_path):
    network = small_network(chip(write(tmp_path / "small")))
    save_network(network, tmp_path / "n.npz")
    (tmp_path / "small" / "chip.toml").unlink()
    assert load_network(tmp_path / "n.npz").chip == network.chip


def test_equal_networks_are_equal_files(tmp_path):
    for name in "ab":
        save_network(sound(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_notes_that_json_does_not_hold_are_refused(tmp_path):
    for notes in ({"a": float("nan")}, {"a": {1, 2}}):
        network = dataclasses.replace(sound(), notes=notes)
        error = refusal(lambda n=network: save_network(n, tmp_path / "n"))
        assert "xylo_audio3, notes of the network: " in str(error)
        assert "text, finite numbers, lists and tables" in str(error)
    assert not (tmp_path / "n").exists()


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    path = tmp_path / "n.npz"
    save_network(sound(), path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 397):
        path.write_bytes(whole[:size])
        error = refusal(lambda: load_network(path))
        assert error.code == "ND1401"
        assert "n.npz: " in str(error)
        assert "the file is empty" in str(error) if size == 0 else "damaged or truncated" in str(error)


def test_a_changed_byte_is_refused_or_changes_nothing(tmp_path):
    path = tmp_path / "n.npz"
    save_network(sound(), path)
    whole = path.read_bytes()
    codes = set()
    for at in range(0, len(whole), 37):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        try:
            back = load_network(path)
        except Refusal as error:
            codes.add(error.code)
        else:  # bytes of the container that mean nothing, for instance a date
            save_network(back, path)
            assert path.read_bytes() == whole
    assert "ND1401" in codes
    assert codes <= {"ND1401", "ND1403"}


def rewritten(path, change):
    """Write the file anew with a changed header and changed arrays, as somebody with a zip program would."""
    header, arrays = read_arrays(path, what=network_file.FORMAT, version=network_file.SCHEMA_VERSION)
    change(header, arrays)
    write_arrays(path, header, arrays)


def test_a_changed_weight_is_noticed(tmp_path):
    path = tmp_path / "n.npz"
    save_network(sound(), path)
    rewritten(path, lambda _, arrays: arrays["projection0.w1"].__setitem__(0, 5))
    error = refusal(lambda: load_network(path))
    assert error.code == "ND1403"
    assert "header or arrays were changed; the content that was written; save the network anew" in str(error)


def test_a_changed_chip_is_noticed(tmp_path):
    path = tmp_path / "n.npz"
    save_network(sound(), path)
    rewritten(path, lambda header, _: header["chip"]["limit"]["hidden"].update(at_most=5000))
    assert refusal(lambda: load_network(path)).code == "ND1403"


FORGED = {
    "weight beyond": (lambda _, a: a["projection0.w1"].__setitem__(0, 500), "ND1202", "w1 = 500 at index 0"),
    "float array": (lambda _, a: a.update({"group1.bias": np.zeros(3)}), "ND1401", "array of float64 where integers"),
    "array missing": (lambda _, a: a.pop("group1.bias"), "ND1401", "entry missing or of the wrong kind: 'group1.bias'"),
    "groups missing": (lambda h, _: h.pop("groups"), "ND1401", "entry missing or of the wrong kind: 'groups'"),
    "groups no list": (lambda h, _: h.update(groups=3), "ND1401", "a complete network file"),
    "chip missing": (lambda h, _: h.pop("chip"), "ND1401", "entry missing or of the wrong kind: 'chip'"),
    "chip no table": (lambda h, _: h.update(chip="xylo"), "ND1401", "a complete network file"),
    "chip at fault": (lambda h, _: h["chip"].pop("schedule"), "ND1102", "xylo_audio3, schedule: entry missing"),
    "duration as text": (lambda h, _: h.update(dt_s="1"), "ND1401", "a complete network file"),
    "another schema": (lambda h, _: h.update(schema_version=2), "ND1404", "schema_version 2; this program reads 1"),
    "another format": (
        lambda h, _: h.update(format="neurodeploy events"),
        "ND1401",
        "a file of format 'neurodeploy ev",
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_file_is_refused_without_a_traceback(name, tmp_path):
    """The digest is right, the content is not."""
    change, code, words = FORGED[name]
    path = tmp_path / "n.npz"
    save_network(sound(), path)

    def forge(header, arrays):
        change(header, arrays)
        header["content"] = network_file._digest(header, arrays)

    rewritten(path, forge)
    error = refusal(lambda: load_network(path))
    assert error.code == code
    assert words in str(error)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "n.npz"
    assert "there is no such file" in str(refusal(lambda: load_network(path)))
    path.write_text("weights")
    assert "so it is no .npz" in str(refusal(lambda: load_network(path)))
    np.savez(path, w=np.zeros(3))
    assert "no header; a neurodeploy network file" in str(refusal(lambda: load_network(path)))
    np.savez(path, w=np.array([{}], object))
    error = refusal(lambda: load_network(path))
    assert error.code == "ND1402"
    assert "w holds pickled objects" in str(error)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", canonical_json(json.loads("[1]")))
    assert "contains 'header.json'; an .npz holds .npy arrays alone" in str(refusal(lambda: load_network(path)))


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    error = refusal(lambda: save_network(sound(), tmp_path / "no" / "n.npz"))
    assert "n.npz: cannot be written (No such file or directory); its folder must take files" in str(error)

"""Bundles: written, replaced, tampered with, verified."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundle_files import content, made, resigned
from xylo_networks import STEPS, busy, events, small, with_parameter

from neurodeploy.archive import canonical_json
from neurodeploy.bundles import bundle, load_bundle, place, verify
from neurodeploy.emit.samna import to_configuration
from neurodeploy.errors import Refusal
from neurodeploy.network import save_network
from neurodeploy.simulator import simulate

assert made  # a fixture of most tests here
SAMNA = "configurations/samna.json"
FILES = ("network.npz", "golden.npz", "chip.json", SAMNA, "report.json", "manifest.json", "made.json")


# --- writing and reading


def test_a_bundle_holds_what_was_put_in(made):
    loaded = load_bundle(made)
    assert sorted(content(made)) == sorted(FILES)
    assert loaded.report == {"accuracy": 0.5}
    assert loaded.configurations == {"samna": to_configuration(small())}
    assert loaded.certificates == {}
    assert loaded.manifest["notes"] == {"from": "a test"}
    assert loaded.manifest["chip"] == {"name": "xylo_audio3", "digest": small().chip.digest}
    assert set(loaded.manifest["versions"]) == {"neurodeploy", "numpy"}
    assert loaded.manifest["schema_version"] == 1
    assert set(json.loads((made / "made.json").read_text())["content"]) == {"made_on", "machine"}
    assert json.loads((made / "chip.json").read_text())["content"] == small().chip.raw


def test_the_contract_says_what_decides_spikes(made):
    contract = load_bundle(made).manifest["contract"]
    assert contract["neurons"]["hidden"]["comparison"] == [">="]
    assert contract["neurons"]["hidden"]["max_spikes"] == 31
    assert contract["neurons"]["output"]["max_spikes"] == 1
    assert contract["neurons"]["channel"] is None
    assert contract["schedule"][-2:] == [["hidden.step", "alias"], ["output.step"]]


def test_golden_vectors_are_the_simulation_of_the_input(made):
    loaded = load_bundle(made)
    run = simulate(small(), events(samples=3), record=["v", "i2"])
    assert {n: v.dtype for n, v in loaded.input.items()} == {"in": np.int64}
    assert loaded.input["in"].shape == (STEPS + run.latency, 3, 2)
    np.testing.assert_array_equal(loaded.input["in"][:STEPS], events(samples=3))
    assert not loaded.input["in"][STEPS:].any()
    for name, counts in run.counts.items():
        np.testing.assert_array_equal(loaded.golden.counts[name], counts)
    assert loaded.golden.counts["out"].sum() > 0
    assert loaded.samples == (2, 0)
    np.testing.assert_array_equal(loaded.stated.states["hid"]["v"], run.states["hid"]["v"][:, [2, 0]])
    np.testing.assert_array_equal(loaded.stated.states["hid"]["i2"], run.states["hid"]["i2"][:, [2, 0]])
    assert loaded.golden.made_by == run.trace().made_by


def test_a_bundle_without_report_and_configuration_has_no_such_files(tmp_path):
    loaded = bundle(small(), events(), tmp_path / "a.nd")
    assert sorted(content(tmp_path / "a.nd")) == [
        "chip.json",
        "golden.npz",
        "made.json",
        "manifest.json",
        "network.npz",
    ]
    assert loaded.report is None
    assert loaded.configurations == {}
    assert verify(tmp_path / "a.nd").exact


def test_the_same_content_gives_the_same_bytes_but_for_the_time_of_making(made, tmp_path):
    options = {"report": {"accuracy": 0.5}, "emit": ["samna"], "notes": {"from": "a test"}}
    bundle(small(), events(samples=3), tmp_path / "again.nd", samples=[2, 0], **options)
    first, second = content(made), content(tmp_path / "again.nd")
    assert first.keys() == second.keys()
    assert [n for n in first if first[n] != second[n] and n != "made.json"] == []
    bundle(small(), events(samples=3), tmp_path / "other.nd", samples=[0, 2], **options)
    assert content(tmp_path / "other.nd")["golden.npz"] != first["golden.npz"]


@pytest.mark.parametrize("samples", [[3], [-1], [0, 0]])
def test_samples_must_be_there_and_different(tmp_path, samples):
    with pytest.raises(Refusal, match=r"different samples from 0\.\.2") as caught:
        bundle(small(), events(samples=3), tmp_path / "a.nd", samples=samples)
    assert caught.value.code == "ND9002"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shape", [(5, 0, 2)])
def test_golden_vectors_without_a_sample_are_refused(tmp_path, shape):
    with pytest.raises(Refusal, match="at least one step of one sample") as caught:
        bundle(small(), np.zeros(shape, int), tmp_path / "a.nd")
    assert caught.value.code == "ND2001"


def test_what_json_cannot_hold_is_refused_all_at_once(tmp_path):
    with pytest.raises(Refusal) as caught:
        bundle(small(), events(), tmp_path / "a.nd", report={"x": float("nan")}, notes={"x": object()})
    assert [f.code for f in caught.value.faults] == ["ND2101", "ND2101"]
    assert "bundle, report.json: cannot be written" in str(caught.value)
    assert "bundle, notes: cannot be written" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_unplaced_network_is_refused(tmp_path):
    network = replace(small(), groups=tuple(replace(g, ids=None) for g in small().groups))
    with pytest.raises(Refusal) as caught:
        bundle(network, events(), tmp_path / "a.nd")
    assert caught.value.code == "ND1204"


# --- replacing


def test_a_bundle_replaces_an_older_one_whole(made):
    bundle(small(), events(), made)
    assert "report.json" not in content(made)
    assert verify(made).exact
    assert [p.name for p in made.parent.iterdir()] == ["small.nd"]


def test_a_folder_that_is_no_bundle_is_not_replaced(tmp_path):
    path = tmp_path / "thesis.nd"
    path.mkdir()
    (path / "chapter1.txt").write_text("years of work")
    with pytest.raises(Refusal, match="the folder exists and is no bundle") as caught:
        bundle(small(), events(), path)
    assert caught.value.code == "ND2101"
    assert (path / "chapter1.txt").read_text() == "years of work"


def test_a_file_is_not_replaced(tmp_path):
    (tmp_path / "a.nd").write_text("mine")
    with pytest.raises(Refusal, match="a file of that name exists"):
        bundle(small(), events(), tmp_path / "a.nd")
    assert (tmp_path / "a.nd").read_text() == "mine"


def test_an_older_bundle_with_somebodys_notes_is_not_replaced(made):
    (made / "notes.txt").write_text("mine")
    with pytest.raises(Refusal, match=r"the older bundle holds other files: notes\.txt"):
        bundle(small(), events(), made)
    assert (made / "notes.txt").read_text() == "mine"


def test_a_damaged_bundle_may_be_replaced(made):
    (made / "golden.npz").write_bytes(b"")
    bundle(small(), events(), made)
    assert verify(made).exact


def test_a_missing_parent_folder_is_refused(tmp_path):
    with pytest.raises(Refusal, match="its folder does not exist"):
        bundle(small(), events(), tmp_path / "nowhere" / "a.nd")


@pytest.mark.parametrize("moment", ["golden.npz", "samna.json", "manifest.json", "made.json"])
def test_an_interrupted_write_leaves_the_older_bundle(made, monkeypatch, moment):
    before = content(made)
    write = Path.write_bytes

    def interrupted(self, data):
        if self.name == moment:
            raise KeyboardInterrupt
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bundle(small(), events(), made, emit=["samna"])
    monkeypatch.undo()
    assert content(made) == before
    assert [p.name for p in made.parent.iterdir()] == ["small.nd"]


def test_an_interruption_between_the_two_renames_puts_the_older_bundle_back(made, monkeypatch):
    before = content(made)
    rename = type(made).rename

    def interrupted(self, target):
        if self.name.endswith(".part"):
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(place, "swap", lambda *_: False)
    monkeypatch.setattr(type(made), "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bundle(small(), events(), made)
    monkeypatch.undo()
    assert content(made) == before
    assert [p.name for p in made.parent.iterdir()] == ["small.nd"]


# --- tampering


@pytest.mark.parametrize("name", [n for n in FILES if n != "made.json"])
def test_one_changed_byte_of_any_file_is_found(made, name):
    data = bytearray((made / name).read_bytes())
    data[len(data) // 2] ^= 1
    (made / name).write_bytes(data)
    result = verify(made)
    assert (result.exit_status, result.exact) == (2, False)
    assert result.checks == ()
    assert result.faults[0].code in {"ND1403", "ND2101"}
    assert f"{made}, {name}: " in str(result)
    with pytest.raises(Refusal):
        load_bundle(made)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(made, name):
    (made / name).unlink()
    result = verify(made)
    assert result.exit_status == 2
    assert [f.code for f in result.faults] == ["ND2101"]
    assert f"{made}, {name}: missing" in str(result)


@pytest.mark.parametrize("name", [n for n in FILES if n != "made.json"])
def test_a_truncated_file_is_named(made, name):
    data = (made / name).read_bytes()
    (made / name).write_bytes(data[: len(data) // 2])
    result = verify(made)
    assert result.exit_status == 2
    assert name in result.faults[0].where


def test_the_time_of_making_is_the_one_thing_without_a_hash(made):
    (made / "made.json").write_text("{}")
    assert verify(made).exact


def test_an_additional_file_or_folder_is_named(made):
    (made / "virus.exe").write_bytes(b"MZ")
    (made / "more").mkdir()
    result = verify(made)
    assert result.exit_status == 2
    assert [f.where for f in result.faults] == [f"{made}, more", f"{made}, virus.exe"]
    assert {f.was for f in result.faults} == {"additional"}


def test_a_link_in_the_place_of_a_file_is_named(made):
    (made / "report.json").rename(made.parent / "report.json")
    (made / "report.json").symlink_to(made.parent / "report.json")
    assert "report.json: no plain file" in str(verify(made))


def test_all_damaged_files_are_listed_at_once(made):
    (made / "golden.npz").write_bytes(b"")
    (made / "report.json").unlink()
    (made / "more.txt").write_text("")
    faults = verify(made).faults
    assert [(f.where.rpartition(", ")[2], f.code) for f in faults] == [
        ("golden.npz", "ND1403"),
        ("more.txt", "ND2101"),
        ("report.json", "ND2101"),
    ]


def test_a_changed_file_is_named_with_both_hashes(made):
    expected = hashlib.sha256((made / "report.json").read_bytes()).hexdigest()
    (made / "report.json").write_text('{"accuracy": 0.9}')
    (fault,) = verify(made).faults
    found = hashlib.sha256(b'{"accuracy": 0.9}').hexdigest()
    assert fault.values == {"file": "report.json", "found": found, "expected": expected}
    assert f"changed since it was written: sha256 {found[:12]}..." in str(fault)
    assert f"sha256 {expected[:12]}..." in fault.must


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "something else"}, "of another format"),
        ({"schema_version": 2}, "schema_version 2; this program reads 1"),
        ({"notes": {"from": "somebody"}}, "changed since it was written"),
        ({"files": {}}, "changed since it was written"),
    ],
)
def test_a_manifest_with_another_entry_is_refused(made, change, words):
    manifest = json.loads((made / "manifest.json").read_text())
    (made / "manifest.json").write_text(canonical_json(manifest | change))
    result = verify(made)
    assert result.exit_status == 2
    assert words in str(result)


def test_a_manifest_of_other_white_space_is_changed_too(made):
    manifest = json.loads((made / "manifest.json").read_text())
    (made / "manifest.json").write_text(json.dumps(manifest))
    assert verify(made).faults[0].code == "ND1403"


@pytest.mark.parametrize("what", ["missing", "file", "empty"])
def test_a_place_without_a_bundle_is_refused(tmp_path, what):
    path = tmp_path / "a.nd"
    if what == "file":
        path.write_text("")
    elif what == "empty":
        path.mkdir()
    result = verify(path)
    assert result.exit_status == 2
    assert result.faults[0].code == "ND2101"
    words = {"missing": "no such folder or file", "file": "no archive", "empty": "manifest.json: missing"}
    assert words[what] in str(result)


# --- verifying


def test_a_bundle_is_exact_against_its_vectors_and_the_reference(made):
    result = verify(made)
    assert result.exact
    assert result.exit_status == 0
    assert [(c.oracle, c.kind) for c in result.exact_against] == [
        ("golden event counts", "golden"),
        ("golden states", "golden"),
        ("reference", "live"),
        ("configuration samna", "configuration"),
    ]
    counts, states, reference, read_back = (c.comparison for c in result.checks)
    assert read_back.compared == states.compared
    steps = STEPS + 1
    assert counts.compared == steps * 3 * 7
    assert states.compared == steps * 2 * (7 + 2 + 3 * 4 + 2 * 3)
    assert reference.compared == steps * (7 + 2 + 3 * 4 + 2 * 3)
    assert all(c.spikes > 0 for c in (counts, states, reference))
    assert str(result).startswith(f"{made}: exact\ngolden event counts (neurodeploy ")


def test_a_network_that_was_exchanged_together_with_its_hash_still_differs(made):
    save_network(with_parameter(small(), "hid", "threshold", 1, 101), made / "network.npz")
    resigned(made)
    result = verify(made)
    assert result.exit_status == 1
    assert not result.exact
    assert result.exact_against == ()
    assert len(result.differences) == 3
    assert {(d.group, d.neuron, d.step) for d in result.differences} == {("hid", 1, 2)}
    assert [d.state for d in result.differences] == ["count", "v", "v"]
    assert {d.sides[1] for d in result.differences} == {"the golden vectors"}
    data = json.loads(json.dumps(result.to_json()))
    assert data["exact"] is False
    assert data["exact_against"] == []
    assert data["differences"][1]["comparison"]["difference"]["state"] == "v"


def test_a_difference_names_the_sample_of_the_vectors(made):
    network = busy(np.random.default_rng(3))
    counts = np.zeros((6, 5, 3), int)
    counts[1, 4] = 3
    path = made.parent / "busy.nd"
    bundle(network, counts, path, samples=[1, 4])
    changed = with_parameter(network, "hid", "dash_syn1", 0, 6)
    changed = with_parameter(changed, "hid", "dash_syn1", 3, 7)
    save_network(changed, path / "network.npz")
    resigned(path)
    assert {d.sample for d in verify(path).differences} == {4}


def test_the_network_of_another_chip_is_refused_even_with_its_hash(made):
    save_network(small("xylo_audio2"), made / "network.npz")
    resigned(made)
    result = verify(made)
    assert result.exit_status == 2
    assert "the network is for another chip description" in str(result)


@pytest.mark.parametrize("budget", [0, 30, 84])
def test_the_reference_keeps_to_its_budget(made, monkeypatch, budget):
    """A text for each neuron, and one for each synapse that an event meets; in the sample that shows most."""
    from neurodeploy.bundles import verification

    monkeypatch.setattr(verification, "REFERENCE_BUDGET", budget)
    network, counts = small(), load_bundle(made).stated.counts
    choices = []
    for sample in range(2):
        steps, spent = 0, 0
        while steps <= STEPS:
            met = [counts[p.source][steps, sample, s] != 0 for p in network.projections for s in p.sources]
            spent += 7 + sum(met)
            if spent > budget and steps:
                break
            steps += 1
        choices.append((sum(int(v[:steps, sample].sum()) for n, v in counts.items() if n != "in"), steps))
    reference = verify(made).checks[2].comparison
    assert reference.exact
    assert reference.compared in {steps * (7 + 2 + 3 * 4 + 2 * 3) for seen, steps in choices if seen == max(choices)[0]}
    assert 0 < reference.compared < (STEPS + 1) * (7 + 2 + 3 * 4 + 2 * 3)


def test_without_kept_samples_the_reference_still_compares_events(tmp_path):
    bundle(small(), events(samples=2), tmp_path / "a.nd", samples=[])
    result = verify(tmp_path / "a.nd")
    assert result.exact
    assert [c.oracle for c in result.checks] == ["golden event counts", "reference"]
    assert result.checks[1].comparison.compared == (STEPS + 1) * 7


def test_a_bundle_is_verified_where_it_was_moved_to(made, tmp_path):
    shutil.copytree(made, tmp_path / "elsewhere" / "b.nd")
    assert verify(tmp_path / "elsewhere" / "b.nd").exact


def test_states_of_the_first_four_samples_are_kept_unless_others_are_named(tmp_path):
    assert bundle(small(), events(samples=6), tmp_path / "a.nd").samples == (0, 1, 2, 3)
    assert bundle(small(), events(samples=3), tmp_path / "b.nd").samples == (0, 1, 2)

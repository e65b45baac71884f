"""What verify shows without the model: limits, configurations read back, certificates; and bundles kept for ever."""

import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from bundle_files import content, resigned
from test_emit_netx import NEWEST, sample
from xylo_networks import events, small, with_alias, with_parameter

from neurodeploy.archive import canonical_json
from neurodeploy.bundles import add_certificates, bundle, load_bundle, readback, verify, zipped
from neurodeploy.bundles.files import SCHEMA_VERSION
from neurodeploy.chips import chip
from neurodeploy.errors import DoesNotFit, Fault, Refusal
from neurodeploy.mapper import map_network
from neurodeploy.network import Convolution, Network, convolution, group, pack_network

KEPT = Path(__file__).parent / "bundles"


def layered():
    """Two layers on cores of their own."""
    c, rng = chip("speck2f"), np.random.default_rng(0)
    source = group(c, "in", "pixel", (2, 8, 8))
    first = Convolution(source.shape, (4, 2, 3, 3), padding=(1, 1))
    a = group(c, "a", "unit", first.target, threshold_high=90, threshold_low=-90)
    second = Convolution(a.shape, (3, 4, 8, 8))
    b = group(c, "b", "unit", second.target, threshold_high=200, threshold_low=-200)
    links = (
        convolution(c, "convolve", source, a, first, w=rng.integers(-30, 90, first.kernel)),
        convolution(c, "convolve", a, b, second, w=rng.integers(-30, 60, second.kernel)),
    )
    return map_network(Network(c, (source, a, b), links)).network


NETWORKS = {
    "samna": lambda: with_alias(small(), [(0, 1)]),
    "samna_layers": layered,
    "netx": lambda: map_network(sample(NEWEST)).network,
}


def counts_for(network):
    (source,) = network.inputs()
    return (np.random.default_rng(1).random((9, 2, source.size)) < 0.3).astype(int)


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    """A bundle for each format that is read back."""
    folder = tmp_path_factory.mktemp("every")
    for name, make in NETWORKS.items():
        network = make()
        bundle(network, counts_for(network), folder / f"{name}.nd", emit=[name])
    return folder


@pytest.fixture
def copied(every, tmp_path):
    """Copy a bundle, to be changed."""

    def copy(name):
        for n, data in content(every / f"{name}.nd").items():
            (tmp_path / "b.nd" / n).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "b.nd" / n).write_bytes(data)
        return tmp_path / "b.nd"

    return copy


def rewritten(folder, name, change):
    """Change the content of one JSON file as somebody with intent would, hashes included."""
    held = json.loads((folder / name).read_text())
    change(held["content"])
    (folder / name).write_text(canonical_json(held))
    resigned(folder)


# --- configurations


@pytest.mark.parametrize("name", NETWORKS)
def test_a_configuration_is_read_back_and_runs_as_the_vectors_say(every, name):
    result = verify(every / f"{name}.nd", orders=0)
    assert result.exact, str(result)
    last = result.checks[-1]
    assert (last.oracle, last.kind) == (f"configuration {name}", "configuration")
    states = next(c for c in result.checks if c.oracle == "golden states")
    assert last.comparison.compared == states.comparison.compared > 100
    assert last.comparison.spikes == states.comparison.spikes > 0


def plus_one(*path):
    def change(held):
        for step in path[:-1]:
            held = held[step]
        held[path[-1]] += 1

    return change


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("samna", plus_one("hidden", "neurons", 1, "threshold"), "hidden.neurons[1].threshold: 101; 100, which the"),
        ("samna", plus_one("input", "weights", 0, 1), "input.weights[0][1]: 102; 101, which the network gives"),
        ("samna_layers", plus_one("cnn_layers", 8, "threshold_high"), "cnn_layers[8].threshold_high: 201; 200"),
        ("netx", plus_one("layers", -1, "neuron", "vThMant"), "layers[4].neuron.vThMant"),
    ],
)
def test_a_register_that_is_off_by_one_in_a_configuration_is_named(copied, name, change, words):
    folder = copied(name)
    try:
        rewritten(folder, f"configurations/{name}.json", change)
    except (KeyError, IndexError, TypeError):
        pytest.fail(json.dumps(load_bundle(folder).configurations[name])[:3000])
    result = verify(folder, orders=0)
    assert (result.exact, result.exit_status) == (False, 1), str(result)
    assert words in str(result)
    assert all(c.comparison.exact for c in result.checks[:-1]), "the vectors themselves hold"


def test_a_difference_that_shows_in_a_run_alone_is_found_too(every, monkeypatch):
    """A reader that loses a link: both configurations agree, the simulations do not."""
    path = every / "samna.nd"
    made = readback.emitter("samna")
    lossy = replace(made, read=lambda *_: small(), configure=lambda _: {"note": "equal"})
    monkeypatch.setattr(readback, "emitter", lambda _: lossy)
    result = verify(path)
    assert (result.exact, result.exit_status) == (False, 1)
    assert result.differences[0].group == "hid"


NONE = [{}, {"format": "neurodeploy/9"}, {"format": 3}, {"format": "neurodeploy/1"}]
#: two of them for each format, in turn
NO_CONFIGURATION = [
    pytest.param(name, held, marks=pytest.mark.long if (i + j) % 2 else ())
    for i, name in enumerate(NETWORKS)
    for j, held in enumerate(NONE)
]


@pytest.mark.parametrize(("name", "held"), NO_CONFIGURATION)
def test_what_is_no_configuration_is_refused_whatever_its_hash(copied, name, held):
    folder = copied(name)
    rewritten(folder, f"configurations/{name}.json", lambda old: (old.clear(), old.update(held)))
    result = verify(folder, orders=0)
    assert result.exit_status == 2
    assert result.faults[0].code in {"ND1901", "ND1404"}


def test_a_configuration_of_no_format_or_another_chips_is_refused(copied):
    folder = copied("samna")
    for name, words in (("another", "a format that nobody reads"), ("netx", "format 'netx'")):
        (folder / "configurations" / f"{name}.json").write_bytes((folder / "configurations/samna.json").read_bytes())
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest["files"][f"configurations/{name}.json"] = ""
        (folder / "manifest.json").write_text(canonical_json(manifest))
        resigned(folder)
        assert words in str(verify(folder))
        assert verify(folder).exit_status == 2
        (folder / "configurations" / f"{name}.json").unlink()
        del manifest["files"][f"configurations/{name}.json"]
        (folder / "manifest.json").write_text(canonical_json(manifest))
        resigned(folder)
    assert verify(folder).exact


def test_a_format_that_nothing_reads_back_is_written_again_and_compared(tmp_path):
    pytest.importorskip("onnx")
    bundle(small(), events(), tmp_path / "b.nd", emit=["samna", "onnx_step"])
    assert list(load_bundle(tmp_path / "b.nd").configurations) == ["onnx_step", "samna"]
    result = verify(tmp_path / "b.nd")
    assert result.exact
    assert result.checks[-2].comparison.compared > 5
    rewritten(tmp_path / "b.nd", "configurations/onnx_step.json", lambda held: held.update(opset=1))
    result = verify(tmp_path / "b.nd")
    assert (result.exact, result.exit_status) == (False, 1)
    assert "configurations/onnx_step.json, opset: 1; " in str(result)


def test_without_the_package_of_a_format_the_rest_is_checked_and_the_answer_is_3(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    bundle(small(), events(), tmp_path / "b.nd", emit=["samna", "onnx_step"])
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = verify(tmp_path / "b.nd")
    assert (result.exact, result.exit_status) == (False, 3)
    assert result.checks[-1].oracle == "configuration samna"
    assert 'pip install "neurodeploy[onnx]"' in str(result)


# --- limits


def test_a_network_that_does_not_fit_is_not_written(tmp_path):
    with pytest.raises(DoesNotFit, match="ND1801"):
        bundle(with_alias(small(), [(1, 1)]), events(), tmp_path / "b.nd")
    assert not list(tmp_path.iterdir())


def exchanged(folder, network):
    """Another network in a bundle, with its hash."""
    (folder / "network.npz").write_bytes(pack_network(network))
    resigned(folder)


def test_limits_are_checked_again_and_named(copied):
    folder = copied("samna")
    exchanged(folder, with_parameter(with_alias(small(), [(0, 1)]), "hid", "dash_mem", 1, 0))
    result = verify(folder)
    assert (result.exact, result.exit_status) == (False, 1)
    assert "layer 'hid': dash_mem = 0 at index 1; 1..15 may be written" in str(result)
    assert [f.code for f in result.limits] == ["ND1703"]


@pytest.mark.parametrize(
    ("move", "words"),
    [
        (lambda ids, _: ids + len(ids), "'a' stands there too; a core of its own"),
        (lambda ids, slots: ids % slots + 9 * slots, "no such core; cores 0..8"),
    ],
)
def test_a_layer_on_a_core_that_is_taken_or_not_there_is_found(copied, move, words):
    folder = copied("samna_layers")
    network = layered()
    slots = network.chip.layer_core.slots
    assert slots > network.group("a").size
    first = network.group("a").ids
    moved = replace(network.group("b"), ids=move(first, slots)[-3:])
    exchanged(folder, replace(network, groups=(*network.groups[:2], moved)))
    assert words in str(verify(folder, orders=0)), str(verify(folder, orders=0))


def test_a_network_without_places_is_refused_whatever_its_hash(copied):
    folder = copied("samna")
    exchanged(folder, replace(small(), groups=tuple(replace(g, ids=None) for g in small().groups)))
    assert verify(folder).faults[0].code == "ND1204"


# --- the chip


def test_the_chip_stands_beside_the_network_and_must_be_its_own(copied):
    folder = copied("samna")
    rewritten(folder, "chip.json", lambda raw: raw.update(name="other"))
    assert "the network is for another chip description" in str(verify(folder))


@pytest.mark.parametrize("name", ["chip.json", "configurations/samna.json", "report.json"])
def test_another_schema_or_format_of_a_file_is_refused_whatever_its_hash(tmp_path, name):
    folder = tmp_path / "b.nd"
    bundle(small(), events(), folder, emit=["samna"], report={})
    held = json.loads((folder / name).read_text())
    for change, code in (({"schema_version": 2}, "ND1404"), ({"schema_version": True}, "ND1404")):
        (folder / name).write_text(canonical_json(held | change))
        resigned(folder)
        assert verify(folder).faults[0].code == code
    for other in (held | {"format": "x"}, [], {"format": held["format"], "schema_version": 1}):
        (folder / name).write_text(canonical_json(other))
        resigned(folder)
        assert f"{folder}, {name}: of another format" in str(verify(folder))


# --- certificates


@pytest.fixture
def _claims(monkeypatch):
    """A checker of claims about thresholds."""

    def check(network, held):
        right = [network.group("hid").parameters["threshold"].tolist() == claim for claim in held["thresholds"]]
        if not all(right):
            raise Refusal(Fault("ND2201", "certificate", "another threshold", "those of the network"))
        return len(right)

    monkeypatch.setattr(readback, "CHECKERS", MappingProxyType({"thresholds": check}))


@pytest.mark.usefixtures("_claims")
def test_certificates_travel_in_the_bundle_and_are_checked_again(copied):
    folder = copied("samna")
    before = content(folder)
    held = {"kind": "thresholds", "thresholds": [[100, 100, 100]]}
    assert add_certificates(folder, {"hidden": held}).certificates == {"hidden": held}
    after = content(folder)
    changed = {n for n in after if after[n] != before.get(n)} - {"made.json"}
    assert changed == {"manifest.json", "certificates/hidden.json"}
    result = verify(folder)
    assert result.exact
    assert result.certificates == {"hidden": 1}
    assert "certificate hidden: 1 statements hold" in str(result)
    assert result.to_json()["certificates"] == {"hidden": 1}
    add_certificates(folder, {"hidden": held | {"thresholds": [[100] * 3] * 2}, "two": held})
    assert verify(folder).certificates == {"hidden": 2, "two": 1}


@pytest.mark.usefixtures("_claims")
def test_a_wrong_certificate_is_rejected_and_so_is_one_that_states_nothing_or_nobody_knows(copied):
    folder = copied("samna")
    for held, code in (
        ({"kind": "thresholds", "thresholds": [[100, 101, 100]]}, "ND2201"),
        ({"kind": "thresholds", "thresholds": []}, "ND2001"),
        ({"kind": "hearsay"}, "ND2101"),
        ({"kind": ["thresholds"]}, "ND2101"),
        ({}, "ND2101"),
    ):
        add_certificates(folder, {"hidden": held})
        result = verify(folder)
        assert (result.exact, result.exit_status) == (False, 2)
        assert [f.code for f in result.faults] == [code]


@pytest.mark.usefixtures("_claims")
def test_a_certificate_goes_into_an_archive_as_well(every, tmp_path):
    path = tmp_path / "b.zip"
    path.write_bytes(zipped.pack(content(every / "samna.nd")))
    add_certificates(path, {"hidden": {"kind": "thresholds", "thresholds": [[100] * 3]}})
    assert verify(path).certificates == {"hidden": 1}


@pytest.mark.parametrize("name", ["Hidden", "../a", "a/b", "", "a" * 65, "ä"])
def test_certificates_have_names_that_every_system_takes_alike(copied, name):
    with pytest.raises(Refusal, match="small letters, digits"):
        add_certificates(copied("samna"), {name: {}})


# --- kept for ever


def test_a_bundle_of_every_schema_is_kept():
    assert sorted(p.name for p in KEPT.iterdir()) == [f"schema{n}.nd.zip" for n in range(1, SCHEMA_VERSION + 1)]


@pytest.mark.parametrize("path", sorted(KEPT.iterdir()), ids=lambda p: p.name)
def test_a_kept_bundle_is_exact_for_ever(path):
    result = verify(path)
    assert result.exact, str(result)
    assert [c.oracle for c in result.checks] == [
        *("golden event counts", "golden states", "reference", "configuration samna")
    ]
    assert result.checks[0].comparison.spikes > 0


def test_the_kept_bundle_of_this_schema_is_made_again_byte_for_byte(tmp_path):
    """But for versions, which the manifest and the vectors name, and the time."""
    kept = load_bundle(KEPT / f"schema{SCHEMA_VERSION}.nd.zip")
    bundle(kept.network, kept.input, tmp_path / "b.nd", emit=["samna"], report=kept.report)
    names = ("network.npz", "chip.json", "report.json", "configurations/samna.json")
    with zipfile.ZipFile(kept.path) as archive:
        old = {n: archive.read(n) for n in archive.namelist()}
    new = content(tmp_path / "b.nd")
    assert new.keys() == old.keys()
    assert [n for n in names if new[n] != old[n]] == []

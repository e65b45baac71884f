"""The report of a bundle: one page and the numbers on it, as a real browser sees them too."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from command_line import refused, run
from test_fidelity import SAMPLES, STEPS, built

import neurodeploy as nd
from neurodeploy.bundles import add_certificates, load_bundle
from neurodeploy.conversion import write_bundle
from neurodeploy.proofs import prove
from neurodeploy.report import page_of, value_at, write_report

TARGETS = ("xylo_audio3", "loihi2", "speck2f")
PROVED = TARGETS[1:]
DATA = re.compile(r'<data value="([^"]*)" data-place="([^"]*)">([^<]*)</data>')
LOOK = Path(__file__).parent / "look_at_page.mjs"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Target -> folder with a bundle, its model, labelled data, and a report on them."""
    folders = {}
    for target in TARGETS:
        folder = tmp_path_factory.mktemp(target)
        model, converted, counts = built(target)
        write_bundle(converted, counts, folder / "b.nd")
        if target in PROVED:
            add_certificates(
                folder / "b.nd", {"no_overflow": prove(converted.network, seconds=2).certificate.to_json()}
            )
        nd.save_model(model, folder / "m.safetensors", dt_s=1e-3)
        label = np.arange(SAMPLES) % 3
        data = nd.data(counts, layout="time,batch,channel", dt_s=1e-3, label=label)
        nd.save_data(folder / "x.npz", data)
        write_report(folder / "b.nd", folder / "r.html", model=model, data=data)
        folders[target] = folder
    return folders


def numbers_of(folder, name="r.json"):
    return json.loads((folder / name).read_text())


@pytest.mark.parametrize("target", TARGETS)
def test_every_number_on_the_page_is_that_of_the_json(made, target):
    page, numbers = (made[target] / "r.html").read_text(), numbers_of(made[target])
    shown = DATA.findall(page)
    assert len(shown) > 80
    for value, place, text in shown:
        assert value == str(value_at(numbers, place)), place
        assert text
    assert {place.split(".")[0] for _, place, _ in shown} >= {"summary", "usage", "layers", "headroom", "activity"}


@pytest.mark.parametrize("target", TARGETS)
def test_the_page_needs_nothing_from_outside(made, target):
    page = (made[target] / "r.html").read_text()
    assert not re.search(r"https?:|<script|\bsrc=|@import|url\(", page)
    assert page.count("<svg") > 8
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_same_bundle_gives_the_same_bytes(made, tmp_path):
    folder = made["xylo_audio3"]
    model = nd.load_model(folder / "m.safetensors")[0]
    write_report(folder / "b.nd", tmp_path / "again.html", model=model, data=nd.load_data(folder / "x.npz"))
    for old, new in (("r.html", "again.html"), ("r.json", "again.json")):
        assert (folder / old).read_bytes() == (tmp_path / new).read_bytes()


@pytest.mark.parametrize("target", TARGETS)
def test_the_numbers_are_those_of_the_network(made, target):
    numbers, loaded = numbers_of(made[target]), nd.simulate
    network = nd.load_network(made[target] / "b.nd" / "network.npz")
    counts = nd.load_data(made[target] / "x.npz").input
    states = [f"{g.name}.{s}" for g in network.groups[1:] for s in network.chip.neurons[g.kind].states]
    seen = loaded(network, counts, record=states)
    assert numbers["summary"]["exact"] is True
    assert numbers["summary"]["fits"] is True
    by_name = {row["name"]: row for row in numbers["layers"]}
    for g in network.groups:
        assert by_name[g.name]["events"] == seen.counts[g.name].sum()
    operations = 0
    for p in network.projections:
        for source in p.pairwise.sources.tolist():
            operations += int(seen.counts[p.source][:, :, source].sum())
    assert numbers["activity"]["operations"] == operations > 0
    assert numbers["headroom"]
    for row in numbers["headroom"]:
        values = seen.states[row["layer"]][row["state"]][:, [row["sample"]]]
        assert values[row["step"], 0, row["neuron"]] == row["worst"]
        share = max(values.max() / row["high"], values.min() / row["low"] if row["low"] else 0)
        assert row["bits"] <= np.log2(1 / max(share, 1e-12)) + 1e-9
    raster = numbers["rasters"][1]
    dots = {(t, raster["neurons"][n]): c for t, n, c in raster["integer"]}
    for (t, neuron), count in dots.items():
        assert seen.counts[raster["layer"]][t, 0, neuron] == count
    assert {s["layer"] for s in numbers["membranes"]} == {g.name for g in network.groups[1:]}


def test_energy_has_a_range_a_source_and_a_grade_where_somebody_published_it(made):
    energy = numbers_of(made["loihi2"])["activity"]["energy"]
    activity = numbers_of(made["loihi2"])["activity"]
    whole = activity["operations"] * energy["operation_j"] + activity["updates"] * energy["update_j"]
    assert energy["sample_j"] == pytest.approx(whole / SAMPLES)
    assert energy["least_j"] == pytest.approx(energy["sample_j"] / energy["factor"])
    assert energy["most_j"] == pytest.approx(energy["sample_j"] * energy["factor"])
    assert energy["power_w"] == pytest.approx(
        energy["sample_j"] / (numbers_of(made["loihi2"])["summary"]["steps"] * 1e-3)
    )
    assert energy["grade"] == "inferred"
    assert "Davies" in energy["source"]
    for target in ("xylo_audio3", "speck2f"):
        assert numbers_of(made[target])["activity"]["energy"] is None
        assert any("energy is unknown" in line for line in numbers_of(made[target])["missing"])


def test_float_and_integer_stand_side_by_side_and_what_is_missing_is_said(made, tmp_path):
    numbers = numbers_of(made["loihi2"])
    assert numbers["missing"] == []
    assert all(layer["rate_float"] is not None for layer in numbers["layers"][1:])
    assert all(w["float"]["total"] == w["integer"]["total"] for layer in numbers["layers"] for w in layer["weights"])
    assert all(m["float"] is not None for m in numbers["membranes"])
    bare = write_report(made["loihi2"] / "b.nd", tmp_path / "bare.html")
    assert bare["fidelity"] is None
    assert [line.split(":")[0] for line in bare["missing"]] == [
        "The float model is not in the bundle",
        "Labels are not in the bundle",
    ]
    page = (tmp_path / "bare.html").read_text()
    assert "add --model FILE for everything before quantization" in page
    assert "no labels were given" in page


def test_every_source_of_the_chip_stands_on_the_page_with_its_grade(made):
    numbers = numbers_of(made["speck2f"])
    page = (made["speck2f"] / "r.html").read_text()
    evidence = nd.chip("speck2f").evidence
    assert {row["name"]: row["grade"] for row in numbers["assumptions"]} == {n: e.grade for n, e in evidence.items()}
    assert sum(row["entries"] for row in numbers["assumptions"]) > 40
    assert all(row["date"] in page for row in numbers["assumptions"])
    assert numbers["unknown"] == list(nd.chip("speck2f").unknown)


@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize("target", PROVED)
def test_a_certificate_is_shown_with_the_numbers_of_a_check_made_just_now(made, target, tmp_path):
    folder, page = made[target], (made[target] / "r.html").read_text()
    (shown,) = numbers_of(folder)["certificates"]
    stated = load_bundle(folder / "b.nd").certificates["no_overflow"]
    assert shown["statements"] == nd.verify(folder / "b.nd", orders=0).certificates["no_overflow"] > 0
    assert sum(row["proved"] for row in shown["states"]) == shown["statements"]
    for row in shown["states"]:
        low, high = stated["ranges"][row["layer"]][row["state"]]
        assert [row["least"], row["most"]] == [np.min(low), np.max(high)]
        assert row["low"] <= row["least"] <= row["most"] <= row["high"]
    assert {place for _, place, _ in DATA.findall(page)} >= {
        "certificates.0.statements",
        "certificates.0.states.0.most",
    }
    assert {row["worst"] for row in numbers_of(folder)["headroom"]} <= {
        v for row in shown["states"] for v in range(row["least"], row["most"] + 1)
    }
    wrong = stated | {"ranges": stated["ranges"] | {}}
    layer, state = shown["states"][0]["layer"], shown["states"][0]["state"]
    wrong["ranges"][layer] = {**wrong["ranges"][layer], state: [0, 0]}
    shutil.copytree(folder / "b.nd", tmp_path / "b.nd")
    add_certificates(tmp_path / "b.nd", {"no_overflow": wrong})
    told = write_report(tmp_path / "b.nd", tmp_path / "r.html")
    assert told["certificates"] == [{"name": "no_overflow", "statements": None, "states": []}]
    assert told["summary"]["exact"] is False
    assert (
        "The certificate no_overflow does not hold, or could not be checked here" in (tmp_path / "r.html").read_text()
    )


def test_a_bundle_without_a_certificate_says_what_makes_one(made):
    assert numbers_of(made["xylo_audio3"])["certificates"] == []
    assert "<code>neurodeploy prove BUNDLE --add</code>" in (made["xylo_audio3"] / "r.html").read_text()
    assert "neurodeploy prove BUNDLE --add" not in (made["loihi2"] / "r.html").read_text()


def test_what_a_user_named_cannot_break_out_of_the_page(made):
    numbers = numbers_of(made["xylo_audio3"]) | {"bundle": '"><script>alert(1)</script>'}
    numbers["rasters"][0]["layer"] = '"><b>'
    page = page_of(numbers)
    assert "<script" not in page
    assert "&lt;script" in page
    assert '"><b>' not in page


def test_the_command_writes_both_files_and_draws_the_neurons_that_are_asked_for(made, tmp_path):
    folder, out = made["xylo_audio3"], tmp_path / "p.html"
    layer = numbers_of(folder)["layers"][1]["name"]
    files = ("--model", folder / "m.safetensors", "--data", folder / "x.npz")
    answer = run("report", folder / "b.nd", "-o", out, *files, "--neuron", f"{layer}.5", "--json")
    assert answer.status == 0
    assert answer.json["numbers"] == str(tmp_path / "p.json")
    drawn = [(m["layer"], m["neuron"]) for m in numbers_of(tmp_path, "p.json")["membranes"]]
    assert [n for name, n in drawn if name == layer] == [5]
    assert answer.json["summary"]["accuracy"]["samples"] == SAMPLES
    assert run("report", folder / "b.nd", "-o", out).out.startswith("Written: ")
    refused("ND9002", 2, "report", folder / "b.nd", "-o", out, "--neuron", "five")
    refused("ND9002", 2, "report", folder / "b.nd", "-o", out, "--neuron", f"{layer}.500")
    refused("ND9002", 2, "report", folder / "b.nd", "-o", out, "--neuron", "nobody.1")
    refused("ND1401", 2, "report", folder / "b.nd", "-o", tmp_path / "nowhere" / "p.html")
    assert numbers_of(tmp_path, "p.json")["summary"]["steps"] >= STEPS


@pytest.mark.browser
@pytest.mark.parametrize("target", TARGETS)
def test_a_browser_finds_no_fault_in_light_dark_narrow_and_print(made, target, tmp_path, count):
    command = [shutil.which("node"), LOOK, os.environ["NEURODEPLOY_BROWSER"], shutil.which("chromium")]
    done = subprocess.run(  # noqa: S603 - our own script
        [*map(str, command), str(made[target] / "r.html"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["console"] == found["errors"] == []
    assert set(found["requests"]) <= {(made[target] / "r.html").resolve().as_uri(), "data:,"}
    numbers = numbers_of(made[target])
    for name, mode in found["modes"].items():
        assert mode["violations"] == [], name
        assert mode["rules"] > 20
        assert mode["wide"] <= mode["inner"]
        assert mode["outside"] == 0
        assert len(mode["numbers"]) > 80
        for place, value, _ in mode["numbers"]:
            assert value == str(value_at(numbers, place))
        count("numbers that a browser showed", len(mode["numbers"]))
    modes = found["modes"]
    assert modes["light"]["back"] != modes["dark"]["back"]
    assert modes["light"]["summary"] < 900
    assert modes["light"]["print"] > 10_000
    assert modes["light"]["printed"] <= 0

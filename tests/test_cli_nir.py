"""The import and export commands: the graph as a person sees it, what is missing, a model that convert takes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run
from nir_files import affine, conv, end, neurons, pool, write

import neurodeploy as nd

GOLDEN = Path(__file__).parent / "golden_nir"


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    for name in ("nir-1.0.4-row", "snntorch-recurrent"):
        shutil.copy(GOLDEN / f"{name}.nir", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


ROW = ("import", "nir-1.0.4-row.nir", "--as", "nir", "--dt", "1e-3", "--reset", "zero")


def test_import_shows_the_graph_the_contract_and_the_loss_and_writes_a_model(files):
    answer = run(*ROW)
    assert answer.status == 0
    for words in (
        "nir-1.0.4-row.nir, written by nir 1.0.4",
        "lif1.w_rec (later)",
        "weight 6 x 5:",
        "│ dt_s                │ 0.001      │ stated      │",
        "│ comparison          │ >          │ --as nir    │",
        "- node 'lif1.lif', faithful: spikes come back through lif1.w_rec",
        "Loss: 8 of 8 nodes faithful, 0 approximated.",
        "Next: neurodeploy check nir-1.0.4-row.safetensors --target CHIP",
    ):
        assert words in answer.out
    model, info = nd.load_model(files / "nir-1.0.4-row.safetensors")
    assert info.dt_s == 1e-3
    assert model(torch.zeros(3, 1, 5)).shape == (3, 1, 4)


def test_what_is_missing_is_listed_beside_the_graph_and_nothing_is_written(files):
    answer = run("import", "nir-1.0.4-row.nir", "--dt", "1e-3")
    assert answer.status == 2
    assert "lif1.w_rec (later)" in answer.out
    options = ["--integrator", "--reset", "--compare", "--max-spikes", "--v-min", "--recurrent-delay"]
    assert len(answer.err.splitlines()) == len(options)
    assert all(f"state it ({option})" in line for option, line in zip(options, answer.err.splitlines(), strict=True))
    assert not list(files.glob("*.safetensors"))
    as_json = run("import", "nir-1.0.4-row.nir", "--dt", "1e-3", "--json")
    assert as_json.codes == ["ND1601"] * len(options)


STATED = {
    "dt_s": ("--dt", 1e-3),
    "time_unit": ("--time-unit", "ms"),
    "integrator": ("--integrator", "exact"),
    "gain": ("--gain", "one"),
    "reset": ("--reset", "subtract"),
    "reset_delay": ("--reset-delay", 0),
    "comparison": ("--compare", ">="),
    "max_spikes": ("--max-spikes", None),
    "v_min": ("--v-min", -0.5),
    "recurrent_delay": ("--recurrent-delay", 1),
}


def test_every_option_reaches_the_contract():
    options = [word for option, value in STATED.values() for word in (option, "none" if value is None else value)]
    answer = run("import", "nir-1.0.4-row.nir", *options, "-o", "m.safetensors", "--json").json
    assert {name: answer["contract"][name] for name in STATED} == {name: value for name, (_, value) in STATED.items()}
    assert {answer["origins"][name] for name in STATED} == {"stated"}
    assert answer["model"] == "m.safetensors"
    first = {"name": "input", "kind": "Input", "into": [5], "out": [5], "parameters": {"shape": "5"}}
    assert answer["graph"][0] == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--max-spikes", "two"), "'two' is not a whole number, nor none"),
        (("--v-min", "low"), "'low' is not a number, nor none"),
        (("--as", "brian"), "the exporter 'brian'; one of nir, snntorch"),
        (("--reset", "soft"), "reset = 'soft'; one of 'subtract', 'zero', 'value'"),
        (("-o", "nowhere/m.safetensors"), "its folder does not exist"),
        (("-o", "m.pt"), "the name must end in .safetensors"),
    ],
)
def test_wrong_options_are_refused(files, arguments, words):
    answer = run(*ROW, *arguments)
    assert answer.status == 2
    assert words in answer.err
    assert not list(files.glob("*.safetensors"))


def test_a_model_that_was_imported_converts_and_verifies(files):
    rng = np.random.default_rng(0)
    chain = {
        "input": end("Input", 2, 6, 6),
        "conv": conv(rng, 3, 2, (3, 3), padding=1, bias=False),
        "if1": neurons("IF", (3, 6, 6), r=1.0, v_threshold=4.0),
        "pool": pool("SumPool2d", (2, 2)),
        "flat": {"type": "Flatten", "start_dim": 0, "end_dim": -1},
        "fc": affine(rng, 4, 27, bias=False),
        "if2": neurons("IF", (4,), r=1.0, v_threshold=4.0),
        "output": end("Output", 4),
    }
    write(files / "map.nir", chain)
    assert run("import", "map.nir", "--as", "sinabs", "--dt", "1e-3", "--v-min", "-1").status == 0
    given = rng.poisson(0.2, (20, 1, 72)).astype(np.uint8)
    nd.save_data("given.npz", nd.data(given, layout="time,batch,channel", dt_s=1e-3))
    convert = ("convert", "map.safetensors", "--target", "speck2f", "--data", "given.npz", "--out", "s.nd")
    assert run(*convert).status == 0
    assert run("verify", "s.nd").status == 0


def test_what_is_exported_comes_back_with_its_contract(files):
    assert run("import", "snntorch-recurrent.nir", "--as", "snntorch", "-o", "a.safetensors").status == 0
    told = run("export", "a.safetensors", "-o", "b.nir")
    assert told.status == 0
    assert "reset_delay = 1; reset by subtraction" in told.out
    again = run("import", "b.nir", "-o", "b.safetensors", "--json")
    assert set(again.json["origins"].values()) == {"metadata"}
    plain = run("export", "a.safetensors", "-o", "c.nir", "--plain")
    assert plain.status == 2
    assert "reset_delay = 1; what NIR says itself" in plain.err
    assert not (files / "c.nir").exists()
    assert json.loads(run("export", "a.safetensors", "-o", "d.nir", "--json").out)["file"] == "d.nir"

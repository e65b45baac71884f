"""Files of every published version of nir, and of every exporter: read, and the same output as where they come from."""

import json
from pathlib import Path

import nir_plain
import numpy as np
import pytest
import torch
from nir_files import DT

import neurodeploy as nd
from neurodeploy.nir import PRESETS

FOLDER = Path(__file__).parent / "golden_nir"
VERSIONS = ("0.1.0", "0.2.0", "1.0.0", "1.0.4", "1.0.6", "1.0.8")
CONTRACT = {"integrator": "euler", "comparison": ">", "max_spikes": 1, "v_min": None, "reset": "zero"}
#: What the source's layers were, where it is not the default that the exporter's name stands for.
OTHERWISE = {
    "snntorch-zero": {"reset": "zero"},
    "snntorch-zero-now": {"reset": "zero", "reset_delay": 0},
    "snntorch-subtract-now": {"reset_delay": 0},
    "sinabs-map-bounded": {"v_min": -1.0},
}
LOST = {"sinabs": {"dt_s": DT, "v_min": None}, "rockpool": {"dt_s": DT}}
EXPORTS = sorted(path.stem for path in FOLDER.glob("*.nir") if not path.stem.startswith("nir-"))


def output(model, given):
    with torch.no_grad():
        return model(torch.as_tensor(given.reshape(len(given), 1, -1), dtype=torch.float32))[:, 0].numpy()


@pytest.mark.parametrize("network", ["row", "map", "nested"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_file_of_every_version_computes_what_its_equations_say(version, network):
    path = FOLDER / f"nir-{version}-{network}.nir"
    found, plain = nd.read_nir(path, dt_s=DT, recurrent_delay=1, **CONTRACT), nir_plain.read(path)
    given = np.random.default_rng(0).poisson(0.7, (30, *plain["nodes"]["input"]["shape"]))
    theirs = nir_plain.Run(plain, {"dt": DT, **CONTRACT})(given.astype(float))
    assert np.abs(theirs).sum() > 0
    assert np.abs(output(found.model, given) - theirs).max() < 1e-5
    assert found.report.version == ("" if version == "0.1.0" else version)
    assert found.report.faithful


def test_the_reset_of_a_file_counts_from_the_version_that_writes_it():
    rest = {name: value for name, value in CONTRACT.items() if name != "reset"}
    asked = []
    for version in VERSIONS:
        try:
            nd.read_nir(FOLDER / f"nir-{version}-nested.nir", dt_s=DT, recurrent_delay=1, **rest)
        except nd.errors.Refusal as refusal:
            asked += [(version, fault.was.split()[0]) for fault in refusal.faults]
    assert asked == [(version, "reset") for version in VERSIONS[:4]]


def in_turn(remainder):
    """Every file, half of them in .ci/run alone: what one of two tests leaves out the other one has."""
    return [pytest.param(n, marks=[pytest.mark.slow] * (i % 2 != remainder)) for i, n in enumerate(EXPORTS)]


@pytest.mark.parametrize("name", in_turn(0))
def test_an_export_fires_as_in_the_library_that_made_it(name, count):
    library, _, network = name.partition("-")
    with np.load(FOLDER / f"{library}.npz") as recorded:
        given, theirs = recorded[f"{network}.input"], recorded[f"{network}.output"]
    found = nd.read_nir(FOLDER / f"{name}.nir", like=library, **LOST.get(library, {}) | OTHERWISE.get(name, {}))
    ours = output(found.model, given)
    assert theirs.any()
    assert ours.shape == theirs.shape
    if theirs.dtype == np.uint8:
        assert (ours != theirs).sum() == 0
        count("spikes of exporters compared", theirs.size)
    else:  # membranes
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


def test_every_exporter_is_compared_and_says_who_made_its_files():
    assert {name.partition("-")[0] for name in EXPORTS} == set(PRESETS) - {"nir"}
    for library in sorted(set(PRESETS) - {"nir"}):
        with np.load(FOLDER / f"{library}.npz") as recorded:
            made = json.loads(str(recorded["made_by"]))
        assert PRESETS[library].source.lower().endswith(f"{library} {made[library]}")


@pytest.mark.parametrize("changed", [{"reset_delay": 0}, {"integrator": "exact"}, {"reset": "zero"}])
def test_another_contract_gives_other_spikes(changed):
    with np.load(FOLDER / "snntorch.npz") as recorded:
        given, theirs = recorded["subtract.input"], recorded["subtract.output"]
    same = {"like": "nir", "dt_s": 1e-4, "reset": "subtract", "reset_delay": 1}
    ours = output(nd.read_nir(FOLDER / "snntorch-subtract.nir", **same).model, given)
    other = output(nd.read_nir(FOLDER / "snntorch-subtract.nir", **(same | changed)).model, given)
    assert np.array_equal(ours, theirs)
    assert not np.array_equal(other, theirs)


@pytest.mark.parametrize("name", in_turn(1))
def test_an_export_that_is_imported_and_exported_again_still_fires_as_in_its_library(name, tmp_path):
    library, _, network = name.partition("-")
    with np.load(FOLDER / f"{library}.npz") as recorded:
        given, theirs = recorded[f"{network}.input"], recorded[f"{network}.output"]
    first = nd.read_nir(FOLDER / f"{name}.nir", like=library, **LOST.get(library, {}) | OTHERWISE.get(name, {}))
    nd.write_nir(first.model, tmp_path / "a.nir", dt_s=first.dt_s)
    again = nd.read_nir(tmp_path / "a.nir")
    assert np.abs(output(again.model, given) - theirs).max() <= (
        1e-5 * np.abs(theirs).max() if theirs.dtype == np.float32 else 0
    )
    assert set(again.report.origins.values()) == {"metadata"}

"""Files that we write, read by other programs: the same spikes there."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

import neurodeploy as nd
from neurodeploy.layers import IAF, LIF

VARIABLE = "NEURODEPLOY_NIR_LIBRARIES"
SCRIPT = Path(__file__).parent / "golden_nir" / "read_back.py"
#: What each takes of a file, whatever it says: sinabs bounds an IF at minus its threshold and compares with >=.
NIR = {"max_spikes": 1, "reset": "zero", "comparison": ">"}
NEURONS = {
    "sinabs": lambda n: IAF(n, v_min=-1.0),
    "norse": lambda n: LIF(n, 9.0, threshold=0.25, **NIR),
    "snntorch": lambda n: LIF(n, 9.0, threshold=0.25, **NIR),
}
DT_S = 1e-4  # the only one of snnTorch


#: Exports of theirs that their own importers read as what they were: network -> what the file does not say. Others
#: come back as something else whoever wrote them: snnTorch's importer resets at once and to zero, sinabs' bounds every
#: IF and counts time constants in steps, Norse's ignores r and v_reset.
CIRCLE = {"norse-current": {}, "norse-sum": {}, "sinabs-map-bounded": {"dt_s": 1e-3, "v_min": -1.0},
          "snntorch-zero-now": {"reset": "zero", "reset_delay": 0}}  # fmt: skip


def read_there(library, path, data):
    command = [os.environ[VARIABLE], str(SCRIPT), library, str(path), str(data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)  # noqa: S603 - a test's own
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.interpreter(VARIABLE)
@pytest.mark.parametrize("name", CIRCLE)
def test_an_export_of_theirs_that_we_read_and_wrote_fires_in_its_library_as_before(tmp_path, name, count):
    library, _, network = name.partition("-")
    with np.load(SCRIPT.parent / f"{library}.npz") as recorded:
        given, theirs = recorded[f"{network}.input"], recorded[f"{network}.output"]
    found = nd.read_nir(SCRIPT.parent / f"{name}.nir", like=library, **CIRCLE[name])
    nd.write_nir(found.model, tmp_path / "a.nir", dt_s=found.dt_s)
    np.savez(tmp_path / "a.npz", input=given, output=theirs.reshape(len(theirs), -1), dt_s=found.dt_s)
    told = read_there(library, tmp_path / "a.nir", tmp_path / "a.npz")
    assert told["spikes"] > 20
    assert (told["values"], told["differ"]) == (theirs.size, 0)
    count("spikes of round trips compared", told["values"])


@pytest.mark.interpreter(VARIABLE)
@pytest.mark.parametrize("library", NEURONS)
def test_a_file_of_ours_fires_in_another_program_as_here(tmp_path, library, count):
    torch.manual_seed(0)
    first, last = torch.nn.Linear(8, 12), torch.nn.Linear(12, 6)
    for layer in (first, last):
        layer.weight.data *= 3
    model = torch.nn.Sequential(first, NEURONS[library](12), last, NEURONS[library](6)).eval()
    given = np.random.default_rng(0).poisson(0.6, (200, 1, 8))
    ours = nd.run_model(model, given)[:, 0]
    nd.write_nir(model, tmp_path / "a.nir", dt_s=DT_S)
    np.savez(tmp_path / "a.npz", input=given[:, 0], output=ours, dt_s=DT_S)
    told = read_there(library, tmp_path / "a.nir", tmp_path / "a.npz")
    assert told["spikes"] > 20
    assert (told["values"], told["differ"]) == (1200, 0)
    count("spikes of other programs compared", told["values"])

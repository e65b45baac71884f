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
    command = [os.environ[VARIABLE], str(SCRIPT), library, str(tmp_path / "a.nir"), str(tmp_path / "a.npz")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)  # noqa: S603 - a test's own
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["spikes"] > 20
    assert (told["values"], told["differ"]) == (1200, 0)
    count("spikes of other programs compared", told["values"])

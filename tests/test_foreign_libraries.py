"""Models of other libraries, run by them and by us: the same spikes, and one of each on a chip."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import neurodeploy as nd
from neurodeploy.foreign.neurons import NEURONS

VARIABLE = "NEURODEPLOY_NIR_LIBRARIES"
HERE = Path(__file__).parent
SCRIPT = HERE / "golden_foreign" / "adopt_there.py"


def run(library, folder):
    command = [os.environ[VARIABLE], str(SCRIPT), library, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)  # noqa: S603 - a test's own
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.interpreter(VARIABLE)
@pytest.mark.parametrize("library", NEURONS)
def test_adopted_models_fire_as_their_library_and_one_goes_to_a_chip(tmp_path, library, count):
    told = run(library, tmp_path)
    assert {name: case["differ"] for name, case in told.items()} == dict.fromkeys(told, 0)
    assert min(case["spikes"] for case in told.values()) > 5
    seen = {kind.rpartition(".")[2] for case in told.values() for kind in case["classes"] if kind.startswith(library)}
    assert seen >= set(NEURONS[library])
    assert all(case["trained"] for case in told.values())
    model, _ = nd.load_model(tmp_path / "chip.safetensors")
    counts = np.random.default_rng(0).poisson(0.6, (40, 6, 7))
    converted = nd.convert(model, nd.chip("xylo_audio3"), calibration=counts, dt_s=1e-3, approximate=True)
    assert nd.simulate(converted.network, counts).output.sum() > 0
    count("values of other libraries' layers compared", sum(case["values"] for case in told.values()))

"""Who is killed while he writes leaves the old bundle or the new one, whole: kill -9 at moments drawn at random."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import counts, data, model

import neurodeploy as nd

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere no folder is exchanged in one step"
)


@pytest.mark.slow  # .ci/run has it
@pytest.mark.parametrize("times", [pytest.param(2, id="few"), pytest.param(100, marks=pytest.mark.slow, id="many")])
def test_a_conversion_that_is_killed_leaves_the_old_bundle_or_the_new_one(tmp_path, times):
    """Folders and archives, so many times each."""
    nd.save_model(model(), tmp_path / "model.safetensors", dt_s=1e-3)
    nd.save_data(tmp_path / "data.npz", data())
    nd.save_data(tmp_path / "other.npz", data(np.flip(counts(), axis=0).copy()))
    here = Path(__file__).parent
    given = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(nd.__file__).parents[1]), str(here)])}
    command = [sys.executable, str(here / "killed_writes.py"), str(tmp_path), str(times)]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=300)  # noqa: S603
    assert done.returncode == 0, done.stderr[-2000:]
    for left in json.loads(done.stdout).values():
        assert left["neither"] == 0
        assert left["old"] + left["new"] == times
        assert times < 20 or min(left["old"], left["new"]) > 0, "killed before and after the exchange"
